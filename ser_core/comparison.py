"""How models compare: how sure their scores are, whether one is better, how fast they answer.

What a model got right in the same speaker's clips is not independent: a voice is easy or hard as a
whole. So speakers, not clips, are what chance draws here: intervals are bootstrapped over speakers
(Bisani & Ney 2004, "Bootstrap estimates for confidence intervals in ASR performance evaluation",
ICASSP; Field & Welsh 2007, "Bootstrapping clustered data", J. R. Statist. Soc. B 69: 369–390).
"""

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.special import ndtr, stdtrit

from ser_core import audio, evaluation, heldout
from ser_core.card import GROUP, Card, Evaluation, base_of, is_leaky
from ser_core.errors import UndertoneError
from ser_core.recognizer import Recognizer
from ser_core.splits import PROTOCOLS
from ser_core.wording import counted

# Of fewer speakers, chance has too few draws to tell anything: with 5, not even a model that is
# better for each of them could be called so (2 / 2⁵ > 0.05).
LEAST_SPEAKERS = 6

_DRAWS = 10_000
_SEED = 0  # the same table gives the same interval

_LEAST_RUNS = 3  # of which the fastest is taken for how fast a model answers
_PATIENCE = 0.5  # seconds, after which a model's answers are measured no more


class ComparisonError(UndertoneError):
    """Two models cannot be compared; the message says why."""


@dataclass(frozen=True)
class Interval:
    """A UAR and its 95 % interval over speakers, as fractions.

    Attributes:
        uar: the mean over emotions of the share that was recognised, of all clips and seeds.
        low: where the interval begins, and
        high: where it ends.
        speakers: how many it is drawn from.
    """

    uar: float
    low: float
    high: float
    speakers: int


@dataclass(frozen=True)
class Difference:
    """How much one model's UAR is above another's, as fractions.

    Attributes:
        points: the difference; negative if the first model is worse.
        low: where its 95 % interval begins, and
        high: where it ends.
        p: how often chance alone would make a difference as large, either way.
        clips: in how many clips they were compared, and
        speakers: of how many speakers.
    """

    points: float
    low: float
    high: float
    p: float
    clips: int
    speakers: int


def interval(table: pd.DataFrame) -> Interval | None:
    """Return the UAR of held-out predictions with its interval, or None if speakers are too few.

    The interval is the percentiles of 10,000 draws of as many speakers, with replacement; see
    `_range`.

    Args:
        table: of one protocol, as `heldout.read` gives it.
    """
    hits, counts, speakers = _by_speaker(table)
    if len(speakers) < LEAST_SPEAKERS:
        return None
    draws = _draws(len(speakers))
    low, high = _range(_uar(draws @ hits, draws @ counts), len(speakers))
    return Interval(float(_uar(hits.sum(axis=0), counts.sum(axis=0))), low, high, len(speakers))


def difference(first: pd.DataFrame, second: pd.DataFrame) -> Difference:
    """Return by how much one model is better than another, and whether that may be chance.

    Both are scored on the clips that both have answered, each clip's score being its mean over
    seeds. If the models were equally good, it would be chance which of them gave which answers
    about a speaker; so the test exchanges the two models' answers for each speaker or not, at
    random, 10,000 times, and counts how often the difference gets as large as it is: a
    permutation test of pairs ("approximate randomization": Noreen 1989, "Computer-intensive
    methods for testing hypotheses"; Yeh 2000, "More accurate tests for the statistical
    significance of result differences", COLING).
    It holds for any number of speakers and knows what UAR is, whereas McNemar's test compares
    accuracies and takes clips for independent. The observed difference counts as one of the draws
    (Phipson & Smyth 2010), so that p is never 0.

    Args:
        first: held-out predictions of one protocol, and
        second: those of the other model.

    Raises:
        ComparisonError: the models tell different emotions apart, have too few clips or speakers in
            common, or were told different emotions of a clip.
    """
    if set(heldout.labels_of(first)) != set(heldout.labels_of(second)):
        raise ComparisonError("these models tell different emotions apart, so no score is fair")
    scores = _right(first).merge(
        _right(second), left_index=True, right_index=True, suffixes=("_a", "_b")
    )
    if (scores.emotion_a != scores.emotion_b).any():
        raise ComparisonError("these models were tested against different labels")
    speakers = scores.speaker_a.unique()
    if len(speakers) < LEAST_SPEAKERS:
        raise ComparisonError(
            f"these models were tested on clips of {counted(len(speakers), 'speaker')} in common; "
            f"{LEAST_SPEAKERS} at least are needed to tell a difference from chance"
        )
    shape = {"index": "speaker_a", "columns": "emotion_a", "fill_value": 0.0}
    ours = scores.pivot_table(values="right_a", aggfunc="sum", **shape).to_numpy()
    theirs = scores.pivot_table(values="right_b", aggfunc="sum", **shape).to_numpy()
    counts = scores.pivot_table(values="right_a", aggfunc="count", **shape).to_numpy()

    draws = _draws(len(speakers))
    gains = _uar(draws @ ours, draws @ counts) - _uar(draws @ theirs, draws @ counts)
    low, high = _range(gains, len(speakers))
    # What each speaker adds to the difference; exchanging the models changes its sign.
    parts = ((ours - theirs) / counts.sum(axis=0)).mean(axis=1)
    signs = np.random.default_rng(_SEED).choice([-1.0, 1.0], (_DRAWS, len(parts)))
    as_large = np.abs(signs @ parts) >= abs(parts.sum()) - 1e-12
    return Difference(
        points=float(parts.sum()),
        low=low,
        high=high,
        p=float((1 + as_large.sum()) / (1 + _DRAWS)),
        clips=len(scores),
        speakers=len(speakers),
    )


def in_words(first: str, second: str, found: Difference) -> str:
    """Say in a sentence which of two models is better, and how much chance has to do with it."""
    better = first if found.points >= 0 else second
    points = 100 * abs(found.points)
    if found.p == 1.0 or round(points, 1) == 0:
        return f"{first} and {second} are equally good."
    cases = "fewer than 1" if found.p < 0.01 else f"{100 * found.p:.0f}"
    chance = f"chance alone would do that in {cases} of 100 cases"
    if found.p >= 0.05:
        return f"{better} scored {points:.1f} points higher, but {chance}: that settles nothing."
    return f"{better} is better by {points:.1f} points; {chance}."


def protocols(cards: Iterable[Card]) -> list[str]:
    """Return the protocols that models were measured by: those with unseen speakers first.

    Groups of one follow it, known voices come after all of these.
    """
    found = dict.fromkeys(row.protocol for card in cards for row in card.evaluation)
    order = list(PROTOCOLS)

    def place(protocol: str) -> tuple:
        base = base_of(protocol)
        return is_leaky(protocol), "+" in protocol, order.index(base), "#" in protocol

    return sorted(found, key=place)


def in_group(card: Card, table: pd.DataFrame, protocol: str) -> Evaluation | None:
    """Return how a model that was measured by a whole protocol did on one group (fold) of it.

    So it can stand beside a model that was trained once, and tested on that group alone.

    Args:
        card: of the model.
        table: as `heldout.read` gives it of the model.
        protocol: with the group, as `card.of_group` names it.

    Returns:
        A row without shares of what was answered (NaN), which nothing is kept of; None if the
        protocol names no group, or the model was not measured by it.
    """
    base = base_of(protocol)
    whole = next((row for row in card.evaluation if row.protocol == base), None)
    group = GROUP.fullmatch(protocol.removeprefix(base))
    if not whole or not group:
        return None
    found = table[(table.protocol == base) & (table.fold == int(group[1]) - 1)]
    if found.empty:
        return None
    labels = list(heldout.labels_of(found))
    reports = [
        evaluation.report(
            pd.Index(labels).get_indexer(run.emotion), run[labels].to_numpy(), tuple(labels)
        )
        for _, run in found.groupby("seed")
    ]
    spread = {"ddof": 1} if len(reports) > 1 else {}
    uar, accuracy = (
        np.array([getattr(r, score) for r in reports]) for score in ("uar", "accuracy")
    )
    return replace(
        whole,
        protocol=protocol,
        seeds=len(reports),
        n=reports[0].n,
        uar=float(uar.mean()),
        uar_sd=float(uar.std(**spread)),
        accuracy=float(accuracy.mean()),
        accuracy_sd=float(accuracy.std(**spread)),
        macro_f1=float(np.mean([report.macro_f1 for report in reports])),
        ece=float(np.mean([report.ece for report in reports])),
        coverage=math.nan,
        selective_accuracy=math.nan,
        recall={},
        uar_by_sex={},
        robustness=(),
    )


@dataclass(frozen=True)
class Latency:
    """How long a model takes for a clip: fastest of warm runs in seconds, how many, and of what."""

    seconds: float
    runs: int
    clip_seconds: float


def latency(
    recognizer: Recognizer, voice: audio.Clip, *, seconds: float = 3.0, runs: int = 15
) -> Latency:
    """Measure how long a model takes from samples to answer, once it is warm.

    The fastest run counts, as `timeit` has it: what makes another slower is not the model but what
    else the computer does. A slow model is not measured as often, lest people wait for it.

    Args:
        recognizer: the model.
        voice: somebody speaking, cut or repeated to
        seconds: so long.
        runs: how often to measure, at most.
    """
    clip = replace(voice, samples=np.resize(voice.samples, int(seconds * voice.sample_rate)))
    recognizer.predict(clip)
    taken = []
    while len(taken) < runs and (len(taken) < _LEAST_RUNS or sum(taken) < _PATIENCE):
        started = time.perf_counter()
        recognizer.predict(clip)
        taken.append(time.perf_counter() - started)
    return Latency(min(taken), len(taken), clip.duration)


def _draws(speakers: int) -> np.ndarray:
    """Return how often each speaker is in each draw, `(draws, speakers)`."""
    even = np.full(speakers, 1 / speakers)
    return np.random.default_rng(_SEED).multinomial(speakers, even, size=_DRAWS)


def _range(values: np.ndarray, speakers: int) -> tuple[float, float]:
    """Return the 95 % interval of what bootstrap draws of so many speakers gave.

    Plain percentiles are too narrow for few speakers (with 24, they hold the truth in 93 % of
    cases). These are taken further out, by what Student's t is wider than the normal distribution
    and a sample's deviation smaller than the population's: "expanded percentiles", Hesterberg 2015,
    "What Teachers Should Know About the Bootstrap", The American Statistician 69: 371–386.
    """
    tail = 100 * ndtr(np.sqrt(speakers / (speakers - 1)) * stdtrit(speakers - 1, 0.025))
    low, high = np.percentile(values, [tail, 100 - tail])
    return float(low), float(high)


def _uar(hits: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the mean recall over the emotions, last axis, that are there at all."""
    recall = np.divide(hits, counts, out=np.full(hits.shape, np.nan), where=counts > 0)
    return np.nanmean(recall, axis=-1)


def _by_speaker(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return what was right and what there was, `(speakers, emotions)`, of all seeds."""
    right = table[list(heldout.labels_of(table))].idxmax(axis=1) == table.emotion
    counted = right.groupby([table.speaker, table.emotion]).agg(["sum", "count"])
    hits = counted["sum"].unstack(fill_value=0)
    return hits.to_numpy(float), counted["count"].unstack(fill_value=0).to_numpy(), list(hits.index)


def _right(table: pd.DataFrame) -> pd.DataFrame:
    """Return how often each clip was right, over seeds; by its id, with speaker and emotion."""
    labels = list(heldout.labels_of(table))
    scored = table.assign(right=(table[labels].idxmax(axis=1) == table.emotion).astype(float))
    return scored.groupby("id").agg(
        right=("right", "mean"), speaker=("speaker", "first"), emotion=("emotion", "first")
    )
