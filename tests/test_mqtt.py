"""The MQTT door against real brokers: nothing lost, acknowledged in order, bounded, always up again."""

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from ingest.address import Address
from ingest.receiver import Delivery, Limits, Receiver
from ingest.sender import Sender
from tests.brokers import MOSQUITTO, Broker, built_in, mosquitto

needs_mosquitto = [
    pytest.mark.mosquitto,
    pytest.mark.skipif(MOSQUITTO is None, reason="the mosquitto program is not installed"),
]
FILTER = "stadspuls/#"


@pytest.fixture(params=[pytest.param("mosquitto", marks=needs_mosquitto), "built-in"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    """Each of the brokers that the hub is meant for, running."""
    made = (mosquitto if request.param == "mosquitto" else built_in)(tmp_path)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def durable(tmp_path: Path) -> Iterator[Broker]:
    """A Mosquitto with persistence, running."""
    made = mosquitto(tmp_path).start()
    yield made
    made.stop()


class Taker:
    """Takes deliveries from a receiver in a thread of its own, acknowledging them if told to."""

    def __init__(self, receiver: Receiver, acknowledge: bool = True) -> None:
        self.taken: list[Delivery] = []
        self.receiver = receiver
        self._acknowledge = acknowledge
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        receiver.start()
        assert receiver.ready.wait(30)

    def _run(self) -> None:
        for deliveries in self.receiver.rounds():
            self.taken += deliveries
            if self._acknowledge:
                self.receiver.acknowledge([delivery.token for delivery in deliveries])

    def payloads(self) -> list[bytes]:
        return [delivery.payload for delivery in list(self.taken)]

    def stop(self, seconds: float = 10) -> bool:
        stopped = self.receiver.stop(seconds)
        self._thread.join(10)
        return stopped


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for something to become true, and fail when it never does."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.01)


def receiver(broker: Broker, options: str = "", limits: Limits | None = None) -> Receiver:
    """Make a receiver as the tests want it: the same client id each time."""
    return Receiver(broker.address(options), [FILTER], "test", limits=limits)


def send(broker: Broker, first: int, last: int, options: str = "") -> None:
    """Publish the numbers from `first` to before `last`, and return when the broker has them."""
    with Sender(broker.address(options)) as sender:
        for number in range(first, last):
            sender.publish(f"stadspuls/stadspuls/{number % 7}", b"%d" % number)
        sender.flush(60)


def numbers(first: int, last: int) -> list[bytes]:
    """Give the payloads that `send` publishes."""
    return [b"%d" % number for number in range(first, last)]


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
    until(lambda: taker.receiver.connected == 0)
    usurper.disconnect()
    until(lambda: len(taker.taken) >= 40)
    taker.receiver.acknowledge([delivery.token for delivery in taker.taken])
    assert taker.stop()
    assert sorted(set(taker.payloads())) == sorted(numbers(0, 20))
    assert taker.receiver.reconnects >= 1


def test_two_connections_deal_out_filters(broker: Broker) -> None:
    """Two connections without a group take half of the filters each, and every message once."""
    filters = [f"stadspuls/stadspuls/{n}" for n in range(7)]
    taker = Taker(Receiver(broker.address(), filters, "test", connections=2))
    send(broker, 0, 1_000)
    until(lambda: len(taker.taken) >= 1_000)
    assert taker.stop()
    assert sorted(taker.payloads()) == sorted(numbers(0, 1_000))
    assert {delivery.token.slot for delivery in taker.taken} == {0, 1}


def test_published_at_qos_0(broker: Broker) -> None:
    """A sensor that publishes at QoS 0 is heard too; nothing of it is acknowledged, and the line goes on."""
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
    limits = Limits(in_flight_messages=60)
    taker = Taker(receiver(broker, limits=limits), acknowledge=False)
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


@pytest.mark.mosquitto
@pytest.mark.skipif(MOSQUITTO is None, reason="the mosquitto program is not installed")
class TestMosquitto:
    """What only Mosquitto does: MQTT 5 beside 3.1.1, credentials, TLS, and a memory that survives a kill."""

    def test_version_5(self, durable: Broker) -> None:
        """MQTT 5: the session is kept without an expiry, and unacknowledged messages come again."""
        first = Taker(receiver(durable, "?version=5"), acknowledge=False)
        send(durable, 0, 500, "?version=5")
        until(lambda: len(first.taken) == 500)
        first.stop(0)
        second = Taker(receiver(durable, "?version=5"))
        until(lambda: len(second.taken) >= 500)
        assert second.stop()
        assert sorted(second.payloads()) == sorted(numbers(0, 500))

    def test_two_connections_share(self, durable: Broker) -> None:
        """Two connections of one group get every message once between them, also one that was not acknowledged."""
        first = Taker(Receiver(durable.address(), [FILTER], "test", "group", 2), acknowledge=False)
        send(durable, 0, 1_000)
        until(lambda: len(first.taken) == 1_000)
        assert {delivery.token.slot for delivery in first.taken} == {0, 1}
        assert not first.stop(0)
        second = Taker(Receiver(durable.address(), [FILTER], "test", "group", 2))
        until(lambda: len(second.taken) >= 1_000)
        assert second.stop()
        assert sorted(second.payloads()) == sorted(numbers(0, 1_000))

    def test_killed_after_it_saved(self, durable: Broker, tmp_path: Path) -> None:
        """What Mosquitto confirmed and wrote to disk survives a kill -9 of it, with nobody there to take it."""
        assert Taker(receiver(durable)).stop()
        send(durable, 0, 2_000)
        durable.save()
        until(lambda: (tmp_path / "mosquitto.db").exists() and (tmp_path / "mosquitto.db").stat().st_size > 2_000 * 20)
        durable.kill()
        durable.start()
        taker = Taker(receiver(durable))
        until(lambda: len(taker.taken) >= 2_000)
        assert taker.stop()
        assert taker.payloads() == numbers(0, 2_000)

    def test_killed_while_messages_flow(self, durable: Broker, tmp_path: Path) -> None:
        """The broker dies with messages on their way: the sender sends them again, and every one arrives."""
        taker = Taker(receiver(durable))
        durable.save()
        until(lambda: (tmp_path / "mosquitto.db").exists() and b"test-0" in (tmp_path / "mosquitto.db").read_bytes())
        with Sender(durable.address()) as sender:
            for number in range(5_000):
                sender.publish("stadspuls/stadspuls/x", b"%d" % number)
                if number == 2_500:
                    durable.kill()
                    durable.start()
            sender.flush(60)
        until(lambda: set(taker.payloads()) == set(numbers(0, 5_000)))
        assert taker.stop()

    def test_credentials(self, tmp_path: Path) -> None:
        """A wrong password is refused, said so, and tried again; the right one gets in."""
        passwords = tmp_path / "passwords"
        subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, "hub", "p@ss/word"], check=True, capture_output=True)
        broker = mosquitto(tmp_path, listener=f"password_file {passwords}").start()
        try:
            url = f"127.0.0.1:{broker.port}"
            wrong = Receiver(Address.parse(f"mqtt://hub:wrong@{url}"), [FILTER], "wrong")
            wrong.start()
            assert not wrong.ready.wait(1)
            wrong.stop(0)
            taker = Taker(Receiver(Address.parse(f"mqtt://hub:p%40ss%2Fword@{url}"), [FILTER], "right"))
            assert taker.stop()
        finally:
            broker.stop()

    def test_tls(self, tmp_path: Path) -> None:
        """Through TLS, with our own certificate authority, messages of all sizes arrive in order."""
        _certificate(tmp_path)
        broker = mosquitto(
            tmp_path, listener=f"allow_anonymous true\ncertfile {tmp_path}/cert.pem\nkeyfile {tmp_path}/key.pem"
        ).start()
        try:
            address = Address.parse(f"mqtts://localhost:{broker.port}?ca={tmp_path}/cert.pem")
            taker = Taker(Receiver(address, [FILTER], "tls"))
            sent = [bytes([n % 256]) * (n * 37 % 60_000) for n in range(1_000)]
            with Sender(address) as sender:
                for payload in sent:
                    sender.publish("stadspuls/stadspuls/x", payload)
                sender.flush(60)
            until(lambda: len(taker.taken) >= len(sent))
            assert taker.stop()
            assert taker.payloads() == sent
        finally:
            broker.stop()


def _certificate(directory: Path) -> None:
    options = "-newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    command = f"openssl req -x509 {options} -keyout key.pem -out cert.pem"
    subprocess.run(command.split(), cwd=directory, check=True, capture_output=True)


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


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://broker", "scheme 'http'"),
        ("mqtt://", "without a host"),
        ("mqtt://broker:0", "port 0"),
        ("mqtt://broker:99999", "port is not a number"),
        ("mqtt://broker/topic", "path '/topic'"),
        ("mqtt://broker?version=3", "version '3'"),
        ("mqtt://broker?qos=2", "option qos"),
        ("mqtt://broker?ca=/nowhere", "ca with mqtt"),
        ("mqtts://broker?ca=/nowhere", "ca: no file '/nowhere'"),
        ("mqtts://broker?key=/nowhere", "key without cert"),
    ],
)
def test_bad_address(url: str, said: str) -> None:
    """An address that cannot work is refused when it is read, and the message names the part."""
    with pytest.raises(ValueError, match=said):
        Address.parse(url)


def test_password_stays_hidden() -> None:
    """No text made of an address shows its password."""
    address = Address.parse("mqtt://hub:s%20cret@broker:1884?version=5")
    assert (address.password, address.version, address.port) == ("s cret", 5, 1884)
    assert "cret" not in f"{address!r} {address}"


@pytest.mark.parametrize(("connections", "group"), [(0, "g"), (2, None), (-1, None)])
def test_bad_receiver(connections: int, group: str | None) -> None:
    """A receiver that would deliver twice, or nothing, is refused when it is made."""
    with pytest.raises(ValueError, match="connections"):
        Receiver(Address("broker"), [FILTER], "x", group, connections)


def test_bad_limit() -> None:
    """A limit below 1 is refused by name."""
    with pytest.raises(ValueError, match="in_flight_bytes is 0"):
        Limits(in_flight_bytes=0)
