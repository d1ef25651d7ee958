"""The vocabulary: what the emotions are called, how they look, and what corpora call them."""

from dataclasses import dataclass

from ser_core.errors import UndertoneError


@dataclass(frozen=True)
class Emotion:
    """One emotion label: its canonical `name`, an `emoji` and a hex `colour` used everywhere."""

    name: str
    emoji: str
    colour: str


# Okabe & Ito's colour-blind-safe palette ("Color Universal Design", 2008), its black replaced by
# grey so that every colour stands on light and on dark ground.
EMOTIONS: dict[str, Emotion] = {
    emotion.name: emotion
    for emotion in (
        Emotion("neutral", "😐", "#8C8C8C"),
        Emotion("calm", "😌", "#009E73"),
        Emotion("happy", "😄", "#E69F00"),
        Emotion("sad", "😢", "#0072B2"),
        Emotion("angry", "😠", "#D55E00"),
        Emotion("fearful", "😨", "#CC79A7"),
        Emotion("disgust", "🤢", "#B5A800"),
        Emotion("surprised", "😲", "#56B4E9"),
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
