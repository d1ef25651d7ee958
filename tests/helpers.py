import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from ser_core import audio
from ser_core.changes import Source

ROOT = Path(__file__).parent.parent

# Recordings are learned from as they are alone.
PLAIN = tuple(f"augmentation.{kind}=[]" for kind in ("speeds", "noises", "hums", "lines", "rooms"))
# The swift recipe, made small enough to learn the toy corpus in seconds.
TOY = (
    'labels=["neutral", "happy", "sad", "angry"]',
    "data.corpus=ravdess",
    "data.most_of_speaker=0",
    "network.averaged_frames=1",
    "network.filters=[16, 16]",
    "network.pooling=[4, 4]",
    *PLAIN,
    "network.lstm_units=8",
    "network.embedding=16",
    "network.dropout=0.0",
    "network.spatial_dropout=0.0",
    "augmentation.noise=0.0",
    "augmentation.tilt_db=0.0",
    "training.epochs=40",
    "training.batch_size=8",
    "training.learning_rate=0.01",
    "training.averaging=0.5",
    "training.validation_speakers=2",
    "training.selective_accuracy=0.8",
    "training.teacher=0.0",
)


# First, second and third formant of five vowels in Hz, after Peterson & Barney (1952).
VOWELS = np.array(
    [(730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240), (530, 1840, 2480), (570, 840, 2410)]
)


def vowel(pitch: np.ndarray, formants: np.ndarray) -> np.ndarray:
    """Return what a mouth makes of a buzz: pitch `(n,)` and formants `(3, n)` in Hz, peak 1."""
    phase = 2 * np.pi * np.cumsum(pitch) / audio.SAMPLE_RATE
    wave = np.zeros(len(pitch))
    for k in range(1, int(5000 / pitch.mean()) + 1):
        resonance = sum(
            level / (1 + ((k * pitch - formant) / width) ** 2)
            for formant, width, level in zip(formants, (80, 100, 150), (1, 0.5, 0.25), strict=True)
        )
        wave += (0.01 + resonance) * np.sin(k * phase + k * k)
    return wave / np.abs(wave).max()


def speech_like(seconds: float = 2.0, pitch: float = 140.0, seed: int = 0) -> np.ndarray:
    """Return gliding vowels and hisses, five a second: to Silero VAD, somebody talking."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * audio.SAMPLE_RATE)) / audio.SAMPLE_RATE
    changes = np.arange(0, seconds + 0.2, 0.1)
    formants = [np.interp(time, changes, f) for f in rng.choice(VOWELS, len(changes)).T]
    voice = vowel(pitch * (1 + 0.1 * np.sin(2 * np.pi * 0.7 * time)), formants)
    syllables = np.sin(2 * np.pi * 5 * time + 0.1)
    noise = rng.standard_normal(len(time))
    hiss = np.diff(noise, prepend=0) * np.clip(-syllables, 0, 1) ** 2
    return (0.3 * voice * np.clip(syllables, 0, 1) + 0.003 * hiss + 0.001 * noise).astype(
        np.float32
    )


def source(seed=0):
    """Return chance, and three people who babble."""
    others = [speech_like(1.0, pitch, seed=index) for index, pitch in enumerate((90, 160, 250))]
    return Source(np.random.default_rng(seed), others)


def wait_for(path, process):
    """Wait until there is a file, or the process that should write it has ended."""
    while not path.exists() and process.poll() is None:
        time.sleep(0.02)


def run_beside_another(recipe, protocol, seed, fold, folder, *, robustness):
    """Run a fold, but not before another one is run beside it."""
    from ser_core import folds  # here, in a process that has not replaced it by this

    (folder / f"{seed}.here").touch()
    while len(list(folder.glob("*.here"))) < 2:
        time.sleep(0.05)
    return folds.run(recipe, protocol, seed, fold, folder, robustness=robustness)


def killed_in(module, name, *arguments, call=1):
    """Run a command in a process that is killed when it calls a function for the so manyth time."""
    code = (
        f"import sys, {module}; from ser_core import cli; from tests import helpers\n"
        f"helpers.die_in({module}, {name!r}, {call})\n"
        "sys.exit(cli.main())"
    )
    command = [sys.executable, "-c", code, *arguments]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == -signal.SIGKILL, found.stderr
    return found


def die_in(module, name, call):
    """Let this process be killed when it calls a function for the so manyth time."""
    function, calls = getattr(module, name), itertools.count(1)

    def called(*arguments, **options):
        if next(calls) == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)

    setattr(module, name, called)
