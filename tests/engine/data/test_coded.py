"""What is kept of many items costs little for each, and reads as a list of texts would."""

from __future__ import annotations

import tracemalloc

from engine.data.coded import Coded, Names


def test_they_read_as_lists():
    labels, names = Coded(), Names()
    for text in ("b", "a", "b"):
        labels.append(text)
    names.append("row", 2)
    names.append("cats/1.png")
    names.append("t.csv line", 30)
    assert list(labels) == ["b", "a", "b"]
    assert (len(labels), labels[-1], labels[1:], "a" in labels) == (3, "b", ["a", "b"], True)
    assert list(names) == ["row 2", "cats/1.png", "t.csv line 30"]
    assert (len(names), names[-1], names[:2]) == (3, "t.csv line 30", ["row 2", "cats/1.png"])


def test_an_item_takes_a_few_bytes():
    labels, names = Coded(), Names()
    tracemalloc.start()
    for row in range(20_000):
        labels.append("x" * 5000 if row == 7 else "abc"[row % 3])
        names.append("row", row)
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert size < 20_000 * 25
