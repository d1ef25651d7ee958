import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import hypothesis
import pylibsrtp  # noqa: F401 - crashes (1.0) if it is loaded after TensorFlow, which tests also need
import pytest
import soundfile

from ser_core import audio, log
from tests.helpers import ROOT, TOY, speech_like, wait_for

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# However slow the machine, that is no failure.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


def pytest_collection_modifyitems(items):
    if (Path(os.environ.get("SER_DATA_DIR", "data")) / "ravdess").is_dir():
        return
    skip = pytest.mark.skip(reason="no recordings in SER_DATA_DIR")
    for item in items:
        if "realdata" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Keep tests out of the developer's feature cache and runs."""
    os.environ["SER_CACHE_DIR"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["SER_RUNS_DIR"] = str(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="session")
def data_dir() -> Path:
    return Path(os.environ.get("SER_DATA_DIR", "data"))


@pytest.fixture
def runs(tmp_path, monkeypatch) -> Path:
    """A folder for trainings of one's own, empty."""
    folder = tmp_path / "runs"
    folder.mkdir()
    monkeypatch.setenv("SER_RUNS_DIR", str(folder))
    return folder


@pytest.fixture
def logged(monkeypatch, capsys):
    """Turns the log to a level; gives what it has written on stderr since it was asked last."""

    def turn(level: str):
        monkeypatch.setenv("UNDERTONE_LOG", level)
        log._logger.cache_clear()
        return lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]

    yield turn
    log._logger.cache_clear()


@pytest.fixture
def talk() -> audio.Clip:
    return audio.Clip(speech_like(), audio.SAMPLE_RATE, "talk")


@pytest.fixture(scope="session")
def toy_ravdess(tmp_path_factory) -> Path:
    """A RAVDESS-shaped data folder of four emotions that differ in pitch and tempo."""
    return ravdess_like(tmp_path_factory.mktemp("data"), actors=8)


@pytest.fixture
def dask(tmp_path):
    """Starts Dask's processes on loopback: `dask("scheduler")` and then `dask("worker")`."""
    started, told = [], tmp_path / "scheduler.json"

    def start(kind, *, folder=ROOT):
        how = ["--port", "0"] if kind == "scheduler" else ["--nthreads", "1", "--no-nanny"]
        words = [sys.executable, "-m", "dask", kind, "--host", "127.0.0.1", "--no-dashboard"]
        process = subprocess.Popen(
            [*words, "--scheduler-file", told, *how],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        started.append(process)
        wait_for(told, process)
        return process, json.loads(told.read_text())["address"]

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def toy_data(toy_ravdess, monkeypatch):
    """Data is looked for in the toy corpus."""
    monkeypatch.setenv("SER_DATA_DIR", str(toy_ravdess))


@pytest.fixture(scope="session")
def whole_ravdess(tmp_path_factory) -> Path:
    """The same of all 24 actors, as the protocols want them."""
    return ravdess_like(tmp_path_factory.mktemp("whole"), actors=24)


def ravdess_like(root: Path, actors: int) -> Path:
    pitches = {1: 90.0, 3: 340.0, 4: 130.0, 5: 230.0}
    for actor in range(1, actors + 1):
        folder = root / "ravdess" / f"Actor_{actor:02d}"
        folder.mkdir(parents=True)
        for emotion, pitch in pitches.items():
            for take in (1, 2):
                samples = speech_like(1.2, pitch * (0.97 + 0.01 * actor), seed=10 * actor + take)
                name = f"03-01-{emotion:02d}-01-01-{take:02d}-{actor:02d}.flac"
                soundfile.write(folder / name, samples, audio.SAMPLE_RATE)
    return root


@pytest.fixture(scope="session")
def toy_run(toy_ravdess, tmp_path_factory) -> Path:
    """The run folder of a small model that was really trained on the toy corpus."""
    ours = tmp_path_factory.mktemp("runs") / "toy"
    # All of pytest's processes have this folder; whoever is first trains, the others wait.
    together = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        together = together.parent
    trained = together / "toy"
    with (together / "toy.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not trained.exists():
            train_on(toy_ravdess, trained)
    shutil.copytree(trained, ours)
    return ours


def train_on(data: Path, folder: Path) -> None:
    from ser_core import dataset, recipe, training

    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("SER_DATA_DIR", str(data))
        loaded = recipe.load("swift", TOY)
        training.train(loaded, dataset.load(loaded), folder)
