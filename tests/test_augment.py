import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_core import augment, features

SPEC = features.FeatureSpec(frames=60, bands=32, n_mels=32)
OFF = augment.Augmentation(delay=0, tilt_db=0.0, noise=0.0, time_masks=0, band_masks=0, mixup=0.0)


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    windows = rng.uniform(-70, -10, (6, 60, 32)).astype(np.float32)
    windows[:, 5, 7] = 0
    windows[:, 45:] = -80
    return windows, np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 2]]


def test_everything_off_changes_nothing(batch):
    windows, targets = augment.augment(*batch, OFF, SPEC, np.random.default_rng(0))
    np.testing.assert_allclose(windows, batch[0], atol=1e-4)
    np.testing.assert_array_equal(targets, batch[1])


@given(seed=st.integers(0, 2**32 - 1))
def test_windows_stay_windows(seed):
    rng = np.random.default_rng(seed)
    windows = np.maximum(rng.uniform(-120, 0, (4, 60, 32)), -80).astype(np.float32)
    windows[:, rng.integers(10, 60) :] = -80
    targets = np.eye(3, dtype=np.float32)[rng.integers(0, 3, 4)]
    made, mixed = augment.augment(windows, targets, augment.Augmentation(), SPEC, rng)
    assert made.shape == windows.shape and np.isfinite(made).all()
    assert made.min() >= -80 and made.max() <= 1e-4
    np.testing.assert_allclose(mixed.sum(axis=1), 1, atol=1e-5)


def test_the_same_seed_draws_the_same(batch):
    first, again, other = (
        augment.augment(*batch, augment.Augmentation(), SPEC, np.random.default_rng(seed))[0]
        for seed in (1, 1, 2)
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
