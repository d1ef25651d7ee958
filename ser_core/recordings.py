"""The recordings of an archive: which they are, and each one read, from a disk or by a URL.

An archive is a folder, a glob, a table (CSV) with the column `path`, or one recording. What a
recording is called is its absolute path or its URL, so that any process on any machine finds it.
"""

import csv
import glob
import os
from collections.abc import Callable, Iterator
from pathlib import PurePath

from ser_core import audio
from ser_core.errors import UndertoneError

_MOST_BYTES = audio.MOST_BYTES


def listed(source: str, *, on_other: Callable[[], None] = lambda: None) -> Iterator[str]:
    """Yield the names of an archive's recordings, in an order that depends on nothing but them.

    Args:
        source: a folder, a glob, a table or a recording; a path, or a URL that fsspec knows.
        on_other: called for each file of a folder that is left out because of its ending.

    Raises:
        UndertoneError: there is no such thing, or it cannot be read.
    """
    try:
        if source.lower().endswith(".csv"):
            yield from _of_table(source)
        elif is_url(source):
            yield from _of_url(source, on_other)
        else:
            yield from _of_path(os.path.expanduser(source), on_other)
    except UndertoneError:
        raise
    except Exception as error:  # noqa: BLE001 - each driver has errors of its own
        raise UndertoneError(f"{source} cannot be listed: {reason(error)}") from None


def read(name: str) -> audio.Clip:
    """Decode the recording of a name; an archive may hold what does harm.

    Raises:
        AudioError: this recording cannot be used.
        UndertoneError: no recording of its kind can: the driver of its URL is not installed.
    """
    if os.path.isabs(name):
        return audio.read(name, max_bytes=_MOST_BYTES)
    try:
        fs, path = place(name)
        with fs.open(path, "rb") as stream:
            # Not by its size, which not every server tells.
            content = stream.read(_MOST_BYTES + 1)
    except UndertoneError:
        raise
    except Exception as error:  # noqa: BLE001 - each driver has errors of its own
        raise audio.AudioError(
            f"the file cannot be read ({reason(error)}); check that it is there and open to you"
        ) from None
    return audio.read(content, name=PurePath(path).name, max_bytes=_MOST_BYTES)


def is_url(name: str) -> bool:
    """Say whether a name is for fsspec, `s3://…` or `zip://…::…`, and no path."""
    return "://" in name and not os.path.exists(name)


def place(url: str):
    """Return fsspec's file system for a URL or a path, and the path on it.

    Raises:
        UndertoneError: its driver is not installed.
    """
    import fsspec

    try:
        return fsspec.url_to_fs(url)
    except ImportError as error:
        raise UndertoneError(f"{url} needs a driver that is not here: {error}") from None


def reason(error: BaseException) -> str:
    """Return what an error says, in one line and without the number of an OSError."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file or folder"  # drivers only repeat its name
    said = getattr(error, "strerror", None) or str(error)
    return " ".join(str(said).split()) or type(error).__name__


def _of_path(path: str, on_other: Callable[[], None]) -> Iterator[str]:
    if os.path.isfile(path):
        yield os.path.abspath(path)
    elif os.path.isdir(path):
        for folder, folders, names in os.walk(os.path.abspath(path), onerror=_raise):
            # What `os.walk` goes into next, and in which order.
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                if _is_recording(name, on_other):
                    yield os.path.join(folder, name)
    elif glob.has_magic(path):
        # Not Python's own, whose `**` goes round in circles where links do.
        fs, _ = place("file:///")
        pattern = os.path.join(glob.escape(os.getcwd()), path)
        yield from filter(os.path.isfile, _globbed(fs, pattern))
    else:
        raise UndertoneError(
            f"there is nothing at '{path}'; give a folder, a glob, a table (.csv) or a URL"
        )


def _globbed(fs, pattern: str) -> Iterator[str]:
    for name, entry in fs.glob(pattern, detail=True).items():
        if _is_file(entry):
            yield name


def _of_url(url: str, on_other: Callable[[], None]) -> Iterator[str]:
    fs, root = place(url)
    # Of `zip://dir::s3://bucket/x.zip`, names are inserted before the second part.
    first, chained, rest = url.partition("::")
    first = first.rstrip("/") if root else first
    if not first.endswith(root.rstrip("/")):
        raise UndertoneError(f"{url} cannot be listed; give a URL like s3://bucket/folder")
    prefix = first[: len(first) - len(root.rstrip("/"))]
    if glob.has_magic(root):
        names = _globbed(fs, root)
    # To a web server, a folder's page is a file, too.
    elif not url.endswith("/") and fs.isfile(root):
        names = iter([root])
    else:
        names = _walk(fs, root, on_other)
    for name in names:
        yield prefix + name + chained + rest


def _walk(fs, folder: str, on_other: Callable[[], None]) -> Iterator[str]:
    """Yield a remote folder's recordings; unlike `fs.walk`, skip no folder that cannot be read."""
    entries = sorted(fs.ls(folder, detail=True), key=lambda entry: entry["name"])
    # What was listed is not asked for again, and with a million files it is much to keep.
    fs.invalidate_cache(folder)
    for entry in entries:
        name = entry["name"].rstrip("/")
        # Some stores list a folder as a part of itself.
        if name == folder.rstrip("/") or PurePath(name).name.startswith("."):
            continue
        if not _is_file(entry):
            yield from _walk(fs, name, on_other)
        elif _is_recording(name, on_other):
            yield name


def _of_table(source: str) -> Iterator[str]:
    """Yield what the column `path` names; what is no URL counts from the table's folder."""
    if is_url(source):
        fs, path = place(source)
        table = fs.open(path, "rt", encoding="utf-8-sig", newline="")
        folder = source.rpartition("/")[0]
    else:
        table = open(os.path.expanduser(source), encoding="utf-8-sig", newline="")
        folder = os.path.dirname(os.path.abspath(os.path.expanduser(source)))
    with table as lines:
        rows = csv.DictReader(lines)
        if "path" not in (rows.fieldnames or ()):
            raise UndertoneError(f"{source} lacks the column 'path'")
        for row in rows:
            path = (row["path"] or "").strip()
            if not path:
                raise UndertoneError(f"{source}, line {rows.line_num}, has no path")
            if is_url(path) or os.path.isabs(path):
                yield path
            elif is_url(source):
                yield f"{folder}/{path}"
            else:
                yield os.path.normpath(os.path.join(folder, path))


def _is_file(entry: dict) -> bool:
    return entry["type"] != "directory"


def _is_recording(name: str, on_other: Callable[[], None]) -> bool:
    path = PurePath(name)
    if path.name.startswith("."):
        return False
    if path.suffix.lower() not in audio.SUFFIXES:
        on_other()
        return False
    return True


def _raise(error: OSError) -> None:
    raise error
