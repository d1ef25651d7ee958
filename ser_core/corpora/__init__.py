"""Corpora on disk: one module each, which turns a file name into an `Utterance`.

`scan` reads names, `check` listens as well and leaves out what is damaged, `get` and `add` bring a
corpus here.
"""

from ser_core.corpora.catalogue import (
    CORPORA,
    Corpus,
    corpus_dir,
    data_dir,
    installed,
    licence,
)
from ser_core.corpora.errors import CorpusError
from ser_core.corpora.listening import check
from ser_core.corpora.scanning import Scan, manifest_of, scan
from ser_core.corpora.utterance import Utterance

__all__ = [
    "CORPORA",
    "Corpus",
    "CorpusError",
    "Scan",
    "Utterance",
    "check",
    "corpus_dir",
    "data_dir",
    "installed",
    "licence",
    "manifest_of",
    "scan",
]
