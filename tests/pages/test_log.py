import tomllib
from datetime import UTC, datetime

import pytest

from pages.parts import microphone
from tests.helpers import ROOT, speech_like
from tests.pages.conftest import wav
from tests.pages.test_live import FakeStream, press

FIELDS = {"time", "level", "source", "model", "seconds", "ms", "abstained", "error"}
SAMPLES = tomllib.loads((ROOT / "assets" / "samples" / "samples.toml").read_text("utf-8"))
SAMPLE = SAMPLES["sample"][0]["title"]
NAME = "Jane Doe, 1 May.wav"


def upload(app, talk):
    app.file_uploader[0].upload(NAME, talk).run()


def record(app, talk):
    app.audio_input[0].upload("Jane Doe.wav", talk).run()


def sample(app, talk):
    app.pills[0].select(SAMPLE).run()


@pytest.mark.parametrize(
    "give, source", [(upload, "upload"), (record, "recorded"), (sample, "sample")]
)
def test_a_prediction_is_one_line_that_says_nothing_about_who_or_what(
    app, talk_wav, logged, give, source
):
    lines = logged("info")
    before = datetime.now(UTC)
    give(app, talk_wav)
    [line] = lines()
    assert set(line) == FIELDS
    assert before < datetime.fromisoformat(line.pop("time")) < datetime.now(UTC)
    [entry] = app.session_state.history.values()
    assert line.pop("seconds") == pytest.approx(entry.prediction.quality.duration, abs=0.01)
    assert line.pop("ms") >= 1000 * entry.prediction.seconds
    # All that is left is from lists that have nothing to do with the visitor.
    assert line == {
        "level": "info",
        "source": source,
        "model": "deep",
        "abstained": entry.prediction.abstained,
        "error": None,
    }


def test_what_cannot_be_read_is_a_line_with_the_kind_of_error(app, logged):
    lines = logged("info")
    app.file_uploader[0].upload(NAME, b"no sound at all").run()
    [line] = lines()
    assert set(line) == FIELDS
    assert (line["source"], line["error"]) == ("upload", "AudioError")
    assert line["model"] is line["seconds"] is line["abstained"] is None
    assert "Jane" not in str(line)


def test_of_many_files_each_has_its_line(app, talk_wav, logged):
    lines = logged("INFO")
    files = [("Jane.wav", talk_wav), ("Joe.wav", b"?"), ("Jim.wav", wav(speech_like(seed=1)))]
    for file in files:
        app.file_uploader[0].upload(*file)
    app.run()
    assert [line["error"] for line in lines()] == [None, "AudioError", None]


def test_silence_is_a_line_that_abstained(app, silence_wav, logged):
    lines = logged("info")
    upload(app, silence_wav)
    [line] = lines()
    assert line["abstained"] is True and line["seconds"] == 2.0


@pytest.mark.parametrize("level", ["", "off"])
def test_nothing_is_written_unless_it_is_wanted(app, talk_wav, logged, level):
    lines = logged(level)
    upload(app, talk_wav)
    assert lines() == []


@pytest.mark.parametrize("level, moments", [("info", 0), ("debug", 1)])
def test_live_moments_are_lines_only_if_all_is_wanted(
    unopened, monkeypatch, logged, level, moments
):
    monkeypatch.setattr(microphone, "Stream", FakeStream)
    monkeypatch.setattr(microphone, "was_left", lambda: False)
    monkeypatch.setattr(FakeStream, "sound", speech_like(3.0))
    app = unopened.switch_page("pages/live.py").run()
    lines = logged(level)
    press(app, "Start listening")
    found = lines()
    assert [line["source"] for line in found] == ["live"] * moments
    assert all(set(line) == FIELDS and line["level"] == "debug" for line in found)
    press(app, "Keep this moment")
    assert "kept" in [line["source"] for line in lines()]


def test_a_level_that_there_is_not_is_told_and_does_no_harm(app, talk_wav, logged, caplog):
    lines = logged("loud")
    upload(app, talk_wav)
    assert "choose off, info or debug" in caplog.text
    assert [line["source"] for line in lines() if "source" in line] == ["upload"]
