"""What passes for speech: recordings of people should, no other sound should.

`python -m benchmarks.speech` prints two tables and writes `benchmarks/results/speech.json`. Speech
is read from `SER_DATA_DIR`; every other sound is made here.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.common import keep
from ser_core import audio

RATE = audio.SAMPLE_RATE
SPEECH = {
    # corpus: which files, every how manyth of them
    "RAVDESS": ("ravdess/*/03-01-*.flac", 1),
    "TESS": ("tess/*/*.flac", 4),
    "SAVEE": ("savee/*.flac", 1),
}
LEVELS = (-50, -20, -1)  # dB, of the peak of a sound that is not speech
SEEDS = 4  # of each sound
SCALE = (0, 2, 4, 5, 7, 9, 11, 12)  # semitones


def main() -> None:
    """Measure, print, write."""
    data = Path(os.environ.get("SER_DATA_DIR", "data"))
    result = {
        "speech": {
            name: kept(sorted(data.glob(pattern))[::step])
            for name, (pattern, step) in SPEECH.items()
        },
        "other sounds": {name: refused(name) for name in SOUNDS},
    }
    keep("speech", result)
    print(table(result))


def kept(paths: list[Path]) -> dict:
    """Return how many recordings there are, how many pass for speech, and which do not."""
    missed = [path.name for path in paths if not is_speech(audio.read(path).samples)]
    return {"clips": len(paths), "passed": len(paths) - len(missed), "missed": missed}


def refused(name: str) -> dict:
    """Return how many sounds of a kind were tried, and how many passed for speech."""
    passed = [is_speech(sound) for sound in sounds(name)]
    return {"clips": len(passed), "passed": sum(passed)}


def is_speech(samples: np.ndarray) -> bool:
    """Tell whether a clip gets an answer."""
    return audio.quality(audio.Clip(samples, RATE, "sound")).speech_seconds > 0


def sounds(name: str, seconds: float = 4.0) -> Iterator[np.ndarray]:
    """Yield sounds of a kind, each seed at each level, as 16 bits hold them."""
    for seed in range(SEEDS):
        wave = SOUNDS[name](np.random.default_rng(seed), seconds)
        for level in LEVELS:
            scaled = wave / max(np.abs(wave).max(), 1e-9) * 10 ** (level / 20)
            yield (np.round(scaled * 2**15) / 2**15).clip(-1, 1).astype(np.float32)


def table(result: dict) -> str:
    """Return both tables in Markdown."""
    lines = ["| speech | clips | passed | % |", "|---|---|---|---|"]
    for name, row in result["speech"].items():
        share = 100 * row["passed"] / max(row["clips"], 1)
        lines.append(f"| {name} | {row['clips']} | {row['passed']} | {share:.1f} |")
    others = result["other sounds"]
    clips, passed = (sum(row[key] for row in others.values()) for key in ("clips", "passed"))
    slipped = {name: row["passed"] for name, row in others.items() if row["passed"]}
    lines += [
        "",
        "| other sounds | clips | refused | % | what slipped through |",
        "|---|---|---|---|---|",
        f"| {len(others)} kinds | {clips} | {clips - passed} | {100 * (1 - passed / clips):.1f} | "
        f"{', '.join(f'{name} {count}' for name, count in slipped.items()) or 'nothing'} |",
    ]
    return "\n".join(lines)


# --- sounds that are not speech: each takes a random generator and a length in seconds ------------


def seconds_of(length: float) -> np.ndarray:
    """Return the time of each sample."""
    return np.arange(int(length * RATE)) / RATE


def noise(rng: np.random.Generator, length: float, slope: float = 0) -> np.ndarray:
    """Return noise whose power falls with frequency to the `slope`: 0 white, 1 pink, 2 brown."""
    spectrum = np.fft.rfft(rng.standard_normal(int(length * RATE)))
    hertz = np.arange(len(spectrum)) / length
    spectrum *= np.where(hertz < 20, 0, np.maximum(hertz, 20) ** (-slope / 2))
    return np.fft.irfft(spectrum, int(length * RATE))


def note(hertz: float, length: float, decay: float = 10, partials: int = 6) -> np.ndarray:
    """Return a note with its partials, dying away within `decay` seconds."""
    time = seconds_of(length)
    tones = [np.sin(2 * np.pi * hertz * k * time) / k for k in range(1, partials + 1)]
    return sum(tones) * np.minimum(1, time / 0.01) * np.exp(-time / decay)


def sequence(length: float, starts: np.ndarray, sound: Callable[[int], np.ndarray]) -> np.ndarray:
    """Return sounds that begin at `starts`, in seconds; `sound` makes the one of an index."""
    wave = np.zeros(int((length + 2) * RATE))
    for index, start in enumerate(starts):
        made = sound(index)
        wave[int(start * RATE) : int(start * RATE) + len(made)] += made
    return wave[: int(length * RATE)]


def modulation(rng: np.random.Generator, length: float) -> np.ndarray:
    """Return a slow swell between 0 and 1, as often a second as syllables come at most."""
    return 0.5 + 0.5 * np.sin(2 * np.pi * rng.uniform(1, 6) * seconds_of(length))


def sine(rng, length):
    """Return a pure tone."""
    return np.sin(2 * np.pi * rng.uniform(80, 3000) * seconds_of(length))


def sweep(rng, length):
    """Return a tone that rises."""
    time = seconds_of(length)
    return np.sin(2 * np.pi * (100 * time + rng.uniform(50, 700) * time**2))


def siren(rng, length):
    """Return a tone that rises and falls."""
    swing = np.sin(2 * np.pi * rng.uniform(0.3, 3) * seconds_of(length))
    hertz = rng.uniform(400, 900) + rng.uniform(100, 300) * swing
    return np.sin(2 * np.pi * np.cumsum(hertz) / RATE)


def hum(rng, length):
    """Return the hum of the mains and a little hiss."""
    return note(rng.choice([50, 60]), length, partials=20) + 0.01 * noise(rng, length)


def buzz(rng, length):
    """Return a square wave."""
    return np.sign(np.sin(2 * np.pi * rng.uniform(80, 250) * seconds_of(length)))


def clicks(rng, length):
    """Return single samples at regular intervals."""
    return sequence(length, np.arange(0, length, rng.uniform(0.05, 0.6)), lambda _: np.ones(1))


def beeps(rng, length):
    """Return a tone that is switched on and off."""
    return sine(rng, length) * (modulation(rng, length) > 0.5)


def telephone(rng, length):
    """Return the two tones of a bell that rings twenty times a second."""
    time = seconds_of(length)
    bell = np.sin(2 * np.pi * 440 * time) + np.sin(2 * np.pi * 480 * time)
    return bell * (np.sin(2 * np.pi * 20 * time) > 0) * (time % rng.uniform(1, 3) < 0.8)


def engine(rng, length):
    """Return a rough sawtooth that speeds up and slows down."""
    speed = rng.uniform(30, 70) * (1 + 0.2 * np.sin(2 * np.pi * 0.4 * seconds_of(length)))
    return (2 * (np.cumsum(speed) / RATE % 1) - 1) * (1 + 0.3 * noise(rng, length))


def applause(rng, length):
    """Return many hands that clap."""
    claps = rng.uniform(0, length, int(length * rng.uniform(30, 150)))
    return sequence(length, claps, lambda _: noise(rng, 0.03) * np.exp(-seconds_of(0.03) / 0.008))


def rain(rng, length):
    """Return drops of different size on a hiss."""
    drops = rng.uniform(0, length, int(400 * length))
    drop = lambda _: rng.uniform(0.1, 1) * rng.standard_normal(32)  # noqa: E731
    return sequence(length, drops, drop) + 0.05 * noise(rng, length)


def wind(rng, length):
    """Return gusts."""
    gusts = rng.uniform(0.1, 1, int(2 * length) + 2)
    return noise(rng, length, 2) * np.interp(2 * seconds_of(length), np.arange(len(gusts)), gusts)


def knocks(rng, length):
    """Return knuckles on wood."""
    knock = note(rng.uniform(100, 400), 0.1, 0.015)
    return sequence(length, np.arange(0.1, length, rng.uniform(0.2, 0.6)), lambda _: knock)


def birds(rng, length):
    """Return chirps."""

    def chirp(_):
        time = seconds_of(0.12)
        glide = rng.uniform(2000, 5000) * time + rng.uniform(-8000, 8000) * time**2
        return np.sin(2 * np.pi * glide) * np.hanning(len(time))

    return sequence(length, rng.uniform(0, length, int(4 * length)), chirp)


def chord(rng, length):
    """Return a triad that swells."""
    root = rng.uniform(110, 330)
    return sum(note(root * ratio, length) for ratio in (1, 5 / 4, 3 / 2)) * modulation(rng, length)


def melody(rng, length):
    """Return single notes that are struck and die away."""
    root, beat = rng.uniform(130, 400), rng.uniform(0.15, 0.5)
    struck = lambda _: note(root * 2 ** (rng.choice(SCALE) / 12), beat, 0.2)  # noqa: E731
    return sequence(length, np.arange(0, length, beat), struck)


def strings(rng, length):
    """Return bowed notes with vibrato."""
    root, beat = rng.uniform(150, 400), rng.uniform(0.4, 0.9)
    time = seconds_of(beat)

    def bowed(_):
        hertz = root * 2 ** (rng.choice(SCALE) / 12)
        phase = 2 * np.pi * hertz * (time + 6e-4 * np.sin(2 * np.pi * 5.5 * time))
        partials = [np.sin(k * phase) / k for k in range(1, int(7000 / hertz))]
        return sum(partials) * np.sqrt(np.sin(np.pi * time / beat))

    return sequence(length, np.arange(0, length, beat), bowed)


def organ(rng, length):
    """Return full chords, one a second."""
    root = rng.uniform(80, 160)

    def held(_):
        hertz = root * 2 ** (rng.choice(SCALE) / 12)
        return sum(note(hertz * ratio, 1, partials=8) for ratio in (1, 5 / 4, 3 / 2, 2))

    return sequence(length, np.arange(0, length), held)


def drums(rng, length):
    """Return a bass drum, a snare and a hi-hat."""
    time = seconds_of(0.25)
    bass = np.sin(2 * np.pi * (50 * time + 3 * (1 - np.exp(-time / 0.05)))) * np.exp(-time / 0.1)
    snare = (np.sin(2 * np.pi * 190 * time) + noise(rng, 0.25) / 2) * np.exp(-time / 0.06)
    hat = 0.4 * noise(rng, 0.25, -1) * np.exp(-time / 0.02)
    kit = (bass, hat / np.abs(hat).max(), snare, hat / np.abs(hat).max())
    return sequence(
        length, np.arange(0, length, rng.uniform(0.1, 0.25)), lambda index: kit[index % 4]
    )


SOUNDS: dict[str, Callable[[np.random.Generator, float], np.ndarray]] = {
    "silence": lambda rng, length: np.zeros(int(length * RATE)),
    "white noise": noise,
    "pink noise": lambda rng, length: noise(rng, length, 1),
    "brown noise": lambda rng, length: noise(rng, length, 2),
    "AM noise": lambda rng, length: noise(rng, length) * modulation(rng, length),
    "noise bursts": lambda rng, length: noise(rng, length, 1) * (modulation(rng, length) > 0.5),
    "sine": sine,
    "sweep": sweep,
    "siren": siren,
    "hum": hum,
    "buzz": buzz,
    "interrupted buzz": lambda rng, length: buzz(rng, length) * modulation(rng, length),
    "clicks": clicks,
    "beeps": beeps,
    "telephone": telephone,
    "engine": engine,
    "applause": applause,
    "rain": rain,
    "wind": wind,
    "knocks": knocks,
    "birds": birds,
    "chord": chord,
    "melody": melody,
    "strings": strings,
    "organ": organ,
    "drums": drums,
    "band": lambda rng, length: (
        drums(rng, length) + 0.3 * melody(rng, length) + 0.2 * chord(rng, length)
    ),
}

if __name__ == "__main__":
    main()
