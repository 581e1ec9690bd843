"""torchvision's datasets by name: we fetch the archives, its classes read them.

Only here does an import load torch, and only once the files lie on this computer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from engine.catalog import BadInput
from engine.data import pixels
from engine.data.archive import require_space, shown
from engine.data.arrays import Items, empty_array
from engine.data.crew import Pace, processors
from engine.data.fetch import Pinned, Ready, linked, provide
from engine.data.options import ImportOptions, Kind, Step, step
from engine.data.splits import Split
from engine.home import Home

BLOCK = 256
"""Images that are written at a time."""

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Archive:
    """A file that a dataset's class looks for."""

    where: str
    """Under the root that the class is given."""
    urls: tuple[str, ...]
    md5: str

    @property
    def name(self) -> str:
        return self.where.rpartition("/")[2]


@dataclass(frozen=True)
class Named:
    """One of torchvision's datasets."""

    key: str
    """The class's name."""
    label: str
    help: str
    licence: str
    homepage: str
    bytes: int
    """What there is to download, roughly."""
    shape: Shape
    """Of an image (H, W, C); where the images have different sizes, they are fitted to it."""
    archives: Callable[[Any], tuple[Archive, ...]]
    """What the class, which is given, downloads."""
    splits: Mapping[Split | None, Mapping[str, Any]]
    """The arguments that open each split; one of None where there are none."""
    classes: Callable[[Any], Sequence[str]] = lambda opened: opened.classes
    """The classes' names by their numbers, from the opened dataset."""
    turned: bool = False
    """Its images lie on their sides: rows are columns."""
    kind: Kind = "images"


def ready(
    key: str,
    *,
    home: Home,
    mirror: Path | None,
    kind: Kind | None = None,
    options: ImportOptions,
    scratch: Path,
) -> Generator[Step, None, Ready]:
    """Get the archives of a dataset. BadInput names those that there are."""
    if key not in NAMED:
        raise BadInput(f"torchvision has no {shown(key)} here (there is: {', '.join(NAMED)})")
    named = NAMED[key]
    yield step(0, "Loading torchvision")
    from torchvision import datasets

    archives = named.archives(getattr(datasets, key))
    files = [
        Pinned(f"torchvision/{key}/{archive.name}", archive.urls[0], md5=archive.md5,
               others=archive.urls[1:])
        for archive in archives
    ]  # fmt: skip
    paths = yield from provide(files, home=home, mirror=mirror)
    return Ready(
        sources=paths, kind="images", options=options, origin=named.homepage,
        licence=named.licence, read=partial(_read, named, archives),
    )  # fmt: skip


# --- the import -----------------------------------------------------------------------------


def _read(
    named: Named,
    archives: Sequence[Archive],
    sources: Sequence[Path],
    into: Path,
    scratch: Path,
    options: ImportOptions,
) -> Generator[Step, None, Items]:
    """Import the images that the class finds in its archives; see `imports.Reader`.

    Some classes unpickle what they find (CIFAR): every source has the hash that is pinned in
    torchvision, which `provide` has just checked.
    """
    root = scratch / "root"
    for archive, source in zip(archives, sources, strict=True):
        linked(source, root / archive.where)
    yield step(0.02, f"Unpacking {named.label}")
    opened = {split: _open(named, root, how) for split, how in named.splits.items()}
    height, width, channels = named.shape
    shape = (options.size or height, options.size or width, channels)
    count = sum(len(dataset) for dataset in opened.values())
    require_space(into, count * int(np.prod(shape)))
    file = into / "images.npy"
    begin = empty_array(file, np.uint8, (count, *shape))
    labels: list[str] = []
    splits: list[Split | None] = []
    names: list[str] = []
    pace = Pace()
    with file.open("r+b") as out, ThreadPoolExecutor(processors()) as threads:
        out.seek(begin)
        for split, dataset in opened.items():
            classes = named.classes(dataset)
            item = partial(_item, dataset, shape, named.turned)
            for start in range(0, len(dataset), BLOCK):
                rows = range(start, min(start + BLOCK, len(dataset)))
                for image, target in threads.map(item, rows):
                    out.write(image.data)
                    labels.append(str(classes[target]))
                splits += [split] * len(rows)
                names += [f"{split}/{row}" if split else str(row) for row in rows]
                if pace.due():
                    text = f"Reading {len(labels):,} of {count:,} images"
                    yield step(0.1 + 0.85 * len(labels) / count, text)
    content = [named.key, *(archive.md5 for archive in archives)]
    return Items(
        kind="images", fingerprint=hashlib.sha256("\n".join(content).encode()).hexdigest(),
        names=names, labels=labels, splits=None if set(splits) == {None} else splits, shape=shape,
    )  # fmt: skip


def _open(named: Named, root: Path, how: Mapping[str, Any]) -> Any:
    from torchvision import datasets

    try:
        # It finds its archives, checks their hashes again and only unpacks them.
        return getattr(datasets, named.key)(str(root), download=True, **how)
    except (RuntimeError, OSError) as problem:
        if getattr(problem, "errno", None):
            raise
        raise BadInput(
            f"torchvision can't read its {named.label} from the files that were downloaded "
            f"({problem}): update torchvision and try again"
        ) from None


def _item(
    dataset: Any, shape: Shape, turned: bool, row: int
) -> tuple[npt.NDArray[np.uint8], int]:  # fmt: skip
    image, target = dataset[row]
    if turned:
        image = image.transpose(Image.Transpose.TRANSPOSE)
    return np.ascontiguousarray(pixels.fit(image, *shape)), int(target)


# --- the catalogue --------------------------------------------------------------------------


def _listed(made: Any) -> tuple[Archive, ...]:
    """MNIST and what is made like it: four files, each at several mirrors."""
    return tuple(
        Archive(f"{made.__name__}/raw/{name}", tuple(mirror + name for mirror in made.mirrors), md5)
        for name, md5 in made.resources
    )


def _packed(made: Any) -> tuple[Archive, ...]:
    return (Archive(made.filename, (made.url,), made.tgz_md5),)


def _emnist(made: Any) -> tuple[Archive, ...]:
    return (Archive("EMNIST/raw/gzip.zip", (made.url,), made.md5),)


def _svhn(made: Any) -> tuple[Archive, ...]:
    wanted = (made.split_list[split] for split in ("train", "test"))
    return tuple(Archive(name, (url,), md5) for url, name, md5 in wanted)


def _fixed(folder: str, base: str, md5: Mapping[str, str]) -> Callable[[Any], tuple[Archive, ...]]:
    """Files whose addresses the class keeps to itself: {name: MD5}."""
    archives = tuple(Archive(folder + name, (base + name,), pin) for name, pin in md5.items())
    return lambda made: archives


def _digits(opened: Any) -> Sequence[str]:
    return "0123456789"


_BY_TRAIN: dict[Split | None, dict[str, Any]] = {"train": {"train": True}, "test": {"train": False}}
_BY_NAME: dict[Split | None, dict[str, Any]] = {
    "train": {"split": "train"}, "test": {"split": "test"},
}  # fmt: skip
_OF_THREE: dict[Split | None, dict[str, Any]] = {
    "train": {"split": "train"}, "validation": {"split": "val"}, "test": {"split": "test"},
}  # fmt: skip
_UNSPLIT: dict[Split | None, dict[str, Any]] = {None: {}}
_MB = 10**6
_VGG = "https://www.robots.ox.ac.uk/~vgg/data"

_ALL = (
    Named("MNIST", "MNIST", "70,000 handwritten digits of 28×28 grey pixels",
          "CC BY-SA 3.0", "https://yann.lecun.com/exdb/mnist/", 12 * _MB, (28, 28, 1),
          _listed, _BY_TRAIN, _digits),
    Named("FashionMNIST", "Fashion-MNIST", "70,000 pieces of clothing in 10 classes, 28×28 grey",
          "MIT", "https://github.com/zalandoresearch/fashion-mnist", 31 * _MB, (28, 28, 1),
          _listed, _BY_TRAIN),
    Named("KMNIST", "Kuzushiji-MNIST", "70,000 cursive Japanese characters in 10 classes, 28×28",
          "CC BY-SA 4.0", "https://github.com/rois-codh/kmnist", 21 * _MB, (28, 28, 1),
          _listed, _BY_TRAIN),
    Named("EMNIST", "EMNIST, letters", "145,600 handwritten letters in 26 classes, 28×28 grey",
          "Not stated", "https://www.nist.gov/itl/products-and-services/emnist-dataset",
          562 * _MB, (28, 28, 1), _emnist,
          {split: {"split": "letters", **how} for split, how in _BY_TRAIN.items()}, turned=True),
    Named("CIFAR10", "CIFAR-10", "60,000 colour pictures of 32×32 in 10 classes",
          "Not stated", "https://www.cs.toronto.edu/~kriz/cifar.html", 170 * _MB, (32, 32, 3),
          _packed, _BY_TRAIN),
    Named("CIFAR100", "CIFAR-100", "60,000 colour pictures of 32×32 in 100 classes",
          "Not stated", "https://www.cs.toronto.edu/~kriz/cifar.html", 169 * _MB, (32, 32, 3),
          _packed, _BY_TRAIN),
    Named("SVHN", "Street View House Numbers", "99,289 digits from photographs of houses, 32×32",
          "Non-commercial use", "http://ufldl.stanford.edu/housenumbers/", 246 * _MB, (32, 32, 3),
          _svhn, _BY_NAME, _digits),
    Named("STL10", "STL-10", "13,000 labelled colour pictures of 96×96 in 10 classes",
          "Not stated", "https://cs.stanford.edu/~acoates/stl10/", 2640 * _MB, (96, 96, 3),
          _packed, _BY_NAME),
    Named("Flowers102", "Flowers-102", "8,189 photographs of 102 kinds of flowers",
          "Not stated", f"{_VGG}/flowers/102/", 345 * _MB, (96, 96, 3),
          _fixed("flowers-102/", f"{_VGG}/flowers/102/",
                 {"102flowers.tgz": "52808999861908f626f3c1f4e79d11fa",
                    "imagelabels.mat": "e0620be6f572b9609742df49c70aed4d",
                    "setid.mat": "a5357ecc9cb78c4bef273ce3793fc85c"}), _OF_THREE),
    Named("OxfordIIITPet", "Oxford-IIIT Pets", "7,349 photographs of 37 breeds of cats and dogs",
          "CC BY-SA 4.0", f"{_VGG}/pets/", 811 * _MB, (96, 96, 3),
          _fixed("oxford-iiit-pet/", f"{_VGG}/pets/data/",
                 {"images.tar.gz": "5c4f3ee8e5d25df40f4fd59a7f44e54c",
                  "annotations.tar.gz": "95a8c909bbe2e81eed6a22bccdf3f68f"}),
          {"train": {"split": "trainval"}, "test": {"split": "test"}}),
    Named("Food101", "Food-101", "101,000 photographs of 101 dishes",
          "For research", "https://data.vision.ee.ethz.ch/cvl/datasets_extra/food-101/",
          4996 * _MB, (96, 96, 3),
          _fixed("", "http://data.vision.ee.ethz.ch/cvl/",
                 {"food-101.tar.gz": "85eeb15f3717b99a5da872d97d918f87"}), _BY_NAME),
    Named("Caltech101", "Caltech-101", "8,677 photographs of 101 kinds of things",
          "CC BY 4.0", "https://data.caltech.edu/records/mzrjq-6wc02", 137 * _MB, (96, 96, 3),
          _fixed("caltech101/", "https://data.caltech.edu/records/mzrjq-6wc02/files/",
                 {"caltech-101.zip": "3138e1922a9193bfa496528edbbc45d0"}), _UNSPLIT,
          lambda opened: opened.categories),
    Named("DTD", "Describable Textures", "5,640 pictures of 47 textures",
          "For research", f"{_VGG}/dtd/", 625 * _MB, (96, 96, 3),
          _fixed("dtd/", f"{_VGG}/dtd/download/",
                 {"dtd-r1.0.1.tar.gz": "fff73e5086ae6bdbea199a49dfb8a4c1"}), _OF_THREE),
    Named("EuroSAT", "EuroSAT", "27,000 satellite pictures of 64×64 in 10 kinds of land use",
          "MIT", "https://github.com/phelber/EuroSAT", 94 * _MB, (64, 64, 3),
          _fixed("eurosat/", "https://huggingface.co/datasets/torchgeo/eurosat/resolve/"
                 "c877bcd43f099cd0196738f714544e355477f3fd/",
                 {"EuroSAT.zip": "c8fa014336c82ac7804f0398fcb19387"}), _UNSPLIT),
)  # fmt: skip

NAMED: dict[str, Named] = {named.key: named for named in _ALL}
"""By the names of torchvision's classes, in the order in which they are offered."""
