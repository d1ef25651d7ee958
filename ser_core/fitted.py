"""A recipe's network or baseline: fitted, calibrated, and asked what it hears."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ser_core import classical, evaluation, profile, splits, teacher, warm_start
from ser_core.dataset import Dataset
from ser_core.hyperparameters import CLASSICAL
from ser_core.recipe import Recipe

if TYPE_CHECKING:
    import keras  # loads TensorFlow, for which baselines need not wait

Outputs = Callable[[np.ndarray], dict[str, np.ndarray]]


@dataclass(frozen=True, eq=False)
class Fitted:
    """What fitting gave.

    Attributes:
        outputs: from the dataset's windows `(n, …)` to `logits` `(n, classes)` and, of a network,
            `embedding`.
        before_refit: the same of the network that has not met the validation speakers; it is
            `outputs` unless the recipe wants a refit.
        network: with the weights of the best epoch; None for a baseline.
        parameters: how many numbers it consists of.
        epoch: which the best was, from 1; 0 for a baseline.
        temperature: fitted on the validation speakers, as is
        selective: the abstention threshold and what it means there.
        validation: scores on the validation speakers, who also chose the epoch.
        seconds: how long it took.
    """

    outputs: Outputs
    before_refit: Outputs
    network: "keras.Model | None"
    parameters: int
    epoch: int
    temperature: float
    selective: evaluation.Selective
    validation: evaluation.Report
    seconds: float


def fit(
    recipe: Recipe,
    data: Dataset,
    split: splits.Split,
    *,
    seed: int,
    folder: Path,
    keep: bool = False,
    on_epoch: Callable[[dict], None] = lambda event: None,
) -> Fitted:
    """Fit the recipe's network or baseline on a split's training part, and calibrate it.

    If the recipe wants a refit, what the validation part said of the network is taken to hold of
    one like it that has then learned from the validation part as well.

    Args:
        recipe: what to fit.
        data: from `dataset.load`.
        split: the test part is not looked at.
        seed: of everything drawn by chance.
        folder: where a network's `events.jsonl` is kept, and in `refit` that of a refit.
        keep: whether its checkpoints are, too; one that is there already is gone on from.
        on_epoch: called with each line of `events.jsonl`.

    Raises:
        TrainingError: no epoch had a finite loss, the model to start from does not fit or has heard
            those who are to judge, or there is one speaker alone for a teacher.
    """
    warm_start.check(recipe, data.manifest, split)
    teacher.check(recipe, data.manifest, split)
    if isinstance(recipe.network, CLASSICAL):
        started, network, epoch = time.monotonic(), None, 0
        chosen = np.isin(data.features.clip, split.train)
        truth = data.truth[data.features.clip[chosen]]
        baseline = classical.fit(recipe, data.features.values[chosen], truth, seed)
        parameters, seconds = baseline.parameters, time.monotonic() - started

        def outputs(values: np.ndarray) -> dict[str, np.ndarray]:
            return {"logits": baseline.logits(values)}
    else:
        from ser_core import fitting  # loads TensorFlow

        how = {"seed": seed, "keep": keep, "on_epoch": on_epoch}
        network, epoch, seconds = fitting.fit_network(recipe, data, split, folder=folder, **how)
        parameters, outputs = network.count_params(), _outputs(network)

    logits, clip = clip_logits(outputs, data, split.validation)
    temperature = evaluation.fit_temperature(data.truth[clip], logits)
    probabilities = evaluation.mean_by_clip(
        evaluation.probabilities_of(logits, temperature), clip, split.validation
    )
    truth = data.truth[split.validation]
    before_refit = outputs
    if recipe.training.refit and network is not None:
        everybody = replace(split, train=learned_from(recipe, split), validation=np.array([], int))
        network, epoch, more = fitting.fit_network(
            recipe, data, everybody, folder=folder / fitting.REFIT, **how
        )
        seconds += more
        outputs = _outputs(network)
    return Fitted(
        outputs=outputs,
        before_refit=before_refit,
        network=network,
        parameters=parameters,
        epoch=epoch,
        temperature=temperature,
        selective=evaluation.choose_threshold(
            truth, probabilities, recipe.training.selective_accuracy
        ),
        validation=evaluation.report(truth, probabilities, recipe.labels),
        seconds=seconds,
    )


def _outputs(network: "keras.Model") -> Outputs:
    from ser_core import networks

    head = networks.head(network)
    return lambda values: networks.outputs(head, values)


def learned_from(recipe: Recipe, split: splits.Split) -> np.ndarray:
    """Return the rows that a model of the recipe has been fitted on, once that is done."""
    if not recipe.training.refit:
        return split.train
    return np.sort(np.concatenate([split.train, split.validation]))


def clip_logits(outputs: Outputs, data: Dataset, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the logits of all windows of some rows, and the row each window belongs to."""
    chosen = np.isin(data.features.clip, rows)
    return outputs(data.features.values[chosen])["logits"], data.features.clip[chosen]


def clip_probabilities(
    outputs: Outputs, data: Dataset, rows: np.ndarray, temperature: float
) -> np.ndarray:
    """Return probabilities `(len(rows), classes)`, averaged over each clip's windows."""
    logits, clip = clip_logits(outputs, data, rows)
    return evaluation.mean_by_clip(evaluation.probabilities_of(logits, temperature), clip, rows)


def moods_of(fitted: Fitted, data: Dataset, rows: np.ndarray, classes: int) -> np.ndarray:
    """Return what a model makes of an average voice in each emotion, `(classes, size)`.

    Args:
        fitted: the model.
        data: what it was fitted on.
        rows: of speakers who make up the average.
        classes: how many emotions there are.
    """
    chosen = np.flatnonzero(np.isin(data.features.clip, rows))
    parts = np.array_split(chosen, range(_TOGETHER, len(chosen), _TOGETHER))
    embedding = [fitted.outputs(data.features.values[part])["embedding"] for part in parts]
    clip = data.features.clip[chosen]
    return profile.average_voice(
        np.concatenate(embedding),
        data.truth[clip],
        data.manifest.corpus.to_numpy()[clip],
        data.manifest.speaker.to_numpy()[clip],
        classes,
    )


_TOGETHER = 1024  # windows: what a trunk has made of all of them is gigabytes
