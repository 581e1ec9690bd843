"""What cards and the engine say has its Chinese; what has none is listed, ready to be filled in."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import engine
from engine.catalog import Field, discover
from engine.data.origins import offers
from gui.chinese_words import SENTENCES, WORDS
from gui.text import STRINGS

ENGINE = Path(engine.__file__).parent
KNOWN = {said.lower() for said in (*WORDS, *SENTENCES, *STRINGS.values())}
LICENCE = re.compile(r"CC[ -]BY|MIT|Apache|BSD|CC0")
MANY = 12
"""More choices than these are names: of a library's networks."""


def listed(missing: list[str]) -> str:
    """As lines for the table, to be filled in."""
    return "not in gui/chinese_words.py:\n" + "\n".join(f'    "{said}": "",' for said in missing)


def lacking(said: Iterator[str | None]) -> list[str]:
    """Which of these are words, and have no Chinese. An abbreviation is the same in both."""
    wanted = dict.fromkeys(one for one in said if one and re.search(r"[a-z]{2}", one))
    return [one for one in wanted if one.lower() not in KNOWN]


def of_field(field: Field) -> Iterator[str | None]:
    """All that is shown of a field."""
    yield from (field.label, field.help, field.unit, field.empty)
    if len(field.choices) <= MANY:
        yield from (choice for choice in field.choices if not re.search(r"\d", choice))


def test_every_card_and_field_has_its_chinese() -> None:
    def said() -> Iterator[str | None]:
        for card in discover().cards:
            yield from (card.label, card.help, card.otherwise)
            for field in (*card.fields, *card.tries):
                if not field.hidden:
                    yield from of_field(field)

    missing = lacking(said())
    assert not missing, listed(missing)


def test_every_dataset_on_offer_has_its_chinese() -> None:
    words = [offer[name] for offer in offers() for name in ("label", "help", "licence")]
    missing = [one for one in lacking(iter(words)) if not LICENCE.search(one)]
    assert not missing, listed(missing)


SAYS = {
    "BadInput", "Notice", "Finding", "Finished", "Diverged", "Missing", "Empty", "Changed",
    "Unavailable", "BadState", "NoSuchRun", "NoSuchDataset", "NoSuchComparison", "step",
}  # fmt: skip
"""What is made with a sentence that comes to a page."""


def sentence(node: ast.expr) -> str | None:
    """A text in the source, its blanks numbered as they come; None for anything else."""
    blanks = iter(range(100))

    def read(node: ast.expr) -> str | None:
        match node:
            case ast.Constant(value=str() as said):
                return said
            case ast.JoinedStr(values=values):
                return "".join(
                    str(one.value) if isinstance(one, ast.Constant) else f"{{{next(blanks)}}}"
                    for one in values
                )
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                parts = [read(left), read(right)]
                return None if None in parts else "".join(filter(None, parts))
        return None

    return read(node)


def sentences() -> Iterator[str]:
    """Every sentence in the source of engine and storage that a person may see."""
    for path in (*sorted(ENGINE.rglob("*.py")), *sorted((ENGINE.parent / "storage").rglob("*.py"))):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            for given in node.args if name in SAYS else ():
                for one in (given.body, given.orelse) if isinstance(given, ast.IfExp) else (given,):
                    said = sentence(one)
                    if said and " " in said and re.search(r"[A-Za-z]{3}", said):
                        yield said


def test_what_the_engine_says_has_its_chinese() -> None:
    missing = lacking(sentences())
    assert not missing, listed(missing)
