"""
A receiver that shares its subscription with others, and can leave the group without leaving a message behind.

`ingest.mqtt.slots` says who may leave. To leave is to unsubscribe, to take what the broker has for this session
already, and then to let the broker forget the session.
"""

import time
from collections.abc import Sequence

from ingest.mqtt.address import Address
from ingest.mqtt.client import refusal
from ingest.mqtt.receiver import Receiver

_PROOFS = 2  # answers in a row without a message, after which a session that is unsubscribed is empty
_PAUSE = 0.25  # s between two


class LeavingReceiver(Receiver):
    """A receiver that can leave its group for good."""

    def __init__(self, address: Address, filters: Sequence[str], client_id: str, group: str, **limits: int) -> None:
        super().__init__(address, filters, client_id, group, **limits)
        self._request = self._sent = self._answered = 0  # number of the UNSUBSCRIBE that is wanted, sent, answered
        self._packet: int | None = None  # id of the packet sent
        self._client.on_unsubscribe = self._on_unsubscribe

    def leave(self, seconds: float) -> bool:
        """
        Unsubscribe, take what the broker still has for this slot, and end the session.

        False when `seconds` were not enough: the session stays, for the next collector that takes the slot.
        """
        until = time.monotonic() + seconds
        empty = self._drained(until)
        # Not before everything is acknowledged: a session that ends takes along what it still has.
        acknowledged = self.stop(max(0.1, until - time.monotonic()))
        return empty and acknowledged and self._end(until)

    def _drained(self, until: float) -> bool:
        """
        Unsubscribe until the broker has answered twice in a row without a message before the answer.

        Silence proves nothing, for the network may be cut. An answer comes behind all that the broker had to send when
        it was asked, and it was asked behind the last acknowledgement.
        """
        proofs = 0
        while proofs < _PROOFS and time.monotonic() < until and not self._loop.failed:
            before = self.received
            empty = not self.in_flight and self._asked(until) and self.received == before and not self.in_flight
            proofs = proofs + 1 if empty else 0
            time.sleep(_PAUSE)
        return proofs == _PROOFS

    def _asked(self, until: float) -> bool:
        """Send one more UNSUBSCRIBE, and tell whether its answer came."""
        self._request += 1
        self._loop.wake()
        while self._answered < self._request and time.monotonic() < until and not self._loop.failed:
            time.sleep(0.01)
        return self._answered == self._request

    def _end(self, until: float) -> bool:
        """Connect once more under the same name with a clean session, which makes the broker forget the old one."""
        while refusal(self.address, max(1.0, until - time.monotonic()), self.client_id) is not None:
            if time.monotonic() > until:
                return False
            time.sleep(_PAUSE)
        return True

    # In the thread of the loop.

    def up(self) -> None:
        """A connection that comes up again has subscribed again: it unsubscribes again too."""
        super().up()
        self._sent = self._answered = 0

    def turn(self) -> None:
        """Unsubscribe where that is wanted."""
        super().turn()
        if self.is_up and self._sent < self._request:
            self._sent = self._request
            self._packet = self._client.unsubscribe(list(self._filters))[1]

    def _on_unsubscribe(self, _client: object, _user: object, mid: int, *_: object) -> None:
        if mid == self._packet:
            self._answered = self._sent
