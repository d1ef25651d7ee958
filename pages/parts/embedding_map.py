"""Map: recordings laid out by what the model hears in them, and the visitor's own among them."""

import numpy as np
import pandas as pd
import streamlit as st

from pages.parts import pictures, spoken
from pages.parts.hearing import history, plain, recognizer, sorry
from pages.parts.library import speaker, speakers, title
from ser_core import embedding_map, heard, plots_corpora, shelf
from ser_core.card import Card
from ser_core.corpora import ready_made
from ser_core.errors import UndertoneError
from ser_core.history import Entry

_COLOURS = {"emotion": "Emotion", "speaker": "Speaker", "sex": "Sex", "corpus": "Corpus"}
_NEAREST = 3
_WAIT = {
    "PCA": "Drawing the map …",
    "UMAP": "Drawing the map; the first time, this takes up to a minute …",
}
_METHODS = {"PCA": "Distances (PCA)", "UMAP": "Neighbours (UMAP)"}
_SAID = {
    "PCA": "By distances, the cloud is seen from its broadest side: what is far apart here sounds "
    "different to the model; what is close together may still be apart in depth.",
    "UMAP": "By neighbours, what sounds most alike is kept together; how far apart groups are "
    "means nothing.",
}


@st.fragment
def show(manifest: pd.DataFrame) -> None:
    """Draw the map; show the recording that is clicked, and what is near the visitor's own.

    Args:
        manifest: columns as in `Utterance`, with a default index.
    """
    try:
        _show(manifest)
    except UndertoneError as error:
        st.error(sorry(error))


def _show(manifest: pd.DataFrame) -> None:
    model = recognizer().bundle
    if not heard.can_hear(model, manifest).any():
        st.info(spoken.needs_sound(model.card.name))
        return
    st.markdown(
        "Each point is a recording. Those that sound alike to the model lie close together. "
        "**Click one to hear it.**"
    )
    colour, method = _choices(manifest)
    with spoken.counted("The model listens:") as on_clip:
        embedding = heard.outputs(model, manifest, on_clip=on_clip).embedding
    with st.spinner(_WAIT[method]):
        points = embedding_map.flat(embedding, method)
    own = _own(model.card.weights)
    near, where = np.empty(0, int), None
    if own:
        mine = own.prediction.embedding
        near, _ = embedding_map.nearest(mine, _sounding(embedding, manifest), _NEAREST)
        where = embedding_map.place(mine, embedding, points)
    chosen = _chosen(manifest)
    figure = plots_corpora.embedding_map(
        points,
        _groups(manifest, colour),
        names=_names(manifest),
        ids=manifest.id.tolist(),
        own=where,
        near=near,
        chosen=chosen,
    )
    st.plotly_chart(
        figure,
        key="map",
        on_select="rerun",
        selection_mode="points",
        config=pictures.ZOOM,
        alt=f"Map of {len(manifest):,} recordings, coloured by {colour}",
    )
    st.caption(f"{_SAID[method]} {_honest(model.card, manifest)}")
    if chosen is not None:
        _clip(manifest.iloc[chosen])
    _yours(own, manifest, near)


def _choices(manifest: pd.DataFrame) -> tuple[str, str]:
    """Let the visitor choose by what points are coloured, and how they are laid out."""
    ways = [way for way in _COLOURS if manifest[way].nunique() > 1] or ["emotion"]
    with st.container(horizontal=True):
        colour = st.segmented_control(
            "Colour by",
            ways,
            default=ways[0],
            required=True,
            format_func=_COLOURS.get,
            key="map-colour",
            persist_state="session",
        )
        if shelf.locked():
            # UMAP takes a processor for a minute, which strangers are not to have for a click.
            return colour, "PCA"
        method = st.segmented_control(
            "Lay out by",
            embedding_map.METHODS,
            default="PCA",
            required=True,
            format_func=_METHODS.get,
            key="map-method",
            persist_state="session",
            help="By distances, the map is there at once. By neighbours, it shows groups more "
            "clearly and takes up to a minute the first time.",
        )
    return colour, method


def _groups(manifest: pd.DataFrame, colour: str) -> list[str]:
    """Return what each point is coloured by, as people call it."""
    if colour == "corpus":
        return [title(name) for name in manifest.corpus]
    values = manifest[colour]
    return list(values.map(speakers(manifest)) if colour == "speaker" else values)


def _names(manifest: pd.DataFrame) -> list[str]:
    return [spoken.who(row) for row in manifest.itertuples()]


def _sounding(embedding: np.ndarray, manifest: pd.DataFrame) -> np.ndarray:
    """Leave out what cannot be played, as NaN; if nothing can, leave out nothing."""
    silent = ready_made.silent(manifest)
    return embedding if silent.all() else np.where(silent[:, None], np.nan, embedding)


def _own(weights: str) -> Entry | None:
    """Return what the visitor gave last, as far as this model heard it."""
    entries = reversed(history().values())
    heard = (e for e in entries if e.prediction.weights == weights and e.prediction.has_guess)
    return next(heard, None)


def _chosen(manifest: pd.DataFrame) -> int | None:
    """Return the row of the point that was clicked last."""
    points = st.session_state.get("map", {}).get("selection", {}).get("points", [])
    ids = [point["customdata"] for point in points if "customdata" in point]
    ids = [name[0] if isinstance(name, list) else name for name in ids]
    rows = np.flatnonzero(manifest.id == ids[-1]) if ids else []
    return int(rows[0]) if len(rows) else None


def _clip(row: pd.Series) -> None:
    """Show and play one recording."""
    (row,) = row.to_frame().T.itertuples()
    one, called = spoken.listen(row), spoken.who(row)
    with st.container(border=True):
        left, right = st.columns([2, 3], gap="medium")
        with left:
            st.markdown(f"{spoken.headed(row)}  \n{plain(speaker(row.corpus, row.speaker))}")
            if row.sentence:
                st.markdown(f"“{plain(row.sentence)}”")
            spoken.player(one, called, "map", autoplay=True)
        with right:
            spoken.picture(one, called, "map", [one])


def _yours(own: Entry | None, manifest: pd.DataFrame, near: np.ndarray) -> None:
    """Say which recordings are nearest to the visitor's own, and let them be played."""
    if own is None:
        st.info(
            "Record yourself on the page Recognize, and come back: your voice will be on this map.",
            icon=":material/mic:",
        )
        return
    st.subheader("Closest to you", anchor=False)
    rows = list(manifest.iloc[near].itertuples())
    st.markdown(
        f"To the model, **{plain(own.title)}** (the star) sounds most like these recordings, which "
        "are ringed on the map."
    )
    for number, (column, row) in enumerate(zip(st.columns(_NEAREST), rows, strict=False)):
        with column:
            st.markdown(f"**{plain(spoken.who(row))}**")
            spoken.player(spoken.listen(row), spoken.who(row), f"map-near-{number}")


def _honest(card: Card, manifest: pd.DataFrame) -> str:
    """Say whose recordings look tidier than they should."""
    training = card.training
    met = manifest.speaker.isin([*training.speakers, *training.validation_speakers])
    if not met.any():
        corpora = ", ".join(plain(title(name)) for name in training.corpora)
        return f"The model, trained on {corpora}, has heard none of these speakers before."
    corpora = ", ".join(title(name) for name in manifest.corpus[met].unique())
    share = "these" if met.all() else f"{met.sum():,} of these {len(manifest):,}"
    return (
        f"The model was trained with the speakers of {share} recordings ({corpora}): they look "
        "tidier here than a stranger's would."
    )
