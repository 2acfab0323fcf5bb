"""
Rows of `window_5m` made again from their readings, and the days for which that is not possible any more.

`streams.commit.pipeline` calls it for corrections, `streams.rollup.rollup` for new flags and `streams.rollup.reconcile`
for a repair, each inside its own transaction.
"""

from collections.abc import Sequence
from datetime import date

import numpy as np
from numpy.typing import NDArray

from aggregates.store.store import Transaction
from ingest.vocabulary.readings import utc
from streams.commit.windows import WINDOW_US


def recompute(tx: Transaction, starts: NDArray[np.int64], members: Sequence[int] | None) -> None:
    """
    Lock the 5-minute rows named in the table `touched`, then compute them from their readings.

    `starts` (us) limit the search in time; `members` limit it to these series (None: all), so that of a compressed day
    only theirs are decompressed.
    """
    tx.rows("merge_windows")
    first, last = int(starts.min()), int(starts.max())
    span = {"first": utc(first - first % WINDOW_US), "last": utc(last - last % WINDOW_US + WINDOW_US)}
    tx.rows("recompute_windows", **span, members=members)


def frozen_days(tx: Transaction) -> NDArray[np.int64]:
    """Give the days whose readings were dropped, sorted, as days since 1970."""
    return np.sort(np.array([(day - date(1970, 1, 1)).days for (day,) in tx.rows("list_frozen_days")], dtype=np.int64))
