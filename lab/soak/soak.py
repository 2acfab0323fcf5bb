"""
What grows with what is stored: a day of history under load, then `days` of it under the same load.

The hub runs as users run it. A day of history is committed and rolled up, and the load (`lab.soak.load`) begins: the
figures of its first `seconds` are the beginning. Then the other days are committed beneath the same load, oldest first;
when they are rolled up, the figures of `seconds` are the end. In the end every reading must be accounted for, and every
window is compared with its readings. Where no database is named, all is done on a TimescaleDB too, if this machine has
one. The figure is the median that grew most, beside what it was at the beginning.
"""

import time
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from aggregates.store.health import state
from aggregates.store.migrate import edition
from aggregates.store.store import Store
from hub.settings.settings import Settings
from lab.load.alarms import Hook, alerting, webhook
from lab.load.balances import balances
from lab.load.result import Result
from lab.load.servers import NO_TIMESCALE, BenchHub, hub, processes_of, pss, scratch, until
from lab.rig.database import KillableTimescale, installation, running_database
from lab.soak.history import History
from lab.soak.load import PATIENCE, Load
from lab.soak.samples import Span, ratios
from streams.rollup.reconcile import reconcile

MOST = 1.3  # times that a figure may be at the end
LEAST = 2  # hours of all sensors that are rolled up in a span
YARDSTICK = "yardstick"
TABLES = (
    "reading", "window_5m", "window_1h", "window_1d", "sensor_evidence_1h", "sensor_evidence_1d", "mark", "alert",
    "alert_transition", "outbox",
)  # fmt: skip
Figures = dict[str, object]


def soak(settings: Settings, series: int = 400, days: int = 4, period: int = 60, seconds: float = 60.0) -> Result:
    """Measure `seconds` at either end; the default stores 2 million readings and takes some minutes."""
    found = _measured(settings, series, days, period, seconds)
    place = None if settings.database else installation()
    if place is not None:
        with running_database(KillableTimescale(place)) as server:
            changed = settings.model_copy(update={"database": server.conninfo})
            timescale: object = _measured(changed, series, days, period, seconds).details
    else:
        timescale = NO_TIMESCALE
    (name, before, after), details = found.worst, found.details
    details |= {"series": series, "days": days, "period_s": period, "seconds": seconds, "timescale": timescale}
    baseline = f"median of `{name}` at the beginning, wanted at most {MOST} times that"
    return Result("soak", after, "ms", before, baseline, after / before, details)


def _measured(settings: Settings, series: int, days: int, period: int, seconds: float) -> "_Found":
    with scratch(settings) as directory, webhook() as hook, hub(alerting(settings, directory, hook)) as running:
        return _Soak(running, hook, series, days, period).run(seconds)


class _Seen(NamedTuple):
    """When the load ran, and what was used by then."""

    span: Span
    used: Figures


class _Found(NamedTuple):
    """The median that grew most, at the beginning and at the end, and everything."""

    worst: tuple[str, float, float]
    details: Figures


class _Soak:
    def __init__(self, running: BenchHub, hook: Hook, series: int, days: int, period: int) -> None:
        now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        self._running, self._days = running, days
        self._begin = now - timedelta(days=days)
        self._store = Store(running.database, application="stadspuls soak")
        history = History(self._store, series, period, self._begin)
        self._load = Load(running, history, hook, days)

    def run(self, seconds: float) -> "_Found":
        """Fill, measure, fill, measure, and prove."""
        with closing(self._store):
            self._fill(self._days - 1, 1)
            with self._load.running():
                beginning = self._seen(seconds)
                self._fill(0, self._days - 1)
                self._load.hours = 24 * self._days
                end = self._seen(seconds)
            before, after = self._load.samples.ms(beginning.span), self._load.samples.ms(end.span)
            grown = ratios(before, after)
            worst = max(grown.keys() - {YARDSTICK}, key=lambda figure: grown[figure]["p50"])
            details: Figures = {
                "edition": self._edition(),
                "readings": self._load.fates.stored, "ms_beginning": before, "ms_end": after, "end_by_beginning": grown,
                "beginning": beginning.used, "end": end.used, **self._proof(),
            }  # fmt: skip
            return _Found((worst, before[worst]["p50"], after[worst]["p50"]), details)

    def _fill(self, day: int, days: int) -> None:
        """Commit days of history and wait until they are rolled up, and what came at once is vacuumed."""
        self._load.fill(24 * day, 24 * days)
        self._load.until_rolled(self._store, self._begin, datetime.now(UTC) - timedelta(hours=2))
        until(lambda: self._store.rows("count_vacuums") == [(0,)], True, "ends of vacuuming", PATIENCE)

    def _seen(self, seconds: float) -> "_Seen":
        """Let the load run so long, and until some hours were rolled up; give the span, and what is used by then."""
        began = time.perf_counter()

        def enough() -> bool:
            self._load.check()
            whole = self._load.samples.count("roll-up of a whole hour", (began, float("inf")))
            return time.perf_counter() - began > seconds and whole >= LEAST

        until(enough, True, "spans measured", 100 * PATIENCE)
        span: Span = (began, time.perf_counter())
        sizes = {table: self._store.rows("read_table_size", table=table)[0][0] for table in TABLES}
        stored = self._load.fates.stored
        return _Seen(span, {
            "readings": stored, "pss_mb": self._memory(),
            "disk_mb": {table: round(size / 1e6, 1) for table, size in sizes.items()},
            "bytes_a_reading": {table: round(size / stored, 1) for table, size in sizes.items()},
        })  # fmt: skip

    def _edition(self) -> str:
        with self._store.transaction() as tx:
            return str(edition(tx))

    def _memory(self) -> Mapping[str, float]:
        found = {"hub": self._running.pss(), "database": sum(map(pss, processes_of(self._store)))}
        return {name: round(size / 1e6) for name, size in found.items()}

    def _proof(self) -> Figures:
        """Tell whether every reading is accounted for, and compare every window with its readings."""
        fates = self._load.fates
        until(lambda: sum(one.stored for one in balances(self._store)), fates.stored, "readings stored", PATIENCE)
        until(lambda: not state(self._store, datetime.now(UTC)).marks, True, "ends of the roll-up", PATIENCE)
        sums = [sum(column) for column in zip(*(one[1:] for one in balances(self._store)), strict=True)]
        began, compared, differ = time.perf_counter(), 0, 0
        first = self._begin - timedelta(hours=self._load.before)
        for found in reconcile(self._store, first.date(), datetime.now(UTC).date() + timedelta(days=1)):
            compared, differ = compared + found.compared, differ + len(found.windows)
        received, stored, duplicate, corrected, rejected = sums
        return {
            "accounted": received == stored + duplicate + corrected + rejected
            and (stored, duplicate, corrected, rejected) == (fates.stored, fates.duplicate, fates.corrected, 0),
            "received": received, "stored": stored, "duplicate": duplicate, "corrected": corrected,
            "windows_compared": compared, "windows_that_differ": differ,
            "reconcile_s": round(time.perf_counter() - began, 1),
        }  # fmt: skip
