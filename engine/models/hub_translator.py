"""Any network of the Hugging Face hub that writes a text from another, by its id."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import torch
from torch import Tensor

from engine.catalog import Advanced, BadInput
from engine.data.tokens import BOS, EOS, SPECIAL, UNK
from engine.layers.hub import (
    NAME,
    TROUBLE,
    Revision,
    config_of,
    framed,
    inner_levels,
    library,
    loaded,
    made,
    places,
    refusal,
    same_tensors,
    text_blueprint,
    tokenizer_of,
)
from engine.models import Model, Published, is_of
from engine.published import Repository
from engine.tasks import inside

if TYPE_CHECKING:
    from engine.home import Home

KIND = "AutoModelForSeq2SeqLM"
CLOSE = 1e-3
"""How far apart numbers may be that are still the same."""


@dataclass(frozen=True)
class Read:
    """A source that was read, and what was written to it."""

    states: Tensor
    """(B, S, F)"""
    real: Tensor
    """(B, S), false on padding."""
    written: Tensor | None = None
    """Tokens (B, T)."""
    past: tuple[tuple[Tensor | None, ...], ...] = ()
    """Keys and values of each layer's attention to what was written, and to the source."""

    def select(self, rows: Tensor) -> Read:
        written = None if self.written is None else self.written[rows]
        past = tuple(
            tuple(None if one is None else one[rows] for one in layer) for layer in self.past
        )
        return Read(self.states[rows], self.real[rows], written, past)


class HubTranslator(
    Model, label="Translator of the hub", fits={"pair"}, rank=70,
    provides={"target text", "transformers"},
    published=True, suggests={"method.learning_rate": 1e-4, "method.clip": 1.0},
):  # fmt: skip
    """Any network of the Hugging Face hub that writes a text from another: T5, BART and so on.

    Built by the transformers library from the config.json that is published with it.
    """

    def __init__(
        self,
        shape: Sequence[int],
        outputs: int,
        blueprint: str,
        *,
        name: Annotated[str, NAME] = "google-t5/t5-small",
        revision: Annotated[Revision, Advanced()] = "main",
    ) -> None:
        """`blueprint` is the content of config.json, and what stands around a text."""
        super().__init__(shape, outputs)
        said = json.loads(blueprint)
        self.before: list[int] = said["before"]
        # Sources end with EOS as it is.
        self.after: list[int] = said["after"][1:] if said["after"][:1] == [EOS] else said["after"]
        self.first: list[int] = [said["start"], *self.before]
        if max([*self.before, *self.after, 0]) >= len(SPECIAL):
            raise refusal(name, "it wants to be told the languages of its texts")
        config = config_of(name, said["config"], vocab_size=outputs)
        if not config.is_encoder_decoder:
            raise refusal(name, "it doesn't write a text from another")
        self.network = made(name, KIND, config)
        self.table.padding_idx = None  # no row of it is padding's: that is left out by a mask
        self.longest = places(self.network)
        try:
            with torch.no_grad():
                tokens = torch.full((1, 2), EOS)
                self(tokens, torch.tensor([2]), tokens)
        except TROUBLE as problem:
            raise refusal(name, problem) from problem
        self.remembers = self._can_remember()
        """Whether it reads only what is new: a few networks can't."""

    auto = "AutoModelForSeq2SeqLM"

    def around(self) -> tuple[list[int], list[int]]:
        """The tokens that it sets before and after a source."""
        return self.before, [EOS, *self.after]

    @property
    def table(self) -> Any:
        """The embedding of source and target."""
        return self.network.get_input_embeddings()

    def levels(self) -> list[tuple[str, ...]]:
        own = [name for name, _ in self.named_parameters()]  # what is shared has one name
        found = inner_levels(self.network, "network")
        return [(level,) for level in found if any(is_of(name, level) for name in own)]

    def forward(self, tokens: Tensor, lengths: Tensor, target_tokens: Tensor) -> Tensor:
        """Logits (B, T, outputs) at each place of the target, which begins with BOS."""
        return self._write(self.begin(tokens, lengths), target_tokens)

    def begin(self, tokens: Tensor, lengths: Tensor) -> Read:
        """The source (B, S) is read, nothing is written. Of a longer one than there are places
        for, the first tokens are read."""
        tokens, lengths = framed(tokens, lengths, self.before, self.after, self.longest)
        ends = (lengths - len(self.after) - 1)[:, None]
        tokens = tokens.scatter(1, ends, EOS)  # also where it was cut off
        real = inside(lengths, tokens.shape[1])
        encoder = self.network.get_encoder()
        found = encoder(inputs_embeds=self.table(tokens), attention_mask=real.long())
        return Read(found.last_hidden_state, real)

    def next(self, target_tokens: Tensor, state: Read) -> tuple[Tensor, Read]:
        """Logits (B, outputs) after the last of the new tokens (B, n), and the new memory."""
        if self.remembers:
            return self._go_on(target_tokens, state)
        written = target_tokens
        if state.written is not None:
            written = torch.cat([state.written, target_tokens], 1)
        return self._write(state, written)[:, -1], replace(state, written=written)

    def _go_on(self, new: Tensor, state: Read) -> tuple[Tensor, Read]:
        if not state.past:
            new = self._begun(new)
        # Of its own each time: a state that forked must not see what another half writes.
        cache = library().EncoderDecoderCache(state.past)
        found = self.network(
            encoder_outputs=(state.states,), attention_mask=state.real.long(),
            decoder_inputs_embeds=self.table(new), cache=cache, use_cache=True,
        )  # fmt: skip
        return found.logits[:, -1], replace(state, past=tuple(cache))

    @torch.no_grad()
    def _can_remember(self) -> bool:
        """Whether it says the same step by step as at once."""
        training = self.training
        self.eval()
        source, target = torch.full((1, 3), EOS), torch.tensor([[BOS, EOS, UNK]])
        at_once = self(source, torch.tensor([3]), target)[:, -1]
        state = self.begin(source, torch.tensor([3]))
        try:
            for place in range(3):
                step, state = self._go_on(target[:, place : place + 1], state)
            same = torch.allclose(step, at_once, rtol=CLOSE, atol=CLOSE * float(at_once.std()))
        except TROUBLE:
            same = False
        self.train(training)
        return same

    def attention(self, state: Read) -> Tensor | None:
        """It isn't told where it looks."""
        return None

    def _write(self, read: Read, written: Tensor) -> Tensor:
        tokens = self._begun(written)
        found = self.network(
            encoder_outputs=(read.states,), attention_mask=read.real.long(),
            decoder_inputs_embeds=self.table(tokens), use_cache=False,
        )  # fmt: skip
        return found.logits[:, len(self.first) - 1 :]  # type: ignore[no-any-return]

    def _begun(self, written: Tensor) -> Tensor:
        """What a text begins with in its own words stands in the place of BOS."""
        first = written.new_tensor(self.first).expand(len(written), -1)
        return torch.cat([first, written[:, 1:]], 1)

    @classmethod
    def blueprint(cls, home: Home, **settings: Any) -> str:
        repository = Repository(settings["name"], settings["revision"])
        said = json.loads(text_blueprint(repository, home))
        start = said["config"].get("decoder_start_token_id")
        rows = tokenizer_of(repository, home).rows.tolist()
        if start not in rows:
            raise refusal(settings["name"], "its config.json doesn't say what a target begins with")
        return json.dumps(said | {"start": rows.index(start)})

    @classmethod
    def published(cls, home: Home, **settings: Any) -> Published:
        """The weights of that name, their tokens in our order."""
        name = settings["name"]
        repository = Repository(name, settings["revision"])
        tokenizer = tokenizer_of(repository, home)
        config = config_of(name, repository.json("config.json", home))
        network = loaded(name, KIND, config, repository.whole(home))
        tables = [
            place
            for part in (network.get_input_embeddings(), network.get_output_embeddings())
            for tensor in part.parameters() for place in same_tensors(network, tensor)
        ]  # fmt: skip
        weights = {}
        try:
            for key, tensor in network.state_dict().items():
                if key in tables:
                    tensor = tokenizer.rearranged(tensor)
                elif key == "final_logits_bias":
                    tensor = tokenizer.rearranged(tensor[0])[None]
                weights[f"network.{key}"] = tensor
        except BadInput as problem:
            raise refusal(name, problem) from None
        return Published(name, weights, (), tokenizer.tokenizer)
