"""
Deliveries from the thread that receives to the one that takes them, in rounds.

`ingest.mqtt.receiver` adds what came in; its taker is `ingest.collector`. Each round becomes one batch and costs one
transaction, whatever is in it, so small rounds come `GATHER` s apart. A message that comes alone is given at once.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

ROUND_MESSAGES, ROUND_BYTES = 5_000, 1_000_000  # of what waits, given at once: about so much at most
GATHER = 0.05  # s from one round to the next, unless one is full or the broker waits for us
_QUIET = 0.005  # s without a message, after which the broker may be waiting for an acknowledgement


class Token(msgspec.Struct):
    """A message that the broker keeps until it is acknowledged: packet id, 0 for QoS 0, and size; opaque to others."""

    mid: int
    size: int
    done: bool = False


class Delivery(NamedTuple):
    """
    One message as the broker delivered it.

    `replayed` is a retained one that comes again: in a session that was there before, each came when it was published.
    """

    topic: str
    payload: bytes
    received_at: datetime
    token: Token
    replayed: bool = False


class InFlightWindow:
    """
    How many messages a broker sends before it waits for an acknowledgement, as far as that was seen.

    The built-in broker sends 100, Mosquitto 20 by default, and neither says so.

    >>> window = InFlightWindow()
    >>> window.saw(20, quiet=False), window.saw(20, quiet=True), window.saw(7, quiet=False), window.saw(20, quiet=False)
    (False, True, False, True)
    >>> window.saw(21, quiet=False), window.saw(20, quiet=True), window.saw(21, quiet=True)
    (False, False, True)
    """

    def __init__(self) -> None:
        self._most = 0  # unacknowledged at once
        self._reached = False  # and then no more came

    def saw(self, unacknowledged: int, quiet: bool) -> bool:
        """Tell whether the broker sends no more; more than ever before proves that its window is wider."""
        if unacknowledged > self._most:
            self._most, self._reached = unacknowledged, False
        most = unacknowledged == self._most > 0
        self._reached = self._reached or (quiet and most)
        return self._reached and most


class Rounds:
    """A queue of deliveries without a limit of its own; its receiver has one, and knows how many are unacknowledged."""

    def __init__(self, unacknowledged: Callable[[], int], gather: float | None = None) -> None:
        self._waiting: deque[Delivery] = deque()
        self._bytes = 0
        self._unacknowledged = unacknowledged
        self._changed = threading.Condition()
        self._full = self._closed = False
        self._failed: BaseException | None = None
        self._apart = GATHER if gather is None else gather
        self._given = -self._apart  # when the last round was
        self._window = InFlightWindow()

    def add(self, new: Sequence[Delivery], more: bool) -> None:
        """Take what came in; `more` tells whether the receiver has room."""
        with self._changed:
            first = not self._waiting
            self._waiting.extend(new)
            self._bytes += sum(one.token.size for one in new)
            self._full = not more
            if first or self._enough(quiet=False):
                self._changed.notify()

    def reconnected(self) -> None:
        """Forget what was seen of the broker."""
        self._window = InFlightWindow()

    def close(self, error: BaseException | None = None) -> None:
        """Gather no longer, and end once all is given; with an error raise it instead."""
        with self._changed:
            self._closed, self._failed = True, self._failed or error
            self._changed.notify_all()

    def clear(self) -> None:
        """Drop what waits."""
        with self._changed:
            self._waiting.clear()

    def __iter__(self) -> Iterator[list[Delivery]]:
        """Give rounds, waiting for the next; raises RuntimeError when the thread that receives ended for a bug."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                self._gather()
                if self._failed is not None:
                    raise RuntimeError("nothing is received any more") from self._failed
                if not self._waiting:
                    return
                taken = self._take()
            yield taken

    def _gather(self) -> None:
        until, quiet = self._given + self._apart, False
        while not self._enough(quiet) and (left := until - time.monotonic()) > 0:
            before = len(self._waiting)
            self._changed.wait(min(left, _QUIET))
            quiet = len(self._waiting) == before
        self._given = time.monotonic()

    def _enough(self, quiet: bool) -> bool:
        if self._full or self._closed or self._bytes >= ROUND_BYTES or len(self._waiting) >= ROUND_MESSAGES:
            return True
        return self._window.saw(self._unacknowledged(), quiet)

    def _take(self) -> list[Delivery]:
        taken: list[Delivery] = []
        size = 0
        while self._waiting and len(taken) < ROUND_MESSAGES and size < ROUND_BYTES:
            taken.append(self._waiting.popleft())
            size += taken[-1].token.size
        self._bytes -= size
        return taken
