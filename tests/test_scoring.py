from types import SimpleNamespace

import pandas as pd
import pytest

from ser_core import scoring
from ser_core.errors import UndertoneError


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


def test_clips_are_counted_before_any_is_heard(recognizer):
    recognizer.card.labels = ("sad",)
    manifest = pd.DataFrame({"speaker": ["a"] * 9 + ["b"] * 5, "emotion": "sad"})
    with pytest.raises(UndertoneError, match="^b has 4 other clips, .* from 8; ask for fewer"):
        scoring.score(recognizer, manifest, voices=[3, 8])
    with pytest.raises(UndertoneError, match="from 3 to 16 clips, not 2; ask for so many"):
        scoring.score(recognizer, manifest, voices=[2])
