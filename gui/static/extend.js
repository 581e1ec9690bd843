// Makes a dataset of another one and of what models make: drawn pictures, texts translated back.

import { ask, attempt, button, el, select, tell, text, unique } from "./page.js";

/** The part of a dataset's page that offers it; nothing where it can't be. */
export function extending(found, { readonly, refresh }) {
  const way = { images: "draw", text: "translate" }[found.kind];
  if (found.id === null || !way || readonly()) return null;
  const inside = el("div", {});
  const fold = el(
    "details",
    { class: "an-extend" },
    el("summary", {}, text(`data.extend.${way}`)),
    inside,
  );
  const open = async () => {
    fold.removeEventListener("toggle", open);
    const makers = await attempt(() => ask(`/api/datasets/${found.id}/makers`));
    if (makers) inside.replaceChildren(...form(way, makers));
  };
  fold.addEventListener("toggle", open);

  function form(kind, makers) {
    const lacking = missing(kind, makers);
    const help = el("p", { class: "an-help" }, text("data.extend.help"));
    if (lacking) return [help, el("p", { class: "an-notice" }, lacking)];
    const asked = { do: kind === "draw" ? "draw" : "back-translate", count: 500 };
    const chosen = (name, runs) => {
      asked[name] = runs[0].id;
      return boxed(
        name,
        select(
          text(`data.extend.${name}`),
          runs.map(({ id, label }) => [id, label]),
          runs[0].id,
          (id) => {
            asked[name] = Number(id);
          },
        ),
      );
    };
    const typed = (name, value) => {
      const node = el("input", { class: "an-input an-number", inputmode: "decimal", value });
      asked[name] = value;
      node.addEventListener("input", () => {
        asked[name] = Number(node.value);
      });
      return boxed(name, node);
    };
    const fields =
      kind === "draw"
        ? [
            chosen("run", makers.draw),
            typed("count", 500),
            ...(makers.labelled ? [chosen("labelled_by", makers.label), typed("sure", 0.9)] : []),
          ]
        : [chosen("there", makers.translate), chosen("back", makers.translate), typed("count", 500)];
    const go = button(
      text("data.extend.go"),
      async () => {
        go.disabled = true;
        const made = await attempt(() =>
          ask(`/api/datasets/${found.id}/extend`, { body: asked }),
        );
        go.disabled = false;
        if (!made) return;
        tell(text("data.extend.begun"));
        refresh();
      },
      { kind: "primary" },
    );
    return [help, el("div", { class: "an-fields" }, fields), go];
  }

  function boxed(name, node) {
    node.id = unique("extend");
    const help = text(`data.extend.${name}.help`);
    return el(
      "div",
      { class: "an-field" },
      el("label", { for: node.id }, text(`data.extend.${name}`)),
      help === `data.extend.${name}.help` ? null : el("p", { class: "an-help" }, help),
      el("div", { class: "an-control" }, node),
    );
  }

  /** Why nothing can be made yet. */
  function missing(kind, makers) {
    if (!makers[kind].length) return text(`data.extend.none.${kind}`);
    if (kind === "draw" && makers.labelled && !makers.label.length)
      return text("data.extend.none.label");
    return null;
  }

  return el("section", { "data-part": "extend" }, el("h3", {}, text("data.extend")), fold);
}
