"""Augmentation of log-mel windows, for training only.

Everything happens in decibels on whole batches: cheap enough to be drawn anew for every epoch, so
no augmented copy of the corpus is ever stored.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Interval
from pydantic import NonNegativeFloat, NonNegativeInt

from ser_core.features import FeatureSpec, hertz_to_mel, mel_to_hertz


@dataclass(frozen=True)
class Augmentation:
    """How far training windows are varied; zero turns a step off.

    Attributes:
        tempo: sd of the log of the factor by which speech is slowed down or sped up.
        pitch: sd of the log of the factor by which all frequencies are moved, as another vocal
            tract would (Jaitly & Hinton 2013, vocal tract length perturbation).
        shift: most frames by which the speech starts later.
        tilt_db: sd of a straight spectral tilt from the lowest to the highest band.
        noise: share of windows to which a noise floor is added.
        noise_db: quietest and loudest noise floor relative to the loudest point.
        time_masks: stretches of time hidden (Park et al. 2019, SpecAugment).
        time_mask_frames: most frames of each.
        band_masks: stretches of frequency hidden.
        band_mask_bands: most bands of each.
        mixup: alpha of the Beta distribution from which mixing weights come (Zhang et al. 2018).
    """

    tempo: NonNegativeFloat = 0.12
    pitch: NonNegativeFloat = 0.1
    shift: NonNegativeInt = 12
    tilt_db: NonNegativeFloat = 2.0
    noise: Annotated[float, Interval(ge=0, le=1)] = 0.2
    noise_db: tuple[float, float] = (-80.0, -40.0)
    time_masks: NonNegativeInt = 1
    time_mask_frames: NonNegativeInt = 16
    band_masks: NonNegativeInt = 1
    band_mask_bands: NonNegativeInt = 6
    mixup: NonNegativeFloat = 0.2


def augment(
    windows: np.ndarray,
    targets: np.ndarray,
    config: Augmentation,
    spec: FeatureSpec,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Return a varied copy of a batch.

    Args:
        windows: float32 `(n, frames, bands)` in dB, 0 the loudest.
        targets: `(n, classes)` probabilities.
        config: how far to go.
        spec: what the windows are.
        rng: source of chance.

    Returns:
        windows and targets of the same shapes.
    """
    x = warp(windows, config, spec, rng)
    # Serving pads with digital silence, so microphone and noise reach only what was recorded.
    recorded = (x > -spec.top_db).any(axis=2, keepdims=True)
    coloured = add_noise(add_tilt(x, config.tilt_db, rng), config, rng)
    x = np.where(recorded, coloured, np.float32(-spec.top_db))
    x = mask(x, config, rng)
    x = np.maximum(x - x.max(axis=(1, 2), keepdims=True), -spec.top_db)
    return mixup(x, targets, config.mixup, rng)


def warp(
    windows: np.ndarray, config: Augmentation, spec: FeatureSpec, rng: np.random.Generator
) -> np.ndarray:
    """Change tempo, pitch with formants, and onset of each window, by bilinear interpolation."""
    n, frames, bands = windows.shape
    tempo = np.exp(config.tempo * rng.standard_normal(n).clip(-2, 2))
    pitch = np.exp(config.pitch * rng.standard_normal(n).clip(-2, 2))
    onset = rng.integers(0, config.shift + 1, n)

    frame = (np.arange(frames) - onset[:, None]) * tempo[:, None]
    centre = _band_centres(spec)
    hertz = mel_to_hertz(centre)
    band = np.stack([np.interp(hertz_to_mel(hertz / p), centre, np.arange(bands)) for p in pitch])

    padded = np.pad(windows, ((0, 0), (1, 1), (0, 0)), constant_values=-spec.top_db)
    frame = (frame + 1).clip(0, frames + 1)
    low = np.minimum(frame.astype(int), frames)
    part = (frame - low)[..., None].astype(np.float32)
    rows = np.arange(n)[:, None]
    over_time = padded[rows, low] * (1 - part) + padded[rows, low + 1] * part

    low = np.minimum(band.astype(int), bands - 2)
    part = (band - low)[:, None, :].astype(np.float32)
    below = np.take_along_axis(over_time, low[:, None, :], axis=2)
    above = np.take_along_axis(over_time, low[:, None, :] + 1, axis=2)
    return below * (1 - part) + above * part


def _band_centres(spec: FeatureSpec) -> np.ndarray:
    centres = np.linspace(0.0, hertz_to_mel(spec.sample_rate / 2), spec.n_mels + 2)[1:-1]
    return centres.reshape(spec.bands, -1).mean(axis=1)


def add_tilt(windows: np.ndarray, sd_db: float, rng: np.random.Generator) -> np.ndarray:
    """Tilt each spectrum, as microphones and rooms do."""
    slope = np.linspace(-1.0, 1.0, windows.shape[2], dtype=np.float32)
    amount = (sd_db * rng.standard_normal((len(windows), 1, 1))).astype(np.float32)
    return windows + amount * slope


def add_noise(windows: np.ndarray, config: Augmentation, rng: np.random.Generator) -> np.ndarray:
    """Add a stationary noise floor to a share of the windows, in the power domain.

    The power of noise in a band and frame is exponentially distributed about its mean.
    """
    n, frames, bands = windows.shape
    chosen = rng.random(n) < config.noise
    if not chosen.any():
        return windows
    count = int(chosen.sum())
    level = rng.uniform(*config.noise_db, (count, 1, 1)).astype(np.float32)
    grain = rng.standard_exponential((count, frames, bands), dtype=np.float32)
    noisy = windows.copy()
    noisy[chosen] = 10 * np.log10(10 ** (windows[chosen] / 10) + grain * 10 ** (level / 10))
    return noisy


def mask(windows: np.ndarray, config: Augmentation, rng: np.random.Generator) -> np.ndarray:
    """Hide random stretches of time and of frequency behind the window's mean."""
    n, frames, bands = windows.shape
    hidden = _stretches(n, frames, config.time_masks, config.time_mask_frames, rng)[:, :, None]
    hidden = hidden | _stretches(n, bands, config.band_masks, config.band_mask_bands, rng)[:, None]
    return np.where(hidden, windows.mean(axis=(1, 2), keepdims=True), windows)


def _stretches(
    n: int, length: int, count: int, longest: int, rng: np.random.Generator
) -> np.ndarray:
    hidden = np.zeros((n, length), bool)
    position = np.arange(length)
    for _ in range(count):
        width = rng.integers(0, min(longest, length) + 1, (n, 1))
        start = rng.integers(0, length - width + 1)
        hidden |= (position >= start) & (position < start + width)
    return hidden


def mixup(
    windows: np.ndarray, targets: np.ndarray, alpha: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Blend each example with another one of the batch, windows and targets alike."""
    if alpha == 0:
        return windows, targets
    share = rng.beta(alpha, alpha, len(windows)).astype(np.float32)
    share = np.maximum(share, 1 - share)
    other = rng.permutation(len(windows))
    mixed = windows * share[:, None, None] + windows[other] * (1 - share)[:, None, None]
    return mixed, targets * share[:, None] + targets[other] * (1 - share)[:, None]
