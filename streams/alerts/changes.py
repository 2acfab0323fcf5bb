"""
Makes the store's alerts equal to the episodes of the windows around a change, and says what became different.

`streams.alerts.judge` finds the candidates and takes the lock; `streams.alerts.episodes` folds,
`streams.alerts.store` writes.

    kept alerts ─▶ Task (from where to look again) ─▶ fold ─▶ differences ─▶ Changes
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from aggregates.store.store import Transaction
from ingest.vocabulary.readings import microseconds
from streams.alerts.episodes import Episode, Transition, Window, fold
from streams.alerts.rulebook import Rule
from streams.alerts.store import Change, Kept


@dataclass(frozen=True, slots=True)
class Task:
    """One rule and subject to be made right from `start` on: the episode to go on with, and alerts that may change."""

    rule: Rule
    subject: str
    start: int
    opened: Episode | None
    kept: Sequence[Kept]

    def fold(self, windows: Sequence[Window], now: int | None) -> list[Episode]:
        """Give the episodes from `start` on."""
        one = self.opened
        fresh = None if one is None else self.kept[0].episode(self.rule)
        return fold(self.rule, self.subject, [window for window in windows if window.start >= self.start], fresh, now)

    def settled(self, episodes: Sequence[Episode], end: int) -> bool:
        """Tell whether windows from `end` on cannot change what was found: nothing is open there, or about to be."""
        if episodes and episodes[-1].until is None:
            return False
        edge = end - lookback(self.rule)
        return all(
            one.since >= end or (one.since < edge and one.until is not None and one.until <= end) for one in self.kept
        )

    def differences(self, episodes: Sequence[Episode], now: int, end: int) -> Iterator[Change]:
        """Pair episodes with the alerts they overlap; what has no partner is new, or never was."""
        left = [one for one in self.kept if one.since < end]
        for episode in episodes:
            partner = next((one for one in left if _overlap(one, episode)), None)
            if partner is not None:
                left.remove(partner)
            yield _change(self.rule, partner, episode, now)
        for one in left:
            gone = Transition(
                self.rule.name, self.subject, "cleared", one.since, one.value, one.threshold, one.coverage, ()
            )
            yield Change(self.rule, one, None, [gone], one.late)


def by_subject(kept: Sequence[Kept], subjects: Sequence[str]) -> dict[str, list[Kept]]:
    """Deal alerts out to their subjects."""
    found: dict[str, list[Kept]] = {one: [] for one in subjects}
    for one in kept:
        found[one.subject].append(one)
    return found


def task_of(rule: Rule, subject: str, kept: Sequence[Kept], first: int) -> Task:
    """Find from where windows must be looked at again, where those from `first` on changed."""
    over = [one.until for one in kept if one.until is not None and one.until <= first]
    mine = [one for one in kept if one.until is None or one.until > first]
    if len(mine) == 1 and mine[0].until is None and mine[0].judged <= first:
        return Task(rule, subject, mine[0].judged, mine[0].episode(rule), mine)
    if mine and mine[0].since <= first:
        return Task(rule, subject, mine[0].since, None, mine)
    return Task(rule, subject, max([first - lookback(rule), *over]), None, mine)


def _overlap(kept: Kept, episode: Episode) -> bool:
    begins_before = episode.until is None or kept.since < episode.until
    return begins_before and (kept.until is None or episode.since < kept.until)


def _change(rule: Rule, kept: Kept | None, episode: Episode, now: int) -> Change:
    """Say what an alert becomes; one whose windows were past when it was found is late, until fresh ones keep it up."""
    last = episode.sure if episode.until is None else episode.until
    past = last < now - rule.times["late_after"]
    late = past if kept is None else kept.late and (past or episode.until is not None)
    return Change(rule, kept, episode, episode.transitions, late)


def fold_on(rule: Rule, subject: str, kept: Kept | None, since: int, value: float, now: int) -> Iterator[Change]:
    """Judge a value that is as it is now (us), and has been beyond since `since`."""
    window = Window(since, now, value, value, rule.raise_at, np.nan, not np.isnan(value), 0, np.nan)
    for episode in fold(rule, subject, [window], None if kept is None else kept.episode(rule)):
        yield Change(rule, kept, episode, episode.transitions, False)


def already_said(tx: Transaction, changes: Sequence[Change]) -> set[tuple[int, str, int]]:
    """Read what was said of these alerts before: alert, kind and what about."""
    alerts = [change.kept.alert for change in changes if change.kept is not None and change.said]
    rows = tx.rows("list_transition_kinds", alerts=alerts) if alerts else []
    return {(alert, kind, microseconds(about)) for alert, kind, about in rows if about is not None}


def only_new(change: Change, said: set[tuple[int, str, int]]) -> Change:
    """Leave out what was said before, and say how the alert stands where nothing that is left does."""
    if change.kept is None:
        return change
    alert = change.kept.alert
    fresh = [one for one in change.said if not {(alert, one.kind, one.about), (alert, "raised", one.about)} & said]
    if change.episode is not None:
        fresh = _standing(change, change.kept, change.episode, fresh)
    return replace(change, said=fresh)


def _standing(change: Change, kept: Kept, episode: Episode, said: list[Transition]) -> list[Transition]:
    """Say what an alert has become; one that was over, or that nobody was told of because it was late, begins anew."""
    unheard = kept.late and not change.late and change.rule.late == "quiet"
    begins = episode.state == "raised" and (unheard or kept.state == "cleared")
    kind = "raised" if begins else "updated" if episode.state == "raised" else episode.state
    same = ("raised", "updated") if episode.state == "raised" else (kind,)
    news = next((one for one in said if one.kind in same), None)
    if news is None and (begins or kept.state != episode.state):
        known = [one for one in change.said if one.kind == kind]
        return [*said, known[-1] if known else _now(episode, kind)]
    return [replace(one, kind="raised") if begins and one is news else one for one in said]


def _now(episode: Episode, kind: str) -> Transition:
    return Transition(
        episode.rule.name, episode.subject, kind, episode.judged, episode.value, episode.threshold, episode.coverage, ()
    )


def lookback(rule: Rule) -> int:
    """How far before a window, in us, others may decide about it: a run of windows, a day being at most 25 hours."""
    return (rule.windows - 1) * rule.length * 1_050_000
