// What a run's model is in smaller and faster forms, side by side, and ways to make more of them.

import {
  ask,
  attempt,
  button,
  bytes,
  count,
  el,
  linkTo,
  measured,
  metricLabel,
  onChange,
  show,
  statePill,
  text,
  unique,
} from "./page.js";
import { coming } from "./sending.js";

const milliseconds = (value) => (value < 10 ? value.toFixed(2) : value.toFixed(1));

/** A card of a finished run's page. */
export class Smaller {
  constructor(id) {
    this.id = id;
    const head = unique("smaller");
    this.bar = el("div", {});
    this.table = el("div", { class: "run-scroll" });
    this.progress = el("div", { role: "status" });
    this.ways = el("div", { class: "smaller-ways" });
    this.element = el(
      "section",
      { class: "an-card run-smaller", "aria-labelledby": head, hidden: true },
      el("div", { class: "an-card-head" }, el("h2", { id: head }, text("smaller")), this.bar),
      this.table,
      this.progress,
      this.ways,
    );
    this.draw = onChange((known) => this.lay(known));
    this.drawWays = onChange((known) => this.layWays(known));
  }

  /** What the page has just learned of its run. */
  async update({ run, family }) {
    const over = run.state === "finished" && run.saved_step !== null;
    show(this.element, over);
    if (!over) return;
    const children = family.children.map(({ id, state }) => [id, state]);
    const seen = JSON.stringify([run.id, children]);
    if (seen === this.seen) return;
    this.seen = seen;
    await this.load();
  }

  async load() {
    const known = await attempt(() => ask(`/api/runs/${this.id}/smaller`));
    if (!known) return;
    this.draw({ runs: known.runs, original: known.original });
    this.drawWays({ ways: known.ways, original: known.original, readonly: known.readonly });
  }

  lay({ runs, original }) {
    const first = runs.find((run) => run.id === original);
    const label = first?.test ? metricLabel(first.test.name) : text("smaller.score");
    const columns = [
      text("smaller.size"),
      text("smaller.compressed"),
      text("smaller.one"),
      text("smaller.many"),
      text("smaller.rate"),
      label,
    ];
    const head = el(
      "tr",
      {},
      el("td", {}),
      ...columns.map((words) => el("th", { scope: "col" }, words)),
    );
    const rows = runs.map((run) => this.row(run, run.id === original));
    this.table.replaceChildren(
      el(
        "table",
        { class: "run-scores smaller-table" },
        el("thead", {}, head),
        el("tbody", {}, ...rows),
      ),
    );
    const last = runs.findLast((run) => run.measured)?.measured;
    const note = last
      ? text("smaller.note", { device: last.device, threads: last.threads })
      : text("smaller.invite");
    this.table.append(el("p", { class: "an-muted an-small smaller-note" }, note));
  }

  row({ id, name, method, state, test, measured: found }, first) {
    const cell = (...words) => el("td", { class: "an-number" }, ...words);
    const time = (size) => {
      const one = found?.latency[size];
      if (!one) return cell("–");
      const late = text("smaller.late", { time: milliseconds(one.p95) });
      return cell(milliseconds(one.median), el("span", { class: "an-muted an-small" }, ` ${late}`));
    };
    const called = id === this.id ? el("b", { dir: "auto" }, name) : linkTo({ id, name });
    const about = [first ? text("smaller.original") : method, found?.arithmetic];
    if (found && found.zeros > 0.02)
      about.push(text("smaller.zeros", { share: Math.round(100 * found.zeros) }));
    return el(
      "tr",
      { class: first ? "first" : "" },
      el(
        "th",
        { scope: "row" },
        called,
        el("span", { class: "an-muted an-small smaller-about" }, about.filter(Boolean).join(" · ")),
        state === "finished" ? null : statePill(state),
      ),
      cell(found ? bytes(found.bytes) : "–"),
      cell(found ? bytes(found.compressed) : "–"),
      time(1),
      time(32),
      cell(found ? count(Math.round(found.throughput)) : "–"),
      cell(test ? measured(test.name, test.value) : "–"),
    );
  }

  layWays({ ways, original, readonly }) {
    this.bar.replaceChildren(
      ...(readonly ? [] : [button(text("smaller.measure"), () => this.measure())]),
    );
    const one = ({ method, label, help, at_once: atOnce, href }) =>
      el(
        "li",
        {},
        el("div", {}, el("b", {}, label), el("p", { class: "an-muted an-small" }, help)),
        el(
          "span",
          { class: "smaller-actions" },
          atOnce && !readonly
            ? button(text("smaller.make"), () => this.make(original, method), {
                name: `${text("smaller.make")}: ${label}`,
              })
            : null,
          el(
            "a",
            { class: "an-button quiet", href, "aria-label": `${text("smaller.choose")}: ${label}` },
            text("smaller.choose"),
          ),
        ),
      );
    this.ways.replaceChildren(el("ul", {}, ...ways.map(one)));
  }

  async make(original, method) {
    const done = await attempt(() =>
      ask(`/api/runs/${original}/smaller`, { body: { method } }),
    );
    if (!done) return;
    this.progress.replaceChildren(
      el(
        "p",
        { class: "an-notice" },
        `${text("smaller.queued")} `,
        el("a", { href: `/run?id=${done.run}` }, text("smaller.watch")),
      ),
    );
    await this.load();
  }

  async measure() {
    this.asking?.abort();
    const asking = new AbortController();
    this.asking = asking;
    const bar = el("progress", { max: 1, "aria-label": text("smaller.measuring") });
    const stop = button(text("predict.stop"), () => asking.abort());
    this.progress.replaceChildren(
      el("div", { class: "closer-progress" }, bar, text("smaller.measuring"), stop),
    );
    try {
      for await (const line of coming(`/api/runs/${this.id}/measure`, {}, asking.signal)) {
        if (line.error !== undefined) throw new Error(line.error);
        if (line.progress?.total) bar.value = line.progress.done / line.progress.total;
      }
      this.progress.replaceChildren();
      await this.load();
    } catch (problem) {
      const stopped = problem.name === "AbortError";
      this.progress.replaceChildren(
        ...(stopped
          ? []
          : [el("p", { class: "an-notice bad", role: "alert" }, problem.message)]),
      );
    }
  }
}
