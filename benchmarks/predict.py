"""How long one clip takes, and how much memory: both models beside what one would build oneself.

`python -m benchmarks.predict` prints a table and writes `benchmarks/results/predict.json`. Without
`opensmile`, which is free for some purposes only and so not among this project's requirements,
that pipeline is left out; `pip install -c constraints.txt opensmile` adds it.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import soundfile

from benchmarks import seeds
from benchmarks.common import in_a_process, keep, machine
from ser_core import audio
from ser_core.recognizer import Recognizer

MODELS = ("deep", "swift")
# What each peer is called, and by which module of this package, with what argument, it is built.
PEERS = {
    "usual": ("usual pipeline", "usual"),
    **{name: (f"`{name}`, librosa and Keras", "seeds", name) for name in seeds.NAMES},
    "opensmile_svm": ("openSMILE and an SVM", "opensmile_svm"),
}
SAMPLE = Path(__file__).parent.parent / "assets" / "samples" / "low-and-slow.flac"


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=25, help="warm predictions a round")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each, in turns")
    options = parser.parse_args()
    measured = pipelines()
    figures = {name: {"warm_ms": [], "start_s": [], "peak_memory_mb": []} for name in measured}
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "clip.wav")
        # In another process: a child's peak memory is at least what its parent held at its birth.
        samples, what = in_a_process(clip)
        soundfile.write(path, samples, audio.SAMPLE_RATE)
        for _ in range(options.rounds):
            for name, (measure, command) in measured.items():
                seconds, megabytes = start([*command, path])
                figures[name]["start_s"].append(seconds)
                figures[name]["peak_memory_mb"].append(megabytes)
                # TensorFlow's threads keep spinning after a prediction.
                figures[name]["warm_ms"] += in_a_process(measure, path, options.repeats)
    medians = {
        name: {key: round(statistics.median(values), 2) for key, values in figure.items()}
        for name, figure in figures.items()
    }
    result = {
        "what": f"{what}, as 16 kHz WAV; medians over rounds taken in turns",
        **medians,
        **{
            f"{peer} / {model}": {
                key: round(value / medians[model][key], 1) for key, value in medians[peer].items()
            }
            for peer in PEERS
            if peer in medians
            for model in MODELS
        },
        "machine": machine(),
        "repeats": options.repeats,
        "rounds": options.rounds,
    }
    keep("predict", result)
    print(table(result))


def pipelines() -> dict[str, tuple[Callable[[str, int], list[float]], list[str]]]:
    """Return how each pipeline is measured when warm, and by which command it is started."""
    found = {
        model: (partial(ours, model), ["-m", "ser_core", "predict", "--model", model])
        for model in MODELS
    }
    for peer, (_, module, *arguments) in PEERS.items():
        if peer != "opensmile_svm" or find_spec("opensmile"):
            found[peer] = partial(theirs, peer), ["-m", f"benchmarks.{module}", *arguments]
    return found


def clip() -> tuple[np.ndarray, str]:
    """Return 4 s of speech, and what they are: of RAVDESS if it is here, else a synthetic voice."""
    from ser_core import corpora  # loads pandas

    length = 4 * audio.SAMPLE_RATE
    with suppress(corpora.CorpusError):
        paths = corpora.scan("ravdess").manifest.path
        samples = next(s for s in map(_samples, paths) if len(s) >= length)
        return samples[:length], "the first 4 s of a RAVDESS recording"
    voice = _samples(SAMPLE)
    spare = length - len(voice)
    return np.pad(voice, (spare // 2, spare - spare // 2)), "a synthetic voice, 4 s with silence"


def _samples(path: Path) -> np.ndarray:
    return audio.read(path).samples


def ours(model: str, path: str, repeats: int) -> list[float]:
    """Return the milliseconds that a model takes from file to probabilities."""
    recognizer = Recognizer.from_name(model)
    return timed(lambda: recognizer.predict(audio.read(path)), repeats)


def theirs(name: str, path: str, repeats: int) -> list[float]:
    """Return the milliseconds that another pipeline takes."""
    _, module, *arguments = PEERS[name]
    pipeline = import_module(f"benchmarks.{module}")
    model = pipeline.model(*arguments)
    return timed(lambda: pipeline.predict(model, path), repeats)


def timed(call: Callable[[], object], repeats: int, *, warm_up: int = 3) -> list[float]:
    """Return the milliseconds of each call but the first few, which load and compile."""
    times = []
    for _ in range(repeats + warm_up):
        begun = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - begun))
    return times[warm_up:]


def start(arguments: list[str]) -> tuple[float, float]:
    """Return seconds from process start to its first answer, and its peak memory in MB."""
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{arguments} failed")
    return time.perf_counter() - begun, usage.ru_maxrss / 1024


def table(result: dict) -> str:
    """Return the figures as a Markdown table."""
    measures = {
        "warm_ms": "warm, file to probabilities (ms)",
        "start_s": "process start to first answer (s)",
        "peak_memory_mb": "peak memory (MB)",
    }
    lines = [["", *measures.values()], ["---"] * (1 + len(measures))]
    for model in MODELS:
        lines.append([f"`{model}`", *(_short(result[model][key], 3) for key in measures)])
    for peer, (title, *_) in PEERS.items():
        if peer not in result:
            continue
        cells = []
        for key in measures:
            ratios = [
                f"{_short(result[f'{peer} / {model}'][key], 2)} × `{model}`" for model in MODELS
            ]
            cells.append(f"{_short(result[peer][key], 3)} ({', '.join(ratios)})")
        lines.append([title, *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _short(value: float, digits: int) -> str:
    """Return a value to so many digits, and large ones not as powers of ten."""
    return f"{float(f'{value:.{digits}g}'):g}"


if __name__ == "__main__":
    main()
