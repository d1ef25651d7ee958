"""What commands share: options, JSON, progress bars."""

import json
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from ser_core.errors import UndertoneError

if TYPE_CHECKING:
    from ser_core.card import Robustness  # only to be named
    from ser_core.recognizer import Recognizer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Model = Annotated[str, typer.Option(help="A model's name or folder.")]
ModelInUse = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="A model's name or folder; the one in use (see models list) if not given.",
    ),
]
Fold = Annotated[
    int | None, typer.Option(min=0, help="Which of the protocol's folds, from 0; 0 if not given.")
]
Settings = Annotated[
    list[str], typer.Option("--set", metavar="KEY=VALUE", help="Change a value of the recipe.")
]


def fold_of(protocol: str | None, fold: int | None) -> int:
    """Return the fold that is meant.

    Raises:
        UndertoneError: one is named, but no protocol that it is a fold of.
    """
    if fold is not None and not protocol:
        raise UndertoneError(f"fold {fold} of what? name the --protocol, too, or leave out --fold")
    return fold or 0


def recognizer_of(name: str | None) -> "Recognizer":
    """Load a model by name or folder, or the one in use; it goes by its name on the shelf."""
    from ser_core import shelf
    from ser_core.locations import model_folders
    from ser_core.recognizer import Recognizer

    if name is None:
        chosen = shelf.active()
        if chosen.lost:
            print(
                f"the model {chosen.lost}, which was in use, is gone: {chosen.name} listens",
                file=sys.stderr,
            )
        name = chosen.name
    return shelf.load(name) if name in model_folders() else Recognizer.from_name(name)


def print_json(value) -> None:
    """Print one JSON document on stdout."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def progress_bars(*, in_bytes: bool = False):
    """Return progress bars on stderr, which vanish when they are done."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn() if in_bytes else MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        # Gone when it is done, and not there for a file: an error is the one line that stays.
        transient=True,
        disable=not sys.stderr.isatty(),
    )


def show_progress(progress, task: int, **values) -> None:
    """Update a bar, which is not shown before it has something to show."""
    progress.update(task, visible=True, **values)


def show_robustness(rows: Iterable["Robustness"]) -> None:
    """Print what changes to recordings did, a line each."""
    for row in rows:
        mark = {None: " ", True: "✓", False: "✗"}[row.passed]
        print(
            f"{mark} {row.condition:<36} UAR {row.uar:6.1%}, {-row.drop:+6.1%}; "
            f"{row.same:6.1%} of answers stay"
        )
