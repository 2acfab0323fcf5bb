"""
The changes that make the stored alerts of a rule equal to the episodes of the windows around a change.

`streams.alerts.judge` finds the subjects and takes the lock, `streams.alerts.episodes` folds, `streams.alerts.store`
writes.

    stored alerts ─▶ Task (from which window to fold) ─▶ fold ─▶ compare with the stored alerts ─▶ AlertChanges
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from aggregates.store.store import Transaction
from ingest.vocabulary.readings import microseconds
from streams.alerts.episodes import Episode, Transition, Window, fold
from streams.alerts.rulebook import Rule
from streams.alerts.store import AlertChange, StoredAlert


@dataclass(frozen=True, slots=True)
class Task:
    """One rule and subject to fold from `start` on: the alert to go on with, if any, and those that may change."""

    rule: Rule
    subject: str
    start: int
    opened: StoredAlert | None
    stored: Sequence[StoredAlert]

    def fold(self, windows: Sequence[Window], now: int | None) -> list[Episode]:
        """Give the episodes from `start` on."""
        opened = None if self.opened is None else self.opened.episode(self.rule)
        recent = [window for window in windows if window.start >= self.start]
        return fold(self.rule, self.subject, recent, opened, now)

    def final(self, episodes: Sequence[Episode], end: int) -> bool:
        """Tell whether windows from `end` on cannot change these episodes: none is open there, or about to begin."""
        if episodes and episodes[-1].until is None:
            return False
        edge = end - lookback(self.rule)
        return all(
            one.since >= end or (one.since < edge and one.until is not None and one.until <= end) for one in self.stored
        )

    def changes(self, episodes: Sequence[Episode], now: int, end: int) -> Iterator[AlertChange]:
        """Pair episodes with the stored alerts they overlap; an alert without an episode is withdrawn."""
        left = [one for one in self.stored if one.since < end]
        for episode in episodes:
            stored = next((one for one in left if _overlap(one, episode)), None)
            if stored is not None:
                left.remove(stored)
            yield AlertChange(
                self.rule, stored, episode, episode.transitions, _is_late(self.rule, stored, episode, now)
            )
        for one in left:
            gone = replace(one.episode(self.rule), until=one.since)
            yield AlertChange(self.rule, one, gone, [gone.transition("cleared", one.since)], one.late, withdrawn=True)


def task_of(rule: Rule, subject: str, stored: Sequence[StoredAlert], first: int) -> Task:
    """Find from where windows must be folded again, where those from `first` on changed."""
    past = [one.until for one in stored if one.until is not None and one.until <= first]
    mine = [one for one in stored if one.until is None or one.until > first]
    if len(mine) == 1 and mine[0].until is None and mine[0].judged <= first:
        return Task(rule, subject, mine[0].judged, mine[0], mine)
    if mine and mine[0].since <= first:
        return Task(rule, subject, mine[0].since, None, mine)
    return Task(rule, subject, max([first - lookback(rule), *past]), None, mine)


def lookback(rule: Rule) -> int:
    """How far before a window, in us, others may decide about it: a run of windows, a day being at most 25 hours."""
    return (rule.windows - 1) * rule.length * 1_050_000


def _overlap(stored: StoredAlert, episode: Episode) -> bool:
    begins_before = episode.until is None or stored.since < episode.until
    return begins_before and (stored.until is None or episode.since < stored.until)


def _is_late(rule: Rule, stored: StoredAlert | None, episode: Episode, now: int) -> bool:
    """Tell whether an alert was found long after its windows, and no recent window has kept it open since."""
    last = episode.sure if episode.until is None else episode.until
    past = last < now - rule.times["late_after"]
    return past if stored is None else stored.late and (past or episode.until is not None)


def change_of_value(
    rule: Rule, subject: str, stored: StoredAlert | None, since: int, value: float, now: int
) -> Iterator[AlertChange]:
    """Judge a value of now (us) that has been beyond the threshold since `since`."""
    window = Window(since, now, value, value, rule.raise_at, np.nan, not np.isnan(value), 0, np.nan)
    for episode in fold(rule, subject, [window], None if stored is None else stored.episode(rule)):
        yield AlertChange(rule, stored, episode, episode.transitions, False)


def only_new(tx: Transaction, changes: Sequence[AlertChange]) -> list[AlertChange]:
    """Leave out the transitions that are in the store already; add one where the state of an alert needs it."""
    alerts = [one.stored.alert for one in changes if one.stored is not None and one.transitions]
    rows = tx.rows("list_transition_kinds", alerts=alerts) if alerts else []
    written = {(alert, kind, microseconds(about)) for alert, kind, about in rows if about is not None}
    return [one if one.stored is None else _only_new(one, one.stored, written) for one in changes]


def _only_new(change: AlertChange, stored: StoredAlert, written: set[tuple[int, str, int]]) -> AlertChange:
    alert = stored.alert
    found = [
        one for one in change.transitions
        if not {(alert, one.kind, one.about), (alert, "raised", one.about)} & written
    ]  # fmt: skip
    return replace(change, transitions=found if change.withdrawn else _with_state(change, stored, found))


def _with_state(change: AlertChange, stored: StoredAlert, found: list[Transition]) -> list[Transition]:
    """
    Add the transition into the state of the episode, where the alert has another and no transition says so.

    An alert that was cleared, or that nobody was notified of because it was late, is raised again.
    """
    episode = change.episode
    hidden = stored.late and not change.late and change.rule.late == "quiet"
    begins = episode.state == "raised" and (hidden or stored.state == "cleared")
    kind = "raised" if begins else "updated" if episode.state == "raised" else episode.state
    same = ("raised", "updated") if episode.state == "raised" else (kind,)
    last = next((one for one in found if one.kind in same), None)
    if last is None and (begins or stored.state != episode.state):
        known = [one for one in change.transitions if one.kind == kind]
        return [*found, known[-1] if known else episode.transition(kind, episode.judged)]
    return [replace(one, kind="raised") if begins and one is last else one for one in found]
