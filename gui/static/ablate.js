// Asks how to train with and without augmentation, and begins it: a dialog on Train and on a run.

import {
  ask,
  attempt,
  button,
  count,
  debounce,
  duration,
  el,
  say,
  show,
  spoken,
  text,
  unique,
} from "./page.js";

/** Opens the dialog; `asked()` says what to ablate: `{wanted}` of a form or a `{run}`. */
export function ablate(asked) {
  const head = unique("dialog");
  const seeds = el("input", {
    class: "an-input an-number",
    id: unique("seeds"),
    inputmode: "numeric",
    autocomplete: "off",
    value: 3,
  });
  const help = unique("help");
  seeds.setAttribute("aria-describedby", help);
  const each = el("input", { type: "checkbox" });
  const eachLabel = el("label", { class: "ablate-each" }, each, text("ablation.each"));
  const out = el("ul", { class: "ablate-out" });
  const about = el("p", { "aria-live": "polite" });
  const problem = el("p", { class: "an-problem", role: "alert", hidden: true });
  let asking = null;

  const close = () => {
    asking?.abort();
    dialog.close();
    dialog.remove();
  };
  const body = () => ({ ...asked(), seeds: Number(seeds.value), each: each.checked });
  const go = button(text("ablation.begin"), begin, { kind: "primary" });
  const dialog = el(
    "dialog",
    { class: "an-dialog an-page ablate", "aria-labelledby": head, oncancel: close },
    el("h2", { id: head }, text("ablation.dialog")),
    el("p", {}, text("ablation.question")),
    out,
    el(
      "div",
      { class: "an-field" },
      el("label", { for: seeds.id }, text("ablation.seeds")),
      el("p", { class: "an-help", id: help }, text("ablation.seeds.help")),
      el("div", { class: "an-control" }, seeds),
    ),
    eachLabel,
    about,
    problem,
    el(
      "div",
      { class: "an-dialog-actions" },
      el("a", { class: "an-button quiet", href: "/ablation" }, text("ablation.all")),
      button(text("ablation.cancel"), close),
      go,
    ),
  );

  function refuse(words) {
    problem.textContent = words ?? "";
    show(problem, Boolean(words));
    go.disabled = Boolean(words);
  }

  async function look() {
    asking?.abort();
    asking = new AbortController();
    const { signal } = asking;
    go.disabled = true;
    const whole = /^[1-9]\d?$/.test(seeds.value.trim());
    if (!whole) {
      refuse(text("comparison.bad_number"));
      return;
    }
    try {
      const plan = await ask("/api/ablations/plan", { body: body(), signal });
      if (signal.aborted) return;
      refuse(plan.problem?.text);
      if (plan.problem) return;
      out.replaceChildren(
        ...plan.out.map(({ label, value, unit }) =>
          el("li", {}, label, el("b", {}, [spoken(value), unit].filter(Boolean).join(" "))),
        ),
      );
      show(eachLabel, plan.out.length > 1);
      const runs = count(plan.runs);
      say(go, text("ablation.go", { count: runs }));
      go.disabled = plan.readonly;
      say(about, `${text("ablation.runs", { count: runs })}.`);
      const found = await ask("/api/ablations/estimate", { body: body(), signal });
      if (signal.aborted || found.problem) return;
      const time = text("ablation.runs.time", {
        time: duration(found.seconds),
        device: found.device_name,
      });
      say(about, `${text("ablation.runs", { count: runs })}, ${time}.`);
    } catch (trouble) {
      if (trouble.name !== "AbortError") refuse(trouble.message);
    }
  }

  async function begin() {
    asking?.abort();
    go.disabled = true;
    const begun = await attempt(() => ask("/api/ablations", { body: body() }));
    if (begun?.comparison) window.location.assign(`/ablation?id=${begun.comparison}`);
    else if (begun?.problem) refuse(begun.problem.text);
    else go.disabled = false;
  }

  seeds.addEventListener("input", debounce(look, 250));
  each.addEventListener("change", look);
  show(eachLabel, false);
  document.body.append(dialog);
  dialog.showModal();
  seeds.select();
  look();
}
