"""What a training gave on recordings held out, and what several come to: for cards and tables."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ser_core import dataset, evaluation, heldout
from ser_core.card import Evaluation, Robustness
from ser_core.recipe import Recipe


@dataclass(frozen=True)
class FoldResult:
    """What one fold gave under one seed; scores are fractions on the test part.

    `predictions` maps each test utterance's id to its calibrated probabilities, in the order of
    the recipe's labels; `robustness` is empty if it was not asked for.
    """

    seed: int
    fold: int
    n: int
    uar: float
    accuracy: float
    macro_f1: float
    ece: float
    coverage: float
    selective_accuracy: float
    validation_uar: float
    epoch: int
    temperature: float
    threshold: float
    seconds: float
    parameters: int
    environment: dict[str, str]
    confusion: list[list[int]]
    confusion_by_sex: dict[str, list[list[int]]]
    predictions: dict[str, list[float]]
    robustness: tuple[Robustness, ...] = ()


def scores_of(
    recipe: Recipe, manifest: pd.DataFrame, probabilities: np.ndarray, threshold: float
) -> dict:
    """Return the fields of a `FoldResult` that depend on the test part's probabilities."""
    truth = dataset.truth(manifest, recipe)
    scores = evaluation.report(truth, probabilities, recipe.labels)
    answered = evaluation.selective(truth, probabilities, threshold)
    return {
        "n": scores.n,
        "uar": scores.uar,
        "accuracy": scores.accuracy,
        "macro_f1": scores.macro_f1,
        "ece": scores.ece,
        "coverage": answered.coverage,
        "selective_accuracy": answered.accuracy,
        "confusion": scores.confusion,
        "confusion_by_sex": {
            sex: evaluation.confusion(truth[who], probabilities[who], recipe.labels).tolist()
            for sex, who in manifest.groupby("sex").indices.items()
        },
        "predictions": {
            name: [round(float(p), 5) for p in row]
            for name, row in zip(manifest.id, probabilities, strict=True)
        },
    }


def summarise(
    recipe: Recipe,
    protocol: str,
    manifest: pd.DataFrame,
    results: list[FoldResult],
    command: str,
) -> Evaluation:
    """Return a row for the model card: means of folds within a seed, mean and sd over seeds.

    The calibration error is that of all folds of a seed together: of the 300 clips of one fold,
    answers that are calibrated perfectly would show one of 6 or 7 points by chance.

    Args:
        recipe: the results'.
        protocol: the results'.
        manifest: with the recordings.
        results: of `crossval`, all folds of each seed.
        command: what prints the row.
    """
    seeds = sorted({result.seed for result in results})

    def by_seed(name: str) -> np.ndarray:
        return np.array(
            [np.mean([getattr(r, name) for r in results if r.seed == seed]) for seed in seeds]
        )

    by_sex = defaultdict(list)
    for result in results:
        for sex, found in result.confusion_by_sex.items():
            by_sex[sex].append(found)
    uar, accuracy = by_seed("uar"), by_seed("accuracy")
    answered = [result.coverage * result.n for result in results]
    right = [result.selective_accuracy for result in results]
    spread = {"ddof": 1} if len(seeds) > 1 else {}
    return Evaluation(
        protocol=protocol,
        corpus=_scored(recipe, manifest, results),
        labels=len(recipe.labels),
        seeds=len(seeds),
        n=sum(result.n for result in results if result.seed == seeds[0]),
        uar=float(uar.mean()),
        uar_sd=float(uar.std(**spread)),
        accuracy=float(accuracy.mean()),
        accuracy_sd=float(accuracy.std(**spread)),
        macro_f1=float(by_seed("macro_f1").mean()),
        ece=float(np.mean([_calibration_error(recipe, manifest, results, s) for s in seeds])),
        coverage=sum(answered) / sum(result.n for result in results),
        selective_accuracy=float(np.average(right, weights=answered)) if any(answered) else 1.0,
        recall=_recall(recipe, [result.confusion for result in results]),
        robustness=_robustness(results),
        uar_by_sex={
            sex: float(np.mean([*_recall(recipe, found).values()])) for sex, found in by_sex.items()
        },
        fold_seconds=float(np.median([result.seconds for result in results])),
        command=command,
    )


def _scored(recipe: Recipe, manifest: pd.DataFrame, results: list[FoldResult]) -> str:
    """Return which of a recipe's corpora were tested on, spelled as it spells them."""
    tested = {name for result in results for name in result.predictions}
    found = set(manifest.corpus[manifest.id.isin(tested)])
    return "+".join(name for name in recipe.data.corpora if name in found)


def _calibration_error(
    recipe: Recipe, manifest: pd.DataFrame, results: list[FoldResult], seed: int
) -> float:
    answers = {}
    for result in results:
        if result.seed == seed:
            answers |= result.predictions
    truth = pd.Series(dataset.truth(manifest, recipe), index=manifest.id)
    return evaluation.expected_calibration_error(
        truth[list(answers)].to_numpy(), np.array(list(answers.values()))
    )


def _robustness(results: list[FoldResult]) -> tuple[Robustness, ...]:
    measured = [result.robustness for result in results if result.robustness]
    if not measured:
        return ()
    from ser_core import robustness  # loads what only those who measure it need

    return robustness.pooled(measured)


def _recall(recipe: Recipe, confusions: list[list[list[int]]]) -> dict[str, float]:
    """Return the recall of each emotion that was there to be recalled."""
    total = np.sum(confusions, axis=0)
    return {
        label: float(total[at, at] / total[at].sum())
        for at, label in enumerate(recipe.labels)
        if total[at].any()
    }


def heldout_table(
    recipe: Recipe, protocol: str, manifest: pd.DataFrame, results: list[FoldResult]
) -> pd.DataFrame:
    """Return what was heard in each recording of each test part under each seed.

    Args:
        recipe: the results'.
        protocol: the results'.
        manifest: with the recordings.
        results: of `crossval`.

    Returns:
        The columns of `heldout.COLUMNS`, then for each label its probability, float32.
    """
    parts = [
        pd.DataFrame.from_dict(
            result.predictions, orient="index", columns=recipe.labels, dtype="float32"
        )
        .rename_axis("id")
        .reset_index()
        .assign(recipe=recipe.digest, protocol=protocol, seed=result.seed, fold=result.fold)
        for result in results
    ]
    known = manifest[["id", "speaker", "sex", "emotion"]]
    return pd.concat(parts).merge(known, on="id")[[*heldout.COLUMNS, *recipe.labels]]
