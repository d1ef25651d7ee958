import numpy as np
import pytest
from scipy import signal

from ser_core import changes
from tests.helpers import source, speech_like

RATE = 16_000


@pytest.fixture
def talking():
    return speech_like(2.0).astype(float)


def level(samples, low, high):
    """Return the level in dB between two frequencies."""
    hertz, power = signal.welch(samples, RATE, nperseg=4096)
    return 10 * np.log10(power[(hertz >= low) & (hertz < high)].mean() + 1e-20)


@pytest.mark.parametrize("noise", [changes.white_noise, changes.babble, changes.hum])
@pytest.mark.parametrize("decibels", [20, 10])
def test_noise_is_as_loud_as_it_says(noise, decibels, talking):
    added = noise(decibels)(talking, source()) - talking
    ratio = 10 * np.log10(np.mean(talking**2) / np.mean(added**2))
    assert ratio == pytest.approx(decibels, abs=0.1)


def test_hum_is_of_the_mains(talking):
    added = changes.hum(10)(talking, source()) - talking
    assert level(added, 30, 420) > level(added, 500, 8000) + 40


def test_a_cough_is_short_and_as_loud_as_the_speech(talking):
    added = changes.cough(talking, source()) - talking
    (sounding,) = np.nonzero(added)
    assert sounding[-1] - sounding[0] <= RATE / 3
    assert np.abs(added).max() == pytest.approx(np.abs(talking).max())


def test_a_cough_fits_into_a_short_recording():
    short = speech_like(0.2).astype(float)
    assert len(changes.cough(short, source())) == len(short)


def test_clipping_cuts_off_the_loudest(talking):
    cut = changes.clipped(0.05)(talking, source())
    at_limit = np.abs(cut) >= np.abs(cut).max() * (1 - 1e-9)
    assert at_limit.mean() == pytest.approx(0.05, abs=0.01)


def test_ends_are_cut_off_or_lengthened(talking):
    cut = changes.cropped(0.1)(talking, source())
    np.testing.assert_array_equal(cut, talking[1600:-1600])
    longer = changes.padded(0.1)(talking, source())
    np.testing.assert_array_equal(longer[1600:-1600], talking)
    assert not longer[:1600].any() and not longer[-1600:].any()
    assert 1 <= len(changes.cropped(5)(talking, source())) <= 2


def test_a_telephone_is_narrow(talking):
    heard = changes.line(8000)(talking, source())
    assert level(heard, 4200, 8000) < level(talking, 4200, 8000) - 10
    assert level(heard, 500, 3000) == pytest.approx(level(talking, 500, 3000), abs=2)


def test_a_tilt_is_straight(talking):
    tilted = changes.tilted(6)(talking, source())
    for hertz, change in ((1000, -2.25), (4000, 0), (7000, 2.25)):
        found = level(tilted, hertz - 50, hertz + 50) - level(talking, hertz - 50, hertz + 50)
        assert found == pytest.approx(change, abs=0.2)


def test_an_echo_dies_away():
    click = np.zeros(RATE)
    click[0] = 1
    echo = changes.room(0.5)(click, source())
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
    file = changes.encode(talking, codec, container, rate=rate, kbit=kbit)
    assert len(file) < 2 * len(talking) / 1.9
    heard = changes.decode(file)
    assert len(heard) == pytest.approx(len(talking), abs=2500)
    envelopes = [
        np.abs(signal.hilbert(part))[: len(talking) // 400 * 400].reshape(-1, 400).mean(axis=1)
        for part in (talking, np.resize(np.pad(heard, (0, 2500)), len(talking)))
    ]
    alike = signal.correlate(*(each - each.mean() for each in envelopes)).max()
    assert alike / np.prod([np.linalg.norm(each - each.mean()) for each in envelopes]) > 0.9
