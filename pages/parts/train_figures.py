"""The figures of a finished training, in tabs that are made when they are opened."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from pages.parts import train_clips, train_files, train_known
from pages.parts.answer import named
from pages.parts.library import here
from ser_core import curves, evaluation, plots_training
from ser_core.jobs import Status
from ser_core.outcome import Answers, Outcome
from ser_core.wording import counted, share

# Under the pointer, a button that saves the figure as a picture.
_BAR = {"modeBarButtons": [["toImage"]], "displaylogo": False}
_SCORES = {
    "loss": "Error (loss), training",
    "val_loss": "Error (loss), validation",
    "accuracy": "Right, training",
    "val_accuracy": "Right, validation",
    "uar": "UAR, training",
    "val_uar": "UAR, validation",
}
_TABS = (
    "Confusions",
    "Learning",
    "Emotions and people",
    "Sureness",
    "ROC and PR",
    "Mistakes",
    "Known or new voices",
    "Files",
)


def show(known: Outcome, status: Status) -> None:
    """Show all figures of a training."""
    tabs = st.tabs(_TABS, key="train-tabs", on_change="rerun")
    confusions, learned, groups, sure, rest, wrong, ways, files = tabs
    if confusions.open:
        with confusions:
            _confusions(known)
    if learned.open:
        with learned:
            if status.events:
                # A refit keeps the last round's weights, of a training whose curves are not these.
                best = 0 if known.refitted else known.metrics["epoch"]
                learning(status.events, best=best)
            else:
                st.markdown("It learns everything at once, so there is no curve to show.")
    if groups.open:
        with groups:
            _groups(known)
    if sure.open:
        with sure:
            _sureness(known)
    if rest.open:
        with rest:
            _one_vs_rest(known.answers)
    if wrong.open:
        with wrong:
            _mistakes(known.answers)
    if ways.open:
        with ways:
            train_known.of_run(status.name, here())
    if files.open:
        with files:
            train_files.show(known, status)


def learning(events: Sequence[dict], *, best: int = 0) -> None:
    """Draw how it learned, with a parabola fitted to each curve."""
    fits = curves.trends(events, list(_SCORES))
    charts = (
        ("Error (loss)", {"loss": "training", "val_loss": "validation"}, False),
        ("Right (accuracy)", {"accuracy": "training", "val_accuracy": "validation"}, True),
        ("Mean over emotions (UAR)", {"uar": "training", "val_uar": "validation"}, True),
        ("Learning rate", {"learning_rate": "learning rate"}, False),
    )
    columns = st.columns(2)
    for index, (title, scores, shares) in enumerate(charts):
        with columns[index % 2]:
            st.markdown(f"**{title}**")
            st.plotly_chart(
                plots_training.over_epochs(events, scores, fits=fits, best=best, shares=shares),
                config=_BAR,
                key=f"train-{next(iter(scores))}",
                alt=f"{title} over {counted(len(events), 'round')}",
            )
    kept = f" The dashed line is round {best}, whose weights were kept." if best else ""
    fitted = " Dotted: the parabola that fits best." if fits else ""
    st.caption(
        "Violet: others, kept aside to check it (validation). Orange: what it learns from, "
        f"changed copies included, scored while it learns; so orange may be worse.{kept}{fitted}"
    )
    if fits:
        rows = [
            {"Score": _SCORES[score], "Parabola over the round e": str(fit), "R²": f"{fit.r2:.2f}"}
            for score, fit in fits.items()
        ]
        st.table(rows, alt="Equations of the fitted parabolas", hide_header=False)
        st.caption(
            "R² is how much of the curve the parabola explains: 1 is all of it. Terms too small to "
            "matter are left out."
        )


@st.fragment
def _confusions(known: Outcome) -> None:
    labels, table = known.answers.labels, known.answers.table
    picked = st.session_state.get("train-cell")
    if picked is None or not set(picked) <= set(labels):
        picked = st.session_state["train-cell"] = _worst(table) or (labels[0], labels[0])
    left, right = st.columns([3, 2], gap="large")
    with left:
        rates = st.segmented_control(
            "Write in the cells",
            ("Per cent", "Counts"),
            default="Per cent",
            required=True,
            key="train-rates",
            persist_state="session",
        )
        st.plotly_chart(
            plots_training.confusion(table, labels, rates=rates == "Per cent", picked=picked),
            config=_BAR,
            key="train-confusion",
            on_select=_pick,
            selection_mode="points",
            alt="; ".join(
                f"{label}: {share(known.scores['per_class'][label]['recall'])} right"
                for label in labels
                if known.scores["per_class"][label]["support"]
            ),
        )
        st.caption(
            "Rows: what the actor was asked for. Columns: what was heard. Point at a cell to see "
            "which recordings are in it; click it to hear them."
        )
    with right:
        st.session_state["train-row"], st.session_state["train-column"] = picked
        one, two = st.columns(2)
        for place, title, key in (
            (one, "Labelled", "train-row"),
            (two, "Heard as", "train-column"),
        ):
            place.selectbox(title, labels, format_func=named, key=key, on_change=_choose)
        chosen = table[(table.emotion == picked[0]) & (table.heard == picked[1])]
        train_clips.show(
            chosen.sort_values("confidence", ascending=False, ignore_index=True), key="cell"
        )


def _worst(table: pd.DataFrame) -> tuple[str, str] | None:
    """Return the most frequent confusion, which is worth a look first."""
    wrong = table[~table.right]
    return None if wrong.empty else wrong.groupby(["emotion", "heard"]).size().idxmax()


def _pick() -> None:
    points = st.session_state["train-confusion"]["selection"]["points"]
    if points and points[0].get("customdata"):
        st.session_state["train-cell"] = tuple(points[0]["customdata"])


def _choose() -> None:
    st.session_state["train-cell"] = (
        st.session_state["train-row"],
        st.session_state["train-column"],
    )


def _groups(known: Outcome) -> None:
    st.subheader("Emotions", anchor=False)
    st.dataframe(
        in_per_cent(train_files.report(known)),
        hide_index=True,
        alt="Precision, recall and F1 of each emotion",
        column_config={
            name: st.column_config.NumberColumn(format="%d%%")
            for name in ("Precision", "Recall", "F1")
        },
    )
    st.caption(
        "*Recall*: of the recordings with this emotion, how many it heard as it. *Precision*: of "
        "those that it heard as this emotion, how many were. *F1* is high only if both are; its "
        f"mean over the emotions (macro F1) is {known.scores['macro_f1']:.0%}. *Recordings*: how "
        "many there were (support)."
    )
    for title, column in (("Women and men", "sex"), ("Speakers", "speaker")):
        found = curves.by_group(known.answers.table, column).reset_index()
        if found.empty:
            continue
        st.subheader(title, anchor=False)
        found.columns = ["Who", "Recordings", "Right", "UAR"]
        st.dataframe(
            in_per_cent(found),
            hide_index=True,
            alt=f"How well each of the {title.lower()} was heard",
            column_config={
                name: st.column_config.NumberColumn(format="%d%%") for name in ("Right", "UAR")
            },
        )


def in_per_cent(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose fractions are whole per cent."""
    shares = table.select_dtypes("float").columns
    return table.assign(**{name: (100 * table[name]).round() for name in shares})


def _sureness(known: Outcome) -> None:
    before, after = (
        evaluation.expected_calibration_error(answers.truth, answers.probabilities)
        for answers in (known.raw, known.answers)
    )
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("Is it as right as it is sure?", anchor=False)
        st.plotly_chart(
            plots_training.reliability(
                curves.reliability(known.answers.truth, known.answers.probabilities),
                before=curves.reliability(known.raw.truth, known.raw.probabilities),
            ),
            config=_BAR,
            key="train-reliability",
            alt=f"Reliability diagram; calibration error {before:.1%} before, {after:.1%} after",
        )
        st.markdown(f"Calibration error (ECE): **{before:.1%}** as it came, **{after:.1%}** after.")
        st.caption(
            "On the dotted line it is right as often as it is sure; below, it is too sure of "
            f"itself. One number, the temperature ({known.metrics['temperature']:.2f}), was fitted "
            f"on the validation part against that; {_mended(before, after)}."
        )
    with right:
        st.subheader("What if it answered only when sure?", anchor=False)
        curve = curves.coverage(known.answers.truth, known.answers.probabilities)
        threshold = known.metrics["threshold"]
        found = evaluation.selective(known.answers.truth, known.answers.probabilities, threshold)
        said = (
            f"{share(found.coverage)} answered, {share(found.accuracy)} of that right"
            if found.coverage
            else "nothing answered"
        )
        st.plotly_chart(
            plots_training.coverage(curve, threshold=threshold),
            config=_BAR,
            key="train-coverage",
            alt=f"Accuracy over coverage; at the threshold {said}",
        )
        withheld = f"If it says “I can't tell” below {threshold:.0%}"
        st.markdown(f"{withheld if threshold else 'If it always answers'}: **{said}**.")
        st.caption(
            "From right to left, the least sure answers are withheld first. The diamond is the "
            "threshold that was chosen on the validation part."
        )


def _mended(before: float, after: float) -> str:
    """Say whether calibration has helped: less than a tenth of the error is no difference."""
    if after < 0.9 * before:
        return "here it helps"
    return "here it does harm" if after > 1.1 * before else "here it changes little"


def _one_vs_rest(answers: Answers) -> None:
    left, right = st.columns(2, gap="large")
    for place, title, make, precision, area in (
        (left, "Hits and false alarms (ROC)", curves.roc, False, "area under the curve"),
        (right, "Precision and recall (PR)", curves.precision_recall, True, "average precision"),
    ):
        found = make(answers.truth, answers.probabilities, answers.labels)
        with place:
            st.subheader(title, anchor=False)
            st.plotly_chart(
                plots_training.one_vs_rest(found, precision=precision),
                config=_BAR,
                key=f"train-{'pr' if precision else 'roc'}",
                alt=f"{title}; {area}: "
                + ", ".join(f"{label} {curve.area:.2f}" for label, curve in found.items()),
            )
            st.caption(f"Each emotion against all others. The number is the {area}; 1 is perfect.")


@st.fragment
def _mistakes(answers: Answers) -> None:
    wrong = curves.mistakes(answers.table)
    if wrong.empty:
        st.markdown("It made no mistake.")
        return
    st.markdown(
        f"**{len(wrong):,}** of {len(answers.table):,} {'was' if len(wrong) == 1 else 'were'} "
        "heard as another emotion; those first of which it was surest. Listen: would you have "
        "heard it?"
    )
    train_clips.show(wrong, key="wrong")
