"""A recurrent encoder and decoder with attention."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from engine.catalog import Advanced, BadInput, Help, Range
from engine.layers.copying import Copy, Pointer
from engine.layers.recurrent import mirror, turned
from engine.models import Dropout, Model
from engine.tasks import inside

AttentionName = Literal["general", "additive"]


@dataclass(frozen=True)
class Read:
    """A source that was read, and where the decoder stands."""

    source: Tensor
    """Its tokens (B, S)."""
    states: Tensor
    """Its encoder's states (B, S, width)."""
    keys: Tensor
    """The same as the attention compares them (B, S, width)."""
    real: Tensor
    """(B, S), false on padding."""
    hidden: tuple[Tensor, ...]
    """The state (B, width) of each of the decoder's layers."""
    looked: Tensor | None = None
    """Where in the source the last step looked (B, S)."""

    def select(self, rows: Tensor) -> Read:
        return Read(
            self.source[rows], self.states[rows], self.keys[rows], self.real[rows],
            tuple(layer[rows] for layer in self.hidden),
            None if self.looked is None else self.looked[rows],
        )  # fmt: skip


class AttentionGRU(
    Model, label="GRU with attention", fits={"pair"}, provides={"target text"}, rank=20,
    suggests={"method.learning_rate": 2e-3, "method.clip": 1.0, "method.epochs": 6},
    thorough={
        "model.width": 512, "model.dropout": 0.4, "method.epochs": 40,
        "method.learning_rate": 1e-3, "method.average": 0.999,
    },
):  # fmt: skip
    """A bidirectional GRU reads, a GRU writes and looks back at each word: quick on a processor.

    Cho et al. 2014 and Sutskever et al. 2014 with the attention of Bahdanau 2015 or Luong 2015.
    As in Wu et al. 2016 the lowest layer of the decoder asks, and the layers above read what was
    found beside its state: all places of a target train in one call a layer. The embedding is one
    for source, target and output (Press & Wolf 2017).
    """

    def __init__(
        self,
        shape: Sequence[int],
        outputs: int,
        *,
        width: Annotated[
            int, Range(8, 2048), Help("Units of each layer; half of them in each direction")
        ] = 256,
        encoder_layers: Annotated[
            int, Range(1, 8), Help("Recurrent layers that read the source")
        ] = 1,
        decoder_layers: Annotated[
            int, Range(1, 8), Help("Recurrent layers that write; the lowest asks where to look")
        ] = 2,
        attention: Annotated[
            AttentionName, Advanced(),
            Help("How a place of the target is compared with one of the source: “general” by a "
                 "product (Luong 2015), “additive” by a small network (Bahdanau 2015), slower"),
        ] = "general",
        copy: Copy = False,
        dropout: Dropout = 0.2,
    ) -> None:  # fmt: skip
        super().__init__(shape, outputs)
        if width % 2:
            raise BadInput(f"{width} units can't be halved: take an even width",
                           field="model.width")  # fmt: skip
        (vocabulary,) = shape
        self.embedding = nn.Embedding(vocabulary, width)
        nn.init.normal_(self.embedding.weight, std=1 / math.sqrt(width))
        self.encoder = nn.ModuleList(BothWays(width) for _ in range(encoder_layers))
        self.bridge = nn.Linear(width, decoder_layers * width)
        self.ask = nn.GRU(width, width, batch_first=True)
        self.attend: Attention = ATTENTIONS[attention](width)
        self.combine = nn.Linear(2 * width, width)
        self.above = nn.ModuleList(
            nn.GRU(width, width, batch_first=True) for _ in range(decoder_layers - 1)
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, outputs)
        if outputs == vocabulary:
            self.head.weight = self.embedding.weight
        self.pointer = Pointer(2 * width) if copy else None
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, lengths: Tensor, target_tokens: Tensor) -> Tensor:
        """Logits (B, T, outputs) at each place of the target, which begins with BOS."""
        states, found, read = self._decode(target_tokens, self.begin(tokens, lengths))
        return self._outputs(states, found, read)

    def begin(self, tokens: Tensor, lengths: Tensor) -> Read:
        """The source (B, S) is read, nothing is written."""
        states = self._embedded(tokens)
        for i, layer in enumerate(self.encoder):
            found = layer(states, lengths)
            states = self.dropout(found) if i == 0 else states + self.dropout(found)
        half = states.shape[-1] // 2
        rows = torch.arange(tokens.shape[0], device=tokens.device)
        ends = torch.cat([states[rows, lengths - 1, :half], states[:, 0, half:]], 1)
        hidden = self.bridge(ends).tanh().chunk(1 + len(self.above), -1)
        return Read(tokens, states, self.attend.keys(states), inside(lengths, tokens.shape[1]),
                    tuple(hidden))  # fmt: skip

    def next(self, target_tokens: Tensor, state: Read) -> tuple[Tensor, Read]:
        """Logits (B, outputs) after the last of the new tokens (B, n), and the new memory."""
        states, found, read = self._decode(target_tokens, state)
        assert read.looked is not None
        looked = read.looked[:, -1:]
        logits = self._outputs(states[:, -1:], found[:, -1:], replace(read, looked=looked))
        return logits[:, 0], replace(read, looked=looked[:, 0])

    def attention(self, state: Read) -> Tensor | None:
        """Where in the source the last step looked: (B, S)."""
        return state.looked

    def _embedded(self, tokens: Tensor) -> Tensor:
        states = self.embedding(tokens) * math.sqrt(self.embedding.embedding_dim)
        return self.dropout(states)  # type: ignore[no-any-return]

    def _decode(self, target_tokens: Tensor, read: Read) -> tuple[Tensor, Tensor, Read]:
        """The last layer's states, what the attention found beside its question, both at each new
        place, and the memory after them, `looked` for all of them: (B, n, S)."""
        asked, last = self.ask(self._embedded(target_tokens), read.hidden[0][None].contiguous())
        hidden = [last[0]]
        looked = self.attend(asked, read.keys, read.real)
        found = torch.cat([looked.to(read.states.dtype) @ read.states, asked], -1)
        states = self.dropout(self.combine(found).tanh())
        for layer, before in zip(self.above, read.hidden[1:], strict=True):
            higher, last = layer(states, before[None].contiguous())
            hidden.append(last[0])
            states = states + self.dropout(higher)
        return states, found, replace(read, hidden=tuple(hidden), looked=looked)

    def _outputs(self, states: Tensor, found: Tensor, read: Read) -> Tensor:
        logits: Tensor = self.head(self.norm(states))
        if self.pointer is None:
            return logits
        assert read.looked is not None
        mixed: Tensor = self.pointer(found, logits, read.looked, read.source)
        return mixed


class BothWays(nn.Module):
    """A GRU that reads forwards and one that reads backwards, each half as wide."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.ahead = nn.GRU(width, width // 2, batch_first=True)
        self.back = nn.GRU(width, width // 2, batch_first=True)

    def forward(self, states: Tensor, lengths: Tensor) -> Tensor:
        """States (B, S, width) of sequences whose first `lengths` (B,) steps are real."""
        ahead, _ = self.ahead(states)
        places = mirror(lengths, states.shape[1])
        back, _ = self.back(turned(states, places))
        return torch.cat([ahead, turned(back, places)], -1)


class Attention(nn.Module):
    """Where each place of the target looks in the source."""

    def keys(self, states: Tensor) -> Tensor:
        """The encoder's states (B, S, width) as they are compared: computed once."""
        raise NotImplementedError

    def scores(self, asked: Tensor, keys: Tensor) -> Tensor:
        """(B, T, S), the higher the better each place (B, T, width) matches."""
        raise NotImplementedError

    def forward(self, asked: Tensor, keys: Tensor, real: Tensor) -> Tensor:
        """Shares (B, T, S) that add up to one over the real places (B, S); float32."""
        scores = self.scores(asked, keys).float()
        return scores.masked_fill(~real[:, None], float("-inf")).softmax(-1)


class General(Attention):
    """Luong et al. 2015, “general”: a product with a matrix between."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.source = nn.Linear(width, width, bias=False)

    def keys(self, states: Tensor) -> Tensor:
        keys: Tensor = self.source(states)
        return keys

    def scores(self, asked: Tensor, keys: Tensor) -> Tensor:
        return asked.to(keys.dtype) @ keys.transpose(1, 2)


class Additive(Attention):
    """Bahdanau et al. 2015: a layer of tanh over both, then a weight each."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.source = nn.Linear(width, width)
        self.target = nn.Linear(width, width, bias=False)
        self.weigh = nn.Linear(width, 1, bias=False)

    def keys(self, states: Tensor) -> Tensor:
        keys: Tensor = self.source(states)
        return keys

    def scores(self, asked: Tensor, keys: Tensor) -> Tensor:
        both = self.target(asked)[:, :, None] + keys[:, None]
        scores: Tensor = self.weigh(both.tanh())
        return scores[..., 0]


ATTENTIONS: dict[AttentionName, type[General] | type[Additive]] = {
    "general": General, "additive": Additive,
}  # fmt: skip
