"""Predictions → plotly figures; those over time are in `plots_over_time`.

Backgrounds are transparent and text takes the page's colour, so that a figure stands on light and
on dark ground.
"""

from collections.abc import Mapping

import plotly.graph_objects as go

from ser_core.emotions import EMOTIONS, valence_arousal
from ser_core.wording import percent, share

VIOLET = "#8673F5"  # the accent, at a lightness that is seen on white and on black
GREY = "#8C8C8C"
_PALE = "#8C8C8C55"

# As good as black; but Streamlit's theme takes it for a placeholder and paints it in a strong text
# colour of its own, light on dark ground. What it uses by itself is too pale to read on white.
INK = "#000037"

# Frequencies to mark on a mel axis, in Hz.
TICKS_HERTZ = (100, 500, 1_000, 2_000, 4_000, 8_000)

# Matplotlib's Magma, but for its first colour, #000004: that is such a placeholder, too.
MAGMA = [
    "#02010A", "#180F3D", "#440F76", "#721F81", "#9E2F7F",
    "#CD4071", "#F1605D", "#FD9668", "#FECA8D", "#FCFDBF",
]  # fmt: skip


# In the plane, below its face the name would be covered by the neighbour's.
_NAMED_ABOVE = ("fearful",)

_BAR_MARGIN = {"l": 116, "r": 48, "t": 0, "b": 0, "autoexpand": False}


def probabilities(
    values: Mapping[str, float], *, faint: bool = False, counted: bool = False
) -> go.Figure:
    """Draw probabilities by emotion as bars, the likeliest on top.

    Args:
        values: probabilities by emotion.
        faint: let no bar stand out, for an answer not to be relied on.
        counted: they are shares of recordings, not what a model believes.
    """
    rising = sorted(values, key=values.get)
    told = share if counted else percent
    figure = go.Figure(
        go.Bar(
            orientation="h",
            x=[values[name] for name in rising],
            y=[f"{name.capitalize()} {EMOTIONS[name].emoji}" for name in rising],
            text=[told(values[name]) for name in rising],
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
    return transparent(figure, _BAR_MARGIN, height=34 * len(rising))


def comparison(first: Mapping[str, float], second: Mapping[str, float]) -> go.Figure:
    """Draw the probabilities of two answers as bars side by side, those of the second hatched.

    Args:
        first: probabilities by emotion, or nothing.
        second: likewise.
    """
    names = sorted(first | second, key=lambda name: first.get(name, 0.0) + second.get(name, 0.0))
    figure = go.Figure(
        [
            go.Bar(
                orientation="h",
                x=[values.get(name, 0.0) for name in names],
                y=[f"{name.capitalize()} {EMOTIONS[name].emoji}" for name in names],
                text=[percent(values.get(name, 0.0)) for name in names],
                textposition="outside",
                textfont={"size": 14},
                cliponaxis=False,
                marker={
                    "color": [EMOTIONS[name].colour for name in names],
                    "pattern": {"shape": hatching, "size": 6},
                    "cornerradius": 3,
                },
                hoverinfo="skip",
            )
            # Bars are drawn upwards, and the first belongs on top.
            for values, hatching in ((second, "/"), (first, ""))
            if values
        ]
    )
    figure.update_xaxes(visible=False, range=[0, 1])
    figure.update_yaxes(tickfont={"size": 14}, showgrid=False)
    return transparent(figure, _BAR_MARGIN, height=54 * len(names))


def radar(values: Mapping[str, float]) -> go.Figure:
    """Draw probabilities by emotion around a circle."""
    names = [f"{name.capitalize()} {EMOTIONS[name].emoji}" for name in values]
    heights = list(values.values())
    figure = go.Figure(
        go.Scatterpolar(
            # The line ends where it begins.
            r=[*heights, heights[0]],
            theta=[*names, names[0]],
            fill="toself",
            mode="lines+markers",
            line={"color": VIOLET},
            hovertemplate="%{theta} %{r:.0%}<extra></extra>",
        )
    )
    figure.update_polars(
        bgcolor="rgba(0,0,0,0)",
        radialaxis={
            "range": [0, max(heights)],
            "tickformat": ".0%",
            "nticks": 4,
            "angle": 90,
            "tickangle": 90,
            "tickfont": {"color": INK},
            "gridcolor": _PALE,
            "showline": False,
        },
        angularaxis={
            "direction": "clockwise",
            "tickfont": {"size": 13, "color": INK},
            "gridcolor": _PALE,
            "linecolor": _PALE,
        },
    )
    return transparent(figure, {"l": 70, "r": 70, "t": 36, "b": 36}, height=300)


def plane(values: Mapping[str, float]) -> go.Figure:
    """Draw where an answer lies between unpleasant and pleasant, calm and excited.

    Args:
        values: probabilities by emotion; the position is their mean, the emotions' places too are
            shown.
    """
    valence, arousal = valence_arousal(values)
    shown = [EMOTIONS[name] for name in values]
    figure = go.Figure(
        [
            go.Scatter(
                x=[emotion.valence for emotion in shown],
                y=[emotion.arousal for emotion in shown],
                text=[
                    f"{emotion.name}<br>{emotion.emoji}<br> "
                    if emotion.name in _NAMED_ABOVE
                    else f" <br>{emotion.emoji}<br>{emotion.name}"
                    for emotion in shown
                ],
                mode="text",
                hoverinfo="skip",
            ),
            go.Scatter(
                x=[valence],
                y=[arousal],
                mode="markers",
                marker={
                    "symbol": "diamond",
                    "size": 16,
                    "color": VIOLET,
                    "line": {"color": "#FFFFFF", "width": 2},
                },
                hovertemplate="valence %{x:.2f}, arousal %{y:.2f}<extra></extra>",
            ),
        ]
    )
    ends = {"range": [-1.15, 1.15], "zeroline": True, "zerolinecolor": _PALE, "showgrid": False}
    figure.update_xaxes(
        tickvals=[-0.85, 0.85], ticktext=["unpleasant", "pleasant"], ticks="", **ends
    )
    figure.update_yaxes(
        tickvals=[-0.9, 0.9], ticktext=["calm", "excited"], tickangle=-90, ticks="", **ends
    )
    return transparent(figure, {"l": 28, "r": 8, "t": 8, "b": 28}, height=320)


def transparent(figure: go.Figure, margin: Mapping, *, height: int) -> go.Figure:
    """Give a figure its height in pixels, its margins, and no ground of its own."""
    clear = "rgba(0,0,0,0)"
    # Dragging scrolls the page: on a phone a chart that zooms is a trap.
    figure.update_xaxes(fixedrange=True, tickfont={"color": INK})
    figure.update_yaxes(fixedrange=True, tickfont={"color": INK})
    return figure.update_layout(
        margin=margin,
        height=height,
        modebar={"bgcolor": clear, "color": GREY, "activecolor": VIOLET},
        showlegend=False,
        dragmode=False,
        font={"color": INK},
        paper_bgcolor=clear,
        plot_bgcolor=clear,
    )
