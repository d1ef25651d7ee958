"""How well the models hear: all of them by one protocol, and two of them against each other."""

import math
from collections.abc import Mapping

import pandas as pd
import streamlit as st

from pages.parts import models_one
from pages.parts.hearing import plain
from pages.parts.library import title
from ser_core import comparison, heldout, plots_models, shelf
from ser_core.card import Evaluation, is_leaky, mean_sd, protocol_in_words
from ser_core.comparison import Interval
from ser_core.errors import UndertoneError
from ser_core.shelf import Model
from ser_core.splits import PROTOCOLS
from ser_core.wording import people, share


@st.cache_data(max_entries=16, show_spinner=False)
def _heldout(name: str, stamp: int) -> pd.DataFrame:
    return heldout.read(shelf.find(name).folder)


@st.cache_data(max_entries=64, show_spinner=False)
def _interval(name: str, stamp: int, protocol: str) -> Interval | None:
    table = _heldout(name, stamp)
    return comparison.interval(table[table.protocol == protocol])


def show(models: Mapping[str, Model], used: str) -> None:
    """Rank the models by a protocol, and let two of them be compared."""
    st.header("How well they hear", anchor=False)
    protocols = comparison.protocols(model.card for model in models.values())
    if not protocols:
        st.markdown("No model here has been tested yet, so none deserves trust.")
        return
    protocol = st.selectbox(
        "Measured on",
        protocols,
        format_func=lambda name: f"{protocol_in_words(name, PROTOCOLS)} ({name})",
        key="protocol",
    )
    rows = {name: row for name, model in models.items() if (row := _measured(model, protocol))}
    ranked = sorted(rows, key=lambda name: -rows[name].uar)
    intervals = {name: _known_interval(name, protocol) for name in ranked}
    alike = len({row.labels for row in rows.values()}) == 1
    st.plotly_chart(
        plots_models.scores(
            {name: rows[name].uar for name in ranked},
            intervals,
            chance={name: 1 / rows[name].labels for name in ranked},
            used=used,
        ),
        config={"displayModeBar": False},
        key="scores",
        alt="; ".join(f"{name}: UAR {share(rows[name].uar)}" for name in ranked),
    )
    st.table(
        [_row(name, rows[name], intervals[name], used, alike=alike) for name in ranked],
        alt="Test results of the models",
        hide_header=False,
    )
    st.table(
        [_what_it_is(models[name]) for name in ranked],
        alt="What the models take, and what they learned from",
        hide_header=False,
    )
    st.caption(_explained(protocol, rows, intervals))
    if others := [name for name in models if name not in rows]:
        st.caption(f"Not measured this way: {', '.join(map(plain, others))}.")
    _compare(protocol, [name for name in ranked if _has(name, protocol)])


def _measured(model: Model, protocol: str) -> Evaluation | None:
    """Return how a model did by a protocol; on one group of it, from what is kept of all."""
    for row in model.card.evaluation:
        if row.protocol == protocol:
            return row
    try:
        return comparison.in_group(
            model.card, _heldout(model.name, shelf.stamp(model.name)), protocol
        )
    except UndertoneError:
        return None  # a damaged table is told of where the model is looked at


def _row(
    name: str, row: Evaluation, found: Interval | None, used: str, *, alike: bool
) -> dict[str, str]:
    """Return a row of the table, as in `results_in_words`; a phone has room for no more columns."""
    uar, accuracy = (f"{figure}%".replace("± ", "±\u00a0") for figure in mean_sd(row))
    span = f" ({100 * found.low:.0f}–{100 * found.high:.0f}%)" if found else ""
    cells = {
        "Model": f"**{plain(name)}**{' (in use)' if name == used else ''}",
        "Right": accuracy,
        "UAR": f"{uar}{span}",
        "Answered": _known_share(row.coverage),
        "Right when answered": _known_share(row.selective_accuracy),
    }
    return cells if alike else cells | {"Emotions": str(row.labels)}


def _known_share(value: float) -> str:
    return "–" if math.isnan(value) else share(value)


def _what_it_is(model: Model) -> dict[str, str]:
    took, training = models_one.answers_in(model.name), model.card.training
    corpora = ", ".join(map(title, training.corpora))
    voices = people(training.speakers, "voice", "voices").replace(" ", "\u00a0")
    return {
        "Model": f"**{plain(model.name)}**",
        "On disk": f"{model.size / 1e6:.1f}\u00a0MB",
        "Answers in": models_one.milliseconds(took).replace(" ", "\u00a0") if took else "–",
        "Learned from": f"{plain(corpora)} ({voices})",
        "Licence": plain(model.card.licence),
    }


def _explained(protocol: str, rows: Mapping[str, Evaluation], intervals: Mapping) -> str:
    words = [
        "*Right* is the share of clips that it heard as labelled. *UAR* is that averaged over the "
        "emotions, so that frequent ones do not count for more; ± is the standard deviation over "
        "several trainings. *Answered* is how often it did not say “I can't tell”. *Answers in* "
        "is the fastest of some answers on this computer, with 3 s of sound. A filled diamond is "
        "the model in use."
    ]
    if known := [found for found in intervals.values() if found]:
        words.append(
            "The line, and the range in brackets, is how far that may be off with other speakers, "
            f"because no more than {known[0].speakers} were heard (95% range, bootstrap over "
            "speakers; Bisani & Ney 2004)."
        )
    if missing := [name for name, found in intervals.items() if not found]:
        words.append(
            f"No such range for {', '.join(map(plain, missing))}: there are no single answers by "
            f"this protocol, or of fewer than {comparison.LEAST_SPEAKERS} speakers."
        )
    if is_leaky(protocol):
        words.append(
            "**With this protocol the same people speak in training and in the test. That flatters "
            "every model.**"
        )
    emotions = {row.labels for row in rows.values()}
    words.append(
        "Fewer emotions are easier to tell apart."
        if len(emotions) > 1
        else f"There are {emotions.pop()} emotions to choose from."
    )
    return " ".join(words)


def _known_interval(name: str, protocol: str) -> Interval | None:
    try:
        return _interval(name, shelf.stamp(name), protocol)
    except UndertoneError:
        return None  # a damaged table is told of where the model is looked at


def _has(name: str, protocol: str) -> bool:
    try:
        return bool((_heldout(name, shelf.stamp(name)).protocol == protocol).any())
    except UndertoneError:
        return False


def _compare(protocol: str, names: list[str]) -> None:
    """Say whether one of two models is better, or whether that may be chance."""
    if len(names) < 2:
        return
    st.subheader("Is one really better?", anchor=False)
    left, right = st.columns(2)
    first = left.selectbox("Compare", names, key="first-model")
    second = right.selectbox("with", [name for name in names if name != first], key="second-model")
    tables = [_heldout(name, shelf.stamp(name)) for name in (first, second)]
    try:
        found = comparison.difference(*(table[table.protocol == protocol] for table in tables))
    except UndertoneError as error:
        st.info(plain(f"That cannot be told: {error}."))
        return
    st.markdown(plain(comparison.in_words(first, second, found)))
    st.caption(
        f"On the same {found.clips} clips of {found.speakers} speakers, by {protocol}. "
        f"95% range of the difference: {100 * found.low:+.1f} to {100 * found.high:+.1f} points. "
        "How often chance would do as much is found by swapping the two models' answers, speaker "
        "by speaker, at random, 10,000 times (permutation test; Yeh 2000)."
    )
