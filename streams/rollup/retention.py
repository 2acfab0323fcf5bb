"""
Retention: freeze days of readings and delete these, unfreeze days, merge old dead letters, forget earlier figures.

It works the same in every edition. `stadspuls maintain` and `hub.run.upkeep` call it. A reading for a frozen day
becomes a dead letter, because a duplicate cannot be recognised any more. Batches wait only while a day becomes frozen,
not while its readings are deleted.
"""

from datetime import date, datetime, timedelta
from itertools import repeat

import structlog

from aggregates.store.store import Store

LETTERS_KEPT = timedelta(days=30)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)

log = structlog.get_logger(__name__)


def maintain(
    store: Store, now: datetime, retention: timedelta | None, versions: timedelta | None = None,
    hours: int | None = None,
) -> list[date]:  # fmt: skip
    """
    Freeze days, delete their readings (with `hours` only so many hours of them), merge old dead letters, and forget
    earlier figures that changed longer ago than `versions` (None: never); give the days that were frozen.

    Raises `aggregates.store.errors.StoreError`.
    """
    store.rows("merge_old_letters", limit=now - LETTERS_KEPT)
    if versions is not None:
        store.rows("forget_versions", limit=now - versions)
    days = freeze(store, now, retention)
    delete_frozen(store, hours)
    return days


def freeze(store: Store, now: datetime, retention: timedelta | None) -> list[date]:
    """
    Freeze the UTC days whose newest reading came more than `retention` ago (None: never), and give them.

    A day with a dirty hour waits for the roll-up. Raises `aggregates.store.errors.StoreError`.
    """
    if retention is None:
        return []
    limit = now - retention
    return [day for (day,) in store.rows("list_expired_days", limit=limit) if _freeze(store, day, limit)]


def _freeze(store: Store, day: date, limit: datetime) -> bool:
    with store.transaction() as tx:
        tx.rows("lock_roll_up")
        if not tx.rows("find_expired", limit=limit, day=day):
            return False
        tx.rows("take_freeze_lock")
        frozen = bool(tx.rows("freeze_day", day=day))
    if frozen:
        log.info("day frozen", day=day.isoformat())
    return frozen


def delete_frozen(store: Store, hours: int | None = None) -> bool:
    """Delete the next `hours` of readings of frozen days (None: all), each in a transaction; False once none are."""
    for _ in repeat(None) if hours is None else range(hours):
        with store.transaction() as tx:
            taken = tx.rows("take_frozen_hour")
            for (first,) in taken:
                tx.rows("drop_frozen_chunks", first=first, last=first + HOUR)
                tx.rows("delete_readings", first=first, last=first + HOUR)
        if not taken:
            return False
    return True


def thaw(store: Store, first: date, last: date) -> list[date]:
    """Delete the aggregates of the frozen days from `first` up to and without `last`, and unfreeze them, day by day."""
    delete_frozen(store)
    thawed: list[date] = []
    for day in [day for (day,) in store.rows("list_frozen_days") if first <= day < last]:
        with store.transaction() as tx:
            tx.rows("take_freeze_lock")
            thawed += [gone for (gone,) in tx.rows("thaw_days", first=day, last=day + DAY)]
    return thawed
