"""Many recordings, or the same words said in many ways → plotly figures."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from ser_core.emotions import EMOTIONS
from ser_core.features import FeatureSpec, hertz_to_mel
from ser_core.plots import GREY, INK, MAGMA, VIOLET, transparent
from ser_core.prosody import Contours

CYAN, WHITE = "#3CF0FF", "#FFFFFF"
_UNDER = "#02010A"  # what a line over a spectrogram is edged with
_TICKS_HERTZ = (500, 1_000, 2_000, 4_000, 8_000)
_TICKS_PITCH = (50, 75, 100, 150, 200, 300, 400, 600, 800)
_TICKS_OCTAVES = (50, 100, 200, 400, 800)

# Over a spectrogram, pitch keeps to this part of the height and loudness to that, so that the lines
# do not cross. Most of a voice's power is below, where pitch is.
_PITCH_BAND, _LEVEL_BAND = (0.06, 0.62), (0.70, 0.97)
_LEVELS = 40.0  # dB below the loudest moment that are drawn

# For what has no colour of its own: Paul Tol's "muted" scheme, for colour-blind eyes too.
_PALETTE = (
    "#CC6677", "#5566CC", "#DDCC77", "#117733", "#88CCEE",
    "#882255", "#44AA99", "#999933", "#AA4499",
)  # fmt: skip


def spoken(
    levels: np.ndarray,
    step: float,
    spec: FeatureSpec,
    *,
    seconds: float,
    contours: Contours | None = None,
    pitches: tuple[float, float] = (60.0, 800.0),
    loudest: float = 0.0,
) -> go.Figure:
    """Draw a mel spectrogram, with pitch and loudness over it; several stand side by side.

    Args:
        levels: `(frames, bands)` in dB relative to the maximum.
        step: seconds from frame to frame.
        spec: which bands these are.
        seconds: how long the time axis is, for all that are compared.
        contours: what to draw over it.
        pitches: lowest and highest pitch in Hz of all that are compared.
        loudest: level in dB of the loudest moment of all that are compared.
    """
    top = float(hertz_to_mel(spec.sample_rate / 2))
    bands = top * np.arange(1, levels.shape[1] + 1) / (levels.shape[1] + 1)
    figure = go.Figure(
        go.Heatmap(
            z=np.round(levels).astype(np.int8).T,
            x0=0.0,
            dx=step,
            y0=bands[0],
            dy=bands[1] - bands[0],
            zmin=-spec.top_db,
            zmax=0,
            colorscale=MAGMA,
            showscale=False,
            hoverinfo="skip",
        )
    )
    if contours is not None:
        _draw_over(figure, contours, pitches, loudest)
    ticks = hertz_to_mel(np.array(_TICKS_HERTZ))
    figure.update_layout(
        yaxis={
            "range": [0, top],
            "tickvals": ticks,
            "ticktext": [
                f"{hz / 1000:g} kHz" if hz >= 1_000 else f"{hz} Hz" for hz in _TICKS_HERTZ
            ],
            "showgrid": False,
        },
        xaxis={
            "range": [0, seconds],
            "ticksuffix": " s",
            "nticks": 5,
            "ticks": "",
            "showgrid": False,
            "zeroline": False,
        },
    )
    right = 52 if contours is not None else 12
    margin = {"l": 52, "r": right, "t": 8, "b": 32, "autoexpand": False}
    return transparent(figure, margin, height=240)


def _draw_over(
    figure: go.Figure, contours: Contours, pitches: tuple[float, float], loudest: float
) -> None:
    low, high = np.log2(pitches[0]) - 0.1, np.log2(pitches[1]) + 0.1
    octaves = np.log2(contours.pitch)
    # Levels are given below the loudest moment, or hovering would tell what nobody can interpret.
    level = np.maximum(contours.level - loudest, -_LEVELS)
    lines = (
        (level, WHITE, "y3", "%{y:.0f} dB below the loudest moment<extra></extra>", None),
        (octaves, CYAN, "y2", "%{customdata:.0f} Hz<extra></extra>", contours.pitch),
    )
    for values, colour, axis, hover, told in lines:
        for width, shade in ((5, _UNDER), (2.5, colour)):
            figure.add_trace(
                go.Scatter(
                    x=np.round(contours.times, 3),
                    y=np.round(values, 3),
                    customdata=told,
                    yaxis=axis,
                    mode="lines",
                    line={"color": shade, "width": width},
                    hovertemplate=hover,
                    hoverinfo="skip" if shade == _UNDER else None,
                )
            )
    figure.update_traces(hovertemplate=None, selector={"hoverinfo": "skip"})
    inside = [hz for hz in _TICKS_PITCH if low <= np.log2(hz) <= high]
    figure.update_layout(
        yaxis2={
            "overlaying": "y",
            "side": "right",
            "range": _stretched(low, high, _PITCH_BAND),
            "tickvals": np.log2(inside),
            "ticktext": [f"{hz} Hz" for hz in inside],
            "showgrid": False,
            "zeroline": False,
        },
        yaxis3={
            "overlaying": "y",
            "range": _stretched(-_LEVELS, 0.0, _LEVEL_BAND),
            "visible": False,
        },
    )


def _stretched(low: float, high: float, band: tuple[float, float]) -> list[float]:
    """Return the range of an axis on which `low` to `high` takes up a part of the height."""
    unit = (high - low) / (band[1] - band[0])
    return [low - band[0] * unit, high + (1 - band[1]) * unit]


def embedding_map(
    points: np.ndarray,
    groups: Sequence[str],
    *,
    names: Sequence[str],
    ids: Sequence[str],
    own: tuple[float, float] | None = None,
    near: Sequence[int] = (),
    chosen: int | None = None,
) -> go.Figure:
    """Draw recordings as points, coloured by what they have in common; thousands stay quick.

    Args:
        points: `(n, 2)`; NaN where there is none.
        groups: `(n,)`, of each point: an emotion, a speaker, ….
        names: `(n,)`, to be told when a point is pointed at.
        ids: `(n,)`, what a click gives as `customdata`.
        own: where the visitor's recording is.
        near: which points are nearest to it, to be marked.
        chosen: the point that was clicked, to be marked.
    """
    clouds = _clouds(points, np.array(groups), np.array(names), np.array(ids))
    figure = go.Figure(clouds)
    rings = [
        (list(near), "circle-open", 14),
        ([chosen] if chosen is not None else [], "square-open", 16),
    ]
    for marked, symbol, width in rings:
        if marked:
            figure.add_trace(_marks(points[marked], symbol, width))
    if own is not None:
        figure.add_trace(_marks(np.array([own]), "star", 22, "You"))
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    transparent(figure, {"l": 0, "r": 0, "t": 32, "b": 0}, height=560)
    figure.update_xaxes(fixedrange=False)
    figure.update_yaxes(fixedrange=False)
    return figure.update_layout(
        showlegend=len(clouds) <= len(_PALETTE),
        legend={
            "orientation": "h",
            "y": -0.02,
            "yanchor": "top",
            "itemsizing": "constant",
            "font": {"size": 13, "color": INK},
        },
        hoverlabel={"align": "left"},
        clickmode="event+select",
    )


def _clouds(
    points: np.ndarray, groups: np.ndarray, names: np.ndarray, ids: np.ndarray
) -> list[go.Scattergl]:
    """Return the points of each group, emotions first and in their order."""
    present = set(groups)
    order = [name for name in EMOTIONS if name in present]
    order += sorted(present - set(EMOTIONS))
    size = 5 if len(points) > 3_000 else 7
    return [
        go.Scattergl(
            x=points[mask, 0].astype(np.float32),
            y=points[mask, 1].astype(np.float32),
            name=_named(group),
            text=names[mask],
            customdata=ids[mask],
            mode="markers",
            marker={"size": size, "opacity": 0.75, "color": _colour(group, index)},
            hovertemplate="%{text}<extra></extra>",
            # Plotly fades what is not selected; the mark says it better.
            unselected={"marker": {"opacity": 0.75}},
        )
        for index, group in enumerate(order)
        for mask in [groups == group]
    ]


def _marks(points: np.ndarray, symbol: str, size: int, text: str = "") -> go.Scattergl:
    return go.Scattergl(
        x=points[:, 0].astype(np.float32),
        y=points[:, 1].astype(np.float32),
        mode="markers+text" if text else "markers",
        text=text or None,
        textposition="top center",
        textfont={"size": 14, "color": INK},
        marker={
            "symbol": symbol,
            "size": size,
            "color": VIOLET if text else INK,
            "line": {"width": 2, "color": "#FFFFFF" if text else INK},
        },
        showlegend=False,
        hoverinfo="skip",
    )


def _named(group: str) -> str:
    return f"{EMOTIONS[group].emoji} {group}" if group in EMOTIONS else group or "not known"


def _colour(group: str, index: int) -> str:
    return EMOTIONS[group].colour if group in EMOTIONS else _PALETTE[index % len(_PALETTE)]


def counts(table: pd.DataFrame) -> go.Figure:
    """Draw how many recordings there are, as shades: rows are emotions, columns are speakers."""
    return transparent(
        go.Figure(
            go.Heatmap(
                z=table.to_numpy(),
                x=[str(name) for name in table.columns],
                y=_faces(table.index),
                # Nothing at all is no light shade of something.
                colorscale=[[0, "rgba(140,140,140,0.12)"], [1e-6, "#CFC7FC"], [1, "#3F2EA8"]],
                zmin=0,
                zmax=max(int(table.to_numpy().max(initial=0)), 1),
                xgap=1,
                ygap=1,
                colorbar={
                    "thickness": 10,
                    "outlinewidth": 0,
                    "nticks": 5,
                    "tickfont": {"color": INK},
                    "xpad": 4,
                },
                hovertemplate="%{x}, %{y}: %{z} recordings<extra></extra>",
            )
        ).update_xaxes(type="category", showgrid=False),
        {"l": 116, "r": 0, "t": 0, "b": 24},
        height=34 * len(table) + 60,
    ).update_yaxes(autorange="reversed", showgrid=False, tickfont={"size": 14})


def stacked(table: pd.DataFrame) -> go.Figure:
    """Draw how many recordings there are, as bars: rows are emotions, columns parts of a bar.

    Each part is paler than the one before it; beside the bar stands what is in it.
    """
    told = [
        "  " + ", ".join(f"{count:,} {name}" for name, count in row.items() if count)
        for _, row in table.iterrows()
    ]
    figure = go.Figure(
        [
            go.Bar(
                orientation="h",
                y=_faces(table.index),
                x=table[name],
                marker={"color": [EMOTIONS[emotion].colour for emotion in table.index]},
                opacity=1 - 0.45 * index,
                hoverinfo="skip",
            )
            for index, name in enumerate(table.columns)
        ]
    )
    longest = int(table.sum(axis=1).max())
    for face, total, text in zip(_faces(table.index), table.sum(axis=1), told, strict=True):
        figure.add_annotation(x=total, y=face, text=text, showarrow=False, xanchor="left")
    figure.update_annotations(font={"size": 13, "color": INK})
    figure.update_xaxes(visible=False, range=[0, 2 * longest])
    figure.update_yaxes(autorange="reversed", showgrid=False, tickfont={"size": 14})
    margin = {"l": 116, "r": 0, "t": 0, "b": 0, "autoexpand": False}
    return transparent(figure, margin, height=34 * len(table)).update_layout(barmode="stack")


def boxes(
    values: Mapping[str, np.ndarray],
    unit: str,
    *,
    ends: tuple[float, float] | None = None,
    octaves: bool = False,
) -> go.Figure:
    """Draw how numbers are spread, as a box an emotion.

    The box holds the middle half, the line in it is the median, the whiskers reach to the furthest
    value within one and a half times the box's length (Tukey 1977).

    Args:
        values: numbers by emotion.
        unit: what they are counted in.
        ends: of the axis, where figures stand side by side.
        octaves: let equal factors be equally far apart, as ears do with pitch.
    """
    figure = go.Figure(
        [
            go.Box(
                orientation="h",
                x=np.round(np.asarray(numbers, float), 2),
                name=_faces([emotion])[0],
                marker={"color": EMOTIONS[emotion].colour, "size": 3, "opacity": 0.5},
                line={"width": 1.5},
                boxpoints="outliers",
                hoverinfo="x",
            )
            for emotion, numbers in values.items()
        ]
    )
    axis = {"nticks": 6}
    if octaves:
        told = [f"{hz} Hz" for hz in _TICKS_OCTAVES]
        axis = {"type": "log", "tickvals": _TICKS_OCTAVES, "ticktext": told}
    if ends:
        axis["range"] = list(np.log10(ends) if octaves else ends)
    figure.update_xaxes(ticksuffix=f" {unit}", gridcolor=f"{GREY}55", zeroline=False, **axis)
    figure.update_yaxes(autorange="reversed", showgrid=False, tickfont={"size": 14})
    margin = {"l": 116, "r": 24, "t": 0, "b": 28, "autoexpand": False}
    return transparent(figure, margin, height=34 * len(values) + 40)


def _faces(names: Sequence[str]) -> list[str]:
    return [f"{name.capitalize()} {EMOTIONS[name].emoji}" for name in names]
