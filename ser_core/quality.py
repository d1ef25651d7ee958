"""Says whether a clip is fit to be judged."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from ser_core import speech

if TYPE_CHECKING:
    from ser_core.audio import Clip

LEAST_SPEECH = 0.5  # seconds of speech below which no answer can be given

_CHUNK = 1 << 20  # samples looked at together: of hours, all would take gigabytes
_FAINTEST = 3 / 2**15  # three steps of 16 bits: what a muted microphone may give


@dataclass(frozen=True)
class Issue:
    """Something about a clip that a person should know.

    Attributes:
        code: `silent`, `not_speech`, `too_short`, `clipped`, `noisy` or `long`.
        severity: `error` if no answer can be given, `warning` if it deserves less trust.
        text: one sentence: what is wrong, what to do.
    """

    code: str
    severity: Literal["error", "warning"]
    text: str


_SILENT = Issue(
    "silent", "error", "Only silence can be heard; check the microphone and record again."
)
_NOT_SPEECH = Issue(
    "not_speech",
    "error",
    "No speech can be heard, only noise, music or other sounds; record somebody who speaks close "
    "to the microphone.",
)


@dataclass(frozen=True)
class Quality:
    """How fit a clip is to be judged; only `peak` depends on the clip's level.

    Attributes:
        duration: in seconds.
        speech_seconds: seconds in which something is said; 0 if nobody speaks.
        peak: largest magnitude, in [0, 1].
        clipped_fraction: fraction of the samples that are cut off; 0 unless clipping is certain.
        snr_db: power of the speech over that of the clip's quiet moments, in dB, at least -20;
            0 if nobody speaks.
        issues: what is wrong, errors first.
    """

    duration: float
    speech_seconds: float
    peak: float
    clipped_fraction: float
    snr_db: float
    issues: tuple[Issue, ...]


def quality(clip: "Clip", active: np.ndarray | None = None) -> Quality:
    """Judge how fit a clip at 16 kHz is: is it speech, is there enough, how does it sound?

    Args:
        clip: of any length.
        active: its `speech.voice_activity`, if that is known already.
    """
    peak = peak_of(clip.samples)
    if peak <= _FAINTEST:
        return Quality(clip.duration, 0.0, peak, 0.0, 0.0, (_SILENT,))
    active = speech.voice_activity(clip.samples) if active is None else active
    levels = speech.levels(clip.samples)
    voice, (_, floor) = bool(active.any()), speech.loudest_and_floor(levels)
    # What is too short to hold enough speech is also too short to tell what it is.
    if not voice and clip.duration >= LEAST_SPEECH:
        return Quality(clip.duration, 0.0, peak, 0.0, 0.0, (_NOT_SPEECH,))
    spoken = levels[active]
    speech_seconds = len(spoken) * speech.ACTIVITY_HOP / clip.sample_rate
    enough = speech_seconds >= LEAST_SPEECH
    clipped_fraction = _clipped_fraction(clip.samples)
    snr_db = 0.0
    if voice:
        signal_to_floor = np.mean(10 ** ((spoken - floor) / 10))
        snr_db = float(10 * np.log10(max(signal_to_floor - 1, 0.01)))
    found = (
        (
            not enough,
            "too_short",
            "error",
            f"Only {speech_seconds:.2f} s of speech can be heard, but {LEAST_SPEECH:g} s are "
            "needed; record a longer phrase.",
        ),
        (
            clipped_fraction > 0,
            "clipped",
            "warning",
            f"The recording is overdriven ({100 * clipped_fraction:.2g} % of it is cut off), which "
            "changes how the voice sounds; lower the input level or speak from further away.",
        ),
        (
            enough and snr_db < 10,
            "noisy",
            "warning",
            f"The background is loud, only {snr_db:.0f} dB below the speech; record closer to the "
            "microphone or somewhere quieter.",
        ),
        (
            clip.duration > 30,
            "long",
            "warning",
            "The recording is much longer than the clips of about 3 s that the models learned "
            "from; the answer is an average over windows of that length.",
        ),
    )
    return Quality(
        duration=clip.duration,
        speech_seconds=speech_seconds,
        peak=peak,
        clipped_fraction=clipped_fraction,
        snr_db=snr_db,
        issues=tuple(Issue(*issue) for present, *issue in found if present),
    )


def peak_of(samples: np.ndarray) -> float:
    """Return the largest magnitude of `(n,)`, 0 if there are none; of hours, without a copy."""
    return float(max(samples.max(initial=0), -samples.min(initial=0)))


def _clipped_fraction(samples: np.ndarray) -> float:
    """Return the fraction of samples on a plateau that many peaks share, 0 if there is none.

    Speech has ever fewer peaks towards its maximum; clipped speech has most of them at one height.
    That stays so when it is turned down or resampled, which only makes the plateau uneven and
    gives it a rim: so neither full scale nor equal samples are asked for.
    """
    clipped = 0
    for extreme in (samples.max(initial=0), samples.min(initial=0)):
        if extreme == 0:
            continue
        flat, peaks = _heights(samples, extreme)
        below = np.append(0, np.cumsum(flat))
        top = np.arange(156, 201)  # of a window of 4 % of the maximum, in steps of 0.5 %
        plateau = below[top] - below[top - 8]
        beneath = below[top - 8] - below[top - 16]
        rim = below[200] - below[top]
        is_clipped = (
            (plateau > 1e-4 * len(samples)) & (plateau > 3.2 * (beneath + 4)) & (rim <= plateau / 4)
        )
        if is_clipped.any():
            edge = top[np.argmax(np.where(is_clipped, plateau, 0))] - 8
            clipped += int(peaks[edge:].sum())
    return clipped / len(samples)


def _heights(samples: np.ndarray, extreme: float) -> tuple[np.ndarray, np.ndarray]:
    """Count the samples beyond half of the extreme by their height, in steps of 0.5 % of it.

    Args:
        samples: float32 `(n,)`.
        extreme: the largest or the smallest of them.

    Returns:
        How many there are between neighbours that are alike, `(200,)`, and in all, `(201,)`, the
        last of which are as high as the extreme itself.
    """
    flat, peaks = np.zeros(200, int), np.zeros(201, int)
    for start in range(0, len(samples) - 2, _CHUNK):
        part = samples[start : start + _CHUNK + 2]
        inner = part[1:-1]
        high = 1 + np.flatnonzero(inner > extreme / 2 if extreme > 0 else inner < extreme / 2)
        heights = part[high] / extreme
        alike = np.abs(part[high + 1] - part[high - 1]) < 0.05 * abs(extreme)
        flat += np.bincount((heights[alike] * 199.99).astype(int), minlength=200)
        peaks += np.bincount((heights * 200).astype(int), minlength=201)
    return flat, peaks
