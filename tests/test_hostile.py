"""Files that are meant to do harm: each gives an answer or a sentence, and nothing else happens."""

import ctypes
import errno
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_core import audio, decoder
from ser_core.errors import UndertoneError
from tests import bad_files, containers
from tests.helpers import ROOT
from tests.sounds import assert_sound, mux, tone

ORDINARY = bad_files.ordinary()

# Takes protections away: FFmpeg's options that are not wanted, and adds others.
LOOSEN = """
import json, pathlib, socket, sys, time
from ser_core import audio, decoder

for option, value in json.loads(sys.argv[1]).items():
    audio._FFMPEG_OPTIONS.pop(option, None)
    if value:
        audio._FFMPEG_OPTIONS[option] = value
"""
SERVE = LOOSEN + "decoder._serve(socket.socket(fileno=int(sys.argv[2])))"

# Hears, keeps and draws every file of a folder as a page does, and says of each what came of it.
HEAR = f"""{LOOSEN}
from ser_core import history, plots_over_time, timeline
from ser_core.features import FeatureSpec
from ser_core.recognizer import Recognizer

def on_a_page(clip):
    found, kept = recognizer.predict(clip), {{}}
    entry = kept[history.remember(kept, clip, found, title=clip.name)]
    del clip
    timeline.timeline(found, entry.clip(), threshold=0.5)
    plots_over_time.pictures(entry.clip(), FeatureSpec())
    return found.model

if sys.argv[1] != "{{}}":
    decoder._COMMAND = (sys.executable, "-c", {SERVE!r}, sys.argv[1])
rare = audio.decode_rare if sys.argv[3] == "here" else None
recognizer = Recognizer.from_name("swift")
for path in sorted(pathlib.Path(sys.argv[2]).iterdir()):
    began, worked = time.monotonic(), time.process_time()
    try:
        said = on_a_page(audio.read(path, rare=rare))
    except audio.AudioError as error:
        said = str(error)
    took, work = time.monotonic() - began, time.process_time() - worked
    # Not `ru_maxrss`, which is at least what the parent had when it began this process.
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    peak = 1024 * int(status["VmHWM"].split()[0])
    print(json.dumps([path.name, said, took, work, peak]), flush=True)
"""


def write(folder, files):
    folder.mkdir(exist_ok=True)
    for index, (name, content) in enumerate(files.items()):
        (folder / f"{index:04} {name.replace('/', ' ')}"[:200]).write_bytes(content)


def hear(folder, options=None, *, where="apart", seconds=900):
    """What came of each file, in how many seconds and how much work; the most memory it took."""
    command = ["-c", HEAR, json.dumps(options or {}), str(folder), where]
    code, printed, complaints, memory = watched(command, seconds)
    lines = [json.loads(line) for line in printed.splitlines()]
    # A crash, and one that hangs, are of the file after the last one.
    last = lines[-1][0] if lines else "none"
    assert code == 0 and complaints == "", f"after {last}: {complaints}"
    return {name: rest for name, *rest in lines}, memory


def watched(arguments, seconds):
    """The status and output of a Python process; the most memory that it or a child took."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    most = []
    watch = threading.Thread(target=lambda: most.extend(memory_while(process)))
    watch.start()
    try:
        printed, complaints = process.communicate(timeout=seconds)
    finally:
        process.kill()
        watch.join()
    return process.returncode, printed, complaints, max(most)


def memory_while(process):
    """Yield the memory in bytes that the largest process of a session has, ten times a second."""
    pause = threading.Event()
    while process.poll() is None:
        yield max((rss for rss in map(memory_of, members(process.pid))), default=0)
        pause.wait(0.1)


def members(session):
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(folder.name)) == session:
                yield folder
        except OSError:
            continue


def memory_of(folder):
    try:
        return int((folder / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def test_every_bad_file_gives_an_answer_or_a_sentence(tmp_path, subtests):
    """One test, for hearing them takes half a minute, and in each of pytest's processes again."""
    files = {
        **ORDINARY,
        **bad_files.damaged(ORDINARY),
        **bad_files.absurd(ORDINARY),
        **bad_files.compressed(),
        **bad_files.nested(ORDINARY),
        **bad_files.odd(),
    }
    assert len(files) > 500
    write(tmp_path / "files", files)
    answers, memory = hear(tmp_path / "files")
    assert len(answers) == len(files)
    for name, (said, took, work, peak) in answers.items():
        assert said == "swift" or "\n" not in said and 20 < len(said) < 200, name
        # Ten seconds at most, by a clock that stands still while others have the processor. What
        # FFmpeg does elsewhere is not on that clock; there, the decoder sees to it.
        assert work < 10 and took < 60, name
        assert peak < 1e9, name
    assert memory < 1e9  # of whoever decodes for it
    # What is only called by a wrong name, or damaged a little, is heard nevertheless.
    answered = [name for name, (said, *_) in answers.items() if said == "swift"]
    assert sum("called ." in name for name in answered) == len(ORDINARY)
    assert sum("flipped anywhere" in name for name in answered) > len(ORDINARY)
    for name, says in SAID.items():
        with subtests.test(name):
            (said,) = (said for full, (said, *_) in answers.items() if full[5:] == name)
            assert says in said


SAID = {
    "2 h.flac": "swift",
    "3 h.flac": "longer than 120 minutes",
    "3 h, long blocks.mkv": "longer than 120 minutes",
    "3 h.m4a": "cut it into pieces",  # too long or, on a slow machine, too slow
    "3 h.opus.ogg": "longer than 120 minutes",
    "655 kHz, 8 channels.flac": "takes too long; export the recording again",
    "3 h, 1 Hz.flac": "the sampling rate is 1 Hz",
    "bomb for a header.mov": "more time or memory",
    "80 million samples.m4a": "no sound can be decoded",
    "bomb in a tag.mp3": "swift",
    "10000000 Hz.wav": "the sampling rate is 10000000 Hz",
    "nothing": "empty",
}


def test_a_decoder_that_hangs_is_ended():
    """By the processor's time, of which it may have more for a longer file."""
    hang = """
import os, resource, socket, sys
from ser_core import audio, decoder

def decode(data, max_seconds):
    print(*resource.getrlimit(resource.RLIMIT_CPU), flush=True)
    while True:
        pass

audio._SECONDS, audio._MOST_SECONDS, audio.decode_rare = 0, 1, decode
ours, theirs = socket.socketpair()
child = os.fork()
if not child:
    ours.close()
    decoder._answer(theirs)
theirs.close()
ours.sendall(bytes(8 + int(sys.argv[1])))
ours.shutdown(socket.SHUT_WR)
assert ours.recv(1) == b"", "no answer"
_, how, used = os.wait4(child, 0)
print(os.WTERMSIG(how), used.ru_utime + used.ru_stime)
"""
    for size, seconds in ((200_000, 2), (500_000, 3), (9_000_000, 3)):
        *limits, how, used = subprocess.run(
            [sys.executable, "-c", hang, str(size)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        assert list(map(int, limits)) == [seconds, seconds]
        assert int(how) in (signal.SIGKILL, signal.SIGXCPU)
        # The kernel counts ticks: some tenths too many, where others want the processor, too.
        assert seconds - 0.5 < float(used) < seconds + 1


# --- playlists and other references --------------------------------------------------------------


@contextmanager
def opened(path):
    """Yields a function that tells whether anybody has opened a file, whatever the language."""
    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init1(os.O_NONBLOCK)
    assert watch >= 0 and libc.inotify_add_watch(watch, os.fsencode(path), 0x20) >= 0  # IN_OPEN

    def was():
        try:
            return bool(os.read(watch, 4096))
        except BlockingIOError:
            return False

    yield was
    os.close(watch)


@contextmanager
def connections():
    """Yields a port of this computer, and the list of those who have called it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        callers = []

        def answer():
            while True:
                try:
                    connection, caller = server.accept()
                except OSError:
                    return
                callers.append(caller)
                connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        yield server.getsockname()[1], callers
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


@contextmanager
def datagrams():
    """Yields a port, and the list of what has been received there over UDP, or sent from it.

    Whoever listens to a session does not call, so that somebody has to knock: as long as nobody is
    at that port, this computer says so.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as knocks:
        knocks.bind(("127.0.0.1", 0))
        knocks.settimeout(0.01)
        port = free_port()
        knocks.connect(("127.0.0.1", port))
        seen, over = [], threading.Event()

        def knock():
            while not over.is_set():
                try:
                    knocks.send(RTP)
                    seen.append(knocks.recv(9_000))
                except TimeoutError:
                    seen.append("heard")
                except ConnectionRefusedError:
                    over.wait(0.01)

        thread = threading.Thread(target=knock)
        thread.start()
        try:
            yield port, seen
        finally:
            over.set()
            thread.join()


RTP = bytes([0x80, 0]) + bytes(10) + b"\xff" * 160  # 20 ms of silence in µ-law


def free_port():
    """An even one, as RTP has it, at which neither it nor the next is anybody's."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
        if port % 2 == 0:
            return port


# FFmpeg is careful by itself, too; here, it is asked not to be.
NO_FORMATS = {"format_whitelist": None, "safe": "0"}
NO_PROTOCOLS = {"protocol_whitelist": None, "safe": "0"}
DREFS = {"enable_drefs": "1", "use_absolute_path": "1"}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks on by inotify")
@pytest.mark.parametrize(
    ("options", "where", "harm"),
    [
        ({}, "apart", False),
        ({}, "here", False),
        (NO_FORMATS | DREFS, "here", False),
        (NO_PROTOCOLS, "here", False),
        (NO_FORMATS | NO_PROTOCOLS | DREFS, "apart", False),
        (NO_FORMATS | NO_PROTOCOLS | DREFS, "here", True),
    ],
    ids=["as it is", "here", "protocols alone", "formats alone", "process alone", "unprotected"],
)
def test_references_are_not_followed(tmp_path, options, where, harm):
    """Each of three walls is enough; without any, the look-out would see what happens."""
    canary = tmp_path / "canary.wav"
    soundfile.write(canary, tone(16_000), 16_000)
    with (
        opened(canary) as was_opened,
        connections() as (port, callers),
        datagrams() as (udp, heard),
    ):
        url = f"http://127.0.0.1:{port}/canary.wav"
        targets = [str(canary), os.path.relpath(canary, ROOT), canary.as_uri(), url]
        targets += [url.replace("http", "tcp")]
        if not harm:  # FFmpeg would wait for ever
            targets += [f"udp://127.0.0.1:{udp}", f"rtp://127.0.0.1:{udp}"]
        files = bad_files.tricks(targets, port, udp)
        if harm:
            del files["session.sdp"]
        write(tmp_path / "tricks", files)
        answers, _ = hear(tmp_path / "tricks", options, where=where)
        assert len(answers) == len(files)
        assert was_opened() is harm and bool(callers) is harm
    assert not heard
    if not harm:
        assert "swift" not in {said for said, *_ in answers.values()}


@pytest.mark.parametrize("name", ["session.sdp", "0 list.ffconcat", "1 list.ffconcat"])
def test_who_follows_a_reference_over_udp_would_be_seen(tmp_path, name):
    with datagrams() as (udp, heard):
        targets = (f"udp://127.0.0.1:{udp}", f"rtp://127.0.0.1:{udp}")
        files = bad_files.tricks(targets, 1, udp)
        write(tmp_path / "tricks", {name: files[name]})
        options = json.dumps(NO_FORMATS | NO_PROTOCOLS)
        command = [sys.executable, "-c", HEAR, options, str(tmp_path / "tricks"), "here"]
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while not heard and process.poll() is None:
            time.sleep(0.02)
        process.kill()
        process.wait()
        assert heard


# --- any damage at all ---------------------------------------------------------------------------

NUMBERS = [0, 1, 0x7F, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 10**8, 2**31 - 1, 2**31, 2**32 - 1, 2**63, -1]
CHANGES = st.tuples(
    # Near the start more often: headers are where the harm is done.
    st.integers(0, 200) | st.integers(0, 60_000),
    st.sampled_from((1, 2, 4, 8)),
    st.sampled_from(NUMBERS) | st.integers(0, 255),
    st.sampled_from(("little", "big")),
)


@st.composite
def damaged(draw) -> bytes:
    """An ordinary file, perhaps cut off, with absurd numbers in it."""
    content = bytearray(ORDINARY[draw(st.sampled_from(list(ORDINARY)))])
    del content[int(len(content) * draw(st.floats(0, 1) | st.just(1.0))) :]
    for at, size, number, order in draw(st.lists(CHANGES, max_size=8)):
        if content:
            at %= len(content)
            content[at : at + size] = (number % 256**size).to_bytes(size, order)
    return bytes(content)


@settings(max_examples=1000, deadline=None)
@given(damaged())
def test_absurd_numbers_anywhere_give_a_clip_or_an_audio_error(content):
    try:
        found = audio.read(content, max_seconds=600, rare=audio.decode_rare)
    except audio.AudioError as error:
        assert str(error)
        return
    assert_sound(found)


# --- FFmpeg in a process of its own --------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(damaged())
def test_absurd_numbers_are_no_trouble_to_the_app_either(content):
    try:
        assert_sound(audio.read(content))
    except audio.AudioError as error:
        assert str(error)


@pytest.mark.parametrize("name", ORDINARY)
def test_apart_the_same_is_heard(name):
    here = audio.read(ORDINARY[name], rare=audio.decode_rare)
    apart = audio.read(ORDINARY[name], name="mine")
    np.testing.assert_array_equal(apart.samples, here.samples)
    assert apart.name == "mine"


def test_many_at_once_get_their_own(tmp_path):
    contents = [mux("ipod", "aac", 16_000, samples=tone(16_000, hertz=200 + i)) for i in range(24)]
    expected = [audio.read(content, rare=audio.decode_rare).samples for content in contents]
    with ThreadPoolExecutor(8) as pool:
        for clip, samples in zip(pool.map(audio.read, contents), expected, strict=True):
            np.testing.assert_array_equal(clip.samples, samples)


def test_no_more_are_decoded_at_once_than_there_are_processors():
    hostile, most, many = containers.sample_table(80_000_000), 0, 4 * os.cpu_count()

    def refused():
        with pytest.raises(audio.AudioError):
            audio.read(hostile)

    audio.read(ORDINARY["m4a"])  # from here on there is a process that forks
    forks = Path(f"/proc/{decoder._server[0].pid}/task/{decoder._server[0].pid}/children")
    with ThreadPoolExecutor(many) as pool:
        readings = [pool.submit(refused) for _ in range(many)]
        while not all(reading.done() for reading in readings):
            # Those that are about to end have given their memory back.
            held = [memory_of(Path("/proc") / fork) for fork in forks.read_text().split()]
            most = max(most, sum(memory > 0 for memory in held))
            time.sleep(0.005)
    for reading in readings:
        reading.result()
    assert 1 <= most <= os.cpu_count()


@pytest.mark.parametrize("kind", ["flac", "m4a"])
def test_decoding_ends_when_its_time_is_up(kind, monkeypatch):
    audio.read(ORDINARY[kind], rare=audio.decode_rare)
    monkeypatch.setattr(audio, "_MOST_SECONDS", 0)
    with pytest.raises(audio.AudioError, match="1 channels at .* takes too long"):
        audio.read(ORDINARY[kind], rare=audio.decode_rare)


def test_what_is_refused_apart_is_refused_in_the_same_words():
    for content in (b"only text" * 50, mux("mp4", None, video="mpeg4"), mux("nut", "pcm_u8", 900)):
        with pytest.raises(audio.AudioError) as here:
            audio.read(content, rare=audio.decode_rare)
        with pytest.raises(audio.AudioError) as apart:
            audio.read(content)
        assert str(apart.value) == str(here.value)


def test_the_command_line_takes_no_gigabyte_either(tmp_path):
    for number in range(3):
        (tmp_path / f"{number}.m4a").write_bytes(containers.sample_table(80_000_000))
    files = map(str, sorted(tmp_path.iterdir()))
    code, _, said, memory = watched(["-m", "ser_core", "predict", *files], 300)
    assert code == 2 and said.count("no sound can be decoded") == 3
    assert memory < 1e9
    batch = ["batch", str(tmp_path), "--output", str(tmp_path / "out.parquet")]
    code, _, said, memory = watched(["-m", "ser_core", *batch], 300)
    assert code == 0 and memory < 1e9, said


def test_a_damaged_file_adds_nothing_to_what_a_command_prints(tmp_path):
    """As libsndfile does where the table of Apple Lossless sound's packets is damaged."""
    whole = ORDINARY["alac.caf"]
    table = whole.index(b"pakt") + 36
    (tmp_path / "a.caf").write_bytes(whole[:table] + b"\xff" * 8 + whole[table + 8 :])
    _, printed, *_ = watched(["-m", "ser_core", "predict", str(tmp_path / "a.caf"), "--json"], 300)
    json.loads(printed)


def test_after_a_crash_it_goes_on():
    """Whoever has died: the fork that decoded, or the process that it came from."""
    assert_sound(audio.read(ORDINARY["m4a"]))
    with pytest.raises(audio.AudioError, match="more time or memory"):
        audio.read(containers.compressed_movie(2 * 10**9))
    assert_sound(audio.read(ORDINARY["m4a"]))
    process, _ = decoder._server
    process.kill()
    process.wait()
    assert_sound(audio.read(ORDINARY["m4a"]))


def died(code, file, content):
    """Return the number of a decoder that is gone, after code that prints it and dies."""
    file.write_bytes(content)
    gone = subprocess.run(
        [sys.executable, "-c", code, file], cwd=ROOT, capture_output=True, text=True
    )
    # The decoder's end is not ours to wait for; that it comes is enough.
    while Path(f"/proc/{int(gone.stdout)}").exists():
        time.sleep(0.05)
    return int(gone.stdout)


def test_a_machine_without_room_for_it_is_not_blamed_on_the_recording(monkeypatch):
    monkeypatch.setattr(decoder, "_server", None)

    def full(*arguments, **options):
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    with monkeypatch.context() as patched:
        patched.setattr(subprocess, "Popen", full)
        with pytest.raises(UndertoneError, match="no process can be started") as said:
            audio.read(ORDINARY["m4a"])
    assert not isinstance(said.value, audio.AudioError)  # which `batch` would write down
    assert_sound(audio.read(ORDINARY["m4a"]))


def test_it_ends_with_whoever_began_it(tmp_path):
    code = (
        "import os, sys; from ser_core import audio, decoder; audio.read(sys.argv[1])\n"
        "print(decoder._server[0].pid, flush=True); os.kill(os.getpid(), 9)"
    )
    died(code, tmp_path / "a.m4a", ORDINARY["m4a"])


def test_what_it_decodes_ends_with_whoever_began_it(tmp_path):
    code = (
        "import os, pathlib, sys, threading, time; from ser_core import audio, decoder\n"
        "threading.Thread(target=audio.read, args=sys.argv[1:], daemon=True).start()\n"
        "def forks(): return pathlib.Path(f'/proc/{pid}/task/{pid}/children').read_text()\n"
        "while not decoder._server: time.sleep(0.01)\n"
        "pid = decoder._server[0].pid\n"
        "while not forks(): time.sleep(0.01)\n"
        "print(pid, flush=True); os.kill(os.getpid(), 9)"
    )
    group = died(code, tmp_path / "3 h.mkv", bad_files.compressed()["3 h.mkv"])
    time.sleep(0.5)
    with pytest.raises(ProcessLookupError):  # of its group is nobody left
        os.killpg(group, 0)


def test_ctrl_c_while_it_starts_is_no_word_of_its_own(tmp_path):
    (tmp_path / "a.m4a").write_bytes(ORDINARY["m4a"])
    code = (
        "import signal, sys; from ser_core import audio, decoder\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "begin = decoder._start\n"
        "def start(): found = begin(); print('begun', flush=True); return found\n"
        "decoder._start = start\n"
        "try: [audio.read(sys.argv[1]) for _ in range(1000)]\n"
        "except KeyboardInterrupt: print('stopped')"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path / "a.m4a"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout.readline() == "begun\n"
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to every process
    assert process.communicate() == ("stopped\n", "")
