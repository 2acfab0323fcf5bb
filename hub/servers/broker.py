"""
The built-in MQTT broker (rumqttd, from the iotcore wheel) as a detached process that outlives a killed hub.

`stadspuls up` starts or re-adopts it and ends it on a clean stop only, because its queue is in memory.
`hub.servers.brokerd` is the process itself, `hub.servers.process` has what it shares with `hub.servers.postgres`.
"""

import json
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import msgspec
import psutil
import structlog

from hub.servers.process import CannotStart, Identity, end, holder_of, open_log, tail, write_private
from hub.settings.values import is_loopback, url_host

MAX_PAYLOAD = 1 << 20
# A site of NDW is 2.5 to 7 kB as DATEX II, by its lanes; 4 kB covers the mix of a city.
MESSAGE = 4096
_SEGMENTS = 64
_PATIENCE = 20.0
_ENDING = ((signal.SIGTERM, 3.0), (signal.SIGKILL, 3.0))

_log = structlog.get_logger(__name__)


class BuiltInBroker:
    """
    A broker of `directory`, with room for `queue` messages per subscription while its subscriber is away.

    The oldest messages are dropped when the queue is full, a 64th of it at a time. Raises ValueError where others can
    reach `host` and there are no credentials.
    """

    def __init__(
        self,
        directory: Path,
        host: str = "127.0.0.1",
        port: int = 1883,
        queue: int = 200_000,
        credentials: tuple[str, str] | None = None,
    ) -> None:
        if credentials is None and not is_loopback(host):
            raise ValueError(f"broker on {host} without credentials, expected a user name and a password")
        self.host, self.port = host, port
        self._directory = directory.resolve()
        self._pidfile, self._configfile, self._logfile = (
            self._directory / f"broker.{ending}" for ending in ("json", "toml", "log")
        )
        self._config = _config(_numeric(host), port, queue, credentials)
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The broker's address for clients on this machine, without credentials."""
        return f"mqtt://{url_host(self.host)}:{self.port}"

    def process(self) -> psutil.Process | None:
        """Give the broker's process, ours or that of a hub that was killed, while it runs."""
        if self._child is not None:
            self._child.poll()
        try:
            return msgspec.json.decode(self._pidfile.read_bytes(), type=Identity).process()
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def start(self) -> bool:
        """
        Start the broker, or re-adopt the one that still runs; returns whether it was re-adopted, with its queue.

        Raises CannotStart where the port is taken. A broker that runs with another configuration is ended first.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        running = self.process()
        if running is not None and self._fits():
            return True
        if running is not None:
            _log.warning("broker has other settings or does not answer, ends with what it queued", pid=running.pid)
            self.stop()
        self._refuse_taken_port()
        write_private(self._configfile, self._config)
        self._spawn()
        return False

    def stop(self) -> None:
        """End the broker with its queue; harmless when it does not run."""
        process = self.process()
        if process is not None:
            end(process, _ENDING)
        elif self._child is not None and self._child.poll() is None:  # interrupted before its pid was noted
            self._child.kill()
        if self._child is not None:
            self._child.wait(5)
            self._child = None
        self._pidfile.unlink(missing_ok=True)

    def _fits(self) -> bool:
        try:
            same = self._configfile.read_text(encoding="utf-8") == self._config
        except FileNotFoundError:
            return False
        return same and self._answers()

    def _spawn(self) -> None:
        # -P: a directory named hub or iotcore where the user stands must not shadow ours.
        command = [sys.executable, "-P", "-m", "hub.servers.brokerd", str(self._configfile)]
        with open_log(self._logfile) as log:
            self._child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True
            )
        write_private(self._pidfile, msgspec.json.encode(Identity.of(self._child.pid)).decode())
        deadline = time.monotonic() + _PATIENCE
        while not self._answers():
            if self._child.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise CannotStart(f"broker did not start, its log ends: {tail(self._logfile)}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        host = self.url.removeprefix("mqtt://").rpartition(":")[0].strip("[]")
        with suppress(OSError), socket.create_connection((host, self.port), timeout=1):
            return True
        return False

    def _refuse_taken_port(self) -> None:
        family = socket.AF_INET6 if ":" in _numeric(self.host) else socket.AF_INET
        with socket.socket(family) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind((self.host, self.port))
            except OSError as error:
                raise CannotStart(
                    f"broker cannot listen on {self.host}:{self.port}: {error.strerror}{holder_of(self.port)}"
                    ", choose another with --mqtt-port"
                ) from error


def _numeric(host: str) -> str:
    try:
        return str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])
    except OSError as error:
        raise CannotStart(f"broker cannot listen on {host!r}: {error.strerror}") from error


def _config(host: str, port: int, queue: int, credentials: tuple[str, str] | None) -> str:
    """
    Write rumqttd's configuration.

    Each subscription has a log of segments; when all are full the oldest segment goes, whether it was read or not. So
    one more than the queue needs, and as much memory is used in the long run even if every subscriber keeps up.
    """
    lines = f"""\
id = 0
[router]
id = 0
max_connections = 10010
max_outgoing_packet_count = 200
max_segment_size = {max(queue * MESSAGE // _SEGMENTS, MAX_PAYLOAD)}
max_segment_count = {_SEGMENTS + 1}
[v4.1]
name = "v4-1"
listen = "{f"[{host}]" if ":" in host else host}:{port}"
next_connection_delay_ms = 1
[v4.1.connections]
connection_timeout_ms = 60000
max_payload_size = {MAX_PAYLOAD}
max_inflight_count = 100
dynamic_filters = true
"""
    if credentials is None:
        return lines
    name, password = (json.dumps(text, ensure_ascii=False) for text in credentials)
    return f"{lines}[v4.1.connections.auth]\n{name} = {password}\n"
