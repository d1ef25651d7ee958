import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_core import splits
from ser_core.errors import UndertoneError

EMOTIONS = ["neutral", "happy", "sad", "angry"]


def manifest(actors=24, takes=2) -> pd.DataFrame:
    rows = [
        (f"ravdess-{actor:02d}", "male" if actor % 2 else "female", emotion)
        for actor in range(1, actors + 1)
        for emotion in EMOTIONS
        for _ in range(takes)
    ]
    return pd.DataFrame(rows, columns=["speaker", "sex", "emotion"]).assign(corpus="ravdess")


@settings(max_examples=40, deadline=None)
@given(
    protocol=st.sampled_from(["ravdess-5fold", "ravdess-6fold"]),
    seed=st.integers(0, 2**31),
    validation=st.integers(1, 10),
)
def test_nobody_is_on_two_sides(protocol, seed, validation):
    frame = manifest()
    tested = []
    for split in splits.splits(frame, protocol, seed=seed, validation_speakers=validation):
        train, valid, test = (
            set(frame.speaker.iloc[rows]) for rows in (split.train, split.validation, split.test)
        )
        assert not (train & test or train & valid or valid & test)
        assert train | valid | test == set(frame.speaker)
        assert len(valid) == validation
        sexes = frame.iloc[split.validation].groupby("speaker").sex.first().value_counts()
        assert abs(sexes.get("male", 0) - sexes.get("female", 0)) <= 1
        tested += list(split.test)
    assert sorted(tested) == list(range(len(frame))), "everybody is tested once"


@pytest.mark.parametrize("folds", [splits.RAVDESS_5FOLD, splits.RAVDESS_6FOLD])
def test_folds_hold_each_actor_once(folds):
    assert sorted(actor for fold in folds for actor in fold) == list(range(1, 25))


def test_folds_do_not_depend_on_the_seed():
    first, other = (
        splits.splits(manifest(), "ravdess-5fold", seed=seed, validation_speakers=4)
        for seed in (0, 1)
    )
    for a, b in zip(first, other, strict=True):
        np.testing.assert_array_equal(a.test, b.test)
    assert any(list(a.train) != list(b.train) for a, b in zip(first, other, strict=True))


@given(seed=st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_the_random_split_is_stratified_and_disjoint(seed):
    frame = manifest()
    (split,) = splits.splits(frame, "random-80-20", seed=seed, validation_speakers=4)
    parts = [split.train, split.validation, split.test]
    assert sorted(np.concatenate(parts)) == list(range(len(frame)))
    assert len(split.test) == pytest.approx(0.2 * len(frame), abs=1)
    counts = frame.emotion.iloc[split.test].value_counts()
    assert counts.max() - counts.min() <= 1


def test_a_holdout_tests_nobody():
    split = splits.holdout(manifest(), seed=0, validation_speakers=4)
    assert not len(split.test) and len(split.train) + len(split.validation) == len(manifest())


@pytest.mark.parametrize(
    ("frame", "protocol", "count", "says"),
    [
        (manifest(), "ravdess-7fold", 4, "no protocol 'ravdess-7fold'"),
        (manifest(actors=20), "ravdess-5fold", 4, "complete the corpus"),
        (manifest(), "ravdess-5fold", 19, "validation_speakers lower"),
    ],
)
def test_what_cannot_be_split_gets_a_sentence(frame, protocol, count, says):
    with pytest.raises(UndertoneError, match=says):
        splits.splits(frame, protocol, seed=0, validation_speakers=count)
