"""Trains one run after the other, in a process that outlives whoever started it: see `jobs`.

    python -m ser_core.runner LOCK FOLDER…

It stays in memory for as long as a training takes, so it imports the standard library alone.
"""

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from ser_core import writing

JOB, LOG, ENDED = "job.json", "log.txt", "ended.json"
_NICENESS = 5  # whoever looks at a page meanwhile goes first


def main(lock: int, folders: list[Path]) -> None:
    """Train what the run folders ask for, until one of them fails.

    Args:
        lock: a descriptor of the locked file, which tells others who is at work. It is handed on to
            the training, so that the lock is held until the last of us has ended.
        folders: of runs, each with a `recipe.toml` and a `job.json`.
    """
    os.nice(_NICENESS)
    holder = {"pid": os.getpid(), "runs": [folder.name for folder in folders]}
    os.write(lock, json.dumps(holder).encode())
    for folder in folders:
        with (folder / LOG).open("ab") as log:  # behind what it said before it was gone on with
            code = subprocess.run(
                command(folder),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[lock],
            ).returncode
        with suppress(OSError):  # no room for that: the log tells
            writing.write_json(folder / ENDED, {"code": code})
        if code:
            break


def command(folder: Path) -> list[str]:
    """Return the command that begins a run, or goes on with it."""
    job = json.loads((folder / JOB).read_text("utf-8"))
    words = ["train", str(folder / "recipe.toml"), "--run-dir", str(folder), "--resume"]
    if job["protocol"]:
        words += ["--protocol", job["protocol"], "--fold", str(job["fold"])]
    return [sys.executable, "-m", "ser_core", *words]


if __name__ == "__main__":
    main(int(sys.argv[1]), [Path(folder) for folder in sys.argv[2:]])
