"""What is in an archive, on a disk and behind URLs."""

import csv
import glob
import http.server
import os
import threading
import zipfile
from functools import partial

import fsspec
import numpy as np
import pytest
import soundfile
from hypothesis import example, given
from hypothesis import strategies as st

from ser_core import audio, recordings
from ser_core.errors import UndertoneError
from tests.helpers import speech_like


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Two recordings in folders, and much that is none."""
    root = tmp_path_factory.mktemp("archive [2]")
    for name in ("b/two.WAV", "a/one.flac", "a/notes.txt", ".hidden/x.wav", "a/.x.wav"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text("no sound")
    soundfile.write(root / "b" / "two.WAV", speech_like(1.0), audio.SAMPLE_RATE)
    os.symlink(root / "b" / "two.WAV", root / "c.wav")
    os.symlink(root, root / "a" / "loop")
    return root


@pytest.fixture(scope="module")
def web(archive):
    """The address of a web server that serves the archive."""
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(archive))
    handler.log_message = lambda *_: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def names(source, **how):
    return list(recordings.listed(str(source), **how))


def test_a_folder_is_walked_in_order(archive):
    others = []
    expected = [str(archive / name) for name in ("c.wav", "a/one.flac", "b/two.WAV")]
    assert names(archive, on_other=lambda: others.append(1)) == expected
    assert len(others) == 1
    assert names(archive / "c.wav") == expected[:1]


def test_a_glob_names_what_it_likes(archive):
    inside = glob.escape(str(archive))

    def found(pattern):
        return [os.path.relpath(name, archive) for name in names(f"{inside}/{pattern}")]

    assert found("[ab]/[!.]*") == ["a/notes.txt", "a/one.flac", "b/two.WAV"]
    assert found("**/*.[wW]*") == [".hidden/x.wav", "a/.x.wav", "b/two.WAV", "c.wav"]
    assert found("*.mp3") == []


def test_relative_paths_become_absolute(archive, monkeypatch):
    monkeypatch.chdir(archive)
    assert names("a") == [str(archive / "a" / "one.flac")]
    assert names("b/*") == [str(archive / "b" / "two.WAV")]


def test_a_table_names_paths_and_urls(archive, tmp_path):
    table = archive / "list.csv"
    table.write_text("﻿mood,path\nsad,b/two.WAV\n,/x/y.wav\n,s3://bucket/z.wav\n", "utf-8")
    found = [str(archive / "b" / "two.WAV"), "/x/y.wav", "s3://bucket/z.wav"]
    try:
        assert names(table) == found
    finally:
        table.unlink()


@example(["/0/", "./a//b"])
@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1).map(str.strip).filter(bool)))
def test_whatever_a_table_names_is_listed(tmp_path_factory, wanted):
    wanted = [name for name in wanted if "\0" not in name and "://" not in name]
    table = tmp_path_factory.mktemp("table") / "list.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["path"], *([name] for name in wanted)])
    folder = str(table.parent)
    assert names(table) == [
        name if os.path.isabs(name) else os.path.normpath(os.path.join(folder, name))
        for name in wanted
    ]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "lacks the column 'path'"),
        (b"file\nx.wav\n", "lacks the column 'path'"),
        (b"path,mood\nx.wav,sad\n,sad\n", "line 3, has no path"),
        (b"path\n\xff\xfe\n", "cannot be listed"),
    ],
)
def test_a_wrong_table_is_refused(tmp_path, content, says):
    (tmp_path / "list.csv").write_bytes(content)
    with pytest.raises(UndertoneError, match=says):
        names(tmp_path / "list.csv")


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("nowhere", "there is nothing at"),
        ("nowhere.csv", "there is no such file"),
        ("s3://bucket/x", "Install s3fs"),
        ("hf://datasets/x/y", "Install huggingface_hub"),
        ("guess://x", "guess"),
        ("memory://nowhere", "there is no such file"),
        ("zip://::nowhere.zip", "there is no such file"),
        ("http://127.0.0.1:9/", "cannot be listed"),
    ],
)
def test_what_is_not_there_gets_a_sentence(source, says):
    with pytest.raises(UndertoneError, match=says) as caught:
        names(source)
    assert "\n" not in str(caught.value) and source.split("/")[0] in str(caught.value)


def test_a_folder_that_may_not_be_read_is_not_passed_over(archive, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UndertoneError, match="Permission denied"):
        names(archive)


def test_a_store_is_walked_like_a_folder():
    store = fsspec.filesystem("memory")
    for name in ("/shop/b/2.wav", "/shop/a/1.mp3", "/shop/a/x.txt", "/shop/0.wav", "/shop/.x.wav"):
        store.pipe_file(name, b"sound")
    try:
        wanted = ["memory://shop/0.wav", "memory://shop/a/1.mp3", "memory://shop/b/2.wav"]
        assert names("memory://shop") == names("memory://shop/") == wanted
        assert names("memory://shop/*/*.wav") == wanted[2:]
        assert names("memory://shop/0.wav") == wanted[:1]
        store.pipe_file("/shop/list.csv", b"path\nb/2.wav\n/x/y.wav\ns3://bucket/z.wav\n")
        table = [wanted[2], "/x/y.wav", "s3://bucket/z.wav"]
        assert names("memory://shop/list.csv") == table
        with pytest.raises(audio.AudioError, match="no sound"):
            recordings.read("memory://shop/0.wav")
    finally:
        store.rm("/shop", recursive=True)


def test_an_archive_file_is_walked_and_read(archive, tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        file.write(archive / "b" / "two.WAV", "in/two.wav")
    url = f"zip://in/two.wav::{tmp_path / 'x.zip'}"
    assert names(f"zip://::{tmp_path / 'x.zip'}") == [url]
    assert names(f"zip://in::{tmp_path / 'x.zip'}") == [url]
    clip = recordings.read(url)
    assert clip.name == "two.wav"
    np.testing.assert_array_equal(
        clip.samples, recordings.read(str(archive / "b" / "two.WAV")).samples
    )


def test_a_web_server_is_walked_and_read(web, archive):
    assert names(f"{web}/b/") == [f"{web}/b/two.WAV"]
    here = recordings.read(str(archive / "b" / "two.WAV"))
    np.testing.assert_array_equal(recordings.read(f"{web}/b/two.WAV").samples, here.samples)


@pytest.mark.parametrize("name", ["/b/nothing.wav", "/a/one.flac"])
def test_what_cannot_be_fetched_or_decoded_is_one_recordings_fault(web, name):
    with pytest.raises(audio.AudioError) as caught:
        recordings.read(web + name)
    assert "\n" not in str(caught.value)


def test_a_missing_driver_is_no_recordings_fault():
    with pytest.raises(UndertoneError, match="Install s3fs") as caught:
        recordings.read("s3://bucket/x.wav")
    assert not isinstance(caught.value, audio.AudioError)


def test_a_file_that_is_too_large_is_not_read_whole(web, archive, monkeypatch):
    monkeypatch.setattr(recordings, "_MOST_BYTES", 100)
    for name in (f"{web}/b/two.WAV", str(archive / "b" / "two.WAV")):
        with pytest.raises(audio.AudioError, match="larger than"):
            recordings.read(name)
