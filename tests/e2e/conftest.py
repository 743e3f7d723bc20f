"""Everything in this folder has the mark `e2e`: real processes on the loopback, run by `make e2e`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent
# the sandbox does not work for root; the other flags keep the browser off the network
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP evil.example 127.0.0.1",  # a name of somebody else's that leads to this machine
]


@pytest.hookimpl(tryfirst=True)  # before pytest deselects by mark
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if FOLDER in item.path.parents:
            item.add_marker(pytest.mark.e2e)


# not for the session: while playwright runs, this thread has an event loop, by which Prefect calls what is asynchronous
@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A headless browser; skips where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("no chromium on this machine; install Debian's package chromium")
    with playwright.sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=program, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()
