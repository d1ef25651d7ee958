"""Fractions in words."""

import pytest

from ser_core.wording import percent, share, signed


@pytest.mark.parametrize(
    ("probability", "text"),
    [(0.0, "<1%"), (0.004, "<1%"), (0.01, "1%"), (0.125, "12%"), (0.99, "99%"), (1.0, ">99%")],
)
def test_a_model_never_claims_certainty(probability, text):
    assert percent(probability) == text


@pytest.mark.parametrize(
    ("fraction", "text"),
    [(0, "0%"), (0.004, "<1%"), (0.006, "1%"), (0.9949, "99%"), (0.996, ">99%"), (1.0, "100%")],
)
def test_what_was_counted_is_all_only_if_nothing_is_missing(fraction, text):
    assert share(fraction) == text


@pytest.mark.parametrize(
    ("value", "text"), [(-0.04, "0.0"), (0.0, "0.0"), (0.05, "+0.1"), (-0.26, "−0.3"), (1, "+1.0")]
)
def test_nothing_is_minus_zero(value, text):
    assert signed(value) == text
