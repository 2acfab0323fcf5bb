"""
The log in one process: batches wait in memory, and one thread stores them, many at a time.

`ingest.collector` puts, the store is `streams.commit.pipeline`; `ingest.log.queue` has the queue.
"""

from collections.abc import Callable

from ingest.log.queue import WaitingLog
from ingest.vocabulary.batch import Batch


class EmbeddedLog(WaitingLog):
    """Batches straight into a `store`, which keeps trying for as long as the database is away."""

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
