"""Where a Transformer that reads pictures takes its answer from."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.compression.int8 import Conv2d
from engine.explanations import Importance
from engine.explanations.attention import attentions
from engine.explanations.subject import Subject


class AttentionRollout(
    Importance, label="Attention rollout", fits={"image"}, needs={"number"}, rank=12,
):  # fmt: skip
    """Follows attention through all layers, from what the answer is read from to the patches.

    Abnar & Zuidema 2020: each layer's attention, the mean over its heads and half of it the way
    around, multiplied from the first to the last. It doesn't know of classes, so it is the same
    for each.
    """

    signed = False

    @classmethod
    def suits(cls, subject: Subject) -> bool:
        layers = attentions(subject)
        grid = patches(subject) if layers else None
        return grid is not None and bool(square(layers, *grid[0]))

    def importance(self, subject: Subject) -> tuple[Tensor, dict[str, Any]]:
        found = patches(subject)
        assert found is not None, "its `suits` says so"
        grid, seen = found
        layers = square(attentions(subject), *grid)
        mixed = rollout(layers)
        before = len(mixed) - grid[0] * grid[1]
        # From the class token, where there is one; else from the mean of all.
        read = mixed[0] if before else mixed.mean(0)
        shares = read[before:].view(1, 1, *grid)
        high, wide = subject.ground.places
        # A picture that was filled up to whole patches ends before they do.
        patch = (seen[0] // grid[0], seen[1] // grid[1])
        filled = 0 <= seen[0] - high < patch[0] and 0 <= seen[1] - wide < patch[1]
        size = seen if filled else (high, wide)
        whole = functional.interpolate(shares, size, mode="bilinear")
        return whole[0, 0, :high, :wide], {"layers": len(layers), "map": list(grid)}


def rollout(layers: list[Tensor]) -> Tensor:
    """(N, N), what each place of the last layer holds of each of the first, of attentions (heads,
    N, N); rows add up to one."""
    mixed = torch.eye(layers[0].shape[-1])
    for shares in layers:
        mixed = (0.5 * shares.mean(0) + 0.5 * torch.eye(len(mixed))) @ mixed
    return mixed


def square(layers: list[Tensor], rows: int, columns: int) -> list[Tensor]:
    """Those in which all patches, and perhaps a few tokens before them, look at each other."""
    patches = rows * columns
    return [one for one in layers
            if one.shape[1] == one.shape[2] and 0 <= one.shape[1] - patches <= EXTRA]  # fmt: skip


EXTRA = 8
"""Tokens beside the patches, at most: a class token, registers."""


def patches(subject: Subject) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Rows and columns of the patches, and the height and width that they are cut from; None
    where a picture isn't cut so: by a convolution that steps as far as it is wide."""
    told: list[tuple[tuple[int, int], tuple[int, int]]] = []

    def hook(module: nn.Module, given: Any, maps: Tensor) -> None:
        assert isinstance(module, Conv2d)
        if module.stride == module.kernel_size and module.stride != (1, 1):
            told.append((tuple(maps.shape[2:]), tuple(given[0].shape[2:])))  # type: ignore[arg-type]

    handles = [module.register_forward_hook(hook) for module in subject.model.modules()
               if isinstance(module, Conv2d)]  # fmt: skip
    try:
        with torch.inference_mode():
            subject.read()
    finally:
        for handle in handles:
            handle.remove()
    return told[0] if told else None
