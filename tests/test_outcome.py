import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ser_core import outcome, recipe
from ser_core.outcome import OutcomeError
from tests.helpers import TOY


@pytest.fixture
def run(tmp_path, toy_run, monkeypatch):
    monkeypatch.setenv("SER_RUNS_DIR", str(tmp_path))
    return shutil.copytree(toy_run, tmp_path / "toy")


def test_a_run_without_a_test_shows_its_validation(run):
    found = outcome.read(run)
    assert found.name == "toy" and found.part == "validation" and found.protocol is None
    assert found.scores == found.metrics["validation"] and not found.heard_before
    split = json.loads((run / "split.json").read_text())
    assert list(found.answers.table.id) == split["validation"] == list(found.raw.table.id)
    assert len(found.speakers) == 2
    answers = found.answers
    assert answers.table.right.mean() == pytest.approx(found.scores["accuracy"])
    heard = answers.probabilities.argmax(axis=1)
    assert [answers.labels[index] for index in answers.truth] == list(answers.table.emotion)
    np.testing.assert_array_equal(heard == answers.truth, answers.table.right)
    assert not np.allclose(found.raw.probabilities, answers.probabilities)


def with_a_test(run, protocol):
    """Make of a run one that was tested on those who validated it."""
    table = pd.read_parquet(run / "predictions.parquet")
    pd.concat([table, table.assign(part="test")]).to_parquet(run / "predictions.parquet")
    for name, more in (
        ("metrics.json", lambda old: {"test": old["validation"]}),
        ("run.json", lambda old: {"protocol": protocol}),
    ):
        old = json.loads((run / name).read_text())
        (run / name).write_text(json.dumps(old | more(old)))
    return run


@pytest.mark.parametrize(
    ("protocol", "heard_before", "says"),
    [
        ("random-80-20", True, "from whom it had also learned (random-80-20)"),
        ("ravdess-5fold", False, "whom it had never heard (ravdess-5fold, group 1)"),
    ],
)
def test_a_run_with_a_test_shows_that(run, protocol, heard_before, says):
    found = outcome.read(with_a_test(run, protocol))
    assert found.part == "test" and found.heard_before == heard_before
    assert len(found.answers.table) == 16
    assert outcome.tried(found).startswith(f"Tried on 16 recordings of 2 people, {says}")


@pytest.mark.parametrize(
    ("refit", "says"),
    [(False, "who also decided when it stopped"), (True, "before it learned from them, too")],
)
def test_who_validated_a_run_without_a_test_is_said(run, refit, says):
    kept = json.loads((run / "recipe.json").read_text())
    kept["training"]["refit"] = refit
    (run / "recipe.json").write_text(json.dumps(kept))
    assert says in outcome.tried(outcome.read(run))


def test_a_baseline_does_not_stop_and_one_speaker_is_not_many(run):
    known = outcome.read(run)
    known = replace(known, metrics=known.metrics | {"epoch": 0}, speakers=("a",))
    assert outcome.tried(known) == (
        "Tried on 16 recordings of 1 person, who showed how sure it may be (validation): nobody "
        "was kept aside for a test"
    )


@pytest.mark.parametrize("name", ["recipe.json", "run.json", "metrics.json", "predictions.parquet"])
@pytest.mark.parametrize("content", [None, b"", b"{}", b"[]", b"{half", b"\xff\xfe"])
def test_a_damaged_run_gets_a_sentence(run, name, content):
    (run / name).unlink()
    if content is not None:
        (run / name).write_bytes(content)
    with pytest.raises(OutcomeError, match="“toy” cannot be read"):
        outcome.read(run)


def test_runs_of_one_recipe_are_found_both_ways(tmp_path, monkeypatch):
    monkeypatch.setenv("SER_RUNS_DIR", str(tmp_path))
    mine = recipe.load("swift", TOY)
    runs = {
        "new": ("ravdess-5fold", mine.digest, 0),
        "newer": ("savee-loso", mine.digest, 0),
        "known": ("random-80-20", mine.digest, 0),
        "another-seed": ("random-80-20", mine.digest, 1),
        "another-recipe": ("random-80-20", "x", 0),
        "untested": (None, mine.digest, 0),
    }
    for name, (protocol, digest, seed) in runs.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "recipe.json").write_text("{}")
        about = {"protocol": protocol, "recipe": digest, "seed": seed}
        (tmp_path / name / "run.json").write_text(json.dumps(about))
    latest = ["another-seed", "another-recipe", "untested", "newer", "known", "new"]
    assert outcome.both_ways(latest, mine) == ("known", "newer")
    assert outcome.both_ways(["new"], mine) == (None, "new")
    assert outcome.both_ways(latest, recipe.load("svm")) == (None, None)


ROW = {"uar": 0.5, "accuracy": 0.6, "seeds": 3}
KNOWN = ROW | {"protocol": "random-80-20"}
NEW = ROW | {"protocol": "ravdess-5fold"}
SYSTEM = {"recipe": "svm", "published": {"accuracy": 0.3}, "parameters": 7, "random-80-20": KNOWN}


@pytest.mark.parametrize(
    ("systems", "found"),
    [
        ([SYSTEM | {"ravdess-5fold": NEW}], (KNOWN, NEW)),
        ([{"recipe": "other"}, SYSTEM | {"crema-d-10fold": NEW}], (KNOWN, NEW)),
        ([SYSTEM], None),
        ([{"recipe": "svm", "ravdess-5fold": NEW}], None),
        ([SYSTEM | {"ravdess-5fold": {"protocol": "ravdess-5fold", "uar": 0.1}}], None),
        ([], None),
        ({"recipe": "svm"}, None),
        (None, None),
        ([1, 2], None),
    ],
)
def test_what_was_measured_beforehand_is_optional(tmp_path, monkeypatch, systems, found):
    file = tmp_path / "systems.json"
    monkeypatch.setattr(outcome, "SYSTEMS", file)
    assert outcome.beforehand("svm") is None
    file.write_text(json.dumps(systems))
    assert outcome.beforehand("svm") == found
