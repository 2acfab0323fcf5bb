"""
The real city in a running hub: boundaries and statistics from CBS and PDOK, then the gateways of the municipality.

`stadspuls up --city GM0014` runs it behind a hub that is ready already, so that no host can keep the hub from starting.
What cannot be reached is printed and tried again; meanwhile a hub without real measurements shows the simulated city.
"""

from collections.abc import Callable
from contextlib import closing, suppress

import structlog

from aggregates.areas.cbs_door import Unreachable
from aggregates.areas.geometry import Area
from aggregates.areas.load import boundary, load
from aggregates.areas.roll_up import place_sensors
from aggregates.store.store import Store, StoreError
from hub.run.embedded import EmbeddedHub
from hub.run.gateways import GatewayCollector, fetched, plan, region_of
from hub.run.parts import Background, Part
from hub.settings.settings import Settings
from ingest.gateways.memory import Taken, anything_published
from ingest.gateways.registry import Counts, load_gateways
from ingest.gateways.schedule import Gateways
from ingest.vocabulary.backoff import pauses

LOOK_EVERY = 1.0  # s between two checks of the gateways

log = structlog.get_logger(__name__)


class OpenCity(Background):
    """Everything of `--city` as one part of the hub; `show` prints a line, `demo` makes the simulated city."""

    def __init__(
        self, settings: Settings, hub: EmbeddedHub, code: str, show: Callable[[str], None], demo: Callable[[], Part]
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
        found = plan(self._settings, load_gateways(), self._hub.broker, region_of(area))
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
