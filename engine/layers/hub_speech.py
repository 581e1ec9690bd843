"""Networks of the hub that read recordings from their samples on: Wav2Vec2, HuBERT, WavLM and so
on by convolutions, Whisper's encoder by spectra of its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, its usual name

from engine.catalog import BadInput
from engine.layers.hub import (
    TROUBLE,
    backbone,
    config_of,
    inner_levels,
    library,
    loaded,
    made,
    refusal,
    without_code,
)
from engine.models import HEAD, Model
from engine.published import Repository
from engine.tasks import inside

if TYPE_CHECKING:
    from engine.home import Home

KIND = "AutoModel"
RATE = 16_000
PLAIN = {
    "apply_spec_augment": False, "mask_time_prob": 0.0, "mask_feature_prob": 0.0, "layerdrop": 0.0,
}  # fmt: skip
"""What varies states or leaves out layers at random, by numbers that no seed of ours decides: a
dataset says how its recordings are varied."""
TRIED = (3200, 1500)
"""Samples of two recordings with which a network is tried."""
CLOSE = 1e-2
"""Share of the largest number, by which padding may change a state."""
SILENCE = 1e-7
"""Added to the variance of a recording that is made as loud as others, as its makers do."""


class Ends:
    """How many steps of each recording are real, for the layers that would read beyond."""

    def __init__(self) -> None:
        self.first: list[int] = []
        """After the first convolution."""
        self.frames = torch.zeros(0, dtype=torch.long)
        """(B,), after the last."""

    def __call__(self, module: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Zeros behind each recording's frames (B, F, T) for a convolution that pads with zeros."""
        states, *rest = given
        real = inside(self.frames, states.shape[-1])[:, None]
        return (states.masked_fill(~real, 0.0), *rest)


class NormWithin(nn.GroupNorm):
    """A group norm whose mean and deviation are those of each recording without its padding: as
    networks with one (``feat_extract_norm`` “group”) learned it, whose batches had none."""

    def __init__(self, norm: nn.GroupNorm, ends: Ends) -> None:
        super().__init__(norm.num_groups, norm.num_channels, norm.eps, norm.affine)
        self.load_state_dict(norm.state_dict())
        self.ends = ends

    def forward(self, states: Tensor) -> Tensor:
        """States (B, C, T), zero behind each recording's end."""
        longest = states.shape[2]
        if all(count == longest for count in self.ends.first):
            return super().forward(states)
        alone = (
            super(NormWithin, self).forward(one[None, :, :count])
            for one, count in zip(states, self.ends.first, strict=True)
        )
        return torch.cat([F.pad(one, (0, longest - one.shape[2])) for one in alone])


class Convolutions:
    """A network whose convolutions read samples (Baevski et al. 2020)."""

    def __init__(self, network: Any, normalize: bool) -> None:
        self.normalize = normalize
        config = network.config
        self.sizes = [*zip(config.conv_kernel, config.conv_stride, strict=True)]
        self.ends = Ends()
        network.feature_extractor._requires_grad = False  # of the input: nobody wants it
        for place, part in [*network.named_modules()]:
            if isinstance(part, nn.GroupNorm):
                above, _, own = place.rpartition(".")
                setattr(network.get_submodule(above), own, NormWithin(part, self.ends))
            elif isinstance(part, nn.Conv1d) and part.padding not in ((0,), "valid"):
                part.register_forward_pre_hook(self.ends)
        self.shortest = 1  # samples of which one frame is made
        for kernel, stride in self.sizes[::-1]:
            self.shortest = (self.shortest - 1) * stride + kernel

    def __call__(self, network: Any, values: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """As `OfSamples.states`."""
        if values.shape[1] < self.shortest:
            values = F.pad(values, (0, self.shortest - values.shape[1]))
        real = inside(lengths, values.shape[1])
        if self.normalize:
            count = lengths[:, None]
            away = (values - (values * real).sum(1, keepdim=True) / count) * real
            values = away / (away.square().sum(1, keepdim=True) / count + SILENCE).sqrt()
        lengths = lengths.clamp(min=self.shortest)  # silence behind what is shorter than a frame
        steps = lengths
        for number, (kernel, stride) in enumerate(self.sizes):
            steps = torch.div(steps - kernel, stride, rounding_mode="floor") + 1
            if not number:
                self.ends.first = steps.tolist()
        self.ends.frames = steps
        mask = inside(lengths, values.shape[1]).long()
        found = network(values * real, attention_mask=mask)
        return found.last_hidden_state, steps


class LogMel:
    """A network that reads log-mel spectra of pieces of one length, silence behind what is shorter;
    of what is longer, the beginning (Radford et al. 2023)."""

    hop, window = RATE // 100, RATE // 40
    halved = 2
    """Frames that become one state."""

    def __init__(self, network: Any) -> None:
        config = network.config
        self.places: int = config.max_source_positions
        filters = library().audio_utils.mel_filter_bank(
            1 + self.window // 2, config.num_mel_bins, 0.0, RATE / 2, RATE, norm="slaney",
            mel_scale="slaney",
        )  # fmt: skip
        self.bank = torch.from_numpy(filters).float()

    def __call__(self, network: Any, values: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """As `OfSamples.states`."""
        every = self.hop * self.halved
        values = values * inside(lengths, values.shape[1])
        values = F.pad(values, (0, self.places * every - values.shape[1]))  # or cut
        hann = torch.hann_window(self.window, device=values.device)
        found = torch.stft(
            values.float(), self.window, self.hop, window=hann, return_complex=True
        )[..., :-1]  # fmt: skip
        power = found.real.square() + found.imag.square()
        spectra = (self.bank.T.to(power.device) @ power).clamp(min=1e-10).log10()
        # The softest is 80 dB below the loudest.
        spectra = (torch.maximum(spectra, spectra.amax((1, 2), keepdim=True) - 8) + 4) / 4
        states = network(spectra).last_hidden_state
        steps = torch.div(lengths + every - 1, every, rounding_mode="floor")
        return states, steps.clamp(1, self.places)


class OfSamples(Model):
    """A model over the states that a network of the hub has of a recording's samples.

    What it gives of a recording doesn't depend on those beside it, nor on padding.
    """

    hears: ClassVar[int | None] = RATE
    network: Any

    def __init__(self, shape: Sequence[int], outputs: int, blueprint: str, name: str) -> None:
        """`blueprint` is the content of config.json, and whether recordings are made equally
        loud."""
        super().__init__(shape, outputs)
        said = json.loads(blueprint)
        config = config_of(name, said["config"], **PLAIN)
        self.network = backbone(made(name, KIND, config))
        self.dropped = float(getattr(config, "final_dropout", 0.0))
        self.width: int = getattr(config, "hidden_size", 0)
        """Of a state."""
        if getattr(config, "add_adapter", False):
            raise refusal(name, "layers that shorten its states are there for another network")
        self.ear: Convolutions | LogMel
        if hasattr(self.network, "feature_extractor") and hasattr(config, "conv_kernel"):
            self.ear = Convolutions(self.network, said["normalize"])
        elif hasattr(config, "num_mel_bins") and hasattr(config, "max_source_positions"):
            self.ear = LogMel(self.network)
        else:
            raise refusal(name, "it doesn't read recordings, or not as any that is known here")
        self.eval()
        try:
            with torch.no_grad():
                self._try(name)
        except TROUBLE as problem:
            raise problem if isinstance(problem, BadInput) else refusal(name, problem) from problem
        self.train()

    def _try(self, name: str) -> None:
        """BadInput when padding changes what it hears."""
        heard = torch.sin(torch.arange(TRIED[0]) / 7 + torch.arange(TRIED[0]).square() / 1e5)
        lengths = torch.tensor(TRIED)
        together, frames = self.states(heard * inside(lengths, TRIED[0]), lengths)
        alone, _ = self.states(heard[None, : TRIED[1]], lengths[1:])
        count = int(frames[1])
        far = (together[1, :count] - alone[0, :count]).abs().max()
        if far > CLOSE * alone.abs().max():
            raise refusal(name, "what it hears in a recording depends on the padding behind it")

    def levels(self) -> list[tuple[str, ...]]:
        return [*((level,) for level in inner_levels(self.network, "network")), (HEAD,)]

    def states(self, values: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """States (B, T', F) of samples (B, T) in −1…1, the first `lengths` (B,) of which are real,
        and how many of the T' are: about fifty a second."""
        return self.ear(self.network, values, lengths)

    @classmethod
    def blueprint(cls, home: Home, **settings: Any) -> str:
        repository = Repository(settings["name"], settings["revision"])
        seen = repository.optional("preprocessor_config.json", home)
        if (rate := seen.get("sampling_rate", RATE)) != RATE:
            raise refusal(settings["name"], f"it reads {rate:,} samples a second, and here all "
                                            f"that read samples get {RATE:,}")  # fmt: skip
        return json.dumps({
            "config": without_code(repository.json("config.json", home)),
            "normalize": bool(seen.get("do_normalize", True)),
        })  # fmt: skip


def whole(repository: Repository, home: Home, kinds: dict[str, str]) -> tuple[Any, Any]:
    """A network with its published weights, and the classifier or transcriber that it is part of,
    where its description names one whose ending is among `kinds`: {ending: the library's kind}."""
    name = repository.name
    said = repository.json("config.json", home)
    config, folder = config_of(name, said, **PLAIN), repository.whole(home)
    for architecture in said.get("architectures") or ():
        for ending, kind in kinds.items():
            if str(architecture).endswith(ending):
                found = loaded(name, kind, config, folder).eval()
                return backbone(found.base_model), found
    return backbone(loaded(name, KIND, config, folder)), None


def named(network: nn.Module, head: nn.Linear | None = None) -> dict[str, Tensor]:
    """Weights under our names."""
    weights = {f"network.{key}": one for key, one in network.state_dict().items()}
    if head is not None:
        weights |= {f"{HEAD}.{key}": one for key, one in head.state_dict().items()}
    return weights


def vocabulary_of(repository: Repository, home: Home) -> dict[str, Any] | None:
    """What ``vocab.json`` says, None where there is none that can be read."""
    try:
        return repository.optional("vocab.json", home) or None
    except BadInput:
        return None
