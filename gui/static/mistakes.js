// What a finished run says of single items: its mistakes, how sure it is, what a threshold costs,
// and which labels look wrong.

import { lineChart } from "./chart.js";
import {
  ask,
  attempt,
  button,
  count,
  el,
  number,
  parameters,
  remember,
  segments,
  select,
  show,
  steady,
  tell,
  text,
  unique,
} from "./page.js";
import { coming } from "./sending.js";
import { SPLITS, viewer } from "./viewer.js";

const ANY = "";
const WRONG = " wrong";
/** Milliseconds after which an answer's progress is shown. */
const PATIENCE = 400;
/** What can be looked at, by what is known of single items. */
const VIEWS = {
  classes: ["items", "sure", "threshold", "labels"],
  texts: ["items"],
  tokens: ["items"],
  errors: ["items"],
};
/** What this part of the page keeps in the address. */
const KEPT = ["look", "of", "true", "said", "at", "class", "t", "which", "way", "bin", "row"];

const percent = (share) => {
  const digits = share > 0.995 && share < 1 ? 2 : 1;
  return `${(100 * share).toFixed(digits)}\u00a0%`;
};

/** The part of a run's page, hidden where nothing is known of single items. */
export class Closer {
  constructor(id) {
    this.id = id;
    this.kind = "";
    this.head = unique("closer");
    this.bar = el("div", { class: "closer-bar" });
    this.body = el("div", { class: "closer-body" });
    this.element = el(
      "section",
      { class: "an-card run-closer", "aria-labelledby": this.head, hidden: true },
      el(
        "div",
        { class: "an-card-head" },
        el("h2", { id: this.head, tabindex: -1 }, text("closer")),
        this.bar,
      ),
      this.body,
    );
  }

  update({ run, readonly }) {
    this.readonly = readonly;
    this.task = run.task;
    if (this.kind === run.judges) return;
    this.kind = run.judges;
    show(this.element, Boolean(this.kind));
    if (!this.kind) return;
    const views = VIEWS[this.kind];
    const wanted = parameters().get("look");
    this.tabs = segments(
      text("closer.views"),
      views.map((view) => [view, text(`closer.${view}.${this.kind}`)]),
      null,
      (view) => this.open(view),
    );
    this.bar.replaceChildren(this.tabs);
    if (views.includes(wanted)) this.open(wanted, this.addressed());
    else this.invite();
  }

  /** What the address says of this part. */
  addressed() {
    const said = parameters();
    return Object.fromEntries(KEPT.filter((name) => said.has(name)).map((n) => [n, said.get(n)]));
  }

  /** Nothing is computed before somebody asks. */
  invite() {
    this.body.replaceChildren(
      el("p", { class: "an-muted run-quiet" }, text(`closer.invite.${this.kind}`)),
    );
  }

  open(view, wanted = {}) {
    this.asking?.abort();
    this.tabs.set(view);
    const kept = Object.fromEntries(KEPT.map((name) => [name, null]));
    remember({ ...kept, ...wanted, look: view });
    this.view = new SHOWN[view](this, wanted);
    this.body.replaceChildren(this.view.element);
    this.view.load();
  }

  /** The items of a cell of the confusion matrix. */
  cell(true_, said) {
    this.open("items", { true: true_, said });
    this.focus();
  }

  /** The items of a bin of the reliability diagram. */
  bin(bin) {
    this.open("items", { bin: String(bin) });
    this.focus();
  }

  /** The item that a point of a map stands for, also of a run of which no more is known of items. */
  point(row) {
    show(this.element, true);
    this.tabs ??= segments(text("closer.views"), [], null, () => {});
    this.open("items", { of: "validation", row: String(row) });
    this.focus();
  }

  focus() {
    this.element.scrollIntoView({ block: "start", behavior: "smooth" });
    document.getElementById(this.head).focus({ preventScroll: true });
  }

  /** An answer, with how far it is in `place` while it takes long; undefined when it was stopped. */
  async ask(question, body, place, signal = null) {
    this.asking?.abort();
    const asking = new AbortController();
    this.asking = asking;
    signal?.addEventListener("abort", () => asking.abort());
    const bar = el("progress", { max: 1, "aria-label": text("closer.working") });
    const words = el("span", { class: "an-number" }, text("closer.opening"));
    const stop = button(text("predict.stop"), () => asking.abort());
    const box = el("div", { class: "closer-progress", role: "status" }, bar, words, stop);
    const timer = setTimeout(() => place.replaceChildren(box), PATIENCE);
    try {
      for await (const line of coming(`/api/runs/${this.id}/look/${question}`, body, asking.signal)) {
        if (line.error !== undefined) throw new Error(line.error);
        if (line.answer) {
          place.replaceChildren();
          return line.answer;
        }
        const { done, total } = line.progress;
        if (!total) continue;
        bar.value = done / total;
        words.textContent = text("closer.progress", { done: count(done), total: count(total) });
      }
      throw new Error(text("predict.cut"));
    } catch (problem) {
      const stopped = problem.name === "AbortError";
      if (stopped && this.asking !== asking) return undefined;
      const said = stopped ? text("closer.stopped") : problem.message;
      const look = stopped ? "an-muted run-quiet" : "an-notice bad";
      const again = button(text("predict.again"), () => this.view.load());
      place.replaceChildren(
        el("p", { class: look, role: "alert" }, said),
        ...(stopped ? [again] : []),
      );
      return undefined;
    } finally {
      clearTimeout(timer);
    }
  }
}

// --- changing the data ---------------------------------------------------------------------------

/** Changes the run's dataset in its newest version, and offers to train again on what it became. */
class Mending {
  constructor(closer, changed) {
    this.closer = closer;
    this.changed = changed;
    this.element = el("div", { class: "closer-mended", role: "status" });
  }

  /** Takes in what an answer says of the dataset. */
  update(dataset) {
    this.dataset = dataset;
    this.draw();
  }

  get possible() {
    return (
      Boolean(this.dataset?.id) && !this.closer.readonly && this.closer.kind !== "tokens"
    );
  }

  draw() {
    const { id, name, version, today } = this.dataset;
    if (this.closer.kind === "tokens") return;
    if (!id) {
      this.element.replaceChildren(
        el("p", { class: "an-muted an-small" }, text("closer.fixed_data")),
      );
      return;
    }
    if (version === today) {
      this.element.replaceChildren(el("p", { class: "an-muted an-small" }, text("closer.how")));
      return;
    }
    const run = this.closer.id;
    this.element.replaceChildren(
      el(
        "div",
        { class: "an-notice closer-again" },
        el("span", {}, text("closer.newer", { name, version: today, then: version })),
        el("a", { class: "an-button primary", href: `/?start=${run}` }, text("closer.go_on")),
        el("a", { class: "an-button", href: `/?clone=${run}` }, text("closer.anew")),
      ),
    );
  }

  async change(wanted) {
    const { id, today } = this.dataset;
    const made = await attempt(() =>
      ask(`/api/datasets/${id}/change`, { body: { version: today, change: wanted } }),
    );
    if (!made) return;
    const undo = () => this.undo(made.version, today);
    tell(text("data.changed", { change: made.change, version: made.version }), "info", {
      words: text("data.undo"),
      act: undo,
    });
    await this.changed();
  }

  async undo(version, back) {
    const body = { version, change: { do: "restore", version: back } };
    const done = await attempt(() => ask(`/api/datasets/${this.dataset.id}/change`, { body }));
    if (!done) return;
    tell(text("data.undone"));
    await this.changed();
  }
}

/** What an item is in the dataset's newest version, where that is something else by now. */
function nowOf(item) {
  const { now } = item;
  if (!now || (now.label === item.label && now.split === item.split)) return null;
  const words = !now.split
    ? text("closer.now.out")
    : now.label !== item.label
      ? text("closer.now.label", { label: now.label })
      : text("closer.now.split", { split: text(`datasets.${now.split}_split`) });
  return el("span", { class: "closer-now" }, words);
}

/** A gallery of items that an address gives page by page. */
class Gallery {
  constructor(closer, { question, body, note, offers = () => [], none, told }) {
    Object.assign(this, { closer, question, body, note, offers, none, told });
    this.mending = new Mending(closer, () => this.load());
    this.place = el("div", { class: "closer-place" });
    this.under = el("div", { class: "closer-place" });
    this.element = el("div", {}, this.mending.element, this.under, this.place);
    this.at = 0;
  }

  async load() {
    const first = await this.look({ offset: this.at, count: 1 });
    if (!first) return;
    if (!first.total) {
      this.place.replaceChildren(el("p", { class: "an-muted run-quiet" }, this.none(first)));
      return;
    }
    const found = {
      samples: { kind: first.kind, items: [] },
      classes: first.labels.length ? first.now_classes : [],
      features: first.features,
    };
    const { dataset } = this.mending;
    const view = { few: false, split: ANY, label: null, finding: null, offset: this.at };
    const shown = viewer({
      found,
      view,
      data: () => ({
        key: dataset.key,
        ...(dataset.version === null ? {} : { version: dataset.version }),
      }),
      change: this.mending.possible ? (wanted) => this.mending.change(wanted) : null,
      pages: (which) => this.look(which),
      note: (item) => el("div", { class: "closer-note" }, this.note(item), nowOf(item)),
      offers: this.mending.possible ? this.offers(this) : [],
    });
    this.place.replaceChildren(shown.element);
  }

  async look({ offset, count: most, signal }) {
    const body = { ...this.body(), offset, count: most };
    const answer = await this.closer.ask(this.question, body, this.under, signal);
    if (!answer) return undefined;
    this.at = offset;
    remember({ at: offset || null });
    this.mending.update(answer.dataset);
    this.told(answer);
    return answer;
  }
}

// --- items -----------------------------------------------------------------------------------

class Items {
  constructor(closer, wanted) {
    this.closer = closer;
    this.wanted = { of: "test", ...wanted };
    this.filters = el("div", { class: "an-filters" });
    this.lead = el("p", { class: "closer-lead", role: "status" });
    this.gallery = new Gallery(closer, {
      question: "judged",
      body: () => this.body(),
      note: (item) => NOTES[closer.kind](item),
      none: (answer) => text(answer.of ? "closer.none" : "closer.empty"),
      told: (answer) => this.told(answer),
    });
    this.gallery.at = Math.max(0, Number.parseInt(wanted.at ?? "0", 10) || 0);
    this.element = el("div", { class: "closer-view an-gallery" }, this.filters, this.lead, this.gallery.element);
  }

  load() {
    this.draw();
    return this.gallery.load();
  }

  body() {
    const { of, true: true_, said, which, t, bin, row } = this.wanted;
    const body = { split: SPLITS.includes(of) ? of : "test" };
    if (row) return { ...body, rows: [Number(row)] };
    if (bin) return { ...body, bin: Number(bin) };
    if (which)
      return { ...body, threshold: { class: this.wanted.class ?? "", which, threshold: Number(t) } };
    if (true_) body.true = true_;
    if (said === WRONG) body.wrong = true;
    else if (said) body.said = said;
    return body;
  }

  set(values) {
    Object.assign(this.wanted, values);
    this.gallery.at = 0;
    remember(Object.fromEntries(KEPT.map((name) => [name, null])));
    remember({ ...this.wanted, look: "items", at: null });
    this.load();
  }

  told(answer) {
    if (answer.classes.length && !this.classes) {
      this.classes = answer.classes;
      this.draw();
    }
    const { which } = this.wanted;
    const values = {
      count: count(answer.total),
      all: count(answer.of),
      true: this.wanted.true ?? "",
      said: this.wanted.said ?? "",
      class: this.wanted.class ?? "",
      share: percent(Number(this.wanted.t ?? 0)),
    };
    const { true: true_, said } = this.wanted;
    const cell = true_ && said && said !== WRONG;
    let key = "all";
    if (this.wanted.row) key = "point";
    else if (this.wanted.bin) key = "bin";
    else if (which) key = `which.${which}`;
    else if (cell) key = true_ === said ? "right" : "cell";
    const scaled =
      answer.temperature === 1
        ? ""
        : ` ${text("closer.scaled", { temperature: number(answer.temperature) })}`;
    this.lead.textContent = text(`closer.lead.${key}`, values) + scaled;
  }

  draw() {
    const splits = SPLITS.toReversed().map((split) => [split, text(`datasets.${split}_split`)]);
    const parts = this.wanted.row
      ? []
      : [segments(text("viewer.split"), splits, this.wanted.of, (of) => this.set({ of }))];
    const chip = (words, empty) => {
      const close = button("×", () => this.set(empty), { name: text("viewer.everything") });
      parts.push(el("p", { class: "an-chip" }, el("span", {}, words), close));
    };
    if (this.wanted.row) {
      // Without more that is known of items, there are no others to show.
      if (this.closer.kind) chip(text("closer.chip.point"), { row: null });
    } else if (this.wanted.bin) {
      chip(text("closer.chip.bin"), { bin: null });
    } else if (this.wanted.which) {
      const words = text(`closer.chip.${this.wanted.which}`, {
        class: this.wanted.class,
        share: percent(Number(this.wanted.t)),
      });
      chip(words, { which: null, class: null, t: null });
    } else if (this.classes) {
      const names = this.classes.map((name) => [name, name]);
      parts.push(
        select(
          text("closer.true"),
          [[ANY, text("closer.true.any")], ...names],
          this.wanted.true ?? ANY,
          (value) => this.set({ true: value || null }),
        ),
        select(
          text("closer.said"),
          [[ANY, text("closer.said.any")], [WRONG, text("closer.said.wrong")], ...names],
          this.wanted.said ?? ANY,
          (value) => this.set({ said: value || null }),
        ),
      );
    }
    this.filters.replaceChildren(...parts);
  }
}

const NOTES = {
  "": () => null,
  classes: (item) =>
    el(
      "span",
      { class: item.wrong ? "closer-said wrong" : "closer-said" },
      el("b", {}, `${item.wrong ? "✗" : "✓"} ${item.said}`),
      el("span", { class: "an-number an-muted" }, ` ${percent(item.share)}`),
      item.wrong
        ? el(
            "span",
            { class: "an-number an-muted closer-own", title: text("closer.own.help") },
            text("closer.own", { label: item.true, share: percent(item.own) }),
          )
        : null,
    ),
  texts: (item) => differences(item),
  tokens: (item) => surprises(item),
  errors: (item) =>
    el("span", { class: "an-number an-muted" }, text("closer.error", { error: steady(item.error) })),
};

/** Nats from which on a token is marked beside its colour: less likely than one in a hundred. */
const RARE = Math.log(100);

/** A passage whose tokens are the darker, the more surprising they were. */
function surprises({ pieces, before, error }) {
  const token = ([words, nats]) =>
    el(
      "span",
      {
        "data-rare": nats >= RARE,
        style: `--nats:${Math.min(60, 10 * nats).toFixed(0)}%`,
        title: text("closer.tokens.share", { share: percent(Math.exp(-nats)) }),
      },
      words,
    );
  return el(
    "div",
    { class: "closer-texts" },
    el(
      "p",
      { class: "closer-passage", dir: "auto" },
      el("span", { class: "an-muted" }, before),
      pieces.map(token),
    ),
    el("p", { class: "an-muted an-small" }, text("closer.tokens.mean", { nats: steady(error) })),
  );
}

/** The reference, and what was written, with what is wrong in it: each by a sign and a colour. */
function differences({ reference, written, compared }) {
  const joint = compared.joint;
  const piece = (part, side) => {
    const words = part[side];
    if (!words) return [];
    if (part.how === "equal") return [words, joint];
    const tag = side === "reference" ? "del" : "ins";
    const sign = { substitute: "≠", insert: "+", delete: "−" }[part.how];
    return [
      el(
        tag,
        { "data-how": part.how },
        el("span", { class: "an-visually-hidden" }, `${text(`closer.how.${part.how}`)}: `),
        el("sup", { "aria-hidden": "true" }, sign),
        words,
      ),
      joint,
    ];
  };
  const line = (side, whole) =>
    el(
      "p",
      { class: "closer-text", dir: "auto" },
      el("small", { class: "an-muted", dir: "ltr" }, text(`closer.text.${side}`)),
      whole ? compared.parts.flatMap((part) => piece(part, side)) : text("closer.text.nothing"),
    );
  return el(
    "div",
    { class: "closer-texts" },
    line("reference", reference),
    line("written", written),
    el(
      "p",
      { class: "an-muted an-small an-number" },
      text("closer.text.counts", {
        substituted: count(compared.substituted),
        inserted: count(compared.inserted),
        deleted: count(compared.deleted),
        length: count(compared.length),
      }),
    ),
  );
}

// --- how sure it is --------------------------------------------------------------------------

class Sure {
  constructor(closer) {
    this.closer = closer;
    this.place = el("div", { class: "closer-place" });
    this.element = el("div", { class: "closer-view" }, this.place);
  }

  async load() {
    const found = await this.closer.ask("calibration", {}, this.place);
    if (found) this.draw(found);
  }

  draw(found) {
    const { before, after, temperature, bins, on } = found;
    const gap = before.confidence - before.accuracy;
    const how = Math.abs(gap) < 0.01 ? "right" : gap > 0 ? "over" : "under";
    const line = (label, measured_, colour) => ({
      label,
      colour,
      x: measured_.bins.map((bin) => bin.confidence),
      y: measured_.bins.map((bin) => bin.accuracy),
    });
    const lines = [
      { label: text("closer.sure.perfect"), x: [0, 1], y: [0, 1], dashed: true, colour: 5 },
      line(text("closer.sure.before"), before, 0),
    ];
    const over = { temperature: number(temperature) };
    if (after) lines.push(line(text("closer.sure.after", over), after, 1));
    const row = (label, measured_) =>
      el(
        "tr",
        {},
        el("th", { scope: "row" }, label),
        el("td", { class: "an-number" }, percent(measured_.ece)),
        el("td", { class: "an-number" }, number(measured_.nll)),
        el("td", { class: "an-number" }, percent(measured_.confidence)),
        el("td", { class: "an-number" }, percent(measured_.accuracy)),
      );
    const columns = ["", "ece", "nll", "confidence", "accuracy"];
    this.place.replaceChildren(
      el(
        "p",
        { class: "closer-lead" },
        text(`closer.sure.${how}`, {
          confidence: percent(before.confidence),
          accuracy: percent(before.accuracy),
          count: count(before.items),
        }),
      ),
      el(
        "figure",
        { class: "closer-figure" },
        lineChart(lines, text("closer.sure.figure"), { height: 260 }),
        el("figcaption", { class: "an-muted an-small" }, text("closer.sure.axes", { bins })),
      ),
      el(
        "div",
        { class: "run-scroll" },
        el(
          "table",
          { class: "run-table" },
          el(
            "thead",
            {},
            el(
              "tr",
              {},
              columns.map((name) =>
                name
                  ? el("th", { scope: "col" }, text(`closer.sure.${name}`, { bins }))
                  : el("td", {}),
              ),
            ),
          ),
          el(
            "tbody",
            {},
            row(text("closer.sure.before"), before),
            after ? row(text("closer.sure.after", over), after) : null,
          ),
        ),
      ),
      this.scaling(found, on),
      binsOf(on && after ? after : before, (bin) => this.closer.bin(bin)),
    );
  }

  scaling({ temperature, fitted_on: fitted, step }, on) {
    if (temperature === null)
      return el("p", { class: "an-muted an-small" }, text("closer.temperature.none"));
    const values = { temperature: number(temperature), count: count(fitted), step: count(step) };
    const press = async () => {
      press_.disabled = true;
      const place = el("div", {});
      const done = await this.closer.ask("temperature", { on: !on }, place);
      if (!done) {
        this.place.append(...place.children);
        press_.disabled = false;
        return;
      }
      tell(text(on ? "closer.temperature.off" : "closer.temperature.done", values));
      await this.load();
      this.place.querySelector(".closer-scaling button")?.focus();
    };
    const press_ = button(
      text(on ? "closer.temperature.stop" : "closer.temperature.use", values),
      press,
      { kind: on ? "" : "primary" },
    );
    press_.disabled = Boolean(this.closer.readonly);
    return el(
      "div",
      { class: "closer-scaling" },
      el("p", { class: "an-small" }, text(on ? "closer.temperature.on" : "closer.temperature", values)),
      press_,
    );
  }
}

/** The bins as a table: what the drawing says, and how many items each stands for; `open(bin)` shows
 * those. */
function binsOf({ bins }, open) {
  return el(
    "details",
    { class: "an-small" },
    el("summary", {}, text("closer.sure.bins")),
    el(
      "div",
      { class: "run-scroll" },
      el(
        "table",
        { class: "run-table" },
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            ["bin", "items", "confidence", "accuracy"].map((name) =>
              el("th", { scope: "col" }, text(`closer.sure.${name}`)),
            ),
          ),
        ),
        el(
          "tbody",
          {},
          bins.map((bin) =>
            el(
              "tr",
              {},
              el("th", { scope: "row" }, `${percent(bin.low)} – ${percent(bin.high)}`),
              el(
                "td",
                { class: "an-number" },
                button(count(bin.count), () => open(bin.bin), {
                  kind: "quiet",
                  name: text("closer.sure.open", { count: count(bin.count) }),
                }),
              ),
              el("td", { class: "an-number" }, percent(bin.confidence)),
              el("td", { class: "an-number" }, percent(bin.accuracy)),
            ),
          ),
        ),
      ),
    ),
  );
}

// --- thresholds ------------------------------------------------------------------------------

class Threshold {
  constructor(closer, wanted) {
    this.closer = closer;
    this.name = wanted.class ?? null;
    const at = Number(wanted.t ?? 0.5);
    this.at = at >= 0 && at <= 1 ? at : 0.5;
    // Chosen on the items that it is measured on, a threshold looks better than it is.
    this.of = wanted.of === "test" ? "test" : "validation";
    this.choice = el("div", { class: "an-filters" });
    this.place = el("div", { class: "closer-place" });
    this.element = el("div", { class: "closer-view" }, this.choice, this.place);
  }

  async load() {
    const found = await this.closer.ask("calibration", {}, this.place);
    if (!found) return;
    this.classes = found.classes;
    const held = found.fitted_on !== null;
    if (!held) this.of = "test";
    if (!this.classes.some((one) => one.class === this.name))
      // Of two classes the second is usually the one to be found.
      this.name = this.classes[this.classes.length === 2 ? 1 : 0].class;
    const label = el("span", { class: "an-muted" }, text("closer.threshold.class"));
    const choices = this.classes.map((one) => [
      one.class,
      one.average_precision === null
        ? one.class
        : text("closer.threshold.choice", { class: one.class, ap: steady(one.average_precision) }),
    ]);
    this.choice.replaceChildren(
      label,
      select(text("closer.threshold.class"), choices, this.name, (name) => {
        this.name = name;
        this.open();
      }),
      held
        ? segments(
            text("viewer.split"),
            ["validation", "test"].map((split) => [split, text(`datasets.${split}_split`)]),
            this.of,
            (split) => {
              this.of = split;
              this.open();
            },
          )
        : "",
    );
    await this.open();
  }

  async open() {
    remember({ class: this.name, t: this.at, of: this.of });
    const body = { class: this.name, split: this.of };
    const found = await this.closer.ask("apart", body, this.place);
    if (!found) return;
    this.found = found;
    this.chart = el("div", {});
    this.facts = el("dl", { class: "closer-facts" });
    const slider = unique("threshold");
    this.said = el("output", { class: "an-number", for: slider });
    const input = el("input", {
      id: slider,
      type: "range",
      min: 0,
      max: 1,
      step: 0.01,
      value: this.at,
      "aria-describedby": `${slider}-help`,
    });
    input.addEventListener("input", () => {
      this.at = Number(input.value);
      this.move();
    });
    input.addEventListener("change", () => remember({ t: this.at }));
    this.place.replaceChildren(
      el(
        "label",
        { class: "closer-slider", for: slider },
        el("span", { id: `${slider}-help` }, text("closer.threshold.help", { class: this.name })),
        input,
        this.said,
      ),
      this.facts,
      el(
        "figure",
        { class: "closer-figure" },
        this.chart,
        el(
          "figcaption",
          { class: "an-muted an-small" },
          `${text("closer.threshold.axes")} ${text(`closer.threshold.on.${this.of}`)}`,
        ),
      ),
    );
    this.move();
  }

  move() {
    const { found: hits, missed, false: wrong, left, curve, average_precision: ap } = this.found;
    const at = Math.round(this.at * (hits.length - 1));
    const said = hits[at] + wrong[at];
    const precision = said ? hits[at] / said : null;
    const recall = hits[at] / (hits[at] + missed[at]);
    const f1 = (2 * hits[at]) / (2 * hits[at] + missed[at] + wrong[at]);
    this.said.textContent = percent(this.at);
    const fact = (name, value, which = null) =>
      el(
        "div",
        {},
        el("dt", {}, text(`closer.threshold.${name}`)),
        el(
          "dd",
          { class: "an-number" },
          which && value ? button(count(value), () => this.items(which), { name: `${text(`closer.threshold.${name}`)}: ${count(value)}` }) : typeof value === "number" ? count(value) : value,
        ),
      );
    this.facts.replaceChildren(
      fact("precision", precision === null ? "–" : percent(precision)),
      fact("recall", percent(recall)),
      fact("f1", steady(f1)),
      fact("found", hits[at]),
      fact("missed", missed[at], "missed"),
      fact("false", wrong[at], "false"),
      fact("left", left[at]),
    );
    const lines = [
      {
        label: text("closer.threshold.curve", { ap: steady(ap) }),
        x: curve.recall,
        y: curve.precision,
        colour: 0,
      },
      {
        label: text("closer.threshold.here", { share: percent(this.at) }),
        x: [recall, recall],
        y: [0, 1],
        dashed: true,
        colour: 1,
      },
    ];
    this.chart.replaceChildren(lineChart(lines, text("closer.threshold.figure"), { height: 240 }));
  }

  items(which) {
    const { name, of } = this;
    this.closer.open("items", { class: name, t: String(this.at), which, of });
    this.closer.focus();
  }
}

// --- labels that look wrong -------------------------------------------------------------------

class Labels {
  constructor(closer, wanted) {
    this.closer = closer;
    this.way = wanted.way === "whole" ? "whole" : "head";
    this.lead = el("p", { class: "closer-lead", role: "status" });
    this.gallery = new Gallery(closer, {
      question: "suspects",
      body: () => ({ way: this.way }),
      note: (item) =>
        el(
          "span",
          { class: "closer-said wrong" },
          `${item.given} → `,
          el("b", {}, item.suggested),
          el("span", { class: "an-number an-muted" }, ` ${percent(item.sure)}`),
        ),
      none: (answer) =>
        text(answer.suspected ? "closer.labels.settled" : "closer.labels.none", {
          count: count(answer.suspected),
        }),
      told: (answer) => this.told(answer),
      offers: (gallery) => [
        [text("closer.labels.accept"), (items) => this.accept(items, gallery)],
        [text("closer.labels.keep"), (items) => this.keep(items)],
      ],
    });
    this.gallery.at = Math.max(0, Number.parseInt(wanted.at ?? "0", 10) || 0);
    this.ways = segments(
      text("closer.labels.ways"),
      ["head", "whole"].map((way) => [way, text(`closer.labels.way.${way}`)]),
      this.way,
      (way) => this.set(way),
    );
    this.about = el("p", { class: "an-muted an-small" });
    this.element = el(
      "div",
      { class: "closer-view an-gallery" },
      el("div", { class: "an-filters" }, this.ways),
      this.about,
      this.lead,
      this.gallery.element,
    );
  }

  set(way) {
    this.way = way;
    this.gallery.at = 0;
    remember({ way: way === "head" ? null : way, at: null });
    this.load();
  }

  load() {
    this.about.textContent = text(`closer.labels.about.${this.way}`);
    this.lead.textContent = "";
    return this.gallery.load();
  }

  told({ total, estimated, kept }) {
    this.lead.textContent = [
      text(total === 1 ? "closer.labels.found.one" : "closer.labels.found", {
        count: count(total),
        estimated: count(Math.round(estimated)),
      }),
      kept ? text("closer.labels.kept", { count: count(kept) }) : "",
    ].join(" ");
  }

  /** Each chosen item gets the label that it looks like: one version, however many there are. */
  accept(items, gallery) {
    const relabels = [...Map.groupBy(items, (item) => item.suggested)].map(([label, some]) => ({
      rows: some.map((item) => item.row),
      label,
    }));
    return gallery.mending.change({ do: "relabels", relabels });
  }

  async keep(items) {
    const rows = items.map((item) => item.row);
    const send = (back) =>
      attempt(() => ask(`/api/runs/${this.closer.id}/approve`, { body: { rows, back } }));
    if (!(await send(false))) return;
    const words = text(rows.length === 1 ? "closer.labels.done.one" : "closer.labels.done", {
      count: count(rows.length),
    });
    const undo = async () => (await send(true)) && this.load();
    tell(words, "info", { words: text("data.undo"), act: undo });
    await this.load();
  }
}

const SHOWN = { items: Items, sure: Sure, threshold: Threshold, labels: Labels };
