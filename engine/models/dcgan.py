"""A generator and the critic that it has to deceive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, its usual name
from torch.nn.utils.parametrize import register_parametrization

from engine.catalog import Help, Range
from engine.layers.convolutions import doubling, halved, halving, large_enough
from engine.models import Headed


class DCGAN(
    Headed, label="DCGAN", fits={"image"}, rank=57, provides={"adversary", "logits"},
    suggests={"task": "AdversarialGeneration"},
    thorough={"model.channels": [64, 128, 256]},
):  # fmt: skip
    """Two convolutional networks against each other: one draws, the other tells drawn from real.

    Radford et al. 2016, with the critic's weights divided by their spectral norm (Miyato et al.
    2018) in place of its batch normalization, if so wished. What the critic sees in pictures is a
    start for telling classes apart.
    """

    def __init__(
        self,
        shape: Sequence[int],
        outputs: int,
        *,
        channels: Annotated[
            Sequence[int], Range(1, 1024),
            Help("Channels of each of the critic's convolutions, which halves the picture; the "
                 "generator mirrors them"),
        ] = (32, 64),
        code: Annotated[
            int, Range(1, 1024), Help("Random numbers of which a picture is made")
        ] = 64,
        spectral: Annotated[
            bool,
            Help("Keeps the critic from judging too sharply, so that the generator can follow; "
                 "off: batch normalization as in the paper", label="Spectral normalization"),
        ] = True,
    ) -> None:  # fmt: skip
        """With outputs it has a head over what the critic sees, and no generator."""
        super().__init__(shape, outputs)
        large_enough(shape, 8, "give the dataset a larger size")
        height, width, depth = shape
        sides = halved(height, width, len(channels))
        high, wide = sides[-1]
        self.critic = nn.Sequential(
            *halving(depth, channels, activation="LeakyReLU", normed=not spectral), nn.Flatten()
        )
        seen = channels[-1] * high * wide
        self.code = code
        if outputs:
            self.head = nn.Linear(seen, outputs)
        else:
            self.verdict = nn.Linear(seen, 1)
            self.generator = doubling(
                code, [*channels[::-1], depth], sides[::-1], activation="ReLU", normed=True
            )
        # As in the paper: larger first steps make one of the two win at once.
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(module.weight, 0.0, 0.02 if not spectral else 0.05)
        if spectral:
            for part in [*self.critic, *([] if outputs else [self.verdict])]:
                if isinstance(part, nn.Conv2d | nn.Linear):
                    register_parametrization(part, "weight", Spectral(part.weight.shape[0]))

    def embed(self, images: Tensor) -> Tensor:
        """What the critic sees in images (B, C, H, W) in 0…1: (B, F)."""
        return self.critic(2 * images - 1)  # type: ignore[no-any-return]

    def answer(self, features: Tensor) -> Tensor:
        """(B, outputs); without outputs the critic's verdict (B, 1), above 0 for real pictures."""
        return super().answer(features) if self.outputs else self.verdict(features)

    def draw(self, codes: Tensor) -> Tensor:
        """Pictures (B, C, H, W) in 0…1 of codes (B, code)."""
        return self.generator(codes).float().sigmoid()  # type: ignore[no-any-return]

    def generate(self, count: int, generator: torch.Generator) -> Tensor:
        codes = torch.randn(count, self.code, generator=generator)
        return self.draw(codes.to(self.device))


class Spectral(nn.Module):
    """A weight divided by its largest singular value, found by power iteration: one step each time
    the weight is used in training goes on from the last.

    Here the step is also taken where nothing is learned, from what is known and without keeping it.
    So the value is right for averaged weights too, whose average of directions is none.
    """

    direction: Tensor

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.register_buffer("direction", F.normalize(torch.randn(outputs), dim=0))

    def forward(self, weight: Tensor) -> Tensor:
        matrix = weight.flatten(1)
        with torch.no_grad(), torch.autocast(weight.device.type, enabled=False):
            right = F.normalize(self.direction @ matrix, dim=0)
            left = F.normalize(matrix @ right, dim=0)
            if self.training:
                self.direction.copy_(left)
        return weight / (left @ matrix @ right)
