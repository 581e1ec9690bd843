"""Recordings as log-mel spectra."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from engine.catalog import BadInput
from engine.data import spectra
from engine.data.arrays import Ragged
from engine.data.batches import Data
from engine.data.items import Waves
from engine.data.spectra import Listening, Mel, Spectrograms, Variation, added, delayed, warped
from engine.home import Home

CPU = torch.device("cpu")
RATE = 8000
WORDS = ("one", "Two", "three", "four", "five", "seven")

Wave = npt.NDArray[np.int16]


def noise(samples: int, seed: int = 0) -> Wave:
    return (np.random.default_rng(seed).normal(size=samples) * 3000).astype(np.int16)


def tone(hertz: float, samples: int = 4000) -> Wave:
    return (np.sin(2 * np.pi * hertz * np.arange(samples) / RATE) * 30_000).astype(np.int16)


def ragged(items: list[npt.NDArray[np.generic]]) -> Ragged:
    return Ragged(np.concatenate(items), np.cumsum([0, *map(len, items)]))


def recordings(words: tuple[str, ...] | None = WORDS) -> Data:
    waves = ragged([noise(n, n) for n in (900, 40, 2500, 1, 1700, 8000)])
    said = words and ragged([np.frombuffer(word.encode(), np.uint8) for word in words])
    splits = {"train": np.arange(4), "validation": np.array([4]), "test": np.array([5])}
    return Data(items=Waves(waves, RATE, said or None), labels=None, classes=(), splits=splits,
                fingerprint="x")  # fmt: skip


def fed(data: Data) -> Spectrograms:
    assert isinstance(data.items, Spectrograms)
    return data.items


@pytest.fixture
def place(tmp_path: Path) -> Home:
    return Home.find(tmp_path / "home")


# --- a spectrum -----------------------------------------------------------------------------


def test_a_frame_is_the_short_time_spectrum_through_the_bands() -> None:
    mel, wave = Mel(RATE, bands=40), noise(3000)
    (frames,) = mel.spectra([wave])
    found = torch.stft(
        torch.from_numpy(wave.astype(np.float32)) / 2**15, n_fft=2 * (len(mel.bank) - 1),
        hop_length=80, win_length=200, window=mel.hann, pad_mode="constant", return_complex=True,
    )  # fmt: skip
    expected = (found.abs().square().T @ mel.bank).clamp(min=spectra.FLOOR).log()
    assert frames.shape == (38, 40)
    torch.testing.assert_close(torch.from_numpy(frames).float(), expected, atol=0.01, rtol=0)


def test_the_loudest_band_of_a_tone_is_the_one_around_it() -> None:
    mel = Mel(RATE)
    for hertz in (300, 1000, 2500):
        (frames,) = mel.spectra([tone(hertz)])
        top = int(frames[10].argmax())
        peak = int(mel.bank[:, top].argmax()) * RATE / 2 / (len(mel.bank) - 1)
        assert abs(peak - hertz) < 0.1 * hertz
        assert -1 < frames[10, top] < 1


def test_a_recording_sounds_the_same_alone_and_among_others() -> None:
    mel = Mel(RATE, step=7.5, window=30)
    waves = [noise(n, n) for n in (1, 30, 100_000, 999, 5, 40_000)]
    for wave, together in zip(waves, mel.spectra(waves), strict=True):
        (alone,) = mel.spectra([wave])
        np.testing.assert_array_equal(alone, together)
        assert len(alone) == mel.count(len(wave))


@pytest.mark.parametrize("rate", [1000, 8000, 16_000, 48_000])
def test_no_band_is_deaf(rate: int) -> None:
    mel = Mel(rate, bands=128)
    assert (mel.bank > 0).any(0).all()
    (frames,) = mel.spectra([noise(rate)])
    assert (frames[50] > math.log(spectra.FLOOR) + 1).all()


def test_silence_is_the_floor() -> None:
    (frames,) = Mel(RATE).spectra([np.zeros(1000, np.int16)])
    np.testing.assert_allclose(frames.astype(np.float32), math.log(spectra.FLOOR), atol=0.02)


# --- a dataset ------------------------------------------------------------------------------


def test_a_dataset_is_computed_once(place: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    first = fed(Listening().spectra(recordings(), place))
    monkeypatch.setattr(Mel, "spectra", None)
    again = fed(Listening().spectra(recordings(), place))
    np.testing.assert_array_equal(first.spectra.flat, again.spectra.flat)
    assert isinstance(again.spectra.flat, np.memmap)
    assert again.spectra.flat.dtype == np.float16


def test_what_is_kept_is_what_a_new_recording_would_get(
    place: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spectra, "BLOCK", 3000)
    data = recordings()
    items = fed(Listening(bands=20).spectra(data, place))
    asked = Spectrograms.blank(items.outline(data.splits["train"]))
    assert items.shape == asked.shape == (20,)
    for row in range(6):
        (frames,) = asked.mel.spectra([data.items.waves[row]])
        np.testing.assert_array_equal(frames, items.spectra[row])


def test_only_so_many_spectra_are_kept(place: Home) -> None:
    for bands in range(20, 21 + spectra.KEPT):
        Listening(bands=bands).spectra(recordings(), place)
    assert len(list((place.cache / "spectra").iterdir())) == spectra.KEPT


def test_letters_are_learned_from_training_transcripts_alone(place: Home) -> None:
    data = recordings()
    items = fed(Listening().spectra(data, place))
    wanted = items.wanted(np.array([1, 4]), CPU)
    assert wanted["target_lengths"].tolist() == [3, 4]
    assert items.tokenizer is not None
    first, second = wanted["target_tokens"].tolist()
    assert items.tokenizer.decode(first) == "two"
    assert items.tokenizer.decode(second) == "fe"  # no “i” and no “v” in training
    blank = Spectrograms.blank(items.outline(data.splits["train"]))
    assert blank.tokenizer is not None
    assert blank.tokenizer.to_json() == items.tokenizer.to_json()


def test_capitals_are_kept_where_they_are_wanted(place: Home) -> None:
    items = fed(Listening(lowercase=False).spectra(recordings(), place))
    assert items.tokenizer is not None
    assert items.tokenizer.decode(items.wanted(np.array([1]), CPU)["target_tokens"][0]) == "Two"


def test_without_transcripts_nothing_is_wanted(place: Home) -> None:
    data = recordings(None)
    items = fed(Listening().spectra(data, place))
    assert items.wanted(np.arange(3), CPU) == {}
    assert Spectrograms.blank(items.outline(data.splits["train"])).tokenizer is None


def test_no_training_recording_is_refused(place: Home) -> None:
    data = recordings()
    with pytest.raises(BadInput, match="train split is empty"):
        Listening().spectra(data.of(data.items, splits={"train": np.arange(0)}), place)


def test_statistics_are_those_of_the_frames(place: Home) -> None:
    items = fed(Listening(bands=20).spectra(recordings(), place))
    mean, std = items.statistics(np.array([0, 2]))
    frames = np.concatenate([items.spectra[0], items.spectra[2]]).astype(np.float64)
    np.testing.assert_allclose(mean, frames.mean(0))
    np.testing.assert_allclose(std, frames.std(0))


# --- variation ------------------------------------------------------------------------------

MOST = Variation(
    warp=0.3, speed=0.3, gain=10, tone=10, noise=50, time_masks=2, frequency_masks=2, shift=40,
    background=0.5,
)  # fmt: skip


def test_variation_depends_on_nothing_but_the_given_numbers(place: Home) -> None:
    items = fed(Listening(variation=MOST).spectra(recordings(), place))
    rows = np.arange(6)
    one, same, other = (
        items.gather(rows, CPU, np.random.default_rng(seed))["values"] for seed in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert one.shape != other.shape or not torch.equal(one, other)


def test_without_variation_a_training_batch_is_the_plain_one(place: Home) -> None:
    items = fed(Listening().spectra(recordings(), place))
    plain = items.gather(np.arange(6), CPU, None)
    drawn = items.gather(np.arange(6), CPU, np.random.default_rng(0))
    assert torch.equal(plain["values"], drawn["values"])
    for row, (values, length) in enumerate(zip(plain["values"], plain["lengths"], strict=True)):
        assert torch.equal(values[:length], torch.from_numpy(items.spectra[row].astype(np.float32)))
        assert not values[length:].any()


@pytest.mark.parametrize(
    "variation",
    [
        MOST,
        Variation(speed=0.5),
        Variation(time_masks=8),
        Variation(warp=0.5),
        Variation(shift=500),
        Variation(background=1),
    ],
)
def test_what_is_varied_stays_finite_with_zeros_behind(place: Home, variation: Variation) -> None:
    items = fed(Listening(variation=variation).spectra(recordings(), place))
    for seed in range(20):
        batch = items.gather(np.arange(6), CPU, np.random.default_rng(seed))
        assert batch["values"].isfinite().all()
        assert batch["values"].shape[1] == batch["lengths"].max()
        assert batch["lengths"].min() >= 1
        for values, length in zip(batch["values"], batch["lengths"], strict=True):
            assert not values[length:].any()


def test_a_warp_moves_a_tone_by_its_factor() -> None:
    mel = Mel(RATE)
    frames = torch.from_numpy(np.stack(mel.spectra([tone(1000), tone(1000)]))).float()
    found = warped(frames, torch.tensor([1.2, 0.8]), mel)
    for values, hertz in zip(found, (1200, 800), strict=True):
        (expected,) = mel.spectra([tone(hertz)])
        assert abs(int(values[20].argmax()) - int(expected[20].argmax())) <= 1
    torch.testing.assert_close(warped(frames, torch.ones(2), mel), frames, atol=1e-3, rtol=0)


def test_speed_changes_lengths_by_no_more_than_it_says(place: Home) -> None:
    items = fed(Listening(variation=Variation(speed=0.2)).spectra(recordings(), place))
    rows = np.array([0, 2, 5])
    before = items.gather(rows, CPU, None)["lengths"]
    shares = torch.stack([
        items.gather(rows, CPU, np.random.default_rng(seed))["lengths"] / before
        for seed in range(30)
    ])  # fmt: skip
    assert shares.min() < 0.9 < 1.1 < shares.max()
    assert 0.75 < shares.min() < shares.max() < 1.28


def test_a_tone_lasts_through_the_recording_and_is_bounded() -> None:
    mel = Mel(RATE)
    values = torch.zeros(30, 40, mel.bands)
    found, _ = Variation(tone=10).of(values, torch.full((30,), 40), mel, np.random.default_rng(0))
    torch.testing.assert_close(found, found[:, :1].expand_as(found))
    assert found.abs().max() <= math.log(10)
    assert found.std(2).min() > 0.1


def test_hiss_is_heard_in_silence_and_not_in_the_tone() -> None:
    mel = Mel(RATE)
    wave = np.concatenate([tone(1000), np.zeros(4000, np.int16)])
    values = torch.from_numpy(np.stack(mel.spectra([wave]))).float().repeat(20, 1, 1)
    found, _ = Variation(noise=50).of(
        values, torch.full((20,), values.shape[1]), mel, np.random.default_rng(0)
    )
    loudest = values.max()
    louder = found - values
    assert louder[:, -20:].min() > 0
    assert (found[:, -20:] - loudest).max() < -20 * math.log(10) / 10 + 0.1
    top = int(values[0, 10].argmax())
    assert louder[:, 10, top].max() < 0.1


def test_masks_hide_at_most_a_fifth_each() -> None:
    mel = Mel(RATE, bands=20)
    values = torch.arange(2000.0).view(1, 100, 20).repeat(50, 1, 1)
    found, _ = Variation(time_masks=1).of(
        values, torch.full((50,), 100), mel, np.random.default_rng(0)
    )
    hidden = (found != values).all(2).sum(1)
    assert hidden.max() <= 20
    assert hidden.float().mean() == pytest.approx(10, abs=3)


def test_a_delay_moves_the_sound_and_fills_with_quiet() -> None:
    values = torch.zeros(3, 6, 2)
    values[:, :5] = torch.arange(1.0, 6)[None, :, None]
    lengths = torch.tensor([5, 5, 3])
    found = delayed(values, lengths, torch.tensor([2, -1, 9]))
    assert found[0, :5, 0].tolist() == [1, 1, 1, 2, 3]
    assert found[1, :5, 0].tolist() == [2, 3, 4, 5, 1]
    assert found[2, :3, 0].tolist() == [1, 1, 1]


def test_powers_add_where_recordings_are_mixed() -> None:
    mel = Mel(RATE)
    one, other = (tone(hertz) for hertz in (500, 2000))
    frames = torch.from_numpy(np.stack(mel.spectra([one, other]))).float()
    lengths = torch.tensor([frames.shape[1], 10])
    level = torch.tensor([0.0, 0.0])
    found = added(frames, lengths, torch.tensor([1, 0]), level, level)
    both = torch.logaddexp(frames[0], frames[1])
    torch.testing.assert_close(found[0, :10], both[:10])
    torch.testing.assert_close(found[0, 10:], frames[0, 10:])  # the partner has ended
    softer = added(frames, lengths, torch.tensor([1, 0]), level, level - 20)
    top = int(frames[1, 5].argmax())
    assert softer[0, 5, top] == pytest.approx(float(frames[1, 5, top]) - 2 * math.log(10), abs=0.1)
