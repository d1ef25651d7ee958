"""Decodes any recording into a clip the models can hear."""

import io
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
import soxr

from ser_core.errors import UndertoneError

# A clip's quality belongs to this module's interface; only for length does it live next door.
from ser_core.quality import LEAST_SPEECH, Issue, Quality, peak_of, quality  # noqa: F401
from ser_core.speech import ACTIVITY_HOP, blocks, speech_activity, voice_activity  # noqa: F401

SAMPLE_RATE = 16_000
MOST_BYTES = 512_000_000  # of one recording
TRIM_HOP = 128  # samples; with librosa's 512, windows of the same words begin less alike
_TRIM_HOPS = 16  # in a frame, which so is 2048 samples long, librosa's default
# What is listened to in a folder; a glob or a table may name whatever it likes.
SUFFIXES = frozenset(
    ".3gp .aac .ac3 .aif .aifc .aiff .amr .ape .au .avi .caf .dsf .flac .flv .m4a .m4b .m4v .mka "
    ".mkv .mov .mp2 .mp3 .mp4 .mpeg .mpg .oga .ogg .ogv .opus .sph .tta .voc .w64 .wav .wave .webm "
    ".wma .wmv .wv".split()
)

# libsndfile is exact and fastest for what begins with these. MP3 is left to FFmpeg because
# libsndfile's MP3 decoder writes to stderr, about sound files too.
_SOUNDFILE_MAGIC = (b"RIFF", b"RIFX", b"RF64", b"riff", b"fLaC", b"OggS", b"FORM", b".snd")
# Of these it writes to stdout if they are damaged, but FFmpeg knows less of them.
_RARE_MAGIC = b"caff"

_FFMPEG_OPTIONS = {
    # FFmpeg also knows playlists and session descriptions (HLS, DASH, concat, SDP …), which make
    # it open other files and sockets. Only containers that hold their own sound are let in, and
    # should one of them refer elsewhere, no protocol is.
    "format_whitelist": (
        "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dsf,dss,dts,eac3,flac,flv,loas,matroska,mov,mp3,mpc,"
        "mpc8,mpeg,mpegts,mxf,nistsphere,nut,oma,ogg,qcp,rm,shn,tak,truehd,tta,voc,w64,wav,wtv,wv"
    ),
    "protocol_whitelist": "",
    # Looking for streams, FFmpeg would decode pictures: slow, and as large as their header says.
    "max_pixels": "1",
}

_FFMPEG_TYPES = {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}

_BLOCK = 1 << 17  # samples over all channels decoded at a time
# Samples that are decoded at most: two hours of four channels at 48 kHz. Silence in a small file
# may otherwise be that of hundreds of hours. One channel or two count as three, for the mean of
# the channels is costly to resample.
_MOST_SAMPLES = 7_200 * 48_000 * 4
_LEAST_CHANNELS = 3
_SECONDS = 8  # of a processor that decoding takes at most, and two for each megabyte, up to
_MOST_SECONDS = 200  # for the largest; two hours of AAC or Opus take 5 to 40


class AudioError(UndertoneError):
    """Says in one sentence why a recording cannot be used and what to do about it."""


@dataclass(frozen=True, eq=False)
class Clip:
    """A mono recording.

    Attributes:
        samples: float32 `(n,)`, finite, in [-1, 1].
        sample_rate: in Hz.
        name: what to call it when speaking to a person, usually the file's name.
    """

    samples: np.ndarray
    sample_rate: int
    name: str

    @property
    def duration(self) -> float:
        """The length in seconds."""
        return len(self.samples) / self.sample_rate

    def flac(self) -> bytes:
        """Return the sound as a FLAC file, which browsers play and `read` reads."""
        buffer = io.BytesIO()
        soundfile.write(buffer, self.samples, self.sample_rate, format="FLAC", subtype="PCM_16")
        return buffer.getvalue()


def decode_rare(data: bytes, max_seconds: float) -> np.ndarray:
    """Return float32 `(n,)` at 16 kHz, as `read` does, in this process.

    FFmpeg believes what a damaged file says about itself: this may raise anything, take gigabytes,
    and never end.
    """
    if data.startswith(_RARE_MAGIC):
        return _first_of((_by_soundfile, _by_ffmpeg), data, max_seconds)
    return _by_ffmpeg(data, max_seconds)


def read(
    source: str | Path | bytes | bytearray | memoryview | BinaryIO,
    *,
    name: str | None = None,
    max_bytes: int = MOST_BYTES,
    max_seconds: float = 7_200,
    rare: Callable[[bytes, float], np.ndarray] | None = None,
) -> Clip:
    """Decode a recording of any format, rate and channel count to 16 kHz mono.

    The format is recognised by content, never by name. Channels are averaged; if they cancel each
    other out, the loudest stands for all. NaN and infinite samples become 0. A clip that goes
    beyond ±1 is scaled to a peak of 1. Of a damaged file, what can be decoded is returned.

    Args:
        source: a path, the bytes of a file, or a seekable binary file object, read from its start.
        name: what to call the clip; by default the file's name, or "recording".
        max_bytes: refuse larger files.
        max_seconds: refuse longer recordings; decoding stops there, whatever the header says.
        rare: decodes what is not left to libsndfile. By default FFmpeg does, in a process of its
            own that may die of it (`decoder`); `decode_rare` has it done here, for files of ours.

    Returns:
        A clip of at least one sample.

    Raises:
        AudioError: the source cannot be read, is not a recording, exceeds a limit, or takes more
            memory or time than a recording does.
        UndertoneError: this machine cannot decode anything of its kind now.
    """
    from ser_core import decoder  # which needs this module

    samples = _decode(_read_bytes(source, max_bytes), max_seconds, rare or decoder.decode)
    peak = peak_of(samples)
    if peak > 1:
        samples /= peak
    return Clip(samples, SAMPLE_RATE, name or _name(source))


def _name(source) -> str:
    path = getattr(source, "name", source)
    # A file object made from a descriptor has a number for a name.
    return Path(path).name if isinstance(path, str | Path) else "recording"


def _read_bytes(source, max_bytes: int) -> bytes:
    try:
        if isinstance(source, str | Path):
            # Opening a pipe or a device could wait for ever.
            if Path(source).exists() and not Path(source).is_file():
                raise AudioError(f"'{source}' is not a file; give a recording")
            with open(source, "rb") as stream:
                return _read_stream(stream, max_bytes)
        if hasattr(source, "read"):
            return _read_stream(source, max_bytes)
    except FileNotFoundError as error:
        raise AudioError(f"there is no file '{source}'; check the path") from error
    except PermissionError as error:
        raise AudioError(f"'{source}' may not be read; change its permissions") from error
    except AudioError:
        raise
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise AudioError(f"the file cannot be read ({why}); try another copy") from error
    return _read_stream(io.BytesIO(source), max_bytes)


def _read_stream(stream: BinaryIO, max_bytes: int) -> bytes:
    size = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    if not size:
        raise AudioError("the file is empty; record or export it again")
    if size > max_bytes:
        raise AudioError(
            f"the file is larger than {max_bytes / 1e6:g} MB; cut or compress the recording"
        )
    return stream.read(size)


def _decode(
    data: bytes, max_seconds: float, rare: Callable[[bytes, float], np.ndarray]
) -> np.ndarray:
    usual = (_by_soundfile,) if data.startswith(_SOUNDFILE_MAGIC) else ()
    return _first_of((*usual, rare), data, max_seconds)


def _first_of(
    decoders: Iterable[Callable[[bytes, float], np.ndarray]], data: bytes, max_seconds: float
) -> np.ndarray:
    """Return float32 `(n,)` at 16 kHz from the first decoder that gets through the file."""
    cause = None
    for decode in decoders:
        try:
            return decode(data, max_seconds)
        except UndertoneError:
            raise
        except Exception as error:  # on damaged files decoders fail in every way there is
            cause = error
    raise AudioError(
        "no sound can be decoded from this; if it is a recording, it is damaged or of a rare "
        "format: try another copy, or convert it to WAV, MP3 or M4A"
    ) from cause


def _by_soundfile(data: bytes, max_seconds: float) -> np.ndarray:
    return _mono(partial(_soundfile_blocks, max_seconds=max_seconds), data, max_seconds)


def _by_ffmpeg(data: bytes, max_seconds: float) -> np.ndarray:
    return _mono(_ffmpeg_blocks, data, max_seconds)


def _too_long(max_seconds: float) -> AudioError:
    return AudioError(
        f"the recording is longer than {max_seconds / 60:g} minutes; cut it into pieces"
    )


def seconds_for(data: bytes) -> float:
    """Return how many seconds of a processor a file may take to decode."""
    return min(_SECONDS + 2e-6 * len(data), _MOST_SECONDS)


def _mono(
    decoder: Callable[[bytes], Iterator[tuple[int, np.ndarray]]],
    data: bytes,
    max_seconds: float,
    channel: int | None = None,
    until: float | None = None,
) -> np.ndarray:
    until = until or time.thread_time() + seconds_for(data)
    downmix = _Downmix(channel)
    sound = bytearray()  # grows in place, where joining pieces at the end would take twice as much
    blocks = _bounded(decoder(data), until)
    for piece in _resample((rate, downmix(block)) for rate, block in blocks):
        sound += piece.data
        if len(sound) > max_seconds * SAMPLE_RATE * 4:
            raise _too_long(max_seconds)
    if not sound:
        raise EOFError("there is not one sample")
    if not downmix.finite:
        raise AudioError("no sample of the recording is a number; export it again")
    if channel is None and downmix.cancelled:
        return _mono(decoder, data, max_seconds, int(downmix.power.argmax()), until)
    return np.frombuffer(sound, np.float32)


def _bounded(
    blocks: Iterable[tuple[int, np.ndarray]], until: float
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield blocks, `(n, channels)` with their rates, while they are not too much.

    That is a number of samples in all, and a time by `time.thread_time`, which stands still while
    others have the processor.
    """
    samples = 0
    for rate, block in blocks:
        samples += len(block) * max(_LEAST_CHANNELS, block.shape[1])
        if samples > _MOST_SAMPLES or time.thread_time() > until:
            raise AudioError(
                f"to decode so much sound ({block.shape[1]} channels at {rate} Hz) takes too long; "
                "export the recording again at 16000 Hz in mono, or cut it into pieces"
            )
        yield rate, block


class _Downmix:
    """Averages the channels of block after block, or picks one, and remembers their power."""

    def __init__(self, channel: int | None):
        self.channel = channel
        self.power = np.zeros(1)
        self.mono_power = 0.0
        self.finite = False

    def __call__(self, block: np.ndarray) -> np.ndarray:
        """Return float32 `(n,)` made of a float32 `(n, channels)`."""
        power = _power(block)
        usable = np.ones(1, bool)
        if not np.isfinite(power).all():
            # A sample too large to be squared is no more a sound than infinity is.
            usable = np.abs(block) < 1e15
            block = np.where(usable, block, np.float32(0))
            power = _power(block)
        self.finite |= bool(usable.any() and len(block))
        mono = self._mix(block)
        # Should the number of channels change on the way, what follows the change decides.
        self.power = power + (self.power if len(power) == len(self.power) else 0.0)
        self.mono_power += float(np.dot(mono, mono))
        return mono

    def _mix(self, block: np.ndarray) -> np.ndarray:
        channels = block.shape[1]
        if channels == 1:
            return block[:, 0]
        if self.channel is not None:
            return np.ascontiguousarray(block[:, min(self.channel, channels - 1)])
        return block @ np.full(channels, 1 / channels, np.float32)

    @property
    def cancelled(self) -> bool:
        """Whether the average is 20 dB or more below the loudest channel."""
        return self.mono_power < 0.01 * self.power.max()


def _power(block: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):
        return np.array([np.dot(channel, channel) for channel in block.T], float)


def _resample(blocks: Iterable[tuple[int, np.ndarray]]) -> Iterator[np.ndarray]:
    """Yield pieces of 16 kHz from blocks that come with their rate, which may change."""
    for rate, group in groupby(blocks, key=itemgetter(0)):
        if not 1_000 <= rate <= 768_000:
            raise AudioError(
                f"the sampling rate is {rate} Hz but 1000 to 768000 Hz are expected; "
                "export the recording again at 16000 Hz or more"
            )
        if rate == SAMPLE_RATE:
            yield from map(itemgetter(1), group)
            continue
        stream = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32", quality="VHQ")
        yield from (stream.resample_chunk(block) for _, block in group)
        yield stream.resample_chunk(np.empty(0, np.float32), last=True)


class _Bytes(io.BytesIO):
    """Stays where it is when told to go before the beginning, as damaged headers have it."""

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a position, return it; raise nothing, for soundfile would print it to stderr."""
        with suppress(ValueError):
            super().seek(offset, whence)
        return self.tell()


class _Straight(soundfile.SoundFile):
    """Is read from the beginning to the end."""

    def seekable(self) -> bool:
        """Return False, or soundfile would seek after each block, and FLAC decode it again."""
        return False


def _soundfile_blocks(data: bytes, max_seconds: float) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the rate and float32 `(n, channels)`, block by block."""
    # Without a name, or soundfile would take the format from its ending.
    with _Straight(_Bytes(data)) as file:
        # Ogg's length is that of its last page, which is there, not the promise of a header that
        # may be of more than the file has; and Opus takes longest to decode.
        if file.format == "OGG" and file.frames > max_seconds * file.samplerate:
            raise _too_long(max_seconds)
        frames = max(1, _BLOCK // file.channels)
        while len(block := file.read(frames, dtype="float32", always_2d=True)):
            yield file.samplerate, block


def _ffmpeg_blocks(data: bytes) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the rate and float32 `(n, channels)`, block by block, as far as FFmpeg gets."""
    import av  # costs 30 ms, and most recordings do without

    # Tags are often not UTF-8; that is no reason to refuse the sound.
    with av.open(
        io.BytesIO(data), "r", options=_FFMPEG_OPTIONS, metadata_errors="replace"
    ) as container:
        stream = container.streams.best("audio")
        if stream is None:
            raise AudioError("the file has no sound track; choose one that has")
        with suppress(av.FFmpegError):  # cut off: what came before is still good
            for packet in container.demux(stream):
                with suppress(av.FFmpegError):  # damaged: the next may be good again
                    yield from map(frame_samples, packet.decode())


def frame_samples(frame) -> tuple[int, np.ndarray]:
    """Return the rate and the samples, float32 `(n, channels)`, of one of PyAV's audio frames."""
    # Not `frame.to_ndarray()`: with eight planes or more, PyAV (18.1) looks for a ninth behind the
    # end of their list, and crashes.
    from av.audio.plane import AudioPlane

    dtype = np.dtype(_FFMPEG_TYPES[frame.format.packed.name])
    channels = frame.layout.nb_channels
    if frame.format.is_planar:
        planes = (AudioPlane(frame, index) for index in range(channels))
        samples = np.stack([np.frombuffer(plane, dtype, frame.samples) for plane in planes], axis=1)
    else:
        samples = np.frombuffer(AudioPlane(frame, 0), dtype, frame.samples * channels)
        samples = samples.reshape(-1, channels)
    if dtype.kind == "f":
        return frame.sample_rate, samples.astype(np.float32)
    full_scale = 2.0 ** (8 * dtype.itemsize - 1)
    offset = full_scale if dtype.kind == "u" else 0
    return frame.sample_rate, ((samples - offset) / full_scale).astype(np.float32)


def play_at(clip: Clip, speed: float) -> Clip:
    """Return a clip as a tape plays it at another speed: tempo, pitch and formants change alike.

    Args:
        clip: of any rate, which the result has, too.
        speed: a factor; 2 halves the duration and raises everything by an octave.
    """
    if speed == 1:
        return clip
    samples = soxr.resample(clip.samples, clip.sample_rate, clip.sample_rate / speed)
    return replace(clip, samples=samples.clip(-1, 1))


def trim(clip: Clip, *, top_db: float = 30) -> Clip:
    """Cut leading and trailing silence; see `speech_bounds`."""
    start, end = speech_bounds(clip.samples, top_db=top_db)
    return replace(clip, samples=clip.samples[start:end])


def speech_bounds(samples: np.ndarray, *, top_db: float = 30) -> tuple[int, int]:
    """Find where leading silence ends and trailing silence begins, as `librosa.effects.trim` does.

    Silence is what is more than `top_db` below the loudest frame of its block (`speech.blocks`; a
    clip below 6 s is one), whatever the clip's level. Frames have 2048 samples, are centred on
    multiples of 128, and reach into zeros at the ends.

    Args:
        samples: float32 `(n,)`.
        top_db: in dB.

    Returns:
        The first sample and the one after the last: `(0, n)` if all samples are zero.
    """
    hops = len(samples) // TRIM_HOP
    whole = samples[: hops * TRIM_HOP].reshape(hops, TRIM_HOP)
    rest = samples[hops * TRIM_HOP :]
    energy = np.append(np.einsum("ij,ij->i", whole, whole), np.dot(rest, rest))
    frames = np.convolve(energy, np.ones(_TRIM_HOPS))[_TRIM_HOPS // 2 - 1 :][: len(energy)]
    parts = [frames[block] for block in blocks(len(frames), TRIM_HOP)]
    loud = np.flatnonzero(
        np.concatenate([part > part.max() * 10 ** (-top_db / 10) for part in parts])
    )
    if not loud.size:
        return 0, len(samples)
    return int(loud[0]) * TRIM_HOP, min((int(loud[-1]) + 1) * TRIM_HOP, len(samples))
