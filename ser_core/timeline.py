"""A prediction over time: what was heard when, in stretches and in words."""

import json
from collections import defaultdict
from dataclasses import asdict, dataclass
from itertools import groupby
from operator import attrgetter

import numpy as np

from ser_core.audio import ACTIVITY_HOP, Clip, speech_activity
from ser_core.recognizer import Prediction

STEP = 0.5  # seconds; windows overlap, so that changes are no sharper than that
_TOLD = 3  # stretches that a summary names


@dataclass(frozen=True)
class Segment:
    """A stretch of speech with one answer.

    Attributes:
        start: in seconds.
        end: in seconds.
        label: its likeliest emotion, or None if none stands out.
        probabilities: by emotion, the mean over the stretch.
    """

    start: float
    end: float
    label: str | None
    probabilities: dict[str, float]


@dataclass(frozen=True, eq=False)
class Timeline:
    """A recording in steps of `STEP` seconds.

    Attributes:
        duration: of the recording in seconds; the last step may reach beyond it.
        emotions: what the columns are.
        probabilities: `(steps, emotions)`; the rows of silent steps are 0.
        segments: the stretches of speech with their answers, in order.
    """

    duration: float
    emotions: tuple[str, ...]
    probabilities: np.ndarray
    segments: tuple[Segment, ...]


def timeline(prediction: Prediction, clip: Clip, *, threshold: float) -> Timeline:
    """Lay a prediction's windows on one time axis, averaged where they overlap.

    Args:
        prediction: of the clip.
        clip: tells where nothing is said.
        threshold: below this probability no emotion stands out; the model card's.
    """
    emotions = tuple(prediction.probabilities)
    steps = int(np.ceil(clip.duration / STEP))
    middles = (np.arange(steps) + 0.5) * STEP
    total, count = np.zeros((steps, len(emotions))), np.zeros(steps)
    spans = np.array([(window.start, window.end) for window in prediction.windows]).reshape(-1, 2)
    # Speech may begin and end within a step, of which that is all there is.
    spans[:1, 0] = STEP * np.floor(spans[:1, 0] / STEP)
    spans[-1:, 1] = STEP * np.ceil(spans[-1:, 1] / STEP)
    for window, span in zip(prediction.windows, spans, strict=True):
        first, last = np.searchsorted(middles, span)
        total[first:last] += list(window.probabilities.values())
        count[first:last] += 1
    heard = (count > 0) & _spoken(clip, steps)
    probabilities = np.where(heard[:, None], total / np.maximum(count, 1)[:, None], 0.0)
    segments = in_segments(probabilities, emotions, clip.duration, threshold)
    return Timeline(clip.duration, emotions, probabilities, segments)


def summary(found: Timeline) -> str:
    """Return a timeline in words: "mostly calm; angry 0:42–0:58"."""
    seconds = defaultdict(float)
    for segment in found.segments:
        seconds[segment.label] += segment.end - segment.start
    if not seconds:
        return "nothing is said"
    main = max(seconds, key=seconds.get)
    if len(seconds) == 1:
        return f"{name(main)} throughout"
    if seconds[main] < sum(seconds.values()) / 2:
        lead, others = "changing", [s for s in found.segments if s.label]
    else:
        lead = f"mostly {name(main)}"
        others = [s for s in found.segments if s.label not in (main, None)]
    longest = sorted(others, key=lambda segment: segment.start - segment.end)[:_TOLD]
    told = []
    for label, group in groupby(sorted(longest, key=attrgetter("start")), attrgetter("label")):
        told.append(f"{label} {', '.join(map(span, group))}")
    if len(others) > _TOLD:
        told.append(f"and {len(others) - _TOLD} more")
    return f"{lead}; {', '.join(told)}" if told else lead


def name(label: str | None) -> str:
    """Return what to call a segment's label when speaking to a person."""
    return label or "unclear"


def span(segment: Segment) -> str:
    """Return a segment's time as `0:42–0:58.5`."""
    return "–".join(_to_the_tenth(seconds) for seconds in (segment.start, segment.end))


def _to_the_tenth(seconds: float) -> str:
    whole, tenth = divmod(round(10 * seconds), 10)
    return clock(whole) + (f".{tenth}" if tenth else "")


def clock(seconds: float) -> str:
    """Return a time in whole seconds as `m:ss`, or `h:mm:ss` from an hour on."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def to_csv(found: Timeline) -> str:
    """Return the segments as CSV: `start, end` in seconds, `label`, and each probability."""
    lines = [",".join(["start", "end", "label", *found.emotions])]
    for segment in found.segments:
        values = [f"{p:.4f}" for p in segment.probabilities.values()]
        lines.append(
            ",".join([f"{segment.start:g}", f"{segment.end:g}", segment.label or "", *values])
        )
    return "\n".join(lines) + "\n"


def to_json(found: Timeline) -> str:
    """Return the summary and the segments as JSON."""
    document = {
        "duration": round(found.duration, 3),
        "summary": summary(found),
        "segments": [asdict(segment) for segment in found.segments],
    }
    return json.dumps(document, indent=2)


def _spoken(clip: Clip, steps: int) -> np.ndarray:
    """Tell in which steps something is said; pauses within speech are shorter than a step."""
    frames = np.flatnonzero(speech_activity(clip.samples))
    index = (frames * ACTIVITY_HOP / clip.sample_rate / STEP).astype(int)
    spoken = np.zeros(steps + 2, bool)
    spoken[index + 1] = True
    # A single quiet step between two spoken ones is a breath.
    return (spoken | (np.roll(spoken, 1) & np.roll(spoken, -1)))[1:-1]


def in_segments(
    probabilities: np.ndarray, emotions: tuple[str, ...], duration: float, threshold: float
) -> tuple[Segment, ...]:
    """Return the stretches in which the answer stays the same.

    Args:
        probabilities: `(steps, emotions)`; rows of zeros are silence.
        emotions: what the columns are.
        duration: in seconds, where the last stretch ends at the latest.
        threshold: below this probability no emotion stands out.
    """
    best = probabilities.argmax(axis=1)
    answer = [
        None if not p.any() else int(b) if p[b] >= threshold else -1
        for p, b in zip(probabilities, best, strict=True)
    ]
    segments, at = [], 0
    for value, group in groupby(answer):
        length = len(list(group))
        if value is not None:
            mean = probabilities[at : at + length].mean(axis=0)
            segments.append(
                Segment(
                    start=at * STEP,
                    end=min((at + length) * STEP, duration),
                    label=emotions[value] if value >= 0 else None,
                    probabilities={
                        e: round(float(p), 4) for e, p in zip(emotions, mean, strict=True)
                    },
                )
            )
        at += length
    return tuple(segments)
