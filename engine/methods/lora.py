"""Adapting a model by a few small matrices beside its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Generator
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from engine import device as devices
from engine.catalog import Advanced, BadInput, Help, Range
from engine.data.batches import Data, Feed
from engine.events import Event
from engine.loop import Trainee, Wish
from engine.methods import Bench
from engine.methods.fine_tuning import GENTLE
from engine.methods.training import Training
from engine.models import Model, is_of
from engine.tasks import Task

Where = Literal["attention", "linear layers", "linear layers and convolutions"]
ONE = "adapter"
"""Each layer has one only."""


class LoRA(
    Training, label="LoRA", adapts=True, rank=23,
    fits={"logits", "next token", "masked token", "target text", "frames", "forecast"},
    suggests={**GENTLE, "method.epochs": 5, "method.learning_rate": 1e-3,
              "method.weight_decay": 0.0},
):  # fmt: skip
    """Adds to frozen layers the product of two narrow matrices, and trains these and the head.

    Hu et al. 2022: W + (α/r)·BA, with A of random numbers and B of zeros, so that the model begins
    as it was. The optimizer's memory is that of the small matrices, and what was learned before
    can't be lost. Kept weights have the products added: they are those of the plain model.
    """

    def __init__(
        self,
        *,
        where: Annotated[
            Where, Help("Which layers get the small matrices: more of them adapt further")
        ] = "linear layers",
        r: Annotated[
            int, Range(1, 512), Help("How narrow the matrices are: r in the paper", label="Rank")
        ] = 8,
        alpha: Annotated[
            int, Range(1, 1024), Advanced(),
            Help("The product counts α/r: change this or the learning rate, not both", label="α"),
        ] = 16,
        adapter_dropout: Annotated[
            float, Range(0, 0.9, step=0.05), Advanced(),
            Help("The share of a layer's inputs that the small matrices don't see while training"),
        ] = 0.05,
        **how: Any,
    ) -> None:  # fmt: skip
        super().__init__(**how)
        self.where, self.r, self.alpha, self.dropout = where, r, alpha, adapter_dropout

    def trainee(self, model: Model, task: Task, feed: Feed, bench: Bench) -> Trainee:
        model.to(bench.device)
        self.adapt(model, called(model, task, feed))
        trainee = super().trainee(model, task, feed, bench)
        trainee.plain = merged
        return trainee

    def run(
        self, model: Model, task: Task, data: Data, bench: Bench
    ) -> Generator[Event, None, tuple[Trainee, Wish | None]]:
        trainee, wish = yield from super().run(model, task, data, bench)
        for model in {trainee.model, trainee.judged}:  # which then take the weights that were kept
            take_off(model)
        return trainee, wish

    def adapt(self, model: Model, among: Collection[str] | None = None) -> None:
        """Freeze the model but for its output, and put the matrices beside its layers, or those
        `among` them, which keep their names. BadInput when it has no such layer."""
        from peft import LoraConfig, inject_adapter_in_model  # seconds: only when it is chosen

        layers = [
            name for name in LAYERS[self.where](model)
            if not is_of(name, model.output) and (among is None or name in among)
        ]  # fmt: skip
        if not layers:
            raise BadInput(
                f"{model.card.label} has no {self.where} below its output: choose other layers or "
                "another method",
                field="method.where",
            )
        config = LoraConfig(
            r=self.r, lora_alpha=self.alpha, lora_dropout=self.dropout, target_modules=layers,
        )  # fmt: skip
        below = [
            level for level in model.levels()
            if not all(is_of(name, model.output) for name in level)
        ]  # fmt: skip
        inject_adapter_in_model(config, model, adapter_name=ONE)
        model.freeze(below)
        for name, parameter in model.named_parameters():
            if ".lora_" in name:
                parameter.requires_grad_()
        awake = [
            name for name, _ in model.named_modules() if name.endswith(f".lora_dropout.{ONE}")
        ]  # fmt: skip
        for name, part in model.named_modules():
            # cuDNN sends gradients back through recurrent layers only while they are in training;
            # held fixed, they drop nothing all the same.
            if isinstance(part, nn.RNNBase):
                part.dropout = 0.0
                awake.append(name)
        model.awake = tuple(awake)
        model.train(model.training)


def called(model: Model, task: Task, feed: Feed) -> set[str]:
    """The names of the layers that a step goes through. Some networks read a layer's weights
    without calling it: matrices beside it would never be seen."""
    found: set[str] = set()
    hooks = [
        part.register_forward_hook(lambda *_, name=name: found.add(name))
        for name, part in model.named_modules()
    ]  # fmt: skip
    training = model.training
    state = devices.random_state(feed.device)
    model.eval()
    with torch.no_grad():
        task.step(model, next(iter(feed.batches())))
    model.train(training)
    devices.set_random_state(feed.device, state)
    for hook in hooks:
        hook.remove()
    return found


def plain(model: nn.Module, kinds: tuple[type[nn.Module], ...]) -> list[str]:
    """The names of its layers of these kinds whose weights are a table of their own: neither made
    of others, as by spectral norm, nor shared with another layer."""
    owners = Counter(
        id(weight) for part in model.modules() for weight in part.parameters(recurse=False)
    )  # fmt: skip
    return [
        name for name, part in model.named_modules()
        if isinstance(part, kinds) and not is_parametrized(part) and owners[id(part.weight)] == 1
    ]  # fmt: skip


def linear(model: nn.Module) -> list[str]:
    """The names of its linear layers."""
    return plain(model, (nn.Linear,))


def in_attention(model: nn.Module) -> list[str]:
    """Of its linear layers, those that are part of an attention."""
    blocks = [name for name, part in model.named_modules() if "Attention" in type(part).__name__]
    return [name for name in linear(model) if any(is_of(name, block) for block in blocks)]


def convolving(model: nn.Module) -> list[str]:
    """Its linear layers and those convolutions that mix channels all with all."""
    found = linear(model)
    for name in plain(model, (nn.Conv1d, nn.Conv2d)):
        part = model.get_submodule(name)
        assert isinstance(part, nn.Conv1d | nn.Conv2d)
        # Beside others the library's matrices have other shapes than what they adapt.
        if part.groups == 1 and set(part.dilation) == {1}:
            found.append(name)
    return found


LAYERS: dict[Where, Callable[[nn.Module], list[str]]] = {
    "attention": in_attention, "linear layers": linear,
    "linear layers and convolutions": convolving,
}  # fmt: skip


def merged(model: nn.Module) -> dict[str, Tensor]:
    """The weights of the plain model: under its own names, each product added."""
    from peft.tuners.lora import LoraLayer

    adapted = {
        name: part for name, part in model.named_modules() if isinstance(part, LoraLayer)
    }  # fmt: skip
    weights = {}
    for name, tensor in model.state_dict().items():
        place, _, rest = name.rpartition(".base_layer.")
        if place not in adapted:
            if ".lora_" not in name:
                weights[name] = tensor
        elif rest == "weight":
            product = adapted[place].get_delta_weight(ONE)  # type: ignore[attr-defined]
            weights[f"{place}.{rest}"] = tensor + product.to(tensor.dtype)
        else:
            weights[f"{place}.{rest}"] = tensor
    return weights


def take_off(model: nn.Module) -> None:
    """Give the layers back their places, without the matrices."""
    from peft.tuners.lora import LoraLayer

    for name, part in [*model.named_modules()]:
        if isinstance(part, LoraLayer):
            above, _, own = name.rpartition(".")
            setattr(model.get_submodule(above), own, part.base_layer)
