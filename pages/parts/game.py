"""Guess the emotion: ten recordings, the visitor beside the model."""

import mimetypes
import random

import pandas as pd
import streamlit as st

from pages.parts.answer import named
from pages.parts.browse import measured
from pages.parts.hearing import recognizer, sorry
from ser_core import game
from ser_core.errors import UndertoneError

HUMAN = "67%"  # of RAVDESS's speech; see the About page


@st.fragment
def show(manifest: pd.DataFrame) -> None:
    """Play with the recordings of a manifest.

    Args:
        manifest: columns as in `Utterance`, with a default index.
    """
    with st.container(width=720):
        _play(manifest)


def _play(manifest: pd.DataFrame) -> None:
    played = st.session_state.get("game")
    if refused := st.session_state.pop("game-refused", None):
        st.info(refused)
    if played is None:
        st.markdown(
            f"Listen to {game.CLIPS} recordings, drawn at random from those chosen above, and say "
            "which emotion each portrays. The model guesses, too. Who hears more?"
        )
        st.button("Play", type="primary", icon=":material/casino:", on_click=_deal, args=[manifest])
    elif played.over and not played.answered:
        _end(played, manifest)
    else:
        _round(played)


def _deal(manifest: pd.DataFrame) -> None:
    try:
        st.session_state.game = game.deal(recognizer().bundle, manifest, random.getrandbits(32))
    except UndertoneError as error:
        st.session_state["game-refused"] = sorry(error)


def _round(played: game.Game) -> None:
    """Play the next recording and take a guess; after the guess, tell."""
    answered, at = played.answered, played.at
    you, model = game.score(played)
    st.progress(
        len(played.guesses) / len(played.paths),
        text=f"Recording {at + 1} of {len(played.paths)} · you {you}, the model {model}",
    )
    path = played.paths[at]
    kind = mimetypes.guess_type(path)[0] or "audio/wav"
    st.audio(
        str(path), format=kind, autoplay=not answered and at > 0, alt=f"Recording number {at + 1}"
    )
    if not answered:
        st.pills(
            "Which emotion is it?",
            played.choices,
            format_func=lambda emotion: named(emotion).capitalize(),
            key=f"guess-{at}",
            on_change=_guess,
            args=[at],
            wrap=True,
        )
    else:
        _tell(played, at)
        last = played.over
        st.button(
            "See the result" if last else "Next",
            type="primary",
            icon=":material/arrow_forward:",
            on_click=_next,
        )
    st.button("Stop playing", type="tertiary", on_click=_leave)


# A second click may come before what was clicked is gone, and break off what the first one does
# where that turns to the session's state: so each changes that once, and nothing the second time.
def _guess(at: int) -> None:
    played, guess = st.session_state.get("game"), st.session_state[f"guess-{at}"]
    if guess and played and not played.answered and played.at == at:
        st.session_state.game = game.guess(played, guess)


def _next() -> None:
    played = st.session_state.get("game")
    if not played or not played.answered:
        return
    games = st.session_state.setdefault("games", [])
    st.session_state.game = game.go_on(played)
    if played.over:
        games.append(game.score(played))


def _leave() -> None:
    st.session_state.pop("game", None)


def _tell(played: game.Game, at: int) -> None:
    truth = played.truth[at]
    st.markdown(f"It was meant to be **{named(truth)}**.")
    for who, said in (("You said", played.guesses[at]), ("The model said", played.model[at])):
        icon = ":material/check_circle:" if said == truth else ":material/cancel:"
        st.markdown(f"{icon} {who} {named(said)}")


def _end(played: game.Game, manifest: pd.DataFrame) -> None:
    """Put the scores side by side, and say what they are worth."""
    you, model = game.score(played)
    total = len(played.paths)
    st.header(_verdict(you, model), anchor=False)
    scores = {
        "You": f"{you} of {total}",
        "The model": f"{model} of {total}",
        "People, on RAVDESS": HUMAN,
    }
    for column, (who, right) in zip(st.columns(3), scores.items(), strict=True):
        column.metric(who, right, border=True)
    st.markdown(
        f"{total} recordings are few: somebody who is right two times in three gets 5 to 8 of 10 "
        "in four games out of five, by luck alone. The figure for people is of many recordings of "
        f"RAVDESS, with eight emotions to choose from ({HUMAN}, as printed by Luna-Jiménez et al.)."
    )
    st.markdown(
        f"You and the model had the same {len(played.choices)} emotions to choose from, and both "
        "had to guess: elsewhere it says “I can't tell” where it is not sure enough. "
        + " ".join(measured(name) for name in played.protocols)
    )
    rounds = zip(played.truth, played.guesses, played.model, strict=True)
    st.table(
        [
            {
                "It was": named(truth),
                "You": _marked(said, truth),
                "The model": _marked(heard, truth),
            }
            for truth, said, heard in rounds
        ],
        alt="What it was, what you said, and what the model said",
    )
    games = st.session_state["games"]
    if len(games) > 1:
        yours, models = map(sum, zip(*games, strict=True))
        of = total * len(games)
        st.markdown(
            f"In {len(games)} games: you {yours} of {of} ({yours / of:.0%}), the model {models} "
            f"({models / of:.0%})."
        )
    st.button(
        "Play again", type="primary", icon=":material/replay:", on_click=_deal, args=[manifest]
    )


def _verdict(you: int, model: int) -> str:
    if you == model:
        return "A draw"
    return "You heard more" if you > model else "The model heard more"


def _marked(said: str, truth: str) -> str:
    return f"{':material/check:' if said == truth else ':material/close:'} {named(said)}"
