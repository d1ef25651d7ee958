"""What a collection of recordings holds, counted, and what it lacks, in words."""

from collections.abc import Iterator

import pandas as pd

from ser_core.emotions import EMOTIONS

_SEXES = {"female": "women", "male": "men"}
_NAMED = 3  # speakers who are named in a sentence


def table(manifest: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return how many recordings there are: a row an emotion, a column a value of `column`.

    Emotions are in the vocabulary's order; those of which there is nothing are left out, and so
    are recordings without a label.
    """
    found = pd.crosstab(manifest.emotion, manifest[column])
    return found.reindex([name for name in EMOTIONS if name in found.index])


def missing(manifest: pd.DataFrame) -> dict[str, list[str]]:
    """Say which combinations do not occur among recordings, in phrases, by corpus.

    Looked at are sexes, and emotions by intensity, by what is sung, and by speaker; only what a
    corpus has at all can be missing in part of it. Corpora that lack nothing are left out.
    """
    parts = manifest.groupby("corpus", sort=False)
    found = {str(corpus): list(_lacks(part)) for corpus, part in parts}
    return {corpus: lacks for corpus, lacks in found.items() if lacks}


def _lacks(part: pd.DataFrame) -> Iterator[str]:
    sexes = set(part.sex) - {""}
    if len(sexes) == 1:
        (there,) = sexes
        yield from (f"no {_SEXES[sex]}" for sex in _SEXES if sex != there)
    for emotion, strengths in _absent(part[part.intensity != ""], "intensity"):
        yield f"no {' or '.join(strengths)} {emotion}"
    # A corpus of speech does not lack songs.
    for emotion, channels in _absent(part, "channel"):
        yield f"no {emotion} {' or '.join(channels)}"
    yield from _speakers_lack(part[part.speaker != ""])


def _absent(part: pd.DataFrame, column: str) -> Iterator[tuple[str, list[str]]]:
    counts = table(part, column)
    for emotion, row in counts.iterrows():
        if lacking := [str(value) for value in counts.columns if not row[value]]:
            yield emotion, lacking


def _speakers_lack(part: pd.DataFrame) -> Iterator[str]:
    """Say which speakers lack an emotion or a channel that others of their corpus have."""
    for column in ("channel", "emotion"):
        counts = pd.crosstab(part.speaker, part[column])
        for value in counts.columns:
            without = list(counts.index[counts[value] == 0])
            if not without:
                continue
            who = f"{len(without)} of its {len(counts)} speakers"
            if len(without) <= _NAMED:
                corpus = part.corpus.iloc[0]
                who = "speaker " + ", ".join(name.removeprefix(f"{corpus}-") for name in without)
            yield f"no {value} by {who}"
