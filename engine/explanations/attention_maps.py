"""Which token looks at which."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from torch import Tensor

from engine.catalog import Help, Hidden, Range
from engine.data.tokens import BOS
from engine.explanations import Explanation
from engine.explanations.attention import attentions, recorded
from engine.explanations.subject import Subject
from engine.writing import Writing

MOST_TOKENS = 200
"""Rows and columns of a map that are shown."""


class AttentionMaps(
    Explanation, label="Attention maps", fits={"text", "pair"}, rank=40,
):  # fmt: skip
    """Which token looks at which, layer by layer and head by head.

    Rows look, columns are looked at, and each row adds up to one. Of a run that writes a text from
    another, the rows are what was written and the columns what it was written from. Attention is
    where information is taken from; that it also decides the answer isn't said.
    """

    def __init__(
        self, *,
        layer: Annotated[
            int | None, Range(1, 1000), Hidden(), Help("Counted from the input", empty="the last")
        ] = None,
        head: Annotated[
            int | None, Range(1, 1000), Hidden(),
            Help("One of those side by side", empty="the mean of all"),
        ] = None,
    ) -> None:  # fmt: skip
        self.layer, self.head = layer, head

    @classmethod
    def suits(cls, subject: Subject) -> bool:
        return bool(maps_of(subject)[0])

    def of(self, subject: Subject) -> dict[str, Any]:
        layers, rows, columns = maps_of(subject)
        layer = min(self.layer or len(layers), len(layers))
        heads = layers[layer - 1]
        head = None if self.head is None else min(self.head, len(heads))
        shares = heads.mean(0) if head is None else heads[head - 1]
        return {"attended": {
            "source": columns[:MOST_TOKENS], "target": rows[:MOST_TOKENS],
            "weights": [[round(x, 4) for x in row[:MOST_TOKENS]]
                        for row in shares[:MOST_TOKENS].tolist()],
            "layers": len(layers), "heads": len(heads), "layer": layer, "head": head,
        }}  # fmt: skip


def maps_of(subject: Subject) -> tuple[list[Tensor], list[str], list[str]]:
    """Each layer's shares (heads, rows, columns), and the tokens of rows and columns; no layer
    where the model doesn't attend, or doesn't tell."""
    if "maps" not in subject.kept:
        task = subject.setup.task
        subject.kept["maps"] = across(subject, task) if isinstance(task, Writing) else own(subject)
    layers, rows, columns = subject.kept["maps"]
    return layers, rows, columns


def own(subject: Subject) -> tuple[list[Tensor], list[str], list[str]]:
    """Of a text's tokens on each other."""
    tokenizer = subject.data.items.tokenizer  # type: ignore[attr-defined]
    layers = [one for one in attentions(subject) if one.shape[1] == one.shape[2]]
    tokens = [tokenizer.spell(token) for token in subject.ground.values[0].tolist()]
    if not layers:
        return [], [], []
    # A model may set tokens of its own around a text: the first, then those behind.
    more = layers[0].shape[1] - len(tokens)
    if more > 0:
        tokens = ["·"] * ((more + 1) // 2) + tokens + ["·"] * (more // 2)
    tokens = tokens[-layers[0].shape[1] :]
    return [one for one in layers if one.shape == layers[0].shape], tokens, tokens


@torch.inference_mode()
def across(subject: Subject, task: Writing) -> tuple[list[Tensor], list[str], list[str]]:
    """Of what is written greedily on what it is written from."""
    model: Any = subject.model
    tokenizer = subject.data.items.tokenizer  # type: ignore[attr-defined]
    tokens, lengths = (subject.batch.inputs[name] for name in ("tokens", "lengths"))
    ((best, *_),) = task.hypotheses(model, subject.batch, subject.data)
    written = [*best.tokens]
    target = torch.tensor([[BOS, *written]], device=tokens.device)
    columns = [tokenizer.spell(token) for token in tokens[0].tolist()]
    rows = [*(tokenizer.spell(token) for token in written), "[EOS]"]
    reading = len(recorded(lambda: model.begin(tokens, lengths)))
    layers = [
        one[0]
        for one in recorded(lambda: model(tokens, lengths, target))[reading:]
        if one.shape[2] == len(rows) and one.shape[3] == len(columns) and not _blind(one[0])
    ]
    if not layers:  # one attention, which the model tells of step by step
        state, steps = model.begin(tokens, lengths), []
        for token in target[0]:
            _, state = model.next(token.view(1, 1), state)
            if (looked := model.attention(state)) is None:
                return [], [], []
            steps.append(looked[0].float().cpu())
        layers = [torch.stack(steps)[None]]
    return layers, rows, columns


def _blind(shares: Tensor) -> bool:
    """Whether nobody looks at what comes later: a text on itself, as it is written."""
    square = shares.shape[1] == shares.shape[2] and shares.shape[1] > 1
    return square and not bool(shares.triu(1).any())
