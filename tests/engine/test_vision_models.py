"""Laws of the networks for pictures."""

from __future__ import annotations

import typing
from collections.abc import Callable
from typing import Any

import pytest
import torch

from engine.catalog import BadInput, Catalog
from engine.events import Event, Finished
from engine.models import Model
from engine.models.alexnet import AlexNet
from engine.models.resnet import ResNet
from engine.models.torchvision_models import Network, TorchvisionModel
from engine.models.vit import VisionTransformer
from engine.models.xception import Xception
from engine.recipe import Recipe

SLIM: dict[type[Model], dict[str, Any]] = {
    AlexNet: {"channels": [4, 6, 8, 8, 6], "hidden": [8]},
    ResNet: {"depth": "8", "width": 4},
    Xception: {"width": 4, "middle": 1},
    VisionTransformer: {"width": 16, "layers": 2, "heads": 2},
    TorchvisionModel: {"network": "squeezenet1_1", "side": 32},
}  # fmt: skip
VIT_B16 = {
    "patch": 16, "width": 768, "layers": 12, "heads": 12, "places": "learned",
    "read": "class token",
}  # fmt: skip
models = pytest.mark.parametrize("model", SLIM, ids=lambda model: model.__name__)


@pytest.mark.parametrize(
    ("model", "side", "classes", "settings", "published"),
    [
        (AlexNet, 224, 1000,
         {"channels": [96, 256, 384, 384, 256], "hidden": [4096, 4096]}, 60_965_224),
        (ResNet, 224, 1000, {"depth": "18", "stem": "ImageNet"}, 11_689_512),
        (ResNet, 224, 1000, {"depth": "34", "stem": "ImageNet"}, 21_797_672),
        (ResNet, 224, 1000, {"depth": "50", "stem": "ImageNet"}, 25_557_032),
        (ResNet, 32, 10, {"depth": "20"}, 269_722),
        (ResNet, 32, 10, {"depth": "32"}, 464_154),
        (ResNet, 32, 10, {"depth": "56"}, 853_018),
        (ResNet, 32, 10, {"depth": "110"}, 1_727_962),
        (Xception, 299, 1000, {"width": 32, "middle": 8, "stem": "ImageNet"}, 22_855_952),
        (VisionTransformer, 224, 1000, VIT_B16, 86_567_656),
    ],
)  # fmt: skip
def test_networks_have_their_published_size(
    model: type[Model], side: int, classes: int, settings: dict[str, Any], published: int
) -> None:
    with torch.device("meta"):  # nothing is computed
        assert model((side, side, 3), classes, **settings).parameter_count() == published


@models
@pytest.mark.parametrize("shape", [(8, 8, 1), (28, 28, 1), (17, 9, 4), (32, 40, 3), (70, 65, 3)])
def test_pictures_of_any_shape_are_taken(model: type[Model], shape: tuple[int, int, int]) -> None:
    height, width, depth = shape
    made = model(shape, 7, **SLIM[model])
    # A batch of one, in training: what is left of the picture must be enough for the norms.
    assert made.train()(torch.rand(1, depth, height, width)).shape == (1, 7)
    assert made.eval()(torch.rand(2, depth, height, width)).isfinite().all()


@models
def test_defaults_can_be_trained(
    model: type[Model], catalog: Catalog, recipe: Callable[..., Recipe],
    events: Callable[..., list[Event]],
) -> None:  # fmt: skip
    card = catalog.card("model", model.__name__)
    assert card.fits == {"image"}
    assert card.provides == {"logits", "features"}
    settings = {f"model__{name}": value for name, value in SLIM[model].items()}
    last = events(recipe(
        model=model.__name__, method__max_steps=2, method__batch_size=16, method__threads=1,
        **settings,
    ))[-1]  # fmt: skip
    assert isinstance(last, Finished)
    assert last.state == "finished", last.reason
    assert 0 <= last.metrics["test/accuracy"] <= last.metrics["test/top5_accuracy"] <= 1


@models
def test_the_same_seed_gives_the_same_weights(model: type[Model]) -> None:
    def made(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        own = model((16, 16, 3), 3, **SLIM[model])
        return torch.cat([p.detach().flatten() for p in own.parameters()])

    assert torch.equal(made(1), made(1))
    assert not torch.equal(made(1), made(2))


@models
def test_a_picture_is_judged_alone(model: type[Model]) -> None:
    torch.manual_seed(0)
    own = model((16, 16, 1), 3, **SLIM[model]).eval()
    images = torch.rand(3, 1, 16, 16)
    together = own(images)
    alone = torch.cat([own(image[None]) for image in images])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


@models
def test_the_scale_of_the_pictures_changes_nothing(model: type[Model]) -> None:
    torch.manual_seed(0)
    own = model((16, 16, 1), 3, **SLIM[model]).eval()
    images = torch.rand(2, 1, 16, 16)
    own.fit_inputs([0.5], [0.25])
    bright = own(images)
    own.fit_inputs([0.05], [0.025])
    torch.testing.assert_close(own(images / 10), bright, rtol=1e-3, atol=1e-4)


@models
def test_thorough_and_suggested_settings_exist(model: type[Model], catalog: Catalog) -> None:
    cards = {kind: catalog.of(kind)[0] for kind in ("task", "data", "method")}
    chosen = cards | {"model": catalog.card("model", model.__name__)}
    own = chosen["model"]
    for dotted, value in {**own.suggests, **own.thorough}.items():
        kind, _, name = dotted.partition(".")
        assert chosen[kind].field(name).check(value) == value  # type: ignore[index]


@pytest.mark.parametrize(
    ("stem", "side"), [("small pictures", 16), ("medium pictures", 8), ("ImageNet", 4)]
)
def test_a_stem_decides_how_much_of_a_picture_the_stages_see(stem: Any, side: int) -> None:
    own = ResNet((64, 64, 3), 2, depth="8", width=4, stem=stem)
    assert own.stages(own.stem(torch.rand(1, 3, 64, 64))).shape[2:] == (side, side)


def test_residual_blocks_begin_as_the_way_around_them() -> None:
    torch.manual_seed(0)
    own = ResNet((8, 8, 1), 2, depth="14", width=4).train()
    maps = torch.rand(2, 4, 8, 8)
    assert torch.equal(own.stages[0](maps), maps)


@pytest.mark.parametrize(
    ("make", "mend", "field"),
    [
        (lambda: AlexNet((8, 8, 1), 2, channels=[4, 4]), "give five even numbers",
         "model.channels"),
        (lambda: ResNet((28, 28, 1), 2, stem="ImageNet"), "take the stem for small pictures",
         "model.stem"),
        (lambda: ResNet((1, 9, 1), 2), "bring in larger ones", None),
        (lambda: Xception((1, 1, 1), 2), "bring in larger ones", None),
        (lambda: AlexNet((1, 1, 1), 2), "bring in larger ones", None),
        (lambda: VisionTransformer((8, 8, 1), 2, patch=8), "take smaller patches", "model.patch"),
        (lambda: VisionTransformer((8, 8, 1), 2, width=60, heads=8), "take a width",
         "model.heads"),
        (lambda: TorchvisionModel((8, 8, 1), 2, network="resnet18", side=None),
         "set the side to 224", "model.side"),
        (lambda: TorchvisionModel((8, 8, 1), 2, network="maxvit_t"), "set the side to 224",
         "model.side"),
    ],
)  # fmt: skip
def test_what_leaves_nothing_of_a_picture_is_told(
    make: Callable[[], Model], mend: str, field: str | None
) -> None:
    with pytest.raises(BadInput, match=mend) as problem:
        make()
    assert problem.value.field == field


def test_every_classifier_of_torchvision_is_offered() -> None:
    from torchvision import models

    assert list(typing.get_args(Network)) == models.list_models(module=models)


@pytest.mark.parametrize("network", ["mobilenet_v3_small", "googlenet", "vit_b_32"])
def test_a_network_of_torchvision_takes_the_pictures_that_there_are(network: Any) -> None:
    with torch.device("meta"):  # nothing is computed
        own = TorchvisionModel((28, 20, 2), 5, network=network, side=224)
        assert own.train()(torch.rand(2, 2, 28, 20)).shape == (2, 5)


def test_trying_a_network_leaves_its_statistics_alone() -> None:
    own = TorchvisionModel((32, 32, 3), 2, network="shufflenet_v2_x0_5")
    for name, buffer in own.network.named_buffers():
        if name.endswith("running_mean"):
            assert not buffer.any()
