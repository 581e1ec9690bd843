"""Networks by name, and the weights that others have published for them."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import safetensors.torch
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from engine.catalog import BadInput
from engine.data import fetch
from engine.events import Event, Finished, Notice
from engine.home import Home
from engine.models import torchvision_models
from engine.models.timm_models import TimmModel
from engine.models.torchvision_models import TorchvisionModel
from engine.predict import Predictor
from engine.published import Repository
from engine.recipe import PUBLISHED, Recipe
from engine.starts import Start
from tests.engine.data.serving import Site, serving

TINY = "test_resnet.r160_in1k"
NAMES = tuple(f"class {i}" for i in range(9))


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(fetch, "PAUSE", 0.01)
    for name in ("ANNEAL_MIRROR", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with serving() as site:
        monkeypatch.setenv("HF_ENDPOINT", site.address)
        yield site


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ANNEAL_MIRROR", str(tmp_path / "mirror"))
    return tmp_path / "mirror"


@pytest.fixture
def alone(tmp_path: Path) -> Home:
    """A home with nothing in its cache."""
    return Home.find(tmp_path / "alone")


def trained(network: nn.Module) -> nn.Module:
    """With statistics and weights that aren't those of a new one."""
    torch.manual_seed(1)
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():  # buffers too
            tensor.mul_(1 + 0.1 * torch.rand_like(tensor)).add_(0.01 * torch.rand_like(tensor))
    return network.eval()


def publish(
    site: Site, monkeypatch: pytest.MonkeyPatch, network: nn.Module, name: str = "net"
) -> str:
    """Let torchvision's latest weights be those of this network, which the site has."""
    out = io.BytesIO()
    torch.save(network.state_dict(), out)
    content = out.getvalue()
    file = f"/{name}-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    real, url = torchvision_models.best, site.put(file, content)
    monkeypatch.setattr(torchvision_models, "best", lambda name: SimpleNamespace(
        url=url, meta={"categories": NAMES}, transforms=real(name).transforms,
    ))  # fmt: skip
    return file


def standard(pictures: torch.Tensor, mean: Any, std: Any) -> torch.Tensor:
    return (pictures - torch.tensor(mean).view(-1, 1, 1)) / torch.tensor(std).view(-1, 1, 1)


IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.mark.parametrize(
    ("network", "side", "depth", "how"),
    [
        ("shufflenet_v2_x0_5", 64, 3, {}),
        ("shufflenet_v2_x0_5", 40, 1, {}),
        ("squeezenet1_1", 64, 1, {}),  # its last layer is a convolution
        ("densenet121", 64, 3, {}),  # whose file has names of its own
        # Trained with another scale, which torchvision makes within the network.
        ("googlenet", 64, 1, {"transform_input": True, "aux_logits": True, "init_weights": False}),
    ],
)
def test_torchvision_weights_answer_as_in_torchvision(
    network: str, side: int, depth: int, how: dict[str, Any],
    site: Site, alone: Home, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    original = trained(torchvision.models.get_model(network, num_classes=9, **how))
    if network == "densenet121":
        original_names, weights = {}, original.state_dict()
        for name in weights:
            parts = name.split(".")
            if "denselayer" in name and parts[3][-1] in "12":
                parts[3] = f"{parts[3][:-1]}.{parts[3][-1]}"
            original_names[".".join(parts)] = weights[name]
        publish(site, monkeypatch, SimpleNamespace(state_dict=lambda: original_names))  # type: ignore[arg-type]
    else:
        publish(site, monkeypatch, original)
    settings: dict[str, Any] = {"network": network, "side": side}
    theirs = TorchvisionModel.published(alone, **settings)
    assert theirs.classes == NAMES
    own = TorchvisionModel((side, side, depth), 9, **settings).eval()
    taken = Start(theirs.name, theirs.weights, theirs.classes).into(own, NAMES)
    assert taken.new == ()
    pictures = torch.rand(2, depth, side, side)
    with torch.no_grad():
        wanted = original(standard(pictures.expand(-1, 3, -1, -1), *IMAGENET))
        found = own(pictures)
    assert torch.allclose(found, wanted, atol=1e-4 * float(wanted.abs().max()))


def test_weights_are_fetched_once_and_checked(
    site: Site, alone: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = torchvision.models.shufflenet_v2_x0_5(num_classes=9)
    file = publish(site, monkeypatch, network, "shuffle")
    for _ in range(2):
        TorchvisionModel.published(alone, network="shufflenet_v2_x0_5", side=64)
    assert [path for path, _ in site.asked] == [file]
    site.files[file] = site.files[file][:-4] + b"evil"
    shutil.rmtree(alone.cache)
    with pytest.raises(BadInput, match="isn't the file that was expected"):
        TorchvisionModel.published(alone, network="shufflenet_v2_x0_5", side=64)


def test_a_file_that_would_run_something_is_not_read(
    site: Site, alone: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "ran",)

    publish(site, monkeypatch, SimpleNamespace(state_dict=Evil))  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="doesn't hold weights alone"):
        TorchvisionModel.published(alone, network="shufflenet_v2_x0_5", side=64)
    assert not (tmp_path / "ran").exists()


def test_without_a_network_it_is_said_where_the_file_may_be_put(
    alone: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "PAUSE", 0.01)
    real = torchvision_models.best("resnet18")
    offline = real.url.replace("https://download.pytorch.org", "http://127.0.0.1:9")
    monkeypatch.setattr(torchvision_models, "best", lambda name: SimpleNamespace(
        url=offline, meta=real.meta
    ))  # fmt: skip
    with pytest.raises(BadInput) as caught:
        TorchvisionModel.published(alone, network="resnet18", side=64)
    said = str(caught.value)
    assert "connect this computer to the network, or put resnet18-f37072fd.pth into " in said
    assert "torchvision/weights/ in the folder named by ANNEAL_MIRROR" in said


def test_weights_of_another_size_of_pictures_name_the_mend() -> None:
    like = {"encoder_layers": 1, "num_heads": 2, "hidden_dim": 8, "mlp_dim": 8, "patch_size": 32}
    original = torchvision.models.VisionTransformer(224, num_layers=1, **{
        key: value for key, value in like.items() if key != "encoder_layers"
    })  # fmt: skip
    with torch.device("meta"):
        own = TorchvisionModel((28, 28, 1), 10, network="vit_b_32", side=64)
    weights = {"encoder.pos_embedding": original.encoder.pos_embedding.detach()}
    with pytest.raises(BadInput, match="set the side to 224") as caught:
        own.translated(weights)
    assert caught.value.field == "model.side"


@pytest.mark.parametrize(
    ("name", "depth"),
    [(TINY, 1), (TINY, 3), ("test_vit.r160_in1k", 1), ("test_efficientnet.r160_in1k", 3)],
)
def test_timm_weights_answer_as_in_timm(name: str, depth: int, mirror: Path, alone: Home) -> None:
    original = trained(timm.create_model(name))
    there = mirror / "models" / "timm" / name
    there.mkdir(parents=True)
    save_file(original.state_dict(), there / "model.safetensors")
    settings = {"name": f"timm/{name}", "side": 160}
    theirs = TimmModel.published(alone, **settings)
    assert len(theirs.classes) == 1000
    assert theirs.classes[1].startswith("goldfish")
    own = TimmModel((160, 160, depth), 1000, **settings).eval()
    taken = Start(theirs.name, theirs.weights, theirs.classes).into(own, theirs.classes)
    assert taken.new == taken.left == ()
    pictures = torch.rand(2, depth, 160, 160)
    cfg = original.pretrained_cfg
    with torch.no_grad():
        wanted = original(standard(pictures.expand(-1, 3, -1, -1), cfg["mean"], cfg["std"]))
        assert torch.allclose(own(pictures), wanted, atol=1e-4)


def test_a_transformers_places_are_resampled_for_other_pictures(alone: Home) -> None:
    original = trained(timm.create_model("test_vit.r160_in1k"))
    own = TimmModel((50, 40, 3), 5, name="test_vit", side=96).eval()
    weights = own.translated(original.state_dict())
    places = "network.pos_embed"
    assert weights[places].shape == own.state_dict()[places].shape
    assert weights[places].shape != original.state_dict()["pos_embed"].shape
    # What a 1000 classes needed is no class of these.
    assert weights["head.weight"].shape[0] == 1000
    taken = Start("a file", original.state_dict()).into(own, [str(i) for i in range(5)])
    assert {name for name, _ in taken.new} == {"head.weight", "head.bias"}


def test_a_folder_in_timms_layout_is_a_network(alone: Home, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    original = trained(timm.create_model("test_resnet", num_classes=3))
    save_file(original.state_dict(), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({
        "architecture": "test_resnet", "num_classes": 3,
        "pretrained_cfg": {"mean": [0.1, 0.2, 0.3], "std": [1, 2, 4], "input_size": [3, 64, 64],
                           "classifier": "fc", "num_classes": 3,
                           "label_names": ["oak", "elm", "ash"]},
    }))  # fmt: skip
    settings = {"name": str(folder), "side": 64}
    theirs = TimmModel.published(alone, **settings)
    assert theirs.classes == ("oak", "elm", "ash")
    blueprint = TimmModel.blueprint(alone, **settings)
    own = TimmModel((64, 64, 3), 3, blueprint, **settings).eval()
    Start(theirs.name, theirs.weights, theirs.classes).into(own, theirs.classes)
    pictures = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        wanted = original(standard(pictures, (0.1, 0.2, 0.3), (1.0, 2.0, 4.0)))
        assert torch.allclose(own(pictures), wanted, atol=1e-4)


def test_a_description_cannot_make_timm_read_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "secret.safetensors"
    save_file({"fc.weight": torch.zeros(1)}, secret)
    asked: list[object] = []
    monkeypatch.setattr("timm.models._factory.load_checkpoint", lambda *how: asked.append(how))
    monkeypatch.setattr(
        "timm.models._builder.load_pretrained", lambda *how, **named: asked.append(how)
    )
    blueprint = json.dumps({"architecture": "test_resnet", "num_classes": 3, "model_args": {
        "pretrained": True, "pretrained_cfg": {"url": "http://127.0.0.1:9/weights.pth"},
        "pretrained_cfg_overlay": {"file": str(secret)}, "pretrained_strict": False,
        "checkpoint_path": str(secret), "cache_dir": str(tmp_path / "cache"), "scriptable": True,
        "exportable": True, "no_jit": True, "num_classes": 7, "in_chans": 5, "device": "meta",
        "model_name": "resnet18", "features_only": True, "block_args": {"attn_layer": "se"},
        "channels": [8, 8, [8], 8], "layers": [1, 1, 1, 2],
    }})  # fmt: skip
    own = TimmModel((64, 64, 3), 4, blueprint, name="someone/theirs")
    assert not asked
    assert not (tmp_path / "cache").exists()
    assert own.described.settings == {"layers": [1, 1, 1, 2]}  # which is what may be said
    assert own(torch.rand(2, 3, 64, 64)).shape == (2, 4)


@pytest.mark.parametrize(
    ("name", "mend"),
    [
        ("resnet18.a1_in1", "resnet18.a1_in1k"), ("resnet_18", "do you mean"),
        ("/no/such/folder", "There is no config.json in /no/such/folder"),
        ("deit_tiny_distilled_patch16_224", "choose another network"),
    ],
)  # fmt: skip
def test_names_that_timm_does_not_have_are_told(name: str, mend: str, alone: Home) -> None:
    def made() -> TimmModel:
        told = TimmModel.blueprint(alone, name=name)
        return TimmModel((32, 32, 3), 2, *([told] if told else []), name=name)

    with pytest.raises(BadInput, match=mend) as caught:
        made()
    assert caught.value.field == "model.name"


def test_a_run_from_published_weights_can_be_asked_when_they_are_gone(
    alone: Home, recipe: Callable[..., Recipe], tmp_path: Path, home: Home,
    events: Callable[..., list[Event]],
) -> None:  # fmt: skip
    folder = tmp_path / "mine"
    folder.mkdir()
    save_file(timm.create_model("test_resnet", num_classes=3).state_dict(),
              folder / "model.safetensors")  # fmt: skip
    (folder / "config.json").write_text('{"architecture": "test_resnet", "num_classes": 3, '
                                        '"pretrained_cfg": {"classifier": "fc"}}')  # fmt: skip
    chosen = recipe(model="TimmModel", model__name=str(folder), model__side=32, start=PUBLISHED,
                    method__max_steps=2, method__batch_size=8)  # fmt: skip
    said = events(chosen)
    assert isinstance(said[-1], Finished)
    assert said[-1].state == "finished", said[-1].reason
    notices = [event.text for event in said if isinstance(event, Notice)]
    assert any("2 new: head.weight (other classes)" in text for text in notices)
    shutil.rmtree(folder)
    predictor = Predictor(home, 1)
    predictor.refresh()
    assert predictor.setup.blueprint


def test_files_of_the_hub_are_kept_with_what_is_missing(
    site: Site, alone: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = {"a.safetensors": {"x": torch.ones(2)}, "b.safetensors": {"y": torch.zeros(1)}}
    base = "/some/model/resolve/main"
    for name, tensors in parts.items():
        site.put(f"{base}/{name}", safetensors.torch.save(tensors))
    site.put(f"{base}/model.safetensors.index.json", {
        "weight_map": {"x": "a.safetensors", "y": "b.safetensors"}
    })  # fmt: skip
    repository = Repository("some/model")
    assert {*repository.weights(alone)} == {"x", "y"}
    assert repository.optional("tokenizer_config.json", alone) == {}
    asked = len(site.asked)
    # The hub can't answer any more: what was had is still there, and what was missing is known.
    site.codes |= {path: 503 for path, _ in site.asked}
    site.files.clear()
    assert {*repository.weights(alone)} == {"x", "y"}
    assert repository.optional("tokenizer_config.json", alone) == {}
    assert len(site.asked) > asked


def test_weights_in_another_format_are_not_read(site: Site, alone: Home) -> None:
    site.put("/some/model/resolve/main/pytorch_model.bin", b"\x80")
    with pytest.raises(BadInput, match="only safetensors are read"):
        Repository("some/model").weights(alone)
    assert not any("pytorch_model" in path for path, _ in site.asked)


@pytest.mark.parametrize("name", ["../up", "a/b/c", "a b", "", "http://hub/model"])
def test_what_can_be_no_name_of_the_hub_is_refused(name: str, alone: Home) -> None:
    with pytest.raises(BadInput):
        Repository(name).file("config.json", alone)
