"""A model card: what the model is, what it learned from, how good it is, and what it is not for."""

from __future__ import annotations

import html
import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from engine import judging
from engine.catalog import BadInput, chosen
from engine.exports import Export
from engine.exports.leaving import Leaving
from engine.tasks import spoken

WIDTH, HEIGHT, MARGIN = 640, 220, 44
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
"""Okabe & Ito 2008: told apart by every kind of eyes."""
WORST = 5
"""Classes that the limits name."""


class ModelCard(Export, label="Model card", fits={"any"}, rank=60):
    """A page on the model in Markdown and HTML: data, measures, limits, lineage, licences, curve.

    As Mitchell et al. 2019 propose it. What only people know, who it is for, say, is theirs to add.
    """

    stages = 1

    def make(self, leaving: Leaving, folder: Path) -> Iterator[str]:
        yield "Writing the card"
        sections = told(leaving)
        curve = drawn(leaving.portrait.get("curves", {}))
        title = leaving.portrait.get("name") or f"Run {leaving.run}"
        (folder / "model-card.md").write_text(markdown(title, sections, curve), encoding="utf-8")
        (folder / "model-card.html").write_text(page(title, sections, curve), encoding="utf-8")
        if curve:
            (folder / "curve.svg").write_text(curve, encoding="utf-8")


@dataclass(frozen=True)
class Section:
    """A part of a card: sentences, or a table under its first row."""

    head: str
    lines: Sequence[str] = ()
    table: Sequence[Sequence[str]] = ()


def told(leaving: Leaving) -> list[Section]:
    """All parts of the card."""
    setup, known = leaving.setup, leaving.portrait
    recipe, metrics = setup.recipe, known.get("metrics", {})
    method = chosen("method", recipe.method.name).card
    facts = [
        ["", ""],
        ["Model", f"{setup.model.card.label} ({setup.model.parameter_count():,} parameters)"],
        ["Task", setup.task.card.label], ["Trained by", method.label],
        ["Checkpoint", f"step {leaving.predictor.checkpoint()['step']:,}"],
        ["Made", day(known.get("finished") or time.time())],
        ["With", f"PyTorch {torch.__version__}, {metrics.get('numerics', 'unknown precision')}"],
    ]  # fmt: skip
    return [
        Section("About", [setup.model.card.help, *([known["notes"]] if known.get("notes") else [])],
                facts),
        data(leaving), Section("Measures", measured(metrics), table(metrics)),
        Section("Limits", limits(leaving, metrics)), lineage(leaving),
        Section("Licences", licences(leaving)),
        Section("Recipe", ["With this it can be trained again:",
                           json.dumps(json.loads(recipe.to_json()), indent=2)]),
    ]  # fmt: skip


def data(leaving: Leaving) -> Section:
    """What it learned from, and in which version."""
    recipe, outline = leaving.setup.recipe, leaving.outline
    known = leaving.portrait.get("dataset") or {}
    settings = recipe.data.settings
    rows = [["", ""], ["Dataset", known.get("name") or chosen("data", recipe.data.name).card.label]]
    if version := settings.get("version"):
        rows.append(["Version", str(version)])
    rows.append(["Fingerprint", outline["fingerprint"]])
    rows.append(["Items", "of the shape " + "×".join(map(str, leaving.data.shape))])
    origin = known.get("origin") or known.get("source")
    found = opened(leaving)
    if found is not None:
        rows.append(["Source", found.source or origin or "not said"])
        rows += [[f"{split.capitalize()} items", f"{len(rows_):,}"]
                 for split, rows_ in found.splits.items()]  # fmt: skip
    elif origin:
        rows.append(["Source", origin])
    classes = leaving.setup.task.classes(leaving.data)
    if classes:
        rows.append(["Classes", f"{len(classes)}: " + ", ".join(classes[:50])
                     + (" …" if len(classes) > 50 else "")])  # fmt: skip
    if recipe.labels:
        rows.append(["Labels used", f"{recipe.labels} of each class"])
    lines = [] if found is not None else ["The data have been removed since."]
    return Section("Data", lines, rows)


def opened(leaving: Leaving) -> Any:
    """The data themselves; None where they are gone."""
    try:
        return judging.learned_from(leaving.home, leaving.run)
    except BadInput:
        return None


def measured(metrics: Mapping[str, Any]) -> list[str]:
    headline = metrics.get("headline")
    if not headline:
        return ["It was not tested on items kept aside."]
    better = (
        "the larger the better" if metrics.get("larger_is_better") else "the smaller the better"
    )
    return [f"On items that it did not learn from; the first is what it was chosen by, {better}."]


def table(metrics: Mapping[str, Any]) -> list[list[str]]:
    """Every measure of the test, beside what no model or a classical one reaches."""
    found = {name.partition("/")[2]: value for name, value in metrics.items()
             if name.startswith("test/") and isinstance(value, int | float)}  # fmt: skip
    if not found:
        return []
    first = str(metrics.get("headline", "")).partition("/")[2]
    names = sorted(found, key=lambda name: (name != first, name))
    others = {name: own for name, own in metrics.get("baselines", {}).items() if own}
    return [
        ["Measure", "This model", *others],
        *([spoken(name), number(found[name]), *(number(own.get(name)) for own in others.values())]
          for name in names),
    ]  # fmt: skip


def limits(leaving: Leaving, metrics: Mapping[str, Any]) -> list[str]:
    """What follows from how it was made."""
    setup = leaving.setup
    found = []
    if setup.task.classes(leaving.data):
        found.append("It always answers with one of its classes, also where an item is of none of "
                     "them.")  # fmt: skip
    if each := metrics.get("per_class"):
        worst = sorted((one for one in each if one.get("items")), key=lambda one: one["recall"])
        named = ", ".join(f"{one['class']} ({one['recall']:.0%} found)" for one in worst[:WORST])
        found.append(f"It is weakest on {named}.")
    if items := metrics.get("training_items"):
        found.append(f"It learned from {items:,} items: what these don't show, it has not seen.")
    if setup.task.temperature == 1 and setup.task.card.judges == "classes":
        found.append("Its probabilities were not calibrated: a high one may be wrong more often "
                     "than it says.")  # fmt: skip
    found.append("Its measures hold for data like those that it was tested on; others must be "
                 "tested first.")  # fmt: skip
    return found


def lineage(leaving: Leaving) -> Section:
    """What its weights come from, and whose answers they were learned from."""
    recipe, before = leaving.setup.recipe, leaving.portrait.get("lineage", [])
    start, teacher = recipe.start, recipe.method.settings.get("teacher")
    rows = [["Run", "Name", "Model", "Data"], *(
        [str(one["id"]), one["name"], one["model"], one["data"]] for one in before
    )]  # fmt: skip
    taught = [] if teacher is None else [f"It has learned from the answers of run {teacher}."]
    if before and before[-1]["id"] == start:  # else that run was deleted
        said = "Its weights began as those of, from the first:"
        return Section("Lineage", [*taught, said], rows)
    if start is not None:
        source = leaving.portrait.get("metrics", {}).get("start", {}).get("source", start)
        began = f"Its weights began as those of {source}."
    elif taught:
        began = "Its weights began by chance."
    else:
        began = "Its weights come from chance: nothing was learned before."
    if not (before and taught):
        return Section("Lineage", [began, *taught])
    # Where no run is the start, the teacher is the parent (`engine.recipe.Recipe.parent`).
    said = "That run is the last of these, which came one from another, from the first:"
    return Section("Lineage", [began, *taught, said], rows)


def licences(leaving: Leaving) -> list[str]:
    found = opened(leaving)
    said = (found.licence if found is not None else "") or "not said"
    lines = [f"Data: {said}."]
    if leaving.setup.recipe.start is not None:
        lines.append("The weights that it began with have a licence of their own, which holds for "
                     "this model too: look it up where they were published.")  # fmt: skip
    lines.append("The model: to be said by whoever gives it away.")
    return lines


def day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))


def number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) and math.isfinite(value) else "–"


# --- the curve ------------------------------------------------------------------------------


def drawn(curves: Mapping[str, Sequence[Sequence[float]]]) -> str:
    """The losses over the steps as an SVG; nothing where there are none."""
    lines = {name: points for name, points in sorted(curves.items())
             if name.endswith("/loss") and len(points) > 1}  # fmt: skip
    if not lines:
        return ""
    steps = [point[0] for points in lines.values() for point in points]
    values = [point[1] for points in lines.values() for point in points]
    low, high = min(values), max(values)
    span, wide = (high - low) or 1.0, (max(steps) - min(steps)) or 1

    def x(step: float) -> float:
        return MARGIN + (step - min(steps)) / wide * (WIDTH - MARGIN - 12)

    def y(value: float) -> float:
        return HEIGHT - 28 - (value - low) / span * (HEIGHT - 56)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="Loss over steps" font-family="sans-serif" font-size="11">',
        f'<path d="M{MARGIN} 20V{HEIGHT - 28}H{WIDTH - 12}" fill="none" stroke="#888"/>',
        *(f'<text x="{MARGIN - 6}" y="{y(value) + 4:.1f}" text-anchor="end" fill="#888">'
          f"{value:.3g}</text>" for value in (low, high)),
        f'<text x="{WIDTH - 12}" y="{HEIGHT - 10}" text-anchor="end" fill="#888">'
        f"step {max(steps):,.0f}</text>",
    ]  # fmt: skip
    for place, (name, points) in enumerate(lines.items()):
        colour = COLOURS[place % len(COLOURS)]
        way = " ".join(f"{x(step):.1f},{y(value):.1f}" for step, value in points)
        parts.append(f'<polyline points="{way}" fill="none" stroke="{colour}" stroke-width="1.6"/>')
        parts.append(f'<text x="{MARGIN + 12 + 130 * place}" y="14" fill="{colour}">'
                     f"{html.escape(name)}</text>")  # fmt: skip
    return "".join(parts) + "</svg>"


# --- as text --------------------------------------------------------------------------------

MARKS = str.maketrans({sign: f"\\{sign}" for sign in "\\`*_[]<>|#"})


def markdown(title: str, sections: Sequence[Section], curve: str) -> str:
    """The card for a README: what people wrote stays text."""
    out = [f"# {flat(title).translate(MARKS)}", ""]
    for section in sections:
        out += [f"## {section.head}", ""]
        for line in section.lines:
            code = line.startswith("{")
            out += ["```json", line.replace("```", "` ` `"), "```", ""] if code \
                else [flat(line).translate(MARKS), ""]  # fmt: skip
        if section.table:
            first, *rows = [[flat(cell).translate(MARKS) for cell in row] for row in section.table]
            out += [f"| {' | '.join(first)} |", f"|{'---|' * len(first)}"]
            out += [*(f"| {' | '.join(row)} |" for row in rows), ""]
        if section.head == "Measures" and curve:
            out += ["![Loss over steps](curve.svg)", ""]
    return "\n".join(out)


def flat(text: str) -> str:
    return " ".join(text.split())


STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;"
    "color:#1c1e21;background:#fff}table{border-collapse:collapse;width:100%;display:block;"
    "overflow-x:auto}td,th{padding:.3rem .6rem;border-bottom:1px solid #ccc;text-align:left;"
    "overflow-wrap:anywhere}pre{overflow-x:auto;background:#f4f4f4;padding:1rem}svg{width:100%}"
    "@media(prefers-color-scheme:dark){body{color:#e6e6e6;background:#16181b}"
    "pre{background:#222}td,th{border-color:#444}}"
)


def page(title: str, sections: Sequence[Section], curve: str) -> str:
    """The card as one page that fetches nothing."""
    out = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'\">"
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head><body>"
        f"<h1>{html.escape(title)}</h1>"
    ]
    for section in sections:
        out.append(f"<h2>{html.escape(section.head)}</h2>")
        for line in section.lines:
            tag = "pre" if line.startswith("{") else "p"
            out.append(f"<{tag}>{html.escape(line)}</{tag}>")
        if section.table:
            first, *rows = section.table
            if any(first):
                cells = "".join(f"<th>{html.escape(cell)}</th>" for cell in first)
                out.append(f"<table><tr>{cells}</tr>")
            else:
                out.append("<table>")
            out += ["<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
                    for row in rows]  # fmt: skip
            out.append("</table>")
        if section.head == "Measures" and curve:
            out.append(curve)
    return "\n".join(out) + "</body></html>\n"
