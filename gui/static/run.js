// One run: its curves while it trains, what it measured, and what can be done with it.

import {
  ago,
  ask,
  attempt,
  button,
  bytes,
  confirmed,
  count,
  duration,
  el,
  isActive,
  linkTo,
  loadPlotly,
  measured,
  metricLabel,
  moment,
  number,
  onChange,
  parameters,
  poll,
  say,
  segments,
  setPill,
  show,
  statePill,
  text,
  unique,
} from "./page.js";
import { english } from "./language.js";
import { ablate } from "./ablate.js";
import { Chart, Feed, Settings, join, metricOf, metricsOf, splitOf } from "./curves.js";
import { TakeAway } from "./exports.js";
import { Lineage } from "./lineage.js";
import { Closer } from "./mistakes.js";
import { Samples } from "./samples.js";
import { Smaller } from "./smaller.js";
import { Results, Recipe, Notices, Log } from "./report.js";

const FAST = 220; // four to five times a second
const SLOW = 2000;
const RESUMABLE = ["paused", "interrupted", "failed", "stopped"];
const SPLITS = {
  train: { color: "--an-series-1", dash: null },
  validation: { color: "--an-series-2", dash: null },
  test: { color: "--an-series-3", dash: null },
};

loadPlotly().catch(() => {}); // 5 MB to parse, while the points are on their way

/** Fills the page's frame. */
export function mount(element) {
  const page = element.querySelector(".an-page");
  const id = Number(parameters().get("id"));
  if (Number.isInteger(id) && id > 0) new RunPage(page, id);
  else missing(page, text("run.unnamed"));
}

function missing(page, words) {
  document.title = pageTitle(text("nav.run"));
  page.classList.remove("waiting");
  page.replaceChildren(
    el(
      "div",
      { class: "an-empty" },
      el("h2", {}, text("run.missing")),
      el("p", {}, `${words} ${text("run.missing.why")}`),
      el("a", { class: "an-button primary", href: "/runs" }, text("run.all")),
    ),
  );
}

/** Pressed by “p” too. */
function keyed(node) {
  node.setAttribute("aria-keyshortcuts", "P");
  return node;
}

/** What the window is called. */
function pageTitle(words) {
  return `${words} · ${text("app")}`;
}

class RunPage {
  constructor(page, id) {
    this.page = page;
    this.id = id;
    this.notices = [];
    this.header = new Header(this);
    this.curves = new Curves(this);
    this.samplesPlace = el("div", { class: "run-stack" });
    this.closer = new Closer(id);
    this.samples = new Samples(this.samplesPlace, id, (row) => this.closer.point(row));
    this.smaller = new Smaller(id);
    this.takeAway = new TakeAway(id);
    this.results = new Results((true_, said) => this.closer.cell(true_, said));
    this.lineage = new Lineage();
    this.settings = new Recipe();
    this.noticeCard = new Notices();
    this.log = new Log(id);
    this.lay();
    this.details = poll(
      page,
      () => this.look(),
      (problem) => this.trouble(problem),
    );
    this.points = poll(
      page,
      () => this.follow(),
      (problem) => this.trouble(problem),
    );
  }

  lay() {
    const main = el(
      "div",
      { class: "run-stack" },
      this.curves.element,
      this.samplesPlace,
      this.results.wide,
      this.closer.element,
      this.smaller.element,
      this.takeAway.element,
    );
    const side = el(
      "div",
      { class: "run-stack run-side" },
      this.results.element,
      this.lineage.element,
      this.settings.element,
      this.noticeCard.element,
    );
    this.body = el("div", { class: "run-columns" }, main, side);
    this.page.replaceChildren(this.header.element, this.body, this.log.element);
    this.page.classList.add("waiting");
  }

  async look() {
    const last = this.notices.at(-1)?.id ?? 0;
    const reply = await ask(`/api/runs/${this.id}?notices=${last}`);
    this.page.classList.remove("waiting");
    this.notices.push(...reply.notices.filter((notice) => notice.id > last));
    this.run = reply.run;
    this.header.update(reply);
    this.samples.update(reply.samples);
    this.results.update(reply.run);
    this.closer.update(reply);
    this.smaller.update(reply);
    this.takeAway.update(reply);
    this.lineage.update(reply);
    this.settings.update(reply);
    this.noticeCard.update(this.notices);
    this.log.active = isActive(reply.run.state);
    return isActive(reply.run.state) || reply.run.state === "queued" ? 1000 : SLOW;
  }

  async follow() {
    const news = await this.curves.follow();
    this.header.progress(news);
    if (this.run && this.run.state !== news.state) this.details.now();
    if (isActive(news.state)) return FAST;
    return news.state === "queued" ? 500 : SLOW;
  }

  trouble(problem) {
    if (problem?.status === 404) {
      this.curves.close();
      this.details.stop();
      this.points.stop();
      missing(this.page, problem.message.replace(/\.?$/, "."));
      return;
    }
    this.header.away(Boolean(problem));
  }

  /** Does something to the run on the server, and looks at once what came of it. */
  async act(action, body = {}) {
    const done = await attempt(() => ask(`/api/runs/${this.id}/${action}`, { body }));
    if (done) await this.details.now();
    return done;
  }
}

// --- the top: what it is, how far it is, what can be done ----------------------------------------

class Header {
  constructor(page) {
    this.page = page;
    // A text area: a long name takes a second line instead of being cut.
    this.name = el("textarea", {
      class: "run-name",
      rows: 1,
      "aria-label": text("run.name"),
      maxlength: 200,
      spellcheck: "false",
      autocomplete: "off",
      onkeydown: (event) => this.key(event),
      onchange: () => this.rename(),
    });
    this.pill = statePill("queued");
    this.lost = el(
      "span",
      { class: "an-state run-lost", "data-state": "paused", hidden: true, role: "status" },
      text("reconnecting"),
    );
    this.about = el("p", { class: "run-about" });
    this.actions = el("div", {
      class: "run-actions",
      role: "group",
      "aria-label": text("run.actions"),
    });
    this.bar = el("i", {});
    this.progressBar = el(
      "div",
      {
        class: "an-bar run-bar",
        role: "progressbar",
        "aria-label": text("run.progress"),
        "aria-valuemin": 0,
        "aria-valuemax": 100,
      },
      this.bar,
    );
    this.facts = {};
    // Two places: a quiet one that moves nothing, and a box for what a person should act on.
    this.quiet = el("p", { class: "run-said", role: "status" });
    this.message = el("div", { class: "run-message an-notice", role: "alert", hidden: true });
    this.element = this.lay();
    this.drawActions = onChange((state) => this.layActions(state));
    this.drawMessage = onChange((state) => this.layMessage(state));
    this.drawAbout = onChange((run) => this.layAbout(run));
  }

  lay() {
    const facts = el("dl", { class: "run-facts" });
    for (const key of FACTS) {
      this.facts[key] = el("dd", { class: "an-number" }, "–");
      facts.append(el("div", {}, el("dt", {}, text(`run.fact.${key}`)), this.facts[key]));
    }
    const crumbs = el(
      "nav",
      { class: "an-crumb", "aria-label": text("run.crumbs") },
      el("a", { href: "/runs" }, text("nav.runs")),
      ` / ${this.page.id}`,
    );
    return el(
      "header",
      { class: "run-head" },
      crumbs,
      el("div", { class: "run-title" }, el("h1", {}, this.name), this.pill, this.lost),
      this.about,
      el("div", { class: "run-row" }, this.actions, this.quiet),
      facts,
      this.progressBar,
      this.message,
    );
  }

  update({ run, queue, readonly }) {
    this.run = run;
    if (document.activeElement !== this.name && this.name.value !== run.name)
      this.name.value = run.name;
    this.name.readOnly = readonly;
    this.drawAbout({
      labels: [run.model, run.data, run.task, run.method],
      parent: run.parent,
      at: run.created,
    });
    const { state, wish, saved_step: saved, ahead, behind } = run;
    const { again, varied } = run;
    this.drawActions({ state, wish, saved, ahead, behind, queue, readonly, again, varied });
    this.drawMessage({ state, reason: run.reason, ahead, saved, readonly });
    this.progress(run);
    say(this.facts.device, run.device ? run.device.name : "–");
    this.facts.device.title = run.device?.name ?? "";
  }

  /** What changes several times a second. */
  progress(run) {
    setPill(this.pill, run.state, run.wish);
    const share = run.steps ? Math.min(1, run.step / run.steps) : 0;
    this.bar.style.width = `${100 * share}%`;
    this.progressBar.setAttribute("aria-valuenow", Math.round(100 * share));
    const part = (at, all) => (all ? `${at} / ${all}` : at);
    say(this.facts.step, run.steps ? part(count(run.step), count(run.steps)) : "–");
    say(this.facts.epoch, run.epochs ? part(run.epoch.toFixed(1), count(run.epochs)) : "–");
    say(this.facts.spent, run.seconds ? duration(run.seconds) : "–");
    say(this.facts.left, isActive(run.state) ? duration(run.remaining ?? Number.NaN) : "–");
    say(this.facts.rate, run.rate ? text("run.rate", { count: count(Math.round(run.rate)) }) : "–");
    say(this.facts.learning, run.learning_rate === null ? "–" : number(run.learning_rate));
    say(this.facts.memory, run.memory ? bytes(run.memory) : "–");
    const percent = isActive(run.state) ? ` · ${Math.round(100 * share)} %` : "";
    const title = pageTitle(`${this.name.value || text("nav.run")}${percent}`);
    if (document.title !== title) document.title = title;
  }

  away(yes) {
    show(this.lost, yes);
  }

  layAbout({ labels: [model, data, task, method], parent, at }) {
    this.about.replaceChildren(
      `${text("run.on", { model, data })} · ${task} · ${method} · `,
      el("time", { title: moment(at) }, text("run.created", { ago: ago(at) })),
    );
    if (parent) {
      this.about.append(
        ` · ${text("run.from")} `,
        linkTo(parent),
      );
    }
  }

  key(event) {
    if (event.key === "Enter") {
      event.preventDefault();
      this.name.blur();
    }
    if (event.key === "Escape") {
      this.name.value = this.run?.name ?? "";
      this.name.blur();
    }
  }

  async rename() {
    const done = await this.page.act("rename", { name: this.name.value });
    if (!done && this.run) this.name.value = this.run.name;
  }

  layActions({ state, wish, saved, ahead, behind, queue, readonly, again, varied }) {
    const had = this.actions.contains(document.activeElement)
      ? english(document.activeElement)
      : null;
    const links = [el("a", { class: "an-button", href: again.href }, again.words)];
    if (saved !== null) {
      links.unshift(
        el("a", { class: "an-button", href: `/predict?run=${this.page.id}` }, text("run.try")),
      );
    }
    if (state === "finished" && links.length > 1) links[0].classList.add("primary");
    if (varied && !readonly)
      links.push(
        button(text("ablation.button"), () => ablate(() => ({ run: this.page.id })), {
          title: text("ablation.button.help"),
        }),
      );
    const changing = readonly ? [] : this.changing({ state, saved, ahead, behind, queue });
    for (const one of changing)
      one.disabled ||= Boolean(wish) && wish !== "save" && isActive(state);
    const last =
      readonly || isActive(state)
        ? []
        : [button(text("run.delete"), () => this.remove(), { kind: "quiet" })];
    this.actions.replaceChildren(...changing, ...links, ...last);
    if (had) [...this.actions.children].find((one) => english(one) === had)?.focus();
  }

  changing({ state, saved, ahead, behind, queue }) {
    const { page } = this;
    if (isActive(state)) {
      return [
        keyed(button(text("run.pause"), () => page.act("pause"), { title: text("run.pause.help") })),
        button(text("run.stop"), () => page.act("stop"), { title: text("run.stop.help") }),
        button(text("run.save"), () => page.act("save"), { title: text("run.save.help") }),
        button(text("run.cancel"), () => this.cancel(), { kind: "quiet" }),
      ];
    }
    if (state === "queued") {
      const up = button(`↑ ${text("queue.up")}`, () =>
        page.act("move", { before: queue[ahead - 1] }),
      );
      const down = button(`↓ ${text("queue.down")}`, () =>
        page.act("move", { before: queue[ahead + 2] ?? null }),
      );
      up.disabled = ahead === 0;
      down.disabled = behind === 0;
      return [up, down, button(text("queue.out"), () => page.act("dequeue"))];
    }
    if (RESUMABLE.includes(state)) {
      return [
        keyed(
          button(text(saved === null ? "run.again" : "run.resume"), () => page.act("resume"), {
            kind: "primary",
          }),
        ),
      ];
    }
    return [];
  }

  layMessage({ state, reason, ahead, saved, readonly }) {
    const words = this.words(state, reason, ahead);
    const trouble = state === "failed" || state === "interrupted";
    say(this.quiet, trouble ? "" : words);
    show(this.message, trouble);
    if (!trouble) return;
    this.message.classList.toggle("bad", state === "failed");
    const where = saved === null ? text("run.unsaved") : text("run.saved", { step: count(saved) });
    const mend = button(text(saved === null ? "run.again" : "run.resume"), () =>
      this.page.act("resume"),
    );
    this.message.replaceChildren(el("span", {}, `${words} ${where}`), ...(readonly ? [] : [mend]));
  }

  words(state, reason, ahead) {
    if (state === "queued") {
      if (ahead < 2) return text(ahead === 0 ? "run.next" : "run.second");
      return text("run.ahead", { count: count(ahead) });
    }
    if (state === "preparing") return text("run.preparing");
    return reason ? reason.replace(/([^.!?…])$/, "$1.") : "";
  }

  async cancel() {
    const agreed = await confirmed({
      title: text("run.cancel.title"),
      action: text("run.cancel.agree"),
      danger: true,
      words: text("run.cancel.words"),
    });
    if (agreed) await this.page.act("cancel");
  }

  async remove() {
    const agreed = await confirmed({
      title: text("run.delete.title", { name: this.run.name }),
      action: text("delete"),
      danger: true,
      words: text("run.delete.words"),
    });
    if (!agreed) return;
    const done = await attempt(() => ask(`/api/runs/${this.page.id}/delete`, { body: {} }));
    if (done) window.location.assign("/runs");
  }
}

const FACTS = ["step", "epoch", "spent", "left", "rate", "learning", "memory", "device"];

// --- curves --------------------------------------------------------------------------------------

class Curves {
  constructor(page) {
    this.page = page;
    this.feed = new Feed(page.id);
    this.view = new Map();
    this.metric = null;
    this.chose = false;
    this.settings = new Settings((changed) => this.change(changed));
    this.lossPlace = el("div", {});
    this.otherPlace = el("div", {});
    this.choice = el("div", { class: "curve-choice" });
    const [lossHead, otherHead] = [unique("curves"), unique("curves")];
    this.exports = el(
      "div",
      { class: "curve-exports an-small" },
      `${text("run.export")} `,
      el("a", { href: `/api/runs/${page.id}/export.csv`, download: "" }, "CSV"),
      " · ",
      el("a", { href: `/api/runs/${page.id}/export.json`, download: "" }, "JSON"),
    );
    this.other = el(
      "section",
      { class: "an-card curve-card", "aria-labelledby": otherHead },
      el(
        "div",
        { class: "an-card-head" },
        el("h2", { id: otherHead }, text("run.measures")),
        this.choice,
      ),
      this.otherPlace,
      this.exports,
    );
    this.loss = el(
      "section",
      { class: "an-card curve-card", "aria-labelledby": lossHead },
      el(
        "div",
        { class: "an-card-head" },
        el("h2", { id: lossHead }, text("run.loss")),
        this.settings.bar(),
      ),
      this.lossPlace,
    );
    this.atOnce = el(
      "section",
      { class: "an-card", hidden: true },
      el("div", { class: "an-card-head" }, el("h2", {}, text("run.curves.at_once.head"))),
      el("p", { class: "an-muted run-quiet" }, text("run.curves.at_once")),
    );
    this.element = el(
      "div",
      { class: "run-stack run-curves" },
      this.atOnce,
      this.loss,
      this.other,
    );
    const zoom = (range) => this.zoom(range);
    this.charts = [
      new Chart(this.lossPlace, {
        label: text("run.loss_curves"),
        settings: this.settings,
        onzoom: zoom,
      }),
      new Chart(this.otherPlace, {
        label: text("run.measure_curves"),
        settings: this.settings,
        onzoom: zoom,
      }),
    ];
  }

  /** Asks for new points and draws them; gives where the run stands. */
  async follow() {
    const { all, added } = await this.feed.next();
    if (all) {
      this.view = new Map(this.feed.series);
      await this.draw();
      if (this.range) await this.refine();
    } else if (added.size) {
      for (const [name, part] of added) {
        this.view.set(
          name,
          this.range ? join(this.view.get(name), part) : this.feed.series.get(name),
        );
      }
      await Promise.all(this.charts.map((chart) => chart.grow(this.view)));
    }
    this.explain();
    return this.feed.run;
  }

  explain() {
    const { state, step } = this.feed.run;
    // Its measures, if there are any, are of one moment: the results have them.
    const atOnce = state === "finished" && step === 0;
    show(this.atOnce, atOnce);
    show(this.loss, !atOnce);
    show(this.other, !atOnce);
    if (atOnce) return;
    const waiting =
      state === "queued"
        ? "run.curves.queued"
        : isActive(state)
          ? "run.curves.soon"
          : state === "finished"
            ? "run.curves.nothing"
            : "run.curves.none";
    this.charts[0].say(this.view.size ? "" : text(waiting));
    const metrics = this.metrics();
    this.charts[1].say(metrics.length ? "" : text("run.curves.measures"));
  }

  metrics() {
    return metricsOf(this.view.keys()).filter((metric) => metric !== "loss");
  }

  draw() {
    const metrics = this.metrics();
    const usual = metrics.find((metric) => metric !== "learning_rate") ?? metrics[0] ?? null;
    if (!this.chose || !metrics.includes(this.metric)) this.metric = usual;
    this.layChoice(metrics);
    return Promise.all([
      this.charts[0].set(this.lines("loss")),
      this.charts[1].set(this.lines(this.metric)),
    ]);
  }

  layChoice(metrics) {
    const known = metrics.join();
    if (known === this.known) return;
    this.known = known;
    const choose = (metric) => {
      this.metric = metric;
      this.chose = true;
      this.charts[1].afresh();
      this.charts[1].set(this.lines(metric));
    };
    const choices = metrics.map((metric) => [metric, metricLabel(metric)]);
    this.choice.replaceChildren(
      ...(choices.length ? [segments(text("curves.measure"), choices, this.metric, choose)] : []),
    );
  }

  lines(metric) {
    const { split } = this.settings;
    const unit = Math.max(1e-9, (this.feed.run?.steps || this.feed.run?.step || 1) / 1000);
    return [...this.view]
      .filter(([name]) => metricOf(name) === metric)
      .filter(([name]) => split === "both" || splitOf(name) === split || !SPLITS[splitOf(name)])
      .map(([name, points]) => {
        const look = SPLITS[splitOf(name)] ?? { color: "--an-series-1", dash: null };
        return {
          key: name,
          label: SPLITS[splitOf(name)] ? text(`split.${splitOf(name)}`) : metricLabel(name),
          color: look.color,
          dash: look.dash,
          points,
          unit,
        };
      })
      .toSorted(
        (a, b) =>
          Object.keys(SPLITS).indexOf(splitOf(a.key)) - Object.keys(SPLITS).indexOf(splitOf(b.key)),
      );
  }

  change(changed) {
    if (changed.includes("axis") || changed.includes("log")) {
      this.range = null;
      for (const chart of this.charts) chart.afresh();
    }
    if (changed.includes("axis")) this.view = new Map(this.feed.series);
    this.draw();
  }

  async zoom(range) {
    this.range = range;
    if (range) {
      await attempt(() => this.refine());
    } else {
      this.view = new Map(this.feed.series);
      await this.draw();
    }
  }

  /** Where points were left out, asks for all of those in sight. */
  async refine() {
    if (!this.feed.thinned) return;
    const { range } = this;
    const [low, high] = range.map((place) => this.feed.stepAt(this.settings.axis, place));
    const view = await this.feed.detail(Math.floor(low), Math.ceil(high));
    if (this.range !== range) return;
    this.view = view;
    await this.draw();
  }

  close() {
    for (const chart of this.charts) chart.close();
  }
}
