"""Numbers as people read them: what a model believes, what was counted, how long it took."""

from collections.abc import Iterable


def percent(probability: float) -> str:
    """Return a probability as a whole per cent; certainty is never claimed."""
    if probability < 0.01:
        return "<1%"
    return ">99%" if probability > 0.99 else f"{probability:.0%}"


def share(fraction: float) -> str:
    """Return a counted fraction as a whole per cent; 0% and 100% are none and all of them."""
    if fraction in (0, 1):
        return f"{fraction:.0%}"
    rounded = f"{fraction:.0%}"
    return {"0%": "<1%", "100%": ">99%"}.get(rounded, rounded)


def signed(value: float) -> str:
    """Return a value to one decimal, with its sign; what is as good as zero has none."""
    rounded = f"{value:+.1f}".replace("-", "−")
    return "0.0" if rounded[1:] == "0.0" else rounded


def counted(count: int, one: str, many: str = "") -> str:
    """Return how many there are of something; many are called as one with an s if not given."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def people(speakers: Iterable[str], one: str = "person", many: str = "people") -> str:
    """Return how many people some speakers are, who may have no names."""
    named = set(speakers) - {""}
    return counted(len(named), one, many) if named else f"unnamed {many}"


def duration(seconds: float) -> str:
    """Return how long something takes, so exactly as matters to somebody who waits."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
