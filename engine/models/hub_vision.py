"""Any network for pictures of the Hugging Face hub, by its id."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import torch
from torch import Tensor, nn

from engine.catalog import Advanced, Help, Range
from engine.layers.hub import (
    NAME,
    TROUBLE,
    Revision,
    backbone,
    config_of,
    inner_levels,
    loaded,
    made,
    refusal,
    without_code,
)
from engine.layers.pictures import colours, prepared
from engine.models import HEAD, Headed, Published, Standardize
from engine.published import Repository

if TYPE_CHECKING:
    from engine.home import Home

KIND, CLASSIFIER = "AutoModel", "AutoModelForImageClassification"
USUAL_SIDE = 224
CLOSE = 1e-4


class HubVision(
    Headed, label="Picture network of the hub", fits={"image"}, rank=70,
    provides={"logits", "transformers"}, published=True,
    suggests={"method.epochs": 6, "method.learning_rate": 5e-5},
):  # fmt: skip
    """Any network for pictures of the Hugging Face hub, by its id: ViT, DINOv2, ConvNeXt and so on.

    Built by the transformers library from the config.json that is published with it. Grey pictures
    are fed to it in three colours, which are alike.
    """

    def __init__(
        self,
        shape: Sequence[int],
        outputs: int,
        blueprint: str,
        *,
        name: Annotated[str, NAME] = "facebook/deit-tiny-patch16-224",
        side: Annotated[
            int | None, Range(16, 1024),
            Help("Pictures are scaled to squares of this side; Transformers take over the weights "
                 "of their places only at the side that these were made with", unit="pixels",
                 empty="as published"),
        ] = None,
        revision: Annotated[Revision, Advanced()] = "main",
    ) -> None:  # fmt: skip
        """`blueprint` is the content of config.json."""
        super().__init__(shape, outputs)
        said = json.loads(blueprint)
        self.standardize = Standardize(colours(shape[2]), dim=1)
        self.size = sides(side or said.get("image_size"))
        changed: dict[str, Any] = {"image_size": side} if side and "image_size" in said else {}
        if shape[2] not in (1, 3):
            changed["num_channels"] = shape[2]
        self.network = backbone(made(name, KIND, config_of(name, said, **changed)))
        self.eval()
        try:
            with torch.no_grad():
                features = self.embed(torch.zeros(1, shape[2], *self.size))
        except TROUBLE as problem:
            raise refusal(name, problem) from problem
        self.train()
        self.head = nn.Linear(features.shape[-1], outputs)

    auto = "AutoModel"

    def levels(self) -> list[tuple[str, ...]]:
        return [*((level,) for level in inner_levels(self.network, "network")), (HEAD,)]

    def embed(self, images: Tensor) -> Tensor:
        """What the network makes of images (B, C, H, W) in 0…1: (B, F)."""
        return pooled(self.network, prepared(images, self.standardize, self.size))

    @classmethod
    def blueprint(cls, home: Home, **settings: Any) -> str:
        repository = Repository(settings["name"], settings["revision"])
        return json.dumps(without_code(repository.json("config.json", home)))

    @classmethod
    def published(cls, home: Home, **settings: Any) -> Published:
        """The weights of that name, those that tell its classes too where they are one linear
        layer over the features."""
        name = settings["name"]
        repository = Repository(name, settings["revision"])
        said = repository.json("config.json", home)
        config, folder = config_of(name, said), repository.whole(home)
        seen = repository.optional("preprocessor_config.json", home)
        weights = {
            f"standardize.{own}": torch.tensor(seen.get(theirs) or (0.5, 0.5, 0.5))
            for own, theirs in (("mean", "image_mean"), ("std", "image_std"))
        }
        classes: tuple[str, ...] = ()
        kinds = [str(kind) for kind in said.get("architectures") or ()]
        if any(kind.endswith("ForImageClassification") for kind in kinds):
            whole = loaded(name, CLASSIFIER, config, folder).eval()
            network = backbone(whole.base_model)
            if layer := answering(whole, network, sides(said.get("image_size"))):
                weights |= {f"{HEAD}.{key}": one for key, one in layer.state_dict().items()}
                classes = tuple(config.id2label[i] for i in range(layer.out_features))
        else:
            network = backbone(loaded(name, KIND, config, folder))
        weights |= {f"network.{key}": one for key, one in network.state_dict().items()}
        return Published(name, weights, classes)


def sides(said: Any) -> tuple[int, int]:
    """Height and width of pictures, as a description gives them, if it does."""
    match said:
        case int():
            return said, said
        case [int() as height, int() as width]:
            return height, width
    return USUAL_SIDE, USUAL_SIDE


def pooled(network: Any, pictures: Tensor) -> Tensor:
    """Features (B, F) of pictures: what the network says of the whole, else the mean over a map,
    else the state of its first token."""
    found = network(pixel_values=pictures)
    features = getattr(found, "pooler_output", None)
    if features is None:
        states = found.last_hidden_state
        features = states.mean((2, 3)) if states.ndim == 4 else states[:, 0]
    return features.flatten(1)  # type: ignore[no-any-return]


def answering(whole: Any, network: Any, size: Sequence[int]) -> nn.Linear | None:
    """The layer that gives a classifier's answer from the features, if it is one."""
    layers = [part for part in whole.modules() if isinstance(part, nn.Linear)]
    if not layers or layers[-1].out_features != whole.config.num_labels:
        return None
    pictures = torch.rand(1, whole.config.num_channels, *size)
    with torch.no_grad():
        features, wanted = pooled(network, pictures), whole(pixel_values=pictures).logits
        if features.shape[1] != layers[-1].in_features:
            return None
        same = torch.allclose(layers[-1](features), wanted, rtol=CLOSE, atol=CLOSE)
    return layers[-1] if same else None
