"""Recordings made worse: noisy, muffled, cut, coded, in a room.

`robustness` tests models with such changes, and `augment` has them learn from some. Each takes the
samples of a recording and what it may draw on, and returns other samples, of any length and level.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import av
import numpy as np
from scipy import signal

from ser_core import audio
from ser_core.audio import SAMPLE_RATE


@dataclass(frozen=True, eq=False)
class Source:
    """What a change may draw on: chance, and other people talking (float32 `(n,)` each)."""

    rng: np.random.Generator
    others: Sequence[np.ndarray]


def white_noise(snr_db: float) -> Callable:
    """Add white Gaussian noise at a signal-to-noise ratio in dB."""

    def change(samples: np.ndarray, source: Source) -> np.ndarray:
        return _mixed(samples, source.rng.standard_normal(len(samples)), snr_db)

    return change


def babble(snr_db: float) -> Callable:
    """Add other people, who all talk at once."""

    def change(samples: np.ndarray, source: Source) -> np.ndarray:
        voices = [np.resize(other, len(samples)) / (_rms(other) + 1e-9) for other in source.others]
        return _mixed(samples, np.sum(voices, axis=0), snr_db)

    return change


def hum(snr_db: float) -> Callable:
    """Add a mains hum: 50 Hz and its first harmonics."""

    def change(samples: np.ndarray, source: Source) -> np.ndarray:
        time = np.arange(len(samples)) / SAMPLE_RATE
        phases = source.rng.uniform(0, 2 * np.pi, 8)
        waves = [np.sin(2 * np.pi * 50 * k * time + phase) / k for k, phase in enumerate(phases, 1)]
        return _mixed(samples, np.sum(waves, axis=0), snr_db)

    return change


def cough(samples: np.ndarray, source: Source) -> np.ndarray:
    """Add a burst of noise that dies away within a third of a second, as loud as the speech."""
    burst = source.rng.standard_normal(SAMPLE_RATE // 3) * np.exp(-np.linspace(0, 5, 5333))
    start = source.rng.integers(0, max(len(samples) - len(burst), 0) + 1)
    burst = burst[: len(samples) - start]
    coughing = samples.copy()
    coughing[start : start + len(burst)] += np.abs(samples).max() * burst / np.abs(burst).max()
    return coughing


def gain(decibels: float) -> Callable:
    """Make it louder or softer."""
    return lambda samples, source: samples * 10 ** (decibels / 20)


def clipped(share: float) -> Callable:
    """Cut off the loudest share of the samples."""

    def change(samples: np.ndarray, source: Source) -> np.ndarray:
        limit = np.quantile(np.abs(samples), 1 - share)
        return np.clip(samples, -limit, limit)

    return change


def cropped(seconds: float) -> Callable:
    """Cut off the beginning and the end; of a recording that is too short, leave its middle."""

    def change(samples: np.ndarray, source: Source) -> np.ndarray:
        count = min(int(seconds * SAMPLE_RATE), (len(samples) - 1) // 2)
        return samples[count : len(samples) - count]

    return change


def padded(seconds: float) -> Callable:
    """Put digital silence before and after it."""
    return lambda samples, source: np.pad(samples, int(seconds * SAMPLE_RATE))


def filtered(hertz: float | tuple[float, float], kind: str) -> Callable:
    """Let only some frequencies pass; kind as in `scipy.signal.butter`, of fourth order."""
    sections = signal.butter(4, hertz, kind, fs=SAMPLE_RATE, output="sos")
    return lambda samples, source: signal.sosfilt(sections, samples)


def tilted(decibels: float) -> Callable:
    """Tilt the spectrum by so many decibels from 0 to 8 kHz, its middle unchanged."""

    def change(samples: np.ndarray, source: Source) -> np.ndarray:
        spectrum = np.fft.rfft(samples)
        slope = np.linspace(-decibels / 2, decibels / 2, len(spectrum))
        return np.fft.irfft(spectrum * 10 ** (slope / 20), len(samples))

    return change


def room(seconds: float, direct_db: float = 0.0) -> Callable:
    """Let it echo in a room: noise that dies away by 60 dB in so many seconds (Moorer 1979).

    Args:
        seconds: until the echo is 60 dB softer.
        direct_db: how much louder than all of the echo the direct sound is.
    """

    def change(samples: np.ndarray, source: Source) -> np.ndarray:
        time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
        echo = source.rng.standard_normal(len(time)) * 10 ** (-3 * time / seconds)
        echo *= 10 ** (-direct_db / 20) / np.sqrt(np.sum(echo**2))
        return samples + signal.fftconvolve(samples, echo)[: len(samples)]

    return change


def coded(codec: str, container: str, *, rate: int, kbit: float | None = None) -> Callable:
    """Send it through a codec and back, by FFmpeg."""

    def change(samples: np.ndarray, source: Source) -> np.ndarray:
        return decode(encode(samples, codec, container, rate=rate, kbit=kbit))

    return change


def line(rate: int) -> Callable:
    """Let it come through a telephone line of so many samples a second, in µ-law (ITU-T G.711).

    At the 8000 of a landline, 300 to 3400 Hz pass.
    """
    narrow = filtered((300, 0.425 * rate), "bandpass")

    def change(samples: np.ndarray, source: Source) -> np.ndarray:
        return decode(encode(narrow(samples, source), "pcm_mulaw", "wav", rate=int(rate)))

    return change


def encode(
    samples: np.ndarray, codec: str, container: str, *, rate: int, kbit: float | None = None
) -> bytes:
    """Return a recording as a file: mono, at `rate` Hz and, if the codec asks, `kbit` a second."""
    limited = np.clip(samples, -1, 1)
    frame = av.AudioFrame.from_ndarray(
        (32_767 * limited).astype(np.int16)[None], format="s16", layout="mono"
    )
    frame.sample_rate = SAMPLE_RATE
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as file:
        stream = file.add_stream(codec, rate=rate, layout="mono")
        if kbit:
            stream.bit_rate = int(1000 * kbit)
        resampler = av.AudioResampler(stream.format, "mono", rate)
        for piece in (*resampler.resample(frame), *resampler.resample(None), None):
            file.mux(stream.encode(piece))
    return buffer.getvalue()


def decode(file: bytes) -> np.ndarray:
    """Return the samples of a recording that `encode` made."""
    return audio.read(file, rare=audio.decode_rare).samples


def _mixed(samples: np.ndarray, noise: np.ndarray, snr_db: float) -> np.ndarray:
    return samples + noise * (_rms(samples) / (_rms(noise) + 1e-9) / 10 ** (snr_db / 20))


def _rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=float))))
