"""
The proof that stream equals batch: every window compared with a plain SQL aggregation, and repaired if it differs.

`stadspuls reconcile` runs it over any range; `stadspuls rollup` and the embedded hub nightly over what changed, by
series and day. Each day is compared in one snapshot, so that nothing changes during the comparison.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple

from aggregates.store.store import Store
from streams.commit.recompute import recompute

LEVELS = ("5m", "1h", "1d", "sensor_1h", "sensor_1d")  # windows of series, then of sensors with several
DAY = timedelta(days=1)

Window = tuple[int, datetime]  # series, start


class Difference(NamedTuple):
    """The windows of one level and UTC day that were compared, and those that differ."""

    day: date
    level: str
    compared: int
    windows: tuple[Window, ...]


def reconcile(
    store: Store, first: date, last: date, *, repair: bool = False, members: Sequence[int] | None = None
) -> Iterator[Difference]:
    """
    Compare every window that starts in the UTC days from `first` up to and without `last`.

    With `members` only those of these series, and of their sensors, are. Windows that are dirty, frozen or not yet
    closed are skipped. With `repair` the 5-minute rows that differ are recomputed and the hours marked, so that the
    next roll-up writes them and their days. Raises `aggregates.store.errors.StoreError`.
    """
    for at in range((last - first).days):
        found = list(_compared(store, first + at * DAY, members))
        yield from found
        if repair:
            _repair(store, found)


def _compared(store: Store, day: date, members: Sequence[int] | None) -> Iterator[Difference]:
    first = datetime.combine(day, time(), UTC)
    span = {"first": first, "last": first + DAY, "members": members}
    with store.transaction(snapshot=True) as tx:
        tx.rows("plan_for_days")
        (counts,) = tx.rows("count_windows", **span)
        for level, count in zip(LEVELS, counts, strict=True):
            yield Difference(day, level, count, tuple(tx.rows(f"find_differing_{level}", **span)))


def _repair(store: Store, found: list[Difference]) -> None:
    windows = sorted({window for difference in found for window in difference.windows})
    if not windows:
        return
    with store.transaction(writing=True) as tx:
        tx.rows("lock_roll_up")
        tx.rows("share_freeze_lock")  # a day may have frozen since it was compared
        if short := [window for difference in found if difference.level == "5m" for window in difference.windows]:
            named = _columns(short)
            tx.rows("touch_windows", **named)
            recompute(tx, first=named["first"], last=named["last"], members=named["members"])
            tx.rows("delete_empty_windows", **named)
        for statement in ("note_repairs", "delete_empty_hours", "delete_empty_days", "mark_windows"):
            tx.rows(statement, **_columns(windows))


def _columns(windows: Sequence[Window]) -> dict[str, Any]:
    series, start = map(list, zip(*windows, strict=True))
    return {"series": series, "start": start, "first": min(start), "last": max(start), "members": sorted(set(series))}
