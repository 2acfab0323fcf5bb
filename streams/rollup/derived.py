"""
Flags that follow from other readings: spikes and stuck values from the readings around, dead counters from their hours.

`streams.rollup.rollup` calls `flag_neighbours` before it writes hours, `flag_dead` after, in its transaction. The rules
themselves are pure (`streams.commit.quality`); readings come and go as columns, never as Python objects.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aggregates.store.store import Transaction
from ingest.vocabulary.quantities import QUANTITIES, Quantity
from ingest.vocabulary.readings import DEATHS, DERIVED, Status, utc
from streams.alerts.frames import ChangedWindows
from streams.commit.quality import NEIGHBOUR_RULES, dead, limits_of
from streams.commit.recompute import change_staged
from streams.commit.windows import DAY_US

HOUR = timedelta(hours=1)
MOST_SERIES, MOST_HOURS = 400, 50_000  # of series, whose readings are in memory: of 5 minutes 0.6 million

# The readings whose derived flags change, and all their derived flags, as they are copied into the table `stage`.
FLAGGED = np.dtype([("series", "i4"), ("start", "i8"), ("flags", "i4")])
# Readings as `list_neighbour_readings` packs them.
NEIGHBOUR = np.dtype([("series", "i4"), ("start", "i8"), ("value", "f8"), ("flags", "i4"), ("status", "i2"),
                      ("judged", "?")])  # fmt: skip
_NEIGHBOUR_FLAGS = int(DERIVED & ~DEATHS)


class Ruled(NamedTuple):
    """A series with neighbour rules: its number, the limits of these rules, and whether they only warn."""

    series: int
    limits: Quantity
    trusted: bool


def flag_neighbours(tx: Transaction, count: int, first: datetime, last: datetime) -> ChangedWindows:
    """Flag spikes and stuck values around the `count` dirty hours; give the 5-minute windows that changed."""
    found = tx.rows("list_ruled_series")
    reach = 2 * max((reach for *_, reach in found), default=timedelta(0))  # neighbours have neighbours
    ruled = [Ruled(one, limits_of(quantity, overrides), trusted) for one, quantity, overrides, trusted, _ in found]
    ((_, frozen),) = tx.rows("read_versions")
    changed = [np.zeros(0, FLAGGED)]
    span: dict[str, Any] = {"first": first - reach, "last": last + HOUR + reach}
    step = max(1, min(MOST_SERIES, MOST_HOURS * len(ruled) // count))
    for at in range(0, len(ruled), step):
        some = ruled[at : at + step]
        readings = tx.numbers("list_neighbour_readings", NEIGHBOUR, members=[one.series for one in some], **span)
        changed.append(reflagged(readings, some, np.array(frozen, np.int64)))
    return _set_flags(tx, np.concatenate(changed))


def reflagged(readings: NDArray[Any], ruled: Sequence[Ruled], frozen: NDArray[np.int64]) -> NDArray[Any]:
    """
    Give a row of `FLAGGED` for every judged reading whose derived flags are not what the rules say, in order.

    `readings` (`NEIGHBOUR`) are of these series, in any order. A reading whose neighbours reach into a `frozen` day
    (sorted, days since 1970) keeps the flags it has: some of them were dropped.
    """
    readings = readings.take(np.lexsort((readings["start"], readings["series"])))
    number = np.searchsorted([one.series for one in ruled], readings["series"])
    alike: dict[Quantity, int] = {}
    kind = np.array([alike.setdefault(one.limits, len(alike)) for one in ruled], np.int64)[number]
    order = np.argsort(kind, kind="stable")
    trusted = np.array([one.trusted for one in ruled], bool)[number] | (readings["status"] == Status.VALIDATED)
    known = readings["flags"] & _NEIGHBOUR_FLAGS
    derived = np.zeros_like(known)
    for rows in np.split(order, np.flatnonzero(np.diff(kind[order])) + 1) if len(order) else ():
        limits, start, value = list(alike)[kind[rows[0]]], readings["start"][rows], readings["value"][rows]
        reach = int(limits.memory * 1_000_000)
        before, after = ((start + shift) // DAY_US for shift in (-reach, reach))
        cut_off = np.searchsorted(frozen, before) < np.searchsorted(frozen, after, "right")
        derived[rows] = np.where(cut_off, known[rows], 0)
        for rule, excludes, warns in NEIGHBOUR_RULES:
            found = rule(_apart(number[rows], start, 2 * reach), value, limits)
            derived[rows] |= np.where(found, np.where(trusted[rows], warns, excludes), 0)
    changed = np.flatnonzero((derived != known) & readings["judged"])
    made = np.zeros(len(changed), FLAGGED)
    made["series"], made["start"] = readings["series"][changed], readings["start"][changed]
    made["flags"] = derived[changed] | readings["flags"][changed] & DEATHS
    return np.unique(made)


def _apart(number: NDArray[np.int64], start: NDArray[np.int64], gap: int) -> NDArray[np.int64]:
    """
    Shift the stamps of several series so that each begins more than a gap after the one before: no neighbours.

    >>> _apart(np.array([4, 4, 5, 7]), np.array([100, 130, 90, 100]), 5)
    array([ 10,  40,  46, 148])
    """
    begin, end = int(start.min()), int(start.max())
    apart: NDArray[np.int64] = start - begin + (number - number[0]) * (end - begin + gap + 1)
    return apart


def flag_dead(tx: Transaction, span: Mapping[str, datetime]) -> ChangedWindows:
    """Flag the zeros of counters that are dead by their hours; give the 5-minute windows that changed."""
    rows = np.zeros(0, FLAGGED)
    if wrong := list(_wrong_hours(tx, span)):
        series, hours, is_dead = map(list, zip(*wrong, strict=True))
        within = {"first": min(hours), "last": max(hours) + HOUR}
        tx.rows("clear_staged")
        rows = tx.numbers("list_dead_readings", FLAGGED, series=series, hours=hours, dead=is_dead, **within)
    return _set_flags(tx, rows)


def _wrong_hours(tx: Transaction, span: Mapping[str, datetime]) -> Iterator[tuple[int, datetime, bool]]:
    """Give the hours whose flags are wrong about their being dead: series, start, are they."""
    counts = [name for name, quantity in QUANTITIES.items() if quantity.dead is not None]
    hours = tx.records("list_count_hours", quantities=counts, **span)
    flagged = _flagged_dead(tx, [(one.series, one.start) for one in hours if one.flagged])
    observed = [one for one in hours if one.counts or (one.series, one.start) in flagged]
    for (series, quantity), rows in groupby(observed, attrgetter("series", "quantity")):
        some = list(rows)
        start, zero, unmarked = (
            np.array([getattr(one, name) for one in some]) for name in ("start", "zero", "unmarked")
        )
        known = np.array([(series, one.start) in flagged for one in some])
        marks = dead(start, zero, known, limits_of(quantity, some[0].overrides), some[0].since)
        for at in np.flatnonzero((marks & unmarked) | (~marks & known)):
            yield series, utc(start[at]), bool(marks[at])


def _flagged_dead(tx: Transaction, hours: list[tuple[int, int]]) -> set[tuple[int, int]]:
    """Give those of some hours, by series and start (us), that have the flags of dead readings."""
    if not hours:
        return set()
    series, start = map(list, zip(*hours, strict=True))
    within = {"first": utc(min(start)), "last": utc(max(start)) + HOUR}
    return set(tx.rows("list_dead_hours", series=series, start=start, **within))


def _set_flags(tx: Transaction, rows: NDArray[Any]) -> ChangedWindows:
    """
    Write derived flags (`FLAGGED`); hours whose readings got other flags become dirty too.

    Gives the 5-minute windows that changed.
    """
    found: list[tuple[Any, ...]] = []
    if len(rows):
        tx.copy("stage", rows)
        change_staged(tx, "set_derived_flags", utc(rows["start"].min()), utc(rows["start"].max()))
        tx.rows("add_changed_hours")
        found = tx.rows("list_touched_windows")
    return ChangedWindows([sensor for sensor, _ in found], np.array([start for _, start in found], np.int64))
