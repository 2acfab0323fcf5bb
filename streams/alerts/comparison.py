"""
The windows of a rule, with what is compared with its thresholds: pure, no clock, no store.

`of_rule` chooses the windows of its quantity and level, `compare` compares them, `streams.alerts.episodes` folds those
of each subject. What is `usual` for an hour is the median of earlier hours of its kind (`ingest.vocabulary.calendar`),
so that King's Day raises no alert. Median and MAD are robust, so that one odd week does not move them (Rousseeuw &
Croux, Journal of the American Statistical Association 88, 1993).
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import date
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ingest.vocabulary.air_index import INDICES, index_of
from ingest.vocabulary.calendar import Days
from ingest.vocabulary.quantities import QUANTITIES
from streams.alerts.episodes import FOREVER, Window
from streams.alerts.rulebook import EVIDENCE, Baseline, Rule
from streams.commit.windows import DAY_US, HOUR_US

# A frame of windows: `start` and `end` in microseconds since 1970, NaN is null.
COLUMNS = ["quantity", "level", "subject", "start", "end", "value", "coverage", "valid", "revision", "readings",
           "flagged", "failed", "warned"]  # fmt: skip
LEAST = 4  # earlier hours of a kind, else nothing is usual
NORMAL = 1.4826  # MAD of a normal distribution to its standard deviation
_EPOCH = date(1970, 1, 1).toordinal()


def compare(rule: Rule, windows: "pd.DataFrame", known: "pd.DataFrame | None" = None) -> "pd.DataFrame":
    """
    Add the columns of a `Window` that are not there yet to the windows of a rule's quantity and level.

    A value is sure where its window is valid and covered as the rule demands, on a day on which the rule is in force;
    `value` becomes the share where the rule is about evidence, which needs no valid window. `known` is
    what `usual` gives of these windows, for a rule with a baseline.
    """
    threshold, median = np.full(len(windows), rule.raise_at), np.full(len(windows), np.nan)
    if rule.statistic in EVIDENCE:
        value, sure = _evidence(rule, windows)
    else:
        value = windows["value"].to_numpy(np.float64)
        sure = windows["valid"].to_numpy(bool) & ~np.isnan(value)
    compared = value
    if rule.coverage is not None:
        sure &= np.nan_to_num(windows["coverage"].to_numpy(np.float64)) >= rule.coverage
    if known is not None:
        median, spread = (known[name].to_numpy(np.float64) for name in ("median", "spread"))
        compared, threshold = (value - median) / spread, median + rule.raise_at * spread
        sure &= ~np.isnan(compared) & ~(median < (rule.least or -np.inf))
    sure &= in_force(rule, *(windows[edge].to_numpy(np.int64) for edge in ("start", "end")))
    raises, holds = rule.beyond(compared, rule.raise_at), rule.beyond(compared, rule.clear)
    return windows.assign(
        value=value, compared=compared, threshold=threshold, sure=sure, raises=raises, holds=holds, usual=median
    )


def by_subject(compared: "pd.DataFrame", subjects: Collection[str] | None = None) -> dict[str, list[Window]]:
    """Give the windows of each subject (None: all), in order of their start."""
    chosen = compared if subjects is None else compared[compared["subject"].isin(list(subjects))]
    ordered = chosen.sort_values("start", kind="stable")
    found: dict[str, list[Window]] = {}
    for subject, *window in zip(*(ordered[name].tolist() for name in ("subject", *Window._fields)), strict=True):
        found.setdefault(subject, []).append(Window(*window))
    return found


def beyond(compared: "pd.DataFrame") -> set[str]:
    """Give the subjects with a window beyond the threshold that raises."""
    return set(compared["subject"][compared["sure"] & compared["raises"]])


class Bound(NamedTuple):
    """Windows of a quantity that may raise: those from `whole` on (us), and values from `above` on or to `below`."""

    quantity: str
    whole: int = FOREVER
    above: float = np.inf
    below: float = -np.inf


def bounds_of(rules: Sequence[Rule], last: int, now: int) -> list[Bound]:
    """Give the bounds, one for each quantity, beyond which windows that start before `last` may raise at `now` (us)."""
    found: dict[str, Bound] = {}
    for rule in rules:
        for one in _bounds(rule, now) if rule.since(now) < last else ():
            known = found.get(one.quantity, one)
            figures = min(one.whole, known.whole), min(one.above, known.above), max(one.below, known.below)
            found[one.quantity] = Bound(one.quantity, *figures)
    return list(found.values())


def _bounds(rule: Rule, now: int) -> Iterator[Bound]:
    """Give the bounds of one rule; what has flags is within all of them, so that rules about flags need no more."""
    slack = 0.0 if rule.precision is None else 10.0**-rule.precision
    above, index = rule.direction == "above", INDICES.get(rule.quantity)
    if rule.share_of:
        yield Bound(rule.quantity, above=rule.least or 1)
    elif index and above and (band := int(rule.raise_at - slack) - index.plus_one) > 1:
        # Not the worst substance alone: where all have the same band the index may be one higher.
        yield from (Bound(one, above=edges[min(band - 2, len(edges) - 1)]) for one, edges in index.bounds.items())
    elif rule.statistic == "value" and not (rule.baseline or index):
        edge = Bound(rule.quantity, above=rule.raise_at - slack)
        yield edge if above else Bound(rule.quantity, below=rule.raise_at + slack)
    else:
        by_flags = rule.statistic in EVIDENCE and rule.statistic != "coverage" and above and rule.raise_at > 0
        yield from (Bound(one, FOREVER if by_flags else rule.since(now)) for one in rule.needs)


def _evidence(rule: Rule, windows: "pd.DataFrame") -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
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
    day = ((start + end) // 2 + HOUR_US) // DAY_US + _EPOCH
    inside: NDArray[np.bool_] = day >= (rule.first or date.min).toordinal()
    return inside & (day < (rule.last or date.max).toordinal())


def of_rule(rule: Rule, windows: "pd.DataFrame") -> "pd.DataFrame":
    """Give the windows of a rule's quantity and level; those of an index are computed from its substances."""
    if rule.quantity in INDICES:
        return index_windows(rule.quantity, windows)
    wanted = windows["level"].to_numpy() == rule.level
    if rule.quantity != "any":
        wanted &= windows["quantity"].to_numpy() == rule.quantity
    chosen: pd.DataFrame = windows[wanted]
    return chosen


def index_windows(name: str, windows: "pd.DataFrame") -> "pd.DataFrame":
    """Compute the hourly windows of an index from valid hours of its substances, with the least of their coverages."""
    substances = list(INDICES[name].bounds)
    parts = windows[(windows["level"] == "1h") & windows["valid"] & windows["quantity"].isin(substances)]
    hours = parts.groupby(["subject", "start"], as_index=False, sort=True)
    made = hours.agg(end=("end", "first"), coverage=("coverage", "min"), revision=("revision", "max"))
    values = parts.pivot(index=["subject", "start"], columns="quantity", values="value").reindex(columns=substances)
    index = index_of(name, {one: values[one].to_numpy(np.float64) for one in substances})
    evidence = dict.fromkeys(("readings", "flagged", "failed", "warned"), 0)
    return made.assign(value=index, quantity=name, level="1h", valid=True, **evidence)[COLUMNS]


def comparison_hours(starts: NDArray[np.int64], days: Days) -> NDArray[np.int64]:
    """Give the starts (us) of the earlier hours that hours are compared with."""
    found = {one for start in np.unique(starts) for one in days.comparable_hours(int(start))}
    return np.array(sorted(found), dtype=np.int64)


def usual(windows: "pd.DataFrame", past: "pd.DataFrame", days: Days, quantity: str, asked: Baseline) -> "pd.DataFrame":
    """
    Give what is usual for `windows` (subject, start), from `past` (subject, start, value, valid) of a quantity.

    Columns, in the order of the windows: median and spread, NaN where there are too few earlier hours, and hours, their
    number. An hour is compared with the last valid hours of its kind: the same hour of the week, a public holiday as a
    Sunday, school holidays apart. Hours of a planned event are never used, and nothing is usual for them.
    """
    event, was_event = (
        days.in_event(frame["subject"].to_numpy(), frame["start"].to_numpy(np.int64)) for frame in (windows, past)
    )
    by_start = dict(iter(past[past["valid"] & ~was_event].groupby("start")))
    found = pd.DataFrame({"median": np.nan, "spread": np.nan, "hours": 0.0}, windows.index)
    for start, some in windows.groupby("start")["subject"]:
        same = [by_start[at] for at in days.comparable_hours(start) if at in by_start]
        if same:
            figures = _usual_of(pd.concat(same), quantity, asked).reindex(some)
            found.loc[some.index] = figures.fillna({"hours": 0}).to_numpy()
    found.loc[event, ["median", "spread"]] = np.nan
    return found


def _usual_of(same: "pd.DataFrame", quantity: str, asked: Baseline) -> "pd.DataFrame":
    """Give median, spread and number of hours by subject; NaN where there are too few."""
    values = same.groupby("subject")["value"]
    median, hours = values.median(), values.count()
    distance = (same["value"] - same["subject"].map(median)).abs()
    spread = NORMAL * distance.groupby(same["subject"]).median()
    floor = QUANTITIES[quantity].least_spread if asked.floor is None else asked.floor
    share = QUANTITIES[quantity].least_share if asked.share is None else asked.share
    least = (share * median.abs()).clip(lower=floor)
    figures = pd.DataFrame({"median": median, "spread": spread.where(spread > least, least)})
    return figures.where(hours >= LEAST).assign(hours=hours.astype(float))
