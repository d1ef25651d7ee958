import json
from pathlib import Path

import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from ser_core import corpora
from ser_core.corpora import ravdess
from tests.helpers import speech_like


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("03-01-01-01-01-01-01.wav", ("neutral", "normal", 1, "speech", "ravdess-01", "male")),
        ("03-01-08-02-02-02-24.flac", ("surprised", "strong", 2, "speech", "ravdess-24", "female")),
        ("03-02-03-02-01-01-10.WAV", ("happy", "strong", 1, "song", "ravdess-10", "female")),
    ],
)
def test_names_are_read(name, expected):
    found = ravdess.parse(Path("any/where") / name)
    assert (
        found.emotion,
        found.intensity,
        found.take,
        found.channel,
        found.speaker,
        found.sex,
    ) == expected


@pytest.mark.parametrize(
    "name",
    [
        "03-01-09-01-01-01-01.wav",
        "03-01-01-01-01-01-25.wav",
        "03-01-01-01-01-01-00.wav",
        "03-03-01-01-01-01-01.wav",
        "01-01-01-01-01-01-01.wav",
        "03-01-01-01-01-01-01-copy.wav",
        "03-01-01-01-01-01.wav",
        "OAF_neat_fear.wav",
        "",
    ],
)
def test_other_names_are_refused(name):
    assert ravdess.parse(Path(name)) is None


@given(
    st.tuples(
        st.integers(0, 4),
        st.integers(0, 3),
        st.integers(0, 10),
        st.integers(0, 3),
        st.integers(0, 3),
        st.integers(0, 3),
        st.integers(0, 30),
    )
)
def test_a_name_is_read_just_when_each_part_is_in_range(parts):
    modality, channel, emotion, intensity, sentence, take, actor = parts
    found = ravdess.parse(Path("-".join(f"{part:02d}" for part in parts) + ".wav"))
    valid = (
        modality == 3
        and channel in (1, 2)
        and 1 <= emotion <= 8
        and intensity in (1, 2)
        and sentence in (1, 2)
        and take in (1, 2)
        and 1 <= actor <= 24
    )
    assert (found is not None) == valid


@given(st.text())
def test_any_text_is_a_name_or_not(text):
    found = ravdess.parse(Path(text.replace("\0", "")))
    assert found is None or found.emotion


def write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, speech_like(0.1), 16_000)


def test_a_nested_copy_of_the_tree_counts_once(tmp_path):
    first = tmp_path / "Actor_01" / "03-01-01-01-01-01-01.wav"
    copy = tmp_path / "audio_speech_actors_01-24" / "Actor_01" / first.name
    stranger = tmp_path / "Actor_01" / "notes.wav"
    for path in (first, copy, stranger, tmp_path / "Actor_01" / "._03-01-01-01-01-01-01.wav"):
        write(path)
    (tmp_path / "README.txt").write_text("not audio")
    found = corpora.scan("ravdess", tmp_path)
    assert list(found.manifest.path) == [first]
    assert found.duplicates == [copy]
    assert found.unknown == [stranger]


def test_flac_stands_before_wav(tmp_path):
    for suffix in (".wav", ".flac"):
        write(tmp_path / f"03-01-01-01-01-01-01{suffix}")
    assert corpora.scan("ravdess", tmp_path).manifest.path[0].suffix == ".flac"


@pytest.mark.parametrize(
    ("name", "says"), [("nobody", "no corpus 'nobody'"), ("ravdess", "no folder")]
)
def test_a_missing_corpus_gets_a_sentence(name, says, tmp_path, monkeypatch):
    monkeypatch.setenv("SER_DATA_DIR", str(tmp_path))
    with pytest.raises(corpora.CorpusError, match=says):
        corpora.scan(name)


def test_an_empty_folder_gets_a_sentence(tmp_path):
    with pytest.raises(corpora.CorpusError, match="no recording"):
        corpora.scan("ravdess", tmp_path)


@pytest.mark.realdata
def test_the_real_corpus_is_complete(data_dir):
    found = corpora.scan("ravdess", data_dir / "ravdess")
    frame = found.manifest
    assert (frame.channel == "speech").sum() == 1440  # the song is optional
    assert frame.speaker.nunique() == 24
    assert frame.id.is_unique
    speech = frame[frame.channel == "speech"].emotion.value_counts()
    assert speech["neutral"] == 96 and set(speech.drop("neutral")) == {192}
    json.dumps(frame.to_dict("records"), default=str)
