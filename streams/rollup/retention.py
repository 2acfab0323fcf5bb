"""
Retention: freeze days of readings and delete these, unfreeze days, delete old payloads of dead letters.

It works the same in every edition. `stadspuls maintain` and `hub.run.upkeep` call it. A reading for a frozen day
becomes a dead letter, because a duplicate cannot be recognised any more. Batches wait only while a day becomes frozen,
not while its readings are deleted.
"""

from datetime import date, datetime, timedelta

import structlog

from aggregates.store.store import Store
from streams.commit.windows import day_span

PAYLOADS_KEPT = timedelta(days=30)
HOUR = timedelta(hours=1)

log = structlog.get_logger(__name__)


def maintain(store: Store, now: datetime, retention: timedelta | None) -> list[date]:
    """Do at once what `freeze` and `delete_frozen` do, and give the days that were frozen."""
    days = freeze(store, now, retention)
    while delete_frozen(store):
        pass
    return days


def freeze(store: Store, now: datetime, retention: timedelta | None) -> list[date]:
    """
    Freeze the UTC days whose newest reading came more than `retention` ago (None: never), and give them.

    A day with a dirty hour waits for the roll-up. Raises `aggregates.store.store.StoreError`.
    """
    store.rows("delete_old_payloads", limit=now - PAYLOADS_KEPT)
    if retention is None:
        return []
    limit = now - retention
    return [day for (day,) in store.rows("list_expired_days", limit=limit) if _freeze(store, day, limit)]


def delete_frozen(store: Store, hours: int = 24) -> bool:
    """Delete the next `hours` of readings of frozen days, each in a transaction; False where none are left."""
    for _ in range(hours):
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
    while delete_frozen(store):
        pass
    days = sorted(day for (day,) in store.rows("list_frozen_days") if first <= day < last)
    return [day for day in days if _thaw(store, day)]


def _thaw(store: Store, day: date) -> bool:
    with store.transaction() as tx:
        tx.rows("take_freeze_lock")
        return bool(tx.rows("thaw_days", first=day, last=day + timedelta(days=1)))


def _freeze(store: Store, day: date, limit: datetime) -> bool:
    with store.transaction() as tx:
        tx.rows("lock_roll_up")
        ((expired,),) = tx.rows("is_day_expired", limit=limit, **day_span(day))
        if not expired:
            return False
        tx.rows("take_freeze_lock")
        frozen = bool(tx.rows("freeze_day", day=day))
    if frozen:
        log.info("day frozen", day=day.isoformat())
    return frozen
