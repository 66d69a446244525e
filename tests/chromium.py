"""The browser in which pages are looked at, where there is one."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.waiting import PATIENCE

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None,
    reason="no Chromium: apt-get install chromium, or name one in the variable CHROMIUM",
)


@contextmanager
def launched() -> Iterator[Any]:
    """Start the browser, without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        arguments = ["--disable-gpu", "--disable-background-networking"]
        browser = play.chromium.launch(
            executable_path=CHROMIUM, args=arguments, timeout=1000 * PATIENCE
        )
        yield browser
        browser.close()
