"""Train: a model learns from recordings while you watch, and then shows how far to trust it."""

import streamlit as st

from pages.parts import train_known, train_new, train_now, train_results
from pages.parts.entrance import through_app
from pages.parts.library import here
from ser_core import shelf

through_app()

NEW, KNOWN, RESULTS = "New training", "Known or new voices", "Results"

st.set_page_config(page_title="Train · Undertone", layout="wide")
st.title("Train a model", anchor=False)
if shelf.locked():
    st.info("Training is switched off on this server.")
    train_known.show_beforehand()
    st.stop()
st.markdown(
    "Let a network learn from recordings, watch it do so, and see how well it hears people whom it "
    "has never met."
)
train_now.show()
if wish := st.session_state.pop("train-go", None):
    st.session_state["train-view"] = wish
view = st.segmented_control(
    "What to do",
    (NEW, KNOWN, RESULTS),
    default=NEW,
    required=True,
    label_visibility="collapsed",
    key="train-view",
    persist_state="session",
)
if view == RESULTS:
    train_results.show()
elif view == KNOWN:
    train_known.show(here())
else:
    train_new.show(here())
