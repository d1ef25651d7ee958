"""What a training has left, to be taken away."""

import json
from contextlib import suppress

import pandas as pd
import streamlit as st

from pages.parts.hearing import plain, sorry
from ser_core import curves, jobs
from ser_core.errors import UndertoneError
from ser_core.jobs import Status
from ser_core.outcome import Outcome
from ser_core.recipe_text import to_toml


def report(known: Outcome) -> pd.DataFrame:
    """Return the classification report, a row an emotion."""
    return pd.DataFrame(
        [
            {
                "Emotion": label,
                "Precision": row["precision"],
                "Recall": row["recall"],
                "F1": row["f1"],
                "Recordings": row["support"],
            }
            for label, row in known.scores["per_class"].items()
        ]
    )


def show(known: Outcome, status: Status) -> None:
    """Offer every file; say what it was trained with."""
    answers = known.answers.table
    try:
        left = _left(known.name)
    except UndertoneError as error:  # deleted just now
        st.error(sorry(error))
        return
    files = {
        "Recipe (TOML)": (f"{known.name}.toml", to_toml(known.recipe)),
        "All figures (JSON)": (f"{known.name}-metrics.json", json.dumps(known.metrics, indent=2)),
        "Emotions (CSV)": (f"{known.name}-emotions.csv", report(known).to_csv(index=False)),
        "People (CSV)": (f"{known.name}-people.csv", _people(answers)),
        "Every answer (CSV)": (f"{known.name}-answers.csv", answers.to_csv(index=False)),
        "Answers before calibration (CSV)": (
            f"{known.name}-uncalibrated.csv",
            known.raw.table.to_csv(index=False),
        ),
        **left,
    }
    if status.events:
        rounds = pd.DataFrame(status.events)
        files["Rounds (CSV)"] = (f"{known.name}-rounds.csv", rounds.to_csv(index=False))
    with st.container(horizontal=True):
        for label, (name, content) in files.items():
            _offer(label, content, name)
        show_log(known.name)
    about, metrics = known.about, known.metrics
    counts, seconds = about["utterances"], metrics["seconds"]
    lines = {
        "Recordings": f"{counts['train']:,} to learn from, {counts['validation']:,} for "
        f"validation, {counts['test']:,} for the test",
        "Left out": f"{len(about['left_out'])} that could not be read",
        "Weights": f"{metrics['parameters']:,}",
        "Time": f"{seconds:,.{0 if seconds >= 10 else 1}f} s",
        "Seed": about["seed"],
        "Made with": ", ".join(f"{name} {number}" for name, number in about["environment"].items()),
    }
    st.markdown("\n".join(f"- **{name}:** {plain(str(text))}" for name, text in lines.items()))


def show_log(name: str) -> None:
    """Offer all that a run has said, whenever it was gone on with."""
    with suppress(UndertoneError):  # deleted just now
        if said := jobs.said(name):
            _offer("All that it said (text)", said, f"{name}-log.txt")


def _offer(label: str, content: str | bytes, file: str) -> None:
    st.download_button(
        label,
        content,
        file_name=file,
        icon=":material/download:",
        on_click="ignore",
        key=f"train-get-{label}",
    )


def _people(answers: pd.DataFrame) -> str:
    """Return how well each sex and each person was heard, as CSV."""
    groups = [
        curves.by_group(answers, column).rename_axis("who").reset_index().assign(of=column)
        for column in ("sex", "speaker")
    ]
    return pd.concat(groups).to_csv(index=False)


def _left(name: str) -> dict[str, tuple[str, str | bytes]]:
    """Return, by label, files that are in a run's folder as they are offered."""
    folder = jobs.run_folder(name)
    split = json.dumps(jobs.read_json(folder / "split.json"), indent=1)
    found = {"Who learned, who tested (JSON)": (f"{name}-split.json", split)}
    with suppress(OSError):  # deleted just now
        answers = (folder / "predictions.parquet").read_bytes()
        found["All answers, validation too (Parquet)"] = (f"{name}-predictions.parquet", answers)
    return found
