"""The command line, as a script or a server would use it."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from PIL import Image

import app
from storage.history import History

APP = Path(__file__).parents[1] / "app.py"
SMALL = ("--data", "Digits8x8", "--set", "model.channels=8,16", "--set", "model.hidden=32",
         "--set", "method.epochs=6", "--set", "method.learning_rate=0.01")  # fmt: skip


class Terminal:
    """Runs commands in one home; each answers with lines of JSON and an exit code."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.code, self.err = 0, ""

    def __call__(self, *words: object, code: int = 0) -> list[dict[str, Any]]:
        done = subprocess.run(
            [sys.executable, str(APP), "--home", str(self.home), *map(str, words)],
            capture_output=True, text=True, encoding="utf-8",
        )  # fmt: skip
        return self.read(done.stdout, done.stderr, done.returncode, code)

    def here(self, *words: object, code: int = 0) -> list[dict[str, Any]]:
        """The same in this process, which has loaded everything: a program's start takes seconds.

        Not for what trains: that sets the process up for itself.
        """
        out, err, ended = io.StringIO(), io.StringIO(), 0
        with contextlib.ExitStack() as stack:

            def opened(*given: Any, **named: Any) -> History:
                return stack.enter_context(History(*given, **named))

            stack.enter_context(patch.dict(os.environ))
            stack.enter_context(patch.object(app, "History", opened))
            stack.enter_context(contextlib.redirect_stdout(out))
            stack.enter_context(contextlib.redirect_stderr(err))
            try:
                app.cli(["--home", str(self.home), *map(str, words)])
            except SystemExit as end:
                ended = int(end.code or 0)
        return self.read(out.getvalue(), err.getvalue(), ended, code)

    def read(self, out: str, err: str, ended: int, code: int) -> list[dict[str, Any]]:
        self.err = err
        assert ended == code, err
        return [json.loads(line) for line in out.splitlines()]


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    return Terminal(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def trained(terminal: Terminal) -> list[dict[str, Any]]:
    """The lines of a short training."""
    return terminal("train", *SMALL, "--name", "by hand")


def test_a_training_ends_with_its_metrics(trained: list[dict[str, Any]]) -> None:
    assert trained[0] == {"run": 1, "state": "queued"}
    assert trained[-1]["run"] == 1
    assert trained[-1]["state"] == "finished"
    assert trained[-1]["metrics"]["test/accuracy"] > 0.8
    assert [line["step"] for line in trained[1:-1]] == [23, 46, 69, 92, 115, 138]
    assert all(0 <= line["validation/accuracy"] <= 1 for line in trained[1:-1])


def test_runs_are_listed_shown_exported_and_deleted(
    terminal: Terminal, trained: list[dict[str, Any]], tmp_path: Path
) -> None:
    (listed,) = terminal("runs", "list", "--search", "by hand")
    assert (listed["run"], listed["state"], listed["model"]) == (1, "finished", "ConvNet")
    (shown,) = terminal.here("runs", "show", 1)
    assert shown["recipe"]["model"]["settings"]["channels"] == [8, 16]
    assert len(shown["metrics"]["per_class"]) == 10
    points = terminal("runs", "export", 1)
    assert len([p for p in points if p["series"] == "train/loss"]) == 138
    terminal.here("runs", "export", 1, "--csv", tmp_path / "points.csv")
    with (tmp_path / "points.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["value"]) for row in rows] == [point["value"] for point in points]

    extra = terminal("train", *SMALL, "--set", "method.max_steps=2")[-1]["run"]
    assert (terminal.home / "runs" / str(extra)).is_dir()
    terminal.here("runs", "delete", extra)
    assert not (terminal.home / "runs" / str(extra)).exists()
    terminal("runs", "show", extra, code=1)
    assert str(extra) in terminal.err


def test_a_recipe_repeats_a_run(
    terminal: Terminal, trained: list[dict[str, Any]], tmp_path: Path
) -> None:
    (shown,) = terminal.here("runs", "show", 1)
    file = tmp_path / "recipe.json"
    shown["recipe"]["method"]["settings"]["precision"] = "fp32"
    file.write_text(json.dumps(shown["recipe"]))
    lines = [terminal("train", file, "--set", "method.threads=1") for _ in range(2)]
    assert lines[0][1:-1] == lines[1][1:-1]
    other = terminal("train", file, "--set", "method.max_steps=2", "--seed", "7")[-1]["run"]
    (shown,) = terminal.here("runs", "show", other)  # what is said besides the file goes before it
    assert shown["recipe"]["seed"] == 7
    assert shown["recipe"]["method"]["settings"]["max_steps"] == 2
    assert shown["recipe"]["model"]["settings"]["channels"] == [8, 16]


def test_a_run_predicts_files(
    terminal: Terminal, trained: list[dict[str, Any]], tmp_path: Path
) -> None:
    from sklearn.datasets import load_digits

    digits = load_digits()
    paths = []
    for i in range(10):
        pixels = (digits.images[i] * 255 / 16).astype(np.uint8)
        paths.append(tmp_path / f"{i}.png")
        Image.fromarray(pixels).save(paths[-1])
    answers = terminal("predict", 1, *paths)
    assert [answer["input"] for answer in answers] == [str(path) for path in paths]
    right = sum(a["classes"][0]["label"] == str(t)
                for a, t in zip(answers, digits.target[:10], strict=True))  # fmt: skip
    assert right >= 9
    assert sum(c["probability"] for c in answers[0]["classes"]) == pytest.approx(1, abs=1e-4)

    (tmp_path / "broken.png").write_text("not a picture")
    lines = terminal("predict", 1, tmp_path / "broken.png", paths[0], tmp_path / "none.png", code=1)
    assert ["error" in line for line in lines] == [True, False, True]


def test_a_folder_is_predicted_to_a_table_and_the_model_is_taken_away(
    terminal: Terminal, trained: list[dict[str, Any]], tmp_path: Path
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, grey in (("a.png", 0), ("b.png", 200)):
        Image.new("L", (8, 8), grey).save(folder / name)
    (folder / "broken.png").write_text("not a picture")
    table = tmp_path / "out.csv"
    (told,) = terminal.here("predict", 1, folder, "--csv", table, code=1)
    assert (told["rows"], told["failed"]) == (3, 1)
    with table.open(encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    assert [Path(row["input"]).name for row in rows] == ["a.png", "b.png", "broken.png"]
    assert [bool(row["error"]) for row in rows] == [False, False, True]

    forms = {one["format"]: one["unavailable"] for one in terminal.here("export", 1)}
    assert not forms["Onnx"]
    (told,) = terminal.here("export", 1, "Weights")
    assert Path(told["path"]).stat().st_size == told["bytes"]
    (told,) = terminal.here("export", 1, "Weights", "--out", tmp_path / "away")
    assert sorted(told["files"]) == sorted(one.name for one in (tmp_path / "away").iterdir())
    assert "model.safetensors" in told["files"]
    why = next(name for name, unavailable in forms.items() if unavailable)
    terminal.here("export", 1, why, code=1)
    assert forms[why] in terminal.err


def test_imported_pictures_are_listed_trained_on_and_removed(
    terminal: Terminal, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(tmp_path / "spots.zip", "w") as archive:
        for label, bright in (("dark", 40), ("light", 200)):
            for i in range(30):
                pixels = rng.integers(bright, bright + 40, (12, 12, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / "one.png")
                archive.write(tmp_path / "one.png", f"{label}/{i}.png")
    (added,) = terminal("data", "add", tmp_path / "spots.zip", "--name", "spots")
    assert added["classes"] == ["dark", "light"]
    assert [sum(counts) for counts in added["counts"].values()] == [48, 6, 6]
    assert [row["name"] for row in terminal.here("data", "list")] == ["spots"]
    assert terminal.here("data", "show", added["dataset"])[0]["meta"]["shape"] == [12, 12, 3]
    lines = terminal("train", "--data", added["dataset"], "--set", "model.channels=8",
                     "--set", "model.hidden=8", "--set", "method.epochs=8",
                     "--set", "method.learning_rate=0.01")  # fmt: skip
    assert lines[-1]["metrics"]["test/accuracy"] == 1.0
    terminal.here("data", "remove", added["dataset"])
    assert not terminal.here("data", "list")
    (said,) = terminal("predict", lines[-1]["run"], tmp_path / "one.png")  # it needs no dataset
    assert said["classes"][0]["label"] == "light"
    assert not (terminal.home / "datasets" / str(added["dataset"])).exists()
    terminal.here("train", "--data", added["dataset"], code=1)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("train", "--set", "model.dropout=2"), "Dropout is 2"),
        (("train", "--set", "dropout"), "model.dropout=0.2"),
        (("train", "--model", "Nothing"), "no model 'Nothing' (there is: ConvNet"),
        (("train", "--device", "cuda:99"), "no device 'cuda:99'"),
        (("train", "--start", "999"), "999"),
        (("train", "--seed", "-1"), "Seed"),
        (("train", "nowhere.json"), "no recipe file nowhere.json"),
        (("data", "add", "nowhere.zip"), "no file nowhere.zip"),
        (("data", "add", str(APP.parent / "docs" / "run.png")), "run.png"),
        (("runs", "show", "999"), "999"),
        (("runs", "resume", "999"), "999"),
        (("predict", "999", "x.png"), "999"),
    ],
)  # fmt: skip
def test_mistakes_are_sentences_and_exit_codes(
    terminal: Terminal, words: tuple[str, ...], said: str
) -> None:
    assert not terminal.here(*words, code=1)
    assert said in terminal.err
    assert "Traceback" not in terminal.err


def test_the_catalogue_is_one_line_of_json() -> None:
    done = subprocess.run(
        [sys.executable, str(APP), "catalog"], capture_output=True, text=True, check=True
    )
    said = json.loads(done.stdout)
    assert {card["name"] for card in said["cards"]} >= {"ConvNet", "Autoencoder", "LSTM"}
    assert said["devices"][-1]["id"] == "cpu"


def test_a_comparison_of_starts_goes_on_where_it_was_interrupted(
    terminal: Terminal, trained: list[dict[str, Any]]
) -> None:
    words = [
        "compare-starts", "--data", "Digits8x8", "--starts", "scratch,1", "--labels", "2,20",
        "--seeds", "2", "--steps", "150", "--adapt", "HeadFirst", "--name", "proof",
    ]  # fmt: skip
    begun = subprocess.Popen(
        [sys.executable, str(APP), "--home", str(terminal.home), *words],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, encoding="utf-8",
    )  # fmt: skip
    assert begun.stdout is not None
    first = json.loads(begun.stdout.readline())
    assert (first["runs"], first["steps"]) == (8, 150)
    number = first["comparison"]
    for line in begun.stdout:
        if json.loads(line).get("state") == "finished":
            break
    begun.send_signal(signal.SIGINT)
    begun.communicate(timeout=60)
    assert begun.returncode == 1

    def kept() -> list[Any]:
        with History(terminal.home / "anneal.db") as history:
            return history.runs_of(number)

    before = kept()
    assert len(before) == 8
    states = {run.state for run in before}
    assert "finished" in states
    assert states & {"paused", "stopped"}
    assert not states & {"queued", "running", "preparing"}

    ended = terminal("compare-starts", "--resume", number)[-1]
    assert ended["state"] == "finished"
    after = kept()
    assert [run.id for run in after] == [run.id for run in before]
    for run in after:
        each, labels = run.metrics["training_items"], json.loads(run.recipe)["labels"]
        assert (run.state, run.step, each) == ("finished", 150, {"2": 20, "20": 200}[labels])
    whole = {run.id: run.finished for run in before if run.state == "finished"}
    assert whole.items() <= {run.id: run.finished for run in after}.items()
    places = {(p["start"], p["labels"]): p for p in ended["places"]}
    assert places.keys() == {(s, n) for s in ("scratch", "run 1") for n in ("2", "20")}
    assert all(p["seeds"] == 2 and p["half"] is not None for p in places.values())
    # The start has learned these digits already.
    few = places["run 1", "2"]
    assert few["mean"] > places["scratch", "2"]["mean"] + 0.2
    assert ended["savings"][0]["times"] > 1
    assert "times as many" in terminal.err
    again = terminal("compare-starts", "--resume", number)[-1]
    assert again["places"] == ended["places"]


def test_a_comparison_that_cannot_be_made_is_refused(terminal: Terminal) -> None:
    terminal.here("compare-starts", "--data", "Digits8x8", "--starts", "scratch", code=1)
    assert "two starts" in terminal.err
    terminal.here("compare-starts", "--resume", 77, code=1)
    assert "no comparison 77" in terminal.err


def test_an_ablation_trains_both_ways_and_is_known_afterwards(terminal: Terminal) -> None:
    lines = terminal("ablate", *SMALL, "--set", "method.max_steps=2", "--set", "data.shift=1",
                     "--seeds", "2")  # fmt: skip
    assert (lines[0]["runs"], lines[0]["arms"]) == (4, ["without", "with"])
    ended = lines[-1]
    assert ended["state"] == "finished"
    scores = {arm: found["mean"] for arm, found in ended["arms"].items()}
    gap = ended["better"]["without"]
    assert gap["mean"] == pytest.approx(scores["with"] - scores["without"])
    assert gap["seeds"] == 2
    assert "over 2 seeds" in terminal.err
    with History(terminal.home / "anneal.db") as history:
        runs = history.runs_of(lines[0]["ablation"])
    assert {run.step for run in runs} == {2}
    shifts = [json.loads(run.recipe)["data"]["settings"]["shift"] for run in runs]
    assert shifts == [0, 1, 0, 1]
