"""Models: one file, one class, one choice on the page."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Protocol, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, its usual name

from engine.catalog import Advanced, BadInput, Choosable, Help, Range
from engine.compression.int8 import Conv2d, rounded_layers

if TYPE_CHECKING:
    from engine.data.batches import Data
    from engine.data.tokens import Tokenizer
    from engine.home import Home

ActivationName = Literal["ReLU", "GELU", "SiLU", "Tanh", "LeakyReLU"]
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "ReLU": nn.ReLU, "GELU": nn.GELU, "SiLU": nn.SiLU, "Tanh": nn.Tanh, "LeakyReLU": nn.LeakyReLU,
}  # fmt: skip
Activation = Annotated[ActivationName, Advanced(), Help("The non-linear function between layers")]
Dropout = Annotated[
    float, Range(0, 0.9, step=0.05),
    Help("The share of units switched off at random while training, against overfitting"),
]  # fmt: skip


HEAD = "head"
"""What the last part of a model is called, which gives the classes."""


@dataclass(frozen=True)
class Published:
    """Weights that others have trained, under the names that our model gives them."""

    name: str
    """As their makers call them."""
    weights: Mapping[str, Tensor]
    classes: tuple[str, ...] = ()
    """What the outputs stand for, where the weights have any."""
    tokenizer: Tokenizer | None = None
    """What texts must be read with."""


class Model(nn.Module, Choosable, kind="model"):
    """A network. It is made as ``cls(shape, outputs, **settings)``.

    `shape` is that of one item without its length: (H, W, C) of an image, (D,) of a sequence's
    step or a spectrum's frame, () of a sample, (vocabulary,) of a text. `outputs` is how many
    numbers the task wants at a place (`engine.tasks.Task.outputs`): classes, tokens, steps to come;
    0 for none.

    What a model ``provides`` says how it is called:

    ==============  ========================================================================
    logits          ``model(**inputs)`` → (B, outputs)
    features        `Headed`: every one of them, by ``model.embed(**inputs)`` → (B, F)
    names           `Namer`: logits, of classes that it knows by name
    reconstruction  `Coder`
    latent code     `Variational`, and a `Generator`
    adversary       `Adversary`, and a `Generator`
    next token      `LanguageModel`
    masked token    `Filler`
    masked image    `Completer`
    target text     `Translator`
    frames          `Transcriber`
    forecast        `Forecaster`
    steps           `Stepper`, of which no place depends on a later one
    spectra         `Stepper`, of which each place may depend on all
    transformers    its ``network`` is one of that library's, which loads by `auto` of its classes
    ==============  ========================================================================
    """

    hears: ClassVar[int | None] = None
    """Samples a second of the recordings that it reads as they are; None where it reads their
    spectra."""
    output: str = HEAD
    """The part whose weights belong to the outputs one by one."""

    def __init__(self, shape: Sequence[int], outputs: int) -> None:
        super().__init__()
        self.shape, self.outputs = tuple(shape), outputs
        self.frozen: tuple[str, ...] = ()
        """Modules and parameters that stay as they are: no gradient, no statistics of norms."""
        self.awake: tuple[str, ...] = ()
        """Modules within the frozen ones that are in training all the same."""

    @classmethod
    def published(cls, home: Home, **settings: Any) -> Published:
        """Weights that others have trained, for a model of these settings; only of the cards that
        say ``published``. BadInput when they can't be had, with what to do about it."""
        raise BadInput(f"There are no published weights for {cls.card.label}: start from scratch, "
                       "or from an earlier run", field="start")  # fmt: skip

    @classmethod
    def blueprint(cls, home: Home, **settings: Any) -> str:
        """What a model of these settings must be told besides them, as ``cls(shape, outputs,
        blueprint, **settings)``: a description that others have published, say. It is kept with a
        run, whose model can be built again from it alone. BadInput when it can't be had."""
        return ""

    def translated(self, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Weights in a form of their makers, or of an earlier version of this model, under its
        names and in its shapes; others as they are."""
        return weights

    def levels(self) -> list[tuple[str, ...]]:
        """The parts that hold weights, from the input to the output: each level by the names of
        its modules and parameters. Every parameter is in exactly one; the last gives the output."""
        return [(name,) for name in levels(self)]

    def freeze(self, frozen: Iterable[Sequence[str]]) -> None:
        """Hold these levels fixed, and none but these."""
        self.frozen = tuple(name for level in frozen for name in level)
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(not any(is_of(name, part) for part in self.frozen))
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """While levels are frozen, only the others are in training, and what is in none isn't."""
        if not (mode and self.frozen):
            return super().train(mode)
        super().train(False)
        self.training = True
        modules = dict(self.named_modules())
        others = {name for level in self.levels() for name in level} - {*self.frozen}
        for name in [*others, *self.awake]:
            if name in modules:  # else it is a single parameter
                modules[name].train()
        return self

    @property
    def device(self) -> torch.device:
        """Where its numbers are, in whatever form they are kept."""
        return next(chain(self.parameters(), self.buffers())).device

    @property
    def convolutional(self) -> bool:
        """Whether channels_last may make it faster."""
        return any(isinstance(module, Conv2d) for module in self.modules())

    def fit_inputs(self, mean: Sequence[float], std: Sequence[float]) -> None:
        """Learn the scale of the training data, for the models that standardize their input."""
        for module in self.modules():
            if isinstance(module, Standardize):
                module.fit(mean, std)

    def parameter_count(self) -> int:
        """Numbers that were learned, in whatever form they are kept."""
        rounded = sum(layer.count() for layer in rounded_layers(self).values())
        return rounded + sum(parameter.numel() for parameter in self.parameters())

    def trainable_count(self) -> int:
        """Those of its numbers that learn now."""
        return sum(one.numel() for one in self.parameters() if one.requires_grad)


class Headed(Model):
    """A model whose answer is that of a `head` over the features that it sees in its input.

    The head is what other classes replace, and all that a linear probe trains.
    """

    head: nn.Module
    embed: Callable[..., Tensor]
    """Features (B, F) of a batch's inputs."""

    def __init_subclass__(cls, provides: set[str] | None = None, **said: Any) -> None:
        super().__init_subclass__(provides=(provides or set()) | {"features"}, **said)

    def feature_count(self) -> int:
        """F, as the head takes it: so many as there are outputs, where that does nothing."""
        layers = (module for module in self.head.modules() if isinstance(module, nn.Linear))
        first = next(layers, None)
        return self.outputs if first is None else first.in_features

    def answer(self, features: Tensor) -> Tensor:
        """(B, outputs) of features (B, F)."""
        return self.head(features)  # type: ignore[no-any-return]

    def forward(self, *inputs: Tensor, features: Tensor | None = None, **named: Tensor) -> Tensor:
        """(B, outputs) of a batch's inputs, or of features (B, F) that are known already."""
        return self.answer(self.embed(*inputs, **named) if features is None else features)


class HeadedAfterDropout(Headed):
    """One whose features are dropped at random before the head."""

    dropout: nn.Dropout

    def answer(self, features: Tensor) -> Tensor:
        return super().answer(self.dropout(features))


class Namer(Headed):
    """A model that knows what words mean: its head can be made of what the classes are called.

    Its features have as many numbers as its sentences' meanings, and are of length √F, so that
    each number is about 1, as heads expect. A class's logit is `scale` times the cosine between
    them and the mean of what its sentences mean.
    """

    head: nn.Linear
    scale: float
    """Turns cosines into logits: the larger, the surer of the nearest class."""
    works_with: str
    """What tells the classes apart, by its makers' names."""

    def __init_subclass__(cls, provides: set[str] | None = None, **said: Any) -> None:
        super().__init_subclass__(provides=(provides or set()) | {"names"}, **said)

    @abstractmethod
    def meanings(self, sentences: Sequence[str], data: Data, home: Home) -> Tensor:
        """What they mean, (N, F) of any length. BadInput when what it needs can't be had."""

    @torch.no_grad()
    def name(self, sentences: Sequence[Sequence[str]], data: Data, home: Home) -> None:
        """Make the head tell apart what these say, one sentence a class or several."""
        flat = F.normalize(self.meanings([s for one in sentences for s in one], data, home), dim=1)
        parts = torch.split(flat, [len(one) for one in sentences])
        means = torch.stack([part.mean(0) for part in parts])
        wide = self.head.in_features
        self.head.weight.copy_(F.normalize(means, dim=1) * (self.scale / wide**0.5))
        self.head.bias.zero_()


def directions(features: Tensor) -> Tensor:
    """Features (B, F) as directions, of length √F."""
    return F.normalize(features, dim=1) * features.shape[1] ** 0.5  # type: ignore[no-any-return]


def levels(module: nn.Module) -> Iterator[str]:
    """The names of a module's own parameters, of its children that hold some, and of those of the
    children that are lists."""
    yield from (name for name, _ in module.named_parameters(recurse=False))
    for name, part in module.named_children():
        if isinstance(part, nn.ModuleList | nn.Sequential) and name != HEAD:
            yield from (f"{name}.{inner}" for inner, one in part.named_children() if learned(one))
        elif learned(part):
            yield name


def is_of(parameter: str, part: str) -> bool:
    """Whether a parameter is that part of a model, or of it."""
    return parameter == part or parameter.startswith(f"{part}.")


def learned(module: nn.Module) -> bool:
    """Whether it holds weights."""
    return any(True for _ in module.parameters())


class Coder(Protocol):
    """A model that gives back what it was given: ``decode(encode(images))``, then a sigmoid."""

    def encode(self, images: Tensor) -> Tensor: ...

    def decode(self, codes: Tensor) -> Tensor: ...


class Generator(Protocol):
    """A model that draws pictures that never were."""

    def generate(self, count: int, generator: torch.Generator) -> Tensor:
        """So many pictures (count, C, H, W) in 0…1, which the generator decides, one of the CPU
        whatever the device."""


class Variational(Coder, Generator, Protocol):
    """A model in which a picture is not a code, but a normal distribution of codes; ``encode``
    gives its mean."""

    def distribution(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the variance (B, code) of each number by itself."""


class Adversary(Generator, Protocol):
    """A model of which one part draws and the other, which shares no weight with it, tells drawn
    pictures from real ones."""

    code: int
    """Numbers of which a picture is made."""
    named_parameters: Callable[[], Iterator[tuple[str, nn.Parameter]]]
    named_buffers: Callable[[], Iterator[tuple[str, Tensor]]]

    def __call__(self, images: Tensor) -> Tensor:
        """Verdicts (B, 1) on images (B, C, H, W) in 0…1, above 0 for real ones."""

    def draw(self, codes: Tensor) -> Tensor:
        """Images (B, C, H, W) in 0…1 of codes (B, code)."""

    def embed(self, images: Tensor) -> Tensor:
        """What its critic sees in images: (B, F)."""


class State(Protocol):
    """What a model remembers of the tokens it has read."""

    def select(self, rows: Tensor) -> State:
        """The memory of these rows of the batch (int64), in that order: beams fork and die."""


class LanguageModel(Protocol):
    """A model that says, at each place, which token comes next."""

    shape: tuple[int, ...]
    """(vocabulary,)"""

    def follow(self, tokens: Tensor) -> Tensor:
        """Logits (B, L, vocabulary) of tokens (B, L); a place sees only itself and what is
        before."""

    def embed(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Features (B, F) of whole texts (B, L), of which the first `lengths` (B,) are real."""

    def begin(self, longest: int | None = None) -> State:
        """Nothing is read yet; of what will be, at most the last `longest` tokens are remembered
        where a memory grows with them."""

    def next(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits (B, vocabulary) after the last of the new tokens (B, n), and the new memory."""


class Filler(Protocol):
    """A model that says, at each place, which token stands there, from all the others."""

    def fill(self, tokens: Tensor, lengths: Tensor, places: Tensor | None = None) -> Tensor:
        """Logits (B, L, vocabulary) of tokens (B, L), of which the first `lengths` (B,) are real;
        with `places` (B, K) only at those of each text, (B, K, vocabulary)."""

    def embed(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Features (B, F) of whole texts."""


class Completer(Protocol):
    """A model that draws whole pictures, patch by patch, from some of the patches."""

    patch: int
    """The side of a patch."""

    def complete(self, images: Tensor, seen: Tensor) -> Tensor:
        """Every patch (B, N, pixels) of images (B, C, H, W), row by row, from those `seen` (B, K)
        alone, which are numbered so."""

    def embed(self, images: Tensor) -> Tensor:
        """Features (B, F) of whole images."""


class Translator(Protocol):
    """A model that writes a text from another; logits may be log-probabilities."""

    def __call__(self, tokens: Tensor, lengths: Tensor, target_tokens: Tensor) -> Tensor:
        """Logits (B, T, outputs): at each place of the target, which begins with BOS, the next."""

    def begin(self, tokens: Tensor, lengths: Tensor) -> State:
        """The source is read, nothing is written."""

    def next(self, target_tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits (B, outputs) after the last of the new tokens (B, n), and the new memory."""

    def attention(self, state: State) -> Tensor | None:
        """Where in the source the last step looked: (B, S), None if it can't be told."""


class Transcriber(Protocol):
    """A model that hears tokens in frames; output 0 is the blank of CTC (Graves 2006)."""

    def __call__(self, values: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, T', outputs) of spectra (B, T, bands), or of samples (B, T) where it `hears`
        them, and how many of the T' are real."""


class Forecaster(Protocol):
    """A model that continues a sequence; it gives (B, outputs), in units of its `standardize`."""

    standardize: Standardize

    def __call__(self, values: Tensor, lengths: Tensor) -> Tensor: ...


class Stepper(Protocol):
    """A model that says something at each step of a sequence, in units of its `standardize`."""

    standardize: Standardize

    def steps(self, values: Tensor, lengths: Tensor) -> Tensor:
        """(B, L, D) of values (B, L, D), the first `lengths` (B,) of which are real."""

    def embed(self, values: Tensor, lengths: Tensor) -> Tensor:
        """What the whole sequence is: (B, F)."""


class Standardize(nn.Module):
    """Inputs less their mean, over their standard deviation, along dimension `dim`.

    Both are buffers: they travel with the weights, so a saved model takes raw inputs.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, features: int, *, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("std", torch.ones(features))

    def fit(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self.mean.copy_(torch.tensor(mean))
        # A constant feature has no scale: leave it at zero rather than divide by nothing.
        self.std.copy_(torch.tensor([s if s > 1e-6 else 1.0 for s in std]))

    def forward(self, inputs: Tensor) -> Tensor:
        shape = [1] * inputs.ndim
        shape[self.dim] = -1
        return (inputs - self.mean.view(shape)) / self.std.view(shape)


def dense(
    widths: Sequence[int], *, activation: str = "ReLU", dropout: float = 0.0
) -> nn.Sequential:
    """Linear layers of these widths, an activation and dropout after each but the last."""
    layers: list[nn.Module] = []
    for i, (width, wider) in enumerate(pairwise(widths)):
        layers.append(nn.Linear(width, wider))
        if i < len(widths) - 2:
            layers.append(ACTIVATIONS[activation]())
            if dropout:
                layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers)
