"""
Servers for a bench: those that the settings name, else an embedded database and a built-in broker of its own.

A database that is named must be one made for the bench: it is refused when anything is in it, and emptied afterwards.
What the bench starts lives in a directory beside the data directory, on the disk that the hub would use, and is gone
when it ends. `lab.rig.broker` has a broker alone, `lab.rig` a whole distributed hub.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import psutil

from aggregates.store.health import state
from aggregates.store.migrate import Edition, migrate
from aggregates.store.store import Store
from hub.servers.broker import BuiltInBroker
from hub.servers.postgres import EmbeddedPostgres
from hub.servers.process import CannotStart, RunningHub, find_hub
from hub.settings.settings import Settings
from ingest.mqtt.address import Address
from lab.load.balances import balances
from lab.rig.broker import end_child, free_port
from lab.rig.database import KillablePostgres, running_database
from lab.rig.service import Service

NO_TIMESCALE = "not measured: no TimescaleDB found (see lab.rig.database), and none named with --database"
LOOK = 0.02  # s between two looks at what is committed
_READY_WITHIN = 90.0  # s
_STOPPED_WITHIN = 30.0
_FILLED = (
    "reading, window_5m, window_1h, window_1d, mark, log_position, accounting, dead_letter, series, sensor, "
    "sensor_evidence_1h, sensor_evidence_1d"
)


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


def processes_of(store: Store) -> list[psutil.Process]:
    """Give the processes of a database's server, also where others run here; none of a server that is elsewhere."""
    ((backend,),) = store.rows("read_backend")
    with suppress(psutil.NoSuchProcess):
        server = psutil.Process(backend).parent()
        if server is not None and server.name().startswith("postgres"):
            return [server, *server.children()]
    return []


class Cpu(NamedTuple):
    """Seconds of processor time: of the hub and its database, and of the built-in broker."""

    hub: float
    broker: float


class BenchHub:
    """A hub as users run it, `stadspuls up`, seen from outside: where it is, and what it uses."""

    def __init__(self, process: psutil.Process, running: RunningHub, settings: Settings, directory: Path) -> None:
        self.address = Address.parse(running.broker).with_credentials(settings.credentials)
        self.database = running.database
        self.http = running.http
        self._process, self._directory = process, str(directory)

    def cpu_seconds(self, without: Sequence[int] = ()) -> Cpu:
        """Processor time used by the hub and the servers that it started, but for those processes of the bench."""
        named = [
            one for one in psutil.process_iter(["cmdline"]) if self._directory in " ".join(one.info["cmdline"] or ())
        ]
        found = {one for process in [self._process, *named] for one in [process, *process.children(recursive=True)]}
        times = {one: sum(one.cpu_times()[:2]) for one in found if one.pid not in without}
        broker = sum(spent for one, spent in times.items() if _is_broker(one))
        return Cpu(sum(times.values()) - broker, broker)

    def pss(self) -> int:
        """Bytes of the hub's Python processes, memory shared with others by their share; not broker and database."""
        return sum(map(_python_pss, [self._process, *self._process.children(recursive=True)]))


def pss(process: psutil.Process) -> int:
    """Bytes of a process, memory shared with others by its share; 0 of one that has ended."""
    with suppress(psutil.NoSuchProcess):
        return int(process.memory_full_info().pss)
    return 0


def _is_broker(process: psutil.Process) -> bool:
    return "hub.servers.brokerd" in process.cmdline()


def _python_pss(process: psutil.Process) -> int:
    with suppress(psutil.NoSuchProcess):
        if process.name().startswith("python") and not _is_broker(process):
            return pss(process)
    return 0


@contextmanager
def hub(settings: Settings) -> Iterator[BenchHub]:
    """Run `stadspuls up` as a process of its own, with the servers that the settings name or its own."""
    named = emptied(settings.database, settings) if settings.database else nullcontext()
    with scratch(settings) as directory, named, _up(settings, directory) as running:
        yield running


@contextmanager
def _up(settings: Settings, directory: Path) -> Iterator[BenchHub]:
    port, (name, password) = free_port(), settings.credentials or (None, None)
    named = {
        "data_dir": directory, "mqtt_port": port, "broker": settings.broker, "database": settings.database,
        "broker_username": name, "broker_password": password, "alert_channels": settings.alert_channels,
        "rules": os.pathsep.join(map(str, settings.rules)),
    }  # fmt: skip
    service = Service(["up"], {key: str(value) for key, value in named.items() if value}, directory / "up.log")
    try:
        service.start().wait_ready(_READY_WITHIN)
        until(lambda: find_hub(directory) is not None, True, "hubs that gave their addresses", _READY_WITHIN)
        running = find_hub(directory)
        assert running is not None
        yield BenchHub(psutil.Process(running.hub.pid), running, settings, directory)
    finally:
        if service.process is not None:
            end_child(service.process, _STOPPED_WITHIN)
        BuiltInBroker(directory, port=port).stop()
        EmbeddedPostgres(directory).stop()
