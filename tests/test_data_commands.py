"""Every kind of data from the command line: brought in, looked at, mended, trained on."""

from __future__ import annotations

import gzip
import io
import json
import wave
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.test_app import Terminal


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path / "home")


def picture(number: int) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (12, 12, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def tone(pitch: float, rate: int = 8000) -> bytes:
    """A quarter of a second as a WAV file."""
    samples = np.sin(np.arange(rate // 4) * 2 * np.pi * pitch / rate) * 12_000
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(samples.astype("<i2").tobytes())
    return out.getvalue()


def zipped(path: Path, files: Mapping[str, bytes | str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


SENTENCES = [f"sentence number {i} of the table, {'a joy' if i % 2 else 'a bore'}"
             for i in range(40)]  # fmt: skip
ROWS = [(text, "good" if i % 2 else "bad") for i, text in enumerate(SENTENCES)]


def made(folder: Path) -> dict[str, list[Path]]:
    """A small example of everything that is accepted, by a name."""
    pictures = {f"{c}/{i}.png": picture(100 * n + i) for n, c in enumerate(("cat", "dog"))
                for i in range(6)}  # fmt: skip
    flat = {f"img/{i}.png": picture(i) for i in range(12)}
    naming = "file_name,label\n" + "".join(f"img/{i}.png,{'ab'[i % 2]}\n" for i in range(12))
    lines = "".join(json.dumps({"file": f"img/{i}.png", "label": "ab"[i % 2]}) + "\n"
                    for i in range(12))  # fmt: skip
    tones = {f"{name}/{i}.wav": tone(300 * (n + 1) + i) for n, name in enumerate(("low", "high"))
             for i in range(6)}  # fmt: skip
    spoken = {f"clips/{i}.wav": tone(200 + i) for i in range(12)}
    transcripts = "file,transcript\n" + "".join(f"clips/{i}.wav,number {i}\n" for i in range(12))
    csv = "text,label\n" + "".join(f'"{t}",{label}\n' for t, label in ROWS)
    steps = "sequence,step,x,label\n" + "".join(
        f"s{i},{t},{i + t},{'up' if i % 2 else 'down'}\n" for i in range(12) for t in range(2 + i)
    )
    ts = (
        "@problemName walk\n@univariate true\n@equalLength false\n@classLabel true up down\n@data\n"
    )
    ts += "".join(",".join(str(i + t) for t in range(2 + i)) + f":{'up' if i % 2 else 'down'}\n"
                  for i in range(12))  # fmt: skip
    english, german = ([f"{word} {i}" for i in range(40)] for word in ("house", "Haus"))
    folder.mkdir()

    def text(name: str, content: str, encoding: str = "utf-8") -> Path:
        (folder / name).write_bytes(content.encode(encoding))
        return folder / name

    np.savez(folder / "steps.npz", x=np.random.rand(12, 5, 2), y=np.arange(12) % 2)
    for name, lines_ in (("t.en.gz", english), ("t.de.gz", german)):
        (folder / name).write_bytes(gzip.compress("\n".join(lines_).encode()))
    for name, content in pictures.items():
        path = folder / "pets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"text": SENTENCES, "label": [label for _, label in ROWS]}),
                   folder / "reviews.parquet")  # fmt: skip
    return {
        "images zip": [zipped(folder / "pets.zip", pictures)],
        "images folder": [folder / "pets"],
        "images csv": [zipped(folder / "named.zip", {**flat, "labels.csv": naming})],
        "images jsonl": [zipped(folder / "lines.zip", {**flat, "labels.jsonl": lines})],
        "text csv": [text("reviews.csv", csv)],
        "text tsv": [text("reviews.tsv", "text\tlabel\n"
                          + "".join(f"{t}\t{label}\n" for t, label in ROWS))],
        "text jsonl": [text("reviews.jsonl", "".join(
            json.dumps({"text": t, "label": label}) + "\n" for t, label in ROWS))],
        "text parquet": [folder / "reviews.parquet"],
        "text utf-16": [text("wide.csv", csv.replace("joy", "plaisir à moitié"), "utf-16")],
        "text gb18030": [text("zh.csv", "文本,标签\n" + "".join(
            f"第{i}句话，这部电影{'很好看' if i % 2 else '太无聊'},{'好' if i % 2 else '坏'}\n"
            for i in range(40)), "gb18030")],
        "text folders": [zipped(folder / "texts.zip", {
            f"{label}/{i}.txt": t for i, (t, label) in enumerate(ROWS)})],
        "text plain": [text("play.txt", "\n\n".join(
            f"Paragraph {i}. " + "To be or not to be, that is the question. " * 8
            for i in range(60)))],
        "pairs csv": [text("pairs.csv", "source,target\n" + "".join(
            f"{a},{b}\n" for a, b in zip(english, german, strict=True)))],
        "pairs files": [folder / "t.en.gz", folder / "t.de.gz"],
        "sound folders": [zipped(folder / "tones.zip", tones)],
        "sound csv": [zipped(folder / "spoken.zip", {**spoken, "transcripts.csv": transcripts})],
        "sequences csv": [text("steps.csv", steps)],
        "sequences npz": [folder / "steps.npz"],
        "sequences ts": [text("walk.ts", ts)],
    }  # fmt: skip


EXPECTED = {
    "images": (["cat", "dog"], 12), "text": (["bad", "good"], 40), "pairs": ([], 40),
    "sound": (["high", "low"], 12), "sequences": (["down", "up"], 12),
}  # fmt: skip
SPECIAL = {
    "images csv": (["a", "b"], 12), "images jsonl": (["a", "b"], 12),
    "text gb18030": (["坏", "好"], 40), "text plain": ([], None), "sound csv": ([], 12),
    "sequences npz": (["0", "1"], 12),
}  # fmt: skip


def test_every_kind_and_form_comes_in_and_is_told_by_itself(terminal, tmp_path):
    met = set()
    for name, paths in made(tmp_path / "files").items():
        kind = name.split()[0]
        classes, items = SPECIAL.get(name, EXPECTED[kind])
        # The first of each kind by the program as it is started.
        (said,) = (terminal.here if kind in met else terminal)("data", "add", *paths)
        met.add(kind)
        assert (said["kind"] or kind) == kind, name
        assert said["state"] == "ready", name
        assert said["classes"] == classes, name
        if items is not None:
            assert sum(map(sum, said["counts"].values())) == items, name
        (looked,) = terminal.here("data", "inspect", *paths)
        assert looked["kind"] == kind, name
    listed = terminal.here("data", "list")
    assert len(listed) == len(made(tmp_path / "again"))
    # What the pages' tasks would be given of it.
    assert {row["kind"] for row in listed} == set(EXPECTED)


def test_columns_are_found_and_can_be_corrected(terminal, tmp_path):
    path = tmp_path / "odd.csv"
    rows = "".join(f"note {i};this is what was said, number {i};{i % 3};{'ab'[i % 2]}\n"
                   for i in range(30))  # fmt: skip
    path.write_bytes(("hint;words;stars;mark\n" + rows).encode("latin-1"))
    (looked,) = terminal.here("data", "inspect", path)
    assert looked["delimiter"] == ";"
    assert looked["columns"] == ["hint", "words", "stars", "mark"]
    (said,) = terminal.here("data", "add", path, "--column", "text=hint", "--column", "label=stars")
    assert said["classes"] == ["0", "1", "2"]
    terminal.here("data", "add", path, "--column", "text=nothing", code=1)
    assert "nothing" in terminal.err
    assert "words" in terminal.err


def test_a_dataset_is_examined_mended_changed_and_its_versions_stay(terminal, tmp_path):
    path = tmp_path / "r.csv"
    rows = [*ROWS, ("sentence said twice", "Good"), ("sentence said twice", "Good")]
    path.write_text("text,label\n" + "".join(f'"{t}",{label}\n' for t, label in rows))
    (said,) = terminal.here("data", "add", path, "--seed", "1")
    number = said["dataset"]
    assert said["classes"] == ["bad", "Good", "good"]
    codes = {line["code"]: line for line in terminal.here("data", "doctor", number)}
    (spelling,) = [line for line in codes.values() if line["mend"] == "merges"]
    (changed,) = terminal.here("data", "doctor", number, "--mend", spelling["code"])
    assert changed["version"] == 2
    (row,) = terminal.here("data", "show", number)
    assert row["classes"] == ["bad", "good"]
    items = terminal.here("data", "items", number, "--label", "bad")
    assert {line["label"] for line in items} == {"bad"}
    assert items[0] == {"item": 0, "name": "row 2", "split": items[0]["split"], "label": "bad"}
    (changed,) = terminal.here("data", "relabel", number, "0", "1", "--label", "mixed")
    assert changed["version"] == 3
    (changed,) = terminal.here("data", "exclude", number, "2", "3")
    (changed,) = terminal.here("data", "split", number, "--seed", "4", "--test", "0.2")
    (changed,) = terminal.here("data", "restore", number, "2")
    (row,) = terminal.here("data", "show", number)
    assert row["version"] == 6
    assert row["classes"] == ["bad", "good"]
    assert [v["number"] for v in row["meta"]["versions"]] == [1, 2, 3, 4, 5, 6]
    terminal.here("data", "split", number, "--by", "speaker", code=1)
    assert "speaker" in terminal.err


def test_a_run_remembers_the_version_it_used(terminal, tmp_path):
    path = zipped(tmp_path / "pets.zip", {
        f"{c}/{i}.png": picture(100 * n + i) for n, c in enumerate(("cat", "dog", "dig"))
        for i in range(10)
    })  # fmt: skip
    terminal.here("data", "add", path)
    small = ("--set", "model.channels=4", "--set", "model.hidden=8", "--set", "method.epochs=1")
    terminal("train", "--data", "1", *small)
    terminal.here("data", "merge", "1", "dig", "--into", "dog")
    terminal("train", "--data", "1", *small)
    versions = [terminal.here("runs", "show", n)[0]["recipe"]["data"]["settings"]["version"]
                for n in (1, 2)]  # fmt: skip
    assert versions == [1, 2]
    # The old run's recipe can still be trained as it was.
    recipe = tmp_path / "recipe.json"
    recipe.write_text(json.dumps(terminal.here("runs", "show", 1)[0]["recipe"]))
    assert terminal("train", recipe)[-1]["state"] == "finished"


def test_what_cant_be_read_is_named_and_can_be_skipped(terminal, tmp_path):
    files = {
        f"{c}/{i}.wav": tone(200 + 100 * n) for n, c in enumerate(("a", "b")) for i in range(5)
    }
    path = zipped(tmp_path / "s.zip", {**files, "a/broken.wav": b"RIFF"})
    terminal.here("data", "add", path, code=1)
    assert "a/broken.wav" in terminal.err
    assert "--skip-broken" in terminal.err
    assert terminal.here("data", "list") == []
    (said,) = terminal.here("data", "add", path, "--skip-broken")
    assert sum(map(sum, said["counts"].values())) == 10


def test_without_a_network_the_sentence_says_what_to_do(terminal, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    terminal.here("data", "get", "hub:nobody/nothing", code=1)
    assert "network" in terminal.err
    assert terminal.here("data", "list") == []
    samples = terminal.here("data", "samples")
    assert {"sample", "torchvision"} <= {line["origin"].split(":")[0] for line in samples}
    terminal.here("data", "get", "sample:none", code=1)
    assert "none" in terminal.err
