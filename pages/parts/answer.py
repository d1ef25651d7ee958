"""An answer: the emotion in words, how sure, and the probabilities as pictures."""

from collections.abc import Mapping

import streamlit as st

from pages.parts.hearing import plain
from ser_core import plots
from ser_core.emotions import EMOTIONS, valence_arousal
from ser_core.recognizer import Prediction
from ser_core.wording import percent, signed

_VIEWS = ("Bars", "Radar", "Mood")


def named(emotion: str) -> str:
    """Return an emotion's name and emoji, which no line break parts."""
    return f"{emotion}\u00a0{EMOTIONS[emotion].emoji}"


def in_words(prediction: Prediction) -> None:
    """Say what was heard and how sure that is, or why it cannot be told."""
    if not prediction.abstained:
        st.header(named(prediction.label).capitalize(), anchor=False)
        st.markdown(sure(prediction.confidence))
        return
    st.header("I can't tell 🤷", anchor=False)
    st.markdown(prediction.reason)
    if prediction.has_guess:
        st.markdown(closest(prediction.probabilities))


def sure(confidence: float) -> str:
    """Return Markdown; a line that begins with ">99%" would be a quotation."""
    return f"{plain(percent(confidence))} sure"


def closest(probabilities: Mapping[str, float]) -> str:
    """Return a sentence with the two likeliest emotions, for when neither is likely enough."""
    guesses = (
        f"{named(emotion)}\u00a0({percent(p)})" for emotion, p in likeliest(probabilities)[:2]
    )
    return f"The closest would be {' or '.join(guesses)}."


def likeliest(probabilities: Mapping[str, float]) -> list[tuple[str, float]]:
    """Return emotions and probabilities, the likeliest first."""
    return sorted(probabilities.items(), key=lambda item: -item[1])


@st.fragment
def as_picture(prediction: Prediction) -> None:
    """Draw the probabilities, in the way that is chosen."""
    place = st.container()
    view = st.segmented_control(
        "Show the probabilities as",
        _VIEWS,
        default="Bars",
        required=True,
        label_visibility="collapsed",
        key="view",
        persist_state="session",
    )
    values = prediction.probabilities
    told = ", ".join(f"{emotion} {percent(p)}" for emotion, p in likeliest(values))
    if view == "Bars":
        figure = plots.probabilities(values, faint=prediction.abstained)
    elif view == "Radar":
        figure = plots.radar(values)
    else:
        figure = plots.plane(values)
        valence, arousal = valence_arousal(values)
        told = (
            f"Pleasantness (valence) {signed(valence)} and excitement (arousal) {signed(arousal)}, "
            "on scales from −1 to 1"
        )
    with place:
        st.plotly_chart(figure, config={"displayModeBar": False}, alt=told)
    if view == "Mood":
        st.caption(
            f"{told}. The diamond is the mean of the emotions' places, weighted by probability. "
            "Places after Russell & Mehrabian (1977), "
            "[doi.org/10.1016/0092-6566(77)90037-X](https://doi.org/10.1016/0092-6566(77)90037-X)."
        )
