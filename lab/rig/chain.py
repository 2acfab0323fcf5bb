"""
A distributed hub on one machine: Mosquitto, a real Kafka, a database, and every service as a process of its own.

    broker ──▶ collect ──▶ Kafka ──▶ work ──▶ database ◀── rollup, serve

The tests of the distributed hub and the chaos run use it. `Addresses` are those by which the services reach the
servers: not the direct ones where a relay stands between them.
"""

import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Self

from aggregates.store.errors import StoreError
from aggregates.store.health import positions, state
from aggregates.store.store import Store
from hub.servers.process import CannotStart
from ingest.log.topics import NoAnswer, Topics, ends
from lab.rig.broker import PROGRAM, Broker, free_port, mosquitto
from lab.rig.kafka import KafkaServer, missing_programs
from lab.rig.service import COMMAND, Service, environment, repeated

_READY_WITHIN = 90.0  # s
_QUIET = 4  # looks without a change after which nothing is on its way any more
_LOOK = 0.3  # s
_NONE: Mapping[str, str] = MappingProxyType({})


def missing() -> list[str]:
    """Name the programs that a distributed hub needs and this machine lacks."""
    return missing_programs() + ([] if PROGRAM else ["mosquitto"])


@dataclass(frozen=True, slots=True)
class Addresses:
    """How services reach broker, Kafka and database: URL, servers, and URL."""

    broker: str
    kafka: str
    database: str


class Chain:
    """
    Servers and services; `start` starts what does not run, and any of it may be killed.

    `topics` are given where others use the same Kafka, which then outlives the chain; `settings` are more of the
    services' own.
    """

    _made: type[Service] = Service

    def __init__(
        self, directory: Path, broker: Broker, kafka: KafkaServer, database: str, addresses: Addresses | None = None,
        collectors: int = 1, workers: int = 1, topics: Topics | None = None, settings: Mapping[str, str] = _NONE,
    ) -> None:  # fmt: skip
        self.directory = directory
        self.broker, self.kafka, self.database = broker, kafka, database
        self.topics = topics or Topics(kafka.servers)
        self._shares_kafka, self._more = topics is not None, settings
        self.services: list[Service] = []
        self._addresses = addresses or Addresses(f"mqtt://127.0.0.1:{broker.port}", kafka.servers, database)
        self._broker_runs = False
        self.collectors = [self.service("collect") for _ in range(collectors)]
        self.workers = [self.service("work") for _ in range(workers)]
        self.rollup, self.serve = self.service("rollup"), self.service("serve")
        self.mqtt_port, self.http_port = broker.port, self.serve.port

    @classmethod
    def local(
        cls, directory: Path, database: str, collectors: int = 1, workers: int = 1, kafka: KafkaServer | None = None
    ) -> Self:
        """Make one with a broker of its own, and a Kafka where none is given; raises CannotStart without a program."""
        if lacking := missing():
            raise CannotStart(f"no {', '.join(lacking)} on this machine")
        directory.mkdir(parents=True, exist_ok=True)
        name = directory.name
        topics = Topics(kafka.servers, f"{name}-readings", f"{name}-dead-letters") if kafka else None
        kafka = kafka or KafkaServer(directory / "kafka", free_port(), free_port())
        return cls(directory, mosquitto(directory), kafka, database, None, collectors, workers, topics)

    def service(self, *words: str) -> Service:
        """Make another service; the caller starts it, `clean_up` ends it."""
        log = self.directory / f"{words[0]}{len(self.services)}.log"
        made = self._made(words, {**self._settings(), "data_dir": str(self.directory)}, log)
        self.services.append(made)
        return made

    def _settings(self) -> dict[str, str]:
        return {
            "broker": self._addresses.broker, "kafka": self._addresses.kafka, "database": self._addresses.database,
            "kafka_topic": self.topics.readings, "kafka_dead_letters": self.topics.dead_letters,
            "kafka_group": self.topics.readings, **self._more,
        }  # fmt: skip

    def start(self, seconds: float = _READY_WITHIN) -> None:
        """Start what does not run, and wait until all of it is ready."""
        if not self._broker_runs:
            self.broker.start()
            self._broker_runs = True
        if self.kafka.pid is None:
            self.kafka.start()
        wanted = [*self.collectors, *self.workers, self.rollup, self.serve]
        for service in wanted:
            if not service.alive:
                service.start()
        for service in wanted:
            service.wait_ready(seconds)

    def kill(self) -> None:
        """Kill -9 every service; broker, Kafka and database live on."""
        for service in self.services:
            service.kill()

    def clean_up(self) -> None:
        """Leave no process behind."""
        self.kill()
        if not self._shares_kafka:
            self.kafka.kill()
        self.broker.kill()

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run another command of `stadspuls` against this hub."""
        return subprocess.run(
            [*COMMAND, *words, f"--data-dir={self.directory}"], env=self.environment(),
            capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip

    def environment(self) -> dict[str, str]:
        """Give the environment of its services and commands."""
        return {**os.environ, **environment(self._settings())}

    def settle(self, seconds: float = 180.0) -> None:
        """Wait until nothing is on its way: at the collectors, on the log, for the roll-up. Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        before, quiet = -1, 0
        while quiet < _QUIET:
            received, waiting = self.on_their_way()
            if time.monotonic() > deadline:
                raise TimeoutError(f"not settled after {seconds:.0f} s, {received} messages received: {waiting}")
            quiet = quiet + 1 if received == before and not waiting else 0
            before = received
            time.sleep(_LOOK)

    def on_their_way(self) -> tuple[int, dict[str, int | str]]:
        """Give the messages received by collectors that run, and how much is not yet settled, by place."""
        try:
            health = {service.name: service.health() for service in self.collectors if service.alive}
            waiting = {f"in {name}": one["messages_in_flight"] + one["readings_in_flight"]
                       for name, one in health.items()}  # fmt: skip
            with closing(Store(self.database)) as store:
                stored = positions(store)
                marks = state(store, datetime.now(UTC)).marks
            for (topic, partition), end in ends(self.topics).items():
                waiting[f"on {topic}/{partition}"] = end - stored.get((topic, partition), 0)
            waiting["hours marked"] = marks
            received = sum(one["messages_received"] for one in health.values())
            return received, {place: number for place, number in waiting.items() if number}
        except (OSError, NoAnswer, StoreError) as error:
            return -1, {"not known": str(error)}

    def last_lines(self, lines: int = 5) -> str:
        """Give the last lines of each service's log."""
        return "\n".join(
            f"{service.name}: {line}" for service in self.services for line in service.log().splitlines()[-lines:]
        )


@contextmanager
def supervised(chain: Chain) -> Iterator[list[Service]]:
    """Restart services that ended, as a service manager does; the list that is given grows with each restart."""
    restarted: list[Service] = []

    def restart() -> None:
        for service in [*chain.collectors, *chain.workers, chain.rollup, chain.serve]:
            if service.process is not None and not service.alive:
                service.start()
                restarted.append(service)

    with repeated(restart, 0.2):
        yield restarted
