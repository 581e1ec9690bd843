"""CLIP as the Hugging Face hub has it, but tiny and of random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer as Backend
from tokenizers import models, pre_tokenizers, processors

WORDS = ["a", "photo", "of", "cat", "dog", "red", "blue", "circle", "square", "."]
BEGIN, END = 2, 3


def save(folder: Path) -> Any:
    """Write such a model into the folder; it itself, in eval mode."""
    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }  # fmt: skip
    model = transformers.CLIPModel(transformers.CLIPConfig(
        projection_dim=12, vision_config={**sizes, "image_size": 32, "patch_size": 16},
        text_config={**sizes, "vocab_size": 4 + len(WORDS), "max_position_embeddings": 12,
                     "bos_token_id": BEGIN, "eos_token_id": END, "pad_token_id": 0},
    )).eval()  # fmt: skip
    for parameter in model.parameters():  # nothing is zero or one by chance
        parameter.data += 0.1 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    names = ["[PAD]", "[UNK]", "<begin>", "<end>", *WORDS]
    backend = Backend(models.WordLevel({w: i for i, w in enumerate(names)}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(
        single="<begin> $A <end>", special_tokens=[("<begin>", BEGIN), ("<end>", END)]
    )
    (folder / "tokenizer.json").write_text(backend.to_str(), encoding="utf-8")
    return model
