// Keyboard shortcuts, and the list of them under “?”.
//
// A page says which element a key is for by `aria-keyshortcuts`: a button is pressed, a field gets
// the focus. The navigation's links say their letters by `data-go`; “g” comes before them.

import { el, text } from "./shell.js";

/** Milliseconds in which the second key has to follow “g”. */
const FOLLOWS = 1500;
/** Keys that pages have a use for, and the string that says what they do. */
const KEYS = [
  ["Control+Enter", "Ctrl Enter", "shortcuts.begin"],
  ["P", "p", "shortcuts.pause"],
  ["/", "/", "shortcuts.search"],
];

const typing = (node) =>
  node instanceof HTMLElement &&
  (node.isContentEditable || node.matches("input:not([type=radio], [type=checkbox]), textarea, select"));

/** Listens for the keys; `frame` is the navigation. */
export function mount(frame) {
  const links = new Map(
    [...frame.querySelectorAll("[data-go]")].map((link) => [link.dataset.go, link]),
  );
  let going = 0;

  function use(key) {
    const all = [...document.querySelectorAll(`[aria-keyshortcuts="${CSS.escape(key)}"]`)];
    const node = all.find((one) => !one.disabled && one.getClientRects().length);
    if (!node) return false;
    if (node.matches("input, textarea, select")) node.focus();
    else node.click();
    return true;
  }

  function list() {
    const row = (keys, words) =>
      el(
        "div",
        {},
        el("dt", {}, keys.split(" ").map((key) => el("kbd", {}, key))),
        el("dd", {}, words),
      );
    const close = () => {
      dialog.close();
      dialog.remove();
    };
    const shut = el(
      "button",
      { type: "button", class: "an-button", onclick: close },
      text("shortcuts.close"),
    );
    const dialog = el(
      "dialog",
      { class: "an-dialog an-page an-shortcuts", "aria-labelledby": "an-shortcuts", oncancel: close },
      el("h2", { id: "an-shortcuts" }, text("shortcuts.title")),
      el(
        "dl",
        {},
        [...links].map(([key, link]) => row(`g ${key}`, link.textContent)),
        KEYS.map(([, keys, words]) => row(keys, text(words))),
        row("?", text("shortcuts.list")),
      ),
      el("p", {}, text("shortcuts.help")),
      el("div", { class: "an-dialog-actions" }, shut),
    );
    document.body.append(dialog);
    dialog.showModal();
  }

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || document.querySelector("dialog[open]")) return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      if (use("Control+Enter")) event.preventDefault();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    const key = event.key.toLowerCase();
    const second = Date.now() - going < FOLLOWS;
    going = key === "g" && !second ? Date.now() : 0;
    if (second && links.has(key)) links.get(key).click();
    else if (event.key === "?") list();
    else if (key === "/" ? use("/") : key === "p" && use("P")) event.preventDefault();
  });
  frame.querySelector(".an-keys").addEventListener("click", list);
}
