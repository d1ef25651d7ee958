import dataclasses
import json
import shutil
import time
from datetime import datetime
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from ser_core import (
    audio,
    bundle,
    corpora,
    dataset,
    extraction,
    fitted,
    fitting,
    heldout,
    inspection,
    networks,
    recipe,
    splits,
    training,
)
from ser_core.batches import Batches, labelled
from ser_core.errors import UndertoneError
from ser_core.recognizer import Recognizer
from tests.helpers import TOY

pytestmark = pytest.mark.usefixtures("toy_data")


def test_a_network_has_the_promised_outputs():
    loaded = recipe.load("swift")
    model = networks.build(loaded)
    outputs = model(np.full((2, 188, 64), -40, np.float32))
    assert outputs["logits"].shape == (2, 8)
    assert outputs["embedding"].shape == (2, loaded.network.embedding)
    np.testing.assert_allclose(np.array(outputs["attention"]).sum(axis=1), 1, atol=1e-5)
    assert model.count_params() <= 1_000_000


@pytest.mark.parametrize("count", [5, 256, 300])
def test_outputs_are_those_of_predict_however_many_there_are(count):
    model = networks.build(recipe.load("swift", TOY))
    windows = np.random.default_rng(0).uniform(-80, 0, (count, 188, 64)).astype(np.float32)
    found, expected = networks.outputs(model, windows), model.predict(windows)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-5)


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
        dataset.select(recipe.load("swift", ["data.corpus=ravdess"]))


def test_a_damaged_recording_is_left_out_and_counted(tmp_path, toy_ravdess, monkeypatch):
    folder = tmp_path / "ravdess"
    folder.mkdir()
    for path in (toy_ravdess / "ravdess").rglob("*.flac"):
        (folder / path.name).write_bytes(path.read_bytes())
    for name in ("03-01-01-01-01-01-01", "03-01-02-01-01-01-01"):  # neutral; calm is not asked for
        (folder / f"{name}.flac").write_bytes(b"fLaC damaged")
    monkeypatch.setenv("SER_DATA_DIR", str(tmp_path))
    data = dataset.load(recipe.load("swift", TOY))
    assert len(data.manifest) == len(data.truth) == 63
    assert "03-01-01-01-01-01-01.flac" not in {path.name for path in data.manifest.path}
    assert [path.name for path in data.left_out] == ["03-01-01-01-01-01-01.flac"]


def test_batches_are_drawn_anew_each_epoch_and_alike_under_a_seed():
    loaded = recipe.load("swift", TOY)
    data = dataset.load(loaded)
    split = splits.holdout(data.manifest, seed=0, validation_speakers=2)
    first, again = (Batches(loaded, data, split.train, 3) for _ in range(2))
    for batch, other in zip(first[1], again[1], strict=True):
        np.testing.assert_array_equal(batch, other)
    before = first[0][0]
    first.on_epoch_end()
    assert np.abs(first[0][0] - before).max() > 1


def test_other_speeds_are_trained_on_and_nothing_else():
    loaded = recipe.load("swift", [*TOY, "augmentation.speeds=[0.8, 1.25]"])
    data = dataset.load(loaded)
    split = splits.holdout(data.manifest, seed=0, validation_speakers=2)
    batches = Batches(loaded, data, split.train, 0)
    assert len(batches.row) == 3 * len(split.train)
    assert len(batches) == len(split.train) // batches.size, "an epoch is no longer for it"
    ours = [data.features, *data.varied]
    heard = np.concatenate([part.values[np.isin(part.clip, split.train)] for part in ours])
    np.testing.assert_array_equal(np.concatenate(list(batches.in_order())), heard)
    slow, fast = ((part.values > -79).any(axis=2).sum() for part in data.varied)
    assert slow > 1.3 * fast


def test_who_is_not_named_is_no_speaker_of_the_card():
    loaded = recipe.load("swift", [*TOY, "data.corpus=mine"])
    split = splits.Split(np.array([0, 1]), np.array([2]), np.array([], int))
    found = SimpleNamespace(
        epoch=1, seconds=1.0, temperature=1.0, parameters=1, network=SimpleNamespace(layers=[])
    )
    found.selective = SimpleNamespace(threshold=0.5)
    for speaker, learned in ((["", "", ""], ()), (["mine-me", "", ""], ("mine-me",))):
        data = SimpleNamespace(manifest=pd.DataFrame({"speaker": speaker}))
        told = training.describe(loaded, data, split, found, ()).training
        assert told.speakers == learned and told.validation_speakers == ()
        assert told.utterances == 2


@pytest.fixture
def guide(tmp_path):
    """A guide which averages half and half, its model and the model's first weights."""
    import keras

    loaded = recipe.load("swift", TOY)
    data = dataset.load(loaded)
    model = networks.build(loaded)
    classifier = keras.Model(model.input, model.output["logits"])
    classifier.compile("sgd", "mse")
    chosen, *known = labelled(loaded, data, data.features, np.arange(10))
    windows = (data.features.values[chosen], *known)
    guide = fitting.Guide(classifier, windows, loaded.training, tmp_path)
    guide.set_model(classifier)
    return guide, classifier, classifier.get_weights()


def test_averaging_keeps_the_best_average(guide):
    guide, classifier, start = guide
    guide.on_epoch_end(0, {})
    for average, weight in zip(guide.averaged.get_weights(), start, strict=True):
        np.testing.assert_allclose(average, weight, rtol=1e-5, atol=1e-6)
    classifier.set_weights([weight + 3 for weight in start])
    guide.best_score = -np.inf
    logs = {}
    guide.on_epoch_end(1, logs)
    assert guide.best_epoch == 2 and guide.best_score == -logs["val_loss"]
    for best, weight in zip(guide.best_weights, start, strict=True):
        np.testing.assert_allclose(best, weight + 2, rtol=1e-4, atol=1e-4)
    guide.best_score = 1.0
    classifier.set_weights(start)
    guide.on_epoch_end(2, {})
    assert guide.best_epoch == 2, "a worse epoch is not kept"
    guide.averaged.set_weights(guide.best_weights)
    for average, weight in zip(guide.averaged.get_weights(), start, strict=True):
        np.testing.assert_allclose(average, weight + 2, rtol=1e-4, atol=1e-4)
    assert 0 <= logs["val_uar"] <= 1


def test_validation_scores_are_what_they_say(guide):
    from sklearn.metrics import balanced_accuracy_score

    guide, classifier, _ = guide
    logs = {}
    guide.on_epoch_end(0, logs)
    values, targets, weights = guide.windows
    logits = classifier.predict(values, verbose=0)
    truth, heard = targets.argmax(axis=1), logits.argmax(axis=1)
    assert logs["val_uar"] == pytest.approx(balanced_accuracy_score(truth, heard))
    assert logs["val_accuracy"] == pytest.approx(np.mean(truth == heard))
    raised = np.exp(logits.astype(float))
    likelihood = (raised / raised.sum(axis=1, keepdims=True))[np.arange(len(truth)), truth]
    assert logs["val_loss"] == pytest.approx(np.mean(-weights * np.log(likelihood)), rel=1e-4)


def test_uar_while_training_is_the_mean_recall_of_the_emotions_seen():
    from sklearn.metrics import balanced_accuracy_score

    rng = np.random.default_rng(0)
    truth, logits = rng.integers(3, size=64), rng.normal(size=(64, 4)).astype(np.float32)
    targets = 0.6 * np.eye(4, dtype=np.float32)[truth] + 0.1
    score = fitting.Uar(classes=4)
    for part in (slice(0, 40), slice(40, 64)):
        score.update_state(targets[part], logits[part], sample_weight=rng.random(len(truth[part])))
    with pytest.warns(UserWarning, match="y_pred contains classes not in y_true"):
        expected = balanced_accuracy_score(truth, logits.argmax(axis=1))
    assert float(score.result()) == pytest.approx(expected)
    score.reset_state()
    assert float(score.result()) == 0


@pytest.mark.parametrize(
    ("schedule", "patience", "halved", "stops"),
    [("plateau", 6, [2, 4, 6], 6), ("constant", 4, [], 4)],
)
def test_without_a_better_epoch_it_slows_down_and_stops(guide, schedule, patience, halved, stops):
    guide, classifier, _ = guide
    guide.config = dataclasses.replace(guide.config, schedule=schedule, patience=patience)
    guide.best_score = np.inf
    classifier.optimizer.learning_rate.assign(0.5)
    expected = 0.5
    for epoch in range(1, stops + 1):
        assert not guide.finished
        guide.on_epoch_end(epoch - 1, {})
        if epoch in halved:
            expected /= 2
        assert float(classifier.optimizer.learning_rate) == pytest.approx(expected)
    assert guide.finished and classifier.stop_training


def test_the_learning_rate_rises_then_falls_to_zero():
    config = recipe.load("swift", ["training.epochs=10", "training.warmup_epochs=2"]).training
    schedule = fitting.learning_rate(config, steps=5)
    rates = [float(schedule(step)) for step in range(51)]
    assert rates[0] < 1e-9 and np.argmax(rates) == 10 and rates[50] < 1e-9
    assert max(rates) == pytest.approx(config.learning_rate)


def test_an_average_voice_is_made_of_the_rows_that_are_given(monkeypatch):
    monkeypatch.setattr(fitted, "_TOGETHER", 2)  # windows
    said = [("x", "a"), ("x", "a"), ("x", "a"), ("y", "b"), ("x", "c")]
    manifest, truth = pd.DataFrame(said, columns=["corpus", "speaker"]), np.array([1, 1, 0, 1, 0])
    clip = np.array([0, 0, 1, 2, 3, 4])
    values = np.array([0.0, 2.0, 4.0, 10.0, 7.0, 99.0], np.float32)[:, None]
    data = dataset.Dataset(manifest, truth, extraction.FeatureSet(values, clip, {}), ())
    found = SimpleNamespace(outputs=lambda part: {"embedding": part * np.array([[1, -1]])})
    happy, sad = ((0 + 2 + 4) / 3 + 7) / 2, 10
    moods = fitted.moods_of(found, data, np.arange(4), 2)
    np.testing.assert_allclose(moods, [[sad, -sad], [happy, -happy]])


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [("true", [2, 2 / 3, 2 / 3, 2 / 3, 0.75, 1.5, 0.75, 1]), ("false", [1] * 8)],
)
def test_rare_emotions_count_as_much_as_frequent_ones_in_each_corpus(wanted, expected):
    loaded = recipe.load("swift", [*TOY, f"training.class_weights={wanted}"])
    features = extraction.FeatureSet(np.zeros((9, 188, 64), np.float32), np.arange(9), {})
    truth = np.array([3, 1, 1, 1, 0, 2, 0, 3, 0])
    corpus = [*["one"] * 4, "another", "another", "another", "third", "one"]
    data = dataset.Dataset(pd.DataFrame({"corpus": corpus}), truth, features, ())
    chosen, targets, weights = labelled(loaded, data, features, np.arange(8))
    assert list(chosen) == list(range(8))
    assert list(targets.argmax(axis=1)) == list(truth[:8])
    np.testing.assert_allclose(weights, expected, rtol=1e-6)


def test_a_run_folder_says_everything(tmp_path):
    loaded = recipe.load("swift", [*TOY, "training.epochs=3"])
    data = dataset.load(loaded)
    run, before = tmp_path / "run", time.time()
    training.train(loaded, data, run, protocol="random-80-20")
    assert {path.name for path in run.iterdir()} == {
        "recipe.json",
        "run.json",
        "split.json",
        "events.jsonl",
        "tensorboard",
        "checkpoint.npz",
        "metrics.json",
        "predictions.parquet",
        "model",
    }
    about = json.loads((run / "run.json").read_text())
    assert about["protocol"] == "random-80-20" and about["recipe"] == loaded.digest
    assert about["manifest"] == training._digest(data.manifest), "whose recordings they were"
    begun = datetime.strptime(about["begun"], "%Y-%m-%dT%H:%M:%S%z").timestamp()
    assert before - 2 < begun <= time.time(), "in whole seconds, of a clock that may lag a tick"
    assert about["utterances"] == {"train": 43, "validation": 8, "test": 13}
    assert set(about["environment"]) == {"Python", "NumPy", "Keras", "tensorflow"}
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    assert len(events) == 3
    for event in events:
        for score in ("accuracy", "uar", "val_accuracy", "val_uar"):
            assert 0 <= event[score] <= 1
        assert event["loss"] > 0 and event["val_loss"] > 0 and event["learning_rate"] >= 0
    assert list((run / "tensorboard").rglob("events.out.tfevents*"))

    metrics = json.loads((run / "metrics.json").read_text())
    found = pd.read_parquet(run / "predictions.parquet")
    assert metrics["test"]["n"] == 13 and metrics["validation"]["n"] == 8
    split = json.loads((run / "split.json").read_text())
    for part in ("validation", "test"):
        of_part = found[(found.part == part) & found.calibrated]
        assert list(of_part.id) == split[part]
        heard = of_part[list(loaded.labels)].idxmax(axis=1)
        assert (heard == of_part.emotion).mean() == pytest.approx(metrics[part]["accuracy"])
    kept = bundle.read_card(run / "model").evaluation
    assert [row.protocol for row in kept] == ["random-80-20"]
    assert kept[0].accuracy == pytest.approx(metrics["test"]["accuracy"]) and kept[0].n == 13
    answers = heldout.read(run / "model")
    assert sorted(answers.id) == sorted(split["test"]) and set(answers.protocol) == {"random-80-20"}
    assert metrics["temperature"] != 1
    confidence = found[list(loaded.labels)].max(axis=1).groupby(found.calibrated).mean()
    assert confidence[True] != pytest.approx(confidence[False])


def test_a_test_on_one_group_is_called_so(tmp_path, monkeypatch):
    groups = [[f"ravdess-0{actor}" for actor in group] for group in ((1, 2), (3, 4), (5, 6, 7, 8))]
    monkeypatch.setitem(splits._SPEAKERS, "ravdess-5fold", groups)
    loaded = recipe.load("swift", [*TOY, "training.epochs=2"])
    data, run = dataset.load(loaded), tmp_path / "run"
    card = training.train(loaded, data, run, protocol="ravdess-5fold", fold=1)
    (own,) = card.evaluation
    assert own.protocol == "ravdess-5fold#2" and own.n == 16
    metrics = json.loads((run / "metrics.json").read_text())
    assert own.uar == pytest.approx(metrics["test"]["uar"])
    assert set(heldout.read(run / "model").speaker) == {"ravdess-03", "ravdess-04"}
    inspection.check_card(card)
    text = (run / "model" / "README.md").read_text()
    assert "| `ravdess-5fold#2`, 1 seed | 4 |" in text and "this model's own test" in text
    assert "Print the figures again" not in text


def test_a_model_without_a_test_says_so(tmp_path):
    loaded = recipe.load("swift", [*TOY, "training.epochs=1"])
    card = training.train(loaded, dataset.load(loaded), tmp_path / "run")
    assert not card.evaluation and not (tmp_path / "run" / "model" / bundle.HELDOUT).exists()
    assert "has not been tested" in (tmp_path / "run" / "model" / "README.md").read_text()


def test_a_fold_that_is_not_there_gets_a_sentence(tmp_path):
    loaded = recipe.load("swift", TOY)
    with pytest.raises(UndertoneError, match="no fold 1; its folds are 0 to 0"):
        training.train(loaded, dataset.load(loaded), tmp_path, protocol="random-80-20", fold=1)


def test_a_few_recordings_that_cannot_be_read_are_left_out_and_counted(
    tmp_path, toy_ravdess, monkeypatch
):
    root = shutil.copytree(toy_ravdess, tmp_path / "data")
    monkeypatch.setenv("SER_DATA_DIR", str(root))
    loaded = recipe.load("swift", TOY)
    chosen = dataset.select(loaded)
    monkeypatch.setattr(dataset, "_select", lambda recipe: (chosen, {}))
    chosen.path[5].unlink()  # after it was listed
    data = dataset.load(loaded)
    assert list(data.left_out) == [chosen.path[5]] and len(data.manifest) == 63
    assert set(data.features.clip) == set(range(63))
    assert chosen.id[5] not in set(data.manifest.id)
    chosen.path[6].unlink()
    with pytest.raises(dataset.DatasetError, match="2 of 64 recordings cannot be read"):
        dataset.load(loaded)
