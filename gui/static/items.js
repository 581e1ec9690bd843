// What one item of a dataset looks like: a picture, a text, a pair, a recording, a sequence.

import { svg } from "./page.js";
import { duration, el, text } from "./shell.js";

const COLOURS = 6;

/** A sequence as lines, one a feature. */
export function plot(values, label) {
  const [width, height, edge] = [150, 70, 5];
  const flat = values.flat().filter(Number.isFinite);
  const [low, high] = [Math.min(...flat), Math.max(...flat)];
  const x = (step) => edge + (step / Math.max(values.length - 1, 1)) * (width - 2 * edge);
  const y = (value) => height - edge - ((value - low) / (high - low || 1)) * (height - 2 * edge);
  const lines = (values[0] ?? []).map((_, feature) =>
    svg("polyline", {
      points: values
        .map((row, step) => [step, row[feature]])
        .filter(([, value]) => Number.isFinite(value))
        .map(([step, value]) => `${x(step).toFixed(1)},${y(value).toFixed(1)}`)
        .join(" "),
      fill: "none",
      stroke: `var(--an-series-${(feature % COLOURS) + 1})`,
      "stroke-width": 1.2,
    }),
  );
  return svg(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label },
    ...lines,
  );
}

/** A recording's lowest and highest samples along its time: `[[min, max], …]` in −1…1. */
export function waveform(wave, label) {
  const [width, height] = [200, 44];
  const drawing = svg("svg", {
    class: "an-wave",
    viewBox: `0 0 ${width} ${height}`,
    preserveAspectRatio: "none",
    role: "img",
    "aria-label": label,
  });
  const x = (index) => (((index + 0.5) / wave.length) * width).toFixed(1);
  const y = (value) => ((1 - value) * 0.5 * height).toFixed(1);
  const path = wave
    .map(([low, high], index) => `M${x(index)} ${y(high)}V${(Number(y(low)) + 0.5).toFixed(1)}`)
    .join("");
  drawing.append(svg("path", { d: path }));
  return drawing;
}

/** The bytes of a base64 text. */
export function decoded(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

/** Bytes as a base64 text. */
export function encoded(bytes) {
  let letters = "";
  // Not all at once: a call takes only so many arguments.
  for (let at = 0; at < bytes.length; at += 0x8000)
    letters += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(letters);
}

let playing = null;
/** Plays a sound and ends the one before; `over()` is called when it is through. */
export function play(blob, over) {
  playing?.stop();
  const url = URL.createObjectURL(blob);
  const audio = new Audio(url);
  const mine = {
    stop() {
      if (playing === mine) playing = null;
      audio.pause();
      URL.revokeObjectURL(url);
      over();
    },
  };
  playing = mine;
  audio.addEventListener("ended", mine.stop, { once: true });
  audio.play().catch(mine.stop);
  return mine;
}

/** A button that plays what `sound()` gives (a promise of a Blob), and stops it again. */
export function playButton(name, sound, trouble) {
  let running = null;
  const button = el("button", { type: "button", class: "an-play", "aria-label": name }, "▶");
  const rest = () => {
    running = null;
    button.textContent = "▶";
    button.removeAttribute("aria-pressed");
  };
  button.addEventListener("click", async () => {
    if (running) {
      running.stop();
      return;
    }
    button.disabled = true;
    try {
      running = play(await sound(), rest);
      button.textContent = "■";
      button.setAttribute("aria-pressed", "true");
    } catch (problem) {
      trouble(problem);
    } finally {
      button.disabled = false;
    }
  });
  return button;
}

const picture = (png, words, kind) =>
  el("img", { class: kind, src: `data:image/png;base64,${png}`, alt: words, loading: "lazy" });

const words = (said, kind = "") => el("p", { class: `an-words ${kind}`.trim(), dir: "auto" }, said);

const LOOKS = {
  images: (item) => [picture(item.png, item.label || item.name, "an-picture")],
  sequences: (item) => [
    plot(item.values, item.label || item.name),
    el("span", { class: "an-muted an-small" }, text("viewer.steps", { count: item.steps })),
  ],
  text: (item) => [words(item.text)],
  pairs: (item) => [el("div", { class: "an-pair" }, words(item.source), words(item.target))],
  sound: (item, { sound, trouble }) => [
    el(
      "div",
      { class: "an-recording" },
      playButton(text("viewer.play", { name: item.name }), () => sound(item.row), trouble),
      waveform(item.wave, text("viewer.wave", { name: item.name })),
      el("span", { class: "an-muted an-small an-number" }, duration(item.seconds)),
    ),
    picture(item.spectrogram, text("viewer.spectrogram", { name: item.name }), "an-spectrogram"),
    item.transcript ? words(item.transcript) : null,
  ],
};

/** The elements that show an item of that kind; `tools` says how a recording is fetched. */
export function looks(kind, item, tools) {
  return LOOKS[kind](item, tools).filter(Boolean);
}
