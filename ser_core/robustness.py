"""Whether a model still says the same of a recording that is noisy, muffled, cut or coded.

The tests and most pass marks are those of Derington et al. (2023), "Testing speech emotion
recognition machine learning models", arXiv 2312.06270, made of what is at hand: babble is other
recordings of the same manifest, rooms are noise that dies away.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import av
import numpy as np
import pandas as pd
from scipy import signal

from ser_core import audio
from ser_core.audio import SAMPLE_RATE
from ser_core.card import Robustness
from ser_core.errors import UndertoneError
from ser_core.recognizer import Recognizer

_CHUNK = 32  # recordings judged together
_BABBLERS = 4


@dataclass(frozen=True, eq=False)
class Source:
    """What a change may draw on: chance, and other people talking (float32 `(n,)` each)."""

    rng: np.random.Generator
    others: Sequence[np.ndarray]


@dataclass(frozen=True)
class Condition:
    """One way in which a recording may be worse than it was.

    Attributes:
        name: in words.
        change: from samples `(n,)` in [-1, 1] at 16 kHz to others, of any length and level.
        most_drop: the most UAR that it may cost, as a fraction; None if nothing is asked for.
        least_same: the least share of answers that must stay; None likewise.
    """

    name: str
    change: Callable[[np.ndarray, Source], np.ndarray]
    most_drop: float | None = None
    least_same: float | None = None


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


def telephone(samples: np.ndarray, source: Source) -> np.ndarray:
    """Let it come through a landline: 300 to 3400 Hz at 8 kHz, µ-law (ITU-T G.711)."""
    narrow = filtered((300, 3400), "bandpass")(samples, source)
    return decode(encode(narrow, "pcm_mulaw", "wav", rate=8000))


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
    """Return the samples of a recording."""
    return audio.read(file).samples


def _mixed(samples: np.ndarray, noise: np.ndarray, snr_db: float) -> np.ndarray:
    return samples + noise * (_rms(samples) / (_rms(noise) + 1e-9) / 10 ** (snr_db / 20))


def _rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=float))))


# "Small" changes should go unnoticed by nearly all answers.
_SMALL = {"least_same": 0.95}
CONDITIONS = (
    Condition("white noise, 20 dB", white_noise(20), most_drop=0.05, least_same=0.9),
    Condition("white noise, 10 dB", white_noise(10)),
    Condition("babble, 20 dB", babble(20), most_drop=0.05, least_same=0.9),
    Condition("babble, 10 dB", babble(10)),
    Condition("hum, 20 dB", hum(20), most_drop=0.05, least_same=0.9),
    Condition("hum, 10 dB", hum(10)),
    Condition("a cough", cough),
    Condition("20 dB softer", gain(-20), **_SMALL),
    Condition("0.1 % clipped", clipped(0.001), **_SMALL),
    Condition("5 % clipped", clipped(0.05)),
    Condition("0.05 s cut off at both ends", cropped(0.05), **_SMALL),
    Condition("0.5 s of silence at both ends", padded(0.5), **_SMALL),
    Condition("above 100 Hz", filtered(100, "highpass"), **_SMALL),
    Condition("below 7 kHz", filtered(7000, "lowpass"), **_SMALL),
    Condition("below 3 kHz", filtered(3000, "lowpass")),
    Condition("telephone (G.711)", telephone, most_drop=0.05),
    Condition(
        "mobile phone (AMR-NB, 12.2 kbit/s)",
        coded("libopencore_amrnb", "amr", rate=8000, kbit=12.2),
        most_drop=0.05,
    ),
    Condition("Opus, 16 kbit/s", coded("libopus", "ogg", rate=16_000, kbit=16)),
    Condition("MP3, 32 kbit/s", coded("libmp3lame", "mp3", rate=16_000, kbit=32)),
    Condition("small room (0.3 s)", room(0.3), least_same=0.8),
    Condition("large room (0.8 s)", room(0.8), least_same=0.8),
    Condition("darker by 6 dB", tilted(-6), least_same=0.8),
    Condition("brighter by 6 dB", tilted(6), least_same=0.8),
)


def measure(
    recognizer: Recognizer,
    manifest: pd.DataFrame,
    *,
    conditions: Sequence[Condition] = CONDITIONS,
    seed: int = 0,
    on_clip: Callable[[], None] = lambda: None,
) -> tuple[float, list[Robustness]]:
    """Return a model's UAR on recordings as they are, and what each change does to it.

    Recordings that cannot be read, or not be judged as they are, are left out. One in which no
    voice is found once it is changed counts as wrong.

    Args:
        recognizer: the model.
        manifest: columns `path`, `emotion`, `speaker`.
        conditions: the changes.
        seed: of noise, of where coughs fall, and of who babbles.
        on_clip: called after each recording.

    Raises:
        UndertoneError: none of the recordings could be judged.
    """
    labels = set(manifest.emotion)
    rng = np.random.default_rng(seed)
    crowd = _crowd(manifest, rng)
    truth, before, after = [], [], [[] for _ in conditions]
    for start in range(0, len(manifest), _CHUNK):
        clips, known = [], []
        for row in manifest.iloc[start : start + _CHUNK].itertuples():
            on_clip()
            try:
                clips.append(audio.read(row.path))
                known.append(row)
            except audio.AudioError:
                continue
        heard = _answers(recognizer, clips, labels)
        judged = [index for index, answer in enumerate(heard) if answer]
        truth += [known[index].emotion for index in judged]
        before += [heard[index] for index in judged]
        for condition, found in zip(conditions, after, strict=True):
            changed = [
                _changed(clips[index], condition, _source(known[index].speaker, crowd, rng))
                for index in judged
            ]
            found += _answers(recognizer, changed, labels)
    if not truth:
        raise UndertoneError("none of the recordings could be judged")
    clean = _uar(truth, before)
    rows = [_row(*each, truth, before, clean) for each in zip(conditions, after, strict=True)]
    return clean, rows


def _crowd(manifest: pd.DataFrame, rng: np.random.Generator) -> list[tuple[str, np.ndarray]]:
    """Return some recordings, each with who speaks in it, for a babble."""
    found = []
    for index in rng.permutation(len(manifest))[: 8 * _BABBLERS]:
        row = manifest.iloc[index]
        try:
            found.append((row.speaker, audio.read(row.path).samples))
        except audio.AudioError:
            continue
    return found


def _source(
    speaker: str, crowd: Sequence[tuple[str, np.ndarray]], rng: np.random.Generator
) -> Source:
    others = [samples for name, samples in crowd if name != speaker or not name]
    others = others or [samples for _, samples in crowd]
    chosen = rng.permutation(len(others))[:_BABBLERS]
    return Source(rng, [others[index] for index in chosen])


def _changed(clip: audio.Clip, condition: Condition, source: Source) -> audio.Clip:
    samples = np.nan_to_num(condition.change(clip.samples, source)).astype(np.float32)
    return replace(clip, samples=samples / max(1.0, float(np.abs(samples).max(initial=0.0))))


def _answers(recognizer: Recognizer, clips: Sequence[audio.Clip], labels: set[str]) -> list[str]:
    """Return what is likeliest of some labels; nothing where no voice was found."""
    return [
        max(labels & set(found.probabilities), key=found.probabilities.get) if found.label else ""
        for found in recognizer.predict_many(clips)
    ]


def _uar(truth: Sequence[str], answers: Sequence[str]) -> float:
    right = pd.Series(np.equal(truth, answers))
    return float(right.groupby(np.asarray(truth)).mean().mean())


def _row(
    condition: Condition,
    after: Sequence[str],
    truth: Sequence[str],
    before: Sequence[str],
    clean: float,
) -> Robustness:
    uar, same = _uar(truth, after), float(np.mean(np.equal(before, after)))
    refused = float(np.mean(np.equal(after, "")))
    return _judged(condition, uar=uar, drop=clean - uar, same=same, refused=refused)


def _judged(condition: Condition, **scores: float) -> Robustness:
    asked = []
    if condition.most_drop is not None:
        asked.append(scores["drop"] <= condition.most_drop)
    if condition.least_same is not None:
        asked.append(scores["same"] >= condition.least_same)
    return Robustness(condition.name, **scores, passed=all(asked) if asked else None)


def pooled(folds: Sequence[Sequence[Robustness]]) -> tuple[Robustness, ...]:
    """Return the means of what some folds gave under `CONDITIONS`, judged anew."""
    by_name = {condition.name: condition for condition in CONDITIONS}
    return tuple(
        _judged(
            by_name[rows[0].condition],
            **{
                score: float(np.mean([getattr(row, score) for row in rows]))
                for score in ("uar", "drop", "same", "refused")
            },
        )
        for rows in zip(*folds, strict=True)
    )
