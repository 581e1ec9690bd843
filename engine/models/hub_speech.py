"""Any network for recordings of the Hugging Face hub, by its id."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import torch
from torch import Tensor, nn

from engine.catalog import Advanced
from engine.layers.hub import NAME, Revision
from engine.layers.hub_speech import RATE, OfSamples, named, whole
from engine.models import Headed, Published
from engine.published import Repository
from engine.tasks import inside

if TYPE_CHECKING:
    from engine.home import Home

KINDS = {"ForSequenceClassification": "AutoModelForAudioClassification"}
CLOSE = 1e-4


class HubSpeech(
    OfSamples, Headed, label="Speech network of the hub", fits={"audio"}, provides={"logits"},
    rank=70, published=True,
    suggests={"method.epochs": 10, "method.batch_size": 8, "method.learning_rate": 5e-5,
              "method.clip": 1.0},
):  # fmt: skip
    """Any network for speech of the Hugging Face hub, by its id: Wav2Vec2, Whisper and so on.

    Built by the transformers library from the config.json that is published with it. It reads the
    samples themselves, 16,000 a second; what gives the classes is one linear layer over the mean
    of its states.
    """

    def __init__(
        self,
        shape: Sequence[int],
        outputs: int,
        blueprint: str,
        *,
        name: Annotated[str, NAME] = "facebook/wav2vec2-base-960h",
        revision: Annotated[Revision, Advanced()] = "main",
    ) -> None:
        super().__init__(shape, outputs, blueprint, name)
        self.head = nn.Linear(self.width, outputs)

    def embed(self, values: Tensor, lengths: Tensor) -> Tensor:
        """The mean state (B, F) of samples (B, T), the first `lengths` (B,) of which are real."""
        states, frames = self.states(values, lengths)
        real = inside(frames, states.shape[1])[..., None]
        # Not times zero: what stands behind an end may be anything.
        mean: Tensor = states.masked_fill(~real, 0.0).sum(1) / frames[:, None]
        return mean

    @classmethod
    def published(cls, home: Home, **settings: Any) -> Published:
        """The weights of that name, those that tell its classes too where they do so from the mean
        of its states."""
        repository = Repository(settings["name"], settings["revision"])
        network, classifier = whole(repository, home, KINDS)
        head = None if classifier is None else answering(classifier, network)
        classes = tuple(classifier.config.id2label[i] for i in range(head.out_features)) \
            if head else ()  # fmt: skip
        return Published(repository.name, named(network, head), classes)


@torch.no_grad()
def answering(classifier: Any, network: Any) -> nn.Linear | None:
    """The layer that gives a classifier's answer from the mean state, if it is one: two with
    nothing between are."""
    layers = [part for name, part in classifier.named_children()
              if isinstance(part, nn.Linear)]  # fmt: skip
    if not layers or layers[-1].out_features != classifier.config.num_labels:
        return None
    weight = torch.eye(layers[0].in_features)
    bias = torch.zeros(layers[0].in_features)
    for layer in layers:
        bias = layer(bias)
        weight = layer.weight @ weight
    one = nn.Linear(weight.shape[1], weight.shape[0])
    one.weight.copy_(weight)
    one.bias.copy_(bias)
    heard = torch.randn(1, RATE // 4)
    mean = network(heard).last_hidden_state.mean(1)
    if mean.shape[1] != one.in_features:
        return None
    same = torch.allclose(one(mean), classifier(heard).logits, rtol=CLOSE, atol=CLOSE)
    return one if same else None
