"""Which numbers reach a model's layers, and which norms a convolution can take over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from engine.catalog import BadInput
from engine.compression.int8 import MADE_OF, TOP, can_be_rounded, put
from engine.data.batches import Batch
from engine.models import Model
from engine.tasks import Task

CLOSE = 1e-3
"""How far answers may be from what they were, in units of the largest, with norms folded."""


def roundable(model: Model, task: Task, batch: Batch) -> list[str]:
    """The names of the layers that can hold whole numbers: those that a step calls, which share
    their weights with no other. BadInput when there is none."""
    owners = Counter(
        id(weight) for part in model.modules() for weight in part.parameters(recurse=False)
    )  # fmt: skip
    called: set[str] = set()
    hooks = [
        part.register_forward_hook(lambda *_, name=name: called.add(name))
        for name, part in model.named_modules() if can_be_rounded(part)
    ]  # fmt: skip
    answered(model, task, batch)
    for hook in hooks:
        hook.remove()
    found = [
        name for name, part in model.named_modules()
        if name in called and owners[id(part.weight)] == 1
    ]  # fmt: skip
    if not found:
        raise BadInput(f"{model.card.label} has no linear layer or convolution over pictures that "
                       "could be kept in 8 bits: keep it in 16", field="method")  # fmt: skip
    return found


def fold(model: Model, task: Task, batch: Batch) -> int:
    """Let convolutions do what the batch norm right after them does; how many did. The model is
    left in eval mode, and as it was where its answers would change."""
    model.eval()
    pairs = following(model, task, batch)
    before = answered(model, task, batch)
    kept = {name: model.get_submodule(name) for pair in pairs for name in pair}
    for convolution, norm in pairs:
        put(model, convolution, fuse_conv_bn_eval(kept[convolution], kept[norm]))  # type: ignore[type-var, arg-type]
        put(model, norm, nn.Identity())
    after = answered(model, task, batch)
    if (after - before).abs().max() <= CLOSE * before.abs().max().clamp(min=1e-12):
        return len(pairs)
    for name, part in kept.items():
        put(model, name, part)
    return 0


def following(model: Model, task: Task, batch: Batch) -> list[tuple[str, str]]:
    """Convolutions with the norm that takes the very tensor that they give."""
    gave: dict[int, tuple[str, Tensor]] = {}
    pairs: list[tuple[str, str]] = []

    def note(name: str) -> Callable[..., None]:
        def hook(part: nn.Module, given: tuple[Tensor, ...], found: Tensor) -> None:
            if isinstance(part, nn.Conv2d):
                gave[id(found)] = name, found  # kept, so that its id is nobody else's
            elif given and id(given[0]) in gave:
                pairs.append((gave.pop(id(given[0]))[0], name))

        return hook

    hooks = [
        part.register_forward_hook(note(name)) for name, part in model.named_modules()
        if type(part) in (nn.Conv2d, nn.BatchNorm2d)
    ]  # fmt: skip
    answered(model, task, batch)
    for hook in hooks:
        hook.remove()
    # One that is called twice can't be folded into two.
    names = [name for pair in pairs for name in pair]
    return [pair for pair in pairs if all(names.count(name) == 1 for name in pair)]


@torch.no_grad()
def answered(model: Model, task: Task, batch: Batch) -> Tensor:
    """What the task makes of a batch, as one tensor."""
    found = task.step(model, batch)
    output = found.get("output", found["loss"])
    return (output if isinstance(output, Tensor) else found["loss"]).float()


class Ranges:
    """Watches the inputs of layers, and says how they are best rounded."""

    def __init__(self, model: Model, names: Sequence[str]) -> None:
        from torchao.quantization.pt2e import HistogramObserver  # seconds: only when it is needed

        self.model = model
        self.seen = {
            name: HistogramObserver(
                dtype=torch.uint8, qscheme=torch.per_tensor_affine, quant_min=0, quant_max=TOP
            )
            for name in names
        }  # fmt: skip
        self.hooks = [
            model.get_submodule(name).register_forward_pre_hook(self._look(observer))
            for name, observer in self.seen.items()
        ]

    @staticmethod
    def _look(observer: Callable[[Tensor], Tensor]) -> Callable[..., None]:
        def look(_: nn.Module, given: tuple[Tensor, ...]) -> None:
            observer(given[0].detach().float().cpu())

        return look

    def round(self) -> None:
        """Put layers of whole numbers in the place of those that were watched."""
        for hook in self.hooks:
            hook.remove()
        for name, observer in self.seen.items():
            layer = self.model.get_submodule(name)
            scale, zero = observer.calculate_qparams()
            put(self.model, name, MADE_OF[type(layer)].of(layer, scale, zero))
