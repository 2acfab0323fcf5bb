"""
Retention: days of readings dropped and frozen, frozen days thawed, old payloads of dead letters forgotten.

The same in every edition. `stadspuls maintain` and `stadspuls rollup` call it; the pipeline turns a reading for a
frozen day into a dead letter, for it cannot be told from a duplicate any more.
"""

from datetime import UTC, date, datetime, time, timedelta

import structlog

from aggregates.store.store import Store

PAYLOADS_KEPT = timedelta(days=30)

log = structlog.get_logger(__name__)


def maintain(store: Store, now: datetime, retention: timedelta | None) -> list[date]:
    """
    Freeze the UTC days whose newest reading came more than `retention` ago (None: never), and give them.

    A day with a dirty hour waits for the roll-up. Raises `aggregates.store.store.StoreError`.
    """
    store.rows("forget_payloads", limit=now - PAYLOADS_KEPT)
    if retention is None:
        return []
    limit = now - retention
    return [day for (day,) in store.rows("expired_days", limit=limit) if _freeze(store, day, limit)]


def thaw(store: Store, first: date, last: date) -> list[date]:
    """Delete the aggregates of the frozen days from `first` up to and without `last`, and unfreeze them."""
    with store.transaction() as tx:
        tx.rows("hold_freeze")
        return [day for (day,) in tx.rows("thaw", first=first, last=last)]


def _freeze(store: Store, day: date, limit: datetime) -> bool:
    span = {"first": _midnight(day), "last": _midnight(day + timedelta(days=1))}
    with store.transaction() as tx:
        tx.rows("hold_freeze")
        ((expired,),) = tx.rows("newest_of_day", limit=limit, **span)
        if expired:
            tx.rows("freeze", day=day)
            tx.rows("drop_readings", **span)
    if expired:
        log.info("day frozen", day=day.isoformat())
    return bool(expired)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
