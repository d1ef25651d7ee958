"""Your voice: getting to know who speaks, from clips of this visit or a profile kept before."""

import streamlit as st

from pages.parts.answer import named, sure
from pages.parts.hearing import heard_by, history, recognizer, sorry
from ser_core import profile
from ser_core.card import headline, with_voice
from ser_core.errors import UndertoneError
from ser_core.recognizer import Prediction, Recognizer

_WANTED = "with-voice"
_LONG = profile.FEWEST * profile.SECONDS_A_CLIP


def known_to(model: Recognizer) -> profile.Voice | None:
    """Return the voice that is known, if it is known to this model and wanted."""
    voice = st.session_state.get("voice")
    if not voice or not st.session_state.get(_WANTED, True):
        return None
    try:
        profile.check(voice, model.bundle)
    except UndertoneError:
        return None
    return voice


def allowed_for(prediction: Prediction) -> Prediction:
    """Return the answer with the voice that is known, if one is; let the visitor do without."""
    if "voice" not in st.session_state or not prediction.has_guess:
        return prediction
    try:
        known = heard_by(prediction).with_voice(prediction, st.session_state.voice)
    except UndertoneError as error:
        st.warning(sorry(error))
        return prediction
    if not _wanted():
        return prediction
    without = f"{named(prediction.label)}, {sure(prediction.confidence)}"
    if prediction.abstained:
        without = f"not clear enough; the closest is {without}"
    st.caption(f"Without it: {without}")
    return known


def choice(model: Recognizer) -> None:
    """Let the visitor do without the voice that is known, if one is; say why if it is of no use."""
    if "voice" not in st.session_state:
        return
    try:
        profile.check(st.session_state.voice, model.bundle)
    except UndertoneError as error:
        st.caption(sorry(error))
    else:
        _wanted()


def _wanted() -> bool:
    return st.toggle(
        "Allow for your voice",
        value=True,
        key=_WANTED,
        persist_state="session",
        help="Answers, timelines and the Live page are corrected for the voice that is known; the "
        "list of this visit and comparisons are not. Switch it off where somebody else speaks.",
    )


@st.fragment
def profiles() -> None:
    """Make, load, keep and forget a voice profile."""
    with st.expander(
        "Your voice", key="profiles", on_change="rerun", icon=":material/record_voice_over:"
    ) as opened:
        if not opened.open:
            return
        st.markdown(
            "Every voice sounds a little sad, angry or calm to a model that has never met it. "
            f"Give it {profile.FEWEST} to {profile.MOST} clips of one person, whatever is said in "
            f"them, best one in each mood, or a long recording, {_LONG} seconds of speech or more "
            "in changing moods, and it allows for that, and for the microphone." + _gain()
        )
        try:
            if "voice" in st.session_state:
                _known()
            else:
                _unknown()
        except UndertoneError as error:
            st.error(sorry(error))
        st.caption(
            "A profile is numbers, no sound; it is in memory only, and gone soon after you close "
            "the page."
        )


def _gain() -> str:
    """Tell what knowing a voice is worth to people the model has never heard, if measured."""
    rows = recognizer().card.evaluation
    best = headline(recognizer().card)
    known = [row for row in rows if best and row.protocol == with_voice(best.protocol, 8)]
    return "".join(
        f" With 8 clips it was right for {row.accuracy:.0%} of clips by unseen speakers instead "
        f"of {best.accuracy:.0%} ({row.protocol})."
        for row in known
    )


def _known() -> None:
    voice = st.session_state.voice
    st.success(
        f"A voice is known from what amounts to {voice.clips} clips.", icon=":material/check:"
    )
    with st.container(horizontal=True):
        st.download_button(
            "Keep it as a file",
            profile.to_json(voice),
            file_name="undertone-voice.json",
            mime="application/json",
            icon=":material/download:",
            on_click="ignore",
        )
        if st.button("Forget it", icon=":material/delete:"):
            del st.session_state.voice
            st.rerun()


def _unknown() -> None:
    model = recognizer().bundle
    entries = {
        key: entry
        for key, entry in reversed(history().items())
        if entry.prediction.has_guess and entry.prediction.weights == model.card.weights
    }
    chosen = st.multiselect(
        "Recordings of one voice",
        list(entries),
        format_func=lambda key: entries[key].title,
        max_selections=profile.MOST,
        placeholder="Choose from this visit",
        key="voice-clips",
    )
    heard = [entries[key].prediction for key in chosen]
    worth = [profile.worth_of(prediction.quality.speech_seconds) for prediction in heard]
    missing = profile.FEWEST - sum(worth)
    if st.button(
        "Get to know this voice",
        disabled=missing > 0,
        help=f"Choose {missing} more, or a long one." if missing > 0 else None,
        icon=":material/hearing:",
    ):
        embeddings = [prediction.embedding for prediction in heard]
        moods = [list(prediction.probabilities.values()) for prediction in heard]
        st.session_state.voice = profile.get_to_know(embeddings, moods, model, worth=worth)
        st.rerun()
    file = st.file_uploader(
        "Or a profile you kept", type="json", key="voice-file", max_upload_size=1
    )
    if file is not None:
        st.session_state.voice = profile.from_json(file.getvalue(), model)
        st.rerun()
