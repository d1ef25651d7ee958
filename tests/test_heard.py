import dataclasses

import numpy as np
import pandas as pd
import pytest

from ser_core import audio, bundle, corpora, heard, kept, locations, recognizer
from ser_core.corpora import ready_made


@pytest.fixture(scope="module")
def model():
    return bundle.load(locations.find_model("swift"))


@pytest.fixture
def manifest(toy_ravdess, tmp_path, monkeypatch):
    """Ten recordings, and a cache that knows none of them."""
    monkeypatch.setenv("SER_CACHE_DIR", str(tmp_path / "cache"))
    found = corpora.scan("ravdess", toy_ravdess / "ravdess").manifest
    return found.iloc[:10].reset_index(drop=True)


def test_outputs_are_those_of_the_recognizer(model, manifest):
    found = heard.outputs(model, manifest)
    served = recognizer.Recognizer(model)
    for index, path in enumerate(manifest.path):
        prediction = served.predict(audio.read(path))
        np.testing.assert_allclose(found.embedding[index], prediction.embedding, atol=1e-4)
        expected = [prediction.probabilities[label] for label in model.card.labels]
        np.testing.assert_allclose(found.probabilities[index], expected, atol=1e-4)
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, atol=1e-5)


def test_a_recording_is_heard_once(model, manifest, monkeypatch):
    totals = []
    first = heard.outputs(model, manifest.iloc[:6], on_clip=totals.append)
    assert totals == [6] * 6
    totals = []
    heard.outputs(model, manifest, on_clip=totals.append)
    assert totals == [4] * 4
    monkeypatch.setattr(bundle.Bundle, "run", None)
    again = heard.outputs(model, manifest.iloc[:6])
    np.testing.assert_array_equal(again.embedding, first.embedding)
    np.testing.assert_array_equal(again.probabilities, first.probabilities)


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": 9.0},
        {"files": {"model.onnx": "another training of the same network"}},
    ],
)
def test_another_model_has_its_own_answers(model, manifest, monkeypatch, change):
    first = heard.outputs(model, manifest.iloc[:4])
    real, calls = bundle.Bundle.run, []
    monkeypatch.setattr(
        bundle.Bundle, "run", lambda self, values: calls.append(1) or real(self, values)
    )
    other = dataclasses.replace(model, card=dataclasses.replace(model.card, **change))
    found = heard.outputs(other, manifest.iloc[:4])
    assert calls, "nobody else's answers are taken for its own"
    same = np.allclose(found.probabilities, first.probabilities)
    assert same == ("temperature" not in change)


def test_what_cannot_be_read_is_nan(model, manifest, tmp_path):
    bad = tmp_path / "bad.flac"
    bad.write_bytes(b"no sound")
    manifest.loc[3, "path"] = bad
    found = heard.outputs(model, manifest)
    assert np.flatnonzero(np.isnan(found.embedding).all(axis=1)).tolist() == [3]
    assert np.flatnonzero(np.isnan(found.probabilities).any(axis=1)).tolist() == [3]
    only = manifest.iloc[3:4].reset_index(drop=True)
    assert np.isnan(heard.outputs(model, only).embedding).all()


@pytest.mark.realdata
def test_ready_made_spectrograms_are_heard_among_recordings(model, manifest):
    made = ready_made.manifest()
    if made is None:
        pytest.skip("no ready-made spectrograms in SER_DATA_DIR")
    mixed = pd.concat([made.iloc[:3], manifest, made.iloc[3:5]], ignore_index=True)
    found = heard.outputs(model, mixed)
    alone = heard.outputs(model, manifest)
    assert np.isfinite(found.embedding).all()
    np.testing.assert_array_equal(found.embedding[3:13], alone.embedding)


@pytest.mark.realdata
def test_what_a_model_cannot_see_is_no_answer(manifest):
    made = ready_made.manifest()
    if made is None:
        pytest.skip("no ready-made spectrograms in SER_DATA_DIR")
    deep = bundle.load(locations.find_model("deep"))
    mixed = pd.concat([made.iloc[:2], manifest.iloc[:2]], ignore_index=True)
    assert list(heard.can_hear(deep, mixed)) == [False, False, True, True]
    found = heard.outputs(deep, mixed)
    assert list(np.isfinite(found.probabilities).all(axis=1)) == [False, False, True, True]
    assert np.isnan(heard.outputs(deep, mixed.iloc[:2]).embedding).all()
    width = len(deep.space.kernel) + len(deep.card.labels)
    assert kept.count(heard._file(deep), mixed, width) == 2, "what is not heard is not kept"
