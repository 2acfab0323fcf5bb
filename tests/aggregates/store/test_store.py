"""The database door: rows on the wire, errors by what a caller can do, and a session that breaks."""

import struct
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregates.store.binary import packed
from aggregates.store.errors import Away, Clash, Known, Limit, Refused, StoreError
from aggregates.store.store import Store, Transaction
from ingest.vocabulary.batch import Batch, columns
from ingest.vocabulary.readings import Reading
from lab.load.balances import balances
from streams.commit.pipeline import Pipeline
from tests.support.databases import sensors

EVERY_KIND = np.dtype([("series", "i4"), ("status", "i2"), ("version", "i8"), ("start", "i8"), ("value", "f8"),
                       ("received_at", "i8"), ("small", "f4")])  # fmt: skip
NOW = datetime(2024, 5, 1, tzinfo=UTC)
_CODES = {"i2": ">h", "i4": ">i", "i8": ">q", "f8": ">d", "f4": ">f"}


@st.composite
def rows(draw: st.DrawFn) -> list[tuple[Any, ...]]:
    """Rows of every kind of column, null and the ends of every range among them."""
    whole = [st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (32, 16, 64)]
    stamps = st.integers(0, 4_000_000_000_000_000)
    numbers = st.floats(width=64) | st.just(float("nan"))
    return draw(st.lists(st.tuples(*whole, stamps, numbers, stamps, st.floats(width=32)), max_size=20))


def read_copy(data: bytes) -> list[dict[str, Any]]:
    """Read the binary COPY format, from PostgreSQL's own description of it."""
    assert data.startswith(b"PGCOPY\n\xff\r\n\x00" + bytes(8))
    at, found = 19, []
    while (count := struct.unpack_from(">h", data, at)[0]) != -1:
        at += 2
        row = {}
        assert count == len(EVERY_KIND.names or ())
        for name in EVERY_KIND.names or ():
            (size,) = struct.unpack_from(">i", data, at)
            at += 4
            code = _CODES[EVERY_KIND[name].str[1:]]
            row[name] = None if size == -1 else struct.unpack_from(code, data, at)[0]
            at += max(size, 0)
        found.append(row)
    assert at + 2 == len(data)
    return found


class TestBinaryRows:
    """A structured array as COPY takes it."""

    @given(rows())
    def test_reads_back(self, given: list[tuple[Any, ...]]) -> None:
        """Every value comes back from the wire; NaN is null, and stamps count from 2000."""
        shift = 946_684_800_000_000
        for row, values in zip(read_copy(bytes(packed(np.array(given, EVERY_KIND)).data)), given, strict=True):
            expected = dict(zip(EVERY_KIND.names or (), values, strict=True))
            for name, value in row.items():
                if name in ("start", "received_at"):
                    assert value == expected[name] - shift
                else:
                    assert value == (None if expected[name] != expected[name] else expected[name])

    def test_stamps_and_nulls_arrive(self, store: Store, database: str) -> None:
        """The database reads the same stamp, null and number that numpy holds."""
        start = datetime(1999, 12, 31, 23, 59, 59, 1, UTC)
        dtype = [("start", "i8"), ("series", "i4"), ("flags", "i4"), ("status", "i2"), ("version", "i8"),
                 ("received_at", "i8"), ("value", "f8"), ("weight", "f8"), ("covers", "f8")]  # fmt: skip
        us = (start - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
        with store.transaction() as tx:
            tx.copy("reading", np.array([(us, 1, 511, 1, 2**62, us, np.nan, 1e300, 0.1)], dtype))
        with psycopg.connect(database) as connection:
            connection.execute("SET timezone = 'UTC'")
            (row,) = connection.execute("SELECT start, value, weight, covers, flags, version FROM reading").fetchall()
        assert row == (start, None, 1e300, 0.1, 511, 2**62)


def provoke(store: Store, statement: str) -> None:
    """Let the database raise."""
    with store.transaction() as tx:
        tx.script(statement)


def raising(state: str) -> str:
    """Give a statement that fails with an SQLSTATE."""
    return f"DO $$ BEGIN RAISE EXCEPTION 'on purpose' USING ERRCODE = '{state}'; END $$"


def freeze_then(store: Store, action: Callable[[Transaction], object]) -> None:
    """Write something, then do something else in the same transaction."""
    with store.transaction() as tx:
        tx.rows("freeze_day", day=NOW.date())
        action(tx)


class TestErrors:
    """Three reactions, and no fourth."""

    @pytest.mark.parametrize(
        ("state", "kind"),
        [("40P01", Clash), ("40001", Clash), ("22003", Refused), ("22021", Refused), ("23505", Known),
         ("23514", Refused), ("53400", Limit), ("53200", Limit), ("53100", Away), ("57P01", Away),
         ("57P03", Away), ("42P01", Away), ("55P03", Clash), ("XX000", Away)],
    )  # fmt: skip
    def test_error_class_by_sqlstate(self, store: Store, state: str, kind: type[StoreError]) -> None:
        """Deadlocks are tried at once, bad data never again, anything else later; the session goes on."""
        with pytest.raises(StoreError, match="on purpose") as caught:
            provoke(store, raising(state))
        assert type(caught.value) is kind
        assert store.rows("list_migrations")

    @pytest.mark.parametrize(
        ("text", "kind"),
        [("'a' || 1 > 2", Refused), ("now() + 1", Refused), ("1 / 0", Refused), ("1 2", Away), ("nothing", Away)],
    )
    def test_a_composed_statement_at_fault_is_not_refused(
        self, store: Store, text: str, kind: type[StoreError]
    ) -> None:
        """Operands that do not go together are what a user said; bad syntax and unknown columns are the statement's."""
        with pytest.raises(StoreError) as raised, store.transaction() as tx:
            tx.select(f"SELECT {text}", {})
        assert type(raised.value) is kind

    def test_no_database_is_away(self) -> None:
        """A server that nobody runs is away."""
        with closing(Store("postgresql://127.0.0.1:1/none?connect_timeout=2")) as store, pytest.raises(Away):
            store.rows("list_migrations")

    def test_failed_transaction_leaves_nothing(self, store: Store) -> None:
        """What was done before the failure is undone."""
        with pytest.raises(Refused):
            freeze_then(store, lambda tx: tx.script(raising("22000")))
        with store.transaction() as tx:
            assert tx.rows("list_frozen_days") == []

    def test_snapshot_cannot_write(self, store: Store) -> None:
        """A proof changes nothing, and sees one state."""
        with pytest.raises(StoreError, match="read-only"), store.transaction(snapshot=True) as tx:
            tx.rows("freeze_day", day=NOW.date())


def kill_sessions(url: str) -> None:
    """End every other session of a database, as a restart of the server does."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name LIKE 'stadspuls%'"
        )


def kill_then_ask(url: str, tx: Transaction) -> None:
    """End a transaction's own session under it."""
    kill_sessions(url)
    tx.rows("list_migrations")


class TestReconnect:
    """A session that the server ended."""

    def test_next_use_opens_another(self, store: Store, database: str) -> None:
        """One failure while the database is away, then it works again, temporary tables included."""
        with store.transaction(writing=True):
            pass
        kill_sessions(database)
        with pytest.raises(Away):
            store.rows("list_migrations")
        with store.transaction(writing=True) as tx:
            assert tx.rows("read_dirty_span") == [(0, None, None)]

    def test_notices_are_heard(self, store: Store, database: str) -> None:
        """At once, also those of before the wait; a new session may have missed one, and says so."""
        assert store.heard("news", 0)
        assert not store.heard("news", 0)
        with psycopg.connect(database, autocommit=True) as other:
            other.execute("NOTIFY news")
        store.rows("list_migrations")
        assert store.heard("news", 60)
        assert not store.heard("news", 0)
        kill_sessions(database)
        with pytest.raises(Away):
            store.heard("news", 60)
        assert store.heard("news", 0)

    def test_within_a_transaction_everything_is_undone(self, store: Store, database: str) -> None:
        """A session that ends before its commit leaves nothing behind."""
        with pytest.raises(Away):
            freeze_then(store, lambda tx: kill_then_ask(database, tx))
        with store.transaction() as tx:
            assert tx.rows("list_frozen_days") == []

    def test_pipeline_goes_on(self, store: Store, database: str) -> None:
        """A batch whose session is ended again and again is stored once."""
        pipeline = Pipeline(store)
        ended = threading.Event()

        def end_sessions() -> None:
            for _ in range(8):
                ended.wait(0.03)
                with suppress(psycopg.Error):
                    kill_sessions(database)

        killer = threading.Thread(target=end_sessions)
        killer.start()
        try:
            for minute in range(40):
                pipeline.store(batch(minute))
        finally:
            ended.set()
            killer.join()
        with closing(Store(database)) as fresh:
            (balance,) = balances(fresh)
        assert (balance.received, balance.stored, balance.duplicate) == (40, 40, 0)

    def test_series_of_a_failed_commit_are_not_remembered(self, store: Store, database: str) -> None:
        """A series whose registration was rolled back at its commit is registered again with the next attempt."""
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute(FAIL_ONCE)
        Pipeline(store).store(batch(0))
        with psycopg.connect(database) as connection:
            found = connection.execute("SELECT value FROM reading JOIN series USING (series)").fetchall()
        assert found == [(1.0,)]


# A commit that fails once, as it does when the database dies in it.
FAIL_ONCE = """
CREATE SEQUENCE attempt;
CREATE FUNCTION fail_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF nextval('attempt') = 1 THEN RAISE EXCEPTION 'on purpose' USING ERRCODE = '40001'; END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER fail_once AFTER INSERT ON series DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION fail_once();
"""


def batch(minute: int) -> Batch:
    """A batch of one reading of a series of its own."""
    reading = Reading(f"stadspuls/{minute}", "", "vehicle_count", 60, NOW + timedelta(minutes=minute), 1.0)
    return Batch(columns([reading], [NOW]))


def test_values_are_parameters(store: Store) -> None:
    """What stands in a value is never SQL."""
    nasty = "'; DROP TABLE reading; --"
    with store.transaction() as tx:
        assert isinstance(tx, Transaction)
        tx.rows("insert_series", sensor_id=[f"stadspuls/{nasty}"], quantity=["no2"], channel=[nasty], period=[0])
    assert [row.sensor_id for row in sensors(store)] == [f"stadspuls/{nasty}"]


def test_vanished_session_is_noticed(store: Store, database: str) -> None:
    """
    The server checks a silent client, and ends one that hangs in a transaction.

    Else what the worker of a machine that vanished had locked would stay locked for hours.
    """
    with store.transaction() as transaction:
        asked = "SELECT current_setting('idle_in_transaction_session_timeout'), current_setting('tcp_keepalives_idle')"
        found = transaction._connection.execute(asked).fetchall()
    assert found == [("5min", "10" if "127.0.0.1" in database else "0")]  # a unix socket has no machine behind it
