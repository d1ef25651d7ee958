"""Writes files whole or not at all; on a full disk, nothing is left behind."""

import fcntl
import json
import os
import re
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

# What a file is called until it is whole; nobody else calls a file so.
_UNFINISHED = re.compile(r"\..+-[0-9a-f]{8}\.unfinished")
# Only a killed process leaves one behind; whoever lives still holds it. A day is for what has just
# been begun and is not held yet.
_ABANDONED = 86_400


def write(file: Path, content: Callable[[BinaryIO], object]) -> None:
    """Write a file at once, so that nobody reads half of it.

    What a killed process left unfinished in that folder more than a day ago is removed.

    Args:
        file: where; replaced if it exists. Its folder is made.
        content: writes what is to be in it.

    Raises:
        OSError: it cannot be written; everything is as it was.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    _tidy(file.parent)
    made = file.with_name(f".{file.name}-{secrets.token_hex(4)}.unfinished")
    try:
        with made.open("xb") as opened:
            with suppress(OSError):  # not every file system has locks
                fcntl.flock(opened, fcntl.LOCK_EX)
            content(opened)
            opened.flush()
            os.replace(made, file)
    except BaseException:
        made.unlink(missing_ok=True)
        raise


# Once a folder and process: the cache has folders of thousands of files.
@lru_cache
def _tidy(folder: Path) -> None:
    with suppress(OSError):  # not ours to list, or to remove
        for file in folder.iterdir():
            if _UNFINISHED.fullmatch(file.name):
                # Another process was quicker, or is still writing and our clock has jumped.
                with suppress(FileNotFoundError, BlockingIOError):
                    if time.time() - file.stat().st_mtime > _ABANDONED:
                        with file.open("rb") as opened:
                            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                            file.unlink()


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
