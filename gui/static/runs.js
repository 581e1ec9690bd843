// The history: every run in one table, and the queue above it.

import {
  STATES,
  ago,
  ask,
  attempt,
  button,
  confirmed,
  count,
  debounce,
  duration,
  el,
  isActive,
  linkTo,
  measured,
  metricLabel,
  moment,
  number,
  parameters,
  poll,
  prefetchPlotly,
  remember,
  say,
  select,
  setPill,
  show,
  sparkline,
  statePill,
  tell,
  text,
  unique,
} from "./page.js";

const PAGE = 100;
const COLUMNS = [
  { key: "name", sort: "name" },
  { key: "state", sort: "state" },
  { key: "model", sort: "model" },
  { key: "data", sort: "data" },
  { key: "task", sort: "task" },
  { key: "validation", sort: "metrics.validation", numeric: true },
  { key: "test", sort: "metrics.test", numeric: true },
  { key: "spark" },
  { key: "started", sort: "created" },
  { key: "seconds", sort: "seconds", numeric: true },
];
const GROUPS = [
  ["", text("runs.every_state")],
  ["preparing,running,queued", text("runs.unfinished")],
  ...STATES.map((state) => [state, text(`state.${state}`)]),
];
const ASCENDING_FIRST = new Set(["name", "state", "model", "data", "task"]);

/** Fills the page's frame. */
export function mount(element) {
  new RunsPage(element.querySelector(".an-page"));
}

/** What is shown, as the address says it. */
function asked() {
  const all = parameters();
  return {
    search: all.get("search") ?? "",
    states: all.get("states") ?? "",
    tags: all.get("tags") ?? "",
    comparison: all.get("comparison") ?? USUAL.comparison,
    sort: all.get("sort") ?? "created",
    order: all.get("order") === "asc" ? "asc" : "desc",
    offset: Math.max(0, Number.parseInt(all.get("offset") ?? "0", 10) || 0),
  };
}

/** Comparisons have many runs each, and a page of their own: their runs are shown when asked for. */
const USUAL = {
  search: "",
  states: "",
  tags: "",
  comparison: "none",
  sort: "created",
  order: "desc",
  offset: 0,
};

class RunsPage {
  constructor(page) {
    this.page = page;
    this.asked = asked();
    this.chosen = new Set();
    this.rows = new Map();
    this.queue = new Queue(this);
    this.bulk = new Bulk(this);
    this.lay();
    this.polled = poll(
      page,
      () => this.look(),
      (problem) => this.trouble(problem),
    );
  }

  // --- the frame ---------------------------------------------------------------------------------

  lay() {
    this.total = el("p", { role: "status" }, " ");
    this.lost = el(
      "span",
      { class: "an-state", "data-state": "paused", hidden: true, role: "status" },
      text("reconnecting"),
    );
    this.search = el("input", {
      type: "search",
      class: "an-input",
      value: this.asked.search,
      placeholder: text("runs.search.hint"),
      "aria-label": text("runs.search"),
      "aria-keyshortcuts": "/",
      oninput: debounce(() => this.change({ search: this.search.value.trim() }), 250),
    });
    this.state = select(text("runs.column.state"), GROUPS, this.asked.states, (states) =>
      this.change({ states }),
    );
    if (this.state.selectedIndex < 0) this.state.selectedIndex = 0;
    this.comparison = select(text("runs.comparison"), [], "", (comparison) =>
      this.change({ comparison }),
    );
    this.tag = select(text("runs.tag"), [["", text("runs.every_tag")]], "", (tags) =>
      this.change({ tags }),
    );
    const orders = COLUMNS.filter((column) => column.sort).map((column) => [
      column.key,
      text("runs.by", { column: text(`runs.column.${column.key}`).toLowerCase() }),
    ]);
    this.sorter = select(text("runs.sort"), orders, "started", (key) =>
      this.sort(COLUMNS.find((column) => column.key === key)),
    );
    this.sorter.classList.add("runs-sorter");
    this.csv = el("a", { class: "an-button quiet", download: "" }, text("runs.export"));
    this.body = el("tbody", {});
    this.all = el("input", {
      type: "checkbox",
      "aria-label": text("runs.select_all"),
      onchange: () => this.selectAll(),
    });
    this.heads = new Map();
    const head = el(
      "tr",
      {},
      el("td", { class: "runs-select" }, this.all),
      ...COLUMNS.map((column) => this.head(column)),
    );
    this.table = el(
      "table",
      { class: "runs-table" },
      el("caption", { class: "an-visually-hidden" }, text("nav.runs")),
      el("thead", {}, head),
      this.body,
    );
    this.scroll = el("div", { class: "runs-scroll an-card" }, this.table);
    this.pager = el("nav", { class: "runs-pager", "aria-label": text("runs.pages") });
    this.empty = el("div", { class: "an-empty", hidden: true });
    const title = el("div", {}, el("h1", {}, text("nav.runs")), this.total);
    this.tools = el(
      "div",
      { class: "runs-tools", role: "search" },
      this.search,
      this.state,
      this.tag,
      this.comparison,
      this.sorter,
      this.csv,
    );
    this.page.replaceChildren(
      el("header", { class: "an-head" }, title, this.lost),
      this.queue.element,
      this.tools,
      this.scroll,
      this.empty,
      this.pager,
      this.bulk.element,
    );
    this.page.classList.add("waiting");
    this.showOrder();
  }

  head(column) {
    const label = text(`runs.column.${column.key}`);
    if (!column.sort) return el("th", { scope: "col", class: `col-${column.key}` }, label);
    const cell = el(
      "th",
      { scope: "col", class: `col-${column.key}` },
      el(
        "button",
        { type: "button", onclick: () => this.sort(column) },
        el("span", {}, label),
        el("i", { "aria-hidden": "true" }),
      ),
    );
    this.heads.set(column.key, cell);
    return cell;
  }

  showOrder() {
    for (const column of COLUMNS.filter((one) => one.sort)) {
      const sorted = this.isSortedBy(column);
      const order = this.asked.order === "asc" ? "ascending" : "descending";
      this.heads.get(column.key).setAttribute("aria-sort", sorted ? order : "none");
      if (sorted) this.sorter.value = column.key;
    }
  }

  isSortedBy(column) {
    const { sort } = this.asked;
    return column.sort.startsWith("metrics.")
      ? sort.startsWith(`${column.sort}/`)
      : sort === column.sort;
  }

  sort(column) {
    let { sort } = column;
    // The measure that most of the runs in sight have.
    if (sort.startsWith("metrics.")) sort = `metrics.${this.usualMeasure(column.key)}`;
    const turned = this.isSortedBy(column)
      ? this.asked.order === "desc"
      : ASCENDING_FIRST.has(column.key);
    this.change({ sort, order: turned ? "asc" : "desc" });
  }

  usualMeasure(split) {
    const seen = new Map();
    for (const { data } of this.rows.values()) {
      const name = data[split]?.name;
      if (name) seen.set(name, (seen.get(name) ?? 0) + 1);
    }
    const [most] = [...seen].sort((a, b) => b[1] - a[1]);
    return most ? most[0] : `${split}/loss`;
  }

  /** Another search, filter or order; the first page of it. */
  change(values) {
    Object.assign(this.asked, { offset: 0 }, values);
    const said = Object.entries(this.asked).map(([name, value]) => [
      name,
      value === USUAL[name] ? "" : value,
    ]);
    remember(Object.fromEntries(said));
    this.showOrder();
    if (document.activeElement !== this.search) this.search.value = this.asked.search;
    this.asking?.abort();
    this.polled.now();
  }

  // --- what the server says ----------------------------------------------------------------------

  async look() {
    this.asking = new AbortController();
    const query = new URLSearchParams({ ...this.asked, limit: PAGE });
    let reply;
    try {
      reply = await ask(`/api/runs?${query}`, { signal: this.asking.signal });
    } catch (problem) {
      if (problem.name === "AbortError") return 0;
      throw problem;
    }
    if (!reply.runs.length && reply.total && this.asked.offset) {
      this.change({ offset: Math.floor((reply.total - 1) / PAGE) * PAGE });
      return 0;
    }
    this.readonly = reply.readonly;
    this.fill(reply);
    if (this.page.classList.contains("waiting")) prefetchPlotly();
    this.page.classList.remove("waiting");
    return reply.active.length || reply.queue.length ? 1000 : 2500;
  }

  trouble(problem) {
    show(this.lost, Boolean(problem));
    if (problem?.status === 409 && this.asked.sort !== USUAL.sort)
      this.change({ sort: USUAL.sort, order: "desc" });
  }

  fill(reply) {
    const { runs, total, offset } = reply;
    this.queue.update(reply);
    this.fillTags(reply.tags);
    this.fillComparisons(reply.comparisons);
    const rows = runs.map((data) => {
      const row = this.rows.get(data.id) ?? new Row(this, data.id);
      row.update(data);
      return row;
    });
    this.rows = new Map(rows.map((row) => [row.id, row]));
    this.place(rows.map((row) => row.element));
    const filtered = ["search", "states", "tags", "comparison"].some(
      (name) => this.asked[name] !== USUAL[name],
    );
    const many = `runs.${filtered ? "found" : "count"}${total === 1 ? "_one" : ""}`;
    say(this.total, total || filtered ? text(many, { count: count(total) }) : text("runs.nothing"));
    show(this.scroll, total > 0);
    show(this.tools, total > 0 || filtered);
    show(this.csv, total > 0);
    const { offset: _, ...same } = this.asked;
    this.csv.href = `/api/runs.csv?${new URLSearchParams(same)}`;
    this.fillEmpty(total, filtered);
    this.fillPager(total, offset);
    this.showSelection();
  }

  // Only what stands elsewhere is moved: focus, selection and scroll stay.
  place(elements) {
    const wanted = new Set(elements);
    for (const one of [...this.body.children]) if (!wanted.has(one)) one.remove();
    elements.forEach((one, index) => {
      const there = this.body.children[index];
      if (there !== one) this.body.insertBefore(one, there ?? null);
    });
  }

  fillTags(tags) {
    const known = tags.join();
    if (known === this.knownTags && this.tag.value === this.asked.tags) return;
    this.knownTags = known;
    const all =
      this.asked.tags && !tags.includes(this.asked.tags) ? [...tags, this.asked.tags] : tags;
    this.tag.replaceChildren(
      el("option", { value: "" }, text("runs.every_tag")),
      ...all.map((tag) => el("option", { value: tag }, tag)),
    );
    this.tag.value = this.asked.tags;
    show(this.tag, all.length > 0);
  }

  fillComparisons(comparisons) {
    const known = JSON.stringify(comparisons);
    if (known !== this.knownComparisons) {
      this.knownComparisons = known;
      const choices = [
        ["none", text("runs.comparison.none")],
        ["", text("runs.comparison.any")],
        ...comparisons.map(({ id, name }) => [id, text("runs.comparison.one", { id, name })]),
      ];
      this.comparison.replaceChildren(
        ...choices.map(([value, words]) => el("option", { value }, words)),
      );
    }
    if (document.activeElement !== this.comparison) this.comparison.value = this.asked.comparison;
    show(this.comparison, comparisons.length > 0);
  }

  fillEmpty(total, filtered) {
    const kind = total ? "" : filtered ? "filtered" : "none";
    show(this.empty, !total);
    if (kind === this.emptyKind) return;
    this.emptyKind = kind;
    if (kind === "filtered") {
      this.empty.replaceChildren(
        el("h2", {}, text("runs.unmatched")),
        el("p", {}, text("runs.unmatched.help")),
        button(text("runs.show_all"), () => {
          this.search.value = "";
          this.state.value = "";
          this.change({ search: "", states: "", tags: "", comparison: "" });
        }),
      );
    } else {
      this.empty.replaceChildren(
        el("h2", {}, text("runs.none")),
        el("p", {}, text("runs.none.help")),
        el("a", { class: "an-button primary", href: "/" }, text("runs.first")),
      );
    }
  }

  fillPager(total, offset) {
    const signature = `${total} ${offset}`;
    if (signature === this.paged) return;
    this.paged = signature;
    show(this.pager, total > PAGE);
    const go = (to) => () => {
      this.change({ offset: to });
      this.table.scrollIntoView({ block: "start" });
    };
    const before = button(text("runs.newer"), go(Math.max(0, offset - PAGE)));
    const after = button(text("runs.older"), go(offset + PAGE));
    if (this.asked.sort !== "created" || this.asked.order !== "desc") {
      before.textContent = text("runs.previous");
      after.textContent = text("runs.next");
    }
    before.disabled = offset === 0;
    after.disabled = offset + PAGE >= total;
    const range = text("runs.range", {
      first: count(offset + 1),
      last: count(Math.min(total, offset + PAGE)),
      total: count(total),
    });
    this.pager.replaceChildren(before, el("span", { class: "an-number an-muted" }, range), after);
  }

  // --- choosing ----------------------------------------------------------------------------------

  choose(id, yes) {
    if (yes) this.chosen.add(id);
    else this.chosen.delete(id);
    this.showSelection();
  }

  selectAll() {
    for (const id of this.rows.keys()) {
      if (this.all.checked) this.chosen.add(id);
      else this.chosen.delete(id);
    }
    this.showSelection();
  }

  clear() {
    this.chosen.clear();
    this.showSelection();
  }

  showSelection() {
    let here = 0;
    for (const [id, row] of this.rows) {
      const yes = this.chosen.has(id);
      here += yes;
      row.select(yes);
    }
    this.all.checked = here > 0 && here === this.rows.size;
    this.all.indeterminate = here > 0 && here < this.rows.size;
    this.bulk.update();
  }

  async act(id, action, body = {}) {
    const done = await attempt(() => ask(`/api/runs/${id}/${action}`, { body }));
    if (done) await this.polled.now();
    return done;
  }
}

// --- one row -------------------------------------------------------------------------------------

class Row {
  constructor(page, id) {
    this.page = page;
    this.id = id;
    this.box = el("input", { type: "checkbox", onchange: () => page.choose(id, this.box.checked) });
    this.name = linkTo({ id, name: "" });
    this.name.className = "runs-name";
    this.notes = el("div", { class: "runs-notes" });
    this.words = el("div", { class: "runs-words" });
    this.pill = statePill("queued");
    this.tags = el("div", { class: "runs-tags" });
    this.cells = {};
    this.element = el("tr", {}, el("td", { class: "runs-select" }, this.box));
    for (const { key, numeric } of COLUMNS) {
      this.cells[key] = el("td", { class: `col-${key}${numeric ? " an-number" : ""}` });
      this.element.append(this.cells[key]);
    }
    this.edits = el("div", { class: "runs-edits" });
    this.words.append(this.tags, this.notes, this.edits);
    this.cells.name.append(this.name, this.words);
    this.cells.state.append(this.pill);
  }

  update(data) {
    this.age(data);
    const before = this.signature;
    this.signature = JSON.stringify(data);
    if (before === this.signature) return;
    this.data = data;
    say(this.name, data.name);
    this.box.setAttribute("aria-label", text("runs.select", { name: data.name }));
    setPill(this.pill, data.state, data.wish);
    this.pill.title = data.reason || "";
    for (const kind of ["model", "data", "task"]) {
      this.cells[kind].replaceChildren(el("div", { title: data[kind] }, data[kind]));
    }
    this.measure(this.cells.validation, data.validation);
    this.measure(this.cells.test, data.test);
    this.cells.spark.replaceChildren(
      sparkline(data.spark, text("runs.loss_of", { name: data.name })),
    );
    say(this.cells.seconds, data.seconds ? duration(data.seconds) : "–");
    if (isActive(data.state) && data.steps) {
      this.cells.seconds.title = text("runs.done", {
        percent: Math.round((100 * data.step) / data.steps),
      });
    }
    if (!this.editing) this.fillWords(data);
  }

  age(data) {
    const at = data.started ?? data.created;
    say(this.cells.started, ago(at));
    this.cells.started.title = moment(at);
  }

  measure(cell, value) {
    if (!value) {
      say(cell, "–");
      return;
    }
    const label = metricLabel(value.name);
    cell.replaceChildren(el("span", {}, measured(value.name, value.value)), el("small", {}, label));
  }

  fillWords({ notes, tags, name }) {
    const words = JSON.stringify([notes, tags]);
    if (words === this.written) return;
    this.written = words;
    this.notes.replaceChildren(...(notes ? [el("span", { title: notes }, notes)] : []));
    this.tags.replaceChildren(
      ...tags.map((tag) =>
        el(
          "button",
          {
            type: "button",
            class: "runs-tag",
            title: text("runs.only_tag"),
            onclick: () => this.page.change({ tags: tag }),
          },
          tag,
        ),
      ),
    );
    if (this.page.readonly) return;
    const edit = (words, label, onclick) =>
      el("button", { type: "button", class: "runs-edit", "aria-label": label, onclick }, words);
    this.tagButton = edit(text("runs.tags"), text("runs.tags.edit", { name }), () =>
      this.editTags(),
    );
    this.noteButton = edit(text("runs.note"), text("runs.note.edit", { name }), () =>
      this.editNotes(),
    );
    this.edits.replaceChildren(this.tagButton, this.noteButton);
  }

  editNotes() {
    this.edit(
      "noteButton",
      this.notes,
      this.data.notes,
      text("runs.note.of", this.data),
      text("runs.note.hint"),
      (notes) => this.page.act(this.id, "note", { notes }),
    );
  }

  editTags() {
    this.edit(
      "tagButton",
      this.tags,
      this.data.tags.join(", "),
      text("runs.tags.of", this.data),
      text("runs.tags.hint"),
      (words) =>
        this.page.act(this.id, "tag", {
          tags: words
            .split(",")
            .map((tag) => tag.trim())
            .filter(Boolean),
        }),
    );
  }

  /** A box in place of the words: Enter or leaving it keeps, Escape forgets. */
  edit(opener, place, words, label, placeholder, keep) {
    this.editing = true;
    let over = false;
    const end = async (save) => {
      if (over) return;
      over = true;
      if (save && input.value.trim() !== words) await keep(input.value.trim());
      this.editing = false;
      this.written = null;
      const focused = place.contains(document.activeElement);
      this.fillWords(this.data);
      if (focused) this[opener].focus();
    };
    const input = el("input", {
      class: "an-input",
      value: words,
      placeholder,
      "aria-label": label,
      autocomplete: "off",
      onkeydown: (event) => {
        if (event.key === "Enter") end(true);
        if (event.key === "Escape") end(false);
      },
      onblur: () => end(true),
    });
    place.replaceChildren(input);
    input.focus();
  }

  select(yes) {
    this.box.checked = yes;
    this.element.classList.toggle("chosen", yes);
  }
}

// --- the queue -----------------------------------------------------------------------------------

class Queue {
  constructor(page) {
    this.page = page;
    const head = unique("queue");
    this.title = el("h2", { id: head }, text("queue.now"));
    this.list = el("ol", { class: "queue" });
    this.element = el(
      "section",
      { class: "an-card queue-card", "aria-labelledby": head, hidden: true },
      el("div", { class: "an-card-head" }, this.title),
      this.list,
    );
    this.items = new Map();
  }

  update({ active, queue, readonly }) {
    show(this.element, active.length + queue.length > 0);
    say(
      this.title,
      queue.length ? text("queue.waiting", { count: count(queue.length) }) : text("queue.now"),
    );
    const order = queue.map((run) => run.id);
    const items = [...active, ...queue].map((run) => {
      const item = this.items.get(run.id) ?? new QueueItem(this.page, run.id);
      item.update(run, order, readonly);
      return item;
    });
    const focused = document.activeElement;
    this.items = new Map(items.map((item) => [item.id, item]));
    const wanted = items.map((item) => item.element);
    if (
      wanted.length !== this.list.children.length ||
      wanted.some((one, index) => this.list.children[index] !== one)
    ) {
      this.list.replaceChildren(...wanted);
      if (this.list.contains(focused)) focused.focus();
    }
  }
}

class QueueItem {
  constructor(page, id) {
    this.id = id;
    this.pill = statePill("queued");
    this.name = linkTo({ id, name: "" });
    this.about = el("span", { class: "an-muted queue-about" });
    this.bar = el("i", {});
    this.progress = el("div", { class: "an-bar" }, this.bar);
    this.left = el("span", { class: "an-muted an-number queue-left" });
    const move = (before) => page.act(id, "move", { before });
    this.up = button("↑", () => move(this.order[this.place - 1]), { kind: "quiet" });
    this.down = button("↓", () => move(this.order[this.place + 2] ?? null), { kind: "quiet" });
    this.out = button("×", () => page.act(id, "dequeue"), { kind: "quiet" });
    this.buttons = el(
      "div",
      { class: "queue-buttons", role: "group" },
      this.up,
      this.down,
      this.out,
    );
    // The arrow keys move a run too, as the buttons' titles say.
    this.buttons.addEventListener("keydown", (event) => {
      const pressed = { ArrowUp: this.up, ArrowDown: this.down }[event.key];
      if (!pressed) return;
      event.preventDefault();
      if (!pressed.disabled) pressed.click();
    });
    this.element = el(
      "li",
      {},
      this.pill,
      el("div", { class: "queue-words" }, this.name, this.about),
      this.progress,
      this.left,
      this.buttons,
    );
  }

  update(run, order, readonly) {
    this.order = order;
    this.place = order.indexOf(run.id);
    const waiting = this.place >= 0;
    setPill(this.pill, run.state, run.wish);
    say(this.name, run.name);
    say(this.about, text("run.on", run));
    this.bar.style.width = `${run.steps ? (100 * run.step) / run.steps : 0}%`;
    this.progress.classList.toggle("idle", waiting);
    const left =
      run.remaining === null ? "" : text("queue.left", { time: duration(run.remaining) });
    say(this.left, waiting ? `${this.place + 1}.` : left);
    this.buttons.classList.toggle("idle", !waiting || readonly);
    for (const [one, name] of [
      [this.up, text("queue.up")],
      [this.down, text("queue.down")],
      [this.out, text("queue.out")],
    ]) {
      one.title = name;
      one.setAttribute("aria-label", `${name}: ${run.name}`);
    }
    this.up.disabled = !waiting || readonly || this.place === 0;
    this.down.disabled = !waiting || readonly || this.place === order.length - 1;
    this.out.disabled = !waiting || readonly;
  }
}

// --- many at once --------------------------------------------------------------------------------

class Bulk {
  constructor(page) {
    this.page = page;
    this.words = el("span", { class: "an-number" });
    this.compare = el("a", { class: "an-button primary" }, text("nav.compare"));
    this.delete = button(text("run.delete"), () => this.remove(), { kind: "danger" });
    this.element = el(
      "div",
      { class: "runs-bulk", role: "region", "aria-label": text("runs.bulk"), hidden: true },
      this.words,
      this.compare,
      this.delete,
      button(text("runs.clear"), () => page.clear(), { kind: "quiet" }),
    );
  }

  update() {
    const { chosen, readonly } = this.page;
    show(this.element, chosen.size > 0);
    say(this.words, text("runs.selected", { count: count(chosen.size) }));
    this.compare.href = `/compare?runs=${[...chosen].sort((a, b) => a - b).join(",")}`;
    show(this.delete, !readonly);
  }

  async remove() {
    const ids = [...this.page.chosen];
    const agreed = await confirmed({
      title: text(ids.length === 1 ? "runs.delete.one" : "runs.delete.many", {
        count: count(ids.length),
      }),
      action: text("delete"),
      danger: true,
      words: text("runs.delete.words"),
    });
    if (!agreed) return;
    let gone = 0;
    for (const id of ids) {
      const done = await attempt(() => ask(`/api/runs/${id}/delete`, { body: {} }));
      if (!done) continue;
      gone += 1;
      this.page.chosen.delete(id);
    }
    if (gone) tell(text(gone === 1 ? "runs.deleted_one" : "runs.deleted", { count: count(gone) }));
    this.page.showSelection();
    await this.page.polled.now();
  }
}
