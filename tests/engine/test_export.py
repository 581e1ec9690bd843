"""What leaves answers as what stayed, without anything of ours."""

from __future__ import annotations

import io
import json
import math
import subprocess
import sys
import zipfile
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from PIL import Image
from torch import nn

from engine import export, session
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
                    far = json.loads(next(making))
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
