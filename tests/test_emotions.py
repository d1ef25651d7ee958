import pytest

from ser_core.emotions import EMOTIONS, canonical, valence_arousal
from ser_core.errors import UndertoneError


@pytest.mark.parametrize("name", EMOTIONS)
def test_a_certain_emotion_is_where_it_is(name):
    certain = {label: float(label == name) for label in EMOTIONS}
    assert valence_arousal(certain) == (EMOTIONS[name].valence, EMOTIONS[name].arousal)


# Russell & Mehrabian (1977) agree with everyday words about the quadrants.
@pytest.mark.parametrize(
    ("name", "pleasant", "excited"),
    [
        ("calm", True, False),
        ("happy", True, True),
        ("surprised", True, True),
        ("sad", False, False),
        ("angry", False, True),
        ("fearful", False, True),
        ("disgust", False, True),
    ],
)
def test_quadrants(name, pleasant, excited):
    emotion = EMOTIONS[name]
    assert 0 < abs(emotion.valence) <= 1 and 0 < abs(emotion.arousal) <= 1
    assert (emotion.valence > 0, emotion.arousal > 0) == (pleasant, excited)


def test_a_mixture_lies_between():
    valence, arousal = valence_arousal({"happy": 0.5, "sad": 0.3, "neutral": 0.2})
    assert valence == pytest.approx(0.5 * 0.81 - 0.3 * 0.63)
    assert arousal == pytest.approx(0.5 * 0.51 - 0.3 * 0.27)


def test_labels_a_model_does_not_know_are_not_needed():
    assert valence_arousal({"neutral": 1.0}) == (0, 0)


@pytest.mark.parametrize("name", ["Pleasant_Surprise", " surprise", "ps", "surprised"])
def test_spellings(name):
    assert canonical(name) == "surprised"


def test_an_unknown_emotion_gets_a_sentence():
    with pytest.raises(UndertoneError, match="'bored' is not an emotion known here; use one of"):
        canonical("bored")
