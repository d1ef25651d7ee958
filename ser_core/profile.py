"""Getting to know a voice: what in an answer is the speaker's and not the emotion's.

Whatever is said, a voice moves a model's embeddings by about the same amount. A few clips of one
person, unlabelled, tell by how much: how far they lie, on average, from an average voice in the
moods that the model hears in them. An answer can then be given as if that person had an average
voice.
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

# Few clips say more about what they express than about who speaks. What they say is shrunk as if
# the average voice had been heard in so many clips more (James & Stein 1961).
_PRIOR_CLIPS = 4
# How far the moods that are heard in the clips are believed, against each being as likely as the
# next: where all clips are of one mood, that mood would be taken for the voice if they were not
# believed, and where they are of all moods, the voice for a mood if they were.
_BELIEVED = 2 / 3
# Both were chosen on validation speakers (and the first, before, not blindly): benchmarks/LAB.md.


class ProfileError(UndertoneError):
    """A voice profile cannot be made or used; the message says why and what to do."""


@dataclass(frozen=True, eq=False)
class Space:
    """Where a model places voices.

    Attributes:
        kernel: float32 `(size, classes)`, what the logits make of an embedding.
        moods: float32 `(classes, size)`, the embedding of an average voice in each emotion: see
            `average_voice`.
    """

    kernel: np.ndarray
    moods: np.ndarray


def average_voice(
    embeddings: np.ndarray,
    truth: np.ndarray,
    corpora: np.ndarray,
    speakers: np.ndarray,
    classes: int,
) -> np.ndarray:
    """Return the mean embedding of each emotion, float32 `(classes, size)`.

    Within an emotion, all corpora count alike, and within a corpus all speakers: else an emotion
    that large corpora lack would seem to be part of the voices that have it. An emotion of which
    there is nothing is the mean of the others.

    Args:
        embeddings: `(n, size)`.
        truth: int `(n,)`, of each, and
        corpora: `(n,)`, and
        speakers: `(n,)`.
        classes: how many emotions there are.
    """
    import pandas as pd  # which recognising does without

    voices = pd.DataFrame(embeddings).groupby([truth, corpora, speakers]).mean()
    moods = voices.groupby(level=[0, 1]).mean().groupby(level=0).mean()
    return moods.reindex(range(classes)).fillna(moods.mean()).to_numpy(np.float32)


def offsets(
    embeddings: np.ndarray, heard: np.ndarray, space: Space, *, believed: float = _BELIEVED
) -> np.ndarray:
    """Return how far clips lie from an average voice in the moods that are heard, `(n, size)`.

    Args:
        embeddings: `(n, size)`.
        heard: `(n, classes)`, the probability of each emotion.
        space: of the model.
        believed: how far, from 0 to 1.
    """
    heard = np.asarray(heard)
    moods = believed * heard + (1 - believed) / heard.shape[1]
    return np.asarray(embeddings) - moods @ space.moods


@dataclass(frozen=True)
class Voice:
    """What is known of one voice, to one model.

    Attributes:
        model: the model's name.
        weights: sha256 of the model's `model.onnx`; to other weights the numbers mean nothing.
        clips: how many clips it was made of.
        offset: `(size,)`, how far they lie from an average voice: the mean of `offsets`.
    """

    model: str
    weights: str
    clips: int
    offset: tuple[float, ...]


def get_to_know(
    embeddings: np.ndarray,
    heard: np.ndarray,
    model: "Bundle",
    *,
    worth: Sequence[int] | None = None,
) -> Voice:
    """Make a profile of recordings of one voice.

    Args:
        embeddings: `(recordings, size)`, each one's as in its `Prediction`, and
        heard: `(recordings, classes)`, the probabilities there.
        model: whose they are.
        worth: how many clips each recording counts as, see `worth_of`; by default, one.

    Raises:
        ProfileError: there are too many recordings, or they count as too few clips.
    """
    worth = np.ones(len(embeddings), int) if worth is None else np.asarray(worth)
    clips = min(int(worth.sum()), MOST)
    check_clips(max(clips, len(embeddings)))
    mean = np.average(offsets(embeddings, heard, model.space), axis=0, weights=worth)
    offset = tuple(round(float(value), 5) for value in mean)
    return Voice(model.card.name, model.card.files["model.onnx"], clips, offset)


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


def correction(offset: np.ndarray, clips: int, space: Space) -> np.ndarray:
    """Return what to add to the logits of someone to hear them as an average voice.

    Args:
        offset: `(size,)`, the mean of the `offsets` of some clips of theirs, and
        clips: of how many.
        space: of the model.

    Returns:
        float `(classes,)`.
    """
    known = clips / (clips + _PRIOR_CLIPS)
    return -known * np.asarray(offset) @ space.kernel


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
            "this is not a voice profile of this version; choose a file that was downloaded here"
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
    offset = np.array(voice.offset)
    fits = offset.shape == model.space.moods.shape[1:] and (np.abs(offset) < _LARGEST).all()
    if not fits or not FEWEST <= voice.clips <= MOST:
        raise ProfileError("this voice profile is damaged; make a new one")
