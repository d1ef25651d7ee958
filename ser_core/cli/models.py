"""Commands about models."""

from dataclasses import asdict
from typing import Annotated

import typer

from ser_core.cli.common import Json, print_json

app = typer.Typer(help="Models on this machine.")


@app.command("list")
def models_list(as_json: Json = False) -> None:
    """List the models."""
    from ser_core import bundle, recognizer

    cards = {name: bundle.read_card(path) for name, path in recognizer.model_folders().items()}
    if as_json:
        print_json([{"model": name} | asdict(card) for name, card in cards.items()])
        return
    for name, card in cards.items():
        print(f"{name}: {card.description} {card.parameters:,} parameters")


@app.command("show")
def models_show(
    name: Annotated[str, typer.Argument(help="A model.")], as_json: Json = False
) -> None:
    """Print a model's card."""
    from ser_core import bundle, card, recognizer

    found = bundle.read_card(recognizer.find_model(name))
    if as_json:
        print_json(asdict(found))
    else:
        print(card.model_card(found))


@app.command("verify")
def models_verify(
    name: Annotated[str, typer.Argument(help="A model.")], as_json: Json = False
) -> None:
    """Check a model's files against its card, and load it."""
    from ser_core import bundle, recognizer

    folder = recognizer.find_model(name)
    bundle.load(folder)
    if as_json:
        print_json({"model": name, "folder": folder, "verified": True})
        return
    print(f"{folder}: every file is what its card describes, and the model loads")
