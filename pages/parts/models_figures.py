"""What a model's results look like: voices, how sure it is and how right, and whom it hears."""

import pandas as pd
import streamlit as st

from pages.parts.train_figures import in_per_cent
from ser_core import curves, evaluation, heldout, plots_models, plots_training, shelf
from ser_core.card import Evaluation, headline, voices
from ser_core.outcome import Answers, answers_of
from ser_core.shelf import Model
from ser_core.wording import counted, share

_TITLES = {"recordings": "Recordings", "accuracy": "Right", "uar": "UAR", "recall": "Recall"}
_BAR = {"modeBarButtons": [["toImage"]], "displaylogo": False}


@st.cache_data(max_entries=8, show_spinner=False)
def _heard(name: str, stamp: int, protocol: str) -> Answers | None:
    table = heldout.read(shelf.find(name).folder)
    labels, table = heldout.labels_of(table), table[table.protocol == protocol]
    return answers_of(table, labels) if len(table) else None


def show(model: Model) -> None:
    """Draw what is known of a model by its first protocol on people it has never heard."""
    row = headline(model.card)
    if row is None:
        return
    _voices(model, row)
    found = _heard(model.name, shelf.stamp(model.name), row.protocol)
    if found is None:
        return
    _sureness(model, row, found)
    _people(row, found)


def _voices(model: Model, row: Evaluation) -> None:
    """Draw what it helps to know a voice."""
    known, labelled = voices(model.card, row.protocol)
    if not known:
        return
    st.subheader("What it helps to know the voice", anchor=False)
    points = {0: row.uar} | known
    with st.container(width=560):
        st.plotly_chart(
            plots_models.voices(points, labelled),
            config=_BAR,
            key="models-voices",
            alt=", ".join(f"{counted(k, 'clip')} {share(uar)}" for k, uar in points.items()),
        )
    marked = ""
    if labelled is not None:
        marked = f" The diamond: from one clip in each emotion, {share(labelled)}."
    st.caption(
        f"UAR by *{row.protocol}* after it has got to know each speaker from so many other clips, "
        f"drawn by chance, without being told the emotions in them.{marked} On the page Recognize, "
        "“Your voice” does this."
    )


def _sureness(model: Model, row: Evaluation, found: Answers) -> None:
    error = evaluation.expected_calibration_error(found.truth, found.probabilities)
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("Is it as right as it is sure?", anchor=False)
        st.plotly_chart(
            plots_training.reliability(curves.reliability(found.truth, found.probabilities)),
            config=_BAR,
            key="models-reliability",
            alt=f"Reliability diagram; calibration error {error:.1%}",
        )
        st.caption(
            f"By *{row.protocol}*. On the dotted line it is right as often as it is sure; below, "
            f"it is too sure of itself. Expected calibration error (ECE) of a run: {row.ece:.1%}."
        )
    with right:
        st.subheader("What if it answered only when sure?", anchor=False)
        st.plotly_chart(
            plots_training.coverage(
                curves.coverage(found.truth, found.probabilities), threshold=model.card.threshold
            ),
            config=_BAR,
            key="models-coverage",
            alt=f"Accuracy over coverage; answered {share(row.coverage)}, of that "
            f"{share(row.selective_accuracy)} right",
        )
        st.caption(
            f"By *{row.protocol}*. From right to left, the least sure answers are withheld first. "
            "The diamond is this model's threshold; by those of the models that were tested, "
            f"{share(row.coverage)} were answered, {share(row.selective_accuracy)} of them right."
        )


def _people(row: Evaluation, found: Answers) -> None:
    st.subheader("Whom it hears how well", anchor=False)
    tables = {"Emotion": _emotions(row), "Speaker": curves.by_group(found.table, "speaker")}
    for (what, table), place in zip(tables.items(), st.columns(2, gap="large"), strict=True):
        with place:
            shown = in_per_cent(table.reset_index(names=what))
            shown = shown.rename(columns=_TITLES)
            st.dataframe(
                shown,
                hide_index=True,
                alt=f"How well each {what.lower()} was heard",
                column_config={
                    name: st.column_config.NumberColumn(format="%d%%")
                    for name in ("Right", "UAR", "Recall")
                },
            )
    sexes = [
        f"{whom} {share(row.uar_by_sex[sex])}"
        for sex, whom in (("female", "women"), ("male", "men"))
        if sex in row.uar_by_sex
    ]
    st.caption(
        f"By *{row.protocol}*, over all its runs. Recall: how many of the recordings with an "
        f"emotion were heard as it. UAR: its mean over the emotions{'; ' if sexes else ''}"
        f"{', '.join(sexes)}."
    )


def _emotions(row: Evaluation) -> pd.DataFrame:
    recall = pd.Series(row.recall, dtype=float).sort_values(ascending=False)
    return recall.to_frame("recall")
