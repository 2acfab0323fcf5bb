"""Earlier figures of closed windows are kept when they change: as of any moment the hub gives what it gave then."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings

from aggregates.store.catalogue import import_sensors
from aggregates.store.store import Store
from ingest.files.catalogue import Entry
from ingest.vocabulary.batch import Batch, columns
from ingest.vocabulary.readings import Reading
from streams.commit.pipeline import Pipeline
from streams.rollup.reconcile import reconcile
from streams.rollup.rollup import roll_up
from tests.aggregates.store.test_sensor_evidence import MONDAY, STEPS, Rolled, asked, same, take
from tests.support.databases import fresh_database
from tests.support.examples import up_to
from tests.support.lines import until

HOUR = timedelta(hours=1)
LATER = datetime(2024, 6, 1, tzinfo=UTC)
FIGURES = (
    "quantity, extract(epoch FROM start)::float8, value, estimate, space_mean, minimum, maximum, readings, nothing,"
    " flagged, failed, warned, coverage, valid::integer, lanes, lanes_expected, status, weight"
)


@pytest.fixture(scope="module")
def shared(postgres: str) -> Iterator[Store]:
    """One database for all examples: each has a sensor and a week of its own."""
    with fresh_database(postgres) as url, closing(Store(url)) as store:
        yield store


_weeks = count()


@settings(max_examples=up_to(12))
@given(steps=STEPS)
def test_as_of_every_moment_figures_are_those_of_then(shared: Store, steps: list[Any]) -> None:
    """
    After each step the closed hours and days are noted; at the end each moment gives what was noted, to the digit.

    Steps are batches with late readings and corrections, changes of the catalogue, and turns of the roll-up. A release
    after each step, so that no version is merged with another.
    """
    week = next(_weeks)
    sensor, first = f"ndw/v{week}", MONDAY + week * timedelta(weeks=1)
    known = []
    for at, step in enumerate([*steps, Rolled(6)]):
        take(shared, sensor, first, step)
        known.append((publish(shared, f"{week}-{at}"), figures(shared, sensor)))
    for moment, then in known:
        found = figures(shared, sensor, moment)
        for level, rows in then.items():
            assert len(found[level]) == len(rows), (moment, level)
            for row, other in zip(found[level], rows, strict=True):
                assert all(same(*pair) for pair in zip(row, other, strict=True)), (moment, level, row, other)


def test_a_correction_keeps_what_was_to_the_digit(store: Store) -> None:
    """A value is corrected: as of before, hour and day have the old figure, as of now the new one; with the reason."""
    hear(store, [0.1, 0.2, 0.7])
    before = publish(store, "r")
    hear(store, [0.4], version=1)
    assert [row[2] for row in figures(store, "ndw/s", before)["1h"]] == [0.1, 0.2, 0.7]
    assert [row[2] for row in figures(store, "ndw/s")["1h"]] == [0.4, 0.2, 0.7]
    assert reasons(store) == [("1d", "correction"), ("1h", "correction")]


def test_a_packed_hour_keeps_what_it_was(store: Store) -> None:
    """A correction of an hour whose chunk is packed, where the edition packs: as anywhere, and nothing else changes."""
    hear(store, [0.1, 0.2])
    before = publish(store, "r")
    with psycopg.connect(store.conninfo, autocommit=True) as connection:
        connection.execute(
            "DO $$ BEGIN IF current_setting('timescaledb.license', true) = 'timescale' THEN"
            " PERFORM compress_chunk(chunk) FROM show_chunks('window_1h') chunk; END IF; END $$"
        )
    assert [row[2] for row in figures(store, "ndw/s")["1h"]] == [0.1, 0.2]
    hear(store, [0.4], version=1)
    assert [row[2] for row in figures(store, "ndw/s", before)["1h"]] == [0.1, 0.2]
    assert [row[2] for row in figures(store, "ndw/s")["1h"]] == [0.4, 0.2]
    assert reasons(store) == [("1d", "correction"), ("1h", "correction")]


def test_versions_are_looked_up(store: Store) -> None:
    """However many windows change at once, from none that was kept: a plan of then would read all that come."""
    hear(store, [float(hour) for hour in range(200)])
    publish(store, "r")
    with store.transaction() as tx:
        tx.script("ANALYZE")
    hear(store, [hour + 0.5 for hour in range(200)], version=1)
    assert asked(store, "SELECT count(*) FROM window_1h_version") == [(200,)]
    noted = "SELECT n_tup_ins, seq_tup_read < 1000 FROM pg_stat_user_tables WHERE relname = 'window_1h_version'"
    with store.transaction() as tx:
        tx.select("SELECT pg_stat_force_next_flush()", {})
    until(lambda: asked(store, noted)[0][0] == 200)
    assert asked(store, noted) == [(200, True)]


def test_each_reason_is_told(store: Store) -> None:
    """More readings are late data, and a window that the proof repaired was repaired."""
    hear(store, [1.0])
    publish(store, "r")
    hear(store, [1.0, 2.0])
    assert reasons(store) == [("1d", "late data")], "the second hour is new, its day changed"
    with psycopg.connect(store.conninfo) as connection:
        connection.execute("SET session_replication_role = replica")  # the damage of a disk: no trigger sees it
        connection.execute("UPDATE window_1h SET total = 99 WHERE start = %s", [MONDAY])
    list(reconcile(store, MONDAY.date(), LATER.date(), repair=True))
    roll_up(store, LATER, timedelta())
    assert reasons(store) == [("1d", "late data"), ("1h", "repair")]
    assert asked(store, "SELECT total FROM window_1h_version") == [(99.0,)]


def test_a_change_of_the_catalogue_shows_as_of_before(store: Store) -> None:
    """Three lanes expected make hours invalid; as of before they are valid still, and no window was written again."""
    hear(store, [1.0])
    before = publish(store, "r")
    import_sensors(store, [Entry("ndw/s", lanes=3)])
    hear(store, [2.0, 3.0], channel="lane2/any")
    valid = FIGURES.split(", ").index("valid::integer")
    assert figures(store, "ndw/s", before)["1h"][0][valid] == 1
    assert [row[valid] for row in figures(store, "ndw/s")["1h"]] == [0, 0]
    assert reasons(store) == []


def test_what_is_computed_again_without_a_change_is_no_version(store: Store) -> None:
    """Marked again, hours are written again: nothing changed, and as of before they are there."""
    hear(store, [0.1, 0.2])
    before = publish(store, "r")
    with psycopg.connect(store.conninfo) as connection:
        connection.execute("INSERT INTO mark (hour, members) SELECT start, ARRAY[series] FROM window_1h")
    roll_up(store, LATER, timedelta())
    assert reasons(store) == []
    assert figures(store, "ndw/s", before) == figures(store, "ndw/s")


def test_more_than_four_changes_of_a_day_are_one(store: Store) -> None:
    """Of nine changes four versions are kept; the moment of a release is kept beside them, however many changed."""
    for value in range(10):
        hear(store, [float(value)], version=value)
    kept = "SELECT total FROM window_1h_version ORDER BY until"
    assert asked(store, kept) == [(0.0,), (1.0,), (2.0,), (3.0,)]
    moment = publish(store, "r")
    hear(store, [20.0], version=20)
    hear(store, [21.0], version=21)
    assert asked(store, kept) == [(0.0,), (1.0,), (2.0,), (3.0,), (9.0,)]
    assert [row[2] for row in figures(store, "ndw/s", moment)["1h"]] == [9.0]


def test_what_is_arriving_still_is_no_version(store: Store) -> None:
    """Hours of a day come within seconds of each other: its day keeps none of what it was meanwhile."""
    for hours in (1, 2, 3):
        hear(store, [1.0] * hours)
    assert reasons(store) == []


def test_a_month_with_one_percent_of_corrections_costs_little(store: Store) -> None:
    """Of 30 days of hourly values of ten sensors 1 % are corrected: at most 5 % more rows."""
    hours, sensors = 720, 10
    first = MONDAY.replace(hour=22)
    wanted = [
        Reading(f"ndw/m{one}", "", "vehicle_count", 3600, first + at * HOUR, float(at % 97))
        for one in range(sensors)
        for at in range(hours)
    ]
    corrected = [
        Reading(one.sensor_id, "", "vehicle_count", 3600, one.start, one.value + 1, version=1)
        for one in wanted[::101]
        if one.value is not None
    ]
    for readings in (wanted, corrected):
        Pipeline(store).store(Batch(columns(readings, [LATER] * len(readings))))
        roll_up(store, LATER + timedelta(days=10), timedelta())
    ((hourly, daily, more),) = asked(
        store,
        "SELECT (SELECT count(*) FROM window_1h), (SELECT count(*) FROM window_1d),"
        " (SELECT count(*) FROM window_1h_version) + (SELECT count(*) FROM window_1d_version)",
    )
    print(f"{more} versions beside {hourly} hours and {daily} days: {more / (hourly + daily):.1%}")
    assert len(corrected) < more <= 0.05 * (hourly + daily)


def hear(store: Store, values: Sequence[float], channel: str = "lane1/any", version: int = 0) -> None:
    """Store hours of a lane and roll them up, all of them closed."""
    read = [
        Reading("ndw/s", channel, "vehicle_count", 3600, MONDAY + at * HOUR, value, version=version)
        for at, value in enumerate(values)
    ]
    Pipeline(store).store(Batch(columns(read, [MONDAY + timedelta(days=2)] * len(read))))
    roll_up(store, LATER, timedelta())


def publish(store: Store, name: str) -> datetime:
    """Note a release, and give its moment."""
    with psycopg.connect(store.conninfo) as connection:
        found = connection.execute(
            "INSERT INTO release (name, as_of, manifest) VALUES (%s, clock_timestamp(), '{}') RETURNING as_of", [name]
        ).fetchone()
    assert found is not None
    return datetime.fromisoformat(str(found[0]))


def figures(store: Store, sensor: str, moment: datetime | None = None) -> dict[str, list[tuple[Any, ...]]]:
    """Give the closed hours and the days of a sensor, as of a moment."""
    with psycopg.connect(store.conninfo) as connection:
        if moment is not None:
            connection.execute("SELECT set_config('search_path', 'as_of, public', false)")
            connection.execute("SELECT set_config('stadspuls.as_of', %s, false)", [moment.isoformat()])
        return {
            level: connection.execute(
                f"SELECT {FIGURES} FROM sensor_{level} WHERE sensor_id = '{sensor}' AND"
                f" start < (SELECT closed_until FROM rollup) ORDER BY 1, 2".encode()
            ).fetchall()
            for level in ("1h", "1d")
        }


def reasons(store: Store) -> list[Any]:
    """Give the reasons of the versions that are kept."""
    return asked(
        store,
        "SELECT '1d', reason FROM window_1d_version UNION ALL SELECT '1h', reason FROM window_1h_version ORDER BY 1, 2",
    )
