"""A corpus on its way here, in the background: it comes whether or not anybody looks on."""

import logging
import threading

from ser_core.corpora import install
from ser_core.corpora.download import Http
from ser_core.corpora.errors import CorpusError


class Download:
    """`install.get` in a thread of its own; safe to ask from any thread.

    Attributes:
        name: the corpus.
        channels: which of its channels; all if empty.
    """

    def __init__(self, name: str, channels: tuple[str, ...] = (), *, http: Http | None = None):
        """Begin to download; the person has accepted the licence.

        Args:
            name: a key of `CORPORA`.
            channels: as of `install.get`.
            http: as of `install.get`.
        """
        self.name, self.channels = name, channels
        self._lock = threading.Lock()
        self._total = self._done = 0
        self._stopped, self._error = False, ""
        self._thread = threading.Thread(
            target=self._get, args=[http], name=f"download-{name}", daemon=True
        )
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._thread.is_alive()

    @property
    def error(self) -> str:
        """Why it ended too early, as part of a sentence; empty if it did not."""
        return self._error

    @property
    def stopped(self) -> bool:
        """Whether somebody stopped it, which is then the error."""
        return self._stopped

    @property
    def megabytes(self) -> tuple[float, float]:
        """How much is here and how much there is; 0 if that is not known yet."""
        with self._lock:
            return self._done / 1e6, self._total / 1e6

    def stop(self) -> None:
        """Let it end soon; what has arrived is kept, and the next download goes on from there."""
        self._stopped = True

    def wait(self) -> None:
        """Return when it has ended."""
        self._thread.join()

    def _get(self, http: Http | None) -> None:
        try:
            install.get(
                self.name,
                accepts=lambda corpus: True,
                channels=self.channels,
                http=http,
                on_total=self._expect,
                on_bytes=self._arrived,
            )
        except CorpusError as error:
            self._error = str(error)
        except Exception:
            self._error = "it failed; what has arrived is kept: try again"
            logging.getLogger(__name__).exception("The download of %s failed.", self.name)

    def _expect(self, more: int) -> None:
        with self._lock:
            self._total += more

    def _arrived(self, more: int) -> None:
        with self._lock:
            self._done += more
        if self._stopped:
            raise CorpusError("it was stopped; what has arrived is kept")
