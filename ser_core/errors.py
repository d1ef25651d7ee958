"""The one thing every foreseen error has in common."""


class UndertoneError(ValueError):
    """The caller can mend this; the message is one sentence: what is wrong, what to do."""


class TrainingError(UndertoneError):
    """A training cannot be done; the message says why and what to do."""
