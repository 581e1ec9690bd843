// Live curves: what a run measured, asked for piece by piece, and drawn without starting over.

import {
  ask,
  button,
  cssValue,
  el,
  loadPlotly,
  onTheme,
  segments,
  select,
  show,
  text,
} from "./page.js";

const COLUMNS = ["step", "epoch", "seconds", "value"];
const AXES = ["step", "epoch", "seconds"];

/** What people choose once and keep: the axis, the smoothing, the scale. */
const KEPT = "anneal-curves";

// --- points ------------------------------------------------------------------------------------

function empty() {
  return { step: [], epoch: [], seconds: [], value: [], of: 0, last: -1 };
}

/** These points one after the other. */
export function join(...parts) {
  const joined = empty();
  for (const part of parts) {
    for (const column of COLUMNS) joined[column] = joined[column].concat(part[column]);
  }
  return joined;
}

function cut(points, keep) {
  const part = empty();
  points.step.forEach((step, index) => {
    if (!keep(step)) return;
    for (const column of COLUMNS) part[column].push(points[column][index]);
  });
  return part;
}

function tail(points, from) {
  return Object.fromEntries(COLUMNS.map((column) => [column, points[column].slice(from)]));
}

/** The points of one run: all of them first, then only what came since. */
export class Feed {
  constructor(id, points = 3000) {
    this.id = id;
    this.points = points;
    this.token = "";
    this.series = new Map();
    this.run = null;
  }

  /**
   * Asks for what is new. Gives `{ all: true }` when everything must be drawn anew, else
   * `{ all: false, added }` with the new points by series.
   */
  async next() {
    // What was appended makes a trace longer than can be drawn fluently: thin it once more.
    const crowded = [...this.series.values()].some((one) => one.step.length > 2 * this.points);
    const query = new URLSearchParams({ points: this.points });
    if (this.series.size && !crowded) {
      const places = [...this.series].map(([name, one]) => `${name}:${one.last}`);
      query.set("after", places.join(","));
      query.set("token", this.token);
    }
    const reply = await ask(`/api/runs/${this.id}/curves?${query}`);
    const all = reply.reset || !query.has("after");
    this.run = reply.run;
    this.token = reply.token;
    const added = new Map(Object.entries(reply.series));
    if (all) {
      this.series = added;
      return { all: true, added };
    }
    let unknown = false;
    for (const [name, part] of added) {
      const before = this.series.get(name);
      unknown ||= !before;
      const joined = join(before ?? empty(), part);
      this.series.set(
        name,
        Object.assign(joined, { of: (before?.of ?? 0) + part.of, last: part.last }),
      );
    }
    return { all: unknown, added };
  }

  /** Whether some points were left out. */
  get thinned() {
    return [...this.series.values()].some((one) => one.of > one.step.length);
  }

  /** The series with the steps from `low` to `high` in full detail, and the rest as before. */
  async detail(low, high) {
    const query = new URLSearchParams({ points: this.points, x0: low, x1: high });
    const reply = await ask(`/api/runs/${this.id}/curves?${query}`);
    const merged = new Map(this.series);
    for (const [name, fine] of Object.entries(reply.series)) {
      const coarse = this.series.get(name);
      if (!coarse || !fine.step.length) continue;
      const [first, last] = [fine.step[0], fine.step.at(-1)];
      merged.set(
        name,
        join(
          cut(coarse, (s) => s < first),
          fine,
          cut(coarse, (s) => s > last),
        ),
      );
    }
    return merged;
  }

  /** The step at a place of another axis, by the longest series. */
  stepAt(axis, place) {
    if (axis === "step") return place;
    const [longest] = [...this.series.values()].sort((a, b) => b.step.length - a.step.length);
    if (!longest) return 0;
    const index = longest[axis].findIndex((value) => value >= place);
    return longest.step.at(index < 0 ? -1 : index);
  }
}

// --- smoothing ---------------------------------------------------------------------------------

/**
 * An exponential moving average without the bias of its start.
 *
 * It forgets by the distance between steps, `unit` being a thousandth of the run, so a curve
 * looks equally smooth however many of its points are drawn.
 */
export class Average {
  constructor(decay, unit) {
    this.decay = decay;
    this.unit = unit;
    this.sum = 0;
    this.weight = 0;
    this.step = null;
  }

  next(step, value) {
    if (value === null) return null;
    const distance = this.step === null ? 1 : (step - this.step) / this.unit;
    const keep = this.decay ** distance;
    this.step = step;
    this.sum = this.sum * keep + value * (1 - keep);
    this.weight = this.weight * keep + (1 - keep);
    // Rounded as numbers are: a flat curve's axis would show nothing but the error of the sums.
    return this.weight > 0 ? Number((this.sum / this.weight).toPrecision(12)) : value;
  }
}

// --- settings ----------------------------------------------------------------------------------

/** The choices that all charts of a page share; `onchange` is called with each change. */
export class Settings {
  constructor(onchange, { splits = true } = {}) {
    let kept = {};
    try {
      kept = JSON.parse(localStorage.getItem(KEPT) ?? "{}");
    } catch {
      kept = {};
    }
    this.axis = AXES.includes(kept.axis) ? kept.axis : "step";
    this.smoothing = kept.smoothing >= 0 && kept.smoothing < 1 ? kept.smoothing : 0.8;
    this.log = kept.log === true;
    this.split = "both";
    this.onchange = onchange;
    this.splits = splits;
  }

  change(values) {
    Object.assign(this, values);
    const { axis, smoothing, log } = this;
    localStorage.setItem(KEPT, JSON.stringify({ axis, smoothing, log }));
    this.onchange(Object.keys(values));
  }

  /** The controls. */
  bar() {
    const amount = el("output", { class: "an-number" }, this.smoothing.toFixed(2));
    const slider = el("input", {
      type: "range",
      min: 0,
      max: 0.99,
      step: 0.01,
      value: this.smoothing,
      oninput: () => {
        amount.textContent = Number(slider.value).toFixed(2);
        this.change({ smoothing: Number(slider.value) });
      },
    });
    const log = el(
      "button",
      {
        type: "button",
        class: "curve-toggle",
        "aria-pressed": String(this.log),
        onclick: () => {
          log.setAttribute("aria-pressed", String(!this.log));
          this.change({ log: !this.log });
        },
      },
      text("curves.log"),
    );
    const axes = AXES.map((axis) => [axis, text(`curves.${axis}`)]);
    const splits = ["both", "train", "validation"].map((split) => [split, text(`split.${split}`)]);
    return el(
      "div",
      { class: "curve-bar" },
      this.splits
        ? segments(text("curves.split"), splits, this.split, (split) => this.change({ split }))
        : null,
      el(
        "label",
        { class: "curve-smooth" },
        el("span", {}, text("curves.smoothing")),
        slider,
        amount,
      ),
      log,
      el(
        "div",
        { class: "curve-axis" },
        select(text("curves.axis"), axes, this.axis, (axis) => this.change({ axis })),
      ),
    );
  }
}

// --- the chart ---------------------------------------------------------------------------------

const TIMES = [
  [1, "second"],
  [60, "minute"],
  [3600, "hour"],
];

/**
 * A chart of lines. A line is `{ key, label, color, dash, points, unit }`: `color` is a CSS
 * variable's name, `unit` a thousandth of its run in steps.
 *
 * A `note` stands in the place of the legend. Zoom, pan and hidden lines stay as they are, whatever is drawn.
 */
export class Chart {
  constructor(place, { label, settings, onzoom = () => {}, note = null }) {
    this.settings = settings;
    this.onzoom = onzoom;
    this.lines = [];
    this.hidden = new Set();
    this.averages = new Map();
    this.drawn = new Map();
    this.uids = new Map();
    this.turn = Promise.resolve();
    this.revision = 0;
    this.scale = TIMES[0];
    this.plot = el("div", { class: "curve-plot", role: "img", "aria-label": label });
    this.note = el("p", { class: "curve-note" }, "");
    this.legend = el("div", {
      class: "curve-legend",
      role: "group",
      "aria-label": text("curves.lines", { label }),
    });
    this.reset = button(text("curves.whole"), () => this.whole(), { kind: "quiet" });
    this.reset.classList.add("curve-reset");
    place.append(
      el(
        "div",
        { class: "curve-top" },
        note === null ? this.legend : el("span", { class: "an-muted" }, note),
        this.reset,
      ),
      el("div", { class: "curve-place" }, this.plot, this.note),
    );
    this.zoomed = null;
    this.mark();
    onTheme(this.plot, () => this.draw());
  }

  /** What stands in the place of lines while there are none. */
  say(words) {
    this.note.textContent = words;
    show(this.note, Boolean(words));
    this.plot.style.visibility = words ? "hidden" : "visible";
  }

  /** Draws these lines, whatever was there. */
  set(lines) {
    this.lines = lines;
    this.legends();
    return this.draw();
  }

  /** The same lines have more points: `points` by key. Only what is new is drawn. */
  grow(points) {
    for (const line of this.lines) line.points = points.get(line.key) ?? line.points;
    return this.inTurn((Plotly) => {
      const fits =
        this.listens &&
        this.scale === this.fittingScale() &&
        !this.lines.some(
          (line) => isShort(this.drawn.get(line.key)) !== isShort(line.points.step.length),
        ) &&
        JSON.stringify(this.limits) === JSON.stringify(this.fittingLimits());
      return fits ? this.extendNow(Plotly) : this.drawNow(Plotly);
    });
  }

  /** Draws everything anew. */
  draw() {
    if (this.waiting) return this.turn;
    this.waiting = true; // a slider moves faster than plotly draws
    return this.inTurn((Plotly) => {
      this.waiting = false;
      return this.drawNow(Plotly);
    });
  }

  // Plotly draws asynchronously: two changes at once would draw points twice or not at all.
  inTurn(act) {
    this.turn = this.turn
      .catch(() => {})
      .then(async () => {
        const Plotly = await loadPlotly();
        if (this.plot.isConnected) await act(Plotly);
      });
    return this.turn;
  }

  async drawNow(Plotly) {
    const scale = this.fittingScale();
    if (scale !== this.scale && this.settings.axis === "seconds") this.afresh();
    this.scale = scale;
    this.limits = this.fittingLimits();
    this.averages.clear();
    for (const line of this.lines) this.drawn.set(line.key, line.points.step.length);
    const traces = this.lines.flatMap((line) => this.traces(line));
    await Plotly.react(this.plot, traces, this.layout(), {
      responsive: true,
      displaylogo: false,
      displayModeBar: false,
      doubleClick: false,
      showTips: false,
    });
    if (!this.listens) {
      this.listens = true;
      this.plot.on("plotly_relayout", (change) => this.moved(change));
      this.plot.on("plotly_doubleclick", () => this.whole());
    }
  }

  async extendNow(Plotly) {
    const { smoothing } = this.settings;
    const update = { x: [], y: [], customdata: [] };
    const indices = [];
    this.lines.forEach((line, index) => {
      const drawn = this.drawn.get(line.key);
      const part = tail(line.points, drawn);
      if (!part.step.length) return;
      this.drawn.set(line.key, drawn + part.step.length);
      const x = this.xs(part);
      update.x.push(x, smoothing ? x : []);
      update.y.push(part.value, this.smooth(line, part));
      update.customdata.push(part.value, smoothing ? part.value : []);
      indices.push(2 * index, 2 * index + 1);
    });
    if (indices.length) await Plotly.extendTraces(this.plot, update, indices);
  }

  fittingScale() {
    const longest = Math.max(0, ...this.lines.map((line) => line.points.seconds.at(-1) ?? 0));
    return TIMES.findLast(([size]) => longest >= 2 * size) ?? TIMES[0];
  }

  /** What the axis of the values doesn't go beyond by itself: 0 if none is below, 1 if none above. */
  fittingLimits() {
    const drawn = this.lines.filter((line) => !this.hidden.has(line.key));
    let [low, high] = [Infinity, -Infinity];
    for (const value of drawn.flatMap((line) => line.points.value)) {
      if (value === null) continue;
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
    if (low < 0 || low > high) return {};
    // A single value would lie on the floor of an axis that goes to 1.
    if (low === high && low > 0 && low < 0.5) return { clipmin: 0, clipmax: 2 * low };
    return high <= 1 ? { clipmin: 0, clipmax: 1 } : { clipmin: 0 };
  }

  /** Back from a zoom to everything. */
  async whole() {
    this.zoomed = null;
    this.mark();
    const everything = { "xaxis.autorange": true, "yaxis.autorange": true };
    await this.inTurn((Plotly) => Plotly.relayout(this.plot, everything));
    this.onzoom(null);
  }

  /** Forgets zoom and pan: the axes mean something else now. */
  afresh() {
    this.revision += 1;
    this.zoomed = null;
    this.mark();
  }

  // Each line is two traces, so that their places never change: as measured, and smoothed.
  traces(line) {
    const { smoothing } = this.settings;
    const x = this.xs(line.points);
    const color = cssValue(line.color);
    const visible = !this.hidden.has(line.key);
    // Plotly builds selectors from it: letters and digits only.
    if (!this.uids.has(line.key)) this.uids.set(line.key, `line${this.uids.size}`);
    const uid = this.uids.get(line.key);
    const shape = { type: "scatter", mode: "lines", visible, showlegend: false };
    const measured = text("curves.measured", { value: "%{customdata:.4~g}" });
    const hovertemplate = smoothing
      ? `%{y:.4~g} <span style="opacity:.7">${measured}</span><extra>${plainText(line.label)}</extra>`
      : `%{y:.4~g}<extra>${plainText(line.label)}</extra>`;
    const dots = isShort(line.points.step.length) ? "lines+markers" : "lines";
    const bold = { color, width: 2, dash: line.dash ?? "solid" };
    const faint = { color, width: 1 };
    return [
      {
        ...shape,
        uid: `${uid}m`,
        x,
        y: line.points.value,
        customdata: line.points.value,
        mode: smoothing ? "lines" : dots,
        opacity: smoothing ? 0.22 : 1,
        line: smoothing ? faint : bold,
        marker: { size: 4, color },
        hovertemplate,
        hoverinfo: smoothing ? "skip" : "all",
        ...(smoothing ? { hovertemplate: null } : {}),
      },
      {
        ...shape,
        uid: `${uid}s`,
        x: smoothing ? x : [],
        y: this.smooth(line, line.points),
        customdata: smoothing ? line.points.value : [],
        mode: dots,
        marker: { size: 4, color },
        line: bold,
        hovertemplate,
      },
    ];
  }

  xs(points) {
    const { axis } = this.settings;
    if (axis !== "seconds" || this.scale[0] === 1) return points[axis];
    return points.seconds.map((value) => value / this.scale[0]);
  }

  smooth(line, points) {
    const { smoothing } = this.settings;
    if (!smoothing) return [];
    let average = this.averages.get(line.key);
    if (!average) {
      average = new Average(smoothing, line.unit);
      this.averages.set(line.key, average);
    }
    return points.step.map((step, index) => average.next(step, points.value[index]));
  }

  layout() {
    const [grid, muted, ink] = ["--an-line", "--an-muted", "--an-ink"].map(cssValue);
    const { axis, log } = this.settings;
    const axes = {
      gridcolor: grid,
      linecolor: grid,
      zeroline: false,
      ticks: "",
      automargin: true,
      tickfont: { color: muted, size: 11 },
      exponentformat: "e",
    };
    const title = text(`curves.along.${axis === "seconds" ? this.scale[1] : axis}`);
    const touch = window.matchMedia("(pointer: coarse)").matches;
    return {
      uirevision: `${this.revision}`,
      autosize: true,
      margin: { l: 46, r: 10, t: 6, b: 38 },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: cssValue("--font") || "sans-serif", size: 12, color: muted },
      hovermode: "x unified",
      hoverlabel: { bgcolor: cssValue("--an-surface"), bordercolor: grid, font: { color: ink } },
      dragmode: touch ? false : "zoom", // a finger scrolls the page
      showlegend: false,
      xaxis: {
        ...axes,
        title: { text: title, font: { size: 11.5 }, standoff: 6 },
        rangemode: "tozero",
      },
      yaxis: {
        ...axes,
        type: log ? "log" : "linear",
        autorangeoptions: log ? { clipmax: this.limits.clipmax } : this.limits,
      },
    };
  }

  moved(change) {
    const [low, high] = [change["xaxis.range[0]"], change["xaxis.range[1]"]];
    if (low !== undefined && high !== undefined) {
      const size = this.settings.axis === "seconds" ? this.scale[0] : 1;
      this.zoomed = [low * size, high * size];
    } else if (change["yaxis.range[0]"] !== undefined) {
      this.zoomed ??= [];
    } else {
      return;
    }
    this.mark();
    if (this.zoomed.length) this.onzoom(this.zoomed);
  }

  mark() {
    this.reset.classList.toggle("idle", !this.zoomed);
    this.reset.disabled = !this.zoomed;
  }

  legends() {
    const signature = JSON.stringify(
      this.lines.map(({ key, label, color, dash }) => [key, label, color, dash]),
    );
    if (signature === this.known) return;
    this.known = signature;
    this.legend.replaceChildren(
      ...this.lines.map((line) => {
        const press = () => {
          if (!this.hidden.delete(line.key)) this.hidden.add(line.key);
          one.setAttribute("aria-pressed", String(!this.hidden.has(line.key)));
          this.draw();
        };
        const one = el(
          "button",
          {
            type: "button",
            class: "curve-key",
            onclick: press,
            title: text("curves.toggle"),
            "aria-pressed": String(!this.hidden.has(line.key)),
            style: `--line: var(${line.color}); --style: ${line.dash ? "dashed" : "solid"}`,
          },
          el("i", { "aria-hidden": "true" }),
          el("span", {}, line.label),
        );
        return one;
      }),
    );
  }

  /** Frees what plotly holds. */
  close() {
    if (window.Plotly && this.listens) window.Plotly.purge(this.plot);
    this.listens = false;
  }
}

/** So few points that each is drawn as a dot. */
function isShort(count) {
  return count < 40;
}

// Plotly reads a few tags in texts: a name that a person typed must stay as it is.
function plainText(words) {
  return words
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll("%{", "% {");
}

/** The part of a series' name that says what was measured: “loss” of “train/loss”. */
export function metricOf(series) {
  return series.includes("/") ? series.slice(series.indexOf("/") + 1) : series;
}

/** The part that says on which data, or nothing. */
export function splitOf(series) {
  return series.includes("/") ? series.slice(0, series.indexOf("/")) : "";
}

/** The metrics of these series: the loss first, what was set rather than measured last. */
export function metricsOf(names) {
  const all = [...names];
  const rank = (metric) => {
    if (metric === "loss") return 0;
    return all.some((name) => splitOf(name) && metricOf(name) === metric) ? 1 : 2;
  };
  return [...new Set(all.map(metricOf))].sort((a, b) => rank(a) - rank(b));
}
