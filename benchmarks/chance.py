"""How much of the shipped models' calibration error chance makes.

`python -m benchmarks.chance` prints, per cent, the error of their held-out answers and that of
answers in which each recording's emotion is drawn from the probabilities themselves, mean over 200
draws: of all folds of a run together, and the mean of the folds'. It takes seconds.
"""

import numpy as np
import pandas as pd

from ser_core import bundle, evaluation, heldout
from ser_core.locations import MODELS

DRAWS = 200


def errors(table: pd.DataFrame) -> np.ndarray:
    """Return calibration errors `(2, 2)` under a table's first protocol, the mean over seeds.

    Those of a run's answers together and by fold; as it is and by chance.
    """
    table = table[table.protocol == table.protocol.iloc[0]]
    return np.mean([_of_run(run) for _, run in table.groupby("seed")], axis=0)


def _of_run(table: pd.DataFrame) -> np.ndarray:
    labels = heldout.labels_of(table)
    probabilities = table[list(labels)].to_numpy(float)
    folds = [np.ones(len(table), bool), *(table.fold == fold for fold in table.fold.unique())]
    rng, highest = np.random.default_rng(0), len(labels) - 1

    def measured(truth: np.ndarray) -> tuple[float, float]:
        together, *each = (
            evaluation.expected_calibration_error(truth[fold], probabilities[fold])
            for fold in folds
        )
        return together, np.mean(each)

    def drawn() -> np.ndarray:
        below = probabilities.cumsum(axis=1) < rng.random((len(table), 1))
        return np.minimum(below.sum(axis=1), highest)  # probabilities may add up to a little less

    truth = table.emotion.map(labels.index).to_numpy()
    chance = np.mean([measured(drawn()) for _ in range(DRAWS)], axis=0)
    return np.stack([measured(truth), chance], axis=1)


def main() -> None:
    """Print them for both models."""
    for folder in sorted(path for path in MODELS.iterdir() if (path / bundle.HELDOUT).exists()):
        (found, chance), (by_fold, of_fold) = 100 * errors(heldout.read(folder))
        print(
            f"{folder.name}: {found:.1f}, by chance {chance:.1f}; "
            f"mean of the folds {by_fold:.1f}, by chance {of_fold:.1f}"
        )


if __name__ == "__main__":
    main()
