// The Datasets page: the list, the ways to bring one in, and the page of the one that is chosen.

import { bringIn, controlOf } from "./bringin.js";
import { capture } from "./capture.js";
import { datasetPage } from "./dataset.js";
import { gallery } from "./offers.js";
import { attempt, button, confirmed, parameters, poll, remember, say, tell } from "./page.js";
import { ask, bytes, el, text } from "./shell.js";

/** Milliseconds between two looks at the list: often while something is imported. */
const BUSY = 500;
const CALM = 5000;
const WAYS = ["files", "samples", "record"];
const SMALL = "(width < 1000px)";

/** Draws the page into its frame. */
export function mount(page) {
  const root = page.querySelector(".an-datasets");
  let listed = [];
  let offered = [];
  let limit = Infinity;
  let readonly = null;
  let chosen = parameters().get("data");
  let way = WAYS.includes(parameters().get("add")) ? parameters().get("add") : null;
  /** Imports that were begun here: the newest is shown when it is ready. */
  const awaited = new Set();

  const notices = el("div", { "aria-live": "polite" });
  const builtIn = el("ul", { class: "an-list" });
  const own = el("ul", { class: "an-list" });
  const none = el("p", { class: "an-muted an-small" }, text("datasets.own.none"));
  const shown = el("section", { class: "an-card an-shown", tabindex: -1 });
  const add = button(text("datasets.add"), () => bring(way ?? WAYS[0]), { kind: "primary" });

  const inside = datasetPage(shown, {
    readonly: () => readonly,
    refresh: () => polling.now(),
    remove,
  });

  // --- the list ------------------------------------------------------------------------------

  const title = (item) => el("div", { class: "an-entry-top" }, el("b", {}, item.name));
  const facts = (item) =>
    item.imported
      ? [item.help, item.bytes ? bytes(item.bytes) : null].filter(Boolean).join(" · ")
      : item.help;

  function ready(item) {
    const words = el("span", { class: "an-help" }, facts(item));
    const entry = el(
      "button",
      { type: "button", class: "an-entry", "data-key": item.key },
      title(item),
      words,
    );
    entry.setAttribute("aria-current", String(item.key === chosen && !way));
    entry.addEventListener("click", () => {
      look(item.key);
      if (window.matchMedia(SMALL).matches) shown.scrollIntoView();
    });
    entry.update = (now) => say(words, facts(now));
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
    const actions = el("div", { class: "an-entry-actions" });
    const control = item.retry && controlOf(item.retry.field);
    const skip = item.retry?.field === "skip_broken";
    if (skip) actions.append(action("retry.skip", () => again(item, { skip_broken: true })));
    else if (item.retry && !control) actions.append(action("retry.again", () => again(item, {})));
    if (item.retry) actions.append(action("retry.settings", () => mend(item)));
    actions.append(action("dismiss", () => remove(item.id)));
    const entry = el(
      "div",
      { class: "an-entry" },
      title(item),
      ...reasonOf(item),
      control && !skip
        ? el("p", { class: "an-help" }, text("datasets.retry.control", { control }))
        : null,
      actions,
    );
    entry.querySelector(".an-entry-top").append(pill(item.state));
    return entry;
  }

  /** Its first lines, and the others when they are asked for. */
  function reasonOf(item) {
    const words = el("p", { class: "an-failed" }, item.reason);
    const more = button(text("datasets.more"), () => open(!words.classList.contains("whole")), {
      kind: "quiet",
    });
    more.classList.add("an-more");
    more.hidden = true;
    const open = (whole) => {
      words.classList.toggle("whole", whole);
      more.textContent = text(whole ? "datasets.less" : "datasets.more");
      more.setAttribute("aria-expanded", String(whole));
    };
    new ResizeObserver(() => {
      const whole = words.classList.contains("whole");
      if (!whole) more.hidden = words.scrollHeight <= words.clientHeight + 1;
    }).observe(words);
    open(false);
    return [words, more];
  }

  const pill = (state) =>
    el("span", { class: "an-state", "data-state": state }, text(`datasets.${state}`));

  function action(name, act) {
    const made = button(text(`datasets.${name}`), act);
    made.disabled = Boolean(readonly);
    return made;
  }

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
    place(own, entries(listed.filter((item) => item.imported)));
    place(builtIn, entries(listed.filter((item) => !item.imported)));
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
    offered = fresh.offers;
    limit = fresh.upload_limit;
    readonly = fresh.readonly;
    list();
    add.disabled = Boolean(readonly);
    if (readonly && !notices.children.length)
      notices.append(el("p", { class: "an-notice" }, readonly));
    if (readonly) way = null;
    samples.update();
    arrived();
    if (way) bring(way, { typed: false });
    else settle();
    return listed.some((item) => item.state === "importing") ? BUSY : CALM;
  }

  /** Shows the dataset that was chosen, or another when it is gone. */
  function settle() {
    const usable = [...listed.filter((i) => i.imported), ...listed.filter((i) => !i.imported)];
    const now = usable.find((item) => item.key === chosen && item.key) ?? usable.find((i) => i.key);
    if (!now) return;
    if (inside.key() !== now.key) look(now.key, { typed: false });
    else if (now.imported) inside.newest(now.version);
  }

  /** What was begun here and is over: the dataset is shown, or the reason said. */
  function arrived() {
    for (const item of listed) {
      if (!awaited.has(item.id) || item.state === "importing") continue;
      awaited.delete(item.id);
      if (item.state === "failed") {
        const offer = { words: text("datasets.retry.settings"), act: () => mend(item) };
        tell(`${item.name}: ${item.reason}`, "error", item.retry ? offer : null);
      } else if (way !== "record") look(item.key);
      else tell(text("datasets.arrived", { name: item.name }), "info", opening(item));
    }
  }

  const opening = (item) => ({ words: text("offers.open"), act: () => look(item.key) });

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
    awaited.delete(id);
    await attempt(() => ask(`/api/datasets/${id}/remove`, { body: {} }));
    polling.now();
  }

  async function again(item, options) {
    const made = await attempt(() => ask(`/api/datasets/${item.id}/retry`, { body: { options } }));
    if (made) begun(made.dataset);
  }

  function mend(item) {
    bring("files");
    files.retry(item);
  }

  function begun(id) {
    awaited.add(id);
    polling.now();
    if (window.matchMedia(SMALL).matches) own.scrollIntoView({ block: "nearest" });
  }

  // --- one of them ---------------------------------------------------------------------------

  /** `typed` is false when nobody asked for it: the address stays as it is. */
  function look(key, { typed = true } = {}) {
    const item = listed.find((one) => one.key === key);
    chosen = key;
    way = null;
    adding.hidden = true;
    shown.hidden = false;
    recorder.leave();
    if (typed) remember({ data: key, add: null });
    current();
    inside.open(key, { name: item?.name });
  }

  function current() {
    add.setAttribute("aria-pressed", String(Boolean(way)));
    for (const entry of root.querySelectorAll(".an-entry[data-key]")) {
      entry.setAttribute("aria-current", String(entry.dataset.key === chosen && !way));
    }
  }

  // --- bringing one in -----------------------------------------------------------------------

  const files = bringIn({ limit: () => limit, begun });
  const samples = gallery({
    offers: () => offered,
    listed: () => listed,
    readonly: () => readonly,
    begun,
    look,
  });
  const recorder = capture({
    send: (made, name, done) => {
      bring("files");
      files.send(made, name, done);
    },
  });
  const panels = { files: files.element, samples: samples.element, record: recorder.element };
  const tabs = el("div", {
    class: "an-tabs",
    role: "tablist",
    "aria-label": text("datasets.add"),
  });
  for (const name of WAYS) {
    tabs.append(
      el(
        "button",
        {
          type: "button",
          role: "tab",
          id: `add-${name}`,
          "aria-controls": `panel-${name}`,
          onclick: () => bring(name),
        },
        text(`datasets.way.${name}`),
      ),
    );
    const panel = { role: "tabpanel", id: `panel-${name}`, "aria-labelledby": `add-${name}` };
    for (const [attribute, value] of Object.entries(panel)) {
      panels[name].setAttribute(attribute, value);
    }
  }
  tabs.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    const next = (WAYS.indexOf(way) + by + WAYS.length) % WAYS.length;
    bring(WAYS[next]);
    tabs.children[next].focus();
  });
  const adding = el(
    "section",
    { class: "an-card an-add", hidden: true },
    el("div", { class: "an-card-head" }, el("h2", {}, text("datasets.add"))),
    tabs,
    Object.values(panels),
  );

  function bring(name, { typed = true } = {}) {
    if (readonly) return;
    const before = way;
    way = name;
    const already = !adding.hidden && before === name;
    adding.hidden = false;
    shown.hidden = true;
    if (typed) remember({ add: name, data: null });
    current();
    for (const [index, one] of WAYS.entries()) {
      panels[one].hidden = one !== name;
      tabs.children[index].setAttribute("aria-selected", String(one === name));
      tabs.children[index].tabIndex = one === name ? 0 : -1;
    }
    if (already) return;
    if (name === "record") recorder.enter();
    else recorder.leave();
    if (typed && window.matchMedia(SMALL).matches) adding.scrollIntoView();
  }

  // A file that is dropped beside its place would be opened by the browser, and the page be gone.
  root.addEventListener("dragover", (event) => {
    event.preventDefault();
    if (event.dataTransfer.types.includes("Files") && !readonly) root.classList.add("over");
  });
  root.addEventListener("dragleave", (event) => {
    if (!root.contains(event.relatedTarget)) root.classList.remove("over");
  });
  root.addEventListener("drop", (event) => {
    event.preventDefault();
    root.classList.remove("over");
    if (!event.dataTransfer.types.includes("Files") || readonly) return;
    bring("files");
    files.drop(event.dataTransfer);
  });

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
        add,
        el("h2", {}, text("datasets.own")),
        none,
        own,
        el("h2", {}, text("datasets.built_in")),
        builtIn,
      ),
      el("div", { class: "an-right" }, adding, shown),
    ),
  );
  const polling = poll(root, refresh, (trouble) => {
    notices.replaceChildren(
      ...(trouble ? [el("p", { class: "an-notice bad" }, trouble.message)] : []),
    );
  });
}
