"""
Retention: drop and freeze days of readings, unfreeze days, delete old payloads of dead letters.

It works the same in every edition. `stadspuls maintain` and `stadspuls rollup` call it. A reading for a frozen day
becomes a dead letter, because a duplicate cannot be recognised any more.
"""

from datetime import date, datetime, timedelta

import structlog

from aggregates.store.store import Store
from streams.commit.windows import day_span

PAYLOADS_KEPT = timedelta(days=30)

log = structlog.get_logger(__name__)


def maintain(store: Store, now: datetime, retention: timedelta | None) -> list[date]:
    """
    Freeze the UTC days whose newest reading came more than `retention` ago (None: never), and give them.

    A day with a dirty hour waits for the roll-up. Raises `aggregates.store.store.StoreError`.
    """
    store.rows("delete_old_payloads", limit=now - PAYLOADS_KEPT)
    if retention is None:
        return []
    limit = now - retention
    return [day for (day,) in store.rows("list_expired_days", limit=limit) if _freeze(store, day, limit)]


def thaw(store: Store, first: date, last: date) -> list[date]:
    """Delete the aggregates of the frozen days from `first` up to and without `last`, and unfreeze them."""
    with store.transaction() as tx:
        tx.rows("take_freeze_lock")
        return [day for (day,) in tx.rows("thaw_days", first=first, last=last)]


def _freeze(store: Store, day: date, limit: datetime) -> bool:
    span = day_span(day)
    with store.transaction() as tx:
        tx.rows("take_freeze_lock")
        ((expired,),) = tx.rows("is_day_expired", limit=limit, **span)
        if expired:
            tx.rows("freeze_day", day=day)
            tx.rows("delete_readings", **span)
    if expired:
        log.info("day frozen", day=day.isoformat())
    return bool(expired)
