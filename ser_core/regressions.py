"""What of a `deep` network is not learned by descent: layers that scikit-learn fits."""

import keras
import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from ser_core import linear, networks
from ser_core.batches import Batches
from ser_core.recipe import Recipe

_PARTS = 5  # of a corpus's speakers, each of which is left out once
_FREE = 10.0  # scikit-learn's C, where a single value is weighed
_NEVER = -100.0  # the logit of being like a corpus of which nothing is known


def fit_likeness(recipe: Recipe, network: keras.Model, batches: Batches) -> None:
    """Fit by what a `deep` network hears which corpus a recording is like, if any.

    It is by the distance of its frames' mean from a subspace in which that corpus's vary most. By
    a logistic regression, that distance tells speakers of the corpus, each left out when the
    subspace was found, from what is in other corpora.

    Args:
        recipe: what is trained; with one corpus, or no parts for several, nothing is done.
        network: the network.
        batches: whose windows are learned from, in all variants and as they are.
    """
    count, names = recipe.network.corpora, recipe.data.corpora
    corpus, speaker, recording = (
        batches.utterances[column].to_numpy(str) for column in ("corpus", "speaker", "id")
    )
    if count < 2 or len(np.unique(corpus)) < 2:
        return
    found = _heard(network, networks.AVERAGE, batches)
    centres = np.zeros((count, found.shape[1]))
    components = np.zeros((count, networks.SUBSPACE, found.shape[1]))
    slope, offset = np.zeros(count), np.full(count, _NEVER)
    for index, name in enumerate(names):
        own = corpus == name
        voices = speaker[own] if len(np.unique(speaker[own])) > 1 else recording[own]
        if len(np.unique(voices)) < 2:
            continue
        values = found[own]
        centres[index], components[index] = _subspace(values)
        parts = GroupKFold(min(_PARTS, len(np.unique(voices)))).split(values, groups=voices)
        near = [_log_distance(values[left], *_subspace(values[others])) for others, left in parts]
        far = _log_distance(found[~own], centres[index], components[index])
        distances = np.concatenate([*near, far])[:, None]
        fitted = LogisticRegression(class_weight="balanced", C=_FREE)
        fitted.fit(distances, np.arange(len(distances)) < own.sum())
        slope[index], offset[index] = fitted.coef_[0, 0], fitted.intercept_[0]
    networks.set_subspaces(network, centres, components)
    network.get_layer(networks.LIKENESS).set_weights([np.diag(slope), offset])


def _subspace(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of values `(n, size)`, and directions in which they vary most.

    Of few values, fewer directions are told; the rest of `(SUBSPACE, size)` is zero.
    """
    centre, directions = values.mean(axis=0), np.zeros((networks.SUBSPACE, values.shape[1]))
    size = min(networks.SUBSPACE, len(values) // 2)
    if size:
        svd = TruncatedSVD(size, random_state=0).fit(values - centre)
        directions[:size] = svd.components_
    return centre, directions


def _log_distance(values: np.ndarray, centre: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Return what `networks.deep` makes of values, `(n,)`."""
    values = values - centre
    away = np.square(values).sum(axis=1) - np.square(values @ directions.T).sum(axis=1)
    return np.log(np.maximum(away, 1e-6))


def fit_emotions(recipe: Recipe, network: keras.Model, batches: Batches) -> None:
    """Fit the regression of a `deep` network, if it has one, when all else is.

    It is a linear function of the frames' sd, too many values to be learned well along with the
    rest; alone and held tightly it errs in other places than the rest does. Where corpora have
    parts of their own, what is like a corpus is judged half by the regression that all share and
    half by one that was fitted on that corpus alone.

    Args:
        recipe: what is trained.
        network: a `deep` one.
        batches: whose windows are learned from, in all variants and as they are.
    """
    config, classes = recipe.network, len(recipe.labels)
    if not config.regression:
        return
    found = _heard(network, networks.STATISTICS, batches)
    truth, corpus = batches.targets.argmax(axis=1), batches.utterances.corpus.to_numpy(str)
    names = list(recipe.data.corpora) if config.corpora > 1 else []
    spare = [""] * (config.corpora - len(names) if names else 0)
    fitted = found, truth, classes, config.regression, batches.weights
    whole = np.hstack(list(linear.fit_by_corpus(*fitted, corpus, names + spare)))
    networks.set_regression(network, whole[:-1], whole[-1])


def _heard(network: keras.Model, layer: str, batches: Batches) -> np.ndarray:
    """Return what a layer makes of the frames of all windows, `(windows, size)`."""
    part = keras.Model(network.get_layer(networks.HEARD).output, network.get_layer(layer).output)
    return np.concatenate([part.predict_on_batch(some) for some in batches.in_order()])
