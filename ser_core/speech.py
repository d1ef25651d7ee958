"""Says when something sounds in a clip, by its levels, and whether that is a voice, by a network.

The network is Silero VAD (MIT, `models/silero-vad/`). It takes a millisecond for a second of sound;
so it hears one second first, and more only if that leaves a doubt.
"""

import threading
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import soxr

from ser_core.errors import UndertoneError, one_line

ACTIVITY_HOP = 320  # samples (20 ms) in a frame of activity; frames do not overlap

_RATE = 16_000  # Hz, of every clip here
_NOTHING = -200.0  # dB; the level of digital silence

_NETWORK = Path(__file__).parent.parent / "models/silero-vad/silero_vad_16k_sequence.onnx"
_STEP = 512  # samples (32 ms) that the network judges at a time, together with
_CONTEXT = 64  # samples before them
_LEVEL = 0.2  # RMS to which what it hears is brought, for it does not hear faint voices

# What is a voice, as `python -m benchmarks.speech` measures it.
_VOICED = 0.5  # probability
_LEAST_VOICE = 0.25  # seconds
_BLOCK = 3.0  # seconds that are judged together, at least
# Seconds to hear, and at which pitch: a scream is so high that the network takes it for a siren,
# but not if it is played slower, as a tape would be.
_HEARINGS = ((1.0, 1.0), (2.0, 0.6))


class SpeechError(UndertoneError):
    """Whether somebody speaks cannot be told; the message says why."""


def speech_activity(samples: np.ndarray) -> np.ndarray:
    """Tell in which frames something sounds that may be speech, whatever the level of the clip.

    A frame counts if it is within 30 dB of the loudest of its block and either 6 dB above the
    clip's noise floor or, where there are no pauses to hear the noise in, within 6 dB of the
    clip's loudest. So who shouts once does not silence what is said half a minute before.

    Args:
        samples: float32 `(n,)` at 16 kHz.

    Returns:
        bool `(n // ACTIVITY_HOP,)`; frames of digital silence never count.
    """
    found = levels(samples)
    loudest, floor = loudest_and_floor(found)
    active = found > max(min(floor + 6, loudest - 6), _NOTHING)
    for block in blocks(len(found), ACTIVITY_HOP):
        active[block] &= found[block] > _loudest(found[block]) - 30
    return active


def voice_activity(samples: np.ndarray) -> np.ndarray:
    """Tell in which frames somebody speaks: `speech_activity` without music and noises.

    Args:
        samples: float32 `(n,)` at 16 kHz.

    Returns:
        bool `(n // ACTIVITY_HOP,)`. All activity within a block is taken for speech if some of it
        is; see `blocks`.
    """
    active = speech_activity(samples)
    for block in blocks(len(active), ACTIVITY_HOP):
        active[block] &= _is_voice(samples, active, block)
    return active


def voice_probability(samples: np.ndarray) -> Iterator[np.ndarray]:
    """Yield how likely it is that somebody speaks, every 32 ms, half a second at a time.

    Args:
        samples: float32 `(n,)` at 16 kHz; of faint ones the network thinks less.

    Yields:
        float32 `(16,)`, the last one shorter; `n // 512` values in all.

    Raises:
        SpeechError: the network is missing or damaged, or ONNX Runtime fails.
    """
    with _loading:
        network = _network()
    padded = np.concatenate([np.zeros(_CONTEXT, np.float32), samples])
    state = {"h": np.zeros((1, 1, 128), np.float32), "c": np.zeros((1, 1, 128), np.float32)}
    for start in range(0, len(samples) - _STEP + 1, 16 * _STEP):
        part = padded[start : start + 16 * _STEP + _CONTEXT]
        steps = np.lib.stride_tricks.sliding_window_view(part, _CONTEXT + _STEP)[::_STEP]
        names = ["speech_probs", "hn", "cn"]
        try:
            found, state["h"], state["c"] = network.run(names, {"input": steps.copy(), **state})
        except Exception as error:  # noqa: BLE001 - ONNX Runtime's own share no base class
            raise SpeechError(
                f"the detector of voices failed ({one_line(error)}); try again"
            ) from error
        yield found


def levels(samples: np.ndarray) -> np.ndarray:
    """Return the level of each frame in dB, `(n // ACTIVITY_HOP,)`, without its DC offset."""
    frames = samples[: len(samples) // ACTIVITY_HOP * ACTIVITY_HOP].reshape(-1, ACTIVITY_HOP)
    power = np.einsum("ij,ij->i", frames, frames) / ACTIVITY_HOP - frames.mean(axis=1) ** 2
    return 10 * np.log10(np.maximum(power, 1e-20))


def loudest_and_floor(levels: np.ndarray) -> tuple[float, float]:
    """Return the level that 0.1 s of a clip reach and that of its noise, in dB."""
    if not levels.size:
        return _NOTHING, _NOTHING
    loudest = _loudest(levels)
    # Zeros were put there by a machine and tell nothing about the noise.
    heard = levels[levels > loudest - 80]
    return loudest, float(np.partition(heard, len(heard) // 10)[len(heard) // 10])


def _loudest(levels: np.ndarray) -> float:
    """Return the level in dB that 0.1 s of some frames reach."""
    # Not the very loudest, which may be a click; not a percentile, for in a minute of silence
    # two words are few.
    frames = min(5, len(levels))
    return float(np.partition(levels, -frames)[-frames]) if frames else _NOTHING


def blocks(frames: int, hop: int) -> Iterator[slice]:
    """Yield the frames of each block, 3 s to 6 s, which are judged together.

    Args:
        frames: of the clip; below 6 s they are one block.
        hop: samples between them, at 16 kHz.
    """
    count = max(1, int(frames * hop / _RATE / _BLOCK))
    for index in range(count):
        yield slice(frames * index // count, frames * (index + 1) // count)


def _is_voice(samples: np.ndarray, active: np.ndarray, block: slice) -> bool:
    for seconds, pitch in _HEARINGS:
        busiest = _busiest(active, block, int(seconds * _RATE / ACTIVITY_HOP))
        if not active[busiest].any():
            return False
        heard = _levelled(samples, active, busiest)
        if pitch != 1:
            heard = soxr.resample(heard, _RATE * pitch, _RATE, quality="LQ")
        voiced = 0
        for probability in voice_probability(heard):
            voiced += np.count_nonzero(probability > _VOICED)
            if voiced * _STEP / _RATE * pitch >= _LEAST_VOICE:
                return True
    return False


def _busiest(active: np.ndarray, block: slice, frames: int) -> slice:
    """Return that many frames of a block, or all it has, of which most are active."""
    frames = min(frames, block.stop - block.start)
    before = np.append(0, np.cumsum(active[block]))
    start = block.start + int(np.argmax(before[frames:] - before[: len(before) - frames]))
    return slice(start, start + frames)


def _levelled(samples: np.ndarray, active: np.ndarray, part: slice) -> np.ndarray:
    """Return the samples of some frames, the active ones brought to `_LEVEL`."""
    found = samples[part.start * ACTIVITY_HOP : part.stop * ACTIVITY_HOP]
    found = found - found.mean()
    sounding = found.reshape(-1, ACTIVITY_HOP)[active[part]]
    return found * np.float32(_LEVEL / np.sqrt(max(np.mean(sounding**2), 1e-20)))


_loading = threading.Lock()


@lru_cache
def _network():
    import onnxruntime  # costs 60 ms, which who only reads a clip need not pay

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # as every network here
    try:
        return onnxruntime.InferenceSession(
            str(_NETWORK), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # noqa: BLE001 - as above
        raise SpeechError(
            f"{_NETWORK} cannot be run ({one_line(error)}); install Undertone again"
        ) from None
