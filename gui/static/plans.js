// What the pages for plans of many runs share: the form with the plans that there are beside it,
// cards and tables.

import { fieldOf, isUsual, matters } from "./fields.js";
import {
  ago,
  ask,
  attempt,
  button,
  el,
  poll,
  say,
  select,
  settling,
  text,
  TYPING,
  unique,
} from "./page.js";

/** A card with a heading. */
export function card(title, ...parts) {
  const head = unique("card");
  return el(
    "section",
    { class: "an-card", "aria-labelledby": head },
    el("div", { class: "an-card-head" }, el("h2", { id: head }, title)),
    ...parts,
  );
}

/** A table whose rows begin with their name; a row is its cells, or `{ cells, current }`. */
export function table(heads, rows, kind = "starts-table") {
  return el(
    "div",
    { class: "an-scroll", tabindex: 0 },
    el(
      "table",
      { class: `an-table ${kind}` },
      el("thead", {}, el("tr", {}, heads.map((head) => el("th", { scope: "col" }, head)))),
      el(
        "tbody",
        {},
        rows.map((row) => {
          const [first, ...rest] = row.cells ?? row;
          return el(
            "tr",
            { "aria-current": row.current ? "true" : null },
            el("th", { scope: "row" }, first),
            rest.map((cell) => el("td", {}, cell)),
          );
        }),
      ),
    ),
  );
}

/** A plan's state as a coloured word. */
export const pill = (words, state) =>
  el(
    "span",
    { class: "an-state", "data-state": state === "stopped" ? "paused" : state },
    words(`state.${state}`),
  );

/** Fills a list with every plan and how far it is; `words` says that, `none` that there is none. */
export function listed(list, plans, path, words, none = "") {
  list.replaceChildren(
    ...(plans.length
      ? plans.map((one) =>
          el(
            "li",
            {},
            el("a", { href: `${path}?id=${one.id}`, dir: "auto" }, one.name),
            pill(words, one.state),
            el(
              "span",
              { class: "an-muted an-small" },
              `${words("progress", one)} · ${ago(one.created)}`,
            ),
          ),
        )
      : [el("li", { class: "an-muted" }, none)]),
  );
}

/** What a label of a person's own may not be in Plotly's small HTML. */
export const escaped = (words) =>
  words.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

/**
 * A form for a plan. `name` is the page's, `words(key)` its strings, `shared(key)` those that say
 * how far a plan is, `kinds` the cards that are chosen, `fixed(field)` whether a setting of them is on the form.
 *
 * A subclass draws `parts(opened)`, and says in `outcome()` what a new plan means.
 */
export class PlanForm {
  constructor(page, { name, words, shared = words, kinds, fixed }) {
    Object.assign(this, { page, name, words, shared, kinds, fixed });
    this.path = `/api/${name}`;
    this.renew = settling(
      () => attempt(() => ask(`${this.path}/form`, { body: this.asked })),
      (fresh, redraw) => {
        this.plan = fresh;
        if (redraw) this.draw();
        else this.outcome();
      },
    );
    this.lay();
    this.open();
    poll(page, () => this.list());
  }

  lay() {
    this.notices = el("div", { "aria-live": "polite" });
    this.form = el("form", { class: "an-form", novalidate: true });
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.failure = el("p", { class: "an-problem", role: "alert", hidden: true });
    this.go = button(this.words("go"), () => this.begin(), { kind: "primary" });
    this.go.classList.add("large", "wide");
    this.go.setAttribute("aria-keyshortcuts", "Control+Enter");
    this.go.disabled = true;
    this.numbers = el("dl", { class: "an-estimate" });
    this.note = el("p", { class: "an-estimate-note", "aria-live": "polite" });
    this.kept = el("ul", { class: "starts-kept" });
    this.page.replaceChildren(
      el(
        "header",
        { class: "an-head" },
        el("div", {}, el("h1", {}, this.words("title")), el("p", {}, this.words("lead"))),
      ),
      this.notices,
      el(
        "div",
        { class: "an-train-grid" },
        this.form,
        el(
          "aside",
          { class: "an-aside", "aria-label": this.words("plan") },
          card(
            this.words("plan"),
            this.numbers,
            this.note,
            el("div", { class: "an-go" }, this.failure, this.go),
          ),
          card(this.words("kept"), this.kept),
        ),
      ),
    );
  }

  /** The plans that there are. */
  async list() {
    const [plans] = Object.values(await ask(this.path));
    const known = JSON.stringify(plans);
    if (known === this.known) return 2500;
    this.known = known;
    listed(this.kept, plans, `/${this.name}`, this.shared, this.words("kept.none"));
    return 2500;
  }

  async open() {
    const before = window.history.state?.[this.name];
    try {
      this.plan = before
        ? await ask(`${this.path}/form`, { body: before })
        : await ask(`${this.path}/form${window.location.search}`);
    } catch (problem) {
      this.notices.replaceChildren(el("p", { class: "an-notice bad" }, problem.message));
      if (this.page.isConnected && problem.offline) setTimeout(() => this.open(), 2000);
      return;
    }
    this.draw();
  }

  /** Asks for the plan of what is set now (`settling`), and draws it anew where other things can be
   * chosen. */
  settle(redraw, ms) {
    this.numbers.classList.add("stale");
    // Where the form keeps what was set when the browser goes back.
    window.history.replaceState({ ...window.history.state, [this.name]: this.asked }, "");
    this.renew(redraw, ms);
  }

  draw() {
    this.asked = this.plan.asked;
    const focused = this.form.contains(document.activeElement) ? document.activeElement.id : null;
    const opened = [...this.form.querySelectorAll("details")].map(({ open }) => open);
    this.form.replaceChildren(...this.parts(opened));
    if (focused) this.form.querySelector(`#${CSS.escape(focused)}`)?.focus({ preventScroll: true });
    this.outcome();
  }

  /** The cards to choose; `changed(kind)` is told which is another one now. */
  what(changed = () => {}) {
    const boxes = this.kinds.map((kind) => {
      const { title, options } = this.plan.sections.find((section) => section.kind === kind);
      const node = el("select", { class: "an-input", id: `${this.name}-${kind}` });
      for (const one of options)
        node.append(
          el(
            "option",
            { value: one.key, disabled: one.reason !== null && !one.switches },
            one.label,
          ),
        );
      node.value = this.asked.wanted.names[kind];
      node.addEventListener("change", () => {
        const option = options.find((one) => one.key === node.value);
        const kept = option.switches ? {} : this.asked.wanted.names;
        this.asked.wanted = { ...this.asked.wanted, names: { ...kept, [kind]: node.value } };
        changed(kind);
        this.settle(true);
      });
      return el(
        "div",
        { class: "an-field", "data-field": kind },
        el("label", { for: node.id }, title),
        el("div", { class: "an-control" }, node),
        el("p", { class: "an-problem", hidden: true }),
      );
    });
    return el("div", { class: "an-fields" }, boxes);
  }

  /** The settings of the chosen cards, folded; with `redraw` a change lets others be chosen. */
  settings(title, opened, redraw = false) {
    const fields = this.plan.sections.flatMap((section) =>
      section.fields.filter((field) => this.fixed(field, section)),
    );
    const boxes = fields.map((field) =>
      fieldOf(field, {
        id: `${this.name}-${field.name.replace(".", "-")}`,
        changed: (value) => {
          field.value = value;
          const own = { ...this.asked.wanted.touched[field.card] };
          if (isUsual(field, value)) delete own[field.key];
          else own[field.key] = value;
          this.asked.wanted = {
            ...this.asked.wanted,
            touched: { ...this.asked.wanted.touched, [field.card]: own },
          };
          for (const box of boxes)
            box.hidden = !matters(
              fields.find(({ name }) => name === box.dataset.field),
              fields,
            );
          this.settle(redraw, TYPING);
        },
      }),
    );
    return el(
      "details",
      { class: "an-advanced", open: opened },
      el("summary", {}, title),
      el("div", { class: "an-fields" }, boxes),
    );
  }

  choice(name, choices) {
    const node = select(
      this.words(name),
      choices.map(({ id, label }) => [id, label]),
      this.asked[name],
      (value) => {
        this.asked[name] = value;
        this.settle();
      },
    );
    node.id = `${this.name}-${name}`;
    return this.boxed(name, node);
  }

  typed(name, placeholder = null) {
    const node = el("input", {
      class: "an-input",
      id: `${this.name}-${name}`,
      value: this.asked[name] ?? "",
      placeholder,
      autocomplete: "off",
      "aria-describedby": `${this.name}-${name}-help`,
    });
    node.addEventListener("input", () => {
      this.asked[name] = node.value;
      this.settle();
    });
    return this.boxed(name, node);
  }

  boxed(name, node) {
    const help = this.words(`${name}.help`);
    return el(
      "div",
      { class: "an-field", "data-field": name },
      el("label", { for: node.id }, this.words(name)),
      help === `${this.name}.${name}.help`
        ? null
        : el("p", { class: "an-help", id: `${node.id}-help` }, help),
      el("div", { class: "an-control" }, node),
      el("p", { class: "an-problem", hidden: true }),
    );
  }

  /** Shows what is wrong beside its field, or above the button. */
  problem(found) {
    for (const one of this.form.querySelectorAll("[data-field] > .an-problem")) one.hidden = true;
    for (const bad of this.form.querySelectorAll("[aria-invalid]"))
      bad.removeAttribute("aria-invalid");
    this.failure.hidden = true;
    if (!found) return;
    // The last one: a setting that a plan varies is set before that too, folded away.
    const all = this.form.querySelectorAll(`[data-field="${CSS.escape(found.field ?? "")}"]`);
    const box = [...all].at(-1);
    const place = box?.querySelector(":scope > .an-problem") ?? this.failure;
    place.textContent = found.text;
    place.hidden = false;
    box?.closest("details")?.setAttribute("open", "");
    const node = box?.querySelector(".an-input");
    if (node?.closest("[data-field]") === box) node?.setAttribute("aria-invalid", "true");
  }

  /** A line of the plan's numbers. */
  row(key, value, small = null) {
    return el(
      "div",
      {},
      el("dt", {}, this.words(`plan.${key}`)),
      el("dd", {}, value, small ? el("small", {}, small) : null),
    );
  }

  async begin() {
    this.go.disabled = true;
    say(this.go, this.words("going"));
    const begun = await attempt(() => ask(this.path, { body: this.asked }));
    const [id] = Object.values(begun ?? {});
    if (Number.isInteger(id)) {
      window.location.assign(`/${this.name}?id=${id}`);
      return;
    }
    this.go.disabled = Boolean(this.plan.readonly);
    say(this.go, this.words("go"));
    if (begun?.problem) {
      this.problem(begun.problem);
      this.form.querySelector("[aria-invalid]")?.focus();
    }
  }
}

/** What is said in the place of a plan that is gone. */
export function gone(page, path, words) {
  page.classList.remove("waiting");
  page.replaceChildren(
    el(
      "div",
      { class: "an-empty" },
      el("h2", {}, words("gone")),
      el("a", { class: "an-button", href: path }, words("all")),
    ),
  );
}

/** The button that shows while the server doesn't answer. */
export const reconnecting = () =>
  el(
    "span",
    { class: "an-state", "data-state": "paused", hidden: true, role: "status" },
    text("reconnecting"),
  );
