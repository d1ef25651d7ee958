"""What a teacher says of recordings that are learned from: soft targets for a small network.

The teacher is a logistic regression on what the trunk of `deep` hears, half of it one on all
corpora and half one on the recording's own (`linear.fit_by_corpus`). Of each recording it says what
it thinks without having met the speaker (it is cross-fitted), so that its doubts are those of
somebody to whom the voice is new: they cannot be learned by heart with the voices, as labels can.
Learning from a teacher's probabilities is distillation (Hinton et al. 2015, arXiv 1503.02531).
"""

import numpy as np
import pandas as pd
from scipy.special import softmax
from sklearn.model_selection import GroupKFold

from ser_core import linear
from ser_core.errors import TrainingError
from ser_core.recipe import Recipe
from ser_core.splits import Split

_PARTS = 5  # of the speakers; each is judged by a regression on the others
_FREEDOM = 0.003  # scikit-learn's C, of `deep`'s own regression (benchmarks/LAB.md)


def check(recipe: Recipe, manifest: pd.DataFrame, split: Split) -> None:
    """Check that there are two speakers at least to learn from, if a recipe wants a teacher.

    Raises:
        TrainingError: there is but one.
    """
    if recipe.training.teacher and manifest.speaker.iloc[split.train].nunique() < 2:
        raise TrainingError(
            "a teacher needs two speakers at least to be learned from; set training.teacher to 0"
        )


def answers(
    heard: np.ndarray, truth: np.ndarray, speakers: np.ndarray, corpus: np.ndarray, classes: int
) -> np.ndarray:
    """Return a teacher's probabilities of each recording, by regressions on other speakers.

    Args:
        heard: of each recording, float `(n, values)`; see `dataset.Dataset.heard`.
        truth: int `(n,)`.
        speakers: `(n,)`, at least two; see `check`.
        corpus: `(n,)`.
        classes: how many.

    Returns:
        float32 `(n, classes)`.
    """
    parts = min(_PARTS, len(np.unique(speakers)))
    found = np.zeros((len(truth), classes), np.float32)
    names = list(np.unique(corpus))
    weights = linear.class_weights(truth, corpus)
    with_one = np.column_stack([heard, np.ones(len(heard))])
    for others, judged in GroupKFold(parts).split(heard, groups=speakers):
        shared, *added = linear.fit_by_corpus(
            heard[others],
            truth[others],
            classes,
            _FREEDOM,
            weights[others],
            corpus[others],
            names,
        )
        for name, own in zip(names, added, strict=True):
            of = judged[corpus[judged] == name]
            found[of] = softmax(with_one[of] @ (shared + own), axis=1)
    return found
