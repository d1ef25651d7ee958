"""A served model against labelled recordings: what `evaluate` prints."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from ser_core import audio, corpora, emotions, evaluation, splits
from ser_core.errors import UndertoneError
from ser_core.recognizer import Recognizer

# Clips read and judged at once: enough for full batches.
_CHUNK = 32


@dataclass(frozen=True)
class Score:
    """How a model did.

    Attributes:
        report: scores over the labels that the recordings carry.
        protocol: who was scored, seen from the model's training.
        model: name of the model.
        answered: share of recordings for which the model did not abstain.
        skipped: recordings that could not be judged, and why.
    """

    report: evaluation.Report
    protocol: str
    model: str
    answered: float
    skipped: dict[str, str]

    def as_dict(self) -> dict:
        """Return one flat document."""
        own = asdict(self)
        return own.pop("report") | own


def score(
    recognizer: Recognizer, manifest: pd.DataFrame, *, on_clip: Callable[[], None] = lambda: None
) -> Score:
    """Score a model on a manifest, over the labels the manifest uses.

    Probabilities of other labels are left out before the likeliest one is taken. Recordings that
    cannot be read or hold no speech are listed, not scored.

    Args:
        recognizer: the model.
        manifest: columns `path`, `emotion`, `speaker`.
        on_clip: called after each recording.

    Raises:
        UndertoneError: the manifest has a label that the model does not know, or nothing readable.
    """
    labels = tuple(label for label in emotions.EMOTIONS if label in set(manifest.emotion))
    foreign = set(labels) - set(recognizer.card.labels)
    if foreign:
        raise UndertoneError(
            f"the model {recognizer.card.name} does not know {', '.join(sorted(foreign))}; leave "
            "those recordings out"
        )
    probabilities, truth, answered, skipped = [], [], 0, {}
    for start in range(0, len(manifest), _CHUNK):
        clips, rows = [], []
        for row in manifest.iloc[start : start + _CHUNK].itertuples():
            try:
                clips.append(audio.read(row.path))
                rows.append(row)
            except audio.AudioError as error:
                skipped[str(row.path)] = str(error)
            on_clip()
        for row, prediction in zip(rows, recognizer.predict_many(clips), strict=True):
            if prediction.label is None:
                skipped[str(row.path)] = prediction.reason
                continue
            chosen = np.array([prediction.probabilities[label] for label in labels])
            probabilities.append(chosen / chosen.sum())
            truth.append(labels.index(row.emotion))
            answered += not prediction.abstained
    if not truth:
        raise UndertoneError("none of the recordings could be judged")
    return Score(
        report=evaluation.report(np.array(truth), np.stack(probabilities), labels),
        protocol=protocol_name(recognizer, manifest),
        model=recognizer.card.name,
        answered=answered / len(truth),
        skipped=skipped,
    )


def protocol_name(recognizer: Recognizer, manifest: pd.DataFrame) -> str:
    """Say whether the model has heard these speakers, as far as their names tell."""
    training = recognizer.card.training
    heard = set(training.speakers) | set(training.validation_speakers)
    speakers = set(manifest.speaker)
    if "" in speakers:
        return "speakers not named"
    if speakers <= heard:
        return "speakers heard in training: not a test"
    if speakers & heard:
        return "some speakers heard in training: not a clean test"
    return "unseen speakers"


def corpus_manifest(name: str) -> pd.DataFrame:
    """Return the manifest of what is spoken, not sung, and not damaged, in a corpus here."""
    manifest = corpora.check(name).manifest
    return manifest[manifest.channel == "speech"]


def tested(corpus: str, protocol: str, fold: int) -> pd.DataFrame:
    """Return what one fold of a protocol tests, such as a model that was trained by the same.

    Args:
        corpus: its name.
        protocol: a name from `splits.PROTOCOLS` that tests on speakers of its own.
        fold: from 0.

    Raises:
        UndertoneError: the protocol is unknown, has no such fold, tests on speakers who are not in
            the corpus, or on clips that depend on what else was trained on.
    """
    splits.check_fold(protocol, fold)
    if protocol == "random-80-20":
        raise UndertoneError(
            "protocol 'random-80-20' tests on whatever a training has left out; what a run heard "
            "in it is in its predictions.parquet"
        )
    manifest = corpus_manifest(corpus)
    split = splits.splits(manifest, protocol, seed=0, validation_speakers=1)[fold]
    return manifest.iloc[split.test]
