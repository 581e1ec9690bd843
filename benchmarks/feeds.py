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
from dataclasses import dataclass, replace
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
from engine.augmentation.pictures import PictureVariation
from engine.data import origins
from engine.data.arrays import Stored
from engine.data.batches import Data, Feed
from engine.data.imports import bring_in
from engine.data.items import Images, Texts, Waves
from engine.data.spectra import FLOOR, Listening, Mel, Spectrograms
from engine.data.tokens import Tokenizer, Tokenizing, Tokens
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
        moved = Images(stored.images, PictureVariation(shift=4, flip=True))
        ours = Ours(all_of(stored, moved), 128, augment=True)
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


class Encoding:
    """Makes batches of a table's rows, with the tokenizer that the engine uses."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer

    def texts(self, rows: Sequence[Mapping[str, Any]]) -> tuple[Tensor, Tensor, Tensor]:
        """Of texts, which become tokens here."""
        found = self.tokenizer.encode([str(row["text"]) for row in rows])
        return *padded([torch.tensor(ids) for ids in found]), labels_of(rows)

    def beforehand(self, rows: Mapping[str, list[Any]]) -> dict[str, list[list[int]]]:
        """A column of tokens."""
        return {"tokens": self.tokenizer.encode(rows["text"])}


def mapped(rows: Sequence[Mapping[str, Any]]) -> tuple[Tensor, Tensor, Tensor]:
    """Batches of tokens made beforehand."""
    return *padded([torch.as_tensor(row["tokens"]) for row in rows]), labels_of(rows)


def labels_of(rows: Sequence[Mapping[str, Any]]) -> Tensor:
    return torch.tensor([int(row["label"]) for row in rows])


def alone(worker: int) -> None:
    """A forked worker can't use the tokenizer's threads, which stayed in the first process."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"


def feed_text(options: Options) -> Result:
    """10,662 sentences as padded tokens: against Hugging Face datasets' csv + DataLoader.

    The others use the engine's own tokenizer, as they load or once beforehand.
    """
    mirror = options.file("rt-polarity").parent
    with tempfile.TemporaryDirectory() as name:
        home = Home.find(Path(name, "home"))
        for _ in origins.get("sample:sentence-polarity", home.dataset(1), home=home, mirror=mirror):
            pass
        stored = Stored(home.dataset(1))
        text, labels = stored.ragged("text"), stored.labels
        assert labels is not None
        data = Tokenizing("words", 20_000, lowercase=True).tokens(all_of(stored, Texts(text)), home)
        assert isinstance(data.items, Tokens)
        table = Path(name, "sentences.csv")
        with table.open("w", encoding="utf-8", newline="") as out:
            writer = csv.writer(out)
            writer.writerow(["text", "label"])
            writer.writerows(
                [text.text(row), int(label)] for row, label in enumerate(labels.tolist())
            )
        encoding = Encoding(data.items.tokenizer)
        plain = hugging("csv", Path(name), data_files=str(table))
        before = plain.map(
            encoding.beforehand, batched=True, remove_columns="text", new_fingerprint="tokens"
        )
        how: dict[str, Any] = {"batch_size": 64, "shuffle": True}
        two: dict[str, Any] = {**how, "num_workers": WORKERS, "persistent_workers": True,
                               "worker_init_fn": alone}  # fmt: skip
        loaders = {
            "datasets csv": DataLoader(plain, collate_fn=encoding.texts, **how),
            f"datasets csv, {WORKERS} workers":
                DataLoader(plain, collate_fn=encoding.texts, **two),
            "datasets csv mapped to tokens": DataLoader(before, collate_fn=mapped, **how),
            "datasets csv mapped to tokens, formatted as torch":
                DataLoader(before.with_format("torch"), collate_fn=mapped, **how),
            f"datasets csv mapped to tokens, {WORKERS} workers":
                DataLoader(before, collate_fn=mapped, **two),
        }  # fmt: skip
        with ended(*loaders.values()):
            return contest(Ours(data, 64), epochs(loaders), len(stored), reach=1)


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


@dataclass(frozen=True)
class LogMel:
    """The engine's spectrum of one recording as torch gives it."""

    mel: Mel

    def __call__(self, wave: Tensor) -> Tensor:
        found = torch.stft(
            wave, 2 * (len(self.mel.bank) - 1), self.mel.hop, self.mel.width, self.mel.hann,
            pad_mode="constant", return_complex=True,
        )  # fmt: skip
        power = found.real.square() + found.imag.square()
        return (power.T @ self.mel.bank).clamp(min=FLOOR).log()


@dataclass(frozen=True)
class Listen:
    """Batches of an audiofolder, decoded and heard here."""

    hear: LogMel

    def __call__(self, items: Sequence[Mapping[str, Any]]) -> tuple[Tensor, Tensor, Tensor]:
        heard = [self.hear(decoded(item["audio"])) for item in items]
        return *padded(heard), torch.tensor([int(item["label"]) for item in items])


def collate(items: Sequence[tuple[Tensor, int]]) -> tuple[Tensor, Tensor, Tensor]:
    heard, labels = zip(*items, strict=True)
    return *padded(heard), torch.tensor(labels)


class Recordings(Dataset[tuple[Tensor, int]]):
    """What one would write by hand: a folder a class, each file read by soundfile."""

    def __init__(self, root: Path, hear: Callable[[Tensor], Tensor]) -> None:
        self.hear = hear
        self.files = sorted(root.glob("*/*.wav"))
        names = sorted({file.parent.name for file in self.files})
        self.labels = [names.index(file.parent.name) for file in self.files]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        return self.hear(decoded(self.files[row])), self.labels[row]


def feed_sound(options: Options) -> Result:
    """3,000 WAV files as padded log-mel spectra: against audiofolder and soundfile + DataLoader.

    Ours were computed once, when the first run began; the others compute the same for each item
    in each epoch, which is what their users do.
    """
    archive = options.file("fsdd", "fsdd.zip")
    with prepared(archive) as (folder, stored):
        raw_waves = Waves(stored.ragged("waves"), stored.manifest.rate or 0)
        home = Home.find(folder / "home")
        started = time.perf_counter()
        data = Listening().spectra(all_of(stored, raw_waves), home)
        once = time.perf_counter() - started
        assert isinstance(data.items, Spectrograms)
        hear = LogMel(data.items.mel)
        raw = hugging("audiofolder", folder, data_dir=str(folder / "files"), features=as_paths())
        mine = Recordings(folder / "files", hear)
        assert len(mine) == len(raw) == len(stored)
        how: dict[str, Any] = {"batch_size": 64, "shuffle": True}
        two: dict[str, Any] = {**how, "num_workers": WORKERS, "persistent_workers": True}
        loaders = {
            "audiofolder": DataLoader(raw, collate_fn=Listen(hear), **how),
            f"audiofolder, {WORKERS} workers": DataLoader(raw, collate_fn=Listen(hear), **two),
            "soundfile": DataLoader(mine, collate_fn=collate, **how),
            f"soundfile, {WORKERS} workers": DataLoader(mine, collate_fn=collate, **two),
        }
        with ended(*loaders.values()):
            result = contest(Ours(data, 64), epochs(loaders), len(stored), reach=1)
        note = f"{result.note}; computing all spectra once took {once:.1f} s"
        return replace(result, note=note)
