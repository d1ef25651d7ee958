"""Getting to know a voice: what in an answer is the speaker's and not the emotion's.

Whatever is said, a voice moves a model's embeddings by about the same amount. A few clips of one
person, unlabelled, tell by how much: their mean embedding, less that of the voices the model
learned from. An answer can then be given as if that person had an average voice.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from pydantic import TypeAdapter

from ser_core.errors import UndertoneError

if TYPE_CHECKING:
    from ser_core.bundle import Bundle

FEWEST, MOST = 3, 16  # clips a profile is made of
# A long recording tells as much of a voice as a clip for each so many seconds of its speech: more
# than a clip's three, because within a recording moods change slowly.
SECONDS_A_CLIP = 10
MOST_BYTES = 1_000_000  # of a file, where one takes a few thousand
_LARGEST = 1e6  # more than any embedding has; what is made of it would be no number

# The mean of few clips says more about what they express than about who speaks. It is shrunk to
# the population's as if that had been seen in so many clips more (James & Stein 1961); chosen on
# validation speakers, see benchmarks/LAB.md.
_PRIOR_CLIPS = 4


class ProfileError(UndertoneError):
    """A voice profile cannot be made or used; the message says why and what to do."""


@dataclass(frozen=True, eq=False)
class Space:
    """Where a model places voices.

    Attributes:
        kernel: float32 `(size, classes)`, what the logits make of an embedding.
        population: float32 `(size,)`, the mean embedding of the average training speaker in each
            emotion in turn.
    """

    kernel: np.ndarray
    population: np.ndarray


@dataclass(frozen=True)
class Voice:
    """What is known of one voice, to one model.

    Attributes:
        model: the model's name.
        weights: sha256 of the model's `model.onnx`; to other weights the numbers mean nothing.
        clips: how many clips it was made of.
        mean: `(size,)` their mean embedding.
    """

    model: str
    weights: str
    clips: int
    mean: tuple[float, ...]


def get_to_know(
    embeddings: np.ndarray, model: "Bundle", *, worth: Sequence[int] | None = None
) -> Voice:
    """Make a profile of recordings of one voice.

    Args:
        embeddings: `(recordings, size)`, each one's as in its `Prediction`.
        model: whose embeddings these are.
        worth: how many clips each recording counts as, see `worth_of`; by default, one.

    Raises:
        ProfileError: there are too many recordings, or they count as too few clips.
    """
    worth = np.ones(len(embeddings), int) if worth is None else np.asarray(worth)
    clips = min(int(worth.sum()), MOST)
    check_clips(max(clips, len(embeddings)))
    mean = tuple(round(float(value), 5) for value in np.average(embeddings, axis=0, weights=worth))
    return Voice(model.card.name, model.card.files["model.onnx"], clips, mean)


def worth_of(seconds: float) -> int:
    """Return how many clips a recording counts as that has so many seconds of speech."""
    return max(1, int(seconds // SECONDS_A_CLIP))


def check_clips(clips: int) -> None:
    """Make sure that a profile can be made of so many clips.

    Raises:
        ProfileError: there are too few or too many.
    """
    if not FEWEST <= clips <= MOST:
        raise ProfileError(
            f"a voice profile is made of {FEWEST} to {MOST} clips, not {clips}; "
            f"{'add' if clips < FEWEST else 'leave out'} some"
        )


def check_others(speaker: str, others: int, clips: int) -> None:
    """Make sure that somebody has clips enough beside the one that is heard.

    Raises:
        UndertoneError: there are too few.
    """
    if others < clips:
        raise UndertoneError(
            f"{speaker} has {others} other clips, but a voice is to be known from {clips}; ask for "
            "fewer"
        )


def draw_others(
    speakers: np.ndarray, index: int, clips: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw further clips of one clip's speaker, as the protocols `…+voice(clips)` have it.

    Args:
        speakers: `(n,)`, of each clip.
        index: of the clip.
        clips: how many others.
        rng: draws.

    Returns:
        int `(clips,)`, their indices.

    Raises:
        UndertoneError: there are too few.
    """
    others = np.setdiff1d(np.flatnonzero(speakers == speakers[index]), index)
    check_others(speakers[index], len(others), clips)
    return rng.choice(others, clips, replace=False)


def draw_one_of_each(
    speakers: np.ndarray, emotions: np.ndarray, index: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw a further clip of one clip's speaker in each emotion, as `…+voice-labelled` has it.

    Args:
        speakers: `(n,)`, of each clip.
        emotions: `(n,)`, of each clip.
        index: of the clip.
        rng: draws.

    Returns:
        int `(clips,)`, their indices; an emotion that nothing else of theirs expresses is left out.

    Raises:
        UndertoneError: there is no other clip.
    """
    others = np.setdiff1d(np.flatnonzero(speakers == speakers[index]), index)
    if not len(others):
        raise UndertoneError(f"{speakers[index]} has no other clip from which to know the voice")
    return np.array(
        [rng.choice(others[emotions[others] == each]) for each in np.unique(emotions[others])]
    )


def correction(mean: np.ndarray, clips: int, space: Space) -> np.ndarray:
    """Return what to add to the logits of someone to hear them as an average voice.

    Args:
        mean: `(size,)`, the mean embedding of some clips of theirs, and
        clips: of how many.
        space: of the model.

    Returns:
        float `(classes,)`.
    """
    known = clips / (clips + _PRIOR_CLIPS)
    return -known * (np.asarray(mean) - space.population) @ space.kernel


def to_json(voice: Voice) -> str:
    """Return a profile as a small JSON document."""
    return json.dumps(asdict(voice))


def from_json(text: str | bytes, model: "Bundle") -> Voice:
    """Read a profile that `to_json` wrote.

    Args:
        text: the document.
        model: with which it is to be used.

    Raises:
        ProfileError: it is no profile, is damaged, or was made for another model.
    """
    try:
        if len(text) > MOST_BYTES:
            raise ValueError("no profile is that large")
        voice = TypeAdapter(Voice).validate_json(text)
    except ValueError:  # pydantic's own is one, too
        raise ProfileError(
            "this is not a voice profile; choose a file that was downloaded here"
        ) from None
    check(voice, model)
    return voice


def check(voice: Voice, model: "Bundle") -> None:
    """Check that a profile can be used with a model.

    Raises:
        ProfileError: it was made for another one, or is damaged.
    """
    card = model.card
    if voice.weights != card.files["model.onnx"]:
        other = "another training of it" if voice.model == card.name else f"“{voice.model}”"
        raise ProfileError(
            f"this voice profile was made for {other}, but the model here is “{card.name}”; make "
            "a new one from the same clips"
        )
    mean = np.array(voice.mean)
    fits = mean.shape == model.space.population.shape and (np.abs(mean) < _LARGEST).all()
    if not fits or not FEWEST <= voice.clips <= MOST:
        raise ProfileError("this voice profile is damaged; make a new one")
