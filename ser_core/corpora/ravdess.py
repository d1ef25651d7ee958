"""RAVDESS: 24 actors, two sentences, eight emotions, spoken and sung.

Livingstone & Russo (2018), PLoS ONE 13(5): e0196391; Zenodo record 1188976; CC BY-NC-SA 4.0.
"""

import re
from pathlib import Path

from ser_core.corpora.utterance import Utterance

LICENCE = "CC BY-NC-SA 4.0"

_EMOTIONS = "neutral calm happy sad angry fearful disgust surprised".split()
_INTENSITIES = ["normal", "strong"]
_SENTENCES = ["Kids are talking by the door", "Dogs are sitting by the door"]
_CHANNELS = ["speech", "song"]

# modality-channel-emotion-intensity-statement-repetition-actor; only modality 03 is audio alone.
_NAME = re.compile(r"03-0([12])-0([1-8])-0([12])-0([12])-0([12])-(0[1-9]|1\d|2[0-4])")


def parse(path: Path) -> Utterance | None:
    """Read what a RAVDESS audio file name says, or return None if it is not one.

    Only the file name counts, so that any folder depth and any container will do.
    """
    match = _NAME.fullmatch(path.stem)
    if match is None:
        return None
    channel, emotion, intensity, sentence, take, actor = map(int, match.groups())
    return Utterance(
        path=path,
        corpus="ravdess",
        id=f"ravdess/{path.stem}",
        speaker=f"ravdess-{actor:02d}",
        sex="male" if actor % 2 else "female",
        emotion=_EMOTIONS[emotion - 1],
        intensity=_INTENSITIES[intensity - 1],
        sentence=_SENTENCES[sentence - 1],
        take=take,
        channel=_CHANNELS[channel - 1],
        language="en",
    )
