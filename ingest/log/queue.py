"""
Batches queued in memory for the one thread of a log, which stores them (embedded hub) or puts them onto Kafka.

Nothing here is durable: the broker keeps each message until its batch is committed.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence

import structlog

from ingest.vocabulary.batch import Batch

QueuedBatch = tuple[Batch, Callable[[], None]]

_log = structlog.get_logger("ingest.log.queue")


class LogClosed(Exception):  # noqa: N818 - what happened is the name
    """The log takes no more: it was closed, or it failed."""


class QueuedLog:
    """
    A bounded queue, in which `ingest.collector` puts batches, and one thread that commits them in order.

    The thread calls `deliver` with what waits, several batches as one; it returns once this is durable, and raises only
    for a bug. Then `failed` is set, nothing more is committed, and `put` raises. `together` and `waiting` count
    readings: taken in one go at most (a single batch may be larger), and waiting at most.
    """

    def __init__(self, deliver: Callable[[Batch], None], together: int = 20_000, waiting: int = 100_000) -> None:
        self.failed: BaseException | None = None
        self.in_flight = 0  # readings that were put and are not committed
        self._deliver, self._together, self._waiting = deliver, together, waiting
        self._queue: deque[QueuedBatch] = deque()
        self._changed = threading.Condition()
        self._closed = self._given_up = False  # given up: nobody waits any more for what was taken
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    @property
    def queued(self) -> bool:
        """Whether more readings wait than are taken in one go."""
        return self.in_flight > self._together

    def put(self, batch: Batch, committed: Callable[[], None]) -> None:
        """Take a batch, waiting while the queue is full; raises LogClosed when it is closed or has failed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._has_room(batch))
            if self._closed:
                raise LogClosed("the log has failed" if self.failed else "the log is closed")
            self._queue.append((batch, committed))
            self.in_flight += len(batch)
            self._changed.notify_all()

    def close(self, seconds: float | None = None) -> bool:
        """Take no more, and wait until everything is durable; False when that failed, or `seconds` were not enough."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(seconds)
        self._given_up = self._thread.is_alive()
        return not self._given_up and self.failed is None

    def _has_room(self, batch: Batch) -> bool:
        # Each batch counts one more than its readings: one with dead letters alone is not free either.
        held = self.in_flight + len(self._queue)
        return not self._queue or held + len(batch) < self._waiting

    # In the thread.

    def _run(self) -> None:
        try:
            while taken := self._take():
                self._deliver(Batch.concat([batch for batch, _ in taken]))
                self._commit(taken)
        except BaseException as error:
            _log.critical("the log failed, nothing more is acknowledged", exc_info=True)
            with self._changed:
                self.failed = error
                self._closed = True
                self._changed.notify_all()

    def _take(self) -> list[QueuedBatch]:
        """Take what waits, or the next that comes; nothing once the log is closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._queue)
            taken: list[QueuedBatch] = []
            size = 0
            while self._queue and (not taken or size + len(self._queue[0][0]) <= self._together):
                taken.append(self._queue.popleft())
                size += len(taken[-1][0])
            self._changed.notify_all()
            return taken

    def _commit(self, taken: Sequence[QueuedBatch]) -> None:
        for _, committed in taken:
            committed()
        with self._changed:
            self.in_flight -= sum(len(batch) for batch, _ in taken)
            self._changed.notify_all()
