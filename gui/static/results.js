// Ways to show what a model made of something: classes, a picture, a text, a forecast.

import { lineChart } from "./chart.js";
import { decoded, playButton, plot } from "./items.js";
import { button, copy, csv, duration, number, save, tell } from "./page.js";
import { el, text } from "./shell.js";

const TOP = 5;
/** Features of a sequence that are drawn; the table has them all. */
const DRAWN = 6;

const percent = (share) =>
  share >= 0.9995 && share < 1 ? "> 99.9 %" : `${(100 * share).toFixed(1)} %`;

const words = (said, kind = "") =>
  el("span", { class: `an-said ${kind}`.trim(), dir: "auto" }, said);

/** A token so that its spaces are seen. */
const token = (said) => said.replaceAll(" ", "␣").replaceAll("\n", "⏎") || "∅";

const picture = (png, name) =>
  el(
    "figure",
    { class: "an-figure" },
    el("img", { src: `data:image/png;base64,${png}`, alt: text(`predict.${name}`) }),
    el("figcaption", {}, text(`predict.${name}`)),
  );

// --- what was given ------------------------------------------------------------------------

/** What the model saw of a recording; it can be played, where the page has it. */
function recording({ spectrogram, seconds, letters }, sound) {
  const wav = () => Promise.resolve(new Blob([decoded(sound)]));
  const trouble = () => tell(text("capture.unplayable"), "error");
  return el(
    "figure",
    { class: "an-figure an-heard" },
    el("img", {
      class: "an-spectrogram",
      src: `data:image/png;base64,${spectrogram}`,
      alt: text("predict.spectrogram"),
    }),
    letters?.length && seconds
      ? el(
          "p",
          { class: "an-letters", "aria-hidden": "true" },
          letters.map((one) =>
            el("span", { style: `left:${((100 * one.seconds) / seconds).toFixed(2)}%` }, one.text),
          ),
        )
      : null,
    el(
      "figcaption",
      {},
      sound ? playButton(text("predict.play"), wav, trouble) : null,
      [text("predict.saw"), Number.isFinite(seconds) ? duration(seconds) : ""]
        .filter(Boolean)
        .join(" · "),
    ),
  );
}

function seen(result, given) {
  if (result.spectrogram) return recording(result, given?.sound);
  if (result.input) return picture(result.input, "saw");
  if (!result.values) return null;
  return el(
    "figure",
    { class: "an-figure" },
    plot(result.values, text("predict.saw")),
    el("figcaption", {}, text("predict.saw")),
  );
}

/** The tokens of a text as the model read them, folded. */
function tokens(result) {
  if (!Array.isArray(result.tokens) || !result.tokens.length) return null;
  return el(
    "details",
    { class: "an-tokens" },
    el("summary", {}, text("predict.tokens", { count: result.tokens.length })),
    el(
      "p",
      { dir: "auto" },
      result.tokens.map((one) => el("code", {}, token(one))),
    ),
  );
}

// --- classes -------------------------------------------------------------------------------

function bars(classes) {
  return el(
    "dl",
    { class: "an-bars" },
    classes.flatMap(({ label, probability }) => [
      el("dt", { title: label, dir: "auto" }, label),
      el(
        "dd",
        { class: "an-bar", "aria-hidden": "true" },
        el("i", { style: `width:${100 * probability}%` }),
      ),
      el("dd", { class: "an-number" }, percent(probability)),
    ]),
  );
}

function classified(result, given) {
  const [best] = result.classes;
  const others = result.classes.slice(TOP);
  return [
    el(
      "div",
      { class: "an-top-class" },
      seen(result, given),
      el(
        "div",
        {},
        el("strong", { "data-testid": "prediction", dir: "auto" }, best.label),
        el("span", { class: "an-muted an-number" }, percent(best.probability)),
      ),
    ),
    el("section", { "aria-label": text("predict.classes") }, bars(result.classes.slice(0, TOP))),
    others.length
      ? el(
          "details",
          {},
          el("summary", {}, text("predict.more", { count: result.classes.length })),
          bars(others),
        )
      : null,
    tokens(result),
  ];
}

// --- a picture -----------------------------------------------------------------------------

function rebuilt(result) {
  const canvas = el("canvas", { role: "img", "aria-label": text("predict.difference") });
  difference(canvas, result.input, result.reconstruction);
  return [
    el(
      "div",
      { class: "an-side-by-side" },
      picture(result.input, "original"),
      result.corrupted ? picture(result.corrupted, "corrupted") : null,
      result.masked ? picture(result.masked, "masked") : null,
      picture(result.reconstruction, "reconstruction"),
      el(
        "figure",
        { class: "an-figure" },
        canvas,
        el("figcaption", {}, text("predict.difference")),
      ),
    ),
    el("p", { class: "an-number" }, text("predict.error", { error: number(result.error) })),
    ...invented(result),
  ];
}

/** Pictures that never were, side by side. */
function invented({ drawn = [] }) {
  if (!drawn.length) return [];
  return [
    el("h3", {}, text("predict.drawn")),
    el(
      "div",
      { class: "an-drawn" },
      drawn.map((png, i) =>
        el("img", {
          src: `data:image/png;base64,${png}`,
          alt: text("predict.drawn.one", { number: i + 1 }),
        }),
      ),
    ),
  ];
}

/** Two random views of a picture, and how alike the model finds them. */
function viewed(result) {
  return [
    el(
      "div",
      { class: "an-side-by-side" },
      picture(result.input, "original"),
      result.views.map((png, index) => picture(png, `view.${index + 1}`)),
    ),
    el(
      "p",
      { class: "an-number", "data-testid": "prediction" },
      text("predict.similarity", { cosine: result.similarity.toFixed(2) }),
    ),
  ];
}

/** Draws |input − reconstruction|, brightened so that small differences are seen. */
async function difference(canvas, first, second) {
  const pixels = async (png) => {
    const image = new Image();
    image.src = `data:image/png;base64,${png}`;
    await image.decode();
    canvas.width = image.naturalWidth;
    canvas.height = image.naturalHeight;
    const pen = canvas.getContext("2d", { willReadFrequently: true });
    pen.drawImage(image, 0, 0);
    return pen.getImageData(0, 0, canvas.width, canvas.height);
  };
  const one = await pixels(first);
  const other = await pixels(second);
  for (let i = 0; i < other.data.length; i += 1) {
    const apart = 2 * Math.abs(one.data[i] - other.data[i]);
    other.data[i] = i % 4 === 3 ? 255 : apart;
  }
  canvas.getContext("2d").putImageData(other, 0, 0);
}

// --- a text --------------------------------------------------------------------------------

/** A text that was written, large, with its prompt before it; gives what goes on growing, too. */
export function page(prompt = "") {
  const written = words("");
  const element = el(
    "p",
    { class: "an-text", dir: "auto", "data-testid": "written" },
    prompt ? el("span", { class: "an-muted" }, prompt) : null,
    written,
  );
  return { element, written };
}

function copyOf(said) {
  const one = button(text("train.copy"), () => copy(said, one));
  return el("div", { class: "an-actions" }, one);
}

function wrote(result) {
  const { element, written } = page(result.prompt);
  written.textContent = result.written;
  return [
    element,
    copyOf(`${result.prompt ?? ""}${result.written}`),
    result.candidates?.length ? candidates(result.candidates) : null,
    result.attention ? attention(result.attention) : null,
    tokens(result),
  ];
}

function candidates(list) {
  return el(
    "section",
    { class: "an-part" },
    el("h3", {}, text("predict.candidates")),
    list.some((one) => Number.isFinite(one.score))
      ? el("p", { class: "an-help" }, text("predict.candidates.help"))
      : null,
    el(
      "ol",
      { class: "an-candidates" },
      list.map((one) =>
        el(
          "li",
          {},
          words(one.text),
          Number.isFinite(one.score)
            ? el("span", { class: "an-muted an-number" }, number(one.score))
            : null,
        ),
      ),
    ),
  );
}

/** What was looked at for each token written: target tokens down, source tokens across. */
export function attention(
  { source, target, weights },
  title = "predict.attention",
  help = "predict.attention.help",
) {
  const head = (said, scope) => el("th", { scope, title: said, dir: "auto" }, token(said));
  const cell = (weight, row, column) =>
    el("td", {
      style: `--depth:${(100 * Math.min(1, Math.max(0, weight))).toFixed(0)}%`,
      title: `${target[row]} ← ${source[column]}: ${percent(weight)}`,
    });
  return el(
    "section",
    { class: "an-part" },
    el("h3", {}, text(title)),
    el("p", { class: "an-help" }, text(help)),
    el(
      "div",
      { class: "an-scroll", tabindex: 0, role: "group", "aria-label": text(title) },
      el(
        "table",
        { class: "an-attention", "aria-label": text(title) },
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            el("td", {}),
            source.map((said) => head(said, "col")),
          ),
        ),
        el(
          "tbody",
          {},
          target.map((said, row) =>
            el(
              "tr",
              {},
              head(said, "row"),
              source.map((_, column) => cell(weights[row]?.[column] ?? 0, row, column)),
            ),
          ),
        ),
      ),
    ),
  );
}

// --- blanks --------------------------------------------------------------------------------

function filled(result) {
  return [
    el("p", { class: "an-text", dir: "auto", "data-testid": "written" }, words(result.filled)),
    copyOf(result.filled),
    ...result.blanks.map(({ choices }, index) =>
      el(
        "section",
        { class: "an-part" },
        el("h3", {}, text("predict.blank", { number: index + 1 })),
        bars(choices.map((one) => ({ label: token(one.token), probability: one.probability }))),
      ),
    ),
    result.blanks.length ? null : el("p", { class: "an-muted" }, text("predict.blank.none")),
    tokens(result),
  ];
}

// --- a transcript --------------------------------------------------------------------------

function transcribed(result, given) {
  const said = result.heard.trim();
  return [
    seen(result, given),
    said
      ? el("p", { class: "an-text", dir: "auto", "data-testid": "written" }, words(result.heard))
      : el("p", { class: "an-muted", "data-testid": "written" }, text("predict.silence")),
    said ? copyOf(result.heard) : null,
    result.candidates?.length ? candidates(result.candidates) : null,
  ];
}

// --- a forecast ----------------------------------------------------------------------------

function foretold(result) {
  const past = result.context ?? [];
  const coming = result.forecast;
  const width = coming[0]?.length ?? past[0]?.length ?? 0;
  const name = (feature) =>
    result.features?.[feature] ??
    text(width === 1 ? "predict.value" : "predict.feature", { number: feature + 1 });
  const at = (step) => step - past.length + 1; // 0 is the last step that was given
  // One chart a feature: on a common axis the smaller ones would be flat.
  const charts = Array.from({ length: Math.min(width, DRAWN) }, (_, feature) => {
    const last = past.length ? [[at(past.length - 1), past.at(-1)[feature]]] : [];
    const ahead = [...last, ...coming.map((row, i) => [at(past.length + i), row[feature]])];
    const lines = [
      {
        label: text("predict.given"),
        x: past.map((_, i) => at(i)),
        y: past.map((row) => row[feature]),
        colour: feature,
      },
      {
        label: text("predict.ahead"),
        x: ahead.map(([x]) => x),
        y: ahead.map(([, y]) => y),
        colour: feature,
        dashed: true,
      },
    ];
    const words = text("predict.forecast", { count: coming.length, name: name(feature) });
    return el(
      "figure",
      { class: "an-forecast" },
      el("figcaption", { class: "an-small", dir: "auto" }, name(feature)),
      lineChart(lines, words, width === 1 ? { height: 280 } : {}),
    );
  });
  const columns = [text("predict.step"), ...Array.from({ length: width }, (_, i) => name(i))];
  const rows = coming.map((row, i) => [i + 1, ...row]);
  const download = button(text("predict.download"), () =>
    save("forecast.csv", csv([columns, ...rows])),
  );
  return [
    el("div", { class: "an-forecasts" }, charts),
    el("p", { class: "an-help" }, text("predict.forecast.axis")),
    width > DRAWN
      ? el("p", { class: "an-help" }, text("predict.forecast.some", { count: DRAWN, all: width }))
      : null,
    el("details", {}, el("summary", {}, text("predict.numbers")), tableOf(columns, rows)),
    el("div", { class: "an-actions" }, download),
  ];
}

/** A table that scrolls in its own box. */
export function tableOf(columns, rows) {
  const cell = (value) =>
    typeof value === "number"
      ? el("td", { class: "an-number" }, number(value))
      : value instanceof Node
        ? el("td", {}, value)
        : el("td", { dir: "auto" }, String(value ?? ""));
  return el(
    "div",
    { class: "an-scroll an-tall", tabindex: 0, role: "group", "aria-label": text("predict.table") },
    el(
      "table",
      { class: "an-table" },
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          columns.map((name) => el("th", { scope: "col" }, name)),
        ),
      ),
      el(
        "tbody",
        {},
        rows.map((row) => el("tr", {}, row.map(cell))),
      ),
    ),
  );
}

// --- by shape ------------------------------------------------------------------------------

const SHAPES = {
  classes: classified,
  reconstruction: rebuilt,
  views: viewed,
  written: wrote,
  blanks: filled,
  heard: transcribed,
  forecast: foretold,
  drawn: invented,
};

/** What is new, as it is: better than nothing. */
const unknown = (result) => [
  el("pre", { class: "an-json", tabindex: 0 }, JSON.stringify(result, null, 2)),
];

/** The elements that show a result; `given` is what it is an answer to. */
export function shown(result, given) {
  const shape = Object.keys(SHAPES).find((name) => result[name] !== undefined);
  return (SHAPES[shape] ?? unknown)(result, given).filter(Boolean);
}

const LINES = {
  classes: ({ classes: [best] }) => ({ label: best.label, probability: best.probability }),
  written: ({ written }) => ({ answer: written }),
  blanks: (result) => ({ answer: result.filled }),
  heard: ({ heard }) => ({ answer: heard }),
  reconstruction: ({ error }) => ({ squared_error: error }),
  views: ({ similarity }) => ({ cosine: similarity }),
  forecast: ({ forecast }) => ({ answer: JSON.stringify(forecast) }),
};

/** The same as one line of a table: `{ column: value }`. */
export function lineOf(result) {
  const shape = Object.keys(LINES).find((name) => result[name] !== undefined);
  return LINES[shape]?.(result) ?? { answer: JSON.stringify(result) };
}
