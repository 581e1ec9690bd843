"""torchvision's datasets: fetched by us, read by its classes, the same as any other then."""

from __future__ import annotations

import gzip
import hashlib
import io
import pickle
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torchvision import datasets

from engine.catalog import BadInput
from engine.data import fetch, named, origins
from engine.data.arrays import Stored
from engine.data.options import ImportOptions, Step
from engine.home import Home
from tests.engine.data.serving import serving

TRAIN, TEST = 40, 20
LABELS = np.arange(TRAIN + TEST) % 10


def install(origin: str, tmp_path: Path, mirror: Path | None = None, **options: Any) -> Stored:
    home = Home.find(tmp_path / "home")
    into = home.dataset(1)
    try:
        said = list(
            origins.get(origin, into, home=home, mirror=mirror, options=ImportOptions(**options))
        )
    finally:
        assert not list(home.tmp.iterdir())
        assert [path.name for path in home.datasets.iterdir()] in ([], ["1"])
    shares = [step.done for step in said if isinstance(step, Step)]
    assert shares == sorted(shares)
    return Stored(into)


def idx(array: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    """http://yann.lecun.com/exdb/mnist/: two zeros, the type, the axes, each side, the values."""
    sides = b"".join(side.to_bytes(4, "big") for side in array.shape)
    return gzip.compress(bytes([0, 0, 8, array.ndim]) + sides + array.tobytes())


def digits() -> tuple[dict[str, bytes], np.ndarray[Any, np.dtype[np.uint8]]]:
    """MNIST's four files, and the pictures in them."""
    pixels = np.random.default_rng(0).integers(0, 256, (TRAIN + TEST, 28, 28), np.uint8)
    labels = LABELS.astype(np.uint8)
    return {
        "train-images-idx3-ubyte.gz": idx(pixels[:TRAIN]),
        "train-labels-idx1-ubyte.gz": idx(labels[:TRAIN]),
        "t10k-images-idx3-ubyte.gz": idx(pixels[TRAIN:]),
        "t10k-labels-idx1-ubyte.gz": idx(labels[TRAIN:]),
    }, pixels


def pin(monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes], *mirrors: str) -> None:
    """Make torchvision's MNIST mean those files."""
    pins = [(name, hashlib.md5(content).hexdigest()) for name, content in files.items()]
    monkeypatch.setattr(datasets.MNIST, "resources", pins)
    monkeypatch.setattr(datasets.MNIST, "mirrors", list(mirrors))


def test_mnist_comes_from_the_network_in_its_own_splits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, pixels = digits()
    with serving() as site:
        for name, content in files.items():
            site.put(f"/mnist/{name}", content)
        pin(monkeypatch, files, site.address + "/gone/", site.address + "/mnist/")
        stored = install("torchvision:MNIST", tmp_path)
    assert stored.shape == (28, 28, 1)
    assert np.array_equal(stored.images[..., 0], pixels)
    assert [stored.classes[label] for label in stored.labels] == [str(n) for n in LABELS]
    assert stored.rows("test").tolist() == list(range(TRAIN, TRAIN + TEST))
    assert stored.names[TRAIN] == "test/0"
    assert stored.manifest.licence == "CC BY-SA 3.0"
    assert stored.manifest.origin == "https://yann.lecun.com/exdb/mnist/"
    kept = tmp_path / "home" / "cache" / "downloads" / "torchvision" / "MNIST"
    assert {path.name for path in kept.glob("*.gz")} == set(files)


def test_mnist_comes_from_a_mirror_at_another_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, _ = digits()
    pin(monkeypatch, files, "http://127.0.0.1:9/")
    folder = tmp_path / "mirror" / "torchvision" / "MNIST"
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    assert install("torchvision:MNIST", tmp_path, tmp_path / "mirror", size=32).shape == (32, 32, 1)


def batch(first: int, count: int) -> tuple[bytes, np.ndarray[Any, np.dtype[np.uint8]]]:
    rng = np.random.default_rng(first)
    pixels = rng.integers(0, 256, (count, 3, 32, 32), np.uint8)
    labels = LABELS[first : first + count].tolist()
    return pickle.dumps({"data": pixels.reshape(count, -1), "labels": labels}), pixels


def cifar(folder: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """CIFAR-10's archive in a mirror, of few pictures, which are returned."""
    names = [str(n) for n in range(10)]
    members, pictures, lists = {"batches.meta": pickle.dumps({"label_names": names})}, [], []
    for number, file in enumerate([*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]):
        content, pixels = batch(8 * number, 8 if number < 5 else TEST)
        members[file] = content
        pictures.append(pixels.transpose(0, 2, 3, 1))
        lists.append([file, hashlib.md5(content).hexdigest()])
    folder.mkdir(parents=True)
    archive = folder / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as out:
        for name, content in members.items():
            member = tarfile.TarInfo("cifar-10-batches-py/" + name)
            member.size = len(content)
            out.addfile(member, io.BytesIO(content))
    made = datasets.CIFAR10
    monkeypatch.setattr(made, "url", "http://127.0.0.1:9/" + archive.name)
    monkeypatch.setattr(made, "tgz_md5", hashlib.md5(archive.read_bytes()).hexdigest())
    monkeypatch.setattr(made, "train_list", lists[:5])
    monkeypatch.setattr(made, "test_list", lists[5:])
    meta = hashlib.md5(members["batches.meta"]).hexdigest()
    monkeypatch.setattr(made, "meta", {**made.meta, "md5": meta})
    return np.concatenate(pictures)


def test_cifar10_comes_from_a_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = cifar(tmp_path / "mirror" / "torchvision" / "CIFAR10", monkeypatch)
    stored = install("torchvision:CIFAR10", tmp_path, tmp_path / "mirror")
    assert np.array_equal(stored.images, pixels)
    assert len(stored.rows("test")) == TEST
    assert len(stored.rows("train")) + len(stored.rows("validation")) == TRAIN


def test_nothing_is_unpickled_that_has_another_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cifar(tmp_path / "mirror" / "torchvision" / "CIFAR10", monkeypatch)
    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", "0" * 32)
    monkeypatch.setattr(pickle, "load", lambda *args, **how: pytest.fail("it was unpickled"))
    with pytest.raises(BadInput, match=r"cifar-10-python\.tar\.gz isn't the file of the catalog"):
        install("torchvision:CIFAR10", tmp_path, tmp_path / "mirror")


def test_without_a_network_it_says_what_to_put_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "PAUSE", 0.01)
    pin(monkeypatch, {"train-images-idx3-ubyte.gz": b""}, "http://127.0.0.1:9/")
    with pytest.raises(BadInput) as caught:
        install("torchvision:MNIST", tmp_path)
    assert (
        "There is no connection to 127.0.0.1: connect this computer to the network, or put "
        "train-images-idx3-ubyte.gz into torchvision/MNIST/ in the folder named by ANNEAL_MIRROR"
    ) in str(caught.value)


def test_every_dataset_of_the_catalogue_is_one_of_torchvisions() -> None:
    for key, each in named.NAMED.items():
        made = getattr(datasets, key)
        archives = each.archives(made)
        assert archives
        for archive in archives:
            assert len(archive.md5) == 32
            assert all(url.startswith("http") for url in archive.urls)
            assert archive.urls[0].endswith(archive.name)
        assert each.licence
        assert each.homepage.startswith("http")
        assert "train" in each.splits or set(each.splits) == {None}


def test_a_name_that_torchvision_has_not_is_answered_with_those_it_has(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"torchvision has no “MNIST2” here .there is: MNIST, Fash"):
        install("torchvision:MNIST2", tmp_path)


def test_the_offers_need_no_torch() -> None:
    code = "import sys; from engine.data.origins import offers; print(len(offers()))\n"
    code += "assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
