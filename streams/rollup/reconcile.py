"""
The proof that stream equals batch: every window compared with a plain SQL aggregation, and repaired if it differs.

`stadspuls reconcile` runs it over any range; `stadspuls rollup` and the embedded hub nightly over the changed days.
Each day is compared in one snapshot, so that nothing changes during the comparison.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from aggregates.store.store import Store, Transaction
from ingest.vocabulary.readings import microseconds
from streams.commit.recompute import recompute
from streams.commit.windows import day_span, dirty_hours

LEVELS = ("5m", "1h", "1d")
DAY = timedelta(days=1)

Window = tuple[int, datetime]  # series, start


@dataclass(frozen=True, slots=True)
class Difference:
    """The windows of one level and UTC day that were compared, and those that differ."""

    day: date
    level: str
    compared: int
    windows: tuple[Window, ...]


def reconcile(store: Store, first: date, last: date, *, repair: bool = False) -> Iterator[Difference]:
    """
    Compare every window of the UTC days from `first` up to and without `last`.

    Windows that are dirty, frozen or not yet closed are skipped. With `repair` the 5-minute rows that differ are
    recomputed and the hours marked, so that the next roll-up writes them and their days. Raises
    `aggregates.store.store.StoreError`.
    """
    day = first
    while day < last:
        found = list(_compared(store, day))
        yield from found
        if repair:
            _repair(store, found)
        day += DAY


def changed_days(store: Store) -> list[date]:
    """The UTC days with hours that were written since the last proof; `note_reconciled` moves that point."""
    return [day for (day,) in store.rows("list_changed_days")]


def note_reconciled(store: Store, at: datetime) -> None:
    """Remember that everything written before `at`, by the clock of the database, is proven."""
    store.rows("set_reconciled", at=at)


def _compared(store: Store, day: date) -> Iterator[Difference]:
    span = day_span(day)
    with store.transaction(snapshot=True) as tx:
        (counts,) = tx.rows("count_windows", **span)
        for level, count in zip(LEVELS, counts, strict=True):
            rows = tx.rows(f"find_differing_{level}", **span)
            yield Difference(day, level, count, tuple((series, start) for series, start in rows))


def _repair(store: Store, found: list[Difference]) -> None:
    windows = sorted({window for difference in found for window in difference.windows})
    if not windows:
        return
    with store.transaction() as tx:
        tx.prepare_session()
        tx.rows("lock_roll_up")
        tx.rows("share_freeze_lock")  # a day may have frozen since it was compared
        frozen = {day for (day,) in tx.rows("list_frozen_days")}
        short = {window for difference in found if difference.level == "5m" for window in difference.windows}
        _recompute(tx, sorted(window for window in short if window[1].date() not in frozen))
        tx.rows("delete_empty_hours", **_columns(windows))
        tx.rows("delete_empty_days", **_columns(windows))
        tx.rows("insert_marks", **dirty_hours(*_arrays(windows)))


def _recompute(tx: Transaction, windows: list[Window]) -> None:
    if windows:
        tx.rows("touch_windows", **_columns(windows))
        members = sorted({series for series, _ in windows})
        starts = [start for _, start in windows]
        recompute(tx, _arrays(windows)[1], members)
        tx.rows("delete_empty_windows", first=min(starts), last=max(starts), members=members)


def _columns(windows: list[Window]) -> dict[str, list[object]]:
    return {"series": [series for series, _ in windows], "start": [start for _, start in windows]}


def _arrays(windows: list[Window]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give series and starts (us) of windows."""
    return np.array([series for series, _ in windows]), np.array([microseconds(start) for _, start in windows])
