"""What cross-validation heard in every recording, kept with the model that was then trained.

A model's own answer about a recording it was trained on proves nothing. Here are the answers of the
models that were trained in the same way without that recording or, but for `random-80-20`, without
anything of its speaker.
"""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from ser_core.bundle import HELDOUT
from ser_core.errors import UndertoneError

# After these, a column for each label: its calibrated probability, float32.
COLUMNS = ("recipe", "protocol", "seed", "fold", "id", "speaker", "sex", "emotion")


def write(tables: Iterable[pd.DataFrame], path: Path) -> None:
    """Write tables of one recipe into one file.

    Args:
        tables: from `figures.heldout_table`.
        path: the file.

    Raises:
        UndertoneError: they are of several recipes.
    """
    joined = pd.concat(tables)
    if joined.recipe.nunique() > 1:
        raise UndertoneError("held-out predictions of different recipes do not belong together")
    joined.to_parquet(path, index=False, compression="zstd")


def read(path: Path, *, recipe: str | None = None) -> pd.DataFrame:
    """Return a table from a file, or from a model folder; empty if the model has none.

    Args:
        path: the file or folder.
        recipe: the digest of the recipe that it must be of, if that matters.

    Raises:
        UndertoneError: the file is not there, is not such a table, or is of another recipe.
    """
    path = Path(path)
    if path.is_dir():
        path /= HELDOUT
        if not path.exists():
            return pd.DataFrame(columns=list(COLUMNS))
    try:
        found = pd.read_parquet(path)
    except (OSError, ValueError):
        raise UndertoneError(f"{path} is not a table of held-out predictions") from None
    if tuple(found.columns[: len(COLUMNS)]) != COLUMNS:
        raise UndertoneError(f"{path} is not a table of held-out predictions")
    if recipe is not None and set(found.recipe) != {recipe}:
        raise UndertoneError(f"{path} was measured with another recipe than it is now")
    return found


def labels_of(table: pd.DataFrame) -> tuple[str, ...]:
    """Return the labels that a table has probabilities of."""
    return tuple(table.columns[len(COLUMNS) :])
