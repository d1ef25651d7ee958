"""SAVEE: four men, fifteen sentences an emotion (thirty neutral), seven emotions."""

import re
from pathlib import Path

from ser_core.corpora.utterance import Utterance

TITLE = "Surrey Audio-Visual Expressed Emotion"
CITATION = "Haq & Jackson (2010), in Machine Audition, IGI Global: 398–423"
HOME = "http://kahlan.eps.surrey.ac.uk/savee/Download.html"
LICENCE = "research use, after registration"
KAGGLE = "ejlok1/surrey-audiovisual-expressed-emotion-savee"
CLIPS = 480
SECONDS = (1.0, 10.0)
SOURCES = ()  # given out by its makers to those who register

EMOTIONS = {
    "a": "angry",
    "d": "disgust",
    "f": "fearful",
    "h": "happy",
    "n": "neutral",
    "sa": "sad",
    "su": "surprised",
}
SPEAKERS = ("savee-dc", "savee-je", "savee-jk", "savee-kl")
FOLDERS = {speaker[-2:]: {"speaker": speaker} for speaker in SPEAKERS}

# The first three of every emotion are the same sentences, spoken neutrally twice: n16 to n18 are
# second takes of n01 to n03 (found by aligning the recordings; the corpus says so in no table).
_COMMON = (1, 2, 3)
_SECOND_TAKES = {16: 1, 17: 2, 18: 3}

_NAME = re.compile(r"(?:(DC|JE|JK|KL)_)?(sa|su|[adfhn])(\d\d)")


def parse(path: Path) -> Utterance | None:
    """Read what a SAVEE file name says, or return None if it is not one.

    Published are `DC/a01.wav`, where the folder names the speaker; flat copies have `DC_a01.wav`.
    """
    match = _NAME.fullmatch(path.stem)
    if match is None:
        return None
    voice, code, number = match.groups()
    voice = voice or path.parent.name.upper()
    emotion = EMOTIONS[code]
    highest = 30 if emotion == "neutral" else 15
    if voice.lower() not in FOLDERS or not 1 <= int(number) <= highest:
        return None
    first = _SECOND_TAKES.get(int(number), int(number))
    return Utterance(
        path=path,
        corpus="savee",
        id=f"savee/{voice}_{code}{number}",
        speaker=f"savee-{voice.lower()}",
        sex="male",
        emotion=emotion,
        intensity="",
        sentence=f"common {first}" if first in _COMMON else f"{emotion} {first}",
        take=1 if first == int(number) else 2,
        channel="speech",
        language="en",
    )
