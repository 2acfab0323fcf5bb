"""
Windows of sensors and areas read from the store as a frame, for `streams.alerts.comparison`.

`streams.alerts.judge` says which windows; every function works inside the transaction that changed them.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from aggregates.store.store import Transaction
from ingest.vocabulary.readings import utc
from streams.alerts.comparison import COLUMNS
from streams.alerts.rulebook import Rule

VIEWS = {"5m": "sensor_5m", "1h": "sensor_1h", "1d": "sensor_1d"}
AREA_VIEWS = {"1h": "area_hour", "1d": "area_day"}
MOST_SPARSE = 4  # a rectangle of sensors and starts that is emptier than this is read window by window
MOST_EXACT = 200  # windows that are read one by one
_TYPES = {"value": "f8", "coverage": "f8", "valid": "?"}  # the others are objects
_SELECTED = ["quantity", "subject", "start", "end", "value", "coverage", "valid", "revision", "readings", "flagged",
             "failed", "warned"]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Span:
    """Windows of some subjects (None: all) that start in `[first, last)` us; `exact` is sensor and start of each."""

    first: int
    last: int
    subjects: Sequence[str] | None = None
    exact: tuple[Sequence[str], NDArray[np.int64]] | None = None


@dataclass(frozen=True, slots=True)
class ChangedWindows:
    """Windows whose readings changed: sensor and start (us) of each."""

    sensors: Sequence[str]
    starts: NDArray[np.int64]

    def span(self) -> Span:
        """Give what to read: a rectangle of sensors and starts where the windows nearly fill one, else each window."""
        sensors, starts = sorted(set(self.sensors)), np.unique(self.starts)
        first, last = int(starts[0]), int(starts[-1]) + 1
        if len(sensors) * len(starts) <= MOST_SPARSE * len(self.starts) and _dense(starts):
            return Span(first, last, sensors)
        pairs = sorted({(one, int(start)) for one, start in zip(self.sensors, self.starts, strict=True)})
        return Span(first, last, sensors, ([one for one, _ in pairs], np.array([start for _, start in pairs])))


def _dense(starts: NDArray[np.int64]) -> bool:
    """Tell whether the stamps lie close: no gap is longer than ten times the usual one."""
    gaps = np.diff(starts)
    return not len(gaps) or bool(gaps.max() <= 10 * np.median(gaps))


def load_windows(
    tx: Transaction, level: str, quantities: Collection[str], span: Span, per: str = "sensor"
) -> pd.DataFrame:
    """Read windows as a frame with the columns of `streams.alerts.comparison.COLUMNS`; `stuck` is 0."""
    asked: dict[str, Any] = {"quantities": sorted(quantities)}
    within: dict[str, Any] = {**asked, "first": utc(span.first), "last": utc(span.last)}
    subjects = None if span.subjects is None else list(span.subjects)
    if span.exact is not None:
        sensors, starts = span.exact
        if len(starts) > MOST_EXACT:
            return _load_by_start(tx, level, quantities, np.array(sensors, np.object_), starts)
        stamps = [utc(int(start)) for start in starts]
        rows = tx.rows("list_judged_windows_at", VIEWS[level], **asked, sensors=list(sensors), starts=stamps)
    elif per == "sensor":
        rows = tx.rows("list_judged_windows", VIEWS[level], **within, sensors=subjects)
    else:
        rows = tx.rows("list_judged_area_windows", AREA_VIEWS[level], **within, areas=subjects)
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(_SELECTED)
    made: dict[str, NDArray[Any]] = {
        name: np.array(column, _TYPES.get(name, "O")) for name, column in zip(_SELECTED, columns, strict=True)
    }
    return pd.DataFrame(made).assign(level=level, stuck=0)[COLUMNS]


def _load_by_start(
    tx: Transaction, level: str, quantities: Collection[str], sensors: NDArray[np.object_], starts: NDArray[np.int64]
) -> pd.DataFrame:
    """Read many windows that lie far apart, all of one start together."""
    parts = [
        load_windows(tx, level, quantities, Span(int(start), int(start) + 1, sorted(set(sensors[starts == start]))))
        for start in np.unique(starts)
    ]
    return pd.concat(parts, ignore_index=True)


def count_stuck(tx: Transaction, windows: pd.DataFrame) -> pd.DataFrame:
    """Fill in `stuck`, the number of stuck readings, of the hours that have any flagged reading."""
    suspect = windows[(windows["flagged"] + windows["warned"] > 0) & (windows["level"] == "1h")]
    if not len(suspect):
        return windows
    first, last = int(suspect["start"].min()), int(suspect["end"].max())
    sensors = suspect["subject"].unique().tolist()
    found = tx.rows("count_stuck_readings", sensors=sensors, first=utc(first), last=utc(last))
    counts = {(sensor, quantity, start): count for sensor, quantity, start, count in found}
    keys = zip(windows["subject"], windows["quantity"], windows["start"], strict=True)
    return windows.assign(stuck=[counts.get(key, 0) for key in keys])


def with_share(tx: Transaction, rule: Rule, windows: pd.DataFrame) -> pd.DataFrame:
    """Replace the counts by the share of the rule's classes, of hours with at least `least` vehicles."""
    enough = windows[windows["value"].to_numpy(np.float64) >= (rule.least or 1)]
    if not len(enough):
        return enough
    first, last = int(enough["start"].min()), int(enough["end"].max())
    found = tx.rows("read_class_shares", sensors=enough["subject"].unique().tolist(), first=utc(first), last=utc(last),
                    classes=rule.share_of)  # fmt: skip
    shares = {(sensor, start): share for sensor, start, share in found}
    keys = zip(enough["subject"], enough["start"], strict=True)
    return enough.assign(value=np.array([shares.get(key) for key in keys], np.float64))


def subjects_of_rule(tx: Transaction, rule: Rule, subjects: Collection[str]) -> set[str]:
    """Give those of some subjects that the rule is about, by name, source, kind and area."""
    found = {one for one in subjects if rule.applies_to(one)}
    if not found or rule.per == "area" or not (rule.kinds or rule.areas):
        return found
    members = tx.rows("list_sensor_areas", sensors=sorted(found))
    return {
        sensor for sensor, kind, areas in members
        if (not rule.kinds or kind in rule.kinds) and (not rule.areas or set(areas) & set(rule.areas))
    }  # fmt: skip
