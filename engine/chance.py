"""Numbers that look random, and are the same at every look."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from engine.data.batches import Batch


def lots(batch: Batch, width: int, *, fixed: bool, salt: int = 0) -> Tensor:
    """Numbers in [0, 1), so many for each item of a batch (B, width), on the batch's device.

    What is `fixed` depends on the item's number and the salt alone, neither on the batch nor on
    the run, so that the measures of all runs on the same data can be compared. Else the numbers
    come from the generator of the device, whose state a checkpoint keeps.
    """
    device = next(iter(batch.inputs.values())).device
    if not fixed:
        return torch.rand(len(batch), width, device=device)
    rows = np.arange(len(batch)) if batch.rows is None else batch.rows
    return scattered(torch.from_numpy(rows).to(device), width, salt)


def scattered(rows: Tensor, width: int, salt: int) -> Tensor:
    """Numbers in [0, 1) that look random, (B, width): those of a row are always the same."""
    places = torch.arange(width, device=rows.device)
    mixed = rows[:, None] * 0x9E3779B1 + places * 0x85EBCA6B + (salt + 1) * 0xC2B2AE35
    for _ in range(2):
        mixed = mixed & 0xFFFFFFFF  # the shift is to bring no sign along
        mixed = (mixed ^ (mixed >> 16)) * 0x045D9F3B
    mixed = mixed & 0xFFFFFFFF
    return ((mixed ^ (mixed >> 16)) >> 8).float() / 2**24


def normal(batch: Batch, width: int, *, fixed: bool, salt: int = 0) -> Tensor:
    """As `lots`, of the standard normal distribution; uses this salt and the next (Box & Muller
    1958)."""
    even, other = (lots(batch, width, fixed=fixed, salt=salt + n) for n in range(2))
    return (-2 * (1 - even).log()).sqrt() * (2 * math.pi * other).cos()
