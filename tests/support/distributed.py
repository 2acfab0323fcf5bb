"""A distributed hub as users run it: Mosquitto, a real Kafka, and every service as a process of its own."""

import asyncio
import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer  # type: ignore[import-untyped]

from ingest.log.topics import Topics, ends
from lab.rig.broker import free_port
from lab.rig.chain import Chain, missing
from lab.rig.kafka import KafkaServer
from tests.support.hubs import Asked
from tests.support.programs import ForkedService, command


def programs_or_skip() -> None:
    """Skip, naming what this machine lacks for a distributed hub."""
    if lacking := missing():
        pytest.skip(f"no {', '.join(lacking)} on this machine")


class DistributedHub(Chain, Asked):
    """The services around one Mosquitto, one Kafka and one database, asked as the embedded hub is."""

    _made = ForkedService

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run another command of `stadspuls` against this hub."""
        return command(*words, f"--data-dir={self.directory}", environment=self.environment())

    def run(self, *words: str, code: int = 0) -> str:
        """Run another command against this hub and give its stdout."""
        done = self.command(*words)
        assert done.returncode == code, f"exit {done.returncode}, expected {code}: {done.stderr}"
        return done.stdout


@contextlib.contextmanager
def distributed_hub(
    directory: Path, database: str, kafka: KafkaServer | None = None, **more: int
) -> Iterator[DistributedHub]:
    """Give a distributed hub that is ready, on a Kafka of its own where none is given, and leave nothing of it."""
    programs_or_skip()
    hub = DistributedHub.local(directory, database, kafka=kafka, **more)
    try:
        hub.start()
        yield hub
    except Exception as error:
        error.add_note(hub.last_lines())
        raise
    finally:
        hub.clean_up()


@contextlib.contextmanager
def kafka_server(directory: Path) -> Iterator[KafkaServer]:
    """Give a Kafka that runs, and end it whatever the test did to it."""
    programs_or_skip()
    server = KafkaServer(directory, free_port(), free_port()).start()
    try:
        yield server
    finally:
        server.kill()


def records(topics: Topics, seconds: float = 20.0) -> list[tuple[str, int, bytes]]:
    """Read everything that is on the log: topic, partition and value."""

    reach = sum(ends(topics).values())

    async def read() -> list[tuple[str, int, bytes]]:
        reader = AIOKafkaConsumer(*topics.names, bootstrap_servers=topics.servers, auto_offset_reset="earliest")
        await reader.start()
        try:
            found: list[tuple[str, int, bytes]] = []
            while len(found) < reach:
                record = await asyncio.wait_for(reader.getone(), seconds)
                found.append((record.topic, record.partition, record.value))
            return found
        finally:
            await reader.stop()

    return asyncio.run(read())
