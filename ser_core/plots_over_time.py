"""Recordings and timelines → plotly figures over time, which share their margins.

Where one is above another, their time axes line up.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import ceil

import numpy as np
import plotly.graph_objects as go

from ser_core.audio import Clip
from ser_core.emotions import EMOTIONS
from ser_core.explain import Occlusion
from ser_core.features import FeatureSpec, decibels, hertz_to_mel, mel_power, mel_to_hertz
from ser_core.plots import INK, MAGMA, TICKS_HERTZ, VIOLET, transparent
from ser_core.quality import peak_of
from ser_core.timeline import STEP, Timeline, clock

_COLUMNS = 1_000  # what a wide screen can show
_FRAMES_PER_COLUMN = 8  # enough to average over in a long clip
_TICKS_SECONDS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900)
_CLOCK_FROM = 60  # seconds from which on times are told as on a clock
_MARGIN = {"l": 56, "r": 60, "t": 32, "b": 32, "autoexpand": False}

# What is laid over has colours that neither the waveform nor Magma has.
_ORANGE = "rgba(230,159,0,0.45)"
_CYAN = [[0, "rgba(60,240,255,0)"], [0.25, "rgba(60,240,255,0.1)"], [1, "rgba(60,240,255,0.85)"]]


def pictures(
    clip: Clip,
    spec: FeatureSpec,
    *,
    start: float = 0.0,
    attention: tuple[np.ndarray, np.ndarray] | None = None,
    importance: Occlusion | None = None,
) -> go.Figure:
    """Draw a clip's waveform above its mel spectrogram, on one time axis.

    Args:
        clip: at the spec's sample rate, of any length; of a long one, means are drawn.
        spec: which frames and mel bands.
        start: when the clip begins, in seconds, if it is a part of a longer one.
        attention: lay over the waveform how much each moment counted: `(steps,)` middles of the
            moments in seconds and `(steps,)` weights.
        importance: lay over the spectrogram what the answer hung on.
    """
    heat = _heat(clip, spec, start)
    figure = go.Figure([_wave(clip, start), heat])
    if attention:
        figure.add_trace(_attention(*attention))
    if importance:
        figure.add_trace(_importance(importance, heat.y))
    # However quiet the clip, its shape is what matters.
    reach = 1.05 * peak_of(clip.samples) or 1.0
    figure.update_layout(
        yaxis={"domain": [0.68, 1], "range": [-reach, reach], "nticks": 3, "showgrid": False},
        yaxis2={"domain": [0, 0.63]} | _frequency_axis(spec),
        yaxis3={"overlaying": "y", "visible": False, "rangemode": "tozero"},
        xaxis={
            "anchor": "y2",
            "showspikes": True,
            "spikemode": "across",
            "spikethickness": 1,
            "spikedash": "dot",
            "spikecolor": VIOLET,
        },
    )
    return _over_time(figure, start, start + clip.duration, height=420)


def timeline(found: Timeline) -> go.Figure:
    """Draw the probabilities of a timeline, stacked; where nothing is said there is nothing.

    Args:
        found: of a recording of any length; no more than a thousand steps are drawn.
    """
    width = -(-len(found.probabilities) // _COLUMNS)
    starts = range(0, len(found.probabilities), width)
    columns = [found.probabilities[at : at + width].mean(axis=0) for at in starts]
    # Each step is a stair, the last one drawn to its end.
    heights = np.round(np.array([*columns, columns[-1]]), 3)
    times = width * STEP * np.arange(len(heights))
    figure = go.Figure(
        [
            go.Scatter(
                x=times,
                y=heights[:, index],
                name=f"{EMOTIONS[emotion].emoji} {emotion}",
                stackgroup="all",
                mode="lines",
                line={"shape": "hv", "width": 0.5, "color": EMOTIONS[emotion].colour},
                fillcolor=EMOTIONS[emotion].colour,
                hovertemplate="%{y:.0%}",
                # The others are too thin to be seen.
                showlegend=bool(heights[:, index].max(initial=0) > 0.05),
            )
            for index, emotion in enumerate(found.emotions)
        ]
    )
    figure.update_yaxes(range=[0, 1], tickformat=".0%", nticks=3, showgrid=False)
    for segment in found.segments:
        # What an emoji needs, so that neighbours do not touch.
        if segment.label and segment.end - segment.start > found.duration / 20:
            figure.add_annotation(
                x=(segment.start + segment.end) / 2,
                y=1.0,
                yanchor="bottom",
                showarrow=False,
                text=EMOTIONS[segment.label].emoji,
            )
    # On a phone, two emotions fit into a row of the legend; what does not fit below would be cut.
    below = 36 + 22 * ceil(sum(trace.showlegend for trace in figure.data) / 2)
    # The emojis stand under the buttons for zooming, not behind them.
    above = _MARGIN["t"] + 16
    return _over_time(figure, 0.0, found.duration, height=118 + above + below).update_layout(
        hovermode="x unified",
        showlegend=True,
        legend={
            "orientation": "h",
            "y": -0.22,
            "itemclick": False,
            "itemdoubleclick": False,
            "font": {"size": 13, "color": INK},
        },
        margin_t=above,
        margin_b=below,
    )


def _wave(clip: Clip, start: float) -> go.Scatter:
    time, level = _envelope(clip)
    return go.Scatter(
        x=start + time,
        y=level,
        mode="lines",
        line={"color": VIOLET, "width": 1},
        hovertemplate="%{x:.2f} s<extra></extra>",
    )


def _heat(clip: Clip, spec: FeatureSpec, start: float) -> go.Heatmap:
    power, first, step = _columns(clip, spec)
    return go.Heatmap(
        # Whole decibels are all that an eye can tell apart, and a quarter of the bytes.
        z=np.round(decibels(power, spec.top_db)).astype(np.int8).T,
        x0=start + first,
        dx=step,
        # Bands are equally far apart in mel. As categories they are drawn so, and hovering
        # still tells their frequency.
        y=[f"{hertz:.0f} Hz" for hertz in _bands(spec)],
        yaxis="y2",
        zmin=-spec.top_db,
        zmax=0,
        colorscale=MAGMA,
        colorbar={
            "ticksuffix": " dB",
            "tickfont": {"color": INK},
            "thickness": 10,
            "x": 1.01,
            "xpad": 0,
            "y": 0,
            "yanchor": "bottom",
            "len": 0.65,
            "nticks": 5,
            "outlinewidth": 0,
        },
        hovertemplate="%{x:.2f} s, %{y}, %{z} dB<extra></extra>",
    )


def _attention(times: np.ndarray, weights: np.ndarray) -> go.Scatter:
    relative = weights / weights.mean() if weights.any() else weights
    return go.Scatter(
        x=times,
        y=np.round(relative, 2),
        yaxis="y3",
        mode="lines",
        line={"shape": "hvh", "width": 1, "color": _ORANGE},
        fill="tozeroy",
        fillcolor=_ORANGE,
        hovertemplate="%{x:.2f} s, counts %{y:.1f} times the average<extra></extra>",
    )


def _importance(found: Occlusion, bands: Sequence[str]) -> go.Heatmap:
    centres = hertz_to_mel(np.array([float(band.removesuffix(" Hz")) for band in bands]))
    nearest = np.abs(centres[:, None] - hertz_to_mel(found.hertz)).argmin(axis=1)
    return go.Heatmap(
        x=np.round(found.times, 3),
        # The spectrogram's bands are categories: Plotly wants all of them here, too.
        y=bands,
        z=np.round(np.maximum(found.importance.T[nearest], 0), 3).astype(np.float32),
        yaxis="y2",
        zmin=0,
        colorscale=_CYAN,
        showscale=False,
        hovertemplate=f"%{{x:.2f}} s, %{{y}}: hide it, and “{found.label}” loses %{{z:.1%}}"
        "<extra></extra>",
    )


def _bands(spec: FeatureSpec) -> np.ndarray:
    """Return the middle of each mel band in Hz."""
    top = hertz_to_mel(spec.sample_rate / 2)
    return mel_to_hertz(top * np.arange(1, spec.n_mels + 1) / (spec.n_mels + 1))


def _frequency_axis(spec: FeatureSpec) -> dict:
    ticks = [hertz for hertz in TICKS_HERTZ if hertz <= spec.sample_rate / 2]
    band = hertz_to_mel(np.array(ticks)) / hertz_to_mel(_bands(spec)[0]) - 1
    return {
        "type": "category",
        "tickvals": band,
        "ticktext": [f"{hz // 1000} kHz" if hz >= 1_000 else f"{hz} Hz" for hz in ticks],
        "range": [-0.5, band[-1]],
        "showgrid": False,
    }


def _envelope(clip: Clip) -> tuple[np.ndarray, np.ndarray]:
    """Return times and levels of a line: the samples, or of each stretch the lowest and highest."""
    samples = clip.samples
    step = -(-len(samples) // (2 * _COLUMNS))
    if step <= 2:
        return np.arange(len(samples)) / clip.sample_rate, samples
    starts = np.arange(0, len(samples), step)
    extremes = [reduce.reduceat(samples, starts) for reduce in (np.minimum, np.maximum)]
    return np.repeat(starts / clip.sample_rate, 2), np.stack(extremes, axis=1).ravel()


def _columns(clip: Clip, spec: FeatureSpec) -> tuple[np.ndarray, float, float]:
    """Return mel power `(columns, n_mels)`, the first column's time and the step, in seconds."""
    most = _COLUMNS * _FRAMES_PER_COLUMN
    hop = max(spec.hop_length, -(-len(clip.samples) // most))
    power = mel_power(clip.samples, replace(spec, hop_length=hop))
    frames = -(-len(power) // _COLUMNS)
    starts = np.arange(0, len(power), frames)
    counts = np.diff(starts, append=len(power))
    mean = np.add.reduceat(power, starts) / counts[:, None]
    seconds = hop / clip.sample_rate
    return mean, (frames - 1) / 2 * seconds, frames * seconds


def _over_time(figure: go.Figure, start: float, end: float, *, height: int) -> go.Figure:
    axis = {"ticksuffix": " s"}
    if end > _CLOCK_FROM:
        ticks = _round_times(start, end)
        axis = {"tickvals": ticks, "ticktext": [clock(tick) for tick in ticks]}
    transparent(figure, _MARGIN, height=height)
    # Time alone may be zoomed, by the buttons above the chart.
    return figure.update_xaxes(
        range=[start, end], showgrid=False, zeroline=False, fixedrange=False, **axis
    )


def _round_times(start: float, end: float) -> np.ndarray:
    step = next((step for step in _TICKS_SECONDS if (end - start) / step <= 8), 1_200)
    return np.arange(np.ceil(start / step) * step, end + 0.01, step)
