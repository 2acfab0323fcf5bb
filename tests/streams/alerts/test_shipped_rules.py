"""Every shipped rule, judged through the store: what should raise it does, and what comes close to it does not."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from aggregates.store.store import Store
from ingest.vocabulary.calendar import load_days
from ingest.vocabulary.readings import Reading
from streams.alerts.clock import WARM, AlertClock
from streams.alerts.judge import Judge
from streams.alerts.rulebook import load_rules
from streams.rollup.rollup import roll_up
from tests.streams.alerts.test_judge import HOUR, MINUTE, deliver
from tests.support.databases import ZONE, fresh_database

BOOK = load_rules()
MONDAY = datetime(2024, 3, 3, 23, tzinfo=UTC)  # midnight, of Amsterdam and of UTC+1
NEW_LAW = datetime(2027, 1, 10, 23, tzinfo=UTC)  # Directive 2024/2881 is in force
TUESDAY = MONDAY + timedelta(days=1, hours=8, minutes=10)  # when the clock looks at the health of sensors

# Hours, or days, that raise and that do not. EU thresholds are compared in whole ug/m3, half up; others as they are.
AIR: Mapping[str, tuple[str, Sequence[float], Sequence[float]]] = {
    "eu2008-no2-alert": ("no2", [400.5] * 3, [400.5, 400.5, 400.4]),
    "eu2008-so2-alert": ("so2", [500.5] * 3, [500.5, 500.5, 500.4]),
    "eu2008-o3-information": ("o3", [180.5], [180.4]),
    "eu2008-o3-alert": ("o3", [240.5], [240.4]),
    "eu2024-no2-information": ("no2", [150.5], [150.4]),
    "eu2024-no2-alert": ("no2", [200.5] * 3, [200.5, 200.5, 200.4]),
    "eu2024-so2-information": ("so2", [275.5], [275.4]),
    "eu2024-so2-alert": ("so2", [350.5] * 3, [350.5, 350.5, 350.4]),
    "eu2024-o3-information": ("o3", [180.5], [180.4]),
    "eu2024-o3-alert": ("o3", [240.5], [240.4]),
    "eu2024-pm10-information": ("pm10", [90.5], [90.4]),
    "eu2024-pm10-alert": ("pm10", [90.5] * 3, [90.5, 90.5, 90.4]),
    "eu2024-pm25-information": ("pm25", [50.5], [50.4]),
    "eu2024-pm25-alert": ("pm25", [50.5] * 3, [50.5, 50.5, 50.4]),
    "who2021-pm25-day": ("pm25", [15.25], [15.0]),
    "who2021-pm10-day": ("pm10", [45.25], [45.0]),
    "who2021-no2-day": ("no2", [25.25], [25.0]),
    "who2021-no2-hour": ("no2", [200.25], [200.0]),
    "who2021-so2-day": ("so2", [40.25], [40.0]),
    "who2021-co-day": ("co", [4.25], [4.0]),
    "lki-bad": ("no2", [125.1, 125.1], [125.1, 125.0]),
    "eaqi-very-poor": ("no2", [100.1, 100.1], [100.1, 100.0]),
}

# What is usual at eight in the morning and at nine, and two hours that are far from it: five or six spreads.
TRAFFIC: Mapping[str, tuple[str, float, float, float]] = {
    "traffic-flow-low": ("vehicle_count", 400.0, 199.0, 200.0),
    "traffic-flow-high": ("vehicle_count", 400.0, 641.0, 640.0),
    "traffic-speed-low": ("vehicle_speed", 50.0, 34.9, 35.0),
}


def air(rule: str) -> Iterator[Reading]:
    """Give the hours of two stations."""
    quantity, *both = AIR[rule]
    start = NEW_LAW if rule.startswith("eu2024") else MONDAY
    each = 24 if BOOK[rule].level == "1d" else 1
    for which, values in zip(("yes", "no"), both, strict=True):
        hours = [float(value) for value in values for _ in range(each)]
        yield from hourly(f"luchtmeetnet/{rule}.{which}", quantity, hours, start)


def hourly(sensor: str, quantity: str, values: Sequence[float], start: datetime, channel: str = "") -> list[Reading]:
    """An hour for each value."""
    return [Reading(sensor, channel, quantity, 3600, start + at * HOUR, value) for at, value in enumerate(values)]


def traffic(rule: str) -> Iterator[Reading]:
    """Give eight weeks of two counters, and what they count now."""
    quantity, usual, *both = TRAFFIC[rule]
    for which, value in zip(("yes", "no"), both, strict=True):
        for week in range(9):
            start = MONDAY + 8 * HOUR - timedelta(weeks=week)
            yield from hourly(f"stadspuls/{rule}.{which}", quantity, [usual if week else value] * 2, start)


def classes() -> Iterator[Reading]:
    """Heavy vehicles among light ones, the last in an hour of too few; totals that are not the sum of their classes."""
    for which, light, heavy in (("yes", 59.0, 41.0), ("no", 60.0, 40.0), ("few", 10.0, 49.0)):
        for channel, value in (("lane1/light", light), ("lane1/heavy", heavy)):
            yield from hourly(
                f"stadspuls/traffic-heavy-share.{which}", "vehicle_count", [value] * 2, MONDAY + 8 * HOUR, channel
            )
    for which, odd in (("yes", 13), ("no", 12)):  # minutes of each hour
        for at in range(180):
            start = MONDAY + at * MINUTE
            for channel, value in (("lane1/any", 10.0), ("lane1/light", 8.0 if at % 60 < odd else 10.0)):
                yield Reading(f"stadspuls/sensor-classes.{which}", channel, "vehicle_count", 60, start, value)


def still() -> Iterator[Reading]:
    """A value that stays for more than six hours, and one that stays for six."""
    yield from hourly("stadspuls/sensor-stuck.yes", "no2", [40.0] * 8, MONDAY)
    yield from hourly("stadspuls/sensor-stuck.no", "no2", [40.0] * 7 + [41.0, 42.0], MONDAY)


def doubled() -> Iterator[Reading]:
    """Two values of 7 minutes of an hour, and of 6."""
    for which, odd in (("yes", 7), ("no", 6)):
        for at in range(60):
            for value in (20.0, 30.0) if at < odd else (20.0,):
                yield Reading(f"stadspuls/sensor-ambiguous.{which}", "", "no2", 60, MONDAY + at * MINUTE, value)


def silent() -> Iterator[Reading]:
    """Six weeks of two counters, and then eight zeros, and seven."""
    for which, hours in (("yes", 8), ("no", 7)):
        start = MONDAY - timedelta(weeks=6)
        yield from hourly(f"stadspuls/sensor-dead.{which}", "bicycle_count", [9.0] * 1008 + [0.0] * hours, start)


def health() -> Iterator[tuple[Reading, datetime]]:
    """What came when: 5 and 6 of today's 8 hours; last reading 11 and 10 minutes ago; clocks 61 and 60 s ahead."""
    for which, count in (("yes", 5), ("no", 6)):
        for reading in hourly(f"stadspuls/sensor-coverage.{which}", "no2", [20.0] * count, MONDAY + timedelta(days=1)):
            yield reading, TUESDAY
    for which, minutes in (("yes", 11), ("no", 10)):
        heard = TUESDAY - minutes * MINUTE
        for earlier in range(5, 0, -1):
            yield Reading(f"stadspuls/sensor-silent.{which}", "", "no2", 60, heard - earlier * MINUTE, 20.0), heard
    for which, seconds in (("yes", 1), ("no", 0)):
        start = TUESDAY - 2 * MINUTE + timedelta(seconds=seconds)
        for earlier in range(4, -1, -1):
            said = Reading(f"stadspuls/sensor-clock.{which}", "", "no2", 60, start - earlier * MINUTE, 20.0)
            yield said, TUESDAY - 2 * MINUTE


@pytest.fixture(scope="module")
def raised(postgres: str) -> Iterator[set[tuple[str, str]]]:
    """Rule and subject of every alert, after all evidence was stored, rolled up and looked at by the clock."""
    legal = [one for rule in AIR if rule.startswith("eu2024") for one in air(rule)]
    monday = [one for rule in AIR if not rule.startswith("eu2024") for one in air(rule)]
    monday += [*(one for rule in TRAFFIC for one in traffic(rule)), *classes(), *still(), *silent(), *doubled()]
    clock = list(health())
    judge = Judge(BOOK, load_days(ZONE))
    with fresh_database(postgres) as url, closing(Store(url)) as store, psycopg.connect(url, autocommit=True) as direct:
        for sensor in {one.sensor_id for one in (*legal, *monday, *(one for one, _ in clock))}:
            direct.execute(
                "INSERT INTO sensor (sensor_id, source, lanes, registered_at) VALUES (%s, %s, 1, '2020-01-01')",
                [sensor, sensor.partition("/")[0]],
            )
        deliver(store, judge, monday, MONDAY + 26 * HOUR)
        roll_up(store, MONDAY + 26 * HOUR, judge=judge)
        for reading, received in clock:
            deliver(store, judge, [reading], received)
        roll_up(store, TUESDAY, judge=judge)
        alert_clock = AlertClock(judge, ZONE)
        for now in (TUESDAY - WARM, TUESDAY):
            alert_clock.run(store, now)
        deliver(store, judge, legal, NEW_LAW + 74 * HOUR)
        roll_up(store, NEW_LAW + 74 * HOUR, judge=judge)
        alert_clock.run(store, NEW_LAW + 74 * HOUR)
        found = direct.execute("SELECT rule, subject FROM alert WHERE NOT withdrawn").fetchall()
        yield {(name, subject) for name, subject in found}


@pytest.mark.parametrize("rule", [rule.name for rule in BOOK.values()])
def test_a_shipped_rule_raises_by_its_evidence(raised: set[tuple[str, str]], rule: str) -> None:
    """Of the sensors that were made for a rule it raises the one beyond its threshold for long enough, and no other."""
    own = [subject.partition("/")[2] for name, subject in raised if name == rule]
    assert [one for one in own if one.startswith(f"{rule}.")] == [f"{rule}.yes"]
