"""
The benches by name: what `stadspuls bench` can measure.

A bench takes the settings and a recorded file, uses what it needs of them, and gives a `lab.load.result.Result`; the
docstring of its module has what it measures, and beside what.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from hub.settings.settings import Settings
from lab.bench.alerts import alerts
from lab.bench.archive import archive
from lab.bench.areas import areas
from lab.bench.collect import collect
from lab.bench.latency import latency
from lab.bench.national import national
from lab.bench.page import page
from lab.bench.query import query
from lab.bench.workers import scale, worker
from lab.bench.write import write
from lab.load.result import Result
from lab.load.sta import sta
from lab.soak.publish import publish
from lab.soak.soak import soak

Bench = Callable[[Settings, Path | None], Result]


def measure(name: str, settings: Settings, file: Path | None, **more: int) -> Result:
    """Run a bench; `more` are the options that it alone has (`OPTIONS`), 0 for its own default."""
    own = {option: more[option] for option in OPTIONS.get(name, ()) if more.get(option)}
    return MEASURES[name](settings, **own) if own else BENCHES[name](settings, file)


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
        "page": lambda settings, _: page(settings),
        "publish": lambda settings, _: publish(settings),
        "soak": lambda settings, _: soak(settings),
        "sta": lambda settings, _: sta(settings),
    }
)
MEASURES: Mapping[str, Callable[..., Result]] = MappingProxyType({"latency": latency, "soak": soak})
OPTIONS: Mapping[str, Sequence[str]] = MappingProxyType(
    {"latency": ["viewers"], "soak": ["series", "days", "period", "seconds"]}
)
