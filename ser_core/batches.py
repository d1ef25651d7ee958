"""The windows that a network learns from, in batches that are shuffled and changed anew."""

from collections.abc import Iterator

import keras
import numpy as np

from ser_core import linear, teacher
from ser_core.augment import augment
from ser_core.dataset import Dataset
from ser_core.extraction import FeatureSet
from ser_core.recipe import Recipe


class Batches(keras.utils.PyDataset):
    """Shuffled, augmented batches of a training part: windows, soft targets, class weights.

    Unless the recipe wants whole epochs, one has as many windows as the part has unchanged, drawn
    from those of all variants.
    """

    def __init__(self, recipe: Recipe, data: Dataset, rows: np.ndarray, seed: int):
        """Prepare the windows of some rows of a dataset; `utterances` has a row for each."""
        super().__init__()
        self.recipe, self.seed, self.epoch = recipe, seed, 0
        sets = (data.features, *data.varied)
        # Values stay where they are until they are asked for: of a trunk, they are gigabytes.
        self.sources = [features.values for features in sets]
        parts = [labelled(recipe, data, features, rows) for features in sets]
        chosen, targets, weights = zip(*parts, strict=True)
        clips = [features.clip[row] for features, row in zip(sets, chosen, strict=True)]
        clip = np.concatenate(clips)
        self.utterances = data.manifest.iloc[clip]
        self.source = np.repeat(np.arange(len(parts)), [len(each) for each in chosen])
        self.row = np.concatenate(chosen)
        self.targets, self.weights = np.concatenate(targets), np.concatenate(weights)
        if share := recipe.training.teacher:
            said = taught(recipe, data, rows)[clip]
            self.targets = (1 - share) * self.targets + share * said
        shown = len(self.row if recipe.training.whole_epochs else chosen[0])
        self.size = min(recipe.training.batch_size, shown)
        self.batches = shown // self.size
        self.begin(0)

    def __len__(self) -> int:
        """Return the number of batches."""
        return self.batches

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return batch `index` of the current epoch."""
        chosen = self.order[index * self.size : (index + 1) * self.size]
        rng = np.random.default_rng((self.seed, self.epoch, index))
        config, spec = self.recipe.augmentation, self.recipe.features
        values, targets = augment(self._values(chosen), self.targets[chosen], config, spec, rng)
        return values, targets, self.weights[chosen]

    def _values(self, chosen: np.ndarray) -> np.ndarray:
        found = np.empty((len(chosen), *self.sources[0].shape[1:]), np.float32)
        for index, values in enumerate(self.sources):
            of_it = self.source[chosen] == index
            found[of_it] = values[self.row[chosen[of_it]]]
        return found

    def in_order(self) -> Iterator[np.ndarray]:
        """Yield the values of all windows, float32 `(n, …)`, unchanged and some at a time."""
        for start in range(0, len(self.row), 64):
            yield self._values(np.arange(start, min(start + 64, len(self.row))))

    def on_epoch_end(self) -> None:
        """Shuffle anew."""
        self.begin(self.epoch + 1)

    def begin(self, epoch: int) -> None:
        """Shuffle as an epoch does, counted from 0."""
        self.epoch = epoch
        rng = np.random.default_rng((self.seed, self.epoch))
        self.order = rng.permutation(len(self.row))


def labelled(
    recipe: Recipe, data: Dataset, features: FeatureSet, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return which windows are of some rows, their one-hot targets and their weights.

    The weights are those of `linear.class_weights`.
    """
    chosen = np.flatnonzero(np.isin(features.clip, rows))
    truth = data.truth[features.clip[chosen]]
    corpus = data.manifest.corpus.to_numpy(str)[features.clip[chosen]]
    wanted = recipe.training.class_weights
    weights = linear.class_weights(truth, corpus) if wanted else np.ones(len(truth))
    targets = np.eye(len(recipe.labels), dtype=np.float32)[truth]
    return chosen, targets, weights.astype(np.float32)


def taught(recipe: Recipe, data: Dataset, rows: np.ndarray) -> np.ndarray:
    """Return what a teacher who knows some rows says of them, float32 `(utterances, classes)`."""
    whose = data.manifest.iloc[rows]
    found = np.zeros((len(data.truth), len(recipe.labels)), np.float32)
    found[rows] = teacher.answers(
        data.heard[rows],
        data.truth[rows],
        whose.speaker.to_numpy(str),
        whose.corpus.to_numpy(str),
        len(recipe.labels),
    )
    return found
