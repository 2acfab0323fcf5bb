"""
Running totals to counts: the difference to the total before, whatever the order in which they come.

`streams.commit.pipeline` calls `differences` in the transaction of a batch. The totals themselves are kept in the table
`running_total`, so that a restart or another collector changes nothing. The nearer the total before is, the better the
count of a period is known: its moment is the version of the reading, so that a late total corrects the count after it.
Where two totals came for one moment the version is 1 us greater, so that the mark of their conflict stays.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from aggregates.store.store import Transaction
from ingest.vocabulary.batch import SCHEMA, joined
from ingest.vocabulary.readings import RUNNING_TOTAL, Flag, utc
from streams.commit.windows import ordered

UNSURE = Flag.AMBIGUOUS | Flag.CONFLICT
LATER = -1  # the source of a row that no reading of the batch gave
Rows = NDArray[Any]


def differences(tx: Transaction, rows: Rows) -> Rows:
    """
    Put counts in the place of running totals, in rows sorted by (series, start), and add those that change: the counts
    up to stored totals that come next, with `source` -1.

    Without a total before, and where a total falls a little, the count failed. After a gap the count is that of all of
    it, covers it, and is marked `AMBIGUOUS`: nothing says when in the gap it was counted. Where two totals came for a
    moment the counts on either side of it are in `CONFLICT`.
    """
    totals = np.flatnonzero(rows["flags"] & RUNNING_TOTAL)
    if not len(totals):
        return rows
    rows["flags"] &= ~RUNNING_TOTAL
    totals = totals[~np.isnan(rows["value"][totals])]
    known = {(int(rows["series"][at]), int(rows["start"][at])): rows[at : at + 1] for at in totals}
    alike = {series: row for (series, _), row in known.items()}
    asked = {"series": rows["series"][totals].tolist(), "start": [utc(at) for at in rows["start"][totals]]}
    unsure = rows["flags"][totals] & UNSURE == UNSURE
    tx.rows("keep_totals", **asked, total=rows["value"][totals].tolist(), unsure=unsure.tolist())
    later = []
    for series, start, value, weight, covers, version, flags in tx.rows("list_counts", **asked):
        row = known.get((series, start))
        if row is None:
            row = alike[series].copy()
            row["start"], row["source"], row["flags"] = start, LATER, 0
            later.append(row)
        row["value"], row["weight"], row["covers"], row["version"] = value, weight, covers, version
        row["flags"] |= flags | (Flag.OUT_OF_RANGE if value > row["high"] else 0)
    return ordered(np.concatenate([rows, *later])) if later else rows


def with_later(given: pa.RecordBatch, readings: Rows, later: Rows) -> pa.RecordBatch:
    """Give the readings of a batch, and one like them for each of the `later` counts that they changed."""
    at = {series: row for row, series in enumerate(readings["series"].tolist())}
    more, start = given.take([at[series] for series in later["series"].tolist()]), SCHEMA.field("start")
    starts = pa.array(later["start"], start.type)
    return joined([given, more.set_column(SCHEMA.get_field_index("start"), start, starts)])
