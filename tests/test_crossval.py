import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pandas as pd
import pytest

from ser_core import crossval, dataset, figures, folds, profile, recipe, splits
from ser_core.card import Robustness
from ser_core.errors import UndertoneError
from ser_core.robustness import CONDITIONS
from tests.helpers import ROOT, TOY, run_beside_another

pytestmark = pytest.mark.usefixtures("toy_data")


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
    moods, draw = [], profile.draw_one_of_each

    def drawn(speakers, emotions, *how):
        chosen = draw(speakers, emotions, *how)
        moods.append(sorted(emotions[chosen]))
        return chosen

    monkeypatch.setattr(profile, "draw_one_of_each", drawn)
    (labelled,) = folds.with_voice(loaded, [hot], tmp_path, clips=None)
    assert moods == [sorted(loaded.labels)] * 16
    assert labelled.predictions != many.predictions and labelled.uar > 0.4
    with pytest.raises(ValueError, match="7 other clips"):
        folds.with_voice(loaded, [result], tmp_path, clips=8)

    # As if corpora had changed since: what was tested is found by name, or missed by name.
    manifest = dataset.select(loaded)
    fewer = manifest[manifest.speaker != "ravdess-01"].reset_index(drop=True)
    monkeypatch.setattr(dataset, "select", lambda _: fewer)
    assert folds.with_voice(loaded, [hot], tmp_path, clips=7) == [many]
    monkeypatch.setattr(dataset, "select", lambda _: manifest[manifest.speaker != "ravdess-03"])
    with pytest.raises(ValueError, match="-03 was tested, but is there no longer; delete"):
        folds.with_voice(loaded, [hot], tmp_path, clips=1)
    file = tmp_path / "seed0-fold1.npz"
    with np.load(file) as known:
        before = {name: known[name] for name in known if name != "moods"}
    np.savez(file, **before)
    with pytest.raises(ValueError, match="of an earlier version.*; delete it"):
        folds.with_voice(loaded, [hot], tmp_path, clips=7)


def test_who_has_too_few_recordings_to_be_known_from(monkeypatch):
    loaded = recipe.load("swift", TOY)
    manifest = dataset.select(loaded)
    monkeypatch.setitem(splits._SPEAKERS, "ravdess-5fold", [("ravdess-03", "ravdess-04")])
    folds.check_others(loaded, manifest, "ravdess-5fold", [1, 7, None])
    with pytest.raises(UndertoneError, match="ravdess-0. has 7 other clips, .* from 8"):
        folds.check_others(loaded, manifest, "ravdess-5fold", [1, 8])


def test_cross_validation_measures_keeps_and_summarises(tmp_path):
    labels = 'labels=["neutral", "happy", "sad", "angry"]'
    loaded = recipe.load("svm", [labels, 'data.channels=["speech"]'])  # as a network, but quicker
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
    row = figures.summarise(loaded, "random-80-20", manifest, results, "command")
    assert row.ece == pytest.approx(np.mean([result.ece for result in results]), abs=1e-3)
    half = [dict(list(results[0].predictions.items())[part]) for part in (slice(6), slice(6, 13))]
    folds_of_one = [
        dataclasses.replace(results[0], fold=fold, ece=1.0, predictions=answers)
        for fold, answers in enumerate(half)
    ]
    together = figures.summarise(loaded, "random-80-20", manifest, folds_of_one, "command")
    assert together.ece == pytest.approx(results[0].ece, abs=1e-3), "of all folds together"
    for score in ("uar", "accuracy", "macro_f1", "coverage"):
        assert getattr(row, score) == pytest.approx(np.mean([getattr(r, score) for r in results]))
    unsure = [dataclasses.replace(results[0], coverage=c, selective_accuracy=c) for c in (0.2, 0.8)]
    sparing = figures.summarise(loaded, "random-80-20", manifest, unsure, "command")
    assert (sparing.coverage, sparing.selective_accuracy) == pytest.approx((0.5, 0.68)), "by answer"
    probabilities = np.array([[0.9, 0.1, 0, 0], [0.6, 0.4, 0, 0], [0.55, 0.45, 0, 0]])
    three = manifest.iloc[:3].assign(emotion=["neutral", "happy", "happy"])
    scores = figures.scores_of(loaded, three, probabilities, threshold=0.58)
    assert scores["coverage"] == pytest.approx(2 / 3)
    assert scores["selective_accuracy"] == pytest.approx(1 / 2)
    assert row.corpus == "ravdess"
    both = dataclasses.replace(loaded.data, corpus="tess+ravdess")
    others = manifest.assign(corpus="tess", id="tess/" + manifest.id)
    of_two = (dataclasses.replace(loaded, data=both), "random-80-20", pd.concat([manifest, others]))
    assert figures.summarise(*of_two, results, "command").corpus == "ravdess", "tested, not learned"
    answers = {f"tess/{name}": shares for name, shares in results[0].predictions.items()}
    known = dataclasses.replace(results[0], predictions=results[0].predictions | answers)
    assert figures.summarise(*of_two, [known], "command").corpus == "tess+ravdess"
    total = np.sum([result.confusion for result in results], axis=0)
    np.testing.assert_array_equal(
        total, np.sum([list(result.confusion_by_sex.values()) for result in results], axis=(0, 1))
    )
    assert row.recall["sad"] == pytest.approx(total[2, 2] / total[2].sum())
    assert set(row.uar_by_sex) == {"female", "male"}
    confusion = [[3, 0, 0, 0], [0, 0, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]]
    without = dataclasses.replace(
        results[0], confusion=confusion, confusion_by_sex={"female": confusion}
    )
    lacking = figures.summarise(loaded, "random-80-20", manifest, [without], "command")
    assert lacking.recall == dict.fromkeys(["neutral", "sad", "angry"], 1), "nobody was happy"
    assert lacking.uar_by_sex == {"female": 1}
    assert row.uar_sd == pytest.approx(np.std([result.uar for result in results], ddof=1))
    path = tmp_path / "document.json"
    voice = dataclasses.replace(row, protocol="random-80-20+voice(2)")
    document = crossval.document(loaded, [row, voice], results, [results])
    known = [(each["protocol"], each["seed"], each["uar"]) for each in document["voice_folds"]]
    assert known == [(voice.protocol, result.seed, result.uar) for result in results]
    path.write_text(json.dumps(document))
    assert crossval.read_evaluations(path, loaded) == (row, voice)
    with pytest.raises(ValueError, match="another recipe"):
        crossval.read_evaluations(path, recipe.load("swift"))


def test_the_robustness_of_seed_0_is_measured_when_it_is_asked_for(tmp_path):
    loaded = recipe.load("swift", [*TOY, "training.epochs=2"])
    arguments = (loaded, "random-80-20", tmp_path)
    manifest = dataset.select(loaded)
    before = [folds.run(*arguments[:2], s, 0, tmp_path, robustness=False) for s in (0, 1)]
    assert not figures.summarise(*arguments[:2], manifest, before, "command").robustness
    assert folds.kept(0, 0, tmp_path, robustness=True) is None
    measured = folds.run(*arguments[:2], 0, 0, tmp_path, robustness=True)
    # Of seed 1 it is not asked for: nothing is left to run.
    results = crossval.crossval(*arguments, seeds=2, jobs=1, robustness=True)
    assert [bool(result.robustness) for result in results] == [True, False]
    assert results[0] == measured and measured.uar == before[0].uar
    assert crossval.crossval(*arguments, seeds=2, jobs=1) == results, "it is kept"
    row = figures.summarise(*arguments[:2], manifest, results, "command")
    assert [each.condition for each in row.robustness] == [each.name for each in CONDITIONS]
    assert row.robustness == results[0].robustness
    path = tmp_path / "document.json"
    path.write_text(json.dumps(crossval.document(loaded, [row], results, [])))
    assert crossval.read_evaluations(path, loaded) == (row,)
    with pytest.raises(ValueError, match="svm is a baseline"):
        crossval.crossval(
            recipe.load("svm"), "random-80-20", tmp_path, seeds=1, jobs=1, robustness=True
        )


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


def test_a_cluster_runs_folds_side_by_side_and_again_where_a_worker_is_killed(
    tmp_path, monkeypatch, dask
):
    arguments = recipe.load("svm", ['labels=["neutral", "happy", "sad", "angry"]']), "random-80-20"
    here = crossval.crossval(*arguments, tmp_path / "here", seeds=3, jobs=1)
    _, address = dask("scheduler")
    killed, _ = dask("worker")
    dask("worker")
    folder, seen = tmp_path / "there", []
    folder.mkdir()

    def kill_one_at_work():
        while len(list(folder.glob("*.here"))) < 2:
            time.sleep(0.02)
        killed.kill()  # both are at it, and take seconds to load TensorFlow

    with monkeypatch.context() as patch:
        patch.setattr(folds, "run", run_beside_another)
        murderer = threading.Thread(target=kill_one_at_work)
        murderer.start()
        there = crossval.crossval(
            *arguments,
            folder,
            seeds=3,
            jobs=1,
            scheduler=address,
            on_fold=lambda result, total: seen.append((result.seed, total)),
        )
        murderer.join()
    assert sorted(seen) == [(0, 3), (1, 3), (2, 3)] and killed.poll() == -signal.SIGKILL
    assert [result.predictions for result in there] == [result.predictions for result in here]
    again = crossval.crossval(*arguments, folder, seeds=3, jobs=1, scheduler="tcp://127.0.0.1:9")
    assert again == there, "all is kept: no cluster is asked"


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
