"""A hub as users run it: `stadspuls up` in a process of its own, killed, stopped, started and asked from outside."""

import json
import math
import os
import signal
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hub.servers.broker import BuiltInBroker
from hub.servers.postgres import EmbeddedPostgres
from hub.servers.process import RunningHub, find_hub
from lab.rig.broker import free_port
from tests.support.programs import Program, command, stadspuls

HOUR = timedelta(hours=1)
MARGIN = timedelta(seconds=100)  # longer than a test of a page takes on a busy machine


def last_hour() -> datetime:
    """The start of the last full hour."""
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - HOUR


class Asked:
    """What a hub is asked over HTTP and by the command line, whoever runs it."""

    directory: Path
    mqtt_port: int
    http_port: int

    def run(self, *words: str, code: int = 0) -> str:
        """Run another command against this hub and give its stdout."""
        raise NotImplementedError

    def settle(self, seconds: float = 120.0) -> None:
        """Wait until nothing is on its way any more."""
        raise NotImplementedError

    def publish(self, files: Sequence[Path], source: str, *flags: str) -> None:
        """Publish recorded files and wait until the hub has stored them."""
        self.run("publish", *map(str, files), f"--source={source}", *flags)
        self.settle()

    def reconcile(self, first: str, last: str) -> int:
        """Compare all windows of some days with their readings, which must be equal, and give how many there were."""
        lines = [line.split() for line in self.run("reconcile", f"--from={first}", f"--to={last}").splitlines()]
        rows = [line[-2:] for line in lines if line and line[0].startswith("20")]
        assert all(different == "0" for _, different in rows), rows
        return sum(int(compared) for compared, _ in rows)

    def health(self) -> dict[str, Any]:
        """Ask `/healthz`."""
        answer: dict[str, Any] = json.loads(self.get("/healthz"))
        return answer

    def metric(self, name: str) -> float:
        """Ask `/metrics` for the number of the line that begins with `name`; NaN where there is none."""
        lines = [line for line in self.get("/metrics").splitlines() if line.startswith(name)]
        return float(lines[0].rpartition(" ")[2]) if lines else math.nan

    def get(self, path: str) -> str:
        """Ask the hub's HTTP side."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}", timeout=30) as answer:
            return str(answer.read().decode())

    def query(self, quantity: str, first: str, last: str, window: str, *flags: str) -> list[dict[str, Any]]:
        """Ask `stadspuls query` for JSON."""
        asked = (f"--quantity={quantity}", f"--from={first}", f"--to={last}", f"--window={window}", "--format=json")
        answer: list[dict[str, Any]] = json.loads(self.run("query", *asked, *flags))
        return answer


class UpHub(Asked):
    """One data directory and its ports; `start` and `kill` may take turns as often as a test likes."""

    def __init__(self, directory: Path, *flags: str) -> None:
        self.directory = directory
        self.mqtt_port, self.http_port = free_port(), free_port()
        self._flags = flags
        self._process: Program | None = None
        self._given: datetime | None = None

    def start(self, seconds: float = 90.0) -> RunningHub:
        """Start the hub and wait until it says that it is ready."""
        self.directory.mkdir(parents=True, exist_ok=True)
        log = self.directory / "up.log"
        self._process = Program(stadspuls, *self._words(), out=log, err=log)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            running = find_hub(self.directory)
            if running is not None and running.hub.pid == self._process.pid:
                return running
            if self._process.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(f"the hub did not become ready: {self.log()}")

    def _words(self) -> list[str]:
        ports = [f"--mqtt-port={self.mqtt_port}", f"--http-port={self.http_port}"]
        return ["up", f"--data-dir={self.directory}", *ports, *self._flags]

    def log(self) -> str:
        """What the hub said."""
        return (self.directory / "up.log").read_text(errors="replace")

    def kill(self) -> None:
        """Kill -9 the hub's own process; broker and database live on."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self, number: signal.Signals = signal.SIGTERM, seconds: float = 60.0) -> int:
        """Stop it as a user would and give its exit code."""
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(seconds)

    def clean_up(self) -> None:
        """Leave no process behind, whatever the test did."""
        if self._process is not None and self._process.poll() is None:
            self.kill()
        BuiltInBroker(self.directory, port=self.mqtt_port).stop()
        EmbeddedPostgres(self.directory).stop()

    def run(self, *words: str, code: int = 0) -> str:
        """Run another command against this hub and give its stdout."""
        done = command(*words, f"--data-dir={self.directory}")
        assert done.returncode == code, f"exit {done.returncode}, expected {code}: {done.stderr}"
        return done.stdout

    def settle(self, seconds: float = 120.0) -> None:
        """Wait until nothing is on its way and all hours are rolled up; fail after `seconds` without a change."""
        deadline, before, quiet = 0.0, (-1, -1.0), 0
        while quiet < 4:
            now = self.health()
            on_its_way = now["messages_in_flight"] + now["readings_in_flight"] + self.metric("stadspuls_rollup_marks")
            found = (now["messages_received"], on_its_way)
            if found != before:
                deadline = time.monotonic() + seconds
            assert time.monotonic() < deadline, f"not settled: {now}"
            quiet = quiet + 1 if found[0] == before[0] and not on_its_way else 0
            before = found
            time.sleep(0.3)

    def keep(self, give: Callable[["UpHub", datetime], None]) -> None:
        """
        Let no hour change within a test that looks at the last full one.

        Wait where the hour is nearly over, and where another is the last full one, `give` it its figures.
        """
        while (left := last_hour() + 2 * HOUR - datetime.now(UTC)) < MARGIN:
            time.sleep(left.total_seconds() + 1)
        if self._given != (hour := last_hour()):
            give(self, hour)
            self.settle()
            self._given = hour

    @property
    def database(self) -> str:
        """The URL of the hub's database."""
        running = find_hub(self.directory)
        assert running is not None
        return running.database


def installed() -> list[str]:
    """The `stadspuls` of this environment."""
    return [os.path.join(os.path.dirname(sys.executable), "stadspuls")]
