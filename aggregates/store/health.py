"""
The numbers of the store for `/metrics` and `stadspuls doctor`.

`hub.web.metrics` and `hub.cli.doctor` ask; nothing here changes anything.
"""

from datetime import datetime
from typing import NamedTuple

from aggregates.store.store import Store


class State(NamedTuple):
    """Counts and versions; `oldest_mark` is how long (s) the oldest ended hour waits for the roll-up."""

    dead_letters: int
    marks: int
    oldest_mark: float | None
    series: int
    sensors: int
    unplaced: int
    frozen_days: int
    closed_until: datetime
    reconciled: datetime | None
    server_version: str
    timescale_version: str | None


class Balance(NamedTuple):
    """The readings ever received of a source, and what became of them."""

    source: str
    received: int
    stored: int
    duplicate: int
    corrected: int
    rejected: int

    @property
    def holds(self) -> bool:
        """Whether every reading is accounted for."""
        return self.received == self.stored + self.duplicate + self.corrected + self.rejected


def state(store: Store, now: datetime) -> State:
    """Read how many there are of everything. Raises `aggregates.store.store.StoreError`."""
    (row,) = store.rows("read_state", now=now)
    return State(*row)


def balances(store: Store) -> list[Balance]:
    """Return the terms of the accounting identity by source. Raises `aggregates.store.store.StoreError`."""
    return [Balance(*row) for row in store.rows("sum_accounting", since=None)]


def positions(store: Store) -> dict[tuple[str, int], int]:
    """Return how far each partition of the log is stored: the offset of its next record. Raises `StoreError`."""
    return {(topic, partition): position for topic, partition, position in store.rows("list_positions")}
