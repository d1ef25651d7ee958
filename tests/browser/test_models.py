"""Models in a real browser: switched under another visitor, taken away, brought back, readable."""

import shutil
import zipfile

import pytest
from playwright.sync_api import expect

from ser_core.locations import find_model
from tests.browser import serving
from tests.browser.serving import beyond_the_edge, cut_off, open_page, settle, try_sample
from tests.browser.test_app import DESKTOP, PHONE, contrast

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def app(playwright, tmp_path_factory):
    """The address of an app with a trained model, `mine`, and the folder of its runs."""
    runs = tmp_path_factory.mktemp("models") / "runs"
    shutil.copytree(find_model("swift"), runs / "mine" / "model")
    with serving.server(SER_RUNS_DIR=str(runs)) as url:
        yield url, runs


def choose(page, label, option):
    # A list closes when the page scrolls or a chart comes late, and nobody clicks before that.
    expect(page.locator(".st-key-scores .main-svg").first).to_be_visible()
    box = page.get_by_role("combobox", name=label)
    box.scroll_into_view_if_needed()
    settle(page)
    box.click()
    page.get_by_role("option", name=option, exact=True).click()
    settle(page)


def test_a_switch_reaches_everybody_at_once_and_can_be_undone(browser, app):
    url, _ = app
    other = open_page(browser, url)
    try_sample(other, "Singsong")
    expect(other.get_by_text("Heard by the model “deep”")).to_be_visible()
    page = open_page(browser, f"{url}/models")
    choose(page, "Model", "mine")
    page.get_by_role("button", name="Use this model").click()
    expect(page.get_by_text("mine is in use.")).to_be_visible()
    try_sample(other, "Whispered")
    expect(other.get_by_test_id("stToast")).to_contain_text("“mine” is the model that listens")
    expect(other.get_by_text("Heard by the model “mine”")).to_be_visible()
    page.get_by_role("button", name="Back to deep").click()
    expect(page.get_by_text("deep is in use.")).to_be_visible()
    expect(page.get_by_text("Traceback")).to_have_count(0)


def test_what_is_taken_away_can_be_brought_back(browser, app, tmp_path):
    url, runs = app
    page = open_page(browser, f"{url}/models")
    choose(page, "Model", "swift")
    page.get_by_role("button", name="Export").click()
    page.get_by_text("Everything", exact=True).click()
    page.get_by_role("button", name="Prepare the file").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download (").click()
    assert download.value.suggested_filename == "swift-bundle.zip"
    file = tmp_path / "swift.zip"
    download.value.save_as(file)
    assert "swift/model.onnx" in zipfile.ZipFile(file).namelist()
    page.keyboard.press("Escape")
    page.locator("input[type=file]").set_input_files(file)
    expect(page.get_by_text("“swift.zip” is added, as “swift-2”")).to_be_visible()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete it").click()
    expect(page.get_by_test_id("stToast").last).to_contain_text("“swift-2” is deleted")
    assert not (runs / "swift-2").exists()


def test_a_bad_file_is_a_sentence(browser, app):
    url, runs = app
    page = open_page(browser, f"{url}/models")
    file = {"name": "model.zip", "mimeType": "application/zip", "buffer": b"none"}
    page.locator("input[type=file]").set_input_files([file])
    expect(page.get_by_role("alert")).to_contain_text("“model.zip” is not added: the archive is")
    expect(page.get_by_text("Traceback")).to_have_count(0)
    assert sorted(path.name for path in runs.iterdir() if path.is_dir()) == ["mine"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_is_readable_and_nothing_is_cut_off(browser, app, scheme):
    page = open_page(browser, f"{app[0]}/models", color_scheme=scheme, viewport=PHONE)
    page.get_by_role("tab", name="What is inside").click()
    expect(page.locator(".st-key-architecture .main-svg").first).to_be_visible()
    for viewport in (PHONE, DESKTOP):
        page.set_viewport_size(viewport)
        settle(page)
        assert beyond_the_edge(page) == 0
        assert cut_off(page) == []
        boxes = page.locator(".st-key-architecture .textpoint text").evaluate_all(
            """all => all.map(text => text.getBoundingClientRect()).filter(box => box.width)
                .map(box => [box.left, box.right, Math.round(box.top)])"""
        )
        for left, right, top in boxes:
            beside = [box for box in boxes if box[2] == top and box[0] > left]
            assert all(right < box[0] for box in beside), "names and sizes do not meet"
    ground = page.get_by_test_id("stApp").evaluate("app => getComputedStyle(app).backgroundColor")
    texts = page.locator(".main-svg .xtick text, .main-svg .textpoint text")
    colours = set(texts.evaluate_all("all => all.map(text => getComputedStyle(text).fill)"))
    assert colours and min(contrast(colour, ground) for colour in colours) >= 4.5
    page.get_by_role("tab", name="The whole card").click()
    expect(page.get_by_role("heading", name="Robustness")).to_be_visible()
    for viewport in (DESKTOP, PHONE):
        page.set_viewport_size(viewport)
        settle(page)
        assert beyond_the_edge(page) == 0
