"""The app: its pages, and which of them is open. `server.py` serves it."""

from pathlib import Path

import streamlit as st

ASSETS = Path(__file__).parent / "assets"

st.set_page_config(page_title="Undertone", page_icon=str(ASSETS / "icon.svg"))
st.logo(str(ASSETS / "logo.svg"), size="large")
st.html(ASSETS / "style.css")
page = st.navigation(
    [
        st.Page(
            "pages/recognize.py",
            title="Recognize",
            icon=":material/graphic_eq:",
            default=True,
            help="Record, upload or pick a clip and see which emotion it carries.",
        ),
        st.Page(
            "pages/live.py",
            title="Live",
            icon=":material/mic:",
            help="Talk, and watch the emotion in your voice change while you do.",
        ),
        st.Page(
            "pages/explore.py",
            title="Explore",
            icon=":material/library_music:",
            help="Walk through real recordings: hear, filter, compare, and play against the model.",
        ),
        st.Page(
            "pages/train.py",
            title="Train",
            icon=":material/model_training:",
            help="Let a model learn from recordings, watch it do so, and see how far to trust it.",
        ),
        st.Page(
            "pages/models.py",
            title="Models",
            icon=":material/neurology:",
            help="Compare the models, see what they are made of, and choose the one that listens.",
        ),
        st.Page(
            "pages/about.py",
            title="About",
            icon=":material/info:",
            help="What Undertone hears, how well, where it fails, and what it is not for.",
        ),
    ],
    position="top",
)
page.run()
