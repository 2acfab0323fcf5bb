"""
The built-in MQTT broker (rumqttd, from the iotcore wheel) as a detached process that outlives a killed hub.

`stadspuls up` starts or adopts it and ends it on a clean stop only, because its queue is in memory.
`hub.servers.brokerd` is the process itself, `rumqttd.toml` rumqttd's configuration.
"""

import json
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

import msgspec
import psutil
import structlog

from hub.servers.packets import HELD, LARGEST
from hub.servers.process import CannotStart, Identity, Server, bound, tail, write_private
from hub.settings.values import is_loopback, url_host
from ingest.mqtt.address import Address
from ingest.mqtt.client import refusal

# A site of NDW is 2.5 to 7 kB as DATEX II, by its lanes; 4 kB covers the mix of a city.
MESSAGE = 4096
_SEGMENTS = 64
_PATIENCE = 20.0
_ASKED_WITHIN = 5.0  # s
_HANGS = 30.0  # s without an answer, after which a broker is started again

_log = structlog.get_logger(__name__)


class BuiltInBroker(Server):
    """
    A broker of `directory`, with room for `queue` messages per subscription while its subscriber is away.

    The oldest messages are dropped when the queue is full, a 64th of it at a time. Raises ValueError where others can
    reach `host` and there are no credentials. `address` is where clients on this machine reach it. Only clients
    whose id begins with `client_id`, which is the hub's, publish on topics that begin with `own`.
    """

    name = "broker"
    endings = ((signal.SIGTERM, 3.0), (signal.SIGKILL, 3.0))

    def __init__(
        self, directory: Path, host: str = "127.0.0.1", port: int = 1883, queue: int = 200_000,
        credentials: tuple[str, str] | None = None, client_id: str = "", own: str = "",
    ) -> None:  # fmt: skip
        if credentials is None and not is_loopback(host):
            raise ValueError(f"broker on {host} without credentials, expected a user name and a password")
        super().__init__(directory)
        self.port = port
        self.address = Address.parse(f"mqtt://{url_host(host)}:{port}").with_credentials(credentials)
        self._host, self._queue, self._client_id, self._own = host, queue, client_id, own
        self._silent_since: float | None = None
        self._pidfile, self._configfile = (self._directory / f"broker.{ending}" for ending in ("json", "toml"))
        self._heldfile = self._directory / HELD

    def _noted(self) -> psutil.Process | None:
        with suppress(FileNotFoundError, msgspec.DecodeError):
            return msgspec.json.decode(self._pidfile.read_bytes(), type=Identity).process()
        return None

    @property
    def held(self) -> int:
        """How many messages it holds that the hub has not acknowledged, at most; of one that is dead, that it held."""
        with suppress(FileNotFoundError, ValueError):
            return int(self._heldfile.read_bytes())
        return 0

    def start(self) -> bool:
        """Start it, or adopt it with its queue; one that runs with another configuration is ended first."""
        self._directory.mkdir(parents=True, exist_ok=True)
        config, running = self._config(), self.process()
        if running is not None and self._configfile.read_text("utf-8") == config and self._answers():
            return True
        if running is not None:
            _log.warning("broker has other settings or does not answer, ends with what it queued", pid=running.pid)
            self.stop()
        self._tell_lost()
        bound("mqtt", self._host, self.port).close()
        write_private(self._configfile, config)
        # -P: a directory named hub or iotcore where the user stands must not shadow ours.
        program = (sys.executable, "-P", "-m", "hub.servers.brokerd")
        child = self._spawn(*program, str(self._configfile), self._host, str(self.port), self._client_id)
        write_private(self._pidfile, msgspec.json.encode(Identity.of(child.pid)).decode())
        deadline = time.monotonic() + _PATIENCE
        while not self._answers():
            if child.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise CannotStart(f"broker did not start, its log ends: {tail(self._logfile)}")
            time.sleep(0.05)
        return False

    def stop(self) -> None:
        """End the broker with its queue; harmless when it does not run."""
        super().stop()
        self._pidfile.unlink(missing_ok=True)
        self._tell_lost()

    def _tell_lost(self) -> None:
        """Say what went with a broker that has ended; the hub may still store what it has received of it."""
        if held := self.held:
            _log.warning("broker ended with messages that the hub had not acknowledged, they are lost", at_most=held)
        self._heldfile.unlink(missing_ok=True)

    def _answers(self) -> bool:
        """Ask for a connection as a client does: a broker whose router has ended still listens."""
        with socket.socket(), socket.socket(), socket.socket():  # with too many files open it is not the broker's fault
            pass
        answers = refusal(self.address, _ASKED_WITHIN) is None
        self._silent_since = None if answers else self._silent_since or time.monotonic()
        return answers

    def _hangs(self) -> bool:
        """Ask it; raises CannotStart while it does not answer, which a busy one may do for a while."""
        if self._answers() or self._silent_since is None:
            return False
        if time.monotonic() < self._silent_since + _HANGS:
            raise CannotStart(f"{self.address} does not answer")
        return True

    def _config(self) -> str:
        """
        Write rumqttd's configuration.

        Each subscription has a log of segments; when all are full the oldest segment goes, whether it was read or not.
        So one more than the queue needs, and as much memory is used in the long run even if every subscriber keeps up.
        """
        text = Path(__file__).with_name("rumqttd.toml").read_text("utf-8").format(
            segment_size=max(self._queue * MESSAGE // _SEGMENTS, LARGEST), segments=_SEGMENTS + 1,
            listen=f"{self._host} port {self.port}", payload=LARGEST,
            own=self._own and f"; the hub alone publishes on: {self._own}",
        )  # fmt: skip
        if self.address.user is None:
            return text
        name, password = (json.dumps(one, ensure_ascii=False) for one in (self.address.user, self.address.password))
        return text + "".join(f"[{one}.1.connections.auth]\n{name} = {password}\n" for one in ("v4", "v5"))
