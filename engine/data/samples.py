"""Ready datasets, one click each: every file pinned by address, size, hash and licence."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zipfile
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.catalog import BadInput
from engine.data.archive import Entry, Read, Unreadable, listing, natural, shown
from engine.data.fetch import Pinned, Ready, mirrored, provide, scaled
from engine.data.options import ImportOptions, Kind, Role, Step, step
from engine.data.parts import drained
from engine.home import Home

Prepare = Callable[[Sequence[Path], Path], Sequence[Path]]
"""``prepare(files, scratch)``: the files as an importer takes them, made in `scratch`."""


@dataclass(frozen=True)
class Sample:
    """A dataset of the catalogue."""

    key: str
    label: str
    help: str
    kind: Kind
    licence: str
    homepage: str
    files: tuple[Pinned, ...]
    repacked: tuple[Pinned, ...] = ()
    """The same items as a mirror has them, where it doesn't have them as they are at the source."""
    prepare: Prepare = lambda files, scratch: files
    columns: Mapping[Role, str] = field(default_factory=dict)
    """Which column of what `prepare` makes is what."""

    @property
    def bytes(self) -> int:
        """What there is to download, as far as it is known."""
        return sum(file.size or 0 for file in (self.repacked or self.files))


def ready(
    key: str,
    *,
    home: Home,
    mirror: Path | None,
    kind: Kind | None = None,
    options: ImportOptions,
    scratch: Path,
) -> Generator[Step, None, Ready]:
    """Get a sample's files, and make of them what its importer takes. BadInput names the keys.

    It has a kind of its own, whatever `kind` is asked for.
    """
    if key not in SAMPLES:
        raise BadInput(f"There is no sample {shown(key)} (there is: {', '.join(SAMPLES)})")
    sample = SAMPLES[key]
    packed = bool(sample.repacked) and mirrored(sample.repacked, mirror)
    got = provide(sample.repacked if packed else sample.files, home=home, mirror=mirror)
    paths: Sequence[Path] = yield from scaled(got, 0, 0.95)
    yield step(0.95, f"Arranging {sample.label}")
    columns = {**sample.columns, **options.columns}
    return Ready(
        sources=sample.prepare(paths, scratch), kind=sample.kind, origin=sample.homepage,
        options=options.model_copy(update={"columns": columns}), licence=sample.licence,
    )  # fmt: skip


# --- from the files as they are published to what an importer takes -------------------------


def _lines(path: Path) -> list[str]:
    """A file's lines: only \\n ends one, for these texts hold other characters that could."""
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8")
    return text.removesuffix("\n").split("\n")


def _jsonl(path: Path, rows: Iterable[Mapping[str, str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="\n") as out:
        for row in rows:
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
    return path


def _classes(*names: str) -> Prepare:
    """A file a class, an item a line → a table of texts and labels."""

    def prepare(files: Sequence[Path], scratch: Path) -> Sequence[Path]:
        rows = (
            {"text": line.strip(), "label": name}
            for name, file in zip(names, files, strict=True)
            for line in _lines(file)
        )
        return [_jsonl(scratch / "sentences.jsonl", rows)]

    return prepare


def _translations(source: str, target: str) -> Prepare:
    """Aligned files, two a split → a table of pairs."""

    def rows(files: Sequence[Path]) -> Iterator[dict[str, str]]:
        for split, pair in zip(("train", "validation", "test"), _twos(files), strict=True):
            ours, theirs = (_lines(file) for file in pair)
            if len(ours) != len(theirs):
                names = " and ".join(file.name for file in pair)
                raise BadInput(f"{names} have {len(ours):,} and {len(theirs):,} lines: they must "
                               "be aligned")  # fmt: skip
            for one, other in zip(ours, theirs, strict=True):
                yield {source: one.strip(), target: other.strip(), "split": split}

    def prepare(files: Sequence[Path], scratch: Path) -> Sequence[Path]:
        return [_jsonl(scratch / f"{source}-{target}.jsonl", rows(files))]

    return prepare


def _twos(files: Sequence[Path]) -> list[tuple[Path, Path]]:
    return list(zip(files[::2], files[1::2], strict=True))


def _tabled(name: str, pattern: str, row: Callable[[re.Match[str]], dict[str, Any]]) -> Prepare:
    """An archive of files whose paths say what they are → the same with a table that says it.

    Entries whose path ends as `pattern` are kept. Whatever archive they came in, the same files
    make the same bytes.
    """

    def rows(entries: Sequence[Entry]) -> Iterator[tuple[Entry, dict[str, Any]]]:
        for entry in sorted(entries, key=lambda entry: natural(entry.name)):
            if found := re.search(pattern, entry.name):
                yield entry, row(found)

    def prepare(files: Sequence[Path], scratch: Path) -> Sequence[Path]:
        (file,) = files
        source, entries = drained(listing(file, scratch))
        made = scratch / name
        table: list[dict[str, Any]] = []
        with source.reading() as read, zipfile.ZipFile(made, "w") as out:
            # In the order in which they come in the table, whatever folders they lie in here.
            for entry, cells in sorted(rows(entries), key=lambda pair: natural(pair[1]["file"])):
                # ZipInfo's own date, so that the same files make the same archive.
                out.writestr(zipfile.ZipInfo(cells["file"]), _content(read, entry, file))
                table.append(cells)
            if not table:
                raise BadInput(f"{file.name} holds none of the files of {name}: get it again")
            text = io.StringIO()
            writer = csv.DictWriter(text, list(table[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(table)
            out.writestr(zipfile.ZipInfo("items.csv"), text.getvalue())
        return [made]

    return prepare


def _content(read: Read, entry: Entry, file: Path) -> bytes:
    try:
        return read(entry, None)
    except Unreadable as problem:
        raise BadInput(f"{file.name}: {shown(entry.name)} {problem}: get it again") from None


def _spoken(found: re.Match[str]) -> dict[str, Any]:
    digit, speaker, index = found["digit"], found["speaker"], int(found["index"])
    return {
        "file": f"{digit}_{speaker}_{index}.wav", "label": digit, "speaker": speaker,
        # The official test recordings: the first five of each speaker and digit.
        "split": "test" if index < 5 else "train",
    }  # fmt: skip


def _drawn(found: re.Match[str]) -> dict[str, Any]:
    alphabet, character = found["alphabet"], found["character"]
    return {
        "file": found[0], "label": f"{alphabet}/{character}", "alphabet": alphabet,
        "drawer": found["drawer"],
    }  # fmt: skip


# --- the catalogue --------------------------------------------------------------------------


def _at(folder: str, base: str, pins: Mapping[str, tuple[int, str]]) -> tuple[Pinned, ...]:
    """Files of one folder on the web: {name: (size, SHA-256)}."""
    return tuple(
        Pinned(f"{folder}/{name}", base + name, size, sha256)
        for name, (size, sha256) in pins.items()
    )


_RAW = "https://raw.githubusercontent.com"
_FLICKR = "https://github.com/multi30k/dataset"
_MULTI30K = {
    "train.en.gz":
        (568929, "d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f"),
    "train.de.gz":
        (637044, "726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6"),
    "train.fr.gz":
        (604242, "622e75069e9f4c577425c4f277116ce66e63a2401c0a2312d90073cb12379a3c"),
    "val.en.gz":
        (21650, "14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28"),
    "val.de.gz":
        (24681, "f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a"),
    "val.fr.gz":
        (23001, "ca3106f1a72390591d25f6c45cb4cd39dec4cd3f123e099748a3ce5256c160e9"),
    "test_2016_flickr.en.gz":
        (21077, "611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9"),
    "test_2016_flickr.de.gz":
        (22890, "9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8"),
    "test_2016_flickr.fr.gz":
        (22310, "6d326e188d259fb1d04ac19eae3af956559b3a0b93d7635e56c90987c40c8b90"),
}  # fmt: skip


def _multi30k(code: str, language: str) -> Sample:
    names = [f"{part}.{side}.gz" for part in ("train", "val", "test_2016_flickr")
             for side in ("en", code)]  # fmt: skip
    commit = "a3d2e0d26b56f3846f66a952536ffed4e401d05a"
    return Sample(
        key=f"multi30k-en-{code}",
        label=f"Multi30k, English to {language}",
        help=f"31,014 captions of photographs in English and {language}, in the published splits",
        kind="pairs",
        licence="CC BY-NC-SA 4.0",
        homepage=_FLICKR,
        files=_at("multi30k", f"{_RAW}/multi30k/dataset/{commit}/data/task1/raw/",
                  {name: _MULTI30K[name] for name in names}),
        prepare=_translations("english", language.lower()),
        columns={"source": "english", "target": language.lower(), "split": "split"},
    )  # fmt: skip


_ALL = (
    Sample(
        key="sentence-polarity",
        label="Sentence polarity",
        help="10,662 sentences of film reviews, half of them in favour (Pang & Lee, 2005)",
        kind="text",
        licence="For research",
        homepage="https://www.cs.cornell.edu/people/pabo/movie-review-data/",
        files=_at(
            "rt-polarity",
            f"{_RAW}/dennybritz/cnn-text-classification-tf/"
            "18762b459e21d9c70e5c242f8d43fc4e6db37a0d/data/rt-polaritydata/",
            {
                "rt-polarity.neg":
                    (612506, "2d11cfbc790f1cd96d78339f41ce53ced1efa83cd22d37d6788fa3fe3d17e2fd"),
                "rt-polarity.pos":
                    (626395, "4134882974a28d0c7b5151256f0e33a6169984ee7372c279e673f1114f475d58"),
            },
        ),
        prepare=_classes("neg", "pos"),
        columns={"text": "text", "label": "label"},
    ),
    _multi30k("de", "German"),
    _multi30k("fr", "French"),
    Sample(
        key="tiny-shakespeare",
        label="Tiny Shakespeare",
        help="1.1 MB of Shakespeare's plays: text to learn to write from, without labels",
        kind="text",
        licence="Public domain",
        homepage="https://github.com/karpathy/char-rnn",
        files=_at(
            "tinyshakespeare",
            f"{_RAW}/karpathy/char-rnn/6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e/"
            "data/tinyshakespeare/",
            {"input.txt":
                (1115394, "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed")},
        ),
    ),
    Sample(
        key="omniglot-small1",
        label="Omniglot, small set 1",
        help="136 characters of 5 alphabets, each drawn by 20 people: 2,720 pictures of 105×105",
        kind="images",
        licence="MIT",
        homepage="https://github.com/brendenlake/omniglot",
        files=_at(
            "omniglot",
            f"{_RAW}/brendenlake/omniglot/057f034baf2ecb8530bc5710e5a23584d2a519cc/python/",
            {"images_background_small1.zip":
                (1319022, "f38eb80f801274ac2b4dff5b24289016bfaba4a7d5bb50deebf27104ad6cb8a4")},
        ),
        prepare=_tabled(
            "omniglot.zip",
            r"(?P<alphabet>[^/]+)/(?P<character>character\d+)/\d+_(?P<drawer>\d+)\.png$",
            _drawn,
        ),
        columns={"file": "file", "label": "label"},
    ),
    Sample(
        key="spoken-digits",
        label="Free Spoken Digit Dataset",
        help="3,000 recordings of the digits 0 to 9 by 6 speakers, in the official split",
        kind="sound",
        licence="CC BY-SA 4.0",
        homepage="https://github.com/Jakobovski/free-spoken-digit-dataset",
        # GitHub makes this archive when it is asked for, and its bytes may differ from time to
        # time: only the commit is pinned. That every recording can be read is all that is checked.
        files=(
            Pinned(
                "fsdd/26eb9aaf76e81b692f806f9140c2d2777410d7a1.zip",
                "https://codeload.github.com/Jakobovski/free-spoken-digit-dataset/zip/"
                "26eb9aaf76e81b692f806f9140c2d2777410d7a1",
            ),
        ),
        repacked=(
            Pinned("fsdd/fsdd.zip", "", 16107380,
                   "8cb207e9e1ed5f4b88f758447522a11d53680beb42d8253d22d39ace6edec998"),
        ),
        prepare=_tabled(
            "spoken-digits.zip", r"(?:^|/)(?P<digit>\d)_(?P<speaker>[^/_]+)_(?P<index>\d+)\.wav$",
            _spoken,
        ),
        columns={"file": "file", "label": "label", "split": "split"},
    ),
)  # fmt: skip

SAMPLES: dict[str, Sample] = {sample.key: sample for sample in _ALL}
"""By key, in the order in which they are offered."""
