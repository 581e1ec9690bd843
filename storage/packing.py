"""How numbers lie in the database: points as blocks of bytes, JSON that keeps every float."""

from __future__ import annotations

import json
import math
import sys
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

from storage.values import Curve

Point = tuple[int, float, float, float]
"""Step, epoch, seconds, value."""

BLOCK = 128
"""Points in a block: 4 KB. The last block of a curve is written anew with each batch, so a
larger one makes the log grow faster, and a smaller one makes a long curve slower to read."""

SPARK = 40
"""Values in the small picture of a curve, at most."""


def to_bytes(numbers: array[Any]) -> bytes:
    """Little-endian, whatever the machine."""
    if sys.byteorder == "big":
        numbers = numbers[:]
        numbers.byteswap()
    return numbers.tobytes()


def from_bytes(code: Literal["q", "d"], data: bytes) -> array[Any]:
    """int64 or float64 out of `to_bytes`."""
    numbers: array[Any] = array(code, data)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def floats(data: bytes) -> array[float]:
    """float64 out of `to_bytes`."""
    return from_bytes("d", data)


def join(blocks: Iterable[Sequence[bytes]]) -> Curve:
    """One curve from blocks of (steps, epochs, seconds, values) that follow one another."""
    columns = list(zip(*blocks, strict=True)) or [(), (), (), ()]
    steps, *rest = (b"".join(column) for column in columns)
    return Curve(from_bytes("q", steps), *map(floats, rest))


def split(curve: Curve) -> Iterator[dict[str, Any]]:
    """The blocks of a curve, as the columns of the table of points."""
    for start in range(0, len(curve), BLOCK):
        part = slice(start, start + BLOCK)
        yield {
            "last": curve.steps[part][-1],
            "steps": to_bytes(curve.steps[part]),
            "epochs": to_bytes(curve.epochs[part]),
            "seconds": to_bytes(curve.seconds[part]),
            "values": to_bytes(curve.values[part]),
        }


def from_points(points: Iterable[Point]) -> Curve:
    """A curve in the order of its steps; of two points at one step the later given stays."""
    by_step = {point[0]: point for point in points}
    rows = sorted(by_step.values(), key=lambda point: point[0])
    steps, epochs, seconds, values = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Curve(array("q", steps), array("d", epochs), array("d", seconds), array("d", values))


def after(curve: Curve, step: int) -> Curve:
    """The points that come after `step`."""
    start = bisect_right(curve.steps, step)
    return curve if start == 0 else _cut(curve, slice(start, None))


def until(curve: Curve, step: int) -> Curve:
    """The points up to `step` and at it."""
    return _cut(curve, slice(0, bisect_right(curve.steps, step)))


def _cut(curve: Curve, part: slice) -> Curve:
    return Curve(curve.steps[part], curve.epochs[part], curve.seconds[part], curve.values[part])


def merge(old: Curve, new: Curve) -> Curve:
    """Both curves' points; where both have a step, the new one's."""
    if not old.steps or not new.steps or old.steps[-1] < new.steps[0]:
        return Curve(
            old.steps + new.steps,
            old.epochs + new.epochs,
            old.seconds + new.seconds,
            old.values + new.values,
        )
    return from_points((*_points(old), *_points(new)))


def _points(curve: Curve) -> Iterator[Point]:
    return zip(curve.steps, curve.epochs, curve.seconds, curve.values, strict=True)


def thin(kept: array[float], length: int, values: array[float]) -> array[float]:
    """Evenly chosen values of a growing curve, fewer than `SPARK`.

    `kept` is what was chosen of the first `length` values, `values` come next. Every `stride`-th
    value is kept; the stride doubles when too many would be, so nothing is ever read again.
    """
    stride, wider = _stride(length), _stride(length + len(values))
    first = -length % wider
    return kept[:: wider // stride] + values[first::wider]


def picture(kept: bytes, length: int, latest: bytes) -> list[float]:
    """What was chosen of a curve's `length` values, then the latest one."""
    values = floats(kept)
    if (length - 1) % _stride(length):
        values += floats(latest)
    return values.tolist()


def _stride(length: int) -> int:
    """The smallest power of two that leaves fewer than `SPARK` of `length` values."""
    return 1 << (max(length - 1, 0) // (SPARK - 1)).bit_length()


# --- JSON -------------------------------------------------------------------------------------

NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
TAG = "$float"


def to_json(value: Any) -> str:
    """JSON that any reader takes: NaN is ``{"$float": "nan"}``, infinities likewise."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError:
        return json.dumps(_explicit(value), ensure_ascii=False, allow_nan=False)


def from_json(text: str) -> Any:
    """What `to_json` was given; tuples come back as lists."""
    return json.loads(text, object_hook=_implicit if TAG in text else None)


def _explicit(value: Any) -> Any:
    match value:
        case float() if not math.isfinite(value):
            return {TAG: str(value)}
        case dict():
            return {name: _explicit(item) for name, item in value.items()}
        case list() | tuple():
            return [_explicit(item) for item in value]
        case _:
            return value


def _implicit(read: dict[str, Any]) -> Any:
    return NOT_FINITE.get(read[TAG], read) if read.keys() == {TAG} else read
