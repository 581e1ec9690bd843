"""Recordings, with what folders or a table say of them → waveforms, end to end in one array.

The headers are read first: they tell the rate and how long each is. Then each recording is decoded,
mixed down to one channel and resampled, block by block, so that a long one takes no more memory
than a short one. The jobs' results are joined in the order of the files.
"""

from __future__ import annotations

import io
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.catalog import BadInput
from engine.data import embedded
from engine.data.archive import (
    Entry,
    Read,
    Source,
    Unreadable,
    listing,
    one_line,
    require_space,
)
from engine.data.arrays import Items, RaggedWriter
from engine.data.crew import Crew, Pace, processors
from engine.data.files import PREFIX, Trouble, items, judge, look
from engine.data.labelled import ending, lay_out
from engine.data.limits import LIMITS
from engine.data.options import ImportOptions, Step, step

if TYPE_CHECKING:
    import soundfile

FILES = "WAV, FLAC, OGG or MP3 files"
ENDINGS = {".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3"}
FOREIGN = {
    ".m4a", ".aac", ".mp4", ".m4b", ".wma", ".amr", ".3gp", ".webm", ".aif", ".aiff", ".aifc",
    ".au", ".caf", ".ape", ".wv", ".mka", ".ra", ".mid", ".midi", ".mp2", ".ac3", ".w64", ".sph",
}  # fmt: skip
"""Recordings that aren't read here: leaving them out unsaid would lose data."""

USUAL_RATE = 16_000
"""Samples a second: what speech models hear; recordings that share a lower rate keep it."""
SHORTEST = 0.01
"""Seconds below which nothing can be heard."""
SLOWEST, FASTEST = 1000, 768_000
"""Samples a second that a recording may have."""
FEW_FILES, FEW_BYTES = 200, 8 * 2**20
"""Below both, decoding takes less time than starting processes for it."""
HEADERS = 200
"""Headers that one job reads."""
BLOCK = 8 * 2**20
"""Bytes of files that one job decodes."""
SAMPLES = 2**18
"""Samples of all channels that are decoded at a time."""
MEMORY = 2**30
"""Bytes of files that all processes together hold at a time."""

Samples = npt.NDArray[np.int16]


class NotSound(Exception):
    """Bytes that can't be decoded; the message says how, in words that follow a name."""


def is_sound(entry: Entry) -> bool:
    """Whether it must be read, or refused: by its ending."""
    return ending(entry) in ENDINGS or ending(entry) in FOREIGN


# --- one recording --------------------------------------------------------------------------


class Header(NamedTuple):
    """What a recording says of itself before it is decoded."""

    rate: int
    frames: int
    """Samples of each channel; 0 where only decoding tells."""


def header(data: bytes, size: int) -> Header:
    """The rate and length of a recording of `size` bytes that begins with `data`.

    `NotSound` if it isn't one, or is too long.
    """
    with _opened(data) as sound:
        frames = _frames(sound)
        if sound.format in ("WAV", "WAVEX", "RF64"):
            # Of a part of a file, libsndfile says how long the part is.
            begin, said = _samples_at(data)
            whole = size - begin if said is None else said
            if size > len(data):
                frames = round(frames * max(whole, 1) / max(1, len(data) - begin))
        elif len(data) < size and sound.format == "OGG":
            frames = 0
        _not_too_long(frames, sound.samplerate)
        return Header(sound.samplerate, frames)


def decode(data: bytes, rate: int) -> Samples:
    """A recording as int16 samples of one channel, `rate` a second. `NotSound` if it can't be.

    Channels are averaged. 16-bit samples of one channel at that rate come through unchanged.
    """
    import soxr

    with _opened(data) as sound:
        if _cut(data, sound):
            raise NotSound("is cut short")
        frames, own = _frames(sound), sound.samplerate
        _not_too_long(frames, own)
        most = LIMITS.sound_seconds * own
        resample = soxr.ResampleStream(own, rate, 1, dtype="float32") if own != rate else None
        pieces: list[Samples] = []
        count = 0
        size = max(1, SAMPLES // sound.channels)
        while True:
            block = sound.read(size, dtype="float32", always_2d=True)
            count += len(block)
            if count > most:  # more than its header says
                raise NotSound(_too_long(count / own))
            if not np.isfinite(block).all():
                raise NotSound("has samples that are no numbers (NaN)")
            np.clip(block, -1, 1, out=block)  # floats can be anything
            last = len(block) < size
            mono = block[:, 0] if sound.channels == 1 else block.mean(axis=1)
            if resample is not None:
                mono = resample.resample_chunk(np.ascontiguousarray(mono), last=last)
            # 2^15, as libsndfile divides 16-bit samples by it: those come back as they were.
            pieces.append(np.clip(np.rint(mono * 32768), -32768, 32767).astype(np.int16))
            if last:
                break
        if not count:
            raise NotSound("has no sound in it, only a header")
        if count < 0.98 * frames:
            raise NotSound("is cut short")
        if count < SHORTEST * own:
            samples = "1 sample" if count == 1 else f"{count} samples"
            raise NotSound(f"has only {samples}: nothing can be heard in it")
        return np.concatenate(pieces)


@contextmanager
def _opened(data: bytes) -> Iterator[soundfile.SoundFile]:
    import soundfile

    _recognised(data)
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as sound:
            if not SLOWEST <= sound.samplerate <= FASTEST:
                raise NotSound(f"says that it has {sound.samplerate:,} samples a second")
            if not _frames(sound):
                # soundfile would seek to where it has read to, which fails at an unknown end.
                sound.seekable = lambda: False
            yield sound
    except (soundfile.LibsndfileError, RuntimeError, ValueError, OSError) as problem:
        said = str(problem)
        # What is left out at the end is missed in the middle of decoding.
        cut = ("lost sync", "malformed", "Malformed", "psf_fseek", "not a regular", "unimplemented")
        damaged = "is cut short or damaged" if any(w in said for w in cut) else "is damaged"
        raise NotSound(damaged) from None


def _recognised(data: bytes) -> None:
    """Refuse what isn't one of the four by its first bytes, whatever libsndfile might try."""
    if not data:
        raise NotSound("is empty")
    if data[:4] in (b"RIFF", b"RF64") and data[8:12] == b"WAVE":
        return
    if data.startswith((b"fLaC", b"OggS", b"ID3")):
        return
    if len(data) > 1 and data[0] == 0xFF and data[1] & 0xE6 in (0xE2, 0xE4, 0xE6):  # MPEG layer 3…1
        return
    if data.startswith(b"version https://git-lfs"):
        raise NotSound(
            "is a Git LFS pointer, not the recording: fetch the recordings with git lfs pull"
        )
    for magic, what in (
        (b"\x89PNG", "a PNG image"), (b"\xff\xd8\xff", "a JPEG image"), (b"GIF8", "a GIF image"),
        (b"PK\3\4", "a zip"), (b"FORM", "an AIFF recording"), (b"%PDF", "a PDF"),
        (b"\x1aE\xdf\xa3", "a WebM or Matroska file"), (b"caff", "a CAF recording"),
    ):  # fmt: skip
        if data.startswith(magic):
            raise NotSound(f"is {what}, whatever its name says: save it as WAV, FLAC, OGG or MP3")
    if data[4:8] == b"ftyp":
        raise NotSound("is an M4A or MP4 file: save it as WAV, FLAC, OGG or MP3")
    raise NotSound("is not a WAV, FLAC, OGG or MP3 recording")


def _frames(sound: soundfile.SoundFile) -> int:
    """Samples of each channel that the header announces; 0 where it leaves that open."""
    # libsndfile says the most there is of a FLAC that was written to a pipe.
    return sound.frames if sound.frames < 2**62 else 0


def _not_too_long(frames: int, rate: int) -> None:
    if frames > LIMITS.sound_seconds * rate:
        raise NotSound(_too_long(frames / rate))


def _too_long(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    long = f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
    return (
        f"is {long} long, and {LIMITS.sound_seconds:,} seconds are the most: cut it into shorter "
        "recordings, or set ANNEAL_LIMIT_SOUND_SECONDS"
    )


def _samples_at(data: bytes) -> tuple[int, int | None]:
    """Where the samples of a WAV begin, and how many bytes its header says they are.

    None where it leaves that open. Chunks before them can hold anything, “data” too.
    """
    place = 12
    while place + 8 <= len(data):
        name, size = data[place : place + 4], int.from_bytes(data[place + 4 : place + 8], "little")
        if name == b"data":
            # Programs that write to a pipe don't know yet, and say nothing or the most.
            known = 0 < size < 0xFFFFFF00 and data[:4] == b"RIFF"
            return place + 8, size if known else None
        place += 8 + size + size % 2
    return min(place, len(data)), None


def _cut(data: bytes, sound: soundfile.SoundFile) -> bool:
    """Whether a WAV or OGG announces more bytes than there are: libsndfile says nothing of it."""
    if sound.format == "OGG":
        page = data.rfind(b"OggS")
        segments = data[page + 27 : page + 27 + data[page + 26]] if page + 26 < len(data) else b""
        return page + 27 + len(segments) + sum(segments) > len(data)
    if not sound.format.startswith("WAV"):
        return False
    begin, said = _samples_at(data)
    return said is not None and begin + said > len(data) + 1


# --- what a process does --------------------------------------------------------------------


class Decoded(NamedTuple):
    """The samples of some files, end to end in `file`."""

    job: int
    file: Path
    lengths: list[int]
    """Of each file; −1 where there is trouble."""
    trouble: list[Trouble]


def length(read: Read, entry: Entry) -> tuple[int, float]:
    """A recording's rate, and its seconds as far as its header tells."""
    if entry.size > LIMITS.file_bytes:
        raise Unreadable(
            f"is larger than {LIMITS.file_bytes // 2**20} MB: cut it into shorter ones"
        )
    try:
        try:
            found = header(read(entry, PREFIX), entry.size)
        except NotSound:
            if entry.size <= PREFIX:
                raise
            found = header(read(entry, None), entry.size)
    except NotSound as problem:
        raise Unreadable(str(problem)) from None
    return found.rate, found.frames / found.rate


def convert(
    source: Source, job: int, files: Sequence[tuple[int, Entry]], rate: int, scratch: Path
) -> Decoded:
    """Decode some files, each given with its number, to one file in `scratch`."""
    lengths: list[int] = []
    trouble: list[Trouble] = []
    path = scratch / f"{job}.waves"
    with source.reading() as read, path.open("wb") as out:
        for number, entry in files:
            try:
                samples = decode(read(entry, None), rate)
                samples.tofile(out)
                lengths.append(len(samples))
            except (Unreadable, NotSound) as problem:
                lengths.append(-1)
                trouble.append(Trouble(number, str(problem)))
    return Decoded(job, path, lengths, trouble)


# --- the import -----------------------------------------------------------------------------


def read(
    sources: Sequence[Path], into: Path, scratch: Path, options: ImportOptions
) -> Generator[Step, None, Items]:
    """Import an archive, a folder or Parquet tables of recordings; see `imports.Reader`."""
    opened: Source
    if tables := embedded.tables_in(sources):
        opened, layout = yield from embedded.unpack(
            tables, scratch, options, noun="recordings", transcripts=True
        )
    elif len(sources) > 1:
        raise BadInput(
            f"{one_line(sources[0].name)} and {one_line(sources[1].name)}: recordings come in one "
            "archive or folder: pack all of them into one, with a table if there is one"
        )
    else:
        opened, entries = yield from listing(sources[0], scratch)
        layout = lay_out(
            opened, entries, sources[0].name,
            wanted=is_sound, noun="recordings", files=FILES, options=options, transcripts=True,
        )  # fmt: skip
    said, files = layout.warnings, layout.files
    small = len(files) < FEW_FILES and sum(e.size for e in files) < FEW_BYTES
    largest = max(min(e.size, LIMITS.file_bytes) for e in files)
    size = min(processors(), 8, max(1, MEMORY // max(largest, 1)))
    with Crew(0 if small else size, log=scratch / "crew.log") as crew:
        fingerprint, headers, trouble = yield from look(
            crew, opened, layout, length, numbers=2, each=HEADERS, noun="recordings"
        )
        kept = judge(trouble, files, np.arange(len(files)), "recordings", options, said)
        rates, seconds = headers[kept].T
        rate = options.rate or rate_of(rates.astype(np.int64).tolist())
        require_space(into, int(2.2 * rate * seconds.sum()))
        trouble = yield from _fill(crew, opened, files, kept.tolist(), rate, into, scratch)
    kept = judge(trouble, files, kept, "recordings", options, said)
    if layout.transcripts is not None:
        with RaggedWriter(into, "transcripts") as out:
            for n in kept.tolist():
                out.add_text(layout.transcripts[n])
    return items(
        "sound", fingerprint, layout, kept, "recordings",
        rate=rate, transcribed=layout.transcripts is not None,
    )  # fmt: skip


def rate_of(rates: Sequence[int]) -> int:
    """Samples a second for recordings of such rates: their own where it is one and not high."""
    common = set(rates)
    return min(common) if len(common) == 1 and min(common) <= USUAL_RATE else USUAL_RATE


def _fill(
    crew: Crew,
    source: Source,
    files: Sequence[Entry],
    numbers: Sequence[int],
    rate: int,
    into: Path,
    scratch: Path,
) -> Generator[Step, None, list[Trouble]]:
    """Decode the files of those numbers, in their order, to `waves`; those that can't be."""
    jobs: list[partial[Decoded]] = []
    some_files: list[tuple[int, Entry]] = []
    size = 0
    for number in numbers:
        some_files.append((number, files[number]))
        size += files[number].size
        if size >= BLOCK:
            jobs.append(partial(convert, source, len(jobs), some_files, rate, scratch))
            some_files, size = [], 0
    if some_files:
        jobs.append(partial(convert, source, len(jobs), some_files, rate, scratch))
    trouble: list[Trouble] = []
    waiting: dict[int, Decoded] = {}
    done, pace, turn = 0, Pace(), 0
    with RaggedWriter(into, "waves") as out, closing(crew.share(jobs)) as results:
        for result in results:
            if result is not None:
                waiting[result.job] = result
                done += len(result.lengths)
            while turn in waiting:  # jobs end in any order, recordings stay in theirs
                decoded = waiting.pop(turn)
                _join(decoded, out)
                trouble += decoded.trouble
                turn += 1
            if pace.due():
                text = f"Decoding {done:,} of {len(numbers):,} recordings"
                yield step(0.3 + 0.65 * done / max(len(numbers), 1), text)
    return trouble


def _join(decoded: Decoded, out: RaggedWriter) -> None:
    """Move a job's samples to the end of the array."""
    with decoded.file.open("rb") as file:
        for length in decoded.lengths:
            if length >= 0:
                samples: npt.NDArray[Any] = np.fromfile(file, np.int16, length)
                out.add(samples)
    decoded.file.unlink()
