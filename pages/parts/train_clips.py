"""Recordings that a model was tried on, listed and played."""

import mimetypes
from pathlib import Path

import pandas as pd
import streamlit as st

from pages.parts.hearing import plain
from ser_core import library
from ser_core.corpora import CorpusError, ready_made
from ser_core.emotions import EMOTIONS
from ser_core.wording import counted


@st.cache_resource(max_entries=8, show_spinner="Looking for the recordings …")
def _paths(name: str, state: str) -> dict[str, Path]:
    manifest = library.manifest(name)
    return dict(zip(manifest.id, manifest.path, strict=True))


def find(clip: str) -> Path | None:
    """Return where a recording lies; None if it is not there any more."""
    name = clip.partition("/")[0]
    try:
        path = _paths(name, library.state(name)).get(clip) if name in library.names() else None
    except CorpusError:
        return None
    return path if path and path.exists() else None


def show(table: pd.DataFrame, *, key: str) -> None:
    """List recordings and play the one that is chosen.

    Args:
        table: `id`, `speaker`, `emotion`, `heard`, `confidence`, with a default index.
        key: of the widgets.
    """
    if table.empty:
        st.markdown("No recording.")
        return
    st.caption(f"{counted(len(table), 'recording')}. Choose one to hear it.")
    columns = {
        "Emotion": table.emotion.map(_face),
        "Heard as": table.heard.map(_face),
        "Sure": (100 * table.confidence).round(),
        "Speaker": table.speaker,
        "Clip": table.id.str.partition("/")[2],
    }
    if table.emotion.nunique() == table.heard.nunique() == 1:
        del columns["Emotion"], columns["Heard as"]  # it is said above
    chosen = st.dataframe(
        pd.DataFrame(columns),
        hide_index=True,
        height=min(300, 38 * (len(table) + 1)),
        key=f"train-{key}-{hash(tuple(table.id))}",
        on_select="rerun",
        selection_mode="single-row-required",
        column_config={"Sure": st.column_config.NumberColumn(format="%d%%")},
        alt="Recordings",
    )
    rows = chosen.selection.rows
    _play(table.id[rows[0] if rows else 0])


def _face(emotion: str) -> str:
    return f"{EMOTIONS[emotion].emoji} {emotion}"


def _play(clip: str) -> None:
    path = find(clip)
    if path is None:
        st.info(f"The recording {plain(clip)} is not here any more.")
        return
    st.caption(plain(clip))  # in the table, a phone has no room for it
    if ready_made.is_ready_made(path):
        st.info("There is no sound of this recording here, only its spectrogram.")
    else:
        kind = mimetypes.guess_type(path)[0] or "audio/wav"
        st.audio(str(path), format=kind, alt=f"Recording {clip}")
