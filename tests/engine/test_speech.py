"""Hearing: models for spectra, speech recognition, and a run from recordings to an answer."""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
import torch
from torch import nn

from engine import session
from engine.catalog import BadInput, Catalog
from engine.data.batches import Batch
from engine.datasets.imported import ImportedSound
from engine.events import Event, Finished, Point, Sample
from engine.home import Home
from engine.models.sound_resnet import SoundResNet
from engine.models.speech_encoder import LAYERS, SpeechEncoder
from engine.predict import Predictor
from engine.recipe import Recipe, compose
from engine.tasks.speech_recognition import SpeechRecognition, beamed, needed, spelled, worst
from tests.engine.data.folders import made

CarryOut = Callable[..., list[Event]]

RATE = 1000  # of the datasets that `made` makes
TONES = {"a": 80, "b": 160, "c": 260, "d": 380}
SMALL: dict[str, Any] = {
    "model.width": 32, "model.depth": 1, "model.channels": 4, "model.dropout": 0.0,
    "data.bands": 16, "data.warp": 0.0, "data.frequency_masks": 0, "data.time_masks": 0,
    "method.precision": "fp32", "method.threads": 1,
}  # fmt: skip


def tune(text: str, seed: int = 0) -> npt.NDArray[np.int16]:
    """Each letter as a tone of 80 ms, with 40 ms of silence around it; a space is silence."""
    rng = np.random.default_rng(seed)
    gap = np.zeros(40)
    parts = [gap]
    for letter in text:
        pitch = TONES.get(letter, 0)
        parts += [np.sin(2 * np.pi * pitch * np.arange(80) / RATE), gap]
    wave = np.concatenate(parts) * 20_000
    return (wave + rng.normal(size=len(wave)) * 50).astype(np.int16)


def brought(home: Home, texts: list[str], splits: str, *, transcribed: bool = True) -> None:
    """A dataset of such tunes, the home's first."""
    made(
        home.dataset(1), "sound", [tune(text, i) for i, text in enumerate(texts)], splits=splits,
        transcripts=texts if transcribed else None, labels=[text[0] for text in texts],
    )  # fmt: skip


def tunes(count: int) -> list[str]:
    rng = np.random.default_rng(0)
    return ["".join(rng.choice([*"abcd "], rng.integers(1, 6))).strip() or "aa"
            for _ in range(count)]  # fmt: skip


@pytest.fixture
def recipe(catalog: Catalog, home: Home) -> Callable[..., Recipe]:
    def make(task: str = "SpeechRecognition", model: str = "SpeechEncoder", **given: Any) -> Recipe:
        settings = SMALL if model == "SpeechEncoder" else {
            "model.widths": [4, 8], "data.bands": 16, "method.precision": "fp32",
            "method.threads": 1,
        }  # fmt: skip
        return compose(
            catalog, names={"task": task, "model": model, "data": "ImportedSound"},
            settings={"data.id": 1, **settings, **{k.replace("__", "."): v for k, v in
                                                   given.items()}}, seed=0,
        )  # fmt: skip

    return make


# --- models ---------------------------------------------------------------------------------


def waves(*lengths: int) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    values = torch.randn(len(lengths), max(lengths), 24) * 3 - 5
    for row, length in zip(values, lengths, strict=True):
        row[length:] = 0
    return values, torch.tensor(lengths)


def lively(model: nn.Module) -> nn.Module:
    """In evaluation, with batch norms that have seen something."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            nn.init.normal_(module.bias)
    return model.eval()


@pytest.mark.parametrize("widths", [(8,), (6, 10, 12, 7)])
def test_padding_changes_no_logit(widths: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    model = lively(SoundResNet((24,), 5, widths=widths))
    values, lengths = waves(37, 1, 20, 2, 64)
    together = model(values, lengths)
    for i, length in enumerate(lengths.tolist()):
        alone = model(values[i : i + 1, :length], lengths[i : i + 1])
        torch.testing.assert_close(alone[0], together[i], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("layers", "halvings"), [*product(LAYERS, [0, 1, 3])])
def test_padding_changes_no_frame(layers: Any, halvings: int) -> None:
    torch.manual_seed(0)
    model = lively(SpeechEncoder((24,), 7, layers=layers, halvings=halvings, width=16, channels=3))
    values, lengths = waves(37, 1, 20, 2, 64)
    together, frames = model(values, lengths)
    assert together.shape == (5, -(-64 // 2**halvings), 7)
    for i, length in enumerate(lengths.tolist()):
        alone, count = model(values[i : i + 1, :length], lengths[i : i + 1])
        assert count.item() == frames[i] == alone.shape[1] == -(-length // 2**halvings)
        torch.testing.assert_close(alone[0], together[i, :count], atol=1e-5, rtol=1e-4)


def test_a_recurrent_layer_hears_both_the_past_and_the_future() -> None:
    torch.manual_seed(0)
    model = SpeechEncoder((24,), 7, width=16, channels=3).eval()
    values, lengths = waves(60)
    values.requires_grad_()
    model(values, lengths)[0][0, 15].sum().backward()
    heard = values.grad.abs().sum((0, 2)) > 0
    assert heard[0]
    assert heard[-1]


def test_loudness_changes_no_class() -> None:
    torch.manual_seed(0)
    model = lively(SoundResNet((24,), 5))
    values, lengths = waves(30, 30)
    torch.testing.assert_close(
        model(values, lengths), model(values + 2.5, lengths), atol=1e-4, rtol=1e-4
    )


# --- frames, letters, errors ----------------------------------------------------------------


def test_repeats_are_one_letter_unless_a_blank_is_between() -> None:
    assert spelled(np.array([0, 5, 5, 0, 5, 6, 6, 0])) == ([1, 4, 5], [5, 5, 6])
    assert spelled(np.array([7, 7])) == ([0], [7])
    assert spelled(np.array([0, 0])) == ([], [])


def test_a_double_letter_needs_a_frame_more() -> None:
    texts = torch.tensor([[5, 5, 5, 6], [5, 6, 0, 0], [0, 0, 0, 0]])
    assert needed(texts, torch.tensor([4, 2, 0])).tolist() == [6, 2, 0]
    assert needed(texts[:, :1], torch.tensor([1, 1, 0])).tolist() == [1, 1, 0]


def likeliest(shares: npt.NDArray[np.float32]) -> list[int]:
    """The text whose spellings have the most probability in all, by trying each."""
    total: dict[tuple[int, ...], float] = {}
    for path in product(range(shares.shape[1]), repeat=len(shares)):
        text = tuple(spelled(np.array(path))[1])
        total[text] = total.get(text, 0.0) + float(np.exp(sum(
            shares[t, token] for t, token in enumerate(path)
        )))  # fmt: skip
    return list(max(total, key=lambda text: total[text]))


@pytest.mark.parametrize("seed", range(6))
def test_a_wide_beam_finds_the_likeliest_text(seed: int) -> None:
    logits = torch.from_numpy(np.random.default_rng(seed).normal(size=(5, 4)))
    shares = logits.log_softmax(-1).numpy().astype(np.float32)
    assert beamed(shares, 64) == likeliest(shares)


def test_a_beam_adds_up_spellings_where_the_greedy_reading_does_not() -> None:
    # Blank is likeliest in each frame, yet most of the probability spells the one letter.
    shares = np.log(np.array([[0.5, 0.4, 0.1], [0.5, 0.4, 0.1]], np.float32))
    assert spelled(shares.argmax(-1)) == ([], [])
    assert beamed(shares, 4) == [1] == likeliest(shares)


def test_the_worst_come_first() -> None:
    rows = np.array([7, 8, 9])
    found = worst(["abc", "abc", "abc"], ["abc", "xyz", "abd"], rows)
    assert [row["recording"] for row in found] == [8, 9, 7]
    assert found[1]["cer"] == pytest.approx(1 / 3)


# --- runs -----------------------------------------------------------------------------------


def test_it_learns_to_write_what_it_hears_and_is_asked(
    home: Home, recipe: Callable[..., Recipe], events: CarryOut
) -> None:
    texts = tunes(160)
    brought(home, texts, "t" * 120 + "v" * 20 + "e" * 20)
    told = events(recipe(method__epochs=25, method__learning_rate=0.01, method__batch_size=16))
    end = told[-1]
    assert isinstance(end, Finished)
    assert end.state == "finished", end.reason
    metrics = end.metrics
    assert metrics["headline"] == "test/wer"
    assert metrics["test/cer"] < 0.1
    assert metrics["test/wer"] < metrics["baselines"]["always the most frequent transcript"]["wer"]
    assert metrics["signatures"]["wer"].startswith("jiwer ")
    assert len(metrics["outputs"]) == 20
    series = {event.series for event in told if isinstance(event, Point)}
    assert series >= {"train/loss", "validation/loss", "validation/wer", "validation/cer"}
    (*_, spectra, table) = [event.data for event in told if isinstance(event, Sample)]
    assert all(row["images"] for row in spectra["rows"])
    assert table["columns"] == ["true", "heard"]
    assert table["wrong"] == [true != heard for true, heard in table["rows"]]

    predictor = Predictor(home, 1)
    for text, width in product(("abcd", "ca bd"), (1, 8)):
        (answer,) = predictor.answer([{"sound": wav(tune(text, 999))}], {"beam": width})["results"]
        assert answer["heard"] == text
        assert answer["seconds"] == pytest.approx(len(tune(text)) / RATE)
        assert answer["spectrogram"]
        letters = answer["letters"]
        assert "".join(letter["text"] for letter in letters) == text
        for place, letter in enumerate(letters):
            assert letter["seconds"] == pytest.approx(0.08 + 0.12 * place, abs=0.09)


def wav(samples: npt.NDArray[np.int16], rate: int = RATE) -> str:
    out = io.BytesIO()
    soundfile.write(out, samples, rate, format="WAV")
    return b64encode(out.getvalue()).decode()


def test_sounds_are_told_apart(home: Home, recipe: Callable[..., Recipe], events: CarryOut) -> None:
    texts = ["abcd"[i % 4] * (1 + i % 3) for i in range(120)]
    brought(home, texts, "tttttttv" * 10 + "e" * 40, transcribed=False)
    told = events(recipe("Classification", "SoundResNet", method__epochs=8,
                         method__learning_rate=0.02, method__batch_size=16))  # fmt: skip
    end = told[-1]
    assert isinstance(end, Finished)
    assert end.metrics["test/accuracy"] > 0.9
    predictor = Predictor(home, 1)
    (answer,) = predictor.answer([{"sound": wav(tune("bb"))}])["results"]
    assert answer["classes"][0]["label"] == "b"


def test_a_dataset_without_transcripts_is_refused(
    home: Home, recipe: Callable[..., Recipe], events: CarryOut
) -> None:
    brought(home, ["a", "b", "c"] * 4, "tve" * 4, transcribed=False)
    (*_, end) = events(recipe())
    assert isinstance(end, Finished)
    assert end.state == "failed"
    assert "needs a transcript of each recording" in end.reason


def test_letters_that_no_frame_is_left_for_are_counted(
    home: Home, recipe: Callable[..., Recipe], events: CarryOut
) -> None:
    texts = ["abcd"] * 8
    brought(home, texts, "ttttvvee")
    (*_, end) = events(recipe(method__epochs=1, model__halvings=3, data__step=40.0))
    assert isinstance(end, Finished)
    assert end.state == "failed"
    assert "No transcript fits" in end.reason
    (*_, end) = events(recipe(method__epochs=1, data__step=40.0, data__speed=0.0), number=2)
    assert isinstance(end, Finished)
    assert end.state == "finished"
    assert "test/transcripts_too_long" not in end.metrics


def test_what_does_not_fit_adds_nothing_to_the_loss(
    home: Home, recipe: Callable[..., Recipe]
) -> None:
    brought(home, ["ab", "cd", "ba", "dc", "ac"], "tttev")
    setup = session.make(recipe(), home)
    task = setup.task
    assert isinstance(task, SpeechRecognition)
    model = setup.model.eval()
    rows = np.arange(3)
    inputs = setup.data.fed.gather(rows, torch.device("cpu"), None)
    wanted = setup.data.fed.wanted(rows, torch.device("cpu"))
    three = Batch(inputs, None, wanted, rows)
    loss = task.step(model, three)["loss"] * task.weight(three)
    cut = {name: torch.cat([tensor, tensor[:1]]) for name, tensor in inputs.items()}
    cut["lengths"][3] = 1  # one frame for two letters
    more = {name: torch.cat([tensor, tensor[:1]]) for name, tensor in wanted.items()}
    four = Batch(cut, None, more, np.array([0, 1, 2, 0]))
    step = task.step(model, four)
    assert step["fits"].tolist() == [True, True, True, False]
    torch.testing.assert_close(step["loss"] * task.weight(four), loss)


# --- what is no recording -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"text": "hello"}, "takes a recording"),
        ({"sound": ""}, "The recording is empty"),
        ({"sound": b64encode(b"no sound at all").decode()}, "is not a WAV, FLAC, OGG or MP3"),
        ({"sound": wav(np.zeros(3, np.int16))}, "nothing can be heard in it"),
        ({"sound": wav(np.zeros(1_000_000, np.int16))}, "cut it into shorter recordings"),
    ],
)
def test_what_is_no_recording_is_named(
    home: Home, recipe: Callable[..., Recipe], given: dict[str, Any], said: str
) -> None:
    brought(home, ["ab", "cd", "ba"], "tve")
    from engine import predict

    data = session.make(recipe(), home).data
    with pytest.raises(BadInput, match=said):
        predict.read(given, data)


def test_a_new_recording_is_heard_as_those_of_the_dataset(
    home: Home, recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    from engine import predict

    brought(home, ["ab", "cd", "ba"], "tve")
    data = session.make(recipe(), home).data
    raw = ImportedSound(id=1).open(home)
    kept = data.fed.gather(np.array([1]), torch.device("cpu"), None)["values"]
    batch, _ = predict.read({"sound": wav(raw.items.waves[1])}, data)
    assert torch.equal(batch.inputs["values"], kept)
    file = tmp_path / "stereo.flac"
    soundfile.write(file, np.stack([raw.items.waves[1]] * 2, 1), RATE)
    batch, _ = predict.read({"path": str(file)}, data)
    assert torch.equal(batch.inputs["values"], kept)
