"""Learning from what a larger model says."""

from __future__ import annotations

from collections.abc import Generator
from typing import Annotated, Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812, its usual name

from engine import checkpoint, session
from engine.catalog import BadInput, Help, Range
from engine.data.batches import Batch, Data
from engine.data.outlines import without_items
from engine.device import Numerics
from engine.events import Event, Notice
from engine.home import Home
from engine.loop import Trainee, Wish
from engine.methods import Bench
from engine.methods.training import Training
from engine.models import Model
from engine.recipe import Recipe
from engine.starts import outline_of
from engine.tasks import Task


class Distillation(
    Training, label="Distillation from a run", fits={"logits"}, shrinks=True, rank=64
):
    """Trains a small model to say what an earlier run says, and how sure that is of each class.

    Hinton et al. 2015: the student's loss is (1 − α) of the labels' and α·T² of the divergence
    between both models' probabilities at the temperature T. What a teacher thinks of the wrong
    classes tells more of an item than its label does.
    """

    def __init__(
        self,
        *,
        teacher: Annotated[
            int | None, Range(1, 2**53),
            Help("The number of the run to learn from: of the same classes, and usually of a "
                 "larger model", empty="none yet")
        ] = None,
        temperature: Annotated[
            float, Range(1, 20, step=0.5),
            Help("The higher, the more the wrong classes count: T in the paper", label="T")
        ] = 4.0,
        alpha: Annotated[
            float, Range(0, 1, step=0.05),
            Help("How much the teacher counts; the rest are the labels", label="α"),
        ] = 0.7,
        **how: Any,
    ) -> None:  # fmt: skip
        super().__init__(**how)
        if teacher is None:
            raise BadInput("Distillation needs a run to learn from: say its number",
                           field="method.teacher")  # fmt: skip
        self.teacher, self.temperature, self.alpha = teacher, temperature, alpha

    def run(
        self, model: Model, task: Task, data: Data, bench: Bench
    ) -> Generator[Event, None, tuple[Trainee, Wish | None]]:
        teacher = teaching(self.teacher, task, data, bench.home)
        yield Notice(
            f"Learning from run {self.teacher}: {teacher.card.label} with "
            f"{teacher.parameter_count():,} parameters; this model has {model.parameter_count():,}"
        )
        return (yield from super().run(model, self.taught(teacher, task, bench), data, bench))

    def taught(self, teacher: Model, task: Task, bench: Bench) -> Task:
        """The task, learned from both."""
        placed = Numerics(channels_last=teacher.convolutional).place(teacher, bench.device)
        return cast("Task", Taught(task, cast("Model", placed), self.temperature, self.alpha))


class Taught:
    """A task of which a model that learns also hears what another one says."""

    def __init__(self, task: Task, teacher: Model, temperature: float, alpha: float) -> None:
        self.task, self.teacher = task, teacher
        self.temperature, self.alpha = temperature, alpha

    def __getattr__(self, name: str) -> Any:
        return getattr(self.task, name)

    def step(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        found = self.task.step(model, batch)
        if not model.training:  # judged as any other
            return found
        with torch.no_grad():
            said = self.teacher(**batch.inputs)
        soft = divergence(found["output"], said, self.temperature)
        return {**found, "loss": (1 - self.alpha) * found["loss"] + self.alpha * soft}


def divergence(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T² · KL(teacher ‖ student) of logits (B, classes) over T, the mean over the batch: T² keeps
    its gradients as large as those of the labels (Hinton et al. 2015, section 2.1)."""
    own = F.log_softmax(logits.float() / temperature, 1)
    theirs = F.log_softmax(teacher.float() / temperature, 1)
    return temperature**2 * F.kl_div(own, theirs, reduction="batchmean", log_target=True)


def teaching(run: int, task: Task, data: Data, home: Home) -> Model:
    """The best weights of a run, which learn nothing more. BadInput when it can't teach this."""
    try:
        _, folder = checkpoint.find(home.checkpoints(run), "best")
        outline = outline_of(run, home)
        recipe = Recipe.from_json((home.run(run) / "recipe.json").read_text("utf-8"))
    except (BadInput, OSError):
        raise BadInput(f"Run {run} has kept no weights to learn from: choose another run",
                       field="method.teacher") from None  # fmt: skip
    setup = session.make(
        recipe, home, data=without_items(outline), blueprint=outline.get("blueprint", "")
    )
    own = data.outline()
    if outline.get("outputs") != list(task.classes(data)):
        raise BadInput(f"Run {run} tells other classes apart: choose a teacher that was trained on "
                       "the same data", field="method.teacher")  # fmt: skip
    for what in ("kind", "shape", "tokenizer"):
        if outline.get(what) != own.get(what):
            raise BadInput(f"Run {run} takes its inputs in another form ({what}): choose a teacher "
                           "that was trained on the same data", field="method.teacher")  # fmt: skip
    model = setup.model
    checkpoint.load_weights(model, model.translated(checkpoint.weights(folder)))
    return model.eval().requires_grad_(False)
