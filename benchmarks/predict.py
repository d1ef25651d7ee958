"""How long one clip takes, and how much memory: Undertone beside the usual pipeline.

`python -m benchmarks.predict` prints a table and writes `benchmarks/results/predict.json`.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

from benchmarks import usual
from ser_core import audio
from ser_core.recognizer import Recognizer

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=50, help="warm predictions of each")
    parser.add_argument("--starts", type=int, default=5, help="process starts of each")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "clip.wav")
        soundfile.write(path, clip(4.0), audio.SAMPLE_RATE)
        # First, because a child's peak memory counts from its parent's at that moment.
        our_start = start(["-m", "ser_core", "predict", path, "--json"], options.starts)
        their_start = start(["-m", "benchmarks.usual", path], options.starts)
        ours, theirs = warm(path, options.repeats)
    result = {
        "what": "one 4 s clip, 16 kHz WAV; medians, warm runs taken in turns",
        "undertone": (ours := ours | our_start),
        "usual": (theirs := theirs | their_start),
        "usual / undertone": {key: round(theirs[key] / ours[key], 1) for key in ours},
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python "
        f"{platform.python_version()}",
        "repeats": options.repeats,
        "starts": options.starts,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "predict.json").write_text(json.dumps(result, indent=2) + "\n")
    print(table(result))


def clip(seconds: float) -> np.ndarray:
    """Return buzzes with pauses between them, which pass for speech."""
    t = np.arange(int(seconds * audio.SAMPLE_RATE)) / audio.SAMPLE_RATE
    buzz = sum(np.sin(2 * np.pi * 140 * k * t) / k for k in range(1, 20))
    noise = 1e-3 * np.random.default_rng(0).standard_normal(len(t))
    return 0.2 * buzz * np.clip(np.sin(2 * np.pi * 3 * t), 0, 1) + noise


def warm(path: str, repeats: int) -> tuple[dict, dict]:
    """Return medians of both, from file to probabilities, taken in turns."""
    recognizer = Recognizer.from_name()
    model = usual.network()
    calls: tuple[Callable[[], object], ...] = (
        lambda: recognizer.predict(audio.read(path)),
        lambda: usual.predict(model, path),
    )
    times: list[list[float]] = [[], []]
    for _ in range(repeats + 3):
        for call, taken in zip(calls, times, strict=True):
            begun = time.perf_counter()
            call()
            taken.append(1000 * (time.perf_counter() - begun))
    # The first calls load and compile.
    ours, theirs = ({"warm_ms": round(statistics.median(taken[3:]), 2)} for taken in times)
    return ours, theirs


def start(arguments: list[str], starts: int) -> dict:
    """Return medians from process start to its first answer, and of its peak memory."""
    seconds, megabytes = [], []
    for _ in range(starts):
        begun = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds.append(time.perf_counter() - begun)
        megabytes.append(usage.ru_maxrss / 1024)
        if status:
            raise RuntimeError(f"{arguments} failed")
    return {
        "start_s": round(statistics.median(seconds), 2),
        "peak_memory_mb": round(statistics.median(megabytes)),
    }


def table(result: dict) -> str:
    """Return the figures as a Markdown table."""
    ours, theirs, ratio = (result[key] for key in ("undertone", "usual", "usual / undertone"))
    names = {
        "warm_ms": "warm, file to probabilities (ms)",
        "start_s": "process start to first answer (s)",
        "peak_memory_mb": "peak memory (MB)",
    }
    rows = [f"| {n} | {ours[k]} | {theirs[k]} | {ratio[k]} × |" for k, n in names.items()]
    return "\n".join(["| | Undertone | usual pipeline | ratio |", "|---|---|---|---|", *rows])


if __name__ == "__main__":
    main()
