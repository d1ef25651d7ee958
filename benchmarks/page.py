"""How long a visitor waits: first paint, and from an uploaded file to its answer, in Chromium.

`python -m benchmarks.page` prints a table and writes `benchmarks/results/page.json`.
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
from pathlib import Path

import soundfile
from playwright.sync_api import Browser, Page, expect, sync_playwright

from benchmarks.predict import RESULTS, clip
from ser_core import audio
from tests.browser.serving import PATIENCE, launch, open_page, server

_NAMES = {
    "first_paint_ms": "first paint of the page",
    "ready_ms": "page ready to be used",
    "upload_ms": "Streamlit's own upload of a 4 s WAV",
    "answer_ms": "upload finished to answer",
    "pictures_ms": "upload finished to its pictures drawn",
}

# The upload is over when Streamlit's request for it is; the rest is seen as it enters the page.
_WATCH = """() => {
    window.seen = {}
    const wanted = {answer: "h2", pictures: ".st-key-pictures .hm image"}
    new MutationObserver(() => {
        for (const [name, selector] of Object.entries(wanted))
            if (!seen[name] && document.querySelector(selector)) seen[name] = performance.now()
    }).observe(document.body, {childList: true, subtree: true})
}"""
_UPLOADS = """() => performance.getEntriesByType("resource")
    .filter(entry => entry.name.includes("upload_file"))
    .map(entry => [entry.startTime, entry.responseEnd])"""


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    figures = {name: [] for name in _NAMES}
    with (
        tempfile.TemporaryDirectory() as folder,
        server() as url,
        sync_playwright() as playwright,
    ):
        # The very first visit loads the model for all that follow; each visit is a new browser
        # profile, and each file another, for nothing is to come from a cache.
        browser = launch(playwright)
        samples, what = clip()
        for visit in range(options.repeats + 1):
            path = Path(folder) / f"clip-{visit}.wav"
            soundfile.write(path, samples * (1 - 0.01 * visit), audio.SAMPLE_RATE)
            measured = one_visit(browser, url, path)
            if visit:
                for name, value in measured.items():
                    figures[name].append(value)
    result = {
        "what": f"a visit to the Recognize page and the upload of {what}; medians",
        **{name: round(statistics.median(values)) for name, values in figures.items()},
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python "
        f"{platform.python_version()}",
        "repeats": options.repeats,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "page.json").write_text(json.dumps(result, indent=2) + "\n")
    print(table(result))


def one_visit(browser: Browser, url: str, path: Path) -> dict[str, float]:
    """Return the milliseconds of each figure in one visit."""
    page = open_page(browser, url)
    paint, ready = page.evaluate(
        """() => [performance.getEntriesByName("first-contentful-paint")[0].startTime,
            performance.now()]"""
    )
    page.evaluate(_WATCH)
    page.get_by_test_id("stFileUploader").locator("input").set_input_files([path])
    page.wait_for_function("seen.answer && seen.pictures", timeout=PATIENCE)
    expect(page.get_by_role("alert")).to_have_count(0)
    measured = {"first_paint_ms": paint, "ready_ms": ready, **times(page)}
    page.context.close()
    return measured


def times(page: Page) -> dict[str, float]:
    """Return how long the upload took, and what came after it."""
    begun, ended = page.evaluate(_UPLOADS)[-1]
    seen = page.evaluate("seen")
    return {
        "upload_ms": ended - begun,
        "answer_ms": seen["answer"] - ended,
        "pictures_ms": seen["pictures"] - ended,
    }


def table(result: dict) -> str:
    """Return the figures as a Markdown table."""
    rows = [f"| {said} (ms) | {result[name]} |" for name, said in _NAMES.items()]
    return "\n".join(["| | median |", "|---|---|", *rows])


if __name__ == "__main__":
    main()
