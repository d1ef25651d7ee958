"""What an archive costs: `batch` on all cores by its size, beside one process, and its memory.

Beside both, what the usual pipeline does, one recording after another.

`python -m benchmarks.batch` needs RAVDESS in SER_DATA_DIR, prints tables and writes
`benchmarks/results/batch.json`.
"""

import argparse
import json
import os
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from benchmarks import usual
from benchmarks.common import RESULTS, in_a_process, keep, machine
from benchmarks.predict import PEERS
from ser_core import audio, batch, bundle, corpora, locations, parts

CLIPS, CORES = 10_000_000, 100  # what docs/scale.md asks for

ALONE = 500  # clips that one process hears, before and after
BY_USUAL = 100  # that the usual pipeline hears
SIZES = {"swift": (100, 1_000, 10_000), "deep": (100, 1_000)}

_COLUMNS = {
    "clips": "clips",
    "s": "s",
    "processor_s": "processor s",
    "command_mb": "most memory of the command, MB",
    "worker_mb": "of a worker, MB",
}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", choices=list(SIZES), default=list(SIZES))
    options = parser.parse_args()
    manifest = corpora.scan("ravdess").manifest
    paths = [str(path) for path in manifest.path[manifest.channel == "speech"]]
    file = RESULTS / "batch.json"
    before = json.loads(file.read_text()) if file.exists() else {}
    result = before | {
        "what": f"the {len(paths)} recordings of RAVDESS speech, from the first on again where "
        f"more are wanted; {parts.SIZE} to a part; one process: the same without Dask, once before "
        "and once after",
        "clip_bytes": round(np.mean([os.path.getsize(path) for path in paths])),
        "clip_s": round(float(np.mean([audio.read(path).duration for path in paths])), 2),
        "cores": os.cpu_count(),
    }
    for model in options.models:
        result[model] = measure(model, paths, SIZES[model])
        keep("batch", result)
    result["usual"] = rounded(in_a_process(by_usual, paths[:BY_USUAL]))
    keep("batch", result)
    tables = [table(result[model]) for model in SIZES]
    for text in (*tables, comparison(result), estimates(result)):
        print(text, end="\n\n")


def measure(model: str, paths: list[str], sizes: Sequence[int]) -> dict:
    """Return figures of one process alone, and of `batch` for each number of clips."""
    few = paths[:ALONE]
    before = in_a_process(alone, model, few)
    rows = [in_a_process(whole, model, paths, size) for size in sizes]
    after = in_a_process(alone, model, few)
    one = {key: (before[key] + after[key]) / 2 for key in before}
    # The workers' start counts once, however many clips there are.
    more = {key: rows[-1][key] - rows[0][key] for key in ("clips", "s", "processor_s")}
    every = {
        "clips_per_s": more["clips"] / more["s"],
        "processor_ms": 1000 * more["processor_s"] / more["clips"],
    }
    return {
        "one_process": rounded(one),
        "batch": rounded(every),
        "batch / one_process": rounded({key: every[key] / one[key] for key in one}),
        "sizes": [rounded(row) for row in rows],
        "machine": f"{machine()}, other work included",
    }


def rounded(figures: dict[str, float]) -> dict[str, float]:
    """Return the figures with no more places than they deserve."""
    return {key: round(value, 2) for key, value in figures.items()}


def alone(model: str, paths: list[str]) -> dict[str, float]:
    """Return what one process does, in the same way but without Dask and files."""
    folder = locations.find_model(model)
    plan = parts.Plan(len(paths), "", model, bundle.sha256(folder / "card.json"))
    batch.rows(paths[:40], plan)
    return _spent(lambda: batch.rows(paths, plan), len(paths))


def by_usual(paths: list[str]) -> dict[str, float]:
    """Return what the usual pipeline does in one process, whose TensorFlow takes every core."""
    model = usual.model()
    usual.predict(model, paths[0])  # loads and compiles
    return _spent(lambda: [usual.predict(model, path) for path in paths], len(paths))


def _spent(work: Callable[[], object], clips: int) -> dict[str, float]:
    clock, processor = time.perf_counter(), time.process_time()
    work()
    return {
        "clips_per_s": clips / (time.perf_counter() - clock),
        "processor_ms": 1000 * (time.process_time() - processor) / clips,
    }


def whole(model: str, paths: list[str], clips: int) -> dict[str, float]:
    """Return what `batch` takes for as many clips, from the start of its workers to their end."""
    with tempfile.TemporaryDirectory() as folder:
        table, output = Path(folder) / "clips.csv", Path(folder) / "out.parquet"
        table.write_text("\n".join(["path", *islice(cycle(paths), clips)]))
        begun, before = time.perf_counter(), processor_s()
        batch.hear(str(table), str(output), model=model)
        return {
            "clips": clips,
            "s": time.perf_counter() - begun,
            "processor_s": processor_s() - before,
            "command_mb": peak_mb(resource.RUSAGE_SELF),
            "worker_mb": peak_mb(resource.RUSAGE_CHILDREN),
            "row_bytes": sum(p.stat().st_size for p in output.glob("*.parquet")) / clips,
        }


def processor_s() -> float:
    """Return the processor seconds of this process and of those that it has started and ended."""
    used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def peak_mb(whose: int) -> float:
    """Return the most memory that one process has had, in MB."""
    return resource.getrusage(whose).ru_maxrss / 1024


def table(figures: dict) -> str:
    """Return what a model took, by the number of clips, as a Markdown table."""
    head, rule = " | ".join(_COLUMNS.values()), "---|" * len(_COLUMNS)
    rows = [" | ".join(f"{row[key]:,.0f}" for key in _COLUMNS) for row in figures["sizes"]]
    return "\n".join([f"| {head} |", f"|{rule}", *(f"| {row} |" for row in rows)])


def comparison(result: dict) -> str:
    """Return `batch` beside one process as a Markdown table."""
    kinds = ("one_process", "batch", "batch / one_process")
    names = {"clips_per_s": "clips a second", "processor_ms": "processor time a clip, ms"}
    rows = [
        f"| `{model}`, {name} | " + " | ".join(f"{result[model][k][key]:.3g}" for k in kinds) + " |"
        for model in SIZES
        for key, name in names.items()
    ]
    rows += [
        f"| {PEERS['usual'][0]}, {name} | {result['usual'][key]:.3g} | – | – |"
        for key, name in names.items()
    ]
    head = f"| | one process | `batch`, {result['cores']} workers | ratio |"
    return "\n".join([head, "|---|---|---|---|", *rows])


def estimates(result: dict) -> str:
    """Return what `CLIPS` clips take on `CORES` cores as a Markdown table, from what was measured.

    Time is clips × processor time a clip / cores; what is read, a second, is what is in the clips
    over that time.
    """
    rows = []
    for model in SIZES:
        every, largest = result[model]["batch"], result[model]["sizes"][-1]
        minutes = CLIPS * every["processor_ms"] / 1000 / CORES / 60
        speed = CLIPS * result["clip_bytes"] / (60 * minutes) / 1e9
        written = CLIPS * largest["row_bytes"] / 1e9
        memory = (CORES * largest["worker_mb"] + largest["command_mb"]) / 1024
        figures = (
            f"{minutes:.0f}",
            f"{speed:.2g}",
            f"{written:.1f}",
            f"{memory:.0f}",
        )
        rows.append(" | ".join([f"| `{model}`", *figures]) + " |")
    return "\n".join(
        [
            "| model | minutes | read, GB/s | written, GB | memory of all, GB |",
            "|---|---|---|---|---|",
            *rows,
        ]
    )


if __name__ == "__main__":
    main()
