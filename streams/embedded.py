"""
The log in one process: batches wait in memory, and one thread stores them, many at a time.

`ingest.collector` puts, the store is `streams.pipeline`. Nothing here is durable: the broker keeps each message until
the store has committed it.
"""

import threading
from collections import deque
from collections.abc import Callable

import structlog

from ingest.batch import Batch

_log = structlog.get_logger("streams.embedded")


class LogClosed(Exception):  # noqa: N818 - what happened is the name
    """The log takes no more: it was closed, or its store failed."""


class EmbeddedLog:
    """
    A bounded queue and one writer.

    `store` keeps trying for as long as the database is away, and raises only for a bug: then `failed` is set, nothing
    more is stored or committed, and `put` raises. `together` and `waiting` count readings: stored in one go at most
    (a single batch may be larger), and waiting at most.
    """

    def __init__(self, store: Callable[[Batch], None], together: int = 20_000, waiting: int = 100_000) -> None:
        if together < 1 or waiting < 1:
            raise ValueError(f"together is {together} and waiting is {waiting}, expected at least 1")
        self.failed: BaseException | None = None
        self.in_flight = 0  # readings that were put and are not committed
        self._store = store
        self._together = together
        self._waiting = waiting
        self._queue: deque[tuple[Batch, Callable[[], None]]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._writer = threading.Thread(target=self._run, name="embedded-log", daemon=True)
        self._writer.start()

    def put(self, batch: Batch, committed: Callable[[], None]) -> None:
        """Take a batch, waiting while the queue is full; raises LogClosed when it is closed or has failed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._has_room(batch))
            if self._closed:
                raise LogClosed("the log has failed" if self.failed else "the log is closed")
            self._queue.append((batch, committed))
            self.in_flight += len(batch)
            self._changed.notify_all()

    def _has_room(self, batch: Batch) -> bool:
        # Each batch counts one more than its readings: one without readings is not free either.
        held = self.in_flight + len(self._queue)
        return not self._queue or held + len(batch) < self._waiting

    def close(self, seconds: float | None = None) -> bool:
        """Take no more, and wait until everything is stored; False when that failed, or took longer than `seconds`."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._writer.join(seconds)
        return not self._writer.is_alive() and self.failed is None

    def _run(self) -> None:
        try:
            while taken := self._take():
                self._write(taken)
        except BaseException as error:
            _log.critical("the store failed, nothing more is acknowledged", exc_info=True)
            with self._changed:
                self.failed = error
                self._closed = True
                self._changed.notify_all()

    def _take(self) -> list[tuple[Batch, Callable[[], None]]]:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._queue)
            taken = [self._queue.popleft()] if self._queue else []
            size = sum(len(batch) for batch, _ in taken)
            while self._queue and size + len(self._queue[0][0]) <= self._together:
                taken.append(self._queue.popleft())
                size += len(taken[-1][0])
            self._changed.notify_all()
            return taken

    def _write(self, taken: list[tuple[Batch, Callable[[], None]]]) -> None:
        self._store(Batch.concat([batch for batch, _ in taken]))
        for _, committed in taken:
            committed()
        with self._changed:
            self.in_flight -= sum(len(batch) for batch, _ in taken)
            self._changed.notify_all()
