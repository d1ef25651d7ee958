import subprocess
import sys

import numpy as np
import pytest

from ser_core import audio, plots, plots_models, plots_over_time
from ser_core.emotions import EMOTIONS
from ser_core.explain import Occlusion
from ser_core.features import FeatureSpec
from ser_core.timeline import STEP, Segment, Timeline
from tests.helpers import ROOT, speech_like

SPEC = FeatureSpec()


def clip(samples):
    return audio.Clip(np.asarray(samples, np.float32), 16_000, "test")


def tone(hertz, seconds=1.0):
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * 16_000)) / 16_000)


def trace(figure, axis):
    """The first trace on a y axis."""
    return next(item for item in figure.data if (item.yaxis or "y") == axis)


def image(figure):
    """The heat map's dB `(bands, columns)`, its frequencies in Hz and its times in seconds."""
    heat = trace(figure, "y2")
    level = np.asarray(heat.z)
    hertz = [float(label.removesuffix(" Hz")) for label in heat.y]
    return level, np.array(hertz), heat.x0 + heat.dx * np.arange(level.shape[1])


@pytest.mark.parametrize("samples", [1, 2, 160, 3_999, 4_000, 4_001, 48_000, 16_000 * 3_600])
def test_waveform_is_small_and_misses_no_peak(samples):
    wave = np.random.default_rng(0).uniform(-0.1, 0.1, samples).astype(np.float32)
    wave[samples // 3], wave[samples // 2] = 0.9, -0.8
    line = trace(plots_over_time.pictures(clip(wave), SPEC), "y")
    assert len(line.x) == len(line.y) <= 4_000
    assert (max(line.y), min(line.y)) == (max(wave), min(wave))
    assert line.x[0] == 0
    assert line.x[-1] < samples / 16_000
    assert (np.diff(line.x) >= 0).all()
    assert abs(line.x[np.argmin(line.y)] - samples // 2 / 16_000) <= samples / 16_000 / 1_000


def test_waveform_fills_its_height_however_quiet_the_clip_is():
    low, high = plots_over_time.pictures(clip(0.01 * speech_like()), SPEC).layout.yaxis.range
    peak = 0.01 * np.abs(speech_like()).max()
    assert peak < high == -low < 1.2 * peak


@pytest.mark.parametrize("samples", [1, 100, 16_000])
def test_silence_can_be_drawn(samples):
    figure = plots_over_time.pictures(clip(np.zeros(samples)), SPEC)
    assert figure.layout.xaxis.range == (0, samples / 16_000)


def test_everything_is_on_one_time_axis():
    talk = clip(speech_like(seconds=8.0))
    figure = plots_over_time.pictures(talk, SPEC)
    assert {item.xaxis for item in figure.data} <= {None, "x"}
    over_it = plots_over_time.timeline(line_of_time(8.0))
    for side in ("l", "r"):
        assert figure.layout.margin[side] == over_it.layout.margin[side]
    assert figure.layout.xaxis.range == over_it.layout.xaxis.range == (0, 8)
    # Nothing may widen one of them.
    assert figure.layout.margin.autoexpand is over_it.layout.margin.autoexpand is False


def test_time_can_be_zoomed_but_not_by_dragging():
    figure = plots_over_time.pictures(clip(speech_like()), SPEC)
    assert figure.layout.dragmode is False
    assert figure.layout.xaxis.fixedrange is False
    assert figure.layout.yaxis.fixedrange is figure.layout.yaxis2.fixedrange is True


def test_a_part_is_drawn_when_it_is():
    talk = clip(np.concatenate([np.zeros(8_000), tone(1_000, 0.5), np.zeros(8_000)]))
    figure = plots_over_time.pictures(talk, SPEC, start=100.0)
    assert figure.layout.xaxis.range == (100, 101.5)
    assert trace(figure, "y").x[0] == 100
    level, _, times = image(figure)
    assert times[level.max(axis=0) > -20].mean() == pytest.approx(100.75, abs=0.05)


@pytest.mark.parametrize(
    ("start", "seconds", "first", "last"),
    [(0, 59, None, None), (0, 120, "0:00", "2:00"), (3_590, 100, "1:00:00", "1:01:30")],
)
def test_long_times_are_told_as_on_a_clock(start, seconds, first, last):
    axis = plots_over_time.pictures(
        clip(np.zeros(seconds * 16_000)), SPEC, start=start
    ).layout.xaxis
    assert (axis.ticktext and (axis.ticktext[0], axis.ticktext[-1])) == (first and (first, last))


def test_attention_and_importance_are_laid_over():
    times, hertz = np.array([0.25, 0.75, 1.25, 1.75]), np.array([200.0, 4_000.0])
    weights = np.array([[0, 0.5]] * 2 + [[-0.1, 0]] * 2)
    figure = plots_over_time.pictures(
        clip(speech_like(2.0)),
        SPEC,
        attention=(times, np.array([0.1, 0.1, 0.7, 0.1])),
        importance=Occlusion("sad", times, hertz, weights),
    )
    attention = trace(figure, "y3")
    assert list(attention.x) == list(times)
    assert list(attention.y) == [0.4, 0.4, 2.8, 0.4]
    heat, importance = (item for item in figure.data if item.yaxis == "y2")
    assert importance.y == heat.y, "both are drawn on the same bands"
    hertz = np.array([float(label.removesuffix(" Hz")) for label in importance.y])
    drawn = np.asarray(importance.z)
    assert drawn.shape == (len(hertz), 4)
    # What speaks against the answer is not shown.
    assert (drawn[hertz < 500] == 0).all()
    np.testing.assert_array_equal(drawn[hertz > 3_000], [[0.5, 0.5, 0, 0]] * (hertz > 3_000).sum())


def line_of_time(seconds, segments=()):
    steps = int(seconds / STEP)
    shares = np.tile([0.75, 0.25], (steps, 1))
    shares[: steps // 4] = 0
    return Timeline(seconds, ("calm", "angry"), shares, tuple(segments))


@pytest.mark.parametrize("seconds", [4.0, 60.0, 600.0, 3_600.0])
def test_timeline_is_stacked_small_and_blank_where_silent(seconds):
    figure = plots_over_time.timeline(line_of_time(seconds))
    calm, angry = figure.data
    assert calm.stackgroup == angry.stackgroup
    assert len(calm.x) <= 1_001
    assert calm.x[0] == 0 and calm.x[-1] >= seconds
    at = np.array(calm.x)
    later = (at > 0.26 * seconds) & (at < seconds)
    assert set(np.array(calm.y)[later]) == {0.75} and set(np.array(angry.y)[later]) == {0.25}
    assert set(np.array(calm.y)[at < 0.24 * seconds]) == {0}
    assert calm.fillcolor == EMOTIONS["calm"].colour


def test_timeline_names_segments_by_more_than_colour():
    segments = [Segment(0, 5, "calm", {}), Segment(5, 5.5, "angry", {}), Segment(6, 9, None, {})]
    figure = plots_over_time.timeline(line_of_time(20.0, segments))
    assert [note.text for note in figure.layout.annotations] == [EMOTIONS["calm"].emoji]
    assert figure.layout.showlegend and figure.data[0].name == "😌 calm"


@pytest.mark.parametrize(("share", "named"), [(0.08, True), (0.03, False)])
def test_every_colour_that_can_be_seen_is_named(share, named):
    shares = np.tile([1 - share, share], (40, 1))
    figure = plots_over_time.timeline(Timeline(20.0, ("calm", "disgust"), shares, ()))
    assert [trace.showlegend for trace in figure.data] == [True, named]


def test_the_legend_has_room_on_a_phone_and_the_stack_stays_as_tall():
    tall = []
    for emotions in (("calm", "angry"), tuple(EMOTIONS)):
        shares = np.full((40, len(emotions)), 1 / len(emotions))
        shares[range(len(emotions)), range(len(emotions))] = 1  # so that each is in the legend
        layout = plots_over_time.timeline(Timeline(10.0, emotions, shares, ())).layout
        assert layout.margin.b >= 26 + 22 * len(emotions) / 2, "two to a row of 22 pixels"
        tall.append(layout.height - layout.margin.b)
    assert tall[0] == tall[1]


def test_comparison_tells_its_sides_apart_by_hatching():
    first, second = {"sad": 0.8, "calm": 0.2}, {"sad": 0.1, "calm": 0.9}
    lower, upper = plots.comparison(first, second).data
    assert list(upper.y) == list(lower.y) == ["Sad 😢", "Calm 😌"]
    assert list(upper.x) == [0.8, 0.2] and list(lower.x) == [0.1, 0.9]
    assert (upper.marker.pattern.shape, lower.marker.pattern.shape) == ("", "/")
    assert len(plots.comparison(first, {}).data) == 1


def test_radar_is_closed():
    (line,) = plots.radar({"happy": 0.7, "sad": 0.2, "calm": 0.1}).data
    assert list(line.r) == [0.7, 0.2, 0.1, 0.7]
    assert line.theta[0] == line.theta[-1] == "Happy 😄"


def test_plane_shows_the_place_among_those_of_the_emotions():
    values = dict.fromkeys(EMOTIONS, 0.0) | {"happy": 1.0}
    emotions, place = plots.plane(values).data
    assert len(emotions.x) == len(EMOTIONS)
    assert (place.x[0], place.y[0]) == (EMOTIONS["happy"].valence, EMOTIONS["happy"].arousal)


@pytest.mark.parametrize("hertz", [150, 500, 1_000, 3_000, 7_000])
def test_mel_spectrogram_shows_a_tone_at_its_frequency(hertz):
    figure = plots_over_time.pictures(clip(tone(hertz)), SPEC)
    level, hertzes, _ = image(figure)
    loudest = level.mean(axis=1).argmax()
    assert hertzes[loudest] == pytest.approx(hertz, abs=max(15, 0.02 * hertz))
    axis = figure.layout.yaxis2
    # The axis's ticks tell the same frequency at that height.
    ticks = [float(text.split()[0]) * (1_000 if "kHz" in text else 1) for text in axis.ticktext]
    assert np.interp(loudest, axis.tickvals, ticks) == pytest.approx(hertz, rel=0.15)


def test_mel_spectrogram_is_relative_to_the_loudest_point():
    loud, _, _ = image(plots_over_time.pictures(clip(speech_like()), SPEC))
    quiet, _, _ = image(plots_over_time.pictures(clip(0.02 * speech_like()), SPEC))
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
    level, _, times = image(plots_over_time.pictures(talk, SPEC))
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


def test_what_was_counted_may_be_all_and_none():
    values = {"sad": 1.0, "calm": 0.0}
    assert plots.probabilities(values, counted=True).data[0].text == ("0%", "100%")
    assert plots.probabilities(values).data[0].text == ("<1%", ">99%")


@pytest.mark.parametrize(
    "figure",
    [
        plots_over_time.pictures(clip(speech_like()), SPEC),
        plots_over_time.timeline(line_of_time(9.0)),
        plots.probabilities({"happy": 0.7, "sad": 0.3}),
        plots.comparison({"happy": 0.7, "sad": 0.3}, {}),
        plots.radar({"happy": 0.7, "sad": 0.3}),
        plots.plane({"happy": 0.7, "sad": 0.3}),
    ],
)
def test_backgrounds_are_transparent(figure):
    assert figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0,0,0,0)"


def test_plots_do_without_streamlit_and_the_rest_without_plots():
    code = (
        "import sys, ser_core.cli, ser_core.recognizer; assert 'plotly' not in sys.modules;"
        "import ser_core.plots_over_time; assert 'streamlit' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_what_it_helps_to_know_a_voice_is_drawn():
    (curve, diamond) = plots_models.voices({0: 0.7, 1: 0.72, 16: 0.8}, 0.81).data
    assert list(curve.x) == ["0", "1", "16"] and list(curve.y) == [0.7, 0.72, 0.8]
    assert list(diamond.y) == [0.81]
    assert len(plots_models.voices({0: 0.7, 4: 0.69}, None).data) == 1
