"""Imported datasets: shown while they come in, kept while they are needed."""

from __future__ import annotations

import pytest

from storage.history import History
from storage.values import BadState, DatasetRow, NoSuchDataset
from tests.storage.makers import add, finish


def bring_in(history: History, name: str = "Leaves") -> DatasetRow:
    return history.add_dataset(name=name, kind="images", source="leaves.zip")


def ready(history: History, name: str = "Leaves") -> DatasetRow:
    return history.dataset_ready(
        bring_in(history, name).id,
        card="ImageFolder",
        provides={"label", "image"},
        meta={"classes": ["Ahorn", "柳"], "counts": {"train": [3, 4]}, "mean": 0.25},
        bytes=5 << 30,
        fingerprint="f00d",
    )


def test_an_import_is_seen_from_its_start_to_its_end(fresh_history: History) -> None:
    row = bring_in(fresh_history)
    assert (row.state, row.done, row.total, row.card) == ("importing", 0, 0, None)
    assert (row.source, row.provides, row.meta) == ("leaves.zip", (), {})
    fresh_history.import_owner(row.id, pid=12, pid_started=3.5)
    fresh_history.import_progress(row.id, 40, 60_000, "Decoding")
    row = fresh_history.dataset(row.id)
    assert (row.pid, row.pid_started) == (12, 3.5)
    assert (row.done, row.total, row.text) == (40, 60_000, "Decoding")
    fresh_history.dataset_ready(
        row.id, card="ImageFolder", provides=["image"], meta={}, bytes=1, fingerprint="f"
    )
    row = fresh_history.dataset(row.id)
    assert (row.state, row.pid, row.text) == ("ready", None, "")


def test_what_is_known_of_a_dataset_comes_back(fresh_history: History) -> None:
    row = ready(fresh_history)
    assert row == fresh_history.dataset(row.id)
    assert row.provides == ("image", "label")
    assert row.meta == {"classes": ["Ahorn", "柳"], "counts": {"train": [3, 4]}, "mean": 0.25}
    assert (row.card, row.bytes, row.fingerprint) == ("ImageFolder", 5 << 30, "f00d")


def test_a_failed_import_stays_with_its_reason_until_it_is_deleted(
    fresh_history: History,
) -> None:
    row = bring_in(fresh_history)
    fresh_history.import_failed(row.id, "class_3/x.png isn't an image")
    assert fresh_history.datasets() == [fresh_history.dataset(row.id)]
    assert fresh_history.dataset(row.id).reason == "class_3/x.png isn't an image"
    fresh_history.delete_dataset(row.id)
    assert fresh_history.datasets() == []


def test_an_import_that_is_over_takes_no_more_news(fresh_history: History) -> None:
    row = ready(fresh_history)
    for news in (
        lambda: fresh_history.import_progress(row.id, 1, 2, "x"),
        lambda: fresh_history.import_failed(row.id, "x"),
        lambda: fresh_history.import_owner(row.id, pid=1, pid_started=1.0),
    ):
        with pytest.raises(BadState, match=f"Dataset {row.id} is ready: its import is over"):
            news()
    assert fresh_history.dataset(row.id) == row


def test_an_import_learns_that_it_was_deleted(fresh_history: History) -> None:
    row = bring_in(fresh_history)
    fresh_history.delete_dataset(row.id)
    for ask in (
        lambda: fresh_history.import_progress(row.id, 1, 2, "x"),
        lambda: fresh_history.dataset(row.id),
        lambda: fresh_history.delete_dataset(row.id),
    ):
        with pytest.raises(NoSuchDataset, match=f"There is no dataset {row.id}"):
            ask()


def test_the_newest_dataset_comes_first_and_numbers_are_never_given_again(
    fresh_history: History,
) -> None:
    one, two = bring_in(fresh_history, "one"), bring_in(fresh_history, "two")
    assert [row.name for row in fresh_history.datasets()] == ["two", "one"]
    fresh_history.delete_dataset(two.id)
    assert bring_in(fresh_history).id > two.id > one.id


def test_a_dataset_is_kept_while_a_run_needs_it(fresh_history: History) -> None:
    row = ready(fresh_history)
    waiting = add(fresh_history, dataset=row.id)
    with pytest.raises(BadState, match=f"is needed by run {waiting.id}: stop it first"):
        fresh_history.delete_dataset(row.id)
    fresh_history.dequeue(waiting.id)
    done = finish(fresh_history, dataset=row.id)
    fresh_history.delete_dataset(row.id)
    assert fresh_history.run(done.id).dataset is None
