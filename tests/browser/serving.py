"""The real app in a real browser: what the browser tests and the screenshots share."""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, Playwright, expect

ROOT = Path(__file__).parent.parent.parent
SAMPLES = ROOT / "assets" / "samples"
PAGES = ["Recognize", "Live", "Explore", "Train", "Models", "About"]

# Milliseconds: so long, on however slow a machine, that only a hang lasts longer.
PATIENCE = 600_000

# The answer: an emotion, or that there is none to be told.
ANSWER = re.compile("neutral|calm|happy|sad|angry|fearful|disgust|surprised|can't tell", re.I)

expect.set_options(timeout=PATIENCE)


def chromium_path() -> str | None:
    """Return where this machine's Chromium is; its headless shell, where there is one."""
    names = ("chromium-headless-shell", "chromium", "chromium-browser")
    return next(filter(None, map(shutil.which, names)), None)


def free_port() -> int:
    """Return a port of this machine that nobody listens to."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def server(*, module: str = "streamlit", **environment: str) -> Iterator[str]:
    """Run the app on a free port of this machine; yields its address.

    Args:
        module: what runs it: Streamlit, or what does so in its stead.
        environment: variables for it.
    """
    port = free_port()
    process = start(port, module=module, **environment)
    try:
        yield address(port)
    finally:
        process.terminate()
        process.wait()


def start(port: int, *, module: str = "streamlit", **environment: str) -> subprocess.Popen:
    """Run the app on a port, as `server` does; returns once it answers."""
    command = [
        sys.executable, "-m", module, "run", str(ROOT / "server.py"),
        "--server.headless=true", "--server.address=127.0.0.1", f"--server.port={port}",
        "--server.fileWatcherType=none",
    ]  # fmt: skip
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | environment, stdout=log, stderr=log
        )
        while not _healthy(address(port)):
            if process.poll() is not None:
                log.seek(0)
                raise RuntimeError(f"the server ended:\n{log.read()}")
            time.sleep(0.1)
    return process


def address(port: int) -> str:
    """Return where the app is, on a port."""
    return f"http://127.0.0.1:{port}"


def _healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/_stcore/health") as answer:
            return answer.status == 200
    except urllib.error.URLError:
        return False


def launch(
    playwright: Playwright,
    *,
    microphone: Path | None = None,
    grant: bool = True,
) -> Browser:
    """Start Chromium, which does nothing on the side.

    Args:
        playwright: starts it.
        microphone: a WAV file that it hears, again and again.
        grant: whether pages may hear that, too.
    """
    arguments = [
        "--no-sandbox",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
        "--font-render-hinting=none",  # or the headless shell sets words wider than screens do
    ]
    if microphone:
        arguments += [
            "--use-fake-device-for-media-stream",
            f"--use-file-for-fake-audio-capture={microphone}",
            "--use-fake-ui-for-media-stream" + ("" if grant else "=deny"),
        ]
    return playwright.chromium.launch(executable_path=chromium_path(), args=arguments)


def open_page(browser: Browser, url: str, **context) -> Page:
    """Open an address in a fresh context of the given viewport, `color_scheme`, …."""
    page = browser.new_context(**context).new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(url)
    settle(page)
    return page


def settle(page: Page) -> None:
    """Wait until the script has run and everything is drawn."""
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.locator("[data-testid=stApp][data-test-script-state=notRunning]")).to_be_visible()
    page.wait_for_load_state("networkidle")
    expect(page.get_by_test_id("stSkeleton")).to_have_count(0)


def visit(page: Page, name: str) -> None:
    """Go to another page of the app by its link at the top."""
    page.get_by_role("link", name=name, exact=True).click()
    page.wait_for_url(f"**/{name.lower()}")
    settle(page)


def beyond_the_edge(page: Page) -> int:
    """Return by how many pixels the page is wider than the window."""
    main = page.get_by_test_id("stMain")
    return main.evaluate("main => main.scrollWidth - main.clientWidth")


def cut_off(page: Page) -> list[str]:
    """Return the texts of charts that reach beyond their chart."""
    return page.locator(".main-svg").evaluate_all(
        """all => all.flatMap(svg => [...svg.querySelectorAll("text")].filter(text => {
            const inner = text.getBoundingClientRect(), outer = svg.getBoundingClientRect();
            return inner.width && (inner.left < outer.left - 1 || inner.right > outer.right + 1
                || inner.top < outer.top - 1 || inner.bottom > outer.bottom + 1);
        }).map(text => text.textContent))"""
    )


def try_sample(page: Page, title: str) -> None:
    """Choose a sample clip and wait for its answer."""
    page.get_by_role("radio", name=title, exact=True).click()
    wait_for_answer(page)


def wait_for_answer(page: Page) -> None:
    """Wait until there is an answer and its charts are drawn."""
    expect(page.get_by_role("heading", level=2).first).to_contain_text(ANSWER)
    expect(page.locator(".st-key-pictures .main-svg").first).to_be_visible()
    settle(page)


def go_live(page: Page, url: str) -> None:
    """Open the Live page and start listening."""
    page.goto(f"{url}/live")
    page.get_by_role("button", name="Start listening").click()
