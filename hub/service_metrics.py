"""
The numbers of one service for Prometheus: what it counts itself, without asking the database.

`hub.distributed` gives each service one, `hub.http` serves it; `hub.metrics` has those of the whole hub.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from hub.http import HttpServer, application
from hub.metrics import family
from hub.running import CLOSE_WITHIN, running
from hub.settings import Settings

Gauges = Mapping[str, tuple[str, Callable[[], float]]]


class ServiceCollector(Collector):
    """What a service counts and what it shows, by name."""

    def __init__(self, numbers: Gauges) -> None:
        self._numbers = numbers

    def collect(self) -> Iterable[Metric]:
        """Give every metric."""
        for name, (text, read) in self._numbers.items():
            yield family(name, text, read())


@contextmanager
def metrics(settings: Settings, numbers: Gauges, health: Callable[[], Mapping[str, object]]) -> Iterator[None]:
    """Serve a service's own numbers, where a port is set for them."""
    with served(settings, ServiceCollector(numbers), health):
        yield


@contextmanager
def served(settings: Settings, collector: Collector, health: Callable[[], Mapping[str, object]]) -> Iterator[None]:
    """Serve a collector of metrics, where a port is set for it."""
    if not settings.metrics_port:
        yield
        return
    server = HttpServer(application(collector, health), settings.metrics_host, settings.metrics_port)
    with running(server, CLOSE_WITHIN):
        yield
