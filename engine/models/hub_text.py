"""Any network for texts of the Hugging Face hub, by its id."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch
from torch import Tensor, nn

from engine.catalog import Advanced, BadInput, Help
from engine.layers.hub import (
    NAME,
    TROUBLE,
    Revision,
    backbone,
    config_of,
    framed,
    inner_levels,
    loaded,
    made,
    places,
    refusal,
    same_tensors,
    text_blueprint,
    tokenizer_of,
)
from engine.models import HEAD, Headed, Published
from engine.published import Repository
from engine.tasks import inside

if TYPE_CHECKING:
    from engine.home import Home

KIND = "AutoModel"


class HubText(
    Headed, label="Text network of the hub", fits={"text"}, rank=70,
    provides={"logits", "transformers"}, published=True,
    suggests={"method.learning_rate": 5e-5, "method.clip": 1.0},
):  # fmt: skip
    """Any network for texts of the Hugging Face hub, by its id: BERT, RoBERTa, DeBERTa and so on.

    Built by the transformers library from the config.json that is published with it; what gives
    the classes is one linear layer over its states.
    """

    def __init__(
        self,
        shape: Sequence[int],
        outputs: int,
        blueprint: str,
        *,
        name: Annotated[str, NAME] = "distilbert/distilbert-base-uncased",
        read: Annotated[
            Literal["all states", "first state"],
            Help("What the classes are told from: the mean of all states, or the state of the "
                 "first token, which BERT learns to sum up in"),
        ] = "all states",
        revision: Annotated[Revision, Advanced()] = "main",
    ) -> None:  # fmt: skip
        """`blueprint` is the content of config.json, and what stands around a text."""
        super().__init__(shape, outputs)
        (vocabulary,) = shape
        said = json.loads(blueprint)
        self.read, self.before, self.after = read, said["before"], said["after"]
        config = config_of(name, said["config"], vocab_size=vocabulary)
        self.network = backbone(made(name, KIND, config))
        table = self.network.get_input_embeddings()
        table.padding_idx = None  # no row of it is padding's: that is left out by a mask
        self.longest = places(self.network)
        try:
            with torch.no_grad():
                states = self._states(torch.zeros(1, 2, dtype=torch.long), torch.tensor([2]))[0]
        except TROUBLE as problem:
            raise refusal(name, problem) from problem
        self.head = nn.Linear(states.shape[-1], outputs)

    auto = "AutoModel"

    def around(self) -> tuple[list[int], list[int]]:
        """The tokens that it sets before and after a text."""
        return self.before, self.after

    def levels(self) -> list[tuple[str, ...]]:
        return [*((level,) for level in inner_levels(self.network, "network")), (HEAD,)]

    def embed(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """What the network makes of tokens (B, L), the first `lengths` (B,) of which are real:
        (B, F). Of a longer text than it has places for, the first tokens are read."""
        states, real = self._states(tokens, lengths)
        if self.read == "first state":
            return states[:, 0]
        return (states * real[..., None]).sum(1) / real.sum(1, keepdim=True)

    def _states(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """States (B, L', F) and which of them are real (B, L')."""
        tokens, lengths = framed(tokens, lengths, self.before, self.after, self.longest)
        real = inside(lengths, tokens.shape[1])
        # By their vectors: what their numbers mean to the library is of another vocabulary.
        vectors = self.network.get_input_embeddings()(tokens)
        found = self.network(inputs_embeds=vectors, attention_mask=real.long())
        return found.last_hidden_state, real

    @classmethod
    def blueprint(cls, home: Home, **settings: Any) -> str:
        return text_blueprint(Repository(settings["name"], settings["revision"]), home)

    @classmethod
    def published(cls, home: Home, **settings: Any) -> Published:
        """The weights of that name but for their head, their tokens in our order."""
        name = settings["name"]
        repository = Repository(name, settings["revision"])
        tokenizer = tokenizer_of(repository, home)
        config = config_of(name, repository.json("config.json", home))
        network = backbone(loaded(name, KIND, config, repository.whole(home)))
        tables = same_tensors(network, network.get_input_embeddings().weight)
        try:
            weights = {
                f"network.{key}": tokenizer.rearranged(tensor) if key in tables else tensor
                for key, tensor in network.state_dict().items()
            }
        except BadInput as problem:
            raise refusal(name, problem) from None
        return Published(name, weights, (), tokenizer.tokenizer)
