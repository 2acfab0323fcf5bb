"""What the built-in broker lets in: every version of MQTT, every client id; what it refuses gets a code and a line."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from hub.servers.broker import BuiltInBroker
from hub.servers.packets import Stream, read_connect
from hub.servers.process import raise_file_limit
from ingest.mqtt.client import refusal
from ingest.mqtt.receiver import Receiver
from tests.support.brokers import free_port
from tests.support.lines import FILTER, Taker, until

TOPIC = "stadspuls/stadspuls/x"
HUB = ("hub", 'listen = "127.0.0.1:PORT"')


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BuiltInBroker]:
    """A built-in broker with credentials."""
    made = BuiltInBroker(tmp_path_factory.mktemp("broker"), port=free_port(), queue=1000, credentials=HUB)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def taker(broker: BuiltInBroker) -> Iterator[Taker]:
    """The hub's receiver."""
    made = Taker(Receiver(broker.address, [FILTER], "hub"))
    yield made
    assert made.stop()


def client(broker: BuiltInBroker, name: str, version: int, keepalive: int = 60) -> Client:
    """Connect a client of any version, and wait until it is let in."""
    made = Client(CallbackAPIVersion.VERSION2, name, protocol=MQTTProtocolVersion(version))
    made.username_pw_set(*HUB)
    made.connect("127.0.0.1", broker.port, keepalive)
    made.loop_start()
    until(made.is_connected)
    return made


def answer(broker: BuiltInBroker, packet: bytes) -> bytes:
    """Send a packet, and give what the broker says until it closes."""
    with socket.create_connection(("127.0.0.1", broker.port), timeout=30) as sock:
        sock.sendall(packet)
        return b"".join(iter(lambda: sock.recv(100), b""))


def logged(broker: BuiltInBroker, text: str) -> bool:
    """Tell whether the broker's log has a line with this text."""
    return text in broker._logfile.read_text()


@pytest.mark.parametrize("version", [3, 4, 5])
@pytest.mark.parametrize("name", ["a/b", "a+b", "a$b", "#", "100%", "dev1"])
def test_every_id_and_version(broker: BuiltInBroker, taker: Taker, name: str, version: int) -> None:
    """A client with any id and of MQTT 3.1, 3.1.1 or 5 publishes; keep-alive 0 is allowed; each message comes once."""
    made = client(broker, name, version, keepalive=0)
    for qos in (1, 2):
        made.publish(TOPIC, b"%d" % qos, qos).wait_for_publish(30)
    made.disconnect()
    made.loop_stop()
    until(lambda: len(taker.taken) >= 2)
    assert taker.payloads() == [b"1", b"2"]


def test_asked_with_many_files_open(broker: BuiltInBroker) -> None:
    """A hub with more than a thousand connections still sees that its broker answers, and does not end it."""
    raise_file_limit()
    with ExitStack() as undo:
        for _ in range(1_100):
            undo.enter_context(socket.socket())
        assert refusal(broker.address, 30) is None


def test_ids_stay_apart(broker: BuiltInBroker) -> None:
    """An id that looks like another one's escaped form is not the same client."""
    made = [client(broker, name, 4) for name in ("a/b", "a%2Fb")]
    assert refusal(broker.address, 30) is None
    assert all(one.is_connected() for one in made)
    for one in made:
        one.disconnect()
        one.loop_stop()


def test_properties_of_version_5(broker: BuiltInBroker, taker: Taker) -> None:
    """A message or will with properties reaches the hub and ends nobody; CONNACK allows for no aliases of topics."""
    made = Client(CallbackAPIVersion.VERSION2, "five", protocol=MQTTProtocolVersion.MQTTv5)
    made.username_pw_set(*HUB)
    will = Properties(PacketTypes.WILLMESSAGE)  # type: ignore[no-untyped-call]
    will.UserProperty = ("firmware", "1.2")
    made.will_set(TOPIC, b"gone", 1, properties=will)
    said: list[Properties | None] = []
    made.on_connect = lambda _c, _u, _f, _why, properties: said.append(properties)
    made.connect("127.0.0.1", broker.port)
    made.loop_start()
    until(lambda: bool(said))
    assert not hasattr(said[0], "TopicAliasMaximum")
    told = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    told.MessageExpiryInterval, told.ContentType = 60, "text/plain"
    told.UserProperty = [("a", "b"), ("c", "d")]
    for number in range(3):
        made.publish(TOPIC, b"%d" % number, 1, properties=told)
    until(lambda: len(taker.taken) >= 3)
    cast(socket.socket, made.socket()).shutdown(socket.SHUT_RDWR)  # without a goodbye: the will
    until(lambda: len(taker.taken) >= 4)
    made.loop_stop()
    assert taker.payloads() == [b"0", b"1", b"2", b"gone"]
    assert {one.topic for one in taker.taken} == {TOPIC}


@pytest.mark.parametrize("version", [4, 5])
def test_only_alerts_are_retained(broker: BuiltInBroker, taker: Taker, version: int) -> None:
    """A sensor's message comes, and is not kept for later subscribers; the hub's alert is."""
    sender = client(broker, "sender", version)
    sender.publish(f"stadspuls/alerts/{version}", b"alert", 1, retain=True).wait_for_publish(30)
    sender.publish(TOPIC, b"value", 1, retain=True).wait_for_publish(30)
    until(lambda: b"value" in taker.payloads())
    found: list[tuple[str, bool]] = []

    def note(_client: Client, _user: object, message: MQTTMessage) -> None:
        found.append((message.topic, message.retain))

    sender.on_message = note
    sender.subscribe("stadspuls/#", 1)
    until(lambda: (f"stadspuls/alerts/{version}", True) in found)
    sender.publish(TOPIC, b"last", 1).wait_for_publish(30)
    until(lambda: (TOPIC, False) in found)
    assert (TOPIC, True) not in found
    sender.disconnect()
    sender.loop_stop()


class TestTopicsOfTheHub:
    """Where the hub alone publishes, and everyone may read."""

    @pytest.fixture
    def closed(self, tmp_path: Path) -> Iterator[BuiltInBroker]:
        """A broker of a hub whose clients begin with `own`."""
        made = BuiltInBroker(tmp_path, port=free_port(), queue=1000, credentials=HUB, client_id="own", own="v1.1/")
        made.start()
        yield made
        made.stop()

    @pytest.mark.parametrize("version", [4, 5])
    def test_others_read_and_do_not_publish(self, closed: BuiltInBroker, version: int) -> None:
        """Who tries loses the connection, with a line in the log; on other topics it may name them as it likes."""
        reader = Taker(Receiver(closed.address, ["#"], "reader"))
        stranger = client(closed, "stranger", version)
        stranger.publish("stadspuls/v1.1/x", b"v1.1/", 1).wait_for_publish(30)
        stranger.publish("v1.1/Datastreams(1)/Observations", b"false", 1)
        until(lambda: logged(closed, "publishes on b'v1.1/', the hub's"))
        stranger.loop_stop()
        sender = client(closed, "own-0-updates", version)
        sender.publish("v1.1/Datastreams(1)/Observations", b"true", 1).wait_for_publish(30)
        until(lambda: len(reader.taken) >= 2)
        assert reader.payloads() == [b"v1.1/", b"true"]
        sender.loop_stop()
        assert reader.stop()

    def test_nor_by_a_will(self, closed: BuiltInBroker) -> None:
        """It is refused with the connection."""
        made = Client(CallbackAPIVersion.VERSION2, "stranger")
        made.username_pw_set(*HUB)
        made.will_set("v1.1/Datastreams(1)/Observations", b"false", 1)
        said: list[bool] = []
        made.on_connect = lambda _c, _u, _f, why, _p: said.append(why.is_failure)
        made.connect("127.0.0.1", closed.port)
        made.loop_start()
        until(lambda: said[:1] == [True])
        made.loop_stop()


def connect(level: int, name: bytes = b"MQTT", password: bytes = b"wrong") -> bytes:
    """Make the CONNECT of a client `bad` with a password."""
    fields = b"".join(len(one).to_bytes(2) + one for one in (b"bad", b"hub", password))
    body = len(name).to_bytes(2) + name + bytes([level, 0xC2, 0, 60]) + b"\0" * (level == 5) + fields
    return bytes([0x10, len(body)]) + body


@pytest.mark.parametrize(
    ("packet", "code", "line"),
    [
        (connect(4), b"\x20\x02\x00\x05", "'bad' at 127"),
        (connect(5), b"\x20\x03\x00\x87\x00", "user name or password"),
        (connect(6), b"\x20\x02\x00\x01", "protocol b'MQTT' 6, expected MQTT 3.1, 3.1.1 or 5"),
        (b"\x10\4\0\x09MQ", b"", "too early"),
        (b"GET / HTTP/1.1\r\n\r\n", b"", "expected CONNECT"),
        (b"\x10\xff\xff\xff\x7f", b"", "expected at most 1048576"),
    ],
)
def test_refused_with_a_code_and_a_line(broker: BuiltInBroker, packet: bytes, code: bytes, line: str) -> None:
    """Each refusal has its code where MQTT has one, and a line in the broker's log."""
    until(lambda: answer(broker, packet) == code and logged(broker, line))
    assert refusal(broker.address, 30) is None


said = st.tuples(st.integers(0, 2), st.sampled_from([b"", b"\1\1"]), st.binary(max_size=40))


@given(st.lists(said, max_size=8), st.integers(1, 50), st.booleans())
def test_packets_cut_anywhere(messages: list[tuple[int, bytes, bytes]], size: int, five: bool) -> None:
    """
    However the network cuts a client's packets, the same leaves for rumqttd, without properties and retained messages.

    Those at QoS 1 and 2 count as what is confirmed.
    """
    sent, wanted = bytearray(), bytearray()
    for qos, properties, payload in messages:
        head = b"\0\3a/b" + b"\0\1" * (qos > 0)
        for packets, retained, given_ in ((sent, 1, properties), (wanted, 0, b"")):
            body = head + (bytes([len(given_)]) + given_) * five + payload
            packets += bytes([0x30 | qos << 1 | retained, len(body)]) + body
    stream = Stream(five)
    sent += b"\xe0\0"
    got = b"".join(stream.taken(bytes(sent[at : at + size])) for at in range(0, len(sent), size))
    assert got == wanted + b"\xe0\0"
    assert (stream.left, stream.confirmed) == (True, sum(qos > 0 for qos, *_ in messages))


@given(st.binary(max_size=60), st.booleans())
def test_any_bytes_are_refused_or_waited_for(data: bytes, five: bool) -> None:
    """Nothing that a client sends raises anything else, or becomes more than what was sent."""
    reads: list[Callable[[], bytes]] = [
        lambda: read_connect(b"\x10" + data).packet, lambda: Stream(five).taken(b"\x33" + data),
    ]  # fmt: skip
    for read in reads:
        found: bytes | None = None
        with suppress(ValueError, IndexError):
            found = read()
        assert found is None or len(found) <= 3 * len(data) + 1
