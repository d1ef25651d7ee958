"""What only a real browser shows of Explore: a table that is clicked on, and sound that plays."""

import pytest
from playwright.sync_api import expect

from tests.browser.serving import beyond_the_edge, open_page, server, settle

pytestmark = pytest.mark.browser

ROW = 35  # pixels, of the table's head, too
SIZES = {"phone": {"width": 390, "height": 844}, "desktop": {"width": 1280, "height": 900}}


@pytest.fixture(scope="module")
def toy_url(playwright, toy_ravdess):
    """The app with a few recordings."""
    with server(SER_DATA_DIR=str(toy_ravdess)) as url:
        yield f"{url}/explore"


@pytest.fixture(scope="module")
def empty_url(playwright, tmp_path_factory):
    """The app without any."""
    with server(SER_DATA_DIR=str(tmp_path_factory.mktemp("empty"))) as url:
        yield f"{url}/explore"


def click_table(page, row, x):
    """Click so many pixels from the left in a row of the table, the first being 0."""
    position = {"x": x, "y": ROW * (row + 1) + ROW / 2}
    page.get_by_test_id("stDataFrame").click(position=position)


def left(page, count):
    expect(page.get_by_text("of 64 recordings")).to_have_text(f"{count} of 64 recordings")


def player(page):
    return page.locator(".st-key-player audio")


def test_filters_stay_chosen_while_their_counts_change(browser, toy_url):
    page = open_page(browser, toy_url)
    pill = lambda name: page.get_by_role("button", name=name)  # noqa: E731
    pill("angry 😠 · 16").click()
    left(page, 16)
    pill("Sex").click()
    pill("female · 8").click()
    left(page, 8)
    page.keyboard.press("Escape")
    pill("Speaker").click()
    pill("RAVDESS actor 02 · 2").click()
    left(page, 2)
    pill("RAVDESS actor 04 · 2").click()
    left(page, 4)
    page.keyboard.press("Escape")
    pill("sad 😢 · 4").click()
    left(page, 8)
    pill("angry 😠 · 4").click()
    left(page, 4)
    expect(pill("Sex: female")).to_be_visible()
    expect(pill("Speaker: 2 chosen")).to_be_visible()
    pill("Clear filters").click()
    left(page, 64)


def test_a_recording_is_chosen_and_played_from_its_row(browser, toy_url):
    page = open_page(browser, toy_url)
    expect(player(page)).to_have_attribute("aria-label", "Recording 03-01-01-01-01-01-01")
    expect(player(page)).to_have_js_property("paused", True)
    click_table(page, 2, 20)
    expect(player(page)).to_have_attribute("aria-label", "Recording 03-01-01-01-01-01-03")
    expect(player(page)).to_have_js_property("paused", True)
    click_table(page, 4, 75)
    expect(player(page)).to_have_attribute("aria-label", "Recording 03-01-01-01-01-01-05")
    page.wait_for_function("document.querySelector('.st-key-player audio').currentTime > 0.2")
    expect(page.get_by_role("heading", level=2)).to_have_text("Labelled neutral 😐")
    # It stays chosen when a filter leaves it, in whatever row.
    page.get_by_role("button", name="Speaker").click()
    page.get_by_role("button", name="RAVDESS actor 05").click()
    left(page, 8)
    expect(player(page)).to_have_attribute("aria-label", "Recording 03-01-01-01-01-01-05")


def test_a_click_on_the_picture_plays_from_there(browser, toy_url):
    page = open_page(browser, toy_url)
    drawing = page.locator(".st-key-pictures .nsewdrag").first
    box = drawing.bounding_box()
    drawing.click(position={"x": box["width"] / 2, "y": 20})
    page.wait_for_function("document.querySelector('.st-key-player audio').currentTime > 0.55")


def test_mistakes_are_found(browser, toy_url):
    page = open_page(browser, toy_url)
    page.get_by_text("Find where the model is wrong").click()
    expect(page.get_by_text("Wrong for")).to_contain_text("of 64")
    expect(page.get_by_text("sure: wrong.")).to_be_visible()
    click_table(page, 1, 20)
    settle(page)
    expect(page.get_by_text("sure: wrong.")).to_be_visible()


def test_the_game_is_played_to_its_end(browser, toy_url):
    page = open_page(browser, toy_url)
    page.get_by_role("radio", name="Game").click()
    page.get_by_role("button", name="Play", exact=True).click()
    for number in range(1, 11):
        expect(page.get_by_text(f"Recording {number} of 10")).to_be_visible()
        page.get_by_role("radio", name="Angry").click()
        expect(page.get_by_text("You said angry")).to_be_visible()
        page.get_by_role("button", name="Next" if number < 10 else "See the result").click()
    expect(page.get_by_test_id("stMetric")).to_have_count(3)
    page.get_by_role("button", name="Play again").click()
    expect(page.get_by_text("Recording 1 of 10 · you 0, the model 0")).to_be_visible()


@pytest.mark.parametrize("size", SIZES)
def test_with_nothing_here_synthetic_voices_play(browser, empty_url, size):
    page = open_page(browser, empty_url, viewport=SIZES[size])
    expect(page.get_by_text("synthetic voices")).to_be_visible()
    click_table(page, 3, 75)
    expect(player(page)).to_have_attribute("aria-label", "Recording Low and slow")
    page.wait_for_function("document.querySelector('.st-key-player audio').currentTime > 0.2")
    expect(page.get_by_role("button", name="Accept CC BY-NC-SA 4.0, get song")).to_be_visible()


def test_all_views_stand_in_one_row_on_a_phone(browser, toy_url):
    page = open_page(browser, toy_url, viewport=SIZES["phone"])
    first, *_, last = page.locator(".st-key-explore-view").get_by_role("radio").all()
    assert first.bounding_box()["y"] == last.bounding_box()["y"]


@pytest.mark.parametrize("where", ["toy_url", "empty_url"])
def test_nothing_is_wider_than_the_page(browser, request, where):
    page = open_page(browser, request.getfixturevalue(where), viewport=SIZES["phone"])
    expect(page.locator(".st-key-pictures .main-svg").first).to_be_visible()
    for viewport in SIZES.values():
        page.set_viewport_size(viewport)
        settle(page)
        assert beyond_the_edge(page) == 0
