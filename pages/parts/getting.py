"""Getting corpora: what there is, under which licence, and one click for it."""

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

import pandas as pd
import streamlit as st

from pages.parts.hearing import sorry
from pages.parts.library import title
from ser_core import shelf
from ser_core.corpora import CORPORA, Corpus, manifest_of, ready_made
from ser_core.corpora.background import Download
from ser_core.corpora.sources import Source, is_complete

_EVERY = 0.5  # seconds between two looks at a download


@st.cache_resource(show_spinner=False)
def downloads() -> dict[str, Download]:
    """Return what is on its way here, by corpus: one for everybody, however many pages are open."""
    return {}


def arrived() -> list[str]:
    """Return the corpora that have come since somebody last asked."""
    ended = [name for name, one in list(downloads().items()) if not (one.running or one.error)]
    return [name for name in ended if downloads().pop(name, None)]


def offers(here: Mapping[str, pd.DataFrame]) -> None:
    """Offer what is not here, or not all of it; but not where visitors may change nothing."""
    wanting = {name: corpus for name, corpus in CORPORA.items() if _missing(name, here)}
    if not wanting or shelf.locked():
        return
    with st.expander(
        "Get more recordings" if here else "Get real recordings",
        expanded=not here or bool(downloads()),
        icon=":material/download:",
    ):
        for name, corpus in wanting.items():
            with st.container(border=True):
                _offer(name, corpus, here)


def _missing(name: str, here: Mapping[str, pd.DataFrame]) -> list[Source | None]:
    """Return the sources of which recordings are missing; None for what cannot be downloaded."""
    manifest = _audible(name, here)
    if not CORPORA[name].SOURCES:
        return [] if len(manifest) else [None]
    return [source for source in CORPORA[name].SOURCES if not is_complete(source, manifest)]


def _audible(name: str, here: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    manifest = here.get(name)
    if manifest is None or ready_made.is_ready_made(manifest.path[0]):
        return manifest_of([])
    return manifest


def _offer(name: str, corpus: Corpus, here: Mapping[str, pd.DataFrame]) -> None:
    sources = _missing(name, here)
    present = len(_audible(name, here))
    st.markdown(
        f"**{title(name)}**, {corpus.TITLE}  \n{corpus.CLIPS:,} recordings"
        + (f", {present:,} of them here" if present else "")
        + f"{_size(sources)} · licence: {corpus.LICENCE} · "
        f"[{urlsplit(corpus.HOME).hostname}]({corpus.HOME})"
    )
    if sources == [None]:
        st.markdown(
            "Its makers give it to whoever registers on their page. Then add the folder or ZIP "
            f"archive that you got:\n\n    python -m ser_core data add {name} FOLDER"
        )
        return
    download = downloads().get(name)
    if download and download.running:
        st.fragment(_progress, run_every=_EVERY)(download)
    else:
        if download:
            _failed(download)
        several = len(corpus.SOURCES) > 1
        with st.container(horizontal=True):
            for source in sources:
                st.button(
                    f"Accept {corpus.LICENCE}, get {source.channel if several else 'it'}",
                    key=f"get-{name}-{source.channel}",
                    icon=":material/download:",
                    on_click=_start,
                    args=[name, source.channel],
                )


def _failed(download: Download) -> None:
    if download.stopped:
        st.info("Stopped. What has arrived is kept, and the next click goes on from there.")
    elif download.error:
        st.error(sorry(download.error))


def _size(sources: Sequence[Source | None]) -> str:
    """Say how large a download is, if that is known before it begins."""
    sizes = [getattr(source, "size", None) for source in sources]
    return f", {sum(sizes) / 1e6:,.0f} MB to get" if all(sizes) else ""


def _start(name: str, channel: str) -> None:
    if name not in downloads() or not downloads()[name].running:
        downloads()[name] = Download(name, (channel,))


def _progress(download: Download) -> None:
    if not download.running:
        st.rerun()
    done, total = download.megabytes
    share = min(done / total, 1.0) if total else 0.0
    text = f"{done:,.0f} of {total:,.0f} MB" if total else "Asking what there is"
    if total and done >= total:
        text = "Unpacking"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.progress(share, text=text)
        if st.button("Stop", key=f"stop-{download.name}", icon=":material/close:"):
            download.stop()
    st.caption("It goes on while you look at something else, and after a cut from where it was.")
