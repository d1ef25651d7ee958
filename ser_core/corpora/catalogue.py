"""Which corpora there are, and where they lie."""

import os
from pathlib import Path
from typing import Protocol

from ser_core.corpora import crema_d, own, ravdess, savee, tess
from ser_core.corpora.errors import CorpusError
from ser_core.corpora.sources import Source
from ser_core.corpora.utterance import Utterance


class Corpus(Protocol):
    """What a corpus module says; nothing else in the program knows the corpus.

    Attributes:
        TITLE: its full name.
        CITATION: whom to cite.
        HOME: where its makers publish it.
        LICENCE: under which terms, in a few words.
        KAGGLE: the `owner/name` of a copy on Kaggle.
        CLIPS: recordings in a complete copy.
        SECONDS: shortest and longest recording that is not damaged, with room to spare.
        SOURCES: where its parts can be downloaded; none if it is only given out on request.
        EMOTIONS: from the corpus's codes to the labels of `ser_core.emotions`.
        FOLDERS: what a folder of this name, in lower case, claims of the recordings in it.
    """

    TITLE: str
    CITATION: str
    HOME: str
    LICENCE: str
    KAGGLE: str
    CLIPS: int
    SECONDS: tuple[float, float]
    SOURCES: tuple[Source, ...]
    EMOTIONS: dict[str, str]
    FOLDERS: dict[str, dict[str, str]]

    def parse(self, path: Path) -> Utterance | None:
        """Read what a file name says, or return None if it is none of the corpus's."""


CORPORA: dict[str, Corpus] = {
    "ravdess": ravdess,
    "tess": tess,
    "crema-d": crema_d,
    "savee": savee,
}


def data_dir() -> Path:
    """Return the folder corpora are looked for in: `SER_DATA_DIR`, or `data`."""
    return Path(os.environ.get("SER_DATA_DIR", "data"))


def corpus_dir(name: str) -> Path:
    """Return the folder of a corpus.

    Raises:
        CorpusError: there is neither a corpus nor a folder of this name.
    """
    root = data_dir() / name
    if name not in CORPORA and not (own.NAME.fullmatch(name) and own.is_corpus(root)):
        mine = "".join(f", {other}" for other in installed() if other not in CORPORA)
        raise CorpusError(f"there is no corpus '{name}'; known are {', '.join(CORPORA)}{mine}")
    return root


def installed() -> list[str]:
    """Return the corpora that have a folder: the published ones, then one's own by name."""
    known = [name for name in CORPORA if (data_dir() / name).is_dir()]
    if not data_dir().is_dir():
        return known
    mine = [
        folder.name
        for folder in sorted(data_dir().iterdir())
        if folder.name not in CORPORA and own.NAME.fullmatch(folder.name) and own.is_corpus(folder)
    ]
    return known + mine


def licence(name: str) -> str:
    """Return the terms of a corpus in a few words."""
    return CORPORA[name].LICENCE if name in CORPORA else "your own"
