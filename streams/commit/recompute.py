"""
Rows of `window_5m` made again from their readings, where these were corrected, flagged or damaged.

`streams.commit.pipeline` corrects readings by `change_staged`, `streams.rollup.derived` sets flags by it, and
`streams.rollup.reconcile` repairs by `recompute`, each inside its own transaction.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from aggregates.store.store import Transaction

WINDOW = timedelta(minutes=5)


def change_staged(tx: Transaction, statement: str, first: datetime, last: datetime) -> None:
    """Change stored readings that start from `first` to `last` by those in the table `stage`, and their windows."""
    ((members,),) = tx.rows("lock_stored_readings", first=first, last=last)
    tx.rows(statement, first=first, last=last, members=members)
    tx.rows("touch_changed_windows")
    recompute(tx, first, last, members)


def recompute(tx: Transaction, first: datetime, last: datetime, members: Sequence[int] | None) -> None:
    """
    Lock the 5-minute rows named in the table `touched`, then compute them from their readings.

    They have readings from `first` to `last`, or start then; `members` limits the search to these series (None: all),
    so that of a compressed day only theirs are decompressed.
    """
    tx.rows("merge_windows")
    tx.rows("recompute_windows", first=first, last=last, end=last + WINDOW, members=members)
