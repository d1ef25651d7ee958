"""Folders of Parquet files, on a disk and in a store."""

import os
from dataclasses import replace

import fsspec
import pandas as pd
import pyarrow.dataset
import pyarrow.parquet
import pytest

from ser_core import audio, parts
from ser_core.parts import OutputError, Plan
from ser_core.recognizer import Recognizer
from tests.helpers import speech_like

PLAN = Plan(recordings=600, listed="12", model="swift", card="34")


@pytest.fixture(scope="module")
def hears():
    return Recognizer.from_name("swift")


@pytest.fixture(params=["disk", "store"])
def output(request, tmp_path):
    """A folder that is not there yet; of a store, one in the memory of this process."""
    if request.param == "disk":
        yield str(tmp_path / "out.parquet")
        return
    yield "memory://bucket/out.parquet"
    store = fsspec.filesystem("memory")
    if store.exists("/bucket"):
        store.rm("/bucket", recursive=True)


def contents(output):
    fs, folder = fsspec.url_to_fs(output)
    return {path.rpartition("/")[2]: fs.cat_file(path) for path in fs.ls(folder, detail=False)}


def test_rows_are_what_predict_shows(output, hears):
    long = hears.predict(audio.Clip(speech_like(7.0), audio.SAMPLE_RATE, "long"))
    odd = os.fsdecode(b"/x/\xff\n.wav")
    parts.begin(output, PLAN)
    rows = [parts.row("/x/long.wav", long), parts.failure(odd, f"no '{odd}'")]
    parts.write(output, 2, rows, PLAN, hears.card.labels)
    fs, folder = fsspec.url_to_fs(output)
    # As anyone would read it.
    frame = pd.read_parquet(folder, filesystem=fs)
    shown = long.as_dict()
    first, second = frame.to_dict("records")
    for key in ("label", "confidence", "abstained", "reason", "probabilities", "duration"):
        assert first[key] == shown[key]
    assert list(first["windows"]) == shown["windows"] and len(shown["windows"]) > 2
    assert first["file"] == "/x/long.wav" and pd.isna(first["error"])
    assert first["quality"]["snr_db"] == pytest.approx(shown["quality"]["snr_db"], abs=1e-4)
    assert tuple(first["quality"]["issues"]) == shown["quality"]["issues"]
    assert (second["file"], second["error"]) == ("/x/\\udcff\n.wav", "no '/x/\\udcff\n.wav'")
    assert all(pd.isna(value) for key, value in second.items() if key not in ("file", "error"))
    schema = pyarrow.dataset.dataset(folder, filesystem=fs).schema
    assert schema.metadata == {b"model": b"swift", b"card": b"34"}


def test_a_part_of_errors_alone_has_the_same_columns(output, hears):
    parts.begin(output, PLAN)
    parts.write(output, 0, [parts.failure("x", "broken")], PLAN, hears.card.labels)
    silence = hears.predict(audio.Clip(speech_like(0.1), audio.SAMPLE_RATE, "short"))
    parts.write(output, 1, [parts.row("y", silence)], PLAN, hears.card.labels)
    fs, folder = fsspec.url_to_fs(output)
    schemas = [
        pyarrow.parquet.read_schema(f"{folder}/part-00000{n}.parquet", filesystem=fs)
        for n in (0, 1)
    ]
    assert schemas[0] == schemas[1]


def test_parts_that_are_there_are_known(output, hears):
    parts.check_new(output)
    assert parts.done(output, PLAN) == set()
    parts.begin(output, PLAN)
    for number in (0, 2):
        parts.write(output, number, [parts.failure("x", "broken")], PLAN, hears.card.labels)
    before = contents(output)
    parts.write(output, 2, [parts.failure("x", "broken")], PLAN, hears.card.labels)
    parts.begin(output, PLAN)
    assert contents(output) == before
    assert set(before) == {"_plan.json", "part-000000.parquet", "part-000002.parquet"}
    assert parts.done(output, PLAN) == {0, 2}


def test_only_the_same_work_is_gone_on_with(output):
    parts.begin(output, PLAN)
    with pytest.raises(OutputError, match="exists; --resume"):
        parts.check_new(output)
    for other, says in (
        (replace(PLAN, listed="13", recordings=599), r"other recordings \(600 then, 599 now\)"),
        (replace(PLAN, card="35"), r"another model \(swift"),
        (replace(PLAN, size=7), "another version"),
    ):
        with pytest.raises(OutputError, match=says):
            parts.done(output, other)
    assert parts.done(output, replace(PLAN, model="/a/copy/of/swift")) == set()


@pytest.mark.parametrize("plan", [None, b"", b"[]", b'{"a": 1}', b"\xff"])
def test_what_is_no_result_is_left_alone(output, plan):
    fs, folder = fsspec.url_to_fs(output)
    fs.makedirs(folder)
    fs.pipe_file(f"{folder}/mine.parquet", b"precious")
    if plan is not None:
        fs.pipe_file(f"{folder}/_plan.json", plan)
    before = contents(output)
    with pytest.raises(OutputError, match="name another --output"):
        parts.done(output, PLAN)
    assert contents(output) == before


def test_what_a_killed_process_left_is_removed_and_nothing_else(output):
    fs, folder = fsspec.url_to_fs(output)
    fs.makedirs(folder)
    left = f".part-000003.parquet-{'0' * 32}"
    fs.pipe_file(f"{folder}/._plan.json-{'0' * 32}", b"{")
    assert parts.done(output, PLAN) == set(), "killed before the plan was written"
    parts.begin(output, PLAN)
    for name in (left, ".mine", "mine"):
        fs.pipe_file(f"{folder}/{name}", b"half")
    assert parts.done(output, PLAN) == set()
    parts.tidy(output)
    assert set(contents(output)) == {"_plan.json", ".mine", "mine"}


def test_a_part_that_cannot_be_written_leaves_nothing(output, hears, monkeypatch):
    parts.begin(output, PLAN)
    before = contents(output)
    fs, _ = fsspec.url_to_fs(output)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(fs, "mv", full)
    with pytest.raises(
        OutputError, match=r"cannot be written \(No space left on device\)"
    ) as error:
        parts.write(output, 0, [parts.failure("x", "broken")], PLAN, hears.card.labels)
    assert "what is done stays" in str(error.value)
    assert contents(output) == before


def test_a_place_that_cannot_be_written_gets_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        parts.begin(str(tmp_path / "file" / "out"), PLAN)
    with pytest.raises(OutputError, match="exists"):
        parts.check_new(str(tmp_path / "file"))
