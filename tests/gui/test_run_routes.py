"""The addresses of the pages about runs: what they answer, change and refuse."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from engine.catalog import Card, Catalog, Device, Field, Only, Range
from engine.recipe import Choice, Recipe
from gui import run_routes
from gui.shell import Anneal
from storage.history import History
from tests.gui import histories

CATALOG = Catalog(
    cards=(
        Card(kind="task", name="Classification", label="Classification", fits={"logits"}),
        Card(kind="data", name="Mnist5000", label="MNIST digits", provides={"image"}),
        Card(
            kind="data", name="ImportedImages", label="Imported pictures", provides={"image"},
            hidden=True, fields=(Field(name="id", label="Id", type="int", hidden=True),
                                 Field(name="version", label="Version", type="int", hidden=True)),
        ),
        Card(
            kind="model", name="ConvNet", label="Convolutional network",
            fits={"image"}, provides={"logits"},
            fields=(Field(name="dropout", label="Dropout", type="float", default=0.0,
                          range=Range(0, 0.9)),),
        ),
        Card(
            kind="method", name="Training", label="Training", fits={"logits"},
            fields=(
                Field(name="epochs", label="Epochs", type="int", default=8),
                Field(name="learning_rate", label="Learning rate", type="float", default=0.001),
                Field(name="optimizer", label="Optimizer", type="choice", default="AdamW",
                      choices=("AdamW", "SGD")),
                Field(name="momentum", label="Momentum", type="float", default=0.9,
                      only=Only("optimizer", "SGD")),
                Field(name="secret", label="Secret", type="int", default=1, hidden=True),
            ),
        ),
    ),
    devices=(Device(id="cpu", name="A processor", memory=8_000_000_000, free=4_000_000_000),),
)  # fmt: skip


class Nobody:
    def ask(self, question: str, **payload: Any) -> Future[dict[str, Any]]:
        raise NotImplementedError

    def start(self, path: Path, **kwargs: Any) -> int:
        raise NotImplementedError


@dataclass
class Site:
    """The addresses over a history, and how often the queue was woken."""

    anneal: Anneal
    pokes: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.anneal = replace(self.anneal, poke=lambda: self.pokes.append(1))
        self.client = self.browser(self.anneal)

    def browser(self, anneal: Anneal) -> TestClient:
        return TestClient(Starlette(routes=run_routes.routes(anneal)))

    @property
    def history(self) -> History:
        return self.anneal.history

    def get(self, address: str, **query: Any) -> Any:
        reply = self.client.get(address, params=query)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def post(self, address: str, body: Any = None, **headers: str) -> Any:
        return self.client.post(address, json={} if body is None else body, headers=headers)

    def curves(self, run: int, **query: Any) -> Any:
        return self.get(f"/api/runs/{run}/curves", **query)

    def after(self, page: Any) -> dict[str, str]:
        """What a page that got `page` asks for next."""
        places = ",".join(f"{name}:{one['last']}" for name, one in page["series"].items())
        return {"after": places, "token": page["token"]}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with History(tmp_path / "anneal.db") as history:
        nobody = Nobody()
        yield Site(Anneal(CATALOG, history, nobody, nobody, tmp_path, lambda: None))


# --- the table of runs ----------------------------------------------------------------------------


def test_the_table_shows_labels_measures_and_small_curves(site: Site) -> None:
    histories.finished(site.history, "one")
    [row] = site.get("/api/runs")["runs"]
    assert (row["name"], row["state"]) == ("one", "finished")
    assert (row["model"], row["data"]) == ("Convolutional network", "MNIST digits")
    assert row["test"]["name"] == "test/accuracy"
    assert row["validation"]["name"] == "validation/accuracy"
    assert 2 <= len(row["spark"]) <= 40


def test_a_run_under_way_shows_its_newest_measures(site: Site) -> None:
    run = histories.start(site.history, histories.add(site.history))
    histories.train(site.history, run, last=90)
    [row] = site.get("/api/runs")["runs"]
    assert row["validation"]["name"] == "validation/accuracy"
    assert row["test"] is None


def test_search_states_tags_order_and_pages_are_the_servers_work(site: Site) -> None:
    for number in range(5):
        run = histories.add(site.history, f"run {number}")
        if number % 2:
            site.history.tag(run.id, ["odd"])
    histories.finished(site.history, "done")

    def names(**query: Any) -> list[str]:
        return [row["name"] for row in site.get("/api/runs", **query)["runs"]]

    assert names(search="run 3") == ["run 3"]
    assert names(states="finished,failed") == ["done"]
    assert names(tags="odd", sort="name", order="asc") == ["run 1", "run 3"]
    assert names(sort="name", order="asc", offset=2, limit=2) == ["run 1", "run 2"]
    assert site.get("/api/runs", limit=1)["total"] == 6
    assert site.get("/api/runs")["tags"] == ["odd"]


def test_an_order_that_does_not_exist_is_refused_with_a_sentence(site: Site) -> None:
    reply = site.client.get("/api/runs", params={"sort": "nonsense"})
    assert reply.status_code == 409
    assert "nonsense" in reply.json()["error"]


def test_the_queue_comes_with_the_table(site: Site) -> None:
    first, second = histories.add(site.history, "a"), histories.add(site.history, "b")
    histories.start(site.history, histories.add(site.history, "c"))
    page = site.get("/api/runs")
    assert [row["id"] for row in page["queue"]] == [first.id, second.id]
    assert [row["name"] for row in page["active"]] == ["c"]


def test_an_imported_dataset_goes_by_the_name_it_was_given(site: Site) -> None:
    mine = site.history.add_dataset(name="My cats", kind="images", source="cats.zip")
    site.history.dataset_ready(mine.id, card="Mnist5000", provides=["image"], meta={}, bytes=1,
                               fingerprint="x")  # fmt: skip
    histories.add(site.history, dataset=mine.id)
    assert site.get("/api/runs")["runs"][0]["data"] == "My cats"


def test_the_table_as_csv_is_safe_in_a_spreadsheet(site: Site) -> None:
    run = histories.finished(site.history, "=HYPERLINK(1)")
    site.history.annotate(run.id, notes="@evil, with a comma")
    reply = site.client.get("/api/runs.csv")
    [row] = csv.DictReader(io.StringIO(reply.text))
    assert row["name"] == "'=HYPERLINK(1)"
    assert row["notes"] == "'@evil, with a comma"
    assert float(row["test/accuracy"]) > 0.9
    assert "attachment" in reply.headers["content-disposition"]


# --- one run --------------------------------------------------------------------------------------


def test_a_run_is_told_with_its_recipe_notices_and_samples(site: Site) -> None:
    run = histories.finished(site.history)
    told = site.get(f"/api/runs/{run.id}")
    assert told["run"]["device"]["name"] == "A processor"
    assert told["run"]["metrics"]["per_class"][0]["class"] == "0"
    assert [notice["level"] for notice in told["notices"]] == ["info"]
    [confusion] = told["samples"]
    assert confusion["versions"][0] == [40, 1.0]
    assert len(confusion["versions"]) == 8
    last = told["notices"][-1]["id"]
    assert site.get(f"/api/runs/{run.id}", notices=last)["notices"] == []


def test_settings_tell_what_differs_from_the_defaults(site: Site) -> None:
    given = Recipe(
        task=Choice(name="Classification"), data=Choice(name="Mnist5000"),
        model=Choice(name="ConvNet", settings={"dropout": 0.5}),
        method=Choice(name="Training", settings={
            "epochs": 8, "learning_rate": 0.001, "optimizer": "AdamW", "momentum": 0.9, "secret": 1,
        }),
    )  # fmt: skip
    run = histories.add(site.history, given=given)
    groups = {group["kind"]: group for group in site.get(f"/api/runs/{run.id}")["recipe"]}
    assert groups["model"]["label"] == "Convolutional network"
    [dropout] = groups["model"]["rows"]
    assert (dropout["label"], dropout["changed"], dropout["default"]) == ("Dropout", True, 0.0)
    # Momentum doesn't matter to AdamW, and hidden settings aren't for people.
    assert [row["label"] for row in groups["method"]["rows"]] == \
        ["Epochs", "Learning rate", "Optimizer"]  # fmt: skip
    assert not any(row["changed"] for row in groups["method"]["rows"])


def test_a_recipe_of_cards_that_are_gone_is_still_shown(site: Site) -> None:
    given = histories.recipe().model_copy(
        update={"model": Choice(name="Ancient", settings={"layer_count": 3})}
    )
    run = histories.add(site.history, given=given)
    told = site.get(f"/api/runs/{run.id}")
    assert told["run"]["model"] == "Ancient"
    [row] = next(group for group in told["recipe"] if group["kind"] == "model")["rows"]
    assert (row["label"], row["value"]) == ("Layer count", 3)


def test_a_queued_run_knows_its_place(site: Site) -> None:
    runs = [histories.add(site.history, f"{n}") for n in range(3)]
    told = site.get(f"/api/runs/{runs[1].id}")
    assert (told["run"]["ahead"], told["run"]["behind"]) == (1, 1)


@pytest.mark.parametrize(
    "address", ["", "/curves", "/samples", "/log", "/export.csv", "/export.json"]
)
def test_a_run_that_does_not_exist_is_refused_with_a_sentence(site: Site, address: str) -> None:
    reply = site.client.get(f"/api/runs/77{address}")
    assert reply.status_code == 404
    assert "77" in reply.json()["error"]


def test_a_run_whose_parent_was_deleted_has_none(site: Site) -> None:
    parent = histories.finished(site.history, "parent")
    child = histories.add(site.history, parent=parent.id)
    assert site.get(f"/api/runs/{child.id}")["run"]["parent"]["name"] == "parent"
    site.history.delete_run(parent.id)
    assert site.get(f"/api/runs/{child.id}")["run"]["parent"] is None


def test_a_run_of_which_the_start_was_deleted_did_not_start_from_what_that_came_from(
    site: Site,
) -> None:
    first = histories.finished(site.history, "first")
    second = histories.add(site.history, parent=first.id)
    made = json.loads(second.recipe) | {"start": second.id}
    third = site.history.add_run(json.dumps(made), name="third", parent=second.id, task="T",
                                 model="M", data="D", method="X")  # fmt: skip
    assert site.get(f"/api/runs/{third.id}")["run"]["parent"]["id"] == second.id
    site.history.delete_run(second.id)
    told = site.get(f"/api/runs/{third.id}")
    assert told["run"]["parent"] is None
    assert [one["id"] for one in told["family"]["ancestors"]] == [first.id]


def test_numbers_that_json_can_not_say_are_words(site: Site) -> None:
    run = histories.start(site.history, histories.add(site.history))
    histories.train(site.history, run, last=10)
    site.history.end(run.id, state="failed", reason="The loss is no number",
                     metrics={"test/loss": math.nan, "test/x": math.inf})  # fmt: skip
    metrics = site.get(f"/api/runs/{run.id}")["run"]["metrics"]
    assert metrics == {"test/loss": "NaN", "test/x": "∞"}


# --- points ---------------------------------------------------------------------------------------


def test_only_what_came_since_is_sent(site: Site) -> None:
    run = histories.start(site.history, histories.add(site.history))
    histories.train(site.history, run, last=100)
    page = site.curves(run.id)
    assert page["series"]["train/loss"]["step"] == list(range(1, 101))
    assert site.curves(run.id, **site.after(page))["series"] == {}
    histories.train(site.history, run, first=101, last=125)
    more = site.curves(run.id, **site.after(page))
    assert not more["reset"]
    assert more["series"]["train/loss"]["step"] == list(range(101, 126))
    assert more["series"]["validation/loss"]["step"] == [120]
    assert more["run"]["step"] == 125


def test_a_slow_series_is_not_missed(site: Site) -> None:
    """Validation writes step 100 after training has written step 110."""
    run = histories.start(site.history, histories.add(site.history))
    histories.train(site.history, run, last=30)
    page = site.curves(run.id)
    site.history.record(run.id, points=[("validation/loss", 20, 0.5, 1.0, 0.7)])
    more = site.curves(run.id, **site.after(page))
    assert more["series"]["validation/loss"]["step"] == [20]


def test_points_that_a_resume_took_back_reset_the_page(site: Site) -> None:
    run = histories.start(site.history, histories.add(site.history))
    histories.train(site.history, run, last=100)
    page = site.curves(run.id)
    site.history.rewind(run.id, 60)
    again = site.curves(run.id, **site.after(page))
    assert again["reset"]
    assert again["series"]["train/loss"]["last"] == 60


def test_a_resume_resets_the_page_even_when_it_caught_up(site: Site) -> None:
    run = histories.start(site.history, histories.add(site.history))
    histories.train(site.history, run, last=100)
    page = site.curves(run.id)
    site.history.end(run.id, state="paused", reason="You paused it")
    assert not site.curves(run.id, **site.after(page))["reset"]
    site.history.requeue(run.id)
    histories.start(site.history, run, pid=histories.PID + 1)
    assert site.curves(run.id, **site.after(page))["reset"]


def test_an_end_does_not_reset_the_page(site: Site) -> None:
    run = histories.start(site.history, histories.add(site.history))
    histories.train(site.history, run, last=100)
    page = site.curves(run.id)
    site.history.end(run.id, state="finished", reason="Done")
    for _ in range(2):
        page |= {"token": site.curves(run.id, **site.after(page))["token"]}
        assert not site.curves(run.id, **site.after(page))["reset"]


def test_many_points_are_thinned_and_a_part_of_them_is_not(site: Site) -> None:
    run = histories.start(site.history, histories.add(site.history))
    points = [("train/loss", step, step / 100, step * 0.1, math.sin(step)) for step in range(9000)]
    site.history.record(run.id, points=points)
    site.history.end(run.id, state="finished", reason="Done")
    whole = site.curves(run.id, points=500)["series"]["train/loss"]
    assert (len(whole["step"]), whole["of"]) == (500, 9000)
    part = site.curves(run.id, points=500, x0=1000, x1=1200)["series"]["train/loss"]
    assert part["step"] == list(range(999, 1202))


def test_what_is_no_number_is_null(site: Site) -> None:
    run = histories.start(site.history, histories.add(site.history))
    histories.train(site.history, run, last=50, nan_at=[7])
    assert site.curves(run.id)["series"]["train/loss"]["value"][6] is None


@pytest.mark.parametrize("query", [{"after": "train/loss:x"}, {"x0": "a"}, {"points": "many"}])
def test_an_address_that_makes_no_sense_is_refused(site: Site, query: dict[str, str]) -> None:
    run = histories.add(site.history)
    reply = site.client.get(f"/api/runs/{run.id}/curves", params=query)
    assert reply.status_code == 400
    assert reply.json()["error"]


def test_export_has_every_point(site: Site) -> None:
    run = histories.finished(site.history)
    rows = list(csv.DictReader(io.StringIO(site.client.get(f"/api/runs/{run.id}/export.csv").text)))
    assert len([row for row in rows if row["series"] == "train/loss"]) == 320
    told = json.loads(site.client.get(f"/api/runs/{run.id}/export.json").text)
    assert told["recipe"]["model"]["name"] == "ConvNet"
    assert len(told["series"]["train/loss"]["value"]) == 320
    assert told["metrics"]["test/loss"] == 0.0911


# --- samples and log ------------------------------------------------------------------------------


def test_a_sample_is_found_by_name_and_step(site: Site) -> None:
    run = histories.finished(site.history)
    first = site.get(f"/api/runs/{run.id}/samples", name="confusion", step=40)
    newest = site.get(f"/api/runs/{run.id}/samples", name="confusion")
    assert (first["step"], newest["step"]) == (40, 320)
    assert len(newest["data"]["counts"]) == 10
    reply = site.client.get(f"/api/runs/{run.id}/samples", params={"name": "confusion", "step": 41})
    assert reply.status_code == 404


def test_the_log_is_its_end_from_a_whole_line_on(site: Site, tmp_path: Path) -> None:
    run = histories.add(site.history)
    assert site.get(f"/api/runs/{run.id}/log") == {"text": "", "size": 0, "cut": False}
    folder = tmp_path / "runs" / str(run.id)
    folder.mkdir(parents=True)
    (folder / "log.txt").write_bytes(b"first line\nsecond \xff line\nthird line\n")
    assert site.get(f"/api/runs/{run.id}/log")["text"].startswith("first")
    cut = site.get(f"/api/runs/{run.id}/log", tail=20)
    assert cut == {"text": "third line\n", "size": 36, "cut": True}


# --- comparing ------------------------------------------------------------------------------------


def test_a_comparison_shows_only_what_differs(site: Site) -> None:
    one = histories.finished(site.history, "one", seed=1)
    other = histories.finished(site.history, "other", seed=2,
                               given=histories.recipe(learning_rate=0.01))  # fmt: skip
    told = site.get("/api/compare", runs=f"{one.id},{other.id},99,x,{one.id}")
    assert [row["id"] for row in told["runs"]] == [one.id, other.id]
    assert told["missing"] == [99]
    [differs] = told["differences"]
    assert differs["label"] == "Learning rate"
    assert differs["values"] == {str(one.id): 0.001, str(other.id): 0.01}


def test_a_comparison_calls_datasets_by_their_names(site: Site) -> None:
    def dataset(name: str) -> int:
        row = site.history.add_dataset(name=name, kind="images", source="a.zip")
        site.history.dataset_ready(row.id, card="ImportedImages", provides=["image"], meta={},
                                   bytes=1, fingerprint="f")  # fmt: skip
        return row.id

    def run(id_: int, version: int = 1) -> int:
        data = Choice(name="ImportedImages", settings={"id": id_, "version": version})
        given = histories.recipe().model_copy(update={"data": data})
        return histories.add(site.history, given=given, dataset=id_).id

    def differ(*runs: int) -> list[tuple[str, list[Any]]]:
        told = site.get("/api/compare", runs=",".join(map(str, runs)))["differences"]
        return [(row["label"], [row["values"].get(str(id_)) for id_ in runs]) for row in told]

    cats, namesake = dataset("Cats"), dataset("Cats")
    first = run(cats)
    assert differ(first, run(dataset("Dogs"))) == [("Data", ["Cats", "Dogs"])]
    digits = histories.add(site.history).id
    assert differ(first, digits) == [("Data", ["Cats", "MNIST digits"])]
    # Hidden settings are said only where the names don't tell the datasets apart.
    [(_, told)] = differ(first, run(cats, version=2))
    assert told == ["Cats · version 1", "Cats · version 2"]
    [(_, told)] = differ(first, run(namesake))
    assert told == [f"Cats · id {cats}", f"Cats · id {namesake}"]
    assert differ(first, run(cats)) == []


def test_the_best_of_each_measure_is_marked() -> None:
    metrics = {
        1: {"test/accuracy": 0.9, "test/loss": 0.3, "seconds": 9.0, "test/nan": math.nan},
        2: {"test/accuracy": 0.8, "test/loss": 0.2, "seconds": 7.0, "test/nan": 1.0},
        3: {"test/loss": 0.01, "test/steps": 1.0, "headline": "test/steps",
            "larger_is_better": False},
        4: {"test/loss": 0.02, "test/steps": 2.0},
    }  # fmt: skip
    tasks = {1: "Classification", 2: "Classification", 3: "Other", 4: "Other"}
    best = {row["name"]: row["best"] for row in run_routes.side_by_side(metrics, tasks)}
    assert best == {"test/accuracy": [1], "test/loss": [2, 3], "seconds": [], "test/nan": [],
                    "test/steps": [3]}  # fmt: skip


# --- changing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("wish", ["stop", "cancel", "pause", "save"])
def test_a_wish_waits_for_the_run_to_hear_it(site: Site, wish: str) -> None:
    run = histories.start(site.history, histories.add(site.history))
    reply = site.post(f"/api/runs/{run.id}/{wish}")
    assert reply.status_code == 200
    assert reply.json()["run"]["wish"] == wish
    assert site.history.run(run.id).wish == wish


def test_a_paused_run_is_queued_again_and_the_queue_woken(site: Site) -> None:
    run = histories.start(site.history, histories.add(site.history))
    site.history.end(run.id, state="paused", reason="You paused it")
    assert site.post(f"/api/runs/{run.id}/resume").json()["run"]["state"] == "queued"
    assert site.pokes


def test_the_queue_can_be_put_in_order(site: Site) -> None:
    a, b, c = (histories.add(site.history, name).id for name in "abc")
    site.post(f"/api/runs/{c}/move", {"before": a})
    site.post(f"/api/runs/{a}/move", {"before": None})
    site.post(f"/api/runs/{b}/dequeue")
    assert [run.id for run in site.history.queue()] == [c, a]


def test_names_notes_and_tags_are_kept_tidy(site: Site) -> None:
    run = histories.add(site.history)
    site.post(f"/api/runs/{run.id}/rename", {"name": "  a \n better   name "})
    site.post(f"/api/runs/{run.id}/note", {"notes": "remember\nthis"})
    site.post(f"/api/runs/{run.id}/tag", {"tags": ["one", " two,three ", "one", ""]})
    changed = site.history.run(run.id)
    assert changed.name == "a better name"
    assert changed.notes == "remember\nthis"
    assert changed.tags == ("one", "two three")


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("rename", {"name": " "}), ("rename", {}), ("rename", {"name": 3}),
        ("rename", {"name": "x" * 201}), ("tag", {"tags": "a"}), ("tag", {"tags": [1]}),
        ("move", {"before": "first"}), ("move", {"before": True}), ("note", {"notes": None}),
    ],
)  # fmt: skip
def test_a_change_that_makes_no_sense_is_refused(site: Site, action: str, body: Any) -> None:
    run = histories.add(site.history)
    reply = site.post(f"/api/runs/{run.id}/{action}", body)
    assert reply.status_code == 400
    assert reply.json()["error"]
    assert site.history.run(run.id) == run


def test_what_the_state_forbids_is_refused_with_a_sentence(site: Site) -> None:
    run = histories.finished(site.history)
    for action in ("stop", "pause", "resume", "dequeue", "move"):
        reply = site.post(f"/api/runs/{run.id}/{action}")
        assert reply.status_code == 409, action
        assert "finished" in reply.json()["error"]
    assert site.post("/api/runs/77/stop").status_code == 404


def test_deleting_a_run_deletes_its_folder_and_no_other(site: Site, tmp_path: Path) -> None:
    runs = [histories.finished(site.history, f"{n}") for n in range(2)]
    for run in runs:
        (tmp_path / "runs" / str(run.id) / "checkpoints").mkdir(parents=True)
    assert site.post(f"/api/runs/{runs[0].id}/delete").json() == {"deleted": runs[0].id}
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [str(runs[1].id)]
    assert site.client.get(f"/api/runs/{runs[0].id}").status_code == 404


def test_deleting_does_not_follow_a_link_out_of_the_home(site: Site, tmp_path: Path) -> None:
    run = histories.finished(site.history)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("x")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / str(run.id)).symlink_to(elsewhere)
    assert site.post(f"/api/runs/{run.id}/delete").status_code == 403
    assert (elsewhere / "precious").exists()
    assert site.client.get(f"/api/runs/{run.id}/log").status_code == 403


def test_an_active_run_can_not_be_deleted(site: Site, tmp_path: Path) -> None:
    run = histories.start(site.history, histories.add(site.history))
    folder = tmp_path / "runs" / str(run.id)
    folder.mkdir(parents=True)
    assert site.post(f"/api/runs/{run.id}/delete").status_code == 409
    assert folder.exists()


# --- who may change -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"}, {"origin": "null"},
        {"origin": "http://testserver.evil.example"}, {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)  # fmt: skip
def test_another_sites_page_changes_nothing(site: Site, headers: dict[str, str]) -> None:
    run = histories.add(site.history)
    reply = site.post(f"/api/runs/{run.id}/rename", {"name": "evil"}, **headers)
    assert reply.status_code == 403
    assert site.history.run(run.id).name == "first"


def test_this_sites_page_does(site: Site) -> None:
    run = histories.add(site.history)
    headers = {"origin": "http://testserver", "sec-fetch-site": "same-origin"}
    assert site.post(f"/api/runs/{run.id}/rename", {"name": "good"}, **headers).status_code == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_form_changes_nothing(site: Site, kind: str) -> None:
    run = histories.add(site.history)
    reply = site.client.post(f"/api/runs/{run.id}/rename", content=b'{"name": "evil"}',
                             headers={"content-type": kind})  # fmt: skip
    assert reply.status_code == 415
    assert site.history.run(run.id).name == "first"


def test_a_body_that_is_too_long_or_no_json_is_refused(site: Site) -> None:
    run = histories.add(site.history)
    for body, status in ((b"{", 400), (b"[1]", 400), (b'"' + b"x" * 70_000 + b'"', 413)):
        reply = site.client.post(f"/api/runs/{run.id}/rename", content=body,
                                 headers={"content-type": "application/json"})  # fmt: skip
        assert reply.status_code == status


def test_a_read_only_app_shows_and_changes_nothing(site: Site) -> None:
    run = histories.add(site.history)
    browser = site.browser(replace(site.anneal, readonly=True))
    reply = browser.post(f"/api/runs/{run.id}/rename", json={"name": "other"})
    assert reply.status_code == 403
    assert "only shows" in reply.json()["error"]
    assert browser.get("/api/runs").json()["readonly"] is True


# --- a run that took no step ----------------------------------------------------------------------


def test_a_run_without_points_or_a_test_is_told_as_any_other(site: Site) -> None:
    run = histories.ready_at_once(site.history)
    (row,) = site.get("/api/runs")["runs"]
    assert (row["state"], row["validation"], row["test"], row["spark"]) == (
        "finished", None, None, [],
    )  # fmt: skip
    one = site.get(f"/api/runs/{run.id}")
    # Step 0 is a checkpoint like any other: it can be tried.
    assert (one["run"]["saved_step"], one["run"]["best_step"]) == (0, 0)
    assert "headline" not in one["run"]["metrics"]
    assert "it barks" in json.dumps(one["recipe"])
    curves = site.curves(run.id)
    assert curves["series"] == {}
    assert not curves["reset"]
    assert site.get(f"/api/runs/{run.id}/export.json")["series"] == {}
    lines = site.client.get(f"/api/runs/{run.id}/export.csv").text.splitlines()
    assert lines == ["series,step,epoch,seconds,value"]
    assert "at once" in site.client.get("/api/runs.csv").text


def test_what_was_measured_at_once_stands_beside_what_was_trained(site: Site) -> None:
    measured = {"validation/loss": 0.5, "validation/accuracy": 0.7, "test/accuracy": 0.68}
    at_once = histories.ready_at_once(site.history, **measured)
    trained = histories.finished(site.history)
    nothing = histories.ready_at_once(site.history, "unmeasured")
    rows = {row["id"]: row for row in site.get("/api/runs")["runs"]}
    assert rows[at_once.id]["validation"] == {"name": "validation/accuracy", "value": 0.7}
    told = site.get("/api/compare", runs=f"{at_once.id},{trained.id},{nothing.id}")
    (accuracy,) = [m for m in told["metrics"] if m["name"] == "test/accuracy"]
    assert set(accuracy["values"]) == {str(at_once.id), str(trained.id)}
    assert accuracy["best"] == [trained.id]
    points = site.curves(at_once.id)["series"]
    assert {name: one["last"] for name, one in points.items()} == {
        "validation/loss": 0, "validation/accuracy": 0, "test/accuracy": 0,
    }  # fmt: skip
