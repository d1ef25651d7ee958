"""Augmentation for training only.

Recordings that are stretched, shifted, made worse or played at other speeds are other recordings:
their features are computed once and cached (`dataset.load`). All else happens in decibels on whole
batches of windows, drawn anew each epoch.

Not by audiomentations, though that is the usual library: it draws from generators that all threads
share, so that recordings prepared side by side would come out otherwise each time and could not be
cached. What is needed of it is librosa's, or a few lines of `changes`, which tests models, too.
"""

import hashlib
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
from annotated_types import Interval

from ser_core import audio, changes
from ser_core.changes import Source
from ser_core.emotions import EMOTIONS
from ser_core.features import Features, FeatureSpec


@dataclass(frozen=True)
class Variant:
    """One way of changing a recording, always by the same amount; see `vary`."""

    kind: Literal["speed", "stretch", "pitch", "noise", "hum", "line", "room"] = "speed"
    amount: float = 1.0

    @property
    def name(self) -> str:
        """What its features are kept under; nothing for the recording as it is."""
        # How caches that exist spell them; `noise` was computed a little differently.
        kind = {"speed": "at", "noise": "white"}.get(self.kind, self.kind)
        return "" if self == PLAIN else f"-{kind}-{self.amount:g}"


PLAIN = Variant()


def vary(clip: audio.Clip, variant: Variant) -> audio.Clip:
    """Return a changed copy of a clip: the same every time.

    `speed` plays it at a factor, tempo, pitch and formants alike; `stretch` changes the tempo by a
    factor and nothing else, `pitch` the pitch by semitones and nothing else (librosa's phase
    vocoder); `noise` and `hum` add white Gaussian noise and that of the mains at a signal-to-noise
    ratio in dB; `line` is that of a telephone, of so many samples a second; `room` is an echo that
    is gone after so many seconds.
    """
    if variant.kind == "speed":
        return audio.play_at(clip, variant.amount)
    if variant.kind in _WORSE:
        # By chance that depends on the recording alone.
        seed = hashlib.sha256(clip.samples.tobytes()).digest()
        source = Source(np.random.default_rng(list(seed)), others=())
        samples = _WORSE[variant.kind](variant.amount)(clip.samples, source)
        samples /= max(1.0, np.abs(samples).max(initial=0.0))  # no clipping besides
    else:
        from librosa import effects

        if variant.kind == "stretch":
            samples = effects.time_stretch(clip.samples, rate=variant.amount)
        else:
            samples = effects.pitch_shift(clip.samples, sr=clip.sample_rate, n_steps=variant.amount)
    return replace(clip, samples=samples.astype(np.float32).clip(-1, 1))


_WORSE = {
    "noise": changes.white_noise,
    "hum": changes.hum,
    "line": changes.line,
    "room": changes.room,
}


_Count = Annotated[int, Interval(ge=0, le=10_000)]
_Floor = Annotated[float, Interval(ge=-200, le=0)]


@dataclass(frozen=True)
class Augmentation:
    """How far training recordings and windows are varied; nothing is unless it is said.

    Attributes:
        speeds: factors at which each recording is also played, tempo, pitch and formants alike
            (Ko et al. 2015, "Audio Augmentation for Speech Recognition").
        stretches: factors by which its tempo alone is also changed.
        pitches: semitones by which its pitch alone is also changed.
        noises: signal-to-noise ratios in dB at which white noise is also added to it, and
        hums: the hum of the mains.
        lines: samples a second of telephone lines through which it is also sent.
        rooms: seconds after which the echo of a room in which it is also heard is gone.
        only: the emotions whose recordings are varied in these ways; all if none is named.
        delay: most frames by which the speech starts later.
        tilt_db: sd of a straight spectral tilt from the lowest to the highest band.
        noise: share of windows to which a noise floor is added.
        noise_db: quietest and loudest noise floor relative to the loudest point.
        time_masks: stretches of time hidden (Park et al. 2019, SpecAugment).
        time_mask_frames: most frames of each.
        band_masks: stretches of frequency hidden.
        band_mask_bands: most bands of each.
        mixup: alpha of the Beta distribution from which mixing weights come (Zhang et al. 2018).
    """

    speeds: tuple[Annotated[float, Interval(ge=0.5, le=2)], ...] = ()
    stretches: tuple[Annotated[float, Interval(ge=0.5, le=2)], ...] = ()
    pitches: tuple[Annotated[float, Interval(ge=-12, le=12)], ...] = ()
    noises: tuple[Annotated[float, Interval(ge=-10, le=60)], ...] = ()
    hums: tuple[Annotated[float, Interval(ge=-10, le=60)], ...] = ()
    lines: tuple[Annotated[int, Interval(ge=4000, le=16_000)], ...] = ()
    rooms: tuple[Annotated[float, Interval(ge=0.1, le=3)], ...] = ()
    only: tuple[Literal[tuple(EMOTIONS)], ...] = ()
    delay: _Count = 0
    tilt_db: Annotated[float, Interval(ge=0, le=60)] = 0.0
    noise: Annotated[float, Interval(ge=0, le=1)] = 0.0
    noise_db: tuple[_Floor, _Floor] = (-80.0, -40.0)
    time_masks: _Count = 0
    time_mask_frames: _Count = 16
    band_masks: _Count = 0
    band_mask_bands: _Count = 6
    mixup: Annotated[float, Interval(ge=0, le=10)] = 0.0

    @property
    def variants(self) -> tuple[Variant, ...]:
        """All ways in which recordings are changed."""
        kinds = {
            "speed": self.speeds,
            "stretch": self.stretches,
            "pitch": self.pitches,
            "noise": self.noises,
            "hum": self.hums,
            "line": self.lines,
            "room": self.rooms,
        }
        return tuple(Variant(kind, amount) for kind, all_ in kinds.items() for amount in all_)

    @property
    def in_decibels(self) -> tuple[str, ...]:
        """The steps in use that only log-mel windows can take."""
        steps = ("delay", "tilt_db", "noise", "time_masks", "band_masks")
        return tuple(step for step in steps if getattr(self, step))


def augment(
    windows: np.ndarray,
    targets: np.ndarray,
    config: Augmentation,
    spec: Features,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Return a varied copy of a batch.

    Args:
        windows: float32 `(n, frames, bands)` in dB, 0 the loudest; or windows of descriptors
            `(n, …)`, which can only be mixed.
        targets: `(n, classes)` probabilities.
        config: how far to go.
        spec: what the windows are.
        rng: source of chance.

    Returns:
        windows and targets of the same shapes.
    """
    if not isinstance(spec, FeatureSpec):
        return mixup(windows, targets, config.mixup, rng)
    x = delay(windows, config.delay, -spec.top_db, rng)
    # Serving pads with digital silence, so microphone and noise reach only what was recorded.
    recorded = (x > -spec.top_db).any(axis=2, keepdims=True)
    x = add_noise(add_tilt(x, config.tilt_db, rng), config, rng)
    x = np.maximum(x - x.max(axis=(1, 2), keepdims=True), -spec.top_db)
    x = mask(np.where(recorded, x, np.float32(-spec.top_db)), config, rng)
    return mixup(x, targets, config.mixup, rng)


def delay(windows: np.ndarray, most: int, floor: float, rng: np.random.Generator) -> np.ndarray:
    """Let each window begin up to `most` frames later, behind silence at `floor` dB."""
    delayed = np.full_like(windows, floor)
    for later, window in zip(delayed, windows, strict=True):
        frames = rng.integers(0, most + 1)
        later[frames:] = window[: len(window) - frames]
    return delayed


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
    of_window = share.reshape(-1, *[1] * (windows.ndim - 1))
    mixed = windows * of_window + windows[other] * (1 - of_window)
    return mixed, targets * share[:, None] + targets[other] * (1 - share)[:, None]
