"""
What the broker and the database of an embedded hub have in common: processes that outlive the hub, found again by pid,
and the data directory that they live in: one hub at a time, and where others find it.

`hub.servers.broker` and `hub.servers.postgres` are the two servers. `stadspuls up` holds a `DataDirectory`; every other
command calls `find_hub`.
"""

import fcntl
import os
import resource
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import msgspec
import psutil
import structlog

from ingest.vocabulary.sources import SOURCES
from ingest.vocabulary.values import raised_as

_LOCK = "hub.lock"
_ADDRESSES = "hub.json"
_LARGE_LOG = 10 << 20
_DRIFT = 5.0  # s: the clock may be set between two readings of when a process began

_log = structlog.get_logger(__name__)


class CannotStart(RuntimeError):  # noqa: N818 - the reaction is the name: a message, exit 3
    """A server or the hub cannot be started; the text has the reason and what helps."""


class Identity(msgspec.Struct, frozen=True):
    """A process, safe against a pid that was given to another one meanwhile."""

    pid: int
    created: float

    @classmethod
    def of(cls, pid: int | None = None) -> "Identity":
        """Identify a living process, by default this one."""
        process = psutil.Process(pid)
        return cls(process.pid, process.create_time())

    def process(self) -> psutil.Process | None:
        """Give the process while it lives; a zombie does not."""
        with suppress(psutil.NoSuchProcess):
            process = living(self.pid)
            if process is not None and abs(process.create_time() - self.created) < _DRIFT:
                return process
        return None


class RunningHub(msgspec.Struct, frozen=True):
    """Where a hub that is ready can be reached; passwords are not in it, they come from the settings."""

    hub: Identity
    broker: str
    database: str
    http: str
    sources: frozenset[str]

    @property
    def alive(self) -> bool:
        """Whether the hub's process still runs."""
        return self.hub.process() is not None


class DataDirectory:
    """A directory of this process's until the `with` block ends or it dies: its lock is the kernel's."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._addresses = self.path / _ADDRESSES
        self.is_new = not (self.path / _LOCK).exists()

    def __enter__(self) -> "DataDirectory":
        with raised_as(CannotStart, OSError, at=f"data directory {self.path} cannot be used"):
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = (self.path / _LOCK).open("a+")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with self._lock as lock:
                holder = os.pread(lock.fileno(), 20, 0).decode("ascii", "replace").strip() or "unknown"
            text = f"belongs to a running hub (pid {holder}), stop it or use another --data-dir"
            raise CannotStart(f"data directory {self.path} {text}") from None
        self._lock.truncate(0)
        print(os.getpid(), file=self._lock, flush=True)
        self._addresses.unlink(missing_ok=True)  # of a hub that was killed
        return self

    def __exit__(self, *_: object) -> None:
        self._addresses.unlink(missing_ok=True)
        self._lock.close()

    def announce(self, broker: str, database: str, http: str) -> RunningHub:
        """Write down that the hub is ready, where, and which sources it knows."""
        running = RunningHub(Identity.of(), broker, database, http, frozenset(SOURCES))
        write_private(self._addresses, msgspec.json.format(msgspec.json.encode(running)).decode())
        return running


def find_hub(path: Path) -> RunningHub | None:
    """Give the hub that was ready in this directory, dead or `alive`; None where there is none, or it stopped."""
    try:
        return msgspec.json.decode((path / _ADDRESSES).read_bytes(), type=RunningHub)
    except (FileNotFoundError, NotADirectoryError, PermissionError, msgspec.DecodeError):
        return None


class Server(ABC):
    """A server of a data directory, as a process that outlives the hub and is found again by its pid."""

    name: ClassVar[str]
    endings: ClassVar[Sequence[tuple[signal.Signals, float]]]  # signals that end it, and the seconds after each

    def __init__(self, directory: Path) -> None:
        self._directory = directory.resolve()
        self._logfile = self._directory / f"{self.name}.log"
        self._child: subprocess.Popen[bytes] | None = None
        self.closed = False  # whether it must not be started any more

    @abstractmethod
    def start(self) -> bool:
        """Start it, or adopt one that runs (True), and wait until it answers; raises CannotStart with the reason."""

    @abstractmethod
    def _noted(self) -> psutil.Process | None:
        """Give the process that the directory names, while it is ours and runs."""

    def process(self) -> psutil.Process | None:
        """Give the server's process, ours or that of a hub that was killed, while it runs."""
        if self._child is not None:
            self._child.poll()
        return self._noted()

    def keep(self) -> None:
        """Start it again where it died or hangs; raises CannotStart or OSError while something is wrong with it."""
        if self.process() is None or self._hangs():
            _log.warning("a server died or hangs, and is started again", server=self.name)
            self.start()

    def _hangs(self) -> bool:
        return False

    def stop(self) -> None:
        """End the server as gently as it lets us; harmless when it does not run."""
        process = self.process()
        if process is not None:
            end(process, self.endings)
        elif self._child is not None and self._child.poll() is None:  # interrupted before its pid was noted
            self._child.kill()
        if self._child is not None:
            self._child.wait(5)
            self._child = None

    def _spawn(self, *command: Path | str, **more: Any) -> subprocess.Popen[bytes]:
        """Start a process in a session of its own: Ctrl-C in the terminal is for the hub, which then stops it."""
        if self.closed:
            raise CannotStart(f"{self.name} is not started any more, the hub stops")
        if self._child is not None:  # one that died may have threads that are not gone yet
            self._child.kill()
            self._child.wait(5)
        with open_log(self._logfile) as log:
            self._child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True, **more
            )
        return self._child


def living(pid: int) -> psutil.Process | None:
    """Give the process with this pid, unless it is gone or a zombie."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process
    except psutil.NoSuchProcess:
        return None


def end(process: psutil.Process, endings: Sequence[tuple[signal.Signals, float]]) -> None:
    """Send one signal after the other until the process is gone, and wait the seconds given with each."""
    for number, patience in endings:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)
        deadline = time.monotonic() + patience
        # Not psutil's wait: the zombie of an adopted process stays for ever where pid 1 of a container does not reap.
        while (runs := process.is_running() and living(process.pid)) and time.monotonic() < deadline:
            time.sleep(0.02)
        if not runs:
            return


def raise_file_limit() -> None:
    """Let this process and its servers open as many files as the system allows: strangers' connections are files."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def bound(what: str, host: str, port: int) -> socket.socket:
    """Give a socket that listens on a port, which `--<what>-port` sets; raises CannotStart with who holds it."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        held = f"{error.strerror}{_holder_of(port)}, choose another with --{what}-port"
        raise CannotStart(f"{what} cannot listen on {host}:{port}: {held}") from error


def _holder_of(port: int) -> str:
    """Name in brackets the process that listens on a port, as far as this user may know."""
    with suppress(psutil.Error):
        for found in psutil.net_connections("tcp"):
            if found.status == psutil.CONN_LISTEN and found.laddr and found.laddr.port == port and found.pid:
                return f" (held by {psutil.Process(found.pid).name()}, pid {found.pid})"
    return ""


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner reads, at once or not at all."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)


def open_log(path: Path) -> BinaryIO:
    """Open a log to write on, and put a large old one aside."""
    with suppress(FileNotFoundError):
        if path.stat().st_size > _LARGE_LOG:
            path.replace(path.with_name(path.name + ".old"))
    return path.open("ab")


def tail(path: Path, lines: int = 5) -> str:
    """Give the last lines of a log, for an error message."""
    with suppress(OSError):
        text = path.read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-lines:]) or "empty log"
    return "no log"
