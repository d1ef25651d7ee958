"""Unpacking archives that strangers have made."""

import math
import os
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path, PurePosixPath, PureWindowsPath

from ser_core.corpora.errors import CorpusError
from ser_core.corpora.own import KEPT

# Sound, even digital silence among it, shrinks to no less than a fiftieth over a whole corpus.
_MOST_SHRUNK = 50

# Left on the disk after unpacking, so that the machine goes on working.
_SPARE_BYTES = 100_000_000


def unpack(
    archive: Path,
    target: Path,
    *,
    suffixes: Collection[str] = KEPT,
    most_bytes: float = math.inf,
) -> None:
    """Unpack the sound and the tables of a ZIP archive into a new folder, all or nothing.

    Args:
        archive: the file.
        target: the folder, made here.
        suffixes: of what is unpacked; other files are left out.
        most_bytes: that all of it may have, unpacked.

    Raises:
        CorpusError: the archive is damaged, would write outside the folder, holds links, swells
            beyond what sound can, or does not fit on the disk; nothing is left behind then.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [
                info
                for info in opened.infolist()
                if not info.is_dir() and PurePosixPath(info.filename).suffix.lower() in suffixes
            ]
            _check_names(archive, opened.infolist())
            _check_size(archive, members, most_bytes)
            target.parent.mkdir(parents=True, exist_ok=True)
            need_space(target.parent, sum(info.file_size for info in members))
            with tempfile.TemporaryDirectory(prefix=".unpacking-", dir=target.parent) as scratch:
                for info in members:
                    opened.extract(info, scratch)
                os.chmod(scratch, 0o755)
                Path(scratch).rename(target)
                Path(scratch).mkdir()  # for TemporaryDirectory to remove
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise CorpusError(f"{archive} is damaged ({error}); fetch it again") from None
    except RuntimeError:  # zipfile's word for it
        raise CorpusError(
            f"{archive} is encrypted; unpack it yourself, then add the folder"
        ) from None
    except OSError as error:
        raise CorpusError(
            f"{archive} cannot be unpacked into {target.parent}: {error.strerror or error}"
        ) from None


def need_space(folder: Path, size: int) -> None:
    """Make sure that so many bytes fit on a folder's disk.

    Raises:
        CorpusError: they do not.
    """
    free = shutil.disk_usage(folder).free
    if size + _SPARE_BYTES > free:
        raise CorpusError(
            f"{size / 1e9:.2f} GB are needed but {free / 1e9:.2f} GB are free in {folder}; make "
            "room, or set SER_DATA_DIR to a folder on another disk"
        )


def _check_names(archive: Path, members: list[zipfile.ZipInfo]) -> None:
    for info in members:
        for path in (PurePosixPath(info.filename), PureWindowsPath(info.filename)):
            if path.is_absolute() or path.drive or ".." in path.parts:
                raise CorpusError(
                    f"{archive} holds '{info.filename}', which leads out of its folder; nothing "
                    "was unpacked, and it should not be trusted"
                )
        if stat.S_ISLNK(info.external_attr >> 16):
            raise CorpusError(
                f"{archive} holds the link '{info.filename}'; nothing was unpacked, and it should "
                "not be trusted"
            )


def _check_size(archive: Path, members: list[zipfile.ZipInfo], most_bytes: float) -> None:
    packed, unpacked = archive.stat().st_size, sum(info.file_size for info in members)
    # Entries that overlap share packed bytes: together they claim more than there are.
    overlap = sum(info.compress_size for info in members) > packed
    if overlap or unpacked > min(_MOST_SHRUNK * packed, most_bytes):
        raise CorpusError(
            f"{archive} would swell from {packed / 1e6:.1f} MB to {unpacked / 1e6:.1f} MB, which "
            "what belongs there does not; nothing was unpacked, and it should not be trusted"
        )
