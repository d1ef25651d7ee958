"""Corpora as a recipe sees them: which utterances, under which labels, with which features."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ser_core import corpora
from ser_core.corpora import ready_made
from ser_core.errors import UndertoneError
from ser_core.features import FeatureSet, FeatureSpec, extract
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
        sped: the same of the recordings played at each of the recipe's other speeds, to train on;
            ready-made spectrograms have no such windows.
    """

    manifest: pd.DataFrame
    truth: np.ndarray
    features: FeatureSet
    sped: tuple[FeatureSet, ...]


def select(recipe: Recipe) -> pd.DataFrame:
    """Return the manifest of the utterances that a recipe asks for.

    Damaged recordings are left out (see `corpora.check`). Where there are no recordings of CREMA-D,
    ready-made spectrograms of it will do.

    Raises:
        CorpusError: a corpus is missing.
        DatasetError: no recording has one of the labels.
    """
    manifest = pd.concat([_recordings(name) for name in recipe.data.corpora], ignore_index=True)
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
        on_clip: called after each recording, at each speed, with the number of all of these.

    Raises:
        CorpusError: a corpus is missing, or has not the features that the recipe asks for.
        DatasetError: a recording cannot be read, or no recording has one of the labels.
    """
    manifest = select(recipe)
    speeds = (1.0, *recipe.augmentation.speeds)

    def done() -> None:
        on_clip(len(manifest) * len(speeds))

    features, *sped = (features_of(manifest, recipe.features, speed, done) for speed in speeds)
    for index, reason in features.failed.items():
        raise DatasetError(f"{manifest.path[index]}: {reason}")
    return Dataset(manifest, truth(manifest, recipe), features, tuple(sped))


def truth(manifest: pd.DataFrame, recipe: Recipe) -> np.ndarray:
    """Return the position of each utterance's emotion in the recipe's labels, int `(rows,)`."""
    position = {label: index for index, label in enumerate(recipe.labels)}
    return manifest.emotion.map(position).to_numpy(int)


def _recordings(name: str) -> pd.DataFrame:
    if name == ready_made.CORPUS and name not in corpora.installed():
        spectrograms = ready_made.manifest()
        if spectrograms is not None:
            return spectrograms
    return corpora.check(name).manifest


def features_of(
    manifest: pd.DataFrame,
    spec: FeatureSpec,
    speed: float = 1.0,
    on_clip: Callable[[], None] = lambda: None,
) -> FeatureSet:
    """Return the windows of a manifest's recordings and ready-made spectrograms.

    Args:
        manifest: with a default index.
        spec: which features.
        speed: factor at which recordings are played; spectrograms have no windows but at 1.
        on_clip: called after each.
    """
    ready = manifest.path.map(ready_made.is_ready_made).to_numpy(bool)
    if not ready.any():
        return extract(list(manifest.path), spec, speed=speed, on_clip=on_clip)
    heard, made = np.flatnonzero(~ready), np.flatnonzero(ready)
    found = extract(list(manifest.path[heard]), spec, speed=speed, on_clip=on_clip)
    values, clip = found.values, heard[found.clip]
    if speed == 1:
        values = np.concatenate([values, ready_made.windows(list(manifest.id[made]), spec)])
        clip = np.append(clip, made)
    for _ in made:
        on_clip()
    order = np.argsort(clip, kind="stable")
    failed = {int(heard[index]): reason for index, reason in found.failed.items()}
    return FeatureSet(values[order], clip[order], failed)
