"""
A receiver that shares its subscription with others, and can leave them without leaving a message behind.

`ingest.mqtt.slots` says who may leave; `ingest.mqtt.receiver` does the receiving. To leave is to unsubscribe, to take
what the broker has for this session already, and then to let the broker forget the session.
"""

import threading
import time
from collections.abc import Sequence
from typing import Self

from ingest.mqtt.address import Address
from ingest.mqtt.connection import Connection
from ingest.mqtt.loop import Loop
from ingest.mqtt.receiver import Limits, Receiver

_PROOFS = 2  # answers running without a message, after which a session that is unsubscribed is empty
_PAUSE = 0.25  # s between two
_IDS = 65_535


class LeavingReceiver(Receiver):
    """A receiver that shares a subscription with other slots, and can leave for good."""

    def __init__(
        self, address: Address, filters: Sequence[str], slot: int, group: str, connections: int, limits: Limits
    ) -> None:
        super().__init__(address, filters, f"{group}-{slot}", group, connections, limits)
        self._shared = [f"$share/{group}/{name}" for name in filters]
        self._address = address
        self._question = 0  # id of the UNSUBSCRIBE that must be answered now; 0: it does not leave
        self._asked: dict[Connection, int] = {}

    def leave(self, seconds: float) -> bool:
        """
        Unsubscribe, take what the broker still has for this slot, and end the sessions.

        False when `seconds` were not enough: the sessions stay, for the next collector that takes the slot.
        """
        until = time.monotonic() + seconds
        empty = self._drained(until)
        # Not before everything is acknowledged: a session that ends takes along what it still has.
        settled = self.stop(max(0.1, until - time.monotonic()))
        return empty and settled and all(self._end(c, until) for c in self._connections)

    def _drained(self, until: float) -> bool:
        """
        Unsubscribe until the broker has answered twice running without a message before the answer.

        Silence proves nothing, for the network may be cut. An answer comes behind all that the broker had to say when
        it was asked, and it was asked behind the last acknowledgement.
        """
        proofs = 0
        while proofs < _PROOFS and time.monotonic() < until and not self._loop.failed:
            before = self.received
            empty = not self.in_flight and self._answered(until) and self.received == before and not self.in_flight
            proofs = proofs + 1 if empty else 0
            time.sleep(_PAUSE)
        return proofs == _PROOFS

    def _answered(self, until: float) -> bool:
        self._question = self._question % _IDS + 1
        self._loop.wake()
        while not all(connection.unsubscribed == self._question for connection in self._connections):
            if time.monotonic() > until or self._loop.failed:
                return False
            time.sleep(0.01)
        return True

    def _end(self, connection: Connection, until: float) -> bool:
        """Connect once more under the same name with a clean session, which makes the broker forget the old one."""
        with _Forgetting(self._address, connection.client_id) as forgotten:
            return forgotten.wait(max(1.0, until - time.monotonic()))

    # In the thread of the loop.

    def up(self, connection: Connection) -> None:
        """See `ingest.mqtt.connection.Owner`: a connection that comes up again has subscribed again."""
        super().up(connection)
        self._asked.pop(connection, None)

    def _turn(self) -> None:
        super()._turn()
        question = self._question
        for connection in self._connections if question else ():
            if connection.is_up and self._asked.get(connection) != question:
                self._asked[connection] = question
                connection.send(unsubscribe(self._shared, connection.address.version, question))


def unsubscribe(filters: Sequence[str], version: int, packet_id: int) -> bytes:
    """
    Write the packet that ends subscriptions; version 5 is MQTT 5, anything else 3.1.1.

    >>> unsubscribe(["a/#"], 4, 7).hex()
    'a20700070003612f23'
    """
    body = packet_id.to_bytes(2, "big") + (b"\x00" if version == 5 else b"")
    for name in filters:
        body += len(name.encode()).to_bytes(2, "big") + name.encode()
    length, size = b"", len(body)
    while True:
        size, low = divmod(size, 128)
        length += bytes([low | 128 if size else low])
        if not size:
            return b"\xa2" + length + body


class _Forgetting:
    """A connection with a clean session and nothing to say."""

    def __init__(self, address: Address, client_id: str) -> None:
        self._came_up = threading.Event()
        connection = Connection(address, client_id, self)
        self._loop = Loop("mqtt-forget", [connection], lambda: None, lambda: 1, lambda: None)

    def __enter__(self) -> Self:
        self._loop.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.end()

    def wait(self, seconds: float) -> bool:
        """Tell whether the broker let it in."""
        return self._came_up.wait(seconds)

    def up(self, connection: Connection) -> None:
        """See `ingest.mqtt.connection.Owner`."""
        self._came_up.set()

    def down(self, connection: Connection) -> None:
        """See `ingest.mqtt.connection.Owner`."""

    def messages(self, connection: Connection, received: Sequence[tuple[bytes, bytes, int]]) -> None:
        """See `ingest.mqtt.connection.Owner`: it subscribes to nothing."""

    def published(self, connection: Connection, mid: int, refused: bool) -> None:
        """See `ingest.mqtt.connection.Owner`: it publishes nothing."""
