"""What every foreseen error has in common, and what is told of the others."""


class UndertoneError(ValueError):
    """The caller can mend this; the message is one sentence: what is wrong, what to do."""


class BundleError(UndertoneError):
    """A model folder cannot be used; the message says what is wrong with it."""


def one_line(error: Exception) -> str:
    """Return what a library says of an error, to be part of a sentence."""
    return " ".join(str(error).split())[:300]


class TrainingError(UndertoneError):
    """A training cannot be done; the message says why and what to do."""
