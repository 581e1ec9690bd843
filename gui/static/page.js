// What the pages' modules share, on top of the frame's own helpers (shell.js): polling, the
// address, words for numbers and times, small parts.

export { ask, bytes, copy, duration, el, text } from "./shell.js";
import { either, english, joined, locale } from "./language.js";
import { bytes, duration, el, text } from "./shell.js";

/** The address carries a version, so that a browser keeps the files until they change. */
const STATIC = new URL(".", import.meta.url).pathname.replace(/\/$/, "");

// --- elements ----------------------------------------------------------------------------------

/** An SVG element. */
export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** Sets a text only if it is another one, so that a selection or a screen reader isn't disturbed. */
export function say(node, words) {
  if (english(node) !== words) node.textContent = words;
}

/** A link to a run. Its name is a person's word, which no language of the page changes. */
export const linkTo = ({ id, name }) => el("a", { href: `/run?id=${id}`, dir: "auto" }, name);

/** `act(value)` whenever `value` is another one than before. */
export function onChange(act) {
  let before;
  return (value) => {
    const now = JSON.stringify(value);
    if (now !== before) act(value);
    before = now;
  };
}

/** Shows or hides. */
export function show(node, yes) {
  if (node.hidden === yes) node.hidden = !yes;
}

let given = 0;
/** An id that no other element has. */
export function unique(prefix) {
  given += 1;
  return `an-${prefix}-${given}`;
}

/** A select with its options: `choices` is [[value, label], …]. */
export function select(label, choices, chosen, onchange) {
  const node = el("select", { class: "an-input", "aria-label": label });
  for (const [value, words] of choices) node.append(el("option", { value }, words));
  node.value = chosen;
  node.addEventListener("change", () => onchange(node.value));
  return node;
}

/** Buttons of which one is pressed: `choices` is [[value, label], …]; `set` presses another. */
export function segments(label, choices, chosen, onchange) {
  const group = el("div", { class: "an-segments", role: "group", "aria-label": label });
  const set = (value) => {
    for (const one of group.children) {
      one.setAttribute("aria-pressed", String(one.dataset.value === value));
    }
  };
  for (const [value, words] of choices) {
    const press = () => {
      set(value);
      onchange(value);
    };
    group.append(el("button", { type: "button", "data-value": value, onclick: press }, words));
  }
  set(chosen);
  return Object.assign(group, { set });
}

/** A button; `kind` is primary, danger or quiet, `name` what a screen reader says. */
export function button(words, onclick, { kind = "", title = null, name = null } = {}) {
  const look = `an-button ${kind}`.trim();
  return el("button", { type: "button", class: look, title, "aria-label": name, onclick }, words);
}

let plotly = null;
/** Plotly, loaded when the first chart asks for it. */
export function loadPlotly() {
  plotly ??= new Promise((resolve, reject) => {
    const script = el("script", { src: `${STATIC}/plotly.min.js` });
    script.addEventListener("load", () => resolve(window.Plotly), { once: true });
    script.addEventListener("error", () => {
      plotly = null;
      reject(Object.assign(new Error(text("charts.failed")), { offline: true }));
    });
    document.head.append(script);
  });
  return plotly;
}

/** Has the browser fetch plotly when it is idle: the next page will want it. */
export function prefetchPlotly() {
  document.head.append(
    el("link", { rel: "prefetch", as: "script", href: `${STATIC}/plotly.min.js` }),
  );
}

// --- asking again and again --------------------------------------------------------------------

/** True for what the server refused, or when it can't be reached: not a fault of the script. */
function fromServer(problem) {
  return problem.offline === true || problem.status !== undefined;
}

/**
 * Calls `look` again and again until `element` leaves the page; `look` gives the pause in ms.
 *
 * Nothing is asked while the tab is hidden. `trouble(problem)` says that the server is away or
 * refuses, `trouble(null)` that it answers again.
 */
export function poll(element, look, trouble = () => {}) {
  let timer = 0;
  let busy = false;
  let away = false;
  let over = false;

  const turn = async () => {
    clearTimeout(timer);
    if (!element.isConnected) {
      stop();
      return;
    }
    if (busy || document.hidden) return;
    busy = true;
    let pause = 1000;
    try {
      pause = await look();
      if (away) trouble(null);
      away = false;
    } catch (problem) {
      if (!fromServer(problem)) throw problem;
      away = true;
      trouble(problem);
    } finally {
      busy = false;
      if (!over) timer = setTimeout(turn, pause);
    }
  };
  const stop = () => {
    over = true;
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", turn);
  };

  document.addEventListener("visibilitychange", turn);
  turn();
  return { now: turn, stop };
}

/** Does `act` and says what the server refused, if it did. Gives its result, or undefined. */
export async function attempt(act) {
  try {
    return await act();
  } catch (problem) {
    if (!fromServer(problem)) throw problem;
    tell(problem.message, "error");
    return undefined;
  }
}

/** `act`, called once `ms` after the last of many calls. */
export function debounce(act, ms) {
  let timer = 0;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => act(...values), ms);
  };
}

/** Milliseconds after which somebody is taken to have typed what was meant. */
export const TYPING = 250;

/**
 * What is to be called whenever something of a form is set: it asks for what follows, a moment after
 * the last of many changes. An answer that others have overtaken is dropped, so that it undoes
 * nothing that was set since.
 *
 * `asked()` asks, and gives nothing when there is no answer; `arrived(answer, redraw)` says whether
 * something was set since the last one for which the form is to be drawn anew. Called with that, and
 * with the milliseconds to wait.
 */
export function settling(asked, arrived) {
  let turn = 0;
  let timer = 0;
  let anew = false;
  const refresh = async () => {
    const mine = turn;
    const answer = await asked();
    if (!answer || mine !== turn) return;
    const redraw = anew;
    anew = false;
    arrived(answer, redraw);
  };
  return (redraw = false, ms = redraw ? 0 : TYPING) => {
    turn += 1;
    anew ||= redraw;
    clearTimeout(timer);
    timer = setTimeout(refresh, ms);
  };
}

// --- the address -------------------------------------------------------------------------------

/** What the address says after its question mark. */
export function parameters() {
  return new URLSearchParams(window.location.search);
}

/** Writes into the address without loading the page; empty values are left out. */
export function remember(values) {
  const all = parameters();
  for (const [name, value] of Object.entries(values)) {
    if (value === "" || value === null || value === undefined) all.delete(name);
    else all.set(name, value);
  }
  const query = all.toString().replaceAll("%2C", ",");
  const address = window.location.pathname + (query ? `?${query}` : "");
  window.history.replaceState(window.history.state, "", address);
}

// --- words for numbers and times ---------------------------------------------------------------

const grouped = new Intl.NumberFormat("en-US");

/** A way to write a date, as each language does it; of seconds since 1970. */
export function dated(style) {
  const [english, chinese] = ["en", "zh"].map(
    (name) => new Intl.DateTimeFormat(locale(name), style),
  );
  return (epoch) => {
    const date = new Date(epoch * 1000);
    return either(english.format(date), () => chinese.format(date));
  };
}

const inFull = dated({ dateStyle: "medium", timeStyle: "medium" });
const day = dated({ dateStyle: "medium" });

/** 12,345 */
export function count(value) {
  return value === null || value === undefined ? "–" : grouped.format(value);
}

/** At most four significant digits: 0.9734, 12.3, 1.2e-5. Texts (“NaN”) stay. */
export function number(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value);
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e7) return grouped.format(value);
  if (size >= 1e7 || size < 1e-3)
    return Number(value.toPrecision(3)).toExponential().replace("e+", "e");
  if (size >= 1000) return grouped.format(Math.round(value));
  return String(Number(value.toPrecision(4)));
}

/** The same number of decimals whatever the value, for numbers that change while one looks. */
export function steady(value) {
  if (typeof value !== "number") return number(value);
  const size = Math.abs(value);
  if (size >= 1e5 || (size < 1e-3 && size > 0)) return value.toExponential(2).replace("e+", "e");
  return value.toFixed(size >= 100 ? 1 : size >= 10 ? 2 : size >= 1 ? 3 : 4);
}

/** “just now”, “5 min ago”, “yesterday”, then the date; `epoch` in seconds. */
export function ago(epoch) {
  if (!epoch) return "–";
  const seconds = Date.now() / 1000 - epoch;
  if (seconds < 45) return text("ago.now");
  if (seconds < 3600) return text("ago.minutes", { count: Math.max(1, Math.round(seconds / 60)) });
  if (seconds < 86400) return text("ago.hours", { count: Math.round(seconds / 3600) });
  if (seconds < 2 * 86400) return text("ago.yesterday");
  if (seconds < 14 * 86400) return text("ago.days", { count: Math.floor(seconds / 86400) });
  return day(epoch);
}

/** Date and time in full; `epoch` in seconds. */
export function moment(epoch) {
  return epoch ? inFull(epoch) : "";
}

/** “validation/macro_f1” → “Macro F1”; with its split, “Validation macro F1”. */
export function metricLabel(name, { split = false } = {}) {
  const parts = name.split("/");
  const metric = parts.length > 1 ? parts.slice(1).join("/") : name;
  const known = text(`metric.${metric}`);
  const own = known === `metric.${metric}` ? plainLabel(metric) : known;
  const spoken = split && parts.length > 1 ? `${parts[0]} ${own}` : own;
  // “chrF” and “IoU” are written as they are.
  const label = /^\p{Ll}+(?!\p{L})/u.test(spoken)
    ? spoken.charAt(0).toUpperCase() + spoken.slice(1)
    : spoken;
  return split && parts.length > 1 ? either(label, () => joined(parts[0], own)) : label;
}

function plainLabel(metric) {
  const spoken = metric.replaceAll("_", " ").replaceAll("/", " ");
  return spoken.replace(/\b(f1|auc|iou)\b/g, (short) => short.toUpperCase());
}

const oneDecimal = (value) => (typeof value === "number" ? value.toFixed(1) : number(value));
const UNITS = {
  seconds: duration,
  peak_memory: bytes,
  bleu: oneDecimal,
  chrf: oneDecimal,
  rouge_1: oneDecimal,
  rouge_2: oneDecimal,
  rouge_l: oneDecimal,
};

/** A measure's value in its unit. */
export function measured(name, value) {
  return (UNITS[name.slice(name.lastIndexOf("/") + 1)] ?? number)(value);
}

/** A setting's value in words; `empty` is what no value means. */
export function spoken(value, empty) {
  if (value === null || value === undefined) return empty ?? text("value.none");
  if (value === true) return text("value.yes");
  if (value === false) return text("value.no");
  if (Array.isArray(value)) return value.join(", ");
  return typeof value === "number" ? number(value) : String(value);
}

// --- files that the page makes ------------------------------------------------------------------

/** Rows as CSV, as spreadsheets read it; no text is a formula to them. */
export function csv(rows) {
  const cell = (value) => {
    const formula = typeof value === "string" && /^[=+\-@\t\r]/.test(value);
    const said = (formula ? "'" : "") + String(value ?? "");
    return /[",\r\n]/.test(said) ? `"${said.replaceAll('"', '""')}"` : said;
  };
  return `${rows.map((row) => row.map(cell).join(",")).join("\r\n")}\r\n`;
}

/** Hands a text over as a file. */
export function save(name, words, type = "text/csv") {
  const url = URL.createObjectURL(new Blob([words], { type: `${type};charset=utf-8` }));
  const link = el("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

// --- states ------------------------------------------------------------------------------------

export const STATES = [
  "queued",
  "preparing",
  "running",
  "paused",
  "finished",
  "stopped",
  "failed",
  "interrupted",
];

/** A process works on the run. */
export function isActive(state) {
  return state === "preparing" || state === "running";
}

/** The coloured word for a state, or for the wish that the run has not answered yet. */
export function statePill(state, wish = null) {
  return setPill(el("span", { class: "an-state" }), state, wish);
}

/** Gives the pill another state. */
export function setPill(pill, state, wish = null) {
  if (pill.dataset.state !== state) pill.dataset.state = state;
  say(pill, isActive(state) && wish ? text(`wish.${wish}`) : text(`state.${state}`));
  return pill;
}

// --- talking to the person ---------------------------------------------------------------------

/** Asks in a dialog; true when the person agrees. */
export function confirmed({ title, words, action, danger = false }) {
  return new Promise((resolve) => {
    const head = unique("dialog");
    const answer = (yes) => {
      dialog.close();
      dialog.remove();
      resolve(yes);
    };
    const keep = button(text("dialog.keep"), () => answer(false));
    const agree = button(action, () => answer(true), { kind: danger ? "danger" : "primary" });
    const dialog = el(
      "dialog",
      { class: "an-dialog an-page", "aria-labelledby": head },
      el("h2", { id: head }, title),
      el("p", {}, words),
      el("div", { class: "an-dialog-actions" }, keep, agree),
    );
    dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      answer(false);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** A sentence at the foot of the window, read aloud; it goes by itself. `offer` is a button on it. */
export function tell(words, level = "info", offer = null) {
  let place = document.querySelector(".an-told");
  if (!place) {
    place = el("div", { class: "an-told an-page", "aria-live": "polite" });
    document.body.append(place);
  }
  const note = el("div", { class: "an-note", "data-level": level }, el("span", {}, words));
  if (offer) {
    // What an earlier one offers is no longer what is meant.
    for (const earlier of place.querySelectorAll("[data-offer]")) earlier.remove();
    note.dataset.offer = "";
    const accept = () => {
      note.remove();
      offer.act();
    };
    note.append(button(offer.words, accept));
  }
  note.append(button("×", () => note.remove(), { kind: "quiet", name: text("dismiss") }));
  place.append(note);
  setTimeout(() => note.remove(), level === "error" || offer ? 12_000 : 5_000);
}

// --- drawings and the theme --------------------------------------------------------------------

/** A line through at most a few dozen values. */
export function sparkline(values, label) {
  const [width, height] = [72, 24];
  const drawing = svg("svg", {
    class: "an-spark",
    width,
    height,
    viewBox: `0 0 ${width} ${height}`,
    role: "img",
    "aria-label": label,
  });
  const finite = values.filter((value) => typeof value === "number");
  if (finite.length < 2) return drawing;
  const [low, high] = [Math.min(...finite), Math.max(...finite)];
  const x = (index) => (1 + (index / (values.length - 1)) * (width - 2)).toFixed(1);
  const y = (value) => (height - 2 - ((value - low) / (high - low || 1)) * (height - 4)).toFixed(1);
  let path = "";
  let down = false;
  values.forEach((value, index) => {
    const drawn = typeof value === "number";
    if (drawn) path += `${down ? "L" : "M"}${x(index)} ${y(value)}`;
    down = drawn;
  });
  drawing.append(svg("path", { d: path }));
  return drawing;
}

/** The value of a CSS variable, as it is now. */
export function cssValue(name) {
  return getComputedStyle(document.body).getPropertyValue(name).trim();
}

/** Calls `act` when light turns to dark or back, until `element` leaves the page. */
export function onTheme(element, act) {
  const isDark = () => document.body.classList.contains("dark");
  let before = isDark();
  const watch = new MutationObserver(() => {
    if (!element.isConnected) {
      watch.disconnect();
      return;
    }
    const now = isDark();
    if (now !== before) act();
    before = now;
  });
  watch.observe(document.body, { attributes: true, attributeFilter: ["class"] });
}
