"""The datasets that come with the program, so that every task can be tried without a network."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import numpy as np
import pytest

from engine.catalog import BadInput, Catalog, chosen
from engine.data.batches import Data
from engine.data.items import Pairs, Sequences, Texts, Waves
from engine.data.splits import SPLITS
from engine.data.tokens import TokenPairs
from engine.datasets import Dataset, docstrings, number_words, telephone
from engine.datasets.mackey_glass import MackeyGlass, mackey_glass
from engine.home import Home

NAMES = (
    "DocstringTopics", "DocstringSummaries", "NumberWords", "TelephoneKeys", "TelephoneNumbers",
    "MackeyGlass",
)  # fmt: skip


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A library of a few modules in the place of Python's."""
    root = tmp_path / "library"
    (root / "email").mkdir(parents=True)
    (root / "test").mkdir()
    (root / "site-packages").mkdir()
    same = '"""The same words in every module of them all."""\n'
    for name in ("email/a.py", "os.py", "test/os.py", "site-packages/os.py", "unknown.py"):
        functions = "".join(
            f'def f{i}():\n    """Says of {name} what number {i} is good for."""\n'
            for i in range(60)
        )
        (root / name).write_text(same + functions, "utf-8")
    (root / "email" / "broken.py").write_text('"""Never closed', "utf-8")
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(root))
    return root


def opened(name: str, home: Home, **settings: object) -> tuple[Dataset, Data]:
    dataset: Dataset = chosen("data", name)(**settings)
    return dataset, dataset.open(home)


@pytest.mark.parametrize("name", NAMES)
def test_it_opens_the_same_each_time_and_every_item_has_its_split(
    catalog: Catalog, home: Home, name: str
) -> None:
    """A second home makes everything anew."""
    dataset, data = opened(name, home)
    provided = catalog.card("data", name).provides
    kinds = {"text": Texts, "pair": Pairs, "audio": Waves, "sequence": Sequences}
    assert any(isinstance(data.items, kinds[word]) for word in provided & kinds.keys())
    assert ("label" in provided) == bool(data.classes)
    if isinstance(data.items, Waves):
        assert ("transcript" in provided) == (data.items.transcripts is not None)
    rows = np.concatenate([data.splits[split] for split in SPLITS])
    assert sorted(rows.tolist()) == list(range(len(data.items)))
    for split in SPLITS:
        assert all(data.counts(split))  # no class is missing anywhere
    assert data.source
    assert data.licence
    again = dataset.open(home)
    assert again.fingerprint == data.fingerprint
    for split in SPLITS:
        np.testing.assert_array_equal(again.splits[split], data.splits[split])


def test_docstrings_are_read_once_each_and_only_from_the_topics(
    small: Path, tmp_path: Path
) -> None:
    home = Home.find(tmp_path / "other")
    found = docstrings.docstrings(home)
    assert {topic for topic, _ in found} == {"mail", "files"}
    assert len(found) == 121
    assert len({text for _, text in found}) == 121
    assert not any("test/" in text or "site-packages" in text for _, text in found)
    _, data = opened("DocstringTopics", home)
    assert data.classes == ("files", "mail")
    for path in small.rglob("*.py"):
        path.unlink()
    assert docstrings.docstrings(home) == found  # kept
    (kept,) = home.cache.iterdir()
    kept.unlink()
    with pytest.raises(BadInput, match="without the sources"):
        docstrings.docstrings(home)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Close the file.\n\n" + "x" * 90, ("x" * 90, "Close the file.")),
        ("Close the\nopen file. It is gone.\n\n" + "x" * 90,
         ("It is gone.\n\n" + "x" * 90, "Close the open file.")),
        ("Use e.g. a file, see os.path for more.\n\n" + "x" * 90,
         ("x" * 90, "Use e.g. a file, see os.path for more.")),
        ("Close the file.\n\nToo little.", None),
        ("no sentence at all\n\n" + "x" * 90, None),
    ],
)  # fmt: skip
def test_the_first_sentence_is_told_from_the_rest(
    text: str, expected: tuple[str, str] | None
) -> None:
    assert docstrings.halves(text) == expected


def test_no_summary_stands_in_the_text_that_it_sums_up(home: Home) -> None:
    _, data = opened("DocstringSummaries", home)
    items = data.items
    assert isinstance(items, Pairs)
    inside = [items.target.text(i) in items.source.text(i) for i in range(len(items))]
    assert np.mean(inside) < 0.01


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "zero"), (7, "seven"), (13, "thirteen"), (20, "twenty"), (42, "forty-two"),
        (100, "one hundred"), (305, "three hundred five"), (1000, "one thousand"),
        (1984, "one thousand nine hundred eighty-four"), (20_010, "twenty thousand ten"),
        (999_999, "nine hundred ninety-nine thousand nine hundred ninety-nine"),
    ],
)  # fmt: skip
def test_numbers_are_said_as_in_english(number: int, words: str) -> None:
    assert number_words.spelled(number) == words


def test_no_two_numbers_below_a_million_are_said_alike() -> None:
    numbers = [*range(3000), *range(3000, 1_000_000, 97)]
    assert len({number_words.spelled(n) for n in numbers}) == len(numbers)


def test_numbers_differ_and_short_ones_are_among_them(home: Home) -> None:
    _, data = opened("NumberWords", home)
    items = data.items
    assert isinstance(items, Pairs)
    digits = [items.source.text(i) for i in range(len(items))]
    assert len(set(digits)) == len(digits) == 10_000
    lengths = np.bincount([len(text) for text in digits])
    assert lengths[3] > 20
    assert lengths[4] > lengths[3]


def test_every_digit_is_a_token_with_what_the_numbers_suggest(catalog: Catalog, home: Home) -> None:
    suggested = catalog.card("data", "NumberWords").suggests
    settings = {name.removeprefix("data."): value for name, value in suggested.items()}
    dataset, data = opened("NumberWords", home, numbers=2000, **settings)
    ready = dataset.ready(data, home).items
    assert isinstance(ready, TokenPairs)
    for text in ("1984", "305716", "99", "0"):
        (ids,) = ready.tokenizer.encode([text])
        assert len(ids) == len(text)


def strongest(wave: np.ndarray, hertz: list[int]) -> int:
    """Which of some frequencies is the loudest."""
    time = np.arange(len(wave)) / telephone.RATE
    power = [
        max(abs(np.exp(-2j * np.pi * f * off * time) @ wave) for off in np.linspace(0.98, 1.02, 9))
        for f in hertz
    ]
    return hertz[int(np.argmax(power))]


def test_a_key_is_the_sum_of_its_row_and_its_column(home: Home) -> None:
    _, data = opened("TelephoneKeys", home)
    items = data.items
    assert isinstance(items, Waves)
    assert data.labels is not None
    right = []
    for row in range(240):
        wave, key = items.waves[row].astype(float), data.classes[data.labels[row]]
        rows = strongest(wave, [697, 770, 852, 941]) == telephone._ROWS[key]
        columns = strongest(wave, [1209, 1336, 1477]) == telephone._COLUMNS[key]
        right.append(rows and columns)
    assert np.mean(right) > 0.97
    pairs = {(telephone._ROWS[k], telephone._COLUMNS[k]) for k in telephone.KEYS}
    assert len(pairs) == len(telephone.KEYS) == 12


def test_a_dialled_number_takes_time_for_each_of_its_keys(home: Home) -> None:
    _, data = opened("TelephoneNumbers", home)
    items = data.items
    assert isinstance(items, Waves)
    assert items.transcripts is not None
    keys = [items.transcripts.text(i) for i in range(len(items))]
    assert set("".join(keys)) == set(telephone.KEYS)
    assert {len(dialled) for dialled in keys} == set(range(3, 9))
    least = np.array([len(dialled) for dialled in keys]) * 0.09 * telephone.RATE
    assert (items.waves.lengths >= least).all()


def test_the_series_obeys_its_equation() -> None:
    x = mackey_glass(400, 17)
    # Central differences of a smooth curve, a step apart: x' to about one part in a hundred.
    slope = (x[2:] - x[:-2]) / 2
    past = x[1 : len(x) - 1 - 17]
    told = 0.2 * past / (1 + past**10) - 0.1 * x[18:-1]
    assert np.abs(slope[17:] - told).max() < 0.05 * np.abs(slope).max()


def test_a_series_is_cut_along_time_and_noise_is_added_on_wish(home: Home) -> None:
    data = MackeyGlass(steps=1000).open(home)
    order = np.concatenate([data.splits[split] for split in SPLITS])
    assert order.tolist() == list(range(100))
    noisy = MackeyGlass(steps=1000, noise=0.1).open(home)
    assert isinstance(data.items, Sequences)
    assert isinstance(noisy.items, Sequences)
    added = noisy.items.values.flat - data.items.values.flat
    assert added.std() == pytest.approx(0.1, rel=0.1)
    assert noisy.fingerprint != data.fingerprint
