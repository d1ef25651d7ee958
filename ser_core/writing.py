"""Writes files whole or not at all; on a full disk, nothing is left behind."""

import os
import tempfile
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
    made = tempfile.NamedTemporaryFile(
        dir=file.parent, prefix=f".{file.stem}-", suffix=file.suffix, delete=False
    )
    try:
        with made:
            content(made)
        os.replace(made.name, file)
    except OSError:
        Path(made.name).unlink(missing_ok=True)
        raise


def keep(file: Path, content: Callable[[BinaryIO], object]) -> None:
    """Write a file of the cache as `write` does; where that cannot be done, do without."""
    with suppress(OSError):
        write(file, content)
