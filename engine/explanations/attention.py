"""What attention looks at, whoever wrote the network."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812, its usual name
from torch.overrides import TorchFunctionMode

from engine.explanations.subject import Subject

MOST = 2**26
"""Numbers of attention that are kept of one answer: 256 MB."""


class Recorder(TorchFunctionMode):
    """While it is open, remembers the shares (B, heads, L, S) of each call of attention, in their
    order: every network here and in the libraries comes down to the same function."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Tensor] = []
        self.size = 0

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # fmt: skip
        named = dict(kwargs or {})
        if function is F.scaled_dot_product_attention:
            self._remember(*args, **named)
        return function(*args, **named)

    def _remember(
        self, query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None,
        dropout_p: float = 0.0, is_causal: bool = False, scale: float | None = None,
        enable_gqa: bool = False,
    ) -> None:  # fmt: skip
        if query.ndim != 4:
            return
        if enable_gqa or key.shape[1] != query.shape[1]:
            key = key.repeat_interleave(query.shape[1] // key.shape[1], 1)
        self.size += query.shape[0] * query.shape[1] * query.shape[2] * key.shape[2]
        if self.size > MOST:
            return
        scores = query.float() @ key.float().transpose(-1, -2)
        scores = scores * (scale or 1 / math.sqrt(query.shape[-1]))
        if is_causal:
            seen = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
            scores = scores.masked_fill(~seen, -math.inf)
        if attn_mask is not None:
            whole = attn_mask.dtype == torch.bool
            scores = scores.masked_fill(~attn_mask, -math.inf) if whole else scores + attn_mask
        self.found.append(scores.softmax(-1).detach().cpu())


@torch.inference_mode()
def recorded(act: Callable[[], Any]) -> list[Tensor]:
    """The shares (B, heads, L, S) of each attention that is called while `act` runs."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # it would pass by
    try:
        with Recorder() as recorder:
            act()
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
    found: list[Tensor] = recorder.found
    return found


def attentions(subject: Subject) -> list[Tensor]:
    """The shares (heads, L, S) of each layer's attention when the item is read, in their order;
    kept for the next question about the same item."""
    if "attention" not in subject.kept:
        found = recorded(lambda: subject.read())
        subject.kept["attention"] = [one[0] for one in found if len(one) == 1]
    return list(subject.kept["attention"])
