"""Who is next, who has which device, and what a state allows."""

from __future__ import annotations

import pytest

from storage.history import History
from storage.values import BadState, LostRun
from tests.storage.makers import PID, PID_STARTED, add, finish, progress, start


def queued(history: History) -> list[int]:
    return [run.id for run in history.queue()]


def claim(history: History, id: int, device: str = "cpu", pid: int = PID):
    return history.claim(id, device=device, pid=pid, pid_started=PID_STARTED)


def test_runs_wait_in_the_order_they_came(fresh_history: History) -> None:
    assert queued(fresh_history) == []
    ids = [add(fresh_history).id for _ in range(3)]
    assert queued(fresh_history) == ids


def test_a_queued_run_moves_where_it_is_put(fresh_history: History) -> None:
    a, b, c, d = (add(fresh_history).id for _ in range(4))
    fresh_history.reorder(d, before=a)
    assert queued(fresh_history) == [d, a, b, c]
    fresh_history.reorder(d, before=None)
    assert queued(fresh_history) == [a, b, c, d]
    fresh_history.reorder(a, before=c)
    fresh_history.reorder(b, before=b)
    assert queued(fresh_history) == [b, a, c, d]
    e = add(fresh_history).id
    assert queued(fresh_history) == [b, a, c, d, e]


def test_only_what_is_queued_can_be_moved(fresh_history: History) -> None:
    done, waiting = finish(fresh_history).id, add(fresh_history).id
    with pytest.raises(BadState, match=f"Run {done} is finished, not queued"):
        fresh_history.reorder(done, before=waiting)
    with pytest.raises(BadState, match=f"Run {done} is finished, not queued"):
        fresh_history.reorder(waiting, before=done)


def test_a_dequeued_run_is_stopped_with_its_reason(fresh_history: History) -> None:
    run = add(fresh_history)
    fresh_history.dequeue(run.id)
    after = fresh_history.run(run.id)
    assert (after.state, after.reason) == ("stopped", "Removed from the queue")
    assert after.finished is not None
    assert queued(fresh_history) == []
    with pytest.raises(BadState, match="not queued"):
        fresh_history.dequeue(run.id)


def test_a_claimed_run_belongs_to_its_process(fresh_history: History) -> None:
    run = start(fresh_history)
    assert (run.state, run.position, run.device) == ("preparing", None, "cpu")
    assert (run.pid, run.pid_started) == (PID, PID_STARTED)
    assert run.heartbeat == run.started
    assert [active.id for active in fresh_history.active()] == [run.id]


def test_one_run_a_device(fresh_history: History) -> None:
    start(fresh_history, device="cuda:0")
    waiting = add(fresh_history)
    assert claim(fresh_history, waiting.id, "cuda:0") is None
    assert fresh_history.run(waiting.id).state == "queued"
    assert claim(fresh_history, waiting.id, "cuda:1")


def test_a_run_is_claimed_once(fresh_history: History) -> None:
    run = start(fresh_history, device="cuda:0")
    assert claim(fresh_history, run.id, "cuda:1") is None
    done = finish(fresh_history, device="cuda:2")
    assert claim(fresh_history, done.id, "cuda:2") is None


@pytest.mark.parametrize("end", ["paused", "interrupted", "failed", "stopped"])
def test_a_run_that_stopped_can_go_on(fresh_history: History, end) -> None:
    waiting, run = add(fresh_history), start(fresh_history)
    fresh_history.record(run.id, progress=progress(), saved=(5, True))
    fresh_history.wish(run.id, "pause")
    fresh_history.end(run.id, state=end, reason="A reason")
    ended = fresh_history.run(run.id)
    assert (ended.finished is None) == (end == "paused")
    again = fresh_history.requeue(run.id)
    assert (again.state, again.reason, again.wish) == ("queued", "", None)
    assert (again.pid, again.device, again.finished) == (None, None, None)
    assert (again.step, again.saved_step, again.started) == (5, 5, run.started)
    assert queued(fresh_history) == [run.id, waiting.id]
    fresh_history.dequeue(run.id)
    fresh_history.requeue(run.id, first=False)
    assert queued(fresh_history) == [waiting.id, run.id]
    resumed = claim(fresh_history, run.id)
    assert resumed
    assert (resumed.state, resumed.started) == ("preparing", run.started)


@pytest.mark.parametrize("state", ["queued", "preparing", "finished"])
def test_what_waits_works_or_is_done_cannot_be_queued(fresh_history: History, state) -> None:
    run = {"queued": add, "preparing": start, "finished": finish}[state](fresh_history)
    with pytest.raises(BadState, match=f"is {state}: it can't be queued again"):
        fresh_history.requeue(run.id)


# --- wishes -----------------------------------------------------------------------------------


def test_a_wish_is_heard_at_the_next_beat_and_stays_until_it_is_done(
    fresh_history: History,
) -> None:
    run = start(fresh_history)
    assert fresh_history.beat(run.id, pid=PID) is None
    fresh_history.wish(run.id, "stop")
    assert [fresh_history.beat(run.id, pid=PID) for _ in range(2)] == ["stop", "stop"]


def test_a_wish_to_save_is_heard_once(fresh_history: History) -> None:
    run = start(fresh_history)
    fresh_history.wish(run.id, "save")
    assert [fresh_history.beat(run.id, pid=PID) for _ in range(2)] == ["save", None]


def test_a_wish_to_save_displaces_no_wish_to_end(fresh_history: History) -> None:
    run = start(fresh_history)
    fresh_history.wish(run.id, "save")
    fresh_history.wish(run.id, "pause")
    fresh_history.wish(run.id, "save")
    assert fresh_history.run(run.id).wish == "pause"
    fresh_history.wish(run.id, "cancel")
    assert fresh_history.run(run.id).wish == "cancel"


@pytest.mark.parametrize("wish", ["stop", "cancel", "pause"])
def test_a_wish_to_end_takes_a_queued_run_out(fresh_history: History, wish) -> None:
    run = add(fresh_history)
    fresh_history.wish(run.id, wish)
    assert fresh_history.run(run.id).state == "stopped"


def test_nothing_can_be_wished_of_a_run_that_has_ended(fresh_history: History) -> None:
    with pytest.raises(BadState, match="is finished: there is nothing to stop"):
        fresh_history.wish(finish(fresh_history).id, "stop")
    with pytest.raises(BadState, match="is queued: there is nothing to save"):
        fresh_history.wish(add(fresh_history).id, "save")


def test_a_claim_forgets_older_wishes(fresh_history: History) -> None:
    run = start(fresh_history)
    fresh_history.wish(run.id, "stop")
    fresh_history.interrupt(run.id, "The process died")
    assert fresh_history.run(run.id).wish is None
    fresh_history.requeue(run.id)
    resumed = claim(fresh_history, run.id)
    assert resumed
    assert resumed.wish is None


# --- ends -------------------------------------------------------------------------------------


def test_a_stale_process_learns_that_its_run_is_lost(fresh_history: History) -> None:
    run = start(fresh_history)
    assert fresh_history.interrupt(run.id, "No sign of life for 10 s")
    with pytest.raises(LostRun, match=f"Run {run.id} is interrupted"):
        fresh_history.beat(run.id, pid=PID)
    fresh_history.requeue(run.id)
    claim(fresh_history, run.id, pid=PID + 1)
    for said in (
        lambda: fresh_history.beat(run.id, pid=PID),
        lambda: fresh_history.record(run.id, pid=PID, progress=progress()),
        lambda: fresh_history.end(run.id, pid=PID, state="finished", reason="Done"),
    ):
        with pytest.raises(LostRun, match=f"is preparing in process {PID + 1}"):
            said()
    assert fresh_history.run(run.id).state == "preparing"
    assert fresh_history.beat(run.id, pid=PID + 1) is None


def test_a_run_that_ended_by_itself_is_not_interrupted(fresh_history: History) -> None:
    run = finish(fresh_history)
    assert not fresh_history.interrupt(run.id, "The process died")
    assert fresh_history.run(run.id) == run


def test_only_the_process_that_died_is_interrupted(fresh_history: History) -> None:
    run = start(fresh_history)
    assert not fresh_history.interrupt(run.id, "The process died", pid=PID + 1)
    assert fresh_history.interrupt(run.id, "The process died", pid=PID)
    after = fresh_history.run(run.id)
    assert (after.state, after.reason) == ("interrupted", "The process died")
    assert (after.pid, after.remaining) == (None, None)


def test_a_run_ends_once(fresh_history: History) -> None:
    run = start(fresh_history)
    fresh_history.end(run.id, state="failed", reason="Out of memory", metrics={"a": 1.0})
    with pytest.raises(LostRun, match="is failed"):
        fresh_history.end(run.id, state="finished", reason="Done", metrics={"a": 2.0})
    after = fresh_history.run(run.id)
    assert (after.state, after.reason, after.metrics) == ("failed", "Out of memory", {"a": 1.0})
    assert after.finished is not None


def test_a_queued_run_can_fail_to_start(fresh_history: History) -> None:
    run = add(fresh_history)
    fresh_history.end(run.id, state="failed", reason="No worker could be started")
    assert queued(fresh_history) == []
