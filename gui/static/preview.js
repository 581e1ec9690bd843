// What augmentation does: a few training items as they are, and as they may be seen in training.

import { plot } from "./items.js";
import { ask, el, text } from "./shell.js";

/** Milliseconds after the last change: fewer than the estimate waits, which takes longer. */
const PAUSE = 200;

/** Items and draws of each that come (gui/pages/train.py), for which there is room beforehand. */
const [SHOWN, DRAWS] = [4, 4];

/** Texts take a line or more each: so many of them, each varied so often. */
const FEW_TEXTS = [3, 2];

const percent = (share) => Math.round(100 * share);

/** `cat`, or of a mixed item `cat 70 % · dog 30 %`. */
const said = (label) =>
  label.length === 1 && percent(label[0].share) === 100
    ? label[0].name
    : label
        .map(({ name, share }) => text("train.preview.share", { name, percent: percent(share) }))
        .join(" · ");

const image = (kind) => (one, words) =>
  el("img", { class: kind, src: `data:image/png;base64,${one.png}`, alt: words });

const LOOKS = {
  images: image("an-picture"),
  sound: image("an-spectrogram"),
  sequences: (one, words) => plot(one.values, words),
  text: (one) =>
    el(
      "p",
      { class: "an-drawn-words", dir: "auto" },
      one.words.flatMap(({ text: run, is }) => [
        is === "same" ? run : el(is === "gone" ? "del" : "ins", {}, run),
        " ",
      ]),
    ),
};

/** As large as what is on its way, so that nothing below moves when it comes. */
const blank = () =>
  Array.from({ length: SHOWN }, () =>
    el(
      "div",
      { class: "an-drawn-blank", "aria-hidden": "true" },
      Array.from({ length: 1 + DRAWS }, () =>
        el(
          "figure",
          {},
          el("div", { class: "an-picture" }),
          el("figcaption", { class: "an-small" }, "\u00a0"),
        ),
      ),
    ),
  );

/** A strip that shows what `wanted()` does to items, renewed by `renew(recipe)`. */
export function previewOf(wanted) {
  const strip = el("div", { class: "an-drawn stale", "aria-live": "off" }, blank());
  const note = el("p", { class: "an-help an-preview-note", role: "status" });
  const again = el("button", { type: "button", class: "an-button" }, text("train.preview.again"));
  const box = el(
    "div",
    { class: "an-preview" },
    el("div", { class: "an-preview-head" }, el("h3", {}, text("train.preview")), again),
    note,
    strip,
  );
  let salt = 0;
  /** The part of the recipe that decides what is drawn. */
  let shown = "";
  let pausing = null;
  let asking = null;

  function figure(kind, one, label, words) {
    return el(
      "figure",
      {},
      LOOKS[kind](one, words),
      el("figcaption", { class: "an-muted an-small", dir: "auto", title: label }, label),
    );
  }

  function draw({ kind, items, mirror }) {
    const percents = mirror && {
      plain: percent(mirror.plain),
      mirrored: percent(mirror.mirrored),
    };
    note.textContent = mirror ? text("train.preview.mirror", percents) : "";
    note.classList.toggle("bad", Boolean(mirror));
    if (!items.length) note.textContent = text("train.preview.none");
    strip.dataset.kind = kind;
    const [most, drawn] = kind === "text" ? FEW_TEXTS : [items.length, items[0]?.draws.length];
    strip.replaceChildren(
      ...items.slice(0, most).map(({ label, before, draws }) => {
        const name = said(label);
        return el(
          "div",
          { class: "an-drawn-item" },
          figure(kind, before, name, text("train.preview.item", { label: name })),
          ...draws.slice(0, drawn).map((one, at) =>
            figure(
              kind,
              one,
              said(one.label),
              text("train.preview.draw", { label: said(one.label), number: at + 1 }),
            ),
          ),
        );
      }),
    );
  }

  async function look() {
    asking?.abort();
    asking = new AbortController();
    const { signal } = asking;
    try {
      const found = await ask("/api/preview", { body: { ...wanted(), salt }, signal });
      if (signal.aborted) return;
      strip.classList.remove("stale");
      if (found.problem) {
        note.textContent = found.problem.text;
        note.classList.remove("bad");
        strip.replaceChildren();
      } else draw(found);
    } catch (trouble) {
      if (trouble.name === "AbortError") return;
      note.textContent = trouble.message;
      strip.querySelectorAll(".an-drawn-blank").forEach((one) => one.remove());
      shown = "";
    }
  }

  function renew({ task, data, method, seed }) {
    const key = JSON.stringify([task.name, data, method.name, seed]);
    if (key === shown) return;
    shown = key;
    clearTimeout(pausing);
    asking?.abort(); // it would draw what isn't wanted any more
    strip.classList.add("stale");
    pausing = setTimeout(() => {
      if (box.isConnected) look();
    }, PAUSE);
  }

  again.addEventListener("click", () => {
    salt += 1;
    look();
  });
  return { box, renew };
}
