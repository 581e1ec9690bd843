"""The one training loop: a generator that reads aloud.

Every method trains through `train`; it yields what happens and calls nobody.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Literal

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from engine import device as devices
from engine.catalog import BadInput
from engine.checkpoint import Checkpoints, Snapshot, copied
from engine.data.batches import Batch, Data, Feed
from engine.device import Numerics
from engine.events import Event, Notice, Point, Progress, Sample
from engine.models import Model
from engine.optimizers import Schedule
from engine.pace import Pace
from engine.tasks import Task

Wish = Literal["stop", "cancel", "pause", "save"]

READ_EVERY = 0.25
"""Seconds between two looks at the losses: reading one waits for the device."""
KEEP_ALL = 1000
"""The first steps whose every loss is a point; later ones are thinned to 20 a second."""
SAVE_EVERY = 20.0
"""Seconds after which the last checkpoint is renewed even in mid-epoch."""
LOOK_AGAIN = 0.5
"""Seconds at least between two looks at what there is to see."""
LOOKING = 0.1
"""Of the time of training, that looking may take at most."""


class Diverged(ArithmeticError):
    """The loss is no number any more."""


class Interrupted(Exception):
    """A person wished so in the middle of a test."""

    def __init__(self, wish: Wish) -> None:
        super().__init__(wish)
        self.wish = wish


@dataclass(frozen=True)
class Plan:
    """The numbers that decide how long and how carefully to train."""

    epochs: int
    accumulate: int = 1
    clip: float | None = None
    patience: int | None = None
    max_steps: int | None = None
    check_every: int | None = None
    """Steps between two looks at the validation split; None looks after each epoch."""
    settled: float = 0.0
    """The share of all steps after which the weights are what the method wants: those of before
    are never the best."""

    def steps(self, batches: int) -> int:
        """Optimizer steps of the whole run, for so many batches an epoch."""
        steps = self.epochs * math.ceil(batches / self.accumulate)
        return min(steps, self.max_steps) if self.max_steps else steps


@dataclass
class Position:
    """Where a run is: all of it is saved, so that a resumed run is the same run."""

    step: int = 0
    epoch: int = 0
    taken: int = 0
    """Batches of this epoch already trained on."""
    seconds: float = 0.0
    top: float | None = None
    """The best headline of validation so far, its sign such that larger is better."""
    passed: float = 0.0
    """Epochs done, the one under way as a fraction."""
    checked: int = 0
    """The step after which validation was last measured."""
    best_epoch: float = 0
    best_scores: dict[str, float] = field(default_factory=dict)
    """What validation measured in that epoch."""
    without_gain: int = 0
    done: bool = False
    seen: int = 0
    """Items trained on."""


@dataclass
class Trainee:
    """Everything that changes while training, in one place to save and to restore."""

    model: Model
    optimizer: torch.optim.Optimizer
    schedule: Schedule
    device: torch.device
    numerics: Numerics
    average: AveragedModel | None = None
    scaler: torch.amp.GradScaler | None = None
    pace: Pace | None = None
    thaw: Callable[[int], None] = lambda epoch: None
    """Says which weights learn in an epoch, called before it."""
    plain: Callable[[Any], dict[str, Tensor]] | None = None
    """Gives the weights as they are kept and predicted with, where a model trains in another form:
    what was put beside its layers is added to them."""
    position: Position = field(default_factory=Position)

    @property
    def judged(self) -> Any:
        """The model that is validated, kept and predicted with."""
        return self.average.module if self.average is not None else self.model

    def snapshot(self) -> Snapshot:
        """A copy of all of it, in main memory."""
        state: dict[str, Any] = {
            "position": vars(self.position),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state(),
            "numerics": replace(self.numerics, threads=torch.get_num_threads()).asdict(),
            "random": devices.random_state(self.device),
        }
        if self.scaler is not None:
            state["scaler"] = self.scaler.state_dict()
        if self.average is not None:
            state["raw"] = self.model.state_dict()
            state["averaged"] = self.average.n_averaged
        at, weights = self.position, self.judged.state_dict()
        if self.plain is not None:
            state["judged"], weights = weights, self.plain(self.judged)
        return Snapshot(
            step=at.step, epoch=at.passed, weights=copied(weights), state=copied(state),
        )  # fmt: skip

    def restore(self, weights: dict[str, Tensor], state: dict[str, Any]) -> None:
        """Be exactly what was saved. The model is already on its device.

        BadInput where an earlier version of the program has saved another form of it.
        """
        try:
            self.judged.load_state_dict(state.get("judged", weights))
            if self.average is not None:
                self.model.load_state_dict(state["raw"])
        except RuntimeError:
            raise BadInput("This model is built otherwise since the run was saved, and its "
                           "optimizer's state doesn't fit any more: start a new run from its "
                           "weights instead of resuming it") from None  # fmt: skip
        if self.average is not None:
            self.average.n_averaged.copy_(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.restore(state["schedule"])
        self.position = Position(**state["position"])
        if self.scaler is not None:
            self.scaler.load_state_dict(state["scaler"])
        devices.set_random_state(self.device, state["random"])


def averaged(model: Model, decay: float) -> AveragedModel:
    """A copy of the model that follows it as an exponential moving average."""
    follow = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    return AveragedModel(model, multi_avg_fn=follow, use_buffers=True)


def train(
    trainee: Trainee,
    task: Task,
    data: Data,
    feeds: tuple[Feed, Feed],
    plan: Plan,
    kept: Checkpoints,
    wishes: Callable[[], Wish | None],
) -> Generator[Event, None, Wish | None]:
    """Train until the plan is done or a wish ends it; returns that wish, None at the plan's end.

    `feeds` are the training and the validation split. Between two steps nothing of the run's
    state is pending, so a stop anywhere can be resumed to the same weights, bit for bit.
    Raises Diverged when the loss is no number any more.
    """
    feed, validation = feeds
    at, per_epoch = trainee.position, math.ceil(len(feed) / plan.accumulate)
    total = plan.steps(len(feed))
    watch = Watch(trainee, kept, total, per_epoch, plan)
    shown = validation.some(task.watches)
    saved_at = time.perf_counter()

    while at.epoch < plan.epochs and at.step < total and not at.done:
        watch.next_epoch()
        trainee.thaw(at.epoch)
        batches = feed.batches(at.epoch, skip=at.taken)
        while not due(at, plan) and (group := list(islice(batches, plan.accumulate))):
            loss = step(trainee, task, group, plan)
            at.step += 1
            at.passed = at.step / per_epoch
            at.taken += len(group)
            at.seen += sum(len(batch) for batch in group)
            yield from watch.after(loss)
            wish = wishes()
            # At the very last step there is nothing left to stop: its epoch is judged first.
            if wish == "cancel" or (wish in ("stop", "pause") and at.step < total):
                yield from watch.read()
                if wish != "cancel":
                    kept.save(trainee.snapshot())
                return wish
            if wish == "save":
                yield Notice(f"Saved at step {at.step}")
            if wish == "save" or time.perf_counter() - saved_at > SAVE_EVERY:
                yield from watch.read()
                kept.save(trainee.snapshot())
                saved_at = time.perf_counter()
            if at.step >= total:
                break
        yield from watch.read()
        at.epoch, at.taken = at.epoch + (at.taken >= len(feed)), at.taken % len(feed)
        goes_on = at.epoch < plan.epochs and at.step < total
        if goes_on and (plan.check_every or 0) > per_epoch and not due(at, plan):
            continue  # where epochs are short, looking after each would take longer than they do

        at.checked = at.step
        scores = evaluate(trainee, task, data, validation)
        yield from watch.scores("validation", scores)
        if not math.isfinite(scores["loss"]):
            raise Diverged(f"The validation loss became {scores['loss']} at step {at.step}")
        better = at.step >= plan.settled * total and is_better(
            at, task, scores, len(validation.rows)
        )
        if trainee.schedule.observe(scores["loss"]):
            yield Notice(f"The loss stands still: learning rate reduced to {watch.rate():.2g}")
        at.done = bool(plan.patience) and at.without_gain >= (plan.patience or 0)
        last = at.done or at.epoch >= plan.epochs or at.step >= total
        if better or last or time.perf_counter() - saved_at > SAVE_EVERY:
            kept.save(trainee.snapshot(), best=better)
            saved_at = time.perf_counter()
        yield from watch.look(task, data, shown, scores, always=last)
    if at.done:
        unit = "epochs" if plan.check_every is None else "checks"
        yield Notice(f"Stopped early: no gain for {plan.patience} {unit}")
    return None


def due(at: Position, plan: Plan) -> bool:
    """Whether validation comes before the next step, in mid-epoch."""
    if plan.check_every is None or at.checked == at.step:
        return False
    return at.step > 0 and at.step % plan.check_every == 0


def step(trainee: Trainee, task: Task, group: Sequence[Batch], plan: Plan) -> Tensor:
    """One step of the optimizer over a group of batches; their mean loss, still on the device."""
    model, optimizer, scaler = trainee.model, trainee.optimizer, trainee.scaler
    rate = trainee.schedule.factor(trainee.position.step)
    for settings in optimizer.param_groups:
        settings["lr"] = settings["initial_lr"] * rate
    losses = []
    for batch, share in zip(group, shares(task, group), strict=True):
        with trainee.numerics.autocast(trainee.device):
            loss = task.step(model, batch)["loss"]
        loss = loss if share is None else loss * share
        (loss if scaler is None else scaler.scale(loss)).backward()  # type: ignore[no-untyped-call]
        losses.append(loss.detach())
    if plan.clip:
        if scaler is not None:
            scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(model.parameters(), plan.clip)
    if scaler is None:
        optimizer.step()
    else:
        scaler.step(optimizer)
        scaler.update()
    optimizer.zero_grad(set_to_none=True)
    if trainee.average is not None:
        trainee.average.update_parameters(model)
    return losses[0] if len(losses) == 1 else torch.stack(losses).sum()


def shares(task: Task, group: Sequence[Batch]) -> Sequence[Tensor | None]:
    """How much each batch counts: together they make the step of one batch of all their items."""
    if len(group) == 1:
        return [None]
    weights = [torch.as_tensor(task.weight(batch)).float() for batch in group]
    whole = torch.stack(weights).sum().clamp(min=1e-12)  # of batches in which nothing counts
    return [weight / whole for weight in weights]


@torch.inference_mode()
def evaluate(
    trainee: Trainee,
    task: Task,
    data: Data,
    feed: Feed,
    *,
    final: bool = False,
    wishes: Callable[[], Wish | None] = lambda: None,
) -> dict[str, Any]:
    """The task's measures over a whole split, in the precision of training.

    Raises Interrupted when a person wishes to cancel or to pause: a test of a thousand
    translations takes its time. A stop waits for its end.
    """
    model = trainee.judged.eval()
    meter = task.meter(model, data, final=final)
    with trainee.numerics.autocast(trainee.device):
        for batch in feed.batches():
            meter.update(task.step(model, batch), batch)
            wish = wishes()
            if wish in ("cancel", "pause"):
                raise Interrupted(wish)
    scores = meter.compute()  # may ask the model for whole answers
    trainee.model.train()
    return scores


def is_better(at: Position, task: Task, scores: dict[str, Any], items: int) -> bool:
    """Whether this epoch's weights are the ones to keep.

    Among epochs within one standard error of the best (at most a point) the latest wins: the rule
    of Breiman et al. 1984, turned to time. A few hundred items can't tell such epochs apart, and
    training can.
    """
    score = scores[task.headline] * (1 if task.larger_is_better else -1)
    if at.top is None or score > at.top:
        at.top, at.without_gain = score, 0
    else:
        at.without_gain += 1
    if score < at.top - task.uncertainty(scores, items):
        return False
    at.best_epoch = at.passed
    at.best_scores = {name: x for name, x in scores.items() if isinstance(x, float)}
    return True


class Watch:
    """Turns steps into points and progress, without waiting for the device at each of them."""

    def __init__(
        self, trainee: Trainee, kept: Checkpoints, total: int, per_epoch: int, plan: Plan
    ) -> None:
        self.trainee, self.at, self.kept = trainee, trainee.position, kept
        self.total, self.per_epoch, self.plan = total, per_epoch, plan
        self.before = self.at.seconds
        self.started = self.read_at = self.kept_at = time.perf_counter()
        self.look_from = self.started + LOOK_AGAIN
        self.first_step = self.read_step = self.at.step
        self.first_seen = self.at.seen
        self.newest: Tensor | None = None
        self.pending: list[tuple[int, float, float, float, Tensor]] = []

    @property
    def epoch(self) -> float:
        """Epochs done, the one under way as a fraction."""
        return self.at.step / self.per_epoch

    @property
    def epochs(self) -> int:
        """Epochs to be done or begun: a step limit may end the run long before all of them."""
        return min(self.plan.epochs, math.ceil(self.total / self.per_epoch))

    def after(self, loss: Tensor) -> Iterator[Event]:
        """Take in a step's loss; its point comes with the next look."""
        now = time.perf_counter()
        self.newest = loss
        self.at.seconds = self.before + now - self.started
        if self.at.step <= KEEP_ALL or now - self.kept_at >= 0.05 or self.at.step == self.total:
            self.pending.append((self.at.step, self.epoch, self.at.seconds, self.rate(), loss))
            self.kept_at = now
        if now - self.read_at >= READ_EVERY or self.at.step == self.first_step + 1:
            yield from self.read()

    def read(self) -> Iterator[Event]:
        """Points for the losses since the last look, and the progress. Raises Diverged."""
        if self.newest is not None and not self.newest.isfinite():
            self.pending.append(
                (self.at.step, self.epoch, self.at.seconds, self.rate(), self.newest)
            )
        if self.pending:
            losses = torch.stack([loss for *_, loss in self.pending]).tolist()
            for (step, epoch, seconds, rate, _), loss in zip(self.pending, losses, strict=True):
                yield Point("train/loss", step, epoch, seconds, loss)
                yield Point("learning_rate", step, epoch, seconds, rate)
                if not math.isfinite(loss):
                    raise Diverged(f"The loss became {loss} at step {step} (epoch {epoch:.1f})")
            self.pending.clear()
        yield from self.kept.written()
        now = time.perf_counter()
        if self.trainee.pace is not None and self.at.step > self.read_step:
            threads = self.trainee.pace.look((now - self.read_at) / (self.at.step - self.read_step))
            if threads != torch.get_num_threads():
                torch.set_num_threads(threads)
        self.read_at, self.read_step = now, self.at.step
        yield self.progress()

    def progress(self) -> Progress:
        spent = self.read_at - self.started
        steps = self.at.step - self.first_step
        return Progress(
            step=self.at.step, steps=self.total, epoch=self.epoch, epochs=self.epochs,
            seconds=self.at.seconds,
            remaining=spent / steps * (self.total - self.at.step) if steps else None,
            rate=(self.at.seen - self.first_seen) / spent if spent else None,
            learning_rate=self.rate(), memory=devices.peak_memory(self.trainee.device),
        )  # fmt: skip

    def rate(self) -> float:
        """The learning rate of the last step."""
        return float(self.trainee.optimizer.param_groups[0]["lr"])

    def scores(self, split: str, scores: dict[str, Any]) -> Iterator[Event]:
        """A point for each number among a split's measures."""
        for name, value in scores.items():
            if isinstance(value, float):
                yield Point(f"{split}/{name}", self.at.step, self.epoch, self.at.seconds, value)

    def look(
        self, task: Task, data: Data, batch: Batch, scores: dict[str, Any], *, always: bool
    ) -> Iterator[Event]:
        """What there is to see after an epoch: at most twice a second, and so seldom that looking
        takes but a share of the time. Where an epoch is a blink, as of a head over features that
        are kept, a look through the whole network would take most of it."""
        began = time.perf_counter()
        if not always and began < self.look_from:
            return
        model = self.trainee.judged.eval()
        with torch.inference_mode(), self.trainee.numerics.autocast(self.trainee.device):
            for name, kind, content in task.samples(model, batch, data, scores):
                yield Sample(name, kind, self.at.step, self.epoch, content)  # type: ignore[arg-type]
        self.trainee.model.train()
        ended = time.perf_counter()
        self.look_from = ended + max(LOOK_AGAIN, (ended - began) / LOOKING)

    def next_epoch(self) -> None:
        """Training goes on: what was between two epochs is no step's time."""
        self.read_at = time.perf_counter()
