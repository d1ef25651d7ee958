import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_core import audio, augment, features
from ser_core.descriptors import DescriptorSpec
from tests.helpers import speech_like

SPEC = features.FeatureSpec(frames=60, bands=32, n_mels=32)
OFF = augment.Augmentation()
ON = augment.Augmentation(delay=12, tilt_db=2.0, noise=0.2, time_masks=1, band_masks=1, mixup=0.2)


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    windows = rng.uniform(-70, -10, (6, 60, 32)).astype(np.float32)
    windows[:, 5, 7] = 0
    windows[:, 45:] = -80
    return windows, np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 2]]


def test_unless_told_to_it_changes_nothing(batch):
    windows, targets = augment.augment(*batch, OFF, SPEC, np.random.default_rng(0))
    np.testing.assert_allclose(windows, batch[0], atol=1e-4)
    np.testing.assert_array_equal(targets, batch[1])


@given(seed=st.integers(0, 2**32 - 1))
def test_windows_stay_windows(seed):
    rng = np.random.default_rng(seed)
    windows = np.maximum(rng.uniform(-120, 0, (4, 60, 32)), -80).astype(np.float32)
    windows[:, rng.integers(10, 60) :] = -80
    targets = np.eye(3, dtype=np.float32)[rng.integers(0, 3, 4)]
    made, mixed = augment.augment(windows, targets, ON, SPEC, rng)
    assert made.shape == windows.shape and np.isfinite(made).all()
    assert made.min() >= -80 and made.max() <= 1e-4
    np.testing.assert_allclose(mixed.sum(axis=1), 1, atol=1e-5)


def test_the_same_seed_draws_the_same(batch):
    first, again, other = (
        augment.augment(*batch, ON, SPEC, np.random.default_rng(seed))[0] for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1


def test_a_delay_moves_the_speech(batch):
    moved = augment.delay(batch[0], 9, -80.0, np.random.default_rng(3))
    delays = [int(np.flatnonzero(window[:, 7] == 0)[0]) - 5 for window in moved]
    assert set(delays) <= set(range(10)) and len(set(delays)) > 1
    for window, later, frames in zip(batch[0], moved, delays, strict=True):
        np.testing.assert_array_equal(later[frames:], window[: 60 - frames])
        assert (later[:frames] == -80).all()


def test_noise_leaves_padding_alone(batch):
    config = dataclasses.replace(OFF, noise=1.0, noise_db=(-30.0, -20.0), tilt_db=5.0)
    made, _ = augment.augment(*batch, config, SPEC, np.random.default_rng(0))
    assert (made[:, 45:] == -80).all()
    assert (made[:, :45] < -60).mean() < 0.1 < (batch[0][:, :45] < -60).mean()


def test_masks_hide_at_most_what_is_allowed(batch):
    config = dataclasses.replace(OFF, time_masks=1, time_mask_frames=10)
    made = augment.mask(batch[0], config, np.random.default_rng(0))
    hidden = (made != batch[0]).any(axis=2).sum(axis=1)
    assert hidden.max() <= 10 and hidden.sum() > 0


def test_mixup_blends_targets_as_windows(batch):
    windows = np.stack([np.full((4, 4), float(i), np.float32) for i in range(6)])
    targets = np.eye(6, dtype=np.float32)
    mixed, blended = augment.mixup(windows, targets, 0.4, np.random.default_rng(0))
    np.testing.assert_allclose(mixed[:, 0, 0], blended @ np.arange(6), atol=1e-5)
    assert (blended.argmax(axis=1) == np.arange(6)).all(), "the example itself weighs most"


def test_descriptors_are_mixed_and_nothing_else():
    spec = DescriptorSpec(names=("mfcc",), pooled=("mean",), n_mfcc=4)
    vectors, targets = np.eye(4, dtype=np.float32), np.eye(4, dtype=np.float32)
    same, _ = augment.augment(vectors, targets, OFF, spec, np.random.default_rng(0))
    np.testing.assert_array_equal(same, vectors)
    mixed, blended = augment.augment(vectors, targets, ON, spec, np.random.default_rng(0))
    np.testing.assert_allclose(mixed, blended, atol=1e-6)
    assert np.abs(mixed - vectors).max() > 0.01


def pitch(samples: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return spectrum.argmax() * 16_000 / len(samples)


@pytest.mark.parametrize(
    ("variant", "lasts", "sounds"),
    [
        (augment.Variant("speed", 1.25), 0.8, 1.25),
        (augment.Variant("stretch", 1.25), 0.8, 1.0),
        (augment.Variant("pitch", 12), 1.0, 2.0),
        (augment.Variant("pitch", -2), 1.0, 2 ** (-2 / 12)),
        (augment.Variant("noise", 20), 1.0, 1.0),
        (augment.Variant("hum", 10), 1.0, 1.0),
        (augment.Variant("line", 8000), 1.0, 1.0),
        (augment.Variant("room", 0.5), 1.0, 1.0),
        (augment.PLAIN, 1.0, 1.0),
    ],
)
def test_a_variant_changes_what_it_says(variant, lasts, sounds):
    tone = 0.5 * np.sin(2 * np.pi * 400 * np.arange(32_000) / 16_000).astype(np.float32)
    clip = audio.Clip(tone, 16_000, "tone")
    varied = augment.vary(clip, variant)
    assert varied.samples.dtype == np.float32
    assert varied.duration == pytest.approx(2 * lasts, rel=0.01)
    assert pitch(varied.samples) == pytest.approx(400 * sounds, rel=0.01)
    np.testing.assert_array_equal(varied.samples, augment.vary(clip, variant).samples)


@pytest.mark.parametrize("kind", ["noise", "hum"])
@pytest.mark.parametrize("ratio", [0, 10, 30])
def test_noise_is_as_loud_as_asked(kind, ratio):
    tone = 0.1 * np.sin(2 * np.pi * 400 * np.arange(32_000) / 16_000).astype(np.float32)
    noisy = augment.vary(audio.Clip(tone, 16_000, "t"), augment.Variant(kind, ratio)).samples
    noise = noisy - tone
    assert 10 * np.log10(np.mean(tone**2) / np.mean(noise**2)) == pytest.approx(ratio, abs=0.3)


def test_what_becomes_louder_than_can_be_is_softer_altogether():
    tone = 0.99 * np.sin(2 * np.pi * 400 * np.arange(32_000) / 16_000).astype(np.float32)
    noisy = augment.vary(audio.Clip(tone, 16_000, "t"), augment.Variant("noise", 0)).samples
    assert np.abs(noisy).max() == pytest.approx(1) and np.mean(np.abs(noisy) > 0.999) < 0.001


def test_a_line_and_a_room_are_heard():
    clip = audio.Clip(speech_like(2.0), 16_000, "talking")
    narrow, echoing = (
        augment.vary(clip, augment.Variant(*variant)).samples
        for variant in (("line", 8000), ("room", 0.5))
    )
    high = np.fft.rfftfreq(32_000, 1 / 16_000) > 4500
    power = [np.sum(np.abs(np.fft.rfft(each)[high]) ** 2) for each in (clip.samples, narrow)]
    assert power[1] < 0.05 * power[0]
    # In the pauses between syllables, an echo is left.
    dry, wet = (np.quantile(np.abs(each), 0.2) for each in (clip.samples, echoing))
    assert wet > 2 * dry


def test_variants_are_kept_under_names_of_their_own():
    config = augment.Augmentation(
        speeds=(0.9,),
        stretches=(0.9,),
        pitches=(-1, 1),
        noises=(20,),
        hums=(20,),
        lines=(8000,),
        rooms=(0.8,),
    )
    names = [variant.name for variant in config.variants]
    plain = ["-at-0.9", "-stretch-0.9", "-pitch--1", "-pitch-1"]
    assert names == [*plain, "-white-20", "-hum-20", "-line-8000", "-room-0.8"]
    assert augment.PLAIN.name == ""
