"""Fractions as people read them: what a model believes, and what was counted."""


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
