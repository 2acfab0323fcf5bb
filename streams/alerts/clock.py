"""
What is judged because time passes: windows that ended without a last reading, old alerts, silent sensors.

`hub.run.upkeep` calls `AlertClock.run` at every turn; it does something once a minute. It judges windows a while after
they ended, when `streams.commit.pipeline` and `streams.rollup.rollup` have judged almost all of them; and again what
could not be judged (`streams.alerts.unjudged`), in slices of time, each in a transaction of its own.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from aggregates.store.store import Store, Transaction
from ingest.vocabulary.readings import microseconds
from streams.alerts.changes import change_of_value
from streams.alerts.comparison import in_force
from streams.alerts.frames import subjects_of_rule
from streams.alerts.judge import FOREVER, Judge
from streams.alerts.rulebook import Rule
from streams.alerts.store import AlertChange, load_alerts, write_changes
from streams.alerts.unjudged import Failures

EVERY = timedelta(minutes=1)
SLACK = timedelta(seconds=90)  # after its end a 5-minute window is judged here
REACH = timedelta(days=8)  # a sensor without a reading for longer is not expected any more
WARM = timedelta(minutes=5)  # after its start a hub waits for readings before it judges silence
MOST = timedelta(days=1)  # of 5-minute windows that are judged after the hub was stopped
SLICE = {"5m": timedelta(hours=1), "1h": timedelta(days=1), "1d": timedelta(days=30)}  # judged again together
MOST_SLICES = 100  # of one rule and level in one minute
HOURS_TODAY = 6  # that must be over before the day's coverage is judged

CurrentValues = Sequence[tuple[str, int, float]]  # subject, since when (us) it is so, value


class AlertClock:
    """Judges what is due, for as long as a process keeps it."""

    def __init__(self, judge: Judge, zone: str) -> None:
        self._judge, self._zone, self._failures = judge, ZoneInfo(zone), judge.failures
        self._last: datetime | None = None
        self._began: datetime | None = None

    def run(self, store: Store, now: datetime) -> None:
        """
        Judge what is due at `now`, if the last time was a minute ago.

        Raises `aggregates.store.store.StoreError`; what was committed before stays.
        """
        if self._last is not None and now - self._last < EVERY:
            return
        self._began = self._began or now
        with store.transaction() as tx:
            judged = dict(tx.rows("read_alert_clock"))
        slot = (now - SLACK).replace(second=0, microsecond=0)
        self._judge_ended(store, "5m", judged, slot - timedelta(minutes=slot.minute % 5), now)
        ((closed,),) = store.rows("read_closed_until")
        clock = microseconds(now)
        self._judge_again(store, closed, now)
        self._judge_ended(store, "1d", judged, closed, now)
        with store.transaction() as tx, self._failures.noted(tx, "clock", clock, clock), tx.savepoint():
            self._judge.stale(tx, now)
        self._judge_sensors(store, judged, closed, now)
        self._last = now

    def _judge_ended(
        self, store: Store, level: str, judged: dict[str, datetime], until: datetime, now: datetime
    ) -> None:
        """Judge the windows of a level that ended since the last time; `judged` has that time by level."""
        since = judged.get(level)
        if since is not None and since >= until:
            return
        with store.transaction() as tx:
            if since is not None:
                first = max(since, until - MOST) if level == "5m" else since
                with self._failures.noted(tx, level, microseconds(first), microseconds(until)), tx.savepoint():
                    self._judge.every(tx, level, first, until, now)
            tx.rows("advance_alert_clock", level=level, judged=until)

    def _judge_again(self, store: Store, closed: datetime, now: datetime) -> None:
        """Judge what could not be judged; what fails again is noted again, for the next minute."""
        for rule, level, numbers, first, last, error in store.rows("list_unjudged"):
            until = now if level == "5m" else closed
            for _ in range(MOST_SLICES):
                if level in SLICE and first >= until:  # it stays noted until it is closed
                    break
                with store.transaction() as tx:
                    ((taken,),) = tx.rows("take_unjudged", numbers=numbers)
                    if not taken or level not in SLICE:  # what the clock judges is judged every minute anyway
                        break
                    end = min(last, first + SLICE[level], until)
                    with self._failures.noted(tx, level, microseconds(first), microseconds(end), rule), tx.savepoint():
                        self._judge.again(tx, rule, level, first, end, now, until)
                    if end == last:
                        break
                    ((left,),) = tx.rows("note_unjudged", rule=rule, level=level, first=end, last=last, error=error)
                    numbers, first = [left], end

    def _judge_sensors(self, store: Store, judged: dict[str, datetime], closed: datetime, now: datetime) -> None:
        """Judge silence, clock drift and today's coverage of every sensor."""
        rules: dict[str, list[Rule]] = {}
        for rule in self._judge.book.of("clock"):
            rules.setdefault(rule.statistic, []).append(rule)
        clock = microseconds(now)
        with store.transaction() as tx, self._failures.noted(tx, "clock", clock, clock), tx.savepoint():
            if rules.keys() & {"silence", "drift"} and now - (self._began or now) >= WARM:
                last = tx.rows("list_newest_readings", now=now, reach=REACH)
                silence = [(sensor, since, missed) for sensor, since, missed, _ in last]
                drift = [(sensor, since, ahead) for sensor, since, _, ahead in last]
                for name, values in (("silence", silence), ("drift", drift)):
                    judge_values(tx, rules.get(name, ()), values, now, self._failures)
            if "coverage_today" in rules and closed > judged.get("coverage_today", closed - EVERY):
                judge_values(tx, rules["coverage_today"], self._coverage_today(tx, closed), now, self._failures)
                tx.rows("advance_alert_clock", level="coverage_today", judged=closed)

    def _coverage_today(self, tx: Transaction, closed: datetime) -> CurrentValues:
        first = closed.astimezone(self._zone).replace(hour=0, minute=0, second=0, microsecond=0)
        if closed - first < timedelta(hours=HOURS_TODAY):
            return []
        rows = tx.rows("read_coverage_today", first=first, until=closed)
        return [(sensor, since, covered) for sensor, since, covered in rows]


def judge_values(
    tx: Transaction, rules: Sequence[Rule], values: CurrentValues, now: datetime, failures: Failures
) -> None:
    """Judge the values that subjects have now, and write what changes; a rule that fails stops no other."""
    clock = microseconds(now)
    for rule in rules:
        with failures.noted(tx, "clock", clock, clock, rule.name), tx.savepoint():
            if changes := list(_changes(tx, rule, values, now)):
                write_changes(tx, changes, now)


def _changes(tx: Transaction, rule: Rule, current: CurrentValues, now: datetime) -> Iterator[AlertChange]:
    clock = microseconds(now)
    force = in_force(rule, np.array([clock]), np.array([clock]))[0]
    values = np.array([value if force else np.nan for *_, value in current])
    high = rule.beyond(values, rule.raise_at)
    chosen = subjects_of_rule(tx, rule, {one[0] for one, is_high in zip(current, high, strict=True) if is_high})
    tx.rows("lock_alerts")
    stored = {one.subject: one for one in load_alerts(tx, [rule.name], clock, FOREVER) if one.until is None}
    for (subject, since, _), value in zip(current, values, strict=True):
        if subject in chosen or subject in stored:
            yield from change_of_value(rule, subject, stored.get(subject), since, value, clock)
