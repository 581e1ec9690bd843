// Which runs a run comes from, which come from it, and what it took over at its start.

import { el, linkTo, measured, metricLabel, onChange, statePill, text, unique } from "./page.js";

/** Tensors that are named; of more, how many there are. */
const NAMED = 40;

/** A card with the family of a run; not there while it has none. */
export class Lineage {
  constructor() {
    const head = unique("lineage");
    this.body = el("div", {});
    this.element = el(
      "section",
      { class: "an-card run-lineage", "aria-labelledby": head, hidden: true },
      el("div", { class: "an-card-head" }, el("h2", { id: head }, text("lineage"))),
      this.body,
    );
    this.draw = onChange((family) => this.lay(family));
  }

  update({ run, family }) {
    this.draw({ family, self: { id: run.id, name: run.name }, start: run.metrics.start ?? null });
  }

  lay({ family, self, start }) {
    const { ancestors, children } = family;
    this.element.hidden = !ancestors.length && !children.length && !start;
    const steps = [...ancestors, self].map((run, depth) => this.one(run, depth, run === self));
    const after = children.map((run) => this.one(run, ancestors.length + 1, false));
    // Weights of others: where they come from is told as they tell it.
    const root = start && !ancestors.length ? el("p", { class: "an-muted" }, start.source) : null;
    this.body.replaceChildren(
      ...(root ? [root] : []),
      el("ol", { class: "run-family" }, steps, after),
      ...(start ? [this.taken(start)] : []),
    );
  }

  one({ id, name, method, state, test, validation }, depth, here) {
    const headline = test ?? validation;
    const score = headline
      ? `${metricLabel(headline.name)} ${measured(headline.name, headline.value)}`
      : null;
    return el(
      "li",
      { style: `--depth:${depth}`, "aria-current": here ? "true" : null },
      here ? el("b", { dir: "auto" }, name) : linkTo({ id, name }),
      here
        ? null
        : el("span", { class: "an-muted an-small" }, [method, score].filter(Boolean).join(" · ")),
      here || state === "finished" ? null : statePill(state),
    );
  }

  /** What was loaded, what is new, and what had no place. */
  taken({ loaded, new: made, left }) {
    const part = (key, names) =>
      names.length
        ? el(
            "details",
            {},
            el("summary", {}, text(`lineage.${key}`, { count: names.length })),
            el(
              "ul",
              { class: "an-mono an-small" },
              names.slice(0, NAMED).map((name) => el("li", {}, name)),
              names.length > NAMED
                ? el("li", {}, text("lineage.more", { count: names.length - NAMED }))
                : null,
            ),
          )
        : null;
    return el(
      "div",
      { class: "run-taken" },
      part("loaded", loaded),
      part(
        "new",
        made.map(({ name, why }) => `${name}: ${why}`),
      ),
      part("left", left),
    );
  }
}
