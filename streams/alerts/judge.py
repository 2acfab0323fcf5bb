"""
Judges windows that changed, and what the clock tells, in the transaction that changed them.

The pipeline calls `Judge.changed` for 5 minutes, the roll-up for hours and days; `streams.alerts.clock` asks once a
minute for windows that ended without a last reading, alerts that nothing was heard of, and the health of sensors. The
store's alerts are made equal to what `streams.alerts.episodes` makes of the windows, so that neither order nor a
redelivery nor a restart changes them:

    changed windows ─▶ candidates (beyond a threshold, or near an alert) ─▶ lock ─▶ fold ─▶ differences ─▶ outbox

The lock is taken last in a transaction: whoever holds it waits for nobody.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa

from aggregates.store.store import Transaction
from ingest.vocabulary.air_index import INDICES
from ingest.vocabulary.batch import coded, numbers
from ingest.vocabulary.quantities import QUANTITIES
from ingest.vocabulary.readings import microseconds, utc
from streams.alerts.baseline import Usual, needed, usual
from streams.alerts.calendar import Days
from streams.alerts.changes import already_said, by_subject, lookback, only_new, task_of
from streams.alerts.episodes import Window
from streams.alerts.rulebook import SECONDS, Rule, RuleBook
from streams.alerts.seen import Seen, may_raise, of_rule, see
from streams.alerts.store import (
    Change,
    Changed,
    Kept,
    Span,
    belonging,
    count_stuck,
    load_windows,
    near,
    with_share,
    write,
)
from streams.commit.windows import WINDOW_US

FOREVER = 250_000_000_000_000_000  # us, a stamp that the database still takes
_REACH = 24  # windows beyond the last change that are looked at before all are


class Judge:
    """The rules of a hub at work."""

    def __init__(self, book: RuleBook, days: Days) -> None:
        self.book, self.days = book, days
        self._quantities = {level: quantities_of(book.of(level)) for level in ("5m", "1h", "1d")}

    def watches(self, level: str) -> frozenset[str]:
        """The quantities that some rule looks at on a level."""
        return self._quantities[level]

    def batch(self, tx: Transaction, readings: pa.RecordBatch) -> int:
        """Judge the 5-minute windows of a batch that had ended when it was received; give how many alerts changed."""
        codes, words = coded(readings, "quantity")
        watched = np.array([word in self.watches("5m") for word in words], bool)
        if not watched.any():
            return 0
        now = int(numbers(readings, "received_at").max())
        start = numbers(readings, "start")
        start = start - start % WINDOW_US
        chosen = watched[codes] & (start + WINDOW_US <= now)
        codes, words = coded(readings, "sensor_id")
        return self.changed(tx, "5m", Changed([words[code] for code in codes[chosen]], start[chosen]), utc(now))

    def rolled(self, tx: Transaction, until: datetime, now: datetime) -> int:
        """Judge the hours in the table `dirty` and their days, as far as they ended by `until`."""
        found = 0
        for level in ("1h", "1d"):
            if self.watches(level):
                rows = tx.rows(f"list_rolled_{level}", quantities=sorted(self.watches(level)), until=until)
                starts = np.array([microseconds(start) for _, start in rows], np.int64)
                found += self.changed(tx, level, Changed([sensor for sensor, _ in rows], starts), now, until)
        return found

    def changed(
        self, tx: Transaction, level: str, windows: Changed, now: datetime, until: datetime | None = None
    ) -> int:
        """
        Judge windows that changed and have ended by `until` (else `now`); give how many alerts changed.

        Raises `aggregates.store.store.StoreError`.
        """
        rules = self._rules(level, "sensor")
        if not rules or not len(windows.starts):
            return 0
        return self._judge(tx, rules, level, windows.span(), now, until or now)

    def every(self, tx: Transaction, level: str, first: datetime, last: datetime, now: datetime) -> int:
        """Judge the windows of all sensors and areas that ended in `(first, last]`."""
        longest = 25 * 3600 if level == "1d" else SECONDS[level]
        span = Span(microseconds(first) - longest * 1_000_000, microseconds(last))
        books = [rules for per in ("sensor", "area") if (rules := self._rules(level, per))]
        return sum(self._judge(tx, rules, level, span, now, last, first) for rules in books)

    def areas(self, tx: Transaction, level: str, quantity: str, first: datetime, last: datetime, now: datetime) -> int:
        """Judge the windows of areas of a quantity whose start lies in `[first, last]`."""
        rules = [rule for rule in self._rules(level, "area") if quantity in quantities_of([rule])]
        span = Span(microseconds(first), microseconds(last) + 1)
        return self._judge(tx, rules, level, span, now, now) if rules else 0

    def _rules(self, level: str, per: str) -> list[Rule]:
        return [rule for rule in self.book.of(level) if rule.per == per]

    def _judge(
        self,
        tx: Transaction,
        rules: Sequence[Rule],
        level: str,
        span: Span,
        now: datetime,
        until: datetime,
        after: datetime | None = None,
    ) -> int:
        """Judge the windows of a span that ended by `until`, and after `after`."""
        windows = load_windows(tx, level, sorted(quantities_of(rules)), span, rules[0].per)
        ended = windows["end"] <= microseconds(until)
        windows = windows[ended if after is None else ended & (windows["end"] > microseconds(after))]
        if not len(windows):
            return 0
        first, last = int(windows["start"].min()), int(windows["end"].max())
        reach = max(lookback(rule) for rule in rules)
        known = near(tx, [rule.name for rule in rules], first - reach, last, None)
        tasks = list(self._candidates(tx, rules, windows, known, now))
        if not tasks:
            return 0
        tx.rows("lock_alerts")
        return sum(self._settle(tx, rule, subjects, first, last, now, until) for rule, subjects in tasks)

    def _candidates(
        self, tx: Transaction, rules: Sequence[Rule], windows: pd.DataFrame, known: Sequence[Kept], now: datetime
    ) -> Iterator[tuple[Rule, list[str]]]:
        """Give each rule with the subjects that it may have something to say of."""
        parts = dict(iter(windows.groupby("quantity", sort=False)))
        present = set(windows["subject"].unique())
        watched: dict[str, set[str]] = {}
        for one in known:
            watched.setdefault(one.rule, set()).add(one.subject)
        for rule in rules:
            part = parts.get(rule.quantity) if rule.quantity in QUANTITIES else of_rule(rule, windows)
            found = watched.get(rule.name, set()) & present
            if part is not None and may_raise(rule, part):
                limit = rule.times["retrospect"] or FOREVER
                recent = part[part["end"].to_numpy() > microseconds(now) - limit]
                found = found | _chosen(tx, rule, self.see(tx, rule, recent))
            if found:
                yield rule, sorted(found)

    def see(self, tx: Transaction, rule: Rule, windows: pd.DataFrame, *, effective: bool = True) -> Seen:
        """Compare what a rule compares, reading what it needs beside its windows."""
        if rule.share_of:
            windows = with_share(tx, rule, windows)
        elif rule.statistic == "stuck":
            windows = count_stuck(tx, windows)
        return see(rule, windows, lambda rule, windows: self._usual(tx, rule, windows), effective=effective)

    def _usual(self, tx: Transaction, rule: Rule, windows: pd.DataFrame) -> Usual:
        """Load the earlier hours that these hours are compared with, and say what is usual."""
        assert rule.baseline is not None
        starts = needed(windows["start"].to_numpy(np.int64), self.days, rule.baseline)
        if not len(starts):
            return Usual(*(np.full(len(windows), np.nan) for _ in range(2)))
        sensors = windows["subject"].unique().tolist()
        pairs = ([one for one in sensors for _ in starts], np.tile(starts, len(sensors)))
        span = Span(int(starts[0]), int(starts[-1]) + 1, sensors, pairs)
        past = load_windows(tx, rule.level, [rule.quantity], span)
        past = past[past["valid"] & past["value"].notna()]
        return usual(windows, past[["subject", "start", "value"]], self.days, rule.baseline)

    def _settle(
        self,
        tx: Transaction,
        rule: Rule,
        subjects: Sequence[str],
        first: int,
        last: int,
        now: datetime,
        until: datetime,
    ) -> int:
        """Make the alerts of one rule and some subjects equal to what their windows around a span say."""
        clock = microseconds(now)
        kept = near(tx, [rule.name], first - lookback(rule), FOREVER, subjects)
        # A batch that is read again was received long ago: what was judged since has ended too.
        limit = max([microseconds(until), *(one.judged for one in kept)])
        tasks = {one: task_of(rule, one, mine, first) for one, mine in by_subject(kept, subjects).items()}
        changes: list[Change] = []
        for end in dict.fromkeys((min(limit, last + _REACH * rule.length * 1_000_000), limit)):
            windows = self._windows_of(tx, rule, list(tasks), min(task.start for task in tasks.values()), end)
            found = {
                one: task.fold(windows.get(one, []), clock if end == limit else None) for one, task in tasks.items()
            }
            done = [one for one, task in tasks.items() if end == limit or task.settled(found[one], end)]
            changes += [change for one in done for change in tasks.pop(one).differences(found[one], clock, end)]
            if not tasks:
                break
        said = already_said(tx, changes)
        write(tx, [only_new(change, said) for change in changes], now)
        return len(changes)

    def _windows_of(
        self, tx: Transaction, rule: Rule, subjects: Sequence[str], first: int, last: int
    ) -> Mapping[str, list[Window]]:
        """Read the windows that start from `first` on and end by `last`, by subject."""
        if rule.level == "clock" or first >= last:
            return {}
        windows = load_windows(tx, rule.level, sorted(quantities_of([rule])), Span(first, last, subjects), rule.per)
        return dict(self.see(tx, rule, of_rule(rule, windows[windows["end"] <= last])).by_subject())

    def stale(self, tx: Transaction, now: datetime) -> int:
        """Say of open alerts that nothing can be judged any more, and clear them in the end; at once without a rule."""
        until = microseconds(now)
        rules = {rule.name: rule for rule in self.book.rules}
        limits = [(name, rule.times["patience"], rule.times["forget"]) for name, rule in rules.items()]
        found = tx.rows(
            "list_stale_alerts", rule=[name for name, *_ in limits],
            patience=[now - timedelta(microseconds=patience) for _, patience, _ in limits],
            forget=[now - timedelta(microseconds=forget) for *_, forget in limits],
        )  # fmt: skip
        if not found:
            return 0
        tx.rows("lock_alerts")
        subjects: dict[str, list[str]] = {}
        for rule, subject in found:
            subjects.setdefault(rule, []).append(subject)
        ((gone,),) = tx.rows("clear_orphaned_alerts", rules=list(rules), now=now)
        known = [(rules[name], some) for name, some in subjects.items() if name in rules]
        return int(gone) + sum(self._settle(tx, rule, some, until, until, now, now) for rule, some in known)


def quantities_of(rules: Sequence[Rule]) -> frozenset[str]:
    """Name the quantities that rules look at; an index looks at its substances."""
    found: set[str] = set()
    for rule in rules:
        if rule.quantity == "any":
            found |= QUANTITIES.keys()
        else:
            found |= INDICES[rule.quantity].bounds.keys() if rule.quantity in INDICES else {rule.quantity}
    return frozenset(found)


def _chosen(tx: Transaction, rule: Rule, seen: Seen) -> set[str]:
    """The subjects with a window beyond the threshold that are the rule's, by name, source, kind and area."""
    return belonging(tx, rule, {str(one) for one in seen.frame["subject"].to_numpy()[seen.raising(rule)]})
