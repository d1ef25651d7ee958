import asyncio
import gc
import threading
import time
from collections import Counter
from contextlib import contextmanager

import aioice
import av
import numpy as np
import onnxruntime
import pytest
import streamlit as st
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaRelay
from streamlit_webrtc import WebRtcMode, WebRtcWorker

from pages.parts import microphone
from ser_core import live, locations, profile, recognizer, shelf
from tests.helpers import speech_like
from tests.pages.conftest import interrupted, wav

RATE = live.SAMPLE_RATE


class FakeStream:
    """A browser that says what it is told to say, and whose microphone hears what it is told."""

    told = "granted"
    sound = None
    microphones = {}
    running = 0

    def __init__(self, buffer, wanted):
        self.buffer, self.wanted = buffer, wanted
        FakeStream.running += 1

    def follow(self):
        if self.sound is not None:
            self.buffer.write(RATE, self.sound[:, None])
        return self.told

    def stop(self):
        self.buffer.close()
        FakeStream.running -= 1


@pytest.fixture
def browser(monkeypatch):
    monkeypatch.setattr(microphone, "Stream", FakeStream)
    monkeypatch.setattr(microphone, "was_left", lambda: False)
    monkeypatch.setattr(FakeStream, "running", 0)
    return lambda **fields: [monkeypatch.setattr(FakeStream, *item) for item in fields.items()]


@pytest.fixture
def page(unopened, browser):
    return unopened.switch_page("pages/live.py").run()


def press(page, label):
    button = next(button for button in page.button if button.label == label)
    button.click().run()
    assert not page.exception
    return page


def words(page):
    assert not page.exception
    texts = [*page.header, *page.markdown, *page.error, *page.caption]
    return " ".join(text.value for text in texts)


def test_first_view_is_one_button(page):
    assert [button.label for button in page.button] == ["Start listening"]
    assert "Talk" in words(page)
    assert not page.header


def test_another_microphone_is_chosen_and_kept(page, browser):
    browser(sound=speech_like(0.5))
    press(page, "Start listening")
    assert not page.selectbox, "no browser has named any"
    browser(microphones={"a": "Built-in"})
    assert not page.run().selectbox, "nor is one a choice"
    browser(microphones={"a": "Built-in", "b": "Headset"})
    (choice,) = page.run().selectbox
    assert (choice.options, choice.value) == (["Built-in", "Headset"], "a")
    first = page.session_state.stream
    choice.set_value("b").run()
    assert first.buffer.closed and page.session_state.stream.wanted == "b"
    assert FakeStream.running == 1
    press(page, "Stop")
    press(page, "Start again")
    assert page.session_state.stream.wanted == "b"
    press(page, "Pause")
    assert page.selectbox[0].disabled, "a pause is a pause"
    browser(told="busy")
    page.run()
    press(page, "Start again")
    assert page.session_state.stream.wanted is None, "another one may open"


@pytest.mark.parametrize(
    "told, said",
    [
        (None, "Asking for permission"),
        ("granted", "Connecting"),
        ("denied", "does not let this page use the microphone"),
        ("missing", "There is no microphone"),
        ("busy", "another program may be using it"),
        ("insecure", "HTTPS"),
        ("failed", "no connection"),
    ],
)
def test_before_there_is_sound(page, browser, told, said):
    browser(told=told)
    press(page, "Start listening")
    assert said in words(page)
    waiting = told in (None, "granted")
    assert ("Stop" in [button.label for button in page.button]) == waiting
    assert len(page.error) == (not waiting)
    assert FakeStream.running == waiting


@pytest.mark.parametrize("how", ["at once", "after ten seconds"])
def test_without_a_connection_there_is_the_recorder(page, browser, monkeypatch, how):
    if how == "at once":
        browser(told="failed")
    else:
        monkeypatch.setattr(live, "PATIENCE", -1)
    press(page, "Start listening")
    for reason in ("firewall", "TURN", "HTTPS"):
        assert reason in words(page)
    page.audio_input[0].upload("audio.wav", wav(speech_like())).run()
    assert not page.exception
    assert len(page.header) == 1
    page.audio_input[0].upload("audio.wav", b"no sound").run()
    assert any("Sorry" in error.value for error in page.error)


@pytest.mark.parametrize(
    "sound, said",
    [
        (speech_like(3.0), "Listening"),
        (1e-4 * np.random.default_rng(0).standard_normal(3 * RATE), "Silence"),
        (0.1 * np.random.default_rng(0).standard_normal(3 * RATE), "No speech"),
        (np.zeros(3 * RATE), "Muted"),
    ],
    ids=["speech", "silence", "noise", "muted"],
)
def test_what_is_heard_is_told(page, browser, sound, said):
    browser(sound=sound.astype(np.float32))
    press(page, "Start listening")
    assert said in words(page)
    assert len(page.header) == (said != "Muted")


def test_what_cannot_be_told_is_guessed_at(page, browser, monkeypatch):
    def level(before, now):
        return {label: (1 + (label == "calm") / 10) / len(now) for label in now}

    monkeypatch.setattr(live, "smooth", level)
    browser(sound=speech_like(3.0))
    press(page, "Start listening")
    assert page.header[0].value.startswith("I can't tell")
    assert "The closest would be calm" in words(page) and "sure" not in words(page)


def test_a_voice_that_is_known_is_allowed_for(page, browser, runs):
    browser(sound=speech_like(3.0))
    assert not page.toggle, "no voice is known"
    model = recognizer.Recognizer.from_name("deep").bundle
    far = np.random.default_rng(0).normal(0, 1, (4, len(model.space.kernel)))
    page.session_state.voice = profile.get_to_know(far, np.full((4, 8), 1 / 8), model)
    press(page.run(), "Start listening")
    (choice,) = page.toggle
    assert choice.label == "Allow for your voice" and choice.value
    known = page.session_state.listener.moments[-1].probabilities
    page.toggle[0].set_value(False)
    press(press(page, "Stop"), "Start again")
    assert page.session_state.listener.moments[-1].probabilities != known
    shelf.activate("swift")
    assert "this voice profile was made for “deep”" in words(page.run()).replace("\\", "")
    assert not page.toggle and not page.error


def test_no_signal(page, browser, monkeypatch):
    browser(sound=speech_like(3.0))
    press(page, "Start listening")
    browser(sound=None)
    monkeypatch.setattr(live, "_MISSING", -1)
    assert "No signal" in words(page.run())


def test_pause_and_go_on(page, browser):
    browser(sound=speech_like(1.0))
    press(page, "Start listening")
    press(page, "Pause")
    assert "Paused" in words(page)
    seconds = page.session_state.listener.buffer.seconds
    press(page, "Go on")
    assert "Listening" in words(page)
    assert page.session_state.listener.buffer.seconds == seconds + 1


@pytest.mark.parametrize("zone", [None, "Europe/Lisbon", "Etc/Unknown", "../etc"])
def test_keep_this_moment(page, browser, monkeypatch, zone):
    monkeypatch.setattr(type(st.context), "timezone", zone)
    browser(sound=speech_like(12.0))
    press(page, "Start listening")
    press(page, "Keep this moment")
    assert [toast.value for toast in page.toast] == ["Kept, for this visit, on the Recognize page."]
    (entry,) = page.session_state.history.values()
    assert entry.title.startswith("Live, ")
    assert entry.prediction.quality.duration == 10


def test_stop_sums_up_and_forgets_the_sound(page, browser):
    browser(sound=speech_like(3.0))
    press(page, "Start listening")
    page.run()
    press(page, "Stop")
    assert "What was heard" in words(page)
    assert "of speech in" in words(page)
    assert [button.label for button in page.get("download_button")] == ["CSV", "JSON"]
    assert page.session_state.listener.buffer.closed
    assert FakeStream.running == 0
    press(page, "Start again")
    assert "What was heard" not in words(page)
    assert len(page.session_state.listener.moments) == 1


def test_a_click_while_it_listens_loses_no_moment(page, browser, monkeypatch):
    browser(sound=speech_like(3.0))
    press(page, "Start listening")
    with interrupted(monkeypatch, recognizer.Recognizer, "predict"):
        press(page, "Keep this moment")
    assert len(page.session_state.history) == 1


def test_the_model_that_listened_is_summed_up_by(page, browser, runs):
    browser(sound=speech_like(3.0))
    press(page, "Start listening")
    press(page, "Stop")
    before = words(page)
    shelf.activate("swift")
    assert words(page.run()) == before and "“deep”" in before
    press(page, "Start again")
    assert "“swift”" in words(page)


def test_after_an_hour_the_last_hour_is_summed_up(page, browser, monkeypatch):
    monkeypatch.setattr(live, "_MOST_MOMENTS", 2)
    browser(sound=speech_like(3.0))
    press(page, "Start listening")
    for _ in range(3):
        page.run()
    press(page, "Stop")
    assert "of speech in the last 0:06" in words(page)


@pytest.mark.parametrize(
    "told", [{"word": "granted"}, {"word": "failed"}, {"word": "denied"}, None]
)
def test_a_server_that_was_started_again_says_so(page, browser, monkeypatch, told):
    assert not page.info
    with monkeypatch.context() as patched:
        patched.setattr(microphone, "_component", lambda **_: {"told": told})
        page.run()
    lost = bool(told) and told["word"] != "denied"
    assert ["started again in the meantime" in info.value for info in page.info] == [True] * lost
    press(page, "Start listening")
    press(page, "Stop")
    assert not page.info


def test_stop_before_anything_was_heard(page, browser):
    browser(told=None)
    press(page, "Start listening")
    press(page, "Stop")
    assert [button.label for button in page.button] == ["Start again"]
    assert not page.header


def test_a_lost_connection_still_sums_up(page, browser):
    browser(sound=speech_like(3.0))
    press(page, "Start listening")
    browser(told="failed")
    page.run()
    assert "connection was lost" in words(page)
    assert "What was heard" in words(page)
    assert not page.audio_input


def test_leaving_the_page_ends_it(page, browser, monkeypatch):
    browser(sound=speech_like(3.0))
    press(page, "Start listening")
    page.switch_page("pages/about.py").run()
    monkeypatch.setattr(microphone, "was_left", lambda: True)
    page.switch_page("pages/live.py").run()
    assert "What was heard" in words(page)
    assert FakeStream.running == 0
    assert page.session_state.listener.buffer.closed


def test_a_missing_model_is_a_sentence(unopened, browser, tmp_path, monkeypatch):
    monkeypatch.setattr(locations, "MODELS", tmp_path)
    app = unopened.switch_page("pages/live.py").run()
    assert not app.exception
    assert len(app.error) == 1
    assert not app.button


@pytest.mark.parametrize(
    "environment, servers",
    [
        ({}, []),
        ({"UNDERTONE_TURN_USERNAME": "me"}, []),
        (
            {"UNDERTONE_TURN_URL": "turn:turn.example.org"},
            [{"urls": "turn:turn.example.org", "username": "", "credential": ""}],
        ),
        (
            {
                "UNDERTONE_TURN_URL": "turn:turn.example.org",
                "UNDERTONE_TURN_USERNAME": "me",
                "UNDERTONE_TURN_PASSWORD": "secret",
            },
            [{"urls": "turn:turn.example.org", "username": "me", "credential": "secret"}],
        ),
    ],
)
def test_no_server_is_asked_unless_it_is_named(environment, servers):
    assert microphone.ice_servers(environment) == servers


class Tone(MediaStreamTrack):
    """A microphone that hears a tone, 20 ms at a time."""

    kind = "audio"

    def __init__(self, layout="stereo", format="s16", realtime=True):
        super().__init__()
        self.layout, self.format, self.realtime, self.sent = layout, format, realtime, 0

    async def recv(self):
        if self.realtime:
            await asyncio.sleep(0.02)
        elif self.sent >= 48_000:
            self.stop()
            raise asyncio.CancelledError
        tone = 0.5 * np.sin(2 * np.pi * 440 * (self.sent + np.arange(960)) / 48_000)
        kind = np.int16 if self.format.startswith("s16") else np.float32
        channels = av.AudioLayout(self.layout).nb_channels
        samples = np.repeat((tone * (32_767 if kind is np.int16 else 1)).astype(kind), channels)
        planar = samples.reshape(-1, channels).T.copy()
        shaped = planar if self.format.endswith("p") else samples[None]
        frame = av.AudioFrame.from_ndarray(shaped, format=self.format, layout=self.layout)
        frame.sample_rate, frame.pts = 48_000, self.sent
        self.sent += 960
        return frame


@pytest.mark.parametrize("layout, format", [("mono", "s16"), ("stereo", "s16"), ("stereo", "fltp")])
def test_the_sink_fills_the_buffer(layout, format, loop):
    buffer = live.Buffer()

    async def run():
        sink = microphone.Sink(buffer)
        sink.addTrack(Tone(layout, format, realtime=False))
        sink.start()
        await asyncio.wait([sink._task])
        assert buffer.seconds == pytest.approx(1, abs=0.05)
        assert live.level(buffer.read(0.5)[0]) == pytest.approx(-9, abs=0.3)
        sink.stop()
        assert buffer.closed

    asyncio.run_coroutine_threadsafe(run(), loop).result()


@pytest.fixture
def loop():
    """An event loop at work in a thread of its own, as Streamlit has one."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def census(loop):
    """What lives in this process: threads, but for the loop's own pool; its tasks; buffers."""
    gc.collect()
    names = {thread.name for thread in threading.enumerate()}
    return (
        {name for name in names if not name.startswith("asyncio_")},
        {task.get_coro().__qualname__ for task in asyncio.all_tasks(loop)},
        [thing for thing in gc.get_objects() if type(thing) is live.Buffer],
    )


@contextmanager
def connected(loop):
    """A buffer that a tone is heard in, through a real connection, which is closed afterwards."""
    nobody = RTCConfiguration(iceServers=[])

    def wait(coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result()

    async def relay():
        return MediaRelay()

    async def offer():
        peer = RTCPeerConnection(nobody)
        peer.addTransceiver(Tone(), direction="sendonly")
        await peer.setLocalDescription(await peer.createOffer())
        return peer

    buffer = live.Buffer()
    peer = wait(offer())
    worker = WebRtcWorker(
        mode=WebRtcMode.SENDONLY,
        rtc_configuration=nobody,
        sink_audio_track=microphone.Sink(buffer),
        **microphone._UNUSED,
        loop=loop,
        relay=wait(relay()),
    )
    try:
        answer = worker.process_offer(peer.localDescription.sdp, "offer")
        wait(peer.setRemoteDescription(RTCSessionDescription(answer.sdp, answer.type)))
        while buffer.seconds < 1:
            assert not buffer.closed
            time.sleep(0.05)
        yield buffer
    finally:
        worker.stop()
        wait(peer.close())


def test_sound_goes_through_a_real_connection_and_leaves_nothing_behind(loop):
    before = census(loop)
    with connected(loop) as buffer:
        heard = buffer.read(0.5)[0]
        spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
        assert spectrum.argmax() * RATE / len(heard) == pytest.approx(440, abs=3)
    assert buffer.closed
    del buffer
    while census(loop) != before:
        time.sleep(0.05)


@pytest.mark.parametrize("kinds", [("audio", "video"), ("video",), ("audio", "audio"), ()])
def test_nothing_but_one_microphone_is_taken(loop, monkeypatch, caplog, kinds):
    """Pictures would be decoded in the server's process, for whoever makes up an offer of some."""

    async def offered():
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        peer.createDataChannel("whatever")
        for kind in kinds:
            peer.addTransceiver(kind, direction="sendonly")
        await peer.setLocalDescription(await peer.createOffer())
        return peer

    peer = asyncio.run_coroutine_threadsafe(offered(), loop).result()
    monkeypatch.setattr(microphone, "WebRtcWorker", None)
    stream = microphone.Stream(live.Buffer())
    stream._answer(peer.localDescription.sdp)
    assert stream._buffer.closed and "something else than a microphone" in caplog.text
    asyncio.run_coroutine_threadsafe(peer.close(), loop).result()


def test_a_connection_outlives_answers_that_come_late(loop, monkeypatch):
    """Of questions whether the browser is still there, as a server reads them that is busy."""
    asked = Counter()
    ask = aioice.ice.StunProtocol.request

    async def late(protocol, *arguments, retransmissions=None, **others):
        answer = await ask(protocol, *arguments, retransmissions=retransmissions, **others)
        if retransmissions != 0:  # a connection is being made
            return answer
        asked[protocol] += 1
        if asked[protocol] <= 30:
            raise aioice.stun.TransactionTimeout
        return answer

    monkeypatch.setattr(aioice.ice, "CONSENT_INTERVAL", 0.01)
    monkeypatch.setattr(aioice.ice.StunProtocol, "request", late)
    with connected(loop) as buffer:
        while not asked or min(asked.values()) < 40:
            assert not buffer.closed
            time.sleep(0.05)
        seconds = buffer.seconds
        while buffer.seconds == seconds:
            assert not buffer.closed
            time.sleep(0.05)


def test_an_error_of_the_model_is_a_sentence_and_listening_goes_on(page, browser, monkeypatch):
    def fail(*_):
        raise RuntimeError("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION :\n no memory")

    browser(sound=speech_like(3.0))
    press(page, "Start listening")
    assert not page.error
    with monkeypatch.context() as patched:
        patched.setattr(onnxruntime.InferenceSession, "run", fail)
        page.run()
        assert "Sorry: the detector of voices failed" in words(page)
        press(page, "Keep this moment")
        assert "Sorry: the detector of voices failed" in page.toast[0].value
    page.run()
    assert not page.error and "sure" in words(page)
