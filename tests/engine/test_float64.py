"""Devices without float64 compute what needs it on the CPU."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from engine import frechet
from engine.methods.prototypes import nearest_mean
from engine.tasks import few_shot, probing


class Elsewhere(Tensor):
    """On a device that has no float64."""

    def double(self, *given: object, **named: object) -> Tensor:
        raise TypeError("Cannot convert to float64, which the device doesn't have")

    def cpu(self, *given: object, **named: object) -> Tensor:
        return self.as_subclass(Tensor)


LABELS = torch.arange(40) % 4


def features() -> Tensor:
    chance = torch.Generator().manual_seed(0)
    return torch.randn(40, 5, generator=chance) + LABELS[:, None]


def told(measures: dict[str, float]) -> Tensor:
    return torch.tensor(list(measures.values()))


@pytest.mark.parametrize(
    "compute",
    [
        lambda x: torch.tensor(frechet.distance(x, x + 1)),
        lambda x: nearest_mean(x, LABELS, 4)[0],
        lambda x: probing.linear(x, LABELS, x, 4),
        lambda x: probing.principal(x),
        lambda x: told(few_shot.measured(x, LABELS, few_shot.nearest, 2, 1, 5)),
    ],
)
def test_a_device_without_float64_gives_the_same(compute: Callable[[Tensor], Tensor]) -> None:
    torch.testing.assert_close(compute(features().as_subclass(Elsewhere)), compute(features()))
