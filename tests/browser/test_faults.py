"""The server is killed while somebody uploads, and while somebody talks."""

import re

import numpy as np
import pytest
import soundfile
from playwright.sync_api import expect

from tests.browser import serving
from tests.browser.serving import go_live, open_page, settle, wait_for_answer
from tests.browser.test_recognize import long_talk, upload, wav
from tests.helpers import speech_like

pytestmark = pytest.mark.browser

LISTENING = re.compile("Listening")  # not: to start listening


class Server:
    """One that can be killed and comes back in the same place."""

    def __init__(self):
        self.port = serving.free_port()
        self.url = serving.address(self.port)
        self.process = serving.start(self.port)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def come_back(self):
        self.process = serving.start(self.port)


@pytest.fixture
def server(playwright):
    running = Server()
    yield running
    running.kill()


@pytest.fixture
def hour(tmp_path):
    """A file that takes long to upload and to hear."""
    soundfile.write(tmp_path / "hour.flac", np.tile(long_talk(), 120), 16_000)
    return tmp_path / "hour.flac"


def test_killed_during_an_upload_it_says_so_and_goes_on(browser, server, hour):
    page, sent = open_page(browser, server.url), []
    page.on("request", lambda request: sent.append(request) if request.method == "PUT" else None)
    slow = page.context.new_cdp_session(page)
    slow.send("Network.enable")
    limits = {"offline": False, "latency": 0, "downloadThroughput": -1}
    slow.send("Network.emulateNetworkConditions", limits | {"uploadThroughput": 100_000})
    uploader = page.get_by_test_id("stFileUploader")
    uploader.locator("input").set_input_files([hour])
    while not sent:
        page.wait_for_timeout(50)
    server.kill()
    server.come_back()
    slow.send("Network.emulateNetworkConditions", limits | {"uploadThroughput": -1})
    expect(uploader.get_by_text("Error")).to_be_visible()
    # What is given before the page has found the server again is refused with an error, too.
    connected = page.locator("[data-test-connection-state=CONNECTED]")
    expect(connected).to_be_visible()
    settle(page)
    upload(page, ("second.wav", wav(speech_like(3.0, seed=1))))
    wait_for_answer(page)
    expect(page.get_by_test_id("stText").first).to_have_text("second.wav")


def test_killed_while_it_hears_an_upload_it_says_so_and_goes_on(browser, server, hour):
    page = open_page(browser, server.url)
    page.get_by_test_id("stFileUploader").locator("input").set_input_files([hour])
    expect(page.get_by_text("Listening to hour.flac")).to_be_visible()
    server.kill()
    server.come_back()
    expect(page.get_by_text("started again in the meantime")).to_be_visible()
    settle(page)
    expect(page.get_by_role("heading", level=2)).to_have_count(0)
    upload(page, ("second.wav", wav(speech_like(3.0, seed=1))))
    wait_for_answer(page)
    expect(page.get_by_test_id("stText").first).to_have_text("second.wav")


def test_killed_while_it_listens_it_says_so_and_can_be_started_again(playwright, server, tmp_path):
    microphone = tmp_path / "talk.wav"
    soundfile.write(microphone, speech_like(4.0), 48_000)
    browser = serving.launch(playwright, microphone=microphone)
    try:
        page = browser.new_page()
        page.set_default_timeout(serving.PATIENCE)
        go_live(page, server.url)
        expect(page.get_by_text(LISTENING)).to_be_visible()
        server.kill()
        server.come_back()
        expect(page.get_by_text("started again in the meantime")).to_be_visible()
        page.get_by_role("button", name="Start listening").click()
        expect(page.get_by_text(LISTENING)).to_be_visible()
        expect(page.get_by_role("alert")).to_have_count(0)
    finally:
        browser.close()
