import dataclasses
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import soundfile

from ser_core import audio, scoring
from ser_core.errors import UndertoneError
from ser_core.recognizer import Recognizer
from tests.helpers import speech_like


@pytest.fixture
def recognizer(tmp_path, monkeypatch):
    """One that has learned from all of SAVEE."""
    monkeypatch.setenv("SER_DATA_DIR", str(tmp_path / "data"))
    training = SimpleNamespace(
        corpora={"savee": ""}, speakers=("savee-dc",), validation_speakers=("savee-je",)
    )
    return SimpleNamespace(card=SimpleNamespace(training=training))


@pytest.mark.parametrize(
    ("folders", "speakers", "said"),
    [
        (["savee", "savee"], ["DC", "JE"], "speakers heard in training: not a test"),
        (["savee", "savee"], ["", ""], "speakers heard in training: not a test"),
        (["savee", "mine"], ["DC", "me"], "some speakers heard in training: not a clean test"),
        (["mine", "mine"], ["me", "savee-dc"], "some speakers heard in training"),
        (["mine", "savee-2"], ["me", "DC"], "speakers whose names are not among those of training"),
        (["mine", "mine"], ["me", ""], "speakers not named"),
    ],
)
def test_a_table_of_ones_own_is_told_by_names_and_places(
    recognizer, tmp_path, folders, speakers, said
):
    paths = [tmp_path / "data" / folder / "x.wav" for folder in folders]
    manifest = pd.DataFrame({"path": paths, "speaker": speakers})
    assert scoring.protocol_name(recognizer, manifest).startswith(said)


def test_in_a_corpus_names_are_the_same_as_in_training(recognizer, tmp_path):
    path = tmp_path / "data" / "savee" / "x.wav"
    for speaker, said in (
        ("savee-dc", "speakers heard in training: not a test"),
        ("savee-kl", "unseen speakers"),
        ("", "speakers heard in training: not a test"),
    ):
        manifest = pd.DataFrame({"path": [path], "speaker": [speaker], "corpus": ["savee"]})
        assert scoring.protocol_name(recognizer, manifest) == said


def test_answers_are_right_by_the_same_labels_as_everything_else(tmp_path):
    listener = Recognizer.from_name("swift")
    path = tmp_path / "talk.wav"
    soundfile.write(path, speech_like(2.0), audio.SAMPLE_RATE)
    heard = listener.predict(audio.read(path))
    likeliest, next_best, *_ = sorted(heard.probabilities, key=heard.probabilities.get)[::-1]
    listener.card = dataclasses.replace(listener.card, threshold=0.0)
    manifest = pd.DataFrame({"path": [path], "speaker": [""], "emotion": [next_best]})
    (score,) = scoring.score(listener, manifest)
    assert score.report.accuracy == score.selective_accuracy == score.answered == 1.0


@pytest.mark.parametrize(("threshold", "answered", "right"), [(0.0, 1.0, 1.0), (1.1, 0.0, None)])
def test_what_is_not_sure_enough_is_no_answer(tmp_path, threshold, answered, right):
    listener = Recognizer.from_name("swift")
    path = tmp_path / "talk.wav"
    soundfile.write(path, speech_like(2.0), audio.SAMPLE_RATE)
    heard = listener.predict(audio.read(path))
    listener.card = dataclasses.replace(listener.card, threshold=threshold)
    manifest = pd.DataFrame({"path": [path], "speaker": [""], "emotion": [heard.label]})
    (score,) = scoring.score(listener, manifest)
    assert (score.answered, score.selective_accuracy) == (answered, right)


def test_a_voice_is_known_from_recordings_of_one_person():
    manifest = pd.DataFrame({"path": ["a.wav"] * 9, "speaker": [""] * 9, "emotion": "happy"})
    with pytest.raises(UndertoneError, match="know whose"):
        scoring.score(Recognizer.from_name("swift"), manifest, voices=[8])


def test_who_has_too_few_other_clips_that_could_be_judged_is_left_out_of_known_voices(tmp_path):
    silent = np.zeros(32_000)
    rows = []
    for speaker, talks in (("a", 4), ("b", 3)):
        for take in range(4):
            path = tmp_path / f"{speaker}{take}.wav"
            samples = speech_like(1.5, 110 + 20 * take, seed=take) if take < talks else silent
            soundfile.write(path, samples, audio.SAMPLE_RATE)
            rows.append((path, speaker, ("happy", "sad")[take % 2]))
    manifest = pd.DataFrame(rows, columns=["path", "speaker", "emotion"])
    listener = Recognizer.from_name("swift")
    plain, known = scoring.score(listener, manifest, voices=[3])
    assert plain.report.n == 7 and len(plain.skipped) == 1
    assert known.report.n == 4 and known.protocol.endswith("voice(3)")
    (plain,) = scoring.score(listener, manifest[manifest.speaker == "b"], voices=[3])
    assert plain.report.n == 3


def test_clips_are_counted_before_any_is_heard(recognizer):
    recognizer.card.labels = ("sad",)
    manifest = pd.DataFrame({"speaker": ["a"] * 9 + ["b"] * 5, "emotion": "sad"})
    with pytest.raises(UndertoneError, match="^b has 4 other clips, .* from 8; ask for fewer"):
        scoring.score(recognizer, manifest, voices=[3, 8])
    with pytest.raises(UndertoneError, match="from 3 to 16 clips, not 2; ask for so many"):
        scoring.score(recognizer, manifest, voices=[2])
