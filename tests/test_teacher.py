import numpy as np
import pandas as pd
import pytest

from ser_core import batches, dataset, recipe, teacher
from ser_core.errors import TrainingError
from ser_core.splits import Split
from tests.helpers import TOY

SPEAKERS = np.repeat(list("abcdef"), 20)
ONE = np.repeat("ravdess", 120)


@pytest.fixture
def spoken():
    """What is heard of six speakers with two moods, each offset by a voice of its own."""
    rng = np.random.default_rng(0)
    truth = np.tile([0, 1], 60)
    voices = rng.normal(0, 1, (6, 8)).repeat(20, axis=0)
    heard = rng.normal(0, 1, (120, 8)) + voices
    heard[:, 0] += 4 * truth
    return heard, truth


def test_a_teacher_knows_what_carries_over_to_other_speakers(spoken):
    heard, truth = spoken
    said = teacher.answers(heard, truth, SPEAKERS, ONE, classes=3)
    assert said.shape == (120, 3) and said.dtype == np.float32
    np.testing.assert_allclose(said.sum(axis=1), 1, rtol=1e-5)
    assert np.mean(said.argmax(axis=1) == truth) > 0.75
    assert said[:, 2].max() < 1e-3, "nobody has that mood"


def test_a_teacher_knows_what_holds_in_one_corpus_alone(spoken):
    heard, truth = spoken
    second = np.isin(SPEAKERS, list("abc"))
    truth = np.where(second, 1 - truth, truth)
    corpora = np.where(second, "tess", "ravdess")
    apart, together = (
        np.mean(teacher.answers(heard, truth, SPEAKERS, of, classes=2).argmax(axis=1) == truth)
        for of in (corpora, ONE)
    )
    assert apart > 0.75 > 0.65 > together


def test_of_a_speaker_a_teacher_knows_no_labels(spoken):
    heard, truth = spoken
    before = teacher.answers(heard, truth, SPEAKERS, ONE, classes=2)
    mine = SPEAKERS == "c"
    after = teacher.answers(heard, np.where(mine, 1 - truth, truth), SPEAKERS, ONE, classes=2)
    np.testing.assert_array_equal(after[mine], before[mine])
    assert np.abs(after[~mine] - before[~mine]).max() > 0.01, "the others learn from them"


def test_a_teacher_of_one_speaker_alone_gets_a_sentence():
    manifest = pd.DataFrame({"speaker": ["a", "a", "b", "c"]})
    wants = recipe.load("swift", ["training.teacher=0.5"])
    alone, two = (Split(np.array(t), np.array([3]), np.array([])) for t in ([0, 1], [0, 1, 2]))
    with pytest.raises(TrainingError, match="two speakers at least .*; set training.teacher to 0"):
        teacher.check(wants, manifest, alone)
    teacher.check(wants, manifest, two)
    teacher.check(recipe.load("swift", ["training.teacher=0"]), manifest, alone)


@pytest.mark.usefixtures("toy_data")
def test_targets_are_half_the_label_and_half_the_teachers():
    settings = [*TOY, "augmentation.speeds=[1.1]", "training.whole_epochs=true"]
    loaded = recipe.load("swift", [*settings, "training.teacher=0.5"])
    told = []
    data = dataset.load(loaded, on_clip=told.append)
    count = len(data.truth)
    assert data.heard.shape == (count, 1024) and np.all(np.isfinite(data.heard))
    assert set(told) == {len(told)} == {4 * count}, "as it is, faster, and twice for the teacher"
    rows = np.flatnonzero(data.manifest.speaker != "ravdess-01")
    shown = batches.Batches(loaded, data, rows, seed=0)
    clip = np.concatenate([data.features.clip, data.varied[0].clip])
    clip = clip[np.isin(clip, rows)]
    labels = np.eye(4)[data.truth[clip]]
    said = batches.taught(loaded, data, rows)
    np.testing.assert_allclose(shown.targets, (labels + said[clip]) / 2, rtol=1e-5)
    assert not said[data.manifest.speaker == "ravdess-01"].any(), "they are not to be learned from"
    right = said[rows].argmax(axis=1) == data.truth[rows]
    assert right.mean() > 0.5, "chance is 0.25"
    without = batches.Batches(recipe.load("swift", settings), data, rows, seed=0)
    np.testing.assert_array_equal(without.targets, labels)
    assert dataset.load(recipe.load("swift", settings)).heard is None
