"""Whether a model still says the same of a recording that is noisy, muffled, cut or coded.

The tests and most pass marks are those of Derington et al. (2023), "Testing speech emotion
recognition machine learning models", arXiv 2312.06270, made of what is at hand: babble is other
recordings of the same manifest, rooms are noise that dies away.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from ser_core import audio, changes
from ser_core.card import Robustness
from ser_core.changes import Source
from ser_core.errors import UndertoneError
from ser_core.recognizer import Recognizer

_CHUNK = 32  # recordings judged together
_BABBLERS = 4


@dataclass(frozen=True)
class Condition:
    """One way in which a recording may be worse than it was.

    Attributes:
        name: in words.
        change: from samples `(n,)` in [-1, 1] at 16 kHz to others, of any length and level.
        most_drop: the most UAR that it may cost, as a fraction; None if nothing is asked for.
        least_same: the least share of answers that must stay; None likewise.
    """

    name: str
    change: Callable[[np.ndarray, Source], np.ndarray]
    most_drop: float | None = None
    least_same: float | None = None


# "Small" changes should go unnoticed by nearly all answers.
_SMALL = {"least_same": 0.95}
CONDITIONS = (
    Condition("white noise, 20 dB", changes.white_noise(20), most_drop=0.05, least_same=0.9),
    Condition("white noise, 10 dB", changes.white_noise(10)),
    Condition("babble, 20 dB", changes.babble(20), most_drop=0.05, least_same=0.9),
    Condition("babble, 10 dB", changes.babble(10)),
    Condition("hum, 20 dB", changes.hum(20), most_drop=0.05, least_same=0.9),
    Condition("hum, 10 dB", changes.hum(10)),
    Condition("a cough", changes.cough),
    Condition("20 dB softer", changes.gain(-20), **_SMALL),
    Condition("0.1 % clipped", changes.clipped(0.001), **_SMALL),
    Condition("5 % clipped", changes.clipped(0.05)),
    Condition("0.05 s cut off at both ends", changes.cropped(0.05), **_SMALL),
    Condition("0.5 s of silence at both ends", changes.padded(0.5), **_SMALL),
    Condition("above 100 Hz", changes.filtered(100, "highpass"), **_SMALL),
    Condition("below 7 kHz", changes.filtered(7000, "lowpass"), **_SMALL),
    Condition("below 3 kHz", changes.filtered(3000, "lowpass")),
    Condition("telephone (G.711)", changes.line(8000), most_drop=0.05),
    Condition(
        "mobile phone (AMR-NB, 12.2 kbit/s)",
        changes.coded("libopencore_amrnb", "amr", rate=8000, kbit=12.2),
        most_drop=0.05,
    ),
    Condition("Opus, 16 kbit/s", changes.coded("libopus", "ogg", rate=16_000, kbit=16)),
    Condition("MP3, 32 kbit/s", changes.coded("libmp3lame", "mp3", rate=16_000, kbit=32)),
    Condition("small room (0.3 s)", changes.room(0.3), least_same=0.8),
    Condition("large room (0.8 s)", changes.room(0.8), least_same=0.8),
    Condition("darker by 6 dB", changes.tilted(-6), least_same=0.8),
    Condition("brighter by 6 dB", changes.tilted(6), least_same=0.8),
)


def measure(
    recognizer: Recognizer,
    manifest: pd.DataFrame,
    *,
    conditions: Sequence[Condition] = CONDITIONS,
    seed: int = 0,
    on_clip: Callable[[], None] = lambda: None,
) -> tuple[float, list[Robustness]]:
    """Return a model's UAR on recordings as they are, and what each change does to it.

    Recordings that cannot be read, or not be judged as they are, are left out. One in which no
    voice is found once it is changed counts as wrong.

    Args:
        recognizer: the model.
        manifest: columns `path`, `emotion`, `speaker`.
        conditions: the changes.
        seed: of noise, of where coughs fall, and of who babbles.
        on_clip: called after each recording.

    Raises:
        UndertoneError: none of the recordings could be judged.
    """
    labels = set(manifest.emotion)
    rng = np.random.default_rng(seed)
    crowd = _crowd(manifest, rng)
    truth, before, after = [], [], [[] for _ in conditions]
    for start in range(0, len(manifest), _CHUNK):
        clips, known = [], []
        for row in manifest.iloc[start : start + _CHUNK].itertuples():
            on_clip()
            try:
                clips.append(audio.read(row.path))
                known.append(row)
            except audio.AudioError:
                continue
        heard = _answers(recognizer, clips, labels)
        judged = [index for index, answer in enumerate(heard) if answer]
        truth += [known[index].emotion for index in judged]
        before += [heard[index] for index in judged]
        for condition, found in zip(conditions, after, strict=True):
            changed = [
                _changed(clips[index], condition, _source(known[index].speaker, crowd, rng))
                for index in judged
            ]
            found += _answers(recognizer, changed, labels)
    if not truth:
        raise UndertoneError("none of the recordings could be judged")
    clean = _uar(truth, before)
    rows = [_row(*each, truth, before, clean) for each in zip(conditions, after, strict=True)]
    return clean, rows


def _crowd(manifest: pd.DataFrame, rng: np.random.Generator) -> list[tuple[str, np.ndarray]]:
    """Return some recordings, each with who speaks in it, for a babble."""
    found = []
    for index in rng.permutation(len(manifest))[: 8 * _BABBLERS]:
        row = manifest.iloc[index]
        try:
            found.append((row.speaker, audio.read(row.path).samples))
        except audio.AudioError:
            continue
    return found


def _source(
    speaker: str, crowd: Sequence[tuple[str, np.ndarray]], rng: np.random.Generator
) -> Source:
    others = [samples for name, samples in crowd if name != speaker or not name]
    others = others or [samples for _, samples in crowd]
    chosen = rng.permutation(len(others))[:_BABBLERS]
    return Source(rng, [others[index] for index in chosen])


def _changed(clip: audio.Clip, condition: Condition, source: Source) -> audio.Clip:
    samples = np.nan_to_num(condition.change(clip.samples, source)).astype(np.float32)
    return replace(clip, samples=samples / max(1.0, float(np.abs(samples).max(initial=0.0))))


def _answers(recognizer: Recognizer, clips: Sequence[audio.Clip], labels: set[str]) -> list[str]:
    """Return what is likeliest of some labels; nothing where no voice was found."""
    return [
        max(labels & set(found.probabilities), key=found.probabilities.get) if found.label else ""
        for found in recognizer.predict_many(clips)
    ]


def _uar(truth: Sequence[str], answers: Sequence[str]) -> float:
    right = pd.Series(np.equal(truth, answers))
    return float(right.groupby(np.asarray(truth)).mean().mean())


def _row(
    condition: Condition,
    after: Sequence[str],
    truth: Sequence[str],
    before: Sequence[str],
    clean: float,
) -> Robustness:
    uar, same = _uar(truth, after), float(np.mean(np.equal(before, after)))
    refused = float(np.mean(np.equal(after, "")))
    return _judged(condition, uar=uar, drop=clean - uar, same=same, refused=refused)


def _judged(condition: Condition, **scores: float) -> Robustness:
    asked = []
    if condition.most_drop is not None:
        asked.append(scores["drop"] <= condition.most_drop)
    if condition.least_same is not None:
        asked.append(scores["same"] >= condition.least_same)
    return Robustness(condition.name, **scores, passed=all(asked) if asked else None)


def pooled(folds: Sequence[Sequence[Robustness]]) -> tuple[Robustness, ...]:
    """Return the means of what some folds gave under `CONDITIONS`, judged anew."""
    by_name = {condition.name: condition for condition in CONDITIONS}
    return tuple(
        _judged(
            by_name[rows[0].condition],
            **{
                score: float(np.mean([getattr(row, score) for row in rows]))
                for score in ("uar", "drop", "same", "refused")
            },
        )
        for rows in zip(*folds, strict=True)
    )
