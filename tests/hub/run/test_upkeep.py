"""What is done again and again, by an injected clock: roll-ups each turn, retention hourly, one proof a night."""

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from structlog.testing import capture_logs

from aggregates.store.store import Store
from hub.run.upkeep import NIGHT, Upkeep
from hub.web.metrics import exposition
from ingest.vocabulary.batch import Batch, columns
from ingest.vocabulary.readings import Reading
from streams.commit.pipeline import Pipeline
from tests.support.lines import until

START = datetime(2024, 5, 1, 8, tzinfo=UTC)
EVENING = datetime(2024, 5, 1, 20, 30, tzinfo=UTC)
NIGHTFALL = datetime(2024, 5, 2, NIGHT, tzinfo=UTC)


def hear(store: Store, received: datetime = EVENING, minute: int = 0) -> None:
    """Store a reading."""
    reading = Reading("ndw/s", "", "vehicle_count", 60, START + timedelta(minutes=minute), 5.0)
    Pipeline(store).store(Batch(columns([reading], [received])))


def damage(store: Store) -> None:
    """Do what no code of the hub would do."""
    with psycopg.connect(store.conninfo, autocommit=True) as connection:
        connection.execute("UPDATE window_5m SET total = total + 1")


def asked(store: Store, question: str) -> list[tuple[Any, ...]]:
    """Ask the database directly."""
    with psycopg.connect(store.conninfo) as connection:
        return connection.execute(question.encode()).fetchall()


def hours(store: Store) -> list[tuple[Any, ...]]:
    """Give the hours that are rolled up."""
    return asked(store, "SELECT start, total FROM window_1h ORDER BY start")


class TestTurn:
    """What is due at a moment."""

    def test_rolls_up_hours_that_closed(self, store: Store) -> None:
        """An hour is written once its end and the grace have passed, and not before; every turn is timed."""
        hear(store)
        upkeep = Upkeep(store, grace=timedelta(minutes=1))
        upkeep.turn(START + timedelta(minutes=60, seconds=59))
        assert (hours(store), upkeep.rolled) == ([], 0)
        upkeep.turn(START + timedelta(minutes=61))
        assert (hours(store), upkeep.rolled) == ([(START, 5.0)], 1)
        assert "stadspuls_rollup_turn_seconds_count 2.0" in exposition(upkeep.took).decode()

    def test_retention_runs_once_an_hour(self, store: Store) -> None:
        """A day that expires within the hour freezes with the next one."""
        hear(store)
        upkeep = Upkeep(store, retention=timedelta(days=2))
        expired = EVENING + timedelta(days=2)
        upkeep.turn(expired - timedelta(minutes=5))
        upkeep.turn(expired + timedelta(minutes=5))
        assert asked(store, "SELECT count(*) FROM frozen") == [(0,)]
        upkeep.turn(expired + timedelta(minutes=31))
        assert asked(store, "SELECT day FROM frozen") == [(START.date(),)]

    def test_reconciles_once_a_night(self, store: Store) -> None:
        """Damage is found and repaired at night, not by day, and the rest of the night is quiet."""
        hear(store)
        upkeep = Upkeep(store)
        upkeep.turn(EVENING)
        damage(store)
        upkeep.turn(EVENING + timedelta(hours=2))
        assert upkeep.differences is None
        upkeep.turn(NIGHTFALL)
        assert upkeep.differences == 2  # the 5 minutes, and the hour that is not what they say
        upkeep.turn(NIGHTFALL + timedelta(seconds=1))
        assert hours(store) == [(START, 5.0)]
        damage(store)
        upkeep.turn(NIGHTFALL + timedelta(minutes=59))
        assert upkeep.differences == 2

    def test_next_night_reconciles_the_days_changed_since(self, store: Store) -> None:
        """A night looks at the days that changed since the last one, and says so."""
        hear(store)
        upkeep = Upkeep(store)
        upkeep.turn(NIGHTFALL)
        assert asked(store, "SELECT reconciled FROM rollup") == [(NIGHTFALL,)]
        hear(store, NIGHTFALL + timedelta(hours=5), minute=10)
        upkeep.turn(NIGHTFALL + timedelta(hours=6))
        damage(store)
        upkeep.turn(NIGHTFALL + timedelta(days=1))
        assert upkeep.differences == 3
        upkeep.turn(NIGHTFALL + timedelta(days=2))
        assert upkeep.differences == 0


def running(url: str, clock: Callable[[], datetime], queued: Callable[[], bool] = lambda: False) -> Upkeep:
    """Start the thread on a connection of its own, which it closes."""
    upkeep = Upkeep(Store(url, application="stadspuls upkeep"), every=0.01, clock=clock, queued=queued)
    upkeep.start()
    return upkeep


class TestThread:
    """The turns by themselves."""

    def test_follows_its_clock(self, store: Store) -> None:
        """What the clock says is what is closed."""
        hear(store)
        now = [START]
        upkeep = running(store.conninfo, lambda: now[0])
        try:
            now[0] = EVENING
            until(lambda: upkeep.rolled == 1, 30)
        finally:
            upkeep.stop(10)
        assert hours(store) == [(START, 5.0)]

    def test_readings_go_first(self, store: Store) -> None:
        """While readings queue up no hour is rolled up; when they do not any more it is."""
        hear(store)
        looks, queue = [0], [True]

        def queued() -> bool:
            looks[0] += 1
            return queue[0]

        upkeep = running(store.conninfo, lambda: EVENING, queued)
        try:
            until(lambda: looks[0] > 20, 30)
            assert (hours(store), upkeep.rolled) == ([], 0)
            queue[0] = False
            until(lambda: upkeep.rolled == 1, 30)
        finally:
            upkeep.stop(10)

    def test_readings_do_not_go_first_for_ever(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        """A queue that never ends delays the hours, and does not keep them away."""
        monkeypatch.setattr("hub.run.upkeep.READINGS_FIRST", 0.1)
        hear(store)
        upkeep = running(store.conninfo, lambda: EVENING, lambda: True)
        try:
            until(lambda: upkeep.rolled == 1, 30)
        finally:
            upkeep.stop(10)

    def test_database_away_is_tried_again(self, store: Store) -> None:
        """A session that is ended costs one turn, and no hour."""
        upkeep = running(store.conninfo, lambda: EVENING)
        try:
            with psycopg.connect(store.conninfo, autocommit=True) as connection:
                until(lambda: bool(end_upkeep(connection)), 30)
            hear(store)
            until(lambda: upkeep.rolled == 1, 30)
        finally:
            upkeep.stop(10)

    def test_session_that_ends_while_it_stops_is_no_error(self, store: Store) -> None:
        """A stop does not wait for ever for a turn; that its session then ends with the database is nothing to say."""
        hear(store)
        with psycopg.connect(store.conninfo) as other, capture_logs() as said:
            other.execute("LOCK TABLE mark")
            upkeep = running(store.conninfo, lambda: EVENING)
            until(lambda: asked(store, "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
                                       "AND application_name = 'stadspuls upkeep'") != [])  # fmt: skip
            upkeep.stop(0)
            end_upkeep(other)
            upkeep.stop(10)
        assert said == []

    def test_never_started_stops_at_once(self) -> None:
        """A database that was never there does not keep anybody from leaving."""
        with closing(Store("postgresql://127.0.0.1:1/x?connect_timeout=2")) as nobody:
            upkeep = running(nobody.conninfo, lambda: EVENING)
            upkeep.stop(10)
            assert upkeep.differences is None


def end_upkeep(connection: psycopg.Connection[Any]) -> list[tuple[Any, ...]]:
    """End the session of the upkeep, where there is one."""
    return connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = 'stadspuls upkeep' AND datname = current_database()"
    ).fetchall()
