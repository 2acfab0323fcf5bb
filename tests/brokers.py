"""Real brokers for tests and benches: Mosquitto where the program is installed, and the built-in one (rumqttd)."""

import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from ingest.address import Address

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")

_MOSQUITTO = """
persistence true
persistence_location {directory}/
max_queued_messages 0
max_inflight_messages 0
max_packet_size 1048576
set_tcp_nodelay true
"""
_BUILT_IN = """
id = 0
[router]
id = 0
max_connections = 1000
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10
[v4.1]
name = "v4"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1
[v4.1.connections]
connection_timeout_ms = 60000
max_payload_size = 1048576
max_inflight_count = 100
dynamic_filters = true
"""
_SERVE = "import sys; from iotcore.iotcore import IotCoreBroker as B; B(config_path=sys.argv[1]).run_forever()"


def free_port() -> int:
    """Give a port that nobody listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Broker:
    """A broker as a subprocess; `kill` is kill -9, and `start` starts it again on the same port."""

    def __init__(self, command: list[str], port: int) -> None:
        self.port = port
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    def address(self, options: str = "") -> Address:
        """Give its address, with the options of the URL behind the question mark."""
        return Address.parse(f"mqtt://127.0.0.1:{self.port}{options}")

    def start(self) -> "Broker":
        """Start, and return when it listens."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(600):
            with socket.socket() as sock:
                if sock.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            time.sleep(0.05)
        raise RuntimeError(f"{self._command[0]} does not listen on port {self.port}")

    def stop(self) -> None:
        """Stop it the kind way."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()

    def save(self) -> None:
        """Let Mosquitto write its queues to disk: by itself it does so every 30 minutes."""
        if self._process is not None:
            self._process.send_signal(signal.SIGUSR1)

    def kill(self) -> None:
        """Stop it with kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def mosquitto(directory: Path, extra: str = "", listener: str = "allow_anonymous true") -> Broker:
    """Make a Mosquitto that keeps its state in `directory`; `extra` and `listener` are lines of its configuration."""
    assert MOSQUITTO is not None
    port = free_port()
    config = directory / "mosquitto.conf"
    user = "" if sys.platform == "win32" else "user root\n"
    general = _MOSQUITTO.format(directory=directory)
    config.write_text(f"{user}{general}{extra}\nlistener {port} 127.0.0.1\n{listener}\n")
    return Broker([MOSQUITTO, "-c", str(config)], port)


def built_in(directory: Path) -> Broker:
    """Make the broker that comes with the hub."""
    port = free_port()
    config = directory / "broker.toml"
    config.write_text(_BUILT_IN.format(port=port))
    return Broker([sys.executable, "-c", _SERVE, str(config)], port)
