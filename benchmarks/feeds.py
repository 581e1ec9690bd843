"""How many items a second reach the training loop: the feed against the usual loaders.

Both sides are timed in one process in alternating rounds, each of whole epochs that aren't the
first, and do the same to every item. `ANNEAL_BENCHMARK_SHARE=0.05` takes a part of the items, to
see that a benchmark runs: its figures mean nothing then.
"""

from __future__ import annotations

import csv
import os
import statistics
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, DataLoader, Dataset
from torchvision import transforms
from torchvision.datasets import ImageFolder

from benchmarks import Options, Result
from engine import device
from engine.data import origins
from engine.data.arrays import Stored
from engine.data.batches import Data, Feed, Images, Texts, Waves
from engine.data.imports import bring_in
from engine.home import Home

CPU = torch.device("cpu")
SHARE = float(os.environ.get("ANNEAL_BENCHMARK_SHARE", "1"))
ROUNDS = 5
LONG_ENOUGH = 0.5
"""Seconds of a round, at least: a short epoch is repeated."""
WORKERS = 2
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
"""Of CIFAR-10's channels."""

Epoch = Callable[[], Iterable[Any]]
"""An epoch's batches."""


def contest(ours: Epoch, others: Mapping[str, Epoch], count: int, reach: float) -> Result:
    """How many times as fast as the fastest of the others ours is: the median over the rounds."""
    sides = {"ours": ours, **others}
    speeds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(ROUNDS + 1):
        for name, epoch in sides.items():
            started, epochs, seconds = time.perf_counter(), 0, 0.0
            while seconds < LONG_ENOUGH:
                assert sum(1 for _ in epoch())
                epochs += 1
                seconds = time.perf_counter() - started
            if number:  # in the first, caches fill and processes start
                speeds[name].append(epochs * count / seconds)
    middle = {name: statistics.median(each) for name, each in speeds.items()}
    best = max(others, key=lambda name: middle[name])
    ratios = [one / other for one, other in zip(speeds["ours"], speeds[best], strict=True)]
    listed = "; ".join(f"{name} {speed:,.0f}" for name, speed in middle.items())
    return Result(
        value=statistics.median(ratios), unit="times as fast", reach=reach, larger_is_better=True,
        peak_mb=device.peak_memory(CPU) / 2**20,
        note=f"items a second: {listed}; against {best} {min(ratios):.1f}–{max(ratios):.1f} in "
        f"{ROUNDS} rounds of {count:,}",
    )  # fmt: skip


def all_of(stored: Stored, items: Any) -> Data:
    """Every item of a dataset as one split."""
    rows = np.arange(len(stored))
    return Data(
        items=items, labels=stored.labels, classes=stored.classes, fingerprint="",
        splits={"train": rows, "validation": rows[:1], "test": rows[:1]},
    )  # fmt: skip


class Ours:
    """The feed's epochs one after another."""

    def __init__(self, data: Data, batch_size: int, *, augment: bool = False) -> None:
        self.feed = Feed(
            data, "train", batch_size=batch_size, device=CPU, shuffle=True, augment=augment
        )
        self.epoch = -1

    def __call__(self) -> Iterator[Any]:
        self.epoch += 1
        return self.feed.batches(self.epoch)


@contextmanager
def ended(*loaders: DataLoader[Any]) -> Iterator[None]:
    """The loaders' processes end with the block, before the files that they read."""
    try:
        yield
    finally:
        for loader in loaders:
            loader._iterator = None  # what keeps persistent workers


def thinned(archive: Path, folder: Path) -> Path:
    """The archive, or where only a share is wanted, one of every so many of its files."""
    if SHARE >= 1:
        return archive
    made = folder / archive.name
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(made, "w") as out:
        files = [info for info in source.infolist() if not info.is_dir()]
        for info in files[:: round(1 / SHARE)]:
            out.writestr(info.filename, source.read(info))
    return made


def brought(source: Path, into: Path) -> Stored:
    for _ in bring_in(source, into):
        pass
    return Stored(into)


@contextmanager
def prepared(archive: Path) -> Iterator[tuple[Path, Stored]]:
    """A folder with the archive's files unpacked in ``files``, and the same brought in by us."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        archive = thinned(archive, folder)
        with zipfile.ZipFile(archive) as source:
            source.extractall(folder / "files")
        yield folder, brought(archive, folder / "1")


def feed_images(options: Options) -> Result:
    """60,000 JPEG files, cropped, mirrored and normalised: against ImageFolder + DataLoader."""
    archive = options.file("cifar10", "cifar10.zip")
    with prepared(archive) as (folder, stored):
        ours = Ours(all_of(stored, Images(stored.images, shift=4, flip=True)), 128, augment=True)
        normalise = transforms.Normalize(MEAN, STD, inplace=True)
        prepare = transforms.Compose([
            transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip(),
            transforms.ToTensor(), normalise,
        ])  # fmt: skip
        both: ConcatDataset[Any] = ConcatDataset(
            [ImageFolder(str(folder / "files" / part), prepare) for part in ("train", "test")]
        )
        assert len(both) == len(stored)
        loader = DataLoader(
            both, batch_size=128, shuffle=True, num_workers=WORKERS, persistent_workers=True
        )
        with ended(loader):
            return contest(
                lambda: (normalise(batch.inputs["images"]) for batch in ours()),
                {f"ImageFolder + DataLoader, {WORKERS} workers": lambda: loader},
                len(stored), reach=5,
            )  # fmt: skip


def padded(items: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Side by side with zeros behind the shorter ones, and their lengths."""
    lengths = torch.tensor([len(item) for item in items])
    return torch.nn.utils.rnn.pad_sequence(list(items), batch_first=True), lengths


def spell(items: Sequence[Mapping[str, Any]]) -> tuple[Tensor, Tensor, Tensor]:
    """Texts as the engine spells them: 1 + each byte of UTF-8, 0 behind."""
    raw = [np.frombuffer(str(item["text"]).encode(), np.uint8) for item in items]
    tokens = [torch.from_numpy(each.astype(np.int64) + 1) for each in raw]
    return *padded(tokens), torch.tensor([int(item["label"]) for item in items])


def feed_text(options: Options) -> Result:
    """10,662 sentences as padded bytes: against Hugging Face datasets' csv + DataLoader."""
    mirror = options.file("rt-polarity").parent
    with tempfile.TemporaryDirectory() as name:
        home = Home.find(Path(name, "home"))
        for _ in origins.get("sample:sentence-polarity", home.dataset(1), home=home, mirror=mirror):
            pass
        stored = Stored(home.dataset(1))
        text, labels = stored.ragged("text"), stored.labels
        assert labels is not None
        table = Path(name, "sentences.csv")
        with table.open("w", encoding="utf-8", newline="") as out:
            writer = csv.writer(out)
            writer.writerow(["text", "label"])
            writer.writerows(
                [text.text(row), int(label)] for row, label in enumerate(labels.tolist())
            )
        plain = hugging("csv", Path(name), data_files=str(table))
        how: dict[str, Any] = {"batch_size": 64, "shuffle": True, "collate_fn": spell}
        loaders = {
            "datasets csv": DataLoader(plain, **how),
            "datasets csv, formatted as torch": DataLoader(plain.with_format("torch"), **how),
            f"datasets csv, {WORKERS} workers":
                DataLoader(plain, num_workers=WORKERS, persistent_workers=True, **how),
        }  # fmt: skip
        with ended(*loaders.values()):
            return contest(
                Ours(all_of(stored, Texts(text)), 64), epochs(loaders), len(stored), reach=1
            )


def epochs(loaders: Mapping[str, DataLoader[Any]]) -> dict[str, Epoch]:
    return {name: lambda loader=loader: loader for name, loader in loaders.items()}  # type: ignore[misc]


def hugging(kind: str, folder: Path, **how: Any) -> Any:
    """Hugging Face datasets' reading of local files, with a cache of its own."""
    os.environ |= {"HF_DATASETS_OFFLINE": "1", "HF_HUB_OFFLINE": "1"}
    import datasets

    datasets.disable_progress_bars()
    return datasets.load_dataset(kind, split="train", cache_dir=str(folder / "cache"), **how)


def decoded(source: Any) -> Tensor:
    """A recording of one channel, −1…1."""
    wave, _ = soundfile.read(source, dtype="float32")
    return torch.from_numpy(wave)


def as_paths() -> Any:
    """An audiofolder's columns with paths in place of recordings, which need torchcodec there."""
    import datasets

    label = datasets.ClassLabel(names=list("0123456789"))
    return datasets.Features({"audio": datasets.Value("string"), "label": label})


def listen(items: Sequence[Mapping[str, Any]]) -> tuple[Tensor, Tensor, Tensor]:
    """Batches of an audiofolder, decoded here."""
    waves = [decoded(item["audio"]) for item in items]
    return *padded(waves), torch.tensor([int(item["label"]) for item in items])


def collate(items: Sequence[tuple[Tensor, int]]) -> tuple[Tensor, Tensor, Tensor]:
    waves, labels = zip(*items, strict=True)
    return *padded(waves), torch.tensor(labels)


class Recordings(Dataset[tuple[Tensor, int]]):
    """What one would write by hand: a folder a class, each file read by soundfile."""

    def __init__(self, root: Path) -> None:
        self.files = sorted(root.glob("*/*.wav"))
        names = sorted({file.parent.name for file in self.files})
        self.labels = [names.index(file.parent.name) for file in self.files]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        return decoded(self.files[row]), self.labels[row]


def feed_sound(options: Options) -> Result:
    """3,000 WAV files as padded waves: against audiofolder and soundfile + DataLoader."""
    archive = options.file("fsdd", "fsdd.zip")
    with prepared(archive) as (folder, stored):
        waves = Waves(stored.ragged("waves"), stored.manifest.rate or 0)
        raw = hugging("audiofolder", folder, data_dir=str(folder / "files"), features=as_paths())
        mine = Recordings(folder / "files")
        assert len(mine) == len(raw) == len(stored)
        how: dict[str, Any] = {"batch_size": 64, "shuffle": True}
        two: dict[str, Any] = {**how, "num_workers": WORKERS, "persistent_workers": True}
        loaders = {
            "audiofolder": DataLoader(raw, collate_fn=listen, **how),
            f"audiofolder, {WORKERS} workers": DataLoader(raw, collate_fn=listen, **two),
            "soundfile": DataLoader(mine, collate_fn=collate, **how),
            f"soundfile, {WORKERS} workers": DataLoader(mine, collate_fn=collate, **two),
        }
        with ended(*loaders.values()):
            return contest(Ours(all_of(stored, waves), 64), epochs(loaders), len(stored), reach=1)
