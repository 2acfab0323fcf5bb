"""
Hours and days out of 5-minute rows, once an hour has closed and again when late data touch it.

The pipeline marks dirty hours. The roll-up takes the marks, applies the neighbour rules around these hours, and writes
`window_1h` and `window_1d`. `stadspuls rollup` and the embedded hub call `roll_up` about once a second.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import groupby, repeat
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aggregates.store.store import Store, Transaction
from ingest.vocabulary.quantities import QUANTITIES
from ingest.vocabulary.readings import DERIVED, Flag, Status, utc
from ingest.vocabulary.sources import SOURCES, SourceClass, source_of_sensor
from streams.alerts.frames import ChangedWindows
from streams.alerts.judge import Judge
from streams.commit.quality import NEIGHBOUR_RULES, QualityLimits
from streams.commit.recompute import frozen_days, recompute
from streams.commit.windows import DAY_US, WINDOW_US

MOST_HOURS = 50_000  # of series in one transaction
HOUR = timedelta(hours=1)
LONGEST_MEMORY = timedelta(seconds=2 * max(quantity.memory for quantity in QUANTITIES.values()))

# The readings whose derived flags change, as they are copied into the table `stage`.
FLAGGED = np.dtype([("series", "i4"), ("start", "i8"), ("flags", "i4"), ("weight", "f8"), ("version", "i8"),
                    ("received_at", "i8"), ("status", "i2")])  # fmt: skip


class StoredReading(NamedTuple):
    """A stored reading with what the neighbour rules need; `start` in microseconds since 1970."""

    series: int
    start: int
    value: float
    flags: int
    status: int
    quantity: str
    sensor_id: str
    overrides: dict[str, Any] | None
    judged: bool


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
    readings = [StoredReading(*row) for row in found]
    changed = list(_reflagged(readings, frozen_days(tx)))
    if not changed:
        return ChangedWindows([], np.array([], np.int64))
    rows = np.array([(series, start, flags, 0, 0, 0, 0) for series, start, flags in sorted(set(changed))], FLAGGED)
    tx.copy("stage", rows)
    span = {"first": utc(rows["start"].min()), "last": utc(rows["start"].max())}
    ((members,),) = tx.rows("lock_stored_readings", **span)
    tx.rows("set_neighbour_flags", **span, members=members)
    tx.rows("touch_changed_windows")
    recompute(tx, rows["start"], members)
    tx.rows("add_changed_hours")
    sensors = {reading.series: reading.sensor_id for reading in readings}
    return ChangedWindows(
        [sensors[series] for series in rows["series"].tolist()], rows["start"] - rows["start"] % WINDOW_US
    )


def _reflagged(readings: list[StoredReading], frozen: NDArray[np.int64]) -> Iterator[tuple[int, int, int]]:
    """
    Give (series, start, derived flags) of every judged reading whose flags are not what the rules say.

    A reading whose neighbours reach into a frozen day keeps the flags it has: some of its neighbours were dropped.
    """
    for _, group in groupby(readings, key=itemgetter(0)):
        series = list(group)
        known = np.array([reading.flags for reading in series]) & _NEIGHBOUR_FLAGS
        flags = _derived(series) | np.where(_cut_off(series, frozen), known, 0)
        for at in np.flatnonzero((flags != known) & np.array([reading.judged for reading in series])):
            yield series[at].series, series[at].start, int(flags[at])


def _cut_off(series: list[StoredReading], frozen: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell which readings have a frozen day (sorted, days since 1970) within the memory of their rules."""
    start = np.array([reading.start for reading in series])
    reach = int(QUANTITIES[series[0].quantity].memory * 1_000_000)
    days = [(start + shift) // DAY_US for shift in (-reach, reach)]
    cut: NDArray[np.bool_] = np.searchsorted(frozen, days[0]) < np.searchsorted(frozen, days[1], "right")
    return cut


def _derived(series: list[StoredReading]) -> NDArray[np.int32]:
    one = series[0]
    limits = QualityLimits.of(QUANTITIES[one.quantity], one.overrides)
    start, value = (np.array([getattr(reading, name) for reading in series]) for name in ("start", "value"))
    source = SOURCES.get(source_of_sensor(one.sensor_id))
    trusted = np.array([reading.status == Status.VALIDATED for reading in series])
    trusted |= source is not None and source.source_class is SourceClass.REFERENCE
    flags = np.zeros(len(series), dtype=np.int32)
    for rule, (excludes, warns) in NEIGHBOUR_RULES.items():
        flags |= np.where(rule(start, value, limits), np.where(trusted, warns, excludes), 0)
    return flags


_NEIGHBOUR_FLAGS = int(DERIVED & ~Flag.AMBIGUOUS)
