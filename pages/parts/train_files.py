"""What a training has left, to be taken away."""

import json

import pandas as pd
import streamlit as st

from pages.parts.hearing import plain
from ser_core import curves, jobs
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
        "Who learned, who tested (JSON)": (f"{known.name}-split.json", _split(known.name)),
    }
    if status.events:
        rounds = pd.DataFrame(status.events)
        files["Rounds (CSV)"] = (f"{known.name}-rounds.csv", rounds.to_csv(index=False))
    if status.log:
        files["What it said (text)"] = (f"{known.name}-log.txt", status.log)
    with st.container(horizontal=True):
        for label, (name, content) in files.items():
            st.download_button(
                label,
                content,
                file_name=name,
                icon=":material/download:",
                on_click="ignore",
                key=f"train-get-{label}",
            )
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


def _people(answers: pd.DataFrame) -> str:
    """Return how well each sex and each person was heard, as CSV."""
    groups = [
        curves.by_group(answers, column).rename_axis("who").reset_index().assign(of=column)
        for column in ("sex", "speaker")
    ]
    return pd.concat(groups).to_csv(index=False)


def _split(name: str) -> str:
    return json.dumps(jobs.read_json(jobs.run_folder(name) / "split.json"), indent=1)
