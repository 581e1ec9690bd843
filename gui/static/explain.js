// Why a model answered so: importance over what it saw, words, attention, maps, neighbours, walks.

import { fieldOf } from "./fields.js";
import { looks, plot } from "./items.js";
import {
  ask as askOnce,
  button,
  count,
  debounce,
  el,
  number,
  select,
  svg,
  text,
  unique,
} from "./page.js";
import { attention, shown, tableOf } from "./results.js";
import { coming } from "./sending.js";

/** Milliseconds after the last change of a setting until it is asked anew. */
const SETTLED = 250;
/** Milliseconds after an answer until it is looked into: one may draw on. */
const PATIENCE = 400;
/** For and against: told apart by every kind of eyes. */
const FOR = [217, 95, 2];
const AGAINST = [33, 102, 172];

/**
 * A part of a page that looks into answers. `settings` are the fields of each explanation; gives
 * the element, `show(run, input)` for a new answer, and `rest()` when there is none.
 */
export function explainer(settings = () => ({})) {
  const body = el("div", { class: "an-why-body" });
  const says = el("p", { class: "an-says", role: "status" });
  const controls = el("div", { class: "an-why-controls" });
  const place = el("div", { class: "an-why-place" });
  const element = el(
    "details",
    { class: "an-why", hidden: true },
    el("summary", {}, el("span", {}, text("why"))),
    body,
  );
  body.append(el("p", { class: "an-help" }, text("why.help")), controls, says, place);
  let run = null;
  let input = null;
  /** What can be explained of the present answer, null when it isn't known. */
  let choices = null;
  let how = null;
  let target = null;
  let against = null;
  /** What was set, by explanation. */
  const set = {};
  /** The other end of a walk. */
  let other = null;
  let asking = null;

  function tell(words, { bad = false, offer = null } = {}) {
    says.classList.toggle("bad", bad);
    says.replaceChildren(words);
    says.hidden = !words;
    if (offer) says.append(button(...offer));
  }

  /** Asks; nothing comes of a question that was asked anew, or fails with a sentence. */
  async function ask(body, progress = () => {}) {
    asking?.abort();
    const mine = new AbortController();
    asking = mine;
    try {
      const whole = { run, input, ...body };
      for await (const line of coming("/api/predict/explain", whole, mine.signal)) {
        if (mine !== asking) return null;
        if (line.error !== undefined) throw new Error(line.error);
        if (line.part !== undefined) progress(Math.round(100 * Number(line.part)));
        if (line.answer) return line.answer;
      }
      throw new Error(text("predict.cut"));
    } catch (trouble) {
      if (trouble.name !== "AbortError" && mine === asking) {
        tell(trouble.message, { bad: true });
        place.replaceChildren();
      }
      return null;
    }
  }

  // --- what to explain -----------------------------------------------------------------------

  async function begin() {
    if (choices || !input) return;
    tell(text("why.busy"));
    const found = await ask({});
    if (!found) return;
    choices = found;
    if (!choices.ways.some((one) => one.name === how)) how = choices.ways[0]?.name ?? null;
    const known = choices.numbers.map((one) => one.index);
    if (!known.includes(against)) against = null;
    target = known[0] ?? null;
    if (against === target) against = null;
    lay();
    if (how) explain();
    else tell(text("why.nothing"));
  }

  const way = () => choices.ways.find((one) => one.name === how);
  const named = (index) => choices.numbers.find((one) => one.index === index)?.name ?? "";

  function labelled(words, control) {
    const id = unique("why");
    control.id = id;
    control.removeAttribute("aria-label");
    return el("div", { class: "an-field" }, el("label", { for: id }, words), control);
  }

  function lay() {
    const ways = choices.ways.map((one) => [one.name, one.label]);
    const parts = [];
    if (!ways.length) {
      controls.replaceChildren();
      return;
    }
    parts.push(
      labelled(
        text("why.how"),
        select("", ways, how, (value) => {
          how = value;
          lay();
          explain();
        }),
      ),
    );
    if (way().targeted && choices.numbers.length > 1) {
      const options = choices.numbers.map(({ index, name, value }) => [
        String(index),
        text("why.option", { name: seen(name), value: number(value) }),
      ]);
      const rest = options.filter(([index]) => index !== String(target));
      parts.push(
        labelled(
          text("why.of"),
          select("", options, String(target), (value) => {
            target = Number(value);
            if (against === target) against = null;
            lay();
            explain();
          }),
        ),
        labelled(
          text("why.against"),
          select(
            "",
            [["", text("why.against.none")], ...rest],
            against === null ? "" : String(against),
            (value) => {
              against = value === "" ? null : Number(value);
              explain();
            },
          ),
        ),
      );
    }
    const fields = settings()[how] ?? [];
    const own = (set[how] ??= {});
    controls.replaceChildren(
      el("div", { class: "an-why-choices" }, parts),
      el("p", { class: "an-help" }, way().help),
      fields.length
        ? el(
            "details",
            { class: "an-why-settings" },
            el("summary", {}, text("why.settings")),
            el(
              "div",
              { class: "an-fields" },
              fields.map((field) =>
                fieldOf(
                  { ...field, value: own[field.key] ?? field.value },
                  {
                    id: unique("why"),
                    changed: (value) => {
                      own[field.key] = value;
                      again();
                    },
                  },
                ),
              ),
            ),
          )
        : "",
    );
  }

  // --- the explanation -----------------------------------------------------------------------

  const question = () => ({
    how,
    settings: { ...set[how] },
    ...(way().targeted ? { target, against } : {}),
    ...(other ? { other } : {}),
  });

  async function explain() {
    const mine = how;
    const stop = () => {
      asking?.abort();
      asking = null;
      place.classList.remove("stale");
      tell(text("why.stopped"), { offer: [text("why.again"), explain] });
    };
    place.classList.add("stale");
    tell(text("why.busy"), { offer: [text("why.stop"), stop] });
    const found = await ask(question(), (share) => {
      tell(text("why.busy.share", { share }), { offer: [text("why.stop"), stop] });
    });
    if (!found || mine !== how) return;
    place.classList.remove("stale");
    tell("");
    const shape = Object.keys(SHAPES).find((name) => found[name] !== undefined);
    const tools = { setting, walk, name: named(target), other: () => other, keep };
    place.replaceChildren(...SHAPES[shape](found, tools), ...sanity(found));
  }

  const again = debounce(() => input && element.open && explain(), SETTLED);

  /** Sets something of the explanation from within it, and explains anew. */
  function setting(name, value) {
    (set[how] ??= {})[name] = value;
    explain();
  }

  /** The same without drawing the page anew: gives what was found, or null. */
  function walk(values) {
    Object.assign((set[how] ??= {}), values);
    return ask(question());
  }

  function keep(yes) {
    other = yes ? input : null;
  }

  const later = debounce(() => element.open && begin(), PATIENCE);
  element.addEventListener("toggle", () => {
    if (element.open) begin();
    else asking?.abort();
  });

  return {
    element,
    show(number, given) {
      if (run !== number) other = null;
      run = number;
      input = given;
      choices = null;
      asking?.abort();
      element.hidden = false;
      place.classList.add("stale");
      if (element.open) later();
    },
    /** Another answer is on its way: nobody waits for this one's, and it would stand in the way. */
    pause() {
      if (!asking) return;
      asking.abort();
      asking = null;
      place.classList.add("stale");
      tell("");
    },
    rest() {
      asking?.abort();
      input = null;
      choices = null;
      element.hidden = true;
      place.replaceChildren();
      tell("");
    },
  };
}

/** Which items a run takes, by the kind of a dataset's items. */
const TAKES = { images: "image", sequences: "sequence", text: "text", pairs: "pair", sound: "audio" };

/**
 * A part of an item's dialog in which a run can be asked about it; `fetched()` gives the item whole,
 * as a promise, and `own` is the address of the data that it is of: runs that know them come first.
 */
export function asking(kind, own, fetched) {
  const says = el("p", { class: "an-says", role: "status", hidden: true });
  const answer = el("div", { class: "an-answer" });
  let settings = {};
  const why = explainer(() => settings);
  const place = el("div", { class: "an-ask-run" });
  const element = el(
    "details",
    { class: "an-predict an-ask" },
    el("summary", {}, text("why.run")),
    place,
    says,
    answer,
    why.element,
  );

  function tell(words, bad = false) {
    says.textContent = words;
    says.hidden = !words;
    says.classList.toggle("bad", bad);
  }

  let newest = 0;
  async function predict(run) {
    newest += 1;
    const mine = newest;
    why.rest();
    answer.replaceChildren();
    if (!run) {
      tell("");
      return;
    }
    tell(text("predict.busy"));
    try {
      const input = await fetched();
      // What answers piece by piece is asked on its own page; here it is looked into.
      const found = run.streams
        ? null
        : await askOnce("/api/predict", { body: { run: run.id, input, options: {} } });
      if (mine !== newest) return;
      tell("");
      if (found) answer.replaceChildren(...shown(found.results[0], input));
      why.show(run.id, input);
    } catch (trouble) {
      if (mine === newest) tell(trouble.message, true);
    }
  }

  async function offer() {
    if (place.childElementCount) return;
    try {
      const found = await askOnce("/api/predict");
      settings = found.settings ?? {};
      const fit = found.runs.filter((run) => run.takes === TAKES[kind]);
      fit.sort((a, b) => Number(b.data === own) - Number(a.data === own));
      if (!fit.length) {
        tell(text("why.run.none"));
        return;
      }
      const words = (run) =>
        text("predict.run.option", { ...run, state: text(`state.${run.state}`).toLowerCase() });
      const runs = fit.map((run) => [String(run.id), words(run)]);
      place.replaceChildren(
        select(text("why.run"), [["", text("why.run.choose")], ...runs], "", (value) =>
          predict(fit.find((run) => String(run.id) === value)),
        ),
      );
    } catch (trouble) {
      tell(trouble.message, true);
    }
  }

  element.addEventListener("toggle", () => {
    if (element.open) offer();
    else why.rest();
  });
  return { element, close: () => why.rest() };
}

/** A token so that its spaces are seen. */
const seen = (said) => said.replaceAll(" ", "␣").replaceAll("\n", "⏎") || "∅";

// --- a picture or a spectrum -----------------------------------------------------------------

async function pixels(png) {
  const image = new Image();
  image.src = `data:image/png;base64,${png}`;
  await image.decode();
  const canvas = el("canvas", { width: image.naturalWidth, height: image.naturalHeight });
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.drawImage(image, 0, 0);
  return pen.getImageData(0, 0, canvas.width, canvas.height);
}

/** How strong the overlay was last; kept for the next one. */
let strength = 0.7;

function overlaid(found, { name }) {
  const canvas = el("canvas", {
    class: found.stretch ? "an-overlay stretch" : "an-overlay",
    role: "img",
    "aria-label": text("why.picture"),
  });
  const slider = el("input", {
    type: "range",
    min: 0,
    max: 1,
    step: 0.05,
    value: strength,
    id: unique("strength"),
  });
  let draw = () => {};
  slider.addEventListener("input", () => {
    strength = Number(slider.value);
    draw();
  });
  Promise.all([pixels(found.input), pixels(found.heat)]).then(([below, heat]) => {
    const [width, height] = [below.width, below.height];
    canvas.width = width;
    canvas.height = height;
    canvas.classList.toggle("small", Math.max(width, height) < 128);
    const pen = canvas.getContext("2d");
    const mixed = pen.createImageData(width, height);
    draw = () => {
      for (let i = 0; i < mixed.data.length; i += 4) {
        const value = (heat.data[i] - 128) / 127;
        const share = strength * Math.min(1, Math.abs(value)) ** 0.7;
        const colour = value > 0 ? FOR : AGAINST;
        for (let c = 0; c < 3; c += 1)
          mixed.data[i + c] = below.data[i + c] * (1 - share) + colour[c] * share;
        mixed.data[i + 3] = 255;
      }
      pen.putImageData(mixed, 0, 0);
    };
    draw();
    canvas.dataset.ready = "yes";
  });
  const map = found.map ? found.map.join(" × ") : "";
  return [
    el(
      "figure",
      { class: "an-overlaid" },
      canvas,
      el(
        "div",
        { class: "an-strength" },
        el("label", { for: slider.id }, text("why.strength")),
        slider,
      ),
      legend(found, name),
      found.layer && map
        ? el("p", { class: "an-help" }, text("why.seen", { layer: found.layer, map }))
        : null,
    ),
    ...summed(found),
  ];
}

/** What the colours mean. */
function legend(found) {
  const name =
    found.rather_than === undefined
      ? seen(found.of ?? "")
      : text("why.rather", { name: seen(found.of), other: seen(found.rather_than) });
  return el(
    "ul",
    { class: "an-legend an-why-legend" },
    el("li", {}, el("i", { class: "for" }, "+"), text("why.for", { name })),
    found.signed
      ? el("li", {}, el("i", { class: "against" }, "−"), text("why.against.name"))
      : null,
  );
}

/** What completeness says of integrated gradients. */
function summed(found) {
  if (found.sum === undefined) return [];
  const said = { sum: number(found.sum), missing: number(found.missing) };
  return [el("p", { class: "an-help an-number" }, text("why.sum", said))];
}

// --- words -----------------------------------------------------------------------------------

const depth = (value) => `--depth:${Math.round(75 * Math.min(1, Math.abs(value)))}%`;
/** Less than this share of the most important word is left without a mark. */
const FAINT = 0.05;

function worded(found) {
  const marked = (word) => {
    const { text: said, value } = word;
    const side = Math.abs(value) < FAINT ? "" : value > 0 ? "for" : "against";
    const sign = { for: "+", against: "−" }[side];
    return el(
      "span",
      {
        class: `an-word ${side}`.trim(),
        style: side ? depth(value) : null,
        title: text("why.word", { word: said, value: number(value) }),
      },
      sign ? el("sup", {}, sign) : null,
      said,
    );
  };
  const rows = found.words.flatMap((word) => word.tokens.map(([said, value]) => [seen(said), value]));
  return [
    el(
      "p",
      { class: "an-coloured", dir: "auto", role: "group", "aria-label": text("why.words") },
      found.words.flatMap((word) => [word.before, marked(word)]),
    ),
    legend(found),
    ...summed(found),
    el(
      "details",
      {},
      el("summary", {}, text("why.tokens")),
      tableOf([text("why.token"), text("why.importance")], rows),
    ),
  ];
}

// --- a sequence ------------------------------------------------------------------------------

function stripped(found) {
  const rows = found.strip[0]?.length ?? 0;
  const canvas = el("canvas", {
    class: "an-strip",
    width: found.strip.length,
    height: rows,
    role: "img",
    "aria-label": text("why.strip"),
  });
  canvas.style.height = `${Math.min(220, Math.max(22, rows * 14))}px`;
  const pen = canvas.getContext("2d");
  const drawn = pen.createImageData(canvas.width, canvas.height);
  found.strip.forEach((step, x) =>
    step.forEach((value, y) => {
      const at = 4 * (y * canvas.width + x);
      const colour = value > 0 ? FOR : AGAINST;
      for (let c = 0; c < 3; c += 1) drawn.data[at + c] = colour[c];
      drawn.data[at + 3] = Math.round(255 * Math.min(1, Math.abs(value)) ** 0.7);
    }),
  );
  pen.putImageData(drawn, 0, 0);
  return [
    el(
      "figure",
      { class: "an-stripped" },
      plot(found.values, text("predict.saw")),
      canvas,
      legend(found),
      el("p", { class: "an-help" }, text("why.strip.help")),
    ),
    ...summed(found),
  ];
}

// --- attention -------------------------------------------------------------------------------

function attended({ attended: found }, { setting }) {
  const upTo = (count) => Array.from({ length: count }, (_, i) => [String(i + 1), String(i + 1)]);
  const field = (words, control) => {
    control.id = unique("attended");
    return el("div", { class: "an-field" }, el("label", { for: control.id }, words), control);
  };
  return [
    el(
      "div",
      { class: "an-why-choices" },
      found.layers > 1
        ? field(
            text("why.layer"),
            select(text("why.layer"), upTo(found.layers), String(found.layer), (value) =>
              setting("layer", Number(value)),
            ),
          )
        : null,
      found.heads > 1
        ? field(
            text("why.head"),
            select(
              text("why.head"),
              [["", text("why.head.all")], ...upTo(found.heads)],
              found.head === null ? "" : String(found.head),
              (value) => setting("head", value === "" ? null : Number(value)),
            ),
          )
        : null,
    ),
    attention(found, "why.attended.title", "why.attended"),
  ];
}

// --- filters and maps ------------------------------------------------------------------------

function mapped({ maps: found }, { setting }) {
  const grid = (pngs, name) =>
    el(
      "div",
      { class: "an-maps" },
      pngs.map((png, i) =>
        el("img", {
          src: `data:image/png;base64,${png}`,
          alt: text(name, { number: i + 1 }),
          title: text(name, { number: i + 1 }),
        }),
      ),
    );
  const layer = select(
    text("why.layer"),
    found.layers.map((name, i) => [String(i + 1), `${i + 1}. ${name}`]),
    String(found.layer),
    (value) => setting("layer", Number(value)),
  );
  const shown = found.maps.length;
  const words = shown < found.count ? "why.maps.some" : "why.maps";
  return [
    el("div", { class: "an-field" }, layer),
    ...(found.filters.length
      ? [el("h3", {}, text("why.filters")), grid(found.filters, "why.filter")]
      : []),
    el("h3", {}, text(words, { count: found.count, shown })),
    grid(found.maps, "why.map"),
  ];
}

// --- neighbours ------------------------------------------------------------------------------

function alike({ neighbours: found }) {
  const words = found.whole ? "why.neighbours" : "why.neighbours.some";
  return [
    el("p", { class: "an-help" }, text(words, { count: count(found.looked_through) })),
    el(
      "ul",
      { class: "an-alike", "data-kind": found.kind },
      found.items.map((item) =>
        el(
          "li",
          {},
          // What is heard is only seen here.
          looks(found.kind, item, {}).map((one) => {
            one.querySelector?.(".an-play")?.remove();
            return one;
          }),
          el(
            "span",
            { class: "an-muted an-small", dir: "auto", title: item.name },
            text("why.cosine", { label: item.label || item.name, cosine: item.cosine.toFixed(3) }),
          ),
        ),
      ),
    ),
  ];
}

// --- a walk ----------------------------------------------------------------------------------

function walked(found, { walk, other, keep }) {
  const start = found.walk;
  const image = el("img", {
    src: `data:image/png;base64,${start.drawn}`,
    alt: text("why.walk.drawn"),
    "data-testid": "walk",
  });
  const moves = [...start.moves];
  let { share } = start;
  let busy = false;
  let waiting = false;
  const step = async () => {
    if (busy) {
      waiting = true;
      return;
    }
    busy = true;
    do {
      waiting = false;
      const next = await walk({ moves: moves.join(","), share });
      if (next?.walk) image.src = `data:image/png;base64,${next.walk.drawn}`;
    } while (waiting);
    busy = false;
  };
  const slider = (name, low, high, value, set, note) => {
    const range = el("input", { type: "range", min: low, max: high, step: 0.05, value });
    range.id = unique("walk");
    range.addEventListener("input", () => {
      set(Number(range.value));
      step();
    });
    const words = el("label", { for: range.id }, name, note ? el("small", {}, note) : null);
    return { box: el("div", { class: "an-walk-slide" }, words, range), range };
  };
  const sliders = start.spreads.map((_, i) =>
    slider(
      text("why.walk.direction", { number: i + 1 }),
      -start.far,
      start.far,
      moves[i],
      (value) => {
        moves[i] = value;
      },
      text("why.walk.share", { share: number(100 * start.shares[i]) }),
    ),
  );
  const way = other()
    ? slider(text("why.walk.way"), 0, 1, share, (value) => {
        share = value;
      })
    : null;
  const said = el("p", { class: "an-help", role: "status" });
  const reset = button(text("why.walk.reset"), () => {
    moves.fill(0);
    share = 0;
    for (const one of sliders) one.range.value = 0;
    if (way) way.range.value = 0;
    step();
  });
  const end = button(text(other() ? "why.walk.forget" : "why.walk.keep"), () => {
    const yes = !other();
    keep(yes);
    if (!yes) way?.box.remove();
    end.textContent = text(yes ? "why.walk.forget" : "why.walk.keep");
    said.textContent = yes ? text("why.walk.kept") : "";
  });
  return [
    el("p", { class: "an-help" }, text("why.walk.help")),
    el(
      "div",
      { class: "an-walk" },
      el(
        "div",
        { class: "an-walk-seen" },
        el("figure", {}, image, el("figcaption", {}, text("why.walk.drawn"))),
        el(
          "figure",
          {},
          el("img", {
            src: `data:image/png;base64,${start.input}`,
            alt: text("predict.original"),
          }),
          el("figcaption", {}, text("predict.original")),
        ),
      ),
      el("div", {}, way?.box, ...sliders.map((one) => one.box)),
    ),
    el("div", { class: "an-actions" }, reset, end),
    said,
  ];
}

// --- is it better than chance? ---------------------------------------------------------------

function sanity({ sanity: found }) {
  if (!found?.draws) return [];
  const [width, height, left, bottom] = [260, 120, 36, 18];
  const all = [...found.explained, ...found.high, ...found.low];
  const most = found.moves ? Math.max(...all, 1e-9) : 1;
  const x = (share) => left + share * (width - left - 6);
  const y = (value) => 6 + (1 - value / most) * (height - bottom - 6);
  const path = (curve) =>
    curve.map((value, i) => `${x(found.removed[i]).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
  const band = `${path(found.high)} ${path(found.low).split(" ").reverse().join(" ")}`;
  const mark = (at, words) => svg("text", { x: left - 4, y: y(at) + 4, "text-anchor": "end" }, words);
  const line = { fill: "none", "stroke-width": 2 };
  const drawing = svg(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": text("why.sanity.chart") },
    svg("line", { class: "axis", x1: left, x2: width - 6, y1: y(0), y2: y(0) }),
    svg("line", { class: "axis", x1: left, x2: left, y1: 6, y2: y(0) }),
    mark(most, found.moves ? number(most) : "100 %"),
    mark(0, found.moves ? "0" : "0 %"),
    svg(
      "text",
      { x: width - 6, y: height - 4, "text-anchor": "end" },
      `100 % ${text("why.sanity.removed")}`,
    ),
    svg("polygon", { class: "band", points: band }),
    svg("polyline", { class: "random", points: path(found.random), ...line }),
    svg("polyline", { class: "explained", points: path(found.explained), ...line }),
  );
  const verdict =
    found.beaten === found.draws ? "better" : found.beaten > 0 ? "unsure" : "no";
  const share = (value) => (found.moves ? number(value) : `${(100 * value).toFixed(0)} %`);
  const words = text(`why.sanity.${verdict}${found.moves ? ".moves" : ""}`, {
    draws: found.draws,
    beaten: found.beaten,
    area: share(found.area),
    random: share(found.random_area),
  });
  return [
    el(
      "section",
      { class: "an-sanity", "aria-label": text("why.sanity") },
      el("h3", {}, text("why.sanity")),
      el(
        "div",
        { class: "an-sanity-both" },
        el(
          "figure",
          {},
          el(
            "figcaption",
            { class: "an-small an-muted" },
            text(found.moves ? "why.sanity.moved" : "why.sanity.probability"),
          ),
          drawing,
          el(
            "ul",
            { class: "an-legend" },
            el("li", {}, el("i", { class: "explained" }), text("why.sanity.explained")),
            el(
              "li",
              {},
              el("i", { class: "random" }),
              text("why.sanity.random", { draws: found.draws }),
            ),
          ),
        ),
        el("p", { class: "an-verdict", "data-verdict": verdict }, words),
      ),
    ),
  ];
}

const SHAPES = {
  heat: overlaid,
  words: worded,
  strip: stripped,
  attended,
  maps: mapped,
  neighbours: alike,
  walk: walked,
};
