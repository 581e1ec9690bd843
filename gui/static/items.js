// What one item of a dataset looks like: a picture, a text, a pair, a recording, a sequence.

import { number, svg } from "./page.js";
import { duration, el, text } from "./shell.js";

const COLOURS = 6;
/** A line whose own range is so many times smaller than that of all lines looks flat beside them. */
const FLAT = 10;

const colour = (feature) => `var(--an-series-${(feature % COLOURS) + 1})`;

/** Of each feature the lowest and the highest value; whether they are too unlike for one axis. */
function ranges(values) {
  const each = (values[0] ?? []).map((_, feature) => {
    const column = values.map((row) => row[feature]).filter(Number.isFinite);
    return column.length ? [Math.min(...column), Math.max(...column)] : [0, 0];
  });
  const all = [Math.min(...each.map(([low]) => low)), Math.max(...each.map(([, high]) => high))];
  const flat = each.filter(([low, high]) => low < high && (high - low) * FLAT < all[1] - all[0]);
  // One line in six at least: of the 28 columns of a picture read by its rows a few are always dark.
  return { each, all, apart: flat.length > 0 && flat.length * COLOURS >= each.length };
}

/** A sequence as lines, one a feature; each over its own range where one axis would flatten some. */
export function plot(values, label) {
  const [width, height, edge] = [150, 70, 5];
  const { each, all, apart } = ranges(values);
  const x = (step) => edge + (step / Math.max(values.length - 1, 1)) * (width - 2 * edge);
  const y = (value, [low, high]) =>
    height - edge - (high > low ? (value - low) / (high - low) : 0.5) * (height - 2 * edge);
  const lines = each.map((own, feature) =>
    svg("polyline", {
      points: values
        .map((row, step) => [step, row[feature]])
        .filter(([, value]) => Number.isFinite(value))
        .map(([step, value]) => `${x(step).toFixed(1)},${y(value, apart ? own : all).toFixed(1)}`)
        .join(" "),
      fill: "none",
      stroke: colour(feature),
      "stroke-width": 1.3,
      "vector-effect": "non-scaling-stroke", // as thin where it is shown large
    }),
  );
  const said = apart ? text("viewer.apart", { name: label }) : label;
  return svg(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": said },
    ...(apart ? [svg("title", {}, said)] : []),
    ...lines,
  );
}

/** The colours of a sequence's features, each with its range; none where colours come twice. */
function features(values, names) {
  const { each } = ranges(values);
  if (each.length < 2 || each.length > COLOURS) return null;
  return el(
    "ul",
    { class: "an-legend" },
    each.map(([low, high], feature) =>
      el(
        "li",
        {},
        el("i", { style: `border-top-color:${colour(feature)}` }),
        text("viewer.range", {
          name: names[feature] ?? text("predict.feature", { number: feature + 1 }),
          low: number(low),
          high: number(high),
        }),
      ),
    ),
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
  sequences: (item, { names, large }) => [
    plot(item.values, item.label || item.name),
    large ? features(item.values, names ?? []) : null,
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

/**
 * The elements that show an item of that kind; `tools` says how a recording is fetched, what the
 * features of a sequence are called, and whether there is room for more than a look.
 */
export function looks(kind, item, tools) {
  return LOOKS[kind](item, tools).filter(Boolean);
}
