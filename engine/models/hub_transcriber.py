"""Any network of the Hugging Face hub that writes down what is said, by its id."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from torch import Tensor, nn

from engine.catalog import Advanced
from engine.data.foreign import lettered
from engine.layers.hub import NAME, Revision, refusal
from engine.layers.hub_speech import OfSamples, named, vocabulary_of, whole
from engine.models import Published
from engine.published import Repository

if TYPE_CHECKING:
    from engine.home import Home

KINDS = {"ForCTC": "AutoModelForCTC"}


class HubTranscriber(
    OfSamples, label="Transcriber of the hub", fits={"audio"}, provides={"frames"}, rank=70,
    published=True,
    suggests={"method.epochs": 10, "method.batch_size": 8, "method.learning_rate": 1e-4,
              "method.clip": 1.0},
):  # fmt: skip
    """Any network for speech of the Hugging Face hub, by its id, to write down what is said.

    Built by the transformers library from the config.json that is published with it. It reads the
    samples themselves, 16,000 a second. Its letters and what tells them are taken over where it was
    published with both (connectionist temporal classification), else they are the dataset's.
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
        self.dropout = nn.Dropout(self.dropped)
        self.head = nn.Linear(self.width, outputs)

    def forward(self, values: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, T', outputs) of samples (B, T), the first `lengths` (B,) of which are real,
        and how many of the T' are."""
        states, frames = self.states(values, lengths)
        return self.head(self.dropout(states)), frames

    @classmethod
    def published(cls, home: Home, **settings: Any) -> Published:
        """The weights of that name, with its letters in our order where it has any."""
        repository = Repository(settings["name"], settings["revision"])
        network, transcriber = whole(repository, home, KINDS)
        letters = None
        if transcriber is not None and (known := vocabulary_of(repository, home)):
            said = repository.optional("tokenizer_config.json", home)
            letters = lettered(known, said, blank=transcriber.config.pad_token_id)
        if letters is None:
            return Published(repository.name, named(network))
        head = transcriber.lm_head
        if head.out_features <= int(letters.rows.max()):
            raise refusal(repository.name, "its vocab.json has more letters than its weights tell")
        weights = named(network) | {
            "head.weight": letters.rearranged(head.weight.detach()),
            "head.bias": letters.rearranged(head.bias.detach()),
        }
        return Published(repository.name, weights, (), letters.tokenizer)
