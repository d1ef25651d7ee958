import numpy as np
import pandas as pd
import pytest

from ser_core import audio, changes, corpora, robustness
from ser_core.card import Robustness
from ser_core.errors import UndertoneError
from ser_core.recognizer import Recognizer
from ser_core.robustness import CONDITIONS, Condition
from tests.helpers import source, speech_like

RATE = 16_000


@pytest.mark.parametrize("condition", CONDITIONS, ids=[each.name for each in CONDITIONS])
def test_a_change_leaves_something_to_hear_and_is_the_same_each_time(condition):
    talking = speech_like(2.0).astype(float)
    first, again = (condition.change(talking, source()) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert np.isfinite(first).all() and np.abs(first).max() > 0.01
    assert 1.8 * RATE < len(first) < 3.1 * RATE
    assert not np.array_equal(first, talking)


def test_conditions_have_names_of_their_own():
    assert len({condition.name for condition in CONDITIONS}) == len(CONDITIONS)


@pytest.fixture(scope="module")
def recognizer(toy_run):
    return Recognizer.from_name(toy_run / "model")


@pytest.fixture
def manifest(toy_ravdess, monkeypatch):
    monkeypatch.setenv("SER_DATA_DIR", str(toy_ravdess))
    return corpora.scan("ravdess").manifest


def silent(samples, source):
    return np.zeros(1600)


def test_changes_are_compared_with_the_recordings_as_they_are(recognizer, manifest, tmp_path):
    damaged = tmp_path / "damaged.wav"
    damaged.write_text("no sound")
    broken = pd.concat([manifest, manifest.iloc[:1].assign(path=damaged)], ignore_index=True)
    told = []
    conditions = (
        Condition("softer", changes.gain(-20), most_drop=0.0, least_same=1.0),
        Condition("silent", silent, least_same=0.1),
        Condition("higher", lambda samples, source: samples[::2], most_drop=0.1),
        Condition("anything", silent),
    )
    clean, (softer, nothing, higher, anything) = robustness.measure(
        recognizer, broken, conditions=conditions, on_clip=lambda: told.append(1)
    )
    assert clean > 0.9 and len(told) == len(broken)
    assert softer == Robustness("softer", clean, 0.0, 1.0, 0.0, passed=True)
    assert nothing == Robustness("silent", 0.0, clean, 0.0, 1.0, passed=False)
    assert higher.uar < 0.8 and higher.drop == pytest.approx(clean - higher.uar)
    assert higher.passed is False and anything.passed is None


def test_folds_are_pooled_and_judged_anew():
    noise, *_, tilt = CONDITIONS
    one = [
        Robustness(noise.name, 0.6, 0.08, 0.95, 0.0, passed=False),
        Robustness(tilt.name, 0.5, 0.1, 0.9, 0.0, passed=True),
    ]
    other = [
        Robustness(noise.name, 0.8, 0.0, 0.97, 0.02, passed=True),
        Robustness(tilt.name, 0.4, 0.2, 0.6, 0.0, passed=False),
    ]
    first, second = robustness.pooled([one, other])
    assert (first.uar, first.drop, first.same) == pytest.approx((0.7, 0.04, 0.96))
    assert first.passed is True and first.refused == 0.01
    assert second.same == 0.75 and second.passed is False


def test_babble_is_of_other_people(recognizer, manifest):
    heard = []

    def listen(samples, source):
        heard.append((samples, source.others))
        return samples

    robustness.measure(recognizer, manifest, conditions=[Condition("listen", listen)])
    by_content = {
        audio.read(row.path).samples.tobytes(): row.speaker for row in manifest.itertuples()
    }
    assert len(heard) == len(manifest)
    for samples, others in heard:
        assert len(others) == 4
        speaker = by_content[samples.tobytes()]
        assert speaker not in {by_content[other.tobytes()] for other in others}


def test_nothing_to_judge_gets_a_sentence(recognizer, manifest, tmp_path):
    damaged = tmp_path / "damaged.wav"
    damaged.write_text("no sound")
    with pytest.raises(UndertoneError, match="none of the recordings could be judged"):
        robustness.measure(recognizer, manifest.iloc[:2].assign(path=damaged))
