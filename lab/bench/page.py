"""
How fast the live page is with the country: 20,000 sensors in 15,000 areas, in Chromium, as a viewer sees it.

`stadspuls serve` gives the page out of a database with two days of hours. Measured are the first paint of a page that
is opened anew, and from the click on the next hour until its figures are painted, 20 times each; the figure is the
median of the latter. `jump_s` is the same of an hour that is chosen anywhere, which nothing was fetched of ahead. The
baseline is the same hour's figures as the hub gives them over HTTP, without a browser.
"""

import shutil
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aggregates.areas.roll_up import roll_areas
from hub.servers.process import CannotStart
from hub.settings.settings import Settings
from lab.bench.areas import BEGIN, TABLES, fill_sensors, load_squares
from lab.load.result import Result
from lab.load.servers import database, scratch
from lab.rig.service import Service

if TYPE_CHECKING:
    from playwright.sync_api import Page

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_RUNS = 20
_FIRST = BEGIN + timedelta(hours=12)
# Click on the next hour, or choose one, and wait until its figures are there and painted.
_CHANGE = """([shown, at]) => new Promise((done) => {
  const begin = performance.now();
  const page = document.documentElement;
  new MutationObserver((_, observer) => {
    if (page.dataset.shown === shown) return;
    observer.disconnect();
    requestAnimationFrame(() => setTimeout(() => done(performance.now() - begin)));
  }).observe(page, { attributeFilter: ["data-shown"] });
  const moment = document.querySelector("#choose-moment");
  if (at) {
    moment.value = at;
    moment.dispatchEvent(new Event("change"));
  } else document.querySelector(".moment button[aria-label]:not(:first-child)").click();
})"""
_PAINTED = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime"


def page(settings: Settings, sensors: int = 20_000, hours: int = 48, municipalities: int = 100) -> Result:
    """Measure first paints and changes of time; the default takes five minutes, most of it to fill the tables."""
    program = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if program is None:
        raise CannotStart("no chromium program on this machine: apt-get install chromium")
    with database(settings) as (store, edition), scratch(settings) as directory:
        try:
            areas = load_squares(store, municipalities, wijken=10, buurten=14)
            fill_sensors(store, sensors, hours, columns=14 * municipalities)
            roll_areas(store)
            with _served(store.conninfo, settings, directory) as url:
                paints, changes, jumps = _looked(program, url)
                plain = [
                    _fetched(f"{url}/live/past?quantity=vehicle_count&lens=1h&at={_at(at)}") for at in range(_RUNS)
                ]
        finally:
            with store.transaction() as tx:
                tx.script(f"TRUNCATE {TABLES}")
    change, baseline = float(np.median(changes)), float(np.median(plain))
    details: dict[str, object] = {
        "edition": str(edition), "sensors": sensors, "areas": areas, "runs": _RUNS,
        "first_paint_s": round(float(np.median(paints)), 3),
        "change_p95_s": round(float(np.quantile(changes, 0.95)), 3), "jump_s": round(float(np.median(jumps)), 3),
        "limits": "first paint 1 s, change of time 0.3 s",
    }  # fmt: skip
    name = "the same figures over HTTP, median; the ratio is how many times that"
    return Result("page", change, "s", baseline, name, change / baseline, details)


def _at(hour: int) -> str:
    return f"{_FIRST + timedelta(hours=hour):%Y-%m-%dT%H:00}"


@contextmanager
def _served(conninfo: str, settings: Settings, directory: Path) -> Iterator[str]:
    own = {"database": conninfo, "timezone": settings.timezone, "map_tiles": "", "data_dir": str(directory)}
    service = Service(["serve"], own, directory / "serve.log").start()
    try:
        service.wait_ready()
        yield f"http://127.0.0.1:{service.port}"
    finally:
        service.kill()


def _fetched(url: str) -> float:
    began = time.perf_counter()
    with urllib.request.urlopen(url, timeout=60) as answer:
        answer.read()
    return time.perf_counter() - began


def _looked(program: str, url: str) -> tuple[list[float], list[float], list[float]]:
    """Open the page anew so many times, go on from hour to hour, and jump to and fro; give the seconds of each."""
    from playwright.sync_api import sync_playwright  # of the tests' packages

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        paints = []
        for _ in range(_RUNS):
            opened = browser.new_page()
            opened.goto(f"{url}/?quantity=vehicle_count&lens=1h&at={_at(0)}")
            paints.append(opened.wait_for_function(_PAINTED, timeout=60_000).json_value() / 1000)
            opened.close()
        shown = browser.new_page(viewport={"width": 1400, "height": 900})
        shown.goto(f"{url}/?quantity=vehicle_count&lens=1h&at={_at(0)}")
        shown.wait_for_selector("[data-shown]", timeout=120_000)
        shown.wait_for_timeout(5_000)  # until the boundaries are drawn
        changes = [_changed(shown) for _ in range(_RUNS)]
        jumps = [_changed(shown, _at(at)) for half in range(_RUNS // 2) for at in (half, half + _RUNS // 2)]
        browser.close()
    return paints, changes, jumps


def _changed(shown: "Page", at: str = "") -> float:
    seconds: float = shown.evaluate(_CHANGE, [shown.locator("html").get_attribute("data-shown"), at]) / 1000
    shown.wait_for_timeout(500)
    return seconds
