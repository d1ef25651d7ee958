"""The same recipe, tested on voices that it knows and on voices that it has never heard."""

from collections.abc import Iterable, Mapping

import pandas as pd
import streamlit as st

from pages.parts import train_now
from pages.parts.hearing import plain, sorry
from pages.parts.library import title
from pages.parts.train_new import called, describe, nothing_here, protocols
from ser_core import jobs, outcome, plan, plots_training, recipe
from ser_core.card import LEAKY
from ser_core.errors import UndertoneError
from ser_core.jobs import Order, State
from ser_core.outcome import Outcome
from ser_core.recipe import Recipe
from ser_core.wording import counted, people, share

_WHY = (
    "**Why they differ:** in a random split the people who test it also taught it, so that it can "
    "get an emotion right by recognising the voice; with new people only the emotion itself helps, "
    "and that is what you may expect when it hears you."
)


def show(manifests: Mapping[str, pd.DataFrame]) -> None:
    """Show both figures of a recipe side by side, or measure them."""
    train_now.refused()
    name = _recipe(list(plan.shipped()))
    left, right = st.columns(2, gap="large")
    with left:
        shown = _beforehand(name)
    with right if shown else left:
        shown |= _here(name, manifests)
    if shown:
        st.markdown(_WHY)


def of_run(name: str, manifests: Mapping[str, pd.DataFrame]) -> None:
    """Show what came of a run's recipe, its settings included, both ways, or offer to train it."""
    try:
        loaded = recipe.of_run(jobs.run_folder(name))
    except UndertoneError as error:
        st.error(sorry(error))
        return
    if _both_ways(loaded, manifests):
        st.markdown(_WHY)


def show_beforehand() -> None:
    """Show the figures that we have measured of recipes, where nothing may be trained."""
    names = [name for name in plan.shipped() if outcome.beforehand(name)]
    if names:
        name = _recipe(names)
        left, _ = st.columns(2, gap="large")  # of a figure's usual width
        with left:
            _beforehand(name)
        st.markdown(_WHY)


def _recipe(names: list[str]) -> str:
    """Say what is to be seen here, and let a recipe be chosen for it."""
    st.markdown(
        "Most published figures come from a random split: the same people speak in training and in "
        "the test. See what is left of them when the voices are new."
    )
    name = st.selectbox(
        "Recipe",
        names,
        index=names.index("svm") if "svm" in names else 0,
        format_func=called,
        key="train-known-recipe",
        persist_state="session",
    )
    describe(plan.shipped()[name])
    return name


def _beforehand(name: str) -> bool:
    """Show what we have measured of the recipe; return whether there was something."""
    found = outcome.beforehand(name)
    if found is None:
        return False
    st.subheader("As we measured it", anchor=False)
    known, new = found
    _draw(known, new, key="beforehand")
    st.caption(
        f"{_times(LEAKY, known)}; {_times(new['protocol'], new)}."
        + _unlike(known.get("corpus", "").split("+"), new.get("corpus", "").split("+"))
    )
    return True


def _times(protocol: str, row: Mapping) -> str:
    """Say how often a recipe was measured by a protocol."""
    seeds = row.get("seeds", "several")
    return f"{protocol}, {'one training' if seeds == 1 else f'mean of {seeds} trainings'}"


def _here(name: str, manifests: Mapping[str, pd.DataFrame]) -> bool:
    """Show what was measured on this computer, or offer to; return whether there was something."""
    st.subheader("Measured on this computer", anchor=False)
    if not manifests:
        nothing_here()
        return False
    return _both_ways(recipe.load(name, plan.suited(plan.shipped()[name], manifests)), manifests)


def _both_ways(loaded: Recipe, manifests: Mapping[str, pd.DataFrame]) -> bool:
    """Show what came of a recipe both ways, and offer what is missing; return whether none was."""
    found = jobs.statuses(jobs.runs())
    finished = [name for name, status in found.items() if status.state is State.FINISHED]
    try:
        pair = outcome.both_ways(finished, loaded)
    except UndertoneError as error:  # one was deleted just now
        st.error(sorry(error))
        return False
    shown = all(pair)
    if shown:
        try:
            _pair(*(outcome.read(jobs.run_folder(run)) for run in pair))
        except UndertoneError as error:
            st.error(sorry(error))
            shown = False
    _offer(loaded, manifests, pair)
    return shown


def _pair(known: Outcome, new: Outcome) -> None:
    _draw(known.scores, new.scores, key="here")
    st.caption(
        f"“{plain(known.name)}”: {counted(len(known.answers.table), 'recording')} of "
        f"{people(known.speakers)} whom it knows ({known.protocol}). "
        f"“{plain(new.name)}”: {len(new.answers.table):,} of "
        f"{people(new.speakers)} whom it does not "
        f"({new.protocol}, group {new.about['fold'] + 1}); another group may be easier or harder."
        + _unlike(
            *(dict.fromkeys(each.answers.table.id.str.split("/").str[0]) for each in (known, new))
        )
    )


def _unlike(known: Iterable[str], new: Iterable[str]) -> str:
    """Say so, if what was tested are not recordings of the same corpora."""
    if set(known) == set(new):
        return ""
    first, second = (", ".join(map(title, corpora)) for corpora in (known, new))
    return f" They are not of the same recordings: the first is of {first}, the second of {second}."


def _draw(known: Mapping, new: Mapping, *, key: str) -> None:
    scores = [
        {"Right (accuracy)": row["accuracy"], "Mean over emotions (UAR)": row["uar"]}
        for row in (known, new)
    ]
    st.plotly_chart(
        plots_training.known_and_new(*scores),
        config={"displayModeBar": False},
        key=f"train-pair-{key}",
        alt="; ".join(
            f"{name}: {share(scores[0][name])} with voices it knows, "
            f"{share(scores[1][name])} with voices it never heard"
            for name in scores[0]
        ),
    )


def _offer(
    loaded: Recipe, manifests: Mapping[str, pd.DataFrame], pair: tuple[str | None, str | None]
) -> None:
    """Offer to train what is missing of a pair, or all of it again."""
    try:
        manifest = plan.recordings(loaded, manifests)
    except UndertoneError as error:
        st.error(sorry(error))
        return
    found = protocols(loaded.digest, len(manifest), loaded, manifest)
    fit = [name for name, reason in found.items() if not reason and name != LEAKY]
    if not fit or found[LEAKY]:
        st.info(
            "It cannot be measured here: that takes a complete copy of RAVDESS, SAVEE, TESS or "
            "CREMA-D."
        )
        return
    ways = {LEAKY: "a random fifth", fit[0]: f"the first group of {fit[0]}"}
    missing = [way for way, run in zip(ways, pair, strict=True) if run is None]
    busy = jobs.running()
    st.button(
        {0: "Measure both again", 1: "Train the other one, too", 2: "Train it both ways"}[
            len(missing)
        ],
        type="primary" if missing else "secondary",
        icon=":material/play_arrow:",
        disabled=bool(busy),
        on_click=train_now.start,
        args=[[Order(loaded, way) for way in missing or ways]],
    )
    words = f"It is tested on {' and on '.join(ways[way] for way in missing or ways)}."
    if not plan.is_baseline(loaded):
        words += " That may take long; svm, for one, takes seconds."
    if busy:
        words += f" Now “{plain(busy[0])}” is being trained; wait for it."
    st.caption(words)
