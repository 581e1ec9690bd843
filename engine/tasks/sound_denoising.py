"""Give back clean what was put in corrupted, step by step."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from torch import Tensor

from engine.catalog import Help, Range
from engine.chance import lots, normal
from engine.data.batches import Batch, Data
from engine.models import Standardize, Stepper
from engine.tasks.each_step import EachStep, picture


class SoundDenoising(
    EachStep, label="Denoising of sounds", fits={"spectra"}, needs={"audio"}, rank=68,
    judges="errors", suggests={"data": "TelephoneKeys", "method.epochs": 20},
):  # fmt: skip
    """Learns without labels to clean spectra of sounds that were corrupted first.

    A stretch of time and a run of bands are hidden, and noise is added (denoising autoencoders,
    Vincent et al. 2010; masks as Park et al. 2019). A start for telling sounds apart with the same
    model.
    """

    augments = frozenset[str]()

    def __init__(
        self,
        *,
        noise: Annotated[
            float, Range(0, 5, step=0.05),
            Help("Standard deviation of the noise, in those of each band"),
        ] = 0.5,
        time: Annotated[
            float, Range(0, 0.9, step=0.05),
            Help("The share of a recording's time that is hidden, in one stretch",
                 label="Hidden time"),
        ] = 0.15,
        bands: Annotated[
            float, Range(0, 0.9, step=0.05),
            Help("The share of the bands that is hidden, in one run",
                 label="Hidden bands"),
        ] = 0.2,
        **how: Any,
    ) -> None:  # fmt: skip
        super().__init__(**how)
        self.noise, self.time, self.bands = noise, time, bands

    def outputs(self, data: Data) -> int:
        """None: the way back gives the frames."""
        return 0

    def read(self, batch: Batch, scale: Standardize, *, fixed: bool) -> Tensor:
        values, lengths = batch.inputs["values"], batch.inputs["lengths"]
        _, longest, width = values.shape
        noise = normal(batch, longest * width, fixed=fixed).view_as(values)
        heard = values + self.noise * noise * scale.std
        where = lots(batch, 2, fixed=fixed, salt=2)
        hidden = span(where[:, 0], lengths, self.time, longest)[:, :, None]
        across = torch.full_like(lengths, width)
        hidden = hidden | span(where[:, 1], across, self.bands, width)[:, None]
        return torch.where(hidden, scale.mean, heard)

    def wanted(self, batch: Batch, scale: Standardize) -> tuple[Tensor, Tensor]:
        return scale(batch.inputs["values"]), self.counted(batch)

    def baselines(self, data: Data) -> dict[str, dict[str, float]]:
        return self.measured(data, "the corrupted sound") | super().baselines(data)

    def show(
        self, model: Stepper, batch: Batch, data: Data, *,
        corrupted: Annotated[
            bool, Help("Corrupts it as in training before it is read", label="Corrupt it first")
        ] = True,
    ) -> list[dict[str, Any]]:  # fmt: skip
        """``{"reconstruction": PNG, "error": mean squared, in squared standard deviations}`` beside
        the ``input`` and, where it was, as ``corrupted``; time to the right."""
        scale, lengths, shown = model.standardize, batch.inputs["lengths"], []
        clean = batch.inputs["values"]
        seen = self.read(batch, scale, fixed=True) if corrupted else clean
        told = model.steps(seen, lengths).float() + scale(seen)
        for n, length in enumerate(lengths.tolist()):
            true, rebuilt, worse = (
                those[n, :length] for those in (scale(clean), told, scale(seen))
            )
            shown.append(
                {"input": picture(true), "reconstruction": picture(rebuilt),
                 "error": float((rebuilt - true).square().mean())}
                | ({"corrupted": picture(worse)} if corrupted else {})
            )  # fmt: skip
        return shown


def span(where: Tensor, lengths: Tensor, share: float, longest: int) -> Tensor:
    """(B, longest), true in one run of that share of each length; it begins so far into what is
    left as `where` (B,) in [0, 1) says."""
    widths = (share * lengths).round().long()
    starts = (where * (lengths - widths + 1)).long()
    places = torch.arange(longest, device=lengths.device)
    return (places >= starts[:, None]) & (places < (starts + widths)[:, None])
