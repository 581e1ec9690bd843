"""Comparisons: plans of many runs, and the runs that belong to one."""

from __future__ import annotations

import pytest

from storage.history import History
from storage.values import BadState, NoSuchComparison, NoSuchRun
from tests.storage.makers import add, finish, start


def test_runs_belong_to_a_comparison_and_are_found_by_it(fresh_history: History) -> None:
    first = fresh_history.add_comparison('{"a": 1}', name="proof")
    second = fresh_history.add_comparison("{}", name="again")
    alone = add(fresh_history)
    ours = [add(fresh_history, comparison=first.id), finish(fresh_history, comparison=first.id)]
    other = add(fresh_history, comparison=second.id)

    def found(**how) -> set[int]:
        return {run.id for run in fresh_history.runs(**how)[0]}

    assert found(comparison=first.id) == {run.id for run in ours}
    assert found(comparison=False) == {alone.id}
    assert found(comparison=True) == {*(run.id for run in ours), other.id}
    assert found() == {alone.id, other.id, *(run.id for run in ours)}
    assert [run.id for run in fresh_history.runs_of(first.id)] == [run.id for run in ours]
    assert fresh_history.run(ours[0].id).comparison == first.id
    assert fresh_history.comparisons() == [second, first]
    assert fresh_history.comparison(first.id).plan == '{"a": 1}'
    assert fresh_history.states_of_comparisons() == {
        first.id: {"queued": 1, "finished": 1}, second.id: {"queued": 1},
    }  # fmt: skip


def test_a_comparison_is_deleted_with_its_runs_and_no_others(fresh_history: History) -> None:
    made = fresh_history.add_comparison("{}", name="proof")
    ours, alone = finish(fresh_history, comparison=made.id), finish(fresh_history)
    child = add(fresh_history, parent=ours.id)
    assert fresh_history.delete_comparison(made.id) == [ours.id]
    with pytest.raises(NoSuchRun):
        fresh_history.run(ours.id)
    assert fresh_history.run(alone.id)
    assert fresh_history.run(child.id).parent is None
    with pytest.raises(NoSuchComparison, match=f"no comparison {made.id}"):
        fresh_history.comparison(made.id)
    assert fresh_history.add_comparison("{}", name="next").id > made.id


def test_a_comparison_under_way_is_not_deleted(fresh_history: History) -> None:
    made = fresh_history.add_comparison("{}", name="proof")
    run = start(fresh_history, comparison=made.id)
    waits = add(fresh_history, comparison=made.id)
    with pytest.raises(BadState, match=f"Run {run.id} of it is under way"):
        fresh_history.delete_comparison(made.id)
    assert [one.id for one in fresh_history.runs_of(made.id)] == [run.id, waits.id]


def test_a_run_of_a_comparison_can_be_deleted_alone(fresh_history: History) -> None:
    made = fresh_history.add_comparison("{}", name="proof")
    run = finish(fresh_history, comparison=made.id)
    fresh_history.delete_run(run.id)
    assert fresh_history.runs_of(made.id) == []


def test_what_is_not_there_is_said(fresh_history: History) -> None:
    with pytest.raises(NoSuchComparison):
        add(fresh_history, comparison=5)
    with pytest.raises(NoSuchComparison):
        fresh_history.runs_of(5)
    with pytest.raises(NoSuchComparison):
        fresh_history.rename_comparison(5, "x")
    assert fresh_history.runs()[1] == 0


def test_a_comparison_gets_another_name(fresh_history: History) -> None:
    made = fresh_history.add_comparison("{}", name="proof")
    fresh_history.rename_comparison(made.id, "Größe")
    assert fresh_history.comparison(made.id).name == "Größe"


def test_an_open_comparison_is_found_until_it_is_closed(fresh_history: History) -> None:
    fresh_history.add_comparison("{}", name="proof")
    made = fresh_history.add_comparison("{}", name="search", open=True)
    assert fresh_history.comparisons(open=True) == [made]
    fresh_history.open_comparison(made.id, False)
    assert fresh_history.comparisons(open=True) == []
    fresh_history.open_comparison(made.id, True)
    assert [one.id for one in fresh_history.comparisons(open=True)] == [made.id]
    with pytest.raises(NoSuchComparison):
        fresh_history.open_comparison(made.id + 1, True)
