"""What a model hears, laid out flat: recordings that sound alike to it lie close together."""

import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA

from ser_core import writing
from ser_core.errors import UndertoneError
from ser_core.features import cache_dir

METHODS = ("PCA", "UMAP")

_CACHE = "umap-1"  # to be renamed when the same embeddings give another map
_FEWEST = 16  # UMAP looks at 15 neighbours of each
_NEIGHBOURS = 5  # between which a new recording is placed on a map that was not made with it


class MapError(UndertoneError):
    """A map cannot be drawn; the message says why and what to do."""


def flat(embedding: np.ndarray, method: str) -> np.ndarray:
    """Return where recordings lie on a map, float32 `(n, 2)`.

    PCA (principal components) turns the cloud of embeddings so that it is seen from its broadest
    side. UMAP (McInnes, Healy & Melville 2018, arXiv 1802.03426) keeps neighbours together and
    says nothing about what is far apart; it is slow, so that its answer is kept in the cache.

    Args:
        embedding: `(n, size)`; where a row is NaN, so is the result.
        method: one of `METHODS`.

    Raises:
        MapError: there are too few recordings, or UMAP is not installed.
    """
    known = np.isfinite(embedding).all(axis=1)
    least = _FEWEST if method == "UMAP" else 2
    if known.sum() < least:
        raise MapError(
            f"a map of this kind takes at least {least} recordings; choose fewer filters"
        )
    found = np.full((len(embedding), 2), np.nan, np.float32)
    make = _umap if method == "UMAP" else _pca
    found[known] = make(np.ascontiguousarray(embedding[known], np.float32))
    return found


def place(point: np.ndarray, embedding: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return where on a map a new recording belongs: amid the nearest ones, `(2,)`.

    Each counts by how near it is. UMAP itself begins there with what it has not seen before.

    Args:
        point: `(size,)`, its embedding.
        embedding: `(n, size)` of those on the map.
        points: `(n, 2)`, where they are.
    """
    near, distances = nearest(point, embedding, _NEIGHBOURS)
    return np.average(points[near], axis=0, weights=1 / (distances + 1e-6))


def nearest(point: np.ndarray, embedding: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the recordings that sound most alike to the model, nearest first.

    Args:
        point: `(size,)`.
        embedding: `(n, size)`; rows of NaN are left out.
        count: most that are wanted.

    Returns:
        Indices `(count,)` and cosine distances `(count,)`: 0 is the same direction, 1 a right
        angle.
    """
    lengths = np.linalg.norm(embedding, axis=1) * np.linalg.norm(point)
    distances = 1 - embedding @ point / np.maximum(lengths, 1e-12)
    order = np.argsort(distances, kind="stable")[:count]
    order = order[np.isfinite(distances[order])]
    return order, distances[order]


def _pca(embedding: np.ndarray) -> np.ndarray:
    return PCA(2, svd_solver="covariance_eigh").fit_transform(embedding)


def _umap(embedding: np.ndarray) -> np.ndarray:
    """Return UMAP's answer, from the cache or from a process of its own."""
    key = hashlib.sha256(embedding.tobytes()).hexdigest()
    kept = cache_dir() / _CACHE / f"{key}.npy"
    try:
        return np.load(kept, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        pass  # absent, or cut off by a full disk
    try:
        found = _umap_apart(embedding)
    except OSError as error:
        raise MapError(
            f"there is no room for the map ({error.strerror or error}); free some, and try again"
        ) from None
    writing.keep(kept, lambda file: np.save(file, found))
    return found


def _umap_apart(embedding: np.ndarray) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder) / "embedding.npy", Path(folder) / "map.npy"
        np.save(given, embedding)
        command = [sys.executable, "-W", "ignore", "-m", "ser_core.embedding_map", given, made]
        done = subprocess.run(
            command, cwd=Path(__file__).parent.parent, capture_output=True, text=True, check=False
        )
        if done.returncode:
            said = done.stderr.strip().splitlines()
            raise MapError(
                f"the map could not be made ({said[-1] if said else 'UMAP ended early'}); "
                "`pip install -r requirements.txt` brings what it needs"
            )
        return np.load(made, allow_pickle=False)


def _main(given: str, made: str) -> None:
    """Run UMAP in a process of its own.

    Importing it loads TensorFlow, if there is one, and compiling it takes ten seconds: neither
    belongs into the process that serves pages.
    """
    sys.modules["tensorflow"] = None  # for a variant of UMAP that is not used here
    from umap import UMAP

    # One and the same map each time, for the price of one core.
    found = UMAP(metric="cosine", random_state=0, n_jobs=1).fit_transform(np.load(given))
    np.save(made, found.astype(np.float32))


if __name__ == "__main__":
    _main(*sys.argv[1:])
