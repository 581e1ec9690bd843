"""How is that said in another language?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from engine.data.batches import Data
from engine.data.letters import script
from engine.writing import Score, Writing, texts_of


class Translation(
    Writing, label="Translation", fits={"target text"}, needs={"pair", "target"}, rank=30,
    judges="texts",
    suggests={
        "data.tokenizer": "BPE", "data.vocabulary": 4000, "data.longest": 128,
        "method.batch_size": 256, "method.batch_tokens": 4096,
    },
    thorough={"data.vocabulary": 8000, "method.batch_tokens": 8192},
):  # fmt: skip
    """Learns to write a text in another language, from pairs of texts that say the same.

    The loss is the cross-entropy a token. BLEU (Papineni et al. 2002) and chrF (Popović 2015) are
    sacreBLEU's (Post 2018), on the texts as they were brought in: detokenized, case kept, 0…100.
    """

    headline = "bleu"
    larger_is_better = True
    written, several = "translation", "translations"
    stretch = 2.0

    def measures(
        self, written: Sequence[str], references: Sequence[str]
    ) -> tuple[Score, dict[str, str]]:
        bleu, chrf = BLEU(tokenize=tokenization(references)), CHRF()
        scores = {
            "bleu": float(bleu.corpus_score(written, [references]).score),
            "chrf": float(chrf.corpus_score(written, [references]).score),
        }
        signatures = {"bleu": bleu.get_signature().format(), "chrf": chrf.get_signature().format()}
        return scores, signatures

    def alone(self, written: str, reference: str) -> float:
        """chrF: of one sentence, BLEU's four-grams are nearly always none."""
        return float(CHRF().sentence_score(written, [reference]).score)

    def without_learning(self, data: Data) -> dict[str, list[str]]:
        sources, _ = texts_of(data, data.splits["test"])
        return {"the source itself": sources}


UNSPACED = {"Chinese": "zh", "Japanese": "char", "Thai": "char", "Lao": "char", "Khmer": "char",
            "Myanmar": "char"}  # fmt: skip
"""How sacreBLEU is to cut texts whose words no space divides; Japanese by character, since its
words would take a dictionary that isn't here. Each is named in the signature."""


def tokenization(references: Sequence[str]) -> str:
    """sacreBLEU's name of the tokenization for texts in the script of the references."""
    letters = Counter(c for text in references for c in text)
    scripts: Counter[str] = Counter()
    for letter, times in letters.items():
        scripts[script(letter)] += times
    del scripts[""]
    name = scripts.most_common(1)[0][0] if scripts else ""
    if name == "Chinese or Japanese":
        # Kana is about half of any Japanese text, and none of a Chinese one.
        kana = sum(times for c, times in letters.items() if "\u3041" <= c <= "\u30ff")
        name = "Japanese" if kana > 0.1 * scripts[name] else "Chinese"
    return UNSPACED.get(name, "13a")
