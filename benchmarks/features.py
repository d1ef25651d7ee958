"""How long the features of a whole corpus take: Undertone beside librosa alone.

`python -m benchmarks.features` needs RAVDESS in SER_DATA_DIR, prints a table and writes
`benchmarks/results/features.json`.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import librosa
import numpy as np

from benchmarks.common import keep, machine
from ser_core import corpora, recipe
from ser_core.audio import TRIM_HOP
from ser_core.extraction import extract
from ser_core.features import FeatureSpec


def main() -> None:
    """Measure in turns, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds of either, in turns")
    parser.add_argument("--librosa-clips", type=int, default=144, help="recordings for librosa")
    options = parser.parse_args()
    manifest = corpora.scan("ravdess").manifest
    paths = list(manifest.path[manifest.channel == "speech"])
    spec = recipe.load("swift").features
    few = paths[:: max(1, len(paths) // options.librosa_clips)]
    theirs(few[0], spec)  # compiles
    figures = {name: [] for name in ("undertone", "undertone, again", "librosa")}
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            os.environ["SER_CACHE_DIR"] = folder
            for name in ("undertone", "undertone, again"):
                figures[name].append(timed(lambda: extract(paths, spec)))
        took = timed(lambda: [theirs(path, spec) for path in few])
        figures["librosa"].append(took * len(paths) / len(few))
    medians = {
        name: dict(zip(("s", "processor_s"), np.median(rounds, axis=0).round(1), strict=True))
        for name, rounds in figures.items()
    }
    result = {
        "what": f"swift features of {len(paths)} recordings of RAVDESS speech "
        f"({paths[0].suffix[1:]}); medians over rounds taken in turns; librosa, in one process, "
        f"on {len(few)} of them, scaled up",
        **medians,
        "librosa / undertone": {
            key: round(medians["librosa"][key] / medians["undertone"][key], 1)
            for key in medians["undertone"]
        },
        "machine": machine(),
        "rounds": options.rounds,
    }
    keep("features", result)
    print(table(result))


def theirs(path: Path, spec: FeatureSpec) -> np.ndarray:
    """Return one window of the same features the usual way: librosa for everything."""
    samples, _ = librosa.load(path, sr=spec.sample_rate)
    samples, _ = librosa.effects.trim(samples, top_db=spec.trim_db, hop_length=TRIM_HOP)
    power = librosa.feature.melspectrogram(
        y=samples,
        sr=spec.sample_rate,
        n_fft=spec.n_fft,
        hop_length=spec.hop_length,
        n_mels=spec.n_mels,
    )
    level = librosa.power_to_db(power, ref=np.max, top_db=spec.top_db).T
    level = level.reshape(len(level), spec.bands, -1).mean(axis=2)
    return librosa.util.fix_length(level, size=spec.frames, axis=0, constant_values=-spec.top_db)


def timed(call: Callable[[], object]) -> np.ndarray:
    """Return the seconds that a call takes by the clock and of the processor."""
    clock, processor = time.perf_counter(), time.process_time()
    call()
    return np.array([time.perf_counter() - clock, time.process_time() - processor])


def table(result: dict) -> str:
    """Return the figures as a Markdown table."""
    names = {
        "undertone": "Undertone, all cores",
        "undertone, again": "Undertone, from its cache",
        "librosa": "librosa alone",
        "librosa / undertone": "ratio",
    }
    rows = [f"| {n} | {result[k]['s']} | {result[k]['processor_s']} |" for k, n in names.items()]
    return "\n".join(["| RAVDESS speech | s | processor s |", "|---|---|---|", *rows])


if __name__ == "__main__":
    main()
