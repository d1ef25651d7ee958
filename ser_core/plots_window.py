"""A log-mel window → a plotly figure, for clips of which there is no more than that."""

import numpy as np
import plotly.graph_objects as go

from ser_core.features import FeatureSpec, hertz_to_mel
from ser_core.plots import INK, MAGMA, TICKS_HERTZ, transparent


def window(decibels: np.ndarray, spec: FeatureSpec) -> go.Figure:
    """Draw a window as a network sees it.

    Args:
        decibels: `(frames, bands)`, relative to the maximum.
        spec: what it is.
    """
    step = spec.hop_length / spec.sample_rate
    figure = go.Figure(
        go.Heatmap(
            z=np.round(decibels).astype(np.int8).T,
            x0=0,
            dx=step,
            zmin=-spec.top_db,
            zmax=0,
            colorscale=MAGMA,
            colorbar={
                "ticksuffix": " dB",
                "tickfont": {"color": INK},
                "thickness": 10,
                "outlinewidth": 0,
            },
            hovertemplate="%{x:.2f} s, %{z} dB<extra></extra>",
        )
    )
    ticks = [hertz for hertz in TICKS_HERTZ if hertz <= spec.sample_rate / 2]
    bands = hertz_to_mel(np.array(ticks)) / hertz_to_mel(spec.sample_rate / 2) * spec.bands - 0.5
    figure.update_yaxes(
        tickvals=bands,
        ticktext=[f"{hz // 1000} kHz" if hz >= 1_000 else f"{hz} Hz" for hz in ticks],
        showgrid=False,
    )
    figure.update_xaxes(range=[0, spec.frames * step], ticksuffix=" s", showgrid=False)
    return transparent(figure, {"l": 56, "r": 60, "t": 8, "b": 32}, height=320)
