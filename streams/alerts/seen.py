"""
What a rule sees of windows: pure, no clock, no store.

    windows ──▶ of_rule (those it looks at) ──▶ see (what it compares) ──▶ `streams.alerts.episodes` folds what a
    subject had
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ingest.vocabulary.air_index import INDICES, index_of
from streams.alerts.baseline import Usual
from streams.alerts.episodes import Episode, Window, fold
from streams.alerts.rulebook import EVIDENCE, Rule
from streams.commit.windows import HOUR_US

# A frame of windows: `start` and `end` in microseconds since 1970, NaN is null.
COLUMNS = ["quantity", "level", "subject", "start", "end", "value", "coverage", "valid", "revision", "readings",
           "flagged", "failed", "warned", "stuck"]  # fmt: skip
_YEARS = 1 << 32  # more hours than any stamp has
Floats = NDArray[np.float64]
UsualOf = Callable[[Rule, pd.DataFrame], Usual]


@dataclass(frozen=True, slots=True)
class Seen:
    """The windows of a frame as a rule sees them, as columns in the frame's order."""

    frame: pd.DataFrame
    value: Floats
    compared: Floats
    threshold: Floats
    sure: NDArray[np.bool_]
    usual: Floats

    def windows(self, places: NDArray[np.int64]) -> Iterator[Window]:
        """Give windows of one subject, in order of their start."""
        start, end, coverage, revision = (
            self.frame[name].to_numpy() for name in ("start", "end", "coverage", "revision")
        )
        for at in places[np.argsort(start[places], kind="stable")]:
            yield Window(
                int(start[at]), int(end[at]), float(self.value[at]), float(self.compared[at]),
                float(self.threshold[at]), float(coverage[at]), bool(self.sure[at]), int(revision[at]),
                float(self.usual[at]),
            )  # fmt: skip

    def of(self, subjects: Collection[str]) -> "Seen":
        """Give the windows of some subjects."""
        mine = self.frame["subject"].isin(list(subjects)).to_numpy()
        value, compared, threshold, usual = self.value, self.compared, self.threshold, self.usual
        return Seen(self.frame[mine], value[mine], compared[mine], threshold[mine], self.sure[mine], usual[mine])

    def by_subject(self) -> Iterator[tuple[str, list[Window]]]:
        """Give the windows of each subject."""
        codes, names = pd.factorize(self.frame["subject"].to_numpy())
        order = np.argsort(codes, kind="stable")
        edges = np.searchsorted(codes[order], np.arange(len(names) + 1))
        for at, name in enumerate(names):
            yield str(name), list(self.windows(order[edges[at] : edges[at + 1]]))

    def raising(self, rule: Rule) -> NDArray[np.bool_]:
        """Tell which windows lie beyond the threshold that raises."""
        return self.sure & rule.beyond(self.compared, rule.raise_at)


def see(rule: Rule, windows: pd.DataFrame, usual_of: UsualOf | None = None, *, effective: bool = True) -> Seen:
    """
    Compare what a rule compares, of the windows of its quantity and level.

    A value is sure where its window is valid and covered as the rule demands; evidence speaks for itself. `effective`
    lets the rule judge only between its dates.
    """
    count = len(windows)
    none = np.full(count, np.nan)
    threshold, usual = np.full(count, rule.raise_at), none
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
    return Seen(windows, value, compared, threshold, sure, usual)


def may_raise(rule: Rule, windows: pd.DataFrame) -> bool:
    """Tell whether any of these windows may lie beyond a rule's threshold: quickly, for most rules most of the time."""
    if rule.statistic in EVIDENCE or rule.baseline or rule.share_of:
        return len(windows) > 0
    values = windows["value"].to_numpy()[windows["valid"].to_numpy()]
    extreme = (np.nanmax if rule.direction == "above" else np.nanmin)(values) if len(values) else np.nan
    return bool(rule.beyond(np.array([extreme]), rule.raise_at)[0])


def _evidence(rule: Rule, windows: pd.DataFrame) -> tuple[Floats, NDArray[np.bool_]]:
    if rule.statistic == "coverage":
        coverage = windows["coverage"].to_numpy(np.float64).copy()
        return coverage, ~np.isnan(coverage)
    readings, flagged, failed = (windows[name].to_numpy(np.float64) for name in ("readings", "flagged", "failed"))
    whole = readings + flagged + failed
    share = windows[rule.statistic].to_numpy(np.float64) / np.maximum(whole, 1)
    return share, whole >= (rule.least or 1)


def in_force(rule: Rule, start: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell which windows lie in the days, of UTC+1 and by their middle, from and until which a rule is in force."""
    middle = (start + end) // 2 + HOUR_US
    inside = np.ones(len(start), bool)
    if rule.first:
        inside &= middle >= _us(rule.first)
    if rule.last:
        inside &= middle < _us(rule.last)
    return inside


def _us(day: date) -> int:
    return (day - date(1970, 1, 1)).days * 24 * HOUR_US


def of_rule(rule: Rule, windows: pd.DataFrame) -> pd.DataFrame:
    """Give the windows of a rule's quantity and level; those of an index are made of its substances."""
    if rule.quantity in INDICES:
        return index_windows(rule.quantity, windows)
    wanted = windows["level"].to_numpy() == rule.level
    if rule.quantity != "any":
        wanted &= windows["quantity"].to_numpy() == rule.quantity
    chosen: pd.DataFrame = windows[wanted]
    return chosen


def index_windows(name: str, windows: pd.DataFrame) -> pd.DataFrame:
    """Make the hourly windows of an index; it is valid where one substance is, and says the least of the coverages."""
    substances = INDICES[name].bounds
    parts = windows[(windows["level"] == "1h") & windows["valid"] & windows["quantity"].isin(list(substances))]
    subject, names = pd.factorize(parts["subject"].to_numpy())
    start, end = parts["start"].to_numpy(np.int64), parts["end"].to_numpy(np.int64)
    keys, place = np.unique(subject.astype(np.int64) * _YEARS + start // HOUR_US, return_inverse=True)
    count = len(keys)
    values = {one: np.full(count, np.nan) for one in substances}
    for one in substances:
        mine = parts["quantity"].to_numpy() == one
        values[one][place[mine]] = parts["value"].to_numpy(np.float64)[mine]
    coverage, revision, ends = np.full(count, np.inf), np.zeros(count, np.int64), np.zeros(count, np.int64)
    np.minimum.at(coverage, place, parts["coverage"].to_numpy(np.float64))
    np.maximum.at(revision, place, parts["revision"].to_numpy(np.int64))
    ends[place] = end
    made = {
        "subject": np.array(names, np.object_)[keys // _YEARS], "start": keys % _YEARS * HOUR_US, "end": ends,
        "value": index_of(name, values), "coverage": coverage, "revision": revision,
    }  # fmt: skip
    evidence = dict.fromkeys(("readings", "flagged", "failed", "warned", "stuck"), 0)
    frame: pd.DataFrame = pd.DataFrame(made).assign(quantity=name, level="1h", valid=True, **evidence)[COLUMNS]
    return frame


def episodes(rule: Rule, seen: Seen, now: int | None = None) -> Iterator[Episode]:
    """Give the episodes of every subject of a rule that has any."""
    raised = {str(one) for one in seen.frame["subject"].to_numpy()[seen.raising(rule)]}
    chosen = seen.of({one for one in raised if rule.wants(one)})
    for subject, windows in chosen.by_subject():
        yield from fold(rule, subject, windows, now=now)
