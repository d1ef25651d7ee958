"""What is known of one recording before anyone listens to it."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Utterance:
    """One recording of a corpus; a manifest is a pandas frame with these columns.

    `id` is unique across corpora and the same wherever the corpus is unpacked; `speaker` is unique
    across corpora. What is not known is an empty text, or None for a number.
    """

    path: Path
    corpus: str
    id: str
    speaker: str
    sex: str
    emotion: str
    intensity: str
    sentence: str
    take: int
    channel: str
    language: str
    age: int | None = None
