"""How long a visitor waits: first paint, from an uploaded file to its answer, for another view.

`python -m benchmarks.page` prints a table and writes `benchmarks/results/page.json`: in Chromium,
with nobody else there and, where there is RAVDESS to learn from, while `swift` is being trained.
"""

import argparse
import os
import statistics
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import soundfile
from playwright.sync_api import Browser, Page, expect, sync_playwright

from benchmarks.common import keep, machine
from benchmarks.explore import timed_click
from benchmarks.predict import clip
from ser_core import audio, corpora, jobs, recipe
from ser_core.jobs import Order, State
from tests.browser.serving import PATIENCE, launch, open_page, server, settle

_NAMES = {
    "first_paint_ms": "first paint of the page",
    "ready_ms": "page ready to be used",
    "upload_ms": "Streamlit's own upload of a 4 s WAV",
    "answer_ms": "upload finished to answer",
    "pictures_ms": "upload finished to its pictures drawn",
    "click_ms": "click for another picture of the answer, to all drawn",
    "train_ms": "click for another view of the Train page, to all drawn",
    "models_ms": "click for what a model is made of, on the Models page, to all drawn",
}
_ALONE, _TRAINING = "alone", "while training"

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


_KNOWN = "document.body.innerText.includes('Most published figures')"
_INSIDE = "document.body.innerText.includes('From the sound at the top')"


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    samples, what = clip()
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SER_RUNS_DIR"] = folder
        with server() as url, sync_playwright() as playwright:
            browser = launch(playwright)
            found[_ALONE] = visits(browser, url, samples, options.repeats)
            if training := begin_training():
                found[_TRAINING] = visits(browser, url, samples, options.repeats)
                jobs.cancel(training)
    result = {
        "what": f"a visit to the Recognize page and the upload of {what}; medians",
        **found,
        "machine": machine(),
        "repeats": options.repeats,
    }
    keep("page", result)
    print(table(result))


def begin_training() -> str | None:
    """Train as the Train page does; return the run's name once it learns, None without data."""
    # Of RAVDESS alone, and from labels alone: nothing to be heard by a teacher first.
    swift = recipe.load("swift", ["data.corpus=ravdess", "training.teacher=0"])
    with suppress(corpora.CorpusError):
        corpora.scan("ravdess")
        (name,) = jobs.start([Order(swift, None)])
        while jobs.status(name).state is not State.FAILED:
            if jobs.status(name).epoch:
                return name
            time.sleep(0.1)
        raise RuntimeError(f"the training failed: {jobs.status(name).error}")
    return None


def visits(browser: Browser, url: str, samples: np.ndarray, repeats: int) -> dict[str, int]:
    """Return the median milliseconds of each figure.

    The very first visit loads the model for all that follow; each visit is a new browser profile,
    and each file another, for nothing is to come from a cache.
    """
    figures = {name: [] for name in _NAMES}
    with tempfile.TemporaryDirectory() as folder:
        for visit in range(repeats + 1):
            path = Path(folder) / f"clip-{visit}.wav"
            soundfile.write(path, samples * (1 - 0.01 * visit), audio.SAMPLE_RATE)
            measured = one_visit(browser, url, path)
            if visit:
                for name, value in measured.items():
                    figures[name].append(value)
    return {name: round(statistics.median(values)) for name, values in figures.items()}


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
    settle(page)
    radar = page.get_by_role("radio", name="Radar")
    _, measured["click_ms"] = timed_click(page, "document.querySelector('.polar')", radar.click)
    page.get_by_role("link", name="Train").click()
    known = page.get_by_role("radio", name="Known or new voices")
    settle(page)
    _, measured["train_ms"] = timed_click(page, _KNOWN, known.click)
    page.get_by_role("link", name="Models").click()
    inside = page.get_by_role("tab", name="What is inside")
    settle(page)
    _, measured["models_ms"] = timed_click(page, _INSIDE, inside.click)
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
    when = [each for each in (_ALONE, _TRAINING) if each in result]
    lines = [["median ms", *when], ["---"] * (1 + len(when))]
    for name, said in _NAMES.items():
        lines.append([said, *(str(result[each][name]) for each in when)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
