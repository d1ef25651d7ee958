"""Commands of ours in a process of their own: for what is heavy, and for what is not trusted."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

from ser_core.errors import UndertoneError

# Bytes of address space for what strangers have made. To import swift takes less than a third, to
# export it to LiteRT not half, on two processors.
STRANGERS_MEMORY = 6_000_000_000

_HOME = Path(__file__).parent.parent


def run(*arguments: str, seconds: float = 600.0, most_bytes: int | None = None) -> str:
    """Run `python -m ser_core …` and return what it printed.

    Args:
        arguments: of the command line.
        seconds: after which it is ended.
        most_bytes: memory (address space) that it may use; not enforced everywhere.

    Raises:
        UndertoneError: what it refused, in its own words, or that it did not come to an end.
    """
    command = [sys.executable, "-m", "ser_core", *arguments]
    paths = [str(_HOME), *filter(None, [os.environ.get("PYTHONPATH")])]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
    )
    if most_bytes and hasattr(resource, "prlimit"):
        resource.prlimit(process.pid, resource.RLIMIT_AS, (most_bytes, most_bytes))
    try:
        printed, complaints = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        raise UndertoneError(f"it took longer than {seconds:.0f} s and was ended") from None
    finally:
        process.kill()
        process.wait()
    if process.returncode == 0:
        return printed
    last = (complaints.strip().splitlines() or [""])[-1]
    if process.returncode == 2 and last.startswith("error: "):
        raise UndertoneError(last.removeprefix("error: "))
    print(complaints, file=sys.stderr)
    how = f"exit code {process.returncode}"
    if process.returncode < 0:
        how = signal.Signals(-process.returncode).name
    raise UndertoneError(f"it failed ({how}); the server's terminal says more")
