"""Compare and Map with the mouse: what is clicked is seen, and really heard."""

import pytest
from playwright.sync_api import expect

from tests.browser import serving
from tests.browser.serving import beyond_the_edge, cut_off, open_page, settle, try_sample

pytestmark = pytest.mark.browser

PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 900}

# Where on the screen a map's first point is, and whose it is.
FIRST_POINT = """chart => {
    const { xaxis, yaxis } = chart._fullLayout, [trace] = chart._fullData
    const area = chart.getBoundingClientRect()
    return {
        id: trace.customdata[0],
        emotion: trace.name,
        x: area.left + xaxis._offset + xaxis.l2p(trace.x[0]),
        y: area.top + yaxis._offset + yaxis.l2p(trace.y[0]),
    }
}"""


@pytest.fixture(scope="module")
def toy_url(playwright, toy_ravdess, tmp_path_factory):
    """The address of an app that has the toy corpus."""
    cache = str(tmp_path_factory.mktemp("cache"))
    with serving.server(SER_DATA_DIR=str(toy_ravdess), SER_CACHE_DIR=cache) as address:
        yield address


def explore(page, view, viewport=DESKTOP):
    page.get_by_role("link", name="Explore").click()
    page.get_by_role("radio", name=view, exact=True).click()
    page.set_viewport_size(viewport)
    settle(page)


def plays(page, container):
    """Wait until a container's sound plays."""
    page.wait_for_function(
        """name => {
            const sound = document.querySelector(`.st-key-${name} audio`)
            return sound && !sound.error && sound.currentTime > 0
        }""",
        arg=container,
    )


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_a_point_of_the_map_is_clicked_seen_and_heard(browser, toy_url, viewport):
    page = open_page(browser, toy_url, viewport=DESKTOP)
    try_sample(page, "Low and slow")
    explore(page, "Map", viewport)
    chart = page.locator(".st-key-map .js-plotly-plot")
    expect(chart).to_be_visible()
    expect(page.get_by_role("heading", name="Closest to you")).to_be_visible()
    expect(page.get_by_test_id("stAudio")).to_have_count(3)
    chart.scroll_into_view_if_needed()
    settle(page)
    point = chart.evaluate(FIRST_POINT)
    page.mouse.move(point["x"], point["y"])
    page.mouse.click(point["x"], point["y"])
    expect(page.locator(".st-key-map-picture .main-svg").first).to_be_visible()
    plays(page, "map-player")
    emotion = point["emotion"].split()[-1]
    expect(page.get_by_text(emotion.capitalize(), exact=False).first).to_be_visible()
    expect(page.get_by_test_id("stAudio")).to_have_count(4)
    assert beyond_the_edge(page) == 0


def test_a_spectrogram_that_is_clicked_plays_from_there(browser, toy_url):
    page = open_page(browser, toy_url, viewport=DESKTOP)
    explore(page, "Compare")
    area = page.locator(".st-key-compare-happy-picture .nsewdrag").first
    expect(area).to_be_visible()
    box = area.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2)
    plays(page, "compare-happy-player")
    expect(page.locator(".st-key-compare-happy-picture .playhead")).to_have_count(1)
    expect(page.locator(".st-key-compare-sad-picture .playhead")).to_be_hidden()


@pytest.mark.parametrize("view", ["Compare", "Stats", "Map"])
def test_no_word_on_a_chart_is_cut_off(browser, toy_url, view):
    page = open_page(browser, toy_url, viewport=DESKTOP)
    explore(page, view, PHONE)
    if view == "Stats":
        measure = page.get_by_role("button", name="Listen to 64 recordings")
        measured = page.get_by_text("From 64 recordings")
        expect(measure.or_(measured)).to_be_visible()
        if measure.count():
            measure.click()
        expect(measured).to_be_visible()
        settle(page)
    expect(page.locator(".main-svg").first).to_be_visible()
    for viewport in (PHONE, DESKTOP):
        page.set_viewport_size(viewport)
        settle(page)
        assert beyond_the_edge(page) == 0
        assert cut_off(page) == []
