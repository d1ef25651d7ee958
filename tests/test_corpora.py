import json
import shutil
import wave
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from ser_core import corpora, emotions
from ser_core.corpora import crema_d, listening, ravdess, savee, tess
from tests.helpers import speech_like

MODULES = corpora.CORPORA


@pytest.mark.parametrize(
    ("name", "emotion", "intensity", "take", "channel", "speaker", "sex"),
    [
        ("03-01-01-01-01-01-01.wav", "neutral", "normal", 1, "speech", "ravdess-01", "male"),
        ("03-01-08-02-02-02-24.flac", "surprised", "strong", 2, "speech", "ravdess-24", "female"),
        ("03-02-03-02-01-01-10.WAV", "happy", "strong", 1, "song", "ravdess-10", "female"),
        ("OAF_back_angry.wav", "angry", "", 1, "speech", "tess-oaf", "female"),
        ("YAF_youth_ps.wav", "surprised", "", 1, "speech", "tess-yaf", "female"),
        ("OA_bite_neutral.wav", "neutral", "", 1, "speech", "tess-oaf", "female"),
        ("yaf_dog_pleasant_surprise.flac", "surprised", "", 1, "speech", "tess-yaf", "female"),
        ("OAF_dog_pleasant_surprised.wav", "surprised", "", 1, "speech", "tess-oaf", "female"),
        ("YAF_food_fear.wav", "fearful", "", 1, "speech", "tess-yaf", "female"),
        ("1001_DFA_ANG_XX.wav", "angry", "", 1, "speech", "crema-d-1001", "male"),
        ("1091_IEO_SAD_LO.wav", "sad", "low", 1, "speech", "crema-d-1091", "female"),
        ("1002_IEO_HAP_MD.wav", "happy", "medium", 1, "speech", "crema-d-1002", "female"),
        ("1016_IEO_FEA_HI.wav", "fearful", "high", 1, "speech", "crema-d-1016", "male"),
        ("1040_ITH_SAD_X.wav", "sad", "", 1, "speech", "crema-d-1040", "male"),
        ("1034_IWW_NEU_XX.flac", "neutral", "", 1, "speech", "crema-d-1034", "male"),
        ("1050_TSI_DIS_XX.wav", "disgust", "", 1, "speech", "crema-d-1050", "male"),
        ("DC_a01.wav", "angry", "", 1, "speech", "savee-dc", "male"),
        ("JK_sa15.flac", "sad", "", 1, "speech", "savee-jk", "male"),
        ("KL_su02.wav", "surprised", "", 1, "speech", "savee-kl", "male"),
        ("JE_n17.wav", "neutral", "", 2, "speech", "savee-je", "male"),
        ("AudioData/JE/n30.wav", "neutral", "", 1, "speech", "savee-je", "male"),
        ("dc/h03.wav", "happy", "", 1, "speech", "savee-dc", "male"),
    ],
)
def test_names_are_read(name, emotion, intensity, take, channel, speaker, sex):
    path = Path("any/where") / name
    readings = [found for module in MODULES.values() if (found := module.parse(path))]
    assert len(readings) == 1, "one corpus claims it"
    found = readings[0]
    assert (found.emotion, found.intensity, found.take) == (emotion, intensity, take)
    assert (found.channel, found.speaker, found.sex) == (channel, speaker, sex)
    assert speaker.startswith(f"{found.corpus}-") and found.id.startswith(f"{found.corpus}/")
    assert found.path == path and found.language == "en" and found.sentence


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
        "OAF_back.wav",
        "OAF_back_hungry.wav",
        "MAF_back_angry.wav",
        "1000_DFA_ANG_XX.wav",
        "1092_DFA_ANG_XX.wav",
        "1001_DFA_SUR_XX.wav",
        "1001_XYZ_ANG_XX.wav",
        "1001_DFA_ANG_UP.wav",
        "DC_a16.wav",
        "DC_n31.wav",
        "DC_a00.wav",
        "XX_a01.wav",
        "a01.wav",
        "elsewhere/a01.wav",
        "",
    ],
)
def test_other_names_are_refused(name):
    assert not any(module.parse(Path(name)) for module in MODULES.values())


def test_sentences_are_named_alike_within_a_corpus():
    common = [savee.parse(Path(f"DC_{code}02.wav")).sentence for code in savee.EMOTIONS]
    assert len(set(common)) == 1
    assert savee.parse(Path("DC_n17.wav")).sentence == common[0], "a second take of it"
    assert savee.parse(Path("DC_a04.wav")).sentence != savee.parse(Path("DC_d04.wav")).sentence
    assert tess.parse(Path("OAF_back_sad.wav")).sentence == "Say the word back"


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
def test_a_ravdess_name_is_read_just_when_each_part_is_in_range(parts):
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


@given(
    st.sampled_from(["OAF", "YAF", "OA", "YA", "oaf"]),
    st.text("abcdefghijklmnopqrstuvwxyz", max_size=6),
    st.sampled_from([*tess.EMOTIONS, "calm", "pleasant", ""]),
)
def test_a_tess_name_is_read_just_when_it_has_voice_word_and_emotion(voice, word, emotion):
    found = tess.parse(Path(f"{voice}_{word}_{emotion}.wav"))
    assert (found is not None) == (voice != "YA" and bool(word) and emotion in tess.EMOTIONS)
    if found:
        assert found.emotion == tess.EMOTIONS[emotion]


@given(
    st.integers(990, 1100),
    st.sampled_from(["DFA", "IEO", "WSI", "ABC"]),
    st.sampled_from([*crema_d.EMOTIONS, "SUR"]),
    st.sampled_from(["XX", "X", "LO", "MD", "HI", "XXX"]),
)
def test_a_crema_d_name_is_read_just_when_each_part_is_known(actor, sentence, emotion, level):
    found = crema_d.parse(Path(f"{actor}_{sentence}_{emotion}_{level}.wav"))
    known = 1001 <= actor <= 1091 and sentence != "ABC" and emotion != "SUR" and level != "XXX"
    assert (found is not None) == known
    if found:
        assert found.sex == ("female" if actor in crema_d.WOMEN else "male")


@given(
    st.sampled_from(["DC", "JE", "JK", "KL", "XY"]),
    st.sampled_from([*savee.EMOTIONS, "s", "x"]),
    st.integers(0, 35),
    st.booleans(),
)
def test_a_savee_name_is_read_alike_flat_and_in_its_speakers_folder(voice, code, number, flat):
    stem = f"{code}{number:02d}.wav"
    found = savee.parse(Path(f"{voice}_{stem}") if flat else Path(voice, stem))
    highest = 30 if code == "n" else 15
    assert (found is not None) == (
        voice != "XY" and code in savee.EMOTIONS and 1 <= number <= highest
    )
    if found:
        assert found.id == f"savee/{voice}_{code}{number:02d}"


@given(st.text(), st.sampled_from(list(MODULES.values())))
def test_any_text_is_a_name_or_not(text, module):
    found = module.parse(Path(text.replace("\0", "")))
    assert found is None or found.emotion in emotions.EMOTIONS


@pytest.mark.parametrize("name", corpora.CORPORA)
def test_a_corpus_speaks_the_common_vocabulary(name):
    corpus = corpora.CORPORA[name]
    assert set(corpus.EMOTIONS.values()) <= set(emotions.EMOTIONS)
    assert all(folder == folder.lower() for folder in corpus.FOLDERS)
    assert sum(source.clips for source in corpus.SOURCES) in (0, corpus.CLIPS)


def write(path: Path, seconds: float = 1.5, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, speech_like(seconds, seed=seed), 16_000)
    return path


@pytest.mark.parametrize(
    ("corpus", "layout"),
    [
        ("ravdess", ["Actor_01/03-01-01-01-01-01-01.wav", "Actor_02/03-01-03-01-01-01-02.wav"]),
        ("ravdess", ["audio_speech_actors_01-24/Actor_01/03-01-01-01-01-01-01.wav"]),
        ("ravdess", ["03-01-01-01-01-01-01.flac", "03-02-01-01-01-01-01.flac"]),
        ("tess", ["OAF_Fear/OAF_back_fear.wav", "YAF_fear/YAF_back_fear.wav"]),
        ("tess", ["OAF_Pleasant_surprise/OAF_back_ps.wav", "OAF_neutral/OA_bite_neutral.wav"]),
        ("tess", ["TESS Toronto emotional speech set data/YAF_pleasant_surprised/YAF_dog_ps.wav"]),
        ("tess", ["OAF_back_angry.wav", "Angry/YAF_back_angry.wav"]),
        ("crema-d", ["AudioWAV/1001_DFA_ANG_XX.wav", "AudioWAV/1001_IEO_ANG_HI.wav"]),
        ("crema-d", ["CREMA-D-master/AudioWAV/1040_ITH_SAD_X.wav"]),
        ("savee", ["AudioData/DC/a01.wav", "AudioData/KL/su15.wav"]),
        ("savee", ["ALL/DC_a01.wav", "ALL/JK_n30.wav"]),
        ("savee", ["DC/DC_a01.wav"]),
    ],
)
def test_every_layout_is_read(corpus, layout, tmp_path):
    for name in layout:
        write(tmp_path / name)
    found = corpora.scan(corpus, tmp_path)
    assert {path.relative_to(tmp_path).as_posix() for path in found.manifest.path} == set(layout)
    assert not found.unknown and not found.bad and not found.duplicates
    assert set(found.manifest.corpus) == {corpus}


@pytest.mark.parametrize(
    ("corpus", "name", "inside"),
    [
        ("ravdess", "Actor_01/03-01-01-01-01-01-01.wav", "audio_speech_actors_01-24"),
        ("tess", "OAF_Fear/OAF_back_fear.wav", "TESS Toronto emotional speech set data"),
        ("savee", "DC/a01.wav", "AudioData"),
    ],
)
def test_a_nested_copy_of_the_tree_counts_once(corpus, name, inside, tmp_path):
    first, copy = write(tmp_path / name), write(tmp_path / inside / name)
    stranger = write(first.with_name("notes.wav"))
    write(first.with_name("._" + first.name))
    (tmp_path / "README.txt").write_text("not audio")
    found = corpora.scan(corpus, tmp_path)
    assert list(found.manifest.path) == [first]
    assert found.duplicates == [copy]
    assert found.unknown == [stranger]


def test_flac_stands_before_wav(tmp_path):
    for suffix in (".wav", ".flac"):
        write(tmp_path / f"03-01-01-01-01-01-01{suffix}")
    assert corpora.scan("ravdess", tmp_path).manifest.path[0].suffix == ".flac"


@pytest.mark.parametrize(
    ("corpus", "name", "says"),
    [
        ("ravdess", "Actor_02/03-01-01-01-01-01-01.wav", "its folder Actor_02 ravdess-02"),
        ("ravdess", "sad/03-01-03-01-01-01-01.wav", "its name says happy, its folder sad"),
        ("tess", "OAF_angry/OAF_back_sad.wav", "its name says sad"),
        ("tess", "YAF_sad/OAF_back_sad.wav", "its folder YAF_sad tess-yaf"),
        ("crema-d", "Anger/1001_DFA_SAD_XX.wav", "its name says sad"),
        ("savee", "JE/DC_a01.wav", "its folder JE savee-je"),
    ],
)
def test_a_name_that_contradicts_its_folder_is_left_out(corpus, name, says, tmp_path):
    path = write(tmp_path / name)
    good = {"ravdess": "03-01-01-01-01-01-05", "tess": "YAF_dog_sad", "crema-d": "1001_DFA_ANG_XX"}
    write(tmp_path / f"{good.get(corpus, 'KL_a01')}.wav")
    found = corpora.scan(corpus, tmp_path)
    assert len(found.manifest) == 1 and says in found.bad[path]


def test_an_archive_not_yet_unpacked_is_unpacked_once(tmp_path):
    name = "03-01-01-01-01-01-01.wav"
    sound = write(tmp_path / "elsewhere" / name)
    archive = tmp_path / "ravdess" / "Audio_Speech_Actors_01-24.zip"
    archive.parent.mkdir()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.write(sound, f"Actor_01/{name}")
    expected = archive.with_suffix("") / "Actor_01" / name
    for _ in range(2):
        found = corpora.scan("ravdess", archive.parent)
        assert list(found.manifest.path) == [expected] and not found.duplicates
    shutil.rmtree(archive.with_suffix(""))
    write(archive.parent / name)
    assert list(corpora.scan("ravdess", archive.parent).manifest.path) == [archive.parent / name]
    assert not archive.with_suffix("").exists(), "nothing new is in it"


def test_ages_come_with_the_table_of_actors(tmp_path):
    write(tmp_path / "AudioWAV" / "1001_DFA_ANG_XX.wav")
    write(tmp_path / "AudioWAV" / "1002_DFA_ANG_XX.wav")
    assert corpora.scan("crema-d", tmp_path).manifest.age.isna().all()
    crema_d._ages.cache_clear()
    table = '"ActorID","Age","Sex","Race","Ethnicity"\n1001,51,"Male","Caucasian","Not Hispanic"\n'
    (tmp_path / "VideoDemographics.csv").write_text(table)
    manifest = corpora.scan("crema-d", tmp_path).manifest
    assert manifest.age[0] == 51 and pd.isna(manifest.age[1])
    assert list(manifest.sex) == ["male", "female"]


@pytest.mark.parametrize(
    ("name", "says"),
    [("nobody", "no corpus 'nobody'"), ("ravdess", "no folder"), ("../escape", "no corpus")],
)
def test_a_missing_corpus_gets_a_sentence(name, says, tmp_path, monkeypatch):
    monkeypatch.setenv("SER_DATA_DIR", str(tmp_path))
    with pytest.raises(corpora.CorpusError, match=says):
        corpora.scan(name)


def test_an_empty_folder_gets_a_sentence(tmp_path):
    with pytest.raises(corpora.CorpusError, match="no recording"):
        corpora.scan("ravdess", tmp_path)


def test_damaged_recordings_are_found_and_left_out(tmp_path):
    good = write(tmp_path / "03-01-01-01-01-01-01.wav", seed=1)
    other = write(tmp_path / "03-01-03-01-01-01-01.wav", seed=2)
    short = write(tmp_path / "03-01-04-01-01-01-01.wav", seconds=0.2)
    long = write(tmp_path / "03-01-04-01-01-01-02.wav", seconds=11, seed=3)
    silent = tmp_path / "03-01-05-01-01-01-01.wav"
    soundfile.write(silent, np.zeros(32_000), 16_000)
    cut = write(tmp_path / "03-01-06-01-01-01-01.wav", seconds=3, seed=4)
    cut.write_bytes(cut.read_bytes()[:60_000])
    cut_flac = write(tmp_path / "03-01-06-01-01-02-01.flac", seconds=3, seed=4)
    cut_flac.write_bytes(cut_flac.read_bytes()[:20_000])
    text = tmp_path / "03-01-07-01-01-01-01.wav"
    text.write_text("no sound")
    pointer = tmp_path / "03-01-08-01-01-01-01.wav"
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    says = {
        short: "lasts 0.2 s; 1 to 10 s",
        long: "lasts 11.0 s",
        silent: "silent",
        cut: "cut short: 3.0 s promised, 1.9 s there",
        cut_flac: "",
        text: "",
        pointer: "Git LFS pointer",
    }
    calls = []
    found = corpora.check("ravdess", tmp_path, on_clip=calls.append)
    assert set(found.manifest.path) == {good, other}
    assert set(found.bad) == set(says) and calls == [9] * 9
    assert all(text in found.bad[path] for path, text in says.items())
    assert len(corpora.scan("ravdess", tmp_path).manifest) == 9, "names alone tell nothing of it"


def test_a_published_corpus_keeps_what_it_repeats_and_ones_own_does_not(tmp_path, monkeypatch):
    monkeypatch.setenv("SER_DATA_DIR", str(tmp_path))
    published = write(tmp_path / "ravdess" / "03-01-01-01-01-01-01.wav")
    again = shutil.copy(published, tmp_path / "ravdess" / "03-01-01-01-01-02-01.wav")
    found = corpora.check("ravdess")
    assert set(found.manifest.path) == {published, again} and not found.bad
    assert found.repeated == {again: "has the same sound as ravdess/03-01-01-01-01-01-01"}

    first = write(tmp_path / "mine" / "sad" / "a.wav")
    again = shutil.copy(first, tmp_path / "mine" / "sad" / "b.wav")
    found = corpora.check("mine")
    assert list(found.manifest.path) == [first] and set(found.bad) == {again}
    assert not found.repeated


def test_the_same_sound_under_two_labels_counts_under_none(tmp_path):
    first = write(tmp_path / "03-01-01-01-01-01-01.wav")
    same = shutil.copy(first, tmp_path / "03-01-03-01-01-01-01.wav")
    other = write(tmp_path / "03-01-01-01-01-01-03.wav", seed=1)
    found = corpora.check("ravdess", tmp_path)
    assert list(found.manifest.path) == [other]
    assert all("other labels" in found.bad[path] for path in (first, same))


def test_a_file_is_listened_to_again_only_when_it_changes(tmp_path, monkeypatch):
    path = write(tmp_path / "03-01-01-01-01-01-01.wav", seed=7)
    write(tmp_path / "03-01-03-01-01-01-01.wav", seed=8)
    calls = []
    listen = listening.listen
    monkeypatch.setattr(listening, "listen", lambda path: calls.append(path) or listen(path))
    corpora.check("ravdess", tmp_path)
    assert len(calls) == 2
    corpora.check("ravdess", tmp_path)
    assert len(calls) == 2
    path.write_text("overwritten")
    assert path in corpora.check("ravdess", tmp_path).bad and len(calls) == 3


def test_a_header_of_unknown_length_is_not_a_cut_file(tmp_path):
    path = tmp_path / "piped.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes((speech_like(2.0) * 32767).astype("<i2").tobytes())
    content = bytearray(path.read_bytes())
    content[4:8] = content[40:44] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    assert listening.listen(path).problem == "" and listening.listen(path).seconds == pytest.approx(
        2.0
    )


@pytest.mark.realdata
def test_ravdess_is_complete(data_dir):
    found = corpora.scan("ravdess", data_dir / "ravdess")
    frame = found.manifest
    assert (frame.channel == "speech").sum() == 1440
    assert (frame.channel == "song").sum() in (0, 1012), "the song is optional"
    assert frame.speaker.nunique() == 24
    assert frame.id.is_unique and not found.bad and not found.unknown
    speech = frame[frame.channel == "speech"].emotion.value_counts()
    assert speech["neutral"] == 96 and set(speech.drop("neutral")) == {192}
    json.dumps(frame.to_dict("records"), default=str)


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "clips", "speakers", "labels"), [("tess", 2798, 2, 7), ("savee", 480, 4, 7)]
)
def test_other_corpora_are_complete(name, clips, speakers, labels, data_dir):
    if not (data_dir / name).is_dir():
        pytest.skip(f"no {name} in SER_DATA_DIR")
    found = corpora.scan(name, data_dir / name)
    frame = found.manifest
    assert len(frame) == clips and frame.id.is_unique and not found.bad and not found.unknown
    assert frame.speaker.nunique() == speakers and frame.emotion.nunique() == labels


@pytest.mark.realdata
def test_listening_finds_the_one_recording_that_ravdess_has_twice(data_dir):
    found = corpora.check("ravdess", data_dir / "ravdess")
    [(path, reason)] = found.repeated.items()
    assert path.stem == "03-01-03-01-02-02-07"
    assert reason == "has the same sound as ravdess/03-01-03-01-02-01-07"
    assert len(found.manifest) == len(corpora.scan("ravdess", data_dir / "ravdess").manifest)


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["tess", "savee"])
def test_listening_finds_nothing_wrong_with(name, data_dir):
    if not (data_dir / name).is_dir():
        pytest.skip(f"no {name} in SER_DATA_DIR")
    assert not corpora.check(name, data_dir / name).bad


@pytest.mark.realdata
def test_recordings_as_published_are_sound(data_dir):
    paths = sorted((data_dir / "original").glob("*.wav"))
    if not paths:
        pytest.skip("no recordings as published in SER_DATA_DIR")
    for path in paths:
        assert listening.listen(path).problem == "" and listening.listen(path).seconds > 1
