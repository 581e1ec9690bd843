"""RandAugment and TrivialAugment: every picture by itself, as torchvision would change it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as V  # noqa: N812

from engine.augmentation.policies import BINS, OPERATIONS, Policy

LINES = InterpolationMode.BILINEAR


def pictures(count: int = 7) -> Tensor:
    torch.manual_seed(0)
    return torch.randint(0, 256, (count, 3, 20, 16)) / 255


def slanted(image: Tensor, x: float, y: float) -> Tensor:
    degrees = [float(np.degrees(np.arctan(part))) for part in (x, y)]
    return V.affine(image, 0, [0, 0], 1, degrees, LINES)  # type: ignore[no-any-return]


def shifted(image: Tensor, x: float, y: float) -> Tensor:
    return V.affine(image, 0, [x, y], 1, [0, 0], LINES)  # type: ignore[no-any-return]


def by_torchvision(name: str, image: Tensor, share: float, sign: float) -> Tensor:
    """What TrivialAugment's operation makes of one picture (3, 20, 16)."""
    far, bytes_ = share * sign, (image * 255).round().to(torch.uint8)
    changes = {
        "nothing": lambda: image,
        "slant x": lambda: slanted(image, 0.99 * far, 0),
        "slant y": lambda: slanted(image, 0, 0.99 * far),
        "move x": lambda: V.affine(image, 0, [-16 * far, 0], 1, [0, 0], LINES),
        "turn": lambda: V.rotate(image, 135 * far, LINES),
        "brightness": lambda: V.adjust_brightness(image, 1 + 0.99 * far),
        "colour": lambda: V.adjust_saturation(image, 1 + 0.99 * far),
        "contrast": lambda: V.adjust_contrast(image, 1 + 0.99 * far),
        "sharpness": lambda: V.adjust_sharpness(image, 1 + 0.99 * far),
        "posterize": lambda: V.posterize(bytes_, 8 - round(6 * share)) / 255,
        "solarize": lambda: V.solarize(image, 1 - share),
        "autocontrast": lambda: V.autocontrast(image),
        "equalize": lambda: V.equalize(bytes_) / 255,
    }
    found: Tensor = changes[name]()
    return found


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name != "move y"])
def test_each_picture_is_what_torchvision_makes_of_it_alone(name: str) -> None:
    images = pictures()
    rng = np.random.default_rng(1)
    # Whole pixels, so that no rounding of a place decides which pixel is meant.
    shares = rng.integers(1, 16, 7) / 16 if name == "move x" else rng.integers(1, BINS, 7) / BINS
    signs = rng.choice([-1.0, 1.0], 7)
    chosen = np.full(7, OPERATIONS.index(name))
    chosen[3] = 0  # one that isn't changed stays what it was
    found = Policy("TrivialAugment").changed(images.clone(), chosen, shares, signs)
    for place in range(7):
        drawn = OPERATIONS[chosen[place]]
        expected = by_torchvision(drawn, images[place], shares[place], signs[place])
        torch.testing.assert_close(found[place], expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("policy", [Policy("RandAugment", 3, 20), Policy("TrivialAugment")])
@pytest.mark.parametrize("depth", [1, 3])
def test_pictures_stay_pictures_and_differ_in_how_they_change(policy: Policy, depth: int) -> None:
    images = pictures(1)[:, :depth].repeat(60, 1, 1, 1)
    found = policy.apply(images.clone(), np.random.default_rng(0))
    again = policy.apply(images.clone(), np.random.default_rng(0))
    assert torch.equal(found, again)
    assert found.shape == images.shape
    assert found.min() >= 0
    assert found.max() <= 1 + 1e-5
    assert len({picture.numpy().tobytes() for picture in found}) > 25


def test_a_magnitude_of_nothing_hardly_changes_a_picture() -> None:
    images = pictures(64)
    rng = np.random.default_rng(0)
    found = Policy("RandAugment", 1, 0).apply(images.clone(), rng)
    same = (found - images).abs().amax((1, 2, 3)) < 1e-3
    # What stretches or equalizes has no strength, and a threshold of white turns the white.
    assert same.float().mean() > 0.6
