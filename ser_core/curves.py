"""What figures are drawn of: reliability, coverage, ROC and PR, trends, groups. Plain data out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.polynomial import Polynomial


@dataclass(frozen=True)
class Bin:
    """Answers of about the same confidence.

    Attributes:
        low: where the bin begins, and
        high: where it ends, as confidences.
        confidence: their mean confidence.
        accuracy: the share of them that is right.
        count: how many they are.
    """

    low: float
    high: float
    confidence: float
    accuracy: float
    count: int


def reliability(truth: np.ndarray, probabilities: np.ndarray, bins: int = 10) -> list[Bin]:
    """Return how often answers are right, by how sure they are; empty bins are left out.

    Args:
        truth: int `(n,)`, positions of the labels.
        probabilities: `(n, labels)`.
        bins: of equal width, from 0 to 1.
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == truth
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    return [
        Bin(
            low=index / bins,
            high=(index + 1) / bins,
            confidence=float(confidence[bin_of == index].mean()),
            accuracy=float(right[bin_of == index].mean()),
            count=int((bin_of == index).sum()),
        )
        for index in range(bins)
        if (bin_of == index).any()
    ]


@dataclass(frozen=True, eq=False)
class Curve:
    """Points `(n,)` each, at which `thresholds` they lie, and what is under them, if that counts.

    Of thresholds and the rest, point i belongs to the same answer.
    """

    x: np.ndarray
    y: np.ndarray
    thresholds: np.ndarray
    area: float


def coverage(truth: np.ndarray, probabilities: np.ndarray) -> Curve:
    """Return how many answers are right (`y`) if only the surest share (`x`) of them is given.

    `thresholds` are the least confidences with which an answer is given; answers of the same
    confidence come and go together. The area is the mean accuracy over all coverages.
    """
    confidence = probabilities.max(axis=1)
    order = np.argsort(-confidence, kind="stable")
    right = (probabilities.argmax(axis=1) == truth)[order]
    given = np.arange(1, len(truth) + 1)
    accuracy, confidence = np.cumsum(right) / given, confidence[order]
    last = np.append(np.diff(confidence) != 0, True)
    return Curve((given / len(truth))[last], accuracy[last], confidence[last], accuracy.mean())


def roc(truth: np.ndarray, probabilities: np.ndarray, labels: Sequence[str]) -> dict[str, Curve]:
    """Return, for each emotion against the rest, false alarms (`x`) and hits (`y`) as shares.

    Emotions that nothing, or everything, is labelled with have no curve. Area: AUC.
    """
    from sklearn.metrics import auc, roc_curve  # a second, which not every page needs

    found = {}
    for label, positive, score in _one_vs_rest(truth, probabilities, labels):
        x, y, thresholds = roc_curve(positive, score)
        found[label] = Curve(x, y, thresholds, float(auc(x, y)))
    return found


def precision_recall(
    truth: np.ndarray, probabilities: np.ndarray, labels: Sequence[str]
) -> dict[str, Curve]:
    """Return, for each emotion against the rest, recall (`x`) and precision (`y`).

    As in `roc`. Area: average precision.
    """
    from sklearn.metrics import average_precision_score, precision_recall_curve

    found = {}
    for label, positive, score in _one_vs_rest(truth, probabilities, labels):
        precision, recall, thresholds = precision_recall_curve(positive, score)
        area = float(average_precision_score(positive, score))
        # The curve ends where nothing is answered, above every threshold.
        found[label] = Curve(recall, precision, np.append(thresholds, np.inf), area)
    return found


def _one_vs_rest(truth: np.ndarray, probabilities: np.ndarray, labels: Sequence[str]):
    for index, label in enumerate(labels):
        positive = truth == index
        if positive.any() and not positive.all():
            yield label, positive, probabilities[:, index]


@dataclass(frozen=True)
class Quadratic:
    """`y = a·x² + b·x + c`, the share of y's variance that it explains, and the largest x."""

    a: float
    b: float
    c: float
    r2: float
    reach: float

    def __str__(self) -> str:
        """Return the equation, with three digits.

        A term that is nowhere worth one of the three digits of the largest is left out: most of
        those are what rounding leaves of a straight line.
        """
        terms = (
            (self.a, "·e²", self.a * self.reach**2),
            (self.b, "·e", self.b * self.reach),
            (self.c, "", self.c),
        )
        least = max(abs(most) for _, _, most in terms) / 2000
        first, *others = [
            f"{'−' if value < 0 else '+'} {abs(value):.3g}{power}"
            for value, power, most in terms
            if value and abs(most) >= least
        ] or ["0"]
        return " ".join((first.removeprefix("+ ").replace("− ", "−"), *others))

    def at(self, x: np.ndarray) -> np.ndarray:
        """Return y."""
        return self.a * x**2 + self.b * x + self.c


def quadratic(x: Sequence[float], y: Sequence[float]) -> Quadratic | None:
    """Fit a parabola by least squares; None for fewer than four finite points."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    finite = np.isfinite(y)
    x, y = x[finite], y[finite]
    if len(x) < 4:
        return None
    found = Polynomial.fit(x, y, 2).convert().coef
    c, b, a = np.pad(found, (0, 3 - len(found)))  # without zeros at the end, if all are
    spread = ((y - y.mean()) ** 2).sum()
    rest = ((y - (a * x**2 + b * x + c)) ** 2).sum()
    r2 = float(1 - rest / spread) if spread else 1.0
    return Quadratic(float(a), float(b), float(c), r2, reach=float(np.abs(x).max()))


def trends(events: Sequence[Mapping], scores: Sequence[str]) -> dict[str, Quadratic]:
    """Fit a parabola to each of some scores over epochs, where they are known."""
    found = {}
    for score in scores:
        known = [(event["epoch"], event[score]) for event in events if score in event]
        fitted = quadratic(*zip(*known, strict=True)) if known else None
        if fitted is not None:
            found[score] = fitted
    return found


def by_group(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return how well each speaker, or sex, was heard.

    Args:
        table: `emotion`, `heard`, `right` and the column.
        column: what to group by; rows in which it is not known are left out.

    Returns:
        A row a value, the best heard first: `recordings`, `accuracy`, `uar` (the mean of the
        recalls of the emotions that it has).
    """
    known = table[table[column].notna() & (table[column] != "")]
    recall = known.groupby([column, "emotion"]).right.mean()
    groups = known.groupby(column).right
    found = pd.DataFrame(
        {
            "recordings": groups.size(),
            "accuracy": groups.mean(),
            "uar": recall.groupby(column).mean(),
        }
    )
    return found.sort_values("uar", ascending=False, kind="stable")


def mistakes(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that were heard as another emotion, those first where it was surest."""
    return table[~table.right].sort_values("confidence", ascending=False, ignore_index=True)
