"""
The transitions that a rule would have had on stored windows: for `stadspuls alerts test`, to try a threshold.

It judges as `streams.alerts.judge` does, but writes nothing and notifies nobody.
"""

from datetime import datetime, timedelta

from aggregates.store.store import Store
from ingest.vocabulary.readings import microseconds
from streams.alerts.changes import lookback
from streams.alerts.comparison import beyond, by_subject, of_rule
from streams.alerts.episodes import Transition, fold
from streams.alerts.frames import Span, load_windows, subjects_of_rule
from streams.alerts.judge import Judge, quantities_of
from streams.alerts.rulebook import BadRule, Rule


def replay_stored(store: Store, judge: Judge, rule: Rule, first: datetime, last: datetime) -> list[Transition]:
    """
    Give the transitions of a rule on the windows that start in `[first, last)`, by time.

    The dates on which it is in force do not count, so that a rule can be tried before its first day. Raises BadRule for
    a rule about the present, `aggregates.store.store.StoreError` for a database that does not answer.
    """
    if rule.level == "clock":
        raise BadRule(f"rule {rule.name!r} is about the present, expected one with a level of 5m, 1h or 1d")
    begin, end = microseconds(first - timedelta(microseconds=lookback(rule))), microseconds(last)
    with store.transaction() as tx:
        windows = load_windows(tx, rule.level, quantities_of([rule]), Span(begin, end), rule.per)
        compared = judge.compare(tx, rule, of_rule(rule, windows), effective=False)
        subjects = subjects_of_rule(tx, rule, beyond(rule, compared))
    found = [
        one
        for subject, some in by_subject(compared, subjects).items()
        for episode in fold(rule, subject, some, now=end)
        for one in episode.transitions
        if one.about > microseconds(first)
    ]
    return sorted(found, key=lambda one: (one.about, one.subject))
