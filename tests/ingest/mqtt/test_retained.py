"""Retained messages, which no broker limits: those beyond the limit are deleted, the hub's own stay."""

import select
import socket
import threading
import time

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from ingest.formats.decode import decode
from ingest.mqtt.address import Address
from ingest.mqtt.client import clear_retained
from ingest.vocabulary.readings import Message
from tests.support.brokers import NEEDS_MOSQUITTO, Broker
from tests.support.lines import Taker, receiver, until

COUNT, SIZE, MOST = 2_000, 4_000, 400_000
PUSH = b'{"sensordatavalues": [{"value_type": "SDS_P1", "value": "31.00"}]}'
STAMPED = (
    b'{"sensor_id": "stadspuls/x", "channel": "", "quantity": "pm10", "unit": "ug/m3", "value": 7, "period": 0,'
    b' "start": "2026-11-01T10:00:00Z"}'
)
ALERT = "stadspuls/alerts/no2/luchtmeetnet/NL10938"


pytestmark = NEEDS_MOSQUITTO


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


def test_beyond_the_limit_they_are_deleted(durable: Broker) -> None:
    """A flood of retained messages shrinks to the limit, and the hub's alerts stay whatever they take."""
    flood = client(durable)
    sent = [flood.publish(ALERT, b"open", 1, retain=True)]
    sent += [flood.publish(f"stadspuls/stadspuls/{n}", bytes(SIZE), 1, retain=True) for n in range(COUNT)]
    until(lambda: all(one.is_published() for one in sent))
    flood.disconnect()
    flood.loop_stop()
    deleted = clear_retained(durable.address(), MOST)
    assert deleted >= COUNT - MOST // SIZE
    left = retained(durable, COUNT + 1 - deleted)
    assert len(left) == COUNT + 1 - deleted
    assert sum(left.values()) <= MOST + len(b"open")
    assert ALERT in left
    assert clear_retained(durable.address(), MOST) == 0


def test_broker_that_lets_in_late_is_looked_at(durable: Broker) -> None:
    """However long the broker takes to answer, what it retains is seen before the look ends."""
    flood = client(durable)
    sent = [flood.publish(f"stadspuls/stadspuls/{n}", bytes(SIZE), 1, retain=True) for n in range(10)]
    until(lambda: all(one.is_published() for one in sent))
    flood.disconnect()
    flood.loop_stop()
    with socket.create_server(("127.0.0.1", 0)) as door:
        threading.Thread(target=_slowly, args=(door, durable.port), daemon=True).start()
        late = Address("127.0.0.1", door.getsockname()[1])
        assert clear_retained(late, 0) == 10


def retain(broker: Broker, topic: str, payload: bytes) -> None:
    """Let the broker retain a message."""
    sender = client(broker)
    until(sender.publish(topic, payload, 1, retain=True).is_published)
    sender.disconnect()
    sender.loop_stop()


def stored(taker: Taker) -> list[float]:
    """Give the values of all readings that its deliveries make."""
    batch = decode([Message(one.topic, one.payload, one.received_at, replayed=one.replayed) for one in taker.taken])
    assert not batch.dead_letters
    return [value for value in batch.readings["value"].to_pylist() if value is not None]


def test_without_a_stamp_it_is_a_reading_once(durable: Broker) -> None:
    """
    What is retained without a stamp is measured when it comes first: at the first subscription, or when published.

    It comes again at every start of the hub and of the broker, and is no reading then; one with a stamp is, which the
    store knows already.
    """
    before, live = "stadspuls/sensor_community/esp8266-1", "stadspuls/sensor_community/esp8266-2"
    retain(durable, before, PUSH)
    first = Taker(receiver(durable))
    until(lambda: len(first.taken) == 1)
    retain(durable, live, PUSH)
    retain(durable, "stadspuls/stadspuls/x", STAMPED)
    until(lambda: len(first.taken) == 3)
    assert first.stop()
    assert sorted(stored(first)) == [7, 31, 31]
    again = Taker(receiver(durable))
    until(lambda: len(again.taken) == 3)
    durable.stop()
    durable.start()
    # More than six where the broker ended before it had the acknowledgements.
    until(lambda: len(again.taken) >= 6)
    assert again.stop()
    assert set(stored(again)) == {7}


def _slowly(door: socket.socket, port: int) -> None:
    ours, _ = door.accept()
    time.sleep(1.5)
    with ours, socket.create_connection(("127.0.0.1", port)) as theirs:
        while ready := select.select([ours, theirs], [], [])[0]:
            for one in ready:
                if not (data := one.recv(65_536)):
                    return
                (theirs if one is ours else ours).sendall(data)
