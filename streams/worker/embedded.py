"""
The log of the embedded hub: batches wait in memory, and one thread stores them, several in one transaction.

`ingest.collector` puts batches, `streams.commit.pipeline` stores them; `ingest.log.queue` is the queue.
"""

from collections.abc import Callable

from ingest.log.queue import QueuedLog
from ingest.vocabulary.batch import Batch


class EmbeddedLog(QueuedLog):
    """Calls `store` with what waits; `store` retries while the database is away."""

    def __init__(self, store: Callable[[Batch], None], together: int = 20_000, waiting: int = 100_000) -> None:
        super().__init__("embedded-log", together, waiting)
        self._store = store
        self._thread.start()

    def _work(self) -> None:
        self._wait()
        while taken := self._take():
            self._store(Batch.concat([batch for batch, _ in taken]))
            self._commit(taken)
            self._wait()
