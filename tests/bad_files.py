"""Makes files that no honest recorder makes."""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterable
from fractions import Fraction

import av
import numpy as np

from tests.test_audio import encode, mux, png, tone, wav, with_cover

LONG = 3 * 3_600  # seconds: longer than what is read

_HUGE = 2**31
_MPEG = "libmp3lame"


def ordinary() -> dict[str, bytes]:
    """Return a short sound in every format that can be written here, by name."""
    sound, telephone = tone(16_000, seconds=0.6), tone(8_000, seconds=0.6)
    made = {
        "16.wav": encode(sound),
        "float.wav": encode(sound, subtype="FLOAT"),
        "adpcm.wav": encode(sound, subtype="IMA_ADPCM"),
        "gsm.wav": encode(telephone, 8_000, "WAV", "GSM610"),
        "rf64.wav": encode(sound, file_format="RF64"),
        "alac.caf": encode(sound, file_format="CAF", subtype="ALAC_16"),
        "vorbis.ogg": encode(sound, file_format="OGG"),
        "opus.ogg": encode(sound, file_format="OGG", subtype="OPUS"),
    }
    for kind in ("W64", "AIFF", "AU", "CAF", "FLAC", "MP3", "VOC", "NIST"):
        made[kind.lower()] = encode(sound, file_format=kind)
    for name, file_format, codec, rate in (
        ("m4a", "ipod", "aac", 16_000),
        ("alac.m4a", "ipod", "alac", 16_000),
        ("mov", "mov", "pcm_s16le", 16_000),
        ("mkv", "matroska", "pcm_s16le", 16_000),
        ("flac.mkv", "matroska", "flac", 16_000),
        ("webm", "webm", "libopus", 48_000),
        ("aac", "adts", "aac", 16_000),
        ("latm", "latm", "aac", 16_000),
        ("ac3", "ac3", "ac3", 48_000),
        ("eac3", "eac3", "eac3", 48_000),
        ("rm", "rm", "ac3", 48_000),
        ("ts", "mpegts", "mp2", 48_000),
        ("mpg", "mpeg", "mp2", 48_000),
        ("wtv", "wtv", "mp2", 48_000),
        ("nut", "nut", "pcm_s16le", 16_000),
        ("avi", "avi", "libmp3lame", 16_000),
        ("flv", "flv", "aac", 44_100),
        ("asf", "asf", "wmav2", 16_000),
        ("wv", "wv", "wavpack", 16_000),
        ("tta", "tta", "tta", 16_000),
        ("amr", "amr", "libopencore_amrnb", 8_000),
    ):
        made[name] = mux(file_format, codec, rate, samples=tone(rate, seconds=0.6))
    made["mp4"] = mux("mp4", "aac", 44_100, video="mpeg4", samples=tone(44_100, seconds=0.6))
    return made


def damaged(files: dict[str, bytes]) -> dict[str, bytes]:
    """Return each file cut off, bit-flipped, with a hole, and under a name that lies."""
    rng = np.random.default_rng(7)
    made = {}
    for name, content in files.items():
        for tenths in (0.2, 1, 5, 9.8):
            made[f"cut at {tenths / 10:.0%} {name}"] = content[: int(len(content) * tenths / 10)]
        for where, end in (("header", 120), ("anywhere", len(content))):
            for index in range(2):
                flipped = np.frombuffer(content, np.uint8).copy()
                places = rng.integers(0, end, 8)
                flipped[places] ^= rng.integers(1, 256, 8).astype(np.uint8)
                made[f"flipped {where} {index} {name}"] = flipped.tobytes()
        hole = len(content) // 3
        made[f"with a hole {name}"] = content[:hole] + bytes(hole) + content[2 * hole :]
    names = list(files)
    for name, lie in zip(names, [*names[5:], *names[:5]], strict=True):
        made[f"{name} called .{lie}"] = files[name]
    return made


def absurd(files: dict[str, bytes]) -> dict[str, bytes]:
    """Return files whose headers promise what cannot be."""
    made = {}
    for rate in (0, 1, 10_000_000, 2**32 - 1):
        made[f"{rate} Hz.wav"] = wav(rate=rate)
        made[f"{rate} Hz.au"] = _au(rate=rate)
    for channels in (0, 255, 1024, 65_535):
        made[f"{channels} channels.wav"] = wav(channels=channels)
        made[f"{channels} channels.au"] = _au(channels=channels)
    for size in (0, _HUGE, 2**32 - 1):
        made[f"{size} bytes.wav"] = wav(stated=size)
        made[f"{size} bytes.au"] = _au(size=size)
    for bits in (0, 1, 7, 64, 65_535):
        made[f"{bits} bits.wav"] = wav(bits=bits)
    made["everything at once.wav"] = wav(channels=255, rate=768_000, stated=_HUGE)
    for what, exponent in (("endless", 0x7FFF), ("no", 0), ("negative", 0xC00D)):
        content = _patched(files["aiff"], b"COMM", 12, struct.pack(">H", exponent))
        made[f"{what} rate.aiff"] = content
    made["2^32 samples.aiff"] = _patched(files["aiff"], b"COMM", 6, b"\xff" * 4)
    for rate in (float("nan"), float("inf"), -1.0, 0.0, 1e300):
        made[f"{rate} Hz.caf"] = _patched(files["caf"], b"desc", 8, struct.pack(">d", rate))
        made[f"{rate} Hz.mkv"] = _mkv(rate=rate)
    made["2^31 channels.caf"] = _patched(files["caf"], b"desc", 32, struct.pack(">I", _HUGE))
    made["2^31 packets.caf"] = _patched(files["alac.caf"], b"pakt", 8, struct.pack(">Q", _HUGE))
    made["2^40 channels.mkv"] = _mkv(channels=2**40)
    made["2^63 bytes.rf64"] = _patched(files["rf64.wav"], b"ds64", 4, b"\xff" * 7 + b"\x7f" * 17)
    made["2^63 bytes.w64"] = _patched(files["w64"], b"data", 12, b"\xff" * 7 + b"\x7f")
    flac = files["flac"]
    made["2^36 samples.flac"] = flac[:21] + bytes([flac[21] | 15]) + b"\xff" * 4 + flac[26:]
    made["0 Hz.flac"] = flac[:18] + bytes(2) + bytes([flac[20] & 15]) + flac[21:]
    made["no block.flac"] = flac[:8] + bytes(4) + flac[12:]
    made["255 channels.opus.ogg"] = _patched(files["opus.ogg"], b"OpusHead", 9, b"\xff")
    made["skips all.opus.ogg"] = _patched(files["opus.ogg"], b"OpusHead", 10, b"\xff\xff")
    for samples in (10**8, _HUGE, 2**32 - 1):
        count = struct.pack(">II", 1, samples)
        made[f"{samples} samples of a byte.m4a"] = _patched(files["mov"], b"stsz", 8, count)
        made[f"{samples} samples of a byte.mov"] = _sample_table(samples)
        made[f"{samples} samples.tta"] = files["tta"][:14] + struct.pack("<I", samples)
        made[f"{samples} samples.ape"] = _ape(frames=samples)
        made[f"{samples} samples.wv"] = _patched(files["wv"], b"wvpk", 12, count[4:] + bytes(4))
        made[f"{samples} samples.nist"] = _nist(sample_count=samples)
        made[f"{samples} frames.mp3"] = _patched(files["mp3"], b"Xing", 8, count[4:])
        made[f"{samples} blocks.dsf"] = _dsf(samples=samples)
        made[f"{samples} as length.wtv"] = files["wtv"][:0x58] + count[4:] + files["wtv"][0x5C:]
    for atom in (b"mdhd", b"mvhd"):
        made[f"no {atom.decode()} time scale.m4a"] = _patched(files["m4a"], atom, 16, bytes(4))
    made["2^32 entries.m4a"] = _patched(files["m4a"], b"stts", 8, b"\xff" * 8)
    for channels, rate in ((255, 16_000), (8, _HUGE), (0, 0)):
        made[f"{channels} channels, {rate} Hz.nist"] = _nist(rate, channels)
        made[f"{channels} channels, {rate} Hz.dsf"] = _dsf(rate, channels)
        made[f"{channels} channels, {rate} Hz.ape"] = _ape(rate, channels)
    for magic in (b"MP+\x07", b"MPCKSH", b"tBaK", b"ajkg\x02", b"\x02dss", b"\x7f\xfe\x80\x01"):
        noise = np.random.default_rng(1).bytes(4_000)
        made[f"noise after {magic!r}"] = magic + noise
        made[f"ones after {magic!r}"] = magic + b"\xff" * 4_000
    made["qcp"] = b"RIFF\xff\xff\xff\xffQLCMfmt \x96\0\0\0" + b"\xff" * 400
    return made


def compressed() -> dict[str, bytes]:
    """Return small files that say that they hold far more than a machine does."""
    made = {
        "3 h.flac": flac_of_silence(16_000, 1, LONG),
        "655 kHz, 8 channels.flac": flac_of_silence(655_350, 8, 700),
        "655 kHz.flac": flac_of_silence(655_350, 1, 1_500),
        "3 h, 1 Hz.flac": flac_of_silence(1, 1, LONG),
        "2 h.flac": flac_of_silence(16_000, 1, 7_199),
        "3 h.opus.ogg": _repeated("ogg", "libopus", 48_000),
        "3 h.m4a": _repeated("ipod", "aac", 8_000),
        "3 h.mkv": _repeated("matroska", "flac", 16_000),
        "bomb in a block.mkv": _mkv(blocks=[_deflated(10**9)], compressed=True),
        "200 bombs in blocks.mkv": _mkv(blocks=[_deflated(9_000_000)] * 200, compressed=True),
        "bomb for a header.mov": compressed_movie(3 * 10**9),
        "bomb in a tag.mp3": _compressed_tag(10**9),
        "wide cover.mp3": with_cover(encode(tone(16_000), file_format="MP3"), png(8_000, 8_000)),
    }
    return made


def nested(files: dict[str, bytes]) -> dict[str, bytes]:
    """Return files within files, and more of them in a row than anybody has."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("sound.wav", files["16.wav"])
    made = {
        "zip": archive.getvalue(),
        "gz": zlib.compress(files["16.wav"], wbits=31),
        "wav.wav": wav(payload=files["16.wav"]),
        "mp3.wav": wav(payload=files["mp3"], bits=0),
        "m4a.m4a": _atom(b"ftyp", b"M4A \0\0\0\0") + _atom(b"mdat", files["m4a"]) + files["m4a"],
        "mkv.mkv": _mkv(blocks=[files["mkv"]] * 20),
        "tags.mp3": b"ID3\x03\0\0\0\0\0\0" * 10_000 + files["mp3"],
        "300 streams.opus.ogg": files["opus.ogg"] * 300,
        "300 streams.vorbis.ogg": files["vorbis.ogg"] * 300,
        "30 files.flac": files["flac"] * 30,
        "30 files.aac": files["aac"] * 30,
        "2000 tracks.mkv": _mkv(tracks=2_000),
        "64 programs.ts": _programs(64),
        "zeros.aac": bytes(3_000_000),
        "synchronised.mp3": b"\xff\xfb\x90\x64" * 500_000,
        "synchronised.aac": b"\xff\xf1\x60\x40\x01\x1f\xfc" * 200_000,
        "packets of a sample.mkv": _mkv(blocks=[b"\1\2"] * 100_000),
    }
    deep = files["m4a"]
    for _ in range(5_000):
        deep = _atom(b"moov", deep) if len(deep) < 2**31 else deep
    lists = b""
    for _ in range(5_000):
        lists = b"LIST" + struct.pack("<I", len(lists) + 4) + b"INFO" + lists
    made["5000 deep.m4a"] = _atom(b"ftyp", b"M4A \0\0\0\0") + deep
    made["5000 deep.wav"] = b"RIFF\xff\xff\xff\x7fWAVE" + lists + files["16.wav"][12:]
    master = b""
    for _ in range(5_000):
        master = _element(0x1654AE6B, master)
    made["5000 deep.mkv"] = _element(0x1A45DFA3, b"") + _element(0x18538067, master)
    return made


def odd() -> dict[str, bytes]:
    """Return files in order that hold odd sounds."""
    sound = tone(16_000)
    half = np.where(np.arange(len(sound))[:, None] % 2, np.nan, sound)
    made = {
        "nothing": b"",
        "not a number.wav": encode(sound * np.nan, subtype="FLOAT"),
        "half not a number.wav": encode(half, subtype="FLOAT"),
        "infinite.wav": encode(sound + np.inf, subtype="DOUBLE"),
        "minus infinity.aiff": encode(sound - np.inf, file_format="AIFF", subtype="FLOAT"),
        "largest.wav": encode(sound * 3e38, subtype="FLOAT"),
        "smallest.wav": encode(sound * 1e-45, subtype="FLOAT"),
        "full scale.wav": encode(np.sign(sound)),
        "noise.wav": encode(np.random.default_rng(0).uniform(-1, 1, (32_000, 1))),
        "a click.wav": encode(np.eye(1, 32_000, 9_000).T),
    }
    for name, level in (("all.wav", 1.0), ("a little.wav", 0.01)):
        made[f"constant {name}"] = encode(np.full((32_000, 1), level))
    for kind in ("WAV", "AIFF", "FLAC", "OGG", "MP3", "CAF"):
        for count in (1, 2, 17):
            made[f"{count} samples.{kind.lower()}"] = encode(sound[:count] + 0.5, file_format=kind)
    made["1 sample.m4a"] = mux("ipod", "aac", samples=np.ones((1, 1)))
    made["1 sample.webm"] = mux("webm", "libopus", 48_000, samples=np.ones((1, 1)))
    return made


def tricks(targets: Iterable[str], port: int) -> dict[str, bytes]:
    """Return files that would make FFmpeg open another file, or a connection.

    Args:
        targets: what they refer to, paths and addresses.
        port: of this computer, to which a session description refers.
    """
    made = {}
    for index, target in enumerate(targets):
        for name, text in _REFERRING.items():
            content = text.format(target=target).encode()
            made[f"{index} {name}"] = content
            made[f"{index} after a tag {name}"] = b"ID3\x03\0\0\0\0\0\x0a" + bytes(10) + content
        made[f"{index} elsewhere.mov"] = _movie_elsewhere(target)
    for name, text in {
        "session.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
        "m=audio {port} RTP/AVP 0\na=rtpmap:0 PCMU/8000\n",
        "redirected.rtsp": "RTSP/1.0 302 Moved\r\nLocation: rtsp://127.0.0.1:{port}/x\r\n\r\n",
        "redirected.rm": "rtsp://127.0.0.1:{port}/x.rm\n",
        "described.smil": '<smil><body><audio src="rtsp://127.0.0.1:{port}/x"/></body></smil>',
    }.items():
        made[name] = text.format(port=port).encode()
    return made


_REFERRING = {
    "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{target}\n#EXT-X-ENDLIST\n",
    "key.m3u8": '#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXT-X-KEY:METHOD=AES-128,URI="{target}"\n'
    "#EXTINF:9,\n{target}\n#EXT-X-ENDLIST\n",
    "list.wav": "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:9,\nconcat:{target}|{target}\n",
    "list.ffconcat": "ffconcat version 1.0\nfile '{target}'\n",
    "unsafe.ffconcat": "ffconcat version 1.0\nfile {target}\noption safe 0\n",
    "list.pls": "[playlist]\nFile1={target}\nNumberOfEntries=1\n",
    "list.asx": '<asx version="3.0"><entry><ref href="{target}"/></entry></asx>',
    "reference.asf": "[Reference]\nRef1={target}\n",
    "list.mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    'mediaPresentationDuration="PT2S"><Period><AdaptationSet mimeType="audio/mp4">'
    '<Representation id="1" bandwidth="1"><BaseURL>{target}</BaseURL>'
    '<SegmentBase indexRange="0-99"/></Representation></AdaptationSet></Period></MPD>',
    "entity.xml": '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY y SYSTEM "{target}">]><x>&y;</x>',
    "name.txt": "{target}",
}


def flac_of_silence(rate: int, channels: int, seconds: float) -> bytes:
    """Return a FLAC file of silence: a few bytes for each 65535 samples."""
    block = 65_535
    samples = int(rate * seconds)
    about = rate << 44 | (channels - 1) << 41 | 15 << 36 | min(samples, 2**36 - 1)
    pieces = [b"fLaC\x80\0\0\x22", struct.pack(">HH6xQ16x", block, block, about)]
    body = bytes(3 * channels)
    for index in range(-(-samples // block)):
        # As UTF-8 would be, were it still of six bytes.
        number = (
            chr(index).encode()
            if index < 0xD800
            else struct.pack("4B", 0xF0, *(0x80 | index >> shift & 63 for shift in (12, 6, 0)))
        )
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


def _repeated(file_format: str, codec: str, rate: int) -> bytes:
    """Return a file that holds one packet of silence again and again, for longer than is read."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=file_format) as container:
        options = {"frame_duration": "60"} if codec == "libopus" else {}
        sound = container.add_stream(codec, rate=rate, layout="mono", options=options)
        sound.bit_rate = 8_000
        frame = av.AudioFrame(sound.format.name, "mono", rate)
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


def _patched(content: bytes, marker: bytes, offset: int, patch: bytes) -> bytes:
    """Return a file with some bytes behind the first marker replaced, if it has one."""
    at = content.find(marker) + len(marker) + offset - 4
    return content[:at] + patch + content[at + len(patch) :]


def _au(rate: int = 16_000, channels: int = 1, size: int = 32_000) -> bytes:
    return b".snd" + struct.pack(">IIIII", 24, size, 3, rate, channels) + b"\1\2" * 16_000


def _nist(rate: int = 16_000, channels: int = 1, sample_count: int = _HUGE) -> bytes:
    head = (
        f"NIST_1A\n   1024\nsample_rate -i {rate}\nchannel_count -i {channels}\n"
        f"sample_n_bytes -i 2\nsample_count -i {sample_count}\nsample_coding -s3 pcm\nend_head\n"
    )
    return head.encode().ljust(1024) + b"\1\2" * 8_000


def _dsf(rate: int = 2_822_400, channels: int = 2, samples: int = _HUGE) -> bytes:
    form = struct.pack("<IIIIIIQII", 1, 0, 2, channels, rate, 1, samples, 4096, 0)
    return (
        b"DSD " + struct.pack("<QQQ", 28, 2**40, 0)
        + b"fmt " + struct.pack("<Q", 52) + form
        + b"data" + struct.pack("<Q", 2**40) + b"\x69" * 20_000
    )  # fmt: skip


def _ape(rate: int = 44_100, channels: int = 2, frames: int = _HUGE) -> bytes:
    descriptor = struct.pack(
        "<4sHHIIIIIII", b"MAC ", 3990, 0, 52, 24, 4 * min(frames, 10**8), 0, 10**6, 0, 0
    )
    return (
        descriptor + bytes(16)
        + struct.pack("<HHIIIHHI", 2000, 0, 73_728, 73_728, frames, 16, channels % 2**16, rate)
        + bytes(4_000)
    )  # fmt: skip


def _atom(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + kind + content


def _element(number: int, content: bytes) -> bytes:
    """Return an element of EBML, of which Matroska is made."""
    name = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return name + struct.pack(">Q", 1 << 56 | len(content)) + content


def _mkv(
    rate: float = 16_000.0,
    channels: int = 1,
    tracks: int = 1,
    blocks: Iterable[bytes] = (b"\1\2" * 8_000,),
    compressed: bool = False,
) -> bytes:
    """Return a Matroska file of 16 bit samples, its blocks compressed by zlib if so said."""
    sound = _element(0xB5, struct.pack(">d", rate)) + _element(0x9F, channels.to_bytes(8, "big"))
    sound += _element(0x6264, b"\x10")
    packed = _element(0x4254, b"\0") + _element(0x4255, b"")
    coding = _element(0x6D80, _element(0x6240, _element(0x5034, packed))) if compressed else b""
    entries = b"".join(
        _element(
            0xAE,
            _element(0xD7, number.to_bytes(2, "big"))
            + _element(0x73C5, number.to_bytes(2, "big"))
            + _element(0x83, b"\2")
            + _element(0x86, b"A_PCM/INT/LIT")
            + _element(0xE1, sound)
            + coding,
        )
        for number in range(1, tracks + 1)
    )
    cluster = _element(0xE7, b"\0") + b"".join(
        _element(0xA3, b"\x81\0\0\x80" + block) for block in blocks
    )
    info = _element(0x1549A966, _element(0x2AD7B1, (1_000_000).to_bytes(4, "big")))
    body = info + _element(0x1654AE6B, entries) + _element(0x1F43B675, cluster)
    return _element(0x1A45DFA3, _element(0x4282, b"matroska")) + _element(0x18538067, body)


def _deflated(size: int) -> bytes:
    """Return what zlib makes of so many zeros, whole millions: a thousandth."""
    packer = zlib.compressobj(9)
    first, again = (
        packer.compress(bytes(10**6)) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2)
    )
    checksum = struct.pack(">HH", size % 65_521, 1)
    return first + again * (size // 10**6 - 1) + packer.flush()[:-4] + checksum


def compressed_movie(size: int) -> bytes:
    packed = _deflated(size)
    header = _atom(b"dcom", b"zlib") + _atom(b"cmvd", struct.pack(">I", size) + packed)
    return _atom(b"ftyp", b"qt  \0\0\0\0") + _atom(b"moov", _atom(b"cmov", header))


def _compressed_tag(size: int) -> bytes:
    """Return an MP3 file with a cover that ID3 has compressed."""
    body = struct.pack(">I", size) + _deflated(size)
    frame = b"APIC" + struct.pack(">I", len(body)) + b"\0\x80" + body
    whole = bytes(len(frame) >> shift & 127 for shift in (21, 14, 7, 0))
    return b"ID3\x03\0\0" + whole + frame + encode(tone(16_000), file_format="MP3")


def _sample_table(samples: int) -> bytes:
    """Return a QuickTime file whose table of samples would fill the memory: each has a byte."""
    movie = mux("mov", "pcm_s16le", 16_000, samples=tone(16_000, seconds=0.6))
    movie = _patched(movie, b"stsz", 8, struct.pack(">II", 1, samples))
    movie = _patched(movie, b"stts", 12, struct.pack(">I", samples))
    return _patched(movie, b"stsc", 16, struct.pack(">I", samples))


def _programs(count: int) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mpegts") as container:
        streams = [container.add_stream("mp2", rate=16_000, layout="mono") for _ in range(count)]
        for stream in streams:
            frame = av.AudioFrame("s16", "mono", 1152)
            frame.sample_rate, frame.pts = 16_000, 0
            container.mux(stream.encode(frame))
    return buffer.getvalue()


def _movie_elsewhere(target: str) -> bytes:
    """Return a QuickTime file whose sound is in another file."""
    movie = mux("mov", "pcm_s16le", 16_000, samples=tone(16_000, seconds=0.6))
    path = target.encode()
    path += bytes(len(path) % 2)
    alias = bytes(10 + 1 + 27 + 12) + b"\x01x".ljust(64, b"\0") + bytes(16)
    alias += bytes(4 + 16)
    alias += struct.pack(">HH", 2, len(path)) + path + struct.pack(">HH", 0xFFFF, 0)
    entry = _atom(b"alis", bytes(4) + alias)
    reference = _atom(b"dref", struct.pack(">II", 0, 1) + entry)
    at = movie.find(b"dref") - 4
    old = struct.unpack(">I", movie[at : at + 4])[0]
    more = len(reference) - old
    movie = movie[:at] + reference + movie[at + old :]
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
        place = movie.find(kind) - 4
        size = struct.unpack(">I", movie[place : place + 4])[0] + more
        movie = movie[:place] + struct.pack(">I", size) + movie[place + 4 :]
    return movie
