"""A broker of its own for a bench: Mosquitto where the program is installed, else the built-in one."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hub.broker import BuiltInBroker
from hub.rig.broker import PROGRAM, free_port, mosquitto
from ingest.address import Address


@contextmanager
def local_broker() -> Iterator[tuple[str, Address]]:
    """Run a broker in memory for the time of a bench; gives its name and address."""
    with tempfile.TemporaryDirectory() as directory:
        if PROGRAM is None:
            with _built_in(Path(directory)) as address:
                yield "built-in", address
        else:
            with _mosquitto(Path(directory)) as address:
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
def _mosquitto(directory: Path) -> Iterator[Address]:
    broker = mosquitto(directory, persistent=False).start()
    try:
        yield broker.address()
    finally:
        broker.stop()
