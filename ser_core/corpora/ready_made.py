"""CREMA-D as log-mel spectrograms that somebody else made, for machines without its recordings.

They were read back from published pictures, in steps of 80/127 dB, of the first 3 s of each clip,
untrimmed; no sound can be made of them, and nothing here pretends otherwise: they have no place in
`scan`, so that nobody offers to play them.
"""

import dataclasses
import lzma
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from ser_core import fbank
from ser_core.corpora import crema_d
from ser_core.corpora.catalogue import corpus_dir, data_dir
from ser_core.corpora.errors import CorpusError
from ser_core.corpora.scanning import has_audio, manifest_of
from ser_core.fbank import FbankSpec
from ser_core.features import Features, FeatureSpec, band_centres, hertz_to_mel, mel_to_hertz

CORPUS = "crema-d"

# How they were made; of a `FeatureSpec` these must agree, `trim_db` is up to the recipe.
_MADE = {
    "sample_rate": 16_000,
    "n_fft": 1024,
    "hop_length": 256,
    "n_mels": 128,
    "bands": 64,
    "frames": 188,
    "top_db": 80.0,
}
_STEP = 80.0 / 127


def folder() -> Path:
    """Return where they are looked for."""
    return data_dir() / "crema_d_logmel"


def stands_in(name: str) -> bool:
    """Say whether spectrograms stand in for a corpus's recordings, of which none is here.

    A folder alone is no recording: a download makes it before anything has come.
    """
    return name == CORPUS and _file().is_file() and not has_audio(corpus_dir(name))


def is_ready_made(path: Path) -> bool:
    """Say whether a manifest's path is the file of ready-made spectrograms."""
    return path.suffix == ".xz"


def silent(manifest: pd.DataFrame) -> np.ndarray:
    """Say of each row of a manifest, bool `(rows,)`, whether it is a spectrogram without sound."""
    return manifest.path.map(is_ready_made).to_numpy(bool)


def manifest() -> pd.DataFrame | None:
    """Return the manifest of the ready-made spectrograms, or None if there are none.

    Its `path` is the one file that holds them all; `id` says which is meant.
    """
    kept = _file()
    if not kept.is_file():
        return None
    found = [crema_d.parse(Path(name)) for name in _names(folder() / "names.txt")]
    return manifest_of(dataclasses.replace(item, path=kept) for item in found if item)


def suit(spec: Features) -> bool:
    """Say whether the spectrograms are of the kind that a recipe or a model asks for."""
    return all(getattr(spec, field, None) == made for field, made in _MADE.items())


def check(spec: Features) -> None:
    """Make sure that what a recipe asks for can be had from the spectrograms, if only by a guess.

    Raises:
        CorpusError: it cannot.
    """
    if isinstance(spec, FbankSpec):
        return
    how = "or get the recordings with `python -m ser_core data get crema-d`"
    if not isinstance(spec, FeatureSpec):
        raise CorpusError(
            "of CREMA-D there are only ready-made spectrograms here, which lack what this recipe "
            f"hears; leave that corpus out, {how}"
        )
    for field, made in _MADE.items():
        if getattr(spec, field) != made:
            raise CorpusError(
                f"the ready-made CREMA-D spectrograms have {field} {made}, the recipe asks for "
                f"{getattr(spec, field)}; change it, {how}"
            )


def windows(ids: list[str], spec: Features) -> np.ndarray:
    """Return one window for each id, as `features.windows` would make it of the recording.

    Leading and trailing silence is trimmed as nearly as whole frames allow. Filter banks are what
    `fbank.from_log_mel` guesses: something to learn from. What is tested on them is tested on a
    guess, and the app shows no answer about one: `suit` says no.

    Returns:
        float32 `(ids, frames, bands)`: log-mel in dB, filter banks as `fbank.window` has them.

    Raises:
        CorpusError: the recipe asks for other features than were made.
    """
    check(spec)
    made_as = FeatureSpec(trim_db=spec.trim_db) if isinstance(spec, FbankSpec) else spec
    position = {f"{CORPUS}/{name}": at for at, name in enumerate(_names(folder() / "names.txt"))}
    levels = _levels(_file())
    pictures = (trimmed(dequantised(levels[position[name]]), made_as) for name in ids)
    if isinstance(spec, FbankSpec):
        return np.stack([_filter_banks(picture, made_as, spec) for picture in pictures])
    return np.stack(list(pictures))


def _filter_banks(picture: np.ndarray, made_as: FeatureSpec, spec: FbankSpec) -> np.ndarray:
    recorded = np.flatnonzero((picture > -made_as.top_db).any(axis=1))
    frames = recorded[-1] + 1 if recorded.size else len(picture)
    count = spec.frame_count((frames - 1) * made_as.hop_length)
    return fbank.from_log_mel(
        picture[:frames], band_centres(made_as), made_as.hop_length, count, spec
    )


def dequantised(levels: np.ndarray) -> np.ndarray:
    """Return decibels, float32, for the bytes that are kept."""
    return (levels * np.float32(_STEP) - np.float32(80)).astype(np.float32)


def trimmed(decibels: np.ndarray, spec: FeatureSpec) -> np.ndarray:
    """Cut silence off both ends and pad at the end, as `audio.speech_bounds` would on the samples.

    Args:
        decibels: `(frames, bands)` in dB relative to the maximum.
        spec: says how far below the loudest frame silence begins.

    Returns:
        Likewise.
    """
    energy = 10 ** (decibels / 10) @ _band_widths(spec)
    energy[(decibels <= -spec.top_db).all(axis=1)] = 0  # what was padded, or is at the floor
    # `speech_bounds` adds up the energy of 2048 samples every 128; seven frames reach as far.
    around = np.convolve(energy, np.ones(7), "same")
    loud = np.flatnonzero(around > around.max() * 10 ** (-spec.trim_db / 10))
    if not loud.size:
        return decibels
    kept = decibels[loud[0] : loud[-1] + 2]
    return np.pad(kept, ((0, len(decibels) - len(kept)), (0, 0)), constant_values=-spec.top_db)


def _band_widths(spec: FeatureSpec) -> np.ndarray:
    """Return the width in Hz of each band, by which mel filters of unit area are weighted."""
    edges = mel_to_hertz(np.linspace(0, hertz_to_mel(spec.sample_rate / 2), spec.bands + 1))
    return np.diff(edges)


def _file() -> Path:
    return folder() / "logmel_u8.npy.xz"


@lru_cache(maxsize=1)
def _levels(path: Path) -> np.ndarray:
    with lzma.open(path) as file:
        return np.load(file, allow_pickle=False)


def _names(path: Path) -> list[str]:
    return path.read_text("utf-8").split()
