"""The MQTT door against real brokers: nothing lost, acknowledged in order, bounded, always up again."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from ingest.mqtt.sender import Sender
from ingest.vocabulary.readings import Message
from tests.support.brokers import MOSQUITTO, Broker, built_in, mosquitto
from tests.support.lines import Taker, numbers, receiver, send, until

needs_mosquitto = [
    pytest.mark.mosquitto,
    pytest.mark.skipif(MOSQUITTO is None, reason="the mosquitto program is not installed"),
]


@pytest.fixture(params=[pytest.param("mosquitto", marks=needs_mosquitto), "built-in"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    """Each of the brokers that the hub is meant for, running."""
    made = (mosquitto if request.param == "mosquitto" else built_in)(tmp_path)
    made.start()
    yield made
    made.stop()


def test_ten_thousand_in_order_and_once(broker: Broker) -> None:
    """While nothing fails, every message arrives exactly once, in the order in which it was published."""
    taker = Taker(receiver(broker))
    send(broker, 0, 10_000)
    until(lambda: len(taker.taken) >= 10_000)
    assert taker.stop()
    assert taker.payloads() == numbers(0, 10_000)
    assert taker.receiver.in_flight == taker.receiver.in_flight_bytes == 0
    assert taker.receiver.received == 10_000


def test_unacknowledged_is_delivered_again(broker: Broker) -> None:
    """What was delivered and not acknowledged comes again on the next connection with the same client id."""
    first = Taker(receiver(broker), acknowledge=False)
    send(broker, 0, 50)
    until(lambda: len(first.taken) == 50)
    assert not first.stop(0)
    second = Taker(receiver(broker))
    until(lambda: len(second.taken) >= 50)
    assert second.stop()
    assert sorted(second.payloads()) == sorted(numbers(0, 50))


def test_acknowledged_never_comes_back(broker: Broker) -> None:
    """A clean stop leaves nothing in flight: only what was published meanwhile arrives after a restart."""
    first = Taker(receiver(broker))
    send(broker, 0, 50)
    until(lambda: len(first.taken) == 50)
    assert first.stop()
    send(broker, 50, 100)
    second = Taker(receiver(broker))
    until(lambda: len(second.taken) >= 50)
    assert second.stop()
    assert second.payloads() == numbers(50, 100)


def test_acknowledged_in_the_order_received(broker: Broker) -> None:
    """Tokens given back in reverse reach the broker in its own order: it keeps the connection, nothing is resent."""
    taker = Taker(receiver(broker), acknowledge=False)
    send(broker, 0, 90)
    until(lambda: len(taker.taken) == 90)
    for delivery in reversed(taker.taken):
        taker.receiver.acknowledge([delivery.token])
    until(lambda: taker.receiver.in_flight == 0)
    send(broker, 90, 100)
    until(lambda: len(taker.taken) >= 100)
    assert taker.payloads() == numbers(0, 100)
    assert taker.receiver.reconnects == 0
    taker.receiver.acknowledge([delivery.token for delivery in taker.taken[90:]])
    assert taker.stop()


def test_tokens_of_a_lost_connection_are_void(broker: Broker) -> None:
    """An acknowledgement that comes after a reconnect does not touch what the broker delivers again."""
    taker = Taker(receiver(broker), acknowledge=False)
    send(broker, 0, 20)
    until(lambda: len(taker.taken) == 20)
    usurper = Client(CallbackAPIVersion.VERSION2, "test-0", clean_session=False)
    usurper.connect("127.0.0.1", broker.port)  # the same client id: the broker closes the other connection
    until(lambda: not taker.receiver.is_up)
    usurper.disconnect()
    until(lambda: len(taker.taken) >= 40 and taker.receiver.reconnects == 1)
    taker.receiver.acknowledge([delivery.token for delivery in taker.taken])
    assert taker.stop()
    assert sorted(set(taker.payloads())) == sorted(numbers(0, 20))


def test_published_at_qos_0(broker: Broker) -> None:
    """Messages at QoS 0 are received too; none of them is acknowledged, and those at QoS 1 go on."""
    taker = Taker(receiver(broker))
    sensor = Client(CallbackAPIVersion.VERSION2, "sensor")
    sensor.connect("127.0.0.1", broker.port)
    sensor.loop_start()
    sensor.publish("stadspuls/stadspuls/x", b"at most once", 0)
    until(lambda: len(taker.taken) == 1)
    sensor.disconnect()
    sensor.loop_stop()
    send(broker, 0, 10)
    until(lambda: len(taker.taken) >= 11)
    assert taker.stop()
    assert taker.payloads() == [b"at most once", *numbers(0, 10)]
    assert taker.receiver.reconnects == 0


def test_back_pressure(broker: Broker) -> None:
    """While nothing is acknowledged no more than the limit is taken; afterwards everything arrives."""
    taker = Taker(receiver(broker, in_flight_messages=60), acknowledge=False)
    send(broker, 0, 1_000)
    until(lambda: len(taker.taken) == 60)
    time.sleep(0.3)
    assert taker.receiver.in_flight == len(taker.taken) == 60
    given = 0
    while given < 1_000:
        until(lambda: len(taker.taken) > given)  # noqa: B023
        more = [delivery.token for delivery in taker.taken[given:]]
        taker.receiver.acknowledge(more)
        given += len(more)
        assert taker.receiver.in_flight <= 60
    assert taker.stop()
    assert taker.payloads() == numbers(0, 1_000)


def test_broker_killed(broker: Broker) -> None:
    """After a kill -9 of the broker both come back, subscribe again, and the line goes on, also if it forgot them."""
    taker = Taker(receiver(broker))
    with Sender(broker.address()) as sender:
        sender.publish("stadspuls/stadspuls/x", b"before")
        sender.flush(60)
        until(lambda: len(taker.taken) == 1)
        broker.kill()
        broker.start()
        until(lambda: taker.receiver.reconnects == 1)
        sender.publish("stadspuls/stadspuls/x", b"after")
        sender.flush(60)
    until(lambda: len(taker.taken) >= 2)
    assert taker.stop()
    assert {b"before", b"after"} == set(taker.payloads())


def test_pings_while_nothing_is_read(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long nothing is acknowledged, the connection stays: pings are sent though nothing is read."""
    monkeypatch.setattr("ingest.mqtt.connection.KEEPALIVE", 1)
    taker = Taker(receiver(broker, in_flight_messages=10), acknowledge=False)
    send(broker, 0, 100)
    until(lambda: len(taker.taken) == 10)
    time.sleep(4)  # a broker gives up after one and a half times the interval
    assert taker.receiver.is_up
    given = 0
    while given < 100:
        until(lambda: len(taker.taken) > given)  # noqa: B023
        more = [delivery.token for delivery in taker.taken[given:]]
        taker.receiver.acknowledge(more)
        given += len(more)
    assert taker.stop()
    assert taker.payloads() == numbers(0, 100)
    assert taker.receiver.reconnects == 0


def test_full_window_is_no_silence(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that waits for us answers neither ping nor SUBSCRIBE: another connection would bring the same again."""
    monkeypatch.setattr("ingest.mqtt.connection.KEEPALIVE", 1)
    monkeypatch.setattr("ingest.mqtt.connection.PATIENCE", 2.0)
    before = Taker(receiver(broker), acknowledge=False)
    send(broker, 0, 300)
    until(lambda: len(before.taken) >= 100)
    time.sleep(4)
    assert (len(before.taken) <= 300, before.receiver.reconnects) == (True, 0)
    before.stop(0)
    after = receiver(broker)
    rounds, taken = after.rounds(), list[Message]()
    after.start()
    while len(taken) < 100:
        taken += next(rounds)
    time.sleep(5)
    given, came = 0, after.received
    while came < 300:
        after.acknowledge([one.token for one in taken[given:came]])
        given, came = came, len(taken := taken + next(rounds))
    assert [one.payload for one in taken] == numbers(0, 300)
    after.stop(0)


def test_too_large_a_message(broker: Broker) -> None:
    """A message of 10 MB is refused by the broker, and by our sender before that; the line goes on."""
    taker = Taker(receiver(broker))
    stranger = Client(CallbackAPIVersion.VERSION2, "stranger")
    gone = threading.Event()
    stranger.on_disconnect = lambda *_: gone.set()
    stranger.connect("127.0.0.1", broker.port)
    stranger.loop_start()
    stranger.publish("stadspuls/stadspuls/big", bytes(10_000_000), 1)
    assert gone.wait(30)
    stranger.loop_stop()
    with Sender(broker.address()) as sender, pytest.raises(ValueError, match="at most 1048576"):
        sender.publish("stadspuls/stadspuls/big", bytes(10_000_000))
    send(broker, 0, 10)
    until(lambda: len(taker.taken) >= 10)
    assert taker.stop()
    assert taker.payloads() == numbers(0, 10)


def test_the_largest_message(broker: Broker) -> None:
    """A message of nearly 1 MiB, four buffers long, arrives whole."""
    taker = Taker(receiver(broker))
    payload = bytes(range(256)) * 4095
    with Sender(broker.address()) as sender:
        sender.publish("stadspuls/stadspuls/large", payload)
        sender.flush(30)
    until(lambda: len(taker.taken) == 1)
    assert taker.stop()
    assert taker.payloads() == [payload]


def test_broker_comes_later(tmp_path: Path) -> None:
    """A receiver and a sender that start before their broker connect when it is there."""
    broker = built_in(tmp_path)
    waiting = receiver(broker)
    waiting.start()
    assert not waiting.ready.wait(0.3)
    broker.start()
    try:
        assert waiting.ready.wait(30)
        assert waiting.stop()
    finally:
        broker.stop()
