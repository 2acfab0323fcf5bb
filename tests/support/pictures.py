"""
The pictures of `docs/first-five-minutes.md` and of the Dutch guide, taken anew: `make pictures`.

A hub with the simulated city is started as a newcomer starts it; what stands in the pictures is what it said, what its
page showed, and what the commands printed.
"""

import html
import json
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from playwright.sync_api import Browser

from tests.conftest import ROOT
from tests.support import guide
from tests.support.browsers import browser
from tests.support.guide import SERVED
from tests.support.hubs import UpHub

IMAGES = ROOT / "docs" / "images"
SHOWN = "stadspuls/counter-01"  # Hereweg
LARGEST = 300_000  # bytes of a picture
_BUSIEST = """\
import pandas as pd

hours = pd.read_parquet(
    "{hub}/api/v1/aggregates?quantity=vehicle_count&window=1h"
    "&from={first}&to={last}&format=parquet"
).query("valid")
busiest = hours.groupby("sensor_id").value.agg(["sum", "max", "count"])
print(busiest.sort_values("sum", ascending=False).head(5))"""
_TERMINAL = """<!doctype html><meta charset="utf-8"><style>
body { margin: 0; background: #10171c; color: #dbe5eb; font: 15px/1.5 monospace; padding: 22px 26px }
pre { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere } b { color: #6cc5e6; font-weight: 400 }
</style><pre>"""


def main() -> None:
    """Take every picture; the hub is gone afterwards."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="stadspuls-pictures-") as directory:
        hub = UpHub(Path(directory) / "data", "--demo")
        hub.mqtt_port, hub.http_port = 1883, 8080  # as a newcomer's; they must be free
        try:
            hub.start()
            _wait_for_history(hub)
            with browser("en_GB") as chrome:
                take(hub, chrome)
            with browser("nl") as chrome:
                take_dutch(hub, chrome)
                take_guide(f"http://127.0.0.1:{hub.http_port}", chrome)
                guide.write()
        finally:
            hub.stop()
            hub.clean_up()


def take(hub: UpHub, chrome: Browser) -> None:
    """Take the pictures of a hub that has history."""
    url = f"http://127.0.0.1:{hub.http_port}"
    log = hub.log().replace(str(hub.directory), "data")
    said = [line for line in log.splitlines() if line.startswith(("ready", "try", "Ctrl-C"))]
    _terminal(chrome, "run", [("make run", "\n".join(said))])
    busy = f"lang=en&at={_busy_hour()}"
    _page(chrome, "page", f"{url}/?{busy}")
    _page(chrome, "busiest", f"{url}/?{busy}&show=table&sort=-value")
    _page(chrome, "sensor", f"{url}/?{busy}&sensor={SHOWN}")
    _page(chrome, "area", f"{url}/?{busy}&area=BU00140600")
    _page(chrome, "scatter", f"{url}/?{busy}&measure=density")
    _page(chrome, "yesterday", f"{url}/?lang=en&lens=1d&sensor={SHOWN}")
    asked = f"{url}/api/v1/aggregates?quantity=vehicle_count&window=1h&sensor={SHOWN}&from={_ago(2)}&to={_ago(1)}"
    answer = json.dumps(json.loads(hub.get(asked.removeprefix(url))), indent=2)
    _terminal(chrome, "api", [(f"curl '{asked}' | python -m json.tool", answer)])
    script = _BUSIEST.format(hub=url, first=_ago(24), last=_ago(0))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    _terminal(chrome, "pandas", [(f"python\n{script}", done.stdout)])


def take_dutch(hub: UpHub, chrome: Browser) -> None:
    """Take the pictures of the Dutch page."""
    url = f"http://127.0.0.1:{hub.http_port}/?lang=nl&at={_busy_hour()}"
    _page(chrome, "table-dark", f"{url}&quantity=pm10&show=table", scheme="dark")
    _page(chrome, "phone", url, width=390)


def take_guide(url: str, chrome: Browser) -> None:
    """Take the pictures of the Dutch guide."""
    day, both = "lens=1d&quantity=vehicle_count", "|".join((SHOWN, "stadspuls/counter-12", "group/cordon-centrum"))
    for name, address, part in (
        ("kaart", "?lens=1d", ".city"),
        ("sensor", f"?{day}&sensor={SHOWN}", "body"),
        ("vergelijken", f"?{day}&compare={both}", "#compare"),
        ("buurt", "?lens=1d&area=BU00140600&measure=density", "body"),
        ("tabel", "?lens=1d&show=table&sort=-value", ".stage"),
        ("meldingen", "?lens=1d", ".card:has(#alerts-history)"),
        ("hub", "health?", "body"),
    ):
        context = chrome.new_context(viewport={"width": 1200, "height": 800}, locale="nl-NL")
        page = context.new_page()
        page.goto(f"{url}/{address}&lang=nl")
        page.wait_for_selector(part)
        page.wait_for_timeout(6_000)  # the figures of the hub come after some seconds
        _keep(name, page.screenshot() if part == "body" else page.locator(part).screenshot(), SERVED)
        context.close()


def _busy_hour() -> str:
    """The last hour from five in the afternoon that is over: at night all is quiet."""
    return f"{datetime.now(ZoneInfo('Europe/Amsterdam')) - timedelta(hours=18):%Y-%m-%dT17:00}"


def _ago(hours: int) -> str:
    return f"{datetime.now(UTC) - timedelta(hours=hours):%Y-%m-%dT%H:00Z}"


def _wait_for_history(hub: UpHub) -> None:
    """Wait for the last full hour, which comes last, and until every hour before it is made, also of the areas."""
    now = datetime.now(UTC)
    asked = (f"{now - timedelta(hours=1):%Y-%m-%dT%H:00}", f"{now:%Y-%m-%dT%H:00}", "1h", "--sensor=stadspuls/air-14")
    areas = '"area hours waiting","0 marks"'
    deadline = time.monotonic() + 1200
    while (
        not hub.query("pm10", *asked) or hub.metric("stadspuls_rollup_marks") or areas not in hub.get("/live/findings")
    ):
        if time.monotonic() > deadline:
            raise TimeoutError("the simulated city has no history after 1200 s")
        time.sleep(2)


def _page(chrome: Browser, name: str, url: str, scheme: str = "light", width: int = 1280, height: int = 760) -> None:
    context = chrome.new_context(
        viewport={"width": width, "height": height}, color_scheme="dark" if scheme == "dark" else "light"
    )
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector("#summary")
    page.wait_for_timeout(12_000)  # the pace of the hub is known after some seconds
    _keep(name, page.screenshot())
    context.close()


def _terminal(chrome: Browser, name: str, lines: list[tuple[str, str]]) -> None:
    page = chrome.new_page(viewport={"width": 1000, "height": 100})
    text = "".join(f"<b>$ {html.escape(asked)}</b>\n{html.escape(answer)}\n" for asked, answer in lines)
    page.set_content(_TERMINAL + text + "</pre>")
    _keep(name, page.screenshot(full_page=True))
    page.close()


def _keep(name: str, picture: bytes, folder: Path = IMAGES) -> None:
    if len(picture) > LARGEST:
        raise ValueError(f"picture {name} has {len(picture)} bytes, expected at most {LARGEST}")
    (folder / f"{name}.png").write_bytes(picture)


if __name__ == "__main__":
    main()
