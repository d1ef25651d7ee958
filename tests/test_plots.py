import subprocess
import sys

import numpy as np
import pytest

from ser_core import audio, plots
from ser_core.emotions import EMOTIONS
from ser_core.features import FeatureSpec
from tests.helpers import ROOT, speech_like

SPEC = FeatureSpec()


def clip(samples):
    return audio.Clip(np.asarray(samples, np.float32), 16_000, "test")


def tone(hertz, seconds=1.0):
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * 16_000)) / 16_000)


def image(figure):
    """The heat map's dB `(bands, columns)`, its frequencies in Hz and its times in seconds."""
    heat = figure.data[0]
    level = np.asarray(heat.z)
    hertz = [float(label.removesuffix(" Hz")) for label in heat.y]
    return level, np.array(hertz), heat.x0 + heat.dx * np.arange(level.shape[1])


@pytest.mark.parametrize("samples", [1, 2, 160, 3_999, 4_000, 4_001, 48_000, 16_000 * 3_600])
def test_waveform_is_small_and_misses_no_peak(samples):
    wave = np.random.default_rng(0).uniform(-0.1, 0.1, samples).astype(np.float32)
    wave[samples // 3], wave[samples // 2] = 0.9, -0.8
    line = plots.waveform(clip(wave)).data[0]
    assert len(line.x) == len(line.y) <= 4_000
    assert (max(line.y), min(line.y)) == (max(wave), min(wave))
    assert line.x[0] == 0
    assert line.x[-1] < samples / 16_000
    assert (np.diff(line.x) >= 0).all()
    assert abs(line.x[np.argmin(line.y)] - samples // 2 / 16_000) <= samples / 16_000 / 1_000


def test_waveform_fills_its_height_however_quiet_the_clip_is():
    low, high = plots.waveform(clip(0.01 * speech_like())).layout.yaxis.range
    peak = 0.01 * np.abs(speech_like()).max()
    assert peak < high == -low < 1.2 * peak


@pytest.mark.parametrize("draw", [plots.waveform, lambda c: plots.mel_spectrogram(c, SPEC)])
@pytest.mark.parametrize("samples", [1, 100, 16_000])
def test_silence_can_be_drawn(draw, samples):
    figure = draw(clip(np.zeros(samples)))
    assert figure.layout.xaxis.range == (0, samples / 16_000)


def test_time_axes_line_up():
    talk = clip(speech_like())
    waveform, spectrogram = plots.waveform(talk), plots.mel_spectrogram(talk, SPEC)
    for side in ("l", "r"):
        assert waveform.layout.margin[side] == spectrogram.layout.margin[side]
    assert waveform.layout.xaxis.range == spectrogram.layout.xaxis.range == (0, talk.duration)
    # Nothing may widen one of them.
    assert waveform.layout.margin.autoexpand is spectrogram.layout.margin.autoexpand is False


@pytest.mark.parametrize("hertz", [150, 500, 1_000, 3_000, 7_000])
def test_mel_spectrogram_shows_a_tone_at_its_frequency(hertz):
    figure = plots.mel_spectrogram(clip(tone(hertz)), SPEC)
    level, hertzes, _ = image(figure)
    loudest = level.mean(axis=1).argmax()
    assert hertzes[loudest] == pytest.approx(hertz, abs=max(15, 0.02 * hertz))
    axis = figure.layout.yaxis
    # The axis's ticks tell the same frequency at that height.
    ticks = [float(text.split()[0]) * (1_000 if "kHz" in text else 1) for text in axis.ticktext]
    assert np.interp(loudest, axis.tickvals, ticks) == pytest.approx(hertz, rel=0.15)


def test_mel_spectrogram_is_relative_to_the_loudest_point():
    loud, _, _ = image(plots.mel_spectrogram(clip(speech_like()), SPEC))
    quiet, _, _ = image(plots.mel_spectrogram(clip(0.02 * speech_like()), SPEC))
    assert loud.max() == 0
    assert loud.min() >= -SPEC.top_db
    assert np.abs(loud.astype(int) - quiet).max() <= 1


@pytest.mark.parametrize("seconds", [0.05, 3, 40, 127, 129, 1_800])
def test_mel_spectrogram_keeps_time_and_size(seconds):
    samples = np.zeros(int(seconds * 16_000), np.float32)
    third = int(len(samples) / 3)
    samples[third : third + max(len(samples) // 20, 400)] = tone(1_000, 100)[
        : max(len(samples) // 20, 400)
    ]
    talk = clip(samples)
    level, _, times = image(plots.mel_spectrogram(talk, SPEC))
    step = times[1] - times[0] if len(times) > 1 else talk.duration
    assert level.shape[1] <= 1_000
    assert talk.duration - times[-1] < 2 * step
    heard = times[level.max(axis=0) > -40]
    middle = (third + max(len(samples) // 20, 400) / 2) / 16_000
    assert (heard[0] + heard[-1]) / 2 == pytest.approx(middle, abs=step)


def test_probabilities_are_sorted_named_and_coloured():
    values = dict.fromkeys(EMOTIONS, 0.0) | {"sad": 0.624, "angry": 0.371, "calm": 0.005}
    bars = plots.probabilities(values).data[0]
    assert bars.y[-1] == "Sad 😢"
    assert bars.text[-3:] == ("<1%", "37%", "62%")
    assert list(bars.x) == sorted(values.values())
    assert bars.marker.color[-2] == EMOTIONS["angry"].colour
    assert plots.probabilities(values, faint=True).data[0].marker.opacity < bars.marker.opacity


@pytest.mark.parametrize(
    ("probability", "text"),
    [(0.0, "<1%"), (0.004, "<1%"), (0.01, "1%"), (0.125, "12%"), (0.99, "99%"), (1.0, ">99%")],
)
def test_percent_never_claims_certainty(probability, text):
    assert plots.percent(probability) == text


@pytest.mark.parametrize(
    "figure",
    [
        plots.waveform(clip(speech_like())),
        plots.mel_spectrogram(clip(speech_like()), SPEC),
        plots.probabilities({"happy": 0.7, "sad": 0.3}),
    ],
)
def test_backgrounds_are_transparent(figure):
    assert figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0,0,0,0)"


def test_plots_do_without_streamlit_and_the_rest_without_plots():
    code = (
        "import sys, ser_core.cli, ser_core.recognizer; assert 'plotly' not in sys.modules;"
        "import ser_core.plots; assert 'streamlit' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
