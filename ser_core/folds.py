"""One fold of a protocol: trained under one seed, tested, and what came out kept in files."""

import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import TypeAdapter

from ser_core import (
    bundle,
    dataset,
    evaluation,
    figures,
    fitted,
    profile,
    splits,
    training,
    writing,
)
from ser_core.card import Robustness
from ser_core.errors import UndertoneError
from ser_core.figures import FoldResult
from ser_core.fitted import Fitted
from ser_core.hyperparameters import CLASSICAL
from ser_core.recipe import Recipe
from ser_core.recognizer import Recognizer
from ser_core.robustness import measure

_RESULT = TypeAdapter(FoldResult)


def run(
    recipe: Recipe, protocol: str, seed: int, fold: int, folder: Path, *, robustness: bool
) -> FoldResult:
    """Train on one fold's training part, test on its test part, and keep the result.

    Args:
        recipe: its own seed is not used.
        protocol: a name from `splits.PROTOCOLS`.
        seed: of everything drawn by chance.
        fold: which of the protocol's.
        folder: where the result is kept.
        robustness: whether changed recordings are tested, too.
    """
    data = dataset.load(recipe)
    among = recipe.training.validation_speakers
    split = splits.split(data.manifest, protocol, fold, seed=seed, validation_speakers=among)
    with tempfile.TemporaryDirectory(prefix=f"seed{seed}-fold{fold}-", dir=folder) as scratch:
        found = fitted.fit(recipe, data, split, seed=seed, folder=Path(scratch))
        if found.network is not None:
            events = _file(seed, fold, folder).with_suffix(".jsonl")
            shutil.copyfile(Path(scratch) / "events.jsonl", events)
        changed = _robustness(recipe, data, split, found, Path(scratch)) if robustness else ()
    result = training.tested(recipe, data, split, found, seed=seed, fold=fold, robustness=changed)
    if found.network is not None:
        moods = _moods(recipe, data, split, found)
        file = _file(seed, fold, folder).with_suffix(".npz")
        _keep_embeddings(found, data, split.test, moods, file)
    writing.write_json(_file(seed, fold, folder), asdict(result))
    return result


def _keep_embeddings(
    found: Fitted, data: dataset.Dataset, rows: np.ndarray, moods: np.ndarray, file: Path
) -> None:
    """Keep what the model makes of the windows of some rows, and its `profile.Space`."""
    chosen = np.isin(data.features.clip, rows)
    outputs = found.outputs(data.features.values[chosen])
    kernel, _ = found.network.get_layer("logits").get_weights()
    np.savez_compressed(
        file,
        id=data.manifest.id.to_numpy(str)[data.features.clip[chosen]],
        logits=outputs["logits"],
        embedding=outputs["embedding"],
        kernel=kernel,
        moods=moods,
    )


def _moods(recipe: Recipe, data: dataset.Dataset, split: splits.Split, found: Fitted) -> np.ndarray:
    """Return the `moods` of a model's `profile.Space`, of those whom it has learned from."""
    rows = fitted.learned_from(recipe, split)
    return fitted.moods_of(found, data, rows, len(recipe.labels))


def _robustness(
    recipe: Recipe, data: dataset.Dataset, split: splits.Split, found: Fitted, folder: Path
) -> tuple[Robustness, ...]:
    """Return what changes to the test recordings do to the answers of the model as it is served."""
    card = training.describe(recipe, data, split, found, ())
    bundle.save(found.network, card, folder / "model", moods=_moods(recipe, data, split, found))
    recognizer = Recognizer(bundle.load(folder / "model"))
    _, rows = measure(recognizer, data.manifest.iloc[split.test])
    return tuple(rows)


def with_voice(
    recipe: Recipe, results: list[FoldResult], folder: Path, *, clips: int | None
) -> list[FoldResult]:
    """Score folds again, each clip after the model has got to know its speaker's voice.

    That is the protocol `…+voice(clips)`: the voice is known from as many clips of the speaker,
    drawn at random among the others of the test part, whose labels are not looked at. Of no number
    of clips, it is `…+voice-labelled`: from one in each emotion, so that none colours the voice.

    Args:
        recipe: the results'.
        results: of `crossval.crossval`.
        folder: where it kept them.
        clips: how many make a profile; None for one in each emotion.

    Raises:
        UndertoneError: the recipe's is a baseline, which has no place for voices, a speaker has too
            few other clips, or recordings that were tested are there no longer.
    """
    check_voice(recipe)
    manifest = dataset.select(recipe)
    return [_with_voice(recipe, manifest, result, folder, clips) for result in results]


def check_voice(recipe: Recipe) -> None:
    """Make sure that what a recipe trains can get to know a voice.

    Raises:
        UndertoneError: it cannot.
    """
    if isinstance(recipe.network, CLASSICAL):
        raise UndertoneError(f"{recipe.name} is a baseline, which cannot get to know a voice")


def check_others(
    recipe: Recipe, manifest: pd.DataFrame, protocol: str, voices: Iterable[int | None]
) -> None:
    """Make sure that there are recordings to get to know each tested voice from.

    Args:
        recipe: how many speakers validate.
        manifest: of `dataset.load`.
        protocol: who is tested.
        voices: from how many clips each voice is to be known, at least one; see `with_voice`.

    Raises:
        UndertoneError: a speaker has too few.
    """
    how = {"seed": 0, "validation_speakers": recipe.training.validation_speakers}
    most = max(clips or 1 for clips in voices)
    for split in splits.splits(manifest, protocol, **how):
        for speaker, count in manifest.speaker.iloc[split.test].value_counts().items():
            profile.check_others(speaker, count - 1, most)


def _with_voice(
    recipe: Recipe, manifest: pd.DataFrame, result: FoldResult, folder: Path, clips: int | None
) -> FoldResult:
    with np.load(_file(result.seed, result.fold, folder).with_suffix(".npz")) as kept:
        if "moods" not in kept:
            raise UndertoneError(
                f"{folder} is of an earlier version, which kept less of a voice; delete it and run "
                "the same command again"
            )
        window_id, logits, embedding = kept["id"], kept["logits"], kept["embedding"]
        space = profile.Space(kept["kernel"], kept["moods"])
    # By name, for the corpora may have changed, and training leaves out what it cannot read.
    tested = manifest[manifest.id.isin(window_id)]
    clip = pd.Index(tested.id).get_indexer(window_id)
    if (clip < 0).any():
        raise UndertoneError(
            f"{window_id[clip.argmin()]} was tested, but is there no longer; delete {folder} and "
            "run the same command again"
        )
    every = np.arange(len(tested))
    of_clip = evaluation.mean_by_clip(embedding, clip, every)
    heard = evaluation.mean_by_clip(
        evaluation.probabilities_of(logits, result.temperature), clip, every
    )
    truth = np.eye(len(recipe.labels))[dataset.truth(tested, recipe)]
    speaker, emotion = tested.speaker.to_numpy(), tested.emotion.to_numpy()
    rng = np.random.default_rng((result.seed, result.fold, clips or 0))
    change = np.empty((len(tested), len(recipe.labels)))
    for index in every:
        if clips is None:
            others = profile.draw_one_of_each(speaker, emotion, index, rng)
            offset = profile.offsets(of_clip[others], truth[others], space, believed=1)
        else:
            others = profile.draw_others(speaker, index, clips, rng)
            offset = profile.offsets(of_clip[others], heard[others], space)
        change[index] = profile.correction(offset.mean(axis=0), len(others), space)
    probabilities = evaluation.mean_by_clip(
        evaluation.probabilities_of(logits + change[clip], result.temperature), clip, every
    )
    scores = figures.scores_of(recipe, tested, probabilities, result.threshold)
    # Changed recordings were heard without the voice.
    return replace(result, **scores, robustness=())


def _file(seed: int, fold: int, folder: Path) -> Path:
    return folder / f"seed{seed}-fold{fold}.json"


def kept(seed: int, fold: int, folder: Path, *, robustness: bool) -> FoldResult | None:
    """Return the result that `run` has kept, if it has, with robustness, if that is wanted."""
    try:
        text = _file(seed, fold, folder).read_text("utf-8")
        result = _RESULT.validate_json(text)
    except (OSError, ValueError):
        return None  # absent, or from another version
    return result if result.robustness or not robustness else None
