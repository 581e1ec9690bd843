"""Networks of the Hugging Face hub: their answers are those that transformers itself gives."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from engine.beams import write
from engine.catalog import BadInput
from engine.data.foreign import ABSENT, adopted
from engine.data.tokens import BOS, EOS, PAD, Tokenizer
from engine.events import Event, Finished, Notice, Point
from engine.home import Home
from engine.models import Headed, Model
from engine.models.hub_text import HubText
from engine.models.hub_translator import HubTranslator
from engine.models.hub_vision import HubVision
from engine.predict import Predictor
from engine.recipe import PUBLISHED, compose
from engine.starts import Start
from tests.engine.data.folders import made
from tests.engine.data.test_foreign import bare, like_bert, like_gpt2, like_roberta, like_t5
from tests.engine.tiny_hub import SHORT, SMALL, reload, save

TEXTS = ["the quick brown fox", "a lazy dog, a quick fox jumps over the lazy dog!", "fox"]
ENCODERS: dict[str, tuple[Any, Callable[[int], Any]]] = {
    "BERT": (like_bert, lambda size: transformers.BertConfig(
        vocab_size=size, max_position_embeddings=40, **SMALL)),
    # Its places begin after that of its padding.
    "RoBERTa": (like_roberta, lambda size: transformers.RobertaConfig(
        vocab_size=size, max_position_embeddings=60, pad_token_id=1, **SMALL)),
    "MPNet": (like_roberta, lambda size: transformers.MPNetConfig(
        vocab_size=size, max_position_embeddings=60, pad_token_id=1, **SMALL)),
    "GPT-2": (like_gpt2, lambda size: transformers.GPT2Config(
        vocab_size=size, n_embd=16, n_layer=2, n_head=2, n_positions=40)),
    # Only its encoder is wanted; its table has more rows than there are tokens.
    "T5": (like_t5, lambda size: transformers.T5Config(
        vocab_size=size + 8, d_model=16, d_kv=8, d_ff=24, num_layers=2, num_heads=2)),
}  # fmt: skip


def tokens_of(tokenizer: Tokenizer) -> tuple[Tensor, Tensor]:
    """The texts as a batch, padded."""
    ids = tokenizer.encode(TEXTS)
    lengths = torch.tensor([len(one) for one in ids])
    rows = [[*one, *[PAD] * (int(lengths.max()) - len(one))] for one in ids]
    return torch.tensor(rows), lengths


def started(card: type[Model], folder: Path, home: Home, outputs: int | None, **how: Any) -> Any:
    """A model of the card with what is published in the folder; with no `outputs`, as many as
    there are tokens."""
    settings = {"name": str(folder), "revision": "main", **how}
    theirs = card.published(home, **settings)
    assert theirs.tokenizer is not None
    shape = (len(theirs.tokenizer),)
    model = card(shape, outputs or shape[0], card.blueprint(home, **settings), **settings).eval()  # type: ignore[call-arg]
    taken = Start(theirs.name, theirs.weights, theirs.classes).into(
        model, ["a", "b"] if outputs else []
    )
    assert all(name.startswith("head.") for name, _ in taken.new)
    assert taken.left == ()
    return model, theirs.tokenizer


@pytest.mark.parametrize("kind", ENCODERS)
@pytest.mark.parametrize("read", ["all states", "first state"])
def test_texts_have_the_states_that_transformers_gives_them(
    kind: str, read: str, home: Home, tmp_path: Path
) -> None:
    cut, config = ENCODERS[kind]
    backend = cut()
    save(tmp_path, "AutoModel", config(backend.get_vocab_size()), backend)
    model, tokenizer = started(HubText, tmp_path, home, 2, read=read)
    original = reload(tmp_path, "AutoModel")
    if kind == "T5":
        original = original.get_encoder()
    bare(backend)
    with torch.no_grad():
        found = model.embed(*tokens_of(tokenizer))
        for text, features in zip(TEXTS, found, strict=True):
            ids = torch.tensor([backend.encode(text).ids])
            states = original(input_ids=ids).last_hidden_state[0]
            wanted = states.mean(0) if read == "all states" else states[0]
            assert torch.allclose(features, wanted, atol=1e-5)


@pytest.mark.parametrize(("kind", "longest"), [("BERT", 38), ("RoBERTa", 56), ("GPT-2", 40)])
def test_of_a_long_text_as_much_is_read_as_there_are_places_for(
    kind: str, longest: int, home: Home, tmp_path: Path
) -> None:
    cut, config = ENCODERS[kind]
    backend = cut()
    save(tmp_path, "AutoModel", config(backend.get_vocab_size()), backend)
    model, _ = started(HubText, tmp_path, home, 2)
    tokens = torch.randint(5, 50, (2, 100))
    with torch.no_grad():
        whole = model.embed(tokens, torch.tensor([100, 7]))
        first = model.embed(tokens[:, :longest], torch.tensor([longest, 7]))
        assert torch.allclose(whole, first, atol=1e-6)
        less = model.embed(tokens[:1, : longest - 1], torch.tensor([longest - 1]))
        assert not torch.allclose(whole[0], less[0])


def test_its_levels_are_the_blocks(home: Home, tmp_path: Path) -> None:
    backend = like_bert()
    save(tmp_path, "AutoModel", ENCODERS["BERT"][1](backend.get_vocab_size()), backend)
    model, _ = started(HubText, tmp_path, home, 2)
    assert isinstance(model, Headed)
    names = [name for level in model.levels() for name in level]
    assert names == ["network.embeddings", "network.encoder.layer.0", "network.encoder.layer.1",
                     "head"]  # fmt: skip
    model.freeze(model.levels()[:-1])
    assert {n for n, p in model.named_parameters() if p.requires_grad} == {
        "head.weight", "head.bias"
    }  # fmt: skip


def films(home: Home) -> None:
    """A home with a dataset of texts and their labels."""
    texts = [f"{word} fox number {n}" for n in range(20) for word in ("quick", "lazy")]
    made(home.dataset(1), "text", texts, labels=["good", "bad"] * 20, splits="tttttttvve" * 4)


def test_a_run_reads_texts_as_the_weights_do_and_goes_on_without_them(
    home: Home, tmp_path: Path, catalog: Any, events: Callable[..., list[Event]]
) -> None:
    folder = tmp_path / "mine"
    backend = like_bert()
    save(folder, "AutoModel", ENCODERS["BERT"][1](backend.get_vocab_size()), backend)
    recipe = compose(
        catalog, names={"data": "ImportedText", "model": "HubText", "task": "Classification"},
        settings={"data.id": 1, "model.name": str(folder), "method.max_steps": 2,
                  "method.batch_size": 4, "method.threads": 1, "method.precision": "fp32"},
        start=PUBLISHED,
    )  # fmt: skip
    films(home)
    first = events(recipe, number=1, wishes={1: "pause"})
    assert isinstance(first[-1], Finished)
    assert first[-1].state == "paused", first[-1].reason
    shutil.rmtree(folder)
    said = [*first, *events(recipe, number=1, resume=True)]
    assert isinstance(said[-1], Finished)
    assert said[-1].state == "finished", said[-1].reason
    assert sum(isinstance(event, Point) and event.series == "train/loss" for event in said) == 2
    assert any("tokenizer" in event.text for event in said if isinstance(event, Notice))
    (answer,) = Predictor(home, 1).answer([{"text": "Quick fox"}])["results"]
    # Small letters are the only ones that this tokenizer knows.
    assert (
        answer["tokens"] == adopted(backend.to_str()).tokenizer.backend.encode("quick fox").tokens
    )


def test_without_its_weights_it_learns_from_scratch_with_the_datas_own_tokens(
    home: Home, tmp_path: Path
) -> None:
    backend = like_roberta()
    save(tmp_path, "AutoModel", ENCODERS["RoBERTa"][1](backend.get_vocab_size()), backend)
    told = HubText.blueprint(home, name=str(tmp_path), revision="main")
    model = HubText((9,), 3, told, name=str(tmp_path))
    tokens = torch.randint(1, 9, (2, 5))
    loss = model(tokens=tokens, lengths=torch.tensor([5, 3])).sum()
    loss.backward()
    assert model.network.get_input_embeddings().weight.shape[0] == 9
    # Also the row that is padding's in the original learns: here it is a token like any other.
    seen = torch.cat([tokens[0], tokens[1, :3]]).unique()
    grown = model.network.get_input_embeddings().weight.grad.abs().sum(1) > 0
    assert grown[seen].all()


WRITERS: dict[str, tuple[Any, Callable[[int], Any], list[int]]] = {
    # By its tokenizer, its configuration, and with what a target begins there.
    "T5": (like_t5, lambda size: transformers.T5Config(
        vocab_size=size + 8, d_model=16, d_kv=8, d_ff=24, num_layers=2, num_heads=2,
        decoder_start_token_id=0), [0]),
    "T5 with an output of its own": (like_t5, lambda size: transformers.T5Config(
        vocab_size=size, d_model=16, d_kv=8, d_ff=24, num_layers=2, num_heads=2,
        decoder_start_token_id=0, tie_word_embeddings=False), [0]),
    "Marian": (like_t5, lambda size: transformers.MarianConfig(
        vocab_size=size, max_position_embeddings=60, pad_token_id=0, eos_token_id=1,
        decoder_start_token_id=0, **SHORT), [0]),
    "BART": (like_roberta, lambda size: transformers.BartConfig(
        vocab_size=size, max_position_embeddings=60, pad_token_id=1, bos_token_id=0,
        eos_token_id=2, decoder_start_token_id=2, **SHORT), [2, 0]),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRITERS)
def test_texts_are_written_as_transformers_writes_them(
    kind: str, home: Home, tmp_path: Path
) -> None:
    cut, config, first = WRITERS[kind]
    backend = cut()
    network = save(tmp_path, "AutoModelForSeq2SeqLM", config(backend.get_vocab_size()), backend)
    if hasattr(network, "final_logits_bias"):  # which is nothing at first
        network.final_logits_bias.normal_()
        network.save_pretrained(tmp_path)
    model, tokenizer = started(HubTranslator, tmp_path, home, None)
    original = reload(tmp_path, "AutoModelForSeq2SeqLM")
    bare(backend)
    found = adopted(backend.to_str())
    tokens, lengths = tokens_of(tokenizer)
    tokens = torch.cat([tokens, torch.zeros(3, 1, dtype=torch.long)], 1)
    tokens[range(3), lengths] = EOS  # as every source ends
    target = torch.tensor([[BOS, *tokenizer.encode(["lazy dog"])[0]]] * 3)
    real = (found.rows != ABSENT).nonzero().flatten()
    with torch.no_grad():
        logits = model(tokens, lengths + 1, target)
        assert logits.shape == (*target.shape, len(tokenizer))
        for text, given in zip(TEXTS, logits, strict=True):
            wanted = original(
                input_ids=torch.tensor([backend.encode(text).ids]),
                decoder_input_ids=torch.tensor([[*first, *found.rows[target[0, 1:]]]]),
            ).logits[0, len(first) - 1 :]  # fmt: skip
            assert torch.allclose(given[:, real], wanted[:, found.rows[real]], atol=1e-4)
        # Token by token, with rows that fork and die on the way.
        state = model.begin(tokens, lengths + 1)
        step, state = model.next(target[:, :1], state)
        assert torch.allclose(step, logits[:, 0], atol=1e-5)
        state = state.select(torch.tensor([2, 0, 0]))
        for place in range(1, target.shape[1]):
            step, state = model.next(target[:, place : place + 1], state)
            assert torch.allclose(step, logits[[2, 0, 0], place], atol=1e-5)


@pytest.mark.parametrize("beam", [1, 3])
@pytest.mark.parametrize("kind", WRITERS)
def test_what_it_remembers_changes_no_token(
    kind: str, beam: int, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut, config, _ = WRITERS[kind]
    backend = cut()
    save(tmp_path, "AutoModelForSeq2SeqLM", config(backend.get_vocab_size()), backend)
    model, tokenizer = started(HubTranslator, tmp_path, home, None)
    assert model.remembers
    tokens, lengths = tokens_of(tokenizer)
    asked: list[int] = []
    model.network.get_decoder().register_forward_pre_hook(
        lambda _, args, named: asked.append(named["inputs_embeds"].shape[1]), with_kwargs=True
    )
    found = write(model, tokens, lengths, beam=beam, longest=9)
    assert max(asked[1:]) == 1  # only what is new is read
    monkeypatch.setattr(model, "remembers", False)
    again = write(model, tokens, lengths, beam=beam, longest=9)
    assert max(asked) > 5
    assert [[one.tokens for one in best] for best in found] == [
        [one.tokens for one in best] for best in again
    ]  # fmt: skip


MEAN, STD = [0.1, 0.2, 0.3], [0.5, 0.25, 0.2]
SEEING: dict[str, tuple[Callable[..., Any], bool]] = {
    # By its configuration, and whether its classes are told by one layer over the features.
    "ViT": (lambda **how: transformers.ViTConfig(image_size=32, patch_size=8, **SMALL, **how),
            True),
    "ConvNeXt": (lambda **how: transformers.ConvNextConfig(
        hidden_sizes=[8, 8, 8, 16], depths=[1, 1, 1, 1], image_size=32, **how), True),
    "ResNet": (lambda **how: transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8, 8, 16], depths=[1, 1, 1, 1], **how), True),
    # It reads the first token and the mean of the others.
    "DINOv2": (lambda **how: transformers.Dinov2Config(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14,
        **how), False),
}  # fmt: skip


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("kind", SEEING)
def test_pictures_are_told_apart_as_transformers_does(
    kind: str, depth: int, home: Home, tmp_path: Path
) -> None:
    config, one_layer = SEEING[kind]
    names = {0: "oak", 1: "elm", 2: "ash"}
    save(tmp_path, "AutoModelForImageClassification", config(id2label=names))
    (tmp_path / "preprocessor_config.json").write_text(
        json.dumps({"image_mean": MEAN, "image_std": STD}), encoding="utf-8"
    )
    original = reload(tmp_path, "AutoModelForImageClassification")
    settings = {"name": str(tmp_path), "revision": "main", "side": None}
    theirs = HubVision.published(home, **settings)
    assert theirs.classes == (tuple(names.values()) if one_layer else ())
    told = HubVision.blueprint(home, **settings)
    model = HubVision((20, 24, depth), 3, told, **settings).eval()
    taken = Start(theirs.name, theirs.weights, theirs.classes).into(model, ["oak", "elm", "ash"])
    assert {name for name, _ in taken.new} == set() if one_layer else {"head.weight", "head.bias"}
    pictures = torch.rand(2, depth, *model.size)
    seen = (pictures.expand(-1, 3, -1, -1) - torch.tensor(MEAN).view(-1, 1, 1)) / torch.tensor(
        STD
    ).view(-1, 1, 1)
    with torch.no_grad():
        if one_layer:
            wanted = original(pixel_values=seen).logits
            assert torch.allclose(model(pictures), wanted, atol=1e-4)
        else:
            states = original.base_model(pixel_values=seen).last_hidden_state
            assert torch.allclose(model.embed(pictures), states[:, 0], atol=1e-4)


def test_pictures_of_another_side_keep_all_but_their_places(home: Home, tmp_path: Path) -> None:
    save(tmp_path, "AutoModel", SEEING["ViT"][0]())
    settings = {"name": str(tmp_path), "revision": "main", "side": 16}
    theirs = HubVision.published(home, **settings)
    model = HubVision((28, 28, 1), 2, HubVision.blueprint(home, **settings), **settings)
    assert model(torch.rand(2, 1, 28, 28)).shape == (2, 2)
    taken = Start(theirs.name, theirs.weights).into(model, ["a", "b"])
    assert {name for name, _ in taken.new} == {
        "network.embeddings.position_embeddings", "head.weight", "head.bias"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "mend"),
    [
        ({"model_type": "no such"}, "knows no network of the kind 'no such'"),
        ({"quantization_config": {"bits": 4}}, "its weights are quantized"),
        ({"hidden_size": 15}, "can't be used here"),
    ],
)
def test_descriptions_that_nothing_can_be_made_of_are_told(
    changed: dict[str, Any], mend: str, home: Home, tmp_path: Path
) -> None:
    backend = like_bert()
    save(tmp_path, "AutoModel", ENCODERS["BERT"][1](backend.get_vocab_size()), backend)
    said = json.loads((tmp_path / "config.json").read_text("utf-8"))
    (tmp_path / "config.json").write_text(json.dumps(said | changed), encoding="utf-8")
    told = HubText.blueprint(home, name=str(tmp_path), revision="main")
    with pytest.raises(BadInput, match=mend) as caught:
        HubText((70,), 2, told, name=str(tmp_path))
    assert caught.value.field == "model.name"


def test_code_that_comes_with_a_model_is_never_run(home: Home, tmp_path: Path) -> None:
    backend = like_bert()
    save(tmp_path, "AutoModel", ENCODERS["BERT"][1](backend.get_vocab_size()), backend)
    said = json.loads((tmp_path / "config.json").read_text("utf-8"))
    said |= {
        "auto_map": {"AutoModel": "evil.Evil", "AutoConfig": "evil.Config"},
        "attn_implementation": "someone/kernels", "_attn_implementation": "someone/kernels",
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(said), encoding="utf-8")
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')", encoding="utf-8")
    model, _ = started(HubText, tmp_path, home, 2)
    assert model.network.config._attn_implementation in ("sdpa", "eager")
    assert not (tmp_path / "ran").exists()


def test_weights_that_are_not_all_there_are_refused(home: Home, tmp_path: Path) -> None:
    backend = like_bert()
    save(tmp_path, "AutoModel", ENCODERS["BERT"][1](backend.get_vocab_size()), backend)
    said = json.loads((tmp_path / "config.json").read_text("utf-8"))
    (tmp_path / "config.json").write_text(
        json.dumps(said | {"num_hidden_layers": 3}), encoding="utf-8"
    )
    with pytest.raises(BadInput, match=r"its weights lack encoder\.layer\.2"):
        HubText.published(home, name=str(tmp_path), revision="main")
