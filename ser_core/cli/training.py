"""Commands that train: train, crossval."""

import os
from pathlib import Path
from typing import Annotated

import typer

from ser_core.cli.common import Json, Settings, print_json, progress_bars, show_progress


def train(
    recipe: Annotated[str, typer.Argument(help="A recipe's name or path.")],
    run_dir: Annotated[Path | None, typer.Option(help="Where; runs/RECIPE if not given.")] = None,
    settings: Settings = [],  # noqa: B006 - Typer's own way to say "none"
    evaluation: Annotated[
        list[Path], typer.Option(help="Output of `crossval --json`, for the model card.")
    ] = [],  # noqa: B006
    heldout: Annotated[
        list[Path], typer.Option(help="File of `crossval --heldout`, to be kept with the model.")
    ] = [],  # noqa: B006
) -> None:
    """Train a model for use, on all speakers but those that decide when to stop."""
    from ser_core import crossval as protocols
    from ser_core import dataset
    from ser_core import heldout as heldouts
    from ser_core import recipe as recipes
    from ser_core.recognizer import runs_dir

    loaded = recipes.load(recipe, settings)
    rows = tuple(row for path in evaluation for row in protocols.read_evaluations(path, loaded))
    tables = [heldouts.read(path, recipe=loaded.digest) for path in heldout]
    folder = run_dir or runs_dir() / loaded.name
    with progress_bars() as progress:
        clips, epochs = (progress.add_task(name, visible=False) for name in ("features", ""))

        def on_epoch(event: dict) -> None:
            text = f"training (validation UAR {event['val_uar']:.1%})"
            done = {"completed": event["epoch"], "total": event["epochs"]}
            show_progress(progress, epochs, description=text, **done)

        data = dataset.load(
            loaded, on_clip=lambda total: show_progress(progress, clips, total=total, advance=1)
        )
        from ser_core import training  # not before the data is known to be good: it takes seconds

        card = training.train(
            loaded,
            data,
            folder,
            evaluations=rows,
            heldout_tables=tables,
            on_epoch=on_epoch,
        )
    print(
        f"{folder / 'model'}: weights of epoch {card.training.epochs}; "
        f"use them with --model {folder / 'model'}"
    )


def crossval(
    recipe: Annotated[str, typer.Argument(help="A recipe's name or path.")],
    protocol: Annotated[str, typer.Option(help="How speakers are divided.")],
    seeds: Annotated[int, typer.Option(min=1, help="Runs of the whole protocol.")] = 3,
    jobs: Annotated[int, typer.Option(min=1, help="Folds trained at once.")] = os.cpu_count() or 1,
    voices: Annotated[
        list[int],
        typer.Option(
            "--voice", metavar="K", min=1, help="Measure also after K clips of each test speaker."
        ),
    ] = [],  # noqa: B006
    settings: Settings = [],  # noqa: B006
    heldout: Annotated[
        Path | None, typer.Option(help="Write what was heard in each recording here (Parquet).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure a recipe by a protocol: every fold under every seed; goes on where it stopped."""
    from ser_core import crossval as protocols
    from ser_core import dataset, splits
    from ser_core import heldout as heldouts
    from ser_core import recipe as recipes
    from ser_core.recognizer import runs_dir

    splits.fold_count(protocol)
    loaded = recipes.load(recipe, settings)
    folder = runs_dir() / "crossval" / f"{loaded.name}-{loaded.digest}" / protocol
    with progress_bars() as progress:
        clips, folds = (progress.add_task(name, visible=False) for name in ("features", "folds"))
        # Once here, with every core, so that the folds find the cache filled.
        data = dataset.load(
            loaded, on_clip=lambda total: show_progress(progress, clips, total=total, advance=1)
        )

        def on_fold(result: protocols.FoldResult, total: int) -> None:
            show_progress(progress, folds, total=total, advance=1)
            progress.console.print(
                f"seed {result.seed} fold {result.fold}: UAR {result.uar:.1%}, accuracy "
                f"{result.accuracy:.1%}, epoch {result.epoch}, {result.seconds:.0f} s"
            )

        results = protocols.crossval(
            loaded, protocol, folder, seeds=seeds, jobs=jobs, on_fold=on_fold
        )
    if heldout:
        table = protocols.heldout_table(loaded, protocol, data.manifest, results)
        heldouts.write([table], heldout)
    command = protocols.command(recipe, protocol, seeds, voices=voices, settings=settings)
    rows = [protocols.summarise(loaded, protocol, results, command)]
    for clips in voices:
        known = protocols.with_voice(loaded, results, folder, clips=clips)
        rows.append(protocols.summarise(loaded, f"{protocol}+voice({clips})", known, command))
    if as_json:
        print_json(protocols.document(loaded, rows, results))
        return
    for row in rows:
        print(
            f"{loaded.name}, {row.protocol}, {row.seeds} seeds: UAR {row.uar:.1%} ± "
            f"{row.uar_sd:.1%}, accuracy {row.accuracy:.1%} ± {row.accuracy_sd:.1%}, macro F1 "
            f"{row.macro_f1:.1%}, ECE {row.ece:.1%}; {row.coverage:.0%} answered, of which "
            f"{row.selective_accuracy:.1%} right"
        )
    print(f"every fold in {folder}")
