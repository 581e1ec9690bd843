// A value for a setting, measured with what is on the form: a dialog with its progress, what was
// measured, and a button that takes the suggestion over.

import { bytes, cssValue, duration, loadPlotly, number, show, unique } from "./page.js";
import { coming } from "./sending.js";
import { el, text } from "./shell.js";

const HEIGHT = 260;
/** The highest loss that is drawn, as a multiple of the first: divergence has no end. */
const HIGHEST = 1.6;

/** What is shown of each question: `add` takes a step, `end` the answer and gives its sentences. */
const SHOWN = { rate: Rates, batch_size: Sizes };

/** The button under a field that a measurement can set; `use(value)` sets it. */
export function finderOf(field, wanted, use) {
  return el(
    "button",
    { type: "button", class: "an-find", onclick: () => find(field, wanted(), use) },
    text(`find.${field.finder}`),
  );
}

function find(field, wanted, use) {
  const head = unique("find");
  const view = SHOWN[field.finder](field);
  const asking = { now: new AbortController() };
  const bar = el("progress", { "aria-labelledby": head });
  const words = el("p", { class: "an-muted an-small", role: "status" });
  const said = el("div", { "aria-live": "polite" });
  const press = (words, onclick, kind = "") =>
    el("button", { type: "button", class: `an-button ${kind}`.trim(), onclick }, words);
  const stop = press(text("find.stop"), () => close());
  const again = press(text("find.again"), () => run());
  const take = press("", () => {}, "primary");
  const dialog = el(
    "dialog",
    { class: "an-dialog an-page find-dialog", "aria-labelledby": head },
    el("h2", { id: head }, text(`find.${field.finder}`)),
    el("p", { class: "an-help" }, text(`find.${field.finder}.help`, view.blanks)),
    bar,
    words,
    view.element,
    said,
    el("div", { class: "an-dialog-actions" }, stop, again, take),
  );
  const close = () => {
    asking.now.abort();
    dialog.close();
    dialog.remove();
  };

  async function run() {
    asking.now = new AbortController();
    const { signal } = asking.now;
    view.begin();
    said.replaceChildren();
    bar.removeAttribute("value");
    words.textContent = text("find.opening");
    stop.textContent = text("find.stop");
    for (const node of [bar, words]) show(node, true);
    for (const node of [again, take]) show(node, false);
    const done = (sentences, bad = false) => {
      said.replaceChildren(
        ...sentences.map((one) => el("p", { class: bad ? "an-notice bad" : "" }, one)),
      );
      for (const node of [bar, words]) show(node, false);
      show(again, true);
      stop.textContent = text("find.close");
    };
    try {
      for await (const line of coming(`/api/find/${field.finder}`, wanted, signal)) {
        if (line.error !== undefined) {
          done([line.error], true);
          return;
        }
        if (line.progress) {
          const { done: now, total } = line.progress;
          bar.max = total;
          bar.value = now;
          words.textContent = text(`find.${field.finder}.progress`, { done: now, total });
          view.add(line.progress);
        } else {
          const { suggestion } = line.answer;
          done(view.end(line.answer));
          show(take, suggestion !== null);
          take.textContent = text("find.use", { value: number(suggestion) });
          take.onclick = () => {
            close();
            use(suggestion);
          };
          if (suggestion !== null) take.focus();
        }
      }
    } catch (trouble) {
      if (trouble.name !== "AbortError") done([trouble.message], true);
    }
  }

  dialog.addEventListener("cancel", (event) => {
    event.preventDefault();
    close();
  });
  document.body.append(dialog);
  dialog.showModal();
  run();
}

/** Loss over learning rate. */
function Rates(field) {
  const element = el("div", { class: "find-plot", role: "img" });
  let [rates, losses, pending] = [[], [], 0];

  async function draw(smoothed = null, marks = []) {
    const plotly = await loadPlotly();
    if (!element.isConnected || !rates.length) return;
    const ink = cssValue("--an-ink");
    const axis = { gridcolor: cssValue("--an-line"), zeroline: false, automargin: true };
    const low = Math.min(...(smoothed ?? losses));
    const high = Math.max(losses[0], ...(smoothed ?? [])) - low;
    const top = low + Math.min(high, HIGHEST * (losses[0] - low || high));
    const traces = [
      {
        x: rates,
        y: losses,
        name: text("find.rate.loss"),
        mode: "lines",
        opacity: smoothed ? 0.4 : 1,
        line: { color: cssValue("--an-series-1"), width: smoothed ? 1 : 2 },
      },
    ];
    if (smoothed)
      traces.push({
        x: rates,
        y: smoothed,
        name: text("find.rate.smoothed"),
        mode: "lines",
        line: { color: cssValue("--an-series-1"), width: 3 },
      });
    await plotly.react(
      element,
      traces,
      {
        height: HEIGHT,
        margin: { l: 8, r: 12, t: 22, b: 8 },
        paper_bgcolor: "rgba(0,0,0,0)",
        plot_bgcolor: "rgba(0,0,0,0)",
        font: { family: getComputedStyle(element).fontFamily, size: 12, color: ink },
        showlegend: false,
        xaxis: {
          ...axis,
          type: "log",
          exponentformat: "power",
          title: { text: text("find.rate.axis") },
        },
        yaxis: {
          ...axis,
          title: { text: text("find.rate.loss") },
          range: [low - 0.06 * (top - low), top + 0.1 * (top - low || 1)],
        },
        shapes: marks.map(({ at, dash }) => ({
          type: "line",
          x0: at,
          x1: at,
          yref: "paper",
          y0: 0,
          y1: 1,
          line: { color: cssValue(dash ? "--an-muted" : "--an-accent-strong"), width: 2, dash },
        })),
        annotations: marks.map(({ at, words }) => ({
          x: Math.log10(at),
          yref: "paper",
          y: 1,
          yanchor: "bottom",
          text: words,
          showarrow: false,
        })),
      },
      { displaylogo: false, displayModeBar: false, responsive: true },
    );
  }

  return {
    element,
    blanks: { low: "10⁻⁶", high: "10" },
    begin() {
      [rates, losses] = [[], []];
    },
    add({ rate, loss }) {
      rates.push(rate);
      losses.push(loss);
      if (pending) return;
      pending = setTimeout(() => {
        pending = 0;
        draw();
      }, 150);
    },
    end(found) {
      clearTimeout(pending);
      pending = 0;
      [rates, losses] = [found.rates, found.losses];
      const marks = found.suggestion ? [{ at: found.suggestion, words: number(found.suggestion) }] : [];
      if (field.value > 0 && field.value !== found.suggestion)
        marks.push({ at: field.value, words: text("find.rate.set"), dash: "dot" });
      draw(found.smoothed, marks);
      const values = { value: number(found.suggestion), lowest: number(found.lowest) };
      const words = text(found.suggestion ? "find.rate.suggestion" : "find.rate.none", values);
      element.setAttribute("aria-label", words);
      return [words];
    },
  };
}

/** Items a second, seconds a step and memory over batch sizes. */
function Sizes() {
  const heads = ["size", "rate", "step", "memory"].map((one) => text(`find.batch_size.${one}`));
  const body = el("tbody");
  const element = el(
    "div",
    { class: "an-scroll", tabindex: 0 },
    el(
      "table",
      { class: "an-table find-sizes" },
      el("thead", {}, el("tr", {}, heads.map((head) => el("th", { scope: "col" }, head)))),
      body,
    ),
  );
  let rows = [];

  function draw(best = null) {
    const most = Math.max(...rows.map(({ rate }) => rate));
    body.replaceChildren(
      ...rows.map(({ size, rate, seconds, memory }) =>
        el(
          "tr",
          { "aria-current": size === best ? "true" : null },
          el("th", { scope: "row" }, number(size)),
          el(
            "td",
            {},
            el("span", { class: "find-bar", style: `--share: ${rate / most}` }),
            number(Math.round(rate)),
          ),
          el("td", {}, duration(seconds)),
          el("td", {}, bytes(memory)),
        ),
      ),
    );
  }

  return {
    element,
    blanks: {},
    begin() {
      rows = [];
      draw();
    },
    add({ row }) {
      rows.push(row);
      draw();
    },
    end(found) {
      rows = found.sizes;
      draw(found.suggestion);
      return [
        text("find.batch_size.suggestion", { value: number(found.suggestion) }),
        text(`find.batch_size.why.${found.why}`, { limit: bytes(found.limit) }),
      ];
    },
  };
}
