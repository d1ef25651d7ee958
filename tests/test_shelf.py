import json
import os
import shutil

import pytest

from ser_core import bundle, locations, one_at_a_time, recipe, shelf
from ser_core.errors import UndertoneError
from ser_core.recipe_text import to_toml


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """A folder of runs with one model in it, `mine`: swift under another name."""
    folder = tmp_path / "runs"
    shutil.copytree(locations.find_model("swift"), folder / "mine" / "model")
    (folder / "mine" / "recipe.json").write_text("{}")
    monkeypatch.setenv("SER_RUNS_DIR", str(folder))
    return folder


def test_models_are_listed_with_their_origin(runs):
    shutil.copytree(runs / "mine", runs / "theirs")
    (runs / "theirs" / shelf.IMPORTED).write_text("{}")
    found = shelf.models()
    assert list(found)[:2] == ["deep", "swift"], "shipped ones come first"
    origins = {name: model.origin for name, model in found.items()}
    assert origins["swift"] is shelf.Origin.SHIPPED
    assert origins["mine"] is shelf.Origin.TRAINED
    assert origins["theirs"] is shelf.Origin.IMPORTED
    assert found["mine"].size > found["mine"].card.parameters


def test_without_a_choice_the_shipped_model_is_in_use(runs):
    assert shelf.active() == shelf.Choice("deep")


def test_without_the_usual_model_the_quick_one_is_in_use(runs, tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "swift").symlink_to(locations.find_model("swift"))
    monkeypatch.setattr(locations, "MODELS", tmp_path / "models")
    assert shelf.active() == shelf.Choice("swift")


@pytest.mark.parametrize(("wanted", "hears"), [("", "deep"), ("swift", "swift"), ("gone", "deep")])
def test_live_speech_is_heard_by_the_model_in_use_or_as_is_set(monkeypatch, wanted, hears):
    monkeypatch.setenv("UNDERTONE_LIVE_MODEL", wanted)
    assert shelf.for_live("deep") == hears


def test_a_choice_is_kept_and_undone(runs):
    assert shelf.activate("mine") == shelf.Choice("mine", before="deep")
    assert shelf.active() == shelf.Choice("mine", before="deep")
    assert shelf.go_back("deep") == shelf.Choice("deep")
    assert shelf.active() == shelf.Choice("deep")
    with pytest.raises(shelf.ShelfError, match="no model to go back to"):
        shelf.go_back("deep")


def test_nobody_goes_back_to_another_model_than_they_were_told(runs):
    shelf.activate("mine")  # who did this is offered the way back to deep
    shelf.activate("swift")  # somebody else
    with pytest.raises(shelf.ShelfError, match="the one before is “mine” by now, not “deep”"):
        shelf.go_back("deep")
    assert shelf.active() == shelf.Choice("swift", before="mine")
    assert shelf.go_back("mine") == shelf.Choice("mine")


def test_a_model_answers_by_its_name_on_the_shelf(runs, talk):
    assert shelf.load("mine").predict(talk).model == "mine"
    assert shelf.find("mine").card.name == "swift"


def test_a_damaged_model_is_not_switched_to(runs):
    (runs / "mine" / "model" / "model.onnx").write_bytes(b"damaged")
    with pytest.raises(bundle.BundleError, match="model.onnx"):
        shelf.activate("mine")
    assert shelf.active().name == "deep"


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"name": 3}', '{"name": "mine", "more": [', "\x00"]
)
def test_a_damaged_choice_is_no_choice(runs, content):
    (runs / "active.json").write_text(content)
    assert shelf.active() == shelf.Choice("deep")


def test_what_was_chosen_and_is_gone_is_told(runs):
    shelf.activate("mine")
    shutil.rmtree(runs / "mine")
    assert shelf.active() == shelf.Choice("deep", lost="mine")


def test_what_was_before_and_is_gone_cannot_be_gone_back_to(runs):
    shutil.copytree(runs / "mine", runs / "other")
    shelf.activate("mine")
    shelf.activate("other")
    shelf.delete("mine")
    assert shelf.active() == shelf.Choice("other")


def test_renaming_keeps_the_choice(runs):
    shelf.activate("mine")
    shelf.rename("mine", "yours")
    assert shelf.active() == shelf.Choice("yours", before="deep")
    assert not (runs / "mine").exists() and (runs / "yours" / "recipe.json").exists()
    shelf.activate("deep")
    shelf.rename("yours", "ours")
    assert shelf.active() == shelf.Choice("deep", before="ours")
    shelf.load("ours")


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        ".hidden",
        "a/b",
        "../up",
        "a\\b",
        "C:",
        "a b",
        "ü",
        "x" * 65,
        "-x",
        "x.",
        "a\n",
    ],
)
def test_unsafe_names_are_refused(runs, name):
    with pytest.raises(shelf.ShelfError, match="cannot be a model's name"):
        shelf.rename("mine", name)
    assert (runs / "mine" / "model").is_dir()


@pytest.mark.parametrize("name", ["swift", "SWIFT", "taken", "Taken", "silero-vad", "mine"])
def test_taken_names_are_refused(runs, name):
    (runs / "taken").mkdir()
    with pytest.raises(shelf.ShelfError, match="already"):
        shelf.rename("mine", name)
    assert (runs / "mine" / "model").is_dir()


def test_a_name_may_change_its_case(runs):
    shelf.rename("mine", "Mine")
    assert "Mine" in shelf.models()


@pytest.mark.parametrize(
    "change", [lambda: shelf.rename("mine", "yours"), lambda: shelf.delete("mine")]
)
def test_what_a_training_goes_on_to_look_at_stays(runs, change):
    """One of several that are trained one after another is over, and its model is there."""
    shelf.activate("swift")
    with one_at_a_time.lock() as file:
        os.write(file, json.dumps({"pid": os.getpid(), "runs": ["mine", "next"]}).encode())
        with pytest.raises(shelf.ShelfError, match="“mine” is part of a training that goes on"):
            change()
    change()


@pytest.mark.parametrize("start", ["mine", "mine/model"], ids=["name", "folder"])
@pytest.mark.parametrize(
    "change", [lambda: shelf.rename("mine", "yours"), lambda: shelf.delete("mine")]
)
def test_what_a_training_begins_with_stays(runs, change, start):
    """It is looked at again when the training goes on after a stop, and for the card at its end."""
    (runs / "next").mkdir()
    begins = f"training.start={runs / start if '/' in start else start}"
    (runs / "next" / "recipe.toml").write_text(to_toml(recipe.load("swift", [begins])))
    with one_at_a_time.lock() as file:
        os.write(file, json.dumps({"pid": os.getpid(), "runs": ["next"]}).encode())
        with pytest.raises(
            shelf.ShelfError, match="what “next”, which is trained now, begins with"
        ):
            change()
    change()


def test_a_deleted_model_is_gone_with_its_run(runs):
    shelf.delete("mine")
    assert list(runs.iterdir()) == []
    assert "mine" not in shelf.models()


def test_the_model_in_use_is_not_deleted(runs):
    shelf.activate("mine")
    with pytest.raises(shelf.ShelfError, match="in use"):
        shelf.delete("mine")
    assert (runs / "mine" / "model").is_dir()


@pytest.mark.parametrize("change", [shelf.delete, lambda name: shelf.rename(name, "other")])
def test_shipped_models_stay(runs, change):
    with pytest.raises(shelf.ShelfError, match="came with Undertone"):
        change("swift")


@pytest.mark.parametrize(
    "change",
    [
        shelf.activate,
        shelf.delete,
        shelf.go_back,
        lambda name: shelf.rename(name, "other"),
    ],
)
def test_a_locked_shelf_is_not_changed(runs, monkeypatch, change):
    shelf.activate("mine")
    shelf.activate("swift")
    monkeypatch.setenv("UNDERTONE_TRAINING", "off")
    with pytest.raises(shelf.ShelfError, match="UNDERTONE_TRAINING"):
        change("mine")
    assert shelf.active().name == "swift" and "mine" in shelf.models()


@pytest.mark.parametrize("word", ["off", "False", " NO ", "0"])
def test_there_are_several_words_for_off(monkeypatch, word):
    monkeypatch.setenv("UNDERTONE_TRAINING", word)
    assert shelf.locked()


@pytest.mark.parametrize("word", ["on", "true", "1", ""])
def test_other_words_lock_nothing(monkeypatch, word):
    monkeypatch.setenv("UNDERTONE_TRAINING", word)
    assert not shelf.locked()


@pytest.mark.parametrize(
    "act", [shelf.find, shelf.load, shelf.stamp, shelf.activate, shelf.delete, shelf.deletable]
)
def test_an_unknown_name_is_a_sentence(runs, act):
    with pytest.raises(UndertoneError, match="no model “nobody”; known are deep, mine, swift"):
        act("nobody")


def test_what_cannot_be_read_is_told_apart(runs):
    (runs / "mine" / "model" / "card.json").write_text("{}")
    assert "mine" not in shelf.models()
    assert "not a model card" in shelf.damaged()["mine"]


def test_what_is_being_written_is_no_model(runs):
    shutil.copytree(runs / "mine", runs / ".importing-x")
    assert ".importing-x" not in shelf.models()


def test_a_training_behind_a_shipped_model_is_told(runs):
    assert shelf.hidden() == []
    shutil.copytree(runs / "mine", runs / "swift")
    assert shelf.hidden() == ["swift"]
    assert shelf.find("swift").origin is shelf.Origin.SHIPPED


def test_the_stamp_changes_with_the_model(runs):
    before = shelf.stamp("mine")
    card = bundle.read_card(runs / "mine" / "model")
    bundle.write_card(card, runs / "mine" / "model")
    assert shelf.stamp("mine") != before


@pytest.mark.parametrize(
    ("wish", "name"),
    [
        ("free", "free"),
        ("mine", "mine-2"),
        ("swift", "swift-2"),
        ("a b/../c", "a-b-..-c"),
        ("ü", "model"),
    ],
)
def test_a_free_name_is_like_the_wish(runs, wish, name):
    assert shelf.free_name(wish) == name
    shelf.check_name(name)


def test_the_choice_is_written_whole(runs):
    shelf.activate("mine")
    assert json.loads((runs / "active.json").read_text())["name"] == "mine"
    assert sorted(path.name for path in runs.iterdir()) == ["active.json", "mine"]
