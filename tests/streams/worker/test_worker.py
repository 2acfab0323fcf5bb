"""The Faust worker as a process of its own, on a real Kafka: what it stores, what it survives, and what it re-reads."""

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]

from hub.servers.postgres import EmbeddedPostgres
from ingest.log.kafka import KafkaLog
from ingest.log.topics import Topics, make_topics
from ingest.vocabulary.batch import Batch
from lab.rig.kafka import KafkaServer
from lab.rig.service import Service
from tests.ingest.log.test_records import SENSORS, batch, reading
from tests.support.databases import fresh_database
from tests.support.lines import until
from tests.support.programs import ForkedService

pytestmark = pytest.mark.kafka


class Line:
    """Topics, a group and a database of a test's own, and the workers on them."""

    def __init__(self, kafka: KafkaServer, name: str, database: str, directory: Path, partitions: int = 2) -> None:
        self.topics = Topics(kafka.servers, f"{name}-readings", f"{name}-dead-letters", partitions=partitions)
        self.database = database
        self.made: list[Service] = []
        self._name, self._directory = name, directory
        make_topics(self.topics)

    def start_worker(self, kind: type[Service] = ForkedService) -> Service:
        """Start a worker, and do not wait."""
        settings = {
            "kafka": self.topics.servers, "kafka_topic": self.topics.readings,
            "kafka_dead_letters": self.topics.dead_letters, "kafka_group": self._name, "database": self.database,
            "data_dir": str(self._directory),
        }  # fmt: skip
        self.made.append(kind(["work"], settings, self._directory / f"work{len(self.made)}.log"))
        return self.made[-1].start()

    def worker(self, kind: type[Service] = ForkedService) -> Service:
        """Start a worker and wait until it has its share."""
        return self.start_worker(kind).wait_ready()

    def put(self, first: int, last: int) -> None:
        """Put minutes of every sensor on the log."""
        log = KafkaLog(self.topics)
        for minute in range(first, last):
            log.put(batch([reading(sensor, minute) for sensor in SENSORS]), lambda: None)
        assert log.close(30)

    def produce(self, *values: bytes) -> None:
        """Put bytes on the log, whatever they are."""

        async def send() -> None:
            producer = AIOKafkaProducer(bootstrap_servers=self.topics.servers)
            await producer.start()
            for value in values:
                await producer.send_and_wait(self.topics.readings, value, partition=0)
            await producer.stop()

        asyncio.run(send())

    def ask(self, query: str) -> list[tuple[object, ...]]:
        """Ask the database, or change it."""
        with psycopg.connect(self.database) as connection:
            cursor = connection.execute(query.encode())
            return cursor.fetchall() if cursor.description else []

    def stored(self) -> int:
        """Count the readings."""
        ((count,),) = self.ask("SELECT count(*) FROM reading")
        return int(str(count))

    def wait_stored(self, count: int) -> None:
        """Wait until so many are stored."""
        until(lambda: self.stored() == count)


NUMBERS = itertools.count()


@pytest.fixture
def new_line(kafka: KafkaServer, tmp_path: Path) -> Iterator[Callable[[str], Line]]:
    """Make lines, and end their workers."""
    made: list[Line] = []

    def make(database: str) -> Line:
        made.append(Line(kafka, f"line{next(NUMBERS)}", database, tmp_path))
        return made[-1]

    yield make
    for line in made:
        for worker in line.made:
            worker.kill()


@pytest.fixture
def line(new_line: Callable[[str], Line], postgres: str) -> Iterator[Line]:
    """A line on a fresh database."""
    with fresh_database(postgres) as database:
        yield new_line(database)


def test_stores_and_stops_in_time(line: Line) -> None:
    """What is on the log is stored with its position; a clean stop is quick, the next worker does not begin anew."""
    line.put(0, 10)
    worker = line.worker()
    line.wait_stored(10 * len(SENSORS))
    until(lambda: worker.metric("stadspuls_work_lag") == 0)
    assert worker.stop() == 0
    line.put(10, 12)
    again = line.worker()
    line.wait_stored(12 * len(SENSORS))
    read = again.metric("stadspuls_work_readings_total")
    assert 2 * len(SENSORS) <= read < 12 * len(SENSORS)  # on a busy machine the last commit may not reach Kafka in time
    assert again.metric("stadspuls_work_batch_readings_sum") == read
    assert again.metric("stadspuls_work_batch_seconds_count") == again.metric("stadspuls_work_transactions_total")
    assert again.metric("stadspuls_work_retries_total") == 0
    assert line.ask("SELECT sum(duplicate)::int FROM accounting") == [(read - 2 * len(SENSORS),)]


def test_poison(line: Line) -> None:
    """A record that is no batch, one of other columns, and a reading of an unknown quantity become dead letters."""
    unknown = batch([reading("ndw/1", 0), reading("ndw/2", 0)._replace(quantity="happiness")])
    other = Batch(unknown.readings.select(["value"]))
    worker = line.worker()
    line.produce(b"nonsense", b"", other.to_ipc(), unknown.to_ipc())
    line.put(1, 2)
    line.wait_stored(1 + len(SENSORS))
    reasons = [str(reason) for (reason,) in line.ask("SELECT reason FROM dead_letter ORDER BY reason")]
    assert len(reasons) == 4
    assert reasons[0] == "quantity not in the registry of the worker"
    assert all(reason.startswith("record not understood") for reason in reasons[1:])
    assert worker.metric("stadspuls_work_poisoned_total") == 3


def test_database_behind_the_group(line: Line) -> None:
    """After a back-up is restored the worker reads again from where the database is."""
    worker = line.worker()
    line.put(0, 5)
    line.wait_stored(5 * len(SENSORS))
    assert worker.stop() == 0
    line.ask("DELETE FROM reading; DELETE FROM log_position")
    line.worker()
    line.wait_stored(5 * len(SENSORS))
    assert "reading again" in line.made[-1].log()


@pytest.mark.slow
def test_killed_while_it_stores(line: Line) -> None:
    """A worker killed at any moment: the next one has everything, once."""
    for part in range(4):
        worker = line.worker()
        line.put(part * 10, part * 10 + 10)
        worker.kill()
    line.worker()
    line.wait_stored(40 * len(SENSORS))
    assert line.ask("SELECT sum(readings)::int FROM window_5m") == [(40 * len(SENSORS),)]


@pytest.mark.slow
def test_first_records_during_a_rebalance(kafka: KafkaServer, postgres: str, tmp_path: Path) -> None:
    """
    Single records come to many partitions, mostly their first, while a second worker joins and leaves: all are stored.

    Faust throws away what arrives during a rebalance, and reads it again only where something is committed.
    """
    with fresh_database(postgres) as database:
        line = Line(kafka, f"line{next(NUMBERS)}", database, tmp_path, partitions=60)
        feed = Feed(line.topics)
        try:
            line.worker()
            feed.start()
            for _ in range(4):
                joining = line.worker()
                time.sleep(1)
                assert joining.stop() == 0
            line.wait_stored(feed.stop())
        finally:
            for worker in line.made:
                worker.kill()


class Feed(threading.Thread):
    """Puts one reading of a new sensor on the log every tenth of a second."""

    def __init__(self, topics: Topics) -> None:
        super().__init__(daemon=True)
        self._log = KafkaLog(topics)
        self._ended = threading.Event()
        self._count = 0

    def run(self) -> None:
        while not self._ended.wait(0.1):
            self._log.put(batch([reading(f"ndw/{self._count}", 0)]), lambda: None)
            self._count += 1

    def stop(self) -> int:
        """End when all is on the log, and give how many readings that is."""
        self._ended.set()
        self.join()
        assert self._log.close(30)
        return self._count


@pytest.mark.parametrize("fault", [
    "from streams.worker.partitions import Order; Order.check = lambda *_: 'skip'",
    pytest.param(
        "from streams.worker.partitions import Partitions; Partitions.assign = _nothing", marks=pytest.mark.slow
    ),
    pytest.param("from streams.worker.worker import Worker; Worker.ready = False", marks=pytest.mark.slow),
], ids=["skips everything", "nothing assigned", "never ready"])  # fmt: skip
@pytest.mark.slow
def test_stuck(line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    """
    A worker that stores nothing while Kafka has records ends with a log message, whatever the fault; the next goes on.

    Python loads a module named `sitecustomize` when it starts, which makes the fault.
    """
    line.put(0, 5)
    faulty = (
        "import streams.worker.worker\nstreams.worker.worker._CHECK_EVERY = 0.5\nasync def _nothing(*_): pass\n" + fault
    )
    (tmp_path / "sitecustomize.py").write_text(faulty, encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tmp_path))
        stuck = line.start_worker(Service)  # which reads sitecustomize
    until(lambda: not stuck.alive)
    assert stuck.process is not None
    assert stuck.process.poll() == 3
    assert "the worker ends, another process reads on" in stuck.log()
    line.worker()
    line.wait_stored(5 * len(SENSORS))


def test_topics_not_seen(line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Kafka that has just started may not list its topics yet: a worker without partitions soon asks again."""
    unseen = """
import time
from aiokafka.cluster import ClusterMetadata
from faust.assignor.partition_assignor import PartitionAssignor
seen, assign, assigned = ClusterMetadata.partitions_for_topic, PartitionAssignor.assign, []
def partitions_for_topic(cluster, topic):
    return seen(cluster, topic) if assigned and time.monotonic() > assigned[0] + 2 else None
def noted(*given):
    assigned.append(time.monotonic())
    return assign(*given)
ClusterMetadata.partitions_for_topic, PartitionAssignor.assign = partitions_for_topic, noted
"""
    (tmp_path / "sitecustomize.py").write_text(unseen, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    line.put(0, 5)
    worker = line.worker(Service)
    line.wait_stored(5 * len(SENSORS))
    assert "Ignoring missing topic" in worker.log()
    assert worker.metric("stadspuls_work_rebalances_total") > 1


def test_more_workers_than_partitions(line: Line) -> None:
    """A worker without a partition waits, and takes over when another one stops."""
    workers = [line.worker() for _ in range(3)]
    until(lambda: sum(worker.metric("stadspuls_work_partitions") for worker in workers) == 4)
    assert all(worker.alive for worker in workers)
    for worker in workers[:2]:
        assert worker.stop() == 0
    line.put(0, 5)
    line.wait_stored(5 * len(SENSORS))


def test_database_away(new_line: Callable[[str], Line], tmp_path: Path) -> None:
    """While the database is away a worker stays in the group, its lag grows, it stops in time, and it goes on after."""
    server = EmbeddedPostgres(tmp_path / "server")
    server.start()
    try:
        with fresh_database(server.conninfo) as database:
            line = new_line(database)
            patient, hasty = line.worker(), line.worker()
            process = server.process()
            assert process is not None
            process.kill()
            line.put(0, 5)
            until(lambda: "database away" in patient.log() and "database away" in hasty.log())
            lag = patient.metric("stadspuls_work_lag")
            line.put(5, 10)
            until(lambda: patient.metric("stadspuls_work_lag") > lag)
            assert hasty.stop() == 0
            assert patient.alive
            server.start()
            line.wait_stored(10 * len(SENSORS))
    finally:
        server.stop()
