"""
Programs as processes of their own that need not load first: each is a fork of one that has loaded the whole hub.

To load the hub takes longer than most of what a test does with it. `tests.support.hubs` and `tests.support.distributed`
start hubs, services and commands so; `lab.rig` and `tests.hub.cli` start what is installed.
"""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import chdir
from multiprocessing import get_context
from pathlib import Path

from hub.cli.main import MODULES, main
from lab.rig.service import Service

_CHECKOUT = Path(__file__).parents[2]
_LAZY = (
    "lab.demo.demo hub.run.distributed hub.run.embedded hub.run.gateways hub.run.notifying streams.worker.worker "
    "tests.support.alertfeed tests.support.killed_notifier"
)
_FORKS = get_context("forkserver")
_FORKS.set_forkserver_preload([__name__, *(name for name in MODULES if name.startswith("hub.")), *_LAZY.split()])


class Program:
    """
    A function that runs in a process and a session of its own, with this environment; what it prints goes to files.

    It ends as a program does: with 0, the code of SystemExit, or 1 for an error.
    """

    def __init__(
        self, function: Callable[..., object], *arguments: object, out: Path, err: Path,
        environment: Mapping[str, str] = os.environ,
    ) -> None:  # fmt: skip
        given = (dict(environment), Path.cwd(), out, err, function, *arguments)
        # A daemon: pytest does not wait for one that a test forgot.
        self._process = _FORKS.Process(target=_run, args=given, daemon=True)
        with chdir(_CHECKOUT):  # a directory named hub where the first test stands must not shadow ours
            self._process.start()
        self.pid = self._process.pid or 0

    def poll(self) -> int | None:
        """Give the exit code, None while it runs; -9 where it was killed."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the exit code; raises subprocess.TimeoutExpired."""
        self._process.join(timeout)
        if (code := self.poll()) is None:
            raise subprocess.TimeoutExpired(str(self._process), timeout or 0)
        return code

    def send_signal(self, sig: int) -> None:
        """Send it a signal; harmless when it has ended."""
        if self.poll() is None:
            os.kill(self.pid, sig)

    def kill(self) -> None:
        """Kill -9."""
        self.send_signal(signal.SIGKILL)


class ForkedService(Service):
    """A service of the distributed hub."""

    def _spawned(self) -> Program:
        words, log = self._command, self._log
        return Program(stadspuls, *words, out=log, err=log, environment=self._environment)


def stadspuls(*words: str) -> None:
    """Be the command line."""
    sys.argv = ["stadspuls", *words]
    main()


def command(*words: str, environment: Mapping[str, str] = os.environ) -> subprocess.CompletedProcess[str]:
    """Run a command of `stadspuls` to its end."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        code = Program(stadspuls, *words, out=out, err=err, environment=environment).wait(300)
        return subprocess.CompletedProcess(words, code, out.read_text(), err.read_text())


def _run(
    environment: Mapping[str, str], folder: Path, out: Path, err: Path, function: Callable[..., object], *rest: object
) -> None:
    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for path, number in ((out, 1), (err, 2)):
        with path.open("ab") as file:
            os.dup2(file.fileno(), number)
    function(*rest)
