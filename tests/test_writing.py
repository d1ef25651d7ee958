import os
import signal
import subprocess
import sys
import time

from ser_core import writing
from tests.helpers import ROOT


def test_what_a_killed_process_left_is_removed_a_day_later(tmp_path):
    """By any process that writes into the same folder; what may still be written is left alone."""
    code = (
        "import os, pathlib, sys; from ser_core import writing\n"
        "def die(file): file.write(b'half'); file.flush(); os.kill(os.getpid(), 9)\n"
        "writing.keep(pathlib.Path(sys.argv[1]), die)"
    )
    left = []
    for name in ("old.npy", "new.npy"):
        gone = subprocess.run([sys.executable, "-c", code, tmp_path / name], cwd=ROOT)
        assert gone.returncode == -signal.SIGKILL
        left += [file for file in tmp_path.iterdir() if file not in left]
    others = [tmp_path / name for name in (".old-20240101.npy", ".old.unfinished", "a.unfinished")]
    for file in others:
        file.touch()
    then = time.time() - 25 * 3600
    for file in (left[0], *others):
        os.utime(file, (then, then))
    assert len(left) == 2 and all(file.read_bytes() == b"half" for file in left)
    writing.keep(tmp_path / "other.npy", lambda file: file.write(b"whole"))
    assert set(tmp_path.iterdir()) == {left[1], *others, tmp_path / "other.npy"}


def test_a_file_is_as_it_was_if_it_cannot_be_replaced(tmp_path):
    file = tmp_path / "a.json"
    writing.write_json(file, 1)
    writing.keep(file, lambda opened: opened.write(b"half") and opened.truncate(-1))
    assert list(tmp_path.iterdir()) == [file] and file.read_text() == "1\n"


def test_a_clock_that_jumps_by_days_takes_nobodys_half_written_file(tmp_path, monkeypatch):
    file, now = tmp_path / "a.json", time.time()

    def slowly(opened):
        opened.write(b"half")
        opened.flush()
        monkeypatch.setattr(time, "time", lambda: now + 3 * 86_400)
        writing._tidy.cache_clear()  # as another process, which has not been here yet
        writing.write_json(tmp_path / "other.json", 2)
        assert len(list(tmp_path.iterdir())) == 2
        opened.write(b" and half")

    writing.write(file, slowly)
    assert file.read_text() == "half and half" and len(list(tmp_path.iterdir())) == 2
