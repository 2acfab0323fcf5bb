"""
A socket with room on both sides: one system call for many small packets.

paho asks for one byte at a time and sends every packet by itself. `ingest.mqtt` gives it this socket instead, calls
`fill` when the selector says there is something to read and `flush` when a round is done.
"""

import socket
import ssl
from collections.abc import Callable

SIZE = 256 * 1024


class BufferedSocket:
    """Looks to paho like a non-blocking socket; reads and writes the network only in `fill` and `flush`."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._tls = isinstance(sock, ssl.SSLSocket)
        self._in = b""
        self._at = 0
        self._out = bytearray()
        self._ended = False
        self.on_close: Callable[[], None] = lambda: None

    def recv(self, size: int) -> bytes:
        """Give at most `size` bytes of what was filled; b"" at the end of the stream."""
        at = self._at
        data = self._in[at : at + size]
        if not data and not self._ended:
            raise BlockingIOError
        self._at = at + len(data)
        return data

    def send(self, data: bytes | bytearray) -> int:
        """Take all of `data`; it leaves at the next `flush`."""
        self._out += data
        return len(data)

    def pending(self) -> int:
        """Count the bytes that were filled and not yet received; 1 at the end of the stream."""
        return len(self._in) - self._at or int(self._ended)

    def finished(self) -> bool:
        """Say whether only the end of the stream is left to receive."""
        return self._ended and self._at >= len(self._in)

    def unsent(self) -> int:
        """Count the bytes that wait for the network."""
        return len(self._out)

    def fill(self) -> int:
        """Read what the network has, about `SIZE` bytes at most, and say how many; an error ends the stream."""
        self._in, self._at = self._in[self._at :], 0
        chunks = [self._in]
        try:
            self._read(chunks)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except OSError:
            self._ended = True
        self._in = b"".join(chunks)
        return sum(map(len, chunks[1:]))

    def _read(self, chunks: list[bytes]) -> None:
        room = SIZE
        while room > 0:
            chunk = self._sock.recv(room)
            if not chunk:
                self._ended = True
                return
            chunks.append(chunk)
            # TLS gives one record at a time, and the selector cannot see those that OpenSSL already holds.
            room = room - len(chunk) if self._tls else 0

    def flush(self) -> None:
        """Write as much as the network takes; a broken connection shows as the end of the stream."""
        try:
            while self._out:
                sent = self._sock.send(self._out)
                del self._out[:sent]
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except OSError:
            self.abort()

    def abort(self) -> None:
        """Let the reader see the end of the stream."""
        self._out.clear()
        self._in, self._at = b"", 0
        self._ended = True

    def fileno(self) -> int:
        """Give the file descriptor, for a selector."""
        return self._sock.fileno()

    def setblocking(self, flag: bool) -> None:
        """Set whether the network blocks; paho sets it not to once connected."""
        self._sock.setblocking(flag)

    def close(self) -> None:
        """Send what still can be sent at once (a DISCONNECT), then close."""
        self.on_close()
        if not self._ended:
            self.flush()
        self._sock.close()
