"""What is being trained right now, for everybody who looks; known from the run folder alone."""

import streamlit as st

from pages.parts.hearing import plain, sorry
from ser_core import jobs, plots_training
from ser_core.errors import UndertoneError
from ser_core.jobs import State, Status
from ser_core.wording import counted, duration

_EVERY = 2.0  # seconds between two looks
_BAR = {"displayModeBar": False}
_LINES = 10  # of what it says


@st.fragment(run_every=_EVERY)
def show() -> None:
    """Show how far the training is; look again and again."""
    try:
        going = jobs.running()
        found = list(jobs.statuses(going).values())
    except UndertoneError as error:
        st.error(sorry(error))
        return
    # The rest of the page depends on whether there is a training.
    before = st.session_state.get("train-going", going)
    st.session_state["train-going"] = going
    if before != going:
        if before and not going:
            st.session_state["train-over"] = before
        st.rerun()
    if found:
        _under_way(found)
    elif over := st.session_state.get("train-over"):
        _over(over)


def start(orders: list[jobs.Order]) -> None:
    """Start trainings; to be called back by a button."""
    _try(lambda: jobs.start(orders))


def resume(name: str) -> None:
    """Go on with a training; to be called back by a button."""
    _try(lambda: jobs.resume(name))


def _try(do) -> None:
    try:
        do()
    except UndertoneError as error:
        st.session_state["train-refused"] = sorry(error)
        return
    st.session_state.pop("train-over", None)
    st.session_state["train-going"] = jobs.running()


def refused() -> None:
    """Say what could not be done last."""
    if said := st.session_state.pop("train-refused", None):
        st.error(said)


def _under_way(found: list[Status]) -> None:
    now = next((status for status in found if status.state is not State.FINISHED), found[-1])
    place = f", {found.index(now) + 1} of {len(found)} trainings" if len(found) > 1 else ""
    with st.container(border=True, key="train-now"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"Now training **{plain(now.name)}**{place}", width="stretch")
            with st.popover("Cancel", icon=":material/close:", key="train-cancel"):
                st.markdown("It stops at once. What it has learned is kept: you can go on later.")
                if st.button("Stop it", type="primary"):
                    _cancel(now.name)
        share, text = _progress(now)
        st.progress(share, text=text)
        if now.events:
            _curves(now)
        st.caption(
            "It goes on if you leave, reload or close this page. Should it end with the app, as in "
            "a container, what it has learned is kept, and you can go on with it. One training at "
            "a time on this computer."
        )
        with st.expander("What it says", icon=":material/terminal:", key="train-log"):
            # Its end: what it says now is what one wants to read, without having to scroll.
            st.code("\n".join(now.log.splitlines()[-_LINES:]) or "Nothing yet.", language=None)


def _progress(now: Status) -> tuple[float, str]:
    done, total = now.features
    if now.state is State.FEATURES:
        return done / total, f"Preparing the recordings: {done:,} of {total:,}"
    if now.state in (State.MEASURING, State.FINISHED) or (now.epochs and now.epoch == now.epochs):
        return 1.0, "Done with learning; measuring what came of it"
    if not now.events:
        return 0.0, "Getting ready"
    left = f", {duration(now.seconds_left)} left at most" if now.seconds_left else ""
    again = ", now with everybody's recordings" if now.epoch > len(now.events) else ""
    return now.epoch / now.epochs, f"Round {now.epoch} of {now.epochs}{again}{left}"


# A figure that is the same as before is not drawn again.
@st.cache_resource(max_entries=24, show_spinner=False)
def _figure(name: str, begun: str, scores: tuple, shares: bool, rounds: int, _events):
    return plots_training.over_epochs(_events, dict(scores), shares=shares)


def _curves(now: Status) -> None:
    last = now.events[-1]
    charts = (
        ("Error (loss)", {"loss": "training", "val_loss": "validation"}, False),
        ("Right (accuracy)", {"accuracy": "training", "val_accuracy": "validation"}, True),
        ("Mean over emotions (UAR)", {"uar": "training", "val_uar": "validation"}, True),
    )
    for column, (title, scores, shares) in zip(st.columns(3), charts, strict=True):
        told = ", ".join(
            f"{name} {last[score]:.3g}" for score, name in scores.items() if score in last
        )
        with column:
            st.markdown(f"**{title}**")
            st.plotly_chart(
                _figure(
                    now.name, now.begun, tuple(scores.items()), shares, len(now.events), now.events
                ),
                config=_BAR,
                key=f"train-live-{next(iter(scores))}",
                alt=f"{title} over {counted(len(now.events), 'round')}, now: {told}",
            )
    st.caption(
        "A round (epoch) shows it every recording once. *Training*: on the recordings it learns "
        "from. *Validation*: on others, kept aside to check it. Learning rate now: "
        f"{last['learning_rate']:.2g}."
    )


def _cancel(name: str) -> None:
    try:
        jobs.cancel(name)
    except UndertoneError as error:
        st.session_state["train-refused"] = sorry(error)
    st.rerun()


def _over(names: list[str]) -> None:
    """Say what became of the training that was watched."""
    failed = ""
    for name in names:
        try:
            found = jobs.status(name)
        except UndertoneError:
            continue  # it was deleted
        if found.state is State.FINISHED:
            st.success(f"“{plain(name)}” is finished.", icon=":material/check:")
        elif found.state is State.FAILED:
            failed = failed or name
            st.error(f"Sorry, “{plain(name)}” stopped: {plain(found.error)}.")
        else:
            st.info(f"“{plain(name)}” was {found.state}. You can go on with it.")
    with st.container(horizontal=True):
        # The whole page is to follow, not this part of it alone.
        if see := st.button("See why" if failed else "See what came of it", type="primary"):
            st.session_state["train-look"] = failed or names[0]
            both = len(names) > 1 and not failed
            st.session_state["train-go"] = "Known or new voices" if both else "Results"
        if st.button("Close") or see:
            del st.session_state["train-over"]
            st.rerun()
