"""What does it say, in short?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.metadata import version
from statistics import fmean, median

from engine.data.batches import Data
from engine.writing import Score, Writing, texts_of

KINDS = {"rouge_1": "rouge1", "rouge_2": "rouge2", "rouge_l": "rougeL"}
"""Our names, and those of the library."""
ALONE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
"""Characters that count as a word each: kana and Chinese characters."""
WORD = re.compile(rf"[{ALONE}]|[^\W_{ALONE}]+")
END = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+|(?<=[。！？])|\n\s*\n")
"""Where a sentence ends: after a full stop and a space, a Chinese one, or a paragraph."""


class Summarization(
    Writing, label="Summarization", fits={"target text"}, needs={"pair", "target"}, rank=35,
    judges="texts",
    suggests={
        "data": "DocstringSummaries",
        "data.tokenizer": "BPE", "data.vocabulary": 4000, "data.longest": 160, "model.copy": True,
        "method.batch_size": 128, "method.batch_tokens": 8192,
    },
    thorough={"data.vocabulary": 16_000, "data.longest": 800, "method.batch_tokens": 32_768},
):  # fmt: skip
    """Learns to write a short text from a long one of the same language, copying where it helps.

    ROUGE (Lin 2004) is rouge_score's F-measure, 0…100, without stemming. Its own tokenizer drops
    all that isn't a–z or a digit: here the letters of every script count, and each Chinese or
    Japanese character is a word; in plain English both give the same.
    """

    headline = "rouge_l"
    larger_is_better = True
    written, several = "summary", "summaries"
    stretch = 0.5

    def measures(
        self, written: Sequence[str], references: Sequence[str]
    ) -> tuple[Score, dict[str, str]]:
        from rouge_score.rouge_scorer import RougeScorer  # takes seconds, for all of NLTK

        scorer = RougeScorer(list(KINDS.values()), tokenizer=Words())
        found = [scorer.score(reference, text)
                 for text, reference in zip(written, references, strict=True)]  # fmt: skip
        how = f"f-measure|stem:no|tok:letters of every script, CJK alone|rouge_score {VERSION}"
        return (
            {ours: 100 * fmean(one[theirs].fmeasure for one in found)
             for ours, theirs in KINDS.items()},
            dict.fromkeys(KINDS, how),
        )  # fmt: skip

    def without_learning(self, data: Data) -> dict[str, list[str]]:
        sources, _ = texts_of(data, data.splits["test"])
        _, summaries = texts_of(data, data.splits["train"][:10_000])
        usual = max(round(median(len(WORD.findall(text)) for text in summaries)), 1)
        return {
            "the first sentence": [lead(text, 1) for text in sources],
            "the first 3 sentences": [lead(text, 3) for text in sources],
            # As long as summaries are: the measure favours neither.
            f"the first {usual} words": [opening(text, usual) for text in sources],
        }


VERSION = version("rouge-score")


class Words:
    """A tokenizer for ROUGE: words in small letters."""

    def tokenize(self, text: str) -> list[str]:
        return WORD.findall(text.lower())


def lead(text: str, sentences: int) -> str:
    """The first sentences of a text."""
    ends = [found.start() for found in END.finditer(text.strip())]
    return text.strip()[: ends[sentences - 1]] if len(ends) >= sentences else text.strip()


def opening(text: str, words: int) -> str:
    """The first words of a text, as ROUGE counts them."""
    ends = [found.end() for found in WORD.finditer(text)]
    return text[: ends[words - 1]] if len(ends) >= words else text
