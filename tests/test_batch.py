"""Archives heard by real processes, which are killed in the middle."""

import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from distributed import Client, KilledWorker, as_completed

from ser_core import audio, batch, cluster, parts, recordings
from ser_core.cli import listening
from ser_core.cli.common import progress_bars
from ser_core.errors import UndertoneError
from ser_core.recognizer import Recognizer
from tests.helpers import ROOT, speech_like, wait_for

GOOD = 1300  # recordings: six parts, so that there is a middle to be killed in
FIRST = "part-000000.parquet"


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Many names of few voices, and what an archive has besides."""
    root = tmp_path_factory.mktemp("archive")
    voices = [root.parent / f"{root.name}-{pitch}.flac" for pitch in (110, 160, 230)]
    for voice, pitch in zip(voices, (110, 160, 230), strict=True):
        soundfile.write(voice, speech_like(1.2, pitch, seed=pitch), audio.SAMPLE_RATE)
    for number in range(GOOD):
        os.link(voices[number % 3], root / f"{number:04}.flac")
    soundfile.write(root / "long.flac", speech_like(31.0), audio.SAMPLE_RATE)
    soundfile.write(root / "silence.wav", np.zeros(16_000), audio.SAMPLE_RATE)
    (root / "broken.wav").write_text("no sound")
    (root / "empty.mp3").touch()
    os.link(voices[0], os.path.join(os.fsencode(root), b"odd\xff\n.flac"))
    os.symlink("nowhere", root / "gone.wav")
    (root / "notes.txt").write_text("nothing to hear")
    return root


@pytest.fixture(scope="module")
def expected(archive, tmp_path_factory):
    """The result by one process that is never disturbed, given one part at a time."""
    output, told = tmp_path_factory.mktemp("expected") / "out.parquet", []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch, "_AHEAD", 1)
        heard = batch.hear(
            str(archive), str(output), workers=1, on_progress=lambda *now: told.append(now)
        )
    count = GOOD + 6
    assert heard == batch.Heard(recordings=count, parts=6, resumed=0, unusable=3, others=1)
    assert told == [(n, count) for n in (*range(0, count, parts.SIZE), count)]
    return output


def files(output) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(output).iterdir()}


def command(*arguments, **how):
    words = [sys.executable, "-m", "ser_core", "batch", *map(str, arguments)]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(words, cwd=ROOT, **streams | how)


def finished(process):
    """Return the exit code, and what was printed."""
    out, err = process.communicate()
    return process.returncode, out, err


def test_every_recording_has_its_row(archive, expected):
    frame = pd.read_parquet(expected).set_index("file")
    assert frame.index.is_unique and len(frame) == GOOD + 6
    hears = Recognizer.from_name("swift")
    for name in ("0000.flac", "0001.flac", "long.flac", "silence.wav"):
        shown = hears.predict(audio.read(archive / name)).as_dict()
        row = frame.loc[str(archive / name)]
        assert pd.isna(row.error) and row.duration == shown["duration"]
        assert row.label == shown["label"] or (pd.isna(row.label) and shown["label"] is None)
        # What is judged together may be rounded differently.
        assert row.probabilities == pytest.approx(shown["probabilities"], abs=2e-4)
        assert row.abstained == shown["abstained"] and len(row.windows) == len(shown["windows"])
    assert len(frame.loc[str(archive / "long.flac")].windows) > 10
    assert frame.loc[str(archive / "silence.wav")].quality["issues"][0]["code"] == "silent"
    assert (
        frame.loc[f"{archive}/odd\\udcff\n.flac"].label == frame.loc[f"{archive}/0000.flac"].label
    )
    errors = frame.error.dropna()
    assert set(errors.index) == {str(archive / n) for n in ("broken.wav", "empty.mp3", "gone.wav")}
    assert "no file" in errors[str(archive / "gone.wav")] and all(map(len, errors))


def test_a_killed_command_goes_on_where_it_stopped(archive, expected, tmp_path):
    output = tmp_path / "out.parquet"
    before = {}
    while not 0 < len(before) < 6:  # on a busy machine one may look too late
        shutil.rmtree(output, ignore_errors=True)
        process = command(archive, "--output", output)
        wait_for(output / FIRST, process)
        process.kill()
        process.communicate()
        assert process.returncode in (0, -signal.SIGKILL)
        # Its workers end by themselves; till then they may still write, which does no harm.
        before = {path: path.stat().st_mtime_ns for path in output.glob("part-*")}
    code, out, err = finished(command(archive, "--output", output))
    assert code == 2 and "--resume" in err and err.count("\n") == 1 and not out
    code, out, err = finished(command(archive, "--output", output, "--resume", "--json"))
    assert code == 0, err
    found = json.loads(out)
    assert (found["recordings"], found["parts"], found["others"]) == (GOOD + 6, 6, 1)
    assert found["resumed"] >= sum(len(pd.read_parquet(path)) for path in before)
    assert "recordings: 1306 of 1306" in err
    assert files(output) == files(expected), "by two processes and in two goes, yet the same"
    assert all(path.stat().st_mtime_ns == then for path, then in before.items())


def _hear_ctrl_c() -> None:
    # A shell lets what it starts in the background ignore it, and that is passed on.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_is_one_sentence_and_nothing_is_lost(archive, expected, tmp_path):
    output = tmp_path / "out.parquet"
    there = 6
    while there == 6:  # on a busy machine one may look too late
        shutil.rmtree(output, ignore_errors=True)
        process = command(
            archive, "--output", output, start_new_session=True, preexec_fn=_hear_ctrl_c
        )
        wait_for(output / FIRST, process)
        there = len(list(output.glob("part-*")))
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to every process
        code, out, err = finished(process)
    lines = [line for line in err.splitlines() if not line.startswith("recordings: ")]
    assert code == 130 and not out
    assert lines == ["error: stopped; what is done stays, and --resume goes on with it"]
    done = files(output)
    assert "part-000000.parquet" in done and not done.items() - files(expected).items()


def test_a_log_says_how_long_it_will_take(capsys):
    with progress_bars() as progress:
        clock = iter(range(0, 1000, 5))
        progress.get_time = lambda: next(clock)
        task = progress.add_task("recordings")
        for done in (0, 100, 200, 300, 1000):
            listening._tell_progress(progress, task, done, 1000)
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "recordings: 100 of 1000" and said[-1] == "recordings: 1000 of 1000"
    left = re.fullmatch(r"recordings: 300 of 1000, about (\d+) s left", said[2])
    assert 20 < int(left[1]) < 90, "700 at 100 in five or ten seconds"


def test_a_killed_worker_of_a_cluster_costs_nothing(archive, expected, tmp_path, dask):
    output = tmp_path / "out.parquet"
    scheduler, address = dask("scheduler")
    killed, _ = dask("worker")
    dask("worker")
    with Client(address) as client:
        client.wait_for_workers(2)
    process = command(archive, "--output", output, "--scheduler", address)
    wait_for(output / FIRST, process)
    killed.kill()
    assert len(list(output.glob("part-*"))) < 6
    code, out, err = finished(process)
    assert code == 0 and "1306 recordings, in 6 files" in out, err
    assert "3 could not be used" in out and "1 file with another ending was left out" in out
    assert files(output) == files(expected)
    # The scheduler goes, too, while there is more to do.
    process = command(archive, "--output", tmp_path / "more", "--scheduler", address)
    wait_for(tmp_path / "more" / "_plan.json", process)
    scheduler.kill()
    code, out, err = finished(process)
    assert code == 2 and not out and "Traceback" not in err
    assert err.splitlines()[-1].startswith("error: the cluster has gone; what is done stays")


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (KilledWorker("task", None, 3), "worker after worker was ended.*; it stays"),
        (ImportError("No module named 'ser_core'"), "cannot run Undertone .*'ser_core'"),
    ],
)
def test_a_cluster_that_fails_at_its_work_gets_a_sentence(error, says):
    with pytest.raises(cluster.ClusterError, match=says):
        with cluster.explained("it stays"):
            raise error


def test_what_is_lost_with_a_worker_is_done_again(dask):
    def slowly():  # so that it is seen to be lost before it is done again
        time.sleep(2)
        return os.getpid()

    _, address = dask("scheduler")
    workers = [dask("worker")[0] for _ in range(2)]
    with Client(address) as client:
        client.wait_for_workers(2)
        future = client.submit(slowly, pure=False)
        done = as_completed([future], loop=client.loop)
        first = future.result()
        while not done.has_ready():
            time.sleep(0.01)
        for worker in workers:
            if worker.pid == first:
                worker.kill()
        while future.status == "finished":
            time.sleep(0.01)
        [again] = cluster.ended(client, done, "")
        assert again.result() != first


def test_a_cluster_that_cannot_help_gets_a_sentence(archive, tmp_path, dask, monkeypatch):
    monkeypatch.setattr(cluster, "_PATIENCE", 1)
    for address in ("nonsense", "tcp://127.0.0.1:9", "tls://127.0.0.1:9"):
        with pytest.raises(cluster.ClusterError, match=f"no Dask scheduler answers at {address}"):
            batch.hear(str(archive), str(tmp_path / "out"), scheduler=address)
    (tmp_path / "elsewhere").mkdir()
    _, address = dask("scheduler", folder=tmp_path / "elsewhere")
    with pytest.raises(cluster.ClusterError, match="has no workers; start some with"):
        batch.hear(str(archive), str(tmp_path / "out"), scheduler=address)
    dask("worker", folder=tmp_path / "elsewhere")
    monkeypatch.setattr(cluster, "_PATIENCE", 60)
    with pytest.raises(cluster.ClusterError, match="cannot run Undertone .*'ser_core'"):
        batch.hear(str(archive), str(tmp_path / "out"), scheduler=address)
    assert not (tmp_path / "out").exists(), "nothing was begun"


def test_a_worker_with_another_model_refuses():
    plan = parts.Plan(recordings=1, listed="", model="swift", card="another")
    with pytest.raises(batch.BatchError, match="is another one"):
        batch.rows([], plan)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"resume": False}, "exists; --resume"),
        ({"model": "deep"}, "another model"),
        ({"source": "fewer"}, r"other recordings \(1306 then, 2 now\)"),
        ({"source": "none"}, "there is no recording in"),
        ({"model": "nobody"}, "there is no model 'nobody'"),
    ],
)
def test_other_work_is_refused(archive, expected, tmp_path, change, says):
    for folder, names in (("fewer", ("0000.flac", "0001.flac")), ("none", ())):
        (tmp_path / folder).mkdir()
        for name in names:
            os.link(archive / name, tmp_path / folder / name)
    wanted = {"source": str(archive), "resume": True} | change
    source = os.path.join(tmp_path, wanted.pop("source"))
    before = files(expected)
    with pytest.raises(UndertoneError, match=says):
        batch.hear(source, str(expected), **wanted)
    assert files(expected) == before


def test_what_is_done_already_needs_no_process(archive, expected, monkeypatch):
    monkeypatch.setattr(batch, "_cores", None)
    heard = batch.hear(str(archive), str(expected), resume=True)
    assert heard.resumed == heard.recordings == GOOD + 6 and heard.unusable == 0


def test_the_output_is_no_input(archive, tmp_path, monkeypatch):
    """A glob that grows by what is written would never be the same again."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.flac", "b.flac"):
        os.link(archive / "0000.flac", tmp_path / name)
    first = batch.hear("**/*", "out.parquet", workers=1)
    assert first.recordings == 2 and first.unusable == 0
    assert batch.hear("**/*", "out.parquet", resume=True).resumed == 2


def test_what_could_not_be_used_is_heard_again_if_asked_for(archive, tmp_path, monkeypatch):
    """A share that was out of reach for a moment, say; parts without such are left alone."""
    monkeypatch.setattr(parts, "SIZE", 2)
    monkeypatch.setattr(batch, "Plan", partial(parts.Plan, size=2))
    source, output = tmp_path / "in", tmp_path / "out.parquet"
    source.mkdir()
    for name in ("a.flac", "b.flac", "c.flac"):
        os.link(archive / "0000.flac", source / name)
    os.link(archive / "broken.wav", source / "d.wav")
    assert batch.hear(str(source), str(output), workers=1).unusable == 1
    first = (output / FIRST).stat().st_mtime_ns
    (source / "d.wav").unlink()
    os.link(archive / "0001.flac", source / "d.wav")
    assert batch.hear(str(source), str(output), resume=True).resumed == 4
    code, out, err = finished(command(source, "--output", output, "--retry"))
    assert code == 2 and "of another version" in err and not out
    heard = batch.hear(str(source), str(output), workers=1, retry=True)
    assert (heard.resumed, heard.unusable) == (2, 0)
    assert not pd.read_parquet(output).error.any()
    assert (output / FIRST).stat().st_mtime_ns == first
    assert batch.hear(str(source), str(output), retry=True).resumed == 4


def test_a_full_disk_is_one_sentence_and_nothing_is_lost(archive, tmp_path):
    output, full = tmp_path / "out.parquet", 4096
    pattern = os.path.join(archive, "00[0-2]?.flac")

    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (full, full))

    with socket.socket() as taken:
        with suppress(OSError):  # somebody else has it, which is as good
            taken.bind(("", 8787))  # Dask's usual port, of which it would have much to say
            taken.listen()
        code, out, err = finished(command(pattern, "--output", output, preexec_fn=limited))
    assert code == 2 and not out
    assert err.startswith(f"error: {output} cannot be written (File too large); what is done stays")
    assert err.count("\n") == 1 and set(files(output)) == {"_plan.json"}
    code, out, err = finished(command(pattern, "--output", output, "--resume"))
    assert code == 0 and out == f"{output}: 30 recordings, in 1 file\n"
    assert len(pd.read_parquet(output)) == 30


class Trap:
    """Makes a worker die of a recording called deadly, and fail with one called odd."""

    def setup(self, worker):
        read = recordings.read

        def trapped(name):
            if "deadly" in name:
                os.kill(os.getpid(), signal.SIGKILL)
            if "odd" in name:
                raise RuntimeError("nobody foresaw this")
            return read(name)

        recordings.read = trapped


def test_a_recording_that_ends_its_process_ends_nothing_else(archive, tmp_path, monkeypatch):
    from distributed import WorkerPlugin

    folder, seen = tmp_path / "archive", {}
    folder.mkdir()
    for name in ("a", "deadly", "n", "odd", "z"):
        shutil.copy(archive / "0000.flac", folder / f"{name}.flac")
    started = batch._cores

    @contextmanager
    def trapped(*arguments):
        with started(*arguments) as client:
            client.register_plugin(type("Plugin", (Trap, WorkerPlugin), {})())
            yield client
            (seen["modules"],) = client.run(lambda: set(sys.modules)).values()
            (seen["loads"],) = client.run(lambda: batch._recognizer.cache_info().misses).values()

    monkeypatch.setattr(batch, "_cores", trapped)
    heard = batch.hear(str(folder), str(tmp_path / "out"), workers=1)
    assert heard == batch.Heard(recordings=5, parts=1, resumed=0, unusable=2, others=0)
    frame = pd.read_parquet(tmp_path / "out").set_index("file")
    assert frame.error.dropna().to_dict() == {
        f"{folder}/deadly.flac": "whoever listened to it was ended, perhaps because of too little "
        "memory",
        f"{folder}/odd.flac": "it could not be heard (RuntimeError: nobody foresaw this)",
    }
    assert frame.label.notna().sum() == 3
    assert "onnxruntime" in seen["modules"] and seen["loads"] == 1
    assert not {"tensorflow", "keras"} & seen["modules"]
