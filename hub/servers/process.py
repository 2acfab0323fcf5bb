"""
What the broker and the database of an embedded hub have in common: processes that outlive the hub, found again by pid.

`hub.servers.broker` and `hub.servers.postgres` are the two servers, `hub.servers.datadir` the directory both live in.
"""

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import msgspec
import psutil

_LARGE_LOG = 10 << 20
_DRIFT = 5.0  # s: the clock may be set between two readings of when a process began


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
        process = living(self.pid)
        try:
            same = process is not None and abs(process.create_time() - self.created) < _DRIFT
        except psutil.NoSuchProcess:
            return None
        return process if same else None


def living(pid: int) -> psutil.Process | None:
    """Give the process with this pid, unless it is gone or a zombie."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process
    except psutil.NoSuchProcess:
        return None


def end(process: psutil.Process, steps: tuple[tuple[signal.Signals, float], ...]) -> None:
    """Send one signal after the other until the process is gone, and wait the seconds given with each."""
    for number, patience in steps:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)
        if _gone(process, time.monotonic() + patience):
            return


def _gone(process: psutil.Process, deadline: float) -> bool:
    # Not psutil's wait: the zombie of an adopted process stays for ever where pid 1 of a container does not reap.
    while process.is_running() and living(process.pid) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def end_child(child: subprocess.Popen[bytes], seconds: float, number: signal.Signals = signal.SIGTERM) -> None:
    """Send a process of ours a signal and wait for its end; kill it when `seconds` were not enough."""
    child.send_signal(number)
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def holder_of(port: int) -> str:
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
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "no log"
    return "\n".join(text.splitlines()[-lines:]) or "empty log"
