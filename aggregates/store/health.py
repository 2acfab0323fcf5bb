"""
How the store is: its numbers for `/metrics` and `stadspuls doctor`.

`hub.web.metrics` and `hub.cli.doctor` ask; nothing here changes anything.
"""

from dataclasses import dataclass
from datetime import datetime

from aggregates.store.store import Store


@dataclass(frozen=True, slots=True)
class State:
    """What the hub's health is judged by; `oldest_mark` is how long (s) an hour waits for the roll-up."""

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


@dataclass(frozen=True, slots=True)
class Balance:
    """The readings of a source since ever, and what became of them."""

    source: str
    received: int
    stored: int
    duplicate: int
    corrected: int
    rejected: int

    @property
    def holds(self) -> bool:
        """Tell whether every reading is accounted for."""
        return self.received == self.stored + self.duplicate + self.corrected + self.rejected


def state(store: Store, now: datetime) -> State:
    """Ask how the store is. Raises `aggregates.store.store.StoreError`."""
    (row,) = store.rows("read_state", now=now)
    return State(*row)


def balances(store: Store) -> list[Balance]:
    """Give the accounting identity's terms by source. Raises `aggregates.store.store.StoreError`."""
    return [Balance(*row) for row in store.rows("sum_accounting", since=None)]


def positions(store: Store) -> dict[tuple[str, int], int]:
    """Give how far each partition of the log is stored: the offset of the next record. Raises `StoreError`."""
    return {(topic, partition): position for topic, partition, position in store.rows("list_positions")}
