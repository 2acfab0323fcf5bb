"""Retention: what freezes and when, what a frozen day refuses, and how it is thawed."""

import threading
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest

from aggregates.store.store import Store
from ingest.vocabulary.batch import Batch, DeadLetter, columns
from ingest.vocabulary.readings import Reading
from lab.load.balances import balances
from streams.commit.pipeline import FROZEN, Pipeline
from streams.rollup.reconcile import reconcile
from streams.rollup.retention import LETTERS_KEPT, delete_frozen, freeze, maintain, thaw
from streams.rollup.rollup import roll_up
from tests.streams.rollup.test_reconcile import assert_same
from tests.support.databases import fresh_database, tables, timescale_url

FIRST = datetime(2024, 5, 1, tzinfo=UTC)
CAME = datetime(2024, 6, 1, tzinfo=UTC)
MONTH = timedelta(days=30)
LATER = CAME + timedelta(days=31)
DAYS = [date(2024, 5, 1), date(2024, 5, 2), date(2024, 5, 3)]


def readings(first: datetime = FIRST, count: int = 72) -> list[Reading]:
    """Hours of a counter (civil days) and of an instrument (days at UTC+1)."""
    return [
        Reading("ndw/s", "", quantity, 3600, first + timedelta(hours=at), float(at))
        for quantity in ("vehicle_count", "no2")
        for at in range(count)
    ]


def hear(store: Store, said: Sequence[Reading], received: datetime = CAME, now: datetime = LATER) -> None:
    """Store readings and roll them up."""
    Pipeline(store).store(Batch(columns(said, [received] * len(said))))
    roll_up(store, now)


def asked(store: Store, question: str) -> list[tuple[Any, ...]]:
    """Ask the database directly."""
    with psycopg.connect(store.conninfo) as connection:
        return connection.execute(question.encode()).fetchall()


class TestFreezing:
    """When a day of readings is dropped."""

    def test_is_off_by_default(self, store: Store) -> None:
        """Without a retention nothing freezes, however old."""
        hear(store, readings())
        assert maintain(store, LATER + timedelta(days=10_000), None) == []

    def test_counts_from_receipt_not_from_start(self, store: Store) -> None:
        """Old readings that came a moment ago are kept as long as new ones."""
        hear(store, readings(datetime(2010, 1, 1, tzinfo=UTC)))
        assert maintain(store, CAME + MONTH, MONTH) == []
        assert len(maintain(store, CAME + MONTH + timedelta(seconds=1), MONTH)) == 3

    def test_late_correction_keeps_a_day_alive(self, store: Store) -> None:
        """The newest receipt of a day decides, be it of one corrected value."""
        hear(store, readings())
        hear(store, [readings()[30]._replace(value=99.0, version=1)], CAME + timedelta(days=20))
        assert maintain(store, LATER, MONTH) == [DAYS[0], DAYS[2]]
        assert maintain(store, LATER + timedelta(days=20), MONTH) == [DAYS[1]]

    def test_dirty_day_waits_for_the_rollup(self, store: Store) -> None:
        """A day whose hours are not written yet keeps its readings."""
        hear(store, readings())
        late = readings()[5]._replace(channel="late")
        Pipeline(store).store(Batch(columns([late], [CAME])))
        assert maintain(store, LATER, MONTH) == DAYS[1:]
        roll_up(store, LATER)
        assert maintain(store, LATER, MONTH) == DAYS[:1]

    def test_aggregates_stay(self, store: Store, database: str) -> None:
        """Freezing drops the readings of its days and nothing else."""
        hear(store, readings())
        before = tables(database)
        assert maintain(store, LATER, MONTH) == DAYS
        after = tables(database)
        assert after == {**before, "reading": []}
        assert maintain(store, LATER, MONTH) == []


class TestDeleting:
    """The readings of a frozen day go hour by hour, and nobody waits for it."""

    def test_batches_go_on_meanwhile(self, store: Store, database: str) -> None:
        """While the readings of a day cannot be deleted, batches are stored; then they are deleted."""
        hear(store, readings())
        with closing(Store(database)) as keeper, psycopg.connect(database) as other:
            other.execute("SELECT FROM reading FOR UPDATE")
            upkeep = threading.Thread(target=maintain, args=(keeper, LATER, MONTH))
            upkeep.start()
            wait_for_lock(database, "transactionid", "tuple", "relation")
            batch = threading.Thread(target=hear, args=(store, readings(LATER, 1), LATER), daemon=True)
            batch.start()
            batch.join(60)
            stored = not batch.is_alive()
            other.rollback()
            upkeep.join()
        assert stored
        assert asked(store, "SELECT count(*), min(start) FROM reading") == [(2, LATER)]

    def test_goes_on_where_it_was_stopped(self, store: Store) -> None:
        """Killed in the middle, it goes on with the hour that is next; a day is thawed only once it has no readings."""
        hear(store, readings())
        before = asked(store, "SELECT count(*) FROM reading")
        assert freeze(store, LATER, MONTH) == DAYS
        assert asked(store, "SELECT count(*) FROM reading") == before
        assert delete_frozen(store, 5)
        ((left, oldest),) = asked(store, "SELECT count(*), min(start) FROM reading")
        assert left in (2 * 67, 2 * 48)  # where there are chunks, all of the first day
        assert oldest >= FIRST + timedelta(hours=5)
        assert thaw(store, DAYS[0], DAYS[1]) == DAYS[:1]
        assert asked(store, "SELECT count(*) FROM reading") == [(0,)]
        assert not delete_frozen(store)

    def test_late_reading_keeps_a_day_from_freezing(self, store: Store, database: str) -> None:
        """What comes after a day was found expired leaves a mark, and the day waits."""
        hear(store, readings())
        found: list[date] = []
        with closing(Store(database)) as other, other.transaction() as tx:
            tx.rows("share_freeze_lock")
            upkeep = threading.Thread(target=lambda: found.extend(freeze(store, LATER, MONTH)))
            upkeep.start()
            wait_for_lock(database)
            tx.rows("insert_marks", hour=[FIRST], members=["{1}"])
        upkeep.join()
        assert found == DAYS[1:]

    @pytest.mark.timescale
    def test_chunks_are_dropped(self) -> None:
        """On TimescaleDB a chunk whose days are all frozen goes at once, also for the role that only writes."""
        with fresh_database(timescale_url()) as url, closing(Store(url)) as store:
            hear(store, readings())
            chunks = "SELECT count(*) FROM show_chunks('reading')"
            assert asked(store, chunks) == [(3,)]
            freeze(store, LATER, MONTH)
            with psycopg.connect(url) as writer:
                writer.execute("SET ROLE stadspuls_writer")
                writer.execute("SELECT drop_frozen_chunks(%s, %s)", (FIRST, FIRST + timedelta(days=2)))
            assert asked(store, chunks) == [(1,)]
            assert not delete_frozen(store, 99)
            assert asked(store, chunks) == [(0,)]


class TestFrozen:
    """What a frozen day refuses."""

    def test_reading_becomes_a_dead_letter(self, store: Store, database: str) -> None:
        """Sent again, known or new, a reading for a frozen day is rejected, kept as own JSON, and changes nothing."""
        hear(store, readings())
        maintain(store, LATER, MONTH)
        before = tables(database)
        new = Reading("ndw/s", "", "no2", 3600, FIRST + timedelta(hours=71, minutes=30), 5.0)
        hear(store, [*readings(), new], LATER)
        assert tables(database) == before
        assert asked(store, "SELECT count(*), sum(count), min(reason), max(reason) FROM dead_letter") == [
            (145, 145, FROZEN, FROZEN)
        ]
        (balance,) = balances(store)
        assert (balance.received, balance.stored, balance.rejected, balance.holds) == (289, 144, 145, True)

    def test_batch_that_waits_for_the_freeze_sees_it(self, store: Store, database: str) -> None:
        """A batch that was on its way while its day froze is refused, not stored into a day without readings."""
        hear(store, readings())
        with closing(Store(database)) as other, other.transaction() as tx:
            tx.rows("take_freeze_lock")
            tx.rows("freeze_day", day=DAYS[0])
            worker = threading.Thread(target=hear, args=(store, readings(count=1), LATER))
            worker.start()
            wait_for_lock(database)
        worker.join()
        assert asked(store, "SELECT sum(count) FROM dead_letter") == [(2,)]

    def test_days_across_the_border_stay_right(self, store: Store, database: str) -> None:
        """Late data beside a frozen UTC day are added to the civil and cet days that reach into it."""
        hear(store, readings())
        assert maintain(store, LATER, MONTH) == DAYS
        late = [one for one in readings(FIRST + timedelta(days=3), 24) if one.start.hour < 23]
        hear(store, late, LATER)
        assert not any(found.windows for found in reconcile(store, date(2024, 4, 30), date(2024, 5, 6)))
        days = "SELECT total, readings FROM window_1d JOIN series USING (series) WHERE start = '2024-05-03 {}:00+00' "
        assert asked(store, days.format(22) + "AND quantity = 'vehicle_count'") == [(70 + 71 + sum(range(22)), 24)]
        assert asked(store, days.format(23) + "AND quantity = 'no2'") == [(71 + sum(range(23)), 24)]


def wait_for_lock(database: str, *kinds: str) -> None:
    """Wait until a session waits for a lock, by default an advisory one."""
    with psycopg.connect(database, autocommit=True) as connection:
        for _ in range(500):
            waiting = connection.execute(
                "SELECT count(*) FROM pg_locks WHERE locktype = ANY (%s) AND NOT granted",
                (list(kinds) or ["advisory"],),
            )
            if waiting.fetchall() != [(0,)]:
                return
            threading.Event().wait(0.02)
    raise AssertionError("nobody waits for the freeze")


class TestThaw:
    """Unfreezing, so that whole data can be published again."""

    def test_deletes_aggregates_and_unfreezes(self, store: Store, database: str) -> None:
        """Nothing of the thawed days is left, and nothing refuses them any more."""
        hear(store, readings())
        maintain(store, LATER, MONTH)
        assert thaw(store, DAYS[0], DAYS[2] + timedelta(days=1)) == DAYS
        assert all(rows == [] for rows in tables(database).values())
        assert asked(store, "SELECT count(*) FROM frozen") == [(0,)]

    def test_areas_are_made_anew(self, store: Store, database: str) -> None:
        """Where areas are loaded, every hour that a thaw deletes is marked for them."""
        with psycopg.connect(database) as connection:
            connection.execute(
                "INSERT INTO area_load (vintage, municipality, part, title, origin, licence, digest) "
                "VALUES (2024, 'GM0001', 'boundaries', '', '', '', '')"
            )
        hear(store, readings())
        maintain(store, LATER, MONTH)
        with psycopg.connect(database) as connection:
            connection.execute("DELETE FROM area_mark")
        thaw(store, DAYS[0], DAYS[1])
        assert asked(store, "SELECT count(*), count(DISTINCT quantity) FROM area_mark") == [(48, 2)]

    @pytest.mark.parametrize(("first", "last"), [(0, 3), (0, 1), (1, 2), (2, 3)])
    def test_published_again_gives_the_same_tables(self, store: Store, database: str, first: int, last: int) -> None:
        """All days or one of them: thawed and published again, the tables are what they were before the freeze."""
        hear(store, readings())
        before = tables(database)
        maintain(store, LATER, MONTH)
        thaw(store, DAYS[first], DAYS[last - 1] + timedelta(days=1))
        roll_up(store, LATER)
        hear(store, readings(), LATER)
        again = [row for row in before["reading"] if row[4].date() in DAYS[first:last]]  # type: ignore[attr-defined]
        assert_same(tables(database), {**before, "reading": again})

    def test_days_of_frozen_neighbours_stay(self, store: Store) -> None:
        """A day of which some hours are still frozen is made anew of those, whatever was thawed beside it."""
        hear(store, readings())
        maintain(store, LATER, MONTH)
        thaw(store, DAYS[1], DAYS[2])
        roll_up(store, LATER)
        days = "SELECT start, readings FROM window_1d JOIN series USING (series) WHERE quantity = 'no2' ORDER BY start"
        assert asked(store, days) == [
            (datetime(2024, 4, 30, 23, tzinfo=UTC), 23),
            (datetime(2024, 5, 1, 23, tzinfo=UTC), 1),
            (datetime(2024, 5, 2, 23, tzinfo=UTC), 23),
            (datetime(2024, 5, 3, 23, tzinfo=UTC), 1),
        ]

    def test_range_without_frozen_days_is_left_alone(self, store: Store, database: str) -> None:
        """Thawing what is not frozen deletes nothing."""
        hear(store, readings())
        before = tables(database)
        assert thaw(store, DAYS[0], DAYS[2]) == []
        assert tables(database) == before


def test_letters_of_a_cause_are_one_after_30_days(store: Store) -> None:
    """
    However many there were, as with a clock in each payload, one row without a payload counts them.

    What comes again has its payload again, and joins the others when it is old; another reason stays apart.
    """
    letters = [DeadLetter("ndw", "stadspuls/ndw/x", f"<broken {at}".encode(), "not XML", CAME) for at in range(5)]
    letters.append(DeadLetter("ndw", "stadspuls/ndw/x", b"{}", "no sensor", CAME))
    Pipeline(store).store(Batch(columns([], []), (), letters))
    kept = "SELECT reason, payload, count, last_at FROM dead_letter ORDER BY reason, count"
    maintain(store, CAME + LETTERS_KEPT, None)
    assert len(asked(store, kept)) == 6
    merged = [("no sensor", None, 1, CAME), ("not XML", None, 5, CAME)]
    maintain(store, CAME + LETTERS_KEPT + timedelta(seconds=1), None)
    assert asked(store, kept) == merged
    Pipeline(store).store(Batch(columns([], []), (), letters[:1]))
    assert asked(store, kept) == [merged[0], ("not XML", b"<broken 0", 1, CAME), merged[1]]
    for _ in range(2):
        maintain(store, CAME + LETTERS_KEPT + timedelta(seconds=1), None)
        assert asked(store, kept) == [merged[0], ("not XML", None, 6, CAME)]
