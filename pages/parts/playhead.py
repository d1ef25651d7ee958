"""A line that follows the player over charts of time, and stretches of it to be played."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import streamlit as st

_HERE = Path(__file__)

_playhead = st.components.v2.component(
    "undertone.playhead",
    html="<ol></ol>\n",
    css=_HERE.with_suffix(".css").read_text("utf-8"),
    js=_HERE.with_suffix(".js").read_text("utf-8"),
)


def playhead(
    player: str, charts: Sequence[str], stretches: Iterable[tuple[float, float, str]] = ()
) -> None:
    """Let charts show where a player is, and play from where they are clicked.

    Args:
        player: key of the container that the player is in.
        charts: keys of the charts; their x axes are seconds of what is played.
        stretches: start and end in seconds of what can be played by itself, and what to call it.
    """
    _playhead(
        key=f"playhead-{player}",
        data={
            "player": player,
            "charts": list(charts),
            "stretches": [{"start": a, "end": b, "text": text} for a, b, text in stretches],
        },
    )
