"""A protocol, run whole: every fold under every seed, and what came out."""

import json
import multiprocessing
import multiprocessing.connection
import os
import shlex
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from functools import partial
from itertools import chain
from pathlib import Path

from pydantic import TypeAdapter

from ser_core import cluster, dataset, folds, splits
from ser_core.card import Evaluation
from ser_core.corpora import ready_made
from ser_core.errors import UndertoneError
from ser_core.figures import FoldResult
from ser_core.hyperparameters import CLASSICAL
from ser_core.recipe import Recipe

_KEPT = "what is done is kept: run the same command again"


def crossval(
    recipe: Recipe,
    protocol: str,
    folder: Path,
    *,
    seeds: int,
    jobs: int,
    scheduler: str | None = None,
    robustness: bool = False,
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
        scheduler: address of a Dask cluster whose workers train the folds instead; all its machines
            see `folder` under the same name, and have the recordings.
        robustness: whether changed recordings are tested, too, under seed 0; a fold that was run
            without is then run again.
        on_fold: called with each result as it comes, and the number of all.

    Raises:
        UndertoneError: the protocol is unknown, a fold's process was ended from outside, the folder
            cannot be written, the cluster is of no use, or there is nothing to test the robustness
            of, or nothing to test it on.
    """
    count = splits.fold_count(protocol)
    if robustness:
        _check_robustness(recipe, protocol)
    tasks = [
        (recipe, protocol, seed, fold, folder) for seed in range(seeds) for fold in range(count)
    ]
    results = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        kept, waiting = _divided(tasks, robustness)
        for result in chain(
            kept, _on_cluster(waiting, scheduler) if scheduler else _here(waiting, jobs)
        ):
            results.append(result)
            on_fold(result, len(tasks))
    except OSError as error:
        raise UndertoneError(
            f"{error.filename or folder} cannot be written: {error.strerror or error}; what is "
            "done is kept: mend that and run the same command again"
        ) from None
    return sorted(results, key=lambda result: (result.seed, result.fold))


def _check_robustness(recipe: Recipe, protocol: str) -> None:
    if isinstance(recipe.network, CLASSICAL):
        raise UndertoneError(f"{recipe.name} is a baseline, whose robustness is not measured")
    manifest = dataset.select(recipe)
    silent = ready_made.silent(manifest)
    how = {"seed": 0, "validation_speakers": recipe.training.validation_speakers}
    if any(silent[split.test].any() for split in splits.splits(manifest, protocol, **how)):
        raise UndertoneError(
            "robustness needs recordings, but of CREMA-D only spectrograms are here; leave it out"
        )


def _divided(
    tasks: list[tuple], robustness: bool
) -> tuple[list[FoldResult], list[Callable[[], FoldResult]]]:
    """Return the results that are kept, and what gives the others."""
    done, waiting = [], []
    for task in tasks:
        _, _, seed, fold, folder = task
        wanted = robustness and seed == 0
        kept = folds.kept(seed, fold, folder, robustness=wanted)
        if kept:
            done.append(kept)
        else:
            waiting.append(partial(folds.run, *task, robustness=wanted))
    return done, waiting


def _on_cluster(waiting: list[Callable[[], FoldResult]], scheduler: str) -> Iterator[FoldResult]:
    if not waiting:
        return
    from distributed import as_completed

    with cluster.reached(scheduler) as client, cluster.explained(_KEPT):
        futures = [client.submit(task, pure=False) for task in waiting]
        for future in cluster.ended(client, as_completed(futures, loop=client.loop), _KEPT):
            yield future.result()


def _here(waiting: list[Callable[[], FoldResult]], jobs: int) -> Iterator[FoldResult]:
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
            for future in as_completed([pool.submit(task) for task in waiting]):
                yield future.result()
        except BrokenProcessPool:
            raise UndertoneError(
                f"a fold's process was ended from outside, perhaps for want of memory; {_KEPT}, "
                "with fewer --jobs"
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


def command(
    recipe_name: str,
    protocol: str,
    seeds: int,
    *,
    voices: Sequence[int | None] = (),
    robustness: bool = False,
    settings: Sequence[str] = (),
) -> str:
    """Return the command line that runs this cross-validation."""
    words = ["python", "-m", "ser_core", "crossval", recipe_name]
    words += ["--protocol", protocol, "--seeds", str(seeds)]
    for clips in voices:
        words += ["--voice", str(clips)] if clips else ["--voice-labelled"]
    if robustness:
        words.append("--robustness")
    for setting in settings:
        words += ["--set", setting]
    return shlex.join(words)


def document(
    recipe: Recipe,
    rows: list[Evaluation],
    results: list[FoldResult],
    known: Sequence[list[FoldResult]],
) -> dict:
    """Return what `crossval --json` prints: the rows, the folds, no single predictions.

    Args:
        recipe: what was trained.
        rows: of the protocol, and of those with a known voice.
        results: the folds.
        known: the same with a known voice, for each of those rows.
    """
    folds = [asdict(result) for result in results]
    for fold in folds:
        del fold["predictions"]
    summary, *voices = map(asdict, rows)
    return {
        "recipe": recipe.digest,
        "summary": summary,
        "voices": voices,
        "folds": folds,
        "voice_folds": [
            {"protocol": row.protocol} | {name: getattr(result, name) for name in _TOLD}
            for row, of_row in zip(rows[1:], known, strict=True)
            for result in of_row
        ],
    }


_TOLD = ("seed", "fold", "n", "uar", "accuracy", "ece")  # of a fold with a known voice


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
