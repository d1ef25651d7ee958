import dataclasses

import librosa
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_core import audio, fbank, features
from tests.helpers import speech_like

SPEC = features.FeatureSpec()


def librosa_decibels(samples: np.ndarray) -> np.ndarray:
    power = librosa.feature.melspectrogram(
        y=samples, sr=SPEC.sample_rate, n_fft=1024, hop_length=256, n_mels=128
    )
    return librosa.power_to_db(power, ref=np.max, top_db=80).T


@pytest.mark.parametrize("seconds", [0.03, 0.5, 2.0, 3.7])
def test_the_serving_path_is_librosas(seconds):
    samples = speech_like(seconds)
    ours = features.decibels(features.mel_power(samples, SPEC), 80)
    np.testing.assert_allclose(ours, librosa_decibels(samples), atol=1e-3)


@pytest.mark.realdata
def test_the_serving_path_is_librosas_on_recordings(data_dir):
    paths = sorted((data_dir / "ravdess").rglob("03-01-*"))[::200]
    assert paths
    for path in paths:
        samples = audio.read(path).samples
        ours = features.decibels(features.mel_power(samples, SPEC), 80)
        np.testing.assert_allclose(ours, librosa_decibels(samples), atol=1e-3)


@pytest.mark.parametrize(("rate", "n_fft", "n_mels"), [(16_000, 1024, 128), (22_050, 2048, 64)])
def test_the_filterbank_is_librosas(rate, n_fft, n_mels):
    expected = librosa.filters.mel(sr=rate, n_fft=n_fft, n_mels=n_mels)
    np.testing.assert_allclose(features.mel_filters(rate, n_fft, n_mels), expected, atol=1e-7)


@given(st.floats(0, 20_000))
def test_the_mel_scale_is_librosas_and_turns_back(hertz):
    assert features.hertz_to_mel(hertz) == pytest.approx(librosa.hz_to_mel(hertz))
    assert features.mel_to_hertz(features.hertz_to_mel(hertz)) == pytest.approx(hertz)


@pytest.mark.parametrize("spec", [SPEC, fbank.FbankSpec(kind="fbank")], ids=["log-mel", "fbank"])
@pytest.mark.parametrize("decibels", [-60, -30, 6])
def test_gain_changes_nothing(talk, decibels, spec):
    louder = dataclasses.replace(talk, samples=talk.samples * np.float32(10 ** (decibels / 20)))
    ours, theirs = (features.windows(clip, spec).values for clip in (talk, louder))
    np.testing.assert_allclose(ours, theirs, atol=1e-2)


def test_nothing_at_all_is_at_the_floor():
    silence = features.windows(audio.Clip(np.zeros(8000, np.float32), 16_000, "zeros"), SPEC)
    assert (silence.values == -80).all()


@pytest.mark.parametrize("seconds", [0.2, 2.9, 3.1, 10.0, 61.3])
def test_windows_cover_the_clip(seconds):
    clip = audio.Clip(speech_like(seconds), 16_000, "long")
    windows = features.windows(clip, SPEC)
    begin, end = audio.speech_bounds(clip.samples)
    assert windows.values.shape[1:] == (188, 64)
    assert windows.values.min() > -80.001 and windows.values.max() <= 0
    assert windows.starts[0] == begin / 16_000
    assert windows.ends[-1] == pytest.approx(end / 16_000, abs=0.05)
    assert (windows.starts[1:] < windows.ends[:-1]).all(), "windows overlap"
    assert (np.diff(windows.starts) > 0).all()


@given(st.integers(1, 5000), st.integers(2, 400))
def test_window_starts_reach_every_frame(length, frames):
    starts = features.window_starts(length, frames)
    reached = np.zeros(max(length, frames), bool)
    for start in starts:
        reached[start : start + frames] = True
    assert reached.all() and len(set(starts)) == len(starts)


def test_another_sample_rate_is_refused():
    with pytest.raises(ValueError, match="8000 Hz"):
        features.windows(audio.Clip(speech_like(), 8_000, "slow"), SPEC)


def test_a_spec_must_divide():
    with pytest.raises(ValueError, match="multiple"):
        features.FeatureSpec(bands=63)
