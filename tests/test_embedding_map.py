import subprocess

import numpy as np
import pytest
from scipy.spatial.distance import cdist, pdist
from sklearn.metrics import silhouette_score

from ser_core import embedding_map

RNG = np.random.default_rng(0)
# Three bundles of directions, thirty each.
GROUPS = np.repeat([0, 1, 2], 30)
EMBEDDING = (5 * np.eye(3, 20)[GROUPS] + 0.3 * RNG.standard_normal((90, 20))).astype(np.float32)


@pytest.mark.parametrize("method", embedding_map.METHODS)
def test_what_is_alike_lies_together(method):
    points = embedding_map.flat(EMBEDDING, method)
    assert points.shape == (90, 2)
    assert points.dtype == np.float32
    assert silhouette_score(points, GROUPS) > 0.6


def test_pca_keeps_the_distances_of_what_is_flat():
    flat = np.zeros((20, 8), np.float32)
    flat[:, :2] = RNG.standard_normal((20, 2))
    turned = flat @ np.linalg.qr(RNG.standard_normal((8, 8)))[0]
    points = embedding_map.flat(turned, "PCA")
    np.testing.assert_allclose(pdist(points), pdist(turned), rtol=1e-3)


def test_unreadable_recordings_have_no_place():
    embedding = EMBEDDING.copy()
    embedding[[3, 50]] = np.nan
    points = embedding_map.flat(embedding, "PCA")
    assert np.flatnonzero(np.isnan(points).any(axis=1)).tolist() == [3, 50]


def test_umap_is_made_once(monkeypatch):
    first = embedding_map.flat(EMBEDDING, "UMAP")
    monkeypatch.setattr(subprocess, "run", None)
    np.testing.assert_array_equal(embedding_map.flat(EMBEDDING, "UMAP"), first)


@pytest.mark.parametrize(("method", "least"), [("PCA", 2), ("UMAP", 16)])
def test_too_few_recordings_get_a_sentence(method, least):
    with pytest.raises(embedding_map.MapError, match=f"at least {least} recordings"):
        embedding_map.flat(EMBEDDING[: least - 1], method)
    assert embedding_map.flat(EMBEDDING[:least], method).shape == (least, 2)


def test_without_umap_there_is_a_sentence(monkeypatch):
    def absent(*args, **kwargs):
        said = "Traceback …\nModuleNotFoundError: No module named 'umap'\n"
        return subprocess.CompletedProcess(args, 1, "", said)

    monkeypatch.setattr(subprocess, "run", absent)
    with pytest.raises(embedding_map.MapError, match="No module named 'umap'.*pip install"):
        embedding_map.flat(EMBEDDING + 1, "UMAP")


def test_the_nearest_are_those_of_least_cosine_distance():
    point = RNG.standard_normal(20)
    near, distances = embedding_map.nearest(point, EMBEDDING, 7)
    every = cdist([point], EMBEDDING, "cosine")[0]
    np.testing.assert_array_equal(near, np.argsort(every)[:7])
    np.testing.assert_allclose(distances, np.sort(every)[:7], atol=1e-5)


def test_the_nearest_are_readable_and_as_many_as_there_are():
    embedding = EMBEDDING[:4].copy()
    embedding[2] = np.nan
    near, distances = embedding_map.nearest(EMBEDDING[1], embedding, 10)
    assert near[0] == 1
    assert sorted(near) == [0, 1, 3]
    assert distances[0] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("group", [0, 1, 2])
def test_a_new_recording_is_placed_amid_what_is_alike(group):
    points = embedding_map.flat(EMBEDDING, "PCA")
    place = embedding_map.place(EMBEDDING[GROUPS == group].mean(axis=0), EMBEDDING, points)
    centres = np.array([points[GROUPS == g].mean(axis=0) for g in range(3)])
    assert np.linalg.norm(centres - place, axis=1).argmin() == group


def test_a_recording_that_is_on_the_map_is_placed_on_itself():
    points = embedding_map.flat(EMBEDDING, "PCA")
    np.testing.assert_allclose(
        embedding_map.place(EMBEDDING[7], EMBEDDING, points), points[7], atol=0.01
    )
