"""What the server lets in, and that neither it nor its pages ask anybody else for anything."""

import asyncio
import http.client
import json
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect
from starlette.formparsers import MultiPartParser

import server
from benchmarks import load, visitor
from ser_core.recognizer import Recognizer
from tests.browser import serving
from tests.browser.serving import PAGES, open_page, settle, try_sample, visit
from tests.helpers import ROOT

pytestmark = pytest.mark.browser


@contextmanager
def somebody_else(page=""):
    """A server that is not ours and has one page: its address, and what it was asked for."""
    asked = []

    class Witness(BaseHTTPRequestHandler):
        def handle_one_request(self):
            asked.append(self.rfile.readline())
            self.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n")
            self.wfile.write(page.encode())
            self.close_connection = True

    with ThreadingHTTPServer(("127.0.0.1", 0), Witness) as witness:
        threading.Thread(target=witness.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{witness.server_port}", asked
        witness.shutdown()


def ask(url, path, method="GET", **headers):
    """Return the status of an answer, its headers and its text."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    text = "" if answer.status == 101 else answer.read().decode()
    connection.close()
    return answer.status, answer.headers, text


def knock(url, **headers):
    """Return the status that a browser gets that wants to open a session."""
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    return ask(url, "/_stcore/stream", **upgrade, **headers)[0]


def test_health_is_told(url):
    for method, said in (("GET", "ok"), ("HEAD", "")):
        status, headers, text = ask(url, "/healthz", method)
        assert (status, text) == (200, said)
        assert headers.get_content_type() == "text/plain"
        assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("page", PAGES)
def test_no_page_asks_anybody_else(browser, toy_url, page):
    opened = browser.new_page()
    asked, failed = [], []
    opened.on("request", lambda request: asked.append(request.url))
    opened.on("websocket", lambda socket: asked.append(socket.url.replace("ws:", "http:")))
    opened.on("console", lambda said: failed.append(said.text) if said.type == "error" else None)
    opened.on("pageerror", lambda error: failed.append(str(error)))
    opened.set_default_timeout(serving.PATIENCE)
    opened.goto(toy_url)
    settle(opened)
    if page == "Recognize":
        try_sample(opened, "Singsong")
    else:
        visit(opened, page)
    if page == "Live":
        opened.get_by_role("button", name="Start listening").click()
        settle(opened)
    for expander in opened.locator("summary:visible").all():
        expander.click()
        settle(opened)
    assert f"{toy_url}/_stcore/stream" in asked  # it was watched from the beginning
    strangers = [it for it in asked if not it.startswith((f"{toy_url}/", "data:", "blob:"))]
    assert strangers == [] and failed == []
    icons = opened.locator("link[rel~=icon]").evaluate_all("all => all.map(icon => icon.href)")
    # Of a file; one by the name of a Material icon is fetched from where these come from.
    assert [icon.partition(";")[0] for icon in icons] == ["data:image/svg+xml"]


@pytest.fixture(scope="module")
def toy_url(playwright, toy_ravdess):
    """The app with recordings to show."""
    with serving.server(SER_DATA_DIR=str(toy_ravdess)) as address:
        yield address


def test_every_page_is_watched(browser, url):
    page = open_page(browser, url)
    expect(page.get_by_test_id("stTopNavLink")).to_have_text([re.compile(it) for it in PAGES])


def test_the_browser_would_not_let_a_page_ask_anybody_else(browser, url):
    with somebody_else() as (elsewhere, asked):
        page = open_page(browser, url)
        for script in (
            f"fetch('{elsewhere}', {{mode: 'no-cors'}}).then(() => 'sent', () => 'refused')",
            f"""new Promise(end => {{
                const picture = new Image()
                picture.onerror = () => end('refused')
                document.addEventListener('securitypolicyviolation', () => end('refused'))
                picture.src = '{elsewhere}/picture.png'
            }})""",
        ):
            assert page.evaluate(script) == "refused"
    assert asked == []


def test_no_other_site_frames_the_page(browser, url):
    page = browser.new_page()
    page.set_default_timeout(serving.PATIENCE)
    refused = []
    page.on("console", lambda said: refused.append(said.text))
    with somebody_else(f"<iframe src='{url}'></iframe>") as (elsewhere, _):
        page.goto(elsewhere)
        page.wait_for_load_state("networkidle")
    assert any("frame-ancestors" in text for text in refused)


@pytest.mark.parametrize(
    "headers, status",
    [
        ({}, 101),
        ({"Origin": "http://{host}"}, 101),
        ({"Origin": "http://elsewhere.example"}, 403),
        ({"Origin": "http://elsewhere.example", "Host": "elsewhere.example"}, 403),
        ({"Host": "elsewhere.example"}, 403),
    ],
    ids=["no browser", "own page", "another page", "another page under our name", "another name"],
)
def test_who_may_open_a_session(url, headers, status):
    host = urlsplit(url).netloc
    filled = {name: value.format(host=host) for name, value in headers.items()}
    assert knock(url, **filled) == status


def test_the_server_asks_nobody_when_a_stranger_knocks():
    with somebody_else() as (elsewhere, asked):
        proxies = {"HTTP_PROXY": elsewhere, "HTTPS_PROXY": elsewhere, "NO_PROXY": ""}
        with serving.server(**proxies) as url:
            assert knock(url, Origin="http://elsewhere.example") == 403
    assert asked == []


def test_visitors_at_once_each_get_the_answer_to_their_own_recording(url):
    async def visits():
        visits = (load.upload_often(url, number, 0.0, recognizer, seen) for number in range(3))
        await asyncio.gather(*visits)

    recognizer, seen = Recognizer.from_name(), load.Seen()
    with ThreadPoolExecutor() as pool:  # Playwright keeps this thread's event loop
        pool.submit(asyncio.run, visits()).result()
    assert len(seen.latencies) == 3
    assert seen.errors == seen.crossed == []


def test_what_a_visitor_gave_is_gone_when_the_visit_is_over():
    port = serving.free_port()

    def given():
        with urllib.request.urlopen(f"http://127.0.0.1:{port}") as answer:
            return json.load(answer)["given"]

    recognizer, seen = Recognizer.from_name(), load.Seen()
    environment = {"CENSUS_PORT": str(port), "STREAMLIT_SERVER_DISCONNECTED_SESSION_TTL": "1"}
    with serving.server(module="tests.browser.census", **environment) as url:
        with ThreadPoolExecutor() as pool:
            pool.submit(asyncio.run, load.upload_often(url, 0, 0.0, recognizer, seen)).result()
        assert len(seen.latencies) == 1 and not seen.errors
        while any(given().values()):  # though nobody else comes or goes
            time.sleep(0.5)


def test_uploads_need_the_token_that_other_sites_do_not_have(url):
    status, _, _ = ask(url, "/_stcore/upload_file/session/file", "PUT")
    assert status == 403


def test_uploads_are_limited_and_stay_in_memory():
    command = [sys.executable, "-m", "streamlit", "config", "show"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    options = {line.strip() for line in shown.splitlines() if not line.startswith("#")}
    assert "maxUploadSize = 488" in options
    assert server.app  # whose import has set this:
    assert MultiPartParser.spool_max_size > 488 * 2**20
    for line in (
        'address = "localhost"',
        "enableCORS = true",
        "enableXsrfProtection = true",
        "gatherUsageStats = false",
    ):
        assert line in options


def put_in_pieces(url, headers, name, content):
    """As `visitor._put`, without saying beforehand how much it will be."""
    kind = {"Content-Type": "multipart/form-data; boundary=edge"}
    head = f'--edge\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"\r\n\r\n'
    body = iter([head.encode(), *[content[:100_000]] * (len(content) // 100_000), b"\r\n--edge--"])
    urllib.request.urlopen(urllib.request.Request(url, body, headers | kind, method="PUT")).close()


def test_an_upload_that_is_larger_than_allowed_is_refused(monkeypatch):
    """Whether it says how large it is or not; what is small enough is heard after that."""

    async def give(url):
        async with visitor.Visitor(url) as somebody:
            for put in (visitor._put, put_in_pieces):
                with monkeypatch.context() as patched, pytest.raises(OSError) as refused:
                    patched.setattr(visitor, "_put", put)
                    await somebody.upload("large.wav", bytes(3_000_000))
                # Who sends on is cut off, perhaps before it has read why.
                assert getattr(refused.value, "code", 413) == 413
            await somebody.upload("small.wav", (serving.SAMPLES / "low-and-slow.flac").read_bytes())
            await somebody.until(
                lambda: any(it.text.body == "small.wav" for it in somebody.shown())
            )

    # In a thread, because Playwright has a loop of its own in this one.
    with serving.server(STREAMLIT_SERVER_MAX_UPLOAD_SIZE="1") as url, ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, give(url)).result()


@pytest.mark.parametrize(
    "path",
    [
        "/../requirements.txt",
        "/../../../../../../../../etc/passwd",
        "/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/static/../../../../../../../../etc/passwd",
        "/media/..%2f..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
        "/app/static/../app.py",
        "/component/undertone.microphone/../../../../etc/passwd",
        "//127.0.0.1/share/file",
        "/.streamlit/config.toml",
        "/server.py",
    ],
)
def test_no_address_leads_to_a_file_of_the_server(url, path):
    page = ask(url, "/")[2]
    status, _, text = ask(url, path)
    assert status in (400, 404) or text == page


def test_run_listens_to_this_computer_alone():
    """`make run` says only where; on another of this computer's addresses, nobody answers."""
    port = serving.free_port()
    command = [sys.executable, "-m", "streamlit", "run", "server.py"]
    options = [f"--server.port={port}", "--server.headless=true", "--server.fileWatcherType=none"]
    process = subprocess.Popen([*command, *options], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        while f":{port}" not in (line := process.stdout.readline()):
            assert line, "the server ended"
        assert line.split() == ["URL:", f"http://localhost:{port}"]
        while not serving._healthy(f"http://localhost:{port}"):
            assert process.poll() is None
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", port))  # as good as any that is not localhost's
    finally:
        process.terminate()
        process.wait()
