"""How long a filter of the Explore page takes with 12,500 recordings, in Chromium.

`python -m benchmarks.explore` prints a table and writes `benchmarks/results/explore.json`. The
recordings are one sample voice under 12,500 names of three corpora, in a folder of their own.
"""

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Callable
from itertools import islice, product
from pathlib import Path

import soundfile
from playwright.sync_api import Page, expect, sync_playwright

from benchmarks.common import keep, machine
from ser_core.corpora import crema_d, ravdess
from tests.browser.serving import PATIENCE, SAMPLES, launch, open_page, server, settle

CLIPS = 12_500
_NAMES = {
    "first_ms": "page opened, names read for the first time",
    "again_ms": "page opened, names known",
    "filter_ms": "click on a filter to the count of what is left",
    "complete_ms": "click on a filter to everything drawn",
    "choose_ms": "click on a recording to its pictures",
}

# When what was asked for is on the page, and when Streamlit has nothing left to do.
_WATCH = """wanted => {
    window.seen = {}
    const done = new Function("return " + wanted)
    const state = () => document.querySelector("[data-testid=stApp]").dataset.testScriptState
    document.addEventListener("pointerdown", () => { seen.clicked = performance.now() },
        {capture: true, once: true})
    const watching = new MutationObserver(() => {
        if (!seen.clicked || !done()) return
        seen.there ??= performance.now()
        if (state() !== "notRunning") return
        seen.complete = performance.now()
        watching.disconnect()
    })
    watching.observe(document.body,
        {childList: true, subtree: true, characterData: true, attributes: true})
}"""


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        corpora = lay_out(Path(folder))
        with server(SER_DATA_DIR=folder) as url, sync_playwright() as playwright:
            browser = launch(playwright)
            figures = {"first_ms": [opened(open_page(browser, f"{url}/explore"))]}
            page = open_page(browser, f"{url}/explore")
            figures["again_ms"] = [opened(page)]
            filters, choices = visit(page, corpora, options.repeats)
            browser.close()
    figures["filter_ms"] = [there for there, _ in filters]
    figures["complete_ms"] = [complete for _, complete in filters]
    figures["choose_ms"] = [complete for _, complete in choices]
    result = {
        "what": f"the Explore page with {CLIPS} recordings of {len(corpora)} corpora; medians",
        **{name: round(statistics.median(values)) for name, values in figures.items()},
        "machine": machine(),
        "repeats": options.repeats,
    }
    keep("explore", result)
    print(table(result))


def lay_out(folder: Path) -> dict[str, int]:
    """Fill a data folder; return how many recordings of each corpus are in it."""
    samples, rate = soundfile.read(SAMPLES / "singsong.flac")
    sound = folder / "sound.flac"
    soundfile.write(sound, samples, rate)
    wanted = {"ravdess": _ravdess(), "tess": _tess(), "crema-d": _crema_d()}
    left, counts = CLIPS, {}
    for name, names in wanted.items():
        (folder / name).mkdir()
        for count, clip in enumerate(islice(names, left), 1):
            os.link(sound, folder / name / f"{clip}.flac")
            counts[name] = count
        left -= counts[name]
    if left:
        raise AssertionError(f"{left} names are wanting")
    return counts


def _ravdess():
    codes = product(("01", "02"), ravdess.EMOTIONS, ("01", "02"), ("01", "02"), ("01", "02"))
    for code, actor in product(codes, range(1, 25)):
        yield f"03-{'-'.join(code)}-{actor:02d}"


def _tess():
    words = ["".join(letters) for letters in product("bdfgklmn", "aeiou", "bdgkm")]
    emotions = ("angry", "disgust", "fear", "happy", "neutral", "sad", "ps")
    for voice, word, emotion in product(("OAF", "YAF"), words, emotions):
        yield f"{voice}_{word}_{emotion}"


def _crema_d():
    sentences = crema_d._SENTENCES  # noqa: SLF001 - its names, not its rules
    for level, actor, sentence, emotion in product(
        ("XX", "HI"), crema_d.ACTORS, sentences, crema_d.EMOTIONS
    ):
        yield f"{actor}_{sentence}_{emotion}_{level}"


def opened(page: Page) -> float:
    """Return the milliseconds until a page was there that has just been opened."""
    return page.evaluate("performance.now()")


def visit(page: Page, corpora: dict[str, int], repeats: int) -> tuple[list, list]:
    """Choose all corpora, then filter and choose again and again; return milliseconds of each."""
    left = corpora["ravdess"]
    for name in list(corpora)[1:]:
        left += corpora[name]
        page.get_by_role("button", name=name.upper()).click()
        expect(page.get_by_text(f"of {left:,} recordings")).to_be_visible()
        settle(page)
    filters, choices = [], []
    for repeat in range(repeats):
        emotion = ("angry", "happy", "sad", "fearful", "disgust")[repeat % 5]
        pill = page.get_by_role("button", name=emotion)
        some = pill.inner_text().rpartition(" · ")[2]
        filters.append(timed_click(page, _left(some), pill.click))
        chart = "document.querySelector('.st-key-pictures [role=figure]').ariaLabel"
        changed = f"{chart} !== {json.dumps(page.evaluate(chart))}"
        row = {"x": 75, "y": 35 * (3 + repeat % 5) + 17}
        grid = page.get_by_test_id("stDataFrame")
        choices.append(
            timed_click(page, changed, lambda grid=grid, row=row: grid.click(position=row))
        )
        filters.append(timed_click(page, _left(f"{CLIPS:,}"), pill.click))
    return filters, choices


def _left(count: str) -> str:
    text = f"{count} of {CLIPS:,} recordings"
    return f"[...document.querySelectorAll('p')].some(p => p.innerText === '{text}')"


def timed_click(page: Page, wanted: str, click: Callable[[], None]) -> tuple[float, float]:
    """Return the milliseconds from a click until a condition holds, and until all is done."""
    page.evaluate(_WATCH, wanted)
    click()
    page.wait_for_function("seen.complete", timeout=PATIENCE)
    seen = page.evaluate("seen")
    return seen["there"] - seen["clicked"], seen["complete"] - seen["clicked"]


def table(result: dict) -> str:
    """Return the figures as a Markdown table."""
    rows = [f"| {said} (ms) | {result[name]} |" for name, said in _NAMES.items()]
    return "\n".join(["| | median |", "|---|---|", *rows])


if __name__ == "__main__":
    main()
