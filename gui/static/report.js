// What stands beside a run's curves: its measures, its settings, its notices and its log.

import {
  ask,
  button,
  copy,
  dated,
  el,
  isActive,
  linkTo,
  measured,
  metricLabel,
  moment,
  number,
  onChange,
  poll,
  say,
  show,
  spoken,
  steady,
  text,
  unique,
} from "./page.js";
import { metricOf, splitOf } from "./curves.js";
import { Confusion, isConfusion } from "./samples.js";

/** Metrics that say something about others. */
const ABOUT_MEASURES = ["headline", "larger_is_better"];
/** Characters of a name in a table; what is longer is a sentence. */
const LONGEST_NAME = 24;

// --- measures -------------------------------------------------------------------------------

export class Results {
  /** `open(true, said)` shows the items of a cell of the confusion matrix; `said` may be null. */
  constructor(open = null) {
    this.open = open;
    const head = unique("results");
    this.body = el("div", {});
    this.element = el(
      "section",
      { class: "an-card run-results", "aria-labelledby": head },
      el("div", { class: "an-card-head" }, el("h2", { id: head }, text("run.results"))),
      this.body,
    );
    this.wide = el("div", { class: "run-stack" });
    this.draw = onChange((metrics) => this.lay(metrics));
  }

  update(run) {
    const over = !isActive(run.state) && run.state !== "queued";
    this.draw({ metrics: run.metrics, over, opens: run.judges === "classes" });
  }

  lay({ metrics, over, opens }) {
    const flat = Object.entries(metrics).filter(
      ([name, value]) =>
        !ABOUT_MEASURES.includes(name) && (typeof value === "number" || typeof value === "string"),
    );
    if (!flat.length) {
      const words = text(over ? "run.results.none" : "run.results.soon");
      this.body.replaceChildren(el("p", { class: "an-muted run-quiet" }, words));
      this.wide.replaceChildren();
      return;
    }
    const plain = flat.filter(([name]) => !name.includes("/"));
    // A run on names of classes alone has nothing to be measured on.
    const scores = flat.filter(([name]) => name.includes("/"));
    this.body.replaceChildren(
      ...(scores.length ? [this.scores(scores, metrics.baselines ?? {})] : []),
      ...signaturesOf(metrics.signatures),
      el(
        "dl",
        { class: "run-rows" },
        ...plain.map(([name, value]) =>
          el(
            "div",
            {},
            el("dt", {}, metricLabel(name)),
            el("dd", { class: "an-number" }, measured(name, value)),
          ),
        ),
      ),
    );
    this.wide.replaceChildren(...this.tables(metrics, opens ? this.open : null));
  }

  /** Rows: the run on each split, then what is reached without it. Columns: measures. */
  scores(flat, baselines) {
    const rows = new Map();
    for (const [name, value] of flat) {
      const split = splitOf(name);
      if (!rows.has(split)) rows.set(split, {});
      rows.get(split)[metricOf(name)] = value;
    }
    const order = ["test", "validation", "train"];
    const splits = [...rows.keys()].toSorted((a, b) => order.indexOf(a) - order.indexOf(b));
    const columns = [...new Set([...rows.values()].flatMap(Object.keys))];
    columns.sort((a, b) => (a === "loss") - (b === "loss"));
    const line = (label, values, look) =>
      el(
        "tr",
        { class: look },
        el("th", { scope: "row" }, label),
        ...columns.map((metric) =>
          el(
            "td",
            { class: "an-number" },
            metric in values ? measured(metric, values[metric]) : "–",
          ),
        ),
      );
    const others = Object.entries(baselines).map(([label, values]) =>
      line(metricLabel(label), values, "baseline"),
    );
    return el(
      "div",
      { class: "run-scroll" },
      el(
        "table",
        { class: "run-scores" },
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            el("td", {}),
            ...columns.map((metric) => el("th", { scope: "col" }, metricLabel(metric))),
          ),
        ),
        el(
          "tbody",
          {},
          ...splits.map((split, index) =>
            line(metricLabel(split), rows.get(split), index ? "" : "first"),
          ),
        ),
        others.length
          ? el(
              "tbody",
              {},
              el(
                "tr",
                { class: "run-divider" },
                el("th", { colspan: columns.length + 1, scope: "rowgroup" }, text("run.baselines")),
              ),
              ...others,
            )
          : null,
      ),
    );
  }

  tables(metrics, open) {
    const cards = [];
    for (const [name, value] of Object.entries(metrics)) {
      if (name === "baselines") continue;
      const body = tableOf(value, open);
      if (!body) continue;
      const head = unique("table");
      const title = el(
        "h2",
        { id: head },
        metricLabel(name),
        el("span", {}, ` ${text("run.on_test")}`),
      );
      cards.push(
        el(
          "section",
          { class: "an-card", "aria-labelledby": head },
          el("div", { class: "an-card-head" }, title),
          body,
        ),
      );
    }
    return cards;
  }
}

/** How a library computed a measure, so that the figure can be put beside those of papers. */
function signaturesOf(signatures) {
  const alike = Map.groupBy(Object.entries(signatures ?? {}), ([, signature]) => signature);
  return [...alike].map(([signature, entries]) => {
    const metrics = entries.map(([metric]) => metricLabel(metric)).join(", ");
    const name = text("run.signature", { metric: metrics });
    const one = button(text("train.copy"), () => copy(signature, one), {
      kind: "quiet",
      name: `${text("train.copy")}: ${name}`,
    });
    return el(
      "p",
      { class: "run-signature an-small" },
      el("span", { class: "an-muted" }, name),
      el("code", { class: "an-mono" }, signature),
      one,
    );
  });
}

/** A list of rows, or a confusion matrix, as an element; null for anything else. */
function tableOf(value, open = null) {
  if (isConfusion(value)) {
    const place = el("div", { class: "sample-confusion" });
    new Confusion(place, open).draw(value);
    return place;
  }
  if (!Array.isArray(value) || !value.length || typeof value[0] !== "object") return null;
  const names = Object.keys(value[0]);
  const looks = Object.fromEntries(names.map((name) => [name, lookOf(value, name)]));
  const cell = (row, name, index) => {
    const said = String(row[name] ?? "");
    if (index === 0 && looks[name] !== "words")
      return el("th", { scope: "row", dir: "auto" }, nameOf(row, name));
    return looks[name]
      ? el("td", { class: looks[name], dir: "auto" }, said)
      : el("td", { class: "an-number" }, shareCell(row[name]));
  };
  // A class leads to its items.
  const nameOf = (row, name) =>
    open && name === "class" && row.items
      ? button(row.class, () => open(row.class, null), { kind: "quiet" })
      : String(row[name]);
  return el(
    "div",
    { class: "run-scroll run-tall", tabindex: 0 },
    el(
      "table",
      { class: "run-table" },
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          ...names.map((name) => el("th", { scope: "col", class: looks[name] }, metricLabel(name))),
        ),
      ),
      el(
        "tbody",
        {},
        ...value.map((row) =>
          el("tr", {}, ...names.map((name, index) => cell(row, name, index))),
        ),
      ),
    ),
  );
}

/** “words” for a column of sentences, “said” for one of names; null for numbers, “NaN” among them. */
function lookOf(rows, name) {
  const said = rows.map((row) => row[name]).filter((one) => typeof one === "string");
  if (said.some((one) => one.length > LONGEST_NAME)) return "words";
  return said.length && !rows.some((row) => typeof row[name] === "number") ? "said" : null;
}

function shareCell(value) {
  return typeof value === "number" && !Number.isInteger(value) ? steady(value) : number(value);
}

// --- settings ------------------------------------------------------------------------------------

export class Recipe {
  constructor() {
    const head = unique("settings");
    this.only = el("input", {
      type: "checkbox",
      onchange: () => this.element.classList.toggle("only-changed", this.only.checked),
    });
    this.body = el("div", {});
    this.element = el(
      "section",
      { class: "an-card run-recipe", "aria-labelledby": head },
      el(
        "div",
        { class: "an-card-head" },
        el("h2", { id: head }, text("run.settings")),
        el("label", { class: "an-small an-muted" }, this.only, ` ${text("run.only_changed")}`),
      ),
      this.body,
    );
    this.draw = onChange((recipe) => this.lay(recipe));
  }

  update({ recipe, run }) {
    this.draw({ recipe, parent: run.parent, source: run.metrics.start?.source ?? null });
  }

  lay({ recipe, parent, source }) {
    this.body.replaceChildren(...recipe.map((group) => this.group(group, parent, source)));
    const none = !recipe.some((group) => group.rows.some((row) => row.changed));
    this.body.append(
      el("p", { class: "an-muted run-none", "data-none": none }, none ? text("run.unchanged") : ""),
    );
  }

  group({ kind, label, rows }, parent, source) {
    const any = rows.some((row) => row.changed);
    const list = el("dl", { class: "run-rows" }, ...rows.map((row) => this.row(row)));
    if (kind === "run") {
      const from = parent
        ? linkTo(parent)
        : (source ?? text("run.scratch"));
      list.prepend(
        el(
          "div",
          { class: parent || source ? "changed" : "" },
          el("dt", {}, text("train.start")),
          el("dd", {}, from),
        ),
      );
    }
    return el(
      "div",
      { class: `run-group${any || (kind === "run" && parent) ? " has-changed" : ""}` },
      el(
        "h3",
        {},
        el("span", {}, text(kind === "run" ? "nav.run" : `form.${kind}`)),
        label ? ` ${label}` : "",
      ),
      list,
    );
  }

  row({ label, value, unit, empty, help, changed, default: usual }) {
    const words = `${spoken(value, empty)}${unit && value !== null ? ` ${unit}` : ""}`;
    const title =
      changed && usual !== undefined ? text("run.default", { value: spoken(usual, empty) }) : null;
    return el(
      "div",
      { class: changed ? "changed" : "", title: help || null },
      el("dt", {}, label),
      el(
        "dd",
        { title },
        words,
        changed ? el("span", { class: "an-visually-hidden" }, title ? ` (${title})` : "") : null,
      ),
    );
  }
}

// --- notices and log -----------------------------------------------------------------------------

export class Notices {
  constructor() {
    const head = unique("notices");
    this.list = el("ol", { class: "run-notices", "aria-live": "polite" });
    this.none = el("p", { class: "an-muted run-quiet" }, text("run.no_notices"));
    this.element = el(
      "section",
      { class: "an-card", "aria-labelledby": head },
      el("div", { class: "an-card-head" }, el("h2", { id: head }, text("run.notices"))),
      this.none,
      this.list,
    );
  }

  update(notices) {
    show(this.none, !notices.length);
    for (const notice of notices.slice(this.list.children.length)) {
      this.list.append(
        el(
          "li",
          { "data-level": notice.level },
          el("span", {}, notice.text),
          el("time", { class: "an-muted", title: moment(notice.time) }, clock(notice.time)),
        ),
      );
    }
  }
}

const clock = dated({ hour: "2-digit", minute: "2-digit", second: "2-digit" });

export class Log {
  constructor(id) {
    this.id = id;
    this.active = false;
    this.text = el(
      "pre",
      { class: "run-log an-mono", tabindex: 0, "aria-label": text("run.log.end") },
      "",
    );
    this.element = el(
      "details",
      { class: "an-card run-log-card", ontoggle: () => this.open() },
      el("summary", {}, el("h2", {}, text("run.log"))),
      this.text,
    );
  }

  open() {
    if (!this.element.open || this.polled) return;
    this.polled = poll(this.element, () => this.look());
  }

  async look() {
    if (!this.element.open) return 1000;
    const { text: written, cut } = await ask(`/api/runs/${this.id}/log`);
    const atEnd = this.text.scrollTop + this.text.clientHeight >= this.text.scrollHeight - 30;
    this.text.translate = !written;
    say(this.text, written ? `${cut ? "…\n" : ""}${written}` : text("run.log.empty"));
    if (atEnd) this.text.scrollTop = this.text.scrollHeight;
    return this.active ? 1500 : 10_000;
  }
}
