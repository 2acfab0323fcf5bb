"""What judging and listing read: a day once, and of the alerts of years only those that are asked for."""

import re
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from aggregates.store.statements import statement_text
from aggregates.store.store import Store, Transaction
from ingest.vocabulary.readings import microseconds
from streams.alerts.clock import AlertClock
from streams.rollup.rollup import roll_up
from tests.streams.alerts.test_judge import RULES, deliver, hours, with_rules
from tests.support.databases import ZONE

MIDNIGHT = datetime(2024, 3, 3, 23, tzinfo=UTC)  # of UTC+1
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


def test_a_day_is_read_once_for_all_sensors(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the clock, after its end; then only that of a sensor whose late data change it."""
    judge, read, rows = with_rules(tmp_path, RULES), list[Any](), Transaction.rows

    def noted(tx: Transaction, statement: str, view: str = "", /, **asked: object) -> list[tuple[object, ...]]:
        if statement.startswith("list_judged") and view == "sensor_1d":
            read.append(asked["subjects"])
        return rows(tx, statement, view, **asked)

    monkeypatch.setattr(Transaction, "rows", noted)
    clock = AlertClock(judge, ZONE)
    for hour in range(27):
        now = MIDNIGHT + (hour + 1) * HOUR + 2 * MINUTE
        for name in "ab":
            deliver(store, judge, hours([20], MIDNIGHT + hour * HOUR, f"luchtmeetnet/{name}"), now)
        roll_up(store, now, judge=judge)
        clock.run(store, now)
    assert read == [None]
    deliver(store, judge, hours([30], MIDNIGHT - HOUR, "luchtmeetnet/b"), now)
    roll_up(store, now, judge=judge)
    assert read == [None, ["luchtmeetnet/b"]]


@pytest.fixture
def years(database: str) -> str:
    """Sixty thousand alerts of 500 sensors, the last 20 of them open, beside the areas of a country."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("""
            INSERT INTO area (vintage, code, level, name, municipality)
            SELECT 2024, 'BU' || lpad(n::text, 8, '0'), 'buurt', 'x', 'GM0014' FROM generate_series(1, 14000) n
        """)
        connection.execute("""
            INSERT INTO sensor (sensor_id, source) SELECT 'stadspuls/' || n, 'stadspuls' FROM generate_series(0, 499) n
        """)
        connection.execute("""
            INSERT INTO alert (rule, subject, quantity, level, severity, state, since, until, judged, sure, threshold,
                               raised_at, updated_at, cleared_at)
            SELECT 'r' || n / 500 % 30, 'stadspuls/' || n % 500, 'no2', '5m', 'info', 'raised', at, until, at, at, 1,
                   at, at, until
            FROM generate_series(1, 60000) n
            CROSS JOIN LATERAL (SELECT timestamptz '2024-01-01Z' + n * interval '10 minutes' AS at) a
            CROSS JOIN LATERAL (SELECT CASE WHEN n <= 59980 THEN at + interval '1 hour' END AS until) u
        """)
        connection.execute("ANALYZE")
    return database


ALERTS = dict.fromkeys(("rule", "subject", "severity", "open", "after_raised_at", "after_alert"))
NEAR = {"rules": ["r1", "r2"], "first": "2024-02-01Z", "last": "2024-02-02Z"}


@pytest.mark.parametrize(
    ("statement", "asked"),
    [
        ("list_alerts", {**ALERTS, "limit": 100}),
        ("list_alerts", {**ALERTS, "open": True, "limit": 1_000_000}),
        ("list_alerts", {**ALERTS, "subject": "stadspuls/7", "limit": 1_000_000}),
        ("list_alerts_near", {**NEAR, "subjects": ["stadspuls/7"]}),
        ("digest_counts", {"since": "2025-02-20Z", "channel": "mail"}),
    ],
)
def test_alerts_of_years_are_not_read_to_find_some(years: str, statement: str, asked: dict[str, Any]) -> None:
    """The newest, the open ones, those of a sensor, an old window or a day: hundreds of pages, not thousands."""
    assert pages_read(years, statement, asked) < 900


def test_few_hours_with_flags_are_looked_up(database: str) -> None:
    """Of 100 sensors two hours each, at the beginning and the end of half a year: not what lies between them."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("""
            INSERT INTO sensor (sensor_id, source) SELECT 's/' || n, 's' FROM generate_series(1, 100) n
        """)
        connection.execute("""
            INSERT INTO series (sensor_id, quantity, channel, period) SELECT sensor_id, 'no2', '', 3600 FROM sensor
        """)
        connection.execute("""
            INSERT INTO reading (series, start, value, weight, version, received_at, flags, status)
            SELECT series, start, 1, 1, 0, start, 8, 0 FROM series,
            generate_series(timestamptz '2024-01-01Z', '2024-06-30Z', '1 hour') start
        """)
        connection.execute("ANALYZE")
    first, last = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 6, 30, tzinfo=UTC)
    sensors = [f"s/{at}" for at in range(1, 101)]
    starts = [microseconds(first)] * 100 + [microseconds(last)] * 100
    asked = {"subject": sensors * 2, "quantity": ["no2"] * 200, "start": starts, "flags": 8,
             "sensors": sensors, "first": first, "last": last + HOUR}  # fmt: skip
    with closing(Store(database)) as store:
        assert [count for *_, count in store.rows("count_flagged_readings", **asked)] == [1] * 200
    assert pages_read(database, "count_flagged_readings", asked) < 1200


def pages_read(database: str, statement: str, asked: dict[str, Any]) -> int:
    """Count the pages that a statement reads."""
    with psycopg.connect(database) as connection, psycopg.ClientCursor(connection) as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS) {statement_text(statement)}".encode(), asked)
        pages = next(line for (line,) in cursor.fetchall() if "Buffers" in line)
    return sum(map(int, re.findall(r"(?:hit|read)=(\d+)", pages)))
