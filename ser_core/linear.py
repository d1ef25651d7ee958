"""Logistic regressions as linear functions, and what several corpora share of them.

A linear function of `size` values is an array `(size + 1, classes)`: its kernel and, below it, its
bias.
"""

from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

_ABSENT = -10.0  # the logit of a class that nobody had


def class_weights(truth: np.ndarray, corpus: np.ndarray) -> np.ndarray:
    """Return weights by which all classes of a corpus count the same.

    A corpus counts as much as it has recordings. Over all corpora, a class that few of these have
    would count for much more there than the others.

    Args:
        truth: int `(n,)`.
        corpus: `(n,)`.
    """
    weights = np.empty(len(truth))
    for each in np.unique(corpus):
        of = corpus == each
        _, which, count = np.unique(truth[of], return_inverse=True, return_counts=True)
        weights[of] = of.sum() / (len(count) * count)[which]
    return weights


def fit(
    values: np.ndarray,
    truth: np.ndarray,
    classes: int,
    freedom: float,
    weights: np.ndarray | None = None,
    *,
    absent: float = _ABSENT,
) -> np.ndarray:
    """Return a logistic regression on standardised values as a linear function of the values.

    Args:
        values: `(n, size)`.
        truth: int `(n,)`, two classes at least.
        classes: how many there may be.
        freedom: scikit-learn's C.
        weights: how much each counts; all the same, if not given.
        absent: the logit of classes that are not there.
    """
    scaler = StandardScaler().fit(values)
    model = LogisticRegression(C=freedom, max_iter=1000)
    model.fit(scaler.transform(values), truth, weights)
    two = len(model.coef_) == 1  # of two classes, scikit-learn has the second's weights alone
    known = model.classes_[1:] if two else model.classes_
    kernel, bias = np.zeros((values.shape[1], classes)), np.full(classes, absent, float)
    bias[model.classes_] = 0
    kernel[:, known] = model.coef_.T / scaler.scale_[:, None]
    bias[known] = model.intercept_
    return np.vstack([kernel, bias - scaler.mean_ @ kernel])


def fit_by_corpus(
    values: np.ndarray,
    truth: np.ndarray,
    classes: int,
    freedom: float,
    weights: np.ndarray,
    corpus: np.ndarray,
    names: Sequence[str],
) -> np.ndarray:
    """Return the linear function that corpora share, then what each adds: `(1 + names, …)`.

    With what it adds, a corpus's recordings are judged half by a regression on all, half by one on
    that corpus alone, which says nothing of classes that the corpus has not. So the shared one
    still serves where nothing is added (after Daumé 2007, arXiv 0907.1815, whose one regression on
    all parts at once is no better, and slower; benchmarks/LAB.md).

    Args:
        values: as in `fit`, and so are
        truth: these,
        classes: these,
        freedom: this and
        weights: these.
        corpus: `(n,)`.
        names: of the corpora; one that is not there, is alone, or has one class, adds nothing.
    """
    shared = fit(values, truth, classes, freedom, weights)
    somewhere = np.isin(np.arange(classes), truth)
    added = [np.zeros_like(shared) for _ in names]
    for part, name in zip(added, names, strict=True):
        of = corpus == name
        if len(np.unique(truth[of])) > 1 and not of.all():
            own = fit(values[of], truth[of], classes, freedom, weights[of], absent=0.0)
            part[:, somewhere] = (own - shared)[:, somewhere] / 2
    return np.stack([shared, *added])
