"""A distributed hub as users run it: Mosquitto, a real Kafka, and every service as a process of its own."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer  # type: ignore[import-untyped]

from aggregates.store import Store, StoreError
from hub.kafkaserver import KafkaServer, missing_programs
from ingest.topics import NoAnswer, Topics, ends
from tests.brokers import MOSQUITTO, mosquitto
from tests.hubs import UpHub, command, free_port


def programs_or_skip() -> None:
    """Skip, naming what this machine lacks for a distributed hub."""
    missing = missing_programs() + ([] if MOSQUITTO else ["mosquitto"])
    if missing:
        pytest.skip(f"no {', '.join(missing)} on this machine")


class Service:
    """One service as a process, with its metrics port; `start` and `kill` may take turns."""

    def __init__(self, words: Sequence[str], environment: dict[str, str], log: Path) -> None:
        self.port = free_port()
        self._words = [*command(), *words]
        # Not every service has every port, so both are given where nobody refuses them.
        ports = {"STADSPULS_METRICS_PORT": str(self.port), "STADSPULS_HTTP_PORT": str(self.port)}
        self._environment = {**os.environ, **environment, **ports}
        self._log = log
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Service":
        """Start, and do not wait."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                self._words, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )
        return self

    @property
    def alive(self) -> bool:
        """Tell whether the process runs."""
        return self.process is not None and self.process.poll() is None

    def wait_ready(self, seconds: float = 60.0) -> "Service":
        """Wait until it says that it is ready."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.alive:
            with contextlib.suppress(OSError, urllib.error.URLError):
                self.get("/readyz")
                return self
            time.sleep(0.05)
        raise AssertionError(f"{self._words[1]} did not become ready: {self.log()}")

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
        """What it said."""
        return self._log.read_text(errors="replace")

    def get(self, path: str) -> str:
        """Ask its HTTP side."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
            return str(answer.read().decode())

    def health(self) -> dict[str, Any]:
        """Ask `/healthz`."""
        answer: dict[str, Any] = json.loads(self.get("/healthz"))
        return answer

    def metric(self, name: str) -> float:
        """Ask `/metrics` for the number of the line that begins with `name`."""
        (line,) = [line for line in self.get("/metrics").splitlines() if line.startswith(name)]
        return float(line.rpartition(" ")[2])


class DistributedHub(UpHub):
    """The services around one Mosquitto, one Kafka and one database, behind the same methods as the embedded hub."""

    def __init__(self, directory: Path, database: str, collectors: int = 1, workers: int = 1) -> None:
        super().__init__(directory)
        directory.mkdir(parents=True, exist_ok=True)
        self._url = database
        self.broker = mosquitto(directory)
        self.mqtt_port = self.broker.port
        self.kafka = KafkaServer(directory / "kafka", free_port(), free_port())
        self.topics = Topics(self.kafka.servers)
        self.collectors = [self.service("collect") for _ in range(collectors)]
        self.workers = [self.service("work") for _ in range(workers)]
        self.rollup, self.serve = self.service("rollup"), self.service("serve")
        self._stopped = True

    def service(self, *words: str) -> Service:
        """Make another service; the caller starts it, `clean_up` ends it."""
        self._made = getattr(self, "_made", [])
        environment = {
            "STADSPULS_BROKER": f"mqtt://127.0.0.1:{self.mqtt_port}",
            "STADSPULS_KAFKA": self.kafka.servers,
            "STADSPULS_DATABASE": self._url,
            "STADSPULS_DATA_DIR": str(self.directory),
        }
        made = Service(words, environment, self.directory / f"{words[0]}{len(self._made)}.log")
        self._made.append(made)
        return made

    @property
    def services(self) -> list[Service]:
        """Every service made so far."""
        return list(self._made)

    def start(self, seconds: float = 90.0) -> None:  # type: ignore[override]
        """Start what does not run, and wait until all of it is ready."""
        if self._stopped:
            self.broker.start()
            self._stopped = False
        if self.kafka.pid is None:
            self.kafka.start()
        wanted = [*self.collectors, *self.workers, self.rollup, self.serve]
        for service in wanted:
            if not service.alive:
                service.start()
        for service in wanted:
            service.wait_ready(seconds)
        self.http_port = self.serve.port

    def kill(self) -> None:
        """Kill -9 every service; broker, Kafka and database live on."""
        for service in self.services:
            service.kill()

    def clean_up(self) -> None:
        """Leave no process behind."""
        self.kill()
        self.kafka.kill()
        self.broker.kill()

    def run(self, *words: str, code: int = 0) -> str:
        """Run another command against this hub and give its stdout."""
        flags = [f"--data-dir={self.directory}"]
        named = {"STADSPULS_BROKER": f"mqtt://127.0.0.1:{self.mqtt_port}", "STADSPULS_DATABASE": self._url}
        done = subprocess.run(
            [*command(), *words, *flags], env={**os.environ, **named, "STADSPULS_KAFKA": self.kafka.servers},
            capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        assert done.returncode == code, f"exit {done.returncode}, expected {code}: {done.stderr}"
        return done.stdout

    def settle(self, seconds: float = 180.0) -> None:
        """Wait until nothing is on its way: at the collectors, on the log, and for the roll-up."""
        deadline = time.monotonic() + seconds
        before, quiet = -1, 0
        while quiet < 4:
            assert time.monotonic() < deadline, f"not settled: {self.state()}"
            received, on_their_way = self.state()
            quiet = quiet + 1 if received == before and not on_their_way else 0
            before = received
            time.sleep(0.3)

    def state(self) -> tuple[int, int]:
        """Give the messages received by collectors that run, and what is still on its way (1: somebody is away)."""
        try:
            health = [service.health() for service in self.collectors if service.alive]
            waiting = sum(one["messages_in_flight"] + one["readings_in_flight"] for one in health)
            with closing(Store(self._url)) as store:
                stored = {(topic, partition): position for topic, partition, position in store.rows("positions")}
            lag = sum(end - stored.get(home, 0) for home, end in ends(self.topics).items())
            marks = self.metric("stadspuls_rollup_marks")
            return sum(one["messages_received"] for one in health), int(waiting + lag + marks)
        except (OSError, NoAnswer, StoreError):
            return -1, 1

    @property
    def database(self) -> str:
        """The URL of the hub's database."""
        return self._url


@contextlib.contextmanager
def distributed_hub(directory: Path, database: str, **more: int) -> Iterator[DistributedHub]:
    """Give a distributed hub that is ready, and leave nothing of it behind."""
    programs_or_skip()
    hub = DistributedHub(directory, database, **more)
    try:
        hub.start()
        yield hub
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
