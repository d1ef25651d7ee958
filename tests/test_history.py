import dataclasses
import io
import json

import numpy as np
import pandas
import pytest

from ser_core import audio, history
from ser_core.recognizer import Recognizer
from tests.helpers import speech_like


@pytest.fixture(scope="module")
def recognizer():
    return Recognizer.from_name("swift")


def clip(seconds=1.0, seed=0):
    return audio.Clip(speech_like(seconds, seed=seed), 16_000, "clip")


def remember(recognizer, entries, *clips, **told):
    return [
        history.remember(
            entries,
            item,
            dataclasses.replace(recognizer.predict(item), **told),
            title=f"clip {index}",
        )
        for index, item in enumerate(clips)
    ]


def test_the_newest_is_last_and_its_sound_is_what_was_heard(recognizer):
    entries, heard = {}, clip(3.0)
    keys = remember(recognizer, entries, clip(seed=1), heard)
    assert list(entries) == keys
    entry = entries[keys[1]]
    assert entry.title == "clip 1" and entry.prediction.label
    for again in (audio.read(entry.sound), entry.clip()):
        np.testing.assert_allclose(again.samples, heard.samples, atol=2 / 2**15)


@pytest.mark.parametrize(("start", "end"), [(0.0, 1.0), (0.5, 1.25), (1.0, None), (2.9, 9.0)])
def test_a_part_of_the_sound(recognizer, start, end):
    entries, heard = {}, clip(3.0)
    (key,) = remember(recognizer, entries, heard)
    expected = heard.samples[int(start * 16_000) : end and int(end * 16_000)]
    np.testing.assert_allclose(entries[key].clip(start, end).samples, expected, atol=2 / 2**15)


def test_the_same_heard_again_is_one_entry_moved_to_the_end(recognizer):
    entries = {}
    first, second, again = remember(recognizer, entries, clip(seed=1), clip(seed=2), clip(seed=1))
    assert again == first
    assert list(entries) == [second, first]
    assert entries[first].title == "clip 2"
    (other,) = remember(recognizer, entries, clip(seed=1), model="other")
    assert list(entries) == [second, first, other]
    (anew,) = remember(recognizer, entries, clip(seed=1), weights="of another of that name")
    assert list(entries) == [second, first, other, anew]


def test_the_oldest_make_room(recognizer, monkeypatch):
    monkeypatch.setattr(history, "MOST_ENTRIES", 3)
    entries = {}
    keys = remember(recognizer, entries, *(clip(seed=seed) for seed in range(5)))
    assert list(entries) == keys[2:]
    monkeypatch.setattr(history, "MOST_BYTES", len(entries[keys[3]].sound))
    remember(recognizer, entries, clip(3.0, seed=9))
    assert len(entries) == 1, "the newest stays, even if it is too large by itself"


def test_nothing_can_be_taken_away_too():
    assert history.as_frame({}).empty
    assert json.loads(history.to_json({})) == []


def test_csv_and_json_tell_the_same(recognizer):
    entries = {}
    silence = audio.Clip(np.zeros(16_000, np.float32), 16_000, "silence")
    remember(recognizer, entries, clip(2.0), silence)
    table = pandas.read_csv(io.StringIO(history.to_csv(entries)))
    documents = json.loads(history.to_json(entries))
    assert list(table.title) == [item["file"] for item in documents] == ["clip 1", "clip 0"]
    assert list(table.duration) == [item["duration"] for item in documents] == [1.0, 2.0]
    assert pandas.isna(table.label[0]) and documents[0]["label"] is None
    assert table.label[1] == documents[1]["label"]
    assert list(table.abstained) == [item["abstained"] for item in documents]
    for emotion, probability in documents[1]["probabilities"].items():
        assert table[emotion][1] == pytest.approx(probability, abs=1e-4)
