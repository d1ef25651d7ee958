import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_core import audio, profile
from ser_core.recognizer import Recognizer
from tests.helpers import speech_like

EVEN = np.full((17, 8), 1 / 8)  # every mood is as likely as the next


@pytest.fixture(scope="module")
def recognizer():
    return Recognizer.from_name("swift")


@pytest.fixture(scope="module")
def model(recognizer):
    return recognizer.bundle


@pytest.fixture
def voice(model):
    return profile.get_to_know(np.random.default_rng(0).random((5, 128)), EVEN[:5], model)


def space(size=6, classes=3):
    rng = np.random.default_rng(1)
    return profile.Space(rng.normal(size=(size, classes)), rng.normal(size=(classes, size)))


@pytest.mark.parametrize("clips", [0, 2, 17])
def test_too_few_or_too_many_clips_are_refused(model, clips):
    with pytest.raises(profile.ProfileError, match=f"3 to 16 clips, not {clips}"):
        profile.get_to_know(np.zeros((clips, 128)), np.zeros((clips, 8)), model)


def test_an_average_voice_needs_no_correction():
    """In all moods, whatever is heard in them; in one, if that is what is heard, little."""
    where, every = space(), np.eye(3)
    for heard in (every, np.full((3, 3), 1 / 3)):
        offset = profile.offsets(where.moods, heard, where).mean(axis=0)
        np.testing.assert_allclose(profile.correction(offset, 5, where), 0, atol=1e-12)
    (sad,) = profile.offsets(where.moods[:1], every[:1], where)
    (mistaken,) = profile.offsets(where.moods[:1], every[:1], where, believed=0)
    np.testing.assert_allclose(sad, mistaken / 3, atol=1e-12)
    np.testing.assert_allclose(profile.offsets(where.moods, every, where, believed=1), 0)


def test_in_an_average_voice_corpora_and_speakers_count_alike():
    """Of mood 0 there are two corpora, one with more clips and speakers; of mood 1 one; 2 none."""
    embeddings = np.array([[1.0], [1.0], [1.0], [4.0], [10.0], [7.0]])
    truth, corpora = np.array([0, 0, 0, 0, 0, 1]), np.array(list("aaaabb"))
    speakers = np.array(["p", "p", "p", "q", "r", "r"])
    moods = profile.average_voice(embeddings, truth, corpora, speakers, 3)
    np.testing.assert_allclose(moods, [[(2.5 + 10) / 2], [7], [(6.25 + 7) / 2]])


def test_a_correction_takes_the_voice_out_of_the_logits():
    where = space()
    voice = np.random.default_rng(2).normal(size=6)
    moved = (where.moods + voice) @ where.kernel
    offset = profile.offsets(where.moods + voice, np.eye(3), where).mean(axis=0)
    endless = profile.correction(offset, 10**9, where)
    np.testing.assert_allclose(moved + endless, where.moods @ where.kernel, atol=1e-6)


def test_fewer_clips_correct_less():
    where = space()
    sizes = [np.abs(profile.correction(np.ones(6), n, where)).max() for n in (1, 4, 16)]
    assert sizes == sorted(sizes) and sizes[0] < sizes[-1] / 2


def test_a_clip_in_each_emotion_is_drawn_of_the_same_speaker_and_never_the_one_scored():
    rng = np.random.default_rng(0)
    speakers = np.repeat(["a", "b"], 9)
    emotions = np.tile(["sad", "calm", "happy"], 6)
    for _ in range(20):
        drawn = profile.draw_one_of_each(speakers, emotions, 10, rng)
        assert list(emotions[drawn]) == ["calm", "happy", "sad"]
        assert set(speakers[drawn]) == {"b"} and 10 not in drawn
    emotions[0] = "angry"
    assert "angry" not in emotions[profile.draw_one_of_each(speakers, emotions, 0, rng)]
    with pytest.raises(ValueError, match="c has no other clip"):
        profile.draw_one_of_each(np.append(speakers, "c"), np.append(emotions, "sad"), 18, rng)


def test_a_profile_comes_back_from_its_file(voice, model):
    text = profile.to_json(voice)
    assert profile.from_json(text, model) == voice
    assert len(text) < 4000


@given(st.binary(max_size=300) | st.text(max_size=300) | st.just('{"model": "swift"}'))
def test_what_is_no_profile_gets_a_sentence(model, content):
    with pytest.raises(profile.ProfileError, match="not a voice profile"):
        profile.from_json(content, model)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"weights": "0" * 64}, "another training of it"),
        ({"weights": "0" * 64, "model": "deep"}, "made for “deep”"),
        ({"clips": 0}, "damaged"),
        ({"clips": 10**6}, "damaged"),
        ({"offset": [1.0]}, "damaged"),
        ({"offset": [1e999] * 128}, "damaged"),
    ],
)
def test_a_profile_that_does_not_fit_gets_a_sentence(voice, model, change, says):
    document = json.loads(profile.to_json(voice)) | change
    with pytest.raises(profile.ProfileError, match=says):
        profile.from_json(json.dumps(document), model)


@pytest.mark.parametrize("value", [1e7, -1e300, 1.7e308])
def test_a_profile_of_absurd_numbers_is_refused(voice, model, value):
    """What is made of them would be no number, nor would the answer."""
    absurd = dataclasses.replace(voice, offset=(value, *voice.offset[1:]))
    with pytest.raises(profile.ProfileError, match="damaged"):
        profile.from_json(profile.to_json(absurd), model)


def test_a_known_voice_changes_an_answer_as_its_logits_say(recognizer, voice):
    clip = audio.Clip(speech_like(7.0), audio.SAMPLE_RATE, "talk")
    before = recognizer.predict(clip)
    after = recognizer.with_voice(before, voice)
    change = profile.correction(np.array(voice.offset), 5, recognizer.bundle.space)
    for one, other in zip(before.windows, after.windows, strict=True):
        ratio = np.log(list(other.probabilities.values())) - np.log(
            list(one.probabilities.values())
        )
        expected = change / recognizer.card.temperature
        np.testing.assert_allclose(ratio - ratio[0], expected - expected[0], atol=1e-4)
        assert sum(other.probabilities.values()) == pytest.approx(1)
    mean = np.mean([list(window.probabilities.values()) for window in after.windows], axis=0)
    np.testing.assert_allclose(list(after.probabilities.values()), mean)
    assert after.label == max(after.probabilities, key=after.probabilities.get)
    assert after.quality == before.quality


def test_silence_stays_silence_to_a_known_voice(recognizer, voice):
    before = recognizer.predict(audio.Clip(np.zeros(16_000, np.float32), 16_000, "zeros"))
    after = recognizer.with_voice(before, voice)
    assert after.label is None and after.reason == before.reason


def test_a_profile_of_another_model_changes_nothing(recognizer, voice):
    other = dataclasses.replace(voice, weights="0" * 64)
    before = recognizer.predict(audio.Clip(speech_like(), 16_000, "talk"))
    with pytest.raises(profile.ProfileError, match="another training"):
        recognizer.with_voice(before, other)
