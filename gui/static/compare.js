// Several runs side by side: their curves over each other, and only what differs.

import {
  ask,
  attempt,
  button,
  debounce,
  duration,
  el,
  isActive,
  linkTo,
  loadPlotly,
  measured,
  metricLabel,
  parameters,
  poll,
  remember,
  segments,
  show,
  spoken,
  statePill,
  text,
  unique,
} from "./page.js";
import { Chart, Feed, Settings, join, metricOf, metricsOf, splitOf } from "./curves.js";

const COLORS = 8;
const DRAWN = 9000; // points in all, so that many runs stay fluid
const DASH = { validation: "dot", test: "dash" };

loadPlotly().catch(() => {}); // 5 MB to parse, while the points are on their way

/** Fills the page's frame. */
export function mount(element) {
  new ComparePage(element.querySelector(".an-page"));
}

function asked() {
  const ids = (parameters().get("runs") ?? "").split(",").map(Number);
  return [...new Set(ids.filter((id) => Number.isInteger(id) && id > 0))];
}

/** A run's colour depends on its number, and on the others only where two would have the same. */
function colorsOf(ids) {
  const taken = new Map();
  const colors = new Map();
  for (const id of ids.toSorted((a, b) => a - b)) {
    const least = Math.min(...Array.from({ length: COLORS }, (_, slot) => taken.get(slot) ?? 0));
    let slot = id % COLORS;
    while ((taken.get(slot) ?? 0) > least) slot = (slot + 1) % COLORS;
    taken.set(slot, (taken.get(slot) ?? 0) + 1);
    colors.set(id, `--run-color-${slot + 1}`);
  }
  return colors;
}

class ComparePage {
  constructor(page) {
    this.page = page;
    this.ids = asked();
    this.feeds = new Map();
    this.views = new Map();
    this.hidden = new Set();
    this.runs = [];
    this.metric = parameters().get("metric");
    this.settings = new Settings((changed) => this.changed(changed));
    this.lay();
    const trouble = (problem) => show(this.lost, Boolean(problem));
    this.polled = poll(page, () => this.look(), trouble);
    this.points = poll(page, () => this.follow(), trouble);
  }

  lay() {
    this.lost = el(
      "span",
      { class: "an-state", "data-state": "paused", hidden: true, role: "status" },
      text("reconnecting"),
    );
    this.chips = el("ul", { class: "compare-runs" });
    this.adder = this.layAdder();
    this.choice = el("div", { class: "curve-choice" });
    this.place = el("div", {});
    const heads = [unique("compare"), unique("compare"), unique("compare")];
    this.chart = new Chart(this.place, {
      label: text("compare.label"),
      settings: this.settings,
      note: text("compare.dashes"),
      onzoom: (range) => this.zoom(range),
    });
    this.differs = el("div", { class: "run-scroll" });
    this.measures = el("div", { class: "run-scroll" });
    this.content = el(
      "div",
      { class: "run-stack" },
      el(
        "section",
        { class: "an-card curve-card", "aria-labelledby": heads[0] },
        el(
          "div",
          { class: "an-card-head" },
          el("h2", { id: heads[0] }, text("curves.split")),
          this.choice,
        ),
        this.settings.bar(),
        this.place,
      ),
      el(
        "section",
        { class: "an-card", "aria-labelledby": heads[1] },
        el("div", { class: "an-card-head" }, el("h2", { id: heads[1] }, text("run.measures"))),
        this.measures,
      ),
      el(
        "section",
        { class: "an-card", "aria-labelledby": heads[2] },
        el("div", { class: "an-card-head" }, el("h2", { id: heads[2] }, text("compare.differs"))),
        this.differs,
      ),
    );
    this.empty = el(
      "div",
      { class: "an-empty", hidden: true },
      el("h2", {}, text("compare.none")),
      el("p", {}, text("compare.none.help")),
      el("a", { class: "an-button", href: "/runs" }, text("compare.choose")),
    );
    this.count = el("p", {}, text("compare.lead"));
    this.page.replaceChildren(
      el(
        "header",
        { class: "an-head" },
        el("div", {}, el("h1", {}, text("nav.compare")), this.count),
        this.lost,
      ),
      el("div", { class: "compare-top" }, this.chips, this.adder),
      this.empty,
      this.content,
    );
  }

  // --- which runs --------------------------------------------------------------------------------

  layAdder() {
    const list = el("datalist", { id: unique("runs") });
    const found = new Map();
    const input = el("input", {
      class: "an-input",
      list: list.id,
      placeholder: text("compare.add.hint"),
      "aria-label": text("compare.add"),
      autocomplete: "off",
    });
    const offer = debounce(async () => {
      const search = found.has(input.value) ? "" : input.value.trim();
      const query = new URLSearchParams({ search, limit: 30 });
      const reply = await attempt(() => ask(`/api/runs?${query}`));
      if (!reply) return;
      for (const run of reply.runs) found.set(`${run.name} (${run.id})`, run.id);
      const others = reply.runs.filter((run) => !this.ids.includes(run.id));
      list.replaceChildren(
        ...others.map((run) => el("option", { value: `${run.name} (${run.id})` })),
      );
    }, 150);
    const take = () => {
      const id = found.get(input.value) ?? Number(input.value || Number.NaN);
      if (!Number.isInteger(id) || id <= 0) return;
      input.value = "";
      this.choose([...this.ids, id]);
    };
    input.addEventListener("focus", offer, { once: true });
    input.addEventListener("input", () => (found.has(input.value) ? take() : offer()));
    input.addEventListener("keydown", (event) => {
      if (event.key === "Enter") take();
    });
    return el("div", { class: "compare-add" }, input, list);
  }

  choose(ids) {
    this.ids = [...new Set(ids)];
    remember({ runs: this.ids.join(",") });
    for (const id of this.feeds.keys()) if (!this.ids.includes(id)) this.drop(id);
    this.polled.now();
    this.points.now();
  }

  drop(id) {
    this.feeds.delete(id);
    this.views.delete(id);
    this.hidden.delete(id);
    this.draw();
  }

  // --- what the server says ----------------------------------------------------------------------

  async look() {
    show(this.empty, !this.ids.length);
    show(this.content, this.ids.length > 0);
    show(this.chips, this.ids.length > 0);
    if (!this.ids.length) {
      this.runs = [];
      return 2000;
    }
    const wanted = this.ids.join(",");
    const reply = await ask(`/api/compare?runs=${wanted}`);
    if (wanted !== this.ids.join(",")) return 0;
    if (reply.missing.length) {
      this.choose(this.ids.filter((id) => !reply.missing.includes(id)));
      return 0;
    }
    const signature = JSON.stringify(reply);
    if (signature !== this.signature) {
      this.signature = signature;
      this.runs = reply.runs;
      this.colors = colorsOf(this.ids);
      this.layChips();
      this.layMeasures(reply.metrics);
      this.layDifferences(reply.differences);
      this.draw();
    }
    return reply.runs.some((run) => isActive(run.state)) ? 1000 : 3000;
  }

  async follow() {
    let anew = false;
    let grown = false;
    await Promise.all(
      this.runs.map(async ({ id, state }) => {
        let feed = this.feeds.get(id);
        const over =
          feed?.run && !["queued", "preparing", "running", "paused"].includes(feed.run.state);
        if (over && feed.run.state === state) return;
        if (!feed) {
          feed = new Feed(id, Math.max(300, Math.floor(DRAWN / this.ids.length / 2)));
          this.feeds.set(id, feed);
        }
        const { all, added } = await feed.next();
        if (all) {
          anew = true;
          this.views.set(id, new Map(feed.series));
          return;
        }
        for (const [name, part] of added) {
          const view = this.views.get(id);
          view.set(name, this.range ? join(view.get(name), part) : feed.series.get(name));
          grown = true;
        }
      }),
    );
    if (anew) await this.draw();
    else if (grown)
      await this.chart.grow(new Map(this.lines().map((line) => [line.key, line.points])));
    const busy = this.runs.some((run) => isActive(run.state));
    return !this.runs.length || this.feeds.size < this.runs.length ? 100 : busy ? 400 : 2000;
  }

  // --- curves ------------------------------------------------------------------------------------

  draw() {
    const names = new Set([...this.views.values()].flatMap((view) => [...view.keys()]));
    const metrics = metricsOf(names);
    if (!metrics.includes(this.metric)) this.metric = metrics[0] ?? null;
    const known = metrics.join();
    if (known !== this.known) {
      this.known = known;
      const choices = metrics.map((metric) => [metric, metricLabel(metric)]);
      if (choices.length)
        this.choice.replaceChildren(
          segments(text("curves.measure"), choices, this.metric, (metric) => {
            this.metric = metric;
            remember({ metric });
            this.chart.afresh();
            this.range = null;
            this.draw();
          }),
        );
    }
    this.chart.say(names.size ? "" : text("compare.waiting"));
    return this.chart.set(this.lines());
  }

  lines() {
    const { split } = this.settings;
    return this.runs
      .filter((run) => !this.hidden.has(run.id))
      .flatMap((run) => {
        const unit = Math.max(1e-9, (run.steps || run.step || 1) / 1000);
        return [...(this.views.get(run.id) ?? [])]
          .filter(([name]) => metricOf(name) === this.metric)
          .filter(([name]) => split === "both" || !splitOf(name) || splitOf(name) === split)
          .map(([name, points]) => ({
            key: `${run.id} ${name}`,
            label: splitOf(name) ? `${run.name} · ${text(`split.${splitOf(name)}`)}` : run.name,
            color: this.colors.get(run.id),
            dash: DASH[splitOf(name)] ?? null,
            points,
            unit,
          }));
      });
  }

  changed(changed) {
    if (changed.includes("axis") || changed.includes("log")) {
      this.chart.afresh();
      this.coarse();
    }
    this.draw();
  }

  coarse() {
    this.range = null;
    for (const [id, feed] of this.feeds) this.views.set(id, new Map(feed.series));
  }

  async zoom(range) {
    if (!range) {
      this.coarse();
      await this.draw();
      return;
    }
    this.range = range;
    await attempt(() =>
      Promise.all(
        [...this.feeds].map(async ([id, feed]) => {
          if (!feed.thinned) return;
          const [low, high] = range.map((place) => feed.stepAt(this.settings.axis, place));
          const view = await feed.detail(Math.floor(low), Math.ceil(high));
          if (this.range === range) this.views.set(id, view);
        }),
      ),
    );
    if (this.range === range) await this.draw();
  }

  // --- chips and tables --------------------------------------------------------------------------

  layChips() {
    const had = this.chips.contains(document.activeElement)
      ? document.activeElement.getAttribute("aria-label")
      : null;
    this.chips.replaceChildren(
      ...this.runs.map((run) => {
        const eye = el("button", {
          type: "button",
          class: "compare-eye",
          "aria-pressed": String(!this.hidden.has(run.id)),
          "aria-label": text("compare.show", run),
          title: text("compare.show.help"),
          onclick: () => {
            if (!this.hidden.delete(run.id)) this.hidden.add(run.id);
            eye.setAttribute("aria-pressed", String(!this.hidden.has(run.id)));
            this.draw();
          },
        });
        const remove = button("×", () => this.choose(this.ids.filter((id) => id !== run.id)), {
          kind: "quiet",
          name: text("compare.remove", run),
          title: text("compare.remove.help"),
        });
        return el(
          "li",
          { style: `--line: var(${this.colors.get(run.id)})` },
          eye,
          linkTo(run),
          statePill(run.state, run.wish),
          remove,
        );
      }),
    );
    if (had)
      [...this.chips.querySelectorAll("button")]
        .find((one) => one.getAttribute("aria-label") === had)
        ?.focus();
  }

  heads() {
    return el(
      "thead",
      {},
      el(
        "tr",
        {},
        el("td", {}),
        ...this.runs.map((run) =>
          el(
            "th",
            { scope: "col", style: `--line: var(${this.colors.get(run.id)})` },
            el("i", { "aria-hidden": "true" }),
            el("span", { dir: "auto" }, run.name),
          ),
        ),
      ),
    );
  }

  table(rows) {
    return el("table", { class: "compare-table" }, this.heads(), el("tbody", {}, ...rows));
  }

  layMeasures(metrics) {
    const time = el(
      "tr",
      {},
      el("th", { scope: "row" }, text("run.fact.spent")),
      ...this.runs.map((run) =>
        el("td", { class: "an-number" }, run.seconds ? duration(run.seconds) : "–"),
      ),
    );
    const rows = metrics.map(({ name, values, best }) =>
      el(
        "tr",
        {},
        el("th", { scope: "row" }, metricLabel(name, { split: true })),
        ...this.runs.map((run) => {
          const isBest = best.includes(run.id);
          return el(
            "td",
            { class: `an-number${isBest ? " best" : ""}` },
            run.id in values ? measured(name, values[run.id]) : "–",
            isBest ? el("span", { class: "compare-best" }, text("compare.best")) : null,
          );
        }),
      ),
    );
    this.measures.replaceChildren(this.table([...rows, time]));
  }

  layDifferences(differences) {
    if (this.runs.length < 2) {
      this.differs.replaceChildren(el("p", { class: "an-muted run-quiet" }, text("compare.alone")));
    } else if (!differences.length) {
      this.differs.replaceChildren(el("p", { class: "an-muted run-quiet" }, text("compare.same")));
    } else {
      this.differs.replaceChildren(
        this.table(
          differences.map(({ label, values }) =>
            el(
              "tr",
              {},
              el("th", { scope: "row" }, label),
              ...this.runs.map((run) =>
                el("td", {}, (values[run.id] ?? null) === null ? "–" : spoken(values[run.id])),
              ),
            ),
          ),
        ),
      );
    }
  }
}
