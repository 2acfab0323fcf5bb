"""
What a rule would have said of stored history: for `stadspuls alerts test`, and before a threshold is trusted.

It judges as `streams.alerts.judge` does, but keeps nothing and tells nobody.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from aggregates.store.store import Store
from ingest.vocabulary.readings import microseconds
from streams.alerts.changes import lookback
from streams.alerts.episodes import Episode, Transition
from streams.alerts.judge import Judge, quantities_of
from streams.alerts.rulebook import BadRule, Rule
from streams.alerts.seen import episodes, of_rule
from streams.alerts.store import Span, belonging, load_windows


def replay_stored(store: Store, judge: Judge, rule: Rule, first: datetime, last: datetime) -> list[Transition]:
    """
    Say what a rule would have said of the windows that start in `[first, last)`, by time.

    Dates from and until which it is in force do not count, so that a rule can be tried before its day. Raises BadRule
    for a rule about the present, `aggregates.store.store.StoreError` for a database that does not answer.
    """
    found = [one for episode in stored_episodes(store, judge, rule, first, last) for one in episode.transitions]
    return sorted((one for one in found if one.about > microseconds(first)), key=lambda one: (one.about, one.subject))


def stored_episodes(store: Store, judge: Judge, rule: Rule, first: datetime, last: datetime) -> Iterator[Episode]:
    """Give the episodes of the windows that start in `[first, last)`."""
    if rule.level == "clock":
        raise BadRule(f"rule {rule.name!r} is about the present, expected one with a level of 5m, 1h or 1d")
    begin = first - timedelta(microseconds=lookback(rule))
    with store.transaction() as tx:
        span = Span(microseconds(begin), microseconds(last))
        windows = load_windows(tx, rule.level, sorted(quantities_of([rule])), span, rule.per)
        seen = judge.see(tx, rule, of_rule(rule, windows), effective=False)
        seen = seen.of(belonging(tx, rule, set(windows["subject"])))
    yield from episodes(rule, seen, microseconds(last))
