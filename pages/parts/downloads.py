"""Taking away what was heard."""

import streamlit as st


def downloads(name: str, *, csv: str, json: str, **options) -> None:
    """Offer the same as CSV and as JSON, in files of that name; options are the buttons'."""
    for kind, content, mime in (("CSV", csv, "text/csv"), ("JSON", json, "application/json")):
        st.download_button(
            kind,
            content,
            file_name=f"{name}.{kind.lower()}",
            mime=mime,
            icon=":material/download:",
            on_click="ignore",
            **options,
        )
