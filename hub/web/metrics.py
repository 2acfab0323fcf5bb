"""
Numbers for Prometheus, read when they are requested: a service's own, and those of the whole hub.

`metrics.toml` names them all; `hub.web.http` serves them at `/metrics`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from functools import partial
from operator import attrgetter
from typing import Any

from prometheus_client import Histogram
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from aggregates.store.errors import StoreError
from aggregates.store.store import Store
from ingest.formats.parts import UNREAD
from ingest.vocabulary.values import shipped_toml

METRICS: Mapping[str, Mapping[str, Any]] = shipped_toml(__file__, "metrics.toml")
Gauges = dict[str, tuple[str, Callable[[], float]]]


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


def numbers(service: str, of: object) -> Gauges:
    """Give the numbers of a service by name, each with its meaning, out of the attributes of its parts."""
    return {name: (about["text"], partial(attrgetter(about["of"]), of)) for name, about in METRICS[service].items()}


def _of_hub(database: str) -> Iterable[Metric]:
    found: dict[str, dict[tuple[str, ...], float]] = {name: {} for name in METRICS["hub"]}
    is_up = False
    with suppress(StoreError), closing(Store(database, application="stadspuls metrics")) as store:
        for name, labels, number in store.rows("hub_numbers", now=datetime.now(UTC), since=None):
            found[name][tuple(labels)] = number
        is_up = True
    yield family("database_up", "1 while the database answers", is_up)
    for name, about in METRICS["hub"].items() if is_up else ():
        labels = about.get("labels", ())
        yield family(name, about["text"], found[name] if labels else found[name][()], *labels)


def family(name: str, text: str, value: float | Mapping[Any, float], *labels: str) -> Metric:
    """Make a metric of one number, or of numbers by the values of labels; one that ends in `_total` is a counter."""
    kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
    if not isinstance(value, Mapping):
        return kind(f"stadspuls_{name}", text, value=value)
    made = kind(f"stadspuls_{name}", text, labels=labels)
    for values, number in value.items():
        made.add_metric(values, number)
    return made
