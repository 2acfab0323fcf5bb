"""Back-up and restore, by the steps of docs/operations.md: a dump, another database, and what came since."""

import subprocess
from contextlib import closing
from datetime import timedelta
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql

from aggregates.store.migrate import migrate
from aggregates.store.store import Store
from hub.servers.postgres import _programs
from lab.load.balances import balances
from lab.rig.database import installation
from streams.commit.pipeline import Pipeline, Position
from streams.rollup.reconcile import reconcile
from streams.rollup.rollup import roll_up
from tests.streams.commit.test_pipeline import DAY, LATER, batch, count
from tests.support.databases import ZONE, tables


def program(name: str, edition: str, *words: str, data: bytes = b"") -> bytes:
    """Run a program of the database's own version."""
    found = installation() if edition == "timescale" else None
    if edition == "timescale" and found is None:
        pytest.skip("no programs of TimescaleDB: set STADSPULS_TIMESCALE_ROOT to the root of a Debian that has them")
    call = found.command(name, *words) if found else [str(_programs() / name), *words]
    done = subprocess.run(call, input=data, capture_output=True, check=False, cwd="/")
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def test_restored(database: str, request: pytest.FixtureRequest) -> None:
    """What a dump held is there again; what came since is read again and stored once; the proof finds nothing."""
    edition = request.node.callspec.params["database"]
    said = [count(minute, minute % 11) for minute in range(200)]
    with closing(Store(database)) as store:
        Pipeline(store).store(batch(said[:150]), Position("readings", 0, 150))
        roll_up(store, LATER)
    dump = program("pg_dump", edition, "--format=custom", database)
    expected = tables(database)
    with psycopg.connect(urlunsplit(urlsplit(database)._replace(path="/postgres")), autocommit=True) as admin:
        name = sql.Identifier(urlsplit(database).path[1:])
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(name))
    restore(database, edition, dump)
    assert tables(database) == expected
    with closing(Store(database)) as store:
        assert store.rows("list_positions") == [("readings", 0, 150)]
        migrate(store, ZONE)
        Pipeline(store).store(batch(said[100:]), Position("readings", 0, 200))
        roll_up(store, LATER)
        (balance,) = balances(store)
        assert (balance.stored, balance.duplicate) == (200, 50)
        assert not any(d.windows for d in reconcile(store, DAY.date(), DAY.date() + timedelta(days=2)))


def restore(database: str, edition: str, dump: bytes) -> None:
    """Fill an empty database; TimescaleDB wants to be told before and after."""
    with psycopg.connect(database, autocommit=True) as connection:
        if edition == "timescale":
            connection.execute("CREATE EXTENSION timescaledb")
            connection.execute("SELECT timescaledb_pre_restore()")
    program("pg_restore", edition, f"--dbname={database}", data=dump)
    if edition == "timescale":
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("SELECT timescaledb_post_restore()")
