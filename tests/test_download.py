"""Downloads, from a server on this machine that does what servers do on bad days."""

import hashlib
import io
import json
import resource
import shutil
import threading
import zipfile
from dataclasses import dataclass, field
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from ser_core import cli, corpora
from ser_core.corpora import archive, crema_d, install, ravdess, tess
from ser_core.corpora.download import Http, Remote, fetch
from ser_core.corpora.sources import Archive, Dataverse, GitLfs
from tests.helpers import speech_like

HTTP = Http(connect_seconds=5, read_seconds=0.3, attempts=3, pause_seconds=0.01)
BODY = np.random.default_rng(0).bytes(300_000)


@dataclass
class Site:
    """What a server holds, how it misbehaves, and what it was asked.

    `mishaps` are used up one an answer: "cut" and "stall" after 100,000 bytes, "mute", or a status.
    """

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    mishaps: list = field(default_factory=list)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    ranges: bool = True
    over: threading.Event = field(default_factory=threading.Event)

    def remote(self, path: str, **changes) -> Remote:
        body = self.files[path]
        right = {"size": len(body), "checksum": f"md5:{hashlib.md5(body).hexdigest()}"}
        return Remote(f"{self.url}/{path}", path, **(right | changes))


@pytest.fixture
def site():
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):  # noqa: N802 - http.server's name
            path = self.path.lstrip("/").split("?")[0]
            asked = self.headers.get("Range")
            site.asked.append((path, asked))
            mishap = site.mishaps.pop(0) if site.mishaps else None
            body = site.files.get(path)
            if mishap == "mute":
                site.over.wait(30)
                return
            if body is None or isinstance(mishap, int):
                self.send_error(mishap or 404)
                return
            start = int(asked.split("=")[1].rstrip("-")) if asked and site.ranges else 0
            if start >= len(body) > 0:
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(body) - start))
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            self.end_headers()
            if mishap:
                self.wfile.write(body[start : start + 100_000])
                self.wfile.flush()
                if mishap == "stall":
                    site.over.wait(30)
                self.close_connection = True
                return
            self.wfile.write(body[start:])

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site = Site(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield site
    site.over.set()
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("SER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(archive, "_SPARE_BYTES", 0)
    return tmp_path / "data"


@pytest.mark.parametrize(
    "mishaps",
    [[], ["cut"], ["cut", "cut"], ["stall"], [503], [429, "cut", 500, "stall"]],
    ids=str,
)
def test_a_download_arrives_whole_whatever_happens_on_the_way(site, tmp_path, mishaps):
    site.files["a.bin"], site.mishaps = BODY, list(mishaps)
    arrived = []
    path = fetch(site.remote("a.bin"), tmp_path, HTTP, arrived.append)
    assert path.read_bytes() == BODY and sum(arrived) == len(BODY)
    assert not path.with_name("a.bin.part").exists()
    first = next((at for at, mishap in enumerate(mishaps) if isinstance(mishap, str)), None)
    if first is not None:
        assert all(asked for _, asked in site.asked[first + 1 :]), "it went on where it was cut"


def test_nothing_is_downloaded_twice(site, tmp_path):
    site.files["a.bin"] = BODY
    fetch(site.remote("a.bin"), tmp_path, HTTP)
    arrived = []
    fetch(site.remote("a.bin"), tmp_path, HTTP, arrived.append)
    assert len(site.asked) == 1 and sum(arrived) == len(BODY)


def test_a_download_goes_on_in_the_next_run(site, tmp_path):
    site.files["a.bin"], site.mishaps = BODY, ["cut", 503, 503, 503]
    with pytest.raises(corpora.CorpusError, match="503.*what has arrived is kept"):
        fetch(site.remote("a.bin"), tmp_path, HTTP)
    kept = (tmp_path / "a.bin.part").stat().st_size
    assert 80_000 < kept <= 100_000
    fetch(site.remote("a.bin"), tmp_path, HTTP)
    assert site.asked[-1] == ("a.bin", f"bytes={kept}-")
    assert (tmp_path / "a.bin").read_bytes() == BODY


def test_a_server_that_cannot_go_on_starts_anew(site, tmp_path):
    site.files["a.bin"], site.mishaps, site.ranges = BODY, ["cut"], False
    arrived = []
    assert fetch(site.remote("a.bin"), tmp_path, HTTP, arrived.append).read_bytes() == BODY
    assert sum(arrived) == len(BODY)


def test_a_part_longer_than_the_file_is_thrown_away(site, tmp_path):
    site.files["a.bin"] = BODY
    (tmp_path / "a.bin.part").write_bytes(BODY + b"more")
    assert fetch(site.remote("a.bin"), tmp_path, HTTP).read_bytes() == BODY


def test_a_server_that_never_answers_is_given_up(site, tmp_path):
    site.files["a.bin"], site.mishaps = BODY, ["mute"] * 3
    with pytest.raises(corpora.CorpusError, match="the server does not answer"):
        fetch(site.remote("a.bin"), tmp_path, HTTP)
    with pytest.raises(corpora.CorpusError, match="the connection fails"):
        fetch(Remote("http://127.0.0.1:9/a.bin", "a.bin", 9), tmp_path, HTTP)


@pytest.mark.parametrize("status", [403, 404])
def test_a_refusal_is_not_repeated(site, tmp_path, status):
    site.files["a.bin"], site.mishaps = BODY, [status]
    with pytest.raises(corpora.CorpusError, match=str(status)):
        fetch(site.remote("a.bin"), tmp_path, HTTP)
    assert len(site.asked) == 1 and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "changes", [{"checksum": "md5:" + "0" * 32}, {"size": 299_999}, {"size": 300_001}], ids=str
)
def test_what_is_not_the_publishers_file_is_deleted(site, tmp_path, changes):
    site.files["a.bin"] = BODY
    with pytest.raises(corpora.CorpusError):
        fetch(site.remote("a.bin", **changes), tmp_path, HTTP)
    assert not (tmp_path / "a.bin").exists()


def test_a_damaged_file_is_replaced(site, tmp_path):
    site.files["a.bin"] = BODY
    (tmp_path / "a.bin").write_bytes(bytes(len(BODY)))
    assert fetch(site.remote("a.bin"), tmp_path, HTTP).read_bytes() == BODY


@lru_cache
def wav(seed: int = 0) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, speech_like(1.5, seed=seed), 16_000, format="WAV")
    return file.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in members.items():
            opened.writestr(name, content)
    return file.getvalue()


def yes(corpus) -> bool:
    return True


@pytest.fixture
def zenodo(site, monkeypatch):
    """RAVDESS as one archive each of speech and song, two recordings each."""
    sources = []
    for channel, code in (("speech", "01"), ("song", "02")):
        name = f"{channel}.zip"
        site.files[name] = zipped(
            {f"Actor_0{actor}/03-{code}-03-01-01-01-0{actor}.wav": wav(actor) for actor in (1, 2)}
        )
        right = site.remote(name)
        sources.append(Archive(right.url, name, right.size, channel, 2, right.checksum))
    monkeypatch.setattr(ravdess, "SOURCES", tuple(sources))
    return site


def test_ravdess_comes_from_archives(zenodo, data):
    totals, arrived = [], []
    found = install.get(
        "ravdess", accepts=yes, http=HTTP, on_total=totals.append, on_bytes=arrived.append
    )
    assert len(found.manifest) == 4 and sum(totals) == sum(arrived) > 0
    assert not list(data.rglob("*.zip")) and not list(data.rglob("*.part"))
    asked = len(zenodo.asked)
    install.get("ravdess", accepts=lambda corpus: pytest.fail("asked again"), http=HTTP)
    assert len(zenodo.asked) == asked, "all was there"


def test_one_channel_will_do(zenodo):
    found = install.get("ravdess", accepts=yes, http=HTTP, channels=("song",))
    assert set(found.manifest.channel) == {"song"}
    with pytest.raises(corpora.CorpusError, match="no video"):
        install.get("ravdess", accepts=yes, http=HTTP, channels=("video",))


def test_an_unpacked_copy_in_another_layout_is_enough(zenodo, data):
    for actor in (1, 2):
        path = data / "ravdess" / "Actor" / f"03-01-03-01-01-01-0{actor}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(wav())
    install.get("ravdess", accepts=yes, http=HTTP, channels=("speech",))
    assert not zenodo.asked


def test_without_consent_nothing_is_downloaded(zenodo, data):
    with pytest.raises(corpora.CorpusError, match="CC BY-NC-SA 4.0.*must be accepted"):
        install.get("ravdess", accepts=lambda corpus: False, http=HTTP)
    assert not zenodo.asked and not data.exists()


def test_an_incomplete_archive_is_said_to_be(zenodo, monkeypatch):
    source = ravdess.SOURCES[0]
    monkeypatch.setattr(ravdess, "SOURCES", (Archive(**vars(source) | {"clips": 1440}),))
    with pytest.raises(corpora.CorpusError, match="2 of the 1440 recordings"):
        install.get("ravdess", accepts=yes, http=HTTP)


def test_a_full_disk_is_noticed_before(zenodo, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=1000))
    with pytest.raises(corpora.CorpusError, match="make room"):
        install.get("ravdess", accepts=yes, http=HTTP)
    assert not zenodo.asked


@pytest.mark.parametrize(
    ("full", "says"),
    [
        (4_000, "written: File too large; what has arrived is kept"),
        (20_000, "unpacked into .*: File too large"),
    ],
    ids=["downloading", "unpacking"],
)
def test_a_disk_that_fills_meanwhile_is_a_sentence_and_the_download_goes_on(
    full, says, site, data, monkeypatch
):
    sound = io.BytesIO()
    samples = np.append(speech_like(0.2), np.zeros(24_000))  # which shrinks to a few kilobytes
    soundfile.write(sound, samples, 16_000, format="WAV")
    site.files["speech.zip"] = zipped({"03-01-01-01-01-01-01.wav": sound.getvalue()})
    right = site.remote("speech.zip")
    assert 4_000 < right.size < 20_000 < len(sound.getvalue())
    source = Archive(right.url, "speech.zip", right.size, "speech", 1, right.checksum)
    monkeypatch.setattr(ravdess, "SOURCES", (source,))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (full, limits[1]))
    try:
        with pytest.raises(corpora.CorpusError, match=says) as error:
            install.get("ravdess", accepts=yes, http=HTTP)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "\n" not in str(error.value)
    (kept,) = (path for path in data.rglob("*") if path.is_file())
    there = kept.stat().st_size
    assert there == min(full, right.size)
    assert len(install.get("ravdess", accepts=yes, http=HTTP).manifest) == 1
    rest = [("speech.zip", f"bytes={there}-")] if there < right.size else []
    assert site.asked == [("speech.zip", None), *rest]


HOSTILE = {
    "above": zipped({"../../03-01-01-01-01-01-01.wav": wav()}),
    "absolute": zipped({"/tmp/03-01-01-01-01-01-01.wav": wav()}),
    "windows": zipped({"..\\..\\03-01-01-01-01-01-01.wav": wav()}),
    "drive": zipped({"C:\\03-01-01-01-01-01-01.wav": wav()}),
    "bomb": zipped({"03-01-01-01-01-01-01.wav": bytes(30_000_000)}),
    "torn": zipped({"03-01-01-01-01-01-01.wav": wav()})[:-200],
    "no archive": b"<html>Please sign in</html>" * 100,
}


def link() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as opened:
        info = zipfile.ZipInfo("03-01-01-01-01-01-01.wav")
        info.external_attr = 0o120777 << 16
        opened.writestr(info, "/etc/passwd")
    return file.getvalue()


def overlapping() -> bytes:
    """Return an archive whose 60 entries are one and the same packed sound."""
    packed = zipped({"03-01-01-01-01-01-01.wav": wav()})
    begin, end = packed.index(b"PK\x01\x02"), packed.index(b"PK\x05\x06")
    central, tail = packed[begin:end] * 60, bytearray(packed[end:])
    tail[8:10] = tail[10:12] = (60).to_bytes(2, "little")
    tail[12:16] = len(central).to_bytes(4, "little")
    return packed[:begin] + central + bytes(tail)


HOSTILE |= {"link": link(), "overlapping": overlapping()}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_archive_writes_nothing(kind, site, data, tmp_path, monkeypatch):
    site.files["speech.zip"] = HOSTILE[kind]
    right = site.remote("speech.zip")
    source = Archive(right.url, "speech.zip", right.size, "speech", 1, right.checksum)
    monkeypatch.setattr(ravdess, "SOURCES", (source,))
    with pytest.raises(corpora.CorpusError, match="trusted|damaged"):
        install.get("ravdess", accepts=yes, http=HTTP)
    left = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
    assert left == [Path("data/ravdess/speech.zip")], "to look at, and nothing else"


def test_only_sound_and_tables_are_unpacked(tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(zipped({"a/b.wav": wav(), "a/c.csv": b"x", "a/run.sh": b"rm", "d.exe": b"MZ"}))
    archive.unpack(path, tmp_path / "a")
    assert {item.name for item in (tmp_path / "a").rglob("*.*")} == {"b.wav", "c.csv"}


@pytest.fixture
def dataverse(site, monkeypatch):
    """TESS as a Dataverse lists it."""
    names = ["OAF_back_angry.wav", "YAF_back_ps.wav", "OA_bite_neutral.wav"]
    entries = []
    for number, name in enumerate(names):
        body = wav(number)
        site.files[f"api/access/datafile/{number}"] = body
        file = {"id": number, "filename": name, "filesize": len(body)}
        file["md5"] = hashlib.md5(body).hexdigest()
        entries.append({"label": name, "directoryLabel": "audio", "dataFile": file})
    site.entries = entries
    listing = "api/datasets/:persistentId/versions/:latest-published/files"
    site.files[listing] = json.dumps({"status": "OK", "data": entries}).encode()
    monkeypatch.setattr(tess, "SOURCES", (Dataverse(site.url, "doi:10.5683/SP2/E8H2MF", 3),))
    return site


def test_tess_comes_file_by_file_with_the_dataverses_checksums(dataverse, data):
    dataverse.mishaps = [None, "cut", 503]
    found = install.get("tess", accepts=yes, http=HTTP)
    assert set(found.manifest.emotion) == {"angry", "surprised", "neutral"}
    assert (data / "tess" / "audio" / "YAF_back_ps.wav").is_file()


def test_only_what_is_missing_is_downloaded(dataverse, data):
    path = data / "tess" / "OAF_Angry" / "OAF_back_angry.wav"
    path.parent.mkdir(parents=True)
    path.write_bytes(wav())
    found = install.get("tess", accepts=yes, http=HTTP)
    assert not found.duplicates and len(found.manifest) == 3
    assert "api/access/datafile/0" not in [path for path, _ in dataverse.asked]


def test_a_changed_file_of_a_dataverse_is_refused(dataverse, data):
    dataverse.files["api/access/datafile/1"] = wav(99)
    with pytest.raises(corpora.CorpusError, match="datafile/1 sent is not the file"):
        install.get("tess", accepts=yes, http=HTTP)
    assert not (data / "tess" / "audio" / "YAF_back_ps.wav").exists()


@pytest.mark.parametrize("answer", [b"<html>", b'{"data": [{}]}', b'{"status": "ERROR"}', None])
def test_a_dataverse_without_a_list_gets_a_sentence(dataverse, answer):
    for path in list(dataverse.files):
        if "persistentId" in path:
            dataverse.files.pop(path)
            if answer is not None:
                dataverse.files[path] = answer
    with pytest.raises(corpora.CorpusError, match="gives no list"):
        install.get("tess", accepts=yes, http=HTTP)


def test_a_list_that_leads_out_of_the_folder_is_refused(dataverse, data):
    (path,) = (path for path in dataverse.files if "persistentId" in path)
    dataverse.entries[0]["directoryLabel"] = "../.."
    dataverse.files[path] = json.dumps({"data": dataverse.entries}).encode()
    with pytest.raises(corpora.CorpusError, match="leads out of"):
        install.get("tess", accepts=yes, http=HTTP)


@pytest.fixture
def github(site, monkeypatch):
    """CREMA-D as GitHub serves it: an archive of pointers, and the media they point to."""
    members = {"CREMA-D-master/VideoDemographics.csv": b'"ActorID","Age"\n1001,51\n'}
    for number, name in enumerate(("1001_DFA_ANG_XX.wav", "1002_IEO_SAD_HI.wav")):
        body = wav(number)
        site.files[f"media/AudioWAV/{name}"] = body
        pointer = "version https://git-lfs.github.com/spec/v1\n"
        pointer += f"oid sha256:{hashlib.sha256(body).hexdigest()}\nsize {len(body)}\n"
        members[f"CREMA-D-master/AudioWAV/{name}"] = pointer.encode()
        members[f"CREMA-D-master/VideoFlash/{name[:-4]}.flv"] = pointer.encode()
    site.files["master.zip"] = zipped(members)
    source = GitLfs(
        archive=f"{site.url}/master.zip",
        media=f"{site.url}/media",
        folder="AudioWAV",
        tables=("VideoDemographics.csv",),
        clips=2,
    )
    monkeypatch.setattr(crema_d, "SOURCES", (source,))
    return site


def test_crema_d_comes_from_what_its_pointers_point_to(github, data):
    found = install.get("crema-d", accepts=yes, http=HTTP)
    assert list(found.manifest.speaker) == ["crema-d-1001", "crema-d-1002"]
    assert found.manifest.age[0] == 51
    left = {path.name for path in (data / "crema-d").rglob("*.*")}
    assert left == {"1001_DFA_ANG_XX.wav", "1002_IEO_SAD_HI.wav", "VideoDemographics.csv"}


def test_a_clone_without_git_lfs_is_completed(github, data):
    folder = data / "crema-d" / "AudioWAV"
    folder.mkdir(parents=True)
    for name in ("1001_DFA_ANG_XX.wav", "1002_IEO_SAD_HI.wav"):
        (folder / name).write_text("version https://git-lfs.github.com/spec/v1\n")
    install.get("crema-d", accepts=yes, http=HTTP)
    assert not corpora.check("crema-d").bad


def test_a_repository_without_pointers_gets_a_sentence(github):
    for content in (zipped({"CREMA-D-master/README.md": b"moved"}), b"no archive"):
        github.files["master.zip"] = content
        with pytest.raises(corpora.CorpusError, match="no Git LFS pointers"):
            install.get("crema-d", accepts=yes, http=HTTP)


def test_savee_is_only_given_out_by_its_makers():
    with pytest.raises(corpora.CorpusError, match="register at http.*data add savee"):
        install.get("savee", accepts=yes, http=HTTP)


def test_the_command_line_gets_a_corpus(zenodo, capsys, data):
    code = cli.main(["data", "get", "ravdess"])
    out, err = capsys.readouterr()
    assert code == 2 and not out and "--accept-licence" in err and "CC BY-NC-SA 4.0" in err
    code = cli.main(["data", "get", "ravdess", "--accept-licence", "--json"])
    out, err = capsys.readouterr()
    assert code == 0 and "CC BY-NC-SA 4.0" in err
    assert json.loads(out) == {
        "corpus": "ravdess",
        "folder": str(data / "ravdess"),
        "recordings": 4,
        "speakers": 2,
        "left_out": 0,
    }
    assert cli.main(["data", "get", "ravdess"]) == 0, "all is there: nothing to accept"


def test_the_command_line_says_in_one_line_what_cannot_be_written(zenodo, capsys, data):
    data.write_text("a file, where a folder should be")
    assert cli.main(["data", "get", "ravdess", "--accept-licence"]) == 2
    assert "data/ravdess cannot be written: Not a directory" in capsys.readouterr().err


@pytest.mark.parametrize(("answer", "code"), [(True, 0), (False, 2)])
def test_at_a_terminal_the_licence_is_shown_and_asked_about(
    answer, code, zenodo, capsys, monkeypatch
):
    asked = []
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("typer.confirm", lambda text, **rest: asked.append(text) or answer)
    assert cli.main(["data", "get", "ravdess"]) == code
    assert asked == ["Do you accept it?"] and "CC BY-NC-SA 4.0" in capsys.readouterr().err
    assert bool(zenodo.asked) == answer
