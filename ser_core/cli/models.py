"""Commands about models."""

import sys
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ser_core.cli.common import Json, print_json
from ser_core.errors import UndertoneError

app = typer.Typer(help="Models on this machine.")

Name = Annotated[str, typer.Argument(help="A model.")]


class Format(StrEnum):
    """What a model can be exported as."""

    KERAS = "keras"
    ONNX = "onnx"
    LITERT = "litert"
    BUNDLE = "bundle"


@app.command("list")
def models_list(as_json: Json = False) -> None:
    """List the models."""
    from ser_core import shelf

    models, active = shelf.models(), shelf.active().name
    if as_json:
        rows = [
            {"model": name, "active": name == active, "origin": model.origin} | asdict(model.card)
            for name, model in models.items()
        ]
        print_json(rows)
        return
    for name, model in models.items():
        use = ", in use" if name == active else ""
        card = model.card
        print(f"{name}: {card.description} {card.parameters:,} parameters; {model.origin}{use}")
    for reason in shelf.damaged().values():
        print(f"left out: {reason}", file=sys.stderr)


@app.command("show")
def models_show(name: Name, as_json: Json = False) -> None:
    """Print a model's card."""
    from ser_core import bundle, card, locations

    found = bundle.read_card(locations.find_model(name))
    if as_json:
        print_json(asdict(found))
    else:
        print(card.model_card(found))


@app.command("verify")
def models_verify(name: Name, as_json: Json = False) -> None:
    """Check a model's files against its card, and load it."""
    from ser_core import bundle, locations

    folder = locations.find_model(name)
    bundle.load(folder)
    if as_json:
        print_json({"model": name, "folder": folder, "verified": True})
        return
    print(f"{folder}: every file is what its card describes, and the model loads")


@app.command("activate")
def models_activate(name: Name, as_json: Json = False) -> None:
    """Make a model the one that the app uses, at once and until another is chosen."""
    from ser_core import shelf

    chosen = shelf.activate(name)
    if as_json:
        print_json({"model": chosen.name, "before": chosen.before})
    else:
        print(f"{chosen.name} is in use now")


@app.command("rename")
def models_rename(
    name: Name, new: Annotated[str, typer.Argument(help="Its new name.")], as_json: Json = False
) -> None:
    """Give a trained or imported model another name."""
    from ser_core import shelf

    shelf.rename(name, new)
    if as_json:
        print_json({"model": new, "before": name})
    else:
        print(f"{name} is called {new} now")


@app.command("delete")
def models_delete(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Delete a trained or imported model, with everything its training has written."""
    from ser_core import shelf

    folder = shelf.deletable(name)
    if not yes:
        if not sys.stdin.isatty():
            raise UndertoneError(f"{folder} would be deleted for good; say --yes if it should")
        typer.confirm(f"Delete {folder} for good?", abort=True, err=True)
    shelf.delete(name)
    if as_json:
        print_json({"model": name, "deleted": True})
    else:
        print(f"{name} is deleted")


@app.command("import")
def models_import(
    file: Annotated[Path, typer.Argument(help="A ZIP archive of a model folder.")],
    name: Annotated[str | None, typer.Option(help="What to call it.")] = None,
    scratch: Annotated[Path | None, typer.Option(hidden=True)] = None,
    as_json: Json = False,
) -> None:
    """Check a model that was exported elsewhere, and add it to the models here."""
    from ser_core import importing

    known = importing.take_in(file, name=name, scratch=scratch)
    if as_json:
        print_json({"model": known})
    else:
        print(f"{known} is there now; `models activate {known}` makes it the app's")


@app.command("export")
def models_export(
    name: Name,
    format: Annotated[Format, typer.Option(help="The kind of file.")] = Format.ONNX,
    output: Annotated[
        Path | None, typer.Option(help="The ZIP archive; by default, NAME-FORMAT.zip.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a model for use elsewhere, with all that is needed to use it, as a ZIP archive.

    bundle is the model folder itself, for `models import`.
    """
    from ser_core import export

    file = output or Path(f"{name}-{format}.zip")
    export.write(name, format, file)
    if as_json:
        print_json({"model": name, "format": format, "file": file})
    else:
        print(f"{file}: {file.stat().st_size / 1e6:.1f} MB")
