"""What a visit holds: the model, what is still to be heard, and what was heard."""

import logging
import re
import time
from collections.abc import Callable

import streamlit as st
from streamlit.runtime.scriptrunner_utils.script_run_context import (
    get_script_run_ctx,
    in_cached_function,
)
from streamlit.runtime.uploaded_file_manager import UploadedFile

from ser_core import audio, log, shelf
from ser_core.errors import UndertoneError
from ser_core.history import Entry, remember
from ser_core.locations import QUICK_MODEL
from ser_core.recognizer import Prediction, Recognizer

# A progress bar is welcome after so many seconds, or at once if decoding alone takes longer.
_PATIENCE = 0.4
_LARGE = 2_000_000  # bytes


@st.cache_resource(show_spinner=False, max_entries=8)
def _loaded(name: str, stamp: int) -> Recognizer:
    """Load a model once for everybody; `stamp` tells it from an older one of the same name."""
    return shelf.load(name)


@st.cache_resource(show_spinner=False)
def _stamps() -> dict[str, int]:
    """Return the stamps of models that were loaded, which go on when their folders are gone."""
    return {}


def model_named(name: str) -> Recognizer:
    """Return a model; one that is gone by now, or half replaced, as it was loaded before.

    Raises:
        BundleError: it is missing or damaged, and was so before.
    """
    try:
        stamp = shelf.stamp(name)
        model = _loaded(name, stamp)
    except UndertoneError:
        if name not in _stamps():
            raise
        return _loaded(name, _stamps()[name])
    _stamps()[name] = stamp
    return model


def recognizer(*, live: bool = False) -> Recognizer:
    """Return the model that is in use, which may change at any moment.

    Tells the visitor when the one in use has changed since it was last asked for, and falls back
    on the usual one, then on the quick one, if it cannot be loaded. For live speech, it is that of
    `shelf.for_live`, and falls back on the one in use.

    Raises:
        BundleError: the model (the one to fall back on, too) is missing or damaged.
    """
    chosen = shelf.active()
    trouble = ""
    if chosen.lost:
        trouble = f"The model “{plain(chosen.lost)}” that was chosen is not there any more"
    if live and (wanted := shelf.for_live(chosen.name)) != chosen.name:
        try:
            return model_named(wanted)
        except UndertoneError as error:
            trouble = f"The model “{plain(wanted)}” cannot be used: {plain(str(error))}"
    *others, last = dict.fromkeys((chosen.name, shelf.usual(), QUICK_MODEL))
    for name in (*others, last):
        try:
            model = model_named(name)
        except UndertoneError as error:
            if name == last:
                raise
            trouble = trouble or f"The model “{plain(name)}” cannot be used: {plain(str(error))}"
        else:
            break
    _tell(name, model.card.name, trouble)
    return model


def heard_by(prediction: Prediction) -> Recognizer:
    """Return the model that gave an answer.

    Raises:
        UndertoneError: it is gone, and another one has its name by now.
    """
    model = model_named(prediction.model)
    if model.card.weights != prediction.weights:
        raise UndertoneError(
            f"the model “{prediction.model}” that heard this is gone, and another one has its name"
        )
    return model


def _tell(used: str, name: str, trouble: str) -> None:
    if in_cached_function.get():
        return  # there, nothing may be shown; the next call comes soon
    before = st.session_state.get("in-use")
    st.session_state["in-use"] = used
    if trouble and st.session_state.get("trouble") != trouble:
        st.toast(
            f"{trouble}; “{plain(name)}” listens instead.",
            icon=":material/warning:",
            duration="long",
        )
    elif before not in (None, used):
        st.toast(
            f"“{plain(name)}” is the model that listens from now on.", icon=":material/swap_horiz:"
        )
    st.session_state["trouble"] = trouble


def history() -> dict[str, Entry]:
    """Return what was heard in this visit, by key, the newest last."""
    return st.session_state.setdefault("history", {})


def queue() -> list[tuple[str, str, object]]:
    """Return what is still to be heard: ways in (as `log` names them), titles, recordings."""
    return st.session_state.setdefault("queue", [])


def refused() -> list[str]:
    """Return why some of what was given last could not be heard, in sentences."""
    return st.session_state.setdefault("refused", [])


def listen() -> None:
    """Hear what is in the queue; show progress and a way to stop if it takes long."""
    waiting, place = queue(), st.empty()
    total, started = len(waiting), time.monotonic()
    bar = None

    def progress(done: float) -> None:
        nonlocal bar
        _, title, recording = waiting[0]
        long = time.monotonic() - started > _PATIENCE or getattr(recording, "size", 0) > _LARGE
        if bar is None and long:
            with place.container(horizontal=True, vertical_alignment="center"):
                bar = st.progress(0.0, width="stretch")
                st.button("Cancel", icon=":material/close:", on_click=cancel)
        if bar is not None:
            # Streamlit stops the script here when something else is asked for.
            bar.progress((total - len(waiting) + done) / total, text=f"Listening to {plain(title)}")

    while waiting:
        source, title, recording = waiting[0]
        try:
            progress(0.0)
            st.session_state.shown = _hear(source, recording, title, progress)
        except UndertoneError as error:
            refused().append(f"Sorry, “{plain(title)}”: {plain(str(error))}.")
        except Exception as error:  # ours, or too little memory; others are still to be heard
            logging.getLogger(__name__).exception("A recording could not be heard.")
            refused().append(
                f"Sorry, “{plain(title)}” could not be heard because of a fault in Undertone "
                f"({plain(type(error).__name__)}); try again, or give a shorter recording."
            )
        waiting.pop(0)
        _forget(recording)
    place.empty()


def cancel() -> None:
    """Hear nothing of what is in the queue."""
    for _, _, recording in queue():
        _forget(recording)
    queue().clear()


def _forget(recording) -> None:
    """Let go of an upload that is not needed; Streamlit would keep it as long as the visit."""
    visit = get_script_run_ctx()
    if visit and isinstance(recording, UploadedFile):
        visit.uploaded_file_mgr.remove_file(visit.session_id, recording.file_id)


def _hear(source: str, recording, title: str, progress: Callable[[float], None]) -> str:
    with log.prediction(source) as heard:
        clip = audio.read(recording, name=title)
        prediction = heard(recognizer().predict(clip, on_batch=progress))
    return remember(history(), clip, prediction, title=title)


def sorry(error: Exception | str) -> str:
    """Return Markdown that says what went wrong, which may quote what strangers have written."""
    return f"Sorry: {plain(str(error))}."


def plain(text: str) -> str:
    """Return Markdown that shows as the text itself."""
    return re.sub(r"([\\`*_{}\[\]()#+\-.!:$<>~|&])", r"\\\1", text)
