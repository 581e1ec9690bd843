// Many texts at once: read from a file, asked a few at a time, shown and saved as a table.

import { dropping } from "./giving.js";
import { ask, button, count, csv, el, number, save, text } from "./page.js";
import { lineOf } from "./results.js";

const MOST = 1000;
/** Texts asked at once: the answers appear as they come, and others aren't kept waiting. */
const AT_ONCE = 20;
const LARGEST = 5e6;

/** The way to give them: a file; `give({ texts })` gets what is in it. */
export function batch({ give, complain }) {
  const read = el("p", { class: "an-help", role: "status" });
  const box = dropping(text("predict.drop_batch"), ".txt,.csv,.tsv", async (file) => {
    complain();
    read.textContent = "";
    const name = file.name;
    if (file.size > LARGEST) {
      complain(text("predict.batch.large", { name }));
      return;
    }
    const { texts, column } = inFile(await file.text(), name);
    if (!texts.length) {
      complain(text("predict.batch.empty", { name }));
      return;
    }
    box.querySelector("span").textContent = name;
    const some = texts.slice(0, MOST);
    const key = column === null ? "predict.batch.read" : "predict.batch.column";
    read.textContent =
      texts.length > MOST
        ? text("predict.batch.most", { name, count: count(texts.length), most: count(MOST) })
        : text(key, { name, count: count(texts.length), column });
    give({ texts: some });
  });
  return [
    el("p", { class: "an-help" }, text("predict.batch.help", { most: count(MOST) })),
    box,
    read,
  ];
}

/** The texts of a file, and the column of a table that they are from. */
function inFile(content, name) {
  const whole = content.replace(/^\ufeff/, "");
  if (!/\.(csv|tsv)$/i.test(name)) {
    const lines = whole.split(/\r?\n/).map((line) => line.trim());
    return { texts: lines.filter(Boolean), column: null };
  }
  const rows = cells(whole).filter((row) => row.some((cell) => cell.trim()));
  const isText = (cell) => /\p{L}/u.test(cell ?? "");
  // Judged by what is below the first line, which may hold the columns' names.
  const below = rows.length > 1 ? rows.slice(1) : rows;
  const width = Math.max(0, ...rows.map((row) => row.length));
  const share = (at) => below.filter((row) => isText(row[at])).length / below.length;
  const at = [...Array(width).keys()].find((one) => share(one) > 0.5) ?? 0;
  const head = rows[0]?.[at]?.trim() ?? "";
  const named = rows.length > 1 && /^[\p{L}_][\p{L}\p{N}_-]{0,30}$/u.test(head);
  const texts = (named ? rows.slice(1) : rows).map((row) => (row[at] ?? "").trim());
  return { texts: texts.filter(Boolean), column: named ? head : null };
}

/** The rows of a table, parted by what parts its first line most often. */
function cells(content) {
  const first = content.slice(0, content.search(/\r?\n|$/));
  const [between] = [",", "\t", ";"].sort((a, b) => first.split(b).length - first.split(a).length);
  const rows = [[]];
  let cell = "";
  let quoted = false;
  const end = () => {
    rows.at(-1).push(cell);
    cell = "";
  };
  for (let i = 0; i < content.length; i += 1) {
    const letter = content[i];
    if (quoted) {
      if (letter !== '"') cell += letter;
      else if (content[i + 1] === '"') {
        cell += '"';
        i += 1;
      } else quoted = false;
    } else if (letter === '"' && cell === "") quoted = true;
    else if (letter === between) end();
    else if (letter === "\n") {
      end();
      rows.push([]);
    } else if (letter !== "\r") cell += letter;
  }
  end();
  return rows;
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
