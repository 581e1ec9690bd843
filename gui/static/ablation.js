// Does the augmentation help? All ablations, or what one says so far.

import { Comparison, linkTo, named, words } from "./comparing.js";
import {
  ask,
  cssValue,
  duration,
  el,
  loadPlotly,
  metricLabel,
  parameters,
  poll,
  say,
  show,
  text,
} from "./page.js";
import { card, listed, table } from "./plans.js";

const HEIGHT = 320;

/** Fills the page's frame. */
export function mount(element) {
  const page = element.querySelector(".an-starts");
  const id = Number(parameters().get("id"));
  if (Number.isInteger(id) && id > 0) new Result(page, id);
  else all(page);
}

/** Every ablation there is. */
function all(page) {
  const kept = el("ul", { class: "starts-kept" });
  const none = el(
    "div",
    { class: "an-empty" },
    el("h2", {}, text("ablation.none")),
    el("p", {}, text("ablation.none.why")),
    el("a", { class: "an-button primary", href: "/" }, text("nav.train")),
  );
  const box = card(text("ablation.all"), kept);
  page.replaceChildren(
    el(
      "header",
      { class: "an-head" },
      el("div", {}, el("h1", {}, text("ablation.title")), el("p", {}, text("ablation.lead"))),
    ),
    none,
    box,
  );
  page.classList.add("waiting");
  poll(page, async () => {
    const { comparisons } = await ask("/api/ablations");
    listed(kept, comparisons, "/ablation", words);
    show(none, !comparisons.length);
    show(box, comparisons.length > 0);
    page.classList.remove("waiting");
    return 2500;
  });
}

class Result extends Comparison {
  constructor(page, id) {
    super(page, id, { address: "/api/ablations", path: "/ablation", words: "ablation" });
  }

  lay() {
    this.said = el("div", { class: "starts-said", "aria-live": "polite" });
    this.heading = el("h2", { id: "ablation-figure" }, "");
    this.plot = el("div", { class: "starts-plot ablation-plot", role: "img" });
    this.wait = el("p", { class: "an-muted starts-wait" }, text("starts.figure.wait"));
    this.rows = el("div", {});
    this.cells = el("div", {});
    this.page.replaceChildren(
      this.head,
      this.notices,
      el(
        "div",
        { class: "run-stack" },
        this.said,
        el(
          "section",
          { class: "an-card", "aria-labelledby": "ablation-figure" },
          el("div", { class: "an-card-head" }, this.heading),
          this.wait,
          this.plot,
          this.rows,
          el("p", { class: "an-help" }, text("ablation.figure.help")),
          el("p", { class: "an-help" }, text("ablation.fair")),
        ),
        card(text("comparison.runs"), this.cells),
        this.commandCard,
      ),
    );
  }

  fill() {
    const { found } = this;
    const more = this.going && found.said.length > 0;
    this.said.replaceChildren(
      ...found.said.map((words) => el("p", {}, words)),
      ...(more ? [el("p", { class: "an-muted an-small" }, text("comparison.said.more"))] : []),
    );
    show(this.said, found.said.length > 0);
    const measure = metricLabel(found.measure || "accuracy");
    say(this.heading, text("ablation.figure", { measure }));
    this.fillRows();
    this.fillCells();
    this.figure();
  }

  fillRows() {
    const { arms, whole } = this.found;
    this.rows.replaceChildren(
      table(
        ["arm", "score", "better", "interval", "time"].map((head) => text(`ablation.${head}`)),
        arms.map((arm, index) => [
          named(arm.label, index),
          arm.score ?? "–",
          index === whole
            ? "–"
            : el(
                "span",
                { class: "starts-sure", "data-sure": String(arm.sure) },
                arm.better ?? "–",
              ),
          arm.interval ?? "–",
          arm.seconds ? duration(arm.seconds) : "–",
        ]),
      ),
    );
  }

  fillCells() {
    const { cells, arms, done, total } = this.found;
    const seeds = [...new Set(cells.map(({ seed }) => seed))];
    this.cells.replaceChildren(
      el(
        "p",
        { class: "an-muted" },
        `${text("comparison.runs.done", { done, total })} · `,
        el("a", { href: `/runs?comparison=${this.id}` }, text("comparison.runs.list")),
      ),
      table(
        [text("ablation.arm"), ...seeds.map((seed) => text("comparison.runs.seed", { seed }))],
        arms.map((arm, index) => [
          named(arm.label, index),
          ...seeds.map((seed) => {
            const cell = cells.find((one) => one.arm === index && one.seed === seed);
            return linkTo(cell, arm.label, cell.steps);
          }),
        ]),
      ),
    );
  }

  /** Each seed's runs joined by a line, and the mean of each arm with its deviation. */
  async figure() {
    const { found } = this;
    const any = Boolean(found?.arms.some(({ values }) => values.length));
    show(this.wait, !any);
    show(this.plot, any);
    if (!any) return;
    const plotly = await loadPlotly();
    if (!this.plot.isConnected) return;
    const scale = found.share ? 100 : 1;
    const ink = cssValue("--an-ink");
    const [thin, strong] = [cssValue("--an-muted"), cssValue("--an-series-1")];
    const seeds = [...new Set(found.cells.map(({ seed }) => seed))];
    const names = found.arms.map(({ label }) => label);
    const lines = seeds.map((seed) => ({
      x: names,
      y: found.arms.map(({ values }) => {
        const own = values.find((one) => one.seed === seed);
        return own ? scale * own.value : null;
      }),
      name: text("comparison.runs.seed", { seed }),
      mode: "lines+markers",
      line: { color: thin, width: 1 },
      marker: { color: thin, size: 6 },
      showlegend: false,
    }));
    const told = found.arms.filter(({ mean }) => mean !== null);
    const means = {
      x: told.map(({ label }) => label),
      y: told.map(({ mean }) => scale * mean),
      error_y: {
        type: "data",
        array: told.map(({ deviation }) => scale * (deviation ?? 0)),
        color: strong,
        thickness: 2,
        width: 8,
      },
      name: text("ablation.figure.mean"),
      mode: "markers",
      marker: { color: strong, size: 11, symbol: "diamond" },
      showlegend: false,
    };
    const axis = {
      gridcolor: cssValue("--an-line"),
      linecolor: cssValue("--an-line-strong"),
      zeroline: false,
      automargin: true,
    };
    const measure = metricLabel(found.measure);
    await plotly.react(
      this.plot,
      [...lines, means],
      {
        height: HEIGHT,
        margin: { l: 8, r: 12, t: 8, b: 8 },
        paper_bgcolor: "rgba(0,0,0,0)",
        plot_bgcolor: "rgba(0,0,0,0)",
        font: { family: getComputedStyle(this.page).fontFamily, size: 12, color: ink },
        hovermode: "closest",
        xaxis: { ...axis, type: "category", categoryorder: "array", categoryarray: names },
        yaxis: { ...axis, title: { text: found.share ? `${measure} (%)` : measure } },
      },
      { displaylogo: false, displayModeBar: false, responsive: true },
    );
    const spoken = told.map(({ label, score }) => `${label}: ${score}`);
    this.plot.setAttribute(
      "aria-label",
      `${text("ablation.figure", { measure })}. ${spoken.join("; ")}`,
    );
  }
}
