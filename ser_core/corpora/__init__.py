"""Corpora on disk: one module each, which turns a file name into an `Utterance`."""

import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import pandas as pd

from ser_core.corpora import ravdess
from ser_core.corpora.utterance import Utterance
from ser_core.errors import UndertoneError

CORPORA = {"ravdess": ravdess}

_AUDIO_SUFFIXES = {".wav", ".flac"}
_COLUMNS = [field.name for field in fields(Utterance)]


class CorpusError(UndertoneError):
    """A corpus is unknown, missing or empty; the message says which and what to do."""


@dataclass(frozen=True)
class Scan:
    """What lies in a corpus folder.

    Attributes:
        manifest: one row an utterance, columns as in `Utterance`, sorted by `id`.
        duplicates: files left out because the same utterance lies elsewhere in the folder.
        unknown: audio files whose names the corpus module cannot read.
    """

    manifest: pd.DataFrame
    duplicates: list[Path]
    unknown: list[Path]


def data_dir() -> Path:
    """Return the folder corpora are looked for in: `SER_DATA_DIR`, or `data`."""
    return Path(os.environ.get("SER_DATA_DIR", "data"))


def scan(name: str, root: Path | None = None) -> Scan:
    """Find every utterance of a corpus, each once, at any folder depth.

    RAVDESS is commonly unpacked with a second copy of the tree inside itself; of several files
    with the same utterance the one nearest the top counts, and a `.flac` before a `.wav`.

    Args:
        name: a key of `CORPORA`.
        root: the corpus folder; `data_dir() / name` if not given.

    Raises:
        CorpusError: the corpus is unknown, or there is no folder or no utterance of it.
    """
    if name not in CORPORA:
        raise CorpusError(f"there is no corpus '{name}'; known are {', '.join(CORPORA)}")
    root = data_dir() / name if root is None else Path(root)
    if not root.is_dir():
        raise CorpusError(
            f"there is no folder {root} for the corpus '{name}'; unpack it there, or set "
            "SER_DATA_DIR"
        )
    utterances: dict[str, Utterance] = {}
    duplicates, unknown = [], []
    for path in _audio_files(root):
        utterance = CORPORA[name].parse(path)
        if utterance is None:
            unknown.append(path)
        elif utterance.id in utterances:
            duplicates.append(path)
        else:
            utterances[utterance.id] = utterance
    if not utterances:
        raise CorpusError(
            f"no recording of the corpus '{name}' was found in {root}; unpack it there"
        )
    return Scan(manifest_of(utterances.values()), duplicates, unknown)


def manifest_of(utterances: Iterable[Utterance]) -> pd.DataFrame:
    """Return a manifest, one row an utterance, sorted by `id`."""
    frame = pd.DataFrame([asdict(utterance) for utterance in utterances], columns=_COLUMNS)
    return frame.sort_values("id", ignore_index=True)


def _audio_files(root: Path) -> list[Path]:
    found = [
        path
        for path in root.rglob("*")
        # macOS leaves "._name.wav" shadows in archives; they hold no sound.
        if path.suffix.lower() in _AUDIO_SUFFIXES and not path.name.startswith(".")
    ]
    return sorted(found, key=lambda path: (len(path.parts), path.suffix.lower(), str(path)))
