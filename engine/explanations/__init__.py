"""Explanations: why a model answered so; one file, one class, one choice on the page."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

from torch import Tensor

from engine.catalog import Choosable
from engine.explanations.deletion import VARIANTS, deletion
from engine.explanations.subject import Subject


class Explanation(Choosable, kind="explanation"):
    """One way to look into an answer. Its card ``fits`` what the run's data, model and task offer
    (`engine.explain.offered`), and ``needs`` all that it names of that."""

    targeted: ClassVar[bool] = False
    """Whether it explains one number of the answer, which a person can choose."""

    @classmethod
    def suits(cls, subject: Subject) -> bool:
        """Whether this model has what it takes, where its card can't know."""
        return True

    @abstractmethod
    def of(self, subject: Subject) -> dict[str, Any]:
        """The explanation as JSON values; its shape is for the page to know."""


class Importance(Explanation):
    """One that says of each place of the input how much it speaks for the answer, and carries the
    figure that says whether that is better than chance."""

    targeted = True
    signed: ClassVar[bool] = True
    """Whether places can also speak against the answer."""

    @abstractmethod
    def importance(self, subject: Subject) -> tuple[Tensor, dict[str, Any]]:
        """How much each place speaks for the explained number, in the shape of the ground's
        `engine.explanations.grounds.Ground.places`, and what else is to be said."""

    def of(self, subject: Subject) -> dict[str, Any]:
        subject.expect(VARIANTS)
        found, facts = self.importance(subject)
        found = subject.ground.real(found.detach().float().cpu())
        shown = subject.ground.shown(found, signed=self.signed)
        return shown | facts | {"signed": self.signed, "sanity": deletion(subject, found)}
