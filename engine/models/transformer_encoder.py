"""A Transformer that sees a whole text at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, its usual name

from engine.catalog import Help, Range
from engine.layers.transformer import Block, heads_fit, initialize
from engine.layers.words import UnknownWords, WordDropout
from engine.models import Dropout, HeadedAfterDropout
from engine.tasks import inside


class TransformerEncoder(
    HeadedAfterDropout, label="Transformer encoder", fits={"text"}, rank=50,
    provides={"logits", "masked token"},
    suggests={"method.learning_rate": 1e-3, "method.clip": 1.0},
    thorough={"model.width": 512, "model.layers": 8, "model.heads": 8,
              "method.learning_rate": 3e-4},
):  # fmt: skip
    """Every token looks at every other: tells texts apart, and learns from blanks without labels.

    As BERT (Devlin et al. 2019), with norms before each part (Xiong et al. 2020), rotary places
    (Su et al. 2021) and the embeddings read backwards to name a token (Press & Wolf 2017).
    """

    def __init__(
        self,
        shape: Sequence[int],
        outputs: int,
        *,
        width: Annotated[
            int, Range(8, 2048), Help("Numbers that stand for a token on its way up")
        ] = 128,
        layers: Annotated[int, Range(1, 48), Help("Blocks of attention, one over the other")] = 3,
        heads: Annotated[
            int, Range(1, 32), Help("Ways in which a token looks at the others")
        ] = 4,
        dropout: Dropout = 0.1,
        word_dropout: WordDropout = 0.0,
    ) -> None:  # fmt: skip
        """With no outputs it has no head: it only fills blanks."""
        heads_fit(width, heads)
        super().__init__(shape, outputs)
        (vocabulary,) = shape
        self.embedding = nn.Embedding(vocabulary, width)
        self.blocks = nn.ModuleList(Block(width, heads, dropout=dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.word_dropout = UnknownWords(word_dropout)
        initialize(self, layers)
        # Last, so that the weights before it are the same with and without it.
        if outputs:
            self.head = nn.Linear(width, outputs)

    def embed(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """The mean of the states of tokens (B, L), the first `lengths` (B,) of which are real:
        (B, width)."""
        states = self.encode(self.word_dropout(tokens), lengths)
        real = inside(lengths, tokens.shape[1])[..., None]
        return (states * real).sum(1) / lengths[:, None]

    def fill(self, tokens: Tensor, lengths: Tensor, places: Tensor | None = None) -> Tensor:
        """Logits (B, L, vocabulary): which token stands at each place, or only at those `places`
        (B, K)."""
        states = self.encode(tokens, lengths)
        if places is not None:
            states = states.gather(1, places[..., None].expand(-1, -1, states.shape[2]))
        return F.linear(states, self.embedding.weight)

    def encode(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """States (B, L, width) of the tokens, each having seen the whole text."""
        mask = inside(lengths, tokens.shape[1])[:, None, None]
        states = self.dropout(self.embedding(tokens))
        for block in self.blocks:
            states, _ = block(states, mask=mask)
        return self.norm(states)  # type: ignore[no-any-return]
