import errno
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_core import audio, bundle, features, locations
from tests.helpers import speech_like

SHIPPED = sorted(path.parent.name for path in locations.MODELS.glob("[!.]*/card.json"))


@pytest.fixture
def copy(tmp_path):
    return shutil.copytree(locations.find_model("swift"), tmp_path / "swift")


def change_card(folder, **values):
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(card | values))


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_model_loads_and_runs(name):
    loaded = bundle.load(locations.find_model(name))
    spec = loaded.card.features
    windows = np.random.default_rng(0).uniform(-80, 0, (5, *spec.shape))
    outputs = loaded.run(windows.astype(np.float32))
    assert outputs["logits"].shape == (5, len(loaded.card.labels))
    np.testing.assert_allclose(outputs["attention"].sum(axis=1), 1, atol=1e-4)


@pytest.mark.parametrize("name", SHIPPED)
def test_onnx_agrees_with_keras(name):
    import keras

    folder = locations.find_model(name)
    loaded = bundle.load(folder)
    spec = loaded.card.features
    model = keras.models.load_model(folder / "model.keras", safe_mode=True, compile=False)
    voices = (speech_like(seconds, 120 * seconds) for seconds in (1.0, 1.7, 2.5, 4.0))
    clips = (audio.Clip(samples, audio.SAMPLE_RATE, "talk") for samples in voices)
    windows = np.concatenate([features.windows(clip, spec).values for clip in clips])
    ours = loaded.run(windows)
    theirs = model.predict(windows, verbose=0)
    for output in bundle.OUTPUTS:
        np.testing.assert_allclose(ours[output], theirs[output], atol=1e-4)


@pytest.mark.parametrize("name", SHIPPED)
def test_the_model_card_is_rendered_from_the_card(name):
    from ser_core.card import model_card

    folder = locations.find_model(name)
    card = bundle.read_card(folder)
    assert (folder / "README.md").read_text("utf-8") == model_card(card)
    for row in card.evaluation:
        assert f"{100 * row.uar:.1f}" in model_card(card)


@pytest.mark.parametrize("name", bundle.FILES)
def test_a_damaged_file_is_found(copy, name):
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(bundle.BundleError, match=name):
        bundle.load(copy)


@pytest.mark.parametrize("name", [*bundle.FILES, "card.json"])
def test_a_missing_file_is_found(copy, name):
    (copy / name).unlink()
    with pytest.raises(bundle.BundleError, match=name):
        bundle.load(copy)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"labels": ["happy", "sad"]}, "8 emotions"),
        ({"temperature": "warm"}, "temperature"),
        ({"features": {"frames": 100}}, "windows"),
        ({"files": {}}, "no sha256"),
        ({"labels": None}, "labels"),
    ],
)
def test_a_card_that_contradicts_the_model_is_found(copy, values, says):
    change_card(copy, **values)
    with pytest.raises(bundle.BundleError, match=says):
        bundle.load(copy)


def test_onnx_that_is_none_is_found(copy):
    (copy / "model.onnx").write_bytes(b"not a network")
    card = json.loads((copy / "card.json").read_text())
    files = card["files"] | {"model.onnx": bundle.sha256(copy / "model.onnx")}
    change_card(copy, files=files)
    with pytest.raises(bundle.BundleError, match="cannot be run"):
        bundle.load(copy)


def test_a_voice_space_of_another_model_is_found(copy):
    np.savez(copy / "voice.npz", kernel=np.zeros((5, 8)), moods=np.zeros((8, 5)))
    card = json.loads((copy / "card.json").read_text())
    change_card(copy, files=card["files"] | {"voice.npz": bundle.sha256(copy / "voice.npz")})
    with pytest.raises(bundle.BundleError, match="of another model"):
        bundle.load(copy)


def test_the_voice_space_is_the_models(toy_run):
    import keras

    model = keras.models.load_model(toy_run / "model" / "model.keras", compile=False)
    loaded = bundle.load(toy_run / "model")
    spec = loaded.card.features
    windows = np.random.default_rng(2).uniform(-80, 0, (3, *spec.shape))
    outputs = loaded.run(windows.astype(np.float32))
    bias = model.get_layer("logits").get_weights()[1]
    logits = outputs["embedding"] @ loaded.space.kernel + bias
    np.testing.assert_allclose(logits, outputs["logits"], atol=1e-4)


@pytest.mark.parametrize("name", SHIPPED)
def test_an_average_voice_in_a_mood_is_heard_as_in_that_mood(name):
    space = bundle.load(locations.find_model(name)).space
    heard = (space.moods - space.moods.mean(axis=0)) @ space.kernel
    assert list(heard.argmax(axis=1)) == list(range(len(heard)))


def test_a_model_of_before_knows_the_mean_of_the_moods(copy):
    with np.load(copy / "voice.npz") as stored:
        kernel, mean = stored["kernel"], stored["moods"].mean(axis=0)
    np.savez(copy / "voice.npz", kernel=kernel, population=mean)
    card = json.loads((copy / "card.json").read_text())
    change_card(copy, files=card["files"] | {"voice.npz": bundle.sha256(copy / "voice.npz")})
    moods = bundle.load(copy).space.moods
    np.testing.assert_array_equal(moods, np.tile(mean, (len(moods), 1)))


@given(content=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_a_card_or_a_sentence(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("bundle")
    (folder / "card.json").write_bytes(content)
    with pytest.raises(bundle.BundleError):
        bundle.read_card(folder)


def test_a_bundle_that_cannot_take_its_place_leaves_the_former_one(tmp_path, monkeypatch):
    made, folder = tmp_path / "made", tmp_path / "own"
    for each in (made, folder):
        each.mkdir()
        (each / each.name).touch()
    real = Path.rename

    def fails(path, target):
        if path == made:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return real(path, target)

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(OSError, match="No space left"):
        bundle._replace(made, folder)
    assert (folder / "own").exists()


def test_an_export_that_answers_otherwise_is_no_bundle(toy_run, tmp_path, monkeypatch):
    import keras

    model = keras.models.load_model(toy_run / "model" / "model.keras", compile=False)
    loaded, real = bundle.load(toy_run / "model"), bundle.Bundle.run

    def otherwise(self, windows):
        return {name: values + 0.01 for name, values in real(self, windows).items()}

    monkeypatch.setattr(bundle.Bundle, "run", otherwise)
    with pytest.raises(bundle.BundleError, match="differ from the Keras model's by 0.01"):
        bundle.save(model, loaded.card, tmp_path / "own", moods=loaded.space.moods)
    assert not list(tmp_path.iterdir())


def test_a_bundle_that_cannot_take_its_place_says_why(toy_run, tmp_path, monkeypatch):
    import keras

    model = keras.models.load_model(toy_run / "model" / "model.keras", compile=False)
    card = bundle.read_card(toy_run / "model")

    def full(path, target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    moods = bundle.load(toy_run / "model").space.moods
    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", full)
        with pytest.raises(OSError, match="No space left"):
            bundle.save(model, card, tmp_path / "own", moods=moods)
    assert not list(tmp_path.iterdir())


def test_a_bundle_is_replaced_whole(toy_run, tmp_path):
    import keras

    model = keras.models.load_model(toy_run / "model" / "model.keras", compile=False)
    card = bundle.read_card(toy_run / "model")
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "old.txt").write_text("what was there before")
    moods = bundle.load(toy_run / "model").space.moods
    bundle.save(model, card, folder, moods=moods)
    assert sorted(path.name for path in folder.iterdir()) == sorted([*bundle.FILES, "card.json"])
    assert [path.name for path in tmp_path.iterdir()] == ["own"]
    assert bundle.load(folder).card.labels == card.labels
