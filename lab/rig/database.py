"""
A database that can be killed: TimescaleDB where this machine has its programs, else the embedded one.

TimescaleDB is looked for where Debian installs it, on this machine or below `STADSPULS_TIMESCALE_ROOT`, the root of
another Debian (`.ci/timescale` makes one); the latter needs root. `lab.chaos` uses it.
"""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hub.servers.postgres import EmbeddedPostgres
from hub.servers.process import CannotStart, tail
from lab.rig.broker import end_child

ROOT = "STADSPULS_TIMESCALE_ROOT"
_READY_WITHIN = 300.0  # s, with crash recovery
_USER = "postgres"
_SOCKET = ".s.PGSQL.5432"
_SETTINGS = {
    "listen_addresses": "",
    "shared_preload_libraries": "timescaledb",
    "timescaledb.telemetry_level": "off",
    "dynamic_shared_memory_type": "mmap",  # another root may lack /dev/shm
    "max_connections": "60",
    "max_wal_size": "4GB",
    "log_min_messages": "log",
}


class DatabaseServer(Protocol):
    """A server that holds one database; `kill` is kill -9 of its postmaster, and `start` recovers."""

    @property
    def conninfo(self) -> str:
        """The database's URL."""

    @property
    def socket(self) -> Path:
        """The unix socket it listens on."""

    def start(self) -> object:
        """Start, and return when it takes connections."""

    def stop(self) -> None:
        """Stop it in good order."""

    def kill(self) -> None:
        """Kill -9."""

    def remove(self) -> None:
        """Leave nothing of it outside of the directory that it was given."""


class KillablePostgres(EmbeddedPostgres):
    """The embedded PostgreSQL."""

    @property
    def socket(self) -> Path:
        """See `DatabaseServer`."""
        return self._sockets / _SOCKET

    def kill(self) -> None:
        """See `DatabaseServer`."""
        if (process := self.process()) is not None:
            process.kill()

    def remove(self) -> None:
        """See `DatabaseServer`: all is in its directory."""


@dataclass(frozen=True, slots=True)
class Installation:
    """PostgreSQL's programs with TimescaleDB, seen from `root`."""

    root: Path
    programs: Path

    def command(self, program: str, *arguments: str) -> list[str]:
        """Give the command that runs a program there, as the user that PostgreSQL wants."""
        call = [str(self.programs / program), *arguments]
        return ["chroot", f"--userspec={_USER}:{_USER}", str(self.root), *call] if os.geteuid() == 0 else call


def installation() -> Installation | None:
    """Find TimescaleDB, the newest there is; None where there is none that this user can run."""
    for root in (os.environ.get(ROOT), "/"):
        for control in sorted(Path(root or "/").glob("usr/share/postgresql/*/extension/timescaledb.control"))[::-1]:
            programs = Path("/usr/lib/postgresql", control.parts[-3], "bin")
            usable = os.geteuid() == 0 or root == "/"
            if usable and (Path(root or "/") / programs.relative_to("/") / "postgres").exists():
                return Installation(Path(root or "/"), programs)
    return None


class KillableTimescale:
    """A TimescaleDB with its data in a directory of its own below the installation's root, gone with `remove`."""

    def __init__(self, found: Installation) -> None:
        place = found.root / "var/tmp" if os.geteuid() == 0 else Path(tempfile.gettempdir())
        self._directory = Path(tempfile.mkdtemp(prefix="stadspuls-", dir=place))
        self._inside = Path("/", self._directory.relative_to(found.root))
        self._log = self._directory.with_suffix(".log")
        self._found = found
        self._process: subprocess.Popen[bytes] | None = None
        if os.geteuid() == 0:
            subprocess.run(self._as_root("chown", f"{_USER}:{_USER}", str(self._inside)), check=True)
        self._call("initdb", "--pgdata", str(self._inside), "--username=postgres", "--auth=trust", "--encoding=UTF8",
                   "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")  # fmt: skip

    @property
    def conninfo(self) -> str:
        """See `DatabaseServer`."""
        return f"postgresql://postgres@/postgres?host={self._directory}"

    @property
    def socket(self) -> Path:
        """See `DatabaseServer`."""
        return self._directory / _SOCKET

    def start(self) -> None:
        """See `DatabaseServer`; after a kill its backends need a moment to notice, so it is tried again."""
        deadline = time.monotonic() + _READY_WITHIN
        while not self._ready():
            if self._process is None or self._process.poll() is not None:
                self._spawn()
            if time.monotonic() > deadline:
                raise CannotStart(f"timescaledb is not ready after {_READY_WITHIN:.0f} s: {tail(self._log)}")
            time.sleep(0.1)

    def stop(self) -> None:
        """See `DatabaseServer`."""
        if self._process is not None and self._process.poll() is None:
            end_child(self._process, 20)

    def kill(self) -> None:
        """See `DatabaseServer`."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def remove(self) -> None:
        """Stop it and leave nothing of it."""
        self.kill()
        shutil.rmtree(self._directory, ignore_errors=True)
        self._log.unlink(missing_ok=True)

    def _spawn(self) -> None:
        settings = {**_SETTINGS, "unix_socket_directories": str(self._inside)}
        flags = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._found.command("postgres", "-D", str(self._inside), *flags),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True,
            )  # fmt: skip

    def _ready(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            return False
        try:
            lines = (self._directory / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[0].strip() == str(self._process.pid) and lines[7].strip() == "ready"

    def _call(self, program: str, *words: str) -> None:
        done = subprocess.run(self._found.command(program, *words), cwd="/", capture_output=True, text=True)
        if done.returncode:
            self.remove()
            raise CannotStart(f"{program} of timescaledb ends with {done.returncode}: {done.stderr.strip()[-500:]}")

    def _as_root(self, *words: str) -> list[str]:
        return ["chroot", str(self._found.root), *words]


@contextmanager
def running_database(server: DatabaseServer) -> Iterator[DatabaseServer]:
    """Run a server for the time of the block."""
    try:
        server.start()
        yield server
    finally:
        server.stop()
        server.remove()


@contextmanager
def killable_database(directory: Path) -> Iterator[tuple[str, DatabaseServer]]:
    """Run the best database that this machine has for the time of the block; gives its name and itself."""
    found = installation()
    with running_database(KillableTimescale(found) if found else KillablePostgres(directory)) as server:
        yield "TimescaleDB" if found else "embedded PostgreSQL", server
