// Does pretraining help? A form for a comparison of starts, and what one says so far.

import { Comparison, colour, linkTo, named, words as shared } from "./comparing.js";
import {
  ask,
  attempt,
  button,
  count,
  cssValue,
  duration,
  el,
  loadPlotly,
  metricLabel,
  number,
  parameters,
  say,
  show,
  text,
} from "./page.js";
import { card, escaped, PlanForm, table } from "./plans.js";

const HEIGHT = 380;

/** Fills the page's frame. */
export function mount(element) {
  const page = element.querySelector(".an-starts");
  const id = Number(parameters().get("id"));
  if (Number.isInteger(id) && id > 0) new Result(page, id);
  else new Form(page);
}

const words = (key, values) => text(`starts.${key}`, values);

// --- the form ------------------------------------------------------------------------------------

class Form extends PlanForm {
  constructor(page) {
    super(page, {
      name: "starts",
      words,
      shared,
      kinds: ["task", "data", "model"],
      fixed: (field, { kind }) =>
        kind !== "task" && !field.advanced && !["epochs", "max_steps"].includes(field.key),
    });
    this.go.id = "compare";
    this.foretell({});
  }

  parts([opened = false]) {
    const chosen = this.what((kind) => {
      if (kind === "model") this.asked.starts = null; // another model has other weights
    });
    return [
      card(text("starts.what"), chosen, this.settings(text("starts.settings"), opened)),
      card(
        text("starts.starts"),
        el("p", { class: "an-help" }, text("starts.starts.help")),
        this.starts(),
        this.choice("adapt", this.plan.adapt),
      ),
      card(
        text("starts.how"),
        el(
          "div",
          { class: "an-fields" },
          this.typed("amounts"),
          this.typed("seeds"),
          this.typed("steps", text("starts.steps.auto")),
          this.typed("name", this.plan.automatic_name),
        ),
      ),
    ];
  }

  starts() {
    const chosen = new Set(this.asked.starts);
    const write = () => {
      const path = file.value.trim();
      const named = this.plan.starts.map(({ id }) => id).filter((id) => chosen.has(id));
      this.asked.starts = path ? [...named, path] : named;
      this.settle();
    };
    const boxes = this.plan.starts.map(({ id, label }) => {
      const box = el("input", { type: "checkbox", checked: chosen.has(id) });
      box.addEventListener("change", () => {
        if (box.checked) chosen.add(id);
        else chosen.delete(id);
        write();
      });
      return el("label", { class: "starts-choice" }, box, label);
    });
    const paths = this.asked.starts.filter(
      (start) => typeof start === "string" && !this.plan.starts.some(({ id }) => id === start),
    );
    const file = el("input", {
      class: "an-input an-mono",
      id: "starts-file",
      value: paths[0] ?? "",
      autocomplete: "off",
      spellcheck: "false",
      "aria-describedby": "starts-file-help",
    });
    file.addEventListener("change", write);
    const bare = this.plan.starts.length < 2;
    return el(
      "div",
      { class: "an-field starts-field", "data-field": "starts" },
      el("div", { class: "starts-choices" }, boxes),
      bare ? el("p", { class: "an-notice" }, text("starts.none")) : null,
      el("label", { for: file.id }, text("starts.file")),
      el("p", { class: "an-help", id: "starts-file-help" }, text("starts.file.help")),
      el("div", { class: "an-control" }, file),
      el("p", { class: "an-problem", hidden: true }),
    );
  }

  outcome() {
    const said = [this.plan.readonly, ...this.plan.notices].filter(Boolean);
    this.notices.replaceChildren(...said.map((words) => el("p", { class: "an-notice" }, words)));
    this.go.disabled = Boolean(this.plan.readonly);
    // With nothing to choose from, the hint says what to do: that is no mistake of a person.
    const bare = this.plan.problem?.field === "starts" && this.plan.starts.length < 2;
    this.problem(bare ? null : this.plan.problem);
    this.foretell({});
    if (!this.plan.problem) this.estimate();
  }

  problem(found) {
    super.problem(found && { ...found, field: found.field === "start" ? "starts" : found.field });
  }

  estimate() {
    clearTimeout(this.pause);
    this.asking?.abort();
    this.pause = setTimeout(async () => {
      this.asking = new AbortController();
      say(this.note, text("train.estimate.busy"));
      try {
        const { signal } = this.asking;
        const found = await ask("/api/starts/estimate", { body: this.asked, signal });
        say(this.note, found.problem?.text ?? "");
        this.note.classList.toggle("bad", Boolean(found.problem));
        if (!found.problem) this.foretell(found);
      } catch (problem) {
        if (problem.name !== "AbortError") say(this.note, problem.message);
      }
    }, 400);
  }

  foretell(found) {
    const items = Object.values(found.items ?? {}).map(count).join(" · ");
    this.numbers.replaceChildren(
      this.row("runs", this.plan?.runs ? count(this.plan.runs) : "–", this.plan?.grid),
      this.row("steps", found.steps ? count(found.steps) : "–"),
      this.row("labels", items || "–"),
      this.row("time", found.seconds ? duration(found.seconds) : "–", found.device_name),
    );
    this.numbers.classList.toggle("stale", !found.steps);
  }

  begin() {
    clearTimeout(this.pause);
    this.asking?.abort();
    return super.begin();
  }
}

// --- what a comparison says ------------------------------------------------------------------------

class Result extends Comparison {
  constructor(page, id) {
    super(page, id, { address: "/api/starts", path: "/starts", words: "starts" });
  }

  lay() {
    this.said = el("div", { class: "starts-said", "aria-live": "polite" });
    this.heading = el("h2", { id: "starts-figure" }, "");
    this.plot = el("div", { class: "starts-plot", role: "img" });
    this.wait = el("p", { class: "an-muted starts-wait" }, text("starts.figure.wait"));
    this.save = button(text("starts.figure.save"), () => this.download(), { kind: "quiet" });
    this.saved = el("div", {});
    this.times = el("div", { class: "an-scroll" });
    this.cells = el("div", {});
    this.fair = el("p", { class: "an-help" });
    const csv = `/api/starts/${this.id}.csv`;
    this.page.replaceChildren(
      this.head,
      this.notices,
      el(
        "div",
        { class: "run-stack" },
        this.said,
        el(
          "section",
          { class: "an-card", "aria-labelledby": "starts-figure" },
          el(
            "div",
            { class: "an-card-head" },
            this.heading,
            el(
              "div",
              { class: "starts-actions" },
              this.save,
              el(
                "a",
                { class: "an-button quiet", href: csv, download: "" },
                text("starts.csv"),
              ),
            ),
          ),
          this.wait,
          this.plot,
          el("p", { class: "an-help" }, text("starts.figure.help")),
          this.fair,
        ),
        this.saved,
        card(text("starts.time"), this.times),
        card(text("comparison.runs"), this.cells),
        this.commandCard,
      ),
    );
  }

  fill() {
    const { found } = this;
    const going = this.going && found.said.length > 0;
    this.said.replaceChildren(
      ...found.said.map((one) => {
        const index = found.starts.findIndex(({ label }) => label === one.start);
        return el("p", { style: `--line: var(${colour(index)})` }, one.text);
      }),
      ...(going ? [el("p", { class: "an-muted an-small" }, text("comparison.said.more"))] : []),
    );
    show(this.said, found.said.length > 0);
    const measure = metricLabel(found.measure || "accuracy");
    say(this.heading, text("starts.figure", { measure }));
    say(this.fair, found.fair);
    this.fillSaved(measure);
    this.fillTimes();
    this.fillCells();
    this.figure();
  }

  // --- the figure ----------------------------------------------------------------------------------

  async figure() {
    const { found } = this;
    show(this.wait, !found?.places.length);
    show(this.plot, Boolean(found?.places.length));
    show(this.save, Boolean(found?.places.length));
    if (!found?.places.length) return;
    const plotly = await loadPlotly();
    if (!this.plot.isConnected) return;
    const scale = found.share ? 100 : 1;
    const traces = found.starts.flatMap((start, index) => {
      const places = found.places.filter((place) => place.start === index);
      if (!places.length) return [];
      const stroke = cssValue(colour(index));
      const x = places.map(({ items }) => items);
      const told = places.filter(({ half }) => half !== null); // one seed has no error
      const sides = told.map(({ items }) => items);
      const ends = (sign) => told.map(({ mean, half }) => scale * (mean + sign * half));
      const own = places.map(({ labels, score, values, seconds }) =>
        [
          `${labels}: ${score}`,
          ...values.map(
            ({ seed, value }) =>
              `${text("comparison.runs.seed", { seed })}: ${number(scale * value)}`,
          ),
          duration(seconds),
        ].join("<br>"),
      );
      return [
        {
          x: [...sides, ...sides.toReversed()],
          y: [...ends(1), ...ends(-1).toReversed()],
          fill: "toself",
          fillcolor: `${stroke}26`,
          line: { width: 0 },
          mode: "lines",
          hoverinfo: "skip",
          showlegend: false,
          legendgroup: String(index),
        },
        {
          x,
          y: places.map(({ mean }) => scale * mean),
          name: start.label,
          mode: "lines+markers",
          line: { color: stroke, width: 2 },
          marker: {
            color: stroke,
            size: 8,
            symbol: ["circle", "square", "diamond", "cross", "triangle-up"][index % 5],
          },
          text: own,
          hovertemplate: `<b>${escaped(start.label)}</b><br>%{text}<extra></extra>`,
          legendgroup: String(index),
        },
      ];
    });
    const ink = cssValue("--an-ink");
    const axis = {
      gridcolor: cssValue("--an-line"),
      linecolor: cssValue("--an-line-strong"),
      zeroline: false,
      automargin: true,
    };
    const measure = metricLabel(found.measure);
    await plotly.react(
      this.plot,
      traces,
      {
        height: HEIGHT,
        margin: { l: 8, r: 12, t: 8, b: 8 },
        paper_bgcolor: "rgba(0,0,0,0)",
        plot_bgcolor: "rgba(0,0,0,0)",
        font: { family: getComputedStyle(this.page).fontFamily, size: 12, color: ink },
        hovermode: "closest",
        hoverlabel: { align: "left" },
        legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom" },
        xaxis: {
          ...axis,
          type: "log",
          title: { text: text("starts.figure.axis") },
          tickvals: found.ticks.map(({ items }) => items),
          ticktext: found.ticks.map(({ items, amount }) => `${count(items)}<br>${amount}`),
          range: span(found.ticks.map(({ items }) => Math.log10(items))),
        },
        yaxis: { ...axis, title: { text: found.share ? `${measure} (%)` : measure } },
      },
      { displaylogo: false, displayModeBar: false, responsive: true },
    );
    const told = found.places.map(
      ({ start, labels, score }) => `${found.starts[start].label}, ${labels}: ${score}`,
    );
    this.plot.setAttribute(
      "aria-label",
      `${text("starts.figure", { measure })}. ${told.join("; ")}`,
    );
  }

  async download() {
    const plotly = await loadPlotly();
    const filename = `comparison-${this.id}`;
    await plotly.downloadImage(this.plot, { format: "svg", filename, width: 900, height: 480 });
  }

  // --- tables --------------------------------------------------------------------------------------

  fillSaved(measure) {
    const { saved, starts } = this.found;
    show(this.saved, saved.length > 0);
    if (!saved.length) return;
    const first = starts[0].label;
    const heads = ["start", "with", "reaches", "better", "needs", "times"];
    this.saved.replaceChildren(
      card(
        text("starts.saved", { measure: measure.toLowerCase() }),
        table(
          heads.map((head) => text(`starts.saved.${head}`, { first })),
          saved.map((row) => [
            nameOf(starts, row.start),
            row.labels,
            row.score,
            el(
              "span",
              {},
              `${row.better} `,
              el("span", { class: "starts-sure", "data-sure": String(row.sure) }, row.word),
            ),
            row.needs,
            el("b", {}, row.saved),
          ]),
        ),
        el("p", { class: "an-help" }, text("starts.saved.help", { first })),
      ),
    );
  }

  fillTimes() {
    const { starts } = this.found;
    const spent = (seconds) => (seconds ? duration(seconds) : "–");
    this.times.replaceChildren(
      table(
        ["saved.start", "adapt", "time.run", "time.all", "time.before"].map((head) =>
          text(head === "adapt" ? "form.method" : `starts.${head}`),
        ),
        starts.map((start, index) => [
          nameOf(starts, index),
          start.method,
          spent(start.each),
          spent(start.all),
          spent(start.before),
        ]),
      ),
    );
  }

  fillCells() {
    const { cells, starts, ticks, done, total, steps } = this.found;
    const link = (cell) => linkTo(cell, `${starts[cell.start].label}, ${cell.amount}`, steps);
    this.cells.replaceChildren(
      el(
        "p",
        { class: "an-muted" },
        `${text("comparison.runs.done", { done, total })} · `,
        el("a", { href: `/runs?comparison=${this.id}` }, text("comparison.runs.list")),
      ),
      table(
        [text("starts.saved.start"), ...ticks.map(({ amount }) => amount)],
        starts.map((start, index) => [
          nameOf(starts, index),
          ...ticks.map(({ amount }) =>
            el(
              "span",
              { class: "starts-cells" },
              cells
                .filter((cell) => cell.start === index && cell.amount === amount)
                .map((cell) => link(cell)),
            ),
          ),
        ]),
      ),
    );
  }
}

function span(places) {
  const [low, high] = [Math.min(...places), Math.max(...places)];
  const air = (high - low || 1) * 0.06;
  return [low - air, high + air];
}

const nameOf = (starts, index) =>
  named(starts[index].label, index, starts[index].run && `/run?id=${starts[index].run}`);
