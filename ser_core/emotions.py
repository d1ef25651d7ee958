"""The vocabulary: what the emotions are called, how they look, and what corpora call them."""

from collections.abc import Mapping
from dataclasses import dataclass

from ser_core.errors import UndertoneError


@dataclass(frozen=True)
class Emotion:
    """One emotion label.

    Attributes:
        name: canonical.
        emoji: its face.
        colour: as hex, used everywhere.
        valence: how pleasant it is, in [-1, 1].
        arousal: how excited it is, in [-1, 1].
    """

    name: str
    emoji: str
    colour: str
    valence: float
    arousal: float


# Colours: Okabe & Ito's colour-blind-safe palette ("Color Universal Design", 2008), its black
# replaced by grey so that every colour stands on light and on dark ground.
#
# Valence and arousal: mean ratings of the words happy, sad, angry, fearful, disgusted, surprised
# and, for calm, relaxed by Russell & Mehrabian, "Evidence for a three-factor theory of emotions",
# Journal of Research in Personality 11 (1977), 273-294; checked against copies of its table in
# other people's code, not against the article itself. They did not rate a word for neutral, which
# is the origin by convention.
EMOTIONS: dict[str, Emotion] = {
    emotion.name: emotion
    for emotion in (
        Emotion("neutral", "😐", "#8C8C8C", 0.0, 0.0),
        Emotion("calm", "😌", "#009E73", 0.68, -0.46),
        Emotion("happy", "😄", "#E69F00", 0.81, 0.51),
        Emotion("sad", "😢", "#0072B2", -0.63, -0.27),
        Emotion("angry", "😠", "#D55E00", -0.51, 0.59),
        Emotion("fearful", "😨", "#CC79A7", -0.64, 0.60),
        Emotion("disgust", "🤢", "#B5A800", -0.60, 0.35),
        Emotion("surprised", "😲", "#56B4E9", 0.40, 0.67),
    )
}

_ALIASES = {
    "anger": "angry",
    "calmness": "calm",
    "disgusted": "disgust",
    "fear": "fearful",
    "happiness": "happy",
    "joy": "happy",
    "pleasant surprise": "surprised",
    "pleasant surprised": "surprised",
    "ps": "surprised",
    "sadness": "sad",
    "surprise": "surprised",
}


def canonical(name: str) -> str:
    """Return the canonical label for what a corpus or a person calls an emotion.

    Args:
        name: any spelling: case, surrounding blanks and `_`/`-` for a blank do not matter.

    Raises:
        UndertoneError: the name is not known.
    """
    plain = " ".join(name.replace("_", " ").replace("-", " ").split()).lower()
    label = _ALIASES.get(plain, plain)
    if label not in EMOTIONS:
        raise UndertoneError(
            f"'{name}' is not an emotion known here; use one of {', '.join(EMOTIONS)}"
        )
    return label


def valence_arousal(probabilities: Mapping[str, float]) -> tuple[float, float]:
    """Return the expected valence and arousal, each in [-1, 1].

    Args:
        probabilities: by emotion; they sum to one.

    Raises:
        KeyError: a label is not canonical.
    """
    return (
        sum(p * EMOTIONS[name].valence for name, p in probabilities.items()),
        sum(p * EMOTIONS[name].arousal for name, p in probabilities.items()),
    )
