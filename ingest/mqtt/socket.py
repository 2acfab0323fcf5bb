"""
A socket with room on both sides: one system call for many small packets.

paho asks for one byte at a time and sends every packet by itself. `ingest.mqtt.client` gives it this socket
instead, and `ingest.mqtt.connection` fills and flushes it. Messages are cut out here, because paho takes 20 us for
each; all other packets go to paho, and only when they are complete.
"""

import socket
import ssl
import time
from contextlib import suppress

SIZE = 256 * 1024
_CLOSES_WITHIN = 1.0  # s
_PUBLISH = 3  # in the upper half of a packet's first byte
_LATER = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)

# Topic, payload, the packet id to acknowledge (0 for QoS 0), and whether it is one that the broker retains.
Published = tuple[bytes, bytes, int, bool]


class BufferedSocket:
    """Looks to paho like a non-blocking socket; reads and writes the network only in `fill` and `flush`."""

    def __init__(self, sock: socket.socket) -> None:
        self.read_at = self.written_at = time.monotonic()
        self._sock = sock
        self._in = b""
        self._at = self._framed = 0
        self.unsent = bytearray()  # waits for the network
        self._ended = False

    def recv(self, size: int) -> bytes:
        """Give at most `size` bytes of the packets that `frame` lets through; b"" at the end of the stream."""
        data = self._in[self._at : min(self._at + size, self._framed)]
        if not data and not self.finished():
            raise BlockingIOError
        self._at += len(data)
        return data

    def frame(self) -> int:
        """Let the complete packets through, up to the next PUBLISH, and give how many bytes they are."""
        self._framed = self._at
        while (after := self._after(self._framed)) and self._in[self._framed] >> 4 != _PUBLISH:
            self._framed = after
        return self._framed - self._at

    def messages(self, most: int, five: bool) -> list[Published]:
        """Take complete PUBLISH packets from the front, at most `most`; none is at QoS 2, for the hub asks for 1."""
        taken: list[Published] = []
        data, at = self._in, self._at
        while len(taken) < most:
            head, after = span(data, at)
            if not after or data[at] >> 4 != _PUBLISH:
                break
            body = topic = head + 2 + (data[head] << 8 | data[head + 1])
            mid = 0
            if data[at] & 0x06:
                mid, body = data[topic] << 8 | data[topic + 1], topic + 2
            if five:  # properties, of which the hub uses none
                size, body = number(data, body)
                body += size
            if body > after:
                raise ValueError(f"PUBLISH of {after - at} bytes ends before its payload begins")
            taken.append((data[head + 2 : topic], data[body:after], mid, bool(data[at] & 0x01)))
            at = after
        self._at = at
        return taken

    def ready(self) -> bool:
        """Tell whether there is a complete packet, or the end of the stream, to handle."""
        return self._ended or self._after(self._at) > 0

    def _after(self, at: int) -> int:
        """Give where the packet at `at` ends, 0 while it is not complete."""
        return span(self._in, at)[1]

    def send(self, data: bytes | bytearray) -> int:
        """Take all of `data`; it leaves at the next `flush`."""
        self.unsent += data
        return len(data)

    def finished(self) -> bool:
        """Tell whether only the end of the stream is left to receive."""
        return self._ended and not self._after(self._at)

    def fill(self) -> None:
        """Read what the network has, about `SIZE` bytes at most; an error ends the stream."""
        self.read_at = time.monotonic()
        chunks, room = [self._in[self._at :]], SIZE
        try:
            # Until there is no more: TLS gives one record at a time, and a poll cannot see those that OpenSSL holds.
            while room > 0 and (chunk := self._sock.recv(room)):
                chunks.append(chunk)
                room -= len(chunk)
            self._ended = self._ended or room > 0
        except _LATER:
            acknowledge_at_once(self._sock)
        except OSError:
            self._ended = True
        self._in, self._at, self._framed = b"".join(chunks), 0, 0

    def flush(self) -> None:
        """Write as much as the network takes; a broken connection shows as the end of the stream."""
        try:
            while self.unsent:
                self.written_at = time.monotonic()
                del self.unsent[: self._sock.send(self.unsent)]
        except _LATER:
            pass
        except OSError:
            self.abort()

    def abort(self) -> None:
        """Let the reader see the end of the stream."""
        self.unsent.clear()
        self._in, self._at, self._framed = b"", 0, 0
        self._ended = True

    def fileno(self) -> int:
        """Give the file descriptor, for a poll."""
        return self._sock.fileno()

    def setblocking(self, flag: bool) -> None:
        """Set whether the network blocks; paho sets it not to once connected."""
        self._sock.setblocking(flag)

    def close(self) -> None:
        """
        Send what still can be sent at once (a DISCONNECT), and close once the broker has.

        It reads one packet after the other, and drops what it has not read when the same client connects again.
        """
        if not self._ended:
            self.flush()
            until = time.monotonic() + _CLOSES_WITHIN
            self._sock.settimeout(_CLOSES_WITHIN)
            with suppress(OSError):
                while time.monotonic() < until and self._sock.recv(SIZE):
                    pass
        self._sock.close()


def acknowledge_at_once(sock: socket.socket) -> None:
    """Let no sender wait 40 ms for us before its next small packet (Nagle's algorithm); until the next read."""
    with suppress(AttributeError, OSError):  # not Linux; not TCP
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def span(data: bytes | bytearray, at: int) -> tuple[int, int]:
    """Give where the packet at `at` has its body and where it ends; zeros while it is not complete."""
    size, head = number(data, at + 1)
    end = head + size
    return (head, end) if head and end <= len(data) else (0, 0)


def number(data: bytes | bytearray, at: int) -> tuple[int, int]:
    """Read a length of one to four bytes, and give it with where it ends, 0 while it is not complete; or ValueError."""
    number = places = 0
    while at < len(data):
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << places
        if byte < 0x80:
            return number, at
        places += 7
        if places == 28:
            raise ValueError(f"packet length {data[at - 4 : at].hex()} of more than four bytes")
    return 0, 0
