"""Where a text differs from its reference, word by word."""

from __future__ import annotations

from typing import Any

import jiwer

from engine.data.letters import script

UNSPACED = {"Chinese or Japanese", "Thai", "Lao", "Khmer", "Myanmar"}
"""Scripts that put no space between words: characters are compared."""


def compared(reference: str, written: str) -> dict[str, Any]:
    """``{"parts": [{"how", "reference", "written"}, …], "substituted", "inserted", "deleted"}``.

    `how` is “equal”, “substitute”, “insert” or “delete”, of the shortest way from one to the other
    (Levenshtein 1966). Words are what stands between spaces; characters, where a script has none.
    """
    alone = unspaced(reference)
    joint = "" if alone else " "
    theirs, ours = (list(text.replace(" ", "")) if alone else text.split()
                    for text in (reference, written))  # fmt: skip
    chunks: list[tuple[str, list[str], list[str]]]
    if not theirs or not ours:
        chunks = [("delete", theirs, [])] if theirs else [("insert", [], ours)] if ours else []
    else:
        # jiwer cuts at spaces, so each part comes as one word to it.
        output = jiwer.process_words(" ".join(theirs), " ".join(ours))
        chunks = [
            (one.type, theirs[one.ref_start_idx : one.ref_end_idx],
             ours[one.hyp_start_idx : one.hyp_end_idx])
            for one in output.alignments[0]
        ]  # fmt: skip
    count = {how: sum(max(len(a), len(b)) for h, a, b in chunks if h == how)
             for how in ("substitute", "insert", "delete")}  # fmt: skip
    return {
        "parts": [{"how": how, "reference": joint.join(a), "written": joint.join(b)}
                  for how, a, b in chunks],
        "joint": joint, "substituted": count["substitute"], "inserted": count["insert"],
        "deleted": count["delete"], "length": len(theirs),
    }  # fmt: skip


def unspaced(text: str) -> bool:
    """Whether most of its letters are of a script without spaces."""
    letters = [letter for letter in text if letter.isalpha()]
    return 2 * sum(script(letter) in UNSPACED for letter in letters) > len(letters)
