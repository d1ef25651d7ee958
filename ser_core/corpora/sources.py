"""Where published corpora are kept, and what files there are."""

import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

import pandas as pd
import requests

from ser_core.corpora.download import Http, Remote, fetch
from ser_core.corpora.errors import CorpusError


class Source(Protocol):
    """A place that a corpus, or one channel of it, can be downloaded from.

    Attributes:
        channel: what it holds, `speech` or `song`.
        clips: how many recordings.
    """

    channel: str
    clips: int

    def files(self, root: Path, http: Http) -> list[Remote]:
        """Return what is to be downloaded into the corpus folder `root`."""


@dataclass(frozen=True)
class Archive:
    """One ZIP archive."""

    url: str
    name: str
    size: int
    channel: str
    clips: int
    checksum: str

    def files(self, root: Path, http: Http) -> list[Remote]:
        """Return the archive."""
        return [Remote(self.url, self.name, self.size, self.checksum)]


@dataclass(frozen=True)
class Dataverse:
    """A dataset on a Dataverse server, whose files are listed with their checksums.

    Its files are fetched one by one, because servers limit the size of the archive of all.
    https://guides.dataverse.org/en/latest/api/native-api.html#list-files-in-a-dataset
    """

    host: str
    doi: str
    clips: int
    channel: str = "speech"

    def files(self, root: Path, http: Http) -> list[Remote]:
        """Return the files of the latest published version."""
        url = f"{self.host}/api/datasets/:persistentId/versions/:latest-published/files"
        try:
            answer = http.get(url, params={"persistentId": self.doi})
            answer.raise_for_status()
            return [self._remote(entry) for entry in answer.json()["data"]]
        except CorpusError:
            raise
        except (requests.RequestException, KeyError, TypeError, ValueError):
            raise CorpusError(
                f"{self.host} gives no list of the files of {self.doi}; try again later"
            ) from None

    def _remote(self, entry: dict) -> Remote:
        file = entry["dataFile"]
        path = _inside(PurePosixPath(entry.get("directoryLabel", ""), file["filename"]))
        return Remote(
            f"{self.host}/api/access/datafile/{file['id']}",
            path,
            file["filesize"],
            f"md5:{file['md5']}",
        )


@dataclass(frozen=True)
class GitLfs:
    """A folder of a Git repository that keeps large files in Git LFS.

    The archive of the repository holds, instead of each large file, a pointer with its SHA-256 and
    size. https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md

    Attributes:
        archive: the repository as a ZIP archive; it has no published checksum.
        media: below which the large files are.
        folder: the folder wanted.
        tables: small files of the repository that are wanted, too.
    """

    archive: str
    media: str
    folder: str
    tables: tuple[str, ...]
    clips: int
    channel: str = "speech"

    def files(self, root: Path, http: Http) -> list[Remote]:
        """Fetch the archive, take the tables out of it, and return what the pointers point to."""
        kept = fetch(Remote(self.archive, ".repository.zip.tmp"), root, http)
        try:
            with zipfile.ZipFile(kept) as opened:
                found = [self._read(opened, name, root) for name in opened.namelist()]
        except (zipfile.BadZipFile, UnicodeDecodeError, KeyError, ValueError):
            found = []
        finally:
            kept.unlink()
        files = [remote for remote in found if remote]
        if not files:
            raise CorpusError(
                f"{self.archive} holds no Git LFS pointers in {self.folder}, as it did; clone the "
                "repository with git-lfs, then `python -m ser_core data add`"
            )
        return files

    def _read(self, opened: zipfile.ZipFile, name: str, root: Path) -> Remote | None:
        path = PurePosixPath(*PurePosixPath(name).parts[1:])  # without the archive's own folder
        if str(path) in self.tables:
            (root / path.name).write_bytes(opened.read(name))
        if str(path.parent) != self.folder or opened.getinfo(name).file_size > 1024:
            return None
        # version https://git-lfs.github.com/spec/v1 / oid sha256:… / size …
        pointer = dict(line.split(" ", 1) for line in opened.read(name).decode().splitlines())
        url = f"{self.media}/{path}"
        return Remote(url, _inside(path), int(pointer["size"]), pointer["oid"])


def _inside(path: PurePosixPath) -> str:
    if path.is_absolute() or ".." in path.parts:
        raise CorpusError(f"the publisher lists '{path}', which leads out of the corpus folder")
    return str(path)


def is_complete(source: Source, manifest: pd.DataFrame) -> bool:
    """Say whether a manifest has all recordings of a source."""
    return (manifest.channel == source.channel).sum() >= source.clips
