"""Guess the emotion: a listener and a model hear the same few recordings."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from ser_core import unheard
from ser_core.bundle import Bundle
from ser_core.corpora import ready_made
from ser_core.emotions import EMOTIONS
from ser_core.errors import UndertoneError

CLIPS = 10


class GameError(UndertoneError):
    """There is nothing to guess; the message says why."""


@dataclass(frozen=True)
class Game:
    """A game as far as it has come.

    Attributes:
        paths: the recordings, in the order in which they are heard.
        truth: the emotion that each portrays.
        model: what the model took each for, given the same choices.
        choices: the emotions to choose from.
        protocols: under which the model's answers were measured.
        guesses: the listener's, as many as there were.
        at: which recording is on: the one to guess, or whose truth is told.
    """

    paths: tuple[Path, ...]
    truth: tuple[str, ...]
    model: tuple[str, ...]
    choices: tuple[str, ...]
    protocols: tuple[str, ...]
    guesses: tuple[str, ...] = ()
    at: int = 0

    @property
    def over(self) -> bool:
        """Whether every recording was guessed."""
        return len(self.guesses) == len(self.paths)

    @property
    def answered(self) -> bool:
        """Whether the recording that is on was guessed."""
        return len(self.guesses) > self.at


def deal(model: Bundle, manifest: pd.DataFrame, seed: int) -> Game:
    """Choose recordings at random that the model was not trained on.

    Args:
        model: to play against.
        manifest: columns as in `Utterance`, with a default index.
        seed: decides the choice.

    Raises:
        GameError: there are too few recordings with sound, emotions, or answers that count.
    """
    choices = [emotion for emotion in EMOTIONS if emotion in set(manifest.emotion)]
    choices = [emotion for emotion in choices if emotion in model.card.labels]
    audible = ~ready_made.silent(manifest)
    wanted = manifest[audible & manifest.emotion.isin(choices)]
    if len(choices) < 2:
        raise GameError("with fewer than two emotions there is nothing to guess; choose more")
    rows, answers = [], []
    # A recording that the model has no answer to, or that is not there any more, is left out.
    order = np.random.default_rng(seed).permutation(len(wanted))
    for start in range(0, len(order), CLIPS):
        some = wanted.iloc[order[start : start + CLIPS]].reset_index(drop=True)
        found = unheard.answers(model, some)
        counts = (found.protocol != "").to_numpy() & some.path.map(Path.is_file).to_numpy()
        rows.append(some[counts])
        answers.append(found[counts])
        if sum(map(len, rows)) >= CLIPS:
            break
    if sum(map(len, rows)) < CLIPS:
        raise GameError(
            f"there are fewer than {CLIPS} recordings to hear here that the model was not trained "
            "on; choose more"
        )
    dealt, found = pd.concat(rows)[:CLIPS], pd.concat(answers)[:CLIPS]
    return Game(
        paths=tuple(dealt.path),
        truth=tuple(dealt.emotion),
        model=tuple(unheard.best(found, choices).heard),
        choices=tuple(choices),
        protocols=tuple(sorted(set(found.protocol))),
    )


def guess(game: Game, emotion: str) -> Game:
    """Return the game after the next recording was taken for an emotion."""
    return replace(game, guesses=(*game.guesses, emotion))


def go_on(game: Game) -> Game:
    """Return the game with the next recording on, after one was guessed."""
    return replace(game, at=len(game.guesses))


def score(game: Game) -> tuple[int, int]:
    """Return how many of the recordings guessed so far the listener and the model got right."""
    heard = range(len(game.guesses))
    return (
        sum(game.guesses[at] == game.truth[at] for at in heard),
        sum(game.model[at] == game.truth[at] for at in heard),
    )
