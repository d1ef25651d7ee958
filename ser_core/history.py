"""What was heard in one visit, kept in memory: sound and answer, listed and taken away."""

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass

import pandas
import soundfile

from ser_core.audio import Clip
from ser_core.recognizer import Prediction

MOST_ENTRIES = 50
MOST_BYTES = 200_000_000  # an hour of speech takes about 60 MB


@dataclass(frozen=True, eq=False)
class Entry:
    """One recording and what was heard in it.

    Attributes:
        title: what to call it when speaking to a person.
        sound: FLAC, which browsers play and `audio.read` reads.
        prediction: the answer.
    """

    title: str
    sound: bytes
    prediction: Prediction

    def clip(self, start: float = 0.0, end: float | None = None) -> Clip:
        """Return the sound again, or its part from `start` to `end` in seconds."""
        with soundfile.SoundFile(io.BytesIO(self.sound)) as file:
            file.seek(int(start * file.samplerate))
            wanted = -1 if end is None else int(end * file.samplerate) - file.tell()
            return Clip(file.read(wanted, dtype="float32"), file.samplerate, self.title)


def remember(entries: dict[str, Entry], clip: Clip, prediction: Prediction, *, title: str) -> str:
    """Add an answer as the newest entry and return its key.

    The same sound heard by the same model again is the same entry, moved to the end. The oldest
    entries make room once there are more than `MOST_ENTRIES` or they hold more than `MOST_BYTES`;
    the newest always stays.

    Args:
        entries: by key, oldest first; changed in place.
        clip: what was heard.
        prediction: what was heard in it.
        title: what to call it.
    """
    sound = clip.flac()
    heard_by = f"{prediction.model}\0{prediction.weights}\0".encode()
    key = hashlib.sha256(heard_by + sound).hexdigest()[:16]
    entries.pop(key, None)
    entries[key] = Entry(title, sound, prediction)
    while len(entries) > 1 and _too_much(entries):
        entries.pop(next(iter(entries)))
    return key


def as_frame(entries: Mapping[str, Entry]) -> pandas.DataFrame:
    """Return a row an entry, newest first, by key.

    Columns are `title, model, label, confidence, abstained, reason, duration` (in seconds) and the
    probability of each emotion.
    """
    rows = {
        key: {
            "title": entry.title,
            "model": entry.prediction.model,
            "label": entry.prediction.label,
            "confidence": entry.prediction.confidence,
            "abstained": entry.prediction.abstained,
            "reason": entry.prediction.reason,
            "duration": entry.prediction.quality.duration,
            **entry.prediction.probabilities,
        }
        for key, entry in reversed(entries.items())
    }
    return pandas.DataFrame.from_dict(rows, orient="index")


def to_csv(entries: Mapping[str, Entry]) -> str:
    """Return `as_frame` as CSV, numbers to four decimals."""
    return as_frame(entries).round(4).to_csv(index=False)


def to_json(entries: Mapping[str, Entry]) -> str:
    """Return the entries, newest first, as `predict --json` prints them; `file` is the title."""
    documents = [
        {"file": entry.title} | entry.prediction.as_dict() for entry in reversed(entries.values())
    ]
    return json.dumps(documents, indent=2, ensure_ascii=False)


def _too_much(entries: Mapping[str, Entry]) -> bool:
    size = sum(len(entry.sound) for entry in entries.values())
    return len(entries) > MOST_ENTRIES or size > MOST_BYTES
