"""Photographs every page: `python -m tests.browser.screenshots`.

All pictures go to `.cache/screenshots/`, those that the README shows also to
`assets/screenshots/`.
"""

import itertools
import shutil

from playwright.sync_api import Page, sync_playwright

from tests.browser.serving import ROOT, launch, open_page, server, settle, try_sample

EVERYTHING = ROOT / ".cache" / "screenshots"
README = ROOT / "assets" / "screenshots"
IN_README = ("recognize-desktop-light", "recognize-desktop-dark", "recognize-phone-light")
SAMPLE = "High, fast, loud"
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


def main() -> None:
    """Photograph every page at both widths, light and dark."""
    EVERYTHING.mkdir(parents=True, exist_ok=True)
    README.mkdir(parents=True, exist_ok=True)
    with server() as url, sync_playwright() as playwright:
        browser = launch(playwright)
        for (device, (width, height)), scheme in itertools.product(
            WIDTHS.items(), ("light", "dark")
        ):
            look = {"viewport": {"width": width, "height": height}, "color_scheme": scheme}
            photograph(open_page(browser, url, **look), f"first-{device}-{scheme}")
            page = open_page(browser, url, **look)
            try_sample(page, SAMPLE)
            photograph(page, f"recognize-{device}-{scheme}")
            photograph(open_page(browser, f"{url}/about", **look), f"about-{device}-{scheme}")


if __name__ == "__main__":
    main()
