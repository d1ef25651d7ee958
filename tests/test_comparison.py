import dataclasses

import numpy as np
import pandas as pd
import pytest

from ser_core import comparison, heldout, plots_models
from ser_core.locations import find_model
from ser_core.recognizer import Recognizer
from tests.test_card import row

LABELS = ("happy", "sad", "angry", "calm")


def table(
    recall: float, *, speakers: int = 20, spread: float = 0.0, seed: int = 0, labels=LABELS
) -> pd.DataFrame:
    """Answers that are right so often, for some speakers (by `spread`) more often than others."""
    rng = np.random.default_rng(seed)
    rows = []
    for speaker in range(speakers):
        ease = np.clip(recall + spread * rng.standard_normal(), 0, 1)
        for emotion in range(len(labels)):
            for take in range(6):
                right = rng.random() < ease
                said = emotion if right else (emotion + rng.integers(1, len(labels))) % len(labels)
                shares = np.full(len(labels), 0.1)
                shares[said] = 0.7
                rows.append(
                    ("r", "ravdess-5fold", 0, 0, f"{speaker}-{emotion}-{take}", f"s{speaker:02d}")
                    + ("male", labels[emotion], *shares)
                )
    return pd.DataFrame(rows, columns=[*heldout.COLUMNS, *labels])


def test_the_interval_holds_the_score():
    found = comparison.interval(table(0.6))
    assert found.low < found.uar < found.high and found.speakers == 20
    assert 0.5 < found.uar < 0.7 and found.high - found.low < 0.15


def test_a_whole_protocol_can_be_looked_at_in_one_group():
    right, wrong = table(1.0), table(0.0)
    both = pd.concat([right, wrong.assign(fold=1), right.assign(fold=1, seed=1)])
    card = Recognizer.from_name("swift").card
    card = dataclasses.replace(card, evaluation=(row("ravdess-5fold"),))
    first, second = (comparison.in_group(card, both, f"ravdess-5fold#{group}") for group in (1, 2))
    assert (first.protocol, first.seeds, first.uar, first.n) == ("ravdess-5fold#1", 1, 1, 480)
    assert (second.seeds, second.uar, second.accuracy) == (2, 0.5, 0.5)
    assert second.uar_sd == pytest.approx(0.5**0.5) and np.isnan(second.coverage)
    for protocol in ("ravdess-5fold#3", "ravdess-5fold", "ravdess-6fold#1"):
        assert comparison.in_group(card, both, protocol) is None


def test_nothing_wrong_is_certain():
    found = comparison.interval(table(1.0))
    assert (found.low, found.uar, found.high) == (1, 1, 1)


def test_the_interval_is_about_speakers_not_clips():
    alike, different = (comparison.interval(table(0.6, spread=s)) for s in (0.0, 0.25))
    assert different.high - different.low > 2 * (alike.high - alike.low)


def test_repeating_clips_proves_nothing_more():
    once = table(0.6, spread=0.2)
    again = pd.concat([once.assign(seed=seed) for seed in range(5)])
    assert comparison.interval(again) == comparison.interval(once)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    """Of 1000 sets of 24 speakers, about 95 % of the intervals hold the expected UAR."""
    rng = np.random.default_rng(1)
    covered = 0
    draws = comparison._draws(24)[:2000]
    for _ in range(1000):
        ease = rng.beta(6, 4, 24)  # mean 0.6
        hits = rng.binomial(15, np.repeat(ease[:, None], 4, axis=1))
        values = comparison._uar(draws @ hits, draws @ np.full((24, 4), 15))
        low, high = comparison._range(values, 24)
        covered += low <= 0.6 <= high
    assert covered / 1000 == pytest.approx(0.95, abs=0.02)


def test_an_emotion_that_few_speakers_have_is_no_error():
    found = table(0.6, speakers=6)
    found = found[(found.emotion != "calm") | (found.speaker == "s00")]
    result = comparison.interval(found)
    assert np.isfinite([result.low, result.uar, result.high]).all()


@pytest.mark.parametrize("speakers", [1, 2, 5])
def test_few_speakers_give_no_interval(speakers):
    assert comparison.interval(table(0.6, speakers=speakers)) is None


def test_a_clear_difference_is_found():
    found = comparison.difference(table(0.8, seed=1), table(0.5, seed=2))
    assert 0.2 < found.points < 0.4 and found.low > 0 and found.p < 0.001
    assert found.clips == 480 and found.speakers == 20
    back = comparison.difference(table(0.5, seed=2), table(0.8, seed=1))
    assert back.points == pytest.approx(-found.points) and back.p == found.p


def test_the_same_answers_are_no_difference():
    found = comparison.difference(table(0.6), table(0.6))
    assert (found.points, found.p) == (0, 1)


def test_equally_good_models_are_rarely_told_apart():
    """Where there is no difference, p is below 0.05 in about one case of twenty."""
    ps = [
        comparison.difference(
            table(0.6, speakers=12, seed=2 * i), table(0.6, speakers=12, seed=2 * i + 1)
        ).p
        for i in range(60)
    ]
    assert np.mean(np.array(ps) < 0.05) <= 0.15
    assert 0.3 < np.mean(ps) < 0.7


def test_only_clips_in_common_count():
    first, second = table(0.8, seed=1), table(0.5, seed=2)
    found = comparison.difference(first, second[second.speaker < "s10"])
    assert found.speakers == 10 and found.clips == 240


@pytest.mark.parametrize(
    ("second", "says"),
    [
        (table(0.6, labels=("happy", "sad", "angry", "neutral")), "different emotions"),
        (table(0.6, speakers=3), "3 speakers in common"),
        (table(0.6).assign(id=lambda t: "x" + t.id), "0 speakers in common"),
        (table(0.6).assign(emotion="sad"), "against different labels"),
    ],
)
def test_what_cannot_be_compared_gets_a_sentence(second, says):
    with pytest.raises(comparison.ComparisonError, match=says):
        comparison.difference(table(0.6), second)


@pytest.mark.parametrize(
    ("points", "p", "says"),
    [
        (0.031, 0.02, "a is better by 3.1 points; chance alone would do that in 2 of 100 cases."),
        (
            -0.031,
            0.0001,
            "b is better by 3.1 points; chance alone would do that in fewer than 1 of",
        ),
        (0.004, 0.6, "a scored 0.4 points higher, but chance alone would do that in 60 of 100"),
        (0.0, 1.0, "a and b are equally good."),
    ],
)
def test_a_difference_in_words(points, p, says):
    found = comparison.Difference(points, points - 0.01, points + 0.01, p, 100, 10)
    assert comparison.in_words("a", "b", found).startswith(says)


def test_the_shipped_interval_is_about_the_shipped_score():
    folder = find_model("swift")
    found = heldout.read(folder)
    result = comparison.interval(found[found.protocol == "ravdess-5fold"])
    uar = next(
        r.uar
        for r in Recognizer.from_name("swift").card.evaluation
        if r.protocol == "ravdess-5fold"
    )
    # The card averages folds, which are not all of the same size.
    assert result.uar == pytest.approx(uar, abs=0.01)
    assert result.low < uar < result.high and result.speakers == 24


def test_unseen_speakers_come_first():
    class Card:
        evaluation = tuple(
            map(row, ("random-80-20", "ravdess-6fold", "ravdess-5fold+voice(8)", "ravdess-5fold"))
        )

    found = comparison.protocols([Card])
    assert found == ["ravdess-5fold", "ravdess-6fold", "ravdess-5fold+voice(8)", "random-80-20"]


def test_scores_are_drawn_best_on_top_with_their_ranges():
    found = comparison.Interval(0.6, 0.5, 0.65, 24)
    figure = plots_models.scores(
        {"a<b": 0.6, "c": 0.7}, {"a<b": found, "c": None}, chance={"a<b": 0.25, "c": 0.5}, used="c"
    )
    points, names = figure.data
    assert names.text == ("<b>a&lt;b</b>  60%", "<b>c</b>  70%")
    assert points.x == (0.6, 0.7) and points.marker.symbol == ("diamond-open", "diamond")
    assert points.error_x.array == pytest.approx((0.05, 0))
    assert points.error_x.arrayminus == pytest.approx((0.1, 0))
    lines = [(shape.x0, shape.x1, round(shape.y0)) for shape in figure.layout.shapes]
    assert lines == [(0.25, 0.25, 0), (0.5, 0.5, 1)]


def test_latency_is_measured(talk):
    found = comparison.latency(Recognizer.from_name("swift"), talk, runs=3)
    assert found.seconds > 0 and found.runs == 3 and found.clip_seconds == 3


@pytest.mark.parametrize(
    ("takes", "runs"), [([9, 0.3, 0.4, 0.2, 1], 3), ([9, 0.2, 0.01, 0.1, 0.3, 1], 4)]
)
def test_the_fastest_run_counts_and_a_slow_model_is_let_off(talk, monkeypatch, takes, runs):
    """The first run, by which it gets warm, takes nine seconds and does not count."""
    clock, waits = [0.0], iter(takes)

    class Slow:
        def predict(self, clip):
            clock[0] += next(waits)

    monkeypatch.setattr(comparison.time, "perf_counter", lambda: clock[0])
    found = comparison.latency(Slow(), talk)
    assert found.runs == runs
    assert found.seconds == pytest.approx(min(takes[1 : 1 + runs]))
