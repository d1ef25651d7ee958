"""Kaldi's log mel filter bank, which pretrained speech networks are used to, in numpy alone."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from ser_core.audio import SAMPLE_RATE
from ser_core.descriptors import Decibels, Frames, digest

LENGTH, HOP, N_FFT, BANDS = 400, 160, 512, 80  # samples and bands; 25 ms every 10 ms
_LOWEST = 20.0  # Hz
_PREEMPHASIS = np.float32(0.97)


@dataclass(frozen=True)
class FbankSpec:
    """What a window of filter banks is: each frame's, less their mean over the window.

    Attributes:
        kind: tells this table of a recipe from those of other features.
        frames: most frames in a window; 298 are 3 s. A shorter one ends with zeros.
        sample_rate: Hz; what `audio.read` gives.
        hop_length: samples between frames.
        trim_db: decibels below the loudest frame at which leading and trailing silence ends.
    """

    kind: Literal["fbank"]
    frames: Frames = 298
    sample_rate: Literal[16_000] = SAMPLE_RATE
    hop_length: Literal[160] = HOP
    trim_db: Decibels = 30.0

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a window: `(frames, 80)`."""
        return self.frames, BANDS

    @property
    def n_fft(self) -> int:
        """Samples in an analysis frame."""
        return LENGTH

    @property
    def window_seconds(self) -> float:
        """Length of a window in seconds."""
        return ((self.frames - 1) * HOP + LENGTH) / self.sample_rate

    @property
    def digest(self) -> str:
        """A short hash which changes with any field."""
        return digest(self)

    def frame_count(self, samples: int) -> int:
        """Return how many frames so many samples have: whole ones, but one at least."""
        return max(1 + (samples - LENGTH) // HOP, 1)


def window(samples: np.ndarray, spec: FbankSpec) -> np.ndarray:
    """Return the filter banks of one window, which do not depend on how loud the recording is.

    Args:
        samples: float `(n,)`, not longer than a window.
        spec: how many frames.

    Returns:
        float32 `(frames, 80)`; frames behind the end are exactly zero.
    """
    # Only Kaldi's floor depends on the level; relative to its own peak, it does not either.
    peak = max(float(np.abs(samples).max(initial=0.0)), 1e-9)
    level = log_mel(samples / peak)[: spec.frames]
    level -= level.mean(axis=0)
    return np.pad(level, ((0, spec.frames - len(level)), (0, 0)))


def from_log_mel(
    level: np.ndarray, hertz: np.ndarray, hop: int, count: int, spec: FbankSpec
) -> np.ndarray:
    """Return about what `window` does, of a recording of which only a log-mel spectrogram is left.

    It is interpolated in time and frequency. Pre-emphasis and the areas of filters are the same in
    every frame, and go with the mean; that it looks at longer frames, and not below its floor,
    stays.

    Args:
        level: `(frames, bands)` in dB; frames are centred, the first on the first sample.
        hertz: `(bands,)` the middle of each band.
        hop: samples between its frames.
        count: how many frames of filter banks the recording has.
        spec: how many of them a window has.

    Returns:
        float32 `(frames, 80)`; frames behind the end are exactly zero.
    """
    middle = np.arange(min(count, spec.frames)) * HOP + LENGTH / 2
    in_time = _between(np.arange(len(level)) * hop, level, middle)
    in_both = _between(hertz, in_time.T, band_centres()).T
    found = (in_both * (np.log(10) / 10)).astype(np.float32)
    found -= found.mean(axis=0)
    return np.pad(found, ((0, spec.frames - len(found)), (0, 0)))


def _between(known: np.ndarray, values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Interpolate the rows of `values`, those of `known`, at `wanted`; the ends go on for ever."""
    at = np.interp(wanted, known, np.arange(len(known)))
    below = np.minimum(at.astype(int), len(known) - 2)
    share = (at - below)[:, None].astype(np.float32)
    return values[below] * (1 - share) + values[below + 1] * share


def log_mel(samples: np.ndarray) -> np.ndarray:
    """Return what Kaldi's `compute-fbank-feats --dither=0` returns of 80 bands.

    Frames lie wholly within the recording (`snip-edges`); their mean is subtracted, they are
    pre-emphasised and weighted with Povey's window; triangular filters are straight in mel.

    Args:
        samples: float `(n,)` in [-1, 1] at 16 kHz; fewer than 400 are followed by zeros.

    Returns:
        float32 `(1 + (n - 400) // 160, 80)`, natural logarithms of power.
    """
    samples = np.pad(np.asarray(samples, np.float32), (0, max(0, LENGTH - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(samples, LENGTH)[::HOP]
    frames = frames - frames.mean(axis=1, keepdims=True)
    before = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    spectrum = np.fft.rfft((frames - _PREEMPHASIS * before) * _povey(), N_FFT)
    power = spectrum.real**2 + spectrum.imag**2
    level = np.log(np.maximum(power @ _filters(), np.finfo(np.float32).eps))
    return level.astype(np.float32)


@lru_cache
def _povey() -> np.ndarray:
    return (np.hanning(LENGTH) ** 0.85).astype(np.float32)


@lru_cache
def _filters() -> np.ndarray:
    """Return the filters, float32 `(1 + N_FFT // 2, BANDS)`."""
    edges = _edges()
    mel = _mel(np.fft.rfftfreq(N_FFT, 1 / SAMPLE_RATE))[:, None]
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (mel - left) / (centre - left), (right - mel) / (right - centre)
    return np.maximum(np.minimum(rising, falling), 0).astype(np.float32)


def band_centres() -> np.ndarray:
    """Return the middle of each band in Hz, `(80,)`."""
    return 700 * np.expm1(_edges()[1:-1] / 1127)


def _edges() -> np.ndarray:
    return np.linspace(_mel(_LOWEST), _mel(SAMPLE_RATE / 2), BANDS + 2)


def _mel(hertz: np.ndarray | float) -> np.ndarray:
    return 1127 * np.log1p(np.asarray(hertz) / 700)
