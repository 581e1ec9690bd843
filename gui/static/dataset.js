// One dataset's page: what is in it, what is wrong with it, what can be done with it, its versions.

import { extending } from "./extend.js";
import {
  ago,
  attempt,
  button,
  confirmed,
  count,
  moment,
  number,
  segments,
  select,
  svg,
  tell,
  unique,
} from "./page.js";
import { ask, bytes, el, text } from "./shell.js";
import { atFirst, SPLITS, viewer } from "./viewer.js";

const HARMS = ["stops", "harms", "notice"];
/** Classes whose bars are drawn before the others are asked for. */
const CLASSES = 100;
const LETTERS = 40;

/**
 * The page of a dataset, drawn into `shown`.
 *
 * `readonly()` says whether anything may be changed, `refresh()` brings the list up to date,
 * `remove(id)` forgets a dataset. Gives `open(key, {name, version})`, `close()`, `key()`, and
 * `newest(version)` to say which version is the newest.
 */
export function datasetPage(shown, { readonly, refresh, remove }) {
  let key = null;
  let found = null;
  /** The version that was asked for; null is the newest. */
  let at = null;
  let view = atFirst();
  let looking = null;
  let broken = false;
  let inside = null;

  async function open(wanted, { name = "", version = null, again = false } = {}) {
    if (wanted === key && version === at && !again && !broken) return;
    if (wanted !== key) view = atFirst();
    const fresh = wanted !== key || !found;
    key = wanted;
    at = version;
    broken = false;
    looking?.abort();
    looking = new AbortController();
    const mine = looking;
    if (fresh) {
      found = null;
      shown.replaceChildren(
        titleOf(name),
        el("p", { class: "an-muted" }, text("datasets.opening")),
      );
    } else shown.classList.add("stale");
    try {
      const body = { key, ...(version === null ? {} : { version }) };
      const answer = await ask("/api/datasets/details", { body, signal: mine.signal });
      if (mine !== looking) return;
      found = answer;
      // Another version has other findings.
      if (again && view.finding) view = atFirst();
      draw();
    } catch (trouble) {
      if (trouble.name === "AbortError" || mine !== looking) return;
      broken = true; // another click tries again
      found = null;
      shown.replaceChildren(titleOf(name), el("p", { class: "an-notice bad" }, trouble.message));
    } finally {
      if (mine === looking) shown.classList.remove("stale");
    }
  }

  function close() {
    looking?.abort();
    looking = null;
    key = null;
    found = null;
    shown.replaceChildren();
  }

  const titleOf = (name) => el("div", { class: "an-card-head" }, el("h2", {}, name));

  const isOld = () => found.today !== null && found.version !== found.today;
  const editable = () => found.id !== null && !readonly() && !isOld();

  /** Makes a version, shows it, and offers the way back; `refused(sentence)` says why it can't. */
  async function change(wanted, refused = null) {
    const { id, version, name } = found;
    shown.classList.add("stale");
    const made = await attempt(() =>
      ask(`/api/datasets/${id}/change`, { body: { version, ...wanted } }).catch((problem) => {
        if (!refused || problem.status === undefined) throw problem;
        refused(problem.message);
      }),
    );
    shown.classList.remove("stale");
    if (!made) return false;
    refresh();
    const undone = wanted.change?.do === "restore" ? null : version;
    tell(
      text("data.changed", { change: made.change, version: made.version }),
      "info",
      undone === null ? null : { words: text("data.undo"), act: () => undo(id, made, undone) },
    );
    await open(key, { name, again: true });
    return true;
  }

  async function undo(id, made, version) {
    const back = { version: made.version, change: { do: "restore", version } };
    const done = await attempt(() => ask(`/api/datasets/${id}/change`, { body: back }));
    if (!done) return;
    refresh();
    tell(text("data.undone"));
    if (found?.id === id) await open(key, { again: true });
  }

  // --- the frame -----------------------------------------------------------------------------

  function draw() {
    inside = viewer({
      found,
      view,
      data: () => ({ key, ...(found.today === null ? {} : { version: found.version }) }),
      change: editable() ? (wanted) => change({ change: wanted }) : null,
    });
    shown.replaceChildren(
      ...[
        head(),
        later(),
        old(),
        facts(),
        doctor(),
        titled("samples", inside.element),
        el("div", { class: "an-columns" }, balance(), ...histograms(), characters()),
        extending(found, { readonly, refresh }),
        fits(),
        versions(),
        provenance(),
      ].filter(Boolean),
    );
  }

  const titled = (name, ...children) =>
    el("section", { "data-part": name }, el("h3", {}, text(`datasets.${name}`)), ...children);

  function head() {
    const row = titleOf(found.name);
    if (found.id !== null) {
      row.append(button(text("datasets.remove"), removeIfAgreed, { kind: "quiet" }));
      row.lastChild.disabled = Boolean(readonly());
    }
    const train = `/?data=${encodeURIComponent(key)}`;
    // Without a model the form would choose other data in its place.
    const fit = (found.tasks ?? []).length > 0;
    row.append(
      el(
        "a",
        {
          class: "an-button primary",
          role: "link",
          href: fit ? train : null,
          "aria-disabled": fit ? null : "true",
          title: fit ? null : text("data.no_model"),
        },
        text("datasets.train"),
      ),
    );
    return row;
  }

  /** Why “Train on this” is grey. */
  const later = () =>
    (found.tasks ?? []).length
      ? null
      : el("p", { class: "an-notice an-later" }, text("data.no_model.words"));

  async function removeIfAgreed() {
    const { id, name } = found;
    const agreed = await confirmed({
      title: text("datasets.remove.title", { name }),
      words: text("datasets.remove.words"),
      action: text("datasets.remove"),
      danger: true,
    });
    if (agreed) await remove(id);
  }

  function old() {
    if (!isOld()) return null;
    const { version, today } = found;
    const back = button(text("data.restore"), () => restore(version));
    back.disabled = Boolean(readonly());
    return el(
      "div",
      { class: "an-notice an-old" },
      el("span", {}, text("data.old", { version, today })),
      button(text("data.newest"), () => open(key)),
      back,
    );
  }

  /** From the newest version back to an older one: that is a new version too. */
  async function restore(version) {
    const { id, today, name } = found;
    const wanted = { version: today, change: { do: "restore", version } };
    const made = await attempt(() => ask(`/api/datasets/${id}/change`, { body: wanted }));
    if (!made) return;
    refresh();
    tell(text("data.changed", { change: made.change, version: made.version }), "info", {
      words: text("data.undo"),
      act: () => undo(id, made, today),
    });
    await open(key, { name, again: true });
  }

  // --- facts ---------------------------------------------------------------------------------

  const fact = (name, value, wide = false) =>
    value
      ? el(
          "div",
          { class: wide ? "wide" : null },
          el("dt", {}, text(`datasets.${name}`)),
          el("dd", {}, value),
        )
      : null;

  function shape() {
    const { kind, shape: axes } = { kind: found.samples.kind, shape: found.shape };
    if (kind === "sequences") return text("datasets.shape.sequence", { features: axes.at(-1) });
    if (kind === "sound")
      return found.rate ? text("datasets.shape.sound", { rate: count(found.rate) }) : null;
    return axes.length ? axes.join(" × ") : null;
  }

  function facts() {
    const all = SPLITS.flatMap((split) => found.counts[split] ?? []).reduce((sum, n) => sum + n, 0);
    return el(
      "dl",
      { class: "an-facts" },
      fact("kind", text(`datasets.kind.${found.samples.kind}`)),
      fact("items", count(all)),
      fact("left_out", found.left_out ? count(found.left_out) : null),
      fact("shape", shape()),
      fact("classes", found.classes.length ? count(found.classes.length) : null),
      fact("bytes", found.bytes ? bytes(found.bytes) : null),
      fact("version", found.today ? String(found.version) : null),
    );
  }

  function provenance() {
    const columns = Object.entries(found.columns ?? {}).filter(([, name]) => name.trim());
    const read = columns.map(([role, name]) => `${text(`data.role.${role}`)}: ${name}`).join(" · ");
    return titled(
      "provenance",
      el(
        "dl",
        { class: "an-facts" },
        fact("source", found.file || found.source, true),
        fact("origin", found.origin, true),
        fact("licence", found.licence, true),
        fact("columns", read, true),
        fact("features", (found.features ?? []).slice(0, 50).join(", "), true),
        fact("created", found.created ? moment(found.created) : null, true),
        fact("fingerprint", el("code", { class: "an-mono" }, found.fingerprint), true),
      ),
      ...(found.warnings ?? []).map((words) => el("p", { class: "an-notice" }, words)),
    );
  }

  function fits() {
    const tasks = found.tasks ?? [];
    if (!tasks.length) return titled("fits", el("p", { class: "an-muted" }, text("data.no_model")));
    return titled(
      "fits",
      el(
        "dl",
        { class: "an-fits" },
        tasks.flatMap(({ task, models }) => [
          el("dt", {}, task),
          el("dd", {}, models.length ? models.join(", ") : text("data.no_model")),
        ]),
      ),
    );
  }

  // --- the doctor ----------------------------------------------------------------------------

  function doctor() {
    if (!found.findings) return null;
    if (!found.findings.length)
      return titled("doctor", el("p", { class: "an-muted" }, text("doctor.well")));
    const rank = (one) => HARMS.indexOf(one.harm);
    const ranked = [...found.findings].sort((a, b) => rank(a) - rank(b));
    return titled("doctor", el("ul", { class: "an-findings" }, ranked.map(finding)));
  }

  function finding(one) {
    const actions = el("div", { class: "an-finding-actions" });
    if (one.mend === "change" && editable()) {
      actions.append(button(one.button, () => change({ finding: one.code })));
    } else if (one.mend === "setting") {
      const set = `${one.setting.name}=${one.setting.value}`;
      const query = new URLSearchParams([
        ["data", key],
        ["set", set],
      ]);
      actions.append(el("a", { class: "an-button", href: `/?${query}` }, one.button));
    }
    if (one.rows.length) {
      const several = one.count === 1 ? "doctor.items.one" : "doctor.items";
      const words = text(several, { count: count(one.count) });
      actions.append(
        button(
          words,
          () => {
            inside.finding(one);
            inside.element.scrollIntoView({ block: "nearest" });
          },
          { kind: "quiet" },
        ),
      );
    }
    return el(
      "li",
      { "data-harm": one.harm, "data-code": one.code },
      el("span", { class: "an-harm" }, text(`doctor.${one.harm}`)),
      el("p", {}, one.text),
      actions,
    );
  }

  // --- how it is spread ----------------------------------------------------------------------

  function balance() {
    const total = (split) => (found.counts[split] ?? []).reduce((sum, n) => sum + n, 0);
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
    const picked = new Set();
    const grid = el("div", { class: "an-balance" });
    const row = (label, index, editing) => [
      editing ? pick(label, picked, () => say()) : null,
      label
        ? button(label, () => toClass(label), { kind: "quiet", title: label })
        : el("span", {}, text("data.all_items")),
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
      el("span", { class: "an-muted an-number" }, count(sums[index])),
    ];
    const fill = (editing, most_shown = CLASSES) => {
      grid.classList.toggle("editing", editing);
      grid.replaceChildren(
        ...classes
          .slice(0, most_shown)
          .flatMap((label, i) => row(label, i, editing).filter(Boolean)),
      );
      if (classes.length > most_shown) {
        const rest = text("data.all_classes", { count: count(classes.length) });
        grid.append(button(rest, () => fill(editing, Infinity), { kind: "quiet" }));
      }
    };
    fill(false);
    const tools = el("div", { class: "an-part-actions" });
    const { form, say } = renaming(picked);
    if (editable()) {
      if (found.classes.length) {
        const edit = button(text("data.classes.edit"), () => {
          edit.hidden = true;
          form.hidden = false;
          fill(true, Infinity);
          say();
        });
        tools.append(edit);
      }
      tools.append(button(text("data.split"), splitDialog));
    }
    return titled(found.classes.length ? "balance" : "splits", legend, grid, form, tools);
  }

  function toClass(label) {
    inside.label(label);
    inside.element.scrollIntoView({ block: "nearest" });
  }

  function pick(label, picked, changed) {
    const box = el("input", { type: "checkbox", "aria-label": text("data.class.pick", { label }) });
    box.addEventListener("change", () => {
      if (box.checked) picked.add(label);
      else picked.delete(label);
      changed();
    });
    return box;
  }

  /** Another name for one class, or one name for several. */
  function renaming(picked) {
    const id = unique("class");
    const name = el("input", { class: "an-input", id, maxlength: 120, autocomplete: "off" });
    const go = el("button", { type: "submit", class: "an-button" }, text("data.rename"));
    const help = el("p", { class: "an-help", role: "status" });
    const form = el(
      "form",
      { class: "an-renaming", hidden: true },
      help,
      el("label", { for: id }, text("data.class.name")),
      el("div", { class: "an-relabel" }, name, go),
    );
    const say = () => {
      const classes = [...picked];
      go.disabled = name.disabled = !classes.length;
      go.textContent = text(classes.length > 1 ? "data.merge" : "data.rename");
      help.textContent = classes.length ? classes.join(" + ") : text("data.classes.help");
      if (!classes.includes(name.value) && classes.length) [name.value] = classes;
    };
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const into = name.value.trim();
      if (into && picked.size) change({ change: { do: "merge", classes: [...picked], into } });
    });
    return { form, say };
  }

  /** A column that has worked before, or of which the check-up says so: else none is known to. */
  function suggested(groups, before) {
    if (groups.includes(before.column)) return before.column;
    const mended = (found.findings ?? []).filter((one) => one.mend === "change");
    return groups.find((name) => mended.some((one) => one.code === `groups:${name}`)) ?? "";
  }

  function splitDialog() {
    const before = found.rule ?? {};
    const groups = found.groups ?? [];
    const title = unique("split");
    // What comes later in a series isn't known before: it is never split at random.
    const usual = found.series ? "ordered" : "random";
    let how = groups.length && before.how === "grouped" ? "grouped" : usual;
    const column = select(
      text("data.split.column"),
      [["", text("data.split.choose")], ...groups.map((name) => [name, name])],
      suggested(groups, before),
      () => {},
    );
    const problem = el("p", { class: "an-problem", role: "alert", hidden: true });
    const field = (name, attributes) => {
      const id = unique("split");
      const input = el("input", {
        class: "an-input",
        id,
        type: "number",
        required: true,
        ...attributes,
      });
      return [
        input,
        el("div", { class: "an-field" }, el("label", { for: id }, text(`datasets.${name}`)), input),
      ];
    };
    const share = { min: 0.01, max: 0.4, step: 0.01 };
    const [validation, first] = field("validation", { ...share, value: before.validation ?? 0.1 });
    const [test, second] = field("test", { ...share, value: before.test ?? 0.1 });
    const [seed, third] = field("seed", {
      min: 0,
      max: 2147483647,
      step: 1,
      value: before.seed ?? 0,
    });
    const choose = segments(
      text("data.split.how"),
      [
        [usual, text(`bring.split.${usual}`)],
        ["grouped", text("bring.split.group")],
      ],
      how,
      (value) => {
        how = value;
        column.hidden = how !== "grouped";
        column.required = how === "grouped";
        problem.hidden = true;
      },
    );
    choose.hidden = !groups.length;
    column.hidden = how !== "grouped";
    column.required = how === "grouped";
    const close = () => {
      dialog.close();
      dialog.remove();
    };
    const go = el("button", { type: "submit", class: "an-button primary" }, text("data.split.go"));
    const form = el(
      "form",
      { method: "dialog" },
      el("h2", { id: title }, text("data.split")),
      el("p", {}, text("data.split.words")),
      found.series ? el("p", { class: "an-muted" }, text("bring.split.ordered.help")) : null,
      choose,
      column,
      el("div", { class: "an-three" }, first, second, found.series ? null : third),
      problem,
      el("div", { class: "an-dialog-actions" }, button(text("dialog.back"), close), go),
    );
    const dialog = el("dialog", { class: "an-dialog an-page", "aria-labelledby": title }, form);
    dialog.addEventListener("cancel", close);
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const rule = {
        how,
        column: how === "grouped" ? column.value : "",
        seed: Number(seed.value),
        validation: Number(validation.value),
        test: Number(test.value),
      };
      problem.hidden = true;
      go.disabled = true;
      const refused = (sentence) => {
        problem.textContent = sentence;
        problem.hidden = false;
      };
      if (await change({ change: { do: "split", rule } }, refused)) close();
      go.disabled = false;
    });
    document.body.append(dialog);
    dialog.showModal();
  }

  const histograms = () => (found.histograms ?? []).map(histogram);

  function histogram({ title, unit, edges, counts, low, high, median }) {
    const name = text(`data.histogram.${title}`);
    const [width, height] = [300, 80];
    const most = Math.max(...counts, 1);
    const step = width / counts.length;
    const drawing = svg("svg", {
      class: "an-histogram",
      viewBox: `0 0 ${width} ${height}`,
      preserveAspectRatio: "none",
      role: "img",
      "aria-label": text("data.histogram", {
        name,
        low: number(low ?? edges[0]),
        high: number(high ?? edges.at(-1)),
      }),
    });
    counts.forEach((value, index) => {
      const tall = value ? Math.max((value / most) * height, 1) : 0;
      const span = `${number(edges[index])}–${number(edges[index + 1])}`;
      drawing.append(
        svg(
          "rect",
          {
            x: (index * step + 0.5).toFixed(2),
            y: (height - tall).toFixed(2),
            width: Math.max(step - 1, 0.5).toFixed(2),
            height: tall.toFixed(2),
          },
          svg("title", {}, `${span} ${unit}: ${count(value)}`),
        ),
      );
    });
    const ends = [number(low ?? edges[0]), number(high ?? edges.at(-1))];
    const middle = median === undefined ? "" : text("data.median", { median: number(median) });
    return el(
      "section",
      { "data-part": "histogram" },
      el("h3", {}, name, el("span", { class: "an-muted" }, ` ${unit === title ? "" : unit}`)),
      drawing,
      el(
        "div",
        { class: "an-ends an-muted an-small an-number" },
        el("span", {}, ends[0]),
        el("span", {}, middle),
        el("span", {}, ends[1]),
      ),
    );
  }

  function characters() {
    const { characters: seen } = found;
    if (!seen?.letters?.length) return null;
    const share = (part) => (part < 0.01 ? "< 1 %" : `${Math.round(100 * part)} %`);
    return titled(
      "characters",
      el(
        "p",
        { class: "an-small" },
        seen.scripts.map(([name, part]) => `${name} ${share(part)}`).join(" · "),
      ),
      el(
        "ul",
        { class: "an-letters" },
        seen.letters
          .slice(0, LETTERS)
          .map(([letter, times]) =>
            el("li", { title: count(times) }, letter, el("small", {}, count(times))),
          ),
      ),
    );
  }

  // --- versions ------------------------------------------------------------------------------

  function versions() {
    const made = [...(found.versions ?? [])].sort((a, b) => b.number - a.number);
    if (!made.length) return null;
    return titled(
      "versions",
      el("ol", { class: "an-versions", reversed: true }, made.map(version)),
    );
  }

  function version({ number: which, made, change: said }) {
    const here = which === found.version;
    const row = el(
      "li",
      { "aria-current": here ? "true" : null },
      el("b", { class: "an-number" }, String(which)),
      el("span", { class: "an-said" }, said),
      el("time", { class: "an-muted an-small", title: moment(made) }, ago(made)),
    );
    const actions = el("div", {});
    if (here) {
      actions.append(el("span", { class: "an-muted an-small" }, text("data.version.here")));
    } else {
      const name = (key_) => `${text(key_)} (${which})`;
      const look = () => open(key, which === found.today ? {} : { version: which });
      actions.append(button(text("data.version.look"), look, { name: name("data.version.look") }));
      if (which !== found.today && !readonly()) {
        actions.append(
          button(text("data.restore"), () => restore(which), { name: name("data.restore") }),
        );
      }
    }
    row.append(actions);
    return row;
  }

  /** Another window may have made a version meanwhile. */
  function newest(version) {
    if (found && at === null && found.today !== version) open(key, { again: true });
  }

  return { open, close, newest, key: () => key };
}
