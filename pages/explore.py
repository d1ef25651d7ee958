"""Explore: the recordings that models learn from, to be heard, filtered, compared and mapped."""

import streamlit as st

from pages.parts import browse, compare, embedding_map, game, getting, library, statistics
from pages.parts.entrance import through_app
from pages.parts.hearing import recognizer, sorry
from ser_core.errors import UndertoneError

through_app()

VIEWS = {
    "Browse": browse,
    "Compare": compare,
    "Stats": statistics,  # in a word that leaves room for the others on a phone
    "Map": embedding_map,
    "Game": game,
}

st.set_page_config(page_title="Explore · Undertone", layout="wide")
st.title("Explore recordings", anchor=False)
st.markdown("Hear what models learn from: actors who say the same words in many moods.")

try:
    recognizer()
except UndertoneError as error:
    st.error(sorry(error))
    st.stop()

here = library.here()
if not here:
    getting.offers(here)
    st.markdown(
        "No real recordings are here yet. Until you get some, these are **synthetic voices** of "
        "ours, which no actor spoke and nobody has labelled."
    )
    browse.show(library.samples())
    st.stop()

manifest = library.chosen(here, getting.arrived())
getting.offers(here)
if manifest.empty:
    st.info("Choose a corpus.")
    st.stop()
manifest = library.filtered(manifest)
if manifest.empty:
    st.info("No recording passes all of these filters. Take one away.")
    st.stop()
view = st.segmented_control(
    "What to do with them",
    list(VIEWS),
    default="Browse",
    required=True,
    label_visibility="collapsed",
    key="explore-view",
    persist_state="session",
)
VIEWS[view].show(manifest)
