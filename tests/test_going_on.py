"""Trainings that end early, and go on."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from ser_core import audio, bundle, cli, dataset, jobs, recipe, shelf, training
from ser_core.recognizer import Recognizer
from tests.helpers import ROOT, TOY, killed_in

pytestmark = pytest.mark.usefixtures("toy_data")


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
    checkpoint = tmp_path / "cut" / "checkpoint.npz"
    with np.load(checkpoint) as kept:
        np.savez(checkpoint, **(dict(kept) | {"seconds": 5000.0}))
    card = training.train(loaded, data, tmp_path / "cut", resume=True)
    assert 5000 < card.training.seconds < 6000, "what it took before counts"
    whole, cut = scores(tmp_path / "whole"), scores(tmp_path / "cut")
    assert [event["epoch"] for event in cut] == [1, 2, 3, 4, 5, 6]
    assert cut[:2] == whole[:2], "until then, exactly"
    for one, other in zip(whole, cut, strict=True):
        assert one == pytest.approx(other, rel=1e-3)
    with pytest.raises(training.TrainingError, match="finished"):
        training.train(loaded, data, tmp_path / "cut", resume=True)
    (tmp_path / "cut" / "model").rename(tmp_path / "model")
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(training.TrainingError, match=r"checkpoint.npz is damaged.*begin a new one"):
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
    with pytest.raises(
        training.TrainingError, match=r"another recipe \(training.epochs was 2, not 3\)"
    ):
        training.train(other, data, tmp_path, resume=True)
    with pytest.raises(training.TrainingError, match="another split"):
        training.train(loaded, data, tmp_path, protocol="random-80-20", resume=True)
    (tmp_path / "split.json").write_text("{")
    with pytest.raises(training.TrainingError, match="is damaged; begin a new one"):
        training.train(loaded, data, tmp_path, resume=True)


def test_a_run_goes_on_by_its_own_protocol(tmp_path, monkeypatch):
    settings = [word for setting in (*TOY, "training.epochs=2") for word in ("--set", setting)]
    begin = ["train", "swift", "--run-dir", str(tmp_path / "run")]

    def cut(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(training, "fit", cut)
        assert cli.main([*begin, *settings, "--protocol", "random-80-20"]) == 130
    assert cli.main([*begin, "--resume"]) == 0
    (row,) = bundle.read_card(tmp_path / "run" / "model").evaluation
    assert row.protocol == "random-80-20"


def test_a_run_goes_on_by_its_own_recipe_unless_something_is_set(
    tmp_path, monkeypatch, toy_run, capsys
):
    begun, seen = tmp_path / "swift", []
    begun.mkdir()
    for name in ("recipe.json", "split.json"):
        shutil.copy(toy_run / name, begun)

    def load(loaded, **options):
        seen.append(loaded)
        raise KeyboardInterrupt

    monkeypatch.setattr(dataset, "load", load)
    monkeypatch.setenv("SER_RUNS_DIR", str(tmp_path))
    assert cli.main(["train", "swift", "--resume"]) == 130
    assert seen.pop() == recipe.load("swift", TOY)
    assert cli.main(["train", "swift", "--resume", "--set", "training.epochs=7"]) == 130
    assert seen.pop() == recipe.load("swift", ["training.epochs=7"])
    assert "no run" not in capsys.readouterr().err
    assert cli.main(["train", "svm", "--resume"]) == 130
    assert f"there is no run in {tmp_path / 'svm'} yet" in capsys.readouterr().err
    assert seen.pop() == recipe.load("svm") and not (tmp_path / "svm").exists()
    assert cli.main(["train", "svm", "--resume", "--run-dir", str(begun)]) == 2
    assert "is one of swift, not of svm" in capsys.readouterr().err and not seen
    (begun / "recipe.json").write_text("{")
    assert cli.main(["train", "swift", "--resume"]) == 2
    assert "is damaged" in capsys.readouterr().err and not seen


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
