"""Recipe and dataset to a trained, calibrated model.

`train` reads from top to bottom: split, fit, calibrate, describe, save.
"""

import json
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from ser_core import bundle, corpora, evaluation, networks, splits
from ser_core.augment import augment
from ser_core.card import Card, Evaluation, Provenance
from ser_core.dataset import Dataset
from ser_core.errors import UndertoneError
from ser_core.features import FeatureSet
from ser_core.recipe import Recipe


@dataclass(frozen=True, eq=False)
class Fitted:
    """What fitting gave.

    Attributes:
        model: with the weights of the best epoch.
        epoch: which that was, from 1.
        temperature: fitted on the validation speakers, as is
        selective: the abstention threshold and what it means there.
        validation: scores on the validation speakers, who also chose the epoch.
        seconds: how long it took.
    """

    model: keras.Model
    epoch: int
    temperature: float
    selective: evaluation.Selective
    validation: evaluation.Report
    seconds: float


class TrainingError(UndertoneError):
    """A training cannot be done; the message says why and what to do."""


def train(
    recipe: Recipe,
    data: Dataset,
    run_dir: Path,
    *,
    evaluations: tuple[Evaluation, ...] = (),
    heldout_tables: Sequence[pd.DataFrame] = (),
    on_epoch: Callable[[dict], None] = lambda event: None,
) -> Card:
    """Train a model on everything but its validation speakers, and write a run folder.

    The folder holds `recipe.json`, `split.json`, `events.jsonl` (a line an epoch), `metrics.json`
    (on the validation speakers) and, last, the bundle `model/`.

    Args:
        recipe: what to train.
        data: what to train it on, from `dataset.load`.
        run_dir: where; a folder that holds a run already is refused.
        evaluations: rows of cross-validation results with the same recipe, for the card, and
        heldout_tables: what was heard in each recording then, for the bundle.
        on_epoch: called after each epoch with its line of `events.jsonl`.

    Raises:
        TrainingError: the folder is taken.
    """
    run_dir = Path(run_dir)
    if (run_dir / "recipe.json").exists():
        raise TrainingError(f"{run_dir} holds a run already; delete it or choose another --run-dir")
    seed = recipe.training.seed
    split = splits.holdout(
        data.manifest, seed=seed, validation_speakers=recipe.training.validation_speakers
    )
    run_dir.mkdir(parents=True, exist_ok=True)
    _write_json(run_dir / "recipe.json", asdict(recipe))
    ids = data.manifest.id
    parts = {"train": list(ids[split.train]), "validation": list(ids[split.validation])}
    _write_json(run_dir / "split.json", parts)

    fitted = fit(recipe, data, split, seed=seed, folder=run_dir, on_epoch=on_epoch)

    _write_json(run_dir / "metrics.json", {"validation": asdict(fitted.validation)})
    card = describe(recipe, data, split, fitted, evaluations)
    population = mean_voice(fitted.model, data, split.train)
    return bundle.save(
        fitted.model,
        card,
        run_dir / "model",
        population=population,
        heldout_tables=heldout_tables,
    )


def fit(
    recipe: Recipe,
    data: Dataset,
    split: splits.Split,
    *,
    seed: int,
    folder: Path,
    on_epoch: Callable[[dict], None] = lambda event: None,
) -> Fitted:
    """Fit the recipe's network on a split's training part, guided by its validation part.

    Args:
        recipe: network, augmentation and schedule.
        data: from `dataset.load`.
        split: the test part is not looked at.
        seed: of weights, batches and augmentation.
        folder: where `events.jsonl` is kept.
        on_epoch: called with each line of `events.jsonl`.
    """
    started = time.monotonic()
    keras.utils.set_random_seed(seed)
    config = recipe.training
    batches = Batches(recipe, data, split.train, seed)
    model = networks.build(recipe)
    classifier = keras.Model(model.input, model.output["logits"])
    classifier.compile(
        optimizer=keras.optimizers.AdamW(
            learning_rate(config, len(batches)), weight_decay=config.weight_decay
        ),
        loss=keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=config.label_smoothing
        ),
        # Each class weighs the same, so this weighted accuracy is the UAR.
        weighted_metrics=[keras.metrics.CategoricalAccuracy(name="uar")],
    )
    validation = AveragedWeights(
        classifier,
        _windows(recipe, data.truth, data.features, split.validation),
        config.averaging,
    )
    events = folder / "events.jsonl"
    events.unlink(missing_ok=True)
    classifier.fit(
        batches,
        epochs=config.epochs,
        verbose=0,
        callbacks=[
            # First, because the others look at the scores it adds.
            validation,
            keras.callbacks.EarlyStopping(monitor="val_loss", patience=config.patience),
            _EventLog(events, config.epochs, on_epoch),
        ],
    )
    if not validation.best_epoch:
        raise TrainingError(
            "no epoch had a finite validation loss; set training.learning_rate lower"
        )
    classifier.set_weights(validation.best_weights)

    truth = data.truth[split.validation]
    logits, clip = clip_windows(model, data, split.validation)
    window_truth = data.truth[clip]
    temperature = evaluation.fit_temperature(window_truth, logits)
    probabilities = evaluation.mean_by_clip(
        evaluation.probabilities_of(logits, temperature), clip, split.validation
    )
    return Fitted(
        model=model,
        epoch=validation.best_epoch,
        temperature=temperature,
        selective=evaluation.choose_threshold(truth, probabilities, config.selective_accuracy),
        validation=evaluation.report(truth, probabilities, recipe.labels),
        seconds=time.monotonic() - started,
    )


def learning_rate(config, steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """Return a linear warm-up followed by a cosine to zero, over `steps` a epoch."""
    warmup = config.warmup_epochs * steps
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else config.learning_rate,
        decay_steps=max(config.epochs * steps - warmup, 1),
        warmup_target=config.learning_rate if warmup else None,
        warmup_steps=warmup,
    )


class Batches(keras.utils.PyDataset):
    """Shuffled, augmented batches of a training part: windows, soft targets, class weights.

    An epoch has as many windows as the part has at its own speed, drawn from those at all speeds.
    """

    def __init__(self, recipe: Recipe, data: Dataset, rows: np.ndarray, seed: int):
        """Prepare the windows of some rows of a dataset."""
        super().__init__()
        self.recipe, self.seed, self.epoch = recipe, seed, 0
        parts = [
            _windows(recipe, data.truth, features, rows) for features in (data.features, *data.sped)
        ]
        self.values, self.targets, self.weights = map(np.concatenate, zip(*parts, strict=True))
        self.size = min(recipe.training.batch_size, len(parts[0][0]))
        self.batches = len(parts[0][0]) // self.size
        self._shuffle()

    def __len__(self) -> int:
        """Return the number of batches."""
        return self.batches

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return batch `index` of the current epoch."""
        chosen = self.order[index * self.size : (index + 1) * self.size]
        rng = np.random.default_rng((self.seed, self.epoch, index))
        config, spec = self.recipe.augmentation, self.recipe.features
        values, targets = augment(self.values[chosen], self.targets[chosen], config, spec, rng)
        return values, targets, self.weights[chosen]

    def on_epoch_end(self) -> None:
        """Shuffle anew."""
        self.epoch += 1
        self._shuffle()

    def _shuffle(self) -> None:
        rng = np.random.default_rng((self.seed, self.epoch))
        self.order = rng.permutation(len(self.values))


def _windows(
    recipe: Recipe, truth: np.ndarray, features: FeatureSet, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return windows, one-hot targets and weights with which every class counts the same."""
    chosen = np.isin(features.clip, rows)
    truth = truth[features.clip[chosen]]
    count = np.bincount(truth, minlength=len(recipe.labels))
    weights = (len(truth) / (np.count_nonzero(count) * np.maximum(count, 1)))[truth]
    targets = np.eye(len(recipe.labels), dtype=np.float32)[truth]
    return features.values[chosen], targets, weights.astype(np.float32)


def clip_windows(
    model: keras.Model, data: Dataset, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the logits of all windows of some rows, and the row each window belongs to."""
    chosen = np.isin(data.features.clip, rows)
    logits = model.predict(data.features.values[chosen], batch_size=256, verbose=0)["logits"]
    return logits, data.features.clip[chosen]


def predict_clips(
    model: keras.Model, data: Dataset, rows: np.ndarray, temperature: float
) -> np.ndarray:
    """Return calibrated probabilities `(len(rows), classes)`, averaged over each clip's windows."""
    logits, clip = clip_windows(model, data, rows)
    return evaluation.mean_by_clip(evaluation.probabilities_of(logits, temperature), clip, rows)


def mean_voice(model: keras.Model, data: Dataset, rows: np.ndarray) -> np.ndarray:
    """Return the mean over the speakers of some rows of their mean embedding, `(size,)`."""
    chosen = np.isin(data.features.clip, rows)
    outputs = model.predict(data.features.values[chosen], batch_size=256, verbose=0)
    speaker = data.manifest.speaker.to_numpy()[data.features.clip[chosen]]
    of_each = [outputs["embedding"][speaker == name].mean(axis=0) for name in set(speaker)]
    return np.mean(of_each, axis=0)


def describe(
    recipe: Recipe,
    data: Dataset,
    split: splits.Split,
    fitted: Fitted,
    evaluations: tuple[Evaluation, ...],
) -> Card:
    """Return the card of a fitted model."""
    licences = {name: corpora.licence(name) for name in recipe.data.corpora}
    speaker = data.manifest.speaker
    return Card(
        name=recipe.name,
        description=recipe.description,
        created=date.today().isoformat(),
        labels=recipe.labels,
        features=recipe.features,
        temperature=fitted.temperature,
        threshold=fitted.selective.threshold,
        parameters=fitted.model.count_params(),
        training=Provenance(
            corpora=licences,
            utterances=len(split.train),
            speakers=tuple(sorted(set(speaker[split.train]))),
            validation_speakers=tuple(sorted(set(speaker[split.validation]))),
            recipe=recipe.digest,
            seed=recipe.training.seed,
            epochs=fitted.epoch,
            seconds=round(fitted.seconds, 1),
            environment=environment(),
        ),
        licence=" and ".join(sorted(set(licences.values()))),
        evaluation=evaluations,
    )


def environment() -> dict[str, str]:
    """Return the versions that a training depends on."""
    return {
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        "Keras": keras.__version__,
        keras.backend.backend(): version(keras.backend.backend()),
    }


class AveragedWeights(keras.callbacks.Callback):
    """Averages the weights over epochs, validates the average, and remembers the best one.

    The average is an exponential one without the pull of the first weights (Kingma & Ba 2015,
    section 3), and is validated in a model of its own.
    """

    def __init__(self, model: keras.Model, windows: tuple, momentum: float):
        """Validate on `windows`: values, one-hot targets, weights."""
        super().__init__()
        self.windows, self.momentum = windows, momentum
        self.averaged = keras.models.clone_model(model)
        self.averaged.compile(
            loss=keras.losses.CategoricalCrossentropy(from_logits=True),
            weighted_metrics=[keras.metrics.CategoricalAccuracy(name="uar")],
        )
        self.sums = [np.zeros_like(weight) for weight in model.get_weights()]
        self.best_loss, self.best_epoch, self.best_weights = np.inf, 0, model.get_weights()

    def on_epoch_end(self, epoch, logs=None):
        """Add `val_loss` and `val_uar` of the averaged weights to the logs."""
        for total, weight in zip(self.sums, self.model.get_weights(), strict=True):
            total *= self.momentum
            total += (1 - self.momentum) * weight
        correction = 1 - self.momentum ** (epoch + 1)
        self.averaged.set_weights([total / correction for total in self.sums])
        values, targets, weights = self.windows
        scores = self.averaged.evaluate(
            values, targets, sample_weight=weights, batch_size=256, verbose=0, return_dict=True
        )
        logs |= {f"val_{name}": value for name, value in scores.items()}
        # The loss, because the UAR of few speakers jumps from epoch to epoch.
        if scores["loss"] < self.best_loss:
            self.best_loss, self.best_epoch = scores["loss"], epoch + 1
            self.best_weights = self.averaged.get_weights()


class _EventLog(keras.callbacks.Callback):
    def __init__(self, path: Path, epochs: int, on_epoch: Callable[[dict], None]):
        super().__init__()
        self.path, self.epochs, self.on_epoch = path, epochs, on_epoch
        self.started = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        event = {"epoch": epoch + 1, "epochs": self.epochs}
        event |= {name: round(float(value), 5) for name, value in logs.items()}
        event["seconds"] = round(time.monotonic() - self.started, 2)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(event) + "\n")
        self.on_epoch(event)


def _write_json(path: Path, value) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", "utf-8")
