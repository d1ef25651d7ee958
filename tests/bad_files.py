"""Makes files that no honest recorder makes."""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterable

import numpy as np

from tests.containers import (
    HUGE,
    LONG,
    ape,
    atom,
    au,
    compressed_movie,
    compressed_tag,
    deflated,
    dsf,
    element,
    flac_of_silence,
    mkv,
    movie_elsewhere,
    nist,
    patched,
    programs,
    repeated,
    sample_table,
)
from tests.sounds import encode, mux, png, tone, wav, with_cover


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
        made[f"{rate} Hz.au"] = au(rate=rate)
    for channels in (0, 255, 1024, 65_535):
        made[f"{channels} channels.wav"] = wav(channels=channels)
        made[f"{channels} channels.au"] = au(channels=channels)
    for size in (0, HUGE, 2**32 - 1):
        made[f"{size} bytes.wav"] = wav(stated=size)
        made[f"{size} bytes.au"] = au(size=size)
    for bits in (0, 1, 7, 64, 65_535):
        made[f"{bits} bits.wav"] = wav(bits=bits)
    made["everything at once.wav"] = wav(channels=255, rate=768_000, stated=HUGE)
    for what, exponent in (("endless", 0x7FFF), ("no", 0), ("negative", 0xC00D)):
        content = patched(files["aiff"], b"COMM", 12, struct.pack(">H", exponent))
        made[f"{what} rate.aiff"] = content
    made["2^32 samples.aiff"] = patched(files["aiff"], b"COMM", 6, b"\xff" * 4)
    for rate in (float("nan"), float("inf"), -1.0, 0.0, 1e300):
        made[f"{rate} Hz.caf"] = patched(files["caf"], b"desc", 8, struct.pack(">d", rate))
        made[f"{rate} Hz.mkv"] = mkv(rate=rate)
    made["2^31 channels.caf"] = patched(files["caf"], b"desc", 32, struct.pack(">I", HUGE))
    made["2^31 packets.caf"] = patched(files["alac.caf"], b"pakt", 8, struct.pack(">Q", HUGE))
    made["2^40 channels.mkv"] = mkv(channels=2**40)
    made["2^63 bytes.rf64"] = patched(files["rf64.wav"], b"ds64", 4, b"\xff" * 7 + b"\x7f" * 17)
    made["2^63 bytes.w64"] = patched(files["w64"], b"data", 12, b"\xff" * 7 + b"\x7f")
    flac = files["flac"]
    made["2^36 samples.flac"] = flac[:21] + bytes([flac[21] | 15]) + b"\xff" * 4 + flac[26:]
    made["0 Hz.flac"] = flac[:18] + bytes(2) + bytes([flac[20] & 15]) + flac[21:]
    made["no block.flac"] = flac[:8] + bytes(4) + flac[12:]
    made["255 channels.opus.ogg"] = patched(files["opus.ogg"], b"OpusHead", 9, b"\xff")
    made["skips all.opus.ogg"] = patched(files["opus.ogg"], b"OpusHead", 10, b"\xff\xff")
    for samples in (10**8, HUGE, 2**32 - 1):
        count = struct.pack(">II", 1, samples)
        made[f"{samples} samples of a byte.m4a"] = patched(files["mov"], b"stsz", 8, count)
        made[f"{samples} samples.m4a"] = sample_table(samples)
        made[f"{samples} samples.tta"] = files["tta"][:14] + count[:3:-1] + files["tta"][18:]
        made[f"{samples} samples.ape"] = ape(frames=samples)
        made[f"{samples} samples.wv"] = patched(files["wv"], b"wvpk", 12, count[4:] + bytes(4))
        made[f"{samples} samples.nist"] = nist(sample_count=samples)
        made[f"{samples} frames.mp3"] = patched(files["mp3"], b"Xing", 8, count[4:])
        made[f"{samples} blocks.dsf"] = dsf(samples=samples)
        made[f"{samples} as length.wtv"] = files["wtv"][:0x58] + count[4:] + files["wtv"][0x5C:]
    for kind in (b"mdhd", b"mvhd"):
        made[f"no {kind.decode()} time scale.m4a"] = patched(files["m4a"], kind, 16, bytes(4))
    made["2^32 entries.m4a"] = patched(files["m4a"], b"stts", 8, b"\xff" * 8)
    for channels, rate in ((255, 16_000), (8, HUGE), (0, 0)):
        made[f"{channels} channels, {rate} Hz.nist"] = nist(rate, channels)
        made[f"{channels} channels, {rate} Hz.dsf"] = dsf(rate, channels)
        made[f"{channels} channels, {rate} Hz.ape"] = ape(rate, channels)
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
        "3 h.opus.ogg": repeated("ogg", "libopus", 48_000),
        "3 h.m4a": repeated("ipod", "aac", 8_000),
        "3 h.mkv": repeated("matroska", "flac", 16_000),
        "3 h, long blocks.mkv": repeated("matroska", "flac", 16_000, samples=32_768),
        "bomb in a block.mkv": mkv(blocks=[deflated(10**9)], compressed=True),
        "200 bombs in blocks.mkv": mkv(blocks=[deflated(9_000_000)] * 200, compressed=True),
        "bomb for a header.mov": compressed_movie(2 * 10**9),
        "80 million samples.m4a": sample_table(80_000_000),
        "bomb in a tag.mp3": compressed_tag(10**9),
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
        "m4a.m4a": atom(b"ftyp", b"M4A \0\0\0\0") + atom(b"mdat", files["m4a"]) + files["m4a"],
        "mkv.mkv": mkv(blocks=[files["mkv"]] * 20),
        "tags.mp3": b"ID3\x03\0\0\0\0\0\0" * 10_000 + files["mp3"],
        "300 streams.opus.ogg": files["opus.ogg"] * 300,
        "300 streams.vorbis.ogg": files["vorbis.ogg"] * 300,
        "30 files.flac": files["flac"] * 30,
        "30 files.aac": files["aac"] * 30,
        "2000 tracks.mkv": mkv(tracks=2_000),
        "64 programs.ts": programs(64),
        "zeros.aac": bytes(3_000_000),
        "synchronised.mp3": b"\xff\xfb\x90\x64" * 500_000,
        "synchronised.aac": b"\xff\xf1\x60\x40\x01\x1f\xfc" * 200_000,
        "packets of a sample.mkv": mkv(blocks=[b"\1\2"] * 100_000),
    }
    deep = files["m4a"]
    for _ in range(5_000):
        deep = atom(b"moov", deep) if len(deep) < 2**31 else deep
    lists = b""
    for _ in range(5_000):
        lists = b"LIST" + struct.pack("<I", len(lists) + 4) + b"INFO" + lists
    made["5000 deep.m4a"] = atom(b"ftyp", b"M4A \0\0\0\0") + deep
    made["5000 deep.wav"] = b"RIFF\xff\xff\xff\x7fWAVE" + lists + files["16.wav"][12:]
    master = b""
    for _ in range(5_000):
        master = element(0x1654AE6B, master)
    made["5000 deep.mkv"] = element(0x1A45DFA3, b"") + element(0x18538067, master)
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


def tricks(targets: Iterable[str], port: int, udp: int) -> dict[str, bytes]:
    """Return files that would make FFmpeg open another file, or a connection.

    Args:
        targets: what they refer to, paths and addresses.
        port: of this computer, to which a redirection refers.
        udp: one of this computer, to which a session description refers.
    """
    made = {}
    for index, target in enumerate(targets):
        for name, text in _REFERRING.items():
            content = text.format(target=target).encode()
            made[f"{index} {name}"] = content
            made[f"{index} after a tag {name}"] = b"ID3\x03\0\0\0\0\0\x0a" + bytes(10) + content
        made[f"{index} elsewhere.mov"] = movie_elsewhere(target)
    for name, text in {
        "session.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
        "m=audio {udp} RTP/AVP 0\na=rtpmap:0 PCMU/8000\n",
        "redirected.rtsp": "RTSP/1.0 302 Moved\r\nLocation: rtsp://127.0.0.1:{port}/x\r\n\r\n",
        "redirected.rm": "rtsp://127.0.0.1:{port}/x.rm\n",
        "described.smil": '<smil><body><audio src="rtsp://127.0.0.1:{port}/x"/></body></smil>',
    }.items():
        made[name] = text.format(port=port, udp=udp).encode()
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
