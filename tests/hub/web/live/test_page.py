"""
The live page in a real browser, over a real hub that took real messages.

Everything a viewer does is done here with mouse, keyboard and eyes: choose, click, read, wait for news, in the dark, in
English, on a phone; and axe-core reads what a screen reader would.
"""

import base64
import json
import os
import random
import re
import socket
import subprocess
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import psycopg
import pytest
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from playwright.sync_api import Browser, Page, Request, Route, expect

from hub.web.http import listening
from ingest.mqtt.address import Address
from ingest.mqtt.sender import Sender
from lab.rig.broker import free_port
from tests.conftest import CASES
from tests.support.alerting import raised
from tests.support.browsers import browser, check_accessible, chromium
from tests.support.hubs import HOUR, UpHub, installed, last_hour

pytestmark = pytest.mark.browser

AREAS = CASES / "areas"
ZONE = ZoneInfo("Europe/Amsterdam")
TILES = "https://service.pdok.nl/**"
WAIT = 30_000  # ms: how long a test waits for what must come; none asserts a time
CATALOGUE = """sensor_id,name,kind,lon,lat
stadspuls/full,Havenkade,traffic,6.001,53.001
stadspuls/half,Molenweg,traffic,6.006,53.006
stadspuls/never,Dijk (simulated),traffic,6.009,53.004
stadspuls/news,Brug,pedestrian,6.004,53.004
stadspuls/wild,Fietspad,bicycle,6.003,53.003
"""
RULE = """[[rule]]
name = "no2-alert"
title = "Rule no2-alert"
title_nl = "Regel no2-alert"
quantity = "no2"
level = "1h"
raise = 400
"""
ROADS = {"secondary": [[5.99, 53.002], [6.03, 53.002]], "residential": [[6.005, 52.99], [6.005, 53.02]]}
# How many points of the base map's canvas are coloured; none before it is there.
DRAWN = """() => {
  const canvas = document.querySelector(".leaflet-base-pane canvas");
  if (!canvas || !canvas.width) return 0;
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return data.filter((value, at) => at % 4 === 3 && value > 0).length;
}"""
# What the chart of a day or range has: the labels of its hours, and the values of its line.
CHARTED = """async () => {
  const { echarts } = await import("echarts");
  const { xAxis, series } = echarts.getInstanceByDom(document.querySelector(".detail .chart")).getOption();
  return { labels: xAxis[0].data, values: series.find(({ type }) => type === "line").data };
}"""
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
Open = Callable[..., Page]


def message(sensor: str, start: datetime, value: float, quantity: str = "vehicle_count") -> tuple[str, bytes]:
    """One minute in the hub's own JSON."""
    said = {
        "sensor_id": f"stadspuls/{sensor}", "quantity": quantity, "period": 60, "value": value,
        "start": start.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }  # fmt: skip
    return f"stadspuls/stadspuls/{sensor}", json.dumps(said).encode()


def publish(hub: UpHub, messages: list[tuple[str, bytes]]) -> None:
    """Send messages as a sensor does."""
    with Sender(Address.parse(f"mqtt://127.0.0.1:{hub.mqtt_port}")) as sender:
        for topic, payload in messages:
            sender.publish(topic, payload)
        sender.flush(30)


def give(hub: UpHub, hour: datetime) -> None:
    """A whole hour of one sensor, and half of one with a flag."""
    starts = [hour + timedelta(minutes=n) for n in range(60)]
    publish(hub, [message("full", start, 2) for start in starts])
    publish(hub, [message("half", start, 1e6 if start.minute == 7 else 1) for start in starts[:30]])


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UpHub]:
    """A hub with areas, that has a whole hour of one sensor, half an hour of one with a flag, and nothing of one."""
    chromium()
    directory, rules = tmp_path_factory.mktemp("live"), tmp_path_factory.mktemp("rules")
    (rules / "own.toml").write_text(RULE)
    (directory / "stadspuls.toml").write_text(f'rules = ["{rules}"]')
    made = UpHub(directory)
    try:
        made.start()
        catalogue = made.directory / "sensors.csv"
        catalogue.write_text(CATALOGUE)
        made.run("sensors", "import", str(catalogue))
        given = [f"--from-file={AREAS / name}" for name in ("map_2024.geojson", "typed_v3.json")]
        load = ["areas", "load", "--municipality=GM9901"]
        made.run(*load, "--vintage=2024", *given)
        made.run(*load, "--vintage=2020", f"--from-file={AREAS / 'map_2020.geojson'}")
        roads = made.directory / "roads.geojson"
        roads.write_text(json.dumps({"type": "FeatureCollection", "features": [
            {"type": "Feature", "properties": {"highway": kind},
             "geometry": {"type": "LineString", "coordinates": line}} for kind, line in ROADS.items()]}))  # fmt: skip
        made.run("areas", "base-map", str(roads), "--municipality=GM9901", "--attribution=Wegen: OSM, ODbL")
        made.keep(give)
        yield made
    finally:
        made.clean_up()


@pytest.fixture(autouse=True)
def _keep_to_the_hour(hub: UpHub) -> None:
    hub.keep(give)


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    """One browser for all."""
    with browser() as started:
        yield started


@pytest.fixture
def visit(hub: UpHub, chrome: Browser) -> Iterator[Open]:
    """Open the page as a new visitor, by default a Dutch one with a large screen; no script may fail."""
    contexts, wrong = [], []

    def go(
        address: str = "?lens=1h",
        locale: str = "nl-NL",
        scheme: Literal["light", "dark"] = "light",
        width: int = 1280,
        before: Callable[[Page], object] = bool,
    ) -> Page:
        context = chrome.new_context(
            viewport={"width": width, "height": 860},
            locale=locale,
            color_scheme="dark" if scheme == "dark" else "light",
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(WAIT)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        before(page)
        page.goto(f"http://127.0.0.1:{hub.http_port}/{address}")
        page.wait_for_selector("#summary", state="attached")
        return page

    yield go
    for context in contexts:
        context.close()
    assert wrong == []


def spot(name: str) -> str:
    """The mark of a sensor on the map."""
    return f'path[data-sensor="stadspuls/{name}"]'


def has_class(names: str) -> re.Pattern[str]:
    """One of the names among the classes of an element."""
    return re.compile(rf"(^|\s)({names})(\s|$)")


def _all_running(route: Route) -> None:
    """Answer as the hub does, with running in the place of valid."""
    said = route.fetch().text().replace('"valid"', '"running"')
    route.fulfill(body=said, content_type="application/json")


def _without_tiles(page: Page) -> None:
    """Let no tile come."""
    page.route(TILES, lambda route: route.abort())


class TestMap:
    """Sensors and areas, coloured, and what is missing."""

    def test_every_state_looks_different(self, visit: Open) -> None:
        """Valid is filled, not valid is pale and dashed, missing is hatched: no colour of the scale, no zero."""
        page = visit()
        expect(page.locator(spot("full"))).to_have_class(has_class("valid"))
        expect(page.locator(spot("half"))).to_have_class(has_class("invalid"))
        expect(page.locator(spot("never"))).to_have_class(has_class("missing"))
        looks = [
            page.locator(spot(name)).evaluate(
                "e => { const s = getComputedStyle(e); return [s.fill, s.strokeDasharray] }"
            )
            for name in ("full", "half", "never")
        ]
        assert looks[0][1] == "none"
        assert looks[1][1] != "none"
        assert "hatch" in looks[2][0]
        page.locator(spot("never")).hover(force=True)
        expect(page.locator(".leaflet-tooltip")).to_contain_text("geen waarde")

    def test_legend_units_time_and_coverage(self, visit: Open) -> None:
        """The page names quantity, unit, window, how many sensors, the coverage, and the steps of the colours."""
        page = visit()
        expect(page.locator(".summary h2")).to_contain_text("Motorvoertuigen, per uur")
        expect(page.locator(".summary h2")).to_contain_text(" – ")
        expect(page.locator("#summary")).to_contain_text("1 van 3 sensoren met een geldige waarde")
        expect(page.locator("#summary")).to_contain_text("gemiddelde dekking 74%")
        expect(page.locator(".legend .scale").first.locator("li")).to_have_count(6)
        expect(page.locator(".legend")).to_contain_text("niet geldig")

    def test_no_window_shorter_than_what_is_measured(self, hub: UpHub, visit: Open) -> None:
        """Air that is measured by the hour is shown by the hour, whatever window was asked for or chosen before."""
        air = {"sensor_id": "air", "quantity": "no2", "start": last_hour().isoformat(), "period": 3600, "value": 21}
        publish(hub, [("stadspuls/stadspuls/air", json.dumps(air).encode())])
        hub.settle()
        page = visit("?quantity=no2&lens=5m")
        expect(page.locator("#choose-lens")).to_have_value("1h")
        expect(page.locator("#choose-lens option[value='5m']")).to_be_disabled()
        expect(page.locator("#summary")).to_contain_text("1 van 1 sensoren")
        page.locator("#choose-quantity").select_option("vehicle_count")
        page.locator("#choose-lens").select_option("5m")
        page.locator("#choose-quantity").select_option("no2")
        expect(page.locator("#choose-lens")).to_have_value("1h")

    def test_running_is_not_valid(self, visit: Open) -> None:
        """A window that still runs has a value, and is not counted among the valid ones."""
        page = visit("?lens=5m")
        page.route("**/live/figures*", _all_running)
        page.locator("#choose-lens").select_option("1h")
        expect(page.locator("#summary")).to_contain_text("0 van 3 sensoren met een geldige waarde · 1 nog lopend")

    def test_areas(self, visit: Open) -> None:
        """Areas without a value are hatched; a click shows one beside its statistics."""
        page = visit("?lens=1h&level=buurt")
        shape = page.locator('path[data-area="BU99010000"]')
        expect(shape).to_have_class(has_class("valid|invalid"))
        expect(page.locator("path.shape.none").first).to_be_attached()
        shape.dispatch_event("click")
        expect(page.locator("#detail-title")).to_be_visible()
        expect(page.locator(".detail")).to_contain_text("Statistieken van het CBS")
        expect(page.locator(".detail table")).to_contain_text(["Inwoners"])

    def test_class_of_an_area_is_that_of_its_sensors(self, visit: Open) -> None:
        """An area with ten times the sensors and ten times the vehicles has the same colour, and tells both figures."""
        page = visit("?lens=1h&level=buurt")
        shape = page.locator('path[data-area="BU99010000"]')
        expect(shape).to_have_class(has_class("k1"))  # 120, of 50 to 150
        expect(page.locator(".legend .scale-name")).to_have_text("Motorvoertuigen, per uur; gebieden per sensor")
        expect(page.locator(".legend .scale li").nth(1)).to_have_text("50 – 150")

        def ten_times(route: Route) -> None:
            found = route.fetch().json()
            for name in ("value", "sensors"):
                values = found["areas"]["buurt"][name]
                found["areas"]["buurt"][name] = [one and one * 10 for one in values]
            route.fulfill(json=found)

        page.route("**/live/figures*", ten_times)
        page.reload()
        page.locator("html[data-shown]").wait_for()
        expect(shape).to_have_class(has_class("k1"))
        shape.hover(force=True)
        expect(page.locator(".leaflet-tooltip")).to_contain_text("1.200 per uur120 per sensor")

    def test_vintages_side_by_side(self, visit: Open) -> None:
        """Each measure of an area has its values in all vintages that are loaded, however far apart, by year."""
        page = visit("?lens=1h&level=buurt&area=BU99010000")
        page.locator("#vintages summary").click()
        expect(page.locator("#vintages thead th")).to_have_text(["Onderwerp", "2020", "2024"])
        for measure, values in (("Inwoners", ["540", "600"]), ("Inwoners per km² land", ["1.205 per km²", "–"])):
            named = page.get_by_role("rowheader", name=measure, exact=True)
            expect(page.locator("#vintages tr", has=named).locator("td")).to_have_text(values)
        page = visit("?lens=1h&level=buurt&area=BU99010001")
        expect(page.locator(".detail")).to_contain_text("Statistieken van het CBS")
        expect(page.locator("#vintages")).to_have_count(0)

    def test_areas_by_a_measure_of_cbs(self, visit: Open) -> None:
        """Areas take the colours of a measure, the legend names it with its period, a scatter shows both figures."""
        page = visit("?lens=1h&level=buurt")
        page.locator("#choose-measure").select_option("inhabitants")
        expect(page.locator(".of-areas .scale-name")).to_have_text("Gebieden: Inwoners, 1 januari 2024")
        shape = page.locator('path[data-area="BU99010000"]')
        expect(shape).to_have_class(re.compile(r"\bk\d"))
        shape.hover(force=True)
        expect(page.locator(".leaflet-tooltip")).to_contain_text("Inwoners: 600")
        expect(page.locator("#scatter")).to_contain_text("Motorvoertuigen uitgezet tegen Inwoners")
        expect(page).to_have_url(re.compile("measure=inhabitants"))
        shape.dispatch_event("click")
        expect(page.locator(".detail")).to_contain_text("Inwoners: 600 (1 januari 2024)")

    def test_areas_are_taken_away(self, visit: Open) -> None:
        """Beside the scatter and the table of areas are the figures of areas; a picture of the map has their names."""
        page = visit("?lens=1h&level=buurt&measure=inhabitants&map=53.003,6.005,14.5", before=_without_tiles)
        page.locator("#scatter").get_by_role("link", name="CSV").wait_for()
        name = page.locator(".place-name span").first.inner_text()
        with page.expect_download() as awaited:
            page.locator("#map-picture").get_by_role("button", name="SVG").click()
        assert name in awaited.value.path().read_text("utf-8")
        page.goto(f"{page.url}&show=table&rows=areas")
        for panel in ("#scatter", ".foot"):
            with page.expect_download() as awaited:
                page.locator(panel).get_by_role("link", name="CSV").click()
            assert "BU99010000" in awaited.value.path().read_text("utf-8-sig"), panel

    def test_works_offline(self, hub: UpHub, visit: Open) -> None:
        """Where no tile comes, roads are drawn beneath everything, names of areas above it, and no broken picture."""
        page = visit(
            "?lens=1h&map=53.003,6.005,14.5", before=lambda page: page.route(TILES, lambda route: route.abort())
        )
        page.wait_for_function(f"({DRAWN})() > 500")
        expect(page.locator(".place-name span").first).to_be_visible()
        expect(page.locator(".leaflet-control-attribution")).to_contain_text("Wegen: OSM, ODbL")
        assert page.locator("img.leaflet-tile:visible").count() == 0
        order = [page.locator(f".leaflet-{name}-pane").evaluate("e => Number(getComputedStyle(e).zIndex)")
                 for name in ("base", "tile", "overlay", "sensors", "names")]  # fmt: skip
        assert order == sorted(order)

    @pytest.mark.parametrize(("scheme", "zoom"), [("light", 9.5), ("dark", 12), ("light", 14.5)])
    def test_names_of_places_are_read_above_sensors(
        self, visit: Open, scheme: Literal["light", "dark"], zoom: float
    ) -> None:
        """A name has a halo in the colour of the page, and who clicks on it clicks on what lies beneath."""
        page = visit(f"?lens=1h&level=buurt&map=53.003,6.005,{zoom}", scheme=scheme, before=_without_tiles)
        name = page.locator(".place-name span").first
        expect(name).to_be_visible()
        beneath, halo, ground = name.evaluate("""(name) => {
            const { left, top, width, height } = name.getBoundingClientRect();
            const found = document.elementFromPoint(left + width / 2, top + height / 2);
            const ground = getComputedStyle(document.querySelector(".card")).backgroundColor;
            return [!name.contains(found), getComputedStyle(name).textShadow, ground];
        }""")
        assert beneath
        assert halo.count(ground) > 4

    @pytest.mark.parametrize("zoom", [12, 14.5])
    def test_names_of_places_are_whole_and_cover_no_sensor(self, visit: Open, zoom: float) -> None:
        """No name is cut off by the edge of the map, and none lies upon a mark."""
        page = visit(f"?lens=1h&level=buurt&map=53.003,6.005,{zoom}", before=_without_tiles)
        expect(page.locator(".place-name span").first).to_be_visible()
        expect(page.locator("path.spot").first).to_be_attached()
        inside, covered = page.evaluate("""() => {
            const boxes = (all) => [...document.querySelectorAll(all)].map((one) => one.getBoundingClientRect());
            const [map] = boxes(".map");
            const names = boxes(".place-name span");
            const meet = (one, other) =>
                one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom;
            const within = (one) =>
                one.left >= map.left && one.right <= map.right && one.top >= map.top && one.bottom <= map.bottom;
            const covered = boxes("path.spot").filter((spot) => names.some((one) => meet(one, spot)));
            return [names.every(within), covered.length];
        }""")
        assert inside
        assert covered == 0

    def test_paper_has_the_map_of_the_screen(self, visit: Open) -> None:
        """A printed map is as narrow as paper and shows all that the screen did, which is as it was afterwards."""
        page = visit("?lens=1h", before=_without_tiles)
        expect(page.locator("path.spot")).to_have_count(3)
        width = "document.querySelector('.map').offsetWidth"
        within = """() => {
            const map = document.querySelector(".map").getBoundingClientRect();
            const spots = [...document.querySelectorAll("path.spot")].map((one) => one.getBoundingClientRect());
            return spots.every((one) => one.left > map.left && one.right < map.right && one.bottom < map.bottom);
        }"""
        place = f"document.querySelector('{spot('full')}').getAttribute('d')"
        before, seen = page.evaluate(width), page.evaluate(place)
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert page.evaluate(width) == 680 < before
        assert page.evaluate(within)
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert [page.evaluate(width), page.evaluate(place)] == [before, seen]

    def test_streets_are_drawn_when_zoomed_in(self, visit: Open) -> None:
        """Main roads are always there, streets only where there is room for them."""
        page = visit(
            "?lens=1h&map=53.003,6.005,11.5", before=lambda page: page.route(TILES, lambda route: route.abort())
        )
        page.wait_for_function(f"({DRAWN})() > 50")
        far = page.evaluate(DRAWN)
        page.goto(page.url.replace("11.5", "13"))
        page.wait_for_function(f"({DRAWN})() > {2 * far}")
        assert page.evaluate(DRAWN) > 2 * far

    def test_tiles_have_names_of_their_own(self, visit: Open) -> None:
        """Where tiles come they lie above the roads, and the names of areas are not written a second time."""

        def give(page: Page) -> None:
            page.route(TILES, lambda route: route.fulfill(body=PNG, content_type="image/png"))

        page = visit("?lens=1h&map=53.003,6.005,14.5", before=give)
        page.locator("img.leaflet-tile-loaded").first.wait_for()
        expect(page.locator(".place-name span").first).to_be_hidden()
        expect(page.locator(".leaflet-control-attribution")).to_contain_text("Kadaster")

    def test_only_tiles_are_asked_of_others(self, hub: UpHub, chrome: Browser) -> None:
        """Every other request of a visit stays on the hub, and tiles are asked for without saying who asks."""
        context = chrome.new_context()
        asked: list[Request] = []
        context.on("request", lambda request: asked.append(request))
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{hub.http_port}/?lens=1h&sensor=stadspuls/full")
        page.wait_for_selector(".detail .chart svg path", state="attached", timeout=WAIT)
        hosts = {urlsplit(one.url).netloc: one for one in asked if not one.url.startswith("data:")}
        context.close()
        assert hosts.keys() - {"service.pdok.nl"} == {f"127.0.0.1:{hub.http_port}"}
        assert not hosts["service.pdok.nl"].headers.get("referer")

    def test_base_map_is_sent_once(self, hub: UpHub) -> None:
        """It comes gzipped with validators: who has it is told so."""
        url = f"http://127.0.0.1:{hub.http_port}/live/base"
        with urllib.request.urlopen(url) as answer:
            assert answer.headers["Content-Encoding"] == "gzip"
            assert answer.headers["Content-Type"].startswith("application/geo+json")
            known = {"If-None-Match": answer.headers["ETag"]}
        with pytest.raises(urllib.error.HTTPError) as same:
            urllib.request.urlopen(urllib.request.Request(url, headers=known))
        same.value.close()
        assert same.value.code == 304


class TestDetail:
    """What a click opens."""

    def test_click_opens_a_sensor(self, hub: UpHub, visit: Open) -> None:
        """Its day as a chart and as a table, its flags by name, its licence; the focus is on its name."""
        now = datetime.now(UTC).replace(second=0, microsecond=0)  # the last hour may be yesterday's
        publish(hub, [message("wild", now, 1e6, "bicycle_count")])
        hub.settle()
        page = visit("?lens=1h&quantity=bicycle_count")
        page.locator(spot("wild")).dispatch_event("click")
        expect(page.locator("#detail-title")).to_have_text("Fietspad")
        expect(page.locator("#detail-title")).to_be_focused()
        expect(page.locator(".detail .chart svg path").first).to_be_attached()
        expect(page.locator(".flags")).to_contain_text("buiten het mogelijke bereik")
        page.locator(".detail summary").click()
        expect(page.locator(".detail table")).to_contain_text("met vlag")
        expect(page).to_have_url(re.compile("sensor=stadspuls"))
        page.locator(".detail .close").click()
        expect(page.locator(".detail")).to_be_hidden()

    def test_what_is_opened_from_far_below_is_seen(self, visit: Open) -> None:
        """The panels beside the map scroll by themselves: a click on a name at their end shows what it opens."""
        page = visit("?lens=1h")
        page.set_viewport_size({"width": 1280, "height": 400})
        page.locator("#ranking .link").first.wait_for()
        page.locator(".side").evaluate("one => one.scrollTo(0, one.scrollHeight)")
        page.locator("#ranking .link").first.dispatch_event("click")
        expect(page.locator("#detail-title")).to_be_focused()
        expect(page.locator("#detail-title")).to_be_in_viewport()

    def test_area_and_busiest_hour_of_a_sensor(self, visit: Open) -> None:
        """A sensor names the buurt that it stands in with its inhabitants, and the busiest hour of the day shown."""
        hour = last_hour().astimezone(ZONE)
        page = visit(f"?lens=1h&sensor=stadspuls/full&at={hour:%Y-%m-%dT%H:%M}")
        expect(page.locator(".detail")).to_contain_text("(600 inwoners)")
        expect(page.locator(".detail .peak")).to_have_text(f"Drukste uur: {hour:%H}:00, 120")
        page.locator(".detail .small .link").first.click()
        expect(page.locator(".detail")).to_contain_text("Inwoners: 600 (1 januari 2024)")
        page.locator(".detail .members .link", has_text="Havenkade").click()
        expect(page.locator("#detail-title")).to_have_text("Havenkade")

    def test_follows_where_it_stands(self, hub: UpHub, visit: Open) -> None:
        """The open detail follows new readings: its table stays open, and the focus where it was."""
        page = visit("?lens=1h&sensor=stadspuls/full&quantity=pedestrian_count")
        page.locator(".detail summary").click()
        page.locator(".detail .close").focus()
        publish(hub, [message("full", datetime.now(UTC).replace(second=0, microsecond=0), 17, "pedestrian_count")])
        row = page.locator(".detail table tbody tr")
        expect(row).to_contain_text("17", timeout=WAIT)
        expect(row).to_contain_text("loopt nog")
        expect(page.locator(".detail .keys")).to_contain_text("Loopt nog")
        expect(page.locator(".detail .close")).to_be_focused()

    def test_reason_of_a_missing_statistic(self, visit: Open) -> None:
        """The reason why CBS gives no figure is in the viewer's language, and is not cut off."""
        page = visit("?lens=1h&area=WK990100")
        expect(page.locator(".detail")).to_contain_text("geen waarde (niet gegeven")
        fits = "e => e.scrollWidth <= e.clientWidth"
        assert page.locator(".detail").evaluate(fits)
        assert page.locator(".side").evaluate(fits)

    def test_by_keyboard_alone(self, visit: Open) -> None:
        """Table, search and sensor are reached with Tab, Enter and letters."""
        page = visit()
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.id") == "show-table":
                break
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        page.keyboard.type("haven")
        expect(page.locator("#table tbody tr")).to_have_count(1)
        for _ in range(10):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.textContent") == "Havenkade":
                break
        page.keyboard.press("Enter")
        expect(page.locator("#detail-title")).to_have_text("Havenkade")


class TestTable:
    """The same figures as a table."""

    def test_same_figures(self, visit: Open) -> None:
        """Value, coverage and state of each sensor; missing says so, and stands last in either order."""
        page = visit("?lens=1h&show=table")
        rows = page.locator("#table tbody tr")
        expect(rows).to_have_count(3)
        expect(rows.filter(has_text="Havenkade")).to_contain_text("120")
        expect(rows.filter(has_text="Molenweg")).to_contain_text("48%")
        expect(rows.filter(has_text="Dijk").locator(".value")).to_have_text("geen waarde")
        for _ in range(2):
            page.locator("#table thead button").nth(1).click()
            expect(rows.last).to_contain_text("Dijk")


class TestViewers:
    """Languages, the dark, a phone, and those who cannot see it."""

    def test_language(self, visit: Open) -> None:
        """By what the browser prefers, and by the switch, which is remembered."""
        english = visit(locale="en-GB")
        expect(english.locator(".summary h2")).to_contain_text("Motor vehicles, per hour")
        assert english.locator("html").get_attribute("lang") == "en-GB"
        page = visit()
        expect(page.locator(".summary h2")).to_contain_text("Motorvoertuigen")
        page.get_by_role("link", name="EN: English").click()
        expect(page.locator(".summary h2")).to_contain_text("Motor vehicles, per hour")
        page.goto(page.url.partition("?")[0])
        expect(page.locator("#choose-quantity")).to_contain_text("Motor vehicles")

    def test_dark(self, visit: Open) -> None:
        """By the setting of the system, and by the switch, which is remembered."""
        dark = ("background-color", "rgb(16, 23, 28)")
        expect(visit(scheme="dark").locator("body")).to_have_css(*dark)
        page = visit()
        expect(page.locator("body")).to_have_css("background-color", "rgb(243, 245, 247)")
        page.locator(".theme").click()
        expect(page.locator("body")).to_have_css(*dark)
        page.reload()
        expect(page.locator("body")).to_have_css(*dark)

    @pytest.mark.parametrize(
        "address",
        ["?lens=range", "?lens=1h&show=table", "?lens=1h&sensor=stadspuls/half", "?lens=1h&area=BU99010000"],
    )
    @pytest.mark.parametrize("width", [390, 320])
    def test_phone(self, visit: Open, address: str, width: int) -> None:
        """On a phone, and on a desk at four times the size, nothing has to be moved sideways."""
        page = visit(address, width=width)
        page.wait_for_timeout(500)
        assert page.evaluate("document.documentElement.scrollWidth") == width

    def test_phone_says_how_good_a_figure_is(self, visit: Open) -> None:
        """The table of a phone has the state of each figure; the times stand above it."""
        page = visit("?lens=1h&show=table", width=390)
        row = page.locator("#table tr", has_text="half")
        expect(row.locator("td:visible").last).to_contain_text("niet geldig: dekking")
        expect(page.locator("#table thead th:visible")).to_have_count(row.locator("> :visible").count())

    @pytest.mark.parametrize(
        "address",
        ["?lens=range", "?lens=1h&show=table", "?lens=1h&sensor=stadspuls/half", "?lens=1h&area=BU99010000&lang=en"],
    )
    def test_axe(self, visit: Open, address: str) -> None:
        """axe finds nothing wrong, by day and by night."""
        page = visit(address)
        if "sensor" in address or "area" in address:
            page.wait_for_selector("#detail-title")
        check_accessible(page)


class TestNews:
    """What is committed reaches who looks."""

    def test_new_reading_arrives(self, hub: UpHub, visit: Open) -> None:
        """A reading that is published changes the page without anybody touching it, new sensors included."""
        page = visit("?lens=1h&show=table&quantity=pedestrian_count")
        start = last_hour()
        publish(hub, [message("news", start, 41, "pedestrian_count")])
        row = page.locator("#table tbody tr").filter(has_text="Brug")
        expect(row.locator(".value")).to_have_text("41", timeout=WAIT)
        publish(hub, [message("news", start + timedelta(minutes=1), 1, "pedestrian_count")])
        expect(row.locator(".value")).to_have_text("42", timeout=WAIT)

    def test_health(self, visit: Open) -> None:
        """The page has a quiet line about the hub, which leads to its numbers, and the silent sensors."""
        page = visit()
        line = page.locator("#hub-line a")
        expect(line).to_have_text("De hub werkt.")
        expect(line).not_to_have_class(has_class("alarm"))
        line.click()
        expect(page.locator("#hub-ready")).to_have_text("De hub werkt.", timeout=WAIT)
        health = page.locator(".numbers")
        expect(health.first).to_contain_text("Uren berekend tot")
        expect(page.locator("#findings tr", has_text="accounting stadspuls")).to_contain_text("in orde", timeout=WAIT)
        expect(health.last).to_contain_text("Metingen per seconde")
        expect(health.last.locator("dd").first).not_to_have_text("–", timeout=WAIT)
        page.get_by_role("link", name="Naar de kaart").click()
        expect(page.locator(".side")).to_contain_text("nooit gehoord", timeout=WAIT)
        page.get_by_role("button", name="Dijk").click()
        expect(page.locator("#detail-title")).to_have_text("Dijk (gesimuleerd)")

    def test_what_is_wrong_with_the_hub_is_named(self, visit: Open) -> None:
        """A hub that is not ready answers with an error, whose text the page shows; of one that is away it has none."""
        page = visit()
        trouble = json.dumps({"ready": False, "trouble": ["the roll-up fails"]})
        page.route("**/readyz", lambda route: route.fulfill(status=503, body=trouble))
        page.goto(f"{page.url.split('?')[0]}health?lang=en")
        expect(page.locator("#hub-ready.alarm + ul li")).to_have_text("the roll-up fails")
        page.unroute("**/readyz")
        page.route("**/readyz", lambda route: route.abort())
        page.reload()
        expect(page.locator("#hub-ready.alarm")).to_be_visible()
        expect(page.locator("#hub-ready + ul")).to_have_count(0)


def test_alerts_are_seen_to_and_silenced(hub: UpHub, visit: Open) -> None:
    """
    Open alerts are listed with their place, by the title of the page's language.

    Somebody with a name acknowledges one and silences another, and the hub knows.
    """
    seen, quiet = (raised(hub.database, f"stadspuls/{name}", datetime.now(UTC)) for name in ("full", "half"))
    page = visit()
    first, second = (
        page.locator("li", has_text="Regel no2-alert").filter(has_text=name) for name in ("Havenkade", "Molenweg")
    )
    expect(visit("?lang=en").locator("li", has_text="Rule no2-alert")).to_have_count(2)
    first.get_by_role("button", name="oppakken").click()
    first.get_by_label("Uw naam").fill("Femke")
    first.locator("form button").click()
    expect(first).to_contain_text("opgepakt door Femke")
    second.get_by_role("button", name="2 uur stil").click()
    second.locator("form button").click()  # the browser remembers who it is
    expect(second.get_by_role("button", name="2 uur stil")).to_have_count(0)
    expect(second).to_contain_text("stil")
    page.locator("#alerts-silences summary").click()
    expect(page.locator("#alerts-silences li")).to_contain_text("Femke")
    states = {one["alert"]: one["state"] for one in json.loads(hub.run("alerts", "list", "--format=json"))}
    assert (states[seen], states[quiet]) == ("acknowledged", "silenced")


def test_served_elsewhere_behind_a_token(hub: UpHub, chrome: Browser) -> None:
    """`stadspuls serve` has the page too; a browser prompts for the token once, and sends it with all that follows."""
    with guarded(hub) as url, chrome.new_context(http_credentials=TEAM) as context:
        page = context.new_page()
        page.set_default_timeout(WAIT)
        page.goto(f"{url}/?lens=1h&sensor=stadspuls/full")
        expect(page.locator("#detail-title")).to_have_text("Havenkade", timeout=WAIT)
        expect(page.locator("#hub-line a")).to_have_text("The hub works.", timeout=WAIT)
        for path in ("/", "/live/figures?quantity=no2&lens=1h"):
            with pytest.raises(OSError, match="401"):
                urllib.request.urlopen(f"{url}{path}", timeout=30)


def test_page_elsewhere_frames_a_map_of_a_guarded_hub(hub: UpHub, chrome: Browser) -> None:
    """The code for another page has a key: whoever sees it there needs no token; and it is seen nowhere else."""
    refused: list[str] = []
    with guarded(hub) as url, chrome.new_context(http_credentials=TEAM) as team, chrome.new_context() as anybody:
        page = team.new_page()
        page.goto(f"{url}/?lens=1h&lang=nl")
        page.locator("#share summary").click(timeout=WAIT)
        expect(page.locator("#permalink")).to_have_value(re.compile("at="), timeout=WAIT)
        code = page.locator("#frame-code").input_value()
        assert "/read/vehicle_count/" in code
        page = anybody.new_page()
        page.on("response", lambda one: refused.append(one.url) if one.status in (401, 403) else None)
        page.on("pageerror", lambda error: refused.append(str(error)))
        elsewhere = FastAPI(default_response_class=HTMLResponse)
        elsewhere.get("/{sandbox:path}")(lambda sandbox: code.replace("<iframe", f"<iframe {sandbox}"))
        with listening(elsewhere, "127.0.0.1", 0) as address:
            for sandbox in ("", 'sandbox="allow-scripts allow-same-origin"', 'sandbox="allow-scripts"'):
                page.goto(f"{address.replace('127.0.0.1', 'localhost')}/{sandbox}")
                inside = page.frame_locator("iframe")
                expect(inside.locator(spot("full"))).to_have_class(has_class("valid"), timeout=WAIT)
                expect(inside.locator("#summary")).to_contain_text("1 van 3 sensoren met een geldige waarde")
                assert refused == [], sandbox
            with page.expect_console_message(lambda said: "frame-ancestors" in said.text, timeout=WAIT):
                page.goto(address)


TEAM: Any = {"username": "team", "password": "a-token-of-the-test"}


@contextmanager
def guarded(hub: UpHub) -> Iterator[str]:
    """Serve the page of a hub elsewhere, where it asks for a token, and pages of localhost may frame it."""
    port = free_port()
    given = {
        "API_TOKEN": TEAM["password"],
        "FRAME_SECRET": "a-secret-of-the-test",
        "FRAME_ANCESTORS": "http://localhost:*",
    }
    environment = {**os.environ, **{f"STADSPULS_{name}": value for name, value in given.items()}}
    flags = ["serve", f"--database={hub.database}", f"--http-port={port}"]
    with (hub.directory / "serve.log").open("wb") as log:
        serve = subprocess.Popen([*installed(), *flags], env=environment, stderr=log, start_new_session=True)
    try:
        until_open(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        serve.terminate()
        assert serve.wait(60) == 0


def until_open(port: int) -> None:
    """Wait until somebody listens."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with socket.socket() as trial:
            if trial.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise AssertionError(f"nobody listens on {port}")


class TestAddress:
    """What is chosen stands in the address, and in the history."""

    def test_back_restores_each_choice(self, visit: Open) -> None:
        """Each choice is an entry of the history: Back takes it back, and does not leave the page."""
        page = visit("?lens=1h")
        page.locator("#choose-lens").select_option("1h-now")
        page.locator("#show-table").click()
        page.locator("#table").get_by_role("button", name="Havenkade").click()
        expect(page.locator("#detail-title")).to_have_text("Havenkade")
        page.go_back()
        expect(page.locator(".detail")).to_be_hidden()
        expect(page.locator("#table")).to_be_visible()
        page.go_back()
        expect(page.locator("#table")).to_be_hidden()
        expect(page.locator("#choose-lens")).to_have_value("1h-now")
        page.go_back()
        expect(page.locator("#choose-lens")).to_have_value("1h")
        page.go_forward()
        expect(page.locator("#choose-lens")).to_have_value("1h-now")

    def test_everything_that_was_chosen(self, visit: Open) -> None:
        """Where the map was moved to, how the table is sorted, and the theme are in the address, and Back is exact."""
        page = visit("?lens=1h")
        expect(page.locator(spot("full"))).to_be_attached()
        page.locator(".leaflet-control-zoom-in").click()
        page.wait_for_url("**map=**")
        zoomed = page.url.partition("map=")[2]
        page.locator("#show-table").click()
        for _ in range(2):
            page.locator("#table thead button").nth(1).click()
        page.locator(".theme").click()
        for part in (f"map={zoomed}", "sort=-value", "show=table", "theme=dark"):
            expect(page).to_have_url(re.compile(re.escape(part)))
        page.reload()
        expect(page.locator("#table th").nth(1)).to_have_attribute("aria-sort", "descending")
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        page.go_back()
        expect(page.locator("html")).to_have_attribute("data-theme", "light")
        page.go_back()
        expect(page.locator("#table th").nth(1)).to_have_attribute("aria-sort", "ascending")
        expect(page).to_have_url(re.compile(re.escape(f"map={zoomed}")))

    def test_what_nobody_knows_is_asked_for_once(self, visit: Open) -> None:
        """A sensor that is not known is said to be so, and not asked for again with every news of the hub's health."""
        page = visit("?lens=1h")
        page.clock.install()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url) if "/live/sensor" in request.url else None)
        page.goto(page.url + "&sensor=stadspuls/nowhere")
        expect(page.locator(".summary .alarm")).to_contain_text("stadspuls/nowhere")
        expect(page.locator("#hub-line a")).to_have_text("De hub werkt.")
        for _ in range(3):
            page.clock.run_for(20_000)
        assert len(asked) == 1

    def test_what_is_to_come_is_not_shown(self, visit: Open) -> None:
        """A moment in the future is said, and now is shown instead."""
        page = visit("?lens=1h&at=2099-01-01T10:00")
        expect(page.locator(".summary .alarm")).to_contain_text("at=2099-01-01T10:00")
        expect(page.locator("#choose-now")).to_have_attribute("aria-pressed", "true")
        expect(page.locator("#summary")).to_contain_text("bijgewerkt")

    def test_day_without_a_value_says_so(self, visit: Open) -> None:
        """A sensor's panel of a day that has nothing has a sentence, not an empty chart; another year is named."""
        page = visit("?lens=1h&at=1999-01-01T10:00&sensor=stadspuls/full")
        expect(page.locator(".detail")).to_contain_text("Geen waarden van deze grootheid op deze dag")
        expect(page.locator(".detail .chart")).to_have_count(0)
        expect(page.locator(".summary h2")).to_contain_text("vr 1 jan 1999 10:00")

    def test_what_is_not_known_is_said(self, visit: Open) -> None:
        """A parameter, a value or a sensor that is not known is named, with what is."""
        page = visit("?lens=1h&quantum=no2&level=provincie&map=1&sensor=stadspuls/nowhere")
        said = page.locator(".summary .alarm")
        expect(said).to_have_count(4)
        expect(said.nth(0)).to_contain_text("quantum; bekend zijn quantity, lens, at")
        expect(said.nth(1)).to_contain_text("level=provincie; bekend zijn gemeente, wijk, buurt")
        expect(said.nth(2)).to_contain_text("map=1; verwacht is iets als 53.22,6.57,13")
        expect(said.nth(3)).to_contain_text("Sensor stadspuls/nowhere is niet bekend")
        page.locator("#choose-lens").select_option("1h-now")
        expect(said).to_have_count(0)


def hourly(
    sensor: str, quantity: str, start: datetime, period: int = 3600, channel: str = "", value: int = 12,
    **facts: object,
) -> tuple[str, bytes]:  # fmt: skip
    """One reading in the hub's own JSON, with where the sensor stands."""
    reading = {
        "quantity": quantity, "period": period, "value": value, "channel": channel,
        "start": start.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }  # fmt: skip
    said = {"sensor_id": f"stadspuls/{sensor}", "lon": 6.002, "lat": 53.002, **facts, "readings": [reading]}
    return f"stadspuls/stadspuls/{sensor}", json.dumps(said).encode()


def last_sunday(month: int) -> datetime:
    """The last Sunday of a month that is over, on which clocks change in March and October."""
    now = datetime.now(ZONE)
    last = now.replace(
        year=now.year - (month >= now.month), month=month, day=31, hour=0, minute=0, second=0, microsecond=0
    )
    return last - timedelta(days=last.isoweekday() % 7)


class TestHonest:
    """How good a figure is."""

    def test_why_a_figure_is_not_valid(self, hub: UpHub, visit: Open) -> None:
        """Too little coverage with how much there must be, or a direction that is missing: each is said."""
        page = visit("?lens=1h&show=table")
        half = page.locator("#table tbody tr").filter(has_text="Molenweg")
        expect(half).to_contain_text("niet geldig: dekking 48%, nodig is 90%")
        publish(hub, [hourly("sides", "bicycle_count", last_hour(), channel="lft/any", lanes=2, name="Tweezijdig")])
        hub.settle()
        page = visit("?lens=1h&show=table&quantity=bicycle_count")
        row = page.locator("#table tbody tr").filter(has_text="Tweezijdig")
        expect(row).to_contain_text("niet geldig: 1 van 2 rijstroken of richtingen")
        row.get_by_role("button").click()
        expect(page.locator("#detail-title + p")).to_contain_text("richtingen: 2")
        expect(page.locator("#detail-title + p")).not_to_contain_text("rijstroken")

    def test_last_full_hour_has_no_figure_that_still_runs(self, hub: UpHub, visit: Open) -> None:
        """A sensor without a closed hour is not coloured among closed ones, and an earlier hour is told apart."""
        start = last_hour()
        said = [("closed", start, 3600), ("closed-too", start, 3600), ("runs", start + HOUR, 60)]
        said += [("earlier", start - HOUR, 3600)]
        publish(hub, [hourly(name, "noise", at, period, name=f"Geluid {name}") for name, at, period in said])
        hub.settle()
        page = visit("?lens=1h&show=table&quantity=noise")
        row = page.locator("#table tbody tr")
        expect(row).to_have_count(4)
        expect(row.filter(has_text="runs").locator(".value")).to_have_text("geen waarde")
        expect(row.filter(has_text="runs")).to_contain_text("loopt nog")
        expect(page.locator(spot("runs"))).to_have_class(has_class("none"))
        expect(page.locator("#summary")).to_contain_text("1 van een ander tijdvak")
        expect(row.filter(has_text="earlier").locator("td.other")).to_have_count(1)
        expect(page.locator(spot("earlier"))).to_have_class(has_class("other"))
        expect(page.locator(".legend .states")).to_contain_text("van een ander tijdvak")
        expect(row.filter(has_text="closed").locator("td.other")).to_have_count(0)

    def test_alert_opens_its_own_quantity(self, hub: UpHub, visit: Open) -> None:
        """An alert about NO2 opens NO2, not an empty day of vehicles."""
        raised(hub.database, "stadspuls/never", datetime.now(UTC))
        page = visit("?lens=1h")
        page.locator("li.wrapped", has_text="Dijk").get_by_role("button", name="Dijk").click()
        expect(page.locator("#detail-title")).to_have_text("Dijk (gesimuleerd)")
        expect(page.locator(".detail h3").first).to_have_text("Stikstofdioxide (NO₂), µg/m³")
        expect(page.locator("#choose-quantity")).to_have_value("no2")

    def test_alert_about_no_quantity(self, hub: UpHub, visit: Open) -> None:
        """An alert about a clock opens its sensor, and the page stays with its quantity; others are a click away."""
        publish(hub, [hourly("clock", "nox", last_hour(), name="Voorlopend")])
        hub.settle()
        alert = raised(hub.database, "stadspuls/clock", datetime.now(UTC))
        with psycopg.connect(hub.database) as connection:
            connection.execute("UPDATE alert SET quantity = 'any' WHERE alert = %s", [alert])
        page = visit("?lens=1h")
        page.locator("li.wrapped", has_text="Voorlopend").get_by_role("button", name="Voorlopend").click()
        expect(page.locator("#detail-title")).to_have_text("Voorlopend")
        expect(page.locator("#choose-quantity")).to_have_value("vehicle_count")
        page.locator(".detail").get_by_role("button", name="Stikstofoxiden").click()
        expect(page.locator("#choose-quantity")).to_have_value("nox")


def tooltip_at(page: Page, x: float, y: float, wanted: str) -> str:
    """Move the mouse about a place until the map's tooltip has a text, and give the tooltip's."""
    found = ""
    for turn in range(100):
        page.mouse.move(x + turn % 2, y)
        page.wait_for_timeout(100)
        found = " ".join(page.locator(".leaflet-tooltip").all_inner_texts())
        if wanted in found:
            break
    return found


class TestMoment:
    """Any moment that has passed."""

    def test_step_and_back_to_now(self, hub: UpHub, visit: Open) -> None:
        """One hour earlier map, table and header follow, the address has the moment, and Now leads back."""
        names = {"then": last_hour() - HOUR, "since": last_hour()}
        publish(hub, [hourly(name, "humidity", at, name=f"Vocht {name}") for name, at in names.items()])
        hub.settle()
        page = visit("?lens=1h&show=table&quantity=humidity")
        row = page.locator("#table tbody tr")
        expect(row.filter(has_text="since").locator(".value")).to_have_text("12")
        expect(page.get_by_role("button", name="Later")).to_be_disabled()
        page.get_by_role("button", name="Eerder").click()
        expect(row.filter(has_text="since").locator(".value")).to_have_text("geen waarde")
        expect(row.filter(has_text="then").locator(".value")).to_have_text("12")
        expect(page.locator("#summary")).to_contain_text("niet live")
        expect(page).to_have_url(re.compile("at=20"))
        page.reload()
        expect(page.locator("#summary")).to_contain_text("niet live")
        page.locator("#choose-now").click()
        expect(row.filter(has_text="since").locator(".value")).to_have_text("12")
        expect(page).not_to_have_url(re.compile("at=20"))

    def test_day_of_a_moment(self, hub: UpHub, visit: Open) -> None:
        """What is opened shows the day of the moment, and says which day it is."""
        noon = datetime.now(ZONE).replace(hour=12, minute=0, second=0, microsecond=0)
        noon -= timedelta(days=2)
        publish(hub, [hourly("before", "pm25", noon.astimezone(UTC))])
        hub.settle()
        page = visit(f"?lens=1h&quantity=pm25&sensor=stadspuls/before&at={noon:%Y-%m-%d}T12:20")
        expect(page.locator(".summary h2")).to_contain_text("12:00 – 13:00")
        expect(page.locator(".detail summary")).to_contain_text(f" {noon.day} ")
        page.locator(".detail summary").click()
        row = page.locator(".detail table tbody tr")
        expect(row).to_have_count(1)
        expect(row).to_contain_text("12:00")
        expect(page.locator(".detail .keys")).not_to_contain_text("Vandaag")

    def test_pick_a_day(self, hub: UpHub, visit: Open) -> None:
        """A date of days shows that date; its next day is a step away, and Back leads to the first."""
        noon = datetime.now(ZONE).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=4)
        said = [hourly("by-day", "o3", (noon + timedelta(days=day)).astimezone(UTC)) for day in (0, 1)]
        publish(hub, said)
        hub.settle()
        page = visit("?lens=1d&quantity=o3&show=table")
        page.locator("#choose-moment").fill(f"{noon:%Y-%m-%d}")
        page.locator("#choose-moment").blur()
        value = page.locator("#table .value").filter(has_text="12")
        expect(value).to_have_count(1)
        expect(page.locator(".summary h2")).to_contain_text(f" {noon.day} ")
        expect(page).to_have_url(re.compile(f"at={noon:%Y-%m-%d}$"))
        expect(page.locator("#choose-lens")).to_contain_text("een dag")
        page.get_by_role("button", name="Later").click()
        expect(page.locator(".summary h2")).to_contain_text(f" {(noon + timedelta(days=1)).day} ")
        expect(value).to_have_count(1)
        page.go_back()
        expect(page.locator(".summary h2")).to_contain_text(f" {noon.day} ")

    def test_range(self, hub: UpHub, visit: Open) -> None:
        """Map, table, header and chart show the hours of a range together; a wider one has more of them, Back fewer."""
        first = datetime.now(ZONE).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=6)
        publish(hub, [hourly("in-range", "pedestrian_count", (first + n * HOUR).astimezone(UTC)) for n in range(4)])
        hub.settle()
        at, until, later = (f"{first + n * HOUR:%Y-%m-%dT%H:%M}" for n in (0, 2, 4))
        page = visit(
            f"?lens=range&show=table&quantity=pedestrian_count&sensor=stadspuls/in-range&at={at}&until={until}"
        )
        row = page.locator("#table tbody tr").filter(has_text="in-range")
        expect(row.locator(".value")).to_have_text("24")
        expect(row).to_contain_text("100%")
        expect(row).to_contain_text("geldig")
        expect(page.locator(".summary h2")).to_contain_text("in dit tijdvak")
        expect(page.locator(".detail .keys")).to_contain_text(" – ")
        page.locator(".detail summary").click()
        expect(page.locator(".detail table tbody tr")).to_have_count(2)
        page.locator("#choose-until").fill(later)
        page.locator("#choose-until").blur()
        expect(row.locator(".value")).to_have_text("48")
        expect(page.locator(spot("in-range"))).to_have_class(has_class("valid"))
        page.go_back()
        expect(row.locator(".value")).to_have_text("24")

    @pytest.mark.parametrize(("month", "hours"), [(3, 47), (10, 49)])
    def test_range_over_a_clock_change(self, hub: UpHub, visit: Open, month: int, hours: int) -> None:
        """The chart has a place for each hour that there was, in its table the hour that autumn has twice says so."""
        noon = last_sunday(month) - 12 * HOUR  # by the clock on the wall, as is the one two days later
        first = noon.astimezone(UTC)
        publish(hub, [
            hourly(f"clocks-{month}", "pedestrian_count", first + n * HOUR, value=n + 1) for n in range(hours)
        ])  # fmt: skip
        hub.settle()
        at, until = (f"{noon + n * HOUR:%Y-%m-%dT%H:%M}" for n in (0, 48))
        page = visit(
            f"?lens=range&quantity=pedestrian_count&sensor=stadspuls/clocks-{month}&at={at}&until={until}&lang=en"
        )
        page.locator(".detail summary").click()
        rows = page.locator(".detail table tbody tr")
        expect(rows).to_have_count(hours)
        labels = [text.partition(" ")[2] for text in rows.locator("th").all_text_contents()]
        assert [labels[0], *labels[-2:]] == ["12:00", "10:00", "11:00"]
        night = [f"{hour:02}:00" for hour in range(5) if (month, hour) != (3, 2)]
        assert labels[12 : hours - 31] == (night if month == 3 else [*night[:3], "02:00+01:00", *night[3:]])
        page.locator(".detail .chart svg").wait_for()
        drawn = page.evaluate(CHARTED)
        assert [label.partition(" ")[2] for label in drawn["labels"]] == labels
        assert drawn["values"] == [n + 1 for n in range(hours)]

    def test_range_with_hours_that_are_not_valid(self, hub: UpHub, visit: Open) -> None:
        """The last 24 hours are one choice; where most of them have nothing, the sum says so."""
        publish(hub, [hourly("last-day", "bicycle_count", last_hour())])
        hub.settle()
        page = visit("?lens=1h&show=table&quantity=bicycle_count")
        page.locator("#choose-lens").select_option("range")
        row = page.locator("#table tbody tr").filter(has_text="last-day")
        expect(row.locator(".value")).to_have_text("12")
        expect(row).to_contain_text("niet geldig: 1 van 24 uren geldig, nodig is 90%")
        expect(row).to_contain_text("4%")

    def test_play(self, visit: Open) -> None:
        """Hour after hour passes until somebody stops it, also from one that runs; all are one entry of the history."""
        page = visit("?lens=1h-now")
        page.locator("#play").click()
        page.wait_for_url("**at=**")
        began = page.url
        page.wait_for_function("began => location.href !== began", arg=began)
        expect(page.locator("#summary")).to_contain_text("niet live")
        page.locator("#play").click()
        expect(page.locator("#play")).to_have_text("Afspelen")
        page.go_back()
        expect(page.locator("#summary")).to_contain_text("bijgewerkt")
        expect(page).not_to_have_url(re.compile("at="))

    def test_what_is_no_moment(self, hub: UpHub, visit: Open) -> None:
        """It is said on the page, and refused by the hub, as is a range that is too long or ends before it begins."""
        expect(visit("?at=gisteren").locator(".summary .alarm")).to_contain_text("at=gisteren")
        for asked in ("lens=1h&at=gisteren", "lens=range&at=2026-01-01&until=2027-01-01",
                      "lens=range&at=2026-01-02&until=2026-01-01"):  # fmt: skip
            with pytest.raises(OSError, match="400"):
                hub.get(f"/live/past?quantity=no2&{asked}")


class TestSeen:
    """What is drawn can be seen."""

    def test_sensors_lie_above_areas(self, visit: Open) -> None:
        """A sensor in an area is what the mouse meets, also where areas are chosen when sensors are drawn already."""
        page = visit("?lens=1h&level=none")
        expect(page.locator(spot("full"))).to_be_attached()
        page.locator("#choose-level").select_option("buurt")
        expect(page.locator('path[data-area="BU99010000"]')).to_be_attached()
        top = "e => { const r = e.getBoundingClientRect();"
        top += " return document.elementFromPoint(r.x + r.width / 2, r.y + r.height / 2) === e }"
        page.wait_for_function(f"({top})(document.querySelector('{spot('full')}'))")

    def test_many_sensors_lie_above_areas_too(self, visit: Open) -> None:
        """On a canvas, which draws a whole country, the mouse meets first the sensors and then the areas."""
        names = [f"stadspuls/many-{number}" for number in range(2000)]

        def places(route: Route) -> None:
            said = [[name, name, 6.004 + at % 50 * 6e-5, 53.004 + at // 50 * 4e-5] for at, name in enumerate(names)]
            route.fulfill(json=said)

        def figures(route: Route) -> None:
            found = route.fetch().json()
            said = [[one] * len(names) for one in ("valid", 5, 1, 0, 3600, 0, None, 1, 1)]
            found["sensors"] |= zip(found["sensors"], [names, *said], strict=False)
            route.fulfill(json=found)

        page = visit("?lens=1h&level=buurt&quantity=vehicle_speed")
        page.route("**/live/places*", places)
        page.route("**/live/figures*", figures)
        page.locator("#choose-quantity").select_option("vehicle_count")
        expect(page.locator(".map canvas")).to_be_attached()
        box = page.locator(".map").bounding_box()
        assert box is not None
        middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        assert "many-" in tooltip_at(page, *middle, "many-")
        assert "Haven" in tooltip_at(page, middle[0] + 150, middle[1], "Haven")

    def test_tooltips_are_not_cut_off(self, visit: Open) -> None:
        """On a phone the map's tooltips stay on the map, and the chart's in its panel."""
        inside = """(inner, outer) => {
            const [a, b] = [inner, document.querySelector(outer)].map((one) => one.getBoundingClientRect());
            return a.width > 0 && a.left >= b.left && a.right <= b.right }"""
        page = visit("?lens=1h&sensor=stadspuls/full", width=390)
        for name, text in (("full", "Havenkade"), ("half", "nodig is 90%"), ("never", "Dijk")):
            page.locator(spot(name)).hover(force=True)
            tooltip = page.locator(".leaflet-tooltip", has_text=text)
            expect(tooltip).to_be_visible()
            assert tooltip.evaluate(inside, ".map"), name
        page = visit("?lens=1h&sensor=stadspuls/full", width=1000)
        chart = page.locator(".detail .chart")
        chart.locator("svg path").first.wait_for(state="attached")
        for part in (0.3, 0.5, 0.9):
            box = chart.bounding_box()
            assert box is not None
            page.mouse.move(box["x"] + box["width"] * part, box["y"] + 120)
            tooltip = page.locator(".chart > div:last-child")
            expect(tooltip).to_contain_text(":00")
            assert tooltip.evaluate(inside, ".detail"), part

    def test_printed_legend_has_its_colours(self, visit: Open) -> None:
        """Browsers leave out backgrounds when they print: the colours of the legend are not among them."""
        page = visit("?lens=1h")
        page.locator(".legend .swatch").first.wait_for()
        printed = page.pdf(print_background=False)
        streams = [zlib.decompress(one) for one in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", printed, re.DOTALL)
                   if one.startswith(b"\x78")]  # fmt: skip
        colours = {
            tuple(round(float(part) * 255) for part in found)
            for one in streams for found in re.findall(rb"([\d.]+) ([\d.]+) ([\d.]+) rg", one)
        }  # fmt: skip
        assert {(0x25, 0x34, 0x94), (0xFF, 0xFF, 0xCC), (0x7F, 0xCD, 0xBB)} <= colours

    @pytest.mark.parametrize("width", [360, 960, 1180])
    def test_nothing_is_cut_off_at_any_width(self, visit: Open, width: int) -> None:
        """The page and its table end at the edge of their frame, and the map's scale and sources are apart."""
        page = visit("?lens=1d&show=table&lang=en", width=width)
        page.locator("#table .value").first.wait_for()
        for part in (":root", ".table-frame .scroll"):
            assert page.locator(part).evaluate("one => one.scrollWidth <= one.clientWidth"), part
        page.locator("#show-map").click()
        scale, sources = (page.locator(f".leaflet-control-{one}").bounding_box() for one in ("scale", "attribution"))
        assert scale is not None
        assert sources is not None
        assert scale["y"] + scale["height"] <= sources["y"]
        page.goto(f"{page.url.split('?')[0]}health?lang=en")
        page.locator("#findings th").first.wait_for()
        for part in (":root", "#findings"):
            assert page.locator(part).evaluate("one => one.scrollWidth <= one.clientWidth"), part

    def test_titles_and_charts_grow_with_a_large_screen(self, visit: Open) -> None:
        """At 4K a title is larger than the text beneath it, and the words of a chart are as large as others."""
        page = visit("?lens=1h&sensor=stadspuls/full", width=3840)
        page.locator(".detail .chart svg text").first.wait_for()
        title, text, small, chart = (
            page.locator(one).first.evaluate("one => parseFloat(getComputedStyle(one).fontSize)")
            for one in (".summary h2", "#summary", ".detail .small", ".detail .chart svg text")
        )
        assert title > text > chart >= 0.8 * small

    def test_a_page_is_in_one_language(self, visit: Open) -> None:
        """Titles of sources and licences that are sentences are in the words of the viewer."""
        detail = visit("?lens=1h&sensor=stadspuls/full").locator(".detail")
        expect(detail).to_contain_text("JSON van de hub")
        expect(detail).to_contain_text("Licentie: zoals afgesproken met de eigenaar")
        expect(visit("?lens=1h&sensor=stadspuls/full&lang=en").locator(".detail")).to_contain_text("The hub's own JSON")

    @pytest.mark.parametrize(
        ("language", "mark", "summary"),
        [("nl", "(gesimuleerd)", "niets is gemeten"), ("en", "(simulated)", "nothing was measured")],
    )
    def test_what_is_simulated_is_marked(self, visit: Open, language: str, mark: str, summary: str) -> None:
        """A name that the demo marked has the mark wherever it stands, in the words of the viewer and in no other."""
        page = visit(f"?lens=1h&show=table&sensor=stadspuls/never&lang={language}")
        expect(page.locator("#table tbody tr", has_text="Dijk").get_by_role("button")).to_have_text(f"Dijk {mark}")
        expect(page.locator("#detail-title")).to_have_text(f"Dijk {mark}")
        expect(page.locator("#summary")).to_contain_text(summary)
        expect(page.locator(".side li", has_text="Dijk").first).to_contain_text(f"Dijk {mark}")
        assert page.locator("body").inner_text().count("Dijk") == page.locator("body").inner_text().count(
            f"Dijk {mark}"
        )

    @pytest.mark.parametrize("lens", ["1h", "1d"])
    def test_buttons_of_the_moment_stand_in_one_line(self, visit: Open, lens: str) -> None:
        """However wide the page is, none stands alone on a second line."""
        page = visit(f"?lens={lens}")
        for width in (500, 700, 880, 960, 1160, 1920):
            page.set_viewport_size({"width": width, "height": 860})
            ends = page.locator(".moment > *").evaluate_all(
                "all => all.map((one) => one.getBoundingClientRect().bottom)"
            )
            assert len(ends) == 5
            assert max(ends) - min(ends) < 2, width

    def test_beside_a_long_name_stands_one_line(self, visit: Open) -> None:
        """A name takes two lines where it must; since when its sensor is silent takes one."""
        line = visit().locator(".side li", has_text="nooit gehoord").first
        line.locator("button").evaluate("one => { one.textContent = 'Oosterhamrikkade (gesimuleerd) '.repeat(2) }")
        lines = "one => { const all = new Range(); all.selectNodeContents(one); return all.getClientRects().length }"
        assert line.locator(".quiet").evaluate(lines) == 1

    def test_phone_does_not_cut_a_time_in_two(self, visit: Open) -> None:
        """From when to when a window is stands in one line."""
        page = visit(width=390)
        lines = "one => { const all = new Range(); all.selectNodeContents(one); return all.getClientRects().length }"
        expect(page.locator(".summary h2 .quiet")).not_to_be_empty()
        assert page.locator(".summary h2 .quiet").evaluate(lines) == 1

    def test_phone_shows_values_beside_long_ids(self, hub: UpHub, visit: Open) -> None:
        """However long an id is, its value stands on the screen."""
        name = "a-sensor-with-a-name-that-somebody-generated-0123456789abcdef0123456789abcdef"
        publish(hub, [hourly(name, "temperature", last_hour())])
        hub.settle()
        page = visit("?lens=1h&show=table&quantity=temperature", width=390)
        box = page.locator("#table .value").first.bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= 390 - 12


def module(page: Page, name: str, expression: str, argument: object = None) -> Any:
    """Give what an expression over a module `m` of the page's and an argument `x` is."""
    place = f"document.querySelector('script[src$=\"app.js\"]').src.replace('app.js', '{name}')"
    return page.evaluate(f"async x => {{ const m = await import({place}); return {expression}; }}", argument)


class TestPure:
    """What the page's modules calculate."""

    def test_statistics_are_in_euros(self, visit: Open) -> None:
        """What CBS gives in thousands of euros is written as people write it; all else has its unit."""
        said = (
            "[m.statistic(472, '1000 EUR'), m.statistic(25.7, '1000 EUR'), m.statistic(71, '%'), m.statistic(12, '1')]"
        )
        assert module(visit(), "words.js", said) == ["€ 472.000", "€ 25.700", "71 %", "12"]

    def test_legend_has_the_unit_of_a_measure(self, visit: Open) -> None:
        """The title has it where neither the measure's name nor each figure says it."""
        asked = [["owned_dwellings", "%"], ["density", "1/km2"], ["dwelling_value", "1000 EUR"], ["inhabitants", "1"]]
        units = "x.map(([measure, unit]) => m.unitOf({ measure, unit }))"
        assert module(visit(), "legend.js", units, asked) == ["%", "", "", ""]

    @pytest.mark.parametrize(("language", "written"), [("nl", "01-12 08:00"), ("en", "01/12 08:00")])
    def test_dates_are_written_as_the_language_does(self, visit: Open, language: str, written: str) -> None:
        """The day comes before the month; the year is named where it is not this one."""
        year = datetime.now(UTC).year
        page = visit(f"?lang={language}")
        assert module(page, "words.js", f"m.civilMoment('{year}-12-01T08:00')") == written
        other = module(page, "words.js", "m.civilMoment('1999-12-01T08:00')")
        assert other == written.replace("12 ", f"12{written[2]}1999 ")

    def test_the_hour_that_autumn_has_twice_names_its_zone(self, visit: Open) -> None:
        """Two hours of that night are both from 2 o'clock: what begins or ends in the second says by which clock."""
        first = datetime(2026, 10, 25, 0, 0, tzinfo=UTC).timestamp()
        spans = "x.map((start) => m.span({ start, end: start + 3600 }))"
        assert module(visit(), "words.js", spans, [first - 3600, first, first + 3600, first + 7200]) == [
            "zo 25 okt 01:00 – 02:00", "zo 25 okt 02:00 CEST – 02:00 CET", "zo 25 okt 02:00 CET – 03:00 CET",
            "zo 25 okt 03:00 – 04:00",
        ]  # fmt: skip

    def test_lines(self, visit: Open) -> None:
        """Each value stands in one line: valid, not valid or running; what is missing is a gap, not a zero."""
        hours = [
            [0, 0, "valid", 5, 1, False, False], [0, 1, "valid", 0, 1, False, False],
            [0, 2, "invalid", 7, 0.5, True, False], [0, 3, "failed", None, 0, False, True],
            [0, 12, "running", 2, 0.1, False, False], [1, 4, "valid", 9, 1, False, False],
        ]  # fmt: skip
        day = {"hours": hours, "usual": {"8": [1, 2, 3], "9": [1, 2, 3]}}
        found = module(visit(), "chart.js", "[m.lines(x), m.lines(x, 1), m.drawn(x)]", day)
        today, before, drawn = found
        assert today["valid"] == [5, 0, *[None] * 22]
        assert today["invalid"] == [None, None, 7, *[None] * 21]
        assert (today["flagged"][2], today["running"][12]) == (7, 2)
        assert before["valid"] == [*[None] * 4, 9, *[None] * 19]
        assert drawn == ["usual", "median", "today", "invalid_hour", "running_hour", "flagged_hour"]

    def test_yesterday_where_nothing_is_usual(self, visit: Open) -> None:
        """The legend names what is drawn and nothing else; where nothing is usual yesterday stands in for the band."""
        drawn = "x.map((day) => [m.drawn(day), m.options(day, '', {}).series.length])"
        days = [{"hours": [], "usual": usual} for usual in ({}, {"7": [1, 2, 3], "9": [1, 2, 3]})]
        assert module(visit(), "chart.js", drawn, days) == [[["yesterday", "today"], 5]] * 2  # of one hour is no band

    def test_band_below_zero(self, visit: Open) -> None:
        """The band of a frosty day is drawn where it is: its edges are stacked, whatever their sign."""
        day = {"hours": [], "usual": {"8": [-8.6, -7, -5.4], "9": [-8, -6.5, -5]}}
        series = module(visit(), "chart.js", "m.options(x, '', {}).series", day)
        edge, width, median = (one["data"][8] for one in series[:3])
        assert (edge, edge + width, median) == pytest.approx((-8.6, -5.4, -7))
        assert [(one["stack"], one["stackStrategy"]) for one in series[:2]] == [("usual", "all")] * 2

    def test_thresholds_stand_apart_and_in_sight(self, visit: Open) -> None:
        """The axis ends at a round number above every threshold; the labels of two thresholds do not overlap."""
        alerts = [{"quantity": "q", "unit": "u", "level": "1h", "threshold": one} for one in (35.3, 36.5)]
        day = {"hours": [], "usual": {}, "about": {"quantity": "q", "unit": "u"}, "alerts": alerts}
        ends = "[10, 59.1].map((max) => m.options(x, '', {}).yAxis.max({ min: 0, max }))"
        assert module(visit(), "chart.js", ends, day) == [40, None]  # None: as without thresholds
        places = (
            "m.options(x, '', {}).series.flatMap((one) => one.markLine?.data ?? []).map((one) => one.label.position)"
        )
        assert module(visit(), "chart.js", places, day) == ["insideEndBottom", "insideEndTop"]

    def test_edges(self, visit: Open) -> None:
        """However figures lie: as many edges as there are steps between classes, rising evenly, up to the top."""
        chance = random.Random(13)
        pairs = [sorted(chance.uniform(-1, 1) * 10 ** chance.uniform(-3, 6) for _ in range(2)) for _ in range(500)]
        asked = [[5.0, 22.0], [0.0, 0.0], [-3.2, 4.1], [7.0, 7.0], [0.0, 1e-9], *pairs]
        found = module(visit(), "scale.js", "x.map(([low, high]) => m.edges(low, high))", asked)
        assert found[:3] == [[5, 10, 15, 20, 25], [1, 2, 3, 4, 5], [-2, 0, 2, 4, 6]]
        for (_, high), edges in zip(asked, found, strict=True):
            steps = [later - earlier for earlier, later in pairwise(edges)]
            assert len(edges) == 5
            assert min(steps) > 0
            assert max(steps) == pytest.approx(min(steps), rel=1e-6)
            assert edges[-1] + steps[0] >= high - 1e-6 * max(1, abs(high))

    def test_place_far_from_all_others(self, visit: Open) -> None:
        """One sensor whose place is wrong does not shrink the city, and a ring of villages around it stays."""
        city = [[53.2 + 0.004 * row, 6.5 + 0.006 * column] for row in range(4) for column in range(4)]
        around = [[53.25, 6.6], [53.15, 6.4]]
        asked = [[*city, *around, [0, 0]], [*city, *around], [[0, 0], [53.2, 6.5]], [[53.2, 6.5]] * 20 + [[54.5, 8]]]
        found = module(visit(), "map.js", "x.map(m.nearMost)", asked)
        assert found == [[*city, *around], [*city, *around], asked[2], [[53.2, 6.5]] * 20]

    def test_night_that_has_an_hour_twice(self, visit: Open) -> None:
        """Each hour has a text of its own, which leads back to it: in autumn the second says its offset."""
        autumn, spring = (int(datetime(2026, month, day, tzinfo=UTC).timestamp()) for month, day in ((10, 25), (3, 29)))
        hours = [start + 3600 * hour for start in (autumn, spring) for hour in range(3)]
        found = module(visit(), "words.js", "x.map((one) => [m.onTheWall(one), m.stampOf(m.onTheWall(one))])", hours)
        assert [text[11:] for text, _ in found] == ["02:00", "02:00+01:00", "03:00", "01:00", "03:00", "04:00"]
        assert [stamp for _, stamp in found] == hours

    def test_numbers(self, visit: Open) -> None:
        """Three significant digits, whole from a hundred on, as the language writes them."""
        numbers = "[12345.678, 0.1234, 12.34, null].map((one) => m.number(one))"
        assert module(visit(), "words.js", numbers) == ["12.346", "0,123", "12,3", "geen waarde"]
        assert module(visit(locale="en-GB"), "words.js", numbers)[:2] == ["12,346", "0.123"]


def test_refusals(hub: UpHub) -> None:
    """What is no view is refused, and what is no page is not found."""
    with pytest.raises(OSError, match="400"):
        hub.get("/live/figures?quantity=nonsense&lens=1h")
    with pytest.raises(OSError, match="400"):
        hub.get("/live/areas?level=province")
    with pytest.raises(OSError, match="404"):
        hub.get("/no-such-page")
    assert json.loads(hub.get("/healthz"))["ready"]
