"""A protocol, run whole: every fold under every seed, and what came out."""

import json
import multiprocessing
import multiprocessing.connection
import os
import shlex
import shutil
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from pydantic import TypeAdapter

from ser_core import dataset, evaluation, heldout, profile, splits
from ser_core.card import Evaluation
from ser_core.errors import UndertoneError
from ser_core.recipe import CLASSICAL, Recipe

if TYPE_CHECKING:
    from ser_core.training import Fitted


@dataclass(frozen=True)
class FoldResult:
    """What one fold gave under one seed; scores are fractions on the test part.

    `predictions` maps each test utterance's id to its calibrated probabilities, in the order of
    the recipe's labels.
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


def crossval(
    recipe: Recipe,
    protocol: str,
    folder: Path,
    *,
    seeds: int,
    jobs: int,
    on_fold: Callable[[FoldResult, int], None] = lambda result, total: None,
) -> list[FoldResult]:
    """Train and test a recipe on every fold of a protocol, under seeds 0, 1, ….

    Each fold's result is kept in `folder` as it comes, and is not computed again; delete the
    folder to start anew, for instance after a change to the code.

    Args:
        recipe: its own seed is not used.
        protocol: a name from `splits.PROTOCOLS`.
        folder: where the results of this recipe and protocol are kept.
        seeds: how many runs of the protocol.
        jobs: how many folds to train at once, in processes of their own.
        on_fold: called with each result as it comes, and the number of all.
    """
    folds = splits.fold_count(protocol)
    tasks = [
        (recipe, protocol, seed, fold, folder) for seed in range(seeds) for fold in range(folds)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    results = []
    for result in _run(tasks, jobs):
        results.append(result)
        on_fold(result, len(tasks))
    return sorted(results, key=lambda result: (result.seed, result.fold))


def _run(tasks: list[tuple], jobs: int) -> Iterator[FoldResult]:
    kept = [_kept(*task[2:]) for task in tasks]
    yield from (result for result in kept if result)
    waiting = [task for task, result in zip(tasks, kept, strict=True) if not result]
    if not waiting:
        return
    # Processes that train side by side must not each claim every core (or the whole accelerator).
    for name in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, str(max(1, (os.cpu_count() or 1) // jobs)))
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    # Keep freed memory for the next step instead of giving it back: a sixth less processor time.
    os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(2**25))
    os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", str(2**31))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        min(jobs, len(waiting)),
        mp_context=context,
        initializer=_end_with_parent,
        max_tasks_per_child=1,  # because TensorFlow gives little of its memory back
    ) as pool:
        try:
            for future in as_completed([pool.submit(run_fold, *task) for task in waiting]):
                yield future.result()
        except BrokenProcessPool:
            raise UndertoneError(
                "a fold's process was ended from outside, perhaps for want of memory; what is done "
                "is kept: run the same command again, with fewer --jobs"
            ) from None
        except BaseException:
            pool.shutdown(cancel_futures=True)  # or the others would all be trained first
            raise


def _end_with_parent() -> None:
    """Let this process not outlive the one that began it, should that be killed."""

    def watch() -> None:
        multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def run_fold(recipe: Recipe, protocol: str, seed: int, fold: int, folder: Path) -> FoldResult:
    """Train on one fold's training part, test on its test part, and keep the result."""
    from ser_core import training  # loads TensorFlow, for which `summarise` need not wait

    data = dataset.load(recipe)
    split = splits.splits(
        data.manifest,
        protocol,
        seed=seed,
        validation_speakers=recipe.training.validation_speakers,
    )[fold]
    with tempfile.TemporaryDirectory(prefix=f"seed{seed}-fold{fold}-", dir=folder) as scratch:
        fitted = training.fit(recipe, data, split, seed=seed, folder=Path(scratch))
        if fitted.network is not None:
            events = _file(seed, fold, folder).with_suffix(".jsonl")
            shutil.copyfile(Path(scratch) / "events.jsonl", events)
    probabilities = training.predict_clips(fitted, data, split.test)
    result = FoldResult(
        seed=seed,
        fold=fold,
        **_scores(
            recipe,
            data.manifest.iloc[split.test],
            probabilities,
            fitted.selective.threshold,
        ),
        validation_uar=fitted.validation.uar,
        epoch=fitted.epoch,
        temperature=fitted.temperature,
        threshold=fitted.selective.threshold,
        seconds=round(fitted.seconds, 1),
        parameters=fitted.parameters,
        environment=training.environment(recipe),
    )
    if fitted.network is not None:
        population = training.mean_voice(fitted, data, training.learned_from(recipe, split))
        kept = _file(seed, fold, folder).with_suffix(".npz")
        _keep_embeddings(fitted, data, split.test, population, kept)
    partial = _file(seed, fold, folder).with_suffix(".partial")
    partial.write_text(json.dumps(asdict(result)), "utf-8")
    partial.rename(_file(seed, fold, folder))
    return result


def _scores(
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


def _keep_embeddings(
    fitted: "Fitted", data: dataset.Dataset, rows: np.ndarray, population: np.ndarray, file: Path
) -> None:
    """Keep what the model makes of the windows of some rows, and its `profile.Space`."""
    chosen = np.isin(data.features.clip, rows)
    outputs = fitted.outputs(data.features.values[chosen])
    kernel, _ = fitted.network.get_layer("logits").get_weights()
    np.savez_compressed(
        file,
        row=data.features.clip[chosen],
        logits=outputs["logits"],
        embedding=outputs["embedding"],
        kernel=kernel,
        population=population,
    )


def with_voice(
    recipe: Recipe, results: list[FoldResult], folder: Path, *, clips: int
) -> list[FoldResult]:
    """Score folds again, each clip after the model has got to know its speaker's voice.

    That is the protocol `…+voice(clips)`: the voice is known from as many clips of the speaker,
    drawn at random among the others of the test part, whose labels are not looked at.

    Args:
        recipe: the results'.
        results: of `crossval`.
        folder: where it kept them.
        clips: how many make a profile.

    Raises:
        UndertoneError: the recipe's is a baseline, which has no place for voices, or a speaker has
            too few other clips.
    """
    if isinstance(recipe.network, CLASSICAL):
        raise UndertoneError(f"{recipe.name} is a baseline, which cannot get to know a voice")
    manifest = dataset.select(recipe)
    return [_with_voice(recipe, manifest, result, folder, clips) for result in results]


def _with_voice(
    recipe: Recipe, manifest: pd.DataFrame, result: FoldResult, folder: Path, clips: int
) -> FoldResult:
    with np.load(_file(result.seed, result.fold, folder).with_suffix(".npz")) as kept:
        window_row, logits, embedding = kept["row"], kept["logits"], kept["embedding"]
        space = profile.Space(kept["kernel"], kept["population"])
    rows = np.unique(window_row)
    of_clip = evaluation.mean_by_clip(embedding, window_row, rows)
    speaker = manifest.speaker.to_numpy()[rows]
    rng = np.random.default_rng((result.seed, result.fold, clips))
    change = np.empty((len(rows), len(recipe.labels)))
    for index, name in enumerate(speaker):
        others = np.setdiff1d(np.flatnonzero(speaker == name), index)
        if len(others) < clips:
            raise UndertoneError(
                f"{name} has {len(others)} other clips in the test part, but a voice is to be "
                f"known from {clips}; ask for fewer"
            )
        heard = rng.choice(others, clips, replace=False)
        change[index] = profile.correction(of_clip[heard].mean(axis=0), clips, space)
    changed = logits + change[np.searchsorted(rows, window_row)]
    probabilities = evaluation.mean_by_clip(
        evaluation.probabilities_of(changed, result.temperature), window_row, rows
    )
    return replace(result, **_scores(recipe, manifest.iloc[rows], probabilities, result.threshold))


def summarise(recipe: Recipe, protocol: str, results: list[FoldResult], command: str) -> Evaluation:
    """Return a row for the model card: means of folds within a seed, mean and sd over seeds."""
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
        corpus=recipe.data.corpus,
        labels=len(recipe.labels),
        seeds=len(seeds),
        n=sum(result.n for result in results if result.seed == seeds[0]),
        uar=float(uar.mean()),
        uar_sd=float(uar.std(**spread)),
        accuracy=float(accuracy.mean()),
        accuracy_sd=float(accuracy.std(**spread)),
        macro_f1=float(by_seed("macro_f1").mean()),
        ece=float(by_seed("ece").mean()),
        coverage=sum(answered) / sum(result.n for result in results),
        selective_accuracy=float(np.average(right, weights=answered)) if any(answered) else 1.0,
        recall=dict(
            zip(recipe.labels, _recall([result.confusion for result in results]), strict=True)
        ),
        uar_by_sex={sex: float(np.mean(_recall(found))) for sex, found in by_sex.items()},
        fold_seconds=float(np.median([result.seconds for result in results])),
        command=command,
    )


def _recall(confusions: list[list[list[int]]]) -> list[float]:
    total = np.sum(confusions, axis=0)
    return (total.diagonal() / np.maximum(total.sum(axis=1), 1)).tolist()


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


def command(
    recipe_name: str,
    protocol: str,
    seeds: int,
    *,
    voices: Sequence[int] = (),
    settings: Sequence[str] = (),
) -> str:
    """Return the command line that runs this cross-validation."""
    words = ["python", "-m", "ser_core", "crossval", recipe_name]
    words += ["--protocol", protocol, "--seeds", str(seeds)]
    for clips in voices:
        words += ["--voice", str(clips)]
    for setting in settings:
        words += ["--set", setting]
    return shlex.join(words)


def _file(seed: int, fold: int, folder: Path) -> Path:
    return folder / f"seed{seed}-fold{fold}.json"


def _kept(seed: int, fold: int, folder: Path) -> FoldResult | None:
    try:
        return FoldResult(**json.loads(_file(seed, fold, folder).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None  # absent, or from another version


def document(recipe: Recipe, rows: list[Evaluation], results: list[FoldResult]) -> dict:
    """Return what `crossval --json` prints: the rows, the folds, no single predictions.

    Args:
        recipe: what was trained.
        rows: of the protocol, and of those with a known voice.
        results: the folds.
    """
    folds = [asdict(result) for result in results]
    for fold in folds:
        del fold["predictions"]
    summary, *voices = map(asdict, rows)
    return {"recipe": recipe.digest, "summary": summary, "voices": voices, "folds": folds}


def read_evaluations(path: Path, recipe: Recipe) -> tuple[Evaluation, ...]:
    """Read the rows of a `document`, for the card of a model of the same recipe.

    Raises:
        UndertoneError: the file is no such document, or is of another recipe.
    """
    try:
        found = json.loads(Path(path).read_text("utf-8"))
        rows = TypeAdapter(tuple[Evaluation, ...]).validate_python(
            (found["summary"], *found["voices"])
        )
        digest = found["recipe"]
    except (OSError, ValueError, KeyError, TypeError):
        raise UndertoneError(f"{path} is not what `crossval --json` prints") from None
    if digest != recipe.digest:
        raise UndertoneError(
            f"{path} was measured with another recipe than {recipe.name} as it is now"
        )
    return rows
