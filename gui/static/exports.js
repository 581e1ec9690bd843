// Taking a run's model away: the forms that it can be had in, and how programs ask it.

import {
  ago,
  ask,
  attempt,
  button,
  bytes,
  copy,
  count,
  el,
  isActive,
  number,
  onChange,
  poll,
  say,
  segments,
  show,
  text,
  unique,
} from "./page.js";

const SOON = 400; // while something is made
const LATER = 5000;

/** The card “Take away” of a run's page. */
export class TakeAway {
  constructor(id) {
    this.id = id;
    const head = unique("away");
    this.where = el("div", { class: "away-where" });
    this.forms = el("ul", { class: "away-forms" });
    this.calls = el("details", { class: "away-calls" });
    this.element = el(
      "section",
      { class: "an-card", "aria-labelledby": head, hidden: true },
      el("div", { class: "an-card-head" }, el("h2", { id: head }, text("away.head"))),
      el("p", { class: "an-muted run-quiet" }, text("away.words")),
      this.where,
      this.forms,
      this.calls,
    );
    this.rows = new Map();
    this.drawWhere = onChange((weights) => this.layWhere(weights));
    this.drawCalls = onChange((calls) => this.layCalls(calls));
  }

  update({ run }) {
    const ready = run.best_step !== null && !isActive(run.state) && run.state !== "queued";
    show(this.element, ready);
    if (ready && !this.watching) {
      this.watching = poll(this.element, () => this.look());
    }
  }

  async look() {
    const reply = await ask(`/api/runs/${this.id}/exports`);
    this.readonly = reply.readonly;
    this.drawWhere(reply.weights);
    this.drawCalls(reply.calls);
    for (const form of reply.formats) {
      if (!this.rows.has(form.name)) {
        const row = new Row(this, form.name);
        this.rows.set(form.name, row);
        this.forms.append(row.element);
      }
      this.rows.get(form.name).update(form);
    }
    return reply.formats.some((form) => form.making) ? SOON : LATER;
  }

  layWhere(weights) {
    show(this.where, Boolean(weights));
    if (!weights) return;
    this.where.replaceChildren(
      el(
        "span",
        { class: "an-muted" },
        text("away.where", { step: count(weights.step), bytes: bytes(weights.bytes) }),
      ),
      copyable(weights.path, text("away.where.copy")),
    );
  }

  layCalls(calls) {
    show(this.calls, Boolean(calls));
    if (!calls) return;
    const place = el("div", {});
    const languages = ["curl", "python", "javascript"];
    const open = (language) => place.replaceChildren(copyable(calls[language], text("away.copy.code")));
    this.calls.replaceChildren(
      el("summary", {}, text("away.calls")),
      el("p", { class: "an-muted run-quiet" }, text("away.calls.words")),
      copyable(calls.serve, text("away.copy.code")),
      segments(
        text("away.calls.language"),
        languages.map((language) => [language, text(`away.calls.${language}`)]),
        languages[0],
        open,
      ),
      place,
    );
    open(languages[0]);
  }
}

/** Lines of code with a button that copies them. */
function copyable(words, name) {
  return el(
    "div",
    { class: "away-code" },
    el("pre", { tabindex: 0 }, words),
    button(text("away.copy"), (event) => copy(words, event.currentTarget), {
      kind: "quiet",
      name,
    }),
  );
}

/** One form: what it is, what was made of it, and what can be done. */
class Row {
  constructor(card, name) {
    this.card = card;
    this.name = name;
    this.title = el("h3", {});
    this.help = el("p", { class: "an-muted" });
    this.facts = el("p", { class: "away-facts" });
    this.problem = el("p", { class: "away-problem", role: "alert" });
    this.bar = el("progress", { max: 1 });
    this.doing = el("span", {});
    this.working = el(
      "div",
      { class: "away-working", role: "status", hidden: true },
      this.bar,
      this.doing,
    );
    this.actions = el("div", { class: "away-actions" });
    this.element = el(
      "li",
      {},
      el("div", {}, this.title, this.help, this.facts, this.problem, this.working),
      this.actions,
    );
    this.drawActions = onChange((state) => this.layActions(state));
  }

  update(form) {
    say(this.title, form.label);
    say(this.help, form.otherwise || form.help);
    this.element.classList.toggle("away-none", Boolean(form.otherwise));
    say(this.facts, form.made ? this.told(form) : "");
    show(this.facts, Boolean(form.made));
    say(this.problem, form.problem);
    show(this.problem, Boolean(form.problem));
    show(this.working, Boolean(form.making));
    if (form.making) {
      const { done, total, doing } = form.making;
      this.bar.value = total ? done / total : 0;
      this.bar.setAttribute("aria-label", form.label);
      say(this.doing, doing ? `${doing} …` : text("away.opening"));
    }
    this.drawActions({
      label: form.label,
      making: Boolean(form.making),
      made: form.made?.file ?? null,
      at: form.made?.made ?? null,
      old: form.old,
      none: Boolean(form.otherwise),
      readonly: this.card.readonly,
    });
  }

  /** What is known of the file: its size, its age, and how near it is to the model. */
  told({ made, old }) {
    const words = [bytes(made.bytes), ago(made.made)];
    const { check } = made.facts;
    if (check) {
      const items = count(check.items);
      words.push(
        text(check.of === "random" ? "away.check.random" : "away.check", {
          difference: number(check.difference),
          items,
          split: check.of === "random" ? "" : text(`split.${check.of}`).toLowerCase(),
        }),
      );
    }
    if (old === "temperature") words.push(text("away.cooler"));
    else if (old) words.push(text("away.old", { step: count(made.step) }));
    return words.join(" · ");
  }

  layActions({ label, making, made, old, none, readonly }) {
    const url = `/api/runs/${this.card.id}/exports/${this.name}`;
    const act = (action) => async () => {
      await attempt(() => ask(`${url}/${action}`, { body: {} }));
      await this.card.watching.now();
    };
    const parts = [];
    if (making) {
      parts.push(button(text("away.stop.words"), act("stop"), { name: text("away.stop", { label }) }));
    } else {
      if (made) {
        parts.push(
          el(
            "a",
            {
              class: "an-button primary",
              href: url,
              download: made,
              "aria-label": text("away.download.of", { label }),
            },
            text("away.download"),
          ),
        );
      }
      if (!none && !readonly) {
        const words = made ? text("away.again") : text("away.make");
        const name = text(made ? "away.again.of" : "away.make.of", { label });
        parts.push(button(words, act("make"), { kind: made && !old ? "quiet" : "", name }));
      }
      if (made && !readonly) {
        const name = text("away.remove", { label });
        parts.push(button(text("delete"), act("remove"), { kind: "quiet", name }));
      }
    }
    this.actions.replaceChildren(...parts);
  }
}
