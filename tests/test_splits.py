import hashlib
from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_core import splits
from ser_core.corpora.crema_d import ACTORS, WOMEN
from ser_core.errors import UndertoneError

EMOTIONS = ["neutral", "happy", "sad", "angry"]


@cache
def manifest(actors=24, takes=2) -> pd.DataFrame:
    rows = [
        (f"ravdess-{actor:02d}", "male" if actor % 2 else "female", emotion, sentence)
        for actor in range(1, actors + 1)
        for emotion in EMOTIONS
        for sentence in splits.SENTENCES
        for _ in range(takes)
    ]
    return frame_of("ravdess", rows)


def frame_of(corpus: str, rows: list[tuple]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["speaker", "sex", "emotion", "sentence"]).assign(
        corpus=corpus
    )


@cache
def others() -> dict[str, pd.DataFrame]:
    """Return small manifests of the other corpora, with all of their speakers."""
    tess = [
        (f"tess-{voice}", "female", emotion, f"Say the word {word}")
        for voice in ("oaf", "yaf")
        for emotion in EMOTIONS
        for word in range(20)
    ]
    crema_d = [
        (f"crema-d-{actor}", "female" if actor in WOMEN else "male", emotion, "DFA")
        for actor in ACTORS
        for emotion in EMOTIONS
    ]
    savee = [
        (f"savee-{voice}", "male", emotion, f"common {number}")
        for voice in ("dc", "je", "jk", "kl")
        for emotion in EMOTIONS
        for number in range(3)
    ]
    rows = {"tess": tess, "crema-d": crema_d, "savee": savee}
    return {corpus: frame_of(corpus, found) for corpus, found in rows.items()}


@cache
def all_four() -> pd.DataFrame:
    return pd.concat([manifest(), *others().values()], ignore_index=True)


def sides(frame: pd.DataFrame, split: splits.Split, column: str) -> list[set]:
    parts = (split.train, split.validation, split.test)
    return [set(frame[column].iloc[rows]) for rows in parts]


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
        train, valid, test = sides(frame, split, "speaker")
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


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), validation=st.integers(1, 3))
@pytest.mark.parametrize(
    ("protocol", "corpus", "most"),
    [("savee-loso", "savee", 2), ("crema-d-10fold", "crema-d", 3)],
)
def test_no_speaker_of_the_other_corpora_is_on_two_sides(protocol, corpus, most, seed, validation):
    frame = others()[corpus]
    tested = []
    found = splits.splits(frame, protocol, seed=seed, validation_speakers=min(validation, most))
    assert len(found) == splits.fold_count(protocol)
    for split in found:
        train, valid, test = sides(frame, split, "speaker")
        assert train and valid and test
        assert not (train & test or train & valid or valid & test)
        tested += list(split.test)
    assert sorted(tested) == list(range(len(frame))), "everybody is tested once"


def test_ten_folds_of_crema_d_are_of_one_size_and_mix_the_sexes():
    assert sorted(actor for fold in splits.CREMA_D_10FOLD for actor in fold) == list(ACTORS)
    for fold in splits.CREMA_D_10FOLD:
        women = len(WOMEN.intersection(fold))
        assert len(fold) in (9, 10) and women in (4, 5) and len(fold) - women in (4, 5)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), validation=st.integers(1, 10))
def test_neither_sentence_nor_speaker_is_on_two_sides(seed, validation):
    frame = manifest()
    tested = []
    found = splits.splits(frame, "ravdess-sentence", seed=seed, validation_speakers=validation)
    assert len(found) == splits.fold_count("ravdess-sentence")
    for split in found:
        train, valid, test = sides(frame, split, "sentence")
        assert len(test) == 1 and train == valid and not train & test
        train, valid, test = sides(frame, split, "speaker")
        assert not (train & test or train & valid or valid & test)
        assert len(valid) == validation
        tested += list(split.test)
    assert sorted(tested) == list(range(len(frame))), "every clip is tested once"


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_of_two_women_one_is_trained_on_and_the_other_tested(seed):
    frame = others()["tess"]
    first, second = splits.splits(frame, "tess-speaker", seed=seed, validation_speakers=2)
    for split in (first, second):
        train, valid, test = sides(frame, split, "speaker")
        assert train == valid and not train & test
        train, valid, test = sides(frame, split, "sentence")
        assert not train & valid and len(valid) == 3 and len(train) == 17 and len(test) == 20
    assert sorted([*first.test, *second.test]) == list(range(len(frame)))


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**31), validation=st.integers(1, 12))
def test_no_corpus_is_on_two_sides(seed, validation):
    frame = all_four()
    tested = []
    found = splits.splits(frame, "cross-corpus", seed=seed, validation_speakers=validation)
    assert len(found) == splits.fold_count("cross-corpus")
    for split in found:
        train, valid, test = sides(frame, split, "corpus")
        assert len(test) == 1 and not test & (train | valid)
        assert len(valid) == min(validation, 3), "corpora take turns"
        train, valid, test = sides(frame, split, "speaker")
        assert not (train & test or train & valid or valid & test)
        tested += list(split.test)
    assert sorted(tested) == list(range(len(frame))), "every corpus is tested once"


@pytest.mark.parametrize(
    ("protocol", "corpus"), [("tess-speaker", "tess"), ("ravdess-sentence", "ravdess")]
)
def test_more_corpora_do_not_slip_into_the_training(protocol, corpus):
    for split in splits.splits(all_four(), protocol, seed=0, validation_speakers=2):
        assert sides(all_four(), split, "corpus") == [{corpus}] * 3


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_of_every_corpus_somebody_is_learned_from(seed):
    frame = all_four()
    learned, validates, _ = sides(
        frame, splits.holdout(frame, seed=seed, validation_speakers=8), "corpus"
    )
    assert learned == validates == set(splits.CORPORA)


def test_every_protocol_says_how_many_folds_it_has():
    for protocol in splits.PROTOCOLS:
        found = splits.splits(all_four(), protocol, seed=0, validation_speakers=2)
        assert len(found) == splits.fold_count(protocol)


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


@pytest.mark.parametrize(
    ("protocol", "digest"),
    [
        ("ravdess-5fold", "660c409edcda"),
        ("ravdess-6fold", "029e1eb58eac"),
        ("ravdess-sentence", "0b4d5e7d736a"),
        ("savee-loso", "8650a38a3b5c"),
        ("tess-speaker", "6ee3eec63489"),
        ("crema-d-10fold", "b89233437bba"),
        ("cross-corpus", "23a2ffaa1747"),
        ("random-80-20", "0c4c4a2ebe1a"),
        (None, "4606db7be873"),
    ],
)
def test_splits_stay_as_they_were_when_figures_were_measured(protocol, digest):
    how = {"seed": 0, "validation_speakers": 4}
    if protocol is None:
        found = [splits.holdout(all_four(), **how)]
    else:
        found = splits.splits(all_four(), protocol, **how)
    parts = [part for split in found for part in (split.train, split.validation, split.test)]
    rows = " / ".join(" ".join(map(str, part)) for part in parts)
    assert hashlib.sha256(rows.encode()).hexdigest()[:12] == digest


def test_a_holdout_tests_nobody():
    split = splits.holdout(manifest(), seed=0, validation_speakers=4)
    assert not len(split.test) and len(split.train) + len(split.validation) == len(manifest())


def of_each(*counts) -> pd.DataFrame:
    """Return so many clips of each emotion, of a folder whose speakers are not named."""
    rows = [
        ("", "", emotion, "")
        for emotion, count in zip(EMOTIONS, counts, strict=False)
        for _ in range(count)
    ]
    return frame_of("mine", rows)


@settings(max_examples=60, deadline=None)
@given(counts=st.lists(st.integers(1, 12), min_size=2, max_size=4), seed=st.integers(0, 2**31))
def test_few_clips_are_divided_or_refused_with_what_it_takes(counts, seed):
    frame = of_each(*counts)
    how = {"seed": seed, "validation_speakers": 2}
    for protocol, parts in (("random-80-20", 3), (None, 2)):
        try:
            found = splits.split(frame, protocol, 0, **how)
        except UndertoneError as error:
            assert f"{sum(counts)} recordings of {len(counts)} emotions, {min(counts)}" in str(
                error
            )
            continue
        for rows in (found.train, found.validation, found.test)[:parts]:
            assert len(rows) >= len(counts)
        everything = [*found.train, *found.validation, *found.test]
        assert sorted(everything) == list(range(len(frame)))


def test_where_nobody_is_named_a_holdout_validates_on_clips():
    split = splits.holdout(of_each(10, 10, 10, 10), seed=0, validation_speakers=2)
    validates = of_each(10, 10, 10, 10).emotion.iloc[split.validation].value_counts()
    assert sorted(validates) == [1, 1, 2, 2] and not len(split.test)
    with pytest.raises(UndertoneError, match="16 recordings of 4 emotions, .* takes 21 in all"):
        splits.holdout(of_each(4, 4, 4, 4), seed=0, validation_speakers=2)


def test_who_is_not_named_never_validates_beside_others():
    frame = pd.concat([manifest(), of_each(9, 9, 9, 9)], ignore_index=True)
    split = splits.holdout(frame, seed=0, validation_speakers=23)
    assert frame.speaker.iloc[split.validation].nunique() == 23
    assert not (frame.speaker.iloc[split.validation] == "").any()
    alone = frame_of("mine", [("me", "", emotion, "") for emotion in EMOTIONS * 9])
    with pytest.raises(UndertoneError, match="nobody can be kept apart .*random-80-20"):
        splits.holdout(alone, seed=0, validation_speakers=1)


@pytest.mark.parametrize(
    ("frame", "protocol", "count", "says"),
    [
        (manifest(), "ravdess-7fold", 4, "no protocol 'ravdess-7fold'"),
        (manifest(actors=20), "ravdess-5fold", 4, "complete the corpus"),
        (manifest(), "ravdess-5fold", 19, "validation_speakers lower"),
        (manifest(), "ravdess-sentence", 19, "validation_speakers lower"),
        (manifest(), "savee-loso", 1, "tests on savee-dc"),
        (others()["savee"], "savee-loso", 3, "validation_speakers lower"),
        (others()["tess"].query("speaker == 'tess-oaf'"), "tess-speaker", 1, "tess-yaf"),
        (
            of_each(4, 4, 4, 4),
            "random-80-20",
            2,
            "16 recordings of 4 emotions, 4 of them .*, are too few to divide; it takes 27 in all "
            "and 3 of each emotion",
        ),
        (of_each(2, 40, 40), "random-80-20", 2, "2 of them neutral"),
        (manifest(), "cross-corpus", 2, "needs crema-d, savee, tess, too"),
        (
            pd.concat([all_four(), frame_of("tess", [("tess-oaf", "female", "calm", "x")])]),
            "cross-corpus",
            2,
            "calm of tess are not in the others",
        ),
    ],
)
def test_what_cannot_be_split_gets_a_sentence(frame, protocol, count, says):
    with pytest.raises(UndertoneError, match=says):
        splits.splits(frame, protocol, seed=0, validation_speakers=count)
