import dataclasses

import numpy as np
import pytest
import soundfile

from ser_core import extraction, features
from tests.helpers import speech_like

SPEC = features.FeatureSpec()


def test_the_cache_is_by_content_and_spec(tmp_path, monkeypatch):
    monkeypatch.setenv("SER_CACHE_DIR", str(tmp_path / "cache"))
    first, copy, other = (tmp_path / name for name in ("a.wav", "b.wav", "c.wav"))
    soundfile.write(first, speech_like(), 16_000)
    copy.write_bytes(first.read_bytes())
    soundfile.write(other, speech_like(pitch=200), 16_000)
    calls = []
    windows = features.windows
    monkeypatch.setattr(features, "windows", lambda *a: calls.append(a) or windows(*a))
    found = extraction.extract([first, copy, other, first], SPEC)
    before = len(calls)
    again = extraction.extract([first, copy, other, first], SPEC)
    # Threads that compute the same clip at once may round differently; one of them is kept.
    np.testing.assert_allclose(found.values, again.values, atol=1e-4)
    assert len(calls) == before, "the second time everything was there"
    extraction.extract([first], dataclasses.replace(SPEC, n_fft=512))
    assert len(calls) == before + 1


def test_a_cache_file_cut_short_is_made_again(tmp_path, monkeypatch):
    monkeypatch.setenv("SER_CACHE_DIR", str(tmp_path / "cache"))
    path = tmp_path / "a.wav"
    soundfile.write(path, speech_like(), 16_000)
    expected = extraction.cached_windows(path, SPEC)
    kept = next((tmp_path / "cache").rglob("*.npy"))
    kept.write_bytes(kept.read_bytes()[:1000])
    np.testing.assert_array_equal(extraction.cached_windows(path, SPEC), expected)


def test_unreadable_recordings_are_named(tmp_path):
    good, bad = tmp_path / "good.wav", tmp_path / "bad.wav"
    soundfile.write(good, speech_like(7.0), 16_000)
    bad.write_text("no sound")
    found = extraction.extract([bad, good, tmp_path / "absent.wav"], SPEC)
    assert set(found.failed) == {0, 2}
    assert set(found.clip) == {1} and len(found.clip) == len(found.values) > 1


def test_a_network_hears_windows_once(tmp_path, monkeypatch):
    monkeypatch.setenv("SER_CACHE_DIR", str(tmp_path))
    rng, calls, told = np.random.default_rng(0), [], []
    windows = rng.normal(size=(150, 4, 3)).astype(np.float32)
    clip = np.repeat([2, 5, 9], [100, 1, 49])
    features_of = extraction.FeatureSet(windows, clip, failed={7: "damaged"})

    def network(values):
        calls.append(len(values))
        return 2 * values[:, :2]

    for _ in range(2):
        heard = extraction.through(network, "twice", features_of, on_clip=lambda: told.append(1))
        assert heard.values.dtype == np.float32 and heard.values.shape == (150, 2, 3)
        np.testing.assert_array_equal(heard.values, 2 * windows[:, :2])
        np.testing.assert_array_equal(heard.clip, clip)
        assert heard.failed == features_of.failed
        assert sum(calls) == 151, "one window to know the shape, then each once"
    assert len(told) == 6, "three recordings, twice"
    other = extraction.through(lambda values: -values, "minus", features_of)
    np.testing.assert_array_equal(other.values, -windows)


def test_a_network_hears_only_what_it_has_not_heard_in_another_set(tmp_path, monkeypatch):
    monkeypatch.setenv("SER_CACHE_DIR", str(tmp_path))
    windows = np.random.default_rng(0).normal(size=(90, 4, 3)).astype(np.float32)
    heard = []

    def network(values):
        heard.extend(values)
        return 2 * values

    def through(chosen):
        heard.clear()
        some = extraction.FeatureSet(windows[chosen], np.arange(len(chosen)), failed={})
        np.testing.assert_array_equal(
            extraction.through(network, "twice", some).values, 2 * windows[chosen]
        )
        return list(heard)

    assert len(through(np.arange(0, 60))) == 61, "one to know the shape"
    np.testing.assert_array_equal(through(np.arange(89, 30, -1)), windows[89:59:-1])
    assert not through(np.arange(10, 80))
    (tmp_path / "twice" / "cut.npy").write_bytes(b"cut off")
    for keys in (tmp_path / "twice").glob("*.keys"):
        keys.write_bytes(keys.read_bytes()[:100])
    assert len(through(np.arange(0, 50, 2))) == 21, "the hashes of 0, 2, 10 and 12 are still there"


def test_what_a_network_made_of_windows_is_kept_whole_or_not_at_all(tmp_path, monkeypatch):
    monkeypatch.setenv("SER_CACHE_DIR", str(tmp_path))
    windows = np.ones((130, 4, 3), np.float32)
    features_of = extraction.FeatureSet(windows, np.arange(130), failed={})
    left = iter(range(2))

    def breaks(values):
        next(left)
        return values

    with pytest.raises(StopIteration):
        extraction.through(breaks, "same", features_of)
    assert not list(tmp_path.rglob("*.npy"))
    found = extraction.through(lambda values: values, "same", features_of)
    np.testing.assert_array_equal(found.values, windows)
