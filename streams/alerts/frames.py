"""
Windows of sensors and areas read from the store as a frame, for `streams.alerts.comparison`.

`streams.alerts.judge` says which windows; every function works inside the transaction that changed them.
"""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from aggregates.store.store import Transaction
from ingest.vocabulary.readings import utc
from streams.alerts.comparison import COLUMNS
from streams.alerts.rulebook import MARKED, Rule

VIEWS = {"sensor": {"5m": "sensor_5m", "1h": "sensor_1h", "1d": "sensor_1d"},
         "area": {"1h": "area_hour", "1d": "area_day"}}  # fmt: skip
MOST_SPARSE = 4  # a rectangle of sensors and starts that is emptier than this is read window by window
MOST_EXACT = 200  # windows that are read one by one
_TYPES = {"value": "f8", "coverage": "f8", "valid": "?"}  # the others are objects
_SELECTED = [name for name in COLUMNS if name != "level"]


class Span(NamedTuple):
    """Windows of some subjects (None: all) that start in `[first, last)` us; `exact` is sensor and start of each."""

    first: int
    last: int
    subjects: Sequence[str] | None = None
    exact: tuple[Sequence[str], NDArray[np.int64]] | None = None


class ChangedWindows(NamedTuple):
    """Windows whose readings changed: sensor and start (us) of each."""

    sensors: Sequence[str]
    starts: NDArray[np.int64]

    def span(self) -> Span:
        """Give what to read: a rectangle of sensors and starts where the windows nearly fill one, else each window."""
        sensors, starts = sorted(set(self.sensors)), np.unique(self.starts)
        gaps = np.diff(starts)
        dense = not len(gaps) or gaps.max() <= 10 * np.median(gaps)
        rectangle = Span(int(starts[0]), int(starts[-1]) + 1, sensors)
        if dense and len(sensors) * len(starts) <= MOST_SPARSE * len(self.starts):
            return rectangle
        pairs = sorted(set(zip(self.sensors, self.starts.tolist(), strict=True)))
        return rectangle._replace(exact=([one for one, _ in pairs], np.array([start for _, start in pairs])))


def quantities_of(rules: Sequence[Rule]) -> list[str]:
    """Give the quantities that rules need."""
    return sorted(frozenset[str]().union(*(rule.needs for rule in rules)))


def load_windows(tx: Transaction, rules: Sequence[Rule], span: Span) -> pd.DataFrame:
    """
    Read the windows that rules of one level, all about sensors or all about areas, look at.

    The frame has the columns of `streams.alerts.comparison.COLUMNS`.
    """
    level, per = rules[0].level, rules[0].per
    asked: dict[str, Any] = {"quantities": quantities_of(rules), "first": utc(span.first), "last": utc(span.last)}
    if span.exact is not None:
        sensors, starts = np.array(span.exact[0], np.object_), span.exact[1]
        if len(starts) > MOST_EXACT:  # all of one start together
            parts = [(int(start), sorted(set(sensors[starts == start]))) for start in np.unique(starts)]
            spans = [Span(start, start + 1, some) for start, some in parts]
            return pd.concat([load_windows(tx, rules, one) for one in spans], ignore_index=True)
        asked |= {"sensors": sensors.tolist(), "starts": [utc(start) for start in starts.tolist()]}
        rows = tx.rows("list_judged_windows_at", VIEWS[per][level], **asked)
    else:
        asked["subjects"] = None if span.subjects is None else list(span.subjects)
        view = VIEWS[per][level]
        rows = tx.rows("list_judged_windows" if per == "sensor" else "list_judged_area_windows", view, **asked)
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(_SELECTED)
    made: dict[str, NDArray[Any]] = {
        name: np.array(column, _TYPES.get(name, "O")) for name, column in zip(_SELECTED, columns, strict=True)
    }
    return pd.DataFrame(made).assign(level=level)[COLUMNS]


def completed(tx: Transaction, rule: Rule, windows: pd.DataFrame) -> pd.DataFrame:
    """
    Add what only this rule looks at: the number of readings with its flags, or as `value` the share of its classes.

    Both are of hours: of other windows the number is 0. A share is known of those with at least `least` vehicles, the
    others are left out.
    """
    if rule.share_of:
        enough = windows[windows["value"].to_numpy(np.float64) >= (rule.least or 1)]
        return enough.assign(value=_looked_up("read_class_shares", tx, enough, np.nan, classes=rule.share_of))
    if (flags := MARKED.get(rule.statistic)) is not None:
        suspect = windows[(windows["flagged"] + windows["warned"] > 0) & (windows["level"] == "1h")]
        counts = pd.Series(_looked_up("count_flagged_readings", tx, suspect, 0.0, flags=int(flags)), suspect.index)
        return windows.assign(**{rule.statistic: counts.reindex(windows.index, fill_value=0.0)})
    return windows


def _looked_up(
    statement: str, tx: Transaction, windows: pd.DataFrame, otherwise: float, **parameters: object
) -> NDArray[np.float64]:
    """Run a statement that gives sensor, quantity, start (us) and a number, and give the number of each window."""
    if not len(windows):
        return np.array([], np.float64)
    first, last = int(windows["start"].min()), int(windows["end"].max())
    sensors = windows["subject"].unique().tolist()
    found = tx.rows(statement, sensors=sensors, first=utc(first), last=utc(last), **parameters)
    known = {tuple(key): number for *key, number in found}
    keys = zip(windows["subject"], windows["quantity"], windows["start"], strict=True)
    return np.array([known.get(key, otherwise) for key in keys], np.float64)


def subjects_of_rule(tx: Transaction, rule: Rule, subjects: Collection[str]) -> set[str]:
    """Give those of some subjects that the rule is about, by name, source, kind, area and whether it is indoors."""
    found = {one for one in subjects if rule.applies_to(one)}
    outdoors = rule.statistic == "value" and not rule.indoor
    if not found or rule.per == "area" or not (rule.kinds or rule.areas or outdoors):
        return found
    members = tx.rows("list_sensor_areas", sensors=sorted(found))
    return {
        sensor for sensor, kind, indoor, areas in members
        if (not rule.kinds or kind in rule.kinds) and (not rule.areas or set(areas) & set(rule.areas))
        and not (indoor and outdoors)
    }  # fmt: skip
