"""The collector: decodes rounds, acknowledges what the log has committed, and nothing else."""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from types import MappingProxyType

import pytest

from ingest.collector import Collector
from ingest.log.queue import QueuedLog
from ingest.vocabulary.batch import Batch, DeadLetter, columns
from ingest.vocabulary.readings import Identity, Message, Reading, SensorFact, Site, microseconds

NOW = datetime(2024, 5, 1, 8, tzinfo=UTC)
SITES = MappingProxyType({"A": Site("1", "Hereweg", 6.57, 53.2, 2, {})})


class Handed:
    """Stands for a receiver: hands over what it is given, and remembers what is acknowledged."""

    def __init__(self) -> None:
        self.acknowledged: list[int] = []
        self._rounds: queue.SimpleQueue[list[Message] | None] = queue.SimpleQueue()
        self._count = 0

    def hand(self, *payloads: bytes) -> None:
        first, self._count = self._count, self._count + len(payloads)
        self._rounds.put([Message("stadspuls/x", one, NOW, token=at) for at, one in enumerate(payloads, first)])

    def end(self) -> None:
        self._rounds.put(None)

    def rounds(self) -> Iterator[list[Message]]:
        return iter(self._rounds.get, None)

    def acknowledge(self, tokens: Iterable[int]) -> None:
        self.acknowledged += tokens


class Kept:
    """A log that keeps batches and leaves it to the test to commit them."""

    def __init__(self) -> None:
        self.puts: list[tuple[Batch, Callable[[], None]]] = []

    def put(self, batch: Batch, committed: Callable[[], None]) -> None:
        self.puts.append((batch, committed))


def words(messages: Sequence[Message], earliest: datetime) -> Batch:
    """Stand for decoding: a payload is `bad`, `bug`, or a sensor's id and its name."""
    good = [message.payload.decode() for message in messages if message.payload != b"bad"]
    if "bug" in good:
        raise ZeroDivisionError("a bug")
    readings = [Reading(f"stadspuls/{word.split()[0]}", "", "pm10", 60, earliest, 1.0) for word in good]
    facts = [SensorFact(f"stadspuls/{word.split()[0]}", " ".join(word.split()[1:])) for word in good]
    letters = [DeadLetter("stadspuls", m.topic, m.payload, "bad", NOW) for m in messages if m.payload == b"bad"]
    assert all(message.sites is SITES for message in messages)
    names = [Identity(word.split()[0], f"stadspuls/{word.split()[0]}", microseconds(earliest)) for word in good]
    return Batch(columns(readings, [NOW] * len(readings)), tuple(facts), tuple(letters), names)


def collect(handed: Handed, log: Kept | QueuedLog, failures: list[BaseException] | None = None) -> Collector:
    """Run a collector over all that was handed over."""
    handed.end()
    failed: list[BaseException] = [] if failures is None else failures
    collector = Collector(
        handed.rounds, handed.acknowledge, log.put, lambda: SITES, on_failure=failed.append, decoder=words
    )
    collector.start()
    collector.join(30)
    assert not collector.is_alive()
    assert failures is not None or not failed
    return collector


def test_acknowledged_when_committed() -> None:
    """No message is acknowledged before the log committed its round, and then exactly that round is."""
    handed, log = Handed(), Kept()
    handed.hand(b"a one", b"b two")
    handed.hand(b"c three")
    collector = collect(handed, log)
    assert handed.acknowledged == []
    log.puts[1][1]()
    assert handed.acknowledged == [2]
    log.puts[0][1]()
    assert handed.acknowledged == [2, 0, 1]
    assert (collector.readings, collector.dead_letters) == (3, 0)


def test_bad_message_is_a_dead_letter_on_the_log() -> None:
    """A message that cannot be read travels to the log with the others, and is acknowledged with them."""
    handed, log = Handed(), Kept()
    handed.hand(b"bad", b"a one")
    collector = collect(handed, log)
    batch, committed = log.puts[0]
    assert [letter.payload for letter in batch.dead_letters] == [b"bad"]
    assert len(batch) == 1
    assert collector.dead_letters == 1
    committed()
    assert handed.acknowledged == [0, 1]


def test_what_a_source_calls_its_messages_goes_with_the_readings() -> None:
    """The store knows a message by it that was delivered before."""
    handed, log = Handed(), Kept()
    handed.hand(b"a one")
    collect(handed, log)
    assert [one.key for one in log.puts[0][0].identities] == ["a"]


def test_fact_is_sent_when_it_changes() -> None:
    """What is known of a sensor is sent once, again when it changes, and again when it changes back."""
    handed, log = Handed(), Kept()
    for payload in (b"a one", b"a one", b"a two", b"a one", b"b one"):
        handed.hand(payload)
    collect(handed, log)
    assert [[fact.name for fact in batch.sensors] for batch, _ in log.puts] == [["one"], [], ["two"], ["one"], ["one"]]


def test_bug_ends_without_acknowledging() -> None:
    """When decoding raises all the same, the collector logs it and ends; that round is never acknowledged."""
    handed, log, failures = Handed(), Kept(), list[BaseException]()
    handed.hand(b"a one")
    handed.hand(b"bug")
    handed.hand(b"b two")
    collect(handed, log, failures)
    assert [type(error) for error in failures] == [ZeroDivisionError]
    assert len(log.puts) == 1


def test_broken_log_ends_without_acknowledging() -> None:
    """When the store fails for good, the collector ends too: a process must not look alive and take nothing."""
    handed, failures = Handed(), list[BaseException]()
    broken = threading.Event()

    def store(batch: Batch) -> None:
        broken.set()
        raise RuntimeError("a bug in the store")

    log = QueuedLog(store, together=1, waiting=1)
    for _ in range(5):
        handed.hand(b"a one")
    collect(handed, log, failures)
    assert len(failures) == 1
    assert handed.acknowledged == []
    assert not log.close()
    assert str(log.failed) == "a bug in the store"


@pytest.mark.parametrize("rounds", [1, 7])
def test_embedded_acknowledges_everything_in_order(rounds: int) -> None:
    """Through the embedded log every message is stored and acknowledged, in the order received."""
    handed, stored = Handed(), list[str]()
    for number in range(rounds):
        handed.hand(*[b"s%d name" % (number * 3 + n) for n in range(3)])
    log = QueuedLog(lambda batch: stored.extend(map(str, batch.readings["sensor_id"].to_pylist())), together=4)
    collect(handed, log)
    assert log.close(30)
    assert stored == [f"stadspuls/s{number}" for number in range(rounds * 3)]
    assert handed.acknowledged == list(range(rounds * 3))
