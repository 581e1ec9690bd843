"""Which token was hidden here?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812, its usual name

from engine.catalog import Advanced, BadInput, Help, Range
from engine.chance import lots
from engine.data.arrays import Ragged
from engine.data.batches import Batch, Data
from engine.data.splits import Rows, Split
from engine.data.tokens import MASK, SPECIAL, Tokens
from engine.models import Filler
from engine.tasks import TAKES, Mean, Meter, Numbers, Portable, inside, softmax
from engine.tasks.probed_texts import ProbedTexts

SHOWN = 8
"""Sentences of which the fill-ins are shown while training."""
READABLE = 40
"""Tokens shown of each."""


class MaskedLanguageModelling(
    ProbedTexts, label="Masked language modelling", fits={"masked token"}, needs={"text"}, rank=25,
    suggests={
        "data.longest": None, "method.epochs": 10, "method.batch_size": 128,
        "method.batch_tokens": 4096,
    },
    thorough={"data.vocabulary": 30_000, "method.epochs": 100, "method.batch_tokens": 32_768,
              "method.batch_size": 1024},
):  # fmt: skip
    """Learns a language without labels, by filling the blanks that it makes in texts (as BERT).

    Devlin et al. 2019: of the tokens that are hidden, 80 % are blanked out, 10 % are replaced by
    any other, and 10 % stay as they are.
    """

    headline = "masked_accuracy"
    larger_is_better = True
    augments = frozenset[str]()
    watches = SHOWN

    def __init__(
        self,
        *,
        share: Annotated[
            float, Range(0.05, 0.6, step=0.01),
            Help("The share of a text's tokens that are to be guessed", label="Hidden share"),
        ] = 0.15,
        window: Annotated[
            int, Range(8, 4096), Advanced(),
            Help("Longer texts are cut into pieces of at most so many tokens, each read by itself",
                 unit="tokens"),
        ] = 128,
        **how: Any,
    ) -> None:  # fmt: skip
        super().__init__(**how)
        self.share, self.window = share, window
        self.vocabulary = 0

    @property
    def reach(self) -> int:
        return self.window

    def view(self, data: Data) -> Data:
        """The texts in pieces that fit into the window, their labels left aside."""
        items = data.items
        assert isinstance(items, Tokens)
        ids, first, many = pieces(items, self.window)
        splits: dict[Split, Rows] = {}
        for split, rows in data.splits.items():
            starts = np.repeat(first[rows] - np.cumsum(many[rows]) + many[rows], many[rows])
            splits[split] = starts + np.arange(len(starts))
            if not counted(ids, splits[split], len(items.tokenizer)).any():
                raise BadInput(f"The {split} split holds no token to guess: its texts are empty, "
                               "or of unknown words only", field="data")  # fmt: skip
        cut = Tokens(ids, items.tokenizer, self.window, running=items.running, blanks=True)
        return data.of(cut, labels=None, classes=(), splits=splits, uncut=data)

    def outputs(self, data: Data) -> int:
        """None: a model that fills blanks reads its own embeddings backwards."""
        return 0

    def prepare(self, data: Data) -> None:
        (self.vocabulary,) = data.shape

    def step(self, model: Filler, batch: Batch) -> dict[str, Tensor]:
        """Also ``true`` (B, K), the hidden tokens, and ``counts`` (B, K), where there is one."""
        tokens, lengths = batch.inputs["tokens"], batch.inputs["lengths"]
        hidden = self.hide(batch, fixed=not getattr(model, "training", False))
        logits = model.fill(hidden.tokens, lengths, hidden.places)
        true = tokens.gather(1, hidden.places)
        losses = F.cross_entropy(logits.float().flatten(0, 1), true.flatten(), reduction="none")
        loss = (losses.view_as(true) * hidden.counts).sum() / hidden.counts.sum().clamp(min=1)
        return {"loss": loss, "output": logits, "true": true, "counts": hidden.counts}

    def weight(self, batch: Batch) -> Tensor:
        return self.hidden(batch).sum()

    def hidden(self, batch: Batch) -> Tensor:
        """How many tokens of each text are hidden (B,): one at least, where there is any."""
        able = guessable(batch).sum(1)
        return (self.share * able).round().long().clamp(min=1).minimum(able)

    def hide(self, batch: Batch, *, fixed: bool) -> Hidden:
        """Hide tokens of each text: at random for training, `fixed` to measure.

        What is fixed depends on the text's number and its length alone, neither on the batch nor
        on the run, so that the measures of all runs on the same data can be compared.
        """
        tokens = batch.inputs["tokens"]
        longest = tokens.shape[1]
        # So many in every text, of which some don't count: a size that depends on the shape alone
        # spares a wait for the device.
        most = max(math.ceil(self.share * longest), 1)

        ranks = lots(batch, longest, fixed=fixed).masked_fill(~guessable(batch), -1.0)
        places = ranks.topk(most, 1).indices
        counts = inside(self.hidden(batch), most)
        true, dice = tokens.gather(1, places), lots(batch, most, fixed=fixed, salt=1)
        # Any token but the special ones.
        other = lots(batch, most, fixed=fixed, salt=2) * (self.vocabulary - len(SPECIAL))
        other = len(SPECIAL) + other.long()
        said = torch.where(dice < 0.8, MASK, torch.where(dice < 0.9, other, true))
        changed = tokens.scatter(1, places, torch.where(counts, said, true))
        return Hidden(changed, places, counts)

    def meter(self, model: Filler, data: Data, *, final: bool = False) -> Meter:
        own = GuessMeter(self, model, data, texts=SHOWN if final else 0)
        return self.probed(own, model, data, final=final)

    def uncertainty(self, scores: Mapping[str, Any], items: int) -> float:
        share: float = scores["masked_accuracy"]
        return min(math.sqrt(share * (1 - share) / items), 0.005)

    def baselines(self, data: Data) -> dict[str, dict[str, float]]:
        """The most frequent token, and all by how frequent they are in the training split."""
        items = data.items
        assert isinstance(items, Tokens)
        train, test = (
            counted(items.ids, data.splits[split], len(items.tokenizer))[len(SPECIAL) :]
            for split in ("train", "test")
        )
        shares = (train + 1) / (train + 1).sum()  # no token is impossible: Laplace
        loss = float(-(test * np.log(shares)).sum() / test.sum())
        return {
            "always the most frequent token": {
                "masked_accuracy": float(test[train.argmax()] / test.sum())
            },
            "each token as often as in training": {"loss": loss, "perplexity": math.exp(loss)},
            **super().baselines(data),
        }

    def samples(
        self, model: Filler, batch: Batch, data: Data, scores: Mapping[str, Any]
    ) -> Iterator[tuple[str, str, Any]]:
        told = list(self.fill_ins(model, batch, data))
        yield "fill-ins", "table", {
            "columns": ["With blanks", "Filled in", "As it was", "Right"],
            "rows": [[*one.texts, f"{one.right} of {one.many}"] for one in told],
            "wrong": [2 * one.right < one.many for one in told],
        }  # fmt: skip
        yield from super().samples(model, batch, data, scores)

    def fill_ins(self, model: Filler, batch: Batch, data: Data) -> Iterator[FillIn]:
        """What the model makes of each text's beginning, the same tokens hidden every time."""
        items = data.items
        assert isinstance(items, Tokens)
        tokens = batch.inputs["tokens"][:, :READABLE]
        lengths = batch.inputs["lengths"].clamp(max=READABLE)
        hidden = self.hide(
            replace(batch, inputs={"tokens": tokens, "lengths": lengths}), fixed=True
        )
        true = tokens.gather(1, hidden.places)
        blanked = tokens.scatter(1, hidden.places, torch.where(hidden.counts, MASK, true))
        guessed = sensible(model.fill(blanked, lengths, hidden.places)).argmax(2)
        filled = tokens.scatter(1, hidden.places, torch.where(hidden.counts, guessed, true))
        spelled = [
            [" ".join(items.tokenizer.decode_blanks(row[:length]).replace("[MASK]", "___").split())
             for row, length in zip(each.tolist(), lengths.tolist(), strict=True)]
            for each in (blanked, filled, tokens)
        ]  # fmt: skip
        right = ((guessed == true) & hidden.counts).sum(1).tolist()
        many = hidden.counts.sum(1).tolist()
        for texts, few, all in zip(zip(*spelled, strict=True), right, many, strict=True):
            yield FillIn(texts, few, all)

    def show(
        self, model: Filler, batch: Batch, data: Data, *,
        top: Annotated[int, Range(1, 20), Help("Words shown for each blank", label="Choices")] = 5,
    ) -> list[dict[str, Any]]:  # fmt: skip
        """``{"blanks": [{"place": which token, "choices": [{"token", "probability"}, …]}, …],
        "filled": text}``; BadInput when a text has no blank."""
        items = data.items
        assert isinstance(items, Tokens)
        tokens, lengths = batch.inputs["tokens"], batch.inputs["lengths"]
        blank = (tokens == MASK) & inside(lengths, tokens.shape[1])
        if not bool(blank.any(1).all()):
            raise BadInput("There is no blank in what is read of this text: write ___ or [MASK] "
                           "where a word is missing")  # fmt: skip
        shares = sensible(model.fill(tokens, lengths)).softmax(2)
        best = shares.topk(min(top, shares.shape[2] - len(SPECIAL)), 2)
        filled = torch.where(blank, best.indices[..., 0], tokens)
        return [
            {
                "blanks": [
                    {"place": place, "choices": [
                        {"token": items.tokenizer.spell(token), "probability": share}
                        for token, share in zip(
                            best.indices[row, place].tolist(), best.values[row, place].tolist(),
                            strict=True,
                        )
                    ]}
                    for place in blank[row].nonzero().flatten().tolist()
                ],
                "filled": items.tokenizer.decode_blanks(filled[row, : int(lengths[row])].tolist()),
            }
            for row in range(len(tokens))
        ]  # fmt: skip

    def portable(self, model: Filler, data: Data) -> Portable:
        """Logits of the token at each place (B, L, vocabulary)."""
        return Portable(
            TAKES[data.items.kind], ("logits",),
            lambda tokens, lengths: (model.fill(tokens, lengths),), "fillings",
        )  # fmt: skip

    def numbers(self, model: Filler, batch: Batch, data: Data) -> Numbers | None:
        """A logit for each token that may stand in the first blank; None without one."""
        items = data.items
        assert isinstance(items, Tokens)
        blanks = (batch.inputs["tokens"] == MASK).nonzero()[:, 1]
        if not len(blanks):
            return None
        first = blanks[:1]

        def of(inputs: Mapping[str, Tensor]) -> Tensor:
            count = len(inputs["tokens"])
            return sensible(model.fill(**inputs, places=first.expand(count, 1)))[:, 0]

        names = tuple(items.tokenizer.spell(token) for token in range(len(items.tokenizer)))
        return Numbers(names, of, softmax)


@dataclass(frozen=True)
class Hidden:
    """Texts of which some tokens are hidden."""

    tokens: Tensor
    """(B, L), as the model sees them."""
    places: Tensor
    """(B, K) of what is to be guessed."""
    counts: Tensor
    """(B, K), false where a text has fewer than K."""


@dataclass(frozen=True)
class FillIn:
    """A text with blanks, what they were filled with, and how it was."""

    texts: tuple[str, str, str]
    right: int
    """Blanks that were filled as the text was."""
    many: int
    """All blanks."""


class GuessMeter:
    """Loss and accuracy over all hidden tokens; so many texts that were filled in."""

    def __init__(
        self, task: MaskedLanguageModelling, model: Filler, data: Data, *, texts: int
    ) -> None:
        self.task, self.model, self.data, self.texts = task, model, data, texts
        self.loss, self.right = Mean(), Mean()
        self.filled: list[FillIn] = []

    def update(self, step: Mapping[str, Tensor], batch: Batch) -> None:
        if left := self.texts - len(self.filled):
            few = Batch({name: tensor[:left] for name, tensor in batch.inputs.items()},
                        rows=None if batch.rows is None else batch.rows[:left])  # fmt: skip
            self.filled += self.task.fill_ins(self.model, few, self.data)
        counts = step["counts"]
        many = counts.sum()
        right = ((step["output"].argmax(2) == step["true"]) & counts).sum()
        self.loss.add(step["loss"], many)
        self.right.add(right / many.clamp(min=1), many)

    def compute(self) -> dict[str, Any]:
        loss = float(self.loss)
        # Beyond that a float has no room; the run is lost then anyway.
        perplexity = math.exp(min(loss, 700.0)) if math.isfinite(loss) else math.inf
        found = {"loss": loss, "perplexity": perplexity, "masked_accuracy": float(self.right)}
        if not self.filled:
            return found
        names = ("with_blanks", "filled_in", "as_it_was")
        return {**found, "outputs": [
            {**dict(zip(names, one.texts, strict=True)), "right": one.right, "blanks": one.many}
            for one in self.filled
        ]}  # fmt: skip


def guessable(batch: Batch) -> Tensor:
    """(B, L), true where there is a token of the text that says something: none of the special."""
    tokens = batch.inputs["tokens"]
    return inside(batch.inputs["lengths"], tokens.shape[1]) & (tokens >= len(SPECIAL))


def sensible(logits: Tensor) -> Tensor:
    """In float32, without the special tokens: no text has one."""
    logits = logits.float()
    return torch.cat([torch.full_like(logits[..., : len(SPECIAL)], -torch.inf),
                      logits[..., len(SPECIAL) :]], -1)  # fmt: skip


def pieces(items: Tokens, window: int) -> tuple[Ragged, Rows, Rows]:
    """The texts cut to pieces of at most `window` tokens; of each text, its first piece and how
    many it has. What lies beyond `items.longest` is a piece that no text has.
    """
    starts, whole = items.ids.offsets[:-1], items.ids.lengths
    read = np.minimum(whole, items.longest or 2**62)
    many = np.maximum(-(-read // window), 1)
    all_parts = many + (read < whole)
    first = np.cumsum(all_parts) - all_parts
    text = np.repeat(np.arange(len(starts)), all_parts)
    number = np.arange(len(text)) - first[text]
    begins = starts[text] + np.minimum(number * window, read[text])
    return Ragged(items.ids.flat, np.append(begins, items.ids.offsets[-1:])), first, many


def counted(ids: Ragged, rows: Rows, vocabulary: int) -> npt.NDArray[np.int64]:
    """How often these rows hold each token; the special ones count as never."""
    chosen = np.zeros(len(ids), bool)
    chosen[rows] = True
    counts = np.zeros(vocabulary, np.int64)
    for start in range(0, len(ids), 2**16):  # a part at a time: the tokens may be mapped
        offsets = ids.offsets[start : start + 2**16 + 1]
        taken = np.repeat(chosen[start : start + 2**16], np.diff(offsets))
        counts += np.bincount(ids.flat[offsets[0] : offsets[-1]][taken], minlength=vocabulary)
    counts[: len(SPECIAL)] = 0
    return counts
