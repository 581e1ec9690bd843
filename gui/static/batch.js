// Many items at once: texts of a file, or files; asked a few at a time, shown and saved as a table.

import { dropped, folderButton, isLitter } from "./choosing.js";
import { dropping, droppingAll, KINDS, READERS } from "./giving.js";
import { encoded } from "./items.js";
import { ask, button, count, csv, el, number, save, text } from "./page.js";
import { lineOf } from "./results.js";

const MOST = 1000;
/** Items asked at once: the answers appear as they come, and others aren't kept waiting. */
const AT_ONCE = 20;
/** Characters that are asked at once, but for a single item that is longer. */
const LONGEST = 8e6;
const LARGEST = 5e6;
const TABLES = ".txt,.csv,.tsv,.jsonl,.parquet";

/**
 * The way to give texts: a file that holds them. `give({ many })` gets the items, each with what is
 * `said` of it in its line and a function that `read`s what is asked.
 */
export function severalTexts({ give, complain }) {
  const read = el("p", { class: "an-help", role: "status" });
  const choices = el("div", { class: "an-columns" });
  let asking = null;

  /** Asks which texts the file holds; `how` is what a person chose of its columns. */
  async function look(asked, how = {}) {
    asking?.abort();
    asking = new AbortController();
    complain();
    try {
      const body = { ...asked, ...how };
      take(asked, await ask("/api/predict/texts", { body, signal: asking.signal }));
    } catch (trouble) {
      if (trouble.name === "AbortError") return;
      give(null);
      read.textContent = "";
      complain(trouble.message);
    }
  }

  function take(asked, { texts, count: all, column, columns, header }) {
    const { name } = asked;
    const again = (how) => look(asked, { column, header, ...how });
    choices.replaceChildren(...(columns.length ? chosen({ column, columns, header }, again) : []));
    if (!texts.length) {
      give(null);
      read.textContent = "";
      complain(text("predict.batch.empty", { name }));
      return;
    }
    const key = header ? "predict.batch.column" : "predict.batch.read";
    read.textContent =
      all > texts.length
        ? text("predict.batch.most", { name, count: count(all), most: count(texts.length) })
        : text(key, { name, count: count(all), column });
    give({ many: texts.map((one) => ({ said: { text: one }, read: () => ({ text: one }) })) });
  }

  const box = dropping(text("predict.drop_batch"), TABLES, async (file) => {
    complain();
    read.textContent = "";
    choices.replaceChildren();
    const { name } = file;
    if (file.size > LARGEST) {
      complain(text("predict.batch.large", { name }));
      return;
    }
    box.querySelector("span").textContent = name;
    await look({ name, file: encoded(new Uint8Array(await file.arrayBuffer())) });
  });
  return [
    el("p", { class: "an-help" }, text("predict.batch.help", { most: count(MOST) })),
    box,
    read,
    choices,
  ];
}

/** The way to give what lies in a file each: several of them, or a folder. */
export function severalFiles(kind, { give, complain }) {
  const read = el("p", { class: "an-help", role: "status" });
  const how = { accept: KINDS[kind], multiple: true };
  const box = droppingAll(text("predict.drop_files"), how, take, dropped);

  async function take(coming) {
    complain();
    let all;
    try {
      all = await coming;
    } catch {
      complain(text("bring.unreadable"));
      return;
    }
    const found = all
      .filter((one) => !isLitter(one))
      .sort((a, b) => a.path.localeCompare(b.path, undefined, { numeric: true }));
    if (!found.length) {
      give(null);
      read.textContent = "";
      complain(text("predict.batch.no_files"));
      return;
    }
    const some = found.slice(0, MOST);
    const key = some.length < found.length ? "predict.batch.files.most" : "predict.batch.files";
    read.textContent = text(key, { count: count(found.length), most: count(some.length) });
    give({
      many: some.map((one) => ({ said: { file: one.path }, read: () => READERS[kind](one.file) })),
    });
  }

  return [
    el("p", { class: "an-help" }, text("predict.batch.files.help", { most: count(MOST) })),
    box,
    el("div", { class: "an-actions" }, folderButton(take)),
    read,
  ];
}

/** Which of a table's columns holds the texts, and whether its first line names them. */
function chosen({ column, columns, header }, again) {
  const select = el(
    "select",
    { class: "an-input", id: "batch-column" },
    columns.map((one) => el("option", { value: one, selected: one === column }, one)),
  );
  select.addEventListener("change", () => again({ column: select.value }));
  const named = el("input", { type: "checkbox", id: "batch-header", checked: header });
  // The columns have other names then.
  named.addEventListener("change", () => again({ header: named.checked, column: null }));
  return [
    el(
      "div",
      { class: "an-field" },
      el("label", { for: "batch-column" }, text("predict.batch.from")),
      el("div", { class: "an-control" }, select),
    ),
    el("label", { class: "an-check", for: "batch-header" }, named, text("predict.batch.header")),
  ];
}

/**
 * Asks about all items and draws the table into `place` as the answers come; `shown(done, total)` is
 * told how far it is. Gives the checkpoint that answered last, null where no item could be read, and
 * how many have `failed`. An item that can't be answered says why in its line; when none of the
 * first can, that is what is thrown.
 */
export async function askAll({ run, items, options, signal, place, shown }) {
  const lines = [];
  const body = el("tbody", {});
  const head = el("tr", {});
  const download = button(text("predict.download"), () =>
    save("predictions.csv", csv([columns(lines).map(heading), ...lines.map(row(lines))])),
  );
  const table = el("table", { class: "an-table" }, el("thead", {}, head), body);
  let checkpoint = null;
  const one = async (inputs) => {
    const found = await ask("/api/predict", { body: { run, inputs, options }, signal });
    checkpoint = found.checkpoint;
    return found.results;
  };
  const drawn = () => {
    const names = columns(lines);
    head.replaceChildren(...names.map((name) => el("th", { scope: "col" }, heading(name))));
    body.replaceChildren(
      ...lines.map((line) =>
        el(
          "tr",
          { class: line.error ? "bad" : null },
          names.map((name) =>
            typeof line[name] === "number"
              ? el("td", { class: "an-number" }, number(line[name]))
              : el("td", { dir: "auto" }, line[name] ?? ""),
          ),
        ),
      ),
    );
    if (table.isConnected) return;
    const box = { class: "an-scroll an-tall", tabindex: 0, role: "group" };
    place.replaceChildren(
      el("div", { ...box, "aria-label": text("predict.table") }, table),
      el("div", { class: "an-actions" }, download),
    );
    place.classList.remove("stale");
  };

  /** The next items with what is asked about them; what can't be read says so in its line. */
  async function next() {
    const some = [];
    let long = 0;
    while (lines.length < items.length && some.length < AT_ONCE && long < LONGEST) {
      const { said, read } = items[lines.length];
      const line = { ...said };
      lines.push(line);
      try {
        const input = await read();
        some.push({ line, input });
        for (const words of Object.values(input)) long += words.length;
      } catch (trouble) {
        line.error = trouble.message;
      }
      if (signal.aborted) throw new DOMException("", "AbortError");
    }
    return some;
  }

  let answered = false;
  while (lines.length < items.length) {
    const some = await next();
    try {
      const results = some.length ? await one(some.map(({ input }) => input)) : [];
      for (const [i, { line }] of some.entries()) Object.assign(line, lineOf(results[i]));
      answered ||= some.length > 0;
    } catch (trouble) {
      if (trouble.name === "AbortError" || trouble.offline) throw trouble;
      // One of them can't be answered: which, and why, is known by asking each.
      let last = trouble;
      for (const { line, input } of some) {
        try {
          Object.assign(line, lineOf((await one([input]))[0]));
          answered = true;
        } catch (own) {
          if (own.name === "AbortError" || own.offline) throw own;
          line.error = own.message;
          last = own;
        }
      }
      if (!answered) throw last;
    }
    if (signal.aborted) throw new DOMException("", "AbortError");
    drawn();
    shown(lines.length, items.length);
  }
  return { checkpoint, failed: lines.filter((line) => line.error).length };
}

/** Those of all lines; why some have no answer stands at the end. */
function columns(lines) {
  const all = [...new Set(lines.flatMap(Object.keys))];
  return [...all.filter((name) => name !== "error"), ...all.filter((name) => name === "error")];
}
const heading = (name) => text(`predict.batch.${name}`);
const row = (lines) => (line) => columns(lines).map((name) => line[name]);
