"""Recipes as TOML text: written, and changed by it."""

import json
import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict

from ser_core.recipe import Recipe, RecipeError


def settings_of(text: str) -> list[str]:
    """Return what a TOML text sets, as `recipe.load` takes it: `training.epochs=20`.

    Raises:
        RecipeError: it is not TOML.
    """
    try:
        return list(_flattened(tomllib.loads(text)))
    except (ValueError, RecursionError) as error:  # of what is nested a thousandfold
        raise RecipeError(f"this is not TOML: {error}") from None


def _flattened(table: Mapping, prefix: str = "") -> Iterator[str]:
    for key, value in table.items():
        if isinstance(value, dict) and value:
            yield from _flattened(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}={spelled(value)}"


def to_toml(what: Recipe | Mapping) -> str:
    """Return a recipe, or what `recipe.json` holds of one, as the TOML text that loads as it."""
    table = what if isinstance(what, Mapping) else asdict(what)
    lines = _lines(table)
    for name, values in table.items():
        if isinstance(values, Mapping):
            lines += ["", f"[{name}]", *_lines(values)]
    return "\n".join(lines) + "\n"


def _lines(table: Mapping) -> list[str]:
    return [
        f"{key} = {spelled(value)}"
        for key, value in table.items()
        if value is not None and not isinstance(value, Mapping)
    ]


def spelled(value) -> str:
    """Return a value as TOML, which spells all that a recipe has as JSON does.

    Raises:
        RecipeError: a recipe has no such value.
    """
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(spelled, value))}]"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    try:
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    except TypeError:
        raise RecipeError(f"a recipe has no place for {value}") from None
