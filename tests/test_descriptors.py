import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_core import audio, descriptors, features
from ser_core.descriptors import DescriptorSpec
from tests.helpers import speech_like

EVERY = ("mfcc", "delta-mfcc", "chroma", "contrast", "tonnetz", "zcr", "rms", "log-mel")


def theirs(name: str, y: np.ndarray) -> np.ndarray:
    """What a user of librosa would write."""
    kind = {"y": y, "sr": 16_000, "n_fft": 2048, "hop_length": 512}
    mel = librosa.power_to_db(librosa.feature.melspectrogram(**kind), ref=np.max)
    mfcc = librosa.feature.mfcc(S=mel, n_mfcc=40)
    chroma = librosa.feature.chroma_stft(**kind, tuning=0.0)
    return {
        "mfcc": lambda: mfcc,
        "delta-mfcc": lambda: librosa.feature.delta(mfcc),
        "chroma": lambda: chroma,
        "contrast": lambda: librosa.feature.spectral_contrast(**kind, n_bands=5),
        "tonnetz": lambda: librosa.feature.tonnetz(chroma=chroma),
        "zcr": lambda: librosa.feature.zero_crossing_rate(y, frame_length=2048, hop_length=512),
        "rms": lambda: librosa.feature.rms(
            S=np.abs(librosa.stft(y, n_fft=2048, hop_length=512)), frame_length=2048
        ),
        "log-mel": lambda: mel,
    }[name]()


@pytest.mark.parametrize("name", EVERY)
def test_each_descriptor_is_librosas(name):
    y = speech_like(1.5)
    spec = DescriptorSpec(names=(name,))
    ours = descriptors.frame_by_frame(0.3 * y, spec)
    assert ours.shape[1] == sum(spec.sizes.values())
    np.testing.assert_allclose(ours.T, theirs(name, y / np.abs(y).max()), rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize(
    ("spec", "shape"),
    [
        (DescriptorSpec(names=("mfcc", "zcr", "chroma", "rms"), frames=300), (300, 54)),
        (DescriptorSpec(names=EVERY), (160, 40 + 40 + 12 + 6 + 6 + 1 + 1 + 128)),
        (DescriptorSpec(names=("mfcc",), n_mfcc=13, pooled=("mean",)), (13,)),
        (
            DescriptorSpec(names=("mfcc", "chroma", "contrast"), pooled=("mean", "sd", "max")),
            (3 * 58,),
        ),
    ],
)
@pytest.mark.parametrize("seconds", [0.01, 0.05, 0.3, 2.0, 12.0])
def test_windows_have_the_promised_shape(spec, shape, seconds):
    assert spec.shape == shape
    clip = audio.Clip(speech_like(seconds), 16_000, "talk")
    found = features.windows(clip, spec)
    assert found.values.shape[1:] == shape and found.values.dtype == np.float32
    assert np.isfinite(found.values).all()
    assert len(found.values) == len(found.starts) == len(found.ends) >= 1
    assert (len(found.values) > 1) == (seconds > spec.window_seconds)


def test_loudness_does_not_matter():
    spec = DescriptorSpec(names=EVERY)
    loud = speech_like(1.0)
    ours, quiet = (descriptors.window(gain * loud, spec) for gain in (1.0, 0.01))
    np.testing.assert_allclose(ours, quiet, rtol=1e-2, atol=5e-2)


def test_pooling_is_over_what_was_recorded():
    samples = speech_like(1.0)
    plain = descriptors.frame_by_frame(samples, DescriptorSpec(names=("mfcc",)))
    pooled = descriptors.window(
        samples, DescriptorSpec(names=("mfcc",), pooled=("mean", "sd", "min", "max"))
    )
    expected = [plain.mean(axis=0), plain.std(axis=0), plain.min(axis=0), plain.max(axis=0)]
    np.testing.assert_allclose(pooled, np.concatenate(expected), rtol=1e-5)


def test_a_short_window_begins_with_silence():
    values = descriptors.window(speech_like(1.0), DescriptorSpec(names=("mfcc", "rms", "log-mel")))
    recorded = 1 + 16_000 // 512
    assert (values[:-recorded, :41] == 0).all() and (values[:-recorded, 41:] == -80).all()
    assert (values[-recorded:] != 0).any(axis=1).all()


@settings(max_examples=25)
@given(length=st.integers(0, 6000), seed=st.integers(0, 9), level=st.sampled_from([0, 1e-9, 1, 50]))
def test_any_sound_has_descriptors(length, seed, level):
    samples = level * np.random.default_rng(seed).standard_normal(length).astype(np.float32)
    assert np.isfinite(descriptors.window(samples, DescriptorSpec(names=EVERY))).all()
