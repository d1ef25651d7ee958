"""The browser's microphone: permission for it, and its sound through WebRTC into a buffer.

The server's half is streamlit-webrtc's. The browser's half is our own: streamlit-webrtc's tells
Python neither that it asks for the microphone nor that it was refused, and (0.79) opens several
connections when Python starts it.
"""

import logging
import os
import uuid
from collections.abc import Mapping
from pathlib import Path

import aioice.ice
import streamlit as st
from aiortc import RTCConfiguration, RTCIceServer
from aiortc.sdp import SessionDescription
from streamlit_webrtc import AudioSinkTrack, WebRtcMode, WebRtcWorker

from ser_core import audio
from ser_core.live import Buffer

_KEY = "microphone"
_PATIENCE = 10  # seconds for the answer to an offer, a TURN server included

# Every five seconds, aioice (0.13) asks the browser whether it is still there. An answer that is
# read half a second late is none to it, and after six of these it hangs up, though sound comes all
# the time: where a server is busy, answers queue behind seconds of sound. Who leaves says good-bye,
# or is let go with the visit; this is for whoever does neither, after an hour.
aioice.ice.CONSENT_FAILURES = 720

# The voice as it is: what calls do to make it pleasant is not what the model has learned from.
_CONSTRAINTS = {"echoCancellation": False, "noiseSuppression": False, "autoGainControl": False}

# All that a worker could do besides; it has no defaults.
_UNUSED = dict.fromkeys(
    (
        "source_video_track", "source_audio_track", "sink_video_track", "player_factory",
        "in_recorder_factory", "out_recorder_factory", "video_frame_callback",
        "audio_frame_callback", "queued_video_frames_callback", "queued_audio_frames_callback",
        "on_video_ended", "on_audio_ended", "video_processor_factory", "audio_processor_factory",
    )
) | {
    "async_processing": False, "video_receiver_size": 1, "audio_receiver_size": 1,
    "sendback_video": False, "sendback_audio": False,
}  # fmt: skip

_component = st.components.v2.component(
    "undertone.microphone", js=Path(__file__).with_suffix(".js").read_text("utf-8")
)


class Sink(AudioSinkTrack):
    """Copies frames into a buffer, and closes it however the stream ends."""

    def __init__(self, buffer: Buffer):
        """Take the buffer; frames come once a worker has added a track."""
        super().__init__(lambda frame: buffer.write(*audio.frame_samples(frame)))
        self._buffer = buffer

    def stop(self) -> None:
        """End the stream."""
        super().stop()
        self._buffer.close()


class Stream:
    """One connection to the browser's microphone, from asking for it to its end."""

    def __init__(self, buffer: Buffer, wanted: str | None = None):
        """Begin; the browser is asked at the next `follow`.

        Args:
            buffer: of the sound.
            wanted: id of a microphone; if it is not there, or not given, the visitor's usual one.
        """
        self._ask = uuid.uuid4().hex
        self._buffer = buffer
        self._wanted = wanted
        self.microphones: dict[str, str] = {}  # names by id, once known; the one in use first
        self._worker: WebRtcWorker | None = None

    def follow(self) -> str | None:
        """Go on with the connection; to be called in each run of the script.

        Returns:
            What the browser says of it: `granted`, `denied`, `missing`, `busy`, `insecure`,
            `failed`, or None as long as it asks the visitor.
        """
        told = st.session_state.get(_KEY, {}).get("told") or {}
        if told.get("ask") != self._ask:
            told = {}
        self.microphones = dict(told.get("microphones") or ())
        if told.get("offer") and not self._worker and not self._buffer.closed:
            self._answer(told["offer"])
        _show(self._ask, self._worker and self._worker.local_description, self._wanted)
        return told.get("word")

    def _answer(self, offer: str) -> None:
        servers = [RTCIceServer(**server) for server in ice_servers(os.environ)]
        try:
            # Or whoever makes up an offer could have pictures decoded, here in the server.
            if [media.kind for media in SessionDescription.parse(offer).media] != ["audio"]:
                raise ValueError("the offer is of something else than a microphone")
            self._worker = WebRtcWorker(
                mode=WebRtcMode.SENDONLY,
                rtc_configuration=RTCConfiguration(iceServers=servers),
                sink_audio_track=Sink(self._buffer),
                **_UNUSED,
            )
            self._worker.process_offer(offer, "offer", timeout=_PATIENCE)
        except Exception:  # of many kinds, from the network up; to the visitor all of them are one
            logging.getLogger(__name__).exception("The microphone's stream failed.")
            self.stop()

    def stop(self) -> None:
        """End the connection and forget the sound."""
        self._buffer.close()
        if self._worker:
            self._worker.stop()


def rest() -> bool:
    """Let go of the microphone; to be called in each run of the script without a stream.

    Returns:
        Whether the browser knows of a stream that came about, be it of a server that is no more.
    """
    told = _show("", None).get("told") or {}
    return told.get("word") in ("granted", "failed")


def was_left() -> bool:
    """Tell whether the visitor comes from another page: Streamlit forgets what a page had."""
    return _KEY not in st.session_state


def _show(ask: str, description, wanted: str | None = None):
    return _component(
        key=_KEY,
        data={
            "ask": ask,
            "constraints": _CONSTRAINTS,
            "wanted": wanted,
            "iceServers": ice_servers(os.environ),
            "answer": description and description.sdp,
        },
        on_told_change=lambda: None,
    )


def ice_servers(environment: Mapping[str, str]) -> list[dict[str, str]]:
    """Return the TURN server that the environment names; if none, nobody else is ever asked.

    Args:
        environment: with `UNDERTONE_TURN_URL`, such as `turn:turn.example.org:3478`, and, if that
            server asks for them, `UNDERTONE_TURN_USERNAME` and `UNDERTONE_TURN_PASSWORD`.
    """
    if not environment.get("UNDERTONE_TURN_URL"):
        return []
    return [
        {
            "urls": environment["UNDERTONE_TURN_URL"],
            "username": environment.get("UNDERTONE_TURN_USERNAME", ""),
            "credential": environment.get("UNDERTONE_TURN_PASSWORD", ""),
        }
    ]
