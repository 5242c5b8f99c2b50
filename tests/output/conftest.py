from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome", "msedge")


@pytest.fixture(scope="session")
def browser() -> Iterator:
    """A Chromium: that of CXREPORT_BROWSER, one on the path, or the one that Playwright has installed."""
    api = pytest.importorskip("playwright.sync_api", reason="no browser test: playwright is not installed")
    named = os.environ.get("CXREPORT_BROWSER") or next(filter(None, map(shutil.which, BROWSERS)), None)
    with api.sync_playwright() as playwright:
        try:
            found = playwright.chromium.launch(executable_path=named, args=["--no-sandbox"])
        except api.Error:
            pytest.skip(f"no browser test: {named or 'the browser of playwright'} does not start")
        yield found
        found.close()
