"""How a language model writes: a token drawn at a time, and told as text as soon as it is whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.data.tokens import EOS, UNSAID, Tokenizer
from engine.models import LanguageModel

BESIDE = 8
"""Tokens before the newest that decide how it is joined to them."""
BROKEN = "\N{REPLACEMENT CHARACTER}"
"""How a tokenizer shows the bytes of a character that isn't whole."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How the next token is drawn from a model's logits."""

    temperature: float = 1.0
    """Logits are divided by it; 0 always takes the likeliest."""
    top_k: int | None = None
    """Only so many of the likeliest can be drawn (Fan et al. 2018)."""
    top_p: float | None = None
    """Only the likeliest that together have this share can be drawn (Holtzman et al. 2020)."""

    def shares(self, logits: Tensor) -> Tensor:
        """What is drawn from: probabilities (…, outputs) of logits (…, outputs)."""
        logits = logits.float()
        if self.temperature == 0:
            return torch.zeros_like(logits).scatter_(-1, logits.argmax(-1, keepdim=True), 1.0)
        # Less the greatest before the division: a temperature near zero must not overflow.
        logits = (logits - logits.amax(-1, keepdim=True)) / self.temperature
        if self.top_k is not None and self.top_k < logits.shape[-1]:
            least = logits.topk(self.top_k).values[..., -1:]
            logits = logits.masked_fill(logits < least, float("-inf"))
        shares = logits.softmax(-1)
        if self.top_p is None or self.top_p >= 1:
            return shares
        sorted_, order = shares.sort(-1, descending=True)
        # One is in the nucleus while those before it haven't filled it: the first always is.
        sorted_ = sorted_.masked_fill(sorted_.cumsum(-1) - sorted_ >= self.top_p, 0.0)
        kept = torch.zeros_like(shares).scatter_(-1, order, sorted_)
        return kept / kept.sum(-1, keepdim=True)

    def draw(self, logits: Tensor, generator: torch.Generator) -> int:
        """A token by logits (outputs,) on the CPU."""
        return int(torch.multinomial(self.shares(logits), 1, generator=generator))


def grown(
    model: LanguageModel,
    prompt: Sequence[int],
    *,
    length: int,
    longest: int,
    sampling: Sampling,
    seed: int | None,
    device: torch.device,
) -> Iterator[int]:
    """At most `length` tokens after a prompt of one or more, until EOS, which isn't given.

    The model sees the last `longest` at a time. `seed` None is another text each time. The global
    random state is left alone.
    """
    generator = torch.Generator()
    if seed is None:
        generator.seed()
    else:
        generator.manual_seed(seed)
    state = model.begin(longest)
    new = torch.tensor([prompt], device=device)[:, -longest:]
    for count in range(length):
        logits, state = model.next(new, state)
        # A text of nothing says nothing, so the first token isn't the end.
        unsaid = UNSAID if count else (*UNSAID, EOS)
        scores = logits[0].float().cpu()
        scores[list(unsaid)] = float("-inf")
        token = sampling.draw(scores, generator)
        if token == EOS:
            return
        yield token
        new = torch.tensor([[token]], device=device)


def pieces(tokenizer: Tokenizer, prompt: Sequence[int], tokens: Iterable[int]) -> Iterator[str]:
    """The text of tokens that follow a prompt, a piece as soon as its last character is whole.

    Bytes that never become a character come at the end, as the replacement character.
    """
    known = list(prompt[-BESIDE:])  # a word's token says by what is before it whether a space is
    # A prompt cut at a token may end within a character: the first piece makes it whole.
    told = tokenizer.decode(known).rstrip(BROKEN)
    ready = ""
    for token in tokens:
        known.append(token)
        text = tokenizer.decode(known)
        ready = text[len(told) :]
        if not ready or text.endswith(BROKEN):
            continue
        yield ready
        known, ready = known[-BESIDE:], ""
        told = tokenizer.decode(known)
    if ready:
        yield ready
