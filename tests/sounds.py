"""Sounds to be heard in tests: made, and put into files of any kind."""

import io
import struct
import zlib

import av
import numpy as np
import pytest
import soundfile
from av.audio.plane import AudioPlane

from ser_core import audio
from tests.helpers import VOWELS, vowel

LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}


def tone(rate, channels=1, seconds=2.0, level=0.5, hertz=440):
    """`(n, channels)`; the first half second is silent, so that delays show."""
    time = np.arange(int(seconds * rate)) / rate
    wave = level * np.sin(2 * np.pi * hertz * time) * (time >= 0.5)
    return np.repeat(wave[:, None], channels, axis=1)


def speech(seconds=3.0, seed=0, snr_db=50.0, pause=0.1):
    """Syllables of a voice with pauses between and noise behind; at 16 kHz, peak 0.5."""
    rng = np.random.default_rng(seed)
    wave = np.zeros(int(seconds * 16_000))
    at = 3_000
    while at + 6_000 < len(wave):
        n = int(rng.integers(2_000, 4_500))
        pitch = rng.uniform(100, 180) * np.linspace(1, 1 + n / 160_000, n)
        syllable = vowel(pitch, np.linspace(*rng.choice(VOWELS, 2), n, axis=1))
        wave[at : at + n] += rng.uniform(0.4, 1) * np.hanning(n) * syllable
        at += n
        wave[at : at + 800] += 0.03 * np.diff(rng.standard_normal(801)) * np.hanning(800)
        at += int(rng.exponential(pause) * 16_000)
    wave *= 0.5 / np.abs(wave).max()
    active = wave[np.abs(wave) > 0.01]
    noise = rng.standard_normal(len(wave)) * active.std() * 10 ** (-snr_db / 20)
    return (wave + noise).astype(np.float32)


def white(seconds, level=0.1, seed=0):
    return level * np.random.default_rng(seed).standard_normal(int(seconds * 16_000))


def clip(samples, name="test"):
    return audio.Clip(np.asarray(samples, np.float32), 16_000, name)


def encode(samples, rate=16_000, file_format="WAV", subtype=None):
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=file_format, subtype=subtype)
    return buffer.getvalue()


def mux(file_format, codec, rate=44_100, channels=1, *, video=None, title=None, samples=None):
    """A file made by FFmpeg; without a sound track if `codec` is None."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=file_format) as container:
        if title:
            container.metadata["title"] = title
        if video:
            pictures = container.add_stream(video, rate=10)
            pictures.width = pictures.height = 64
            pictures.pix_fmt = "yuv420p"
        if codec:
            sound = container.add_stream(codec, rate=rate, layout=LAYOUTS[channels])
            sound.bit_rate = 12_200 if "amr" in codec else 64_000 * channels
        if video:
            for shade in range(20):
                picture = np.full((64, 64, 3), shade, np.uint8)
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                container.mux(pictures.encode(frame))
            container.mux(pictures.encode(None))
        if codec:
            samples = tone(rate, channels) if samples is None else samples
            frame = av.AudioFrame("fltp", LAYOUTS[channels], len(samples))
            frame.sample_rate, frame.pts = rate, 0
            for index, channel in enumerate(samples.T):
                AudioPlane(frame, index).update(np.ascontiguousarray(channel, np.float32))
            container.mux(sound.encode(frame))
            container.mux(sound.encode(None))
    return buffer.getvalue()


def wav(rate=16_000, channels=1, payload=b"\0\1" * 16_000, stated=None, bits=16):
    """A WAV whose header says what one likes."""
    size = len(payload) if stated is None else stated
    frame = channels * bits // 8
    return (
        struct.pack("<4sI4s", b"RIFF", min(size + 36, 2**32 - 1), b"WAVE")
        + struct.pack("<4sIHHI", b"fmt ", 16, 1, channels, rate)
        + struct.pack("<IHH", rate * frame % 2**32, frame % 2**16, bits)
        + struct.pack("<4sI", b"data", size)
        + payload
    )


def png(width, height):
    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    pixels = zlib.compress(bytes((1 + 3 * width) * height), 1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


def with_cover(mp3, picture):
    body = b"\0image/png\0\x03\0" + picture
    frame = b"APIC" + struct.pack(">I", len(body)) + b"\0\0" + body
    size = bytes(len(frame) >> shift & 127 for shift in (21, 14, 7, 0))
    return b"ID3\x03\0\0" + size + frame + mp3


def assert_sound(result):
    samples = result.samples
    assert samples.dtype == np.float32 and samples.ndim == 1 and len(samples)
    assert np.isfinite(samples).all() and np.abs(samples).max() <= 1
    assert result.sample_rate == 16_000
    assert result.duration == len(samples) / 16_000


def assert_tone(result, *, hertz=440, seconds=2.0, late=0.0, level=0.5, slack=0.05):
    """The clip is `tone()`: right pitch, length, onset and level, each within the codec's means."""
    assert_sound(result)
    assert result.duration == pytest.approx(seconds, abs=late + 0.045)
    middle = result.samples[12_000:28_000]
    spectrum = np.abs(np.fft.rfft(middle))
    assert spectrum.argmax() == pytest.approx(hertz, abs=1)
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(level / np.sqrt(2), rel=slack)
    onset = np.flatnonzero(np.abs(result.samples) > level / 2)[0] / 16_000
    assert onset == pytest.approx(0.5, abs=late + 0.002)
