import json

import numpy as np
import pandas as pd
import pytest

from ser_core import plots_corpora, prosody
from ser_core.audio import SAMPLE_RATE, Clip
from ser_core.emotions import EMOTIONS
from ser_core.features import FeatureSpec, decibels, hertz_to_mel, mel_power
from tests.helpers import speech_like

SPEC = FeatureSpec()
STEP = SPEC.hop_length / SPEC.sample_rate


@pytest.fixture(scope="module")
def talk():
    clip = Clip(speech_like(1.5, 200.0), SAMPLE_RATE, "talk")
    return decibels(mel_power(clip.samples, SPEC), SPEC.top_db), prosody.contours(clip)


def spoken(talk, **options):
    levels, contours = talk
    options = {"seconds": 2.0, "contours": contours, "pitches": (150.0, 300.0)} | options
    return plots_corpora.spoken(levels, STEP, SPEC, **options)


def test_pitch_and_loudness_stand_on_scales_of_their_own(talk):
    figure = spoken(talk, loudest=float(talk[1].level.max()))
    *_, pitch = figure.data
    voiced = np.isfinite(talk[1].pitch)
    np.testing.assert_allclose(2 ** pitch.y[voiced], talk[1].pitch[voiced], rtol=0.001)
    low, high = figure.layout.yaxis2.range
    height = (pitch.y[voiced] - low) / (high - low)
    assert 0 < height.min() < height.max() < 0.66
    assert all("Hz" in tick for tick in figure.layout.yaxis2.ticktext)
    low, high = figure.layout.yaxis3.range
    level = (np.array(figure.data[2].y) - low) / (high - low)
    assert 0.66 < level.min() < level.max() < 1, "the lines do not cross"
    assert tuple(figure.layout.xaxis.range) == (0, 2.0)


@pytest.mark.parametrize("bands", [64, 128])
def test_a_tone_is_drawn_at_its_frequency(bands):
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    levels = decibels(mel_power(np.sin(2 * np.pi * 1_000 * time), SPEC), SPEC.top_db)
    levels = levels.reshape(len(levels), bands, -1).mean(axis=2)
    figure = plots_corpora.spoken(levels, STEP, SPEC, seconds=1.0)
    heat = figure.data[0]
    loudest = heat.y0 + heat.dy * np.asarray(heat.z)[:, 30].argmax()
    assert loudest == pytest.approx(hertz_to_mel(1_000), abs=1)


def test_without_sound_there_is_the_spectrogram_alone(talk):
    figure = spoken(talk, contours=None)
    assert [trace.type for trace in figure.data] == ["heatmap"]


def points(count):
    return np.random.default_rng(0).standard_normal((count, 2)).astype(np.float32)


def mapped(count=40, groups=("sad", "happy"), **options):
    names = [f"clip {index}" for index in range(count)]
    groups = [groups[index % len(groups)] for index in range(count)]
    return plots_corpora.embedding_map(points(count), groups, names=names, ids=names, **options)


def test_every_point_is_on_the_map_once_in_its_colour():
    figure = mapped()
    assert [trace.name for trace in figure.data] == ["😄 happy", "😢 sad"]
    for trace, emotion in zip(figure.data, ("happy", "sad"), strict=True):
        assert trace.type == "scattergl"
        assert trace.marker.color == EMOTIONS[emotion].colour
    ids = [name for trace in figure.data for name in trace.customdata]
    assert sorted(ids) == sorted(f"clip {index}" for index in range(40))
    at = list(figure.data[1].customdata).index("clip 0")
    assert (figure.data[1].x[at], figure.data[1].y[at]) == tuple(points(40)[0])


def test_ones_own_recording_and_its_neighbours_are_marked():
    figure = mapped(own=(0.5, 0.25), near=[1, 2], chosen=3)
    rings, square, star = figure.data[-3:]
    assert len(rings.x) == 2
    assert (square.x[0], square.y[0]) == tuple(points(40)[3])
    assert (star.x[0], star.y[0], star.text) == (0.5, 0.25, "You")


def test_many_speakers_have_no_legend_but_names():
    figure = mapped(200, [f"speaker-{number}" for number in range(100)])
    assert len(figure.data) == 100
    assert not figure.layout.showlegend
    assert mapped().layout.showlegend


def test_a_map_of_twelve_thousand_is_a_few_hundred_kilobytes():
    assert len(mapped(12_500).to_json()) < 2_000_000


TABLE = pd.DataFrame({"♀": [3, 0], "♂": [5, 2]}, index=["happy", "sad"])


def test_counts_stand_beside_their_bars():
    figure = plots_corpora.stacked(TABLE)
    assert [list(bar.x) for bar in figure.data] == [[3, 0], [5, 2]]
    assert [note.text.strip() for note in figure.layout.annotations] == ["3 ♀, 5 ♂", "2 ♂"]


def test_what_is_missing_has_no_shade_of_what_is_there():
    figure = plots_corpora.counts(TABLE)
    heat = figure.data[0]
    np.testing.assert_array_equal(heat.z, TABLE)
    assert heat.colorscale[0][1].startswith("rgba(140,140,140")
    assert heat.colorscale[1][0] * heat.zmax < 1


def test_boxes_hold_all_values_on_an_axis_of_octaves():
    values = {"sad": np.array([100.0, 200.0]), "happy": np.array([400.0])}
    figure = plots_corpora.boxes(values, "Hz", ends=(100.0, 400.0), octaves=True)
    assert [list(box.x) for box in figure.data] == [[100.0, 200.0], [400.0]]
    low, high = figure.layout.xaxis.range
    assert (10**low, 10**high) == pytest.approx((100, 400))
    assert figure.layout.xaxis.type == "log"


@pytest.mark.parametrize(
    "make",
    [
        mapped,
        lambda: plots_corpora.stacked(TABLE),
        lambda: plots_corpora.counts(TABLE),
        lambda: plots_corpora.boxes({"sad": np.array([1.0])}, "s"),
    ],
)
def test_figures_stand_on_any_ground(make):
    layout = json.loads(make().to_json())["layout"]
    assert layout["paper_bgcolor"] == layout["plot_bgcolor"] == "rgba(0,0,0,0)"
