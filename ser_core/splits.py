"""Every protocol by name: who is trained on, who validates, who is tested.

Folds are fixed here. Validation recordings come out of the training part, and with every protocol
but `random-80-20` they and the test recordings are of other speakers (with `tess-speaker`, which
has but one woman to train on: of other words) than the training recordings.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ser_core.card import LEAKY
from ser_core.corpora.crema_d import ACTORS, WOMEN
from ser_core.errors import UndertoneError

RAVDESS_5FOLD = (
    (2, 5, 14, 15, 16),
    (3, 6, 7, 13, 18),
    (10, 11, 12, 19, 20),
    (8, 17, 21, 23, 24),
    (1, 4, 9, 22),
)
RAVDESS_6FOLD = (
    (1, 11, 20, 21),
    (4, 10, 12, 14),
    (8, 9, 19, 23),
    (3, 5, 7, 24),
    (2, 15, 16, 18),
    (6, 13, 17, 22),
)
# No list of ten folds is published: women and men are dealt in turn, each by ascending number.
CREMA_D_10FOLD = tuple(
    tuple(sorted(sorted(WOMEN)[fold::10] + sorted(set(ACTORS) - WOMEN)[9 - fold :: 10]))
    for fold in range(10)
)
SENTENCES = ("Kids are talking by the door", "Dogs are sitting by the door")
CORPORA = ("ravdess", "tess", "crema-d", "savee")
# Shares of the clips, where these and not speakers are divided; of what is not tested, the second.
_TESTED, _VALIDATES = 0.2, 0.15

_RAVDESS = tuple(tuple(f"ravdess-{actor:02d}" for actor in fold) for fold in RAVDESS_5FOLD)
# The test speakers of each fold.
_SPEAKERS: dict[str, tuple[tuple[str, ...], ...]] = {
    "ravdess-5fold": _RAVDESS,
    "ravdess-6fold": tuple(tuple(f"ravdess-{a:02d}" for a in fold) for fold in RAVDESS_6FOLD),
    "savee-loso": (("savee-dc",), ("savee-je",), ("savee-jk",), ("savee-kl",)),
    "crema-d-10fold": tuple(tuple(f"crema-d-{a}" for a in fold) for fold in CREMA_D_10FOLD),
}
_WOMEN = ("tess-oaf", "tess-yaf")

PROTOCOLS = {
    "ravdess-5fold": "unseen speakers, 5 folds of RAVDESS actors",
    "ravdess-6fold": "unseen speakers, 6 folds of RAVDESS actors (EmoBox)",
    "ravdess-sentence": "unseen sentence and unseen speakers: 5 folds of actors, each sentence",
    "savee-loso": "unseen speakers, each of the 4 SAVEE men in turn",
    "tess-speaker": "unseen speaker, each of the 2 TESS women in turn",
    "crema-d-10fold": "unseen speakers, 10 folds of CREMA-D actors",
    "cross-corpus": "unseen corpus, each of the 4 in turn, on labels that all of them have",
    LEAKY: "one stratified random split of the clips; the same speakers on both sides",
}
_FOLDS = {name: len(folds) for name, folds in _SPEAKERS.items()} | {
    "ravdess-sentence": len(_RAVDESS) * len(SENTENCES),
    "tess-speaker": len(_WOMEN),
    "cross-corpus": len(CORPORA),
    LEAKY: 1,
}


def fold_count(protocol: str) -> int:
    """Return how many folds a protocol has.

    Raises:
        UndertoneError: the protocol is unknown.
    """
    if protocol not in PROTOCOLS:
        raise UndertoneError(f"there is no protocol '{protocol}'; known are {', '.join(PROTOCOLS)}")
    return _FOLDS[protocol]


def check_fold(protocol: str, fold: int) -> None:
    """Make sure that a protocol has a fold.

    Raises:
        UndertoneError: it has not, or is unknown.
    """
    count = fold_count(protocol)
    if not 0 <= fold < count:
        raise UndertoneError(
            f"protocol '{protocol}' has no fold {fold}; its folds are 0 to {count - 1}"
        )


@dataclass(frozen=True, eq=False)
class Split:
    """One train/validation/test split: int arrays of manifest row positions."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def splits(
    manifest: pd.DataFrame, protocol: str, *, seed: int, validation_speakers: int
) -> list[Split]:
    """Return the splits of a protocol, a fold each.

    Args:
        manifest: columns `corpus`, `speaker`, `sex`, `emotion`, `sentence`.
        protocol: a key of `PROTOCOLS`.
        seed: draws the validation speakers, and the clips of `random-80-20`.
        validation_speakers: how many speakers to take out of each training part; `random-80-20`
            and `tess-speaker` take 15 % of the clips or words instead.

    Raises:
        UndertoneError: the protocol is unknown, or what it tests on is not all in the manifest.
    """
    fold_count(protocol)
    if protocol == LEAKY:
        return [_random_split(manifest, seed)]
    if protocol == "tess-speaker":
        return [_one_speaker(manifest, woman, seed) for woman in _WOMEN]
    if protocol == "cross-corpus":
        return _cross_corpus(manifest, seed, validation_speakers)
    if protocol == "ravdess-sentence":
        return _unseen_sentences(manifest, seed, validation_speakers)
    return [
        _unseen_speakers(manifest, test, ~test, seed, validation_speakers)
        for test in (_spoken_by(manifest, protocol, fold) for fold in _SPEAKERS[protocol])
    ]


def split(
    manifest: pd.DataFrame,
    protocol: str | None,
    fold: int,
    *,
    seed: int,
    validation_speakers: int,
) -> Split:
    """Return one of the splits of a protocol; without a protocol, the `holdout`.

    Raises:
        UndertoneError: as `splits`, or the protocol has no such fold.
    """
    how = {"seed": seed, "validation_speakers": validation_speakers}
    if protocol is None:
        return holdout(manifest, **how)
    check_fold(protocol, fold)
    return splits(manifest, protocol, **how)[fold]


def holdout(manifest: pd.DataFrame, *, seed: int, validation_speakers: int) -> Split:
    """Return the split of a model that is to be shipped: nobody is tested.

    Where no speaker is named, nobody can be kept apart: 15 % of the clips validate, whoever speaks.

    Raises:
        UndertoneError: there are too few speakers, or too few clips.
    """
    nobody = np.zeros(len(manifest), bool)
    if (manifest.speaker == "").all():
        rows, emotion = np.arange(len(manifest)), manifest.emotion.to_numpy()
        _check_enough(emotion, tested=0, each=2)
        train, validation = _draw_clips(rows, emotion, _VALIDATES, seed)
        return Split(np.sort(train), np.sort(validation), np.flatnonzero(nobody))
    return _unseen_speakers(manifest, nobody, ~nobody, seed, validation_speakers)


def _random_split(manifest: pd.DataFrame, seed: int) -> Split:
    rows, emotion = np.arange(len(manifest)), manifest.emotion.to_numpy()
    _check_enough(emotion, tested=_TESTED, each=3)
    rest, test = _draw_clips(rows, emotion, _TESTED, seed)
    train, validation = _draw_clips(rest, emotion, _VALIDATES, seed)
    return Split(np.sort(train), np.sort(validation), np.sort(test))


def _draw_clips(
    rows: np.ndarray, emotion: np.ndarray, share: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a share of some rows, of each emotion about alike; return the others and those."""
    from sklearn.model_selection import train_test_split  # a second, and pages want only names

    return train_test_split(rows, test_size=share, stratify=emotion[rows], random_state=seed)


def _check_enough(emotion: np.ndarray, *, tested: float, each: int) -> None:
    """Make sure that each part can have every emotion, before scikit-learn refuses in its words.

    Args:
        emotion: of each clip.
        tested: which share of them is tested.
        each: of how many clips each emotion has to be.
    """
    found = pd.Series(emotion).value_counts()
    fewest = next(
        n
        for n in itertools.count()
        if math.ceil(_VALIDATES * (n - math.ceil(tested * n))) >= len(found)
    )
    if len(emotion) < fewest or found.min() < each:
        raise UndertoneError(
            f"{len(emotion)} recordings of {len(found)} emotions, {found.min()} of them "
            f"{found.idxmin()}, are too few to divide; it takes {fewest} in all and {each} of each "
            "emotion: add recordings, or leave emotions out (labels)"
        )


def _unseen_sentences(manifest: pd.DataFrame, seed: int, validation_speakers: int) -> list[Split]:
    """Train on one RAVDESS sentence, and nothing else, and test on the other."""
    found = []
    for fold in _RAVDESS:
        of_fold = _spoken_by(manifest, "ravdess-sentence", fold)
        for tested, trained in (SENTENCES, SENTENCES[::-1]):
            test = of_fold & (manifest.sentence == tested).to_numpy()
            candidates = ~of_fold & (manifest.sentence == trained).to_numpy()
            split = _unseen_speakers(manifest, test, candidates, seed, validation_speakers)
            _assert_apart(manifest, "sentence", split.test, split.train, split.validation)
            found.append(split)
    return found


def _one_speaker(manifest: pd.DataFrame, tested: str, seed: int) -> Split:
    """Test on one of the two women; train on the other, and nobody else, but for some words."""
    test, candidates = (
        _spoken_by(manifest, "tess-speaker", (woman,))
        for woman in sorted(_WOMEN, key=lambda woman: woman != tested)
    )
    words = pd.Series(manifest.sentence[candidates].unique())
    held_out = manifest.sentence.isin(words.sample(frac=_VALIDATES, random_state=seed)).to_numpy()
    split = _split(candidates & ~held_out, candidates & held_out, test)
    _assert_apart(manifest, "speaker", split.test, split.train, split.validation)
    _assert_apart(manifest, "sentence", split.train, split.validation)
    return split


def _cross_corpus(manifest: pd.DataFrame, seed: int, validation_speakers: int) -> list[Split]:
    labels = manifest.groupby("corpus").emotion.agg(set)
    missing = set(CORPORA) - set(labels.index)
    if missing:
        raise UndertoneError(
            f"protocol 'cross-corpus' needs {', '.join(sorted(missing))}, too; name all four in "
            f'the recipe: data.corpus = "{"+".join(CORPORA)}"'
        )
    everywhere = set.intersection(*labels)
    for corpus, found in labels.items():
        if found - everywhere:
            raise UndertoneError(
                f"protocol 'cross-corpus' needs labels that every corpus has; "
                f"{', '.join(sorted(found - everywhere))} of {corpus} are not in the others"
            )
    found = []
    for corpus in CORPORA:
        test = (manifest.corpus == corpus).to_numpy()
        split = _unseen_speakers(manifest, test, ~test, seed, validation_speakers)
        _assert_apart(manifest, "corpus", split.test, split.train, split.validation)
        found.append(split)
    return found


def _spoken_by(manifest: pd.DataFrame, protocol: str, speakers: tuple[str, ...]) -> np.ndarray:
    missing = set(speakers) - set(manifest.speaker)
    if missing:
        raise UndertoneError(
            f"protocol '{protocol}' tests on {', '.join(sorted(missing))}, "
            "of whom there is no recording; complete the corpus"
        )
    return manifest.speaker.isin(speakers).to_numpy()


def _unseen_speakers(
    manifest: pd.DataFrame,
    test: np.ndarray,
    candidates: np.ndarray,
    seed: int,
    validation_speakers: int,
) -> Split:
    """Draw validation speakers from the candidates and train on the other candidates.

    Args:
        manifest: as of `splits`.
        test: bool `(rows,)`, who is tested.
        candidates: bool `(rows,)`, who is not.
        seed: draws.
        validation_speakers: how many.
    """
    chosen = _draw_speakers(manifest[candidates], seed, validation_speakers)
    validates = candidates & manifest.speaker.isin(chosen).to_numpy()
    split = _split(candidates & ~validates, validates, test)
    _assert_apart(manifest, "speaker", split.test, split.train, split.validation)
    _assert_apart(manifest, "speaker", split.train, split.validation)
    return split


def _split(*parts: np.ndarray) -> Split:
    return Split(*(np.flatnonzero(part) for part in parts))


def _assert_apart(
    manifest: pd.DataFrame, column: str, rows: np.ndarray, *others: np.ndarray
) -> None:
    values = set(manifest[column].iloc[rows])
    for other in others:
        shared = values & set(manifest[column].iloc[other])
        if shared:
            raise AssertionError(f"the {column} {min(shared)} is on two sides of a split")


def _draw_speakers(manifest: pd.DataFrame, seed: int, count: int) -> list[str]:
    """Draw speakers at random, corpora and sexes taking turns so that all are validated on.

    Of several corpora, none is taken whole: how a model does in one that it has not learned from
    would say little of how it does elsewhere. Nor are those without a name, who may be anybody.
    """
    named = manifest[manifest.speaker != ""]
    speakers = named.groupby("speaker")[["corpus", "sex"]].first()
    drawn = speakers.sample(frac=1.0, random_state=seed)
    for group in (["corpus", "sex"], ["corpus"]):
        turn = drawn.groupby(group).cumcount()
        drawn = drawn.loc[turn.sort_values(kind="stable").index]
    drawn = drawn[drawn.duplicated("corpus", keep="last")]
    if drawn.empty:
        raise UndertoneError(
            "nobody can be kept apart to validate: each corpus names one speaker at most; add "
            "another speaker's recordings, or divide by random-80-20"
        )
    if count > len(drawn):
        raise UndertoneError(
            f"{count} validation speakers cannot be taken out of {len(speakers)} training "
            "speakers; set training.validation_speakers lower"
        )
    return list(drawn.index[:count])
