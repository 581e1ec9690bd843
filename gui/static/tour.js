// A first run in four steps, from the choice to a model that answers. It stands in the page, never
// above it, and is remembered by the browser: where it is, or that nobody wants it.

import { ask, el, text } from "./shell.js";

const KEPT = "anneal-tour";
/** Where each step is shown: on which page, before which element, and what it points at. */
const STEPS = [
  { path: "/", before: ".an-train-grid", at: '[data-section="task"]' },
  { path: "/", before: "section:has(> .an-go)", at: "#train" },
  { path: "/run", before: ".run-columns", at: ".curve-card:not([hidden])" },
  { path: "/run", before: ".run-columns", at: '.run-actions a[href^="/predict"]' },
  { path: "/predict", before: ".an-predict-grid", at: ".an-predict-grid .an-card" },
];
/** The last two are one: trying it begins on the run's page. */
const COUNT = 4;

const kept = () => {
  const said = Number(localStorage.getItem(KEPT) ?? Number.NaN);
  return Number.isInteger(said) && said >= 0 && said < STEPS.length ? said : null;
};
const keep = (step) => localStorage.setItem(KEPT, step === null ? "over" : String(step));

/** Shows the step that this page has, and gives the frame's button its use. */
export async function mount(frame) {
  frame.querySelector(".an-tour-again").addEventListener("click", () => {
    keep(0);
    if (window.location.pathname === "/") show(0, true);
    else window.location.assign("/");
  });
  if (localStorage.getItem(KEPT) === null) {
    if (window.location.pathname !== "/") return;
    try {
      if (!(await ask("/api/news")).fresh) return;
    } catch {
      return; // the page itself says that Anneal doesn't answer
    }
    keep(0);
  }
  let step = kept();
  if (step === null) return;
  // Pressing what a step points at leads to the page of the next one.
  const { pathname } = window.location;
  const next = STEPS.findIndex(({ path }, index) => index > step && path === pathname);
  if (STEPS[step].path !== pathname && next > 0 && next - step <= 2) {
    step = next;
    keep(step);
  }
  if (STEPS[step].path === pathname) show(step);
}

let shown = null;

/** Puts a step's card before its element, as soon as that is there. */
function show(step, focus = false) {
  shown?.close();
  const { before, at } = STEPS[step];
  const last = step === STEPS.length - 1;
  const number = Math.min(step + 1, COUNT);
  const head = el(
    "h2",
    { id: "an-tour", tabindex: -1 },
    el("small", {}, text("tour.step", { number, count: COUNT })),
    text(`tour.${step}.title`),
  );
  const go = (to) => {
    keep(to);
    if (to === null) shown?.close();
    else if (STEPS[to].path === window.location.pathname) show(to, true);
  };
  const here = (to) => STEPS[to]?.path === STEPS[step].path;
  const press = (key, act, kind = "") =>
    el(
      "button",
      { type: "button", class: `an-button ${kind}`.trim(), onclick: act },
      text(`tour.${key}`),
    );
  const card = el(
    "section",
    { class: "an-tour", "aria-labelledby": "an-tour" },
    head,
    el("p", {}, text(`tour.${step}.words`)),
    el(
      "div",
      { class: "an-tour-actions" },
      last ? null : press("skip", () => go(null), "quiet"),
      here(step - 1) ? press("back", () => go(step - 1)) : null,
      here(step + 1) ? press("next", () => go(step + 1), "primary") : null,
      last ? press("done", () => go(null), "primary") : null,
    ),
  );
  card.addEventListener("keydown", (event) => {
    if (event.key === "Escape") go(null);
  });

  /** The page may come later, and draw itself anew. */
  function place() {
    const anchor = document.querySelector(before);
    if (anchor && anchor.previousElementSibling !== card) {
      anchor.before(card);
      if (focus) {
        card.scrollIntoView({ block: "center" });
        head.focus({ preventScroll: true });
        focus = false;
      }
    }
    const target = document.querySelector(at);
    for (const other of document.querySelectorAll(".an-toured"))
      if (other !== target) other.classList.remove("an-toured");
    target?.classList.add("an-toured");
  }
  const watch = new MutationObserver(place);
  watch.observe(document.body, { childList: true, subtree: true });
  shown = {
    close() {
      watch.disconnect();
      card.remove();
      for (const one of document.querySelectorAll(".an-toured")) one.classList.remove("an-toured");
      shown = null;
    },
  };
  place();
}
