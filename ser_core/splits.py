"""Every protocol by name: who is trained on, who validates, who is tested.

Folds are fixed here. Validation recordings come out of the training part, and with every protocol
but `random-80-20` they and the test recordings are of other speakers than the training recordings.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

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
_RAVDESS_FOLDS = {"ravdess-5fold": RAVDESS_5FOLD, "ravdess-6fold": RAVDESS_6FOLD}

PROTOCOLS = {
    "ravdess-5fold": "unseen speakers, 5 folds of RAVDESS actors",
    "ravdess-6fold": "unseen speakers, 6 folds of RAVDESS actors (EmoBox)",
    "random-80-20": "one stratified random split of the clips; the same speakers on both sides",
}


def fold_count(protocol: str) -> int:
    """Return how many folds a protocol has.

    Raises:
        UndertoneError: the protocol is unknown.
    """
    if protocol not in PROTOCOLS:
        raise UndertoneError(f"there is no protocol '{protocol}'; known are {', '.join(PROTOCOLS)}")
    return len(_RAVDESS_FOLDS.get(protocol, [None]))


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
        manifest: columns `corpus`, `speaker`, `sex`, `emotion`.
        protocol: a key of `PROTOCOLS`.
        seed: draws the validation speakers, and the clips of `random-80-20`.
        validation_speakers: how many speakers to take out of each training part.

    Raises:
        UndertoneError: the protocol is unknown, or its speakers are not all in the manifest.
    """
    if fold_count(protocol) == 1:
        return [_random_split(manifest, seed)]
    found = []
    for fold in _RAVDESS_FOLDS[protocol]:
        speakers = {f"ravdess-{actor:02d}" for actor in fold}
        missing = speakers - set(manifest.speaker)
        if missing:
            raise UndertoneError(
                f"protocol '{protocol}' tests on {', '.join(sorted(missing))}, "
                "of whom there is no recording; complete the corpus"
            )
        is_test = manifest.speaker.isin(speakers).to_numpy()
        found.append(_unseen_speakers(manifest, is_test, seed, validation_speakers))
    return found


def holdout(manifest: pd.DataFrame, *, seed: int, validation_speakers: int) -> Split:
    """Return the split of a model that is to be shipped: nobody is tested."""
    nobody = np.zeros(len(manifest), bool)
    return _unseen_speakers(manifest, nobody, seed, validation_speakers)


def _random_split(manifest: pd.DataFrame, seed: int) -> Split:
    from sklearn.model_selection import train_test_split  # a second, and pages want only names

    rows, emotion = np.arange(len(manifest)), manifest.emotion.to_numpy()
    rest, test = train_test_split(rows, test_size=0.2, stratify=emotion, random_state=seed)
    train, validation = train_test_split(
        rest, test_size=0.15, stratify=emotion[rest], random_state=seed
    )
    return Split(np.sort(train), np.sort(validation), np.sort(test))


def _unseen_speakers(
    manifest: pd.DataFrame, is_test: np.ndarray, seed: int, validation_speakers: int
) -> Split:
    chosen = _draw_speakers(manifest[~is_test], seed, validation_speakers)
    is_validation = manifest.speaker.isin(chosen).to_numpy()
    split = Split(
        *(np.flatnonzero(part) for part in (~is_test & ~is_validation, is_validation, is_test))
    )
    train, validation, test = (
        set(manifest.speaker.iloc[rows]) for rows in (split.train, split.validation, split.test)
    )
    if train & test or train & validation or validation & test:
        raise AssertionError("a speaker is on two sides of a speaker-independent split")
    return split


def _draw_speakers(manifest: pd.DataFrame, seed: int, count: int) -> list[str]:
    """Draw speakers at random, the sexes taking turns so that both are validated on."""
    speakers = manifest.groupby("speaker").sex.first()
    if count >= len(speakers):
        raise UndertoneError(
            f"{count} validation speakers cannot be taken out of {len(speakers)} training "
            "speakers; set training.validation_speakers lower"
        )
    drawn = speakers.sample(frac=1.0, random_state=seed)
    turn = drawn.groupby(drawn).cumcount()
    return list(turn.sort_values(kind="stable").index[:count])
