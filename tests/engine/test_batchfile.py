"""Texts from a file: which column, which encoding, how many."""

from __future__ import annotations

import pytest

from engine.batchfile import MOST, texts_in
from engine.catalog import BadInput

REVIEWS = (
    "label,review,stars\nmail,This film was a joy to watch,5\nweb,I left after ten minutes,1\n"
)


def test_a_line_is_a_text() -> None:
    found = texts_in(b"Eins\r\n\n Zwei \n", "a.txt")
    assert found["texts"] == ["Eins", "Zwei"]
    assert found["column"] is None


def test_the_column_of_texts_is_found_and_can_be_chosen() -> None:
    found = texts_in(REVIEWS.encode(), "a.csv")
    assert found["column"] == "review"
    assert found["texts"] == ["This film was a joy to watch", "I left after ten minutes"]
    assert found["columns"] == ["label", "review", "stars"]
    other = texts_in(REVIEWS.encode(), "a.csv", column="label")
    assert other["texts"] == ["mail", "web"]
    with pytest.raises(BadInput, match="has no column"):
        texts_in(REVIEWS.encode(), "a.csv", column="text")


def test_of_pairs_the_first_side_is_asked() -> None:
    table = "score;german;english\n1;ein Haus;a house\n2;zwei Häuser;two houses\n"
    assert texts_in(table.encode("cp1252"), "a.csv")["texts"] == ["ein Haus", "zwei Häuser"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_any_encoding_is_read(encoding: str) -> None:
    lines = ["这部电影很好看", "太无聊了，不推荐", "音乐和画面都很美", "演员的表演非常自然"]
    table = "文本,标签\n" + "".join(f"{line},{i % 2}\n" for i, line in enumerate(lines))
    assert texts_in(table.encode(encoding), "评论.csv")["texts"] == lines
    assert texts_in("\n".join(lines).encode(encoding), "评论.txt")["texts"] == lines


def test_a_first_line_that_is_a_text_can_be_said_to_be_one() -> None:
    table = "电影太无聊了,1\n很好看,0\n还可以,0\n".encode()
    assert texts_in(table, "a.csv")["header"]
    found = texts_in(table, "a.csv", header=False)
    assert found["texts"] == ["电影太无聊了", "很好看", "还可以"]
    assert found["column"] == "column 1"


def test_no_more_are_taken_than_can_be_answered() -> None:
    found = texts_in("\n".join(f"text {n}" for n in range(MOST + 50)).encode(), "a.txt")
    assert (len(found["texts"]), found["count"]) == (MOST, MOST + 50)


@pytest.mark.parametrize(("name", "content"), [("a.csv", b""), ("a.csv", b"1,2\n3,4\n5,6\n"),
                                               ("a.parquet", b"PAR1 broken")])  # fmt: skip
def test_a_file_without_texts_is_refused(name: str, content: bytes) -> None:
    with pytest.raises(BadInput):
        texts_in(content, name)
