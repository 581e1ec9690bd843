"""What a run's newest checkpoint says of new inputs."""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine import predict, session
from engine.catalog import BadInput
from engine.events import Event
from engine.home import Home
from engine.predict import Predictor
from engine.recipe import Recipe

Make = Callable[..., Recipe]
CarryOut = Callable[..., list[Event]]


def train(home: Home, recipe: Recipe, events: CarryOut, number: int = 1) -> Predictor:
    events(recipe, number=number)
    return Predictor(home, number)


def png(pixels: np.ndarray) -> str:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return b64encode(out.getvalue()).decode()


def test_a_prediction_is_what_the_test_split_would_get(
    home: Home, recipe: Make, events: CarryOut
) -> None:
    predictor = train(home, recipe(method__epochs=8, method__learning_rate=0.01), events)
    data = session.make(predictor.setup.recipe, home).data
    rows = data.splits["test"][:40]
    inputs = [{"png": png(data.items.pixels[row, :, :, 0])} for row in rows]
    answers = predictor.answer(inputs)["results"]
    said = [answer["classes"][0]["label"] for answer in answers]
    right = np.mean(
        [s == data.classes[data.labels[row]] for s, row in zip(said, rows, strict=True)]
    )
    assert right > 0.8
    for answer in answers:
        shares = [c["probability"] for c in answer["classes"]]
        assert sum(shares) == pytest.approx(1, abs=1e-4)
        assert shares == sorted(shares, reverse=True)
        assert sorted(c["label"] for c in answer["classes"]) == sorted(data.classes)


def test_pictures_of_any_size_and_mode_are_taken(
    home: Home, recipe: Make, events: CarryOut
) -> None:
    predictor = train(home, recipe(method__max_steps=1), events)
    for mode, size in [("RGB", (300, 200)), ("RGBA", (5, 9)), ("P", (64, 64)), ("1", (8, 8))]:
        out = io.BytesIO()
        Image.new(mode, size).save(out, "PNG")
        (answer,) = predictor.answer([{"png": b64encode(out.getvalue()).decode()}])["results"]
        assert len(answer["classes"]) == 10


def test_an_autoencoder_shows_its_reconstruction_and_error(
    home: Home, recipe: Make, events: CarryOut
) -> None:
    predictor = train(home, recipe(model="Autoencoder", task="Reconstruction"), events)
    (answer,) = predictor.answer([{"png": png(np.zeros((8, 8), np.uint8))}])["results"]
    assert 0 < answer["error"] < 1
    assert answer["reconstruction"] != answer["input"]


def test_a_dark_digit_on_light_paper_is_seen_as_the_training_digits_are(
    home: Home, recipe: Make, events: CarryOut
) -> None:
    predictor = train(home, recipe(method__epochs=4, method__learning_rate=0.01), events)
    data = session.make(predictor.setup.recipe, home).data
    pixels = data.items.pixels[data.splits["test"][0], :, :, 0]
    light, dark = predictor.answer([{"png": png(pixels)}, {"png": png(255 - pixels)}])["results"]
    assert light["classes"] == dark["classes"]
    assert light["note"] == ""
    assert "Inverted" in dark["note"]


def test_a_newer_checkpoint_is_taken_up(home: Home, recipe: Make, events: CarryOut) -> None:
    predictor = train(home, recipe(method__max_steps=1), events)
    question = [{"png": png(np.full((8, 8), 99, np.uint8))}]
    first = predictor.answer(question)
    events(recipe(method__epochs=3), number=1)
    second = predictor.answer(question)
    assert second["checkpoint"]["step"] > first["checkpoint"]["step"] == 1
    assert second["results"] != first["results"]


def test_a_sequence_comes_as_rows_or_as_text_and_of_any_length(
    home: Home, recipe: Make, events: CarryOut
) -> None:
    predictor = train(home, recipe(model="LSTM", data="MnistRows", method__max_steps=1), events)
    for length in (1, 28, 90):
        rows = np.random.default_rng(length).random((length, 28)).round(3)
        text = "\n".join(";".join(map(str, row)) for row in rows)
        header = ";".join(f"pixel {i}" for i in range(28))
        answers = predictor.answer(
            [{"sequence": rows.tolist()}, {"text": text}, {"text": f"{header}\n{text}\n"}]
        )["results"]
        assert answers[0]["classes"] == answers[1]["classes"] == answers[2]["classes"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"text": "1,2,3"}, "Step 1 has 3 numbers; this model takes 28"),
        ({"text": ""}, "no step"),
        ({"text": "a,b\n1,x\n"}, "Line 2 isn't all numbers"),
        ({"text": "1,x\n1,2\n"}, "Line 1 isn't all numbers"),
        ({"text": "sequence,step,a\n1,0,2\n2,0,2\n"}, "several sequences"),
        ({"sequence": [[float("nan")] * 28]}, "Step 1 holds a number that isn't finite"),
        ({"png": ""}, "takes a sequence"),
    ],
)
def test_a_sequence_that_does_not_fit_is_told_where(
    home: Home, recipe: Make, events: CarryOut, given: dict[str, object], said: str
) -> None:
    predictor = train(home, recipe(model="LSTM", data="MnistRows", method__max_steps=1), events)
    with pytest.raises(BadInput, match=said):
        predictor.answer([given])


def test_what_is_no_picture_is_a_sentence(home: Home, recipe: Make, events: CarryOut) -> None:
    predictor = train(home, recipe(method__max_steps=1), events)
    good = {"png": png(np.zeros((8, 8), np.uint8))}
    for bad in ({"png": b64encode(b"hello").decode()}, {"png": "%%%"}, {"text": "1,2"}):
        with pytest.raises(BadInput, match="Input 2: "):
            predictor.answer([good, bad])


def test_a_run_without_a_checkpoint_says_what_to_wait_for(home: Home) -> None:
    with pytest.raises(BadInput, match="wait for its first epoch"):
        Predictor(home, 7)


def test_numbers_are_read_as_people_paste_them() -> None:
    assert predict.rows("1 2\n3 4") == [[1, 2], [3, 4]]
    assert predict.rows("a,b\n1,2\n\n3,4\n") == [[1, 2], [3, 4]]
    assert predict.rows("1\t2\n3\t4\n") == [[1, 2], [3, 4]]
    assert predict.rows("5") == [[5]]
    assert predict.rows("Datum;x;y\n02.01.2020;1.234,5;-2\n01.01.2020;7,25;3\n") == [
        [7.25, 3], [1234.5, -2],
    ]  # fmt: skip
    assert predict.rows("1,5;2,5\n3;-4,5e3\n") == [[1.5, 2.5], [3, -4500]]
    assert predict.rows("19,9;701,15;0\n20,1;1.702,00;1\n") == [[19.9, 701.15, 0], [20.1, 1702, 1]]
    assert predict.rows("19,9\t701,15\t0\n") == [[19.9, 701.15, 0]]
    assert predict.rows("19,9 701,15 0\n") == [[19.9, 701.15, 0]]
    assert predict.rows("02.01.2020;1,5;2\n01.01.2020;0,5;1\n") == [[0.5, 1], [1.5, 2]]


def test_commas_between_numbers_are_told_from_those_within_by_the_models_features() -> None:
    text = "1,10\n2,25\n"
    assert predict.rows(text, 1) == [[1.1], [2.25]]
    assert predict.rows(text, 2) == [[1, 10], [2, 25]]
    with pytest.raises(BadInput, match="Line 2 isn't all numbers: 1;x"):
        predict.rows("1;2\n1;x\n3;4", 2)
    assert predict.rows("sequence,step,a,b,label\nx,0,1,2,up\nx,1,3,4,up\n") == [[1, 2], [3, 4]]


def test_the_files_of_a_person_stay_where_they_are(
    home: Home, recipe: Make, events: CarryOut, tmp_path: Path
) -> None:
    predictor = train(home, recipe(method__max_steps=1), events)
    path = tmp_path / "digit.png"
    Image.new("L", (8, 8)).save(path)
    predictor.answer([{"path": str(path)}])
    assert path.exists()
