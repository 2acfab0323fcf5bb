"""
Publishes at QoS 1, fast and bounded, and knows when the broker has everything.

Used by `stadspuls publish`, the gateways, the simulated city and the benches.
"""

import secrets
import threading
from collections import deque
from contextlib import AbstractContextManager

import structlog
from paho.mqtt.reasoncodes import ReasonCode

from ingest.mqtt.address import Address
from ingest.mqtt.connection import Connection
from ingest.vocabulary.readings import BadPayload

WINDOW, WINDOW_BYTES = 2_000, 32_000_000  # messages that the broker has not confirmed
_LEAST = WINDOW_BYTES // WINDOW  # bytes of the window that a message takes
LARGEST = 1 << 20  # the packet limit of the brokers that come with the hub
_OVERHEAD = 16  # at most: header, topic length, packet id, empty properties
_FORBIDDEN = frozenset("+#\x00")  # a broker disconnects on these, and would again after every reconnect

_log = structlog.get_logger("ingest.mqtt.sender")


class BrokerRefused(Exception):  # noqa: N818 - what happened is the name
    """The broker answered messages with a refusal (MQTT 5): they were not taken."""


class Sender(Connection, AbstractContextManager["Sender"]):
    """
    A bounded window of messages that the broker has not confirmed; sent again after every reconnect.

    After a reconnect a message that the broker already had may arrive twice: QoS 1 is at least once. What is not
    confirmed when it is closed may be lost, so `flush` first.
    """

    def __init__(self, address: Address, largest: int = LARGEST, client_id: str = "") -> None:
        super().__init__("mqtt-send", address, client_id or f"stadspuls-send-{secrets.token_hex(6)}")
        self._largest = largest
        self._room = threading.Condition()
        self._queue: deque[tuple[str, bytes, int]] = deque()  # topic, payload, bytes of the window
        self._sizes: dict[int, int] = {}  # such bytes of what is in flight, by packet id
        self._outstanding = self._bytes = 0
        self._refused = 0  # since the last flush
        self._client.on_publish = self._on_publish
        self.start()

    def publish(self, topic: str, payload: bytes) -> None:
        """
        Send one message; waits while the window is full.

        Raises BadPayload for one that no broker of ours would take, RuntimeError when closed.
        """
        size = len(topic.encode()) + len(payload) + _OVERHEAD
        if size > self._largest:
            raise BadPayload(f"message of {size} bytes for {topic[:200]!r}, expected at most {self._largest}")
        if not topic or len(topic) > 65_535 // 4 or not _FORBIDDEN.isdisjoint(topic):
            raise BadPayload(f"topic {topic[:200]!r}, expected a short one without wildcards and NUL")
        size = max(size, _LEAST)
        with self._room:
            self._room.wait_for(lambda: self._over or not self._outstanding or self._bytes + size <= WINDOW_BYTES)
            if self._over:
                raise RuntimeError("publish on a closed sender")
            self._queue.append((topic, payload, size))
            self._outstanding += 1
            self._bytes += size
            first = len(self._queue) == 1
        if first:
            self.wake()

    def flush(self, seconds: float | None = None) -> None:
        """
        Return when the broker has confirmed everything.

        Raises TimeoutError after `seconds`, BrokerRefused when the broker turned messages down since the last flush.
        """
        with self._room:
            if not self._room.wait_for(lambda: not self._outstanding or self._over, seconds) or self._outstanding:
                raise TimeoutError(f"{self._outstanding} messages are not confirmed by {self.address}")
            refused, self._refused = self._refused, 0
        if refused:
            raise BrokerRefused(f"{refused} messages were refused by {self.address}")

    def __exit__(self, *_: object) -> None:
        self.close()

    # In the thread.

    def turn(self) -> None:
        """Send what the broker has room for."""
        # Waking the publisher for every few messages costs more than sending them.
        if self._outstanding <= WINDOW // 2:
            with self._room:
                self._room.notify_all()
        room = min(WINDOW, self._taken_by_broker) - len(self._sizes) if self.is_up else 0
        for _ in range(min(room, len(self._queue))):
            topic, payload, size = self._queue.popleft()
            # Paho keeps the message until the broker has it, and sends it again where a connection broke.
            self._sizes[self._client.publish(topic, payload, qos=1).mid] = size

    def ended(self) -> None:
        """Let who publishes or flushes wait no longer."""
        with self._room:
            self._room.notify_all()

    def _on_publish(self, _c: object, _u: object, mid: int, why: ReasonCode, _p: object) -> None:
        with self._room:
            self._outstanding -= 1
            self._bytes -= self._sizes.pop(mid, 0)
            self._refused += why.is_failure
        if why.is_failure:
            _log.error("the broker refuses a message", broker=str(self.address))
