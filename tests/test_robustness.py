import numpy as np
import pandas as pd
import pytest
from scipy import signal

from ser_core import audio, corpora, robustness
from ser_core.card import Robustness
from ser_core.errors import UndertoneError
from ser_core.recognizer import Recognizer
from ser_core.robustness import CONDITIONS, Condition, Source
from tests.helpers import speech_like

RATE = 16_000


@pytest.fixture
def talking():
    return speech_like(2.0).astype(float)


def source(seed=0):
    others = [speech_like(1.0, pitch, seed=index) for index, pitch in enumerate((90, 160, 250))]
    return Source(np.random.default_rng(seed), others)


def level(samples, low, high):
    """Return the level in dB between two frequencies."""
    hertz, power = signal.welch(samples, RATE, nperseg=4096)
    return 10 * np.log10(power[(hertz >= low) & (hertz < high)].mean() + 1e-20)


@pytest.mark.parametrize("condition", CONDITIONS, ids=[each.name for each in CONDITIONS])
def test_a_change_leaves_something_to_hear_and_is_the_same_each_time(condition, talking):
    first, again = (condition.change(talking, source()) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert np.isfinite(first).all() and np.abs(first).max() > 0.01
    assert 1.8 * RATE < len(first) < 3.1 * RATE
    assert not np.array_equal(first, talking)


def test_conditions_have_names_of_their_own():
    assert len({condition.name for condition in CONDITIONS}) == len(CONDITIONS)


@pytest.mark.parametrize("noise", [robustness.white_noise, robustness.babble, robustness.hum])
@pytest.mark.parametrize("decibels", [20, 10])
def test_noise_is_as_loud_as_it_says(noise, decibels, talking):
    added = noise(decibels)(talking, source()) - talking
    ratio = 10 * np.log10(np.mean(talking**2) / np.mean(added**2))
    assert ratio == pytest.approx(decibels, abs=0.1)


def test_hum_is_of_the_mains(talking):
    added = robustness.hum(10)(talking, source()) - talking
    assert level(added, 30, 420) > level(added, 500, 8000) + 40


def test_a_cough_is_short_and_as_loud_as_the_speech(talking):
    added = robustness.cough(talking, source()) - talking
    (sounding,) = np.nonzero(added)
    assert sounding[-1] - sounding[0] <= RATE / 3
    assert np.abs(added).max() == pytest.approx(np.abs(talking).max())


def test_a_cough_fits_into_a_short_recording():
    short = speech_like(0.2).astype(float)
    assert len(robustness.cough(short, source())) == len(short)


def test_clipping_cuts_off_the_loudest(talking):
    cut = robustness.clipped(0.05)(talking, source())
    at_limit = np.abs(cut) >= np.abs(cut).max() * (1 - 1e-9)
    assert at_limit.mean() == pytest.approx(0.05, abs=0.01)


def test_ends_are_cut_off_or_lengthened(talking):
    cut = robustness.cropped(0.1)(talking, source())
    np.testing.assert_array_equal(cut, talking[1600:-1600])
    longer = robustness.padded(0.1)(talking, source())
    np.testing.assert_array_equal(longer[1600:-1600], talking)
    assert not longer[:1600].any() and not longer[-1600:].any()
    assert 1 <= len(robustness.cropped(5)(talking, source())) <= 2


def test_a_telephone_is_narrow(talking):
    heard = robustness.telephone(talking, source())
    assert level(heard, 4200, 8000) < level(talking, 4200, 8000) - 10
    assert level(heard, 500, 3000) == pytest.approx(level(talking, 500, 3000), abs=2)


def test_a_tilt_is_straight(talking):
    tilted = robustness.tilted(6)(talking, source())
    for hertz, change in ((1000, -2.25), (4000, 0), (7000, 2.25)):
        found = level(tilted, hertz - 50, hertz + 50) - level(talking, hertz - 50, hertz + 50)
        assert found == pytest.approx(change, abs=0.2)


def test_an_echo_dies_away():
    click = np.zeros(RATE)
    click[0] = 1
    echo = robustness.room(0.5)(click, source())
    energy = [10 * np.log10(np.sum(echo[at : at + 800] ** 2)) for at in (800, 4800)]
    assert energy[0] - energy[1] == pytest.approx(60 * 4000 / 8000, abs=4)
    assert np.sum(echo[1:] ** 2) == pytest.approx(1, abs=0.1), "as loud as the sound itself"


@pytest.mark.parametrize(
    ("codec", "container", "rate", "kbit"),
    [
        ("libopencore_amrnb", "amr", 8000, 12.2),
        ("libopus", "ogg", RATE, 16),
        ("libmp3lame", "mp3", RATE, 32),
        ("pcm_mulaw", "wav", 8000, None),
    ],
)
def test_a_codec_makes_it_smaller_but_keeps_the_voice(codec, container, rate, kbit, talking):
    file = robustness.encode(talking, codec, container, rate=rate, kbit=kbit)
    assert len(file) < 2 * len(talking) / 1.9
    heard = robustness.decode(file)
    assert len(heard) == pytest.approx(len(talking), abs=2500)
    envelopes = [
        np.abs(signal.hilbert(part))[: len(talking) // 400 * 400].reshape(-1, 400).mean(axis=1)
        for part in (talking, np.resize(np.pad(heard, (0, 2500)), len(talking)))
    ]
    alike = signal.correlate(*(each - each.mean() for each in envelopes)).max()
    assert alike / np.prod([np.linalg.norm(each - each.mean()) for each in envelopes]) > 0.9


@pytest.fixture(scope="module")
def recognizer(toy_run):
    return Recognizer.from_name(toy_run / "model")


@pytest.fixture
def manifest(toy_ravdess, monkeypatch):
    monkeypatch.setenv("SER_DATA_DIR", str(toy_ravdess))
    return corpora.scan("ravdess").manifest


def silent(samples, source):
    return np.zeros(1600)


def test_changes_are_compared_with_the_recordings_as_they_are(recognizer, manifest, tmp_path):
    damaged = tmp_path / "damaged.wav"
    damaged.write_text("no sound")
    broken = pd.concat([manifest, manifest.iloc[:1].assign(path=damaged)], ignore_index=True)
    told = []
    conditions = (
        Condition("softer", robustness.gain(-20), most_drop=0.0, least_same=1.0),
        Condition("silent", silent, least_same=0.1),
        Condition("higher", lambda samples, source: samples[::2], most_drop=0.1),
        Condition("anything", silent),
    )
    clean, (softer, nothing, higher, anything) = robustness.measure(
        recognizer, broken, conditions=conditions, on_clip=lambda: told.append(1)
    )
    assert clean > 0.9 and len(told) == len(broken)
    assert softer == Robustness("softer", clean, 0.0, 1.0, 0.0, passed=True)
    assert nothing == Robustness("silent", 0.0, clean, 0.0, 1.0, passed=False)
    assert higher.uar < 0.8 and higher.drop == pytest.approx(clean - higher.uar)
    assert higher.passed is False and anything.passed is None


def test_folds_are_pooled_and_judged_anew():
    noise, *_, tilt = CONDITIONS
    one = [
        Robustness(noise.name, 0.6, 0.08, 0.95, 0.0, passed=False),
        Robustness(tilt.name, 0.5, 0.1, 0.9, 0.0, passed=True),
    ]
    other = [
        Robustness(noise.name, 0.8, 0.0, 0.97, 0.02, passed=True),
        Robustness(tilt.name, 0.4, 0.2, 0.6, 0.0, passed=False),
    ]
    first, second = robustness.pooled([one, other])
    assert (first.uar, first.drop, first.same) == pytest.approx((0.7, 0.04, 0.96))
    assert first.passed is True and first.refused == 0.01
    assert second.same == 0.75 and second.passed is False


def test_babble_is_of_other_people(recognizer, manifest):
    heard = []

    def listen(samples, source):
        heard.append((samples, source.others))
        return samples

    robustness.measure(recognizer, manifest, conditions=[Condition("listen", listen)])
    by_content = {
        audio.read(row.path).samples.tobytes(): row.speaker for row in manifest.itertuples()
    }
    assert len(heard) == len(manifest)
    for samples, others in heard:
        assert len(others) == 4
        speaker = by_content[samples.tobytes()]
        assert speaker not in {by_content[other.tobytes()] for other in others}


def test_nothing_to_judge_gets_a_sentence(recognizer, manifest, tmp_path):
    damaged = tmp_path / "damaged.wav"
    damaged.write_text("no sound")
    with pytest.raises(UndertoneError, match="none of the recordings could be judged"):
        robustness.measure(recognizer, manifest.iloc[:2].assign(path=damaged))
