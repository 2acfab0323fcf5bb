"""
What only the clock tells: windows that ended without a last reading, alerts nothing was heard of, silent sensors.

`hub.run.upkeep` calls `Ticker.tick` at every turn; it does something once a minute. It looks at windows a while after
they ended, when `streams.commit.pipeline` and `streams.rollup.rollup` have judged almost all of them.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from aggregates.store.store import Store, Transaction
from ingest.vocabulary.readings import microseconds
from streams.alerts.changes import fold_on
from streams.alerts.judge import FOREVER, Judge
from streams.alerts.rulebook import Rule
from streams.alerts.seen import in_force
from streams.alerts.store import Change, belonging, near, write

EVERY = timedelta(minutes=1)
SLACK = timedelta(seconds=90)  # after its end a 5-minute window is looked at by the clock
REACH = timedelta(days=8)  # a sensor that was not heard of for longer is expected no more
WARM = timedelta(minutes=5)  # a hub that was away says nothing of silence before the sensors had time to be heard
MOST = timedelta(days=1)  # of 5-minute windows after a hub was away
HOURS_TODAY = 6  # that must be over before the day's coverage says anything

Told = Sequence[tuple[str, int, float]]  # subject, since (us), value


class Ticker:
    """The judge's clock, for as long as a process keeps the hub up."""

    def __init__(self, judge: Judge, zone: str) -> None:
        self._judge, self._zone = judge, ZoneInfo(zone)
        self._last: datetime | None = None
        self._began: datetime | None = None

    def tick(self, store: Store, now: datetime) -> None:
        """
        Judge what is due at `now`.

        Raises `aggregates.store.store.StoreError`; whatever was committed by then stays.
        """
        if self._last is not None and now - self._last < EVERY:
            return
        self._began = self._began or now
        with store.transaction() as tx:
            clock = dict(tx.rows("read_alert_clock"))
        slot = (now - SLACK).replace(second=0, microsecond=0)
        self._sweep(store, "5m", clock, slot - timedelta(minutes=slot.minute % 5), now)
        ((closed,),) = store.rows("read_closed_until")
        self._sweep(store, "1d", clock, closed, now)
        with store.transaction() as tx:
            self._judge.stale(tx, now)
        self._health(store, clock, closed, now)
        self._last = now

    def _sweep(self, store: Store, level: str, clock: dict[str, datetime], until: datetime, now: datetime) -> None:
        """Judge the windows of a level that ended since the last look."""
        since = clock.get(level)
        if since is not None and since >= until:
            return
        with store.transaction() as tx:
            if since is not None and self._judge.watches(level):
                self._judge.every(tx, level, max(since, until - MOST) if level == "5m" else since, until, now)
            tx.rows("advance_alert_clock", level=level, judged=until)

    def _health(self, store: Store, clock: dict[str, datetime], closed: datetime, now: datetime) -> None:
        rules: dict[str, list[Rule]] = {}
        for rule in self._judge.book.of("clock"):
            rules.setdefault(rule.statistic, []).append(rule)
        with store.transaction() as tx:
            if rules.keys() & {"silence", "drift"} and now - (self._began or now) >= WARM:
                heard = tx.rows("list_newest_readings", now=now, reach=REACH)
                silence = [(sensor, since, missed) for sensor, since, missed, _ in heard]
                drift = [(sensor, since, ahead) for sensor, since, _, ahead in heard]
                for name, told in (("silence", silence), ("drift", drift)):
                    judge_told(tx, rules.get(name, ()), told, now)
            if "coverage_today" in rules and closed > clock.get("coverage_today", closed - EVERY):
                judge_told(tx, rules["coverage_today"], self._coverage(tx, closed), now)
                tx.rows("advance_alert_clock", level="coverage_today", judged=closed)

    def _coverage(self, tx: Transaction, closed: datetime) -> Told:
        first = closed.astimezone(self._zone).replace(hour=0, minute=0, second=0, microsecond=0)
        if closed - first < timedelta(hours=HOURS_TODAY):
            return []
        return [(sensor, since, covered) for sensor, since, covered in
                tx.rows("read_coverage_today", first=first, until=closed)]  # fmt: skip


def judge_told(tx: Transaction, rules: Sequence[Rule], told: Told, now: datetime) -> None:
    """Judge values that are as they are now, of the subjects that have one."""
    for rule in rules:
        changes = list(_changes(tx, rule, told, now))
        if changes:
            write(tx, changes, now)


def _changes(tx: Transaction, rule: Rule, told: Told, now: datetime) -> Iterator[Change]:
    clock = microseconds(now)
    force = in_force(rule, np.array([clock]), np.array([clock]))[0]
    values = np.array([value if force else np.nan for *_, value in told])
    beyond = rule.beyond(values, rule.raise_at)
    chosen = belonging(tx, rule, {one[0] for one, high in zip(told, beyond, strict=True) if high})
    tx.rows("lock_alerts")
    kept = {one.subject: one for one in near(tx, [rule.name], clock, FOREVER, None) if one.until is None}
    for (subject, since, _), value in zip(told, values, strict=True):
        if subject in chosen or subject in kept:
            yield from fold_on(rule, subject, kept.get(subject), since, value, clock)
