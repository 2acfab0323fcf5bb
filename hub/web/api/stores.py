"""
Connections of the API: few, read-only, with a time limit, and lent to one answer at a time.

The database never has more than these to serve, however many ask: who comes beyond waits, and is told to come again.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from aggregates.store.store import Store
from hub.web.api.problems import Problem

WAIT = 10.0  # s


class Stores:
    """At most `most` stores, made by `make` when they are first needed and kept for the next answer."""

    def __init__(self, make: Callable[[], Store], most: int = 8, wait: float = WAIT) -> None:
        self._make, self._wait = make, wait
        self._free = threading.BoundedSemaphore(most)
        self._kept: list[Store] = []

    @contextmanager
    def lend(self) -> Iterator[Store]:
        """Lend a store; raises Problem 503 where none comes free. One whose use failed is not lent again."""
        if not self._free.acquire(timeout=self._wait):
            raise Problem(503, "too many ask at once, try again later", headers={"Retry-After": "5"})
        try:
            store = self._kept.pop() if self._kept else self._make()
            try:
                yield store
            except BaseException:
                store.close()
                raise
            self._kept.append(store)
        finally:
            self._free.release()

    def forget(self) -> None:
        """Close those that are not lent: after a restart of the database none of them is any good."""
        while self._kept:
            self._kept.pop().close()

    close = forget
