"""
The usual value of an hour: the median of earlier hours of its kind, and their spread. Pure.

`streams.alerts.calendar` says which hours are of one kind; `streams.alerts.comparison` compares with the result. Median
and MAD are robust, so that one odd week does not move them (Rousseeuw & Croux, Journal of the American Statistical
Association 88, 1993).
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from streams.alerts.calendar import Days
from streams.alerts.rulebook import Baseline

NORMAL = 1.4826  # MAD of a normal distribution to its standard deviation


class Usual(NamedTuple):
    """The usual value of each window and its spread; NaN where there are too few earlier hours."""

    median: NDArray[np.float64]
    spread: NDArray[np.float64]


def comparison_hours(starts: NDArray[np.int64], days: Days, asked: Baseline) -> NDArray[np.int64]:
    """Give the starts (us) of the earlier hours that hours are compared with."""
    found = {one for start in np.unique(starts) for one in days.comparable_hours(int(start), asked.weeks, asked.reach)}
    return np.array(sorted(found), dtype=np.int64)


def usual(windows: pd.DataFrame, history: pd.DataFrame, days: Days, asked: Baseline) -> Usual:
    """
    Give what is usual for each of `windows` (subject, start), from valid `history` (subject, start, value).

    An hour is compared with the last hours of its kind: the same hour of the week, a public holiday as a Sunday, school
    holidays apart. Hours of a planned event are never used, and nothing is usual for them.
    """
    subject, start = windows["subject"].to_numpy(), windows["start"].to_numpy(np.int64)
    past = history[~days.in_event(history["subject"].to_numpy(), history["start"].to_numpy(np.int64))]
    by_start = dict(iter(past.groupby("start")))
    median, spread = (np.full(len(windows), np.nan) for _ in range(2))
    for one in np.unique(start):
        same = [by_start[at] for at in days.comparable_hours(int(one), asked.weeks, asked.reach) if at in by_start]
        if same:
            here = np.flatnonzero(start == one)
            known = _usual_of(pd.concat(same), asked).reindex(subject[here])
            median[here], spread[here] = known["median"], known["spread"]
    event = days.in_event(subject, start)
    return Usual(np.where(event, np.nan, median), np.where(event, np.nan, spread))


def _usual_of(same: pd.DataFrame, asked: Baseline) -> pd.DataFrame:
    """Give median and spread by subject; NaN where there are too few hours."""
    values = same.groupby("subject")["value"]
    median = values.median()
    distance = (same["value"] - same["subject"].map(median)).abs()
    spread = NORMAL * distance.groupby(same["subject"]).median()
    least = (asked.share * median.abs()).clip(lower=asked.floor)
    return pd.DataFrame({"median": median, "spread": spread.where(spread > least, least)}).where(
        values.count() >= asked.samples
    )
