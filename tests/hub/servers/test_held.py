"""How many messages the built-in broker holds for a hub: away, back, too slow, with a broker stopped and killed."""

import signal
import socket
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from structlog.testing import capture_logs

from hub.servers.broker import BuiltInBroker
from hub.servers.packets import AHEAD, WINDOW, Held
from hub.servers.process import CannotStart
from ingest.mqtt.receiver import Receiver
from ingest.mqtt.sender import Sender
from tests.support.brokers import free_port
from tests.support.lines import FILTER, Taker, until

TOPIC = "stadspuls/stadspuls/x"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[BuiltInBroker]:
    """A built-in broker that knows the id of its hub."""
    made = BuiltInBroker(tmp_path, port=free_port(), queue=2_000, client_id="hub-0")
    made.start()
    yield made
    made.stop()


def taker(broker: BuiltInBroker, acknowledge: bool = True) -> Taker:
    """The hub's receiver."""
    return Taker(Receiver(broker.address, [FILTER], "hub"), acknowledge)


def send(broker: BuiltInBroker, count: int, payload: bytes = b"1") -> None:
    """Publish, and return when all is confirmed."""
    with Sender(broker.address) as sender:
        for _ in range(count):
            sender.publish(TOPIC, payload)
        sender.flush(60)


def lost(logs: list[Any]) -> list[int]:
    """The numbers of messages that were said to be lost."""
    return [line["at_most"] for line in logs if "at_most" in line]


def kept(broker: BuiltInBroker) -> bool:
    """Look after a broker once, as the hub does; the port of one that was killed may be taken for a moment."""
    with suppress(CannotStart):
        broker.keep()
    return broker.process() is not None


def test_what_waits_for_the_hub_is_counted(broker: BuiltInBroker) -> None:
    """Whether it was away or has not stored what it took, to the message; what it stored is not held any more."""
    slow = taker(broker, acknowledge=False)
    send(broker, 1_234)
    until(lambda: broker.held == 1_234)
    assert len(slow.taken) == 1_234
    slow.stop(0.1)
    send(broker, 6)
    until(lambda: broker.held == 1_240)
    quick = taker(broker)
    until(lambda: broker.held == 0)
    assert len(quick.taken) == 1_240
    assert quick.stop()


def test_a_will_is_counted(broker: BuiltInBroker) -> None:
    """The broker publishes it when a connection breaks."""
    assert taker(broker).stop()
    client = Client(CallbackAPIVersion.VERSION2, "sensor")
    client.will_set(TOPIC, b"gone", 1)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    until(client.is_connected)
    cast(socket.socket, client.socket()).shutdown(socket.SHUT_RDWR)
    client.loop_stop()
    until(lambda: broker.held == 1)


def test_what_was_dropped_is_not_counted_for_ever(broker: BuiltInBroker) -> None:
    """A full queue drops the oldest and says nothing: once the hub keeps up, the number is what there is."""
    assert taker(broker).stop()
    send(broker, 1_500, bytes(1 << 16))
    until(lambda: broker.held == 1_500)
    hub = taker(broker)
    until(lambda: broker.held == 0)
    assert 0 < len(hub.taken) < 1_500
    assert hub.stop()


def test_a_broker_that_is_stopped_says_what_is_lost(broker: BuiltInBroker) -> None:
    """Nothing where the hub had it all; else the number, be it only a moment old."""
    hub = taker(broker)
    send(broker, 50)
    until(lambda: len(hub.taken) == 50)
    assert hub.stop()
    with capture_logs() as logs:
        broker.stop()
    assert lost(logs) == []
    broker.start()
    send(broker, 50)
    with capture_logs() as logs:
        broker.stop()
    assert lost(logs) == [50]


def test_a_broker_that_was_killed_says_what_is_lost(broker: BuiltInBroker) -> None:
    """When it is started again, and once."""
    assert taker(broker).stop()
    send(broker, 50)
    until(lambda: broker.held == 50)
    process = broker.process()
    assert process is not None
    process.send_signal(signal.SIGKILL)
    until(lambda: broker.process() is None)
    assert broker.held == 50
    with capture_logs() as logs:
        until(lambda: kept(broker))
    assert lost(logs) == [50]
    assert broker.held == 0


class Line:
    """rumqttd with a session that lasts, what holds for it, and a hub; the messages are numbered."""

    def __init__(self, padding: int = 0) -> None:
        self.held = Held()
        self.published = 0
        self.stored: list[int] = []
        self.in_hand: deque[int] = deque()  # of the hub
        self._padding = padding
        self._waiting, self._sent = deque[int](), deque[int]()  # by rumqttd, and not acknowledged to it
        self.connect(known=False)

    def publish(self, count: int) -> None:
        """Give rumqttd messages."""
        self._waiting += range(self.published, self.published + count)
        self.published += count
        self.held.came(count)
        self._exchange()

    def store(self, count: int) -> None:
        """Let the hub store messages and acknowledge them."""
        count = min(count, len(self.in_hand))
        self.stored += [self.in_hand.popleft() for _ in range(count)]
        self.held.acknowledged(count)
        self._exchange()

    def connect(self, known: bool = True) -> None:
        """Let the hub come, or come back without what it had in hand: rumqttd sends again what is not acknowledged."""
        self.in_hand.clear()
        answer = bytes([0x20, 2, known, 0])
        given = self.held.connected(answer + b"".join(map(self._packet, self._sent)))
        assert given[:4] == answer
        self._take(given[4:])
        self._exchange()

    def _exchange(self) -> None:
        while self._acknowledge() or (self._waiting and len(self._sent) < WINDOW):
            sent = [self._waiting.popleft() for _ in range(min(len(self._waiting), WINDOW - len(self._sent)))]
            self._sent += sent
            data = b"".join(map(self._packet, sent))
            for at in range(0, len(data), 1_000):
                self._take(self.held.sent(data[at : at + 1_000]))

    def _acknowledge(self) -> bool:
        """Take rumqttd's acknowledgements, which must come in order."""
        answers = self.held.answers()
        for at in range(0, len(answers), 4):
            assert answers[at : at + 4] == b"\x40\2" + self._packet(self._sent.popleft())[7:9]
        return bool(answers)

    def _packet(self, number: int) -> bytes:
        body = b"\0\1x" + (number % WINDOW + 1).to_bytes(2) + number.to_bytes(4) + bytes(self._padding)
        return b"\x32" + bytes([len(body) & 0x7F | 0x80, len(body) >> 7 & 0x7F | 0x80, len(body) >> 14]) + body

    def _take(self, data: bytes) -> None:
        size = len(self._packet(0))
        assert len(data) % size == 0
        self.in_hand += [int.from_bytes(data[at + 9 : at + 13]) for at in range(0, len(data), size)]


STEPS: dict[str, Callable[[Line, int], object]] = {
    "publish": Line.publish,
    "store": Line.store,
    "connect": lambda line, _: line.connect(),
    "look": lambda line, _: line.held.look(True),
}


@given(st.lists(st.tuples(st.sampled_from(sorted(STEPS)), st.integers(1, 250)), max_size=30))
def test_what_is_kept_comes_once_and_in_order(steps: list[tuple[str, int]]) -> None:
    """However publisher and hub take turns, and whenever the hub comes back; and all of it is counted."""
    line = Line()
    for step, count in steps:
        STEPS[step](line, count)
        assert line.held.most == line.published - len(line.stored)
    line.store(line.published)
    assert line.stored == list(range(line.published))


@pytest.mark.parametrize(("padding", "most"), [(0, 10_000), (AHEAD // WINDOW, WINDOW)])
def test_a_hub_that_stores_nothing_is_sent_only_so_much(padding: int, most: int) -> None:
    """More than rumqttd's window, but of large messages only that; it goes on once the hub has stored one."""
    line = Line(padding)
    line.publish(10_500)
    assert len(line.in_hand) == most
    line.store(1)
    assert len(line.in_hand) == most + WINDOW - 1
    line.store(10_500)
    line.store(10_500)
    assert len(line.stored) > most + WINDOW
