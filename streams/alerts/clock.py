"""
What is judged because time passes: windows that ended without a last reading, old alerts, silent sensors.

`hub.run.upkeep` calls `AlertClock.run` at every turn; it does something once a minute. Windows that ended a while ago,
when `streams.commit.pipeline` and `streams.rollup.rollup` have judged almost all of them, join what could not be judged
(`streams.alerts.unjudged`); all of that is judged in slices of time, each in a transaction of its own.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from msgspec.structs import replace

from aggregates.store.store import Store, Transaction
from ingest.vocabulary.readings import microseconds
from streams.alerts.comparison import beyond, by_subject, compare, in_force
from streams.alerts.episodes import FOREVER, fold
from streams.alerts.frames import subjects_of_rule
from streams.alerts.judge import Judge
from streams.alerts.rulebook import Rule
from streams.alerts.store import load_alerts, write_changes

EVERY = timedelta(minutes=1)
SLACK = timedelta(seconds=90)  # after its end a 5-minute window is judged here
REACH = timedelta(days=8)  # a sensor without a reading for longer is not expected any more
WARM = timedelta(minutes=5)  # after its start a hub waits for readings before it judges silence
MOST_SLICES = 100  # judged in one minute
HOURS_TODAY = 6  # that must be over before the day's coverage is judged


class AlertClock:
    """Judges what is due, for as long as a process keeps it."""

    def __init__(self, judge: Judge, zone: str) -> None:
        self._judge, self._zone, self._failures = judge, ZoneInfo(zone), judge.failures
        self._last: datetime | None = None
        self._began: datetime | None = None

    def run(self, store: Store, now: datetime) -> None:
        """Judge what is due at `now`, once a minute. Raises `StoreError`; what was committed before stays."""
        if self._last is not None and now - self._last < EVERY:
            return
        self._began, clock = self._began or now, microseconds(now)
        ((closed,),) = store.rows("note_ended", now=now - SLACK)
        self._judge_noted(store, closed, now)
        for judge in (self._judge.stale, self._judge_sensors):
            with store.transaction() as tx, self._failures.noted(tx, "clock", clock, clock):
                judge(tx, now)
        self._last = now

    def _judge_noted(self, store: Store, closed: datetime, now: datetime) -> None:
        """Judge what is due or could not be judged, a slice a transaction; what fails is noted for the next minute."""
        ((newest,),) = store.rows("read_newest_unjudged")
        for _ in range(MOST_SLICES):
            with store.transaction() as tx:
                taken = tx.rows("take_unjudged", newest=newest, now=now, closed=closed)
                for rule, level, first, end, until in taken:
                    with self._failures.noted(tx, level, microseconds(first), microseconds(end), rule):
                        self._judge.between(tx, rule, level, first, end, now, until)
            if not taken:
                break

    def _judge_sensors(self, tx: Transaction, now: datetime) -> None:
        """Judge silence, clock drift and today's coverage of every sensor, coverage once an hour."""
        rules, clock = self._judge.rules_of("clock"), microseconds(now)
        values: dict[str, list[tuple[Any, ...]]] = {}  # subject, since when (us) it is so, value
        if {"silence", "drift"} & {rule.statistic for rule in rules} and now - (self._began or now) >= WARM:
            newest = tx.rows("list_newest_readings", now=now, reach=REACH)
            values["silence"] = [(sensor, since, missed) for sensor, since, missed, _ in newest]
            values["drift"] = [(sensor, since, ahead) for sensor, since, _, ahead in newest]
        for (closed,) in tx.rows("advance_coverage_today"):
            first = closed.astimezone(self._zone).replace(hour=0, minute=0, second=0, microsecond=0)
            if closed - first >= timedelta(hours=HOURS_TODAY):
                values["coverage_today"] = tx.rows("read_coverage_today", first=first, until=closed)
        for rule in rules:
            if values.get(rule.statistic):
                with self._failures.noted(tx, "clock", clock, clock, rule.name):
                    judge_values(tx, rule, values[rule.statistic], now)


def judge_values(tx: Transaction, rule: Rule, current: Sequence[tuple[Any, ...]], now: datetime) -> None:
    """Judge the values that subjects have now as windows from when it is so until now, and write what changes."""
    clock = microseconds(now)
    windows = pd.DataFrame(current, columns=["subject", "start", "value"])
    end = np.full(len(windows), clock)
    windows = windows.assign(end=end, coverage=np.nan, valid=in_force(rule, end, end), revision=0)
    compared = compare(replace(rule, first=None, last=None), windows)
    tx.rows("lock_alerts")
    stored = {one.subject: one for one in load_alerts(tx, [rule], clock, FOREVER, None) if one.is_open}
    chosen = subjects_of_rule(tx, rule, beyond(compared)) | stored.keys()
    found = (fold(rule, one, some, stored.get(one)) for one, some in by_subject(compared, chosen).items())
    write_changes(tx, [episode for episodes in found for episode in episodes], now)
