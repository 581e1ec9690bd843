"""Draw what can't be told from the real."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F  # noqa: N812, its usual name

from engine import frechet
from engine.catalog import Advanced, Help, Range
from engine.chance import normal
from engine.data.batches import Batch, Data
from engine.frechet import Frechet
from engine.models import Adversary
from engine.pictures import png
from engine.tasks import Mean, Meter, Portable
from engine.tasks.probing import Probed

SHOWN = 10
ROWS = 3
SEED = 0
"""Of the pictures drawn after each epoch: the same codes, so that one sees them sharpen."""


class AdversarialGeneration(
    Probed, label="Adversarial generation", fits={"adversary"}, needs={"image"}, rank=64,
    invents=True,
    suggests={
        "data.shift": 0, "method.epochs": 40, "method.optimizer": "Adam", "method.momentum": 0.5,
        "method.learning_rate": 5e-4, "method.schedule": "constant", "method.weight_decay": 0.0,
        "method.average": 0.99,
    },
    thorough={"method.epochs": 300, "method.learning_rate": 2e-4, "method.average": 0.999},
):  # fmt: skip
    """Learns to draw pictures that never were, until its critic can't tell them from real ones.

    Goodfellow et al. 2014, with their non-saturating loss for the generator. The losses of two who
    learn against each other say little of the pictures: look at them, and at their distance from
    real ones.
    """

    headline = "frechet"
    larger_is_better = False
    augments = frozenset[str]()

    def __init__(
        self,
        *,
        smoothing: Annotated[
            float, Range(0, 0.5, step=0.05), Advanced(),
            Help("Real pictures count as real only to 1 less this, so that the critic is never too "
                 "sure (Salimans et al. 2016)", label="One-sided label smoothing"),
        ] = 0.1,
        **how: Any,
    ) -> None:  # fmt: skip
        super().__init__(**how)
        self.smoothing = smoothing

    def outputs(self, data: Data) -> int:
        """None: the critic gives a verdict."""
        return 0

    def step(self, model: Adversary, batch: Batch) -> dict[str, Tensor]:
        """Also ``real`` and ``fake``, the critic's verdicts (B, 1), and the losses of both.

        The sum of both losses has the right gradients of both in one pass back: the critic's knows
        nothing of how the pictures were drawn, and the generator's nothing of the critic's weights.
        """
        images = batch.inputs["images"]
        fixed = not getattr(model, "training", False)
        drawn = model.draw(normal(batch, model.code, fixed=fixed))
        real, fake = model(images).float(), model(drawn.detach()).float()
        told = F.binary_cross_entropy_with_logits(real, torch.full_like(real, 1 - self.smoothing))
        told = told + F.softplus(fake).mean()
        deceived = F.softplus(-held(model, drawn).float()).mean()
        return {
            "loss": told + deceived, "output": drawn, "real": real, "fake": fake,
            "critic_loss": told, "generator_loss": deceived,
        }  # fmt: skip

    def features(self, model: Adversary, batch: Batch) -> Tensor:
        return model.embed(batch.inputs["images"])

    def meter(self, model: Adversary, data: Data, *, final: bool = False) -> Meter:
        items = len(data.splits["test" if final else "validation"])
        meter = VerdictMeter(model, Frechet(data.shape[-1], items))
        return self.probed(meter, model, data, final=final)

    def baselines(self, data: Data) -> dict[str, dict[str, float]]:
        return frechet.baselines(data) | super().baselines(data)

    def samples(
        self, model: Adversary, batch: Batch, data: Data, scores: Mapping[str, Any]
    ) -> Iterator[tuple[str, str, Any]]:
        drawn = model.generate(ROWS * SHOWN, torch.Generator().manual_seed(SEED))
        yield "drawn", "images", {"shape": list(data.shape), "rows": [
            {"label": "drawn", "images": [png(image) for image in drawn[at : at + SHOWN]]}
            for at in range(0, len(drawn), SHOWN)
        ]}  # fmt: skip
        yield from super().samples(model, batch, data, scores)

    def portable(self, model: Adversary, data: Data) -> Portable:
        """The picture of each code (B, code) of normal numbers."""
        return Portable(
            ("codes",), ("pictures",), lambda codes: (model.draw(codes),), "drawing",
            {"code": model.code}, drawn=lambda count: (torch.randn(count, model.code),),
        )  # fmt: skip

    def show(
        self, model: Adversary, batch: Batch, data: Data, *,
        drawn: Annotated[int, Range(1, 100), Help("How many", label="New pictures")] = 20,
    ) -> list[dict[str, Any]]:  # fmt: skip
        """``{"drawn": [PNG, …]}`` of each seed."""
        return [
            {"drawn": [
                png(image) for image in model.generate(drawn, torch.Generator().manual_seed(seed))
            ]}
            for seed in batch.inputs["seeds"].tolist()
        ]  # fmt: skip


def held(model: Adversary, drawn: Tensor) -> Tensor:
    """The critic's verdict (B, 1) on pictures, its weights taken for constants; what it counts of
    the pictures that it sees, it doesn't count."""
    constants = {name: weight.detach() for name, weight in model.named_parameters()}
    counts = {name: count.clone() for name, count in model.named_buffers()}
    return functional_call(model, {**constants, **counts}, (drawn,))  # type: ignore[arg-type, no-any-return]


class VerdictMeter:
    """The losses of both, how often the critic is right, and how far drawn pictures are from
    real ones."""

    def __init__(self, model: Adversary, frechet: Frechet) -> None:
        self.model, self.frechet = model, frechet
        self.means = {
            name: Mean() for name in ("loss", "critic_loss", "generator_loss", "real_accuracy",
                                      "fake_accuracy")
        }  # fmt: skip

    def update(self, step: Mapping[str, Tensor], batch: Batch) -> None:
        right = {"real_accuracy": step["real"] > 0, "fake_accuracy": step["fake"] < 0}
        told = {**step, **{name: those.float().mean() for name, those in right.items()}}
        for name, mean in self.means.items():
            mean.add(told[name], len(batch))
        self.frechet.add(batch.inputs["images"])

    def compute(self) -> dict[str, Any]:
        found = {name: float(mean) for name, mean in self.means.items()}
        return found | {"frechet": self.frechet.of(self.model)}
