"""What can go wrong with a corpus."""

from ser_core.errors import UndertoneError


class CorpusError(UndertoneError):
    """A corpus is unknown, missing, or cannot be had; the message says which and what to do."""
