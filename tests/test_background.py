import pytest

from ser_core import corpora
from ser_core.corpora import background
from ser_core.corpora.background import Download
from ser_core.corpora.download import Http
from tests.test_download import HTTP, data, site, zenodo  # noqa: F401 - fixtures


def test_a_corpus_comes_while_nobody_looks(zenodo):  # noqa: F811
    download = Download("ravdess", ("speech",), http=HTTP)
    download.wait()
    assert not download.running and not download.error
    here, total = download.megabytes
    assert here == total == len(zenodo.files["speech.zip"]) / 1e6
    assert len(corpora.scan("ravdess").manifest) == 2


def test_what_goes_wrong_is_told_and_the_next_download_goes_on(zenodo):  # noqa: F811
    content = zenodo.files.pop("speech.zip")
    download = Download("ravdess", http=HTTP)
    download.wait()
    assert not download.running and "404" in download.error and not download.stopped
    zenodo.files["speech.zip"] = content
    again = Download("ravdess", http=HTTP)
    again.wait()
    assert not again.error and len(corpora.scan("ravdess").manifest) == 4


def test_what_nobody_foresaw_is_no_success(monkeypatch, caplog):
    monkeypatch.setattr(background.install, "get", lambda *_, **__: {}["Content-Range"])
    download = Download("ravdess", http=HTTP)
    download.wait()
    assert not download.running and "try again" in download.error
    assert "KeyError" in caplog.text


def test_a_folder_that_cannot_be_written_is_told(zenodo, data):  # noqa: F811
    data.write_text("a file, where a folder should be")
    download = Download("ravdess", http=HTTP)
    download.wait()
    assert "data/ravdess cannot be written: Not a directory" in download.error
    assert not zenodo.asked


def test_a_download_can_be_stopped_and_goes_on_later(zenodo):  # noqa: F811
    zenodo.mishaps = ["mute"]
    download = Download("ravdess", ("speech",), http=Http(read_seconds=60, pause_seconds=0.01))
    assert download.running and download.megabytes[0] == 0
    download.stop()
    zenodo.over.set()  # the server hangs up, and the next attempt would bring bytes
    download.wait()
    assert download.stopped and "what has arrived is kept" in download.error
    with pytest.raises(corpora.CorpusError):
        corpora.scan("ravdess")
    again = Download("ravdess", ("speech",), http=HTTP)
    again.wait()
    assert not again.error and len(corpora.scan("ravdess").manifest) == 2
