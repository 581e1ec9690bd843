"""A Transformer that reads pictures patch by patch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, its usual name

from engine.catalog import BadInput, Help, Range
from engine.layers.patches import missing
from engine.layers.transformer import Block
from engine.models import Dropout, Headed, Model, Standardize


class LearnedPlaces(nn.Module):
    """A vector for each patch, learned."""

    def __init__(self, rows: int, columns: int, width: int) -> None:
        super().__init__()
        self.vectors = nn.Parameter(torch.randn(rows * columns, width) * 0.02)

    def forward(self, patches: Tensor) -> Tensor:
        return patches + self.vectors


class WavePlaces(nn.Module):
    """Sines and cosines of each patch's row and column, a quarter of the width each."""

    vectors: Tensor

    def __init__(self, rows: int, columns: int, width: int) -> None:
        super().__init__()
        if width % 4:
            raise BadInput(f"{width} units can't hold sines and cosines of rows and columns: take "
                           "a multiple of 4, or learned places", field="model.width")  # fmt: skip
        speed = torch.exp(torch.arange(width // 4) * (-math.log(10_000.0) * 4 / width))
        row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        angles = [place.reshape(-1, 1) * speed for place in (row, column)]
        waves = torch.cat([wave for angle in angles for wave in (angle.sin(), angle.cos())], 1)
        self.register_buffer("vectors", waves, persistent=False)

    def forward(self, patches: Tensor) -> Tensor:
        return patches + self.vectors


class ClassToken(nn.Module):
    """The answer is read from a token of its own, before the patches."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.zeros(width))
        self.place = nn.Parameter(torch.randn(width) * 0.02)

    def begin(self, patches: Tensor) -> Tensor:
        token = (self.token + self.place).to(patches.dtype).expand(len(patches), 1, -1)
        return torch.cat([token, patches], 1)

    def end(self, states: Tensor) -> Tensor:
        return states[:, 0]


class Average(nn.Module):
    """The answer is read from the mean of all patches."""

    def __init__(self, width: int) -> None:
        super().__init__()

    def begin(self, patches: Tensor) -> Tensor:
        return patches

    def end(self, states: Tensor) -> Tensor:
        return states.mean(1)


PLACES: dict[str, Callable[[int, int, int], nn.Module]] = {
    "learned": LearnedPlaces, "sin-cos": WavePlaces,
}  # fmt: skip
READ: dict[str, type[ClassToken] | type[Average]] = {"mean": Average, "class token": ClassToken}


class PatchReader(Model):
    """What Transformers that read pictures share: everything but what they answer with.

    A picture that isn't a whole number of patches is filled up at its right and lower edges.
    """

    def __init__(
        self,
        shape: Sequence[int],
        outputs: int,
        *,
        patch: Annotated[
            int, Range(1, 64),
            Help("Side of a patch: half as large sees finer and takes four times as many",
                 label="Patch side", unit="pixels"),
        ] = 4,
        width: Annotated[
            int, Range(8, 2048, step=8), Help("Numbers that stand for a patch", unit="units")
        ] = 64,
        layers: Annotated[int, Range(1, 48), Help("Blocks of attention and dense layers")] = 4,
        heads: Annotated[int, Range(1, 32), Help("Places that a patch can look at at once")] = 4,
        places: Annotated[
            Literal["sin-cos", "learned"],
            Help("How a patch knows where it is; sines and cosines do better with little data"),
        ] = "sin-cos",
        read: Annotated[
            Literal["mean", "class token"],
            Help("What the class is read from: the mean of all patches, or a token of its own",
                 label="Read from"),
        ] = "mean",
        dropout: Dropout = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(shape, outputs)
        height, across, depth = shape
        if patch > max(height, across) // 2:
            raise BadInput(f"Patches of {patch} pixels leave one place of {height}×{across} pixels "
                           "or less: take smaller patches", field="model.patch")  # fmt: skip
        rows, columns = math.ceil(height / patch), math.ceil(across / patch)
        self.missing = missing(height, across, patch)
        self.patch, self.grid = patch, (rows, columns)
        self.standardize = Standardize(depth, dim=1)
        self.patches = nn.Conv2d(depth, width, patch, patch)
        self.places = PLACES[places](rows, columns, width)
        self.reading = READ[read](width)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(
            Block(width, heads, dropout=dropout, rotary=False) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)

    def read(self, images: Tensor, seen: Tensor | None = None) -> Tensor:
        """States (B, N, width) of the patches, row by row, after those of tokens before them.

        With `seen` (B, K), only those patches of each picture are read, in that order: (B, K, …).
        """
        # Behind the mean is nothing: zeros after the standardization.
        whole = F.pad(self.standardize(images), self.missing)
        patches = self.places(self.patches(whole).flatten(2).transpose(1, 2))
        if seen is not None:
            patches = patches.gather(1, seen[:, :, None].expand(-1, -1, patches.shape[2]))
        states = self.dropout(self.reading.begin(patches))
        for block in self.blocks:
            states, _ = block(states)
        return self.norm(states)  # type: ignore[no-any-return]

    def embed(self, images: Tensor) -> Tensor:
        """What is read from all patches of images (B, C, H, W) in 0…1: (B, width)."""
        return self.reading.end(self.read(images))


def glorot(model: nn.Module) -> None:
    """Linear layers as Glorot & Bengio 2010, as in the paper."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)


class VisionTransformer(
    PatchReader, Headed, label="Vision Transformer", fits={"image"}, provides={"logits"}, rank=12,
    takes={"MaskedAutoencoder"},
    suggests={"method.epochs": 30, "method.learning_rate": 1e-3, "method.weight_decay": 0.05,
              "method.clip": 1.0},
    thorough={"model.width": 192, "model.layers": 12, "model.heads": 3, "model.dropout": 0.1,
              "method.epochs": 300, "method.batch_size": 512, "method.learning_rate": 1e-3,
              "method.schedule": "cosine", "method.warmup": 0.05, "method.average": 0.9998,
              "task.label_smoothing": 0.1},
):  # fmt: skip
    """Cuts a picture into patches and lets each look at all others: wants much data.

    Dosovitskiy et al. 2021; the mean and sine places are from Beyer et al. 2022. 86,567,656
    parameters as ViT-B/16: 224×224×3, patches of 16, 12 layers of 12 heads and 768 units, learned
    places and a class token, 1,000 classes.
    """

    def __init__(self, shape: Sequence[int], outputs: int, **settings: Any) -> None:
        super().__init__(shape, outputs, **settings)
        self.head = nn.Linear(self.norm.normalized_shape[0], outputs)
        glorot(self)
