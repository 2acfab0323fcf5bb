"""The write path against a plain recomputation: any order, batching and correction gives the same tables."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise, permutations
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aggregates.store.catalogue import import_sensors
from aggregates.store.store import Store, Transaction
from ingest.files.catalogue import Entry
from ingest.vocabulary import sources
from ingest.vocabulary.batch import Batch, DeadLetter, columns
from ingest.vocabulary.readings import Flag, Reading, SensorFact, microseconds
from ingest.vocabulary.sources import Source, SourceClass, add_source
from lab.load.balances import balances
from streams.commit.pipeline import Pipeline, Position, Stopped
from streams.rollup.reconcile import reconcile
from streams.rollup.rollup import roll_up
from tests.aggregates.store.test_store import kill_sessions
from tests.support import model
from tests.support.databases import TABLES, ZONE, differences, fresh_database, truncate
from tests.support.examples import up_to
from tests.support.lines import until

DAY = datetime(2024, 3, 30, 20, tzinfo=UTC)  # the night of the change to summer time
LATER = datetime(2024, 5, 1, tzinfo=UTC)
SERIES = [
    ("stadspuls/a", "lane1/any", "vehicle_count", 60),
    ("stadspuls/a", "lane1/any", "vehicle_speed", 60),
    ("luchtmeetnet/b", "", "no2", 3600),
    ("stadspuls/c", "", "no2", 0),
    ("first/d", "", "no2", 3600),
]
TIMES = [DAY + timedelta(minutes=90), DAY + timedelta(minutes=91), LATER]  # of receipt: hours run at the first two


def batch(readings: Sequence[Reading], letters: Sequence[DeadLetter] = (), received: datetime = LATER) -> Batch:
    """Make a batch of readings, received together."""
    return Batch(columns(readings, [received] * len(readings)), (), letters)


def received(said: Sequence[tuple[Reading, datetime]]) -> Batch:
    """Make a batch of readings, each with its own time of receipt."""
    return Batch(columns([reading for reading, _ in said], [at for _, at in said]))


@pytest.fixture(scope="module", autouse=True)
def source_of_first_values() -> Iterator[None]:
    """A source whose first value of a reading counts; none that ships is like that."""
    operational = SourceClass.OPERATIONAL
    add_source(
        Source(name="first", title="First", stamp="start", source_class=operational, licence="own", repeated="first")
    )
    yield
    del sources._sources["first"]


@st.composite
def readings(draw: st.DrawFn) -> tuple[Reading, datetime]:
    """
    A reading out of few keys and few values, and when it came.

    Corrections, duplicates, ambiguities, conflicts and unfinished hours are common.
    """
    sensor_id, channel, quantity, period = draw(st.sampled_from(SERIES))
    start = DAY + timedelta(minutes=draw(st.sampled_from([0, 1, 2, 5, 59, 60, 61, 175, 180, 240, 1500])))
    value = draw(st.sampled_from([None, 0.0, 1.5, 7.0, 7.25, 240.0, 1e7]))
    failed = value is None and draw(st.booleans())
    reading = Reading(
        sensor_id, channel, quantity, period, start, value,
        weight=0.0 if value is None else draw(st.sampled_from([1.0, 4.0])),
        covers=draw(st.sampled_from([None, None, 30.0])),
        flags=1 if failed else draw(st.sampled_from([0, 0, 4])) if value is not None else 0,
        status=draw(st.sampled_from([0, 0, 1])),
        version=draw(st.sampled_from([0, 0, 5, 6])),
    )  # fmt: skip
    return reading, draw(st.sampled_from(TIMES))


@pytest.fixture(scope="module")
def emptied(postgres: str) -> Iterator[str]:
    """One database for all examples of a property; each begins with empty tables."""
    with fresh_database(postgres) as url:
        yield url


def rows(url: str, table: str) -> dict[model.Key, dict[str, Any]]:
    """Give a table's rows by series and start."""
    with psycopg.connect(url) as connection:
        cursor = connection.execute(f"SELECT {TABLES[table]} FROM {table} JOIN series USING (series)".encode())
        names = [column.name for column in cursor.description or ()]
        found = [dict(zip(names, row, strict=True)) for row in cursor]
    return {((row["sensor_id"], row["channel"], row["quantity"], row["period"]), row["start"]): row for row in found}


class TestStreamEqualsBatch:
    """Promises 2, 3 and 5, by property."""

    @settings(max_examples=up_to(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(readings(), min_size=1, max_size=40), st.data())
    def test_any_order_any_batching(
        self, emptied: str, said: list[tuple[Reading, datetime]], data: st.DataObject
    ) -> None:
        """However readings are repeated, corrected, batched and rolled up between, the tables are the recomputation."""
        truncate(emptied)
        with closing(Store(emptied)) as store:
            self.check(store, said, data)

    def check(self, store: Store, said: list[tuple[Reading, datetime]], data: st.DataObject) -> None:
        """Store the readings in drawn batches by workers that know nothing of each other, then compare everything."""
        workers = [Pipeline(store), Pipeline(store)]
        cuts = sorted({0, len(said), *data.draw(st.lists(st.integers(0, len(said)), max_size=5))})
        for first, last in pairwise(cuts):
            data.draw(st.sampled_from(workers)).store(received(said[first:last]))
            if data.draw(st.booleans()):
                roll_up(store, LATER)
        roll_up(store, LATER)
        expected = model.kept([model.as_received(*one) for one in said])
        self.check_readings(store.conninfo, expected)
        for level in ("5m", "1h", "1d"):
            self.check_windows(store.conninfo, f"window_{level}", model.windows(expected, level, ZONE))
        assert not any(d.windows for d in reconcile(store, DAY.date(), DAY.date() + timedelta(days=3)))
        assert sum(balance.received for balance in balances(store)) == len(said)
        assert sum(balance.stored for balance in balances(store)) == len(expected)
        assert all(balance.holds for balance in balances(store))

    def check_readings(self, url: str, expected: dict[model.Key, Reading]) -> None:
        """The table holds the greatest reading of every key, with the flags it deserves."""
        found = rows(url, "reading")
        assert found.keys() == expected.keys()
        for key, reading in expected.items():
            row = found[key]
            assert (row["value"], row["status"], row["version"]) == (reading.value, reading.status, reading.version)
            assert row["flags"] & ~408 == reading.flags, key

    def check_windows(self, url: str, table: str, expected: dict[model.Key, dict[str, Any]]) -> None:
        """Every window has the evidence of the recomputation, and there is no other window."""
        found = rows(url, table)
        assert found.keys() == expected.keys()
        for key, evidence in expected.items():
            for name, value in evidence.items():
                assert found[key][name] == (pytest.approx(value, rel=1e-9) if isinstance(value, float) else value), (
                    table, key, name,
                )  # fmt: skip

    @settings(max_examples=up_to(25), deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.data())
    def test_neighbour_rules_do_not_depend_on_order(self, emptied: str, postgres: str, data: st.DataObject) -> None:
        """Spikes and stuck values are flagged alike in whatever order and company their readings arrive."""
        values = data.draw(st.lists(st.sampled_from([5.0, 5.0, 5.0, 6.0, 900.0]), min_size=8, max_size=30))
        said = [
            Reading("samenmeten/x", "", "pm25", 3600, DAY + timedelta(hours=hour), value)
            for hour, value in enumerate(values)
        ]
        shuffled = data.draw(st.permutations(said))
        with fresh_database(postgres) as other:
            for url, order, size in ((emptied, shuffled, data.draw(st.integers(1, 7))), (other, said, len(said))):
                truncate(url)
                with closing(Store(url)) as store:
                    pipeline = Pipeline(store)
                    for at in range(0, len(order), size):
                        pipeline.store(batch(order[at : at + size]))
                        roll_up(store, LATER)
            assert differences(emptied, other) == []


def fetched(url: str, question: str) -> list[tuple[Any, ...]]:
    """Ask the database directly."""
    with psycopg.connect(url) as connection:
        return connection.execute(question.encode()).fetchall()


def hours(url: str) -> list[tuple[float, int]]:
    """Give value and number of readings of every hour that is served."""
    return fetched(url, "SELECT value, readings FROM aggregate_1h ORDER BY start, value DESC")


def count(minute: int, value: float | None, **more: Any) -> Reading:
    """One minute of a counter."""
    return Reading("stadspuls/counter", "", "vehicle_count", 60, DAY + timedelta(minutes=minute), value, **more)


# Checks that raise: for the fifth row of a transaction, for the first three rows ever, and for all.
MOST_FOUR = """
BEGIN
    PERFORM set_config('test.rows', concat(current_setting('test.rows', true), '|'), true);
    IF length(current_setting('test.rows')) > 4 THEN RAISE EXCEPTION 'no memory' USING ERRCODE = '53200'; END IF;
    RETURN true;
END"""
FIRST_THREE = """
BEGIN
    IF nextval('attempt') <= 3 THEN RAISE EXCEPTION 'on purpose' USING ERRCODE = '{state}'; END IF;
    RETURN true;
END"""
DISK_FULL = "BEGIN RAISE EXCEPTION 'disk full' USING ERRCODE = '53100'; END"


def limit(url: str, body: str, table: str = "reading", unless: str = "false") -> None:
    """Let a table raise as the body of a function says, but not for some rows."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE SEQUENCE attempt")
        connection.execute(f"CREATE FUNCTION limited() RETURNS boolean LANGUAGE plpgsql AS $${body}$$".encode())
        connection.execute(f"ALTER TABLE {table} ADD CONSTRAINT limited CHECK ({unless} OR limited())".encode())


class SlowToCommit(Store):
    """A store that does something else before it commits."""

    def __init__(self, url: str, first: Callable[[], object]) -> None:
        super().__init__(url)
        self._first = first

    @contextmanager
    def transaction(self, *, snapshot: bool = False, writing: bool = False) -> Iterator[Transaction]:
        """Open a transaction."""
        with super().transaction(snapshot=snapshot, writing=writing) as tx:
            yield tx
            self._first()


class TestStore:
    """What one batch does, on every edition."""

    def test_redelivered_reading_counts_once(self, store: Store, database: str) -> None:
        """A batch sent three times is counted once, and the other times as duplicates."""
        pipeline = Pipeline(store)
        for _ in range(3):
            pipeline.store(batch([count(0, 4), count(1, 8)]))
        roll_up(store, LATER)
        assert hours(database) == [(12.0, 2)]
        (balance,) = balances(store)
        assert (balance.received, balance.stored, balance.duplicate) == (6, 2, 4)
        assert fetched(database, "SELECT count(*) FROM reading WHERE xmax <> 0") == [(0,)]  # no row was locked

    def test_correction_recomputes_its_windows(self, store: Store, database: str) -> None:
        """A greater version replaces the value in its hour and day, the older one sent again changes nothing."""
        pipeline = Pipeline(store)
        pipeline.store(batch([count(0, 4), count(1, 8)]))
        roll_up(store, LATER)
        pipeline.store(batch([count(1, 3, version=7)]))
        pipeline.store(batch([count(1, 8)]))
        roll_up(store, LATER)
        assert hours(database) == [(7.0, 2)]
        (balance,) = balances(store)
        assert (balance.stored, balance.corrected, balance.duplicate) == (2, 1, 1)

    @pytest.mark.parametrize("order", list(permutations(range(3))))
    def test_version_and_receipt_are_times_of_one_clock(
        self, store: Store, database: str, order: tuple[int, ...]
    ) -> None:
        """What was published last counts, in any order: a file that is read late was known before what came since."""
        exported, published = (microseconds(LATER - timedelta(days=days)) for days in (3, 1))
        hour = Reading("luchtmeetnet/NL10938", "", "no2", 3600, DAY, 10.0)
        said = [
            (hour, LATER - timedelta(days=2)),
            (hour._replace(value=30.0, version=exported), LATER),
            (hour._replace(value=20.0, version=published), LATER - timedelta(hours=1)),
        ]
        for one in order:
            Pipeline(store).store(received([said[one]]))
        assert fetched(database, "SELECT value, flags FROM reading") == [(20.0, 0)]

    def test_first_received_is_the_first_of_the_whole_period(self, store: Store, database: str) -> None:
        """Where the first value counts, one that came while its hour ran still gives way to the first finished one."""
        hour = Reading("first/d", "", "no2", 3600, DAY, 10.0)
        for value, minutes in ((10.0, 20), (11.0, 40), (30.0, 61), (40.0, 90)):
            Pipeline(store).store(batch([hour._replace(value=value)], received=DAY + timedelta(minutes=minutes)))
        assert fetched(database, "SELECT value, covers, flags FROM reading") == [(30.0, 3600.0, 0)]

    def test_a_window_that_another_worker_began(self, store: Store, database: str) -> None:
        """A worker that takes a 5-minute row to be new, while another has begun it, adds to it and marks it."""
        first, second = Pipeline(store), Pipeline(store)
        first.store(batch([count(0, 4)]))
        second.store(batch([count(5, 8)]))
        roll_up(store, LATER)
        first.store(batch([count(6, 1), count(11, 2)]))
        roll_up(store, LATER)
        windows = fetched(database, "SELECT total, readings, revision FROM window_5m ORDER BY start")
        assert windows == [(4, 1, 1), (9, 2, 2), (2, 1, 1)]
        assert hours(database) == [(15.0, 4)]
        (balance,) = balances(store)
        assert (balance.received, balance.stored) == (4, 4)

    def test_late_data_reach_their_day(self, store: Store, database: str) -> None:
        """A reading of the year 2000, sent after everything else was rolled up, has its hour and day at once."""
        pipeline = Pipeline(store)
        pipeline.store(batch([count(0, 4)]))
        roll_up(store, LATER)
        old = Reading("stadspuls/counter", "", "vehicle_count", 60, datetime(2000, 1, 1, tzinfo=UTC), 9.0)
        pipeline.store(batch([old]))
        assert roll_up(store, LATER) == 1
        assert hours(database) == [(9.0, 1), (4.0, 1)]

    def test_running_hour_is_served(self, store: Store, database: str) -> None:
        """Before an hour has closed its figures come from the live 5-minute rows."""
        roll_up(store, DAY + timedelta(minutes=30))
        Pipeline(store).store(batch([count(0, 4), count(7, 5)], received=DAY + timedelta(minutes=10)))
        assert roll_up(store, DAY + timedelta(minutes=30)) == 0
        assert hours(database) == [(9.0, 2)]

    def test_an_import_that_is_slow_to_commit_is_learned(self, store: Store, database: str) -> None:
        """A batch that is stored while an import has not committed yet does not make its worker miss the import."""
        pipeline = Pipeline(store)
        pipeline.store(batch([count(0, 4)]))
        slow = SlowToCommit(database, lambda: pipeline.store(batch([count(1, 4)])))
        with closing(slow):
            import_sensors(slow, [Entry("stadspuls/counter", overrides={"vehicle_count": {"high": 3.0}})])
        pipeline.store(batch([count(2, 4)]))
        assert fetched(database, "SELECT flags FROM reading ORDER BY start") == [(0,), (0,), (Flag.OUT_OF_RANGE,)]

    def test_a_limit_of_the_server_splits_a_batch(self, store: Store, database: str) -> None:
        """Where a transaction of more than 4 readings needs more locks than the server has, all are stored in parts."""
        limit(database, MOST_FOUR)
        Pipeline(store).store(batch([count(minute, 1.0) for minute in range(8)]))
        (balance,) = balances(store)
        assert (balance.received, balance.stored, balance.rejected) == (8, 8, 0)

    def test_a_limit_that_no_part_keeps_is_waited_for(self, store: Store, database: str) -> None:
        """A single reading that meets a limit is tried again until it is stored."""
        limit(database, FIRST_THREE.format(state="53200"))
        pipeline = Pipeline(store)
        pipeline.store(batch([count(0, 1.0)]))
        (balance,) = balances(store)
        assert (balance.stored, balance.rejected, pipeline.retries) == (1, 0, 3)

    @pytest.mark.parametrize("state", ["22003", "23514", "53400"])
    def test_an_error_of_the_accounting_condemns_no_reading(self, store: Store, database: str, state: str) -> None:
        """What another statement of the transaction raises is tried again; the reading is stored in the end."""
        limit(database, FIRST_THREE.format(state=state), table="accounting")
        Pipeline(store).store(batch([count(0, 1.0)]))
        (balance,) = balances(store)
        assert (balance.received, balance.stored, balance.rejected) == (1, 1, 0)

    def test_refused_reading_is_buried_alone(self, store: Store, database: str) -> None:
        """Of a batch with one reading that the database will never take, the others are stored."""
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("ALTER TABLE reading ADD CONSTRAINT unlucky CHECK (value <> 13)")
        Pipeline(store).store(batch([count(minute, float(minute)) for minute in range(30)]))
        (balance,) = balances(store)
        assert (balance.received, balance.stored, balance.rejected) == (30, 29, 1)
        ((payload, reason),) = fetched(database, "SELECT payload, reason FROM dead_letter")
        assert b'"value":13.0' in payload
        assert "unlucky" in reason

    def test_a_batch_in_parts_is_passed_with_its_last(self, store: Store, database: str) -> None:
        """A hub that stops between the parts of a batch takes it again; then all that came with it is stored, too."""
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("ALTER TABLE reading ADD CONSTRAINT unlucky CHECK (value <> 0)")
        limit(database, DISK_FULL, unless="value < 2")
        said = columns([count(minute, float(minute)) for minute in range(4)], [LATER] * 4)
        given = Batch(said, [SensorFact("stadspuls/counter", name="Here")], [DeadLetter("ttn", "t", b"?", "x", LATER)])
        stop = threading.Event()
        stop.set()
        with pytest.raises(Stopped):
            Pipeline(store, stop).store(given, Position("readings", 2, 9))
        place = "SELECT position, (SELECT count(*) FROM reading) FROM log_position"
        assert fetched(database, place) == [(0, 1)]
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("ALTER TABLE reading DROP CONSTRAINT limited")
        Pipeline(store, stop).store(given, Position("readings", 2, 9))
        assert fetched(database, place) == [(9, 3)]
        letters = "SELECT source, sum(count)::int FROM dead_letter GROUP BY source ORDER BY 1"  # a reason names a chunk
        assert fetched(database, letters) == [("stadspuls", 2), ("ttn", 1)]
        assert fetched(database, "SELECT name FROM sensor") == [("Here",)]

    def test_a_refused_reading_takes_no_letter_along(self, store: Store, database: str) -> None:
        """What could not be read is stored also where the only reading that came with it is refused."""
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("ALTER TABLE reading ADD CONSTRAINT unlucky CHECK (value <> 13)")
        Pipeline(store).store(batch([count(0, 13.0)], [DeadLetter("ttn", "t", b"?", "x", LATER)]))
        assert fetched(database, "SELECT source, count FROM dead_letter ORDER BY 1") == [("stadspuls", 1), ("ttn", 1)]

    def test_names_that_no_index_takes_are_buried_alone(self, store: Store, database: str) -> None:
        """Sensor and channel of 500 characters, each of four bytes, are more than an index of PostgreSQL holds."""
        stop = threading.Event()
        stop.set()  # a pipeline that would wait raises
        wide = "".join(map(chr, range(0x10000, 0x10000 + 490)))
        odd = count(0, 1.0)._replace(sensor_id=f"stadspuls/{wide}", channel=wide)
        Pipeline(store, stop).store(batch([count(0, 1.0), odd, count(1, 1.0)]))
        (balance,) = balances(store)
        assert (balance.received, balance.stored, balance.rejected) == (3, 2, 1)
        ((reason,),) = fetched(database, "SELECT reason FROM dead_letter")
        assert "index" in reason

    def test_totals_are_held_against_whole_lanes(self, store: Store, database: str) -> None:
        """However a batch is parted to find what is at fault, a total is compared with all of its classes or none."""
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("ALTER TABLE reading ADD CONSTRAINT unlucky CHECK (value <> 13)")
        said = [
            Reading("stadspuls/counter", f"lane{lane}/{kind}", "vehicle_count", 60, DAY, float(value))
            for kind, values in (("any", (20, 6, 9)), ("car", (13, 4, 4)), ("truck", (7, 2, 4)))
            for lane, value in enumerate(values, 1)
        ]
        other = [one._replace(sensor_id="stadspuls/other") for one in said[1::3]]
        Pipeline(store).store(batch([*said[:5], *other, *said[5:]]))
        found = "SELECT sensor_id, channel FROM reading JOIN series USING (series) WHERE flags = 32"
        assert fetched(database, found) == [("stadspuls/counter", "lane3/any")]
        (balance,) = balances(store)
        assert (balance.received, balance.stored, balance.rejected) == (12, 11, 1)

    def test_a_parted_total_keeps_the_flags_of_its_source(self, store: Store, database: str) -> None:
        """Readings of one sensor and start are parted, totals first: what each source said of them stays."""
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("ALTER TABLE reading ADD CONSTRAINT unlucky CHECK (value <> 13)")
        said = [
            Reading("stadspuls/counter", f"lane1/{kind}", "vehicle_count", 60, DAY, float(value), flags=flags)
            for kind, value, flags in (("any", 20, 64), ("bus", 0, 64), ("car", 13, 0), ("truck", 6, 0))
        ]
        Pipeline(store).store(batch(said))
        found = "SELECT channel, flags FROM reading JOIN series USING (series) ORDER BY channel"
        assert fetched(database, found) == [("lane1/any", 96), ("lane1/bus", 64), ("lane1/truck", 0)]

    def test_refused_fact_costs_no_reading(self, store: Store, database: str) -> None:
        """Where the catalogue will never take a fact, the readings beside it and the other facts are stored."""
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("ALTER TABLE sensor ADD CONSTRAINT unlucky CHECK (lanes <> 13)")
        said = batch([count(minute, 1.0) for minute in range(3)])
        Pipeline(store).store(Batch(said.readings, [SensorFact("stadspuls/counter", lanes=13)]))
        assert fetched(database, "SELECT count(*) FROM reading") == [(3,)]

    def test_position_never_goes_back(self, store: Store, database: str) -> None:
        """The log position moves forward only, whatever an old worker still writes."""
        pipeline = Pipeline(store)
        for position in (5, 9, 7):
            pipeline.store(batch([count(position, 1)]), Position("readings", 2, position))
        assert fetched(database, "SELECT topic, partition, position FROM log_position") == [("readings", 2, 9)]

    def test_two_workers_overlap(self, database: str) -> None:
        """Two pipelines that store the same readings at the same time count each once, without an error."""
        said = [count(minute, 1.0) for minute in range(600)]
        stores = [Store(database) for _ in range(3)]
        failures: list[BaseException] = []

        def work(number: int) -> None:
            try:
                pipeline = Pipeline(stores[number])
                for at in range(0, 600, 40):
                    pipeline.store(batch(said[at : at + 40 + 10 * number]))
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        roll_up(stores[0], LATER)
        assert sum(value for value, _ in hours(database)) == 600
        assert not any(d.windows for d in reconcile(stores[0], DAY.date(), DAY.date() + timedelta(days=2)))
        for store in stores:
            store.close()


def test_correction_of_a_packed_day(postgres: str) -> None:
    """
    Where the community edition has packed a day a corrected twin is changed, not locked, for it refuses to lock them.

    That edition is not here: the setting and the view by which it is known say so. Other series of the day are left as
    they are, and so are equal twins and what is new: nothing of them is unpacked.
    """
    other = Reading("stadspuls/other", "", "vehicle_count", 60, DAY, 1.0)
    with fresh_database(postgres) as database, closing(Store(database)) as store:
        Pipeline(store).store(batch([count(0, 4), count(1, 8), count(2, 1), other]))
        roll_up(store, LATER)
        pack(database)
        before = writers(database)
        with closing(Store(database)) as later:
            Pipeline(later).store(batch([count(0, 4), count(1, 3, version=7), count(3, 5)]))
        roll_up(store, LATER)
        after = writers(database)
        changed = {start for (name, start), writer in before.items() if after[name, start] != writer}
        assert changed == {DAY + timedelta(minutes=1)}
        assert hours(database) == [(13.0, 4), (1.0, 1)]
        (balance,) = balances(store)
        assert (balance.stored, balance.corrected, balance.duplicate) == (5, 1, 1)
        assert not any(d.windows for d in reconcile(store, DAY.date(), DAY.date() + timedelta(days=3)))


def pack(database: str) -> None:
    """Let a database look as if the community edition had packed every day of it."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(f'ALTER DATABASE "{connection.info.dbname}" SET "timescaledb.license" = timescale'.encode())
        connection.execute(
            "CREATE SCHEMA timescaledb_information;"
            "CREATE VIEW timescaledb_information.chunks AS SELECT 'reading' AS hypertable_name, true AS is_compressed,"
            "    timestamptz '2000-01-01' AS range_start, timestamptz '2100-01-01' AS range_end"
        )


def writers(database: str) -> dict[tuple[str, datetime], str]:
    """Give the transaction that wrote each reading last."""
    found = fetched(database, "SELECT sensor_id, start, reading.xmin::text FROM reading JOIN series USING (series)")
    return {(sensor_id, start): writer for sensor_id, start, writer in found}


def test_database_that_was_away_is_counted(store: Store) -> None:
    """A batch is tried again until it is stored, and how often is known."""
    pipeline = Pipeline(store)
    reading = Reading("ndw/s", "", "vehicle_count", 60, DAY, 5.0)
    pipeline.store(batch([reading]))
    kill_sessions(store.conninfo)
    pipeline.store(batch([reading._replace(start=DAY + timedelta(minutes=1))]))
    assert pipeline.retries == 1
    assert [balance.stored for balance in balances(store)] == [2]


def test_batch_that_waits_is_named(store: Store) -> None:
    """While a batch waits for a database that takes no writes, the reason is there for `/readyz`; then it is gone."""
    pipeline = Pipeline(store)
    with store.transaction() as tx:
        tx.script("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
    said = batch([Reading("ndw/s", "", "vehicle_count", 60, DAY, 5.0)])
    writer = threading.Thread(target=pipeline.store, args=[said], daemon=True)
    writer.start()
    try:
        until(lambda: "read-only" in str(pipeline.trouble))
    finally:
        kill_sessions(store.conninfo)
        writer.join(30)
    assert (pipeline.trouble, [balance.stored for balance in balances(store)]) == ([], [1])


def test_pages_of_live_windows_keep_room(store: Store) -> None:
    """Every table or chunk of 5-minute rows has room for the next version of a row, in every edition."""
    Pipeline(store).store(batch([Reading("ndw/s", "", "vehicle_count", 60, DAY, 5.0)]))
    with psycopg.connect(store.conninfo) as connection:
        found = connection.execute(
            "SELECT reloptions FROM pg_class c WHERE oid = 'window_5m'::regclass OR EXISTS (SELECT FROM pg_inherits "
            "WHERE inhparent = 'window_5m'::regclass AND inhrelid = c.oid)"
        ).fetchall()
    assert set(map(str, found)) == {"(['fillfactor=45'],)"}
