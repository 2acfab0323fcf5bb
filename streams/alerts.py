"""
What the rules say of windows: pure, no clock, no store.

    windows ──▶ see (what a rule compares) ──▶ fold (one subject's windows, in order) ──▶ episodes, transitions

An *episode* is the time from the first window that caused an alert to the one that cleared it. It depends on the
windows alone, not on the order in which they became known; `streams.judging` keeps the store's alerts equal to them.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ingest.airindex import INDICES, index_of
from streams.baseline import Usual
from streams.rulebook import EVIDENCE, Rule

# A frame of windows: `start` and `end` in microseconds since 1970, NaN is null.
COLUMNS = ["quantity", "level", "subject", "start", "end", "value", "coverage", "valid", "revision", "readings",
           "flagged", "failed", "warned", "stuck"]  # fmt: skip
HOUR_US = 3_600_000_000
_YEARS = 1 << 32  # more hours than any stamp has
Floats = NDArray[np.float64]
UsualOf = Callable[[Rule, pd.DataFrame], Usual]


@dataclass(frozen=True, slots=True)
class Window:
    """One window as a rule sees it: `compared` is held against the thresholds, `sure` where it can be judged."""

    start: int
    end: int
    value: float
    compared: float
    threshold: float
    coverage: float
    sure: bool
    revision: int
    usual: float


@dataclass(frozen=True, slots=True)
class Transition:
    """What became of an alert, when (`about`: the end of the window that decided it), and by which windows."""

    rule: str
    subject: str
    kind: str
    about: int
    value: float
    threshold: float
    coverage: float
    windows: tuple[Window, ...]
    usual: float = np.nan


@dataclass(slots=True)
class Episode:
    """An alert's life in windows. The fields up to `told` are enough to go on from where one stood."""

    rule: Rule
    subject: str
    since: int
    judged: int  # end of the last window looked at
    sure: int  # end of the last window that could be judged
    value: float
    worst: float
    threshold: float
    coverage: float
    told: float  # what the last update compared
    calm: int = 0  # windows in a row that would clear
    unsure: bool = False
    until: int | None = None
    transitions: list[Transition] = field(default_factory=list)

    @property
    def state(self) -> str:
        """How the alert stands."""
        if self.until is not None:
            return "cleared"
        return "cannot_judge" if self.unsure else "raised"

    def age(self, now: int) -> None:
        """Say that it cannot be judged any more, and after longer clear it, where no window could be since `sure`."""
        times = self.rule.times
        if self.until is None and not self.unsure and now - self.sure >= times["patience"]:
            self.unsure = True
            self._say("cannot_judge", self.sure + times["patience"])
        if self.until is None and now - self.sure >= times["forget"]:
            self.until = self.sure + times["forget"]
            self._say("cleared", self.until)

    def take(self, window: Window) -> None:
        """Go on by one window; `age` has been called before."""
        self.judged = max(self.judged, window.end)
        self.coverage = window.coverage
        if not window.sure:
            return
        self.sure, self.value, self.threshold = window.end, window.value, window.threshold
        more = max if self.rule.direction == "above" else min
        self.worst = more(self.worst, window.value)
        beyond = bool(self.rule.beyond(np.array([window.compared]), self.rule.clear)[0])
        self.calm = 0 if beyond else self.calm + 1
        if self.calm >= self.rule.clear_windows:
            self.until = window.end
            self._say("cleared", window.end, window)
        elif self.unsure or _worse(self.rule, window.compared, self.told):
            self.told = more(self.told, window.compared)
            self._say("updated", window.end, window)
        self.unsure = False

    def _say(self, kind: str, about: int, *windows: Window) -> None:
        usual = windows[-1].usual if windows else np.nan
        self.transitions.append(
            Transition(
                self.rule.name, self.subject, kind, about, self.value, self.threshold, self.coverage, windows, usual
            )
        )


def _begun(rule: Rule, subject: str, run: Sequence[Window]) -> Episode:
    last = run[-1]
    worst = (max if rule.direction == "above" else min)(window.value for window in run)
    one = Episode(
        rule, subject, run[0].start, last.end, last.end, last.value, worst, last.threshold, last.coverage, last.compared
    )
    one._say("raised", last.end, *run)
    return one


def fold(
    rule: Rule, subject: str, windows: Iterable[Window], opened: Episode | None = None, now: int | None = None
) -> list[Episode]:
    """
    Give the episodes of one rule and subject, from windows in order of their start; `opened` is one to go on with.

    A run of windows that raises has no gap; a window that cannot be judged ends a run, and neither clears nor keeps an
    open alert. `now` (us) ages the one that is open at the end.
    """
    episodes = [opened] if opened else []
    run: list[Window] = []
    for window in windows:
        if opened:
            opened.age(window.start)
        if opened and opened.until is None:
            opened.take(window)
            run = []
            continue
        run = _run(rule, run, window)
        if len(run) >= rule.windows:
            opened = _begun(rule, subject, run)
            episodes.append(opened)
    if opened and now is not None:
        opened.age(now)
    return episodes


def _run(rule: Rule, run: list[Window], window: Window) -> list[Window]:
    if not window.sure or not rule.beyond(np.array([window.compared]), rule.raise_at)[0]:
        return []
    adjacent = bool(run) and run[-1].end == window.start
    return [*run, window] if adjacent else [window]


def _worse(rule: Rule, compared: float, told: float) -> bool:
    if rule.worse is None or told <= 0:
        return False
    return compared >= told * rule.worse if rule.direction == "above" else compared <= told / rule.worse


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


def message(rule: Rule, what: Mapping[str, float | None], text: str) -> str:
    """Fill the numbers of a transition into a rule's text, with three digits where it has no more before its point."""
    return text.format(unit=rule.unit, windows=rule.windows, **{key: shown(value) for key, value in what.items()})


def shown(value: float | None) -> str:
    """
    Write a number for a message.

    >>> shown(718.67), shown(0.4567), shown(None)
    ('719', '0.457', '-')
    """
    if value is None or np.isnan(value):
        return "-"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
