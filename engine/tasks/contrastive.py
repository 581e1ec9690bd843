"""Which of all these views is of the same picture?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, its usual name

from engine.augmentation.views import Views
from engine.catalog import Advanced, Help, Range
from engine.chance import lots
from engine.data.batches import Batch, Data
from engine.data.items import Images
from engine.data.splits import Rows
from engine.models import Headed
from engine.pictures import png
from engine.tasks import Mean, Meter
from engine.tasks.probing import Probed

GROUP = 256
"""Pictures whose views are compared with each other when a split is measured."""


class Contrastive(
    Probed, label="Contrastive learning (SimCLR)", fits={"features"}, needs={"image"}, rank=61,
    suggests={"method.epochs": 50, "method.batch_size": 256, "data.shift": 0},
    thorough={"method.epochs": 800, "method.batch_size": 1024, "task.temperature": 0.5,
              "task.smallest": 0.08, "task.hidden": 2048, "task.dimensions": 128},
):  # fmt: skip
    """Learns from pictures without labels what two random views of the same one have in common.

    Chen et al. 2020: a picture's view is to be told by another view of it among the views of all
    other pictures of the batch. The head learns that and is thrown away; a run of classification
    that starts from this one takes over everything below it.
    """

    headline = "contrastive_accuracy"
    larger_is_better = True
    augments = frozenset[str]()  # views differ by more than that

    def __init__(
        self,
        *,
        temperature: Annotated[
            float, Range(0.02, 2, log=True),
            Help("How much the most similar of the other pictures count: lower looks at the "
                 "nearest alone"),
        ] = 0.2,
        smallest: Annotated[
            float, Range(0.05, 1, step=0.01),
            Help("A view shows at least this share of its picture: small shares make it harder",
                 label="Smallest crop"),
        ] = 0.3,
        jitter: Annotated[
            float, Range(0, 1, step=0.05),
            Help("How far a view's brightness, contrast and colours change",
                 label="Colour jitter"),
        ] = 0.5,
        grey: Annotated[
            float, Range(0, 1, step=0.05), Advanced(),
            Help("The share of views without colour", label="Grey views"),
        ] = 0.2,
        blur: Annotated[
            float, Range(0, 1, step=0.05), Advanced(),
            Help("The share of views that are blurred: for photographs, not for small pictures",
                 label="Blurred views"),
        ] = 0.0,
        dimensions: Annotated[
            int, Range(2, 2048), Advanced(),
            Help("Numbers of a view by which it is compared"),
        ] = 64,
        hidden: Annotated[
            int, Range(2, 8192), Advanced(),
            Help("Units of the head's hidden layer", label="Head width"),
        ] = 256,
        **how: Any,
    ) -> None:  # fmt: skip
        super().__init__(**how)
        self.temperature, self.dimensions, self.hidden = temperature, dimensions, hidden
        self.views = Views(smallest=smallest, jitter=jitter, grey=grey, blur=blur)

    def outputs(self, data: Data) -> int:
        return self.dimensions

    def equip(self, model: Headed) -> None:
        """Put a head of two layers over the features, with a norm between them."""
        height, width, depth = model.shape
        model.eval()  # a single picture has no statistics
        with torch.no_grad():
            features = model.embed(torch.zeros(1, depth, height, width)).shape[1]
        model.train()
        model.head = nn.Sequential(
            nn.Linear(features, self.hidden, bias=False), nn.BatchNorm1d(self.hidden), nn.ReLU(),
            nn.Linear(self.hidden, self.dimensions),
        )  # fmt: skip

    def prepare(self, data: Data) -> None:
        """Views are mirrored where the dataset says that its pictures may be."""
        assert isinstance(data.items, Images)
        self.views = replace(self.views, flip=data.items.variation.flip)

    def pair(self, batch: Batch, *, fixed: bool) -> tuple[Tensor, Tensor]:
        """Two views of each picture: at random for training, `fixed` to measure."""
        first, second = (
            self.views(batch.inputs["images"], lots(batch, Views.LOTS, fixed=fixed, salt=salt))
            for salt in range(2)
        )
        return first, second

    def step(self, model: Headed, batch: Batch) -> dict[str, Tensor]:
        """The output is (2B, 2B), how alike each two views are; a view is not its own partner.
        Also ``codes`` (2B, D) of the views."""
        codes = model(torch.cat(self.pair(batch, fixed=not model.training)))
        output = alike(codes) / self.temperature
        loss = F.cross_entropy(output, partners(output))
        return {"loss": loss, "output": output, "codes": codes}

    def features(self, model: Headed, batch: Batch) -> Tensor:
        return model.embed(**batch.inputs)

    def meter(self, model: Headed, data: Data, *, final: bool = False) -> Meter:
        return self.probed(PairMeter(self.temperature), model, data, final=final)

    def uncertainty(self, scores: Mapping[str, Any], items: int) -> float:
        share: float = scores["contrastive_accuracy"]
        return min(math.sqrt(share * (1 - share) / items), 0.01)

    def show(self, model: Headed, batch: Batch, data: Data) -> list[dict[str, Any]]:
        first, second = self.pair(batch, fixed=False)
        cosines = F.cosine_similarity(model(first).float(), model(second).float())
        return [
            {"views": [png(one), png(other)], "similarity": float(cosine)}
            for one, other, cosine in zip(first, second, cosines, strict=True)
        ]


def alike(codes: Tensor) -> Tensor:
    """The cosines (2B, 2B) of every two of the codes (2B, D), in float32; −∞ with itself."""
    with torch.autocast(codes.device.type, enabled=False):
        codes = F.normalize(codes.float())
        return (codes @ codes.T).fill_diagonal_(-math.inf)


def partners(output: Tensor) -> Tensor:
    """Where each view's partner is: the first halves' are in the second half, in their order."""
    return torch.arange(len(output), device=output.device).roll(len(output) // 2)


class PairMeter:
    """Loss, and the share of views whose partner is told among all other views of its group.

    Groups are of 256 pictures, or of all where a split has fewer, drawn at random but always the
    same: neither depends on how large batches are, nor on classes that lie one behind the other.
    """

    def __init__(self, temperature: float) -> None:
        self.temperature = temperature
        self.codes: list[Tensor] = []
        self.rows: list[Rows] = []

    def update(self, step: Mapping[str, Tensor], batch: Batch) -> None:
        codes = step["codes"].detach()
        self.codes.append(codes.view(2, len(batch), -1))
        self.rows.append(np.arange(len(batch)) if batch.rows is None else batch.rows)

    def compute(self) -> dict[str, Any]:
        codes, order = torch.cat(self.codes, 1), np.argsort(np.concatenate(self.rows))
        order = order[np.random.default_rng(0).permutation(len(order))]
        group = min(GROUP, len(order))
        loss, right = Mean(), Mean()
        for begin in range(0, len(order), group):
            # The last is made whole by pictures that have been in others, which count no more.
            first = min(begin, len(order) - group)
            some = torch.from_numpy(order[first : first + group]).to(codes.device)
            output = alike(codes[:, some].flatten(0, 1)) / self.temperature
            true = partners(output)
            losses = F.cross_entropy(output, true, reduction="none").view(2, -1)
            told = (output.argmax(1) == true).float().view(2, -1)
            new = slice(begin - first, None)
            loss.add(losses[:, new].mean(), first + group - begin)
            right.add(told[:, new].mean(), first + group - begin)
        among = f"among the {2 * group - 1} other views of a random group of {group} pictures"
        return {
            "loss": float(loss), "contrastive_accuracy": float(right),
            "signatures": {
                "contrastive_accuracy": f"each view's partner is told {among}",
                "loss": f"cross-entropy of each view's partner {among}",
            },
        }  # fmt: skip
