// A dataset's items, a page at a time: filtered, chosen, and changed.

import { asking } from "./explain.js";
import { decoded, looks } from "./items.js";
import { attempt, button, count, segments, select, tell, unique } from "./page.js";
import { ask, el, text } from "./shell.js";

export const SPLITS = ["train", "validation", "test"];
const LEFT_OUT = "left_out";
const PAGE = { images: 48, sequences: 24, text: 25, pairs: 20, sound: 12 };
const ALL = "";
const MOST_OFFERED = 500;
/** Side in pixels up to which a picture's pixels are shown as squares. */
const SMALL = 128;

/** What is looked at; kept by the page while its dataset changes. */
export const atFirst = () => ({ few: true, split: ALL, label: null, finding: null, offset: 0 });

/**
 * The items of `found` (what details says); `view` is what is looked at.
 *
 * `data()` is what the address is asked with, `change(wanted)` makes a change; null where nothing
 * can be changed. Gives the element, `finding(one)` and `label(name)` to look at others.
 *
 * Where the items are chosen elsewhere, `pages({ offset, count, signal })` gives them, `note(item)`
 * says something of each, and `offers` are more to do with chosen ones: `[words, act(items)]`.
 */
export function viewer({ found, view, data, change, pages: asks, note, offers = [] }) {
  const kind = found.samples.kind;
  const size = PAGE[kind];
  const chosen = new Set();
  let items = [];
  let total = 0;
  let last = null;
  let asked = null;

  const list = el("ul", { class: "an-items", "data-kind": kind });
  const range = el("span", { class: "an-muted an-small an-number", role: "status" });
  const before = button("←", () => turn(-size), { name: text("viewer.before") });
  const after = button("→", () => turn(size), { name: text("viewer.after") });
  const pages = el("div", { class: "an-pages" }, range, before, after);
  const filters = el("div", { class: "an-filters" });
  const bulk = el("div", { class: "an-bulk", hidden: true });
  const element = el("div", { class: "an-viewer" }, filters, list, pages, bulk);
  const tools = {
    names: found.features,
    sound: async (row) => {
      const { wav } = await ask("/api/datasets/sound", { body: { ...data(), row } });
      return new Blob([decoded(wav)], { type: "audio/wav" });
    },
    trouble: (problem) => tell(problem.message, "error"),
  };

  // --- which items ---------------------------------------------------------------------------

  const several = found.classes.length > 1;
  const few = () => view.few && several && view.split === ALL && !view.label && !view.finding;

  function set(values) {
    Object.assign(view, { offset: 0, ...values });
    draw();
    load();
  }

  function turn(by) {
    view.offset = Math.max(0, Math.min(view.offset + by, Math.max(total - 1, 0)));
    load();
  }

  async function load() {
    asked?.abort();
    asked = new AbortController();
    const mine = asked;
    if (few()) {
      items = found.samples.items;
      total = items.length;
      show();
      return;
    }
    const label = view.label ? found.classes.indexOf(view.label) : null;
    const finding = view.finding?.code ?? null;
    const body = { ...data(), split: view.split || null, label, finding, offset: view.offset };
    list.classList.add("stale");
    const { signal } = mine;
    const look = () =>
      asks?.({ offset: view.offset, count: size, signal }) ??
      ask("/api/datasets/items", { body: { ...body, count: size }, signal });
    const page = await attempt(() =>
      look().catch((problem) => {
        if (problem.name !== "AbortError") throw problem;
      }),
    );
    if (mine !== asked || !page) return;
    items = page.items;
    total = page.total;
    if (!items.length && view.offset) {
      view.offset = 0; // the last page is gone with its items
      load();
      return;
    }
    show();
  }

  /** The filters, as they are set. */
  function draw() {
    if (asks) return;
    if (view.finding) {
      const words = text("viewer.finding", { count: count(view.finding.count) });
      const close = button("×", () => set({ finding: null }), { name: text("viewer.everything") });
      filters.replaceChildren(
        el("p", { class: "an-chip" }, el("span", {}, words, ": ", view.finding.text), close),
      );
      return;
    }
    const splits = SPLITS.map((split) => [split, text(`datasets.${split}_split`)]);
    if (found.left_out) splits.push([LEFT_OUT, text("viewer.left_out")]);
    const parts = [
      segments(
        text("viewer.split"),
        [[ALL, text("viewer.all")], ...splits],
        few() ? null : view.split,
        (split) => set({ split, few: false }),
      ),
    ];
    if (several) {
      const offered = found.classes.slice(0, MOST_OFFERED);
      const label = select(
        text("viewer.class"),
        [
          ["few", text("viewer.few")],
          ["all", text("viewer.every_class")],
          ...offered.map((name, index) => [String(index), name]),
        ],
        few() ? "few" : view.label ? String(found.classes.indexOf(view.label)) : "all",
        (value) => {
          if (value === "few") set({ few: true, label: null, split: ALL });
          else set({ few: false, label: found.classes[Number(value)] ?? null });
        },
      );
      parts.push(label);
    }
    filters.replaceChildren(...parts);
  }

  // --- showing them --------------------------------------------------------------------------

  function show() {
    list.classList.remove("stale");
    list.replaceChildren(...items.map(card));
    const all = stops();
    if (all.length) all[0].tabIndex = 0;
    if (!items.length) list.append(el("li", { class: "an-muted" }, text("viewer.none")));
    const first = view.offset + 1;
    range.textContent = few()
      ? text("viewer.some", { count: count(items.length) })
      : text("runs.range", {
          first: count(items.length ? first : 0),
          last: count(view.offset + items.length),
          total: count(total),
        });
    before.hidden = after.hidden = few() || total <= size;
    before.disabled = view.offset === 0;
    after.disabled = view.offset + size >= total;
    mark();
  }

  function card(item) {
    const place = item.split ? text(`datasets.${item.split}_split`) : text("viewer.left_out");
    const label = el(
      "span",
      { class: "an-item-label", dir: "auto", title: item.name },
      item.label || item.name,
    );
    const dot = el("i", { "data-split": item.split ?? LEFT_OUT, title: place });
    const foot = el("div", { class: "an-item-foot" }, dot, label);
    if (item.synthetic)
      foot.append(el("span", { class: "an-made", title: item.name }, text("viewer.synthetic")));
    const row = el(
      "li",
      { class: "an-item", "data-row": item.row, title: item.name },
      looks(kind, item, tools),
      note?.(item) ?? null,
      foot,
      el(
        "button",
        {
          type: "button",
          class: "an-enlarge",
          tabindex: -1,
          "aria-label": text("viewer.enlarge", { name: item.name }),
          title: text("viewer.enlarge.title"),
          onclick: () => enlarge(item, place),
        },
        "⤢",
      ),
    );
    row.addEventListener("dblclick", (event) => {
      if (!event.target.closest("button, input")) enlarge(item, place);
    });
    row.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.target.type !== "checkbox") return;
      event.preventDefault();
      enlarge(item, place);
    });
    if (change) {
      const name = text("viewer.choose", { name: item.name, label: item.label, split: place });
      const box = el("input", { type: "checkbox", tabindex: -1, "aria-label": name });
      box.addEventListener("click", (event) => toggle(item.row, event.shiftKey));
      row.prepend(box);
      row.addEventListener("click", (event) => {
        if (event.target.closest("button, input")) return;
        toggle(item.row, event.shiftKey);
        focus(items.indexOf(item));
      });
    }
    return row;
  }

  /** One item as large as there is room, with all that is known of it. */
  function enlarge(item, place) {
    const title = unique("item");
    const whole = () =>
      item.png
        ? Promise.resolve({ png: item.png })
        : ask("/api/datasets/given", { body: { ...data(), row: item.row } });
    const run = asking(kind, data().key, whole);
    const close = () => {
      run.close();
      dialog.close();
      dialog.remove();
    };
    const facts = [
      ["name", item.name],
      ["label", item.label],
      ["split", place],
      ["row", String(item.row)],
    ].filter(([, value]) => value);
    const dialog = el(
      "dialog",
      { class: "an-dialog an-page an-large", "aria-labelledby": title, "data-kind": kind },
      el("h2", { id: title }, item.label || item.name),
      el("div", { class: "an-large-look" }, looks(kind, item, { ...tools, large: true })),
      note?.(item) ?? null,
      el(
        "dl",
        {},
        facts.flatMap(([name, value]) => [
          el("dt", {}, text(`viewer.fact.${name}`)),
          el("dd", {}, value),
        ]),
      ),
      run.element,
      el("div", { class: "an-dialog-actions" }, button(text("dialog.close"), close)),
    );
    dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      close();
    });
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog) close(); // beside it
    });
    const picture = dialog.querySelector(".an-picture");
    picture?.decode().then(
      () => picture.classList.toggle("smooth", picture.naturalWidth > SMALL),
      () => {}, // it isn't shown either
    );
    document.body.append(dialog);
    dialog.showModal();
  }

  const boxes = () => [...list.querySelectorAll("input[type=checkbox]")];

  /** Where the keyboard stops: one in each item. */
  const stops = () => (change ? boxes() : [...list.querySelectorAll(".an-enlarge")]);

  // --- choosing ------------------------------------------------------------------------------

  /** Chooses an item or lets it go; `span` does the same to all since the last one. */
  function toggle(row, span = false) {
    const here = items.findIndex((item) => item.row === row);
    const there = items.findIndex((item) => item.row === last);
    const yes = !chosen.has(row);
    const [low, high] = span && there >= 0 ? [here, there].sort((a, b) => a - b) : [here, here];
    for (const item of items.slice(low, high + 1)) {
      if (yes || (span && there >= 0)) chosen.add(item.row);
      else chosen.delete(item.row);
    }
    last = row;
    mark();
  }

  function mark() {
    items.forEach((item, index) => {
      const box = list.children[index]?.querySelector("input[type=checkbox]");
      if (box) box.checked = chosen.has(item.row);
      list.children[index]?.classList.toggle("chosen", chosen.has(item.row));
    });
    bulk.hidden = chosen.size === 0;
    bulk.querySelector(".an-chosen-count")?.replaceChildren(
      text(chosen.size === 1 ? "viewer.chosen.one" : "viewer.chosen", {
        count: count(chosen.size),
      }),
    );
  }

  function focus(index) {
    const all = stops();
    const to = all[Math.max(0, Math.min(index, all.length - 1))];
    for (const box of all) box.tabIndex = box === to ? 0 : -1;
    to?.focus({ preventScroll: false });
  }

  function clear() {
    chosen.clear();
    mark();
  }

  list.addEventListener("keydown", (event) => {
    const all = stops();
    const at = all.indexOf(document.activeElement);
    if (at < 0) return;
    const tops = [...list.children].map((row) => row.offsetTop);
    const across = Math.max(1, tops.filter((top) => top === tops[0]).length);
    const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across }[event.key];
    if (by) {
      event.preventDefault();
      focus(at + by);
      if (event.shiftKey && change) {
        last ??= items[at].row;
        toggle(items[Math.max(0, Math.min(at + by, items.length - 1))].row, true);
      }
    } else if (change && event.key === "a" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      for (const item of items) chosen.add(item.row);
      mark();
    } else if (event.key === "Escape") clear();
  });

  // --- changing ------------------------------------------------------------------------------

  const rows = () => [...chosen].sort((a, b) => a - b);

  function actions() {
    const move = select(
      text("viewer.move"),
      [["", text("viewer.move")], ...SPLITS.map((s) => [s, text(`datasets.${s}_split`)])],
      "",
      (split) => split && change({ do: "move", rows: rows(), split }),
    );
    const parts = [
      el("b", { class: "an-chosen-count", role: "status" }),
      button(text("viewer.leave_out"), () => change({ do: "exclude", rows: rows() })),
      move,
    ];
    if (found.classes.length) parts.push(relabel());
    for (const [words, act] of offers)
      parts.push(button(words, () => act(items.filter((item) => chosen.has(item.row)))));
    parts.push(button(text("viewer.clear"), clear, { kind: "quiet" }));
    bulk.replaceChildren(...parts);
  }

  function relabel() {
    const names = el(
      "datalist",
      { id: "viewer-classes" },
      found.classes.slice(0, MOST_OFFERED).map((name) => el("option", { value: name })),
    );
    const field = el("input", {
      class: "an-input",
      list: "viewer-classes",
      maxlength: 120,
      autocomplete: "off",
      required: true,
      "aria-label": text("viewer.relabel.to"),
      placeholder: text("viewer.relabel.to"),
    });
    const form = el(
      "form",
      { class: "an-relabel" },
      field,
      names,
      el("button", { type: "submit", class: "an-button" }, text("viewer.relabel")),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const label = field.value.trim();
      if (label) change({ do: "relabel", rows: rows(), label });
    });
    return form;
  }

  if (view.label && !found.classes.includes(view.label)) view.label = null;
  if (change) actions();
  draw();
  load();
  return {
    element,
    finding: (one) => set({ finding: one }),
    label: (name) => set({ label: name, few: false, finding: null }),
  };
}
