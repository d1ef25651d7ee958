import numpy as np
import soundfile

from benchmarks import predict, usual


def test_the_usual_pipeline_is_what_it_says(tmp_path):
    path = tmp_path / "clip.wav"
    soundfile.write(path, predict.clip()[0], 16_000)
    assert usual.features(path).shape == (300, 54)
    probabilities = usual.predict(usual.network(), path)
    assert probabilities.shape == (8,) and np.isclose(probabilities.sum(), 1, atol=1e-4)


def test_the_benchmark_clip_passes_for_speech(tmp_path):
    from ser_core import audio

    samples, _ = predict.clip()
    assert not audio.quality(audio.Clip(samples, 16_000, "clip")).issues
