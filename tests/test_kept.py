import os

import numpy as np
import pandas as pd
import pytest

from ser_core import kept


@pytest.fixture
def manifest(tmp_path) -> pd.DataFrame:
    """Three files, the last of which holds two utterances."""
    for name in "abc":
        (tmp_path / name).write_text(name * 10)
    paths = [tmp_path / name for name in "abcc"]
    return pd.DataFrame({"path": paths, "id": ["x/1", "x/2", "x/3", "x/4"]})


@pytest.fixture
def compute():
    """Makes rows of an id's number, and remembers what it was asked for."""

    def compute(some):
        assert list(some.index) == list(range(len(some)))
        compute.asked += list(some.id)
        return np.array([[int(name[-1])] * 2 for name in some.id], np.float32)

    compute.asked = []
    return compute


def test_rows_are_computed_once_and_come_in_the_manifests_order(tmp_path, manifest, compute):
    file = tmp_path / "deep" / "kept.npz"
    totals = []
    found = kept.rows(file, manifest.iloc[:2], 2, compute, on_clip=totals.append)
    np.testing.assert_array_equal(found, [[1, 1], [2, 2]])
    assert totals == [2, 2]
    assert kept.count(file, manifest, 2) == 2
    backwards = manifest.iloc[::-1].reset_index(drop=True)
    found = kept.rows(file, backwards, 2, compute)
    np.testing.assert_array_equal(found[:, 0], [4, 3, 2, 1])
    assert found.dtype == np.float32
    assert compute.asked == ["x/1", "x/2", "x/4", "x/3"]
    assert list(file.parent.iterdir()) == [file], "nothing is left behind"


def test_a_file_that_changes_is_computed_again(tmp_path, manifest, compute):
    file = tmp_path / "kept.npz"
    kept.rows(file, manifest, 2, compute)
    (tmp_path / "b").write_text("longer than before")
    compute.asked.clear()
    kept.rows(file, manifest, 2, compute)
    assert compute.asked == ["x/2"]


def test_what_was_computed_before_a_cut_is_kept(tmp_path, manifest, compute, monkeypatch):
    monkeypatch.setattr(kept, "_BATCH", 2)

    def stop(total):
        assert total == 4
        if len(compute.asked) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kept.rows(tmp_path / "kept.npz", manifest, 2, compute, on_clip=stop)
    assert kept.count(tmp_path / "kept.npz", manifest, 2) == 4
    compute.asked.clear()
    kept.rows(tmp_path / "kept.npz", manifest, 2, compute)
    assert compute.asked == []


def test_what_cannot_be_computed_is_nan_and_tried_again_when_its_file_changes(
    tmp_path, manifest, compute
):
    def fail(some):
        rows = np.ones((len(some), 2), np.float32)
        rows[(some.id == "x/2").to_numpy()] = np.nan
        rows[0, 0] = np.nan  # in part, it may well be
        return rows

    found = kept.rows(tmp_path / "kept.npz", manifest, 2, fail)
    assert np.isnan(found).tolist() == [[True, False], [True, True], [False] * 2, [False] * 2]
    again = kept.rows(tmp_path / "kept.npz", manifest, 2, compute)
    assert compute.asked == [] and np.isnan(again).sum() == 3
    (tmp_path / "b").write_text("mended")
    assert kept.count(tmp_path / "kept.npz", manifest, 2) == 3
    np.testing.assert_array_equal(kept.rows(tmp_path / "kept.npz", manifest, 2, compute)[1], [2, 2])


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 cut off", b"no zip"])
def test_a_damaged_file_is_made_anew(tmp_path, manifest, compute, damage):
    file = tmp_path / "kept.npz"
    kept.rows(file, manifest, 2, compute)
    file.write_bytes(damage)
    assert kept.count(file, manifest, 2) == 0
    np.testing.assert_array_equal(kept.rows(file, manifest, 2, compute)[:, 0], [1, 2, 3, 4])
    assert kept.count(file, manifest, 2) == 4


def test_another_width_is_not_mistaken_for_ours(tmp_path, manifest, compute):
    file = tmp_path / "kept.npz"
    kept.rows(file, manifest, 2, compute)
    found = kept.rows(file, manifest, 3, lambda some: np.ones((len(some), 3), np.float32))
    np.testing.assert_array_equal(found, np.ones((4, 3)))


def test_absent_files_and_empty_manifests_are_no_error(tmp_path, manifest, compute):
    assert kept.rows(tmp_path / "kept.npz", manifest.iloc[:0], 2, compute).shape == (0, 2)
    os.remove(tmp_path / "a")
    assert kept.rows(tmp_path / "kept.npz", manifest, 2, compute).shape == (4, 2)
