"""The catalogue of samples: pinned, and each installs from a mirror alone."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import re
import wave
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import encoded, zipped

from engine.catalog import BadInput
from engine.data import fetch, origins, samples
from engine.data.arrays import Stored
from engine.data.fetch import Pinned
from engine.data.imports import Imported
from engine.data.options import ImportOptions, Step
from engine.home import Home

KEYS = list(samples.SAMPLES)


# --- the catalogue --------------------------------------------------------------------------


def test_the_samples_are_those_that_are_promised() -> None:
    assert KEYS == [
        "sentence-polarity", "multi30k-en-de", "multi30k-en-fr", "tiny-shakespeare",
        "omniglot-small1", "spoken-digits",
    ]  # fmt: skip


@pytest.mark.parametrize("key", KEYS)
def test_every_file_is_pinned(key: str) -> None:
    sample = samples.SAMPLES[key]
    assert sample.key == key
    assert sample.licence
    assert sample.help
    assert sample.homepage.startswith("https://")
    assert sample.bytes > 0
    for file in sample.files:
        assert re.match(r"https://(raw\.githubusercontent|codeload\.github)\.com/", file.url)
        assert re.search(r"/[0-9a-f]{40}(/|$)", file.url)  # a commit, not a branch
        assert re.fullmatch(r"[\w-]+/[\w.-]+", file.place)
    for file in sample.repacked or sample.files:
        assert re.fullmatch(r"[0-9a-f]{64}", file.sha256)
        assert file.size


def test_the_offers_are_what_a_page_lists() -> None:
    offers = origins.offers()
    assert [o["origin"] for o in offers][: len(KEYS)] == [f"sample:{key}" for key in KEYS]
    assert "torchvision:CIFAR10" in {o["origin"] for o in offers}
    for offer in offers:
        assert set(offer) == {
            "origin",
            "label",
            "help",
            "kind",
            "item",
            "licence",
            "homepage",
            "bytes",
        }
        assert all(offer.values())


def test_a_name_that_there_is_not_is_answered_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"There is no sample “polarity” .there is: sentence-pol"):
        install("sample:polarity", tmp_path, None)
    for odd in ("polarity", "sample:", "ftp:x"):
        with pytest.raises(BadInput, match=r"names no dataset: write sample:NAME"):
            install(odd, tmp_path, None)


# --- made-up files in the shapes of the real ones -------------------------------------------


def sentences() -> list[bytes]:
    bad = "".join(f"this film number {n} is dull .\n" for n in range(30))
    good = "".join(f"a joy to watch , number {n}\x85 truly .\n" for n in range(30))
    return [bad.encode(), good.encode()]


def captions() -> list[bytes]:
    files = []
    for count, first in ((40, 0), (10, 40), (10, 50)):
        numbers = range(first, first + count)
        files.append("".join(f"Two dogs near house {n}.\n" for n in numbers))
        files.append("".join(f"Zwei Hunde am Haus {n}.\n" for n in numbers))
    return [gzip.compress(text.encode()) for text in files]


def play() -> list[bytes]:
    return ["".join(f"SPEAKER {n}:\nWhat say you, my lord?\n\n" for n in range(400)).encode()]


def drawings(tmp_path: Path) -> list[bytes]:
    rng = np.random.default_rng(0)
    files = {"small/": b""} | {
        f"small/{alphabet}/character{character:02}/{number:04}_{drawer:02}.png": encoded(
            rng.integers(0, 2, (20, 20)).astype(bool)
        )
        for number, (alphabet, character) in enumerate([("Greek", 1), ("Greek", 2), ("Latin", 1)])
        for drawer in range(1, 11)
    }
    return [zipped(files, tmp_path / "drawn.zip").read_bytes()]


def tone(number: int) -> bytes:
    noise = np.random.default_rng(number).normal(0, 3000, 800).astype(np.int16)
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(noise.tobytes())
    return out.getvalue()


RECORDINGS = {
    f"{digit}_{speaker}_{index}.wav": tone(1000 * digit + 100 * place + index)
    for digit in range(2)
    for place, speaker in enumerate(("ann", "bob"))
    for index in range(12)
}


def repacked(tmp_path: Path) -> list[bytes]:
    """One folder a digit."""
    files = {f"{name[0]}/{name}": content for name, content in RECORDINGS.items()}
    return [zipped(files, tmp_path / "one.zip").read_bytes()]


def archived(tmp_path: Path) -> list[bytes]:
    """As GitHub packs a commit, with all that lies beside the recordings."""
    files = {f"fsdd-26eb/recordings/{name}": content for name, content in RECORDINGS.items()}
    files |= {"fsdd-26eb/README.md": b"# Digits", "fsdd-26eb/metadata.py": b"pass"}
    return [zipped(files, tmp_path / "other.zip").read_bytes()]


# --- installing -----------------------------------------------------------------------------


@pytest.fixture
def lay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """``lay(key, contents)``: a mirror that has a sample's files, with their hashes pinned."""

    def lay(key: str, contents: list[bytes], *, packed: bool = False) -> Path:
        sample = samples.SAMPLES[key]
        files: list[Pinned] = []
        for file, content in zip(
            sample.repacked if packed else sample.files, contents, strict=True
        ):
            path = tmp_path / "mirror" / file.place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            digest = hashlib.sha256(content).hexdigest()
            # Nobody listens there: whatever asks the network fails.
            files.append(replace(file, url="http://127.0.0.1:9/x", size=len(content),
                                 sha256=digest))  # fmt: skip
        changed = {"repacked" if packed else "files": tuple(files)}
        monkeypatch.setitem(samples.SAMPLES, key, replace(sample, **changed))
        return tmp_path / "mirror"

    return lay


def install(origin: str, tmp_path: Path, mirror: Path | None, **options: Any) -> Stored:
    home = Home.find(tmp_path / "home")
    into = home.dataset(len(list(home.datasets.iterdir())) + 1)
    try:
        *steps, last = origins.get(
            origin, into, home=home, mirror=mirror, options=ImportOptions(**options)
        )
    finally:
        assert not list(home.tmp.iterdir())
        assert all((folder / "manifest.json").exists() for folder in home.datasets.iterdir())
    assert isinstance(last, Imported)
    shares = [step.done for step in steps if isinstance(step, Step)]
    assert shares == sorted(shares)
    assert not (home.cache / "downloads").exists()  # used where it lies
    return Stored(into)


Lay = Callable[..., Path]


def test_sentence_polarity(tmp_path: Path, lay: Lay) -> None:
    stored = install("sample:sentence-polarity", tmp_path, lay("sentence-polarity", sentences()))
    assert stored.kind == "text"
    assert stored.classes == ("neg", "pos")
    assert len(stored) == 60
    assert stored.ragged("text").text(0) == "this film number 0 is dull ."
    assert np.bincount(stored.labels).tolist() == [30, 30]
    assert stored.manifest.licence == "For research"


def test_multi30k_keeps_its_splits(tmp_path: Path, lay: Lay) -> None:
    stored = install("sample:multi30k-en-de", tmp_path, lay("multi30k-en-de", captions()))
    assert stored.kind == "pairs"
    counts = [len(stored.rows(split)) for split in ("train", "validation", "test")]
    assert counts == [40, 10, 10]
    row = int(stored.rows("test")[0])
    assert stored.ragged("source").text(row) == "Two dogs near house 50."
    assert stored.ragged("target").text(row) == "Zwei Hunde am Haus 50."


def test_files_that_are_not_aligned_are_refused(tmp_path: Path, lay: Lay) -> None:
    files = captions()
    files[1] = gzip.compress(b"one line\n")
    with pytest.raises(BadInput, match=r"train\.en\.gz and train\.fr\.gz have 40 and 1 lines"):
        install("sample:multi30k-en-fr", tmp_path, lay("multi30k-en-fr", files))


def test_tiny_shakespeare_is_text_without_labels(tmp_path: Path, lay: Lay) -> None:
    stored = install("sample:tiny-shakespeare", tmp_path, lay("tiny-shakespeare", play()))
    assert stored.kind == "text"
    assert stored.labels is None
    whole = b"".join(stored.ragged("text")[row].tobytes() for row in range(len(stored)))
    assert whole.count(b"my lord?") == 400


def test_omniglot_has_a_class_for_each_character_of_each_alphabet(tmp_path: Path, lay: Lay) -> None:
    mirror = lay("omniglot-small1", drawings(tmp_path))
    stored = install("sample:omniglot-small1", tmp_path, mirror)
    assert stored.kind == "images"
    assert stored.classes == ("Greek/character01", "Greek/character02", "Latin/character01")
    assert stored.shape == (20, 20, 1)
    assert set(stored.group("alphabet")) == {"Greek", "Latin"}
    assert set(stored.group("drawer")) == {f"{n:02}" for n in range(1, 11)}
    apart = install("sample:omniglot-small1", tmp_path, mirror, group="drawer")
    drawers = np.array(apart.group("drawer"))
    assert not set(drawers[apart.rows("train")]) & set(drawers[apart.rows("test")])


def test_spoken_digits_are_the_same_from_either_archive(tmp_path: Path, lay: Lay) -> None:
    mirror = lay("spoken-digits", archived(tmp_path))
    one = install("sample:spoken-digits", tmp_path, mirror)
    mirror = lay("spoken-digits", repacked(tmp_path), packed=True)
    other = install("sample:spoken-digits", tmp_path, mirror)
    assert one.kind == "sound"
    assert one.classes == ("0", "1")
    assert one.manifest.rate == 8000
    assert set(one.group("speaker")) == {"ann", "bob"}
    assert one.version.fingerprint == other.version.fingerprint
    tested = [one.names[row] for row in one.rows("test")]
    assert len(tested) == 20
    assert all(re.search(r"_[0-4]\.wav$", name) for name in tested)


def test_a_recording_that_is_damaged_is_found(tmp_path: Path, lay: Lay) -> None:
    (content,) = archived(tmp_path)
    at = content.index(b"0_ann_7.wav")
    content = content[: at + 100] + b"\xff" * 40 + content[at + 140 :]
    with pytest.raises(BadInput, match=r"0_ann_7\.wav. is damaged in the archive"):
        install("sample:spoken-digits", tmp_path, lay("spoken-digits", [content]))


def test_a_file_of_the_mirror_that_is_another_is_refused(tmp_path: Path, lay: Lay) -> None:
    mirror = lay("tiny-shakespeare", play())
    (mirror / "tinyshakespeare" / "input.txt").write_text("To be or not to be")
    with pytest.raises(BadInput, match=r"input\.txt isn't the file of the catalogue \(SHA-256"):
        install("sample:tiny-shakespeare", tmp_path, mirror)


def test_without_mirror_and_network_it_says_what_to_put_where(
    tmp_path: Path, lay: Lay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "PAUSE", 0.01)
    lay("tiny-shakespeare", play())
    with pytest.raises(BadInput) as caught:
        install("sample:tiny-shakespeare", tmp_path, None)
    assert (
        "There is no connection to 127.0.0.1: connect this computer to the network, or put "
        "input.txt into tinyshakespeare/ in the folder named by ANNEAL_MIRROR and try again"
    ) in str(caught.value)


# --- the real ones --------------------------------------------------------------------------


@pytest.mark.skipif(not os.environ.get("ANNEAL_MIRROR"), reason="needs ANNEAL_MIRROR")
@pytest.mark.parametrize(
    ("key", "items", "classes"),
    [
        ("sentence-polarity", 10_662, 2), ("multi30k-en-de", 31_014, 0),
        ("multi30k-en-fr", 31_014, 0), ("omniglot-small1", 2_720, 136),
        ("spoken-digits", 3_000, 10),
    ],
)  # fmt: skip
def test_the_real_files_install(key: str, items: int, classes: int, tmp_path: Path) -> None:
    stored = install(f"sample:{key}", tmp_path, Path(os.environ["ANNEAL_MIRROR"]))
    assert len(stored) == items
    assert len(stored.classes) == classes
