"""Recordings become waveforms of one rate, whatever they were, and a bad one is named."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import soundfile
from conftest import picture

from engine.catalog import BadInput
from engine.data import sound
from engine.data.imports import bring_in

RATE = 8000


def wave(number: int = 0, seconds: float = 0.2, rate: int = RATE, channels: int = 1) -> np.ndarray:
    """A tone, another for each number: int16 (frames,) or (frames, channels)."""
    time = np.arange(round(seconds * rate)) / rate
    tone = np.sin(2 * np.pi * (300 + 40 * number) * time) * 20_000
    one = np.rint(tone).astype(np.int16)
    return one if channels == 1 else np.stack([one] * channels, axis=1)


def recorded(samples: Any, file_format: str = "WAV", rate: int = RATE, **how: Any) -> bytes:
    """A recording's bytes."""
    out = io.BytesIO()
    soundfile.write(out, np.asarray(samples), rate, format=file_format, **how)
    return out.getvalue()


def folders(*classes: str, each: int = 4, top: str = "", **how: Any) -> dict[str, bytes]:
    return {
        f"{top}{name}/{i}.wav": recorded(wave(10 * n + i), **how)
        for n, name in enumerate(classes)
        for i in range(each)
    }


# --- what arrives ---------------------------------------------------------------------------


@pytest.mark.parametrize("processes", [False, True])
def test_every_sample_arrives_under_its_name_and_label(pack, take, monkeypatch, processes):
    monkeypatch.setattr(sound, "FEW_FILES", 0 if processes else 1000)
    monkeypatch.setattr(sound, "BLOCK", 5000)
    monkeypatch.setattr(sound, "HEADERS", 3)
    files = folders("yes", "no", each=8)
    data, said = take(pack(files))
    assert (said.card, said.provides) == ("ImportedSound", ("audio", "label"))
    assert data.manifest.rate == RATE
    assert sorted(data.names) == sorted(files)
    waves = data.ragged("waves")
    for i, name in enumerate(data.names):
        expected, _ = soundfile.read(io.BytesIO(files[name]), dtype="int16")
        np.testing.assert_array_equal(waves[i], expected)
        assert data.classes[data.labels[i]] == name.split("/")[0]
    assert not said.warnings


def test_given_splits_are_kept(pack, take):
    files = folders("a", "b", each=10, top="train/") | folders("a", "b", top="test/")
    data, _ = take(pack(files))
    assert data.version.counts == {"train": (9, 9), "validation": (1, 1), "test": (4, 4)}


@pytest.mark.parametrize(
    ("file_format", "how"),
    [("WAV", {}), ("WAV", {"subtype": "FLOAT"}), ("WAV", {"subtype": "PCM_24"}),
     ("WAV", {"subtype": "ULAW"}), ("FLAC", {}), ("OGG", {}), ("OGG", {"subtype": "OPUS"}),
     ("MP3", {})],
)  # fmt: skip
def test_each_format_is_read(pack, take, file_format, how):
    tone = wave(seconds=0.5)
    content = recorded(tone, file_format, **how)
    files = {f"{c}/{i}.{file_format.lower()}": content for c in "ab" for i in range(3)}
    data, _ = take(pack(files))
    got = data.ragged("waves")[0]
    assert abs(len(got) - len(tone)) <= 0.05 * len(tone)
    spectrum = np.abs(np.fft.rfft(got))
    assert abs(np.argmax(spectrum) * RATE / len(got) - 300) < 10


def test_channels_are_averaged(pack, take):
    left, right = wave(0), wave(5)
    content = recorded(np.stack([left, right], axis=1))
    data, _ = take(pack({f"{c}/{i}.wav": content for c in "ab" for i in range(3)}))
    mean = (left.astype(int) + right) / 2
    assert np.abs(data.ragged("waves")[0] - mean).max() <= 1


@pytest.mark.parametrize(("rate", "channels"), [(192_000, 1), (44_100, 8), (4000, 2)])
def test_other_rates_are_resampled_once(pack, take, rate, channels):
    files = folders("a", "b") | {
        "a/other.wav": recorded(wave(seconds=1, rate=rate, channels=channels), rate=rate)
    }
    data, _ = take(pack(files))
    assert data.manifest.rate == 16_000
    got = data.ragged("waves")[data.names.index("a/other.wav")]
    assert abs(len(got) - 16_000) <= 2
    time = np.arange(len(got)) / 16_000
    expected = np.sin(2 * np.pi * 300 * time) * 20_000
    assert np.abs(got - expected)[200:-200].max() < 200


def test_the_rate_can_be_chosen(pack, take):
    data, _ = take(pack(folders("a", "b")), rate=4000)
    assert data.manifest.rate == 4000
    assert set(data.ragged("waves").lengths) == {800}


@pytest.mark.parametrize(
    ("rates", "chosen"),
    [([8000, 8000], 8000), ([16_000], 16_000), ([44_100], 16_000), ([8000, 11_025], 16_000)],
)
def test_a_rate_that_all_share_is_kept_unless_it_is_high(rates, chosen):
    assert sound.rate_of(rates) == chosen


def test_a_long_recording_is_the_same_block_by_block(monkeypatch):
    content = recorded(wave(seconds=3, rate=44_100), rate=44_100)
    whole = sound.decode(content, 16_000)
    monkeypatch.setattr(sound, "SAMPLES", 1000)
    assert np.abs(sound.decode(content, 16_000).astype(int) - whole).max() <= 1


# --- transcripts ----------------------------------------------------------------------------


def told(**more: str) -> dict[str, bytes]:
    files = {f"clips/{i}.wav": recorded(wave(i)) for i in range(10)}
    rows = "\n".join(f"{i}.wav,say “{i}”,s{i % 3}" for i in range(10))
    table = f"file,transcript,speaker\n{rows}\n" + "".join(
        f"{name},{text},s0\n" for name, text in more.items()
    )
    return files | {"transcripts.csv": table.encode()}


def test_transcripts_lie_beside_the_recordings(pack, take):
    data, said = take(pack(told()), group="speaker")
    assert said.provides == ("audio", "transcript")
    assert data.labels is None
    texts = data.ragged("transcripts")
    for row, name in enumerate(data.names):
        assert texts.text(row) == f"say “{name[6]}”"
    speakers = np.array(data.group("speaker"))
    parts = [set(speakers[data.rows(split)]) for split in ("train", "validation", "test")]
    assert sum(map(len, parts)) == 3


def test_json_lines_with_transcripts_and_labels(pack, take):
    files = {f"{i}.wav": recorded(wave(i)) for i in range(10)}
    rows = [{"file_name": n, "text": f"t{n}", "label": "ab"[i % 2]} for i, n in enumerate(files)]
    lines = "\n".join(map(json.dumps, rows)).encode()
    data, said = take(pack(files | {"metadata.jsonl": lines}))
    assert said.provides == ("audio", "label", "transcript")
    assert data.ragged("transcripts").text(3) == "t3.wav"


def test_a_transcript_of_a_missing_file_is_named(pack, take):
    path = pack(told(**{"gone.wav": "hello"}))
    with pytest.raises(
        BadInput, match=r"transcripts.csv, row 12: there is no file “gone.wav”"
    ) as p:
        take(path)
    assert p.value.field == "skip_broken"
    data, said = take(path, skip_broken=True)
    assert len(data) == 10
    assert any("“gone.wav”" in warning for warning in said.warnings)


def test_a_blank_transcript_is_named(pack, take):
    files = told() | {"clips/x.wav": recorded(wave())}
    files["transcripts.csv"] += b"x.wav, ,s1\n"
    with pytest.raises(BadInput, match=r"row 12, column “transcript”: “clips/x.wav” has no"):
        take(pack(files))


def test_recordings_without_folders_or_table_are_refused(pack, take):
    with pytest.raises(BadInput, match=r"has no class folders.*columns file and label"):
        take(pack({f"{i}.wav": recorded(wave(i)) for i in range(6)}))
    with pytest.raises(BadInput, match="names files and has no column label or transcript"):
        take(pack({"0.wav": recorded(wave()), "t.csv": b"file,length,rate\n0.wav,1,2\n"}))


# --- broken files ---------------------------------------------------------------------------


def hole() -> np.ndarray:
    samples = np.zeros(1000, np.float32)
    samples[500] = np.nan
    return samples


TONE = recorded(wave())
BROKEN = {
    "empty.wav": (b"", "is empty"),
    "header.wav": (recorded(np.zeros(0, np.int16)), "has no sound in it, only a header"),
    "one.wav": (recorded(np.ones(1, np.int16)), "has only 1 sample: nothing can be heard"),
    "cut.wav": (TONE[: len(TONE) // 2], "is cut short"),
    "cut.flac": (recorded(wave(seconds=1), "FLAC")[:3000], "is cut short"),
    "cut.ogg": (recorded(wave(seconds=1), "OGG")[:3000], "is cut short"),
    "cut.mp3": (recorded(wave(seconds=2), "MP3")[:2000], "is cut short"),
    "stub.wav": (TONE[:20], "is cut short or damaged"),
    "nan.wav": (recorded(hole(), subtype="FLOAT"), "has samples that are no numbers"),
    "picture.wav": (picture(), "is a PNG image, whatever its name says"),
    "text.mp3": (b"hello " * 100, "is not a WAV, FLAC, OGG or MP3 recording"),
    "phone.m4a": (b"\0\0\0\x20ftypM4A " + bytes(100), "is an M4A or MP4 file: save it as WAV"),
    "lfs.wav": (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_recording_that_cannot_be_read_is_named_and_can_be_left_out(pack, take, name):
    content, sentence = BROKEN[name]
    path = pack(folders("a", "b") | {f"a/{name}": content})
    with pytest.raises(
        BadInput, match=f"1 of 9 recordings can't be read: “a/{name}” {sentence}"
    ) as p:
        take(path)
    assert p.value.field == "skip_broken"
    data, said = take(path, skip_broken=True)
    assert len(data) == 8
    assert any(f"“a/{name}” {sentence}" in warning for warning in said.warnings)
    tones = folders("a", "b")
    for row, kept in enumerate(data.names):
        expected, _ = soundfile.read(io.BytesIO(tones[kept]), dtype="int16")
        np.testing.assert_array_equal(data.ragged("waves")[row], expected)


def test_nothing_but_broken_files_is_refused_even_when_such_are_left_out(pack, take):
    files = {f"{c}/{i}.wav": b"" for c in "ab" for i in range(3)}
    with pytest.raises(BadInput, match="None of the 6 recordings can be read"):
        take(pack(files), skip_broken=True)
    short = {f"{c}/{i}.wav": recorded(np.ones(1, np.int16)) for c in "ab" for i in range(3)}
    with pytest.raises(BadInput, match="None of the 6 recordings can be read"):
        take(pack(short), skip_broken=True)


@pytest.mark.parametrize("file_format", ["WAV", "FLAC"])
def test_three_hours_are_refused_without_being_decoded(pack, take, monkeypatch, file_format):
    silence = np.zeros(3 * 3600 * 1000, np.int16)
    content = recorded(
        silence, file_format, rate=1000, subtype="PCM_S8" if file_format == "FLAC" else "PCM_U8"
    )
    monkeypatch.setattr(sound, "decode", None)
    path = pack(folders("a", "b") | {f"a/long.{file_format.lower()}": content})
    with pytest.raises(
        BadInput, match=r"“a/long.* is 3 h 0 min long, and 600 seconds are the most: cut it"
    ):
        take(path)


def test_a_header_that_lies_about_the_length_is_not_believed(pack, take):
    short = bytearray(recorded(wave(seconds=1), "FLAC"))
    # STREAMINFO's count of samples: 36 bits from byte 21 on. 8000 → 4000, and 0 for unknown.
    for said, length in ((4000, 4000), (0, 8000)):
        short[22:26] = said.to_bytes(4, "big")
        data, _ = take(pack(folders("a", "b") | {"a/liar.flac": bytes(short)}))
        assert len(data.ragged("waves")[data.names.index("a/liar.flac")]) == length
    short[22:26] = (9000).to_bytes(4, "big")
    with pytest.raises(BadInput, match=r"“a/liar.flac” is cut short or damaged"):
        take(pack(folders("a", "b") | {"a/liar.flac": bytes(short)}))


def test_a_chunk_may_hold_the_word_data(pack, take):
    plain = recorded(wave())
    comment = b"data\xff\xff\xff\x7f"
    note = b"LIST" + (20).to_bytes(4, "little") + b"INFOICMT\x08\0\0\0" + comment
    noted = plain[:36] + note + plain[36:]
    noted = noted[:4] + (len(noted) - 8).to_bytes(4, "little") + noted[8:]
    data, _ = take(pack(folders("a", "b") | {"a/noted.wav": noted}))
    np.testing.assert_array_equal(data.ragged("waves")[data.names.index("a/noted.wav")], wave())
    # The length of a recording beyond the beginning that is read of it is known all the same.
    long = recorded(wave(seconds=10))
    noted = long[:36] + b"LIST" + (30_000).to_bytes(4, "little") + bytes(30_000) + long[36:]
    assert sound.header(noted[:60_000], len(noted)).frames == 80_000


def test_a_file_that_goes_on_and_on_is_stopped(monkeypatch):
    monkeypatch.setattr(sound, "_not_too_long", lambda frames, rate: None)  # its header said less
    limits = sound.LIMITS.model_copy(update={"sound_seconds": 1})
    monkeypatch.setattr(sound, "LIMITS", limits)
    with pytest.raises(sound.NotSound, match="is 0 min 2 s long, and 1 seconds are the most"):
        sound.decode(recorded(wave(seconds=2)), RATE)


def test_a_cancelled_import_leaves_no_file_and_no_process(pack, tmp_path, monkeypatch):
    monkeypatch.setattr(sound, "FEW_FILES", 0)
    path = pack(folders("a", "b", each=20))
    before = set(psutil.Process().children())
    for stop_at in ("Looking", "Decoding"):
        steps = bring_in(path, tmp_path / "1", kind="sound")
        for said in steps:
            if said.text.startswith(stop_at):
                break
        steps.close()
        assert set(psutil.Process().children()) == before
        assert not list(tmp_path.glob("1*"))


def test_progress_rises_to_the_end(pack, tmp_path):
    *steps, _ = bring_in(pack(folders("a", "b")), tmp_path / "1", kind="sound")
    shares = [step.done / step.total for step in steps]
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_a_full_disk_is_said_before_anything_is_decoded(pack, take, monkeypatch):
    free = type("Usage", (), {"free": 2**20})()
    monkeypatch.setattr("shutil.disk_usage", lambda _: free)
    with pytest.raises(BadInput, match="1 MB are free: make room"):
        take(pack(folders("a", "b")))


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({}, "is empty"),
        ({"inner.zip": b"PK"}, "holds only other archives"),
        ({"notes.pdf": b"x"}, "holds no recordings"),
        (folders("x" * 256, "b"), "more than 255 bytes"),
    ],
)
def test_what_is_missing_is_said(pack, take, files, sentence):
    with pytest.raises(BadInput, match=sentence):
        take(pack(files), kind="sound")


def test_recordings_in_a_parquet_table_are_read(tmp_path: Path, take):
    from test_labelled import parquet

    contents = [recorded(wave(i)) for i in range(8)]
    path = parquet(tmp_path / "a.parquet", contents, column="audio", sentence=list("abcdefgh"),
                   speaker=["x", "y"] * 4)  # fmt: skip
    data, said = take(path)
    assert said.provides == ("audio", "transcript")
    assert data.manifest.groups == ("speaker",)
    for i in range(8):
        np.testing.assert_array_equal(data.ragged("waves")[i], wave(i))
        assert data.ragged("transcripts").text(i) == "abcdefgh"[i]
