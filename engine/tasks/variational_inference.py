"""Give back what was put in, and draw what never was."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812, its usual name

from engine import frechet
from engine.catalog import Advanced, Help, Range
from engine.chance import lots, normal
from engine.data.batches import Batch, Data
from engine.frechet import Frechet
from engine.models import Variational
from engine.pictures import png
from engine.tasks import Mean, Meter, Portable
from engine.tasks.probing import Probed

SHOWN = 10
SEED = 0
"""Of the pictures drawn after each epoch: the same codes, so that one sees them sharpen."""


class VariationalInference(
    Probed, label="Variational inference", fits={"latent code"}, needs={"image"}, rank=62,
    judges="errors", suggests={"data.shift": 0},
):  # fmt: skip
    """Learns to draw pictures that never were, and the few numbers that stand for a given one.

    Kingma & Welling 2014: the evidence lower bound (ELBO) of a picture, in nats, is how well it is
    told from a code drawn for it, less how far its codes are from the standard normal distribution.
    A grey pixel counts as the chance of a white one.
    """

    headline = "negative_elbo"
    larger_is_better = False
    augments = frozenset[str]()
    points = "codes"

    def __init__(
        self,
        *,
        beta: Annotated[
            float, Range(0, 100, step=0.1),
            Help("Weighs how far codes are from the standard normal distribution (Higgins 2017): "
                 "above 1 the numbers of a code part, below 1 pictures are drawn more exactly",
                 label="β"),
        ] = 1.0,
        free: Annotated[
            float, Range(0, 10, step=0.05), Advanced(),
            Help("So much each number of the code may tell at no cost, lest it tells nothing "
                 "(Kingma 2016)", label="Free bits", unit="nats"),
        ] = 0.0,
        binary: Annotated[
            bool,
            Help("Each time a picture is seen, its pixels are drawn black or white: then nats can "
                 "be compared with published ones, and bits per pixel mean something",
                 label="Black and white"),
        ] = False,
        **how: Any,
    ) -> None:  # fmt: skip
        super().__init__(**how)
        self.beta, self.free, self.binary = beta, free, binary

    def outputs(self, data: Data) -> int:
        """None: the way back gives the pictures."""
        return 0

    def step(self, model: Variational, batch: Batch) -> dict[str, Tensor]:
        """Also ``reconstruction`` and ``kl``, means over the batch in nats a picture.

        While it trains, a code and the colours of pixels are drawn by chance; else a picture gets
        always the same ones.
        """
        fixed = not getattr(model, "training", False)
        images = self.seen(batch, fixed=fixed)
        mean, log_variance = model.distribution(images)
        mean, log_variance = mean.float(), log_variance.float()
        codes = mean + (log_variance / 2).exp() * normal(batch, mean.shape[1], fixed=fixed)
        logits = model.decode(codes).float()
        told = F.binary_cross_entropy_with_logits(logits, images, reduction="sum") / len(images)
        each = divergence(mean, log_variance).mean(0)
        paid = each.clamp(min=self.free).sum() if self.free else each.sum()
        return {
            "loss": told + self.beta * paid, "output": logits,
            "reconstruction": told, "kl": each.sum(),
        }  # fmt: skip

    def seen(self, batch: Batch, *, fixed: bool) -> Tensor:
        """The pictures (B, C, H, W) that are to be told."""
        images = batch.inputs["images"]
        if not self.binary:
            return images
        chances = lots(batch, images[0].numel(), fixed=fixed, salt=2).view_as(images)
        return (chances < images).to(images.dtype)

    def meter(self, model: Variational, data: Data, *, final: bool = False) -> Meter:
        pixels = math.prod(data.shape) if self.binary else None
        items = len(data.splits["test" if final else "validation"])
        meter = EvidenceMeter(model, Frechet(data.shape[-1], items), pixels)
        return self.probed(meter, model, data, final=final)

    def features(self, model: Variational, batch: Batch) -> Tensor:
        return model.encode(batch.inputs["images"])

    def baselines(self, data: Data) -> dict[str, dict[str, float]]:
        """Each pixel as bright as on average, what drawn pictures are compared with, and those of
        the probe."""
        mean = torch.zeros(data.shape[2], *data.shape[:2])
        rows = data.splits["train"]
        for at in range(0, len(rows), 1024):
            mean += self._pictures(data, rows[at : at + 1024]).sum(0)
        shares = (mean + 1) / (len(rows) + 2)  # no pixel is certain: Laplace
        nats, rows = 0.0, data.splits["test"]
        for at in range(0, len(rows), 1024):
            images = self._pictures(data, rows[at : at + 1024])
            nats -= float((images * shares.log() + (1 - images) * (1 - shares).log()).sum())
        found = {"each pixel as on average": {"negative_elbo": nats / max(len(rows), 1)}}
        return found | frechet.baselines(data) | super().baselines(data)

    def _pictures(self, data: Data, rows: Any) -> Tensor:
        inputs = data.fed.gather(rows, torch.device("cpu"), None)
        return self.seen(Batch(inputs, rows=rows), fixed=True)

    def samples(
        self, model: Variational, batch: Batch, data: Data, scores: Mapping[str, Any]
    ) -> Iterator[tuple[str, str, Any]]:
        shape = list(data.shape)
        drawn = model.generate(3 * SHOWN, torch.Generator().manual_seed(SEED))
        yield "drawn", "images", {"shape": shape, "rows": [
            {"label": "drawn", "images": [png(image) for image in drawn[at : at + SHOWN]]}
            for at in range(0, len(drawn), SHOWN)
        ]}  # fmt: skip
        images = batch.inputs["images"]
        # Spread over the split, whose classes may lie one behind the other.
        images = images[torch.linspace(0, len(images) - 1, SHOWN).long().to(images.device)]
        codes = model.encode(images).float()
        rebuilt = model.decode(codes).float().sigmoid()
        # From the first picture to the last in even steps.
        share = torch.linspace(0, 1, SHOWN, device=codes.device)[:, None]
        between = model.decode(codes[:1] * (1 - share) + codes[-1:] * share).float().sigmoid()
        rows = {"original": images, "reconstruction": rebuilt, "from first to last": between}
        yield "reconstructions", "images", {"shape": shape, "rows": [
            {"label": label, "images": [png(image) for image in those]}
            for label, those in rows.items()
        ]}  # fmt: skip
        yield from super().samples(model, batch, data, scores)

    def portable(self, model: Variational, data: Data) -> Portable:
        """The picture again, and its code."""

        def of(images: Tensor) -> tuple[Tensor, Tensor]:
            code = model.encode(images)
            return model.decode(code).sigmoid(), code

        return Portable(("images",), ("reconstruction", "code"), of, "picture")

    def show(
        self, model: Variational, batch: Batch, data: Data, *,
        drawn: Annotated[
            int, Range(0, 100), Help("So many pictures that never were are drawn beside",
                                     label="New pictures")
        ] = 10,
        seed: Annotated[
            int, Range(0, 2**31 - 1), Help("Decides which new ones are drawn")
        ] = 0,
    ) -> list[dict[str, Any]]:  # fmt: skip
        """``{"reconstruction": PNG, "error": its mean squared error, "drawn": [PNG, …]}``."""
        images = batch.inputs["images"]
        output = model.decode(model.encode(images)).float().sigmoid()
        errors = (output - images).square().flatten(1).mean(1)
        new = model.generate(drawn, torch.Generator().manual_seed(seed))
        return [
            {"reconstruction": png(rebuilt), "error": float(error),
             "drawn": [png(image) for image in new]}
            for rebuilt, error in zip(output, errors, strict=True)
        ]  # fmt: skip


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Kullback & Leibler's, in nats, of normal distributions from the standard one, number by
    number: appendix B of Kingma & Welling 2014."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)


class EvidenceMeter:
    """The bound and its two parts in nats a picture, and how far drawn pictures are from real
    ones; with the number of `pixels`, also bits for each."""

    def __init__(self, model: Variational, frechet: Frechet, pixels: int | None) -> None:
        self.model, self.frechet, self.pixels = model, frechet, pixels
        self.means = {name: Mean() for name in ("loss", "reconstruction", "kl")}

    def update(self, step: Mapping[str, Tensor], batch: Batch) -> None:
        for name, mean in self.means.items():
            mean.add(step[name], len(batch))
        self.frechet.add(batch.inputs["images"])

    def compute(self) -> dict[str, Any]:
        found = {name: float(mean) for name, mean in self.means.items()}
        found["negative_elbo"] = found["reconstruction"] + found["kl"]
        if self.pixels:
            found["bits_per_pixel"] = found["negative_elbo"] / self.pixels / math.log(2)
        return found | {"frechet": self.frechet.of(self.model)}
