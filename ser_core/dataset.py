"""Corpora as a recipe sees them: which utterances, under which labels, with which features."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from ser_core import bundle, corpora, evaluation, extraction
from ser_core.augment import PLAIN, Variant
from ser_core.corpora import ready_made
from ser_core.errors import UndertoneError
from ser_core.extraction import FeatureSet, extract
from ser_core.features import FbankSpec, Features
from ser_core.hyperparameters import Deep
from ser_core.recipe import Recipe

# Of a corpus that is there, a recording or two may be damaged; more than this share is a mistake.
_MOST_UNREADABLE = 0.02


class DatasetError(UndertoneError):
    """A recipe and a corpus do not fit together; the message says why and what to do."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Utterances, truth and features.

    Attributes:
        manifest: a row an utterance.
        truth: int `(utterances,)`, positions in the recipe's labels.
        features: windows; their `clip` is a row of the manifest. Of a network with a trunk that is
            not trained, what that makes of them.
        varied: the same of the recordings changed in each of the recipe's ways, to train on;
            ready-made spectrograms have no such windows.
        left_out: recordings that are damaged or could not be read, and why.
        heard: if the recipe wants a teacher, what the trunk of `deep` makes of each recording for
            it: the sd over time of its channels, float `(utterances, channels)`.
    """

    manifest: pd.DataFrame
    truth: np.ndarray
    features: FeatureSet
    varied: tuple[FeatureSet, ...]
    left_out: dict[Path, str] = field(default_factory=dict)
    heard: np.ndarray | None = None


def select(recipe: Recipe) -> pd.DataFrame:
    """Return the manifest of the utterances that a recipe asks for.

    Damaged recordings are left out (see `corpora.check`). Where there are no recordings of CREMA-D,
    ready-made spectrograms of it will do.

    Raises:
        CorpusError: a corpus is missing.
        DatasetError: no recording has one of the labels.
    """
    return _select(recipe)[0]


def _select(recipe: Recipe) -> tuple[pd.DataFrame, dict[Path, str]]:
    """Return what `select` does; and, by path, what is wrong with those that it leaves out."""
    scans = {name: _scan(name) for name in recipe.data.corpora}
    everything = pd.concat([scan.manifest for scan in scans.values()], ignore_index=True)
    manifest = asked_for(everything, recipe)
    lacking = set(recipe.labels) - set(manifest.emotion)
    if lacking:
        raise DatasetError(
            f"no recording of {recipe.data.corpus} ({', '.join(recipe.data.channels)}) is labelled "
            f"{', '.join(sorted(lacking))}; change the recipe's labels or complete the corpus"
        )
    left_out = {}
    for name, scan in scans.items():
        if scan.bad:
            named = corpora.scan(name).manifest
            asked = _fits(named, recipe) & named.path.isin(scan.bad)
            left_out |= {path: scan.bad[path] for path in named.path[asked]}
    return manifest, left_out


def asked_for(manifest: pd.DataFrame, recipe: Recipe) -> pd.DataFrame:
    """Return what a recipe asks for of all recordings of its corpora, with a default index.

    Raises:
        CorpusError: some are spectrograms, which lack what the recipe's network hears.
    """
    found = manifest[_fits(manifest, recipe)]
    if most := recipe.data.most_of_speaker:
        # Drawn by chance, which is the same whatever else there is; the emotions in turn.
        chance = pd.util.hash_pandas_object(found.id, index=False)
        drawn = found.loc[chance.sort_values().index]
        turn = drawn.groupby(["speaker", "emotion"]).cumcount()
        drawn = drawn.loc[turn.sort_values(kind="stable").index]
        place = drawn.groupby("speaker").cumcount()
        nameless = drawn.speaker == ""  # may be anybody
        found = drawn[(place < most) | nameless].sort_index()
    if ready_made.silent(found).any():
        ready_made.check(recipe.features)
    return found.reset_index(drop=True)


def load(recipe: Recipe, *, on_clip: Callable[[int], None] = lambda total: None) -> Dataset:
    """Load what `select` finds, with its features.

    Recordings that cannot be read are left out and counted, if they are few.

    Args:
        recipe: which utterances and features.
        on_clip: called after each recording, in each variant, with the number of all of these; once
            more, if a trunk hears them, and twice more for a teacher.

    Raises:
        CorpusError: a corpus is missing, or has not the features that the recipe asks for.
        DatasetError: many recordings cannot be read, or no recording has one of the labels.
    """
    config = recipe.augmentation
    manifest, left_out = _select(recipe)
    changed = _changed(manifest, recipe)
    total = len(manifest) + len(config.variants) * int(changed.sum())
    total *= 2 if isinstance(recipe.network, Deep) else 1
    total += 2 * len(manifest) if recipe.training.teacher else 0

    def done() -> None:
        on_clip(total)

    plain = features_of(manifest, recipe.features, on_clip=done)
    failed = {manifest.path[index]: reason for index, reason in plain.failed.items()}
    if len(failed) > _MOST_UNREADABLE * len(manifest):
        path, reason = next(iter(failed.items()))
        raise DatasetError(
            f"{len(failed)} of {len(manifest)} recordings cannot be read, such as {path}: {reason}"
        )
    if failed:
        manifest = manifest.drop(index=list(plain.failed)).reset_index(drop=True)
        plain, changed = features_of(manifest, recipe.features), _changed(manifest, recipe)
    varied = tuple(
        features_of(manifest, recipe.features, variant, changed, on_clip=done)
        for variant in config.variants
    )
    if isinstance(recipe.network, Deep):
        plain, *varied = _through_trunk(recipe, (plain, *varied), done)
    heard = _for_teacher(manifest, done) if recipe.training.teacher else None
    return Dataset(
        manifest, truth(manifest, recipe), plain, tuple(varied), left_out | failed, heard
    )


def _for_teacher(manifest: pd.DataFrame, on_clip: Callable[[], None]) -> np.ndarray:
    """Return what `Dataset.heard` has: of several windows, the mean."""
    from ser_core import networks  # loads TensorFlow

    features = features_of(manifest, FbankSpec("fbank"), on_clip=on_clip)
    config = Deep("deep")
    spread = networks.spread(features.values.shape[1:], config)
    found = extraction.through(
        lambda windows: networks.outputs(spread, windows),
        f"d_tdnn-{config.blocks}-sd-{_trunk_digest()}",
        features,
        on_clip=on_clip,
    )
    return evaluation.mean_by_clip(found.values, found.clip, np.arange(len(manifest)))


def _through_trunk(
    recipe: Recipe, sets: Iterable[FeatureSet], on_clip: Callable[[], None]
) -> list[FeatureSet]:
    """Return what the trunk of a `deep` network makes of windows: what its head is trained on."""
    from ser_core import networks  # loads TensorFlow

    config = recipe.network
    trunk = networks.trunk(recipe.features.shape, config)
    name = f"d_tdnn-{config.blocks}-mean-{config.averaged_frames}-{_trunk_digest()}"
    return [
        extraction.through(
            lambda windows: networks.outputs(trunk, windows), name, features, on_clip=on_clip
        )
        for features in sets
    ]


def _trunk_digest() -> str:
    from ser_core import dtdnn  # loads TensorFlow

    return bundle.sha256(dtdnn.WEIGHTS)[:16]


def _changed(manifest: pd.DataFrame, recipe: Recipe) -> np.ndarray:
    """Say which recordings are also changed, to be trained on, bool `(rows,)`.

    Of spectrograms there is no sound to change.
    """
    only = recipe.augmentation.only or recipe.labels
    return manifest.emotion.isin(only).to_numpy(bool) & ~ready_made.silent(manifest)


def truth(manifest: pd.DataFrame, recipe: Recipe) -> np.ndarray:
    """Return the position of each utterance's emotion in the recipe's labels, int `(rows,)`."""
    position = {label: index for index, label in enumerate(recipe.labels)}
    return manifest.emotion.map(position).to_numpy(int)


def _scan(name: str) -> corpora.Scan:
    if ready_made.stands_in(name):
        return corpora.Scan(ready_made.manifest(), duplicates=[], unknown=[], bad={})
    return corpora.check(name)


def _fits(manifest: pd.DataFrame, recipe: Recipe) -> pd.Series:
    """Say which recordings are of a recipe's channels and emotions."""
    return manifest.channel.isin(recipe.data.channels) & manifest.emotion.isin(recipe.labels)


def features_of(
    manifest: pd.DataFrame,
    spec: Features,
    variant: Variant = PLAIN,
    wanted: np.ndarray | None = None,
    *,
    on_clip: Callable[[], None] = lambda: None,
) -> FeatureSet:
    """Return the windows of a manifest's recordings and ready-made spectrograms.

    Args:
        manifest: with a default index.
        spec: which features.
        variant: how recordings are changed; spectrograms cannot be.
        wanted: bool `(rows,)`; all if not given.
        on_clip: called after each.

    Raises:
        CorpusError: the features are not those of the spectrograms.
    """
    ready = ready_made.silent(manifest)
    wanted = np.ones(len(manifest), bool) if wanted is None else wanted
    heard, made = np.flatnonzero(wanted & ~ready), np.flatnonzero(wanted & ready)
    found = extract(list(manifest.path[heard]), spec, variant=variant, on_clip=on_clip)
    values, clip = found.values, heard[found.clip]
    if len(made):
        values = np.concatenate([values, ready_made.windows(list(manifest.id[made]), spec)])
        clip = np.append(clip, made)
    for _ in made:
        on_clip()
    order = np.argsort(clip, kind="stable")
    failed = {int(heard[index]): reason for index, reason in found.failed.items()}
    return FeatureSet(values[order], clip[order], failed)
