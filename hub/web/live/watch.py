"""
What every open page shows, looked up once for all viewers.

While somebody has the page open, `Watch` reads the store once a second (a large city less often: reading takes a fifth
of the time at most), and calls the pages whose figures changed. A view is packed once, however many show it, and
`hub.web.live.mount` gives the same bytes to every browser.
"""

import asyncio
import gzip
import math
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple, Protocol, TypeVar
from zoneinfo import ZoneInfo

import msgspec
import structlog

from aggregates.ask.live import LENSES, Rows, Silent, newest, newest_areas, pulse, silent
from aggregates.store.health import State, state
from aggregates.store.store import Store, StoreError
from ingest.vocabulary.quantities import QUANTITIES, Aggregation
from streams.notify.operators import Row, alerts

T = TypeVar("T")
CLASSES = 6  # of a legend
_FINEST = 0.001  # what figures are rounded to
_EVERY = 1.0  # s between two turns
_REST = 4.0  # times as long as a turn took
_HEALTH_EVERY = 5.0  # s
_ALERTS = 100  # open ones that are counted
_AGAIN = 15  # s after which a view is made anew though nothing was committed: windows end, sensors fall silent

log = structlog.get_logger(__name__)


class View(NamedTuple):
    """What a viewer has chosen: a quantity and a lens of `aggregates.ask.live.LENSES`."""

    quantity: str
    lens: str


class PackedView(NamedTuple):
    """A view as gzipped JSON, with a version that grows whenever its figures differ."""

    version: int
    made: float
    content: object
    body: bytes


@dataclass(frozen=True, slots=True)
class HubNumbers:
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
    """An open page; called in its loop."""

    view: View

    def renew(self, version: int | None, health: HubNumbers | None) -> None:
        """Show new figures (None: they are the same) and how the hub is (None: its database does not answer)."""


class Watch:
    """
    What all pages share, from `start` to `stop`. `gauges` gives `/healthz`, `zone` is that of the hub's days.

    What is looked up for everybody goes through one connection in one thread.
    """

    def __init__(self, open_store: Callable[[], Store], gauges: Callable[[], Mapping[str, object]], zone: str) -> None:
        self.viewers: set[Viewer] = set()
        self.health: HubNumbers | None = None
        self.zone = zone
        self._open_store, self._gauges = open_store, gauges
        self._store = open_store()
        self._thread = ThreadPoolExecutor(1, "live")
        self._packed: dict[View, PackedView] = {}
        self._pulse: tuple[object, ...] = ()
        self._counted: deque[tuple[float, int, int]] = deque(maxlen=11)
        self._version = 0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin the turns, in the running loop."""
        self._task = asyncio.create_task(self._run(), name="live")

    async def stop(self) -> None:
        """End the turns, the thread and the connection."""
        if self._task is not None:
            self._task.cancel()
        self._thread.submit(self._store.close)
        self._thread.shutdown(wait=False)

    async def ask(self, question: Callable[[Store], T]) -> T:
        """Run a question in a thread, with a store of its own; raises StoreError."""

        def answered() -> T:
            with closing(self._open_store()) as store:
                return question(store)

        return await asyncio.to_thread(answered)

    async def packed(self, view: View) -> PackedView:
        """Give what a view shows now; raises StoreError."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._kept, view)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            if self.viewers:
                await self._turn()
            else:
                self._counted.clear()
            await asyncio.sleep(max(_EVERY, _REST * (loop.time() - began)))

    async def _turn(self) -> None:
        views = {viewer.view for viewer in self.viewers}
        try:
            changed = await asyncio.get_running_loop().run_in_executor(self._thread, self._look_up, views)
        except StoreError as error:
            log.warning("the live page cannot read the database", error=str(error))
            changed, self.health = {}, None
        for viewer in tuple(self.viewers):
            with suppress(RuntimeError):  # it left meanwhile
                viewer.renew(changed.get(viewer.view), self.health)

    def _look_up(self, views: set[View]) -> dict[View, int]:
        """Make the views anew whose figures may have changed; give the versions of those whose figures did."""
        now = datetime.now(UTC)
        found = pulse(self._store)
        gauges = self._gauges()
        self._counted.append((now.timestamp(), int(str(found[0])), int(str(gauges.get("messages_received", 0)))))
        if self.health is None or self.health.rate is None or (now - self.health.at).total_seconds() >= _HEALTH_EVERY:
            self.health = self._examine(now, gauges)
        latest = (*found, int(now.timestamp()) // _AGAIN)
        if latest == self._pulse and views <= self._packed.keys():
            return {}
        self._packed = {view: packed for view, packed in self._packed.items() if view in views}
        before = {view: packed.version for view, packed in self._packed.items()}
        made = {view: self._pack(view, now).version for view in views}
        self._pulse = latest
        return {view: version for view, version in made.items() if version != before.get(view)}

    def _kept(self, view: View) -> PackedView:
        now = datetime.now(UTC)
        kept = self._packed.get(view)
        fresh = kept is not None and now.timestamp() - kept.made < _EVERY
        if kept and (fresh or any(viewer.view == view for viewer in tuple(self.viewers))):
            return kept
        return self._pack(view, now)

    def _pack(self, view: View, now: datetime) -> PackedView:
        lens = LENSES[view.lens]
        sensors = newest(self._store, view.quantity, lens, now)
        areas = newest_areas(self._store, view.quantity, lens, now)
        content = (sensors, areas)
        kept = self._packed.get(view)
        if kept is None or kept.content != content:
            self._version += 1
            kept = PackedView(self._version, now.timestamp(), content, _body(self._version, view, now, sensors, areas))
        self._packed[view] = kept._replace(made=now.timestamp())
        return kept

    def _examine(self, now: datetime, gauges: Mapping[str, object]) -> HubNumbers:
        (first, readings, messages), (last, more, later) = self._counted[0], self._counted[-1]
        seconds = last - first
        own = "messages_received" in gauges
        return HubNumbers(
            now, (more - readings) / seconds if seconds else None,
            (later - messages) / seconds if own and seconds else None,
            int(str(gauges["readings_in_flight"])) if own else None,
            state(self._store, now), silent(self._store, now),
            alerts(self._store, now, ZoneInfo(self.zone), limit=_ALERTS), len(self.viewers),
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


def edges(low: float, high: float, classes: int = CLASSES) -> list[float]:
    """
    Give the lower edges of all classes of a legend but the first, at equal round steps (1, 2, 2.5 or 5 times 10^n).

    They cover `low` to `high`, and stay the same while these move a little; what is higher is in the last class.

    >>> edges(5, 22)
    [5.0, 10.0, 15.0, 20.0, 25.0]
    >>> edges(0, 0)
    [1.0, 2.0, 3.0, 4.0, 5.0]
    >>> edges(-3.2, 4.1)
    [-2.0, 0.0, 2.0, 4.0, 6.0]
    """
    begin = 0.0 if 0 <= low < (high - low) / 2 else low
    step = max(_round_up((high - begin) / (classes - 1)), _FINEST) if high > begin else 1.0
    first = math.floor(begin / step) * step
    return [round(first + step * number, 9) for number in range(1, classes)]


def _round_up(step: float) -> float:
    power: float = 10.0 ** math.floor(math.log10(step))
    return next(nice * power for nice in (1, 2, 2.5, 5, 10) if nice * power >= step * 0.999)
