"""
Servers for a bench: those that the settings name, else an embedded database and a built-in broker of its own.

A database that is named must be one made for the bench: it is refused when anything is in it, and emptied afterwards.
What the bench starts lives in a directory beside the data directory, on the disk that the hub would use, and is gone
when it ends. `lab.bench.broker` has a broker alone, `lab.rig` a whole distributed hub.
"""

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psutil

from aggregates.store.health import balances, state
from aggregates.store.migrate import Edition, migrate
from aggregates.store.store import Store
from hub.servers.broker import BuiltInBroker
from hub.servers.datadir import RunningHub, find_hub
from hub.servers.postgres import EmbeddedPostgres
from hub.servers.process import CannotStart, end_child, tail
from hub.settings.layers import PREFIX
from hub.settings.settings import Settings
from ingest.mqtt.address import Address
from lab.rig.broker import free_port
from lab.rig.database import KillablePostgres, running_database
from lab.rig.service import COMMAND

LOOK = 0.02  # s between two looks at what is committed
_READY_WITHIN = 90.0  # s
_STOPPED_WITHIN = 30.0
_FILLED = "reading, window_5m, window_1h, window_1d, mark, log_position, accounting, dead_letter, series, sensor"


@contextmanager
def scratch(settings: Settings) -> Iterator[Path]:
    """Make a directory for the time of a bench, on the disk of the data directory where that may be."""
    parent = settings.data_dir.parent
    try:
        made = tempfile.TemporaryDirectory(prefix="stadspuls-bench-", dir=parent)
    except OSError:
        made = tempfile.TemporaryDirectory(prefix="stadspuls-bench-")
    with made as directory:
        yield Path(directory)


@contextmanager
def database(settings: Settings) -> Iterator[tuple[Store, Edition]]:
    """Give a store on an empty, migrated database, and its edition."""
    if settings.database:
        with emptied(settings.database, settings) as found:
            yield found
        return
    with (
        scratch(settings) as directory,
        running_database(KillablePostgres(directory)) as server,
        emptied(server.conninfo, settings) as found,
    ):
        yield found


@contextmanager
def emptied(conninfo: str, settings: Settings) -> Iterator[tuple[Store, Edition]]:
    """Give a store on a database named, migrated; raises CannotStart where anything is in it, empties it afterwards."""
    with closing(Store(conninfo, application="stadspuls bench")) as store:
        edition = migrate(store, settings.timezone, settings.chunk_interval)
        found = state(store, datetime.now(UTC))
        if found.series or found.sensors or found.dead_letters:
            raise CannotStart(
                f"database named has {found.sensors} sensors, {found.series} series and {found.dead_letters} dead "
                "letters in it, expected an empty one made for the bench"
            )
        try:
            yield store, edition
        finally:
            empty(store)


def received(store: Store) -> int:
    """Count the readings that are accounted for, which is committed with them."""
    return sum(balance.received for balance in balances(store))


def until(count: Callable[[], int], wanted: int, what: str, seconds: float) -> None:
    """Wait until there are so many of something; raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while (now := count()) < wanted:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{now} of {wanted} {what} after {seconds:.0f} s")
        time.sleep(LOOK)


def empty(store: Store) -> None:
    """Empty everything that batches fill."""
    with store.transaction() as tx:
        tx.script(
            f"TRUNCATE {_FILLED} CASCADE; UPDATE rollup SET closed_until = '2000-01-01 00:00+00', reconciled = NULL"
        )


class BenchHub:
    """A hub as users run it, `stadspuls up`, seen from outside: where it is, and how much memory it has."""

    def __init__(self, process: psutil.Process, running: RunningHub, settings: Settings) -> None:
        self.address = Address.parse(running.broker).with_credentials(settings.credentials)
        self.database = running.database
        self.http = running.http
        self._process = process

    def pss(self) -> int:
        """Bytes of the hub's Python processes, memory shared with others by their share; not broker and database."""
        return sum(one.memory_full_info().pss for one in [self._process, *self._children()])

    def _children(self) -> list[psutil.Process]:
        return [
            child
            for child in self._process.children(recursive=True)
            if child.name().startswith("python") and "hub.servers.brokerd" not in child.cmdline()
        ]


@contextmanager
def hub(settings: Settings) -> Iterator[BenchHub]:
    """Run `stadspuls up` as a process of its own, with the servers that the settings name or its own."""
    with scratch(settings) as directory:
        if settings.database:
            with emptied(settings.database, settings), _up(settings, directory) as running:
                yield running
        else:
            with _up(settings, directory) as running:
                yield running


@contextmanager
def _up(settings: Settings, directory: Path) -> Iterator[BenchHub]:
    port = free_port()
    with (directory / "up.log").open("ab") as log:
        flags = [f"--data-dir={directory}", f"--mqtt-port={port}", f"--http-port={free_port()}"]
        process = subprocess.Popen(
            [*COMMAND, "up", *flags], env=_environment(settings), stdout=log, stderr=log, start_new_session=True
        )
    try:
        running = _ready(process, directory)
        yield BenchHub(psutil.Process(process.pid), running, settings)
    finally:
        end_child(process, _STOPPED_WITHIN)
        BuiltInBroker(directory, port=port).stop()
        EmbeddedPostgres(directory).stop()


def _environment(settings: Settings) -> dict[str, str]:
    """Name the servers where nobody reads their passwords, as in a process list."""
    name, password = settings.credentials or (None, None)
    named = {
        "BROKER": settings.broker, "DATABASE": settings.database, "BROKER_USERNAME": name, "BROKER_PASSWORD": password,
        "ALERT_CHANNELS": settings.alert_channels, "RULES": os.pathsep.join(map(str, settings.rules)),
    }  # fmt: skip
    return {**os.environ, **{PREFIX + key: str(value) for key, value in named.items() if value}}


def _ready(process: subprocess.Popen[bytes], directory: Path) -> RunningHub:
    deadline = time.monotonic() + _READY_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        running = find_hub(directory)
        if running is not None and running.hub.pid == process.pid:
            return running
        time.sleep(0.05)
    raise CannotStart(f"the hub of the bench did not become ready: {tail(directory / 'up.log')}")
