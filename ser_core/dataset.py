"""A corpus as a recipe sees it: which utterances, under which labels, with which features."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ser_core import corpora
from ser_core.errors import UndertoneError
from ser_core.features import FeatureSet, extract
from ser_core.recipe import Recipe


class DatasetError(UndertoneError):
    """A recipe and a corpus do not fit together; the message says why and what to do."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Utterances, truth and features.

    Attributes:
        manifest: a row an utterance.
        truth: int `(utterances,)`, positions in the recipe's labels.
        features: windows; their `clip` is a row of the manifest.
    """

    manifest: pd.DataFrame
    truth: np.ndarray
    features: FeatureSet


def select(recipe: Recipe) -> pd.DataFrame:
    """Return the manifest of the utterances that a recipe asks for.

    Raises:
        CorpusError: the corpus is missing.
        DatasetError: no recording has one of the labels.
    """
    manifest = corpora.scan(recipe.data.corpus).manifest
    wanted = manifest.channel.isin(recipe.data.channels) & manifest.emotion.isin(recipe.labels)
    manifest = manifest[wanted].reset_index(drop=True)
    lacking = set(recipe.labels) - set(manifest.emotion)
    if lacking:
        raise DatasetError(
            f"no recording of {recipe.data.corpus} ({', '.join(recipe.data.channels)}) is labelled "
            f"{', '.join(sorted(lacking))}; change the recipe's labels or complete the corpus"
        )
    return manifest


def load(recipe: Recipe, *, on_clip: Callable[[int], None] = lambda total: None) -> Dataset:
    """Load what `select` finds, with its features.

    Args:
        recipe: which utterances and features.
        on_clip: called after each recording with the number of all, for a progress bar.

    Raises:
        CorpusError: the corpus is missing.
        DatasetError: a recording cannot be read, or no recording has one of the labels.
    """
    manifest = select(recipe)
    features = extract(list(manifest.path), recipe.features, on_clip=lambda: on_clip(len(manifest)))
    for index, reason in features.failed.items():
        raise DatasetError(f"{manifest.path[index]}: {reason}")
    position = {label: index for index, label in enumerate(recipe.labels)}
    return Dataset(manifest, manifest.emotion.map(position).to_numpy(int), features)
