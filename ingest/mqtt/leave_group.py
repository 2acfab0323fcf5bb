"""
A receiver that shares its subscription with others, and can leave the group without leaving a message behind.

`ingest.mqtt.slots` says who may leave; `ingest.mqtt.receiver` does the receiving. To leave is to unsubscribe, to take
what the broker has for this session already, and then to let the broker forget the session.
"""

import time
from collections.abc import Sequence

from ingest.mqtt.address import Address
from ingest.mqtt.client import refusal
from ingest.mqtt.connection import Connection
from ingest.mqtt.receiver import Limits, Receiver

_PROOFS = 2  # answers in a row without a message, after which a session that is unsubscribed is empty
_PAUSE = 0.25  # s between two


class LeavingReceiver(Receiver):
    """A receiver that shares a subscription with other slots, and can leave for good."""

    def __init__(
        self, address: Address, filters: Sequence[str], client_id: str, group: str, connections: int, limits: Limits
    ) -> None:
        super().__init__(address, filters, client_id, group, connections, limits)
        self._shared = [f"$share/{group}/{name}" for name in filters]
        self._address = address
        self._request = (
            0  # number of the UNSUBSCRIBE that every connection must have answered now; 0: it does not leave
        )
        self._sent: dict[Connection, tuple[int, int]] = {}  # number of the last request, and its packet id

    def leave(self, seconds: float) -> bool:
        """
        Unsubscribe, take what the broker still has for this slot, and end the sessions.

        False when `seconds` were not enough: the sessions stay, for the next collector that takes the slot.
        """
        until = time.monotonic() + seconds
        empty = self._drained(until)
        # Not before everything is acknowledged: a session that ends takes along what it still has.
        acknowledged = self.stop(max(0.1, until - time.monotonic()))
        return empty and acknowledged and all(self._end(connection, until) for connection in self._connections)

    def _drained(self, until: float) -> bool:
        """
        Unsubscribe until the broker has answered twice in a row without a message before the answer.

        Silence proves nothing, for the network may be cut. An answer comes behind all that the broker had to send when
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
        self._request += 1
        self._loop.wake()
        while not all(
            self._sent.get(connection) == (self._request, connection.unsubscribed) for connection in self._connections
        ):
            if time.monotonic() > until or self._loop.failed:
                return False
            time.sleep(0.01)
        return True

    def _end(self, connection: Connection, until: float) -> bool:
        """Connect once more under the same name with a clean session, which makes the broker forget the old one."""
        while (why := refusal(self._address, max(1.0, until - time.monotonic()), connection.client_id)) is not None:
            if time.monotonic() > until:
                break
            time.sleep(_PAUSE)
        return why is None

    # In the thread of the loop.

    def up(self, connection: Connection) -> None:
        """A connection that comes up again has subscribed again."""
        super().up(connection)
        self._sent.pop(connection, None)

    def _turn(self) -> None:
        super()._turn()
        request = self._request
        for connection in self._connections if request else ():
            if connection.is_up and self._sent.get(connection, (0, 0))[0] != request:
                self._sent[connection] = request, connection.unsubscribe(self._shared)
