// The frame's few manners, and the helpers that every page's script shares.

import { choose, english, language, onLanguage, text } from "./language.js";

export { text };

const THEME = "anneal-theme";

// --- words and numbers ---------------------------------------------------------------------

/** 412 MB, 1.6 GB: binary steps under the names people know, and never four digits: 1.0 GB. */
export function bytes(count) {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (count >= 999.5 && unit < units.length - 1) {
    count /= 1024;
    unit += 1;
  }
  const figure = unit === 0 || count >= 100 ? Math.round(count) : count.toFixed(1);
  return unit === 0 ? text("unit.bytes", { count: figure }) : `${figure} ${units[unit]}`;
}

/** 34 s, 2 min 10 s, 1 h 05 min. */
export function duration(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  if (seconds > 0 && seconds < 0.1) return text("unit.instant");
  if (seconds < 10) return text("unit.seconds", { count: seconds.toFixed(1) });
  const whole = Math.round(seconds);
  if (whole < 60) return text("unit.seconds", { count: whole });
  const pad = (number) => String(number).padStart(2, "0");
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60)];
  if (!hours) return text("unit.minutes", { minutes, seconds: pad(whole % 60) });
  return text("unit.hours", { hours, minutes: pad(minutes) });
}

// --- elements ------------------------------------------------------------------------------

/**
 * An element with attributes and children; strings become text, never HTML.
 * `on…` attributes are listeners, null and false ones are left out.
 */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name in node && (name === "value" || name === "checked")) node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

// --- asking the server ---------------------------------------------------------------------

/** What a page's address answers; throws an Error with a sentence and, if known, its field. */
export async function ask(path, { body, signal } = {}) {
  let reply;
  try {
    reply = await fetch(path, {
      method: body === undefined ? "GET" : "POST",
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal,
    });
  } catch (problem) {
    if (problem.name === "AbortError") throw problem;
    throw Object.assign(new Error(text("offline")), { offline: true });
  }
  let answer = {};
  try {
    answer = await reply.json();
  } catch (problem) {
    // Taken back or broken off on its way; what comes whole and is no JSON has no words for us.
    if (problem.name === "AbortError") throw problem;
    if (problem.name !== "SyntaxError") {
      throw Object.assign(new Error(text("offline")), { offline: true });
    }
  }
  if (reply.ok) return answer;
  throw Object.assign(new Error(answer.error ?? text("server.failed")), {
    field: answer.field,
    status: reply.status,
  });
}

/** Copies and says so on the button for a moment. */
export async function copy(words, button) {
  const before = english(button);
  try {
    await navigator.clipboard.writeText(words);
    button.textContent = text("copied");
  } catch {
    button.textContent = text("copy.failed");
  }
  setTimeout(() => {
    button.textContent = before;
  }, 1600);
}

// --- the frame -----------------------------------------------------------------------------

function dress() {
  const chosen = localStorage.getItem(THEME);
  if (chosen) document.body.classList.toggle("dark", chosen === "dark");
}

/** Makes the navigation work, and the page light or dark as it was chosen before. */
export function mount(element) {
  dress();
  const side = element.querySelector(".an-side");
  const menu = element.querySelector(".an-menu");
  const open = (yes) => {
    side.classList.toggle("open", yes);
    menu.setAttribute("aria-expanded", String(yes));
  };
  menu.addEventListener("click", () => open(!side.classList.contains("open")));
  element.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && side.classList.contains("open")) {
      open(false);
      menu.focus();
    }
  });
  element.querySelector(".an-theme").addEventListener("click", () => {
    const dark = document.body.classList.toggle("dark");
    localStorage.setItem(THEME, dark ? "dark" : "light");
  });
  const languages = [...element.querySelectorAll(".an-languages button")];
  const press = () => {
    for (const one of languages) one.setAttribute("aria-pressed", one.lang.startsWith(language()));
  };
  for (const one of languages)
    one.addEventListener("click", () => choose(one.lang.slice(0, 2)));
  onLanguage(press);
  press();
  document.title = side.dataset.title;
  // After the page's own scripts: nobody waits for these.
  for (const name of ["shortcuts", "ended", "tour"])
    import(`./${name}.js`).then((manner) => manner.mount(element));
}
