"""
The data directory of an embedded hub: one hub at a time, and where others find it.

`stadspuls up` holds a `DataDirectory`; every other command calls `find_hub`. The servers in it are
`hub.servers.broker` and `hub.servers.postgres`.
"""

import fcntl
import os
from pathlib import Path

import msgspec

from hub.servers.process import CannotStart, Identity, write_private
from ingest.vocabulary.sources import SOURCES

_LOCK = "hub.lock"
_ADDRESSES = "hub.json"


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
    """
    A directory that belongs to this process until it leaves the `with` block or dies.

    The lock is the kernel's: a killed hub leaves none behind.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._addresses = self.path / _ADDRESSES
        self.is_new = not (self.path / _LOCK).exists()

    def __enter__(self) -> "DataDirectory":
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = (self.path / _LOCK).open("a+")
        except OSError as error:
            raise CannotStart(f"data directory {self.path} cannot be used: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with self._lock as lock:
                holder = os.pread(lock.fileno(), 20, 0).decode("ascii", "replace").strip() or "unknown"
            raise CannotStart(
                f"data directory {self.path} belongs to a running hub (pid {holder}), stop it or use another --data-dir"
            ) from None
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
