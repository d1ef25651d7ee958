"""What only a real browser shows: files of every kind, the playhead, zoom, and an hour of sound."""

import io
import json
from fractions import Fraction

import av
import numpy as np
import pytest
import soundfile
from playwright.sync_api import expect

from ser_core import shelf
from tests.browser.serving import ANSWER, open_page, server, settle, try_sample, wait_for_answer
from tests.helpers import speech_like

pytestmark = pytest.mark.browser

CODECS = {"webm": "libopus", "mp3": "libmp3lame", "m4a": "aac", "mp4": "aac"}


def wav(samples) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, 16_000, format="WAV")
    return buffer.getvalue()


def encoded(ending, samples) -> bytes:
    """The samples as a phone or a browser would store them; an .mp4 has a picture, too."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format={"m4a": "mp4"}.get(ending, ending)) as container:
        sound = container.add_stream(CODECS[ending], rate=48_000)
        if ending == "mp4":
            picture = container.add_stream("mpeg4", rate=10)
            picture.width = picture.height = 64
            for index in range(10):
                image = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8))
                image.pts, image.time_base = index, Fraction(1, 10)
                container.mux(picture.encode(image))
            container.mux(picture.encode())
        frame = av.AudioFrame.from_ndarray(
            (32_767 * np.repeat(samples, 3)).astype(np.int16)[None], format="s16", layout="mono"
        )
        frame.rate = 48_000
        resampler = av.AudioResampler(sound.format, sound.layout, 48_000)
        for piece in [*resampler.resample(frame), *resampler.resample(None), None]:
            container.mux(sound.encode(piece))
    return buffer.getvalue()


def uploader(page):
    return page.get_by_test_id("stFileUploader").locator("input")


def upload(page, *files):
    uploader(page).set_input_files(
        [{"name": name, "mimeType": "", "buffer": content} for name, content in files]
    )


def long_talk():
    """Two voices and a pause, 30 s."""
    pause = 1e-4 * np.random.default_rng(0).standard_normal(6 * 16_000)
    return np.concatenate([speech_like(12.0), pause, speech_like(12.0, 260.0)])


def shown(page):
    return page.get_by_test_id("stText").first


def player(page):
    return page.locator(".st-key-player audio")


def playhead(page, chart):
    """Where the line is, in seconds as the chart's axis tells them."""
    return page.locator(f".st-key-{chart} .js-plotly-plot").evaluate(
        """chart => {
            const line = chart.querySelector(".playhead"), axis = chart._fullLayout.xaxis
            return line.hidden ? null : axis.p2l(parseFloat(line.style.left) - axis._offset)
        }"""
    )


def time_range(page):
    return page.locator(".st-key-pictures .js-plotly-plot").evaluate(
        "chart => chart._fullLayout.xaxis.range"
    )


@pytest.mark.parametrize("ending", CODECS)
def test_what_phones_and_browsers_record_is_answered(browser, url, ending):
    page = open_page(browser, url)
    upload(page, (f"voice.{ending}", encoded(ending, speech_like(3.0))))
    wait_for_answer(page)
    expect(shown(page)).to_have_text(f"voice.{ending}")
    expect(player(page)).to_have_js_property("error", None)
    assert 2.9 < player(page).evaluate("audio => audio.duration") < 3.2


def test_ten_files_give_nine_answers_and_a_sentence(browser, url):
    page = open_page(browser, url)
    files = [(f"{i}.wav", wav(speech_like(seed=i))) for i in range(9)]
    upload(page, *files, ("notes.wav", b"only text"))
    expect(page.get_by_role("alert")).to_contain_text("Sorry, “notes.wav”: no sound can be decoded")
    expect(page.get_by_role("button", name="Open")).to_have_count(9)
    page.get_by_role("button", name="Open").last.click()
    expect(shown(page)).to_have_text("0.wav")
    with page.expect_download() as download:
        page.get_by_role("button", name="JSON").last.click()
    documents = json.loads(download.value.path().read_text())
    assert [item["file"] for item in documents] == [f"{i}.wav" for i in reversed(range(9))]
    page.get_by_role("button", name="Clear").click()
    expect(page.get_by_role("heading", level=2)).to_have_count(0)
    expect(page.get_by_text("0.wav")).to_have_count(0)


def test_the_playhead_follows_the_player_and_clicks_move_it(browser, url):
    page = open_page(browser, url)
    try_sample(page, "Low and slow")
    assert playhead(page, "pictures") is None
    player(page).evaluate("audio => { audio.currentTime = 1.0 }")
    page.wait_for_function("document.querySelector('.playhead:not([hidden])')")
    assert playhead(page, "pictures") == pytest.approx(1.0, abs=0.02)
    drawing = page.locator(".st-key-pictures .nsewdrag").first
    box = drawing.bounding_box()
    drawing.click(position={"x": box["width"] / 2, "y": 20})
    expect(player(page)).to_have_js_property("paused", False)
    duration = player(page).evaluate("audio => audio.duration")
    assert player(page).evaluate("audio => audio.currentTime") >= duration / 2 - 0.05
    player(page).evaluate("audio => audio.pause()")


def test_pictures_are_zoomed_by_buttons_and_the_playhead_with_them(browser, url):
    page = open_page(browser, url)
    try_sample(page, "Low and slow")
    start, end = time_range(page)
    page.locator(".st-key-pictures .modebar-btn[data-title='Zoom in']").click()
    page.wait_for_function(
        "end => document.querySelector('.st-key-pictures .js-plotly-plot')"
        "._fullLayout.xaxis.range[1] < end",
        arg=end,
    )
    near, far = time_range(page)
    assert start < near < far < end
    middle = (near + far) / 2
    player(page).evaluate("(audio, time) => { audio.currentTime = time }", middle)
    page.wait_for_function("document.querySelector('.playhead:not([hidden])')")
    assert playhead(page, "pictures") == pytest.approx(middle, abs=0.02)
    page.locator(".st-key-pictures .modebar-btn[data-title='Reset axes']").click()
    page.wait_for_function(
        "end => document.querySelector('.st-key-pictures .js-plotly-plot')"
        "._fullLayout.xaxis.range[1] == end",
        arg=end,
    )


def test_overlays_come_and_go(browser, url):
    page = open_page(browser, url)
    try_sample(page, "High, fast, loud")
    for overlay in ("What it attended to", "What the answer hung on"):
        page.get_by_role("button", name=overlay).click()
    expect(page.get_by_text("Orange: how much each moment counted")).to_be_visible()
    expect(page.get_by_text("Cyan: where hiding a patch")).to_be_visible()
    expect(page.locator(".st-key-pictures .hm image")).to_have_count(2)
    page.get_by_role("button", name="What the answer hung on").click()
    expect(page.locator(".st-key-pictures .hm image")).to_have_count(1)


def test_a_stretch_of_a_long_recording_plays_and_stops(browser, url):
    page = open_page(browser, url)
    upload(page, ("talk.wav", wav(long_talk())))
    wait_for_answer(page)
    stretches = page.locator("li button")
    assert stretches.count() >= 2
    assert "–0:30 " in stretches.last.inner_text()
    stretches.last.focus()
    page.keyboard.press("Enter")
    expect(player(page)).to_have_js_property("paused", False)
    assert player(page).evaluate("audio => audio.currentTime") > 12
    expect(stretches.last).to_have_attribute("aria-current", "")
    assert playhead(page, "timeline") > 12
    # At the end of a stretch it falls silent.
    first = stretches.first
    first.click()
    player(page).evaluate("audio => { audio.playbackRate = 8 }")
    expect(player(page)).to_have_js_property("paused", True)
    assert player(page).evaluate("audio => audio.currentTime") < 18
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").first.click()
    assert download.value.path().read_text().startswith("start,end,label,neutral")


@pytest.fixture
def hour(tmp_path):
    path = tmp_path / "hour.flac"
    soundfile.write(path, np.tile(long_talk(), 120), 16_000)
    return path


@pytest.fixture
def quick(playwright, tmp_path, monkeypatch):
    """The address of an app where `swift` is in use, which hears an hour in seconds."""
    monkeypatch.setenv("SER_RUNS_DIR", str(tmp_path / "runs"))
    shelf.activate("swift")
    with server() as address:
        yield address


def test_an_hour_can_be_cancelled(browser, url, hour):
    page = open_page(browser, url)
    for file in (hour, hour.with_stem("again")):
        uploader(page).set_input_files([hour.rename(file)])
        expect(page.get_by_role("progressbar")).to_be_visible()
        page.get_by_role("button", name="Cancel", exact=True).click()
        expect(page.get_by_role("progressbar")).to_have_count(0)
        settle(page)
        expect(page.get_by_role("heading", level=2)).to_have_count(0)
    upload(page, ("talk.wav", wav(long_talk())))
    wait_for_answer(page)
    expect(page.get_by_role("heading", level=2)).to_have_text(ANSWER)


def test_an_hour_is_heard(browser, quick, hour):
    page = open_page(browser, quick)
    uploader(page).set_input_files([hour])
    expect(page.get_by_role("progressbar")).to_be_visible()
    wait_for_answer(page)
    expect(page.get_by_role("heading", level=2)).to_have_text(ANSWER)
    player(page).evaluate("audio => { audio.currentTime = 2400 }")
    page.wait_for_function("document.querySelector('.st-key-timeline .playhead:not([hidden])')")
    assert playhead(page, "timeline") == pytest.approx(2400, abs=10)
    assert playhead(page, "pictures") == pytest.approx(2400, abs=10)
