import io
import re

import pytest
import soundfile
from playwright.sync_api import expect

from tests.browser import serving
from tests.browser.serving import (
    ANSWER,
    PAGES,
    SAMPLES,
    open_page,
    try_sample,
    wait_for_answer,
)

pytestmark = pytest.mark.browser

PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 900}


def as_wav(sample) -> bytes:
    samples, rate = soundfile.read(SAMPLES / sample)
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format="WAV")
    return buffer.getvalue()


def luminance(colour):
    """WCAG's relative luminance of `rgb(…)`."""
    channels = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_recording_from_a_microphone_is_answered(playwright, url, tmp_path):
    microphone = tmp_path / "microphone.wav"
    microphone.write_bytes(as_wav("high-fast-loud.flac"))
    browser = serving.launch(playwright, microphone=microphone)
    page = open_page(browser, url, permissions=["microphone"])
    page.get_by_role("button", name="Record", exact=True).click()
    expect(page.get_by_test_id("stAudioInputWaveformTimeCode")).to_have_text(
        re.compile(r"0\d:(0[3-9]|[1-5]\d)")
    )
    page.get_by_role("button", name="Stop recording").click()
    wait_for_answer(page)
    expect(page.get_by_text("Your recording")).to_be_visible()
    expect(page.get_by_test_id("stAudio")).to_have_js_property("error", None)
    browser.close()


def test_a_page_is_called_and_laid_out_alike_wherever_one_comes_from(browser, url):
    page = open_page(browser, f"{url}/about", viewport=DESKTOP)
    main = page.get_by_test_id("stMainBlockContainer")
    expect(page).to_have_title("About · Undertone")
    direct = main.bounding_box()["width"]
    page.get_by_role("link", name="Models").click()
    expect(page).to_have_title("Models · Undertone")
    serving.settle(page)
    assert main.bounding_box()["width"] > direct
    page.get_by_role("link", name="About").click()
    expect(page).to_have_title("About · Undertone")
    serving.settle(page)
    assert main.bounding_box()["width"] == direct


def test_keyboard_alone_reaches_an_answer(browser, url):
    page = open_page(browser, url)
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.innerText") == "Low and slow":
            break
    page.keyboard.press("Enter")
    wait_for_answer(page)
    expect(page.get_by_text("“Low and slow”, a synthetic voice")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_answer_is_readable(browser, url, scheme, viewport):
    page = open_page(browser, url, color_scheme=scheme, viewport=viewport)
    try_sample(page, "Low and slow")
    ground = page.get_by_test_id("stApp").evaluate("app => getComputedStyle(app).backgroundColor")
    assert (luminance(ground) > 0.5) == (scheme == "light")
    texts = page.locator(".ytick text, .xtick text, .cbaxis text, .bartext")
    colours = set(texts.evaluate_all("all => all.map(text => getComputedStyle(text).fill)"))
    assert min(contrast(colour, ground) for colour in colours) >= 4.5
    for font in texts.evaluate_all("all => all.map(t => parseFloat(getComputedStyle(t).fontSize))"):
        assert font >= 12


def test_time_axes_line_up(browser, url):
    page = open_page(browser, url, viewport=PHONE)
    try_sample(page, "Low and slow")
    expect(page.get_by_role("heading", level=2)).to_have_text(ANSWER)
    for viewport in (PHONE, DESKTOP):
        page.set_viewport_size(viewport)
        serving.settle(page)
        areas = [area.bounding_box() for area in page.locator(".st-key-pictures .nsewdrag").all()]
        assert len(areas) == 2
        assert areas[0]["x"] == areas[1]["x"]
        assert areas[0]["width"] == areas[1]["width"]


@pytest.mark.parametrize("path", ["live", "explore", "about"])
def test_a_servers_first_visitor_may_go_straight_to_a_page(browser, path):
    with serving.server() as url:
        page = open_page(browser, f"{url}/{path}")
        expect(page.get_by_test_id("stTopNavLink")).to_have_count(len(PAGES))
        expect(page.get_by_test_id("stSidebarNav")).to_have_count(0)
        expect(page.get_by_role("heading", level=1)).not_to_have_text("How do you sound?")
