"""CLIP, which has learned what pictures show and what is said of them together."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import torch
from tokenizers import Tokenizer as Backend
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, its usual name

from engine.catalog import Advanced, BadInput
from engine.layers.hub import NAME, Revision, library, refusal
from engine.layers.pictures import prepared
from engine.models import HEAD, Namer, Published, Standardize, directions, is_of
from engine.published import Repository

if TYPE_CHECKING:
    from engine.data.batches import Data
    from engine.home import Home

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Of the pictures that CLIP was trained on (Radford et al. 2021), where nothing else is said."""
BOTH = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
        "hidden_act", "layer_norm_eps")  # fmt: skip
SIDES: Mapping[str, tuple[str, ...]] = {
    "vision_config": (*BOTH, "image_size", "patch_size"),
    "text_config": (*BOTH, "vocab_size", "max_position_embeddings", "eos_token_id",
                    "bos_token_id", "pad_token_id"),
}  # fmt: skip
"""What is read of a description: sizes, and nothing that could name code."""
AT_ONCE = 64
"""Sentences whose meanings are computed at a time."""


class Clip(
    Namer, label="CLIP", fits={"image"}, provides={"logits"}, published=True, rank=55,
    suggests={"method": "ZeroShot", "method.learning_rate": 1e-5, "method.epochs": 3,
              "method.batch_size": 32, "method.clip": 1.0},
):  # fmt: skip
    """Knows what pictures show and what is said of them: the best at telling classes by name.

    A vision Transformer trained together with one for texts on pictures and their captions, so that
    both put what belongs together in one place (Radford et al. 2021). Zero-shot likes sentences as
    captions have them: “a photo of a {}.”. Its features are also a strong start for a probe. A run
    keeps the half that sees, with which it answers by itself; the one that reads is only needed to
    name the classes.
    """

    def __init__(
        self,
        shape: Sequence[int],
        outputs: int,
        blueprint: str,
        *,
        name: Annotated[str, NAME] = "openai/clip-vit-base-patch32",
        revision: Annotated[Revision, Advanced()] = "main",
    ) -> None:
        """`blueprint` is what `blueprint` gives: sizes, and the scale of its pictures."""
        super().__init__(shape, outputs)
        about = json.loads(blueprint)
        config = config_of(about, name)
        self.source = Repository(name, revision)
        self.works_with = f"CLIP {name}"
        self.scale = 100.0  # as most were trained; `meanings` reads the very one
        self.standardize = Standardize(3, dim=1)
        self.standardize.fit(about["mean"], about["std"])
        self.network = library().CLIPVisionModelWithProjection(config.vision_config)
        self.size = [config.vision_config.image_size] * 2
        self.head = nn.Linear(config.projection_dim, outputs)

    @classmethod
    def blueprint(cls, home: Home, **settings: Any) -> str:
        repository = Repository(settings["name"], settings["revision"])
        said = repository.json("config.json", home)
        seen = repository.optional("preprocessor_config.json", home)
        sides: dict[str, Any] = {
            side: {key: said[side][key] for key in keys if key in said[side]}
            for side, keys in SIDES.items() if isinstance(said.get(side), dict)
        }  # fmt: skip
        if said.get("model_type") != "clip" or len(sides) < len(SIDES):
            raise refusal(
                settings["name"],
                f"it is no CLIP but {said.get('model_type', 'of an unknown kind')}",
            )
        return json.dumps({
            **sides, "projection_dim": said.get("projection_dim", 512),
            "mean": seen.get("image_mean", MEAN), "std": seen.get("image_std", STD),
        })  # fmt: skip

    @classmethod
    def published(cls, home: Home, **settings: Any) -> Published:
        name = settings["name"]
        model = cls((224, 224, 3), 1, cls.blueprint(home, **settings), **settings)
        repository = Repository(name, settings["revision"])
        fill(model.network, repository.weights(home), name)
        weights = {key: tensor for key, tensor in model.state_dict().items()
                   if not is_of(key, HEAD)}  # fmt: skip
        return Published(name, weights)

    def levels(self) -> list[tuple[str, ...]]:
        seeing = self.network.vision_model
        layers = [(f"network.vision_model.encoder.layers.{i}",)
                  for i in range(len(seeing.encoder.layers))]  # fmt: skip
        return [
            ("network.vision_model.embeddings", "network.vision_model.pre_layrnorm"), *layers,
            ("network.vision_model.post_layernorm", "network.visual_projection"), (HEAD,),
        ]  # fmt: skip

    def fit_inputs(self, mean: Sequence[float], std: Sequence[float]) -> None:
        """Nothing is learned: the scale is that of the published weights."""

    def embed(self, images: Tensor) -> Tensor:
        """What images (B, C, H, W) in 0…1 show, as directions: (B, F)."""
        pictures = prepared(images, self.standardize, self.size)
        return directions(self.network(pictures).image_embeds)

    @torch.no_grad()
    def meanings(self, sentences: Sequence[str], data: Data, home: Home) -> Tensor:
        name, revision = self.source
        said = self.blueprint(home, name=name, revision=revision)
        config = config_of(json.loads(said), name)
        reads = library().CLIPTextModelWithProjection(config.text_config).eval()
        weights = self.source.weights(home)
        fill(reads, weights, name)
        if "logit_scale" in weights:
            self.scale = float(weights["logit_scale"].float().exp())
        ids = encoded(
            self.source.text("tokenizer.json", home), sentences,
            config.text_config.max_position_embeddings,
        )  # fmt: skip
        found = []
        for at in range(0, len(ids), AT_ONCE):
            some = [torch.tensor(one) for one in ids[at : at + AT_ONCE]]
            longest = max(map(len, some))
            # More ends behind the end: each token sees only what is before it, and the first end
            # is what is read off.
            tokens = torch.stack([
                F.pad(one, (0, longest - len(one)), value=int(one[-1])) for one in some
            ])  # fmt: skip
            found.append(reads(input_ids=tokens).text_embeds)
        return torch.cat(found)


def config_of(about: Mapping[str, Any], name: str) -> Any:
    """The library's description of both halves. BadInput where its sizes don't go together."""
    width = about["projection_dim"]
    try:
        sides = {side: {**about[side], "projection_dim": width} for side in SIDES}
        return library().CLIPConfig(**sides, projection_dim=width)
    except (TypeError, ValueError, KeyError) as problem:
        raise refusal(name, str(problem)) from None


def fill(half: nn.Module, weights: Mapping[str, Tensor], name: str) -> None:
    """Put what has its names into one half. BadInput when something is missing or of another
    shape."""
    try:
        half.load_state_dict({key: weights[key] for key in half.state_dict()})
    except KeyError as missing:
        raise refusal(name, f"its weights lack {missing.args[0]}") from None
    except RuntimeError as problem:
        raise refusal(name, f"its weights have other shapes than its config.json says ({problem})"
                      ) from None  # fmt: skip


def encoded(text: str, sentences: Sequence[str], longest: int) -> list[list[int]]:
    """Tokens of each sentence, with begin and end, by the ``tokenizer.json`` of the weights."""
    try:
        backend = Backend.from_str(text)
        backend.no_padding()
        backend.enable_truncation(longest)
        return [found.ids for found in backend.encode_batch(list(sentences))]
    except Exception as problem:  # of the library's own, which is no other
        raise BadInput(f"The tokenizer.json of this model can't be read ({problem})",
                       field="model.name") from None  # fmt: skip
