"""Recognize: a recording in, the emotion it carries out."""

import io
import tomllib
from pathlib import Path

import soundfile
import streamlit as st

from ser_core import audio, plots
from ser_core.card import headline
from ser_core.emotions import EMOTIONS
from ser_core.errors import UndertoneError
from ser_core.recognizer import Recognizer

SAMPLES = Path(__file__).parent.parent / "assets" / "samples"
BARE = {"displayModeBar": False}


@st.cache_resource(show_spinner=False)
def recognizer():
    """Return the model, loaded once for everybody."""
    return Recognizer.from_name()


# A voice is its owner's: what was heard is kept for this visit only, and in memory only.
@st.cache_data(scope="session", max_entries=4, show_spinner="Listening …")
def listen(recording):
    """Return the prediction, the sound as it was heard, and its pictures."""
    clip = audio.read(recording)
    heard = io.BytesIO()
    soundfile.write(heard, clip.samples, clip.sample_rate, format="WAV", subtype="PCM_16")
    return (
        recognizer().predict(clip),
        heard.getvalue(),
        plots.waveform(clip),
        plots.mel_spectrogram(clip, recognizer().card.features),
    )


def choose(way):
    """Make what was just given the current recording; taking it back uncovers the one before."""
    recordings, given = st.session_state.recordings, st.session_state[way]
    recordings.pop(way, None)
    if way != "sample":
        recordings.pop("sample", None)
        st.session_state.sample = None
    if given is not None:
        recordings[way] = given


def named(emotion):
    """Return an emotion's name and emoji, which no line break parts."""
    return f"{emotion}\u00a0{EMOTIONS[emotion].emoji}"


samples = {
    row["title"]: SAMPLES / row["file"]
    for row in tomllib.loads((SAMPLES / "samples.toml").read_text("utf-8"))["sample"]
}
recordings = st.session_state.setdefault("recordings", {})  # by way in, the latest last

st.set_page_config(layout="wide")
st.title("How do you sound?", anchor=False)
*others, last = map(named, EMOTIONS)
st.markdown(f"{', '.join(others).capitalize()} or {last}?")
by_voice, by_file, by_sample = st.columns([7, 8, 7])  # so that the uploader keeps to one line
by_voice.audio_input("Record your voice", key="record", on_change=choose, args=["record"])
by_file.file_uploader("Upload audio or video", key="upload", on_change=choose, args=["upload"])
by_sample.pills(
    "Try a synthetic voice",
    samples,
    key="sample",
    persist_state="session",
    wrap=True,
    on_change=choose,
    args=["sample"],
)
st.caption(":material/lock: Nothing is stored, and nothing is passed on to anyone.")

try:
    model = recognizer().card
    if not recordings:
        st.stop()
    way, recording = list(recordings.items())[-1]
    content = samples[recording].read_bytes() if way == "sample" else recording.getvalue()
    prediction, heard, waveform, spectrogram = listen(content)
except UndertoneError as error:
    st.error(f"Sorry: {error}.")
    st.stop()

titles = {"record": "Your recording", "sample": f"“{recording}”, a synthetic voice"}
title = titles.get(way) or recording.name
likeliest = sorted(prediction.probabilities.items(), key=lambda item: -item[1])

answer, pictures = st.columns([2, 3], gap="large")
with answer:
    if prediction.abstained:
        st.header("I can't tell 🤷", anchor=False)
        st.markdown(prediction.reason)
    else:
        st.header(named(prediction.label).capitalize(), anchor=False)
        st.markdown(f"{plots.percent(prediction.confidence)} sure")
    if prediction.abstained and prediction.label:
        guesses = " or ".join(f"{named(e)}\u00a0({plots.percent(p)})" for e, p in likeliest[:2])
        st.markdown(f"The closest would be {guesses}.")
    st.text(title)  # a file's name is not Markdown
    st.audio(heard, alt=f"What was heard: {title}")
    for issue in prediction.quality.issues:
        if issue.text != prediction.reason:
            st.warning(issue.text, icon=":material/hearing:")
    if prediction.label:
        st.plotly_chart(
            plots.probabilities(prediction.probabilities, faint=prediction.abstained),
            config=BARE,
            alt=", ".join(f"{emotion} {plots.percent(p)}" for emotion, p in likeliest),
        )
with pictures:
    st.markdown("**Waveform** – how loud it is, moment by moment")
    st.plotly_chart(waveform, config=BARE, alt=f"Waveform of {title}")
    st.markdown("**Mel spectrogram** – which pitches are in it; the brighter, the louder")
    st.plotly_chart(spectrogram, config=BARE, alt=f"Mel spectrogram of {title}")

best = headline(model)
score = best and f", right for {best.accuracy:.0%} of clips by unseen speakers ({best.protocol})"
st.caption(f"Heard by the model “{model.name}”{score or ''}.")
