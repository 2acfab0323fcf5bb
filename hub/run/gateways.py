"""
Gateways as a part of a hub: their settings, the area they are limited to, their metrics, and the real city of `--city`.

`hub.cli.run` runs them alone. `stadspuls up --city GM0014` runs an `OpenCity` behind a hub that is ready already,
so that no host can keep the hub from starting. What cannot be reached is printed and tried again; meanwhile a hub
without real measurements shows the simulated city.
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
from aggregates.store.store import Store, StoreError
from hub.run.parts import Background, Part
from hub.settings.settings import Settings
from hub.web.metrics import family
from ingest.files.site_table import SITES_FILE
from ingest.gateways.memory import Taken, anything_published
from ingest.gateways.registry import Counts, Region, load_gateways
from ingest.gateways.schedule import Gateways, Plan
from ingest.mqtt.address import Address
from ingest.vocabulary.backoff import pauses

if TYPE_CHECKING:
    from hub.run.embedded import EmbeddedHub

LOOK_EVERY = 1.0  # s between two checks of the gateways
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
        self, settings: Settings, hub: "EmbeddedHub", code: str, show: Callable[[str], None], demo: Callable[[], Part]
    ) -> None:
        super().__init__("open-city")
        self._settings, self._hub, self._code, self._show, self._make_demo = settings, hub, code, show, demo
        self._gateways: Gateways | None = None
        self._demo: Part | None = None
        self._noted: set[str] = set()
        hub.collectors.append(GatewayCollector(self._counts))

    def _counts(self) -> list[Counts]:
        return [] if self._gateways is None else self._gateways.counts

    def stop(self, seconds: float) -> None:
        """End what runs; a request for the municipality that is under way is not waited for."""
        super().stop(1.0 if self._gateways is None else seconds)
        self._end_demo()

    def run(self) -> None:
        """Load the municipality, then run the gateways and watch them."""
        area = self._area()
        if area is None:
            return
        found = plan(self._settings, load_gateways(), self._hub.broker, Region(area.name, area.shape))
        try:
            with Gateways(found) as self._gateways:
                self._gateways.start()
                self._show(f"city   gateways for {area.name}: {', '.join(found.sources)}")
                while not self.stopping.wait(LOOK_EVERY):
                    self._look(self._gateways)
        except Taken as error:
            self._show(f"note: no gateways here: {error}")
        finally:
            self._gateways = None

    def _area(self) -> Area | None:
        """Give the municipality with its boundary, loading and waiting as long as it takes; None when it is stopped."""
        waits = pauses(16.0, 300.0)
        while not self.stopping.is_set():
            try:
                with closing(Store(self._hub.database, application="stadspuls city")) as store:
                    known = self._known(store)
                if known is not None:
                    return known
                self._simulate()
            except StoreError as error:
                log.warning("the city waits for the database", error=str(error))
            self.stopping.wait(next(waits))
        return None

    def _known(self, store: Store) -> Area | None:
        """Give the municipality, loading what is missing of boundaries and statistics; None without boundaries."""
        loaded = {row[2] for row in store.rows("list_area_loads", vintage=None) if row[1] == self._code}
        if not {"boundaries", "statistics"} <= loaded:
            with suppress(Unreachable):  # which is noted
                vintage, found = fetched(self._settings, self._code, self._note, statistics=True)
                for part in load(store, vintage, [self._code], found):
                    self._show(f"city   {part.name} of {self._code}, {vintage}, from {part.origin}")
                place_sensors(store)
        return boundary(store, self._code)

    def _look(self, gateways: Gateways) -> None:
        """Note what cannot be reached; simulate while no real measurement has come, and no longer."""
        good = [one for one in gateways.counts if one.total("messages")]
        for one in gateways.counts:
            if one.failures:
                self._note(one.job, "could not be reached, it is tried again; the log has its answer")
        if good and self._end_demo():
            self._show("city   the simulated city ends: real measurements have come")
        elif not good and all(one.failures for one in gateways.counts):
            self._simulate()

    def _simulate(self) -> None:
        """Start the simulated city, unless real measurements were ever published from here."""
        if self._demo is not None or self.stopping.is_set():
            return
        if anything_published(self._settings.data_dir / "gateways"):
            self._note("city", "goes on with the real measurements it has, and simulates none")
            return
        self._show("note: going on with the simulated city")
        self._demo = self._make_demo()
        self._demo.start()

    def _end_demo(self) -> bool:
        """Stop the simulated city; tell whether there was one."""
        demo, self._demo = self._demo, None
        if demo is not None:
            demo.stop(5.0)
        return demo is not None

    def _note(self, what: str, text: str) -> None:
        if what not in self._noted:
            self._noted.add(what)
            self._show(f"note: {what} {text}")
