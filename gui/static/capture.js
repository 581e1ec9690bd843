// A dataset made on the page: pictures by the camera, drawings, sounds, files or typed texts, put
// into classes.

import { drawing } from "./draw.js";
import { scaled } from "./giving.js";
import { playButton, waveform } from "./items.js";
import { envelope, listening, loudness, refused } from "./microphone.js";
import { button, confirmed, count, segments, select, tell, unique } from "./page.js";
import { wav, zip } from "./packing.js";
import { el, text } from "./shell.js";

const WHAT = ["camera", "drawings", "sounds"];
/** What each way gives: items of one kind can stand beside each other. */
const KIND = {
  camera: "images",
  drawings: "images",
  pictures: "images",
  sounds: "sound",
  recordings: "sound",
  texts: "text",
};
/** The ways that take files, and what the browser's dialog offers for them. */
const FILES = { pictures: "image/*", recordings: "audio/*,.wav,.flac,.ogg,.oga,.opus,.mp3" };
const LARGEST_SOUND = 16 * 2 ** 20;
/** Sides in pixels of what is kept: models see far fewer. */
const PICTURE = 224;
const DRAWN = 112;
/** Milliseconds until a press counts as held, and between two frames of a burst. */
const HELD = 350;
const BURST = 150;
const SECONDS = [1, 2, 3];
/** Items that a class needs so that each split can have one. */
const FEWEST = 3;
const MOST = 20_000;

/**
 * The recorder. `ways` are what can be recorded, `fewest` how many items each class needs.
 *
 * `send(files, name, done)` takes the finished zip from a button of its own; without it, the page
 * asks for `packed()`, and `changed()` tells it that there is something else. Gives the element,
 * `leave()` and `enter()`.
 */
export function capture({ send = null, ways = WHAT, fewest = FEWEST, changed = () => {} }) {
  let what = null;
  let classes = [];
  let seconds = SECONDS[0];
  /** Lets the camera or the microphone go. */
  let release = () => {};
  /** Gives one item of a class, `{bytes, ending, look}`, or null; set by what is recorded. */
  let take = null;
  let burst = false;

  const problem = el("p", { class: "an-problem", role: "alert", hidden: true });
  const stage = el("div", { class: "an-stage" });
  const list = el("ul", { class: "an-captured" });
  const add = button(text("capture.add"), () => {
    addClass();
    list.lastElementChild.querySelector("input").focus();
  });
  const hint = el("p", { class: "an-help", role: "status" });
  const go = button(text("capture.go"), finish, { kind: "primary" });
  const choose = segments(
    text("capture.what"),
    ways.map((one) => [one, text(`capture.${one}`)]),
    "",
    (one) => turnTo(one),
  );
  const work = el(
    "div",
    { class: "an-capture-work", hidden: true },
    stage,
    el("div", {}, list, add),
    el("div", { class: "an-capture-foot" }, hint, send ? go : null),
  );
  const element = el(
    "div",
    { class: "an-capture" },
    send ? el("p", { class: "an-help" }, text("capture.words")) : null,
    choose,
    problem,
    work,
  );
  choose.hidden = ways.length < 2;

  const all = () => classes.flatMap((one) => one.items);

  function complain(words = "") {
    problem.textContent = words;
    problem.hidden = !words;
  }

  async function turnTo(other) {
    if (other === what) {
      if (!take) open();
      return;
    }
    const alike = KIND[other] === KIND[what];
    if (all().length && !alike) {
      const agreed = await confirmed({
        title: text("capture.drop.title"),
        words: text("capture.drop.words", { count: count(all().length) }),
        action: text("capture.drop.agree"),
        danger: true,
      });
      if (!agreed) {
        choose.set(what);
        return;
      }
    }
    what = other;
    if (!alike) reset();
    open();
    mark();
  }

  function reset() {
    classes = [];
    list.replaceChildren();
    for (const number of [1, 2]) addClass(text("capture.class", { number }));
    mark();
  }

  function open() {
    leave();
    complain();
    work.hidden = false;
    stage.replaceChildren();
    work.classList.toggle("staged", what !== "texts" && !(what in FILES));
    ({ camera, drawings, sounds, pictures: files, recordings: files, texts })[what]();
  }

  /** Lets the devices go; what was recorded stays. */
  function leave() {
    release();
    release = () => {};
    take = null;
    ready(false);
  }

  function ready(yes) {
    for (const one of list.querySelectorAll(".an-record")) one.disabled = !yes;
  }

  async function stream(wanted, device) {
    try {
      return await navigator.mediaDevices.getUserMedia(wanted);
    } catch (trouble) {
      complain(refused(trouble, device));
      const again = button(text("capture.again"), open);
      stage.replaceChildren(again);
      return null;
    }
  }

  // --- the camera ----------------------------------------------------------------------------

  async function camera() {
    burst = true;
    const size = { ideal: 640 };
    const opened = await stream({ video: { width: size, height: size } }, "camera");
    if (!opened) return;
    if (what !== "camera" || !element.isConnected) {
      for (const track of opened.getTracks()) track.stop();
      return;
    }
    const video = el("video", { playsinline: true, "aria-label": text("capture.camera") });
    video.muted = true;
    video.srcObject = opened;
    release = () => {
      for (const track of opened.getTracks()) track.stop();
      stage.replaceChildren(button(text("capture.camera.start"), open));
    };
    stage.replaceChildren(video, el("p", { class: "an-help" }, text("capture.camera.help")));
    await video.play().catch(() => {}); // taken off the page before it began
    const canvas = el("canvas", { width: PICTURE, height: PICTURE });
    take = async () => {
      if (!video.videoWidth) return null;
      // The middle square, as it is shown.
      const side = Math.min(video.videoWidth, video.videoHeight);
      const [left, top] = [(video.videoWidth - side) / 2, (video.videoHeight - side) / 2];
      const pen = canvas.getContext("2d");
      pen.imageSmoothingQuality = "high";
      pen.drawImage(video, left, top, side, side, 0, 0, PICTURE, PICTURE);
      return pictured(canvas);
    };
    ready(true);
  }

  async function pictured(canvas) {
    const blob = await new Promise((resolve) => {
      canvas.toBlob(resolve, "image/png");
    });
    const bytes = new Uint8Array(await blob.arrayBuffer());
    const url = URL.createObjectURL(blob);
    const look = () => el("img", { src: url, alt: "" });
    return { bytes, ending: "png", look, forget: () => URL.revokeObjectURL(url) };
  }

  // --- drawings ------------------------------------------------------------------------------

  function drawings() {
    burst = false;
    const clear = button(text("predict.clear"), () => pad.clear());
    const pad = drawing(text("capture.canvas"), () => {
      ready(!pad.empty());
      clear.disabled = pad.empty();
    });
    clear.disabled = true;
    stage.replaceChildren(
      pad.canvas,
      el("div", { class: "an-stage-line" }, clear),
      el("p", { class: "an-help" }, text("capture.drawings.help")),
    );
    const canvas = el("canvas", { width: DRAWN, height: DRAWN });
    take = async () => {
      if (pad.empty()) return null;
      const pen = canvas.getContext("2d");
      pen.imageSmoothingQuality = "high";
      pen.drawImage(pad.canvas, 0, 0, DRAWN, DRAWN);
      const item = await pictured(canvas);
      pad.clear();
      return item;
    };
    ready(false);
  }

  // --- the microphone ------------------------------------------------------------------------

  async function sounds() {
    burst = false;
    const opened = await stream({ audio: true }, "microphone");
    if (!opened) return;
    if (what !== "sounds" || !element.isConnected) {
      for (const track of opened.getTracks()) track.stop();
      return;
    }
    let over = false;
    let hearing = null;
    release = () => {
      over = true;
      for (const track of opened.getTracks()) track.stop();
      hearing?.close();
      stage.replaceChildren(button(text("capture.microphone.start"), open));
    };
    try {
      hearing = await listening(opened);
    } catch {
      complain(text("capture.microphone.failed"));
      return;
    }
    if (over) {
      hearing.close();
      return;
    }
    const length = select(
      text("capture.seconds"),
      SECONDS.map((one) => [String(one), text("capture.seconds.of", { count: one })]),
      String(seconds),
      (value) => {
        seconds = Number(value);
      },
    );
    const level = el("i");
    const meter = el("div", { class: "an-bar an-level", "aria-hidden": "true" }, level);
    const said = el("p", { class: "an-recording-now", role: "status" });
    stage.replaceChildren(
      el("label", { class: "an-stage-line" }, text("capture.seconds"), length),
      meter,
      said,
      el("p", { class: "an-help" }, text("capture.sounds.help")),
    );
    let recording = null;
    hearing.hear((part) => {
      level.style.width = loudness(part);
      recording?.(part);
    });
    take = async () => {
      if (recording) return null;
      await hearing.resume();
      const wanted = Math.round(seconds * hearing.rate);
      const samples = new Float32Array(wanted);
      said.textContent = text("capture.recording");
      await new Promise((resolve) => {
        let at = 0;
        recording = (part) => {
          samples.set(part.subarray(0, wanted - at), at);
          at = Math.min(wanted, at + part.length);
          if (at === wanted || over) resolve();
        };
      });
      recording = null;
      said.textContent = "";
      if (over) return null;
      return recorded(samples, hearing.rate);
    };
    ready(true);
  }

  function recorded(samples, rate) {
    const bytes = wav(samples, rate);
    const sound = async () => new Blob([bytes], { type: "audio/wav" });
    const trouble = () => tell(text("capture.unplayable"), "error");
    const look = () => [
      playButton(text("capture.play"), sound, trouble),
      waveform(envelope(samples), text("capture.wave")),
    ];
    return { bytes, ending: "wav", look, forget: () => {} };
  }

  // --- files and texts ------------------------------------------------------------------------

  function files() {
    burst = false;
    stage.replaceChildren(el("p", { class: "an-help" }, text(`capture.${what}.help`)));
  }

  /** The items of some files; what is none of the kind is said. */
  async function fromFiles(list_, one) {
    complain();
    for (const file of list_) {
      if (all().length >= MOST) return;
      try {
        const item = what === "pictures" ? await pictured(await scaled(file)) : await heard(file);
        if (item) one.put(item);
      } catch {
        complain(text("predict.not_a_picture", { name: file.name }));
      }
    }
  }

  async function heard(file) {
    if (file.size > LARGEST_SOUND) {
      complain(text("predict.sound.large", { name: file.name }));
      return null;
    }
    const bytes = new Uint8Array(await file.arrayBuffer());
    const ending = file.name.slice(file.name.lastIndexOf(".") + 1).toLowerCase();
    const trouble = () => tell(text("capture.unplayable"), "error");
    const look = () => [
      playButton(text("capture.play"), async () => file, trouble),
      el("span", { class: "an-small" }, file.name),
    ];
    return { bytes, ending, look, forget: () => {} };
  }

  function texts() {
    burst = false;
    stage.replaceChildren(el("p", { class: "an-help" }, text("capture.texts.help")));
    take = async (one) => {
      const words = one.words.value.trim();
      one.words.value = "";
      one.words.focus();
      return words ? written(words) : null;
    };
    ready(true);
  }

  function written(words) {
    const look = () => el("span", { class: "an-written", dir: "auto" }, words);
    return { bytes: new TextEncoder().encode(words), words, ending: "txt", look, forget: () => {} };
  }

  // --- classes -------------------------------------------------------------------------------

  function addClass(name = text("capture.class", { number: classes.length + 1 })) {
    const one = { name, items: [] };
    const id = unique("class");
    const input = el("input", {
      class: "an-input",
      id,
      value: name,
      maxlength: 80,
      autocomplete: "off",
      "aria-label": text("capture.class.name"),
    });
    input.addEventListener("input", () => {
      one.name = input.value;
      mark();
    });
    const number = el("span", { class: "an-muted an-small an-number" });
    const record = el("button", { type: "button", class: "an-button an-record" }, "");
    const file = el("input", { type: "file", multiple: true, class: "an-visually-hidden" });
    const choice = el("label", { class: "an-button an-take-files" }, el("span", {}), file);
    file.addEventListener("change", async () => {
      await fromFiles([...file.files], one);
      file.value = ""; // the same file can be chosen again
    });
    one.words = el("textarea", {
      class: "an-input",
      rows: 2,
      dir: "auto",
      maxlength: 10_000,
      placeholder: text("capture.texts.hint"),
    });
    one.words.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey) return;
      event.preventDefault();
      record.click();
    });
    const items = el("ul", { class: "an-thumbnails" });
    const drop = button("×", () => removeClass(one, row), {
      kind: "quiet",
      name: text("capture.class.remove"),
    });
    const row = el(
      "li",
      { class: "an-capture-class" },
      el("div", { class: "an-capture-line" }, input, number, record, choice, drop),
      one.words,
      items,
    );
    row.addEventListener("dragover", (event) => {
      if (what in FILES) event.preventDefault();
    });
    row.addEventListener("drop", (event) => {
      if (!(what in FILES)) return;
      event.preventDefault();
      fromFiles([...event.dataTransfer.files], one);
    });
    one.show = () => {
      record.textContent = text(`capture.${what}.take`);
      record.setAttribute("aria-label", text("capture.take.name", { name: one.name }));
      choice.hidden = !(what in FILES);
      record.hidden = what in FILES;
      one.words.hidden = what !== "texts";
      one.words.setAttribute("aria-label", text("capture.texts.of", { name: one.name }));
      file.accept = FILES[what] ?? "";
      file.setAttribute("aria-label", text("capture.files.of", { name: one.name }));
      choice.firstChild.textContent = text("capture.files.take");
      number.textContent = count(one.items.length);
    };
    one.put = (item) => {
      one.items.push(item);
      const gone = button("×", () => forget(), {
        kind: "quiet",
        name: text("capture.item.remove", { name: one.name }),
      });
      const thumbnail = el("li", {}, item.look(), gone);
      const forget = () => {
        one.items = one.items.filter((other) => other !== item);
        item.forget();
        const next = thumbnail.nextElementSibling ?? thumbnail.previousElementSibling;
        thumbnail.remove();
        (next?.querySelector("button:last-child") ?? record).focus();
        mark();
      };
      items.prepend(thumbnail);
      mark();
    };
    holding(record, one);
    record.disabled = !take;
    classes.push(one);
    list.append(row);
    mark();
  }

  /** One item a click; with the camera, many while the button is held. */
  function holding(record, one) {
    let timer = 0;
    let busy = false;
    let many = false;
    const once = async () => {
      if (busy || !take) return;
      if (all().length >= MOST) {
        complain(text("capture.most", { count: count(MOST) }));
        return;
      }
      busy = true;
      try {
        const item = await take(one);
        if (item) one.put(item);
      } finally {
        busy = false;
      }
    };
    const end = () => {
      clearTimeout(timer);
      clearInterval(timer);
    };
    record.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !burst) return;
      many = false;
      timer = setTimeout(() => {
        many = true;
        once();
        timer = setInterval(once, BURST);
      }, HELD);
    });
    for (const kind of ["pointerup", "pointerleave", "pointercancel"]) {
      record.addEventListener(kind, end);
    }
    record.addEventListener("click", () => {
      if (many)
        many = false; // the end of a burst
      else once();
    });
  }

  async function removeClass(one, row) {
    if (one.items.length) {
      const agreed = await confirmed({
        title: text("capture.class.remove"),
        words: text("capture.drop.words", { count: count(one.items.length) }),
        action: text("datasets.remove"),
        danger: true,
      });
      if (!agreed) return;
    }
    for (const item of one.items) item.forget();
    classes = classes.filter((other) => other !== one);
    row.remove();
    add.focus();
    mark();
  }

  /** Counts, names, and what is missing until it is a dataset. */
  function mark() {
    for (const one of classes) one.show?.();
    const lack = lacking();
    hint.textContent = lack ?? text("capture.enough", { count: count(all().length) });
    go.disabled = lack !== null;
    changed(lack);
  }

  function lacking() {
    const names = classes.map(folder);
    if (names.some((name) => !name)) return text("capture.nameless");
    if (new Set(names.map((name) => name.toLowerCase())).size < names.length)
      return text("capture.same_name");
    if (classes.length < 2) return text("capture.two");
    const few = classes.find((one) => one.items.length < fewest);
    if (!few) return null;
    if (fewest === 1) return text("capture.one", { name: few.name.trim() });
    return text("capture.few", { name: few.name.trim(), count: fewest });
  }

  /** The class's name as that of a folder: without what would make it several, or none. */
  function folder({ name }) {
    const plain = name.trim().replace(/[/\\\p{C}]/gu, "_");
    return /^\.+$/.test(plain) ? "" : plain;
  }

  /** All of it as one file, what it is, and how an import is to read it. */
  function packed() {
    const name = text(`capture.${what}.name`);
    if (KIND[what] === "text") {
      // A table keeps the classes' names as they are.
      const cell = (words) => `"${words.replaceAll('"', '""')}"`;
      const rows = classes.flatMap((one) =>
        one.items.map(({ words }) => `${cell(words)},${cell(one.name.trim())}\n`),
      );
      const content = ["text,label\n", ...rows];
      const options = {
        encoding: "utf-8",
        delimiter: ",",
        columns: { text: "text", label: "label" },
      };
      return { file: new File(content, `${name}.csv`), name, kind: "text", options };
    }
    const within = classes.flatMap((one) =>
      one.items.map(({ bytes, ending }, index) => ({
        name: `${folder(one)}/${String(index + 1).padStart(5, "0")}.${ending}`,
        bytes,
      })),
    );
    const file = new File([zip(within)], `${name}.zip`, { type: "application/zip" });
    return { file, name, kind: KIND[what], options: {} };
  }

  function finish() {
    const { file, name } = packed();
    leave();
    send([file], name, forget);
  }

  /** Nothing is recorded any more: it is somewhere else now. */
  function forget() {
    for (const item of all()) item.forget();
    what = null;
    choose.set("");
    classes = [];
    list.replaceChildren();
    work.hidden = true;
  }

  window.addEventListener("beforeunload", (event) => {
    if (all().length) event.preventDefault();
  });

  return {
    element,
    leave,
    packed,
    forget,
    /** What is missing, as a sentence; null when it is enough. */
    lacking: () => (what ? lacking() : text("capture.what.choose")),
    names: () => classes.map(({ name }) => name.trim()),
    /** The page shows it again; with only one way, that one. */
    enter: () => {
      if (what && !take) open();
      else if (!what && ways.length === 1) {
        choose.set(ways[0]);
        turnTo(ways[0]);
      }
    },
    /** Classes with items that there are already: `[{name, items: [{png}, {text} or {sound}]}]`, a
     * picture or a WAV file in base64. */
    fill: async (given, way) => {
      what = way;
      choose.set(way);
      classes = [];
      list.replaceChildren();
      for (const { name, items } of given) {
        addClass(name);
        const one = classes.at(-1);
        for (const [index, item] of items.entries()) {
          const called = `${name} ${index + 1}`;
          if (item.text !== undefined) one.put(written(item.text));
          else if (item.png !== undefined)
            one.put(await pictured(await scaled(fileOf(item.png, `${called}.png`, "image/png"))));
          else one.put(await heard(fileOf(item.sound, `${called}.wav`, "audio/wav")));
        }
      }
      open();
      mark();
    },
  };
}

/** What is in base64 as a file. */
function fileOf(base64, name, type) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  return new File([bytes], name, { type });
}
