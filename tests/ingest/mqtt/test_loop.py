"""Receiver and sender without a working broker: what is refused, what is tried again, what is reported."""

import socket

import pytest

from ingest.mqtt.address import Address
from ingest.mqtt.pending_acks import PendingAcks
from ingest.mqtt.receiver import Limits, Receiver
from ingest.mqtt.sender import Sender
from tests.support.lines import FILTER


def test_acknowledgements_keep_their_order() -> None:
    """What is done out of order waits for what came before it; after a reconnect old numbers mean nothing."""
    kept = PendingAcks()
    numbers = [kept.add(mid) for mid in (10, 11, 12)]
    kept.acknowledge(numbers[1])
    assert kept.pubacks() == b""
    kept.acknowledge(numbers[0])
    assert kept.pubacks() == bytes([0x40, 2, 0, 10, 0x40, 2, 0, 11])
    kept.clear()
    again = kept.add(1)
    kept.acknowledge(again)
    assert kept.pubacks() == bytes([0x40, 2, 0, 1])
    assert again not in numbers


def test_bug_while_receiving_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the thread that receives ends for a bug, taking rounds raises instead of waiting for ever."""

    def broken(_receiver: Receiver) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(Receiver, "_turn", broken)
    ill = Receiver(Address("127.0.0.1", 1), [FILTER], "test")
    ill.start()
    with pytest.raises(RuntimeError, match="nothing is received any more"):
        next(ill.rounds())
    ill.stop(0)


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


@pytest.mark.parametrize(("connections", "group"), [(0, "g"), (2, None), (-1, None)])
def test_bad_receiver(connections: int, group: str | None) -> None:
    """A receiver that would deliver twice, or nothing, is refused when it is made."""
    with pytest.raises(ValueError, match="connections"):
        Receiver(Address("broker"), [FILTER], "x", group, connections)


def test_bad_limit() -> None:
    """A limit below 1 is refused by name."""
    with pytest.raises(ValueError, match="in_flight_bytes is 0"):
        Limits(in_flight_bytes=0)
