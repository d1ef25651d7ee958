"""Hears a stream: sound in on one thread, an emotion every half second on another, little kept."""

import logging
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import soxr

from ser_core import log, timeline
from ser_core.audio import ACTIVITY_HOP, SAMPLE_RATE, Clip, speech_activity
from ser_core.card import Card
from ser_core.features import FeatureSpec, mel_power
from ser_core.profile import Voice
from ser_core.recognizer import Recognizer
from ser_core.timeline import Timeline

TICK = timeline.STEP  # seconds between two answers
WINDOW = 3.0  # seconds that an answer is about
KEPT = 10.0  # seconds of sound that are remembered
SPAN = 120.0  # seconds of the rolling timeline
PATIENCE = 10.0  # seconds in which a connection is made, or never

_MOST_MOMENTS = 7_200  # an hour
_RECENT = 0.5  # seconds in which something must be said, or it is silent by now
_LEAST_RECENT = 0.1  # seconds of speech among these
_QUIET = -50.0  # dB of full scale; the rustle of a quiet room is below
_FAINTEST = 3 / 2**15  # what a muted microphone may give, in spite of rounding
_MISSING = 2.0  # seconds without any sound, not even silence, after which there is no signal
_HOP = 1_024  # samples (64 ms) in a column of the pictures
_MEL_RANGE = 60.0  # dB that the picture tells apart
_LOUD_MEL = 5.0  # dB of mel power that ordinary speech reaches; silence is not blown up to it


class State(StrEnum):
    """Where a visitor is on the way from pressing the button to the end."""

    ASKING = "asking"
    DENIED = "denied"
    MISSING = "missing"
    BUSY = "busy"
    INSECURE = "insecure"
    CONNECTING = "connecting"
    FAILED = "failed"
    LISTENING = "listening"
    PAUSED = "paused"
    MUTED = "muted"
    NO_SIGNAL = "no signal"
    LOST = "lost"
    STOPPED = "stopped"


class Sound(StrEnum):
    """What kind of sound there is at a moment; only `SPEECH` has probabilities."""

    SILENCE = "silence"
    NOISE = "no speech"
    BRIEF = "too little speech"
    SPEECH = "speech"


class Buffer:
    """The last seconds of one microphone, 16 kHz mono; shared by two threads, bounded for ever."""

    def __init__(self, seconds: float = KEPT):
        """Make room for that many seconds."""
        self._lock = threading.Lock()
        self._ring = np.zeros(int(seconds * SAMPLE_RATE), np.float32)
        self._written = 0
        self._rate = SAMPLE_RATE
        self._resampler: soxr.ResampleStream | None = None
        self._arrived: float | None = None
        self._closed = False
        self.paused = False

    def write(self, rate: int, block: np.ndarray) -> None:
        """Append what has just arrived; dropped while paused and after `close`.

        Args:
            rate: in Hz; may change on the way.
            block: float32 `(n, channels)`.
        """
        with self._lock:
            self._arrived = time.monotonic()
            if self._closed or self.paused:
                return
            samples = self._resample(rate, block.mean(axis=1))[-len(self._ring) :]
            places = np.arange(self._written, self._written + len(samples)) % len(self._ring)
            self._ring[places] = samples
            self._written += len(samples)

    def _resample(self, rate: int, mono: np.ndarray) -> np.ndarray:
        if rate != self._rate:
            self._rate = rate
            self._resampler = soxr.ResampleStream(rate, SAMPLE_RATE, 1, "float32", quality="HQ")
        if rate == SAMPLE_RATE:
            return mono
        return self._resampler.resample_chunk(mono)

    def read(self, seconds: float = KEPT) -> tuple[np.ndarray, int]:
        """Return the latest samples, float32 `(n,)`, and how many there have been in all.

        There are fewer samples than asked for if fewer have come, and none after `close`.
        """
        with self._lock:
            length = min(int(seconds * SAMPLE_RATE), self._written, len(self._ring))
            start = self._written - length
            places = np.arange(start, self._written) % max(len(self._ring), 1)
            return self._ring[places], self._written

    def close(self) -> None:
        """Forget the sound and take no more."""
        with self._lock:
            self._closed = True
            self._ring = np.empty(0, np.float32)
            self._resampler = None

    @property
    def closed(self) -> bool:
        """Whether the stream is over."""
        return self._closed

    @property
    def seconds(self) -> float:
        """How much sound there has been in all, in seconds; pauses do not count."""
        return self._written / SAMPLE_RATE

    def missing_for(self, now: float) -> float:
        """Return for how many seconds nothing has arrived, by `time.monotonic`; at first, inf."""
        return np.inf if self._arrived is None else now - self._arrived


@dataclass(frozen=True)
class Moment:
    """What was heard at a point in time.

    Attributes:
        time: seconds of sound since the start.
        sound: what kind.
        probabilities: by emotion, of the last 3 s, smoothed; empty unless there is speech.
        label: the likeliest emotion; None if none is clear enough to rely on.
    """

    time: float
    sound: Sound
    probabilities: Mapping[str, float]
    label: str | None


class Listener:
    """One visit to the microphone: its sound, what was heard in it, and how it came to an end."""

    def __init__(self) -> None:
        """Begin, with the visitor's permission still to be asked for."""
        self.buffer = Buffer()
        self.moments: deque[Moment] = deque(maxlen=_MOST_MOMENTS)
        self.since = 0.0  # seconds until which moments are forgotten
        self.card: Card | None = None  # of the model that heard the latest
        self.ended: State | None = None
        self._granted: float | None = None

    def state(self, told: str | None, now: float) -> State:
        """Return where the visitor is.

        Args:
            told: what the browser says: `granted`, `denied`, `missing`, `busy`, `insecure`,
                `failed`, or None as long as it asks the visitor.
            now: by `time.monotonic`.
        """
        if self.ended:
            return self.ended
        if told is None:
            return State.ASKING
        if self.buffer.closed or told == "failed":
            return State.LOST if self.buffer.seconds else State.FAILED
        if told != "granted":
            return State(told)
        self._granted = self._granted or now
        missing_for = self.buffer.missing_for(now)
        if np.isinf(missing_for):
            return State.FAILED if now - self._granted > PATIENCE else State.CONNECTING
        if self.buffer.paused:
            return State.PAUSED
        if missing_for > _MISSING:
            return State.NO_SIGNAL
        samples, _ = self.buffer.read(_MISSING)
        if len(samples) >= _MISSING * SAMPLE_RATE and np.abs(samples).max() <= _FAINTEST:
            return State.MUTED
        return State.LISTENING

    def end(self, state: State) -> None:
        """Forget the sound; keep what was heard in it."""
        self.ended = state
        self.buffer.close()

    def hear(self, recognizer: Recognizer, voice: Voice | None = None) -> Moment | None:
        """Judge the last 3 s and remember the answer; without new sound, return the last one.

        Args:
            recognizer: judges.
            voice: of who speaks, if it is known.

        Raises:
            UndertoneError: the model fails, or the voice is known to another one.
        """
        samples, written = self.buffer.read(WINDOW)
        before = self.moments[-1] if self.moments else None
        if not len(samples) or before and written / SAMPLE_RATE <= before.time:
            return before
        with log.prediction("live", level=logging.DEBUG) as heard:
            prediction = recognizer.predict(Clip(samples, SAMPLE_RATE, "live"))
            if voice:
                prediction = recognizer.with_voice(prediction, voice)
            heard(prediction)
        sound = _kind(
            samples,
            {issue.code for issue in prediction.quality.issues if issue.severity == "error"},
        )
        values, label = {}, None
        if sound is Sound.SPEECH:
            values = smooth(before.probabilities if before else {}, prediction.probabilities)
            likeliest = max(values, key=values.get)
            label = likeliest if values[likeliest] >= recognizer.card.threshold else None
        if len(self.moments) == self.moments.maxlen:
            self.since = self.moments[0].time
        self.card = recognizer.card
        self.moments.append(Moment(written / SAMPLE_RATE, sound, values, label))
        return self.moments[-1]


def _kind(samples: np.ndarray, errors: set[str]) -> Sound:
    recent = int(_RECENT * SAMPLE_RATE)
    active = speech_activity(samples)[-recent // ACTIVITY_HOP :].sum() * ACTIVITY_HOP / SAMPLE_RATE
    if errors - {"too_short"}:
        return Sound.SILENCE if level(samples[-recent:]) < _QUIET else Sound.NOISE
    if active < _LEAST_RECENT:
        return Sound.SILENCE
    return Sound.BRIEF if errors else Sound.SPEECH


def smooth(before: Mapping[str, float], now: Mapping[str, float]) -> dict[str, float]:
    """Return probabilities halfway between the last ones and the new ones; the new ones at first.

    So a single odd window cannot win, and after a second three quarters are news.
    """
    return {label: (before.get(label, value) + value) / 2 for label, value in now.items()}


def level(samples: np.ndarray) -> float:
    """Return the mean power of float `(n,)` in dB of full scale, at least -100."""
    power = np.mean(np.square(samples)) if len(samples) else 0.0
    return float(10 * np.log10(max(power, 1e-10)))


def over_time(
    moments: Iterable[Moment], emotions: Sequence[str], first: int, end: int
) -> np.ndarray:
    """Lay moments on a grid of half seconds.

    Args:
        moments: oldest first.
        emotions: what the columns are to be.
        first: the first half second, and
        end: the one after the last; before 0, nothing was said.

    Returns:
        float `(end - first, emotions)`; zeros where there was no speech.
    """
    recent = [moment for moment in moments if moment.time > first * TICK]
    times = np.array([moment.time for moment in recent] + [np.inf])
    values = np.zeros((len(times), len(emotions)))
    for row, moment in zip(values, recent, strict=False):
        row[:] = [moment.probabilities.get(emotion, 0.0) for emotion in emotions]
    middles = (np.arange(first, end) + 0.5) * TICK
    # A moment speaks for the time before it, back to the one before, unless that is long ago.
    nearest = np.searchsorted(times, middles)
    fresh = (middles > 0) & (times[nearest] - middles < 2 * TICK)
    return np.where(fresh[:, None], values[nearest], 0.0)


def as_timeline(
    moments: Sequence[Moment], emotions: Sequence[str], threshold: float, *, since: float = 0.0
) -> Timeline:
    """Return what was heard in all, as if it were a recording.

    Args:
        moments: at least one, oldest first.
        emotions: what the columns are to be.
        threshold: below this probability no emotion stands out; the model card's.
        since: seconds from which on there are moments; the recording begins there.
    """
    first = int(since / TICK)
    duration = moments[-1].time - first * TICK
    probabilities = over_time(moments, emotions, first, int(np.ceil(moments[-1].time / TICK)))
    segments = timeline.in_segments(probabilities, tuple(emotions), duration, threshold)
    return Timeline(duration, tuple(emotions), probabilities, segments)


@dataclass(frozen=True, eq=False)
class Pictures:
    """The last ten seconds to look at, in columns of 64 ms; where there is no sound yet, zeros.

    Attributes:
        lowest: float `(columns,)` in [-1, 1], and
        highest: likewise: what the waveform spans.
        mel: float `(columns, bands)` in [0, 1]: mel power, 60 dB up to that of loud speech.
    """

    lowest: np.ndarray
    highest: np.ndarray
    mel: np.ndarray


def pictures(samples: np.ndarray, written: int, spec: FeatureSpec) -> Pictures:
    """Return the waveform and mel spectrogram of the latest samples.

    Args:
        samples: float32 `(n,)`, and
        written: how many there have been in all, as `Buffer.read` gives them.
        spec: which mel bands.
    """
    columns = int(KEPT * SAMPLE_RATE) // _HOP
    # Columns are whole hops since the start, so that they move without a flicker.
    latest = samples[: len(samples) - written % _HOP][-columns * _HOP :]
    padded = np.pad(latest, (columns * _HOP - len(latest), 0))
    blocks = padded.reshape(columns, _HOP)
    power = mel_power(padded, replace(spec, hop_length=_HOP))[:columns]
    power = power.reshape(columns, spec.bands, -1).mean(axis=2)
    decibels = 10 * np.log10(np.maximum(power, 1e-20))
    loudest = max(decibels.max(), _LOUD_MEL)
    return Pictures(
        lowest=blocks.min(axis=1),
        highest=blocks.max(axis=1),
        mel=np.clip(1 + (decibels - loudest) / _MEL_RANGE, 0, 1),
    )
