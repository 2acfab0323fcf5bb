"""
Receives at QoS 1 and acknowledges a message only when its taker has done so.

`ingest.collector` takes rounds of deliveries and acknowledges their tokens, from its own threads; `ingest.mqtt.loop`
drives the connection. Messages that wait for an acknowledgement are bounded: beyond that nothing is read. One that
shares its subscription with others can leave them for good; `ingest.mqtt.slots` says who may.
"""

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

from ingest.mqtt.address import Address
from ingest.mqtt.client import refusal
from ingest.mqtt.connection import Connection
from ingest.mqtt.loop import Loop
from ingest.mqtt.rounds import Delivery, Rounds, Token
from ingest.mqtt.socket import Published

_PROOFS = 2  # answers in a row without a message, after which a session that is unsubscribed is empty
_PAUSE = 0.25  # s between two


class Receiver(Connection):
    """
    A connection as a stream of deliveries; started again with the same client id it finds its persistent session.

    What is in flight is limited in messages and bytes; the bytes may pass the limit by one buffer. `gather` is how many
    seconds small rounds are apart. Receivers of one
    `group` share a subscription. Never give a group to the built-in broker: it dies when a member leaves with a message
    unacknowledged (see docs/traps.md).
    """

    def __init__(
        self,
        address: Address,
        filters: Sequence[str],
        client_id: str,
        group: str | None = None,
        in_flight_messages: int = 50_000,
        in_flight_bytes: int = 128_000_000,
        gather: float | None = None,
    ) -> None:
        shared = [f"$share/{group}/{name}" for name in filters] if group else filters
        # Sessions at the brokers of running hubs end in this number.
        super().__init__(address, f"{client_id}-0", shared)
        self.ready = threading.Event()  # set once subscribed
        self.received = self.in_flight = self.in_flight_bytes = 0
        self._most, self._most_bytes = in_flight_messages, in_flight_bytes
        self._unacknowledged: deque[Token] = deque()  # in the order in which the broker sent them
        self._acknowledged: deque[Iterable[Token]] = deque()
        self._new: list[Delivery] = []
        self._rounds = Rounds(lambda: len(self._unacknowledged), gather)
        self._stopping = False
        self._asked = self._sent = self._answered = 0  # number of the UNSUBSCRIBE that is wanted, sent, answered
        self._packet: int | None = None  # id of the packet sent
        self._client.on_unsubscribe = self._on_unsubscribe
        self._loop = Loop("mqtt-receive", self)

    @property
    def reconnects(self) -> int:
        """How often the connection came up again."""
        return max(0, self.connects - 1)

    def start(self) -> None:
        """Begin to receive."""
        self._loop.start()

    def rounds(self) -> Iterator[list[Delivery]]:
        """
        Give rounds of deliveries, waiting for the next, until the receiver stops and all are given.

        Raises RuntimeError when the thread that receives has ended for a bug.
        """
        return iter(self._rounds)

    def acknowledge(self, tokens: Iterable[Token]) -> None:
        """Let the broker forget these deliveries; from any thread, in any order."""
        self._acknowledged.append(tokens)
        self._loop.wake()

    def wait_idle(self, seconds: float, quiet: float = 0.5) -> bool:
        """Go on receiving until for `quiet` s nothing came and nothing was in flight; False after `seconds`."""
        until, since, before = time.monotonic() + seconds, time.monotonic(), -1
        while (now := time.monotonic()) < until and not self._loop.failed:
            if self.received != before or self.in_flight or not self.is_up:
                since, before = now, self.received
            elif now - since >= quiet:
                return True
            time.sleep(0.02)
        return False

    def stop(self, seconds: float = 10.0) -> bool:
        """
        Read no more, wait for what is in flight to be acknowledged, disconnect; the session stays.

        False when `seconds` were not enough: the broker delivers the rest again.
        """
        self._stopping = True
        self._rounds.close()
        self._loop.wake()
        until = time.monotonic() + seconds
        while self.in_flight and not self._loop.failed and time.monotonic() < until:
            time.sleep(0.01)
        self._loop.end()
        self._rounds.clear()
        return not self.in_flight

    def leave(self, seconds: float) -> bool:
        """
        Unsubscribe, take what the broker still has for this session, and make it forget the session.

        False when `seconds` were not enough: the session stays, for the next collector that takes the slot.
        """
        until = time.monotonic() + seconds
        empty = self._drained(until)
        # Not before everything is acknowledged: a session that ends takes along what it still has.
        gone = self.stop(max(0.1, until - time.monotonic())) and empty
        while gone and refusal(self.address, max(1.0, until - time.monotonic()), self.client_id) is not None:
            gone = time.monotonic() <= until
            time.sleep(_PAUSE)
        return gone

    def _drained(self, until: float) -> bool:
        """
        Unsubscribe until the broker has answered twice in a row without a message before the answer.

        Silence proves nothing, for the network may be cut. An answer comes behind all that the broker had to send when
        it was asked, and it was asked behind the last acknowledgement.
        """
        proofs = 0
        while proofs < _PROOFS and time.monotonic() < until and not self._loop.failed:
            before, idle = self.received, not self.in_flight
            if idle:
                self._asked += 1
                self._loop.wake()
                while self._answered < self._asked and time.monotonic() < until and not self._loop.failed:
                    time.sleep(0.01)
            empty = idle and self._answered == self._asked and self.received == before and not self.in_flight
            proofs = proofs + 1 if empty else 0
            time.sleep(_PAUSE)
        return proofs == _PROOFS

    # In the thread of the loop.

    def turn(self) -> None:
        """Hand over what came in, acknowledge what is done, and unsubscribe where that is wanted."""
        if self._new:
            self._rounds.add(self._new, more=self.room() > 0)
            self._new = []
        if self._acknowledged:
            self._send_acks()
        if self.is_up and self._sent < self._asked:
            self._sent = self._asked
            self._packet = self._client.unsubscribe(list(self._filters))[1]

    def _on_unsubscribe(self, _client: object, _user: object, mid: int, *_: object) -> None:
        if mid == self._packet:
            self._answered = self._sent

    def _send_acks(self) -> None:
        """Acknowledge what may be: a broker may disconnect when one acknowledgement overtakes another."""
        while self._acknowledged:
            for token in self._acknowledged.popleft():
                token.done = True
                self.in_flight -= 1
                self.in_flight_bytes -= token.size
        packets = bytearray()
        while self._unacknowledged and self._unacknowledged[0].done:
            packets += b"\x40\x02" + self._unacknowledged.popleft().mid.to_bytes(2, "big")
        if (sock := self.socket) is not None:
            sock.send(packets)

    def room(self) -> int:
        """Give how many messages may come in now."""
        if self._stopping or self.in_flight_bytes >= self._most_bytes:
            return 0
        return self._most - self.in_flight

    def up(self) -> None:
        """Tell that the broker took the subscription: one that is leaving unsubscribes again."""
        self._sent = self._answered = 0
        self.ready.set()

    def down(self) -> None:
        """Void what waits for an acknowledgement: the broker delivers it again on the next connection."""
        self._unacknowledged.clear()
        self._rounds.reconnected()

    def ended(self) -> None:
        """Let who takes rounds know that none comes any more."""
        self._rounds.close(self._loop.failed)

    def messages(self, received: Sequence[Published]) -> None:
        """Take messages in; those at QoS 1 wait for an acknowledgement."""
        now = datetime.now(UTC)
        for topic, payload, mid, retained in received:
            token = Token(mid, len(payload))
            if mid:
                self._unacknowledged.append(token)
            replayed = retained and self.resumed
            self._new.append(Delivery(topic.decode(errors="replace"), payload, now, token, replayed))
        self.received += len(received)
        self.in_flight += len(received)
        self.in_flight_bytes += sum(len(one[1]) for one in received)
