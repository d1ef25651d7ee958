import dataclasses

import numpy as np
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
