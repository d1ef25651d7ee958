"""One recording of a corpus: what to call it, its sound, and its picture with pitch over it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import streamlit as st

from pages.parts.answer import named
from pages.parts.hearing import plain
from pages.parts.library import speaker
from pages.parts.playhead import playhead
from ser_core import audio, plots_corpora, prosody
from ser_core.corpora import ready_made
from ser_core.emotions import EMOTIONS
from ser_core.features import FeatureSpec, decibels, mel_power
from ser_core.locations import QUICK_MODEL

LEGEND = (
    "Bright: what the voice is made of, low tones below, high ones above. "
    "Cyan line: pitch (scale on the right). White line: loudness. Click to play from there."
)
# Whatever the model in use looks at, a sound looks the same.
SPEC = FeatureSpec()
_STEP = SPEC.hop_length / SPEC.sample_rate
SILENT = "There is no sound of this one here, only its spectrogram: nothing to play, no pitch."


@dataclass(frozen=True, eq=False)
class Spoken:
    """One recording, decoded, silence at both ends cut off.

    Attributes:
        sound: FLAC; None of a ready-made spectrogram.
        seconds: how long it is.
        levels: `(frames, bands)` in dB.
        contours: None without a sound.
        summary: likewise.
    """

    sound: bytes | None
    seconds: float
    levels: np.ndarray
    contours: prosody.Contours | None = None
    summary: prosody.Prosody | None = None


def listen(row: tuple) -> Spoken:
    """Decode a recording, a row of a manifest as `itertuples` gives it.

    Raises:
        UndertoneError: it cannot be read.
    """
    changed = row.path.stat().st_mtime_ns if row.path.is_file() else 0
    return _listen(row.path, row.id, changed)


@st.cache_data(max_entries=64, show_spinner="Listening …")
def _listen(path: Path, name: str, changed: int) -> Spoken:
    if ready_made.is_ready_made(path):
        (levels,) = ready_made.windows([name], SPEC)
        sounding = 1 + np.flatnonzero(levels.max(axis=1) > -SPEC.top_db).max(initial=0)
        return Spoken(None, sounding * _STEP, levels[:sounding])
    clip = audio.trim(audio.read(path))
    found = prosody.contours(clip)
    return Spoken(
        clip.flac(),  # given samples, `st.audio` would make all clips equally loud
        clip.duration,
        decibels(mel_power(clip.samples, SPEC), SPEC.top_db),
        found,
        prosody.prosody(clip, found),
    )


def player(spoken: Spoken, called: str, key: str, *, autoplay: bool = False) -> None:
    """Let a recording be played, or say that it cannot."""
    with st.container(key=f"{key}-player"):
        if spoken.sound is None:
            st.caption(f":material/volume_off: {SILENT}")
        else:
            st.audio(spoken.sound, format="audio/flac", autoplay=autoplay, alt=f"Sound of {called}")


def picture(spoken: Spoken, called: str, key: str, beside: Sequence[Spoken]) -> None:
    """Draw a recording, on the axes that all that are compared have in common."""
    voices = [other.contours for other in beside if other.contours]
    pitches = np.concatenate([voice.pitch for voice in voices]) if voices else np.empty(0)
    pitches = pitches[np.isfinite(pitches)]
    figure = plots_corpora.spoken(
        spoken.levels,
        _STEP,
        SPEC,
        seconds=max(other.seconds for other in beside),
        contours=spoken.contours,
        pitches=tuple(np.percentile(pitches, (1, 99))) if len(pitches) else (60.0, 800.0),
        loudest=max((float(voice.level.max()) for voice in voices), default=0.0),
    )
    st.plotly_chart(
        figure,
        key=f"{key}-picture",
        config={"displayModeBar": False},
        alt=f"Mel spectrogram of {called}"
        + (", pitch and loudness over it" if spoken.sound else ""),
    )
    if spoken.sound:
        playhead(f"{key}-player", [f"{key}-picture"])


def who(row: tuple) -> str:
    """Return what to call a recording, as “RAVDESS actor 12, fearful”; a plain text."""
    return ", ".join(part for part in (speaker(row.corpus, row.speaker), row.emotion) if part)


def headed(row: tuple) -> str:
    """Return the emotion that a recording shows, in Markdown."""
    told = named(row.emotion).capitalize() if row.emotion in EMOTIONS else plain(row.emotion)
    return f"**{told}**" + (f" · {plain(row.intensity)}" if row.intensity else "")


def needs_sound(model: str) -> str:
    """Say in Markdown why a model has no answer where there are only spectrograms."""
    return (
        f":material/volume_off: The model “{plain(model)}” answers only where there is sound. "
        f"“{QUICK_MODEL}”, to be chosen on the Models page, judges these spectrograms, too."
    )


@contextmanager
def counted(text: str) -> Iterator:
    """Show a progress bar while something is done to many recordings.

    Yields what to call after each with the number of all. Streamlit stops the script in there when
    something else is asked for.
    """
    place, done = st.empty(), 0

    def one(total: int) -> None:
        nonlocal done
        done += 1
        if done == total or done % 16 == 0:
            place.progress(done / total, text=f"{text} {done:,} of {total:,}")

    yield one
    place.empty()
