"""Acoustic descriptors by name, as librosa computes them: MFCC, chroma and the rest of the field.

Imports librosa, whose first call costs seconds; `features` comes here only for models that want it.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Annotated, Literal

import numpy as np
from annotated_types import Interval, Len

from ser_core.audio import SAMPLE_RATE

_TOP_DB = 80.0
# Spectral contrast needs its highest octave below half the sample rate: 200 Hz · 2⁵.
_CONTRAST_OCTAVES = 5

Name = Literal["mfcc", "delta-mfcc", "chroma", "contrast", "tonnetz", "zcr", "rms", "log-mel"]
Statistic = Literal["mean", "sd", "min", "max"]
# A window is to fit into memory and be computed in time, whoever asks for it.
Frames = Annotated[int, Interval(ge=2, le=10_000)]
Samples = Annotated[int, Interval(ge=64, le=16_384)]
Bands = Annotated[int, Interval(ge=1, le=1024)]
Decibels = Annotated[float, Interval(gt=0, le=200)]
_POOL: dict[str, Callable] = {"mean": np.mean, "sd": np.std, "min": np.min, "max": np.max}


@dataclass(frozen=True)
class DescriptorSpec:
    """What a window of descriptors is: a matrix over time or, pooled, a vector.

    Attributes:
        names: which descriptors, in this order.
        pooled: statistics over a window's frames, one after the other; none to keep the frames.
        frames: most frames in a window; a shorter one begins with zeros (in decibels: with the
            floor), or is pooled as it is.
        sample_rate: Hz; what `audio.read` gives.
        n_fft: samples in an analysis frame.
        hop_length: samples between frames.
        n_mfcc: coefficients of `mfcc` and `delta-mfcc`.
        n_mels: mel bands of `log-mel`, and those that `mfcc` is made of.
        trim_db: decibels below the loudest frame at which leading and trailing silence ends.
    """

    names: Annotated[tuple[Name, ...], Len(1)]
    pooled: tuple[Statistic, ...] = ()
    frames: Frames = 160
    sample_rate: Literal[16_000] = SAMPLE_RATE
    n_fft: Samples = 2048
    hop_length: Samples = 512
    n_mfcc: Bands = 40
    n_mels: Bands = 128
    trim_db: Decibels = 30.0

    def __post_init__(self) -> None:
        """Check what types alone cannot."""
        if len(set(self.names)) < len(self.names):
            raise ValueError("a descriptor is named twice")
        if self.n_mfcc > self.n_mels:
            raise ValueError(f"n_mfcc ({self.n_mfcc}) must not exceed n_mels ({self.n_mels})")

    @cached_property
    def sizes(self) -> dict[str, int]:
        """How many values each descriptor has in a frame."""
        known = {
            "mfcc": self.n_mfcc,
            "delta-mfcc": self.n_mfcc,
            "chroma": 12,
            "contrast": _CONTRAST_OCTAVES + 1,
            "tonnetz": 6,
            "zcr": 1,
            "rms": 1,
            "log-mel": self.n_mels,
        }
        return {name: known[name] for name in self.names}

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a window: `(frames, values)`, or `(values,)` if pooled."""
        values = sum(self.sizes.values())
        return (values * len(self.pooled),) if self.pooled else (self.frames, values)

    @property
    def window_seconds(self) -> float:
        """Length of a window in seconds."""
        return self.frames * self.hop_length / self.sample_rate

    @property
    def digest(self) -> str:
        """A short hash which changes with any field."""
        return digest(self)

    def frame_count(self, samples: int) -> int:
        """Return how many frames so many samples have."""
        return 1 + samples // self.hop_length


def digest(spec) -> str:
    """Return a short hash of a dataclass, which changes with any of its fields."""
    text = json.dumps(asdict(spec), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def window(samples: np.ndarray, spec: DescriptorSpec) -> np.ndarray:
    """Return the descriptors of one window, which do not depend on how loud the recording is.

    Args:
        samples: float `(n,)`, not longer than a window.
        spec: which descriptors.

    Returns:
        float32 of the spec's shape.
    """
    values = frame_by_frame(samples, spec)[: spec.frames]
    if spec.pooled:
        pooled = [_POOL[statistic](values, axis=0) for statistic in spec.pooled]
        return np.concatenate(pooled).astype(np.float32)
    # In front, so that a recurrent network ends with what was said, not with silence.
    padding = np.tile(_silence(spec), (spec.frames - len(values), 1))
    return np.concatenate([padding, values])


def frame_by_frame(samples: np.ndarray, spec: DescriptorSpec) -> np.ndarray:
    """Return descriptors float32 `(1 + n // hop_length, values)`; each is librosa's of its name.

    The samples are scaled to a peak of 1 first, and padded to one analysis frame at least.
    """
    from librosa import feature, stft

    samples = np.asarray(samples, np.float32)
    samples = np.pad(samples, (0, max(0, spec.n_fft - len(samples))))
    samples = samples / max(float(np.abs(samples).max(initial=0.0)), 1e-9)
    frame = {"hop_length": spec.hop_length}
    magnitude = np.abs(stft(samples, n_fft=spec.n_fft, **frame))
    power = magnitude**2

    def mel() -> np.ndarray:
        return feature.melspectrogram(S=power, sr=spec.sample_rate, n_mels=spec.n_mels)

    def mfcc() -> np.ndarray:
        return feature.mfcc(S=_decibels(mel()), n_mfcc=spec.n_mfcc)

    def chroma() -> np.ndarray:
        # Speech is in no key: without a tuning given, librosa would search for one in every clip.
        return feature.chroma_stft(S=power, sr=spec.sample_rate, n_fft=spec.n_fft, tuning=0.0)

    compute = {
        "mfcc": mfcc,
        "delta-mfcc": lambda: _delta(mfcc()),
        "chroma": chroma,
        "contrast": lambda: feature.spectral_contrast(
            S=magnitude, sr=spec.sample_rate, n_bands=_CONTRAST_OCTAVES
        ),
        "tonnetz": lambda: feature.tonnetz(chroma=chroma(), sr=spec.sample_rate),
        "zcr": lambda: feature.zero_crossing_rate(samples, frame_length=spec.n_fft, **frame),
        "rms": lambda: feature.rms(S=magnitude, frame_length=spec.n_fft),
        "log-mel": lambda: _decibels(mel()),
    }
    return np.concatenate([compute[name]() for name in spec.names]).T.astype(np.float32)


def _silence(spec: DescriptorSpec) -> np.ndarray:
    """Return what pads a window, float32 `(values,)`."""
    floor = {"log-mel": -_TOP_DB}
    return np.concatenate(
        [np.full(size, floor.get(name, 0.0), np.float32) for name, size in spec.sizes.items()]
    )


def _decibels(power: np.ndarray) -> np.ndarray:
    from librosa import power_to_db

    return power_to_db(power, ref=np.max, top_db=_TOP_DB)


def _delta(values: np.ndarray) -> np.ndarray:
    from librosa.feature import delta

    # The slope over nine frames, or over as many (an odd number of them) as there are.
    width = min(9, (values.shape[1] - 1) // 2 * 2 + 1)
    return delta(values, width=width) if width >= 3 else np.zeros_like(values)
