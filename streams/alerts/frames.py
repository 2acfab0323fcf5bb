"""
Windows of sensors and areas read from the store as frames, for `streams.alerts.comparison`.

`streams.alerts.judge` says which windows; every function works inside the transaction that changed them.
`streams.alerts.unusual` reads hours here, too.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from aggregates.store.binary import unpacked
from aggregates.store.store import Transaction
from ingest.vocabulary.calendar import Days
from ingest.vocabulary.readings import utc
from streams.alerts.comparison import COLUMNS, Bound, comparison_hours, usual
from streams.alerts.rulebook import LENGTHS, MARKED, Rule

VIEWS = {"sensor": {"5m": "sensor_5m", "1h": "sensor_1h", "1d": "sensor_1d"},
         "area": {"1h": "area_hour", "1d": "area_day"}}  # fmt: skip
BLOCK = 24  # windows: changed ones this near to each other are read together
_SELECTED = {name: "f8" for name in COLUMNS if name != "level"} | {
    "start": "i8", "end": "i8", "valid": "?", "quantity": "O", "subject": "O",
}  # fmt: skip
_HOUR = np.dtype([("start", "i8"), ("value", "f8"), ("coverage", "f8"), ("valid", "f8"), ("nothing", "f8")])
_SENSOR = ["sensor_id", "name", "lon", "lat", "hours", "bytes"]
_EVERYWHERE = dict.fromkeys(("source", "sensors", "west", "south", "east", "north", "area", "vintage"))


class Span(NamedTuple):
    """Windows of some subjects (None: all) that start in `[first, last)` us."""

    first: int
    last: int
    subjects: Sequence[str] | None = None


Edges = tuple[int, int]  # us


class ChangedWindows(NamedTuple):
    """Windows whose readings changed: sensor and start (us) of each."""

    sensors: Sequence[str]
    starts: NDArray[np.int64]

    def spans(self, level: str) -> list[Span]:
        """Give what to read, in order of time: the sensors of each `BLOCK`; blocks of the same sensors are one span."""
        size = BLOCK * LENGTHS[level] * 1_000_000
        blocks: dict[int, set[str]] = {}
        for sensor, block in zip(self.sensors, (self.starts // size).tolist(), strict=True):
            blocks.setdefault(block, set()).add(sensor)
        begin, end = int(self.starts.min()), int(self.starts.max()) + 1
        found: list[Span] = []
        for block in sorted(blocks):
            span = Span(max(begin, block * size), min(end, (block + 1) * size), sorted(blocks[block]))
            if found and (found[-1].last, found[-1].subjects) == (span.first, span.subjects):
                span = span._replace(first=found.pop().first)
            found.append(span)
        return found


def named(spans: Sequence[Span]) -> list[str] | None:
    """Give the subjects of spans, None where these are of all subjects."""
    return None if spans[0].subjects is None else sorted({one for span in spans for one in span.subjects or ()})


def edges(spans: Iterable[Span], subjects: set[str], length: int) -> dict[str, Edges]:
    """Give the start of the first and the end of the last window, of `length` s, of those subjects that spans have."""
    found: dict[str, Edges] = {}
    for span in spans:
        for one in subjects if span.subjects is None else subjects & set(span.subjects):
            found[one] = found.get(one, (span.first, 0))[0], span.last + length * 1_000_000
    return dict(sorted(found.items()))


def load_windows(tx: Transaction, rules: list[Rule], spans: list[Span], bounds: list[Bound] | None) -> "pd.DataFrame":
    """
    Read the windows that rules of one level, all about sensors or all about areas, look at.

    With `bounds` only those within one, and those with flags. One question for all spans, where there are several of
    named subjects; of areas it may find more. The frame has the columns of `streams.alerts.comparison.COLUMNS`.
    """
    level, per = rules[0].level, rules[0].per
    first, last = min(span.first for span in spans), max(span.last for span in spans)
    if per == "area" and len(spans) > 1:
        spans = [Span(first, last, named(spans))]
    if bounds is None:
        bounds = [Bound(quantity, first) for rule in rules for quantity in sorted(rule.needs)]
    quantity, whole, above, below = zip(*bounds, strict=True)
    asked: dict[str, Any] = {
        "quantities": list(quantity), "whole": list(map(utc, whole)), "above": list(above), "below": list(below),
        "first": utc(first), "last": utc(last), "subjects": spans[0].subjects,
    }  # fmt: skip
    statement = "list_judged_windows" if per == "sensor" else "list_judged_area_windows"
    if len(spans) > 1:
        statement = "list_judged_windows_of_spans"
        parts = [{"first": utc(span.first), "last": utc(span.last), "subjects": span.subjects} for span in spans]
        asked["spans"] = msgspec.json.encode(parts).decode()
    found = pd.DataFrame(tx.rows(statement, VIEWS[per][level], **asked), columns=list(_SELECTED))
    return found.astype(_SELECTED).assign(level=level)[COLUMNS]


def completed(tx: Transaction, rule: Rule, windows: "pd.DataFrame") -> "pd.DataFrame":
    """
    Add what only this rule looks at: the number of readings with its flags, or as `value` the share of its classes.

    Both are of hours. A share is known of those with at least `least` vehicles, the others are left out.
    """
    if rule.share_of:
        enough = windows[windows["value"].to_numpy(np.float64) >= (rule.least or 1)]
        return enough.assign(value=_looked_up(tx, "read_class_shares", enough, classes=rule.share_of))
    if (flags := MARKED.get(rule.statistic)) is not None:
        suspect = windows[windows["flagged"] + windows["warned"] > 0]
        counts = _looked_up(tx, "count_flagged_readings", suspect, flags=int(flags)).reindex(windows.index)
        return windows.assign(**{rule.statistic: counts.fillna(0.0)})
    return windows


def _looked_up(tx: Transaction, statement: str, windows: "pd.DataFrame", **asked: object) -> "pd.Series[float]":
    """Give of each window the number that a statement gives by sensor, quantity and start (us), else NaN."""
    if not len(windows):
        return pd.Series(dtype=float)
    span = {"first": utc(windows["start"].min()), "last": utc(windows["end"].max())}
    keys = {name: windows[name].tolist() for name in ("subject", "quantity", "start")}
    found = tx.rows(statement, sensors=windows["subject"].unique().tolist(), **keys, **span, **asked)
    known = {tuple(key): number for *key, number in found}
    return pd.Series([known.get(key, np.nan) for key in zip(*keys.values(), strict=True)], windows.index, float)


def load_hours(
    tx: Transaction, quantity: str, starts: NDArray[np.int64], **scope: Any
) -> "tuple[pd.DataFrame, pd.DataFrame]":
    """
    Read the hours of a quantity that start at some stamps (us), and the sensors that measure it, by sensor_id.

    Hours have subject, start (us), value, coverage, valid and nothing, sensors sensor_id, name, lon and lat. `scope`
    narrows them by the keys of the statement `in_scope`.
    """
    asked = {**_EVERYWHERE, "ever": False, **scope, "starts": [utc(one) for one in starts.tolist()]}
    sensors = pd.DataFrame(tx.rows("list_hours_to_compare", "sensor_1h", quantity=quantity, **asked), columns=_SENSOR)
    counts = sensors["hours"].to_numpy(np.int64)
    hours = pd.DataFrame(unpacked(b"".join(filter(None, sensors["bytes"])), _HOUR, int(counts.sum())))
    hours = hours.assign(subject=np.repeat(sensors["sensor_id"].to_numpy(), counts), valid=hours["valid"] > 0)
    return sensors[_SENSOR[:4]], hours


def load_usual(tx: Transaction, rule: Rule, windows: "pd.DataFrame", days: Days) -> "pd.DataFrame | None":
    """Read the earlier hours that these hours are compared with, and give what is usual for them, if the rule asks."""
    if rule.baseline is None:
        return None
    starts = comparison_hours(windows["start"].to_numpy(np.int64), days)
    _, past = load_hours(tx, rule.quantity, starts, sensors=windows["subject"].unique().tolist())
    return usual(windows, past, days, rule.quantity, rule.baseline)


def subjects_of_rule(tx: Transaction, rule: Rule, subjects: Collection[str]) -> set[str]:
    """Give those of some subjects that the rule is about, by name, source, kind, area and whether it is indoors."""
    found = {one for one in subjects if rule.applies_to(one)}
    outdoors = rule.statistic == "value" and not rule.indoor
    if not found or rule.per == "area" or not (rule.kinds or rule.areas or outdoors):
        return found
    members = tx.rows("list_sensor_areas", sensors=sorted(found))
    return {
        sensor
        for sensor, kind, indoor, areas in members
        if (not rule.kinds or kind in rule.kinds)
        and (not rule.areas or set(areas) & set(rule.areas))
        and not (indoor and outdoors)
    }
