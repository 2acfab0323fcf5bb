"""The buffered socket: packets come out whole, however the network cuts them, and leave together."""

import socket
import struct
from collections.abc import Iterator

import pytest

from ingest.mqtt.socket import BufferedSocket

PINGRESP = b"\xd0\x00"


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, BufferedSocket]]:
    """The broker's end of a connection, and ours."""
    theirs, ours = socket.socketpair()
    ours.setblocking(False)
    sock = BufferedSocket(ours)
    yield theirs, sock
    theirs.close()
    sock.close()


def message(topic: bytes, mid: int, payload: bytes, first: int = 0x32, properties: bytes = b"") -> bytes:
    """Make a PUBLISH packet."""
    body = struct.pack("!H", len(topic)) + topic + struct.pack("!H", mid) + properties + payload
    size, length = len(body), bytearray()
    while True:
        size, low = divmod(size, 128)
        length.append(low | (0x80 if size else 0))
        if not size:
            return bytes([first]) + bytes(length) + body


def test_cut_anywhere(ends: tuple[socket.socket, BufferedSocket]) -> None:
    """A packet that arrives in two pieces, cut at any byte, comes out whole, and not before it is complete."""
    theirs, sock = ends
    packet = message(b"stadspuls/x", 7, bytes(200))
    for cut in range(1, len(packet)):
        theirs.sendall(packet[:cut])
        sock.fill()
        assert not sock.ready()
        assert sock.messages(9, five=False) == []
        assert sock.frame() == 0
        theirs.sendall(packet[cut:])
        sock.fill()
        assert sock.messages(9, five=False) == [(b"stadspuls/x", bytes(200), 7, False)]
        assert not sock.ready()


def test_messages_and_other_packets(ends: tuple[socket.socket, BufferedSocket]) -> None:
    """Messages at QoS 0 and 1 come out by themselves; what stands between them goes to paho in its place."""
    theirs, sock = ends
    at_most_once = b"\x30\x05\x00\x01axy"
    theirs.sendall(message(b"a", 1, b"one") + PINGRESP * 2 + at_most_once + message(b"b", 2, b"", 0x3B))
    sock.fill()
    assert sock.messages(9, five=False) == [(b"a", b"one", 1, False)]
    assert sock.messages(9, five=False) == []
    assert sock.frame() == len(PINGRESP * 2)
    assert sock.recv(100) == PINGRESP * 2
    with pytest.raises(BlockingIOError):
        sock.recv(1)
    assert sock.messages(9, five=False) == [(b"a", b"xy", 0, False), (b"b", b"", 2, True)]


def test_retained(ends: tuple[socket.socket, BufferedSocket]) -> None:
    """A retained message is told from others, also where it is sent again because it was not acknowledged."""
    theirs, sock = ends
    theirs.sendall(b"".join(message(b"a", 1, b"", first) for first in (0x32, 0x33, 0x3A, 0x3B)))
    sock.fill()
    assert [retained for *_, retained in sock.messages(9, five=False)] == [False, True, False, True]


def test_no_more_than_asked(ends: tuple[socket.socket, BufferedSocket]) -> None:
    """Only as many messages are taken as there is room for; the others stay."""
    theirs, sock = ends
    theirs.sendall(b"".join(message(b"a", mid, b"") for mid in range(1, 6)))
    sock.fill()
    assert [mid for _, _, mid, _ in sock.messages(2, five=False)] == [1, 2]
    assert [mid for _, _, mid, _ in sock.messages(9, five=False)] == [3, 4, 5]


def test_properties_are_skipped(ends: tuple[socket.socket, BufferedSocket]) -> None:
    """MQTT 5 puts properties, with their length before them, between packet id and payload."""
    theirs, sock = ends
    theirs.sendall(message(b"a", 1, b"x", properties=b"\x00") + message(b"a", 2, b"y", properties=b"\x02\x01\x01"))
    sock.fill()
    assert sock.messages(9, five=True) == [(b"a", b"x", 1, False), (b"a", b"y", 2, False)]


@pytest.mark.parametrize("packet", [b"\x32\xff\xff\xff\xff\x01", b"\x32\x04\x00\xff\x00\x00" + bytes(300)])
def test_nonsense_is_refused(ends: tuple[socket.socket, BufferedSocket], packet: bytes) -> None:
    """A length of more than four bytes, or a topic longer than its packet, is an error and no message."""
    theirs, sock = ends
    theirs.sendall(packet)
    sock.fill()
    with pytest.raises(ValueError, match=r"packet length|ends before"):
        sock.messages(9, five=False)


def test_sent_together(ends: tuple[socket.socket, BufferedSocket]) -> None:
    """What is sent waits for a flush, and what the network does not take waits for the next."""
    theirs, sock = ends
    sock.send(b"one")
    sock.send(b"two")
    sock.flush()
    assert theirs.recv(100) == b"onetwo"
    big = bytes(10_000_000)
    sock.send(big)
    sock.flush()
    assert sock.unsent
    got = 0
    while got < len(big):
        got += len(theirs.recv(1 << 20))
        sock.flush()
    assert (got, len(sock.unsent)) == (len(big), 0)


def test_end_of_the_stream(ends: tuple[socket.socket, BufferedSocket]) -> None:
    """When the peer is gone, what it sent before comes first, and then the end; half a packet is nothing."""
    theirs, sock = ends
    theirs.sendall(message(b"a", 1, b"x") + message(b"a", 2, b"y")[:-1])
    theirs.close()
    sock.fill()
    sock.fill()
    assert not sock.finished()
    assert sock.messages(9, five=False) == [(b"a", b"x", 1, False)]
    assert sock.finished()
    assert sock.recv(1) == b""
