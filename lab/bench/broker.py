"""A broker of its own for a bench: Mosquitto where the program is installed, else the built-in one."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hub.servers.broker import BuiltInBroker
from ingest.mqtt.address import Address
from lab.rig.broker import PROGRAM, free_port, mosquitto


@contextmanager
def local_broker() -> Iterator[tuple[str, Address]]:
    """Run a broker in memory for the time of a bench; gives its name and address."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        broker = mosquitto(directory, persistent=False) if PROGRAM else BuiltInBroker(directory, port=free_port())
        broker.start()
        try:
            yield "mosquitto" if PROGRAM else "built-in", Address("127.0.0.1", broker.port)
        finally:
            broker.stop()
