"""Listening to every recording of a corpus once, to leave out what is damaged.

The rule. A recording is left out of training and testing if

1. its folder contradicts its name (found by `scan` already);
2. it cannot be decoded, or is a Git LFS pointer instead of sound;
3. its header promises more sound than there is;
4. it is digital silence;
5. it is shorter or longer than any recording of its corpus should be (`SECONDS`);
6. it repeats, sample for sample, another recording of the corpus under another speaker or emotion:
   then none of them stays, for nobody can say which label is true. Under the same ones, the first
   by id stays; of a published corpus all do, because its protocols count them (RAVDESS has one
   recording twice), and they are only listed.
"""

import hashlib
import io
import json
import os
import wave
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

from ser_core import audio, writing
from ser_core.corpora import own
from ser_core.corpora.catalogue import CORPORA
from ser_core.corpora.scanning import Scan, scan
from ser_core.features import cache_dir


@dataclass(frozen=True)
class Sound:
    """What listening to a file tells.

    Attributes:
        seconds: its length; 0 if it cannot be decoded.
        digest: a hash of its samples.
        problem: what is wrong with it by itself, in words; empty if nothing.
    """

    seconds: float
    digest: str
    problem: str


def check(
    name: str, root: Path | None = None, *, on_clip: Callable[[int], None] = lambda total: None
) -> Scan:
    """Do what `scan` does, listen to every recording, and leave out the damaged ones.

    What was heard is kept in the cache and not listened to again until a file changes.

    Args:
        name: as of `scan`.
        root: as of `scan`.
        on_clip: called after each recording listened to with the number of these, on any thread.

    Raises:
        CorpusError: as by `scan`.
    """
    found = scan(name, root)
    sounds = _listen_to_all(name, list(found.manifest.path), on_clip)
    shortest, longest = CORPORA[name].SECONDS if name in CORPORA else own.SECONDS
    bad = {}
    for path, sound in zip(found.manifest.path, sounds, strict=True):
        if sound.problem:
            bad[path] = sound.problem
        elif not shortest <= sound.seconds <= longest:
            bad[path] = f"lasts {sound.seconds:.1f} s; {shortest:g} to {longest:g} s are expected"
    heard = found.manifest.assign(digest=[sound.digest for sound in sounds])
    repeated, contradictory = _repeats(heard[~heard.path.isin(bad)])
    bad |= contradictory
    if name not in CORPORA:
        bad |= repeated
        repeated = {}
    kept = found.manifest[~found.manifest.path.isin(bad)].reset_index(drop=True)
    return replace(found, manifest=kept, bad=found.bad | bad, repeated=repeated)


def listen(path: Path) -> Sound:
    """Decode a recording and say what it is like."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        return Sound(0.0, "", f"cannot be read: {error.strerror or error}")
    if content.startswith(b"version https://git-lfs"):
        return Sound(0.0, "", "is a Git LFS pointer, not sound; fetch the corpus again")
    try:
        samples, rate = _decode(content)
    except audio.AudioError as error:
        return Sound(0.0, "", str(error))
    seconds = len(samples) / rate
    promised = _promised_frames(content)
    if promised > len(samples):
        problem = f"is cut short: {promised / rate:.1f} s promised, {seconds:.1f} s there"
    elif not np.any(samples):
        problem = "is silent"
    else:
        problem = ""
    return Sound(seconds, hashlib.sha256(samples.tobytes()).hexdigest(), problem)


def _decode(content: bytes) -> tuple[np.ndarray, int]:
    """Return samples as they are in the file, with their rate; corpora need no resampling here."""
    try:
        return soundfile.read(io.BytesIO(content), dtype="float32")
    except soundfile.LibsndfileError:
        clip = audio.read(content)
        return clip.samples, clip.sample_rate


def _promised_frames(content: bytes) -> int:
    """Return the frames that a WAV file's header announces; 0 for what is none.

    Decoders are silent about a WAV file that ends early; other formats they refuse.
    """
    try:
        with wave.open(io.BytesIO(content)) as file:
            frames = file.getnframes()
            # Who writes into a pipe cannot know the length and announces four gigabytes.
            endless = frames * file.getnchannels() * file.getsampwidth() >= 2**31 - 2**16
            return 0 if endless else frames
    except (wave.Error, EOFError):
        return 0


def _repeats(heard: pd.DataFrame) -> tuple[dict[Path, str], dict[Path, str]]:
    """Return what repeats an earlier recording under its labels, and what does under others."""
    same, other = {}, {}
    for _, alike in heard.groupby("digest"):
        first, *rest = alike.itertuples()
        if alike.speaker.nunique() == 1 and alike.emotion.nunique() == 1:
            same |= {row.path: f"has the same sound as {first.id}" for row in rest}
        else:
            ids = ", ".join(alike.id)
            other |= {path: f"has the same sound under other labels: {ids}" for path in alike.path}
    return same, other


# To be renamed when `listen` says other things.
_KEPT = "listened-1"


def _listen_to_all(name: str, paths: list[Path], on_clip: Callable[[int], None]) -> list[Sound]:
    kept = cache_dir() / _KEPT / f"{name}.json"
    try:
        before = json.loads(kept.read_text("utf-8"))
    except (OSError, ValueError):
        before = {}  # absent, or cut off by a full disk

    keys = [_key(path) for path in paths]
    changed = [index for index, key in enumerate(keys) if key not in before]

    def one(index: int) -> dict:
        try:
            return asdict(listen(paths[index]))
        finally:
            on_clip(len(changed))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        new = dict(zip((keys[i] for i in changed), pool.map(one, changed), strict=True))
    now = {key: new.get(key) or before[key] for key in keys}
    if new:
        writing.keep(kept, lambda file: file.write(json.dumps(now).encode()))
    return [Sound(**now[key]) for key in keys]


def _key(path: Path) -> str:
    """Name a state of a file."""
    try:
        state = path.stat()
    except OSError:
        return f"{path.absolute()} absent"
    return f"{path.absolute()} {state.st_size} {state.st_mtime_ns}"
