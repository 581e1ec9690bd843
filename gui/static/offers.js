// Ready datasets: samples by a click, and those of the Hugging Face hub by their name.

import { attempt, button, segments } from "./page.js";
import { ask, bytes, el, text } from "./shell.js";

/** From how many offers on they are told apart by kind. */
const MANY = 7;

/**
 * The gallery. `offers()` and `listed()` say what there is, `begun(id)` is called when an import
 * has begun, `look(key)` shows a dataset. Gives the element and `update()`.
 */
export function gallery({ offers, listed, readonly, begun, look }) {
  const list = el("ul", { class: "an-offers" });
  const filter = el("div", {});
  /** Origins that were asked for here, until the list says how they are. */
  const asked = new Map();
  let kind = "";
  let drawn = "";

  async function get(origin, body = {}) {
    asked.set(origin, null);
    update();
    const answer = await attempt(() => ask("/api/datasets/get", { body: { origin, ...body } }));
    if (answer) {
      asked.set(origin, answer.dataset);
      begun(answer.dataset);
    } else asked.delete(origin);
    update();
    return answer;
  }

  function stateOf(origin) {
    const own = listed().filter((item) => item.imported);
    const ready = own.find((item) => item.origin === origin && item.state === "ready");
    if (ready) return { state: "ready", key: ready.key };
    if (own.some((item) => item.origin === origin && item.state === "importing"))
      return { state: "importing" };
    if (!asked.has(origin)) return { state: "" };
    const mine = own.find((item) => item.id === asked.get(origin));
    return { state: !mine || mine.state === "importing" ? "importing" : "" };
  }

  function card(offer) {
    const { state, key } = stateOf(offer.origin);
    const install = button(text("offers.install"), () => get(offer.origin), {
      name: text("offers.install.name", { label: offer.label }),
    });
    install.disabled = Boolean(readonly());
    const page = /^https?:/.test(offer.homepage ?? "")
      ? el(
          "a",
          { href: offer.homepage, target: "_blank", rel: "noreferrer noopener" },
          text("offers.homepage"),
        )
      : null;
    const size = offer.bytes ? bytes(offer.bytes) : text("offers.size.unknown");
    return el(
      "li",
      { class: "an-offer", "data-origin": offer.origin },
      el("b", {}, offer.label),
      el("p", { class: "an-help" }, offer.help),
      el(
        "p",
        { class: "an-small an-muted" },
        [text(`datasets.kind.${offer.kind}`), size, offer.licence].filter(Boolean).join(" · "),
      ),
      el(
        "div",
        { class: "an-offer-foot" },
        state === "ready"
          ? button(text("offers.open"), () => look(key))
          : state === "importing"
            ? el("span", { class: "an-muted an-small" }, text("offers.installing"))
            : install,
        state === "ready"
          ? el("span", { class: "an-state", "data-state": "ready" }, text("offers.installed"))
          : null,
        page,
      ),
    );
  }

  /** Brings the cards up to date with the list. */
  function update() {
    const all = offers();
    const now = JSON.stringify([
      kind,
      Boolean(readonly()),
      all.map((o) => [o.origin, stateOf(o.origin)]),
    ]);
    if (now === drawn) return;
    drawn = now;
    const focused = document.activeElement?.closest?.("[data-origin]")?.dataset.origin;
    const kinds = [...new Set(all.map((offer) => offer.kind))];
    if (all.length >= MANY && kinds.length > 1 && !filter.children.length) {
      const ways = [["", text("viewer.all")], ...kinds.map((k) => [k, text(`datasets.kind.${k}`)])];
      filter.append(
        segments(text("bring.kind"), ways, kind, (value) => {
          kind = value;
          update();
        }),
      );
    }
    list.replaceChildren(...all.filter((offer) => !kind || offer.kind === kind).map(card));
    if (focused) {
      const again = list.querySelector(`[data-origin="${CSS.escape(focused)}"]`);
      again?.querySelector("button")?.focus({ preventScroll: true });
    }
    for (const input of hub.elements) input.disabled = Boolean(readonly());
  }

  // --- by name -------------------------------------------------------------------------------

  const field = (name, attributes, help) => {
    const id = `hub-${name}`;
    return el(
      "div",
      { class: "an-field" },
      el("label", { for: id }, text(`offers.${name}`)),
      el("input", {
        class: "an-input",
        id,
        autocomplete: "off",
        spellcheck: "false",
        maxlength: 200,
        "aria-describedby": `${id}-help`,
        ...attributes,
      }),
      el("p", { class: "an-help", id: `${id}-help` }, help),
    );
  };
  const problem = el("p", { class: "an-problem", role: "alert", hidden: true });
  const hub = el(
    "form",
    { class: "an-hub", novalidate: true },
    el("h3", {}, text("offers.hub")),
    el("p", { class: "an-help" }, text("offers.hub.words")),
    el(
      "div",
      { class: "an-three" },
      field("name", { placeholder: "stanfordnlp/imdb" }, text("offers.name.help")),
      field("config", {}, text("offers.config.help")),
    ),
    problem,
    el("button", { type: "submit", class: "an-button" }, text("offers.fetch")),
  );
  hub.addEventListener("submit", async (event) => {
    event.preventDefault();
    const [name, config] = ["name", "config"].map((one) => hub.querySelector(`#hub-${one}`));
    // The address of its page will do too.
    const id = name.value
      .trim()
      .replace(/^\w+:\/\/[^/]+\/datasets\//, "")
      .replace(/[/?#]+$/, "");
    const good = /^[\w.-]+(\/[\w.-]+)?$/.test(id);
    problem.hidden = good;
    problem.textContent = good ? "" : text("offers.name.wrong");
    if (!good) {
      name.focus();
      return;
    }
    const done = await get(`hub:${id}${config.value.trim() ? `@${config.value.trim()}` : ""}`);
    if (done) hub.reset();
  });

  const element = el("div", { class: "an-gallery" }, filter, list, hub);
  return { element, update };
}
