"""
The thread that drives a connection (`ingest.mqtt.connection`): it waits, reads, writes and connects again.
"""

import contextlib
import select
import socket
import threading

import structlog

from ingest.mqtt.connection import Connection
from ingest.mqtt.socket import BufferedSocket

_LONGEST = 1.0  # s without a look at what is due
_ENDS_WITHIN = 15.0  # s; a look-up of a name may take longer, and is left behind

_log = structlog.get_logger("ingest.mqtt.loop")


class Loop(threading.Thread):
    """It ends by itself only for a bug: then `failed` is set."""

    def __init__(self, name: str, connection: Connection) -> None:
        super().__init__(name=name, daemon=True)
        self.failed: BaseException | None = None
        self._connection = connection
        self._wake_out, self._wake_in = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._ending = False

    def wake(self) -> None:
        """Take a turn soon; from any thread."""
        with contextlib.suppress(BlockingIOError, OSError):  # full: it will wake; closed: it has ended
            self._wake_out.send(b"x")

    def end(self) -> None:
        """End the thread and disconnect."""
        self._ending = True
        self.wake()
        if self.ident is None:
            self._close()
        else:
            self.join(_ENDS_WITHIN)

    def _close(self) -> None:
        self._connection.disconnect()
        self._wake_in.close()
        self._wake_out.close()

    def run(self) -> None:
        """Let the connection come up by itself, and again, until the end."""
        try:
            while not self._ending:
                self._round()
        except BaseException as error:
            _log.critical("the MQTT loop ends", exc_info=True)
            self.failed = error
            self._connection.ended()
        finally:
            self._close()

    def _round(self) -> None:
        connection = self._connection
        connection.turn()
        reading = connection.room() > 0
        wait = _LONGEST
        if (sock := connection.socket) is not None:
            connection.keep_alive(sock, reading)
            connection.write()
        elif reading:
            wait = connection.connect_when_due()
        sock = connection.socket
        if sock is not None and reading and sock.ready():
            wait = 0.0
        if self._wait(sock, min(wait, _LONGEST), reading or not connection.greeted) and sock is not None:
            connection.read(sock)
        self._handle()

    def _wait(self, sock: BufferedSocket | None, seconds: float, reading: bool) -> bool:
        """Wait for the network, or to be woken; tell whether there is something to read."""
        poll = select.poll()
        poll.register(self._wake_in, select.POLLIN)
        if sock is not None and (wanted := select.POLLIN * reading | select.POLLOUT * bool(sock.unsent())):
            poll.register(sock, wanted)
        found = dict(poll.poll(seconds * 1000))
        if self._wake_in.fileno() in found:
            with contextlib.suppress(BlockingIOError):
                self._wake_in.recv(4096)
        return sock is not None and found.get(sock.fileno(), 0) & ~select.POLLOUT > 0

    def _handle(self) -> None:
        connection = self._connection
        while (sock := connection.socket) is not None and sock.ready():
            room = connection.room()
            if room <= 0 and connection.greeted and not sock.finished():
                break
            connection.handle(sock, max(room, 1))
        connection.write()
