"""Models as the Hugging Face hub has them, but tiny and of random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer as Backend

from tests.engine.data.test_foreign import like_bert, like_t5

SMALL: dict[str, Any] = {
    "num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 16, "intermediate_size": 24,
}  # fmt: skip
SHORT: dict[str, Any] = {
    "d_model": 16, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2,
    "decoder_attention_heads": 2, "encoder_ffn_dim": 24, "decoder_ffn_dim": 24,
}  # fmt: skip


def save(
    folder: Path, kind: str, config: Any, tokenizer: Backend | None = None, **said: str
) -> Any:
    """Write such a model into the folder; the model, in eval mode."""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.manual_seed(1)
    model = getattr(transformers, kind).from_config(config).eval()
    for parameter in model.parameters():  # nothing is zero or one by chance
        parameter.data += 0.1 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    if tokenizer is not None:
        (folder / "tokenizer.json").write_text(tokenizer.to_str(), encoding="utf-8")
        (folder / "tokenizer_config.json").write_text(json.dumps(said), encoding="utf-8")
    return model


def defaults(mirror: Path) -> None:
    """What the cards for models of the hub name where nobody has chosen one, as a mirror has it."""
    backend = like_bert()
    save(
        mirror / "models" / "distilbert" / "distilbert-base-uncased", "AutoModel",
        transformers.DistilBertConfig(
            vocab_size=backend.get_vocab_size(), dim=16, hidden_dim=24, n_layers=2, n_heads=2
        ), backend,
    )  # fmt: skip
    unigrams = like_t5()
    save(
        mirror / "models" / "google-t5" / "t5-small", "AutoModelForSeq2SeqLM",
        transformers.T5Config(
            vocab_size=unigrams.get_vocab_size(), d_model=16, d_kv=8, d_ff=24, num_layers=2,
            num_heads=2, decoder_start_token_id=0,
        ), unigrams,
    )  # fmt: skip
    save(
        mirror / "models" / "facebook" / "deit-tiny-patch16-224", "AutoModelForImageClassification",
        transformers.ViTConfig(image_size=16, patch_size=8, **SMALL),
    )  # fmt: skip

    listening(mirror / "models" / "facebook" / "wav2vec2-base-960h")


LETTERS = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAOINSHR'D0123456789*#"]
"""Of a network that writes down what it hears, in its order."""
HEARING: dict[str, Any] = {
    **SMALL, "conv_dim": (8,) * 7, "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2,
}  # fmt: skip


def listening(
    folder: Path, kind: str = "AutoModelForCTC", config: Any = None, **said: Any
) -> Any:  # fmt: skip
    """Write a network that reads samples; the model, in eval mode."""
    network = save(folder, kind, config or transformers.Wav2Vec2Config(
        vocab_size=len(LETTERS), **HEARING
    ))  # fmt: skip
    known = {"do_normalize": True, "sampling_rate": 16_000, **said}
    (folder / "preprocessor_config.json").write_text(json.dumps(known), encoding="utf-8")
    vocabulary = {letter: place for place, letter in enumerate(LETTERS)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    return network


def reload(folder: Path, kind: str) -> Any:
    """The model of the folder as transformers itself loads it."""
    return getattr(transformers, kind).from_pretrained(folder, use_safetensors=True).eval()
