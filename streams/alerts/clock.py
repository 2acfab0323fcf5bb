"""
What is judged because time passes: windows that ended without a last reading, old alerts, silent sensors.

`hub.run.upkeep` calls `AlertClock.run` at every turn; it does something once a minute. Windows that ended a while ago,
when `streams.commit.pipeline` and `streams.rollup.rollup` have judged almost all of them, join what could not be judged
(`streams.alerts.unjudged`); all of that is judged in slices of time, each in a transaction of its own.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import chain
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from aggregates.store.store import Store, Transaction
from ingest.vocabulary.readings import microseconds
from streams.alerts.comparison import beyond, by_subject, compare, in_force
from streams.alerts.episodes import fold
from streams.alerts.frames import subjects_of_rule
from streams.alerts.judge import FOREVER, Judge
from streams.alerts.rulebook import Rule
from streams.alerts.store import load_alerts, write_changes
from streams.alerts.unjudged import ALL

EVERY = timedelta(minutes=1)
SLACK = timedelta(seconds=90)  # after its end a 5-minute window is judged here
REACH = timedelta(days=8)  # a sensor without a reading for longer is not expected any more
WARM = timedelta(minutes=5)  # after its start a hub waits for readings before it judges silence
MOST = timedelta(days=1)  # of 5-minute windows that are judged after the hub was stopped
LENGTHS = {"5m": (timedelta(minutes=5),) * 2, "1d": (timedelta(hours=23), timedelta(hours=25))}  # of what is due
SLICE = {"5m": timedelta(hours=1), "1h": timedelta(days=1), "1d": timedelta(days=30)}  # judged again together
MOST_SLICES = 100  # of one rule and level in one minute
HOURS_TODAY = 6  # that must be over before the day's coverage is judged

CurrentValues = Sequence[tuple[Any, ...]]  # subject, since when (us) it is so, value


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
        judged = dict(store.rows("read_alert_clock"))
        ((closed,),) = store.rows("read_closed_until")
        slot = (now - SLACK).replace(second=0, microsecond=0)
        self._note_ended(store, "5m", judged, slot - timedelta(minutes=slot.minute % 5))
        self._note_ended(store, "1d", judged, closed)
        self._judge_noted(store, closed, now)
        clock = microseconds(now)
        with store.transaction() as tx, self._failures.noted(tx, "clock", clock, clock), tx.savepoint():
            self._judge.stale(tx, now)
        self._judge_sensors(store, judged, closed, now)
        self._last = now

    def _note_ended(self, store: Store, level: str, judged: Mapping[str, datetime], until: datetime) -> None:
        """Note the windows of a level that ended since the last time as due; `judged` has that time by level."""
        since = judged.get(level)
        if since is not None and since >= until:
            return
        with store.transaction() as tx:
            if since is not None:
                shortest, longest = LENGTHS[level]
                first = max(since, until - MOST) if level == "5m" else since
                span = {"first": first - longest, "last": until - shortest}
                tx.rows("note_unjudged", rule=ALL, level=level, **span, error="")
            tx.rows("advance_alert_clock", level=level, judged=until)

    def _judge_noted(self, store: Store, closed: datetime, now: datetime) -> None:
        """Judge what is due or could not be judged; what fails is noted again, for the next minute."""
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
                        self._judge.between(tx, rule, level, first, end, now, until)
                    if end == last:
                        break
                    ((left,),) = tx.rows("note_unjudged", rule=rule, level=level, first=end, last=last, error=error)
                    numbers, first = [left], end

    def _judge_sensors(self, store: Store, judged: Mapping[str, datetime], closed: datetime, now: datetime) -> None:
        """Judge silence, clock drift and today's coverage of every sensor."""
        rules, clock = self._judge.rules_of("clock"), microseconds(now)
        with store.transaction() as tx, self._failures.noted(tx, "clock", clock, clock), tx.savepoint():
            values: dict[str, CurrentValues] = {}
            if {"silence", "drift"} & {rule.statistic for rule in rules} and now - (self._began or now) >= WARM:
                newest = tx.rows("list_newest_readings", now=now, reach=REACH)
                values["silence"] = [(sensor, since, missed) for sensor, since, missed, _ in newest]
                values["drift"] = [(sensor, since, ahead) for sensor, since, _, ahead in newest]
            if closed > judged.get("coverage_today", closed - EVERY):
                first = closed.astimezone(self._zone).replace(hour=0, minute=0, second=0, microsecond=0)
                if closed - first >= timedelta(hours=HOURS_TODAY):
                    values["coverage_today"] = tx.rows("read_coverage_today", first=first, until=closed)
                tx.rows("advance_alert_clock", level="coverage_today", judged=closed)
            for rule in rules:
                if rule.statistic in values:
                    with self._failures.noted(tx, "clock", clock, clock, rule.name), tx.savepoint():
                        judge_values(tx, rule, values[rule.statistic], now)


def judge_values(tx: Transaction, rule: Rule, current: CurrentValues, now: datetime) -> None:
    """Judge the values that subjects have now as windows from when it is so until now, and write what changes."""
    clock = microseconds(now)
    valid = in_force(rule, np.array([clock]), np.array([clock]))[0]
    windows = pd.DataFrame(current, columns=["subject", "start", "value"])
    windows = windows.assign(end=clock, coverage=np.nan, valid=valid, revision=0)
    compared = compare(rule, windows, effective=False)
    tx.rows("lock_alerts")
    stored = {one.subject: one for one in load_alerts(tx, [rule], clock, FOREVER) if one.until is None}
    chosen = subjects_of_rule(tx, rule, beyond(compared)) | stored.keys()
    found = (fold(rule, one, some, stored.get(one)) for one, some in by_subject(compared, chosen).items())
    write_changes(tx, list(chain.from_iterable(found)), now)
