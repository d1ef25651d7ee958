"""Past trainings: one of them opened, with all its figures."""

import time

import streamlit as st

from pages.parts import models_file, models_one, train_figures, train_files, train_now
from pages.parts.hearing import plain, sorry
from ser_core import jobs, outcome, shelf
from ser_core.errors import UndertoneError
from ser_core.jobs import State, Status
from ser_core.outcome import Outcome
from ser_core.wording import share

_ICONS = {
    State.FINISHED: "✓",
    State.FAILED: "✗",
    State.CANCELLED: "◌",
    State.INTERRUPTED: "◌",
}


# Not cache_data, which makes a copy at each call: nobody changes an outcome.
@st.cache_resource(max_entries=8, show_spinner=False)
def _outcome(folder: str, stamp: int) -> Outcome:
    return outcome.read(jobs.run_folder(folder))


def show() -> None:
    """Let a past training be chosen, and show what came of it."""
    train_now.refused()
    found = jobs.statuses(jobs.runs())
    chosen = st.session_state.pop("train-look", None) or st.session_state.get("train-run")
    if chosen not in found:
        models_file.refused()  # the run is gone, and with it the place beside its buttons
    if not found:
        st.info("Nothing has been trained here yet. Start with “New training”.")
        return
    st.session_state["train-run"] = chosen if chosen in found else next(iter(found))
    name = st.selectbox(
        "Training",
        list(found),
        format_func=lambda name: _called(found[name]),
        key="train-run",
        persist_state="session",
    )
    status = found[name]
    if status.state is not State.FINISHED:
        _unfinished(status)
        return
    try:
        stamp = (jobs.run_folder(name) / "metrics.json").stat().st_mtime_ns
        known = _outcome(name, stamp)
    except (UndertoneError, OSError) as error:
        st.error(sorry(error))
        _actions(status)
        return
    _headline(known)
    _actions(status)
    train_figures.show(known, status)


def _called(status: Status) -> str:
    test = "no test" if status.protocol is None else f"{status.protocol}"
    icon = _ICONS.get(status.state, "…")
    return f"{icon} {status.name} · {test} · {_when(status.begun)}"


def _when(begun: str) -> str:
    try:
        return time.strftime("%d %b %Y, %H:%M", time.strptime(begun, "%Y-%m-%dT%H:%M:%S%z"))
    except ValueError:
        return "?"


def _headline(known: Outcome) -> None:
    """Say how well it hears, whom that was tried on, and what that is worth."""
    scores = known.scores
    with st.container(horizontal=True):
        st.metric("Right (accuracy)", share(scores["accuracy"]), border=True, width=170)
        st.metric(
            "Mean over emotions (UAR)",
            share(scores["uar"]),
            border=True,
            width=250,
            help="UAR (unweighted average recall): how often it is right, averaged over the "
            "emotions, so that frequent ones do not count for more.",
        )
        guess = 100 / len(known.answers.labels)
        st.metric("Guessing", f"{guess:.3g}%", border=True, width=150)
    people = ", ".join(speaker for speaker in known.speakers[:12])
    people += " …" if len(known.speakers) > 12 else ""
    st.markdown(f"{outcome.tried(known)}.")
    if people:
        st.caption(f"Speakers: {plain(people)}")


def _actions(status: Status) -> None:
    models_file.refused()
    with st.container(horizontal=True, vertical_alignment="center"):
        used = shelf.active()
        if status.model:
            mine = used.name == status.name
            st.button(
                "In use" if mine else "Use this model",
                type="primary",
                icon=":material/check:",
                disabled=mine,
                on_click=models_one.use,
                args=[status.name],
            )
            if mine and used.before:
                st.button(
                    f"Back to {plain(used.before)}",
                    icon=":material/undo:",
                    on_click=models_one.go_back,
                    args=[used.before],
                )
        if status.resumable:
            st.button(
                "Go on",
                type="primary",
                icon=":material/play_arrow:",
                disabled=bool(jobs.running()),
                on_click=train_now.resume,
                args=[status.name],
            )
        with st.popover("Delete", icon=":material/delete:", key="train-delete"):
            also = ", its model too" if status.model else ""
            st.markdown(f"This deletes all that **{plain(status.name)}** has left{also}, for good.")
            st.button("Delete it", type="primary", on_click=_delete, args=[status.name])
    if status.state is State.FINISHED and not status.model:
        st.caption("It leaves figures, but no model that the app could use.")


def _delete(name: str) -> None:
    try:
        jobs.delete(name)
    except UndertoneError as error:
        st.session_state["train-refused"] = sorry(error)
        return
    st.toast(f"“{plain(name)}” is deleted.", icon=":material/delete:")


def _unfinished(status: Status) -> None:
    if status.state is State.FAILED:
        st.error(f"Sorry, it stopped: {plain(status.error)}.")
    elif status.state in (State.CANCELLED, State.INTERRUPTED):
        done = f" after {status.epoch} of {status.epochs} rounds" if status.epochs else ""
        st.info(f"It was {status.state}{done}. What it has learned is kept.")
    else:
        st.info("It is being trained; see above.")
        return
    _actions(status)
    if status.events:
        train_figures.learning(status.events)
    with st.expander("What it said", icon=":material/terminal:"):
        st.code(status.log or "Nothing.", language=None, height=300)
        train_files.show_log(status.name)
