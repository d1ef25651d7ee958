"""One model: how it is used, what is known about it, what it is made of."""

import re
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import streamlit as st

from pages.parts import models_figures, models_file
from pages.parts.answer import named
from pages.parts.hearing import plain, sorry
from pages.parts.library import title
from ser_core import architecture, audio, comparison, jobs, outcome, plots_models, shelf
from ser_core.card import model_card, results_in_words, speakers_in_words
from ser_core.comparison import Latency
from ser_core.errors import UndertoneError
from ser_core.shelf import Model, Origin
from ser_core.splits import PROTOCOLS
from ser_core.wording import counted, duration, share

_VOICE = Path(__file__).parents[2] / "assets" / "samples" / "deep-fast-loud.flac"


@st.cache_data(max_entries=256, show_spinner=False)
def _latency(name: str, stamp: int, busy: bool) -> Latency:
    # Not by `recognizer`: the few that it keeps loaded are for those who listen. What is measured
    # while a training goes on (`busy`) is not kept for later.
    return comparison.latency(shelf.load(name), audio.read(_VOICE))


@st.cache_data(max_entries=16, show_spinner=False)
def _layers(name: str, stamp: int) -> tuple[architecture.Layer, ...]:
    return architecture.read(shelf.find(name).folder)


def answers_in(name: str) -> Latency | None:
    """Return how fast a model answers here; None if it cannot be loaded, as `show` tells."""
    try:
        return _latency(name, shelf.stamp(name), bool(jobs.running()))
    except UndertoneError:
        return None


def milliseconds(took: Latency) -> str:
    """Return how fast a model answers, in words."""
    spent = 1000 * took.seconds
    return f"{spent:.{1 if spent < 100 else 0}f} ms"


def use(name: str) -> None:
    """Make a model the app's."""
    _switch(lambda: shelf.activate(name))


def go_back(to: str, refused: str = "models-refused") -> None:
    """Make the model the app's that was before; it is kept under a key why not."""
    _switch(lambda: shelf.go_back(to), refused)


def _switch(choose, refused: str = "models-refused") -> None:
    try:
        chosen = choose()
    except UndertoneError as error:
        st.session_state[refused] = sorry(error)
        return
    st.session_state["in-use"] = chosen.name
    st.toast(f"“{plain(chosen.name)}” listens now, for everybody.", icon=":material/check:")


def show_use(used: str) -> None:
    """Say which model is in use, with a way back."""
    models_file.refused("back-refused")
    if trouble := st.session_state.get("trouble"):
        st.warning(f"{trouble}.")
    if not used:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        said = f":material/hearing: **{plain(used)}** is in use."
        if (live := shelf.for_live(used)) != used:
            said += f" On the page Live, **{plain(live)}** listens."
        st.markdown(said, width="content")
        before = shelf.active().before
        if before and not shelf.locked():
            st.button(
                f"Back to {plain(before)}",
                icon=":material/undo:",
                on_click=go_back,
                args=[before, "back-refused"],
            )


def show(models: Mapping[str, Model], used: str) -> None:
    """Let a model be chosen, show it, and offer what can be done with it."""
    names = list(models)
    if added := models_file.added():
        st.session_state["look-at"] = added
    if st.session_state.get("look-at") not in names:
        st.session_state["look-at"] = used if used in names else names[0]
    if len(names) > 1:
        st.header("A closer look", anchor=False)
        name = st.selectbox("Model", names, key="look-at")
    else:
        [name] = names
        st.header(f"A closer look at {plain(name)}", anchor=False)
    model = models[name]
    st.markdown(plain(model.card.description))
    _facts(model)
    models_file.actions(model, used, use=use)
    _look(model)


@st.fragment  # or all models would be drawn anew for each look at one
def _look(model: Model) -> None:
    """Show one side of a model at a time."""
    about, results, inside, card = st.tabs(
        ["What it is", "All results", "What is inside", "The whole card"],
        key="look",
        on_change="rerun",
    )
    if about.open:
        with about:
            _about(model)
    if results.open:
        with results:
            _results(model)
    if inside.open:
        with inside:
            _inside(model)
    if card.open:
        with card:
            _card(model)


def _facts(model: Model) -> None:
    try:
        busy = bool(jobs.running())
        took = _latency(model.name, shelf.stamp(model.name), busy)
    except UndertoneError as error:
        st.error(sorry(error))
        took = None
    with st.container(horizontal=True):
        st.metric("Emotions", len(model.card.labels), border=True, width=150)
        st.metric("Weights", f"{model.card.parameters:,}", border=True, width=190)
        st.metric("On disk", f"{model.size / 1e6:.1f} MB", border=True, width=150)
        if took:
            st.metric("Answers in", milliseconds(took), border=True, width=160)
    if took:
        words = (
            f"How fast it answers was measured on this computer: {took.clip_seconds:.0f} s of a "
            f"synthetic voice, heard {took.runs} times by the loaded model. This is the fastest, "
            "because what makes the others slower is the computer's other work."
        )
        if busy:
            words += " A training goes on here and slows all of them; look again when it is over."
        st.caption(words)


def _about(model: Model) -> None:
    card, training = model.card, model.card.training
    emotions = ", ".join(named(label) for label in card.labels)
    corpora = ", ".join(f"{title(name)} ({licence})" for name, licence in training.corpora.items())
    tuned = len(training.validation_speakers)
    if training.refitted:
        judges = f"{tuned} of them, kept aside at first, who decided"
        # The weights are the last round's, for nobody was left to say which were the best.
        rounds = f": {counted(training.epochs, 'round')} without those, then as many with all"
    else:
        judges = f"{counted(tuned, 'other speaker')}, who decided when to stop and"
        rounds = f"; of its rounds, the best was kept, number {training.epochs}"
    if not tuned:
        judges = "15 % of the clips, perhaps of the same voices, which decided when to stop and"
    lines = {
        "Hears": emotions,
        "Comes from": f"{model.origin}; made on {plain(card.created)}",
        "Learned from": f"{counted(training.utterances, 'recording')} of "
        f"{speakers_in_words(training)} in {plain(corpora)}",
        "Tuned on": f"{judges} below which confidence ({card.threshold:.0%}) it says “I can't "
        "tell”",
        "Training": f"{duration(training.seconds)}{rounds}; recipe {plain(training.recipe)}, "
        f"seed {training.seed}",
        "Licence": plain(card.licence),
        "Limits": "It hears emotion as it sounds in these recordings, not what anyone feels. "
        "Expect much less of it in everyday speech, other languages, children's voices and noise. "
        "It is not for decisions about people.",
    }
    if training.pretrained:
        lines["Began with"] = plain(training.pretrained)
    if model.name != card.name:
        lines["Its maker's name for it"] = plain(card.name)
    if model.origin is Origin.IMPORTED:
        lines["Trust"] = "Its figures are its maker's; nobody here has checked them."
    st.markdown("\n".join(f"- **{what}:** {text}" for what, text in lines.items()))


def _results(model: Model) -> None:
    if not model.card.evaluation:
        _own_test(model)
        return
    st.table(
        results_in_words(model.card, PROTOCOLS),
        alt=f"Test results of {model.name}, by protocol",
        hide_header=False,
    )
    st.caption(
        "*Right* is the accuracy, *UAR* the mean over emotions. Mean ± standard deviation, if "
        "there were several trainings. Believe the rows about unseen speakers."
    )
    models_figures.show(model)


def _card(model: Model) -> None:
    """Show the model card, as it lies with the model, but for what only machines read."""
    text = model_card(model.card).partition("\n---\n")[2].strip()
    if model.origin is Origin.IMPORTED:  # a stranger's words
        st.code(text, language=None, wrap_lines=True)
    else:
        # In a frame of its own, within which a phone moves tables that are wider than itself.
        with st.container(height=640):
            st.markdown(re.sub("^#", "###", text, flags=re.MULTILINE))


def _own_test(model: Model) -> None:
    """Say how a model did in the test of its own training, if it had one."""
    try:
        known = outcome.read(model.folder.parent)
    except UndertoneError:
        known = None  # imported, or moved here without its figures
    if known is None or known.part != "test":
        st.markdown("This model has not been tested, so its answers deserve no trust yet.")
        return
    scores = known.scores
    st.markdown(
        f"Right (accuracy) **{share(scores['accuracy'])}**, mean over emotions (UAR) "
        f"**{share(scores['uar'])}**. {plain(outcome.tried(known))}."
    )
    st.caption(
        "The test of this one training; the table at the top of the page has whole protocols, as "
        "`python -m ser_core crossval` measures them."
    )


def _inside(model: Model) -> None:
    try:
        layers = _layers(model.name, shelf.stamp(model.name))
    except UndertoneError:
        st.markdown("This model has no layers to show.")
        return
    drawn = architecture.drawn(layers)
    field = architecture.receptive_field(layers, model.card)
    words = [
        "From the sound at the top to the emotions at the bottom. At the right of each step is the "
        "size of what it hands on; the stronger its colour, the more of the weights are in it."
    ]
    if field:
        words.append(
            f"Before the parts that look at everything at once, each value depends on {field:.1f} "
            "s of sound (the receptive field of the convolutions)."
        )
    st.markdown(" ".join(words))
    with st.container(width=640):
        st.plotly_chart(
            plots_models.architecture(drawn),
            config={"displayModeBar": False},
            key="architecture",
            alt="Layers: " + ", then ".join(plots_models.called(layer) for layer in drawn),
        )
    with st.expander(f"All {len(layers)} steps"):
        st.dataframe(
            pd.DataFrame(
                {
                    "Step": [layer.name for layer in layers],
                    "Kind": [layer.kind for layer in layers],
                    "Settings": [layer.detail for layer in layers],
                    "Size": [plots_models.size(layer) for layer in layers],
                    "Weights": [layer.parameters for layer in layers],
                }
            ),
            hide_index=True,
            alt=f"All {len(layers)} steps of the network, with sizes and numbers of weights",
        )
