"""
Receives at QoS 1 and acknowledges a message only when its taker has done so.

`ingest.collector` takes rounds of deliveries and acknowledges their tokens, from its own threads; `ingest.mqtt.loop`
drives the connections of `ingest.mqtt.connection`. Messages that wait for an acknowledgement are bounded: beyond that
nothing is read.
"""

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

import structlog

from ingest.mqtt.address import Address
from ingest.mqtt.connection import Connection, Owner
from ingest.mqtt.loop import Loop
from ingest.mqtt.pending_acks import PendingAcks

_log = structlog.get_logger("ingest.mqtt.receiver")


class Token(NamedTuple):
    """What `Receiver.acknowledge` needs to know of a delivery; opaque to others."""

    slot: int
    generation: int
    number: int
    size: int


class Delivery(NamedTuple):
    """One message as the broker delivered it."""

    topic: str
    payload: bytes
    received_at: datetime
    token: Token


@dataclass(frozen=True, slots=True)
class Limits:
    """
    How much is given at once, and how much may wait for an acknowledgement.

    A round is what was waiting when it is taken, at most `round_messages` or about `round_bytes`; what is in flight may
    pass `in_flight_bytes` by one buffer.
    """

    round_messages: int = 5_000
    round_bytes: int = 1_000_000
    in_flight_messages: int = 50_000
    in_flight_bytes: int = 128_000_000

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) < 1:
                raise ValueError(f"limit {name} is {getattr(self, name)}, expected at least 1")


class Receiver(Owner):
    """
    One or several connections, as one stream of deliveries.

    Client ids are slots, `<client_id>-0` and so on: a receiver started again finds its persistent sessions. Several
    connections share one subscription under a `group`, or without a group have some of the filters each. Never give
    a group to the built-in broker: it dies when a member leaves with a message unacknowledged (see docs/traps.md).
    """

    def __init__(
        self,
        address: Address,
        filters: Sequence[str],
        client_id: str = "stadspuls",
        group: str | None = None,
        connections: int = 1,
        limits: Limits | None = None,
    ) -> None:
        if connections < 1 or (connections > len(filters) and not group):
            raise ValueError(
                f"connections is {connections} for {len(filters)} filters, expected a group or one for each"
            )
        if not filters or not client_id:
            raise ValueError("filters and client_id must not be empty")
        self.ready = threading.Event()
        self.received = self.bytes = self.in_flight = self.in_flight_bytes = 0
        self._limits = limits or Limits()
        shares = [
            [f"$share/{group}/{f}" for f in filters] if group else filters[n::connections] for n in range(connections)
        ]
        maximum = min(65_535, max(1, self._limits.in_flight_messages // connections))
        self._connections = [
            Connection(address, f"{client_id}-{slot}", self, shares[slot], True, maximum) for slot in range(connections)
        ]
        self._slots = {connection: slot for slot, connection in enumerate(self._connections)}
        self._pending = [PendingAcks() for _ in self._connections]
        self._acknowledged: deque[Iterable[Token]] = deque()
        self._waiting: deque[Delivery] = deque()
        self._new: list[Delivery] = []
        self._changed = threading.Condition()
        self._stopping = False
        self._loop = Loop("mqtt-receive", self._connections, self._turn, self._room, self._wake_taker)

    @property
    def reconnects(self) -> int:
        """How often a connection came up again."""
        return sum(max(0, connection.connects - 1) for connection in self._connections)

    @property
    def connected(self) -> int:
        """How many connections are up and subscribed."""
        return sum(connection.is_up for connection in self._connections)

    def start(self) -> None:
        """Begin to receive; `ready` is set when every connection has subscribed."""
        self._loop.start()

    def rounds(self) -> Iterator[list[Delivery]]:
        """
        Give rounds of deliveries, waiting for the next, until the receiver stops and all are given.

        Raises RuntimeError when the thread that receives has ended for a bug.
        """
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._stopping or self._loop.failed)
                if self._loop.failed is not None:
                    raise RuntimeError("nothing is received any more") from self._loop.failed
                if not self._waiting:
                    return
                taken = self._take()
            yield taken

    def _take(self) -> list[Delivery]:
        taken: list[Delivery] = []
        size = 0
        while self._waiting and len(taken) < self._limits.round_messages and size < self._limits.round_bytes:
            taken.append(self._waiting.popleft())
            size += taken[-1].token.size
        return taken

    def acknowledge(self, tokens: Iterable[Token]) -> None:
        """Let the broker forget these deliveries; from any thread, in any order."""
        self._acknowledged.append(tokens)
        self._loop.wake()

    def wait_idle(self, seconds: float, quiet: float = 0.5) -> bool:
        """Go on receiving until for `quiet` s nothing came and nothing was in flight; False after `seconds`."""
        until, since, before = time.monotonic() + seconds, time.monotonic(), -1
        while (now := time.monotonic()) < until and not self._loop.failed:
            if self.received != before or self.in_flight or self.connected < len(self._connections):
                since, before = now, self.received
            elif now - since >= quiet:
                return True
            time.sleep(0.02)
        return False

    def stop(self, seconds: float = 10.0) -> bool:
        """
        Read no more, wait for what is in flight to be acknowledged, disconnect; the sessions stay.

        False when `seconds` were not enough: the broker delivers the rest again.
        """
        self._stopping = True
        self._wake_taker()
        self._loop.wake()
        until = time.monotonic() + seconds
        while self.in_flight and not self._loop.failed and time.monotonic() < until:
            time.sleep(0.01)
        self._loop.end()
        with self._changed:
            self._waiting.clear()
        return not self.in_flight

    def _wake_taker(self) -> None:
        with self._changed:
            self._changed.notify_all()

    # In the thread of the loop.

    def _turn(self) -> None:
        if self._new:
            with self._changed:
                self._waiting.extend(self._new)
                self._changed.notify()
            self._new = []
        if self._acknowledged:
            self._send_acks()

    def _send_acks(self) -> None:
        while self._acknowledged:
            for token in self._acknowledged.popleft():
                self.in_flight -= 1
                self.in_flight_bytes -= token.size
                pending = self._pending[token.slot]
                if token.generation == pending.generation:
                    pending.acknowledge(token.number)
        for connection, pending in zip(self._connections, self._pending, strict=True):
            if packets := pending.pubacks():
                connection.send(packets)

    def _room(self) -> int:
        if self._stopping or self.in_flight_bytes >= self._limits.in_flight_bytes:
            return 0
        return self._limits.in_flight_messages - self.in_flight

    def up(self, connection: Connection) -> None:
        """Set `ready` when this was the last connection to subscribe."""
        if self.connected == len(self._connections):
            self.ready.set()

    def down(self, connection: Connection) -> None:
        """Void what waits for an acknowledgement."""
        self._pending[self._slots[connection]].clear()

    def messages(self, connection: Connection, received: Sequence[tuple[bytes, bytes, int]]) -> None:
        """Take messages in; those at QoS 1 wait for an acknowledgement."""
        slot, now, total = self._slots[connection], datetime.now(UTC), 0
        pending = self._pending[slot]
        for topic, payload, mid in received:
            size = len(payload)
            total += size
            # Nobody waits for an acknowledgement of QoS 0.
            token = Token(slot, pending.generation, pending.add(mid), size) if mid else Token(slot, -1, 0, size)
            self._new.append(Delivery(topic.decode(errors="replace"), payload, now, token))
        self.received += len(received)
        self.bytes += total
        self.in_flight += len(received)
        self.in_flight_bytes += total
