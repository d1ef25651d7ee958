"""Every page, as wide as a desk and as narrow as a phone, by day and by night."""

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.browser.serving import (
    PAGES,
    beyond_the_edge,
    cut_off,
    open_page,
    settle,
    try_sample,
)

pytestmark = pytest.mark.browser

WIDTHS = ({"width": 1280, "height": 900}, {"width": 390, "height": 844})
WCAG = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_can_be_read_by_everybody(browser, url, name, scheme):
    """Nothing is cut off or beyond the edge, and axe finds nothing that WCAG 2.1 AA forbids."""
    page = open_page(browser, f"{url}/{name.lower() * (name != PAGES[0])}", color_scheme=scheme)
    if name == PAGES[0]:
        try_sample(page, "Low and slow")
    for viewport in WIDTHS:
        page.set_viewport_size(viewport)
        settle(page)
        assert beyond_the_edge(page) == 0
        assert cut_off(page) == []
        found = Axe().run(page, options=WCAG)
        assert found.violations_count == 0, found.generate_report()
