"""What is done again and again, by an injected clock: roll-ups each turn, retention hourly, one proof a night."""

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any

import psycopg
import pytest
from prometheus_client import generate_latest
from structlog.testing import capture_logs

import hub.run.upkeep
from aggregates.store.store import Store
from hub.run.upkeep import NIGHT, ROLL_UPS, Upkeep
from hub.settings.layers import load
from ingest.vocabulary.batch import Batch, columns
from ingest.vocabulary.readings import Reading
from streams.commit.pipeline import Pipeline
from tests.support.lines import until

START = datetime(2024, 5, 1, 8, tzinfo=UTC)
EVENING = datetime(2024, 5, 1, 20, 30, tzinfo=UTC)
NIGHTFALL = datetime(2024, 5, 2, NIGHT, tzinfo=UTC)
OFTEN = load({"rollup_every": 0.01})


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
        upkeep = Upkeep(store, load({"rollup_grace": 60.0}))
        upkeep.turn(START + timedelta(minutes=60, seconds=59))
        assert (hours(store), upkeep.rolled) == ([], 0)
        upkeep.turn(START + timedelta(minutes=61))
        assert (hours(store), upkeep.rolled) == ([(START, 5.0)], 1)
        assert "stadspuls_rollup_turn_seconds_count 2.0" in generate_latest(upkeep.took).decode()

    def test_retention_runs_once_a_day(self, store: Store) -> None:
        """A day that expires within the day freezes with the next one: the search reads what is old enough."""
        hear(store)
        upkeep = Upkeep(store, load({"retention": "2d"}))
        expired = EVENING + timedelta(days=2)
        upkeep.turn(expired - timedelta(minutes=5))
        upkeep.turn(expired + timedelta(minutes=5))
        assert asked(store, "SELECT count(*) FROM frozen") == [(0,)]
        upkeep.turn(expired + timedelta(days=1))
        assert asked(store, "SELECT day FROM frozen") == [(START.date(),)]

    def test_reconciles_once_a_night(self, store: Store) -> None:
        """Damage is found and repaired at night, not by day, and the rest of the night is quiet."""
        hear(store)
        upkeep = Upkeep(store, load())
        upkeep.turn(EVENING)
        damage(store)
        upkeep.turn(EVENING + timedelta(hours=2))
        assert upkeep.differences == -1
        for second in range(3):  # the day before, in which its civil day begins, is proven first
            upkeep.turn(NIGHTFALL + timedelta(seconds=second))
        assert upkeep.differences == 2  # the 5 minutes, and the hour that is not what they say
        assert hours(store) == [(START, 5.0)]
        damage(store)
        upkeep.turn(NIGHTFALL + timedelta(minutes=59))
        assert upkeep.differences == 2

    @pytest.mark.parametrize("ahead", [timedelta(0), timedelta(days=36_525)])
    def test_next_night_reconciles_the_days_changed_since(
        self, store: Store, monkeypatch: pytest.MonkeyPatch, ahead: timedelta
    ) -> None:
        """A night looks at the days that changed since the last one, also where the hub's clock is ahead."""
        monkeypatch.setattr("tests.hub.run.test_upkeep.NIGHTFALL", NIGHTFALL + ahead)
        hear(store)
        upkeep = Upkeep(store, load())
        upkeep.turn(NIGHTFALL)
        hear(store, NIGHTFALL + timedelta(hours=5), minute=10)
        upkeep.turn(NIGHTFALL + timedelta(hours=6))
        damage(store)
        for night, differences in ((1, 3), (2, 0)):
            for second in range(2):
                upkeep.turn(NIGHTFALL + timedelta(days=night, seconds=second))
            assert upkeep.differences == differences

    def test_rests_until_something_is_committed(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where nothing was committed and no hour has closed a turn looks for no work, and after a commit it does."""
        looks = [0]

        def counted(*_: object) -> int:
            looks[0] += 1
            return 0

        monkeypatch.setattr("hub.run.upkeep.roll_areas", counted)
        upkeep = Upkeep(store, load())

        def rests() -> bool:
            before = looks[0]
            upkeep.turn(EVENING)
            return looks[0] == before

        until(rests, 30)
        hear(store)
        assert not rests()
        assert (hours(store), upkeep.rolled) == ([(START, 5.0)], 1)


def running(url: str, clock: Callable[[], datetime], queued: Callable[[], bool] = lambda: False) -> Upkeep:
    """Start the thread on a connection of its own, which it closes."""
    upkeep = Upkeep(Store(url, application="stadspuls upkeep"), OFTEN, clock=clock, queued=queued)
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
            assert upkeep.differences == -1


class TestFaults:
    """A bug in one step ends neither the thread nor the other steps, and is named until it is gone."""

    @pytest.mark.parametrize(
        ("function", "step"),
        [
            ("roll_up", "roll-ups"), ("roll_areas", "areas"), ("maintain", "retention"),
            ("Upkeep._prove_if_due", "proof"),
        ],
    )  # fmt: skip
    def test_bug_is_named_counted_and_tried_again(
        self, store: Store, monkeypatch: pytest.MonkeyPatch, function: str, step: str
    ) -> None:
        """The other steps go on meanwhile, and `doctor` can read in the database what does not work."""
        real, broken = attrgetter(function)(hub.run.upkeep), [True]

        def fails(*given: object, **more: object) -> object:
            if broken[0]:
                raise KeyError("on purpose")
            return real(*given, **more)

        monkeypatch.setattr("hub.run.upkeep.BEAT", timedelta(0))
        monkeypatch.setattr(f"hub.run.upkeep.{function}", fails)
        hear(store)
        with capture_logs() as said:
            upkeep = running(store.conninfo, lambda: EVENING)
            try:
                until(lambda: upkeep.bugs > 1, 30)
                assert upkeep.trouble == [f"{step}: KeyError: 'on purpose'"]
                assert asked(store, "SELECT trouble FROM sign_of_life") == [(upkeep.trouble[0],)]
                assert upkeep.rolled == (step != "roll-ups")
                broken[0] = False
                until(lambda: not upkeep.trouble and upkeep.rolled == 1, 60)
            finally:
                upkeep.stop(10)
        assert {(one["step"], one["exc_info"]) for one in said if one["log_level"] == "error"} == {(step, True)}

    def test_lock_goes_to_another(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        """Who meets a bug gives the lock away: a standby takes over while the first one waits to try again."""
        first, second = (Upkeep(Store(store.conninfo), OFTEN, clock=lambda: EVENING, shared=True) for _ in range(2))
        fails = [True]

        def prove(upkeep: Upkeep, now: datetime) -> None:
            if upkeep is first and fails[0]:
                raise KeyError("on purpose")

        monkeypatch.setattr(Upkeep, "_prove_if_due", prove)
        first.start()
        until(lambda: first.bugs > 0, 30)
        second.start()
        try:
            until(lambda: second.leads, 30)
            until(lambda: not first.leads and not first.trouble, 30)
        finally:
            first.stop(10)
            second.stop(10)

    def test_stuck_is_said(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        """A step that does not end is named after a while, and no more once it goes on."""
        monkeypatch.setattr("hub.run.parts.SILENT", 0.3)
        with psycopg.connect(store.conninfo) as other:
            other.execute("LOCK TABLE mark")
            upkeep = running(store.conninfo, lambda: EVENING)
            try:
                until(lambda: any("at one step" in text for text in upkeep.trouble), 30)
                other.rollback()
                until(lambda: upkeep.turns > 2 and not upkeep.trouble, 30)
            finally:
                upkeep.stop(10)

    def test_database_that_takes_no_writes_is_said(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        """A database that is read-only, as after a failover, is named by its own words."""
        monkeypatch.setattr("hub.run.upkeep.BEAT", timedelta(0))
        with psycopg.connect(store.conninfo, autocommit=True) as other:
            name = other.info.dbname
            other.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on'.encode())
            upkeep = running(store.conninfo, lambda: EVENING)
            try:
                until(lambda: any("read-only" in text for text in upkeep.trouble), 30)
            finally:
                upkeep.stop(10)
                other.execute("SET default_transaction_read_only = off")
                other.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only'.encode())


class TestBounds:
    """What a turn does at most, so that no step keeps the others away."""

    def test_marks_without_end(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        """While a backfill makes marks faster than they are rolled up, retention and proof have their turns."""
        calls = [0]

        def some(*_: object) -> int:
            calls[0] += 1
            assert calls[0] < 100, "the roll-ups of one turn do not end"
            return 1

        Pipeline(store).store(Batch(columns([Reading("ndw/s", "", "vehicle_count", 60, START, 5.0)], [EVENING])))
        monkeypatch.setattr("streams.rollup.rollup._roll_up_some", some)
        upkeep = Upkeep(store, load())
        upkeep.turn(EVENING)
        assert (calls[0], upkeep.bugs) == (ROLL_UPS, 0)
        ((closed,),) = asked(store, "SELECT closed_until FROM rollup")
        assert closed <= START  # not all is rolled up

    def test_the_next_turn_follows_at_once_while_hours_are_left(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """History is rolled up turn by turn, and these do not wait for one another."""
        waits: list[float] = []
        monkeypatch.setattr("hub.run.parts.Background.wait", lambda _, seconds: waits.append(seconds))
        for name in ("hub.run.upkeep.MOST_HOURS", "hub.run.upkeep.ROLL_UPS", "streams.rollup.rollup.MOST_HOURS"):
            monkeypatch.setattr(name, 1)
        for minute in (0, 60):
            hear(store, minute=minute)
        upkeep = Upkeep(store, load())
        for rolled in (1, 2, 2):
            upkeep.turn(EVENING)
            upkeep.wait(1.0)
            assert upkeep.rolled == rolled
        assert [seconds > 0 for seconds in waits] == [False, False, True]

    def test_proof_compares_a_day_in_each_turn(self, store: Store) -> None:
        """A proof of many days takes as many turns, with roll-ups between them, and is noted at its end.

        Three days of a counter begin in four UTC days.
        """
        for day in range(3):
            reading = Reading("ndw/s", "", "vehicle_count", 60, START - day * timedelta(days=1), 5.0)
            Pipeline(store).store(Batch(columns([reading], [EVENING])))
        upkeep = Upkeep(store, load())
        upkeep.turn(EVENING)
        damage(store)
        found = []
        for second in range(5):
            upkeep.turn(NIGHTFALL + timedelta(seconds=second))
            found.append(upkeep.differences)
        assert found == [-1, -1, -1, 6, 6]
        assert asked(store, "SELECT reconciled <= now() FROM rollup") == [(True,)]


def end_upkeep(connection: psycopg.Connection[Any]) -> list[tuple[Any, ...]]:
    """End the session of the upkeep, where there is one."""
    return connection.execute(
        "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity "
        "WHERE application_name = 'stadspuls upkeep' AND datname = current_database()"
    ).fetchall()
