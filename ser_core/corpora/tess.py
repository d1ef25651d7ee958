"""TESS: two women, 200 words each in the same carrier sentence, seven emotions."""

import re
from pathlib import Path

from ser_core.corpora.sources import Dataverse
from ser_core.corpora.utterance import Utterance

TITLE = "Toronto Emotional Speech Set"
CITATION = "Pichora-Fuller & Dupuis (2020), doi:10.5683/SP2/E8H2MF"
HOME = "https://doi.org/10.5683/SP2/E8H2MF"
LICENCE = "CC BY-NC-ND 4.0"
KAGGLE = "ejlok1/toronto-emotional-speech-set-tess"
CLIPS = 2800
SECONDS = (0.8, 6.0)

# The Dataverse lists its files with sizes and checksums, so that none need be written down here.
SOURCES = (Dataverse(host="https://borealisdata.ca", doi="doi:10.5683/SP2/E8H2MF", clips=CLIPS),)

# The last three are spellings of re-packed copies and of folders.
EMOTIONS = {
    "angry": "angry",
    "disgust": "disgust",
    "fear": "fearful",
    "happy": "happy",
    "neutral": "neutral",
    "sad": "sad",
    "ps": "surprised",
    "pleasant_surprise": "surprised",
    "pleasant_surprised": "surprised",
    "surprise": "surprised",
}
_AGES = {"oaf": 64, "yaf": 26}
FOLDERS = {
    f"{voice}_{spelling}": {"speaker": f"tess-{voice}", "emotion": emotion}
    for voice in _AGES
    for spelling, emotion in EMOTIONS.items()
}

# One file of the older woman is published as OA_bite_neutral.
_NAME = re.compile(rf"(OAF?|YAF)_([a-z]+)_({'|'.join(EMOTIONS)})", re.IGNORECASE)


def parse(path: Path) -> Utterance | None:
    """Read what a TESS file name says (`OAF_back_ps`), or return None if it is not one."""
    match = _NAME.fullmatch(path.stem)
    if match is None:
        return None
    voice, word, spelling = match.group().lower().split("_", 2)
    voice, emotion = "oaf" if voice == "oa" else voice, EMOTIONS[spelling]
    return Utterance(
        path=path,
        corpus="tess",
        id=f"tess/{voice}-{word}-{emotion}",
        speaker=f"tess-{voice}",
        sex="female",
        emotion=emotion,
        intensity="",
        sentence=f"Say the word {word}",
        take=1,
        channel="speech",
        language="en",
        age=_AGES[voice],
    )
