"""What a run showed is listed without its weight, and read one by one."""

from __future__ import annotations

from storage.history import History
from storage.values import SampleRow
from tests.storage.makers import start


def test_the_list_of_samples_has_every_step_and_one_is_read_by_it(fresh_history: History) -> None:
    run = start(fresh_history)
    for step in (10, 20):
        fresh_history.record(
            run.id,
            samples=[
                SampleRow("codes", "scatter", step, step / 10, {"x": [float(step)]}),
                SampleRow("pictures", "images", step, step / 10, {"rows": []}),
            ],
        )
    assert fresh_history.sample_steps(run.id) == [
        ("codes", "scatter", 10, 1.0),
        ("pictures", "images", 10, 1.0),
        ("codes", "scatter", 20, 2.0),
        ("pictures", "images", 20, 2.0),
    ]
    first = fresh_history.sample(run.id, "codes", step=10)
    assert first == SampleRow("codes", "scatter", 10, 1.0, {"x": [10.0]})
    newest = fresh_history.sample(run.id, "codes")
    assert newest is not None
    assert newest.step == 20
    assert fresh_history.sample(run.id, "codes", step=11) is None
    assert fresh_history.sample(run.id, "nothing") is None
