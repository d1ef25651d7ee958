import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from ser_core import audio, fbank, features
from ser_core.errors import UndertoneError
from ser_core.explain import occlusion
from ser_core.recognizer import Recognizer
from tests.helpers import speech_like

SPOT = slice(60, 70), slice(20, 26)


def clip(seconds, pitch=140.0):
    return audio.Clip(speech_like(seconds, pitch), 16_000, "talk")


@pytest.fixture(scope="module")
def recognizer():
    return Recognizer.from_name("swift")


@pytest.fixture(params=[features.FeatureSpec(), fbank.FbankSpec("fbank")], ids=["log-mel", "fbank"])
def listens_to_one_spot(recognizer, request):
    """A recognizer that gets less sure the more a single spot differs from what it was at first."""
    card = dataclasses.replace(recognizer.card, features=request.param)
    labels = card.labels
    seen = []

    def run(windows):
        spots = windows[:, *SPOT].astype(float)
        seen.extend(spots[:1])
        logits = np.zeros((len(windows), len(labels)), np.float32)
        if seen:
            logits[:, labels.index("sad")] = 3 - 0.5 * np.abs(spots - seen[0]).mean(axis=(1, 2))
        return {
            "logits": logits,
            "embedding": np.zeros((len(windows), 4), np.float32),
            "attention": np.ones((len(windows), 23), np.float32),
        }

    return Recognizer(SimpleNamespace(card=card, run=run))


def test_the_map_peaks_where_the_answer_hangs(listens_to_one_spot):
    found = occlusion(listens_to_one_spot, clip(2.5))
    assert found.label == "sad"
    frame, band = np.unravel_index(found.importance.argmax(), found.importance.shape)
    if isinstance(listens_to_one_spot.card.features, features.FeatureSpec):
        assert SPOT[0].start <= frame < SPOT[0].stop and SPOT[1].start <= band < SPOT[1].stop
    # A coarse patch is wider than the spot: its first corner may lie beside it.
    assert found.importance[SPOT].max() == found.importance[frame, band]
    assert found.importance[SPOT].mean() > 0.1
    frames, bands = (16, 8) if found.importance.shape[1] == 64 else (32, 16)  # of a patch
    reach = np.ones_like(found.importance, bool)
    reach[
        SPOT[0].start - frames : SPOT[0].stop + frames, SPOT[1].start - bands : SPOT[1].stop + bands
    ] = False
    np.testing.assert_allclose(found.importance[reach], 0, atol=1e-6)


@pytest.mark.parametrize("seconds", [0.7, 2.0, 3.0, 4.2])
def test_the_map_lies_over_the_spectrogram(recognizer, seconds):
    talk = clip(seconds)
    found = occlusion(recognizer, talk)
    windows = recognizer.predict(talk).windows
    assert found.label == recognizer.predict(talk).label
    assert found.importance.shape == (len(found.times), len(found.hertz))
    assert np.isfinite(found.importance).all() and np.abs(found.importance).max() > 0
    assert np.abs(found.importance).max() <= 1
    assert found.times[0] == windows[0].start
    assert found.times[-1] == pytest.approx(windows[-1].end, abs=0.017)
    np.testing.assert_allclose(np.diff(found.times), 0.016)
    assert len(found.hertz) == recognizer.card.features.bands
    assert (np.diff(found.hertz) > 0).all() and 0 < found.hertz[0] and found.hertz[-1] < 8_000


def test_times_count_from_the_beginning_of_the_clip(recognizer):
    late = np.concatenate([np.zeros(32_000, np.float32), speech_like(2.0)])
    found = occlusion(recognizer, audio.Clip(late, 16_000, "late"))
    assert found.times[0] == pytest.approx(2, abs=0.15)


def test_the_bands_are_where_their_tones_are(recognizer):
    spec = recognizer.card.features
    hertz = occlusion(recognizer, clip(1.0)).hertz
    for band in (5, 20, 40, 60):
        tone = np.sin(2 * np.pi * hertz[band] * np.arange(16_000) / 16_000)
        (values,) = features.windows(audio.Clip(tone.astype(np.float32), 16_000, "t"), spec).values
        assert abs(int(values[30].argmax()) - band) <= 1


def test_a_long_clip_is_explained_by_its_likeliest_window(recognizer):
    talk = audio.Clip(np.concatenate([speech_like(6.0), speech_like(6.0, 260.0)]), 16_000, "long")
    prediction = recognizer.predict(talk)
    best = max(prediction.windows, key=lambda w: w.probabilities[prediction.label])
    found = occlusion(recognizer, talk, prediction=prediction)
    assert found.times[0] == pytest.approx(best.start)
    assert found.times[-1] == pytest.approx(best.end, abs=0.017)


def test_a_clip_that_begins_elsewhere_than_it_was_heard_is_explained_all_the_same(recognizer):
    talk = np.concatenate([speech_like(6.0), speech_like(6.0, 260.0)])
    prediction = recognizer.predict(audio.Clip(talk, 16_000, "heard"))
    kept = audio.Clip(np.concatenate([np.zeros(1024, np.float32), talk]), 16_000, "kept")
    found = occlusion(recognizer, kept, prediction=prediction)
    best = max(prediction.windows, key=lambda w: w.probabilities[prediction.label])
    assert found.times[0] == pytest.approx(best.start, abs=0.07)


def test_without_an_answer_there_is_nothing_to_explain(recognizer):
    silence = audio.Clip(np.zeros(32_000, np.float32), 16_000, "silence")
    with pytest.raises(UndertoneError, match="no answer to explain; give"):
        occlusion(recognizer, silence)
