"""Trainings in processes of their own, started, watched, killed and gone on with."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from ser_core import bundle, jobs, recipe, runner, shelf
from ser_core.errors import UndertoneError
from ser_core.jobs import JobError, Order, State
from ser_core.locations import model_folders
from tests.helpers import ROOT, TOY

FOUR = 'labels=["neutral", "happy", "sad", "angry"]'
SVM = recipe.load("svm", [FOUR, 'data.channels=["speech"]'])
LONG = recipe.load("swift", [*TOY, "training.epochs=2000", "training.patience=2000"])


@pytest.fixture(autouse=True)
def runs(tmp_path, toy_ravdess, monkeypatch):
    """An empty folder of runs; what is still trained at the end is ended."""
    monkeypatch.setenv("SER_DATA_DIR", str(toy_ravdess))
    monkeypatch.setenv("SER_RUNS_DIR", str(tmp_path / "runs"))
    yield tmp_path / "runs"
    monkeypatch.delenv("UNDERTONE_TRAINING", raising=False)
    for name in jobs.running():
        jobs.cancel(name)


def until(true):
    while not true():
        time.sleep(0.1)


def wait_for(name, *states):
    until(lambda: jobs.status(name).state in states)
    return jobs.status(name)


def has_epochs(name, count):
    def true():
        found = jobs.status(name)
        assert found.state not in (State.FAILED, State.INTERRUPTED), found.log
        return found.epoch >= count

    return true


def ended():
    until(lambda: not jobs.running())


def children(pid):
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True)
    return [int(word) for word in listed.stdout.split()]


def holder(runs):
    return json.loads((runs / ".training").read_text())["pid"]


def test_a_baseline_is_trained_and_everything_is_said(runs):
    (name,) = jobs.start([Order(SVM, "random-80-20")])
    assert name == "svm" and jobs.running() == [name]
    with pytest.raises(JobError, match=r"another training goes on \(svm\)"):
        jobs.start([Order(SVM)])
    with pytest.raises(JobError, match="cancel that first"):
        jobs.delete(name)
    found = wait_for(name, State.FINISHED)
    assert (found.protocol, found.fold, found.model) == ("random-80-20", 0, False)
    assert not found.resumable and not found.error and "measured only" in found.log
    assert time.strptime(found.begun, "%Y-%m-%dT%H:%M:%S%z")
    assert recipe.load(runs / name / "recipe.toml") == SVM
    assert json.loads((runs / name / "metrics.json").read_text())["test"]["n"] == 13
    ended()
    assert jobs.runs() == [name]
    with pytest.raises(JobError, match="cannot be gone on with"):
        jobs.resume(name)
    jobs.delete(name)
    assert jobs.runs() == [] and not (runs / name).exists()
    with pytest.raises(JobError, match="no training “svm”"):
        jobs.status(name)


def test_of_many_who_start_at_once_one_does(runs):
    together = threading.Barrier(4)

    def start(_):
        together.wait()
        try:
            return jobs.start([Order(LONG)])
        except JobError as error:
            return str(error)

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(start, range(4)))
    (started,) = (answer for answer in answers if isinstance(answer, list))
    assert sum("another training goes on" in answer for answer in answers) == 3
    assert jobs.runs() == started == jobs.running()


def test_another_process_cannot_start_one_either(runs):
    jobs.start([Order(LONG)])
    code = "from ser_core import jobs, recipe; jobs.start([jobs.Order(recipe.load('svm'))])"
    other = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert "another training goes on" in other.stderr


def test_it_goes_on_without_whoever_started_it_and_after_all_that_stops_it(runs):
    code = (
        "import sys; from ser_core import jobs, recipe\n"
        "print(*jobs.start([jobs.Order(recipe.load('swift', sys.argv[1:]))]), flush=True)\n"
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    )
    # More than can go by while it is being stopped.
    settings = [*TOY, "training.epochs=60", "training.patience=60"]
    gone = subprocess.run(
        [sys.executable, "-c", code, *settings], cwd=ROOT, capture_output=True, text=True
    )
    name = gone.stdout.strip()
    until(has_epochs(name, 2))
    (trains,) = children(holder(runs))
    assert os.getpriority(os.PRIO_PROCESS, trains) > os.getpriority(os.PRIO_PROCESS, 0)
    found = jobs.status(name)
    assert found.epochs == 60 and found.seconds_left > 0
    assert found.events[-1]["val_uar"] >= 0 and "epoch 2 of 60" in found.log

    def goes_on_after(stop, state):
        stop()
        ended()
        found = jobs.status(name)
        assert found.state is state and found.resumable and not found.model
        assert 2 <= found.epoch < 60
        assert name not in model_folders()
        jobs.resume(name)
        until(has_epochs(name, found.epoch + 1))

    def cancel():
        jobs.cancel(name)
        assert jobs.running() == []

    def kill_the_training():
        (trains,) = children(holder(runs))
        os.kill(trains, signal.SIGKILL)

    jobs.cancel("another")
    assert jobs.running() == [name]
    goes_on_after(cancel, State.CANCELLED)
    goes_on_after(kill_the_training, State.INTERRUPTED)
    goes_on_after(lambda: os.killpg(holder(runs), signal.SIGKILL), State.INTERRUPTED)
    found = wait_for(name, State.FINISHED, State.FAILED, State.INTERRUPTED)
    assert found.state is State.FINISHED, found.log
    assert [event["epoch"] for event in found.events] == list(range(1, 61))
    begun, *later = jobs.said(name).decode().split("\n----- gone on with -----\n")
    assert len(later) == 3 and "epoch 1 of 60" in begun and "epoch 60 of 60" in later[-1]
    assert not any("epoch 1 of 60" in part for part in later), "it did not begin again"
    bundle.load(runs / name / "model")
    assert name in model_folders()

    ended()
    shelf.activate(name)
    with pytest.raises(UndertoneError, match="in use"):
        jobs.delete(name)
    shelf.go_back("deep")
    jobs.delete(name)
    assert name not in model_folders() and jobs.runs() == []


@pytest.mark.parametrize("number", [os.getpid(), 999_999_999], ids=["alive", "dead"])
def test_a_lock_that_nobody_holds_is_none(runs, number):
    """As after a power cut: the number may be somebody else's by now, even ours."""
    runs.mkdir()
    (runs / ".training").write_text(json.dumps({"pid": number, "runs": ["old"]}))
    (runs / "old").mkdir()
    (runs / "old" / "job.json").write_text(json.dumps({"protocol": None, "fold": 0}))
    assert jobs.running() == []
    assert jobs.status("old").state is State.INTERRUPTED
    jobs.cancel("old")
    (name,) = jobs.start([Order(LONG)])
    assert jobs.running() == [name]


def test_what_cannot_be_trained_gets_a_sentence_and_stops_what_waits(runs):
    absent = recipe.load("svm", [FOUR, "data.corpus=savee"])
    first, second = jobs.start([Order(absent), Order(SVM)])
    found = wait_for(first, State.FAILED)
    assert "savee" in found.error and not found.error.startswith("error")
    ended()
    assert found.resumable
    assert jobs.status(second).state is State.INTERRUPTED
    assert not (runs / second / "log.txt").exists()
    jobs.resume(second)
    wait_for(second, State.FINISHED)


def test_what_cannot_begin_whole_leaves_nothing(runs, monkeypatch):
    write, written = jobs.write_json, []

    def full(path, value):
        written.append(path)
        if len(written) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, value)

    monkeypatch.setattr(jobs, "write_json", full)
    with pytest.raises(jobs.JobError, match="No space left"):
        jobs.start([Order(SVM), Order(SVM)])
    assert len(written) == 2
    assert jobs.runs() == [] and not list(runs.glob("svm*"))


def test_two_are_trained_one_after_the_other(runs):
    orders = [Order(SVM, "random-80-20"), Order(SVM)]
    first, second = jobs.start(orders)
    assert (first, second) == ("svm", "svm-2")
    if jobs.status(first).state is not State.FINISHED:
        assert jobs.status(second).state is State.WAITING
    wait_for(second, State.FINISHED)
    assert jobs.status(first).state is State.FINISHED
    assert jobs.status(second).protocol is None


def test_switched_off_nothing_is_changed(runs, monkeypatch):
    monkeypatch.setenv("UNDERTONE_TRAINING", "off")
    for forbidden in (
        lambda: jobs.start([Order(SVM)]),
        lambda: jobs.resume("svm"),
        lambda: jobs.cancel("svm"),
        lambda: jobs.delete("svm"),
    ):
        with pytest.raises(JobError, match="switched off"):
            forbidden()
    assert not runs.exists()


@pytest.mark.parametrize("name", ["", ".", "..", "../runs", "/", "crossval", "nobody"])
def test_only_runs_are_looked_at_and_deleted(runs, name):
    (runs / "crossval").mkdir(parents=True)
    with pytest.raises(JobError, match="no training"):
        jobs.status(name)
    with pytest.raises(JobError, match="no training"):
        jobs.delete(name)
    assert (runs / "crossval").exists()


def test_runs_of_the_command_line_are_listed_when_they_are_finished(runs, toy_run):
    runs.mkdir()
    (runs / "mine").symlink_to(toy_run)
    (runs / "begun").mkdir()
    (runs / "begun" / "recipe.json").write_text("{}")
    assert jobs.runs() == ["mine"]
    found = jobs.status("mine")
    assert found.state is State.FINISHED and found.model and not found.resumable
    with pytest.raises(JobError, match="cannot be gone on with"):
        jobs.resume("begun")


def test_where_nothing_can_be_written_it_is_said(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SER_RUNS_DIR", str(tmp_path / "file" / "runs"))
    with pytest.raises(JobError, match="cannot be written"):
        jobs.start([Order(SVM)])
    assert jobs.running() == [] and jobs.runs() == []


@pytest.fixture
def begun(runs):
    """Makes the folder of a run that nobody is at work on, with a log."""

    def make(log, name="begun"):
        (runs / name).mkdir(parents=True)
        (runs / name / "job.json").write_text(json.dumps({"protocol": None, "fold": 0}))
        (runs / name / "log.txt").write_text(log, "utf-8")
        return runs / name

    return make


@pytest.mark.parametrize(
    ("log", "state", "error"),
    [
        ("epoch 1\nerror: the disk is full\n", State.FAILED, "the disk is full"),
        ("error: the disk is full\nepoch 1\n", State.INTERRUPTED, ""),
        ("epoch 1\n", State.INTERRUPTED, ""),
        ("", State.INTERRUPTED, ""),
    ],
)
def test_where_the_end_could_not_be_kept_the_log_tells_a_failure(begun, log, state, error):
    begun(log)
    found = jobs.status("begun")
    assert (found.state, found.error, found.resumable) == (state, error, True)


def test_a_training_that_fails_on_a_full_disk_has_failed(begun, monkeypatch, tmp_path):
    folder = begun("")
    says = "print('epoch 1'); print('error: the disk is full'); raise SystemExit(1)"
    monkeypatch.setattr(runner, "command", lambda folder: [sys.executable, "-c", says])
    monkeypatch.setattr(runner.os, "nice", lambda more: None)

    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(runner.writing, "write_json", full)
    with (tmp_path / "lock").open("wb") as lock:
        runner.main(lock.fileno(), [folder])
    assert not (folder / "ended.json").exists()
    found = jobs.status("begun")
    assert (found.state, found.error) == (State.FAILED, "the disk is full")


def test_what_was_said_before_is_kept_when_it_is_gone_on_with(begun, monkeypatch):
    """What went wrong then does not go wrong now."""
    old = "features: 11 of 112\nerror: the disk is full\n"
    folder = begun(old)
    (folder / "ended.json").write_text('{"code": 1}')
    assert jobs.status("begun").error == "the disk is full"
    monkeypatch.setattr(jobs, "_run", lambda held, names: None)
    jobs.resume("begun")
    found = jobs.status("begun")
    assert (found.state, found.error, found.log) == (State.INTERRUPTED, "", "")
    assert found.features == (0, 0)
    with (folder / "log.txt").open("a") as log:
        log.write("error: and now the clock\n")
    found = jobs.status("begun")
    assert (found.state, found.error) == (State.FAILED, "and now the clock")
    assert found.log == "error: and now the clock\n"
    assert jobs.said("begun").decode().startswith(old)


def test_all_that_was_said_is_more_than_what_is_shown(begun):
    log = "".join(f"epoch {epoch} of 2000\n" for epoch in range(1, 2001))
    begun(log)
    assert jobs.said("begun").decode() == log
    assert len(jobs.status("begun").log) == 8000 and log.endswith(jobs.status("begun").log)


def test_where_no_process_can_be_started_it_is_said(runs, begun, monkeypatch):
    begun("epoch 1\n")

    def none_left(*arguments, **options):
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", none_left)
    for order in (lambda: jobs.start([Order(SVM), Order(SVM)]), lambda: jobs.resume("begun")):
        with pytest.raises(JobError, match="no process can be started.*temporarily unavailable"):
            order()
    assert jobs.runs() == ["begun"] and jobs.running() == []
    assert jobs.status("begun").resumable


def test_what_is_deleted_while_all_are_looked_at_is_left_out(begun):
    begun("", "one")
    begun("", "two")
    listed = jobs.runs()
    jobs.delete("one")
    assert set(listed) == {"one", "two"} and list(jobs.statuses(listed)) == ["two"]
    with pytest.raises(jobs.GoneError, match="no training “one” any more"):
        jobs.said("one")


def event(epoch, seconds, epochs=100):
    return {"epoch": epoch, "epochs": epochs, "seconds": seconds}


def test_the_time_left_is_told_by_the_latest_epochs():
    assert jobs.seconds_left([]) is None
    assert jobs.seconds_left([event(1, 30.0)]) is None, "the first epoch is no measure"
    times = [30.0, 32.0, 34.0, 90.0, 92.0, 94.0]
    events = [event(index, seconds) for index, seconds in enumerate(times, 1)]
    assert jobs.epoch_seconds(events) == 2.0
    assert jobs.seconds_left(events) == 2.0 * 94


def test_half_a_line_is_waited_for(tmp_path):
    file = tmp_path / "events.jsonl"
    assert jobs.read_events(tmp_path) == ()
    file.write_text(json.dumps(event(1, 2.0)) + '\n{"epoch": 2, "epo')
    assert jobs.read_events(tmp_path) == (event(1, 2.0),)


@pytest.mark.parametrize("line", ["5", "[1]", "null", '{"epoch": 2}'])
def test_damaged_lines_are_as_good_as_none(tmp_path, line):
    whole = json.dumps(event(1, 2.0))
    (tmp_path / "events.jsonl").write_text(f"{whole}\n{line}\n")
    assert jobs.read_events(tmp_path) == ()


def test_a_run_is_one_command(tmp_path):
    (tmp_path / "job.json").write_text(json.dumps({"protocol": "ravdess-5fold", "fold": 3}))
    words = runner.command(tmp_path)
    assert words[1:4] == ["-m", "ser_core", "train"]
    assert words[-4:] == ["--protocol", "ravdess-5fold", "--fold", "3"] and "--resume" in words
