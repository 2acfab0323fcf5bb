"""
Gateways as a part of a hub: their settings, the area they are limited to, and their metrics.

`hub.cli.gateway` runs them alone, `hub.run.open_data` inside `stadspuls up --city`.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from aggregates.areas.cbs_door import CBS, PDOK, Cbs, Unreachable
from aggregates.areas.geometry import Area
from aggregates.areas.inputs import gather
from aggregates.areas.load import boundary
from aggregates.areas.measures import TABLES
from aggregates.store.store import Store
from hub.settings.settings import Settings
from ingest.files.site_table import SITES_FILE
from ingest.gateways.counts import Counts
from ingest.gateways.region import Region
from ingest.gateways.schedule import Plan
from ingest.mqtt.address import Address

VINTAGES = 2  # of boundaries are tried, the newest first: a year's map may come after its table

# Events of `ingest.gateways.counts.Counts`, the label of their kind where they have one, and what they are.
EVENTS = {
    "requests": ("outcome", "requests to a source by outcome"),
    "turns": ("outcome", "turns of a gateway by outcome"),
    "measurements": ("state", "measurements read: new ones, and those that were published before"),
    "messages": (None, "messages published"),
    "odd": (None, "parts of answers that could not be read"),
    "form_changes": (None, "times a source was found in another form"),
    "gaps": (None, "publications of a source without history that were missed"),
    "index_compared": ("outcome", "LKI values of Luchtmeetnet compared with the hub's own"),
}


class GatewayCollector(Collector):
    """The numbers of every gateway that runs in this process."""

    def __init__(self, counts: Callable[[], Iterable[Counts]]) -> None:
        self._counts = counts

    def collect(self) -> Iterable[Metric]:
        """Give every metric."""
        counts = list(self._counts())
        for name, (label, text) in EVENTS.items():
            family = CounterMetricFamily(
                f"stadspuls_gateway_{name}", text, labels=["gateway", *([label] if label else [])]
            )
            for one in counts:
                for (event, kind), number in sorted(one.events.items()):
                    if event == name:
                        family.add_metric([one.job, *([kind] if label else [])], number)
            yield family
        for name, text, read in _GAUGES:
            gauge = GaugeMetricFamily(f"stadspuls_gateway_{name}", text, labels=["gateway"])
            for one in counts:
                gauge.add_metric([one.job], read(one))
            yield gauge


_GAUGES: tuple[tuple[str, str, Callable[[Counts], float]], ...] = (
    ("last_good_turn_seconds", "when the source was last read well, s since 1970", lambda one: one.succeeded),
    ("newest_measurement_seconds", "stamp of the newest measurement published, s since 1970", lambda one: one.newest),
    ("failures_in_a_row", "turns that failed since the last good one", lambda one: one.failures),
)


def plan(settings: Settings, sources: Sequence[str], broker: Address, region: Region | None) -> Plan:
    """Make the plan of gateways out of the settings."""
    hosts = {name: getattr(settings, f"{name}_url") for name in sources if hasattr(settings, f"{name}_url")}
    return Plan(
        tuple(sources), broker, settings.data_dir / "gateways", settings.data_dir / SITES_FILE, region,
        {name: url for name, url in hosts.items() if url}, settings.gateway_timeout,
    )  # fmt: skip


def door(settings: Settings, *, tries: int = 2, refresh: bool = False) -> Cbs:
    """Open the door to CBS and PDOK, at the hosts that the settings name; `refresh` asks past the cache."""
    return Cbs(
        settings.data_dir / "cbs", refresh=refresh, tries=tries, patience=settings.gateway_timeout,
        cbs=settings.cbs_url or CBS, pdok=settings.pdok_url or PDOK,
    )  # fmt: skip


def municipality(settings: Settings, database: str | None, code: str) -> Region:
    """Give a municipality's area from the database where it has it, else from PDOK; raises Unreachable, StoreError."""
    if database is not None:
        with closing(Store(database)) as store:
            known = boundary(store, code)
        if known is not None:
            return region_of(known)
    with door(settings) as cbs:
        for vintage in newest():
            try:
                return region_of(_only(gather(cbs.boundaries(vintage, [code]), vintage, [code]).areas, code))
            except Unreachable as error:
                last = error
    raise last


def newest() -> list[int]:
    """Give the vintages to try, the newest first."""
    return sorted(TABLES, reverse=True)[:VINTAGES]


def region_of(area: Area) -> Region:
    """Make the area that gateways are limited to of one of CBS."""
    return Region(area.name, area.shape)


def _only(areas: Iterable[Area], code: str) -> Area:
    for area in areas:
        if area.code == code and area.shape is not None:
            return area
    raise Unreachable(f"PDOK has no boundary of {code}")
