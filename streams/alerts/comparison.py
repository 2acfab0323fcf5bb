"""
The windows of a rule, with what is compared with its thresholds: pure, no clock, no store.

    windows ──▶ of_rule (those of its quantity and level) ──▶ compare ──▶ `streams.alerts.episodes` folds the windows
    of each subject
"""

from collections.abc import Callable, Collection
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ingest.vocabulary.air_index import INDICES, index_of
from streams.alerts.calendar import Usual
from streams.alerts.episodes import Window
from streams.alerts.rulebook import EVIDENCE, Rule
from streams.commit.windows import DAY_US, HOUR_US

# A frame of windows: `start` and `end` in microseconds since 1970, NaN is null.
COLUMNS = ["quantity", "level", "subject", "start", "end", "value", "coverage", "valid", "revision", "readings",
           "flagged", "failed", "warned"]  # fmt: skip
_WINDOW = list(Window._fields)
Floats = NDArray[np.float64]
UsualOf = Callable[[Rule, pd.DataFrame], Usual]


def compare(
    rule: Rule, windows: pd.DataFrame, usual_of: UsualOf | None = None, *, effective: bool = True
) -> pd.DataFrame:
    """
    Add the columns of a `Window` that are not there yet to the windows of a rule's quantity and level.

    A value is sure where its window is valid and covered as the rule demands; `value` becomes the share where the rule
    is about evidence, which needs no valid window. `effective` limits the rule to the days it is in force.
    """
    none = np.full(len(windows), np.nan)
    threshold, usual = np.full(len(windows), rule.raise_at), none
    if rule.statistic in EVIDENCE:
        value, sure = _evidence(rule, windows)
    else:
        value = windows["value"].to_numpy(np.float64)
        sure = windows["valid"].to_numpy(bool) & ~np.isnan(value)
    compared = value
    if rule.coverage is not None:
        sure &= np.nan_to_num(windows["coverage"].to_numpy(np.float64)) >= rule.coverage
    if rule.baseline is not None:
        known = usual_of(rule, windows) if usual_of else Usual(none, none)
        compared, usual = (value - known.median) / known.spread, known.median
        threshold = known.median + rule.raise_at * known.spread
        sure &= ~np.isnan(compared) & ~(known.median < (rule.least or -np.inf))
    if effective:
        sure &= in_force(rule, *(windows[edge].to_numpy(np.int64) for edge in ("start", "end")))
    raises, holds = rule.beyond(compared, rule.raise_at), rule.beyond(compared, rule.clear)
    return windows.assign(
        value=value, compared=compared, threshold=threshold, sure=sure, raises=raises, holds=holds, usual=usual
    )


def by_subject(compared: pd.DataFrame, subjects: Collection[str] | None = None) -> dict[str, list[Window]]:
    """Give the windows of each subject (None: all), in order of their start."""
    chosen = compared if subjects is None else compared[compared["subject"].isin(list(subjects))]
    ordered = chosen.sort_values("start", kind="stable")
    found: dict[str, list[Window]] = {}
    for subject, *window in zip(*(ordered[name].tolist() for name in ("subject", *_WINDOW)), strict=True):
        found.setdefault(subject, []).append(Window(*window))
    return found


def beyond(compared: pd.DataFrame) -> set[str]:
    """Give the subjects with a window beyond the threshold that raises."""
    return set(compared["subject"][compared["sure"] & compared["raises"]])


def may_raise(rule: Rule, windows: pd.DataFrame) -> bool:
    """Tell whether any of these windows may be beyond a rule's threshold: quickly, for most rules most of the time."""
    if rule.statistic in EVIDENCE or rule.baseline or rule.share_of:
        return len(windows) > 0
    values = windows["value"].to_numpy()[windows["valid"].to_numpy()]
    extreme = (np.nanmax if rule.direction == "above" else np.nanmin)(values) if len(values) else np.nan
    return bool(rule.beyond(np.array([extreme]), rule.raise_at)[0])


def _evidence(rule: Rule, windows: pd.DataFrame) -> tuple[Floats, NDArray[np.bool_]]:
    """Give the share that a rule about evidence judges, and where there is enough of it."""
    if rule.statistic == "coverage":
        coverage = windows["coverage"].to_numpy(np.float64).copy()
        return coverage, ~np.isnan(coverage)
    readings, flagged, failed = (windows[name].to_numpy(np.float64) for name in ("readings", "flagged", "failed"))
    whole = readings + flagged + failed
    share = windows[rule.statistic].to_numpy(np.float64) / np.maximum(whole, 1)
    return share, whole >= (rule.least or 1)


def in_force(rule: Rule, start: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell which windows lie in the days (of UTC+1, by the middle of the window) on which a rule is in force."""
    middle = (start + end) // 2 + HOUR_US
    inside = np.ones(len(start), bool)
    if rule.first:
        inside &= middle >= _us(rule.first)
    if rule.last:
        inside &= middle < _us(rule.last)
    return inside


def _us(day: date) -> int:
    return (day - date(1970, 1, 1)).days * DAY_US


def of_rule(rule: Rule, windows: pd.DataFrame) -> pd.DataFrame:
    """Give the windows of a rule's quantity and level; those of an index are computed from its substances."""
    if rule.quantity in INDICES:
        return index_windows(rule.quantity, windows)
    wanted = windows["level"].to_numpy() == rule.level
    if rule.quantity != "any":
        wanted &= windows["quantity"].to_numpy() == rule.quantity
    chosen: pd.DataFrame = windows[wanted]
    return chosen


def index_windows(name: str, windows: pd.DataFrame) -> pd.DataFrame:
    """Compute the hourly windows of an index from valid hours of its substances, with the least of their coverages."""
    substances = list(INDICES[name].bounds)
    parts = windows[(windows["level"] == "1h") & windows["valid"] & windows["quantity"].isin(substances)]
    hours = parts.groupby(["subject", "start"], as_index=False, sort=True)
    made = hours.agg(end=("end", "first"), coverage=("coverage", "min"), revision=("revision", "max"))
    values = parts.pivot(index=["subject", "start"], columns="quantity", values="value").reindex(columns=substances)
    index = index_of(name, {one: values[one].to_numpy(np.float64) for one in substances})
    evidence = dict.fromkeys(("readings", "flagged", "failed", "warned"), 0)
    frame: pd.DataFrame = made.assign(value=index, quantity=name, level="1h", valid=True, **evidence)[COLUMNS]
    return frame
