// Settings as gui/form.py draws them: a switch, a choice, a slider, a number or a text.

import { el } from "./shell.js";
import { unique } from "./page.js";

/** A logarithmic slider has so many places. */
const PLACES = 400;
/** Controls that hold a text. */
const WRITTEN = ["text", "lines"];
/** More choices than these are typed and searched, not rolled through. */
const MANY = 20;

/** A value as a person types it. */
export const written = (value) => {
  if (Array.isArray(value)) return value.join(", ");
  if (value === null || value === undefined) return "";
  return String(value);
};

/** A value as it is told. */
export const shown = (field, value) => {
  if (field.type === "bool") return value ? "✓" : "✗";
  return written(value) || field.empty;
};

/** Whether a value is the one that is suggested. */
export const isUsual = (field, value) => written(value) === written(field.suggested);

const place = (field, value) =>
  Math.round((PLACES * Math.log(value / field.low)) / Math.log(field.high / field.low));

/** The value at a place of a logarithmic slider, rounded to what a person would write. */
function valueAt(field, where) {
  const exact = field.low * (field.high / field.low) ** (where / PLACES);
  if (field.type === "int") {
    const power = 2 ** Math.round(Math.log2(exact));
    return Math.min(Math.max(power, field.low), field.high);
  }
  return Number(exact.toPrecision(1.5 > exact / 10 ** Math.floor(Math.log10(exact)) ? 2 : 1));
}

function slider(field, input, changed) {
  const step = field.step ?? (field.type === "int" ? 1 : (field.high - field.low) / 100);
  const range = el("input", {
    type: "range",
    "aria-label": field.label,
    tabindex: -1, // the number beside it is the one that the keyboard goes to
    min: field.log ? 0 : field.low,
    max: field.log ? PLACES : field.high,
    step: field.log ? 1 : step,
    value: field.log ? place(field, field.value) : field.value,
  });
  range.addEventListener("input", () => {
    const value = field.log ? valueAt(field, range.value) : Number(range.value);
    input.value = value;
    changed(value);
  });
  input.addEventListener("input", () => {
    const value = Number(input.value);
    if (input.value && value > 0) range.value = field.log ? place(field, value) : value;
    else if (input.value) range.value = value;
  });
  return el("div", { class: "an-slide" }, range, input);
}

/** A list to search in by typing. */
function search(field, described, changed) {
  const list = unique("choices");
  const input = el("input", {
    class: "an-input",
    ...described,
    list,
    autocomplete: "off",
    spellcheck: "false",
    placeholder: field.optional ? field.empty : null,
    value: written(field.value),
  });
  let before = input.value;
  // The browser lists what matches what is written: nothing is written yet, so all of them.
  input.addEventListener("focus", () => {
    before = input.value;
    input.placeholder = before;
    input.value = "";
  });
  input.addEventListener("blur", () => {
    if (input.value === "") input.value = before;
  });
  input.addEventListener("input", () => {
    if (field.choices.includes(input.value)) changed(input.value);
  });
  input.addEventListener("change", () => {
    if (input.value !== "") changed(input.value);
  });
  const choices = field.choices.map((choice) => el("option", { value: choice }));
  return el("div", {}, input, el("datalist", { id: list }, choices));
}

function typed(field, input) {
  if (input.validity.badInput) return "?"; // half a number: the server says what it should be
  if (input.value.trim() === "") return null;
  return WRITTEN.includes(field.control) ? input.value : Number(input.value);
}

function controlOf(field, id, changed) {
  const described = { id, "aria-describedby": `${id}-help ${id}-problem` };
  if (field.control === "switch") {
    const box = el("input", { type: "checkbox", ...described, checked: Boolean(field.value) });
    box.addEventListener("change", () => changed(box.checked));
    return box;
  }
  if (field.control === "choice" && field.choices.length > MANY)
    return search(field, described, changed);
  if (field.control === "choice") {
    const select = el("select", { class: "an-input", ...described });
    if (field.optional) select.append(el("option", { value: "" }, field.empty));
    for (const choice of field.choices) select.append(el("option", { value: choice }, choice));
    select.value = written(field.value);
    select.addEventListener("change", () => changed(select.value || null));
    return select;
  }
  if (field.control === "lines") {
    const area = el("textarea", {
      class: "an-input",
      ...described,
      rows: 3,
      spellcheck: "false",
      placeholder: field.optional ? field.empty : null,
    });
    area.value = written(field.value);
    area.addEventListener("input", () => changed(typed(field, area)));
    return area;
  }
  const numeric = field.control !== "text";
  const input = el("input", {
    class: "an-input an-number",
    ...described,
    type: numeric ? "number" : "text",
    step: numeric ? (field.type === "int" ? 1 : "any") : null,
    min: numeric ? field.low : null,
    max: numeric ? field.high : null,
    placeholder: field.optional ? field.empty : null,
    autocomplete: "off",
    spellcheck: "false",
    value: written(field.value),
  });
  input.addEventListener("input", () => changed(typed(field, input)));
  return field.control === "slider" ? slider(field, input, changed) : input;
}

/**
 * A setting with its label, its help and its control; `changed(value)` is told what is set, and
 * `reset` is a button beside the label, where there is one.
 */
export function fieldOf(field, { id, changed, reset = null }) {
  const label = el("label", { for: id, id: `${id}-label` }, field.label);
  const top = el("div", { class: "an-top" }, label, reset);
  if (field.unit) label.after(el("span", { class: "an-unit" }, field.unit));
  const control = controlOf(field, id, changed);
  const box = el("div", { class: "an-field", "data-field": field.name }, top);
  if (field.control === "switch") {
    top.prepend(control);
    top.classList.add("an-switch");
  }
  box.append(el("p", { class: "an-help", id: `${id}-help` }, field.help));
  if (field.control !== "switch") box.append(el("div", { class: "an-control" }, control));
  box.append(el("p", { class: "an-problem", id: `${id}-problem`, hidden: true }));
  return box;
}

/** Whether a setting matters with what the others are set to. */
export function matters(field, all) {
  const by = field.only && all.find((other) => other.name === field.only.field);
  return !by || field.only.values.includes(by.value);
}
