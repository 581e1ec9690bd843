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
BLANK = re.compile(r"\{\w+\}")
KNOWN = {BLANK.sub("{}", said).lower() for said in (*WORDS, *SENTENCES, *STRINGS.values())}
LICENCE = re.compile(r"CC[ -]BY|MIT|Apache|BSD|CC0")
MANY = 12
"""More choices than these are names: of a library's networks."""


def listed(missing: list[str]) -> str:
    """As lines for the table, to be filled in."""
    return "not in gui/chinese_words.py:\n" + "\n".join(f'    "{said}": "",' for said in missing)


def known(said: str) -> bool:
    """Whether it has its Chinese, whatever the names of its blanks.

    What begins with a stop or a space goes on from something, which may be a blank of it; what
    begins with a verb is said of something, and a page has the two together.
    """
    plain = BLANK.sub("{}", said).lower()
    if re.match(r"(is|isn't|has|can't|says) ", plain):
        plain = "{} " + plain
    return plain.strip() in KNOWN or (plain[0] in " .,:;" and "{}" + plain.rstrip() in KNOWN)


def lacking(said: Iterator[str | None]) -> list[str]:
    """Which of these are words, and have no Chinese. An abbreviation is the same in both."""
    wanted = dict.fromkeys(one for one in said if one and re.search(r"[a-z]{2}", one))
    return [one for one in wanted if not known(one)]


def of_field(field: Field) -> Iterator[str | None]:
    """All that is shown of a field."""
    yield from (field.label, field.help, field.unit, field.empty)
    if len(field.choices) <= MANY:
        yield from (choice for choice in field.choices if not re.search(r"\d", choice))


def test_every_card_and_field_has_its_chinese() -> None:
    def said() -> Iterator[str | None]:
        for card in discover().cards:
            yield from (card.label, card.help, card.otherwise, card.unheard)
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
OURS = {
    "AssertionError", "FileExistsError", "KeyError", "NotImplementedError", "OSError", "ReadError",
    "RuntimeError", "TypeError", "UnicodeError", "ValueError",
    "cleandoc", "compile", "execute", "fullmatch", "match", "print", "search", "split", "sub",
}  # fmt: skip
"""What takes a text that comes to no page: to a programmer, a file, a database or a pattern."""
ENGLISH = re.compile(
    r"\b(an?|and|are|as|at|be|by|can|doesn't|for|has|have|in|is|isn't|its?|more|no|not|of|on|only"
    r"|or|out|than|that|the|there|they|this|to|was|were|what|with)\b"
)
"""Of such words there is one in almost every sentence, and in hardly a list of names."""
LONG = 40
"""So many words without a stop are a list of names all the same."""
THEIRS = {"not a regular"}
"""What a library says, by which it's known again."""


def sentence(node: ast.AST) -> str | None:
    """A text in the source, its blanks numbered as they come; None for anything else."""
    blanks = iter(range(100))

    def read(node: ast.AST) -> str | None:
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


def has_words(said: str) -> bool:
    """Whether it is more than a name or a number."""
    return " " in said and re.search(r"[A-Za-z]{3}", BLANK.sub("", said)) is not None


def is_prose(said: str) -> bool:
    """Whether it reads as English, and not as names or as a measure's signature, which has bars."""
    words = re.findall(r"[A-Za-z]+", BLANK.sub("", said))
    is_list = len(words) >= LONG and not re.search(r"[.,:;?]", said)
    is_text = " " in said.strip() and "|" not in said and not is_list
    return is_text and len(words) > 1 and ENGLISH.search(said) is not None


def called(node: ast.Call) -> str:
    """What a call calls, by its last name."""
    return getattr(node.func, "id", getattr(node.func, "attr", ""))


def found(clauses: list[str]) -> Iterator[str]:
    """What `Subject.finding` makes of its clauses."""
    one, more, so = clauses
    yield f"{{}} {one}, {{}}: {so}"
    yield f"{{}} {more}, such as {{}}: {so}"


def written(node: ast.AST, *, said_as_it_is: bool = False) -> Iterator[str]:
    """The texts in a piece of source that a person may see, wherever they are put together.

    Of what is said as it is, every text with a space; of everything that is assigned, returned, in
    a table or in another text's blank, what is English.
    """
    match node:
        case ast.Assert() | ast.Compare() | ast.Expr(value=ast.Constant()):
            return
        case ast.Subscript(value=value):  # what is looked up there is a key
            yield from written(value)
            return
        case ast.comprehension(iter=ast.Tuple(), ifs=ifs):  # what is looked for
            for one in ifs:
                yield from written(one)
            return
        case ast.IfExp(test=test, body=body, orelse=orelse):
            yield from written(test)
            for one in (body, orelse):
                yield from written(one, said_as_it_is=said_as_it_is)
            return
        case ast.Call() if called(node) in OURS:
            return
        case ast.Call(args=args) if called(node) in ("finding", "spoiled"):
            clauses = [said for one in args if (said := sentence(one)) and " " in said]
            if clauses:
                yield from found(clauses)
                return
    said = sentence(node)
    if said is not None:
        if said not in THEIRS and (is_prose(said) or (said_as_it_is and has_words(said))):
            yield said
        for one in ast.walk(node):
            if isinstance(one, ast.FormattedValue):
                yield from written(one.value)
        return
    says = isinstance(node, ast.Call) and called(node) in SAYS
    for child in ast.iter_child_nodes(node):
        given = child.value if isinstance(child, ast.keyword) else child
        yield from written(given, said_as_it_is=says)


def sentences() -> Iterator[str]:
    """Every sentence in the source of engine and storage that a person may see."""
    storage = (ENGINE.parent / "storage").glob("*.py")
    for path in (*sorted(ENGINE.rglob("*.py")), *sorted(storage)):
        tree = ast.parse(path.read_text("utf-8"))
        if "exports" in path.parts:  # what it writes is for others, and in English
            for node in ast.walk(tree):
                if isinstance(node, ast.Yield) or (
                    isinstance(node, ast.Call) and called(node) in SAYS
                ):
                    yield from written(node)
        else:
            yield from written(tree)


def test_what_the_engine_says_has_its_chinese() -> None:
    missing = lacking(sentences())
    assert not missing, listed(missing)
