// A dataset made on the page: pictures by the camera, drawings, or sounds, put into classes.

import { drawing } from "./draw.js";
import { playButton, waveform } from "./items.js";
import { envelope, listening, loudness, refused } from "./microphone.js";
import { button, confirmed, count, segments, select, tell, unique } from "./page.js";
import { wav, zip } from "./packing.js";
import { el, text } from "./shell.js";

const WHAT = ["camera", "drawings", "sounds"];
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

/** The recorder; `send(files, name, done)` takes the finished zip. Gives the element and `leave()`. */
export function capture({ send }) {
  let what = null;
  let classes = [];
  let seconds = SECONDS[0];
  /** Lets the camera or the microphone go. */
  let release = () => {};
  /** Gives one item, `{bytes, ending, look}`, or null; set by what is recorded. */
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
    WHAT.map((one) => [one, text(`capture.${one}`)]),
    "",
    (one) => turnTo(one),
  );
  const work = el(
    "div",
    { class: "an-capture-work", hidden: true },
    stage,
    el("div", {}, list, add),
    el("div", { class: "an-capture-foot" }, hint, go),
  );
  const element = el(
    "div",
    { class: "an-capture" },
    el("p", { class: "an-help" }, text("capture.words")),
    choose,
    problem,
    work,
  );

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
    if (all().length) {
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
    reset();
    open();
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
    ({ camera, drawings, sounds })[what]();
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
    const items = el("ul", { class: "an-thumbnails" });
    const drop = button("×", () => removeClass(one, row), {
      kind: "quiet",
      name: text("capture.class.remove"),
    });
    const row = el(
      "li",
      { class: "an-capture-class" },
      el("div", { class: "an-capture-line" }, input, number, record, drop),
      items,
    );
    one.show = () => {
      record.textContent = text(`capture.${what}.take`);
      record.setAttribute("aria-label", text("capture.take.name", { name: one.name }));
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
        const item = await take();
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
  }

  function lacking() {
    const names = classes.map(folder);
    if (names.some((name) => !name)) return text("capture.nameless");
    if (new Set(names.map((name) => name.toLowerCase())).size < names.length)
      return text("capture.same_name");
    if (classes.length < 2) return text("capture.two");
    const few = classes.find((one) => one.items.length < FEWEST);
    return few ? text("capture.few", { name: few.name.trim(), count: FEWEST }) : null;
  }

  /** The class's name as that of a folder: without what would make it several, or none. */
  function folder({ name }) {
    const plain = name.trim().replace(/[/\\\p{C}]/gu, "_");
    return /^\.+$/.test(plain) ? "" : plain;
  }

  function finish() {
    const files = classes.flatMap((one) =>
      one.items.map(({ bytes, ending }, index) => ({
        name: `${folder(one)}/${String(index + 1).padStart(5, "0")}.${ending}`,
        bytes,
      })),
    );
    const name = text(`capture.${what}.name`);
    const file = new File([zip(files)], `${name}.zip`, { type: "application/zip" });
    leave();
    send([file], name, () => {
      for (const item of all()) item.forget();
      what = null;
      choose.set("");
      classes = [];
      list.replaceChildren();
      work.hidden = true;
    });
  }

  window.addEventListener("beforeunload", (event) => {
    if (all().length) event.preventDefault();
  });

  return {
    element,
    leave,
    /** The page shows it again. */
    enter: () => {
      if (what && !take) open();
    },
  };
}
