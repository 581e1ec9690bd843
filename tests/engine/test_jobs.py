"""The queue and its workers, as real processes."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
from waiting import until

from engine import checkpoint
from engine.catalog import Device
from engine.home import Home
from engine.jobs import Jobs
from engine.processes import alive, me
from engine.recipe import Recipe
from storage.history import History
from storage.values import Run

APP = Path(__file__).parents[2] / "app.py"
CPU = Device(id="cpu", name="a processor", memory=0, free=0)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")


@pytest.fixture
def open_app(home: Home, history: History) -> Iterator[Callable[[], Jobs]]:
    """The queue of an app; opened again, that of the app after a restart."""
    opened: list[Jobs] = []

    def open_one() -> Jobs:
        command = [sys.executable, "-u", str(APP), "work", "--home", str(home.root)]
        jobs = Jobs(history, home, command, [CPU])
        jobs.start()
        opened.append(jobs)
        return jobs

    yield open_one
    for jobs in opened:
        jobs.close()
    for run in history.active():
        if run.pid and alive(run.pid, run.pid_started):
            os.kill(run.pid, signal.SIGKILL)


def add(history: History, recipe: Recipe) -> int:
    return history.add_run(
        recipe.to_json(), name="test", task=recipe.task.name, model=recipe.model.name,
        data=recipe.data.name, method=recipe.method.name,
    ).id  # fmt: skip


def state(history: History, number: int) -> str:
    return history.run(number).state


def running(history: History, number: int) -> Run:
    """The run, once it has trained some steps."""
    until(lambda: history.run(number).step > 3)
    return history.run(number)


def test_runs_are_carried_out_in_order_one_at_a_time(
    history: History, home: Home, recipe: Callable[..., Recipe], open_app: Callable[[], Jobs]
) -> None:
    short = {"method__epochs": 4, "method__learning_rate": 0.01}
    first, second, third = (add(history, recipe(seed=seed, **short)) for seed in range(3))
    history.reorder(third, before=second)
    open_app()
    until(lambda: all(state(history, n) == "finished" for n in (first, second, third)))
    runs = [history.run(n) for n in (first, third, second)]
    for earlier, later in pairwise(runs):
        assert earlier.finished is not None
        assert later.started is not None
        assert earlier.finished <= later.started
    assert runs[0].metrics["test/accuracy"] > 0.2
    assert len(history.curves(first)["train/loss"].values) == 48
    assert Recipe.from_json((home.run(first) / "recipe.json").read_text()) == recipe(
        seed=0, **short
    )
    assert "process" in home.log(first).read_text()


def test_a_killed_worker_is_noticed_and_its_run_resumes_exactly(
    history: History, home: Home, recipe: Callable[..., Recipe], open_app: Callable[[], Jobs]
) -> None:
    long = recipe(method__epochs=80, model__dropout=0.2)
    jobs = open_app()
    number = add(history, long)
    jobs.poke()
    until(lambda: history.run(number).saved_step)
    worker = running(history, number)
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    until(lambda: state(history, number) == "interrupted", within=10)
    reason = history.run(number).reason
    assert "killed by signal 9" in reason
    assert "Resume" in reason
    history.requeue(number)
    jobs.poke()
    until(lambda: state(history, number) == "finished")
    resumed = history.curves(number)["train/loss"]

    straight = add(history, long)
    jobs.poke()
    until(lambda: state(history, straight) == "finished")
    same = history.curves(straight)["train/loss"]
    assert list(resumed.steps) == list(same.steps) == list(range(1, 80 * 12 + 1))
    assert resumed.values == same.values
    best = [checkpoint.weights(checkpoint.find(home.checkpoints(n), "last")[1])
            for n in (number, straight)]  # fmt: skip
    assert all(best[0][name].equal(best[1][name]) for name in best[0])


def test_the_app_may_die_and_come_back_while_a_run_trains(
    history: History, recipe: Callable[..., Recipe], open_app: Callable[[], Jobs]
) -> None:
    jobs = open_app()
    number = add(history, recipe(method__epochs=3000))
    jobs.poke()
    before = running(history, number)
    jobs.close()
    assert before.pid is not None
    assert alive(before.pid, before.pid_started)
    again = open_app()
    second = add(history, recipe())
    again.poke()
    seen = history.run(number).step
    until(lambda: history.run(number).step > seen)
    after = history.run(number)
    assert (after.pid, after.pid_started) == (before.pid, before.pid_started)
    assert state(history, second) == "queued"  # one run a device, whoever started it
    history.wish(number, "pause")
    until(lambda: state(history, number) == "paused")
    until(lambda: state(history, second) == "finished")


def test_a_worker_sees_every_wish(
    history: History, home: Home, recipe: Callable[..., Recipe], open_app: Callable[[], Jobs]
) -> None:
    jobs = open_app()
    for wish, ending in (("pause", "paused"), ("stop", "stopped"), ("cancel", "stopped")):
        number = add(history, recipe(method__epochs=3000))
        jobs.poke()
        running(history, number)
        history.wish(number, wish)  # type: ignore[arg-type]
        until(lambda number=number, ending=ending: state(history, number) == ending)
        kept = bool(checkpoint.entries(home.checkpoints(number)))
        assert kept == (wish != "cancel") == (history.run(number).saved_step is not None)
        assert ("test/accuracy" in history.run(number).metrics) == (wish == "stop")


def test_a_signal_to_terminate_pauses_a_run(
    history: History, recipe: Callable[..., Recipe], open_app: Callable[[], Jobs]
) -> None:
    jobs = open_app()
    number = add(history, recipe(method__epochs=3000))
    jobs.poke()
    pid = running(history, number).pid
    assert pid is not None
    os.kill(pid, signal.SIGTERM)
    until(lambda: state(history, number) == "paused")


def test_a_deleted_run_ends_its_worker(
    history: History, recipe: Callable[..., Recipe], open_app: Callable[[], Jobs]
) -> None:
    jobs = open_app()
    number = add(history, recipe(method__epochs=3000))
    jobs.poke()
    run = running(history, number)
    history.interrupt(number, "for the test")
    history.delete_run(number)
    until(lambda: not alive(run.pid, run.pid_started))


def test_a_worker_that_cannot_start_is_given_up(
    history: History, home: Home, recipe: Callable[..., Recipe]
) -> None:
    jobs = Jobs(history, home, [sys.executable, "-c", "raise SystemExit(3)"], [CPU])
    number = add(history, recipe())
    until(lambda: jobs.look() or state(history, number) == "failed")
    assert "exit code 3" in history.run(number).reason
    jobs.close()


def test_a_process_is_known_by_more_than_its_number() -> None:
    pid, started = me()
    assert alive(pid, started)
    assert not alive(pid, started - 60)
    assert not alive(None, None)
    child = psutil.Popen([sys.executable, "-c", ""])
    born = child.create_time()
    child.wait()
    assert not alive(child.pid, born)


def test_a_run_that_cannot_be_read_does_not_hold_up_the_queue(
    history: History, home: Home, recipe: Callable[..., Recipe]
) -> None:
    unread = history.add_run('{"newer": 1}', name="x", task="", model="", data="", method="").id
    waiting = add(history, recipe())
    jobs = Jobs(history, home, [sys.executable, "-c", "input()"], [CPU])
    try:
        jobs.look()
        assert state(history, unread) == "failed"
        assert "isn't a recipe" in history.run(unread).reason
        assert [worker.run for worker in jobs.given] == [waiting]
    finally:
        jobs.close()
