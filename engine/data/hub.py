"""Any dataset of the Hugging Face hub by its id: the Parquet files that the hub makes of it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Generator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from engine.catalog import BadInput
from engine.data.archive import natural, shown
from engine.data.arrays import Items
from engine.data.fetch import (
    Changed,
    Pinned,
    Ready,
    check_file,
    discard,
    fetch,
    linked,
    provide,
    scaled,
)
from engine.data.imports import IMPORTERS
from engine.data.kinds import kind_of
from engine.data.labelled import split_cell, split_of
from engine.data.options import ImportOptions, Kind, Step, step
from engine.data.splits import SPLITS
from engine.data.tables import features
from engine.home import Home

USUAL = "https://huggingface.co"
LONGEST_LISTING = 4 * 2**20
"""Bytes; that of a dataset of 10,000 files has one."""
MARK = b"PAR1"
"""What a Parquet file begins and ends with."""

_PART = r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,95}"
_ID = re.compile(rf"(?P<id>{_PART}(?:/{_PART})?)(?:@(?P<config>.+))?")
_PAGE = re.compile(
    rf"https?://[^/]+/datasets/(?P<id>{_PART}/{_PART})(?:/viewer/(?P<config>[^/]+))?"
)
_FOLDER = re.compile(r"(?!\.)[\w.+=, -]{1,120}")
"""Configurations and splits whose names can be folders."""

_KINDS: dict[str, Kind] = {"Image": "images", "Audio": "sound", "Translation": "pairs"}
"""By the types of the columns, as the hub's library writes them into the files."""

Splits = Mapping[str, list[str]]
"""The addresses or paths of the files, by split."""
Listing = Mapping[str, Splits]
"""The same by configuration."""


class Wanted(NamedTuple):
    """A dataset on the hub, and which of its configurations."""

    id: str
    """``owner/name``"""
    config: str | None


def ready(
    name: str,
    *,
    home: Home,
    mirror: Path | None,
    kind: Kind | None = None,
    options: ImportOptions,
    scratch: Path,
) -> Generator[Step, None, Ready]:
    """Get a dataset's Parquet files. BadInput when it has several configurations lists those."""
    wanted = parse(name)
    host = endpoint()
    page = f"{host}/datasets/{wanted.id}"
    lying = mirror / "hub" / Path(*wanted.id.split("/")) if mirror is not None else None
    if lying is not None and lying.is_dir():
        listing = _lying(lying)
        config = choose(wanted, listing)
        kept, others = _used(listing[config], wanted.id, page)
        found = [(split, Path(path)) for split, files in kept.items() for path in files]
    else:
        come = _listing(wanted, host, page, scratch)
        listing = yield from scaled(come, 0, 0.05)
        config = choose(wanted, listing)
        kept, others = _used(listing[config], wanted.id, page)
        got = _files(wanted, config, kept, host, page, home)
        found = yield from scaled(got, 0.05, 1)
    if not found:
        raise BadInput(f"{wanted.id} has no files in {config}: choose another dataset")
    # Their names say which split they are: readers look no further than that.
    paths = [
        linked(path, scratch / f"{split}-{number}.parquet")
        for number, (split, path) in enumerate(found)
    ]
    kind = kind or _kind(paths[0]) or kind_of(paths)
    return Ready(
        sources=paths, kind=kind, options=options, origin=page,
        read=partial(_read, kind, others),
    )  # fmt: skip


def _used(splits: Splits, id: str, page: str) -> tuple[Splits, list[str]]:
    """Those that are train, validation or test, where any is; the names of the others.

    Names that merely speak of one (train_sft) are taken where none is called just so. BadInput
    where several speak of the same.
    """
    used = {split: found for split in splits if (found := split_cell(split))}
    if not used:
        used = {split: found for split in splits if (found := split_of((split,)))}
        for known in SPLITS:
            alike = [split for split, found in used.items() if found == known]
            if len(alike) > 1:
                raise BadInput(
                    f"{id} has several splits for {known}: {_named(alike)}. Download the files "
                    f"of those that you want from {page} and import them"
                )
    others = [split for split in splits if used and split not in used]
    return {split: files for split, files in splits.items() if split not in others}, others


def _read(
    kind: Kind,
    others: Sequence[str],
    sources: Sequence[Path],
    into: Path,
    scratch: Path,
    options: ImportOptions,
) -> Generator[Step, None, Items]:
    """Import them as the kind's importer does, and say which splits are not among them."""
    items = yield from IMPORTERS[kind].read(sources, into, scratch, options)
    if others:
        items.warnings.append(
            f"Left out, for they are neither train, validation nor test: {_named(others)}"
        )
    return items


def parse(name: str) -> Wanted:
    """The id and the configuration that ``owner/name@config``, or a page's address, names."""
    text = name.strip()
    found = _PAGE.match(text) or _ID.fullmatch(text)
    if found is None or (found["config"] and not _FOLDER.fullmatch(found["config"])):
        raise BadInput(
            f"{shown(name)} is no dataset of the hub: write owner/name, as its page shows it, or "
            "owner/name@configuration"
        )
    return Wanted(found["id"], found["config"])


def choose(wanted: Wanted, listing: Listing) -> str:
    """The configuration: the one that is asked for, the only one, or “default”."""
    if not listing:
        raise BadInput(
            f"The hub has made no Parquet files of {wanted.id}: download its own files and import "
            "those"
        )
    if wanted.config is not None:
        if wanted.config in listing:
            return wanted.config
    elif len(listing) == 1:
        return next(iter(listing))
    elif "default" in listing:
        return "default"
    names = sorted(listing, key=natural)
    has = f"has no {shown(wanted.config)}, but" if wanted.config else "has several configurations:"
    raise BadInput(
        f"{wanted.id} {has} {_named(names)}. Say which, as in hub:{wanted.id}@{_named(names[:1])}"
    )


def _named(names: Sequence[str]) -> str:
    """Names that the hub gives, as a sentence can have them."""
    more = f" and {len(names) - 20:,} more" if len(names) > 20 else ""
    return ", ".join(shown(name)[1:-1] for name in names[:20]) + more


def _lying(folder: Path) -> Listing:
    """What a mirror has: ``config/split/0.parquet`` and so on."""
    found: dict[str, dict[str, list[str]]] = {}
    for path in sorted(folder.glob("*/*/*.parquet"), key=lambda path: natural(path.as_posix())):
        check_file(path)
        if not _parquet(path):
            raise BadInput(f"{path} is no Parquet file: get it again, or take it out of the mirror")
        config = found.setdefault(path.parts[-3], {})
        config.setdefault(path.parts[-2], []).append(str(path))
    return found


def _listing(
    wanted: Wanted, endpoint: str, page: str, scratch: Path
) -> Generator[Step, None, Listing]:
    """https://huggingface.co/docs/dataset-viewer/parquet: {config: {split: [address]}}"""
    to = scratch / wanted.id.rpartition("/")[2]
    yield from fetch(
        f"{endpoint}/api/datasets/{wanted.id}/parquet", to, token=token(),
        remedy=f"put its files into hub/{wanted.id}/CONFIG/SPLIT/0.parquet in the folder named by "
        "ANNEAL_MIRROR", refused=refused(page), most=LONGEST_LISTING,
    )  # fmt: skip
    try:
        said = json.loads(to.read_text("utf-8"))
        return {
            str(config): {str(split): _addresses(urls) for split, urls in splits.items()}
            for config, splits in said.items()
        }
    except (ValueError, AttributeError, TypeError, RecursionError):
        raise BadInput(
            f"{endpoint} doesn't answer as the Hugging Face hub does: look at HF_ENDPOINT"
        ) from None


def _addresses(urls: Any) -> list[str]:
    if not isinstance(urls, list) or not all(isinstance(url, str) for url in urls):
        raise TypeError
    return urls


def _files(
    wanted: Wanted, config: str, splits: Splits, endpoint: str, page: str, home: Home
) -> Generator[Step, None, list[tuple[str, Path]]]:
    """Download them, each with its split. The hub gives no hash: their length is checked."""
    for name in (config, *splits):
        if not _FOLDER.fullmatch(name):
            raise BadInput(f"{wanted.id}: {shown(name)} can't be the name of a folder")
    found: list[tuple[str, Path]] = []
    count = sum(map(len, splits.values()))
    for split, urls in splits.items():
        for number, url in enumerate(urls):
            file = Pinned(f"hub/{wanted.id}/{config}/{split}/{number}.parquet", url)
            # The token is for the hub alone, whatever addresses its list holds.
            ours = _host(url) == _host(endpoint)
            come = provide([file], home=home, mirror=None, token=token() if ours else "",
                           refused=refused(page), listed=endpoint)  # fmt: skip
            (path,) = yield from scaled(come, len(found) / count, (len(found) + 1) / count)
            if not _parquet(path):
                discard(path)
                raise Changed(
                    f"What came from {shown(url)} for {split}/{file.name} of {wanted.id} is no "
                    "Parquet file, and it was removed: try again later"
                )
            found.append((split, path))
            yield step(len(found) / count, f"{len(found):,} of {count:,} files are here")
    return found


def _host(url: str) -> tuple[str, str]:
    try:
        return urlsplit(url)[:2]
    except ValueError:  # `fetch` says that it is no address
        return "", ""


def _parquet(path: Path) -> bool:
    """Whether it begins and ends as a Parquet file does: a page that says “busy” doesn't."""
    if path.stat().st_size < 2 * len(MARK):
        return False
    with path.open("rb") as file:
        begin = file.read(len(MARK))
        file.seek(-len(MARK), os.SEEK_END)
        return begin == file.read() == MARK


def endpoint() -> str:
    """The address of the hub."""
    return (os.environ.get("HF_ENDPOINT") or USUAL).rstrip("/")


def token() -> str:
    """What shows the hub who asks; nothing where nobody has said."""
    return os.environ.get("HF_TOKEN", "").strip()


def refused(page: str) -> str:
    """What to do where the hub gives something of that page not to everyone."""
    if token():
        return (
            f"it is gated, private or doesn't exist: accept its terms at {page} with the account "
            "that HF_TOKEN belongs to"
        )
    return (
        f"it is gated, private or doesn't exist: accept its terms at {page}, then set HF_TOKEN to "
        "an access token of your account"
    )


def _kind(path: Path) -> Kind | None:
    """What the hub's library has written of the columns; None where only their content can tell."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_schema(path).metadata
    except (pa.ArrowInvalid, OSError):
        raise BadInput(f"{path.name} from the hub is no Parquet file: try again later") from None
    types = [feature.get("_type") for feature in features(metadata).values()]
    return next((kind for name, kind in _KINDS.items() if name in types), None)
