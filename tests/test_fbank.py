import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from ser_core import audio, fbank, features
from tests.helpers import ROOT, speech_like

SPEC = fbank.FbankSpec(kind="fbank")


def test_filter_banks_are_kaldis():
    with np.load(ROOT / "tests" / "golden" / "campplus.npz") as golden:
        kaldi = golden["fbank"]
    ours = fbank.log_mel(speech_like(2.0))
    assert ours.shape == kaldi.shape == (198, 80)
    np.testing.assert_allclose(ours, kaldi, atol=2e-3)


@given(st.integers(0, 60_000))
@settings(deadline=None)
def test_every_whole_frame_counts(samples):
    assert len(fbank.log_mel(np.zeros(samples))) == SPEC.frame_count(samples)


def test_a_tone_is_in_its_band():
    time = np.arange(16_000) / 16_000
    loudest = [
        int(fbank.log_mel(np.sin(2 * np.pi * hertz * time))[50].argmax())
        for hertz in (100, 500, 1000, 2000, 4000, 7500)
    ]
    nearest = [
        int(np.abs(fbank.band_centres() - hertz).argmin())
        for hertz in (100, 500, 1000, 2000, 4000, 7500)
    ]
    np.testing.assert_allclose(loudest, nearest, atol=1)
    mel = 1127 * np.log1p(fbank.band_centres() / 700)
    np.testing.assert_allclose(np.diff(mel), np.diff(mel).mean(), rtol=1e-6)
    assert 20 < fbank.band_centres()[0] < 60 and 7700 < fbank.band_centres()[-1] < 8000


def test_a_window_is_relative_to_its_mean_and_ends_with_zeros():
    window = fbank.window(speech_like(1.5), SPEC)
    heard = SPEC.frame_count(24_000)
    assert window.shape == SPEC.shape == (298, 80) and window.dtype == np.float32
    np.testing.assert_allclose(window[:heard].mean(axis=0), 0, atol=1e-4)
    assert window[:heard].any(axis=1).all() and not window[heard:].any()


def test_long_clips_are_cut_into_windows_that_overlap_by_half():
    clip = audio.Clip(speech_like(8.0), 16_000, "talk")
    found = features.windows(clip, SPEC)
    begin, end = audio.speech_bounds(clip.samples, top_db=SPEC.trim_db)
    np.testing.assert_allclose(np.diff(found.starts)[:-1], 1.49)
    assert found.ends[-1] == pytest.approx(end / 16_000, abs=0.01)
    for start, values in zip(found.starts, found.values, strict=True):
        first = round(start * 16_000)
        alone = fbank.window(clip.samples[first : first + 297 * 160 + 400], SPEC)
        np.testing.assert_array_equal(values, alone)


def test_a_table_with_a_kind_means_filter_banks():
    read = TypeAdapter(features.Features).validate_python
    assert read({"kind": "fbank", "frames": 100}) == fbank.FbankSpec(kind="fbank", frames=100)
    assert read(dataclasses.asdict(SPEC)) == SPEC
    assert isinstance(read({"frames": 100}), features.FeatureSpec)
