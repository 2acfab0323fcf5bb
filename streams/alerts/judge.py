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

from aggregates.store.store import Away, Store, Transaction
from ingest.vocabulary.batch import coded, numbers
from ingest.vocabulary.quantities import QUANTITIES
from ingest.vocabulary.readings import microseconds, utc
from streams.alerts.calendar import Days, Usual, comparison_hours, usual
from streams.alerts.comparison import beyond, by_subject, compare, may_raise, of_rule
from streams.alerts.episodes import Episode, Transition, Window, fold
from streams.alerts.frames import ChangedWindows, Span, completed, load_windows, quantities_of, subjects_of_rule
from streams.alerts.rulebook import BadRule, Rule
from streams.alerts.store import Change, load_alerts, lookback, only_new, task_of, write_changes
from streams.alerts.unjudged import ALL, Failures
from streams.commit.windows import HOUR_US, WINDOW_US

FOREVER = 250_000_000_000_000_000  # us, a stamp that the database can store
_LONGEST_DAY = 25 * HOUR_US
_REACH = 24  # windows after the last change that are folded before all later ones are


class Judge:
    """The rules and the calendar of a hub, applied to windows."""

    def __init__(self, rules: Mapping[str, Rule], days: Days) -> None:
        self.rules = rules
        self.failures = Failures()
        self._days = days
        self._watched = {level: quantities_of(self.rules_of(level)) for level in ("5m", "1h", "1d")}

    def rules_of(self, level: str, per: str | None = None, name: str = ALL) -> list[Rule]:
        """Give the rules of a level, about sensors or areas or (None) both, of this name or all."""
        of_level = [rule for rule in self.rules.values() if rule.level == level]
        return [rule for rule in of_level if per in (None, rule.per) and name in (ALL, rule.name)]

    def batch(self, tx: Transaction, readings: pa.RecordBatch) -> None:
        """Judge the 5-minute windows of a batch that had ended when it was received; that never fails the batch."""
        start = numbers(readings, "start")
        with self.failures.noted(tx, "5m", start.min() - WINDOW_US, start.max()):
            windows, now = self._ended(readings)
            if len(windows.starts):
                tx.rows("limit_judging")
                self.changed(tx, "5m", windows, utc(now))

    def _ended(self, readings: pa.RecordBatch) -> tuple[ChangedWindows, int]:
        """Give the watched 5-minute windows that had ended when their readings were received, and when that was."""
        codes, words = coded(readings, "quantity")
        watched = np.array([word in self._watched["5m"] for word in words], bool)
        now = int(numbers(readings, "received_at").max())
        start = numbers(readings, "start")
        start = start - start % WINDOW_US
        chosen = watched[codes] & (start + WINDOW_US <= now)
        codes, words = coded(readings, "sensor_id")
        return ChangedWindows([words[code] for code in codes[chosen]], start[chosen]), now

    def rolled(self, tx: Transaction, until: datetime, now: datetime) -> None:
        """Judge the hours in the table `dirty` and their days, if they ended by `until`."""
        ((_, first, last),) = tx.rows("read_dirty_span")
        span = microseconds(first) - _LONGEST_DAY, microseconds(last)
        for level in ("1h", "1d"):
            with self.failures.noted(tx, level, *span), tx.savepoint():
                rows = tx.rows(f"list_rolled_{level}", quantities=self._watched[level], until=until)
                starts = np.array([microseconds(start) for _, start in rows], np.int64)
                self.changed(tx, level, ChangedWindows([sensor for sensor, _ in rows], starts), now, until)

    def changed(
        self, tx: Transaction, level: str, windows: ChangedWindows, now: datetime, until: datetime | None = None
    ) -> None:
        """
        Judge changed windows that ended by `until` (default `now`).

        Raises `aggregates.store.store.StoreError` only where the transaction is lost.
        """
        if len(windows.starts):
            with self.failures.noted(tx, level, windows.starts.min(), windows.starts.max()):
                self._judge(tx, self.rules_of(level, "sensor"), windows.span(), now, until or now)

    def between(
        self, tx: Transaction, rule: str, level: str, first: datetime, last: datetime, now: datetime, until: datetime
    ) -> None:
        """Judge the windows that start in `[first, last]` and ended by `until`, by one rule or all."""
        span = Span(microseconds(first), microseconds(last) + 1)
        for per in ("sensor", "area"):
            self._judge(tx, self.rules_of(level, per, rule), span, now, until)

    def areas(self, tx: Transaction, level: str, quantity: str, first: datetime, last: datetime, now: datetime) -> None:
        """Judge the windows of areas of a quantity that start in `[first, last]`."""
        span = Span(microseconds(first), microseconds(last) + 1)
        with self.failures.noted(tx, level, span.first, span.last):
            rules = [rule for rule in self.rules_of(level, "area") if quantity in rule.needs]
            self._judge(tx, rules, span, now, now)

    def stale(self, tx: Transaction, now: datetime) -> None:
        """Change open alerts without recent windows to `cannot_judge`, later to `cleared`; those without a rule now."""
        until, rules = microseconds(now), self.rules
        found = tx.rows(
            "list_stale_alerts", rule=list(rules),
            patience=[now - timedelta(microseconds=rule.times["patience"]) for rule in rules.values()],
            forget=[now - timedelta(microseconds=rule.times["forget"]) for rule in rules.values()],
        )  # fmt: skip
        if found:
            tx.rows("lock_alerts")
            tx.rows("clear_orphaned_alerts", rules=list(rules), now=now)
        for name in sorted({name for name, _ in found} & rules.keys()):
            self._update(tx, rules[name], [one for rule, one in found if rule == name], until, until, now, now)

    def replay(self, store: Store, rule: Rule, first: datetime, last: datetime) -> list[Transition]:
        """
        Give the transitions of a rule on the stored windows that start in `[first, last)`, by time; nothing is written.

        The dates on which it is in force do not count, so that a rule can be tried before its first day. Raises BadRule
        for a rule about the present, `aggregates.store.store.StoreError` for a database that does not answer.
        """
        if rule.level == "clock":
            raise BadRule(f"rule {rule.name!r} is about the present, expected one with a level of 5m, 1h or 1d")
        begin, end = microseconds(first), microseconds(last)
        with store.transaction() as tx:
            windows = load_windows(tx, [rule], Span(begin - lookback(rule), end))
            compared = self._compare(tx, rule, of_rule(rule, windows), effective=False)
            subjects = subjects_of_rule(tx, rule, beyond(compared))
        episodes = [
            one
            for subject, some in by_subject(compared, subjects).items()
            for one in fold(rule, subject, some, now=end)
        ]
        found = [said for one in episodes for said in one.transitions if said.about > begin]
        return sorted(found, key=lambda one: (one.about, one.subject))

    def _compare(self, tx: Transaction, rule: Rule, windows: pd.DataFrame, *, effective: bool = True) -> pd.DataFrame:
        """Give the windows of a rule as `streams.alerts.comparison.compare` does, after loading what else it needs."""
        windows = completed(tx, rule, windows)
        return compare(rule, windows, lambda rule, windows: self._usual(tx, rule, windows), effective=effective)

    def _judge(self, tx: Transaction, rules: Sequence[Rule], span: Span, now: datetime, until: datetime) -> None:
        """
        Judge the windows of a span that ended by `until`; the rules have one level and subject.

        Where it fails, each rule judges alone, and the windows of those that fail are noted.
        """
        if not rules:
            return
        try:
            with tx.savepoint():
                self._judge_together(tx, rules, span, now, until)
        except Exception as error:
            if len(rules) > 1 and not isinstance(error, Away):
                for rule in rules:
                    self._judge(tx, [rule], span, now, until)
            else:
                name = rules[0].name if len(rules) == 1 else ALL
                self.failures.note(tx, rules[0].level, span.first, span.last, name, error)

    def _judge_together(
        self, tx: Transaction, rules: Sequence[Rule], span: Span, now: datetime, until: datetime
    ) -> None:
        windows = load_windows(tx, rules, span)
        windows = windows[windows["end"] <= microseconds(until)]
        if not len(windows):
            return
        first, last = int(windows["start"].min()), int(windows["end"].max())
        stored = load_alerts(tx, rules, first - max(map(lookback, rules)), last)
        candidates = list(self._candidates(tx, rules, windows, stored, now))
        if candidates:
            tx.rows("lock_alerts")
        for rule, subjects in candidates:
            self._update(tx, rule, subjects, first, last, now, until)

    def _candidates(
        self, tx: Transaction, rules: Sequence[Rule], windows: pd.DataFrame, stored: Sequence[Episode], now: datetime
    ) -> Iterator[tuple[Rule, list[str]]]:
        """Give each rule with the subjects whose alerts may change."""
        parts = dict(iter(windows.groupby("quantity", sort=False)))
        present = set(windows["subject"].unique())
        for rule in rules:
            part = parts.get(rule.quantity) if rule.quantity in QUANTITIES else of_rule(rule, windows)
            found = {one.subject for one in stored if one.rule is rule} & present
            if part is not None and may_raise(rule, part):
                limit = rule.times["retrospect"] or FOREVER
                recent = part[part["end"].to_numpy() > microseconds(now) - limit]
                found = found | subjects_of_rule(tx, rule, beyond(self._compare(tx, rule, recent)))
            if found:
                yield rule, sorted(found)

    def _usual(self, tx: Transaction, rule: Rule, windows: pd.DataFrame) -> Usual:
        """Load the earlier hours that these hours are compared with, and give what is usual."""
        assert rule.baseline is not None
        starts = comparison_hours(windows["start"].to_numpy(np.int64), self._days)
        if not len(starts):
            return Usual(*(np.full(len(windows), np.nan) for _ in range(2)))
        sensors = windows["subject"].unique().tolist()
        pairs = ([one for one in sensors for _ in starts], np.tile(starts, len(sensors)))
        span = Span(int(starts[0]), int(starts[-1]) + 1, sensors, pairs)
        past = load_windows(tx, [rule], span)
        past = past[past["valid"] & past["value"].notna()]
        return usual(windows, past[["subject", "start", "value"]], self._days, rule.baseline)

    def _update(
        self, tx: Transaction, rule: Rule, subjects: Sequence[str], first: int, last: int, now: datetime,
        until: datetime,
    ) -> None:  # fmt: skip
        """Make the alerts of one rule and some subjects equal to the episodes of the windows around a span."""
        clock = microseconds(now)
        stored: dict[str, list[Episode]] = {one: [] for one in subjects}
        for alert in load_alerts(tx, [rule], first - lookback(rule), FOREVER, subjects):
            stored[alert.subject].append(alert)
        # A batch that is read again was received long ago: what was judged since has ended too.
        limit = max([microseconds(until), *(one.judged for mine in stored.values() for one in mine)])
        tasks = {subject: task_of(rule, subject, mine, first) for subject, mine in stored.items()}
        changes: list[Change] = []
        for end in dict.fromkeys((min(limit, last + _REACH * rule.length * 1_000_000), limit)):
            windows = self._windows_of(tx, rule, list(tasks), min(task.start for task in tasks.values()), end)
            for subject, task in list(tasks.items()):
                episodes = task.fold(windows.get(subject, []), clock if end == limit else None)
                if end == limit or task.final(episodes, end):
                    changes += tasks.pop(subject).changes(episodes, clock, end)
            if not tasks:
                break
        write_changes(tx, only_new(tx, changes), now)

    def _windows_of(
        self, tx: Transaction, rule: Rule, subjects: Sequence[str], first: int, last: int
    ) -> Mapping[str, list[Window]]:
        """Read the windows that start from `first` on and end by `last`, by subject."""
        if rule.level == "clock" or first >= last:
            return {}
        windows = load_windows(tx, [rule], Span(first, last, subjects))
        return by_subject(self._compare(tx, rule, of_rule(rule, windows[windows["end"] <= last])))
