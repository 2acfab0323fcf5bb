"""The proof that stream equals batch: it finds what somebody damaged, and its repair ends."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest
import structlog
from typer.testing import CliRunner

from aggregates.store.statements import statement_text
from aggregates.store.store import Store
from ingest.vocabulary.batch import Batch, columns
from ingest.vocabulary.readings import Flag, Reading
from streams.commit.pipeline import Pipeline
from streams.rollup.reconcile import reconcile
from streams.rollup.retention import maintain
from streams.rollup.rollup import roll_up
from tests.support.commands import app
from tests.support.databases import tables

START = datetime(2024, 5, 1, 8, tzinfo=UTC)
LATER = datetime(2024, 6, 1, tzinfo=UTC)
FIRST, LAST = date(2024, 4, 29), date(2024, 5, 4)

Tables = dict[str, list[tuple[object, ...]]]

# A row of a series and time that nothing was read of.
_INVENTED = (
    "INSERT INTO window_{0} (series, start, readings, nothing, flagged, failed, warned, total, weight, weighted,"
    " squares, harmonic, covered, status{1}) SELECT series, '{2}', 1, 0, 0, 0, 0, 5, 1, 5, 25, 0.2, 60, 0{3}"
    " FROM series WHERE quantity = 'vehicle_count'"
)
DAMAGE = {
    "5m value": "UPDATE window_5m SET total = total + 1 WHERE start = '2024-05-01 08:05+00'",
    "5m count": "UPDATE window_5m SET readings = readings + 1 WHERE start = '2024-05-01 08:05+00'",
    "5m coverage": "UPDATE window_5m SET covered = NULL WHERE start = '2024-05-01 08:05+00'",
    "5m minimum": "UPDATE window_5m SET minimum = minimum - 1 WHERE start = '2024-05-01 08:05+00'",
    "5m harmonic": "UPDATE window_5m SET harmonic = harmonic * 1.001",
    "5m deleted": "DELETE FROM window_5m WHERE start = '2024-05-01 08:05+00'",
    "5m invented": _INVENTED.format("5m", "", "2024-05-01 12:00+00", ""),
    "1h value": "UPDATE window_1h SET total = total + 1 WHERE start = '2024-05-01 08:00+00'",
    "1h deleted": "DELETE FROM window_1h WHERE start = '2024-05-01 08:00+00'",
    "1h invented": _INVENTED.format("1h", "", "2024-05-01 12:00+00", ""),
    "1h invented in a day of its own": _INVENTED.format("1h", "", "2024-05-03 12:00+00", ""),
    "1d value": "UPDATE window_1d SET squares = squares + 1",
    "1d valid hours": "UPDATE window_1d SET valid_hours = valid_hours + 1",
    "1d deleted": "DELETE FROM window_1d",
    "sensor_1h value": "UPDATE sensor_evidence_1h SET value = value + 1",
    "sensor_1h lanes": "UPDATE sensor_evidence_1h SET valid_lanes = 0 WHERE start = '2024-05-01 08:00+00'",
    "sensor_1h deleted": "DELETE FROM sensor_evidence_1h WHERE start = '2024-05-01 09:00+00'",
    "sensor_1h invented": "INSERT INTO sensor_evidence_1h SELECT (jsonb_populate_record(e,"
    " '{\"start\": \"2024-05-02 12:00Z\"}')).* FROM sensor_evidence_1h e WHERE start = '2024-05-01 08:00+00'",
    "sensor_1d coverage": "UPDATE sensor_evidence_1d SET covered_lanes = NULL",
    "sensor_1d deleted": "DELETE FROM sensor_evidence_1d",
    "1d invented": _INVENTED.format("1d", ", valid_hours", "2024-04-29 22:00+00", ", 1"),
}


def fill(store: Store) -> None:
    """Two hours of a counter, of an instrument and of two lanes, the second hour without its last readings."""
    readings = [
        Reading("stadspuls/s", channel, quantity, 60, START + timedelta(minutes=at), float(at % 7))
        for quantity, channel in (
            ("vehicle_count", ""),
            ("no2", ""),
            ("vehicle_speed", "lane1"),
            ("vehicle_speed", "lane2"),
        )
        for at in range(100)
    ]
    Pipeline(store).store(Batch(columns(readings, [LATER] * len(readings))))
    roll_up(store, LATER)


def harm(store: Store, statement: str) -> None:
    """Do what no code of the hub would do."""
    with psycopg.connect(store.conninfo, autocommit=True) as connection:
        connection.execute(statement.encode())


def different(store: Store, *, repair: bool = False) -> set[str]:
    """Give the levels at which windows differ."""
    return {found.level for found in reconcile(store, FIRST, LAST, repair=repair) if found.windows}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_found_and_repaired(store: Store, database: str, damage: str) -> None:
    """Whatever was done to a window is seen at its level; repair and roll-up bring the tables back."""
    fill(store)
    before = tables(database)
    assert different(store) == set()
    harm(store, DAMAGE[damage])
    assert damage.split()[0] in different(store, repair=True)
    roll_up(store, LATER)
    assert different(store) == set()
    assert_same(tables(database), before)


# Columns that are not evidence: keys, and how a row came to be.
KEYS = ("series", "head", "start", "revision", "computed_at", "since")
LEVELS = {"window_5m": "5m", "window_1h": "1h", "window_1d": "1d", "sensor_evidence_1h": "sensor_1h",
          "sensor_evidence_1d": "sensor_1d"}  # fmt: skip


def test_every_column_is_proven(store: Store, database: str) -> None:
    """A change of any column of evidence is found at its level: by 1, and of a sum by a millionth."""
    fill(store)
    lanes = [Reading("stadspuls/s", lane, "bicycle_count", 60, START, 5.0) for lane in ("lane1", "lane2")]
    Pipeline(store).store(Batch(columns(lanes, [LATER] * 2)))
    roll_up(store, LATER)
    span = {"first": START - timedelta(days=1), "last": START + timedelta(days=1), "members": None}
    question = (
        "SELECT table_name, column_name, data_type FROM information_schema.columns"
        " WHERE table_schema = 'public' AND table_name = ANY (%s)"
    )
    with psycopg.connect(database) as connection:
        found = [one for one in connection.execute(question, [list(LEVELS)]) if one[1] not in KEYS]
        for table, name, kind in found:
            by_one = f"NOT {name}" if kind == "boolean" else f"coalesce({name}, 0) + 1"
            sums = kind == "double precision" and name not in ("minimum", "maximum")
            for change in (by_one, *([f"{name} * (1 + 1e-6)"] if sums else [])):
                connection.execute(f"UPDATE {table} SET {name} = {change}".encode())
                assert connection.execute(statement_text(f"find_differing_{LEVELS[table]}"), span).fetchall(), change
                connection.rollback()
    assert len(found) == 3 * 14 + 1 + 2 * 20


def test_repair_keeps_a_window_of_failures(store: Store, database: str) -> None:
    """Five minutes in which every reading failed, or was kept out, have a row, also after a repair."""
    said = [
        Reading("stadspuls/s", "", "no2", 60, START, None, weight=0.0, flags=Flag.SOURCE_ERROR),
        Reading("stadspuls/s", "", "no2", 60, START + timedelta(minutes=5), 9.0, flags=Flag.CALIBRATION),
        Reading("stadspuls/s", "", "no2", 60, START + timedelta(minutes=10), None, weight=0.0),
    ]
    Pipeline(store).store(Batch(columns(said, [LATER] * len(said))))
    roll_up(store, LATER)
    before = tables(database)
    harm(store, "UPDATE window_5m SET total = total + 1")
    assert "5m" in different(store, repair=True)
    roll_up(store, LATER)
    assert different(store) == set()
    assert_same(tables(database), before)


def assert_same(found: Tables, expected: Tables) -> None:
    """Two states of the tables are the same, sums up to rounding."""
    for name, rows in expected.items():
        assert len(found[name]) == len(rows), name
        for row, wanted in zip(found[name], rows, strict=True):
            assert row == tuple(pytest.approx(cell) if isinstance(cell, float) else cell for cell in wanted), name


def test_readings_that_vanished_are_seen(store: Store, database: str) -> None:
    """Rows of readings deleted by hand differ from their windows, and the repair follows the readings."""
    fill(store)
    harm(store, "DELETE FROM reading WHERE start >= '2024-05-01 08:30+00'")
    assert different(store, repair=True) == {"5m"}
    roll_up(store, LATER)
    assert different(store) == set()
    assert all(len(rows) == 4 for name, rows in tables(database).items() if name in ("window_1h", "window_1d"))


def test_compared_counts_the_windows(store: Store) -> None:
    """Every level counts its windows, so that a proof of nothing is visible."""
    fill(store)
    found = [one for one in reconcile(store, FIRST, LAST) if one.compared]
    assert [(one.day, one.level, one.compared) for one in found] == [
        (date(2024, 4, 30), "1d", 4), (date(2024, 4, 30), "sensor_1d", 1), (date(2024, 5, 1), "5m", 80),
        (date(2024, 5, 1), "1h", 8), (date(2024, 5, 1), "sensor_1h", 2),
    ]  # fmt: skip


def test_dirty_windows_are_passed_over(store: Store) -> None:
    """An hour whose marks wait for the roll-up is not a difference."""
    fill(store)
    late = Reading("stadspuls/s", "", "no2", 60, START + timedelta(minutes=110), 5.0)
    Pipeline(store).store(Batch(columns([late], [LATER])))
    assert different(store) == set()
    roll_up(store, LATER)
    assert different(store) == set()


def test_hours_not_closed_yet_are_passed_over(store: Store) -> None:
    """A running hour has no row, and needs none."""
    reading = Reading("stadspuls/s", "", "no2", 60, START, 5.0)
    roll_up(store, START)
    Pipeline(store).store(Batch(columns([reading], [LATER])))
    assert different(store) == set()


def freeze(store: Store) -> None:
    """Switch retention on, long after."""
    assert maintain(store, LATER + timedelta(days=90), timedelta(days=30)) == [START.date()]


def test_frozen_windows_are_passed_over_and_never_recomputed(store: Store, database: str) -> None:
    """Windows whose readings were dropped stay as they are, repaired or not."""
    fill(store)
    before = tables(database)
    freeze(store)
    assert different(store, repair=True) == set()
    roll_up(store, LATER)
    assert {**tables(database), "reading": before["reading"]} == before


def test_day_that_freezes_after_the_comparison_is_left_alone(store: Store, database: str) -> None:
    """Between looking and repairing a day may freeze: then there is nothing to recompute it from."""
    fill(store)
    harm(store, DAMAGE["5m value"])
    damaged = tables(database)["window_5m"]
    for found in reconcile(store, START.date(), START.date() + timedelta(days=1), repair=True):
        if found.level == "1d":  # the last of the day: its repair comes next
            freeze(store)
    roll_up(store, LATER)
    assert tables(database)["window_5m"] == damaged


def test_changed_days_begin_at_the_last_proof(store: Store) -> None:
    """What was written since is to be proven, however old it is: a late reading costs its own series and day."""
    store.rows("set_reconciled", at=datetime(2024, 1, 1, tzinfo=UTC))
    fill(store)
    days, members = zip(*store.rows("list_changed_days"), strict=True)
    assert (days, [len(all_of_them) for all_of_them in members]) == ((date(2024, 4, 30), START.date()), [4, 4])
    store.rows("set_reconciled", at=datetime.now(UTC))
    assert store.rows("list_changed_days") == []
    old = Reading("stadspuls/s", "", "no2", 60, datetime(2001, 1, 1, 23, 30, tzinfo=UTC), 5.0)
    Pipeline(store).store(Batch(columns([old], [LATER + timedelta(hours=1)])))
    roll_up(store, LATER)
    assert [(day, len(late)) for day, late in store.rows("list_changed_days")] == [(date(2001, 1, 1), 1)]


def test_of_chosen_series_others_are_passed_over(store: Store, database: str) -> None:
    """At every level what differs is found with its own series alone; a sensor's evidence with any of its lanes."""
    fill(store)
    for damage in ("5m value", "1h deleted", "1d value", "1d deleted", "sensor_1h value"):
        harm(store, DAMAGE[damage])
    with psycopg.connect(database) as connection:
        known = connection.execute("SELECT series, head FROM series").fetchall()
    found = {
        chosen: {one for difference in reconcile(store, FIRST, LAST, members=[chosen]) for one, _ in difference.windows}
        for chosen, _ in known
    }
    assert found == {series: {series, head} for series, head in known}


@pytest.fixture
def command() -> Iterator[CliRunner]:
    """The command line in this process; its logging ends with the test."""
    yield CliRunner()
    structlog.reset_defaults()


@pytest.mark.parametrize("repair", [False, True])
def test_exit_code_is_1_when_something_differs(database: str, command: CliRunner, repair: bool) -> None:
    """0 when all is proven, 1 on a difference, with a repair too; then 0 again after the roll-up."""
    asked = ["reconcile", f"--database={database}", "--from=2024-04-30", "--to=2024-05-04"]
    with closing(Store(database)) as store:
        fill(store)
        assert command.invoke(app, asked).exit_code == 0
        harm(store, DAMAGE["5m value"])
        done = command.invoke(app, [*asked, *(["--repair"] if repair else [])])
        assert done.exit_code == 1
        assert "2024-05-01" in done.stdout
        roll_up(store, LATER)
        assert command.invoke(app, asked).exit_code == (0 if repair else 1)
