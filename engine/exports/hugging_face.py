"""A folder that the transformers library loads by itself."""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt
import safetensors.torch
import torch
from tokenizers import processors

from engine.catalog import BadInput
from engine.data.tokens import SPECIAL, Tokenizer
from engine.exports import Export
from engine.exports.leaving import Arrays, Leaving, written
from engine.layers.hub import library

NETWORK = "network."


class HuggingFace(
    Export, label="Hugging Face folder", fits={"any"}, needs={"transformers"}, rank=50,
    otherwise="Its architecture isn't one of the transformers library's: only networks of the hub "
              "and the sentence encoder are",
):  # fmt: skip
    """A folder for AutoModel and AutoTokenizer of the transformers library, and for the hub.

    What the run has learned over the network, its head, lies beside it.
    """

    stages = 3
    calibrated = False  # it gives logits, or states

    def make(self, leaving: Leaving, folder: Path) -> Iterator[str]:
        yield "Writing the network"
        transformers = library()
        model: Any = leaving.model
        labels = list(leaving.setup.task.classes(leaving.data))
        config = model.network.config
        config.id2label = dict(enumerate(labels)) or config.id2label
        config.label2id = {label: place for place, label in enumerate(labels)} or config.label2id
        model.network.save_pretrained(folder)
        yield "Writing what belongs to it"
        if leaving.outline.get("tokenizer"):
            around = model.around()
            tokenizer_of(leaving.outline["tokenizer"], *around).save_pretrained(folder)
        elif hasattr(model, "standardize"):
            written(folder / "preprocessor_config.json", preprocessing(model))
        rest = {name: tensor.contiguous() for name, tensor in model.state_dict().items()
                if not name.startswith(NETWORK)}  # fmt: skip
        if rest:
            safetensors.torch.save_file(rest, folder / "head.safetensors")
        (folder / "README.md").write_text(
            readme(leaving, model.auto, sorted(rest)), encoding="utf-8"
        )
        yield "Loading it again, and comparing it with the model"
        again = copy.deepcopy(model)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            again.network = getattr(transformers, model.auto).from_pretrained(
                folder, local_files_only=True, use_safetensors=True, dtype=torch.float32
            ).eval()  # fmt: skip
        theirs, ours = again.network.state_dict(), model.network.state_dict()
        if missing := [name for name, one in ours.items()
                       if name not in theirs or not torch.equal(one, theirs[name])]:  # fmt: skip
            raise BadInput(f"The library doesn't load it again as it was ({missing[0]}): take its "
                           "weights instead")  # fmt: skip
        leaving.facts |= {"auto": model.auto, "tensors": len(ours)}
        portable = leaving.setup.task.portable(again, leaving.data)

        def answer(batch: Arrays) -> Sequence[npt.NDArray[Any]]:
            given = [torch.from_numpy(array) for array in batch.values()]
            with torch.inference_mode():
                return [told.numpy() for told in portable.of(*given)]

        leaving.compare(answer)


def tokenizer_of(text: str, before: Sequence[int], after: Sequence[int]) -> Any:
    """A tokenizer of ours as theirs, which sets the same tokens around a text."""
    backend = Tokenizer.from_json(text).backend
    names = [*(SPECIAL[i] for i in before), "$A", *(SPECIAL[i] for i in after)]
    special = [(SPECIAL[i], i) for i in sorted({*before, *after})]
    backend.post_processor = processors.TemplateProcessing(
        single=" ".join(names), special_tokens=special
    )
    pad, unknown, begin, end, mask = SPECIAL
    return library().PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token=pad, unk_token=unknown, cls_token=begin,
        sep_token=end, mask_token=mask,
    )  # fmt: skip


def preprocessing(model: Any) -> dict[str, Any]:
    """How pictures are made ready, as their image processors say it."""
    height, width = model.size
    return {
        "image_processor_type": "ViTImageProcessor", "do_rescale": True, "rescale_factor": 1 / 255,
        "do_resize": True, "size": {"height": height, "width": width}, "resample": 2,
        "do_normalize": True, "image_mean": model.standardize.mean.tolist(),
        "image_std": model.standardize.std.tolist(),
    }  # fmt: skip


def readme(leaving: Leaving, auto: str, rest: Sequence[str]) -> str:
    beside = ("`head.safetensors` holds what the run has learned over it: "
              + ", ".join(f"`{name}`" for name in rest)) if rest else ""  # fmt: skip
    return inspect.cleandoc(f"""
        # Run {leaving.run}: {leaving.setup.model.card.label}

            from transformers import {auto}
            model = {auto}.from_pretrained("this folder")

        gives the network. {beside}
    """) + "\n"  # fmt: skip
