"""Statistics: how many recordings of what, and how long, loud and high they are."""

import numpy as np
import pandas as pd
import streamlit as st

from pages.parts import spoken
from pages.parts.hearing import plain
from pages.parts.library import speakers, title
from ser_core import inventory, plots_corpora, prosody
from ser_core.corpora import ready_made
from ser_core.emotions import EMOTIONS
from ser_core.wording import counted

_STILL = {"displayModeBar": False}
_LISTED = 8  # of what is missing in a corpus; the rest is counted
_SIGNS = {"female": "♀", "male": "♂", "": "not known"}
_WHOM = {"female": "women", "male": "men", "": "speakers of unknown sex"}


@st.fragment
def show(manifest: pd.DataFrame) -> None:
    """Count recordings; measure them when asked to.

    Args:
        manifest: columns as in `Utterance`, with a default index.
    """
    labelled = manifest[manifest.emotion.isin(list(EMOTIONS))].reset_index(drop=True)
    if labelled.empty:
        st.info("None of these recordings says which emotion it shows, so there is none to count.")
        return
    _counts(labelled)
    _measures(labelled)


def _counts(manifest: pd.DataFrame) -> None:
    st.subheader("How many there are", anchor=False)
    left, right = st.columns([2, 3], gap="large")
    by_sex = inventory.table(manifest, "sex").rename(columns=_SIGNS)
    left.plotly_chart(
        plots_corpora.stacked(by_sex),
        config=_STILL,
        key="statistics-sex",
        alt="Recordings by emotion and sex: " + _told(by_sex),
    )
    both = ": the fainter part of a bar is the second number" * (len(by_sex.columns) > 1)
    left.caption(f"By emotion, and by the speaker's sex{both}.")
    by_speaker = inventory.table(manifest, "speaker")
    if manifest.corpus.nunique() == 1:  # the axis has little room
        by_speaker = by_speaker.rename(
            columns=lambda name: name.removeprefix(f"{manifest.corpus[0]}-")
        )
    by_speaker = by_speaker.rename(columns=speakers(manifest) | {"": "not known"})
    right.plotly_chart(
        plots_corpora.counts(by_speaker),
        config=_STILL,
        key="statistics-speakers",
        alt=f"Recordings by emotion and speaker, of {by_speaker.shape[1]} speakers",
    )
    right.caption("By emotion and speaker: the darker, the more.")
    lacking = inventory.missing(manifest)
    if lacking:
        told = (f"of {plain(title(name))} {_joined(lacks)}" for name, lacks in lacking.items())
        st.markdown(f"**What is missing among these:** {'; '.join(told)}.")


def _joined(lacks: list[str]) -> str:
    shown = [plain(lack) for lack in lacks[:_LISTED]]
    if len(lacks) > _LISTED:
        shown.append(f"{len(lacks) - _LISTED} more combinations")
    return ", ".join(shown[:-1]) + " and " * (len(shown) > 1) + shown[-1]


def _told(table: pd.DataFrame) -> str:
    return "; ".join(
        f"{emotion} " + ", ".join(f"{count:,} {name}" for name, count in row.items())
        for emotion, row in table.iterrows()
    )


def _measures(manifest: pd.DataFrame) -> None:
    st.subheader("How long, loud and high they are", anchor=False)
    sound = manifest[~ready_made.silent(manifest)].reset_index(drop=True)
    if sound.empty:
        st.info(
            "There is no sound of these recordings here, only spectrograms: nothing to measure."
        )
        return
    waiting = prosody.missing(sound)
    if waiting and not st.session_state.get("statistics-measure"):
        st.button(
            f"Listen to {counted(waiting, 'recording')} and measure "
            + ("it" if waiting == 1 else "them"),
            icon=":material/hearing:",
            on_click=st.session_state.update,
            kwargs={"statistics-measure": True},
            help="Once: what was measured is kept.",
        )
        return
    with spoken.counted("Measured:") as on_clip:
        found = prosody.measure(sound, on_clip=on_clip)
    st.session_state["statistics-measure"] = False
    measured = sound.join(found).dropna(subset="seconds")
    if measured.empty:
        st.info("None of these recordings can be read.")
        return
    _spread(measured)
    left_out = len(manifest) - len(measured)
    are = "is" if left_out == 1 else "are"
    st.caption(
        f"From {counted(len(measured), 'recording')}"
        + (f"; {left_out:,} {are} without sound or cannot be read" if left_out else "")
        + ". A box holds the middle half of them, the line in it the one in the middle; single "
        "points are far from the rest."
        + (" Sung ones are among them: they follow a tune." if _both(measured) else "")
    )


def _both(measured: pd.DataFrame) -> bool:
    return {"speech", "song"} <= set(measured.channel)


def _spread(measured: pd.DataFrame) -> None:
    # Speakers stood nearer to the microphone or further away; what emotion does to them is left.
    usual = measured.groupby(["corpus", "speaker"]).loudness.transform("median")
    measured = measured.assign(louder=measured.loudness - usual)
    left, right = st.columns(2, gap="large")
    with left:
        _boxes(measured, "seconds", "s", "Duration, silence at both ends left out.")
    with right:
        _boxes(measured, "louder", "dB", "Loudness, compared with the same speaker's usual one.")
    pitched = measured[measured.pitch.notna()]
    ends = tuple(np.percentile(pitched.pitch, (0, 100)) * (0.95, 1.05)) if len(pitched) else None
    columns = st.columns(2, gap="large")
    for index, (sex, part) in enumerate(pitched.groupby("sex")):
        with columns[index % 2]:
            said = f"Pitch of {_WHOM.get(sex, sex)}; each step up to its double is an octave."
            _boxes(part, "pitch", "Hz", said, ends=ends, octaves=True)


def _boxes(measured: pd.DataFrame, column: str, unit: str, said: str, **options) -> None:
    values = {
        name: measured[column][measured.emotion == name].to_numpy()
        for name in EMOTIONS
        if (measured.emotion == name).any()
    }
    middles = ", ".join(f"{name} {np.median(v):.3g} {unit}" for name, v in values.items())
    st.plotly_chart(
        plots_corpora.boxes(values, unit, **options),
        config=_STILL,
        key=f"statistics-{column}-{said}",
        alt=f"{said} Medians: {middles}",
    )
    st.caption(f"{said} {counted(len(measured), 'recording')}.")
