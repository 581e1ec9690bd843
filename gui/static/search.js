// Search for settings: a form that says what is searched, and what a search has found so far.

import { Comparison } from "./comparing.js";
import {
  ask,
  attempt,
  button,
  confirmed,
  count,
  cssValue,
  duration,
  el,
  loadPlotly,
  measured,
  metricLabel,
  number,
  parameters,
  say,
  spoken,
  text,
} from "./page.js";
import { card, escaped, PlanForm, table } from "./plans.js";

const HEIGHT = 330;
/** Pixels that an axis of the parallel figure needs. */
const AXIS = 118;
const words = (key, values) => text(`search.${key}`, values);
/** A trial's state as that of a run, for its colour. */
const COLOURS = { waiting: "queued", running: "running", complete: "finished", pruned: "paused", failed: "failed" };

/** Fills the page's frame. */
export function mount(element) {
  const page = element.querySelector(".an-search");
  const id = Number(parameters().get("id"));
  if (Number.isInteger(id) && id > 0) new Result(page, id);
  else new Form(page);
}

// --- the form ------------------------------------------------------------------------------------

class Form extends PlanForm {
  constructor(page) {
    super(page, {
      name: "search",
      words,
      kinds: ["task", "data", "model", "method"],
      fixed: () => true,
    });
    this.go.id = "search";
  }

  parts([fixed = false, more = false]) {
    const { space } = this.plan;
    const fields = new Map(
      this.plan.sections.flatMap((section) => section.fields.map((field) => [field.name, field])),
    );
    const rows = space.filter(({ setting }) => fields.has(setting));
    const row = (one) => this.rowOf(one, fields.get(one.setting));
    const rare = ({ setting }) => fields.get(setting).advanced || fields.get(setting).augments;
    const basic = rows.filter((one) => !rare(one));
    const advanced = rows.filter(rare);
    return [
      // Around another value something else is worth searching.
      card(
        words("what"),
        this.what(),
        this.settings(words("fixed"), fixed, true),
      ),
      el(
        "div",
        { class: "an-field", "data-field": "space" },
        card(
          words("space"),
          el("p", { class: "an-help" }, words("space.help")),
          el("div", { class: "search-space" }, basic.map(row)),
          el(
            "details",
            { class: "an-advanced", open: more || advanced.some(({ said }) => said !== null) },
            el("summary", {}, words("space.more")),
            el("div", { class: "search-space" }, advanced.map(row)),
          ),
        ),
        el("p", { class: "an-problem", hidden: true }),
      ),
      card(
        words("how"),
        el(
          "div",
          { class: "an-fields" },
          this.typed("trials"),
          this.choice("metric", [
            ...this.plan.metrics.map((id, index) => ({
              id: index ? id : "", // the first is the task's own
              label: metricLabel(id),
            })),
          ]),
          this.choice(
            "pruner",
            this.plan.pruners.map((id) => ({ id, label: text(`search.pruner.${id}`) })),
          ),
          this.typed("at_once", words("at_once.auto")),
          this.typed("sampler_seed"),
          this.typed("name", this.plan.automatic_name),
        ),
      ),
    ];
  }

  /** A setting that can be ticked, and where it is searched then. */
  rowOf(one, field) {
    const id = `search-over-${one.setting.replace(".", "-")}`;
    const box = el("input", { type: "checkbox", id, checked: one.said !== null });
    const where = el("div", { class: "search-where" });
    const write = (said) => {
      if (said === null) delete this.asked.over[one.setting];
      else this.asked.over[one.setting] = said;
      this.settle();
    };
    const fill = () => {
      // What is wrong with a value that stays as it is belongs to where it is set.
      if (box.checked) line.dataset.field = one.setting;
      else delete line.dataset.field;
      if (!box.checked) {
        where.replaceChildren(el("span", { class: "an-muted" }, spoken(field.value, field.empty)));
        return;
      }
      const said = this.asked.over[one.setting] || one.usual;
      where.replaceChildren(...(one.choices.length ? this.among(one, said, write) : this.between(one, field, said, write)));
    };
    box.addEventListener("change", () => {
      write(box.checked ? one.usual : null);
      fill();
    });
    const line = el(
      "div",
      { class: "search-row" },
      el("label", { class: "search-tick", for: id, title: field.help }, box, field.label),
      where,
      el("p", { class: "an-problem", hidden: true }),
    );
    fill();
    return line;
  }

  among(one, said, write) {
    const chosen = new Set(said.split(","));
    return one.choices.map((choice) => {
      const box = el("input", { type: "checkbox", checked: chosen.has(choice) });
      box.addEventListener("change", () => {
        chosen[box.checked ? "add" : "delete"](choice);
        write(one.choices.filter((each) => chosen.has(each)).join(",") || ",");
      });
      const label = one.type === "bool" ? spoken(choice === "true") : choice;
      return el("label", {}, box, label);
    });
  }

  between(one, field, said, write) {
    const [ends, how] = said.split(":");
    const [low, high] = ends.split("..");
    const input = (words, value) =>
      el("input", {
        class: "an-input an-number",
        value,
        inputmode: "decimal",
        autocomplete: "off",
        "aria-label": `${field.label}: ${words}`,
      });
    const from = input(words("low"), low);
    const to = input(words("high"), high);
    const log = el("input", { type: "checkbox", checked: how === "log" });
    const tell = () =>
      write(`${from.value.trim()}..${to.value.trim()}:${log.checked ? "log" : "linear"}`);
    for (const node of [from, to]) node.addEventListener("input", tell);
    log.addEventListener("change", tell);
    return [from, "–", to, el("label", {}, log, words("log"))];
  }

  outcome() {
    const said = [this.plan.readonly].filter(Boolean);
    this.notices.replaceChildren(...said.map((one) => el("p", { class: "an-notice" }, one)));
    this.go.disabled = Boolean(this.plan.readonly);
    // With nothing ticked yet the page says what to do: that is no mistake of a person.
    const bare = this.plan.problem?.field === "space" && !this.plan.searched;
    this.problem(bare ? null : this.plan.problem);
    this.numbers.classList.toggle("stale", Boolean(this.plan.problem));
    this.numbers.replaceChildren(
      this.row("settings", count(this.plan.searched)),
      this.row("trials", this.plan.trials ? count(this.plan.trials) : "–"),
      this.row("at_once", this.plan.at_once ? count(this.plan.at_once) : "–"),
    );
  }
}

// --- what a search has found ---------------------------------------------------------------------

class Result extends Comparison {
  constructor(page, id) {
    super(page, id, { address: "/api/search", path: "/search", words: "search", states: words });
  }

  lay() {
    this.best = el("div", { class: "search-best", "aria-live": "polite" });
    this.done = el("p", { class: "an-muted an-small" });
    this.values = el("div", { class: "search-plot", role: "img" });
    this.parallel = el("div", { class: "search-plot", role: "img" });
    this.bars = el("div", { class: "search-bars" });
    this.rows = el("div", {});
    this.valuesHead = el("h2", { id: "search-values" });
    this.page.replaceChildren(
      this.head,
      this.notices,
      el(
        "div",
        { class: "run-stack" },
        el("section", { class: "an-card", "aria-label": words("kept") }, this.best, this.done),
        el(
          "section",
          { class: "an-card", "aria-labelledby": "search-values" },
          el(
            "div",
            { class: "an-card-head" },
            this.valuesHead,
            el(
              "a",
              { class: "an-button quiet", href: `${this.address}.csv`, download: "" },
              words("csv"),
            ),
          ),
          this.values,
        ),
        card(
          words("parallel"),
          el("div", { class: "an-scroll", tabindex: 0 }, this.parallel),
          el("p", { class: "an-help" }, words("parallel.help")),
        ),
        card(
          words("importance"),
          this.bars,
          el("p", { class: "an-help" }, words("importance.help")),
        ),
        card(words("table"), this.rows),
        this.commandCard,
      ),
    );
  }

  fill() {
    const { found } = this;
    const { done, total, count: counts } = found;
    say(this.done, words("over", { done, total, ...counts }));
    say(this.valuesHead, words("values", { measure: metricLabel(found.metric) }));
    this.fillBest();
    this.fillRows();
    this.figure();
    this.weigh();
  }

  fillBest() {
    const { best, metric, state } = this.found;
    const last = state === "finished";
    const key = JSON.stringify([best, last]);
    if (key === this.shownBest) return;
    this.shownBest = key;
    if (!best) {
      this.best.replaceChildren(el("p", { class: "an-muted" }, words("best.none")));
      return;
    }
    const value = `${metricLabel(metric, { split: true })} ${measured(metric, best.value)}`;
    this.best.replaceChildren(
      el("p", {}, words(last ? "best.last" : "best", { value, number: best.number })),
      el("a", { class: "an-button", href: `/run?id=${best.run}` }, words("best.run")),
      el("a", { class: "an-button primary", href: `/?clone=${best.run}` }, words("best.train")),
    );
  }

  fillActions() {
    const { state, readonly, trials } = this.found;
    const kind = `${state} ${readonly}`;
    if (kind === this.shown) return;
    this.shown = kind;
    const act = async (what) => {
      await attempt(() => ask(`${this.address}/${what}`, { body: {} }));
      this.polled.now();
    };
    const sure = (what, values = {}) =>
      confirmed({
        title: text(`search.${what}.title`),
        words: text(`search.${what}.words`, values),
        action: text(`search.${what}`),
        danger: true,
      });
    const cancel = async () => {
      if (await sure("stop")) act("stop");
    };
    const remove = async () => {
      if (!(await sure("delete", { count: trials.length }))) return;
      const done = await attempt(() => ask(`${this.address}/delete`, { body: {} }));
      if (done) window.location.assign("/search");
    };
    const all = [];
    if (this.going) all.push(button(words("pause"), () => act("pause")), button(words("stop"), cancel));
    if (state === "stopped")
      all.push(button(words("resume"), () => act("resume"), { kind: "primary" }));
    if (!this.going) all.push(button(words("delete"), remove, { kind: "danger" }));
    for (const one of all) one.disabled = readonly;
    this.actions.replaceChildren(...all);
  }

  fillRows() {
    const { trials, space, metric } = this.found;
    const heads = ["trial", "state"].map((head) => text(`search.table.${head}`));
    const state = ({ state: now, step, steps, run_state: own }) => {
      const part = steps ? ` ${Math.round((100 * step) / steps)} %` : "";
      const paused = now === "waiting" && own !== "queued";
      return el(
        "span",
        { class: "an-state", "data-state": paused ? own : COLOURS[now] },
        paused ? text(`state.${own}`) : text(`search.trial.${now}`) + (now === "running" ? part : ""),
      );
    };
    const lines = trials.toReversed().map((trial) => ({
      current: trial.best,
      cells: [
        el("a", { href: `/run?id=${trial.run}` }, `${trial.number}`),
        state(trial),
        trial.value === null ? "–" : measured(metric, trial.value),
        ...space.map(({ setting }) => spoken(trial.settings[setting])),
        trial.seconds ? duration(trial.seconds) : "–",
      ],
    }));
    this.rows.replaceChildren(
      table(
        [...heads, metricLabel(metric), ...space.map(({ label }) => label), words("table.time")],
        lines,
        "search-table",
      ),
    );
  }

  /** Asks what mattered whenever another trial has gone through. */
  async weigh() {
    const { complete } = this.found.count;
    if (complete === this.weighed) return;
    this.weighed = complete;
    const wait = () => el("p", { class: "an-muted" }, words("importance.wait"));
    if (!this.bars.children.length) this.bars.replaceChildren(wait());
    const told = await attempt(() => ask(`${this.address}/importance`, { body: {} }));
    if (!told || complete !== this.weighed) return;
    const labels = new Map(this.found.space.map(({ setting, label }) => [setting, label]));
    const shares = Object.entries(told.importance);
    this.bars.replaceChildren(
      ...(shares.length
        ? shares.flatMap(([setting, share]) => [
            el("span", {}, labels.get(setting) ?? setting),
            el("i", { style: `--share: ${share}` }),
            el("span", { class: "an-number" }, `${Math.round(100 * share)} %`),
          ])
        : [wait()]),
    );
  }

  // --- figures -----------------------------------------------------------------------------------

  figure() {
    const { found } = this;
    if (!found) return;
    const key = JSON.stringify([found.trials, document.body.classList.contains("dark")]);
    if (key === this.drawn) return;
    this.drawn = key;
    this.drawValues();
    this.drawParallel();
  }

  layout(more) {
    const axis = {
      gridcolor: cssValue("--an-line"),
      linecolor: cssValue("--an-line-strong"),
      zeroline: false,
      automargin: true,
    };
    return {
      height: HEIGHT,
      margin: { l: 8, r: 12, t: 8, b: 8 },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: {
        family: getComputedStyle(this.page).fontFamily,
        size: 12,
        color: cssValue("--an-ink"),
      },
      hovermode: "closest",
      hoverlabel: { align: "left" },
      ...more,
      xaxis: { ...axis, ...more.xaxis },
      yaxis: { ...axis, ...more.yaxis },
    };
  }

  told(trial) {
    const { space, metric } = this.found;
    return [
      `<b>${words("table.trial")} ${trial.number}</b>`,
      `${metricLabel(metric)}: ${measured(metric, trial.value)}`,
      ...space.map(({ setting, label }) =>
        escaped(`${label}: ${spoken(trial.settings[setting])}`),
      ),
    ].join("<br>");
  }

  async drawValues() {
    const plotly = await loadPlotly();
    if (!this.values.isConnected) return;
    const { trials, larger, metric } = this.found;
    const known = trials.filter(({ value }) => typeof value === "number");
    let top = null;
    const best = known.map(({ value }) => {
      if (top === null || (larger ? value > top : value < top)) top = value;
      return top;
    });
    const of = (states, style) => {
      const some = known.filter(({ state }) => states.includes(state));
      return {
        x: some.map(({ number: n }) => n),
        y: some.map(({ value }) => value),
        text: some.map((trial) => this.told(trial)),
        hovertemplate: "%{text}<extra></extra>",
        mode: "markers",
        ...style,
      };
    };
    const accent = cssValue("--an-series-1");
    const soft = { color: "rgba(0,0,0,0)", size: 8, line: { color: accent, width: 1.5 } };
    const label = metricLabel(metric);
    const last = Math.max(1, ...known.map(({ number: n }) => n));
    const room = 0.03 * last; // the first trial is a whole point beside the axis
    await plotly.react(
      this.values,
      [
        {
          x: known.map(({ number: n }) => n),
          y: best,
          name: words("values.best"),
          mode: "lines",
          line: { shape: "hv", color: cssValue("--an-series-2"), width: 2 },
          hoverinfo: "skip",
        },
        of(["complete"], { name: words("trial.complete"), marker: { color: accent, size: 9 } }),
        of(["pruned", "running", "waiting", "failed"], {
          name: `${words("trial.pruned")}, ${words("trial.running")}`,
          marker: soft,
        }),
      ],
      this.layout({
        legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom" },
        xaxis: {
          title: { text: words("values.axis") },
          range: [-room, last + room],
          dtick: last < 12 ? 1 : null,
        },
        yaxis: { title: { text: label } },
      }),
      { displaylogo: false, displayModeBar: false, responsive: true },
    );
    const said = known.map(({ number: n, value }) => `${n}: ${measured(metric, value)}`);
    this.values.setAttribute("aria-label", `${words("values", { measure: label })}. ${said.join("; ")}`);
  }

  /** A line a trial over the settings, and its value at the end: SVG, which needs no GPU. */
  async drawParallel() {
    const plotly = await loadPlotly();
    if (!this.parallel.isConnected) return;
    const { trials, space, metric, larger } = this.found;
    const known = trials.filter(
      ({ value, state }) => typeof value === "number" && state !== "failed",
    );
    const values = known.map(({ value }) => value);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const label = metricLabel(metric);
    const axes = [
      ...space,
      { setting: null, label, low, high, log: false, choices: [] },
    ];
    const place = (axis, trial) => {
      const value = axis.setting === null ? trial.value : trial.settings[axis.setting];
      if (axis.choices.length)
        return (axis.choices.indexOf(value) + 0.5) / axis.choices.length;
      const [a, b, c] = [value, axis.low, axis.high].map((n) => (axis.log ? Math.log(n) : n));
      return c > b ? (a - b) / (c - b) : 0.5;
    };
    const merit = ({ value }) => {
      const share = high > low ? (value - low) / (high - low) : 1;
      return larger ? share : 1 - share;
    };
    const ordered = [...known].sort((one, other) => merit(one) - merit(other));
    const accent = cssValue("--an-series-1");
    const traces = ordered.map((trial) => ({
      x: axes.map((_, index) => index),
      y: axes.map((axis) => place(axis, trial)),
      mode: "lines+markers",
      line: {
        color: trial.best ? cssValue("--an-series-2") : accent,
        width: trial.best ? 3.5 : 1.8,
        dash: trial.state === "complete" ? "solid" : "dot",
      },
      marker: { size: trial.best ? 7 : 5 },
      opacity: trial.best ? 1 : 0.12 + 0.75 * merit(trial) ** 2,
      text: axes.map(() => this.told(trial)),
      hovertemplate: "%{text}<extra></extra>",
    }));
    const note = (x, y, words, more = {}) => ({
      x,
      y,
      text: escaped(words),
      showarrow: false,
      ...more,
    });
    const annotations = axes.flatMap((axis, index) => {
      const name = note(index, 1.13, axis.label, { font: { size: 12.5 } });
      if (axis.choices.length)
        return [
          name,
          ...axis.choices.map((choice, at) =>
            note(index, (at + 0.5) / axis.choices.length, spoken(choice), {
              xanchor: "left",
              xshift: 7,
              bgcolor: cssValue("--an-surface"),
              opacity: 0.85,
            }),
          ),
        ];
      const end = (value) => (axis.setting === null ? measured(metric, value) : number(value));
      return [name, note(index, 1.06, end(axis.high)), note(index, -0.06, end(axis.low))];
    });
    const width = Math.max(AXIS * axes.length, this.parallel.parentElement.clientWidth);
    await plotly.react(
      this.parallel,
      traces,
      this.layout({
        width,
        margin: { l: 46, r: 46, t: 6, b: 6 },
        showlegend: false,
        shapes: axes.map((_, index) => ({
          type: "line",
          x0: index,
          x1: index,
          y0: 0,
          y1: 1,
          layer: "below",
          line: { color: cssValue("--an-line-strong"), width: 1 },
        })),
        annotations: known.length ? annotations : [],
        xaxis: { visible: false, range: [-0.12, axes.length - 0.88], fixedrange: true },
        yaxis: { visible: false, range: [-0.12, 1.18], fixedrange: true },
      }),
      { displaylogo: false, displayModeBar: false },
    );
    this.parallel.setAttribute("aria-label", words("parallel"));
  }
}
