"""The scikit-learn baselines: fitted on pooled descriptors, measured, and not shipped."""

from dataclasses import dataclass

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from ser_core.hyperparameters import Knn, RandomForest, Svm
from ser_core.recipe import Recipe


@dataclass(frozen=True, eq=False)
class Baseline:
    """A fitted baseline.

    Attributes:
        pipeline: the scaler and the classifier.
        classes: how many labels the recipe has; some may have had no recording to learn from.
    """

    pipeline: Pipeline
    classes: int

    def logits(self, values: np.ndarray) -> np.ndarray:
        """Return what softmax makes probabilities of, `(n, classes)`, for vectors `(n, values)`.

        They are logarithms of a forest's or the neighbours' votes, one vote added to each class so
        that none is impossible; or the decision values of a support vector machine.
        """
        estimator = self.pipeline[-1]
        if isinstance(estimator, SVC):
            found = self.pipeline.decision_function(values)
            found = np.stack([-found, found], axis=1) if found.ndim == 1 else found
        else:
            voters = getattr(estimator, "n_estimators", None) or estimator.n_neighbors
            found = np.log(self.pipeline.predict_proba(values) * voters + 1)
        every = np.full((len(values), self.classes), found.min() - 10.0)
        every[:, estimator.classes_] = found
        return every

    @property
    def parameters(self) -> int:
        """How many numbers the classifier keeps: of its trees' nodes, or of what it remembers."""
        estimator = self.pipeline[-1]
        if isinstance(estimator, RandomForestClassifier):
            return sum(tree.tree_.node_count for tree in estimator.estimators_)
        if isinstance(estimator, SVC):
            return estimator.support_vectors_.size + estimator.dual_coef_.size
        return estimator.n_samples_fit_ * estimator.n_features_in_


def fit(recipe: Recipe, values: np.ndarray, truth: np.ndarray, seed: int) -> Baseline:
    """Fit a recipe's baseline.

    Args:
        recipe: whose network is one of `hyperparameters.CLASSICAL`.
        values: `(n, values)`, not standardised.
        truth: int `(n,)`.
        seed: of the forest.
    """
    pipeline = make_pipeline(StandardScaler(), _estimator(recipe, seed))
    return Baseline(pipeline.fit(values, truth), len(recipe.labels))


def _estimator(recipe: Recipe, seed: int) -> ClassifierMixin:
    config = recipe.network
    weight = "balanced" if recipe.training.class_weights else None
    if isinstance(config, RandomForest):
        return RandomForestClassifier(
            config.trees,
            bootstrap=config.bootstrap,
            class_weight=weight,
            n_jobs=-1,
            random_state=seed,
        )
    if isinstance(config, Knn):
        return KNeighborsClassifier(config.neighbours)
    if isinstance(config, Svm):
        return SVC(C=config.c, class_weight=weight)
    raise TypeError(f"{config.name} is no baseline")
