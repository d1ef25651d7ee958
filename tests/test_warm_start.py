"""A network that begins with what another has learned."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from ser_core import audio, bundle, dataset, networks, recipe, training, warm_start
from ser_core.errors import UndertoneError
from tests.helpers import TOY, speech_like


@pytest.fixture
def data_dir(toy_ravdess, tmp_path, monkeypatch):
    """Two corpora with the same emotions: the toy one, and four men of SAVEE's names."""
    root = tmp_path / "data"
    shutil.copytree(toy_ravdess, root)
    (root / "savee").mkdir()
    for index, speaker in enumerate(("DC", "JE", "JK", "KL")):
        for code, pitch in (("n", 95.0), ("h", 330.0), ("sa", 135.0), ("a", 240.0)):
            for take in (1, 2, 3):
                samples = speech_like(1.2, pitch * (1 + 0.02 * index), seed=100 * index + take)
                file = root / "savee" / f"{speaker}_{code}{take:02d}.wav"
                soundfile.write(file, samples, audio.SAMPLE_RATE)
    monkeypatch.setenv("SER_DATA_DIR", str(root))
    return root


def start(toy_run, *settings):
    own = ["data.corpus=savee", "training.validation_speakers=1", "training.epochs=2"]
    base = f"training.start={toy_run / 'model'}"
    return recipe.load("swift", [*TOY, *own, base, *settings])


def test_all_but_the_last_layer_is_that_of_the_model(toy_run):
    import keras

    loaded = start(toy_run, 'labels=["neutral", "angry"]')
    network = networks.build(loaded)
    last = network.get_layer("logits").get_weights()
    warm_start.transfer(loaded, network)
    known = keras.models.load_model(toy_run / "model" / "model.keras")
    window = np.random.default_rng(0).uniform(-80, 0, (3, *loaded.features.shape))
    for output in ("embedding", "attention"):
        np.testing.assert_allclose(network(window)[output], known(window)[output], atol=1e-5)
    for one, other in zip(network.get_layer("logits").get_weights(), last, strict=True):
        np.testing.assert_array_equal(one, other)


def events(folder):
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


def test_it_learns_sooner_and_its_card_says_from_whom(data_dir, toy_run, tmp_path):
    warm = start(toy_run)
    cold = recipe.load("swift", [*TOY, "data.corpus=savee", "training.epochs=2"])
    data = dataset.load(warm)
    card = training.train(warm, data, tmp_path / "warm")
    training.train(cold, data, tmp_path / "cold")
    losses = [
        min(event["val_loss"] for event in events(tmp_path / name)) for name in ("warm", "cold")
    ]
    assert losses[0] < 0.8 * losses[1]
    base = bundle.read_card(toy_run / "model")
    assert list(card.training.corpora) == ["ravdess", "savee"]
    assert set(base.training.speakers + base.training.validation_speakers) < set(
        card.training.speakers
    )
    assert card.training.utterances > base.training.utterances
    assert base.files["model.keras"][:16] in card.training.pretrained
    assert "and" in card.licence


@pytest.mark.parametrize("protocol", [None, "random-80-20"])
def test_who_taught_the_model_does_not_judge_what_starts_with_it(
    data_dir, toy_run, tmp_path, protocol
):
    loaded = recipe.load("swift", [*TOY, f"training.start={toy_run / 'model'}"])
    data = dataset.load(loaded)
    with pytest.raises(training.TrainingError, match="has heard ravdess-.*start with another"):
        training.train(loaded, data, tmp_path / "run", protocol=protocol)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (["network.lstm_units=4"], "another kind of network"),
        (["network.filters=[16]", "network.pooling=[2]"], "another kind of network"),
        (["features.frames=100"], "hears other features"),
        (["training.start=nonsense"], "no model 'nonsense'"),
    ],
)
def test_what_does_not_fit_gets_a_sentence(data_dir, toy_run, tmp_path, settings, sentence):
    loaded = start(toy_run, *settings)
    data = dataset.load(loaded)
    with pytest.raises(UndertoneError, match=sentence):
        training.train(loaded, data, tmp_path / "run")


def test_a_model_changed_since_is_not_started_with(data_dir, toy_run, tmp_path):
    shutil.copytree(toy_run / "model", tmp_path / "base")
    with (tmp_path / "base" / "model.keras").open("ab") as file:
        file.write(b"more")
    loaded = recipe.load("swift", [*TOY, f"training.start={tmp_path / 'base'}"])
    with pytest.raises(UndertoneError, match="sha256 differs"):
        warm_start.transfer(loaded, None)


@pytest.mark.parametrize("name", ["lstm", "crnn-multifeature", "deep"])
def test_features_are_standardised_as_they_were(name, tmp_path, monkeypatch):
    loaded = recipe.load(name, ["training.start=base"])
    values = 1024 if name == "deep" else loaded.features.shape[-1]
    theirs, ours = (
        networks.Scale(np.full(values, mean), np.full(values, sd)) for mean, sd in ((3, 2), (0, 1))
    )
    known = networks.build(loaded, theirs)
    known.save(tmp_path / "model.keras")
    card = SimpleNamespace(features=loaded.features)
    monkeypatch.setattr(warm_start, "base", lambda recipe: (card, tmp_path))
    monkeypatch.setattr(bundle, "verify_files", lambda folder, card: None)
    network = networks.build(loaded, ours)
    warm_start.transfer(loaded, network)
    window = np.random.default_rng(0).normal(size=(2, *loaded.features.shape))
    heard, known_of = network(window)["embedding"], known(window)["embedding"]
    np.testing.assert_allclose(heard, known_of, rtol=1e-4, atol=1e-4)
