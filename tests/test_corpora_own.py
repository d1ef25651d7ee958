import shutil
import zipfile
from pathlib import Path

import pandas as pd
import pytest
import soundfile

from ser_core import audio, corpora
from ser_core.corpora import install, own
from tests.helpers import speech_like


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("SER_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


def write(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, speech_like(1.0, seed=seed), 16_000)
    return path


@pytest.fixture
def classes(tmp_path) -> Path:
    """A folder for each emotion, with what lies about in such folders."""
    root = tmp_path / "mine"
    write(root / "Happy" / "one.wav", 1)
    write(root / "happy" / "session 2" / "two.flac", 2)
    write(root / "Pleasant_Surprise" / "three.ogg", 3)
    write(root / "unsorted" / "four.wav", 4)
    (root / "notes.docx").write_text("nothing to hear")
    return root


def test_a_folder_a_class_becomes_a_corpus(classes, data):
    found = install.add("mine", classes)
    assert sorted(found.manifest.emotion) == ["happy", "happy", "surprised"]
    assert [path.name for path in found.unknown] == ["four.wav"]
    assert set(found.manifest.speaker) == {""} and set(found.manifest.channel) == {"speech"}
    assert set(found.manifest.id) == {
        "mine/Happy/one.wav",
        "mine/happy/session 2/two.flac",
        "mine/Pleasant_Surprise/three.ogg",
    }
    assert not (data / "mine" / "notes.docx").exists() and (classes / "notes.docx").exists()
    assert corpora.installed() == ["mine"]
    assert corpora.check("mine").bad == {}


def test_a_zip_of_it_is_the_same(classes, tmp_path):
    archive = tmp_path / "any.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        for path in classes.rglob("*.*"):
            opened.write(path, Path("wrapped") / path.relative_to(classes))
    assert set(install.add("zipped", archive).manifest.emotion) == {"happy", "surprised"}


@pytest.mark.parametrize("suffix", sorted(audio.SUFFIXES))
def test_a_zip_loses_no_recording_that_a_folder_keeps(suffix, tmp_path, data):
    recording = tmp_path / "mine" / "happy" / f"one{suffix}"
    recording.parent.mkdir(parents=True)
    recording.write_bytes(b"any")
    shutil.make_archive(tmp_path / "packed", "zip", tmp_path / "mine")
    for name, source in (("folder", tmp_path / "mine"), ("zip", tmp_path / "packed.zip")):
        assert len(install.add(name, source).manifest) == 1


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_table_becomes_a_corpus_and_its_recordings_stay(suffix, tmp_path, data):
    write(tmp_path / "rec" / "a.wav", 1), write(tmp_path / "rec" / "b.wav", 2)
    table = pd.DataFrame(
        {
            "path": ["rec/a.wav", "rec/b.wav"],
            "emotion": ["Anger", "sad"],
            "speaker": ["anna", None],
            "sex": ["F", None],
            "language": ["de", "en"],
        }
    )
    path = tmp_path / f"list{suffix}"
    if suffix == ".parquet":  # whose columns have types, and gaps of their own
        typed = table.astype({"sex": "category"}).assign(age=pd.array([30, None], "Int64"))
        typed.to_parquet(path)
    else:
        table.to_csv(path, index=False)
    manifest = install.add("mine", path).manifest.set_index("emotion")
    assert manifest.speaker.to_dict() == {"angry": "mine-anna", "sad": ""}
    assert manifest.sex.to_dict() == {"angry": "female", "sad": ""}
    assert manifest.language.to_dict() == {"angry": "de", "sad": "en"}
    assert manifest.path["angry"] == (tmp_path / "rec" / "a.wav").resolve()
    assert [item.name for item in (data / "mine").iterdir()] == ["manifest.csv"]


def test_a_folder_with_a_table_is_read_by_the_table(classes):
    (classes / "manifest.csv").write_text("path,emotion,speaker\nunsorted/four.wav,calm,me\n")
    found = install.add("mine", classes).manifest
    assert list(found.emotion) == ["calm"] and list(found.speaker) == ["mine-me"]
    assert found.path[0].is_file() and found.id[0] == "mine/unsorted/four.wav"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "cannot be read"),
        ("path\nx.wav", "lacks the column 'emotion'"),
        ("path,emotion\n", "lists no recording"),
        ("path,emotion\nx.wav,hungry", "'hungry' is not an emotion"),
        ("path,emotion\nx.wav,sad", "which is not there"),
    ],
)
def test_a_wrong_table_gets_a_sentence_and_adds_nothing(text, says, tmp_path, data):
    path = tmp_path / "list.csv"
    path.write_text(text)
    with pytest.raises(corpora.CorpusError, match=says):
        install.add("mine", path)
    assert corpora.installed() == [] and not list(data.iterdir())


def test_what_the_disk_refuses_is_a_sentence(classes, data):
    (link := classes / "Happy" / "gone.wav").symlink_to("nowhere.wav")
    with pytest.raises(corpora.CorpusError, match="mine cannot be copied: .*gone.wav"):
        install.add("mine", classes)
    assert not list(data.iterdir())
    link.unlink()
    data.rmdir()
    data.write_text("a file, where a folder should be")
    with pytest.raises(corpora.CorpusError, match="data cannot be written: File exists; mend"):
        install.add("mine", classes)


def test_a_binary_file_is_no_table(tmp_path):
    for name in ("list.csv", "list.parquet"):
        (tmp_path / name).write_bytes(b"\x00\xff\xfe\x01" * 100)
        with pytest.raises(corpora.CorpusError, match="cannot be read"):
            own.read_table(tmp_path / name)


def test_a_published_corpus_is_added_from_a_folder_or_archive(tmp_path, data):
    source = tmp_path / "AudioData"
    write(source / "DC" / "a01.wav", 1), write(source / "KL" / "su01.wav", 2)
    assert len(install.add("savee", source).manifest) == 2
    assert (data / "savee" / "AudioData" / "DC" / "a01.wav").is_file() and source.is_dir()
    shutil.rmtree(data / "savee")
    archive = shutil.make_archive(str(tmp_path / "SAVEE"), "zip", source)
    assert len(install.add("savee", Path(archive)).manifest) == 2


@pytest.mark.parametrize(
    ("name", "source", "says"),
    [
        ("savee", "nowhere", "there is no"),
        ("savee", "mine", "no recording of the corpus 'savee'"),
        ("savee", "mine/notes.docx", "neither a folder nor a ZIP"),
        ("other", "mine/unsorted", "no folder of an emotion"),
        ("Other", "mine", "cannot name a corpus"),
        ("../out", "mine", "cannot name a corpus"),
        ("mine+yours", "mine", "cannot name a corpus"),
        ("taken", "mine", "is there already"),
    ],
)
def test_what_cannot_be_added_gets_a_sentence_and_adds_nothing(
    name, source, says, classes, tmp_path, data
):
    install.add("taken", classes)
    before = sorted(data.rglob("*"))
    with pytest.raises(corpora.CorpusError, match=says):
        install.add(name, tmp_path / source)
    assert sorted(data.rglob("*")) == before


def test_a_copy_on_kaggle_needs_kagglehub_and_consent(tmp_path, data, monkeypatch):
    with pytest.raises(corpora.CorpusError, match="must be accepted"):
        install.from_kaggle("savee", accepts=lambda corpus: False)
    monkeypatch.setitem(__import__("sys").modules, "kagglehub", None)
    with pytest.raises(corpora.CorpusError, match="pip install kagglehub"):
        install.from_kaggle("savee", accepts=lambda corpus: True)

    class Kagglehub:
        @staticmethod
        def dataset_download(handle: str) -> str:
            assert handle == "ejlok1/surrey-audiovisual-expressed-emotion-savee"
            return str(write(tmp_path / "versions" / "1" / "ALL" / "DC_a01.wav").parents[1])

    monkeypatch.setitem(__import__("sys").modules, "kagglehub", Kagglehub)
    assert len(install.from_kaggle("savee", accepts=lambda corpus: True).manifest) == 1
    assert (data / "savee" / "kaggle" / "ALL" / "DC_a01.wav").is_file()
