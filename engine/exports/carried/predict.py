"""Says what the model beside this file makes of files: python predict.py FILE …

One line of JSON a file. ``model.json`` says what the model takes and gives; it is run by
onnxruntime where ``model.onnx`` lies here, else by PyTorch from ``model.pt2``. Nothing else is
needed but numpy, Pillow for pictures and tokenizers for texts.
"""

from __future__ import annotations

import argparse
import base64
import csv
import io
import json
import math
import sys
import wave
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
MOST_PIXELS = 89_478_485
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")
DEEP = ("I", "I;16", "I;16B", "I;16L", "I;16N", "F")
SEPARATORS = ("\t", ";", "|", ",", None)
BESIDE = ("sequence", "step", "label")
"""Columns that say something else than the features."""
NOTHING = 1
"""The token of an empty text: an unknown one."""
FIRST_WORD = 5
"""Tokens below this one are no text: padding, unknown, begin, end, blank."""


class Unreadable(Exception):
    """A file isn't what the model takes; the message says what it should be."""


# --- the model ------------------------------------------------------------------------------


Model = Callable[[dict[str, Any]], list[Any]]


def opened(about: dict[str, Any]) -> Model:
    """The model: arrays by name in, arrays out."""
    onnx = HERE / "model.onnx"
    if onnx.exists():
        import onnxruntime

        session = onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"])
        wanted = [given.name for given in session.get_inputs()]
        return lambda batch: list(session.run(None, {name: batch[name] for name in wanted}))

    import torch

    model = torch.export.load(HERE / "model.pt2").module()

    def answer(batch: dict[str, Any]) -> list[Any]:
        given = []
        for name in about["takes"]:
            array = batch[name]
            if name in ("values", "tokens", "target_tokens") and array.shape[1] < about["shortest"]:
                more = about["shortest"] - array.shape[1]
                array = np.pad(array, [(0, 0), (0, more)] + [(0, 0)] * (array.ndim - 2))
            given.append(torch.from_numpy(array))
        with torch.inference_mode():
            return [told.numpy() for told in model(*given)]

    return answer


# --- what it takes --------------------------------------------------------------------------


def picture(path: Path, about: dict[str, Any]) -> dict[str, Any]:
    """A picture as the run's own: scaled to cover, cut at the centre, 0…1, channels first."""
    from PIL import Image, ImageOps

    height, width, channels = about["shape"]
    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                raise Unreadable(f"it has more than {MOST_PIXELS:,} pixels")
            twice = 2 * max(height, width)
            if image.format == "JPEG" and min(image.size) > 2 * twice:
                image.draft(None, (twice, twice))
            # Pillow turns a TIFF by itself.
            found: Any = image if image.format == "TIFF" else ImageOps.exif_transpose(image)
            if found.mode in DEEP:
                found = shallow(found)
            elif found.has_transparency_data:
                found = (found if found.mode == "RGBA" else found.convert("RGBA")).convert("RGBa")
                factor = min(found.width // (4 * width), found.height // (4 * height))
                if factor > 1:
                    found = found.reduce(factor)
                found = Image.merge("RGB", found.split()[:3])
            found = found.convert("L" if channels == 1 else "RGB")
            if found.size != (width, height):
                found = ImageOps.fit(found, (width, height), Image.Resampling.BILINEAR)
    except Unreadable:
        raise
    except Exception as problem:  # Pillow raises anything at made-up bytes
        raise Unreadable(f"it is no picture that can be read ({problem})") from None
    pixels = np.asarray(found, np.uint8).reshape(height, width, channels)
    border = about.get("border")
    if border is not None and channels == 1:
        edges = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
        if abs(edges.mean() / 255 - border) >= 0.5:  # black on white, say, and the model the other
            pixels = 255 - pixels
    return {"images": (pixels.transpose(2, 0, 1)[None].astype(np.float32) / np.float32(255))}


def shallow(image: Any) -> Any:
    """Grey with more than 8 bits, as 8 bits."""
    from PIL import Image

    values = np.asarray(image).astype(np.float64)
    sixteen = image.mode not in ("I", "F")
    most = 1 if image.mode == "F" else 255
    if not sixteen and not (values.min() >= 0 and values.max() <= most):
        raise Unreadable(f"it has grey values outside 0…{most}: save it with 8 or 16 bits")
    scale = 1 / 257 if sixteen else 255 / most
    return Image.fromarray(np.rint(values * scale).astype(np.uint8))


def text(path: Path, about: dict[str, Any]) -> dict[str, Any]:
    """A text file's tokens; one that another is written from ends as such do."""
    try:
        said = path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise Unreadable("it isn't text in UTF-8") from None
    end = [about["ends"]] if about["tells"] == "text" else []
    ids, longest = words().encode(said).ids, about.get("longest")
    ids = [*(ids[: longest - len(end)] if longest else ids), *end] or [NOTHING]
    return {"tokens": np.array([ids], np.int64), "lengths": np.array([len(ids)], np.int64)}


@cache
def words() -> Any:
    """The tokenizer that lies here."""
    import tokenizers

    tokenizer = tokenizers.Tokenizer.from_file(str(HERE / "tokenizer.json"))
    tokenizer.encode_special_tokens = True  # a text that says “[EOS]” is a text like any other
    return tokenizer


def said_by(ids: Sequence[int]) -> str:
    """The text of tokens."""
    return str(words().decode([i for i in ids if i >= FIRST_WORD]))


def sequence(path: Path, about: dict[str, Any]) -> dict[str, Any]:
    """Rows of numbers, one a step, with or without a line of names."""
    (features,) = about["shape"]
    lines = path.read_text("utf-8-sig").splitlines()
    found: list[list[str]] = []
    for separator in SEPARATORS:
        cut = csv.reader(lines, delimiter=separator) if separator else map(str.split, lines)
        found = [[cell.strip() for cell in row] for row in cut if any(map(str.strip, row))]
        if found and (len(found[-1]) >= features > 1 or all(map(number, found[-1]))):
            break
    left_out: set[int] = set()
    if found and not any(map(number, found[0])):
        left_out = {i for i, name in enumerate(found.pop(0)) if name.lower() in BESIDE}
    try:
        rows = [[float(cell) for i, cell in enumerate(row) if i not in left_out and cell]
                for row in found]  # fmt: skip
        values = np.array(rows, np.float32).reshape(len(rows), features)
    except ValueError:
        raise Unreadable(f"it must hold {features} numbers on each line") from None
    if not len(values) or not np.isfinite(values).all():
        raise Unreadable("it must hold a line of finite numbers for each step")
    values = values[-about.get("context", len(values)) :]
    return {"values": values[None], "lengths": np.array([len(values)], np.int64)}


def number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def recording(path: Path, about: dict[str, Any]) -> dict[str, Any]:
    """Log-mel frames of a 16-bit WAV file at the rate that the model hears."""
    mel = about["mel"]
    try:
        with wave.open(str(path)) as file:
            rate, channels, width = file.getframerate(), file.getnchannels(), file.getsampwidth()
            raw = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as problem:
        raise Unreadable(f"it is no WAV file ({problem})") from None
    if rate != mel["rate"] or width != 2 or channels != 1:
        raise Unreadable(f"it must be a WAV file of one channel, 16 bits and {mel['rate']:,} "
                         "samples a second")  # fmt: skip
    samples = np.frombuffer(raw, "<i2").astype(np.float32) / 2**15
    hop = max(1, round(mel["rate"] * mel["step"] / 1000))
    long = 2 * max(1, round(mel["rate"] * mel["window"] / 2000))
    count = 1 + len(samples) // hop
    signal = np.zeros(max(long // 2 + len(samples), (count - 1) * hop + long), np.float32)
    signal[long // 2 : long // 2 + len(samples)] = samples
    cut = np.lib.stride_tricks.sliding_window_view(signal, long)[::hop][:count]
    bank = triangles(mel, long)
    hann = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(long) / long)).astype(np.float32)
    spectrum = np.fft.rfft(cut * (hann / hann.sum() * 2), 2 * (len(bank) - 1))
    power = (np.abs(spectrum) ** 2).astype(np.float32) @ bank
    frames = np.log(np.maximum(power, np.float32(mel["floor"]))).astype(np.float16)
    return {"values": frames.astype(np.float32)[None], "lengths": np.array([count], np.int64)}


def triangles(mel: dict[str, Any], long: int) -> Any:
    """Of each band over the power spectrum: (frequencies, bands)."""
    top = mel["rate"] / 2

    def on_scale(hertz: float) -> float:
        return 2595 * math.log10(1 + hertz / 700)

    edges = np.linspace(on_scale(min(mel["lowest"], top / 4)), on_scale(top), mel["bands"] + 2)
    hertz = 700 * (10 ** (edges / 2595) - 1)
    low, middle, high = hertz[:-2], hertz[1:-1], hertz[2:]
    size = 2 ** math.ceil(math.log2(2 * long))
    while True:
        at = np.linspace(0, top, size // 2 + 1)[:, None]
        bank = np.maximum(0, np.minimum((at - low) / (middle - low), (high - at) / (high - middle)))
        if bank.any(0).all():
            return bank.astype(np.float32)
        size *= 2


READERS = {
    "images": picture, "text": text, "pairs": text, "sequences": sequence, "sound": recording,
}  # fmt: skip


# --- what it gives --------------------------------------------------------------------------


def classes(told: Sequence[Any], about: dict[str, Any]) -> dict[str, Any]:
    """Every class with its probability, the likeliest first."""
    logits = told[0][0].astype(np.float64) / about["temperature"]
    shares = np.exp(logits - logits.max())
    shares /= shares.sum()
    return {"classes": [
        {"label": about["labels"][i], "probability": float(shares[i])}
        for i in np.argsort(-shares, kind="stable").tolist()
    ]}  # fmt: skip


def redrawn(told: Sequence[Any], about: dict[str, Any]) -> dict[str, Any]:
    """The picture again, as a PNG in base64, and its code."""
    from PIL import Image

    pixels = np.rint(np.clip(told[0][0], 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
    out = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(out, "PNG")
    code = told[1][0].ravel().tolist() if len(told) > 1 else []
    return {"reconstruction": base64.b64encode(out.getvalue()).decode(), "code": code}


def letters(told: Sequence[Any], about: dict[str, Any]) -> dict[str, Any]:
    """What is heard: the likeliest letter of each frame, repeats and blanks left out."""
    best = told[0][0, : int(told[1][0])].argmax(-1)
    new = best[(best != 0) & (np.diff(best, prepend=0) != 0)]
    return {"heard": said_by(new.tolist())}


def numbers(told: Sequence[Any], about: dict[str, Any]) -> dict[str, Any]:
    """The numbers as they are."""
    return {about["gives"][0]: told[0][0].tolist()}


TELLERS = {"classes": classes, "picture": redrawn, "letters": letters}


# --- what it writes -------------------------------------------------------------------------


def continued(
    model: Model, given: dict[str, Any], about: dict[str, Any], how: dict[str, Any]
) -> dict[str, Any]:
    """How the text goes on: a token is drawn at a time, from what those before it make likely."""
    prompt = given["tokens"][0].tolist()
    if prompt == [NOTHING]:
        prompt = []
    known: list[int] = prompt or about["begins"]
    new: list[int] = []
    random = np.random.default_rng(how["seed"])
    while len(new) < how["length"]:
        seen = [*known, *new][-about["context"] :]
        logits = model({"tokens": np.array([seen], np.int64)})[0][0, len(seen) - 1]
        # A text of nothing says nothing: the first token isn't the end.
        token = drawn(less(logits, [*about["unsaid"], *([] if new else [about["ends"]])]), how,
                      random)  # fmt: skip
        if token == about["ends"]:
            break
        new.append(token)
    begun = said_by(prompt)
    return {"prompt": begun, "written": said_by([*prompt, *new])[len(begun) :]}


def drawn(logits: Any, how: dict[str, Any], random: np.random.Generator) -> int:
    """A token by its logit: of the likeliest `top_k` that together have the share `top_p`."""
    if how["temperature"] == 0:
        return int(logits.argmax())
    logits = (logits - logits.max()) / how["temperature"]
    if how["top_k"] is not None and how["top_k"] < len(logits):
        logits[logits < np.sort(logits)[-how["top_k"]]] = -np.inf
    shares = np.exp(logits)
    shares /= shares.sum()
    if how["top_p"] is not None and how["top_p"] < 1:
        order = np.argsort(-shares, kind="stable")
        shares[order[shares[order].cumsum() - shares[order] >= how["top_p"]]] = 0
        shares /= shares.sum()
    return int(random.choice(len(shares), p=shares))


def rendered(
    model: Model, given: dict[str, Any], about: dict[str, Any], how: dict[str, Any]
) -> dict[str, Any]:
    """The text that is written from it, by the likeliest token each time."""
    del how
    written = list(about["begins"])
    most = min(int(about["stretch"] * given["lengths"][0]) + 10, about.get("longest") or 2**31)
    for _ in range(most):
        told = model({**given, "target_tokens": np.array([written], np.int64)})[0]
        token = int(less(told[0, len(written) - 1], about["unsaid"]).argmax())
        if token == about["ends"]:
            break
        written.append(token)
    return {"written": said_by(written).strip()}


def less(logits: Any, unsaid: Sequence[int]) -> Any:
    """A copy of logits in which those tokens can't be."""
    logits = logits.astype(np.float64)
    logits[list(unsaid)] = -np.inf
    return logits


WRITERS = {"tokens": continued, "text": rendered}


def answers(files: Sequence[Path], **wanted: Any) -> Iterator[dict[str, Any]]:
    """What the model makes of each file, or why it can't; `wanted` as `continued` draws."""
    about = json.loads((HERE / "model.json").read_text("utf-8"))
    model, read = opened(about), READERS[about["kind"]]
    how = about.get("usual", {}) | {name: one for name, one in wanted.items() if one is not None}

    def tell(given: dict[str, Any]) -> dict[str, Any]:
        if about["tells"] in WRITERS:
            return WRITERS[about["tells"]](model, given, about, how)
        return TELLERS.get(about["tells"], numbers)(model(given), about)

    for path in files:
        try:
            if not path.is_file():
                raise Unreadable("there is no such file")
            yield {"input": str(path)} | tell(read(path, about))
        except Unreadable as problem:
            yield {"input": str(path), "error": str(problem)}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    writing = parser.add_argument_group("of a language model")
    writing.add_argument("--length", type=int, help="at most so many tokens are written")
    writing.add_argument("--temperature", type=float, help="0 takes the likeliest token each time")
    writing.add_argument("--top-k", type=int, help="draws from so many of the likeliest only")
    writing.add_argument("--top-p", type=float, help="draws from the likeliest of this share only")
    writing.add_argument("--seed", type=int, help="writes the same again")
    wrong = 0
    for told in answers(**vars(parser.parse_args())):
        wrong += "error" in told
        sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")
    sys.exit(main())
