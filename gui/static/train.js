// The Train page: draws the plan that /api/form makes, and sends back what a person sets.

import { count as grouped, loadPlotly, poll } from "./page.js";
import { ask, bytes, copy, duration, el, text } from "./shell.js";

/** Milliseconds between two looks at the queue. */
const QUEUE_PAUSE = 4000;
const WARM_AFTER = 1500;

/** Draws the page into its frame. */
export function mount(page) {
  const root = page.querySelector(".an-train");

  /** What the person has set (gui/form.py: Wanted), and the last plan made of it. */
  let wanted = {};
  let plan = null;

  // --- values --------------------------------------------------------------------------------

  const written = (value) => {
    if (Array.isArray(value)) return value.join(", ");
    if (value === null || value === undefined) return "";
    return String(value);
  };

  const shown = (field, value) => {
    if (field.type === "bool") return value ? "✓" : "✗";
    return written(value) || field.empty;
  };

  const fields = () => plan.sections.flatMap((section) => section.fields);
  const sameValue = (field, value) => written(value) === written(field.suggested);

  function touch(field, value) {
    field.value = value;
    const ofCard = { ...wanted.touched[field.card] };
    if (sameValue(field, value)) delete ofCard[field.key];
    else ofCard[field.key] = value;
    wanted.touched = { ...wanted.touched, [field.card]: ofCard };
  }

  // A logarithmic slider has 400 places; the value is rounded to what a person would write.
  const PLACES = 400;
  const place = (field, value) =>
    Math.round((PLACES * Math.log(value / field.low)) / Math.log(field.high / field.low));
  function valueAt(field, where) {
    const exact = field.low * (field.high / field.low) ** (where / PLACES);
    if (field.type === "int") {
      const power = 2 ** Math.round(Math.log2(exact));
      return Math.min(Math.max(power, field.low), field.high);
    }
    return Number(exact.toPrecision(1.5 > exact / 10 ** Math.floor(Math.log10(exact)) ? 2 : 1));
  }

  // --- fields --------------------------------------------------------------------------------

  const idOf = (name) => `field-${name.replace(".", "-")}`;

  function slider(field, input) {
    const step = field.step ?? (field.type === "int" ? 1 : (field.high - field.low) / 100);
    const range = el("input", {
      type: "range",
      "aria-label": field.label,
      tabindex: -1, // the number beside it is the one that the keyboard goes to
      min: field.log ? 0 : field.low,
      max: field.log ? PLACES : field.high,
      step: field.log ? 1 : step,
      value: field.log ? place(field, field.value) : field.value,
    });
    range.addEventListener("input", () => {
      const value = field.log ? valueAt(field, range.value) : Number(range.value);
      input.value = value;
      changed(field, value);
    });
    input.addEventListener("input", () => {
      const value = Number(input.value);
      if (input.value && value > 0) range.value = field.log ? place(field, value) : value;
      else if (input.value) range.value = value;
    });
    return el("div", { class: "an-slide" }, range, input);
  }

  function controlOf(field) {
    const id = idOf(field.name);
    const described = { id, "aria-describedby": `${id}-help ${id}-problem` };
    if (field.control === "switch") {
      const box = el("input", { type: "checkbox", ...described, checked: Boolean(field.value) });
      box.addEventListener("change", () => changed(field, box.checked));
      return box;
    }
    if (field.control === "choice") {
      const select = el("select", { class: "an-input", ...described });
      if (field.optional) select.append(el("option", { value: "" }, field.empty));
      for (const choice of field.choices) select.append(el("option", { value: choice }, choice));
      select.value = written(field.value);
      select.addEventListener("change", () => changed(field, select.value || null));
      return select;
    }
    const numeric = field.control !== "text";
    const input = el("input", {
      class: "an-input an-number",
      ...described,
      type: numeric ? "number" : "text",
      step: numeric ? (field.type === "int" ? 1 : "any") : null,
      min: numeric ? field.low : null,
      max: numeric ? field.high : null,
      placeholder: field.optional ? field.empty : null,
      autocomplete: "off",
      spellcheck: "false",
      value: written(field.value),
    });
    input.addEventListener("input", () => changed(field, typed(field, input)));
    return field.control === "slider" ? slider(field, input) : input;
  }

  function typed(field, input) {
    if (input.validity.badInput) return "?"; // half a number: the server says what it should be
    if (input.value.trim() === "") return null;
    return field.control === "text" ? input.value : Number(input.value);
  }

  function fieldOf(field) {
    const id = idOf(field.name);
    const label = el("label", { for: id, id: `${id}-label` }, field.label);
    const reset = el(
      "button",
      { type: "button", class: "an-reset", "aria-describedby": `${id}-label`, hidden: true },
      "↺",
    );
    const top = el("div", { class: "an-top" }, label, reset);
    if (field.unit) label.after(el("span", { class: "an-unit" }, field.unit));
    const control = controlOf(field);
    const box = el("div", { class: "an-field", "data-field": field.name }, top);
    if (field.control === "switch") {
      top.prepend(control);
      top.classList.add("an-switch");
    }
    box.append(el("p", { class: "an-help", id: `${id}-help` }, field.help));
    if (field.control !== "switch") box.append(el("div", { class: "an-control" }, control));
    box.append(el("p", { class: "an-problem", id: `${id}-problem`, hidden: true }));
    reset.addEventListener("click", () => {
      touch(field, field.suggested);
      box.replaceWith(fieldOf(field));
      mark();
      root.querySelector(`#${id}`).focus();
      settle(false);
    });
    return box;
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
      const by = field.only && all.find((other) => other.name === field.only.field);
      box.hidden = Boolean(by) && !field.only.values.includes(by.value);
      const reset = box.querySelector(".an-reset");
      reset.hidden = sameValue(field, field.value);
      const hint = text("train.reset", { value: shown(field, field.suggested) });
      reset.title = hint;
      reset.setAttribute("aria-label", hint);
    }
    for (const section of plan.sections) {
      const said = root.querySelector(`[data-section="${section.kind}"] .an-count`);
      const count = section.fields.filter(
        (field) => field.advanced && !sameValue(field, field.value),
      ).length;
      if (said) said.textContent = count ? ` · ${text("train.changed", { count })}` : "";
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
      disabled: option.reason !== null,
    });
    input.addEventListener("change", () => {
      wanted.names = { ...wanted.names, [kind]: option.key };
      settle(true);
    });
    return el(
      "label",
      { class: option.reason === null ? "an-option" : "an-option disabled" },
      input,
      el("b", { id: `${id}-label` }, option.label),
      el("span", { class: "an-help", id: `${id}-help` }, option.reason ?? option.help),
    );
  }

  function sectionOf(section, opened) {
    const basic = section.fields.filter((field) => !field.advanced);
    const advanced = section.fields.filter((field) => field.advanced);
    const only = section.options.length === 1 ? section.options[0] : null;
    const chosen = section.options.find((option) => option.chosen);
    const box = el(
      "fieldset",
      {},
      el("legend", {}, section.title),
      only
        ? el("p", { class: "an-chosen" }, only.help ? `${only.label}: ${only.help}` : only.label)
        : el(
            "div",
            { class: "an-options" },
            section.options.map((option) => optionOf(section.kind, option)),
          ),
      chosen?.ill ? illnessOf(chosen) : null,
      basic.length ? el("div", { class: "an-fields" }, basic.map(fieldOf)) : null,
    );
    if (advanced.length) {
      box.append(
        el(
          "details",
          { class: "an-advanced", open: opened },
          el("summary", {}, text("train.advanced"), el("span", { class: "an-count" })),
          el("div", { class: "an-fields" }, advanced.map(fieldOf)),
        ),
      );
    }
    return el("section", { class: "an-card", "data-section": section.kind }, box);
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
      disabled: !plan.starts.length,
    });
    select.append(el("option", { value: "" }, text("train.scratch")));
    for (const run of plan.starts) select.append(el("option", { value: run.id }, run.label));
    select.value = wanted.start ?? "";
    select.addEventListener("change", () => {
      wanted.start = select.value ? Number(select.value) : null;
      adopting = wanted.start;
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
        el("div", { class: "an-control" }, select),
        el("p", { class: "an-problem", hidden: true }),
      ),
    );
  }

  // --- the frame -----------------------------------------------------------------------------

  const form = el("form", { class: "an-form", novalidate: true });
  form.addEventListener("submit", (event) => event.preventDefault());
  const notices = el("div", { "aria-live": "polite" });
  const go = el(
    "button",
    { type: "button", class: "an-button primary large wide", id: "train" },
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
  seedInput.addEventListener("input", () => {
    wanted.seed = seedInput.value;
    settle(false);
  });

  // --- drawing a plan ------------------------------------------------------------------------

  function draw() {
    const focused = document.activeElement;
    const where = root.contains(focused) ? focused : null;
    const opened = new Set(
      [...form.querySelectorAll("details[open]")].map((d) => d.closest("section").dataset.section),
    );
    const scrolls = [...form.querySelectorAll(".an-options")].map((o) => o.scrollTop);
    form.replaceChildren(
      ...plan.sections.map((section) => sectionOf(section, opened.has(section.kind))),
      startOf(),
    );
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

  /** Asks for the plan of what is set now; `redraw` also draws its fields anew. */
  let pause = null;
  let asked = 0;
  let redrawNext = false;
  let adopting = null;
  function settle(redraw) {
    asked += 1;
    redrawNext ||= redraw;
    clearTimeout(pause);
    numbers.classList.add("stale");
    keep();
    pause = setTimeout(refresh, redraw ? 0 : 200);
  }

  async function refresh() {
    const mine = asked;
    const adopt = adopting;
    try {
      const fresh = await ask("/api/form", {
        body: adopt === null ? wanted : { ...wanted, adopt },
      });
      if (mine !== asked) return; // something was set since then: its answer is on the way
      if (redrawNext) {
        plan = fresh;
        wanted = { ...fresh.wanted, name: wanted.name };
        keep();
        redrawNext = false;
        adopting = null;
        draw();
      } else {
        plan = { ...fresh, sections: plan.sections };
        outcome();
      }
      estimate();
    } catch (trouble) {
      failure.textContent = trouble.message;
      failure.hidden = false;
    }
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
    wanted = plan.wanted;
    draw();
    estimate();
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
