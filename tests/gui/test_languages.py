"""Every string in English and in Chinese, and nothing on a page that is in neither table."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

from gui import chinese, form
from gui.chinese_words import SENTENCES, WORDS
from gui.text import STRINGS

GUI = Path(form.__file__).parent
HAN = "\u4e00-\u9fff"
BLANK = re.compile(r"\{(\w+)\}")


def listed(missing: dict[str, str]) -> str:
    """As lines for a table, to be filled in."""
    return "\n" + "\n".join(f'    "{key}": "{said}",' for key, said in missing.items())


def test_every_string_has_its_chinese() -> None:
    missing = {key: said for key, said in STRINGS.items() if key not in chinese.STRINGS}
    assert not missing, f"not in gui/chinese.py:{listed(missing)}"


def test_no_chinese_is_left_of_a_string_that_is_gone() -> None:
    gone = [key for key in chinese.STRINGS if key not in STRINGS]
    assert not gone, f"no longer in gui/text.py: {gone}"


def test_the_blanks_are_the_same() -> None:
    other = {
        key: f"{sorted(set(BLANK.findall(STRINGS[key])))} in English: {said}"
        for key, said in chinese.STRINGS.items()
        if key in STRINGS and set(BLANK.findall(STRINGS[key])) != set(BLANK.findall(said))
    }
    assert not other, listed(other)


def test_a_sentence_of_the_engine_fills_no_blank_that_it_lacks() -> None:
    wrong = {
        english: said for english, said in SENTENCES.items()
        if not set(BLANK.findall(said)) <= set(BLANK.findall(english))
    }  # fmt: skip
    assert not wrong, listed(wrong)
    unfilled = [english for english in WORDS if re.search(r"\{\d\}", english)]
    assert not unfilled, f"these have blanks, so they are sentences: {unfilled}"


def test_the_same_english_is_the_same_chinese() -> None:
    """A place on the page knows only its English, not the key that it comes from."""
    said: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for key, english in STRINGS.items():
        if not BLANK.search(english) and key in chinese.STRINGS:
            said[english][key] = chinese.STRINGS[key]
    torn = {english: keys for english, keys in said.items() if len(set(keys.values())) > 1}
    assert not torn, torn


@pytest.mark.parametrize(
    "table", [chinese.STRINGS, WORDS, SENTENCES], ids=["strings", "words", "sentences"]
)
def test_chinese_is_set_as_it_is_printed(table: dict[str, str]) -> None:
    """Full marks after Chinese, and a space where it meets Latin letters and digits."""
    half = re.compile(rf"[{HAN}][,;:!?]|[{HAN}]\.(?!\w)|[,;!?](?=[{HAN}])")
    tight = re.compile(rf"[{HAN}][A-Za-z0-9{{]|[A-Za-z0-9][{HAN}]")
    wrong = {key: said for key, said in table.items() if half.search(said)}
    # What is filled in is set apart by the page, so a blank may stand close.
    wrong |= {key: said for key, said in table.items() if tight.search(BLANK.sub("。", said))}
    assert not wrong, listed(wrong)


# --- nothing beside the tables ----------------------------------------------------------------

KEYS = {"Enter", "Escape", "Home", "End", "Files", "Notification"}
"""Names that the browser has for keys, for what is dropped and for what it can do."""
APART = {"serving"}
"""Their HTML is for those who write programs: it comes without scripts, and in English."""
COMMENT = re.compile(r"/\*.*?\*/|(?:^|(?<=\s))//[^\n]*", re.DOTALL | re.MULTILINE)
WRITTEN = re.compile(r'"((?:[^"\\\n]|\\.)*)"|`((?:[^`\\]|\\.)*)`')
SPOKEN = re.compile(r"\b[A-Z][a-z]+ [a-z]|^[A-Z][a-z]{2,}$| [a-z]+[.!?…]$|\}\} [a-z]{3,}$")


@pytest.mark.parametrize("script", sorted(GUI.glob("static/*.js")), ids=lambda path: path.name)
def test_a_script_has_no_words_of_its_own(script: Path) -> None:
    source = COMMENT.sub("", script.read_text("utf-8"))
    found = [
        simple or re.sub(r"\$\{[^}]*\}", "{{}}", template)
        for simple, template in WRITTEN.findall(source)
    ]
    spoken = [said for said in found if SPOKEN.search(said) and said not in KEYS]
    assert not spoken, f"{script.name}: {spoken} belong into gui/text.py"


@pytest.mark.parametrize(
    "module",
    [
        path
        for path in sorted([*GUI.glob("*.py"), *GUI.glob("pages/*.py")])
        if path.stem not in APART
    ],
    ids=lambda path: path.stem,
)
def test_the_html_of_a_page_has_no_words_of_its_own(module: Path) -> None:
    written = [
        node.value for node in ast.walk(ast.parse(module.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]  # fmt: skip
    html = [said for said in written if re.match(r"\s*</?[a-z]", said)]
    spoken = [said for said in html if re.search(r">[^<>]*[A-Za-z]{2}[^<>]*(<|$)", said)]
    assert not spoken, f"{module.name}: {spoken} belong into gui/text.py"
