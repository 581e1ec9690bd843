"""Writing a text with a `Translator`: greedily, or along several beams."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.data.tokens import BOS, EOS, UNSAID
from engine.models import Translator


@dataclass(frozen=True)
class Hypothesis:
    """One way to write it."""

    tokens: tuple[int, ...]
    """Without BOS and EOS."""
    log_probability: float
    """The model's own, of all tokens and of EOS where it has one; natural logarithm."""
    score: float
    """The same, divided by the length penalty: what is compared."""
    ended: bool
    """Whether the model ended it; else it was cut at the cap."""
    looked: tuple[tuple[float, ...], ...] = ()
    """Where in the source each token looked, EOS included; only if it was asked for."""


def penalty(length: int, strength: float) -> float:
    """((5 + length) / 6)^strength: Wu et al. 2016, equation 14. At 0, short texts win."""
    return float(((5 + length) / 6) ** strength)


def cap(lengths: Tensor, longest: int | None, stretch: float = 2.0) -> list[int]:
    """The most tokens, EOS included, of texts written from sources of these lengths (B,):
    `stretch` times as many and ten."""
    return [min(int(stretch * length) + 10, longest or 2**31) for length in lengths.tolist()]


@torch.inference_mode()
def write(
    model: Translator, tokens: Tensor, lengths: Tensor, *, beam: int = 1, strength: float = 0.6,
    longest: int | None = None, stretch: float = 2.0, look: bool = False,
) -> list[list[Hypothesis]]:  # fmt: skip
    """For each source of tokens (B, S) the texts that `beam` hypotheses led to, the best first.

    Each step keeps the likeliest `beam` continuations of a source's hypotheses. One that ends
    among them is done; a source is when as many have ended, or at its `cap`. With one beam that
    is the greedy choice. `strength` is that of the length `penalty`, `longest` and `stretch`
    are those of `cap`, and `look` asks for `Hypothesis.looked`, where the model can tell.
    """
    found: list[list[Hypothesis]]
    caps, found = cap(lengths, longest, stretch), [[] for _ in range(len(tokens))]
    state = model.begin(tokens, lengths)
    items = torch.arange(len(tokens), device=tokens.device)  # those still written, a row each beam
    newest = torch.full((len(tokens), 1), BOS, device=tokens.device)
    written = torch.zeros((len(tokens), 1, 0), dtype=torch.long, device=tokens.device)
    # At first a source has one hypothesis: `beam` of the same would stay the same.
    scores = torch.zeros((len(tokens), 1), device=tokens.device)
    paths: Tensor | None = None
    while True:
        count, alive = scores.shape
        logits, state = model.next(newest, state)
        logs = logits.float().log_softmax(-1)
        logs[:, list(UNSAID)] = float("-inf")
        total = (scores[:, :, None] + logs.view(count, alive, -1)).flatten(1)
        # One that ends leaves its place: with twice as many, `beam` always go on.
        best, at = total.topk(min(2 * beam, total.shape[1]), sorted=True)
        origin, token = at // logs.shape[1], at % logs.shape[1]
        if look:
            where = model.attention(state)
            if where is not None:
                where = where.view(count, alive, 1, -1)
                paths = where if paths is None else torch.cat([paths, where], 2)
        ending = (token == EOS) & best.isfinite()
        length = written.shape[2] + 1
        for row, rank in ending[:, :beam].nonzero().tolist():
            parent = int(origin[row, rank])
            found[int(items[row])].append(Hypothesis(
                tuple(written[row, parent].tolist()), float(best[row, rank]),
                float(best[row, rank]) / penalty(length, strength), True, _path(paths, row, parent),
            ))  # fmt: skip
        # The first `beam` that go on, in their order.
        order = ending.long().sort(dim=1, stable=True).indices[:, : min(beam, at.shape[1])]
        best = best.masked_fill(ending, float("-inf")).gather(1, order)
        origin, token = origin.gather(1, order), token.gather(1, order)
        kept: list[int] = []
        tops = best.tolist()
        for row, item in enumerate(items.tolist()):
            most = caps[item]
            if len(found[item]) >= beam or tops[row][0] == float("-inf"):
                continue
            if length < most:
                kept.append(row)
                continue
            for rank, log_probability in enumerate(tops[row]):
                parent = int(origin[row, rank])
                if log_probability > float("-inf"):
                    found[item].append(Hypothesis(
                        (*written[row, parent].tolist(), int(token[row, rank])), log_probability,
                        log_probability / penalty(length, strength), False,
                        _path(paths, row, parent),
                    ))  # fmt: skip
        if not kept:
            break
        rows = torch.tensor(kept, dtype=torch.long, device=items.device)
        items, scores, origin, token = items[rows], best[rows], origin[rows], token[rows]
        parents = (rows[:, None] * alive + origin).flatten()
        if not torch.equal(parents, torch.arange(count * alive, device=parents.device)):
            state = state.select(parents)  # costs a copy of all that is remembered
        written = torch.cat([written.flatten(0, 1)[parents], token.view(-1, 1)], 1)
        written = written.view(*token.shape, length)
        if paths is not None:
            paths = paths.flatten(0, 1)[parents].view(*token.shape, *paths.shape[2:])
        newest = token.reshape(-1, 1)
    for texts in found:
        if not texts:  # of a model that gives no numbers any more, every way is as good: none
            texts.append(Hypothesis((), float("-inf"), float("-inf"), False))
    # What was cut comes after what ended.
    return [sorted(texts, key=lambda text: (text.ended, text.score), reverse=True)[:beam]
            for texts in found]  # fmt: skip


def _path(paths: Tensor | None, row: int, parent: int) -> tuple[tuple[float, ...], ...]:
    return () if paths is None else tuple(map(tuple, paths[row, parent].tolist()))
