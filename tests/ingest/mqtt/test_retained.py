"""Retained messages, which no broker limits: those beyond the limit are deleted, the hub's own stay."""

import select
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from ingest.mqtt.address import Address
from ingest.mqtt.client import clear_retained
from tests.support.brokers import MOSQUITTO, Broker, mosquitto
from tests.support.lines import until

COUNT, SIZE, MOST = 2_000, 4_000, 400_000
ALERT = "stadspuls/alerts/no2/luchtmeetnet/NL10938"


pytestmark = [
    pytest.mark.mosquitto,
    pytest.mark.skipif(MOSQUITTO is None, reason="the mosquitto program is not installed"),
]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A Mosquitto that runs."""
    made = mosquitto(tmp_path).start()
    yield made
    made.stop()


def client(broker: Broker) -> Client:
    """Connect a client that is not the hub."""
    made = Client(CallbackAPIVersion.VERSION2, "stranger")
    made.connect("127.0.0.1", broker.port)
    made.loop_start()
    return made


def retained(broker: Broker, least: int) -> dict[str, int]:
    """Give the size of each retained message, once there are so many."""
    found: dict[str, int] = {}

    def note(_client: Client, _user: object, message: MQTTMessage) -> None:
        if message.retain:
            found[message.topic] = len(message.payload)

    made = client(broker)
    made.on_message = note
    made.subscribe("stadspuls/#")
    until(lambda: len(found) >= least)
    made.disconnect()
    made.loop_stop()
    return found


def test_beyond_the_limit_they_are_deleted(broker: Broker) -> None:
    """A flood of retained messages shrinks to the limit, and the hub's alerts stay whatever they take."""
    flood = client(broker)
    sent = [flood.publish(ALERT, b"open", 1, retain=True)]
    sent += [flood.publish(f"stadspuls/stadspuls/{n}", bytes(SIZE), 1, retain=True) for n in range(COUNT)]
    until(lambda: all(one.is_published() for one in sent))
    flood.disconnect()
    flood.loop_stop()
    deleted = clear_retained(broker.address(), MOST)
    assert deleted >= COUNT - MOST // SIZE
    left = retained(broker, COUNT + 1 - deleted)
    assert len(left) == COUNT + 1 - deleted
    assert sum(left.values()) <= MOST + len(b"open")
    assert ALERT in left
    assert clear_retained(broker.address(), MOST) == 0


def test_broker_that_lets_in_late_is_looked_at(broker: Broker) -> None:
    """However long the broker takes to answer, what it retains is seen before the look ends."""
    flood = client(broker)
    sent = [flood.publish(f"stadspuls/stadspuls/{n}", bytes(SIZE), 1, retain=True) for n in range(10)]
    until(lambda: all(one.is_published() for one in sent))
    flood.disconnect()
    flood.loop_stop()
    with socket.create_server(("127.0.0.1", 0)) as door:
        threading.Thread(target=_slowly, args=(door, broker.port), daemon=True).start()
        late = Address("127.0.0.1", door.getsockname()[1])
        assert clear_retained(late, 0) == 10


def _slowly(door: socket.socket, port: int) -> None:
    ours, _ = door.accept()
    time.sleep(1.5)
    with ours, socket.create_connection(("127.0.0.1", port)) as theirs:
        while ready := select.select([ours, theirs], [], [])[0]:
            for one in ready:
                if not (data := one.recv(65_536)):
                    return
                (theirs if one is ours else ours).sendall(data)
