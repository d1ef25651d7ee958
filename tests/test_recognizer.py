import dataclasses
import json
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
import soundfile

from ser_core import audio, bundle, corpora, features
from ser_core.locations import find_model
from ser_core.recognizer import Recognizer
from tests.helpers import ROOT, speech_like


@pytest.fixture(scope="module")
def recognizer():
    return Recognizer.from_name("swift")


def test_a_prediction_is_whole(recognizer, talk):
    found = recognizer.predict(talk)
    assert tuple(found.probabilities) == recognizer.card.labels
    assert sum(found.probabilities.values()) == pytest.approx(1)
    assert found.label == max(found.probabilities, key=found.probabilities.get)
    assert found.confidence == found.probabilities[found.label]
    assert found.abstained == bool(found.reason)
    assert found.attention.sum() == pytest.approx(1)
    assert len(found.attention) == len(found.attention_times)
    assert found.attention_times.max() <= talk.duration + 0.1
    assert len(found.embedding) and found.model == "swift" and found.seconds > 0
    (window,) = found.windows
    assert 0 <= window.start < window.end <= talk.duration + 0.1
    assert window.probabilities == found.probabilities


def test_many_are_as_one(recognizer):
    clips = [
        audio.Clip(speech_like(seconds, pitch), 16_000, "clip")
        for seconds, pitch in [(1.0, 120.0), (8.0, 200.0), (2.5, 300.0)]
    ]
    clips.insert(1, audio.Clip(np.zeros(16_000, np.float32), 16_000, "silence"))
    for single, many in zip(
        map(recognizer.predict, clips), recognizer.predict_many(clips), strict=True
    ):
        assert single.label == many.label and len(single.windows) == len(many.windows)
        assert list(single.probabilities.values()) == pytest.approx(
            list(many.probabilities.values()), abs=1e-5
        )
        np.testing.assert_allclose(single.embedding, many.embedding, atol=1e-4)


def test_silence_has_no_emotion(recognizer):
    found = recognizer.predict(audio.Clip(np.zeros(32_000, np.float32), 16_000, "silence"))
    assert found.label is None and found.abstained and not found.windows
    assert set(found.probabilities.values()) == {1 / len(recognizer.card.labels)}
    assert "silence" in found.reason.lower()


def test_too_little_speech_is_not_relied_on(recognizer):
    samples = np.concatenate([np.zeros(16_000), speech_like(0.3), np.zeros(16_000)])
    found = recognizer.predict(audio.Clip(samples.astype(np.float32), 16_000, "short"))
    assert found.abstained and "speech" in found.reason


def test_a_low_confidence_is_withheld(recognizer, talk):
    strict = Recognizer(
        dataclasses.replace(
            recognizer.bundle, card=dataclasses.replace(recognizer.card, threshold=1.0)
        )
    )
    found = strict.predict(talk)
    assert found.abstained and found.label and "stands out" in found.reason


def test_silent_stretches_of_a_long_clip_are_left_out(recognizer):
    pause = 1e-4 * np.random.default_rng(0).standard_normal(20 * 16_000)
    samples = np.concatenate([speech_like(5.0), pause, speech_like(5.0)]).astype(np.float32)
    found = recognizer.predict(audio.Clip(samples, 16_000, "two phrases"))
    assert found.windows[0].start < 1 and found.windows[-1].end > 29
    assert not any(6 < window.start and window.end < 24 for window in found.windows)
    mean = np.mean([list(window.probabilities.values()) for window in found.windows], axis=0)
    assert list(found.probabilities.values()) == pytest.approx(list(mean), abs=1e-6)


def test_a_long_clip_tells_how_far_it_is_and_can_be_stopped(recognizer):
    clip = audio.Clip(np.tile(speech_like(10.0), 20), 16_000, "long")
    done = []
    whole = recognizer.predict(clip, on_batch=done.append)
    assert len(done) > 2 and done == sorted(done)
    assert 0 < done[0] < 0.5 and done[-1] == pytest.approx(1, abs=0.01)

    def stop(done):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        recognizer.predict(clip, on_batch=stop)
    (at_once,) = recognizer.predict_many([clip])
    assert [(w.start, w.end) for w in whole.windows] == [(w.start, w.end) for w in at_once.windows]
    assert list(whole.probabilities.values()) == pytest.approx(
        list(at_once.probabilities.values()), abs=1e-5
    )
    np.testing.assert_allclose(whole.attention, at_once.attention, atol=1e-6)


def test_memory_does_not_grow_with_a_clips_length(recognizer):
    def peak(minutes):
        clip = audio.Clip(np.tile(speech_like(60.0), minutes), 16_000, "long")
        tracemalloc.start()
        recognizer.predict(clip)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    short, long = peak(4), peak(16)
    # An eighth of what the spectrograms of the additional minutes' windows take.
    spec = recognizer.card.features
    windows = 2 * 12 * 60 / spec.window_seconds * spec.frames * spec.bands * 4
    assert long - short < 12 * 60 * 16_000 * 4 + windows / 8


@pytest.mark.parametrize("name", ["nobody", "../nowhere", ""])
def test_an_unknown_model_gets_a_sentence(name):
    with pytest.raises(bundle.BundleError, match="known are .*swift"):
        find_model(name)


def test_a_folder_without_a_model_is_told_from_none(tmp_path):
    with pytest.raises(bundle.BundleError, match="is no model: it lacks card.json; known are"):
        find_model(tmp_path)


def test_recognising_imports_no_tensorflow(tmp_path):
    path = tmp_path / "talk.wav"
    soundfile.write(path, speech_like(), 16_000)
    code = (
        "import sys\n"
        "from ser_core import cli\n"
        "cli.main(['predict', sys.argv[1], '--json'])\n"
        "heavy = {'tensorflow', 'keras', 'librosa', 'sklearn', 'pandas', 'streamlit', 'dask'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    command = [sys.executable, "-c", code, path]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert json.loads(done.stdout)[0]["label"]
    assert done.stderr.strip() == "[]"


def test_who_shouts_once_does_not_silence_what_was_said_before(recognizer):
    quiet, shout = 0.02 * speech_like(12.0), speech_like(3.0, 300.0)
    alone = recognizer.predict(audio.Clip(quiet, 16_000, "quiet"))
    both = recognizer.predict(audio.Clip(np.concatenate([quiet, shout]), 16_000, "both"))
    assert both.windows[0].start == alone.windows[0].start < 1
    assert both.quality.speech_seconds > alone.quality.speech_seconds > 6
    first = [window for window in both.windows if window.end < 9]
    assert [window.probabilities for window in first] == [
        window.probabilities for window in alone.windows[: len(first)]
    ]


def test_attention_has_a_moment_a_step(recognizer):
    clip = audio.Clip(speech_like(3.0), 16_000, "one window")
    assert audio.speech_bounds(clip.samples)[0] == 0
    found = recognizer.predict(clip)
    spec = recognizer.card.features
    weights = recognizer.bundle.run(features.windows(clip, spec).values)["attention"][0]
    assert len(found.attention) == pytest.approx(len(weights), abs=1)
    step = spec.frames // len(weights) * spec.hop_length / spec.sample_rate
    np.testing.assert_allclose(np.diff(found.attention_times), step)
    assert found.attention_times[0] == pytest.approx(step / 2)


def test_words_far_apart_are_judged_all_the_same(recognizer):
    gap = 1e-4 * np.random.default_rng(0).standard_normal(5 * 16_000)
    parts = [part for _ in range(4) for part in (speech_like(0.45), gap)]
    found = recognizer.predict(
        audio.Clip(np.concatenate(parts).astype(np.float32), 16_000, "sparse")
    )
    assert found.label and found.windows


@pytest.mark.realdata
def test_gain_changes_no_prediction(recognizer, data_dir):
    speech = corpora.scan("ravdess", data_dir / "ravdess").manifest.query("channel == 'speech'")
    changed, tried = [], 0
    for path in speech.path.iloc[:: len(speech) // 200][:200]:
        clip = audio.read(path)
        before = recognizer.predict(clip)
        for decibels in (-30, -15, 6):
            factor = np.float32(10 ** (decibels / 20))
            if np.abs(clip.samples).max() * factor > 1:
                continue
            tried += 1
            after = recognizer.predict(dataclasses.replace(clip, samples=clip.samples * factor))
            if (after.label, after.abstained) != (before.label, before.abstained):
                changed.append((path.name, decibels))
    assert tried > 500 and not changed


@pytest.mark.realdata
def test_the_shipped_model_knows_its_training_corpus(recognizer, data_dir):
    speech = corpora.scan("ravdess", data_dir / "ravdess").manifest.query("channel == 'speech'")
    some = speech.iloc[::12]
    found = recognizer.predict_many([audio.read(path) for path in some.path])
    right = np.mean([p.label == emotion for p, emotion in zip(found, some.emotion, strict=True)])
    assert right > 0.6, "these clips were trained on; chance is 0.13"
