"""What breaks around the app while it serves: disks, clocks, models, ONNX Runtime."""

import errno
import io
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
import soundfile

from ser_core import (
    audio,
    bundle,
    embedding_map,
    export,
    extraction,
    importing,
    jobs,
    kept,
    live,
    recipe,
    shelf,
    speech,
)
from ser_core.corpora import listening
from ser_core.errors import UndertoneError
from ser_core.features import FeatureSpec
from ser_core.locations import find_model
from ser_core.recognizer import Recognizer
from tests.helpers import ROOT, speech_like

DISKS = ["full", "no folder"]


@contextmanager
def no_room(disk, folder):
    """Let nothing be kept in a folder; rights are none to root, who may run this."""
    if disk == "no folder":
        folder.write_text("a file, where a folder should be")
        yield
        return
    folder.mkdir()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not [path for path in folder.rglob("*") if path.is_file()], "nothing is left behind"


def features(folder):
    return extraction.extract(sorted(folder.glob("*.wav")), FeatureSpec())


def rows(folder):
    manifest = pd.DataFrame({"path": sorted(folder.glob("*.wav")), "id": ["x/1", "x/2"]})
    return kept.rows(
        folder / "cache" / "kept.npz", manifest, 2, lambda some: np.ones((len(some), 2), "f4")
    )


def listened(folder):
    return listening._listen_to_all("mine", sorted(folder.glob("*.wav")), lambda total: None)


def flat(folder):
    return embedding_map.flat(np.random.default_rng(0).normal(size=(20, 4)), "UMAP")


def flat_in_the_same_process(monkeypatch):
    # UMAP takes ten seconds to begin, and may write where it likes.
    monkeypatch.setattr(embedding_map, "_umap_apart", lambda embedding: embedding[:, :2])


@pytest.mark.parametrize("disk", DISKS)
@pytest.mark.parametrize("work", [features, rows, listened, flat])
def test_without_a_cache_everything_is_computed(tmp_path, monkeypatch, disk, work):
    flat_in_the_same_process(monkeypatch)
    for name in ("a.wav", "b.wav"):
        soundfile.write(tmp_path / name, speech_like(), audio.SAMPLE_RATE)
    monkeypatch.setenv("SER_CACHE_DIR", str(tmp_path / "elsewhere"))
    expected = work(tmp_path)
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)
    monkeypatch.setenv("SER_CACHE_DIR", str(tmp_path / "cache"))
    with no_room(disk, tmp_path / "cache"):
        found = work(tmp_path)
    if work is features:
        assert not found.failed
        expected, found = expected.values, found.values
    if work is listened:
        assert found == expected
    else:
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_without_room_for_the_map_there_is_a_sentence(tmp_path, monkeypatch):
    def full(**_):
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setenv("SER_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(embedding_map.tempfile, "TemporaryDirectory", full)
    with pytest.raises(embedding_map.MapError, match="no room for the map"):
        flat(tmp_path)


SERVE = """
import pathlib, resource, sys
from streamlit.testing.v1 import AppTest
from tests.pages.conftest import wav
from tests.helpers import speech_like

if sys.argv[1] == "full":
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
app = AppTest.from_file("app.py", default_timeout=600).run()
app.file_uploader[0].upload("talk.wav", wav(speech_like())).run()
assert app.header and not app.error and not app.exception, (app.error, app.exception)
for page in pathlib.Path("pages").glob("*.py"):
    app.switch_page(str(page)).run()
    assert app.title and not app.exception and not app.error, (page, app.error, app.exception)
app.switch_page("pages/models.py").run()
app.selectbox(key="look-at").select("swift").run()
next(button for button in app.button if button.label == "Use this model").click().run()
assert not app.exception
print([error.value for error in app.error])
"""


# A shell for which a folder is read-only, be it root's.
MOUNTED = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'


@pytest.mark.parametrize("disk", ["full", "read-only"])
def test_on_a_disk_that_takes_nothing_every_page_serves(tmp_path, toy_ravdess, monkeypatch, disk):
    """In a process that can write no file: what must be kept is refused in a sentence."""
    tmp_path.joinpath("runs").mkdir()
    first = ["unshare", "--mount", "sh", "-c", MOUNTED, tmp_path] if disk == "read-only" else []
    if subprocess.run([*first, "true"], capture_output=True).returncode:
        pytest.skip("this user cannot make a file system read-only")
    monkeypatch.setenv("SER_DATA_DIR", str(toy_ravdess))
    monkeypatch.setenv("SER_RUNS_DIR", str(tmp_path / "runs"))
    monkeypatch.setenv("SER_CACHE_DIR", str(tmp_path / "cache"))
    done = subprocess.run(
        [*first, sys.executable, "-c", SERVE, disk],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "the choice cannot be kept" in done.stdout
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.fixture
def read_only(monkeypatch):
    """As if no folder could be made anywhere; the rest of the disk is as it is."""

    def refuse(path, *_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    def no_room(*_, **__):
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.setattr(os, "mkdir", refuse)
    monkeypatch.setattr(tempfile, "gettempdir", no_room)


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (lambda: shelf.delete("mine"), "“mine” cannot be deleted: Read-only file system"),
        (lambda: jobs.delete("half"), "“half” cannot be deleted: Read-only file system"),
        (lambda: jobs.start([jobs.Order(recipe.load("svm"))]), "cannot be written: Read-only"),
        (lambda: importing.take_in_apart(io.BytesIO(b"PK"), "a.zip"), "no room to unpack it"),
        (lambda: export.as_bytes("mine", "bundle"), "no room to make the file"),
    ],
    ids=["delete a model", "delete a run", "train", "import", "export"],
)
def test_what_must_be_written_is_refused_in_a_sentence(runs, request, act, says):
    shutil.copytree(find_model("swift"), runs / "mine" / "model")
    (runs / "half").mkdir()
    (runs / "half" / "job.json").write_text("{}")
    before = sorted(runs.rglob("*"))
    request.getfixturevalue("read_only")
    with pytest.raises(UndertoneError, match=says) as error:
        act()
    assert "\n" not in str(error.value)
    assert [path for path in sorted(runs.rglob("*")) if path.name != ".training"] == before


def test_a_training_that_finds_no_room_leaves_no_run(runs):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        with pytest.raises(jobs.JobError, match="cannot be written: File too large"):
            jobs.start([jobs.Order(recipe.load("svm"))])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert jobs.runs() == [] and [path.name for path in runs.iterdir()] == [".training"]


# --- models --------------------------------------------------------------------------------------


def test_a_loaded_model_goes_on_without_its_folder(tmp_path, talk):
    folder = shutil.copytree(find_model("swift"), tmp_path / "swift")
    model = Recognizer.from_name(folder)
    before = model.predict(talk).probabilities
    (folder / "model.onnx").write_bytes(b"half of another mod")
    assert model.predict(talk).probabilities == before
    with pytest.raises(bundle.BundleError, match=r"model\.onnx is not the file"):
        Recognizer.from_name(folder)
    shutil.rmtree(folder)
    assert model.predict(talk).probabilities == before
    with pytest.raises(bundle.BundleError, match="there is no model"):
        Recognizer.from_name(folder)


def test_an_error_of_onnx_runtime_is_a_sentence():
    model = Recognizer.from_name("swift").bundle
    with pytest.raises(bundle.BundleError, match=r"'swift' failed \(.*\); try again") as error:
        model.run(np.zeros((1, 7, 9), np.float32))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [None, b"half of a netw"], ids=["missing", "damaged"])
def test_without_the_detector_of_voices_there_is_a_sentence(tmp_path, monkeypatch, talk, content):
    network = tmp_path / "vad.onnx"
    if content:
        network.write_bytes(content)
    monkeypatch.setattr(speech, "_NETWORK", network)
    speech._network.cache_clear()
    model = Recognizer.from_name("swift")
    with pytest.raises(speech.SpeechError, match=r"vad\.onnx cannot be run .* install Undertone"):
        model.predict(talk)
    monkeypatch.undo()
    assert model.predict(talk).label


# --- clocks --------------------------------------------------------------------------------------


@pytest.fixture(params=[-3_600, 3_600], ids=["back", "on"])
def jumping(request, monkeypatch):
    """A clock that jumps by an hour each time somebody looks at it."""
    real, looks = time.time, iter(range(10**9))
    monkeypatch.setattr(time, "time", lambda: real() + request.param * next(looks))


def test_when_the_clock_jumps_nobody_minds(jumping, talk, runs):
    assert abs(time.time() - time.time()) > 3_000
    model = Recognizer.from_name("swift")
    assert 0 < model.predict(talk).seconds < 600
    listener = live.Listener()
    assert listener.state("granted", time.monotonic()) is live.State.CONNECTING
    for start in range(0, len(talk.samples), 8_000):
        block = talk.samples[start : start + 8_000, None]
        listener.buffer.write(audio.SAMPLE_RATE, block)
        assert listener.state("granted", time.monotonic()) is live.State.LISTENING
        listener.hear(model)
    times = [moment.time for moment in listener.moments]
    assert times == sorted(times) and times[-1] == pytest.approx(talk.duration)


def test_runs_of_the_future_are_listed_and_replaced_models_noticed(runs):
    """As they are found when the clock was an hour fast yesterday."""
    shutil.copytree(find_model("swift"), runs / "mine" / "model")
    before = shelf.stamp("mine")
    card = runs / "mine" / "model" / "card.json"
    future = time.time() + 3_600
    (runs / "mine" / "job.json").write_text('{"protocol": null, "fold": 0, "begun": "2999-01-01"}')
    os.utime(card, (future, future))
    assert jobs.runs() == ["mine"] and jobs.status("mine").begun == "2999-01-01"
    assert shelf.stamp("mine") != before
