"""Which token comes next?"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812, its usual name

from engine.catalog import Advanced, Help, Range
from engine.data.batches import Batch, Data
from engine.data.items import Fed
from engine.data.splits import Rows
from engine.data.tokens import EOS, MASK, PAD, UNK, UNSAID, Tokenizer, Tokens
from engine.data.windows import Windows
from engine.decoding import Sampling, grown, pieces
from engine.tasks import Mean, Meter, Numbers, Portable, Verdict, softmax
from engine.tasks.probed_texts import ProbedTexts

Shares = npt.NDArray[np.float64]
Following = Callable[[Rows, Rows], Shares]

COUNTED = 10_000_000
"""Tokens of the training split that the baselines are counted from."""
AT_ONCE = 2**24
"""Numbers that a layer may give at a time where nothing is learned: 64 MiB."""
WIDEST = 2048
"""Numbers that a layer is taken to give for a token, where the vocabulary is smaller."""
PROMPT = 32
"""Tokens of a prompt taken from the data."""
GROWN = 200
"""Tokens written after it."""
USUAL = Sampling(temperature=0.8, top_k=None, top_p=0.95)


class LanguageModelling(
    ProbedTexts, label="Language modelling", fits={"next token"}, needs={"text"}, rank=20,
    streams=True, judges="tokens",
    suggests={"data.tokenizer": "characters", "data.vocabulary": 4000, "data.longest": None,
              "method.epochs": 1000, "method.max_steps": 2000, "method.check_every": 500,
              "method.batch_size": 16, "method.patience": 10},
    thorough={"task.block": 256, "method.max_steps": 5000, "method.check_every": 250,
              "method.batch_size": 64},
):  # fmt: skip
    """Learns from running text which token comes next, and writes on from a prompt."""

    headline = "perplexity"
    larger_is_better = False
    watches = 1

    def __init__(
        self,
        *,
        block: Annotated[
            int, Range(4, 8192),
            Help("Tokens read at a time: the model can look back no further", label="Context",
                 unit="tokens"),
        ] = 128,
        label_smoothing: Annotated[
            float, Range(0, 0.5, step=0.01), Advanced(),
            Help("Moves this much of the target from the true token to all; not in the measures"),
        ] = 0.0,
        **how: Any,
    ) -> None:  # fmt: skip
        super().__init__(**how)
        self.block = block
        self.label_smoothing = label_smoothing

    @property
    def reach(self) -> int:
        return self.block

    def view(self, data: Data) -> Data:
        return Windows.of(data, self.block)

    def outputs(self, data: Data) -> int:
        """None: a model that says what follows reads its own embeddings backwards."""
        return 0

    def step(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        tokens = batch.inputs["tokens"]
        if torch.is_grad_enabled():
            return {"loss": self._loss(model, tokens)}
        # Nothing goes back, so nothing of one part need be kept while the next is worked on. 256
        # windows of 128 took 995 MiB at once and 648 MiB in parts, which were no slower.
        numbers = self.block * max(*model.shape, WIDEST)
        parts = torch.split(tokens, max(AT_ONCE // numbers, 1))
        weights = torch.stack([(part[:, 1:] != PAD).sum() for part in parts])
        losses = torch.stack([self._loss(model, part) for part in parts])
        return {"loss": (losses * weights).sum() / weights.sum()}

    def _loss(self, model: Any, tokens: Tensor) -> Tensor:
        """The mean over the tokens wanted of windows (B, block + 1)."""
        logits = model.follow(tokens[:, :-1])
        return F.cross_entropy(
            logits.float().flatten(0, 1), tokens[:, 1:].flatten(), ignore_index=PAD,
            label_smoothing=self.label_smoothing if model.training else 0.0,
        )  # fmt: skip

    def judge(self, model: Any, batch: Batch, data: Data) -> Verdict:
        """How surprising each window is, a token on average, and each of its tokens: nats."""
        tokens, lengths = batch.inputs["tokens"], batch.inputs["lengths"].tolist()
        spell, losses, texts = tokenizer_of(data).spell, [], []
        for window, length in zip(tokens, lengths, strict=True):
            logits = model.follow(window[None, :length])[0].float()
            nats = F.cross_entropy(logits, window[1 : length + 1], reduction="none")
            losses.append(nats.mean())
            pieces = [[spell(token), round(nat, 3)] for token, nat in
                      zip(window[1 : length + 1].tolist(), nats.tolist(), strict=True)]  # fmt: skip
            texts.append({"pieces": json.dumps(pieces), "before": spell(int(window[0]))})
        return Verdict(torch.stack(losses), texts=texts)

    def weight(self, batch: Batch) -> int | Tensor:
        return batch.inputs["lengths"].sum()

    def meter(self, model: Any, data: Data, *, final: bool = False) -> Meter:
        return self.probed(TextMeter(self, model, data, final=final), model, data, final=final)

    def baselines(self, data: Data) -> dict[str, dict[str, float]]:
        """How often tokens come in training, alone and after the one before."""
        assert isinstance(data.items, Windows)
        windows = data.items
        test = windows.stream("test")[: COUNTED + 1].astype(np.int64)
        single, double = counted(windows.stream("train"), len(windows.tokenizer))
        per_byte = windows.bytes_per_token(int(data.splits["test"][0]))
        return {
            name: measures(float(-np.log(shares).mean()), per_byte)
            for name, shares in {
                "token frequencies": single[test[1:]],
                "frequencies after the token before": double(test[:-1], test[1:]),
            }.items()
        } | super().baselines(data)

    def samples(
        self, model: Any, batch: Batch, data: Data, scores: Mapping[str, Any]
    ) -> Iterator[tuple[str, str, Any]]:
        tokens, length = batch.inputs["tokens"], int(batch.inputs["lengths"][0])
        prompt = tokens[0, : min(PROMPT, self.block // 2, length)].tolist()
        text = "".join(self._written(model, prompt, data, GROWN, USUAL, 0, tokens.device))
        yield "text", "text", {"prompt": tokenizer_of(data).decode(prompt), "text": text}
        yield from super().samples(model, batch, data, scores)

    def show(
        self, model: Any, batch: Batch, data: Data, *,
        length: Annotated[
            int, Range(1, 2000), Help("At most so many tokens are written", unit="tokens")
        ] = 300,
        temperature: Annotated[
            float, Range(0, 3, step=0.05),
            Help("Higher is more varied, lower more careful; 0 always takes the likeliest token"),
        ] = 0.8,
        top_k: Annotated[
            int | None, Range(1, 100_000),
            Help("Draws from so many of the likeliest tokens only", label="Top k",
                 empty="all of them"),
        ] = None,
        top_p: Annotated[
            float | None, Range(0.01, 1, step=0.01),
            Help("Draws only from the likeliest tokens that together have this probability",
                 label="Top p", empty="all of them"),
        ] = 0.95,
        seed: Annotated[
            int | None, Range(0, 2**31 - 1),
            Help("The same seed gives the same text again", empty="a new text each time"),
        ] = None,
    ) -> list[dict[str, Any]]:  # fmt: skip
        sampling = Sampling(temperature=temperature, top_k=top_k, top_p=top_p)
        device = batch.inputs["tokens"].device
        return [
            {"prompt": tokenizer_of(data).decode(prompt),
             "written": "".join(
                 self._written(model, prompt, data, length, sampling, seed, device)
             )}
            for prompt in prompts(batch)
        ]  # fmt: skip

    def tell(self, model: Any, batch: Batch, data: Data, **options: Any) -> Iterator[str]:
        chosen = self.card.try_with(options)
        length, seed = chosen.pop("length"), chosen.pop("seed")
        (prompt,) = prompts(batch)
        device = batch.inputs["tokens"].device
        yield from self._written(model, prompt, data, length, Sampling(**chosen), seed, device)  # type: ignore[arg-type]

    def _written(
        self, model: Any, prompt: Sequence[int], data: Data, length: int, sampling: Sampling,
        seed: int | None, device: torch.device,
    ) -> Iterator[str]:  # fmt: skip
        """What a model writes after a prompt, piece by piece."""
        tokenizer = tokenizer_of(data)
        new = grown(
            model, prompt or beginning(data.fed), length=length, longest=self.block,
            sampling=sampling, seed=seed, device=device,
        )  # fmt: skip
        return pieces(tokenizer, prompt, new)

    def portable(self, model: Any, data: Data) -> Portable:
        """Logits of the token after each place (B, L, vocabulary)."""
        return Portable(
            ("tokens",), ("logits",), lambda tokens: (model.follow(tokens),), "tokens",
            {"context": self.block, "begins": beginning(data.fed), "ends": EOS,
             "unsaid": list(UNSAID), "usual": self.card.try_with({})},
        )  # fmt: skip

    def numbers(self, model: Any, batch: Batch, data: Data) -> Numbers | None:
        """A logit for each token that may come next; None after nothing."""
        tokenizer = tokenizer_of(data)
        (prompt,) = prompts(batch)

        def of(inputs: Mapping[str, Tensor]) -> Tensor:
            logits: Tensor = model.follow(inputs["tokens"][:, -self.block :])
            return logits[:, -1]

        names = tuple(tokenizer.spell(token) for token in range(len(tokenizer)))
        return Numbers(names, of, softmax) if prompt else None


def tokenizer_of(data: Data) -> Tokenizer:
    """The tokenizer of windows, or of texts that a finished run is asked."""
    assert isinstance(data.items, (Windows, Tokens))
    return data.items.tokenizer


def beginning(items: Fed) -> list[int]:
    """What a model is given where a person gave nothing: the place before a text begins."""
    assert isinstance(items, (Windows, Tokens))
    # A running text has no beginning to learn from, but many lines.
    line = items.tokenizer.encode(["\n"])[0] if items.running else []
    return line if line and UNK not in line else [EOS]


def prompts(batch: Batch) -> Iterator[list[int]]:
    """The tokens of each text of a batch; none of one that holds nothing known."""
    for row, length in zip(
        batch.inputs["tokens"].tolist(), batch.inputs["lengths"].tolist(), strict=True
    ):
        # What is read as a blank to fill is nothing that a text ever held.
        prompt = [token for token in row[:length] if token != MASK]
        yield [] if prompt == [UNK] else prompt


def counted(tokens: npt.NDArray[Any], vocabulary: int) -> tuple[Shares, Following]:
    """The probability of each token (vocabulary,) by how often it comes in a text, and a function
    that tells those of tokens (N,) after others (N,).

    Each token counts as seen once more (Laplace). What was never seen after a token gets as much
    as there are tokens that were, dealt out by how often they come anywhere (Witten & Bell 1991).
    """
    tokens = tokens[: COUNTED + 1].astype(np.int64)
    times = np.bincount(tokens[1:], minlength=vocabulary) + 1.0
    single: Shares = times / times.sum()
    pairs, seen = np.unique(tokens[:-1] * vocabulary + tokens[1:], return_counts=True)
    after = np.bincount(tokens[:-1], minlength=vocabulary)
    kinds = np.bincount(pairs // vocabulary, minlength=vocabulary)

    def following(first: Rows, second: Rows) -> Shares:
        asked = first * vocabulary + second
        place = np.minimum(np.searchsorted(pairs, asked), len(pairs) - 1)
        found = np.where(pairs[place] == asked, seen[place], 0)
        weight = np.where(after[first] > 0, kinds[first], 1)  # nothing seen: as without it
        return (found + weight * single[second]) / (after[first] + weight)

    return single, following


def measures(loss: float, bytes_per_token: float) -> dict[str, float]:
    """Nats a token, perplexity and, where it can be told, bits a byte: comparable between
    vocabularies."""
    found = {"loss": loss, "perplexity": math.exp(min(loss, 700.0))}
    if bytes_per_token:
        found["bits_per_byte"] = loss / math.log(2) / bytes_per_token
    return found


class TextMeter:
    """The mean loss over tokens, and in the final test a few texts."""

    def __init__(
        self, task: LanguageModelling, model: Any, data: Data, *, final: bool, texts: int = 3
    ) -> None:
        self.task, self.model, self.data = task, model, data
        self.texts = texts if final else 0
        self.loss = Mean()
        self.row = 0
        self.prompts: list[list[int]] = []
        self.device = torch.device("cpu")

    def update(self, step: Mapping[str, Tensor], batch: Batch) -> None:
        self.loss.add(step["loss"], self.task.weight(batch))
        assert batch.rows is not None
        self.row = int(batch.rows[0])
        for row in range(min(len(batch), self.texts - len(self.prompts))):
            self.device = batch.inputs["tokens"].device
            length = min(PROMPT, self.task.block // 2, int(batch.inputs["lengths"][row]))
            self.prompts.append(batch.inputs["tokens"][row, :length].tolist())

    def compute(self) -> dict[str, Any]:
        assert isinstance(self.data.items, Windows)
        found: dict[str, Any] = measures(
            float(self.loss), self.data.items.bytes_per_token(self.row)
        )
        if self.prompts:
            tokenizer = tokenizer_of(self.data)
            found["outputs"] = [
                {"prompt": tokenizer.decode(prompt), "written": "".join(self.task._written(
                    self.model, prompt, self.data, GROWN, USUAL, seed, self.device
                ))}
                for seed, prompt in enumerate(self.prompts)
            ]  # fmt: skip
        return found
