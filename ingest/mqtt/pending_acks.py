"""
Which messages of a connection wait for an acknowledgement, and which acknowledgements are due: pure, and in order.

`ingest.mqtt.receiver` keeps one for each connection.
"""

from collections import deque


class PendingAcks:
    """The messages of one connection that the broker still keeps, in the order in which it sent them."""

    def __init__(self) -> None:
        self.generation = 0
        self.next = 0
        self._ids: deque[int] = deque()
        self._first = 0
        self._done: set[int] = set()

    def add(self, mid: int) -> int:
        """Keep the packet id of the next message, and give the message its number."""
        self._ids.append(mid)
        self.next += 1
        return self.next - 1

    def clear(self) -> None:
        """Void all: the broker delivers them again on the next connection."""
        self.generation += 1
        self._first = self.next
        self._ids.clear()
        self._done.clear()

    def acknowledge(self, number: int) -> None:
        """Mark a message of this generation as one that the broker may forget."""
        self._done.add(number)

    def pubacks(self) -> bytes:
        """Make the acknowledgements that are due: a broker may disconnect when one overtakes another."""
        packets = bytearray()
        while self._first in self._done:
            self._done.remove(self._first)
            packets += b"\x40\x02" + self._ids.popleft().to_bytes(2, "big")
            self._first += 1
        return bytes(packets)
