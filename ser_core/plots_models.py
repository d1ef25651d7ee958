"""Models → plotly figures: how well they hear, and what they are made of."""

from collections.abc import Mapping, Sequence
from html import escape

import plotly.graph_objects as go

from ser_core.architecture import TRUNK, Layer
from ser_core.comparison import Interval
from ser_core.plots import GREY, INK, VIOLET, transparent
from ser_core.wording import share

_ROW = 44  # pixels
_BOX = 0.36  # half a box's height, in rows
_KINDS = {
    "AveragePooling1D": "Mean over time",
    "AveragePooling2D": "Mean pooling",
    "Concatenate": "Side by side",
    "Conv1D": "Convolution",
    "Conv2D": "Convolution",
    "Dense": "Dense",
    "GlobalAveragePooling1D": "Mean over all time",
    "GlobalMaxPooling1D": "Strongest of all time",
    "InputLayer": "Input",
    "MaxPooling1D": "Strongest of",
    "MaxPooling2D": "Strongest of",
    TRUNK: "Pretrained trunk of",
}


def scores(
    uar: Mapping[str, float],
    intervals: Mapping[str, Interval | None],
    *,
    chance: Mapping[str, float],
    used: str,
) -> go.Figure:
    """Draw the UAR of models, the best on top, with the range it may be in.

    Args:
        uar: by model, as fractions.
        intervals: by model; None where there is none.
        chance: the UAR of guessing, by model.
        used: the model in use, which is filled.
    """
    names = sorted(uar, key=uar.get)
    figure = go.Figure(
        [
            _diamonds(names, uar, intervals, used),
            # Above the line, where a long name has room on a phone.
            go.Scatter(
                x=[0] * len(names),
                y=[row + 0.42 for row in range(len(names))],
                mode="text",
                text=[f"<b>{escape(name)}</b>  {share(uar[name])}" for name in names],
                textposition="middle right",
                textfont={"size": 14, "color": INK},
                cliponaxis=False,
                hoverinfo="skip",
            ),
        ]
    )
    for row, name in enumerate(names):  # not through the names
        x, line = chance[name], {"color": GREY, "dash": "dot", "width": 1.5}
        figure.add_shape(x0=x, x1=x, y0=row - 0.3, y1=row + 0.2, line=line, type="line")
    figure.add_annotation(
        x=chance[names[-1]], y=len(names) - 1, text="guessing", font={"size": 13, "color": INK},
        xanchor="left", showarrow=False,
    )  # fmt: skip
    figure.update_xaxes(
        range=[0, 1], tickformat=".0%", dtick=0.25, tickfont={"size": 13}, zeroline=False
    )
    figure.update_yaxes(visible=False, range=[-0.5, len(names) - 0.3])
    margin = {"l": 16, "r": 24, "t": 4, "b": 28}
    return transparent(figure, margin, height=32 + 58 * len(names))


def _diamonds(
    names: Sequence[str],
    uar: Mapping[str, float],
    intervals: Mapping[str, Interval | None],
    used: str,
) -> go.Scatter:
    """Return a diamond a model, with the range it may be in, each a row further up."""
    known = [intervals.get(name) for name in names]
    highs = [
        found.high - uar[name] if found else 0 for name, found in zip(names, known, strict=True)
    ]
    lows = [uar[name] - found.low if found else 0 for name, found in zip(names, known, strict=True)]
    return go.Scatter(
        x=[uar[name] for name in names],
        y=list(range(len(names))),
        mode="markers",
        marker={
            "size": 13,
            "symbol": ["diamond" if name == used else "diamond-open" for name in names],
            "color": VIOLET,
            "line": {"width": 2, "color": VIOLET},
        },
        error_x={
            "type": "data",
            "symmetric": False,
            "array": highs,
            "arrayminus": lows,
            "color": VIOLET,
            "thickness": 2,
            "width": 6,
        },
        hoverinfo="skip",
    )


def voices(uar: Mapping[int, float], labelled: float | None) -> go.Figure:
    """Draw the UAR by how many unlabelled clips a voice is known from, and from labelled ones.

    Args:
        uar: by number of clips, 0 among them, as fractions.
        labelled: where the voice is known from one clip in each emotion; None if that is not known.
    """
    places = [str(clips) for clips in uar]  # as names, or the first four would lie in a heap
    figure = go.Figure(
        go.Scatter(
            x=places,
            y=list(uar.values()),
            mode="lines+markers+text",
            text=[share(value) for value in uar.values()],
            textposition="top center",
            textfont={"size": 13, "color": INK},
            line={"color": VIOLET, "width": 2},
            marker={"size": 9},
            cliponaxis=False,
            hovertemplate="known from %{x} clips: %{y:.1%}<extra></extra>",
        )
    )
    if labelled is not None:
        figure.add_trace(
            go.Scatter(
                x=["one of each"],
                y=[labelled],
                mode="markers+text",
                text=[share(labelled)],
                textposition="top center",
                textfont={"size": 13, "color": INK},
                marker={"symbol": "diamond", "size": 12, "color": VIOLET},
                cliponaxis=False,
                hovertemplate="known from a clip in each emotion: %{y:.1%}<extra></extra>",
            )
        )
    shown = [*uar.values(), *([labelled] if labelled is not None else [])]
    figure.update_xaxes(
        type="category", title={"text": "clips that the voice is known from", "standoff": 4}
    )
    figure.update_yaxes(
        range=[min(shown) - 0.03, max(shown) + 0.03], tickformat=".0%", nticks=5, zeroline=False
    )
    return transparent(figure, {"l": 48, "r": 24, "t": 12, "b": 44}, height=280)


def architecture(layers: Sequence[Layer]) -> go.Figure:
    """Draw the layers of a network from top to bottom, as `architecture.drawn` gives them.

    The more of the weights are in a layer, the stronger its colour.
    """
    rows = {layer.name: -row for row, layer in enumerate(layers)}
    most = max((layer.parameters for layer in layers), default=0) or 1
    figure = go.Figure()
    for layer in layers:
        y = rows[layer.name]
        figure.add_shape(
            type="rect",
            x0=0,
            x1=1,
            y0=y - _BOX,
            y1=y + _BOX,
            line={"color": GREY, "width": 1},
            fillcolor=VIOLET,
            opacity=0.12 + 0.43 * layer.parameters / most,
            layer="below",
        )
        for source in layer.inputs:
            _connect(figure, rows[source], y)
    for side, anchor, text in (
        (0.02, "middle right", [called(layer) for layer in layers]),
        (0.98, "middle left", [size(layer) for layer in layers]),
    ):
        figure.add_trace(
            go.Scatter(
                x=[side] * len(layers),
                y=list(rows.values()),
                mode="text",
                text=text,
                textposition=anchor,
                textfont={"size": 14, "color": INK},
                hoverinfo="skip",
                cliponaxis=False,
            )
        )
    figure.update_xaxes(visible=False, range=[-0.01, 1.1])
    figure.update_yaxes(visible=False, range=[0.5 - len(layers), 0.5])
    return transparent(figure, {"l": 0, "r": 0, "t": 0, "b": 0}, height=_ROW * len(layers))


def _connect(figure: go.Figure, above: float, below: float) -> None:
    """Draw an arrow between neighbours, a way around at the side between others."""
    line = {"color": GREY, "width": 1.5}
    if above - below == 1:
        figure.add_annotation(
            x=0.5, y=below + _BOX, ax=0.5, ay=above - _BOX,
            xref="x", yref="y", axref="x", ayref="y",
            showarrow=True, arrowhead=2, arrowsize=1, arrowwidth=1.5, arrowcolor=GREY, text="",
        )  # fmt: skip
        return
    # The further it goes, the further out, so that ways do not lie on each other.
    out = 1.03 + 0.015 * min(above - below, 4)
    figure.add_shape(
        type="path",
        path=f"M 1 {above} L {out} {above} L {out} {below} L 1 {below}",
        line=line,
        layer="below",
    )
    figure.add_annotation(
        x=1, y=below, ax=out, ay=below, xref="x", yref="y", axref="x", ayref="y",
        showarrow=True, arrowhead=2, arrowsize=1, arrowwidth=1.5, arrowcolor=GREY, text="",
    )  # fmt: skip


def called(layer: Layer) -> str:
    """Return what a layer is called, with its most telling settings."""
    kind = layer.detail.split(",")[0] if layer.kind == "Bidirectional" else ""
    if kind:
        return f"{kind} both ways, {layer.detail.split(', ', 1)[1]}"
    return f"{_KINDS.get(layer.kind, layer.kind)} {layer.detail.removeprefix('× ')}".strip()


def size(layer: Layer) -> str:
    """Return the size of what a layer gives."""
    return " × ".join("?" if length is None else str(length) for length in layer.shape)
