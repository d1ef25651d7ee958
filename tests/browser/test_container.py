"""What the Dockerfile makes, as far as can be told without Docker: its files, alone, served."""

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

import pytest
import soundfile
import yaml
from playwright.sync_api import expect

from pages.parts import microphone
from ser_core import audio
from tests.browser import serving
from tests.browser.serving import (
    ANSWER,
    PAGES,
    SAMPLES,
    go_live,
    open_page,
    visit,
    wait_for_answer,
)
from tests.browser.test_live import WALLED, speech
from tests.browser.test_server import knock
from tests.helpers import ROOT

pytestmark = pytest.mark.browser

COMPOSE = (ROOT / "compose.yaml").read_text("utf-8")
INSTRUCTIONS = [
    line.split(maxsplit=1)
    for line in re.sub(r"\\\n", "", (ROOT / "Dockerfile").read_text("utf-8")).splitlines()
    if line and not line.startswith("#")
]


def said(word):
    """What instructions of a kind say."""
    return [rest for name, rest in INSTRUCTIONS if name == word]


def ignored(path):
    """Whether `.dockerignore` keeps a file from Docker: the last line that speaks of it counts."""
    place, answer = path.relative_to(ROOT), False
    for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines():
        pattern = line.removeprefix("!")
        if pattern.startswith("**/"):
            speaks = pattern.removeprefix("**/") in place.parts
        else:
            speaks = any(fnmatch(str(it), pattern) for it in (place, *place.parents))
        if speaks and pattern and not line.startswith("#"):
            answer = not line.startswith("!")
    return answer


def environment(**given):
    """The variables that it sets."""
    words = [word for line in said("ENV") for word in shlex.split(line)]
    arguments = dict(line.split("=") for line in said("ARG"))
    pairs = dict(word.split("=", 1) for word in words)
    return {name: arguments.get(value[1:], value) for name, value in pairs.items()} | given


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """The folder that it copies together, and beside it modules in place of those left out."""
    folder = tmp_path_factory.mktemp("image")
    for line in said("COPY"):
        *sources, target = line.split()
        for source in sources:
            found = [ROOT / source, *(ROOT / source).rglob("*")]
            taken = [it for it in found if it.is_file() and not ignored(it)]
            assert taken, f"there is no {source} to copy"
            for file in taken:
                inside = file.relative_to(ROOT / source) if file != ROOT / source else file.name
                copy = folder / target / inside
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, copy)
    assert not list(folder.rglob("__pycache__")) and not (folder / "assets/screenshots").exists()
    return folder


@contextmanager
def served(image, folder, **given):
    """Run its command, without the packages that it leaves out; yields address and log."""
    port = serving.free_port()
    [left_out] = re.findall(r"sed .*\^\((.*)\)==/d", " ".join(said("RUN")))
    for name in left_out.split("|"):
        assert re.search(rf"^{name}==", (image / "requirements.txt").read_text(), re.M), name
        (folder / f"{name}.py").write_text(f"raise ImportError('there is no {name} here')")
    found = environment(
        STREAMLIT_SERVER_PORT=str(port),
        PYTHONPATH=str(folder),
        HOME=str(folder),
        PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        **given,
    )
    found = {name: value.replace("/data", str(folder / "data")) for name, value in found.items()}
    [command] = said("CMD")
    log = folder / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            json.loads(command), cwd=image, env=found, stdout=output, stderr=output
        )
        try:
            while not serving._healthy(f"http://127.0.0.1:{port}"):
                assert process.poll() is None, log.read_text()
            yield f"http://127.0.0.1:{port}", log
        finally:
            process.terminate()
            process.wait()


@pytest.fixture(scope="module")
def contained(playwright, image, tmp_path_factory):
    """The address at which its command serves, and its log."""
    with served(image, tmp_path_factory.mktemp("container")) as found:
        yield found


def test_it_is_healthy_and_says_so_to_docker(contained):
    url, _ = contained
    [check] = said("HEALTHCHECK")
    command = json.loads(check.partition("CMD ")[2])
    assert command[0] == "python"
    for port, code in ((url.rpartition(":")[2], 0), (str(serving.free_port()), 1)):
        asked = [part.replace("8501", port) for part in command[1:]]
        assert subprocess.run([sys.executable, *asked], capture_output=True).returncode == code


def test_every_page_opens_and_a_recording_is_answered_and_logged(contained, browser):
    url, log = contained
    page = open_page(browser, url)
    page.locator("input[type=file]").set_input_files(SAMPLES / "singsong.flac")
    wait_for_answer(page)
    for name in PAGES[1:]:
        visit(page, name)
        expect(page.get_by_test_id("stException")).to_have_count(0)
        expect(page.get_by_text("Sorry")).to_have_count(0)
    written = log.read_text()
    assert "Traceback" not in written and "singsong" not in written
    [line] = [json.loads(line) for line in written.splitlines() if line.startswith("{")]
    assert line["source"] == "upload" and line["error"] is None


def test_visitors_change_nothing_unless_it_was_built_so(contained, browser):
    url, _ = contained
    page = open_page(browser, f"{url}/train")
    expect(page.get_by_test_id("stMain")).to_contain_text("Training is switched off")
    expect(page.get_by_test_id("stMain")).to_contain_text("Why they differ")


def test_it_is_served_by_somebody_who_may_do_little():
    assert said("USER") == ["10001"]
    assert INSTRUCTIONS.index(["USER", "10001"]) < [it[0] for it in INSTRUCTIONS].index("CMD")
    copied = [line for line in said("COPY") if "--chown" in line]
    assert copied == []  # the code is root's


def composed(service, **given):
    """A service of `compose.yaml`, its variables filled in."""
    text = re.sub(r"\$\{(\w+)[^}]*\}", lambda found: given[found[1]], COMPOSE)
    return yaml.safe_load(text)["services"][service]


CHOSEN = {
    "PAGE_HOST": "undertone.example.org",
    "PUBLIC_IP": "198.51.100.7",
    "TURN_USERNAME": "visitor",
    "TURN_PASSWORD": "secret",
}


def test_what_is_to_be_chosen_is_explained_and_asked_for():
    for name in CHOSEN:
        assert re.search(rf"^#.*\b{name}\b", COMPOSE, re.M)
        assert re.search(rf"\$\{{{name}:\?[^}}]+\}}", COMPOSE), "or Compose starts without it"
    assert set(re.findall(r"\$\{(\w+)", COMPOSE)) == set(CHOSEN)


def test_the_app_listens_behind_the_proxy_alone_and_knows_the_turn_server():
    app, turn = composed("app", **CHOSEN), composed("turn", **CHOSEN)
    assert app["ports"] == [f"127.0.0.1:{said('EXPOSE')[0]}:8501"]
    assert app["volumes"] == [f"data:{said('VOLUME')[0]}"]
    assert app["read_only"] and app["cap_drop"] == ["ALL"]
    [server] = microphone.ice_servers(app["environment"])
    assert server == {
        "urls": "turn:undertone.example.org:3478",
        "username": "visitor",
        "credential": "secret",
    }
    assert {"--user=visitor:secret", "--listening-port=3478"} <= set(turn["command"])
    own = app["networks"]["default"]["ipv4_address"]
    assert [it for it in turn["command"] if "allowed-peer" in it] == [f"--allowed-peer-ip={own}"]


def test_only_the_pages_own_name_is_let_in(playwright, image, tmp_path):
    with served(image, tmp_path, **composed("app", **CHOSEN)["environment"]) as (url, _):
        ours = {"Host": "undertone.example.org", "Origin": "https://undertone.example.org"}
        assert knock(url, **ours) == 101
        assert knock(url, **ours | {"Origin": "https://elsewhere.example"}) == 403
        assert knock(url, Host="elsewhere.example", Origin="https://elsewhere.example") == 403


@pytest.mark.skipif(not shutil.which("turnserver"), reason="there is no coturn on the path")
def test_live_gets_through_a_wall_by_way_of_the_turn_server(playwright, image, tmp_path):
    # Both ends and the relay are here, at the address that other computers would know.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 1))  # nothing is sent
        here = probe.getsockname()[0]
    port = serving.free_port()
    chosen = CHOSEN | {"PAGE_HOST": here, "PUBLIC_IP": here}
    app, turn = composed("app", **chosen), composed("turn", **chosen)
    own = app["networks"]["default"]["ipv4_address"]
    options = [option.replace(own, here).replace("3478", str(port)) for option in turn["command"]]
    given = app["environment"] | {
        "UNDERTONE_TURN_URL": f"turn:{here}:{port}",
        "STREAMLIT_SERVER_ALLOWED_HOSTS": "127.0.0.1",
    }
    microphone_file = tmp_path / "speech.wav"
    soundfile.write(microphone_file, speech(), audio.SAMPLE_RATE)
    with subprocess.Popen(["turnserver", "-n", *options], cwd=tmp_path) as relay:
        try:
            with served(image, tmp_path, **given) as (url, _):
                browser = serving.launch(playwright, microphone=microphone_file)
                page = open_page(browser, url)
                page.add_init_script(WALLED)
                go_live(page, url)
                expect(page.get_by_role("heading", level=2)).to_have_text(ANSWER)
                browser.close()
        finally:
            relay.terminate()
