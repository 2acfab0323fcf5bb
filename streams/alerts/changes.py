"""
The changes that make the stored alerts of a rule equal to the episodes of the windows around a change.

`streams.alerts.judge` finds the subjects and takes the lock, `streams.alerts.episodes` folds, `streams.alerts.store`
writes.

    stored alerts ─▶ Task (from which window to fold) ─▶ fold ─▶ compare with the stored alerts ─▶ changed alerts
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from aggregates.store.store import Transaction
from ingest.vocabulary.readings import microseconds
from streams.alerts.episodes import Episode, Transition, Window, fold
from streams.alerts.rulebook import Rule

Change = tuple[Episode | None, Episode]  # the alert that is stored, if any, and what it becomes


class Task(NamedTuple):
    """One rule and subject to fold from `start` on: the alert to go on with, if any, and those that may change."""

    rule: Rule
    subject: str
    start: int
    opened: Episode | None
    stored: Sequence[Episode]

    def fold(self, windows: Sequence[Window], now: int | None) -> list[Episode]:
        """Give the episodes from `start` on."""
        opened = self.opened and replace(self.opened, transitions=[])
        return fold(self.rule, self.subject, [one for one in windows if one.start >= self.start], opened, now)

    def final(self, episodes: Sequence[Episode], end: int) -> bool:
        """Tell whether windows from `end` on cannot change these episodes: none is open there, or about to begin."""
        if episodes and episodes[-1].until is None:
            return False
        edge = end - lookback(self.rule)
        return all(
            one.since >= end or (one.since < edge and one.until is not None and one.until <= end) for one in self.stored
        )

    def changes(self, episodes: Sequence[Episode], now: int, end: int) -> Iterator[Change]:
        """Pair episodes with the stored alerts they overlap; an alert without an episode is withdrawn."""
        left = [one for one in self.stored if one.since < end]
        for episode in episodes:
            stored = next((one for one in left if _overlap(one, episode)), None)
            if stored is not None:
                left.remove(stored)
            episode.alert = None if stored is None else stored.alert
            episode.late = _is_late(stored, episode, now)
            yield stored, episode
        for one in left:
            gone = replace(one, until=one.since, withdrawn=True)
            gone.transitions = [gone.transition("cleared", one.since)]
            yield one, gone


def task_of(rule: Rule, subject: str, stored: Sequence[Episode], first: int) -> Task:
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


def _overlap(stored: Episode, episode: Episode) -> bool:
    begins_before = episode.until is None or stored.since < episode.until
    return begins_before and (stored.until is None or episode.since < stored.until)


def _is_late(stored: Episode | None, episode: Episode, now: int) -> bool:
    """Tell whether an alert was found long after its windows, and no recent window has kept it open since."""
    last = episode.sure if episode.until is None else episode.until
    past = last < now - episode.rule.times["late_after"]
    return past if stored is None else stored.late and (past or episode.until is not None)


def only_new(tx: Transaction, changes: Sequence[Change]) -> list[Episode]:
    """Leave out the transitions that are in the store already; add one where the state of an alert needs it."""
    alerts = [stored.alert for stored, new in changes if stored is not None and new.transitions]
    rows = tx.rows("list_transition_kinds", alerts=alerts) if alerts else []
    written = {(alert, kind, microseconds(about)) for alert, kind, about in rows if about is not None}
    for stored, new in changes:
        if stored is not None:
            found = [
                one for one in new.transitions
                if not {(new.alert, one.kind, one.about), (new.alert, "raised", one.about)} & written
            ]  # fmt: skip
            new.transitions = found if new.withdrawn else _with_state(stored, new, found)
    return [new for _, new in changes]


def _with_state(stored: Episode, new: Episode, found: list[Transition]) -> list[Transition]:
    """
    Add the transition into the state of the episode, where the alert has another and no transition says so.

    An alert that was cleared, or that nobody was notified of because it was late, is raised again.
    """
    hidden = stored.late and not new.late and new.rule.late == "quiet"
    begins = new.state == "raised" and (hidden or stored.state == "cleared")
    kind = "raised" if begins else "updated" if new.state == "raised" else new.state
    same = ("raised", "updated") if new.state == "raised" else (kind,)
    last = next((one for one in found if one.kind in same), None)
    if last is None and (begins or stored.state != new.state):
        known = [one for one in new.transitions if one.kind == kind]
        return [*found, known[-1] if known else new.transition(kind, new.judged)]
    return [one._replace(kind="raised") if begins and one is last else one for one in found]
