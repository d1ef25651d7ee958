"""A whole archive heard by many processes: on this machine's cores, or on a Dask cluster.

The archive's list of recordings is cut into parts of a fixed size. A part is one task: whoever
takes it writes its Parquet file, the same whoever that is, and tells how many of its recordings
could not be used. Dask gives the parts of a worker that died to another one.
"""

import functools
import hashlib
import json
import logging
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import IO

from ser_core import audio, bundle, cluster, locations, parts, recordings
from ser_core.errors import UndertoneError
from ser_core.parts import Plan
from ser_core.recognizer import Recognizer

_TOGETHER = 32  # recordings judged in common batches, if they are
_STAYS = "what is done stays, and --resume goes on"
_SHORT = 30.0  # seconds at most; others come alone, which needs little memory however long they are
_AHEAD = 500  # parts that a cluster is given before it has done them: what it has to remember
# Workers of this machine hold no data for others. What Dask does for those that do, give back every
# piece of memory as soon as it is free, costs `swift` two thirds more processor time.
_CONFIG = {
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None,
    "distributed.worker.profile.enabled": False,
    # A web server is started even so, but it has no pages.
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}


class BatchError(UndertoneError):
    """An archive cannot be heard; the message says why."""


@dataclass(frozen=True)
class Heard:
    """What came of an archive.

    Attributes:
        recordings: how many there are.
        parts: how many files they are written to.
        resumed: recordings that had been heard before.
        unusable: those among the others that have an error instead of an answer.
        others: files in the folder that were left out because of their ending.
    """

    recordings: int
    parts: int
    resumed: int
    unusable: int
    others: int


def hear(
    source: str,
    output: str,
    *,
    model: str = locations.QUICK_MODEL,
    scheduler: str | None = None,
    workers: int | None = None,
    resume: bool = False,
    retry: bool = False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Heard:
    """Write what a model hears in each recording of an archive into a folder of Parquet files.

    Args:
        source: the archive, see `recordings.listed`.
        output: the folder, a path or a URL; with a cluster, one that all its machines see.
        model: its name or folder.
        scheduler: address of a Dask cluster; by default, this machine's cores are used.
        workers: processes on this machine; by default, as many as there are cores.
        resume: go on with a folder that was begun.
        retry: hear its parts again in which a recording could not be used: the fault may have been
            the network's or the machine's.
        on_progress: called with the recordings done and those there are.

    Raises:
        UndertoneError: one of these cannot be used, or the cluster has gone. What is done stays.
    """
    folder = locations.find_model(model)
    bundle.verify_files(folder, bundle.read_card(folder))
    if not recordings.is_url(output):
        output = os.path.abspath(os.path.expanduser(output))
    if not (resume or retry):
        parts.check_new(output)
    others = []
    # Not in memory: of ten million recordings, the list alone is a gigabyte.
    with tempfile.TemporaryFile("w+") as kept:
        count, digest = _keep(
            recordings.listed(source, on_other=lambda: others.append(1)), output, kept
        )
        if not count:
            raise BatchError(f"there is no recording in {source}")
        plan = Plan(
            recordings=count,
            listed=digest,
            model=folder.name if folder.parent == locations.MODELS else str(folder.resolve()),
            card=bundle.sha256(folder / "card.json"),
        )
        done = parts.done(output, plan) if resume or retry else set()
        if retry:
            done -= parts.with_errors(output, done)
        left = ((n, names) for n, names in _parts(kept, plan) if n not in done)
        resumed = heard = sum(min(plan.size, count - n * plan.size) for n in done)
        unusable = 0
        on_progress(heard, count)
        if len(done) < plan.parts:
            with cluster.reached(scheduler) if scheduler else _cores(workers) as client:
                _check(client, plan)
                parts.begin(output, plan)
                for names, failed in _through(client, left, plan, output):
                    heard += len(names)
                    unusable += failed
                    on_progress(heard, count)
    parts.tidy(output)
    return Heard(count, plan.parts, resumed, unusable, len(others))


def _keep(names: Iterator[str], output: str, kept: IO[str]) -> tuple[int, str]:
    """Write a list down, but for what lies in the output; return its length and its sha256."""
    count, digest = 0, hashlib.sha256()
    try:
        for name in names:
            if not name.startswith(output + "/"):
                line = json.dumps(name) + "\n"  # a name may have line breaks
                digest.update(line.encode())
                kept.write(line)
                count += 1
        kept.seek(0)
    except OSError as error:
        raise BatchError(
            f"the list of recordings cannot be kept in {tempfile.gettempdir()}: {error.strerror}"
        ) from None
    return count, digest.hexdigest()


def _parts(kept: IO[str], plan: Plan) -> Iterator[tuple[int, list[str]]]:
    for number in range(plan.parts):
        yield number, [json.loads(line) for line in islice(kept, plan.size)]


@contextmanager
def _cores(workers: int | None):
    """Yield a client of a cluster of that many processes on this machine, or of one a core."""
    import dask
    from distributed import Client, LocalCluster

    cluster.silence()
    ended = threading.Event()

    def replace_workers() -> None:
        # Dask starts a worker that has died again, but gives it up if it dies at once.
        while not ended.wait(5):
            cores.scale(count)

    with (
        dask.config.set(_CONFIG),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            scheduler_kwargs={"dashboard": False},
            # With certificates made for the occasion. Without, whoever has an account on this
            # machine could tell the workers what to do.
            security=True,
            silence_logs=logging.CRITICAL,
            preload=__name__,
        ) as cores,
        Client(cores, set_as_default=False) as client,
    ):
        count = len(cores.worker_spec)
        watch = threading.Thread(target=replace_workers, daemon=True)
        watch.start()
        try:
            yield client
        finally:
            ended.set()
            watch.join()


def dask_setup(worker) -> None:
    """Leave Ctrl-C to the command; Dask calls this in each process of this machine's cluster."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _check(client, plan: Plan) -> None:
    """Make sure that the cluster knows Undertone and the model."""
    try:
        _result(client, rows, [], plan)
    except UndertoneError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever another version may lack
        raise cluster.unfit(error.__cause__ or error) from None


def _through(
    client, left: Iterator[tuple[int, list[str]]], plan: Plan, output: str
) -> Iterator[tuple[list[str], int]]:
    """Have parts done; yield each one's recordings and how many of them could not be used."""
    from distributed import as_completed

    def submit(number: int, names: list[str]):
        future = client.submit(hear_part, number, names, plan, output, pure=False)
        waiting[future.key] = number, names
        return future

    waiting = {}
    futures = as_completed([submit(*part) for part in islice(left, _AHEAD)], loop=client.loop)
    with cluster.explained(_STAYS):
        for future in cluster.ended(client, futures, _STAYS):
            number, names = waiting.pop(future.key)
            try:
                failed = future.result()
            except (UndertoneError, ImportError):
                raise
            except Exception:  # noqa: BLE001 - one recording must not stop the others
                harmful = _harmful(client, names, plan)
                failed = _result(client, hear_part, number, names, plan, output, harmful)
            yield names, failed
            futures.update(submit(*part) for part in islice(left, 1))


def _harmful(client, names: Sequence[str], plan: Plan) -> dict[str, str]:
    """Return which recordings fail in a way that nobody foresaw, and how.

    One after the other, or those that are to be heard next by a worker that dies would be blamed,
    too.
    """
    from distributed import KilledWorker

    found = {}
    for name in names:
        try:
            _result(client, rows, [name], plan)
        except (UndertoneError, ImportError):
            raise
        except KilledWorker:
            found[name] = "whoever listened to it was ended, perhaps because of too little memory"
        except Exception as error:  # noqa: BLE001 - whatever it may be
            found[name] = f"it could not be heard ({type(error).__name__}: {error})"
    return found


def _result(client, call: Callable, *arguments):
    """Return what a worker makes of a call, before all that is waiting."""
    from distributed import as_completed

    future = client.submit(call, *arguments, pure=False, priority=1)
    next(cluster.ended(client, as_completed([future], loop=client.loop), _STAYS))
    return future.result()


def hear_part(
    number: int,
    names: Sequence[str],
    plan: Plan,
    output: str,
    harmful: Mapping[str, str] | None = None,
) -> int:
    """Hear recordings and write what was heard as one part; what a worker does.

    Args:
        number: of the part.
        names: of the recordings.
        plan: what the part belongs to.
        output: the folder.
        harmful: those that are not to be listened to, and why.

    Returns:
        How many of the recordings could not be used.
    """
    found = rows(names, plan, harmful)
    parts.write(output, number, found, plan, _recognizer(plan).card.labels)
    return sum(row["error"] is not None for row in found)


def rows(names: Sequence[str], plan: Plan, harmful: Mapping[str, str] | None = None) -> list[dict]:
    """Return what is heard in each recording as `parts.row` or `parts.failure`."""
    hears = _recognizer(plan)
    found = {name: parts.failure(name, why) for name, why in (harmful or {}).items()}
    safe = [name for name in names if name not in found]
    for start in range(0, len(safe), _TOGETHER):
        found |= _together(hears, safe[start : start + _TOGETHER])
    return [found[name] for name in names]


def _together(hears: Recognizer, names: Sequence[str]) -> dict[str, dict]:
    found, short = {}, {}
    for name in names:
        try:
            clip = recordings.read(name)
        except audio.AudioError as error:
            found[name] = parts.failure(name, str(error))
            continue
        if clip.duration > _SHORT:
            found[name] = parts.row(name, hears.predict(clip))
        else:
            short[name] = clip
    predictions = hears.predict_many(list(short.values()))
    return found | {n: parts.row(n, p) for n, p in zip(short, predictions, strict=True)}


@functools.lru_cache(1)
def _recognizer(plan: Plan) -> Recognizer:
    folder = locations.find_model(plan.model)
    if bundle.sha256(folder / "card.json") != plan.card:
        raise BatchError(
            f"the model {plan.model} of {socket.gethostname()} is another one; give all machines "
            "the same"
        )
    return Recognizer(bundle.load(folder))
