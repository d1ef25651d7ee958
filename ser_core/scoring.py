"""A served model against labelled recordings: what `evaluate` prints."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ser_core import audio, corpora, emotions, evaluation, profile, splits
from ser_core.card import LEAKY
from ser_core.errors import UndertoneError
from ser_core.recognizer import Prediction, Recognizer

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
        selective_accuracy: share of right answers among those, None if there is no answer.
        skipped: recordings that could not be judged, and why.
    """

    report: evaluation.Report
    protocol: str
    model: str
    answered: float
    selective_accuracy: float | None
    skipped: dict[str, str]

    def as_dict(self) -> dict:
        """Return one flat document."""
        own = asdict(self)
        return own.pop("report") | own


def score(
    recognizer: Recognizer,
    manifest: pd.DataFrame,
    *,
    voices: Sequence[int] = (),
    on_clip: Callable[[], None] = lambda: None,
) -> list[Score]:
    """Score a model on a manifest, over the labels the manifest uses.

    Probabilities of other labels are left out before the likeliest one is taken. Recordings that
    cannot be read or hold no speech are listed, not scored.

    Args:
        recognizer: the model.
        manifest: columns `path`, `emotion`, `speaker`.
        voices: to be scored once more for each: from how many other recordings of the speaker,
            drawn at random, the model knows the voice. What they express is not looked at.
        on_clip: called after each recording.

    Returns:
        The score without knowing any voice, then one for each of `voices`; it leaves out whose
        voice cannot be known from so many because others of theirs could not be judged, and is
        missing if that leaves nobody.

    Raises:
        UndertoneError: the manifest has a label that the model does not know, or nothing readable,
            or a voice cannot be known from so many recordings.
    """
    labels = tuple(label for label in emotions.EMOTIONS if label in set(manifest.emotion))
    foreign = set(labels) - set(recognizer.card.labels)
    if foreign:
        raise UndertoneError(
            f"the model {recognizer.card.name} does not know {', '.join(sorted(foreign))}; leave "
            "those recordings out"
        )
    _check_voices(manifest, voices)
    rows, predictions, skipped = _heard(recognizer, manifest, on_clip)
    if not predictions:
        path, reason = next(iter(skipped.items()))
        first = reason if f"'{path}'" in reason else f"{path}: {reason}"
        raise UndertoneError(f"none of the recordings could be judged; the first: {first}")
    truth = np.array([labels.index(row.emotion) for row in rows])
    speakers = np.array([row.speaker for row in rows])
    protocol = protocol_name(recognizer, manifest)

    def scored(truth: np.ndarray, predictions: list[Prediction], protocol: str) -> Score:
        chosen = np.array([[each.probabilities[label] for label in labels] for each in predictions])
        answered = np.array([not each.abstained for each in predictions])
        right = chosen.argmax(axis=1) == truth
        return Score(
            report=evaluation.report(truth, chosen / chosen.sum(axis=1, keepdims=True), labels),
            protocol=protocol,
            model=recognizer.card.name,
            answered=float(answered.mean()),
            selective_accuracy=float(right[answered].mean()) if answered.any() else None,
            skipped=skipped,
        )

    found = [scored(truth, predictions, protocol)]
    for clips in voices:
        known = _with_voices(recognizer, predictions, speakers, clips)
        if known:
            rows = list(known)
            found.append(scored(truth[rows], list(known.values()), f"{protocol}, voice({clips})"))
    return found


def _check_voices(manifest: pd.DataFrame, voices: Sequence[int]) -> None:
    """Make sure that there are the recordings to know each voice from, before any is heard."""
    for clips in voices:
        if not profile.FEWEST <= clips <= profile.MOST:
            raise UndertoneError(
                f"a voice can be known from {profile.FEWEST} to {profile.MOST} clips, not {clips}; "
                "ask for so many, or leave out --voice"
            )
    if voices and "" in set(manifest.speaker):
        raise UndertoneError("to know a voice, know whose: name each recording's speaker")
    if voices:
        count = manifest.speaker.value_counts()
        profile.check_others(count.idxmin(), count.min() - 1, max(voices))


def _heard(
    recognizer: Recognizer, manifest: pd.DataFrame, on_clip: Callable[[], None]
) -> tuple[list, list[Prediction], dict[str, str]]:
    """Return the rows that could be judged, what was heard in each, and why others could not."""
    judged, predictions, skipped = [], [], {}
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
            judged.append(row)
            predictions.append(prediction)
    return judged, predictions, skipped


def _with_voices(
    recognizer: Recognizer, predictions: list[Prediction], speakers: np.ndarray, clips: int
) -> dict[int, Prediction]:
    """Return predictions anew, each with its speaker's voice known from other clips of theirs.

    They go by their places; those of whose speaker too few other clips could be judged are left
    out.
    """
    embeddings = np.array([prediction.embedding for prediction in predictions])
    heard = np.array([list(prediction.probabilities.values()) for prediction in predictions])
    rng = np.random.default_rng(clips)
    changed = {}
    for index, prediction in enumerate(predictions):
        if np.count_nonzero(speakers == speakers[index]) <= clips:
            continue
        others = profile.draw_others(speakers, index, clips, rng)
        voice = profile.get_to_know(embeddings[others], heard[others], recognizer.bundle)
        changed[index] = recognizer.with_voice(prediction, voice)
    return changed


def protocol_name(recognizer: Recognizer, manifest: pd.DataFrame) -> str:
    """Say whether the model has heard these speakers, as far as names tell.

    In a corpus, they are the same as in training. In a table of one's own the same people may have
    others, so where the recordings lie is looked at, too.
    """
    training = recognizer.card.training
    heard = set(training.speakers) | set(training.validation_speakers)
    speakers = set(manifest.speaker)
    own = "corpus" not in manifest.columns
    learned_from = [False]
    if own or "" in speakers:
        folders = [(corpora.data_dir() / name).resolve() for name in training.corpora]
        learned_from = [
            any(Path(path).resolve().is_relative_to(folder) for folder in folders)
            for path in manifest.path
        ]
    if all(learned_from) or speakers <= heard:
        return "speakers heard in training: not a test"
    if any(learned_from) or speakers & heard:
        return "some speakers heard in training: not a clean test"
    if "" in speakers:
        return "speakers not named"
    return "speakers whose names are not among those of training" if own else "unseen speakers"


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
    if protocol == LEAKY:
        raise UndertoneError(
            "protocol 'random-80-20' tests on whatever a training has left out; what a run heard "
            "in it is in its predictions.parquet"
        )
    manifest = corpus_manifest(corpus)
    split = splits.split(manifest, protocol, fold, seed=0, validation_speakers=1)
    return manifest.iloc[split.test]
