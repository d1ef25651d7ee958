"""Which recordings are looked at: the corpora that are here, and filters."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import streamlit as st

from pages.parts.answer import named
from pages.parts.hearing import plain, sorry
from ser_core import library
from ser_core.corpora import CORPORA, CorpusError, Utterance, manifest_of, ready_made
from ser_core.emotions import EMOTIONS

SAMPLES = Path(__file__).parents[2] / "assets" / "samples"
_FACETS = {
    "emotion": "Emotion",
    "speaker": "Speaker",
    "sex": "Sex",
    "intensity": "Intensity",
    "sentence": "Sentence",
    "channel": "Spoken or sung",
}
_MANY = 60  # values from which on a list of them is scrolled


def here() -> dict[str, pd.DataFrame]:
    """Return the manifests of the corpora that are here; say which cannot be read."""
    found = {}
    for name in library.names():
        try:
            manifest = _manifest(name, library.state(name))
        except CorpusError as error:
            st.warning(sorry(error))
            continue
        if len(manifest):
            found[name] = manifest
    return found


# Not cache_data, which makes a copy at each call: nobody changes a manifest.
@st.cache_resource(max_entries=16, show_spinner="Looking through the recordings …")
def _manifest(name: str, state: str) -> pd.DataFrame:
    return library.manifest(name)


@st.cache_resource(max_entries=4, show_spinner=False)
def _joined(names: tuple[str, ...], states: tuple[str, ...]) -> pd.DataFrame:
    manifests = [_manifest(name, state) for name, state in zip(names, states, strict=True)]
    return pd.concat(manifests, ignore_index=True)


def samples() -> pd.DataFrame:
    """Return a manifest of our synthetic voices."""
    rows = tomllib.loads((SAMPLES / "samples.toml").read_text("utf-8"))["sample"]
    unknown = dict.fromkeys(("speaker", "sex", "emotion", "intensity", "sentence"), "")
    return manifest_of(
        Utterance(
            path=SAMPLES / row["file"],
            corpus="samples",
            id=f"samples/{row['title']}",
            take=1,
            channel="speech",
            language="en",
            **unknown,
        )
        for row in rows
    )


def title(name: str) -> str:
    """Return what to call a corpus: published ones are known by their initials."""
    return name.upper() if name in CORPORA else name


def speaker(corpus: str, name: str) -> str:
    """Return what to call who speaks, as “RAVDESS actor 12”; the corpus alone if unknown."""
    name = name.removeprefix(f"{corpus}-")
    if not name:
        return title(corpus)
    # Published corpora are of actors, who go by numbers or initials.
    published = corpus in CORPORA
    return f"{title(corpus)} {f'actor {name.upper()}' if published else f'speaker {name}'}"


def speakers(manifest: pd.DataFrame) -> dict[str, str]:
    """Return what to call each speaker of a manifest; nothing if unknown."""
    known = manifest.drop_duplicates("speaker")
    return {
        name: name and speaker(corpus, name)
        for corpus, name in zip(known.corpus, known.speaker, strict=True)
    }


def chosen(here: Mapping[str, pd.DataFrame], arrived: Sequence[str]) -> pd.DataFrame:
    """Let the visitor choose corpora; return their manifest, empty if none is chosen.

    Args:
        here: the manifests there are, by corpus.
        arrived: corpora that were just got, to be chosen as well.
    """
    wanted = [*st.session_state.get("corpora", list(here)[:1]), *arrived]
    st.session_state.corpora = [name for name in dict.fromkeys(wanted) if name in here]
    silent = {name for name in here if ready_made.is_ready_made(here[name].path[0])}
    picked = st.pills(
        "Collections (corpora)",
        list(here),
        selection_mode="multi",
        format_func=lambda name: (
            f"{title(name)} · {len(here[name]):,}" + (", no sound" if name in silent else "")
        ),
        key="corpora",
        persist_state="session",
        wrap=True,
    )
    if not picked:
        return manifest_of([])
    for name in silent.intersection(picked):
        st.caption(
            f":material/volume_off: {title(name)} is here as spectrograms without sound: its clips "
            "can be seen, but not heard."
        )
    return _joined(tuple(picked), tuple(library.state(name) for name in picked))


def filtered(manifest: pd.DataFrame) -> pd.DataFrame:
    """Let the visitor filter a manifest; return what is left, under a default index."""
    facets = library.facets(manifest)
    picked = {facet: _picked(manifest, facet) for facet in facets}
    if "emotion" in facets:
        _facet(manifest, picked, "emotion", label_visibility="collapsed")
    with st.container(horizontal=True, vertical_alignment="center"):
        for facet in facets:
            if facet != "emotion":
                _popover(manifest, picked, facet)
        left = library.keep(manifest, picked)
        st.markdown(f"**{len(left):,}** of {len(manifest):,} recordings", width="content")
        if any(picked.values()):
            st.button("Clear filters", type="tertiary", on_click=_clear)
    return left


def _picked(manifest: pd.DataFrame, facet: str) -> list[str]:
    """Return what is chosen; what another corpus had and this one has not does not count."""
    values = st.session_state.get(_key(facet), [])
    return [value for value in values if manifest[facet].eq(value).any()]


def _key(facet: str) -> str:
    return f"filter-{facet}"


def _clear() -> None:
    for facet in _FACETS:
        st.session_state[_key(facet)] = []


def _popover(manifest: pd.DataFrame, picked: dict, facet: str) -> None:
    values = picked[facet]
    label = _FACETS[facet]
    if values:
        one = _names(manifest, facet)[values[0]]
        label += f": {one}" if len(values) == 1 else f": {len(values)} chosen"
    with st.popover(label, key=f"popover-{facet}"):
        _facet(manifest, picked, facet)


def _facet(manifest: pd.DataFrame, picked: dict, facet: str, **options) -> None:
    counts, names = library.counts(manifest, picked, facet), _names(manifest, facet)
    place = st.container(height=360 if len(counts) > _MANY else "content", border=False)
    picked[facet] = place.pills(
        _FACETS[facet],
        list(counts),
        selection_mode="multi",
        format_func=lambda value: f"{names[value]} · {counts[value]:,}",
        key=_key(facet),
        persist_state="session",
        wrap=True,
        **options,
    )


def _names(manifest: pd.DataFrame, facet: str) -> dict[str, str]:
    """Return what to call each value of a facet, in Markdown."""
    names = speakers(manifest) if facet == "speaker" else {}
    return {
        value: named(value)
        if facet == "emotion" and value in EMOTIONS
        else plain(names.get(value, value)) or "not known"
        for value in manifest[facet].unique()
    }
