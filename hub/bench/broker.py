"""A broker of its own for a bench: Mosquitto where the program is installed, else the built-in one."""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hub.broker import BuiltInBroker
from ingest.address import Address

_MOSQUITTO = """
listener {port} 127.0.0.1
allow_anonymous true
max_queued_messages 0
max_inflight_messages 0
set_tcp_nodelay true
"""


@contextmanager
def local_broker() -> Iterator[tuple[str, Address]]:
    """Run a broker in memory for the time of a bench; gives its name and address."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    with tempfile.TemporaryDirectory() as directory:
        if program is None:
            with _built_in(Path(directory)) as address:
                yield "built-in", address
        else:
            with _mosquitto(program, Path(directory)) as address:
                yield "mosquitto", address


@contextmanager
def _built_in(directory: Path) -> Iterator[Address]:
    broker = BuiltInBroker(directory, port=free_port())
    broker.start()
    try:
        yield Address.parse(broker.url)
    finally:
        broker.stop()


@contextmanager
def _mosquitto(program: str, directory: Path) -> Iterator[Address]:
    port = free_port()
    config = directory / "mosquitto.conf"
    config.write_text(_MOSQUITTO.format(port=port))
    process = subprocess.Popen([program, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _await(port)
        yield Address("127.0.0.1", port)
    finally:
        process.terminate()
        process.wait(10)


def _await(port: int) -> None:
    for _ in range(200):
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"mosquitto does not listen on port {port} after 10 s")


def free_port() -> int:
    """Give a port that was free a moment ago."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
