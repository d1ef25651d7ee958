import os

import pytest
from playwright.sync_api import sync_playwright

from tests.browser import serving


@pytest.fixture(scope="session")
def playwright():
    if not serving.chromium_path():
        if "CI" in os.environ:
            pytest.fail("there is no Chromium on the path")
        pytest.skip("there is no Chromium on the path")
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="session")
def chromium(playwright):
    browser = serving.launch(playwright)
    yield browser
    browser.close()


@pytest.fixture
def browser(chromium):
    """A browser without pages; those that a test leaves open would take time from the next."""
    yield chromium
    for context in chromium.contexts:
        context.close()


@pytest.fixture(scope="session")
def url(playwright):
    """The address of a running app."""
    with serving.server() as address:
        yield address
