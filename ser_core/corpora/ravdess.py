"""RAVDESS: 24 actors, two sentences, eight emotions, spoken and sung."""

import re
from pathlib import Path

from ser_core.corpora.sources import Archive
from ser_core.corpora.utterance import Utterance

TITLE = "Ryerson Audio-Visual Database of Emotional Speech and Song"
CITATION = "Livingstone & Russo (2018), PLoS ONE 13(5): e0196391"
HOME = "https://zenodo.org/records/1188976"
LICENCE = "CC BY-NC-SA 4.0"
KAGGLE = "uwrfkaggler/ravdess-emotional-speech-audio"
CLIPS = 2452
SECONDS = (1.0, 10.0)

# Checksums as Zenodo prints them on the record's page.
SOURCES = (
    Archive(
        url=f"{HOME}/files/Audio_Speech_Actors_01-24.zip?download=1",
        name="Audio_Speech_Actors_01-24.zip",
        size=208_468_073,
        channel="speech",
        clips=1440,
        checksum="md5:bc696df654c87fed845eb13823edef8a",
    ),
    Archive(
        url=f"{HOME}/files/Audio_Song_Actors_01-24.zip?download=1",
        name="Audio_Song_Actors_01-24.zip",
        size=225_505_317,
        channel="song",
        clips=1012,
        checksum="md5:5411230427d67a21e18aa4d466e6d1b9",
    ),
)

EMOTIONS = {
    "01": "neutral",
    "02": "calm",
    "03": "happy",
    "04": "sad",
    "05": "angry",
    "06": "fearful",
    "07": "disgust",
    "08": "surprised",
}
FOLDERS = {f"actor_{actor:02d}": {"speaker": f"ravdess-{actor:02d}"} for actor in range(1, 25)}

_CHANNELS = {"01": "speech", "02": "song"}
_INTENSITIES = {"01": "normal", "02": "strong"}
_SENTENCES = {"01": "Kids are talking by the door", "02": "Dogs are sitting by the door"}

# modality-channel-emotion-intensity-statement-repetition-actor; only modality 03 is audio alone.
_NAME = re.compile(r"03-(0[12])-(0[1-8])-(0[12])-(0[12])-0([12])-(0[1-9]|1\d|2[0-4])")


def parse(path: Path) -> Utterance | None:
    """Read what a RAVDESS audio file name says, or return None if it is not one.

    Only the file name counts, so that any folder depth and any container will do.
    """
    match = _NAME.fullmatch(path.stem)
    if match is None:
        return None
    channel, emotion, intensity, sentence, take, actor = match.groups()
    return Utterance(
        path=path,
        corpus="ravdess",
        id=f"ravdess/{path.stem}",
        speaker=f"ravdess-{actor}",
        sex="male" if int(actor) % 2 else "female",
        emotion=EMOTIONS[emotion],
        intensity=_INTENSITIES[intensity],
        sentence=_SENTENCES[sentence],
        take=int(take),
        channel=_CHANNELS[channel],
        language="en",
    )
