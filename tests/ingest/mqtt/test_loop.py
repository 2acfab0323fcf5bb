"""Receiver and sender without a working broker: what is refused, what is tried again, what is reported."""

import socket
import threading

import pytest

from ingest.mqtt.address import Address
from ingest.mqtt.receiver import Receiver
from ingest.mqtt.sender import Sender
from ingest.mqtt.socket import BufferedSocket
from tests.support.lines import FILTER


def test_acknowledgements_keep_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done out of order waits for what came before it; after a reconnect old tokens mean nothing."""
    theirs, ours = socket.socketpair()
    monkeypatch.setattr(Receiver, "socket", BufferedSocket(ours))
    receiver = Receiver(Address("127.0.0.1", 1), [FILTER], "test")
    receiver.messages([(b"a", b"", mid, False) for mid in (10, 11, 12)])
    receiver.turn()
    first, second, _ = (delivery.token for delivery in next(receiver.rounds()))
    for token, packets in ((second, b""), (first, bytes([0x40, 2, 0, 10, 0x40, 2, 0, 11]))):
        receiver.acknowledge([token])
        receiver.turn()
        assert _sent(receiver, theirs) == packets
    receiver.down()
    receiver.messages([(b"a", b"", 1, False)])
    receiver.turn()
    receiver.acknowledge(delivery.token for delivery in next(receiver.rounds()))
    receiver.turn()
    assert _sent(receiver, theirs) == bytes([0x40, 2, 0, 1])
    receiver.stop(0)
    ours.close()
    theirs.close()


def test_bytes_in_flight_are_bounded() -> None:
    """Nothing is read while so many bytes wait, acknowledged in any order; then there is room for messages again."""
    receiver = Receiver(Address("127.0.0.1", 1), [FILTER], "test", in_flight_messages=10, in_flight_bytes=6)
    receiver.messages([(b"a", b"12", mid, False) for mid in (0, 7, 8)])
    assert (receiver.in_flight, receiver.in_flight_bytes, receiver.room()) == (3, 6, 0)
    tokens = [delivery.token for delivery in next(receiver.rounds())]
    for left, token in ((2, tokens[2]), (1, tokens[0]), (0, tokens[1])):
        receiver.acknowledge([token])
        receiver.turn()
        assert (receiver.in_flight, receiver.in_flight_bytes, receiver.room()) == (left, 2 * left, 10 - left)
    receiver.stop(0)
    assert receiver.room() == 0


def _sent(receiver: Receiver, theirs: socket.socket) -> bytes:
    assert receiver.socket
    receiver.socket.send(b".")
    receiver.socket.flush()
    return theirs.recv(100)[:-1]


def test_bug_while_receiving_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the thread that receives ends for a bug, taking rounds raises instead of waiting for ever."""

    def broken(_receiver: Receiver) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(Receiver, "turn", broken)
    ill = Receiver(Address("127.0.0.1", 1), [FILTER], "test")
    ill.start()
    with pytest.raises(RuntimeError, match="nothing is received any more"):
        next(ill.rounds())
    ill.stop(0)


def test_confirmed_window_is_filled_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for room is sent when the confirmations have come, also when these come all together and no more."""
    monkeypatch.setattr("ingest.mqtt.sender.WINDOW", 10)
    with socket.create_server(("127.0.0.1", 0)) as server:
        sender = Sender(Address("127.0.0.1", server.getsockname()[1]))
        for number in range(20):
            sender.publish("a", b"%02d" % number)
        broker = server.accept()[0]
        with broker.makefile("rb") as packets, broker:
            broker.settimeout(30)
            packets.read(packets.read(2)[1])  # CONNECT
            broker.sendall(b"\x20\x02\x00\x00")
            sent = [packets.read(9) for _ in range(10)]
            broker.settimeout(0.5)  # the thread looks at what is due every second
            broker.sendall(b"".join(b"\x40\x02" + one[5:7] for one in sent))
            sent += [packets.read(9) for _ in range(10)]
            broker.sendall(b"".join(b"\x40\x02" + one[5:7] for one in sent[10:]))
            sender.flush(30)
        sender.close()
    assert [one[-2:] for one in sent] == [b"%02d" % number for number in range(20)]


@pytest.mark.parametrize("topic", ["", "a/+/b", "a/#", "a\x00b", "a" * 70_000])
def test_bad_topic(topic: str) -> None:
    """A topic for which a broker would hang up, now and after every reconnect, is refused when it is published."""
    with Sender(Address("127.0.0.1", 1)) as sender, pytest.raises(ValueError, match="topic"):
        sender.publish(topic, b"")


def test_silent_broker_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that takes the connection and sends nothing is tried again, for as long as it takes."""
    monkeypatch.setattr("ingest.mqtt.connection.PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(30)
        waiting = Receiver(Address("127.0.0.1", silent.getsockname()[1]), [FILTER], "test")
        waiting.start()
        accepted = [silent.accept()[0] for _ in range(3)]
        assert not waiting.ready.is_set()
        assert waiting.stop(0)
        for connection in accepted:
            connection.close()


def test_stop_does_not_wait_for_a_name_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look-up of the broker's name that hangs keeps nobody from stopping."""
    hanging, over, ended = threading.Event(), threading.Event(), threading.Event()

    def look_up(*_: object, **__: object) -> list[object]:
        hanging.set()
        over.wait(120)
        ended.set()
        raise OSError("no answer")

    monkeypatch.setattr("ingest.mqtt.connection._ENDS_WITHIN", 0.2)
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    waiting = Receiver(Address("broker", 1), [FILTER], "test")
    waiting.start()
    assert hanging.wait(60)
    assert waiting.stop(0)
    assert not ended.is_set()
    over.set()
