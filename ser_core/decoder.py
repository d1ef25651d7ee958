"""Lets FFmpeg decode in a process of its own, which may die of it.

FFmpeg believes what a file says about itself: 10 kB that announced 80 million samples took 3 GB,
and every further track of the kind as much again. Here a file may take `_MEMORY`, and a processor
for somewhat longer than `audio.seconds_for` says, and can open no other file and no socket. The
process is forked from one that has FFmpeg loaded (48 MB), which doubles the time that an MP3 or an
M4A of 4 s takes (19 ms instead of 9, see `benchmarks.decode`), where one begun anew takes 150 ms
more.

    python -m ser_core.decoder DESCRIPTOR     is that process
"""

import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import numpy as np

from ser_core import audio
from ser_core.errors import UndertoneError

_MEMORY = 1_000_000_000  # bytes beyond the file itself; two hours at 16 kHz are 460 million
_PATIENCE = 600  # seconds after which it is waiting for something, or for nothing
_HEAD = struct.Struct("<4sQ")  # what came of it, and of how many bytes that is
_CLIP, _REFUSED, _FAILED = b"clip", b"refu", b"fail"


class DecoderError(UndertoneError):
    """A recording cannot be decoded now, whatever it is; the message says why."""


def decode(data: bytes, max_seconds: float) -> np.ndarray:
    """Do what `audio.decode_rare` does, in a process of its own.

    Raises:
        AudioError: as there, or it takes more memory or time than a recording does.
        DecoderError: this machine has no room for that process.
        ValueError: FFmpeg gets nothing out of it.
    """
    answer = bytearray()
    with _turns, _connected() as ours:
        with suppress(ConnectionError):  # it has died: what it has said by then is too little
            ours.sendall(struct.pack("<d", max_seconds))
            ours.sendall(data)
            ours.shutdown(socket.SHUT_WR)
            while part := ours.recv(1 << 20):
                answer += part
    kind, size = _HEAD.unpack_from(answer.ljust(_HEAD.size, b"\0"))
    if len(answer) < _HEAD.size + size or not kind.strip(b"\0"):
        raise audio.AudioError(
            "it takes more time or memory to decode this than a recording should; convert it to "
            "WAV or MP3, or cut it into pieces"
        )
    if kind == _REFUSED:
        raise audio.AudioError(answer[_HEAD.size :].decode())
    if kind == _FAILED:
        raise ValueError("FFmpeg cannot decode it")
    return np.frombuffer(answer, np.float32, offset=_HEAD.size)


_COMMAND = (sys.executable, "-m", "ser_core.decoder")
_lock = threading.Lock()
# As many at once as there are processors: more would not be faster. Nor more than four: each may
# take `_MEMORY`.
_turns = threading.BoundedSemaphore(min(os.cpu_count() or 1, 4))
_server: tuple[subprocess.Popen, socket.socket] | None = None


def _connected() -> socket.socket:
    """Return a connection to a fork of the server."""
    try:
        ours, theirs = socket.socketpair()
        with theirs:
            _hand_over(theirs)
    except OSError as error:
        raise DecoderError(
            f"no process can be started to decode this in ({error.strerror}); close other "
            "programs and try again"
        ) from error
    return ours


def _hand_over(connection: socket.socket) -> None:
    """Give the server a connection, over which it gets a file and answers; start it if need be."""
    global _server
    with _lock:
        if _server is None or _server[0].poll() is not None:
            _server = _start()
        socket.send_fds(_server[1], [b"\0"], [connection.fileno()])


def _start() -> tuple[subprocess.Popen, socket.socket]:
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [*_COMMAND, str(theirs.fileno())],
            cwd=Path(__file__).parent.parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            # A process that has several threads is not to be forked.
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
            pass_fds=[theirs.fileno()],
            process_group=0,  # a Ctrl-C is for whoever is read for, whose end ends this, too
        )
    return process, ours


def _serve(requests: socket.socket) -> None:
    """Answer each request in a fork, until whoever sends them has ended."""
    # Loaded once, for every fork; a fork can open no file, be it a module that PyAV loads late.
    import av.audio.plane
    import av.subtitles.codeccontext
    import av.subtitles.stream  # noqa: F401

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # so that no fork stays behind as a zombie
    while True:
        word, files, _, _ = socket.recv_fds(requests, 1, 1)
        if not word:
            os.killpg(0, signal.SIGKILL)  # what it still decodes is for nobody, either
        if os.fork() == 0:
            connection = socket.socket(fileno=files[0])  # open until the end: a turn is over then
            try:
                _answer(connection)
            finally:
                os._exit(0)
        os.close(files[0])


def _answer(connection: socket.socket) -> None:
    with connection.makefile("rb") as file:
        (max_seconds,) = struct.unpack("<d", file.read(8))
        data = file.read()
    for limit, most in (
        (resource.RLIMIT_DATA, _MEMORY + len(data)),
        # Whatever does not hang, `audio` refuses before that, in a better sentence.
        (resource.RLIMIT_CPU, int(audio.seconds_for(data)) + 2),
        (resource.RLIMIT_NOFILE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (most, most))
    signal.alarm(_PATIENCE)
    try:
        kind, answer = _CLIP, audio.decode_rare(data, max_seconds).data.cast("B")
    except audio.AudioError as error:
        kind, answer = _REFUSED, str(error).encode()
    except MemoryError:
        return  # without an answer
    except Exception:  # noqa: BLE001 - on damaged files decoders fail in every way there is
        kind, answer = _FAILED, b""
    connection.sendall(_HEAD.pack(kind, len(answer)))
    connection.sendall(answer)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
