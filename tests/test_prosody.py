import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from ser_core import audio, prosody
from ser_core.audio import SAMPLE_RATE, Clip
from ser_core.prosody import Prosody
from tests.helpers import VOWELS, speech_like, vowel


def clip(samples) -> Clip:
    return Clip(np.asarray(samples, np.float32), SAMPLE_RATE, "clip")


def said(pitch, level=0.3, of=0) -> Clip:
    """A vowel of a pitch, a Hz for each sample."""
    formants = np.repeat(VOWELS[of][:, None], len(pitch), axis=1)
    return clip(level * vowel(np.asarray(pitch, float), formants))


def cents(one, other):
    return 1200 * np.abs(np.log2(one / other))


@pytest.mark.parametrize("of", range(len(VOWELS)))
@pytest.mark.parametrize("hertz", [75, 110, 180, 260, 400, 550])
def test_pitch_of_a_vowel(hertz, of):
    found = prosody.contours(said(np.full(SAMPLE_RATE, hertz), of=of))
    voiced = np.isfinite(found.pitch)
    assert voiced.mean() > 0.9
    assert np.median(cents(found.pitch[voiced], hertz)) < 10


@pytest.mark.parametrize("hertz", [150, 220, 440])
def test_pitch_of_a_tone(hertz):
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    found = prosody.prosody(clip(0.5 * np.sin(2 * np.pi * hertz * time)))
    assert cents(found.pitch, hertz) < 10
    assert found.range < 0.5


@pytest.mark.parametrize(("start", "end"), [(100, 400), (300, 90)])
def test_pitch_follows_a_glide(start, end):
    true = np.geomspace(start, end, 2 * SAMPLE_RATE)
    found = prosody.contours(said(true))
    voiced = np.isfinite(found.pitch)
    there = np.interp(found.times, np.arange(len(true)) / SAMPLE_RATE, true)
    assert np.percentile(cents(found.pitch[voiced], there[voiced]), 95) < 30
    # From the 5th to the 95th percentile of an even glide is nine tenths of it.
    expected = 0.9 * abs(12 * np.log2(end / start))
    assert prosody.prosody(said(true)).range == pytest.approx(expected, abs=0.7)


@pytest.mark.parametrize("hertz", [90, 140, 230, 340])
def test_pitch_of_speech(hertz):
    found = prosody.contours(clip(speech_like(2.0, hertz)))
    true = hertz * (1 + 0.1 * np.sin(2 * np.pi * 0.7 * found.times))
    voiced = np.isfinite(found.pitch)
    assert 0.3 < voiced.mean() < 0.8, "hisses have none"
    assert np.percentile(cents(found.pitch[voiced], true[voiced]), 95) < 50


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(SAMPLE_RATE),
        np.zeros(3),
        np.zeros(0),
        0.1 * np.random.default_rng(0).standard_normal(SAMPLE_RATE),
    ],
    ids=["silence", "three samples", "nothing", "noise"],
)
def test_where_nothing_is_voiced_there_is_no_pitch(samples):
    found = prosody.prosody(clip(samples))
    assert np.isnan(found.pitch)
    assert np.isnan(found.range)
    assert np.isfinite(found.loudness)


@pytest.mark.parametrize("gain", [1.0, 0.1, 0.001])
def test_level_changes_loudness_and_nothing_else(gain):
    loud = prosody.prosody(said(np.full(SAMPLE_RATE, 200), level=0.3))
    soft = prosody.prosody(said(np.full(SAMPLE_RATE, 200), level=0.3 * gain))
    assert soft.loudness - loud.loudness == pytest.approx(20 * np.log10(gain), abs=0.1)
    assert cents(soft.pitch, loud.pitch) < 2
    assert soft.seconds == loud.seconds


def test_loudness_is_that_of_a_sine():
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    sine = clip(np.sin(2 * np.pi * 200 * time))
    assert prosody.prosody(sine).loudness == pytest.approx(10 * np.log10(0.5), abs=0.05)
    levels = prosody.contours(sine).level[5:-5]
    np.testing.assert_allclose(levels, 10 * np.log10(0.5), atol=0.3)


def test_silence_around_it_does_not_count():
    voice = said(np.full(SAMPLE_RATE, 200)).samples
    alone = prosody.prosody(clip(voice))
    amid = prosody.prosody(clip(np.pad(voice, (SAMPLE_RATE, 2 * SAMPLE_RATE))))
    # Frames of 128 ms say where the sound begins and ends.
    assert amid.seconds == pytest.approx(alone.seconds, abs=0.13)
    assert amid.loudness == pytest.approx(alone.loudness, abs=1)
    assert cents(amid.pitch, alone.pitch) < 5


def test_another_rate_is_refused():
    with pytest.raises(ValueError, match="8000 Hz but 16000 Hz"):
        prosody.contours(Clip(np.zeros(8000, np.float32), 8000, "clip"))


PLAIN = Prosody(seconds=2.0, pitch=200.0, range=5.0, loudness=-30.0)


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (Prosody(1.6, 300.0, 5.0, -24.0), "a fifth higher, 6 dB louder, 25% faster"),
        (Prosody(2.5, 150.0, 5.0, -33.0), "a fourth lower, 3 dB softer, 20% slower"),
        (Prosody(2.0, 400.0, 5.0, -30.0), "an octave higher"),
        (Prosody(2.0, 600.0, 5.0, -30.0), "an octave and a fifth higher"),
        (Prosody(2.0, 50.0, 5.0, -30.0), "2 octaves lower"),
        (Prosody(2.02, 203.0, 5.0, -30.2), "the same pitch"),
        (Prosody(2.0, np.nan, np.nan, -20.0), "10 dB louder"),
        (Prosody(2.0, np.nan, np.nan, -30.0), "much the same"),
    ],
)
def test_differences_are_told_in_words(other, told):
    assert prosody.difference(other, PLAIN) == told


@given(st.floats(60, 800), st.floats(60, 800))
def test_higher_is_higher(one, other):
    told = prosody.difference(Prosody(2.0, one, 5.0, -30.0), Prosody(2.0, other, 5.0, -30.0))
    steps = prosody.semitones(one, other)
    if abs(steps) < 0.5:
        assert told == "the same pitch"
    elif abs(steps) > 0.5:
        assert told.endswith("higher" if steps > 0 else "lower")
    assert ("octave" in told) == (round(abs(steps)) >= 12 or round(abs(steps)) == 6)


@pytest.fixture
def manifest(tmp_path, monkeypatch) -> pd.DataFrame:
    """Three voices, one file that is none, and a ready-made spectrogram."""
    monkeypatch.setenv("SER_CACHE_DIR", str(tmp_path / "cache"))
    paths = []
    for hertz in (100, 200, 300):
        paths.append(tmp_path / f"{hertz}.flac")
        soundfile.write(paths[-1], speech_like(1.5, hertz), SAMPLE_RATE)
    (tmp_path / "bad.flac").write_bytes(b"no sound")
    paths += [tmp_path / "bad.flac", tmp_path / "logmel.npy.xz"]
    return pd.DataFrame({"path": paths, "id": [f"mine/{path.stem}" for path in paths]})


def test_many_recordings_are_measured_once(manifest, monkeypatch):
    manifest.index = [10, 11, 12, 13, 14]
    assert prosody.missing(manifest) == 4
    found = prosody.measure(manifest)
    assert list(found.index) == list(manifest.index)
    np.testing.assert_allclose(found.pitch[:3], [100, 200, 300], rtol=0.05)
    assert found.loc[[13, 14]].isna().all(axis=None)
    assert prosody.missing(manifest) == 0
    with monkeypatch.context() as patch:
        patch.setattr(audio, "read", None)
        pd.testing.assert_frame_equal(prosody.measure(manifest), found)
    manifest.path[13].write_bytes(b"still no sound")
    assert prosody.missing(manifest) == 1, "what has changed is tried again"


def test_a_recording_without_a_pitch_is_measured_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setenv("SER_CACHE_DIR", str(tmp_path / "cache"))
    noise = 0.1 * np.random.default_rng(0).standard_normal(SAMPLE_RATE)
    soundfile.write(tmp_path / "noise.flac", noise, SAMPLE_RATE)
    manifest = pd.DataFrame({"path": [tmp_path / "noise.flac"], "id": ["mine/noise"]})
    found = prosody.measure(manifest)
    assert found.seconds[0] == pytest.approx(1.0, abs=0.05)
    assert np.isnan(found.pitch[0])
    assert prosody.missing(manifest) == 0


@pytest.mark.realdata
def test_women_speak_higher_and_anger_is_louder(data_dir):
    from ser_core import corpora

    found = corpora.scan("ravdess", data_dir / "ravdess").manifest
    found = found[(found.channel == "speech") & found.speaker.isin(["ravdess-01", "ravdess-02"])]
    measured = found.join(prosody.measure(found))
    by_sex = measured.groupby("sex").pitch.median()
    assert 1.4 < by_sex.female / by_sex.male < 2.5
    loudness = measured.groupby("emotion").loudness.median()
    assert loudness.angry > loudness.neutral + 5
    assert loudness.idxmax() == "angry"
