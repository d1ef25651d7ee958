"""Numbers in words."""

import pytest

from ser_core.wording import counted, duration, people, percent, share, signed


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


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 people"), (1, "1 person"), (2, "2 people"), (1234, "1,234 people")]
)
def test_one_is_not_many(count, text):
    assert counted(count, "person", "people") == text
    assert counted(1, "round") == "1 round" and counted(2, "round") == "2 rounds"


@pytest.mark.parametrize(
    ("speakers", "text"),
    [(["01", "02", "01"], "2 people"), (["01"], "1 person"), (["", ""], "unnamed people")],
)
def test_who_has_no_name_is_not_one_person(speakers, text):
    assert people(speakers) == text
    other = text.replace("people", "voices").replace("person", "voice")
    assert people(speakers, "voice", "voices") == other


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (5399, "90 min"), (6000, "1.7 h")],
)
def test_a_duration_is_no_more_exact_than_it_matters(seconds, text):
    assert duration(seconds) == text
