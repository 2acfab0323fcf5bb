"""The report of a year: one page with figures, chart, coverage, method and sources, in Dutch and English."""

import re
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import lxml.html
import psycopg
import pytest

from aggregates.ask.dates import BadQuestion
from aggregates.ask.periods import Reporting
from aggregates.ask.query import Question
from aggregates.release.report import report
from aggregates.store.migrate import migrate
from aggregates.store.store import Store
from tests.aggregates.areas.test_areas import hours, load_cases, place, refresh
from tests.aggregates.ask.test_averages import HOUR, asked, stored
from tests.streams.commit.test_dead import fremont
from tests.support.databases import ZONE

YEAR = datetime(2023, 12, 31, 23, tzinfo=UTC)


def text_of(page: str) -> str:
    """Give what people read of a page."""
    document = lxml.html.fromstring(page)
    for style in document.iter("style"):
        style.text = ""
    return " ".join("".join(map(str, document.itertext())).split())


def test_a_year_of_a_counter(store: Store) -> None:
    """Ten days are too few for a figure of the year: it is said so, and each day that was measured has a bar."""
    stored(store, "ndw/s", "vehicle_count", [("lane1/any", [(YEAR + at * HOUR, 10.0) for at in range(240)])])
    page = report(store, "ndw/s", 2024, Reporting(ZONE), "0.1.0", "nl")
    words = text_of(page)
    assert len(lxml.html.fromstring(page).findall(".//rect")) == 10
    assert "te weinig geldige dagen voor een jaarcijfer" in words
    assert "Weekdaggemiddelde" in words
    assert "10 van 366 geldige dagen" in words
    assert "een uur is geldig bij 90% gedekt" in words
    assert "2024-12-31 niet gemeten" in words
    assert "NDW" in words
    assert "Gemaakt met Stadspuls 0.1.0" in words
    assert "Average working day" in text_of(report(store, "ndw/s", 2024, Reporting(ZONE), "0.1.0", "en"))


def test_an_area_and_its_sensors(store: Store) -> None:
    """A buurt: the days of the area, averages of each sensor, the limits of air, and CBS as a source."""
    load_cases(store)
    place(store, a=(6.002, 53.002), b=(6.004, 53.004))
    for name, base in (("a", 10), ("b", 20)):
        hours(store, name, [base + at % 5 for at in range(72)], begin=YEAR)
    refresh(store)
    words = text_of(report(store, "BU99010000", 2024, Reporting(ZONE), "0.1.0", "en"))
    assert "BU99010000 Haven, 2 sensors" in words
    assert "stadspuls/a" in words
    assert "stadspuls/b" in words
    assert "2008/50/EC" in words
    assert "too little measured" in words
    assert re.search(r"Sources .*licence", words)


def test_nothing_to_report_is_said(store: Store) -> None:
    """A sensor without figures of that year, or a language without words, is refused with the reason."""
    stored(store, "ndw/s", "vehicle_count", [("lane1/any", [(YEAR, 10.0)])])
    with pytest.raises(BadQuestion, match=r"no figures of ndw/s in 2020, see .*`areas list`"):
        report(store, "ndw/s", 2020, Reporting(ZONE), "0.1.0")
    with pytest.raises(BadQuestion, match="language 'fy', expected one of nl, en"):
        report(store, "ndw/s", 2024, Reporting(ZONE), "0.1.0", "fy")


def test_air_without_a_valid_hour(store: Store) -> None:
    """A station of which no hour is valid has days and no limits; a year without any hour is refused, as ever."""
    place(store, a=(6.002, 53.002))
    hours(store, "a", [10.0 + at % 5 for at in range(30)], begin=YEAR, covers=1800)
    refresh(store)
    words = text_of(report(store, "stadspuls/a", 2024, Reporting(ZONE), "0.1.0", "en"))
    assert "0 of 366 valid days" in words
    assert "2008/50/EC" not in words
    with pytest.raises(BadQuestion, match="no figures of stadspuls/a in 2020"):
        report(store, "stadspuls/a", 2020, Reporting(ZONE), "0.1.0")


def test_an_area_that_the_newest_vintage_does_not_have(store: Store) -> None:
    """One municipality is loaded of 2023, another of 2024: an area of the first is asked for by its own boundaries."""
    load_cases(store, 2023)
    place(store, a=(6.002, 53.002))
    hours(store, "a", [10.0 + at % 5 for at in range(72)], begin=YEAR)
    refresh(store)
    with psycopg.connect(store.conninfo) as connection:
        connection.execute("INSERT INTO area VALUES (2024, 'GM9902', 'gemeente', 'Dorp', 'GM9902', false)")
    assert "BU99010000 Haven, 1 sensors" in text_of(report(store, "BU99010000", 2024, Reporting(ZONE), "0.1.0", "en"))


@pytest.mark.slow
@pytest.mark.shared
def test_a_year_of_a_bicycle_bridge(store: Store, shared_data: Path) -> None:
    """The figures on the page are those of the questions: average day, working day and busiest hour of 2016."""
    zone = ZoneInfo("America/Los_Angeles")
    migrate(store, str(zone))
    first, last = (datetime(year, 1, 1, tzinfo=zone).astimezone(UTC) for year in (2016, 2017))
    lanes = [
        (f"lane{lane}/any", [(at + 8 * HOUR, count) for at, count in hours if first <= at + 8 * HOUR < last])
        for lane, (_, hours) in enumerate(fremont(shared_data))
    ]
    stored(store, "stadspuls/bridge", "bicycle_count", lanes)
    words = text_of(report(store, "stadspuls/bridge", 2016, Reporting(str(zone), country="US"), "0.1.0", "en"))
    about = Question("bicycle_count", first, last, "1d")
    for period, profile in (("weekdag", None), ("werkdag", None), ("werkdag", "busiest")):
        (value,) = asked(store, about, "1y", period, profile)["value"]
        assert f"{value:,.1f}" in words
