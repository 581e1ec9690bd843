"""What a ZIP that runs by itself holds beside the model."""

from __future__ import annotations

import inspect
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engine.data.spectra import FLOOR, LOWEST, Spectrograms
from engine.exports.leaving import Leaving, written

SCRIPT = Path(__file__).parent / "carried" / "predict.py"
TAKES = {
    "images": ("pictures (JPEG, PNG, GIF, BMP, WebP, TIFF)", "pillow"),
    "text": ("text files in UTF-8", "tokenizers"),
    "pairs": ("text files in UTF-8, a text each", "tokenizers"),
    "sequences": ("CSV files of numbers, a line a step", ""),
    "sound": ("WAV files of one channel and 16 bits, at the rate in model.json", ""),
}  # fmt: skip
"""What its script reads, and what that needs."""
COMMAS = {"letters": "tokenizers", "picture": "pillow"}
"""What else the answers need."""

WRITES = {
    "tokens": " What it writes on is drawn as on the run's page; `python predict.py --help` says "
              "how else. It reads the whole text again for each token.",
    "text": " It writes greedily: the likeliest token each time, reading what was written again.",
}  # fmt: skip
"""What is to be known of texts that are written token by token."""


def beside(leaving: Leaving, folder: Path, runtime: str) -> None:
    """Write the script, what it must know of the model, and what to install for it."""
    shutil.copy(SCRIPT, folder / "predict.py")
    data, portable, outline = leaving.data, leaving.portable, leaving.outline
    about: dict[str, Any] = {
        "run": leaving.run, "step": leaving.predictor.checkpoint()["step"],
        "kind": data.items.kind, "shape": list(data.shape), "takes": list(portable.takes),
        "gives": list(portable.gives), "tells": portable.tells,
        "shortest": leaving.facts.get("shortest", 1), **portable.facts,
    }  # fmt: skip
    about |= {name: outline[name] for name in ("border", "longest") if name in outline}
    if isinstance(data.items, Spectrograms):
        about["mel"] = asdict(data.items.mel) | {"floor": FLOOR, "lowest": LOWEST}
    written(folder / "model.json", about)
    if outline.get("tokenizer"):
        (folder / "tokenizer.json").write_text(outline["tokenizer"], encoding="utf-8")
    what, needs = TAKES[data.items.kind]
    writes = WRITES.get(portable.tells, "")
    wanted = sorted({runtime, "numpy", needs, COMMAS.get(portable.tells, "")} - {""})
    (folder / "requirements.txt").write_text("\n".join(wanted) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(inspect.cleandoc(f"""
        # Run {leaving.run}: {leaving.setup.model.card.label}

            pip install -r requirements.txt
            python predict.py FILE …

        prints a line of JSON for each file. It takes {what}.{writes}

        Against the model that it was made of, on {leaving.facts["check"]["items"]} items, its
        answers differ by at most {leaving.facts["check"]["difference"]:.2g}.
    """) + "\n", encoding="utf-8")  # fmt: skip
