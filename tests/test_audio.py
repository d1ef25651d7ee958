import dataclasses
import io
import os
import re
import subprocess
import sys
import tracemalloc
from pathlib import Path

import av
import librosa
import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_core import audio
from tests.helpers import speech_like
from tests.sounds import (
    assert_sound,
    assert_tone,
    clip,
    encode,
    mux,
    png,
    speech,
    tone,
    wav,
    white,
    with_cover,
)

DATA = Path(os.environ.get("SER_DATA_DIR", "data"))
ROOT = Path(audio.__file__).parent.parent


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 24_414, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_any_rate_and_channel_count_becomes_16_khz_mono(rate, channels):
    assert_tone(audio.read(encode(tone(rate, channels), rate)), slack=1e-3)


@pytest.mark.parametrize(
    ("file_format", "subtype"),
    [
        ("WAV", "PCM_U8"),
        ("WAV", "PCM_16"),
        ("WAV", "PCM_24"),
        ("WAV", "PCM_32"),
        ("WAV", "FLOAT"),
        ("WAV", "DOUBLE"),
        ("WAV", "ALAW"),
        ("WAV", "ULAW"),
        ("WAV", "IMA_ADPCM"),
        ("WAVEX", "PCM_24"),
        ("RF64", "PCM_16"),
        ("W64", "PCM_16"),
        ("AU", "ULAW"),
        ("CAF", "ALAC_16"),
        ("AIFF", "PCM_16"),
        ("AIFF", "PCM_24"),
        ("FLAC", "PCM_16"),
        ("FLAC", "PCM_24"),
        ("OGG", "VORBIS"),
        ("OGG", "OPUS"),
        ("MP3", "MPEG_LAYER_III"),
    ],
)
@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (48_000, 2)])
def test_formats_of_libsndfile(file_format, subtype, rate, channels):
    result = audio.read(encode(tone(rate, channels), rate, file_format, subtype))
    assert_tone(result, slack=0.15 if subtype == "OPUS" else 0.05)


# Raw streams (ADTS, AMR, MP2 …) carry no note of the encoder's delay, so they come late.
@pytest.mark.parametrize(
    ("file_format", "codec", "rate", "channels", "video", "late"),
    [
        ("ipod", "aac", 44_100, 1, None, 0),
        ("ipod", "aac", 48_000, 2, None, 0),
        ("ipod", "alac", 44_100, 2, None, 0),
        ("adts", "aac", 16_000, 1, None, 0.1),
        ("webm", "libopus", 48_000, 1, None, 0),
        ("webm", "libopus", 48_000, 2, "libvpx", 0),
        ("mp4", "aac", 44_100, 2, "mpeg4", 0),
        ("mov", "pcm_s24le", 48_000, 2, "mpeg4", 0),
        ("matroska", "aac", 44_100, 8, None, 0),
        ("matroska", "flac", 44_100, 2, None, 0),
        ("matroska", "ac3", 48_000, 6, "mpeg4", 0),
        ("matroska", "pcm_u8", 8_000, 1, None, 0),
        ("nut", "pcm_f64le", 44_100, 2, None, 0),
        ("avi", "libmp3lame", 44_100, 2, "mpeg4", 0.05),
        ("flv", "aac", 44_100, 1, None, 0.05),
        ("asf", "wmav2", 44_100, 2, None, 0.1),
        ("amr", "libopencore_amrnb", 8_000, 1, None, 0.05),
        ("3gp", "libopencore_amrnb", 8_000, 1, None, 0.05),
        ("mpegts", "mp2", 48_000, 2, "mpeg2video", 0.05),
        ("wv", "wavpack", 44_100, 2, None, 0),
        ("tta", "tta", 44_100, 2, None, 0),
    ],
)
def test_formats_of_ffmpeg(file_format, codec, rate, channels, video, late):
    if not {codec, video} - {None} <= av.codecs_available:
        pytest.skip(f"this FFmpeg cannot encode {codec} or {video}")
    result = audio.read(mux(file_format, codec, rate, channels, video=video))
    # The bass channel of AAC 7.1 and the 4.75 to 12.2 kbit/s of AMR lose some of the tone.
    assert_tone(result, late=late, slack=0.2)


@pytest.mark.parametrize("rate", [1_000, 768_000])
def test_extreme_rates(rate):
    result = audio.read(encode(tone(rate, hertz=100, seconds=1.9), rate))
    assert_tone(result, hertz=100, seconds=1.9)


def test_a_rate_that_changes_on_the_way_is_followed():
    first, second = (mux("adts", "aac", rate) for rate in (16_000, 44_100))
    result = audio.read(first + second)
    assert result.duration == pytest.approx(
        audio.read(first).duration + audio.read(second).duration, abs=0.05
    )


def test_eight_planes_do_not_crash():
    samples = tone(48_000, 8) * ([1] + [0] * 7)
    result = audio.read(mux("matroska", "aac", 48_000, 8, samples=samples))
    assert_tone(result, level=0.5 / 8, slack=0.2)


@pytest.mark.parametrize("name", ["tone.raw", "tone.mp3", "tone.txt", "tone", "tone.m3u8"])
@pytest.mark.parametrize("make", [lambda: encode(tone(16_000)), lambda: mux("ipod", "aac")])
def test_content_decides_not_the_name(tmp_path, name, make):
    (tmp_path / name).write_bytes(make())
    assert_tone(audio.read(tmp_path / name))
    with open(tmp_path / name, "rb") as stream:
        assert_tone(audio.read(stream))


def test_sources_and_their_names(tmp_path):
    content = encode(tone(16_000))
    path = tmp_path / "tone.wav"
    path.write_bytes(content)
    used_up = io.BytesIO(content)
    used_up.name = "upload.wav"
    used_up.read()
    with open(path, "rb") as stream, open(os.open(path, os.O_RDONLY), "rb") as numbered:
        for source, name in [
            (path, "tone.wav"),
            (str(path), "tone.wav"),
            (stream, "tone.wav"),
            (numbered, "recording"),
            (used_up, "upload.wav"),
            (content, "recording"),
            (bytearray(content), "recording"),
            (memoryview(content), "recording"),
        ]:
            result = audio.read(source)
            assert_tone(result)
            assert result.name == name
            assert audio.read(source, name="mine").name == "mine"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: b"", "empty"),
        (lambda: b"Dear diary, today I said nothing.\n" * 100, "no sound can be decoded"),
        (lambda: np.random.default_rng(0).bytes(20_000), "no sound can be decoded"),
        (lambda: png(64, 64), "no sound can be decoded"),
        (lambda: encode(tone(16_000))[:40], "no sound can be decoded"),
        (lambda: encode(tone(16_000))[:44], "no sound can be decoded"),
        (lambda: encode(tone(16_000), file_format="FLAC")[:60], "no sound can be decoded"),
        (lambda: mux("ipod", "aac")[:-2_000], "no sound can be decoded"),
        (lambda: mux("mp4", None, video="mpeg4"), "no sound track"),
        (lambda: encode(tone(16_000) * np.nan, subtype="FLOAT"), "number"),
        (lambda: encode(tone(16_000) + np.inf, subtype="DOUBLE"), "number"),
        (lambda: wav(rate=999), "999 Hz"),
        (lambda: wav(rate=10_000_000), "10000000 Hz"),
    ],
)
def test_what_is_no_recording_is_refused_with_a_reason(make, message):
    with pytest.raises(audio.AudioError, match=message):
        audio.read(make())


def test_unreadable_sources_are_refused_with_a_reason(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    closed = io.BytesIO(encode(tone(16_000)))
    closed.close()
    reader, writer = os.pipe()
    with open(reader, "rb") as unseekable, open(writer, "wb"):
        for source, message in [
            (tmp_path / "missing.wav", "there is no file .*missing.wav"),
            (tmp_path, "not a file"),
            (tmp_path / "pipe", "not a file"),
            ("nul\0l", "cannot be read"),
            ("x" * 5_000, "cannot be read"),
            (closed, "cannot be read"),
            (unseekable, "cannot be read"),
        ]:
            with pytest.raises(audio.AudioError, match=message):
                audio.read(source)

    def forbid(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", forbid)
    with pytest.raises(audio.AudioError, match="may not be read"):
        audio.read("tone.wav")


def test_size_limit_is_checked_before_reading(tmp_path):
    with open(tmp_path / "huge.wav", "wb") as stream:
        stream.truncate(1 << 42)
    with pytest.raises(audio.AudioError, match="larger than 512 MB"):
        audio.read(tmp_path / "huge.wav")
    with (
        open(tmp_path / "huge.wav", "rb") as stream,
        pytest.raises(audio.AudioError, match="larger"),
    ):
        audio.read(stream)
    content = encode(tone(16_000))
    with pytest.raises(audio.AudioError, match="larger"):
        audio.read(content, max_bytes=len(content) - 1)
    assert_tone(audio.read(content, max_bytes=len(content)))


@pytest.mark.parametrize(
    "make",
    [
        lambda silence: encode(silence, 8_000, "FLAC"),
        lambda silence: encode(silence, 8_000, "MP3"),
        lambda silence: mux("ipod", "aac", 8_000, samples=silence[:, None]),
    ],
)
def test_length_limit_stops_the_decoder(make):
    content = make(np.zeros(8_000 * 900))
    tracemalloc.start()
    with pytest.raises(audio.AudioError, match="longer than 1 minutes"):
        audio.read(content, max_seconds=60, rare=audio.decode_rare)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 15e6 + len(content)  # 15 minutes are 58 MB


def test_a_clip_as_long_as_the_limit_is_read():
    assert_tone(audio.read(encode(tone(16_000)), max_seconds=2))
    with pytest.raises(audio.AudioError, match="longer"):
        audio.read(encode(tone(16_000)), max_seconds=1.99)


@pytest.mark.parametrize("subtype", ["OPUS", "VORBIS"])
def test_of_an_ogg_that_is_too_long_nothing_is_decoded(subtype, monkeypatch):
    content = encode(tone(16_000), 16_000, "OGG", subtype)
    monkeypatch.setattr(soundfile.SoundFile, "read", lambda *_, **__: pytest.fail("decoded"))
    with pytest.raises(audio.AudioError, match="longer"):
        audio.read(content, max_seconds=1.9)


@pytest.mark.parametrize("subtype", ["OPUS", "VORBIS"])
def test_an_ogg_is_as_long_as_what_is_left_of_it(subtype):
    content = encode(np.random.default_rng(0).normal(0, 0.1, 480_000), 16_000, "OGG", subtype)
    rest = audio.read(content[: len(content) // 3], max_seconds=20)
    assert 5 < rest.duration < 15
    # Of a broadcast one came late to: its clock did not begin at zero.
    starts = [at.start() for at in re.finditer(b"OggS", content)]
    headers = next(at for at in starts if content[at + 6 : at + 14] != bytes(8))
    late = audio.read(content[:headers] + content[starts[-len(starts) // 3] :], max_seconds=20)
    assert 5 < late.duration < 15


@pytest.mark.parametrize("stated", [0, 2**31, 2**32 - 1])
def test_length_in_the_header_is_not_believed(stated):
    payload = (32_767 * tone(16_000)).astype("<i2").tobytes()
    assert_tone(audio.read(wav(payload=payload, stated=stated)))


SAY_WHAT_IT_COST = """
import pathlib, re, sys
from ser_core import audio

def peak_memory():
    status = pathlib.Path("/proc/self/status")
    return int(re.search(r"VmHWM:\\s+(\\d+)", status.read_text())[1]) if status.exists() else 0

files = sorted(pathlib.Path(sys.argv[1]).iterdir())
audio.read(files[0])
heavy = {"av", "librosa", "scipy", "streamlit", "tensorflow"} & set(sys.modules)
assert not heavy, heavy
import av
before = peak_memory()
for path in files:
    try:
        audio.read(path, rare=audio.decode_rare)
    except audio.AudioError:
        pass
print(peak_memory() - before)
"""


def test_absurd_headers_cost_no_memory_and_nothing_is_printed(tmp_path):
    """In a process of its own: the memory of C libraries shows only in the total."""
    endless_flac = bytearray(encode(tone(16_000), file_format="FLAC"))
    endless_flac[21] |= 0x0F
    endless_flac[22:26] = b"\xff" * 4
    mp3 = encode(tone(16_000), file_format="MP3")
    hostile = [
        encode(tone(16_000)),
        *(wav(rate=rate) for rate in (0, 1, 10_000_000, 2**32 - 1)),
        *(wav(channels=channels) for channels in (0, 255, 1024, 65_535)),
        wav(stated=2**32 - 1),
        wav(channels=255, rate=768_000, stated=2**31),
        bytes(endless_flac),
        with_cover(mp3, png(8_000, 8_000)),
        mp3[: len(mp3) // 2],
        mp3[:500] + b"\xaa" * 100 + mp3[600:],
        b"\xff\xfb\x90\x00" + np.random.default_rng(0).bytes(3_000),
        mux("ipod", "aac")[:-100],
        *(b"RIFF\xff\xff\xff\xffWAVEfmt " + np.random.default_rng(k).bytes(99) for k in range(20)),
        *(encode(tone(16_000), file_format="AIFF")[:30] + bytes([k]) * 99 for k in range(40)),
    ]
    for index, content in enumerate(hostile):
        (tmp_path / f"{index:02}").write_bytes(content)
    run = subprocess.run(
        [sys.executable, "-c", SAY_WHAT_IT_COST, tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stderr == "" and run.returncode == 0
    assert int(run.stdout) < 60_000  # kB; the cover alone would be 190 MB


def test_a_large_cover_does_not_hide_the_sound():
    content = with_cover(encode(tone(44_100), 44_100, "MP3"), png(3_000, 3_000))
    assert_tone(audio.read(content))


def test_tags_that_are_not_utf8_do_not_matter():
    content = mux("ipod", "aac", title="a title in Latin-1")
    assert b"a title in Latin-1" in content
    assert_tone(audio.read(content.replace(b"a title in Latin-1", b"\xe9\xff\xfe\xc3 in Latin-1")))


@pytest.mark.parametrize("file_format", ["WAV", "FLAC"])
def test_channels_that_cancel_are_not_lost(file_format):
    left = tone(16_000)[:, 0]
    quieter_inverse = np.stack([-0.95 * left, left], axis=1)
    assert_tone(audio.read(encode(quieter_inverse, file_format=file_format)), slack=0.01)
    both = np.stack([left, -left, left, -left, 0 * left, 0 * left], axis=1)
    assert_tone(audio.read(encode(both, file_format=file_format)), slack=0.01)


def test_other_channels_are_averaged():
    left, right = 0.5 * speech(seed=1), 0.5 * speech(seed=2)
    result = audio.read(encode(np.stack([left, right], axis=1), subtype="FLOAT"))
    np.testing.assert_allclose(result.samples, (left + right) / 2, atol=1e-6)


def test_samples_that_are_no_numbers_become_zero():
    samples = speech()
    expected = samples.copy()
    for at, value in ((100, np.nan), (7_000, np.inf), (9_000, -np.inf), (9_500, 1e30)):
        samples[at], expected[at] = value, 0
    result = audio.read(encode(np.stack([samples, samples], axis=1), subtype="FLOAT"))
    np.testing.assert_allclose(result.samples, expected, atol=1e-7)


def test_samples_beyond_full_scale_are_scaled_not_clipped():
    samples = speech()
    result = audio.read(encode(8 * samples, subtype="FLOAT"))
    np.testing.assert_allclose(result.samples, samples / np.abs(samples).max(), atol=1e-6)
    assert np.abs(result.samples).max() == 1


def test_overshoot_of_the_resampler_stays_in_range():
    square = np.sign(tone(48_000, hertz=101)) * 0.999
    assert_sound(audio.read(encode(square, 48_000)))


@pytest.mark.parametrize(
    "content",
    [
        encode(tone(16_000)),
        encode(tone(16_000), file_format="AIFF"),
        encode(white(2), file_format="FLAC"),
        encode(white(2), file_format="MP3"),
        encode(white(2), file_format="OGG"),
        mux("webm", "libopus", 48_000),
        mux("adts", "aac"),
    ],
)
def test_of_a_truncated_file_the_beginning_is_read(content):
    whole = audio.read(content)
    half = audio.read(content[: len(content) * 3 // 5])
    assert_sound(half)
    assert 0.3 * whole.duration < half.duration < 0.8 * whole.duration
    same = len(half.samples) - 2_000
    np.testing.assert_allclose(half.samples[:same], whole.samples[:same], atol=2e-3)


def damaged(content, at, patch):
    return content[:at] + patch + content[at + len(patch) :]


def test_of_a_damaged_file_the_rest_is_read():
    flac = encode(white(4), file_format="FLAC")
    assert audio.read(damaged(flac, len(flac) // 2, b"\xaa" * 40)).duration > 3.5
    m4a = mux("ipod", "aac", 16_000, samples=white(4)[:, None])
    assert audio.read(damaged(m4a, len(m4a) // 2, bytes(3_000))).duration > 3.3
    wavpack = mux("wv", "wavpack", 16_000, samples=white(10)[:, None])
    last_block = wavpack.rindex(b"wvpk")
    assert audio.read(damaged(wavpack, last_block + 4, b"\xff" * 4)).duration > 7


SEEDS = [
    encode(speech(0.6), subtype="PCM_16"),
    encode(speech(0.6), subtype="FLOAT"),
    encode(speech(0.6), file_format="FLAC"),
    encode(speech(0.6), file_format="OGG", subtype="VORBIS"),
    encode(speech(0.6), file_format="OGG", subtype="OPUS"),
    encode(speech(0.6), file_format="MP3"),
    mux("ipod", "aac", 16_000, samples=speech(0.6)[:, None]),
    mux("webm", "libopus", 48_000, samples=speech(0.6)[:, None]),
]


def assert_read_or_refused(content):
    try:
        # Here, where nothing but FFmpeg itself stands in its way.
        result = audio.read(content, max_seconds=600, rare=audio.decode_rare)
    except audio.AudioError as error:
        assert str(error)
        return
    assert_sound(result)
    audio.quality(result)
    assert len(audio.trim(result).samples)


@settings(max_examples=2000, deadline=None)
@given(
    content=st.sampled_from(SEEDS),
    kept=st.floats(0, 1) | st.just(1.0),
    # Positions near the start more often: headers are where the harm is done.
    flips=st.lists(st.tuples(st.integers(0, 200) | st.integers(0, 60_000), st.integers(1, 255))),
)
def test_damage_gives_a_clip_or_an_audio_error(content, kept, flips):
    content = bytearray(content[: int(len(content) * kept)])
    for at, bits in flips:
        if content:
            content[at % len(content)] ^= bits
    assert_read_or_refused(bytes(content))


MAGIC = [b"", b"RIFF", b"RIFF\xff\0\0\0WAVEfmt ", b"fLaC", b"OggS", b"ID3\3\0", b"\xff\xfb\x90\x64"]
MAGIC += [b"\0\0\0\x20ftypM4A ", b"\x1aE\xdf\xa3", b"#!AMR\n", b"FORM\0\0\1\0AIFF", b"\xff\xf1\x60"]


@settings(max_examples=1000, deadline=None)
@given(magic=st.sampled_from(MAGIC), content=st.binary(max_size=3_000))
def test_random_bytes_give_a_clip_or_an_audio_error(magic, content):
    assert_read_or_refused(magic + content)


# --- trimming ------------------------------------------------------------------------------------


def padded(samples, before, after):
    return np.pad(samples, (before, after)).astype(np.float32)


@pytest.mark.parametrize("top_db", [10, 30, 60])
@pytest.mark.parametrize(
    "samples",
    [
        speech(),
        padded(speech(), 16_000, 8_001),
        padded(speech(snr_db=20), 700, 0),
        padded([0.5], 0, 5_000),
        padded([0.5], 5_119, 0),
        padded([0.5], 5_120, 0),
        padded([0.5], 5_000, 5_000),
        np.full(100, 0.1, np.float32),
        np.full(512, 0.1, np.float32),
        np.array([0.1], np.float32),
        np.linspace(0, 0.9, 40_000, dtype=np.float32),
    ],
)
def test_trim_is_that_of_librosa(samples, top_db):
    expected, (start, end) = librosa.effects.trim(samples, top_db=top_db, hop_length=128)
    assert audio.speech_bounds(samples, top_db=top_db) == (start, end)
    np.testing.assert_array_equal(audio.trim(clip(samples), top_db=top_db).samples, expected)


def test_in_a_long_clip_each_few_seconds_are_trimmed_by_their_own_level():
    quiet, shout = 0.01 * speech(3), speech(3)
    joined = np.concatenate([padded(quiet, 32_000, 64_000), padded(shout, 0, 64_000)])
    before = audio.speech_bounds(padded(quiet, 32_000, 64_000))[0]
    after = audio.speech_bounds(padded(shout, 0, 64_000))[1]
    start, end = audio.speech_bounds(joined)
    assert abs(start - before) <= 1024 and abs(end - 144_000 - after) <= 1024


@pytest.mark.parametrize("speed", [0.8, 1.0, 1.25])
def test_another_speed_changes_duration_and_pitch(speed):
    before = clip(tone(16_000, hertz=400)[:, 0])
    after = audio.play_at(before, speed)
    assert after.duration == pytest.approx(before.duration / speed, rel=1e-3)
    spectrum = np.abs(np.fft.rfft(after.samples))
    assert spectrum.argmax() / after.duration == pytest.approx(400 * speed, rel=0.01)


def test_trim_defaults_to_30_db_and_keeps_the_rest_of_the_clip():
    samples = padded(speech(), 16_000, 16_000)
    trimmed = audio.trim(clip(samples, "mine"))
    np.testing.assert_array_equal(trimmed.samples, audio.trim(clip(samples), top_db=30).samples)
    assert (trimmed.name, trimmed.sample_rate) == ("mine", 16_000)
    assert 2.5 < trimmed.duration < 3


@pytest.mark.parametrize("n", [0, 1, 512, 50_000])
def test_trim_leaves_digital_silence_alone(n):
    assert len(audio.trim(clip(np.zeros(n))).samples) == n


@pytest.mark.parametrize("gain_db", [-120, -60, -30, 6])
def test_trim_does_not_depend_on_level(gain_db):
    samples = padded(speech(snr_db=28), 9_000, 12_345)
    gained = samples * np.float32(10 ** (gain_db / 20))
    assert audio.speech_bounds(gained) == audio.speech_bounds(samples)


# --- quality -------------------------------------------------------------------------------------


def codes(samples):
    return [issue.code for issue in audio.quality(clip(samples)).issues]


@pytest.mark.parametrize("seed", range(20))
def test_good_speech_has_no_issues(seed):
    assert codes(speech(seed=seed)) == []
    assert codes(speech(seed=seed, pause=0)) == []


def test_quality_says_what_was_measured():
    samples = padded(speech(2, snr_db=30), 16_000, 0)
    result = audio.quality(clip(samples))
    assert result.duration == 3
    assert 0.8 < result.speech_seconds < 2
    assert result.peak == pytest.approx(np.abs(samples).max())
    assert result.clipped_fraction == 0
    assert result.snr_db == pytest.approx(30, abs=4)
    for field in dataclasses.fields(result):
        assert type(getattr(result, field.name)) in (float, tuple)


@pytest.mark.parametrize("snr_db", [0, 6, 15, 20, 30, 40])
def test_snr_is_estimated(snr_db):
    result = audio.quality(clip(speech(5, snr_db=snr_db)))
    assert result.snr_db == pytest.approx(snr_db, abs=4)
    assert [issue.code for issue in result.issues] == (["noisy"] if snr_db < 10 else [])
    assert all(issue.severity == "warning" for issue in result.issues)


@pytest.mark.parametrize(
    ("samples", "code"),
    [
        (np.zeros(0), "silent"),
        (np.zeros(100), "silent"),
        (np.zeros(64_000), "silent"),
        (np.random.default_rng(0).integers(-2, 3, 64_000) / 2**15, "silent"),
        (speech() * 1e-4, "silent"),
        (np.full(64_000, 0.3), "not_speech"),
        (white(3), "not_speech"),
        (white(60, 0.001), "not_speech"),
        (np.sin(2 * np.pi * 440 * np.arange(48_000) / 16_000), "not_speech"),
    ],
)
def test_without_speech_nothing_is_measured(samples, code):
    result = audio.quality(clip(samples))
    assert [(issue.code, issue.severity) for issue in result.issues] == [(code, "error")]
    assert (result.speech_seconds, result.snr_db, result.clipped_fraction) == (0, 0, 0)


@pytest.mark.parametrize("n", [1, 319, 320, 1_000])
def test_a_few_samples_are_too_short(n):
    result = audio.quality(clip(white(1)[:n]))
    assert [issue.code for issue in result.issues] == ["too_short"]
    assert result.snr_db == 0, "nobody speaks"


def test_less_than_half_a_second_of_speech_is_too_short():
    word = speech_like(0.4)
    quiet = white(4, 1e-4)
    quiet[20_000:26_400] += word
    result = audio.quality(clip(quiet))
    assert [(issue.code, issue.severity) for issue in result.issues] == [("too_short", "error")]
    assert f"{result.speech_seconds:.2f} s" in result.issues[0].text
    quiet[40_000:46_400] += word
    assert codes(quiet) == []


@pytest.mark.parametrize("background", [0, 1e-4, 1e-3])
def test_two_words_in_a_minute_of_silence_are_found(background):
    samples = white(60, background)
    for at in (100_000, 700_000):
        samples[at : at + 16_000] += speech(1.5, seed=3, snr_db=80)[3_000:19_000]
    result = audio.quality(clip(samples))
    assert [issue.code for issue in result.issues] == ["long"]
    active = np.flatnonzero(audio.speech_activity(clip(samples).samples)) * audio.ACTIVITY_HOP
    inside = (abs(active - 108_000) < 8_400) | (abs(active - 708_000) < 8_400)
    assert len(active) * 0.02 == pytest.approx(result.speech_seconds)
    assert inside.mean() > 0.99 and result.speech_seconds > 1


def test_zeros_around_do_not_hide_the_noise():
    noisy = speech(4, snr_db=5)
    bare, amid_zeros = (
        audio.quality(clip(samples)) for samples in (noisy, padded(noisy, 30_000, 30_000))
    )
    assert amid_zeros.snr_db == pytest.approx(bare.snr_db, abs=1)
    assert [issue.code for issue in amid_zeros.issues] == ["noisy"]
    assert amid_zeros.speech_seconds == pytest.approx(bare.speech_seconds, abs=0.1)


def test_pauses_are_no_speech_however_loud_the_noise():
    samples = padded(speech(2, snr_db=60), 32_000, 32_000) + white(6, 0.01)
    active = audio.speech_activity(clip(samples).samples)
    assert not active[:100].any() and not active[200:].any()
    assert active[100:200].sum() > 40


def test_what_is_far_below_the_voice_is_no_speech_however_quiet_the_pauses():
    samples = padded(speech(2, snr_db=60), 48_000, 0) + white(5, 1e-5)
    samples[:32_000] += white(2, 0.002)
    assert not audio.speech_activity(clip(samples).samples)[:150].any()


def test_a_dc_offset_is_no_sound():
    samples = speech(4)
    assert audio.quality(clip(samples + 0.3)).snr_db == pytest.approx(
        audio.quality(clip(samples)).snr_db, abs=1
    )


def test_a_long_loud_recording_is_judged_in_little_memory():
    """A constant just below the peaks: all of it may be cut off, and is looked at for that."""
    samples = np.full(20 * 60 * 16_000, 0.9, np.float32)
    samples[:48_000] = 1.8 * speech()
    tracemalloc.start()
    assert codes(samples) == ["clipped", "long"]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < samples.nbytes


def test_speech_activity_of_nothing_is_nothing():
    assert audio.speech_activity(np.zeros(319, np.float32)).shape == (0,)
    assert not audio.speech_activity(np.zeros(32_000, np.float32)).any()
    assert audio.speech_activity(speech(3)).shape == (3 * 16_000 // audio.ACTIVITY_HOP,)


def test_long_recordings_are_said_to_be_long():
    assert codes(speech(30)) == []
    result = audio.quality(clip(speech(31)))
    assert [(issue.code, issue.severity) for issue in result.issues] == [("long", "warning")]
    assert "longer than the clips of about 3 s" in result.issues[0].text
    assert "average" in result.issues[0].text


def overdriven(samples, fraction):
    return np.clip(samples / np.quantile(np.abs(samples), 1 - fraction), -1, 1)


@pytest.mark.parametrize("seed", range(6, 11))
@pytest.mark.parametrize("fraction", [0.01, 0.03, 0.1])
@pytest.mark.parametrize("turned_down", [1, 0.03])
@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
def test_clipping_is_found_even_turned_down_and_resampled(seed, fraction, turned_down, rate):
    samples = overdriven(soxr.resample(speech(4, seed=seed), 16_000, rate), fraction)
    result = audio.quality(audio.read(encode(samples * turned_down, rate)))
    assert [issue.code for issue in result.issues] == ["clipped"]
    assert fraction / 2 < result.clipped_fraction < fraction * 2


def test_clipping_of_one_side_only_is_found():
    samples = speech(4)
    samples = np.minimum(samples, 0.4 * samples.max())
    assert codes(samples) == ["clipped"]


@pytest.mark.parametrize("gain_db", [-60, -30, -20, -10, 6])
@pytest.mark.parametrize(
    "samples",
    [
        speech(),
        speech(seed=1, snr_db=7),
        overdriven(speech(seed=2), 0.03),
        speech(31),
        white(3),
        padded(speech(0.7), 8_000, 8_000),
    ],
)
def test_quality_does_not_depend_on_level(samples, gain_db):
    samples = 0.4 * np.asarray(samples, np.float32)
    expected = audio.quality(clip(samples))
    result = audio.quality(clip(samples * np.float32(10 ** (gain_db / 20))))
    assert [issue.code for issue in result.issues] == [issue.code for issue in expected.issues]
    assert result.speech_seconds == pytest.approx(expected.speech_seconds, abs=0.021)
    assert result.snr_db == pytest.approx(expected.snr_db, abs=0.1)
    assert result.clipped_fraction == pytest.approx(expected.clipped_fraction, rel=0.05)


# --- real recordings -----------------------------------------------------------------------------


def corpus(pattern, count=400):
    files = sorted(DATA.glob(pattern))
    if not files:
        pytest.skip("no recordings in SER_DATA_DIR")
    return files[:: max(1, len(files) // count)]


@pytest.mark.realdata
def test_originals_match_their_16_khz_twins():
    twins = {path.stem: path for path in DATA.glob("[rts]*/**/*.flac")}
    for path in corpus("original/*.wav"):
        ours = audio.read(path).samples
        theirs, _ = soundfile.read(twins[path.stem], dtype="float32")
        assert abs(len(ours) - len(theirs)) <= 1
        n = min(len(ours), len(theirs))
        # The twins have 16 bits, and where the resampler overshoots they are clipped, not scaled.
        error = ours[:n] - theirs[:n]
        assert np.abs(error).max() < 2e-3
        assert error.std() < 5e-3 * theirs.std()


@pytest.mark.realdata
@pytest.mark.parametrize("pattern", ["ravdess/*/*.flac", "tess/*/*.flac", "savee/*.flac"])
def test_corpora_are_fit_to_be_judged(pattern):
    found = []
    for path in corpus(pattern):
        result = audio.read(path)
        assert_sound(result)
        if result.duration < 6:  # one block
            trimmed = librosa.effects.trim(result.samples, top_db=30, hop_length=128)[1]
            assert audio.speech_bounds(result.samples) == tuple(trimmed)
        issues = {issue.code for issue in audio.quality(result).issues}
        # A third of SAVEE is overdriven as published: long runs at full scale.
        if np.count_nonzero(np.abs(result.samples) > 0.9999) >= 3:
            issues -= {"clipped"}
        found.append(issues)
    assert set().union(*found) <= {"noisy", "not_speech"}
    assert np.mean([bool(issues) for issues in found]) < 0.01


@pytest.mark.realdata
@pytest.mark.parametrize(("fraction", "at_least"), [(0.003, 0.6), (0.01, 0.9), (0.05, 0.9)])
def test_clipping_of_real_speech_is_found(fraction, at_least):
    paths = corpus("ravdess/*/03-01-*.flac", 60) + corpus("tess/*/*.flac", 60)
    clips = [soxr.resample(audio.read(path).samples, 16_000, 48_000) for path in paths]
    found = [
        "clipped" in {issue.code for issue in audio.quality(audio.read(encode(bad, 48_000))).issues}
        for bad in (overdriven(samples, fraction) for samples in clips)
    ]
    assert np.mean(found) > at_least
