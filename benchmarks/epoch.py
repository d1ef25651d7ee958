"""How long one training epoch takes: both models beside the systems of the field, on RAVDESS alone.

`python -m benchmarks.epoch` needs RAVDESS in SER_DATA_DIR, prints a table and writes
`benchmarks/results/epoch.json`. An epoch is the pass over the training windows and what the
recipe's own code does after it: weights averaged, two speakers validated. Features are computed
(the first time, minutes) and cached before the clock runs, and the epoch in which everything is
compiled is left out. How many windows an epoch has differs by recipe; windows a second compare.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.common import in_a_process, keep, machine
from benchmarks.predict import MODELS
from benchmarks.seeds import NAMES

RECIPES = (*MODELS, *NAMES)
# Whatever corpora a recipe has: the same recordings for all, as far as their labels allow.
SETTINGS = ("data.corpus=ravdess", "training.validation_speakers=2")


def main() -> None:
    """Measure in turns, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=3, help="epochs a round, and one before")
    parser.add_argument("--rounds", type=int, default=2, help="rounds of each, in turns")
    options = parser.parse_args()
    seconds = {name: [] for name in RECIPES}
    windows = {}
    for _ in range(options.rounds):
        for name in RECIPES:
            windows[name], epochs = in_a_process(measure, name, options.epochs)
            seconds[name] += epochs
    result = {
        "what": "one epoch on RAVDESS without two speakers, who are validated after it; medians "
        "over rounds taken in turns, features cached, each round's first epoch left out",
        **{name: figures(windows[name], seconds[name]) for name in RECIPES},
        "machine": machine(),
        "epochs": options.epochs,
        "rounds": options.rounds,
    }
    keep("epoch", result)
    print(table(result))


def measure(name: str, epochs: int, settings: Sequence[str] = SETTINGS) -> tuple[int, list[float]]:
    """Return how many windows an epoch of a recipe has, and the seconds of some, but the first."""
    from ser_core import dataset, fitting, recipe, splits  # loads TensorFlow
    from ser_core.augment import Augmentation
    from ser_core.batches import Batches

    loaded = recipe.load(name, (*settings, f"training.epochs={epochs + 1}"))
    # Where an epoch has as many windows as there are unchanged ones, those will do: the changed
    # ones take no longer to learn from, and long to compute.
    whole = loaded.training.whole_epochs
    data = dataset.load(loaded if whole else replace(loaded, augmentation=Augmentation()))
    speakers = loaded.training.validation_speakers
    split = splits.holdout(data.manifest, seed=0, validation_speakers=speakers)
    batches = Batches(loaded, data, split.train, 0)
    ends = []
    with tempfile.TemporaryDirectory() as folder:
        fitting.fit_network(
            loaded,
            data,
            split,
            seed=0,
            folder=Path(folder),
            on_epoch=lambda event: ends.append(time.perf_counter()),
        )
    seconds = [after - before for before, after in zip(ends, ends[1:], strict=False)]
    return len(batches) * batches.size, seconds


def figures(windows: int, seconds: list[float]) -> dict[str, float]:
    """Return the figures of a recipe."""
    median = statistics.median(seconds)
    return {
        "windows": windows,
        "s": round(median, 2),
        "windows_per_s": round(windows / median),
    }


def table(result: dict) -> str:
    """Return the figures as a Markdown table."""
    lines = ["| recipe | windows an epoch | s an epoch | windows a second |", "|---|---|---|---|"]
    for name in RECIPES:
        row = result[name]
        lines.append(f"| `{name}` | {row['windows']:,} | {row['s']} | {row['windows_per_s']:,} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
