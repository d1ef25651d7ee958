"""Recipe and dataset to a trained, calibrated model in a run folder.

`train` reads from top to bottom: split, fit, calibrate, measure, describe, save.
"""

import hashlib
import json
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ser_core import bundle, corpora, evaluation, figures, splits, warm_start
from ser_core.card import Card, Evaluation, Provenance, Robustness, of_group
from ser_core.dataset import Dataset
from ser_core.errors import TrainingError
from ser_core.figures import FoldResult
from ser_core.fitted import Fitted, clip_probabilities, fit, learned_from, moods_of
from ser_core.hyperparameters import CLASSICAL, Deep
from ser_core.recipe import OF_RUN as RECIPE
from ser_core.recipe import Recipe
from ser_core.writing import write_json

if TYPE_CHECKING:
    import keras  # loads TensorFlow, for which baselines need not wait

# What `deep` begins with, for its card; more in models/campplus/README.md.
TRUNK = (
    "the first half of CAM++ (speech_campplus_sv_zh_en_16k-common_advanced), which tells speakers "
    "apart and was not trained further; © the 3D-Speaker authors, Apache License 2.0, "
    "github.com/modelscope/3D-Speaker; Wang et al., Interspeech 2023, arXiv 2303.00332. Changed: "
    "cut behind the second dense block, stored in float16, taken to Keras"
)


def train(
    recipe: Recipe,
    data: Dataset,
    run_dir: Path,
    *,
    protocol: str | None = None,
    fold: int = 0,
    evaluations: tuple[Evaluation, ...] = (),
    heldout_tables: Sequence[pd.DataFrame] = (),
    resume: bool = False,
    on_epoch: Callable[[dict], None] = lambda event: None,
) -> Card | None:
    """Train a model and write a run folder.

    The folder holds `recipe.json`, `run.json` (what is trained on what, where and when),
    `split.json` (utterance ids), `events.jsonl` (a line an epoch), `tensorboard/`,
    `checkpoint.npz` (the last epoch and the best), `predictions.parquet` and `metrics.json` (on
    the validation part, and on the test part if there is one) and, last, the bundle `model/`. Of a
    refit, `refit/` holds the like.

    Args:
        recipe: what to train.
        data: what to train it on, from `dataset.load`.
        run_dir: where; a folder that holds a run already is refused, unless it is to go on.
        protocol: by which a test part is held out, and measured afterwards. If not given, there is
            none, and all speakers but those who validate are trained on.
        fold: which of the protocol's.
        evaluations: rows of cross-validation results with the same recipe, for the card, and
        heldout_tables: what was heard in each recording then, for the bundle.
        resume: go on with the run that is in the folder; begin it if there is none.
        on_epoch: called after each epoch with its line of `events.jsonl`.

    Returns:
        The model's card; None for a baseline of `classical`, which is measured only.

    Raises:
        TrainingError: the folder is taken, is of another run, or cannot be written.
    """
    run_dir, seed = Path(run_dir), recipe.training.seed
    among = recipe.training.validation_speakers
    split = splits.split(data.manifest, protocol, fold, seed=seed, validation_speakers=among)
    try:
        _open(run_dir, recipe, data, split, {"protocol": protocol, "fold": fold}, resume)
        fitted = fit(recipe, data, split, seed=seed, folder=run_dir, keep=True, on_epoch=on_epoch)
        _measure(run_dir, recipe, data, split, fitted)
        if fitted.network is None:
            return None
        if protocol:
            row, table = _own_test(recipe, data, split, fitted, protocol, fold)
            evaluations, heldout_tables = (*evaluations, row), (*heldout_tables, table)
        card = describe(recipe, data, split, fitted, evaluations)
        for left in run_dir.glob(".model-*"):  # by a process that was killed while it saved
            shutil.rmtree(left, ignore_errors=True)
        return bundle.save(
            fitted.network,
            card,
            run_dir / "model",
            moods=moods_of(fitted, data, learned_from(recipe, split), len(recipe.labels)),
            heldout_tables=heldout_tables,
        )
    except OSError as error:
        raise TrainingError(
            f"{error.filename or run_dir} cannot be written: {error.strerror or error}; what was "
            "trained so far is kept: mend that and go on with --resume"
        ) from None


def _own_test(
    recipe: Recipe, data: Dataset, split: splits.Split, fitted: Fitted, protocol: str, fold: int
) -> tuple[Evaluation, pd.DataFrame]:
    """Return a model's own test as a row for its card, and as a table of its answers."""
    several = splits.fold_count(protocol) > 1
    name = of_group(protocol, fold) if several else protocol
    found = tested(recipe, data, split, fitted, seed=recipe.training.seed, fold=fold)
    return (
        figures.summarise(recipe, name, data.manifest, [found], command=""),
        figures.heldout_table(recipe, name, data.manifest, [found]),
    )


def tested(
    recipe: Recipe,
    data: Dataset,
    split: splits.Split,
    fitted: Fitted,
    *,
    seed: int,
    fold: int,
    robustness: tuple[Robustness, ...] = (),
) -> FoldResult:
    """Return what a fitted model, under some seed, makes of a fold's test part."""
    probabilities = clip_probabilities(fitted.outputs, data, split.test, fitted.temperature)
    threshold = fitted.selective.threshold
    return FoldResult(
        seed=seed,
        fold=fold,
        **figures.scores_of(recipe, data.manifest.iloc[split.test], probabilities, threshold),
        validation_uar=fitted.validation.uar,
        epoch=fitted.epoch,
        temperature=fitted.temperature,
        threshold=threshold,
        seconds=round(fitted.seconds, 1),
        parameters=fitted.parameters,
        environment=environment(recipe),
        robustness=robustness,
    )


def check_folder(run_dir: Path, *, resume: bool) -> None:
    """Make sure that a run can be begun or gone on with in a folder; nothing is written yet.

    Args:
        run_dir: the folder, which need not be there.
        resume: whether the run that it holds is to go on.

    Raises:
        TrainingError: it is taken, its run is finished, or it cannot be written.
    """
    if (run_dir / RECIPE).exists():
        if not resume:
            raise TrainingError(
                f"{run_dir} holds a run already; go on with it (--resume), delete it or choose "
                "another --run-dir"
            )
        if (run_dir / "model").exists():
            raise TrainingError(f"the run in {run_dir} is finished")
    there = next(path for path in (run_dir, *run_dir.absolute().parents) if path.exists())
    try:
        tempfile.TemporaryFile(dir=there).close()
    except OSError as error:
        raise TrainingError(
            f"{run_dir} cannot be written: {error.strerror or error}; choose another --run-dir"
        ) from None


def held_out(run_dir: Path) -> tuple[str | None, int]:
    """Return by which protocol a run holds a test part out, and which fold's it is.

    None and 0 if it holds nothing out, or there is no run yet.
    """
    try:
        about = json.loads((run_dir / "run.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None, 0
    return about["protocol"], about["fold"]


def _open(
    run_dir: Path, recipe: Recipe, data: Dataset, split: splits.Split, held_out: dict, resume: bool
) -> None:
    """Begin a run folder, or check that what is in it is the run that is to go on."""
    ids = data.manifest.id
    parts = {part: list(ids[rows]) for part, rows in asdict(split).items()}
    check_folder(run_dir, resume=resume)
    if (run_dir / RECIPE).exists():
        try:
            kept = {name: json.loads((run_dir / name).read_text("utf-8")) for name in _DEFINING}
        except (FileNotFoundError, ValueError):
            raise TrainingError(
                f"the run in {run_dir} is damaged; begin a new one with another --run-dir"
            ) from None
        now = {RECIPE: _plain(asdict(recipe)), "split.json": parts}
        for name, value in now.items():
            if kept[name] != value:
                told = f" ({_difference(kept[name], value)})" if name == RECIPE else ""
                raise TrainingError(
                    f"the run in {run_dir} was begun with another {Path(name).stem}{told}; begin a "
                    "new one with another --run-dir"
                )
        return
    run_dir.mkdir(parents=True, exist_ok=True)
    write_json(run_dir / "split.json", parts)
    write_json(
        run_dir / "run.json",
        held_out
        | {
            "recipe": recipe.digest,
            "seed": recipe.training.seed,
            "begun": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "manifest": _digest(data.manifest),
            "utterances": {part: len(rows) for part, rows in asdict(split).items()},
            "left_out": {str(path): reason for path, reason in data.left_out.items()},
            "environment": environment(recipe),
        },
    )
    # Last: a folder with a recipe has everything that going on needs.
    write_json(run_dir / RECIPE, asdict(recipe))


_DEFINING = (RECIPE, "split.json")


def _difference(kept: dict, now: dict, prefix: str = "") -> str:
    """Say of the first key that differs what it was and what it is."""
    key = next(key for key in (*kept, *now) if kept.get(key) != now.get(key))
    before, after = kept.get(key), now.get(key)
    if isinstance(before, dict) and isinstance(after, dict):
        return _difference(before, after, f"{prefix}{key}.")
    return f"{prefix}{key} was {json.dumps(before)}, not {json.dumps(after)}"


def _digest(manifest: pd.DataFrame) -> str:
    """Return a hash of what a manifest says, wherever its recordings lie."""
    text = manifest.drop(columns="path").to_csv(index=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _measure(
    run_dir: Path, recipe: Recipe, data: Dataset, split: splits.Split, fitted: Fitted
) -> None:
    """Write what the model hears in recordings it was not fitted on, and how good that is."""
    reports, tables = {}, []
    for part, outputs in (("validation", fitted.before_refit), ("test", fitted.outputs)):
        rows = getattr(split, part)
        if not len(rows):
            continue
        for calibrated in (False, True):
            temperature = fitted.temperature if calibrated else 1.0
            probabilities = clip_probabilities(outputs, data, rows, temperature)
            known = data.manifest[["id", "speaker", "sex", "emotion"]].iloc[rows]
            table = known.assign(part=part, calibrated=calibrated).reset_index(drop=True)
            tables.append(table.join(pd.DataFrame(probabilities, columns=recipe.labels)))
        reports[part] = asdict(evaluation.report(data.truth[rows], probabilities, recipe.labels))
    pd.concat(tables).to_parquet(run_dir / "predictions.parquet", index=False)
    calibration = {
        "temperature": fitted.temperature,
        "threshold": fitted.selective.threshold,
        "parameters": fitted.parameters,
        "epoch": fitted.epoch,
        "seconds": round(fitted.seconds, 1),
    }
    write_json(run_dir / "metrics.json", calibration | reports)


def describe(
    recipe: Recipe,
    data: Dataset,
    split: splits.Split,
    fitted: Fitted,
    evaluations: tuple[Evaluation, ...],
) -> Card:
    """Return the card of a fitted model."""
    speaker, learned = data.manifest.speaker, learned_from(recipe, split)
    nameless = {""}  # may be one or many
    provenance = Provenance(
        corpora={name: corpora.licence(name) for name in recipe.data.corpora},
        utterances=len(learned),
        speakers=tuple(sorted(set(speaker[learned]) - nameless)),
        validation_speakers=tuple(sorted(set(speaker[split.validation]) - nameless)),
        recipe=recipe.digest,
        seed=recipe.training.seed,
        epochs=fitted.epoch,
        seconds=round(fitted.seconds, 1),
        environment=environment(recipe),
        pretrained=TRUNK if isinstance(recipe.network, Deep) else "",
        refitted=recipe.training.refit,
    )
    if recipe.training.start:
        provenance = warm_start.told(provenance, recipe)
    return Card(
        name=recipe.name,
        description=recipe.description,
        created=date.today().isoformat(),
        labels=recipe.labels,
        features=recipe.features,
        temperature=fitted.temperature,
        threshold=fitted.selective.threshold,
        parameters=fitted.parameters,
        training=provenance,
        licence=" and ".join(sorted(set(provenance.corpora.values()))),
        evaluation=evaluations,
        **_standardisation(fitted.network),
    )


def _standardisation(network: "keras.Model") -> dict[str, tuple[float, ...]]:
    """Return what the network standardises its features by, as the card has it."""
    found = [layer for layer in network.layers if layer.name == "scale"]
    if not found:
        return {}
    sd = 1 / np.asarray(found[0].scale)
    mean = -np.asarray(found[0].offset) * sd
    return {"mean": tuple(mean.tolist()), "sd": tuple(sd.tolist())}


def environment(recipe: Recipe) -> dict[str, str]:
    """Return the versions that a training depends on."""
    found = {"Python": platform.python_version(), "NumPy": np.__version__}
    if isinstance(recipe.network, CLASSICAL):
        return found | {"scikit-learn": version("scikit-learn")}
    import keras

    backend = keras.backend.backend()
    return found | {"Keras": keras.__version__, backend: version(backend)}


def _plain(value) -> dict:
    """Return a value as JSON gives it back: lists for tuples."""
    return json.loads(json.dumps(value))
