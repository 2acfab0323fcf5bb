"""
Receives at QoS 1 and acknowledges a message only when its taker has done so.

`ingest.collector` takes rounds of messages and acknowledges their tokens, from its own threads. Messages that wait for
an acknowledgement are bounded: beyond that nothing is read. A receiver that shares its subscription with others can
leave them for good; `ingest.mqtt.slots` says who may.
"""

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from queue import Empty, SimpleQueue

import msgspec

from ingest.mqtt.address import Address
from ingest.mqtt.client import refusal
from ingest.mqtt.connection import Connection
from ingest.mqtt.socket import Published
from ingest.vocabulary.readings import Message

ENDING = "-0"  # of a receiver's client id: sessions at the brokers of running hubs have it
_PROOFS = 2  # answers in a row without a message, after which a session that is unsubscribed is empty
_PAUSE, _IDLE = 0.25, 0.5  # s between two; s without a message, after which it is idle
ROUND_MESSAGES, ROUND_BYTES = 5_000, 1_000_000  # of what waits, given at once: about so much at most
GATHER = 0.07  # s from one round to the next, unless one is full or the broker waits for us
_QUIET = 0.02  # s without a message, after which the broker may be waiting for an acknowledgement; more than _REST
_REST, _HURRY = 0.01, 1_000_000  # s between two looks at a broker that sends no more than so many bytes a second


class Token(msgspec.Struct):
    """A message that the broker keeps until it is acknowledged: packet id, 0 for QoS 0, and size; opaque to others."""

    mid: int
    size: int
    done: bool = False


class Receiver(Connection):
    """
    A connection as a stream of messages; started again with the same client id it finds its persistent session.

    What is in flight is limited in messages and bytes; the bytes may pass the limit by one buffer. `gather` is how many
    seconds small rounds are apart. Receivers of one `group` share a subscription. Never give a group to the built-in
    broker: it dies when a member leaves with a message unacknowledged (see docs/traps.md).
    """

    def __init__(
        self, address: Address, filters: Sequence[str], client_id: str, group: str | None = None,
        in_flight_messages: int = 50_000, in_flight_bytes: int = 128_000_000, gather: float | None = None,
    ) -> None:  # fmt: skip
        shared = [f"$share/{group}/{name}" for name in filters] if group else filters
        super().__init__("mqtt-receive", address, client_id + ENDING, shared)
        self.received = self.in_flight = self.in_flight_bytes = 0
        self._most, self._most_bytes = in_flight_messages, in_flight_bytes
        self._unacknowledged: deque[Token] = deque()  # in the order in which the broker sent them
        self._window = 0  # how many it sends without an acknowledgement, as far as it was seen to wait for one
        self._proven = 0  # how many it has sent without one
        self._looked, self._hurries = 0.0, False  # when messages came last; whether they come fast
        self._round_due = 0.0  # when the next small round is due
        self._last_round = 0  # how many messages the last round was
        self._rests = False  # whether nothing is read until the next round is due
        self._acknowledged: deque[Iterable[Token]] = deque()
        self._waiting: SimpleQueue[list[Message]] = SimpleQueue()  # for who takes rounds; an empty list is the end
        self._gather = GATHER if gather is None else gather
        self._stopping = self._asking = False  # asking: whether to unsubscribe once nothing is in flight
        self._asked: tuple[int, int] | None = None  # id of the UNSUBSCRIBE under way, and what was received before it
        self._proofs = 0  # that the broker has nothing more for a session that is unsubscribed
        self._client.on_unsubscribe = self._on_unsubscribe

    def rounds(self) -> Iterator[list[Message]]:
        """
        Give rounds of messages, waiting for the next, until the receiver stops and all are given.

        Each becomes one batch and costs one transaction, whatever is in it, so small ones come `gather` s apart; a
        message that comes alone is given at once. Raises RuntimeError when the thread has ended for a bug.
        """
        while (taken := self._waiting.get()) and not self._over:
            self._complete(taken)
            self._round_due, self._last_round = time.monotonic() + self._gather, len(taken)
            yield taken
        if self.failed:
            raise RuntimeError("nothing is received any more") from self.failed

    def _complete(self, taken: list[Message]) -> None:
        """Add to a round what waits, and what comes until it is due or the broker waits for an acknowledgement."""
        size = sum([len(one.payload) for one in taken])
        while len(taken) < ROUND_MESSAGES and size < ROUND_BYTES:
            unacknowledged, left = len(self._unacknowledged), self._round_due - time.monotonic()
            wait = left + _QUIET if self._rests else min(left, _QUIET)  # what has come by then is read
            try:
                new = self._waiting.get(timeout=0.0 if unacknowledged == self._window > 0 else max(0.0, wait))
            except Empty:
                is_due = self._rests or left <= _QUIET
                if not is_due and not unacknowledged:
                    continue
                if not is_due:
                    self._window = max(self._window, unacknowledged)
                break
            if not new:
                self._waiting.put(new)  # the end, for `rounds`
                break
            taken += new
            size += sum([len(one.payload) for one in new])

    def acknowledge(self, tokens: Iterable[Token]) -> None:
        """Let the broker forget the messages of these tokens; from any thread, in any order."""
        self._acknowledged.append(tokens)
        self.wake()

    def wait_idle(self, seconds: float) -> bool:
        """Go on receiving until for half a second nothing came and nothing was in flight; False after `seconds`."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self.failed:
            before = self.received
            time.sleep(_IDLE)
            if self.is_up and self.received == before and not self.in_flight:
                return True
        return False

    def stop(self, seconds: float = 10.0) -> bool:
        """
        Read no more, wait for what is in flight to be acknowledged, disconnect; the session stays.

        False when `seconds` were not enough: the broker delivers the rest again.
        """
        self._stopping = True
        self._waiting.put([])
        self.wake()
        until = time.monotonic() + seconds
        while self.in_flight and not self.failed and time.monotonic() < until:
            time.sleep(0.01)
        self.close()
        return not self.in_flight

    def leave(self, seconds: float) -> bool:
        """
        Unsubscribe, take what the broker still has for this session, and make it forget the session.

        Silence proves nothing, for the network may be cut. But an answer to UNSUBSCRIBE comes behind all that the
        broker had to send when it was asked, and it is asked behind the last acknowledgement. Two in a row without a
        message before them prove that the session is empty.

        False when `seconds` were not enough: the session stays, for the next collector that takes the slot.
        """
        until = time.monotonic() + seconds
        while self._proofs < _PROOFS and time.monotonic() < until and not self.failed:
            self._asking = True
            self.wake()
            time.sleep(_PAUSE)
        empty = self._proofs >= _PROOFS
        # Not before everything is acknowledged: a session that ends takes along what it still has.
        gone = self.stop(max(0.1, until - time.monotonic())) and empty
        while gone and refusal(self.address, max(1.0, until - time.monotonic()), self.client_id) is not None:
            gone = time.monotonic() <= until
            time.sleep(_PAUSE)
        return gone

    # In the thread.

    def turn(self) -> None:
        """Acknowledge what is done, and unsubscribe where that is wanted."""
        if self._acknowledged:
            self._send_acks()
        self.owes = bool(self._unacknowledged)  # rumqttd then answers neither a ping nor SUBSCRIBE
        if self._asking and self.is_up and not self.in_flight and self._asked is None:
            self._asking = False
            self._asked = self._client.unsubscribe(list(self._filters))[1] or 0, self.received

    def _on_unsubscribe(self, _client: object, _user: object, mid: int, *_: object) -> None:
        self._proofs = self._proofs + 1 if self._asked == (mid, self.received) else 0
        self._asked = None

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
        if time.monotonic() < self.rests_until:
            self._rest()

    def room(self) -> int:
        """Give how many messages may come in now."""
        if self._stopping or self.in_flight_bytes >= self._most_bytes:
            return 0
        return self._most - self.in_flight

    def down(self) -> None:
        """Void what waits for an acknowledgement or an answer: the broker delivers it again on the next connection."""
        self._unacknowledged.clear()
        self._asked, self._proofs, self._window, self._proven = None, 0, 0, 0

    def ended(self) -> None:
        """Let who takes rounds know that no more comes."""
        self._waiting.put([])

    def messages(self, received: Sequence[Published]) -> None:
        """Take messages in and hand them over; those at QoS 1 wait for an acknowledgement."""
        now = datetime.now(UTC)
        new: list[Message] = []
        for topic, payload, mid, retained in received:
            token = Token(mid, len(payload))
            if mid:
                self._unacknowledged.append(token)
            # In a session that was there before, what is retained came when it was published.
            replayed = retained and self.resumed
            new.append(Message(topic.decode(errors="replace"), payload, now, replayed=replayed, token=token))
        self.received += len(new)
        self.in_flight += len(new)
        self.in_flight_bytes += (size := sum([len(one.payload) for one in new]))
        self._proven = max(self._proven, len(self._unacknowledged))
        looked, self._looked = self._looked, time.monotonic()
        self._hurries = size > _HURRY * (self._looked - looked)
        self._rest()
        self._waiting.put(new)

    def _rest(self) -> None:
        """
        Say until when the network is left alone, for a look costs as much as many messages.

        Until the next round is due where the broker has sent before as much as may come until then; not at all where it
        sends fast, or may wait for an acknowledgement.
        """
        now, unacknowledged = time.monotonic(), len(self._unacknowledged)
        may_wait = self._window > 0 and self._window in (unacknowledged, self._last_round)
        hurries = self._hurries or may_wait
        self._rests = not hurries and now < self._round_due and unacknowledged + self._last_round < self._proven
        if hurries:
            self.rests_until = 0.0
        else:
            self.rests_until = self._round_due if self._rests else now + min(self._gather, _REST)
