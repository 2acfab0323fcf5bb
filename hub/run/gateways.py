"""
Gateways as a part of a hub: their settings, the area they are limited to, and their metrics.

`hub.cli.gateway` runs them alone, `hub.run.open_data` inside `stadspuls up --city`.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing

import structlog
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from aggregates.areas.cbs_door import CBS, PDOK, Cbs, Unreachable
from aggregates.areas.geometry import Area
from aggregates.areas.inputs import Document, Gathered, gather
from aggregates.areas.load import boundary
from aggregates.areas.maps import BadMap
from aggregates.areas.measures import TABLES
from aggregates.areas.statistics import BadStatistics
from aggregates.store.store import Store
from hub.settings.settings import Settings
from hub.web.metrics import family
from ingest.files.site_table import SITES_FILE
from ingest.gateways.region import Region
from ingest.gateways.registry import Counts
from ingest.gateways.schedule import Plan
from ingest.mqtt.address import Address

VINTAGES = 2  # of boundaries are tried, the newest first: a year's map may come after its table

log = structlog.get_logger(__name__)

# Events of `ingest.gateways.registry.Counts`, the label of their kind where they have one, and what they are.
EVENTS = {
    "requests": ("outcome", "requests to a source by outcome"),
    "turns": ("outcome", "turns of a gateway by outcome"),
    "measurements": ("state", "measurements read: new ones, and those that were published before"),
    "messages": (None, "messages published"),
    "odd": (None, "parts of answers that could not be read"),
    "form_changes": (None, "times a source was found in another form"),
    "gaps": (None, "publications of a source without history that were missed"),
}


GAUGES: dict[str, tuple[str, Callable[[Counts], float]]] = {
    "last_good_turn_seconds": ("when the source was last read well, s since 1970", lambda one: one.succeeded),
    "newest_measurement_seconds": ("stamp of the newest measurement, s since 1970", lambda one: one.newest),
    "failures_in_a_row": ("turns that failed since the last good one", lambda one: one.failures),
}


class GatewayCollector(Collector):
    """The numbers of every gateway that runs in this process."""

    def __init__(self, counts: Callable[[], Iterable[Counts]]) -> None:
        self._counts = counts

    def collect(self) -> Iterable[Metric]:
        """Give every metric."""
        counts = list(self._counts())
        for name, (label, text) in EVENTS.items():
            labels = ("gateway", label) if label else ("gateway",)
            numbers = {
                (one.job, kind)[: len(labels)]: number
                for one in counts
                for (event, kind), number in sorted(one.events.items())
                if event == name
            }
            yield family(f"gateway_{name}_total", text, numbers, *labels)
        for name, (text, read) in GAUGES.items():
            yield family(f"gateway_{name}", text, {(one.job,): read(one) for one in counts}, "gateway")


def plan(settings: Settings, sources: Sequence[str], broker: Address, region: Region | None) -> Plan:
    """Make the plan of gateways out of the settings."""
    hosts = {name: url for name in sources if (url := getattr(settings, f"{name}_url", ""))}
    return Plan(
        tuple(sources), broker, settings.data_dir / "gateways", settings.data_dir / SITES_FILE, region, hosts,
        settings.gateway_timeout,
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
    _, found = fetched(settings, code, lambda part, why: log.warning(f"{part} {why}", area=code), statistics=False)
    return next(region_of(area) for area in found.areas if area.code == code)


def fetched(
    settings: Settings, code: str, note: Callable[[str, str], None], *, statistics: bool
) -> tuple[int, Gathered]:
    """
    Fetch a municipality in the newest vintage whose boundaries can be had, with its statistics where they can.

    `note` is told what is missing, and why. Raises Unreachable where no vintage has boundaries.
    """
    with door(settings) as cbs:
        for vintage in sorted(TABLES, reverse=True)[:VINTAGES]:
            documents: list[Document] = []
            found: Gathered | None = None
            for part, fetch in [("boundaries", cbs.boundaries), ("statistics", cbs.statistics)][: 1 + statistics]:
                try:
                    documents += fetch(vintage, [code])
                    found = gather(documents, vintage, [code])
                except (Unreachable, BadMap, BadStatistics) as error:
                    why = "could not be reached" if isinstance(error, Unreachable) else f"of {vintage} cannot be read"
                    note(part, f"{why}: {error}")
                    break
            if found is not None and any(area.code == code for area in found.areas):
                return vintage, found
    raise Unreachable(f"no boundaries of {code}, neither in the database nor from PDOK")


def region_of(area: Area) -> Region:
    """Make the area that gateways are limited to of one of CBS."""
    return Region(area.name, area.shape)
