"""Classes told apart by what they are called."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from engine.catalog import BadInput
from engine.data.batches import Data
from engine.data.items import Images
from engine.data.naming import meant, named
from engine.home import Home
from engine.methods.zero_shot import ZeroShot
from engine.models import Namer, directions

HOME = Home(Path("nowhere"))
MEANINGS = {"north": (0.0, 3.0), "east": (2.0, 0.0), "up": (0.0, 1.0), "right": (9.0, 0.0)}


class Compass(Namer):
    """Knows four words; its items are directions."""

    scale = 10.0
    works_with = "a compass"

    def __init__(self, outputs: int) -> None:
        super().__init__((2,), outputs)
        self.head = nn.Linear(2, outputs)

    def meanings(self, sentences: Sequence[str], data: Data, home: Home) -> Tensor:
        return torch.tensor([MEANINGS[sentence] for sentence in sentences])

    def embed(self, values: Tensor) -> Tensor:
        return directions(values)


def described(**sentences: Sequence[str]) -> Data:
    import numpy as np

    items = Images(np.zeros((0, 1, 1, 1), np.uint8))
    return Data(items, None, tuple(sentences), {}, "", described=sentences)


def test_a_logit_is_the_scaled_cosine_with_the_names_meaning() -> None:
    model = Compass(2)
    model.name([["north"], ["east"]], described(), HOME)
    logits = model(torch.tensor([[0.0, 7.0], [4.0, 0.0], [1.0, 1.0], [-1.0, 0.0]]))
    half = 10 * 2**-0.5
    torch.testing.assert_close(
        logits, torch.tensor([[10.0, 0.0], [0.0, 10.0], [half, half], [0.0, -10.0]])
    )


def test_several_sentences_count_alike_however_long_their_vectors_are() -> None:
    model = Compass(2)
    model.name([["north", "right"], ["up"]], described(), HOME)
    logits = model(torch.tensor([[1.0, 1.0]]))
    torch.testing.assert_close(logits, torch.tensor([[10.0, 10 * 2**-0.5]]))


def test_wording_outdoes_the_datas_sentences_and_those_the_template() -> None:
    data = described(cat=["a small animal that purrs"], dog=["it barks"], fire_truck=[])
    method = ZeroShot(template="a photo of a {}", wording="dog: a hound | a puppy\n")
    assert [list(said) for said in method.sentences(data.classes, data)] == [
        ["a small animal that purrs"], ["a hound", "a puppy"], ["a photo of a fire truck"],
    ]  # fmt: skip


def test_a_template_without_a_place_and_wording_of_no_class_are_refused() -> None:
    with pytest.raises(BadInput, match=r"needs “\{\}”") as problem:
        ZeroShot(template="a photo")
    assert problem.value.field == "method.template"
    method = ZeroShot(wording="cat: purrs\nmouse: squeaks")
    with pytest.raises(BadInput, match=r"Line 2 describes none of .* \(cat, dog\)") as wrong:
        method.sentences(["cat", "dog"], described())
    assert wrong.value.field == "method.wording"


def test_names_may_hold_colons_where_they_are_known() -> None:
    assert meant("a: b: c\na: d", ["a", "a: b"]) == {"a: b": ("c",), "a": ("d",)}
    with pytest.raises(BadInput, match="describes “a” once more"):
        meant("a: b\na: c", ["a"])


def test_classes_are_typed_one_a_line() -> None:
    read = named(" cat \n\ndog: it barks | it fetches \nemu:\n")
    assert read.classes == ("cat", "dog", "emu")
    assert read.described == {"dog": ("it barks", "it fetches")}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cat", "There are 1 classes, and there can be 2 to 1,000"),
        ("\n".join(map(str, range(1001))), "There are 1,001 classes"),
        ("cat\ndog\ncat: purrs", "Line 3 names “cat” once more"),
        ("cat\n: purrs", "Line 2 has no name"),
        (f"cat\n{'x' * 101}", "line 2 has more than 100 characters"),
        (f"cat\n\ndog: {'x' * 1001}", "Line 3 describes its class in more than 1,000 characters"),
    ],
)  # fmt: skip
def test_what_cannot_be_classes_says_which_line(text: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        named(text)
