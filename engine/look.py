"""What a dataset looks like: its items, how they are spread, and what can be done with it."""

from __future__ import annotations

import io
import wave
from base64 import b64encode
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from engine.catalog import BadInput, Card, Catalog
from engine.data import letters
from engine.data.arrays import Stored
from engine.data.batches import Data
from engine.data.doctor import Finding, Setting, kept
from engine.data.items import Images, Items, Pairs, Sequences, Texts, Waves
from engine.data.splits import SPLITS, Rows
from engine.pictures import png

NAMED = 24
"""Items of a finding that a page shows."""
BARS = 30
MOST_TEXT = 2_000
"""Characters of a text that a page shows."""
MOST_GIVEN = 20_000
"""Characters of a text that a model is tried on."""
READ = 2 * 2**20
"""Bytes of text that characters are counted in."""
COMMON = 60
"""Characters that are listed with their counts."""

Histogram = dict[str, Any]


def details(
    data: Data, card: Card, catalog: Catalog, stored: Stored | None, *, count: int
) -> dict[str, Any]:
    """All that a dataset's page shows; `stored` is there for those that a person brought in."""
    labelled = data.labels is not None
    kind = data.items.kind
    provides = frozenset(stored.provides) if stored else card.provides
    own: dict[str, Any] = {}
    if stored is not None:
        meta = stored.meta()
        own = {
            name: meta[name]
            for name in ("origin", "warnings", "version", "versions", "rule", "groups", "columns",
                         "features", "rate", "left_out", "options")
        }  # fmt: skip
        own["series"] = stored.series is not None
        own["findings"] = [told(finding, stored) for finding in kept(stored)]
    return {
        "provides": sorted(provides), "kind": kind, "shape": list(data.shape),
        "classes": list(data.classes), "help": card.help,
        "counts": {split: data.counts(split) for split in SPLITS},
        "items": sum(len(rows) for rows in data.splits.values()),
        "samples": {"kind": kind, "items": [
            item(data, row, stored) for row in varied(data, count)
        ]},
        "histograms": histograms(data.items, stored),
        "characters": characters(data.items),
        "fingerprint": data.fingerprint, "licence": data.licence, "source": data.source,
        "tasks": tasks(catalog, card.model_copy(update={"provides": provides})),
        "labelled": labelled,
        **own,
    }  # fmt: skip


def told(finding: Finding, stored: Stored) -> dict[str, Any]:
    """A finding as a page shows it."""
    setting = finding.mend if isinstance(finding.mend, Setting) else None
    return {
        "code": finding.code, "harm": finding.harm, "text": finding.text,
        "rows": list(finding.rows[:NAMED]), "count": len(finding.rows), "button": finding.button,
        "mend": None if finding.mend is None else "setting" if setting else "change",
        "setting": {"name": setting.name, "value": setting.value} if setting else None,
    }  # fmt: skip


def tasks(catalog: Catalog, data: Card) -> list[dict[str, Any]]:
    """What can be learned from such data, and with which models."""
    found: dict[str, list[str]] = {}
    for chosen in catalog.combinations({"data": data}):
        models = found.setdefault(chosen["task"].label, [])
        if chosen["model"].label not in models:
            models.append(chosen["model"].label)
    return [{"task": task, "models": models} for task, models in found.items()]


# --- items ----------------------------------------------------------------------------------


def varied(data: Data, count: int) -> list[int]:
    """Some training items: as many of each class as there is room for, class after class."""
    rows = data.splits["train"]
    if data.labels is None:
        return rows[:count].tolist()  # type: ignore[no-any-return]
    labels = data.labels[rows]
    order = np.argsort(labels, kind="stable")  # class after class
    ends = np.searchsorted(labels[order], np.arange(len(data.classes) + 1))
    place = np.arange(len(order)) - ends[:-1][labels[order]]  # in its class
    taken = order[np.sort(np.argsort(place, kind="stable")[:count])]
    return rows[taken].tolist()  # type: ignore[no-any-return]


def chosen_rows(
    data: Data, *, split: str | None, label: int | None, rows: Sequence[int] | None
) -> Rows:
    """The items of a split, of a class, or those named; of several, what they have in common."""
    count = len(data.items)
    if rows is not None:
        found = np.array([row for row in rows if 0 <= row < count], np.int64)
    elif split is None:
        found = np.arange(count)
    elif split == "left_out":
        used = np.concatenate([data.splits[name] for name in SPLITS])
        found = np.setdiff1d(np.arange(count), used)
    elif split in SPLITS:
        found = data.splits[split]
    else:
        raise BadInput(f"There is no split {split!r}")
    if label is not None and data.labels is not None:
        found = found[data.labels[found] == label]
    return found


def items(
    data: Data, stored: Stored | None, rows: Rows, *, offset: int, count: int
) -> dict[str, Any]:
    """A page of the given items."""
    some = rows[max(offset, 0) : max(offset, 0) + min(count, 200)]
    return {"total": len(rows), "items": [item(data, row, stored) for row in some.tolist()]}


def item(data: Data, row: int, stored: Stored | None) -> dict[str, Any]:
    """One item for the page."""
    label = -1 if data.labels is None else int(data.labels[row])
    split = next((s for s in SPLITS if _holds(data.splits[s], row)), None)
    return {
        "row": row, "name": stored.names[row] if stored else str(row), "split": split,
        "label": data.classes[label] if label >= 0 else "", **shown(data.items, row),
        **({"synthetic": True} if stored and stored.synthetic[row] else {}),
    }  # fmt: skip


def _holds(rows: Rows, row: int) -> bool:
    at = int(np.searchsorted(rows, row))  # a split's rows are in ascending order
    return at < len(rows) and int(rows[at]) == row


def shown(items: Items, row: int) -> dict[str, Any]:
    """What an item looks like."""
    match items:
        case Images():
            pixels = np.array(items.pixels[row])  # a copy: torch wants what it may write to
            return {"png": png(torch.from_numpy(pixels).permute(2, 0, 1) / 255)}
        case Sequences():
            steps = items[row]
            every = max(len(steps) // 200, 1)  # a thumbnail has no room for more
            thumbnail = steps[::every, :8].astype(float).round(4).tolist()
            return {"values": thumbnail, "steps": len(steps)}
        case Texts():
            return {"text": _cut(items.text.text(row))}
        case Pairs():
            return {
                "source": _cut(items.source.text(row)), "target": _cut(items.target.text(row)),
            }  # fmt: skip
        case Waves():
            samples = items.waves[row]
            said = {} if items.transcripts is None else {"transcript": items.transcripts.text(row)}
            return {
                "seconds": len(samples) / items.rate, "rate": items.rate,
                "wave": envelope(samples), "spectrogram": spectrogram(samples, items.rate), **said,
            }  # fmt: skip
    raise AssertionError(f"{type(items).__name__} is nothing to look at")


def _cut(text: str) -> str:
    return text if len(text) <= MOST_TEXT else text[:MOST_TEXT] + " …"


def envelope(samples: npt.NDArray[np.int16], points: int = 200) -> list[list[float]]:
    """Lowest and highest sample of each of so many parts of a recording, in −1…1."""
    if not len(samples):
        return []
    edges = np.linspace(0, len(samples), min(points, len(samples)) + 1).astype(np.int64)[:-1]
    low = np.minimum.reduceat(samples, edges) / 2**15
    high = np.maximum.reduceat(samples, edges) / 2**15
    return np.stack([low, high], 1).round(4).tolist()  # type: ignore[no-any-return]


def spectrogram(samples: npt.NDArray[np.int16], rate: int, columns: int = 200) -> str:
    """The recording's loudness over time and frequency as a PNG, low frequencies below.

    Windows of 25 ms; −80 dB below the loudest is black.
    """
    window = max(32, round(0.025 * rate))
    signal = samples.astype(np.float32)
    if len(signal) < window:
        signal = np.pad(signal, (0, window - len(signal)))
    starts = np.linspace(0, len(signal) - window, min(columns, max(len(signal) // window * 3, 1)))
    frames = signal[starts.astype(np.int64)[:, None] + np.arange(window)] * np.hanning(window)
    power = np.abs(np.fft.rfft(frames)) ** 2
    loud = 10 * np.log10(power / max(power.max(), 1e-9) + 1e-8)
    grey = np.clip(loud / 80 + 1, 0, 1).T[::-1]
    return png(torch.from_numpy(np.ascontiguousarray(grey, np.float32))[None])


def sound(items: Items, row: int) -> dict[str, Any]:
    """A recording as a WAV file, in base64. BadInput when there is none of that number."""
    if not isinstance(items, Waves) or not 0 <= row < len(items):
        raise BadInput("There is no such recording in this dataset")
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, items.rate, 0, "NONE", ""))
        file.writeframes(items.waves[row].astype("<i2").tobytes())
    return {"wav": b64encode(out.getvalue()).decode()}


def given(items: Items, row: int) -> dict[str, str]:
    """An item whole, as `engine.predict` takes it. BadInput when there is none of that number."""
    if not 0 <= row < len(items):
        raise BadInput("There is no such item in this dataset")
    match items:
        case Images():
            return {"png": str(shown(items, row)["png"])}
        case Sequences():
            rows = items[row].astype(float).tolist()
            return {"text": "\n".join(",".join(map(repr, step)) for step in rows)}
        case Texts():
            return {"text": items.text.text(row)[:MOST_GIVEN]}
        case Pairs():
            return {"text": items.source.text(row)[:MOST_GIVEN]}
        case Waves():
            return {"sound": sound(items, row)["wav"]}
    raise AssertionError(f"{type(items).__name__} is nothing to try a model on")


# --- how they are spread --------------------------------------------------------------------


def histograms(items: Items, stored: Stored | None) -> list[Histogram]:
    """Lengths and sizes."""
    match items:
        case Images():
            sizes = None if stored is None else stored.sizes
            if sizes is None:
                return []
            return [_histogram("width", "pixels", sizes[:, 0]),
                    _histogram("height", "pixels", sizes[:, 1])]  # fmt: skip
        case Sequences():
            return [_histogram("steps", "steps", items.values.lengths)]
        case Texts():
            return [_histogram("characters", "characters", letters.lengths(items.text))]
        case Pairs():
            return [_histogram("source", "characters", letters.lengths(items.source)),
                    _histogram("target", "characters", letters.lengths(items.target))]  # fmt: skip
        case Waves():
            found = [_histogram("seconds", "s", items.waves.lengths / items.rate)]
            if items.transcripts is not None:
                found.append(
                    _histogram("transcript", "characters", letters.lengths(items.transcripts))
                )
            return found
    raise AssertionError(f"{type(items).__name__} has no lengths to show")


def _histogram(title: str, unit: str, values: npt.NDArray[Any]) -> Histogram:
    whole = values.dtype.kind in "iu"
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)
    bars = max(1, min(BARS, int(high - low) + 1)) if whole else BARS
    counts, edges = np.histogram(values, bars, (low, high + 1 if whole else high or 1.0))
    middle = float(np.median(values)) if len(values) else 0.0
    return {"title": title, "unit": unit, "edges": edges.round(4).tolist(),
            "counts": counts.tolist(), "low": low, "high": high, "median": middle}  # fmt: skip


def characters(items: Items) -> dict[str, Any] | None:
    """The most frequent characters, and the share of each script among the letters."""
    match items:
        case Texts():
            parts = [items.text]
        case Pairs():
            parts = [items.source, items.target]
        case Waves() if items.transcripts is not None:
            parts = [items.transcripts]
        case _:
            return None
    counts: Counter[str] = Counter()
    for part in parts:
        counts.update(part.flat[:READ].tobytes().decode("utf-8", "ignore"))
    scripts: Counter[str] = Counter()
    for letter, count in counts.items():
        if name := letters.script(letter):
            scripts[name] += count
    total = max(scripts.total(), 1)
    common = [[c, n] for c, n in counts.most_common(COMMON) if not c.isspace()]
    return {"different": len(counts), "letters": common,
            "scripts": [[s, n / total] for s, n in scripts.most_common(8)]}  # fmt: skip
