import dataclasses
import json
import shutil
import subprocess
import sys
import tomllib
from datetime import timedelta
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
import soundfile
import streamlit as st
from streamlit.proto.Common_pb2 import FileURLs
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.uploaded_file_manager import UploadedFile, UploadedFileRec
from streamlit.testing.v1 import AppTest

from pages.parts import answer, hearing
from ser_core import locations, plots_over_time, recognizer, shelf
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
            lambda self, clip, **options: dataclasses.replace(
                real(self, clip, **options), **fields
            ),
        )

    return answer


def name(app):
    """What the answer is about."""
    assert not app.exception
    return app.text[0].value


def charts(app):
    return app.get("plotly_chart")


def traces(chart):
    return json.loads(chart.proto.spec)["data"]


def titles(app):
    return [entry.title for entry in app.session_state.history.values()]


def control(app, option):
    """The pills or segments that have this option."""
    return next(group for group in app.get("button_group") if option in group.options)


def test_first_view_offers_three_ways_in(app):
    assert not app.exception
    assert not app.error
    assert len(app.audio_input) == len(app.file_uploader) == 1
    assert app.pills[0].options == TITLES
    assert all(emotion in app.markdown[0].value.lower() for emotion in EMOTIONS)
    assert "nothing is written to disk" in app.caption[0].value
    assert not app.header
    assert not charts(app)


@pytest.mark.parametrize("title", TITLES)
def test_sample(app, title):
    app.pills[0].select(title).run()
    assert name(app) == f"“{title}”, a synthetic voice"
    assert app.header[0].value.split("\u00a0")[0].lower() in {*EMOTIONS, "i can't tell 🤷"}
    assert len(charts(app)) == 2
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
    assert len(charts(app)) == 2


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
    assert len(charts(app)) == 1  # no probabilities


def test_too_little_speech_gets_a_reason_and_no_guess(app, says):
    quiet = 1e-4 * np.random.default_rng(0).standard_normal(80_000).astype("float32")
    window = recognizer.Window(0.0, 3.0, dict.fromkeys(EMOTIONS, 0.0) | {"sad": 1.0})
    says(windows=(window, dataclasses.replace(window, start=1.5, end=4.5)))
    app.file_uploader[0].upload("word.wav", wav(np.concatenate([quiet, speech_like(0.4), quiet])))
    app.run()
    entry = next(iter(app.session_state.history.values()))
    assert entry.prediction.label and not entry.prediction.has_guess
    assert app.header[0].value.startswith("I can't tell")
    said = " ".join(markdown.value for markdown in app.markdown)
    assert "0.5 s are needed" in said
    assert "closest" not in said and "%" not in said and "Over time" not in said
    assert len(charts(app)) == 1  # the sound, and nothing about an answer
    offered = [option for group in app.get("button_group") for option in group.options]
    assert not {"Mood", "What it attended to"} & set(offered)


def test_quality_is_told_in_a_sentence(app):
    loud = (4 * speech_like()).clip(-0.6, 0.6)
    app.file_uploader[0].upload("loud.wav", wav(loud)).run()
    assert len(charts(app)) == 2
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
    assert app.error[0].value.startswith(r"Sorry, “notes\.wav”: ")
    assert not app.header
    app.pills[0].select(TITLES[0]).run()
    assert name(app) == f"“{TITLES[0]}”, a synthetic voice"
    assert not app.error
    app.audio_input[0].upload("audio.wav", talk_wav).run()
    assert name(app) == "Your recording"


def test_the_last_one_given_is_shown_and_taking_it_back_forgets_nothing(app, talk_wav):
    app.audio_input[0].upload("audio.wav", talk_wav).run()
    app.file_uploader[0].upload("talk.wav", wav(speech_like(seed=1))).run()
    assert name(app) == "talk.wav"
    app.pills[0].select(TITLES[1]).run()
    assert name(app) == f"“{TITLES[1]}”, a synthetic voice"
    app.pills[0].set_value(None).run()
    app.file_uploader[0].set_value(None).run()
    app.audio_input[0].set_value(None).run()
    assert name(app) == f"“{TITLES[1]}”, a synthetic voice"
    assert titles(app) == [
        "Your recording",
        "talk.wav",
        f"“{TITLES[1]}”, a synthetic voice",
    ]


def test_a_second_recording_has_a_name_of_its_own(app, talk_wav):
    app.audio_input[0].upload("audio.wav", talk_wav).run()
    app.audio_input[0].upload("audio.wav", wav(speech_like(seed=1))).run()
    assert titles(app) == ["Your recording", "Your recording 2"]


def test_ten_files_at_once_with_a_bad_one_among_them(app):
    files = [(f"clip *{i}*.wav", wav(speech_like(seed=i)), "audio/wav") for i in range(10)]
    files[4] = ("notes_1.wav", b"not a sound", "audio/wav")
    app.file_uploader[0].set_value(files).run()
    assert not app.exception
    assert titles(app) == [title for title, *_ in files if "clip" in title]
    (error,) = app.error
    assert error.value.startswith("Sorry, “notes\\_1\\.wav”: no sound can be decoded")
    # All are listed without a click, and can be played.
    assert app.session_state.listing
    assert len(app.get("audio")) == 1 + 9
    # What was heard before is not heard again when more comes.
    app.file_uploader[0].upload("eleventh.wav", wav(speech_like(seed=11))).run()
    assert titles(app)[-1] == "eleventh.wav"
    assert len(titles(app)) == 10
    assert not app.error


def test_history_is_opened_again_taken_away_and_cleared(app, talk_wav):
    app.file_uploader[0].upload("talk.wav", talk_wav).run()
    app.pills[0].select(TITLES[0]).run()
    assert not [button for button in app.button if button.label == "Open"]
    app.session_state.listing = True
    app.run()
    newest, oldest = (button for button in app.button if button.label == "Open")
    assert newest.disabled  # it is what is shown
    oldest.click().run()
    assert name(app) == "talk.wav"
    assert [button.proto.label for button in app.get("download_button")] == ["CSV", "JSON"]
    next(button for button in app.button if button.label == "Clear").click().run()
    assert not app.exception
    assert not app.header and not app.session_state.history
    assert app.file_uploader[0].value == [] and app.pills[0].value is None
    app.pills[0].select(TITLES[0]).run()
    assert name(app) == f"“{TITLES[0]}”, a synthetic voice"


def test_clearing_a_visit_clears_what_was_made_of_it_and_nothing_else(app, monkeypatch):
    drawn, made, draw = [], [], plots_over_time.pictures
    monkeypatch.setattr(
        plots_over_time, "pictures", lambda *a, **b: drawn.append(a) or draw(*a, **b)
    )
    nobodys = st.cache_data(lambda: made.append(1))
    nobodys()
    app.session_state.listing = True
    app.pills[0].select(TITLES[0]).run()
    app.run()
    assert len(drawn) == 1
    next(button for button in app.button if button.label == "Clear").click().run()
    nobodys()
    assert made == [1]
    app.pills[0].select(TITLES[0]).run()
    assert len(drawn) == 2


@pytest.mark.parametrize(
    ("view", "alt"), [("Bars", "happy "), ("Radar", "happy "), ("Mood", "Pleasantness (valence) +")]
)
def test_probabilities_are_drawn_as_asked(app, talk_wav, says, view, alt):
    probabilities = dict.fromkeys(EMOTIONS, 0.02) | {"happy": 0.86}
    says(probabilities=probabilities, label="happy", confidence=0.86, abstained=False, reason="")
    app.file_uploader[0].upload("talk.wav", talk_wav).run()
    control(app, "Bars").set_value(view).run()
    assert charts(app)[0].proto.alt.startswith(alt)


def test_overlays_are_laid_over_the_pictures(app):
    app.pills[0].select(TITLES[0]).run()
    before = len(traces(charts(app)[-1]))
    overlays = control(app, "What it attended to")
    overlays.set_value(["attention"]).run()
    assert len(traces(charts(app)[-1])) == before + 1
    assert any("Orange" in caption.value for caption in app.caption)
    overlays.set_value(["attention", "importance"]).run()
    assert len(traces(charts(app)[-1])) == before + 2
    assert any("Cyan" in caption.value for caption in app.caption)


def test_a_long_clip_has_a_timeline(app):
    pause = 1e-4 * np.random.default_rng(0).standard_normal(10 * 16_000)
    long = np.concatenate([speech_like(14.0), pause, speech_like(14.0, 300.0)])
    app.file_uploader[0].upload("long.wav", wav(long)).run()
    assert not app.exception
    timeline, pictures = charts(app)[1:]
    assert timeline.proto.alt.startswith("Emotions over time: ")
    assert pictures.proto.alt.endswith("long.wav, 0:00 to 0:38")
    assert [button.proto.label for button in app.get("download_button")] == ["CSV", "JSON"]
    begin = app.slider[0].value[0]
    app.slider[0].set_range(begin + timedelta(seconds=10), begin + timedelta(seconds=20)).run()
    assert charts(app)[-1].proto.alt.endswith("long.wav, 0:10 to 0:20")
    x_axis = json.loads(charts(app)[-1].proto.spec)["layout"]["xaxis"]
    assert x_axis["range"] == [10, 20]
    end = begin + timedelta(seconds=38)
    app.slider[0].set_range(end, end).run()
    assert charts(app)[-1].proto.alt.endswith("long.wav, 0:37 to 0:38")


def test_two_clips_are_compared(app, says, tmp_path, monkeypatch):
    (tmp_path / "swift").symlink_to(ROOT / "models" / "swift")
    monkeypatch.setattr(locations, "MODELS", tmp_path)
    app.file_uploader[0].upload("first *take*.wav", wav(speech_like())).run()
    assert not [e for e in app.expander if e.label == "Compare"]  # with what?
    app.file_uploader[0].upload("second.wav", wav(speech_like(pitch=250.0))).run()
    app.session_state.compare = True
    app.run()
    assert not app.exception
    assert app.selectbox[0].options == ["first *take*.wav"]
    assert [text.value for text in app.text] == ["second.wav"] * 2 + ["first *take*.wav"]
    assert len(app.header) == 3
    alt = charts(app)[-1].proto.alt
    assert alt.startswith("second.wav: ") and "; first *take*.wav: " in alt


def test_two_models_are_compared(app, talk_wav, tmp_path, monkeypatch):
    for name in ("swift", "other"):
        shutil.copytree(ROOT / "models" / "swift", tmp_path / name)
    monkeypatch.setattr(locations, "MODELS", tmp_path)
    app.file_uploader[0].upload("talk.wav", talk_wav).run()
    app.session_state.compare = True
    app.run()
    assert not app.exception
    assert app.selectbox[0].options == ["the same, heard by other"]
    bars = traces(charts(app)[-1])
    assert len(bars) == 2 and bars[0]["x"] == bars[1]["x"]


def test_a_damaged_model_to_compare_with_gets_a_sentence(app, talk_wav, tmp_path, monkeypatch):
    for name in ("swift", "other"):
        shutil.copytree(ROOT / "models" / "swift", tmp_path / name)
    (tmp_path / "other" / "model.onnx").write_bytes(b"damaged")
    monkeypatch.setattr(locations, "MODELS", tmp_path)
    app.file_uploader[0].upload("talk.wav", talk_wav).run()
    app.session_state.compare = True
    app.run()
    assert not app.exception
    assert len(app.error) == 1 and "other" in app.error[0].value
    assert app.header


def test_what_has_no_emotion_gets_no_bars_in_a_comparison(app, talk_wav, silence_wav):
    app.file_uploader[0].upload("talk.wav", talk_wav).run()
    app.file_uploader[0].upload("silence.wav", silence_wav).run()
    app.session_state.compare = True
    app.run()
    assert len(traces(charts(app)[-1])) == 1
    assert charts(app)[-1].proto.alt.startswith("silence.wav: can't tell; talk.wav: ")


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
    monkeypatch.setattr(locations, "MODELS", tmp_path)
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


@pytest.mark.parametrize(
    ("confidence", "said"), [(0.624, "62% sure"), (0.995, r"\>99% sure"), (0.004, r"\<1% sure")]
)
def test_the_surest_answer_is_no_quotation(confidence, said):
    assert answer.sure(confidence) == said


@pytest.mark.parametrize(("inputs", "which"), [(1, "the model 'deep'"), (3, "the detector")])
def test_an_error_of_onnx_runtime_is_one_sentence(app, talk_wav, monkeypatch, inputs, which):
    run = onnxruntime.InferenceSession.run

    def fail(session, *arguments):
        if len(session.get_inputs()) == inputs:
            raise RuntimeError("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION :\n no memory")
        return run(session, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(onnxruntime.InferenceSession, "run", fail)
        app.file_uploader[0].upload("talk.wav", talk_wav).run()
    assert not app.exception and not app.header
    (error,) = app.error
    assert error.value.startswith(rf"Sorry, “talk\.wav”: {which}") and "try again" in error.value
    app.pills[0].select(TITLES[0]).run()
    assert app.header and not app.error


@pytest.mark.parametrize("step", ["half", "gone"])
def test_a_model_that_is_being_replaced_goes_on(app, talk_wav, tmp_path, monkeypatch, step):
    folder = shutil.copytree(ROOT / "models" / "swift", tmp_path / "swift")
    monkeypatch.setattr(locations, "MODELS", tmp_path)
    app.file_uploader[0].upload("talk.wav", talk_wav).run()
    # First a new card, then the files that it speaks of.
    (folder / "card.json").write_bytes((folder / "card.json").read_bytes())
    (folder / "model.onnx").write_bytes(b"half")
    if step == "gone":
        shutil.rmtree(folder)
    app.pills[0].select(TITLES[0]).run()
    assert name(app) == f"“{TITLES[0]}”, a synthetic voice" and app.header and not app.error
    st.cache_resource.clear()  # as in a server that has just begun
    app.run()
    assert not app.exception and "swift" in app.error[0].value
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "models" / "swift", folder)
    assert not app.run().error


def test_an_answer_is_credited_to_the_model_that_gave_it(app, tmp_path, monkeypatch):
    monkeypatch.setenv("SER_RUNS_DIR", str(tmp_path))
    app.pills[0].select(TITLES[0]).run()
    shelf.activate("swift")
    app.run()
    assert "Heard by the model “deep”, right for" in app.caption[-1].value


def test_model_and_protocol_are_named(app):
    app.pills[0].select(TITLES[0]).run()
    line = app.caption[-1].value
    assert "deep" in line
    card = recognizer.Recognizer.from_name("deep").card
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


@pytest.mark.parametrize("what", [MemoryError(), KeyError("ours")])
def test_an_error_of_ours_is_a_sentence_and_what_else_was_given_is_heard(
    app, talk_wav, monkeypatch, what
):
    real = recognizer.Recognizer.predict

    def fail_once(self, clip, **options):
        if clip.name == "bad.wav":
            raise what
        return real(self, clip, **options)

    monkeypatch.setattr(recognizer.Recognizer, "predict", fail_once)
    files = [(title, talk_wav, "audio/wav") for title in ("bad.wav", "talk.wav")]
    app.file_uploader[0].set_value(files).run()
    assert name(app) == "talk.wav" and titles(app) == ["talk.wav"]
    assert type(what).__name__ in app.error[0].value and "bad" in app.error[0].value
    assert not app.session_state.queue


def test_an_answer_that_is_no_number_is_a_sentence(app, talk_wav, monkeypatch):
    run = onnxruntime.InferenceSession.run

    def no_number(session, *arguments):
        values = run(session, *arguments)
        return [value * np.nan for value in values] if len(session.get_inputs()) == 1 else values

    monkeypatch.setattr(onnxruntime.InferenceSession, "run", no_number)
    app.file_uploader[0].upload("talk.wav", talk_wav).run()
    assert not app.exception and not app.header
    assert "answers this with what is no number" in app.error[0].value


def test_an_upload_is_let_go_of_once_it_is_heard(app, talk_wav, monkeypatch):
    """Streamlit would keep it as long as the visit; the page then finds it is there no longer."""
    forgotten, remove = [], MemoryUploadedFileManager.remove_file
    with monkeypatch.context() as patched:
        patched.setattr(
            MemoryUploadedFileManager,
            "remove_file",
            lambda self, *of: (forgotten.append(of[1]), remove(self, *of)),
        )
        app.file_uploader[0].upload("talk.wav", talk_wav).run()
    (file,) = app.file_uploader[0].value
    assert forgotten == [file.file_id]
    monkeypatch.setattr(AppTest, "_register_uploaded_files", lambda *_: None)
    app.run()
    assert name(app) == "talk.wav" and not app.info and not app.error


@pytest.mark.parametrize("way", ["upload", "record"])
def test_what_comes_after_something_that_was_let_go_of_is_heard(app, talk_wav, monkeypatch, way):
    """That it is there no longer is a change, too, but nothing that the visitor has given."""
    if way == "upload":
        app.file_uploader[0].upload("talk.wav", talk_wav).run()
    else:
        app.audio_input[0].set_value(("talk.wav", talk_wav, "audio/wav")).run()
    monkeypatch.setattr(AppTest, "_register_uploaded_files", lambda *_: None)
    app.pills[0].select(TITLES[0]).run()
    assert name(app) == f"“{TITLES[0]}”, a synthetic voice" and len(titles(app)) == 2


def test_what_is_cancelled_is_let_go_of(monkeypatch):
    record = UploadedFileRec("1", "long.wav", "audio/wav", b"")
    waiting = [("upload", "long.wav", UploadedFile(record, FileURLs())), ("sample", "a", "a.flac")]
    manager = MemoryUploadedFileManager("/upload")
    manager.add_file("visit", record)
    visit = SimpleNamespace(session_id="visit", uploaded_file_mgr=manager)
    monkeypatch.setattr(hearing, "get_script_run_ctx", lambda: visit)
    monkeypatch.setattr(hearing, "queue", lambda: waiting)
    hearing.cancel()
    assert not waiting and not manager.get_files("visit", ["1"])
