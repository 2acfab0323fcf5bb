"""
The benches by name: what `stadspuls bench` can measure.

A bench takes the settings and a recorded file, uses what it needs of them, and gives a `lab.bench.result.Result`; the
docstring of its module has what it measures, and beside what.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from hub.settings.settings import Settings
from lab.bench.alerts import alerts
from lab.bench.archive import archive
from lab.bench.areas import areas
from lab.bench.collect import collect
from lab.bench.latency import latency
from lab.bench.national import national
from lab.bench.query import query
from lab.bench.result import Result
from lab.bench.workers import scale, worker
from lab.bench.write import write

Bench = Callable[[Settings, Path | None], Result]


def measure(name: str, settings: Settings, file: Path | None, viewers: int = 0) -> Result:
    """Run a bench; `viewers` look at the live page while `latency` measures."""
    return latency(settings, viewers=viewers) if name == "latency" else BENCHES[name](settings, file)


BENCHES: Mapping[str, Bench] = MappingProxyType(
    {
        "write": lambda settings, _: write(settings),
        "collect": lambda _settings, _: collect(),
        "national": national,
        "latency": lambda settings, _: latency(settings),
        "query": lambda settings, _: query(settings),
        "archive": archive,
        "worker": lambda settings, _: worker(settings),
        "scale": lambda settings, _: scale(settings),
        "alerts": lambda settings, _: alerts(settings),
        "areas": lambda settings, _: areas(settings),
    }
)
