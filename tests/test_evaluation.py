import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, f1_score

from ser_core import evaluation

LABELS = ("neutral", "happy", "sad")


def one_hot(guess, confidence=0.9):
    probabilities = np.full((len(guess), 3), (1 - confidence) / 2)
    probabilities[np.arange(len(guess)), guess] = confidence
    return probabilities


def test_a_report_by_hand():
    truth = np.array([0, 0, 0, 1, 1, 2])
    found = evaluation.report(truth, one_hot([0, 0, 1, 1, 1, 0]), LABELS)
    assert found.uar == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert found.accuracy == pytest.approx(4 / 6)
    assert found.confusion == [[2, 1, 0], [0, 2, 0], [1, 0, 0]]
    assert found.per_class["sad"].recall == 0 and found.per_class["sad"].support == 1
    assert found.ece == pytest.approx(0.9 - 4 / 6)


def test_labels_without_utterances_do_not_count():
    found = evaluation.report(np.array([0, 1]), one_hot([0, 1]), LABELS)
    assert found.uar == found.accuracy == found.macro_f1 == 1


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=50))
def test_scores_are_scikit_learns(pairs):
    truth, guess = map(np.array, zip(*pairs, strict=True))
    found = evaluation.report(truth, one_hot(guess), LABELS)
    present = np.unique(truth)
    expected = f1_score(truth, guess, labels=present, average="macro", zero_division=0)
    assert found.macro_f1 == pytest.approx(expected)
    recalls = [np.mean(guess[truth == label] == label) for label in present]
    assert found.uar == pytest.approx(np.mean(recalls))
    if set(guess) <= set(truth):
        assert found.uar == pytest.approx(balanced_accuracy_score(truth, guess))


def test_nothing_cannot_be_scored():
    with pytest.raises(ValueError, match="no utterance"):
        evaluation.report(np.array([], int), np.empty((0, 3)), LABELS)


def overconfident(n=4000, factor=3.0):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(n, 3))
    probabilities = evaluation.probabilities_of(logits, 1.0)
    truth = np.array([rng.choice(3, p=row) for row in probabilities])
    return truth, factor * logits


def test_temperature_undoes_overconfidence():
    truth, logits = overconfident()
    temperature = evaluation.fit_temperature(truth, logits)
    assert temperature == pytest.approx(3.0, rel=0.15)
    before = evaluation.expected_calibration_error(truth, evaluation.probabilities_of(logits, 1))
    after = evaluation.probabilities_of(logits, temperature)
    assert evaluation.expected_calibration_error(truth, after) < before / 4


def test_the_threshold_buys_accuracy_with_coverage():
    truth, logits = overconfident(factor=1.0)
    probabilities = evaluation.probabilities_of(logits, 1.0)
    everything = evaluation.selective(truth, probabilities, 0.0)
    chosen = evaluation.choose_threshold(truth, probabilities, 0.75)
    assert everything.coverage == 1 and everything.accuracy < 0.75
    assert chosen.accuracy >= 0.75 and 0.1 <= chosen.coverage < 1
    lower = evaluation.selective(truth, probabilities, chosen.threshold - 0.05)
    assert lower.accuracy < 0.75


def test_an_accuracy_out_of_reach_still_gives_a_threshold():
    truth, probabilities = np.array([0, 1] * 10), one_hot([0, 0] * 10)
    assert evaluation.choose_threshold(truth, probabilities, 0.99).coverage >= 0.1


def test_windows_average_into_their_clips():
    windows = np.array([[1.0, 0.0], [0.0, 1.0], [0.2, 0.8]])
    found = evaluation.mean_by_clip(windows, np.array([4, 4, 7]), np.array([4, 7]))
    np.testing.assert_allclose(found, [[0.5, 0.5], [0.2, 0.8]])
