"""What `predict` on the command line takes, and how it tells what comes in pieces."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app import answered, asked
from engine.catalog import BadInput


def test_files_texts_and_lines_are_tried_in_turn(tmp_path: Path) -> None:
    lines = tmp_path / "many.txt"
    lines.write_text("\ufeffone\n\n  two \n", encoding="utf-8")
    assert list(asked([Path("a.png")], ["a text"], lines)) == [
        ("a.png", {"path": "a.png"}), ("a text", {"text": "a text"}),
        ("one", {"text": "one"}), ("two", {"text": "two"}),
    ]  # fmt: skip


def test_nothing_to_try_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="--text"):
        list(asked([], [], None))
    with pytest.raises(BadInput, match="There is no file"):
        list(asked([], [], tmp_path / "none.txt"))


def test_a_streamed_answer_is_shown_to_people_and_whole_to_programs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def stream(given: Any, options: Any) -> Generator[str, None, dict[str, Any]]:
        assert (given, options) == ({"text": "Once"}, {"length": "2"})
        yield from (" upon", " a time")
        return {"checkpoint": {"step": 1}, "text": "Once", "note": ""}

    card = SimpleNamespace(streams=True)
    predictor: Any = SimpleNamespace(
        stream=stream, setup=SimpleNamespace(task=SimpleNamespace(card=card))
    )
    said = answered(predictor, {"text": "Once"}, {"length": "2"})
    assert said == {"written": " upon a time", "text": "Once", "note": ""}
    assert capsys.readouterr() == ("", " upon a time\n")
