"""Browse: a table of recordings, and one of them looked at closely."""

import mimetypes

import numpy as np
import pandas as pd
import streamlit as st

from pages.parts import pictures, spoken
from pages.parts.answer import named
from pages.parts.hearing import plain, recognizer, sorry
from pages.parts.library import speaker, speakers, title
from pages.parts.playhead import playhead
from ser_core import audio, heard, plots, plots_over_time, plots_window, unheard
from ser_core.card import Card, base_of
from ser_core.corpora import ready_made
from ser_core.emotions import EMOTIONS
from ser_core.errors import UndertoneError
from ser_core.features import FeatureSpec
from ser_core.splits import PROTOCOLS
from ser_core.wording import counted, percent, share

_TABLE = "explore-table"
_PLAY = "explore-play"
_COLUMNS = {
    "corpus": "Corpus",
    "speaker": "Speaker",
    "sex": "Sex",
    "age": "Age",
    "intensity": "Intensity",
    "sentence": "Sentence",
    "channel": "Spoken or sung",
    "take": "Take",
}


@st.fragment
def show(manifest: pd.DataFrame) -> None:
    """List recordings; show the one that is chosen.

    Args:
        manifest: columns as in `Utterance`, with a default index.
    """
    try:
        if manifest.emotion.any() and st.toggle(
            "Find where the model is wrong",
            key="explore-wrong",
            on_change=_first,
            persist_state="session",
            help="Keeps the recordings that the model takes for another emotion, those where it is "
            "surest first, as far as it was not trained on them.",
        ):
            manifest = _mistakes(manifest)
            if manifest.empty:
                return
        _close(_listing(manifest))
    except UndertoneError as error:
        st.error(sorry(error))


def answers(manifest: pd.DataFrame) -> pd.DataFrame:
    """Return `unheard.answers` for a manifest; show how far it is, if that takes its time."""
    with spoken.counted("The model listens:") as on_clip:
        return unheard.answers(recognizer().bundle, manifest, on_clip=on_clip)


def _mistakes(manifest: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that the model takes for another emotion, the surest first."""
    model = recognizer().bundle
    if not heard.can_hear(model, manifest).any():
        st.markdown(spoken.needs_sound(model.card.name))
    found = answers(manifest)
    counts = found.protocol != ""
    best = unheard.best(found[counts])
    judged = manifest.join(best, how="inner")
    wrong = judged[judged.heard != judged.emotion].sort_values("confidence", ascending=False)
    if len(judged):
        st.markdown(
            f"Wrong for **{len(wrong):,}** of {len(judged):,} "
            f"({share(len(wrong) / len(judged))}){_withheld(wrong, model.card)}. "
            + " ".join(measured(name) for name in sorted(set(found.protocol[counts])))
        )
    if skipped := int((~counts & unheard.knows(model, manifest)).sum()):
        st.caption(
            f"{counted(skipped, 'recording')} {'is' if skipped == 1 else 'are'} left out: the "
            "model was trained with these voices, so that its answers would prove nothing."
        )
    return wrong.reset_index(drop=True)


def _withheld(wrong: pd.DataFrame, card: Card) -> str:
    """Say how many wrong answers it would have kept to itself, if any."""
    withheld = int((wrong.confidence < card.threshold).sum())
    return f"; instead of {withheld:,} of these it would say “I can't tell”" if withheld else ""


def measured(protocol: str) -> str:
    """Say in a sentence whose answers those of a protocol of `unheard.answers` are."""
    if protocol == unheard.UNSEEN_CORPUS:
        return "The model was not trained on any of these recordings (unseen corpus)."
    if protocol != base_of(protocol):  # of its own test
        return (
            "Answers are the model's own, about people whom it has never heard: those of its test "
            f"({protocol})."
        )
    return (
        "Answers are those of models that were trained in the same way, but never heard the "
        f"speaker ({protocol}: {PROTOCOLS[protocol]})."
    )


def _listing(manifest: pd.DataFrame) -> pd.Series:
    """Draw the table; return the chosen row."""
    ids = manifest.id.tolist()
    kept = st.session_state.get("explore-clip")
    position = ids.index(kept) if kept in ids else 0
    st.session_state[_TABLE] = {"selection": {"rows": [position]}}
    st.dataframe(
        _table(manifest),
        width="stretch" if manifest.emotion.any() else "content",
        hide_index=True,
        key=_TABLE,
        on_select=_choose,
        selection_mode="single-row-required",
        column_config={
            "Play": st.column_config.ButtonColumn(
                "", alignment="left", type="tertiary", key=_PLAY, on_click=_play
            ),
            "Sure": st.column_config.NumberColumn(format="%d%%"),
            "Sentence": st.column_config.TextColumn(width="medium"),
        },
        alt="Recordings",
    )
    st.session_state["explore-listed"] = ids
    return manifest.iloc[position]


def _choose() -> None:
    rows = st.session_state[_TABLE]["selection"]["rows"]
    if rows:
        st.session_state["explore-clip"] = st.session_state["explore-listed"][rows[0]]


def _first() -> None:
    st.session_state.pop("explore-clip", None)


def _play() -> None:
    row = st.session_state[_PLAY]["row"]
    st.session_state["explore-clip"] = st.session_state["explore-listed"][row]
    st.session_state["explore-playing"] = True


def _table(manifest: pd.DataFrame) -> pd.DataFrame:
    """Return what is shown of a manifest: columns in which rows differ, by the names people use.

    As categories, thousands of rows are a fifth of the bytes.
    """
    manifest = manifest.assign(
        corpus=manifest.corpus.map(title), speaker=manifest.speaker.map(speakers(manifest))
    )
    silent = ready_made.silent(manifest)
    columns = {"Play": np.where(silent, None, ":material/play_arrow: Play")}
    if manifest.emotion.any():
        columns["Emotion"] = _faces(manifest.emotion)
    if "heard" in manifest:
        columns["Heard as"] = _faces(manifest.heard)
        columns["Sure"] = (100 * manifest.confidence).round()
    for column, name in _COLUMNS.items():
        if manifest[column].nunique() > 1:
            columns[name] = manifest[column]
    table = pd.DataFrame(columns, manifest.index)
    texts = table.columns.difference(["Sure", "Age", "Take"])
    return table.astype(dict.fromkeys(texts, "category")).assign(
        Clip=manifest.id.str.partition("/")[2]
    )


def _faces(emotions: pd.Series) -> pd.Series:
    return emotions.map({name: f"{known.emoji} {name}" for name, known in EMOTIONS.items()})


def _close(row: pd.Series) -> None:
    """Show one recording: sound, pictures, label, and the model's answer."""
    if not row.path.is_file():
        raise UndertoneError(f"{row.path} is not there; it was moved, or a table lists it wrongly")
    left, right = st.columns([2, 3], gap="large")
    with left:
        st.header(f"Labelled {named(row.emotion)}" if row.emotion else _clip(row), anchor=False)
        if told := _told(row):
            st.markdown(told)
        _player(row)
        _answer(row)
    with right:
        _picture(row)


def _clip(row: pd.Series) -> str:
    return row.id.partition("/")[2]


def _told(row: pd.Series) -> str:
    who = [
        row.speaker and speaker(row.corpus, row.speaker),
        row.sex,
        f"{row.age} years" if pd.notna(row.age) else "",
    ]
    how = [f"{row.intensity} intensity" if row.intensity else ""]
    how += ["sung"] if row.channel == "song" else []
    return " · ".join(plain(part) for part in (row.sentence, *who, *how) if part)


def _player(row: pd.Series) -> None:
    playing = st.session_state.pop("explore-playing", False)
    if ready_made.is_ready_made(row.path):
        st.info("There is no sound of this clip here, only its spectrogram.")
        return
    kind = mimetypes.guess_type(row.path)[0] or "audio/wav"
    with st.container(key=pictures.PLAYER):
        st.audio(str(row.path), format=kind, autoplay=playing, alt=f"Recording {_clip(row)}")


def _answer(row: pd.Series) -> None:
    """Show what the model hears, or why that would prove nothing."""
    one = row.to_frame().T.reset_index(drop=True)
    answer = unheard.answers(recognizer().bundle, one).iloc[0]
    if not answer.protocol:
        if unheard.knows(recognizer().bundle, one).all():
            st.markdown(
                ":material/school: The model was trained with this voice, so that its answer would "
                "prove nothing."
            )
        elif not heard.can_hear(recognizer().bundle, one).all():
            st.markdown(spoken.needs_sound(recognizer().card.name))
        return
    values = answer.drop("protocol").astype(float).to_dict()
    label = max(values, key=values.get)
    abstained = values[label] < recognizer().card.threshold
    st.markdown(_verdict(label, values[label], row.emotion, abstained=abstained))
    told = ", ".join(f"{name} {percent(p)}" for name, p in values.items())
    st.plotly_chart(
        plots.probabilities(values, faint=abstained),
        config={"displayModeBar": False},
        key="explore-bars",
        alt=told,
    )
    st.caption(measured(answer.protocol))


def _verdict(label: str, confidence: float, emotion: str, *, abstained: bool) -> str:
    """Say in Markdown what the model hears and, if there is a label, whether that is right."""
    right = label == emotion
    judged = "right" if right else "wrong"
    if abstained:
        said = "The model hears no emotion clearly and would say “I can't tell”. The closest is "
        said += f"**{named(label)}** ({percent(confidence)})"
        return f":material/help: {said}, which is {judged}." if emotion else f"{said}."
    said = f"The model hears **{named(label)}**, {percent(confidence)} sure"
    icon = ":material/check_circle:" if right else ":material/cancel:"
    return f"{icon} {said}: {judged}." if emotion else f"{said}."


def _picture(row: pd.Series) -> None:
    if ready_made.is_ready_made(row.path):
        with st.spinner("Unpacking the spectrograms …"):
            (window,) = ready_made.windows([row.id], FeatureSpec())
        figure = plots_window.window(window, FeatureSpec())
        said = "Which pitches are in it, over time; silence at both ends is cut off."
    else:
        figure = _drawn(str(row.path), row.path.stat().st_mtime_ns)
        playhead(pictures.PLAYER, ["pictures"])
        said = "Above, how loud it is; below, which pitches are in it. Click to play from there."
    st.plotly_chart(
        figure,
        config={"displayModeBar": False},
        key="pictures",
        alt=f"{'M' if ready_made.is_ready_made(row.path) else 'Waveform and m'}el spectrogram of "
        f"{_clip(row)}",
    )
    st.caption(said)


@st.cache_data(max_entries=32, show_spinner=False)
def _drawn(path: str, changed: int):
    clip = audio.read(path)
    return plots_over_time.pictures(clip, FeatureSpec())
