from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from benchmarks.speech import SOUNDS, sounds
from ser_core import audio, speech
from ser_core.recognizer import Recognizer
from tests.helpers import ROOT, speech_like

SAMPLES = sorted((ROOT / "assets" / "samples").glob("*.flac"))
PITCHES = [90, 120, 160, 200, 250, 300]


def clip(samples):
    return audio.Clip(np.asarray(samples, np.float32), 16_000, "sound")


def heard(samples):
    return bool(speech.voice_activity(samples).any())


@pytest.fixture(scope="module")
def recognizer():
    return Recognizer.from_name("swift")


@pytest.fixture(scope="module")
def music():
    wave = SOUNDS["organ"](np.random.default_rng(1), 30.0)
    return (0.3 * wave / np.abs(wave).max()).astype(np.float32)


# Short damped harmonics are the one sound here that passes for "buh, buh".
@pytest.mark.parametrize("name", [name for name in SOUNDS if name != "knocks"])
def test_what_is_not_speech_gets_no_emotion(recognizer, name):
    for sound in sounds(name):
        found = recognizer.predict(clip(sound))
        assert found.label is None and found.abstained and not found.windows
        assert found.quality.speech_seconds == 0
        (issue,) = found.quality.issues
        assert issue.severity == "error" and found.reason == issue.text
        assert issue.code in (("silent",) if name == "silence" else ("not_speech", "silent"))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_the_samples_are_speech_the_whispered_one_too(path):
    assert heard(audio.read(path).samples)


@pytest.mark.parametrize("pitch", PITCHES)
@pytest.mark.parametrize("seconds", [0.6, 2, 7])
def test_a_voice_is_heard(pitch, seconds):
    assert heard(speech_like(seconds, pitch))


@pytest.mark.parametrize("gain_db", [-60, -30, -15, 6])
def test_level_and_offset_change_nothing(gain_db):
    gain = np.float32(10 ** (gain_db / 20))
    for samples in (audio.read(path).samples for path in SAMPLES):
        assert heard(gain * samples) and heard(gain * (samples + np.float32(0.2)))
    assert not heard(gain * next(sounds("band")))


def test_one_voice_among_noise_is_enough(music):
    assert not heard(music)
    assert heard(np.concatenate([music, speech_like(3)]))


def test_music_is_left_out_of_a_long_clip(recognizer, music):
    samples = np.concatenate([speech_like(9), music, speech_like(9)])
    active = speech.voice_activity(samples)
    assert active.shape == (len(samples) // speech.ACTIVITY_HOP,)
    assert (
        active[: 8 * 50].any() and active[-8 * 50 :].any() and not active[13 * 50 : 35 * 50].any()
    )
    assert speech.speech_activity(samples)[13 * 50 : 35 * 50].any()
    windows = recognizer.predict(clip(samples)).windows
    assert any(window.end < 10 for window in windows)
    assert any(window.start > 38 for window in windows)
    assert not any(14 < window.start and window.end < 34 for window in windows)


def test_probabilities_come_every_32_ms():
    samples = audio.read(SAMPLES[0]).samples
    parts = list(speech.voice_probability(samples))
    assert {len(part) for part in parts[:-1]} == {16}
    probabilities = np.concatenate(parts)
    assert probabilities.shape == (len(samples) // 512,)
    assert probabilities.min() >= 0 and 0.9 < probabilities.max() <= 1


@pytest.mark.parametrize("n", [0, 1, 319, 320, 511, 1_000])
def test_a_few_samples_are_no_speech(n):
    assert not heard(speech_like(1)[:n])


def test_the_network_is_loaded_once(monkeypatch):
    import onnxruntime

    loads = []
    make = onnxruntime.InferenceSession
    monkeypatch.setattr(
        onnxruntime, "InferenceSession", lambda *a, **k: loads.append(1) or make(*a, **k)
    )
    speech._network.cache_clear()
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(heard, [speech_like(1, seed=seed) for seed in range(16)]))
    assert len(loads) == 1


@pytest.mark.realdata
def test_actors_are_heard_even_screaming(data_dir):
    paths = sorted((data_dir / "ravdess").glob("*/03-01-*.flac"))[::3]
    assert np.mean([heard(audio.read(path).samples) for path in paths]) >= 0.99
