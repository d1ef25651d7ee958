"""The features of many recordings, computed on all cores and kept on disk."""

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ser_core import audio, augment, features, writing
from ser_core.augment import PLAIN, Variant
from ser_core.features import Features, cache_dir


@dataclass(frozen=True, eq=False)
class FeatureSet:
    """The windows of many recordings.

    Attributes:
        values: float32 `(windows, …)`.
        clip: int `(windows,)`, for each window the index of its recording.
        failed: recordings that could not be read: index to the reason.
    """

    values: np.ndarray
    clip: np.ndarray
    failed: dict[int, str]


def extract(
    paths: Sequence[Path],
    spec: Features,
    *,
    variant: Variant = PLAIN,
    on_clip: Callable[[], None] = lambda: None,
) -> FeatureSet:
    """Return the windows of many recordings, from the cache where it has them.

    Args:
        paths: recordings.
        spec: which features.
        variant: how the recordings are varied first.
        on_clip: called after each recording, on any thread, for a progress bar.
    """

    def one(path: Path) -> np.ndarray | str:
        try:
            return cached_windows(path, spec, variant)
        except (audio.AudioError, OSError) as error:
            return str(error)
        finally:
            on_clip()

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(one, paths))
    failed = {index: item for index, item in enumerate(found) if isinstance(item, str)}
    values = {index: item for index, item in enumerate(found) if not isinstance(item, str)}
    empty = np.empty((0, *spec.shape), np.float32)
    return FeatureSet(
        values=np.concatenate([empty, *values.values()]),
        clip=np.repeat(list(values), [len(item) for item in values.values()]).astype(int),
        failed=failed,
    )


# To be renamed when `features`, or the reading and trimming before it, gives other values.
_CACHE = "log-mel-3"


def cached_windows(path: Path, spec: Features, variant: Variant = PLAIN) -> np.ndarray:
    """Return the windows of one recording, computed once per content, spec and variant.

    Raises:
        AudioError: the recording cannot be read.
    """
    content = Path(path).read_bytes()
    key = hashlib.sha256(content).hexdigest()
    kept = cache_dir() / _CACHE / f"{spec.digest}{variant.name}" / f"{key}.npy"
    try:
        return np.load(kept, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        # Absent, or cut off by a full disk: compute it (again).
        clip = augment.vary(audio.read(content, name=str(path)), variant)
        values = features.windows(clip, spec).values
    writing.keep(kept, lambda file: np.save(file, values))
    return values


def through(
    network: Callable[[np.ndarray], np.ndarray],
    name: str,
    features: FeatureSet,
    *,
    on_clip: Callable[[], None] = lambda: None,
) -> FeatureSet:
    """Return what a network that does not change makes of windows: computed once, kept on disk.

    Args:
        network: from windows `(n, …)` to values `(n, …)`.
        name: of the network; another one must have another.
        features: the windows, a recording's together.
        on_clip: called after each recording, for a progress bar.

    Returns:
        The same recordings; `values` are float32 and stay in their file until they are asked for.
    """
    windows, folder = features.values, cache_dir() / name
    keys = [hashlib.sha256(np.ascontiguousarray(window)).digest() for window in windows]
    kept = folder / f"{hashlib.sha256(b''.join(keys)).hexdigest()}.npy"
    last_of_clip = np.diff(features.clip, append=-1) != 0
    if kept.exists():
        for _ in range(last_of_clip.sum()):
            on_clip()
    else:
        known = _known(folder)
        one = next(iter(known.values()))[0][:1] if known else network(windows[:1])
        shape = (len(windows), *one.shape[1:])
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}

        def fill(file: BinaryIO) -> None:
            np.lib.format.write_array_header_1_0(file, header)
            for start in range(0, len(windows), _TOGETHER):
                part = slice(start, start + _TOGETHER)
                file.write(_through(network, windows[part], keys[part], known).tobytes())
                for _ in range(last_of_clip[part].sum()):
                    on_clip()
            kept.with_suffix(_KEYS).write_bytes(b"".join(keys))

        # Not through a memory map: on a full disk, that ends the process.
        writing.write(kept, fill)
    return replace(features, values=np.load(kept, mmap_mode="r", allow_pickle=False))


_TOGETHER = 32  # windows: of `deep`, twice as many take 250 MB more
_KEYS = ".keys"  # what is kept beside values: the hash of each window that they were made of

Known = dict[bytes, tuple[np.ndarray, int]]


def _known(folder: Path) -> Known:
    """Return where the values of windows are that were in other sets, by the windows' hashes."""
    found = {}
    for file in folder.glob("*.npy"):
        with suppress(OSError, ValueError):  # cut off
            hashes = file.with_suffix(_KEYS).read_bytes()
            values = np.load(file, mmap_mode="r", allow_pickle=False)
            size = hashlib.sha256().digest_size
            for row in range(len(values)):
                found[hashes[row * size : (row + 1) * size]] = values, row
    return found


def _through(
    network: Callable[[np.ndarray], np.ndarray],
    windows: np.ndarray,
    keys: Sequence[bytes],
    known: Known,
) -> np.ndarray:
    new = [index for index, key in enumerate(keys) if key not in known]
    computed = iter(network(windows[new]) if new else ())
    found = []
    for key in keys:
        if key in known:
            values, row = known[key]
            found.append(values[row])
        else:
            found.append(next(computed))
    return np.stack(found).astype("<f4")
