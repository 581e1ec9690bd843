// What a run shows beside numbers: pictures, codes as points in a plane, confusion matrices, texts,
// tables and small charts.

import { lineChart } from "./chart.js";
import {
  ask,
  attempt,
  button,
  count,
  cssValue,
  el,
  loadPlotly,
  metricLabel,
  number,
  onTheme,
  segments,
  show,
  text,
  unique,
} from "./page.js";

/** The cards of all samples of a run, each with a slider over its epochs. */
export class Samples {
  /** `point(row)` shows the item that a point in a plane stands for. */
  constructor(place, id, point = null) {
    this.place = place;
    this.id = id;
    this.point = point;
    this.cards = new Map();
  }

  /** Takes in the list that the server gives: `[{ name, kind, versions: [[step, epoch], …] }]`. */
  update(list) {
    for (const sample of list) {
      if (!VIEWS[sample.kind]) continue;
      let card = this.cards.get(sample.name);
      if (!card) {
        card = new SampleCard(this.id, sample, this.point);
        this.cards.set(sample.name, card);
        this.place.append(card.element);
      }
      card.update(sample.versions);
    }
    for (const [name, card] of this.cards) {
      if (list.some((sample) => sample.name === name)) continue;
      card.element.remove();
      this.cards.delete(name);
    }
  }
}

class SampleCard {
  constructor(id, { name, kind }, point) {
    this.id = id;
    this.name = name;
    this.versions = [];
    this.kept = new Map();
    const head = unique("sample");
    this.body = el("div", { class: `sample-body sample-${kind}` });
    this.view = new VIEWS[kind](this.body);
    this.view.pick = point;
    this.slider = el("input", {
      type: "range",
      min: 0,
      max: 0,
      step: 1,
      value: 0,
      "aria-label": text("samples.epoch_of", { name: metricLabel(name) }),
      oninput: () => this.choose(Number(this.slider.value)),
    });
    this.at = el("output", { class: "an-number an-muted" }, "");
    this.scrub = el("div", { class: "sample-scrub" }, this.slider, this.at);
    this.element = el(
      "section",
      { class: "an-card", "aria-labelledby": head },
      el(
        "div",
        { class: "an-card-head" },
        el("h2", { id: head }, metricLabel(name), el("span", {}, ` ${text("samples.where")}`)),
        this.scrub,
      ),
      this.body,
    );
  }

  update(versions) {
    const following = this.chosen === undefined || this.chosen >= this.versions.length - 1;
    const newest = (list) => JSON.stringify(list.at(-1));
    const same =
      versions.length === this.versions.length && newest(versions) === newest(this.versions);
    if (same || !versions.length) return;
    this.versions = versions;
    this.slider.max = versions.length - 1;
    show(this.slider, versions.length > 1);
    if (following) this.choose(versions.length - 1);
    else this.choose(Math.min(this.chosen, versions.length - 1));
  }

  async choose(index) {
    this.chosen = index;
    this.slider.value = index;
    const [step, epoch] = this.versions[index];
    const words = text("samples.epoch", { epoch: number(Math.round(epoch * 100) / 100) });
    this.at.textContent = words;
    this.slider.setAttribute("aria-valuetext", words);
    const query = new URLSearchParams({ name: this.name, step });
    const found =
      this.kept.get(step) ?? (await attempt(() => ask(`/api/runs/${this.id}/samples?${query}`)));
    if (!found) return;
    if (this.kept.size > 60) this.kept.clear();
    this.kept.set(step, found);
    if (this.chosen === index) this.view.draw(found.data);
  }
}

// --- pictures ----------------------------------------------------------------------------------

class Images {
  constructor(place) {
    this.grid = el("div", { class: "sample-grid" });
    place.append(this.grid);
    this.shape = "";
  }

  draw({ rows }) {
    const shape = JSON.stringify(rows.map((row) => [row.label, row.images.length]));
    if (shape !== this.shape) this.lay(rows);
    this.shape = shape;
    rows.forEach((row, y) =>
      row.images.forEach((png, x) => {
        // Only base64 becomes part of an address.
        const data = /^[A-Za-z0-9+/=]+$/.test(png) ? `data:image/png;base64,${png}` : "";
        if (this.cells[y][x].src !== data) this.cells[y][x].src = data;
      }),
    );
  }

  lay(rows) {
    const wide = Math.max(1, ...rows.map((row) => row.images.length));
    this.grid.style.setProperty("--wide", wide);
    this.cells = rows.map((row) =>
      row.images.map((_, x) => el("img", { alt: `${row.label} ${x + 1}` })),
    );
    this.grid.replaceChildren(
      ...rows.flatMap((row, y) => [
        el("div", { class: "sample-label", dir: "auto" }, row.label),
        el("div", { class: "sample-row" }, ...this.cells[y]),
      ]),
    );
  }
}

// --- points in a plane -------------------------------------------------------------------------

const COLORS = 12;
/** Colours after which the next shape comes: those that are alike differ in shape as well. */
const ALIKE = 6;
/** A plot narrower than that has no room for names beside it. */
const NARROW = 480;
const BELOW = { orientation: "h", x: 0, y: 0, yanchor: "top" };
const SYMBOLS = ["circle", "diamond", "square", "cross", "triangle-up", "star"];

class Scatter {
  constructor(place) {
    this.plot = el("div", {
      class: "sample-plot",
      role: "img",
      "aria-label": text("samples.scatter"),
    });
    this.hint = el(
      "p",
      { class: "an-muted an-small", hidden: true },
      text("samples.scatter.hint"),
    );
    place.append(this.plot, this.hint);
    onTheme(this.plot, () => this.data && this.draw(this.data));
  }

  async draw(data) {
    this.data = data;
    const Plotly = await loadPlotly();
    if (!this.plot.isConnected) return;
    const labels = [...new Set(data.label)].sort((a, b) => a - b);
    const traces = labels.map((label) => {
      const chosen = data.label.flatMap((own, index) => (own === label ? [index] : []));
      // The seventh has another shape too; the thirteenth the first colour again, in a third.
      const turn = label ?? 0;
      return {
        type: "scatter",
        mode: "markers",
        uid: `class${label}`,
        name:
          label === null
            ? text("samples.item")
            : String(data.classes[label] ?? label).replaceAll("<", "&lt;"),
        customdata: data.rows ? chosen.map((index) => data.rows[index]) : undefined,
        x: chosen.map((index) => data.x[index]),
        y: chosen.map((index) => data.y[index]),
        marker: {
          size: 6,
          opacity: 0.8,
          color: cssValue(`--an-series-${(turn % COLORS) + 1}`),
          symbol: SYMBOLS[Math.floor(turn / ALIKE) % SYMBOLS.length],
        },
        hovertemplate: "%{fullData.name}<extra></extra>",
      };
    });
    const below = this.plot.clientWidth < NARROW && labels.length <= COLORS;
    const axis = { showgrid: false, zeroline: false, showticklabels: false, ticks: "" };
    await Plotly.react(
      this.plot,
      traces,
      {
        uirevision: "codes",
        autosize: true,
        margin: { l: 8, r: 8, t: 8, b: 8 },
        paper_bgcolor: "rgba(0,0,0,0)",
        plot_bgcolor: "rgba(0,0,0,0)",
        font: {
          family: cssValue("--font") || "sans-serif",
          size: 12,
          color: cssValue("--an-muted"),
        },
        showlegend: labels.length > 1,
        legend: { itemsizing: "constant", tracegroupgap: 0, ...(below ? BELOW : {}) },
        dragmode: false,
        xaxis: axis,
        yaxis: axis,
      },
      { responsive: true, displaylogo: false, displayModeBar: false, showTips: false },
    );
    show(this.hint, Boolean(data.rows && this.pick));
    if (this.listens) return;
    this.listens = true;
    this.plot.on("plotly_click", ({ points: [one] }) => {
      if (one?.customdata !== undefined) this.pick?.(one.customdata);
    });
  }
}

// --- texts and tables --------------------------------------------------------------------------

/** Rows of texts, a target beside what the model made of it, say; wrong ones are marked. */
class Table {
  constructor(place) {
    this.place = place;
  }

  draw({ columns, rows, wrong }) {
    const line = (row, index) => {
      const bad = Boolean(wrong?.[index]);
      const mark = bad
        ? el("span", { class: "an-visually-hidden", dir: "ltr" }, text("samples.wrong"))
        : null;
      return el(
        "tr",
        { class: bad ? "bad" : null },
        row.map((cell, at) =>
          el("td", { dir: "auto" }, at === 0 ? mark : null, String(cell ?? "")),
        ),
      );
    };
    const head = columns.map((name) => el("th", { scope: "col" }, metricLabel(name)));
    this.place.replaceChildren(
      el(
        "div",
        { class: "an-scroll", tabindex: 0, role: "group", "aria-label": text("samples.table") },
        el(
          "table",
          { class: "an-table" },
          el("thead", {}, el("tr", {}, head)),
          el("tbody", {}, rows.map(line)),
        ),
      ),
    );
  }
}

/** A text that was grown from a prompt. */
class Text {
  constructor(place) {
    this.place = place;
  }

  draw({ prompt, text: written }) {
    this.place.replaceChildren(
      el(
        "p",
        { class: "sample-written", dir: "auto" },
        el("span", { class: "an-muted" }, prompt),
        written,
      ),
    );
  }
}

/** Small charts side by side: a forecast over what came, say. */
class Lines {
  constructor(place) {
    this.place = place;
  }

  draw({ plots }) {
    this.place.replaceChildren(
      el(
        "div",
        { class: "sample-plots" },
        plots.map(({ title, lines }) =>
          el("figure", {}, el("figcaption", { dir: "auto" }, title), lineChart(lines, title)),
        ),
      ),
    );
  }
}

// --- confusion ---------------------------------------------------------------------------------

const READABLE = 30;
/** Letters that the heads of all columns have room for on a small screen; more are turned. */
const HEADS = 39;
const MISTAKES = 8;

/**
 * True classes down, predicted classes across; arrow keys go from cell to cell, and where there is
 * `open(true, said)`, a click or Enter shows the items of a cell.
 */
export class Confusion {
  constructor(place, open = null) {
    this.open = open;
    this.mode = "counts";
    this.cursor = [0, 0];
    /** What the mouse is over, of a map. */
    this.under = [0, 0];
    this.place = place;
    const modes = ["counts", "shares"].map((mode) => [mode, text(`confusion.${mode}`)]);
    this.readout = el("p", { class: "confusion-readout", "aria-live": "polite" }, "");
    this.matrix = el("div", { class: "confusion-scroll" });
    this.mistakes = el("div", { class: "confusion-mistakes" });
    this.modes = segments(text("confusion.numbers"), modes, this.mode, (mode) => {
      this.mode = mode;
      this.fill();
    });
    place.append(
      el("div", { class: "confusion-bar" }, this.modes, this.readout),
      el("div", { class: "confusion-place" }, this.matrix, this.mistakes),
    );
    onTheme(this.matrix, () => this.data && this.fill());
  }

  draw(data) {
    const before = this.data;
    this.data = data;
    this.sums = data.counts.map((row) => row.reduce((sum, n) => sum + n, 0));
    if (JSON.stringify(before?.classes) !== JSON.stringify(data.classes)) this.lay();
    this.fill();
  }

  lay() {
    const { classes } = this.data;
    const small = classes.length <= READABLE;
    show(this.modes, small);
    this.cursor = [0, 0];
    this.table = small ? this.layTable(classes) : this.layMap(classes);
    this.matrix.replaceChildren(this.table);
    this.table.addEventListener("keydown", (event) => this.key(event));
    this.readout.textContent = text(this.open ? "confusion.hint.open" : "confusion.hint");
  }

  layTable(classes) {
    const corner = el("td", { class: "confusion-corner", role: "none" }, text("confusion.corner"));
    const head = el(
      "tr",
      {},
      corner,
      ...classes.map((name) => el("th", { scope: "col", title: name }, el("span", {}, name))),
    );
    const longest = Math.max(...classes.map((name) => name.length));
    const turned = longest > 2 && (longest + 2) * classes.length > HEADS;
    this.cells = classes.map((_, row) =>
      classes.map((__, column) =>
        el("td", {
          tabindex: row + column === 0 ? 0 : -1,
          onfocus: () => this.point(row, column),
          onmouseenter: () => this.read(row, column),
          onclick: () => this.enter(row, column),
        }),
      ),
    );
    const rows = classes.map((name, row) =>
      el("tr", {}, el("th", { scope: "row", title: name }, name), ...this.cells[row]),
    );
    return el(
      "table",
      {
        class: `confusion-table${turned ? " turned" : ""}${this.open ? " opens" : ""}`,
        role: "grid",
        "aria-label": text("confusion"),
        style: `--columns: ${classes.length}`,
      },
      el("thead", {}, head),
      el("tbody", {}, ...rows),
    );
  }

  layMap(classes) {
    this.cells = null;
    const canvas = el("canvas", {
      class: "confusion-map",
      width: classes.length,
      height: classes.length,
      tabindex: 0,
      role: "img",
      "aria-label": text("confusion.map", { count: classes.length }),
      onfocus: () => this.read(...this.cursor),
    });
    canvas.addEventListener("mousemove", (event) => {
      const place = (at, size) =>
        Math.min(classes.length - 1, Math.max(0, Math.floor((at / size) * classes.length)));
      this.under = [
        place(event.offsetY, canvas.clientHeight),
        place(event.offsetX, canvas.clientWidth),
      ];
      this.read(...this.under);
    });
    canvas.addEventListener("click", () => this.enter(...this.under));
    return canvas;
  }

  /** Shows the items of a cell, where it has any. */
  enter(y, x) {
    const { classes, counts } = this.data;
    if (this.open && counts[y][x]) this.open(classes[y], classes[x]);
  }

  fill() {
    if (this.cells) this.fillTable();
    else this.fillMap();
    this.listMistakes();
  }

  fillTable() {
    this.data.counts.forEach((row, y) =>
      row.forEach((n, x) => {
        const cell = this.cells[y][x];
        const share = this.sums[y] ? n / this.sums[y] : 0;
        cell.textContent = n === 0 ? "·" : this.mode === "counts" ? count(n) : percent(share);
        // A square root, so that a few mistakes among many right answers can be seen.
        const depth = n === 0 ? 0 : Math.round(8 + 82 * Math.sqrt(share));
        cell.style.setProperty("--depth", `${depth}%`);
        cell.className = `${x === y ? "right" : "wrong"}${depth > 55 ? " deep" : ""}${n ? "" : " none"}`;
        cell.setAttribute("aria-label", this.sentence(y, x));
      }),
    );
  }

  fillMap() {
    const size = this.data.classes.length;
    const context = this.table.getContext("2d");
    const picture = context.createImageData(size, size);
    const [ground, right, wrong] = ["--an-surface-2", "--an-series-1", "--an-series-2"].map(
      (name) => rgb(cssValue(name)),
    );
    this.data.counts.forEach((row, y) =>
      row.forEach((n, x) => {
        const depth = n && this.sums[y] ? 0.12 + 0.88 * Math.sqrt(n / this.sums[y]) : 0;
        const full = x === y ? right : wrong;
        const at = 4 * (y * size + x);
        for (let c = 0; c < 3; c += 1)
          picture.data[at + c] = ground[c] + (full[c] - ground[c]) * depth;
        picture.data[at + 3] = 255;
      }),
    );
    context.putImageData(picture, 0, 0);
  }

  listMistakes() {
    const { classes, counts } = this.data;
    const all = counts.flatMap((row, y) => row.map((n, x) => ({ n, y, x })));
    const worst = all
      .filter(({ n, y, x }) => n && y !== x)
      .sort((a, b) => b.n - a.n)
      .slice(0, MISTAKES);
    const items = worst.map(({ n, y, x }) =>
      el(
        "li",
        {},
        this.link(text("confusion.mistake", { right: classes[y], wrong: classes[x] }), y, x),
        el("b", { class: "an-number" }, count(n)),
      ),
    );
    this.mistakes.replaceChildren(
      el("h3", {}, text("confusion.mistakes")),
      worst.length
        ? el("ol", {}, ...items)
        : el("p", { class: "an-muted" }, text("confusion.none")),
    );
  }

  /** Words about a cell, which lead to its items where that is possible. */
  link(words, y, x) {
    if (!this.open) return el("span", {}, words);
    return button(words, () => this.enter(y, x), { kind: "quiet" });
  }

  sentence(y, x) {
    const { classes, counts } = this.data;
    return text(x === y ? "confusion.right" : "confusion.wrong", {
      right: classes[y],
      wrong: classes[x],
      count: count(counts[y][x]),
      all: count(this.sums[y]),
      share: percent(this.sums[y] ? counts[y][x] / this.sums[y] : 0),
    });
  }

  read(y, x) {
    this.readout.textContent = this.sentence(y, x);
  }

  point(y, x) {
    if (this.cells) {
      this.cells[this.cursor[0]][this.cursor[1]].tabIndex = -1;
      this.cells[y][x].tabIndex = 0;
    }
    this.cursor = [y, x];
    this.read(y, x);
  }

  key(event) {
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    const last = this.data.classes.length - 1;
    let [y, x] = this.cursor;
    if (moves[event.key]) [y, x] = [y + moves[event.key][0], x + moves[event.key][1]];
    else if (event.key === "Home") x = 0;
    else if (event.key === "End") x = last;
    else if (this.open && (event.key === "Enter" || event.key === " ")) {
      event.preventDefault();
      this.enter(y, x);
      return;
    } else return;
    event.preventDefault();
    this.point(Math.min(last, Math.max(0, y)), Math.min(last, Math.max(0, x)));
    if (this.cells) this.cells[this.cursor[0]][this.cursor[1]].focus();
  }
}

function percent(share) {
  if (share > 0 && share < 0.0095) return "<1 %";
  return `${Math.round(100 * share)} %`;
}

function rgb(hex) {
  const long =
    hex.length === 4 ? [...hex.slice(1)].map((digit) => digit + digit).join("") : hex.slice(1);
  return [0, 2, 4].map((at) => Number.parseInt(long.slice(at, at + 2), 16));
}

const VIEWS = {
  images: Images,
  scatter: Scatter,
  confusion: Confusion,
  table: Table,
  text: Text,
  lines: Lines,
};

/** True for a table that `Confusion` can draw. */
export function isConfusion(value) {
  return Array.isArray(value?.classes) && Array.isArray(value?.counts);
}
