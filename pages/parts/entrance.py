"""The way into a page: always through `app.py`."""

import streamlit as st
from streamlit.runtime.pages_manager import PagesManager


def through_app() -> None:
    """Run `app.py` first, should Streamlit have come to this page without it; call this first.

    Until `st.navigation` has run for the first time, Streamlit (1.67) takes any `pages/` folder for
    its older kind of navigation: a server's first visitor, if sent straight to `/live`, would get
    that page alone.
    """
    if PagesManager.uses_pages_directory:
        PagesManager.uses_pages_directory = False
        st.rerun()
