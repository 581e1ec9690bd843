// Few examples: a model from the names of classes, or from a few examples of each, without training.

import { capture } from "./capture.js";
import { fieldOf, isUsual, matters } from "./fields.js";
import { attempt, button, poll, remember, segments, settling, unique } from "./page.js";
import { put } from "./sending.js";
import { ask, copy, el, text } from "./shell.js";

const WAYS = ["names", "examples"];
const ITEMS = { names: ["text", "image"], examples: ["image", "text", "audio"] };
/** How examples of each kind of item are given on the page. */
const GIVEN = {
  image: ["drawings", "camera", "pictures"],
  text: ["texts"],
  audio: ["sounds", "recordings"],
};
/** The kinds of datasets by their items. */
const KINDS = { images: "image", text: "text", sound: "audio" };
/** Rows for classes that an empty page begins with. */
const BEGIN = 3;
/** Milliseconds between two looks at what is being made. */
const LOOK = 300;
const QUEUE_PAUSE = 4000;
/** Items of a dataset that are taken as examples again. */
const MOST_AGAIN = 200;

/** Draws the page into its frame. */
export function mount(page) {
  const root = page.querySelector(".an-few");
  /** What the person has set (gui/few.py: Asked), and the last plan made of it. */
  let asked = {};
  let plan = null;
  /** Something was set before the first plan came. */
  let early = false;
  /** A plan is on its way for something else than the last one was for. */
  let awaited = false;
  /** The examples are given here, or picked from a dataset. */
  let given = true;
  /** The dataset that the examples here have become, while they are the same. */
  let kept = null;
  let busy = false;

  // --- the frame -----------------------------------------------------------------------------

  const notices = el("div", { "aria-live": "polite" });
  const tabs = el("div", {
    class: "an-tabs an-few-ways",
    role: "tablist",
    "aria-label": text("few.title"),
  });
  const form = el("form", { class: "an-form", novalidate: true, role: "tabpanel" });
  form.addEventListener("submit", (event) => event.preventDefault());
  const sight = el("select", {
    class: "an-input",
    id: "few-sees",
    "aria-describedby": "few-sees-help",
  });
  const sightLabel = el("label", { for: "few-sees" });
  const sightHelp = el("p", { class: "an-help", id: "few-sees-help", role: "status" });
  const nameInput = el("input", {
    class: "an-input",
    id: "few-name",
    autocomplete: "off",
    maxlength: 120,
  });
  const failure = el("p", { class: "an-problem", role: "alert", hidden: true });
  const go = el(
    "button",
    { type: "button", class: "an-button primary large wide", id: "few-make", disabled: true },
    text("few.go"),
  );
  const said = el("p", { class: "an-muted an-small", role: "status" });
  const line = el("pre", { tabindex: 0, "aria-label": text("train.command.line") });
  const copied = button(text("train.copy"), () => copy(line.textContent, copied), {
    name: `${text("train.copy")}: ${text("train.command.line")}`,
  });

  const field = (name, label, help, ...children) =>
    el(
      "div",
      { class: "an-field", "data-field": name },
      label,
      help,
      el("div", { class: "an-control" }, ...children),
      el("p", { class: "an-problem", hidden: true }),
    );
  const card = (title, ...children) =>
    el("section", { class: "an-card" }, el("h2", {}, title), ...children);

  function frame() {
    for (const way of WAYS) {
      const open = () => turnTo(way);
      tabs.append(
        el(
          "button",
          { type: "button", role: "tab", id: `few-way-${way}`, "data-way": way, onclick: open },
          text(`few.way.${way}`),
        ),
      );
    }
    tabs.addEventListener("keydown", (event) => {
      if (!plan || !["ArrowLeft", "ArrowRight"].includes(event.key)) return;
      const other = WAYS[1 - WAYS.indexOf(asked.way)];
      turnTo(other);
      tabs.querySelector(`[data-way="${other}"]`).focus();
    });
    root.replaceChildren(
      el(
        "header",
        { class: "an-head" },
        el("div", {}, el("h1", {}, text("few.title")), el("p", {}, text("few.lead"))),
      ),
      notices,
      tabs,
      el(
        "div",
        { class: "an-train-grid" },
        form,
        el(
          "aside",
          { class: "an-aside", "aria-label": text("few.model") },
          el(
            "section",
            { class: "an-card" },
            el("h2", {}, text("few.model")),
            field("sees", sightLabel, null, sight, sightHelp),
            field("name", el("label", { for: "few-name" }, text("train.name")), null, nameInput),
            el("div", { class: "an-go" }, failure, go, said),
          ),
          el(
            "section",
            { class: "an-card" },
            el(
              "details",
              { class: "an-command" },
              el("summary", {}, text("train.command")),
              el("h3", {}, text("train.command.line"), copied),
              line,
            ),
          ),
        ),
      ),
    );
  }

  sight.addEventListener("change", () => {
    asked.sees = sight.value;
    settle(true);
  });
  nameInput.addEventListener("input", () => {
    asked.name = nameInput.value;
    settle();
  });

  /** What was told apart in the other way, when it was left. */
  const left = {};
  function turnTo(way) {
    if (busy || way === asked.way) return;
    left[asked.way] = asked.item;
    asked.way = way;
    asked.item = left[way] ?? ITEMS[way][0];
    asked.data = asked.sees = "";
    remember({ clone: null, start: null });
    turn();
  }

  /** Shows where what is chosen now is given, at once, and the rest when the plan has come. */
  function turn() {
    settle(true);
    if (!plan) return;
    lay();
    sight.disabled = true;
    mark();
  }

  // --- what is told apart --------------------------------------------------------------------

  function whatOf() {
    const choices = ITEMS[asked.way].map((item) => [item, text(`few.item.${item}`)]);
    const choose = segments(text("few.what"), choices, asked.item, (item) => {
      if (item === asked.item) return;
      asked.item = item;
      asked.data = "";
      asked.sees = "";
      turn();
    });
    return card(
      text("few.what"),
      choose,
      el("p", { class: "an-help" }, text(`few.what.${asked.way}.${asked.item}`)),
    );
  }

  // --- names ---------------------------------------------------------------------------------

  /** Whether the names are those of a dataset. */
  let fixed = false;

  function classesOf() {
    const list = el("ol", { class: "an-few-classes" });
    const rows = () => [...list.children];
    const changed = () => {
      asked.classes = rows().map((row) => row.read());
      settle();
    };
    const add = (one = { name: "", said: "" }, before = null) => {
      const number = list.children.length;
      const name = el("input", {
        class: "an-input",
        value: one.name,
        autocomplete: "off",
        spellcheck: "false",
        readonly: fixed,
        placeholder: text(`few.class.hint.${number % BEGIN}.${asked.item}`),
        "aria-label": text("capture.class.name"),
      });
      const words = el("input", {
        class: "an-input",
        value: one.said,
        autocomplete: "off",
        placeholder: number ? "" : text(`few.said.hint.${asked.item}`),
        "aria-label": text("few.said"),
      });
      const gone = button("×", () => remove(row), {
        kind: "quiet",
        name: text("capture.class.remove"),
      });
      gone.hidden = fixed;
      const problem = el("p", { class: "an-problem", hidden: true });
      const row = el("li", { class: "an-field" }, name, words, gone, problem);
      row.read = () => ({ name: name.value, said: words.value });
      for (const input of [name, words]) {
        input.addEventListener("input", changed);
        input.addEventListener("keydown", (event) => {
          if (event.key !== "Enter") return;
          event.preventDefault();
          if (!row.nextElementSibling && !fixed) add();
          row.nextElementSibling?.querySelector("input").focus();
          changed();
        });
      }
      name.addEventListener("paste", (event) => {
        const pasted = linesOf(event.clipboardData.getData("text"));
        if (pasted.length < 2 || fixed) return;
        event.preventDefault();
        const [first, ...others] = pasted;
        name.value = first.name;
        words.value = first.said;
        for (const other of others.toReversed()) add(other, row.nextElementSibling);
        changed();
      });
      list.insertBefore(row, before);
      number_();
      return row;
    };
    const number_ = () => {
      for (const [index, row] of rows().entries()) row.dataset.field = `classes.${index}`;
    };
    const remove = (row) => {
      const next = row.nextElementSibling ?? row.previousElementSibling;
      row.remove();
      if (!list.children.length) add();
      number_();
      (next ?? list.firstElementChild).querySelector("input").focus();
      changed();
    };
    const begin = asked.classes.length ? asked.classes : Array.from({ length: BEGIN });
    for (const one of begin) add(one ?? undefined);
    const more = button(text("capture.add"), () => {
      add().querySelector("input").focus();
      changed();
    });
    const example = button(
      text("few.example"),
      () => {
        list.replaceChildren();
        for (const one of linesOf(text(`few.example.${asked.item}`))) add(one);
        changed();
      },
      { kind: "quiet" },
    );
    return el(
      "section",
      { class: "an-card an-field", "data-field": "classes" },
      el("h2", {}, text("few.classes")),
      el("p", { class: "an-help" }, text(fixed ? "few.classes.fixed" : "few.classes.help")),
      list,
      fixed ? null : el("div", { class: "an-few-actions" }, more, example),
      el("p", { class: "an-problem an-own", hidden: true }),
    );
  }

  /** “name: what it is”, line by line. */
  function linesOf(words) {
    return words
      .split(/\r?\n/)
      .map((one) => one.trim())
      .filter(Boolean)
      .map((one) => {
        const [name, ...rest] = one.split(":");
        return { name: name.trim(), said: rest.join(":").trim() };
      });
  }

  function measureOf() {
    const select = datasetOf("few.measure.none", async (key) => {
      asked.data = key;
      await namesOf(key);
      settle(true);
    });
    return card(
      text("few.measure"),
      field("data", null, el("p", { class: "an-help", id: "few-data-help" }, text("few.measure.help")), select),
    );
  }

  /** The classes of a dataset in the rows; those typed before come back without one. */
  let typed = [];
  async function namesOf(key) {
    if (!fixed) typed = asked.classes;
    fixed = Boolean(key);
    if (!key) {
      asked.classes = typed;
      return;
    }
    const found = await attempt(() => ask("/api/datasets/details", { body: { key } }));
    if (!found || asked.data !== key) return;
    const known = new Map(asked.classes.map(({ name, said: words }) => [name, words]));
    asked.classes = found.classes.map((name) => ({ name, said: known.get(name) ?? "" }));
  }

  function datasetOf(none, act) {
    const select = el("select", {
      class: "an-input",
      id: "few-data",
      "aria-label": text("form.data"),
      "aria-describedby": "few-data-help",
    });
    select.append(el("option", { value: "" }, text(none)));
    const choices = awaited ? [] : plan.datasets; // the last plan's may be of another kind
    select.append(...choices.map(({ key, label }) => el("option", { value: key }, label)));
    select.value = asked.data;
    select.addEventListener("change", () => act(select.value));
    return select;
  }

  // --- examples ------------------------------------------------------------------------------

  /** One recorder for each kind of item: what was given stays while another is looked at. */
  const recorders = {};
  function recorder() {
    recorders[asked.item] ??= capture({
      ways: GIVEN[asked.item],
      fewest: 1,
      changed: () => {
        kept = null;
        if (!plan) return;
        mark();
        settle();
      },
    });
    return recorders[asked.item];
  }

  function examplesOf() {
    const choices = [
      ["here", text("few.given.here")],
      ["data", text("few.given.data")],
    ];
    const choose = segments(text("few.examples"), choices, given ? "here" : "data", (value) => {
      given = value === "here";
      if (given) asked.data = "";
      turn();
    });
    const inside = given ? [recorder().element] : pickOf();
    return el(
      "section",
      { class: "an-card" },
      el("div", { class: "an-card-head" }, el("h2", {}, text("few.examples")), choose),
      ...inside,
    );
  }

  function pickOf() {
    const each = el("input", {
      class: "an-input an-number",
      id: "few-each",
      inputmode: "numeric",
      autocomplete: "off",
      placeholder: text("train.labels.all"),
      value: asked.each ?? "",
      "aria-describedby": "few-each-help",
    });
    each.addEventListener("input", () => {
      asked.each = each.value.trim() || null;
      settle();
    });
    const pick = datasetOf("few.pick.none", (key) => {
      asked.data = key;
      settle();
    });
    const help = (name) => el("p", { class: "an-help", id: `few-${name}-help` }, text(`few.${name}.help`));
    return [
      el(
        "div",
        { class: "an-fields" },
        field("data", el("label", { for: "few-data" }, text("form.data")), help("data"), pick),
        field("labels", el("label", { for: "few-each" }, text("few.each")), help("each"), each),
      ),
    ];
  }

  // --- settings ------------------------------------------------------------------------------

  function settingsOf() {
    // Weights that are fetched are told apart by a setting: which of them.
    const { which } = plan.sights.find(({ key }) => key === asked.sees) ?? {};
    const opened = which || (form.querySelector(".an-advanced")?.open ?? false);
    const mark_ = () => {
      for (const [i, one] of plan.fields.entries()) boxes[i].hidden = !matters(one, plan.fields);
    };
    const boxes = plan.fields.map((one) =>
      fieldOf(one, {
        id: `few-${one.name.replace(".", "-")}`,
        changed: (value) => {
          one.value = value;
          const own = { ...asked.touched[one.card] };
          if (isUsual(one, value)) delete own[one.key];
          else own[one.key] = value;
          asked.touched = { ...asked.touched, [one.card]: own };
          mark_();
          settle();
        },
      }),
    );
    mark_();
    if (!boxes.length) return null;
    return el(
      "section",
      { class: "an-card" },
      el(
        "details",
        { class: "an-advanced", open: opened },
        el("summary", {}, text("train.advanced")),
        el("div", { class: "an-fields" }, boxes),
      ),
    );
  }

  // --- drawing a plan ------------------------------------------------------------------------

  /** Where names or examples are given, and what it is for: while that stays the same it stays
   *  where it is, so that what is being typed, drawn or recorded there goes on. */
  let giving = { of: null, place: null };

  /** The form for what is chosen; what only a plan can say is left out while one is awaited. */
  function lay() {
    const focused = document.activeElement;
    const group = focused?.closest(".an-segments")?.ariaLabel;
    fixed = asked.way === "names" && Boolean(asked.data);
    for (const tab of tabs.children) {
      const yes = tab.dataset.way === asked.way;
      tab.setAttribute("aria-selected", String(yes));
      tab.tabIndex = yes ? 0 : -1;
    }
    form.setAttribute("aria-labelledby", `few-way-${asked.way}`);
    const names = asked.way === "names";
    const recording = !names && given;
    // A dataset is picked from those that the plan has.
    const of = names || recording ? `${asked.way} ${asked.item} ${names && asked.data}` : null;
    const rest_ = awaited ? [] : [names ? measureOf() : null, settingsOf()].filter(Boolean);
    const what = whatOf();
    if (of && of === giving.of) {
      for (const one of [...form.children]) if (one !== giving.place) one.remove();
      form.prepend(what);
      form.append(...rest_);
    } else {
      for (const one of Object.values(recorders)) one.leave();
      giving = { of, place: names ? classesOf() : examplesOf() };
      form.replaceChildren(what, giving.place, ...rest_);
      if (recording) recorder().enter();
    }
    const again_ = focused?.id
      ? form.querySelector(`#${CSS.escape(focused.id)}`)
      : [...form.querySelectorAll(".an-segments button")].find(
          (one) =>
            one.dataset.value === focused?.dataset.value &&
            one.parentElement.ariaLabel === group,
        );
    again_?.focus({ preventScroll: true });
  }

  /** What was said of the beginning is over when something else is told apart. */
  let redrawn = false;
  function draw() {
    lay();
    sightLabel.textContent = text(`few.sees.${asked.item}`);
    sight.replaceChildren(
      ...plan.sights.map(({ key, label }) => el("option", { value: key }, label)),
    );
    sight.value = asked.sees;
    sight.disabled = !plan.sights.length;
    if (nameInput.value !== asked.name) nameInput.value = asked.name;
    outcome();
  }

  function outcome() {
    const chosen = plan.sights.find(({ key }) => key === asked.sees);
    sightHelp.textContent =
      chosen?.help ?? text(`few.none.${asked.way}.${asked.item}`);
    nameInput.placeholder = plan.automatic_name;
    line.textContent = plan.command ?? plan.problem?.text ?? "";
    if (plan.readonly || plan.notices.length || redrawn) {
      const words = [plan.readonly, ...plan.notices].filter(Boolean);
      notices.replaceChildren(...words.map((one) => el("p", { class: "an-notice" }, one)));
    }
    if (!busy) complain(tolerated(plan.problem));
    mark();
  }

  /** Before anything is typed nothing is wrong yet. */
  const tolerated = (problem) => {
    const begun = asked.classes.filter(({ name }) => name.trim()).length > 1;
    const early = { classes: !begun, data: true, sees: !plan.sights.length };
    return early[problem?.field] ? null : problem;
  };

  /** What is missing until it can be made, beside the button. */
  function mark() {
    if (busy || !plan) return;
    const lack = asked.way === "examples" && given ? recorder().lacking() : null;
    go.disabled = Boolean(plan.readonly) || lack !== null || !plan.sights.length || awaited;
    const key = plan.queue === 0 ? "none" : plan.queue === 1 ? "one" : "many";
    say(lack ?? (plan.readonly ? "" : text(`train.queue.${key}`, { count: plan.queue })));
  }

  function say(words, link = null) {
    said.replaceChildren(words, ...(link ? [" ", link] : []));
  }

  function complain(found, { show = false } = {}) {
    for (const one of root.querySelectorAll(".an-field .an-problem")) {
      one.hidden = true;
      one.textContent = "";
    }
    for (const bad of root.querySelectorAll("[aria-invalid]")) bad.removeAttribute("aria-invalid");
    failure.hidden = true;
    if (!found) return;
    const box = root.querySelector(`[data-field="${CSS.escape(found.field ?? "")}"]`);
    const place = box?.querySelector(":scope > .an-problem");
    if (!place || box.hidden) {
      failure.textContent = found.text;
      failure.hidden = false;
      return;
    }
    place.textContent = found.text;
    place.hidden = false;
    const input = box.querySelector(".an-input");
    input?.setAttribute("aria-invalid", "true");
    if (!show) return;
    failure.textContent = text("train.fix");
    failure.hidden = false;
    box.closest("details")?.setAttribute("open", "");
    input?.focus();
  }

  const asking = settling(fresh, arrived);

  /** Asks for the plan of what is set now; `redraw` also draws it anew. */
  function settle(redraw = false) {
    if (!plan) {
      early = true;
      return;
    }
    keep();
    awaited ||= redraw;
    asking(redraw);
  }

  /** What is asked; of examples that are given here, the classes are theirs. */
  const whole = () =>
    asked.way === "examples"
      ? { ...asked, classes: given ? recorder().names().map((name) => ({ name })) : [] }
      : asked;

  async function fresh() {
    try {
      return await ask("/api/few", { body: whole() });
    } catch (trouble) {
      failure.textContent = trouble.message;
      failure.hidden = false;
      // Without a plan nothing can be made: it is asked for until it comes.
      if (awaited && root.isConnected) asking(false, QUEUE_PAUSE);
      return null;
    }
  }

  function arrived(found, redraw) {
    plan = redraw ? found : { ...found, fields: plan.fields };
    if (!redraw) {
      outcome();
      return;
    }
    asked = { ...found.asked, classes: asked.classes, name: asked.name };
    awaited = false;
    keep();
    redrawn = true;
    draw();
  }

  /** Remembers what is set with the page's entry in the browser's history: Back brings it back. */
  function keep() {
    const state = { ...window.history.state, few: { asked, given } };
    window.history.replaceState(state, "");
  }

  // --- the click -----------------------------------------------------------------------------

  go.addEventListener("click", async () => {
    busy = true;
    go.disabled = true;
    complain(null);
    try {
      const own = asked.way === "examples" && given;
      const data = own ? (kept ??= await brought()) : asked.data;
      say(text("train.going"));
      // Examples that were given here are all used.
      const body = own ? { ...whole(), data, each: null } : whole();
      const begun = await ask("/api/few/make", { body });
      if (begun.problem) {
        rest();
        complain(begun.problem, { show: true });
        return;
      }
      await finished(begun.run);
    } catch (trouble) {
      rest();
      failure.textContent = trouble.message;
      failure.hidden = false;
    }
  });

  function rest() {
    busy = false;
    mark();
  }

  /** Sends what was given here and has it imported; the key of the dataset that it becomes. */
  async function brought() {
    const { file, name, kind, options } = recorder().packed();
    say(text("few.sending"));
    const token = await put(file, null, () => {}).answer;
    const called = asked.name.trim() || `${name}: ${recorder().names().join(", ")}`.slice(0, 120);
    const body = { token, name: called, kind, options: { ...plan.import, ...options } };
    const { dataset } = await ask("/api/datasets", { body });
    for (;;) {
      const { datasets } = await ask("/api/datasets");
      const now = datasets.find((one) => one.id === dataset);
      if (!now) throw new Error(text("datasets.gone"));
      if (now.state === "failed") throw new Error(now.reason);
      if (now.state === "ready") return now.key;
      say(now.text || text("datasets.starting"));
      await wait(LOOK);
    }
  }

  /** Waits until the run is over: then it can be tried. */
  async function finished(run) {
    const link = el("a", { href: `/run?id=${run}` }, text("predict.open"));
    for (;;) {
      if (!root.isConnected) return;
      const { run: now } = await ask(`/api/runs/${run}`);
      if (now.state === "finished") {
        window.location.assign(`/predict?run=${run}`);
        return;
      }
      if (["failed", "interrupted", "stopped", "paused"].includes(now.state)) {
        rest();
        say("", link);
        failure.textContent = now.reason || text(`state.${now.state}`);
        failure.hidden = false;
        return;
      }
      const ahead = now.state === "queued" && now.ahead;
      say(ahead ? text(ahead === 1 ? "run.second" : "run.ahead", { count: ahead }) : text("few.making"), link);
      await wait(LOOK);
    }
  }

  const wait = (ms) =>
    new Promise((resolve) => {
      setTimeout(resolve, ms);
    });

  // Coming back with the browser's button shows the page as it was left: let it be used again.
  window.addEventListener("pageshow", (event) => {
    if (event.persisted && plan) rest();
  });

  // --- the beginning -------------------------------------------------------------------------

  async function firstPlan() {
    const before = window.history.state?.few;
    try {
      if (before) {
        ({ given } = before);
        return await ask("/api/few", { body: before.asked });
      }
    } catch (trouble) {
      if (trouble.offline) throw trouble;
      // It was kept by another version of the page: begin as the address says.
    }
    try {
      return await ask(`/api/few${window.location.search}`);
    } catch (trouble) {
      if (trouble.offline || !window.location.search) throw trouble;
      return { ...(await ask("/api/few")), notices: [trouble.message] };
    }
  }

  /** The examples of an earlier time, to be joined by others. */
  async function again(key) {
    const found = await attempt(() => ask("/api/datasets/details", { body: { key } }));
    const way = found && { images: "pictures", text: "texts", sound: "recordings" }[found.kind];
    if (!way || found.items > MOST_AGAIN || KINDS[found.kind] !== asked.item) return false;
    const classes = [];
    for (const [label, name] of found.classes.entries()) {
      const page_ = { key, label, offset: 0, count: MOST_AGAIN };
      const { items } = await ask("/api/datasets/items", { body: page_ });
      const whole = items.map(({ row }) => ask("/api/datasets/given", { body: { key, row } }));
      classes.push({ name, items: await Promise.all(whole) });
    }
    if (KINDS[found.kind] !== asked.item) return false; // something else was chosen meanwhile
    given = true;
    asked.data = "";
    await recorder().fill(classes, way);
    kept = key;
    return true;
  }

  async function open() {
    let first;
    try {
      first = await firstPlan();
    } catch (trouble) {
      notices.replaceChildren(el("p", { class: "an-notice bad" }, trouble.message));
      if (root.isConnected) setTimeout(open, QUEUE_PAUSE);
      return;
    }
    notices.replaceChildren();
    asked = { ...first.asked, ...asked };
    if (asked.way === "examples" && asked.data) {
      given = false;
      if (asked.each === null) await attempt(() => again(asked.data));
    }
    if (asked.way === "names" && asked.data) await namesOf(asked.data);
    plan = first;
    draw();
    if (early) settle(true);
    poll(root, async () => {
      const { queue } = await ask("/api/queue");
      plan.queue = queue;
      mark();
      return QUEUE_PAUSE;
    });
  }

  frame();
  open();
}
