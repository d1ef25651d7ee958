"""What was heard in this visit: listed, opened again, compared, taken away, cleared."""

from dataclasses import replace

import streamlit as st

from pages.parts import pictures
from pages.parts.answer import in_words, named, sure
from pages.parts.downloads import downloads
from pages.parts.hearing import history, model_named, plain, queue, refused, sorry
from ser_core import history as kept
from ser_core import log, plots, shelf
from ser_core.errors import UndertoneError
from ser_core.history import Entry
from ser_core.locations import model_folders
from ser_core.recognizer import Prediction
from ser_core.timeline import clock
from ser_core.wording import percent


def forget() -> None:
    """Clear the visit, and the ways in."""
    for content in (history(), queue(), refused()):
        content.clear()
    # Not all that is cached: others are here, too, and most of it is nobody's.
    for cached in (_heard_by, *pictures.CACHED):
        cached.clear()
    st.session_state.listing = False
    st.session_state.visits = st.session_state.get("visits", 0) + 1


@st.fragment
def listing(shown: str) -> None:
    """List what was heard, the newest first."""
    entries = history()
    if not entries:
        st.rerun()  # it was cleared: nothing else on the page is true any more
    with st.expander(
        "This visit", key="listing", on_change="rerun", icon=":material/history:"
    ) as listing:
        if not listing.open:
            return
        for key, entry in reversed(entries.items()):
            _row(key, entry, shown)
        with st.container(horizontal=True):
            downloads("undertone", csv=kept.to_csv(entries), json=kept.to_json(entries))
            st.button("Clear", icon=":material/delete:", on_click=forget)
        st.caption(
            "The latest 50 recordings, or fewer if they are long; in memory only, and gone soon "
            "after you close the page."
        )


def _row(key: str, entry: Entry, shown: str) -> None:
    found = entry.prediction
    with st.container(border=True):
        what, answer, player, button = st.columns([4, 3, 5, 2], vertical_alignment="center")
    seconds = found.quality.duration
    length = clock(seconds) if seconds >= 60 else f"{seconds:.1f} s"
    what.markdown(f"**{plain(entry.title)}**  \n{length} · {found.model}")
    answer.markdown(_short(found))
    player.audio(entry.sound, format="audio/flac", alt=f"Sound of {entry.title}")
    if button.button("Open", key=f"open-{key}", disabled=key == shown, width="stretch"):
        st.session_state.shown = key
        st.rerun()


def _short(found: Prediction) -> str:
    if found.abstained:
        return "can't tell 🤷"
    return f"{named(found.label)}  \n{sure(found.confidence)}"


@st.cache_data(scope="session", max_entries=8, show_spinner="Listening …")
def _heard_by(key: str, model: str, stamp: int) -> Prediction:
    with log.prediction("again") as heard:
        return heard(model_named(model).predict(history()[key].clip()))


def _again(key: str, model: str) -> Entry:
    """Return an entry as another model hears it."""
    return replace(history()[key], prediction=_heard_by(key, model, shelf.stamp(model)))


@st.fragment
def compare(shown: str) -> None:
    """Put an answer beside that of another recording or of another model."""
    entries = history()
    this = entries[shown]
    clips = {key: entry.title for key, entry in reversed(entries.items()) if key != shown}
    models = {name: f"the same, heard by {name}" for name in model_folders()}
    models.pop(this.prediction.model, None)
    if not clips and not models:
        return
    with st.expander(
        "Compare", key="compare", on_change="rerun", icon=":material/compare_arrows:"
    ) as comparison:
        if not comparison.open:
            return
        choices = clips | models
        other = st.selectbox(
            f"Compare {plain(this.title)} with",
            list(choices),
            format_func=choices.get,
            key="other",
        )
        try:
            that = entries.get(other) or _again(shown, other)
        except UndertoneError as error:
            st.error(sorry(error))
            return
        sides = [(this.title, this, "Solid bars"), (choices[other], that, "Hatched bars")]
        for column, (title, entry, bars) in zip(st.columns(2), sides, strict=True):
            with column:
                in_words(entry.prediction)
                st.text(title)
                st.audio(entry.sound, format="audio/flac", alt=f"Sound of {entry.title}")
                st.caption(bars)
        if this.prediction.has_guess or that.prediction.has_guess:
            st.plotly_chart(
                plots.comparison(*(_probabilities(entry) for _, entry, _ in sides)),
                config={"displayModeBar": False},
                alt="; ".join(f"{title}: {_told(entry)}" for title, entry, _ in sides),
            )


def _probabilities(entry: Entry) -> dict[str, float]:
    return entry.prediction.probabilities if entry.prediction.has_guess else {}


def _told(entry: Entry) -> str:
    values = _probabilities(entry).items()
    return ", ".join(f"{emotion} {percent(p)}" for emotion, p in values) or "can't tell"
