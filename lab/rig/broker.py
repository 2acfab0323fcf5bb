"""
A real Mosquitto, that can be killed and started again on what it has on disk.

Tests, benches and the chaos run use it; `lab.rig.chain` puts it before Kafka. Where the program is not installed
`local_broker` takes the built-in one, `hub.servers.broker`.
"""

import itertools
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from hub.servers.broker import BuiltInBroker
from hub.servers.process import CannotStart
from ingest.mqtt.address import Address

PROGRAM = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
_LISTENS_WITHIN = 30.0  # s

# As in deploy/mosquitto/mosquitto.conf: no limit by number, which would drop what was confirmed.
_CONFIG = """\
persistence {persistence}
persistence_location {directory}/
max_queued_messages 0
max_inflight_messages 0
max_packet_size 1048576
set_tcp_nodelay true
"""


_SHARE, _SHARES = 2_000, 11  # ports of one process of a test run, from 10,000 on
_count = itertools.count(random.randrange(_SHARE))


def free_port() -> int:
    """
    Give a port of this machine that was free a moment ago, below those that connections to others take.

    What it is for may take seconds to listen there: none is given again soon, nor to two processes of a test run.
    """
    begin = 10_000 + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % _SHARES * _SHARE
    while True:
        with socket.socket() as trial, suppress(OSError):
            trial.bind(("127.0.0.1", begin + next(_count) % _SHARE))
            return int(trial.getsockname()[1])


class Child(Protocol):
    """A process of ours, as `subprocess.Popen` has it."""

    pid: int

    def poll(self) -> int | None:
        """Give the exit code, None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the exit code; raises subprocess.TimeoutExpired."""

    def send_signal(self, sig: int) -> None:
        """Send a signal."""

    def kill(self) -> None:
        """Kill -9."""


def end_child(child: Child, seconds: float, number: signal.Signals = signal.SIGTERM) -> None:
    """Send a process of ours a signal and wait for its end; kill it when `seconds` were not enough."""
    child.send_signal(number)
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


class Broker:
    """A broker as a process; `kill` is kill -9, and `start` starts it again on the same port."""

    def __init__(self, command: Sequence[str], port: int) -> None:
        self.port = port
        self._command = list(command)
        self._process: subprocess.Popen[bytes] | None = None

    def address(self, options: str = "") -> Address:
        """Give its address, with the options of the URL behind the question mark."""
        return Address.parse(f"mqtt://127.0.0.1:{self.port}{options}")

    def start(self) -> "Broker":
        """Start, and return when it listens; raises CannotStart when it does not."""
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        deadline = time.monotonic() + _LISTENS_WITHIN
        while time.monotonic() < deadline and self._process.poll() is None:
            with socket.socket() as sock:
                if sock.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            time.sleep(0.05)
        raise CannotStart(f"{self._command[0]} does not listen on port {self.port}")

    def stop(self) -> None:
        """Stop it with TERM; harmless when it does not run."""
        if self._process is not None:
            end_child(self._process, 10)

    def save(self) -> None:
        """Let Mosquitto write its queues to disk, which it else does at every `autosave_interval`."""
        self.send(signal.SIGUSR1)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; harmless when it does not run."""
        if self._process is not None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """Stop it with kill -9; harmless when it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def mosquitto(
    directory: Path, extra: str = "", listener: str = "allow_anonymous true", *, persistent: bool = True
) -> Broker:
    """
    Make a Mosquitto with its state in `directory`; `extra` and `listener` are lines of its configuration.

    Raises CannotStart where the program is not installed.
    """
    if PROGRAM is None:
        raise CannotStart("mosquitto is not installed on this machine")
    port = free_port()
    config = directory / "mosquitto.conf"
    user = "user root\n" if os.geteuid() == 0 else ""  # it would else change to a user who cannot write here
    general = _CONFIG.format(directory=directory.absolute(), persistence=str(persistent).lower())
    config.write_text(f"{user}{general}{extra}\nlistener {port} 127.0.0.1\n{listener}\n", encoding="utf-8")
    return Broker([PROGRAM, "-c", str(config)], port)


@contextmanager
def local_broker() -> Iterator[tuple[str, Address]]:
    """Run a broker in memory: Mosquitto where it is installed, else the built-in one; gives its name and address."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        broker = mosquitto(directory, persistent=False) if PROGRAM else BuiltInBroker(directory, port=free_port())
        broker.start()
        try:
            yield "mosquitto" if PROGRAM else "built-in", Address("127.0.0.1", broker.port)
        finally:
            broker.stop()
