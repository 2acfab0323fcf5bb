"""
The quality rules: each marks readings with a flag; none deletes a reading. Pure.

`streams.commit.pipeline` calls `received_rows` before its transaction, with what `streams.commit.series` knows: the
rules that need only the readings of one batch, in which those of one sensor and start always are. `NEIGHBOUR_RULES`
need the readings before and after, `dead` the hours of weeks: functions of what is stored, called by
`streams.rollup.derived`. A new rule is one function here.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from msgspec.structs import replace
from numpy.typing import NDArray

from ingest.vocabulary.batch import Coded, coded, numbers
from ingest.vocabulary.quantities import QUANTITIES, SPIKE_MEMORY, Quantity
from ingest.vocabulary.readings import EXCLUDES, OWN_FLAGS, RUNNING_TOTAL, Flag
from streams.commit.windows import HOUR_US, RECEIVED, first_of

Column = NDArray[Any]
WEEK = 168  # h
PROFILE = 6  # weeks
_SUMS = {name for name, one in QUANTITIES.items() if one.aggregation == "sum"}


def limits_of(quantity: str, overrides: Mapping[str, Any] | None = None) -> Quantity:
    """
    Give a quantity with the registry's parameters where a sensor has none of its own.

    >>> limits_of("no2", {"high": 400}).high
    400
    """
    return replace(QUANTITIES[quantity], **overrides or {})


def received_rows(readings: pa.RecordBatch, lines: Column) -> Column:
    """Give readings as rows of `RECEIVED`, with flags; `lines` are what is known of their series (`SeriesCache.of`)."""
    rows = np.empty(len(readings), RECEIVED)
    for name in ("start", "value", "weight", "covers", "version", "received_at", "status"):
        rows[name] = numbers(readings, name)
    for name in ("series", "source", "high", "agree"):
        rows[name] = lines[name]
    received = (rows["version"] == 0) & (numbers(readings, "flags") & RUNNING_TOTAL == 0)
    rows["version"] += received * lines["repeated"] * rows["received_at"]
    period = numbers(readings, "period")
    instant = np.isnan(rows["covers"]) & (period == 0)
    rows["covers"][instant] = lines["interval"][instant]
    rows["flags"] = numbers(readings, "flags") & ~int(OWN_FLAGS)
    rows["flags"] |= (early := unfinished(rows["start"], period, rows["received_at"]))
    ran = np.maximum(0, rows["received_at"] - rows["start"]) / 1e6
    rows["covers"] = np.where(early, np.fmin(rows["covers"], ran), rows["covers"])
    rows["value"] = clipped(rows["value"], lines["low"], lines["high"], lines["tolerance"])
    rows["flags"] |= out_of_range(rows["value"], lines["low"], lines["high"])
    rows["flags"] |= impossible(rows["value"], rows["weight"], rows["covers"])
    channel = coded(readings, "channel")
    if any("/" in word and not word.endswith("/any") for word in channel.words):
        sensor, quantity = coded(readings, "sensor_id"), coded(readings, "quantity")
        rows["flags"] |= inconsistent(sensor, quantity, channel, rows["start"], rows["value"], rows["flags"])
    rows["flags"][rows["flags"] & RUNNING_TOTAL != 0] &= ~int(Flag.OUT_OF_RANGE | Flag.INCONSISTENT)
    return rows


def out_of_range(value: Column, low: Column, high: Column) -> Column:
    """Mark values outside the plausible range; a value that is null is not."""
    with np.errstate(invalid="ignore"):
        return np.where((value < low) | (value > high), Flag.OUT_OF_RANGE, 0)


def clipped(value: Column, low: Column, high: Column, tolerance: Column) -> Column:
    """Give values with those at most `tolerance` outside the plausible range at its end: 100 % humidity for 100.4 %."""
    end = np.clip(value, low, high)
    return np.where(np.abs(value - end) <= tolerance, end, value)


def impossible(value: Column, weight: Column, covers: Column) -> Column:
    """
    Mark numbers outside what is measurable and can be summed: PostgreSQL raises on overflow and underflow.

    A value may be zero or at least 1e-30, a weight and a `covers` zero or from 1e-9 to 1e9.
    """
    with np.errstate(invalid="ignore"):
        odd = (value != 0) & (np.abs(value) < 1e-30)
        for column in (weight, covers):
            odd |= (column != 0) & ((column < 1e-9) | (column > 1e9))
    return np.where(odd, Flag.OUT_OF_RANGE, 0)


def unfinished(start: Column, period: Column, received_at: Column) -> Column:
    """
    Mark readings that were received before their period had ended; stamps are us, periods s.

    A tenth of the period, at most 10 minutes, may still be to come, for a count that covers 90 % is valid, and clocks
    differ: of periods up to 10 minutes nothing is said.
    """
    to_come = (start - received_at) / 1e6 + period
    return np.where((period > 600) & (to_come > np.minimum(period / 10, 600)), Flag.UNFINISHED, 0)


def inconsistent(sensor: Coded, quantity: Coded, channel: Coded, start: Column, value: Column, flags: Column) -> Column:
    """
    Mark a lane's any-class total that differs from the sum of its classes by more than half a vehicle.

    Where a class failed there is nothing to compare. Only quantities that add up have such totals. Two messages about
    one sensor and start are compared separately, so that the result does not depend on how they were batched.
    """
    marks = np.zeros(len(value), dtype=np.int32)
    rows = np.flatnonzero(quantity.each(_SUMS.__contains__, bool) & channel.each(lambda word: "/" in word, bool))
    lanes: dict[str, int] = {}
    lane = channel.each(lambda word: lanes.setdefault(word.partition("/")[0], len(lanes)), int)
    columns = (sensor.codes[rows], quantity.codes[rows], start[rows], lane[rows])
    repeat = _repeats(*columns, channel.codes[rows])
    order, first = _groups(*columns, repeat)
    rows = rows[order]
    at, group = np.flatnonzero(first), np.cumsum(first) - 1
    is_any = channel.each(lambda word: word.endswith("/any"), bool)[rows]
    known = ~np.isnan(value[rows]) & (flags[rows] & int(EXCLUDES) == 0)
    amount = np.where(known, value[rows], 0)
    whole, parts = (np.add.reduceat(np.where(mask, amount, 0), at) for mask in (is_any, ~is_any))
    comparable = np.logical_and.reduceat(known, at) & (np.add.reduceat((~is_any).astype(int), at) > 0)
    odd = comparable & (np.abs(whole - parts) > 0.5)
    marks[rows[odd[group] & is_any]] = Flag.INCONSISTENT
    return marks


def _repeats(*keys: Column) -> Column:
    """Number the rows of each key in the order of their arrival: 0, 1, ..."""
    order, first = _groups(*keys)
    repeats = np.empty(len(order), dtype=np.int64)
    repeats[order] = np.arange(len(order)) - np.flatnonzero(first)[np.cumsum(first) - 1]
    return repeats


def _groups(*keys: Column) -> tuple[Column, Column]:
    """Give a stable order that puts equal keys together, and a mask of where in it each group begins."""
    order = np.lexsort(keys[::-1])
    return order, first_of(*(key[order] for key in keys))


def spike(start: Column, value: Column, limits: Quantity) -> Column:
    """
    Mark values further than `limits.spike` from the median of the two readings on either side.

    `start` (us) and `value` are the readings with a value of one series in order. Fewer than four neighbours within
    `SPIKE_MEMORY` on either side: no mark.
    """
    marks = np.zeros(len(value), dtype=bool)
    if limits.spike is None or len(value) < 5:
        return marks
    around = np.stack([value[:-4], value[1:-3], value[3:-1], value[4:]])
    near = np.maximum(start[2:-2] - start[:-4], start[4:] - start[2:-2]) <= SPIKE_MEMORY * 1_000_000
    marks[2:-2] = near & (np.abs(value[2:-2] - np.median(around, axis=0)) > limits.spike)
    return marks


def stuck(start: Column, value: Column, limits: Quantity) -> Column:
    """
    Mark values that stayed exactly the same for more than `limits.stuck` seconds, but those at most `limits.flat`.

    `start` (us) and `value` are the readings with a value of one series in order. Every reading of such a run is
    marked; a gap of more than a quarter of that time ends a run, because values may have changed in it. docs/quality.md
    shows why a value near the detection limit is not stuck.
    """
    if limits.stuck is None or not len(value):
        return np.zeros(len(value), dtype=bool)
    longest = limits.stuck * 1_000_000
    first = np.concatenate(([True], (value[1:] != value[:-1]) | (np.diff(start) > longest // 4)))
    at, group = np.flatnonzero(first), np.cumsum(first) - 1
    lasted = np.maximum.reduceat(start, at) - start[at]
    marks: Column = (lasted > longest)[group] & (np.abs(value) > limits.flat)
    return marks


def dead(start: Column, zero: Column, known: Column, limits: Quantity, since: int = 0) -> Column:
    """
    Mark hours of zeros in a row that have together a probability below `limits.dead` by the series' own profile.

    `start` (us) are the observed hours of one series in order, `zero` those that counted nothing, `known` those that
    are marked already. The profile is the share of zeros in each hour of the week of the `PROFILE` weeks before the run
    (of n hours with z zeros, (z + 0.5) / (n + 1)), so that a bicycle path which is empty at night may be; dead hours
    are not in it, and an hour of the week with fewer than three says nothing. Where none says anything, what was dead
    stays it; and so does what a run is that begins before `since` (us), of whose past not all may be here.
    """
    marks = np.zeros(len(start), dtype=bool)
    if limits.dead is None:
        return marks
    hour = start // HOUR_US
    edges = np.flatnonzero(np.diff(zero.astype(int), prepend=0, append=0))
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        if start[first] < since:
            marks[first:last] = known[first:last]
            continue
        past = np.arange(np.searchsorted(hour, hour[first] - PROFILE * WEEK), first)
        past = past[~(known[past] | marks[past])]
        of_week, run = hour[past] % WEEK, hour[first:last] % WEEK
        hours, zeros = (np.bincount(some, minlength=WEEK)[run] for some in (of_week, of_week[zero[past]]))
        says = hours >= 3
        improbable = np.log((zeros + 0.5) / (hours + 1))[says].sum() < np.log(limits.dead)
        marks[first:last] = improbable or (not says.any() and known[first:last].any())
    return marks


# With the flag that excludes, and the one that only warns on reference sources and validated readings.
NEIGHBOUR_RULES = ((spike, Flag.SPIKE, Flag.SUSPECT_SPIKE), (stuck, Flag.STUCK, Flag.SUSPECT_STUCK))
