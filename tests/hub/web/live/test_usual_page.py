"""Whether it is usual, on the live page: the map by it, its band in a chart, and the list of what is most unusual."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta

import psycopg
import pytest
from playwright.sync_api import expect

from tests.hub.web.live.test_page import (  # the fixtures go by name: `visit` takes the hub of this module
    Open,
    chrome,
    has_class,
    module,
    publish,
    spot,
    visit,
)
from tests.support.alerting import raised, rule
from tests.support.browsers import chromium
from tests.support.hubs import HOUR, UpHub, last_hour

pytestmark = pytest.mark.browser
__all__ = ["chrome", "visit"]

PLACES = {"busy": (6.57, 53.22), "quiet": (6.56, 53.215), "calm": (6.58, 53.212), "new": (6.575, 53.208)}
NOW = {"busy": 240, "quiet": 30, "calm": 104, "new": 50}


def bicycles(hub: UpHub, rows: list[tuple[str, datetime, int]]) -> None:
    """Publish hours of counters."""
    publish(hub, [
        (f"stadspuls/stadspuls/{name}", json.dumps({
            "sensor_id": f"stadspuls/{name}", "quantity": "bicycle_count", "period": 3600, "value": value,
            "start": start.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }).encode())
        for name, start, value in rows
    ])  # fmt: skip


def give(hub: UpHub, hour: datetime) -> None:
    """The last full hour."""
    bicycles(hub, [(name, hour, value) for name, value in NOW.items()])


@pytest.fixture(autouse=True)
def _keep_to_the_hour(hub: UpHub) -> None:
    hub.keep(give)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UpHub]:
    """A hub with half a year of three counters about the last full hour, and that hour of a new one too."""
    chromium()
    directory = tmp_path_factory.mktemp("usual")
    (directory / "none.toml").write_text("school = []")
    (directory / "stadspuls.toml").write_text(f'calendars = ["{directory / "none.toml"}"]')
    made = UpHub(directory)
    try:
        made.start()
        places = "".join(f"stadspuls/{name},{lon},{lat}\n" for name, (lon, lat) in PLACES.items())
        (directory / "sensors.csv").write_text(f"sensor_id,lon,lat\n{places}")
        made.run("sensors", "import", str(directory / "sensors.csv"))
        at = last_hour()
        bicycles(made, [
            (name, at - timedelta(days=day) + around * HOUR, 100 + day % 3)
            for name in ("busy", "quiet", "calm") for day in range(1, 183) for around in (-1, 0, 1, 2)
        ])  # fmt: skip
        made.keep(give)
        yield made
    finally:
        made.clean_up()


def test_list_of_what_is_unusual(visit: Open) -> None:
    """The most unusual first, with value, usual and coverage; what is as usual is not named, and reasons are given."""
    page = visit("")
    rows = page.locator("#unusual .ranked li")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("stadspuls/busy")
    expect(rows.first).to_contain_text("veel drukker dan gewoonlijk")
    expect(rows.first).to_contain_text("240 per uur, gewoonlijk 101; dekking 100%")
    expect(rows.last).to_contain_text("veel rustiger dan gewoonlijk")
    page.locator("#unusual summary").click()
    expect(page.locator("#unusual details li")).to_contain_text("te weinig eerdere uren: 1")
    expect(page.locator("#unusual details li")).to_contain_text("stadspuls/new")
    rows.first.get_by_role("button").click()
    expect(page.locator(".detail .keys")).to_contain_text("Als gewoonlijk")


@pytest.mark.parametrize(
    ("language", "words"), [("nl", "veel drukker dan gewoonlijk"), ("en", "much busier than usual")]
)
def test_map_by_what_is_usual(visit: Open, language: str, words: str) -> None:
    """Five ordered colours with words; what cannot be compared has none of them, and the tooltip says why."""
    page = visit(f"?colour=usual&lang={language}")
    expect(page.locator(spot("busy"))).to_have_class(has_class("d4"))
    expect(page.locator(spot("quiet"))).to_have_class(has_class("d0"))
    expect(page.locator(spot("calm"))).to_have_class(has_class("d2"))
    expect(page.locator(spot("new"))).to_have_class(has_class("none"))
    expect(page.locator(".legend .scale li")).to_have_count(5)
    expect(page.locator(".legend .scale li").last).to_have_text(words)
    page.locator(spot("new")).hover(force=True)
    reason = {"nl": "te weinig eerdere uren", "en": "too few earlier hours"}[language]
    expect(page.locator(".leaflet-tooltip")).to_contain_text(reason)
    look = "e => [getComputedStyle(e).fill, getComputedStyle(e).strokeDasharray]"
    marks = (page.locator(spot("new")), page.locator(".legend .states circle.unjudged"))
    assert marks[0].evaluate(look) == marks[1].evaluate(look)
    expect(page.locator(".legend .states li")).to_have_count(2)  # that, and no value


def test_only_hours_are_compared(visit: Open) -> None:
    """Another window than an hour leads back to the colours of the values; Back restores the comparison."""
    page = visit("?colour=usual&lens=1d")
    expect(page.locator("#choose-lens")).to_have_value("1h")
    page.locator("#choose-lens").select_option("1d")
    expect(page.locator("#choose-colour")).to_have_value("value")
    page.go_back()
    expect(page.locator("#choose-colour")).to_have_value("usual")


def test_moment_that_has_passed(visit: Open) -> None:
    """The list, the map and the table follow the hour that is chosen."""
    page = visit(f"?colour=usual&show=table&at={last_hour() - timedelta(days=20):%Y-%m-%dT%H:%M}%2B00:00")
    expect(page.locator("#unusual .ranked")).to_contain_text("Overal waar het te vergelijken is (3)")
    expect(page.locator("#table tbody tr").filter(has_text="busy")).to_contain_text("als gewoonlijk (101)")


def test_fixed_classes(visit: Open) -> None:
    """Classes are those of the quantity, whatever the values; of air those of the LKI and its colours, or a choice."""
    page = visit("?lens=1h")
    expect(page.locator(".legend .of-sensors li")).to_have_text(
        ["onder 10", "10 – 30", "30 – 100", "100 – 250", "250 – 500", "500 en meer"]
    )
    asked = [
        ["lki", "no2", False, 24],
        ["eaqi", "no2", False, 24],
        ["auto", "no2", False, 24],
        ["lki", "so2", False, 24],
    ]
    asked += [[name, "bicycle_count", True, hours] for name in ("lki", "auto") for hours in (1 / 12, 1, 7, 24, 36)]
    known = json.loads(page.locator("#known").text_content() or "")["classes"]
    found = module(page, "scale.js", "x[1].map((of) => m.fixedClasses(x[0], ...of)?.edges)", [known, asked])
    assert found[:4] == [[30, 75, 125], [10, 25, 60, 100, 150], None, [5, 10, 20, 40, 100]]
    assert found[4:] == [[times * edge for edge in (10, 30, 100, 250, 500)] for times in (0.1, 1, 7, 10, 20)] * 2
    ends = module(
        page, "scale.js", "x.map((one) => m.classOf(one, { edges: [30, 75], above: true }))", [30, 30.1, 75.1]
    )
    assert ends == [0, 1, 2]
    page.goto(page.url.partition("?")[0] + "?quantity=no2&lens=1h")
    expect(page.locator("#choose-classes")).to_have_value("lki")
    assert page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--c3')") == "#ff4b00"


def test_alert_beside_its_threshold(hub: UpHub, visit: Open) -> None:
    """The list has value, threshold, coverage and a shape for each severity; its chart has the threshold as a line."""
    rule(hub.database, "many-bicycles", quantity="bicycle_count", unit="1")
    severities = ("info", "warning", "critical")
    for name, severity in zip(("quiet", "calm", "busy"), severities, strict=True):
        number = raised(
            hub.database, f"stadspuls/{name}", last_hour() + HOUR, name="many-bicycles", severity=severity, value=240
        )
        with psycopg.connect(hub.database) as connection:
            connection.execute(
                "UPDATE alert SET quantity = 'bicycle_count', since = %s, state = %s WHERE alert = %s",
                [last_hour(), "cannot_judge" if name == "calm" else "raised", number],
            )
    page = visit("?lens=1d&lang=en")
    lines = page.locator("li.wrapped", has_text="Rule many-bicycles")
    expect(lines).to_have_count(3)
    assert len(set(lines.locator(".alarm svg").evaluate_all("all => all.map((one) => one.innerHTML)"))) == 3
    expect(lines.filter(has_text="cannot be judged now")).to_contain_text("warning")
    critical = lines.filter(has_text="critical")
    expect(critical).to_contain_text("240 per hour, threshold 400 per hour; coverage 98%")
    critical.get_by_role("button", name="stadspuls/busy").click()
    expect(page.locator("#choose-lens")).to_have_value("1h")
    expect(page.locator(".detail .keys")).to_contain_text("Threshold of the alert")
    expect(page.locator(".detail")).to_contain_text("240 per hour, threshold 400 per hour; coverage 98%")
    expect(page.locator(".detail .chart svg text", has_text="400")).not_to_have_count(0)
