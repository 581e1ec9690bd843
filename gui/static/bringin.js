// Files in: uploaded, looked into, corrected, imported.

import { ACCEPTED, dropped, fileInput, folderButton, packedAs, sorted } from "./choosing.js";
import { attempt, button, count, say, segments, unique } from "./page.js";
import { put } from "./sending.js";
import { ask, bytes, el, text } from "./shell.js";

const KINDS = ["images", "text", "pairs", "sound", "sequences"];
const ROLES = {
  images: ["file", "label", "split"],
  text: ["text", "label", "split"],
  pairs: ["source", "target", "split"],
  sound: ["file", "label", "transcript", "split"],
  sequences: ["sequence", "step", "label", "split"],
};
const ENCODINGS = [
  "utf-8",
  "utf-16",
  "cp1252",
  "latin-1",
  "cp1250",
  "cp1251",
  "gb18030",
  "big5",
  "shift_jis",
  "euc-kr",
];
const DELIMITERS = [
  [",", "comma"],
  ["\t", "tab"],
  [";", "semicolon"],
  ["|", "bar"],
  [" ", "space"],
];
const SPLITS = ["train", "validation", "test"];
/** What the server takes for an option that isn't given. */
const USUAL = {
  size: null,
  channels: null,
  rate: null,
  encoding: null,
  delimiter: null,
  columns: {},
  group: null,
  split: "given",
  seed: 0,
  validation: 0.1,
  test: 0.1,
  skip_broken: false,
};
/** Where on the form an option is set. */
const CONTROLS = {
  columns: "[id^=import-role-]",
  group: "#import-group",
  split: ".an-splitting button",
  encoding: "#import-encoding",
  delimiter: "#import-delimiter",
  size: "#import-size",
  rate: "#import-rate",
  skip_broken: ".an-check input",
};

/** The words of the form for an option that has to change; null where the form has none. */
export function controlOf(field) {
  if (!(field in CONTROLS)) return null;
  const words = {
    columns: "bring.columns",
    group: "data.split.column",
    split: "bring.split",
    encoding: "bring.encoding",
    delimiter: "bring.delimiter",
  };
  return text(words[field] ?? `datasets.${field}`);
}

/**
 * The way in for files. `begun(id)` is called when their import has begun.
 *
 * Gives the element, `drop(transfer)` for what is dropped, `send(files, name, done)` for files that
 * the page has made itself, and `retry(item)` for an import that failed and can be tried again.
 */
export function bringIn({ limit, begun }) {
  /** Where the files are: `{token}` of an upload, `{dataset}` of a failed import. */
  let source = null;
  let kind = null;
  let told = {};
  let found = null;
  let asked = null;
  let afterwards = () => {};
  /** Why the import failed that is tried again: it stays until something is changed. */
  let why = "";
  /** Something is packed or sent. */
  let busy = false;
  /** What the page has made itself is here only, until it is imported. */
  let homemade = false;
  /** Names of this upload's files. */
  const names = new Set();

  // --- choosing and sending ------------------------------------------------------------------

  const drop = el(
    "label",
    { class: "an-drop" },
    el("b", {}, text("datasets.drop")),
    el("span", { class: "an-help" }, text("bring.accepted")),
    fileInput(take, { accept: ACCEPTED, multiple: true }),
  );
  const choosing = el("div", { class: "an-choosing" }, drop, folderButton(take));
  const problem = el("p", { class: "an-problem", role: "alert", hidden: true });
  const bar = el("i");
  const words = el("span", { class: "an-help", role: "status" });
  const stop = button(text("datasets.cancel"), () => {});
  const progress = el(
    "div",
    { class: "an-sending", hidden: true },
    el("div", { class: "an-bar" }, bar),
    el("div", { class: "an-sending-line" }, words, stop),
  );
  const kinds = el(
    "details",
    { class: "an-what" },
    el("summary", {}, text("bring.what")),
    el(
      "dl",
      {},
      KINDS.flatMap((one) => [
        el("dt", {}, text(`datasets.kind.${one}`)),
        el("dd", {}, text(`bring.what.${one}`)),
      ]),
    ),
  );
  const looked = el("form", { class: "an-looked", novalidate: true, hidden: true });
  const element = el("div", { class: "an-bring" }, choosing, kinds, progress, problem, looked);

  function complain(sentence = "") {
    problem.textContent = sentence;
    problem.hidden = !sentence;
    if (sentence) problem.scrollIntoView({ block: "nearest" });
  }

  /** What a person has dropped on the page; to be called while the event lasts. */
  async function dropOf(transfer) {
    const files = dropped(transfer);
    complain();
    try {
      await take(await files);
    } catch (trouble) {
      unreadable(trouble);
    }
  }

  /** A file or folder that the browser may not read, or that is gone; a fault of ours is thrown. */
  function unreadable(trouble) {
    if (!(trouble instanceof DOMException)) throw trouble;
    complain(text("bring.unreadable"));
  }

  /** Packs what belongs together, and sends all of it. */
  async function take(files) {
    if (busy) return;
    const { whole, pack, name } = sorted(files);
    if (!whole.length && !pack.length) {
      complain(text("bring.nothing"));
      return;
    }
    if (!pack.length) {
      await send(whole);
      return;
    }
    if (tooLarge(files.map((one) => one.file))) return;
    let stopped = false;
    stop.onclick = () => {
      stopped = true;
    };
    underWay();
    try {
      const shown = (done) => {
        bar.style.width = `${(100 * done) / pack.length}%`;
        say(words, text("bring.packing", { done: count(done), total: count(pack.length) }));
      };
      const made = await packedAs(free(name), pack, shown, () => stopped);
      if (made) await send([...whole, made]);
      else await startOver();
    } catch (trouble) {
      await startOver();
      unreadable(trouble);
    }
  }

  /** A name that no zip of this upload has. */
  function free(name) {
    let other = name;
    for (let n = 2; names.has(`${other}.zip`); n += 1) other = `${name} ${n}`;
    return other;
  }

  function tooLarge(files) {
    const over = files.reduce((sum, one) => sum + one.size, 0) > limit();
    if (over) complain(text("upload.too_large", { limit: bytes(limit()) }));
    return over;
  }

  function underWay() {
    complain();
    busy = true;
    choosing.hidden = kinds.hidden = true;
    looked.hidden = true;
    progress.hidden = false;
    stop.hidden = false;
  }

  /** Uploads the files; those of an upload that waits are joined by them. */
  async function send(files, name = null, done = () => {}) {
    complain();
    if (!files.length) return;
    if (tooLarge(files)) {
      busy = false;
      progress.hidden = true;
      choosing.hidden = kinds.hidden = Boolean(source);
      looked.hidden = !source;
      return;
    }
    const total = files.reduce((sum, one) => sum + one.size, 0);
    if (source?.dataset || name) await startOver();
    if (name) nameField.value = name;
    else nameField.placeholder ||= files[0].name.replace(/\.[^.]*$/, "");
    homemade ||= Boolean(name);
    afterwards = done;
    let sent = 0;
    let stopped = false;
    let current = null;
    stop.onclick = () => {
      stopped = true;
      current?.abort();
    };
    underWay();
    try {
      for (const one of files) {
        const before = sent;
        const shown = (now) => {
          bar.style.width = `${(100 * (before + now)) / Math.max(total, 1)}%`;
          const values = { done: bytes(before + now), total: bytes(total) };
          say(words, text("datasets.uploading", values));
        };
        shown(0);
        const request = put(one, source?.token, shown);
        current = request;
        source = { token: await request.answer };
        names.add(one.name);
        sent += one.size;
        if (stopped) break;
      }
    } catch (trouble) {
      if (!stopped) complain(trouble.message);
      stopped = true;
    }
    busy = false;
    progress.hidden = true;
    if (stopped) await startOver({ keep: true });
    else await inspect();
  }

  /** Back to the choice of files; what was uploaded is removed. */
  async function startOver({ keep = false } = {}) {
    const before = source;
    source = kind = found = null;
    told = {};
    why = "";
    busy = homemade = false;
    names.clear();
    asked?.abort();
    nameField.value = nameField.placeholder = "";
    looked.hidden = true;
    progress.hidden = true;
    choosing.hidden = kinds.hidden = false;
    if (!keep) complain();
    if (before?.token) await attempt(() => ask("/api/uploads/drop", { body: before }));
  }

  window.addEventListener("beforeunload", (event) => {
    if (element.isConnected && (busy || source?.token)) event.preventDefault();
  });
  window.addEventListener("pagehide", () => {
    if (!source?.token) return;
    fetch("/api/uploads/drop", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(source),
      keepalive: true,
    });
  });

  /** Opens the form of an import that failed, as it was. */
  async function retry(item) {
    await startOver();
    source = { dataset: item.id };
    kind = item.retry.kind || null;
    const usual = (name, value) => JSON.stringify(value) === JSON.stringify(USUAL[name]);
    const given = Object.entries(item.retry.options);
    told = Object.fromEntries(given.filter(([name, value]) => !usual(name, value)));
    nameField.value = item.name;
    choosing.hidden = kinds.hidden = true;
    why = item.reason;
    complain(why);
    if (item.retry.files) await inspect();
    else {
      // What is fetched isn't here: its columns are named, not chosen.
      found = { ...blank(), unseen: true };
      draw();
    }
    looked.querySelector(CONTROLS[item.retry.field])?.focus({ preventScroll: true });
  }

  // --- looking into them ---------------------------------------------------------------------

  async function inspect() {
    asked?.abort();
    asked = new AbortController();
    const mine = asked;
    choosing.hidden = kinds.hidden = true;
    looked.classList.add("stale");
    if (looked.hidden) {
      progress.hidden = false;
      stop.hidden = true;
      say(words, text("bring.looking"));
    }
    go.disabled = true;
    try {
      const body = { ...source, kind, options: told };
      const answer = await ask("/api/datasets/inspect", { body, signal: mine.signal });
      if (mine !== asked) return;
      if (answer.problem) complain(answer.problem.text);
      else complain(why);
      found = answer.problem
        ? {
            ...blank(),
            ...found,
            ...(kind ? { kind } : {}),
            failed: answer.problem.field ?? "files",
          }
        : answer;
      if (!answer.problem) kind ??= found.kind;
      draw();
    } catch (trouble) {
      if (trouble.name === "AbortError" || mine !== asked) return;
      if (trouble.status === 404) await startOver();
      complain(trouble.message);
    } finally {
      if (mine === asked) {
        looked.classList.remove("stale");
        progress.hidden = true;
      }
    }
  }

  /** What is offered when the files couldn't be looked into. */
  const blank = () => ({
    kind: kind ?? "",
    kinds: kind ? [kind] : KINDS,
    encoding: told.encoding ?? "",
    delimiter: told.delimiter ?? "",
    columns: [],
    roles: {},
    rows: [],
    groups: [],
    items: null,
    classes: [],
    class_count: 0,
    splits: {},
    notes: [],
  });

  // --- the form of what was found ------------------------------------------------------------

  const nameField = el("input", {
    class: "an-input",
    id: "import-name",
    maxlength: 120,
    autocomplete: "off",
    "aria-describedby": "import-name-help",
  });
  const go = el("button", { type: "submit", class: "an-button primary" }, text("datasets.import"));
  const more = fileInput(take, { accept: ACCEPTED, multiple: true });
  const addMore = el("label", { class: "an-button" }, text("bring.more"), more);
  const actions = el(
    "div",
    { class: "an-looked-actions" },
    go,
    addMore,
    button(text("bring.over"), () => startOver(), { kind: "quiet" }),
  );

  function labelled(id, label, control, help = null) {
    control.id = id;
    control.classList.add("an-input");
    if (help) control.setAttribute("aria-describedby", `${id}-help`);
    return el(
      "div",
      { class: "an-field" },
      el("label", { for: id }, label),
      control,
      help ? el("p", { class: "an-help", id: `${id}-help` }, help) : null,
    );
  }

  function choice(choices, chosen, act) {
    const node = el(
      "select",
      {},
      choices.map(([value, label]) => el("option", { value }, label)),
    );
    node.value = chosen;
    node.addEventListener("change", () => act(node.value));
    return node;
  }

  /** Sets an option (null: as it finds by itself) and looks again. */
  function tellIt(values) {
    told = { ...told, ...values };
    for (const [name, value] of Object.entries(values)) if (value === null) delete told[name];
    why = "";
    if (found.unseen) draw();
    else inspect();
  }

  function draw() {
    const focused = document.activeElement?.id;
    const part = (name, ...children) =>
      el(
        "fieldset",
        { class: "an-part" },
        el("legend", {}, text(`bring.${name}`)),
        ...children.filter(Boolean),
      );
    looked.replaceChildren(
      ...[
        homemade ? el("p", { class: "an-notice" }, text("bring.not_yet")) : null,
        part("found", summary(), reading(), notes()),
        found.columns.length ? part("columns", choosable() ? roles() : null, table()) : null,
        !found.columns.length && (found.failed === "columns" || found.unseen)
          ? part("columns", named())
          : null,
        found.nested ? part("classes", naming()) : null,
        part("split", splitting()),
        part("rest", rest()),
        actions,
      ].filter(Boolean),
    );
    addMore.hidden = Boolean(source?.dataset) || homemade;
    looked.hidden = false;
    go.disabled = Boolean(found.failed);
    if (focused) looked.querySelector(`#${CSS.escape(focused)}`)?.focus({ preventScroll: true });
  }

  function summary() {
    const facts = [
      found.items === null || found.items === undefined
        ? text("bring.items.unknown")
        : text("form.items", { count: count(found.items) }),
    ];
    if (found.class_count) facts.push(text("form.classes", { count: count(found.class_count) }));
    if (found.failed) return el("p", { class: "an-muted" }, text("bring.failed"));
    if (found.unseen) return el("p", { class: "an-muted" }, text("bring.unseen"));
    const names = found.classes.length
      ? `${found.classes.join(" · ")}${found.class_count > found.classes.length ? " …" : ""}`
      : "";
    return el(
      "div",
      { class: "an-summary", role: "status" },
      el("p", {}, el("b", {}, facts.join(" · "))),
      names ? el("p", { class: "an-muted an-small" }, names) : null,
    );
  }

  function notes() {
    return found.notes.length
      ? el(
          "ul",
          { class: "an-notes" },
          found.notes.map((words_) => el("li", {}, words_)),
        )
      : null;
  }

  function reading() {
    const kinds_ =
      found.kinds.includes(found.kind) || !found.kind ? found.kinds : [found.kind, ...found.kinds];
    const offered = kinds_.map((one) => [one, text(`datasets.kind.${one}`)]);
    if (!found.kind) offered.unshift(["", text("bring.by_itself")]);
    const kindChoice = choice(offered, found.kind ?? "", (value) => {
      kind = value || null;
      tellIt({ columns: null, delimiter: null, encoding: null, group: null });
    });
    kindChoice.disabled = Boolean(source?.dataset);
    const fields = [labelled("import-kind", text("bring.kind"), kindChoice)];
    const asText = found.encoding || found.failed || found.unseen;
    if (asText) {
      const known = found.encoding && !ENCODINGS.includes(found.encoding) ? [found.encoding] : [];
      const encodings = [...known, ...ENCODINGS].map((one) => [one, one.toUpperCase()]);
      if (!found.encoding) encodings.unshift(["", text("bring.by_itself")]);
      fields.push(
        labelled(
          "import-encoding",
          text("bring.encoding"),
          choice(encodings, found.encoding, (encoding) => tellIt({ encoding: encoding || null })),
        ),
      );
    }
    if (found.delimiter || found.failed || found.unseen) {
      const delimiters = DELIMITERS.map(([one, name]) => [one, text(`bring.delimiter.${name}`)]);
      if (!found.delimiter) delimiters.unshift(["", text("bring.by_itself")]);
      else if (!DELIMITERS.some(([one]) => one === found.delimiter)) {
        delimiters.unshift([found.delimiter, found.delimiter]);
      }
      fields.push(
        labelled(
          "import-delimiter",
          text("bring.delimiter"),
          choice(delimiters, found.delimiter, (one) => tellIt({ delimiter: one || null })),
        ),
      );
    }
    return el("div", { class: "an-three" }, fields);
  }

  /** Of an archive of folders, the columns are only what is shown of it. */
  const choosable = () =>
    !["images", "sound"].includes(found.kind) || Object.keys(found.roles).length > 0;

  function roles() {
    // The table inside an archive has columns beside those that are shown.
    const known = new Set([...Object.values(found.roles), ...found.columns, ...found.groups]);
    const columns = [["", text("bring.no_column")], ...[...known].map((one) => [one, one])];
    const all = ROLES[found.kind] ?? [];
    const now = Object.fromEntries(all.map((role) => [role, found.roles[role] ?? ""]));
    return el(
      "div",
      { class: "an-three" },
      all.map((role) =>
        labelled(
          `import-role-${role}`,
          text(`data.role.${role}`),
          choice(columns, now[role], (column) => tellIt({ columns: { ...now, [role]: column } })),
        ),
      ),
    );
  }

  /** The columns by their names, where the files couldn't be looked into without them. */
  function named() {
    if (!kind) return el("p", { class: "an-muted an-small" }, text("bring.kind_first"));
    return el(
      "div",
      { class: "an-three" },
      ROLES[kind].map((role) => {
        const input = el("input", { autocomplete: "off", value: told.columns?.[role] ?? "" });
        input.addEventListener("change", () => {
          const { [role]: _, ...others } = told.columns ?? {};
          const name = input.value.trim();
          tellIt({ columns: name ? { ...others, [role]: name } : others });
        });
        return labelled(`import-role-${role}`, text(`data.role.${role}`), input);
      }),
    );
  }

  function table() {
    const used = new Map(Object.entries(found.roles).map(([role, column]) => [column, role]));
    return el(
      "div",
      { class: "an-table an-scroll", tabindex: 0, role: "group", "aria-label": text("bring.rows") },
      el(
        "table",
        {},
        el("caption", { class: "an-visually-hidden" }, text("bring.rows")),
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            found.columns.map((name) =>
              el(
                "th",
                { scope: "col", class: used.has(name) ? "used" : null },
                name,
                used.has(name) ? el("small", {}, text(`data.role.${used.get(name)}`)) : null,
              ),
            ),
          ),
        ),
        el(
          "tbody",
          {},
          found.rows.map((row) =>
            el(
              "tr",
              {},
              row.map((cell) => el("td", { dir: "auto" }, cell)),
            ),
          ),
        ),
      ),
    );
  }

  /** Which folders are classes, where they lie in one another. */
  function naming() {
    const ways = ["outermost", "path"].map((way) => [way, text(`bring.classes.${way}`)]);
    const set = (way) => tellIt({ classes: way === "path" ? way : null });
    return el(
      "div",
      { class: "an-splitting" },
      segments(text("bring.classes"), ways, told.classes ?? "outermost", set),
      el("p", { class: "an-help" }, text("bring.classes.help")),
    );
  }

  function splitting() {
    const groups = [...found.groups];
    if (told.group && !groups.includes(told.group)) groups.push(told.group);
    const given = SPLITS.filter((split) => found.splits[split]);
    const byFile = given.length > 1 && told.split !== "random";
    const usual = found.series ? "ordered" : "random";
    const how =
      told.split === "none" ? "none" : told.group ? "group" : byFile ? "given" : usual;
    const ways = [[usual, text(`bring.split.${usual}`)]];
    const random = told.split === "random" && !found.series;
    if (given.length > 1 || random) ways.unshift(["given", text("bring.split.given")]);
    if (groups.length) ways.push(["group", text("bring.split.group")]);
    ways.push(["none", text("bring.split.none")]);
    const set = (way) => {
      if (way === "none") tellIt({ split: "none", group: null });
      else if (way === "given") tellIt({ split: null, group: null });
      else tellIt({ split: "random", group: way === "group" ? groups[0] : null });
    };
    const sizes = given.map(
      (split) => `${text(`datasets.${split}_split`)} ${count(found.splits[split])}`,
    );
    const parts = [];
    parts.push(segments(text("bring.split"), ways, how, set));
    if (how === "given") {
      parts.push(el("p", { class: "an-muted an-small" }, sizes.join(" · ")));
      return el("div", { class: "an-splitting" }, parts);
    }
    if (how === "none") {
      parts.push(el("p", { class: "an-help" }, text("bring.split.none.help")));
      return el("div", { class: "an-splitting" }, parts);
    }
    const numbers = [
      numeric("validation", { min: 0.01, max: 0.4, step: 0.01, usual: 0.1 }),
      numeric("test", { min: 0.01, max: 0.4, step: 0.01, usual: 0.1 }),
      ...(how === "ordered" ? [] : [numeric("seed", { min: 0, step: 1, usual: 0 })]),
    ];
    if (how === "ordered") parts.push(el("p", { class: "an-help" }, text("bring.split.ordered.help")));
    if (how === "group") {
      const columns = groups.map((one) => [one, one]);
      numbers.unshift(
        labelled(
          "import-group",
          text("data.split.column"),
          choice(columns, told.group, (group) => tellIt({ group })),
          text("bring.group.help"),
        ),
      );
    }
    parts.push(el("div", { class: "an-three" }, numbers));
    return el("div", { class: "an-splitting" }, parts);
  }

  /** A number that is an option; nothing is looked into again for it. */
  function numeric(name, { usual = "", ...attributes }, help = null) {
    const input = el("input", { type: "number", autocomplete: "off", ...attributes });
    input.value = told[name] ?? usual;
    input.addEventListener("input", () => {
      if (input.value === "" || Number(input.value) === usual) delete told[name];
      else told[name] = Number(input.value);
    });
    return labelled(`import-${name}`, text(`datasets.${name}`), input, help);
  }

  function rest() {
    const id = unique("skip");
    const skip = el("input", { type: "checkbox", id, checked: Boolean(told.skip_broken) });
    skip.addEventListener("change", () => {
      if (found.failed && !found.unseen) tellIt({ skip_broken: skip.checked || null });
      else if (skip.checked) told.skip_broken = true;
      else delete told.skip_broken;
    });
    const size = { min: 8, max: 512, step: 1, placeholder: text("bring.by_itself") };
    const rate = { min: 4000, max: 48000, step: 1, placeholder: text("bring.by_itself") };
    const name = labelled(
      "import-name",
      text("datasets.name"),
      nameField,
      text("datasets.name.help"),
    );
    nameField.disabled = Boolean(source?.dataset);
    return el(
      "div",
      { class: "an-rest" },
      el(
        "div",
        { class: "an-three" },
        name,
        found.kind === "images" ? numeric("size", size, text("datasets.size.help")) : null,
        found.kind === "sound" ? numeric("rate", rate, text("datasets.rate.help")) : null,
      ),
      el("label", { class: "an-check", for: id }, skip, text("datasets.skip_broken")),
    );
  }

  looked.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (go.disabled) return;
    go.disabled = true;
    complain();
    try {
      // What was set for the try before is set back by saying so.
      const options = source.dataset ? { ...USUAL, ...told } : told;
      const body = { ...source, name: nameField.value.trim(), kind, options };
      const path = source.dataset ? `/api/datasets/${source.dataset}/retry` : "/api/datasets";
      const { dataset } = await ask(path, { body });
      source = null; // its files are the import's now
      afterwards();
      await startOver();
      begun(dataset);
    } catch (trouble) {
      go.disabled = false;
      complain(trouble.message);
    }
  });

  return { element, drop: dropOf, send, retry };
}
