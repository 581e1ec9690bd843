"""Datasets by name: fetched, then brought in like any file."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

from engine.catalog import BadInput
from engine.data import hub, named, samples
from engine.data.archive import shown
from engine.data.fetch import Ready, scaled
from engine.data.imports import Imported, bring_in
from engine.data.options import ITEM, ImportOptions, Kind, Step, step
from engine.home import PARTIAL, Home

FETCHED = 0.6
"""The share of the progress that getting the files takes; importing them takes the rest."""

_READY: dict[str, Callable[..., Generator[Step, None, Ready]]] = {
    "sample": samples.ready,
    "torchvision": named.ready,
    "hub": hub.ready,
}


def offers() -> list[dict[str, Any]]:
    """What can be had by name, as JSON: the samples, and torchvision's datasets."""
    listed = [(f"sample:{key}", sample) for key, sample in samples.SAMPLES.items()]
    found: list[tuple[str, samples.Sample | named.Named]] = [*listed]
    found += [(f"torchvision:{key}", each) for key, each in named.NAMED.items()]
    return [
        {
            "origin": origin, "label": each.label, "help": each.help, "kind": each.kind,
            "item": ITEM[each.kind],
            "licence": each.licence, "homepage": each.homepage, "bytes": each.bytes,
        }
        for origin, each in found
    ]  # fmt: skip


def get(
    origin: str,
    into: Path,
    *,
    home: Home,
    mirror: Path | None,
    kind: Kind | None = None,
    options: ImportOptions = ImportOptions(),  # noqa: B008 (frozen)
) -> Iterator[Step | Imported]:
    """Fetch a dataset by its name and import it into the new folder `into`, as `bring_in` does.

    ``sample:KEY``, ``torchvision:CIFAR10``, ``hub:owner/name`` or ``hub:owner/name@config``. Files
    come from the folder `mirror` where it has them. What was downloaded stays in the home's cache,
    a part of a file too, so that a next attempt goes on from there.
    """
    source, _, name = origin.partition(":")
    if source not in _READY or not name:
        raise BadInput(
            f"{shown(origin)} names no dataset: write sample:NAME, torchvision:NAME or "
            "hub:owner/name"
        )
    scratch = into.with_name(f"{into.name}.fetched{PARTIAL}")  # swept if this process is killed
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        come = _READY[source](
            name, home=home, mirror=mirror, kind=kind, options=options, scratch=scratch
        )
        ready = yield from scaled(come, 0, FETCHED)
        for said in bring_in(
            ready.sources, into, kind=ready.kind, options=ready.options, origin=ready.origin,
            licence=ready.licence, read=ready.read,
        ):  # fmt: skip
            if isinstance(said, Step):
                said = step(FETCHED + (1 - FETCHED) * said.done / said.total, said.text)
            yield said
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
