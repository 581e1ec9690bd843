// Many texts at once: read from a file, asked a few at a time, shown and saved as a table.

import { dropping } from "./giving.js";
import { encoded } from "./items.js";
import { ask, button, count, csv, el, number, save, text } from "./page.js";
import { lineOf } from "./results.js";

const MOST = 1000;
/** Texts asked at once: the answers appear as they come, and others aren't kept waiting. */
const AT_ONCE = 20;
const LARGEST = 5e6;
const KINDS = ".txt,.csv,.tsv,.jsonl,.parquet";

/** The way to give them: a file; `give({ texts })` gets what is in it. */
export function batch({ give, complain }) {
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
    give({ texts });
  }

  const box = dropping(text("predict.drop_batch"), KINDS, async (file) => {
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
 * Asks for all texts and draws the table into `place` as the answers come; `shown(done, total)` is
 * told how far it is. Gives the checkpoint that answered last. A text that can't be answered says
 * why in its row; when none of the first can, that is what is thrown.
 */
export async function askAll({ run, texts, options, signal, place, shown }) {
  const lines = [];
  const body = el("tbody", {});
  const head = el("tr", {});
  const download = button(text("predict.download"), () =>
    save("predictions.csv", csv([columns(lines).map(heading), ...lines.map(row(lines))])),
  );
  const table = el("table", { class: "an-table" }, el("thead", {}, head), body);
  let checkpoint = null;
  const one = async (inputs) => {
    const asked = { run, inputs: inputs.map((said) => ({ text: said })), options };
    const found = await ask("/api/predict", { body: asked, signal });
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
  };
  for (let at = 0; at < texts.length; at += AT_ONCE) {
    const some = texts.slice(at, at + AT_ONCE);
    try {
      const results = await one(some);
      lines.push(...some.map((said, i) => ({ text: said, ...lineOf(results[i]) })));
    } catch (trouble) {
      if (trouble.name === "AbortError" || trouble.offline) throw trouble;
      // One of them can't be answered: which, and why, is known by asking each.
      let failed = 0;
      for (const said of some) {
        try {
          const [result] = await one([said]);
          lines.push({ text: said, ...lineOf(result) });
        } catch (own) {
          if (own.name === "AbortError" || own.offline) throw own;
          failed += 1;
          lines.push({ text: said, error: own.message });
          if (failed === some.length && at === 0) throw own;
        }
      }
    }
    if (signal.aborted) throw new DOMException("", "AbortError");
    drawn();
    if (!table.isConnected) {
      const box = { class: "an-scroll an-tall", tabindex: 0, role: "group" };
      place.replaceChildren(
        el("div", { ...box, "aria-label": text("predict.table") }, table),
        el("div", { class: "an-actions" }, download),
      );
      place.classList.remove("stale");
    }
    shown(lines.length, texts.length);
  }
  return checkpoint;
}

const columns = (lines) => [...new Set(lines.flatMap(Object.keys))];
const heading = (name) => text(`predict.batch.${name}`);
const row = (lines) => (line) => columns(lines).map((name) => line[name]);
