// The Datasets page: the list, a look inside, and bringing a file in.

import { attempt, confirmed, count, poll, remember, say, svg } from "./page.js";
import { ask, bytes, el, text } from "./shell.js";

const SPLITS = ["train", "validation", "test"];
const ACCEPTED = ".zip,.csv,.tsv,.npz,.tar,.tgz,.gz";
/** Milliseconds between two looks at the list: often while something is imported. */
const BUSY = 500;
const CALM = 5000;

/** Draws the page into its frame. */
export function mount(page) {
  const root = page.querySelector(".an-datasets");
  let listed = [];
  let readonly = null;
  let chosen = new URLSearchParams(window.location.search).get("data");
  let looking = null;
  let broken = false;

  const notices = el("div", { "aria-live": "polite" });
  const builtIn = el("ul", { class: "an-list" });
  const own = el("ul", { class: "an-list" });
  const none = el("p", { class: "an-muted an-small" }, text("datasets.own.none"));
  const shown = el("section", { class: "an-card an-shown", "aria-live": "polite" });

  // --- the list ------------------------------------------------------------------------------

  const title = (item) => el("div", { class: "an-entry-top" }, el("b", {}, item.name));

  function facts(item) {
    const words = item.imported
      ? [item.help, item.bytes ? bytes(item.bytes) : null].filter(Boolean).join(" · ")
      : item.help;
    return el("span", { class: "an-help" }, words);
  }

  function ready(item) {
    const entry = el(
      "button",
      { type: "button", class: "an-entry", "data-key": item.key },
      title(item),
      facts(item),
    );
    entry.setAttribute("aria-current", String(item.key === chosen));
    entry.addEventListener("click", () => {
      look(item.key);
      if (window.matchMedia("(width < 1000px)").matches) shown.scrollIntoView();
    });
    return entry;
  }

  function importing(item) {
    const bar = el("i");
    const words = el("span", { class: "an-help" });
    const entry = el(
      "div",
      { class: "an-entry" },
      title(item),
      el("div", { class: "an-bar" }, bar),
      words,
      el(
        "div",
        { class: "an-entry-actions" },
        action("cancel", () => cancel(item)),
      ),
    );
    entry.querySelector(".an-entry-top").append(pill(item.state));
    entry.update = (now) => {
      const share = now.total ? now.done / now.total : 0;
      bar.style.width = `${100 * share}%`;
      say(words, `${now.text || text("datasets.starting")} · ${Math.round(100 * share)} %`);
    };
    entry.update(item);
    return entry;
  }

  function failed(item) {
    const entry = el(
      "div",
      { class: "an-entry" },
      title(item),
      el("p", { class: "an-failed" }, item.reason),
      el(
        "div",
        { class: "an-entry-actions" },
        action("dismiss", () => remove(item.id)),
      ),
    );
    entry.querySelector(".an-entry-top").append(pill(item.state));
    return entry;
  }

  const pill = (state) =>
    el("span", { class: "an-state", "data-state": state }, text(`datasets.${state}`));

  const action = (name, act) =>
    el(
      "button",
      { type: "button", class: "an-button", disabled: Boolean(readonly), onclick: act },
      text(`datasets.${name}`),
    );

  const drawn = new Map();
  /** Brings the list up to date; entries that stay the same stay the same elements. */
  function list() {
    const kinds = { ready, importing, failed };
    const entries = (items) =>
      items.map((item) => {
        const id = item.key ?? `#${item.id}`;
        const known = drawn.get(id);
        if (known?.state === item.state) {
          known.update?.(item);
          return known.row;
        }
        const entry = kinds[item.state](item);
        const row = el("li", {}, entry);
        drawn.set(id, { state: item.state, row, update: entry.update });
        return row;
      });
    place(builtIn, entries(listed.filter((item) => !item.imported)));
    place(own, entries(listed.filter((item) => item.imported)));
    none.hidden = own.children.length > 0;
  }

  function place(parent, rows) {
    const same =
      rows.length === parent.children.length && rows.every((row, i) => row === parent.children[i]);
    if (!same) parent.replaceChildren(...rows);
  }

  async function refresh() {
    const fresh = await ask("/api/datasets");
    listed = fresh.datasets;
    readonly = fresh.readonly;
    list();
    if (readonly && !notices.children.length) {
      notices.append(el("p", { class: "an-notice" }, readonly));
      for (const input of upload.elements) input.disabled = true;
    }
    const usable = listed.filter((item) => item.key);
    const now = usable.find((item) => item.key === chosen) ?? usable[0];
    if (now && shown.dataset.key !== now.key) look(now.key, { typed: false });
    return listed.some((item) => item.state === "importing") ? BUSY : CALM;
  }

  async function cancel(item) {
    const agreed = await confirmed({
      title: text("datasets.cancel.title"),
      words: text("datasets.cancel.words", { name: item.name }),
      action: text("datasets.cancel.agree"),
      danger: true,
    });
    if (agreed) await remove(item.id);
  }

  async function remove(id) {
    await attempt(() => ask(`/api/datasets/${id}/remove`, { body: {} }));
    polling.now();
  }

  // --- a look inside -------------------------------------------------------------------------

  /** `typed` is false when nobody asked for it: the address stays as it is. */
  async function look(key, { typed = true } = {}) {
    if (shown.dataset.key === key && typed && !broken) return;
    broken = false;
    chosen = key;
    shown.dataset.key = key;
    if (typed) remember({ data: key });
    for (const entry of root.querySelectorAll(".an-entry[data-key]")) {
      entry.setAttribute("aria-current", String(entry.dataset.key === key));
    }
    looking?.abort();
    looking = new AbortController();
    const mine = looking;
    const item = listed.find((one) => one.key === key);
    shown.replaceChildren(
      el("div", { class: "an-card-head" }, el("h2", {}, item?.name ?? "")),
      el("p", { class: "an-muted" }, text("datasets.opening")),
    );
    try {
      const found = await ask("/api/datasets/preview", { body: { key }, signal: mine.signal });
      if (mine === looking) show(found, item);
    } catch (trouble) {
      if (trouble.name === "AbortError" || mine !== looking) return;
      broken = true; // another click tries again
      shown.replaceChildren(
        el("div", { class: "an-card-head" }, el("h2", {}, item?.name ?? "")),
        el("p", { class: "an-notice bad" }, trouble.message),
      );
    }
  }

  function show(found, item) {
    const total = (split) => (found.counts[split] ?? []).reduce((sum, n) => sum + n, 0);
    const head = el("div", { class: "an-card-head" }, el("h2", {}, found.name));
    if (item?.imported) {
      const words = { title: text("datasets.remove.title", { name: found.name }) };
      const removeIfAgreed = async () => {
        const agreed = await confirmed({
          ...words,
          words: text("datasets.remove.words"),
          action: text("datasets.remove"),
          danger: true,
        });
        if (agreed) await remove(item.id);
      };
      head.append(action("remove", removeIfAgreed));
    }
    const train = `/?data=${encodeURIComponent(found.key)}`;
    head.append(el("a", { class: "an-button primary", href: train }, text("datasets.train")));

    const fact = (name, value, wide = false) =>
      value
        ? el(
            "div",
            { class: wide ? "wide" : null },
            el("dt", {}, text(`datasets.${name}`)),
            el("dd", {}, value),
          )
        : null;
    const all = SPLITS.reduce((sum, split) => sum + total(split), 0);
    const source = found.file ?? found.source;
    shown.replaceChildren(
      head,
      el(
        "dl",
        { class: "an-facts" },
        fact("items", count(all)),
        fact("shape", shape(found)),
        fact("classes", found.classes.length ? count(found.classes.length) : null),
        fact("bytes", found.bytes ? bytes(found.bytes) : null),
        fact("licence", found.licence),
        fact("source", source, true),
        fact("fingerprint", el("code", { class: "an-mono" }, found.fingerprint), true),
      ),
      ...(found.warnings.length ? [warnings(found.warnings)] : []),
      samples(found.samples),
      balance(found, total),
    );
  }

  const shape = (found) =>
    found.samples.kind === "sequences"
      ? text("datasets.shape.sequence", { features: found.shape.at(-1) })
      : found.shape.join(" × ");

  const titled = (name, ...children) =>
    el("section", {}, el("h3", {}, text(`datasets.${name}`)), ...children);

  const warnings = (sentences) =>
    titled("warnings", ...sentences.map((words) => el("p", { class: "an-notice" }, words)));

  function samples({ kind, items }) {
    const one = (item) =>
      kind === "images"
        ? el("img", { src: `data:image/png;base64,${item.png}`, alt: item.label, loading: "lazy" })
        : plot(item.values, item.label);
    return titled(
      "samples",
      el(
        "ul",
        { class: `an-pictures ${kind}` },
        items.map((item) => el("li", {}, one(item), el("span", { title: item.label }, item.label))),
      ),
    );
  }

  function balance(found, total) {
    const legend = el(
      "ul",
      { class: "an-legend" },
      SPLITS.map((split) =>
        el(
          "li",
          { "data-split": split },
          el("i"),
          `${text(`datasets.${split}_split`)} ${count(total(split))}`,
        ),
      ),
    );
    const classes = found.classes.length ? found.classes : [""];
    const of = (split, index) => found.counts[split]?.[index] ?? 0;
    const sums = classes.map((_, i) => SPLITS.reduce((sum, split) => sum + of(split, i), 0));
    const most = Math.max(...sums, 1);
    const rows = classes.flatMap((label, index) => [
      el("span", { title: label }, label),
      el(
        "div",
        { class: "an-balance-bar" },
        SPLITS.map((split) =>
          el("i", {
            "data-split": split,
            style: `width:${(100 * of(split, index)) / most}%`,
            title: `${text(`datasets.${split}_split`)}: ${count(of(split, index))}`,
          }),
        ),
      ),
      el("span", { class: "an-number an-muted" }, count(sums[index])),
    ]);
    return titled(
      found.classes.length ? "balance" : "splits",
      legend,
      el("div", { class: "an-balance" }, rows),
    );
  }

  // --- bringing a file in --------------------------------------------------------------------

  const file = el("input", { type: "file", accept: ACCEPTED, class: "an-visually-hidden" });
  const said = el("span", {}, text("datasets.drop"));
  const drop = el(
    "label",
    { class: "an-drop" },
    said,
    el("span", { class: "an-help" }, ".zip · .csv · .npz"),
    file,
  );
  const problem = el("p", { class: "an-problem", role: "alert", hidden: true });
  const bar = el("i");
  const progress = el(
    "div",
    { hidden: true },
    el("div", { class: "an-bar" }, bar),
    el("span", { class: "an-help" }),
  );
  const begin = el(
    "button",
    { type: "submit", class: "an-button primary" },
    text("datasets.import"),
  );
  const stop = el(
    "button",
    { type: "button", class: "an-button", hidden: true },
    text("datasets.cancel"),
  );
  const field = (name, { usual = "", ...attributes }, help = null) => {
    const id = `import-${name}`;
    const described = help ? `${id}-help` : null;
    const input = el("input", {
      class: "an-input",
      id,
      name,
      autocomplete: "off",
      "aria-describedby": described,
      ...attributes,
    });
    input.defaultValue = usual; // what a reset of the form goes back to
    return el(
      "div",
      { class: "an-field" },
      el("label", { for: id }, text(`datasets.${name}`)),
      help ? el("p", { class: "an-help", id: described }, text(help)) : null,
      input,
    );
  };
  const share = { type: "number", min: 0.01, max: 0.4, step: 0.01 };
  const upload = el(
    "form",
    { class: "an-upload", novalidate: true },
    drop,
    field("name", { maxlength: 120 }, "datasets.name.help"),
    el(
      "details",
      {},
      el("summary", {}, text("datasets.options")),
      el(
        "div",
        { class: "an-two" },
        field("size", { type: "number", min: 8, max: 512 }, "datasets.size.help"),
        field("seed", { type: "number", min: 0, usual: "0" }, "datasets.seed.help"),
        field("validation", { ...share, usual: "0.1" }, "datasets.share.help"),
        field("test", { ...share, usual: "0.1" }, "datasets.share.help"),
        el(
          "label",
          { class: "an-check" },
          el("input", { type: "checkbox", name: "skip_broken", value: "true" }),
          text("datasets.skip_broken"),
        ),
      ),
    ),
    problem,
    progress,
    el("div", { class: "an-upload-actions" }, begin, stop),
  );

  function complain(words) {
    problem.textContent = words;
    problem.hidden = !words;
  }

  file.addEventListener("change", () => {
    const [one] = file.files;
    complain("");
    said.textContent = one
      ? text("datasets.chosen", { name: one.name, size: bytes(one.size) })
      : text("datasets.drop");
  });
  for (const kind of ["dragover", "dragleave", "drop"]) {
    drop.addEventListener(kind, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", kind === "dragover");
      if (kind === "drop" && event.dataTransfer.files.length && !file.disabled) {
        file.files = event.dataTransfer.files;
        file.dispatchEvent(new Event("change"));
      }
    });
  }

  upload.addEventListener("submit", (event) => {
    event.preventDefault();
    const [one] = file.files;
    if (!one) {
      complain(text("datasets.no_file"));
      file.focus();
      return;
    }
    send(one);
  });

  function send(one) {
    complain("");
    const query = new URLSearchParams([["file", one.name], ...new FormData(upload)]);
    const request = new XMLHttpRequest(); // fetch can't say how much it has sent
    const end = (words = "") => {
      progress.hidden = true;
      stop.hidden = true;
      begin.disabled = false;
      complain(words);
    };
    request.upload.addEventListener("progress", (sent) => {
      bar.style.width = `${(100 * sent.loaded) / sent.total}%`;
      say(
        progress.lastChild,
        sent.loaded < sent.total
          ? text("datasets.uploading", { done: bytes(sent.loaded), total: bytes(sent.total) })
          : text("datasets.starting"),
      );
    });
    request.addEventListener("load", () => {
      if (request.status === 200) {
        end();
        upload.reset();
        file.dispatchEvent(new Event("change"));
        polling.now();
        return;
      }
      let answer = {};
      try {
        answer = JSON.parse(request.responseText);
      } catch {
        // not ours: the sentence below says what can be said
      }
      end(answer.error ?? text("server.failed"));
    });
    request.addEventListener("error", () => end(text("offline")));
    request.addEventListener("abort", () => end());
    stop.onclick = () => request.abort();
    bar.style.width = "0";
    progress.hidden = false;
    stop.hidden = false;
    begin.disabled = true;
    request.open("PUT", `/api/datasets?${query}`);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.send(one);
  }

  // --- the frame -----------------------------------------------------------------------------

  root.replaceChildren(
    el(
      "header",
      { class: "an-head" },
      el("div", {}, el("h1", {}, text("datasets.title")), el("p", {}, text("datasets.lead"))),
    ),
    notices,
    el(
      "div",
      { class: "an-data-grid" },
      el(
        "section",
        { class: "an-card an-lists" },
        el("h2", {}, text("datasets.built_in")),
        builtIn,
        el("h2", {}, text("datasets.own")),
        none,
        own,
      ),
      shown,
      el(
        "section",
        { class: "an-card an-add" },
        el("h2", {}, text("datasets.add")),
        el("p", { class: "an-help" }, text("datasets.add.help")),
        upload,
      ),
    ),
  );
  const polling = poll(root, refresh, (trouble) => {
    notices.replaceChildren(
      ...(trouble ? [el("p", { class: "an-notice bad" }, trouble.message)] : []),
    );
  });
}

const COLOURS = 6;

/** A sequence as lines, one a feature. */
export function plot(values, label) {
  const [width, height, edge] = [150, 70, 5];
  const flat = values.flat();
  const [low, high] = [Math.min(...flat), Math.max(...flat)];
  const x = (step) => edge + (step / Math.max(values.length - 1, 1)) * (width - 2 * edge);
  const y = (value) => height - edge - ((value - low) / (high - low || 1)) * (height - 2 * edge);
  const lines = (values[0] ?? []).map((_, feature) =>
    svg("polyline", {
      points: values
        .map((row, step) => `${x(step).toFixed(1)},${y(row[feature]).toFixed(1)}`)
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
