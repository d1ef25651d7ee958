import csv
import io
import json
import re
import time
import urllib.request
from urllib.parse import urlsplit

import numpy as np
import pytest
import soundfile
from playwright.sync_api import expect

from ser_core import audio
from ser_core.emotions import EMOTIONS
from tests.browser import serving
from tests.browser.serving import ANSWER, SAMPLES, beyond_the_edge, go_live, open_page
from tests.browser.test_app import DESKTOP, PHONE, contrast

pytestmark = pytest.mark.browser

RATE = audio.SAMPLE_RATE
SILENCE = 1e-4 * np.random.default_rng(0).standard_normal(4 * RATE).astype(np.float32)
TONE = 0.3 * np.sin(2 * np.pi * 440 * np.arange(4 * RATE) / RATE).astype(np.float32)


# Sound gets through by way of a TURN server alone, as behind some firewalls.
WALLED = """
    const Real = RTCPeerConnection
    window.RTCPeerConnection = function (given) {
        return new Real({ ...given, iceTransportPolicy: "relay" })
    }
"""

# Notes which microphones the page listens to.
OVERHEARD = """
    const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices)
    window.heard = []
    navigator.mediaDevices.getUserMedia = async (wanted) => {
        const stream = await real(wanted)
        heard.push(stream.getAudioTracks()[0].label)
        return stream
    }
"""


def speech():
    """Four seconds in which somebody talks without a pause."""
    samples = audio.read(SAMPLES / "low-and-slow.flac").samples
    return np.resize(samples, 4 * RATE)


@pytest.fixture
def listening(playwright, tmp_path):
    """Opens the page in a browser of its own that hears the given samples."""
    browsers = []

    def start(url, samples, *, look=None, script="", **options):
        file = tmp_path / f"microphone-{len(browsers)}.wav"
        soundfile.write(file, samples, RATE)
        browser = serving.launch(playwright, microphone=file, **options)
        browsers.append(browser)
        page = open_page(browser, url, **(look or {}))
        page.add_init_script(script)
        go_live(page, url)
        return page

    yield start
    for browser in browsers:
        browser.close()


def state(page, text):
    # Case counts: the level meter says "silence", the state "Silence".
    expect(page.get_by_test_id("stMain")).to_contain_text(text)


def test_speech_is_heard_paused_kept_summed_up_and_taken_away(listening, url):
    page = listening(url, speech())
    state(page, "Listening")
    expect(page.get_by_role("heading", level=2)).to_have_text(ANSWER)
    expect(page.get_by_role("meter")).not_to_have_attribute("aria-valuetext", "silence")
    expect(page.get_by_role("img", name="Waveform")).to_be_visible()
    expect(page.get_by_role("img", name="Mel spectrogram")).to_be_visible()
    expect(page.get_by_role("img", name="Emotions over the last two minutes")).to_be_visible()

    page.get_by_role("button", name="Pause").click()
    state(page, "Paused")
    page.get_by_role("button", name="Go on").click()
    state(page, "Listening")

    page.get_by_role("button", name="Keep this moment").click()
    expect(page.get_by_text("Kept, for this visit")).to_be_visible()

    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("heading", name="What was heard")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text("utf-8"))))
    assert rows and float(rows[0]["start"]) < float(rows[-1]["end"])
    assert set(EMOTIONS) <= set(rows[0])
    with page.expect_download() as download:
        page.get_by_role("button", name="JSON").click()
    assert json.loads(download.value.path().read_text("utf-8"))["segments"]


def test_another_microphone_is_listened_to(listening, url):
    page = listening(url, speech(), script=OVERHEARD)
    expect(page.get_by_role("heading", level=2)).to_have_text(ANSWER)
    page.get_by_role("combobox", name="Microphone").click()
    other = "Fake Audio Input 2"  # the second of Chromium's own
    page.get_by_role("option", name=other).click()
    page.wait_for_function("other => heard.at(-1) === other", arg=other)
    state(page, "Listening")


@pytest.mark.parametrize(
    "samples, said",
    [(SILENCE, "Silence"), (TONE, "No speech"), (np.zeros(4 * RATE), "Muted")],
    ids=["silence", "tone", "muted"],
)
def test_what_is_no_speech_gets_no_emotion(listening, url, samples, said):
    page = listening(url, samples)
    state(page, said)
    expect(page.get_by_role("heading", level=2).filter(has_text=ANSWER)).to_have_count(0)


def test_denied_permission_is_told(listening, url):
    page = listening(url, speech(), grant=False)
    expect(page.get_by_role("alert")).to_contain_text("Denied")
    expect(page.get_by_role("button", name="Start again")).to_be_visible()


def test_a_missing_microphone_is_told(browser, url):
    page = open_page(browser, url, permissions=["microphone"])
    go_live(page, url)
    expect(page.get_by_role("alert")).to_contain_text("There is no microphone")


def test_without_a_connection_there_is_the_recorder(listening, url):
    page = listening(url, speech(), script=WALLED)  # and there is no TURN server
    state(page, "Connecting")
    expect(page.get_by_role("alert")).to_contain_text("no connection")
    for reason in ("firewall", "TURN", "HTTPS"):
        expect(page.get_by_role("listitem").filter(has_text=reason)).to_be_visible()
    page.get_by_role("button", name="Record", exact=True).click()
    expect(page.get_by_test_id("stAudioInputWaveformTimeCode")).to_have_text(
        re.compile(r"0\d:(0[3-9]|[1-5]\d)")
    )
    page.get_by_role("button", name="Stop recording").click()
    expect(page.get_by_role("heading", level=2)).to_have_text(ANSWER)


def test_two_listeners_do_not_hear_each_other(listening, url):
    talker, silent = listening(url, speech()), listening(url, SILENCE)
    state(talker, "Listening")
    expect(silent.get_by_role("heading", level=2)).to_contain_text("Silence")
    expect(talker.get_by_role("heading", level=2)).to_have_text(ANSWER)
    # Both have gone on for a while, side by side.
    for page in (talker, silent):
        seen = page.get_by_role("img", name="Waveform").get_attribute("aria-label")
        expect(page.get_by_role("img", name="Waveform")).not_to_have_attribute("aria-label", seen)
    expect(silent.get_by_role("heading", level=2)).to_contain_text("Silence")
    expect(silent.get_by_role("meter")).to_have_attribute("aria-valuetext", "silence")
    # And nothing of the one was ever drawn for the other.
    probabilities = silent.locator(".now .said").all_text_contents()
    assert set(probabilities) == {"–"}
    roll = silent.get_by_role("img", name="Emotions over the last two minutes")
    expect(roll).to_have_accessible_name(re.compile("none"))


def _more(found, expected):
    """Say whether there is more of anything than is expected."""
    if isinstance(found, int):
        return found > expected
    return any(count > expected.get(name, 0) for name, count in found.items())


def test_nothing_is_left_behind(listening):
    port = serving.free_port()

    def census():
        with urllib.request.urlopen(f"http://127.0.0.1:{port}") as answer:
            return json.load(answer)

    def steady():
        # Threads that are just ending are no part of what stays.
        latest = [census()]
        while len(latest) < 7 or any(found != latest[0] for found in latest[-7:]):
            time.sleep(0.5)
            latest = [*latest[-6:], census()]
        return latest[0]

    def settles_to(expected):
        while any(
            _more(census()[kind], expected[kind]) for kind in ("threads", "tasks", "samples")
        ):
            time.sleep(0.5)

    with serving.server(module="tests.browser.census", CENSUS_PORT=str(port)) as url:
        # The first visit makes what stays: pools, the model, the relay.
        page = listening(url, speech())
        expect(page.get_by_role("heading", level=2)).to_have_text(ANSWER)
        page.get_by_role("button", name="Stop").click()
        expect(page.get_by_role("heading", name="What was heard")).to_be_visible()
        while census()["samples"] or census()["tasks"]:
            time.sleep(0.5)
        nobody = steady()

        page.get_by_role("button", name="Start again").click()
        expect(page.get_by_role("heading", level=2)).to_have_text(ANSWER)
        assert census()["samples"] > 0
        assert census()["tasks"]
        page.get_by_role("link", name="About").click()  # leaves the page …
        settles_to(nobody)
        page.get_by_role("link", name="Live", exact=True).click()  # … comes back …
        expect(page.get_by_role("heading", name="What was heard")).to_be_visible()
        page.get_by_role("button", name="Start again").click()
        expect(page.get_by_role("heading", level=2)).to_have_text(ANSWER)
        assert census()["samples"] > 0
        page.close()  # … and closes the tab
        settles_to(nobody)


def test_nothing_leaves_this_computer_and_nothing_fails(listening, url):
    asked, failed = [], []
    page = listening(url, speech()).context.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda said: failed.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: failed.append(str(error)))
    page.set_default_timeout(serving.PATIENCE)
    page.goto(url)
    serving.settle(page)
    page.get_by_role("link", name="Live", exact=True).click()
    page.get_by_role("button", name="Start listening").click()
    expect(page.get_by_role("heading", level=2)).to_have_text(ANSWER)
    hosts = {urlsplit(address).hostname for address in asked if not address.startswith("data:")}
    assert hosts - {None} == {"127.0.0.1"}
    assert failed == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_page_is_readable(listening, url, scheme, viewport):
    page = listening(url, speech(), look={"color_scheme": scheme, "viewport": viewport})
    expect(page.get_by_role("heading", level=2)).to_have_text(ANSWER)
    assert beyond_the_edge(page) == 0
    ground = page.get_by_test_id("stApp").evaluate("app => getComputedStyle(app).backgroundColor")
    texts = page.locator(".view span, .view .name, .view h4")
    styles = texts.evaluate_all(
        """all => all.map(it => getComputedStyle(it))
            .map(style => [style.color, parseFloat(style.fontSize)])"""
    )
    assert min(contrast(colour, ground) for colour, _ in styles) >= 4.5
    assert min(size for _, size in styles) >= 12
    cut = texts.evaluate_all(
        """all => all.filter(it => {
            const box = it.getBoundingClientRect()
            return box.left < 0 || box.right > innerWidth || it.scrollWidth > it.clientWidth + 1
                && getComputedStyle(it).display !== "inline"
        }).map(it => it.textContent)"""
    )
    assert cut == []


def test_keyboard_alone_starts_and_stops(listening, playwright, url, tmp_path):
    file = tmp_path / "speech.wav"
    soundfile.write(file, speech(), RATE)
    browser = serving.launch(playwright, microphone=file)
    page = open_page(browser, url)
    page.get_by_role("link", name="Live", exact=True).click()
    for name in ("Start listening", "Stop"):
        expect(page.get_by_role("button", name=name)).to_be_visible()
        while page.evaluate("document.activeElement.innerText.split('\\n').pop()") != name:
            page.keyboard.press("Tab")
        page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Start again")).to_be_visible()
    browser.close()
