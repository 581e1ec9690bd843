"""Two training items become one, and so do their labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812, its usual name

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Mixing:
    """How items are mixed; both zero mixes nothing.

    Each item has a partner of its own in its batch, and a share λ of its own. Where both ways are
    asked for, an item is mixed in one of them, by the toss of a coin.
    """

    mixup: float = 0.0
    """α of Beta(α, α), from which λ comes: items are added, λ to 1 − λ (Zhang et al. 2018)."""
    cutmix: float = 0.0
    """α of Beta(α, α): a box of the partner covers 1 − λ of a picture (Yun et al. 2019)."""

    def __bool__(self) -> bool:
        return bool(self.mixup or self.cutmix)

    def drawn(self, count: int, rng: np.random.Generator) -> Pairing:
        """Who is mixed with whom, for so many items."""
        partners = rng.permutation(count)
        cut = rng.random(count) < 0.5 if self.mixup and self.cutmix else \
            np.full(count, bool(self.cutmix))  # fmt: skip
        alphas = np.where(cut, self.cutmix, self.mixup)
        return Pairing(partners, rng.beta(alphas, alphas).astype(np.float32), cut)


@dataclass(frozen=True)
class Pairing:
    """Who is mixed with whom: places in the batch (B,), the item's own share (B,) in 0…1, and
    whether a box is cut instead of adding (B,)."""

    partners: npt.NDArray[np.int64]
    shares: npt.NDArray[np.float32]
    cut: Flags

    def to(self, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """Partners, shares and cuts on the device."""
        of = torch.from_numpy
        return (
            of(self.partners).to(device), of(self.shares).to(device), of(self.cut).to(device),
        )  # fmt: skip


def blended(targets: Tensor, partners: Tensor, shares: Tensor, classes: int) -> Tensor:
    """Shares of classes (B, classes) of mixed items: λ of the item's own class (B,), the rest of
    its partner's."""
    own = F.one_hot(targets, classes).to(shares)
    return shares[:, None] * own + (1 - shares[:, None]) * own[partners]
