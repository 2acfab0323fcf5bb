"""The schema: brought forward once, by one at a time, on whatever edition it finds."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from aggregates.store import migrate as migrate_module
from aggregates.store.errors import StoreError
from aggregates.store.migrate import Edition, edition, migrate
from aggregates.store.store import Store, Transaction
from ingest.formats.decode import decode
from ingest.vocabulary.batch import Batch, DeadLetter, columns
from ingest.vocabulary.quantities import QUANTITIES
from ingest.vocabulary.readings import Message, Reading
from ingest.vocabulary.sources import OWN, SOURCES
from streams.commit.pipeline import Pipeline
from streams.rollup.rollup import roll_up
from tests.support.databases import ZONE, fresh_database, list_dead_letters, tables

START = datetime(2024, 5, 1, 8, tzinfo=UTC)
LATER = datetime(2024, 6, 1, tzinfo=UTC)
_SCHEMA = (
    "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns"
    " WHERE table_schema = 'public'"
    " UNION ALL SELECT tablename, indexname, indexdef, '' FROM pg_indexes WHERE schemaname = 'public'"
    " UNION ALL SELECT viewname, md5(definition), '', '' FROM pg_views WHERE schemaname = 'public'"
    " UNION ALL SELECT name, applied_at::text, '', '' FROM migration ORDER BY 1, 2"
)


def asked(url: str, question: str) -> list[tuple[Any, ...]]:
    """Ask the database directly."""
    with psycopg.connect(url) as connection:
        return connection.execute(question.encode()).fetchall()


def at_once(tasks: Sequence[Callable[[], object]]) -> list[BaseException]:
    """Run tasks at the same time and give what they raised."""
    failures: list[BaseException] = []
    start = threading.Barrier(len(tasks))

    def run(task: Callable[[], object]) -> None:
        try:
            start.wait(30)
            task()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(task,)) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


def migrating(url: str) -> Callable[[], Edition]:
    """Migrate a database on a connection of its own."""

    def task() -> Edition:
        with closing(Store(url)) as store:
            return migrate(store, ZONE)

    return task


def test_twice_changes_nothing(store: Store, database: str) -> None:
    """A second migration leaves schema, data and their views as they are."""
    reading = Reading("ndw/s", "", "vehicle_count", 60, START, 5.0)
    Pipeline(store).store(Batch(columns([reading], [LATER])))
    roll_up(store, LATER)
    before = asked(database, _SCHEMA), tables(database)
    migrate(store, ZONE)
    assert (asked(database, _SCHEMA), tables(database)) == before
    assert asked(database, "SELECT value FROM sensor_1d") == [(5.0,)]


def test_four_at_once_migrate_one_database(database: str) -> None:
    """Services that start together wait for each other."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        connection.execute("DROP EXTENSION IF EXISTS timescaledb CASCADE")
    assert at_once([migrating(database)] * 4) == []
    assert len(asked(database, "SELECT name FROM migration")) == len(set(asked(database, "SELECT name FROM migration")))
    assert asked(database, "SELECT count(*) FROM quantity") == [(len(QUANTITIES),)]


def test_databases_of_one_server_at_once(postgres: str) -> None:
    """The roles belong to the server: hubs that make them at the same moment do not stand in each other's way."""
    with ExitStack() as stack:
        urls = [stack.enter_context(fresh_database(postgres)) for _ in range(4)]
        for url in urls:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        assert at_once([migrating(url) for url in urls]) == []


def test_edition_is_what_it_found(store: Store, database: str) -> None:
    """PostgreSQL has an index by time, TimescaleDB its chunks; by the edition."""
    with store.transaction() as tx:
        found = edition(tx)
    assert migrate(store, ZONE) is found
    brin = asked(database, "SELECT count(*) FROM pg_indexes WHERE indexname = 'reading_start'") == [(1,)]
    extension = asked(database, "SELECT count(*) FROM pg_extension WHERE extname = 'timescaledb'") == [(1,)]
    assert (found is Edition.POSTGRES) == brin == (not extension)


def test_registries_are_mirrored(store: Store, database: str) -> None:
    """Every quantity and source is in the database, with the zone that civil days have."""
    migrate(store, "Europe/London")
    assert {name for (name,) in asked(database, "SELECT quantity FROM quantity")} == set(QUANTITIES)
    assert {name for (name,) in asked(database, "SELECT source FROM source")} >= set(SOURCES)
    zones = dict(asked(database, "SELECT quantity, zone FROM quantity WHERE quantity IN ('vehicle_count', 'no2')"))
    assert zones == {"vehicle_count": "Europe/London", "no2": "Etc/GMT-1"}


def test_roles_may_do_what_they_are_for(database: str) -> None:
    """A reader reads figures and nothing of the dead letters; a writer writes."""
    may = "SELECT has_table_privilege('stadspuls_{}', '{}', '{}')"
    for role, table, what, allowed in [
        ("reader", "sensor_1h", "SELECT", True),
        ("reader", "reading", "INSERT", False),
        ("reader", "dead_letter", "SELECT", False),
        ("writer", "reading", "INSERT", True),
        ("writer", "dead_letter", "SELECT", True),
    ]:
        assert asked(database, may.format(role, table, what)) == [(allowed,)], (role, table, what)


@pytest.mark.timescale
def test_chunks_are_as_long_as_was_asked(store: Store, database: str) -> None:
    """On TimescaleDB the length of a chunk is a setting."""
    if asked(database, "SELECT count(*) FROM pg_extension WHERE extname = 'timescaledb'") == [(0,)]:
        pytest.skip("plain PostgreSQL has no chunks")
    given = [Reading("ndw/s", "", "no2", 60, START + timedelta(days=day), 5.0) for day in range(3)]
    Pipeline(store).store(Batch(columns(given, [LATER] * 3)))
    chunks = "SELECT count(*) FROM timescaledb_information.chunks WHERE hypertable_name = 'reading'"
    assert asked(database, chunks) == [(3,)]


def test_chunks_to_come_follow_a_changed_setting(store: Store, database: str) -> None:
    """Another length counts for the chunks made after the next `migrate`; those that are there stay."""
    if migrate(store, ZONE) is Edition.POSTGRES:
        pytest.skip("plain PostgreSQL has no chunks")
    for length in (timedelta(hours=6), timedelta(days=7)):
        migrate(store, ZONE, chunk=length)
        known = "SELECT time_interval FROM timescaledb_information.dimensions WHERE hypertable_name = 'reading'"
        assert asked(database, known) == [(length,)]


def changing(monkeypatch: pytest.MonkeyPatch, view: str) -> None:
    """Let the next migration have another text of a view, with the same columns."""
    texts = dict(migrate_module._views())
    texts[view] = texts[view].replace("SELECT", "SELECT /* changed */", 1)
    monkeypatch.setattr(migrate_module, "_views", lambda: iter(texts.items()))


def test_views_of_analysts_stay(store: Store, database: str) -> None:
    """What others built on views whose text is the same is still there after a migration."""
    with psycopg.connect(database) as connection:
        connection.execute("CREATE SCHEMA team; CREATE VIEW team.busy AS SELECT * FROM sensor_1h WHERE value > 100")
        connection.execute("CREATE MATERIALIZED VIEW busiest AS SELECT max(value) FROM team.busy")
    migrate(store, ZONE)
    assert asked(database, "SELECT count(*) FROM team.busy") == [(0,)]
    assert asked(database, "SELECT count(*) FROM busiest") == [(1,)]


def test_changed_view_that_others_stand_on_is_refused_by_name(
    store: Store, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is dropped: the migration ends with the names of all that depends, and works once they are gone."""
    with psycopg.connect(database) as connection:
        connection.execute("CREATE SCHEMA team; CREATE VIEW team.busy AS SELECT * FROM sensor_1h WHERE value > 100")
        connection.execute("CREATE VIEW busiest AS SELECT max(value) FROM team.busy")
    changing(monkeypatch, "aggregate_1d")
    with pytest.raises(StoreError, match=r"busiest, team\.busy built on views that"):
        migrate(store, ZONE)
    assert asked(database, "SELECT count(*) FROM team.busy") == [(0,)]
    with psycopg.connect(database) as connection:
        connection.execute("DROP VIEW team.busy CASCADE")
    migrate(store, ZONE)
    assert asked(database, "SELECT count(*) FROM sensor_1h") == [(0,)]


def test_view_that_stands_on_no_changed_one_is_left_alone(
    store: Store, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a changed view and those after it are made anew; a view that this version no longer has goes."""
    with psycopg.connect(database) as connection:
        connection.execute("CREATE VIEW busy AS SELECT * FROM sensor_1h")
        connection.execute("CREATE VIEW old AS SELECT 1; COMMENT ON VIEW old IS 'made by stadspuls of 123'")
    oids = "SELECT oid FROM pg_class WHERE oid IN ('sensor_1h'::regclass, 'index_1h'::regclass) ORDER BY relname DESC"
    kept, replaced = asked(database, oids)
    changing(monkeypatch, "index_1h")
    migrate(store, ZONE)
    assert asked(database, oids)[0] == kept
    assert asked(database, oids)[1] != replaced
    assert asked(database, "SELECT to_regclass('old')") == [(None,)]


def test_server_that_is_too_old_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A start says which version it found and which it needs, and changes nothing."""
    monkeypatch.setattr(migrate_module, "OLDEST_POSTGRES", 99)
    with pytest.raises(StoreError, match=r"PostgreSQL \d+, expected 99 or newer"):
        migrate(store, ZONE)


class TestWriter:
    """The role of the guide that may write rows and not change the schema."""

    @pytest.fixture
    def writer(self, postgres: str) -> Iterator[tuple[str, Store]]:
        """A migrated database, and a store of `stadspuls_writer` in it."""
        with psycopg.connect(postgres, autocommit=True) as admin:
            with suppress(psycopg.errors.DuplicateObject):
                admin.execute("CREATE ROLE stadspuls_writer")
            admin.execute("ALTER ROLE stadspuls_writer LOGIN")
        with fresh_database(postgres) as url:
            migrating(url)()  # which grants
            with closing(Store(psycopg.conninfo.make_conninfo(url, user="stadspuls_writer"))) as store:
                yield url, store

    def test_writes_the_registries(self, writer: tuple[str, Store]) -> None:
        """Zone and quantities of this version and its settings hold for the views, though the schema stays as it is."""
        migrate(writer[1], "Europe/London")
        zone = "SELECT zone FROM quantity WHERE quantity = 'vehicle_count'"
        assert asked(writer[0], zone) == [("Europe/London",)]

    @pytest.mark.parametrize(
        ("damage", "lacks"),
        [("DELETE FROM migration WHERE name = '0011_unjudged.sql'", "0011_unjudged.sql"),
         ("COMMENT ON VIEW sensor_1d IS 'made by stadspuls of another'", "sensor_1d"),
         ("DROP TABLE migration", "all of it")],
    )  # fmt: skip
    def test_is_told_what_the_owner_must_do(self, writer: tuple[str, Store], damage: str, lacks: str) -> None:
        """A schema of another version is named, with the command that mends it."""
        with psycopg.connect(writer[0]) as connection:
            connection.execute(damage.encode())
        with pytest.raises(StoreError, match=rf"lacks .*{lacks}.*run `stadspuls migrate` as its owner"):
            migrate(writer[1], ZONE)


def test_refused_readings_of_an_older_version_can_be_published_again(store: Store, database: str) -> None:
    """They go to the hub's own topic, which takes every source; what a stranger sent in their place does not."""
    old, fields = "stadspuls/stadspuls/refused", '"quantity": "no2", "start": "2024-05-01T08:00:00Z", "value": 5.0'
    payloads = [b'{"sensor_id": "%s", %s}' % (sensor, fields.encode()) for sensor in (b"ndw/a", b"ndw/b")]
    letters = [DeadLetter(one, old, text, "why", LATER) for one, text in zip(("ndw", OWN), payloads, strict=True)]
    Pipeline(store).store(Batch(columns([], []), (), letters))
    asked(database, "WITH done AS (DELETE FROM migration WHERE name LIKE '0015%' RETURNING name) SELECT * FROM done")
    migrating(database)()
    found = {one.source: decode([Message(one.topic, one.payload or b"", LATER)]) for one in list_dead_letters(store)}
    assert [len(found[one]) for one in ("ndw", OWN)] == [1, 0]


class TestInterrupted:
    """Files of a later version, and what keeps them from their work: other sessions, and a kill."""

    @pytest.fixture
    def later(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
        """The files that the next migration has more, by name; those that it noted are not run again."""
        more: dict[str, str] = {}
        known = migrate_module._lacking

        def lacking(tx: Transaction) -> list[tuple[str, str]]:
            done = {name for (name,) in tx.rows("list_migrations")}
            return known(tx) + [(name, text) for name, text in more.items() if name not in done]

        monkeypatch.setattr(migrate_module, "_lacking", lacking)
        return more

    def _until_it_waits(self, url: str, for_what: str) -> int:
        deadline = time.monotonic() + 60
        waits = f"SELECT pid FROM pg_stat_activity WHERE query LIKE '%{for_what}%' AND wait_event_type = 'Lock'"
        while not (found := asked(url, waits)):
            assert time.monotonic() < deadline, f"nothing waits with {for_what}"
            time.sleep(0.02)
        return int(found[0][0])

    def test_a_killed_migration_goes_on_where_it_was(self, store: Store, database: str, later: dict[str, str]) -> None:
        """What a file did before the kill is undone with it, what earlier files did stays and is not done again."""
        later["9001_one.sql"] = "CREATE TABLE one (n integer); INSERT INTO one VALUES (1)"
        later["9002_two.sql"] = "CREATE TABLE two (n integer); SELECT pg_terminate_backend(pg_backend_pid())"
        with pytest.raises(StoreError):
            migrate(store, ZONE)
        assert asked(database, "SELECT n, to_regclass('two') FROM one") == [(1, None)]
        later["9002_two.sql"] = "CREATE TABLE two (n integer)"
        migrate(store, ZONE)
        assert asked(database, "SELECT count(*), to_regclass('two')::text FROM one") == [(1, "two")]

    def test_an_index_that_a_kill_left_half_made_is_made_whole(
        self, store: Store, database: str, later: dict[str, str]
    ) -> None:
        """The statements of such a file run without a transaction: killed in between it leaves a bad index."""
        later["9001_index_concurrently.sql"] = migrate_module._schema("0024_mark_hour_concurrently")
        with psycopg.connect(database) as connection:
            connection.execute("DROP INDEX mark_hour")
        is_valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'mark_hour'::regclass"
        with ThreadPoolExecutor(1) as pool, psycopg.connect(database) as holds:
            holds.execute("LOCK mark IN ROW EXCLUSIVE MODE")  # a batch on its way, which is not kept waiting either
            migrated = pool.submit(migrating(database))
            asked(database, f"SELECT pg_terminate_backend({self._until_it_waits(database, 'CREATE INDEX CONC')})")
            with pytest.raises(StoreError):
                migrated.result(60)
        assert asked(database, is_valid) == [(False,)]
        migrate(store, ZONE)
        assert asked(database, is_valid) == [(True,)]

    def test_who_stands_behind_a_migration_is_let_past(self, database: str, later: dict[str, str]) -> None:
        """A long question keeps the migration from a table, and the migration nobody for longer than two seconds."""
        later["9001_column.sql"] = "ALTER TABLE sensor ADD COLUMN more integer"
        with ThreadPoolExecutor(1) as pool, psycopg.connect(database) as holds:
            holds.execute("SELECT count(*) FROM sensor")
            migrated = pool.submit(migrating(database))
            self._until_it_waits(database, "ADD COLUMN more")
            with psycopg.connect(database, options="-c statement_timeout=60s") as behind:
                assert behind.execute("SELECT count(*) FROM sensor").fetchall() == [(0,)]
            assert not migrated.done()
            holds.rollback()
            assert isinstance(migrated.result(120), Edition)
