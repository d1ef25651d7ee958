"""CREMA-D: 91 actors, twelve sentences, six emotions, one sentence at three intensities."""

import csv
import re
from functools import lru_cache
from pathlib import Path

from ser_core.corpora.sources import GitLfs
from ser_core.corpora.utterance import Utterance

TITLE = "Crowd-sourced Emotional Multimodal Actors Dataset"
CITATION = "Cao et al. (2014), IEEE Trans. Affective Computing 5(4): 377–390"
HOME = "https://github.com/CheyneyComputerScience/CREMA-D"
LICENCE = "ODbL 1.0"
KAGGLE = "ejlok1/cremad"
CLIPS = 7442
SECONDS = (0.8, 8.0)

# The repository keeps its sound in Git LFS, whose pointers give the checksums.
SOURCES = (
    GitLfs(
        archive="https://codeload.github.com/CheyneyComputerScience/CREMA-D/zip/refs/heads/master",
        media="https://media.githubusercontent.com/media/CheyneyComputerScience/CREMA-D/master",
        folder="AudioWAV",
        tables=("VideoDemographics.csv",),
        clips=CLIPS,
    ),
)

EMOTIONS = {
    "ANG": "angry",
    "DIS": "disgust",
    "FEA": "fearful",
    "HAP": "happy",
    "NEU": "neutral",
    "SAD": "sad",
}
FOLDERS: dict[str, dict[str, str]] = {}

# Who is a woman, from the corpus's VideoDemographics.csv; copies often come without that table.
WOMEN = frozenset(
    (1002, 1003, 1004, 1006, 1007, 1008, 1009, 1010, 1012, 1013, 1018, 1020, 1021, 1024, 1025)
    + (1028, 1029, 1030, 1037, 1043, 1046, 1047, 1049, 1052, 1053, 1054, 1055, 1056, 1058, 1060)
    + (1061, 1063, 1072, 1073, 1074, 1075, 1076, 1078, 1079, 1082, 1084, 1089, 1091)
)
ACTORS = range(1001, 1092)

# One file is published with the level X.
_INTENSITIES = {"LO": "low", "MD": "medium", "HI": "high", "XX": "", "X": ""}
_SENTENCES = {
    "DFA": "Don't forget a jacket",
    "IEO": "It's eleven o'clock",
    "IOM": "I'm on my way to the meeting",
    "ITH": "I think I have a doctor's appointment",
    "ITS": "I think I've seen this before",
    "IWL": "I would like a new alarm clock",
    "IWW": "I wonder what this is about",
    "MTI": "Maybe tomorrow it will be cold",
    "TAI": "The airplane is almost full",
    "TIE": "That is exactly what happened",
    "TSI": "The surface is slick",
    "WSI": "We'll stop in a couple of minutes",
}
_NAME = re.compile(
    rf"(10\d\d)_({'|'.join(_SENTENCES)})_({'|'.join(EMOTIONS)})_({'|'.join(_INTENSITIES)})"
)


def parse(path: Path) -> Utterance | None:
    """Read what a CREMA-D file name says (`1001_DFA_ANG_XX`), or return None if it is not one.

    Ages come from `VideoDemographics.csv`, if it lies in the file's folder or the one above.
    """
    match = _NAME.fullmatch(path.stem)
    if match is None or int(match[1]) not in ACTORS:
        return None
    actor, sentence, emotion, level = match.groups()
    return Utterance(
        path=path,
        corpus="crema-d",
        id=f"crema-d/{path.stem}",
        speaker=f"crema-d-{actor}",
        sex="female" if int(actor) in WOMEN else "male",
        emotion=EMOTIONS[emotion],
        intensity=_INTENSITIES[level],
        sentence=_SENTENCES[sentence],
        take=1,
        channel="speech",
        language="en",
        age=_ages(path.parent).get(actor),
    )


@lru_cache(maxsize=64)
def _ages(folder: Path) -> dict[str, int]:
    for place in (folder, folder.parent):
        try:
            with open(place / "VideoDemographics.csv", encoding="utf-8", newline="") as file:
                return {row["ActorID"]: int(row["Age"]) for row in csv.DictReader(file)}
        except (OSError, KeyError, ValueError):
            continue  # no table, or not the published one
    return {}
