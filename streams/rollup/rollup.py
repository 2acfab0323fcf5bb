"""
Hours and days out of 5-minute rows, once an hour has closed and again when late data touch it.

The pipeline marks dirty hours. The roll-up takes the marks, applies the neighbour rules around these hours, writes
`window_1h` and `window_1d`, and flags what they show to be dead. `stadspuls rollup` and the embedded hub call `roll_up`
about once a second.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import groupby, repeat
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aggregates.store.store import Clash, Store, Transaction
from ingest.vocabulary.quantities import QUANTITIES
from ingest.vocabulary.readings import DEATHS, DERIVED, Flag, Status, utc
from ingest.vocabulary.sources import SOURCES, SourceClass, source_of_sensor
from streams.alerts.frames import ChangedWindows
from streams.alerts.judge import Judge
from streams.commit.quality import NEIGHBOUR_RULES, dead, limits_of
from streams.commit.recompute import frozen_days, recompute
from streams.commit.windows import DAY_US, WINDOW_US

MOST_HOURS = 50_000  # of series in one transaction
HOUR = timedelta(hours=1)

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
    late data for older ones, which are served from their windows already, do not keep the newer ones open. After a
    deadlock it tries again at once. Raises `aggregates.store.store.StoreError`; what was committed before stays.
    """
    until = (now - grace).replace(minute=0, second=0, microsecond=0)
    written = 0
    for _ in repeat(None) if most is None else range(most):
        try:
            done = _roll_up_some(store, until, judge, now)
        except Clash:  # flags found by hours are set after other 5-minute rows are locked: batches may be in the way
            continue
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
            flagged = _flag_dead(tx, _write_hours_and_days(tx))
            if len(flagged.starts):
                _write_hours_and_days(tx, again=True)
            tx.rows("mark_rolled_hours")
            if judge is not None:
                for windows in (reflagged, flagged):
                    judge.changed(tx, "5m", windows, now)
                judge.rolled(tx, until, now)
        return int(count)


def _write_hours_and_days(tx: Transaction, *, again: bool = False) -> Mapping[str, datetime]:
    """Write the dirty hours and their days, `again` only those of `judged`; give their span."""
    ((_, first, last),) = tx.rows("read_dirty_span")
    tx.rows("roll_hours", first=first, last=last, again=again)
    tx.rows("roll_days", again=again)
    return {"first": first, "last": last}


def _flag_neighbours(tx: Transaction, first: datetime, last: datetime) -> ChangedWindows:
    """Flag spikes and stuck values around the dirty hours; give the 5-minute windows that changed."""
    ((reach,),) = tx.rows("read_rule_reach")
    found = tx.rows("list_neighbour_readings", first=first - reach, last=last + HOUR + reach)
    rows = _reflagged(found, frozen_days(tx)) if found else np.zeros(0, FLAGGED)
    return _set_flags(tx, rows, {series: sensor_id for series, *_, sensor_id, _, _ in found})


def _flag_dead(tx: Transaction, span: Mapping[str, datetime]) -> ChangedWindows:
    """Flag the zeros of counters that are dead by their hours; give the 5-minute windows that changed."""
    wrong = list(_wrong_hours(tx, span))
    if not wrong:
        return ChangedWindows([], np.array([], np.int64))
    found = tx.rows("list_zero_readings", series=[one[0] for one in wrong], hours=[utc(hour) for _, hour, *_ in wrong])
    rows = []
    for number, start, flags, validated in found:
        series, _, sensor_id, is_dead = wrong[number - 1]
        flag = Flag.SUSPECT_DEAD if validated or _is_reference(sensor_id) else Flag.DEAD
        if flags & DEATHS != (flag if is_dead else 0):
            rows.append((series, start, flag if is_dead else 0, 0, 0, 0, 0))
    tx.rows("clear_staged")
    return _set_flags(tx, np.array(sorted(rows), FLAGGED), {series: sensor_id for series, _, sensor_id, _ in wrong})


def _wrong_hours(tx: Transaction, span: Mapping[str, datetime]) -> Iterator[tuple[int, int, str, bool]]:
    """Give the hours whose flags are wrong about their being dead: series, start in us, sensor, are they."""
    counts = [name for name, quantity in QUANTITIES.items() if quantity.dead is not None]
    hours = tx.rows("list_count_hours", quantities=counts, **span)
    for (series, sensor_id, quantity), rows in groupby(hours, itemgetter(0, 1, 2)):
        overrides, *columns = list(zip(*rows, strict=True))[3:]
        start, zero, known, unmarked = map(np.array, columns)
        marks = dead(start, zero, known, limits_of(quantity, overrides[0]))
        for at in np.flatnonzero((marks & unmarked) | (~marks & known)).tolist():
            yield series, int(start[at]), sensor_id, bool(marks[at])


def _set_flags(tx: Transaction, rows: NDArray[Any], sensors: Mapping[int, str]) -> ChangedWindows:
    """
    Write derived flags (`FLAGGED`); hours whose readings got other flags become dirty too.

    Gives the 5-minute windows that changed.
    """
    if len(rows):
        tx.copy("stage", rows)
        span = {"first": utc(rows["start"].min()), "last": utc(rows["start"].max())}
        ((members,),) = tx.rows("lock_stored_readings", **span)
        tx.rows("set_neighbour_flags", **span, members=members)
        tx.rows("touch_changed_windows")
        recompute(tx, rows["start"], members)
        tx.rows("add_changed_hours")
    return ChangedWindows([sensors[one] for one in rows["series"].tolist()], rows["start"] - rows["start"] % WINDOW_US)


def _reflagged(readings: list[tuple[Any, ...]], frozen: NDArray[np.int64]) -> NDArray[Any]:
    """
    Give a row of `FLAGGED` for every judged reading whose derived flags are not what the rules say.

    `readings` are sorted by series; their columns are those of the statement `list_neighbour_readings`. A reading whose
    neighbours reach into a `frozen` day (sorted, days since 1970) keeps the flags it has: some of them were dropped.
    """
    *numbers, quantity, sensor_id, overrides, judged = zip(*readings, strict=True)
    series, start, value, flags, status = map(np.array, numbers)
    known = flags & _NEIGHBOUR_FLAGS
    derived = np.zeros_like(known)
    for rows in np.split(np.arange(len(series)), np.flatnonzero(np.diff(series)) + 1):
        limits = limits_of(quantity[rows[0]], overrides[rows[0]])
        trusted = (status[rows] == Status.VALIDATED) | _is_reference(sensor_id[rows[0]])
        reach = int(limits.memory * 1_000_000)
        before, after = ((start[rows] + shift) // DAY_US for shift in (-reach, reach))
        cut_off = np.searchsorted(frozen, before) < np.searchsorted(frozen, after, "right")
        derived[rows] = np.where(cut_off, known[rows], 0)
        for rule, excludes, warns in NEIGHBOUR_RULES:
            found = rule(start[rows], value[rows], limits)
            derived[rows] |= np.where(found, np.where(trusted, warns, excludes), 0)
    changed = np.flatnonzero((derived != known) & np.array(judged))
    made = np.zeros(len(changed), FLAGGED)
    made["series"], made["start"], made["flags"] = series[changed], start[changed], derived[changed]
    return np.unique(made)


def _is_reference(sensor_id: str) -> bool:
    source = SOURCES.get(source_of_sensor(sensor_id))
    return source is not None and source.source_class is SourceClass.REFERENCE


_NEIGHBOUR_FLAGS = int(DERIVED & ~DEATHS)
