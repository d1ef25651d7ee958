"""What of a `deep` network is not learned by descent: layers that scikit-learn fits."""

import keras
import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from ser_core import linear, networks
from ser_core.batches import Batches
from ser_core.recipe import Recipe

_FREEDOM = 0.003  # scikit-learn's C, of what tells corpora apart
_PARTS = 5  # of the speakers, and of the corpora at most


def fit_likeness(recipe: Recipe, network: keras.Model, batches: Batches) -> None:
    """Fit by what a recording is told to be like a corpus, and by what to be like none.

    A regression on the mean of the frames tells corpora apart. How far that mean lies outside its
    principal components tells another microphone from another voice: by a second regression, on
    that distance for speakers and for corpora who were left out in turn.

    Args:
        recipe: what is trained; with one corpus, or no parts for several, nothing is done.
        network: a `deep` one.
        batches: whose windows are learned from, in all variants and as they are.
    """
    config, names = recipe.network, recipe.data.corpora
    corpus = batches.utterances.corpus.to_numpy(str)
    if config.corpora < 2 or len(np.unique(corpus)) < 2:
        return
    found = _heard(network, networks.AVERAGE, batches)
    which = np.array([names.index(name) for name in corpus])
    likeness = linear.fit(found, which, config.corpora, _FREEDOM)
    network.get_layer(networks.LIKENESS).set_weights([likeness[:-1], likeness[-1]])

    size = network.get_layer(networks.COMPONENTS).units
    speaker = corpus + batches.utterances.speaker.to_numpy(str)
    distance, known = [], []
    for groups, are_known in ((speaker, True), (corpus, False)):
        parts = GroupKFold(min(_PARTS, len(np.unique(groups))))
        for others, left_out in parts.split(found, groups=groups):
            away = _outside(found[left_out], _components(found[others], size))
            distance.append(away)
            known.append(np.full(len(away), are_known))
    distance, known = np.concatenate(distance), np.concatenate(known)
    familiar = LogisticRegression(class_weight="balanced").fit(distance, known)
    network.get_layer(networks.COMPONENTS).set_weights([_components(found, size)])
    network.get_layer(networks.FAMILIAR).set_weights([familiar.coef_, familiar.intercept_])


def _components(values: np.ndarray, size: int) -> np.ndarray:
    """Return so many directions in which values `(n, …)` vary most, `(…, size)`.

    Of fewer values there are fewer; the rest is zero.
    """
    found = np.zeros((values.shape[1], size), values.dtype)
    there = min(size, len(values))
    found[:, :there] = TruncatedSVD(there, random_state=0).fit(values).components_.T
    return found


def _outside(values: np.ndarray, components: np.ndarray) -> np.ndarray:
    return np.asarray(networks.log_outside(values, values @ components))


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
