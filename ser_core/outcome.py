"""What a finished run holds: its figures, its answers, and who was asked."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ser_core import jobs
from ser_core.card import LEAKY
from ser_core.errors import UndertoneError
from ser_core.recipe import Recipe
from ser_core.wording import counted, people

# What was measured of every published system beforehand; see `benchmarks/systems.py`.
SYSTEMS = Path(__file__).parent.parent / "benchmarks" / "results" / "systems.json"

_MEASURED = {"temperature", "threshold", "epoch", "parameters", "seconds"}
_SCORES = {"n", "accuracy", "uar", "macro_f1", "per_class", "confusion"}
_KNOWN = ("id", "speaker", "sex", "emotion")


class OutcomeError(UndertoneError):
    """A run's figures cannot be read; the message says why."""


@dataclass(frozen=True, eq=False)
class Answers:
    """What was heard in some recordings.

    Attributes:
        labels: the emotions that could be answered.
        table: a row a recording: `id`, `speaker`, `sex`, `emotion` and, by label, probabilities;
            and what follows from them: `heard`, `confidence`, `right`.
    """

    labels: tuple[str, ...]
    table: pd.DataFrame

    @property
    def truth(self) -> np.ndarray:
        """Positions of the emotions in the labels, int `(n,)`."""
        return pd.Index(self.labels).get_indexer(self.table.emotion)

    @property
    def probabilities(self) -> np.ndarray:
        """Each answer's, `(n, labels)`."""
        return self.table[list(self.labels)].to_numpy()


@dataclass(frozen=True, eq=False)
class Outcome:
    """A finished run.

    Attributes:
        name: of the run.
        recipe: what `recipe.json` holds.
        about: what `run.json` holds.
        metrics: what `metrics.json` holds.
        part: which part is looked at: `test`, or `validation` if nothing was kept aside for a test.
        answers: calibrated, in that part, and
        raw: as they were before.
        heard_before: whether its speakers were also trained on.
        speakers: who speaks in it.
    """

    name: str
    recipe: dict
    about: dict
    metrics: dict
    part: str
    answers: Answers
    raw: Answers
    heard_before: bool
    speakers: tuple[str, ...]

    @property
    def scores(self) -> dict:
        """Those of the part, as in `evaluation.Report`."""
        return self.metrics[self.part]

    @property
    def refitted(self) -> bool:
        """Whether it has learned from those who validated it, too, once they had."""
        return bool(self.recipe.get("training", {}).get("refit"))

    @property
    def protocol(self) -> str | None:
        """By which it was tested, if it was."""
        return self.about["protocol"]


def read(folder: Path) -> Outcome:
    """Return what a finished run's folder holds.

    Raises:
        OutcomeError: a file is missing or damaged.
    """
    try:
        recipe, about, metrics = (
            json.loads((folder / name).read_text("utf-8"))
            for name in ("recipe.json", "run.json", "metrics.json")
        )
        labels = tuple(recipe["labels"])
        part = "test" if "test" in metrics else "validation"
        if not (_MEASURED <= metrics.keys() and _SCORES <= metrics[part].keys()):
            raise ValueError("metrics.json is not complete")
        table = pd.read_parquet(folder / "predictions.parquet")
        table = table[table.part == part]
        answers, raw = (
            answers_of(table[table.calibrated == calibrated], labels)
            for calibrated in (True, False)
        )
        return Outcome(
            name=folder.name,
            recipe=recipe,
            about=about,
            metrics=metrics,
            part=part,
            answers=answers,
            raw=raw,
            heard_before=about["protocol"] == LEAKY,
            speakers=tuple(sorted(set(answers.table.speaker) - {""})),
        )
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise OutcomeError(
            f"the figures of “{folder.name}” cannot be read ({error}); delete it and train again"
        ) from None


def tried(known: Outcome) -> str:
    """Return on whom a run was tried, and what that is worth, as a sentence without its stop."""
    if known.part == "validation" and not known.metrics["epoch"]:  # a baseline learns at once
        worth = "who showed how sure it may be (validation): nobody was kept aside for a test"
    elif known.part == "validation" and known.refitted:
        worth = (
            "who showed how sure it may be (validation), before it learned from them, too: nobody "
            "was kept aside for a test"
        )
    elif known.part == "validation":
        worth = (
            "who also decided when it stopped learning (validation): nobody was kept aside for a "
            "test, so expect a little less"
        )
    elif known.heard_before:
        worth = (
            f"from whom it had also learned ({LEAKY}): expect much less with voices that it does "
            "not know"
        )
    else:
        worth = f"whom it had never heard ({known.protocol}, group {known.about['fold'] + 1})"
    recordings = counted(known.scores["n"], "recording")
    return f"Tried on {recordings} of {people(known.speakers)}, {worth}"


def answers_of(table: pd.DataFrame, labels: tuple[str, ...]) -> Answers:
    """Return a table's probabilities as answers.

    Args:
        table: `id`, `speaker`, `sex`, `emotion` and, by label, probabilities.
        labels: of the model.

    Raises:
        ValueError: it has no rows.
    """
    if table.empty:
        raise ValueError("there are no answers")
    table = table[[*_KNOWN, *labels]].reset_index(drop=True)
    probabilities = table[list(labels)]
    heard = probabilities.idxmax(axis=1)
    return Answers(
        labels,
        table.assign(
            heard=heard, confidence=probabilities.max(axis=1), right=heard == table.emotion
        ),
    )


def both_ways(names: Sequence[str], recipe: Recipe) -> tuple[str | None, str | None]:
    """Find runs of a recipe, tested on voices that it knew, and on new ones.

    Args:
        names: of finished runs, the latest first.
        recipe: which, its seed included.

    Returns:
        The latest run of each kind; None where there is none.
    """
    found: dict[bool, str] = {}
    for name in names:
        about = jobs.read_json(jobs.run_folder(name) / "run.json")
        same = (about.get("recipe"), about.get("seed")) == (recipe.digest, recipe.training.seed)
        if same and about.get("protocol"):
            found.setdefault(about["protocol"] == LEAKY, name)
    return found.get(True), found.get(False)


def beforehand(recipe: str) -> tuple[Mapping, Mapping] | None:
    """Return what `SYSTEMS`, if it is there, says of a recipe on known and on new voices.

    Returns:
        Two rows with `protocol`, `accuracy`, `uar`, `seeds` and more; None if there are none.
    """
    try:
        systems = json.loads(SYSTEMS.read_text("utf-8"))
        (found,) = (system for system in systems if system["recipe"] == recipe)
        known = found[LEAKY]
        new = next(
            row for key, row in found.items() if isinstance(row, dict) and _is_row(row, known)
        )
        return (known, new) if {"accuracy", "uar"} <= known.keys() & new.keys() else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, StopIteration):
        return None


def _is_row(row: dict, other: dict) -> bool:
    return row is not other and "protocol" in row and "uar" in row
