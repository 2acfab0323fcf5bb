"""The Kafka door against a real Kafka: what is committed is on the log, through whatever happens to Kafka."""

import asyncio
import gc
import socket
import threading
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]
from aiokafka.admin import AIOKafkaAdminClient, NewTopic  # type: ignore[import-untyped]

from hub.servers.process import CannotStart
from ingest.log.kafka import KafkaLog
from ingest.log.queue import LogClosed
from ingest.log.topics import NoAnswer, Topics, ends, make_topics
from ingest.vocabulary.batch import Batch, DeadLetter
from lab.rig.broker import free_port
from lab.rig.kafka import KafkaServer
from tests.ingest.log.test_records import SENSORS, batch, reading
from tests.streams.commit.test_pipeline import LATER
from tests.support.distributed import records
from tests.support.lines import until

pytestmark = pytest.mark.kafka
PATIENCE = 2.0  # s


@pytest.fixture
def topics(kafka: KafkaServer, request: pytest.FixtureRequest) -> Topics:
    """Topics that no other test has."""
    name = request.node.name.replace("[", "-").rstrip("]")
    return Topics(kafka.servers, f"{name}-readings", f"{name}-dead-letters", partitions=3)


class Committed:
    """Counts what the log committed."""

    def __init__(self) -> None:
        self.numbers: list[int] = []

    def __call__(self, number: int) -> None:
        self.numbers.append(number)


def put(log: KafkaLog, committed: Committed, first: int, last: int) -> None:
    """Put batches, one minute of every sensor each."""
    for number in range(first, last):
        readings = batch([reading(sensor, number % 60) for sensor in SENSORS])
        log.put(readings, lambda number=number: committed(number))  # type: ignore[misc]


def stored(topics: Topics) -> dict[tuple[str, object], int]:
    """Say how often each reading is on the log."""
    found: dict[tuple[str, object], int] = {}
    for _, _, value in records(topics):
        for row in Batch.from_ipc(value).readings.to_pylist():
            key = (row["sensor_id"], row["start"])
            found[key] = found.get(key, 0) + 1
    return found


def test_committed_in_order_and_there(topics: Topics) -> None:
    """Every batch is committed, in order, and each of its readings is on the log once; missing topics are made."""
    log, committed = KafkaLog(topics), Committed()
    put(log, committed, 0, 60)
    assert log.close(60)
    assert committed.numbers == list(range(60))
    assert set(stored(topics).values()) == {1}
    assert len(stored(topics)) == 60 * len(SENSORS)
    assert log.records < 60  # packed together


def test_a_slow_line_is_not_taken_for_a_dead_one(topics: Topics, monkeypatch: pytest.MonkeyPatch) -> None:
    """A delivery may take longer than Kafka may be silent, as long as it goes on."""
    send = AIOKafkaProducer.send

    async def slowly(*args: object, **more: object) -> object:
        await asyncio.sleep(0.7 * PATIENCE)
        return await send(*args, **more)

    monkeypatch.setattr("ingest.log.kafka.PATIENCE", PATIENCE)
    monkeypatch.setattr(AIOKafkaProducer, "send", slowly)
    log, committed = KafkaLog(topics), Committed()
    put(log, committed, 0, 1)
    assert log.close(60)
    assert (log.records, log.retries) == (3, 0)


def test_ends_before_a_moment(topics: Topics) -> None:
    """How far the log was at a moment: what was put there later does not count, and what was put there before does."""
    log, committed = KafkaLog(topics), Committed()
    put(log, committed, 0, 1)
    until(lambda: committed.numbers == [0])
    time.sleep(0.01)
    moment = datetime.now(UTC)
    early = ends(topics)
    put(log, committed, 1, 2)
    assert log.close(60)
    assert sum(ends(topics).values()) > sum(early.values()) > 0
    assert ends(topics, before=moment) == early
    assert ends(topics, before=datetime.now(UTC) + timedelta(minutes=1)) == ends(topics)
    assert sum(ends(topics, before=moment - timedelta(minutes=10)).values()) == 0


def test_dead_letters_go_their_own_way(topics: Topics) -> None:
    """Dead letters, also of a message of 1 MiB, go to the topic for them, and a batch of nothing else is committed."""
    letters = [DeadLetter("ttn", "v3/x", b"x" * size, "why", LATER) for size in (10, 1 << 20)]
    log, committed = KafkaLog(topics), Committed()
    log.put(Batch(batch([]).readings, (), letters), lambda: committed(0))
    assert log.close(60)
    assert committed.numbers == [0]
    found = [(topic, Batch.from_ipc(value)) for topic, _, value in records(topics)]
    assert {topic for topic, _ in found} == {topics.dead_letters}
    assert sorted(len(letter.payload) for _, one in found for letter in one.dead_letters) == [10, 1 << 20]


@pytest.mark.parametrize("limit", [None, 100_000])
def test_a_letter_above_the_limit_does_not_stop_the_log(topics: Topics, limit: int | None) -> None:
    """A dead letter of 5 MB is cut, further where the topic takes less than the hub's own topics do."""
    if limit:
        asyncio.run(limited(topics, limit))
    log, committed = KafkaLog(topics), Committed()
    letter = DeadLetter("ttn", "v3/x", bytes(5_002_344), "why", LATER)
    log.put(Batch(batch([]).readings, (), [letter]), lambda: committed(0))
    put(log, committed, 1, 3)
    assert log.close(60)
    assert committed.numbers == [0, 1, 2]
    assert len(stored(topics)) == 2 * len(SENSORS)
    letters = [letter for _, _, value in records(topics) for letter in Batch.from_ipc(value).dead_letters]
    assert [one.size for one in letters] == [5_002_344]


async def limited(topics: Topics, limit: int) -> None:
    """Make the topics as somebody does who gives them a limit."""
    admin = AIOKafkaAdminClient(bootstrap_servers=topics.servers)
    await admin.start()
    config = {"max.message.bytes": str(limit)}
    await admin.create_topics([NewTopic(name, topics.partitions, 1, topic_configs=config) for name in topics.names])
    await admin.close()


def test_partitions_are_those_of_kafka(topics: Topics) -> None:
    """A topic that is there already keeps its number of partitions, whatever the setting is."""
    assert make_topics(topics)
    log, committed = KafkaLog(Topics(topics.servers, topics.readings, topics.dead_letters, partitions=50)), Committed()
    put(log, committed, 0, 5)
    assert log.close(60)
    assert {partition for _, partition, _ in records(topics)} <= {0, 1, 2}


@pytest.mark.parametrize(("replicas", "least"), [(1, 1), (2, 1), (3, 2)])
def test_what_is_acknowledged_survives_a_lost_kafka(
    topics: Topics, replicas: int, least: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Of three replicas two have what is acknowledged: acks=all alone is content with the one that is left.

    (Tried with three Kafkas of which two were killed: the third acknowledged.)
    """
    asked: list[NewTopic] = []

    async def create(_: AIOKafkaAdminClient, new: list[NewTopic]) -> None:
        asked.extend(new)

    monkeypatch.setattr(AIOKafkaAdminClient, "create_topics", create)
    assert make_topics(replace(topics, replicas=replicas))
    assert [one.topic_configs["min.insync.replicas"] for one in asked] == [str(least)] * 2


def test_kafka_killed(kafka: KafkaServer, topics: Topics) -> None:
    """With Kafka killed nothing is committed that is not there; it goes on by itself when Kafka is back."""
    log, committed = KafkaLog(topics), Committed()
    put(log, committed, 0, 20)
    until(lambda: len(committed.numbers) == 20)
    kafka.kill()
    put(log, committed, 20, 40)
    with pytest.raises(NoAnswer):
        ends(topics, 2.0)
    assert len(committed.numbers) == 20
    kafka.start()
    assert log.close(60)
    assert committed.numbers == list(range(40))
    assert len(stored(topics)) == 40 * len(SENSORS)


def test_full_queue_waits(kafka: KafkaServer, topics: Topics) -> None:
    """While Kafka is away the queue fills and `put` waits; closing gives up, and reports what waited."""
    kafka.kill()
    log, committed = KafkaLog(topics, waiting=50), Committed()
    refused: list[BaseException] = []

    def fill() -> None:
        try:
            put(log, committed, 0, 100)
        except LogClosed as error:
            refused.append(error)

    thread = threading.Thread(target=fill)
    thread.start()
    thread.join(1)
    assert thread.is_alive()
    assert 0 < log.in_flight <= 60
    assert not log.close(0.5)
    thread.join(10)
    assert len(refused) == 1
    assert committed.numbers == []
    until(lambda: log.failed is not None, 30)


def test_waiting_for_kafka_can_be_stopped() -> None:
    """A wait for a Kafka that never comes ends when it is stopped."""
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    assert not make_topics(Topics(f"127.0.0.1:{free_port()}"), stop)


def test_half_awake() -> None:
    """A Kafka that takes connections and sends nothing more is no answer, and no connection to it stays open."""
    versions = b"\x00\x00" + b"\x00\x00\x00\x02" + b"\x00\x03\x00\x00\x00\x05" + b"\x00\x12\x00\x00\x00\x00"
    taken: list[socket.socket] = []

    def answer(server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                taken.append(server.accept()[0])
                asked = taken[-1].recv(4096)
                answer = asked[8:12] + versions  # the number of the request first
                taken[-1].sendall(len(answer).to_bytes(4, "big") + answer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=answer, args=[server], daemon=True).start()
        with pytest.raises(NoAnswer):
            ends(Topics(f"127.0.0.1:{server.getsockname()[1]}"), 1.0)
        gc.collect()
        for one in taken:
            one.settimeout(10)
            while one.recv(4096):
                pass
            one.close()
    assert taken


def test_server_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without java, and without mvn while the jars are not there, the start reports it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("STADSPULS_KAFKA_JARS", str(tmp_path))
    with pytest.raises(CannotStart, match="java and mvn"):
        KafkaServer(tmp_path / "kafka", 1, 2).start()
