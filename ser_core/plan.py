"""A training before it begins: which recipe, with which recordings, tested how, for how long."""

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import pandas as pd

from ser_core import bundle, dataset, jobs, recipe, shelf, splits, teacher, warm_start
from ser_core.card import LEAKY
from ser_core.emotions import EMOTIONS
from ser_core.errors import UndertoneError
from ser_core.hyperparameters import CLASSICAL
from ser_core.jobs import read_json
from ser_core.locations import QUICK_MODEL, model_folders, runs_dir
from ser_core.recipe import RECIPES, Recipe
from ser_core.recipe_text import spelled
from ser_core.splits import PROTOCOLS, Split

# How fast recipes were trained beforehand; see `benchmarks/epoch.py`.
EPOCHS = Path(__file__).parent.parent / "benchmarks" / "results" / "epoch.json"
# How long whole trainings took, on two cores that had other work, too; see `benchmarks/systems.py`.
FOLDS = EPOCHS.with_name("systems.json")
_RATES = {"dropout", "spatial_dropout", "frame_dropout", "channel_dropout"}


class PlanError(UndertoneError):
    """What is to be trained does not go together; the message says why."""


@dataclass(frozen=True)
class Speed:
    """How fast something like it was trained before: seconds a clip and epoch, and in which run.

    Of a baseline, which has no epochs, seconds a clip. Without a run, it is what we have measured
    beforehand, on two cores of another computer.
    """

    seconds: float
    run: str


@lru_cache(maxsize=1)
def shipped() -> dict[str, Recipe]:
    """Return the shipped recipes by name: the quick model's, our other ones, the field's networks.

    Baselines come last.
    """
    found = {path.stem: recipe.load(path.stem) for path in sorted(RECIPES.glob("*.toml"))}

    def place(item: tuple[str, Recipe]) -> tuple:
        name, loaded = item
        return is_baseline(loaded), loaded.published is not None, name != QUICK_MODEL

    return dict(sorted(found.items(), key=place))


def is_baseline(loaded: Recipe) -> bool:
    """Return whether a recipe's classifier is measured only and leaves no model to use."""
    return isinstance(loaded.network, CLASSICAL)


def recordings(loaded: Recipe, manifests: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the recordings that a recipe asks for, by their names alone: some may be damaged.

    Args:
        loaded: a recipe.
        manifests: of the corpora that are here, by name.

    Raises:
        PlanError: a corpus is not here, or has nothing of an emotion.
    """
    wanted = loaded.data
    if absent := [name for name in wanted.corpora if name not in manifests]:
        raise PlanError(f"there are no recordings of {', '.join(absent)} here")
    found = pd.concat([manifests[name] for name in wanted.corpora], ignore_index=True)
    found = dataset.asked_for(found, loaded)
    if lacking := [label for label in loaded.labels if label not in set(found.emotion)]:
        raise PlanError(
            f"there is no recording that is {' or '.join(lacking)}; leave that out or add others"
        )
    return found


def suited(
    loaded: Recipe, manifests: Mapping[str, pd.DataFrame], corpora: Sequence[str] = ()
) -> list[str]:
    """Return the settings by which a recipe makes do with the recordings that are here.

    Args:
        loaded: a recipe.
        manifests: of the corpora that are here, by name.
        corpora: those to use; the recipe's own, or if none of them is here the first, if not given.
    """
    if not manifests:
        return []
    own = [name for name in loaded.data.corpora if name in manifests]
    used = list(corpora) or own or list(manifests)[:1]
    found = pd.concat([manifests[name] for name in used])
    channels = [name for name in loaded.data.channels if name in set(found.channel)]
    channels = channels or sorted(set(found.channel))
    heard = set(found.emotion[found.channel.isin(channels)])
    labels = [label for label in loaded.labels if label in heard]
    # Nothing but one emotion of the recipe's: then whatever there is.
    labels = labels if len(labels) > 1 else [label for label in EMOTIONS if label in heard]
    wishes = {"data.corpus": "+".join(used), "data.channels": channels, "labels": labels}
    # As many of each corpus: a part of them has not the people to spare for all.
    of_each = loaded.training.validation_speakers // len(loaded.data.corpora)
    if of_each and len(used) != len(loaded.data.corpora):
        wishes["training.validation_speakers"] = of_each * len(used)
    if loaded.training.teacher and not found.speaker.astype(bool).any():
        wishes["training.teacher"] = 0.0  # it has to be told one speaker from another
    return [f"{key}={spelled(value)}" for key, value in wishes.items()]


def protocols(loaded: Recipe, manifest: pd.DataFrame) -> dict[str, str]:
    """Return the protocols by which recordings can be divided, and why not by the others.

    Returns:
        By protocol, an empty text, or the reason as part of a sentence.
    """
    found = {}
    for protocol in PROTOCOLS:
        try:
            split(loaded, manifest, protocol, 0)
            found[protocol] = ""
        except UndertoneError as error:
            found[protocol] = str(error)
    return found


def split(loaded: Recipe, manifest: pd.DataFrame, protocol: str | None, fold: int) -> Split:
    """Return how recordings are divided; with a damaged one among them, it may be a bit otherwise.

    Raises:
        UndertoneError: they cannot be divided so, or the model that is started with knows those who
            are to judge.
    """
    config = loaded.training
    if config.start:
        shelf.find(config.start)  # by name alone, unlike a command: visitors name no folder
    how = {"seed": config.seed, "validation_speakers": config.validation_speakers}
    found = splits.split(manifest, protocol, fold, **how)
    warm_start.check(loaded, manifest, found)
    teacher.check(loaded, manifest, found)
    return found


def starts(loaded: Recipe) -> list[str]:
    """Return the models whose weights a network could begin with: those that hear the same."""
    found = []
    for name, folder in model_folders().items():
        with suppress(UndertoneError):  # a damaged one
            if bundle.read_card(folder).features == loaded.features:
                found.append(name)
    return found


def speed(loaded: Recipe, runs: Sequence[str]) -> Speed | None:
    """Return how fast the same network over the same features was trained here, or else by us.

    Args:
        loaded: a recipe.
        runs: names of runs, the latest first; one that is not over yet counts as well.

    Returns:
        That of the run whose batches are the nearest in size; None if nothing like it is known.
    """
    alike = []
    for name in runs:
        with suppress(UndertoneError):  # it was deleted, or is damaged
            other = recipe.of_run(runs_dir() / name)
            if _work(other) == _work(loaded):
                alike.append((name, other))
    size = loaded.training.batch_size
    alike.sort(key=lambda run: abs(math.log(run[1].training.batch_size / size)))
    for name, other in alike:
        folder = runs_dir() / name
        clips = read_json(folder / "run.json").get("utterances", {}).get("train")
        seconds = jobs.epoch_seconds(jobs.read_events(folder))
        if is_baseline(loaded):
            seconds = read_json(folder / "metrics.json").get("seconds")
        if seconds and clips:
            return Speed(seconds / clips * _more(loaded, other), name)
    return _ours(loaded)


def _ours(loaded: Recipe) -> Speed | None:
    """Return how fast we have trained a recipe's network beforehand; None if we have not."""
    if is_baseline(loaded):
        return None
    alike = [name for name, known in shipped().items() if _work(known) == _work(loaded)]
    for name, measured in read_json(EPOCHS).items():
        if name in alike:
            return Speed(measured["s"] / measured["windows"] * _shown(loaded), "")
    for name, (clips, seconds) in _folds().items():
        if name in alike:
            known = shipped()[name]
            # How many rounds it took is not kept: no fewer than these, and so it is no slower.
            rounds = min(known.training.epochs, known.training.patience + 1)
            if known.training.refit:  # which stops at none
                rounds = known.training.total_epochs
            return Speed(seconds / clips / rounds * _more(loaded, known), "")
    return None


def _folds() -> dict[str, tuple[float, float]]:
    """Return with how many clips `FOLDS` has networks trained, by recipe, and how long it took."""
    try:
        systems = json.loads(FOLDS.read_text("utf-8"))
        # Of five clips one is tested, and 15 % of the others validate.
        return {
            system["recipe"]: (3.4 * system[LEAKY]["n"], system[LEAKY]["fold_seconds"])
            for system in systems
            if system["digest"] == shipped()[system["recipe"]].digest
        }
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def minutes(loaded: Recipe, found: Speed, clips: int) -> float:
    """Return how long a training on some clips takes at most, but for preparing them."""
    epochs = 1 if is_baseline(loaded) else loaded.training.total_epochs
    return found.seconds * clips * epochs / 60


def parameters(loaded: Recipe, runs: Sequence[str]) -> int | None:
    """Return how many weights the network has, if it was trained or shipped; None if not known."""
    if is_baseline(loaded):
        return None  # it grows with the recordings
    wanted = _shape(_plain(loaded))
    for name in runs:
        count = read_json(runs_dir() / name / "metrics.json").get("parameters")
        if count and _shape(read_json(runs_dir() / name / "recipe.json")) == wanted:
            return count
    for folder in model_folders().values():
        try:
            card = bundle.read_card(folder)
        except UndertoneError:
            continue
        if card.training.recipe == loaded.digest:
            return card.parameters
    return None


def _shape(kept: Mapping) -> tuple:
    return kept.get("network"), kept.get("features"), len(kept.get("labels", ()))


def _work(loaded: Recipe) -> tuple:
    """Return what the time that a window takes depends on.

    Not on what is dropped, nor on how windows are changed, which takes a thirtieth of what learning
    from them takes (swift's). Nor on how many are learned from at once: that is assumed to matter
    little, and so `speed` takes the run that is nearest in that.
    """
    kept = {name: value for name, value in asdict(loaded.network).items() if name not in _RATES}
    return kept, loaded.features


def _shown(loaded: Recipe) -> int:
    """Return how many windows, at most, an epoch shows of a clip that is not longer than one."""
    return len(loaded.augmentation.variants) + 1 if loaded.training.whole_epochs else 1


def _more(loaded: Recipe, other: Recipe) -> float:
    """Return how much more, at most, an epoch of a recipe shows of a clip than another's does."""
    if _shown(loaded) == _shown(other) and loaded.augmentation.only == other.augmentation.only:
        return 1.0
    # Where some emotions only are varied, it is not known how many clips these have.
    return _shown(loaded) / (1 if other.augmentation.only else _shown(other))


def _plain(loaded: Recipe) -> dict:
    return json.loads(json.dumps(asdict(loaded)))
