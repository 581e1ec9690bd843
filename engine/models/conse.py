"""Zero-shot for pictures by what ImageNet's things are called."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from engine.catalog import Advanced, Help, Range
from engine.data.batches import Data
from engine.home import Home
from engine.models import Namer, Published, directions
from engine.models.efficientnet_lite0 import EfficientNetLite0, Side
from engine.models.sentence_encoder import WIDTH, meanings

THINGS = 1000
"""What the network tells apart."""


class ConSE(
    Namer, label="ConSE: pictures by names", fits={"image"}, published=True, bundled=True, rank=60,
    suggests={"method": "ZeroShot"},
):  # fmt: skip
    """Tells pictures apart by the names of their classes alone: no example is needed.

    A convex combination of semantic embeddings (Norouzi et al. 2013): EfficientNet-Lite0 says
    which of ImageNet's thousand things a picture is most like; their meanings, averaged by
    probability, are the picture's, and the class whose name means the most similar is the answer.
    A thing's meaning is that of its names and its definition, as all-MiniLM-L6-v2 reads them, less
    the mean of all. It knows what is like one of those things and nothing else: text, faces or
    moods in pictures mean nothing to it.
    """

    scale = 10.0  # by which its probabilities are about right for CIFAR-10's training pictures
    works_with = "ConSE with EfficientNet-Lite0 and MiniLM"
    known: Tensor
    centre: Tensor

    def __init__(
        self,
        shape: Sequence[int],
        outputs: int,
        *,
        side: Side = 224,
        names: Annotated[
            int, Range(1, THINGS), Help("Of so many of ImageNet's things, the likeliest, a "
                                        "picture's meaning is made")
        ] = 20,
        softness: Annotated[
            float, Range(0.5, 10), Advanced(),
            Help("Above 1 the likelihoods are evened out before: for small or strange pictures, "
                 "which the network is too sure of", label="Softmax temperature"),
        ] = 2.0,
    ) -> None:  # fmt: skip
        super().__init__(shape, outputs)
        self.sees = EfficientNetLite0(shape, THINGS, side=side, dropout=0)
        self.names, self.softness = names, softness
        # What a checkpoint needs to answer by itself: the reader of names stays behind.
        self.register_buffer("known", torch.zeros(THINGS, WIDTH))
        self.register_buffer("centre", torch.zeros(WIDTH))
        self.head = nn.Linear(WIDTH, outputs)

    @classmethod
    def published(cls, home: Home, **settings: Any) -> Published:
        network = EfficientNetLite0.published(home)
        meant = of_things(home)
        centre = meant.mean(0)
        weights = {f"sees.{name}": tensor for name, tensor in network.weights.items()}
        weights |= {"known": meant - centre, "centre": centre}
        return Published("EfficientNet-Lite0 and all-MiniLM-L6-v2", weights)

    def levels(self) -> list[tuple[str, ...]]:
        return [("sees",), ("head",)]

    def fit_inputs(self, mean: Sequence[float], std: Sequence[float]) -> None:
        """Nothing is learned: the scale is that of the published weights."""

    def embed(self, images: Tensor) -> Tensor:
        """What images (B, C, H, W) in 0…1 show, as a direction among meanings: (B, 384)."""
        shares = (self.sees(images) / self.softness).softmax(1)
        likely = shares.topk(self.names, dim=1)
        chosen = torch.zeros_like(shares).scatter(1, likely.indices, likely.values)
        return directions(chosen @ self.known)  # a direction: their sum may be any

    def meanings(self, sentences: Sequence[str], data: Data, home: Home) -> Tensor:
        return meanings(sentences, home) - self.centre.cpu()


@functools.cache
def of_things(home: Home) -> Tensor:
    """What ImageNet's things mean, (1000, 384): some seconds of work, once a process."""
    return meanings(definitions(), home)


def definitions() -> list[str]:
    """What ImageNet's things are: all their names, and what WordNet says of them."""
    from timm.data.imagenet_info import ImageNetInfo  # takes seconds: only when it is chosen

    about = ImageNetInfo()
    return [about.index_to_description(thing, detailed=True) for thing in range(THINGS)]
