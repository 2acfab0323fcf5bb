"""
Judges alert rules on the windows that changed, in the transaction that changed them.

The pipeline calls `Judge.batch` for 5-minute windows, the roll-up `Judge.rolled` for hours and days; once a minute
`streams.alerts.clock` calls it for windows that ended without a last reading and for alerts without recent windows. The
stored alerts are made equal to the episodes of the windows, so that neither order nor redelivery nor a restart changes
them:

    changed windows ─▶ candidates (beyond a threshold, or near an alert) ─▶ lock ─▶ fold ─▶ changes ─▶ outbox

The lock is the last one that a transaction takes: its holder waits for nobody. What fails is undone and noted
(`streams.alerts.unjudged`).
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
from msgspec.structs import replace

from aggregates.store.errors import Away
from aggregates.store.store import Store, Transaction
from ingest.vocabulary.batch import coded, numbers
from ingest.vocabulary.calendar import Days
from ingest.vocabulary.readings import microseconds, utc
from ingest.vocabulary.values import BadFile
from streams.alerts import frames
from streams.alerts.comparison import beyond, bounds_of, by_subject, compare, of_rule
from streams.alerts.episodes import FOREVER, Episode, Transition, Window, fold
from streams.alerts.frames import ChangedWindows, Edges, Span
from streams.alerts.rulebook import LENGTHS, Rule
from streams.alerts.store import Change, load_alerts, only_new, task_of, write_changes
from streams.alerts.unjudged import ALL, Failures
from streams.commit.windows import HOUR_US, WINDOW_US

_LONGEST_DAY = 25 * HOUR_US


class Judge:
    """The rules and the calendar of a hub, applied to windows."""

    def __init__(self, rules: Mapping[str, Rule], days: Days) -> None:
        self.rules = rules
        self.failures = Failures()
        self._days = days
        self._watched = {
            level: sorted({quantity for rule in self.rules_of(level) for quantity in rule.needs})
            for level in ("5m", "1h", "1d")
        }

    def rules_of(self, level: str, per: str | None = None, name: str = ALL) -> list[Rule]:
        """Give the rules of a level, about sensors or areas or (None) both, of this name or all."""
        of_level = [rule for rule in self.rules.values() if rule.level == level]
        return [rule for rule in of_level if per in (None, rule.per) and name in (ALL, rule.name)]

    def batch(self, tx: Transaction, readings: pa.RecordBatch) -> None:
        """Judge the 5-minute windows of a batch that had ended when it was received; that never fails the batch."""
        start = numbers(readings, "start")
        span = start.min() - WINDOW_US, start.max()
        now = int(numbers(readings, "received_at").max())
        try:
            windows = self._ended(readings, now)
        except Exception as error:  # before any statement: a savepoint costs each batch two
            return self.failures.note(tx, "5m", *span, ALL, error)
        if len(windows.starts):
            with self.failures.noted(tx, "5m", *span):
                tx.rows("limit_judging")
                self.changed(tx, "5m", windows, utc(now), utc(now))
        return None

    def _ended(self, readings: pa.RecordBatch, now: int) -> ChangedWindows:
        """Give the 5-minute windows of readings that ended by `now` (us), as far as a rule watches the quantity."""
        start = numbers(readings, "start")
        start = start - start % WINDOW_US
        watched = coded(readings, "quantity").each(self._watched["5m"].__contains__, bool)
        chosen = watched & (start + WINDOW_US <= now)
        return ChangedWindows(coded(readings, "sensor_id").each(str)[chosen].tolist(), start[chosen])

    def rolled(self, tx: Transaction, until: datetime, now: datetime) -> None:
        """Judge the hours in the table `dirty` and their days, if they ended by `until`."""
        ((_, first, last),) = tx.rows("read_dirty_span")
        span = microseconds(first) - _LONGEST_DAY, microseconds(last)
        for level in ("1h", "1d"):
            with self.failures.noted(tx, level, *span):
                rows = tx.rows(f"list_rolled_{level}", quantities=self._watched[level], until=until)
                starts = np.array([microseconds(start) for _, start in rows], np.int64)
                self.changed(tx, level, ChangedWindows([sensor for sensor, _ in rows], starts), now, until)

    def changed(self, tx: Transaction, level: str, windows: ChangedWindows, now: datetime, until: datetime) -> None:
        """Judge changed windows that ended by `until`; raises `StoreError` only where the transaction is lost."""
        if len(windows.starts):
            with self.failures.noted(tx, level, windows.starts.min(), windows.starts.max()):
                self._judge(tx, self.rules_of(level, "sensor"), windows.spans(level), now, until)

    def between(
        self, tx: Transaction, rule: str, level: str, first: datetime, last: datetime, now: datetime, until: datetime
    ) -> None:
        """Judge the windows that start in `[first, last]` and ended by `until`, by one rule or all."""
        span = Span(microseconds(first), microseconds(last) + 1)
        for per in ("sensor", "area"):
            self._judge(tx, self.rules_of(level, per, rule), [span], now, until)

    def areas(self, tx: Transaction, level: str, quantity: str, first: datetime, last: datetime, now: datetime) -> None:
        """Judge the windows of areas of a quantity that start in `[first, last]`."""
        span = Span(microseconds(first), microseconds(last) + 1)
        with self.failures.noted(tx, level, span.first, span.last):
            rules = [rule for rule in self.rules_of(level, "area") if quantity in rule.needs]
            self._judge(tx, rules, [span], now, now)

    def stale(self, tx: Transaction, now: datetime) -> None:
        """Change open alerts without recent windows to `cannot_judge`, later to `cleared`; those without a rule now."""
        rules, until = list(self.rules), microseconds(now)
        ages = {
            key: [now - timedelta(microseconds=rule.times[key]) for rule in self.rules.values()]
            for key in ("patience", "forget")
        }
        found = tx.rows("list_stale_alerts", rule=rules, **ages)
        if found:
            tx.rows("lock_alerts")
            tx.rows("clear_orphaned_alerts", rules=rules, now=now)
        for name in sorted({name for name, _ in found} & self.rules.keys()):
            changed = {one: (until, until) for rule, one in found if rule == name}
            self._update(tx, self.rules[name], changed, now, now)

    def replay(self, store: Store, rule: Rule, first: datetime, last: datetime) -> list[Transition]:
        """
        Give the transitions of a rule on the stored windows that start in `[first, last)`, by time; nothing is written.

        The dates on which it is in force do not count, so that a rule can be tried before its first day. Raises BadFile
        for a rule about the present, `aggregates.store.errors.StoreError` for a database that does not answer.
        """
        if rule.level == "clock":
            raise BadFile(f"rule {rule.name!r} is about the present, expected one with a level of 5m, 1h or 1d")
        rule, begin, end = replace(rule, first=None, last=None), microseconds(first), microseconds(last)
        with store.transaction() as tx:
            windows = frames.load_windows(tx, [rule], [Span(begin - rule.lookback, end)], None)
            compared = self._compare(tx, rule, of_rule(rule, windows))
            subjects = frames.subjects_of_rule(tx, rule, beyond(compared))
        some = by_subject(compared, subjects).items()
        episodes = [episode for subject, windows in some for episode in fold(rule, subject, windows, now=end)]
        found = [said for episode in episodes for said in episode.transitions if said.about > begin]
        return sorted(found, key=lambda one: (one.about, one.subject))

    def _compare(self, tx: Transaction, rule: Rule, windows: "pd.DataFrame") -> "pd.DataFrame":
        """Give the windows of a rule as `streams.alerts.comparison.compare` does, after loading what else it needs."""
        windows = frames.completed(tx, rule, windows)
        return compare(rule, windows, frames.load_usual(tx, rule, windows, self._days))

    def _judge(self, tx: Transaction, rules: list[Rule], spans: list[Span], now: datetime, until: datetime) -> None:
        """
        Judge the windows of spans, in order of time, that ended by `until`; the rules have one level and subject.

        Where it fails, each rule judges alone, and the windows of those that fail are noted.
        """
        if not rules:
            return
        try:
            with tx.savepoint():
                self._judge_all(tx, rules, spans, now, until)
        except Exception as error:
            if len(rules) > 1 and not isinstance(error, Away):
                for rule in rules:
                    self._judge(tx, [rule], spans, now, until)
            else:
                name = rules[0].name if len(rules) == 1 else ALL
                self.failures.note(tx, rules[0].level, spans[0].first, spans[-1].last, name, error)

    def _judge_all(self, tx: Transaction, rules: list[Rule], spans: list[Span], now: datetime, until: datetime) -> None:
        found = self._raised(tx, rules, spans, now, until)
        first, last = spans[0].first - max(rule.lookback for rule in rules), spans[-1].last
        for alert in load_alerts(tx, rules, first, last, frames.named(spans)):
            found[alert.rule.name].add(alert.subject)
        if any(found.values()):
            tx.rows("lock_alerts")
        for rule in rules:
            if changed := frames.edges(spans, found[rule.name], LENGTHS[rule.level]):
                self._update(tx, rule, changed, now, until)

    def _raised(
        self, tx: Transaction, rules: list[Rule], spans: list[Span], now: datetime, until: datetime
    ) -> dict[str, set[str]]:
        """Give the subjects with windows beyond the threshold that raises, by the name of the rule."""
        found: dict[str, set[str]] = {rule.name: set() for rule in rules}
        clock = microseconds(now)
        since = min(rule.since(clock) for rule in rules)
        young = [one._replace(first=max(one.first, since)) for one in spans if one.last > since]
        bounds = bounds_of(rules, spans[-1].last, clock)
        if not (young and bounds):
            return found
        windows = frames.load_windows(tx, rules, young, bounds).loc[lambda some: some["end"] <= microseconds(until)]
        for rule in rules if len(windows) else ():
            recent = of_rule(rule, windows[windows["end"] > clock - (rule.times["retrospect"] or FOREVER)])
            if len(recent):
                raised = beyond(self._compare(tx, rule, recent))
                found[rule.name] = frames.subjects_of_rule(tx, rule, raised)
        return found

    def _update(self, tx: Transaction, rule: Rule, changed: dict[str, Edges], now: datetime, until: datetime) -> None:
        """Make the alerts of one rule and some subjects equal to the episodes of the windows around what changed."""
        clock = microseconds(now)
        stored: dict[str, list[Episode]] = {one: [] for one in changed}
        first = min(first for first, _ in changed.values()) - rule.lookback
        for alert in load_alerts(tx, [rule], first, FOREVER, list(changed)):
            stored[alert.subject].append(alert)
        # A batch that is read again was received long ago: what was judged since has ended too.
        limit = max([microseconds(until), *(one.judged for mine in stored.values() for one in mine)])
        tasks = {subject: task_of(rule, subject, mine, changed[subject][0]) for subject, mine in stored.items()}
        changes: list[Change] = []
        for reach in (frames.BLOCK * LENGTHS[rule.level] * 1_000_000, FOREVER):
            asked = {one: (task.start, min(limit, changed[one][1] + reach)) for one, task in tasks.items()}
            windows = self._windows_of(tx, rule, asked)
            for subject, (_, end) in asked.items():
                task = tasks[subject]
                episodes = task.fold(windows.get(subject, []), clock if end == limit else None)
                if end == limit or task.final(episodes, end):
                    changes += tasks.pop(subject).changes(episodes, clock, end)
            if not tasks:
                break
        write_changes(tx, only_new(tx, changes), now)

    def _windows_of(self, tx: Transaction, rule: Rule, asked: Mapping[str, Edges]) -> Mapping[str, list[Window]]:
        """Read the windows of each subject that start from the first stamp on and end by the last."""
        subjects: dict[Edges, list[str]] = {}
        for subject, (first, last) in asked.items():
            if rule.level != "clock" and first < last:
                subjects.setdefault((first, last), []).append(subject)
        if not subjects:
            return {}
        spans = [Span(*edges, some) for edges, some in sorted(subjects.items())]
        windows = frames.load_windows(tx, [rule], spans, None)
        ends = windows["subject"].map({subject: last for subject, (_, last) in asked.items()})
        return by_subject(self._compare(tx, rule, of_rule(rule, windows[windows["end"] <= ends])))
