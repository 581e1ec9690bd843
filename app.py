"""Anneal's command line, and the place where its rooms are put together."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import psutil
import typer

from engine import ablations, comparisons, searches
from engine.catalog import KINDS, BadInput, Catalog, Kind
from engine.home import Home, replacing
from engine.recipe import Recipe, compose
from storage.history import History
from storage.values import (
    BadState,
    Comparison,
    NoSuchComparison,
    NoSuchDataset,
    NoSuchRun,
    Run,
    UnusableDatabase,
)

if TYPE_CHECKING:
    from engine.events import Event
    from engine.predict import Predictor

HERE = Path(__file__).resolve()

cli = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
)
runs = typer.Typer(help="The history of runs.")
data = typer.Typer(help="Datasets of your own.")
cli.add_typer(runs, name="runs")
cli.add_typer(data, name="data")

ImportKind = Literal["images", "text", "pairs", "sound", "sequences"]
HomeOption = Annotated[
    Path | None, typer.Option("--home", help="The folder for everything of yours.")
]
DatabaseOption = Annotated[
    str | None,
    typer.Option("--database-url", envvar="ANNEAL_DATABASE_URL",
                 help="Any SQLAlchemy URL; anneal.db in the home folder if not given."),
]  # fmt: skip


def say(value: Any) -> None:
    """One JSON object on one line of standard output, for programs."""
    print(json.dumps(value, ensure_ascii=False), flush=True)  # noqa: T201


def tell(text: str) -> None:
    """A line for people, on standard error."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201


@contextlib.contextmanager
def told() -> Iterator[None]:
    """What a person can mend is a sentence and an exit code, not a traceback."""
    try:
        yield
    except (
        BadInput, BadState, NoSuchRun, NoSuchComparison, NoSuchDataset, UnusableDatabase,
    ) as problem:  # fmt: skip
        tell(str(problem))
        raise typer.Exit(1) from None


def opened(home: Path | None, database_url: str | None) -> tuple[Home, History]:
    """The home folder, made if it isn't there, and its history, brought up to date."""
    found = Home.find(home)
    if database_url:  # for the processes started from here; other users can read a command line
        os.environ["ANNEAL_DATABASE_URL"] = database_url
    return found, History(database_url or found.database)


def command(home: Home, *words: str) -> list[str]:
    """How to start this program again for the same home."""
    return [sys.executable, "-u", str(HERE), *words, "--home", str(home.root)]


# --- serve ----------------------------------------------------------------------------------


PortOption = Annotated[int, typer.Option(help="The next free one is taken if it is in use.")]
HostOption = Annotated[str, typer.Option(help="The address to listen on.")]


@cli.callback(invoke_without_command=True)
def default(
    context: typer.Context,
    home: HomeOption = None,
    database_url: DatabaseOption = None,
    port: PortOption = 7860,
    host: HostOption = "127.0.0.1",
) -> None:
    """Pretrain, fine-tune and try models, from a browser or from here. Without a command: serve."""
    if home is not None:  # said before the command, it holds for the command
        os.environ["ANNEAL_HOME"] = str(home)
    if database_url is not None:
        os.environ["ANNEAL_DATABASE_URL"] = database_url
    context.default_map = {"serve": {"port": port, "host": host}}
    if context.invoked_subcommand is None:
        serve(home=home, database_url=database_url, port=port, host=host)


@cli.command()
def serve(
    home: HomeOption = None,
    database_url: DatabaseOption = None,
    port: PortOption = 7860,
    host: HostOption = "127.0.0.1",
) -> None:
    """Open the pages and the run queue."""
    import filelock

    from engine.answers import Answers
    from engine.attendant import Attendant
    from engine.data.imports import sweep
    from engine.data.limits import LIMITS
    from engine.data.origins import offers
    from engine.intake import Intake
    from engine.jobs import Jobs

    with told():
        place, history = opened(home, database_url)
    where = place.root / "app.json"
    lock = filelock.FileLock(place.root / "app.lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        other = json.loads(where.read_text())["url"] if where.exists() else "another process"
        tell(f"Anneal already serves {place.root} at {other}: open that, or choose another --home.")
        raise typer.Exit(1) from None
    import gui.shell  # seconds of imports: only once it is sure that they are needed

    catalog = catalog_of(place)
    answers = Answers(command(place, "answer"), log=place.root / "answers.log")
    # It starts with the first question of its kind, and most people never ask one.
    patient = Answers(command(place, "answer"), log=place.root / "answers.log")
    jobs = Jobs(history, place, command(place, "work"), catalog.devices)
    attendant = Attendant(
        lambda: any(map(is_search, history.comparisons(open=True))),
        command(place, "carry-on"), log=place.root / "searches.log",
    )  # fmt: skip

    def poke() -> None:
        jobs.poke()
        attendant.poke()

    intake = Intake(history, place, command(place, "bring-in"))
    sweep(place.datasets, [d.id for d in history.datasets() if d.state == "importing"])
    jobs.start()
    attendant.start()
    answers.warm()
    served = gui.shell.serve(
        gui.shell.Anneal(
            catalog=catalog, history=history, answers=answers, patient=patient, importer=intake,
            home=place.root, home_is_named=not place.usual, poke=poke, offers=offers(),
            upload_limit=LIMITS.upload_bytes,
        ),
        host=host, port=port,
    )  # fmt: skip
    if served.port != port:
        tell(f"Port {port} is taken, so this is port {served.port}.")
    with replacing(where) as beside:
        beside.write_text(json.dumps({"url": served.url, "pid": os.getpid()}))
    tell(f"Anneal is open at {served.url} (home: {place.root}). Ctrl-C closes it; runs go on.")
    asked: list[int] = []  # a handler may interrupt another: nothing that locks
    for name in (signal.SIGINT, signal.SIGTERM):
        # Said plainly: a shell starts what runs in its background with Ctrl-C ignored.
        signal.signal(name, lambda number, _: asked.append(number))
    try:
        while not asked:
            time.sleep(0.5)
        tell("Closing.")
    finally:
        where.unlink(missing_ok=True)
        served.close()
        attendant.close()
        jobs.close()
        answers.close()
        patient.close()
        history.close()
        lock.release()


@cli.command("serve-model")
def serve_model(
    run: int,
    port: Annotated[int, typer.Option(help="The port to listen on.")] = 8000,
    host: HostOption = "127.0.0.1",
    checkpoint: Annotated[
        Literal["best", "last"], typer.Option(help="Which of its weights answer.")
    ] = "best",
    home: HomeOption = None,
    database_url: DatabaseOption = None,
) -> None:
    """Serve a run's model to other programs, as /docs and /openapi.json describe it."""
    import uvicorn

    from engine.answers import Answers
    from gui.serving import Endpoint, width_of

    with told():
        place, history = opened(home, database_url)
        entry = history.run(run)
        known = catalog_of(place)
        task, data = known.card("task", entry.task), known.card("data", entry.data)
        history.close()
    answers = Answers(command(place, "answer"), log=place.root / "answers.log")
    width = width_of(place.run(run))
    endpoint = Endpoint(answers, run, task, data, which=checkpoint, width=width)
    try:
        with told():  # before anybody asks: a run without weights isn't served
            answers.ask("together", run=run, which=checkpoint, inputs=[], options={}).result()
        tell(f"Run {run} answers at http://{host}:{port}/predict; "
             f"http://{host}:{port}/docs says how. Ctrl-C ends it.")  # fmt: skip
        uvicorn.run(endpoint.app(host), host=host, port=port, log_level="warning")
    finally:
        answers.close()


def catalog_of(home: Home) -> Catalog:
    """The catalogue, from a process that may load PyTorch, kept for the next start.

    What is kept is taken only while the engine's files, the libraries and the devices are the
    same.
    """
    import hashlib
    import subprocess
    from importlib.metadata import version

    sources = sorted((HERE.parent / "engine").rglob("*.py"))
    stamps = [(str(s), s.stat().st_mtime_ns) for s in sources]
    here = [*Path("/dev").glob("nvidia*"), *Path("/dev/dri").glob("*")]  # a GPU may come and go
    seen = os.environ.get("CUDA_VISIBLE_DEVICES"), psutil.virtual_memory().total, sorted(here)
    known = repr((stamps, version("torch"), sys.executable, seen))
    key = hashlib.sha256(known.encode()).hexdigest()
    kept = home.cache / "catalog.json"
    with contextlib.suppress(OSError, ValueError):
        was = json.loads(kept.read_text())
        if was["key"] == key:
            return Catalog.model_validate(was["catalog"])
    done = subprocess.run(
        [sys.executable, str(HERE), "catalog"], check=True, capture_output=True,
        encoding="utf-8",
    )  # fmt: skip
    with replacing(kept) as beside:
        beside.write_text(json.dumps({"key": key, "catalog": json.loads(done.stdout)}))
    return Catalog.model_validate_json(done.stdout)


@cli.command()
def catalog() -> None:
    """Everything that can be chosen, with its fields, as JSON."""
    from engine.catalog import discover
    from engine.device import devices

    say(discover().model_copy(update={"devices": devices()}).model_dump(mode="json"))


# --- processes that the app starts ----------------------------------------------------------


@cli.command(hidden=True)
def work(home: HomeOption = None, database_url: DatabaseOption = None) -> None:
    """A worker: wait for a run on standard input, and carry it out."""
    from engine import warmup, worker
    from engine.processes import redirect_output

    place, history = opened(home, database_url)
    warmup.warm(place)
    line = sys.stdin.readline()
    if not line:  # the app has closed
        return
    order = json.loads(line)
    redirect_output(place.log(order["run"]))
    if run := worker.claim(history, order["run"], order["device"]):
        worker.work(history, place, run)


@cli.command(hidden=True)
def answer(home: HomeOption = None, database_url: DatabaseOption = None) -> None:
    """Answer the pages' questions on standard input."""
    from engine import desk

    desk.serve(Home.find(home))


@cli.command("carry-on", hidden=True)
def carry_on(home: HomeOption = None, database_url: DatabaseOption = None) -> None:
    """Carry the open searches on, until there are none or standard input ends."""
    import threading

    from engine.searcher import Searcher, mind

    place, history = opened(home, database_url)
    over = threading.Event()

    def listen() -> None:
        sys.stdin.read()  # the app has closed
        over.set()

    threading.Thread(target=listen, name="listener", daemon=True).start()
    mind(Searcher(history, place, catalog_of(place), say=tell), over)


@cli.command("bring-in", hidden=True)
def bring_in(number: int, home: HomeOption = None, database_url: DatabaseOption = None) -> None:
    """Carry out an import that a page has begun; standard input says which."""
    from engine.intake import Order, take_in

    place, history = opened(home, database_url)
    take_in(history, place, number, Order.of(json.load(sys.stdin)))


SplitOption = Annotated[Literal["train", "validation", "test"], typer.Option(help="Of which.")]


# --- train ----------------------------------------------------------------------------------


RecipeArgument = Annotated[Path | None, typer.Argument(help="A recipe's JSON file.")]
TaskOption = Annotated[str, typer.Option("--task", help="A task's name in the catalogue.")]
ModelOption = Annotated[str, typer.Option("--model", help="A model's name.")]
DataOption = Annotated[
    str, typer.Option("--data", help="A dataset's name, or the number of one of your own.")
]
MethodOption = Annotated[str, typer.Option("--method", help="A method's name.")]
SetOption = Annotated[list[str] | None, typer.Option("--set", help="A setting: model.dropout=0.2")]
StartOption = Annotated[
    str,
    typer.Option(
        "--start",
        help="Weights to start from: a run's number, “published”, or a file of safetensors.",
    ),
]
LabelsOption = Annotated[
    str,
    typer.Option("--labels",
                 help="How many labels are used: 3% of each class, or 5 items of each."),
]  # fmt: skip
DeviceOption = Annotated[str, typer.Option("--device", help="auto, or a device's id.")]
SeedOption = Annotated[
    int | None, typer.Option("--seed", help="Of weights, order, dropout and augmentation.")
]
ThoroughOption = Annotated[
    bool, typer.Option("--thorough", help="Defaults that aim at the best result: takes a GPU.")
]


def wanted(
    history: History,
    known: Catalog,
    recipe: Path | None,
    *,
    names: dict[Kind, str],
    setting: Sequence[str] | None,
    begin: str,
    labels: str,
    device: str,
    seed: int | None,
    thorough: bool,
) -> Recipe:
    """The checked recipe that the options ask for; what they say goes before the recipe's file."""
    start: int | str | None = int(begin) if begin.isdigit() else begin or None
    settings: dict[str, Any] = dict(part(text) for text in setting or [])
    own_data(history, names, settings)
    if recipe is not None:
        if not recipe.is_file():
            raise BadInput(f"There is no recipe file {recipe}")
        given = Recipe.from_json(recipe.read_text("utf-8"))
        # What is said besides the file goes before it; another card has other settings.
        for kind in KINDS:
            choice = given.choice(kind)
            names[kind] = names[kind] or choice.name
            if names[kind] == choice.name:
                own = {f"{kind}.{name}": value for name, value in choice.settings.items()}
                settings = own | settings
        start = given.start if start is None else start
        seed = given.seed if seed is None else seed
        labels = labels or given.labels or ""
        device = device or given.device
    if isinstance(start, int):
        own_model(history, known, start, names, settings)
    return compose(
        known, names=names, settings=settings, start=start, labels=labels or None,
        device=device or "auto", seed=seed or 0, thorough=thorough,
    )  # fmt: skip


@cli.command()
def train(
    recipe: RecipeArgument = None,
    task: TaskOption = "",
    model: ModelOption = "",
    dataset: DataOption = "",
    method: MethodOption = "",
    setting: SetOption = None,
    begin: StartOption = "",
    labels: LabelsOption = "",
    device: DeviceOption = "",
    seed: SeedOption = None,
    name: Annotated[str, typer.Option(help="The run's name in the history.")] = "",
    thorough: ThoroughOption = False,
    home: HomeOption = None,
    database_url: DatabaseOption = None,
) -> None:
    """Train in the foreground; without a recipe, the Train page's defaults."""
    from engine.catalog import discover
    from engine.device import devices

    with told():
        place, history = opened(home, database_url)
        known = discover().model_copy(update={"devices": devices()})
        chosen = wanted(
            history, known, recipe,
            names={"task": task, "model": model, "data": dataset, "method": method},
            setting=setting, begin=begin, labels=labels, device=device, seed=seed,
            thorough=thorough,
        )  # fmt: skip
        run = enqueue(history, known, chosen, name)
        foreground(place, history, run)


@cli.command("find-rate")
def find_rate(
    recipe: RecipeArgument = None,
    task: TaskOption = "",
    model: ModelOption = "",
    dataset: DataOption = "",
    method: MethodOption = "",
    setting: SetOption = None,
    begin: StartOption = "",
    labels: LabelsOption = "",
    device: DeviceOption = "",
    seed: SeedOption = None,
    thorough: ThoroughOption = False,
    home: HomeOption = None,
    database_url: DatabaseOption = None,
) -> None:
    """Try rising learning rates for a moment, and suggest one; nothing of it is kept."""
    from engine.catalog import discover
    from engine.device import devices
    from engine.range_test import find_rate

    with told():
        place, history = opened(home, database_url)
        known = discover().model_copy(update={"devices": devices()})
        chosen = wanted(
            history, known, recipe,
            names={"task": task, "model": model, "data": dataset, "method": method},
            setting=setting, begin=begin, labels=labels, device=device, seed=seed,
            thorough=thorough,
        )  # fmt: skip
        found = followed(find_rate(chosen, place), "Looking for a learning rate")
        say({name: found[name] for name in ("suggestion", "lowest", "rates", "losses", "smoothed",
                                            "seconds", "device_name")})  # fmt: skip
        if found["suggestion"] is None:
            tell("The loss falls at no rate within these steps.")
            raise typer.Exit(1)
        tell(f"The smoothed loss falls fastest at {found['suggestion']:g}: "
             f"--set method.learning_rate={found['suggestion']:g}")  # fmt: skip


@cli.command("find-batch")
def find_batch(
    recipe: RecipeArgument = None,
    task: TaskOption = "",
    model: ModelOption = "",
    dataset: DataOption = "",
    method: MethodOption = "",
    setting: SetOption = None,
    begin: StartOption = "",
    labels: LabelsOption = "",
    device: DeviceOption = "",
    seed: SeedOption = None,
    thorough: ThoroughOption = False,
    home: HomeOption = None,
    database_url: DatabaseOption = None,
) -> None:
    """Try ever doubled batches for a moment, and suggest a size; nothing of it is kept."""
    from engine.batch_sizes import find_batch_size
    from engine.catalog import discover
    from engine.device import devices

    with told():
        place, history = opened(home, database_url)
        known = discover().model_copy(update={"devices": devices()})
        chosen = wanted(
            history, known, recipe,
            names={"task": task, "model": model, "data": dataset, "method": method},
            setting=setting, begin=begin, labels=labels, device=device, seed=seed,
            thorough=thorough,
        )  # fmt: skip
        found = followed(find_batch_size(chosen, place), "Looking for a batch size")
        say(found)
        tell(f"{found['suggestion']} is the smallest batch within 5 % of the best speed: "
             f"--set method.batch_size={found['suggestion']}")  # fmt: skip


@cli.command()
def ablate(
    recipe: RecipeArgument = None,
    task: TaskOption = "",
    model: ModelOption = "",
    dataset: DataOption = "",
    method: MethodOption = "",
    setting: SetOption = None,
    begin: StartOption = "",
    labels: LabelsOption = "",
    device: DeviceOption = "",
    seed: Annotated[int | None, typer.Option(help="The first of the seeds.")] = None,
    seeds: Annotated[int, typer.Option(help="How often each is trained.")] = comparisons.SEEDS,
    each: Annotated[
        bool, typer.Option("--each", help="Also leave out each augmentation by itself.")
    ] = False,
    of: Annotated[
        int | None, typer.Option("--run", help="A run by its number: its recipe is taken.")
    ] = None,
    name: Annotated[str, typer.Option(help="Its name in the history.")] = "",
    thorough: ThoroughOption = False,
    resume: Annotated[
        int | None, typer.Option(help="Go on with an ablation, by its number.")
    ] = None,
    home: HomeOption = None,
    database_url: DatabaseOption = None,
) -> None:
    """Does the augmentation help? Trains with and without it, in the foreground."""
    from engine.catalog import discover
    from engine.device import devices
    from gui import verdict

    with looked(home, database_url) as (place, history):
        known = discover().model_copy(update={"devices": devices()})
        if resume is not None:
            one = history.comparison(resume)
            plan = ablations.AblationPlan.from_json(one.plan)
        else:
            if of is not None:
                whole = Recipe.from_json(history.run(of).recipe)
            else:
                whole = wanted(
                    history, known, recipe,
                    names={"task": task, "model": model, "data": dataset, "method": method},
                    setting=setting, begin=begin, labels=labels, device=device, seed=seed,
                    thorough=thorough,
                )  # fmt: skip
            plan = ablations.drawn_up(known, whole, seeds=seeds, each=each)
            one = history.add_comparison(
                plan.to_json(), name=name or f"{whole.model.name} · {whole.data.name}"
            )
        say({"ablation": one.id, "runs": len(plan.cells()), "arms": list(plan.arms)})
        comparisons.enqueue(history, one.id, plan, known, name=one.name)
        go_on(place, history, one.id, waiting_cells(history, one.id, plan))
        results = history.runs_of(one.id)
        state = comparisons.state_of(comparisons.placed(plan, results).values())
        found = ablations.findings(plan, results)
        labelled = known.card("data", plan.whole.data.name)
        for sentence in verdict.of_ablation(plan, found, labelled):
            tell(sentence)
        say({
            "ablation": one.id, "state": state, "measure": found.measure,
            "arms": {one.arm: spread(one.score) for one in found.arms},
            "better": {one.arm: spread(one.better) | {"sure": one.better.sure}
                       for one in found.differences},
        })  # fmt: skip
        if state != "finished":
            tell(f"Go on with: python app.py ablate --resume {one.id}")
            raise typer.Exit(1)


def spread(found: comparisons.Estimate) -> dict[str, Any]:
    """An estimate as JSON values: mean, standard deviation, half of the interval, seeds."""
    return {"mean": found.mean, "deviation": found.deviation, "half": found.half,
            "seeds": found.count}  # fmt: skip


@cli.command("compare-starts")
def compare_starts(
    dataset: Annotated[
        str, typer.Option("--data", help="A dataset's name, or the number of one of your own.")
    ] = "",
    model: Annotated[str, typer.Option(help="A model's name.")] = "",
    task: Annotated[str, typer.Option(help="A task's name in the catalogue.")] = "",
    starts: Annotated[
        str,
        typer.Option(help="Two or more: scratch, runs by number, published, files of safetensors."),
    ] = "",
    labels: Annotated[
        str, typer.Option(help="Shares of the training labels, or numbers of items a class.")
    ] = ",".join(comparisons.AMOUNTS),
    seeds: Annotated[int, typer.Option(help="How often each is trained.")] = comparisons.SEEDS,
    method: Annotated[str, typer.Option(help="How a model is trained from scratch.")] = "",
    adapt: Annotated[
        str, typer.Option(help="How it is trained from weights; the same way if left out.")
    ] = "",
    setting: Annotated[
        list[str] | None, typer.Option("--set", help="A setting: model.dropout=0.2")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="The budget of each run, in steps of the optimizer.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, or a device's id.")] = "auto",
    name: Annotated[str, typer.Option(help="Its name in the history.")] = "",
    resume: Annotated[
        int | None, typer.Option(help="Go on with a comparison, by its number.")
    ] = None,
    home: HomeOption = None,
    database_url: DatabaseOption = None,
) -> None:
    """Does pretraining help? Accuracy over labels from two or more starts, in the foreground."""
    from engine.catalog import discover
    from engine.device import devices
    from engine.estimate import counted
    from gui import verdict

    with looked(home, database_url) as (place, history):
        known = discover().model_copy(update={"devices": devices()})
        if resume is None:
            settings: dict[str, Any] = dict(part(text) for text in setting or [])
            names: dict[Kind, str] = {
                "task": task, "model": model, "data": dataset, "method": method,
            }  # fmt: skip
            own_data(history, names, settings)
            chosen = [comparisons.start_of(one) for one in starts.split(",") if one.strip()]
            for start in chosen:
                if isinstance(start, int):
                    own_model(history, known, start, names, settings)
            plan = counted(
                comparisons.drawn_up(
                    known, names=names, settings=settings, starts=chosen,
                    amounts=labels.split(","), seeds=seeds, adapt=adapt, steps=steps, device=device,
                ),
                place, known,
            )  # fmt: skip
            for cell in plan.cells():
                plan.recipe(cell, known)  # that none of them is refused later
            one = history.add_comparison(
                plan.to_json(), name=name or f"{plan.model.name} · {plan.data.name}"
            )
        else:
            one = history.comparison(resume)
            plan = comparisons.ComparisonPlan.from_json(one.plan)
        for sentence in verdict.warnings(plan, known, history.line):
            tell(sentence)
        say({"comparison": one.id, "runs": len(plan.cells()), "steps": plan.steps})
        comparisons.enqueue(history, one.id, plan, known, name=one.name)
        go_on(place, history, one.id, waiting_cells(history, one.id, plan))
        results = history.runs_of(one.id)
        state = comparisons.state_of(comparisons.placed(plan, results).values())
        found = comparisons.findings(plan, results)
        report(found)
        for said in verdict.sentences(plan, found):
            tell(f"{said['start']}: {said['text']}")
        for sentence in verdict.partial(found):
            tell(sentence)
        say({"comparison": one.id, "state": state, **found_in(plan, results)})
        if state != "finished":
            tell(f"Go on with: python app.py compare-starts --resume {one.id}")
            raise typer.Exit(1)


def waiting_cells(history: History, number: int, plan: comparisons.Planned[Any]) -> Iterator[int]:
    """The runs of a comparison that wait or are under way, in the plan's order."""
    for cell in plan.cells():
        run = comparisons.placed(plan, history.runs_of(number))[cell]
        if run is not None and run.state not in ("finished", *comparisons.RESUMABLE):
            yield run.id


def go_on(home: Home, history: History, number: int, waiting: Iterator[int]) -> bool:
    """Carry out a comparison's waiting runs one by one; Ctrl-C leaves the rest for later, and then
    it is True."""
    asked = False
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    try:
        for run in waiting:
            with contextlib.suppress(typer.Exit):  # of a run that failed: the others go on
                foreground(home, history, history.run(run))
            asked = history.run(run).state == "paused"
            if asked:
                break
    except KeyboardInterrupt:
        asked = True
    for queued in history.queue() if asked else ():
        if queued.comparison == number:
            with contextlib.suppress(BadState):  # an open app took it meanwhile
                history.dequeue(queued.id)
    return asked


def found_in(plan: comparisons.ComparisonPlan, results: Sequence[Run]) -> dict[str, Any]:
    """What a comparison's runs say, as JSON values."""
    found = comparisons.findings(plan, results)
    return {
        "measure": found.measure, "steps": plan.steps,
        "places": [
            {"start": comparisons.called(p.start), "labels": p.amount, "items": p.items,
             "mean": p.score.mean, "half": p.score.half, "seeds": p.score.count,
             "seconds": p.seconds, "runs": list(p.runs)}
            for p in found.places
        ],
        "savings": [
            {"start": comparisons.called(s.start), "labels": s.amount, "items": s.items,
             "needed": s.needed, "most": s.most, "times": s.times} for s in found.savings
        ],
        "gaps": [
            {"start": comparisons.called(g.start), "labels": g.amount, "better": g.better.mean,
             "half": g.better.half, "sure": g.sure} for g in found.gaps
        ],
        "seconds": {comparisons.called(start): s for start, s in found.seconds.items()},
    }  # fmt: skip


def report(found: comparisons.Findings) -> None:
    """A comparison's table, for people."""
    from rich.console import Console
    from rich.table import Table

    table = Table("start", "labels", found.measure or "score", "needs from the first start",
                  "a run took")  # fmt: skip
    saved = {(one.start, one.amount): one for one in found.savings}
    for place in found.places:
        error = "" if place.score.half is None else f" ± {place.score.half:.4f}"
        saving, said = saved.get((place.start, place.amount)), ""
        if saving is not None and saving.needed is None:
            said = f"more than all {saving.most:,} (over {saving.times:.2g} times as many)"
        elif saving is not None and saving.needed is not None:
            fewer = "at most " if saving.fewest else ""
            said = f"{fewer}{saving.needed:,.0f} ({saving.times:.2g} times as many)"
        table.add_row(
            comparisons.called(place.start), f"{place.amount} ({place.items:,})",
            f"{place.score.mean:.4f}{error}", said, f"{place.seconds:.1f} s",
        )  # fmt: skip
    Console(stderr=True).print(table)


def own_data(history: History, names: dict[Kind, str], settings: dict[str, Any]) -> None:
    """A dataset of one's own, said by its number, as its card and settings."""
    if not names["data"].isdigit():
        return
    row = history.dataset(int(names["data"]))
    if row.state != "ready" or row.card is None:
        raise BadInput(f"Dataset {row.id} isn't ready: {row.state}. {row.reason}")
    names["data"], settings["data.id"] = row.card, row.id
    settings.setdefault("data.version", row.meta.get("version", 1))


def own_model(
    history: History, known: Catalog, start: int, names: dict[Kind, str], settings: dict[str, Any]
) -> None:
    """Weights go with the model that learned them, or with one that takes them where the task needs
    another, unless a third is asked for."""
    before = Recipe.from_json(history.run(start).recipe).model
    if not names["model"]:
        able = known.card("task", names["task"]).fits if names["task"] else frozenset()
        apt = (card.name for card in known.heirs(before.name) if card.provides & able)
        names["model"] = next(apt, before.name)
    card = known.card("model", names["model"])
    if card.starts_from(before.name):
        for key, value in card.shared(before.settings).items():
            settings.setdefault(f"model.{key}", value)


def part(text: str, example: str = "model.dropout=0.2") -> tuple[str, str]:
    """``model.dropout=0.2`` as a name and a value."""
    name, equals, value = text.partition("=")
    if not equals:
        raise BadInput(f"--set {text}: say it as {example}")
    return name.strip(), value.strip()


def enqueue(history: History, known: Catalog, recipe: Recipe, name: str) -> Run:
    """The recipe as a run at the end of the queue."""
    cards = recipe.cards(known)
    imported = recipe.data.settings.get("id")
    return history.add_run(
        recipe.to_json(), name=name or f"{cards['model'].label} · {cards['data'].label}",
        parent=recipe.parent, dataset=imported if isinstance(imported, int) else None,
        task=recipe.task.name, model=recipe.model.name, data=recipe.data.name,
        method=recipe.method.name,
    )  # fmt: skip


def foreground(home: Home, history: History, run: Run) -> None:
    """Carry the run out here, or follow it when an app serves this home and takes it."""
    from engine import jobs, worker
    from engine.device import pick

    device = str(pick(Recipe.from_json(run.recipe).device))
    say({"run": run.id, "state": "queued"})
    with Bar(run) as bar:
        claimed = None
        while (run := history.run(run.id)).state == "queued" and claimed is None:
            jobs.bury(history, home)
            claimed = worker.claim(history, run.id, device)
            if claimed is None and history.run(run.id).state == "queued":
                bar.wait(f"waiting for {device}")
                time.sleep(0.5)
        if claimed is not None:
            worker.work(history, home, claimed, show=bar.show)
        else:
            bar.wait("the open app carries it out")
            while (run := history.run(run.id)).state in ("queued", "preparing", "running"):
                bar.update(run.step, run.steps, run.remaining)
                time.sleep(0.5)
    run = history.run(run.id)
    tell(run.reason)
    say({"run": run.id, "state": run.state, "reason": run.reason, "metrics": measures(run)})
    if run.state in ("failed", "interrupted"):
        raise typer.Exit(1)


class Bar:
    """A run's progress for people, and its validation scores for programs."""

    def __init__(self, run: Run) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self.task = self.bar.add_task(f"run {run.id}", total=None)
        self.scores: dict[str, Any] = {}

    def __enter__(self) -> Bar:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def wait(self, why: str) -> None:
        self.bar.update(self.task, description=why)

    def update(self, step: int, steps: int, remaining: float | None) -> None:
        self.bar.update(self.task, completed=step, total=steps or None)

    def show(self, event: Event) -> None:
        from engine.events import Finished, Notice, Point, Progress

        match event:
            case Progress():
                self.flush()
                self.update(event.step, event.steps, event.remaining)
            case Point() if event.series.startswith("validation/"):
                if self.scores.get("step") != event.step:
                    self.flush()
                    self.scores = {"step": event.step, "epoch": round(event.epoch, 4)}
                self.scores[event.series] = event.value
            case Notice():
                self.bar.console.print(event.text, highlight=False, markup=False)
            case Finished():
                self.flush()
            case _:
                pass

    def flush(self) -> None:
        if self.scores:
            say(self.scores)
            self.scores = {}


# --- search ---------------------------------------------------------------------------------


@cli.command()
def search(
    recipe: RecipeArgument = None,
    task: TaskOption = "",
    model: ModelOption = "",
    dataset: DataOption = "",
    method: MethodOption = "",
    setting: SetOption = None,
    begin: StartOption = "",
    labels: LabelsOption = "",
    device: DeviceOption = "",
    seed: SeedOption = None,
    thorough: ThoroughOption = False,
    over: Annotated[
        list[str] | None,
        typer.Option(
            help="A setting to search: method.learning_rate, method.learning_rate=1e-4..1e-1:log, "
            "model.dropout=0..0.5, method.optimizer=AdamW,SGD",
        ),
    ] = None,
    trials: Annotated[int, typer.Option(help="How many are tried in all.")] = searches.TRIALS,
    metric: Annotated[
        str, typer.Option(help="Of the validation split: the task's own, or loss.")
    ] = "",
    pruner: Annotated[
        searches.PrunerName, typer.Option(help="How hopeless trials are recognized.")
    ] = "median",
    at_once: Annotated[
        int | None, typer.Option(help="Trials under way together; one a device if left out.")
    ] = None,
    sampler_seed: Annotated[int, typer.Option(help="Of what is tried.")] = 0,
    name: Annotated[str, typer.Option(help="Its name in the history.")] = "",
    resume: Annotated[int | None, typer.Option(help="Go on with a search, by its number.")] = None,
    home: HomeOption = None,
    database_url: DatabaseOption = None,
) -> None:
    """Search for settings that do best on the validation split, in the foreground."""
    import threading

    from engine.catalog import discover
    from engine.device import devices
    from engine.searcher import Searcher, mind

    with looked(home, database_url) as (place, history):
        known = discover().model_copy(update={"devices": devices()})
        if resume is None:
            base = wanted(
                history, known, recipe,
                names={"task": task, "model": model, "data": dataset, "method": method},
                setting=setting, begin=begin, labels=labels, device=device, seed=seed,
                thorough=thorough,
            )  # fmt: skip
            plan = searches.drawn_up(
                known, base, [searches.said(known, base, one) for one in over or []],
                trials=trials, metric=metric, pruner=pruner, at_once=at_once, seed=sampler_seed,
            )  # fmt: skip
            one = history.add_comparison(
                plan.to_json(), name=name or f"{base.model.name} · {base.data.name}", open=True
            )
        else:
            one = history.comparison(resume)
            plan = searches.SearchPlan.from_json(one.plan)
            searches.go_on(history, one.id)
        say({"search": one.id, "trials": plan.trials, "metric": plan.series,
             "over": {dim.setting: str(dim) for dim in plan.space}})  # fmt: skip
        searcher, closing = Searcher(history, place, known, say=tell), threading.Event()
        minding = threading.Thread(
            target=mind, args=(searcher, closing), kwargs={"only": one.id}, name="searcher",
            daemon=True,
        )  # fmt: skip
        minding.start()
        try:
            if go_on(place, history, one.id, waiting_trials(history, one.id)):
                searches.leave(history, one.id, "pause")
        finally:
            closing.set()
            minding.join()
            searcher.close()
        results = history.runs_of(one.id)
        known_trials = searches.trials_of(plan, results, searcher.curves(plan, results))
        for trial in known_trials:
            say({"trial": trial.number, "run": trial.run, "state": trial.state,
                 "value": trial.value, **trial.settings})  # fmt: skip
        best = searches.best_of(plan, known_trials)
        state = searches.state_of(plan, known_trials, going=history.comparison(one.id).open)
        say({"search": one.id, "state": state, "metric": plan.series,
             "best": best and {"run": best.run, "value": best.value, **best.settings}})  # fmt: skip
        if state != "finished":
            tell(f"Go on with: python app.py search --resume {one.id}")
            raise typer.Exit(1)


def waiting_trials(history: History, number: int) -> Iterator[int]:
    """A search's runs as they come, until no more are to be added to it."""
    while True:
        still = history.comparison(number).open
        run = next((run for run in history.runs_of(number)
                    if run.state in searches.UNDER_WAY), None)  # fmt: skip
        if run is not None:
            yield run.id
        elif not still:
            return
        else:
            time.sleep(0.1)


def is_search(one: Comparison) -> bool:
    """Whether a comparison is a search."""
    return comparisons.kind_of(one.plan) == searches.SEARCH


# --- runs -----------------------------------------------------------------------------------


def measures(run: Run) -> dict[str, float]:
    """A run's metrics that are numbers."""
    return {
        name: value for name, value in run.metrics.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }  # fmt: skip


def summary(run: Run) -> dict[str, Any]:
    """A run as one line of JSON."""
    return {
        "run": run.id, "name": run.name, "state": run.state, "reason": run.reason,
        "task": run.task, "data": run.data, "model": run.model, "method": run.method,
        "step": run.step, "steps": run.steps, "epoch": run.epoch, "seconds": run.seconds,
        "device": run.device, "parent": run.parent, "tags": list(run.tags), "notes": run.notes,
        "created": run.created, "started": run.started, "finished": run.finished,
        "metrics": measures(run),
    }  # fmt: skip


@contextlib.contextmanager
def looked(home: Path | None, database_url: str | None) -> Iterator[tuple[Home, History]]:
    """The history, after a look whether the runs marked as running are really alive."""
    from engine.jobs import bury

    with told():
        place, history = opened(home, database_url)
        bury(history, place)
        yield place, history


@contextlib.contextmanager
def looked_into(run: int, home: Path | None, database_url: str | None) -> Iterator[Home]:
    """The place of a run whose model is to be asked: it is there, and so are the cards."""
    from engine.catalog import discover

    with looked(home, database_url) as (place, history):
        history.run(run)
        discover()
        yield place


@runs.command("list")
def runs_list(
    search: Annotated[str, typer.Option(help="In names, tags, notes and choices.")] = "",
    home: HomeOption = None,
    database_url: DatabaseOption = None,
) -> None:
    """One line a run, the newest first."""
    with looked(home, database_url) as (_, history):
        offset, total = 0, 1
        while offset < total:
            page, total = history.runs(search=search, offset=offset, limit=500)
            for run in page:
                say(summary(run))
            offset += 500


@runs.command("show")
def runs_show(run: int, home: HomeOption = None, database_url: DatabaseOption = None) -> None:
    """A run with its recipe, all its metrics and its notices."""
    with looked(home, database_url) as (_, history):
        found = history.run(run)
        notices = [{"time": n.time, "level": n.level, "text": n.text} for n in history.notices(run)]
        say(summary(found) | {
            "recipe": json.loads(found.recipe), "metrics": found.metrics, "notices": notices,
        })  # fmt: skip


@runs.command("export")
def runs_export(
    run: int,
    to: Annotated[Path | None, typer.Option("--csv", help="Write a CSV file instead.")] = None,
    home: HomeOption = None,
    database_url: DatabaseOption = None,
) -> None:
    """Every point of a run's curves: one line each."""
    names = ("series", "step", "epoch", "seconds", "value")
    with looked(home, database_url) as (_, history):
        history.run(run)
        points = (
            (name, *point)
            for name, curve in history.curves(run).items()
            for point in zip(curve.steps, curve.epochs, curve.seconds, curve.values, strict=True)
        )
        if to is None:
            for point in points:
                say(dict(zip(names, point, strict=True)))
            return
        with replacing(to) as beside, beside.open("w", newline="", encoding="utf-8") as out:
            csv.writer(out).writerows([names, *points])
        say({"run": run, "csv": str(to)})


@runs.command("resume")
def runs_resume(run: int, home: HomeOption = None, database_url: DatabaseOption = None) -> None:
    """Go on from the last checkpoint, in the foreground."""
    with looked(home, database_url) as (place, history):
        foreground(place, history, history.requeue(run))


@runs.command("stop")
def runs_stop(
    run: int,
    cancel: Annotated[bool, typer.Option(help="Keep nothing.")] = False,
    pause: Annotated[bool, typer.Option(help="Keep a checkpoint to go on from.")] = False,
    home: HomeOption = None,
    database_url: DatabaseOption = None,
) -> None:
    """Ask a run to stop: it tests and keeps its best weights."""
    with looked(home, database_url) as (_, history):
        history.wish(run, "cancel" if cancel else "pause" if pause else "stop")
        say(summary(history.run(run)))


@runs.command("delete")
def runs_delete(run: int, home: HomeOption = None, database_url: DatabaseOption = None) -> None:
    """Delete a run with its files."""
    with looked(home, database_url) as (place, history):
        history.delete_run(run)
        shutil.rmtree(place.run(run), ignore_errors=True)
        say({"run": run, "state": "deleted"})


# --- predict --------------------------------------------------------------------------------


PICTURED = ("input", "spectrogram")
"""What an answer holds for pages: pictures of what was given."""


AT_ONCE = 32
"""Inputs that a model is asked about together."""


@cli.command()
def predict(
    run: int,
    inputs: Annotated[
        list[Path] | None,
        typer.Argument(help="Pictures, recordings, texts, CSV files of sequences; or folders."),
    ] = None,
    text: Annotated[list[str] | None, typer.Option(help="A text; can be repeated.")] = None,
    lines: Annotated[
        Path | None,
        typer.Option("--lines", help="A file with a text on each line, or a table of texts."),
    ] = None,
    column: Annotated[
        str | None, typer.Option(help="The table's column of texts; found by itself if left out.")
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--csv", help="Write the answers to this CSV file instead.")
    ] = None,
    seed: Annotated[
        list[int] | None,
        typer.Option(min=0, help="For a model that is given nothing: decides what it draws."),
    ] = None,
    setting: Annotated[
        list[str] | None, typer.Option("--set", help="A setting of the trial: beam=4")
    ] = None,
    home: HomeOption = None,
    database_url: DatabaseOption = None,
) -> None:
    """What a run's best checkpoint says of each input: one line each, or a table."""
    from engine.batchfile import files_in, flat, table
    from engine.catalog import discover
    from engine.predict import Predictor

    failed = 0
    rows: list[dict[str, Any]] = []
    with told():
        place, history = opened(home, database_url)
        history.run(run)
        discover()
        predictor = Predictor(place, run)
        options = dict(part(one, "beam=4") for one in setting or [])
        card = predictor.setup.task.card
        card.try_with(options)
        if card.invents:
            known = [(f"seed {one}", {"seed": str(one)}) for one in seed or [0]]
        else:
            known = list(asked(files_in(inputs or []), text or [], lines, column))
        for name, result in answers_to(predictor, known, options):
            result = {"input": name} | {k: v for k, v in result.items() if k not in PICTURED}
            if "error" in result and "problem" in result:
                failed += 1
                del result["problem"]
                tell(f"{name}: {result['error']}")
            if to is None:
                say(result)
            else:
                rows.append(flat(result))
        if to is not None:
            say({"run": run, "csv": str(to), "rows": table(to, rows), "failed": failed})
    if failed:
        raise typer.Exit(1)


def answers_to(
    predictor: Predictor, known: Sequence[tuple[str, dict[str, str]]], options: dict[str, str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each input's name with its answer, or with the ``error`` and ``problem`` of it."""
    for at in range(0, len(known), AT_ONCE):
        some = known[at : at + AT_ONCE]
        there = [one for one in some if "path" not in one[1] or Path(one[1]["path"]).is_file()]
        if predictor.setup.task.card.streams:
            results = [answered(predictor, given, options) for _, given in there]
        else:
            results = predictor.together([given for _, given in there], options)
        coming = iter(results)
        for one in some:
            result = next(coming) if one in there else {"problem": f"There is no file {one[0]}"}
            yield one[0], result | ({"error": result["problem"]} if "problem" in result else {})


def asked(
    files: Sequence[Path], texts: Sequence[str], lines: Path | None, column: str | None = None
) -> Iterator[tuple[str, dict[str, str]]]:
    """Every input with what it is called. BadInput when there is none."""
    from engine.batchfile import texts_in

    if not files and not texts and lines is None:
        raise BadInput("Say what to try: a file, a folder, --text or --lines")
    for path in files:
        yield str(path), {"path": str(path)}
    for one in texts:
        yield one, {"text": one}
    if lines is not None:
        if not lines.is_file():
            raise BadInput(f"There is no file {lines}")
        found = texts_in(lines.read_bytes(), lines.name, column=column, most=None)
        for one in found["texts"]:
            yield one, {"text": one}


def answered(
    predictor: Predictor, given: dict[str, str], options: dict[str, str]
) -> dict[str, Any]:
    """The answer that comes in pieces to one input, shown to people as it comes."""
    pieces, written = predictor.stream(given, options), ""
    while True:
        try:
            piece = next(pieces)
        except StopIteration as end:
            print(file=sys.stderr, flush=True)  # noqa: T201
            return {"written": written} | {k: v for k, v in end.value.items() if k != "checkpoint"}
        except BadInput as problem:
            return {"problem": str(problem)}
        written += piece
        print(piece, end="", file=sys.stderr, flush=True)  # noqa: T201


# --- mistakes -------------------------------------------------------------------------------


@cli.command("mistakes")
def show_mistakes(
    run: int,
    split: SplitOption = "test",
    true: Annotated[str | None, typer.Option(help="Only items of this class.")] = None,
    said: Annotated[str | None, typer.Option(help="Only items said to be of this one.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Those that are told right too.")] = False,
    home: HomeOption = None,
    database_url: DatabaseOption = None,
) -> None:
    """The items of a split that a run does worst on, the worst first: one line each."""
    from engine import judging
    from engine.calibration import in_use
    from engine.errors_in_text import compared

    with looked_into(run, home, database_url) as place:
        found = followed(judging.judged(place, run, split), "Asking the model about each item")
        wrong = not every and true is None and said is None
        temperature = in_use(place, run)
        for one in judging.some(found, true=true, said=said, wrong=wrong).tolist():
            told_ = judging.told(found, one, temperature)
            if "written" in told_:
                told_["errors"] = compared(told_["reference"], told_["written"])["parts"]
            say({"item": told_.pop("row"), **told_})


@cli.command("suspects")
def show_suspects(
    run: int,
    whole: Annotated[
        bool,
        typer.Option("--whole", help="Train the run's recipe anew for each fold: slow, thorough."),
    ] = False,
    folds: Annotated[int, typer.Option(min=2, max=20, help="Parts that are held out in turn.")] = 5,
    accept: Annotated[
        bool, typer.Option("--accept", help="Give them the suggested labels, as a new version.")
    ] = False,
    most: Annotated[int | None, typer.Option(min=1, help="Only so many, the surest.")] = None,
    home: HomeOption = None,
    database_url: DatabaseOption = None,
) -> None:
    """Items of a run's data whose labels look wrong, the surest first: one line each."""
    from engine import mistakes
    from engine.catalog import discover

    with looked(home, database_url) as (place, history):
        entry = history.run(run)
        discover()
        way = "whole" if whole else "head"
        today = None
        if entry.dataset is not None:
            today = history.dataset(entry.dataset).meta.get("version", 1)
        answer = mistakes.unsettled(place, run, way, folds, today)
        found = followed(answer, "Asking about items that were held out")
        listed = [{"item": one.pop("row"), **one} for one in found["suspects"][:most]]
        for one in listed:
            say(one)
        say({"run": run, "suspected": len(found["suspects"]), "way": way, "folds": folds,
             "estimated": round(found["estimated"], 1)})  # fmt: skip
        if accept and listed:
            if entry.dataset is None:
                raise BadInput("These data come along with Anneal and can't be changed")
            relabels: dict[str, list[int]] = {}
            for one in listed:
                relabels.setdefault(one["suggested"], []).append(one["item"])
            change(place, history, entry.dataset, {"do": "relabels", "relabels": [
                {"rows": rows, "label": label} for label, rows in relabels.items()
            ]})  # fmt: skip


@cli.command("calibration")
def show_calibration(
    run: int,
    use: Annotated[
        bool | None,
        typer.Option(
            "--use/--off",
            help="Divide its logits by the temperature from now on, in "
            "Predict, exports and its address; or no longer.",
        ),
    ] = None,
    home: HomeOption = None,
    database_url: DatabaseOption = None,
) -> None:
    """How sure a run's answers are and how right, as they are and over a fitted temperature."""
    from engine import mistakes

    with looked_into(run, home, database_url) as place:
        if use is not None:
            followed(mistakes.temperature(place, run, on=use), "Fitting a temperature")
        found = followed(mistakes.calibration(place, run), "Asking the model about each item")
        say({"run": run, **found})
        before, after = found["before"], found["after"]
        tell(f"As it is: sure of {before['confidence']:.1%}, right in {before['accuracy']:.1%}; "
             f"calibration error {before['ece']:.2%}")  # fmt: skip
        if after is not None:
            used = "in use" if found["on"] else f"not in use: python app.py calibration {run} --use"
            tell(f"Over the temperature {found['temperature']:.3g}: calibration error "
                 f"{after['ece']:.2%} ({used})")  # fmt: skip


@cli.command("threshold")
def show_threshold(
    run: int,
    name: Annotated[str, typer.Argument(help="The class that is told from all others.")],
    split: SplitOption = "test",
    home: HomeOption = None,
    database_url: DatabaseOption = None,
) -> None:
    """What a threshold on a class's probability finds, misses and says falsely: one line each."""
    from engine import mistakes

    with looked_into(run, home, database_url) as place:
        answer = mistakes.apart(place, run=run, name=name, split=split)
        found = followed(answer, "Asking the model about each item")
        columns = ("found", "missed", "false", "left")
        lines = zip(found["thresholds"], *(found[key] for key in columns), strict=True)
        for threshold, *counts in lines:
            say({"threshold": round(threshold, 4), **dict(zip(columns, counts, strict=True))})
        say({"run": run, "class": name, "average_precision": found["average_precision"]})


def followed(answer: Any, words: str) -> Any:
    """What an answer ends with that says on its way how far it is, for people as a bar."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task(words, total=None)
        while True:
            try:
                far = next(answer)
            except StopIteration as end:
                return end.value
            bar.update(task, completed=far["done"], total=far["total"] or None)


# --- measure --------------------------------------------------------------------------------


@cli.command("measure")
def measure_runs(
    numbers: Annotated[list[int], typer.Argument(metavar="RUN…", help="Runs, side by side.")],
    home: HomeOption = None,
    database_url: DatabaseOption = None,
) -> None:
    """Size on disk, latency and throughput of runs, timed in turns, with their test scores: one
    line each."""
    from engine.catalog import discover
    from engine.measuring import measure

    with looked(home, database_url) as (place, history):
        entries = [history.run(number) for number in dict.fromkeys(numbers)]
        discover()
        found = followed(measure(place, [one.id for one in entries]), "Timing answers")["runs"]
        for entry in entries:
            scores = {
                name: value for name, value in measures(entry).items() if name.startswith("test/")
            }
            say({"run": entry.id, "name": entry.name, "method": entry.method,
                 **found[str(entry.id)], **scores})  # fmt: skip


# --- take away ------------------------------------------------------------------------------


@cli.command("export")
def export_model(
    run: int,
    form: Annotated[
        str, typer.Argument(help="Weights, Onnx, TorchGraph … ; “list” names them.")
    ] = "list",
    out: Annotated[
        Path | None,
        typer.Option(help="A folder for the files; kept with the run as one file if left out."),
    ] = None,
    home: HomeOption = None,
    database_url: DatabaseOption = None,
) -> None:
    """Take a run's model away: one JSON object says what was made, and where it lies."""
    from engine.catalog import discover
    from engine.export import export, exports, offered
    from engine.predict import Predictor

    with told():
        place, history = opened(home, database_url)
        known, entry = discover(), history.run(run)
        if form == "list":
            for card, otherwise in offered(Recipe.from_json(entry.recipe), known):
                say({"format": card.name, "label": card.label, "help": card.help,
                     "unavailable": otherwise})  # fmt: skip
            return
        making = export(Predictor(place, run), known, form, portrait=history.portrait(run), out=out)
        made = followed(making, f"Making {form}")
        if out is None:
            made["path"] = str(exports(place, run) / made["file"])
        say(made)


# --- explain --------------------------------------------------------------------------------


@cli.command()
def explain(
    run: int,
    input: Annotated[
        Path | None, typer.Argument(help="A picture, recording, text or CSV file of a sequence.")
    ] = None,
    text: Annotated[str | None, typer.Option(help="A text in place of a file.")] = None,
    how: Annotated[
        str | None, typer.Option(help="GradCam, IntegratedGradients … ; “list” names them.")
    ] = None,
    why: Annotated[
        str | None, typer.Option(help="The class that is explained, by name; else the likeliest.")
    ] = None,
    rather_than: Annotated[
        str | None, typer.Option(help="Another class: why the one rather than this.")
    ] = None,
    other: Annotated[
        Path | None, typer.Option(help="A second file, where a way leads from the one to it.")
    ] = None,
    setting: Annotated[
        list[str] | None, typer.Option("--set", help="A setting of the explanation: steps=64")
    ] = None,
    png: Annotated[
        Path | None, typer.Option(help="Write the picture of the explanation to this file.")
    ] = None,
    home: HomeOption = None,
    database_url: DatabaseOption = None,
) -> None:
    """Why a run's best checkpoint answers so to an input: one JSON object."""
    from engine.catalog import discover
    from engine.explain import Explainer, drawn, number_of
    from engine.predict import Predictor

    with told():
        place, history = opened(home, database_url)
        history.run(run)
        discover()
        explainer = Explainer(Predictor(place, run), place)
        if input is not None and text is not None:
            raise BadInput("Say one thing to look into: a file, or --text")
        ((_, given),) = asked([input] if input else [], [text] if text else [], None)
        for path in (input, other):
            if path is not None and not path.is_file():
                raise BadInput(f"There is no file {path}")
        if how == "list":
            say(explainer.choices(given))
            return
        settings = dict(part(one, "steps=64") for one in setting or [])
        found = explainer.explain(
            given, how, settings=settings,
            target=number_of(explainer.subject(given), why),
            against=number_of(explainer.subject(given), rather_than),
            other=None if other is None else {"path": str(other)},
        )  # fmt: skip
        if png is not None:
            png.write_bytes(drawn(found))
        say(found)


# --- data -----------------------------------------------------------------------------------


def described(row: Any) -> dict[str, Any]:
    """A dataset as one line of JSON."""
    return {
        "dataset": row.id, "name": row.name, "kind": row.meta.get("kind", row.kind),
        "state": row.state, "reason": row.reason, "version": row.meta.get("version"),
        "classes": row.meta.get("classes", []), "counts": row.meta.get("counts", {}),
        "shape": row.meta.get("shape", []), "bytes": row.bytes, "fingerprint": row.fingerprint,
        "origin": row.meta.get("origin", ""), "created": row.created,
    }  # fmt: skip


Seed = Annotated[int, typer.Option(help="Of the split, where none is given.")]
ValidationShare = Annotated[float, typer.Option(help="Share of each class for validation.")]
TestShare = Annotated[float, typer.Option("--test", help="Share of each class for the test.")]
Paths = Annotated[
    list[Path],
    typer.Argument(help="An archive, folder or table; or the files that belong together."),
]
KindOption = Annotated[
    ImportKind | None, typer.Option(help="What it is; found by itself if left out.")
]
ColumnOption = Annotated[
    list[str] | None,
    typer.Option("--column", help="What a table's column is: text=review, or label= for none."),
]
EncodingOption = Annotated[str | None, typer.Option(help="Of text, as Python names it.")]
DelimiterOption = Annotated[str | None, typer.Option(help="Between the cells of a table.")]


def roles(columns: list[str] | None) -> dict[str, str]:
    """``["text=review"]`` as ``{"text": "review"}``."""
    found = {}
    for text in columns or []:
        role, equals, name = text.partition("=")
        if not equals:
            raise BadInput(f"--column {text}: say it as --column text=review")
        found[role.strip()] = name.strip()
    return found


SizeOption = Annotated[int | None, typer.Option(help="Side of the pictures in pixels.")]
ChannelsOption = Annotated[int | None, typer.Option(help="1 reads pictures in grey, 3 in colours.")]
RateOption = Annotated[int | None, typer.Option(help="Samples a second of recordings.")]
ClassesOption = Annotated[
    Literal["outermost", "path"],
    typer.Option(help="Of folders in folders: the outermost is the class, or the whole path."),
]
GroupOption = Annotated[
    str | None, typer.Option(help="A column whose values stay together when it is split.")
]
GivenOption = Annotated[
    Literal["given", "random", "none"],
    typer.Option(help="The split that the files name, one at random, or all to learn from."),
]
SkipOption = Annotated[bool, typer.Option(help="Leave out what can't be read.")]
NameOption = Annotated[str, typer.Option(help="Its name in the list.")]


@data.command("add")
def data_add(
    paths: Paths,
    name: NameOption = "",
    kind: KindOption = None,
    size: SizeOption = None,
    channels: ChannelsOption = None,
    rate: RateOption = None,
    classes: ClassesOption = "outermost",
    column: ColumnOption = None,
    encoding: EncodingOption = None,
    delimiter: DelimiterOption = None,
    group: GroupOption = None,
    split: GivenOption = "given",
    seed: Seed = 0,
    validation: ValidationShare = 0.1,
    test: TestShare = 0.1,
    skip_broken: SkipOption = False,
    home: HomeOption = None,
    database_url: DatabaseOption = None,
) -> None:
    """Bring in a dataset of your own."""
    from engine.data.imports import kind_of
    from engine.data.options import ImportOptions
    from engine.intake import Order

    with told():
        place, history = opened(home, database_url)
        if missing := [path for path in paths if not path.exists()]:
            raise BadInput(f"There is no file {missing[0]}")
        options = ImportOptions.of({
            "size": size, "channels": channels, "rate": rate, "classes": classes,
            "columns": roles(column), "encoding": encoding, "delimiter": delimiter,
            "group": group, "split": split, "seed": seed, "validation": validation, "test": test,
            "skip_broken": skip_broken,
        })  # fmt: skip
        order = Order(tuple(paths), kind=kind or kind_of(paths), options=options)
        source = ", ".join(path.name for path in paths)
        carry_out(place, history, order, name=name or paths[0].stem, source=source)


@data.command("get")
def data_get(
    origin: Annotated[
        str,
        typer.Argument(help="sample:NAME, torchvision:CLASS or hub:OWNER/NAME; see data samples."),
    ],
    name: NameOption = "",
    kind: KindOption = None,
    size: SizeOption = None,
    rate: RateOption = None,
    column: ColumnOption = None,
    group: GroupOption = None,
    split: GivenOption = "given",
    seed: Seed = 0,
    validation: ValidationShare = 0.1,
    test: TestShare = 0.1,
    skip_broken: SkipOption = False,
    home: HomeOption = None,
    database_url: DatabaseOption = None,
) -> None:
    """Fetch a dataset by its name and bring it in; what was fetched already is used again."""
    from engine.data.options import ImportOptions
    from engine.intake import Order

    with told():
        place, history = opened(home, database_url)
        options = ImportOptions.of({
            "size": size, "rate": rate, "columns": roles(column), "group": group, "split": split,
            "seed": seed, "validation": validation, "test": test, "skip_broken": skip_broken,
        })  # fmt: skip
        order = Order(origin=origin, kind=kind, options=options)
        named = name or origin.partition(":")[2]
        carry_out(place, history, order, name=named, source=origin)


def carry_out(home: Home, history: History, order: Any, *, name: str, source: str) -> None:
    """Import in the foreground; the dataset as a line of JSON."""
    from rich.console import Console
    from rich.progress import Progress

    from engine.intake import take_in
    from engine.processes import me

    pid, started = me()
    row = history.add_dataset(
        name=name, kind=order.kind or "", source=source, pid=pid, pid_started=started
    )
    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task(f"Importing {name}")

        def show(done: int, total: int, text: str) -> None:
            bar.update(task, completed=done, total=total, description=text)

        good = take_in(history, home, row.id, order, show=show)
    row = history.dataset(row.id)
    if not good:
        history.delete_dataset(row.id)
        mend = row.meta.get("retry", {}).get("field")
        how = " (--skip-broken leaves them out)" if mend == "skip_broken" else ""
        raise BadInput(row.reason + how)
    for harm in ("stops", "harms"):
        if count := row.meta["doctor"].get(harm):
            one = harm if count == 1 else harm.removesuffix("s")
            tell(f"{count} finding{'s' * (count > 1)} that {one} training: "
                 f"python app.py data doctor {row.id}")  # fmt: skip
    say(described(row))


@data.command("synthesize")
def data_synthesize(
    number: int,
    of: Annotated[int, typer.Option("--from", help="A run of a VAE or DCGAN of this dataset.")],
    count: Annotated[int, typer.Option(help="Items that are added to the training split.")] = 500,
    labelled_by: Annotated[
        int | None, typer.Option(help="A classification run that gives them their classes.")
    ] = None,
    sure: Annotated[float, typer.Option(help="How sure it must be to take one, 0 to 1.")] = 0.9,
    seed: Annotated[int, typer.Option(help="Decides what is drawn.")] = 0,
    name: NameOption = "",
    home: HomeOption = None,
    database_url: DatabaseOption = None,
) -> None:
    """Add items that a run has drawn to a dataset's training split, as a new dataset."""
    with looked(home, database_url) as (place, history):
        row = history.dataset(number)
        extend(place, history, name or f"{row.name} + drawn", f"drawn by run {of}", {
            "do": "draw", "dataset": number, "version": row.meta.get("version", 1), "run": of,
            "count": count, "labelled_by": labelled_by, "sure": sure, "seed": seed,
        })  # fmt: skip


@data.command("back-translate")
def data_back_translate(
    number: int,
    there: Annotated[int, typer.Option(help="A run that translates into another language.")],
    back: Annotated[int, typer.Option(help="A run that translates back.")],
    count: Annotated[int, typer.Option(help="Training texts that are translated.")] = 500,
    seed: Annotated[int, typer.Option(help="Decides which ones.")] = 0,
    name: NameOption = "",
    home: HomeOption = None,
    database_url: DatabaseOption = None,
) -> None:
    """Add training texts, translated there and back, to a dataset, as a new dataset."""
    with looked(home, database_url) as (place, history):
        row = history.dataset(number)
        extend(place, history, name or f"{row.name} + translated", f"runs {there} and {back}", {
            "do": "back-translate", "dataset": number, "version": row.meta.get("version", 1),
            "there": there, "back": back, "count": count, "seed": seed,
        })  # fmt: skip


def extend(home: Home, history: History, name: str, source: str, extension: dict[str, Any]) -> None:
    """Make a dataset of an earlier one and of what models have made."""
    from engine.intake import Order

    carry_out(home, history, Order(extension=extension), name=name, source=source)


@data.command("samples")
def data_samples() -> None:
    """What can be fetched by name: one line each."""
    from engine.data.origins import offers

    for offer in offers():
        say(dict(offer))


@data.command("inspect")
def data_inspect(
    paths: Paths,
    kind: KindOption = None,
    column: ColumnOption = None,
    encoding: EncodingOption = None,
    delimiter: DelimiterOption = None,
) -> None:
    """What files seem to hold, before they are brought in."""
    from engine.data.inspection import inspect
    from engine.data.options import ImportOptions

    with told():
        options = ImportOptions.of(
            {"columns": roles(column), "encoding": encoding, "delimiter": delimiter}
        )
        say(inspect(paths, kind, options).model_dump(mode="json"))


@data.command("list")
def data_list(home: HomeOption = None, database_url: DatabaseOption = None) -> None:
    """One line a dataset of your own."""
    with looked(home, database_url) as (_, history):
        for row in history.datasets():
            say(described(row))


@data.command("show")
def data_show(number: int, home: HomeOption = None, database_url: DatabaseOption = None) -> None:
    """A dataset with all that is known of it, its versions too."""
    with looked(home, database_url) as (_, history):
        row = history.dataset(number)
        say(described(row) | {"meta": row.meta})


@data.command("remove")
def data_remove(number: int, home: HomeOption = None, database_url: DatabaseOption = None) -> None:
    """Remove a dataset with its files."""
    from engine.intake import Intake

    with looked(home, database_url) as (place, history):
        Intake(history, place, command(place, "bring-in")).remove(number)
        say({"dataset": number, "state": "removed"})


# --- a dataset's versions -------------------------------------------------------------------


@data.command("items")
def data_items(
    number: int,
    split: Annotated[str, typer.Option(help="train, validation, test or left_out.")] = "",
    label: Annotated[str, typer.Option(help="A class.")] = "",
    finding: Annotated[str, typer.Option(help="The code of one of the doctor's findings.")] = "",
    home: HomeOption = None,
    database_url: DatabaseOption = None,
) -> None:
    """The items with their numbers, which the commands below take: one line each."""
    from engine.data import doctor
    from engine.data.arrays import LEFT_OUT, UNKNOWN, Stored
    from engine.data.splits import SPLITS
    from engine.data.upgrade import upgraded

    with looked(home, database_url) as (place, history):
        row = history.dataset(number)
        stored = Stored(upgraded(place.dataset(number)), row.meta.get("version"))
        places = {LEFT_OUT: "left_out", **dict(enumerate(SPLITS))}
        rows: Sequence[int] = range(len(stored))
        if finding:
            rows = doctor.named(doctor.kept(stored), finding).rows
        for item in rows:
            code = UNKNOWN if stored.labels is None else int(stored.labels[item])
            said = {"item": item, "name": stored.names[item],
                    "split": places[int(stored.splits[item])],
                    "label": None if code == UNKNOWN else stored.classes[code]}  # fmt: skip
            if split in ("", said["split"]) and label in ("", said["label"]):
                say(said)


@data.command("doctor")
def data_doctor(
    number: int,
    mend: Annotated[str, typer.Option(help="The code of a finding to put right.")] = "",
    home: HomeOption = None,
    database_url: DatabaseOption = None,
) -> None:
    """What is wrong with a dataset, the most harmful first: one line each."""
    from engine.data import doctor
    from engine.data.arrays import Stored
    from engine.data.upgrade import upgraded

    with looked(home, database_url) as (place, history):
        row = history.dataset(number)
        stored = Stored(upgraded(place.dataset(number)), row.meta.get("version"))
        findings = doctor.kept(stored)
        if mend:
            change(place, history, number, finding=mend)
            return
        for finding in findings:
            said = finding.model_dump(mode="json", exclude={"rows", "mend"})
            names = {item: stored.names[item] for item in finding.rows[:10]}
            say(said | {"count": len(finding.rows), "items": names,
                        "mend": finding.mend.do if finding.mend else None})  # fmt: skip


@data.command("split")
def data_split(
    number: int,
    by: Annotated[str, typer.Option(help="A column whose values stay together.")] = "",
    seed: Seed = 0,
    validation: ValidationShare = 0.1,
    test: TestShare = 0.1,
    home: HomeOption = None,
    database_url: DatabaseOption = None,
) -> None:
    """Split a dataset anew, as a new version of it."""
    rule = {"how": "grouped" if by else "random", "column": by, "seed": seed,
            "validation": validation, "test": test}  # fmt: skip
    with looked(home, database_url) as (place, history):
        change(place, history, number, {"do": "split", "rule": rule})


@data.command("merge")
def data_merge(
    number: int,
    classes: Annotated[list[str], typer.Argument(help="Classes that are one.")],
    into: Annotated[str, typer.Option(help="What they are called then.")],
    home: HomeOption = None,
    database_url: DatabaseOption = None,
) -> None:
    """Make one class of several, or rename one, as a new version."""
    with looked(home, database_url) as (place, history):
        change(place, history, number, {"do": "merge", "classes": classes, "into": into})


Rows = Annotated[list[int], typer.Argument(help="Items by number, from 0.")]


@data.command("exclude")
def data_exclude(
    number: int, rows: Rows, home: HomeOption = None, database_url: DatabaseOption = None
) -> None:
    """Leave items out, as a new version."""
    with looked(home, database_url) as (place, history):
        change(place, history, number, {"do": "exclude", "rows": rows})


@data.command("move")
def data_move(
    number: int,
    rows: Rows,
    to: Annotated[Literal["train", "validation", "test"], typer.Option(help="A split.")],
    home: HomeOption = None,
    database_url: DatabaseOption = None,
) -> None:
    """Put items into another split, as a new version."""
    with looked(home, database_url) as (place, history):
        change(place, history, number, {"do": "move", "rows": rows, "split": to})


@data.command("relabel")
def data_relabel(
    number: int,
    rows: Rows,
    label: Annotated[str, typer.Option(help="Their class, which may be new.")],
    home: HomeOption = None,
    database_url: DatabaseOption = None,
) -> None:
    """Give items another class, as a new version."""
    with looked(home, database_url) as (place, history):
        change(place, history, number, {"do": "relabel", "rows": rows, "label": label})


@data.command("restore")
def data_restore(
    number: int, version: int, home: HomeOption = None, database_url: DatabaseOption = None
) -> None:
    """Go back to an earlier version, as a new one."""
    with looked(home, database_url) as (place, history):
        change(place, history, number, {"do": "restore", "version": version})


def change(
    home: Home, history: History, number: int, wanted: Any = None, *, finding: str | None = None
) -> None:
    """Make a dataset's next version from its current one; a line of JSON says what it is."""
    from engine.intake import revise

    row = history.dataset(number)
    made = revise(home, number, row.meta.get("version", 1), wanted, finding=finding)
    history.dataset_changed(number, meta=made["meta"])
    say({"dataset": number, "version": made["version"], "change": made["change"]})


if __name__ == "__main__":
    # Names come in every script, and a terminal or a pipe may be set to another encoding.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    cli()
