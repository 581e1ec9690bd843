// Ways to give a model something: drawing, typing, recording, uploading, an item of its data.

import { chosen, fileInput } from "./choosing.js";
import { drawing } from "./draw.js";
import { encoded, plot, playButton, waveform } from "./items.js";
import { envelope, listening, loudness, refused } from "./microphone.js";
import { ask, button, debounce, duration, el, tell, text } from "./page.js";
import { wav } from "./packing.js";

/** Pictures are sent no larger than this: models see far fewer pixels. */
const LONGEST_SIDE = 512;
const LARGEST_TEXT = 5e6;
/** Characters that are typed again when the page is loaded again. */
const LARGEST_KEPT = 1e5;
/** Under which name the browser keeps them. */
const TYPED = "anneal.typed";
const LARGEST_SOUND = 16 * 2 ** 20;
/** Seconds of a recording. */
const LONGEST_SOUND = 30;

/**
 * What is asked about a file, by what an item is: `{ png }`, `{ sound }` or `{ file }`; an Error
 * says why there is nothing to ask.
 */
export const READERS = {
  async image(file) {
    try {
      return { png: (await scaled(file)).toDataURL("image/png").split(",")[1] };
    } catch {
      throw new Error(text("predict.not_a_picture", { name: file.name }));
    }
  },
  async audio(file) {
    if (file.size > LARGEST_SOUND) throw new Error(text("predict.sound.large", { name: file.name }));
    return { sound: encoded(new Uint8Array(await file.arrayBuffer())) };
  },
  async sequence(file) {
    if (file.size > LARGEST_TEXT) throw new Error(text("predict.too_long", { name: file.name }));
    return { file: encoded(new Uint8Array(await file.arrayBuffer())) };
  },
};

/** What the browser's own dialog offers, by what an item is. */
export const KINDS = {
  image: "image/*",
  audio: "audio/*,.wav,.flac,.ogg,.oga,.opus,.mp3",
  sequence: ".csv,.tsv,.txt",
};

/** A place to drop a file or to choose one; `take(file)` gets it. */
export function dropping(words, accept, take) {
  const first = ([{ file }]) => take(file);
  return droppingAll(words, { accept }, first, ({ files }) => chosen(files));
}

/**
 * A place to drop files or to choose them in a field as `how` says; `take([{path, file}, …])` gets
 * them, of what was dropped what `found(transfer)` gives, or promises.
 */
export function droppingAll(words, how, take, found) {
  const box = el("label", { class: "an-drop" }, el("span", {}, words), fileInput(take, how));
  for (const kind of ["dragover", "dragleave", "drop"]) {
    box.addEventListener(kind, (event) => {
      event.preventDefault();
      box.classList.toggle("over", kind === "dragover");
      if (kind === "drop" && event.dataTransfer.files.length) take(found(event.dataTransfer));
    });
  }
  return box;
}

/**
 * The ways for each kind of item. `give(input)` takes what is given, null when there is none any
 * more; `complain(words)` says what is wrong, `run()` is the run that is asked, `stale()` says that
 * a new input is on its way, and `leaving(act)` is called when another way is taken.
 *
 * A way gives its elements.
 */
export function ways({ give, complain, run, stale, leaving }) {
  /** A file of one item; `looks(box, input, file)` shows in the box what was taken. */
  function upload(kind, words, looks) {
    const box = dropping(words, KINDS[kind], async (file) => {
      complain();
      try {
        const input = await READERS[kind](file);
        looks(box, input, file);
        give(input);
      } catch (trouble) {
        give(null);
        complain(trouble.message);
      }
    });
    return [box];
  }

  // --- pictures ------------------------------------------------------------------------------

  function draw() {
    const hint = el(
      "span",
      { class: "an-hint", "aria-hidden": "true" },
      text("predict.canvas.hint"),
    );
    const send = debounce(() => give(pad.empty() ? null : { png: pad.png() }), 150);
    const pad = drawing(text("predict.canvas"), () => {
      hint.hidden = !pad.empty();
      for (const one of [undo, clear]) one.disabled = pad.empty();
      send();
    });
    pad.canvas.addEventListener("pointerdown", () => {
      hint.hidden = true;
      stale();
    });
    const undo = button(text("predict.undo"), () => pad.undo());
    const clear = button(text("predict.clear"), () => pad.clear());
    for (const one of [undo, clear]) one.disabled = true;
    return [
      el("div", { class: "an-easel" }, pad.canvas, hint),
      el("div", { class: "an-actions" }, undo, clear),
    ];
  }

  const uploadPicture = () =>
    upload("image", text("predict.drop"), (box, { png }, { name }) => {
      box.querySelector("img")?.remove();
      box.prepend(el("img", { src: `data:image/png;base64,${png}`, alt: name }));
    });

  function camera() {
    const video = el("video", { playsinline: true, "aria-label": text("predict.camera") });
    video.muted = true;
    const easel = el("div", { class: "an-easel", hidden: true }, video);
    const go = el(
      "button",
      { type: "button", class: "an-button primary" },
      text("predict.camera.start"),
    );
    let stream = null;
    const end = () => stream?.getTracks().forEach((track) => track.stop());
    leaving(end);
    const start = async () => {
      const size = { ideal: 640 };
      stream = await navigator.mediaDevices.getUserMedia({ video: { width: size, height: size } });
      if (!go.isConnected) {
        end();
        return;
      }
      video.srcObject = stream;
      easel.replaceChildren(video);
      easel.hidden = false;
      await video.play();
      go.textContent = text("predict.camera.take");
      go.onclick = take;
    };
    const take = () => {
      // The middle square, as it is shown.
      const side = Math.min(video.videoWidth, video.videoHeight);
      const [left, top] = [(video.videoWidth - side) / 2, (video.videoHeight - side) / 2];
      const to = Math.min(side, LONGEST_SIDE);
      const canvas = el("canvas", { width: to, height: to });
      canvas.getContext("2d").drawImage(video, left, top, side, side, 0, 0, to, to);
      const png = canvas.toDataURL("image/png").split(",")[1];
      end();
      easel.replaceChildren(
        el("img", { src: `data:image/png;base64,${png}`, alt: text("predict.camera") }),
      );
      go.textContent = text("predict.camera.again");
      go.onclick = begin;
      give({ png });
    };
    const begin = () => {
      complain();
      start().catch(() => complain(text("predict.camera.refused")));
    };
    go.onclick = begin;
    return [easel, el("div", { class: "an-actions" }, go)];
  }

  // --- texts and sequences -------------------------------------------------------------------

  /** What was typed, kept while another way is looked at, and in the tab when it is loaded anew. */
  let typed = window.sessionStorage.getItem(TYPED) ?? "";

  function type() {
    const { gives } = run();
    const [help, hint] = gives.includes("masked token")
      ? ["predict.words.blanks", "predict.words.hint.blanks"]
      : [gives.includes("next token") ? "predict.words.prompt" : "predict.words.help", null];
    return writing({
      label: text("predict.words"),
      help: text(help),
      placeholder: text(hint ?? "predict.words.hint"),
      dir: "auto",
      value: typed,
      keep: (words) => {
        typed = words;
        if (words.length <= LARGEST_KEPT) window.sessionStorage.setItem(TYPED, words);
      },
    });
  }

  function paste() {
    return writing({
      label: text("predict.text"),
      help: text("predict.text.help"),
      placeholder: "0.0, 0.25, 0.5\n0.1, 0.30, 0.4\n…",
      kind: "an-rows",
    });
  }

  function writing({ label, help, placeholder, dir, kind = "", value = "", keep = () => {} }) {
    const area = el("textarea", {
      class: `an-input ${kind}`.trim(),
      id: "predict-text",
      dir,
      spellcheck: "false",
      "aria-describedby": "predict-text-help",
      placeholder,
      value,
    });
    area.addEventListener("input", () => {
      keep(area.value);
      give(null);
    });
    const send = () => give({ text: area.value });
    area.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      send();
    });
    return [
      el(
        "div",
        { class: "an-field" },
        el("label", { for: "predict-text" }, label),
        el("p", { class: "an-help", id: "predict-text-help" }, help),
        area,
      ),
      el("div", { class: "an-actions" }, button(text("predict.go"), send, { kind: "primary" })),
    ];
  }

  const named = (box, input, { name }) => {
    box.querySelector("span").textContent = name;
  };

  const uploadText = () => upload("sequence", text("predict.drop_text"), named);

  // --- sounds --------------------------------------------------------------------------------

  const uploadSound = () => upload("audio", text("predict.drop_sound"), named);

  function record() {
    const level = el("i");
    const meter = el("div", { class: "an-bar an-level", "aria-hidden": "true" }, level);
    const said = el(
      "p",
      { class: "an-help an-number" },
      text("predict.record.help", { count: LONGEST_SOUND }),
    );
    const taken = el("div", { class: "an-taken" });
    let press = begin;
    const go = button(text("predict.record.go"), () => press(), { kind: "primary" });
    let stream = null;
    let hearing = null;

    function end() {
      hearing?.close();
      hearing = null;
      for (const track of stream?.getTracks() ?? []) track.stop();
      stream = null;
      level.style.width = "0";
    }
    leaving(end);

    async function begin() {
      complain();
      stale();
      go.disabled = true;
      const parts = [];
      let heard = 0;
      try {
        stream = await navigator.mediaDevices.getUserMedia({ audio: true });
        hearing = await listening(stream);
      } catch (trouble) {
        end();
        complain(refused(trouble, "microphone"));
        return;
      } finally {
        go.disabled = false;
      }
      if (!go.isConnected) {
        end();
        return;
      }
      const { rate } = hearing;
      const finish = () => {
        end();
        go.textContent = text("predict.record.go");
        press = begin;
        said.textContent = text("predict.record.help", { count: LONGEST_SOUND });
        const samples = new Float32Array(heard);
        let at = 0;
        for (const part of parts) {
          samples.set(part, at);
          at += part.length;
        }
        if (heard) deliver(samples, rate);
      };
      go.textContent = text("predict.record.stop");
      press = finish;
      hearing.hear((part) => {
        parts.push(part);
        heard += part.length;
        level.style.width = loudness(part);
        said.textContent = text("predict.record.now", { time: duration(heard / rate) });
        if (heard >= LONGEST_SOUND * rate) finish();
      });
      await hearing?.resume();
    }

    function deliver(samples, rate) {
      const bytes = wav(samples, rate);
      const sound = async () => new Blob([bytes], { type: "audio/wav" });
      const trouble = () => tell(text("capture.unplayable"), "error");
      taken.replaceChildren(
        el(
          "div",
          { class: "an-recording" },
          playButton(text("capture.play"), sound, trouble),
          waveform(envelope(samples), text("capture.wave")),
          el("span", { class: "an-muted an-small an-number" }, duration(samples.length / rate)),
        ),
      );
      give({ sound: encoded(bytes) });
    }

    return [el("div", { class: "an-actions" }, go), meter, said, taken];
  }

  // --- items of the data ---------------------------------------------------------------------

  const LOOKS = {
    images: ({ png, label }) => el("img", { src: `data:image/png;base64,${png}`, alt: label }),
    text: (item) => el("span", { class: "an-words", dir: "auto" }, item.text),
    pairs: (item) => el("span", { class: "an-words", dir: "auto" }, item.source),
    sequences: (item) => plot(item.values, item.label || item.name),
    sound: (item) => waveform(item.wave, item.transcript || item.label || item.name),
  };

  /** Some items, each a button; a picture is whole already, another item is fetched. */
  function own() {
    const samples = el("div", { class: "an-samples" });
    const words = el("p", { class: "an-help" }, text("datasets.opening"));
    const { data } = run();
    const choose = async (item, one) => {
      complain();
      for (const other of samples.children) other.setAttribute("aria-pressed", other === one);
      stale();
      try {
        give(
          item.png
            ? { png: item.png }
            : await ask("/api/datasets/given", { body: { key: data, row: item.row } }),
        );
      } catch (trouble) {
        complain(trouble.message);
      }
    };
    const offer = (item, kind) => {
      const label = item.transcript || item.label;
      const one = el(
        "button",
        { type: "button", title: label || item.name, onclick: () => choose(item, one) },
        LOOKS[kind](item),
        kind !== "images" && label
          ? el("span", { class: "an-muted an-small", dir: "auto" }, label)
          : null,
      );
      return one;
    };
    ask("/api/datasets/details", { body: { key: data } })
      .then(({ samples: { kind, items } }) => {
        words.textContent = text("predict.own.help");
        samples.dataset.kind = kind;
        samples.append(...items.map((item) => offer(item, kind)));
      })
      .catch((trouble) => {
        words.textContent = "";
        complain(trouble.message);
      });
    return [words, samples];
  }

  // --- nothing but chance ----------------------------------------------------------------------

  function invent() {
    const roll = () => give({ seed: String(Math.floor(Math.random() * 2 ** 31)) });
    return [button(text("predict.invent.go"), roll)];
  }

  return {
    seed: { invent },
    image: { draw, upload: uploadPicture, camera, own },
    text: { type, own },
    pair: { type, own },
    audio: { record, upload: uploadSound, own },
    sequence: { paste, upload: uploadText, own },
  };
}

/** The picture of a file on a canvas, no larger than a model could want it. */
export async function scaled(file) {
  const bitmap = await createImageBitmap(file);
  const scale = Math.min(1, LONGEST_SIDE / Math.max(bitmap.width, bitmap.height));
  const width = Math.max(1, Math.round(bitmap.width * scale));
  const height = Math.max(1, Math.round(bitmap.height * scale));
  const canvas = el("canvas", { width, height });
  const pen = canvas.getContext("2d");
  pen.imageSmoothingQuality = "high";
  pen.drawImage(bitmap, 0, 0, width, height);
  return canvas;
}
