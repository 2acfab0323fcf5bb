"""
Episodes of an alert, computed from windows: pure, no clock, no store.

An *episode* is the time from the first window that raised an alert to the one that cleared it. It depends on the
windows alone, not on the order in which they arrived; `streams.alerts.store` makes the stored alerts equal to the
episodes. `streams.alerts.comparison` makes the windows, `fold` episodes of those of one subject.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from streams.alerts.rulebook import Rule

FOREVER = 250_000_000_000_000_000  # us, a stamp that the database can store


class Window(NamedTuple):
    """
    One window of a rule: `compared` is compared with the thresholds; `sure` is whether it can be judged at all.

    `raises` and `holds`: it is beyond the threshold that raises, and not back within the one that clears.
    """

    start: int
    end: int
    value: float
    compared: float
    threshold: float
    coverage: float
    sure: bool
    raises: bool
    holds: bool
    revision: int
    usual: float


class Transition(NamedTuple):
    """A change of an alert: `about` is the end of the window that decided it, `windows` are those that caused it."""

    rule: str
    subject: str
    kind: str
    about: int
    value: float
    threshold: float
    coverage: float
    windows: tuple[Window, ...]

    def text(self, rule: Rule, template: str) -> str:
        """Fill the numbers into a text of the rule."""
        usual = shown(self.windows[-1].usual if self.windows else np.nan)
        figures = {name: shown(getattr(self, name)) for name in ("value", "threshold", "coverage")}
        return template.format(unit=rule.unit, windows=rule.windows, usual=usual, **figures)


class Episode(msgspec.Struct):
    """One episode: folded from windows, or an alert as it is stored (`alert` is its number), to go on with."""

    rule: Rule
    subject: str
    since: int
    judged: int  # end of the last window looked at
    sure: int  # end of the last window that could be judged
    value: float
    worst: float
    threshold: float
    coverage: float
    told: float  # what was compared when it was raised or last updated
    calm: int = 0  # consecutive windows that would clear it
    unsure: bool = False
    until: int = FOREVER  # it is open
    alert: int | None = None
    late: bool = False  # found long after its windows
    withdrawn: bool = False  # later data show that it never was: it ends where it began
    transitions: list[Transition] = []

    @property
    def is_open(self) -> bool:
        """Whether it has no end yet."""
        return self.until == FOREVER

    @property
    def state(self) -> str:
        """How the alert stands."""
        return "cleared" if not self.is_open else "cannot_judge" if self.unsure else "raised"

    def age(self, now: int) -> None:
        """Mark it as cannot be judged, and later clear it, where no window could be judged since `sure`."""
        times = self.rule.times
        if self.is_open and not self.unsure and now - self.sure >= times["patience"]:
            self.unsure = True
            self._record("cannot_judge", self.sure + times["patience"])
        if self.is_open and now - self.sure >= times["forget"]:
            self.until = self.sure + times["forget"]
            self._record("cleared", self.until)

    def take(self, window: Window) -> None:
        """Add the next window; `age` has been called before."""
        self.judged = max(self.judged, window.end)
        self.coverage = window.coverage
        if not window.sure:
            return
        self.sure, self.value, self.threshold = window.end, window.value, window.threshold
        more = max if self.rule.direction == "above" else min
        self.worst = more(self.worst, window.value)
        self.calm = 0 if window.holds else self.calm + 1
        if self.calm >= self.rule.clear_windows:
            self.until = window.end
            self._record("cleared", window.end, window)
        elif self.unsure or _worse(self.rule, window.compared, self.told):
            self.told = more(self.told, window.compared)
            self._record("updated", window.end, window)
        self.unsure = False

    def transition(self, kind: str, about: int, *windows: Window) -> Transition:
        """Make a transition with the figures of now."""
        figures = self.value, self.threshold, self.coverage
        return Transition(self.rule.name, self.subject, kind, about, *figures, windows)

    def _record(self, kind: str, about: int, *windows: Window) -> None:
        self.transitions.append(self.transition(kind, about, *windows))


def _raised(rule: Rule, subject: str, run: Sequence[Window]) -> Episode:
    last = run[-1]
    worst = (max if rule.direction == "above" else min)(window.value for window in run)
    figures = last.value, worst, last.threshold, last.coverage, last.compared
    one = Episode(rule, subject, run[0].start, last.end, last.end, *figures)
    one._record("raised", last.end, *run)
    return one


def fold(
    rule: Rule, subject: str, windows: Iterable[Window], opened: Episode | None = None, now: int | None = None
) -> list[Episode]:
    """
    Give the episodes of one rule and subject, from windows in order of their start; `opened` is one to go on with.

    Windows that raise an alert are consecutive; one that cannot be judged ends such a run, and leaves an open alert as
    it is. With `now` (us) the episode that is open at the end ages until then.
    """
    episodes = [opened] if opened else []
    run: list[Window] = []
    for window in windows:
        if opened:
            opened.age(window.start)
        if opened and opened.is_open:
            opened.take(window)
            run = []
            continue
        adjacent = bool(run) and run[-1].end == window.start
        run = [*(run if adjacent else []), window] if window.sure and window.raises else []
        if len(run) >= rule.windows:
            opened = _raised(rule, subject, run)
            episodes.append(opened)
    if opened and now is not None:
        opened.age(now)
    return episodes


def _worse(rule: Rule, compared: float, told: float) -> bool:
    if rule.worse is None or not told:
        return False
    if rule.direction == "above":
        return told > 0 and compared >= told * rule.worse
    return compared <= (told * rule.worse if told < 0 else told / rule.worse)


def shown(value: float) -> str:
    """
    Write a number for a message, with three digits or more.

    >>> shown(718.67), shown(0.4567), shown(float("nan"))
    ('719', '0.457', '-')
    """
    if np.isnan(value):
        return "-"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
