"""Alerts in the store: the same whatever the order, batching, redelivery or restart, and said once."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from aggregates.store import Store
from ingest.batch import Batch, columns
from ingest.readings import Reading
from streams.days import load_days
from streams.judging import Judge
from streams.pipeline import Pipeline
from streams.rulebook import RuleBook, load_rules
from tests.databases import ZONE

START = datetime(2024, 3, 4, 8, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
RULES = """
[defaults]
quantity = "no2"
channels = ["mail", "page"]

[[rule]]
name = "jam"
title = "Slow"
quantity = "vehicle_speed"
level = "5m"
direction = "below"
raise = 20
clear = 30
windows = 2
clear_windows = 2

[[rule]]
name = "hour"
title = "Much NO2 in an hour"
level = "1h"
raise = 100
clear = 80
text = "{value} {unit}, threshold {threshold}"

[[rule]]
name = "day"
title = "Much NO2 in a day"
level = "1d"
raise = 50
"""


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> RuleBook:
    """Three rules, one for each level."""
    folder = tmp_path_factory.mktemp("rules")
    (folder / "own.toml").write_text(RULES)
    return load_rules((folder,), shipped=Path("/nowhere"))


@pytest.fixture
def judge(book: RuleBook) -> Judge:
    """The rules at work."""
    return Judge(book, load_days(ZONE))


def speeds(values: Sequence[float | None], start: datetime = START, sensor: str = "stadspuls/a") -> list[Reading]:
    """Five readings, a minute apart, for every 5-minute value."""
    return [
        Reading(sensor, "", "vehicle_speed", 60, start + 5 * at * MINUTE + one * MINUTE, value, weight=1.0)
        for at, value in enumerate(values)
        if value is not None
        for one in range(5)
    ]


def hours(values: Sequence[float | None], start: datetime = START, sensor: str = "luchtmeetnet/b") -> list[Reading]:
    """An hourly mean for every value."""
    return [
        Reading(sensor, "", "no2", 3600, start + at * timedelta(hours=1), value)
        for at, value in enumerate(values)
        if value is not None
    ]


def deliver(store: Store, judge: Judge, readings: Sequence[Reading], received: datetime) -> None:
    """Store readings as one batch."""
    Pipeline(store, judge=judge).store(Batch(columns(readings, [received] * len(readings)), (), ()))


def asked(url: str, question: str) -> list[tuple[Any, ...]]:
    """Ask the database directly."""
    with psycopg.connect(url) as connection:
        connection.execute("SET timezone = 'UTC'")
        return connection.execute(question.encode()).fetchall()


ALERTS = "SELECT rule, subject, state, since, until, late, withdrawn FROM alert ORDER BY alert"
SAID = "SELECT a.rule, t.kind, t.about, t.late FROM alert_transition t JOIN alert a USING (alert) ORDER BY transition"
SENT = "SELECT kind, channel FROM outbox JOIN alert_transition USING (transition) ORDER BY transition, channel"


def test_five_minutes_raise_and_clear_with_hysteresis(database: str, store: Store, judge: Judge) -> None:
    """Two slow windows raise, one between the thresholds keeps it up, two fast ones clear; each is said once."""
    for at, value in enumerate([50, 15, 10, 25, 40, 20.5, 35, 36, 15]):
        deliver(store, judge, speeds([value], START + 5 * at * MINUTE), START + 5 * (at + 1) * MINUTE + MINUTE)
    since, until = START + 5 * MINUTE, START + 40 * MINUTE
    assert asked(database, ALERTS) == [("jam", "stadspuls/a", "cleared", since, until, False, False)]
    assert asked(database, SAID) == [
        ("jam", "raised", START + 15 * MINUTE, False),
        ("jam", "cleared", until, False),
    ]
    assert asked(database, SENT) == [(kind, to) for kind in ("raised", "cleared") for to in ("mail", "page")]
    ((windows,),) = asked(database, "SELECT windows FROM alert_transition WHERE kind = 'raised'")
    assert [(one["value"], one["coverage"], one["level"]) for one in windows] == [(15, 1, "5m"), (10, 1, "5m")]
