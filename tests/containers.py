"""Writes containers by hand, for what no library would write."""

import io
import struct
import zlib
from collections.abc import Iterable
from fractions import Fraction

import av

from tests.sounds import encode, mux, tone

HUGE = 2**31
LONG = 3 * 3_600  # seconds: longer than what is read


def flac_of_silence(rate: int, channels: int, seconds: float) -> bytes:
    """Return a FLAC file of silence: a few bytes for each 65535 samples."""
    block = 65_535
    samples = int(rate * seconds)
    about = rate << 44 | (channels - 1) << 41 | 15 << 36 | min(samples, 2**36 - 1)
    pieces = [b"fLaC\x80\0\0\x22", struct.pack(">HH6xQ16x", block, block, about)]
    body = bytes(3 * channels)
    for index in range(-(-samples // block)):
        number = chr(index).encode()
        head = b"\xff\xf8\x70" + bytes([channels - 1 << 4 | 8]) + number + b"\xff\xfe"
        head += bytes([_crc(head, 8, 7)])
        pieces.append(head + body + struct.pack(">H", _crc(head + body, 16, 0x8005)))
    return b"".join(pieces)


def _crc(content: bytes, bits: int, polynomial: int) -> int:
    table = _CRC_TABLES.setdefault((bits, polynomial), [])
    if not table:
        for byte in range(256):
            value = byte << bits - 8
            for _ in range(8):
                value = value << 1 ^ (polynomial if value >> bits - 1 & 1 else 0)
                value &= (1 << bits) - 1
            table.append(value)
    found = 0
    for byte in content:
        found = (found << 8 ^ table[found >> bits - 8 ^ byte]) & (1 << bits) - 1
    return found


_CRC_TABLES: dict[tuple[int, int], list[int]] = {}


def repeated(file_format: str, codec: str, rate: int, samples: int = 0) -> bytes:
    """Return a file that holds one packet of silence again and again, for longer than is read.

    A packet has so many samples, or as many as the codec chooses.
    """
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=file_format) as container:
        options = {"frame_duration": "60"} if codec == "libopus" else {}
        options |= {"frame_size": str(samples)} if samples else {}
        sound = container.add_stream(codec, rate=rate, layout="mono", options=options)
        sound.bit_rate = 8_000
        frame = av.AudioFrame(sound.format.name, "mono", samples or rate)
        frame.planes[0].update(bytes(frame.planes[0].buffer_size))
        frame.sample_rate, frame.pts = rate, 0
        silence = sound.encode(frame)[-1]
        for time in range(0, LONG * rate, silence.duration):
            packet = av.Packet(bytes(silence))
            packet.stream, packet.time_base = sound, Fraction(1, rate)
            packet.pts = packet.dts = time
            packet.duration = silence.duration
            container.mux(packet)
    return buffer.getvalue()


def patched(content: bytes, marker: bytes, offset: int, patch: bytes) -> bytes:
    """Return a file with some bytes behind the first marker replaced, if it has one."""
    at = content.find(marker) + len(marker) + offset - 4
    return content[:at] + patch + content[at + len(patch) :]


def au(rate: int = 16_000, channels: int = 1, size: int = 32_000) -> bytes:
    return b".snd" + struct.pack(">IIIII", 24, size, 3, rate, channels) + b"\1\2" * 16_000


def nist(rate: int = 16_000, channels: int = 1, sample_count: int = HUGE) -> bytes:
    head = (
        f"NIST_1A\n   1024\nsample_rate -i {rate}\nchannel_count -i {channels}\n"
        f"sample_n_bytes -i 2\nsample_count -i {sample_count}\nsample_coding -s3 pcm\nend_head\n"
    )
    return head.encode().ljust(1024) + b"\1\2" * 8_000


def dsf(rate: int = 2_822_400, channels: int = 2, samples: int = HUGE) -> bytes:
    form = struct.pack("<IIIIIIQII", 1, 0, 2, channels, rate, 1, samples, 4096, 0)
    return (
        b"DSD " + struct.pack("<QQQ", 28, 2**40, 0)
        + b"fmt " + struct.pack("<Q", 52) + form
        + b"data" + struct.pack("<Q", 2**40) + b"\x69" * 20_000
    )  # fmt: skip


def ape(rate: int = 44_100, channels: int = 2, frames: int = HUGE) -> bytes:
    descriptor = struct.pack(
        "<4sHHIIIIIII", b"MAC ", 3990, 0, 52, 24, 4 * min(frames, 10**8), 0, 10**6, 0, 0
    )
    return (
        descriptor + bytes(16)
        + struct.pack("<HHIIIHHI", 2000, 0, 73_728, 73_728, frames, 16, channels % 2**16, rate)
        + bytes(4_000)
    )  # fmt: skip


def atom(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + kind + content


def element(number: int, content: bytes) -> bytes:
    """Return an element of EBML, of which Matroska is made."""
    name = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return name + struct.pack(">Q", 1 << 56 | len(content)) + content


def mkv(
    rate: float = 16_000.0,
    channels: int = 1,
    tracks: int = 1,
    blocks: Iterable[bytes] = (b"\1\2" * 8_000,),
    compressed: bool = False,
) -> bytes:
    """Return a Matroska file of 16 bit samples, its blocks compressed by zlib if so said."""
    sound = element(0xB5, struct.pack(">d", rate)) + element(0x9F, channels.to_bytes(8, "big"))
    sound += element(0x6264, b"\x10")
    packed = element(0x4254, b"\0") + element(0x4255, b"")
    coding = element(0x6D80, element(0x6240, element(0x5034, packed))) if compressed else b""
    entries = b"".join(
        element(
            0xAE,
            element(0xD7, number.to_bytes(2, "big"))
            + element(0x73C5, number.to_bytes(2, "big"))
            + element(0x83, b"\2")
            + element(0x86, b"A_PCM/INT/LIT")
            + element(0xE1, sound)
            + coding,
        )
        for number in range(1, tracks + 1)
    )
    cluster = element(0xE7, b"\0") + b"".join(
        element(0xA3, b"\x81\0\0\x80" + block) for block in blocks
    )
    info = element(0x1549A966, element(0x2AD7B1, (1_000_000).to_bytes(4, "big")))
    body = info + element(0x1654AE6B, entries) + element(0x1F43B675, cluster)
    return element(0x1A45DFA3, element(0x4282, b"matroska")) + element(0x18538067, body)


def deflated(size: int) -> bytes:
    """Return what zlib makes of so many zeros, whole millions: a thousandth."""
    packer = zlib.compressobj(9)
    first, again = (
        packer.compress(bytes(10**6)) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2)
    )
    checksum = struct.pack(">HH", size % 65_521, 1)
    return first + again * (size // 10**6 - 1) + packer.flush()[:-4] + checksum


def compressed_movie(size: int) -> bytes:
    packed = deflated(size)
    header = atom(b"dcom", b"zlib") + atom(b"cmvd", struct.pack(">I", size) + packed)
    return atom(b"ftyp", b"qt  \0\0\0\0") + atom(b"moov", atom(b"cmov", header))


def compressed_tag(size: int) -> bytes:
    """Return an MP3 file with a cover that ID3 has compressed."""
    body = struct.pack(">I", size) + deflated(size)
    frame = b"APIC" + _synchsafe(len(body)) + b"\0\x09" + body
    tag = b"ID3\x04\0\0" + _synchsafe(len(frame)) + frame
    return tag + encode(tone(16_000), file_format="MP3")


def _synchsafe(number: int) -> bytes:
    return bytes(number >> shift & 127 for shift in (21, 14, 7, 0))


def sample_table(samples: int) -> bytes:
    """Return an M4A file whose tables announce so many samples, all alike, in one chunk."""
    movie = mux("ipod", "aac", 16_000, samples=tone(16_000, seconds=0.6))
    movie = patched(movie, b"stsz", 8, struct.pack(">II", 10, samples))
    return patched(movie, b"stsc", 8, struct.pack(">IIII", 1, 1, samples, 1))


def programs(count: int) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mpegts") as container:
        streams = [container.add_stream("mp2", rate=16_000, layout="mono") for _ in range(count)]
        for stream in streams:
            frame = av.AudioFrame("s16", "mono", 1152)
            frame.sample_rate, frame.pts = 16_000, 0
            container.mux(stream.encode(frame))
    return buffer.getvalue()


def movie_elsewhere(target: str) -> bytes:
    """Return a QuickTime file whose sound is in another file."""
    movie = mux("mov", "pcm_s16le", 16_000, samples=tone(16_000, seconds=0.6))
    path = target.encode()
    path += bytes(len(path) % 2)
    alias = bytes(10 + 1 + 27 + 12) + b"\x01x".ljust(64, b"\0") + bytes(16)
    alias += bytes(4 + 16)
    alias += struct.pack(">HH", 2, len(path)) + path + struct.pack(">HH", 0xFFFF, 0)
    entry = atom(b"alis", bytes(4) + alias)
    reference = atom(b"dref", struct.pack(">II", 0, 1) + entry)
    at = movie.find(b"dref") - 4
    old = struct.unpack(">I", movie[at : at + 4])[0]
    more = len(reference) - old
    movie = movie[:at] + reference + movie[at + old :]
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
        place = movie.find(kind) - 4
        size = struct.unpack(">I", movie[place : place + 4])[0] + more
        movie = movie[:place] + struct.pack(">I", size) + movie[place + 4 :]
    return movie
