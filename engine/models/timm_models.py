"""Every image network of timm, by its name."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import torch
from torch import Tensor, nn

from engine.catalog import BadInput, Help, Range
from engine.layers.pictures import colours, prepared
from engine.models import HEAD, Headed, Published, Standardize, is_of, levels
from engine.published import Repository

if TYPE_CHECKING:
    from engine.home import Home

NEAREST = 4
"""Names that are offered where one is wrong."""
OURS = {
    "model_name", "num_classes", "in_chans", "features_only", "checkpoint_path", "cache_dir",
    "scriptable", "exportable", "no_jit", "device", "dtype",
}  # fmt: skip
"""What a description has no say in: what is decided here, and what would read files or the net."""


class TimmModel(
    Headed, label="timm network", fits={"image"}, provides={"logits"}, rank=16, published=True,
    suggests={"method.epochs": 6},
):  # fmt: skip
    """Any image network of the timm library, by its name, also with the weights that it has.

    Grey pictures are fed to it in three colours, which are alike, so that these weights see what
    they know; its last layer gives as many classes as there are.
    """

    def __init__(
        self,
        shape: Sequence[int],
        outputs: int,
        blueprint: str = "",
        *,
        name: Annotated[
            str,
            Help("As timm calls it, its weights' name after a dot; or a model of the Hugging Face "
                 "hub in timm's format (owner/name), or a folder with config.json and "
                 "model.safetensors"),
        ] = "resnet18.a1_in1k",
        side: Annotated[
            int | None, Range(16, 1024),
            Help("Pictures are scaled to squares of this side: most take 64. Published weights "
                 "know most at the side they were made with, often 224", unit="pixels",
                 empty="as they are"),
        ] = 64,
    ) -> None:  # fmt: skip
        """`blueprint` is the config.json of a model that isn't timm's own."""
        super().__init__(shape, outputs)
        height, width, depth = shape
        self.size = (side, side) if side else (height, width)
        self.standardize = Standardize(colours(depth), dim=1)
        self.network_name = name
        self.described = described(name, blueprint)
        self.network = self.made(outputs)
        self.head = self.network.get_classifier()
        self.network.reset_classifier(0)
        self._check()

    def made(self, outputs: int, **how: Any) -> Any:
        """timm's network for these pictures. BadInput when it can't take them."""
        import timm  # takes seconds: only when it is chosen

        architecture, settings, about = self.described
        told = {"img_size": self.size} if about.fixed_input_size else {}
        try:
            return timm.create_model(
                architecture, in_chans=self.standardize.mean.numel(), num_classes=outputs,
                **{**settings, **told, **how},
            )  # fmt: skip
        except (RuntimeError, ValueError, TypeError, AssertionError) as problem:
            raise self._refusal(problem) from problem

    def _check(self) -> None:
        """Carry a picture through it: some networks can't, and some answer otherwise."""
        if not isinstance(self.head, nn.Linear):
            raise BadInput(
                f"The answer of {self.network_name} isn't that of one linear layer, which is what "
                "is trained for other classes: choose another network", field="model.name",
            )  # fmt: skip
        self.eval()
        try:
            with torch.no_grad():
                self(torch.zeros(1, *self.shape[2:], *self.shape[:2]))
        except (RuntimeError, ValueError, TypeError, AssertionError) as problem:
            raise self._refusal(problem) from problem
        self.train()

    def _refusal(self, problem: Exception) -> BadInput:
        side = self.described.about.input_size[-1]
        rows, columns = self.size
        return BadInput(
            f"{self.network_name} can't take pictures of {rows}×{columns} pixels ({problem}): set "
            f"the side to {side}, which it was made for",
            field="model.side",
        )

    def levels(self) -> list[tuple[str, ...]]:
        return [*((f"network.{level}",) for level in levels(self.network)), (HEAD,)]

    def embed(self, images: Tensor) -> Tensor:
        """What the network makes of images (B, C, H, W) in 0…1 before its last layer: (B, F)."""
        states = self.network.forward_features(prepared(images, self.standardize, self.size))
        return self.network.forward_head(states, pre_logits=True)  # type: ignore[no-any-return]

    @classmethod
    def blueprint(cls, home: Home, **settings: Any) -> str:
        name = plain(settings["name"])
        return Repository(name).text("config.json", home) if "/" in name else ""

    @classmethod
    def published(cls, home: Home, **settings: Any) -> Published:
        """The weights of that name, under timm's names."""
        name = plain(settings["name"])
        about = described(name, cls.blueprint(home, **settings)).about
        source = name if "/" in name else about.hf_hub_id
        if not source:
            raise BadInput(f"There are no published weights for {name}: {offered(name)}, or start "
                           "from scratch", field="model.name")  # fmt: skip
        return Published(name, Repository(source).weights(home), classes(about))

    def translated(self, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        if any(is_of(name, "network") for name in weights):
            return weights
        about = self.described.about
        classifier = about.classifier
        if self.standardize.mean.numel() != 3 or not isinstance(classifier, str):
            raise BadInput(f"The published weights of {self.network_name} are for grey or coloured "
                           "pictures: start from scratch", field="start")  # fmt: skip
        head = weights.get(f"{classifier}.weight")
        # timm knows how its files changed with time, and resamples what belongs to a side.
        theirs = self.made(
            0 if head is None else len(head), pretrained=True, pretrained_cfg_overlay={
                "state_dict": dict(weights), "num_classes": 0 if head is None else len(head),
            },
        )  # fmt: skip
        found = {"standardize.mean": torch.tensor(about.mean),
                 "standardize.std": torch.tensor(about.std)}  # fmt: skip
        for name, tensor in theirs.state_dict().items():
            inner = is_of(name, classifier)
            found[HEAD + name.removeprefix(classifier) if inner else f"network.{name}"] = tensor
        return found


class Described(NamedTuple):
    """What timm is told of a network."""

    architecture: str
    """With the weights' name."""
    settings: Mapping[str, Any]
    about: Any
    """timm's PretrainedCfg."""


def plain(name: str) -> str:
    """A name without the owner of timm's own models."""
    return name.strip().removeprefix("timm/")


def described(name: str, config: str) -> Described:
    """The network of that name, or of a config.json. BadInput with the nearest names."""
    from timm.models import (
        PretrainedCfg,
        get_arch_pretrained_cfgs,
        get_pretrained_cfg,
        is_model,
        split_model_name_tag,
    )

    if not config:
        name = plain(name)
        architecture, tag = split_model_name_tag(name)
        tags = get_arch_pretrained_cfgs(architecture) if is_model(architecture) else {}
        about = get_pretrained_cfg(name) if not tag or name in tags else None
        if about is None:
            raise BadInput(f"timm has no network {name!r}: {offered(name)}", field="model.name")
        return Described(name, {}, about)
    try:
        said = json.loads(config)
        known = {field.name for field in fields(PretrainedCfg)}
        told = {**said, **said.get("pretrained_cfg", {})}
        about = PretrainedCfg(**{key: value for key, value in told.items() if key in known})
        architecture, settings = said["architecture"], harmless(said.get("model_args") or {})
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise BadInput(f"The config.json of {name} isn't one of timm ({problem}): choose another "
                       "model", field="model.name") from None  # fmt: skip
    if not is_model(architecture):
        raise BadInput(f"timm has no network {architecture!r}, which {name} is: bring timm up to "
                       "date", field="model.name")  # fmt: skip
    return Described(architecture, settings, about)


def harmless(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a network's settings that only say how it is built: plain values, and lists of
    them. They were written by strangers, and timm would follow an address or a path in others."""

    def plain(value: Any) -> bool:
        return isinstance(value, bool | int | float | str)

    return {
        name: value for name, value in settings.items()
        if name not in OURS and not name.startswith("pretrained")
        and (plain(value) or (isinstance(value, list) and all(map(plain, value))))
    }  # fmt: skip


def offered(name: str) -> str:
    """Names that there are, as words that follow a colon."""
    import timm

    known = [*timm.list_pretrained(), *timm.list_models()]
    near = difflib.get_close_matches(name, known, NEAREST, cutoff=0.3)
    return f"do you mean {' or '.join(near or ['resnet18.a1_in1k'])}?"


def classes(about: Any) -> tuple[str, ...]:
    """What the outputs of published weights stand for, where it is known."""
    from timm.data.imagenet_info import ImageNetInfo, infer_imagenet_subset

    if about.label_names:
        told = about.label_descriptions or {}
        return tuple(told.get(name, name) for name in about.label_names)
    subset = infer_imagenet_subset(about)
    if subset is None:
        return ()
    info = ImageNetInfo(subset)
    return tuple(info.index_to_description(i) for i in range(about.num_classes))
