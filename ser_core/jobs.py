"""One training at a time on this machine, in a process of its own, known by its files alone.

`start` makes a run folder with what is to be trained (`recipe.toml`, `job.json`) and starts
`runner`, which outlives a closed page and a stopped server (but no container that both are in), and
holds the lock of `one_at_a_time` for as long as anything of it lives.
"""

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from ser_core import shelf
from ser_core.locations import model_folders, runs_dir
from ser_core.one_at_a_time import JobError, holder, lock, wait
from ser_core.recipe import Recipe
from ser_core.recipe_text import to_toml
from ser_core.runner import ENDED, JOB, LOG
from ser_core.writing import write_json

_ROOT = Path(__file__).parent.parent
_TAIL = 8_000  # bytes of a log that are shown
_LATEST = 10  # epochs by which the speed is judged
_END = 10.0  # seconds that a process is given to end
_EVENT = {"epoch", "epochs", "seconds"}  # what each line of `events.jsonl` has
_AGAIN = "\n----- gone on with -----\n"  # in a log, before what the next process says
_ERROR = "error: "  # how the line of a log begins that says why it failed


class GoneError(JobError):
    """There is no such run any more."""


class State(StrEnum):
    """How a run stands."""

    WAITING = "waiting"
    FEATURES = "preparing the recordings"
    RUNNING = "training"
    MEASURING = "measuring"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


_UNFINISHED = (State.FAILED, State.CANCELLED, State.INTERRUPTED)


@dataclass(frozen=True)
class Order:
    """What is to be trained.

    Attributes:
        recipe: how.
        protocol: by which a test part is held out; None for none.
        fold: which of the protocol's.
    """

    recipe: Recipe
    protocol: str | None = None
    fold: int = 0


@dataclass(frozen=True)
class Status:
    """How a run stands.

    Attributes:
        name: of the run.
        state: see `State`.
        protocol: by which a test part is held out; None for none.
        fold: which of the protocol's.
        begun: when, as local time; empty if that is not known.
        epoch: how many are over; 0 of a baseline.
        epochs: how many there are to be at most; 0 if that is not known yet.
        features: recordings prepared so far, and of how many; zeros if that is not known.
        seconds_left: at most, by the speed of the latest epochs; None if that is not known.
        events: the lines of `events.jsonl`, but not those of a refit.
        log: the end of what the process, the latest if there were several, said.
        error: why it failed, as part of a sentence; empty if it did not.
        resumable: whether it can be gone on with.
        model: whether it has left a model that can be used.
    """

    name: str
    state: State
    protocol: str | None
    fold: int
    begun: str
    epoch: int
    epochs: int
    features: tuple[int, int]
    seconds_left: float | None
    events: tuple[dict, ...]
    log: str
    error: str
    resumable: bool
    model: bool


def start(orders: Sequence[Order]) -> list[str]:
    """Begin to train, one after the other; return the names of the runs.

    Raises:
        JobError: something is being trained already, training is switched off, or nothing can be
            written.
    """
    _check_on()
    with lock() as held:
        names: list[str] = []
        try:
            for order in orders:
                names.append(_open(order))
            _run(held, names)
        except JobError:
            for name in names:
                shutil.rmtree(runs_dir() / name, ignore_errors=True)
            raise
    return names


def resume(name: str) -> None:
    """Go on with a run that was cancelled, was interrupted or failed.

    Raises:
        JobError: it is none of these, something is being trained already, training is off, or
            nothing can be written.
    """
    _check_on()
    with lock() as held:
        folder = run_folder(name)
        if not (folder / JOB).exists() or _over(folder) not in _UNFINISHED:
            raise JobError(f"the training “{name}” cannot be gone on with")
        try:
            if said(name):
                with (folder / LOG).open("a", encoding="utf-8") as log:
                    log.write(_AGAIN)
            (folder / ENDED).unlink(missing_ok=True)
        except OSError as error:
            raise JobError(f"{folder} cannot be written: {error.strerror}") from None
        _run(held, [name])


def running() -> list[str]:
    """Return the runs that are being trained or wait for it, in order; none if nothing is."""
    found = holder()
    return found["runs"] if found else []


def cancel(name: str) -> None:
    """End the training that a run is part of; it can be gone on with.

    Nothing happens if the run is not being trained, nor waiting for it.

    Raises:
        JobError: it does not end, or training is off.
    """
    _check_on()
    found = holder()
    if found is None or name not in found["runs"]:
        return
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(found["pid"], sign)
        except ProcessLookupError:
            pass
        if wait(lambda: holder() != found, seconds=_END):
            break
    else:
        raise JobError("the training does not end; end it by hand")
    for each in found["runs"]:
        if _over(run_folder(each)) is State.INTERRUPTED:
            with suppress(OSError):  # without room for that, it was interrupted
                write_json(run_folder(each) / ENDED, {"cancelled": True})


def runs() -> list[str]:
    """Return the runs that were started here, and others that are finished, the latest first."""
    found = [path.parent for path in runs_dir().glob(f"[!.]*/{JOB}")]
    found += [path.parent for path in runs_dir().glob("[!.]*/recipe.json") if _done(path.parent)]
    return [folder.name for folder in sorted(set(found), key=_begun, reverse=True)]


def status(name: str) -> Status:
    """Return how a run stands.

    Raises:
        GoneError: there is no such run.
    """
    folder = run_folder(name)
    job, log = read_json(folder / JOB), _tail(folder / LOG)
    about = job or read_json(folder / "run.json")
    events, going = read_events(folder), running()
    rounds = events + read_events(folder / "refit")
    state = _over(folder)
    if name in going and state is not State.FINISHED:
        before = going[: going.index(name)]
        its_turn = all(_done(runs_dir() / other) for other in before)
        state = _under_way(folder, rounds, log) if its_turn else State.WAITING
    return Status(
        name=name,
        state=state,
        protocol=about.get("protocol"),
        fold=about.get("fold", 0),
        begun=about.get("begun", ""),
        epoch=rounds[-1]["epoch"] if rounds else 0,
        epochs=rounds[-1]["epochs"] if rounds else 0,
        features=_features(log),
        seconds_left=seconds_left(rounds) if state is State.RUNNING else None,
        events=events,
        log=log,
        error=_error(log) if state is State.FAILED else "",
        resumable=bool(job) and state in _UNFINISHED,
        model=model_folders().get(name) == folder / "model",
    )


def statuses(names: Iterable[str]) -> dict[str, Status]:
    """Return how runs stand, by name, without those that somebody has deleted meanwhile."""
    found = {}
    for name in names:
        with suppress(GoneError):
            found[name] = status(name)
    return found


def said(name: str) -> bytes:
    """Return all that a run has said, whenever it was gone on with; nothing if it said nothing.

    Raises:
        GoneError: there is no such run.
    """
    try:
        return (run_folder(name) / LOG).read_bytes()
    except OSError:
        return b""


def delete(name: str) -> None:
    """Delete a run with all that it has written, for good.

    Raises:
        UndertoneError: it is being trained, its model is in use, or training is off.
    """
    _check_on()
    folder = run_folder(name)
    if name in running():
        raise JobError(f"“{name}” is being trained; cancel that first")
    if model_folders().get(name) == folder / "model":
        shelf.delete(name)
        return
    try:
        shelf.throw_away(folder)
    except OSError as error:
        raise JobError(f"“{name}” cannot be deleted: {error.strerror}") from None


def run_folder(name: str) -> Path:
    """Return the folder of a run.

    Raises:
        GoneError: there is no such run.
    """
    found = runs_dir() / name
    known = Path(name).name == name and any(
        (found / kept).exists() for kept in (JOB, "recipe.json")
    )
    if not known:
        raise GoneError(f"there is no training “{name}” any more")
    return found


def read_events(folder: Path) -> tuple[dict, ...]:
    """Return the lines of a run's `events.jsonl`, without one that is only half written.

    A damaged file has none.
    """
    try:
        lines = (folder / "events.jsonl").read_text("utf-8").split("\n")[:-1]
        events = tuple(json.loads(line) for line in lines)
    except (OSError, ValueError):
        return ()
    whole = all(isinstance(event, dict) and _EVENT <= event.keys() for event in events)
    return events if whole else ()


def epoch_seconds(events: Sequence[dict]) -> float | None:
    """Return how long the latest epochs took, their median; None if no two are over."""
    times = [event["seconds"] for event in events][-_LATEST - 1 :]
    steps = [after - before for before, after in zip(times, times[1:], strict=False)]
    # Lines that were written again after a cut may go back in time.
    steps = [step for step in steps if step > 0]
    return statistics.median(steps) if steps else None


def seconds_left(events: Sequence[dict]) -> float | None:
    """Return how long a training takes yet, if it does not stop early; None if not known."""
    each = epoch_seconds(events)
    return None if each is None else each * (events[-1]["epochs"] - events[-1]["epoch"])


def read_json(path: Path) -> dict:
    """Return a file's content; nothing if it is not there or only half written."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _check_on() -> None:
    if shelf.locked():
        raise JobError("training is switched off here: UNDERTONE_TRAINING is off")


def _open(order: Order) -> str:
    """Make the folder of a run; return its name."""
    name = shelf.free_name(order.recipe.name)
    folder = runs_dir() / name
    try:
        folder.mkdir()
        (folder / "recipe.toml").write_text(to_toml(order.recipe), "utf-8")
        write_json(
            folder / JOB,
            {
                "protocol": order.protocol,
                "fold": order.fold,
                "begun": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            },
        )
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise JobError(f"{runs_dir()} cannot be written: {error.strerror}") from None
    return name


def _run(held: int, names: Sequence[str]) -> None:
    """Start a process that trains, and return when it has said so in the lock's file.

    Raises:
        JobError: none can be started.
    """
    folders = [str((runs_dir() / name).resolve()) for name in names]
    path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "ser_core.runner", str(held), *folders],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": path},
            pass_fds=[held],
            # Out of reach of a Ctrl-C; but in our session, within which Linux weighs who is first.
            process_group=0,
        )
    except OSError as error:
        raise JobError(
            f"no process can be started to train in: {error.strerror}; end other programs and try "
            "again"
        ) from None
    # Should it end before us, it is not to stay behind as a zombie.
    threading.Thread(target=process.wait, name="training", daemon=True).start()
    wait(lambda: os.fstat(held).st_size or process.poll() is not None, seconds=_END)


def _done(folder: Path) -> bool:
    """Return whether a run is finished; a baseline, which has no epochs, leaves no model."""
    if (folder / "model" / "card.json").exists():
        return True
    return read_json(folder / "metrics.json").get("epoch") == 0


def _over(folder: Path) -> State:
    """Return how a run has ended, which nobody is at work on."""
    if _done(folder):
        return State.FINISHED
    ended = read_json(folder / ENDED)
    if ended.get("cancelled"):
        return State.CANCELLED
    if "code" not in ended and _ends_with_error(_tail(folder / LOG)):
        return State.FAILED  # on a full disk, nothing else tells of it
    # A negative code is that of a signal: somebody, or the system, has killed it.
    return State.FAILED if ended.get("code", -1) > 0 else State.INTERRUPTED


def _under_way(folder: Path, events: Sequence[dict], log: str) -> State:
    if (folder / "metrics.json").exists():
        return State.MEASURING
    done, total = _features(log)
    # Every tenth part is told of.
    preparing = total - done >= max(1, total // 10)
    return State.FEATURES if preparing and not events else State.RUNNING


def _features(log: str) -> tuple[int, int]:
    for line in reversed(log.splitlines()):
        words = line.split()
        if line.startswith("features: ") and len(words) == 4:
            return int(words[1]), int(words[3])
    return 0, 0


def _error(log: str) -> str:
    lines = [line for line in log.splitlines() if line.startswith(_ERROR)]
    return lines[-1].removeprefix(_ERROR) if lines else "something went wrong; see its log"


def _ends_with_error(log: str) -> bool:
    return any(line.startswith(_ERROR) for line in log.splitlines()[-1:])


def _tail(path: Path) -> str:
    """Return the end of what the latest of the processes that wrote a log has said."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL))
            return file.read().decode("utf-8", "replace").rpartition(_AGAIN)[2]
    except OSError:
        return ""


def _begun(folder: Path) -> str:
    about = read_json(folder / JOB) or read_json(folder / "run.json")
    return about.get("begun", "")
