"""Several corpora in one recipe, and CREMA-D as spectrograms that somebody else made."""

import dataclasses
import lzma
import shutil
from pathlib import Path

import librosa
import numpy as np
import pandas as pd
import pytest
import soundfile

from ser_core import audio, corpora, crossval, dataset, features, library, recipe, splits
from ser_core.corpora import crema_d, install, ready_made
from ser_core.corpora.download import Http
from ser_core.corpora.sources import GitLfs
from ser_core.errors import UndertoneError
from tests.helpers import PLAIN, speech_like

SPEC = features.FeatureSpec()
SMALL = (
    'labels=["neutral", "happy", "sad", "angry"]',
    *PLAIN,
    "data.corpus=ravdess",
    "training.teacher=0",
    "training.validation_speakers=2",
)
NAMES = ["1001_DFA_ANG_XX", "1001_DFA_NEU_XX", "1002_IEO_SAD_HI", "1002_IEO_HAP_X"]


def as_published(samples: np.ndarray) -> np.ndarray:
    """Make bytes of a clip's first 3 s, as the description of the spectrograms says."""
    clip = np.pad(samples[:48_000], (0, max(0, 48_000 - len(samples))))
    power = librosa.feature.melspectrogram(
        y=clip, sr=16_000, n_fft=1024, hop_length=256, n_mels=128
    )
    decibels = librosa.power_to_db(power, ref=np.max, top_db=80).T
    decibels = decibels.reshape(len(decibels), 64, 2).mean(axis=2)[:188]
    return np.round((decibels + 80) * 127 / 80).astype(np.uint8)


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("SER_DATA_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def spectrograms(data):
    folder = data / "crema_d_logmel"
    folder.mkdir()
    (folder / "names.txt").write_text("\n".join(NAMES) + "\n")
    clips = [speech_like(1.5, 120 + 30 * at, seed=at) for at in range(len(NAMES))]
    with lzma.open(folder / "logmel_u8.npy.xz", "wb") as file:
        np.save(file, np.stack([as_published(clip) for clip in clips]))
    ready_made._levels.cache_clear()
    return clips


def test_spectrograms_stand_in_for_recordings(spectrograms):
    loaded = recipe.load("swift", [*SMALL, "data.corpus=crema-d"])
    calls = []
    found = dataset.load(loaded, on_clip=calls.append)
    assert list(found.manifest.id) == sorted(f"crema-d/{name}" for name in NAMES)
    assert found.features.values.shape == (4, 188, 64) and calls == [4] * 4
    for row, values in zip(found.features.clip, found.features.values, strict=True):
        name = found.manifest.id[row].removeprefix("crema-d/")
        clip = audio.Clip(spectrograms[NAMES.index(name)], 16_000, name)
        expected = features.windows(clip, SPEC).values[0]
        assert np.abs(values - expected).mean() < 1.5


def test_of_spectrograms_alone_nothing_is_changed_and_progress_ends_at_its_end(spectrograms):
    loaded = recipe.load("deep", ["data.corpus=crema-d", SMALL[0]])
    calls = []
    found = dataset.load(loaded, on_clip=calls.append)
    assert calls == [8] * 8, "each as it is, and once more through the trunk"
    assert found.features.values.shape == (4, 74, 1024)
    assert found.varied and not any(len(each.clip) for each in found.varied)


def test_filter_banks_are_guessed_from_spectrograms_to_learn_from(spectrograms):
    loaded = recipe.load("deep", ["data.corpus=crema-d", SMALL[0]])
    manifest = dataset.select(loaded)
    found = dataset.features_of(manifest, loaded.features)
    assert found.values.shape == (4, 298, 80)
    for row, guessed in zip(found.clip, found.values, strict=True):
        name = manifest.id[row].removeprefix("crema-d/")
        clip = audio.Clip(spectrograms[NAMES.index(name)], 16_000, name)
        real = features.windows(clip, loaded.features).values[0]
        frames, expected = guessed.any(axis=1).sum(), real.any(axis=1).sum()
        assert abs(int(frames) - int(expected)) <= 4 and not guessed[frames:].any()
        both = min(frames, expected)
        alike = np.corrcoef(guessed[:both].ravel(), real[:both].ravel())[0, 1]
        swapped = np.corrcoef(guessed[:both, ::-1].ravel(), real[:both].ravel())[0, 1]
        assert alike > 0.8 > 0.5 > swapped
    assert not ready_made.suit(loaded.features), "nobody is judged by a guess"


@pytest.mark.parametrize(("most", "expected"), [(0, (16, 4, 2)), (9, (9, 4, 2)), (3, (3, 3, 2))])
def test_no_more_recordings_of_a_speaker_than_wanted(most, expected):
    many = [("a", emotion) for emotion in ("happy", "sad") for _ in range(8)]
    few = [("b", "happy")] * 4 + [("", "sad")] * 2
    table = pd.DataFrame(many + few, columns=["speaker", "emotion"])
    table = table.assign(
        channel="speech", id=[f"{row:02}" for row in table.index], path=Path("heard.wav")
    )
    loaded = recipe.load("swift", [SMALL[0], f"data.most_of_speaker={most}"])
    found = dataset.asked_for(table, loaded)
    count = found.speaker.value_counts()
    assert (count["a"], count["b"], count[""]) == expected
    assert list(found.index) == list(range(sum(expected))) and found.id.is_monotonic_increasing
    by_emotion = found.emotion[found.speaker == "a"].value_counts()
    assert by_emotion.max() - by_emotion.min() <= 1
    without_b = dataset.asked_for(table[table.speaker != "b"], loaded)
    assert set(without_b.id) == set(found.id[found.speaker != "b"]), "whoever else there is"


def test_spectrograms_are_never_offered_as_sound(spectrograms):
    assert corpora.installed() == []
    with pytest.raises(corpora.CorpusError, match="no folder"):
        corpora.scan("crema-d")


def test_spectrograms_stand_in_after_a_download_that_brought_nothing(
    spectrograms, data, monkeypatch
):
    nowhere = "http://127.0.0.1:9"
    source = GitLfs(f"{nowhere}/master.zip", nowhere, "AudioWAV", ("VideoDemographics.csv",), 4)
    monkeypatch.setattr(crema_d, "SOURCES", (source,))
    with pytest.raises(corpora.CorpusError, match="the connection fails"):
        install.get("crema-d", accepts=lambda corpus: True, http=Http(attempts=1))
    assert (data / "crema-d").is_dir()
    assert library.names() == ["crema-d"]
    assert ready_made.silent(library.manifest("crema-d")).tolist() == [True] * 4
    assert len(dataset.select(recipe.load("swift", [*SMALL, "data.corpus=crema-d"]))) == 4


def test_recordings_stand_before_spectrograms(spectrograms, data):
    for name in NAMES:
        path = data / "crema-d" / f"{name}.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, spectrograms[NAMES.index(name)], 16_000)
    found = dataset.select(recipe.load("swift", [*SMALL, "data.corpus=crema-d"]))
    assert {path.suffix for path in found.path} == {".wav"}


@pytest.mark.parametrize("setting", ["features.n_fft=512", "features.frames=94"])
def test_other_features_than_were_made_are_refused(spectrograms, setting):
    loaded = recipe.load("swift", [*SMALL, "data.corpus=crema-d", setting])
    with pytest.raises(corpora.CorpusError, match="ready-made CREMA-D.*data get crema-d"):
        dataset.load(loaded)


def test_recipes_that_want_sound_are_refused_before_anything_is_prepared(spectrograms):
    loaded = recipe.load("lstm", [SMALL[0], "data.corpus=crema-d"])
    with pytest.raises(corpora.CorpusError, match="only ready-made .*leave that corpus out"):
        dataset.select(loaded)


def test_several_corpora_make_one_dataset(spectrograms, data, toy_ravdess):
    shutil.copytree(toy_ravdess / "ravdess", data / "ravdess")
    settings = [*SMALL, "data.corpus=ravdess+crema-d", "augmentation.speeds=[0.9]"]
    found = dataset.load(recipe.load("swift", settings))
    counts = found.manifest.corpus.value_counts()
    assert counts.to_dict() == {"ravdess": 64, "crema-d": 4}
    assert list(found.features.clip) == sorted(found.features.clip)
    assert set(found.features.clip) == set(range(68))
    varied = found.manifest.corpus.iloc[found.varied[0].clip]
    assert set(varied) == {"ravdess"}, "nothing can be played of the others"


def test_robustness_is_that_of_recordings_which_are_tested(
    spectrograms, data, toy_ravdess, tmp_path, monkeypatch
):
    shutil.copytree(toy_ravdess / "ravdess", data / "ravdess")
    loaded = recipe.load("swift", [*SMALL, "data.corpus=ravdess+crema-d"])
    with pytest.raises(UndertoneError, match="robustness needs recordings"):
        crossval.crossval(loaded, "random-80-20", tmp_path, seeds=1, jobs=1, robustness=True)
    monkeypatch.setitem(splits._SPEAKERS, "ravdess-5fold", [["ravdess-01"], ["ravdess-02"]])
    crossval._check_robustness(loaded, "ravdess-5fold")  # spectrograms are learned from alone


def test_a_damaged_recording_is_not_trained_on(data, toy_ravdess):
    shutil.copytree(toy_ravdess / "ravdess", data / "ravdess")
    (data / "ravdess" / "03-01-01-01-02-01-01.wav").write_text("no sound")
    assert len(dataset.select(recipe.load("swift", SMALL))) == 64


def test_a_recipe_names_one_corpus_or_several():
    assert recipe.load("cnn").data.corpora == ("ravdess",)
    several = recipe.load("cnn", ["data.corpus=ravdess+tess"])
    assert several.data.corpora == ("ravdess", "tess")
    assert several.digest != recipe.load("cnn").digest


@pytest.mark.realdata
def test_the_settings_of_the_spectrograms_are_swifts(data_dir):
    """Quantise ours of RAVDESS likewise: they agree to half a step, and are trimmed alike."""
    paths = corpora.scan("ravdess", data_dir / "ravdess").manifest.path[::150]
    begins, apart = [], []
    for path in paths:
        samples = audio.read(path).samples[:48_000]
        decibels = ready_made.dequantised(as_published(samples))
        whole = features.decibels(
            features.mel_power(np.pad(samples, (0, 48_000 - len(samples))), SPEC), 80
        )
        whole = whole.reshape(len(whole), 64, 2).mean(axis=2)[:188]
        assert np.abs(decibels - whole).max() <= 80 / 127 / 2 + 1e-3
        trimmed = ready_made.trimmed(decibels, SPEC)
        begin = np.flatnonzero((decibels == trimmed[0]).all(axis=1))[0]
        end = begin + np.flatnonzero((trimmed > -SPEC.top_db).any(axis=1))[-1] + 1
        speech = np.array(audio.speech_bounds(samples, top_db=SPEC.trim_db))
        begins.append(np.abs(np.array([begin, end]) - speech / SPEC.hop_length))
        kept = audio.Clip(
            samples[begin * SPEC.hop_length : end * SPEC.hop_length], 16_000, path.name
        )
        ours = features.windows(kept, dataclasses.replace(SPEC, trim_db=200.0)).values[0]
        apart.append(np.abs(trimmed - ours).mean())
    assert np.median(begins, axis=0).max() <= 1, "in frames"
    assert np.median(apart) < 0.3, "in dB; what the ends of speech reach into is all that differs"


@pytest.mark.realdata
def test_the_spectrograms_are_complete_and_look_like_speech(data_dir, monkeypatch):
    if not (data_dir / "crema_d_logmel").is_dir():
        pytest.skip("no ready-made spectrograms in SER_DATA_DIR")
    monkeypatch.setenv("SER_DATA_DIR", str(data_dir))
    manifest = ready_made.manifest()
    assert len(manifest) == 7429 and manifest.id.is_unique
    assert manifest.speaker.nunique() == 91 and manifest.emotion.nunique() == 6
    values = ready_made.windows(list(manifest.id[::40]), SPEC)
    assert values.shape == (len(manifest[::40]), 188, 64) and values.dtype == np.float32
    assert values.min() == -80 and values.max() <= 0
    spread = [part.std() for part in values]
    assert min(spread) > 1, "none is blank"
    trimmed = dataclasses.replace(SPEC, trim_db=200.0)
    assert (ready_made.windows(list(manifest.id[:5]), trimmed)[:, 0] > -80).any()
