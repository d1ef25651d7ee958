"""From samples to what a network sees: windows of log-mel spectrograms, filter banks, descriptors.

The log-mel path is numpy alone, because librosa's first call costs seconds; a test holds it to
librosa's answer.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Discriminator, Tag
from threadpoolctl import ThreadpoolController

from ser_core import audio, descriptors, fbank
from ser_core.descriptors import Bands, Decibels, DescriptorSpec, Frames, Samples
from ser_core.fbank import FbankSpec


@dataclass(frozen=True)
class FeatureSpec:
    """What a log-mel window is.

    Attributes:
        sample_rate: Hz; what `audio.read` gives.
        n_fft: samples in an analysis frame (Hann window).
        hop_length: samples between frames.
        n_mels: mel bands computed, from 0 Hz to half the sample rate (Slaney's scale and norm).
        bands: bands kept; neighbouring mel bands are averaged in decibels down to this many.
        frames: frames in a window; 188 are 3 s.
        top_db: decibels below the window's own maximum at which values are cut off.
        trim_db: decibels below the loudest frame at which leading and trailing silence ends.
    """

    sample_rate: Literal[16_000] = audio.SAMPLE_RATE
    n_fft: Samples = 1024
    hop_length: Samples = 256
    n_mels: Bands = 128
    bands: Bands = 64
    frames: Frames = 188
    top_db: Decibels = 80.0
    trim_db: Decibels = 30.0

    def __post_init__(self) -> None:
        """Check that the numbers fit together."""
        if self.n_mels % self.bands:
            raise ValueError(f"n_mels ({self.n_mels}) must be a multiple of bands ({self.bands})")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a window: `(frames, bands)`."""
        return self.frames, self.bands

    @property
    def window_seconds(self) -> float:
        """Length of a window in seconds."""
        return self.frames * self.hop_length / self.sample_rate

    @property
    def digest(self) -> str:
        """A short hash which changes with any field."""
        return descriptors.digest(self)

    def frame_count(self, samples: int) -> int:
        """Return how many frames so many samples have."""
        return 1 + samples // self.hop_length


_KINDS = {"kind": "fbank", "names": "descriptors"}


def _kind(features) -> str:
    table = features if isinstance(features, dict) else getattr(features, "__dict__", ())
    return next((kind for key, kind in _KINDS.items() if key in table), "log-mel")


# What a table means: filter banks have a kind, descriptors names, a log-mel spectrogram neither.
Features = Annotated[
    Annotated[FeatureSpec, Tag("log-mel")]
    | Annotated[FbankSpec, Tag("fbank")]
    | Annotated[DescriptorSpec, Tag("descriptors")],
    Discriminator(_kind),
]

_BLOCK = 128  # frames


def mel_power(
    samples: np.ndarray, spec: FeatureSpec, *, first: int = 0, last: int | None = None
) -> np.ndarray:
    """Return the mel power spectrogram, as `librosa.feature.melspectrogram` has it, or part of it.

    Args:
        samples: float `(n,)`; frames are centred and the ends padded with zeros.
        spec: which frames and bands.
        first: the first frame wanted.
        last: the frame after the last one wanted; by default all that there are.

    Returns:
        float32 `(frames, n_mels)`; of all there are `1 + n // hop_length`.
    """
    every = 1 + len(samples) // spec.hop_length
    last = every if last is None else min(last, every)
    window, filters = _hann(spec.n_fft), mel_filters(spec.sample_rate, spec.n_fft, spec.n_mels)
    power = np.empty((last - first, spec.n_mels), np.float32)
    # A product as small as a clip's is done before a second thread has woken up. (Should several
    # threads meet here, BLAS may stay at one thread: slower for others, but never wrong.)
    with _blas().limit(limits=1):
        # In blocks that stay in the processor's cache, of a clip as of an hour.
        for start in range(first, last, _BLOCK):
            frames = _frames(samples, spec, start, min(start + _BLOCK, last))
            spectrum = np.fft.rfft(frames * window)
            end = start - first + len(frames)
            power[start - first : end] = (spectrum.real**2 + spectrum.imag**2) @ filters.T
    return power


def _frames(samples: np.ndarray, spec: FeatureSpec, first: int, last: int) -> np.ndarray:
    """Return the analysis frames from `first` to before `last`, `(last - first, n_fft)`."""
    half = spec.n_fft // 2
    begin, end = first * spec.hop_length - half, (last - 1) * spec.hop_length + half
    inside = np.asarray(samples[max(begin, 0) : end], np.float32)
    padded = np.pad(inside, (max(-begin, 0), max(end - len(samples), 0)))
    return np.lib.stride_tricks.sliding_window_view(padded, spec.n_fft)[:: spec.hop_length]


def decibels(power: np.ndarray, top_db: float) -> np.ndarray:
    """Return power in dB relative to its own maximum, cut off `top_db` below it.

    A gain changes nothing. Where there is no power at all, every value is `-top_db`.
    """
    loudest = power.max(initial=0.0)
    if loudest <= 0.0:
        return np.full_like(power, -top_db)
    return 10.0 * np.log10(np.maximum(power / loudest, 10.0 ** (-top_db / 10.0)))


@dataclass(frozen=True, eq=False)
class Windows:
    """Overlapping windows of a clip.

    Attributes:
        values: float32 `(windows, …)`, of the spec's shape; log-mel in dB.
        starts: `(windows,)` seconds from the clip's beginning.
        ends: likewise; the last window of a short clip ends where the clip ends.
    """

    values: np.ndarray
    starts: np.ndarray
    ends: np.ndarray


def windows(clip: audio.Clip, spec: Features) -> Windows:
    """Cut a clip's features into windows that overlap by half.

    Leading and trailing silence is trimmed first. A clip shorter than a window is padded with
    silence; a longer one's last window ends with the clip. Each window is relative to its own
    maximum, so the answer depends neither on gain nor on what was shouted a minute before.

    Raises:
        ValueError: the clip's sample rate is not the spec's.
    """
    return join(list(window_batches(clip, spec)), spec)


def window_batches(
    clip: audio.Clip,
    spec: Features,
    *,
    keep: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
    size: int = 32,
) -> Iterator[Windows]:
    """Yield what `windows` returns, at most `size` windows at a time: an hour fits in memory.

    Args:
        clip: of any length.
        spec: which features.
        keep: tells from the windows' starts and ends in seconds which of them are wanted, bool
            `(windows,)`; not asked about a clip of one window.
        size: most windows at a time.
    """
    if clip.sample_rate != spec.sample_rate:
        raise ValueError(
            f"the clip has {clip.sample_rate} Hz but {spec.sample_rate} Hz are expected; "
            "read it with ser_core.audio.read"
        )
    begin, end = audio.speech_bounds(clip.samples, top_db=spec.trim_db)
    samples = clip.samples[begin:end]
    first = window_starts(spec.frame_count(len(samples)), spec.frames)
    starts = begin / spec.sample_rate + first * (spec.hop_length / spec.sample_rate)
    ends = np.minimum(starts + spec.window_seconds, end / spec.sample_rate)
    wanted = keep(starts, ends) if keep and len(first) > 1 else np.ones(len(first), bool)
    values = _log_mel if isinstance(spec, FeatureSpec) else _one_by_one
    for batch in range(0, len(first), size):
        chosen = batch + np.flatnonzero(wanted[batch : batch + size])
        if len(chosen):
            yield Windows(values(samples, first[chosen], spec), starts[chosen], ends[chosen])


def _log_mel(samples: np.ndarray, first: np.ndarray, spec: FeatureSpec) -> np.ndarray:
    """Return the log-mel windows that begin at some frames, `(windows, frames, bands)`."""
    power = mel_power(samples, spec, first=first[0], last=first[-1] + spec.frames)
    return np.stack([_window(power[at : at + spec.frames], spec) for at in first - first[0]])


def _one_by_one(
    samples: np.ndarray, first: np.ndarray, spec: FbankSpec | DescriptorSpec
) -> np.ndarray:
    """Return the windows of other features that begin at some frames, `(windows, …)`."""
    window = fbank.window if isinstance(spec, FbankSpec) else descriptors.window
    begins = first * spec.hop_length
    length = round(spec.window_seconds * spec.sample_rate)
    return np.stack([window(samples[at : at + length], spec) for at in begins])


def join(parts: Sequence[Windows], spec: Features) -> Windows:
    """Return the windows of all parts, which may be none."""
    empty = Windows(np.empty((0, *spec.shape), np.float32), np.empty(0), np.empty(0))
    return Windows(
        values=np.concatenate([part.values for part in (empty, *parts)]),
        starts=np.concatenate([part.starts for part in (empty, *parts)]),
        ends=np.concatenate([part.ends for part in (empty, *parts)]),
    )


def window_starts(length: int, frames: int) -> np.ndarray:
    """Return the first frame of each half-overlapping window over `length` frames."""
    last = max(length - frames, 0)
    starts = np.arange(0, last + 1, frames // 2)
    return starts if starts[-1] == last else np.append(starts, last)


def _window(power: np.ndarray, spec: FeatureSpec) -> np.ndarray:
    level = decibels(power, spec.top_db)
    # Neighbours averaged; several times faster than a mean over an axis of two.
    group = spec.n_mels // spec.bands
    level = sum(level[:, band::group] for band in range(group)) / group
    return np.pad(level, ((0, spec.frames - len(level)), (0, 0)), constant_values=-spec.top_db)


def band_centres(spec: FeatureSpec) -> np.ndarray:
    """Return the middle of each band in Hz, `(bands,)`."""
    edges = np.linspace(0, hertz_to_mel(spec.sample_rate / 2), spec.n_mels + 2)
    return mel_to_hertz(edges[1:-1].reshape(spec.bands, -1).mean(axis=1))


@lru_cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="blas")


@lru_cache
def _hann(n_fft: int) -> np.ndarray:
    return np.hanning(n_fft + 1)[:-1].astype(np.float32)


@lru_cache
def mel_filters(sample_rate: int, n_fft: int, n_mels: int) -> np.ndarray:
    """Return Slaney's area-normalised mel filterbank, float32 `(n_mels, 1 + n_fft // 2)`.

    Slaney, "Auditory Toolbox" (1998); the same numbers as `librosa.filters.mel`.
    """
    bins = np.linspace(0.0, sample_rate / 2, 1 + n_fft // 2)
    edges = mel_to_hertz(np.linspace(0.0, hertz_to_mel(sample_rate / 2), n_mels + 2))
    width = np.diff(edges)
    rising = (bins - edges[:-2, None]) / width[:-1, None]
    falling = (edges[2:, None] - bins) / width[1:, None]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return (triangles * (2.0 / (edges[2:] - edges[:-2]))[:, None]).astype(np.float32)


# Slaney's scale: linear up to 1 kHz (15 mel), logarithmic above, 27 steps for a factor of 6.4.
_LINEAR, _BREAK_HERTZ, _BREAK_MEL, _STEP = 200.0 / 3, 1000.0, 15.0, np.log(6.4) / 27.0


def hertz_to_mel(hertz: np.ndarray | float) -> np.ndarray:
    """Return Slaney's mel for a frequency in Hz."""
    hertz = np.asarray(hertz, float)
    above = _BREAK_MEL + np.log(np.maximum(hertz, _BREAK_HERTZ) / _BREAK_HERTZ) / _STEP
    return np.where(hertz < _BREAK_HERTZ, hertz / _LINEAR, above)


def mel_to_hertz(mel: np.ndarray | float) -> np.ndarray:
    """Return the frequency in Hz for Slaney's mel."""
    mel = np.asarray(mel, float)
    above = _BREAK_HERTZ * np.exp(_STEP * (np.maximum(mel, _BREAK_MEL) - _BREAK_MEL))
    return np.where(mel < _BREAK_MEL, mel * _LINEAR, above)


def cache_dir() -> Path:
    """Return the folder of the feature cache: `SER_CACHE_DIR`, or `.cache`."""
    return Path(os.environ.get("SER_CACHE_DIR", ".cache"))
