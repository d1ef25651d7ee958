"""How time and memory grow with the length of a recording: one minute, ten, an hour.

`python -m benchmarks.growth` prints a table and writes `benchmarks/results/growth.json`. The
recording is speech over and over, as FLAC; each is judged in a process of its own on one core,
start included, as `python -m ser_core predict` does, and by the usual pipeline, too.
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
from benchmarks.predict import MODELS, PEERS, clip, pipelines, start
from ser_core import audio

MINUTES = (1, 10, 60)
NAMES = (*MODELS, "usual")


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds, taken in turns")
    options = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # those that are started inherit it
    found = {(name, minutes): [] for minutes in MINUTES for name in NAMES}
    commands = {name: pipelines()[name][1] for name in NAMES}
    with tempfile.TemporaryDirectory() as folder:
        # In another process: a child's peak memory is at least what its parent held at its birth.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            what = pool.submit(_write, folder).result()
        for _ in range(options.rounds):
            for (name, minutes), figures in found.items():
                figures.append(start([*commands[name], _path(folder, minutes)]))
    result = {"what": f"{what}, over and over; medians over {options.rounds} rounds, in turns"}
    for name in NAMES:
        result[name] = {
            f"{minutes} min": {
                "s": round(statistics.median(s for s, _ in found[name, minutes]), 2),
                "peak_memory_mb": round(statistics.median(mb for _, mb in found[name, minutes])),
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
    titles = {model: f"`{model}`" for model in MODELS} | {"usual": PEERS["usual"][0]}
    heads = [f"{titles[name]}, {unit}" for name in NAMES for unit in ("s", "MB")]
    lines = [f"| recording | {' | '.join(heads)} |", "|---|" + "---|" * len(heads)]
    for minutes in MINUTES:
        row = [result[name][f"{minutes} min"] for name in NAMES]
        cells = [f"{value:g}" for each in row for value in each.values()]
        lines.append(f"| {minutes} min | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
