import dataclasses
import json

import numpy as np
import pytest

from ser_core import audio, bundle, corpora, crossval, dataset, networks, recipe, splits, training
from ser_core.recognizer import Recognizer
from tests.helpers import TOY


@pytest.fixture(autouse=True)
def toy_data(toy_ravdess, monkeypatch):
    monkeypatch.setenv("SER_DATA_DIR", str(toy_ravdess))


def test_a_network_has_the_promised_outputs():
    loaded = recipe.load("swift")
    model = networks.build(loaded)
    outputs = model(np.full((2, 188, 64), -40, np.float32))
    assert outputs["logits"].shape == (2, 8)
    assert outputs["embedding"].shape == (2, loaded.network.embedding)
    np.testing.assert_allclose(np.array(outputs["attention"]).sum(axis=1), 1, atol=1e-5)
    assert model.count_params() <= 1_000_000


@pytest.mark.parametrize("count", [1, 2, 3])
def test_averaged_frames_are_the_mean_of_neighbours(count):
    x = np.random.default_rng(0).normal(size=(2, 10, 4)).astype(np.float32)
    averaged = np.array(networks.average_frames(x, count))
    assert averaged.shape == (2, 10 // count, 4)
    np.testing.assert_allclose(averaged[:, 1], x[:, count : 2 * count].mean(axis=1), rtol=1e-5)


def test_training_learns_and_writes_a_whole_run(toy_run):
    metrics = json.loads((toy_run / "metrics.json").read_text())
    assert metrics["validation"]["uar"] > 0.6, "chance is 0.25"
    events = [json.loads(line) for line in (toy_run / "events.jsonl").read_text().splitlines()]
    assert [event["epoch"] for event in events] == list(range(1, len(events) + 1))
    assert events[-1]["loss"] < events[0]["loss"]
    best = min(events, key=lambda event: event["val_loss"])
    card = bundle.read_card(toy_run / "model")
    assert card.training.epochs == best["epoch"]
    parts = json.loads((toy_run / "split.json").read_text())
    speakers = {name: {i.rsplit("-", 1)[1] for i in ids} for name, ids in parts.items()}
    assert not speakers["train"] & speakers["validation"]


def test_what_was_trained_hears_it(toy_run, toy_ravdess):
    recognizer = Recognizer(bundle.load(toy_run / "model"))
    frame = corpora.scan("ravdess").manifest
    guesses = [recognizer.predict(audio.read(path)).label for path in frame.path]
    assert np.mean(np.array(guesses) == frame.emotion) > 0.6, "chance is 0.25"


def test_a_taken_run_folder_is_left_alone(toy_run):
    before = sorted(path.name for path in toy_run.rglob("*"))
    loaded = recipe.load("swift", TOY)
    with pytest.raises(training.TrainingError, match="holds a run already"):
        training.train(loaded, dataset.load(loaded), toy_run)
    assert sorted(path.name for path in toy_run.rglob("*")) == before


def test_labels_that_nothing_carries_get_a_sentence():
    with pytest.raises(dataset.DatasetError, match="calm, disgust, fearful, surprised"):
        dataset.select(recipe.load("swift"))


def test_a_damaged_recording_is_left_out(tmp_path, toy_ravdess, monkeypatch):
    folder = tmp_path / "ravdess"
    folder.mkdir()
    for path in (toy_ravdess / "ravdess").rglob("*.flac"):
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "03-01-01-01-01-01-01.flac").write_bytes(b"fLaC damaged")
    monkeypatch.setenv("SER_DATA_DIR", str(tmp_path))
    data = dataset.load(recipe.load("swift", TOY))
    assert len(data.manifest) == len(data.truth) == 63
    assert "03-01-01-01-01-01-01.flac" not in {path.name for path in data.manifest.path}


def test_batches_are_drawn_anew_each_epoch_and_alike_under_a_seed():
    loaded = recipe.load("swift", TOY)
    data = dataset.load(loaded)
    split = splits.holdout(data.manifest, seed=0, validation_speakers=2)
    first, again = (training.Batches(loaded, data, split.train, 3) for _ in range(2))
    for batch, other in zip(first[1], again[1], strict=True):
        np.testing.assert_array_equal(batch, other)
    before = first[0][0]
    first.on_epoch_end()
    assert np.abs(first[0][0] - before).max() > 1


def test_other_speeds_are_trained_on_and_nothing_else():
    loaded = recipe.load("swift", [*TOY, "augmentation.speeds=[0.8, 1.25]"])
    data = dataset.load(loaded)
    split = splits.holdout(data.manifest, seed=0, validation_speakers=2)
    batches = training.Batches(loaded, data, split.train, 0)
    assert len(batches.values) == 3 * len(split.train)
    assert len(batches) == len(split.train) // batches.size, "an epoch is no longer for it"
    ours = [data.features, *data.sped]
    heard = np.concatenate([part.values[np.isin(part.clip, split.train)] for part in ours])
    np.testing.assert_array_equal(batches.values, heard)
    slow, fast = ((part.values > -79).any(axis=2).sum() for part in data.sped)
    assert slow > 1.3 * fast


def test_averaging_keeps_the_best_average():
    loaded = recipe.load("swift", TOY)
    data = dataset.load(loaded)
    model = networks.build(loaded)
    import keras

    classifier = keras.Model(model.input, model.output["logits"])
    windows = training._windows(loaded, data.truth, data.features, np.arange(10))
    callback = training.AveragedWeights(classifier, windows, 0.5)
    callback.set_model(classifier)
    start = classifier.get_weights()
    callback.on_epoch_end(0, {})
    for average, weight in zip(callback.averaged.get_weights(), start, strict=True):
        np.testing.assert_allclose(average, weight, rtol=1e-5, atol=1e-6)
    classifier.set_weights([weight + 3 for weight in start])
    callback.best_loss = np.inf
    logs = {}
    callback.on_epoch_end(1, logs)
    assert callback.best_epoch == 2 and callback.best_loss == logs["val_loss"]
    for best, weight in zip(callback.best_weights, start, strict=True):
        np.testing.assert_allclose(best, weight + 2, rtol=1e-4, atol=1e-4)
    callback.best_loss = -1.0
    classifier.set_weights(start)
    callback.on_epoch_end(2, {})
    assert callback.best_epoch == 2, "a worse epoch is not kept"
    callback.averaged.set_weights(callback.best_weights)
    for average, weight in zip(callback.averaged.get_weights(), start, strict=True):
        np.testing.assert_allclose(average, weight + 2, rtol=1e-4, atol=1e-4)
    assert 0 <= logs["val_uar"] <= 1


def test_the_learning_rate_rises_then_falls_to_zero():
    config = recipe.load("swift", ["training.epochs=10", "training.warmup_epochs=2"]).training
    schedule = training.learning_rate(config, steps=5)
    rates = [float(schedule(step)) for step in range(51)]
    assert rates[0] < 1e-9 and np.argmax(rates) == 10 and rates[50] < 1e-9
    assert max(rates) == pytest.approx(config.learning_rate)


def test_a_fold_of_unseen_speakers_scores_its_own_test_speakers(tmp_path, monkeypatch):
    folds = [[f"ravdess-0{actor}" for actor in fold] for fold in ((1, 2), (3, 4), (5, 6, 7, 8))]
    monkeypatch.setitem(splits._SPEAKERS, "ravdess-5fold", folds)
    loaded = recipe.load("swift", [*TOY, "training.epochs=40"])
    result = crossval.run_fold(loaded, "ravdess-5fold", 0, 1, tmp_path)
    actors = {int(name.rsplit("-", 1)[1]) for name in result.predictions}
    assert actors == {3, 4} and result.n == 16
    assert result.uar > 0.4, "chance is 0.25"

    # Hot enough for the probabilities to show what the logits do.
    hot = dataclasses.replace(result, temperature=30.0)
    few, many = (crossval.with_voice(loaded, [hot], tmp_path, clips=n)[0] for n in (1, 7))
    assert few.predictions.keys() == many.predictions.keys() == result.predictions.keys()
    assert few.predictions != many.predictions
    assert few.uar > 0.4 and few.temperature == hot.temperature
    with pytest.raises(ValueError, match="7 other clips"):
        crossval.with_voice(loaded, [result], tmp_path, clips=8)


def test_cross_validation_measures_keeps_and_summarises(tmp_path):
    loaded = recipe.load("swift", [*TOY, "training.epochs=6"])
    seen = []
    arguments = {"seeds": 2, "jobs": 1, "on_fold": lambda result, total: seen.append(total)}
    results = crossval.crossval(loaded, "random-80-20", tmp_path, **arguments)
    assert [(result.seed, result.fold) for result in results] == [(0, 0), (1, 0)]
    assert seen == [2, 2]
    for result in results:
        assert len(result.predictions) == result.n == 13
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.json")}
    again = crossval.crossval(loaded, "random-80-20", tmp_path, **arguments)
    assert again == results, "the second time nothing is trained"
    assert stamps == {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.json")}

    row = crossval.summarise(loaded, "random-80-20", results, "command")
    assert row.uar == pytest.approx(np.mean([result.uar for result in results]))
    total = np.sum([result.confusion for result in results], axis=0)
    np.testing.assert_array_equal(
        total, np.sum([list(result.confusion_by_sex.values()) for result in results], axis=(0, 1))
    )
    assert row.recall["sad"] == pytest.approx(total[2, 2] / total[2].sum())
    assert set(row.uar_by_sex) == {"female", "male"}
    assert row.uar_sd == pytest.approx(np.std([result.uar for result in results], ddof=1))
    path = tmp_path / "document.json"
    voice = dataclasses.replace(row, protocol="random-80-20+voice(2)")
    path.write_text(json.dumps(crossval.document(loaded, [row, voice], results)))
    assert crossval.read_evaluations(path, loaded) == (row, voice)
    with pytest.raises(ValueError, match="another recipe"):
        crossval.read_evaluations(path, recipe.load("swift"))
