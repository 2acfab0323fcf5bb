"""
One service of the distributed hub as a process of its own: started, asked, stopped and killed.

`lab.rig.chain` has all of them between their servers.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hub.servers.process import CannotStart, tail
from hub.settings.layers import PREFIX
from lab.rig.broker import Child, free_port

# -P: a directory named hub where the user stands must not shadow ours.
COMMAND = (sys.executable, "-P", "-c", "from hub.cli.main import main; main()")


class Service:
    """A service with its metrics port; `start` and `kill` may take turns. `settings` are its own, by their keys."""

    def __init__(self, command: Sequence[str], settings: Mapping[str, str], log: Path) -> None:
        self.name = log.stem
        self.port = free_port()
        self._command = list(command)
        # Not every service has every port, so both are given where none refuses them.
        ports = {"metrics_port": str(self.port), "http_port": str(self.port)}
        self._environment = {**os.environ, **environment({**settings, **ports})}
        self._log = log
        self.process: Child | None = None

    def start(self) -> "Service":
        """Start, and do not wait."""
        self.process = self._spawned()
        return self

    def _spawned(self) -> Child:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [*COMMAND, *self._command], env=self._environment, stdout=log, stderr=log, start_new_session=True
            )

    @property
    def alive(self) -> bool:
        """Tell whether the process runs."""
        return self.process is not None and self.process.poll() is None

    @property
    def ready(self) -> bool:
        """Whether it can do its work, by its own `/readyz`."""
        with suppress(OSError, urllib.error.URLError):
            self.get("/readyz", 5.0)
            return True
        return False

    def wait_ready(self, seconds: float = 60.0) -> "Service":
        """Wait until it is ready; raises CannotStart when it ends or takes longer."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.alive:
            if self.ready:
                return self
            time.sleep(0.05)
        raise CannotStart(f"{self.name} did not become ready: {tail(self._log)}")

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; harmless when it does not run."""
        if self.process is not None:
            self.process.send_signal(number)

    def kill(self) -> None:
        """Kill -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self, seconds: float = 60.0) -> int:
        """Stop it as a user would and give its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def log(self) -> str:
        """Give its log."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def get(self, path: str, seconds: float = 30.0) -> str:
        """Ask its HTTP side."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=seconds) as answer:
            return str(answer.read().decode())

    def health(self) -> dict[str, Any]:
        """Ask `/healthz`."""
        answer: dict[str, Any] = json.loads(self.get("/healthz"))
        return answer

    def metric(self, name: str) -> float:
        """Ask `/metrics` for the number of the line that begins with `name`."""
        (line,) = [line for line in self.get("/metrics").splitlines() if line.startswith(name)]
        return float(line.rpartition(" ")[2])


@contextmanager
def repeated(action: Callable[[], object], seconds: float) -> Iterator[None]:
    """Do something every so many seconds, in a thread, while the block runs."""
    ended = threading.Event()

    def repeat() -> None:
        while not ended.wait(seconds):
            action()

    thread = threading.Thread(target=repeat, name="repeated", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Give settings as the environment variables that name them."""
    return {PREFIX + key.upper(): value for key, value in settings.items()}
