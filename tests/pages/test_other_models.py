"""The app while a model listens that is made otherwise than the shipped one."""

import pytest

from ser_core import dataset, recipe, shelf, training
from ser_core.recognizer import runs_dir
from tests.test_systems import SMALL


@pytest.fixture(scope="module")
def lstm(toy_ravdess, tmp_path_factory):
    """The name of a model over descriptors, without attention, in a runs folder of its own."""
    runs = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("SER_DATA_DIR", str(toy_ravdess))
        patched.setenv("SER_RUNS_DIR", str(runs))
        loaded = recipe.load("lstm", SMALL)
        training.train(loaded, dataset.load(loaded), runs_dir() / "lstm")
        shelf.activate("lstm")
    return runs


@pytest.fixture
def served(lstm, toy_ravdess, monkeypatch):
    monkeypatch.setenv("SER_RUNS_DIR", str(lstm))
    monkeypatch.setenv("SER_DATA_DIR", str(toy_ravdess))


def test_it_answers_and_offers_no_explanation_that_it_has_not(served, app):
    (samples,) = [group for group in app.button_group if group.label == "Try a synthetic voice"]
    samples.set_value("Singsong").run()
    assert not app.exception and not app.error
    assert "Heard by the model “lstm”" in app.caption[-1].value
    assert "What it attended to" not in str(app.button_group)


@pytest.mark.parametrize("page", ["live", "explore", "models", "about"])
def test_every_page_opens(served, app, page):
    app.switch_page(f"pages/{page}.py").run()
    assert not app.exception and not app.error


@pytest.mark.parametrize("view", ["Browse", "Compare", "Statistics", "Map", "Game"])
def test_recordings_can_be_explored(served, app, view):
    app.switch_page("pages/explore.py").run()
    app.segmented_control(key="explore-view").set_value(view).run()
    assert not app.exception and not app.error
