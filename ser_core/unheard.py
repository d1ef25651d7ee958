"""What a model says of recordings that it was not trained on: the only answers that count.

Of a corpus it was trained on these are the answers of cross-validation, which come from models
trained in the same way without the speaker; of any other corpus, its own.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import pandas as pd

from ser_core import heard, heldout
from ser_core.bundle import Bundle
from ser_core.card import headline, is_leaky

UNSEEN_CORPUS = "unseen corpus"


def answers(
    model: Bundle, manifest: pd.DataFrame, *, on_clip: Callable[[int], None] = lambda total: None
) -> pd.DataFrame:
    """Return the probabilities that count, for each row of a manifest.

    Args:
        model: whose.
        manifest: columns as in `Utterance`, with a default index.
        on_clip: as of `heard.outputs`.

    Returns:
        Under the manifest's index a column for each label, calibrated probabilities, and
        `protocol`, under which they were measured: one of `splits.PROTOCOLS`, of a
        model's own test with its fold (`card.of_group`), or `UNSEEN_CORPUS`.
        Where no answer counts, or a recording cannot be read, NaN and an empty text.
    """
    labels = list(model.card.labels)
    found = pd.DataFrame(np.nan, index=manifest.index, columns=labels, dtype=np.float32)
    found["protocol"] = ""
    trained = knows(model, manifest)
    if trained.any():
        held = _held(model)
        row = held.index.get_indexer(manifest.id)
        known = trained & (row >= 0)
        found.loc[known, labels] = held.to_numpy()[row[known]]
        found.loc[known, "protocol"] = held.attrs["protocol"]
    if not trained.all():
        others = manifest[~trained]
        values = heard.outputs(model, others.reset_index(drop=True), on_clip=on_clip).probabilities
        readable = ~np.isnan(values).any(axis=1)
        found.loc[others.index, labels] = values
        found.loc[others.index[readable], "protocol"] = UNSEEN_CORPUS
    return found


def knows(model: Bundle, manifest: pd.DataFrame) -> np.ndarray:
    """Say of each row, bool `(rows,)`, whether the model was trained on its corpus."""
    return manifest.corpus.isin(model.card.training.corpora).to_numpy(bool)


def best(answers: pd.DataFrame, among: list[str] | None = None) -> pd.DataFrame:
    """Return the likeliest label of each answer.

    Args:
        answers: from `answers`, each of them there.
        among: the only labels there are to choose from; all by default.

    Returns:
        Under the same index: `heard`, and `confidence` with which.
    """
    labels = among or [column for column in answers.columns if column != "protocol"]
    values = answers[labels]
    if among:
        values = values.div(values.sum(axis=1), axis=0)
    return pd.DataFrame({"heard": values.idxmax(axis=1), "confidence": values.max(axis=1)})


@lru_cache(maxsize=4)
def _held(model: Bundle) -> pd.DataFrame:
    """Return one run of one protocol of unseen speakers, by id; its name is in `attrs`."""
    table = heldout.read(model.folder)
    table = table[~table.protocol.map(is_leaky).astype(bool)]
    row = headline(model.card)
    protocols = table.protocol.unique().tolist()
    first = row.protocol if row and row.protocol in protocols else next(iter(protocols), "")
    table = table[table.protocol == first]
    table = table[table.seed == table.seed.min()].drop_duplicates("id").set_index("id")
    table = table.reindex(columns=list(model.card.labels))
    table.attrs["protocol"] = first
    return table
