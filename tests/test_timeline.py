import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest

from ser_core import audio, timeline
from ser_core.recognizer import Recognizer, Window
from ser_core.timeline import Segment, Timeline
from tests.helpers import speech_like

CALM = {"calm": 0.9, "angry": 0.1}
ANGRY = {"calm": 0.2, "angry": 0.8}
EITHER = {"calm": 0.55, "angry": 0.45}


@pytest.fixture(scope="module")
def prediction():
    """Some prediction, whose windows the tests replace."""
    clip = audio.Clip(speech_like(), 16_000, "talk")
    return replace(Recognizer.from_name("swift").predict(clip), probabilities=CALM)


def talk(*seconds):
    """Speech and pauses in turns."""
    rng = np.random.default_rng(0)
    parts = [
        speech_like(length) if index % 2 == 0 else 1e-4 * rng.standard_normal(int(length * 16_000))
        for index, length in enumerate(seconds)
    ]
    return audio.Clip(np.concatenate(parts).astype(np.float32), 16_000, "talk")


def lay(prediction, clip, *windows):
    heard = tuple(Window(float(start), float(end), p) for start, end, p in windows)
    return timeline.timeline(replace(prediction, windows=heard), clip, threshold=0.7)


def made(*segments):
    """A timeline of `(start, end, label)`."""
    found = tuple(Segment(start, end, label, CALM) for start, end, label in segments)
    return Timeline(600.0, tuple(CALM), np.zeros((1200, 2)), found)


def test_windows_become_segments(prediction):
    found = lay(prediction, talk(9.0), (0, 3, CALM), (3, 6, CALM), (6, 9, ANGRY))
    assert [(s.start, s.end, s.label) for s in found.segments] == [
        (0, 6, "calm"),
        (6, 9, "angry"),
    ]
    assert found.segments[0].probabilities == CALM
    assert found.probabilities.shape == (18, 2)
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1)


def test_speech_that_begins_and_ends_within_a_step_is_all_there_is_of_it(prediction):
    found = lay(prediction, talk(4.2), (0.29, 3, CALM), (1.1, 4.1, CALM))
    assert [(s.start, s.end) for s in found.segments] == [(0, 4.2)]


def test_where_windows_overlap_they_are_averaged(prediction):
    found = lay(prediction, talk(6.0), (0, 4, CALM), (2, 6, ANGRY))
    assert [(s.start, s.end, s.label) for s in found.segments] == [
        (0, 2, "calm"),
        (2, 4, None),
        (4, 6, "angry"),
    ]
    assert found.segments[1].probabilities == pytest.approx(EITHER)


def test_silence_is_blank(prediction):
    found = lay(prediction, talk(4.0, 3.0, 4.0), (0, 4, CALM), (2, 6, CALM), (5, 11, CALM))
    first, second = found.segments
    assert first.end == pytest.approx(4, abs=timeline.STEP)
    assert second.start == pytest.approx(7, abs=timeline.STEP)
    assert (first.label, second.label) == ("calm", "calm")
    silent = ~found.probabilities.any(axis=1)
    assert silent.sum() * timeline.STEP == pytest.approx(3, abs=2 * timeline.STEP)


def test_what_was_not_judged_is_blank(prediction):
    found = lay(prediction, talk(9.0), (3, 6, CALM))
    assert [(s.start, s.end) for s in found.segments] == [(3, 6)]


@pytest.mark.parametrize("seconds", [3.1, 3.3, 3.7, 4.0])
def test_the_last_segment_ends_with_the_clip(prediction, seconds):
    found = lay(prediction, talk(seconds), (0, 3, CALM), (seconds - 3, seconds, CALM))
    assert found.segments[-1].end == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("segments", "words"),
    [
        ([], "nothing is said"),
        ([(0, 60, "calm")], "calm throughout"),
        ([(0, 60, None)], "unclear throughout"),
        ([(0, 42, "calm"), (42, 58, "angry"), (60, 90, "calm")], "mostly calm; angry 0:42–0:58"),
        ([(0, 40, None), (40, 50, "sad")], "mostly unclear; sad 0:40–0:50"),
        ([(0, 40, "sad"), (40, 50, None)], "mostly sad"),
        (
            [(0, 10, "sad"), (10, 20, "calm"), (20, 31, "angry")],
            "changing; sad 0:00–0:10, calm 0:10–0:20, angry 0:20–0:31",
        ),
        (
            [(0, 400, "calm")]
            + [(at, at + 5 + at % 100 / 10, "sad") for at in (410, 430, 450, 470, 490)],
            "mostly calm; sad 7:30–7:40, 7:50–8:02, 8:10–8:24, and 2 more",
        ),
    ],
)
def test_summary(segments, words):
    assert timeline.summary(made(*segments)) == words


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (9.6, "0:10"), (59.7, "1:00"), (754, "12:34"), (3_600, "1:00:00")],
)
def test_clock(seconds, text):
    assert timeline.clock(seconds) == text


@pytest.mark.parametrize(
    ("start", "end", "text"),
    [(42, 58, "0:42–0:58"), (12, 12.5, "0:12–0:12.5"), (59.5, 61.96, "0:59.5–1:02")],
)
def test_no_stretch_seems_to_have_no_length(start, end, text):
    assert timeline.span(Segment(start, end, "calm", CALM)) == text


def test_csv_and_json_tell_the_same():
    found = made((0, 42.5, "calm"), (50, 60, None))
    rows = list(csv.DictReader(io.StringIO(timeline.to_csv(found))))
    document = json.loads(timeline.to_json(found))
    assert document["summary"] == timeline.summary(found)
    assert [row["label"] or None for row in rows] == [s["label"] for s in document["segments"]]
    assert [float(row["end"]) for row in rows] == [s["end"] for s in document["segments"]]
    assert float(rows[0]["angry"]) == document["segments"][0]["probabilities"]["angry"] == 0.1
