"""What the benchmarks share: how they measure apart, and where they keep what on which machine."""

import json
import os
import platform
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def keep(name: str, result: dict) -> None:
    """Write a benchmark's figures as `benchmarks/results/NAME.json`."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n", "utf-8")


def machine() -> str:
    """Return what a figure depends on besides the code, as far as it can be told in a line."""
    return (
        f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}; "
        f"load {os.getloadavg()[0]:.1f}"
    )


def in_a_process(call: Callable, *arguments, first: Callable[[], None] | None = None):
    """Call in a process of its own: how much memory one has used at most, it never forgets.

    Args:
        call: what to call.
        arguments: with what.
        first: what the process does before.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=first) as pool:
        return pool.submit(call, *arguments).result()
