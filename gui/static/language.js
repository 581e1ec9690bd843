// English or 中文, changed while one looks: nothing is loaded or drawn anew for it.
//
// Scripts, server and cards all speak English. In Chinese, words are put into Chinese as they come
// into the document, and each place remembers its English. So a change touches words and nothing
// else: what is typed, a zoom, an open panel stay. What lies under dir="auto" or translate="no"
// belongs to the person or the data and is left alone, and so is code.

import strings from "./text.js";

const KEPT = "anneal-language";
const NAMES = { en: "en", zh: "zh-CN" };
const OURS = ["aria-label", "aria-valuetext", "data-title", "label", "placeholder"];
/** These say what the data say, where an element holds data. */
const THEIRS = ["alt", "title"];
const ATTRIBUTES = [...OURS, ...THEIRS];
const CODE = "code, pre, script, style, textarea";
/** Texts that are remembered with the way to say them in Chinese; the oldest go first. */
const MOST = 20_000;

let table = null;
let current = localStorage.getItem(KEPT) ?? "";
if (!(current in NAMES)) {
  // The browser's first language that is one of ours.
  const known = navigator.languages.map((name) => name.slice(0, 2)).find((name) => name in NAMES);
  current = known ?? "en";
}

/** "en" or "zh". */
export const language = () => current;

/** How dates are written: in the way of the browser's own English or Chinese, if it has one. */
export function locale(name) {
  return navigator.languages.find((one) => one.startsWith(name)) ?? NAMES[name];
}

// --- saying it in Chinese ----------------------------------------------------------------------

const made = new Map();

/** Remembers how a text that the page has put together is said in Chinese; gives the text. */
export function either(english, chinese) {
  const name = english.toLowerCase();
  made.delete(name);
  made.set(name, chinese);
  if (made.size > MOST) made.delete(made.keys().next().value);
  return english;
}

const BLANK = /\{(\w+)\}/g;
const fill = (template, values) => template.replace(BLANK, (blank, name) => values[name] ?? blank);

/** Chinese and Latin letters or digits stand apart by a space. */
const spaced = (words) =>
  words
    .replace(/(\p{Script=Han})([A-Za-z0-9±−])/gu, "$1 $2")
    .replace(/([A-Za-z0-9%])(\p{Script=Han})/gu, "$1 $2");

/** The string of that key with its blanks filled in. */
export function text(key, values = {}) {
  const english = fill(strings[key] ?? key, values);
  const blanks = [...(strings[key] ?? "").matchAll(BLANK)].map(([, name]) => name);
  if (!blanks.length) return english;
  const used = Object.fromEntries(blanks.map((name) => [name, String(values[name] ?? "")]));
  // What is nothing but one of its values is known by that.
  if (Object.values(used).includes(english)) return english;
  return either(english, () => inBlanks(table.strings[key], used));
}

function inBlanks(template, values) {
  if (!template) return null;
  const said = Object.entries(values).map(([name, value]) => [name, chinese(value)]);
  return spaced(fill(template, Object.fromEntries(said)));
}

/** A sentence with blanks as a way to know it again: `{ least, pattern, names, template }`. */
function asPattern([english, template]) {
  const pieces = english.split(/\{\w+\}/);
  const letters = pieces.join("").replace(/\P{L}/gu, "").length;
  const escaped = pieces.map((piece) => piece.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  // With three letters or less it could be anything: then its blanks are numbers.
  const blank = letters > 3 ? "(.+?)" : "([\\d.,]+)";
  return {
    letters,
    least: pieces.reduce((one, other) => (other.length > one.length ? other : one)).toLowerCase(),
    pattern: new RegExp(`^${escaped.join(blank)}$`, "sui"),
    names: [...english.matchAll(BLANK)].map(([, name]) => name),
    template,
  };
}

/** What the table says, laid out for looking up. */
function laidOut({ strings: byKey, words, sentences }) {
  const pairs = Object.entries(strings).map(([key, english]) => [english, byKey[key]]);
  const all = [...Object.entries(words), ...Object.entries(sentences), ...pairs].filter(
    ([, said]) => said,
  );
  const isPattern = ([english]) => /\{\w+\}/.test(english);
  return {
    strings: byKey,
    // As it is written first, then however it is: “Steps” over a column, “steps” after a number.
    whole: new Map([...all.map(([english, said]) => [english.toLowerCase(), said]), ...all]),
    // The one that says most comes first.
    patterns: all
      .filter(isPattern)
      .map(asPattern)
      .filter(({ letters }) => letters)
      .sort((one, other) => other.letters - one.letters),
  };
}

function whole(english) {
  const name = english.toLowerCase();
  return table.whole.get(english) ?? table.whole.get(name) ?? made.get(name)?.() ?? null;
}

function matched(english, { strict = false } = {}) {
  const lower = english.toLowerCase();
  for (const { least, pattern, names, template } of table.patterns) {
    if (!lower.includes(least)) continue;
    const found = pattern.exec(english);
    if (!found || (strict && found.slice(1).some((one) => isTwoSentences.test(one)))) continue;
    return inBlanks(template, Object.fromEntries(names.map((name, at) => [name, found[at + 1]])));
  }
  return null;
}

/** Between texts that a page has put together: firmly, or perhaps within one sentence. */
const FIRM = /( · |\n+)/;
const SOFT =
  /(: |; | \(|^\(|\)|, | – | → | \+ |(?<=[.?!…”]) (?=[\p{Lu}“\d])| (?=[\d.,]+$)|^[↑↓←→▶] | [→↑↓]$)/u;
const FULL = { "(": "（", ": ": "：", "; ": "；", ", ": "，", " (": "（", ")": "）", " ": "" };

/** Each part that is known, said in Chinese; with `all`, only if every one is. */
function parts(english, joints, { all = false } = {}) {
  const pieces = english.split(joints);
  if (pieces.length === 1) return null;
  const isJoint = (at) => at % 2 === 1;
  const said = pieces.map((piece, at) =>
    isJoint(at) ? piece : /[A-Za-z]/.test(piece) ? part(piece) : piece,
  );
  const news = said.map((one, at) => !isJoint(at) && one !== null && one !== pieces[at]);
  if (!news.includes(true) || (all && said.includes(null))) return null;
  return spaced(
    said
      .map((one, at) => {
        if (!isJoint(at)) return one ?? pieces[at];
        return news[at - 1] || news[at + 1] ? (FULL[one] ?? one) : one;
      })
      .join(""),
  );
}

const isTwoSentences = /[.?!] \p{Lu}/u;

/** A part of what was put together; null where nothing of it is known. */
function part(english) {
  return (
    whole(english) ??
    parts(english, FIRM) ??
    matched(english, { strict: true }) ??
    parts(english, SOFT, { all: true }) ??
    matched(english) ??
    parts(english, SOFT)
  );
}

/** The same in Chinese; what isn't known stays as it is. */
function chinese(english) {
  if (!/[A-Za-z]/.test(english)) return english;
  const [, before, core, after] = /^([\s·]*)(.*?)([\s·]*)$/s.exec(english);
  const said = part(core);
  return said === null ? english : before + said + after;
}

/** Two words as one in Chinese, which needs nothing between them: 验证准确率, 测试 F1. */
export const joined = (...words) => spaced(words.map(chinese).join(""));

// --- in the document ---------------------------------------------------------------------------

/** What a place holds in English and as it is shown: by text, and by element and attribute. */
const held = new WeakMap();

function shown(place, name, now) {
  const kept = held.get(place)?.[name];
  // Unless the page has written something else there since.
  const english = kept?.shown === now ? kept.english : now;
  const said = current === "zh" ? chinese(english) : english;
  if (said !== english || kept) {
    held.set(place, { ...held.get(place), [name]: { english, shown: said } });
  }
  return said;
}

/** Whose words these are: dir="auto" marks what a person or the data say. */
function isSpared(element, also = "") {
  const nearest = element.closest(`[translate], [dir]${also}`);
  if (nearest === null || nearest.getAttribute("translate") === "yes") return false;
  const isCode = also !== "" && nearest.matches(CODE);
  return isCode || nearest.getAttribute("dir") === "auto" || nearest.getAttribute("translate") === "no";
}

function sayText(node) {
  const element = node.parentElement;
  if (!element || isSpared(element, `, ${CODE}`)) return;
  const said = shown(node, "text", node.data);
  if (said !== node.data) node.data = said;
}

function sayAttribute(element, name) {
  const now = element.getAttribute(name);
  // What an entry field or a coloured text is called is ours, what a cell is titled is theirs.
  const theirs = THEIRS.includes(name) ? isSpared(element) : element.closest("[translate=no]");
  if (!now || theirs) return;
  const said = shown(element, name, now);
  if (said !== now) element.setAttribute(name, said);
}

function sayAll(root) {
  if (root.nodeType === Node.TEXT_NODE) sayText(root);
  if (root.nodeType !== Node.ELEMENT_NODE) return;
  const both = NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT;
  const walk = document.createTreeWalker(root, both);
  for (let node = root; node; node = walk.nextNode()) {
    if (node.nodeType === Node.TEXT_NODE) sayText(node);
    else for (const name of ATTRIBUTES) if (node.hasAttribute(name)) sayAttribute(node, name);
  }
}

/** What an element says in English, whatever it shows. */
export function english(element) {
  const walk = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  let said = "";
  while (walk.nextNode()) {
    const kept = held.get(walk.currentNode)?.text;
    const now = walk.currentNode.data;
    said += kept?.shown === now ? kept.english : now;
  }
  return said;
}

const watch = new MutationObserver((changes) => {
  for (const { type, target, attributeName, addedNodes } of changes) {
    if (type === "attributes") sayAttribute(target, attributeName);
    else if (type === "characterData") sayText(target);
    else for (const node of addedNodes) sayAll(node);
  }
  watch.takeRecords(); // what was just written
});

/** Shows the document in `current`, and what comes into it from now on. */
async function speak() {
  // Nobody pays for Chinese who hasn't asked for it.
  if (current === "en" && !table) {
    document.documentElement.lang = NAMES.en;
    return;
  }
  try {
    table ??= laidOut((await import("./chinese.js")).default);
  } catch {
    current = "en"; // the server is away: English is here
  }
  document.documentElement.lang = NAMES[current];
  if (!table) return;
  sayAll(document.documentElement);
  watch.observe(document.documentElement, {
    subtree: true,
    childList: true,
    characterData: true,
    attributeFilter: ATTRIBUTES,
  });
  watch.takeRecords();
  for (const act of told) act();
}

const told = new Set();

/** Calls `act` after each change of the language. */
export function onLanguage(act) {
  told.add(act);
}

/** Changes the language, here and for the next visit. */
export function choose(name) {
  current = name;
  localStorage.setItem(KEPT, name);
  return speak();
}

// Another tab has changed it.
window.addEventListener("storage", ({ key, newValue }) => {
  if (key !== KEPT || !(newValue in NAMES)) return;
  current = newValue;
  speak();
});

await speak();
