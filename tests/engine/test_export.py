"""What leaves answers as what stayed, without anything of ours."""

from __future__ import annotations

import io
import json
import math
import subprocess
import sys
import wave
import zipfile
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import safetensors.torch
import torch
from PIL import Image
from torch import nn

from engine import calibration, checkpoint, export, session
from engine.catalog import BadInput, Catalog
from engine.exports import leaving as leaving_
from engine.exports.card import Section, drawn, markdown, page
from engine.exports.hugging_face import tokenizer_of
from engine.exports.leaving import Leaving
from engine.exports.onnx_graph import by_onnxruntime
from engine.exports.recast import recast
from engine.exports.recurrent import Native, Stepwise
from engine.exports.rounded import Widened
from engine.exports.weights import LOADER
from engine.home import Home
from engine.predict import Predictor
from engine.recipe import compose

ROOT = Path(__file__).parents[2]
TOLERANCE = 1e-4
"""Between the probabilities of a carried model and its original's."""
LIBRARIES = {
    "onnxruntime": "numpy PIL onnxruntime flatbuffers google packaging tokenizers",
    "torch": "numpy PIL torch torchgen functorch typing_extensions sympy mpmath networkx jinja2 "
             "markupsafe fsspec filelock packaging tokenizers",
}  # fmt: skip
GUARD = """
import sys
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder
allowed, script, *files = sys.argv[1:]
class Guard:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        own = name.startswith("_sysconfigdata")  # the standard library's, named by the machine
        if own or top in sys.stdlib_module_names or top in allowed.split():
            return PathFinder.find_spec(name, path, target)
sys.meta_path[:] = [BuiltinImporter, FrozenImporter, Guard()]
sys.path.insert(0, ".")
import runpy
sys.argv = [script, *files]
runpy.run_path(script, run_name="__main__")
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, catalog: Catalog, kept_cache: Path) -> Home:
    """Run 1 has begun to tell digits apart."""
    root = tmp_path_factory.mktemp("exports") / "home"
    root.mkdir()
    (root / "cache").symlink_to(kept_cache)
    home = Home.find(root)
    quick = {"method.epochs": 1, "method.max_steps": 3, "method.precision": "fp32",
             "method.threads": 1}  # fmt: skip
    recipe = compose(catalog, names={"data": "Digits8x8", "model": "ConvNet"},
                     settings=quick | {"model.channels": [4], "model.hidden": [8]})  # fmt: skip
    list(session.run(recipe, home, 1))
    return home


@pytest.fixture(scope="module")
def made(trained: Home, catalog: Catalog) -> Callable[..., dict[str, Any]]:
    """Makes a form of run 1 once: what is told of it."""
    known: dict[str, dict[str, Any]] = {}

    def make(name: str, **how: Any) -> dict[str, Any]:
        if how or name not in known:
            making = export.export(Predictor(trained, 1), catalog, name, **how)
            try:
                while True:
                    far = next(making)
                    assert 0 <= far["done"] <= far["total"]
            except StopIteration as end:
                if how:
                    return dict(end.value)
                known[name] = end.value
        return known[name]

    return make


def alone(folder: Path, runtime: str, *files: Path | str) -> list[dict[str, Any]]:
    """What the folder's script prints where only its libraries can be imported."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", GUARD, LIBRARIES[runtime], "predict.py", *map(str, files)],
        cwd=folder, capture_output=True, text=True, encoding="utf-8",
    )  # fmt: skip
    assert done.stdout, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def unpacked(home: Home, told: dict[str, Any], to: Path) -> Path:
    with zipfile.ZipFile(export.exports(home, 1) / told["file"]) as packed:
        packed.extractall(to)
    (folder,) = to.iterdir()
    return folder


def shares(told: dict[str, Any]) -> dict[str, float]:
    return {one["label"]: one["probability"] for one in told["classes"]}


def pictures(folder: Path) -> list[Path]:
    """Of every sort that is read in a way of its own."""
    rng = np.random.default_rng(0)
    grey = (rng.random((20, 30)) * 90).astype(np.uint8)
    colours = (rng.random((40, 24, 4)) * 255).astype(np.uint8)
    made = {
        "grey.png": Image.fromarray(grey), "black_on_white.png": Image.fromarray(255 - grey // 4),
        "through.png": Image.fromarray(colours, "RGBA"),
        "large.jpg": Image.fromarray(colours[..., :3]).resize((400, 300)),
        "deep.png": Image.fromarray(grey.astype(np.uint16) * 257),
        "float.tiff": Image.fromarray(grey.astype(np.float32) / 255),
        "palette.gif": Image.fromarray(grey).convert("P"),
    }  # fmt: skip
    for name, picture in made.items():
        picture.save(folder / name)
    return [folder / name for name in made]


@pytest.mark.parametrize("runtime", ["onnxruntime", "torch"])
def test_a_zip_answers_alone_as_the_model_does(
    trained: Home, made: Callable[..., dict[str, Any]], tmp_path: Path, runtime: str
) -> None:
    told = made({"onnxruntime": "OnnxAlone", "torch": "TorchAlone"}[runtime])
    folder = unpacked(trained, told, tmp_path / "zip")
    files = pictures(tmp_path)
    wrong = tmp_path / "wrong.png"
    wrong.write_bytes(b"no picture")
    *answers, last = alone(folder, runtime, *files, wrong)
    ours = Predictor(trained, 1).answer([{"path": str(path)} for path in files])["results"]
    assert [one["input"] for one in answers] == list(map(str, files))
    for here, there in zip(ours, answers, strict=True):
        assert shares(there) == pytest.approx(shares(here), abs=TOLERANCE)
    assert "no picture" in last["error"]
    source = (folder / "predict.py").read_text("utf-8")
    assert "import engine" not in source
    assert "from engine" not in source


def lines(values: np.ndarray, before: str = "") -> str:
    return before + "".join(",".join(f"{one:.6g}" for one in step) + "\n" for step in values)


def told_in_wav(samples: np.ndarray, rate: int) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())
    return out.getvalue()


def rows_of_pixels() -> dict[str, bytes]:
    values = np.random.default_rng(2).random((28, 28)) * 255
    names = ",".join(["step", *(f"pixel {n}" for n in range(28))]) + "\n"
    numbered = np.column_stack([np.arange(28), values])
    return {name: said.encode() for name, said in {
        "plain.csv": lines(values), "short.csv": lines(values[:2]),
        "named.csv": lines(numbered, names), "tabs.tsv": lines(values).replace(",", "\t"),
        "semicolons.csv": lines(values).replace(",", "; "),
    }.items()}  # fmt: skip


def tones() -> dict[str, bytes]:
    rng = np.random.default_rng(3)
    heard = {f"{long}.wav": rng.normal(0, 2_000, long) for long in (4_001, 1_237, 90)}
    heard["silence.wav"] = np.zeros(2_000)
    return {name: told_in_wav(one, 8_000) for name, one in heard.items()}


def series() -> dict[str, bytes]:
    values = 0.9 + np.random.default_rng(4).normal(0, 0.2, (60, 1)).cumsum(0) / 10
    return {name: said.encode() for name, said in {
        "long.csv": lines(values), "short.csv": lines(values[:3]),
        "named.csv": lines(values[:20], "value\n"), "one.csv": lines(values[:1]),
    }.items()}  # fmt: skip


def texts() -> dict[str, bytes]:
    said = ["Return a new array of the given shape, filled with zeros.", "", "[EOS] [PAD] naïve ☃",
            "Parameters\n----------\n" * 200]  # fmt: skip
    return {f"{place}.txt": one.encode() for place, one in enumerate(said)}


def drawings() -> dict[str, bytes]:
    found = {}
    for place in range(2):
        out = io.BytesIO()
        grey = np.random.default_rng(place).integers(0, 120, (8, 8)).astype(np.uint8)
        Image.fromarray(grey).save(out, "PNG")
        found[f"{place}.png"] = out.getvalue()
    return found


ANSWERERS: dict[str, tuple[int, dict[str, str], dict[str, Any], Callable[[], dict[str, bytes]]]] = {
    "sequences told apart": (20, {"data": "MnistRows", "model": "GRU"},
                             {"model.widths": [8], "model.hidden": [8]}, rows_of_pixels),
    "sounds told apart": (21, {"data": "TelephoneKeys", "model": "SoundResNet"},
                          {"model.widths": [4, 8], "data.bands": 16}, tones),
    "forecasts": (22, {"task": "Forecasting", "data": "MackeyGlass", "model": "TCN"},
                  {"model.channels": [4, 4], "task.context": 16, "task.horizon": 5,
                   "task.every": 20, "data.steps": 2_000}, series),
    "reconstructions": (23, {"task": "Reconstruction", "data": "Digits8x8", "model": "Autoencoder"},
                        {"model.widths": [16, 4]}, drawings),
    "recordings written down": (25, {"task": "SpeechRecognition", "data": "TelephoneNumbers",
                                     "model": "SpeechEncoder"},
                                {"model.width": 16, "model.channels": 4, "data.bands": 16}, tones),
    "texts told apart": (24, {"data": "DocstringTopics", "model": "TextCNN"},
                         {"model.embedding": 8, "model.maps": 4}, texts),
}  # fmt: skip


def numbers_of(told: dict[str, Any]) -> np.ndarray:
    """What was answered to an item, as numbers: classes by their names, a PNG's grey values."""
    if "classes" in told:
        return np.array([one for _, one in sorted(shares(told).items())])
    if "reconstruction" in told:
        with Image.open(io.BytesIO(b64decode(told["reconstruction"]))) as image:
            return np.asarray(image, np.float64) / 255
    if "heard" in told:
        return np.array([ord(letter) for letter in told["heard"]])
    return np.array(told["forecast"])


@pytest.mark.parametrize(
    ("answerer", "form", "runtime"),
    # Not each with both, which takes twice as long: the script reads files alike.
    [("sequences told apart", "OnnxAlone", "onnxruntime"), ("forecasts", "TorchAlone", "torch"),
     ("sounds told apart", "OnnxAlone", "onnxruntime"), ("texts told apart", "TorchAlone", "torch"),
     ("reconstructions", "OnnxAlone", "onnxruntime"),
     ("recordings written down", "TorchAlone", "torch")],
)  # fmt: skip
def test_whatever_answers_files_answers_them_the_same_alone(
    trained: Home, catalog: Catalog, tmp_path: Path, answerer: str, form: str, runtime: str
) -> None:
    number, names, settings, made_up = ANSWERERS[answerer]
    quick = {"method.epochs": 1, "method.max_steps": 3, "method.precision": "fp32",
             "method.threads": 1}  # fmt: skip
    list(session.run(compose(catalog, names=names, settings=quick | settings), trained, number))
    files = []
    for name, content in made_up().items():
        files.append(tmp_path / name)
        files[-1].write_bytes(content)
    ours = Predictor(trained, number).answer([{"path": str(file)} for file in files])["results"]
    folder = tmp_path / "made"
    list(export.export(Predictor(trained, number), catalog, form, out=folder))
    for file, here, there in zip(files, ours, alone(folder, runtime, *files), strict=True):
        assert "error" not in there, there["error"]
        # A PNG's step is 1/255; a grey value may round to either side.
        near = 1 / 250 if "reconstruction" in here else TOLERANCE
        np.testing.assert_allclose(
            numbers_of(there), numbers_of(here), rtol=0, atol=near, err_msg=str(file)
        )


WRITERS = {
    "GRU with attention": (10, {"data": "NumberWords", "model": "AttentionGRU"},
                           {"model.width": 32}),
    "Transformer": (11, {"data": "NumberWords", "model": "TransformerTranslator"},
                    {"model.width": 32, "model.layers": 1}),
    "LSTM": (12, {"task": "LanguageModelling", "data": "DocstringTopics",
                  "model": "RecurrentLanguageModel"}, {"model.width": 32, "task.block": 32}),
}  # fmt: skip


@pytest.mark.parametrize("form", ["OnnxAlone", "TorchAlone"])
@pytest.mark.parametrize("writer", WRITERS)
def test_what_writes_token_by_token_writes_the_same_alone(
    trained: Home, catalog: Catalog, tmp_path: Path, writer: str, form: str
) -> None:
    number, names, settings = WRITERS[writer]
    if not trained.run(number).exists():
        quick = {"method.epochs": 1, "method.max_steps": 30, "method.precision": "fp32",
                 "method.threads": 1}  # fmt: skip
        list(session.run(compose(catalog, names=names, settings=quick | settings), trained, number))
    list(export.export(Predictor(trained, number), catalog, form, out=tmp_path / "made"))
    runtime = {"OnnxAlone": "onnxruntime", "TorchAlone": "torch"}[form]
    translates = names["data"] == "NumberWords"
    files = []
    for place, said in enumerate(["31", "907", ""] if translates else ["Return a", ""]):
        files.append(tmp_path / f"{place}.txt")
        files[-1].write_text(said)
    likeliest = {"beam": 1} if translates else {"temperature": 0, "length": 50}
    asked = [] if translates else ["--temperature", "0", "--length", "50"]
    ours = [Predictor(trained, number).answer([{"path": str(file)}], likeliest)["results"][0]
            for file in files]  # fmt: skip
    assert any(one["written"] for one in ours)
    theirs = alone(tmp_path / "made", runtime, *files, *asked)
    assert [one["written"] for one in theirs] == [one["written"] for one in ours]
    if not translates:
        drawn = ["--seed", "3", "--top-k", "20", "--top-p", "0.9", "--length", "30"]
        once, again = (alone(tmp_path / "made", runtime, files[0], *drawn) for _ in range(2))
        assert once == again
        assert once[0]["prompt"] == "Return a"
        assert once[0]["written"] != theirs[0]["written"]


@pytest.mark.parametrize(
    ("form", "runtime"), [("OnnxAlone", "onnxruntime"), ("TorchAlone", "torch")]
)
def test_layers_of_whole_numbers_leave_as_such(
    trained: Home, catalog: Catalog, tmp_path: Path, form: str, runtime: str
) -> None:
    recipe = compose(catalog, names={"data": "Digits8x8", "model": "ConvNet",
                                     "method": "PostTrainingInt8"},
                     settings={"model.channels": [4], "model.hidden": [8]}, start=1)  # fmt: skip
    list(session.run(recipe, trained, 2))
    made = export.export(Predictor(trained, 2), catalog, form, out=tmp_path / "made")
    try:
        while True:
            next(made)
    except StopIteration as end:
        check = end.value["facts"]["check"]
    assert check["agreed"] == check["asked"]
    file = pictures(tmp_path)[0]
    (answer,) = alone(tmp_path / "made", runtime, file)
    (ours,) = Predictor(trained, 2).answer([{"path": str(file)}])["results"]
    assert shares(answer) == pytest.approx(shares(ours), abs=0.02)  # a step of one input
    if runtime == "onnxruntime":
        graph = onnx.load(tmp_path / "made" / "model.onnx").graph
        done = [node.op_type for node in graph.node]
        assert (done.count("ConvInteger"), done.count("MatMulInteger")) == (1, 2)
        kept = {one.data_type for one in graph.initializer if math.prod(one.dims) > 20}
        assert kept == {onnx.TensorProto.INT8}
    else:
        state = torch.export.load(tmp_path / "made" / "model.pt2").state_dict
        kept = {tensor.dtype for tensor in state.values() if tensor.ndim in (2, 4)}
        assert kept == {torch.int8}


def test_an_onnx_file_was_compared_on_real_items_and_takes_any_batch(
    trained: Home, made: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    told = made("Onnx", out=tmp_path)
    check = told["facts"]["check"]
    assert (check["of"], check["items"], check["batches"]) == ("test", 16, [16, 1, 1, 1])
    assert check["difference"] < TOLERANCE
    assert told["files"] == ["run-1.onnx"]
    predictor = Predictor(trained, 1)
    predictor.refresh()
    images = torch.rand(5, 1, 8, 8)
    (there,) = by_onnxruntime(tmp_path / "run-1.onnx")({"images": images.numpy()})
    with torch.inference_mode():
        here = predictor.setup.model(images)
    np.testing.assert_allclose(there, here.numpy(), atol=TOLERANCE)
    assert told["facts"]["takes"] == ["images float [batch, 1, 8, 8]"] or "batch" in str(
        told["facts"]["takes"]
    )


def test_weights_are_loaded_by_ten_lines(
    trained: Home, made: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    told = made("Weights")
    folder = unpacked(trained, told, tmp_path / "zip")
    assert json.loads((folder / "about.json").read_text())["labels"] == [str(i) for i in range(10)]
    written = (folder / "load.py").read_text("utf-8")
    assert written == LOADER
    said: dict[str, Any] = {"__file__": str(folder / "load.py")}
    exec(compile(written, "load.py", "exec"), said)
    predictor = Predictor(trained, 1)
    predictor.refresh()
    for name, tensor in predictor.setup.model.state_dict().items():
        assert torch.equal(tensor, said["model"].state_dict()[name])


def test_weights_leave_in_the_types_that_the_run_keeps_them_in(
    trained: Home, catalog: Catalog, tmp_path: Path
) -> None:
    recipe = compose(catalog, names={"data": "Digits8x8", "model": "ConvNet",
                                     "method": "HalfPrecision"},
                     settings={"model.channels": [4], "model.hidden": [8]}, start=1)  # fmt: skip
    list(session.run(recipe, trained, 3))
    list(export.export(Predictor(trained, 3), catalog, "Weights", out=tmp_path))
    kept = checkpoint.weights(checkpoint.find(trained.checkpoints(3), "best")[1])
    written = safetensors.torch.load_file(tmp_path / "model.safetensors")
    assert {name: one.dtype for name, one in written.items()} == {
        name: one.dtype for name, one in kept.items()
    }
    assert torch.float16 in {one.dtype for one in written.values()}
    said: dict[str, Any] = {"__file__": str(tmp_path / "load.py")}
    exec(compile((tmp_path / "load.py").read_text("utf-8"), "load.py", "exec"), said)
    predictor = Predictor(trained, 3)
    predictor.refresh()
    images = torch.rand(3, 1, 8, 8)
    with torch.inference_mode():
        assert torch.equal(said["model"](images), predictor.setup.model(images))


def test_zeros_take_no_room_in_a_zip(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    folder.mkdir()
    for name in ("first", "second"):
        (folder / name).write_bytes(bytes(100_000))
    packed = export.kept(folder, tmp_path, "run-1-Weights")
    assert packed.stat().st_size < 5_000
    with zipfile.ZipFile(packed) as opened:
        assert opened.read("run-1-Weights/second") == bytes(100_000)


@pytest.mark.parametrize(
    ("here", "there", "alike"),
    [(math.nan, math.nan, True), (math.inf, math.inf, True), (math.nan, 0.0, False),
     (0.0, math.nan, False), (math.inf, -math.inf, False), (0.0, math.inf, False),
     (math.inf, 0.0, False)],
)  # fmt: skip
def test_what_is_no_number_agrees_only_with_the_same(
    trained: Home, here: float, there: float, alike: bool
) -> None:
    predictor = Predictor(trained, 1)
    predictor.refresh()
    leaving = Leaving(predictor, {})
    given = leaving.portable

    def with_one(one: float) -> Callable[..., tuple[torch.Tensor, ...]]:
        def of(*batch: torch.Tensor) -> tuple[torch.Tensor, ...]:
            (logits,) = given.of(*batch)
            return (logits.index_fill(1, torch.tensor([2]), one),)

        return of

    leaving.portable = replace(given, of=with_one(here))
    theirs = with_one(there)

    def answer(batch: leaving_.Arrays) -> list[np.ndarray]:
        with torch.inference_mode():
            return [one.numpy() for one in theirs(*map(torch.from_numpy, batch.values()))]

    if alike:
        leaving.compare(answer)
        assert leaving.facts["check"]["difference"] == 0
        assert math.isfinite(leaving.facts["check"]["largest"])
    else:
        with pytest.raises(BadInput, match="answers otherwise than the model"):
            leaving.compare(answer)


def test_what_is_made_is_listed_and_made_whole_or_not_at_all(
    trained: Home, made: Callable[..., dict[str, Any]], catalog: Catalog,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    told = made("Weights")
    folder = export.exports(trained, 1)
    assert told in export.known(trained, 1)
    assert (folder / told["file"]).stat().st_size == told["bytes"]
    before = sorted(path.name for path in folder.iterdir())
    making = export.export(Predictor(trained, 1), catalog, "Onnx")
    next(making)
    making.close()  # somebody takes it back
    monkeypatch.setattr(leaving_, "TOLERANCE", -1.0)
    with pytest.raises(BadInput, match="answers otherwise"):
        list(export.export(Predictor(trained, 1), catalog, "TorchGraph"))
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_form_that_a_run_has_not_says_why(trained: Home, catalog: Catalog) -> None:
    with pytest.raises(BadInput, match="transformers"):
        list(export.export(Predictor(trained, 1), catalog, "HuggingFace"))
    names = {"data": "DocstringTopics", "task": "MaskedLanguageModelling"}
    recipe = compose(catalog, names=names, settings={})
    offered = {card.name: why for card, why in export.offered(recipe, catalog)}
    assert not offered["Weights"]
    assert not offered["Onnx"]
    assert "answers no file" in offered["OnnxAlone"]


@pytest.mark.parametrize(
    ("model", "task"), [("HubSpeech", "Classification"), ("HubTranscriber", "SpeechRecognition")]
)
def test_of_a_model_that_reads_samples_no_graph_is_offered(
    catalog: Catalog, model: str, task: str
) -> None:
    names = {"data": "TelephoneKeys" if task == "Classification" else "TelephoneNumbers",
             "model": model, "task": task}  # fmt: skip
    recipe = compose(catalog, names=names, settings={})
    offered = {card.name: why for card, why in export.offered(recipe, catalog)}
    assert not offered["Weights"]
    assert not offered["ModelCard"]
    for form in ("Onnx", "TorchGraph", "OnnxAlone", "TorchAlone"):
        assert "sample by sample" in offered[form]


def test_what_is_made_tells_the_temperature_where_it_says_probabilities(
    trained: Home, catalog: Catalog, made: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    assert made("Weights")["temperature"] == 1
    assert "temperature" not in made("TorchGraph", out=tmp_path / "graph")
    (step,) = {one.step for one in checkpoint.entries(trained.checkpoints(1)).values()}
    calibration.keep(trained, 1, calibration.Temperature(value=1.7, step=step))
    try:
        told = made("Weights", out=tmp_path / "weights")
    finally:
        (trained.run(1) / "temperature.json").unlink()
    assert told["temperature"] == 1.7
    about = json.loads((tmp_path / "weights" / "about.json").read_text("utf-8"))
    assert about["temperature"] == 1.7


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_recurrent_layers_in_steps_are_the_same_layers(kind: type[nn.RNNBase]) -> None:
    torch.manual_seed(0)
    model = nn.ModuleDict({"layer": kind(3, 4, 2, batch_first=True)}).eval()  # type: ignore[arg-type, call-arg]
    values = torch.randn(2, 3, 3)
    with torch.no_grad():
        wanted, _ = model["layer"](values)
        with recast(model, Stepwise, Widened):
            told, _ = model["layer"](values)
            assert not isinstance(model["layer"], nn.RNNBase)
    assert isinstance(model["layer"], kind)
    torch.testing.assert_close(told, wanted)


def test_gates_stand_where_onnx_wants_them() -> None:
    layer = nn.LSTM(2, 1, batch_first=True)
    with torch.no_grad():
        layer.weight_ih_l0.copy_(torch.arange(8.0).view(4, 2))  # input, forget, cell, output
    cell = Native(layer, 0)
    assert cell.weight_ih[:, 0].tolist() == [0.0, 6.0, 2.0, 4.0]  # input, output, forget, cell


def test_items_of_chance_are_padded_behind_their_length(trained: Home) -> None:
    predictor = Predictor(trained, 1)
    predictor.refresh()
    items = Leaving(predictor, {}).random(3)
    assert items["images"].shape == (3, 1, 8, 8)


def test_a_card_tells_what_there_is_to_know(
    made: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    evil = "<script>alert(1)</script>"
    portrait = {
        "name": evil, "notes": "", "lineage": [], "dataset": None,
        "metrics": {"headline": "test/accuracy", "test/accuracy": 0.5, "larger_is_better": True,
                    "baselines": {"chance": {"accuracy": 0.1}}, "training_items": 1437},
        "curves": {"train/loss": [[1, 2.0], [3, 1.0]], "validation/loss": [[1, 2.1], [3, 1.2]]},
    }  # fmt: skip
    made("ModelCard", portrait=portrait, out=tmp_path)
    text = (tmp_path / "model-card.md").read_text("utf-8")
    whole = (tmp_path / "model-card.html").read_text("utf-8")
    for said in ("CC BY 4.0", "1,437", "from chance", "Small digits"):
        assert said in text
        assert said in whole
    assert "| accuracy | 0.5 | 0.1 |" in text
    assert evil not in text
    assert evil not in whole
    assert whole.count("<polyline") == 2
    assert "http://" not in whole.replace("http://www.w3.org/2000/svg", "")


def test_a_card_names_the_run_that_taught_it(
    trained: Home, catalog: Catalog, tmp_path: Path
) -> None:
    quick = {"method.epochs": 1, "method.max_steps": 2, "method.precision": "fp32",
             "method.threads": 1, "method.teacher": 1}  # fmt: skip
    recipe = compose(catalog, names={"data": "Digits8x8", "model": "ConvNet",
                                     "method": "Distillation"},
                     settings=quick | {"model.channels": [2], "model.hidden": [4]})  # fmt: skip
    list(session.run(recipe, trained, 4))
    portrait = {"lineage": [{"id": 1, "name": "The teacher", "model": "ConvNet", "data": "Digits"}]}
    for place, known in enumerate([portrait, {}]):  # the second: a teacher deleted since
        folder = tmp_path / str(place)
        list(export.export(Predictor(trained, 4), catalog, "ModelCard", portrait=known, out=folder))
        text = (folder / "model-card.md").read_text("utf-8")
        assert "nothing was learned before" not in text
        assert "learned from the answers of run 1" in text
        assert ("The teacher" in text) == bool(known)


def test_a_curve_of_one_point_is_none() -> None:
    assert drawn({"train/loss": [[1, 1.0]], "train/accuracy": [[1, 1.0], [2, 2.0]]}) == ""
    section = [Section("Data", ["a | b"], [["x", "y"], ["1|2", "<b>"]])]
    assert "a \\| b" in markdown("t", section, "")
    assert "&lt;b&gt;" in page("t", section, "")


def test_answers_together_are_those_one_by_one(trained: Home) -> None:
    predictor = Predictor(trained, 1)
    grey = Image.fromarray((np.random.default_rng(1).random((8, 8)) * 255).astype(np.uint8))
    out = io.BytesIO()
    grey.save(out, "PNG")
    given = [{"png": b64encode(out.getvalue()).decode()}, {"text": "no picture"}]
    first, second = predictor.together(given)
    (one,) = predictor.answer(given[:1])["results"]
    assert shares(first) == pytest.approx(shares(one), abs=1e-6)
    assert "picture" in second["problem"]
    assert b64decode(first["input"])


def test_a_tokenizer_of_ours_sets_the_same_tokens_around() -> None:
    from engine.data.tokens import BOS, EOS, Tokenizer

    ours = Tokenizer.learned(["a cat and a dog"] * 3, "words", vocabulary=20)
    theirs = tokenizer_of(ours.to_json(), [BOS], [EOS])
    (ids,) = ours.encode(["a dog"])
    assert theirs("a dog")["input_ids"] == [BOS, *ids, EOS]
