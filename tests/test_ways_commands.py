"""Every way to go on from what was learned, from the command line."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.test_app import Terminal

QUICK = ("--set", "method.threads=1", "--set", "method.precision=fp32")
SMALL = (*QUICK, "--set", "method.max_steps=20")


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    """A home with a run that has learned from digits without their labels, and one of texts."""
    terminal = Terminal(tmp_path_factory.mktemp("home"))
    terminal("train", "--task", "Contrastive", "--data", "Digits8x8", "--model", "ConvNet", *QUICK,
             "--set", "model.channels=8,16", "--set", "method.max_steps=40")  # fmt: skip
    terminal("train", "--task", "MaskedImages", "--data", "Digits8x8", *SMALL,
             "--set", "model.width=16", "--set", "model.patch=2")  # fmt: skip
    return terminal


def began(terminal: Terminal, run: int) -> dict[str, Any]:
    """What a run took over at its start."""
    path = terminal.home / "runs" / str(run) / "start.json"
    return json.loads(path.read_text("utf-8"))  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("method", "settings", "part"),
    [
        ("LinearProbe", ("--set", "method.epochs=3"), True),
        ("LoRA", (*SMALL, "--set", "method.where=linear layers and convolutions"), True),
        ("GradualUnfreezing", ("--set", "method.epochs=2"), False),
        ("HeadFirst", ("--set", "method.epochs=2"), False),
        ("Training", SMALL, False),
        ("Prototypes", (), None),
    ],
)
def test_what_was_learned_without_labels_is_adapted(
    terminal: Terminal, method: str, settings: tuple[str, ...], part: bool | None
) -> None:
    threads = QUICK if part is not None else ()
    last = terminal("train", "--task", "Classification", "--data", "Digits8x8", "--start", 1,
                    "--method", method, *threads, *settings)[-1]  # fmt: skip
    assert last["state"] == "finished"
    assert last["metrics"]["test/accuracy"] > 0.2
    taken = began(terminal, last["run"])
    assert taken["run"] == 1
    assert {one["name"].partition(".")[0] for one in taken["new"]} == {"head"}
    assert ("Training begins with " in terminal.err) == bool(part)
    (shown,) = terminal.here("runs", "show", last["run"])
    assert (shown["parent"], shown["method"]) == (1, method)


def test_a_model_that_is_part_of_the_run_s_takes_its_weights(terminal: Terminal) -> None:
    """A masked autoencoder starts a Vision Transformer, with the settings that they share."""
    last = terminal("train", "--task", "Classification", "--data", "Digits8x8", "--start", 2,
                    *SMALL)[-1]  # fmt: skip
    assert last["state"] == "finished"
    (shown,) = terminal.here("runs", "show", last["run"])
    assert shown["model"] == "VisionTransformer"
    taken = began(terminal, last["run"])
    assert {one["name"] for one in taken["new"]} == {"head.weight", "head.bias"}
    assert taken["left"]
    assert all(name.startswith("decoder.") for name in taken["left"])


def test_classes_are_told_apart_by_their_names_alone(terminal: Terminal) -> None:
    last = terminal("train", "--data", "TypedTextLabels", "--method", "ZeroShot",
                    "--model", "SentenceEncoder", "--start", "published",
                    "--set", "data.labels=sports\nlaws: what a parliament decides")[-1]  # fmt: skip
    assert last["state"] == "finished"
    (said,) = terminal.here("predict", last["run"], "--text", "The goalkeeper saved a penalty.")
    assert said["classes"][0]["label"] == "sports"
