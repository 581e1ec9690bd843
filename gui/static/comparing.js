// What every comparison of runs shows, whatever its runs differ in: how far it is, what can be done
// with it, the command that repeats it.

import {
  ask,
  attempt,
  button,
  confirmed,
  copy,
  el,
  onTheme,
  poll,
  say,
  show,
  text,
} from "./page.js";
import { card, gone, pill, reconnecting } from "./plans.js";

const COLOURS = 6;
const GOING = ["running", "queued"];

/** The CSS variable of a line's colour. */
export const colour = (index) => `--an-series-${(index % COLOURS) + 1}`;
/** The strings that all comparisons share. */
export const words = (key, values) => text(`comparison.${key}`, values);

/** A name in its colour, with a link where there is a page about it. */
export const named = (label, index, href = null) =>
  el(
    "span",
    { class: "starts-name", style: `--line: var(${colour(index)})` },
    href ? el("a", { href }, label) : label,
  );

/** A run of the comparison in a word: how far it is, or its number when it has finished. */
export function linkTo(cell, whose, steps) {
  const state = cell.state ?? "missing";
  if (!cell.run)
    return el(
      "span",
      { class: "an-state", "data-state": "queued" },
      text("comparison.runs.missing"),
    );
  const part = steps ? Math.round((100 * cell.step) / steps) : 0;
  const words = state === "running" ? `${part} %` : text(`state.${state}`);
  const name = `${whose}, ${text("comparison.runs.seed", cell)}`;
  return el(
    "a",
    {
      class: "an-state",
      "data-state": state,
      href: `/run?id=${cell.run}`,
      title: name,
      "aria-label": `${name}: ${words}`,
    },
    state === "finished" ? `${cell.run}` : words,
  );
}

/**
 * What a comparison says so far: asks again and again, and fills the page.
 *
 * Its page lays itself out in `lay()`, from the parts made here too, and shows what is found in
 * `fill()` and `figure()`. `address` is where it is asked, `path` the page of all of them, and
 * `words` what its strings begin with; `states(key)` are those that say how far it is.
 */
export class Comparison {
  constructor(page, id, { address, path, words: begin, states = words }) {
    Object.assign(this, { page, id, path, words: begin, states, address: `${address}/${id}` });
    this.page.classList.add("waiting");
    this.parts();
    this.lay();
    this.polled = poll(
      page,
      () => this.look(),
      (problem) => {
        show(this.lost, Boolean(problem));
        if (problem?.status === 404) this.gone();
      },
    );
    onTheme(page, () => this.figure());
  }

  parts() {
    this.lost = reconnecting();
    this.title = el("h1", { dir: "auto" });
    this.state = el("span", {});
    this.actions = el("div", { class: "starts-actions" });
    this.notices = el("div", { "aria-live": "polite" });
    this.head = el(
      "header",
      { class: "an-head" },
      el(
        "div",
        {},
        el(
          "p",
          { class: "an-crumb an-small" },
          el("a", { href: this.path }, text(`${this.words}.title`)),
        ),
        el("div", { class: "starts-title" }, this.title, this.state, this.lost),
      ),
      this.actions,
    );
    this.command = el("pre", { tabindex: 0, "aria-label": text("comparison.command") });
    const copier = button(text("train.copy"), () => copy(this.command.textContent, copier));
    this.commandCard = card(
      text("comparison.command"),
      el("div", { class: "starts-command" }, this.command, copier),
    );
  }

  /** Whether more is still to come. */
  get going() {
    return GOING.includes(this.found.state);
  }

  gone() {
    this.polled.stop();
    gone(this.page, this.path, (key) => text(`${this.words}.${key}`));
  }

  async look() {
    const found = await ask(this.address);
    const known = JSON.stringify(found);
    if (known !== this.known) {
      this.known = known;
      this.found = found;
      this.fillHead();
      this.fill();
    }
    this.page.classList.remove("waiting");
    return this.going ? 1000 : 3000;
  }

  fillHead() {
    const { found } = this;
    say(this.title, found.name);
    document.title = `${found.name} · ${text("app")}`;
    this.state.replaceChildren(pill(this.states, found.state));
    this.fillActions();
    const stopped = found.state === "stopped" ? [this.states("stopped.help")] : [];
    stopped.push(...(found.knows ?? []));
    this.notices.replaceChildren(
      ...stopped.map((words) => el("p", { class: "an-notice" }, words)),
      ...found.notices.map((words) => el("p", { class: "an-notice bad" }, words)),
    );
    say(this.command, found.command);
  }

  fillActions() {
    const { state, readonly, total } = this.found;
    const kind = `${state} ${readonly}`;
    if (kind === this.shown) return;
    this.shown = kind;
    const act = async (what) => {
      await attempt(() => ask(`${this.address}/${what}`, { body: {} }));
      this.polled.now();
    };
    const remove = async () => {
      const sure = await confirmed({
        title: text(`${this.words}.delete.title`),
        words: text("comparison.delete.words", { count: total }),
        action: text("comparison.delete"),
        danger: true,
      });
      if (!sure) return;
      const done = await attempt(() => ask(`${this.address}/delete`, { body: {} }));
      if (done) window.location.assign(this.path);
    };
    const all = [];
    if (this.going) all.push(button(text("comparison.stop"), () => act("stop")));
    if (state === "stopped")
      all.push(button(text("comparison.resume"), () => act("resume"), { kind: "primary" }));
    if (!this.going) all.push(button(text("comparison.delete"), remove, { kind: "danger" }));
    for (const one of all) one.disabled = readonly;
    this.actions.replaceChildren(...all);
  }
}
