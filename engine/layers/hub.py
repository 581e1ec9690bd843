"""Networks of the transformers library, built from the descriptions that are published with them.

All code is the installed library's own: what a description says of other code is left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList

from engine.catalog import BadInput, Help
from engine.data.foreign import Foreign, adopted
from engine.data.tokens import PAD
from engine.models import learned
from engine.published import Repository
from engine.tasks import inside

if TYPE_CHECKING:
    from engine.home import Home

NAME = Help(
    "Its id on the Hugging Face hub (owner/name), or a folder with config.json and safetensors"
)
Revision = Annotated[str, Help("A branch, tag or commit of the hub: a commit never changes")]
ELSEWHERE = {
    "auto_map", "custom_pipelines", "_attn_implementation", "_attn_implementation_internal",
    "attn_implementation", "_experts_implementation", "experts_implementation", "dtype",
    "torch_dtype", "_name_or_path",
}  # fmt: skip
"""What a description says of code, which would be got from elsewhere, and of numbers' types."""
TROUBLE = (RuntimeError, ValueError, TypeError, AssertionError, AttributeError, KeyError,
           IndexError, ImportError, OSError)  # fmt: skip
"""What the library raises of descriptions that it can't make a network of."""


def library() -> Any:
    """transformers, which takes seconds to load, and says only what goes wrong."""
    import transformers

    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    return transformers


def refusal(name: str, problem: object) -> BadInput:
    return BadInput(f"{name} can't be used here: {problem}. Choose another model",
                    field="model.name")  # fmt: skip


def without_code(said: Any) -> Any:
    """A description, and those within it, without what is `ELSEWHERE`."""
    if isinstance(said, dict):
        return {key: without_code(one) for key, one in said.items() if key not in ELSEWHERE}
    return [without_code(one) for one in said] if isinstance(said, list) else said


def text_blueprint(repository: Repository, home: Home) -> str:
    """The description of a network for texts, and what it wants before and after a text."""
    tokenizer = tokenizer_of(repository, home)
    return json.dumps({
        "config": without_code(repository.json("config.json", home)),
        "before": tokenizer.before, "after": tokenizer.after,
    })  # fmt: skip


def tokenizer_of(repository: Repository, home: Home) -> Foreign:
    """Its tokenizer as ours. BadInput when it has none that can be read."""
    said = repository.optional("tokenizer_config.json", home)
    return adopted(repository.text("tokenizer.json", home), said)


def config_of(name: str, said: Mapping[str, Any], **changed: Any) -> Any:
    """The library's description of a network, some of it changed. BadInput where it knows none."""
    told = {**without_code(dict(said)), **changed}
    kind = told.pop("model_type", None)
    if "quantization_config" in told:
        raise refusal(name, "its weights are quantized")
    try:
        config = library().AutoConfig.for_model(str(kind), **told)
    except TROUBLE as problem:
        raise refusal(name, f"transformers knows no network of the kind {kind!r}") from problem
    config.use_cache = False
    # Rows of a table that is another's now: those places hold no padding here.
    for field in ("pad_token_id", "bos_token_id", "eos_token_id"):
        number = getattr(config, field, None)
        if isinstance(number, int) and number >= changed.get("vocab_size", number + 1):
            setattr(config, field, PAD)
    return config


def made(name: str, kind: str, config: Any) -> Any:
    """A network of that kind of the library's (AutoModel …) with random weights."""
    try:
        return getattr(library(), kind).from_config(
            config, trust_remote_code=False, dtype=torch.float32
        )
    except TROUBLE as problem:
        raise refusal(name, problem) from problem


def loaded(name: str, kind: str, config: Any, folder: Path) -> Any:
    """The same with the weights that lie in the folder. BadInput when any is missing."""
    try:
        network, told = getattr(library(), kind).from_pretrained(
            folder, config=config, trust_remote_code=False, use_safetensors=True,
            local_files_only=True, dtype=torch.float32, output_loading_info=True,
        )  # fmt: skip
    except TROUBLE as problem:
        raise refusal(name, problem) from problem
    missing = [one for one in told["missing_keys"] if "pooler" not in one.split(".")]
    if missing:
        raise refusal(name, f"its weights lack {min(missing)}")
    return network


def backbone(network: Any) -> Any:
    """What gives states: the encoder where there is a decoder too, without the layer that some
    have learned for a task of their own over the first state."""
    if network.config.is_encoder_decoder:
        network = network.get_encoder()
    pooler = getattr(network, "pooler", None)
    if pooler is not None and any(isinstance(part, nn.Linear) for part in pooler.modules()):
        network.pooler = None
    return network


def same_tensors(network: nn.Module, tensor: Tensor) -> list[str]:
    """All names of a tensor in a network's state."""
    there = tensor.data_ptr()
    return [name for name, one in network.state_dict().items() if one.data_ptr() == there]


def inner_levels(module: nn.Module, prefix: str) -> Iterator[str]:
    """The names of a network's levels: down to where its blocks are."""
    yield from (f"{prefix}.{name}" for name, _ in module.named_parameters(recurse=False))
    for name, part in module.named_children():
        place = f"{prefix}.{name}"
        if isinstance(part, nn.ModuleList | nn.Sequential):
            yield from (f"{place}.{i}" for i, one in part.named_children() if learned(one))
        elif any(isinstance(inner, nn.ModuleList) and not isinstance(inner, ParametrizationList)
                 for inner in part.modules()):  # fmt: skip
            yield from inner_levels(part, place)
        elif learned(part):
            yield place


def places(network: Any) -> int | None:
    """How many tokens a network has places for; None where there is no end."""
    count = getattr(network.config, "max_position_embeddings", None)
    if not isinstance(count, int) or count < 1:
        return None
    after_padding = any(
        hasattr(part, "create_position_ids_from_inputs_embeds") for part in network.modules()
    )
    return count - after_padding * ((network.config.pad_token_id or 0) + 1)


def framed(
    tokens: Tensor, lengths: Tensor, before: list[int], after: list[int], longest: int | None
) -> tuple[Tensor, Tensor]:
    """Tokens (B, L), the first `lengths` (B,) of which are real, with others before and after each
    text, at most `longest` in all: the first of a text are kept."""
    around = len(before) + len(after)
    if longest is not None and tokens.shape[1] > longest - around:
        tokens = tokens[:, : longest - around]
        lengths = lengths.clamp(max=tokens.shape[1])
    count, length = tokens.shape
    whole = tokens.new_full((count, length + around), PAD)
    whole[:, : len(before)] = tokens.new_tensor(before)
    whole[:, len(before) : len(before) + length] = tokens
    for i, token in enumerate(after):
        whole.scatter_(1, (lengths + len(before) + i)[:, None], token)
    lengths = lengths + around
    return whole * inside(lengths, whole.shape[1]), lengths
