"""Photographs every page: `python -m tests.browser.screenshots`.

All pictures go to `.cache/screenshots/`, those that the README shows also to
`assets/screenshots/`. Explore and Train are pictured with the recordings in `SER_DATA_DIR`; without
any they are empty, and what the README shows of them is left as it is.
"""

import io
import itertools
import shutil
from collections.abc import Iterator

import numpy as np
import soundfile
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

from ser_core.corpora import installed
from tests.browser.serving import (
    ANSWER,
    ROOT,
    SAMPLES,
    go_live,
    launch,
    open_page,
    server,
    settle,
    try_sample,
    wait_for_answer,
)

EVERYTHING = ROOT / ".cache" / "screenshots"
README = ROOT / "assets" / "screenshots"
IN_README = (
    "recognize-desktop-light",
    "recognize-desktop-dark",
    "recognize-phone-light",
    "timeline-desktop-light",
    "live-desktop-light",
    "explore-map-desktop-light",
    "models-desktop-light",
)
SAMPLE = "Low and slow"  # of the synthetic voices, the one that deep has an answer to
WIDTHS = {"desktop": (1280, 900), "phone": (390, 844)}


def photograph(page: Page, name: str) -> None:
    """Save the page from its top to its bottom."""
    width = page.viewport_size["width"]
    page.mouse.move(0, 0)
    height = page.locator("[data-testid=stMain]").evaluate("main => main.scrollHeight")
    page.set_viewport_size({"width": width, "height": max(height, page.viewport_size["height"])})
    settle(page)
    file = EVERYTHING / f"{name}.png"
    page.screenshot(path=file, animations="disabled")
    if name in IN_README:
        shutil.copy(file, README)
    print(f"{name}: {file.stat().st_size / 1000:.0f} kB")


def wav(samples: np.ndarray) -> bytes:
    """Return 16 kHz samples as a WAV file."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, 16_000, format="WAV")
    return buffer.getvalue()


def conversation() -> np.ndarray:
    """Return the sample voices one after the other, with a pause in the middle."""
    voices = [soundfile.read(path)[0] for path in sorted(SAMPLES.glob("*.flac"))]
    pause = 1e-4 * np.random.default_rng(0).standard_normal(5 * 16_000)
    return np.concatenate([*voices[:3] * 2, pause, *voices[3:] * 2])


def upload(page: Page, **files: bytes) -> None:
    """Upload recordings by name and wait for the answer to one."""
    page.get_by_test_id("stFileUploader").locator("input").set_input_files(
        [
            {"name": f"{name}.wav", "mimeType": "audio/wav", "buffer": content}
            for name, content in files.items()
        ]
    )
    wait_for_answer(page)


def explained(page: Page) -> None:
    """Show a sample with everything that explains its answer."""
    try_sample(page, SAMPLE)
    for name in ("What it attended to", "What the answer hung on"):
        page.get_by_role("button", name=name).click()
        settle(page)
    page.get_by_role("radio", name="Mood").click()
    settle(page)


def compared(page: Page) -> None:
    """Compare two samples, and list both."""
    try_sample(page, "High, fast, loud")
    try_sample(page, SAMPLE)
    for name in ("Compare", "This visit"):
        page.locator("summary").filter(has_text=name).click()
        settle(page)


def explore(browser: Browser, url: str, name: str, look: dict) -> None:
    """Photograph each view of the Explore page, if there is something to explore."""
    page = open_page(browser, f"{url}/explore", **look)
    photograph(page, f"explore-{name}")
    for view in ("Compare", "Stats", "Map", "Game") if installed() else ():
        page = open_page(browser, f"{url}/explore", **look)
        page.get_by_role("radio", name=view).click()
        if view == "Map":  # which takes longer than the page needs to seem settled
            expect(page.locator(".js-plotly-plot .gl-canvas").first).to_be_visible()
        settle(page)
        photograph(page, f"explore-{view.lower()}-{name}")


def live(playwright: Playwright, url: str) -> None:
    """Photograph the Live page from permission to summary."""
    microphone = EVERYTHING / "microphone.wav"
    microphone.write_bytes(wav(conversation()))
    for grant in (True, False):
        browser = launch(playwright, microphone=microphone, grant=grant)
        for name, look in looks():
            page = open_page(browser, url, **look)
            page.goto(f"{url}/live")
            settle(page)
            if not grant:
                go_live(page, url)
                expect(page.get_by_role("alert")).to_be_visible()
                photograph(page, f"live-denied-{name}")
                continue
            photograph(page, f"live-first-{name}")
            go_live(page, url)
            answer = page.get_by_role("heading", level=2)
            expect(answer).to_have_text(ANSWER)
            page.wait_for_timeout(25_000)  # for pictures that are full
            expect(answer).not_to_contain_text("can't tell")
            photograph(page, f"live-{name}")
            page.get_by_role("button", name="Stop").click()
            expect(page.locator(".main-svg").first).to_be_visible()
            photograph(page, f"live-summary-{name}")
            page.close()
        browser.close()


def looks() -> Iterator[tuple[str, dict]]:
    """Yield both widths, light and dark, with their names."""
    for (device, (width, height)), scheme in itertools.product(WIDTHS.items(), ("light", "dark")):
        look = {"viewport": {"width": width, "height": height}, "color_scheme": scheme}
        yield f"{device}-{scheme}", look


def main() -> None:
    """Photograph every page at both widths, light and dark."""
    EVERYTHING.mkdir(parents=True, exist_ok=True)
    README.mkdir(parents=True, exist_ok=True)
    with server() as url, sync_playwright() as playwright:
        browser = launch(playwright)
        for name, look in looks():
            photograph(open_page(browser, url, **look), f"first-{name}")
            states = {
                "recognize": lambda page: try_sample(page, SAMPLE),
                "explained": explained,
                "compared": compared,
                "timeline": lambda page: upload(page, conversation=wav(conversation())),
                "refused": lambda page: upload(page, notes=b"text", silence=wav(np.zeros(32_000))),
            }
            for state, reach in states.items():
                page = open_page(browser, url, **look)
                reach(page)
                photograph(page, f"{state}-{name}")
            explore(browser, url, name, look)
            for path in ("train", "models", "about"):
                photograph(open_page(browser, f"{url}/{path}", **look), f"{path}-{name}")
        browser.close()
        live(playwright, url)


if __name__ == "__main__":
    main()
