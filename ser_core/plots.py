"""Clips and predictions → plotly figures.

Backgrounds are transparent and text takes the page's colour, so that a figure stands on light and
on dark ground. Figures over time share their margins: stacked, their time axes line up.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import plotly.graph_objects as go

from ser_core.audio import Clip
from ser_core.emotions import EMOTIONS
from ser_core.features import FeatureSpec, decibels, hertz_to_mel, mel_power, mel_to_hertz

_COLUMNS = 1_000  # what a wide screen can show
_FRAMES_PER_COLUMN = 8  # enough to average over in a long clip
_TICKS_HERTZ = (100, 500, 1_000, 2_000, 4_000, 8_000)
_VIOLET = "#8673F5"  # the accent, at a lightness that is seen on white and on black

# As good as black; but Streamlit's theme takes it for a placeholder and paints it in a strong text
# colour of its own, light on dark ground. What it uses by itself is too pale to read on white.
_INK = "#000037"
_TIME_MARGIN = {"l": 56, "r": 60, "t": 8, "b": 32, "autoexpand": False}

# Matplotlib's Magma, but for its first colour, #000004: that is such a placeholder, too.
_MAGMA = [
    "#02010A", "#180F3D", "#440F76", "#721F81", "#9E2F7F",
    "#CD4071", "#F1605D", "#FD9668", "#FECA8D", "#FCFDBF",
]  # fmt: skip


def waveform(clip: Clip) -> go.Figure:
    """Draw a clip's samples over time in seconds, a long clip's as its envelope.

    Args:
        clip: of any length; no more than a few thousand points are drawn.
    """
    time, level = _envelope(clip)
    figure = go.Figure(
        go.Scatter(
            x=time,
            y=level,
            mode="lines",
            line={"color": _VIOLET, "width": 1},
            hovertemplate="%{x:.2f} s<extra></extra>",
        )
    )
    # However quiet the clip, its shape is what matters.
    reach = 1.05 * float(np.abs(level).max()) or 1.0
    figure.update_yaxes(range=[-reach, reach], nticks=5)
    return _over_time(figure, clip, height=150)


def mel_spectrogram(clip: Clip, spec: FeatureSpec) -> go.Figure:
    """Draw a clip's mel spectrogram: time in seconds, frequency in Hz on a mel axis, level in dB.

    Levels are relative to the loudest point. In a clip longer than about two minutes, a column
    stands for the mean power of some frames spread over its time.

    Args:
        clip: at the spec's sample rate.
        spec: which frames and mel bands.
    """
    power, first, step = _columns(clip, spec)
    mel = hertz_to_mel(spec.sample_rate / 2) * np.arange(1, spec.n_mels + 1) / (spec.n_mels + 1)
    figure = go.Figure(
        go.Heatmap(
            # Whole decibels are all that an eye can tell apart, and a quarter of the bytes.
            z=np.round(decibels(power, spec.top_db)).astype(np.int8).T,
            x0=first,
            dx=step,
            # Bands are equally far apart in mel. As categories they are drawn so, and hovering
            # still tells their frequency.
            y=[f"{hertz:.0f} Hz" for hertz in mel_to_hertz(mel)],
            zmin=-spec.top_db,
            zmax=0,
            colorscale=_MAGMA,
            colorbar={
                "ticksuffix": " dB",
                "tickfont": {"color": _INK},
                "thickness": 10,
                "x": 1.01,
                "xpad": 0,
                "nticks": 5,
                "outlinewidth": 0,
            },
            hovertemplate="%{x:.2f} s, %{y}, %{z} dB<extra></extra>",
        )
    )
    ticks = [hertz for hertz in _TICKS_HERTZ if hertz <= spec.sample_rate / 2]
    band = hertz_to_mel(np.array(ticks)) / mel[0] - 1
    figure.update_yaxes(
        type="category",
        tickvals=band,
        ticktext=[f"{hertz // 1000} kHz" if hertz >= 1_000 else f"{hertz} Hz" for hertz in ticks],
        range=[-0.5, band[-1]],
    )
    return _over_time(figure, clip, height=280)


def probabilities(values: Mapping[str, float], *, faint: bool = False) -> go.Figure:
    """Draw probabilities by emotion as bars, the likeliest on top.

    Args:
        values: probabilities by emotion.
        faint: let no bar stand out, for an answer not to be relied on.
    """
    rising = sorted(values, key=values.get)
    figure = go.Figure(
        go.Bar(
            orientation="h",
            x=[values[name] for name in rising],
            y=[f"{name.capitalize()} {EMOTIONS[name].emoji}" for name in rising],
            text=[percent(values[name]) for name in rising],
            textposition="outside",
            textfont={"size": 14},
            cliponaxis=False,
            marker={
                "color": [EMOTIONS[name].colour for name in rising],
                "opacity": 0.4 if faint else 1.0,
                "cornerradius": 3,
            },
            hoverinfo="skip",
        )
    )
    figure.update_xaxes(visible=False, range=[0, 1])
    figure.update_yaxes(tickfont={"size": 14}, showgrid=False)
    margin = {"l": 116, "r": 48, "t": 0, "b": 0, "autoexpand": False}
    return _transparent(figure, margin, height=34 * len(rising))


def percent(probability: float) -> str:
    """Return a probability as a whole per cent; certainty is never claimed."""
    if probability < 0.01:
        return "<1%"
    return ">99%" if probability > 0.99 else f"{probability:.0%}"


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


def _over_time(figure: go.Figure, clip: Clip, *, height: int) -> go.Figure:
    figure.update_xaxes(
        ticksuffix=" s",
        range=[0, clip.duration],
        showgrid=False,
        zeroline=False,
    )
    return _transparent(figure, _TIME_MARGIN, height=height)


def _transparent(figure: go.Figure, margin: Mapping, *, height: int) -> go.Figure:
    clear = "rgba(0,0,0,0)"
    # Dragging scrolls the page: on a phone a chart that zooms is a trap.
    figure.update_xaxes(fixedrange=True, tickfont={"color": _INK})
    figure.update_yaxes(fixedrange=True, tickfont={"color": _INK})
    return figure.update_layout(
        margin=margin,
        height=height,
        showlegend=False,
        dragmode=False,
        font={"color": _INK},
        paper_bgcolor=clear,
        plot_bgcolor=clear,
    )
