// The Predict page: choose a run, give it something, see what it makes of it.

import { drawing } from "./draw.js";
import { plot } from "./items.js";
import { count, debounce, number, poll, remember } from "./page.js";
import { ask, el, text } from "./shell.js";

/** Milliseconds between two looks at the runs: a training one gets new checkpoints. */
const LOOK = 3000;
/** Pictures are sent no larger than this: models see far fewer pixels. */
const LONGEST_SIDE = 512;
const LONGEST_TEXT = 5e6;
const TOP = 5;

/** Draws the page into its frame. */
export function mount(page) {
  const root = page.querySelector(".an-predict");
  let runs = [];
  let run = null;
  let wanted = Number(new URLSearchParams(window.location.search).get("run")) || null;
  /** What was given last, to be asked again; and the last answer with what it was an answer to. */
  let given = null;
  let answered = null;
  let asking = null;

  // --- the answer ----------------------------------------------------------------------------

  const says = el("p", { class: "an-says", role: "status" });
  const answer = el("div", { class: "an-answer" });

  function tell(words, { bad = false, again = false } = {}) {
    says.classList.toggle("bad", bad);
    says.replaceChildren(words);
    if (again) {
      const button = el("button", { type: "button", class: "an-button" }, text("predict.again"));
      button.addEventListener("click", predict);
      says.append(button);
    }
  }

  function rest() {
    const key = run?.takes === "sequence" ? "predict.waiting.sequence" : "predict.waiting";
    tell(text(key));
    answer.replaceChildren();
  }

  /** The input is another one now; null when there is none. */
  function give(input) {
    given = input;
    asking?.abort();
    if (answered) answer.classList.add("stale");
    if (input) predict();
    else if (answered) tell(text("predict.stale"));
    else rest();
  }

  async function predict() {
    if (!given || !run) return;
    asking?.abort();
    asking = new AbortController();
    const mine = asking;
    tell(text("predict.busy"));
    answer.classList.add("stale");
    try {
      const body = { run: run.id, input: given };
      const found = await ask("/api/predict", { body, signal: mine.signal });
      if (mine !== asking) return;
      answered = { run: run.id, step: found.checkpoint.step };
      answer.classList.remove("stale");
      const epoch = number(found.checkpoint.epoch);
      const said = text("predict.of", { step: count(found.checkpoint.step), epoch });
      tell([said, found.results[0].note].filter(Boolean).join(". "));
      answer.replaceChildren(...shown(found.results[0]));
    } catch (trouble) {
      if (trouble.name === "AbortError" || mine !== asking) return;
      // An answer to another input beside a complaint about this one would be taken for its own.
      tell(trouble.message, { bad: true });
      answered = null;
      answer.replaceChildren();
    }
  }

  function shown(result) {
    if (result.classes) return classified(result);
    return rebuilt(result);
  }

  const picture = (png, name) =>
    el(
      "figure",
      { class: "an-figure" },
      el("img", { src: `data:image/png;base64,${png}`, alt: text(`predict.${name}`) }),
      el("figcaption", {}, text(`predict.${name}`)),
    );

  function seen(result) {
    if (result.input) return picture(result.input, "saw");
    if (!result.values) return null;
    return el(
      "figure",
      { class: "an-figure" },
      plot(result.values, text("predict.saw")),
      el("figcaption", {}, text("predict.saw")),
    );
  }

  const percent = (share) =>
    share >= 0.9995 && share < 1 ? "> 99.9 %" : `${(100 * share).toFixed(1)} %`;

  function bars(classes) {
    return el(
      "dl",
      { class: "an-bars" },
      classes.flatMap(({ label, probability }) => [
        el("dt", { title: label }, label),
        el(
          "dd",
          { class: "an-bar", "aria-hidden": "true" },
          el("i", { style: `width:${100 * probability}%` }),
        ),
        el("dd", { class: "an-number" }, percent(probability)),
      ]),
    );
  }

  function classified(result) {
    const [best] = result.classes;
    const others = result.classes.slice(TOP);
    return [
      el(
        "div",
        { class: "an-top-class" },
        seen(result),
        el(
          "div",
          {},
          el("strong", { "data-testid": "prediction" }, best.label),
          el("span", { class: "an-muted an-number" }, percent(best.probability)),
        ),
      ),
      el("section", { "aria-label": text("predict.classes") }, bars(result.classes.slice(0, TOP))),
      ...(others.length
        ? [
            el(
              "details",
              {},
              el("summary", {}, text("predict.more", { count: result.classes.length })),
              bars(others),
            ),
          ]
        : []),
    ];
  }

  function rebuilt(result) {
    const canvas = el("canvas", { role: "img", "aria-label": text("predict.difference") });
    difference(canvas, result.input, result.reconstruction);
    return [
      el(
        "div",
        { class: "an-side-by-side" },
        picture(result.input, "original"),
        picture(result.reconstruction, "reconstruction"),
        el(
          "figure",
          { class: "an-figure" },
          canvas,
          el("figcaption", {}, text("predict.difference")),
        ),
      ),
      el("p", { class: "an-number" }, text("predict.error", { error: number(result.error) })),
    ];
  }

  // --- ways to give something ----------------------------------------------------------------

  const ways = el("div", { class: "an-way", role: "tabpanel" });
  const tabs = el("div", {
    class: "an-tabs",
    role: "tablist",
    "aria-label": text("predict.input"),
  });
  const problem = el("p", { class: "an-problem", role: "alert", hidden: true });
  let leave = () => {};
  let way = null;

  function complain(words = "") {
    problem.textContent = words;
    problem.hidden = !words;
  }

  const OFFER = {
    image: { draw, upload: uploadPicture, camera, own },
    sequence: { paste, upload: uploadText },
  };

  function offer() {
    const kinds = OFFER[run.takes] ?? OFFER.image;
    const names = Object.keys(kinds);
    const open = (name) => {
      if (way !== name && answered) {
        answered = null;
        give(null);
      }
      way = name;
      leave();
      leave = () => {};
      complain();
      for (const tab of tabs.children) {
        const yes = tab.dataset.way === name;
        tab.setAttribute("aria-selected", String(yes));
        tab.tabIndex = yes ? 0 : -1;
      }
      ways.replaceChildren(...kinds[name](), problem);
      ways.setAttribute("aria-label", text(`predict.${name}`));
    };
    tabs.replaceChildren(
      ...names.map((name) =>
        el(
          "button",
          { type: "button", role: "tab", "data-way": name, onclick: () => open(name) },
          text(`predict.${name}`),
        ),
      ),
    );
    tabs.onkeydown = (event) => {
      const turn = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!turn) return;
      const now = names.indexOf(document.activeElement.dataset.way);
      const next = (now + turn + names.length) % names.length;
      open(names[next]);
      tabs.children[next].focus();
    };
    open(names.includes(way) ? way : names[0]);
  }

  function draw() {
    const hint = el(
      "span",
      { class: "an-hint", "aria-hidden": "true" },
      text("predict.canvas.hint"),
    );
    const send = debounce(() => give(pad.empty() ? null : { png: pad.png() }), 150);
    const pad = drawing(text("predict.canvas"), () => {
      hint.hidden = !pad.empty();
      for (const button of [undo, clear]) button.disabled = pad.empty();
      send();
    });
    pad.canvas.addEventListener("pointerdown", () => {
      hint.hidden = true;
      answer.classList.add("stale");
    });
    const action = (name, act) =>
      el(
        "button",
        { type: "button", class: "an-button", disabled: true, onclick: act },
        text(`predict.${name}`),
      );
    const undo = action("undo", () => pad.undo());
    const clear = action("clear", () => pad.clear());
    return [
      el("div", { class: "an-easel" }, pad.canvas, hint),
      el("div", { class: "an-actions" }, undo, clear),
    ];
  }

  /** A place to drop a file or to choose one; `take(file)` gets it. */
  function dropping(words, accept, take, small = false) {
    const input = el("input", { type: "file", accept, class: "an-visually-hidden" });
    const box = el(
      "label",
      { class: small ? "an-drop small" : "an-drop" },
      el("span", {}, words),
      input,
    );
    input.addEventListener("change", () => input.files[0] && take(input.files[0]));
    for (const kind of ["dragover", "dragleave", "drop"]) {
      box.addEventListener(kind, (event) => {
        event.preventDefault();
        box.classList.toggle("over", kind === "dragover");
        if (kind === "drop" && event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
      });
    }
    return box;
  }

  function uploadPicture() {
    const box = dropping(text("predict.drop"), "image/*", async (file) => {
      complain();
      try {
        const png = await smaller(file);
        const image = el("img", { src: `data:image/png;base64,${png}`, alt: file.name });
        box.querySelector("img")?.remove();
        box.prepend(image);
        give({ png });
      } catch {
        give(null);
        rest();
        answered = null;
        complain(text("predict.not_a_picture", { name: file.name }));
      }
    });
    return [box];
  }

  function camera() {
    const video = el("video", {
      playsinline: true,
      muted: true,
      "aria-label": text("predict.camera"),
    });
    video.muted = true;
    const easel = el("div", { class: "an-easel", hidden: true }, video);
    const button = el(
      "button",
      { type: "button", class: "an-button primary" },
      text("predict.camera.start"),
    );
    let stream = null;
    leave = () => stream?.getTracks().forEach((track) => track.stop());
    const start = async () => {
      const size = { ideal: 640 };
      stream = await navigator.mediaDevices.getUserMedia({ video: { width: size, height: size } });
      if (!button.isConnected) {
        leave();
        return;
      }
      video.srcObject = stream;
      easel.replaceChildren(video);
      easel.hidden = false;
      await video.play();
      button.textContent = text("predict.camera.take");
      button.onclick = take;
    };
    const take = () => {
      // The middle square, as it is shown.
      const side = Math.min(video.videoWidth, video.videoHeight);
      const [left, top] = [(video.videoWidth - side) / 2, (video.videoHeight - side) / 2];
      const to = Math.min(side, LONGEST_SIDE);
      const canvas = el("canvas", { width: to, height: to });
      canvas.getContext("2d").drawImage(video, left, top, side, side, 0, 0, to, to);
      const png = canvas.toDataURL("image/png").split(",")[1];
      leave();
      easel.replaceChildren(
        el("img", { src: `data:image/png;base64,${png}`, alt: text("predict.camera") }),
      );
      button.textContent = text("predict.camera.again");
      button.onclick = () => begin();
      give({ png });
    };
    const begin = () => {
      complain();
      start().catch(() => complain(text("predict.camera.refused")));
    };
    button.onclick = begin;
    return [easel, el("div", { class: "an-actions" }, button)];
  }

  function own() {
    const samples = el("div", { class: "an-samples" });
    const words = el("p", { class: "an-help" }, text("datasets.opening"));
    ask("/api/datasets/details", { body: { key: run.data } })
      .then((found) => {
        words.textContent = text("predict.own.help");
        samples.append(
          ...found.samples.items.map(({ png, label }) =>
            el(
              "button",
              { type: "button", title: label, onclick: () => give({ png }) },
              el("img", { src: `data:image/png;base64,${png}`, alt: label }),
            ),
          ),
        );
      })
      .catch((trouble) => {
        words.textContent = "";
        complain(trouble.message);
      });
    return [words, samples];
  }

  function paste() {
    const area = el("textarea", {
      class: "an-input",
      id: "predict-text",
      spellcheck: "false",
      "aria-describedby": "predict-text-help",
      placeholder: "0.0, 0.25, 0.5\n0.1, 0.30, 0.4\n…",
    });
    area.addEventListener("input", () => give(null));
    const go = el("button", { type: "button", class: "an-button primary" }, text("predict.go"));
    go.addEventListener("click", () => give({ text: area.value }));
    return [
      el(
        "div",
        { class: "an-field" },
        el("label", { for: "predict-text" }, text("predict.text")),
        el("p", { class: "an-help", id: "predict-text-help" }, text("predict.text.help")),
        area,
      ),
      el("div", { class: "an-actions" }, go),
    ];
  }

  function uploadText() {
    const box = dropping(text("predict.drop_text"), ".csv,.tsv,.txt", async (file) => {
      complain();
      if (file.size > LONGEST_TEXT) {
        complain(text("predict.too_long", { name: file.name }));
        return;
      }
      box.querySelector("span").textContent = file.name;
      give({ text: await file.text() });
    });
    return [box];
  }

  // --- the run -------------------------------------------------------------------------------

  const choose = el("select", {
    class: "an-input",
    id: "predict-run",
    "aria-describedby": "predict-run-help",
  });
  const line = el("p", { class: "an-run-line" });
  const notices = el("div", { "aria-live": "polite" });
  choose.addEventListener("change", () =>
    turnTo(runs.find((one) => one.id === Number(choose.value))),
  );

  function turnTo(other) {
    const before = run;
    run = other;
    wanted = other.id;
    remember({ run: other.id });
    about();
    if (before?.takes !== run.takes) {
      given = null;
      answered = null;
      offer();
      rest();
      return;
    }
    if (before.data !== run.data && way === "own") offer();
    if (given) predict();
    else if (answered) answer.classList.add("stale");
  }

  function about() {
    const step = text("predict.checkpoint", { step: count(run.step) });
    line.replaceChildren(
      el("span", { class: "an-muted" }, `${run.model} · ${step}`),
      el("a", { href: `/run?id=${run.id}` }, text("predict.open")),
    );
  }

  /** Only when something is new: a list that is open would close. */
  function list() {
    const words = runs.map((one) => {
      const state = text(`state.${one.state}`).toLowerCase();
      return text("predict.run.option", { ...one, state });
    });
    if (words.join("\n") === [...choose.options].map((option) => option.text).join("\n")) return;
    choose.replaceChildren(...runs.map((one, i) => el("option", { value: one.id }, words[i])));
  }

  async function refresh() {
    const fresh = await ask(`/api/predict${wanted ? `?run=${wanted}` : ""}`);
    const before = runs.length;
    runs = fresh.runs;
    if (!runs.length) {
      empty();
      return LOOK;
    }
    if (!before) frame();
    list();
    const found = runs.find((one) => one.id === wanted);
    if (!found && wanted !== null) {
      const words = text("predict.gone", { run: wanted });
      notices.replaceChildren(el("p", { class: "an-notice" }, words));
    }
    if (!found) {
      turnTo(runs[0]);
    } else if (found.id !== run?.id) {
      turnTo(found);
    } else {
      run = found;
      about();
      const better = answered?.run === run.id && run.step > answered.step;
      if (better && given && !says.querySelector("button"))
        tell(text("predict.newer"), { again: true });
    }
    choose.value = run.id;
    return LOOK;
  }

  // --- the frame -----------------------------------------------------------------------------

  const head = el(
    "header",
    { class: "an-head" },
    el("div", {}, el("h1", {}, text("predict.title")), el("p", {}, text("predict.lead"))),
  );

  function empty() {
    root.replaceChildren(
      head,
      el(
        "div",
        { class: "an-empty" },
        el("h2", {}, text("predict.none")),
        el("p", {}, text("predict.none.words")),
        el("a", { class: "an-button primary", href: "/" }, text("predict.none.go")),
      ),
    );
  }

  function frame() {
    root.replaceChildren(
      head,
      notices,
      el(
        "div",
        { class: "an-predict-grid" },
        el(
          "div",
          { class: "an-column" },
          el(
            "section",
            { class: "an-card" },
            el(
              "div",
              { class: "an-field" },
              el("label", { for: "predict-run" }, text("predict.run")),
              el("p", { class: "an-help", id: "predict-run-help" }, text("predict.run.help")),
              choose,
            ),
            line,
          ),
          el("section", { class: "an-card" }, el("h2", {}, text("predict.input")), tabs, ways),
        ),
        el(
          "section",
          { class: "an-card an-result" },
          el("div", { class: "an-card-head" }, el("h2", {}, text("predict.result"))),
          says,
          answer,
        ),
      ),
    );
  }

  root.replaceChildren(head, notices);
  poll(root, refresh, (trouble) => {
    if (!root.contains(notices)) return;
    notices.replaceChildren(
      ...(trouble ? [el("p", { class: "an-notice bad" }, trouble.message)] : []),
    );
  });
}

/** The picture of a file as a PNG in base64, no larger than a model could want it. */
async function smaller(file) {
  const bitmap = await createImageBitmap(file);
  const scale = Math.min(1, LONGEST_SIDE / Math.max(bitmap.width, bitmap.height));
  const width = Math.max(1, Math.round(bitmap.width * scale));
  const height = Math.max(1, Math.round(bitmap.height * scale));
  const canvas = el("canvas", { width, height });
  const pen = canvas.getContext("2d");
  pen.imageSmoothingQuality = "high";
  pen.drawImage(bitmap, 0, 0, width, height);
  return canvas.toDataURL("image/png").split(",")[1];
}

/** Draws |input − reconstruction|, brightened so that small differences are seen. */
async function difference(canvas, first, second) {
  const pixels = async (png) => {
    const image = new Image();
    image.src = `data:image/png;base64,${png}`;
    await image.decode();
    canvas.width = image.naturalWidth;
    canvas.height = image.naturalHeight;
    const pen = canvas.getContext("2d", { willReadFrequently: true });
    pen.drawImage(image, 0, 0);
    return pen.getImageData(0, 0, canvas.width, canvas.height);
  };
  const one = await pixels(first);
  const other = await pixels(second);
  for (let i = 0; i < other.data.length; i += 1) {
    const apart = 2 * Math.abs(one.data[i] - other.data[i]);
    other.data[i] = i % 4 === 3 ? 255 : apart;
  }
  canvas.getContext("2d").putImageData(other, 0, 0);
}
