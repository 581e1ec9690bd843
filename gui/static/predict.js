// The Predict page: choose a run, give it something, see what it makes of it.

import { askAll, severalFiles, severalTexts } from "./batch.js";
import { explainer } from "./explain.js";
import { fieldOf, matters } from "./fields.js";
import { ways } from "./giving.js";
import { ask, button, count, debounce, el, number, poll, remember, text } from "./page.js";
import { page as sheet, shown } from "./results.js";
import { coming } from "./sending.js";

/** Milliseconds between two looks at the runs: a training one gets new checkpoints. */
const LOOK = 3000;
/** Milliseconds after the last change of a setting until it is asked anew. */
const SETTLED = 350;

/** The pieces that aren't empty, with a sign between them; a piece may be several itself. */
const between = (sign, ...pieces) =>
  pieces.filter((piece) => piece?.length).flatMap((piece, i) => [...(i ? [sign] : []), piece].flat());

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
  /** The settings of each explanation, and the part of the page that looks into an answer. */
  let settings = {};
  const why = explainer(() => settings);

  /** A sentence above the answer, whole or in pieces, and a button beside it. */
  function tell(words, { bad = false, offer = null } = {}) {
    says.classList.toggle("bad", bad);
    says.replaceChildren(...[words].flat());
    if (offer) says.append(button(...offer));
  }

  function rest() {
    const takes = run?.takes ?? "image";
    tell(text(`predict.waiting.${takes === "pair" ? "text" : takes}`));
    answer.replaceChildren();
    why.rest();
  }

  const stale = () => answer.classList.add("stale");

  /** The input is another one now; null when there is none. */
  function give(input) {
    given = input;
    asking?.abort();
    why.pause();
    if (answered) stale();
    if (input) predict();
    else if (answered) tell(text("predict.stale"));
    else rest();
  }

  /** Asks about what is given, in the way that fits. */
  async function predict() {
    if (!given || !run) return;
    asking?.abort();
    why.pause();
    asking = new AbortController();
    const mine = { input: given, asking, signal: asking.signal, now: () => mine.asking === asking };
    tell(text("predict.busy"));
    stale();
    try {
      if (given.many) await many(mine);
      else if (run.streams) await write(mine);
      else await one(mine);
    } catch (trouble) {
      if (trouble.name === "AbortError" || !mine.now()) return;
      // An answer to another input beside a complaint about this one would be taken for its own.
      tell(trouble.message, { bad: true });
      answered = null;
      answer.replaceChildren();
      why.rest();
    }
  }

  /** By which checkpoint, and what else is to be said of the answer, in pieces: each is one of the
   * strings, so that it has its Chinese. */
  function by(checkpoint, note, key = "predict.of", more = {}) {
    answered = { run: run.id, step: checkpoint.step };
    answer.classList.remove("stale");
    const step = count(checkpoint.step);
    const said =
      checkpoint.step || key !== "predict.of"
        ? text(key, { step, epoch: number(checkpoint.epoch), ...more })
        : "";
    const { temperature } = checkpoint;
    const scaled = temperature
      ? text("predict.of.scaled", { temperature: number(temperature) })
      : "";
    return between(". ", between(", ", said, scaled), note);
  }

  async function one({ input, signal, now }) {
    const body = { run: run.id, input, options: options() };
    const found = await ask("/api/predict", { body, signal });
    if (!now()) return;
    const [result] = found.results;
    tell(by(found.checkpoint, result.note));
    answer.replaceChildren(...shown(result, input));
    look(input);
  }

  /** Offers to look into the answer; one that was made of nothing has nothing to look at. */
  function look(input) {
    if (input.seed === undefined) why.show(run.id, input);
    else why.rest();
  }

  /** A text that grows while it is written. */
  async function write({ input, signal, now }) {
    const prompt = run.gives.includes("next token") ? (input.text ?? "") : "";
    const { element, written } = sheet(prompt);
    let said = "";
    answered = { run: run.id, step: run.step };
    answer.replaceChildren(element);
    answer.classList.remove("stale");
    const anew = { offer: [text("predict.anew"), predict] };
    const stop = () => {
      asking.abort();
      tell(text("predict.stopped"), anew);
      answer.replaceChildren(...shown({ prompt, written: said }, input));
    };
    tell(text("predict.writing"), { offer: [text("predict.stop"), stop] });
    const body = { run: run.id, input, options: options() };
    for await (const line of coming("/api/predict/stream", body, signal)) {
      if (!now()) return;
      if (line.error !== undefined) throw new Error(line.error);
      if (line.part !== undefined) {
        said += line.part;
        written.textContent = said;
      }
      if (line.answer) {
        const result = { ...line.answer, prompt, written: said };
        tell(by(line.answer.checkpoint, line.answer.note), anew);
        answer.replaceChildren(...shown(result, input));
        look(input);
        return;
      }
    }
    throw new Error(text("predict.cut"));
  }

  async function many({ input, signal, now }) {
    why.rest();
    let done = 0;
    const total = count(input.many.length);
    const stop = () => {
      asking.abort();
      tell(text("predict.batch.stopped", { done: count(done), total }), {
        offer: [text("predict.again"), predict],
      });
    };
    const progress = (so) => {
      done = so;
      const words = text("predict.batch.busy", { done: count(so), total });
      tell(words, { offer: [text("predict.stop"), stop] });
    };
    progress(0);
    const { checkpoint, failed } = await askAll({
      ...{ run: run.id, items: input.many, options: options(), signal, place: answer },
      shown: (so) => now() && progress(so),
    });
    if (!now()) return;
    if (!checkpoint) {
      answered = null;
      tell(text("predict.batch.unread"), { bad: true });
      return;
    }
    const note = failed ? text("predict.batch.failed", { count: count(failed) }) : "";
    const all = count(input.many.length - failed);
    tell(by(checkpoint, note, "predict.batch.done", { count: all }));
  }

  // --- the settings of a trial ---------------------------------------------------------------

  /** What was set, by run: `{ 14: { beam: 4 } }`. */
  const set = {};
  const tries = el("section", { class: "an-tries", "aria-label": text("predict.tries") });
  const again = debounce(() => predict(), SETTLED);

  const options = () => ({ ...set[run.id] });

  function layTries() {
    tries.hidden = !run.tries.length;
    const own = (set[run.id] ??= {});
    const fields = run.tries.map((field) => ({ ...field, value: own[field.key] ?? field.value }));
    const mark = () => {
      for (const [i, field] of fields.entries()) boxes[i].hidden = !matters(field, fields);
    };
    const boxes = fields.map((field) =>
      fieldOf(field, {
        id: `try-${field.key}`,
        changed: (value) => {
          field.value = value;
          own[field.key] = value;
          mark();
          if (given) again();
        },
      }),
    );
    mark();
    tries.replaceChildren(
      el("h3", {}, text("predict.tries")),
      el("div", { class: "an-fields" }, boxes),
    );
  }

  // --- ways to give something ----------------------------------------------------------------

  const place = el("div", { class: "an-way", role: "tabpanel" });
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

  const OFFER = ways({
    ...{ give, complain, stale, run: () => run },
    leaving: (act) => {
      leave = act;
    },
  });
  const texts = () => severalTexts({ give, complain });
  const files = (kind) => () => severalFiles(kind, { give, complain });
  const several = { text: texts, pair: texts };
  for (const kind of ["image", "audio", "sequence"]) several[kind] = files(kind);
  for (const [takes, batch] of Object.entries(several)) {
    const { own, ...others } = OFFER[takes];
    OFFER[takes] = { ...others, batch, own };
  }

  function offer() {
    const kinds = OFFER[run.takes];
    // Classes that were only named have no items.
    const names = Object.keys(kinds).filter((name) => name !== "own" || run.data);
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
      place.replaceChildren(...kinds[name](), problem);
      place.setAttribute("aria-label", text(`predict.${name}`));
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
    layTries();
    if (before?.takes !== run.takes) {
      asking?.abort();
      given = null;
      answered = null;
      offer();
      rest();
      return;
    }
    const otherData = before.data !== run.data && (way === "own" || !before.data || !run.data);
    const otherWords = String(before.gives) !== String(run.gives) && way === "type";
    if (otherData || otherWords) offer();
    if (given) predict();
    else if (answered) answer.classList.add("stale");
  }

  function about() {
    const step = run.step
      ? text("predict.checkpoint", { step: count(run.step) })
      : text("predict.at_once");
    line.replaceChildren(
      el("span", { class: "an-muted" }, [run.task, run.model, step].join(" · ")),
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
    settings = fresh.settings ?? {};
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
        tell(text("predict.newer"), { offer: [text("predict.again"), predict] });
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
          el(
            "section",
            { class: "an-card" },
            el("h2", {}, text("predict.input")),
            tabs,
            place,
            tries,
          ),
        ),
        el(
          "section",
          { class: "an-card an-result" },
          el("div", { class: "an-card-head" }, el("h2", {}, text("predict.result"))),
          says,
          answer,
          why.element,
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
