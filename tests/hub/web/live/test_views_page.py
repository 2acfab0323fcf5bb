"""What a viewer makes of the live page: comparisons, groups, files to take away, shared addresses, and a wall."""

import csv
import io
import json
import re
import urllib.request
import zipfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import psycopg
import pytest
from playwright.sync_api import Download, Page, expect
from psycopg.types.json import Jsonb

from aggregates.areas.groups import Groups
from ingest.vocabulary.values import read_toml
from tests.hub.web.live.test_page import (  # the fixtures go by name: `visit` takes the hub of this module
    Open,
    chrome,
    module,
    publish,
    visit,
)
from tests.support.browsers import check_accessible, chromium
from tests.support.hubs import HOUR, UpHub, last_hour

pytestmark = pytest.mark.browser
__all__ = ["chrome", "visit"]

COUNTS = {("north", "lane1/any"): 30, ("north", "lane2/any"): 12, ("south", ""): 50, ("east", ""): 70}
PLACES = {"north": (6.57, 53.22, 2), "south": (6.56, 53.215, 1), "east": (6.58, 53.212, 1)}
GROUPS = """[ring]
title = "Ringweg"
quantities = ["vehicle_count"]
members = [{ sensor = "stadspuls/north" }, { sensor = "stadspuls/south", sign = -1 }]
"""
# Whether each of many entries is on the screen as a whole, or not at all.
WHOLE = """(panel) => {
  panel.querySelector("ol").innerHTML = "<li class='wrapped'><b>A street</b><span>busier</span></li>".repeat(20);
  const edge = panel.getBoundingClientRect();
  const all = [...panel.querySelectorAll("li")].map((one) => one.getBoundingClientRect());
  const seen = all.filter((one) => one.left < edge.right);
  return seen.length > 0 && seen.every((one) => one.bottom <= Math.min(edge.bottom, innerHeight));
}"""
OVERFLOW = """() => {
  const { scrollHeight, scrollWidth } = document.documentElement;
  return [scrollHeight - innerHeight, scrollWidth - innerWidth];
}"""


def that_day() -> str:
    """The address of the day that has the last full hour, which is yesterday in the first hour of a day."""
    return f"?lens=1h&at={last_hour().astimezone(ZoneInfo('Europe/Amsterdam')):%Y-%m-%d}T00:00"


def give(hub: UpHub, hour: datetime) -> None:
    """Four hours, the earlier ones a little busier."""
    publish(hub, [
        (f"stadspuls/stadspuls/{name}", json.dumps({
            "sensor_id": f"stadspuls/{name}", "quantity": quantity, "channel": channel, "period": 3600,
            "start": f"{hour - ago * HOUR:%Y-%m-%dT%H:%M:%SZ}", "value": value + ago, "weight": 1,
        }).encode())
        for ago in range(4) for (name, channel), count in COUNTS.items()
        for quantity, value in (("vehicle_count", count), ("vehicle_speed", count - 10))
    ])  # fmt: skip


@pytest.fixture(autouse=True)
def _keep_to_the_hour(hub: UpHub) -> None:
    hub.keep(give)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UpHub]:
    """A hub with four hours of three counters, one of them with two lanes, and with a group; it may be framed."""
    chromium()
    directory = tmp_path_factory.mktemp("views")
    (directory / "stadspuls.toml").write_text('frame_ancestors = "https://city.example"')
    made = UpHub(directory)
    try:
        made.start()
        rows = "".join(f"stadspuls/{name},{name.title()},{lon},{lat},{n}\n" for name, (lon, lat, n) in PLACES.items())
        (directory / "sensors.csv").write_text(f"sensor_id,name,lon,lat,lanes\n{rows}")
        (directory / "groups.toml").write_text(GROUPS)
        made.run("sensors", "import", str(directory / "sensors.csv"))
        made.run("groups", "import", str(directory / "groups.toml"))
        made.keep(give)
        yield made
    finally:
        made.clean_up()


def taken(download: Download) -> bytes:
    """The bytes of a file that the page gave."""
    return Path(download.path()).read_bytes()


def take(page: Page, panel: str, form: str) -> Download:
    """Click a form in a panel, and wait for its file."""
    with page.expect_download() as awaited:
        page.locator(panel).get_by_text(form, exact=True).first.click()
    return awaited.value


def test_a_group_is_one_row_and_one_line(visit: Open) -> None:
    """A group stands in the table with what comes in less what goes out, and opens as a sensor does."""
    page = visit("?lens=1h&show=table")
    row = page.locator("#table tr", has_text="Ringweg")
    expect(row.locator(".value")).to_have_text("-8")
    row.get_by_role("button").click()
    expect(page.locator(".detail")).to_contain_text("groep sensoren")
    expect(page.locator(".detail .chart svg").first).to_be_visible()
    expect(page.locator("#summary")).not_to_contain_text("zonder plaats")


def test_sensors_are_compared_in_one_chart(visit: Open, tmp_path: Path) -> None:
    """What is compared stands in the address, at most six, each with a symbol of its own; it can become a group."""
    page = visit(f"{that_day()}&sensor=stadspuls/south")
    page.get_by_role("button", name="Vergelijken").click()
    page.goto(f"{page.url}|stadspuls/east|group/ring")
    lines = page.locator("#compare .keys li")
    expect(lines).to_have_count(3)
    expect(lines.nth(1)).to_contain_text("East")
    assert len({lines.nth(at).locator("svg").inner_html() for at in range(3)}) == 3
    expect(page.locator("#compare table")).to_contain_text("70")
    page.set_viewport_size({"width": 390, "height": 860})  # of each line its column, on a phone too
    page.locator("#compare details summary").first.click()
    expect(page.locator("#compare tbody tr").first.locator("> :visible")).to_have_count(4)
    group = tmp_path / "groups.toml"
    group.write_text(page.locator("#as-group textarea").input_value())
    members = read_toml(group, Groups)["nieuwe-groep"].members
    assert [one.sensor for one in members] == ["stadspuls/south", "stadspuls/east"]
    lines.nth(0).get_by_role("button", name="South weghalen").click()
    expect(lines).to_have_count(2)
    page.go_back()
    expect(lines).to_have_count(3)
    many = "|".join(f"stadspuls/none-{at}" for at in range(9))
    expect(visit(f"?compare={many}").locator("#compare .keys li")).to_have_count(6)


def test_marks_of_a_comparison_are_explained(hub: UpHub, visit: Open) -> None:
    """An hour that is not valid and one that still runs are marked, in the legend by name; no clock is broken off."""
    minutes = ((last_hour(), 60), (last_hour() + HOUR, 1))
    publish(hub, [
        ("stadspuls/stadspuls/west", json.dumps({
            "sensor_id": "stadspuls/west", "quantity": "bicycle_count", "period": period, "value": 1,
            "start": f"{start:%Y-%m-%dT%H:%M:%SZ}",
        }).encode()) for start, period in minutes
    ])  # fmt: skip
    hub.settle()
    compared = "|".join(["stadspuls/west", *(f"stadspuls/none-{at}" for at in range(5))])
    for address, mark in ((that_day(), "niet geldig"), ("?lens=1h", "loopt nog")):
        page = visit(f"{address}&quantity=bicycle_count&compare={compared}", width=390)
        expect(page.locator("#compare .keys")).to_contain_text(mark)
        page.locator("#compare details summary").first.click()
        expect(page.locator("#compare table")).to_contain_text(f"({mark})")
        lines = "one => { const all = new Range(); all.selectNodeContents(one); return all.getClientRects().length }"
        assert page.locator("#compare tbody th").first.evaluate(lines) == 1


def test_lanes_of_one_sensor_are_told_apart(visit: Open) -> None:
    """A sensor with lanes shows each by itself; one with a single channel shows nothing more."""
    page = visit(f"{that_day()}&sensor=stadspuls/north")  # not today, of which no hour may have ended
    keys = page.locator(".detail .keys.long li")
    expect(keys).to_have_count(2)
    expect(keys.first).to_contain_text("rijstrook 1")
    page.goto(page.url.replace("north", "south"))
    expect(page.locator("#detail-title")).to_have_text("South")
    expect(keys).to_have_count(0)


def test_slow_traffic_stands_out(visit: Open) -> None:
    """Of speeds the slowest is named first, and low classes have the strong colours that much of a count has."""
    page = visit("?lens=1h&quantity=vehicle_speed")
    expect(page.locator("#ranking h2")).to_have_text("Traagste plekken")
    expect(page.locator("#ranking li").first).to_contain_text("North")
    tones = page.locator(".legend .of-sensors .swatch").evaluate_all(
        "all => all.map((one) => getComputedStyle(one).backgroundColor)"
    )
    page.select_option("#choose-quantity", "vehicle_count")
    expect(page.locator("#ranking li").first).to_contain_text("East")
    counted = page.locator(".legend .of-sensors .swatch").evaluate_all(
        "all => all.map((one) => getComputedStyle(one).backgroundColor)"
    )
    assert tones == counted[::-1]


def test_data_have_the_same_colours_by_day_and_night(visit: Open) -> None:
    """The legend of the dark page has the colours of the light one."""
    read = "all => all.map((one) => getComputedStyle(one).backgroundColor)"
    light, dark = (
        visit("?lens=1h", scheme=scheme).locator(".legend .swatch").evaluate_all(read) for scheme in ("light", "dark")
    )
    assert light == dark
    assert len(light) == 6


def test_figures_are_taken_as_files(visit: Open) -> None:
    """CSV is what a Dutch Excel reads, Excel a workbook: both have the window that is shown."""
    page = visit("?lens=1h")
    rows = list(csv.DictReader(io.StringIO(taken(take(page, ".foot", "CSV")).decode("utf-8-sig")), delimiter=";"))
    assert {row["sensor_id"] for row in rows} >= {"stadspuls/east", "group/ring"}
    book = take(page, ".foot", "Excel")
    assert book.suggested_filename.endswith(".xlsx")
    assert "xl/workbook.xml" in zipfile.ZipFile(io.BytesIO(taken(book))).namelist()


def test_charts_and_the_map_are_taken_as_pictures(visit: Open) -> None:
    """A picture stands by itself: no colour is left to a style sheet; the map has its marks, legend and title."""
    page = visit("?lens=1h&sensor=stadspuls/north")
    expect(page.locator(".detail .chart svg").first).to_be_visible()
    drawn = taken(take(page, ".detail .take", "SVG")).decode()
    assert "var(--" not in drawn
    assert "North" in drawn
    assert re.search(r"\d+ \w{3}</text>", drawn), "no date"
    assert "De dag ervoor" in drawn or "Gisteren" in drawn, "no key of the lines"
    assert taken(take(page, ".detail .take", "PNG"))[:4] == b"\x89PNG"
    city = taken(take(page, "#map-picture", "SVG")).decode()
    assert city.count('data-sensor="') == 3
    assert "Motorvoertuigen" in city
    assert "50 – 150" in city
    assert "Motorvoertuigen, per uur" in city
    assert "met een geldige waarde" in city
    assert "geen waarde" in city
    assert taken(take(page, "#map-picture", "PNG"))[:4] == b"\x89PNG"


def test_an_address_is_permanent(visit: Open) -> None:
    """The shared address of a live page has its moment, so that it shows the same tomorrow."""
    page = visit("?lens=1h")
    page.locator("#share summary").click()
    link = page.locator("#permalink")
    expect(link).to_have_value(re.compile("at="))
    asked = parse_qs(urlsplit(link.input_value()).query)
    assert asked["lens"] == ["1h"]
    page.goto(link.input_value())
    expect(page.locator("#summary")).to_contain_text("niet live")


def test_releases_are_listed_with_their_files(hub: UpHub, visit: Open) -> None:
    """Whoever wants to cite a figure finds what was frozen, how it is cited, and the names of its files."""
    about = {"title": "Fietsen", "from": "2024-06-01", "to": "2024-07-01", "licence": "CC0-1.0", "citation": "Zeestad."}
    with psycopg.connect(hub.database) as connection:
        manifest = Jsonb({**about, "files": [{"file": "hours.csv"}, {"file": "hours.parquet"}]})
        connection.execute("INSERT INTO release (name, as_of, manifest) VALUES ('june', now(), %s)", [manifest])
    page = visit("?lens=1h")
    page.locator("#releases summary").click()
    row = page.locator("#releases li")
    expect(row).to_contain_text("Bestanden: hours.csv, hours.parquet")
    expect(row).to_contain_text("2024-06-01 – 2024-07-01")


def test_a_frame_has_the_map_alone_and_only_where_it_may(hub: UpHub, visit: Open) -> None:
    """The code for another page leads to a map without choices; the hub names the pages that may frame it."""
    page = visit("?lens=1h")
    page.locator("#share summary").click()
    source = page.locator("#frame-code").input_value().partition('src="')[2].partition('"')[0].replace("&amp;", "&")
    page.goto(source)
    expect(page.locator(".map")).to_be_visible()
    expect(page.locator(".legend")).to_be_visible()
    for gone in (".top", ".choices", ".side"):
        expect(page.locator(gone)).to_be_hidden()
    with urllib.request.urlopen(f"http://127.0.0.1:{hub.http_port}/") as answer:
        assert answer.headers["Content-Security-Policy"] == "frame-ancestors https://city.example"
        assert answer.headers["X-Frame-Options"] is None


def test_a_wall_shows_saved_views_in_turn(visit: Open) -> None:
    """Views are saved, a wall turns to the next one with nothing to choose, in large letters, and Esc leaves it."""
    page = visit("?lens=1h")
    page.locator("#share summary").click()
    for quantity, name in (("vehicle_count", "Drukte"), ("vehicle_speed", "Snelheid")):
        page.select_option("#choose-quantity", quantity)
        page.fill("#view-name", name)
        page.locator("#share form button").click()
    page.reload()
    page.locator("#share summary").click()
    expect(page.locator("#share ul a")).to_have_text(["Drukte", "Snelheid"])
    page.locator("#start-wall").click()
    title = page.locator(".stage h2")
    expect(title).to_contain_text("Motorvoertuigen, per uur")
    expect(page.locator(".choices")).to_be_hidden()
    page.wait_for_url("**wall=20**")
    page.goto(page.url.replace("wall=20", "wall=5"))
    assert float(page.locator("#ranking li").first.evaluate("e => parseFloat(getComputedStyle(e).fontSize)")) >= 24
    expect(title).to_contain_text("km/h", timeout=60_000)
    page.keyboard.press("Escape")
    expect(page.locator(".choices")).to_be_visible()
    expect(page).not_to_have_url(re.compile("view="))


def test_the_address_of_a_wall_is_of_the_page(visit: Open) -> None:
    """A screen that starts again with it asks the hub for the page, whatever is the first view."""
    page = visit()
    address = module(page, "views.js", "m.wallOf(['quantity=no2', 'show=table'], 1)")
    page.goto(f"{page.url.split('?')[0]}{address.removeprefix('/')}")
    expect(page.locator("#table")).to_be_visible()
    asked = parse_qs(urlsplit(page.url).query)
    assert (asked["wall"], asked["view"]) == (["20"], ["quantity=no2", "show=table"])


def test_a_wall_fits_what_it_shows(visit: Open) -> None:
    """At 1080p and at 4K nothing is cut off: no scroll bar, and the letters grow with the screen."""
    sizes = []
    for width, height in ((1920, 1080), (3840, 2160)):
        page = visit("?lens=1h&wall=900", width=width)
        page.set_viewport_size({"width": width, "height": height})
        expect(page.locator("#ranking li").first).to_be_visible()
        assert max(page.evaluate(OVERFLOW)) <= 0
        sizes.append(page.locator("#ranking li").first.evaluate("e => parseFloat(getComputedStyle(e).fontSize)"))
        assert page.locator("#unusual").evaluate(WHOLE), "an entry is cut off"
    assert sizes[0] >= 36  # px: 20 mm on a screen of 55 inches, for four metres
    assert sizes[1] == 2 * sizes[0]


def test_a_wall_has_the_table_without_tools(visit: Open) -> None:
    """Nobody searches or chooses on a wall; the time of all rows stands above them."""
    page = visit("?lens=1h&wall=900&show=table", width=1920)
    expect(page.locator("#table tbody tr").first).to_be_visible()
    for gone in ("#search", "#table .id", "#table thead th:nth-child(3)"):
        expect(page.locator(gone).first).to_be_hidden()


def test_the_map_is_one_stop_with_a_list_behind_it(visit: Open) -> None:
    """Enter on the map leads to the list of what is in sight, and a name in it opens the sensor."""
    page = visit("?lens=1h")
    expect(page.locator("path.spot")).to_have_count(3)
    page.locator(".map").focus()
    page.keyboard.press("Enter")
    first = page.locator("#in-sight li").first
    expect(first).to_contain_text("East")
    expect(first.get_by_role("button")).to_be_visible()
    page.locator(".map").focus()
    page.keyboard.press("Tab")
    expect(page.locator(".leaflet-control-zoom-in")).to_be_focused()
    page.locator("#in-sight").get_by_role("button", name="East").press("Enter")
    expect(page.locator("#detail-title")).to_have_text("East")


@pytest.mark.parametrize("path", [
    "?lens=1h&compare=stadspuls/north|group/ring&sensor=stadspuls/north", "?lens=1h&show=table&lang=en",
    "?lens=1h&wall=900", "?lens=1h&embed=1", "health?lang=nl",
])  # fmt: skip
def test_every_view_is_accessible(visit: Open, path: str) -> None:
    """axe finds nothing wrong on any view, by day and by night, with everything open that can be."""
    page = visit("")
    page.goto(f"{page.url.split('?')[0]}{path}")
    expect(page.locator("#summary, #hub-ready").first).to_be_attached()
    page.evaluate("() => document.querySelectorAll('details').forEach((one) => (one.open = true))")
    page.wait_for_timeout(1000)  # lists that are fetched when they are opened
    check_accessible(page)


def test_names_of_channels(visit: Open) -> None:
    """A channel is named by its lane or direction and its class; the whole has a name too."""
    named = "['lane2/any', 'lft/car', '', 'odd/thing'].map((one) => m.channelName(one))"
    assert module(visit(), "hours.js", named) == ["rijstrook 2", "naar links, auto's", "alles", "odd, thing"]
