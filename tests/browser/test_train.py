"""A tiny training in a real browser: started, left alone, found again, looked at and used."""

import re
import time

import pytest
from playwright.sync_api import expect

from tests.browser import serving
from tests.browser.serving import beyond_the_edge, open_page, settle, try_sample

pytestmark = pytest.mark.browser

TINY = """
[network]
averaged_frames = 1
filters = [16, 16]
pooling = [4, 4]
lstm_units = 8
embedding = 16
[augmentation]
[training]
learning_rate = 0.01
teacher = 0.0
averaging = 0.5
patience = 2000
epochs = {epochs}
"""
WIDTHS = (390, 1280)


@pytest.fixture
def places(tmp_path, toy_ravdess):
    return {"SER_DATA_DIR": str(toy_ravdess), "SER_RUNS_DIR": str(tmp_path / "runs")}


@pytest.fixture
def url(playwright, places):
    with serving.server(**places) as address:
        yield address


def start(page, epochs):
    """Start to train a very small network."""
    page.get_by_text("Emotions and settings").click()
    text = page.get_by_role("textbox", name="Anything else, as TOML")
    text.fill(TINY.format(epochs=epochs))
    text.press("Control+Enter")
    expect(page.get_by_test_id("stCode")).to_contain_text(f"epochs = {epochs}")
    page.get_by_role("button", name="Start training").click()
    return now(page)


def now(page):
    """What is being trained now."""
    return page.locator(".st-key-train-now")


def round_of(page):
    """Which round is shown, when there is one."""
    bar = now(page).get_by_text(re.compile(r"Round \d+ of"))
    expect(bar).to_be_visible()
    return int(re.search(r"Round (\d+)", bar.inner_text())[1])


def goes_on(page):
    before = round_of(page)
    while round_of(page) == before:
        time.sleep(0.2)


def test_a_tiny_training_is_started_watched_and_used(browser, url):
    page = open_page(browser, f"{url}/train")
    start(page, epochs=30)
    round_of(page)
    page.reload()
    settle(page)
    expect(page.get_by_role("button", name="Start training")).to_be_enabled()  # it is over
    page.get_by_text("Results", exact=True).click()
    expect(page.get_by_text("from whom it had also learned")).to_be_visible()
    expect(page.get_by_test_id("stMetricValue").first).to_have_text(re.compile(r"\d%"))

    cell = page.locator(".st-key-train-confusion .textpoint text", has_text=re.compile(r"\d")).first
    cell.click(force=True)
    expect(page.get_by_text("Choose one to hear it").first).to_be_visible()
    player = page.get_by_test_id("stAudio")
    expect(player).to_have_js_property("error", None)
    tabs = ("Learning", "Emotions and people", "Sureness", "ROC and PR", "Mistakes")
    for name in (*tabs, "Known or new voices", "Files"):
        page.get_by_role("tab", name=name).click()
        settle(page)
        expect(page.get_by_role("alert")).to_have_count(0)
    with page.expect_download() as download:
        page.get_by_role("button", name="Recipe (TOML)").click()
    assert 'name = "swift"' in download.value.path().read_text()

    page.get_by_role("button", name="Use this model").click()
    expect(page.get_by_role("button", name="In use")).to_be_disabled()
    page.get_by_role("link", name="Models").click()
    expect(page.get_by_text("swift-2 is in use.")).to_be_visible()
    page.get_by_role("button", name="Back to deep").click()
    expect(page.get_by_text("deep is in use.")).to_be_visible()


def test_a_training_outlives_tab_and_server(browser, places, playwright):
    with serving.server(**places) as url:
        page = open_page(browser, f"{url}/train")
        start(page, epochs=2000)
        goes_on(page)
        page.reload()
        settle(page)
        goes_on(page)
        other = open_page(browser, f"{url}/train")
        goes_on(other)
        expect(other.get_by_role("button", name="Start training")).to_be_disabled()
        expect(
            other.get_by_text("is being trained, started here or on another page")
        ).to_be_visible()
        other.goto(url)
        settle(other)
        try_sample(other, "Singsong")  # is answered meanwhile
        goes_on(page)
        reached = round_of(page)
        page.close()
        other.close()
    with serving.server(**places) as url:
        page = open_page(browser, f"{url}/train")
        assert round_of(page) >= reached
        goes_on(page)
        page.get_by_role("button", name="Cancel").click()
        page.get_by_role("button", name="Stop it").click()
        expect(page.get_by_text("was cancelled")).to_be_visible()
        expect(page.get_by_role("button", name="Start training")).to_be_enabled()
        page.get_by_role("button", name="See what came of it").click()
        page.get_by_role("button", name="Go on").click()
        assert round_of(page) >= reached
        goes_on(page)
        page.get_by_role("button", name="Cancel").click()
        page.get_by_role("button", name="Stop it").click()
        expect(now(page)).to_have_count(0)


@pytest.mark.parametrize("width", WIDTHS)
def test_no_page_is_wider_than_the_window(browser, url, width):
    page = open_page(browser, f"{url}/train", viewport={"width": width, "height": 900})
    assert beyond_the_edge(page) == 0
    known = page.get_by_text("Most published figures come from a random split")
    for view, count in (("Known or new voices", 1), ("Results", 0)):
        page.get_by_text(view, exact=True).click()
        expect(known).to_have_count(count)
        expect(page.get_by_role("button", name="Start training")).to_have_count(0)
        settle(page)
        assert beyond_the_edge(page) == 0
