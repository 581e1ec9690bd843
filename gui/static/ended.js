// Says on every open page that a long run has ended: at its foot, in the tab's title while nobody
// looks at it, and by the system where a person has asked for that.

import { measured, metricLabel, tell } from "./page.js";
import { ask, text } from "./shell.js";

const SINCE = "anneal-since";
const WANTED = "anneal-notify";
/** Milliseconds between two looks, while the page is seen and while it isn't. */
const [SEEN, UNSEEN] = [3000, 10_000];
const COUNTED = /^\(\d+\) /;

const able = "Notification" in window;
const on = () =>
  able && Notification.permission === "granted" && localStorage.getItem(WANTED) === "on";

/** Begins to look, and gives the frame's button its use. */
export function mount(frame) {
  const button = frame.querySelector(".an-notify");
  let unseen = 0;

  function draw() {
    button.hidden = !able;
    button.setAttribute("aria-pressed", String(on()));
    const denied = able && Notification.permission === "denied";
    button.disabled = denied;
    button.title = text(denied ? "notify.denied" : "notify.help");
    button.textContent = text(on() ? "notify.on" : "notify.off");
  }

  // Asked for by a click only: a page that asks by itself is refused, and rightly.
  button.addEventListener("click", async () => {
    const wanted = !on();
    localStorage.setItem(WANTED, wanted ? "on" : "off");
    if (wanted && Notification.permission !== "granted") await Notification.requestPermission();
    draw();
  });
  draw();

  function count() {
    const title = document.title.replace(COUNTED, "");
    const wanted = unseen ? `(${unseen}) ${title}` : title;
    if (document.title !== wanted) document.title = wanted;
  }

  function say(one) {
    const words = text(`ended.${one.state}`, { name: one.name });
    const value = one.measure
      ? `${metricLabel(one.measure, { split: true })} ${measured(one.measure, one.value)}`
      : one.reason;
    const here = window.location.pathname + window.location.search === one.href;
    if (!here) {
      const open = () => window.location.assign(one.href);
      tell([words, value].filter(Boolean).join(" "), one.state === "finished" ? "info" : "error", {
        words: text("ended.open"),
        act: open,
      });
    }
    if (document.hidden) unseen += 1;
    if (!on() || (here && !document.hidden)) return;
    // The same tag from several tabs is one notification.
    const note = new Notification(words, { body: value, tag: one.id });
    note.addEventListener("click", () => {
      window.focus();
      window.location.assign(one.href);
      note.close();
    });
  }

  // Unlike what a page shows, this goes on in a hidden tab: that is what it is for.
  async function look() {
    try {
      const since = sessionStorage.getItem(SINCE);
      const news = await ask(`/api/news${since ? `?after=${encodeURIComponent(since)}` : ""}`);
      sessionStorage.setItem(SINCE, String(news.now));
      news.ended.forEach(say);
      count();
    } catch {
      // The page itself says that Anneal doesn't answer.
    }
    if (frame.isConnected) setTimeout(look, document.hidden ? UNSEEN : SEEN);
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    unseen = 0;
    count();
  });
  look();
}
