"""A page in a real browser, offline: what `make test-browser` opens (skipped without one)."""

from __future__ import annotations

import contextlib
import csv
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
if BROWSER is None:
    pytest.skip("no Chromium: apt-get install chromium", allow_module_level=True)


@contextlib.contextmanager
def opened(path: Path, ready: str = "html[data-ready]") -> Iterator[Any]:
    """Open a page; what it says on the console and asks for is kept in `said` and `asked`."""
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.said, page.asked = [], []
        page.on("console", lambda message: page.said.append(message.text))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_selector(ready, timeout=60_000)
        yield page
        browser.close()


def assert_quiet(page: Any) -> None:
    """Nothing was said on the console, and nothing asked of a network."""
    assert page.said == []
    assert [url for url in page.asked if not url.startswith(("file:", "data:", "blob:"))] == []


def assert_fits(page: Any, scheme: str) -> None:
    """A phone shows it whole, light on dark or dark on light as its owner likes."""
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    ink, paper = (
        page.evaluate(f"getComputedStyle(document.body).{name}")
        for name in ("color", "backgroundColor")
    )
    bright = [sum(map(int, text.strip("rgb()").split(","))) for text in (ink, paper)]
    assert (bright[0] > bright[1]) == (scheme == "dark")
    page.set_viewport_size({"width": 1280, "height": 900})


def assert_accessible(page: Any) -> None:
    """axe-core finds nothing serious: names, contrasts, roles, what a keyboard reaches."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe-core")
    found = axe.Axe().run(page).response["violations"]
    told = [
        (each["id"], [node["html"][:200] for node in each["nodes"]][:3])
        for each in found
        if each["impact"] in ("serious", "critical")
    ]
    assert told == [], told


def saved(page: Any, button: str) -> str:
    """Return the text of the file that a button saves."""
    with page.expect_download() as given:
        page.click(button)
    return Path(given.value.path()).read_text()


def rows_of(text: str) -> list[dict[str, str]]:
    """Return the rows of a file that was saved as CSV."""
    return list(csv.DictReader(io.StringIO(text)))
