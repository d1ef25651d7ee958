"""Live: speak, and see the emotion in your voice change."""

import os
import time
from datetime import datetime
from zoneinfo import ZoneInfo

import streamlit as st

from pages.parts import live_view, microphone, voice
from pages.parts.answer import closest, in_words, named, sure
from pages.parts.downloads import downloads
from pages.parts.entrance import through_app
from pages.parts.hearing import history, plain, recognizer, sorry
from ser_core import audio, live, log, plots_over_time, timeline
from ser_core.errors import UndertoneError
from ser_core.history import remember
from ser_core.live import Sound, State
from ser_core.recognizer import UNCLEAR

through_app()

# What a state means to the visitor: an icon, and what is the matter or what to do.
WORDS = {
    State.ASKING: (
        ":material/front_hand:",
        "Asking for permission – your browser wants to know whether this page may hear you. "
        "Choose “Allow”.",
    ),
    State.CONNECTING: (":material/sync:", "Connecting …"),
    State.LISTENING: (":material/mic:", "Listening"),
    State.PAUSED: (":material/pause:", "Paused – what you say now is not heard."),
    State.MUTED: (
        ":material/mic_off:",
        "Muted – the microphone sends no sound at all. Unmute it, on the device or in the "
        "computer's settings.",
    ),
    State.NO_SIGNAL: (
        ":material/signal_disconnected:",
        "No signal – nothing has arrived for a while. Wait a moment, or stop and start again.",
    ),
    State.DENIED: (
        ":material/block:",
        "Denied – the browser does not let this page use the microphone. Click the symbol beside "
        "the address, allow the microphone, and start again.",
    ),
    State.MISSING: (
        ":material/mic_off:",
        "There is no microphone. Plug one in, or switch it on, and start again.",
    ),
    State.BUSY: (
        ":material/mic_off:",
        "The microphone does not open; another program may be using it. Close that, and start "
        "again.",
    ),
    State.INSECURE: (
        ":material/lock_open:",
        "Browsers give the microphone only to pages opened over HTTPS, or on this very computer. "
        "Open this page that way, and start again.",
    ),
    State.FAILED: (":material/cloud_off:", "Failed – no connection for live sound came about."),
    State.LOST: (":material/cloud_off:", "The connection was lost. Start again to go on."),
}
WHY_FAILED = """
It may be that

- a firewall, here or where Undertone runs, lets no live sound (UDP) through;
- the page is reached through a network that needs a TURN server. Whoever runs Undertone names one
  in `UNDERTONE_TURN_URL`, `UNDERTONE_TURN_USERNAME` and `UNDERTONE_TURN_PASSWORD`;
- the page was not opened over HTTPS, or by way of a proxy that lets only web pages through.
"""
HEARD = {
    Sound.SILENCE: ("Silence 🤫", "Say something."),
    Sound.NOISE: ("No speech 👂", "There is sound, but it does not seem to be somebody talking."),
    Sound.BRIEF: ("… 👂", "Go on: half a second of speech is needed."),
}
TROUBLE = {State.DENIED, State.MISSING, State.BUSY, State.INSECURE, State.FAILED, State.LOST}


def start():
    """Begin anew."""
    st.session_state.listener = live.Listener()
    wanted = st.session_state.get("live-microphone")
    st.session_state.stream = microphone.Stream(st.session_state.listener.buffer, wanted)


def stop(state=State.STOPPED):
    """End it."""
    st.session_state.listener.end(state)
    st.session_state.stream.stop()
    if state in TROUBLE:  # it may be the chosen microphone's
        st.session_state.pop("live-microphone", None)


def change():
    """Begin anew with another microphone."""
    stop()
    start()


def pause():
    """Stop hearing, or hear again."""
    buffer = st.session_state.listener.buffer
    buffer.paused = not buffer.paused


def _zone() -> ZoneInfo | None:
    """Return where the visitor is; None, for the server's, if their browser does not say."""
    try:
        return ZoneInfo(st.context.timezone)
    except (KeyError, ValueError, TypeError):  # it says something else, or nothing
        return None


def keep():
    """Put the last ten seconds beside the recordings of the Recognize page."""
    samples, _ = st.session_state.listener.buffer.read()
    if not len(samples):
        return
    clip = audio.Clip(samples, audio.SAMPLE_RATE, f"Live, {datetime.now(_zone()):%H:%M}")
    entries = history()
    try:
        model = recognizer()
        # A click while it listens would break this off where it turns to the session's state next:
        # not before the clip is kept.
        with log.prediction("kept") as heard:
            prediction = heard(model.predict(clip))
        remember(entries, clip, prediction, title=clip.name)
    except UndertoneError as error:
        st.toast(sorry(error), icon=":material/warning:")
        return
    st.toast("Kept, for this visit, on the Recognize page.", icon=":material/bookmark_added:")


def show_moment(moment):
    """Say what is heard now."""
    if moment is None or moment.sound is not Sound.SPEECH:
        title, text = HEARD[moment.sound if moment else Sound.SILENCE]
    elif moment.label:
        title = named(moment.label).capitalize()
        text = sure(moment.probabilities[moment.label])
    else:
        title, text = "I can't tell 🤷", f"{UNCLEAR} {closest(moment.probabilities)}"
    st.header(title, anchor=False)
    st.markdown(text)


def show_summary(listener):
    """Sum up what was heard, to be taken away."""
    card, since = listener.card, listener.since
    found = live.as_timeline(listener.moments, card.labels, card.threshold, since=since)
    said = timeline.summary(found)
    speech = live.TICK * found.probabilities.any(axis=1).sum()
    st.header("What was heard", anchor=False)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            f"{timeline.clock(speech)} of speech in {'the last ' if since else ''}"
            f"{timeline.clock(found.duration)}: {said}.",
            width="stretch",
        )
        downloads("undertone-live", csv=timeline.to_csv(found), json=timeline.to_json(found))
    st.plotly_chart(
        plots_over_time.timeline(found),
        config={"displayModeBar": False},
        alt=f"Emotions over time: {said}",
    )


def show_recorder():
    """Offer to record first and answer afterwards."""
    recording = st.audio_input("Record a few seconds instead")
    if recording:
        try:
            with log.prediction("recorded") as heard:
                prediction = heard(recognizer().predict(audio.read(recording)))
            in_words(prediction)
        except UndertoneError as error:
            st.error(sorry(error))


st.set_page_config(page_title="Live · Undertone", layout="wide")
st.title("How do you sound right now?", anchor=False)
try:
    model = recognizer(live=True)
except UndertoneError as error:
    st.error(sorry(error))
    st.stop()

listener = st.session_state.get("listener")
if listener and not listener.ended and microphone.was_left():
    stop()
told = state = None
if listener and not listener.ended:
    told = st.session_state.stream.follow()
    state = listener.state(told, time.monotonic())
    if state in TROUBLE:
        stop(state)
        st.rerun()
else:
    heard_before = microphone.rest()
if not listener and heard_before:
    st.info(
        "Undertone was started again in the meantime, and what it had heard is gone. Please start "
        "listening once more."
    )
running = state is not None

if not listener:
    st.markdown("Talk, and watch the emotion in your voice change while you do.")
with st.container(horizontal=True, vertical_alignment="center"):
    if not running:
        st.button(
            "Start listening" if not listener else "Start again",
            type="primary",
            icon=":material/mic:",
            on_click=start,
        )
    else:
        paused = listener.buffer.paused
        st.button("Stop", type="primary", icon=":material/stop:", on_click=stop)
        st.button(
            "Go on" if paused else "Pause",
            icon=":material/play_arrow:" if paused else ":material/pause:",
            on_click=pause,
        )
        st.button(
            "Keep this moment",
            icon=":material/bookmark_add:",
            on_click=keep,
            help="Puts the last ten seconds beside your recordings on the Recognize page.",
        )
        microphones = st.session_state.stream.microphones
        if len(microphones) > 1:
            st.selectbox(
                "Microphone",
                list(microphones),
                format_func=microphones.get,
                key="live-microphone",
                on_change=change,
                disabled=paused,
                persist_state="session",
                label_visibility="collapsed",
                width=300,
            )
    voice.choice(model)


@st.fragment(run_every=live.TICK if running else None)
def watch():
    """Show what is heard, again and again."""
    now = listener.state(told, time.monotonic())
    if now != state:
        st.rerun()
    icon, text = WORDS[now]
    if now in (State.ASKING, State.CONNECTING):
        st.markdown(f"{icon} {text}")
        return
    try:
        model, moment = recognizer(live=True), None
        if now is State.LISTENING:
            moment = listener.hear(model, voice.known_to(model))
    except UndertoneError as error:
        st.error(sorry(error))
        return
    in_words, in_pictures = st.columns([1, 3], gap="large")
    with in_words:
        st.markdown(f"{icon} {text}")
        if now is State.LISTENING:
            show_moment(moment)
    with in_pictures:
        live_view.draw(listener, moment, model.card)


if running:
    watch()
elif listener:
    if listener.ended in TROUBLE:
        icon, text = WORDS[listener.ended]
        st.error(text, icon=icon)
    if listener.ended is State.FAILED:
        st.markdown(WHY_FAILED)
        show_recorder()
    if listener.moments:
        show_summary(listener)

heard_by = listener.card if listener and listener.ended and listener.card else model.card
st.caption(f"Heard by the model “{plain(heard_by.name)}”.")
relayed = (
    ", by way of a relay that its owner has named," if microphone.ice_servers(os.environ) else ""
)
st.caption(
    f":material/lock: Your voice goes to the computer that runs Undertone{relayed} and nowhere "
    "else. It remembers ten seconds at a time, and no sound at all once you stop."
)
