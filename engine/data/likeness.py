"""Which items of a dataset are the same, and which are nearly."""

from __future__ import annotations

import string
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from engine.data.arrays import PARTS, Ragged, Stored
from engine.data.splits import Rows

Floats = npt.NDArray[np.float32]
Keys = npt.NDArray[np.uint64]

BLOCK = 2**24
"""Bytes that are looked at together."""
THUMB = 8
"""Pictures are first compared as so many shades of grey across and down."""
SMALLEST = 16
"""Pictures of fewer pixels a side have too little detail to be told from one another."""
BITS, BAND = 64, 16
"""Of a picture's hash, and of the parts of it of which two alike must share one."""
RADIUS = 10
"""Bits of the hash in which two alike may differ."""
WINDOW = 64
"""Neighbours in the order of the hash that a picture is compared with."""
ALIKE = 0.95
"""Correlation of two thumbnails from which the pixels are looked at."""
DETAIL = 0.6
"""Correlation of two pictures' edges from which they are one: of two drawings of the same thing,
or two photographs of it, only the coarse shape agrees."""
SAMPLE, RANK, RATIO = 20_000, 10, 0.1
"""A copy is much nearer than what is usual: its distance is at most `RATIO` of the distance to the
picture's tenth neighbour in a sample (Lowe 2004's ratio test). So handwritten ones, which all are
near one another, are not called copies."""
FIRST = 1000
"""Of the sample, by which most pairs are dismissed."""
MOST = 2_000_000
"""Pairs of pictures that are looked at, the most alike first."""


@dataclass(frozen=True)
class Likeness:
    """What is alike among the items that belong to a split."""

    same: Rows
    """int64 (N,): the first item with the same content; −1 where an item is left out."""
    near: Rows
    """int64 (M, 2): first items of contents that differ a little, the lower one first, in order."""


def likeness(stored: Stored) -> Likeness:
    """Compare every item of a dataset with every other, without looking at every pair."""
    kept = np.asarray(stored.splits) >= 0
    match stored.kind:
        case "images":
            same = first_of(image_keys(stored.images), kept)
            return Likeness(same, near_images(stored.images, distinct(same)))
        case "text" | "pairs":
            ragged = [stored.ragged(name) for name in PARTS[stored.kind]]
            exact, loose = text_keys(*ragged)
            same = first_of(exact, kept)
            return Likeness(same, near_keys(loose, distinct(same)))
        case "sound" | "sequences":
            (name,) = PARTS[stored.kind]
            return Likeness(first_of(ragged_keys(stored.ragged(name)), kept), _pairs([], []))


def distinct(same: Rows) -> Rows:
    """One item of each content."""
    return np.flatnonzero(same == np.arange(len(same)))


def first_of(keys: Keys, kept: npt.NDArray[np.bool_]) -> Rows:
    """For each item the first of those kept with its key, −1 for one that is not kept."""
    rows = np.flatnonzero(kept)
    same = np.full(len(keys), -1, np.int64)
    _, first, which = np.unique(keys[rows], return_index=True, return_inverse=True)
    same[rows] = rows[first[which]]
    return same


# --- the same -------------------------------------------------------------------------------


def image_keys(images: npt.NDArray[np.uint8]) -> Keys:
    """A hash of each picture's pixels."""
    out = bytearray()
    for begin, end in spans(len(images), images[:1].nbytes):
        for image in np.ascontiguousarray(images[begin:end]):
            out += blake2b(image.data, digest_size=8).digest()
    return np.frombuffer(bytes(out), np.uint64)


def ragged_keys(ragged: Ragged) -> Keys:
    """A hash of each item's bytes."""
    out = bytearray()
    for row in range(len(ragged)):
        out += blake2b(ragged[row].tobytes(), digest_size=8).digest()
    return np.frombuffer(bytes(out), np.uint64)


def text_keys(*parts: Ragged) -> tuple[Keys, Keys]:
    """Hashes of each item's texts as they are, and as `plain` has them."""
    exact, loose = bytearray(), bytearray()
    for texts in zip(*map(each_text, parts), strict=True):
        raw = b"\0".join(texts)
        key = blake2b(raw, digest_size=8).digest()
        exact += key
        bare = b"\0".join(map(plain, texts))
        # What is only punctuation is all there is: “:)” is not “:(”.
        loose += blake2b(bare, digest_size=8).digest() if bare.strip(b"\0") else key
    return np.frombuffer(bytes(exact), np.uint64), np.frombuffer(bytes(loose), np.uint64)


def each_text(ragged: Ragged) -> Iterator[bytes]:
    """Every item's UTF-8, read in blocks."""
    for begin, end in pieces(ragged):
        offsets = ragged.offsets[begin : end + 1].tolist()
        raw = ragged.flat[offsets[0] : offsets[-1]].tobytes()
        base = offsets[0]
        for i in range(end - begin):
            yield raw[offsets[i] - base : offsets[i + 1] - base]


MARKS = ".,;!?\"'`…“”„‘’‚«»‹›。、「」『』،؛؟।"
"""Punctuation without a meaning of its own; not what smileys, prices and formulas are made of."""
_ASCII = bytes.maketrans(
    (string.ascii_uppercase + MARKS[:8]).encode(), string.ascii_lowercase.encode() + b" " * 8
)
_OTHER = dict.fromkeys(map(ord, MARKS), " ")


def plain(raw: bytes) -> bytes:
    """A text (UTF-8) without the difference of case, width, punctuation and white space."""
    if raw.isascii():
        return b" ".join(raw.translate(_ASCII).split())
    text = unicodedata.normalize("NFKC", raw.decode("utf-8", "replace").translate(_OTHER))
    return " ".join(text.casefold().translate(_OTHER).split()).encode()


# --- nearly the same ------------------------------------------------------------------------


def near_keys(keys: Keys, rows: Rows) -> Rows:
    """Pairs of the rows whose keys agree."""
    order = rows[np.argsort(keys[rows], kind="stable")]
    again = keys[order[1:]] == keys[order[:-1]]
    groups: dict[int, list[int]] = defaultdict(list)
    for place in np.flatnonzero(again).tolist():
        key = int(keys[order[place]])
        if not groups[key]:
            groups[key].append(int(order[place]))
        groups[key].append(int(order[place + 1]))
    # Of very many spellings of one text, each is compared with the first few.
    found = [(a, b) for group in groups.values() for i, a in enumerate(group[:32])
             for b in group[i + 1 :]]  # fmt: skip
    return _pairs([a for a, _ in found], [b for _, b in found])


def near_images(images: npt.NDArray[np.uint8], rows: Rows) -> Rows:
    """Pairs of the rows whose pictures were one before they were packed, scaled or toned again.

    A hash finds candidates, and each is confirmed on the pixels.
    """
    if len(rows) < 2 or min(images.shape[1:3]) < SMALLEST:
        return _pairs([], [])
    thumbs, flat = thumbnails(images, rows)
    rows, thumbs = rows[~flat], thumbs[~flat]
    one, other = candidates(hashes(thumbs))
    close = np.concatenate([
        np.einsum("ij,ij->i", thumbs[one[a:b]], thumbs[other[a:b]])
        for a, b in spans(len(one), 8 * THUMB**2)
    ] or [np.zeros(0, np.float32)])  # fmt: skip
    one, other, close = one[close > ALIKE], other[close > ALIKE], close[close > ALIKE]
    if len(one) > MOST:
        best = np.sort(np.argsort(-close, kind="stable")[:MOST])
        one, other, close = one[best], other[best], close[best]
    copy = unusual(thumbs, one, other, close)
    one, other = rows[one[copy]], rows[other[copy]]
    sure = [detail(images[one[a:b]], images[other[a:b]]) > DETAIL
            for a, b in spans(len(one), 8 * images[:1].nbytes)]  # fmt: skip
    agreed = np.concatenate(sure or [np.zeros(0, bool)])
    return _pairs(one[agreed].tolist(), other[agreed].tolist())


def thumbnails(images: npt.NDArray[np.uint8], rows: Rows) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Each picture in `THUMB`² shades of grey, of mean 0 and length 1; and which are too even."""
    _, height, width, channels = images.shape
    down = areas(height)
    across = np.repeat(areas(width), channels, axis=1).T / np.float32(channels)
    out = np.empty((len(rows), THUMB**2), np.float32)
    for a, b in spans(len(rows), 4 * images[:1].nbytes):
        block = images[rows[a:b]].reshape(b - a, height, width * channels).astype(np.float32)
        out[a:b] = (down @ (block @ across)).reshape(b - a, -1)
    out -= out.mean(1, keepdims=True)
    length = np.linalg.norm(out, axis=1, keepdims=True)
    out /= np.maximum(length, 1e-6)
    return out, length[:, 0] < 2 * THUMB  # a spread of less than 2 of 256 shades


def areas(side: int) -> Floats:
    """(THUMB, side): a row of pixels to the means of `THUMB` equal stretches of it."""
    edges = np.linspace(0, side, THUMB + 1)
    pixels = np.arange(side)
    shared = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return np.asarray(np.clip(shared, 0, None) * THUMB / side, np.float32)


def hashes(thumbs: Floats) -> Keys:
    """64 bits of each thumbnail: on which side of the dataset's median it lies in 64 directions.

    The directions lie among those in which this dataset's pictures differ most, so that each bit
    tells apart as many of them as it can, be they photographs or drawings on black.
    """
    if not len(thumbs):
        return np.zeros(0, np.uint64)
    sample = evenly(thumbs, 10_000)
    centred = sample - sample.mean(0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    axes = axes[:, ::-1][:, : BITS // 2]
    rng = np.random.default_rng(0)
    turned = [np.linalg.qr(rng.standard_normal((axes.shape[1],) * 2))[0] for _ in range(2)]
    sides = thumbs @ np.concatenate([axes @ turn for turn in turned], axis=1).astype(np.float32)
    bits = sides > np.median(sides, axis=0)
    return np.packbits(bits, axis=1).view(np.uint64).ravel()


def candidates(codes: Keys) -> tuple[Rows, Rows]:
    """Places of hashes within `RADIUS` that share a band of bits, the lower one first."""
    count = len(codes)
    found = [np.zeros(0, np.int64)]
    for shift in range(0, BITS, BAND):
        # Turned so that the band comes first, those that share it lie side by side.
        turned = codes if not shift else (codes << np.uint64(shift)) | (
            codes >> np.uint64(BITS - shift)
        )  # fmt: skip
        order = np.argsort(turned, kind="stable")
        ordered = turned[order]
        for step in range(1, min(WINDOW, count - 1) + 1):
            differ = ordered[step:] ^ ordered[:-step]
            shared = differ < np.uint64(1 << (BITS - BAND))
            if not shared.any():
                break
            near = np.flatnonzero(shared & (np.bitwise_count(differ) <= RADIUS))
            a, b = order[near], order[near + step]
            found.append(np.minimum(a, b) * count + np.maximum(a, b))
    pairs = np.concatenate(found)
    pairs.sort()  # np.unique hashes, which takes ten times as long
    pairs = pairs[np.diff(pairs, prepend=-1) > 0]
    return pairs // count, pairs % count


def unusual(thumbs: Floats, one: Rows, other: Rows, close: Floats) -> npt.NDArray[np.bool_]:
    """Which pairs are much nearer than the neighbours that their pictures have anyway."""
    sample = evenly(thumbs, SAMPLE)
    if len(sample) <= 2 * RANK:  # too few to say what is usual
        return np.asarray(1 - close <= RATIO / 2, np.bool_)
    left = np.arange(len(one))
    # The tenth neighbour among a few is no nearer than that among all: what is usual beside those
    # is so beside all, and most pairs are.
    for looked_at in (evenly(sample, FIRST), sample):
        involved, place = np.unique(np.stack([one[left], other[left]]), return_inverse=True)
        usual = np.empty(len(involved), np.float32)
        for a, b in spans(len(involved), 4 * len(looked_at)):
            likes = thumbs[involved[a:b]] @ looked_at.T
            usual[a:b] = np.partition(likes, -RANK, axis=1)[:, -RANK]
        nearest = usual[place.reshape(2, -1)].max(axis=0)
        left = left[1 - close[left] <= RATIO * (1 - nearest)]
    out = np.zeros(len(one), bool)
    out[left] = True
    return out


def detail(some: npt.NDArray[np.uint8], others: npt.NDArray[np.uint8]) -> Floats:
    """Correlation of the edges of pictures with those of others."""
    return np.asarray(np.einsum("ij,ij->i", edges(some), edges(others)), np.float32)


def edges(images: npt.NDArray[np.uint8]) -> Floats:
    """The differences of neighbouring pixels in grey, of length 1."""
    grey = images.mean(axis=3, dtype=np.float32)
    count = len(grey)
    out = np.concatenate([np.diff(grey, axis=axis).reshape(count, -1) for axis in (1, 2)], axis=1)
    return np.asarray(out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-6))


# --- in blocks ------------------------------------------------------------------------------


def spans(count: int, each: int) -> Iterator[tuple[int, int]]:
    """From where to where to read, so that a block of items of `each` bytes stays small."""
    size = max(1, BLOCK // max(1, each))
    for begin in range(0, count, size):
        yield begin, min(count, begin + size)


def pieces(ragged: Ragged, block: int = BLOCK) -> Iterator[tuple[int, int]]:
    """`spans` of items of unequal length: each block holds at least one."""
    count, begin = len(ragged), 0
    most = max(1, block // max(1, ragged.flat[:1].nbytes))
    while begin < count:
        reach = int(np.searchsorted(ragged.offsets, ragged.offsets[begin] + most, "right")) - 1
        end = min(count, max(begin + 1, reach), begin + 2**20)
        yield begin, end
        begin = end


def evenly(array: Floats, most: int) -> Floats:
    """At most so many of an array's rows, spread over all of it."""
    if len(array) <= most:
        return array
    return np.asarray(array[np.linspace(0, len(array) - 1, most).astype(np.int64)])


def _pairs(one: list[int], other: list[int]) -> Rows:
    found = np.array([one, other], np.int64).T.reshape(-1, 2)
    found = np.sort(found, axis=1)
    return found[np.lexsort((found[:, 1], found[:, 0]))]
