"""Networks of the hub that read samples: their answers are those that transformers itself gives."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch import Tensor

from engine import predict, session
from engine.catalog import BadInput, Catalog, Chosen
from engine.data.arrays import Ragged
from engine.data.foreign import ABSENT, lettered
from engine.data.spectra import Mel, Variation
from engine.data.tokens import PAD, UNK
from engine.data.waveforms import Waveforms
from engine.datasets.imported import ImportedSound
from engine.events import Event, Finished, Notice
from engine.explain import Explainer
from engine.home import Home
from engine.models import Model
from engine.models.hub_speech import HubSpeech
from engine.models.hub_transcriber import HubTranscriber
from engine.predict import Predictor
from engine.recipe import PUBLISHED, compose
from engine.starts import Start
from tests.engine.data.folders import made
from tests.engine.test_speech import RATE, brought, tune, tunes, wav
from tests.engine.tiny_hub import HEARING, LETTERS, SHORT, SMALL, listening, reload, save

pytestmark = [
    # WavLM's code gives torch two kinds of masks.
    pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask"),
]

LENGTHS = (2400, 900, 1711, 160, 3000)
"""Samples: also of a recording that is shorter than a frame."""
KINDS: dict[str, Callable[[], Any]] = {
    # Its norm was learned without masks.
    "Wav2Vec2": lambda: transformers.Wav2Vec2Config(**HEARING),
    "Wav2Vec2 with layer norms": lambda: transformers.Wav2Vec2Config(
        feat_extract_norm="layer", do_stable_layer_norm=True, conv_bias=True, **HEARING),
    "HuBERT": lambda: transformers.HubertConfig(**HEARING),
    "WavLM": lambda: transformers.WavLMConfig(feat_extract_norm="layer", **HEARING),
    # Its positions are told by several convolutions, one after another.
    "data2vec": lambda: transformers.Data2VecAudioConfig(
        **HEARING | {"num_conv_pos_embeddings": 3, "conv_pos_kernel_size": 5}),
}  # fmt: skip


def recordings() -> list[np.ndarray]:
    """Of several lengths and loudnesses, none about zero."""
    rng = np.random.default_rng(3)
    return [
        (rng.normal(size=n).cumsum() / n * rng.uniform(0.5, 3) + 0.1).astype(np.float32)
        for n in LENGTHS
    ]


def batch() -> tuple[Tensor, Tensor]:
    """The recordings padded with what nobody should hear."""
    values = torch.zeros(len(LENGTHS), max(LENGTHS) + 700)
    for row, one in zip(values, recordings(), strict=True):
        row[: len(one)] = torch.from_numpy(one)
    return values, torch.tensor(LENGTHS)


def started(card: type[Model], folder: Path, home: Home, outputs: int, *classes: str) -> Any:
    """A model of the card with what is published in the folder, and what it took over."""
    settings = {"name": str(folder), "revision": "main"}
    theirs = card.published(home, **settings)
    model = card((), outputs, card.blueprint(home, **settings), **settings).eval()  # type: ignore[call-arg]
    return model, Start(theirs.name, theirs.weights, theirs.classes).into(model, classes), theirs


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)  # tiny networks only wait for a second one


@pytest.mark.parametrize(
    ("kind", "normalize"), [*((kind, True) for kind in KINDS), ("Wav2Vec2", False)]
)
def test_recordings_have_the_states_that_transformers_gives_each_alone(
    kind: str, normalize: bool, home: Home, tmp_path: Path
) -> None:
    listening(tmp_path, "AutoModel", KINDS[kind](), do_normalize=normalize)
    model, taken, _ = started(HubSpeech, tmp_path, home, 2)
    assert {name for name, _ in taken.new} == {"head.weight", "head.bias"}
    assert taken.left == ()
    original = reload(tmp_path, "AutoModel")
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=normalize)
    with torch.no_grad():
        found = model.embed(*batch())
        for one, features in zip(recordings(), found, strict=True):
            given = extractor(one, sampling_rate=16_000, return_tensors="pt").input_values
            given = torch.nn.functional.pad(given, (0, max(400 - given.shape[1], 0)))
            wanted = original(given).last_hidden_state[0].mean(0)
            torch.testing.assert_close(features, wanted, atol=1e-4, rtol=1e-3)


def test_spectra_are_those_of_whisper(home: Home, tmp_path: Path) -> None:
    config = transformers.WhisperConfig(
        vocab_size=60, max_source_positions=50, decoder_start_token_id=1, pad_token_id=0,
        bos_token_id=1, eos_token_id=2, **SHORT,
    )  # fmt: skip
    listening(tmp_path, "AutoModelForSpeechSeq2Seq", config)
    model, taken, _ = started(HubSpeech, tmp_path, home, 2)
    assert {name for name, _ in taken.new} == {"head.weight", "head.bias"}
    original = reload(tmp_path, "AutoModel").get_encoder()
    extractor = transformers.WhisperFeatureExtractor(chunk_length=1)
    values, lengths = batch()
    with torch.no_grad():
        found = model.embed(values, lengths)
        longer = model.embed(torch.cat([values, torch.ones(len(values), 20_000)], 1), lengths)
        for one, features, again in zip(recordings(), found, longer, strict=True):
            given = extractor(one, sampling_rate=16_000, return_tensors="pt").input_features
            frames = max(-(-len(one) // 320), 1)
            wanted = original(given).last_hidden_state[0, :frames].mean(0)
            torch.testing.assert_close(features, wanted, atol=1e-3, rtol=1e-3)
            torch.testing.assert_close(features, again, atol=1e-5, rtol=1e-4)
        # Of what lasts longer than its places, the beginning is read.
        whole, frames = model.states(torch.zeros(1, 30_000), torch.tensor([30_000]))
        assert whole.shape[1] == int(frames[0]) == 50


@pytest.mark.parametrize("kind", ["Wav2Vec2 with layer norms", "WavLM"])
def test_a_padded_batch_has_the_states_that_transformers_gives_it(
    kind: str, home: Home, tmp_path: Path
) -> None:
    listening(tmp_path, "AutoModel", KINDS[kind]())
    model, _, _ = started(HubSpeech, tmp_path, home, 2)
    long = [one for one in recordings() if len(one) > 400]
    given = transformers.Wav2Vec2FeatureExtractor(return_attention_mask=True)(
        long, sampling_rate=16_000, return_tensors="pt", padding=True
    )
    values, lengths = batch()
    rows = lengths > 400
    with torch.no_grad():
        wanted = reload(tmp_path, "AutoModel")(**given).last_hidden_state
        states, frames = model.states(values[rows], lengths[rows])
    for one, other, count in zip(states, wanted, frames.tolist(), strict=True):
        torch.testing.assert_close(one[:count], other[:count], atol=2e-4, rtol=1e-3)


def test_its_levels_are_the_blocks(home: Home, tmp_path: Path) -> None:
    listening(tmp_path)
    model, _, _ = started(HubSpeech, tmp_path, home, 2)
    names = [name for level in model.levels() for name in level]
    assert names[-3:] == ["network.encoder.layers.0", "network.encoder.layers.1", "head"]
    model.freeze(model.levels()[:-1])
    assert {name for name, one in model.named_parameters() if one.requires_grad} == {
        "head.weight", "head.bias"
    }  # fmt: skip


def test_a_classifiers_two_layers_are_taken_over_as_one(home: Home, tmp_path: Path) -> None:
    names = {0: "yes", 1: "no", 2: "stop"}
    listening(tmp_path, "AutoModelForAudioClassification", transformers.Wav2Vec2Config(
        id2label=names, classifier_proj_size=12, **HEARING
    ))  # fmt: skip
    model, taken, theirs = started(HubSpeech, tmp_path, home, 3, *names.values())
    assert theirs.classes == tuple(names.values())
    assert taken.new == ()
    original = reload(tmp_path, "AutoModelForAudioClassification")
    extractor = transformers.Wav2Vec2FeatureExtractor()
    with torch.no_grad():
        found = model(*batch())
        given = extractor(recordings()[0], sampling_rate=16_000, return_tensors="pt").input_values
        torch.testing.assert_close(found[0], original(given).logits[0], atol=1e-4, rtol=1e-4)


def test_letters_are_taken_over_with_what_tells_them(home: Home, tmp_path: Path) -> None:
    listening(tmp_path)
    model, taken, theirs = started(HubTranscriber, tmp_path, home, len(LETTERS) + 1)
    assert taken.new == ()
    original = reload(tmp_path, "AutoModelForCTC")
    given = transformers.Wav2Vec2FeatureExtractor()(
        recordings()[0], sampling_rate=16_000, return_tensors="pt"
    ).input_values
    letters = [letter.lower() if letter != "|" else " " for letter in LETTERS[4:]]
    ours = [theirs.tokenizer.encode([letter])[0][0] for letter in letters]
    with torch.no_grad():
        logits, frames = model(*batch())
        wanted = original(given).logits[0]
    found = logits[0, : frames[0]]
    torch.testing.assert_close(found[:, ours], wanted[:, 4:], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found[:, PAD], wanted[:, 0], atol=1e-4, rtol=1e-4)
    # What neither text can say is never the likeliest.
    assert (found.argmax(-1) != theirs.tokenizer.backend.token_to_id("[MASK]")).all()


def test_capitals_are_read_as_small_where_it_knows_one_case() -> None:
    known = {"<pad>": 0, "<unk>": 1, "|": 2, "B": 3, "A": 4}
    found = lettered(known, {}, blank=0)
    assert found is not None
    assert found.tokenizer.lowercases
    (ids,) = found.tokenizer.encode(["Ab a?"])
    assert found.tokenizer.decode(ids) == "ab a"
    assert ids[-1] == UNK
    assert found.rows[[PAD, UNK, *ids[:4]]].tolist() == [0, 1, 4, 3, 2, 4]
    both = lettered(known | {"a": 5}, {}, blank=0)
    assert both is not None
    assert not both.tokenizer.lowercases
    assert both.tokenizer.decode(both.tokenizer.encode(["Aa"])[0]) == "Aa"


@pytest.mark.parametrize(
    "known", [{"<pad>": 0, "ab": 1}, {"eng": {"<pad>": 0, "a": 1}}, {"a": 0}, {"<pad>": 0}]
)
def test_what_is_no_table_of_letters_is_left(known: dict[str, Any]) -> None:
    assert lettered(known, {}, blank=None) is None


def test_it_has_a_place_for_nothing_new_elsewhere_too() -> None:
    found = lettered({"a": 0, "[B]": 1}, {"pad_token": {"content": "[B]"}}, blank=None)
    assert found is not None
    assert found.rows.tolist() == [1, ABSENT, ABSENT, ABSENT, ABSENT, 0]


# --- what is fed ----------------------------------------------------------------------------


def waveforms(variation: Variation | None = None) -> Waveforms:
    rng = np.random.default_rng(0)
    waves = [rng.integers(-9000, 9000, n).astype(np.int16) for n in (400, 900, 650)]
    ragged = Ragged(np.concatenate(waves), np.cumsum([0, *map(len, waves)]))
    return Waveforms(ragged, 1000, 1000, variation=variation or Variation())


def gathered(variation: Variation, seed: int = 0) -> tuple[Tensor, Tensor]:
    found = waveforms(variation).gather(
        np.arange(3), torch.device("cpu"), np.random.default_rng(seed)
    )
    return found["values"], found["lengths"]


PLAIN, _ = gathered(Variation())


@pytest.mark.parametrize(
    "varied",
    [{"speed": 0.2}, {"gain": 12}, {"noise": 60}, {"shift": 200}, {"background": 1},
     {"time_masks": 2}],
    ids=lambda varied: next(iter(varied)),
)  # fmt: skip
def test_samples_are_varied_and_padding_stays_silent(varied: dict[str, Any]) -> None:
    values, lengths = gathered(Variation(**varied))
    assert values.shape[1] == lengths.max()
    for row, length in zip(values, lengths.tolist(), strict=True):
        assert not row[length:].any()
        assert row[:length].any()
    assert values.shape != PLAIN.shape or not torch.equal(values, PLAIN)
    again, _ = gathered(Variation(**varied))
    assert torch.equal(values, again)
    other, _ = gathered(Variation(**varied), seed=1)
    assert other.shape != values.shape or not torch.equal(values, other)


def test_louder_is_louder_by_as_many_decibels() -> None:
    values, _ = gathered(Variation(gain=20))
    ratio = values[0, :400] / PLAIN[0, :400].where(PLAIN[0, :400] != 0, torch.nan)
    known = ratio[~ratio.isnan()]
    torch.testing.assert_close(known, known[:1].expand_as(known))
    assert 0.1 <= float(known[0]) <= 10


def test_later_is_the_same_later() -> None:
    values, _ = gathered(Variation(shift=100))
    moves = [
        move for move in range(-100, 101)
        if torch.equal(values[1, max(move, 0) : 900 + min(move, 0)],
                       PLAIN[1, max(-move, 0) : 900 - max(move, 0)])
    ]  # fmt: skip
    assert len(moves) == 1


def test_what_varies_spectra_does_nothing_to_samples() -> None:
    values, _ = gathered(Variation(warp=0.3, tone=20, frequency_masks=3))
    assert torch.equal(values, PLAIN)


def chosen(catalog: Catalog, model: str) -> Chosen:
    return {"task": catalog.card("task", "Classification"), "model": catalog.card("model", model),
            "data": catalog.card("data", "ImportedSound"),
            "method": catalog.card("method", "Training")}  # fmt: skip


def test_only_what_varies_samples_is_promised(catalog: Catalog) -> None:
    hub, own = chosen(catalog, "HubSpeech"), chosen(catalog, "SoundResNet")
    gone = {f.name for f in own["data"].fields if f.matters(own) and not f.matters(hub)}
    assert gone == {"bands", "step", "window", "warp", "tone", "frequency_masks"}
    names = {kind: card.name for kind, card in hub.items()}
    recipe = compose(catalog, names=names, settings={"data.id": 1})
    assert [recipe.data.settings[name] for name in ("warp", "tone", "frequency_masks")] == [0, 0, 0]
    assert recipe.data.settings["speed"] == 0.1
    assert recipe.checked(catalog) == recipe
    with pytest.raises(BadInput, match="can't learn from items changed by “Random voice”"):
        compose(catalog, names=names, settings={"data.id": 1, "data.warp": 0.2})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    listening(tmp_path / "mine")
    return tmp_path / "mine"


def recipe(catalog: Catalog, folder: Path, model: str, task: str, **more: Any) -> Any:
    return compose(
        catalog, names={"data": "ImportedSound", "model": model, "task": task},
        settings={"data.id": 1, "model.name": str(folder), "method.max_steps": 2,
                  "method.batch_size": 4, "method.threads": 1, "method.precision": "fp32"},
        **more,
    )  # fmt: skip


def test_recordings_come_once_at_the_rate_that_is_read(
    home: Home, folder: Path, catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    brought(home, ["ab", "cd", "ba"], "tve")
    made_of = recipe(catalog, folder, "HubTranscriber", "SpeechRecognition")
    data = session.make(made_of, home).data
    kept = data.fed.gather(np.array([1]), torch.device("cpu"), None)
    raw = ImportedSound(id=1).open(home).items
    assert abs(int(kept["lengths"][0]) - len(raw.waves[1]) * 16_000 // RATE) <= 1
    # It sounds the same: loud where it was, silent where nothing was.
    (frames,) = Mel(RATE).spectra([raw.waves[1]])
    (again,) = Mel(16_000).spectra([(kept["values"][0].numpy() * 2**15).astype(np.int16)])
    loud, heard = frames.max(1)[:30].astype(float), again.max(1)[:30].astype(float)
    assert np.corrcoef(loud, heard)[0, 1] > 0.95
    # A new recording is heard as those of the dataset, also without it.
    setup = session.make(made_of, home, data=predict.without_items(data.outline()))
    new, seen = predict.read({"sound": wav(raw.waves[1])}, setup.data)
    assert torch.equal(new.inputs["values"], kept["values"])
    assert seen["seconds"] == pytest.approx(len(raw.waves[1]) / RATE, abs=1e-3)
    monkeypatch.setattr("engine.data.waveforms.resampled", None)
    assert torch.equal(
        session.make(made_of, home).data.fed.gather(np.array([1]), torch.device("cpu"), None)[
            "values"], kept["values"],
    )  # fmt: skip


def test_a_run_writes_with_the_letters_of_its_weights_and_goes_on_without_them(
    home: Home, folder: Path, catalog: Catalog, events: Callable[..., list[Event]]
) -> None:
    brought(home, tunes(20), "t" * 12 + "v" * 4 + "e" * 4)
    made_of = recipe(catalog, folder, "HubTranscriber", "SpeechRecognition", start=PUBLISHED)
    first = events(made_of, wishes={1: "pause"})
    assert isinstance(first[-1], Finished)
    assert first[-1].state == "paused", first[-1].reason
    assert any("tokenizer" in event.text for event in first if isinstance(event, Notice))
    shutil.rmtree(folder)
    (*_, last) = events(made_of, resume=True)
    assert isinstance(last, Finished)
    assert last.state == "finished", last.reason
    predictor = Predictor(home, 1)
    given = {"sound": wav(tune("abc"))}
    (answer,) = predictor.answer([given])["results"]
    assert set(answer["heard"]) <= set("".join(LETTERS[5:]).lower() + " ")
    assert predictor.setup.task.outputs(predictor.setup.data) == len(LETTERS) + 1
    for letter in answer["letters"]:
        assert 0 <= letter["seconds"] < answer["seconds"]


@pytest.mark.parametrize(
    ("method", "model", "task"),
    [("LinearProbe", "HubSpeech", "Classification"), ("Prototypes", "HubSpeech", "Classification"),
     ("LoRA", "HubSpeech", "Classification"), ("LoRA", "HubTranscriber", "SpeechRecognition")],
)  # fmt: skip
def test_weights_are_adapted_by_every_method(
    method: str, model: str, task: str, home: Home, folder: Path, catalog: Catalog,
    events: Callable[..., list[Event]],
) -> None:  # fmt: skip
    brought(home, ["ab", "ba", "ab", "b"] * 4, "t" * 8 + "vvvveeee")
    known = {field.name for field in catalog.card("method", method).fields}
    settings = {"max_steps": 2, "batch_size": 4, "threads": 1, "precision": "fp32"}
    (*_, last) = events(compose(
        catalog, names={"data": "ImportedSound", "model": model, "task": task, "method": method},
        settings={"data.id": 1, "model.name": str(folder),
                  **{f"method.{name}": one for name, one in settings.items() if name in known}},
        start=PUBLISHED,
    ))  # fmt: skip
    assert isinstance(last, Finished)
    assert last.state == "finished", last.reason
    assert Predictor(home, 1).answer([{"sound": wav(tune("ab"))}])["results"]


def test_what_was_important_is_shown_over_time(
    home: Home, folder: Path, catalog: Catalog, events: Callable[..., list[Event]]
) -> None:
    made(home.dataset(1), "sound", [tune("ab", n) for n in range(12)], labels=["a", "b"] * 6,
         splits="t" * 8 + "vvee")  # fmt: skip
    (*_, last) = events(recipe(catalog, folder, "HubSpeech", "Classification", start=PUBLISHED))
    assert isinstance(last, Finished)
    assert last.state == "finished", last.reason
    explainer = Explainer(Predictor(home, 1), home)
    given = {"sound": wav(tune("ab"))}
    ways = {way["name"] for way in explainer.choices(given)["ways"]}
    assert ways == {"Occlusion", "NearestItems", "FeatureMaps"}
    found = explainer.explain(given, "Occlusion", settings={"window": 0.25})
    assert found["seconds"] == pytest.approx(len(tune("ab")) / RATE, abs=1e-3)
    assert found["heat"]
    assert found["input"]
    assert len(found["sanity"]["explained"]) == len(found["sanity"]["removed"])


# --- what can't be used ---------------------------------------------------------------------


def test_what_reads_no_samples_is_refused(home: Home, tmp_path: Path) -> None:
    save(tmp_path, "AutoModel", transformers.ViTConfig(image_size=16, patch_size=8, **SMALL))
    settings = {"name": str(tmp_path), "revision": "main"}
    told = HubSpeech.blueprint(home, **settings)
    with pytest.raises(BadInput, match="it doesn't read recordings") as caught:
        HubSpeech((), 2, told, **settings)
    assert caught.value.field == "model.name"


def test_another_rate_is_refused(home: Home, tmp_path: Path) -> None:
    listening(tmp_path, sampling_rate=24_000)
    with pytest.raises(BadInput, match="it reads 24,000 samples a second"):
        HubSpeech.blueprint(home, name=str(tmp_path), revision="main")
