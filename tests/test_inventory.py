import pandas as pd
import pytest

from ser_core import inventory


def manifest(*rows) -> pd.DataFrame:
    """Rows of speaker, sex, emotion, intensity, channel; the corpus is in the speaker's name."""
    found = pd.DataFrame(rows, columns=["speaker", "sex", "emotion", "intensity", "channel"])
    return found.assign(corpus=found.speaker.str.rpartition("-")[0])


FULL = [
    (f"mine-{number}", sex, emotion, intensity, channel)
    for number, sex in ((1, "male"), (2, "female"))
    for emotion in ("sad", "happy")
    for intensity in ("normal", "strong")
    for channel in ("speech", "song")
]


def without(*lacking):
    """`FULL`, but for rows that agree with all that is given."""
    return [row for row in FULL if not set(lacking) <= set(row)]


@pytest.mark.parametrize(
    ("rows", "lacks"),
    [
        (FULL, []),
        (without("sad", "strong"), ["no strong sad"]),
        (without("happy", "song"), ["no happy song"]),
        (without("mine-2", "song"), ["no song by speaker 2"]),
        (without("mine-1", "happy"), ["no happy by speaker 1"]),
        (without("female"), ["no women"]),
        (without("male", "song", "happy"), []),
        ([row for row in FULL if row[4] == "speech"], []),
        ([("mine-1", "", "sad", "", "speech"), ("mine-2", "", "sad", "", "speech")], []),
        ([(f"mine-{n}", "male", "sad", "", "speech") for n in range(9)], ["no women"]),
    ],
)
def test_what_is_missing_is_told(rows, lacks):
    assert inventory.missing(manifest(*rows)) == ({"mine": lacks} if lacks else {})


def test_many_speakers_are_counted_not_named():
    rows = [(f"mine-{n}", "", "sad", "", "speech") for n in range(9)]
    rows += [(f"mine-{n}", "", "calm", "", "speech") for n in range(4)]
    assert inventory.missing(manifest(*rows)) == {"mine": ["no calm by 5 of its 9 speakers"]}


def test_each_corpus_answers_for_itself():
    rows = [("one-1", "male", "sad", "", "speech"), ("two-1", "female", "happy", "", "speech")]
    assert inventory.missing(manifest(*rows)) == {"one": ["no women"], "two": ["no men"]}


def test_counts_are_in_the_vocabularys_order():
    table = inventory.table(manifest(*without("sad", "female")), "sex")
    assert table.to_dict("index") == {
        "happy": {"female": 4, "male": 4},
        "sad": {"female": 0, "male": 4},
    }


def test_recordings_without_a_label_are_not_counted():
    table = inventory.table(manifest(*FULL, ("mine-1", "male", "", "", "speech")), "sex")
    assert table.to_numpy().sum() == len(FULL)


@pytest.mark.realdata
def test_ravdess_has_no_strong_neutral(data_dir):
    from ser_core import corpora

    found = corpora.scan("ravdess", data_dir / "ravdess").manifest
    assert inventory.missing(found)["ravdess"] == [
        "no strong neutral",
        "no disgust song",
        "no surprised song",
        "no song by speaker 18",
    ]
