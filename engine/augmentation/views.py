"""Random views of pictures, made for a whole batch at once on the device where it is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812, its usual name

LUMINANCE = (0.299, 0.587, 0.114)
"""What red, green and blue add to how bright a colour is (ITU-R BT.601)."""
RATIO = math.log(4 / 3)
"""A crop is wider than high, or higher than wide, by this much at most: 4 to 3."""
JITTERED = 0.8
"""The share of pictures whose colours are changed."""
BLUR = (0.1, 2.0)
"""Standard deviations of the blur, in pixels of a picture of 32; it grows with the picture."""


@dataclass(frozen=True)
class Views:
    """How views differ from their pictures: Chen et al. 2020, appendix A.

    Every change of colour is a sum of colours, so all of them together are one 3×3 matrix a
    picture. The paper turns hues in HSV, here they turn about the grey axis; colours are clipped
    once, at the end.
    """

    smallest: float = 0.3
    """A crop holds at least this share of the picture."""
    flip: bool = False
    """Half of the views are mirrored left to right."""
    jitter: float = 0.5
    """How far brightness, contrast, saturation (by 0.8 of it) and hue (0.2) change."""
    grey: float = 0.2
    """The share of views without colour."""
    blur: float = 0.0
    """The share of views that are blurred."""

    LOTS = 13
    """Numbers in [0, 1) that decide a view."""

    def __bool__(self) -> bool:
        """Whether a view differs from its picture."""
        return self.smallest < 1 or bool(self.flip or self.jitter or self.grey or self.blur)

    def __call__(self, images: Tensor, lots: Tensor) -> Tensor:
        """Views (B, C, H, W) in 0…1 of such images, decided by `lots` (B, LOTS)."""
        with torch.autocast(images.device.type, enabled=False):
            area, ratio, down, right, mirror, soft, sigma, *colours = lots.float().unbind(1)
            views = images.float()
            if self.smallest < 1 or self.flip:
                views = self.cropped(views, area, ratio, down, right, mirror)
            if self.blur:
                blurred = blur(views, sigma)
                views = torch.where((soft < self.blur)[:, None, None, None], blurred, views)
            if self.jitter or self.grey:
                views = self.coloured(views, colours)
            return views.contiguous(memory_format=torch.channels_last)

    def cropped(
        self, images: Tensor, area: Tensor, ratio: Tensor, down: Tensor, right: Tensor,
        mirror: Tensor,
    ) -> Tensor:  # fmt: skip
        """A part of each picture, enlarged to the whole; mirrored, where that is allowed."""
        share = self.smallest + (1 - self.smallest) * area
        # A picture that is shown whole keeps its shape.
        stretch = (RATIO * (2 * ratio - 1)).exp() if self.smallest < 1 else torch.ones_like(ratio)
        tall, wide = (x.sqrt().clamp(max=1) for x in (share / stretch, share * stretch))
        mirrored = torch.where(mirror < 0.5, -1.0, 1.0) if self.flip else 1.0
        nothing = torch.zeros_like(tall)
        # In coordinates of −1…1, so much of the picture lies around a place so far from 0.
        seen = torch.stack([
            wide * mirrored, nothing, (1 - wide) * (2 * right - 1),
            nothing, tall, (1 - tall) * (2 * down - 1),
        ], 1).view(-1, 2, 3)  # fmt: skip
        grid = F.affine_grid(seen, list(images.shape), align_corners=False)
        return F.grid_sample(images, grid, padding_mode="border", align_corners=False)

    def coloured(self, images: Tensor, lots: list[Tensor]) -> Tensor:
        """The images with other colours."""
        chosen, bright, hard, strong, turned, pale = lots
        jitter = torch.where(chosen < JITTERED, self.jitter, 0.0)
        brightness, contrast, saturation = (
            1 + 0.8 * jitter * (2 * lot - 1) for lot in (bright, hard, strong)
        )
        batch, depth = images.shape[:2]
        pixels = images.flatten(2)
        mean = pixels.mean(2)
        if depth == 3:
            saturation = torch.where(pale < self.grey, 0.0, saturation)
            mixing = recolour(saturation, 0.2 * jitter * (2 * turned - 1))
            luminance = mean @ mean.new_tensor(LUMINANCE)
        else:
            mixing = torch.eye(depth, device=images.device).expand(batch, depth, depth)
            luminance = mean.mean(1)
        # Contrast moves every pixel away from the picture's mean, or towards it.
        offset = ((1 - contrast) * brightness * luminance)[:, None, None]
        mixing = (contrast * brightness)[:, None, None] * mixing
        return torch.baddbmm(offset, mixing, pixels).clamp_(0, 1).view(images.shape)


def blur(images: Tensor, strength: Tensor) -> Tensor:
    """Images (B, C, H, W), blurred from 0, hardly, to 1, the strongest."""
    height, width = images.shape[2:]
    least, most = (bound * min(height, width) / 32 for bound in BLUR)
    spread = least + (most - least) * strength
    batch, depth = images.shape[:2]
    # Along rows, then along columns: each a product with a matrix of the picture's own.
    lines = images.permute(0, 2, 3, 1).reshape(batch, height, width * depth)
    lines = (gaussian(height, spread) @ lines).view(batch, height, width, depth).transpose(1, 2)
    lines = gaussian(width, spread) @ lines.reshape(batch, width, height * depth)
    return lines.view(batch, width, height, depth).permute(0, 3, 2, 1)


def gaussian(side: int, spread: Tensor) -> Tensor:
    """Matrices (B, side, side) that blur a row, each by its own standard deviation."""
    pixels = torch.arange(side, device=spread.device)
    far = (pixels[:, None] - pixels).square() / 2
    return (-far / spread.square()[:, None, None]).softmax(2)


def recolour(saturation: Tensor, turn: Tensor) -> Tensor:
    """Matrices (B, 3, 3) on colours: so much saturation (B,), and hues turned (B,) once for 1."""
    weights = saturation.new_tensor(LUMINANCE)
    # Luminance, and two colour differences in which a hue is an angle (YIQ).
    luma = torch.stack([weights, weights.new_tensor([0.5959, -0.2746, -0.3213]),
                        weights.new_tensor([0.2115, -0.5227, 0.3112])])  # fmt: skip
    sine, cosine = (2 * math.pi * turn).sin() * saturation, (2 * math.pi * turn).cos() * saturation
    rotation = torch.zeros(len(turn), 3, 3, device=turn.device)
    rotation[:, 0, 0] = 1
    rotation[:, 1, 1], rotation[:, 1, 2] = cosine, -sine
    rotation[:, 2, 1], rotation[:, 2, 2] = sine, cosine
    mixing: Tensor = torch.linalg.inv(luma) @ rotation @ luma
    return mixing
