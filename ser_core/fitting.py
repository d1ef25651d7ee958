"""A network, fitted on the training part of a split and guided by its validation part, if any."""

import json
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from keras import ops
from scipy.special import log_softmax

from ser_core import networks, regressions, warm_start, writing
from ser_core.batches import Batches, labelled
from ser_core.dataset import Dataset
from ser_core.errors import TrainingError
from ser_core.features import FeatureSpec
from ser_core.hyperparameters import Deep
from ser_core.recipe import Recipe, Training
from ser_core.splits import Split

CHECKPOINT = "checkpoint.npz"
EVENTS = "events.jsonl"
REFIT = "refit"  # the folder, within a run's, of a second fit


def fit_network(
    recipe: Recipe,
    data: Dataset,
    split: Split,
    *,
    seed: int,
    folder: Path,
    keep: bool = False,
    on_epoch: Callable[[dict], None] = lambda event: None,
) -> tuple[keras.Model, int, float]:
    """Fit the recipe's network and return it with the weights of its best epoch.

    Args:
        recipe: network, augmentation and schedule.
        data: from `dataset.load`.
        split: the test part is not looked at; without a validation part, what is fitted is the
            recipe's refit.
        seed: of weights, batches and augmentation.
        folder: where `events.jsonl` is kept.
        keep: whether a checkpoint (and TensorBoard's logs) are kept there after each epoch; one
            that is there already is gone on from.
        on_epoch: called with each line of `events.jsonl`.

    Returns:
        The network, which epoch was its best, and the seconds that it took in all.

    Raises:
        TrainingError: no epoch had a finite loss, or the model to start from does not fit.
    """
    folder.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(seed)
    config = recipe.training
    batches = Batches(recipe, data, split.train, seed)
    network = networks.build(recipe, scale(recipe, batches))
    if config.start:
        warm_start.transfer(recipe, network)
    elif isinstance(recipe.network, Deep):
        regressions.fit_likeness(recipe, network, batches)
    model = networks.head(network)
    classifier = keras.Model(model.input, model.output["logits"])
    validation = None
    if len(split.validation):
        chosen, *known = labelled(recipe, data, data.features, split.validation)
        validation = (data.features.values[chosen], *known)
    # Before the network is compiled, because its copy of it would be, too.
    guide = Guide(classifier, validation, config, folder, on_epoch)
    classifier.compile(
        optimizer=_optimizer(config, len(batches)),
        loss=keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=config.label_smoothing
        ),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy"), Uar(len(recipe.labels))],
    )
    if keep:
        guide.checkpoint = folder / CHECKPOINT
    begun = guide.go_on(classifier) if keep else 0
    if not begun:
        (folder / EVENTS).unlink(missing_ok=True)
    batches.begin(begun)
    callbacks: list[keras.callbacks.Callback] = [guide]
    if keep and keras.backend.backend() == "tensorflow":
        # After the guide, whose scores it logs.
        callbacks.append(keras.callbacks.TensorBoard(folder / "tensorboard", write_graph=False))
    if not guide.finished:
        classifier.fit(
            batches,
            epochs=config.epochs,
            initial_epoch=begun,
            shuffle=False,  # the batches are already drawn by chance
            verbose=0,
            callbacks=callbacks,
        )
    if not guide.best_epoch:
        raise TrainingError("no epoch had a finite loss; set training.learning_rate lower")
    classifier.set_weights(guide.best_weights)
    if isinstance(recipe.network, Deep):
        regressions.fit_emotions(recipe, network, batches)
    return network, guide.best_epoch, guide.elapsed


def scale(recipe: Recipe, batches: Batches) -> networks.Scale | None:
    """Return mean and sd of training windows; log-mel windows need none.

    Of what a trunk made of windows, frames behind a recording's end (zeros) do not count.
    """
    if isinstance(recipe.features, FeatureSpec):
        return None
    if isinstance(recipe.network, Deep):
        return _scale_of_frames(batches)
    values = np.concatenate(list(batches.in_order()))
    axes = tuple(range(values.ndim - 1))
    sd = values.std(axis=axes)
    return networks.Scale(values.mean(axis=axes), np.where(sd > 1e-6, sd, 1.0))


def _scale_of_frames(batches: Batches) -> networks.Scale:
    count, total, squares = 0, 0.0, 0.0
    for windows in batches.in_order():
        frames = windows[windows.any(axis=2)]
        count, total = count + len(frames), total + frames.sum(axis=0, dtype=float)
        squares = squares + np.square(frames).sum(axis=0, dtype=float)
    mean = total / count
    sd = np.sqrt(np.maximum(squares / count - mean**2, 0))
    return networks.Scale(mean, np.where(sd > 1e-6, sd, 1.0))


def _optimizer(config: Training, steps: int) -> keras.optimizers.Optimizer:
    rate = learning_rate(config, steps) if config.schedule == "cosine" else config.learning_rate
    if config.optimizer == "adam":
        return keras.optimizers.Adam(rate)
    return keras.optimizers.AdamW(rate, weight_decay=config.weight_decay)


def learning_rate(config, steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """Return a linear warm-up followed by a cosine to zero, over `steps` a epoch."""
    warmup = config.warmup_epochs * steps
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else config.learning_rate,
        decay_steps=max(config.epochs * steps - warmup, 1),
        warmup_target=config.learning_rate if warmup else None,
        warmup_steps=warmup,
    )


class Uar(keras.metrics.Metric):
    """Unweighted average recall, over the emotions seen; a mixed target is its greater part."""

    def __init__(self, classes: int, name: str = "uar"):
        """Begin with nothing seen of so many classes."""
        super().__init__(name=name)
        self.right, self.seen = (
            self.add_weight(shape=(classes,), initializer="zeros", name=part)
            for part in ("right", "seen")
        )

    def update_state(self, targets, logits, sample_weight=None):
        """Count the windows of a batch; weights are for the loss."""
        classes = self.seen.shape[0]
        truth = ops.one_hot(ops.argmax(targets, axis=1), classes)
        guess = ops.one_hot(ops.argmax(logits, axis=1), classes)
        self.right.assign_add(ops.sum(truth * guess, axis=0))
        self.seen.assign_add(ops.sum(truth, axis=0))

    def result(self):
        """Return the mean recall."""
        recall = self.right / ops.maximum(self.seen, 1)
        return ops.sum(recall) / ops.maximum(ops.sum(ops.cast(self.seen > 0, recall.dtype)), 1)


class Guide(keras.callbacks.Callback):
    """Validates each epoch, remembers the best, and says when to slow down and when to stop.

    What is validated is the average of the weights over epochs: an exponential one without the
    pull of the first weights (Kingma & Ba 2015, section 3), in a model of its own. Where there is
    to be a refit, in which nobody is left to validate on, the last epoch is the best, there and
    before. Everything that the guide knows is in a checkpoint with what the model and its optimizer
    know, so that a training that was killed goes on as if nothing had happened.
    """

    def __init__(
        self,
        model: keras.Model,
        windows: tuple | None,
        config: Training,
        folder: Path,
        on_epoch: Callable[[dict], None] = lambda event: None,
    ):
        """Validate on `windows`: values, one-hot targets, weights; or not at all, in a refit."""
        super().__init__()
        self.windows, self.config, self.on_epoch = windows, config, on_epoch
        self.events, self.checkpoint = folder / EVENTS, None
        self.averaged = keras.models.clone_model(model)
        self.sums = [np.zeros_like(weight) for weight in model.get_weights()]
        self.best_score, self.best_epoch, self.best_weights = -np.inf, 0, model.get_weights()
        self.waited, self.finished, self.seconds = 0, False, 0.0
        self.started = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        """Add the averaged weights' `val_…` to the logs and to `events.jsonl`."""
        for total, weight in zip(self.sums, self.model.get_weights(), strict=True):
            total *= self.config.averaging
            total += (1 - self.config.averaging) * weight
        correction = 1 - self.config.averaging ** (epoch + 1)
        self.averaged.set_weights([total / correction for total in self.sums])
        scores = self._validate() if self.windows else {}
        logs |= {f"val_{name}": value for name, value in scores.items()}
        logs["learning_rate"] = float(self.model.optimizer.learning_rate)
        score = self._score(epoch, scores)
        self.waited += 1
        if np.isfinite((scores or logs)["loss"]) and score > self.best_score:
            self.best_score, self.best_epoch, self.waited = score, epoch + 1, 0
            self.best_weights = self.averaged.get_weights()
        if self.config.schedule == "plateau" and self.waited:
            if self.waited % max(1, self.config.patience // 3) == 0:
                self.model.optimizer.learning_rate.assign(logs["learning_rate"] / 2)
        self.finished = self.waited >= self.config.patience or epoch + 1 == self.config.epochs
        self.model.stop_training = self.finished
        self._tell(epoch, logs)
        if self.checkpoint:
            self._keep(epoch + 1)

    @property
    def elapsed(self) -> float:
        """Seconds since the training began, without those in which it was stopped."""
        return self.seconds + time.monotonic() - self.started

    def _score(self, epoch: int, scores: dict[str, float]) -> float:
        if self.config.refit:
            return epoch
        # The loss, by default, because the UAR of few speakers jumps from epoch to epoch.
        return -scores["loss"] if self.config.best == "loss" else scores["uar"]

    def _validate(self) -> dict[str, float]:
        values, targets, weights = self.windows
        logits = networks.outputs(self.averaged, values)
        truth, guess = targets.argmax(axis=1), logits.argmax(axis=1)
        surprise = -log_softmax(logits.astype(float), axis=1)[np.arange(len(truth)), truth]
        recalls = [(guess[truth == label] == label).mean() for label in np.unique(truth)]
        return {
            "loss": float(np.mean(weights * surprise)),
            "accuracy": float(np.mean(guess == truth)),
            "uar": float(np.mean(recalls)),
        }

    def _tell(self, epoch: int, logs: dict) -> None:
        before = 0 if self.windows else self.config.epochs
        event = {"epoch": before + epoch + 1, "epochs": self.config.total_epochs}
        event |= {name: float(f"{float(value):.5g}") for name, value in logs.items()}
        event["seconds"] = round(self.elapsed, 2)
        with self.events.open("a", encoding="utf-8") as file:
            file.write(json.dumps(event) + "\n")
        self.on_epoch(event)

    def _state(self) -> dict[str, list[np.ndarray]]:
        return {
            "model": [np.asarray(value) for value in self.model.variables],
            "optimizer": [np.asarray(value) for value in self.model.optimizer.variables],
            "sums": self.sums,
            "best": self.best_weights,
        }

    def _keep(self, epochs: int) -> None:
        arrays = {
            f"{name}-{index}": value
            for name, values in self._state().items()
            for index, value in enumerate(values)
        }
        numbers = np.array([epochs, self.best_score, self.best_epoch, self.waited, self.finished])
        known = {"numbers": numbers, "seconds": self.elapsed} | arrays
        writing.write(self.checkpoint, lambda file: np.savez(file, **known))

    def go_on(self, model: keras.Model) -> int:
        """Take everything from the checkpoint, if there is one; return the epochs done by then."""
        self.set_model(model)
        model.optimizer.build(model.trainable_variables)
        try:
            with np.load(self.checkpoint, allow_pickle=False) as kept:
                found = {
                    name: [kept[f"{name}-{index}"] for index in range(len(values))]
                    for name, values in self._state().items()
                }
                numbers, self.seconds = kept["numbers"], float(kept["seconds"])
        except FileNotFoundError:
            return 0
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            raise TrainingError(
                f"{self.checkpoint} is damaged, so that this run cannot go on; begin a new one"
            ) from None
        for name, variables in (
            ("model", model.variables),
            ("optimizer", model.optimizer.variables),
        ):
            for variable, value in zip(variables, found[name], strict=True):
                variable.assign(value)
        self.sums, self.best_weights = found["sums"], found["best"]
        epochs, self.best_score, best_epoch, waited, finished = numbers
        self.best_epoch, self.waited, self.finished = int(best_epoch), int(waited), bool(finished)
        self._forget_after(int(epochs))
        return int(epochs)

    def _forget_after(self, epochs: int) -> None:
        """Drop the lines of epochs that were told but not kept."""
        lines = self.events.read_text("utf-8").splitlines(keepends=True)
        kept = "".join(lines[:epochs]).encode()
        writing.write(self.events, lambda file: file.write(kept))
