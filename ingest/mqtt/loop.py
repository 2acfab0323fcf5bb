"""
One thread that waits for several MQTT connections at once.

`ingest.mqtt.receiver` and `ingest.mqtt.sender` give it their connections (`ingest.mqtt.connection`) and a `turn` to
take in its thread.
"""

import contextlib
import selectors
import socket
import threading
import time
from collections.abc import Callable, Sequence

import structlog

from ingest.mqtt.connection import Connection
from ingest.mqtt.socket import BufferedSocket

_log = structlog.get_logger("ingest.mqtt.loop")


class Loop:
    """
    Reads, writes and reconnects; `room` gives how many messages may come in, `turn` is called every round.

    It ends by itself only for a bug: then `failed` is set, and `on_failure` is called.
    """

    def __init__(
        self,
        name: str,
        connections: Sequence[Connection],
        turn: Callable[[], None],
        room: Callable[[], int],
        on_failure: Callable[[], None],
    ) -> None:
        self.failed: BaseException | None = None
        self._on_failure = on_failure
        self._connections = connections
        self._turn = turn
        self._room = room
        self._selector = selectors.DefaultSelector()
        self._watched: dict[BufferedSocket, int] = {}
        self._wake_out, self._wake_in = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._selector.register(self._wake_in, selectors.EVENT_READ)
        self._ending = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin; the connections come up by themselves."""
        self._thread.start()

    def wake(self) -> None:
        """Take a turn soon; from any thread."""
        with contextlib.suppress(BlockingIOError, OSError):  # full: it will wake; closed: it has ended
            self._wake_out.send(b"x")

    def end(self) -> None:
        """End the thread and disconnect."""
        self._ending = True
        self.wake()
        if self._thread.is_alive():
            self._thread.join()
        for connection in self._connections:
            connection.join(15)
            connection.disconnect()
        self._selector.close()
        self._wake_in.close()
        self._wake_out.close()

    def _run(self) -> None:
        try:
            while not self._ending:
                self._round()
        except BaseException as error:
            _log.critical("the MQTT loop ends", exc_info=True)
            self.failed = error
            self._on_failure()

    def _round(self) -> None:
        self._turn()
        now = time.monotonic()
        reading = self._room() > 0
        for connection in self._connections:
            self._prepare(connection, now, reading)
        waiting = reading and any(c.socket is not None and c.socket.ready() for c in self._connections)
        wait = min(connection.wait(now) for connection in self._connections) if reading else 1.0
        for key, mask in self._selector.select(0.0 if waiting else wait):
            if key.data is None:
                with contextlib.suppress(BlockingIOError):
                    self._wake_in.recv(4096)
            elif mask & selectors.EVENT_READ:
                key.data.read(key.fileobj)
        for connection in self._connections:
            self._handle(connection)

    def _prepare(self, connection: Connection, now: float, reading: bool) -> None:
        sock = connection.socket
        if sock is None:
            if reading:
                connection.connect_when_due(now, self.wake)
            return
        connection.keep_alive(sock, now, reading)
        connection.write()
        if (sock := connection.socket) is not None:
            wanted = selectors.EVENT_READ if reading or not connection.greeted else 0
            self._watch(connection, sock, wanted | (selectors.EVENT_WRITE if sock.unsent() else 0))

    def _handle(self, connection: Connection) -> None:
        while (sock := connection.socket) is not None and sock.ready():
            room = self._room()
            if room <= 0 and connection.greeted and not sock.finished():
                break
            connection.handle(sock, max(room, 1))
        connection.write()

    def _watch(self, connection: Connection, sock: BufferedSocket, wanted: int) -> None:
        mask = self._watched.get(sock, 0)
        if mask == wanted:
            return
        if not mask:
            self._selector.register(sock, wanted, connection)
            sock.on_close = lambda: self._forget(sock)
        elif wanted:
            self._selector.modify(sock, wanted, connection)
        else:
            self._selector.unregister(sock)
        self._watched[sock] = wanted

    def _forget(self, sock: BufferedSocket) -> None:
        if self._watched.pop(sock, 0):
            self._selector.unregister(sock)
