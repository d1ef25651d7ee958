import dataclasses
import json
import shutil
import subprocess
import sys
import tomllib

import pytest
import soundfile
import streamlit as st

from ser_core import recognizer
from ser_core.emotions import EMOTIONS
from tests.helpers import ROOT, speech_like
from tests.pages.conftest import wav

SAMPLES = ROOT / "assets" / "samples"
TABLE = tomllib.loads((SAMPLES / "samples.toml").read_text("utf-8"))["sample"]
TITLES = [row["title"] for row in TABLE]


@pytest.fixture
def says(monkeypatch):
    """Make the model answer as given, whatever it hears."""

    def answer(**fields):
        real = recognizer.Recognizer.predict
        monkeypatch.setattr(
            recognizer.Recognizer,
            "predict",
            lambda self, clip: dataclasses.replace(real(self, clip), **fields),
        )

    return answer


def name(app):
    """What the answer is about."""
    assert not app.exception
    return app.text[0].value


def charts(app):
    return app.get("plotly_chart")


def test_first_view_offers_three_ways_in(app):
    assert not app.exception
    assert not app.error
    assert len(app.audio_input) == len(app.file_uploader) == 1
    assert app.pills[0].options == TITLES
    assert all(emotion in app.markdown[0].value.lower() for emotion in EMOTIONS)
    assert "Nothing is stored" in app.caption[0].value
    assert not app.header
    assert not charts(app)


@pytest.mark.parametrize("title", TITLES)
def test_sample(app, title):
    app.pills[0].select(title).run()
    assert name(app) == f"“{title}”, a synthetic voice"
    assert app.header[0].value.split("\u00a0")[0].lower() in {*EMOTIONS, "i can't tell 🤷"}
    assert len(charts(app)) == 3
    assert len(app.get("audio")) == 1


@pytest.mark.parametrize("row", TABLE, ids=TITLES)
def test_samples_are_short_and_say_how_not_what(row):
    info = soundfile.info(SAMPLES / row["file"])
    assert (info.samplerate, info.channels) == (16_000, 1)
    assert 1 < info.duration < 4
    assert not any(emotion in row["title"].lower() for emotion in EMOTIONS)


def test_upload(app, talk_wav, says):
    says(label="happy", confidence=0.624, abstained=False, reason="")
    app.file_uploader[0].upload("my *talk*.wav", talk_wav).run()
    assert name(app) == "my *talk*.wav"
    assert app.header[0].value == "Happy\u00a0😄"
    assert "62% sure" in [markdown.value for markdown in app.markdown]


def test_recording(app, talk_wav):
    app.audio_input[0].upload("audio.wav", talk_wav).run()
    assert name(app) == "Your recording"
    assert len(charts(app)) == 3


def test_no_winner_when_it_cannot_tell(app, talk_wav, says):
    probabilities = dict.fromkeys(EMOTIONS, 0.08) | {"sad": 0.3, "calm": 0.22}
    reason = "No emotion stands out clearly enough to rely on."
    says(probabilities=probabilities, label="sad", abstained=True, reason=reason)
    app.file_uploader[0].upload("talk.wav", talk_wav).run()
    assert app.header[0].value.startswith("I can't tell")
    said = [markdown.value for markdown in app.markdown]
    assert reason in said
    assert "The closest would be sad\u00a0😢\u00a0(30%) or calm\u00a0😌\u00a0(22%)." in said
    assert not any("sure" in text for text in said)


def test_silence_gets_a_reason_and_no_guess(app, silence_wav):
    app.file_uploader[0].upload("silence.wav", silence_wav).run()
    assert name(app) == "silence.wav"
    assert app.header[0].value.startswith("I can't tell")
    said = " ".join(markdown.value for markdown in app.markdown)
    assert "silence" in said
    assert "closest" not in said
    assert not app.warning  # the reason is not repeated
    assert len(charts(app)) == 2  # no probabilities


def test_quality_is_told_in_a_sentence(app):
    loud = (4 * speech_like()).clip(-0.6, 0.6)
    app.file_uploader[0].upload("loud.wav", wav(loud)).run()
    assert len(charts(app)) == 3
    assert [warning.value.split(" (")[0] for warning in app.warning] == [
        "The recording is overdriven"
    ]


@pytest.mark.parametrize(
    "content", [b"this is text\n" * 50, b"", b"RIFF", b"\x00" * 5_000], ids=str
)
def test_bad_file_gets_a_sentence_and_the_page_stays_usable(app, content, talk_wav):
    app.file_uploader[0].upload("notes.wav", content).run()
    assert not app.exception
    assert len(app.error) == 1
    assert app.error[0].value.startswith("Sorry: ")
    assert not app.header
    app.pills[0].select(TITLES[0]).run()
    assert name(app) == f"“{TITLES[0]}”, a synthetic voice"
    assert not app.error
    app.audio_input[0].upload("audio.wav", talk_wav).run()
    assert name(app) == "Your recording"


def test_the_current_recording_is_the_last_one_given(app, talk_wav):
    app.audio_input[0].upload("audio.wav", talk_wav).run()
    app.file_uploader[0].upload("talk.wav", talk_wav).run()
    assert name(app) == "talk.wav"
    app.pills[0].select(TITLES[1]).run()
    assert name(app) == f"“{TITLES[1]}”, a synthetic voice"
    app.pills[0].set_value(None).run()
    assert name(app) == "talk.wav"
    app.file_uploader[0].set_value(None).run()
    assert name(app) == "Your recording"
    app.audio_input[0].set_value(None).run()
    assert not app.header


def test_a_recording_of_ones_own_puts_the_sample_back(app, talk_wav):
    app.pills[0].select(TITLES[0]).run()
    app.file_uploader[0].upload("talk.wav", talk_wav).run()
    assert app.pills[0].value is None
    # So one click brings the sample again.
    app.pills[0].select(TITLES[0]).run()
    assert name(app) == f"“{TITLES[0]}”, a synthetic voice"


def test_the_answer_is_still_there_after_a_look_at_another_page(app, talk_wav):
    app.file_uploader[0].upload("talk.wav", talk_wav).run()
    app.switch_page("pages/about.py").run()
    app.switch_page("pages/recognize.py").run()
    assert name(app) == "talk.wav"


def damaged(folder):
    shutil.copytree(ROOT / "models" / "swift", folder / "swift")
    (folder / "swift" / "model.onnx").write_bytes(b"damaged")


@pytest.mark.parametrize("prepare", [lambda folder: None, damaged], ids=["missing", "damaged"])
def test_without_a_model_there_is_one_sentence(app, tmp_path, monkeypatch, prepare):
    prepare(tmp_path)
    monkeypatch.setattr(recognizer, "MODELS", tmp_path)
    st.cache_resource.clear()
    app.run()
    assert not app.exception
    assert len(app.error) == 1
    assert "swift" in app.error[0].value
    app.pills[0].select(TITLES[0]).run()
    assert not app.exception
    assert len(app.error) == 1
    monkeypatch.undo()
    assert not app.run().error  # put back, it works without a restart


def test_model_and_protocol_are_named(app):
    app.pills[0].select(TITLES[0]).run()
    line = app.caption[-1].value
    assert "swift" in line
    card = recognizer.Recognizer.from_name().card
    assert ("unseen speakers (ravdess-" in line) == bool(card.evaluation)


def test_recognizing_imports_no_training_library():
    code = f"""
import json, sys
from streamlit.testing.v1 import AppTest
app = AppTest.from_file({str(ROOT / "app.py")!r}, default_timeout=600).run()
app.pills[0].select({TITLES[0]!r}).run()
assert app.header and not app.exception
print(json.dumps(sorted(sys.modules)))
"""
    output = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    modules = set(json.loads(output.stdout))
    assert "onnxruntime" in modules
    assert not modules & {"tensorflow", "keras", "librosa", "sklearn", "torch"}
