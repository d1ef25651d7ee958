"""Every shipped recipe, trained for one epoch on the toy corpus."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from ser_core import (
    audio,
    bundle,
    classical,
    dataset,
    fitted,
    fitting,
    folds,
    jobs,
    networks,
    recipe,
    splits,
    training,
)
from ser_core.hyperparameters import CLASSICAL
from ser_core.recognizer import Recognizer
from tests.helpers import speech_like

RECIPES = {path.stem: recipe.load(path.stem) for path in recipe.RECIPES.glob("*.toml")}
NETWORKS = sorted(name for name, r in RECIPES.items() if not isinstance(r.network, CLASSICAL))
BASELINES = sorted(set(RECIPES) - set(NETWORKS))
ATTENTIVE = ("deep", "mel-cnn-bilstm", "swift")
SMALL = (
    'labels=["neutral", "happy", "sad", "angry"]',
    "data.corpus=ravdess",
    "data.most_of_speaker=4",
    "training.epochs=1",
    "training.patience=1",
    "training.warmup_epochs=0",
    "training.validation_speakers=2",
    # One way in which recordings are changed stands for all: `lines`, of those that have it.
    *(f"augmentation.{kind}=[]" for kind in ("speeds", "noises", "hums", "rooms")),
)


pytestmark = pytest.mark.usefixtures("toy_data")


@pytest.mark.parametrize(
    ("name", "shape", "parameters"),
    [
        ("cnn", (80, 58), 1_156_232),
        ("cnn-bilstm-four", (300, 54), 166_535),
        ("cnn-lstm", (80, 58), 200_648),
        ("cnn-lstm-six", (80, 226), 254_278),
        ("cnn-refined", (160, 58), 1_156_103),
        ("crnn-multifeature", (80, 64), 336_600),
        ("deep", (298, 80), 4_681_751),
        ("lstm", (80, 58), 104_520),
        ("mel-cnn-bilstm", (160, 64), 344_345),
        ("swift", (188, 64), 827_913),
    ],
)
def test_networks_have_golden_shapes(name, shape, parameters):
    loaded = RECIPES[name]
    values = np.random.default_rng(0).normal(-40, 10, (3, *shape)).astype(np.float32)
    channels = 1024 if name == "deep" else shape[-1]
    scale = networks.Scale(np.full(channels, -40.0), np.full(channels, 10.0))
    model = networks.build(loaded, scale)
    outputs = model(values)
    assert loaded.features.shape == shape == model.input_shape[1:]
    assert outputs["logits"].shape == (3, len(loaded.labels))
    assert ("attention" in outputs) == (name in ATTENTIVE)
    assert model.count_params() == parameters


def test_every_network_has_a_golden_shape():
    (marker,) = test_networks_have_golden_shapes.pytestmark
    assert [name for name, *_ in marker.args[1]] == NETWORKS


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_see_116_numbers_of_a_recording(name):
    """Mean and sd of 58 descriptors."""
    assert RECIPES[name].features.shape == (116,)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_trained_shipped_and_heard(name, tmp_path):
    more = {
        "cnn-bilstm-four": ['augmentation.only=["sad"]'],
        "deep": ["network.blocks=1", "network.corpora=2"],
    }
    settings = [*SMALL, *more.get(name, [])]
    loaded = recipe.load(name, settings)
    data = dataset.load(loaded)
    kinds = len(loaded.augmentation.variants)
    assert len(data.varied) == kinds
    if loaded.augmentation.only:
        for varied in data.varied:
            assert set(data.manifest.emotion[varied.clip]) == {"sad"}
    card = training.train(loaded, data, tmp_path / "run")
    assert ("Apache License" in card.training.pretrained) == (name == "deep")
    recognizer = Recognizer(bundle.load(tmp_path / "run" / "model"))
    for seconds in (1.0, 12.0):
        heard = recognizer.predict(audio.Clip(speech_like(seconds), 16_000, "talk"))
        assert sum(heard.probabilities.values()) == pytest.approx(1)
        assert tuple(heard.probabilities) == card.labels
    assert (len(heard.attention) > 0) == (name in ATTENTIVE)
    seed = loaded.training.seed
    split = splits.split(data.manifest, None, 0, seed=seed, validation_speakers=2)
    if hasattr(loaded.features, "names"):
        mean, of_all = (
            np.concatenate(
                [each.values[np.isin(each.clip, rows)] for each in (data.features, *data.varied)]
            ).mean(axis=tuple(range(len(loaded.features.shape))))
            for rows in (split.train, np.arange(len(data.manifest)))
        )
        if loaded.training.refit:  # and then the validation speakers' clips are training clips
            mean = of_all
        assert len(card.mean) == len(card.sd) == loaded.features.shape[-1]
        np.testing.assert_allclose(card.mean, mean, rtol=1e-3, atol=1e-4)
        if not loaded.training.refit:
            assert not np.allclose(card.mean, of_all, rtol=1e-3, atol=1e-4), "not of all clips"
    if name == "deep":  # of `swift`, test_going_on has this and more
        fitting.fit_network(loaded, data, split, seed=seed, folder=tmp_path / "again")
        once, again = (jobs.read_events(tmp_path / folder) for folder in ("run", "again"))
        for score in ("loss", "val_loss"):
            assert [event[score] for event in once] == [event[score] for event in again] != []


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_is_the_same_under_a_seed(name):
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 90)
    values, unseen = rng.normal(truth[:, None], 3, (2, 90, 8))
    one, same, other = (
        classical.fit(RECIPES[name], values, truth, seed).logits(unseen) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert (one != other).any() == (name == "random-forest"), "nothing else draws by chance"


@pytest.mark.parametrize(("name", "refit"), [("svm", False), ("swift", True)])
def test_nothing_is_fitted_on_those_who_are_tested(name, refit, tmp_path):
    loaded = recipe.load(name, [*SMALL, f"training.refit={str(refit).lower()}"])
    data = dataset.load(loaded)
    split = splits.split(data.manifest, "random-80-20", 0, seed=0, validation_speakers=2)

    def scrambled(features):
        values, whose = features.values.copy(), np.isin(features.clip, split.test)
        values[whose] = values[~whose].mean(axis=0)
        return dataclasses.replace(features, values=values)

    truth, heard = data.truth.copy(), None if data.heard is None else data.heard.copy()
    truth[split.test] = 0
    if heard is not None:
        heard[split.test] = 0
    others = dataclasses.replace(
        data,
        truth=truth,
        features=scrambled(data.features),
        varied=tuple(map(scrambled, data.varied)),
        heard=heard,
    )
    one, other = (
        fitted.fit(loaded, each, split, seed=0, folder=tmp_path / str(number))
        for number, each in enumerate((data, others))
    )
    assert (one.temperature, one.selective, one.validation) == (
        other.temperature,
        other.selective,
        other.validation,
    )
    some = data.features.values[np.isin(data.features.clip, split.test)]
    np.testing.assert_array_equal(one.outputs(some)["logits"], other.outputs(some)["logits"])


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_learns_and_is_measured_only(name, tmp_path):
    loaded = recipe.load(name, SMALL)
    data = dataset.load(loaded)
    run = tmp_path / "run"
    assert training.train(loaded, data, run, protocol="random-80-20") is None
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["test"]["uar"] > 0.6, "chance is 0.25"
    assert metrics["parameters"] > 100
    found = pd.read_parquet(run / "predictions.parquet")
    np.testing.assert_allclose(found[list(loaded.labels)].sum(axis=1), 1, atol=1e-6)
    result = folds.run(loaded, "random-80-20", 0, 0, tmp_path, robustness=False)
    assert result.uar == pytest.approx(metrics["test"]["uar"])
    with pytest.raises(ValueError, match="cannot get to know a voice"):
        folds.with_voice(loaded, [result], tmp_path, clips=1)
