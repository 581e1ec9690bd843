"""A busy neighbour costs one thread, not the whole run."""

from __future__ import annotations

from engine.pace import TRY_AGAIN, Pace


def threads(pace: Pace, *looks: float, start: float = 0.0, every: float = 0.25) -> list[int]:
    """How many threads it goes on with after each look, a step's seconds given."""
    return [pace.look(seconds, now=start + i * every) for i, seconds in enumerate(looks)]


def test_all_threads_are_used_while_the_cores_are_free() -> None:
    assert set(threads(Pace(4, 4), 0.02, 0.019, 0.021, 0.028, 0.02)) == {4}


def test_a_thread_is_given_up_when_steps_become_much_slower() -> None:
    assert threads(Pace(4, 4), 0.02, 0.02, 0.17, 0.03, 0.03) == [4, 4, 3, 3, 3]


def test_all_threads_are_tried_again_and_kept_only_if_they_are_faster() -> None:
    pace = Pace(2, 2)
    threads(pace, 0.02, 0.17)
    after = pace.gave_up_at + TRY_AGAIN + 1
    assert threads(pace, 0.03, 0.17, 0.03, start=after) == [2, 1, 1]  # still crowded
    later = pace.gave_up_at + TRY_AGAIN + 1
    assert threads(pace, 0.03, 0.02, 0.02, start=later) == [2, 2, 2]  # free again


def test_one_core_stays_one_thread() -> None:
    assert set(threads(Pace(1, 1), 0.02, 0.2, 0.02, start=1e9, every=100)) == {1}
