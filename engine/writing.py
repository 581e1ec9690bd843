"""Writing a text from another: what translation and summarization share."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812, its usual name

from engine.beams import Hypothesis, write
from engine.catalog import Advanced, Help, Range
from engine.data.batches import Batch, Data
from engine.data.items import Pairs
from engine.data.splits import Rows
from engine.data.tokens import BOS, EOS, UNSAID, TokenPairs
from engine.models import Translator
from engine.tasks import TAKES, Mean, Numbers, Portable, Task, Verdict, inside

SHOWN = 50
"""Texts of the test split that stay on the run's page."""

Score = dict[str, float]


class Writing(Task):
    """A task whose answer is a text, written token by token and judged as a text."""

    augments = frozenset[str]()
    watches = 5
    written: ClassVar[str]
    """What an answer is called."""
    several: ClassVar[str]
    """What several are called."""
    stretch: ClassVar[float]
    """How many times longer than its source an answer may become (`engine.beams.cap`)."""

    def __init__(
        self,
        *,
        label_smoothing: Annotated[
            float, Range(0, 0.5, step=0.01), Advanced(),
            Help("Moves this much of the target from the true token to all while training: better "
                 "texts, though a higher training loss"),
        ] = 0.1,
        judged: Annotated[
            int, Range(1, 100_000), Advanced(),
            Help("Texts of the validation split that are written at each check, greedily; the test "
                 "split is always written whole", label="Written at a check", unit="texts"),
        ] = 150,
        beam: Annotated[
            int, Range(1, 10), Advanced(),
            Help("Ways to go on that are followed side by side when the test split is written; "
                 "1 takes the likeliest token each time", label="Test beam"),
        ] = 4,
    ) -> None:  # fmt: skip
        self.label_smoothing, self.judged, self.beam = label_smoothing, judged, beam

    @abstractmethod
    def measures(
        self, written: Sequence[str], references: Sequence[str]
    ) -> tuple[Score, dict[str, str]]:
        """What the texts score against their references, 0…100, and how each was computed."""

    def alone(self, written: str, reference: str) -> float:
        """What one text scores, 0…100, by a measure that says something of one."""
        return self.measures([written], [reference])[0][self.headline]

    @abstractmethod
    def without_learning(self, data: Data) -> dict[str, list[str]]:
        """What is written of each source of the test split where nothing was learned."""

    def outputs(self, data: Data) -> int:
        (vocabulary,) = data.shape
        return vocabulary

    def step(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        """The cross-entropy a token, with label smoothing only while training."""
        targets = batch.wanted["target_tokens"]
        logits = model(**batch.inputs, target_tokens=targets[:, :-1])
        real = inside(batch.wanted["target_lengths"] - 1, targets.shape[1] - 1)
        loss = F.cross_entropy(
            logits.float().flatten(0, 1),
            targets[:, 1:].masked_fill(~real, IGNORED).flatten(), ignore_index=IGNORED,
            label_smoothing=self.label_smoothing if model.training else 0.0,
        )  # fmt: skip
        return {"loss": loss, "output": logits}

    def weight(self, batch: Batch) -> int | Tensor:
        """Tokens to be written, EOS included."""
        return (batch.wanted["target_lengths"] - 1).sum()

    def meter(self, model: Any, data: Data, *, final: bool = False) -> WritingMeter:
        return WritingMeter(self, model, data, final=final)

    def uncertainty(self, scores: Mapping[str, Any], items: int) -> float:
        # A sentence's own score strays by about 30 points around a corpus's.
        return min(30 / math.sqrt(max(min(items, self.judged), 1)), 1.0)

    def baselines(self, data: Data) -> dict[str, dict[str, float]]:
        _, references = texts_of(data, data.splits["test"])
        return {name: self.measures(written, references)[0]
                for name, written in self.without_learning(data).items()}  # fmt: skip

    def samples(
        self, model: Any, batch: Batch, data: Data, scores: Mapping[str, Any]
    ) -> Iterator[tuple[str, str, Any]]:
        assert batch.rows is not None
        sources, references = texts_of(data, batch.rows)
        texts = [decoded(found[0], data) for found in self.hypotheses(model, batch, data)]
        yield self.several, "table", {
            "columns": ["source", "reference", self.written],
            "rows": [list(row) for row in zip(sources, references, texts, strict=True)],
            "wrong": None,
        }  # fmt: skip

    def hypotheses(
        self, model: Translator, batch: Batch, data: Data, **how: Any
    ) -> list[list[Hypothesis]]:
        """What the model writes to each source, as `engine.beams.write`."""
        return write(model, batch.inputs["tokens"], batch.inputs["lengths"],
                     longest=pairs_of(data).longest, stretch=self.stretch, **how)  # fmt: skip

    def judge(self, model: Any, batch: Batch, data: Data) -> Verdict:
        """What is written to each source, as in the test; the error is what it lacks of 100 in the
        task's headline, of this text alone."""
        assert batch.rows is not None
        sources, references = texts_of(data, batch.rows)
        found = self.hypotheses(model, batch, data, beam=self.beam)
        written = [decoded(texts[0], data) for texts in found]
        lacks = [100 - self.alone(text, reference)
                 for text, reference in zip(written, references, strict=True)]  # fmt: skip
        return Verdict(torch.tensor(lacks), texts=[
            {"source": source, "reference": reference, "written": text}
            for source, reference, text in zip(sources, references, written, strict=True)
        ])  # fmt: skip

    def show(
        self, model: Any, batch: Batch, data: Data, *,
        beam: Annotated[
            int, Range(1, 10),
            Help("Ways to go on that are followed side by side; 1 takes the likeliest token each "
                 "time"),
        ] = 4,
        length_penalty: Annotated[
            float, Range(0, 2, step=0.1),
            Help("How much longer texts are favoured among the candidates; 0 not at all"),
        ] = 0.6,
    ) -> list[dict[str, Any]]:  # fmt: skip
        """The best text, all candidates with their score (log-probability over length penalty),
        and where in the source each token of the best looked."""
        spell, results = pairs_of(data).tokenizer.spell, []
        found = self.hypotheses(model, batch, data, beam=beam, strength=length_penalty, look=True)
        tokens, lengths = batch.inputs["tokens"].tolist(), batch.inputs["lengths"].tolist()
        for source, length, candidates in zip(tokens, lengths, found, strict=True):
            best = candidates[0]
            target = [spell(token) for token in best.tokens] + ["[EOS]"] * best.ended
            results.append({
                "written": decoded(best, data),
                "candidates": [{"text": decoded(text, data), "score": text.score}
                               for text in candidates],
                "attention": {
                    "source": [spell(token) for token in source[:length]], "target": target,
                    "weights": [[round(x, 4) for x in row[:length]] for row in best.looked],
                } if best.looked else None,
            })  # fmt: skip
        return results

    def numbers(self, model: Any, batch: Batch, data: Data) -> Numbers | None:
        """The log-probability of each token that is written greedily, given those before it."""
        spell = pairs_of(data).tokenizer.spell
        ((best, *_),) = self.hypotheses(model, batch, data)
        written = [*best.tokens, *[EOS] * best.ended]
        if not written:
            return None
        target = torch.tensor([[BOS, *written]], device=batch.inputs["tokens"].device)

        def of(inputs: Mapping[str, Tensor]) -> Tensor:
            count = len(inputs["tokens"])
            logits: Tensor = model(**inputs, target_tokens=target[:, :-1].expand(count, -1))
            shares = logits.float().log_softmax(-1)
            return shares.gather(2, target[:, 1:, None].expand(count, -1, 1))[..., 0]

        names = tuple(f"{number}. {spell(token)}" for number, token in enumerate(written, 1))
        return Numbers(names, of, torch.exp)

    def portable(self, model: Translator, data: Data) -> Portable:
        """Logits of the token after each place of what was written (B, T, vocabulary)."""

        def of(tokens: Tensor, lengths: Tensor, target_tokens: Tensor) -> tuple[Tensor, ...]:
            return (model(tokens, lengths, target_tokens),)

        facts = {"begins": [BOS], "ends": EOS, "unsaid": list(UNSAID), "stretch": self.stretch}
        return Portable((*TAKES[data.items.kind], "target_tokens"), ("logits",), of, "text", facts)


IGNORED = -100
"""A target that doesn't count: padding."""


class WritingMeter:
    """The loss over all of a split, and the measures of what is written to its sources."""

    def __init__(self, task: Writing, model: Translator, data: Data, *, final: bool) -> None:
        self.task, self.model, self.data, self.final = task, model, data, final
        self.mean = Mean()
        rows = data.splits["validation"]
        places = np.linspace(0, len(rows) - 1, min(task.judged, len(rows))).astype(np.int64)
        self.judged = set(rows[places].tolist())
        self.written: dict[int, str] = {}

    def update(self, step: Mapping[str, Tensor], batch: Batch) -> None:
        assert batch.rows is not None
        self.mean.add(step["loss"], self.task.weight(batch))
        rows = batch.rows.tolist()
        chosen = [i for i, row in enumerate(rows) if self.final or row in self.judged]
        if not chosen:
            return
        index = torch.tensor(chosen, device=batch.inputs["tokens"].device)
        some = Batch({name: tensor[index] for name, tensor in batch.inputs.items()})
        beam = self.task.beam if self.final else 1
        found = self.task.hypotheses(self.model, some, self.data, beam=beam)
        for i, texts in zip(chosen, found, strict=True):
            self.written[rows[i]] = decoded(texts[0], self.data)

    def compute(self) -> dict[str, Any]:
        loss = float(self.mean)
        rows = np.array(sorted(self.written), np.int64)
        written = [self.written[row] for row in rows.tolist()]
        sources, references = texts_of(self.data, rows)
        scores, signatures = self.task.measures(written, references)
        measured = {"loss": loss, "perplexity": math.exp(min(loss, 100)), **scores}
        if not self.final:
            return {**measured, "signatures": signatures}
        shown = np.linspace(0, len(rows) - 1, min(SHOWN, len(rows))).astype(int).tolist()
        how = "greedy" if self.task.beam == 1 else f"beam:{self.task.beam}"
        return {
            **measured, "signatures": {name: f"{s}|{how}" for name, s in signatures.items()},
            "outputs": [
                {"source": sources[i], "reference": references[i], self.task.written: written[i]}
                for i in shown
            ],
        }  # fmt: skip


def pairs_of(data: Data) -> TokenPairs:
    """The data's items, which are pairs of texts as tokens."""
    assert isinstance(data.items, TokenPairs)
    return data.items


def texts_of(data: Data, rows: Rows) -> tuple[list[str], list[str]]:
    """The sources and the references of these rows, as they were brought in."""
    texts = pairs_of(data).texts
    assert isinstance(texts, Pairs)
    return tuple([side.text(row) for row in rows.tolist()]  # type: ignore[return-value]
                 for side in (texts.source, texts.target))  # fmt: skip


def decoded(text: Hypothesis, data: Data) -> str:
    """What it says."""
    return pairs_of(data).tokenizer.decode(text.tokens).strip()
