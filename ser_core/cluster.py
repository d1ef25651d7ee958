"""A Dask cluster: work is given to its processes, and what comes of it taken back."""

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ser_core import recordings
from ser_core.errors import UndertoneError

_PATIENCE = 10  # seconds in which a cluster has to answer


class ClusterError(UndertoneError):
    """A cluster is of no use; the message says why."""


@contextmanager
def reached(scheduler: str):
    """Yield a client of the cluster whose scheduler has that address.

    Raises:
        ClusterError: nothing answers there, or it has no workers.
    """
    from distributed import Client

    silence()
    try:
        # Not by making a client: one that could not be made hangs when it is thrown away.
        asyncio.run(_reach(scheduler))
    except (OSError, ValueError, TypeError) as error:
        raise ClusterError(
            f"no Dask scheduler answers at {scheduler} ({recordings.reason(error)}); start one "
            "with `python -m dask scheduler` in Undertone's folder"
        ) from None
    with Client(scheduler, set_as_default=False) as client:
        try:
            client.wait_for_workers(1, timeout=_PATIENCE)
        except TimeoutError:
            raise ClusterError(
                f"the cluster at {scheduler} has no workers; start some with `python -m "
                f"dask worker {scheduler} --nthreads 1` in Undertone's folder"
            ) from None
        yield client


def silence() -> None:
    """Keep what Dask logs for its makers off the screen; what concerns the user, it raises."""
    for name in ("distributed", "distributed.client", "tornado.application"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


async def _reach(scheduler: str) -> None:
    from distributed import Security
    from distributed.comm import connect

    how = Security().get_connection_args("client")
    comm = await connect(scheduler, timeout=_PATIENCE, **how)
    await comm.close()


def ended(client, futures, consolation: str) -> Iterator:
    """Yield futures as they end, well or not; `as_completed` alone may outwait the scheduler.

    Args:
        client: of the cluster.
        futures: Dask's `as_completed` of what it was given.
        consolation: what becomes of the work if the cluster goes, as part of a sentence.

    Raises:
        ClusterError: the cluster has gone before the last of them.
    """
    while not futures.is_empty():
        if futures.has_ready():
            future = next(futures)
            if future.status in ("finished", "error"):
                yield future
                continue
            if future.status == "lost":  # with the worker that had done it; another does it again
                futures.add(future)
                continue
        elif client.status == "running":
            time.sleep(0.02)
            continue
        raise ClusterError(f"the cluster has gone; {consolation}")


@contextmanager
def explained(consolation: str):
    """Turn what Dask raises where a cluster fails at what it was given into a sentence.

    Args:
        consolation: as of `ended`.

    Raises:
        ClusterError: its processes lack something, or are ended one after the other.
    """
    from distributed import KilledWorker

    try:
        yield
    except ImportError as error:
        raise unfit(error) from None
    except KilledWorker:
        raise ClusterError(
            f"worker after worker was ended, perhaps because of too little memory; {consolation}"
        ) from None


def unfit(error: BaseException) -> ClusterError:
    """Return what to say of a cluster whose processes cannot do what they are told."""
    return ClusterError(
        f"the cluster cannot run Undertone ({recordings.reason(error)}); start its scheduler and "
        "its workers as `python -m dask …` in the folder of the same version"
    )
