"""A real Chromium for the tests of the live page; they skip, saying why, where there is none."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

expect.set_options(timeout=30_000)  # ms: machines are busy, and what never comes true fails all the same

_NAMES = ("chromium", "chromium-browser", "google-chrome")


def chromium() -> str:
    """Give the path of the program."""
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no chromium program on this machine: apt-get install chromium")
    return found


@contextmanager
def browser(language: str = "") -> Iterator[Browser]:
    """
    Start it without a window; root, as in a container, has no sandbox.

    Fields of dates are in its own language, whatever the page's: `language`, where Debian's chromium-l10n is installed.
    """
    flags = ["--no-sandbox"] if os.geteuid() == 0 else []
    path = chromium()
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=path, args=flags, env={**os.environ, "LANGUAGE": language} if language else None
        )
        yield started
        started.close()


def check_accessible(page: Page) -> None:
    """By day and by night axe finds no violation, of WCAG 2.1 AA or of good practice, and did look."""
    page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8"))
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.wait_for_timeout(500)
        found = page.evaluate("axe.run()")
        faults = [
            (one["id"], one["nodes"][0]["html"], one["nodes"][0]["failureSummary"]) for one in found["violations"]
        ]
        assert faults == [], scheme
        assert {"color-contrast", "button-name", "html-has-lang"} <= {one["id"] for one in found["passes"]}
