"""How good and how honest a set of predictions is: plain numbers out."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support


@dataclass(frozen=True)
class ClassReport:
    """Precision, recall and F1 (fractions) and number of utterances of one emotion."""

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Report:
    """Scores of predictions against labels; all fractions.

    Attributes:
        n: utterances.
        labels: emotions, in the order of `confusion`.
        uar: unweighted average recall: the mean over the emotions present of their recalls.
        accuracy: share of utterances that are right.
        macro_f1: mean F1 over the emotions present.
        ece: expected calibration error.
        per_class: a `ClassReport` an emotion.
        confusion: counts, `confusion[i][j]` utterances of emotion i heard as emotion j.
    """

    n: int
    labels: tuple[str, ...]
    uar: float
    accuracy: float
    macro_f1: float
    ece: float
    per_class: dict[str, ClassReport]
    confusion: list[list[int]]


def report(truth: np.ndarray, probabilities: np.ndarray, labels: tuple[str, ...]) -> Report:
    """Score predictions.

    Args:
        truth: int `(n,)`, positions in `labels`.
        probabilities: `(n, len(labels))`.
        labels: emotions.
    """
    if not len(truth):
        raise ValueError("there is no utterance to score")
    guess = probabilities.argmax(axis=1)
    classes = np.arange(len(labels))
    precision, recall, f1, support = precision_recall_fscore_support(
        truth, guess, labels=classes, zero_division=0
    )
    present = support > 0
    return Report(
        n=len(truth),
        labels=labels,
        uar=float(recall[present].mean()),
        accuracy=float((truth == guess).mean()),
        macro_f1=float(f1[present].mean()),
        ece=expected_calibration_error(truth, probabilities),
        per_class={
            label: ClassReport(float(p), float(r), float(f), int(s))
            for label, p, r, f, s in zip(labels, precision, recall, f1, support, strict=True)
        },
        confusion=confusion(truth, probabilities, labels).tolist(),
    )


def confusion(truth: np.ndarray, probabilities: np.ndarray, labels: tuple[str, ...]) -> np.ndarray:
    """Return counts `(labels, labels)` of what was heard (columns) as which label (rows)."""
    return confusion_matrix(truth, probabilities.argmax(axis=1), labels=np.arange(len(labels)))


def expected_calibration_error(
    truth: np.ndarray, probabilities: np.ndarray, bins: int = 15
) -> float:
    """Return the mean gap between confidence and accuracy over equally wide bins of confidence.

    Guo et al. 2017, "On Calibration of Modern Neural Networks", eq. 3.
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == truth
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    gap = np.bincount(bin_of, weights=right - confidence, minlength=bins)
    return float(np.abs(gap).sum() / len(truth))


def fit_temperature(truth: np.ndarray, logits: np.ndarray) -> float:
    """Return the temperature which makes the labels likeliest (Guo et al. 2017, section 4.2).

    Args:
        truth: int `(n,)`.
        logits: `(n, classes)`, to be divided by the temperature before softmax.
    """

    def surprise(log_temperature: float) -> float:
        scaled = log_softmax(logits / np.exp(log_temperature), axis=1)
        return -scaled[np.arange(len(truth)), truth].mean()

    best = minimize_scalar(surprise, bounds=(np.log(0.1), np.log(10.0)), method="bounded")
    return float(np.exp(best.x))


@dataclass(frozen=True)
class Selective:
    """What remains when answers under a confidence are withheld.

    Attributes:
        threshold: the least confidence with which an answer is given.
        coverage: share of utterances that get an answer.
        accuracy: share of those answers that are right; 1 if there is none.
    """

    threshold: float
    coverage: float
    accuracy: float


def selective(truth: np.ndarray, probabilities: np.ndarray, threshold: float) -> Selective:
    """Return coverage and accuracy of the answers at or above a confidence."""
    answered = probabilities.max(axis=1) >= threshold
    right = probabilities.argmax(axis=1) == truth
    accuracy = float(right[answered].mean()) if answered.any() else 1.0
    return Selective(threshold, float(answered.mean()), accuracy)


def choose_threshold(truth: np.ndarray, probabilities: np.ndarray, accuracy: float) -> Selective:
    """Return the lowest threshold whose answers are as accurate as asked; see `Selective`.

    If no threshold reaches it, the one with the most accurate answers among those that still
    answer one utterance in ten.
    """
    confidence = np.sort(probabilities.max(axis=1))
    candidates = [selective(truth, probabilities, t) for t in np.unique(np.append(0, confidence))]
    for candidate in candidates:
        if candidate.accuracy >= accuracy and candidate.coverage >= 0.1:
            return candidate
    return max((c for c in candidates if c.coverage >= 0.1), key=lambda c: c.accuracy)


def mean_by_clip(probabilities: np.ndarray, clip: np.ndarray, clips: np.ndarray) -> np.ndarray:
    """Average windows' values into their clips'.

    Args:
        probabilities: `(windows, classes)`.
        clip: int `(windows,)`, the clip each window belongs to.
        clips: which clips to return, each with at least one window.

    Returns:
        `(len(clips), classes)`
    """
    sums = np.zeros((clip.max() + 1, probabilities.shape[1]))
    np.add.at(sums, clip, probabilities)
    return sums[clips] / np.bincount(clip)[clips, None]


def probabilities_of(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Return calibrated probabilities."""
    return softmax(logits / temperature, axis=-1)
