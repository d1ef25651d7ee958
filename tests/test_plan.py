import dataclasses
import json
import shutil
import tomllib

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_core import library, plan, recipe
from ser_core.errors import UndertoneError
from ser_core.recipe import RecipeError
from ser_core.recipe_text import settings_of, spelled, to_toml
from tests.helpers import TOY

FOUR = 'labels=["neutral", "happy", "sad", "angry"]'
SVM = recipe.load("svm", [FOUR, 'data.channels=["speech"]'])


@pytest.fixture
def manifests(toy_ravdess, monkeypatch):
    monkeypatch.setenv("SER_DATA_DIR", str(toy_ravdess))
    return {"ravdess": library.manifest("ravdess")}


def corpus(name, emotions, speakers=6, channel="speech"):
    """A manifest of one recording an emotion and speaker."""
    rows = [
        (f"{name}/{s}-{e}", name, f"{name}-{s}", "fm"[s % 2], e, "a sentence", channel)
        for s in range(speakers)
        for e in emotions
    ]
    columns = ["id", "corpus", "speaker", "sex", "emotion", "sentence", "channel"]
    return pd.DataFrame(rows, columns=columns)


@pytest.mark.parametrize("name", plan.shipped())
def test_a_recipe_written_down_is_the_same_recipe(name, tmp_path):
    loaded = plan.shipped()[name]
    file = tmp_path / "recipe.toml"
    file.write_text(to_toml(loaded), "utf-8")
    assert recipe.load(file) == loaded
    kept = json.loads(json.dumps(dataclasses.asdict(loaded)))
    assert to_toml(kept) == to_toml(loaded)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.one_of(TEXTS, st.integers(-(2**60), 2**60), st.floats(allow_nan=False), st.booleans()))
def test_values_are_spelled_as_toml(value):
    assert tomllib.loads(f"value = {spelled([value])}")["value"] == [value]


def test_our_own_recipes_come_first_and_baselines_last():
    names = list(plan.shipped())
    assert names[:2] == ["swift", "deep"]
    assert sorted(names[-3:]) == ["knn", "random-forest", "svm"]


def test_toml_becomes_settings():
    text = 'labels = ["sad", "happy"]\n[training]\nepochs = 3\n[augmentation]\n'
    assert settings_of(text) == [
        'labels=["sad", "happy"]',
        "training.epochs=3",
        "augmentation={}",
    ]
    loaded = recipe.load("swift", settings_of(text))
    assert loaded.training.epochs == 3 and loaded.augmentation.speeds == ()
    assert settings_of(" \n") == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("epochs", "not TOML.*end of document"),
        ("[training]\nepochs = 0", "training.epochs"),
        ("[training]\nepoch = 3", "unknown key 'training.epoch'"),
        ("training = 3", "training"),
        ("name = 1979-05-27", "no place for 1979-05-27"),
        ("[network]\nfilters = [{a = 1}]", "network.filters"),
        ("x\x00 = 1", "not TOML"),
        ("features = 4", "features"),
        ("[training]\nepochs = " + 5000 * "9", "not TOML"),
        ("x = " + 5000 * "[", "not TOML"),
    ],
)
def test_what_is_no_recipe_gets_a_sentence(text, says):
    with pytest.raises(RecipeError, match=says):
        recipe.load("swift", settings_of(text))


@given(TEXTS)
def test_any_text_is_settings_or_a_sentence(text):
    try:
        recipe.load("swift", settings_of(text))
    except UndertoneError as error:
        assert str(error)


def test_recordings_are_those_that_are_asked_for(manifests):
    found = plan.recordings(SVM, manifests)
    assert len(found) == 64 and set(found.emotion) == set(SVM.labels)
    with pytest.raises(plan.PlanError, match="calm or fearful or disgust or surprised"):
        plan.recordings(recipe.load("svm"), manifests)
    with pytest.raises(plan.PlanError, match="no recordings of tess, savee here"):
        plan.recordings(recipe.load("cnn-bilstm-four"), manifests)


def loaded_here(name, manifests, corpora=()):
    return recipe.load(name, plan.suited(recipe.load(name), manifests, corpora))


def test_a_recipe_makes_do_with_what_is_here(manifests):
    found = loaded_here("svm", manifests)
    assert found.labels == ("neutral", "happy", "sad", "angry")
    assert found.data.channels == ("speech",) and found.data.corpus == "ravdess"
    assert loaded_here("cnn-bilstm-four", manifests).data.corpus == "ravdess"
    plan.recordings(found, manifests)


def test_other_recordings_can_be_chosen_instead():
    here = {"savee": corpus("savee", ["happy", "sad"]), "tess": corpus("tess", ["angry", "calm"])}
    assert loaded_here("svm", here).data.corpus == "savee"
    both = loaded_here("svm", here, ["savee", "tess"])
    assert both.data.corpora == ("savee", "tess")
    assert both.labels == ("calm", "happy", "sad", "angry"), "in the recipe's order"
    sung = {"mine": corpus("mine", ["neutral", "disgust"], channel="song")}
    found = loaded_here("cnn-lstm-six", sung)
    assert found.data.channels == ("song",)
    assert found.labels == ("neutral", "disgust"), "one of its own emotions would be too few"
    assert plan.suited(recipe.load("svm"), {}) == []


@pytest.mark.parametrize(
    ("name", "corpora", "validate"),
    [
        ("deep", ["ravdess"], 2),
        ("deep", ["savee", "tess"], 4),
        ("svm", ["savee"], 2),
        ("svm", ["savee", "tess"], 4),
        ("cnn-bilstm-four", ["savee"], 2),
    ],
)
def test_of_fewer_corpora_fewer_speakers_validate(name, corpora, validate):
    here = {each: corpus(each, ["happy", "sad"]) for each in corpora}
    assert loaded_here(name, here, corpora).training.validation_speakers == validate


def test_protocols_that_do_not_fit_say_why(manifests):
    found = plan.protocols(SVM, plan.recordings(SVM, manifests))
    assert [name for name, reason in found.items() if not reason] == ["random-80-20"]
    assert "complete the corpus" in found["ravdess-5fold"]
    few = corpus("savee", ["happy", "sad"], speakers=1)
    assert "too few to divide" in plan.protocols(SVM, few)["random-80-20"]


def test_savee_can_be_tested_on_its_speakers():
    manifest = corpus("savee", ["happy", "sad"])
    names = dict(
        zip(sorted(set(manifest.speaker)), ["dc", "je", "jk", "kl", "x", "y"], strict=True)
    )
    manifest["speaker"] = "savee-" + manifest.speaker.map(names)
    assert plan.protocols(SVM, manifest)["savee-loso"] == ""
    split = plan.split(SVM, manifest, "savee-loso", 1)
    assert set(manifest.speaker[split.test]) == {"savee-je"}
    nobody = plan.split(SVM, manifest, None, 0)
    assert len(nobody.test) == 0 and len(nobody.train) == 8


@pytest.fixture
def runs(tmp_path, toy_run, monkeypatch):
    shutil.copytree(toy_run, tmp_path / "toy")
    monkeypatch.setenv("SER_RUNS_DIR", str(tmp_path))
    return ["toy"]


def test_speed_and_size_come_from_earlier_runs(runs, tmp_path):
    same = recipe.load("swift", TOY)
    found = plan.speed(same, runs)
    events = [json.loads(line) for line in (tmp_path / "toy/events.jsonl").read_text().splitlines()]
    clips = json.loads((tmp_path / "toy/run.json").read_text())["utterances"]["train"]
    assert found.run == "toy"
    assert 0 < found.seconds * clips * len(events) <= 3 * events[-1]["seconds"]
    doubled = recipe.load("swift", [*TOY, "training.epochs=80"])
    assert plan.minutes(doubled, found, clips) == pytest.approx(
        2 * plan.minutes(same, found, clips)
    )
    assert (
        plan.parameters(same, runs)
        == json.loads((tmp_path / "toy/metrics.json").read_text())["parameters"]
    )


@pytest.mark.parametrize(
    "setting",
    [
        "network.dropout=0.5",
        "network.spatial_dropout=0.2",
        "augmentation={}",
        "augmentation.time_masks=2",
        "augmentation.speeds=[0.9, 1.1]",
        "training.batch_size=64",
        "training.learning_rate=0.1",
    ],
)
def test_what_changes_the_work_little_changes_the_speed_not_at_all(runs, setting):
    same = plan.speed(recipe.load("swift", TOY), runs)
    assert plan.speed(recipe.load("swift", [*TOY, setting]), runs) == same


def test_the_run_with_the_nearest_batches_tells_the_speed(runs, tmp_path):
    shutil.copytree(tmp_path / "toy", tmp_path / "large")
    kept = json.loads((tmp_path / "large/recipe.json").read_text())
    kept["training"]["batch_size"] = 128
    (tmp_path / "large/recipe.json").write_text(json.dumps(kept))
    for size, nearest in ((1, "toy"), (16, "toy"), (64, "large"), (256, "large")):
        wanted = recipe.load("swift", [*TOY, f"training.batch_size={size}"])
        assert plan.speed(wanted, ["large", *runs]).run == nearest


def test_who_is_shown_more_takes_longer(runs, tmp_path):
    """An epoch of the one shows each recording once, of the other in all its variants."""
    once = plan.speed(recipe.load("swift", TOY), runs)
    varied = ["augmentation.speeds=[0.9, 1.1]", "training.whole_epochs=true"]
    more = recipe.load("swift", [*TOY, *varied])
    assert plan.speed(more, runs).seconds == pytest.approx(3 * once.seconds)
    (tmp_path / "toy/recipe.json").write_text(json.dumps(dataclasses.asdict(more)))
    assert plan.speed(more, runs) == once
    less = plan.speed(recipe.load("swift", TOY), runs)
    assert less.seconds == pytest.approx(once.seconds / 3)
    # Of which recordings there were more is not known: at most, of none.
    some = recipe.load("swift", [*TOY, *varied, 'augmentation.only=["sad"]'])
    (tmp_path / "toy/recipe.json").write_text(json.dumps(dataclasses.asdict(some)))
    assert plan.speed(some, runs) == plan.speed(recipe.load("swift", TOY), runs) == once


@pytest.mark.parametrize("kept", ["", "{", "[]", '{"network": 3}'])
def test_damaged_runs_tell_nothing(runs, tmp_path, monkeypatch, kept):
    monkeypatch.setattr(plan, "EPOCHS", tmp_path / "none")
    (tmp_path / "toy/recipe.json").write_text(kept)
    assert plan.speed(recipe.load("swift", TOY), [*runs, "deleted"]) is None


def test_other_networks_tell_nothing(runs):
    other = recipe.load("swift", [*TOY, "network.lstm_units=9"])
    assert plan.speed(other, runs) is None and plan.parameters(other, runs) is None
    assert plan.speed(SVM, runs) is None and plan.parameters(SVM, runs) is None


def test_a_teacher_is_left_out_where_speakers_have_no_name():
    named = corpus("own", ["happy", "sad"])
    swift = recipe.load("swift")
    for manifest, share in ((named, swift.training.teacher), (named.assign(speaker=""), 0)):
        suited = recipe.load("swift", plan.suited(swift, {"own": manifest}))
        assert suited.training.teacher == share


def test_before_the_first_run_what_we_measured_tells_the_speed():
    measured = json.loads(plan.EPOCHS.read_text("utf-8"))
    for name, shown in (("swift", 1), ("cnn-lstm-six", 6)):
        found = plan.speed(recipe.load(name, ["training.epochs=7"]), [])
        each = measured[name]["s"] / measured[name]["windows"]
        assert found == plan.Speed(pytest.approx(shown * each), ""), "of each clip, all variants"
    changed = ["training.batch_size=64", "network.dropout=0.5", "augmentation={}"]
    assert plan.speed(recipe.load("swift", changed), []) == plan.speed(recipe.load("swift"), [])
    assert plan.speed(SVM, []) is None


@pytest.mark.parametrize(("name", "rounds"), [("cnn", 31), ("cnn-lstm", 16), ("lstm", 16)])
def test_or_else_a_whole_training_tells_the_most_it_takes(name, rounds):
    """It may have stopped as soon as its patience was over."""
    systems = json.loads(plan.FOLDS.read_text("utf-8"))
    (took,) = (row[plan.LEAKY] for row in systems if row["recipe"] == name)
    loaded = recipe.load(name)
    found = plan.speed(loaded, [])
    clips = round(0.8 * 0.85 * 5 * took["n"])
    longest = took["fold_seconds"] / 60 * loaded.training.epochs / rounds
    assert found.run == "" and plan.minutes(loaded, found, clips) == pytest.approx(longest, 0.01)
    assert plan.speed(recipe.load(name, ["network.dense=[9]"]), []) is None


@pytest.mark.parametrize("content", [None, "", "{", "[3]", '[{"recipe": "lstm"}]'])
def test_without_what_we_measured_no_speed_is_known(tmp_path, monkeypatch, content):
    monkeypatch.setattr(plan, "FOLDS", tmp_path / "systems.json")
    if content is not None:
        plan.FOLDS.write_text(content)
    assert plan.speed(recipe.load("lstm"), []) is None


def test_the_shipped_model_is_known(runs):
    assert plan.parameters(recipe.load("swift"), []) > 100_000
