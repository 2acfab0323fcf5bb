"""
What windows make of an alert: pure, no clock, no store.

An *episode* is the time from the first window that caused an alert to the one that cleared it. It depends on the
windows alone, not on the order in which they became known; `streams.alerts.judge` keeps the store's alerts equal to
them. `streams.alerts.seen` says what a rule sees of a window.

    one subject's windows, in order ──▶ fold ──▶ episodes with their transitions
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from streams.alerts.rulebook import Rule


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
    if rule.worse is None or not told:
        return False
    if rule.direction == "above":
        return told > 0 and compared >= told * rule.worse
    return compared <= (told * rule.worse if told < 0 else told / rule.worse)


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
