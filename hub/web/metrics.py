"""
Numbers for Prometheus, read when they are requested: a service's own, and those of the whole hub.

`hub.web.http` serves them at `/metrics`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

from prometheus_client import Histogram
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from aggregates.store.health import balances, state
from aggregates.store.store import Store, StoreError
from ingest.formats.parts import UNREAD
from streams.notify.operators import open_alerts, outbox

OUTCOMES = ("received", "stored", "duplicate", "corrected", "rejected")
Gauges = Mapping[str, tuple[str, Callable[[], float]]]


def histogram(name: str, text: str, smallest: float) -> Histogram:
    """Make a histogram with two bounds a decade over four and a half of them, from the smallest."""
    bounds = [smallest * 10**power * factor for power in range(5) for factor in (1, 3)]
    return Histogram(f"stadspuls_{name}", text, registry=None, buckets=bounds)


class ServiceCollector(Collector):
    """
    The numbers of this process by name (`gauges`), those of other collectors (`more`), and of the hub of a `database`.

    With the database away only `stadspuls_database_up 0` is given of the hub.
    """

    def __init__(self, gauges: Gauges, more: Sequence[Collector] = (), database: str = "") -> None:
        self._gauges, self._more, self._database = gauges, more, database

    def collect(self) -> Iterable[Metric]:
        """Give every metric."""
        for name, (text, read) in self._gauges.items():
            yield family(name, text, read())
        yield family("unread_total", "numbers in messages that no rule of a mapping file reads", dict(UNREAD), "source")
        for collector in self._more:
            yield from collector.collect()
        if self._database:
            yield from _of_hub(self._database)


def _of_hub(database: str) -> Iterable[Metric]:
    clock = datetime.now(UTC)
    try:
        with closing(Store(database, application="stadspuls metrics")) as store:
            accounting, now = balances(store), state(store, clock)
            alerts, waiting = open_alerts(store), outbox(store, clock)
    except StoreError:
        yield family("database_up", "1 while the database answers", 0)
        return
    yield family("database_up", "1 while the database answers", 1)
    by = ("source", "outcome")
    fates = {(one.source, outcome): getattr(one, outcome) for one in accounting for outcome in OUTCOMES}
    yield family("readings_total", "readings by source and outcome; received is the sum of the others", fates, *by)
    yield family("alerts_open", "alerts that are open", {(one,): count for one, count in alerts.items()}, "severity")
    lengths = {(one.channel,): one.waiting for one in waiting}
    yield family("outbox_waiting", "transitions not delivered yet", lengths, "channel")
    ages = {(one.channel,): one.oldest for one in waiting}
    yield family("outbox_oldest_seconds", "age of the oldest that no silence holds", ages, "channel")
    yield family("dead_letters", "distinct dead letters kept", now.dead_letters)
    yield family("rollup_marks", "marks of closed hours not rolled up", now.marks)
    yield family("rollup_lag_seconds", "seconds that the first of them has waited", now.oldest_mark or 0)
    yield family("series", "series known", now.series)
    yield family("sensors", "sensors known", now.sensors)


def family(name: str, text: str, value: float | Mapping[Any, float], *labels: str) -> Metric:
    """Make a metric of one number, or of numbers by the values of labels; one that ends in `_total` is a counter."""
    kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
    if not isinstance(value, Mapping):
        return kind(f"stadspuls_{name}", text, value=value)
    made = kind(f"stadspuls_{name}", text, labels=labels)
    for values, number in value.items():
        made.add_metric(values, number)
    return made
