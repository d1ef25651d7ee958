"""Recognize: a recording in, the emotion it carries out."""

import tomllib
from pathlib import Path

import streamlit as st

from pages.parts import answer, pictures, visit, voice
from pages.parts.entrance import through_app
from pages.parts.hearing import heard_by, history, listen, queue, recognizer, refused, sorry
from ser_core.card import headline
from ser_core.emotions import EMOTIONS
from ser_core.errors import UndertoneError

through_app()

SAMPLES = Path(__file__).parent.parent / "assets" / "samples"
samples = {
    row["title"]: SAMPLES / row["file"]
    for row in tomllib.loads((SAMPLES / "samples.toml").read_text("utf-8"))["sample"]
}
ways = {way: f"{way}-{st.session_state.get('visits', 0)}" for way in ("record", "upload", "sample")}


uploaded = st.session_state.setdefault("uploaded", set())  # ids of files that were queued


def take(way):
    """Queue what was just given, but for uploads: `take_uploads` does."""
    given = st.session_state[ways[way]]
    # Taken back by the visitor, or let go of because it has been heard: that is a change, too.
    if way == "record" and not hasattr(given, "read"):
        return
    if way == "upload" and all(file.file_id in uploaded for file in given):
        return
    if way == "sample" and not given:
        return
    refused().clear()
    if way == "sample":
        queue().append(("sample", f"“{given}”, a synthetic voice", samples[given]))
        return
    st.session_state[ways["sample"]] = None  # so that one click brings it again
    if way == "record":
        count = st.session_state.recorded = st.session_state.get("recorded", 0) + 1
        queue().append(("recorded", f"Your recording{f' {count}' if count > 1 else ''}", given))


def take_uploads():
    """Queue the uploads that are new, and return whether there are some that are gone.

    Not when they are given: should the server have been started again while they came, nobody says
    that they are new.
    """
    files = [file for file in st.session_state[ways["upload"]] if file.file_id not in uploaded]
    new = [file for file in files if hasattr(file, "read")]
    queue().extend(("upload", file.name, file) for file in new)
    uploaded.update(file.file_id for file in new)
    if len(queue()) > 1:
        st.session_state.listing = True
    return len(new) < len(files)


st.set_page_config(page_title="Recognize · Undertone", layout="wide")
st.title("How do you sound?", anchor=False)
*others, last = (answer.named(emotion) for emotion in EMOTIONS)
st.markdown(f"{', '.join(others).capitalize()} or {last}?")
by_voice, by_file, by_sample = st.columns([7, 8, 7])  # so that the uploader keeps to one line
by_voice.audio_input("Record your voice", key=ways["record"], on_change=take, args=["record"])
by_file.file_uploader(
    "Upload audio or video",
    accept_multiple_files=True,
    key=ways["upload"],
    on_change=take,
    args=["upload"],
)
by_sample.pills(
    "Try a synthetic voice",
    samples,
    key=ways["sample"],
    persist_state="session",
    wrap=True,
    on_change=take,
    args=["sample"],
)
st.caption(
    ":material/lock: Kept in memory while this page is open; nothing is written to disk or passed "
    "on to anyone."
)

if take_uploads():
    st.info(
        "Undertone was started again in the meantime, and what it had heard is gone. Please give "
        "it these files once more."
    )
try:
    recognizer()
except UndertoneError as error:
    st.error(sorry(error))
    st.stop()
listen()
for sentence in refused():
    st.error(sentence)
if not history():
    st.stop()

# What came last is shown, from wherever it came, until something else is opened.
newest = list(history())[-1]
if st.session_state.get("newest") != newest or st.session_state.get("shown") not in history():
    st.session_state.newest = st.session_state.shown = newest
shown = st.session_state.shown
entry = history()[shown]
left, right = st.columns([2, 3], gap="large")
with left:
    place = st.container()
    prediction = voice.allowed_for(entry.prediction)
    with place:
        answer.in_words(prediction)
    st.text(entry.title)  # a file's name is not Markdown
    with st.container(key=pictures.PLAYER):
        st.audio(entry.sound, format="audio/flac", alt=f"What was heard: {entry.title}")
    for issue in entry.prediction.quality.issues:
        if issue.text != entry.prediction.reason:
            st.warning(issue.text, icon=":material/hearing:")
    if entry.prediction.has_guess:
        answer.as_picture(prediction)
with right:
    pictures.over_time(shown)
visit.compare(shown)
voice.profiles()
visit.listing(shown)

try:
    best = headline(heard_by(entry.prediction).card)
except UndertoneError:
    best = None  # that model is not there any more
score = best and f", right for {best.accuracy:.0%} of clips by unseen speakers ({best.protocol})"
st.caption(
    f"Heard by the model “{entry.prediction.model}”{score or ''}. With voices, rooms and "
    "microphones unlike those it learned from, expect it to be wrong more often, and too sure: "
    "how much, the page About says under “Where it fails”."
)
