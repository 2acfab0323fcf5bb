"""
Numbers for Prometheus, read when they are requested: a service's own, and those of the whole hub.

`hub.web.http` serves them at `/metrics`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from aggregates.store.health import balances, state
from aggregates.store.store import Store, StoreError
from streams.notify.operators import ChannelBacklog, open_alerts, outbox

OUTCOMES = ("received", "stored", "duplicate", "corrected", "rejected")


Gauges = Mapping[str, tuple[str, Callable[[], float]]]


def histogram(name: str, text: str, smallest: float) -> Histogram:
    """Make a histogram with two bounds a decade over four and a half of them, from the smallest."""
    bounds = [smallest * 10**power * factor for power in range(5) for factor in (1, 3)]
    return Histogram(f"stadspuls_{name}", text, registry=None, buckets=bounds)


class ServiceCollector(Collector):
    """The numbers of this process by name (`gauges`), and those of other collectors (`more`)."""

    def __init__(self, gauges: Gauges, more: Sequence[Collector] = ()) -> None:
        self._gauges, self._more = gauges, more

    def collect(self) -> Iterable[Metric]:
        """Give every metric."""
        for name, (text, read) in self._gauges.items():
            yield family(name, text, read())
        for collector in self._more:
            yield from collector.collect()


class HubCollector(ServiceCollector):
    """
    Everything of one hub: `gauges` and `more` are this process's own; the rest is read from the database.

    With the database away only `stadspuls_database_up 0` and the gauges are given.
    """

    def __init__(self, store: Callable[[], Store], gauges: Gauges, more: Sequence[Collector] = ()) -> None:
        super().__init__(gauges, more)
        self._store = store

    def collect(self) -> Iterable[Metric]:
        """Give every metric."""
        yield from super().collect()
        try:
            stored = list(self._stored())
        except StoreError:
            stored = []
        yield GaugeMetricFamily("stadspuls_database_up", "1 while the database answers", value=bool(stored))
        yield from stored

    def _stored(self) -> Iterable[Metric]:
        clock = datetime.now(UTC)
        with closing(self._store()) as store:
            accounting, now = balances(store), state(store, clock)
            delivery = list(_delivery(outbox(store, clock), open_alerts(store)))
        readings = CounterMetricFamily(
            "stadspuls_readings",
            "readings by source and outcome; received is the sum of the others",
            labels=["source", "outcome"],
        )
        for balance in accounting:
            for outcome in OUTCOMES:
                readings.add_metric([balance.source, outcome], getattr(balance, outcome))
        yield readings
        yield from delivery
        yield GaugeMetricFamily("stadspuls_dead_letters", "distinct dead letters kept", value=now.dead_letters)
        yield GaugeMetricFamily("stadspuls_rollup_marks", "marks of closed hours not rolled up", value=now.marks)
        yield GaugeMetricFamily(
            "stadspuls_rollup_lag_seconds", "seconds that the first of them has waited", value=now.oldest_mark or 0
        )
        yield GaugeMetricFamily("stadspuls_series", "series known", value=now.series)
        yield GaugeMetricFamily("stadspuls_sensors", "sensors known", value=now.sensors)


def family(name: str, text: str, value: float) -> Metric:
    """Make a metric of one number; a name that ends in `_total` is a counter."""
    kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
    return kind(f"stadspuls_{name}", text, value=value)


def _delivery(waiting: Sequence[ChannelBacklog], open_alerts: Mapping[str, int]) -> Iterable[Metric]:
    """Give how many alerts stand open, and what of them still has to leave."""
    alerts = GaugeMetricFamily("stadspuls_alerts_open", "alerts that are open", labels=["severity"])
    for severity, count in open_alerts.items():
        alerts.add_metric([severity], count)
    yield alerts
    length = GaugeMetricFamily("stadspuls_outbox_waiting", "transitions not delivered yet", labels=["channel"])
    oldest = GaugeMetricFamily(
        "stadspuls_outbox_oldest_seconds", "age of the oldest that no silence holds", labels=["channel"]
    )
    for one in waiting:
        length.add_metric([one.channel], one.waiting)
        oldest.add_metric([one.channel], one.oldest)
    yield from (length, oldest)


def exposition(collector: Collector) -> bytes:
    """Write all metrics in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    return generate_latest(registry)
