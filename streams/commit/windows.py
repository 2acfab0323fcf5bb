"""
Readings to 5-minute windows with numpy, and nothing else: no clock, no store.

`streams.commit.pipeline` folds the new readings of a batch; the statement `fold_readings` does the same in SQL, and
`streams.rollup.reconcile` proves that they agree.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ingest.vocabulary.readings import EXCLUDES, Flag, utc

WINDOW_US = 300_000_000
HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US

# Stamps are microseconds since 1970, NaN is null. Field names are the columns of the tables `reading` and `window_5m`.
READING = np.dtype([
    ("series", "i4"), ("start", "i8"), ("value", "f8"), ("weight", "f8"), ("covers", "f8"), ("version", "i8"),
    ("received_at", "i8"), ("flags", "i4"), ("status", "i2"),
])  # fmt: skip
# As they are received: also whose they are, the greatest plausible value, and of which multiple two must be to agree.
RECEIVED = np.dtype([*READING.descr, ("source", "i2"), ("high", "f8"), ("agree", "f8")])
WINDOW = np.dtype([
    ("series", "i4"), ("start", "i8"), ("readings", "i4"), ("nothing", "i4"), ("flagged", "i4"), ("failed", "i4"),
    ("warned", "i4"), ("total", "f8"), ("weight", "f8"), ("weighted", "f8"), ("squares", "f8"), ("harmonic", "f8"),
    ("minimum", "f8"), ("maximum", "f8"), ("covered", "f8"), ("status", "i2"),
])  # fmt: skip

_NO_WINDOW = np.iinfo(np.int64).max

Rows = NDArray[Any]


def ordered(readings: Rows) -> Rows:
    """
    Sort by (series, start) and, of several readings with one key, by which is greater.

    Greater is (status, reach, version, value, weight, flags, covers), null lowest. Reach is how much of its period an
    unfinished reading is about; that of a finished one is greater, also where the first received counts.
    """
    series, start = readings["series"], readings["start"]
    if ((series[1:] > series[:-1]) | ((series[1:] == series[:-1]) & (start[1:] > start[:-1]))).all():
        return readings
    readings = readings[np.lexsort((start, series))]
    if first_of(readings["series"], readings["start"]).all():
        return readings
    value = np.nan_to_num(readings["value"], nan=-np.inf)
    covers = np.nan_to_num(readings["covers"], nan=-1)
    figures = readings["flags"], readings["weight"], value, readings["version"], _reach(readings)
    return readings[np.lexsort((covers, *figures, readings["status"], readings["start"], readings["series"]))]


def distinct(readings: Rows) -> Rows:
    """
    Keep the greatest reading of each (series, start) of `ordered` readings.

    Where two values of the greatest status, reach and version differ, nothing says which is right: the greater is kept
    and marked `AMBIGUOUS`; where they do not agree also `CONFLICT`.
    """
    last = np.roll(first_of(readings["series"], readings["start"]), -1)
    if last.all():
        return readings
    group = np.concatenate(([0], np.cumsum(last)[:-1]))
    kept = readings[last].copy()
    winner = kept[group]
    peers = (readings["status"] == winner["status"]) & (readings["version"] == winner["version"])
    peers &= _reach(readings) == _reach(winner)
    peers &= ~np.isnan(readings["value"]) & ~np.isnan(winner["value"])
    differ = (readings["value"] != winner["value"]) | (readings["weight"] != winner["weight"])
    # Multiples, not a distance: where all agree with one they agree with each other, in whatever order they came.
    multiples = (np.rint(some["value"] / some["agree"]) for some in (readings, winner))
    kept["flags"][np.unique(group[peers & differ])] |= Flag.AMBIGUOUS
    kept["flags"][np.unique(group[peers & np.not_equal(*multiples)])] |= Flag.CONFLICT
    return kept


def fold(readings: Rows) -> Rows:
    """
    Fold readings, sorted by (series, start) and distinct, into their 5-minute windows, in the same order.

    A reading counts whole in the window that contains its start.
    """
    if not len(readings):
        return np.empty(0, WINDOW)
    bucket = readings["start"] - readings["start"] % WINDOW_US
    first = first_of(readings["series"], bucket)
    at = np.flatnonzero(first)
    windows = np.empty(len(at), WINDOW)
    windows["series"], windows["start"] = readings["series"][at], bucket[at]
    for name, column in _evidence(readings).items():
        windows[name] = np.add.reduceat(column, at)
    value = np.where(readings["flags"] & EXCLUDES != 0, np.nan, readings["value"])
    windows["minimum"], windows["maximum"] = np.fmin.reduceat(value, at), np.fmax.reduceat(value, at)
    windows["status"] = np.minimum.reduceat(readings["status"], at)
    return windows


def without_zeros(windows: Rows) -> Rows:
    """Leave out the counts that are zero in every window; zero is the default of their columns in `touched`."""
    rare = ("nothing", "flagged", "failed", "warned")
    return windows[[name for name in WINDOW.names or () if name not in rare or windows[name].any()]]


def dirty_hours(series: Rows, start: Rows) -> dict[str, list[Any]]:
    """
    Give the hours of sorted windows and the series of each as PostgreSQL arrays: the parameters of `insert_marks`.

    >>> dirty_hours(np.array([7, 7, 8]), np.array([0, WINDOW_US, 0]))["members"]
    ['{7,8}']
    """
    hour = start // HOUR_US
    kept = first_of(series, hour)
    order = np.argsort(hour[kept], kind="stable")
    hour, member = hour[kept][order], series[kept][order]
    first = np.flatnonzero(first_of(hour))
    return {
        "hour": [utc(at * HOUR_US) for at in hour[first]],
        "members": ["{" + ",".join(map(str, some.tolist())) + "}" for some in np.split(member, first[1:])],
    }


def first_of(*keys: Rows) -> Rows:
    """Mark the rows whose keys differ from those of the row before."""
    changed = np.ones(len(keys[0]), dtype=bool)
    changed[1:] = np.logical_or.reduce([key[1:] != key[:-1] for key in keys])
    return changed


class LatestWindows:
    """
    The latest window of each series so far: a later one is probably not in the store yet.

    A guess that saves a lookup; the primary key of the table decides.
    """

    def __init__(self) -> None:
        self._latest = np.empty(0, dtype=np.int64)  # by series

    def advance(self, windows: Rows) -> NDArray[np.bool_]:
        """
        Tell which windows (sorted) are later than the latest of their series, and remember the new latest.

        Of a new series, those after its first window here.
        """
        series, start = windows["series"], windows["start"]
        if (more := series.max(initial=0) + 1 - len(self._latest)) > 0:
            self._latest = np.append(self._latest, np.full(more + len(self._latest), _NO_WINDOW))
        first = np.flatnonzero(first_of(series))
        new = first[self._latest[series[first]] == _NO_WINDOW]
        self._latest[series[new]] = start[new]
        beyond: NDArray[np.bool_] = start > self._latest[series]
        self._latest[series] = np.maximum(self._latest[series], start)
        return beyond


def _evidence(readings: Rows) -> dict[str, Rows]:
    """What adds up, a column each; an unknown `covers` makes the window's `covered` unknown."""
    excluded = readings["flags"] & EXCLUDES != 0
    empty = np.isnan(readings["value"])
    counted = ~excluded & ~empty
    value = np.where(counted, readings["value"], 0)
    weight = np.where(counted, readings["weight"], 0)
    return {
        "readings": counted.astype("i4"), "nothing": (empty & ~excluded).astype("i4"),
        "flagged": (excluded & ~empty).astype("i4"), "failed": (excluded & empty).astype("i4"),
        "warned": (~excluded & (readings["flags"] != 0)).astype("i4"), "total": value, "weight": weight,
        "weighted": weight * value, "squares": value * value, "harmonic": weight / np.maximum(value, 1),
        "covered": np.where(excluded, 0, readings["covers"]),
    }  # fmt: skip


def _reach(readings: Rows) -> Rows:
    return np.where(readings["flags"] & Flag.UNFINISHED != 0, readings["covers"], np.inf)
