"""A recording over time: what it sounds like, and how the answer came about."""

from datetime import datetime, timedelta
from math import ceil

import streamlit as st

from pages.parts.answer import named
from pages.parts.downloads import downloads
from pages.parts.hearing import heard_by, history
from pages.parts.playhead import playhead
from pages.parts.voice import known_to
from ser_core import explain, plots_over_time, timeline
from ser_core.errors import UndertoneError
from ser_core.features import FeatureSpec
from ser_core.history import Entry
from ser_core.profile import Voice
from ser_core.recognizer import Prediction, Recognizer

PLAYER = "player"
# Of a chart that one can zoom into; fingers have no wheel.
ZOOM = {
    "displaylogo": False,
    "displayModeBar": True,
    "modeBarButtons": [["zoomIn2d", "zoomOut2d", "pan2d", "resetScale2d"]],
}
_OVERLAYS = {"attention": "What it attended to", "importance": "What the answer hung on"}
_LEGEND = {
    "attention": "Orange: how much each moment counted, by the model's attention.",
    "importance": "Cyan: where hiding a patch of the sound takes most from the likeliest emotion "
    "(occlusion map; of a long recording, for the 3 s in which it is likeliest).",
}
_PART_FROM = 30  # seconds from which on a picture of the whole is too coarse
_MIDNIGHT = datetime(2000, 1, 1)


# What was heard is its owner's: kept for this visit only, and in memory only.
@st.cache_data(scope="session", max_entries=4, show_spinner=False)
def _timeline(key: str, voice: Voice | None) -> timeline.Timeline:
    entry = history()[key]
    model = heard_by(entry.prediction)
    found = model.with_voice(entry.prediction, voice) if voice else entry.prediction
    return timeline.timeline(found, entry.clip(), threshold=model.card.threshold)


@st.cache_data(scope="session", max_entries=4, show_spinner="Listening again …")
def _importance(key: str) -> explain.Occlusion:
    entry = history()[key]
    found = entry.prediction
    return explain.occlusion(heard_by(found), entry.clip(), prediction=found)


@st.cache_data(scope="session", max_entries=4, show_spinner=False)
def _picture(key: str, overlays: tuple[str, ...], part: tuple[float, float]):
    entry = history()[key]
    found = entry.prediction
    return plots_over_time.pictures(
        entry.clip(*part),
        FeatureSpec(),
        start=part[0],
        attention=(found.attention_times, found.attention) if "attention" in overlays else None,
        importance=_importance(key) if "importance" in overlays else None,
    )


CACHED = (_timeline, _importance, _picture)


@st.fragment
def over_time(key: str) -> None:
    """Draw an entry of the history over time."""
    entry = history()[key]
    duration = entry.prediction.quality.duration
    found, model = None, _there(entry.prediction)
    if model and entry.prediction.has_guess and len(entry.prediction.windows) > 1:
        known = known_to(model)
        found = _timeline(key, known)
        told = timeline.summary(found)
        st.markdown(f"**Over time{', with your voice' if known else ''}:** {told}")
        st.plotly_chart(
            plots_over_time.timeline(found),
            config=ZOOM,
            key="timeline",
            alt=f"Emotions over time: {told}",
        )
    playhead(PLAYER, ["timeline", "pictures"], _stretches(found) if found else [])
    if found:
        _downloads(found, "timeline-with-voice" if known else "timeline")
    part = (0.0, duration)
    if duration > _PART_FROM:
        part = _part(key, duration)
    overlays = ()
    if entry.prediction.has_guess:
        overlays = _overlays(entry, model)
    st.plotly_chart(
        _picture(key, overlays, part),
        config=ZOOM,
        key="pictures",
        alt=f"Waveform and mel spectrogram of {entry.title}, "
        f"{timeline.clock(part[0])} to {timeline.clock(part[1])}",
    )
    st.caption(
        " ".join(
            [
                "Above, how loud it is; below, which pitches are in it. Click to play from there.",
                *(_LEGEND[overlay] for overlay in overlays),
            ]
        )
    )


def _stretches(found: timeline.Timeline) -> list[tuple[float, float, str]]:
    """Return what can be played by itself, and what to call it."""
    return [
        (s.start, s.end, f"{timeline.span(s)} {named(s.label) if s.label else 'unclear'}")
        for s in found.segments
    ]


def _downloads(found: timeline.Timeline, name: str) -> None:
    with st.container(horizontal=True):
        downloads(
            name,
            csv=timeline.to_csv(found),
            json=timeline.to_json(found),
            type="tertiary",
            help="The stretches with their probabilities",
        )


def _part(key: str, duration: float) -> tuple[float, float]:
    """Let the visitor choose what part is drawn."""
    end = _MIDNIGHT + timedelta(seconds=ceil(duration))
    chosen = st.slider(
        "Part to look at closely",
        _MIDNIGHT,
        end,
        (_MIDNIGHT, end),
        step=timedelta(seconds=1),
        format="H:mm:ss" if duration >= 3600 else "m:ss",
        key=f"part-{key}",
    )
    start, stop = ((time - _MIDNIGHT).total_seconds() for time in chosen)
    start = min(start, max(duration - 1, 0))  # both handles may be at the end
    return start, min(max(stop, start + 1), duration)


def _there(prediction: Prediction) -> Recognizer | None:
    """Return the model that gave an answer, as long as it is there to tell more of it."""
    try:
        return heard_by(prediction)
    except UndertoneError:
        return None


def _overlays(entry: Entry, model: Recognizer | None) -> tuple[str, ...]:
    """Let the visitor choose what is laid over the pictures, of what the model can tell."""
    possible = {
        "attention": len(entry.prediction.attention) > 0,
        "importance": model is not None and explain.can_explain(model),
    }
    if not any(possible.values()):
        return ()
    chosen = st.pills(
        "Lay over it",
        [overlay for overlay in _OVERLAYS if possible[overlay]],
        selection_mode="multi",
        format_func=_OVERLAYS.get,
        label_visibility="collapsed",
        key="overlays",
        persist_state="session",
    )
    return tuple(chosen)
