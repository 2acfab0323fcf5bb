"""
The accounting identity of a store by source, which benches, the chaos run and tests look at; `doctor` has it in SQL.
"""

from typing import NamedTuple

from aggregates.store.store import Store


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


def balances(store: Store) -> list[Balance]:
    """Return the terms of the accounting identity by source. Raises `aggregates.store.errors.StoreError`."""
    return [Balance(*row) for row in store.rows("sum_accounting", since=None)]
