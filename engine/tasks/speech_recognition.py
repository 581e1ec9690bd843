"""What is said?"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Annotated, Any

import jiwer
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812, its usual name

from engine.catalog import BadInput, Help, Range
from engine.data.batches import Batch, Data
from engine.data.recorded import Recorded
from engine.data.splits import Rows
from engine.data.tokens import PAD, SPECIAL
from engine.models import Model
from engine.showing import pictures
from engine.tasks import TAKES, Mean, Numbers, Portable, Task, Verdict

BLANK = PAD
"""CTC's “nothing new here”: no transcript holds padding, so its number is free."""
WORST = 50
"""Recordings that a finished run lists: those it heard worst."""
SEEN = 4
"""Recordings whose spectra are shown while it trains."""
LIKELY = 8
"""Characters that a beam tries at a frame."""
NEVER = float("-inf")
SILENT = -1e-4
"""Log-probability of a blank above which a frame adds no token to any text."""


class SpeechRecognition(
    Task, label="Speech recognition", fits={"frames"}, needs={"audio", "transcript"}, rank=40,
    judges="texts",
):  # fmt: skip
    """Learns from recordings and their transcripts to write down what is said.

    The transcript's letters need no times: the loss adds up every way to spell it over the frames
    (connectionist temporal classification, Graves et al. 2006).
    """

    headline = "wer"
    larger_is_better = False
    watches = 12

    def view(self, data: Data) -> Data:
        if heard(data).tokens is None:
            raise BadInput(
                f"{self.card.label} needs a transcript of each recording, and this dataset has "
                "none: bring it in with a table that has a column for them",
                field="data",
            )
        return data

    def outputs(self, data: Data) -> int:
        tokenizer = heard(data).tokenizer
        assert tokenizer is not None
        return len(tokenizer)

    def prepare(self, data: Data) -> None:
        items, rows = heard(data), data.splits["train"]
        assert items.tokens is not None
        too_short = int((items.main.lengths[rows] < items.tokens.lengths[rows]).sum())
        if 2 * too_short > len(rows):
            raise BadInput(
                f"{too_short:,} of {len(rows):,} training recordings have fewer frames than their "
                "transcript has letters: take a shorter frame step",
                field="data.step",
            )

    def step(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        logits, frames = model(**batch.inputs)
        shares = logits.float().log_softmax(-1)
        targets, lengths = batch.wanted["target_tokens"], batch.wanted["target_lengths"]
        fits = frames >= needed(targets, lengths)
        if torch.are_deterministic_algorithms_enabled():
            shares = shares.cpu()  # CUDA adds up CTC's gradients in any order
        losses = F.ctc_loss(
            shares.transpose(0, 1), targets.to(shares.device), frames.to(shares.device),
            lengths.to(shares.device), BLANK, reduction="none", zero_infinity=True,
        ).to(logits.device)  # fmt: skip
        # A transcript that no frame is left for has no loss to speak of.
        return {
            "loss": (losses * fits).sum() / self.weight(batch), "output": logits.detach(),
            "frames": frames, "fits": fits,
        }  # fmt: skip

    def weight(self, batch: Batch) -> Tensor:
        """Letters."""
        return batch.wanted["target_lengths"].sum().clamp(min=1)

    def meter(self, model: Model, data: Data, *, final: bool = False) -> TranscriptMeter:
        return TranscriptMeter(data, final=final)

    def uncertainty(self, scores: Mapping[str, Any], items: int) -> float:
        share = min(scores["wer"], 1.0)
        return min(math.sqrt(share * (1 - share) / items), 0.01)

    def baselines(self, data: Data) -> dict[str, dict[str, float]]:
        items = heard(data)
        common, _ = Counter(said(items, data.splits["train"])).most_common(1)[0]
        true = said(items, data.splits["test"])
        return {"always the most frequent transcript": rates(true, [common] * len(true))}

    def samples(
        self, model: Any, batch: Batch, data: Data, scores: Mapping[str, Any]
    ) -> Iterator[tuple[str, str, Any]]:
        assert batch.rows is not None
        logits, frames = model(**batch.inputs)
        true, found = said(heard(data), batch.rows), read(logits, frames, data)
        seen = pictures(batch, data, range(min(SEEN, len(batch))))
        yield "recordings", "images", {
            "shape": list(data.shape),
            "rows": [{"label": a if a == b else f"{a} → {b}", "images": [picture]}
                     for a, b, picture in zip(true, found, seen, strict=False)],
        }  # fmt: skip
        yield "transcripts", "table", {
            "columns": ["true", "heard"],
            "rows": [list(pair) for pair in zip(true, found, strict=True)],
            "wrong": [a != b for a, b in zip(true, found, strict=True)],
        }  # fmt: skip

    def judge(self, model: Any, batch: Batch, data: Data) -> Verdict:
        """What is heard in each recording; the error is its rate of wrong characters."""
        assert batch.rows is not None
        logits, frames = model(**batch.inputs)
        true, found = said(heard(data), batch.rows), read(logits, frames, data)
        wrong = [rates([a], [b])["cer"] if a else float(bool(b))
                 for a, b in zip(true, found, strict=True)]  # fmt: skip
        return Verdict(torch.tensor(wrong), texts=[
            {"reference": a, "written": b} for a, b in zip(true, found, strict=True)
        ])  # fmt: skip

    def show(
        self,
        model: Any,
        batch: Batch,
        data: Data,
        *,
        beam: Annotated[
            int, Range(1, 64),
            Help("How many beginnings of the text are followed at once; 1 takes the likeliest "
                 "letter of each frame", label="Beam width"),
        ] = 1,
    ) -> list[dict[str, Any]]:  # fmt: skip
        """What is heard, and where greedy reading hears each letter: {"heard": text,
        "letters": [{"text": letter, "seconds": when}, …]}."""
        items = heard(data)
        assert items.tokenizer is not None
        logits, frames = model(**batch.inputs)
        results = []
        for row, count, given in zip(
            logits.float(), frames.tolist(), batch.inputs["lengths"].tolist(), strict=True
        ):
            shares = row[:count].log_softmax(-1).cpu().numpy()
            places, tokens = spelled(shares.argmax(-1))
            if beam > 1:
                tokens = beamed(shares, beam)
            seconds = items.spacing * given / count
            results.append({
                "heard": items.tokenizer.decode(tokens),
                "letters": [
                    {"text": items.tokenizer.decode([token]), "seconds": round(at * seconds, 3)}
                    for at, token in zip(places, spelled(shares.argmax(-1))[1], strict=True)
                    if token >= len(SPECIAL)
                ],
            })  # fmt: skip
        return results

    def numbers(self, model: Any, batch: Batch, data: Data) -> Numbers | None:
        """The log-probability of each letter in the frame where greedy reading hears it; None
        where nothing is heard."""
        items = heard(data)
        assert items.tokenizer is not None
        logits, frames = model(**batch.inputs)
        count = int(frames[0])
        places, tokens = spelled(logits[0, :count].float().argmax(-1).cpu().numpy())
        seconds = items.spacing * int(batch.inputs["lengths"][0]) / count
        at, which = torch.tensor(places), torch.tensor(tokens)

        def of(inputs: Mapping[str, Tensor]) -> Tensor:
            found: Tensor = model(**inputs)[0].float().log_softmax(-1)
            return found[:, at, which]

        names = tuple(f"{items.tokenizer.spell(token)} · {place * seconds:.2f} s"
                      for place, token in zip(places, tokens, strict=True))  # fmt: skip
        return Numbers(names, of, torch.exp) if names else None

    def portable(self, model: Any, data: Data) -> Portable:
        """Logits of letters (B, T', outputs), the first a blank, and how many of T' are real."""
        return Portable(TAKES[data.items.kind], ("logits", "frames"), model, "letters")


class TranscriptMeter:
    """Loss, and how many characters and words were heard wrong."""

    def __init__(self, data: Data, *, final: bool) -> None:
        self.data, self.final = data, final
        self.loss = Mean()
        self.rows: list[Rows] = []
        self.found: list[str] = []
        self.fitting: Tensor | int = 0

    def update(self, step: Mapping[str, Tensor], batch: Batch) -> None:
        assert batch.rows is not None
        fits = step["fits"]
        self.loss.add(step["loss"], batch.wanted["target_lengths"].sum().clamp(min=1))
        self.fitting = self.fitting + fits.sum()
        self.rows.append(batch.rows)
        self.found += read(step["output"], step["frames"], self.data)

    def compute(self) -> dict[str, Any]:
        rows = np.concatenate(self.rows)
        true = said(heard(self.data), rows)
        left = len(rows) - int(self.fitting)
        if left == len(rows):
            raise BadInput(
                "No transcript fits into the frames that the model gives of its recording: halve "
                "them less often, take a shorter frame step, or a model that gives more",
                field="model.halvings",
            )
        scores: dict[str, Any] = {"loss": float(self.loss), **rates(true, self.found)}
        if left:
            # They count as heard wrong, but not in the loss.
            scores["transcripts_too_long"] = float(left)
        if self.final:
            how = f"jiwer {version('jiwer')}|strip|single spaces"
            if heard(self.data).lowercase:
                how += "|lower case"
            scores["signatures"] = {"wer": f"{how}|words at spaces", "cer": how}
            scores["outputs"] = worst(true, self.found, rows)
        return scores


def heard(data: Data) -> Recorded:
    """The data's recordings."""
    assert isinstance(data.items, Recorded)
    return data.items


def said(items: Recorded, rows: Rows) -> list[str]:
    """The transcripts of these recordings."""
    assert items.transcripts is not None
    texts = [items.transcripts.text(row) for row in rows.tolist()]
    return [text.lower() for text in texts] if items.lowercase else texts


def read(logits: Tensor, frames: Tensor, data: Data) -> list[str]:
    """The likeliest letter of each frame (B, T, outputs), repeats and blanks left out."""
    tokenizer = heard(data).tokenizer
    assert tokenizer is not None
    best, counts = logits.argmax(-1).cpu().numpy(), frames.tolist()
    return [
        tokenizer.decode(spelled(row[:n])[1]) for row, n in zip(best, counts, strict=True)
    ]  # fmt: skip


def rates(true: Sequence[str], found: Sequence[str]) -> dict[str, float]:
    """Edits to what was heard, over the characters and the words that were said."""
    return {
        "wer": float(jiwer.process_words(list(true), list(found)).wer),
        "cer": float(jiwer.process_characters(list(true), list(found)).cer),
    }  # fmt: skip


def worst(true: Sequence[str], found: Sequence[str], rows: Rows) -> list[dict[str, Any]]:
    """Those with the most wrong characters for their length, and the recordings' numbers."""
    each = [rates([a], [b])["cer"] for a, b in zip(true, found, strict=True)]
    order = sorted(range(len(each)), key=lambda i: -each[i])[:WORST]
    return [
        {"recording": int(rows[i]), "true": true[i], "heard": found[i], "cer": each[i]}
        for i in order
    ]  # fmt: skip


# --- from frames to letters -----------------------------------------------------------------


def needed(targets: Tensor, lengths: Tensor) -> Tensor:
    """Frames that each transcript (B, S) takes at least: two of a letter need a blank between."""
    if targets.shape[1] < 2:
        return lengths
    twice = (targets[:, 1:] == targets[:, :-1]) & (
        torch.arange(1, targets.shape[1], device=targets.device) < lengths[:, None]
    )
    return lengths + twice.sum(1)


def spelled(best: npt.NDArray[np.int64]) -> tuple[list[int], list[int]]:
    """Where each token begins among the frames' likeliest (T,), and which it is."""
    new = (best != BLANK) & (np.diff(best, prepend=BLANK) != 0)
    places = np.flatnonzero(new)
    return places.tolist(), best[places].tolist()


def beamed(shares: npt.NDArray[np.float32], width: int) -> list[int]:
    """The likeliest text of log-probabilities (T, outputs), all its spellings added up.

    Prefix search with so many beginnings kept (Graves 2006, as Hannun et al. 2014 prune it): each
    has the log-probability of ending in a blank, and of ending in its last token.
    """
    beams: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, NEVER)}
    for frame in shares:
        if frame[BLANK] > SILENT:  # most frames: nothing is heard in them
            beams = {
                text: (float(np.logaddexp(blank, token)) + float(frame[BLANK]), NEVER)
                for text, (blank, token) in beams.items()
            }
            continue
        likely = np.argsort(-frame)[:LIKELY].tolist()
        grown: dict[tuple[int, ...], list[float]] = defaultdict(lambda: [NEVER, NEVER])
        for text, (blank, token) in beams.items():
            both = float(np.logaddexp(blank, token))
            own = grown[text]
            own[0] = float(np.logaddexp(own[0], both + frame[BLANK]))
            if text:
                own[1] = float(np.logaddexp(own[1], token + frame[text[-1]]))
            for new in likely:
                if new == BLANK:
                    continue
                longer = grown[(*text, new)]
                # The same token again is a new one only after a blank.
                before = blank if text and text[-1] == new else both
                longer[1] = float(np.logaddexp(longer[1], before + frame[new]))
        total = {text: float(np.logaddexp(a, b)) for text, (a, b) in grown.items()}
        best = sorted(total, key=lambda text: -total[text])[:width]
        beams = {text: (grown[text][0], grown[text][1]) for text in best}
    return list(next(iter(beams)))
