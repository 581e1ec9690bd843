"""From a recipe to events: makes the objects, trains, and says how it ended."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Collection, Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from engine import checkpoint
from engine import device as devices
from engine.catalog import BadInput, chosen, discover
from engine.checkpoint import Checkpoints
from engine.data.batches import Data
from engine.data.splits import Split, evenly
from engine.data.tokens import Tokenizer
from engine.datasets import Dataset
from engine.events import Event, Finished, Notice, Sample
from engine.home import Home, replacing
from engine.loop import Diverged, Interrupted, Trainee, Wish, evaluate
from engine.methods import Bench, Method
from engine.models import Model
from engine.recipe import Amount, Choice, Recipe
from engine.starts import Start, Taken, outline_of, tokenizer_in
from engine.tasks import Task, spoken


@dataclass(frozen=True)
class Setup:
    """A recipe's objects."""

    recipe: Recipe
    data: Data
    task: Task
    model: Model
    method: Method
    blueprint: str = ""
    """What the model was told besides its settings."""

    @property
    def made(self) -> list[Any]:
        """What decides the model beside its weights, as JSON values."""
        return [self.recipe.model.name, self.recipe.model.settings, self.blueprint]

    def fit_inputs(self, most: int | None = None) -> None:
        """Let the model learn the scale of the training data, where there are any; of at most so
        many items, spread evenly."""
        rows = self.data.splits["train"]
        if len(rows):
            some = rows if most is None else evenly(rows, most)
            self.model.fit_inputs(*self.data.fed.statistics(some))


def open_choice(
    choice: Choice, home: Home, tokenizer: Tokenizer | None = None,
    splits: Collection[Split] = Method.splits, labels: str | None = None, seed: int = 0,
    task: Task | None = None, rate: int | None = None,
) -> Data:  # fmt: skip
    """The chosen dataset, ready to be fed: its texts as tokens of its own, or of the `tokenizer`;
    its recordings as spectra, or as samples of a `rate`.

    With a `task`, the splits are those that it learns from, judges by and tests on. With `labels`,
    only so much of the training split is there (`Recipe.labels`), and nothing is learned from the
    rest: no word, no mean, no frequency of a class.
    BadInput when it can't be had, or when one of these `splits` holds nothing.
    """
    dataset: Dataset = chosen("data", choice.name)(**choice.settings)
    data = dataset.open(home)
    if task is not None:
        if "label" in task.card.needs and not data.classes:
            raise BadInput(f"{task.card.label} needs labels, and this dataset has none",
                           field="data")  # fmt: skip
        data = replace(data, splits=task.splits(data))
    for split, rows in data.splits.items():
        if split in splits and not len(rows):
            raise BadInput(f"The {split} split is empty: add items or change the shares",
                           field="data")  # fmt: skip
    if labels is not None:
        data = data.few(Amount.of(labels), seed=seed)
    return dataset.ready(data, home, tokenizer, rate)


def data_of(recipe: Recipe, home: Home, tokenizer: Tokenizer | None = None) -> Data:
    """What a checked recipe learns from, as its task cuts it. BadInput when it can't be had."""
    task: Task = chosen("task", recipe.task.name)(**recipe.task.settings)
    method: type[Method] = chosen("method", recipe.method.name)
    model: type[Model] = chosen("model", recipe.model.name)
    return task.view(open_choice(
        recipe.data, home, tokenizer, method.splits, recipe.labels, recipe.seed, task, model.hears
    ))  # fmt: skip


def make(
    recipe: Recipe,
    home: Home,
    *,
    data: Data | None = None,
    tokenizer: Tokenizer | None = None,
    blueprint: str | None = None,
) -> Setup:
    """The objects of a checked recipe, the model's weights decided by its seed alone.

    `data` is the outline of what a run has learned from, when it is only to be asked; `tokenizer`
    that of the weights which will be put into the model; `blueprint` what a run has kept of it.
    """
    task: Task = chosen("task", recipe.task.name)(**recipe.task.settings)
    method: Method = chosen("method", recipe.method.name)(**recipe.method.settings)
    kind, settings = chosen("model", recipe.model.name), recipe.model.settings
    if data is None:
        data = data_of(recipe, home, tokenizer)
    if blueprint is None:
        blueprint = kind.blueprint(home, **settings)
    told = (blueprint,) if blueprint else ()
    torch.manual_seed(recipe.seed)
    model: Model = kind(data.shape, task.outputs(data), *told, **settings)
    task.equip(model)
    method.equip(model)
    return Setup(recipe, data, task, model, method, blueprint)


def begin(setup: Setup, start: Start) -> Taken:
    """Put weights that have learned something into the model; what became of them.

    BadInput when they don't fit, or when a method that keeps them would keep parts of chance.
    """
    model, data, method = setup.model, setup.data, setup.method
    if start.tokenizer is None and data.items.kind in ("text", "pairs"):
        raise BadInput(
            f"Nothing says which token each row of {start.source} stands for: start from a run, or "
            "from a folder that a run's weights were taken away to (with its data.json); a network "
            "of the hub is chosen as the model, by its folder, and starts from what is published",
            field="start",
        )
    taken = start.into(model, setup.task.classes(data))
    if not data.fed.comparable:
        setup.fit_inputs()
    if method.takes_all and taken.new:
        raise BadInput(
            f"{method.card.label} trains nothing, and {len(taken.new)} parts of this model aren't "
            f"in the weights of {start.source} ({taken.new[0][0]}: {taken.new[0][1]} …): choose "
            "the data, the task and the model settings of that run",
            field="start",
        )
    if method.card.adapts and taken.strange:
        raise BadInput(
            f"{method.card.label} keeps what lies below the head, and {len(taken.strange)} parts "
            f"of that aren't in the weights of {start.source} ({taken.strange[0]} …): choose the "
            "settings they were made with for model and data, or train all weights",
            field="start",
        )
    return taken


def run(
    recipe: Recipe,
    home: Home,
    number: int,
    *,
    device: str | None = None,
    resume: bool = False,
    wishes: Callable[[], Wish | None] = lambda: None,
) -> Iterator[Event]:
    """Carry out a run: yields its events, the last of which is `Finished`.

    `number` is the run's: its checkpoints go to ``home/runs/<number>/``. With `resume` it goes on
    from its last checkpoint as if it had never stopped. What goes wrong is told as a `Finished`
    event with a sentence a person can act on; only a defect of the program is raised.
    """
    kept = Checkpoints(home.checkpoints(number))
    try:
        with replacing(home.run(number) / "recipe.json") as beside:
            beside.write_text(recipe.to_json(), encoding="utf-8")
        yield from _run(recipe, home, number, kept, device or recipe.device, resume, wishes)
    except BadInput as problem:
        yield Finished("failed", str(problem))
    except Diverged as problem:
        yield Finished("failed", f"{problem}. Lower the learning rate, or switch on gradient "
                                 "clipping; the last good checkpoint is kept.")  # fmt: skip
    except (RuntimeError, MemoryError, OSError) as problem:
        if devices.is_out_of_memory(problem):
            yield Finished("failed", "Out of memory. Take a smaller batch size (and more gradient "
                                     "accumulation to make up for it), smaller pictures or a "
                                     "narrower model.")  # fmt: skip
            return
        if getattr(problem, "errno", None) not in (errno.ENOSPC, errno.EDQUOT):
            raise
        yield Finished("failed", f"No space left on the disk that holds {home.root}. Free some, "
                                 "then resume: the last good checkpoint is kept.")  # fmt: skip
    finally:
        kept.close()


def _run(
    recipe: Recipe,
    home: Home,
    number: int,
    kept: Checkpoints,
    device_id: str,
    resume: bool,
    wishes: Callable[[], Wish | None],
) -> Generator[Event, None, None]:
    recipe = recipe.checked(discover())
    device = devices.pick(device_id)
    devices.use(device)
    last = checkpoint.entries(kept.folder).get("last") if resume else None
    begun = home.run(number) / "start.json"
    start = tokenizer = None
    # A run that goes on needs nothing of others any more, who may be gone by now.
    known = outline_of(number, home) if last is not None else {}
    if recipe.start is not None:
        start = Start.of(recipe, home) if last is None else None
        tokenizer = start.tokenizer if start else tokenizer_in(known)
    setup = make(recipe, home, tokenizer=tokenizer, blueprint=known.get("blueprint"))
    with replacing(home.run(number) / "data.json") as beside:
        outline = setup.data.outline() | {
            "outputs": list(setup.task.classes(setup.data)), "blueprint": setup.blueprint,
        }  # fmt: skip
        beside.write_text(json.dumps(outline), encoding="utf-8")
    data, task, model = setup.data, setup.task, setup.model
    setup.fit_inputs()
    task.prepare(data)
    if recipe.labels is not None:
        yield Notice(
            f"Learning from {len(data.splits['train']):,} items of the training split "
            f"({recipe.labels}{' of' if '%' in recipe.labels else ' items of'} each class)"
        )
    state = None
    if last is not None:
        folder = kept.folder / last.folder
        state = checkpoint.weights(folder), checkpoint.state(folder)
        yield Notice(f"Going on from step {last.step}")
    elif start is not None:
        taken = begin(setup, start)
        with replacing(begun) as beside:
            beside.write_text(json.dumps(taken.asdict()), encoding="utf-8")
        yield Notice(str(taken))
        if tokenizer is not None:
            yield Notice(f"Texts are read with the tokenizer of {start.source}, which its weights "
                         "know")  # fmt: skip
    bench = Bench(
        device=device, seed=recipe.seed, kept=kept, wishes=wishes, home=home, resume=state,
        made=setup.made,
    )  # fmt: skip
    trainee, wish = yield from setup.method.run(model, task, data, bench)
    if wish in ("cancel", "pause"):
        yield from _leave(trainee, kept, wish)
        return
    kept.flush()
    yield from kept.written()
    try:
        yield from _finish(trainee, setup, kept, wish, wishes, begun)
    except Interrupted as asked:
        yield from _leave(trainee, kept, asked.wish)


def _leave(trainee: Trainee, kept: Checkpoints, wish: Wish) -> Iterator[Event]:
    """End without a test: for good, or until the run is resumed."""
    step = trainee.position.step
    if wish == "cancel":
        kept.delete()
        yield Finished("stopped", f"Cancelled at step {step}: nothing was kept")
        return
    kept.flush()
    yield from kept.written()
    yield Finished("paused", f"Paused at step {step}")


def _closing(trainee: Trainee, setup: Setup) -> Iterator[Event]:
    """What the task shows of its best weights, once."""
    task, data, at = setup.task, setup.data, trainee.position
    feed = setup.method.judging(data, "validation", trainee.device)
    if not len(feed.rows):
        return
    model = trainee.judged.eval()
    with torch.inference_mode(), trainee.numerics.autocast(trainee.device):
        for name, kind, content in task.closing(model, feed.some(task.watches), data):
            yield Sample(name, kind, at.step, at.passed, content)  # type: ignore[arg-type]


def _finish(
    trainee: Trainee, setup: Setup, kept: Checkpoints, wish: Wish | None,
    wishes: Callable[[], Wish | None], begun: Path,
) -> Iterator[Event]:  # fmt: skip
    """The best weights on the test split, beside the baselines; `begun` may hold what was taken
    over at the start."""
    task, data, at = setup.task, setup.data, trainee.position
    best, folder = checkpoint.find(kept.folder, "best")
    trainee.judged.load_state_dict(checkpoint.weights(folder))
    feed = setup.method.judging(data, "test", trainee.device)
    scores: dict[str, Any] = {}
    if len(feed.rows):
        yield Notice(f"Testing on {len(feed.rows):,} items")
        scores = evaluate(trainee, task, data, feed, final=True, wishes=wishes)
    yield from _closing(trainee, setup)
    tables = {name: value for name, value in scores.items() if not isinstance(value, float)}
    metrics: dict[str, Any] = {
        f"test/{name}": value for name, value in scores.items() if isinstance(value, float)
    }
    headline = f"validation {spoken(task.headline)}"
    metrics |= {f"validation/{name}": value for name, value in at.best_scores.items()}
    if scores:
        metrics |= {"headline": f"test/{task.headline}", "baselines": task.baselines(data)}
    metrics |= {
        "larger_is_better": task.larger_is_better,
        "best_epoch": at.best_epoch, "best_step": best.step,
        "seconds": at.seconds, "items_per_second": at.seen / max(at.seconds, 1e-9),
        "peak_memory": devices.peak_memory(trainee.device),
        "parameters": setup.model.parameter_count(), "training_items": len(data.splits["train"]),
        "numerics": str(trainee.numerics),
        **tables,
    }  # fmt: skip
    if begun.exists():
        metrics["start"] = json.loads(begun.read_text("utf-8"))
    if not setup.method.plan.epochs:
        yield Finished("finished", "Ready: nothing had to be trained", metrics)
        return
    kept_step = f"the weights of step {best.step} are kept, the latest of the best by {headline}"
    if wish == "stop":
        yield Finished("stopped", f"Stopped on request after {at.step} steps; {kept_step}", metrics)
        return
    yield Finished("finished", f"Trained {at.step} steps; {kept_step}", metrics)
