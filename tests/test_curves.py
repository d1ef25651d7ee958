import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ser_core import curves, evaluation

LABELS = ("happy", "sad", "angry")


def answers(n, seed=0, labels=3):
    """Truth, and probabilities that have something to do with it."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, labels, n)
    logits = rng.normal(size=(n, labels)) + 1.5 * np.eye(labels)[truth]
    return truth, evaluation.probabilities_of(logits, 1.0)


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_reliability_agrees_with_the_calibration_error(bins):
    truth, probabilities = answers(200)
    found = curves.reliability(truth, probabilities, bins)
    assert sum(each.count for each in found) == 200
    for each in found:
        assert each.low <= each.confidence <= each.high and each.count
    error = sum(each.count * abs(each.accuracy - each.confidence) for each in found) / 200
    expected = evaluation.expected_calibration_error(truth, probabilities, bins)
    assert error == pytest.approx(expected)


def test_certainty_is_in_the_last_bin():
    (only,) = curves.reliability(np.array([0, 1]), np.array([[1.0, 0.0], [1.0, 0.0]]))
    assert (only.high, only.confidence, only.accuracy, only.count) == (1.0, 1.0, 0.5, 2)


def test_coverage_by_hand():
    truth = np.array([0, 1, 1, 0])
    first = np.array([0.9, 0.8, 0.3, 0.6])
    found = curves.coverage(truth, np.stack([first, 1 - first], axis=1))
    np.testing.assert_allclose(found.x, [0.25, 0.5, 0.75, 1.0])
    np.testing.assert_allclose(found.y, [1, 1 / 2, 2 / 3, 3 / 4])
    np.testing.assert_allclose(found.thresholds, [0.9, 0.8, 0.7, 0.6])


@given(
    arrays.arrays(float, st.tuples(st.integers(1, 30), st.just(3)), elements=st.floats(0.1, 1)),
    st.integers(0, 2),
)
def test_coverage_is_what_each_threshold_gives(raw, shift):
    """Also where several answers are equally sure."""
    probabilities = np.round(raw, 1) / np.round(raw, 1).sum(axis=1, keepdims=True)
    truth = (probabilities.argmax(axis=1) + shift * (np.arange(len(raw)) % 2)) % 3
    found = curves.coverage(truth, probabilities)
    assert found.x[-1] == 1.0
    for x, y, threshold in zip(found.x, found.y, found.thresholds, strict=True):
        selective = evaluation.selective(truth, probabilities, threshold)
        assert (selective.coverage, selective.accuracy) == (pytest.approx(x), pytest.approx(y))


def test_roc_area_is_how_often_a_right_one_scores_higher():
    truth, probabilities = answers(80)
    for index, (label, curve) in enumerate(curves.roc(truth, probabilities, LABELS).items()):
        assert label == LABELS[index]
        yes, no = (probabilities[truth == index, index], probabilities[truth != index, index])
        assert curve.area == pytest.approx((yes[:, None] > no).mean())
        assert (curve.x[0], curve.y[0], curve.x[-1], curve.y[-1]) == (0, 0, 1, 1)


def test_precision_and_recall_at_each_threshold():
    truth, probabilities = answers(80)
    found = curves.precision_recall(truth, probabilities, LABELS)
    for index, curve in enumerate(found.values()):
        assert len(curve.x) == len(curve.y) == len(curve.thresholds)
        assert 0 < curve.area <= 1
        for at in range(0, len(curve.x) - 1, 9):
            said = probabilities[:, index] >= curve.thresholds[at]
            assert curve.x[at] == pytest.approx(
                (said & (truth == index)).sum() / (truth == index).sum()
            )
            assert curve.y[at] == pytest.approx((truth[said] == index).mean())


def test_an_emotion_that_does_not_occur_has_no_curve():
    truth, probabilities = answers(40, labels=2)
    probabilities = np.hstack([probabilities * 0.9, np.full((40, 1), 0.1)])
    for make in (curves.roc, curves.precision_recall):
        assert list(make(truth, probabilities, LABELS)) == ["happy", "sad"]
        assert make(np.zeros(40, int), probabilities, LABELS) == {}


def test_a_parabola_is_found_again():
    x = np.arange(1, 30)
    found = curves.quadratic(x, 0.002 * x**2 - 0.1 * x + 2)
    assert (found.a, found.b, found.c) == pytest.approx((0.002, -0.1, 2))
    assert found.r2 == pytest.approx(1)
    assert str(found) == "0.002·e² − 0.1·e + 2"
    np.testing.assert_allclose(found.at(x), 0.002 * x**2 - 0.1 * x + 2)


def test_how_much_a_parabola_explains_is_measured():
    x = np.arange(60)
    noise = np.random.default_rng(0).normal(size=60)
    assert curves.quadratic(x, noise).r2 < 0.2
    assert 0.5 < curves.quadratic(x, noise + 0.05 * x).r2 < 1
    assert curves.quadratic(x, np.ones(60)).r2 == 1.0
    assert str(curves.quadratic(x, -x)).startswith(("−", "0", "1"))


@pytest.mark.parametrize(
    ("y", "text"),
    [
        (lambda x: 1e-4 + 0 * x, "0.0001"),
        (lambda x: 3 - 0.02 * x, "−0.02·e + 3"),
        (lambda x: 1e-5 * x**2, "1e-05·e²"),
        (lambda x: 0.5 + 1e-5 * x**2, "1e-05·e² + 0.5"),
        (lambda x: 0 * x, "0"),
    ],
)
def test_what_rounding_leaves_is_not_written(y, text):
    x = np.arange(1, 60)
    assert str(curves.quadratic(x, y(x))) == text


@pytest.mark.parametrize("y", [[1, 2, 3], [1, 2, 3, np.nan], []])
def test_of_too_few_points_there_is_no_parabola(y):
    assert curves.quadratic(range(len(y)), y) is None


def test_trends_are_of_the_scores_that_there_are():
    events = [{"epoch": epoch, "loss": 3.0 - 0.1 * epoch} for epoch in range(1, 8)]
    found = curves.trends(events, ["loss", "val_loss"])
    assert list(found) == ["loss"]
    assert found["loss"].b == pytest.approx(-0.1)
    assert curves.trends([], ["loss"]) == {}


TABLE = pd.DataFrame(
    [
        ("f", "a", "sad", "sad", 0.9),
        ("f", "a", "sad", "sad", 0.8),
        ("f", "a", "happy", "sad", 0.7),
        ("m", "b", "happy", "happy", 0.6),
        ("", "c", "happy", "sad", 0.95),
    ],
    columns=["sex", "speaker", "emotion", "heard", "confidence"],
)
TABLE["right"] = TABLE.emotion == TABLE.heard


def test_groups_are_scored():
    found = curves.by_group(TABLE, "sex")
    assert list(found.index) == ["m", "f"]
    assert found.loc["f"].to_dict() == {
        "recordings": 3,
        "accuracy": pytest.approx(2 / 3),
        "uar": 0.5,
    }
    assert list(curves.by_group(TABLE, "speaker").recordings) == [1, 3, 1]


def test_mistakes_come_by_how_sure_it_was():
    found = curves.mistakes(TABLE)
    assert list(found.confidence) == [0.95, 0.7] and list(found.index) == [0, 1]
    assert curves.mistakes(TABLE[TABLE.right]).empty
