"""When hours close: marks of older hours do not keep newer ones open, marks of their own do."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from aggregates.store.statements import statement_text
from aggregates.store.store import Store, Transaction
from ingest.vocabulary.batch import Batch, columns
from ingest.vocabulary.calendar import load_days
from ingest.vocabulary.readings import Flag, Reading
from streams.alerts.judge import Judge
from streams.commit.pipeline import Pipeline
from streams.rollup.rollup import roll_up
from tests.hub.run.test_upkeep import asked
from tests.support.lines import until

NOW = datetime(2024, 5, 1, 12, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)


def commit(store: Store, start: datetime) -> None:
    """Store one reading of a minute."""
    reading = Reading("stadspuls/s", "", "vehicle_count", 60, start, 1.0)
    Pipeline(store).store(Batch(columns([reading], [NOW])))


def closed_until(store: Store) -> object:
    """Give the end of the hours that are served from their own rows."""
    ((closed,),) = asked(store, "SELECT closed_until FROM rollup")
    return closed


def test_late_data_do_not_keep_newer_hours_open(store: Store) -> None:
    """While marks of closed hours wait, as during a backfill, the hours that end close all the same."""
    commit(store, NOW - 2 * HOUR)
    roll_up(store, NOW)
    assert closed_until(store) == datetime(2024, 5, 1, 12, tzinfo=UTC)
    commit(store, NOW - 50 * HOUR)
    roll_up(store, NOW + HOUR, most=0)
    assert closed_until(store) == datetime(2024, 5, 1, 13, tzinfo=UTC)


def test_marked_hour_stays_open(store: Store) -> None:
    """An hour with a mark of its own does not close before it is rolled up."""
    roll_up(store, NOW)
    commit(store, NOW + timedelta(minutes=5))
    roll_up(store, NOW + HOUR, most=0)
    assert closed_until(store) == datetime(2024, 5, 1, 12, tzinfo=UTC)
    roll_up(store, NOW + HOUR)
    assert closed_until(store) == datetime(2024, 5, 1, 13, tzinfo=UTC)


class Watching(Judge):
    """Notes until when hours were closed as it judged."""

    def rolled(self, tx: Transaction, until: datetime, now: datetime) -> None:
        """Judge as ever."""
        ((self.closed,),) = tx.select("SELECT closed_until FROM rollup", {})
        super().rolled(tx, until, now)


def test_hours_close_as_far_as_they_are_rolled_up(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """With those that are written, before rules look at them, while later ones are still marked."""
    monkeypatch.setattr("streams.rollup.rollup.MOST_HOURS", 1)
    for hour in (5, 4, 3):
        commit(store, NOW - hour * HOUR)
    judge = Watching({}, load_days("UTC"))
    roll_up(store, NOW, judge=judge, most=1)
    assert judge.closed == closed_until(store) == datetime(2024, 5, 1, 8, tzinfo=UTC)
    roll_up(store, NOW, judge=judge)
    assert judge.closed == closed_until(store) == datetime(2024, 5, 1, 12, tzinfo=UTC)


def test_what_neighbours_flag_in_a_marked_hour_waits_for_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A spike two minutes after the hour is found with the hour before, whose readings are its neighbours."""
    monkeypatch.setattr("streams.rollup.rollup.MOST_HOURS", 1)
    minutes = [NOW - 3 * HOUR + timedelta(minutes=at) for at in range(20, 50)]
    spike = NOW.replace(minute=2) - 2 * HOUR
    readings = [Reading("stadspuls/s", "", "temperature", 60, at, 40.0 if at == spike else 9.0) for at in minutes]
    Pipeline(store).store(Batch(columns(readings, [NOW] * len(readings))))
    roll_up(store, NOW, most=1)
    assert asked(store, f"SELECT flags FROM reading WHERE start = '{spike}'") == [(Flag.SPIKE,)]
    assert asked(store, "SELECT readings FROM window_1h") == [(10,)]
    roll_up(store, NOW)
    assert asked(store, "SELECT readings, flagged, revision FROM window_1h ORDER BY start") == [(10, 0, 1), (19, 1, 1)]


def test_deadlock_is_tried_again_at_once(store: Store) -> None:
    """Who has a row that the roll-up needs, and needs one that it has, is through; then the roll-up is, too."""
    commit(store, NOW - 2 * HOUR)
    roll_up(store, NOW)
    commit(store, NOW - 2 * HOUR + timedelta(minutes=1))
    with psycopg.connect(store.conninfo) as other, ThreadPoolExecutor(1) as pool:
        other.execute("SET deadlock_timeout = '1min'")
        other.execute("SELECT FROM window_1h FOR UPDATE")
        rolled = pool.submit(roll_up, store, NOW)
        waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"
        until(lambda: asked(store, waits) == [(True,)])
        other.execute("UPDATE mark SET members = members")  # waits for the roll-up, which has taken it
        other.commit()
        assert rolled.result() == 1
    assert asked(store, "SELECT readings FROM window_1h") == [(2,)]


@pytest.mark.parametrize("statement", ["roll_hours", "roll_days", "list_count_hours", "list_neighbour_readings"])
def test_no_plan_reads_all_hours(store: Store, statement: str) -> None:
    """While history comes that the planner knows nothing of, hours are looked up by series: the others may be years."""
    readings = [Reading(f"stadspuls/{at}", "", "vehicle_count", 60, NOW, 1.0) for at in range(40)]
    Pipeline(store).store(Batch(columns(readings, [NOW] * len(readings))))
    evidence = "readings, nothing, flagged, failed, warned, total, weight, weighted, squares, harmonic, status"
    hours = "series, generate_series('2024-03-01Z', timestamptz '2024-04-30Z', '1 hour') start"
    with store.transaction(writing=True) as tx:
        tx.script(
            f"INSERT INTO window_1h (series, start, {evidence})"
            f" SELECT series, start, 1, 0, 0, 0, 0, 1, 1, 1, 1, 1, 0 FROM {hours};"
            "INSERT INTO reading (series, start, value, weight, version, received_at, flags, status)"
            f" SELECT series, start, 1, 1, 0, start, 0, 0 FROM {hours};"
            f"INSERT INTO dirty SELECT series, start FROM {hours}; ANALYZE dirty"
        )
        span = {"first": NOW - 61 * 24 * HOUR, "last": NOW, "until": NOW, "again": False, "members": [1]}
        plan = tx.select(f"EXPLAIN {statement_text(statement)}", {**span, "quantities": ["vehicle_count"]})
    assert not [line for (line,) in plan if "Seq Scan on window_1h" in line or "Seq Scan on reading" in line]


def test_no_plan_reads_all_series_for_each_new_sensor(store: Store) -> None:
    """A country's new series are a hundred thousand at once, and some of them are taken in each turn."""
    names = [(f"stadspuls/{at}", lane) for at in range(999) for lane in "ab"]
    readings = [Reading(*name, "vehicle_count", 60, NOW, 1.0) for name in names]
    Pipeline(store).store(Batch(columns(readings, [NOW] * len(readings))))
    with store.transaction() as tx:
        plan = tx.select(f"EXPLAIN {statement_text('take_unstored')}", {})
    assert not [line for (line,) in plan if "Seq Scan on series m" in line]


def test_a_day_of_history_is_written_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the last of its marked hours, however many transactions these take; a late one writes it again."""
    monkeypatch.setattr("streams.rollup.rollup.MOST_HOURS", 1)
    monkeypatch.setattr("streams.rollup.rollup.SHORT", 0.0)
    for hour in (3, 4, 5):
        commit(store, NOW - hour * HOUR)
    days = "SELECT readings, revision FROM window_1d"
    roll_up(store, NOW, most=2)
    assert asked(store, "SELECT count(*) FROM window_1h") == [(2,)]
    assert asked(store, days) == []
    roll_up(store, NOW)
    assert asked(store, days) == [(3, 1)]
    commit(store, NOW - 4 * HOUR + timedelta(minutes=1))
    roll_up(store, NOW)
    assert asked(store, days) == [(4, 2)]


@pytest.mark.parametrize(("short", "written"), [(60.0, 1 + 2 + 2 + 2), (0.0, 4)])
def test_after_a_short_transaction_comes_a_larger_one(
    store: Store, monkeypatch: pytest.MonkeyPatch, short: float, written: int
) -> None:
    """Up to twice as large; after a long one the next takes as many hours."""
    monkeypatch.setattr("streams.rollup.rollup.MOST_HOURS", 1)
    monkeypatch.setattr("streams.rollup.rollup.SHORT", short)
    for hour in range(3, 15):
        commit(store, NOW - hour * HOUR)
    assert roll_up(store, NOW, most=4) == written


def test_hours_join_those_that_are_there(store: Store) -> None:
    """One transaction writes hours of a run that has a stored one, of a run without, and of a new series."""
    for hour in (30, 4):
        commit(store, NOW - hour * HOUR)
    roll_up(store, NOW)
    for hour, minute in ((31, 0), (30, 1), (29, 0), (10, 0), (9, 0), (3, 0)):
        commit(store, NOW - hour * HOUR + timedelta(minutes=minute))
    other = Reading("stadspuls/other", "", "vehicle_count", 60, NOW - 30 * HOUR, 1.0)
    Pipeline(store).store(Batch(columns([other], [NOW])))
    assert roll_up(store, NOW) == 7
    written = asked(store, "SELECT series, start, readings, revision FROM window_1h ORDER BY series, start")
    full = NOW.replace(minute=0)
    counted = {31: (1, 1), 30: (2, 2), 29: (1, 1), 10: (1, 1), 9: (1, 1), 4: (1, 1), 3: (1, 1)}  # readings, revision
    expected = [(full - hour * HOUR, *counts) for hour, counts in counted.items()]
    assert [row[1:] for row in written if row[0] == written[0][0]] == expected
    assert [row[1:] for row in written if row[0] != written[0][0]] == [(full - 30 * HOUR, 1, 1)]


def test_an_hour_that_still_runs_keeps_no_day_back(store: Store) -> None:
    """Today shows its closed hours while readings of the next one come in."""
    commit(store, NOW - 2 * HOUR)
    commit(store, NOW)
    roll_up(store, NOW)
    assert asked(store, "SELECT readings FROM window_1d") == [(1,)]


def test_closed_hours_stay_closed(store: Store) -> None:
    """A clock that is set back opens no hour again."""
    roll_up(store, NOW)
    roll_up(store, NOW - 3 * HOUR)
    assert closed_until(store) == datetime(2024, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(("hour", "covered"), [(12, 43_200), (18, 43_200), (19, None)])
def test_half_a_day_that_ends_in_the_next(store: Store, hour: int, covered: float | None) -> None:
    """A reading of twelve hours covers its day where no more of it lies in the next than a valid day may lack."""
    midnight = datetime(2024, 4, 29, 23, tzinfo=UTC)
    reading = Reading("stadspuls/s", "", "no2", 43_200, midnight + hour * HOUR, 9.0)
    Pipeline(store).store(Batch(columns([reading], [NOW + 24 * HOUR])))
    roll_up(store, NOW + 24 * HOUR)
    assert asked(store, "SELECT start, covered FROM window_1d") == [(midnight, covered)]
