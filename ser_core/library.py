"""The recordings that are here, to be walked through: found by name, filtered, counted."""

import hashlib
import os
from collections.abc import Collection, Mapping

import pandas as pd

from ser_core.corpora import corpus_dir, installed, own, ready_made
from ser_core.corpora.scanning import look
from ser_core.emotions import EMOTIONS

# Columns of a manifest that can be filtered by.
FACETS = ("emotion", "speaker", "sex", "intensity", "sentence", "channel")


def names() -> list[str]:
    """Return the corpora that have a folder, and CREMA-D if it is here as spectrograms alone."""
    found = installed()
    if ready_made.CORPUS not in found and ready_made.stands_in(ready_made.CORPUS):
        found.append(ready_made.CORPUS)
    return found


def state(name: str) -> str:
    """Return a text that changes when recordings of a corpus come, go or are renamed."""
    if ready_made.stands_in(name):
        watched = [ready_made.folder()]
    else:
        root = corpus_dir(name)
        tables = [root / table for table in own.TABLES if (root / table).is_file()]
        watched = [*tables, *(folder for folder, _, _ in os.walk(root))]
    times = [f"{os.path.abspath(path)} {_time(path)}" for path in watched]
    return hashlib.sha256("\n".join(times).encode()).hexdigest()


def manifest(name: str) -> pd.DataFrame:
    """Return a corpus's manifest from file names alone; nothing is decoded or unpacked.

    Of CREMA-D, if there are no recordings, that of the ready-made spectrograms. A corpus that is
    only just being downloaded may have no rows.

    Raises:
        CorpusError: there is no such corpus, or its table is not what is expected.
    """
    if ready_made.stands_in(name):
        return ready_made.manifest()
    return look(name, corpus_dir(name)).manifest


def _time(path: str | os.PathLike) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0  # gone since it was listed: what is unpacked is renamed at the end


def facets(manifest: pd.DataFrame) -> list[str]:
    """Return the facets by which a manifest's rows differ."""
    return [facet for facet in FACETS if manifest[facet].nunique() > 1]


def keep(manifest: pd.DataFrame, chosen: Mapping[str, Collection[str]]) -> pd.DataFrame:
    """Return the rows that have one of the chosen values in each facet, under a default index.

    Args:
        manifest: columns as in `Utterance`.
        chosen: by facet; where nothing is chosen, everything is kept.
    """
    return manifest[_fits(manifest, chosen)].reset_index(drop=True)


def counts(
    manifest: pd.DataFrame, chosen: Mapping[str, Collection[str]], facet: str
) -> dict[str, int]:
    """Return how many rows each value of a facet would leave, all else as it is chosen.

    Values are sorted, emotions in the order of the vocabulary; those that leave nothing are there.
    """
    others = {name: values for name, values in chosen.items() if name != facet}
    values = manifest[facet]
    left = values[_fits(manifest, others)].value_counts()
    known = {value: index for index, value in enumerate(EMOTIONS)} if facet == "emotion" else {}
    every = sorted(values.unique(), key=lambda value: (known.get(value, len(known)), value))
    return {value: int(left.get(value, 0)) for value in every}


def _fits(manifest: pd.DataFrame, chosen: Mapping[str, Collection[str]]) -> pd.Series:
    fits = pd.Series(True, index=manifest.index)
    for facet, values in chosen.items():
        if values:
            fits &= manifest[facet].isin(values)
    return fits
