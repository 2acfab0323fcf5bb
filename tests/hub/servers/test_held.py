"""How many messages the built-in broker holds for a hub: away, back, too slow, with a broker stopped and killed."""

import signal
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from structlog.testing import capture_logs

from hub.servers.broker import BuiltInBroker
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
    assert len(slow.taken) == 100
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
