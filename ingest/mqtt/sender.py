"""
Publishes at QoS 1, fast and bounded, and knows when the broker has everything.

Used by `stadspuls publish`, the gateways, the simulated city and the benches; `ingest.mqtt.loop` drives its connection.
"""

import secrets
import threading
from collections import deque
from typing import Self

import structlog

from ingest.mqtt.address import Address
from ingest.mqtt.connection import Connection, Owner
from ingest.mqtt.loop import Loop

LARGEST = 1 << 20  # the packet limit of the brokers that come with the hub
_OVERHEAD = 16  # at most: header, topic length, packet id, empty properties
_FORBIDDEN = frozenset("+#\x00")  # a broker disconnects on these, and would again after every reconnect

_log = structlog.get_logger("ingest.mqtt.sender")


class BrokerRefused(Exception):  # noqa: N818 - what happened is the name
    """The broker answered messages with a refusal (MQTT 5): they were not taken."""


class Sender(Owner):
    """
    A bounded window of messages that the broker has not confirmed; sent again after every reconnect.

    After a reconnect a message that the broker already had may arrive twice: QoS 1 is at least once.
    """

    def __init__(
        self,
        address: Address,
        client_id: str | None = None,
        window: int = 2_000,
        window_bytes: int = 32_000_000,
        largest: int = LARGEST,
    ) -> None:
        if not 1 <= window <= 60_000:
            raise ValueError(f"window is {window}, expected 1 to 60000")
        self.acknowledged = self.refused = self.in_flight = 0
        self._window, self._window_bytes, self._largest = window, window_bytes, largest
        self._connection = Connection(address, client_id or f"stadspuls-send-{secrets.token_hex(6)}", self)
        self._room = threading.Condition()
        self._queue: deque[tuple[str, bytes]] = deque()
        self._sizes: dict[int, int] = {}
        self._outstanding = self._outstanding_bytes = 0
        self._answered = self._answered_bytes = 0
        self._closed = False
        self._refused_before = 0
        self._loop = Loop("mqtt-send", [self._connection], self._turn, lambda: 1, self._close)
        self._loop.start()

    def publish(self, topic: str, payload: bytes) -> None:
        """
        Send one message; waits while the window is full.

        Raises ValueError for one that no broker of ours would take, RuntimeError when closed.
        """
        size = len(topic.encode()) + len(payload) + _OVERHEAD
        if size > self._largest:
            raise ValueError(f"message of {size} bytes for {topic[:200]!r}, expected at most {self._largest}")
        if not topic or len(topic) > 65_535 // 4 or not _FORBIDDEN.isdisjoint(topic):
            raise ValueError(f"topic {topic[:200]!r}, expected a short one without wildcards and NUL")
        with self._room:
            self._room.wait_for(lambda: self._fits(size) or self._closed)
            if self._closed:
                raise RuntimeError("publish on a closed sender")
            self._queue.append((topic, payload))
            self._outstanding += 1
            self._outstanding_bytes += size
            first = len(self._queue) == 1
        if first:
            self._loop.wake()

    def _fits(self, size: int) -> bool:
        room = self._outstanding < self._window and self._outstanding_bytes + size <= self._window_bytes
        return room or not self._outstanding

    def flush(self, seconds: float | None = None) -> None:
        """
        Return when the broker has confirmed everything.

        Raises TimeoutError after `seconds`, BrokerRefused when the broker turned messages down since the last flush.
        """
        with self._room:
            if not self._room.wait_for(lambda: not self._outstanding or self._closed, seconds) or self._outstanding:
                raise TimeoutError(f"{self._outstanding} messages are not confirmed by {self._connection.address}")
            refused, self._refused_before = self.refused - self._refused_before, self.refused
        if refused:
            raise BrokerRefused(f"{refused} messages were refused by {self._connection.address}")

    def close(self) -> None:
        """Disconnect; what is not confirmed may be lost, so flush first."""
        self._close()
        self._loop.end()

    def _close(self) -> None:
        with self._room:
            self._closed = True
            self._room.notify_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # In the thread of the loop.

    def _turn(self) -> None:
        if self._answered:
            self._confirm()
        if not self._connection.is_up:
            return
        room = min(self._window, self._connection.receive_maximum) - self.in_flight
        for _ in range(min(room, len(self._queue))):
            topic, payload = self._queue.popleft()
            mid = self._connection.publish(topic, payload)
            self._sizes[mid] = len(topic.encode()) + len(payload) + _OVERHEAD
            self.in_flight += 1

    def _confirm(self) -> None:
        with self._room:
            self._outstanding -= self._answered
            self._outstanding_bytes -= self._answered_bytes
            self._answered = self._answered_bytes = 0
            # Waking the publisher for every few messages costs more than sending them.
            if self._outstanding <= self._window // 2:
                self._room.notify_all()

    def published(self, connection: Connection, mid: int, refused: bool) -> None:
        """Take the broker's answer for one message; paho sends again what was in flight when a connection broke."""
        self.in_flight -= 1
        self._answered += 1
        self._answered_bytes += self._sizes.pop(mid, 0)
        self.acknowledged += not refused
        self.refused += refused
        if refused:
            _log.error("the broker refuses a message", broker=str(connection.address))
