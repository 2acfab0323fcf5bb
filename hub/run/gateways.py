"""
Gateways as a part of a hub: their settings, the area they are limited to, their metrics, and the real city of `--city`.

`hub.cli.run` runs them alone. `stadspuls up --city GM0014` runs an `OpenCity` behind a hub that is ready already,
so that no host can keep the hub from starting. What cannot be reached is printed and tried again; until the boundaries
of the municipality are there the hub shows the simulated city.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import structlog
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from aggregates.areas.cbs_door import CBS, PDOK, Cbs, Unreachable
from aggregates.areas.geometry import Area
from aggregates.areas.inputs import Document, Gathered, gather
from aggregates.areas.load import boundary, load
from aggregates.areas.measures import TABLES
from aggregates.areas.roll_up import place_sensors
from aggregates.areas.statistics import BadDocument
from aggregates.store.store import Store
from hub.run.parts import Background
from hub.settings.settings import Settings
from hub.web.metrics import METRICS, family
from ingest.files.site_table import SITES_FILE
from ingest.gateways.memory import Taken
from ingest.gateways.schedule import GATEWAYS, Gateways, jobs
from ingest.gateways.turn import Counts, Job, Plan, Region
from ingest.mqtt.address import Address
from ingest.vocabulary.backoff import pauses

if TYPE_CHECKING:
    from hub.run.embedded import EmbeddedHub

OF_A_CITY = [name for name in GATEWAYS if name != "sensorthings"]  # which has no address of its own
LOOK_EVERY = 1.0  # s between two checks of the gateways
VINTAGES = 2  # of boundaries are tried, the newest first: a year's map may come after its table

log = structlog.get_logger(__name__)


class GatewayCollector(Collector):
    """The numbers of every gateway that runs in this process."""

    def __init__(self, counts: Callable[[], Iterable[Counts]]) -> None:
        self._counts = counts

    def collect(self) -> Iterable[Metric]:
        """Give every metric."""
        counts = list(self._counts())
        for name, about in METRICS["gateway"].items():
            labels, of = about["labels"], about["of"]
            if name.endswith("_total"):
                events = ((one.job, *event, number) for one in counts for event, number in sorted(one.events.items()))
                numbers = {(job, kind)[: len(labels)]: number for job, event, kind, number in events if event == of}
            else:
                numbers = {(one.job,): getattr(one, of) for one in counts}
            yield family(name, about["text"], numbers, *labels)


def hosts(settings: Settings) -> dict[str, str]:
    """Give the addresses of gateways that the settings name in place of their own."""
    return {name: url for name in GATEWAYS if (url := getattr(settings, f"{name}_url", ""))}


def plan(settings: Settings, chosen: Sequence[Job], broker: Address, region: Region | None) -> Plan:
    """Make the plan of gateways out of the settings."""
    data = settings.data_dir
    return Plan(chosen, broker, data / "gateways", data / SITES_FILE, region, settings.gateway_timeout)


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
            return Region(known.name, known.shape)
    _, found = fetched(settings, code, lambda part, why: log.warning(f"{part} {why}", area=code), statistics=False)
    return next(Region(area.name, area.shape) for area in found.areas if area.code == code)


def fetched(
    settings: Settings, code: str, note: Callable[[str, str], None], *, statistics: bool
) -> tuple[int, Gathered]:
    """
    Fetch a municipality in the newest vintage whose boundaries can be had, with its statistics where they can.

    `note` is told what is missing, and why. Raises Unreachable where no vintage has boundaries.
    """
    cbs = door(settings)
    for vintage in sorted(TABLES, reverse=True)[:VINTAGES]:
        documents: list[Document] = []
        found: Gathered | None = None
        for part, fetch in [("boundaries", cbs.boundaries), ("statistics", cbs.statistics)][: 1 + statistics]:
            try:
                documents += fetch(vintage, [code])
                found = gather(documents, vintage, [code])
            except (Unreachable, BadDocument) as error:
                why = "could not be reached" if isinstance(error, Unreachable) else f"of {vintage} cannot be read"
                note(part, f"{why}: {error}")
                break
        if found is not None and any(area.code == code for area in found.areas):
            return vintage, found
    raise Unreachable(f"no boundaries of {code}, neither in the database nor from PDOK")


class OpenCity(Background):
    """Boundaries and statistics of a municipality, then its gateways; `show` prints a line, `demo` simulates."""

    def __init__(
        self, settings: Settings, hub: "EmbeddedHub", code: str, show: Callable[[str], None],
        demo: Callable[[], Background],
    ) -> None:  # fmt: skip
        super().__init__("open-city")
        self._settings, self._hub, self._code, self._show, self._make_demo = settings, hub, code, show, demo
        self._gateways: Gateways | None = None
        self._demo: Background | None = None
        self._noted: set[str] = set()
        hub.collectors.append(GatewayCollector(lambda: self._gateways.counts if self._gateways else ()))

    def stop(self, seconds: float) -> None:
        """End what runs; a request for the municipality that is under way is not waited for."""
        super().stop(1.0 if self._gateways is None else seconds)
        self._end_demo()

    def run(self) -> None:
        """Load the municipality, then run the gateways and watch them."""
        area = self._area()
        if area is None:
            return
        self._end_demo()
        chosen = jobs(OF_A_CITY, hosts(self._settings))
        found = plan(self._settings, chosen, self._hub.broker, Region(area.name, area.shape))
        try:
            with Gateways(found) as self._gateways:
                self._gateways.start()
                self._show(f"city   gateways for {area.name}: {', '.join(OF_A_CITY)}")
                while not self.stopping.wait(LOOK_EVERY):
                    for one in self._gateways.counts:
                        if one.failures:
                            self._note(one.job, "could not be reached, it is tried again; the log has its answer")
        except Taken as error:
            self._show(f"note: no gateways here: {error}")
        finally:
            self._gateways = None

    def _area(self) -> Area | None:
        """Give the municipality with its boundary, loading and waiting as long as it takes; None when it is stopped."""
        waits = pauses(16.0, 300.0)
        while not self.stopping.is_set():
            with closing(Store(self._hub.database, application="stadspuls city")) as store:
                self._load(store)
                if (known := boundary(store, self._code)) is not None:
                    return known
            self._simulate()
            self.stopping.wait(next(waits))
        return None

    def _load(self, store: Store) -> None:
        """Load what is missing of boundaries and statistics."""
        loaded = {row[2] for row in store.rows("list_area_loads", vintage=None) if row[1] == self._code}
        if not {"boundaries", "statistics"} <= loaded:
            with suppress(Unreachable):  # which is noted
                vintage, found = fetched(self._settings, self._code, self._note, statistics=True)
                for part in load(store, vintage, [self._code], found):
                    self._show(f"city   {part.name} of {self._code}, {vintage}, from {part.origin}")
                place_sensors(store)

    def _simulate(self) -> None:
        """Start the simulated city: without the boundaries no real measurement is published from here."""
        if self._demo is None and not self.stopping.is_set():
            self._show("note: going on with the simulated city")
            self._demo = self._make_demo()
            self._demo.start()

    def _end_demo(self) -> None:
        demo, self._demo = self._demo, None
        if demo is not None:
            self._show("city   the simulated city ends")
            demo.stop(5.0)

    def _note(self, what: str, text: str) -> None:
        if what not in self._noted:
            self._noted.add(what)
            self._show(f"note: {what} {text}")
