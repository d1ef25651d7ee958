import numpy as np
import pandas as pd
import pytest

from ser_core import curves, plots_training
from ser_core.emotions import EMOTIONS
from tests.test_curves import LABELS, answers

EVENTS = [
    {"epoch": epoch, "loss": 2 / epoch, "val_loss": 1 + 1 / epoch, "val_uar": epoch / 20}
    for epoch in range(1, 11)
]


def test_scores_are_drawn_over_epochs_and_the_best_is_marked():
    scores = {"loss": "training", "val_loss": "others"}
    fits = curves.trends(EVENTS, list(scores))
    figure = plots_training.over_epochs(EVENTS, scores, fits=fits, best=7, shares=False)
    training, fit, others, _ = figure.data
    assert list(training.y) == [event["loss"] for event in EVENTS]
    assert list(training.x) == list(range(1, 11))
    assert training.line.color != others.line.color == plots_training.VIOLET
    assert fit.line.dash == "dot" and fit.line.color == training.line.color
    np.testing.assert_allclose(fit.y, fits["loss"].at(np.array(fit.x)))
    (best,) = figure.layout.shapes
    assert best.x0 == best.x1 == 7
    assert figure.layout.showlegend


def test_one_epoch_is_a_point():
    figure = plots_training.over_epochs(EVENTS[:1], {"val_uar": "others"})
    assert figure.data[0].mode == "markers" and not figure.layout.shapes
    assert figure.layout.yaxis.tickformat == ".0%"


@pytest.mark.parametrize(("rounds", "step"), [(1, 1), (4, 1), (10, None)])
def test_rounds_are_counted_whole(rounds, step):
    figure = plots_training.over_epochs(EVENTS[:rounds], {"val_uar": "others"})
    assert figure.layout.xaxis.dtick == step and figure.layout.xaxis.title.text == "round"


def heard(*cells):
    """Return answers: of each emotion, heard as another, how many; the last is the surest."""
    pairs = [(emotion, heard) for emotion, heard, count in cells for _ in range(count)]
    found = pd.DataFrame(pairs, columns=["emotion", "heard"])
    ids = [f"mine/{index}<b>.wav" for index in found.index]
    return found.assign(id=ids, confidence=np.linspace(0.5, 1, len(found)))


@pytest.mark.parametrize(("rates", "written"), [(True, ["75", "25", "", "100"]), (False, None)])
def test_each_cell_of_a_confusion_can_be_chosen(rates, written):
    labels = ("happy", "sad")
    answers = heard(("happy", "happy", 3), ("happy", "sad", 1), ("sad", "sad", 8))
    figure = plots_training.confusion(answers, labels, rates=rates, picked=("happy", "sad"))
    cells, points = figure.data
    assert cells.z.tolist() == [[0.75, 0.25], [0, 1]]
    assert [tuple(pair) for pair in points.customdata] == [
        ("happy", "happy"),
        ("happy", "sad"),
        ("sad", "happy"),
        ("sad", "sad"),
    ]
    # x is what was heard, y what is labelled.
    assert (points.x[1], points.y[1]) == ("sad", "happy")
    assert list(points.text) == (written or ["3", "1", "", "8"])
    (frame,) = figure.layout.shapes
    assert (frame.x0, frame.y0) == (0.5, -0.5)


@pytest.mark.parametrize(("count", "listed", "more"), [(0, 0, []), (8, 8, []), (10, 8, [2])])
def test_beside_a_cell_its_recordings_are_named_the_surest_first(count, listed, more):
    answers = heard(("happy", "happy", 1), ("happy", "sad", count))
    _, points = plots_training.confusion(answers, ("happy", "sad"), rates=True).data
    assert points.hovertext[1].split("<br>") == [
        "happy, heard as sad:",
        f"{count} of {count + 1}",
        *(f"{count - place}&lt;b&gt;.wav" for place in range(listed)),
        *(f"and {left} more" for left in more),
    ]


def test_an_emotion_without_recordings_divides_by_nothing():
    answers = heard(("sad", "happy", 1), ("sad", "sad", 1))
    figure = plots_training.confusion(answers, ("happy", "sad"), rates=True)
    assert np.isfinite(figure.data[0].z).all() and not figure.layout.shapes


def test_reliability_shows_both():
    truth, probabilities = answers(60)
    bins = curves.reliability(truth, probabilities)
    before, after = plots_training.reliability(bins[:2], before=bins).data
    assert list(before.x) == [each.confidence for each in bins]
    assert list(after.y) == [each.accuracy for each in bins[:2]]
    assert max(before.marker.size) <= 26
    assert before.cliponaxis is after.cliponaxis is False, "what is always right is cut off"


@pytest.mark.parametrize(("threshold", "marked"), [(0.5, True), (1.1, False)])
def test_coverage_marks_the_threshold(threshold, marked):
    curve = curves.coverage(*answers(60))
    figure = plots_training.coverage(curve, threshold=threshold)
    assert len(figure.data) == 1 + marked
    if marked:
        (x,) = figure.data[1].x
        assert x == pytest.approx((curve.thresholds >= threshold).sum() / len(curve.x), abs=0.05)
        assert figure.data[1].cliponaxis is False
    assert not figure.layout.showlegend


@pytest.mark.parametrize("precision", [False, True])
def test_every_emotion_has_its_colour(precision):
    make = curves.precision_recall if precision else curves.roc
    found = make(*answers(60), LABELS)
    figure = plots_training.one_vs_rest(found, precision=precision)
    for label, trace in zip(LABELS, figure.data, strict=True):
        assert trace.line.color == EMOTIONS[label].colour
        assert trace.name == f"{label} {found[label].area:.2f}"
    assert len(figure.layout.shapes) == (0 if precision else 1)


def test_known_and_new_stand_side_by_side():
    figure = plots_training.known_and_new({"Right": 0.8}, {"Right": 0.4})
    known, new = figure.data
    assert (list(known.y), list(new.y)) == ([0.8], [0.4])
    assert (known.text[0], new.text[0]) == ("80%", "40%")
    assert known.marker.color != new.marker.color
