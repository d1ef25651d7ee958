"""Numbers about recordings, kept on disk: what was computed once is not computed again."""

import hashlib
import os
import zipfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from ser_core import writing

# Recordings computed between two savings: a cut costs no more than these.
_BATCH = 128


def rows(
    file: Path,
    manifest: pd.DataFrame,
    width: int,
    compute: Callable[[pd.DataFrame], np.ndarray],
    *,
    on_clip: Callable[[int], None] = lambda total: None,
) -> np.ndarray:
    """Return a row of numbers for each utterance; compute those that are not in a file yet.

    Args:
        file: an `.npz`, made if it is absent. Several processes may use it at once.
        manifest: columns `path` and `id`; a recording is known until its file changes.
        width: how many numbers a row has.
        compute: makes float32 `(rows, width)` of some rows of the manifest, under a default index.
            A row of NaN, for what cannot be computed, is kept like others: nothing else will come
            of the recording until its file changes.
        on_clip: called after each utterance that is computed with the number of these, on the
            calling thread; what it raises ends the work, and what was computed is kept.

    Returns:
        float32 `(rows, width)`.
    """
    keys = _keys(manifest)
    known = _load(file, width)
    missing = [index for index, key in enumerate(keys) if key not in known]
    for start in range(0, len(missing), _BATCH):
        batch = missing[start : start + _BATCH]
        values = compute(manifest.iloc[batch].reset_index(drop=True))
        fresh = {keys[index]: row for index, row in zip(batch, values, strict=True)}
        known |= fresh
        # Others may have added to the file in the meantime.
        _save(file, _load(file, width) | fresh)
        for _ in batch:
            on_clip(len(missing))
    unknown = np.full(width, np.nan, np.float32)
    found = np.empty((len(keys), width), np.float32)
    for index, key in enumerate(keys):
        found[index] = known.get(key, unknown)
    return found


def count(file: Path, manifest: pd.DataFrame, width: int) -> int:
    """Return of how many utterances of a manifest a file has rows."""
    known = _load(file, width)
    return sum(key in known for key in _keys(manifest))


def _keys(manifest: pd.DataFrame) -> list[bytes]:
    """Name the state of each recording: a file may hold several, and an id lie in several files."""
    state = lru_cache(_state)
    return [
        hashlib.sha256(f"{state(path)} {name}".encode()).digest()
        for path, name in zip(manifest.path, manifest.id, strict=True)
    ]


def _state(path: Path) -> str:
    try:
        found = os.stat(path)
    except OSError:
        return f"{os.path.abspath(path)} absent"
    return f"{os.path.abspath(path)} {found.st_size} {found.st_mtime_ns}"


def _load(file: Path, width: int) -> dict[bytes, np.ndarray]:
    try:
        with np.load(file, allow_pickle=False) as stored:
            keys, values = stored["keys"], stored["values"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return {}  # absent, or cut off by a full disk
    if values.shape != (len(keys), width):
        return {}
    return dict(zip(map(bytes, keys), values, strict=True))


def _save(file: Path, known: dict[bytes, np.ndarray]) -> None:
    if not known:
        return
    keys = np.frombuffer(b"".join(known), np.uint8).reshape(len(known), -1)
    values = np.stack(list(known.values()))
    writing.keep(file, lambda made: np.savez(made, keys=keys, values=values))
