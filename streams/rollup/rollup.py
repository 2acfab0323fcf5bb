"""
Hours and days out of 5-minute rows, once an hour has closed and again when late data touch it.

The pipeline marks dirty hours. The roll-up takes the marks, applies the neighbour rules around these hours, and writes
`window_1h` and `window_1d`. `stadspuls rollup` and the embedded hub call `roll_up` about once a second.
"""

from datetime import datetime, timedelta
from itertools import repeat
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from aggregates.store.store import Store, Transaction
from ingest.vocabulary.quantities import QUANTITIES
from ingest.vocabulary.readings import DERIVED, Status, utc
from ingest.vocabulary.sources import SOURCES, SourceClass, source_of_sensor
from streams.alerts.frames import ChangedWindows
from streams.alerts.judge import Judge
from streams.commit.quality import NEIGHBOUR_RULES, limits_of
from streams.commit.recompute import frozen_days, recompute
from streams.commit.windows import DAY_US, WINDOW_US

MOST_HOURS = 50_000  # of series in one transaction
HOUR = timedelta(hours=1)
LONGEST_MEMORY = timedelta(seconds=2 * max(quantity.memory for quantity in QUANTITIES.values()))

# The readings whose derived flags change, as they are copied into the table `stage`.
FLAGGED = np.dtype([("series", "i4"), ("start", "i8"), ("flags", "i4"), ("weight", "f8"), ("version", "i8"),
                    ("received_at", "i8"), ("status", "i2")])  # fmt: skip


def roll_up(
    store: Store, now: datetime, grace: timedelta = timedelta(minutes=1), judge: Judge | None = None,
    most: int | None = None,
) -> int:  # fmt: skip
    """
    Roll up every hour that closed by `now`, less `grace`, and is marked; give the number of series' hours written.

    With `most` it stops after so many transactions. Hours are closed once no hour since the last closed one is marked:
    late data for older ones, which are served from their windows already, do not keep the newer ones open. Raises
    `aggregates.store.store.StoreError`; what was committed before stays.
    """
    until = (now - grace).replace(minute=0, second=0, microsecond=0)
    written = 0
    for _ in repeat(None) if most is None else range(most):
        done = _roll_up_some(store, until, judge, now)
        written += done
        if not done:
            break
    store.rows("close_hours", until=until)
    return written


def _roll_up_some(store: Store, until: datetime, judge: Judge | None, now: datetime) -> int:
    with store.transaction() as tx:
        tx.prepare_session()
        tx.rows("lock_roll_up")
        tx.rows("take_marks", until=until, most=MOST_HOURS)
        ((count, first, last),) = tx.rows("read_dirty_span")
        if count:
            tx.rows("analyze_dirty")
            reflagged = _flag_neighbours(tx, first, last)
            ((_, first, last),) = tx.rows("read_dirty_span")
            tx.rows("roll_hours", first=first, last=last)
            tx.rows("roll_days")
            tx.rows("mark_rolled_hours")
            if judge is not None:
                judge.changed(tx, "5m", reflagged, now)
                judge.rolled(tx, until, now)
        return int(count)


def _flag_neighbours(tx: Transaction, first: datetime, last: datetime) -> ChangedWindows:
    """
    Flag spikes and stuck values around the dirty hours; hours whose readings got other flags become dirty too.

    Gives the 5-minute windows that changed.
    """
    found = tx.rows("list_neighbour_readings", first=first - LONGEST_MEMORY, last=last + HOUR + LONGEST_MEMORY)
    if not found or not len(rows := _reflagged(found, frozen_days(tx))):
        return ChangedWindows([], np.array([], np.int64))
    tx.copy("stage", rows)
    span = {"first": utc(rows["start"].min()), "last": utc(rows["start"].max())}
    ((members,),) = tx.rows("lock_stored_readings", **span)
    tx.rows("set_neighbour_flags", **span, members=members)
    tx.rows("touch_changed_windows")
    recompute(tx, rows["start"], members)
    tx.rows("add_changed_hours")
    sensors = {series: sensor_id for series, *_, sensor_id, _, _ in found}
    return ChangedWindows(
        [sensors[series] for series in rows["series"].tolist()], rows["start"] - rows["start"] % WINDOW_US
    )


def _reflagged(readings: list[tuple[Any, ...]], frozen: NDArray[np.int64]) -> NDArray[Any]:
    """
    Give a row of `FLAGGED` for every judged reading whose derived flags are not what the rules say.

    `readings` are sorted by series; their columns are those of the statement `list_neighbour_readings`. A reading whose
    neighbours reach into a `frozen` day (sorted, days since 1970) keeps the flags it has: some of them were dropped.
    """
    *numbers, quantity, sensor_id, overrides, judged = zip(*readings, strict=True)
    series, start, value, flags, status = map(np.array, numbers)
    known = flags & _NEIGHBOUR_FLAGS
    reach = np.array([int(QUANTITIES[name].memory * 1_000_000) for name in quantity])
    cut_off = _place(frozen, start - reach, "left") < _place(frozen, start + reach, "right")
    trusted = (status == Status.VALIDATED) | np.array([_is_reference(one) for one in sensor_id])
    derived = np.where(cut_off, known, 0)
    borders = np.flatnonzero(np.diff(series)) + 1
    for rows in np.split(np.arange(len(series)), borders):
        limits = limits_of(quantity[rows[0]], overrides[rows[0]])
        for rule, (excludes, warns) in NEIGHBOUR_RULES.items():
            found = rule(start[rows], value[rows], limits)
            derived[rows] |= np.where(found, np.where(trusted[rows], warns, excludes), 0)
    changed = np.flatnonzero((derived != known) & np.array(judged))
    made = np.zeros(len(changed), FLAGGED)
    made["series"], made["start"], made["flags"] = series[changed], start[changed], derived[changed]
    return np.unique(made)


def _place(days: NDArray[np.int64], stamp: NDArray[np.int64], side: Literal["left", "right"]) -> NDArray[np.intp]:
    return np.searchsorted(days, stamp // DAY_US, side)


def _is_reference(sensor_id: str) -> bool:
    source = SOURCES.get(source_of_sensor(sensor_id))
    return source is not None and source.source_class is SourceClass.REFERENCE


_NEIGHBOUR_FLAGS = int(DERIVED)
