"""The lock by which one training at a time goes on.

It is on the file `.training` beside the runs, in which the process that holds it says who it is
and what it trains. The system takes a lock from a process that dies, however it does: none is ever
left behind, nor mistaken for that of another process with the same number. What is in the file
counts only for as long as it is locked.
"""

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ser_core.errors import UndertoneError
from ser_core.locations import runs_dir

_BEGIN = 60.0  # seconds that a process is given to say what it trains


class JobError(UndertoneError):
    """A training cannot be started, cancelled, gone on with or deleted; the message says why."""


@contextmanager
def lock() -> Iterator[int]:
    """Hold the lock; yields its file's descriptor, and whoever inherits that goes on to hold it.

    Raises:
        JobError: somebody else holds it, or the file cannot be written.
    """
    try:
        runs_dir().mkdir(parents=True, exist_ok=True)
        file = os.open(_file(), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise JobError(f"{runs_dir()} cannot be written: {error.strerror}") from None
    try:
        # For a moment it may be held by somebody who only looks whether it is free.
        if not wait(lambda: _taken(file, fcntl.LOCK_EX), seconds=1.0):
            others = holder() or {"runs": []}
            raise JobError(
                f"another training goes on ({', '.join(others['runs'])}); one at a time, please"
            )
        os.ftruncate(file, 0)
        yield file
    finally:
        os.close(file)


def holder() -> dict | None:
    """Return what the holder of the lock says: its `pid` and its `runs`; None if there is none.

    Raises:
        JobError: it says nothing.
    """
    try:
        file = os.open(_file(), os.O_RDONLY)
    except OSError:
        return None
    said = []

    def known() -> bool:
        if _taken(file, fcntl.LOCK_SH):
            said.append(None)
        else:
            try:
                said.append(json.loads(_file().read_bytes()))
            except ValueError:
                return False  # it has not said so yet
        return True

    try:
        if not wait(known, seconds=_BEGIN):
            raise JobError("a training has begun, but does not say which; end it by hand")
    finally:
        os.close(file)
    return said[-1]


def wait(true: Callable[[], bool], *, seconds: float) -> bool:
    """Wait until something is true; return whether it became so in time."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def _taken(file: int, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _file() -> Path:
    return runs_dir() / ".training"
