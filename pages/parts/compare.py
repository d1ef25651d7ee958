"""Compare: the same words by the same speaker in different emotions, side by side."""

from math import isnan

import pandas as pd
import streamlit as st

from pages.parts import library, spoken
from pages.parts.answer import named
from pages.parts.hearing import sorry
from ser_core import prosody
from ser_core.emotions import EMOTIONS
from ser_core.errors import UndertoneError

_COLUMNS = 4  # side by side on a wide screen
_FIRST = ("neutral", "happy", "sad", "angry")

# What corpora call it, the strongest first: there the differences are plainest.
_STRENGTHS = ("strong", "high", "normal", "medium", "low", "")


@st.fragment
def show(manifest: pd.DataFrame) -> None:
    """Let a speaker and a sentence be chosen; show it in the emotions there are.

    Args:
        manifest: columns as in `Utterance`, with a default index.
    """
    said = manifest[(manifest.sentence != "") & (manifest.speaker != "")]
    ways = said.groupby(["speaker", "sentence", "channel"]).emotion.nunique()
    ways = ways[ways > 1]
    if ways.empty:
        st.info(
            "Nobody among these recordings says the same words in two emotions. Choose fewer "
            "filters, or another corpus."
        )
        return
    group = _choose(said, ways)
    takes = _intensity(group)
    try:
        _side_by_side(takes)
    except UndertoneError as error:
        st.error(sorry(error))


def _choose(said: pd.DataFrame, ways: pd.Series) -> pd.DataFrame:
    """Let the visitor choose who says what; return the recordings of that."""
    most = ways.groupby("speaker").max()
    who, what = st.columns([1, 2])
    speaker = who.selectbox(
        "Who speaks",
        list(most.index),
        index=int(most.reset_index(drop=True).idxmax()),
        format_func=library.speakers(said).get,
        key="compare-speaker",
        persist_state="session",
    )
    sentences = ways[speaker]
    sentence, channel = what.selectbox(
        "What is said",
        list(sentences.index),
        index=int(sentences.reset_index(drop=True).idxmax()),
        format_func=lambda item: item[0] + (" (sung)" if item[1] == "song" else ""),
        key="compare-sentence",
        persist_state="session",
    )
    return said[(said.speaker == speaker) & (said.sentence == sentence) & (said.channel == channel)]


def _intensity(group: pd.DataFrame) -> pd.DataFrame:
    """Let the visitor choose how strongly it is acted; return one recording an emotion.

    An emotion that is not acted so strongly is there as it is.
    """
    known = [strength for strength in _STRENGTHS if strength in set(group.intensity)]
    strengths = known + sorted(set(group.intensity) - set(known))
    wanted = strengths[0]
    if len(strengths) > 1:
        wanted = st.segmented_control(
            "How strongly it is acted",
            strengths,
            default=wanted,
            required=True,
            format_func=lambda strength: strength.capitalize() or "Not said",
            key="compare-intensity",
            persist_state="session",
        )
    order = {name: index for index, name in enumerate(EMOTIONS)}
    ranked = group.assign(
        place=group.emotion.map(order), other=(group.intensity != wanted).astype(int)
    ).sort_values(["place", "other", "take", "id"])
    return ranked.drop_duplicates("emotion")


def _side_by_side(takes: pd.DataFrame) -> None:
    there = list(takes.emotion)
    shown = st.pills(
        "Emotions to compare",
        there,
        default=[name for name in _FIRST if name in there] or there[:_COLUMNS],
        selection_mode="multi",
        format_func=named,
        key="compare-emotions",
        persist_state="session",
        wrap=True,
    )
    rows = {row.emotion: row for row in takes.itertuples() if row.emotion in shown}
    if not rows:
        st.info("Choose an emotion, or several.")
        return
    heard = {name: spoken.listen(row) for name, row in rows.items()}
    plain_one = next((row for row in takes.itertuples() if row.emotion == "neutral"), None)
    neutral = spoken.listen(plain_one).summary if plain_one is not None else None
    for start in range(0, len(rows), _COLUMNS):
        # Of equal width, however many the last row has.
        columns = st.columns(min(_COLUMNS, max(len(rows), 2)))
        for column, name in zip(columns, list(rows)[start : start + _COLUMNS], strict=False):
            with column:
                _card(rows[name], heard[name], list(heard.values()), neutral)
    if any(one.sound for one in heard.values()):
        st.caption(f"{spoken.LEGEND} All stand on the same scales of time, pitch and loudness.")
        st.caption(
            "12 semitones are an octave, a doubling of the pitch. 10 dB more sound about twice as "
            "loud. Faster means that the same words take less time. Loudness is that of the files: "
            "where a corpus made its recordings equally loud, nothing is left of it."
        )


def _card(
    row: tuple,
    one: spoken.Spoken,
    beside: list[spoken.Spoken],
    neutral: prosody.Prosody | None,
) -> None:
    key, called = f"compare-{row.emotion}", spoken.who(row)
    st.markdown(spoken.headed(row))
    spoken.player(one, called, key)
    spoken.picture(one, called, key, beside)
    if one.summary is None:
        return
    found = one.summary
    pitch = f"Pitch {found.pitch:.0f} Hz, over {found.range:.0f} semitones"
    st.markdown(f"{'No pitch' if isnan(found.pitch) else pitch} · {found.seconds:.1f} s")
    if neutral is None:
        return
    if row.emotion == "neutral":
        st.markdown("The others are compared with this one.")
    else:
        st.markdown(f"Against neutral: **{prosody.difference(found, neutral)}**")
