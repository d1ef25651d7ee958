"""How time and memory grow with the length of a recording: one minute, ten, an hour.

`python -m benchmarks.growth` prints a table and writes `benchmarks/results/growth.json`. The
recording is speech over and over, as FLAC; each is judged in a process of its own on one core,
start included, as `python -m ser_core predict` does.
"""

import argparse
import os
import statistics
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.common import keep, machine
from benchmarks.predict import clip, start
from benchmarks.stages import MODELS
from ser_core import audio

MINUTES = (1, 10, 60)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds, taken in turns")
    options = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # those that are started inherit it
    found = {(model, minutes): [] for minutes in MINUTES for model in MODELS}
    with tempfile.TemporaryDirectory() as folder:
        # In another process: a child's peak memory is at least what its parent held at its birth.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            what = pool.submit(_write, folder).result()
        for _ in range(options.rounds):
            for (model, minutes), figures in found.items():
                command = ["-m", "ser_core", "predict", "--model", model, "--json"]
                figures.append(start([*command, _path(folder, minutes)]))
    result = {"what": f"{what}, over and over; medians over {options.rounds} rounds, in turns"}
    for model in MODELS:
        result[model] = {
            f"{minutes} min": {
                "s": round(statistics.median(s for s, _ in found[model, minutes]), 2),
                "peak_memory_mb": round(statistics.median(mb for _, mb in found[model, minutes])),
            }
            for minutes in MINUTES
        }
    result["machine"] = machine()
    keep("growth", result)
    print(table(result))


def _write(folder: str) -> str:
    samples, what = clip()
    for minutes in MINUTES:
        length = 60 * minutes * audio.SAMPLE_RATE
        soundfile.write(_path(folder, minutes), np.resize(samples, length), audio.SAMPLE_RATE)
    return what


def _path(folder: str, minutes: int) -> str:
    return str(Path(folder) / f"{minutes}.flac")


def table(result: dict) -> str:
    """Return the figures as a Markdown table."""
    heads = [f"`{model}`, {unit}" for model in MODELS for unit in ("s", "MB")]
    lines = [f"| recording | {' | '.join(heads)} |", "|---|" + "---|" * len(heads)]
    for minutes in MINUTES:
        row = [result[model][f"{minutes} min"] for model in MODELS]
        cells = [f"{value:g}" for each in row for value in each.values()]
        lines.append(f"| {minutes} min | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
