"""Rounds of messages: all once and in order, together while much comes, at once where waiting gains nothing."""

import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from queue import Empty, Queue, SimpleQueue

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.mqtt.address import Address
from ingest.mqtt.receiver import ROUND_BYTES, ROUND_MESSAGES, Receiver
from ingest.mqtt.sender import Sender
from ingest.mqtt.socket import BufferedSocket
from ingest.vocabulary.readings import Message
from tests.support.brokers import built_in
from tests.support.lines import FILTER, Taker, numbers, receiver, send, until

LONG = 600.0  # s: two rounds are further apart than a test lasts, unless something else ends the waiting


class Given:
    """What a thread takes out of the rounds of a receiver that is not connected."""

    def __init__(self, gather: float) -> None:
        self.queue: Queue[list[int]] = Queue()
        self.receiver = Receiver(Address("127.0.0.1", 1), [FILTER], "test", gather=gather)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        for one in self.receiver.rounds():
            self.queue.put([int(each.topic) for each in one])
            self.receiver.acknowledge([each.token for each in one])
            self.receiver.turn()

    def came(self, *messages: tuple[int, int], at_least_once: bool = False) -> None:
        """Let messages come, each a number and a size, of which no broker waits for an acknowledgement by default."""
        self.receiver.messages([(b"%d" % one, bytes(size), one * at_least_once, False) for one, size in messages])

    def next(self, seconds: float = 60) -> list[int]:
        """Give the next round; raises Empty where none comes."""
        return self.queue.get(timeout=seconds)

    def stop(self) -> None:
        """End once everything is given."""
        assert self.receiver.stop(60)
        self.thread.join(60)
        assert not self.thread.is_alive()


@pytest.fixture
def taken() -> Iterator[Given]:
    """A receiver whose small rounds are long apart."""
    made = Given(LONG)
    yield made
    made.stop()


def test_many_go_together_and_one_goes_at_once(taken: Given) -> None:
    """The first is given when it comes; what follows waits for others, and a stop gives it."""
    taken.came((0, 1))
    assert taken.next() == [0]
    for number in range(1, 10):
        taken.came((number, 1))
    with pytest.raises(Empty):
        taken.next(0.1)
    taken.stop()
    assert taken.next() == list(range(1, 10))


class Looks(SimpleQueue[list[Message]]):
    """Counts how often messages are looked for."""

    count = 0

    def get(self, block: bool = True, timeout: float | None = None) -> list[Message]:
        """Look as ever."""
        self.count += 1
        return super().get(block, timeout)


def test_messages_that_need_no_acknowledgement_do_not_keep_it_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a round of such (QoS 0) is gathered, it waits for the next; it looked for it without a pause."""
    monkeypatch.setattr("ingest.mqtt.receiver.SimpleQueue", Looks)
    taken = Given(LONG)
    taken.came((0, 1))
    assert taken.next() == [0]
    taken.came((1, 1))
    time.sleep(0.1)
    taken.stop()
    assert isinstance(taken.receiver._waiting, Looks)
    assert taken.receiver._waiting.count < 100


@pytest.mark.parametrize(
    ("size", "count", "at_least_once"),
    [(1, ROUND_MESSAGES, False), (ROUND_BYTES // 10, 10, False), (1, 20, True)],
    ids=["messages", "bytes", "window of the broker"],
)
def test_full_round_does_not_wait(taken: Given, size: int, count: int, at_least_once: bool) -> None:
    """A round that is full is given, and one after which the broker may send no more until it is acknowledged."""
    taken.came((0, 1))
    assert taken.next() == [0]
    taken.came(*((number, size) for number in range(1, count + 1)), at_least_once=at_least_once)
    assert taken.next() == list(range(1, count + 1))


def test_bursts_go_together(taken: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pause between two bursts is not taken for a broker that waits, though it has sent as much as one may."""
    monkeypatch.setattr("ingest.mqtt.receiver._QUIET", 60.0)  # which no machine is so busy as to pause for
    for number in range(0, 500, 10):
        taken.came(*((each, 1) for each in range(number, number + 10)), at_least_once=True)
        time.sleep(0.01)
    taken.stop()
    assert [one for group in taken.queue.queue for one in group] == list(range(500))
    assert taken.queue.qsize() == 2


@given(st.lists(st.lists(st.integers(1, ROUND_BYTES), min_size=1, max_size=5), max_size=20))
def test_everything_once_and_in_order(sizes: Sequence[Sequence[int]]) -> None:
    """However it comes in, each message is given once, behind those before it."""
    taken = Given(LONG)
    number = 0
    for each in sizes:
        taken.came(*enumerate(each, number))
        number += len(each)
    taken.stop()
    assert [one for group in taken.queue.queue for one in group] == list(range(number))


def test_broker_that_waits_gets_its_acknowledgements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The built-in broker sends 100 messages and waits for an acknowledgement: no round waits for one more."""
    monkeypatch.setattr("ingest.mqtt.receiver.GATHER", LONG)
    broker = built_in(tmp_path)
    broker.start()
    try:
        taker = Taker(receiver(broker))
        send(broker, 0, 1_000)
        until(lambda: len(taker.taken) > 1_000 - 100)  # the last may be fewer than a window: they wait for others
        assert taker.stop()
        assert taker.payloads() == numbers(0, 1_000)
    finally:
        broker.stop()


def test_network_is_left_alone_between_rounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a broker that has proved to need no acknowledgement sends steadily, a round takes a few looks, not many."""
    looks: list[float] = []
    fill = BufferedSocket.fill

    def counted(sock: BufferedSocket) -> None:
        if threading.current_thread().name == "mqtt-receive":
            looks.append(time.monotonic())
        fill(sock)

    monkeypatch.setattr(BufferedSocket, "fill", counted)
    monkeypatch.setattr("ingest.mqtt.receiver.GATHER", 0.5)
    broker = built_in(tmp_path)
    broker.start()
    try:
        taker = Taker(receiver(broker))
        send(broker, 0, 90)
        until(lambda: len(taker.taken) == 90)
        with Sender(broker.address("")) as sender:
            for number in range(90, 290):
                sender.publish("stadspuls/stadspuls/1", b"%d" % number)
                time.sleep(0.01)
            began, ended = time.monotonic() - 1.5, time.monotonic()
            sender.flush(60)
        until(lambda: len(taker.taken) == 290)
        assert taker.stop()
        assert taker.payloads() == numbers(0, 290)
        assert len([at for at in looks if began < at < ended]) < 60  # of some 100 that a look for each 10 ms would be
    finally:
        broker.stop()
