"""
One pair of eyes for all viewers: looks at the store once a second while somebody watches, and tells who is concerned.

What a view shows is asked of `aggregates.ask.live` and packed once, however many watch it; `hub.web.live.routes`
hands the same bytes to every browser. A large city is looked at less often: looking takes a fifth of the time at
most.
"""

import asyncio
import gzip
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol
from zoneinfo import ZoneInfo

import msgspec
import structlog

from aggregates.ask.live import LENSES, Rows, Silent, newest, newest_areas, pulse, silent
from aggregates.store.health import State, state
from aggregates.store.store import Store, StoreError
from hub.web.live.scale import edges
from ingest.vocabulary.quantities import QUANTITIES, Aggregation
from streams.notify.operators import Row, alerts

EVERY = 1.0  # s between two looks
_REST = 4.0  # times as long as a look took
_HEALTH_EVERY = 5.0  # s
_ALERTS = 100  # open ones that are counted
_AGAIN = 15  # s after which a view is made anew though nothing was committed: windows end, sensors fall silent

log = structlog.get_logger(__name__)


class View(NamedTuple):
    """What a viewer has chosen: a quantity and a lens of `aggregates.ask.live.LENSES`."""

    quantity: str
    lens: str


class Packed(NamedTuple):
    """A view as gzipped JSON, with a version that grows whenever its figures differ."""

    version: int
    made: float
    content: object
    body: bytes


@dataclass(frozen=True, slots=True)
class Health:
    """How the hub is: `rate` in readings a second (None: not known yet), `messages` where this process takes them."""

    at: datetime
    rate: float | None
    messages: float | None
    in_flight: int | None
    state: State
    silent: list[Silent]
    alerts: list[Row]
    viewers: int


class Viewer(Protocol):
    """Who is told; called in the loop of the page."""

    view: View

    def renew(self, version: int) -> None:
        """There are new figures of your view."""

    def breathe(self, health: Health | None) -> None:
        """So is the hub; None: its database does not answer."""


class Watch:
    """
    What everybody watches, from `start` to `stop`. `gauges` gives `/healthz`, `now` the time, `zone` that of silences.

    All questions go through one connection in one thread.
    """

    def __init__(
        self, store: Store, gauges: Callable[[], Mapping[str, object]], now: Callable[[], datetime], zone: ZoneInfo
    ) -> None:
        self.viewers: set[Viewer] = set()
        self.health: Health | None = None
        self._store, self._gauges, self._now, self._zone = store, gauges, now, zone
        self._thread = ThreadPoolExecutor(1, "live")
        self._packed: dict[View, Packed] = {}
        self._beat: tuple[object, ...] = ()
        self._counted: deque[tuple[float, int, int]] = deque(maxlen=11)
        self._version = 0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look, in the running loop."""
        self._task = asyncio.create_task(self._run(), name="live")

    async def stop(self) -> None:
        """Look no more; end the thread and the connection."""
        if self._task is not None:
            self._task.cancel()
        self._thread.submit(self._store.close)
        self._thread.shutdown(wait=False)

    async def _run(self) -> None:
        """Look, tell, rest."""
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            if self.viewers:
                await self._turn()
            else:
                self._counted.clear()
            await asyncio.sleep(max(EVERY, _REST * (loop.time() - began)))

    async def packed(self, view: View) -> Packed:
        """Give what a view shows now; raises StoreError."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._kept, view)

    async def _turn(self) -> None:
        views = {viewer.view for viewer in self.viewers}
        loop = asyncio.get_running_loop()
        try:
            changed = await loop.run_in_executor(self._thread, self._look, views)
        except StoreError as error:
            log.warning("the live page cannot look", error=str(error))
            changed, self.health = {}, None
        for viewer in tuple(self.viewers):
            with suppress(RuntimeError):  # it left meanwhile
                if viewer.view in changed:
                    viewer.renew(changed[viewer.view])
                viewer.breathe(self.health)

    def _look(self, views: set[View]) -> dict[View, int]:
        """Make the views anew whose figures may have changed; give the versions of those whose did."""
        now = self._now()
        found = pulse(self._store)
        gauges = self._gauges()
        self._counted.append((now.timestamp(), int(str(found[0])), int(str(gauges.get("messages_received", 0)))))
        if self.health is None or self.health.rate is None or (now - self.health.at).total_seconds() >= _HEALTH_EVERY:
            self.health = self._examine(now, gauges)
        beat = (*found, int(now.timestamp()) // _AGAIN)
        if beat == self._beat and views <= self._packed.keys():
            return {}
        self._packed = {view: packed for view, packed in self._packed.items() if view in views}
        before = {view: packed.version for view, packed in self._packed.items()}
        made = {view: self._pack(view, now).version for view in views}
        self._beat = beat
        return {view: version for view, version in made.items() if version != before.get(view)}

    def _kept(self, view: View) -> Packed:
        now = self._now()
        kept = self._packed.get(view)
        if kept and (any(viewer.view == view for viewer in tuple(self.viewers)) or now.timestamp() - kept.made < EVERY):
            return kept
        return self._pack(view, now)

    def _pack(self, view: View, now: datetime) -> Packed:
        lens = LENSES[view.lens]
        sensors = newest(self._store, view.quantity, lens, now)
        areas = newest_areas(self._store, view.quantity, lens, now)
        content = (sensors, areas)
        kept = self._packed.get(view)
        if kept is None or kept.content != content:
            self._version += 1
            kept = Packed(self._version, now.timestamp(), content, _body(self._version, view, now, sensors, areas))
        self._packed[view] = kept._replace(made=now.timestamp())
        return kept

    def _examine(self, now: datetime, gauges: Mapping[str, object]) -> Health:
        (first, readings, messages), (last, more, later) = self._counted[0], self._counted[-1]
        seconds = last - first
        own = "messages_received" in gauges
        return Health(
            now, (more - readings) / seconds if seconds else None,
            (later - messages) / seconds if own and seconds else None,
            int(str(gauges["readings_in_flight"])) if own else None,
            state(self._store, now), silent(self._store, now), alerts(self._store, now, self._zone, limit=_ALERTS),
            len(self.viewers),
        )  # fmt: skip


def _body(version: int, view: View, now: datetime, sensors: Rows, areas: Mapping[str, Rows]) -> bytes:
    """Pack what the browser draws; a mean has one legend for sensors and areas, a sum one for each."""
    if QUANTITIES[view.quantity].aggregation is not Aggregation.SUM:
        spreads = [rows.spread for rows in (sensors, *areas.values()) if rows.spread]
        together = (min(low for low, _ in spreads), max(high for _, high in spreads)) if spreads else None
        sensors, areas = sensors._replace(spread=together), {
            level: rows._replace(spread=together) for level, rows in areas.items()
        }  # fmt: skip
    content = {
        "version": version, "at": now.timestamp(), **view._asdict(),
        "sensors": _scaled(sensors), "areas": {level: _scaled(rows) for level, rows in areas.items()},
    }  # fmt: skip
    return gzip.compress(msgspec.json.encode(content), 3)


def _scaled(found: Rows) -> dict[str, object]:
    return {"edges": edges(*found.spread) if found.spread else [], "rows": msgspec.Raw(found.rows.encode())}
