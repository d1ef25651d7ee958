"""Every benchmark of speed and memory, one after another, each in a process of its own.

`python -m benchmarks` prints a table of each and writes `benchmarks/results/`, a JSON each;
`python -m benchmarks predict stages` does some of them. Nothing else should run meanwhile.
What takes hours, or is about accuracy, is called by its own name: `benchmarks.systems`, `load`,
`unscaled`, `chance`, `moods`.
"""

import argparse
import subprocess
import sys

NAMES = (
    "predict",
    "stages",
    "growth",
    "features",
    "decode",
    "epoch",
    "batch",
    "speech",
    "page",
    "explore",
    "live",
)


def main() -> None:
    """Measure all, or those that are named; one that fails does not keep others from it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(NAMES)}")
    names = parser.parse_args().names or NAMES
    if unknown := set(names) - set(NAMES):
        parser.error(f"there is no benchmark '{min(unknown)}'; known are {', '.join(NAMES)}")
    failed = []
    for name in names:
        print(f"\n## {name}\n", flush=True)
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"]).returncode:
            failed.append(name)
    if failed:
        sys.exit(f"\nThese failed, and their results are the former ones: {', '.join(failed)}")


if __name__ == "__main__":
    main()
