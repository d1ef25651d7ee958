import contextlib
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
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
    crossval,
    dataset,
    extraction,
    fitting,
    folds,
    jobs,
    networks,
    recipe,
    shelf,
    splits,
    training,
)
from ser_core.batches import Batches, labelled
from ser_core.card import Robustness
from ser_core.errors import UndertoneError
from ser_core.recognizer import Recognizer
from ser_core.robustness import CONDITIONS
from tests.helpers import ROOT, TOY, killed_in, run_beside_another


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


@pytest.fixture
def guide(tmp_path):
    """A guide which averages half and half, its model and the model's first weights."""
    import keras

    loaded = recipe.load("swift", TOY)
    data = dataset.load(loaded)
    model = networks.build(loaded)
    classifier = keras.Model(model.input, model.output["logits"])
    classifier.compile("sgd", "mse")
    chosen, *known = labelled(loaded, data.truth, data.features, np.arange(10))
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


def test_a_fold_of_unseen_speakers_scores_its_own_test_speakers(tmp_path, monkeypatch):
    groups = [[f"ravdess-0{actor}" for actor in group] for group in ((1, 2), (3, 4), (5, 6, 7, 8))]
    monkeypatch.setitem(splits._SPEAKERS, "ravdess-5fold", groups)
    loaded = recipe.load("swift", [*TOY, "training.epochs=40"])
    result = folds.run(loaded, "ravdess-5fold", 0, 1, tmp_path, robustness=False)
    actors = {int(name.rsplit("-", 1)[1]) for name in result.predictions}
    assert actors == {3, 4} and result.n == 16
    assert result.uar > 0.4, "chance is 0.25"

    # Hot enough for the probabilities to show what the logits do.
    noisy = Robustness("noise", uar=0.3, drop=0.1, same=0.8, refused=0.0, passed=None)
    hot = dataclasses.replace(result, temperature=30.0, robustness=(noisy,))
    few, many = (folds.with_voice(loaded, [hot], tmp_path, clips=n)[0] for n in (1, 7))
    assert few.predictions.keys() == many.predictions.keys() == result.predictions.keys()
    assert few.predictions != many.predictions
    assert few.uar > 0.4 and few.temperature == hot.temperature
    assert not few.robustness, "that was measured without the voice"
    with pytest.raises(ValueError, match="7 other clips"):
        folds.with_voice(loaded, [result], tmp_path, clips=8)


def test_the_average_voice_is_in_every_mood_equally_often(monkeypatch):
    monkeypatch.setattr(training, "_TOGETHER", 2)  # windows
    said = [("happy", "a"), ("happy", "a"), ("sad", "a"), ("happy", "b"), ("sad", "c")]
    manifest = pd.DataFrame(said, columns=["emotion", "speaker"])
    clip = np.array([0, 0, 1, 2, 3, 4])
    values = np.array([0.0, 2.0, 4.0, 10.0, 7.0, 99.0], np.float32)[:, None]
    data = dataset.Dataset(manifest, None, extraction.FeatureSet(values, clip, {}), ())
    fitted = SimpleNamespace(outputs=lambda part: {"embedding": part * np.array([[1, -1]])})
    happy, sad = ((0 + 2 + 4) / 3 + 7) / 2, 10
    expected = (happy + sad) / 2
    np.testing.assert_allclose(
        training.mean_voice(fitted, data, np.arange(4)), [expected, -expected]
    )


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

    manifest = dataset.select(loaded)
    row = crossval.summarise(loaded, "random-80-20", manifest, results, "command")
    assert row.ece == pytest.approx(np.mean([result.ece for result in results]), abs=1e-3)
    half = [dict(list(results[0].predictions.items())[part]) for part in (slice(6), slice(6, 13))]
    folds_of_one = [
        dataclasses.replace(results[0], fold=fold, ece=1.0, predictions=answers)
        for fold, answers in enumerate(half)
    ]
    together = crossval.summarise(loaded, "random-80-20", manifest, folds_of_one, "command")
    assert together.ece == pytest.approx(results[0].ece, abs=1e-3), "of all folds together"
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


def test_the_robustness_of_seed_0_is_measured_when_it_is_asked_for(tmp_path):
    loaded = recipe.load("swift", [*TOY, "training.epochs=2"])
    arguments = (loaded, "random-80-20", tmp_path)
    manifest = dataset.select(loaded)
    before = [folds.run(*arguments[:2], s, 0, tmp_path, robustness=False) for s in (0, 1)]
    assert not crossval.summarise(*arguments[:2], manifest, before, "command").robustness
    assert folds.kept(0, 0, tmp_path, robustness=True) is None
    measured = folds.run(*arguments[:2], 0, 0, tmp_path, robustness=True)
    # Of seed 1 it is not asked for: nothing is left to run.
    results = crossval.crossval(*arguments, seeds=2, jobs=1, robustness=True)
    assert [bool(result.robustness) for result in results] == [True, False]
    assert results[0] == measured and measured.uar == before[0].uar
    assert crossval.crossval(*arguments, seeds=2, jobs=1) == results, "it is kept"
    row = crossval.summarise(*arguments[:2], manifest, results, "command")
    assert [each.condition for each in row.robustness] == [each.name for each in CONDITIONS]
    assert row.robustness == results[0].robustness
    path = tmp_path / "document.json"
    path.write_text(json.dumps(crossval.document(loaded, [row], results)))
    assert crossval.read_evaluations(path, loaded) == (row,)
    with pytest.raises(ValueError, match="svm is a baseline"):
        crossval.crossval(
            recipe.load("svm"), "random-80-20", tmp_path, seeds=1, jobs=1, robustness=True
        )


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
    assert int(before) <= begun <= time.time()
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
    assert metrics["temperature"] != 1
    confidence = found[list(loaded.labels)].max(axis=1).groupby(found.calibrated).mean()
    assert confidence[True] != pytest.approx(confidence[False])


def test_a_fold_that_is_not_there_gets_a_sentence(tmp_path):
    loaded = recipe.load("swift", TOY)
    with pytest.raises(UndertoneError, match="no fold 1; its folds are 0 to 0"):
        training.train(loaded, dataset.load(loaded), tmp_path, protocol="random-80-20", fold=1)


def scores(run):
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    return [{k: v for k, v in event.items() if k != "seconds"} for event in events]


def test_the_same_seed_gives_the_same_and_a_cut_training_goes_on_as_if_nothing_was(tmp_path):
    loaded = recipe.load(
        "swift", [*TOY, "training.epochs=6", "network.dropout=0.3", "augmentation.noise=0.2"]
    )
    data = dataset.load(loaded)
    for name in ("whole", "again"):
        training.train(loaded, data, tmp_path / name)
    assert scores(tmp_path / "whole") == scores(tmp_path / "again")

    class CutError(Exception):
        pass

    def cut(event):
        if event["epoch"] == 3:  # told, but not kept yet: this epoch is lost
            raise CutError

    with pytest.raises(CutError):
        training.train(loaded, data, tmp_path / "cut", on_epoch=cut)
    assert not (tmp_path / "cut" / "model").exists()
    with pytest.raises(training.TrainingError, match="--resume"):
        training.train(loaded, data, tmp_path / "cut")
    training.train(loaded, data, tmp_path / "cut", resume=True)
    whole, cut = scores(tmp_path / "whole"), scores(tmp_path / "cut")
    assert [event["epoch"] for event in cut] == [1, 2, 3, 4, 5, 6]
    for one, other in zip(whole, cut, strict=True):
        assert one == pytest.approx(other, rel=1e-3)
    with pytest.raises(training.TrainingError, match="finished"):
        training.train(loaded, data, tmp_path / "cut", resume=True)


def test_a_refit_learns_from_the_validation_part_too_and_goes_on_when_cut(tmp_path):
    settings = [*TOY, "training.epochs=6", "training.refit=true", "training.patience=1"]
    loaded = recipe.load("swift", settings)
    data, told, run = dataset.load(loaded), [], tmp_path / "cut"

    class CutError(Exception):
        pass

    def cut(event):
        if event["epoch"] == 8:
            raise CutError

    card = training.train(
        loaded, data, tmp_path / "whole", protocol="random-80-20", on_epoch=told.append
    )
    assert [event["epoch"] for event in told] == list(range(1, 13)), "nobody stops early"
    assert {event["epochs"] for event in told} == {12}
    assert ["val_uar" in event for event in told] == [True] * 6 + [False] * 6
    with pytest.raises(CutError):
        training.train(loaded, data, run, protocol="random-80-20", on_epoch=cut)
    training.train(loaded, data, run, protocol="random-80-20", resume=True)
    for whole, cut in zip(scores(tmp_path / "whole" / "refit"), scores(run / "refit"), strict=True):
        assert whole == pytest.approx(cut, rel=1e-3)

    split = json.loads((run / "split.json").read_text())
    assert card.training.refitted and card.training.epochs == 6
    assert card.training.utterances == len(split["train"]) + len(split["validation"])
    # What is told of the validation part was heard before it was learned from.
    found, recognizer = (
        pd.read_parquet(run / "predictions.parquet"),
        Recognizer(bundle.load(run / "model")),
    )
    paths = data.manifest.set_index("id").path
    for part, same in (("validation", False), ("test", True)):
        of_part = found[(found.part == part) & found.calibrated]
        heard = [recognizer.predict(audio.read(paths[name])).probabilities for name in of_part.id]
        told = of_part[list(loaded.labels)].to_dict("records")
        apart = max(
            abs(a[label] - b[label]) for a, b in zip(heard, told, strict=True) for label in a
        )
        assert (apart < 0.02) == same


def test_only_the_same_run_is_gone_on_with(tmp_path):
    loaded = recipe.load("swift", [*TOY, "training.epochs=2"])
    data = dataset.load(loaded)

    def cut(event):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training.train(loaded, data, tmp_path, on_epoch=cut)
    other = recipe.load("swift", [*TOY, "training.epochs=3"])
    with pytest.raises(training.TrainingError, match="another recipe"):
        training.train(other, data, tmp_path, resume=True)
    with pytest.raises(training.TrainingError, match="another split"):
        training.train(loaded, data, tmp_path, protocol="random-80-20", resume=True)
    (tmp_path / "split.json").write_text("{")
    with pytest.raises(training.TrainingError, match="is damaged; begin a new one"):
        training.train(loaded, data, tmp_path, resume=True)


def test_a_full_disk_gets_a_sentence_and_loses_nothing(tmp_path, monkeypatch):
    loaded = recipe.load("swift", [*TOY, "training.epochs=3"])
    data = dataset.load(loaded)
    savez = np.savez

    def full(file, **arrays):
        if len(arrays) > 10 and arrays["numbers"][0] == 2:
            raise OSError(28, "No space left on device")
        savez(file, **arrays)

    with monkeypatch.context() as patched:
        patched.setattr(np, "savez", full)
        with pytest.raises(training.TrainingError, match="No space left .* --resume"):
            training.train(loaded, data, tmp_path / "run")
    assert not (tmp_path / "run" / "model").exists()
    training.train(loaded, data, tmp_path / "run", resume=True)
    assert [event["epoch"] for event in scores(tmp_path / "run")] == [1, 2, 3]
    bundle.load(tmp_path / "run" / "model")


def test_killed_in_an_epoch_and_while_it_is_saved_it_is_no_model_and_goes_on(tmp_path, monkeypatch):
    """Real processes."""
    monkeypatch.setenv("SER_RUNS_DIR", str(tmp_path))
    run, settings = tmp_path / "run", [*TOY, "training.epochs=12"]
    arguments = ["train", "swift", "--run-dir", str(run)]
    arguments += [word for setting in settings for word in ("--set", setting)]
    process = subprocess.Popen(
        [sys.executable, "-m", "ser_core", *arguments], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    for line in process.stderr:
        if line.startswith("epoch 3 of 12"):
            process.kill()
            break
    process.wait()
    assert (run / "events.jsonl").exists() and not (run / "model").exists()

    cut = killed_in("ser_core.bundle", "_replace", *arguments, "--resume")
    assert "epoch 2 of 12" not in cut.stderr and "epoch 12 of 12" in cut.stderr
    (left,) = run.glob(".model-*")
    bundle.load(left)  # whole, but not in its place yet
    assert "run" not in shelf.models() and not shelf.damaged() and jobs.runs() == []
    told = scores(run)
    assert [event["epoch"] for event in told] == list(range(1, 13))

    loaded = recipe.load("swift", settings)
    training.train(loaded, dataset.load(loaded), run, resume=True)
    assert scores(run) == told, "nothing is left to learn"
    assert "run" in shelf.models() and jobs.runs() == ["run"]
    bundle.load(run / "model")
    assert not left.exists()


def test_killed_while_features_are_computed_it_goes_on_with_those_that_it_has(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("SER_RUNS_DIR", str(tmp_path))
    monkeypatch.setenv("SER_CACHE_DIR", str(tmp_path / "cache"))
    labels = 'labels=["neutral", "happy", "sad", "angry"]'
    arguments = ["train", "random-forest", "--set", labels, "--protocol", "random-80-20"]
    killed_in("numpy", "save", *arguments, call=10)
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "cache").rglob("[!.]*.npy")}
    assert 0 < len(before) < 64 and jobs.runs() == []
    done = subprocess.run(
        [sys.executable, "-m", "ser_core", *arguments, "--resume"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert before == {file: file.stat().st_mtime_ns for file in before}
    assert jobs.runs() == ["random-forest"]

    loaded = recipe.load("random-forest", [labels])
    training.train(loaded, dataset.load(loaded), tmp_path / "again", protocol="random-80-20")
    answers, again = (
        pd.read_parquet(tmp_path / name / "predictions.parquet")
        for name in ("random-forest", "again")
    )
    pd.testing.assert_frame_equal(answers, again, check_exact=True)


def test_a_few_recordings_that_cannot_be_read_are_left_out_and_counted(
    tmp_path, toy_ravdess, monkeypatch
):
    root = shutil.copytree(toy_ravdess, tmp_path / "data")
    monkeypatch.setenv("SER_DATA_DIR", str(root))
    loaded = recipe.load("swift", TOY)
    chosen = dataset.select(loaded)
    monkeypatch.setattr(dataset, "select", lambda recipe: chosen)
    chosen.path[5].unlink()  # after it was listed
    data = dataset.load(loaded)
    assert list(data.left_out) == [chosen.path[5]] and len(data.manifest) == 63
    assert set(data.features.clip) == set(range(63))
    assert chosen.id[5] not in set(data.manifest.id)
    chosen.path[6].unlink()
    with pytest.raises(dataset.DatasetError, match="2 of 64 recordings cannot be read"):
        dataset.load(loaded)


def killed(*task, robustness):
    os.kill(os.getpid(), signal.SIGKILL)


def test_where_no_fold_can_be_kept_there_is_a_sentence(tmp_path):
    (tmp_path / "runs").write_text("a file")
    folder = tmp_path / "runs" / "svm"
    with pytest.raises(UndertoneError, match="cannot be written: Not a directory; what is done"):
        crossval.crossval(recipe.load("svm"), "random-80-20", folder, seeds=1, jobs=1)


def test_a_fold_whose_process_is_killed_gets_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(folds, "run", killed)
    with pytest.raises(ValueError, match="ended from outside.* run the same command again"):
        crossval.crossval(recipe.load("svm"), "random-80-20", tmp_path, seeds=1, jobs=1)


def test_folds_are_run_side_by_side_but_those_that_are_kept(tmp_path, monkeypatch):
    svm = recipe.load("svm", ['labels=["neutral", "happy", "sad", "angry"]'])
    arguments = svm, "random-80-20"

    def without_seconds(results):
        return [dataclasses.replace(result, seconds=0) for result in results]

    one_by_one = [folds.run(*arguments, seed, 0, tmp_path, robustness=False) for seed in range(3)]
    for seed in (1, 2):
        (tmp_path / f"seed{seed}-fold0.json").unlink()
    monkeypatch.setattr(folds, "run", run_beside_another)
    together = crossval.crossval(*arguments, tmp_path, seeds=3, jobs=2)
    assert together[0] == one_by_one[0], "with the seconds that it took the first time"
    assert {file.stem for file in tmp_path.glob("*.here")} == {"1", "2"}
    assert without_seconds(together) == without_seconds(one_by_one)


def test_no_fold_outlives_a_cross_validation_that_is_killed(tmp_path, toy_ravdess):
    arguments = ["crossval", "swift", "--protocol", "random-80-20", "--seeds", "1", "--jobs", "1"]
    settings = [*TOY, "training.epochs=100000", "training.patience=100000"]
    process = subprocess.Popen(
        [sys.executable, "-m", "ser_core", *arguments]
        + [part for setting in settings for part in ("--set", setting)],
        env=os.environ | {"SER_DATA_DIR": str(toy_ravdess), "SER_RUNS_DIR": str(tmp_path)},
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while not (events := list(tmp_path.rglob("events.jsonl"))):
        assert process.poll() is None
        time.sleep(0.1)
    (events,) = events
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    try:
        for _ in range(15):
            before = events.stat().st_size
            time.sleep(2)  # a round of the toy takes a tenth of that
            if events.stat().st_size == before:
                return
        pytest.fail("the fold goes on without the process that began it")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
