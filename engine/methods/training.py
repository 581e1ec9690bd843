"""Training every weight of a model."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable, Iterator
from typing import Annotated, Any, ClassVar

import torch
from torch import nn

from engine import device as devices
from engine.catalog import Advanced, BadInput, Finder, Help, Only, Range
from engine.data.batches import Data, Feed
from engine.data.items import ImagesOnDevice
from engine.data.splits import Split
from engine.device import Numerics, PrecisionName
from engine.loop import Plan, Trainee, averaged
from engine.methods import Bench, Method
from engine.models import Model
from engine.optimizers import OptimizerName, Schedule, ScheduleName, optimizer
from engine.pace import Pace
from engine.tasks import Task


class Training(
    Method, label="Train all weights", rank=10, fits={
        "logits", "features", "reconstruction", "latent code", "adversary", "next token",
        "masked token", "masked image", "target text", "frames", "forecast", "steps", "spectra",
    },
):  # fmt: skip
    """Adjusts every weight of the model, from scratch or going on from an earlier run."""

    averages: ClassVar[bool] = True
    """Whether the moving average of its weights is a model that it could have made."""

    def __init__(
        self,
        *,
        epochs: Annotated[
            int, Range(1, 10_000), Help("How many times the whole training split is seen")
        ] = 10,
        max_steps: Annotated[
            int | None, Range(1, 10**9),
            Help("Ends after this many steps, even in mid-epoch", label="Step limit"),
        ] = None,
        batch_size: Annotated[
            int, Range(1, 65_536), Finder("batch_size"),
            Help("Items a step: larger is steadier and faster, but takes memory", unit="items"),
        ] = 64,
        batch_tokens: Annotated[
            int | None, Range(16, 10**8), Advanced(),
            Help("At most so many tokens, steps or frames a batch, padding included: long items "
                 "come in smaller batches", label="Token budget", unit="tokens"),
        ] = None,
        learning_rate: Annotated[
            float, Range(1e-7, 10, log=True), Finder("rate"),
            Help("How far each step goes, at its highest: too high diverges, too low crawls"),
        ] = 1e-3,
        optimizer: Annotated[
            OptimizerName, Help("AdamW suits nearly everything; SGD wants more tuning")
        ] = "AdamW",
        schedule: Annotated[
            ScheduleName, Help("How the learning rate changes on the way")
        ] = "one-cycle",
        warmup: Annotated[
            float, Range(0, 0.9, step=0.01), Advanced(), Only("schedule", "one-cycle", "cosine"),
            Help("The share of the run in which the rate rises to its peak", label="Warm-up share"),
        ] = 0.2,
        drop_every: Annotated[
            int, Range(1, 10_000), Advanced(), Only("schedule", "step"),
            Help("The rate falls to a tenth after so many epochs", unit="epochs"),
        ] = 10,
        weight_decay: Annotated[
            float, Range(0, 1), Advanced(),
            Help("Pulls weights towards zero, against overfitting; biases and norms are left out"),
        ] = 0.01,
        momentum: Annotated[
            float, Range(0, 0.999), Advanced(),
            Help("How much of the last steps' direction is kept: Nesterov's with SGD, β₁ of Adam "
                 "and AdamW"),
        ] = 0.9,
        clip: Annotated[
            float | None, Range(1e-3, 1e3), Advanced(),
            Help("Scales a step down when the gradient's norm is above this",
                 label="Gradient clipping"),
        ] = None,
        accumulate: Annotated[
            int, Range(1, 1024), Advanced(),
            Help("Adds up the gradients of so many batches before a step: a larger batch in the "
                 "same memory", label="Gradient accumulation", unit="batches"),
        ] = 1,
        average: Annotated[
            float | None, Range(0.5, 0.99999), Advanced(),
            Help("Also keeps a moving average of the weights with this decay, and judges that",
                 label="Weight averaging (EMA)"),
        ] = None,
        patience: Annotated[
            int | None, Range(1, 10_000), Advanced(),
            Help("Stops when validation hasn't improved for so many epochs; for so many checks, "
                 "where it is checked more often", label="Early stopping", unit="epochs"),
        ] = None,
        check_every: Annotated[
            int | None, Range(1, 10**9), Advanced(),
            Help("Measures the validation split after so many steps: for long epochs",
                 label="Check every", unit="steps", empty="each epoch"),
        ] = None,
        precision: Annotated[
            PrecisionName, Advanced(),
            Help("“auto” times a few steps and keeps the fastest that is safe on this device"),
        ] = "auto",
        threads: Annotated[
            int | None, Range(1, 1024), Advanced(),
            Help("Processor threads to compute with; “adapted” uses what other programs leave "
                 "free, which changes the last bits of a result", empty="adapted"),
        ] = None,
        compile: Annotated[
            bool, Advanced(),
            Help("torch.compile: pays on a GPU in long runs; slower on a CPU, and slow to start"),
        ] = False,
        deterministic: Annotated[
            bool, Advanced(),
            Help("The same bits every time, whatever else the machine does: float32, always as "
                 "many threads, only operations that allow it; somewhat slower"),
        ] = False,
    ) -> None:  # fmt: skip
        if average and not self.averages:
            raise BadInput(f"{self.card.label} doesn't go with an average of weights: switch it "
                           "off", field="method.average")  # fmt: skip
        self.plan = Plan(
            epochs=epochs, accumulate=accumulate, clip=clip, patience=patience,
            max_steps=max_steps, check_every=check_every,
        )  # fmt: skip
        self.batch_size = batch_size
        self.batch_tokens = batch_tokens
        self.optimizer: dict[str, Any] = {
            "name": optimizer, "learning_rate": learning_rate,
            "weight_decay": weight_decay, "momentum": momentum,
        }  # fmt: skip
        self.schedule: dict[str, Any] = {
            "name": schedule, "warmup": warmup, "drop_every": drop_every,
        }  # fmt: skip
        self.resident: ImagesOnDevice | None = None
        self.average = average
        self.threads = threads
        self.cores = torch.get_num_threads()
        self.precision = precision
        self.compile = compile
        self.deterministic = deterministic

    def feeds(self, model: Model, task: Task, data: Data, bench: Bench) -> tuple[Feed, Feed]:
        """The training and the validation split as batches."""
        self.resident = on_device(data, bench.device)
        training = task.feed(
            data, "train", batch_size=self.batch_size, batch_tokens=self.batch_tokens,
            device=bench.device, seed=bench.seed, shuffle=True, augment="items" in task.augments,
            mix="shares" in task.augments,            resident=self.resident,
        )  # fmt: skip
        return training, self.judging(data, "validation", bench.device)

    def judging(self, data: Data, split: Split, device: torch.device) -> Feed:
        # No gradients to keep: larger batches fit, and cost less each.
        return Feed(
            data, split, batch_size=max(self.batch_size, min(4 * self.batch_size, 256)),
            device=device, batch_tokens=self.batch_tokens and 2 * self.batch_tokens,
            resident=self.resident,
        )  # fmt: skip

    def trainee(self, model: Model, task: Task, feed: Feed, bench: Bench) -> Trainee:
        if self.deterministic:
            # cuBLAS reads it at its first product, and refuses to go on without it.
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            torch.use_deterministic_algorithms(True)
            torch.backends.cudnn.benchmark = False
        numerics = self._numerics(model, task, feed, bench)
        torch.set_num_threads(numerics.threads)
        numerics.place(model, bench.device)
        average = averaged(model, self.average) if self.average else None
        if self.compile:
            for part in parts(model):
                part.compile()
        learner = optimizer(model, **self.optimizer, share=self.share(model))
        for group in learner.param_groups:
            group["initial_lr"] = group["lr"]
        schedule = Schedule(
            total=self.plan.steps(len(feed)),
            steps_per_epoch=math.ceil(len(feed) / self.plan.accumulate),
            **self.schedule,
        )
        fp16 = numerics.precision == "fp16"
        trainee = Trainee(
            model=model, optimizer=learner, schedule=schedule, device=bench.device,
            numerics=numerics, average=average, pace=self._pace(numerics, bench.device),
            thaw=self.thaw(model),
            scaler=torch.amp.GradScaler(bench.device.type) if fp16 else None,
        )  # fmt: skip
        if bench.resume is not None:
            trainee.restore(*bench.resume)
        return trainee

    def thaw(self, model: Model) -> Callable[[int], None]:
        """What says, before each epoch, which of the model's weights learn in it."""
        return lambda epoch: None

    def share(self, model: Model) -> Callable[[str], float]:
        """What says how much of the learning rate a parameter gets, by its name."""
        return lambda name: 1.0

    def _numerics(self, model: Model, task: Task, feed: Feed, bench: Bench) -> Numerics:
        """As before for a resumed run, float32 for a deterministic one, else the fastest."""
        if bench.resume is not None:
            return Numerics(**bench.resume[1]["numerics"])
        if self.deterministic and self.precision == "auto":
            return Numerics(threads=self.threads or torch.get_num_threads())
        batch = next(feed.batches())
        tried = copy.deepcopy(model).to(bench.device)
        return devices.choose_numerics(
            tried, lambda model: task.step(model, batch)["loss"], bench.device,
            convolutional=model.convolutional, precision=self.precision, threads=self.threads,
        )  # fmt: skip

    def _pace(self, numerics: Numerics, device: torch.device) -> Pace | None:
        """Where the number of threads may change on the way."""
        if device.type != "cpu" or self.threads or self.deterministic:
            return None
        return Pace(self.cores, numerics.threads)


def on_device(data: Data, device: torch.device) -> ImagesOnDevice | None:
    """The pictures in a GPU's own memory, when they take less than half of what is free."""
    if device.type == "cpu" or data.items.nbytes > devices.about(device).free / 2:
        return None
    moved = data.fed.to(device)
    return moved if isinstance(moved, ImagesOnDevice) else None


def parts(model: nn.Module) -> Iterator[nn.Module]:
    """What a model calls one by one: its children, and those of its lists, which are never called.

    A task may call some of them by themselves, so they are compiled one by one.
    """
    for part in model.children():
        if isinstance(part, nn.ModuleList):
            yield from parts(part)
        else:
            yield part
