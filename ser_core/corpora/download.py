"""Downloads that go on where they were cut, and are what the publisher says they are.

(pooch, which librosa brings along, starts anew after a cut; hence this.)
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import requests

from ser_core.corpora.errors import CorpusError

# What is lost when a connection is cut: a chunk arrives whole or not at all.
_CHUNK = 1 << 14
_WORTH_A_RETRY = {408, 425, 429, 500, 502, 503, 504}


@dataclass(frozen=True)
class Remote:
    """A file at a publisher's.

    Attributes:
        url: where it is.
        path: where it belongs, below the corpus folder.
        size: in bytes, if the publisher says.
        checksum: `md5:…` or `sha256:…`, if the publisher gives one; else the recordings are
            counted and parsed afterwards, which is all that can be done.
    """

    url: str
    path: str
    size: int | None = None
    checksum: str | None = None


@dataclass(frozen=True)
class Http:
    """How patient downloads are.

    Attributes:
        connect_seconds: until a server must have answered the phone.
        read_seconds: without a byte, after which a transfer counts as cut.
        attempts: in a row without a byte, after which it has failed.
        pause_seconds: before the second attempt; longer before each further one.
    """

    connect_seconds: float = 10.0
    read_seconds: float = 60.0
    attempts: int = 5
    pause_seconds: float = 1.0

    @cached_property
    def session(self) -> requests.Session:
        """Connections that are kept open for the next file."""
        return requests.Session()

    def get(self, url: str, **options) -> requests.Response:
        """Send a GET request, the answer to be streamed or read."""
        timeout = (self.connect_seconds, self.read_seconds)
        return self.session.get(url, timeout=timeout, **options)


def fetch(
    remote: Remote, folder: Path, http: Http, on_bytes: Callable[[int], None] = lambda more: None
) -> Path:
    """Download a file, unless it is there; go on where an earlier download was cut.

    Args:
        remote: what to fetch.
        folder: the corpus folder.
        http: timeouts and attempts.
        on_bytes: called with the number of bytes that are now there in addition (negative if a
            server makes the download start anew), for a progress bar.

    Returns:
        The file, whose size and checksum are the publisher's.

    Raises:
        CorpusError: the file cannot be had, or is not what the publisher describes.
    """
    target = folder / remote.path
    if is_there(remote, target):
        on_bytes(target.stat().st_size)
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    on_bytes(_length(part))
    _download(remote, part, http, on_bytes)
    if not _is_right(remote, part):
        part.unlink()
        raise CorpusError(
            f"what {remote.url} sent is not the file that its publisher describes (size or "
            "checksum differ) and was deleted; try again, and if that does not help get the file "
            "by hand"
        )
    part.replace(target)
    return target


def is_there(remote: Remote, target: Path) -> bool:
    """Say whether a file was downloaded before, whole."""
    return target.is_file() and _is_right(remote, target)


def _is_right(remote: Remote, path: Path) -> bool:
    if remote.size is not None and path.stat().st_size != remote.size:
        return False
    if remote.checksum is None:
        return True
    algorithm, digest = remote.checksum.split(":")
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest() == digest


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _download(remote: Remote, part: Path, http: Http, on_bytes: Callable[[int], None]) -> None:
    failures = 0
    while True:
        before = _length(part)
        try:
            if _go_on(remote, part, http, on_bytes):
                return
            reason = "the connection was cut"
        except requests.HTTPError as error:
            reason = f"the server says {error.response.status_code} {error.response.reason}"
            if error.response.status_code not in _WORTH_A_RETRY:
                raise CorpusError(f"{remote.url} cannot be downloaded: {reason}") from None
        except requests.Timeout:
            reason = "the server does not answer"
        except requests.RequestException:
            reason = "the connection fails"
        except OSError as error:
            raise CorpusError(
                f"{part} cannot be written: {error.strerror or error}; what has arrived is kept: "
                "mend that and try again"
            ) from None
        failures = 0 if _length(part) > before else failures + 1
        if failures >= http.attempts:
            raise CorpusError(
                f"{remote.url} cannot be downloaded: {reason}; what has arrived is kept, so try "
                "again later"
            )
        time.sleep(http.pause_seconds * max(failures, 1))


def _go_on(remote: Remote, part: Path, http: Http, on_bytes: Callable[[int], None]) -> bool:
    """Ask for what is missing of a file and append it; return whether all is there then."""
    have = _length(part)
    if remote.size is not None and have == remote.size:
        return True
    # Compressed transfer would make byte ranges mean something else.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with http.get(remote.url, headers=headers, stream=True) as answer:
        if answer.status_code == 416:  # there is nothing after `have`: it is not this file's part
            on_bytes(-have)
            part.unlink()
            return False
        answer.raise_for_status()
        goes_on = answer.status_code == 206
        if not goes_on:
            on_bytes(-have)
            have = 0
        begun = have
        length = answer.headers.get("Content-Length")
        with open(part, "ab" if goes_on else "wb") as file:
            for chunk in answer.iter_content(_CHUNK):
                file.write(chunk)
                have += len(chunk)
                on_bytes(len(chunk))
                if remote.size is not None and have > remote.size:
                    return True  # more than announced: not the file, and perhaps without end
        return length is None or have == begun + int(length)
