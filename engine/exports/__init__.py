"""Exports: how a model leaves the house; one file, one class, one choice on the page."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from engine.catalog import Choosable
from engine.exports.leaving import Leaving

READ = {
    "logits", "names", "features", "reconstruction", "latent code", "masked image", "frames",
    "forecast", "steps", "spectra", "next token", "target text",
}  # fmt: skip
"""Answers that a script of a page or two reads a file for."""
UNREAD = "It answers no file: take the ONNX file, the graph or the weights"
UNDRAWN = "It reads recordings sample by sample: no graph can be drawn of it. Take its weights"
"""Its steps are counted in Python, recording by recording (`engine.layers.hub_speech`)."""


class Export(Choosable, kind="export"):
    """One form in which a model can be taken away. Its card ``fits`` the answers that it can carry,
    or “any”, and ``needs`` what model and data must offer besides; ``otherwise`` says why a run
    hasn't got it, ``unheard`` why one hasn't whose model reads samples
    (`engine.catalog.Catalog.exports`)."""

    stages: ClassVar[int]
    """How many things `make` says that it does."""
    calibrated: ClassVar[bool] = True
    """It says by which temperature the run's probabilities are made (`engine.calibration`), and is
    old when that has changed."""

    @abstractmethod
    def make(self, leaving: Leaving, folder: Path) -> Iterator[str]:
        """Write the files into the folder; says what it does next, and leaves in `leaving.facts`
        what is to be known of them. BadInput when it can't be done."""
