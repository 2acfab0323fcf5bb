"""
What Faust workers on Kafka do: readings a second of one beside a plain Faust agent, and what more of them cost.

The log is filled before the time begins, with the records that a collector would make of minute after minute. The
workers are `stadspuls work`, processes of their own, with real transactions into a real database: readings, 5-minute
rows, marks, position, accounting. The time runs from the first commit that is seen to the last.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import psutil

from aggregates.store.migrate import Edition
from aggregates.store.store import Store
from hub.settings.settings import Settings
from ingest.log.kafka import KafkaLog
from ingest.log.topics import Topics, make_topics
from ingest.vocabulary.batch import Batch
from lab.load.balances import balances
from lab.load.plain import RATE
from lab.load.result import Result
from lab.load.servers import database, empty, processes_of, scratch, until
from lab.load.traffic import Traffic
from lab.rig.broker import free_port
from lab.rig.kafka import KafkaServer
from lab.rig.service import Service

BATCH = 10_000  # readings that a collector packs together
_PATIENCE = 300.0  # s
BESIDE = ("quixstreams", "bytewax")  # other frameworks, measured where they are installed


class Run:
    """What some workers did with the log: rate in readings/s, CPU seconds by process (0: unknown), memory in bytes."""

    def __init__(self, rate: float, workers_cpu: float, database_cpu: float, readings: int, pss: int) -> None:
        self.rate, self.pss = rate, pss
        self.cpu_us = {"workers": workers_cpu / readings * 1e6, "database": database_cpu / readings * 1e6}

    def details(self) -> dict[str, object]:
        """Give it as details of a result."""
        return {
            "readings_s": round(self.rate), "pss_mb_a_worker": round(self.pss / 1e6),
            "cpu_us_a_reading": {name: round(used, 2) for name, used in self.cpu_us.items()},
        }  # fmt: skip


class Line:
    """A Kafka and an empty database, and the workers between them."""

    def __init__(self, directory: Path, kafka: KafkaServer, store: Store, edition: Edition) -> None:
        self.directory, self.kafka, self.store, self.edition = directory, kafka, store, edition
        self._number = 0

    def fill(self, series: int, readings: int) -> Topics:
        """Empty the database, and put readings of so many series on a log of its own."""
        empty(self.store)
        self._number += 1
        topics = Topics(self.kafka.servers, f"readings-{self._number}", f"dead-letters-{self._number}", partitions=8)
        make_topics(topics)
        self._traffic = Traffic(self.store, series)
        self.more(topics, 0, readings // series)
        return topics

    def more(self, topics: Topics, minute: int, minutes: int) -> None:
        """Put further minutes of the same series on the log, as a collector would."""
        log = KafkaLog(topics, together=BATCH)
        for at in range(minute, minute + minutes):
            rows = self._traffic.batch(self._traffic.rows(at, 1)).readings
            for first in range(0, rows.num_rows, BATCH):
                log.put(Batch(rows.slice(first, BATCH)), lambda: None)
        log.close()

    @contextmanager
    def workers(self, topics: Topics, count: int) -> Iterator[list[Service]]:
        """Run so many workers."""
        settings = {
            "kafka": topics.servers, "kafka_topic": topics.readings, "kafka_dead_letters": topics.dead_letters,
            "kafka_group": topics.readings, "database": self.store.conninfo, "data_dir": str(self.directory),
        }  # fmt: skip
        with ExitStack() as undo:
            made = [Service(["work"], settings, self.directory / f"work{at}.log") for at in range(count)]
            for service in made:
                undo.callback(service.kill)
                service.start()
            yield made

    def stored(self) -> int:
        """Count the readings that were committed; one that is read again is not stored again."""
        return sum(one.stored for one in balances(self.store))

    def wait(self, readings: int) -> float:
        """Wait until so many are committed, and give the moment; raises TimeoutError."""
        until(self.stored, readings, "readings committed", _PATIENCE)
        return time.perf_counter()

    def run(self, series: int, readings: int, count: int) -> Run:
        """Let so many workers store a full log."""
        topics = self.fill(series, readings)
        with self.workers(topics, count) as services:
            began = self.wait(1)
            first, cpu = self.stored(), self._cpu(services)
            ended = self.wait(readings)
            workers, postgres = (after - before for after, before in zip(self._cpu(services), cpu, strict=True))
            pss = max(_pss(service) for service in services)
        return Run((readings - first) / (ended - began), workers, postgres, readings - first, pss)

    def size(self, readings: int) -> dict[str, object]:
        """Bytes on disk, indexes included, of a reading and of its share of a 5-minute row."""
        ((reading,),), ((window,),) = (
            self.store.rows("read_table_size", table=name) for name in ("reading", "window_5m")
        )
        return {"bytes_a_reading": round(reading / readings), "bytes_of_windows_a_reading": round(window / readings)}

    def _cpu(self, services: list[Service]) -> tuple[float, float]:
        ours = [psutil.Process(service.process.pid) for service in services if service.process]
        return _seconds(ours), _seconds(processes_of(self.store))


def _seconds(processes: list[psutil.Process]) -> float:
    """CPU time of processes, and of those of their children that have ended."""
    total = 0.0
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            used = process.cpu_times()
            total += used.user + used.system + used.children_user + used.children_system
    return total


def _pss(service: Service) -> int:
    assert service.process
    return int(psutil.Process(service.process.pid).memory_full_info().pss)


@contextmanager
def line(settings: Settings) -> Iterator[Line]:
    """Start a Kafka and a database for the time of a bench; raises CannotStart where a program is missing."""
    with scratch(settings) as directory, database(settings) as (store, edition):
        kafka = KafkaServer(directory / "kafka", free_port(), free_port())
        try:
            yield Line(directory, kafka.start(), store, edition)
        finally:
            kafka.kill()


def worker(settings: Settings, readings: int = 2_000_000, plain: int = 30_000) -> Result:
    """Measure one worker beside a plain Faust agent."""
    with line(settings) as found:
        ours = found.run(5_000, readings, 1)
        size = found.size(readings)
        baseline = _plain(found, plain)
        beside = {name: _beside(found, name, plain) for name in BESIDE}
    details = {"edition": str(found.edition), "series": 5_000, "readings": readings, **ours.details(), **size, **beside}
    name = "plain Faust agent, a table updated for each reading, no database"
    return Result("worker", ours.rate, "readings/s", baseline, name, ours.rate / baseline, details)


def _plain(found: Line, readings: int) -> float:
    make_topics(Topics(found.kafka.servers, "plain", "plain-dead-letters", partitions=1))
    return _rate("lab.load.plain", found.kafka.servers, str(readings), str(found.directory))


def _beside(found: Line, name: str, readings: int) -> object:
    """Let another framework sum the readings that the plain agent had; text where it is not installed, or fails."""
    if find_spec(name) is None:
        return f"not measured: {name} is not installed"
    words = name, found.kafka.servers, str(readings), str(found.directory), found.store.conninfo
    try:
        return {"readings_s": round(_rate("lab.load.beside", *words))}
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        return f"not measured: {error}"


def _rate(module: str, *words: str) -> float:
    command = [sys.executable, "-P", "-m", module, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_PATIENCE)
    rates = [line.removeprefix(RATE) for line in done.stdout.splitlines() if line.startswith(RATE)]
    if not rates:
        raise RuntimeError(f"{module} ended with {done.returncode}: {done.stdout[-500:]} {done.stderr[-500:]}")
    return float(rates[0])


def scale(settings: Settings, readings: int = 1_000_000, counts: tuple[int, ...] = (1, 2, 4)) -> Result:
    """Measure one and more workers, 1,000 and 100,000 series, and how soon a worker commits after an end."""
    few, many = readings // 1_000, readings // 10
    with line(settings) as found:
        by_workers = {count: found.run(5 * few, readings, count) for count in counts}
        small, large = found.run(few, readings, 1), found.run(many, readings, 1)
        starts = _starts(found, many)
    cost = small.rate / large.rate
    details: dict[str, object] = {
        "edition": str(found.edition), "readings": readings,
        "workers": {str(count): run.details() for count, run in by_workers.items()},
        f"{few}_series": small.details(), f"{many}_series": large.details(), **starts,
    }  # fmt: skip
    name = f"seconds a reading at {few} series; the ratio is how many times that at {many}"
    return Result("scale", 1e6 / large.rate, "us a reading", 1e6 / small.rate, name, cost, details)


def _starts(found: Line, series: int) -> dict[str, object]:
    """Seconds from the start of a worker to its first commit, after a clean stop and after kill -9."""
    topics = found.fill(series, series)
    with found.workers(topics, 1):
        found.wait(series)
    seconds: dict[str, object] = {}
    ends: dict[str, Callable[[Service], object]] = {"after_stop_s": Service.stop, "after_kill_s": Service.kill}
    for minute, (name, end) in enumerate(ends.items(), 1):
        with found.workers(topics, 1) as (first,):
            first.wait_ready()
            end(first)
        found.more(topics, minute, 1)
        began = time.perf_counter()
        with found.workers(topics, 1):
            seconds[name] = round(found.wait(series * minute + 1) - began, 1)
            found.wait(series * (minute + 1))
    return seconds
