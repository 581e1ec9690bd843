// The Train page: draws the plan that /api/form makes, and sends back what a person sets.

import { ablate } from "./ablate.js";
import { fieldOf, isUsual, matters, shown, written } from "./fields.js";
import { finderOf } from "./finder.js";
import { count as grouped, loadPlotly, poll, segments, settling } from "./page.js";
import { previewOf } from "./preview.js";
import { ask, bytes, copy, duration, el, text } from "./shell.js";

/** Milliseconds between two looks at the queue. */
const QUEUE_PAUSE = 4000;
const WARM_AFTER = 1500;
/** Options that are shown all together, whether they fit or not. */
const FEW = 6;
/** The start that is a file: no run has this id. */
const PATH = "path";

/** Draws the page into its frame. */
export function mount(page) {
  const root = page.querySelector(".an-train");

  /** What the person has set (gui/form.py: Wanted), and the last plan made of it. */
  let wanted = {};
  let plan = null;

  // --- values --------------------------------------------------------------------------------

  const fields = () => plan.sections.flatMap((section) => section.fields);

  function touch(field, value) {
    field.value = value;
    const ofCard = { ...wanted.touched[field.card] };
    if (isUsual(field, value)) delete ofCard[field.key];
    else ofCard[field.key] = value;
    wanted.touched = { ...wanted.touched, [field.card]: ofCard };
  }

  // --- fields --------------------------------------------------------------------------------

  const idOf = (name) => `field-${name.replace(".", "-")}`;

  function boxOf(field) {
    const id = idOf(field.name);
    const reset = el(
      "button",
      { type: "button", class: "an-reset", "aria-describedby": `${id}-label`, hidden: true },
      "↺",
    );
    const box = fieldOf(field, { id, reset, changed: (value) => changed(field, value) });
    if (field.finder) box.append(finderOf(field, () => wanted, (value) => set(field, value)));
    reset.addEventListener("click", () => set(field, field.suggested));
    return box;
  }

  /** Gives a field another value than its control has. */
  function set(field, value) {
    touch(field, value);
    const id = idOf(field.name);
    root.querySelector(`[data-field="${CSS.escape(field.name)}"]`).replaceWith(boxOf(field));
    mark();
    root.querySelector(`#${id}`).focus();
    settle(false);
  }

  function changed(field, value) {
    touch(field, value);
    mark();
    settle(false);
  }

  /** Shows which fields matter now, which differ from the suggestion, and how many of them. */
  function mark() {
    const all = fields();
    for (const field of all) {
      const box = root.querySelector(`[data-field="${field.name}"]`);
      box.hidden = !matters(field, all);
      const reset = box.querySelector(".an-reset");
      reset.hidden = isUsual(field, field.value);
      const hint = text("train.reset", { value: shown(field, field.suggested) });
      reset.title = hint;
      reset.setAttribute("aria-label", hint);
    }
    for (const said of form.querySelectorAll("summary .an-count")) {
      const inside = [...said.closest("details").querySelectorAll("[data-field]")];
      const count = inside.filter((box) => {
        const field = all.find(({ name }) => name === box.dataset.field);
        return !isUsual(field, field.value);
      }).length;
      said.textContent = count ? ` · ${text("train.changed", { count })}` : "";
    }
  }

  // --- sections ------------------------------------------------------------------------------

  function optionOf(kind, option) {
    const id = `choice-${kind}-${option.key}`;
    const input = el("input", {
      type: "radio",
      id,
      "aria-labelledby": `${id}-label`,
      "aria-describedby": `${id}-help`,
      name: `choice-${kind}`,
      value: option.key,
      checked: option.chosen,
      disabled: !possible(option),
    });
    input.addEventListener("change", () => {
      // What needs another task comes first; the task and a model for it follow.
      const kept = option.switches ? { method: wanted.names.method } : wanted.names;
      wanted.names = { ...kept, [kind]: option.key };
      settle(true);
    });
    const follows = option.switches ? text("train.switches", { task: option.switches }) : null;
    const said = follows ? [option.help, follows].filter(Boolean).join(" ") : option.reason;
    return el(
      "label",
      { class: possible(option) ? "an-option" : "an-option disabled" },
      input,
      el("b", { id: `${id}-label` }, option.label),
      el("span", { class: "an-help", id: `${id}-help` }, said ?? option.help),
    );
  }

  const possible = (option) => option.reason === null || Boolean(option.switches);

  /** Kinds whose misfits are unfolded, or were when there last were any. */
  const unfolded = new Set();

  /** What can be chosen; what doesn't go with the choices above is folded where there is much. */
  function optionsOf({ kind, options }) {
    const grid = (some) =>
      el(
        "div",
        { class: "an-options" },
        some.map((option) => optionOf(kind, option)),
      );
    const fit = options.filter((option) => option.reason === null);
    const rest = options.filter((option) => option.reason !== null);
    if (!rest.length || options.length <= FEW) return grid(options);
    rest.sort((a, b) => possible(b) - possible(a));
    const key = rest.some(possible) ? "train.others.switch" : "train.others";
    const fold = el(
      "details",
      { class: "an-others", open: unfolded.has(kind) },
      el("summary", {}, text(key, { count: rest.length })),
      grid(rest),
    );
    return el("div", {}, grid(fit), fold);
  }

  /** Which of the two recipes the settings begin from; nothing where there is only one. */
  function recipeOf() {
    if (!plan.two_recipes) return null;
    const now = wanted.thorough ? "thorough" : "starter";
    const choose = segments(
      text("train.recipe"),
      ["starter", "thorough"].map((one) => [one, text(`train.recipe.${one}`)]),
      now,
      (value) => {
        wanted.thorough = value === "thorough";
        settle(true);
      },
    );
    for (const one of choose.children) one.id = `recipe-${one.dataset.value}`;
    return el(
      "section",
      { class: "an-card an-recipe", "data-section": "recipe" },
      el("h2", {}, text("train.recipe")),
      choose,
      el("p", { class: "an-help", role: "status" }, text(`train.recipe.${now}.help`)),
    );
  }

  function sectionOf(section, opened) {
    const plain = section.fields.filter((field) => !field.augments);
    const basic = plain.filter((field) => !field.advanced);
    const advanced = plain.filter((field) => field.advanced);
    const only = section.options.length === 1 ? section.options[0] : null;
    const chosen = section.options.find((option) => option.chosen);
    const box = el(
      "fieldset",
      {},
      el("legend", {}, section.title),
      only
        ? el("p", { class: "an-chosen" }, only.help ? `${only.label}: ${only.help}` : only.label)
        : optionsOf(section),
      chosen?.ill ? illnessOf(chosen) : null,
      basic.length ? el("div", { class: "an-fields" }, basic.map(boxOf)) : null,
    );
    if (advanced.length)
      box.append(foldOf("an-advanced", text("train.advanced"), advanced, opened("an-advanced")));
    const augmenting = section.fields.filter((field) => field.augments);
    if (augmenting.length) box.append(augmentationOf(augmenting, opened));
    return el("section", { class: "an-card", "data-section": section.kind }, box);
  }

  /** Fields that are folded, with how many of them are changed. */
  const foldOf = (kind, title, some, open) =>
    el(
      "details",
      { class: kind, open },
      el("summary", {}, title, el("span", { class: "an-count" })),
      el("div", { class: "an-fields" }, some.map(boxOf)),
    );

  const preview = previewOf(() => wanted);

  /** How training items are varied at random. */
  function augmentationOf(some, opened) {
    const rare = some.filter((field) => field.advanced);
    const box = el(
      "fieldset",
      { class: "an-augmentation" },
      el("legend", {}, text("train.augmentation")),
      el("p", { class: "an-help" }, text("train.augmentation.help")),
      el("div", { class: "an-fields" }, some.filter((field) => !field.advanced).map(boxOf)),
    );
    if (rare.length)
      box.append(foldOf("an-more", text("train.augmentation.more"), rare, opened("an-more")));
    const both = el(
      "button",
      { type: "button", class: "an-button", title: text("ablation.button.help") },
      text("ablation.button"),
    );
    both.addEventListener("click", () => ablate(() => ({ wanted })));
    box.append(preview.box, el("div", { class: "an-ablate" }, both));
    return box;
  }

  /** What the dataset's check-up found, in a line. */
  function illnessOf(option) {
    const href = `/datasets?data=${encodeURIComponent(option.key)}`;
    return el(
      "p",
      { class: "an-ill", role: "status" },
      `${option.ill} `,
      el("a", { href }, text("train.findings")),
    );
  }

  function startOf() {
    const select = el("select", {
      class: "an-input",
      id: "field-start",
      "aria-describedby": "field-start-help",
    });
    select.append(el("option", { value: "" }, text("train.scratch")));
    for (const run of plan.starts) select.append(el("option", { value: run.id }, run.label));
    select.append(el("option", { value: PATH }, text("train.path")));
    const path = el("input", {
      class: "an-input an-mono",
      id: "field-start-path",
      "aria-label": text("train.path.label"),
      placeholder: "/home/me/weights/model.safetensors",
      autocomplete: "off",
      spellcheck: "false",
    });
    const known = plan.starts.some(({ id }) => id === wanted.start);
    select.value = known ? wanted.start : wanted.start === null ? "" : PATH;
    path.hidden = select.value !== PATH;
    if (!path.hidden) path.value = wanted.start;
    select.addEventListener("change", () => {
      path.hidden = select.value !== PATH;
      if (!path.hidden) {
        path.focus();
        return;
      }
      const run = plan.starts.find(({ id }) => String(id) === select.value);
      wanted.start = run?.id ?? null;
      adopting = typeof wanted.start === "number" ? wanted.start : null;
      settle(true);
    });
    path.addEventListener("change", () => {
      wanted.start = path.value.trim() || null;
      settle(true);
    });
    return el(
      "section",
      { class: "an-card", "data-section": "start" },
      el(
        "div",
        { class: "an-field", "data-field": "start" },
        el("label", { for: "field-start", class: "an-start" }, text("train.start")),
        el(
          "p",
          { class: "an-help", id: "field-start-help" },
          text(plan.starts.length ? "train.start.help" : "train.scratch.only"),
        ),
        el("div", { class: "an-control" }, select, path),
        el("p", { class: "an-problem", hidden: true }),
      ),
    );
  }

  // --- the frame -----------------------------------------------------------------------------

  const form = el("form", { class: "an-form", novalidate: true });
  form.addEventListener("submit", (event) => event.preventDefault());
  const notices = el("div", { "aria-live": "polite" });
  // Disabled until there is a plan: a click before it would start what nobody has seen.
  const go = el(
    "button",
    {
      type: "button",
      class: "an-button primary large wide",
      id: "train",
      disabled: true,
      "aria-keyshortcuts": "Control+Enter",
    },
    text("train.go"),
  );
  const waiting = el("p", { class: "an-muted an-small", "aria-live": "polite" });
  const failure = el("p", { class: "an-problem", role: "alert", hidden: true });
  const nameInput = el("input", {
    class: "an-input",
    id: "field-name",
    autocomplete: "off",
    maxlength: 120,
  });
  const deviceInput = el("select", { class: "an-input", id: "field-device" });
  const labelsInput = el("input", {
    class: "an-input an-number",
    id: "field-labels",
    autocomplete: "off",
    placeholder: text("train.labels.all"),
    "aria-describedby": "field-labels-help",
  });
  const seedInput = el("input", {
    class: "an-input an-number",
    id: "field-seed",
    inputmode: "numeric",
    autocomplete: "off",
    "aria-describedby": "field-seed-help",
  });
  const line = el("pre", { tabindex: 0, "aria-label": text("train.command.line") });
  const json = el("pre", { tabindex: 0, "aria-label": text("train.command.recipe") });
  const numbers = el("dl", { class: "an-estimate" });
  const estimateNote = el("p", { class: "an-estimate-note", "aria-live": "polite" });

  const labelled = (name, input, help) =>
    el(
      "div",
      { class: "an-field", "data-field": name },
      el("label", { for: input.id }, text(`train.${name}`)),
      help ? el("p", { class: "an-help", id: `${input.id}-help` }, help) : null,
      el("div", { class: "an-control" }, input),
      el("p", { class: "an-problem", hidden: true }),
    );

  const copied = (title, from) => {
    const button = el("button", { type: "button", class: "an-button" }, text("train.copy"));
    button.setAttribute("aria-label", `${text("train.copy")}: ${title}`);
    button.addEventListener("click", () => copy(from.textContent, button));
    return el("h3", {}, title, button);
  };

  function frame() {
    root.replaceChildren(
      el(
        "header",
        { class: "an-head" },
        el("div", {}, el("h1", {}, text("train.title")), el("p", {}, text("train.lead"))),
      ),
      notices,
      el(
        "div",
        { class: "an-train-grid" },
        form,
        el(
          "aside",
          { class: "an-aside", "aria-label": text("train.run") },
          el(
            "section",
            { class: "an-card" },
            el("h2", {}, text("train.run")),
            labelled("name", nameInput),
            labelled("device", deviceInput),
            labelled("labels", labelsInput, text("train.labels.help")),
            labelled("seed", seedInput, text("train.seed.help")),
          ),
          el(
            "section",
            { class: "an-card", "aria-label": text("train.estimate") },
            el("h2", {}, text("train.estimate")),
            numbers,
            estimateNote,
            el("div", { class: "an-go" }, failure, go, waiting),
          ),
          el(
            "section",
            { class: "an-card" },
            el(
              "details",
              { class: "an-command" },
              el("summary", {}, text("train.command")),
              copied(text("train.command.line"), line),
              line,
              copied(text("train.command.recipe"), json),
              json,
            ),
          ),
        ),
      ),
    );
  }

  nameInput.addEventListener("input", () => {
    wanted.name = nameInput.value;
    keep();
  });
  deviceInput.addEventListener("change", () => {
    wanted.device = deviceInput.value;
    settle(false);
  });
  labelsInput.addEventListener("input", () => {
    wanted.labels = labelsInput.value;
    settle(false);
  });
  seedInput.addEventListener("input", () => {
    wanted.seed = seedInput.value;
    settle(false);
  });

  // --- drawing a plan ------------------------------------------------------------------------

  function draw() {
    const focused = document.activeElement;
    const where = root.contains(focused) ? focused : null;
    const open = [...form.querySelectorAll("details[open]")].map(
      (fold) => `${fold.closest("section").dataset.section} ${fold.className}`,
    );
    for (const fold of form.querySelectorAll(".an-others"))
      unfolded[fold.open ? "add" : "delete"](fold.closest("section").dataset.section);
    const scrolls = [...form.querySelectorAll(".an-options")].map((o) => o.scrollTop);
    const drawn = plan.sections.map((section) => sectionOf(section, (fold) => open.includes(`${section.kind} ${fold}`)));
    drawn.splice(-1, 0, recipeOf()); // the method's settings are what it changes most
    form.replaceChildren(...drawn.filter(Boolean), startOf());
    form.querySelectorAll(".an-options").forEach((o, i) => {
      o.scrollTop = scrolls[i] ?? 0;
    });
    if (where && !where.isConnected) {
      const again = where.id
        ? form.querySelector(`#${CSS.escape(where.id)}`)
        : form.querySelector(`input[name="${where.name}"]:checked`);
      again?.focus({ preventScroll: true });
    }
    deviceInput.replaceChildren(
      ...plan.devices.map((device) => el("option", { value: device.id }, device.label)),
    );
    deviceInput.value = wanted.device;
    if (nameInput.value !== wanted.name) nameInput.value = wanted.name;
    if (document.activeElement !== labelsInput) labelsInput.value = wanted.labels;
    if (document.activeElement !== seedInput) seedInput.value = written(wanted.seed);
    mark();
    outcome();
  }

  /** What a new plan says without new fields: the problem, the command, the queue. */
  function outcome() {
    nameInput.placeholder = plan.automatic_name;
    line.textContent = plan.command ?? plan.problem.text;
    json.textContent = plan.recipe ? JSON.stringify(JSON.parse(plan.recipe), null, 2) : "";
    problem(plan.problem);
    queue(plan.queue);
    go.disabled = Boolean(plan.readonly);
    if (plan.notices.length || plan.readonly) {
      const said = [plan.readonly, ...plan.notices].filter(Boolean);
      notices.replaceChildren(...said.map((words) => el("p", { class: "an-notice" }, words)));
    }
  }

  function problem(found, { show = false } = {}) {
    for (const said of root.querySelectorAll(".an-field .an-problem")) {
      said.hidden = true;
      said.textContent = "";
    }
    for (const bad of root.querySelectorAll("[aria-invalid]")) bad.removeAttribute("aria-invalid");
    failure.hidden = true;
    if (!found) return;
    const box = root.querySelector(`[data-field="${CSS.escape(found.field ?? "")}"]`);
    if (!box || box.hidden) {
      failure.textContent = found.text;
      failure.hidden = false;
      return;
    }
    const said = box.querySelector(".an-problem");
    said.textContent = found.text;
    said.hidden = false;
    const input = box.querySelector(".an-input, input");
    (box.querySelector(".an-input") ?? input).setAttribute("aria-invalid", "true");
    if (show) {
      failure.textContent = text("train.fix");
      failure.hidden = false;
      box.closest("details")?.setAttribute("open", "");
      (box.querySelector(".an-input") ?? input).focus();
    }
  }

  function queue(count) {
    const key = count === 0 ? "none" : count === 1 ? "one" : "many";
    waiting.textContent = plan.readonly ? "" : text(`train.queue.${key}`, { count });
  }

  let adopting = null;
  const asking = settling(fresh, arrived);

  /** Asks for the plan of what is set now; `redraw` also draws its fields anew. */
  function settle(redraw) {
    if (!plan) return; // what is typed before it comes is said when it is there
    numbers.classList.add("stale");
    keep();
    asking(redraw);
  }

  async function fresh() {
    const body = adopting === null ? wanted : { ...wanted, adopt: adopting };
    try {
      return await ask("/api/form", { body });
    } catch (trouble) {
      failure.textContent = trouble.message;
      failure.hidden = false;
      return null;
    }
  }

  function arrived(found, redraw) {
    if (redraw) {
      plan = found;
      wanted = { ...found.wanted, name: wanted.name };
      keep();
      adopting = null;
      draw();
    } else {
      plan = { ...found, sections: plan.sections };
      outcome();
    }
    estimate();
  }

  // --- the estimate --------------------------------------------------------------------------

  let estimating = null;
  let pausing = null;

  function estimate() {
    clearTimeout(pausing);
    estimating?.abort();
    numbers.classList.add("stale");
    if (plan.problem) {
      note("");
      return;
    }
    preview.renew(JSON.parse(plan.recipe));
    pausing = setTimeout(async () => {
      estimating = new AbortController();
      note(text("train.estimate.busy"));
      try {
        const found = await ask("/api/estimate", { body: wanted, signal: estimating.signal });
        if (found.problem) note(found.problem.text, true);
        else foretell(found);
      } catch (trouble) {
        if (trouble.name !== "AbortError") note(trouble.message, true);
      }
    }, 350);
  }

  function note(words, bad = false) {
    estimateNote.textContent = words;
    estimateNote.classList.toggle("bad", bad);
  }

  function foretell(found) {
    const row = (name, value, small) =>
      el(
        "div",
        {},
        el("dt", {}, text(`train.${name}`)),
        el("dd", {}, value, small ? el("small", {}, small) : null),
      );
    const partly = found.trainable < found.parameters;
    numbers.replaceChildren(
      row(
        "parameters",
        grouped(found.parameters),
        partly ? text("train.trainable", { count: grouped(found.trainable) }) : null,
      ),
      row("memory", bytes(found.memory)),
      row(
        "time",
        duration(found.seconds),
        text("train.epoch", { time: duration(found.seconds_per_epoch) }),
      ),
      row("device", found.device_name, found.precision),
    );
    numbers.classList.remove("stale");
    note("");
  }

  function blank() {
    const row = (name) => el("div", {}, el("dt", {}, text(`train.${name}`)), el("dd", {}, "–"));
    numbers.replaceChildren(...["parameters", "memory", "time", "device"].map(row));
  }

  // --- the click -----------------------------------------------------------------------------

  go.addEventListener("click", async () => {
    go.disabled = true;
    go.textContent = text("train.going");
    const ready = () => {
      go.disabled = Boolean(plan.readonly);
      go.textContent = text("train.go");
    };
    try {
      estimating?.abort();
      clearTimeout(pausing);
      const begun = await ask("/api/train", { body: wanted });
      if (begun.problem) {
        ready();
        problem(begun.problem, { show: true });
        return;
      }
      window.location.assign(`/run?id=${begun.run}`);
    } catch (trouble) {
      ready();
      failure.textContent = trouble.message;
      failure.hidden = false;
    }
  });
  // Coming back with the browser's button shows the page as it was left: let it be used again.
  window.addEventListener("pageshow", (event) => {
    if (event.persisted && plan) {
      go.disabled = Boolean(plan.readonly);
      go.textContent = text("train.go");
    }
  });

  /** The run's page draws with Plotly: compiled here while nobody waits, it is there at once. */
  function warm() {
    const load = () => loadPlotly().catch(() => {}); // the run's page says it, if it is needed
    if (window.requestIdleCallback) window.requestIdleCallback(load);
    else load();
  }

  /** Remembers what is set with the page's entry in the browser's history: Back brings it back. */
  function keep() {
    if (!plan) return;
    window.history.replaceState({ ...window.history.state, wanted }, "");
  }

  async function firstPlan() {
    const kept = window.history.state?.wanted;
    try {
      if (kept) return await ask("/api/form", { body: kept });
    } catch (trouble) {
      if (trouble.offline) throw trouble;
      // It was kept by another version of the page: begin as the address says.
    }
    try {
      return await ask(`/api/form${window.location.search}`);
    } catch (trouble) {
      if (trouble.offline || !window.location.search) throw trouble;
      return { ...(await ask("/api/form")), notices: [trouble.message] };
    }
  }

  async function open() {
    try {
      plan = await firstPlan();
    } catch (trouble) {
      notices.replaceChildren(el("p", { class: "an-notice bad" }, trouble.message));
      if (root.isConnected) setTimeout(open, QUEUE_PAUSE);
      return;
    }
    notices.replaceChildren();
    // Something may have been typed while the plan was on its way.
    const typed = wanted;
    wanted = { ...plan.wanted, ...typed };
    draw();
    if (Object.keys(typed).length) settle(false);
    else estimate();
    setTimeout(warm, WARM_AFTER);
    poll(root, async () => {
      const { queue: count } = await ask("/api/queue");
      queue(count);
      return QUEUE_PAUSE;
    });
  }

  blank();
  frame();
  open();
}
