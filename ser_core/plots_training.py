"""A training and what came of it → plotly figures."""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from ser_core.curves import Bin, Curve, Quadratic
from ser_core.emotions import EMOTIONS
from ser_core.plots import GREY, INK, VIOLET, transparent
from ser_core.wording import counted, share

ORANGE = "#D98A00"  # what is learned from, beside the violet of what is tested on
_GRID = "#8C8C8C33"
_LISTED = 8  # recordings of a cell that are named beside the pointer
_LEGEND = {
    "orientation": "h",
    "x": 0,
    "xanchor": "left",
    "y": 1.02,
    "yanchor": "bottom",
    "font": {"color": INK, "size": 13},
}
_MARGIN = {"l": 48, "r": 12, "t": 30, "b": 44}


def over_epochs(
    events: Sequence[Mapping],
    scores: Mapping[str, str],
    *,
    fits: Mapping[str, Quadratic] | None = None,
    best: int = 0,
    shares: bool = True,
) -> go.Figure:
    """Draw scores over epochs; those of validation are violet, those of training orange.

    Args:
        events: lines of `events.jsonl`.
        scores: what to draw, and what to call it.
        fits: parabolas, drawn dotted.
        best: the epoch to mark; none if 0.
        shares: whether the scores are shares of one.
    """
    figure = go.Figure()
    epochs = [event["epoch"] for event in events]
    for score, name in scores.items():
        colour = VIOLET if score.startswith("val_") else ORANGE
        figure.add_trace(
            go.Scatter(
                x=epochs,
                y=[event.get(score) for event in events],
                mode="lines" if len(epochs) > 1 else "markers",
                name=name,
                line={"color": colour, "width": 2},
                hovertemplate=f"round %{{x}}: %{{y:{'.1%' if shares else '.3g'}}}"
                f"<extra>{escape(name)}</extra>",
            )
        )
        if fits and score in fits:
            x = np.linspace(epochs[0], epochs[-1], 60)
            figure.add_trace(
                go.Scatter(
                    x=x,
                    y=fits[score].at(x),
                    mode="lines",
                    line={"color": colour, "width": 1.5, "dash": "dot"},
                    showlegend=False,
                    hoverinfo="skip",
                )
            )
    if best:
        figure.add_vline(x=best, line={"color": GREY, "width": 1.5, "dash": "dash"})
    few = epochs[-1] - epochs[0] < 8  # left to itself, Plotly would count them in halves
    figure.update_xaxes(
        title={"text": "round", "standoff": 4},
        gridcolor=_GRID,
        zeroline=False,
        dtick=1 if few else None,
    )
    figure.update_yaxes(
        gridcolor=_GRID,
        zeroline=False,
        tickformat=".0%" if shares else None,
        **({"range": [0, 1.02]} if shares else {"rangemode": "tozero"}),
    )
    drawn = transparent(figure, _MARGIN, height=260)
    return drawn.update_layout(showlegend=True, legend=_LEGEND)


def confusion(
    answers: pd.DataFrame, labels: Sequence[str], *, rates: bool, picked=None
) -> go.Figure:
    """Draw how often what is labelled as one emotion (rows) was heard as another (columns).

    Each cell is a point that can be chosen; its `customdata` are the two emotions. Beside the
    pointer, its recordings are named, those first where it was surest.

    Args:
        answers: a row a recording: `id`, `emotion`, `heard`, `confidence`.
        labels: emotions.
        rates: whether to write per cent of the row rather than counts.
        picked: two emotions whose cell is framed; none if not given.
    """
    surest_first = answers.sort_values("confidence", ascending=False)
    clips = {pair: list(ids) for pair, ids in surest_first.groupby(["emotion", "heard"]).id}
    counts = np.array([[len(clips.get((row, column), ())) for column in labels] for row in labels])
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = go.Figure(
        [
            go.Heatmap(
                z=share,
                x=labels,
                y=labels,
                zmin=0,
                zmax=1,
                colorscale=[[0, "rgba(134,115,245,0.04)"], [1, "rgba(134,115,245,0.85)"]],
                showscale=False,
                xgap=2,
                ygap=2,
                hoverinfo="skip",
            ),
            _cells(labels, clips, counts, 100 * share if rates else counts),
        ]
    )
    if picked:
        row, column = (list(labels).index(label) for label in picked)
        figure.add_shape(
            type="rect",
            x0=column - 0.5,
            x1=column + 0.5,
            y0=row - 0.5,
            y1=row + 0.5,
            line={"color": VIOLET, "width": 3},
        )
    figure.update_xaxes(
        side="top", showgrid=False, tickangle=-45, title={"text": "heard as", "standoff": 8}
    )
    figure.update_yaxes(
        autorange="reversed", showgrid=False, title={"text": "labelled", "standoff": 4}
    )
    height = 130 + 40 * len(labels)
    return transparent(figure, {"l": 84, "r": 34, "t": 96, "b": 4}, height=height)


def _cells(
    labels: Sequence[str],
    clips: Mapping[tuple[str, str], Sequence[str]],
    counts: np.ndarray,
    shown: np.ndarray,
) -> go.Scatter:
    """Return the points of a confusion that can be chosen, and what is written in its cells."""
    pairs = [(emotion, heard) for emotion in labels for heard in labels]
    totals = counts.sum(axis=1)
    return go.Scatter(
        x=[heard for _, heard in pairs],
        y=[emotion for emotion, _ in pairs],
        customdata=pairs,
        mode="markers+text",
        # Unseen, but as large as the cells: this is what is clicked.
        marker={"symbol": "square", "size": 30, "color": "rgba(0,0,0,0)"},
        text=[f"{cell:.0f}" if cell else "" for cell in shown.ravel()],
        textfont={"size": 13, "color": INK},
        hovertext=[
            f"{emotion}, heard as {heard}:<br>{count} of {total}"
            + _named(clips.get((emotion, heard), ()))
            for (emotion, heard), count, total in zip(
                pairs, counts.ravel(), totals.repeat(len(labels)), strict=True
            )
        ],
        hoverinfo="text",
        hoverlabel={"align": "left"},
        unselected={"marker": {"opacity": 1}, "textfont": {"color": INK}},
    )


def _named(ids: Sequence[str]) -> str:
    """Return lines with the first recordings' names, without their corpora, and how many more."""
    lines = [escape(each.partition("/")[2]) for each in ids[:_LISTED]]
    if len(ids) > _LISTED:
        lines.append(f"and {len(ids) - _LISTED:,} more")
    return "".join(f"<br>{line}" for line in lines)


def reliability(bins: Sequence[Bin], *, before: Sequence[Bin] = ()) -> go.Figure:
    """Draw how often answers are right by how sure they are, and before calibration, if given."""
    figure = go.Figure()
    kinds = [(bins, "after temperature" if before else "", VIOLET, "circle")]
    if before:
        kinds.insert(0, (before, "as it came", GREY, "circle-open"))
    for bins, name, colour, symbol in kinds:
        figure.add_trace(
            go.Scatter(
                x=[each.confidence for each in bins],
                y=[each.accuracy for each in bins],
                mode="lines+markers",
                name=name,
                line={"color": colour, "width": 1},
                # The area says how many answers there are.
                marker={
                    "symbol": symbol,
                    "size": [6 + 20 * np.sqrt(each.count / _total(bins)) for each in bins],
                    "color": colour,
                    "line": {"width": 2, "color": colour},
                },
                cliponaxis=False,  # it may be right always
                text=[counted(each.count, "answer") for each in bins],
                hovertemplate="%{x:.0%} sure: %{y:.0%} right, %{text}"
                f"<extra>{escape(name)}</extra>",
            )
        )
    figure.add_shape(
        type="line", x0=0, y0=0, x1=1, y1=1, line={"color": GREY, "width": 1.5, "dash": "dot"}
    )
    return _square(figure, "how sure it is", "how often it is right")


def _total(bins: Sequence[Bin]) -> int:
    return sum(each.count for each in bins)


def coverage(curve: Curve, *, threshold: float) -> go.Figure:
    """Draw how many answers are right if only the surest are given; the threshold is marked."""
    figure = go.Figure(
        go.Scatter(
            x=curve.x,
            y=curve.y,
            mode="lines",
            line={"color": VIOLET, "width": 2},
            customdata=curve.thresholds,
            hovertemplate="%{x:.0%} answered: %{y:.0%} right"
            "<br>(those at least %{customdata:.0%} sure)<extra></extra>",
        )
    )
    given = np.flatnonzero(curve.thresholds >= threshold)
    if len(given):
        at = given[-1]
        figure.add_trace(
            go.Scatter(
                x=[curve.x[at]],
                y=[curve.y[at]],
                mode="markers",
                marker={"symbol": "diamond", "size": 14, "color": ORANGE},
                cliponaxis=False,
                hovertemplate="the threshold: %{x:.0%} answered, %{y:.0%} right<extra></extra>",
            )
        )
    return _square(figure, "share that gets an answer", "share of answers that is right")


def one_vs_rest(curves: Mapping[str, Curve], *, precision: bool) -> go.Figure:
    """Draw a curve an emotion: precision over recall, or hits over false alarms."""
    figure = go.Figure()
    for label, curve in curves.items():
        figure.add_trace(
            go.Scatter(
                x=curve.x,
                y=curve.y,
                mode="lines",
                name=f"{label} {curve.area:.2f}",
                line={
                    "color": EMOTIONS[label].colour,
                    "width": 2,
                    "shape": "hv" if precision else "linear",
                },
                hovertemplate=f"{escape(label)}: %{{x:.0%}}, %{{y:.0%}}<extra></extra>",
            )
        )
    if precision:
        return _square(figure, "recall", "precision", legend=len(curves))
    figure.add_shape(
        type="line", x0=0, y0=0, x1=1, y1=1, line={"color": GREY, "width": 1.5, "dash": "dot"}
    )
    return _square(figure, "false alarms", "hits", legend=len(curves))


def _square(figure: go.Figure, x: str, y: str, *, legend: int = 2) -> go.Figure:
    """Give both axes the range of shares; leave room for a legend of so many names."""
    axis = {"range": [-0.02, 1.02], "tickformat": ".0%", "gridcolor": _GRID, "zeroline": False}
    figure.update_xaxes(title={"text": x, "standoff": 4}, **axis)
    figure.update_yaxes(title={"text": y, "standoff": 4}, **axis)
    room = 26 * -(-legend // 3)
    drawn = transparent(figure, _MARGIN | {"l": 58, "t": 12 + room}, height=330 + room)
    named = sum(1 for trace in figure.data if trace.name) > 1
    return drawn.update_layout(showlegend=named, legend=_LEGEND)


def known_and_new(known: Mapping[str, float], new: Mapping[str, float]) -> go.Figure:
    """Draw scores of the same recipe side by side.

    Args:
        known: accuracies by name, on voices that it was trained on, and
        new: on voices that it never heard; the same names.
    """
    figure = go.Figure(
        [
            go.Bar(
                x=list(scores),
                y=list(scores.values()),
                name=name,
                marker={"color": colour, "cornerradius": 4, "pattern": {"shape": hatching}},
                text=[share(score) for score in scores.values()],
                textposition="outside",
                textfont={"size": 15, "color": INK},
                cliponaxis=False,
                hoverinfo="skip",
            )
            for scores, name, colour, hatching in (
                (known, "voices it knows", ORANGE, "/"),
                (new, "voices it never heard", VIOLET, ""),
            )
        ]
    )
    figure.update_xaxes(showgrid=False, tickfont={"size": 14})
    figure.update_yaxes(visible=False, range=[0, 1.12])
    drawn = transparent(figure, {"l": 8, "r": 8, "t": 34, "b": 30}, height=290)
    return drawn.update_layout(showlegend=True, legend=_LEGEND, bargap=0.35)
