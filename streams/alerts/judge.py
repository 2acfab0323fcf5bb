"""
Judges alert rules on the windows that changed, in the transaction that changed them.

The pipeline calls `Judge.batch` for 5-minute windows, the roll-up `Judge.rolled` for hours and days; once a minute
`streams.alerts.clock` calls it for windows that ended without a last reading and for alerts without recent windows. The
stored alerts are made equal to the episodes of the windows, so that neither order nor redelivery nor a restart changes
them:

    changed windows ─▶ candidates (beyond a threshold, or near an alert) ─▶ lock ─▶ fold ─▶ changes ─▶ outbox

The lock is the last one that a transaction takes: its holder waits for nobody. Judging works inside savepoints: what
fails is undone, and `streams.alerts.unjudged` notes its windows, which are judged again later.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa

from aggregates.store.store import Away, Transaction
from ingest.vocabulary.air_index import INDICES
from ingest.vocabulary.batch import coded, numbers
from ingest.vocabulary.quantities import QUANTITIES
from ingest.vocabulary.readings import microseconds, utc
from streams.alerts.baseline import Usual, comparison_hours, usual
from streams.alerts.calendar import Days
from streams.alerts.changes import lookback, only_new, task_of
from streams.alerts.comparison import beyond, by_subject, compare, may_raise, of_rule
from streams.alerts.episodes import Window
from streams.alerts.frames import ChangedWindows, Span, count_stuck, load_windows, subjects_of_rule, with_share
from streams.alerts.rulebook import SECONDS, Rule, RuleBook
from streams.alerts.store import AlertChange, StoredAlert, load_alerts, write_changes
from streams.alerts.unjudged import ALL, Failures
from streams.commit.windows import HOUR_US, WINDOW_US

FOREVER = 250_000_000_000_000_000  # us, a stamp that the database can store
_LONGEST_DAY = 25 * HOUR_US
_REACH = 24  # windows after the last change that are folded before all later ones are


class Judge:
    """The rules and the calendar of a hub, applied to windows."""

    def __init__(self, book: RuleBook, days: Days) -> None:
        self.book, self.days = book, days
        self.failures = Failures()
        self._quantities = {level: quantities_of(book.of(level)) for level in ("5m", "1h", "1d")}

    def watches(self, level: str) -> frozenset[str]:
        """The quantities that some rule needs on a level."""
        return self._quantities[level]

    def batch(self, tx: Transaction, readings: pa.RecordBatch) -> int:
        """
        Judge the 5-minute windows of a batch that had ended when it was received; give how many alerts changed.

        What fails in judging never fails the batch.
        """
        found, start = 0, numbers(readings, "start")
        with self.failures.noted(tx, "5m", start.min() - WINDOW_US, start.max()):
            windows, now = self._ended(readings)
            if len(windows.starts):
                tx.rows("limit_judging")
                found = self.changed(tx, "5m", windows, utc(now))
        return found

    def _ended(self, readings: pa.RecordBatch) -> tuple[ChangedWindows, int]:
        """Give the watched 5-minute windows that had ended when their readings were received, and when that was."""
        codes, words = coded(readings, "quantity")
        watched = np.array([word in self.watches("5m") for word in words], bool)
        now = int(numbers(readings, "received_at").max())
        start = numbers(readings, "start")
        start = start - start % WINDOW_US
        chosen = watched[codes] & (start + WINDOW_US <= now)
        codes, words = coded(readings, "sensor_id")
        return ChangedWindows([words[code] for code in codes[chosen]], start[chosen]), now

    def rolled(self, tx: Transaction, until: datetime, now: datetime) -> int:
        """Judge the hours in the table `dirty` and their days, if they ended by `until`."""
        found = 0
        ((_, first, last),) = tx.rows("read_dirty_span")
        span = microseconds(first) - _LONGEST_DAY, microseconds(last)
        for level in ("1h", "1d"):
            with self.failures.noted(tx, level, *span), tx.savepoint():
                rows = tx.rows(f"list_rolled_{level}", quantities=sorted(self.watches(level)), until=until)
                starts = np.array([microseconds(start) for _, start in rows], np.int64)
                windows = ChangedWindows([sensor for sensor, _ in rows], starts)
                found += self.changed(tx, level, windows, now, until)
        return found

    def changed(
        self, tx: Transaction, level: str, windows: ChangedWindows, now: datetime, until: datetime | None = None
    ) -> int:
        """
        Judge changed windows that ended by `until` (default `now`); give how many alerts changed.

        Raises `aggregates.store.store.StoreError` only where the transaction is lost.
        """
        found = 0
        if len(windows.starts):
            with self.failures.noted(tx, level, windows.starts.min(), windows.starts.max()):
                if rules := self._rules(level, "sensor"):
                    found = self._judge(tx, rules, windows.span(), now, until or now)
        return found

    def every(self, tx: Transaction, level: str, first: datetime, last: datetime, now: datetime) -> int:
        """Judge the windows of all sensors and areas that ended in `(first, last]`."""
        longest = _LONGEST_DAY if level == "1d" else SECONDS[level] * 1_000_000
        span = Span(microseconds(first) - longest, microseconds(last))
        books = [rules for per in ("sensor", "area") if (rules := self._rules(level, per))]
        return sum(self._judge(tx, rules, span, now, last, first) for rules in books)

    def again(
        self, tx: Transaction, rule: str, level: str, first: datetime, last: datetime, now: datetime, until: datetime
    ) -> int:
        """Judge the windows that start in `[first, last]`, with all that followed until `until`, by one rule or all."""
        span = Span(microseconds(first), microseconds(last) + 1)
        books = [rules for per in ("sensor", "area") if (rules := self._rules(level, per, rule))]
        return sum(self._judge(tx, rules, span, now, until) for rules in books)

    def areas(self, tx: Transaction, level: str, quantity: str, first: datetime, last: datetime, now: datetime) -> int:
        """Judge the windows of areas of a quantity that start in `[first, last]`."""
        found, span = 0, Span(microseconds(first), microseconds(last) + 1)
        with self.failures.noted(tx, level, span.first, span.last):
            if rules := [rule for rule in self._rules(level, "area") if quantity in quantities_of([rule])]:
                found = self._judge(tx, rules, span, now, now)
        return found

    def stale(self, tx: Transaction, now: datetime) -> int:
        """Change open alerts without recent windows to `cannot_judge`, later to `cleared`; those without a rule now."""
        until = microseconds(now)
        rules = {rule.name: rule for rule in self.book.rules}
        found = tx.rows(
            "list_stale_alerts", rule=list(rules),
            patience=[now - timedelta(microseconds=rule.times["patience"]) for rule in rules.values()],
            forget=[now - timedelta(microseconds=rule.times["forget"]) for rule in rules.values()],
        )  # fmt: skip
        if not found:
            return 0
        tx.rows("lock_alerts")
        subjects: dict[str, list[str]] = {}
        for name, subject in found:
            subjects.setdefault(name, []).append(subject)
        ((orphaned,),) = tx.rows("clear_orphaned_alerts", rules=list(rules), now=now)
        known = [(rules[name], some) for name, some in subjects.items() if name in rules]
        return int(orphaned) + sum(self._update(tx, rule, some, until, until, now, now) for rule, some in known)

    def compare(self, tx: Transaction, rule: Rule, windows: pd.DataFrame, *, effective: bool = True) -> pd.DataFrame:
        """Give the windows of a rule as `streams.alerts.comparison.compare` does, after loading what else it needs."""
        if rule.share_of:
            windows = with_share(tx, rule, windows)
        elif rule.statistic == "stuck":
            windows = count_stuck(tx, windows)
        return compare(rule, windows, lambda rule, windows: self._usual(tx, rule, windows), effective=effective)

    def _rules(self, level: str, per: str, name: str = ALL) -> list[Rule]:
        return [rule for rule in self.book.of(level) if rule.per == per and name in (ALL, rule.name)]

    def _judge(
        self, tx: Transaction, rules: Sequence[Rule], span: Span, now: datetime, until: datetime,
        after: datetime | None = None,
    ) -> int:  # fmt: skip
        """
        Judge the windows of a span that ended by `until` and after `after`; the rules have one level and subject.

        Where it fails, each rule judges alone, and the windows of those that fail are noted.
        """
        try:
            with tx.savepoint():
                return self._judge_together(tx, rules, span, now, until, after)
        except Exception as error:
            if len(rules) == 1 or isinstance(error, Away):
                name = rules[0].name if len(rules) == 1 else ALL
                self.failures.note(tx, rules[0].level, span.first, span.last, name, error)
                return 0
        return sum(self._judge(tx, [rule], span, now, until, after) for rule in rules)

    def _judge_together(
        self, tx: Transaction, rules: Sequence[Rule], span: Span, now: datetime, until: datetime,
        after: datetime | None,
    ) -> int:  # fmt: skip
        windows = load_windows(tx, rules[0].level, quantities_of(rules), span, rules[0].per)
        ended = windows["end"] <= microseconds(until)
        windows = windows[ended if after is None else ended & (windows["end"] > microseconds(after))]
        if not len(windows):
            return 0
        first, last = int(windows["start"].min()), int(windows["end"].max())
        reach = max(lookback(rule) for rule in rules)
        stored = load_alerts(tx, [rule.name for rule in rules], first - reach, last)
        candidates = list(self._candidates(tx, rules, windows, stored, now))
        if not candidates:
            return 0
        tx.rows("lock_alerts")
        return sum(self._update(tx, rule, subjects, first, last, now, until) for rule, subjects in candidates)

    def _candidates(
        self, tx: Transaction, rules: Sequence[Rule], windows: pd.DataFrame, stored: Sequence[StoredAlert],
        now: datetime,
    ) -> Iterator[tuple[Rule, list[str]]]:  # fmt: skip
        """Give each rule with the subjects whose alerts may change."""
        parts = dict(iter(windows.groupby("quantity", sort=False)))
        present = set(windows["subject"].unique())
        with_alert: dict[str, set[str]] = {}
        for one in stored:
            with_alert.setdefault(one.rule, set()).add(one.subject)
        for rule in rules:
            part = parts.get(rule.quantity) if rule.quantity in QUANTITIES else of_rule(rule, windows)
            found = with_alert.get(rule.name, set()) & present
            if part is not None and may_raise(rule, part):
                limit = rule.times["retrospect"] or FOREVER
                recent = part[part["end"].to_numpy() > microseconds(now) - limit]
                found = found | subjects_of_rule(tx, rule, beyond(rule, self.compare(tx, rule, recent)))
            if found:
                yield rule, sorted(found)

    def _usual(self, tx: Transaction, rule: Rule, windows: pd.DataFrame) -> Usual:
        """Load the earlier hours that these hours are compared with, and give what is usual."""
        assert rule.baseline is not None
        starts = comparison_hours(windows["start"].to_numpy(np.int64), self.days, rule.baseline)
        if not len(starts):
            return Usual(*(np.full(len(windows), np.nan) for _ in range(2)))
        sensors = windows["subject"].unique().tolist()
        pairs = ([one for one in sensors for _ in starts], np.tile(starts, len(sensors)))
        span = Span(int(starts[0]), int(starts[-1]) + 1, sensors, pairs)
        past = load_windows(tx, rule.level, [rule.quantity], span)
        past = past[past["valid"] & past["value"].notna()]
        return usual(windows, past[["subject", "start", "value"]], self.days, rule.baseline)

    def _update(
        self, tx: Transaction, rule: Rule, subjects: Sequence[str], first: int, last: int, now: datetime,
        until: datetime,
    ) -> int:  # fmt: skip
        """Make the alerts of one rule and some subjects equal to the episodes of the windows around a span."""
        clock = microseconds(now)
        stored: dict[str, list[StoredAlert]] = {one: [] for one in subjects}
        for alert in load_alerts(tx, [rule.name], first - lookback(rule), FOREVER, subjects):
            stored[alert.subject].append(alert)
        # A batch that is read again was received long ago: what was judged since has ended too.
        limit = max([microseconds(until), *(one.judged for mine in stored.values() for one in mine)])
        tasks = {subject: task_of(rule, subject, mine, first) for subject, mine in stored.items()}
        changes: list[AlertChange] = []
        for end in dict.fromkeys((min(limit, last + _REACH * rule.length * 1_000_000), limit)):
            windows = self._windows_of(tx, rule, list(tasks), min(task.start for task in tasks.values()), end)
            for subject, task in list(tasks.items()):
                episodes = task.fold(windows.get(subject, []), clock if end == limit else None)
                if end == limit or task.final(episodes, end):
                    changes += tasks.pop(subject).changes(episodes, clock, end)
            if not tasks:
                break
        write_changes(tx, only_new(tx, changes), now)
        return len(changes)

    def _windows_of(
        self, tx: Transaction, rule: Rule, subjects: Sequence[str], first: int, last: int
    ) -> Mapping[str, list[Window]]:
        """Read the windows that start from `first` on and end by `last`, by subject."""
        if rule.level == "clock" or first >= last:
            return {}
        windows = load_windows(tx, rule.level, quantities_of([rule]), Span(first, last, subjects), rule.per)
        return by_subject(self.compare(tx, rule, of_rule(rule, windows[windows["end"] <= last])))


def quantities_of(rules: Sequence[Rule]) -> frozenset[str]:
    """Give the quantities that rules need; an index needs its substances."""
    found: set[str] = set()
    for rule in rules:
        if rule.quantity == "any":
            found |= QUANTITIES.keys()
        else:
            found |= INDICES[rule.quantity].bounds.keys() if rule.quantity in INDICES else {rule.quantity}
    return frozenset(found)
