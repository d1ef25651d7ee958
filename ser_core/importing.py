"""Taking in a model that was exported elsewhere: unpacked, inspected, and put on the shelf."""

import json
import re
import shutil
import tempfile
from datetime import date
from pathlib import Path
from typing import BinaryIO

from ser_core import apart, inspection, shelf
from ser_core.bundle import BundleError
from ser_core.corpora import archive
from ser_core.corpora.errors import CorpusError
from ser_core.errors import UndertoneError
from ser_core.locations import runs_dir

MOST_BYTES = 250_000_000  # of an archive
_MOST_UNPACKED = 1_000_000_000
_PATIENCE = 120.0  # seconds, where swift takes one
_SCRATCH = ".importing-"
_SUFFIXES = {Path(name).suffix for name in inspection.NAMES}


def take_in(file: Path, *, name: str | None = None, scratch: Path | None = None) -> str:
    """Put the model of a ZIP archive on the shelf and return its name there; all or nothing.

    Args:
        file: the archive of a model folder, as `export` makes it.
        name: what to call the model; by default something like what its card says.
        scratch: a folder to unpack it in, on the disk of the runs; by default, one made there.

    Raises:
        UndertoneError: it cannot be done; nothing is left behind.
    """
    shelf.check_unlocked()
    if not file.is_file():
        wrong = f"'{file}' is not a file" if file.exists() else f"there is no file '{file}'"
        raise shelf.ShelfError(f"{wrong}; give a ZIP archive of a model folder")
    if file.stat().st_size > MOST_BYTES:
        raise shelf.ShelfError(
            f"the archive has {file.stat().st_size / 1e6:.0f} MB; up to "
            f"{MOST_BYTES / 1e6:.0f} MB are accepted"
        )
    if name is not None:
        shelf.check_name(name)
    runs = runs_dir()
    try:
        runs.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=scratch or runs) as place:
            folder = _unpacked(file, Path(place))
            card = inspection.inspect(folder)
            run = Path(place) / "run"
            run.mkdir()
            folder.rename(run / "model")
            origin = {"file": file.name, "date": date.today().isoformat()}
            (run / shelf.IMPORTED).write_text(json.dumps(origin) + "\n", "utf-8")
            name = name or shelf.free_name(card.name)
            run.rename(runs / name)
    except OSError as error:
        raise shelf.ShelfError(
            f"the model cannot be kept in {runs}: {error.strerror or error}"
        ) from None
    except (MemoryError, RecursionError):
        raise shelf.ShelfError("the archive asks for more memory than a model needs") from None
    except UndertoneError as error:
        # Where it was looked at is of no use to anybody.
        told = str(error).replace(str(file), "the archive")
        told = re.sub(rf"\S*/{re.escape(_SCRATCH)}[^\s/]*/(\S*/)?", "", told)
        raise shelf.ShelfError(told) from None
    return name


def take_in_apart(file: BinaryIO, called: str, *, name: str | None = None) -> str:
    """Do what `take_in` does in a process with limits, for files that strangers have made.

    Args:
        file: what was uploaded.
        called: its name.
        name: what to call the model.

    Raises:
        UndertoneError: it cannot be done, or asks for too much time or memory.
    """
    shelf.check_unlocked()
    runs = runs_dir()
    try:
        runs.mkdir(parents=True, exist_ok=True)
        # Not the other process's own: whoever is killed leaves what it has unpacked.
        with tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=runs) as scratch:
            plain = re.sub(r"[^\w.-]", "_", Path(called).name)[-100:]
            copy = Path(scratch) / (plain or "upload.zip")
            with copy.open("wb") as opened:
                shutil.copyfileobj(file, opened)
            command = ["models", "import", str(copy), "--scratch", scratch, "--json"]
            command += ["--name", name] if name else []
            printed = apart.run(*command, seconds=_PATIENCE, most_bytes=apart.STRANGERS_MEMORY)
    except OSError as error:
        raise shelf.ShelfError(
            f"there is no room to unpack it on the server ({error.strerror})"
        ) from None
    return json.loads(printed)["model"]


def _unpacked(file: Path, scratch: Path) -> Path:
    """Return the one model folder of an archive, with nothing but what belongs there."""
    try:
        archive.unpack(file, scratch / "unpacked", suffixes=_SUFFIXES, most_bytes=_MOST_UNPACKED)
    except CorpusError as error:
        raise BundleError(str(error)) from None
    cards = sorted((scratch / "unpacked").glob("card.json"))
    cards += sorted((scratch / "unpacked").glob("*/card.json"))
    if len(cards) != 1:
        raise BundleError(
            f"{file} holds {'several model folders' if cards else 'no model folder'}; a ZIP "
            "archive of exactly one, with its card.json, is expected"
        )
    folder = cards[0].parent
    for path in folder.iterdir():
        if path.name not in inspection.NAMES:
            raise BundleError(
                f"{file} is not a whole model folder as Undertone exports it: '{path.name[:40]}' "
                "does not belong there; export the model as “Everything” (bundle)"
            )
    return folder
