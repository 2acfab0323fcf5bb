"""
The numbers and findings of the store for `/health`, the live page, `doctor` and the workers; nothing here changes any.
"""

from datetime import datetime
from typing import Any

from aggregates.store.migrate import edition
from aggregates.store.store import Store


def state(store: Store, now: datetime) -> Any:
    """
    Read how many there are of everything, by the names of the statement `read_state`.

    `rollup_lag` is how long (s) the oldest ended hour waits for the roll-up. Raises `StoreError`.
    """
    with store.transaction() as tx:
        return tx.records("read_state", now=now)[0]


def positions(store: Store) -> dict[tuple[str, int], int]:
    """Return how far each partition of the log is stored: the offset of its next record. Raises `StoreError`."""
    return {(topic, partition): position for topic, partition, position in store.rows("list_positions")}


def list_findings(store: Store, now: datetime, zone: str, no_areas: str) -> list[tuple[str, str, bool | None]]:
    """
    Return what `doctor` says: what about, what was found, and whether it is good (None: it only informs).

    Stamps are of `zone`; `no_areas` is said where none are loaded. Raises `StoreError`.
    """
    with store.transaction() as tx:
        tx.rows("use_zone", zone=zone)
        return tx.rows("list_findings", now=now, since=None, edition=edition(tx), no_areas=no_areas)
