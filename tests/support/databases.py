"""Databases for tests: the embedded PostgreSQL, a TimescaleDB where one is named, and a fresh copy for each test."""

import atexit
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from shutil import disk_usage
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql

from aggregates.store.migrate import migrate
from aggregates.store.store import Store
from hub.servers.postgres import EmbeddedPostgres

ZONE = "Europe/Amsterdam"
MEMORY = Path("/dev/shm")
UNSYNCED = {
    "fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "max_wal_size": "256MB",
    "shared_buffers": "128MB",
}  # fmt: skip
TIMESCALE = "STADSPULS_TEST_TIMESCALE"

# What a test compares: everything but received_at, computed_at and revision.
_EVIDENCE = (
    "sensor_id, channel, quantity, period, start, readings, nothing, flagged, failed, warned, total, weight, weighted, "
    "squares, harmonic, minimum, maximum, covered, status"
)
TABLES = {
    "reading": "sensor_id, channel, quantity, period, start, value, weight, covers, flags, status, version",
    "window_5m": _EVIDENCE,
    "window_1h": _EVIDENCE,
    "window_1d": f"{_EVIDENCE}, valid_hours",
}


def timescale_url() -> str:
    """Give the TimescaleDB to test with, or skip, saying how to name one."""
    url = os.environ.get(TIMESCALE)
    if not url:
        pytest.skip(f"no TimescaleDB: set {TIMESCALE} to the URL of one where databases may be created")
    return url


@contextmanager
def shared_server(directory: Path) -> Iterator[str]:
    """
    Give the URL of an embedded PostgreSQL that no test kills, with its files in memory where there is room, unsynced.

    A database has some 600 files. To make those of hundreds of databases after those of others were deleted takes ext4
    longer than what most tests do with them: it looks for inodes that were not deleted in the last seconds.
    """
    with TemporaryDirectory(dir=MEMORY if has_room(MEMORY) else directory, prefix="stadspuls-tests-") as place:
        server = EmbeddedPostgres(Path(place))
        server.start()
        try:
            with psycopg.connect(server.conninfo, autocommit=True) as admin:
                for setting, value in UNSYNCED.items():
                    text = sql.SQL("ALTER SYSTEM SET {} = {}")
                    admin.execute(text.format(sql.Identifier(setting), sql.Literal(value)))
            server.stop()
            server.start()
            yield server.conninfo
        finally:
            server.stop()


def has_room(place: Path) -> bool:
    """Tell whether all servers of a run fit there: each takes up to half a GB."""
    return place.is_dir() and disk_usage(place).free > 4 << 30


@contextmanager
def fresh_database(server: str) -> Iterator[str]:
    """Give the URL of an empty, migrated database on a server, dropped afterwards."""
    name = f"test_{secrets.token_hex(6)}"
    template = _template(server)
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(_create(name, template))
    try:
        yield _url(server, name)
    finally:
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@cache
def _template(server: str) -> str:
    """Migrate one database of a server; the others are copies of it. It lives as long as the server or this process."""
    name = f"template_{secrets.token_hex(6)}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(_create(name, "template0"))
        store = Store(_url(server, name))
        migrate(store, ZONE)
        store.close()
        # TimescaleDB's scheduler looks into every database; one that somebody looks into cannot be copied.
        admin.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(name)))
        admin.execute("SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = %s", [name])
    atexit.register(_drop, server, name)
    return name


def _create(name: str, template: str) -> sql.Composed:
    text = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy")
    return text.format(sql.Identifier(name), sql.Identifier(template))


def _drop(server: str, name: str) -> None:
    with suppress(psycopg.OperationalError), psycopg.connect(server, autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _url(server: str, name: str) -> str:
    return urlunsplit(urlsplit(server)._replace(path=f"/{name}"))


def tables(url: str) -> dict[str, list[tuple[object, ...]]]:
    """Give the contents of the tables that must not depend on order, batching, repetition or restarts."""
    with psycopg.connect(url) as connection:
        return {
            table: connection.execute(
                f"SELECT {columns} FROM {table} JOIN series USING (series) ORDER BY 1, 2, 3, 4, 5".encode()
            ).fetchall()
            for table, columns in TABLES.items()
        }


def differences(url: str, other: str) -> list[str]:
    """Say where the tables of two databases differ; sums may differ by 1e-9 of their size."""
    found, expected = tables(url), tables(other)
    said = []
    for name in TABLES:
        if len(found[name]) != len(expected[name]):
            said.append(f"{name}: {len(found[name])} rows, expected {len(expected[name])}")
        pairs = zip(found[name], expected[name], strict=False)
        said += [f"{name}: {row}, expected {wanted}" for row, wanted in pairs if not _same(row, wanted)]
    return said


def _same(row: tuple[object, ...], wanted: tuple[object, ...]) -> bool:
    return all(
        cell == pytest.approx(other, rel=1e-9, abs=1e-9) if isinstance(other, float) else cell == other
        for cell, other in zip(row, wanted, strict=True)
    )


def truncate(url: str) -> None:
    """Empty everything that batches fill."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "TRUNCATE reading, window_5m, window_1h, window_1d, mark, log_position, accounting, dead_letter, frozen, "
            "running_total, sensor_evidence_1h, sensor_evidence_1d;"
            "UPDATE rollup SET closed_until = '2000-01-01 00:00+00', reconciled = NULL"
        )


def list_dead_letters(
    store: Store, source: str | None = None, reason: str | None = None, limit: int = 1000
) -> list[Any]:
    """List dead letters, the newest first, as `stadspuls dead-letters` asks for them."""
    asked = {"source": source, "reason": reason, "limit": limit, "after_last_at": None, "after_key": None}
    with store.transaction() as tx:
        return tx.records("list_dead_letters", **asked)


def sensors(store: Store, source: str | None = None) -> list[Any]:
    """List sensors by id, as the API asks for them."""
    nothing = dict.fromkeys(("sensors", "quantities", "west", "south", "east", "north", "area", "vintage"))
    with store.transaction() as tx:
        return tx.records("list_sensors", **nothing, source=source, after_sensor_id=None, ever=False, limit=1000)
