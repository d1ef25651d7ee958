"""Writes files whole or not at all; on a full disk, nothing is left behind."""

import json
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO


def write(file: Path, content: Callable[[BinaryIO], object]) -> None:
    """Write a file at once, so that nobody reads half of it.

    Args:
        file: where; replaced if it exists. Its folder is made.
        content: writes what is to be in it.

    Raises:
        OSError: it cannot be written; everything is as it was.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    made = file.with_name(f".{file.stem}-{secrets.token_hex(4)}{file.suffix}")
    try:
        with made.open("xb") as opened:
            content(opened)
        os.replace(made, file)
    except BaseException:
        made.unlink(missing_ok=True)
        raise


def write_json(file: Path, value: object) -> None:
    """Write a value as JSON, at once.

    Raises:
        OSError: as `write`.
    """
    write(file, lambda opened: opened.write((json.dumps(value, indent=2) + "\n").encode()))


def keep(file: Path, content: Callable[[BinaryIO], object]) -> None:
    """Write a file of the cache as `write` does; where that cannot be done, do without."""
    with suppress(OSError):
        write(file, content)
