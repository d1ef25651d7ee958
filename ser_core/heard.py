"""What a model hears in the recordings of a corpus: computed once, then read from the cache."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ser_core import kept
from ser_core.bundle import Bundle
from ser_core.corpora import ready_made
from ser_core.dataset import features_of
from ser_core.evaluation import mean_by_clip, probabilities_of
from ser_core.features import cache_dir
from ser_core.recognizer import BATCH

# To be renamed when the same model and features give other values.
_CACHE = "heard-1"


@dataclass(frozen=True, eq=False)
class Outputs:
    """What a model makes of each utterance of a manifest, in its order; means over windows.

    Attributes:
        embedding: float32 `(utterances, size)`.
        probabilities: float32 `(utterances, labels)`, calibrated, in the order of the card's
            labels.

    Rows of recordings that cannot be read are NaN.
    """

    embedding: np.ndarray
    probabilities: np.ndarray


def outputs(
    model: Bundle,
    manifest: pd.DataFrame,
    *,
    on_clip: Callable[[int], None] = lambda total: None,
) -> Outputs:
    """Return what a model hears in recordings and ready-made spectrograms, all windows counted.

    `Recognizer.predict` leaves out windows without speech; clips of a corpus have none. Where
    a recording cannot be read, or a spectrogram is not of the kind that the model sees, NaN.

    Args:
        model: which hears.
        manifest: columns `path` and `id`.
        on_clip: called after each utterance that is not in the cache with the number of these; what
            it raises ends the work, which goes on from there next time.
    """
    size, labels = len(model.space.kernel), len(model.card.labels)
    found = np.full((len(manifest), size + labels), np.nan, np.float32)
    rows = np.flatnonzero(can_hear(model, manifest))
    if len(rows):
        found[rows] = kept.rows(
            _file(model),
            manifest.iloc[rows].reset_index(drop=True),
            size + labels,
            lambda some: _hear(model, some),
            on_clip=on_clip,
        )
    return Outputs(found[:, :size], found[:, size:])


def _file(model: Bundle) -> Path:
    weights = model.card.files["model.onnx"][:16]
    return cache_dir() / _CACHE / f"{weights}-{model.card.temperature:.6f}.npz"


def can_hear(model: Bundle, manifest: pd.DataFrame) -> np.ndarray:
    """Say of each row, bool `(rows,)`, whether it is something that the model can hear."""
    if ready_made.suit(model.card.features):
        return np.ones(len(manifest), bool)
    return ~ready_made.silent(manifest)


def _hear(model: Bundle, manifest: pd.DataFrame) -> np.ndarray:
    """Return embeddings and probabilities side by side, float32 `(utterances, size + labels)`."""
    features = features_of(manifest, model.card.features)
    starts = range(0, max(len(features.values), 1), BATCH)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        parts = list(pool.map(lambda at: _run(model, features.values[at : at + BATCH]), starts))
    by_window = np.concatenate(parts)
    found = np.full((len(manifest), by_window.shape[1]), np.nan, np.float32)
    clips = np.unique(features.clip)
    if len(clips):
        found[clips] = mean_by_clip(by_window, features.clip, clips)
    return found


def _run(model: Bundle, windows: np.ndarray) -> np.ndarray:
    values = model.run(windows)
    probabilities = probabilities_of(values["logits"], model.card.temperature)
    return np.hstack([values["embedding"], probabilities])
