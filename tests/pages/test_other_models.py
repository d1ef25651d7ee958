"""The app while a model listens that is made otherwise than the shipped one."""

import pytest

from ser_core import dataset, recipe, shelf, training
from ser_core.locations import runs_dir
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


@pytest.fixture(params=["lstm", "deep"])
def served(request, lstm, toy_ravdess, monkeypatch):
    """The name of the model that listens."""
    monkeypatch.setenv("SER_RUNS_DIR", str(lstm))
    monkeypatch.setenv("SER_DATA_DIR", str(toy_ravdess))
    shelf.activate(request.param)
    return request.param


def test_it_answers_and_offers_what_explanations_it_has(served, app):
    (samples,) = [group for group in app.button_group if group.label == "Try a synthetic voice"]
    samples.set_value("Singsong").run()
    assert not app.exception and not app.error
    assert f"Heard by the model “{served}”" in app.caption[-1].value
    for offered in ("What it attended to", "What the answer hung on"):
        assert (offered in str(app.button_group)) == (served == "deep")


def test_both_shipped_models_are_ranked_and_compared(served, unopened):
    page = unopened.switch_page("pages/models.py").run()
    table = page.table[0].value
    assert [name.strip("*").split("*")[0] for name in table["Model"]] == ["deep", "swift"]
    words = " ".join(item.value for item in page.markdown)
    assert "deep is better by " in words and "swift is better" not in words


@pytest.mark.parametrize("wanted", ["", "swift"])
def test_live_is_heard_by_it_unless_another_is_set(served, unopened, monkeypatch, wanted):
    monkeypatch.setenv("UNDERTONE_LIVE_MODEL", wanted)
    app = unopened.switch_page("pages/live.py").run()
    assert f"Heard by the model “{wanted or served}”." in [line.value for line in app.caption]
    app.switch_page("pages/models.py").run()
    words = " ".join(item.value for item in app.markdown)
    assert f"**{served}** is in use" in words
    assert ("On the page Live, **swift** listens" in words) == bool(wanted)
    assert not app.get("toast")


@pytest.mark.parametrize("page", ["live", "explore", "models", "about"])
def test_every_page_opens(served, unopened, page):
    app = unopened.switch_page(f"pages/{page}.py").run()
    assert not app.exception and not app.error


@pytest.mark.parametrize("view", ["Browse", "Compare", "Stats", "Map", "Game"])
def test_recordings_can_be_explored(served, unopened, view):
    app = unopened.switch_page("pages/explore.py").run()
    app.segmented_control(key="explore-view").set_value(view).run()
    assert app.session_state["explore-view"] == view, "there is such a view"
    assert not app.exception and not app.error
