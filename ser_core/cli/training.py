"""Commands that train: train, crossval."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ser_core.cli.common import (
    Fold,
    Json,
    Settings,
    fold_of,
    print_json,
    progress_bars,
    show_progress,
    show_robustness,
)
from ser_core.errors import UndertoneError

if TYPE_CHECKING:  # only to be named
    import pandas

    from ser_core.card import Evaluation
    from ser_core.recipe import Recipe


def train(
    recipe: Annotated[str, typer.Argument(help="A recipe's name or path.")],
    run_dir: Annotated[Path | None, typer.Option(help="Where; runs/RECIPE if not given.")] = None,
    settings: Settings = [],  # noqa: B006 - Typer's own way to say "none"
    protocol: Annotated[
        str | None, typer.Option(help="Hold a test part out, as this protocol does.")
    ] = None,
    fold: Fold = None,
    resume: Annotated[
        bool,
        typer.Option(
            help="Go on with a run that was cut off, by its own recipe and protocol if no other "
            "is given."
        ),
    ] = False,
    evaluation: Annotated[
        list[Path], typer.Option(help="Output of `crossval --json`, for the model card.")
    ] = [],  # noqa: B006
    heldout: Annotated[
        list[Path], typer.Option(help="File of `crossval --heldout`, to be kept with the model.")
    ] = [],  # noqa: B006
) -> None:
    """Train a model for use, on all speakers but those that validate or are held out."""
    from ser_core import crossval as protocols
    from ser_core import dataset, splits, training
    from ser_core import heldout as heldouts
    from ser_core import recipe as recipes
    from ser_core.locations import runs_dir

    # All this before the recordings are prepared, which may take minutes.
    fold = fold_of(protocol, fold)
    if protocol:
        splits.check_fold(protocol, fold)
    loaded = recipes.load(recipe, settings)
    folder = run_dir or runs_dir() / loaded.name
    training.check_folder(folder, resume=resume)
    if resume:
        loaded = _gone_on_with(folder, loaded, changed=bool(settings))
        if not protocol:
            protocol, fold = training.held_out(folder)
    rows = tuple(row for path in evaluation for row in protocols.read_evaluations(path, loaded))
    tables = [heldouts.read(path, recipe=loaded.digest) for path in heldout]
    with progress_bars() as progress:
        clips, epochs = (progress.add_task(name, visible=False) for name in ("features", ""))
        data = dataset.load(loaded, on_clip=lambda total: _tell_features(progress, clips, total))
        card = training.train(
            loaded,
            data,
            folder,
            protocol=protocol,
            fold=fold,
            evaluations=rows,
            heldout_tables=tables,
            resume=resume,
            on_epoch=lambda event: _tell_epoch(progress, epochs, event),
        )
    for path, reason in data.left_out.items():
        print(f"left out: {path}: {reason}", file=sys.stderr)
    if card is None:
        print(f"{folder}: a baseline, which is measured only; see metrics.json there")
        return
    print(
        f"{folder / 'model'}: weights of epoch {card.training.epochs}; "
        f"use them with --model {folder / 'model'}"
    )


def _gone_on_with(folder: Path, loaded: "Recipe", *, changed: bool) -> "Recipe":
    """Return the recipe of the run in a folder, unless something is changed in the one loaded."""
    from ser_core import recipe as recipes

    if not (folder / recipes.OF_RUN).exists():
        print(f"there is no run in {folder} yet: this begins one", file=sys.stderr)
        return loaded
    if changed:
        return loaded  # which is compared with the run's
    begun = recipes.of_run(folder)
    if begun.name != loaded.name:
        raise UndertoneError(
            f"the run in {folder} is one of {begun.name}, not of {loaded.name}; name that recipe, "
            "or choose another --run-dir"
        )
    return begun


def _tell_features(progress, task: int, total: int) -> None:
    """Show that one more recording has features: a bar, or a line now and then in a log."""
    show_progress(progress, task, total=total, advance=1)
    done = int(progress.tasks[task].completed)
    if progress.disable and done % max(1, total // 10) == 0:
        print(f"features: {done} of {total}", file=sys.stderr, flush=True)


def _tell_epoch(progress, task: int, event: dict) -> None:
    """Show what an epoch brought: a bar, or a line in a log."""
    validated = "val_uar" in event
    text = f"validation UAR {event['val_uar']:.1%}" if validated else "on the validation part, too"
    text = f"training ({text})"
    show_progress(progress, task, description=text, completed=event["epoch"], total=event["epochs"])
    if progress.disable:
        line = f"epoch {event['epoch']} of {event['epochs']}: loss {event['loss']:.3f}"
        if validated:
            line += f", validation loss {event['val_loss']:.3f}, UAR {event['val_uar']:.1%}"
        print(line, file=sys.stderr, flush=True)


def crossval(
    recipe: Annotated[str, typer.Argument(help="A recipe's name or path.")],
    protocol: Annotated[str, typer.Option(help="How speakers are divided.")],
    seeds: Annotated[int, typer.Option(min=1, help="Runs of the whole protocol.")] = 3,
    jobs: Annotated[int, typer.Option(min=1, help="Folds trained at once.")] = os.cpu_count() or 1,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="A Dask cluster's, which trains the folds; here if not given."
        ),
    ] = None,
    voices: Annotated[
        list[int],
        typer.Option(
            "--voice", metavar="K", min=1, help="Measure also after K clips of each test speaker."
        ),
    ] = [],  # noqa: B006
    voice_labelled: Annotated[
        bool,
        typer.Option(
            "--voice-labelled",
            help="Measure also after a clip of each test speaker's in each mood.",
        ),
    ] = False,
    robustness: Annotated[
        bool, typer.Option("--robustness", help="Test changed recordings, too (seed 0).")
    ] = False,
    settings: Settings = [],  # noqa: B006
    heldout: Annotated[
        Path | None, typer.Option(help="Write what was heard in each recording here (Parquet).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure a recipe by a protocol: every fold under every seed; goes on where it stopped."""
    from ser_core import crossval as protocols
    from ser_core import dataset, figures, splits
    from ser_core import folds as fold_results
    from ser_core import recipe as recipes
    from ser_core.card import with_voice
    from ser_core.locations import runs_dir

    splits.fold_count(protocol)
    loaded = recipes.load(recipe, settings)
    known_from = [*voices, None] if voice_labelled else voices
    if known_from:  # before hours of training
        fold_results.check_voice(loaded)
    folder = runs_dir().resolve() / "crossval" / f"{loaded.name}-{loaded.digest}" / protocol
    with progress_bars() as progress:
        clips, folds = (progress.add_task(name, visible=False) for name in ("features", "folds"))
        # Once here, with every core, so that the folds find the cache filled.
        data = dataset.load(
            loaded, on_clip=lambda total: show_progress(progress, clips, total=total, advance=1)
        )

        if known_from:
            fold_results.check_others(loaded, data.manifest, protocol, known_from)

        def on_fold(result: figures.FoldResult, total: int) -> None:
            show_progress(progress, folds, total=total, advance=1)
            progress.console.print(
                f"seed {result.seed} fold {result.fold}: UAR {result.uar:.1%}, accuracy "
                f"{result.accuracy:.1%}, epoch {result.epoch}, {result.seconds:.0f} s"
            )

        results = protocols.crossval(
            loaded,
            protocol,
            folder,
            seeds=seeds,
            jobs=jobs,
            scheduler=scheduler,
            robustness=robustness,
            on_fold=on_fold,
        )
    if heldout:
        _write_heldout(figures.heldout_table(loaded, protocol, data.manifest, results), heldout)
    command = protocols.command(
        recipe, protocol, seeds, voices=known_from, robustness=robustness, settings=settings
    )
    rows = [figures.summarise(loaded, protocol, data.manifest, results, command)]
    known = [fold_results.with_voice(loaded, results, folder, clips=k) for k in known_from]
    for clips, found in zip(known_from, known, strict=True):
        named = with_voice(protocol, clips)
        rows.append(figures.summarise(loaded, named, data.manifest, found, command))
    if as_json:
        print_json(protocols.document(loaded, rows, results, known))
        return
    for row in rows:
        print(f"{loaded.name}, {_in_words(row)}")
    show_robustness(rows[0].robustness)
    print(f"every fold in {folder}")


def _write_heldout(table: "pandas.DataFrame", path: Path) -> None:
    from ser_core import heldout

    try:
        heldout.write([table], path)
    except OSError as error:
        raise UndertoneError(
            f"{path} cannot be written: {error.strerror or error}; every fold is kept: run the "
            "same command again with another --heldout"
        ) from None


def _in_words(row: "Evaluation") -> str:
    from ser_core.card import mean_sd, seeds_in_words

    uar, accuracy = mean_sd(row)
    return (
        f"{row.protocol}, {seeds_in_words(row)}: UAR {uar}%, accuracy {accuracy}%, macro F1 "
        f"{row.macro_f1:.1%}, ECE {row.ece:.1%}; {row.coverage:.0%} answered, of which "
        f"{row.selective_accuracy:.1%} right"
    )
