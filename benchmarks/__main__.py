"""``python -m benchmarks`` lists them; ``python -m benchmarks NAME`` runs one."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import (
    Options,
    Result,
    click,
    denoising,
    feeds,
    few_shot,
    forecast,
    generation,
    import_all,
    import_cifar10,
    language,
    overhead,
    pages,
    pretraining,
    quantized,
    speech,
    summaries,
    text,
    training,
    transfer,
    translation,
    vision,
    zero_shot,
)
from engine.catalog import BadInput

BENCHMARKS: dict[str, Callable[[Options], Result]] = {
    "click-to-first-point": click.click_to_first_point,
    "convnet-mnist": training.convnet_mnist,
    "convnet-cifar10": training.convnet_cifar10,
    "lstm-rows": training.lstm_rows,
    "autoencoder-mnist": training.autoencoder_mnist,
    "autoencoder-digits": training.autoencoder_digits,
    "denoising-mnist": denoising.denoising_mnist,
    "variational-mnist": generation.variational_mnist,
    "dcgan-mnist": generation.dcgan_mnist,
    "cifar10-resnet": vision.cifar10_resnet,
    "quantized-cifar10": quantized.quantized_cifar10,
    "ssl-one-percent": pretraining.ssl_one_percent,
    "polarity-textcnn": text.polarity_textcnn,
    "shakespeare": language.shakespeare,
    "shakespeare-speed": language.shakespeare_speed,
    "multi30k-de-en": translation.multi30k_de_en,
    "summaries-docstrings": summaries.summaries_docstrings,
    "mackey-glass-tcn": forecast.mackey_glass,
    "spoken-digits": speech.digits,
    "spoken-digits-speaker": speech.digits_speaker,
    "spoken-words-ctc": speech.words_ctc,
    "cifar10-few-labels": transfer.cifar10_few_labels,
    "polarity-transfer": transfer.polarity_transfer,
    "probe-cache": transfer.probe_cache,
    "omniglot-runs": few_shot.omniglot_runs,
    "omniglot-5way": few_shot.omniglot_5way,
    "polarity-zero-shot": zero_shot.polarity_zero_shot,
    "cifar10-conse": zero_shot.cifar10_conse,
    "import-cifar10": import_cifar10.import_cifar10,
    "import-all": import_all.import_all,
    "feed-images": feeds.feed_images,
    "feed-text": feeds.feed_text,
    "feed-sound": feeds.feed_sound,
    "engine-overhead": overhead.against_hand_written,
    "engine-speed": overhead.against_plain_fp32,
    "engine-small": overhead.small_steps,
    "curve-million": pages.curve_million,
    "history-2000": pages.history_2000,
}


def main(
    name: Annotated[str, typer.Argument(help="Which one; all are listed without it.")] = "",
    mirror: Annotated[
        Path | None,
        typer.Option(envvar="ANNEAL_MIRROR", help="Where data lies that isn't in the packages."),
    ] = None,
) -> None:
    """Run a benchmark: it ends with one line of JSON."""
    if not name:
        for each, function in BENCHMARKS.items():
            print(f"{each:22}{(function.__doc__ or '').splitlines()[0]}")
        return
    if name not in BENCHMARKS:
        print(f"There is no benchmark {name}: see python -m benchmarks", file=sys.stderr)
        raise typer.Exit(1)
    started = time.perf_counter()
    try:
        result = BENCHMARKS[name](Options(mirror and mirror.resolve()))
    except BadInput as problem:
        print(problem, file=sys.stderr)
        raise typer.Exit(1) from None
    print(json.dumps({
        "benchmark": name, "value": round(result.value, 5), "unit": result.unit,
        "reach": result.reach, "ok": result.ok,
        "seconds": round(time.perf_counter() - started, 1), "peak_mb": round(result.peak_mb),
        "note": result.note, "cores": os.cpu_count(),
    }))  # fmt: skip
    raise typer.Exit(0 if result.ok else 1)


if __name__ == "__main__":
    typer.run(main)
