"""The picture of the Live page: level, emotions over time, waveform and mel spectrogram.

Not plotly: its charts are built anew with every change, which flickers and costs ten times as much.
"""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import streamlit as st

from ser_core import live, plots
from ser_core.card import Card
from ser_core.emotions import EMOTIONS
from ser_core.features import FeatureSpec, hertz_to_mel
from ser_core.timeline import clock
from ser_core.wording import percent

_HERE = Path(__file__)
_FULL_SCALE = 127  # of a signed byte
_LEAST_REACH = 0.05  # silence is not blown up to fill the picture
_COLUMNS = int(live.SPAN / live.TICK)
_METER_FLOOR = -60.0  # dB at which the meter begins

_view = st.components.v2.component(
    "undertone.live_view",
    html=_HERE.with_suffix(".html").read_text("utf-8"),
    css=_HERE.with_suffix(".css").read_text("utf-8"),
    js=_HERE.with_suffix(".js").read_text("utf-8"),
)


def draw(listener: live.Listener, moment: live.Moment | None, card: Card) -> None:
    """Show what a listener hears; called again, it moves.

    Args:
        listener: whose sound and moments.
        moment: what is heard now; None if nothing is, not even silence.
        card: the model's.
    """
    samples, written = listener.buffer.read()
    recent = samples[-int(live.TICK * live.SAMPLE_RATE) :] if moment else samples[:0]
    _view(
        key="live_view",
        data={
            "level": _level(recent),
            "emotions": _emotions(card.labels, moment),
            "faint": not (moment and moment.label),
            "roll": _roll(listener, card.labels),
            **_pictures(samples, written, FeatureSpec()),
        },
    )


def _level(samples: np.ndarray) -> dict:
    decibels = live.level(samples)
    return {
        "share": float(np.clip(1 - decibels / _METER_FLOOR, 0, 1)),
        "said": f"−{-decibels:.0f} dB" if decibels > _METER_FLOOR else "silence",
    }


def _emotions(labels: Sequence[str], moment: live.Moment | None) -> list[dict]:
    values: Mapping[str, float] = moment.probabilities if moment else {}
    return [
        {
            "name": f"{label.capitalize()} {EMOTIONS[label].emoji}",
            "colour": EMOTIONS[label].colour,
            "share": values.get(label, 0.0),
            "said": percent(values[label]) if label in values else "–",
            "likeliest": bool(moment) and label == moment.label,
        }
        for label in labels
    ]


def _roll(listener: live.Listener, emotions: Sequence[str]) -> dict:
    # Columns are whole ticks since the start, so that they move without a flicker.
    end = int(listener.buffer.seconds / live.TICK)
    values = live.over_time(listener.moments, emotions, end - _COLUMNS, end)
    heard = [name for name, row in zip(emotions, values.T, strict=True) if row.max() > 0.5]
    return {
        "columns": _COLUMNS,
        "values": _bytes(np.round(255 * values.T).astype(np.uint8)),
        "alt": f"Emotions over the last two minutes; at times likely: {', '.join(heard) or 'none'}",
    }


def _pictures(samples: np.ndarray, written: int, spec: FeatureSpec) -> dict:
    seen = live.pictures(samples, written, spec)
    reach = max(seen.highest.max(), -seen.lowest.min(), _LEAST_REACH)
    ticks = [hertz for hertz in plots.TICKS_HERTZ if hertz <= spec.sample_rate / 2]
    top = hertz_to_mel(spec.sample_rate / 2)
    end = written / live.SAMPLE_RATE
    span = f"{clock(max(end - live.KEPT, 0))} to {clock(end)}"
    return {
        "waveform": {
            "colour": plots.VIOLET,
            "lowest": _bytes(np.round(_FULL_SCALE * seen.lowest / reach).astype(np.int8)),
            "highest": _bytes(np.round(_FULL_SCALE * seen.highest / reach).astype(np.int8)),
            "alt": f"Waveform, {span}, {live.level(samples):.0f} dB on average",
        },
        "mel": {
            "columns": len(seen.mel),
            "palette": plots.MAGMA,
            "values": _bytes(np.round(255 * seen.mel).astype(np.uint8)),
            "ticks": [
                (
                    f"{hertz // 1000} kHz" if hertz >= 1_000 else f"{hertz} Hz",
                    float(hertz_to_mel(hertz) / top),
                )
                for hertz in ticks
            ],
            "alt": f"Mel spectrogram, {span}",
        },
    }


def _bytes(values: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(values)).decode()
